use crate::lower::Target;
use crate::machine::{Machine, Memory};
use crate::parallel::Pool;
use crate::plan::{Instruction, Kernel, Plan, View};
use crate::{Definition, Error, Scalar, lower};
use faer::{MatMut, MatRef};
use pullback_tape::{Graph, Shape, Var};
use std::sync::Arc;

/// On how many threads a program runs. Results do not depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Parallelism {
    /// On the thread that calls `run`.
    #[default]
    Sequential,
    /// On so many threads of the program's own, which its clones share, while the thread that calls `run` waits.
    ///
    /// Products that do not depend on each other run side by side, and large products, copies and elementwise
    /// operations are divided. A program that has too little work for that starts no threads and runs as if
    /// [sequential](Parallelism::Sequential): with matrices of less than about 100×100, most do.
    #[cfg(feature = "rayon")]
    Threads(std::num::NonZeroUsize),
}

impl Parallelism {
    /// Whether there is more than one thread.
    fn is_several(self) -> bool {
        match self {
            Parallelism::Sequential => false,
            #[cfg(feature = "rayon")]
            Parallelism::Threads(n) => n.get() > 1,
        }
    }

    fn pool(self) -> Result<Option<Pool>, Error> {
        match self {
            Parallelism::Sequential => Ok(None),
            #[cfg(feature = "rayon")]
            Parallelism::Threads(n) => Pool::new(n).map(Some),
        }
    }
}

/// How a program is compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// On how many threads it runs; one unless said otherwise.
    pub parallelism: Parallelism,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Options::default()
    }

    /// Sets the number of threads.
    pub fn parallelism(mut self, parallelism: Parallelism) -> Self {
        self.parallelism = parallelism;
        self
    }
}

/// A compiled program: several outputs at once, planned from the shapes.
///
/// Inputs are read where they are, whatever their strides. Running allocates nothing (but for faer's packing
/// buffer, once for every thread that computes a large product), and the same inputs give the same bits. A
/// program is `Send` and can be cloned for another thread (the clone has memory of its own), and it holds no
/// reference to the tape.
pub struct Program<T: Scalar> {
    plan: Arc<Plan>,
    /// The threads to run on, if there is work for them.
    pool: Option<Pool>,
    definitions: Vec<Option<Definition<T>>>,
    check_finite: bool,
    /// For every input, the position of the matrix bound to it in the current run.
    bound: Vec<usize>,
    memory: Memory<T>,
}

impl<T: Scalar> Program<T> {
    /// Plans the evaluation of `outputs`, all of one tape, with the default [`Options`].
    ///
    /// # Errors
    /// A mistake recorded in one of the outputs; [`Error::Symbolic`]; [`Error::OutOfMemory`].
    pub fn compile(outputs: &[Var<'_>]) -> Result<Self, Error> {
        Program::compile_with(outputs, Options::new())
    }

    /// Plans the evaluation of `outputs`. Linear in the number of nodes that they need.
    ///
    /// # Errors
    /// A mistake recorded in one of the outputs; [`Error::Symbolic`]; [`Error::OutOfMemory`].
    pub fn compile_with(outputs: &[Var<'_>], options: Options) -> Result<Self, Error> {
        let (graph, mut declared) = match outputs.first() {
            Some(first) => {
                let names = first.tape().inputs().into_iter().map(|(name, _)| name);
                (first.tape().graph(outputs)?, names.collect())
            }
            None => (Graph::default(), Vec::new()),
        };
        declared.sort();
        let target = Target { number: size_of::<T>(), threads: options.parallelism.is_several() };
        let plan = lower::lower(graph, declared, target)?;
        let memory = Memory::new(&plan)?;
        let pool = if plan.groups.is_empty() { None } else { options.parallelism.pool()? };
        Ok(Program {
            definitions: vec![None; plan.functions.len()],
            bound: vec![0; plan.inputs.len()],
            check_finite: false,
            plan: Arc::new(plan),
            pool,
            memory,
        })
    }

    /// The inputs that the outputs depend on: name and shape, in the order in which they were declared.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Shape)> {
        self.plan.inputs.iter().map(|input| (input.name.as_str(), input.shape))
    }

    /// The shapes of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = Shape> {
        self.plan.outputs.iter().map(|view| view.shape)
    }

    /// Number of instructions in a run.
    pub fn instructions(&self) -> usize {
        self.plan.code.len()
    }

    /// Multiplications and additions in the matrix products of a run: 2mkn for an m×k times a k×n.
    pub fn product_flops(&self) -> u64 {
        let flops = |instruction: &Instruction| match &instruction.kernel {
            Kernel::MatMul { lhs, rhs, .. } => 2 * (lhs.shape.rows * lhs.shape.cols * rhs.shape.cols) as u64,
            _ => 0,
        };
        self.plan.code.iter().map(flops).sum()
    }

    /// Bytes of memory for intermediate values and outputs.
    pub fn bytes(&self) -> usize {
        self.plan.arena * size_of::<T>()
    }

    /// Says what an opaque function computes.
    ///
    /// # Errors
    /// [`Error::UnknownFunction`] if the program does not use it.
    pub fn define(&mut self, name: &str, definition: Definition<T>) -> Result<(), Error> {
        let position = self.plan.functions.iter().position(|function| function == name);
        match position.and_then(|position| self.definitions.get_mut(position)) {
            Some(slot) => {
                *slot = Some(definition);
                Ok(())
            }
            None => Err(Error::UnknownFunction { name: name.to_owned() }),
        }
    }

    /// Whether every run looks for infinite and NaN entries, and ends with [`Error::NonFinite`] at the first op
    /// that produces one. Off by default: they pass through, as IEEE 754 says.
    pub fn check_finite(&mut self, check: bool) {
        self.check_finite = check;
    }

    /// Runs the program on the matrices bound by name and hands out the results.
    ///
    /// The order of `inputs` is free. What the outputs do not depend on may be left out.
    ///
    /// # Errors
    /// [`Error::Unbound`], [`Error::UnknownInput`], [`Error::BoundTwice`], [`Error::InputShape`],
    /// [`Error::Undefined`], [`Error::Singular`], [`Error::NonFinite`].
    pub fn run(&mut self, inputs: &[(&str, MatRef<'_, T>)]) -> Result<Outputs<'_, T>, Error> {
        self.execute(inputs, None)?;
        Ok(Outputs { plan: &self.plan, arena: self.memory.arena() })
    }

    /// Runs the program and writes the results straight into the caller's matrices, one for each output.
    ///
    /// After an error their contents are unspecified.
    ///
    /// ```
    /// # use pullback_engine::Program;
    /// # use pullback_tape::Tape;
    /// # use faer::{Mat, mat};
    /// let tape = Tape::new();
    /// let a = tape.input("A", (2, 2));
    /// let mut program = Program::<f64>::compile(&[a * a])?;
    /// let (a, mut square) = (mat![[1.0, 1.0], [0.0, 1.0]], Mat::zeros(2, 2));
    /// program.run_into(&[("A", a.as_ref())], &mut [square.as_mut()])?;
    /// assert_eq!(square, mat![[1.0, 2.0], [0.0, 1.0]]);
    /// # Ok::<(), pullback_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Program::run), [`Error::OutputCount`], [`Error::OutputShape`].
    pub fn run_into(
        &mut self,
        inputs: &[(&str, MatRef<'_, T>)],
        outputs: &mut [MatMut<'_, T>],
    ) -> Result<(), Error> {
        if outputs.len() != self.plan.outputs.len() {
            return Err(Error::OutputCount { expected: self.plan.outputs.len(), found: outputs.len() });
        }
        for (i, (view, out)) in self.plan.outputs.iter().zip(&*outputs).enumerate() {
            check_output(&self.plan, i, view.shape, Shape::new(out.nrows(), out.ncols()))?;
        }
        self.execute(inputs, Some(outputs))?;
        // What two outputs share was computed here.
        for (view, out) in self.plan.outputs.iter().zip(outputs) {
            if view.buffer().is_some_and(|buffer| self.plan.slots[buffer].output.is_none()) {
                out.copy_from(output(&self.plan, self.memory.arena(), view));
            }
        }
        Ok(())
    }

    fn bind(&mut self, inputs: &[(&str, MatRef<'_, T>)]) -> Result<(), Error> {
        // Names are short: comparing them here takes less time than calling a function that does.
        let same = |a: &str, b: &str| a.len() == b.len() && a.bytes().eq(b.bytes());
        for (k, (input, bound)) in self.plan.inputs.iter().zip(&mut self.bound).enumerate() {
            // Bound in the program's order, a name is found at once.
            let (position, matrix) = match inputs.get(k) {
                Some((name, matrix)) if same(name, &input.name) => (k, matrix),
                _ => match inputs.iter().position(|(name, _)| same(name, &input.name)) {
                    Some(position) => (position, &inputs[position].1),
                    None => return Err(Error::Unbound { name: input.name.clone(), shape: input.shape }),
                },
            };
            *bound = position;
            let shape = Shape::new(matrix.nrows(), matrix.ncols());
            if shape != input.shape {
                return Err(Error::InputShape {
                    name: input.name.clone(),
                    expected: input.shape,
                    found: shape,
                });
            }
        }
        // As many as there are inputs, each found: then there is no other.
        if inputs.len() != self.plan.inputs.len() {
            self.explain_surplus(inputs)?;
        }
        Ok(())
    }

    /// Names a binding that is unknown or given twice.
    fn explain_surplus(&self, inputs: &[(&str, MatRef<'_, T>)]) -> Result<(), Error> {
        for (i, (name, _)) in inputs.iter().enumerate() {
            if self.plan.declared.binary_search_by(|known| known.as_str().cmp(name)).is_err() {
                return Err(Error::UnknownInput {
                    name: (*name).to_owned(),
                    known: self.plan.declared.join(", "),
                });
            }
            if inputs[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::BoundTwice { name: (*name).to_owned() });
            }
        }
        Ok(())
    }

    fn execute(
        &mut self,
        inputs: &[(&str, MatRef<'_, T>)],
        outside: Option<&mut [MatMut<'_, T>]>,
    ) -> Result<(), Error> {
        self.bind(inputs)?;
        let machine = Machine {
            plan: &self.plan,
            definitions: &self.definitions,
            check_finite: self.check_finite,
            inputs,
            bound: &self.bound,
            one: T::from_f64(1.0),
        };
        let memory = &mut self.memory;
        match &self.pool {
            Some(pool) => pool.run(|| machine.run(memory, outside)),
            None => machine.run(memory, outside),
        }
    }
}

impl<T: Scalar> Clone for Program<T> {
    /// A program with memory of its own.
    fn clone(&self) -> Self {
        Program {
            plan: self.plan.clone(),
            pool: self.pool.clone(),
            definitions: self.definitions.clone(),
            check_finite: self.check_finite,
            bound: self.bound.clone(),
            memory: self.memory.clone(),
        }
    }
}

impl<T: Scalar> std::fmt::Debug for Program<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("inputs", &self.inputs().collect::<Vec<_>>())
            .field("outputs", &self.outputs().collect::<Vec<_>>())
            .field("instructions", &self.instructions())
            .finish_non_exhaustive()
    }
}

/// The results of a run, borrowed from the program.
#[derive(Clone, Copy)]
pub struct Outputs<'p, T> {
    plan: &'p Plan,
    arena: &'p [T],
}

impl<T: Scalar> std::fmt::Debug for Outputs<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'p, T: Scalar> Outputs<'p, T> {
    /// Number of outputs.
    pub fn len(&self) -> usize {
        self.plan.outputs.len()
    }

    /// Whether there is no output.
    pub fn is_empty(&self) -> bool {
        self.plan.outputs.is_empty()
    }

    /// The output at this position, in the order in which they were compiled.
    pub fn get(&self, index: usize) -> Option<MatRef<'p, T>> {
        self.plan.outputs.get(index).map(|view| output(self.plan, self.arena, view))
    }

    /// The output at this position if it is 1×1.
    pub fn scalar(&self, index: usize) -> Option<T> {
        let matrix = self.get(index)?;
        (matrix.nrows() == 1 && matrix.ncols() == 1).then(|| matrix[(0, 0)])
    }

    /// All outputs, to be taken apart: `let [loss, gradient] = program.run(…)?.matrices()?`.
    ///
    /// # Errors
    /// [`Error::OutputCount`] if there are not N.
    pub fn matrices<const N: usize>(&self) -> Result<[MatRef<'p, T>; N], Error> {
        if self.len() != N {
            return Err(Error::OutputCount { expected: self.len(), found: N });
        }
        Ok(std::array::from_fn(|i| output(self.plan, self.arena, &self.plan.outputs[i])))
    }

    /// All outputs in order.
    pub fn iter(&self) -> impl Iterator<Item = MatRef<'p, T>> + use<'p, T> {
        let Outputs { plan, arena } = *self;
        plan.outputs.iter().map(move |view| output(plan, arena, view))
    }
}

fn output<'p, T: Scalar>(plan: &'p Plan, arena: &'p [T], view: &View) -> MatRef<'p, T> {
    let slot = &plan.slots[view.buffer().unwrap_or_default()];
    let numbers = &arena[slot.offset..slot.offset + slot.len()];
    let matrix = MatRef::from_column_major_slice(numbers, slot.shape.rows, slot.shape.cols);
    if view.transposed { matrix.transpose() } else { matrix }
}

fn check_output(plan: &Plan, index: usize, expected: Shape, found: Shape) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    let formula = plan.graph.outputs().get(index).map_or_else(String::new, |&id| plan.graph.summary(id));
    Err(Error::OutputShape { index, formula, expected, found })
}
