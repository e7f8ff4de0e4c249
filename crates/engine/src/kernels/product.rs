//! Products of matrices.

use super::{registers, transpose};
use crate::Scalar;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, MatMut, MatRef, Par};

/// `dst = alpha a b`, or `dst += alpha a b`.
#[inline(always)]
pub(crate) fn product<T: Scalar>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    alpha: T,
) {
    let accumulate = if accumulate { Accum::Add } else { Accum::Replace };
    let large = a.nrows() * a.ncols() * b.ncols() > FROM_LARGE;
    matmul(dst, accumulate, a, b, alpha, Par::Seq);
    if large {
        registers::release();
    }
}

/// The lower triangle of `dst = alpha a b`, or of `dst += alpha a b`: half the multiplications.
pub(crate) fn symmetric_product<T: Scalar>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    alpha: T,
) {
    let accumulate = if accumulate { Accum::Add } else { Accum::Replace };
    let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    triangular::matmul(dst, lower, accumulate, a, full, b, full, alpha, Par::Seq);
    registers::release();
}

/// Copies the lower triangle to the upper one.
pub(crate) fn mirror<T: Scalar>(mut a: MatMut<'_, T>) {
    const BLOCK: usize = 8;
    let n = a.nrows();
    for first in (0..n).step_by(BLOCK) {
        let end = (first + BLOCK).min(n);
        for j in first..end {
            for i in first..j {
                a[(i, j)] = a[(j, i)];
            }
        }
        // What lies right of a diagonal block is the transpose of what lies below it.
        let (_, right, below, _) = a.rb_mut().split_at_mut(end, end);
        let (_, right) = right.split_at_row_mut(first);
        let (_, below) = below.split_at_col_mut(first);
        transpose::copy(right, below.rb().transpose(), T::from_f64(1.0));
    }
}

/// faer computes products of up to so many multiplications by kernels that clean up after themselves.
const FROM_LARGE: usize = 16 * 16 * 16;
