//! Products of matrices of at most 3×3.
//!
//! A matrix is put into three columns of three numbers, with zeros where it has fewer, so that the loops over its rows
//! have a known end and stay in registers.

use super::Update;
use crate::Scalar;

/// Up to this many rows and columns, plain loops take less time than preparing a kernel.
pub(crate) const TINY: usize = 3;

/// A matrix of at most 3×3, column by column, with zeros around it.
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
    pub(crate) fn times(&self, other: &Self, inner: usize, cols: usize) -> Self {
        let mut block = [[T::default(); TINY]; TINY];
        for (column, factors) in block.iter_mut().zip(&other.0).take(cols) {
            for (a, &factor) in self.0.iter().zip(factors).take(inner) {
                for (sum, &a) in column.iter_mut().zip(a) {
                    *sum += a * factor;
                }
            }
        }
        Tiny(block)
    }

    /// Puts the matrix into columns of so many rows.
    #[inline(always)]
    pub(crate) fn put(&self, dst: &mut [T], rows: usize, update: Update<T>) {
        for (column, sums) in dst.chunks_exact_mut(rows.max(1)).zip(&self.0) {
            for (entry, &sum) in column.iter_mut().zip(sums) {
                update.put(entry, sum);
            }
        }
    }
}
