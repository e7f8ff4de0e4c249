//! Products of two matrices of order 2, 3 or 4, inside a loop that is compiled for the widest registers already.
//!
//! The whole product is in registers before it is written. So the factors and the result may be parts of the same
//! numbers, and nothing has to be split before.

use super::lanes::{Lanes, lanes};
use super::small::Update;
use crate::Scalar;
use pulp::Simd;

/// Whether [`product`] multiplies matrices of this order.
pub(crate) fn is_fixed(order: usize) -> bool {
    matches!(order, 2..=4)
}

/// `dst = alpha a b`, or `dst += alpha a b`, of matrices of this order which begin at these places, column by column;
/// the factors may be transposed.
#[inline(always)]
pub(crate) fn product<T: Scalar, F: Simd, H: Simd>(
    simd: (F, H),
    numbers: &mut [T],
    places: [usize; 3],
    order: usize,
    transposed: [bool; 2],
    update: Update<T>,
) -> Option<()> {
    macro_rules! orders {
        ($($N:literal)*) => {
            match (order, transposed) {
                $(
                    ($N, [false, false]) => of::<T, F, H, $N, false, false>(simd, numbers, places, update),
                    ($N, [false, true]) => of::<T, F, H, $N, false, true>(simd, numbers, places, update),
                    ($N, [true, false]) => of::<T, F, H, $N, true, false>(simd, numbers, places, update),
                    ($N, [true, true]) => of::<T, F, H, $N, true, true>(simd, numbers, places, update),
                )*
                _ => None,
            }
        };
    }
    orders! { 2 3 4 }
}

/// The same for matrices of order `N`, transposed as `A` and `B` say.
#[inline(always)]
fn of<T: Scalar, F: Simd, H: Simd, const N: usize, const A: bool, const B: bool>(
    (full, half): (F, H),
    numbers: &mut [T],
    [dst, a, b]: [usize; 3],
    update: Update<T>,
) -> Option<()> {
    let mut columns = *matrix::<T, N>(numbers, a)?;
    if A {
        columns = transpose(&columns);
    }
    let mut factors = *matrix::<T, N>(numbers, b)?;
    if B {
        factors = transpose(&factors);
    }
    let dst = matrix_mut::<T, N>(numbers, dst)?;
    if lanes::<T, F>() == N {
        by_vectors::<T, F, N>(full, &columns, &factors, dst, update)
    } else if lanes::<T, H>() == N {
        by_vectors::<T, H, N>(half, &columns, &factors, dst, update)
    } else {
        by_numbers(&columns, &factors, dst, update);
        Some(())
    }
}

/// The columns of a matrix that begins here.
#[inline(always)]
fn matrix<T, const N: usize>(numbers: &[T], start: usize) -> Option<&[[T; N]; N]> {
    numbers.get(start..)?.get(..N * N)?.as_chunks::<N>().0.first_chunk()
}

#[inline(always)]
fn matrix_mut<T, const N: usize>(numbers: &mut [T], start: usize) -> Option<&mut [[T; N]; N]> {
    numbers.get_mut(start..)?.get_mut(..N * N)?.as_chunks_mut::<N>().0.first_chunk_mut()
}

#[inline(always)]
fn transpose<T: Lanes, const N: usize>(x: &[[T; N]; N]) -> [[T; N]; N] {
    let mut y = [[T::default(); N]; N];
    for (j, column) in y.iter_mut().enumerate() {
        for (entry, x) in column.iter_mut().zip(x) {
            *entry = x[j];
        }
    }
    y
}

/// A column is a vector.
#[inline(always)]
fn by_vectors<T: Scalar, S: Simd, const N: usize>(
    simd: S,
    a: &[[T; N]; N],
    b: &[[T; N]; N],
    dst: &mut [[T; N]; N],
    update: Update<T>,
) -> Option<()> {
    let a: &[T::Vector<S>; N] = T::vectors::<S>(a.as_flattened()).first_chunk()?;
    let dst: &mut [T::Vector<S>; N] = T::vectors_mut::<S>(dst.as_flattened_mut()).first_chunk_mut()?;
    let mut sums = [T::splat(simd, T::default()); N];
    for (sum, factors) in sums.iter_mut().zip(b) {
        for (k, (&column, &factor)) in a.iter().zip(factors).enumerate() {
            let factor = T::splat(simd, factor);
            *sum = match k {
                0 => T::times(simd, column, factor),
                _ => T::mul_add(simd, column, factor, *sum),
            };
        }
    }
    let alpha = T::splat(simd, update.alpha);
    if update.accumulate {
        for (place, &sum) in dst.iter_mut().zip(&sums) {
            *place = T::mul_add(simd, alpha, sum, *place);
        }
    } else {
        for (place, &sum) in dst.iter_mut().zip(&sums) {
            *place = T::times(simd, alpha, sum);
        }
    }
    Some(())
}

#[inline(always)]
fn by_numbers<T: Scalar, const N: usize>(
    a: &[[T; N]; N],
    b: &[[T; N]; N],
    dst: &mut [[T; N]; N],
    update: Update<T>,
) {
    let mut sums = [[T::default(); N]; N];
    for (sums, factors) in sums.iter_mut().zip(b) {
        for (k, (column, &factor)) in a.iter().zip(factors).enumerate() {
            for (sum, &a) in sums.iter_mut().zip(column) {
                *sum = if k == 0 { a * factor } else { *sum + a * factor };
            }
        }
    }
    for (place, &sum) in dst.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
        *place = if update.accumulate { *place + update.alpha * sum } else { update.alpha * sum };
    }
}
