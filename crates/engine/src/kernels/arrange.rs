//! Parts of matrices, and sums along them: products with matrices that are never stored.

use super::{reduce, transpose};
use crate::Scalar;
use crate::plan::Around;
use faer::prelude::ReborrowMut;
use faer::{ColMut, ColRef, MatMut, MatRef};
use std::ops::Range;

/// What becomes of the result: it is multiplied by `alpha`, and replaces what was there before or is added to it.
#[derive(Clone, Copy)]
pub(crate) struct Update<T> {
    pub(crate) alpha: T,
    pub(crate) accumulate: bool,
}

impl<T: Scalar> Update<T> {
    fn entry(self, to: &mut T, from: T) {
        let value = self.alpha * from;
        *to = if self.accumulate { *to + value } else { value };
    }

    fn column(self, mut to: ColMut<'_, T>, from: ColRef<'_, T>) {
        match (to.rb_mut().try_as_col_major_mut(), from.try_as_col_major()) {
            (Some(to), Some(from)) if !self.accumulate && self.alpha == T::from_f64(1.0) => {
                to.as_slice_mut().copy_from_slice(from.as_slice());
            }
            (Some(to), Some(from)) => {
                to.as_slice_mut()
                    .iter_mut()
                    .zip(from.as_slice())
                    .for_each(|(to, &from)| self.entry(to, from));
            }
            _ => to.iter_mut().zip(from.iter()).for_each(|(to, &from)| self.entry(to, from)),
        }
    }
}

/// `dst = alpha S a`, or `dst += alpha S a`, where row i of S is row `rows[i]` of the identity matrix.
pub(crate) fn select<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, rows: &[usize], update: Update<T>) {
    if dst.row_stride() != 1 && dst.col_stride() == 1 {
        // Rows are contiguous.
        for (i, &row) in rows.iter().enumerate() {
            update.column(dst.rb_mut().row_mut(i).transpose_mut(), a.row(row).transpose());
        }
        return;
    }
    for j in 0..dst.ncols() {
        let (to, from) = (dst.rb_mut().col_mut(j), a.col(j));
        match from.try_as_col_major() {
            Some(from) => {
                let from = from.as_slice();
                to.iter_mut().zip(rows).for_each(|(to, &row)| update.entry(to, from[row]));
            }
            None => to.iter_mut().zip(rows).for_each(|(to, &row)| update.entry(to, from[row])),
        }
    }
}

/// `dst = alpha Sᵀ a`, or `dst += alpha Sᵀ a`: every row goes back to where [`select`] takes it from.
pub(crate) fn put_back<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    rows: &[usize],
    update: Update<T>,
) {
    if !update.accumulate {
        fill_with_zeros(dst.rb_mut());
    }
    let update = Update { accumulate: true, ..update };
    if dst.row_stride() != 1 && dst.col_stride() == 1 {
        for (i, &row) in rows.iter().enumerate() {
            update.column(dst.rb_mut().row_mut(row).transpose_mut(), a.row(i).transpose());
        }
        return;
    }
    for j in 0..dst.ncols() {
        let (mut to, from) = (dst.rb_mut().col_mut(j), a.col(j));
        match to.rb_mut().try_as_col_major_mut() {
            Some(to) => {
                let to = to.as_slice_mut();
                from.iter().zip(rows).for_each(|(&from, &row)| update.entry(&mut to[row], from));
            }
            None => from.iter().zip(rows).for_each(|(&from, &row)| update.entry(&mut to[row], from)),
        }
    }
}

/// `alpha a` in the part of `dst` that begins in row i and column j.
pub(crate) fn put<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    [i, j]: [usize; 2],
    alpha: T,
    around: Around,
) {
    if dst.row_stride() != 1 && dst.col_stride() == 1 {
        return put(dst.transpose_mut(), a.transpose(), [j, i], alpha, around);
    }
    let (rows, cols) = (a.nrows(), a.ncols());
    if around == Around::Zeros {
        fill_with_zeros(dst.rb_mut().subcols_mut(0, j));
        let after = dst.ncols() - j - cols;
        fill_with_zeros(dst.rb_mut().subcols_mut(j + cols, after));
    }
    let (mut dst, crosswise) = (dst.subcols_mut(j, cols), transpose::is_crosswise(a));
    let zeros = around == Around::Zeros;
    if crosswise && zeros {
        transpose::copy(dst.rb_mut().subrows_mut(i, rows), a, alpha);
    }
    let update = Update { alpha, accumulate: !zeros };
    for (mut column, from) in dst.col_iter_mut().zip(a.col_iter()) {
        if !(crosswise && zeros) {
            update.column(column.rb_mut().subrows_mut(i, rows), from);
        }
        if zeros {
            let after = column.nrows() - i - rows;
            fill(column.rb_mut().subrows_mut(0, i));
            fill(column.subrows_mut(i + rows, after));
        }
    }
}

/// So many columns of all parts are copied before the next: they lie side by side in memory.
const STRIP: usize = 8;

/// Matrices with their coefficients under each other, or beside each other, which fill `dst`.
pub(crate) fn stack<'a, T: Scalar>(
    dst: MatMut<'_, T>,
    parts: impl Iterator<Item = (MatRef<'a, T>, T)> + Clone,
    under: bool,
) {
    let (width, dst) = match under {
        true if dst.row_stride() == 1 => (STRIP, dst),
        true => (dst.ncols(), dst),
        false => (dst.nrows(), dst.transpose_mut()),
    };
    let (cols, mut rest) = (dst.ncols(), dst);
    for j in (0..cols).step_by(width.max(1)) {
        let width = width.min(cols - j);
        let (mut strip, others) = rest.split_at_col_mut(width);
        rest = others;
        let mut i = 0;
        for (part, alpha) in parts.clone() {
            let part = if under { part } else { part.transpose() };
            let rows = part.nrows();
            transpose::copy(strip.rb_mut().subrows_mut(i, rows), part.subcols(j, width), alpha);
            i += rows;
        }
    }
}

/// `dst = 0`
pub(crate) fn fill_with_zeros<T: Scalar>(dst: MatMut<'_, T>) {
    let dst = if dst.row_stride() != 1 && dst.col_stride() == 1 { dst.transpose_mut() } else { dst };
    dst.col_iter_mut().for_each(fill);
}

fn fill<T: Scalar>(mut column: ColMut<'_, T>) {
    match column.rb_mut().try_as_col_major_mut() {
        Some(column) => column.as_slice_mut().fill(T::default()),
        None => column.fill(T::default()),
    }
}

/// Which entries of a matrix belong to a triangle.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Triangle {
    pub(crate) upper: bool,
    pub(crate) strict: bool,
}

impl Triangle {
    pub(crate) fn transposed(self) -> Self {
        Triangle { upper: !self.upper, ..self }
    }

    /// The rows of column j that belong to it, of so many.
    pub(super) fn rows(self, j: usize, rows: usize) -> Range<usize> {
        match (self.upper, self.strict) {
            (false, strict) => (j + usize::from(strict)).min(rows)..rows,
            (true, strict) => 0..(j + usize::from(!strict)).min(rows),
        }
    }
}

/// `dst = alpha a` in the triangle, and 0 elsewhere, whatever `a` holds there.
pub(crate) fn triangle<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, alpha: T, part: Triangle) {
    if dst.row_stride() != 1 && dst.col_stride() == 1 {
        return triangle(dst.transpose_mut(), a.transpose(), alpha, part.transposed());
    }
    let crosswise = transpose::is_crosswise(a);
    if crosswise {
        transpose::copy(dst.rb_mut(), a, alpha);
    }
    let update = Update { alpha, accumulate: false };
    for j in 0..dst.ncols() {
        let rows = part.rows(j, dst.nrows());
        let mut to = dst.rb_mut().col_mut(j);
        for outside in [0..rows.start, rows.end..to.nrows()] {
            fill(to.rb_mut().subrows_mut(outside.start, outside.len()));
        }
        if !crosswise {
            update.column(to.subrows_mut(rows.start, rows.len()), a.col(j).subrows(rows.start, rows.len()));
        }
    }
}

/// The entries of `a` at the [positions](reduce::positions) of their columns, and 0 elsewhere.
pub(crate) fn kept_at<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, positions: MatRef<'_, T>) {
    fill_with_zeros(dst.rb_mut());
    for j in 0..dst.ncols() {
        let i = reduce::position(positions, j);
        if i < dst.nrows() {
            dst[(i, j)] = a[(i, j)];
        }
    }
}

/// `dst = alpha T a`, where T is a triangle of ones: sums of the entries of every column from its beginning, or to its
/// end. However the matrices are stored, every sum is taken in this order.
pub(crate) fn cumulative_sums<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, alpha: T, part: Triangle) {
    let square = dst.nrows() == a.nrows();
    let by_columns = dst.row_stride() == 1;
    if square && by_columns && a.row_stride() == 1 {
        let mut pairs = dst.col_iter_mut().zip(a.col_iter()).map_while(|(to, from)| {
            Some((to.try_as_col_major_mut()?.as_slice_mut(), from.try_as_col_major()?.as_slice()))
        });
        // Four side by side, so that additions do not wait for each other.
        while let Some(first) = pairs.next() {
            match [pairs.next(), pairs.next(), pairs.next()] {
                [Some(second), Some(third), Some(fourth)] => {
                    let entries = [first, second, third, fourth].map(|(to, from)| to.iter_mut().zip(from));
                    let [first, second, third, fourth] = entries;
                    let four = first.zip(second).zip(third).zip(fourth);
                    directed(four.map(|(((p, q), r), s)| [p, q, r, s]), alpha, part);
                }
                others => [Some(first)].into_iter().chain(others).flatten().for_each(|(to, from)| {
                    directed(to.iter_mut().zip(from).map(|pair| [pair]), alpha, part);
                }),
            }
        }
        return;
    }
    if square && by_columns && transpose::is_crosswise(a) {
        transpose::copy(dst.rb_mut(), a, T::from_f64(1.0));
        for column in dst.col_iter_mut().filter_map(ColMut::try_as_col_major_mut) {
            let mut sum = T::default();
            let step = |entry: &mut T| {
                let before = sum;
                sum += *entry;
                *entry = alpha * if part.strict { before } else { sum };
            };
            let column = column.as_slice_mut().iter_mut();
            if part.upper { column.rev().for_each(step) } else { column.for_each(step) }
        }
        return;
    }
    if square && !by_columns && dst.col_stride() == 1 && a.col_stride() == 1 {
        return sums_of_rows(dst.transpose_mut(), a.transpose(), alpha, part);
    }
    let most = dst.nrows().max(a.nrows());
    for j in 0..dst.ncols() {
        let (mut to, from) = (dst.rb_mut().col_mut(j), a.col(j));
        let mut sum = T::default();
        for step in 0..most {
            let i = if part.upper { most - 1 - step } else { step };
            let term = if i < from.nrows() { from[i] } else { T::default() };
            if !part.strict {
                sum += term;
            }
            if i < to.nrows() {
                to[i] = alpha * sum;
            }
            if part.strict {
                sum += term;
            }
        }
    }
}

/// The sums of some columns, entry by entry from the beginning, or from the end.
#[inline(always)]
fn directed<'a, T: Scalar, const K: usize>(
    rows: impl DoubleEndedIterator<Item = [(&'a mut T, &'a T); K]> + ExactSizeIterator,
    alpha: T,
    part: Triangle,
) {
    match (part.upper, part.strict) {
        (false, false) => sums::<false, T, K>(rows, alpha),
        (false, true) => sums::<true, T, K>(rows, alpha),
        (true, false) => sums::<false, T, K>(rows.rev(), alpha),
        (true, true) => sums::<true, T, K>(rows.rev(), alpha),
    }
}

#[inline(always)]
fn sums<'a, const STRICT: bool, T: Scalar, const K: usize>(
    rows: impl Iterator<Item = [(&'a mut T, &'a T); K]>,
    alpha: T,
) {
    let mut sums = [T::default(); K];
    rows.for_each(|row| {
        for ((to, &from), sum) in row.into_iter().zip(&mut sums) {
            let before = *sum;
            *sum += from;
            *to = alpha * if STRICT { before } else { *sum };
        }
    });
}

/// [`cumulative_sums`] with the transposes of all: a column is added to the sum of those before it, or behind it.
fn sums_of_rows<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, alpha: T, part: Triangle) {
    let cols = dst.ncols();
    let at = |step: usize| if part.upper { cols - 1 - step } else { step };
    let zero = T::default();
    let scale = |column: &mut [T]| {
        if alpha != T::from_f64(1.0) {
            column.iter_mut().for_each(|sum| *sum = alpha * *sum);
        }
    };
    for step in 0..cols {
        let j = at(step);
        let added = if part.strict { step.checked_sub(1).map(at) } else { Some(j) };
        let from = added.and_then(|j| Some(a.col(j).try_as_col_major()?.as_slice()));
        // The sums before these, and these.
        let middle = if part.upper { j + 1 } else { j };
        let (left, right) = dst.rb_mut().split_at_col_mut(middle);
        let (before, now) = if part.upper {
            (right.col_iter_mut().next(), left.col_iter_mut().next_back())
        } else {
            (left.col_iter_mut().next_back(), right.col_iter_mut().next())
        };
        let Some(now) = now.and_then(|now| now.try_as_col_major_mut()) else { continue };
        let now = now.as_slice_mut();
        match (before.and_then(|before| before.try_as_col_major_mut()), from) {
            (Some(before), Some(from)) => {
                let before = before.as_slice_mut();
                for ((now, &before), &from) in now.iter_mut().zip(&*before).zip(from) {
                    *now = before + from;
                }
                scale(before);
            }
            (_, Some(from)) => now.iter_mut().zip(from).for_each(|(now, &from)| *now = zero + from),
            (_, None) => now.fill(zero),
        }
        if step + 1 == cols {
            scale(now);
        }
    }
}

/// `dst = alpha a`, entry by entry down the columns, whatever the shapes are.
pub(crate) fn reshape<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, alpha: T) {
    let mut entries = (0..a.ncols()).flat_map(|j| a.col(j).iter());
    let mut columns =
        a.col_iter().map_while(|column| column.try_as_col_major()).map(|column| column.as_slice());
    let (contiguous, mut rest) = (a.row_stride() == 1, &[][..]);
    for j in 0..dst.ncols() {
        let mut to = dst.rb_mut().col_mut(j);
        match to.rb_mut().try_as_col_major_mut() {
            Some(to) if contiguous => {
                let mut to = to.as_slice_mut();
                while !to.is_empty() {
                    if rest.is_empty() {
                        let Some(column) = columns.next() else { break };
                        rest = column;
                    }
                    let len = rest.len().min(to.len());
                    let (now, later) = std::mem::take(&mut to).split_at_mut(len);
                    now.iter_mut().zip(&rest[..len]).for_each(|(to, &from)| *to = alpha * from);
                    (to, rest) = (later, &rest[len..]);
                }
            }
            _ => to.iter_mut().zip(&mut entries).for_each(|(to, &from)| *to = alpha * from),
        }
    }
}
