//! Singular values and vectors.

use super::eigen::{is_turned, is_usual, largest, numbers};
use super::registers;
use crate::Scalar;
use crate::failure::Failure;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::matmul::matmul;
use faer::linalg::svd::{self, ComputeSvdVectors, SvdError};
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, ColMut, MatMut, MatRef, Par};

pub(crate) fn svd_scratch<T: Scalar>(m: usize, n: usize, vectors: bool) -> StackReq {
    if m.min(n) == 0 {
        return StackReq::EMPTY;
    }
    let of = |m, n| {
        let vectors = if vectors { ComputeSvdVectors::Thin } else { ComputeSvdVectors::No };
        svd::svd_scratch::<T>(m, n, vectors, vectors, Par::Seq, Default::default())
    };
    temp_mat_scratch::<T>(n, m).and(of(m, n).or(of(n, m)))
}

/// The singular values of an m×n matrix, descending, and, if there is room, behind them the left singular vectors, of which
/// the entry of the largest size is positive, and behind those the right ones.
pub(crate) fn svd<T: Scalar>(
    dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    svd_by(dst, a, stack, |a, values, [u, v], stack| {
        svd::svd(a, values, u, v, Par::Seq, stack, Default::default())
    })
}

/// The same, where each attempt is left to a function.
fn svd_by<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    stack: &mut MemStack,
    mut attempt: impl FnMut(
        MatRef<'_, T>,
        DiagMut<'_, T>,
        [Option<MatMut<'_, T>>; 2],
        &mut MemStack,
    ) -> Result<(), SvdError>,
) -> Result<(), Failure> {
    let (m, n) = a.shape();
    let k = m.min(n);
    let Some(numbers) = numbers(&mut dst).filter(|_| k > 0) else { return Ok(()) };
    let largest = largest(a);
    if !largest.is_finite() {
        // faer would iterate on a NaN.
        numbers.fill(T::from_f64(f64::NAN));
        return Ok(());
    }
    let (values, vectors) = numbers.split_at_mut(k);
    let mut vectors = (!vectors.is_empty()).then(|| {
        let (left, right) = vectors.split_at_mut(m * k);
        let left = MatMut::from_column_major_slice_mut(left, m, k);
        (left, MatMut::from_column_major_slice_mut(right, n, k))
    });
    let mut decompose = |a: MatRef<'_, T>, turned: bool, stack: &mut MemStack| {
        let spectrum = DiagMut::from(ColMut::from_slice_mut(&mut *values).as_diagonal_mut());
        let (mut u, mut v) = vectors.as_mut().map(|(u, v)| (u.rb_mut(), v.rb_mut())).unzip();
        if turned {
            (u, v) = (v, u);
        }
        let result = attempt(a, spectrum, [u, v], stack);
        registers::release();
        result
    };
    if !is_usual(largest) || decompose(a, false, stack).is_err() {
        // Once more: transposed, with entries of the order of 1 and the rows in reverse.
        let (mut scaled, stack) = temp_mat_zeroed::<T, _, _>(n, m, stack);
        let mut scaled = scaled.as_mat_mut();
        for j in 0..m {
            for i in 0..n {
                scaled[(i, j)] = a[(m - 1 - j, i)] / largest;
            }
        }
        if decompose(scaled.rb_mut().as_ref(), true, stack).is_err() {
            numbers.fill(T::from_f64(f64::NAN));
            return Err(Failure::NoConvergence);
        }
        values.iter_mut().for_each(|value| *value *= largest);
        if let Some((u, _)) = &mut vectors {
            for j in 0..k {
                for i in 0..m / 2 {
                    let (x, y) = (u[(i, j)], u[(m - 1 - i, j)]);
                    (u[(i, j)], u[(m - 1 - i, j)]) = (y, x);
                }
            }
        }
    }
    let Some((mut u, mut v)) = vectors else { return Ok(()) };
    for j in 0..k {
        if is_turned(u.rb_mut().as_ref(), j) {
            u.rb_mut().col_mut(j).iter_mut().for_each(|x| *x = -*x);
            v.rb_mut().col_mut(j).iter_mut().for_each(|x| *x = -*x);
        }
    }
    Ok(())
}

pub(crate) fn pseudo_inverse_scratch<T: Scalar>(m: usize, n: usize) -> StackReq {
    temp_mat_scratch::<T>(n, m.min(n))
}

/// `V Diag(σ⁺) Uᵀ`, from the singular values and vectors of an m×n matrix as they come from [`svd`]. Singular values of no more
/// than max(m, n) rounding errors of the largest count as 0.
pub(crate) fn pseudo_inverse<T: Scalar>(
    mut dst: MatMut<'_, T>,
    factors: MatRef<'_, T>,
    m: usize,
    n: usize,
    stack: &mut MemStack,
) {
    let k = m.min(n);
    let Some((values, u, v)) = parts(factors, m, n) else {
        dst.fill(T::default());
        return;
    };
    let cutoff = T::from_f64(m.max(n) as f64) * T::EPSILON * values[0];
    let (mut scaled, _) = temp_mat_zeroed::<T, _, _>(n, k, stack);
    let mut scaled = scaled.as_mat_mut();
    for (j, &value) in values.iter().enumerate() {
        // A NaN passes through.
        let vanishes = value <= cutoff;
        for i in 0..n {
            scaled[(i, j)] = if vanishes { T::default() } else { v[(i, j)] / value };
        }
    }
    matmul(dst.rb_mut(), Accum::Replace, scaled.rb(), u.transpose(), T::from_f64(1.0), Par::Seq);
    registers::release();
}

/// `U Vᵀ`, from the singular vectors of an m×n matrix as they come from [`svd`].
pub(crate) fn polar<T: Scalar>(mut dst: MatMut<'_, T>, factors: MatRef<'_, T>, m: usize, n: usize) {
    if let Some((_, u, v)) = parts(factors, m, n) {
        matmul(dst.rb_mut(), Accum::Replace, u, v.transpose(), T::from_f64(1.0), Par::Seq);
        registers::release();
    }
}

/// σ, U and V of an m×n matrix that is not empty.
pub(super) fn parts<T: Scalar>(
    factors: MatRef<'_, T>,
    m: usize,
    n: usize,
) -> Option<(&[T], MatRef<'_, T>, MatRef<'_, T>)> {
    let k = m.min(n);
    if k == 0 {
        return None;
    }
    let (values, vectors) = factors.col(0).try_as_col_major()?.as_slice().split_at(k);
    let (u, v) = vectors.split_at(m * k);
    let of = |numbers, rows| MatRef::from_column_major_slice(numbers, rows, k);
    Some((values, of(u, m), of(v, n)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples::{distance, random, with};
    use faer::Mat;

    /// All numbers of a decomposition of which the first attempts fail, after they have begun to write.
    fn after<T: Scalar>(
        a: MatRef<'_, T>,
        failures: usize,
        vectors: bool,
    ) -> (Result<(), Failure>, Mat<T>, usize) {
        let (m, n) = a.shape();
        let len = m.min(n) * if vectors { 1 + m + n } else { 1 };
        let (mut dst, mut attempts) = (Mat::full(len, 1, T::from_f64(7.0)), 0);
        let result = with(svd_scratch::<T>(m, n, vectors), |stack| {
            svd_by(dst.as_mut(), a, stack, |a, values, [u, v], stack| {
                attempts += 1;
                if attempts <= failures {
                    values.column_vector_mut().fill(T::from_f64(3.0));
                    [u, v].into_iter().flatten().for_each(|mut vectors| vectors.fill(T::from_f64(3.0)));
                    return Err(SvdError::NoConvergence);
                }
                svd::svd(a, values, u, v, Par::Seq, stack, Default::default())
            })
        });
        (result, dst, attempts)
    }

    fn attempts<T: Scalar>() {
        for (m, n) in [(1, 1), (2, 5), (7, 4), (20, 20)] {
            let a = random::<T>(m, n, 5);
            let (_, usual, tried) = after(a.as_ref(), 0, true);
            assert_eq!(tried, 1);
            let (result, found, tried) = after(a.as_ref(), 1, true);
            assert_eq!((result, tried), (Ok(()), 2));
            let (k, bound) = (m.min(n), 64.0 * m.max(n) as f64 * T::EPSILON.to_f64());
            let (values, u, v) = parts(found.rb(), m, n).unwrap();
            let (known, ..) = parts(usual.rb(), m, n).unwrap();
            assert!(
                values.iter().zip(known).all(|(&x, &y)| (x - y).abs().to_f64() <= bound * known[0].to_f64())
            );
            let (result, alone, _) = after(a.as_ref(), 1, false);
            let near = |x: &T, y: &T| (*x - *y).abs().to_f64() <= bound * known[0].to_f64();
            assert!(result == Ok(()) && alone.col(0).iter().zip(known).all(|(x, y)| near(x, y)));
            let scaled = Mat::from_fn(m, k, |i, j| u[(i, j)] * values[j]);
            assert!(distance((scaled * v.transpose()).rb(), a.rb()) <= bound * a.norm_l2().to_f64());
            for x in [u, v] {
                assert!(distance((x.transpose() * x).rb(), Mat::identity(k, k).rb()) <= bound);
            }
            assert!((0..k).all(|j| !is_turned(u, j)));
            let (result, found, tried) = after(a.as_ref(), 2, true);
            assert_eq!((result, tried), (Err(Failure::NoConvergence), 2));
            assert!(found.col(0).iter().all(|x| x.to_f64().is_nan()));
        }
    }

    #[test]
    fn two_attempts() {
        attempts::<f64>();
        attempts::<f32>();
    }
}
