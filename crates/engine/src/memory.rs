//! What a program writes to: one arena for all buffers, and scratch.

use crate::kernels::factor::{self, Pivots};
use crate::kernels::{adjugate, elementwise, reduce, small};
use crate::plan::{Kernel, Plan};
use crate::{Error, Scalar, custom, parallel};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use pullback_tape::Shape;
use smallvec::SmallVec;

/// Numbers that begin at a cache line: vectors that are read from them do not straddle two.
struct Aligned<T> {
    numbers: Vec<T>,
    start: usize,
    len: usize,
}

const CACHE_LINE: usize = 64;

impl<T: Scalar> Aligned<T> {
    fn zeros(len: usize) -> Result<Self, Error> {
        let padding = CACHE_LINE / size_of::<T>();
        let padded = len.saturating_add(padding);
        let refused = |_| Error::OutOfMemory { bytes: padded.saturating_mul(size_of::<T>()) };
        let mut numbers = Vec::new();
        numbers.try_reserve_exact(padded).map_err(refused)?;
        numbers.resize(padded, T::default());
        let start = numbers.as_ptr().align_offset(CACHE_LINE).min(padding);
        Ok(Aligned { numbers, start, len })
    }

    fn get(&self) -> &[T] {
        &self.numbers[self.start..self.start + self.len]
    }

    fn get_mut(&mut self) -> &mut [T] {
        &mut self.numbers[self.start..self.start + self.len]
    }
}

impl<T: Scalar> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let padded = self.numbers.len();
        let mut numbers = vec![T::default(); padded];
        let start = numbers.as_ptr().align_offset(CACHE_LINE).min(padded - self.len);
        numbers[start..start + self.len].copy_from_slice(self.get());
        Aligned { numbers, start, len: self.len }
    }
}

/// What a program writes to.
pub(crate) struct Memory<T> {
    /// The arena, and behind it copies of inputs.
    numbers: Aligned<T>,
    /// The numbers in the arena.
    len: usize,
    pivots: Vec<Pivots<T>>,
    /// Blocks of entries, and matrices that one instruction needs besides its operands.
    blocks: Aligned<T>,
    /// faer's scratch.
    stack: MemBuffer,
    stack_size: StackReq,
}

impl<T: Scalar> Memory<T> {
    pub(crate) fn new(plan: &Plan) -> Result<Self, Error> {
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
                Kernel::SumOf { pass, .. } | Kernel::PutBackOf { pass, .. } => {
                    blocks = blocks.max(elementwise::scratch(pass));
                    StackReq::EMPTY
                }
                Kernel::Routine { routine, args } => {
                    let shapes: SmallVec<[Shape; 4]> = args.iter().map(|view| view.shape).collect();
                    routine.scratch::<T>(&shapes)
                }
                Kernel::Custom { args } => {
                    let shapes: SmallVec<[Shape; 4]> = args.iter().map(|view| view.shape).collect();
                    custom::scratch(&plan.graph, instruction.node, &shapes)
                }
                Kernel::Factorize { which, .. } => {
                    factor::factorize_scratch::<T>(plan.factorizations[*which])
                }
                Kernel::Solve { which, turned, .. } => {
                    let columns = if *turned { shape.rows } else { shape.cols };
                    factor::solve_scratch::<T>(plan.factorizations[*which], columns)
                }
                Kernel::Inverse { which, .. } => factor::inverse_scratch::<T>(plan.factorizations[*which].n),
                Kernel::Adjugate { which, .. } => {
                    adjugate::adjugate_scratch::<T>(plan.factorizations[*which].n)
                }
                Kernel::DefiniteInverse { .. } => {
                    blocks = blocks.max(shape.rows * shape.cols);
                    StackReq::EMPTY
                }
                Kernel::Mirror { update: Some((_, u)) } => {
                    blocks = blocks.max(u.shape.rows);
                    StackReq::EMPTY
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
        if !plan.stretches.is_empty() {
            blocks = blocks.max(3 * small::COPY);
        }
        Ok(Memory {
            numbers: Aligned::zeros(plan.numbers())?,
            len: plan.arena,
            pivots: plan.factorizations.iter().map(|&it| Pivots::new(it)).collect(),
            blocks: Aligned::zeros(blocks)?,
            stack: MemBuffer::try_new(stack).map_err(|_| Error::OutOfMemory { bytes: stack.size_bytes() })?,
            stack_size: stack,
        })
    }

    pub(crate) fn arena(&self) -> &[T] {
        &self.numbers.get()[..self.len]
    }

    /// The arena with copies of inputs behind it, and the rest.
    pub(crate) fn parts(&mut self) -> (&mut [T], Scratch<'_, T>) {
        let (blocks, stack) = (self.blocks.get_mut(), MemStack::new(&mut self.stack));
        (self.numbers.get_mut(), Scratch { pivots: &mut self.pivots, blocks, stack })
    }
}

/// What instructions work with besides the arena.
pub(crate) struct Scratch<'a, T> {
    pub(crate) pivots: &'a mut [Pivots<T>],
    pub(crate) blocks: &'a mut [T],
    pub(crate) stack: &'a mut MemStack,
}

impl<T: Scalar> Clone for Memory<T> {
    /// Memory of the same size and contents: those of constants outlive a run.
    fn clone(&self) -> Self {
        Memory {
            numbers: self.numbers.clone(),
            len: self.len,
            pivots: self.pivots.clone(),
            blocks: self.blocks.clone(),
            stack: MemBuffer::new(self.stack_size),
            stack_size: self.stack_size,
        }
    }
}
