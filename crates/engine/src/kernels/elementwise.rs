//! One pass over blocks of entries for a whole chain of elementwise operations.
//!
//! A block of every intermediate fits into the first-level cache; operands are read where they are if their
//! entries are contiguous there, and gathered into a block otherwise.

use super::reduce::{Total, block_sum};
use super::tile::{BLOCK, PANEL, Tile};
use super::transpose::{gather, is_crosswise, scatter};
use super::vector::{self, Loop};
use crate::Scalar;
use crate::plan::{Arg, Elementwise, Step};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{ColMut, MatMut, MatRef};
use pullback_tape::Shape;
use smallvec::SmallVec;

/// An operand of a pass.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, T> {
    /// Contiguous entries, column by column.
    Flat(&'a [T]),
    /// A matrix with any strides.
    Strided(MatRef<'a, T>),
    /// Columns of a matrix that a list holds, or rows.
    Picked { from: MatRef<'a, T>, list: &'a [usize], rows: bool },
    /// One number.
    Constant(T),
    /// What the destination held before.
    Destination,
}

impl<'a, T: Scalar> Source<'a, T> {
    /// The first columns, of so many rows each, and the others.
    pub(crate) fn split(&self, cols: usize, rows: usize) -> (Self, Self) {
        match *self {
            Source::Flat(x) => {
                let (left, right) = x.split_at(cols * rows);
                (Source::Flat(left), Source::Flat(right))
            }
            Source::Strided(x) => {
                let (left, right) = x.split_at_col(cols);
                (Source::Strided(left), Source::Strided(right))
            }
            Source::Picked { from, list, rows: true } => {
                let (left, right) = from.split_at_col(cols);
                let picked = |from| Source::Picked { from, list, rows: true };
                (picked(left), picked(right))
            }
            Source::Picked { from, list, rows: false } => {
                let (left, right) = list.split_at(cols);
                let picked = |list| Source::Picked { from, list, rows: false };
                (picked(left), picked(right))
            }
            other => (other, other),
        }
    }

    fn transposed(&self, Shape { rows, cols }: Shape) -> Source<'a, T> {
        match *self {
            Source::Strided(x) => Source::Strided(x.transpose()),
            Source::Flat(x) => Source::Strided(MatRef::from_row_major_slice(x, cols, rows)),
            Source::Picked { from, list, rows } => {
                Source::Picked { from: from.transpose(), list, rows: !rows }
            }
            other => other,
        }
    }

    /// Whether it is stored by rows, so that reading along the columns is slow.
    fn is_crosswise(&self) -> bool {
        matches!(self, Source::Strided(x) if is_crosswise(*x))
    }

    /// The entries of a tile where they are, if they are contiguous there.
    #[inline(always)]
    fn stored(&self, tile: Tile, Shape { rows, .. }: Shape) -> Option<&'a [T]> {
        match *self {
            Source::Flat(x) if tile.cols == 1 || tile.rows == rows => {
                x.get(tile.i + tile.j * rows..)?.get(..tile.len())
            }
            Source::Strided(x) if tile.cols == 1 => {
                x.col(tile.j).try_as_col_major()?.as_slice().get(tile.i..tile.i + tile.rows)
            }
            Source::Picked { from, list, rows: false } if tile.cols == 1 => {
                from.col(list[tile.j]).try_as_col_major()?.as_slice().get(tile.i..tile.i + tile.rows)
            }
            _ => None,
        }
    }

    /// The entries of a tile where they are, or else in the block.
    #[inline(always)]
    pub(crate) fn read<'b>(&self, tile: Tile, shape: Shape, block: &'b mut [T]) -> &'b [T]
    where
        'a: 'b,
    {
        if let Some(stored) = self.stored(tile, shape) {
            return stored;
        }
        let block = &mut block[..tile.len()];
        self.gather(tile, shape, block);
        block
    }

    fn gather(&self, tile: Tile, Shape { rows, cols }: Shape, block: &mut [T]) {
        match *self {
            Source::Flat(x) => gather(MatRef::from_column_major_slice(x, rows, cols), tile, block),
            Source::Strided(x) => gather(x, tile, block),
            Source::Picked { from, list, rows: false } => {
                for (column, &j) in block.chunks_exact_mut(tile.rows).zip(&list[tile.j..]) {
                    gather(from, Tile { j, cols: 1, ..tile }, column);
                }
            }
            Source::Picked { from, list, rows: true } => {
                for (column, j) in block.chunks_exact_mut(tile.rows).zip(tile.j..) {
                    column.iter_mut().zip(&list[tile.i..]).for_each(|(to, &i)| *to = from[(i, j)]);
                }
            }
            Source::Constant(c) => block.fill(c),
            Source::Destination => {}
        }
    }
}

pub(crate) type Sources<'a, T> = SmallVec<[Source<'a, T>; 16]>;

/// The scratch that a pass needs.
pub(crate) fn scratch(pass: &Elementwise) -> usize {
    pass.operands.len() * PANEL + pass.steps.len() * BLOCK
}

/// Where a pass writes.
pub(crate) enum Target<'a, T> {
    /// Contiguous entries, column by column.
    Flat(&'a mut [T]),
    /// A matrix with any strides.
    Strided(MatMut<'a, T>),
    /// The sum of all entries, which are not kept.
    Sum(&'a mut Total<T>),
    /// Every column is multiplied by a number, and added to the column that a list holds.
    Columns { to: MatMut<'a, T>, list: &'a [usize], alpha: T },
}

impl<T: Scalar> Target<'_, T> {
    /// The entries of a tile where they are, if they are contiguous there.
    #[inline(always)]
    fn stored(&mut self, tile: Tile, Shape { rows, .. }: Shape) -> Option<&mut [T]> {
        match self {
            Target::Flat(out) if tile.cols == 1 || tile.rows == rows => {
                out.get_mut(tile.i + tile.j * rows..)?.get_mut(..tile.len())
            }
            Target::Strided(out) if tile.cols == 1 => out
                .rb_mut()
                .col_mut(tile.j)
                .try_as_col_major_mut()?
                .as_slice_mut()
                .get_mut(tile.i..tile.i + tile.rows),
            _ => None,
        }
    }
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
    // Along the rows, if that is how the target lies in memory.
    if let Target::Strided(out) = &mut target
        && is_crosswise(out.as_ref())
    {
        let sources = sources.iter().map(|source| source.transposed(shape)).collect();
        let target = Target::Strided(out.rb_mut().transpose_mut());
        let mut found = None;
        let told = bad.is_some().then_some(&mut found);
        in_tiles(pass, &sources, target, shape.transposed(), scratch, told);
        if let Some(bad) = bad {
            *bad = found.map(|Bad { step, row, col }| Bad { step, row: col, col: row });
        }
        return;
    }
    in_tiles(pass, sources, target, shape, scratch, bad);
}

fn in_tiles<T: Scalar>(
    pass: &Elementwise,
    sources: &Sources<'_, T>,
    target: Target<'_, T>,
    shape: Shape,
    scratch: &mut [T],
    bad: Option<&mut Option<Bad>>,
) {
    let sum = matches!(target, Target::Sum(_));
    let mut walk = Walk { pass, sources, target, shape, bad };
    // A sum's order must not depend on how its operands lie in memory.
    if !sum && sources.iter().any(Source::is_crosswise) {
        walk.in_panels(scratch);
    } else {
        walk.along_columns(scratch);
    }
}

/// A pass on its way over the tiles of a matrix. The tiles may come in any order, and a part of them may be left to
/// somebody else.
struct Walk<'a, 's, 'b, T: Scalar> {
    pass: &'a Elementwise,
    sources: &'a Sources<'s, T>,
    target: Target<'a, T>,
    shape: Shape,
    bad: Option<&'b mut Option<Bad>>,
}

impl<T: Scalar> Walk<'_, '_, '_, T> {
    fn along_columns(&mut self, scratch: &mut [T]) {
        let (staged, registers) = scratch.split_at_mut(self.pass.operands.len() * PANEL);
        for (t, tile) in Tile::columns(self.shape).enumerate() {
            self.stage(tile, None, t == 0, staged);
            self.compute(tile, None, staged, registers);
        }
    }

    /// With the operands that are stored by rows gathered panel by panel.
    fn in_panels(&mut self, scratch: &mut [T]) {
        let (staged, registers) = scratch.split_at_mut(self.pass.operands.len() * PANEL);
        for (p, panel) in Tile::panels(self.shape).enumerate() {
            for (source, block) in self.sources.iter().zip(staged.chunks_exact_mut(PANEL)) {
                if source.is_crosswise() {
                    source.gather(panel, self.shape, &mut block[..panel.len()]);
                }
            }
            for (t, tile) in panel.parts().enumerate() {
                self.stage(tile, Some(panel), p + t == 0, staged);
                self.compute(tile, Some(panel), staged, registers);
            }
        }
    }

    /// Gathers the operands that are not contiguous in memory, nor in a panel.
    fn stage(&self, tile: Tile, panel: Option<Tile>, first: bool, staged: &mut [T]) {
        let (rows, cols) = (self.shape.rows, self.shape.cols);
        for (source, block) in self.sources.iter().zip(staged.chunks_exact_mut(PANEL)) {
            if panel.is_some() && source.is_crosswise() {
                continue;
            }
            let block = &mut block[..tile.len()];
            match (source, &self.target) {
                (Source::Destination, Target::Flat(out)) => {
                    gather(MatRef::from_column_major_slice(out, rows, cols), tile, block);
                }
                (Source::Destination, Target::Strided(out)) => gather(out.rb(), tile, block),
                // Later tiles, which are not larger, find it filled.
                (Source::Constant(_), _) if !first => {}
                // As they do with one column repeated, if they consist of whole columns.
                (Source::Strided(x), _) if x.col_stride() == 0 && tile.rows == rows && !first => {}
                _ if source.stored(tile, self.shape).is_some() => {}
                _ => source.gather(tile, self.shape, block),
            }
        }
    }

    fn compute(&mut self, tile: Tile, panel: Option<Tile>, staged: &[T], registers: &mut [T]) {
        let (sources, shape, len) = (self.sources, self.shape, tile.len());
        let read = |i: usize| {
            let source = &sources[i];
            let start = match panel {
                Some(panel) if source.is_crosswise() => (tile.j - panel.j) * tile.rows,
                _ => 0,
            };
            let block = &staged[i * PANEL + start..][..len];
            source.stored(tile, shape).unwrap_or(block)
        };
        // A register for every step but the last, which may have its own.
        let (registers, result) = registers.split_at_mut(self.pass.steps.len().saturating_sub(1) * BLOCK);
        match self.target.stored(tile, shape) {
            Some(out) => steps(self.pass, tile, read, out, registers, self.bad.as_deref_mut()),
            None => {
                let out = &mut result[..len];
                steps(self.pass, tile, read, out, registers, self.bad.as_deref_mut());
                match &mut self.target {
                    Target::Flat(to) => {
                        scatter(out, tile, MatMut::from_column_major_slice_mut(to, shape.rows, shape.cols));
                    }
                    Target::Strided(to) => scatter(out, tile, to.rb_mut()),
                    Target::Sum(total) => total.add(block_sum(out)),
                    Target::Columns { to, list, alpha } => {
                        for (column, &j) in out.chunks_exact(tile.rows).zip(&list[tile.j..]) {
                            let to = to.rb_mut().col_mut(j).subrows_mut(tile.i, tile.rows);
                            add_column(to, column, *alpha);
                        }
                    }
                }
            }
        }
    }
}

/// `to += alpha from`
fn add_column<T: Scalar>(mut to: ColMut<'_, T>, from: &[T], alpha: T) {
    match to.rb_mut().try_as_col_major_mut() {
        Some(to) => vector::run(AddTo { to: to.as_slice_mut(), from, alpha }),
        None => to.iter_mut().zip(from).for_each(|(to, &from)| *to += alpha * from),
    }
}

/// See [`add_column`]. The product is rounded, with whatever instructions.
struct AddTo<'a, T> {
    to: &'a mut [T],
    from: &'a [T],
    alpha: T,
}

impl<T: Scalar> Loop for AddTo<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let AddTo { to, from, alpha } = self;
        to.iter_mut().zip(from).for_each(|(to, &from)| *to += alpha * from);
    }
}

/// All steps on one block; the last writes to `out`.
#[inline(always)]
fn steps<'s, T: Scalar>(
    pass: &Elementwise,
    tile: Tile,
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
            let (row, col) = tile.position(at);
            *bad = Some(Bad { step: k, row, col });
        }
    }
}

/// One step on as many entries as `out` has.
#[inline(always)]
pub(crate) fn apply<'s, T: Scalar>(step: &Step, of: impl Fn(Arg) -> &'s [T], out: &mut [T]) {
    vector::run(Apply::new(step, of, out));
}

/// The same inside a loop that is compiled for vectors already.
#[inline(always)]
pub(crate) fn apply_within<'s, const FUSED: bool, T: Scalar>(
    step: &Step,
    of: impl Fn(Arg) -> &'s [T],
    out: &mut [T],
) {
    Apply::new(step, of, out).run::<FUSED>();
}

struct Apply<'a, T> {
    step: &'a Step,
    a: &'a [T],
    b: &'a [T],
    out: &'a mut [T],
}

impl<'a, T: Scalar> Apply<'a, T> {
    #[inline(always)]
    fn new<'s: 'a>(step: &'a Step, of: impl Fn(Arg) -> &'s [T], out: &'a mut [T]) -> Self {
        let (a, b) = match *step {
            Step::Scale(_, a) | Step::Map(_, a) => (of(a), &[][..]),
            Step::Add(_, a, _, b) | Step::Mul(_, a, b) | Step::Div(_, a, b) | Step::Zip(_, a, b) => {
                (of(a), of(b))
            }
        };
        Apply { step, a, b, out }
    }
}

impl<T: Scalar> Loop for Apply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Apply { step, a, b, out } = self;
        match *step {
            Step::Scale(1.0, _) => out.copy_from_slice(a),
            Step::Scale(c, _) => {
                let c = T::from_f64(c);
                for (out, &a) in out.iter_mut().zip(a) {
                    *out = c * a;
                }
            }
            Step::Add(1.0, _, 1.0, _) => combine(a, b, out, |a, b| a + b),
            Step::Add(1.0, _, -1.0, _) => combine(a, b, out, |a, b| a - b),
            Step::Add(c, _, d, _) => {
                let (c, d) = (T::from_f64(c), T::from_f64(d));
                combine(a, b, out, |a, b| c * a + d * b);
            }
            Step::Mul(1.0, ..) => combine(a, b, out, |a, b| a * b),
            Step::Mul(c, ..) => {
                let c = T::from_f64(c);
                combine(a, b, out, |a, b| c * a * b);
            }
            Step::Div(1.0, ..) => combine(a, b, out, |a, b| a / b),
            Step::Div(c, ..) => {
                let c = T::from_f64(c);
                combine(a, b, out, |a, b| c * a / b);
            }
            Step::Map(f, _) => T::map::<FUSED>(f, a, out),
            Step::Zip(f, ..) => T::zip(f, a, b, out),
        }
    }
}

#[inline(always)]
pub(crate) fn combine<T: Copy>(a: &[T], b: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = f(a, b);
    }
}
