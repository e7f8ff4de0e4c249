//! What a program writes to: one arena for all buffers, and scratch.

use crate::kernels::factor::{self, Pivots};
use crate::kernels::{elementwise, reduce, small};
use crate::plan::{Kernel, Plan};
use crate::{Error, Scalar, parallel};
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};

/// What a program writes to.
pub(crate) struct Memory<T> {
    numbers: Vec<T>,
    /// Where the arena begins among the numbers: at a cache line.
    start: usize,
    len: usize,
    /// The numbers behind the arena, for copies of inputs.
    copies: usize,
    pivots: Vec<Pivots<T>>,
    /// Blocks of entries, and matrices that one instruction needs besides its operands.
    blocks: Vec<T>,
    /// faer's scratch.
    stack: MemBuffer,
    stack_size: StackReq,
}

const CACHE_LINE: usize = 64;

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
                Kernel::SumOf { pass, .. } => {
                    blocks = blocks.max(elementwise::scratch(pass));
                    StackReq::EMPTY
                }
                Kernel::Factorize { which, .. } => {
                    factor::factorize_scratch::<T>(plan.factorizations[*which])
                }
                Kernel::Solve { which, .. } => {
                    factor::solve_scratch::<T>(plan.factorizations[*which], shape.cols)
                }
                Kernel::Inverse { which, .. } => factor::inverse_scratch::<T>(plan.factorizations[*which].n),
                Kernel::DefiniteInverse { .. } => {
                    blocks = blocks.max(shape.rows * shape.cols);
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
        let refused = |bytes| Error::OutOfMemory { bytes };
        let zeros = |len: usize| -> Result<Vec<T>, Error> {
            let mut numbers = Vec::new();
            numbers.try_reserve_exact(len).map_err(|_| refused(len.saturating_mul(size_of::<T>())))?;
            numbers.resize(len, T::default());
            Ok(numbers)
        };
        let all = plan.numbers();
        let padded = all.saturating_add(CACHE_LINE / size_of::<T>());
        let numbers = zeros(padded)?;
        Ok(Memory {
            start: numbers.as_ptr().align_offset(CACHE_LINE).min(padded - all),
            numbers,
            len: plan.arena,
            copies: plan.stretches.copies,
            pivots: plan.factorizations.iter().map(|&it| Pivots::new(it)).collect(),
            blocks: zeros(blocks)?,
            stack: MemBuffer::try_new(stack).map_err(|_| refused(stack.size_bytes()))?,
            stack_size: stack,
        })
    }

    pub(crate) fn arena(&self) -> &[T] {
        &self.numbers[self.start..self.start + self.len]
    }

    /// The arena with copies of inputs behind it, and the rest.
    pub(crate) fn parts(&mut self) -> (&mut [T], Scratch<'_, T>) {
        let arena = &mut self.numbers[self.start..self.start + self.len + self.copies];
        let stack = MemStack::new(&mut self.stack);
        (arena, Scratch { pivots: &mut self.pivots, blocks: &mut self.blocks, stack })
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
        let padded = self.numbers.len();
        let mut numbers = vec![T::default(); padded];
        let start = numbers.as_ptr().align_offset(CACHE_LINE).min(padded - self.len - self.copies);
        numbers[start..start + self.len].copy_from_slice(self.arena());
        Memory {
            start,
            numbers,
            len: self.len,
            copies: self.copies,
            pivots: self.pivots.clone(),
            blocks: self.blocks.clone(),
            stack: MemBuffer::new(self.stack_size),
            stack_size: self.stack_size,
        }
    }
}
