//! Products of matrices.

use super::registers;
use crate::Scalar;
use faer::linalg::matmul::matmul;
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

/// faer computes products of up to so many multiplications by kernels that clean up after themselves.
const FROM_LARGE: usize = 16 * 16 * 16;
