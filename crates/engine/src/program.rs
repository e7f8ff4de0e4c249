use crate::kernels::elementwise::{self, Source, Sources, Target};
use crate::kernels::factor::{self, Permutation};
use crate::kernels::reduce;
use crate::plan::{Elementwise, Instruction, Kernel, Place, Plan, Repeat, Slot, View};
use crate::{Definition, Error, Scalar, lower};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::matmul::matmul;
use faer::prelude::ReborrowMut;
use faer::{Accum, MatMut, MatRef, Par};
use pullback_tape::{Graph, NodeId, Shape, Var};
use smallvec::SmallVec;
use std::sync::Arc;

/// On how many threads faer's kernels run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Parallelism {
    /// On the thread that calls `run`.
    #[default]
    Sequential,
    /// On this many threads of rayon's global pool.
    ///
    /// faer divides work from about 32³ multiplications on, and handing a product to the pool from outside
    /// costs about as much as a 100×100 product: it pays for large matrices only, and most when `run` is called
    /// from inside the pool.
    #[cfg(feature = "rayon")]
    Threads(std::num::NonZeroUsize),
}

impl Parallelism {
    fn par(self) -> Par {
        match self {
            Parallelism::Sequential => Par::Seq,
            #[cfg(feature = "rayon")]
            Parallelism::Threads(n) => Par::Rayon(n),
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
/// Inputs are read where they are, whatever their strides. After the first run, running allocates nothing; the
/// same inputs give the same bits. A program is `Send` and can be cloned for another thread (the clone has
/// memory of its own), and it holds no reference to the tape.
pub struct Program<T: Scalar> {
    plan: Arc<Plan>,
    options: Options,
    definitions: Vec<Option<Definition<T>>>,
    check_finite: bool,
    /// For every input, the position of the matrix bound to it in the current run.
    bound: Vec<usize>,
    memory: Memory<T>,
}

/// What a program writes to.
struct Memory<T> {
    /// One for each home; those of outputs are empty until a run wants them.
    homes: Vec<Home<T>>,
    permutations: Vec<Permutation>,
    /// Blocks of elementwise passes.
    blocks: Vec<T>,
    /// faer's scratch.
    stack: MemBuffer,
}

/// A piece of memory that begins at a cache line.
#[derive(Default)]
struct Home<T> {
    numbers: Vec<T>,
    start: usize,
}

const CACHE_LINE: usize = 64;

impl<T: Scalar> Home<T> {
    fn new(len: usize) -> Result<Self, Error> {
        let padded = len.saturating_add(CACHE_LINE / size_of::<T>());
        let mut numbers = Vec::new();
        let refused = Error::OutOfMemory { bytes: padded.saturating_mul(size_of::<T>()) };
        numbers.try_reserve_exact(padded).map_err(|_| refused)?;
        numbers.resize(padded, T::default());
        let start = numbers.as_ptr().align_offset(CACHE_LINE).min(padded - len);
        Ok(Home { numbers, start })
    }

    #[inline]
    fn get(&self, len: usize) -> &[T] {
        &self.numbers[self.start..self.start + len]
    }

    #[inline]
    fn get_mut(&mut self, len: usize) -> &mut [T] {
        &mut self.numbers[self.start..self.start + len]
    }
}

impl<T: Scalar> Memory<T> {
    fn new(plan: &Plan, par: Par) -> Result<Self, Error> {
        let mut kept = vec![false; plan.homes.len()];
        for buffer in plan.outputs.iter().filter_map(View::buffer) {
            kept[plan.slots[buffer].home] = true;
        }
        let homes = plan
            .homes
            .iter()
            .zip(&kept)
            .map(|(&len, &kept)| if kept { Ok(Home { numbers: vec![], start: 0 }) } else { Home::new(len) })
            .collect::<Result<_, _>>()?;
        let mut blocks = 0;
        let mut stack = StackReq::EMPTY;
        for instruction in &plan.code {
            let shape = plan.slots[instruction.dst].shape;
            stack = stack.or(match &instruction.kernel {
                Kernel::Elementwise(pass) => {
                    blocks = blocks.max(elementwise::scratch(pass));
                    StackReq::EMPTY
                }
                Kernel::Factorize { .. } => factor::factorize_scratch::<T>(shape.rows, par),
                Kernel::Solve { .. } => factor::solve_scratch::<T>(shape.rows, shape.cols, par),
                Kernel::Inverse { .. } => factor::inverse_scratch::<T>(shape.rows, par),
                _ => StackReq::EMPTY,
            });
        }
        Ok(Memory {
            homes,
            permutations: plan.lus.iter().map(|&n| Permutation::new(n)).collect(),
            blocks: vec![T::default(); blocks],
            stack: MemBuffer::try_new(stack).map_err(|_| Error::OutOfMemory { bytes: stack.size_bytes() })?,
        })
    }
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
        let plan = lower::lower(graph, declared)?;
        let memory = Memory::new(&plan, options.parallelism.par())?;
        Ok(Program {
            definitions: vec![None; plan.functions.len()],
            bound: vec![0; plan.inputs.len()],
            check_finite: false,
            plan: Arc::new(plan),
            options,
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

    /// Bytes of memory for intermediate values and outputs.
    pub fn bytes(&self) -> usize {
        self.plan.homes.iter().sum::<usize>() * size_of::<T>()
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
    /// [`Error::Undefined`], [`Error::Singular`], [`Error::NonFinite`], [`Error::OutOfMemory`].
    pub fn run(&mut self, inputs: &[(&str, MatRef<'_, T>)]) -> Result<Outputs<'_, T>, Error> {
        for view in &self.plan.outputs {
            let Some(buffer) = view.buffer() else { continue };
            let home = self.plan.slots[buffer].home;
            if self.memory.homes[home].numbers.is_empty() {
                self.memory.homes[home] = Home::new(self.plan.homes[home])?;
            }
        }
        self.execute(inputs, None)?;
        Ok(Outputs { plan: &self.plan, homes: &self.memory.homes })
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
        // What two outputs share is computed here and copied.
        for view in &self.plan.outputs {
            let Some(buffer) = view.buffer() else { continue };
            let slot = self.plan.slots[buffer];
            if slot.output.is_none() && self.memory.homes[slot.home].numbers.is_empty() {
                self.memory.homes[slot.home] = Home::new(self.plan.homes[slot.home])?;
            }
        }
        self.execute(inputs, Some(outputs))?;
        for (view, out) in self.plan.outputs.iter().zip(outputs) {
            if view.buffer().is_some_and(|buffer| self.plan.slots[buffer].output.is_none()) {
                out.copy_from(output(&self.plan, &self.memory.homes, view));
            }
        }
        Ok(())
    }

    fn bind(&mut self, inputs: &[(&str, MatRef<'_, T>)]) -> Result<(), Error> {
        for (k, input) in self.plan.inputs.iter().enumerate() {
            // Bound in the program's order, a name is found at once.
            let mut found = inputs.iter().enumerate().filter(|(_, (name, _))| *name == input.name);
            let position = match inputs.get(k) {
                Some((name, _)) if *name == input.name => k,
                _ => match found.next() {
                    Some((position, _)) => position,
                    None => return Err(Error::Unbound { name: input.name.clone(), shape: input.shape }),
                },
            };
            self.bound[k] = position;
            let matrix = inputs[position].1;
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
        mut outside: Option<&mut [MatMut<'_, T>]>,
    ) -> Result<(), Error> {
        self.bind(inputs)?;
        let Program { plan, bound, memory, definitions, .. } = self;
        let plan = &**plan;
        let context = Context {
            plan,
            definitions,
            par: self.options.parallelism.par(),
            check_finite: self.check_finite,
        };
        if self.check_finite {
            for (input, &position) in plan.inputs.iter().zip(bound.iter()) {
                context.check(inputs[position].1, input.node)?;
            }
        }
        let Memory { homes, permutations, blocks, stack } = memory;
        let mut scratch = Scratch { permutations, blocks, stack: MemStack::new(stack) };
        for instruction in &plan.code {
            let slot = &plan.slots[instruction.dst];
            if let (Some(outputs), Some((i, transposed))) = (outside.as_deref_mut(), slot.output) {
                let (before, rest) = outputs.split_at_mut(i);
                let Some((out, after)) = rest.split_first_mut() else { continue };
                let out = if transposed { out.rb_mut().transpose_mut() } else { out.rb_mut() };
                let sight = Sight { plan, inputs, bound, homes, outside: Some((before, after)) };
                context.step(instruction, &sight, Destination::Outside(out), &mut scratch)?;
            } else {
                let mut home = std::mem::take(&mut homes[slot.home]);
                let outside = outside.as_deref().map(|outputs| (outputs, &[][..]));
                let sight = Sight { plan, inputs, bound, homes, outside };
                let len = slot.shape.rows * slot.shape.cols;
                let destination = Destination::Home { numbers: home.get_mut(len), slot: *slot };
                let result = context.step(instruction, &sight, destination, &mut scratch);
                homes[slot.home] = home;
                result?;
            }
        }
        Ok(())
    }
}

impl<T: Scalar> Clone for Program<T> {
    /// A program with memory of its own.
    fn clone(&self) -> Self {
        let homes = self.memory.homes.iter().map(|home| Home::new(home.numbers.len()).unwrap_or_default());
        Program {
            plan: self.plan.clone(),
            options: self.options,
            definitions: self.definitions.clone(),
            check_finite: self.check_finite,
            bound: self.bound.clone(),
            memory: Memory {
                homes: homes.collect(),
                permutations: self.memory.permutations.clone(),
                blocks: self.memory.blocks.clone(),
                stack: MemBuffer::new(StackReq::new_aligned::<u8>(self.memory.stack.len(), 128)),
            },
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
    homes: &'p [Home<T>],
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
        self.plan.outputs.get(index).map(|view| output(self.plan, self.homes, view))
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
        Ok(std::array::from_fn(|i| output(self.plan, self.homes, &self.plan.outputs[i])))
    }

    /// All outputs in order.
    pub fn iter(&self) -> impl Iterator<Item = MatRef<'p, T>> + use<'p, T> {
        let Outputs { plan, homes } = *self;
        plan.outputs.iter().map(move |view| output(plan, homes, view))
    }
}

fn output<'p, T: Scalar>(plan: &'p Plan, homes: &'p [Home<T>], view: &View) -> MatRef<'p, T> {
    let slot = &plan.slots[view.buffer().unwrap_or_default()];
    let Shape { rows, cols } = slot.shape;
    let matrix = MatRef::from_column_major_slice(homes[slot.home].get(rows * cols), rows, cols);
    if view.transposed { matrix.transpose() } else { matrix }
}

fn check_output(plan: &Plan, index: usize, expected: Shape, found: Shape) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    let formula = plan.graph.outputs().get(index).map_or_else(String::new, |&id| plan.graph.summary(id));
    Err(Error::OutputShape { index, formula, expected, found })
}

// ---- one step of a run -----------------------------------------------------------------------------------

/// The matrices that an instruction can read: all but its destination.
struct Sight<'a, 'b, T> {
    plan: &'a Plan,
    inputs: &'a [(&'a str, MatRef<'a, T>)],
    bound: &'a [usize],
    homes: &'a [Home<T>],
    /// The caller's matrices before and after the destination, if outputs go there.
    outside: Option<(&'a [MatMut<'b, T>], &'a [MatMut<'b, T>])>,
}

impl<'a, T: Scalar> Sight<'a, '_, T> {
    #[inline]
    fn buffer(&self, slot: &Slot) -> MatRef<'a, T> {
        if let (Some((before, after)), Some((i, transposed))) = (self.outside, slot.output) {
            let found = before.get(i).or_else(|| after.get(i - before.len() - 1));
            if let Some(matrix) = found {
                return if transposed { matrix.as_ref().transpose() } else { matrix.as_ref() };
            }
        }
        let Shape { rows, cols } = slot.shape;
        MatRef::from_column_major_slice(self.homes[slot.home].get(rows * cols), rows, cols)
    }

    #[inline]
    fn base(&self, view: &View, one: &'a T) -> MatRef<'a, T> {
        let base = match view.place {
            Place::Buffer(buffer) => self.buffer(&self.plan.slots[buffer]),
            Place::Input(input) => self.inputs[self.bound[input]].1,
            Place::One => MatRef::from_ref(one),
        };
        if view.transposed { base.transpose() } else { base }
    }

    #[inline]
    fn view(&self, view: &View, one: &'a T) -> MatRef<'a, T> {
        let base = self.base(view, one);
        match view.repeat {
            Repeat::No => base,
            Repeat::Cols => MatRef::from_repeated_col(base.col(0), view.shape.cols),
            Repeat::Rows => MatRef::from_repeated_row(base.row(0), view.shape.rows),
            Repeat::All => MatRef::from_repeated_ref(base.get(0, 0), view.shape.rows, view.shape.cols),
        }
    }
}

/// Where an instruction writes.
enum Destination<'a, T> {
    Home { numbers: &'a mut [T], slot: Slot },
    Outside(MatMut<'a, T>),
}

impl<T: Scalar> Destination<'_, T> {
    #[inline]
    fn matrix(&mut self) -> MatMut<'_, T> {
        match self {
            Destination::Home { numbers, slot } => {
                MatMut::from_column_major_slice_mut(numbers, slot.shape.rows, slot.shape.cols)
            }
            Destination::Outside(matrix) => matrix.rb_mut(),
        }
    }
}

struct Scratch<'a, T> {
    permutations: &'a mut [Permutation],
    blocks: &'a mut [T],
    stack: &'a mut MemStack,
}

struct Context<'a, T: Scalar> {
    plan: &'a Plan,
    definitions: &'a [Option<Definition<T>>],
    par: Par,
    check_finite: bool,
}

impl<T: Scalar> Context<'_, T> {
    fn step(
        &self,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        mut to: Destination<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let (par, plan) = (self.par, self.plan);
        let one = T::from_f64(1.0);
        let see = |view: &View| sight.view(view, &one);
        let scaled = |alpha: f64, x: T| T::from_f64(alpha) * x;
        let factors = |buffer: usize| sight.buffer(&plan.slots[buffer]);
        match &instruction.kernel {
            Kernel::MatMul { lhs, rhs, alpha, accumulate } => {
                let accumulate = if *accumulate { Accum::Add } else { Accum::Replace };
                matmul(to.matrix(), accumulate, see(lhs), see(rhs), T::from_f64(*alpha), par);
            }
            Kernel::Elementwise(pass) => return self.pass(pass, instruction, sight, to, scratch),
            Kernel::AddIdentity { alpha, factor } => {
                let value = factor.as_ref().map_or(one, |factor| see(factor)[(0, 0)]);
                let (mut dst, value) = (to.matrix(), scaled(*alpha, value));
                for i in 0..dst.nrows() {
                    dst[(i, i)] += value;
                }
            }
            Kernel::Inner { a, b, alpha } => {
                to.matrix()[(0, 0)] = scaled(*alpha, reduce::inner(see(a), see(b)));
            }
            Kernel::Sum { a, alpha } => to.matrix()[(0, 0)] = scaled(*alpha, see(a).sum()),
            Kernel::Trace { a, alpha } => to.matrix()[(0, 0)] = scaled(*alpha, reduce::trace(see(a))),
            Kernel::Norm { a, alpha } => to.matrix()[(0, 0)] = scaled(*alpha, see(a).norm_l2()),
            Kernel::LogSumExp { a } => reduce::log_sum_exp(to.matrix(), see(a)),
            Kernel::Softmax { a } => reduce::softmax(to.matrix(), see(a)),
            Kernel::Factorize { a, alpha, lu } => {
                let (mut dst, a) = (to.matrix(), see(a));
                dst.copy_from(a);
                if *alpha != 1.0 {
                    for j in 0..dst.ncols() {
                        for i in 0..dst.nrows() {
                            dst[(i, j)] = scaled(*alpha, dst[(i, j)]);
                        }
                    }
                }
                factor::factorize(dst, &mut scratch.permutations[*lu], par, scratch.stack);
                return Ok(());
            }
            Kernel::Solve { factors: lu_of, lu, transposed } => {
                self.check_invertible(factors(*lu_of), instruction)?;
                let p = &scratch.permutations[*lu];
                factor::solve(factors(*lu_of), p, *transposed, to.matrix(), par, scratch.stack);
            }
            Kernel::Inverse { factors: lu_of, lu } => {
                self.check_invertible(factors(*lu_of), instruction)?;
                factor::inverse(to.matrix(), factors(*lu_of), &scratch.permutations[*lu], par, scratch.stack);
            }
            Kernel::Det { factors: lu_of, lu } => {
                to.matrix()[(0, 0)] = factor::det(factors(*lu_of), &scratch.permutations[*lu]);
            }
            Kernel::LogDet { factors: lu_of } => {
                self.check_invertible(factors(*lu_of), instruction)?;
                to.matrix()[(0, 0)] = factor::log_det(factors(*lu_of));
            }
            Kernel::Opaque { function, order, args } => {
                let args: SmallVec<[MatRef<'_, T>; 3]> = args.iter().map(see).collect();
                self.opaque(*function, *order, &args, to.matrix(), instruction)?;
            }
        }
        if self.check_finite {
            self.check(to.matrix().as_ref(), instruction.node)?;
        }
        Ok(())
    }

    fn pass(
        &self,
        pass: &Elementwise,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        mut to: Destination<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let one = T::from_f64(1.0);
        let dst = &self.plan.slots[instruction.dst];
        let inside = matches!(to, Destination::Home { .. });
        let source = |view: &View| {
            if view.repeat == Repeat::All {
                return Source::Constant(sight.base(view, &one)[(0, 0)]);
            }
            if let (Place::Buffer(buffer), Repeat::No) = (view.place, view.repeat) {
                let slot = &self.plan.slots[buffer];
                let stored = sight.outside.is_none() || slot.output.is_none();
                if stored && inside && slot.home == dst.home {
                    return Source::Destination;
                }
                // A vector lies in memory in the same way as its transpose.
                let vector = view.shape.rows == 1 || view.shape.cols == 1;
                if stored && (vector || !view.transposed) {
                    let len = view.shape.rows * view.shape.cols;
                    return Source::Flat(sight.homes[slot.home].get(len));
                }
            }
            Source::Strided(sight.view(view, &one))
        };
        let sources: Sources<'_, T> = pass.operands.iter().map(source).collect();
        let mut bad = None;
        let told = self.check_finite.then_some(&mut bad);
        let flat = !sources.iter().any(|source| matches!(source, Source::Strided(_)));
        let target = match to {
            Destination::Home { ref mut numbers, .. } if flat => Target::Flat(numbers),
            ref mut to => Target::Strided(to.matrix()),
        };
        elementwise::run(pass, &sources, target, scratch.blocks, told);
        if let Some(step) = bad {
            let node = pass.steps.get(step).and_then(|(_, node)| *node).unwrap_or(instruction.node);
            // Where the step is not the last, what it computed is gone, but the result shows where, or hides it.
            self.check(to.matrix().as_ref(), node)?;
            return Err(self.non_finite(node, 0, 0));
        }
        Ok(())
    }

    fn check_invertible(&self, factors: MatRef<'_, T>, instruction: &Instruction) -> Result<(), Error> {
        let Some(pivot) = factor::zero_pivot(factors) else { return Ok(()) };
        let node = self.plan.graph.node(instruction.node);
        let matrix = node.args.first().map_or_else(String::new, |&arg| self.plan.graph.summary(arg));
        Err(Error::Singular { op: node.op.name(), formula: matrix, pivot, location: node.location })
    }

    fn opaque(
        &self,
        function: usize,
        order: u32,
        args: &[MatRef<'_, T>],
        mut dst: MatMut<'_, T>,
        instruction: &Instruction,
    ) -> Result<(), Error> {
        let definition = self.definitions.get(function).and_then(Option::as_ref);
        match (order, definition, args) {
            (0, Some(definition), [w]) => dst[(0, 0)] = (definition.value)(*w),
            (1, Some(Definition { gradient: Some(gradient), .. }), [w]) => gradient(*w, dst),
            (2, Some(Definition { hessian_product: Some(product), .. }), [w, v]) => product(*w, *v, dst),
            _ => {
                let name = self.plan.functions.get(function).map_or("", String::as_str);
                let node = self.plan.graph.node(instruction.node);
                return Err(Error::Undefined {
                    function: match order {
                        0 => name.to_owned(),
                        1 => format!("∇{name}"),
                        2 => format!("∇²{name}"),
                        k => format!("∇^{k} {name}"),
                    },
                    formula: self.plan.graph.summary(instruction.node),
                    location: node.location,
                });
            }
        }
        Ok(())
    }

    fn check(&self, matrix: MatRef<'_, T>, node: NodeId) -> Result<(), Error> {
        for j in 0..matrix.ncols() {
            for i in 0..matrix.nrows() {
                if !matrix[(i, j)].is_finite() {
                    return Err(self.non_finite(node, i, j));
                }
            }
        }
        Ok(())
    }

    fn non_finite(&self, id: NodeId, row: usize, col: usize) -> Error {
        let node = self.plan.graph.node(id);
        let formula = self.plan.graph.summary(id);
        Error::NonFinite { op: node.op.name(), formula, row, col, location: node.location }
    }
}
