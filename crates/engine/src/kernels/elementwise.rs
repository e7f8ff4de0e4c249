//! One pass over blocks of entries for a whole chain of elementwise operations.
//!
//! A block of every intermediate fits into the first-level cache; operands are read where they are if their
//! entries are contiguous there, and gathered into a block otherwise.

use crate::Scalar;
use crate::plan::{Arg, Elementwise, Step};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};
use pullback_tape::Shape;
use smallvec::SmallVec;

/// Entries per block.
pub(crate) const BLOCK: usize = 256;

/// An operand of a pass.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, T> {
    /// Contiguous entries, in the same order as those of the destination.
    Flat(&'a [T]),
    /// A matrix with any strides.
    Strided(MatRef<'a, T>),
    /// One number.
    Constant(T),
    /// What the destination held before.
    Destination,
}

impl<'a, T> Source<'a, T> {
    /// The first columns, of so many rows each, and the others.
    pub(crate) fn split(&self, cols: usize, rows: usize) -> (Self, Self)
    where
        T: Copy,
    {
        match *self {
            Source::Flat(x) => {
                let (left, right) = x.split_at(cols * rows);
                (Source::Flat(left), Source::Flat(right))
            }
            Source::Strided(x) => {
                let (left, right) = x.split_at_col(cols);
                (Source::Strided(left), Source::Strided(right))
            }
            other => (other, other),
        }
    }

    fn transposed(&self) -> Option<Source<'a, T>>
    where
        T: Copy,
    {
        match *self {
            Source::Strided(x) => Some(Source::Strided(x.transpose())),
            Source::Flat(_) => None,
            other => Some(other),
        }
    }
}

pub(crate) type Sources<'a, T> = SmallVec<[Source<'a, T>; 16]>;

/// The scratch that a pass needs.
pub(crate) fn scratch(pass: &Elementwise) -> usize {
    (pass.operands.len() + pass.steps.len()) * BLOCK
}

/// Where a pass writes.
pub(crate) enum Target<'a, T> {
    /// Contiguous entries, column by column.
    Flat(&'a mut [T]),
    /// A matrix with any strides.
    Strided(MatMut<'a, T>),
}

/// Where the first number that is not finite came up: in which step, in order of computation, and in which entry.
#[derive(Clone, Copy)]
pub(crate) struct Bad {
    pub(crate) step: usize,
    pub(crate) row: usize,
    pub(crate) col: usize,
}

/// Runs a pass over a matrix of the given shape; `bad` receives the first number that is not finite, if it is
/// there to be told.
pub(crate) fn run<T: Scalar>(
    pass: &Elementwise,
    sources: &Sources<'_, T>,
    mut target: Target<'_, T>,
    shape: Shape,
    scratch: &mut [T],
    bad: Option<&mut Option<Bad>>,
) {
    // Along the rows, if that is how the target lies in memory and nothing speaks against it.
    if let Target::Strided(out) = &mut target
        && out.row_stride() != 1
        && out.col_stride() == 1
    {
        let flipped: Option<Sources<'_, T>> = sources.iter().map(Source::transposed).collect();
        if let Some(sources) = flipped {
            let target = Target::Strided(out.rb_mut().transpose_mut());
            let mut found = None;
            let told = bad.is_some().then_some(&mut found);
            along_columns(pass, &sources, target, shape.transposed(), scratch, told);
            if let Some(bad) = bad {
                *bad = found.map(|Bad { step, row, col }| Bad { step, row: col, col: row });
            }
            return;
        }
    }
    along_columns(pass, sources, target, shape, scratch, bad);
}

/// A run of entries, column by column, that begins at row `i` of column `j`.
struct Span {
    i: usize,
    j: usize,
    rows: usize,
    len: usize,
}

impl Span {
    /// The entries of a matrix where they are, if they are contiguous there.
    fn of<'a, T>(&self, x: MatRef<'a, T>) -> Option<&'a [T]> {
        if self.i + self.len > self.rows {
            return None;
        }
        x.col(self.j).try_as_col_major().map(|column| &column.as_slice()[self.i..self.i + self.len])
    }

    fn of_mut<'a, T>(&self, x: MatMut<'a, T>) -> Option<&'a mut [T]> {
        if self.i + self.len > self.rows {
            return None;
        }
        x.col_mut(self.j)
            .try_as_col_major_mut()
            .map(|column| &mut column.as_slice_mut()[self.i..self.i + self.len])
    }

    /// Calls `visit` with the part of every column: its index, its first row and where it is in the span.
    fn columns(&self, mut visit: impl FnMut(usize, usize, std::ops::Range<usize>)) {
        let (mut i, mut j, mut done) = (self.i, self.j, 0);
        while done < self.len {
            let end = self.len.min(done + self.rows - i);
            visit(j, i, done..end);
            (i, j, done) = (0, j + 1, end);
        }
    }

    fn gather<T: Copy>(&self, x: MatRef<'_, T>, block: &mut [T]) {
        self.columns(|j, i, part| {
            let block = &mut block[part];
            match x.col(j).try_as_col_major() {
                Some(column) => block.copy_from_slice(&column.as_slice()[i..i + block.len()]),
                None => {
                    for (k, value) in block.iter_mut().enumerate() {
                        *value = x[(i + k, j)];
                    }
                }
            }
        });
    }

    fn scatter<T: Copy>(&self, block: &[T], mut x: MatMut<'_, T>) {
        self.columns(|j, i, part| {
            for (k, &value) in block[part].iter().enumerate() {
                x[(i + k, j)] = value;
            }
        });
    }
}

fn along_columns<T: Scalar>(
    pass: &Elementwise,
    sources: &Sources<'_, T>,
    mut target: Target<'_, T>,
    Shape { rows, cols }: Shape,
    scratch: &mut [T],
    mut bad: Option<&mut Option<Bad>>,
) {
    let (staged, registers) = scratch.split_at_mut(pass.operands.len() * BLOCK);
    for start in (0..rows * cols).step_by(BLOCK) {
        let range = start..(start + BLOCK).min(rows * cols);
        let span = Span { i: start % rows, j: start / rows, rows, len: range.len() };
        for (source, block) in sources.iter().zip(staged.chunks_exact_mut(BLOCK)) {
            let block = &mut block[..range.len()];
            match (source, &target) {
                // Later blocks find it filled.
                (Source::Constant(c), _) if start == 0 => block.fill(*c),
                (Source::Destination, Target::Flat(out)) => block.copy_from_slice(&out[range.clone()]),
                (Source::Destination, Target::Strided(out)) => span.gather(out.rb(), block),
                (Source::Strided(x), _) if span.of(*x).is_none() => span.gather(*x, block),
                _ => {}
            }
        }
        let staged = &*staged;
        let read = |i: usize| {
            let block = &staged[i * BLOCK..i * BLOCK + range.len()];
            match sources[i] {
                Source::Flat(x) => &x[range.clone()],
                Source::Strided(x) => span.of(x).unwrap_or(block),
                Source::Constant(_) | Source::Destination => block,
            }
        };
        let in_place = match &mut target {
            Target::Flat(out) => Some(&mut out[range.clone()]),
            Target::Strided(out) => span.of_mut(out.rb_mut()),
        };
        if let Some(out) = in_place {
            block(pass, &span, read, out, registers, bad.as_deref_mut());
        } else if let Target::Strided(out) = &mut target {
            // The last step has a register for this.
            let (registers, result) = registers.split_at_mut(pass.steps.len().saturating_sub(1) * BLOCK);
            block(pass, &span, read, &mut result[..range.len()], registers, bad.as_deref_mut());
            span.scatter(result, out.rb_mut());
        }
    }
}

/// All steps on one block; the last writes to `out`.
fn block<'s, T: Scalar>(
    pass: &Elementwise,
    span: &Span,
    read: impl Fn(usize) -> &'s [T],
    out: &mut [T],
    registers: &mut [T],
    mut bad: Option<&mut Option<Bad>>,
) {
    let len = out.len();
    let last = pass.steps.len().saturating_sub(1);
    for (k, (step, _)) in pass.steps.iter().enumerate() {
        let (done, rest) = registers.split_at_mut(k * BLOCK);
        let of = |arg: Arg| match arg {
            Arg::Operand(i) => read(i),
            Arg::Step(i) => &done[i * BLOCK..i * BLOCK + len],
        };
        let result: &mut [T] = if k == last { &mut *out } else { &mut rest[..len] };
        apply(step, of, result);
        if let Some(bad) = bad.as_deref_mut()
            && bad.is_none_or(|first| k < first.step)
            && let Some(at) = result.iter().position(|x| !x.is_finite())
        {
            let (row, col) = ((span.i + at) % span.rows, span.j + (span.i + at) / span.rows);
            *bad = Some(Bad { step: k, row, col });
        }
    }
}

fn apply<'s, T: Scalar>(step: &Step, of: impl Fn(Arg) -> &'s [T], out: &mut [T]) {
    match *step {
        Step::Scale(1.0, a) => out.copy_from_slice(of(a)),
        Step::Scale(c, a) => {
            let c = T::from_f64(c);
            for (out, &a) in out.iter_mut().zip(of(a)) {
                *out = c * a;
            }
        }
        Step::Add(c, a, d, b) => match (c, d) {
            (1.0, 1.0) => combine(of(a), of(b), out, |a, b| a + b),
            (1.0, -1.0) => combine(of(a), of(b), out, |a, b| a - b),
            _ => {
                let (c, d) = (T::from_f64(c), T::from_f64(d));
                combine(of(a), of(b), out, |a, b| c * a + d * b);
            }
        },
        Step::Mul(1.0, a, b) => combine(of(a), of(b), out, |a, b| a * b),
        Step::Mul(c, a, b) => {
            let c = T::from_f64(c);
            combine(of(a), of(b), out, |a, b| c * a * b);
        }
        Step::Div(1.0, a, b) => combine(of(a), of(b), out, |a, b| a / b),
        Step::Div(c, a, b) => {
            let c = T::from_f64(c);
            combine(of(a), of(b), out, |a, b| c * a / b);
        }
        Step::Map(f, a) => T::map(f, of(a), out),
    }
}

fn combine<T: Scalar>(a: &[T], b: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = f(a, b);
    }
}
