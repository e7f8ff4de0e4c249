//! One pass over blocks of entries for a whole chain of elementwise operations.
//!
//! A block of every intermediate fits into the first-level cache; operands are read where they are if their
//! entries are contiguous there, and gathered into a block otherwise.

use crate::Scalar;
use crate::plan::{Arg, Elementwise, Step};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};
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
    Flat(&'a mut [T]),
    Strided(MatMut<'a, T>),
}

/// Runs a pass; `bad` receives the first step, in order of computation, that produces a number that is not
/// finite, if it is there to be told.
pub(crate) fn run<T: Scalar>(
    pass: &Elementwise,
    sources: &Sources<'_, T>,
    target: Target<'_, T>,
    scratch: &mut [T],
    mut bad: Option<&mut Option<usize>>,
) {
    let (staged, registers) = scratch.split_at_mut(pass.operands.len() * BLOCK);
    let constants = |len: usize, staged: &mut [T]| {
        for (source, block) in sources.iter().zip(staged.chunks_exact_mut(BLOCK)) {
            if let Source::Constant(c) = source {
                block[..len.min(BLOCK)].fill(*c);
            }
        }
    };
    match target {
        Target::Flat(out) => {
            constants(out.len(), staged);
            let mut start = 0;
            for out in out.chunks_mut(BLOCK) {
                let range = start..start + out.len();
                start = range.end;
                for (source, block) in sources.iter().zip(staged.chunks_exact_mut(BLOCK)) {
                    if let Source::Destination = source {
                        block[..out.len()].copy_from_slice(out);
                    }
                }
                let read = |i: usize| match sources[i] {
                    Source::Flat(x) => &x[range.clone()],
                    _ => &staged[i * BLOCK..i * BLOCK + range.len()],
                };
                block(pass, read, out, registers, bad.as_deref_mut());
            }
        }
        Target::Strided(out) if out.row_stride() != 1 && out.col_stride() == 1 => {
            let flipped: Option<Sources<'_, T>> = sources.iter().map(|source| source.transposed()).collect();
            match flipped {
                Some(sources) => columns(pass, &sources, out.transpose_mut(), staged, registers, bad),
                None => columns(pass, sources, out, staged, registers, bad),
            }
        }
        Target::Strided(out) => columns(pass, sources, out, staged, registers, bad),
    }
}

/// A pass over a matrix with any strides, column by column.
fn columns<T: Scalar>(
    pass: &Elementwise,
    sources: &Sources<'_, T>,
    mut out: MatMut<'_, T>,
    staged: &mut [T],
    registers: &mut [T],
    mut bad: Option<&mut Option<usize>>,
) {
    let (rows, cols) = (out.nrows(), out.ncols());
    let mut result = [T::default(); BLOCK];
    for j in 0..cols {
        for start in (0..rows).step_by(BLOCK) {
            let range = start..(start + BLOCK).min(rows);
            for (source, block) in sources.iter().zip(staged.chunks_exact_mut(BLOCK)) {
                let block = &mut block[..range.len()];
                match source {
                    Source::Constant(c) => block.fill(*c),
                    Source::Flat(x) => block.copy_from_slice(&x[j * rows..][range.clone()]),
                    Source::Destination => gather(out.rb(), range.start, j, block),
                    Source::Strided(x) if contiguous(*x, j).is_none() => gather(*x, range.start, j, block),
                    Source::Strided(_) => {}
                }
            }
            let read = |i: usize| {
                if let Source::Strided(x) = sources[i]
                    && let Some(column) = contiguous(x, j)
                {
                    return &column[range.clone()];
                }
                &staged[i * BLOCK..i * BLOCK + range.len()]
            };
            let column = out.rb_mut().col_mut(j);
            if let Some(column) = column.try_as_col_major_mut() {
                block(pass, read, &mut column.as_slice_mut()[range.clone()], registers, bad.as_deref_mut());
            } else {
                block(pass, read, &mut result[..range.len()], registers, bad.as_deref_mut());
                for (i, &value) in range.clone().zip(&result) {
                    out[(i, j)] = value;
                }
            }
        }
    }
}

fn contiguous<T>(x: MatRef<'_, T>, j: usize) -> Option<&[T]> {
    x.col(j).try_as_col_major().map(|column| column.as_slice())
}

fn gather<T: Copy>(x: MatRef<'_, T>, start: usize, j: usize, block: &mut [T]) {
    for (i, value) in block.iter_mut().enumerate() {
        *value = x[(start + i, j)];
    }
}

/// All steps on one block; the last writes to `out`.
fn block<'s, T: Scalar>(
    pass: &Elementwise,
    read: impl Fn(usize) -> &'s [T],
    out: &mut [T],
    registers: &mut [T],
    mut bad: Option<&mut Option<usize>>,
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
            && !result.iter().all(|x| x.is_finite())
        {
            *bad = Some(bad.map_or(k, |first| first.min(k)));
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
