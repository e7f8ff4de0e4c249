use crate::kernels::{symmetric, transpose};
use crate::lower::Target;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::parallel::Pool;
use crate::plan::{Plan, View};
use crate::{Definition, Error, Kind, Listing, Scalar, lower};
use faer::prelude::ReborrowMut;
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
    fn threads(self) -> usize {
        match self {
            Parallelism::Sequential => 1,
            #[cfg(feature = "rayon")]
            Parallelism::Threads(n) => n.get(),
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
    /// Whether values are computed twice where that saves memory; see [`recompute`](Options::recompute).
    pub recompute: bool,
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

    /// Whether to forget some values and compute them again when they are needed, where that saves memory.
    ///
    /// A reverse sweep reads the values of the forward sweep in the opposite order, so all of them are alive
    /// where it turns around. With this option about every √n-th of these n values is kept, and each stretch
    /// between two of them is computed again just before it is read. Of L equal layers, O(√L) are in
    /// memory at a time instead of L, and no instruction runs more than twice: what is computed
    /// again is less than one forward pass (Chen, Xu, Zhang and Guestrin, *Training Deep Nets with Sublinear Memory Cost*,
    /// [arXiv:1604.06174](https://arxiv.org/abs/1604.06174); Griewank and Walther, *Evaluating Derivatives*,
    /// chapter 12). Results have the same bits. A plan that would not get smaller stays as it is. Outputs
    /// are never forgotten. Opaque functions may be called again for the same matrix. Where expressions are marked as
    /// [checkpoints](Var::checkpoint), these are what is kept, with or without this option.
    pub fn recompute(mut self, recompute: bool) -> Self {
        self.recompute = recompute;
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
    /// Whether the constants are bound, and what depends on them alone is computed.
    constants_bound: bool,
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
        let target = Target {
            number: size_of::<T>(),
            threads: options.parallelism.threads(),
            recompute: options.recompute,
        };
        let plan = lower::lower(graph, declared, target)?;
        let memory = Memory::new(&plan)?;
        let pool = if plan.groups.is_empty() { None } else { options.parallelism.pool()? };
        Ok(Program {
            definitions: vec![None; plan.functions.len()],
            bound: vec![0; plan.inputs.len()],
            check_finite: false,
            constants_bound: plan.constants == 0,
            plan: Arc::new(plan),
            pool,
            memory,
        })
    }

    /// The inputs of a run, on which the outputs depend: name and shape, in the order in which they were declared.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, Shape)> {
        let inputs = self.plan.inputs.iter().filter(|input| !input.constant);
        inputs.map(|input| (input.name.as_str(), input.shape))
    }

    /// The constants on which the outputs depend, to be bound before the first run: name and shape.
    pub fn constants(&self) -> impl Iterator<Item = (&str, Shape)> {
        let constants = self.plan.inputs.iter().filter(|input| input.constant);
        constants.map(|input| (input.name.as_str(), input.shape))
    }

    /// Number of instructions that run only when constants are bound.
    pub fn constant_instructions(&self) -> usize {
        self.plan.constants
    }

    /// The shapes of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = Shape> {
        self.plan.outputs.iter().map(|view| view.shape)
    }

    /// Number of instructions in a run.
    pub fn instructions(&self) -> usize {
        self.plan.code.len() - self.plan.constants
    }

    /// Multiplications and additions in the matrix products of a run: 2mkn for an m×k times a k×n, and m(m + 1)k for the
    /// triangle of a symmetric product.
    pub fn product_flops(&self) -> u64 {
        self.plan.flops(|kind| kind == Kind::Product)
    }

    /// Floating-point operations of a run, by the model of [`Kind`].
    pub fn flops(&self) -> u64 {
        self.plan.flops(|_| true)
    }

    /// The instructions of a run, to be read or printed: what each computes and how, what it costs by the model of
    /// [`Kind`], where the result is stored, and from which of the user's lines it comes (not shown here).
    ///
    /// ```
    /// # use pullback_engine::Program;
    /// # use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (w, x) = (tape.input("W", (10, 64)), tape.input("X", (64, 500)));
    /// let y = tape.input("Y", (10, 500));
    /// let residual = (w * x - y).named("R");
    /// // ½ ‖W X − Y‖², and its gradient.
    /// let program = Program::<f64>::compile(&[0.5 * residual.norm_squared(), residual * x.t()])?;
    /// let plan = program.plan();
    /// # // The last column names a line of this example's.
    /// # let short = |line: &str| match line.rsplit_once("  ") {
    /// #     Some((start, end)) if end == "line" || end.contains(".rs:") => start.trim_end().to_owned(),
    /// #     _ => line.to_owned(),
    /// # };
    /// # let plan = plan.to_string().lines().map(short).collect::<Vec<_>>().join("\n");
    /// assert_eq!(plan.to_string(), "\
    /// value          kernel           shape   flops     read  written  stored at
    /// %1 = −Y        copy            10×500  5.00 k  40.0 kB  40.0 kB  0 B
    /// %2 = %1 + W X  product, added  10×500   640 k   301 kB  40.0 kB  0 B, over %1
    ///         R = W X − Y
    /// %3 = ½ ‖%2‖²   inner product      1×1  10.0 k  80.0 kB      8 B  40.1 kB
    ///         output 0 = ½ ‖R‖² · alpha = ½
    /// %4 = %2 Xᵀ     product          10×64   640 k   296 kB  5.12 kB  40.2 kB
    ///         output 1 = R Xᵀ · Xᵀ is a view
    /// 4 instructions for 7 nodes: 1.29 Mflop (products 98.8 %, reductions 0.8 %, copies 0.4 %)
    /// 45.3 kB of memory, where a place for every value would take 381 kB");
    /// # Ok::<(), pullback_engine::Error>(())
    /// ```
    pub fn plan(&self) -> Listing {
        Listing::new(self.plan.clone(), size_of::<T>())
    }

    /// Bytes of memory for intermediate values, outputs and copies of small inputs.
    pub fn bytes(&self) -> usize {
        self.plan.numbers().saturating_mul(size_of::<T>())
    }

    /// Bytes that it would take to store every value of the expressions in a place of its own, inputs apart.
    pub fn bytes_of_all_values(&self) -> usize {
        self.plan.all_values().saturating_mul(size_of::<T>())
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

    /// Binds the constants, and computes what depends on them alone: once for all runs that follow.
    ///
    /// The matrices need not outlive the call. Binding again replaces all constants.
    ///
    /// ```
    /// # use pullback_engine::Program;
    /// # use pullback_tape::Tape;
    /// # use faer::mat;
    /// let tape = Tape::new();
    /// let (x, w) = (tape.constant("X", (1, 2)), tape.input("w", (1, 1)));
    /// let mut program = Program::<f64>::compile(&[w * (x * x.t())])?;
    /// program.bind(&[("X", mat![[3.0, 4.0]].as_ref())])?;
    /// assert_eq!(program.run(&[("w", mat![[2.0]].as_ref())])?.scalar(0), Some(50.0));
    /// # Ok::<(), pullback_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`run`](Program::run), of which [`Error::NotConstant`] comes from an input of runs. After an error nothing is
    /// bound.
    pub fn bind(&mut self, constants: &[(&str, MatRef<'_, T>)]) -> Result<(), Error> {
        self.constants_bound = false;
        self.execute(true, constants, None)
    }

    /// Runs the program on the matrices bound by name and hands out the results.
    ///
    /// The order of `inputs` is free. What the outputs do not depend on may be left out.
    ///
    /// # Errors
    /// [`Error::Unbound`], [`Error::UnknownInput`], [`Error::BoundTwice`], [`Error::InputShape`],
    /// [`Error::Constant`], [`Error::NotSymmetric`], [`Error::Undefined`], [`Error::Singular`], [`Error::NotPositiveDefinite`],
    /// [`Error::NonFinite`].
    pub fn run(&mut self, inputs: &[(&str, MatRef<'_, T>)]) -> Result<Outputs<'_, T>, Error> {
        self.execute(false, inputs, None)?;
        Ok(self.results())
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
        self.execute(false, inputs, Some(outputs))?;
        // What two outputs share was computed here, and what is brief.
        for (view, out) in self.plan.outputs.iter().zip(outputs) {
            if view.buffer().is_some_and(|buffer| self.plan.slots[buffer].output.is_none()) {
                transpose::copy(
                    out.rb_mut(),
                    output(&self.plan, self.memory.arena(), view),
                    T::from_f64(1.0),
                );
            }
        }
        Ok(())
    }

    /// Finds the matrices that are bound to the constants, or to all other inputs.
    fn find(&mut self, constants: bool, inputs: &[(&str, MatRef<'_, T>)]) -> Result<(), Error> {
        // Names are short: comparing them here takes less time than calling a function that does.
        let same = |a: &str, b: &str| a.len() == b.len() && a.bytes().eq(b.bytes());
        let mut found = 0;
        for (input, bound) in self.plan.inputs.iter().zip(&mut self.bound) {
            if input.constant != constants {
                if !constants && !self.constants_bound {
                    return Err(Error::Unbound { name: input.name.clone(), shape: input.shape });
                }
                continue;
            }
            // Bound in the program's order, a name is found at once.
            let (position, matrix) = match inputs.get(found) {
                Some((name, matrix)) if same(name, &input.name) => (found, matrix),
                _ => match inputs.iter().position(|(name, _)| same(name, &input.name)) {
                    Some(position) => (position, &inputs[position].1),
                    None => return Err(Error::Unbound { name: input.name.clone(), shape: input.shape }),
                },
            };
            found += 1;
            *bound = position;
            let shape = Shape::new(matrix.nrows(), matrix.ncols());
            if shape != input.shape {
                return Err(Error::InputShape {
                    name: input.name.clone(),
                    expected: input.shape,
                    found: shape,
                });
            }
            if input.symmetric
                && let Some((row, col)) = symmetric::asymmetry(*matrix)
            {
                return Err(Error::NotSymmetric { name: input.name.clone(), row, col });
            }
        }
        // As many as there are inputs, each found: then there is no other.
        if inputs.len() != found { self.explain_surplus(constants, inputs) } else { Ok(()) }
    }

    /// Names a binding that is unknown, given twice, or given in the wrong place.
    fn explain_surplus(&self, constants: bool, inputs: &[(&str, MatRef<'_, T>)]) -> Result<(), Error> {
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
            if self.plan.inputs.iter().any(|input| input.name == *name && input.constant != constants) {
                let name = (*name).to_owned();
                return Err(if constants { Error::NotConstant { name } } else { Error::Constant { name } });
            }
        }
        Ok(())
    }

    fn execute(
        &mut self,
        constants: bool,
        inputs: &[(&str, MatRef<'_, T>)],
        outside: Option<&mut [MatMut<'_, T>]>,
    ) -> Result<(), Error> {
        let pool = self.pool.clone();
        let (machine, memory) = self.prepare(constants, inputs)?;
        match pool.filter(|_| !constants) {
            Some(pool) => {
                let machine = Machine { divided: true, ..machine };
                pool.run(|| machine.run(constants, memory, outside))
            }
            None => machine.run(constants, memory, outside),
        }?;
        self.constants_bound = true;
        Ok(())
    }

    /// A machine with everything bound, and the memory to run on.
    pub(crate) fn prepare<'a>(
        &'a mut self,
        constants: bool,
        inputs: &'a [(&'a str, MatRef<'a, T>)],
    ) -> Result<(Machine<'a, T>, &'a mut Memory<T>), Error> {
        self.find(constants, inputs)?;
        let machine = Machine {
            plan: &self.plan,
            definitions: &self.definitions,
            check_finite: self.check_finite,
            divided: false,
            inputs,
            bound: &self.bound,
            one: T::from_f64(1.0),
        };
        // What depends on literals alone is computed in the first run.
        if !constants && !self.constants_bound {
            machine.run(true, &mut self.memory, None)?;
        }
        Ok((machine, &mut self.memory))
    }

    /// The results as they are in memory after a run.
    pub(crate) fn results(&self) -> Outputs<'_, T> {
        Outputs { plan: &self.plan, arena: self.memory.arena() }
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
            constants_bound: self.constants_bound,
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
