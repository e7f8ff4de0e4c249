//! Products of matrices.

use super::reduce::dot;
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

/// Products with a vector of at most so many multiplications are done here.
pub(crate) const SLIM: usize = 16 * 16;

/// `dst = alpha a b`, or `dst += alpha a b`, of a small matrix and a vector or of two vectors, if their entries
/// lie in memory such that loops do well.
#[inline]
pub(crate) fn slim<T: Scalar>(
    dst: &mut [T],
    accumulate: bool,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    alpha: T,
) -> bool {
    if a.nrows() == 1 && b.ncols() > 1 {
        // A row: the transpose lies in memory in the same way.
        return slim(dst, accumulate, b.transpose(), a.transpose(), alpha);
    }
    if a.ncols() == 1 {
        let Some(a) = a.col(0).try_as_col_major().map(|a| a.as_slice()) else { return false };
        for (j, column) in dst.chunks_exact_mut(a.len().max(1)).enumerate() {
            axpy(column, accumulate, alpha * b[(0, j)], a);
        }
        return true;
    }
    if b.ncols() == 1 && a.row_stride() == 1 {
        for k in 0..a.ncols() {
            let Some(column) = a.col(k).try_as_col_major() else { return false };
            axpy(dst, accumulate || k > 0, alpha * b[(k, 0)], column.as_slice());
        }
        return true;
    }
    if b.ncols() == 1
        && a.col_stride() == 1
        && let Some(b) = b.col(0).try_as_col_major().map(|b| b.as_slice())
    {
        let rows = a.transpose();
        for (i, entry) in dst.iter_mut().enumerate() {
            let Some(row) = rows.col(i).try_as_col_major() else { return false };
            let value = alpha * dot(row.as_slice(), b);
            *entry = if accumulate { *entry + value } else { value };
        }
        return true;
    }
    false
}

/// `y = c x`, or `y += c x`.
#[inline(always)]
fn axpy<T: Scalar>(y: &mut [T], accumulate: bool, c: T, x: &[T]) {
    if accumulate {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += c * x;
        }
    } else {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = c * x;
        }
    }
}

/// Up to this many rows and columns, calling faer takes longer than multiplying.
pub(crate) const TINY: usize = 4;

/// A matrix of at most 4×4, column by column, with zeros around it.
#[derive(Clone, Copy)]
pub(crate) struct Tiny<T>([[T; TINY]; TINY]);

impl<T: Scalar> Tiny<T> {
    #[inline(always)]
    pub(crate) fn load(rows: usize, cols: usize, entry: impl Fn(usize, usize) -> T) -> Self {
        let mut block = [[T::default(); TINY]; TINY];
        for (j, column) in block.iter_mut().enumerate().take(cols) {
            for (i, value) in column.iter_mut().enumerate().take(rows) {
                *value = entry(i, j);
            }
        }
        Tiny(block)
    }

    /// The product with a matrix of `inner` rows and `cols` columns.
    #[inline(always)]
    pub(crate) fn times(&self, other: &Self, inner: usize, cols: usize, alpha: T) -> Self {
        let mut block = [[T::default(); TINY]; TINY];
        for (column, factors) in block.iter_mut().zip(&other.0).take(cols) {
            for (a, &factor) in self.0.iter().zip(factors).take(inner) {
                let factor = alpha * factor;
                for (sum, &a) in column.iter_mut().zip(a) {
                    *sum += a * factor;
                }
            }
        }
        Tiny(block)
    }

    /// `dst =` or `+=` this matrix.
    #[inline(always)]
    pub(crate) fn store(&self, dst: &mut [T], rows: usize, accumulate: bool) {
        for (column, values) in dst.chunks_exact_mut(rows.max(1)).zip(&self.0) {
            for (entry, &value) in column.iter_mut().zip(values) {
                *entry = if accumulate { *entry + value } else { value };
            }
        }
    }
}

/// Up to this many rows and columns it pays to copy a transposed left factor, which faer's small kernels read
/// slowly.
pub(crate) const PACKED: usize = 8;

/// `a`, stored by rows, copied to `pack` and stored by columns.
#[inline(always)]
pub(crate) fn packed<'p, T: Scalar>(a: MatRef<'_, T>, pack: &'p mut [T]) -> Option<MatRef<'p, T>> {
    let (rows, cols) = (a.nrows(), a.ncols());
    let pack = pack.get_mut(..rows * cols)?;
    let stored = a.transpose();
    for i in 0..rows {
        let row = stored.col(i).try_as_col_major()?;
        for (entry, &value) in pack.iter_mut().skip(i).step_by(rows).zip(row.as_slice()) {
            *entry = value;
        }
    }
    Some(MatRef::from_column_major_slice(pack, rows, cols))
}

/// Rows of the products that [`eight`] computes.
pub(crate) const EIGHT: usize = 8;

/// `dst = alpha a b`, or `dst += alpha a b`, of at most 8×8, with eight rows, if `a` is stored by columns.
///
/// Eight `f32` fill two of the registers that every x86-64 has, so that a column of `dst` stays in them; eight `f64` do
/// not, and are left to faer.
#[inline(always)]
pub(crate) fn eight<T: Scalar>(
    dst: &mut [T],
    accumulate: bool,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    alpha: T,
) -> Option<()> {
    if size_of::<T>() > size_of::<f32>() {
        return None;
    }
    let (none, inner) = ([T::default(); EIGHT], a.ncols());
    let mut columns = [&none; EIGHT];
    for (k, column) in columns.iter_mut().enumerate().take(inner) {
        *column = a.col(k).try_as_col_major()?.as_slice().first_chunk()?;
    }
    let mut factors = [[T::default(); EIGHT]; EIGHT];
    if b.row_stride() == 1 {
        for (j, factors) in factors.iter_mut().enumerate().take(b.ncols()) {
            for (to, &from) in factors.iter_mut().zip(b.col(j).try_as_col_major()?.as_slice()) {
                *to = from;
            }
        }
    } else {
        let stored = b.transpose();
        for k in 0..inner {
            for (to, &from) in factors.iter_mut().zip(stored.col(k).try_as_col_major()?.as_slice()) {
                to[k] = from;
            }
        }
    }
    for (dst, factors) in dst.as_chunks_mut::<EIGHT>().0.iter_mut().zip(&factors) {
        let mut sums = [T::default(); EIGHT];
        for (column, &factor) in columns.iter().zip(factors) {
            for (sum, &a) in sums.iter_mut().zip(*column) {
                *sum += a * factor;
            }
        }
        for (dst, sum) in dst.iter_mut().zip(sums) {
            *dst = if accumulate { *dst + alpha * sum } else { alpha * sum };
        }
    }
    Some(())
}
