//! The machine that runs a plan: one instruction after the other, on one arena.

use crate::kernels::elementwise::{self, Bad, Source, Sources, Target};
use crate::kernels::factor::{self, Pivots};
use crate::kernels::product::{mirror, product, symmetric_product};
use crate::kernels::reduce::{self, Total};
use crate::kernels::small::{self, Factor, TINY, Tiny, Update};
use crate::kernels::{tile, transpose};
use crate::plan::{
    Arg, Buffer, Elementwise, Instruction, Kernel, Method, Place, Plan, Repeat, Slot, Step, View,
};
use crate::{Definition, Error, Scalar, cost};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::prelude::ReborrowMut;
use faer::{MatMut, MatRef, Par};
use pullback_tape::{NodeId, Shape};
use smallvec::SmallVec;

/// Whether the product is computed here.
#[inline(always)]
fn is_small(lhs: &View, rhs: &View) -> bool {
    small::is_small(lhs.shape.rows, lhs.shape.cols, rhs.shape.cols)
}

/// Up to so many entries are few; the scratch of a pass has room for them.
const FEW: usize = tile::BLOCK;

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
    pub(crate) fn new(plan: &Plan, par: Par) -> Result<Self, Error> {
        let mut blocks = 0;
        let mut stack = StackReq::EMPTY;
        for instruction in &plan.code {
            let shape = plan.slots[instruction.dst].shape;
            stack = stack.or(match &instruction.kernel {
                Kernel::Elementwise(pass) | Kernel::SumOf { pass, .. } => {
                    blocks = blocks.max(elementwise::scratch(pass));
                    StackReq::EMPTY
                }
                Kernel::MatMul { lhs, rhs, .. } if is_small(lhs, rhs) => {
                    blocks = blocks.max(4 * small::COPY + shape.rows * shape.cols);
                    StackReq::EMPTY
                }
                Kernel::Factorize { which, .. } => {
                    factor::factorize_scratch::<T>(plan.factorizations[*which], par)
                }
                Kernel::Solve { which, .. } => {
                    factor::solve_scratch::<T>(plan.factorizations[*which], shape.cols, par)
                }
                Kernel::Inverse { which, .. } | Kernel::DefiniteInverse { which, .. } => {
                    factor::inverse_scratch::<T>(plan.factorizations[*which], par)
                }
                Kernel::Sum { .. }
                | Kernel::Inner { .. }
                | Kernel::Norm { .. }
                | Kernel::LogSumExp { .. }
                | Kernel::Softmax { .. } => {
                    blocks = blocks.max(reduce::SCRATCH);
                    StackReq::EMPTY
                }
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
            pivots: plan.factorizations.iter().map(|&it| Pivots::new(it)).collect(),
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
    /// Memory of the same size and contents: those of constants outlive a run.
    fn clone(&self) -> Self {
        let padded = self.numbers.len();
        let mut numbers = vec![T::default(); padded];
        let start = numbers.as_ptr().align_offset(CACHE_LINE).min(padded - self.len);
        numbers[start..start + self.len].copy_from_slice(self.arena());
        Memory {
            start,
            numbers,
            len: self.len,
            pivots: self.pivots.clone(),
            blocks: self.blocks.clone(),
            stack: MemBuffer::new(self.stack_size),
            stack_size: self.stack_size,
        }
    }
}

/// The matrices that an instruction can read: all but its destination.
#[derive(Clone, Copy)]
struct Sight<'a, 'b, T: Scalar> {
    machine: &'a Machine<'a, T>,
    /// The arena before and from `resume` on, which is where the destination ends.
    before: &'a [T],
    after: &'a [T],
    resume: usize,
    /// The caller's matrices before and after the destination, if outputs go there.
    outside: Option<Outside<'a, 'b, T>>,
}

type Outside<'a, 'b, T> = (&'a [MatMut<'b, T>], &'a [MatMut<'b, T>]);

impl<'a, T: Scalar> Sight<'a, '_, T> {
    #[inline(always)]
    fn numbers(&self, offset: usize, shape: Shape) -> &'a [T] {
        let len = shape.rows * shape.cols;
        if offset + len <= self.before.len() {
            &self.before[offset..offset + len]
        } else {
            &self.after[offset - self.resume..][..len]
        }
    }

    /// All entries of a view in the order of the buffer that holds them, if they are in the arena.
    #[inline(always)]
    fn stored(&self, view: &View) -> Option<&'a [T]> {
        match (view.place, view.repeat, self.outside) {
            (Place::Buffer(_), Repeat::No, None) => Some(self.numbers(view.offset, view.shape)),
            _ => None,
        }
    }

    #[inline(always)]
    fn buffer(&self, slot: &Slot) -> MatRef<'a, T> {
        if let (Some((before, after)), Some((i, transposed))) = (self.outside, slot.output) {
            let found = before.get(i).or_else(|| after.get(i - before.len() - 1));
            if let Some(matrix) = found {
                return if transposed { matrix.as_ref().transpose() } else { matrix.as_ref() };
            }
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

    /// A factor of a small product: where it is if its rows or columns are contiguous, or else copied to `scratch`.
    #[inline(always)]
    fn factor<'s>(&self, view: &View, scratch: &'s mut [T]) -> Option<Factor<'s, T>>
    where
        'a: 's,
    {
        let Shape { rows, cols } = view.shape;
        if let Some(numbers) = self.stored(view) {
            return Factor::of_numbers(numbers, rows, cols, view.transposed);
        }
        if let (Place::Input(input), Repeat::No) = (view.place, view.repeat) {
            let matrix = self.machine.inputs[self.machine.bound[input]].1;
            return Factor::of_matrix(if view.transposed { matrix.transpose() } else { matrix }, scratch);
        }
        Factor::of_numbers(self.unusual(view, scratch)?, rows, cols, false)
    }

    #[inline(never)]
    fn unusual<'s>(&self, view: &View, scratch: &'s mut [T]) -> Option<&'s [T]> {
        small::gathered(self.view(view), scratch)
    }

    /// A copy of a matrix of at most 3×3.
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

    /// Whether a buffer is in the arena, and not with the caller.
    fn is_stored(&self, slot: &Slot) -> bool {
        self.outside.is_none() || slot.output.is_none()
    }

    /// The view as an operand of an elementwise pass.
    fn source(&self, view: &View) -> Source<'a, T> {
        if view.repeat == Repeat::All {
            return Source::Constant(self.base(view)[(0, 0)]);
        }
        if let (Place::Buffer(buffer), Repeat::No) = (view.place, view.repeat) {
            // A vector lies in memory in the same way as its transpose.
            let vector = view.shape.rows == 1 || view.shape.cols == 1;
            if (vector || !view.transposed) && self.is_stored(&self.machine.plan.slots[buffer]) {
                return Source::Flat(self.numbers(view.offset, view.shape));
            }
        }
        Source::Strided(self.view(view))
    }

    /// A pass of one step over few entries, for which preparing the blocks would take longer than the step.
    fn few(
        &self,
        step: &Step,
        operands: &[View],
        offset: usize,
        dst: &mut [T],
        scratch: &mut [T],
    ) -> Option<()> {
        let (len, mut rest) = (dst.len(), scratch);
        if len > FEW || operands.len() > 2 || self.outside.is_some() {
            return None;
        }
        let mut read: [&[T]; 2] = [&[]; 2];
        for (read, view) in read.iter_mut().zip(operands) {
            if view.repeat != Repeat::No || view.transposed {
                return None;
            }
            let (copy, after) = std::mem::take(&mut rest).split_at_mut_checked(len)?;
            *read = match view.place {
                Place::Buffer(_) if view.offset == offset => {
                    copy.copy_from_slice(dst);
                    copy
                }
                Place::Buffer(_) => self.numbers(view.offset, view.shape),
                Place::Input(input) => {
                    let matrix = self.machine.inputs[self.machine.bound[input]].1.try_as_col_major()?;
                    for (j, column) in copy.chunks_exact_mut(matrix.nrows().max(1)).enumerate() {
                        column.copy_from_slice(matrix.col(j).as_slice());
                    }
                    copy
                }
                Place::One => return None,
            };
            rest = after;
        }
        let of = |arg: Arg| match arg {
            Arg::Operand(i) | Arg::Step(i) => read.get(i).copied().unwrap_or_default(),
        };
        elementwise::apply(step, of, dst);
        Some(())
    }

    /// A small product, if it is one.
    #[inline(always)]
    fn product(
        &self,
        dst: &mut [T],
        (lhs, rhs): (&View, &View),
        update: Update<T>,
        scratch: &mut [T],
    ) -> Option<()> {
        let (Shape { rows, cols: inner }, cols) = (lhs.shape, rhs.shape.cols);
        if rows.max(inner).max(cols) <= TINY && rows.min(inner).min(cols) > 1 {
            self.tiny(lhs).times(&self.tiny(rhs), inner, cols).put(dst, rows, update);
            return Some(());
        }
        let (left, rest) = scratch.split_at_mut_checked(small::COPY)?;
        let (right, rest) = rest.split_at_mut_checked(small::COPY)?;
        let copies = rest.split_at_mut_checked(small::COPY)?;
        small::product(dst, self.factor(lhs, left)?, self.factor(rhs, right)?, update, copies)
    }

    #[inline(always)]
    fn view(&self, view: &View) -> MatRef<'a, T> {
        let base = self.base(view);
        if view.repeat == Repeat::No { base } else { repeated(base, view) }
    }
}

/// The sizes of what is really there.
impl<T: Scalar> cost::Sizes for Sight<'_, '_, T> {
    fn view(&self, view: &View) -> Shape {
        let matrix = Sight::view(self, view);
        Shape::new(matrix.nrows(), matrix.ncols())
    }

    fn buffer(&self, buffer: Buffer) -> Shape {
        let matrix = Sight::buffer(self, &self.machine.plan.slots[buffer]);
        Shape::new(matrix.nrows(), matrix.ncols())
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
    #[inline(always)]
    fn matrix(&mut self) -> MatMut<'_, T> {
        match self {
            Destination::Arena(numbers, slot) => {
                MatMut::from_column_major_slice_mut(numbers, slot.shape.rows, slot.shape.cols)
            }
            Destination::Outside(matrix) => matrix.rb_mut(),
        }
    }

    /// Writes `alpha a`.
    fn copy(&mut self, a: MatRef<'_, T>, alpha: T) {
        transpose::copy(self.matrix(), a, alpha);
    }
}

/// Memory in which a product for a matrix outside is put together, with what is there if it is added to.
#[inline(never)]
fn staged<'s, T: Scalar>(
    matrix: MatMut<'_, T>,
    accumulate: bool,
    scratch: &'s mut [T],
) -> (&'s mut [T], &'s mut [T]) {
    let (rows, cols) = (matrix.nrows(), matrix.ncols());
    let (numbers, rest) = scratch.split_at_mut(rows * cols);
    if accumulate {
        MatMut::from_column_major_slice_mut(numbers, rows, cols).copy_from(matrix);
    }
    (numbers, rest)
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
    pub(crate) par: Par,
    pub(crate) check_finite: bool,
    pub(crate) inputs: &'a [(&'a str, MatRef<'a, T>)],
    /// For every input of the plan, its position among those given.
    pub(crate) bound: &'a [usize],
    pub(crate) one: T,
}

impl<T: Scalar> Machine<'_, T> {
    /// Runs the instructions that depend on constants alone, or all others; outputs go to the matrices outside, if
    /// there are any.
    pub(crate) fn run(
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
        let (first, rest) = self.plan.code.split_at(self.plan.constants);
        self.run_code(if constants { first } else { rest }, memory, outside)
    }

    /// The flops of an instruction, counted from the matrices that its kernel receives.
    pub(crate) fn count(&self, instruction: &Instruction, memory: &Memory<T>) -> u64 {
        let sight = Sight { machine: self, before: memory.arena(), after: &[], resume: 0, outside: None };
        cost::flops(&instruction.kernel, instruction.dst, &sight, &self.plan.factorizations)
    }

    /// Runs a part of the code.
    pub(crate) fn run_code(
        &self,
        code: &[Instruction],
        memory: &mut Memory<T>,
        mut outside: Option<&mut [MatMut<'_, T>]>,
    ) -> Result<(), Error> {
        let arena = &mut memory.numbers[memory.start..memory.start + memory.len];
        let mut scratch = Scratch {
            pivots: &mut memory.pivots,
            blocks: &mut memory.blocks,
            stack: MemStack::new(&mut memory.stack),
        };
        for instruction in code {
            let slot = &self.plan.slots[instruction.dst];
            if let (Some(outputs), Some((i, transposed))) = (outside.as_deref_mut(), slot.output) {
                let (before, rest) = outputs.split_at_mut(i);
                let Some((out, after)) = rest.split_first_mut() else { continue };
                let out = if transposed { out.rb_mut().transpose_mut() } else { out.rb_mut() };
                let sight = Sight {
                    machine: self,
                    before: arena,
                    after: &[],
                    resume: 0,
                    outside: Some((before, after)),
                };
                self.step(instruction, &sight, Destination::Outside(out), &mut scratch)?;
            } else {
                let outside = outside.as_deref().map(|outputs| (outputs, &[][..]));
                let (before, rest) = arena.split_at_mut(slot.offset);
                let (numbers, after) = rest.split_at_mut(slot.len());
                let resume = slot.offset + slot.len();
                let sight = Sight { machine: self, before, after, resume, outside };
                self.step(instruction, &sight, Destination::Arena(numbers, slot), &mut scratch)?;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn step(
        &self,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        mut to: Destination<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        // Most instructions are products, and the small ones among them should not pay for the others.
        if let Kernel::MatMul { lhs, rhs, alpha, accumulate } = &instruction.kernel
            && is_small(lhs, rhs)
        {
            let update = Update { alpha: T::from_f64(*alpha), accumulate: *accumulate };
            let (numbers, blocks) = match &mut to {
                Destination::Arena(numbers, _) => (&mut **numbers, &mut *scratch.blocks),
                Destination::Outside(matrix) => staged(matrix.rb_mut(), update.accumulate, scratch.blocks),
            };
            if sight.product(numbers, (lhs, rhs), update, blocks).is_some() {
                if let Destination::Outside(matrix) = &mut to {
                    matrix.copy_from(MatRef::from_column_major_slice(
                        &scratch.blocks[..matrix.nrows() * matrix.ncols()],
                        matrix.nrows(),
                        matrix.ncols(),
                    ));
                }
                if self.check_finite {
                    self.check(to.matrix().as_ref(), instruction.node)?;
                }
                return Ok(());
            }
        }
        self.other(instruction, sight, to, scratch)
    }

    #[inline(never)]
    fn other(
        &self,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        mut to: Destination<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let (par, plan) = (self.par, self.plan);
        let see = |view: &View| sight.view(view);
        let scaled = |alpha: f64, x: T| T::from_f64(alpha) * x;
        let factors = |buffer: usize| sight.buffer(&plan.slots[buffer]);
        match &instruction.kernel {
            Kernel::MatMul { lhs, rhs, alpha, accumulate } => {
                product(to.matrix(), *accumulate, see(lhs), see(rhs), T::from_f64(*alpha), par);
            }
            Kernel::Copy { a, alpha } => to.copy(see(a), T::from_f64(*alpha)),
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
            Kernel::Inner { a, b, alpha } => {
                // In the order in which a is stored.
                let (a, b) = if a.transposed { (a.transpose(), b.transpose()) } else { (*a, *b) };
                let (x, y) = (sight.source(&a), sight.source(&b));
                let inner = reduce::inner(&x, Some(&y), a.shape, scratch.blocks);
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
                symmetric_product(to.matrix(), *accumulate, a, b, T::from_f64(*alpha), par);
                return Ok(());
            }
            Kernel::Factorize { a, alpha, which } => {
                to.copy(see(a), T::from_f64(*alpha));
                factor::factorize(to.matrix(), &mut scratch.pivots[*which], par, scratch.stack);
                return Ok(());
            }
            Kernel::Solve { factors: packed, which, transposed } => {
                let pivots = &scratch.pivots[*which];
                self.check_invertible(pivots, instruction)?;
                factor::solve(factors(*packed), pivots, *transposed, to.matrix(), par, scratch.stack);
            }
            Kernel::Inverse { factors: packed, which } => {
                let pivots = &scratch.pivots[*which];
                self.check_invertible(pivots, instruction)?;
                factor::inverse(to.matrix(), factors(*packed), pivots, par, scratch.stack);
            }
            Kernel::DefiniteInverse { factors: packed, which, alpha, accumulate } => {
                self.check_invertible(&scratch.pivots[*which], instruction)?;
                let (packed, alpha) = (factors(*packed), T::from_f64(*alpha));
                factor::definite_inverse(to.matrix(), *accumulate, packed, alpha, par, scratch.stack);
                // The other triangle comes later.
                return Ok(());
            }
            Kernel::Mirror => mirror(to.matrix()),
            Kernel::Det { factors: packed, which } => {
                let pivots = &scratch.pivots[*which];
                if pivots.method == Method::Cholesky {
                    self.check_invertible(pivots, instruction)?;
                }
                to.matrix()[(0, 0)] = factor::det(factors(*packed), pivots);
            }
            Kernel::LogDet { factors: packed, which } => {
                let pivots = &scratch.pivots[*which];
                self.check_invertible(pivots, instruction)?;
                to.matrix()[(0, 0)] = factor::log_det(factors(*packed), pivots);
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
        shape: Shape,
        instruction: &Instruction,
        sight: &Sight<'_, '_, T>,
        mut target: Target<'_, T>,
        scratch: &mut Scratch<'_, T>,
    ) -> Result<(), Error> {
        let dst = &self.plan.slots[instruction.dst];
        if let ([(step, _)], Target::Flat(numbers), false) = (&pass.steps[..], &mut target, self.check_finite)
            && sight.few(step, &pass.operands, dst.offset, numbers, scratch.blocks).is_some()
        {
            return Ok(());
        }
        let inside = matches!(target, Target::Flat(_));
        let source = |view: &View| match view.place {
            Place::Buffer(buffer) if inside && view.repeat == Repeat::No => {
                let slot = &self.plan.slots[buffer];
                let taken_over = sight.is_stored(slot) && slot.offset == dst.offset;
                if taken_over { Source::Destination } else { sight.source(view) }
            }
            _ => sight.source(view),
        };
        let mut sources: Sources<'_, T> = Sources::new();
        sources.extend(pass.operands.iter().map(source));
        let mut bad = None;
        let told = self.check_finite.then_some(&mut bad);
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
        let node = self.plan.graph.node(instruction.node);
        let matrix = node.args.first().map_or_else(String::new, |&arg| self.plan.graph.summary(arg));
        let (op, formula, location) = (node.op.name(), matrix, node.location);
        Err(match pivots.method {
            Method::Lu => Error::Singular { op, formula, pivot, location },
            Method::Cholesky => Error::NotPositiveDefinite { op, formula, pivot, location },
        })
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
