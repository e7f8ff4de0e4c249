//! Parts of matrices, and sums along them: products with matrices that are never stored.

use crate::Scalar;
use faer::prelude::ReborrowMut;
use faer::{MatMut, MatRef};

/// What becomes of the result: it is multiplied by `alpha`, and replaces what was there before or is added to it.
#[derive(Clone, Copy)]
pub(crate) struct Update<T> {
    pub(crate) alpha: T,
    pub(crate) accumulate: bool,
}

/// `dst = alpha S a`, or `dst += alpha S a`, where row i of S is row `rows[i]` of the identity matrix.
pub(crate) fn select<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, rows: &[usize], update: Update<T>) {
    let Update { alpha, accumulate } = update;
    for j in 0..dst.ncols() {
        let (to, from) = (dst.rb_mut().col_mut(j), a.col(j));
        for (entry, &row) in to.iter_mut().zip(rows) {
            let value = alpha * from[row];
            *entry = if accumulate { *entry + value } else { value };
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
        dst.fill(T::default());
    }
    for j in 0..dst.ncols() {
        let (mut to, from) = (dst.rb_mut().col_mut(j), a.col(j));
        for (&entry, &row) in from.iter().zip(rows) {
            to[row] += update.alpha * entry;
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

    fn holds(self, i: usize, j: usize) -> bool {
        match (self.upper, self.strict) {
            (false, false) => i >= j,
            (false, true) => i > j,
            (true, false) => i <= j,
            (true, true) => i < j,
        }
    }
}

/// `dst = alpha a` in the triangle, and 0 elsewhere, whatever `a` holds there.
pub(crate) fn triangle<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, alpha: T, part: Triangle) {
    for j in 0..dst.ncols() {
        let (to, from) = (dst.rb_mut().col_mut(j), a.col(j));
        for (i, (entry, &value)) in to.iter_mut().zip(from.iter()).enumerate() {
            *entry = if part.holds(i, j) { alpha * value } else { T::default() };
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
    let entries = (0..a.ncols()).flat_map(|j| a.col(j).iter());
    let mut entries = entries.map(|&entry| alpha * entry);
    for j in 0..dst.ncols() {
        for (to, entry) in dst.rb_mut().col_mut(j).iter_mut().zip(&mut entries) {
            *to = entry;
        }
    }
}
