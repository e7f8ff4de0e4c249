//! Products with a vector, and of two vectors.
//!
//! What is stored by columns is multiplied in one of three ways, none of which copies anything:
//!
//! | | | |
//! |---|---|---|
//! | [`BySum`] | `a b` | a sum of the columns of `a`, several vectors of rows at a time |
//! | [`ByDots`] | `aᵀ b` | inner products of `b` with the columns of `a`, four at a time |
//! | [`Outer`] | `a bᵀ` | a multiple of the vector `a` for every column |
//!
//! Several at a time, because a sum waits for the one before, and a processor can do eight meanwhile. Entries that do not
//! fill a vector come last, one by one.

use super::{ByColumns, Update};
use crate::Scalar;
use crate::kernels::lanes::lanes;
use pulp::{Simd, WithSimd};

/// A product of a matrix and a vector, or of two vectors.
pub(super) struct Slim<'a, T> {
    pub(super) dst: &'a mut [T],
    pub(super) a: ByColumns<'a, T>,
    pub(super) b: &'a [T],
    pub(super) update: Update<T>,
}

/// `a b` as a sum of columns of `a`.
pub(super) struct BySum<'x, 'a, T>(pub(super) &'x mut Slim<'a, T>);

impl<T: Scalar> WithSimd for BySum<'_, '_, T> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        let Slim { dst, a, b, update } = self.0;
        let (lanes, mut i) = (lanes::<T, S>(), 0);
        // Many rows at once, so that additions do not wait for each other.
        while i + 8 * lanes <= dst.len() {
            sum_of_columns::<T, S, 8>(simd, &mut dst[i..], *a, b, i, *update)?;
            i += 8 * lanes;
        }
        if i + 4 * lanes <= dst.len() {
            sum_of_columns::<T, S, 4>(simd, &mut dst[i..], *a, b, i, *update)?;
            i += 4 * lanes;
        }
        if i + 2 * lanes <= dst.len() {
            sum_of_columns::<T, S, 2>(simd, &mut dst[i..], *a, b, i, *update)?;
            i += 2 * lanes;
        }
        if i + lanes <= dst.len() {
            sum_of_columns::<T, S, 1>(simd, &mut dst[i..], *a, b, i, *update)?;
            i += lanes;
        }
        for (i, entry) in dst.iter_mut().enumerate().skip(i) {
            let mut sum = T::default();
            for (k, &factor) in b.iter().enumerate() {
                sum += a.col(k).as_slice()[i] * factor;
            }
            update.put(entry, sum);
        }
        Some(())
    }
}

/// `V` vectors of `a b` from row `i` on.
#[inline(always)]
fn sum_of_columns<T: Scalar, S: Simd, const V: usize>(
    simd: S,
    dst: &mut [T],
    a: ByColumns<'_, T>,
    b: &[T],
    i: usize,
    update: Update<T>,
) -> Option<()> {
    let mut sums = [T::splat(simd, T::default()); V];
    for (k, &factor) in b.iter().enumerate() {
        let column: &[T::Vector<S>; V] = T::vectors::<S>(a.col(k).as_slice().get(i..)?).first_chunk()?;
        let factor = T::splat(simd, factor);
        for (sum, &vector) in sums.iter_mut().zip(column) {
            *sum = T::mul_add(simd, vector, factor, *sum);
        }
    }
    for (place, &sum) in dst.chunks_exact_mut(lanes::<T, S>()).zip(&sums) {
        update.put_vector::<S>(simd, place, sum);
    }
    Some(())
}

/// `aᵀ b` by inner products.
pub(super) struct ByDots<'x, 'a, T>(pub(super) &'x mut Slim<'a, T>);

impl<T: Scalar> WithSimd for ByDots<'_, '_, T> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        let Slim { dst, a, b, update } = self.0;
        let (fours, rest) = dst.as_chunks_mut::<4>();
        let done = 4 * fours.len();
        for (i, dst) in fours.iter_mut().enumerate() {
            let dots = dots::<T, S, 4>(simd, *a, 4 * i, b)?;
            for (entry, &dot) in dst.iter_mut().zip(&dots) {
                update.put(entry, dot);
            }
        }
        for (i, entry) in rest.iter_mut().enumerate() {
            let [dot] = dots::<T, S, 1>(simd, *a, done + i, b)?;
            update.put(entry, dot);
        }
        Some(())
    }
}

/// The inner products of `b` with `C` columns of `a` from column `i` on.
#[inline(always)]
fn dots<T: Scalar, S: Simd, const C: usize>(
    simd: S,
    a: ByColumns<'_, T>,
    i: usize,
    b: &[T],
) -> Option<[T; C]> {
    let vectors = T::vectors::<S>(b);
    let (whole, mut columns, mut rests) = (vectors.len() * lanes::<T, S>(), [vectors; C], [b; C]);
    for (c, (column, rest)) in columns.iter_mut().zip(&mut rests).enumerate() {
        let all = a.col(i + c).as_slice();
        *column = T::vectors::<S>(all).get(..vectors.len())?;
        *rest = all.get(whole..b.len())?;
    }
    let mut sums = [T::splat(simd, T::default()); C];
    for (k, &b) in vectors.iter().enumerate() {
        for (sum, column) in sums.iter_mut().zip(&columns) {
            *sum = T::mul_add(simd, column[k], b, *sum);
        }
    }
    let mut totals = [T::default(); C];
    for (total, &sum) in totals.iter_mut().zip(&sums) {
        *total = T::sum(simd, sum);
    }
    for (k, &b) in b.get(whole..)?.iter().enumerate() {
        for (total, rest) in totals.iter_mut().zip(&rests) {
            *total += rest[k] * b;
        }
    }
    Some(totals)
}

/// `a bᵀ` of two vectors.
pub(super) struct Outer<'x, 'a, T>(pub(super) &'x mut Slim<'a, T>);

impl<T: Scalar> WithSimd for Outer<'_, '_, T> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        let Slim { dst, a, b, update } = self.0;
        let a = a.col(0).as_slice();
        let (vectors, mut rest) = (T::vectors::<S>(a), &mut dst[..]);
        let end = a.get(vectors.len() * lanes::<T, S>()..)?;
        for &factor in *b {
            let column;
            (column, rest) = std::mem::take(&mut rest).split_at_mut_checked(a.len())?;
            let (whole, column_end) = column.split_at_mut_checked(a.len() - end.len())?;
            let places = T::vectors_mut::<S>(whole);
            let (factor, factors) = (update.alpha * factor, T::splat(simd, update.alpha * factor));
            if update.accumulate {
                for (place, &vector) in places.iter_mut().zip(vectors) {
                    *place = T::mul_add(simd, vector, factors, *place);
                }
                for (entry, &a) in column_end.iter_mut().zip(end) {
                    *entry += a * factor;
                }
            } else {
                for (place, &vector) in places.iter_mut().zip(vectors) {
                    *place = T::times(simd, vector, factors);
                }
                for (entry, &a) in column_end.iter_mut().zip(end) {
                    *entry = a * factor;
                }
            }
        }
        Some(())
    }
}
