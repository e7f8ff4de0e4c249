//! The machine that runs a plan: one instruction after the other, on one arena.

use crate::failure::Failure;
use crate::kernels::adjugate;
use crate::kernels::arrange::{self, Triangle};
use crate::kernels::elementwise::{self, Bad, Source, Sources, Target};
use crate::kernels::factor::{self, Pivots};
use crate::kernels::product::product;
use crate::kernels::reduce::{self, Total};
use crate::kernels::symmetric::{mirror, symmetric_product};
use crate::kernels::triangular;
use crate::memory::{Memory, Scratch};
use crate::plan::{Elementwise, Instruction, Kernel, Method, Place, Plan, Repeat, Slot, View};
use crate::sight::{Destination, Rest, Sight};
use crate::{Definition, Error, Scalar, cost, custom, parallel};
use faer::dyn_stack::MemStack;
use faer::prelude::ReborrowMut;
use faer::{MatMut, MatRef};
use pullback_tape::{NodeId, Shape};
use smallvec::SmallVec;
use std::ops::Range;
use std::panic::Location;

/// What an instruction is given: without an allocation, the sixteen arguments of an operation of the user's own, and the 22 of the
/// eighth derivative of a function of a symmetric matrix.
type Args<'a, T> = SmallVec<[MatRef<'a, T>; 24]>;

/// Whether the view shows all entries of something that is no vector.
fn is_matrix(view: &View) -> bool {
    view.repeat == Repeat::No && view.shape.rows.min(view.shape.cols) > 1
}

/// One run of a plan.
pub(crate) struct Machine<'a, T: Scalar> {
    pub(crate) plan: &'a Plan,
    pub(crate) definitions: &'a [Option<Definition<T>>],
    pub(crate) check_finite: bool,
    /// Whether large instructions are divided among threads.
    pub(crate) divided: bool,
    pub(crate) inputs: &'a [(&'a str, MatRef<'a, T>)],
    /// For every input of the plan, its position among those given.
    pub(crate) bound: &'a [usize],
    pub(crate) one: T,
}

/// Numbers on which a machine runs. The methods are not generic: the machine is compiled once, in this crate, and not
/// again in every crate that runs a program.
#[allow(private_interfaces)] // Nobody can name this trait.
pub trait Runs: Sized {
    /// See [`Machine::run`].
    fn run(
        machine: &Machine<'_, Self>,
        constants: bool,
        memory: &mut Memory<Self>,
        outside: Option<&mut [MatMut<'_, Self>]>,
    ) -> Result<(), Error>
    where
        Self: Scalar;

    /// Runs one instruction again.
    fn run_one(machine: &Machine<'_, Self>, position: usize, memory: &mut Memory<Self>) -> Result<(), Error>
    where
        Self: Scalar;
}

macro_rules! runs {
    ($($T:ident)*) => {$(
        #[allow(private_interfaces)]
        impl Runs for $T {
            fn run(
                machine: &Machine<'_, $T>,
                constants: bool,
                memory: &mut Memory<$T>,
                outside: Option<&mut [MatMut<'_, $T>]>,
            ) -> Result<(), Error> {
                machine.run_all(constants, memory, outside)
            }

            fn run_one(
                machine: &Machine<'_, $T>,
                position: usize,
                memory: &mut Memory<$T>,
            ) -> Result<(), Error> {
                let (numbers, mut scratch) = memory.parts();
                machine.one(position, numbers, None, &mut scratch)
            }
        }
    )*};
}

runs! { f32 f64 }

impl<T: Scalar> Machine<'_, T> {
    /// Runs the instructions that depend on constants alone, or all others; outputs go to the matrices outside, if
    /// there are any.
    pub(crate) fn run(
        &self,
        constants: bool,
        memory: &mut Memory<T>,
        outside: Option<&mut [MatMut<'_, T>]>,
    ) -> Result<(), Error> {
        T::run(self, constants, memory, outside)
    }

    /// Runs one instruction of a run again, with the inputs of the run before.
    pub(crate) fn run_one(&self, position: usize, memory: &mut Memory<T>) -> Result<(), Error> {
        T::run_one(self, position, memory)
    }

    fn run_all(
        &self,
        constants: bool,
        memory: &mut Memory<T>,
        outside: Option<&mut [MatMut<'_, T>]>,
    ) -> Result<(), Error> {
        if self.check_finite {
            for (input, &position) in self.plan.inputs.iter().zip(self.bound) {
                if input.constant == constants {
                    self.check(self.inputs[position].1, input.node)?;
                }
            }
        }
        let plan = self.plan;
        let (numbers, mut scratch) = memory.parts();
        if constants {
            let mut code = plan.code.iter().take(plan.constants);
            return code.try_for_each(|instruction| self.alone(instruction, numbers, None, &mut scratch));
        }
        plan.stretches.copy(numbers, |input| self.input(input));
        if self.divided {
            self.run_groups(numbers, outside, &mut scratch)
        } else if self.check_finite {
            self.run_each(plan.constants..plan.code.len(), numbers, outside, &mut scratch)
        } else {
            self.run_stretches(numbers, outside, &mut scratch)
        }
    }

    #[inline(always)]
    fn input(&self, input: usize) -> MatRef<'_, T> {
        self.inputs[self.bound[input]].1
    }

    /// Runs the code, with what is brief in stretches.
    fn run_stretches(
        &self,
        numbers: &mut [T],
        mut outside: Option<&mut [MatMut<'_, T>]>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let code = &self.plan.code[self.plan.constants..];
        let mut i = 0;
        loop {
            i += self.plan.stretches.run(i, usize::MAX, numbers, scratch.blocks, |input| self.input(input));
            let Some(instruction) = code.get(i) else { return Ok(()) };
            self.alone(instruction, numbers, outside.as_deref_mut(), scratch)?;
            i += 1;
        }
    }

    /// Runs some of the code, one instruction at a time.
    fn run_each(
        &self,
        range: Range<usize>,
        numbers: &mut [T],
        mut outside: Option<&mut [MatMut<'_, T>]>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        range.into_iter().try_for_each(|i| self.one(i, numbers, outside.as_deref_mut(), scratch))
    }

    /// Runs the instruction at this position, which may be brief.
    #[inline(never)]
    fn one(
        &self,
        position: usize,
        numbers: &mut [T],
        outside: Option<&mut [MatMut<'_, T>]>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let (plan, instruction) = (self.plan, &self.plan.code[position]);
        let first = position - plan.constants;
        if plan.stretches.run(first, 1, numbers, scratch.blocks, |input| self.input(input)) == 0 {
            return self.alone(instruction, numbers, outside, scratch);
        }
        if !self.check_finite {
            return Ok(());
        }
        let node = match &instruction.kernel {
            Kernel::Elementwise(pass) => pass.steps.first().and_then(|(_, node)| *node),
            _ => None,
        };
        let Slot { shape, offset, .. } = plan.slots[instruction.dst];
        let written = &numbers[offset..offset + shape.rows * shape.cols];
        let written = MatRef::from_column_major_slice(written, shape.rows, shape.cols);
        self.check(written, node.unwrap_or(instruction.node))
    }

    /// The flops of an instruction, counted from the matrices that its kernel receives.
    pub(crate) fn count(&self, instruction: &Instruction, memory: &Memory<T>) -> u64 {
        let sight = Sight { machine: self, arena: Rest::whole(memory.arena()), outside: None };
        cost::flops(&instruction.kernel, instruction.dst, &sight, &self.plan.factorizations)
    }

    #[inline(never)]
    fn run_groups(
        &self,
        arena: &mut [T],
        mut outside: Option<&mut [MatMut<'_, T>]>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        for group in &self.plan.groups {
            let outside = outside.as_deref_mut();
            match &self.plan.code[group.members.clone()] {
                [_] => self.one(group.members.start, arena, outside, scratch)?,
                members => Machine { divided: group.divided, ..*self }.together(members, arena, outside)?,
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn alone(
        &self,
        instruction: &Instruction,
        arena: &mut [T],
        outside: Option<&mut [MatMut<'_, T>]>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let slot = &self.plan.slots[instruction.dst];
        match (outside, slot.output) {
            (Some(outputs), Some((i, transposed))) => {
                let (before, rest) = outputs.split_at_mut(i);
                let Some((out, after)) = rest.split_first_mut() else { return Ok(()) };
                let out = if transposed { out.rb_mut().transpose_mut() } else { out.rb_mut() };
                let outside = Some(Rest { before, after: (i + 1, after), between: &[] });
                let sight = Sight { machine: self, arena: Rest::whole(arena), outside };
                self.step(instruction, &sight, Destination::Outside(out), scratch)
            }
            (outside, _) => {
                let outside = outside.as_deref().map(Rest::whole);
                let (before, rest) = arena.split_at_mut(slot.offset);
                let (numbers, after) = rest.split_at_mut(slot.len());
                let arena = Rest { before, after: (slot.offset + slot.len(), after), between: &[] };
                let sight = Sight { machine: self, arena, outside };
                self.step(instruction, &sight, Destination::Arena(numbers, slot), scratch)
            }
        }
    }

    /// Runs some large products and copies that do not depend on each other.
    fn together(
        &self,
        members: &[Instruction],
        arena: &mut [T],
        outside: Option<&mut [MatMut<'_, T>]>,
    ) -> Result<(), Error> {
        let is_outside = outside.is_some();
        let (mut inner, mut outer) =
            (SmallVec::<[_; parallel::MOST]>::new(), SmallVec::<[_; parallel::MOST]>::new());
        for (k, instruction) in members.iter().enumerate() {
            let slot = &self.plan.slots[instruction.dst];
            match slot.output {
                Some((i, transposed)) if is_outside => outer.push((i, transposed, k)),
                _ => inner.push((slot.offset, slot, k)),
            }
        }
        inner.sort_unstable_by_key(|(offset, ..)| *offset);
        outer.sort_unstable();
        let (numbers, arena) = parallel::lend(arena, inner.iter().map(|(at, slot, _)| *at..at + slot.len()));
        let (matrices, outside) =
            parallel::lend(outside.unwrap_or_default(), outer.iter().map(|(i, ..)| *i..i + 1));
        let outside = is_outside.then(|| Rest::of(&outside));
        let sight = Sight { machine: self, arena: Rest::of(&arena), outside };
        let mut tasks = SmallVec::<[_; parallel::MOST]>::new();
        for ((_, slot, k), numbers) in inner.into_iter().zip(numbers) {
            tasks.push((k, Destination::Arena(numbers, slot)));
        }
        for ((_, transposed, k), matrix) in outer.into_iter().zip(matrices) {
            let [matrix] = matrix else { continue };
            let out = if transposed { matrix.rb_mut().transpose_mut() } else { matrix.rb_mut() };
            tasks.push((k, Destination::Outside(out)));
        }
        // In order, so that of several errors the first is told.
        tasks.sort_unstable_by_key(|(k, _)| *k);
        parallel::each(&mut tasks, &|(k, to)| {
            // Large products and copies need none.
            let mut scratch = Scratch { pivots: &mut [], blocks: &mut [], stack: MemStack::new(&mut []) };
            self.step(&members[*k], &sight, to.again(), &mut scratch)
        })
    }

    #[inline(never)]
    fn step(
        &self,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        mut to: Destination<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let plan = self.plan;
        let see = |view: &View| sight.view(view);
        let scaled = |alpha: f64, x: T| T::from_f64(alpha) * x;
        let factors = |buffer: usize| sight.buffer(&plan.slots[buffer]);
        match &instruction.kernel {
            Kernel::MatMul { lhs, rhs, alpha, accumulate } => {
                let (a, b, alpha) = (see(lhs), see(rhs), T::from_f64(*alpha));
                if self.divided {
                    parallel::product(to.matrix(), *accumulate, a, b, alpha);
                } else {
                    product(to.matrix(), *accumulate, a, b, alpha);
                }
            }
            Kernel::Copy { a, alpha } => to.copy(see(a), T::from_f64(*alpha), self.divided),
            Kernel::Elementwise(pass) => {
                let shape = plan.slots[instruction.dst].shape;
                let target = match &mut to {
                    Destination::Arena(numbers, _) => Target::Flat(numbers),
                    Destination::Outside(matrix) => Target::Strided(matrix.rb_mut()),
                };
                return self.pass(pass, shape, instruction, sight, target, scratch);
            }
            Kernel::SumOf { pass, shape, alpha } => {
                let mut total = Total::default();
                self.pass(pass, *shape, instruction, sight, Target::Sum(&mut total), scratch)?;
                to.matrix()[(0, 0)] = scaled(*alpha, total.value());
            }
            Kernel::PutBackOf { pass, shape, rows, alpha, accumulate } => {
                let mut dst = to.matrix();
                if !accumulate {
                    arrange::fill_with_zeros(dst.rb_mut());
                }
                let list = plan.graph.indices(*rows);
                let target = Target::Columns { to: dst, list, alpha: T::from_f64(*alpha) };
                self.pass(pass, *shape, instruction, sight, target, scratch)?;
            }
            Kernel::AddIdentity { alpha, factor } => {
                let factor = factor.as_ref().map_or(MatRef::from_ref(&self.one), see);
                let mut dst = to.matrix();
                for i in 0..dst.nrows() {
                    // A 1×1 stands for all entries.
                    let entry = factor[(if factor.nrows() == 1 { 0 } else { i }, 0)];
                    dst[(i, i)] += scaled(*alpha, entry);
                }
            }
            Kernel::Diagonal { a, alpha } => {
                let (a, mut dst) = (see(a), to.matrix());
                for i in 0..dst.nrows() {
                    dst[(i, 0)] = scaled(*alpha, a[(i, i)]);
                }
            }
            Kernel::Select { a, rows, back, columns, alpha, accumulate } => {
                let (mut a, mut dst) = (see(a), to.matrix());
                if *columns {
                    (a, dst) = (a.transpose(), dst.transpose_mut());
                }
                let update = arrange::Update { alpha: T::from_f64(*alpha), accumulate: *accumulate };
                let rows = plan.graph.indices(*rows);
                if *back {
                    arrange::put_back(dst, a, rows, update);
                } else {
                    arrange::select(dst, a, rows, update);
                }
            }
            Kernel::PutBack { a, at, alpha, around } => {
                arrange::put(to.matrix(), see(a), *at, T::from_f64(*alpha), *around);
            }
            Kernel::Stack { parts, under } => {
                let parts = parts.iter().map(|(part, alpha)| (see(part), T::from_f64(*alpha)));
                arrange::stack(to.matrix(), parts, *under);
            }
            Kernel::Triangle { a, part, alpha } => {
                arrange::triangle(to.matrix(), see(a), T::from_f64(*alpha), *part);
            }
            Kernel::CumulativeSums { a, part, columns, alpha } => {
                let (mut a, mut dst) = (see(a), to.matrix());
                if *columns {
                    (a, dst) = (a.transpose(), dst.transpose_mut());
                }
                arrange::cumulative_sums(dst, a, T::from_f64(*alpha), *part);
            }
            Kernel::Reshape { a, alpha } => arrange::reshape(to.matrix(), see(a), T::from_f64(*alpha)),
            Kernel::Inner { a, b, alpha } => {
                // In the order in which a is stored.
                let (a, b) = if a.transposed { (a.transpose(), b.transpose()) } else { (*a, *b) };
                let inner = if b.transposed && is_matrix(&a) && is_matrix(&b) {
                    reduce::inner_across(see(&a), see(&b), scratch.blocks)
                } else {
                    reduce::inner(&sight.source(&a), Some(&sight.source(&b)), a.shape, scratch.blocks)
                };
                to.matrix()[(0, 0)] = scaled(*alpha, inner);
            }
            Kernel::Sum { a, alpha } => {
                let a = if a.transposed { a.transpose() } else { *a };
                let sum = reduce::inner(&sight.source(&a), None, a.shape, scratch.blocks);
                to.matrix()[(0, 0)] = scaled(*alpha, sum);
            }
            Kernel::Trace { a, alpha } => to.matrix()[(0, 0)] = scaled(*alpha, reduce::trace(see(a))),
            Kernel::Norm { a, alpha } => {
                let a = if a.transposed { a.transpose() } else { *a };
                let norm = reduce::norm(&sight.source(&a), a.shape, scratch.blocks);
                to.matrix()[(0, 0)] = scaled(*alpha, norm);
            }
            Kernel::LogSumExp { a } => reduce::log_sum_exp(to.matrix(), see(a), scratch.blocks),
            Kernel::Softmax { a } => reduce::softmax(to.matrix(), see(a), scratch.blocks),
            Kernel::SymmetricProduct { lhs, rhs, alpha, accumulate } => {
                let (a, b) = (see(lhs), see(rhs));
                symmetric_product(to.matrix(), *accumulate, a, b, T::from_f64(*alpha));
                return Ok(());
            }
            Kernel::TriangularProduct { lhs, rhs, parts, mirrored, alpha } => {
                let (a, b, alpha) = (see(lhs), see(rhs), T::from_f64(*alpha));
                triangular::triangular_product(to.matrix(), a, b, alpha, *parts, *mirrored);
            }
            Kernel::Factorize { a, alpha, which, lower } => {
                let pivots = &mut scratch.pivots[*which];
                factor::load(to.matrix(), see(a), T::from_f64(*alpha), pivots.method);
                factor::factorize(to.matrix(), pivots, scratch.stack);
                if !lower {
                    return Ok(());
                }
                self.check_invertible(&scratch.pivots[*which], instruction)?;
                triangular::outside(to.matrix(), Triangle { upper: false, strict: false });
            }
            Kernel::Solve { factors: packed, which, transposed, turned } => {
                let pivots = &scratch.pivots[*which];
                self.check_invertible(pivots, instruction)?;
                let dst = if *turned { to.matrix().transpose_mut() } else { to.matrix() };
                factor::solve(factors(*packed), pivots, *transposed, dst, scratch.stack);
            }
            Kernel::TriangularSolve { a, upper, unit, turned } => {
                let a = see(a);
                let zero = (0..a.nrows()).find(|&k| !unit && a[(k, k)] == T::default());
                if let Some(pivot) = zero {
                    return Err(self.singular(pivot, instruction));
                }
                let dst = if *turned { to.matrix().transpose_mut() } else { to.matrix() };
                factor::solve_triangular(a, *upper, *unit, dst);
            }
            Kernel::Inverse { factors: packed, which } => {
                let pivots = &scratch.pivots[*which];
                self.check_invertible(pivots, instruction)?;
                factor::inverse(to.matrix(), factors(*packed), pivots, scratch.stack);
            }
            Kernel::DefiniteInverse { factors: packed, which, alpha, accumulate } => {
                self.check_invertible(&scratch.pivots[*which], instruction)?;
                let (packed, alpha) = (factors(*packed), T::from_f64(*alpha));
                factor::definite_inverse(to.matrix(), *accumulate, packed, alpha, scratch.blocks);
                // The other triangle comes later.
                return Ok(());
            }
            Kernel::Mirror { update: None } => mirror(to.matrix(), None),
            Kernel::Mirror { update: Some((alpha, u)) } => {
                let numbers = &mut scratch.blocks[..u.shape.rows];
                numbers.iter_mut().zip(see(u).col(0).iter()).for_each(|(to, &from)| *to = from);
                mirror(to.matrix(), Some((T::from_f64(*alpha), numbers)));
            }
            Kernel::Det { factors: packed, which } => {
                let pivots = &scratch.pivots[*which];
                if pivots.method == Method::Cholesky {
                    self.check_invertible(pivots, instruction)?;
                }
                to.matrix()[(0, 0)] = factor::det(factors(*packed), pivots);
            }
            Kernel::Adjugate { a, alpha, factors: packed, which } => {
                let (pivots, alpha) = (&scratch.pivots[*which], T::from_f64(*alpha));
                let packed = factors(*packed);
                adjugate::adjugate(to.matrix(), see(a), alpha, packed, pivots, scratch.stack)
                    .map_err(|failure| self.failed(failure, instruction))?;
            }
            Kernel::LogDet { factors: packed, which } => {
                let pivots = &scratch.pivots[*which];
                self.check_invertible(pivots, instruction)?;
                to.matrix()[(0, 0)] = factor::log_det(factors(*packed), pivots);
            }
            Kernel::Routine { routine, args } => {
                let args: Args<'_, T> = args.iter().map(see).collect();
                routine
                    .run(to.matrix(), &args, scratch.stack)
                    .map_err(|failure| self.failed(failure, instruction))?;
            }
            Kernel::Part { a, start } => {
                let (a, mut dst) = (see(a), to.matrix());
                let rows = dst.nrows();
                for j in 0..dst.ncols() {
                    dst.rb_mut().col_mut(j).copy_from(a.col(0).subrows(start + j * rows, rows));
                }
            }
            Kernel::Opaque { function, order, args } => {
                let args: SmallVec<[MatRef<'_, T>; 3]> = args.iter().map(see).collect();
                self.opaque(*function, *order, &args, to.matrix(), instruction)?;
            }
            Kernel::Custom { args } => {
                let args: Args<'_, T> = args.iter().map(see).collect();
                custom::run(&self.plan.graph, instruction.node, &args, to.matrix(), scratch.stack)?;
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
        shape: Shape,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        target: Target<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let dst = &self.plan.slots[instruction.dst];
        let inside = matches!(target, Target::Flat(_));
        let source = |view: &View| match view.place {
            Place::Buffer(buffer) if inside && view.repeat == Repeat::No && view.window.is_none() => {
                let slot = &self.plan.slots[buffer];
                let taken_over = sight.is_stored(slot) && slot.offset == dst.offset;
                if taken_over { Source::Destination } else { sight.source(view) }
            }
            _ => sight.source(view),
        };
        let mut sources: Sources<'_, T> = Sources::new();
        sources.extend(pass.operands.iter().zip(&pass.picks).map(|(view, pick)| match pick {
            Some(list) => {
                Source::Picked { from: sight.view(view), list: self.plan.graph.indices(*list), rows: false }
            }
            None => source(view),
        }));
        let mut bad = None;
        let told = self.check_finite.then_some(&mut bad);
        if told.is_none() && self.divided {
            parallel::pass(pass, &sources, target, shape, scratch.blocks);
            return Ok(());
        }
        elementwise::run(pass, &sources, target, shape, scratch.blocks, told);
        match bad {
            Some(Bad { step, row, col }) => match pass.steps.get(step) {
                Some((_, Some(node))) => Err(self.non_finite(*node, row, col)),
                _ => Err(self.non_finite(instruction.node, 0, 0)),
            },
            None => Ok(()),
        }
    }

    fn check_invertible(&self, pivots: &Pivots<T>, instruction: &Instruction) -> Result<(), Error> {
        let Some(pivot) = pivots.vanishing else { return Ok(()) };
        Err(match pivots.method {
            Method::Lu => self.singular(pivot, instruction),
            Method::Cholesky => {
                let (op, formula, location) = self.factorized(instruction);
                Error::NotPositiveDefinite { op, formula, pivot, location }
            }
        })
    }

    fn singular(&self, pivot: usize, instruction: &Instruction) -> Error {
        let (op, formula, location) = self.factorized(instruction);
        Error::Singular { op, formula, pivot, location }
    }

    fn failed(&self, failure: Failure, instruction: &Instruction) -> Error {
        let (op, formula, location) = self.factorized(instruction);
        failure.error(op, formula, location)
    }

    /// The op that needs a matrix, that matrix, and where the op was written.
    fn factorized(&self, instruction: &Instruction) -> (&'static str, String, &'static Location<'static>) {
        let node = self.plan.graph.node(instruction.node);
        let matrix = node.args.first().map_or_else(String::new, |&arg| self.plan.graph.summary(arg));
        (node.op.name(), matrix, node.location)
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
        let defined = custom::guarded(&self.plan.graph, instruction.node, || {
            match (order, definition, args) {
                (0, Some(definition), [w]) => dst[(0, 0)] = (definition.value)(*w),
                (1, Some(Definition { gradient: Some(gradient), .. }), [w]) => gradient(*w, dst),
                (2, Some(Definition { hessian_product: Some(product), .. }), [w, v]) => product(*w, *v, dst),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if defined {
            return Ok(());
        }
        let node = self.plan.graph.node(instruction.node);
        Err(Error::Undefined {
            function: self.plan.graph.head(instruction.node),
            formula: self.plan.graph.summary(instruction.node),
            location: node.location,
        })
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
