//! Products of matrices of order 2, 3 or 4 with each other and with vectors, inside a loop that is compiled for the widest registers already.
//!
//! The whole product is in registers before it is written. So the factors and the result may be parts of the same
//! numbers, and nothing has to be split before.

use super::lanes::{Lanes, lanes};
use super::small::Update;
use crate::Scalar;
use pulp::Simd;

/// The product of what and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Of two matrices of this order.
    Square(usize),
    /// Of a matrix of this order and a column.
    Column(usize),
    /// Of a column of so many entries and a row of as many.
    Outer(usize),
}

impl Form {
    /// The form of an m×k times a k×n, if there is a kernel for it.
    pub(crate) fn of([rows, inner, cols]: [usize; 3]) -> Option<Self> {
        let known = |order: usize| matches!(order, 2..=4);
        match (rows == inner, rows == cols) {
            (true, true) if known(rows) => Some(Form::Square(rows)),
            (true, false) if known(rows) && cols == 1 => Some(Form::Column(rows)),
            (false, true) if known(rows) && inner == 1 => Some(Form::Outer(rows)),
            _ => None,
        }
    }
}

/// `dst = alpha a b`, or `dst += alpha a b`, of matrices which begin at these places, column by column; the factors may
/// be transposed.
#[inline(always)]
pub(crate) fn product<T: Scalar, F: Simd, H: Simd>(
    simd: (F, H),
    numbers: &mut [T],
    places: [usize; 3],
    form: Form,
    transposed: [bool; 2],
    update: Update<T>,
) -> Option<()> {
    // A vector lies in memory in the same way as its transpose.
    macro_rules! forms {
        ($($N:literal)*) => {
            match (form, transposed) {
                $(
                    (Form::Square($N), [false, false]) => of!(simd, numbers, places, update, $N, $N, $N, false, false),
                    (Form::Square($N), [false, true]) => of!(simd, numbers, places, update, $N, $N, $N, false, true),
                    (Form::Square($N), [true, false]) => of!(simd, numbers, places, update, $N, $N, $N, true, false),
                    (Form::Square($N), [true, true]) => of!(simd, numbers, places, update, $N, $N, $N, true, true),
                    (Form::Column($N), [false, _]) => of!(simd, numbers, places, update, $N, $N, 1, false, false),
                    (Form::Column($N), [true, _]) => of!(simd, numbers, places, update, $N, $N, 1, true, false),
                    (Form::Outer($N), _) => of!(simd, numbers, places, update, $N, 1, $N, false, true),
                )*
                _ => None,
            }
        };
    }
    macro_rules! of {
        ($simd:ident, $numbers:ident, $places:ident, $update:ident, $M:expr, $K:expr, $N:expr, $A:expr, $B:expr) => {
            of::<T, F, H, $M, $K, $N, $A, $B>($simd, $numbers, $places, $update)
        };
    }
    forms! { 2 3 4 }
}

/// The same for an `M`×`K` and a `K`×`N`, transposed as `A` and `B` say.
#[inline(always)]
fn of<
    T: Scalar,
    F: Simd,
    H: Simd,
    const M: usize,
    const K: usize,
    const N: usize,
    const A: bool,
    const B: bool,
>(
    (full, half): (F, H),
    numbers: &mut [T],
    [dst, a, b]: [usize; 3],
    update: Update<T>,
) -> Option<()> {
    let a: [[T; M]; K] =
        if A { transpose(matrix::<T, K, M>(numbers, a)?) } else { *matrix::<T, M, K>(numbers, a)? };
    let b: [[T; K]; N] =
        if B { transpose(matrix::<T, N, K>(numbers, b)?) } else { *matrix::<T, K, N>(numbers, b)? };
    let dst = matrix_mut::<T, M, N>(numbers, dst)?;
    if lanes::<T, F>() == M {
        by_vectors::<T, F, M, K, N>(full, &a, &b, dst, update)
    } else if lanes::<T, H>() == M {
        by_vectors::<T, H, M, K, N>(half, &a, &b, dst, update)
    } else {
        by_numbers(&a, &b, dst, update);
        Some(())
    }
}

/// The columns of a matrix that begins here.
#[inline(always)]
fn matrix<T, const M: usize, const N: usize>(numbers: &[T], start: usize) -> Option<&[[T; M]; N]> {
    numbers.get(start..)?.get(..M * N)?.as_chunks::<M>().0.first_chunk()
}

#[inline(always)]
fn matrix_mut<T, const M: usize, const N: usize>(
    numbers: &mut [T],
    start: usize,
) -> Option<&mut [[T; M]; N]> {
    numbers.get_mut(start..)?.get_mut(..M * N)?.as_chunks_mut::<M>().0.first_chunk_mut()
}

#[inline(always)]
fn transpose<T: Lanes, const M: usize, const N: usize>(x: &[[T; M]; N]) -> [[T; N]; M] {
    let mut y = [[T::default(); N]; M];
    for (i, column) in y.iter_mut().enumerate() {
        for (entry, x) in column.iter_mut().zip(x) {
            *entry = x[i];
        }
    }
    y
}

/// A column is a vector.
#[inline(always)]
fn by_vectors<T: Scalar, S: Simd, const M: usize, const K: usize, const N: usize>(
    simd: S,
    a: &[[T; M]; K],
    b: &[[T; K]; N],
    dst: &mut [[T; M]; N],
    update: Update<T>,
) -> Option<()> {
    let a: &[T::Vector<S>; K] = T::vectors::<S>(a.as_flattened()).first_chunk()?;
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
fn by_numbers<T: Scalar, const M: usize, const K: usize, const N: usize>(
    a: &[[T; M]; K],
    b: &[[T; K]; N],
    dst: &mut [[T; M]; N],
    update: Update<T>,
) {
    let mut sums = [[T::default(); M]; N];
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
