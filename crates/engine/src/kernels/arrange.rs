//! Parts of matrices, and sums along them: products with matrices that are never stored.

use super::transpose;
use crate::Scalar;
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
            (Some(to), Some(from)) => {
                to.as_slice_mut()
                    .iter_mut()
                    .zip(from.as_slice())
                    .for_each(|(to, &from)| self.entry(to, from));
            }
            _ => to.iter_mut().zip(from.iter()).for_each(|(to, &from)| self.entry(to, from)),
        }
    }

    fn matrix(self, mut to: MatMut<'_, T>, from: MatRef<'_, T>) {
        if !self.accumulate {
            return transpose::copy(to, from, self.alpha);
        }
        for j in 0..to.ncols() {
            self.column(to.rb_mut().col_mut(j), from.col(j));
        }
    }
}

/// Where a list begins that counts up.
fn run(rows: &[usize]) -> Option<usize> {
    rows.first().copied().filter(|_| rows.windows(2).all(|pair| pair[0] + 1 == pair[1]))
}

/// `dst = alpha S a`, or `dst += alpha S a`, where row i of S is row `rows[i]` of the identity matrix.
pub(crate) fn select<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, rows: &[usize], update: Update<T>) {
    if let Some(start) = run(rows) {
        return update.matrix(dst, a.subrows(start, rows.len()));
    }
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
    if let Some(start) = run(rows) {
        if !update.accumulate {
            let (before, rest) = dst.rb_mut().split_at_row_mut(start);
            let after = rest.split_at_row_mut(rows.len()).1;
            [before, after].into_iter().for_each(fill_with_zeros);
        }
        return update.matrix(dst.subrows_mut(start, rows.len()), a);
    }
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

fn fill_with_zeros<T: Scalar>(dst: MatMut<'_, T>) {
    let dst = if dst.row_stride() != 1 && dst.col_stride() == 1 { dst.transpose_mut() } else { dst };
    for mut column in dst.col_iter_mut() {
        match column.rb_mut().try_as_col_major_mut() {
            Some(column) => column.as_slice_mut().fill(T::default()),
            None => column.fill(T::default()),
        }
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
            fill_with_zeros(to.rb_mut().subrows_mut(outside.start, outside.len()).as_mat_mut());
        }
        if !crosswise {
            update.column(to.subrows_mut(rows.start, rows.len()), a.col(j).subrows(rows.start, rows.len()));
        }
    }
}

/// `dst = alpha T a`, where T is a triangle of ones: sums of the entries of every column from its beginning, or to its
/// end.
pub(crate) fn cumulative_sums<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, alpha: T, part: Triangle) {
    let most = dst.nrows().max(a.nrows());
    for j in 0..dst.ncols() {
        let (mut to, from) = (dst.rb_mut().col_mut(j), a.col(j));
        let mut sum = T::default();
        if to.nrows() == from.nrows()
            && let (Some(to), Some(from)) = (to.rb_mut().try_as_col_major_mut(), from.try_as_col_major())
        {
            let pairs = to.as_slice_mut().iter_mut().zip(from.as_slice());
            let step = |(to, &from): (&mut T, &T)| {
                let before = sum;
                sum += from;
                *to = alpha * if part.strict { before } else { sum };
            };
            if part.upper {
                pairs.rev().for_each(step)
            } else {
                pairs.for_each(step)
            }
            continue;
        }
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
