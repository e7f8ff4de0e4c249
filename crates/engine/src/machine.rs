//! The machine that runs a plan: one instruction after the other, on one arena.

use crate::kernels::copy::copy;
use crate::kernels::elementwise::{self, Bad, Source, Sources, Target};
use crate::kernels::factor::{self, Pivots};
use crate::kernels::product::{EIGHT, PACKED, SLIM, TINY, Tiny, eight, packed, product, slim};
use crate::kernels::reduce;
use crate::parallel;
use crate::plan::{Elementwise, Instruction, Kernel, Place, Plan, Repeat, Slot, View};
use crate::{Definition, Error, Scalar};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::prelude::ReborrowMut;
use faer::{MatMut, MatRef, Par, unzip, zip};
use pullback_tape::{NodeId, Shape};
use smallvec::SmallVec;

/// What a program writes to.
pub(crate) struct Memory<T> {
    numbers: Vec<T>,
    /// Where the arena begins among the numbers: at a cache line.
    start: usize,
    len: usize,
    pivots: Vec<Pivots<T>>,
    /// Blocks of elementwise passes.
    blocks: Vec<T>,
    /// faer's scratch.
    stack: MemBuffer,
    stack_size: StackReq,
}

const CACHE_LINE: usize = 64;

impl<T: Scalar> Memory<T> {
    pub(crate) fn new(plan: &Plan) -> Result<Self, Error> {
        let par = Par::Seq;
        let mut blocks = 0;
        let mut stack = StackReq::EMPTY;
        for instruction in &plan.code {
            let shape = plan.slots[instruction.dst].shape;
            stack = stack.or(match &instruction.kernel {
                Kernel::Elementwise(pass) => {
                    let divided = !plan.groups.is_empty();
                    let one = elementwise::scratch(pass);
                    blocks = blocks.max(if divided { parallel::scratch::<T>(pass, shape) } else { one });
                    StackReq::EMPTY
                }
                Kernel::MatMul { .. } => {
                    blocks = blocks.max(PACKED * PACKED);
                    StackReq::EMPTY
                }
                Kernel::Factorize { .. } => factor::factorize_scratch::<T>(shape.rows, par),
                Kernel::Solve { .. } => factor::solve_scratch::<T>(shape.rows, shape.cols, par),
                Kernel::Inverse { .. } => factor::inverse_scratch::<T>(shape.rows, par),
                _ => StackReq::EMPTY,
            });
        }
        let refused = |bytes| Error::OutOfMemory { bytes };
        let padded = plan.arena.saturating_add(CACHE_LINE / size_of::<T>());
        let mut numbers = Vec::new();
        numbers.try_reserve_exact(padded).map_err(|_| refused(padded.saturating_mul(size_of::<T>())))?;
        numbers.resize(padded, T::default());
        Ok(Memory {
            start: numbers.as_ptr().align_offset(CACHE_LINE).min(padded - plan.arena),
            numbers,
            len: plan.arena,
            pivots: plan.lus.iter().map(|&n| Pivots::new(n)).collect(),
            blocks: vec![T::default(); blocks],
            stack: MemBuffer::try_new(stack).map_err(|_| refused(stack.size_bytes()))?,
            stack_size: stack,
        })
    }

    pub(crate) fn arena(&self) -> &[T] {
        &self.numbers[self.start..self.start + self.len]
    }
}

impl<T: Scalar> Clone for Memory<T> {
    /// Memory of the same size; nothing of its contents outlives a run.
    fn clone(&self) -> Self {
        let padded = self.numbers.len();
        let numbers = vec![T::default(); padded];
        Memory {
            start: numbers.as_ptr().align_offset(CACHE_LINE).min(padded - self.len),
            numbers,
            len: self.len,
            pivots: self.pivots.clone(),
            blocks: self.blocks.clone(),
            stack: MemBuffer::new(self.stack_size),
            stack_size: self.stack_size,
        }
    }
}

/// What is left of a slice while parts of it are written to.
struct Rest<'a, X> {
    /// What comes before the first of these parts, and what comes after the last, with the place where it begins.
    before: &'a [X],
    after: (usize, &'a [X]),
    /// The pieces between them, if several parts are written to at the same time.
    between: &'a [(usize, &'a [X])],
}

impl<'a, X> Rest<'a, X> {
    fn whole(slice: &'a [X]) -> Self {
        Rest { before: slice, after: (slice.len(), &[]), between: &[] }
    }

    fn of(kept: &'a [(usize, &'a [X])]) -> Self {
        match kept {
            [(_, before), between @ .., after] => Rest { before, after: *after, between },
            [(_, whole)] => Rest::whole(whole),
            [] => Rest::whole(&[]),
        }
    }

    #[inline(always)]
    fn get(&self, start: usize, len: usize) -> Option<&'a [X]> {
        if start + len <= self.before.len() {
            return self.before.get(start..start + len);
        }
        match start.checked_sub(self.after.0) {
            Some(start) => self.after.1.get(start..start + len),
            None => self.get_between(start, len),
        }
    }

    #[cold]
    fn get_between(&self, start: usize, len: usize) -> Option<&'a [X]> {
        let piece = |(place, piece): &(usize, &'a [X])| {
            let start = start.checked_sub(*place)?;
            piece.get(start..start + len)
        };
        self.between.iter().find_map(piece)
    }
}

/// The matrices that an instruction can read: all but its destination, and those of its group.
struct Sight<'a, 'b, T: Scalar> {
    machine: &'a Machine<'a, T>,
    arena: Rest<'a, T>,
    /// The caller's matrices, if outputs go there.
    outside: Option<Rest<'a, MatMut<'b, T>>>,
}

impl<'a, T: Scalar> Sight<'a, '_, T> {
    #[inline(always)]
    fn numbers(&self, offset: usize, shape: Shape) -> &'a [T] {
        self.arena.get(offset, shape.rows * shape.cols).unwrap_or_default()
    }

    /// All entries of a view in the order of the buffer that holds them, if they are in the arena.
    #[inline(always)]
    fn stored(&self, view: &View) -> Option<&'a [T]> {
        match (view.place, view.repeat, &self.outside) {
            (Place::Buffer(_), Repeat::No, None) => Some(self.numbers(view.offset, view.shape)),
            _ => None,
        }
    }

    #[inline(always)]
    fn buffer(&self, slot: &Slot) -> MatRef<'a, T> {
        if let (Some(outside), Some((i, transposed))) = (&self.outside, slot.output)
            && let Some([matrix]) = outside.get(i, 1)
        {
            return if transposed { matrix.as_ref().transpose() } else { matrix.as_ref() };
        }
        MatRef::from_column_major_slice(
            self.numbers(slot.offset, slot.shape),
            slot.shape.rows,
            slot.shape.cols,
        )
    }

    #[inline(always)]
    fn base(&self, view: &View) -> MatRef<'a, T> {
        let machine = self.machine;
        let base = match view.place {
            Place::Buffer(buffer) => self.buffer(&machine.plan.slots[buffer]),
            Place::Input(input) => machine.inputs[machine.bound[input]].1,
            Place::One => MatRef::from_ref(&machine.one),
        };
        if view.transposed { base.transpose() } else { base }
    }

    /// Calls `then` with the matrix. Each of the usual cases has a call of its own, so that a view is put together
    /// in registers: passing it on through memory costs as much as a 4×4 product.
    #[inline(always)]
    fn with<R>(&self, view: &View, mut then: impl FnMut(MatRef<'a, T>) -> R) -> R {
        let Shape { rows, cols } = view.shape;
        if let Some(numbers) = self.stored(view) {
            if view.transposed {
                then(MatRef::from_row_major_slice(numbers, rows, cols))
            } else {
                then(MatRef::from_column_major_slice(numbers, rows, cols))
            }
        } else if let (Place::Input(input), Repeat::No) = (view.place, view.repeat) {
            let matrix = self.machine.inputs[self.machine.bound[input]].1;
            if view.transposed { then(matrix.transpose()) } else { then(matrix) }
        } else {
            then(self.view(view))
        }
    }

    /// A copy of a matrix of at most 4×4.
    #[inline(always)]
    fn tiny(&self, view: &View) -> Tiny<T> {
        let Shape { rows, cols } = view.shape;
        if let Some(numbers) = self.stored(view) {
            return if view.transposed {
                Tiny::load(rows, cols, |i, j| numbers[j + i * cols])
            } else {
                Tiny::load(rows, cols, |i, j| numbers[i + j * rows])
            };
        }
        let matrix = self.view(view);
        Tiny::load(rows, cols, |i, j| matrix[(i, j)])
    }

    #[inline(always)]
    fn view(&self, view: &View) -> MatRef<'a, T> {
        let base = self.base(view);
        if view.repeat == Repeat::No { base } else { repeated(base, view) }
    }
}

fn repeated<'a, T: Scalar>(base: MatRef<'a, T>, view: &View) -> MatRef<'a, T> {
    match view.repeat {
        Repeat::No => base,
        Repeat::Cols => MatRef::from_repeated_col(base.col(0), view.shape.cols),
        Repeat::Rows => MatRef::from_repeated_row(base.row(0), view.shape.rows),
        Repeat::All => MatRef::from_repeated_ref(base.get(0, 0), view.shape.rows, view.shape.cols),
    }
}

/// Where an instruction writes.
enum Destination<'a, T> {
    Arena(&'a mut [T], &'a Slot),
    Outside(MatMut<'a, T>),
}

impl<T: Scalar> Destination<'_, T> {
    fn again(&mut self) -> Destination<'_, T> {
        match self {
            Destination::Arena(numbers, slot) => Destination::Arena(numbers, slot),
            Destination::Outside(matrix) => Destination::Outside(matrix.rb_mut()),
        }
    }

    #[inline(always)]
    fn matrix(&mut self) -> MatMut<'_, T> {
        match self {
            Destination::Arena(numbers, slot) => {
                MatMut::from_column_major_slice_mut(numbers, slot.shape.rows, slot.shape.cols)
            }
            Destination::Outside(matrix) => matrix.rb_mut(),
        }
    }

    /// Writes `alpha a`, on several threads if that is allowed.
    fn copy(&mut self, a: MatRef<'_, T>, alpha: T, split: bool) {
        let numbers = match self {
            Destination::Arena(numbers, _) => numbers,
            Destination::Outside(to) => {
                return zip!(to, a).for_each(|unzip!(to, a)| *to = alpha * *a);
            }
        };
        if split { parallel::copy(numbers, a, alpha) } else { copy(numbers, a, alpha) }
    }
}

struct Scratch<'a, T> {
    pivots: &'a mut [Pivots<T>],
    blocks: &'a mut [T],
    stack: &'a mut MemStack,
}

/// One run of a plan.
pub(crate) struct Machine<'a, T: Scalar> {
    pub(crate) plan: &'a Plan,
    pub(crate) definitions: &'a [Option<Definition<T>>],
    pub(crate) check_finite: bool,
    pub(crate) inputs: &'a [(&'a str, MatRef<'a, T>)],
    /// For every input of the plan, its position among those given.
    pub(crate) bound: &'a [usize],
    pub(crate) one: T,
}

impl<T: Scalar> Machine<'_, T> {
    /// Runs all instructions; outputs go to the matrices outside, if there are any.
    pub(crate) fn run(
        &self,
        memory: &mut Memory<T>,
        mut outside: Option<&mut [MatMut<'_, T>]>,
    ) -> Result<(), Error> {
        if self.check_finite {
            for (input, &position) in self.plan.inputs.iter().zip(self.bound) {
                self.check(self.inputs[position].1, input.node)?;
            }
        }
        let arena = &mut memory.numbers[memory.start..memory.start + memory.len];
        let mut scratch = Scratch {
            pivots: &mut memory.pivots,
            blocks: &mut memory.blocks,
            stack: MemStack::new(&mut memory.stack),
        };
        if self.divided() {
            return self.run_groups(arena, outside, &mut scratch);
        }
        for instruction in &self.plan.code {
            self.alone(instruction, arena, outside.as_deref_mut(), &mut scratch)?;
        }
        Ok(())
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
            match &self.plan.code[group.clone()] {
                [instruction] => self.alone(instruction, arena, outside, scratch)?,
                members => self.together(members, arena, outside)?,
            }
        }
        Ok(())
    }

    /// Whether instructions are divided among threads.
    fn divided(&self) -> bool {
        !self.plan.groups.is_empty()
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

    #[inline(always)]
    fn step(
        &self,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        to: Destination<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        // Most instructions are products, and the small ones among them should not pay for the others.
        match &instruction.kernel {
            Kernel::MatMul { lhs, rhs, alpha, accumulate } => {
                self.product(instruction, sight, to, scratch, (lhs, rhs, *alpha, *accumulate))
            }
            _ => self.other(instruction, sight, to, scratch),
        }
    }

    #[inline(always)]
    fn product(
        &self,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        mut to: Destination<'_, T>,
        scratch: &mut Scratch<'_, T>,
        (lhs, rhs, alpha, accumulate): (&View, &View, f64, bool),
    ) -> Result<(), Error> {
        let alpha = T::from_f64(alpha);
        let (Shape { rows, cols: inner }, cols) = (lhs.shape, rhs.shape.cols);
        let vectors = (rows == 1 || inner == 1 || cols == 1) && rows * inner * cols <= SLIM;
        if let Destination::Arena(numbers, _) = &mut to
            && !vectors
            && rows.max(inner).max(cols) <= TINY
        {
            sight.tiny(lhs).times(&sight.tiny(rhs), inner, cols, alpha).store(numbers, rows, accumulate);
        } else {
            let small = rows.max(inner).max(cols) <= PACKED;
            sight.with(
                lhs,
                #[inline(always)]
                |a| {
                    sight.with(
                        rhs,
                        #[inline(always)]
                        |b| {
                            if vectors
                                && let Destination::Arena(numbers, _) = &mut to
                                && slim(numbers, accumulate, a, b, alpha)
                            {
                                return;
                            }
                            let stored_by_rows = a.row_stride() != 1;
                            let copy = if small && stored_by_rows { packed(a, scratch.blocks) } else { None };
                            let a = copy.unwrap_or(a);
                            if small
                                && rows == EIGHT
                                && let Destination::Arena(numbers, _) = &mut to
                                && eight(numbers, accumulate, a, b, alpha).is_some()
                            {
                                return;
                            }
                            if self.divided() {
                                parallel::product(to.matrix(), accumulate, a, b, alpha);
                            } else {
                                product(to.matrix(), accumulate, a, b, alpha);
                            }
                        },
                    )
                },
            );
        }
        if self.check_finite {
            self.check(to.matrix().as_ref(), instruction.node)?;
        }
        Ok(())
    }

    #[inline(never)]
    fn other(
        &self,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        mut to: Destination<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let (par, plan) = (Par::Seq, self.plan);
        let see = |view: &View| sight.view(view);
        let scaled = |alpha: f64, x: T| T::from_f64(alpha) * x;
        let factors = |buffer: usize| sight.buffer(&plan.slots[buffer]);
        match &instruction.kernel {
            Kernel::MatMul { lhs, rhs, alpha, accumulate } => {
                return self.product(instruction, sight, to, scratch, (lhs, rhs, *alpha, *accumulate));
            }
            Kernel::Copy { a, alpha } => to.copy(see(a), T::from_f64(*alpha), self.divided()),
            Kernel::Elementwise(pass) => return self.pass(pass, instruction, sight, to, scratch),
            Kernel::AddIdentity { alpha, factor } => {
                let value = factor.as_ref().map_or(self.one, |factor| see(factor)[(0, 0)]);
                let (mut dst, value) = (to.matrix(), scaled(*alpha, value));
                for i in 0..dst.nrows() {
                    dst[(i, i)] += value;
                }
            }
            Kernel::Inner { a, b, alpha } => {
                let inner = match (sight.stored(a), sight.stored(b)) {
                    (Some(x), Some(y)) if a.transposed == b.transposed => reduce::dot(x, y),
                    _ => reduce::inner(see(a), see(b)),
                };
                to.matrix()[(0, 0)] = scaled(*alpha, inner);
            }
            Kernel::Sum { a, alpha } => to.matrix()[(0, 0)] = scaled(*alpha, see(a).sum()),
            Kernel::Trace { a, alpha } => to.matrix()[(0, 0)] = scaled(*alpha, reduce::trace(see(a))),
            Kernel::Norm { a, alpha } => to.matrix()[(0, 0)] = scaled(*alpha, see(a).norm_l2()),
            Kernel::LogSumExp { a } => reduce::log_sum_exp(to.matrix(), see(a)),
            Kernel::Softmax { a } => reduce::softmax(to.matrix(), see(a)),
            Kernel::Factorize { a, alpha, lu } => {
                to.copy(see(a), T::from_f64(*alpha), false);
                factor::factorize(to.matrix(), &mut scratch.pivots[*lu], par, scratch.stack);
                return Ok(());
            }
            Kernel::Solve { factors: lu_of, lu, transposed } => {
                self.check_invertible(&scratch.pivots[*lu], instruction)?;
                let p = &scratch.pivots[*lu];
                factor::solve(factors(*lu_of), p, *transposed, to.matrix(), par, scratch.stack);
            }
            Kernel::Inverse { factors: lu_of, lu } => {
                self.check_invertible(&scratch.pivots[*lu], instruction)?;
                factor::inverse(to.matrix(), factors(*lu_of), &scratch.pivots[*lu], par, scratch.stack);
            }
            Kernel::Det { factors: lu_of, lu } => {
                to.matrix()[(0, 0)] = factor::det(factors(*lu_of), &scratch.pivots[*lu]);
            }
            Kernel::LogDet { factors: lu_of, lu } => {
                self.check_invertible(&scratch.pivots[*lu], instruction)?;
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
        let dst = &self.plan.slots[instruction.dst];
        let inside = matches!(to, Destination::Arena(..));
        let source = |view: &View| {
            if view.repeat == Repeat::All {
                return Source::Constant(sight.base(view)[(0, 0)]);
            }
            if let (Place::Buffer(buffer), Repeat::No) = (view.place, view.repeat) {
                let slot = &self.plan.slots[buffer];
                let stored = sight.outside.is_none() || slot.output.is_none();
                if stored && inside && slot.offset == dst.offset {
                    return Source::Destination;
                }
                // A vector lies in memory in the same way as its transpose.
                let vector = view.shape.rows == 1 || view.shape.cols == 1;
                if stored && (vector || !view.transposed) {
                    return Source::Flat(sight.numbers(view.offset, view.shape));
                }
            }
            Source::Strided(sight.view(view))
        };
        let mut sources: Sources<'_, T> = Sources::new();
        sources.extend(pass.operands.iter().map(source));
        let mut bad = None;
        let told = self.check_finite.then_some(&mut bad);
        let target = match &mut to {
            Destination::Arena(numbers, _) => Target::Flat(numbers),
            Destination::Outside(matrix) => Target::Strided(matrix.rb_mut()),
        };
        if told.is_none() && self.divided() {
            parallel::pass(pass, &sources, target, dst.shape, scratch.blocks);
            return Ok(());
        }
        elementwise::run(pass, &sources, target, dst.shape, scratch.blocks, told);
        match bad {
            Some(Bad { step, row, col }) => {
                let node = pass.steps.get(step).and_then(|(_, node)| *node).unwrap_or(instruction.node);
                Err(self.non_finite(node, row, col))
            }
            None => Ok(()),
        }
    }

    fn check_invertible(&self, pivots: &Pivots<T>, instruction: &Instruction) -> Result<(), Error> {
        let Some(pivot) = pivots.vanishing else { return Ok(()) };
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
                let node = self.plan.graph.node(instruction.node);
                return Err(Error::Undefined {
                    function: self.plan.graph.head(instruction.node),
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
