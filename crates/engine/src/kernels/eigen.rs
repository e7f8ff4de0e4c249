//! Eigenvalues and eigenvectors of symmetric matrices.

use super::registers;
use super::vector::{self, Loop};
use crate::Scalar;
use crate::failure::Failure;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::evd::{self, ComputeEigenvectors, EvdError};
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::ReborrowMut;
use faer::{ColMut, MatMut, MatRef, Par};

/// Numbers that are compared at a time.
const LANES: usize = 8;

pub(crate) fn eigen_scratch<T: Scalar>(n: usize, vectors: bool) -> StackReq {
    if n == 0 {
        return StackReq::EMPTY;
    }
    let vectors = if vectors { ComputeEigenvectors::Yes } else { ComputeEigenvectors::No };
    let evd = evd::self_adjoint_evd_scratch::<T>(n, vectors, Par::Seq, Default::default());
    temp_mat_scratch::<T>(n, n).and(evd)
}

/// The eigenvalues of `a`, ascending, and behind them, if there is room, the eigenvectors, of which the entry of the largest
/// size is positive. The lower triangle is read.
pub(crate) fn eigen<T: Scalar>(
    dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    eigen_by(dst, a, stack, |a, values, vectors, stack| {
        evd::self_adjoint_evd(a, values, vectors, Par::Seq, stack, Default::default())
    })
}

/// The same, where each attempt is left to a function.
fn eigen_by<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    stack: &mut MemStack,
    mut attempt: impl FnMut(
        MatRef<'_, T>,
        DiagMut<'_, T>,
        Option<MatMut<'_, T>>,
        &mut MemStack,
    ) -> Result<(), EvdError>,
) -> Result<(), Failure> {
    let n = a.nrows();
    let Some(numbers) = numbers(&mut dst).filter(|_| n > 0) else { return Ok(()) };
    let (values, vectors) = numbers.split_at_mut(n);
    let largest = largest(a);
    if !largest.is_finite() {
        // faer would iterate on a NaN.
        numbers.fill(T::from_f64(f64::NAN));
        return Ok(());
    }
    let mut vectors = (!vectors.is_empty()).then(|| MatMut::from_column_major_slice_mut(vectors, n, n));
    let mut decompose = |a: MatRef<'_, T>, stack: &mut MemStack| {
        let spectrum = DiagMut::from(ColMut::from_slice_mut(&mut *values).as_diagonal_mut());
        let result = attempt(a, spectrum, vectors.as_mut().map(|vectors| vectors.rb_mut()), stack);
        registers::release();
        result
    };
    if !is_usual(largest) || decompose(a, stack).is_err() {
        // Once more, with entries of the order of 1 and the rows in reverse.
        let (mut scaled, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
        let mut scaled = scaled.as_mat_mut();
        for j in 0..n {
            for i in 0..n {
                let (k, l) = (n - 1 - i, n - 1 - j);
                scaled[(i, j)] = a[(k.max(l), k.min(l))] / largest;
            }
        }
        if decompose(scaled.rb_mut().as_ref(), stack).is_err() {
            numbers.fill(T::from_f64(f64::NAN));
            return Err(Failure::NoConvergence);
        }
        values.iter_mut().for_each(|value| *value *= largest);
        if let Some(vectors) = &mut vectors {
            for j in 0..n {
                for i in 0..n / 2 {
                    let (x, y) = (vectors[(i, j)], vectors[(n - 1 - i, j)]);
                    (vectors[(i, j)], vectors[(n - 1 - i, j)]) = (y, x);
                }
            }
        }
    }
    let Some(mut vectors) = vectors else { return Ok(()) };
    for j in 0..n {
        if is_turned(vectors.rb_mut().as_ref(), j) {
            vectors.rb_mut().col_mut(j).iter_mut().for_each(|x| *x = -*x);
        }
    }
    Ok(())
}

/// The numbers of a column that is stored in one piece, as the arena stores it.
pub(crate) fn numbers<'a, T: Scalar>(column: &'a mut MatMut<'_, T>) -> Option<&'a mut [T]> {
    if column.ncols() == 0 {
        return None;
    }
    column.rb_mut().col_mut(0).try_as_col_major_mut().map(|column| column.as_slice_mut())
}

/// The largest size of an entry; NaN or infinite if there is such an entry.
pub(crate) fn largest<T: Scalar>(a: MatRef<'_, T>) -> T {
    let by_rows = a.row_stride() != 1 && a.col_stride() == 1;
    vector::run(Largest(if by_rows { a.transpose() } else { a }))
}

/// See [`largest`].
struct Largest<'a, T>(MatRef<'a, T>);

impl<T: Scalar> Loop for Largest<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> T {
        let zero = T::default();
        // What is not finite leaves a NaN in the second numbers.
        let (mut most, mut bad) = ([zero; LANES], [zero; LANES]);
        let step = |most: &mut T, bad: &mut T, x: T| {
            let x = x.abs();
            *most = if x > *most { x } else { *most };
            *bad += zero * x;
        };
        for column in self.0.col_iter() {
            let Some(contiguous) = column.try_as_col_major() else {
                column.iter().for_each(|&x| step(&mut most[0], &mut bad[0], x));
                continue;
            };
            let (blocks, rest) = contiguous.as_slice().as_chunks::<LANES>();
            for block in blocks {
                for ((most, bad), &x) in most.iter_mut().zip(&mut bad).zip(block) {
                    step(most, bad, x);
                }
            }
            rest.iter().for_each(|&x| step(&mut most[0], &mut bad[0], x));
        }
        let largest =
            most.into_iter().fold(zero, |largest, most| if most > largest { most } else { largest });
        let bad = bad.into_iter().fold(zero, |sum, bad| sum + bad);
        if bad == zero || !largest.is_finite() { largest } else { bad }
    }
}

/// Whether squares of numbers of this size, and of rounding errors of them, are neither too large nor too small.
pub(crate) fn is_usual<T: Scalar>(largest: T) -> bool {
    let small = T::EPSILON * T::EPSILON;
    largest == T::default() || largest >= small && largest * small <= T::from_f64(1.0)
}

/// Whether the first entry of the largest size in a column is negative. Sizes that differ by rounding errors only count as
/// equal, so that a column and its rounded copy are turned alike.
pub(crate) fn is_turned<T: Scalar>(a: MatRef<'_, T>, j: usize) -> bool {
    let almost = T::from_f64(1.0) - T::from_f64(64.0) * T::EPSILON;
    let mut found = T::default();
    for i in 0..a.nrows() {
        if a[(i, j)].abs() * almost > found.abs() {
            found = a[(i, j)];
        }
    }
    found < T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples::{distance, symmetric, with};
    use faer::Mat;
    use faer::prelude::Reborrow;

    /// All numbers of a decomposition of which the first attempts fail, after they have begun to write.
    fn after<T: Scalar>(
        a: MatRef<'_, T>,
        failures: usize,
        vectors: bool,
    ) -> (Result<(), Failure>, Mat<T>, usize) {
        let n = a.nrows();
        let len = if vectors { n + n * n } else { n };
        let (mut dst, mut attempts) = (Mat::full(len, 1, T::from_f64(7.0)), 0);
        let result = with(eigen_scratch::<T>(n, vectors), |stack| {
            eigen_by(dst.as_mut(), a, stack, |a, values, vectors, stack| {
                attempts += 1;
                if attempts <= failures {
                    values.column_vector_mut().fill(T::from_f64(3.0));
                    vectors.into_iter().for_each(|mut vectors| vectors.fill(T::from_f64(3.0)));
                    return Err(EvdError::NoConvergence);
                }
                evd::self_adjoint_evd(a, values, vectors, Par::Seq, stack, Default::default())
            })
        });
        (result, dst, attempts)
    }

    fn attempts<T: Scalar>() {
        for n in [1, 2, 7, 40] {
            let a = symmetric::<T>(n, n as u64);
            let (_, usual, tried) = after(a.as_ref(), 0, true);
            assert_eq!(tried, 1);
            let (result, found, tried) = after(a.as_ref(), 1, true);
            assert_eq!((result, tried), (Ok(()), 2));
            let bound = 64.0 * n as f64 * T::EPSILON.to_f64();
            let values = |dst: &Mat<T>| dst.rb().subrows(0, n).to_owned();
            assert!(distance(values(&usual).rb(), values(&found).rb()) <= bound * a.norm_l2().to_f64());
            let (result, alone, _) = after(a.as_ref(), 1, false);
            assert_eq!(result, Ok(()));
            assert!(distance(values(&usual).rb(), alone.rb()) <= bound * a.norm_l2().to_f64());
            let v = MatRef::from_column_major_slice(&found.col_as_slice(0)[n..], n, n);
            let scaled = Mat::from_fn(n, n, |i, j| v[(i, j)] * found[(j, 0)]);
            assert!(distance((&a * v).rb(), scaled.rb()) <= bound * a.norm_l2().to_f64());
            assert!(distance((v.transpose() * v).rb(), Mat::identity(n, n).rb()) <= bound);
            assert!((0..n).all(|j| !is_turned(v, j)));
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
