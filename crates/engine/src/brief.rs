//! Brief instructions: those on so few numbers that finding out what to do would take longer than doing it.
//!
//! What they do is found out once, when the plan is made, and a stretch of them runs in one loop that is compiled for
//! the widest registers. They read nothing but memory of the program's: inputs are copied there when a run begins.

use crate::kernels::elementwise;
use crate::kernels::lanes::{Wide, copy_columns, wide};
use crate::kernels::reduce;
use crate::kernels::small::{self, COPY, Factor, Update};
use crate::plan::{Arg, Input, Instruction, Kernel, Place, Repeat, Slot, Step, View};
use crate::Scalar;
use faer::MatRef;
use std::ops::Range;

/// Inputs of more entries are not copied for products with vectors.
const SLIM: usize = 16;

/// What a brief instruction does.
#[derive(Clone, Debug)]
enum Action {
    /// `dst = alpha a b`, or `dst += alpha a b`.
    Product { shape: small::Sizes, transposed: (bool, bool), alpha: f64, accumulate: bool },
    /// One step of an elementwise pass.
    Step(Step),
    /// `dst = alpha Σ aᵢ bᵢ`
    Inner { alpha: f64 },
}

/// A brief instruction, with the places of what it reads and writes among the numbers.
#[derive(Clone, Debug)]
struct Brief {
    action: Action,
    dst: Range<usize>,
    a: Operand,
    b: Operand,
}

/// What a brief instruction reads.
#[derive(Clone, PartialEq, Debug)]
enum Operand {
    Numbers(Range<usize>),
    /// An input where it is.
    Input(usize),
}

/// The brief instructions of a plan.
#[derive(Debug, Default)]
pub(crate) struct Stretches {
    /// For every instruction of a run, what it does if it is brief.
    briefs: Vec<Option<Brief>>,
    /// Inputs that are copied, and where to.
    copied: Vec<(usize, usize)>,
    /// The numbers that they take, behind the arena.
    pub(crate) copies: usize,
}

impl Stretches {
    /// Finds the brief ones in the code of a run.
    pub(crate) fn new(code: &[Instruction], slots: &[Slot], inputs: &[Input], arena: usize) -> Self {
        let mut found = Stretches::default();
        let mut places = vec![None; inputs.len()];
        let briefs = code.iter().map(|instruction| {
            let (action, a, b) = action(&instruction.kernel)?;
            let slot = &slots[instruction.dst];
            let few = |view: &View| view.repeat == Repeat::No && view.shape.rows * view.shape.cols <= COPY;
            let known = |view: &View| match view.place {
                Place::Buffer(_) => true,
                Place::Input(input) => few(view) && !inputs[input].constant,
                Place::One => false,
            };
            let is_product = matches!(action, Action::Product { .. });
            let fits = |view: &View| view.repeat == Repeat::No && (is_product || few(view) && !view.transposed);
            // A product with a vector takes no longer than a copy.
            let slim = |view: &View| {
                let extents = [a.shape.rows, a.shape.cols, b.shape.cols];
                is_product && extents.contains(&1) && view.shape.rows * view.shape.cols > SLIM
            };
            if !(known(a) && known(b) && fits(a) && fits(b)) {
                return None;
            }
            let mut place = |view: &View| {
                let start = match view.place {
                    Place::Input(input) if slim(view) && places[input].is_none() => {
                        return Operand::Input(input);
                    }
                    Place::Input(input) => *places[input].get_or_insert_with(|| {
                        let start = arena + found.copies;
                        found.copied.push((input, start));
                        found.copies += inputs[input].shape.rows * inputs[input].shape.cols;
                        found.copies = found.copies.next_multiple_of(crate::homes::ALIGNMENT);
                        start
                    }),
                    _ => view.offset,
                };
                Operand::Numbers(start..start + view.shape.rows * view.shape.cols)
            };
            Some(Brief { action, dst: slot.offset..slot.offset + slot.len(), a: place(a), b: place(b) })
        });
        found.briefs = briefs.collect();
        found
    }

    /// Copies the inputs that brief instructions read.
    pub(crate) fn copy<'a, T: Scalar>(&self, numbers: &mut [T], input: impl Fn(usize) -> MatRef<'a, T>) {
        for &(i, start) in &self.copied {
            let matrix = input(i);
            let Some(to) = numbers.get_mut(start..start + matrix.nrows() * matrix.ncols()) else { continue };
            match matrix.try_as_col_major() {
                Some(matrix) => copy_columns(matrix, to),
                None => drop(small::gathered(matrix, to)),
            }
        }
    }

    /// Runs the stretch that begins with this instruction; returns how many are in it.
    #[inline(always)]
    pub(crate) fn run<'a, T: Scalar>(
        &self,
        first: usize,
        numbers: &mut [T],
        blocks: &mut [T],
        input: impl Fn(usize) -> MatRef<'a, T>,
    ) -> usize {
        match self.briefs.get(first..) {
            Some(briefs @ [Some(_), ..]) => wide(Stretch { briefs, numbers, blocks, input }),
            _ => 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.briefs.iter().all(Option::is_none)
    }
}

/// What an instruction would do if it is brief, and what it reads.
fn action(kernel: &Kernel) -> Option<(Action, &View, &View)> {
    Some(match kernel {
        Kernel::MatMul { lhs, rhs, alpha, accumulate } => {
            let (rows, inner, cols) = (lhs.shape.rows, lhs.shape.cols, rhs.shape.cols);
            if !small::is_small(rows, inner, cols) || rows.min(inner).min(cols) == 0 {
                return None;
            }
            let transposed = (lhs.transposed, rhs.transposed);
            let shape = small::Sizes { rows, inner, cols };
            (Action::Product { shape, transposed, alpha: *alpha, accumulate: *accumulate }, lhs, rhs)
        }
        Kernel::Elementwise(pass) => match (&pass.steps[..], &pass.operands[..]) {
            (&[(step, _)], [a]) => (Action::Step(step), a, a),
            (&[(step, _)], [a, b]) => (Action::Step(step), a, b),
            _ => return None,
        },
        Kernel::Copy { a, alpha } => (Action::Step(Step::Scale(*alpha, Arg::Operand(0))), a, a),
        Kernel::Inner { a, b, alpha } => (Action::Inner { alpha: *alpha }, a, b),
        _ => return None,
    })
}

/// Brief instructions, up to the first that is not.
struct Stretch<'a, T, I> {
    briefs: &'a [Option<Brief>],
    numbers: &'a mut [T],
    blocks: &'a mut [T],
    input: I,
}

impl<'i, T: Scalar, I: Fn(usize) -> MatRef<'i, T>> Wide for Stretch<'_, T, I> {
    type Output = usize;

    #[inline(always)]
    fn run<const FUSED: bool, F: pulp::Simd, H: pulp::Simd>(self, full: F, half: H) -> usize {
        for (i, brief) in self.briefs.iter().enumerate() {
            let Some(brief) = brief else { return i };
            if one::<FUSED, T, F, H>(full, half, brief, self.numbers, self.blocks, &self.input).is_none() {
                return i;
            }
        }
        self.briefs.len()
    }
}

/// Runs one instruction; none if it has to be run in another way.
#[inline(always)]
fn one<'i, const FUSED: bool, T: Scalar, F: pulp::Simd, H: pulp::Simd>(
    full: F,
    half: H,
    brief: &Brief,
    numbers: &mut [T],
    blocks: &mut [T],
    input: &impl Fn(usize) -> MatRef<'i, T>,
) -> Option<()> {
    let Brief { action, dst, a, b } = brief;
    let (before, rest) = numbers.split_at_mut_checked(dst.start)?;
    let (out, after) = rest.split_at_mut_checked(dst.len())?;
    let (before, after) = (&*before, &*after);
    let get = |operand: &Operand| match operand {
        Operand::Numbers(range) => match range.start.checked_sub(dst.end) {
            Some(start) => after.get(start..)?.get(..range.len()),
            None => before.get(range.start..range.end),
        },
        Operand::Input(_) => None,
    };
    let is_dst = |operand: &Operand| matches!(operand, Operand::Numbers(range) if range == dst);
    match action {
        Action::Product { shape, transposed, alpha, accumulate } => {
            let update = Update { alpha: T::from_f64(*alpha), accumulate: *accumulate };
            if let (Some(a), Some(b)) = (get(a), get(b)) {
                let (a, b) = ((a, transposed.0), (b, transposed.1));
                return small::within(full, half, out, a, b, *shape, update, blocks);
            }
            let (left, rest) = blocks.split_at_mut_checked(COPY)?;
            let (right, rest) = rest.split_at_mut_checked(COPY)?;
            let factor = |operand, rows, cols, transposed, copy| match operand {
                &Operand::Input(i) => {
                    let matrix = input(i);
                    Factor::of_matrix(if transposed { matrix.transpose() } else { matrix }, copy)
                }
                numbers => Factor::of_numbers(get(numbers)?, rows, cols, transposed),
            };
            let a = factor(a, shape.rows, shape.inner, transposed.0, left)?;
            let b = factor(b, shape.inner, shape.cols, transposed.1, right)?;
            small::product(out, a, b, update, rest.split_at_mut_checked(COPY)?)
        }
        Action::Step(step) => {
            let copied = blocks.get_mut(..out.len())?;
            // The result may take the place of an operand.
            let own = is_dst(a) || is_dst(b);
            if own {
                copied.copy_from_slice(out);
            }
            let copied = &*copied;
            let a = if is_dst(a) { copied } else { get(a)? };
            let b = if is_dst(b) { copied } else { get(b)? };
            let of = |arg: Arg| match arg {
                Arg::Operand(0) | Arg::Step(_) => a,
                Arg::Operand(_) => b,
            };
            elementwise::apply_within::<FUSED, T>(step, of, out);
            Some(())
        }
        Action::Inner { alpha } => {
            *out.first_mut()? = T::from_f64(*alpha) * reduce::inner_within::<FUSED, T>(get(a)?, get(b)?);
            Some(())
        }
    }
}
