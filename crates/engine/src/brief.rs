//! Brief instructions: those on so few numbers that finding out what to do would take longer than doing it.
//!
//! What they do is found out once, when the plan is made, and a stretch of them runs in one loop that is compiled for
//! the widest registers. They read nothing but memory of the program's: inputs are copied there when a run begins.

use crate::Scalar;
use crate::kernels::elementwise;
use crate::kernels::fixed::{self, Form};
use crate::kernels::lanes::{Wide, wide};
use crate::kernels::reduce;
use crate::kernels::small::{self, COPY, TINY, Tiny, Update};
use crate::plan::{Arg, Input, Instruction, Kernel, Place, Repeat, Slot, Step, View};
use crate::sight::repeated;
use faer::MatRef;
use pullback_tape::Shape;
use std::ops::Range;

/// What a brief instruction does.
#[derive(Clone, Debug)]
enum Action {
    /// `dst = alpha a b`, or `dst += alpha a b`, in a form for which there is a kernel of its own.
    Fixed { form: Form, transposed: [bool; 2], alpha: f64, accumulate: bool },
    /// The same of two matrices of a usual order.
    Square { order: usize, transposed: [bool; 2], alpha: f64, accumulate: bool },
    /// The same of two other matrices of at most 3×3.
    Tiny { sizes: [usize; 3], transposed: [bool; 2], alpha: f64, accumulate: bool },
    /// The same of any other m×k and k×n.
    Product { sizes: [usize; 3], transposed: [bool; 2], alpha: f64, accumulate: bool },
    /// One step of an elementwise pass.
    Step(Step),
    /// `dst = alpha Σ aᵢ bᵢ`
    Inner { alpha: f64 },
}

impl Action {
    /// What multiplies these; and whether in the form `(b a)ᵀ` of vectors and matrices.
    fn product(lhs: &View, rhs: &View, alpha: f64, accumulate: bool) -> Option<(Self, bool)> {
        let sizes @ [rows, inner, cols] = [lhs.shape.rows, lhs.shape.cols, rhs.shape.cols];
        if !small::is_small(rows, inner, cols) || sizes.contains(&0) {
            return None;
        }
        let transposed = [lhs.transposed, rhs.transposed];
        let whole = |view: &View| view.repeat == Repeat::No && view.place != Place::One;
        if whole(lhs) && whole(rhs) {
            if let Some(form) = Form::of(sizes) {
                return Some((Action::Fixed { form, transposed, alpha, accumulate }, false));
            }
            // A row: its transpose lies in memory in the same way.
            if let Some(form) = Form::of([cols, inner, rows]) {
                let transposed = [!rhs.transposed, !lhs.transposed];
                return Some((Action::Fixed { form, transposed, alpha, accumulate }, true));
            }
            if sizes.iter().all(|n| (2..=TINY).contains(n)) {
                return Some((Action::Tiny { sizes, transposed, alpha, accumulate }, false));
            }
            if rows == inner && inner == cols && small::is_usual(rows) {
                return Some((Action::Square { order: rows, transposed, alpha, accumulate }, false));
            }
        }
        Some((Action::Product { sizes, transposed, alpha, accumulate }, false))
    }
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
    /// A view that repeats a matrix, of which this is the shape.
    Repeated(View, Shape),
}

impl Operand {
    #[inline(always)]
    fn start(&self) -> Option<usize> {
        match self {
            Operand::Numbers(range) => Some(range.start),
            Operand::Input(_) | Operand::Repeated(..) => None,
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
    ///
    /// What they read and write stays in the arena: an output among them is copied at the end of a run, if the caller
    /// has a matrix for it.
    pub(crate) fn new(code: &[Instruction], slots: &mut [Slot], inputs: &[Input], arena: usize) -> Self {
        let mut found = Stretches::default();
        let mut places = vec![None; inputs.len()];
        let briefs = code.iter().map(|instruction| {
            let brief = found.brief(instruction, slots, inputs, arena, &mut places)?;
            slots[instruction.dst].output = None;
            for buffer in instruction.operands().iter().filter_map(View::buffer) {
                slots[buffer].output = None;
            }
            Some(brief)
        });
        let briefs = briefs.collect();
        found.briefs = briefs;
        found
    }

    /// The instruction, if it is brief.
    fn brief(
        &mut self,
        instruction: &Instruction,
        slots: &[Slot],
        inputs: &[Input],
        arena: usize,
        places: &mut [Option<usize>],
    ) -> Option<Brief> {
        let (action, a, b) = action(&instruction.kernel)?;
        let slot = &slots[instruction.dst];
        let is_constant = |view: &View| matches!(view.place, Place::Input(i) if inputs[i].constant);
        let is_product = |view: &View| match &action {
            Action::Product { .. } => true,
            Action::Fixed { .. } | Action::Tiny { .. } | Action::Square { .. } => view.repeat == Repeat::No,
            Action::Step(_) | Action::Inner { .. } => false,
        };
        let is_plain = |view: &View| {
            let few = view.shape.rows * view.shape.cols <= COPY;
            few && view.repeat == Repeat::No && !view.transposed && view.place != Place::One
        };
        // A part is read where its entries are neighbours, of what is repeated, or too much to be copied, never.
        let is_placed = |view: &View| match (view.window, view.place) {
            (None, _) => true,
            (Some(_), _) if view.repeat != Repeat::No => false,
            (Some(_), Place::Buffer(buffer)) => view.start(slots[buffer].shape).is_some(),
            (Some(_), Place::Input(input)) => {
                let whole = inputs[input].shape;
                whole.rows.saturating_mul(whole.cols) <= COPY && view.start(whole).is_some()
            }
            (Some(_), Place::One) => false,
        };
        let suits =
            |view: &View| !is_constant(view) && (is_product(view) || is_plain(view)) && is_placed(view);
        if ![a, b].into_iter().all(suits) {
            return None;
        }
        // Products without a kernel of their own take no longer where an input is.
        let in_place = matches!(action, Action::Product { .. });
        let mut place = |view: &View| {
            let start = match view.place {
                Place::Buffer(buffer) if view.repeat == Repeat::No => {
                    view.offset + view.start(slots[buffer].shape).unwrap_or_default()
                }
                Place::Input(input) if view.repeat == Repeat::No && in_place && view.window.is_none() => {
                    return Operand::Input(input);
                }
                Place::Input(input) if view.repeat == Repeat::No => {
                    let copy = *places[input].get_or_insert_with(|| self.copied(input, inputs, arena));
                    copy + view.start(inputs[input].shape).unwrap_or_default()
                }
                Place::Buffer(buffer) => return Operand::Repeated(*view, slots[buffer].shape),
                Place::Input(input) => return Operand::Repeated(*view, inputs[input].shape),
                Place::One => return Operand::Repeated(*view, Shape::new(1, 1)),
            };
            Operand::Numbers(start..start.saturating_add(view.shape.rows * view.shape.cols))
        };
        let (a, b) = (place(a), place(b));
        Some(Brief { dst: slot.offset..slot.offset + slot.len(), a, b, action })
    }

    /// A place for a copy of an input, behind those that there are.
    fn copied(&mut self, input: usize, inputs: &[Input], arena: usize) -> usize {
        let start = arena.saturating_add(self.copies);
        self.copied.push((input, start));
        self.copies += inputs[input].shape.rows * inputs[input].shape.cols;
        self.copies = self.copies.next_multiple_of(crate::homes::ALIGNMENT);
        start
    }

    /// Copies the inputs that brief instructions read.
    pub(crate) fn copy<'a, T: Scalar>(&self, numbers: &mut [T], input: impl Fn(usize) -> MatRef<'a, T>) {
        wide(Copies { copied: &self.copied, numbers, input });
    }

    /// Runs the stretch that begins with this instruction, or at most so many of it; returns how many that are.
    #[inline(always)]
    pub(crate) fn run<'a, T: Scalar>(
        &self,
        first: usize,
        most: usize,
        numbers: &mut [T],
        blocks: &mut [T],
        input: impl Fn(usize) -> MatRef<'a, T>,
    ) -> usize {
        match self.briefs.get(first..) {
            Some(briefs @ [Some(_), ..]) => {
                wide(Stretch { briefs: briefs.get(..most).unwrap_or(briefs), numbers, blocks, input })
            }
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
            let (action, swapped) = Action::product(lhs, rhs, *alpha, *accumulate)?;
            if swapped { (action, rhs, lhs) } else { (action, lhs, rhs) }
        }
        Kernel::Elementwise(pass) if pass.picks.iter().all(Option::is_none) => {
            match (&pass.steps[..], &pass.operands[..]) {
                (&[(step, _)], [a]) => (Action::Step(step), a, a),
                (&[(step, _)], [a, b]) => (Action::Step(step), a, b),
                _ => return None,
            }
        }
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
        Action::Fixed { form, transposed, alpha, accumulate } => {
            let update = Update { alpha: T::from_f64(*alpha), accumulate: *accumulate };
            let places = [brief.dst.start, brief.a.start()?, brief.b.start()?];
            return fixed::product(simd, numbers, places, *form, *transposed, update);
        }
        Action::Tiny { sizes, transposed, alpha, accumulate } => {
            let update = Update { alpha: T::from_f64(*alpha), accumulate: *accumulate };
            return tiny(brief, *sizes, *transposed, update, numbers);
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
        Action::Fixed { .. } | Action::Tiny { .. } | Action::Product { .. } => None,
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
    // Nothing here is shared by the two: a factor that went through a call would have to be put together in memory.
    let a = match &brief.a {
        &Operand::Input(i) => small::Factor::of_matrix(view(input(i), transposed[0]), left)?,
        Operand::Repeated(seen, shape) => {
            small::Factor::of_numbers(written_out(seen, *shape, &others, input, left)?, rows, inner, false)?
        }
        numbers => small::Factor::of_numbers(others.get(numbers)?, rows, inner, transposed[0])?,
    };
    let b = match &brief.b {
        &Operand::Input(i) => small::Factor::of_matrix(view(input(i), transposed[1]), right)?,
        Operand::Repeated(seen, shape) => {
            small::Factor::of_numbers(written_out(seen, *shape, &others, input, right)?, inner, cols, false)?
        }
        numbers => small::Factor::of_numbers(others.get(numbers)?, inner, cols, transposed[1])?,
    };
    small::product(out, a, b, update, rest)
}

/// What a view shows that repeats a matrix, entry by entry.
#[inline(never)]
fn written_out<'s, 'i, T: Scalar>(
    seen: &View,
    shape: Shape,
    others: &Others<'_, T>,
    input: &impl Fn(usize) -> MatRef<'i, T>,
    scratch: &'s mut [T],
) -> Option<&'s [T]> {
    let one = T::from_f64(1.0);
    let base = match seen.place {
        Place::Buffer(_) => {
            let end = seen.offset.saturating_add(shape.rows * shape.cols);
            let numbers = others.get(&Operand::Numbers(seen.offset..end))?;
            MatRef::from_column_major_slice(numbers, shape.rows, shape.cols)
        }
        Place::Input(i) => input(i),
        Place::One => MatRef::from_ref(&one),
    };
    small::gathered(repeated(view(base, seen.transposed), seen), scratch)
}

/// A product of matrices of at most 3×3.
#[inline(never)]
fn tiny<T: Scalar>(
    brief: &Brief,
    [rows, inner, cols]: [usize; 3],
    transposed: [bool; 2],
    update: Update<T>,
    numbers: &mut [T],
) -> Option<()> {
    let (out, others) = split(numbers, &brief.dst)?;
    let load = |x: &[T], rows: usize, cols: usize, transposed: bool| match transposed {
        true => Tiny::load(rows, cols, |i, j| x[j + i * cols]),
        false => Tiny::load(rows, cols, |i, j| x[i + j * rows]),
    };
    let a = load(others.get(&brief.a)?, rows, inner, transposed[0]);
    let b = load(others.get(&brief.b)?, inner, cols, transposed[1]);
    a.times(&b, inner, cols).put(out, rows, update);
    Some(())
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
