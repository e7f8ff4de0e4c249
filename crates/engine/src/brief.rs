//! Brief instructions: those on so few numbers that finding out what to do would take longer than doing it.
//!
//! What they do is found out once, when the plan is made, and a stretch of them runs in one loop that is compiled for
//! the widest registers. They read nothing but memory of the program's: inputs are copied there when a run begins.

use crate::Scalar;
use crate::kernels::elementwise;
use crate::kernels::fixed;
use crate::kernels::lanes::{Wide, wide};
use crate::kernels::reduce;
use crate::kernels::small::{self, COPY, Update};
use crate::plan::{Arg, Input, Instruction, Kernel, Place, Repeat, Slot, Step, View};
use faer::MatRef;
use std::ops::Range;

/// What a brief instruction does.
#[derive(Clone, Debug)]
enum Action {
    /// `dst = alpha a b`, or `dst += alpha a b`, of an m×k and a k×n.
    Product { sizes: [usize; 3], transposed: [bool; 2], alpha: f64, accumulate: bool },
    /// The same of two matrices of order 2, 3 or 4.
    Fixed { order: usize, transposed: [bool; 2], alpha: f64, accumulate: bool },
    /// The same of two matrices of another usual order.
    Square { order: usize, transposed: [bool; 2], alpha: f64, accumulate: bool },
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

impl Operand {
    #[inline(always)]
    fn start(&self) -> Option<usize> {
        match self {
            Operand::Numbers(range) => Some(range.start),
            Operand::Input(_) => None,
        }
    }
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
                Place::Input(input) => !inputs[input].constant,
                Place::One => false,
            };
            let is_product =
                matches!(action, Action::Product { .. } | Action::Fixed { .. } | Action::Square { .. });
            let fits =
                |view: &View| view.repeat == Repeat::No && (is_product || few(view) && !view.transposed);
            if !(known(a) && known(b) && fits(a) && fits(b)) {
                return None;
            }
            let in_place = matches!(action, Action::Product { .. });
            let mut place = |view: &View| {
                let start = match view.place {
                    // Other products take no longer where it is.
                    Place::Input(input) if in_place => {
                        return Operand::Input(input);
                    }
                    Place::Input(input) => *places[input].get_or_insert_with(|| {
                        let start = arena.saturating_add(found.copies);
                        found.copied.push((input, start));
                        found.copies += inputs[input].shape.rows * inputs[input].shape.cols;
                        found.copies = found.copies.next_multiple_of(crate::homes::ALIGNMENT);
                        start
                    }),
                    _ => view.offset,
                };
                Operand::Numbers(start..start.saturating_add(view.shape.rows * view.shape.cols))
            };
            Some(Brief { action, dst: slot.offset..slot.offset + slot.len(), a: place(a), b: place(b) })
        });
        found.briefs = briefs.collect();
        found
    }

    /// Copies the inputs that brief instructions read.
    pub(crate) fn copy<'a, T: Scalar>(&self, numbers: &mut [T], input: impl Fn(usize) -> MatRef<'a, T>) {
        wide(Copies { copied: &self.copied, numbers, input });
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
            let (least, most) = (rows.min(inner).min(cols), rows.max(inner).max(cols));
            let (transposed, alpha, accumulate) = ([lhs.transposed, rhs.transposed], *alpha, *accumulate);
            let action = if !small::is_small(rows, inner, cols) || least == 0 {
                return None;
            } else if least == most && fixed::is_fixed(most) {
                Action::Fixed { order: most, transposed, alpha, accumulate }
            } else if least == most && small::is_usual(most) {
                Action::Square { order: most, transposed, alpha, accumulate }
            } else if least > 1 && most <= small::TINY {
                return None;
            } else {
                Action::Product { sizes: [rows, inner, cols], transposed, alpha, accumulate }
            };
            (action, lhs, rhs)
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

/// Inputs to be copied.
struct Copies<'a, T, I> {
    copied: &'a [(usize, usize)],
    numbers: &'a mut [T],
    input: I,
}

impl<'i, T: Scalar, I: Fn(usize) -> MatRef<'i, T>> Wide for Copies<'_, T, I> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool, F: pulp::Simd, H: pulp::Simd>(self, full: F, half: H) {
        for &(i, start) in self.copied {
            let matrix = (self.input)(i);
            let Some(to) =
                self.numbers.get_mut(start..).and_then(|to| to.get_mut(..matrix.nrows() * matrix.ncols()))
            else {
                continue;
            };
            match matrix.try_as_col_major() {
                Some(matrix) => small::copy_columns((full, half), matrix, to),
                None => drop(small::gathered(matrix, to)),
            }
        }
    }
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
            if one::<FUSED, T, F, H>((full, half), brief, self.numbers, self.blocks, &self.input).is_none() {
                return i;
            }
        }
        self.briefs.len()
    }
}

/// Runs one instruction; none if it has to be run in another way.
#[inline(always)]
fn one<'i, const FUSED: bool, T: Scalar, F: pulp::Simd, H: pulp::Simd>(
    simd: (F, H),
    brief: &Brief,
    numbers: &mut [T],
    blocks: &mut [T],
    input: &impl Fn(usize) -> MatRef<'i, T>,
) -> Option<()> {
    match &brief.action {
        Action::Fixed { order, transposed, alpha, accumulate } => {
            let update = Update { alpha: T::from_f64(*alpha), accumulate: *accumulate };
            let places = [brief.dst.start, brief.a.start()?, brief.b.start()?];
            return fixed::product(simd, numbers, places, *order, *transposed, update);
        }
        Action::Product { sizes, transposed, alpha, accumulate } => {
            let update = Update { alpha: T::from_f64(*alpha), accumulate: *accumulate };
            return product(brief, *sizes, *transposed, update, numbers, blocks, input);
        }
        _ => {}
    }
    let (out, rest) = split(numbers, &brief.dst)?;
    let (a, b) = (rest.get(&brief.a), rest.get(&brief.b));
    match &brief.action {
        Action::Product { .. } | Action::Fixed { .. } => None,
        Action::Square { order, transposed, alpha, accumulate } => {
            let update = Update { alpha: T::from_f64(*alpha), accumulate: *accumulate };
            small::square(simd, out, [(a?, transposed[0]), (b?, transposed[1])], *order, update, blocks)
        }
        Action::Step(step) => {
            // The result may take the place of an operand.
            let copied = blocks.get_mut(..out.len())?;
            if a.is_none() || b.is_none() {
                copied.copy_from_slice(out);
            }
            let (a, b) = (a.unwrap_or(copied), b.unwrap_or(copied));
            let of = |arg: Arg| match arg {
                Arg::Operand(0) | Arg::Step(_) => a,
                Arg::Operand(_) => b,
            };
            elementwise::apply_within::<FUSED, T>(step, of, out);
            Some(())
        }
        Action::Inner { alpha } => {
            *out.first_mut()? = T::from_f64(*alpha) * reduce::inner_within::<FUSED, T>(a?, b?);
            Some(())
        }
    }
}

/// The kernel of any other product: a loop that contained all of them would be slower.
#[inline(never)]
fn product<'i, T: Scalar>(
    brief: &Brief,
    [rows, inner, cols]: [usize; 3],
    transposed: [bool; 2],
    update: Update<T>,
    numbers: &mut [T],
    blocks: &mut [T],
    input: &impl Fn(usize) -> MatRef<'i, T>,
) -> Option<()> {
    let (out, others) = split(numbers, &brief.dst)?;
    let (left, rest) = blocks.split_at_mut_checked(COPY)?;
    let (right, rest) = rest.split_at_mut_checked(COPY)?;
    let a = match &brief.a {
        &Operand::Input(i) => small::Factor::of_matrix(view(input(i), transposed[0]), left)?,
        numbers => small::Factor::of_numbers(others.get(numbers)?, rows, inner, transposed[0])?,
    };
    let b = match &brief.b {
        &Operand::Input(i) => small::Factor::of_matrix(view(input(i), transposed[1]), right)?,
        numbers => small::Factor::of_numbers(others.get(numbers)?, inner, cols, transposed[1])?,
    };
    small::product(out, a, b, update, rest.split_at_mut_checked(COPY)?)
}

#[inline(always)]
fn view<T>(matrix: MatRef<'_, T>, transposed: bool) -> MatRef<'_, T> {
    if transposed { matrix.transpose() } else { matrix }
}

/// All numbers but those that are written.
struct Others<'a, T> {
    before: &'a [T],
    /// Where what comes after begins.
    end: usize,
    after: &'a [T],
}

#[inline(always)]
fn split<'a, T>(numbers: &'a mut [T], dst: &Range<usize>) -> Option<(&'a mut [T], Others<'a, T>)> {
    let (before, rest) = numbers.split_at_mut_checked(dst.start)?;
    let (out, after) = rest.split_at_mut_checked(dst.len())?;
    Some((out, Others { before, end: dst.end, after }))
}

impl<'a, T> Others<'a, T> {
    /// What an operand consists of, if it is not what is written.
    #[inline(always)]
    fn get(&self, operand: &Operand) -> Option<&'a [T]> {
        let Operand::Numbers(range) = operand else { return None };
        match range.start.checked_sub(self.end) {
            Some(start) => self.after.get(start..)?.get(..range.len()),
            None => self.before.get(range.start..range.end),
        }
    }
}
