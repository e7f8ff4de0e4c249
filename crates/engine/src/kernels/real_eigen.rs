//! Eigenvalues and eigenvectors of matrices whose eigenvalues are real.
//!
//! Of the real Schur form `A = Q T Qᵀ`, which is then a triangle, the eigenvectors are `Q X` with those of T, by back
//! substitution: `(T − λₖ I) x = 0` with `xₖ = 1` and zeros below (Golub & Van Loan, *Matrix Computations*, 4th ed., §7.6.4). A
//! divisor that vanishes is replaced by a rounding error of λₖ, and x is kept from overflowing, both as in LAPACK's `trevc`; where an eigenvalue
//! has too few eigenvectors, one comes twice.
//! Around 28n³, most of it for Schur's form.

use super::eigen::{is_turned, largest, numbers};
use super::schur::{blocks, eigenvalue, schur, schur_scratch};
use super::{registers, transpose};
use crate::failure::Failure;
use crate::{Eigenvalue, Scalar};
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::matmul::matmul;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::traits::math_utils::sqrt;
use faer::{Accum, MatMut, MatRef, Par};

/// So many rounding errors of the norm may make a pair of eigenvalues complex that are taken to be real and equal.
const PAIR: f64 = 8.0;
/// So many rounding errors of the norm, for each row, may make of the matrix the one whose eigenvalues are found.
const BACKWARD: f64 = 8.0;
/// Above this size, an entry of an eigenvector is scaled back to 1.
const GROWN: f64 = 1e10;

pub(crate) fn real_eigen_scratch<T: Scalar>(n: usize) -> StackReq {
    temp_mat_scratch::<T>(n, n).array(3).and(schur_scratch::<T>(n))
}

/// The eigenvalues of `a`, ascending, and behind them, if there is room, the eigenvectors, of norm 1, of which the entry of
/// the largest size is positive; and last what rounding errors may be in the matrix that these belong to, in Frobenius' norm.
///
/// # Errors
/// If eigenvalues are complex.
pub(crate) fn real_eigen<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let n = a.nrows();
    let Some(numbers) = numbers(&mut dst).filter(|_| n > 0) else { return Ok(()) };
    let size = largest(a);
    if !size.is_finite() {
        numbers.fill(T::from_f64(f64::NAN));
        return Ok(());
    }
    let (values, rest) = numbers.split_at_mut(n);
    let (vectors, rounding) = rest.split_at_mut((n * n).min(rest.len()));
    let vectors = (!vectors.is_empty()).then(|| MatMut::from_column_major_slice_mut(vectors, n, n));
    let (mut t, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut q, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut x, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut t, mut q, mut x) = (t.as_mat_mut(), q.as_mat_mut(), x.as_mat_mut());
    // A power of two makes entries of the order of 1.
    let exponent = scale_exponent::<T>(size);
    transpose::copy(t.rb_mut(), a, T::from_f64((-exponent).exp2()));
    schur(t.rb_mut(), q.rb_mut(), stack)?;
    let scale = T::from_f64(exponent.exp2());
    rounding.fill(T::from_f64(BACKWARD * n as f64) * T::EPSILON * norm(t.rb()) * scale);
    make_real(t.rb_mut(), q.rb_mut()).map_err(|failure| scaled(failure, exponent.exp2()))?;
    for k in 0..n {
        let value = t[(k, k)];
        let before = |j: usize| t[(j, j)] < value || t[(j, j)] == value && j < k;
        let rank = (0..n).filter(|&j| before(j)).count();
        values[rank] = value * scale;
        if vectors.is_some() {
            back_substitution(t.rb(), k, x.rb_mut().subcols_mut(rank, 1));
        }
    }
    let Some(mut vectors) = vectors else { return Ok(()) };
    matmul(vectors.rb_mut(), Accum::Replace, q.rb(), x.rb(), T::from_f64(1.0), Par::Seq);
    registers::release();
    for j in 0..n {
        let turned = is_turned(vectors.rb(), j);
        let column = vectors.rb_mut().col_mut(j);
        let norm = sqrt(&column.rb().iter().fold(T::default(), |sum, &x| sum + x * x));
        let norm = if turned { -norm } else { norm };
        column.iter_mut().for_each(|x| *x /= norm);
    }
    Ok(())
}

/// The exponent of the power of two next to the largest entry, if that and its reciprocal are numbers.
fn scale_exponent<T: Scalar>(largest: T) -> f64 {
    let limit = -T::min_positive_impl().to_f64().log2() - 2.0;
    if largest == T::default() { 0.0 } else { largest.to_f64().log2().round().clamp(-limit, limit) }
}

fn scaled(failure: Failure, scale: f64) -> Failure {
    match failure {
        Failure::ComplexEigenvalues { eigenvalue: Eigenvalue { re, im } } => {
            Failure::ComplexEigenvalues { eigenvalue: Eigenvalue { re: re * scale, im: im * scale } }
        }
        failure => failure,
    }
}

/// Frobenius' norm of entries of the order of 1.
fn norm<T: Scalar>(a: MatRef<'_, T>) -> T {
    let mut squares = T::default();
    (0..a.ncols()).for_each(|j| (0..a.nrows()).for_each(|i| squares += a[(i, j)] * a[(i, j)]));
    sqrt(&squares)
}

/// Makes a triangle of Schur's form: a block of two whose eigenvalues are real and equal but for a rounding error is one.
fn make_real<T: Scalar>(mut t: MatMut<'_, T>, mut q: MatMut<'_, T>) -> Result<(), Failure> {
    let n = t.nrows();
    let zero = T::default();
    let rounding = T::from_f64(PAIR) * T::EPSILON * norm(t.rb());
    let negligible =
        |t: MatRef<'_, T>, k: usize| t[(k, k + 1)].abs() <= rounding || t[(k + 1, k)].abs() <= rounding;
    let pairs = blocks(t.rb()).filter(|&(k, rows)| rows == 2 && !negligible(t.rb(), k));
    let pairs = pairs.map(|(k, _)| eigenvalue(t.rb(), k));
    if let Some(eigenvalue) = pairs.max_by(|x, y| x.im.total_cmp(&y.im)) {
        return Err(Failure::ComplexEigenvalues { eigenvalue });
    }
    for k in 0..n.saturating_sub(1) {
        if t[(k + 1, k)].abs() > t[(k, k + 1)].abs() {
            // What stays belongs above the diagonal: the two change places, one of them with its sign.
            for j in k..n {
                (t[(k, j)], t[(k + 1, j)]) = (t[(k + 1, j)], -t[(k, j)]);
            }
            for i in 0..n {
                if i < k + 2 {
                    (t[(i, k)], t[(i, k + 1)]) = (t[(i, k + 1)], -t[(i, k)]);
                }
                (q[(i, k)], q[(i, k + 1)]) = (q[(i, k + 1)], -q[(i, k)]);
            }
        }
        t[(k + 1, k)] = zero;
    }
    Ok(())
}

/// The eigenvector x of a triangle that belongs to the eigenvalue in row k. What is below that stays zero.
fn back_substitution<T: Scalar>(t: MatRef<'_, T>, k: usize, x: MatMut<'_, T>) {
    let mut x = x.col_mut(0);
    let value = t[(k, k)];
    let max = |x: T, y: T| if x > y { x } else { y };
    // Entries are of the order of 1; a multiple eigenvalue may be 0.
    let least = max(T::EPSILON * value.abs(), T::EPSILON * T::EPSILON);
    x[k] = T::from_f64(1.0);
    for i in 0..k {
        x[i] = -t[(i, k)];
    }
    for j in (0..k).rev() {
        let gap = t[(j, j)] - value;
        let vanishes = gap.abs() < least;
        x[j] /= if vanishes { least } else { gap };
        let size = x[j].abs();
        if vanishes && size * size * T::EPSILON > T::from_f64(1.0) {
            // There is one eigenvector only: the same again, so that nobody takes the two for independent.
            x.fill(T::default());
            x[j] = T::from_f64(1.0);
        }
        let size = x[j].abs();
        if size > T::from_f64(GROWN) {
            x.rb_mut().get_mut(..k + 1).iter_mut().for_each(|x| *x /= size);
        }
        let factor = x[j];
        let above = x.rb_mut().get_mut(..j).iter_mut();
        above.zip(t.col(j).get(..j).iter()).for_each(|(x, &t)| *x -= factor * t);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples::{distance, jordan, orthogonal, random, with};
    use faer::Mat;

    fn decompose<T: Scalar>(a: MatRef<'_, T>) -> Result<(Mat<T>, Mat<T>), Failure> {
        let n = a.nrows();
        let mut all = Mat::full(n + n * n + 1, 1, T::from_f64(f64::NAN));
        with(real_eigen_scratch::<T>(n), |stack| real_eigen(all.as_mut(), a, stack))?;
        let v = Mat::from_fn(n, n, |i, j| all[(n + j * n + i, 0)]);
        Ok((Mat::from_fn(n, 1, |i, _| all[(i, 0)]), v))
    }

    /// The residual of every eigenvector is a rounding error of the matrix.
    fn check<T: Scalar>(a: MatRef<'_, T>, what: &str) -> (Mat<T>, Mat<T>) {
        let n = a.nrows();
        let found = decompose(a).unwrap_or_else(|failure| panic!("{what}, n = {n}: {failure:?}"));
        let (values, v) = &found;
        assert!((1..n).all(|i| values[(i - 1, 0)] <= values[(i, 0)]), "{what}, n = {n}");
        let norm = a.norm_l2().to_f64();
        let scaled = Mat::from_fn(n, n, |i, j| v[(i, j)] * values[(j, 0)]);
        let residual = distance((a * v).as_ref(), scaled.as_ref());
        let bound = 16.0 * (n as f64).max(1.0) * T::EPSILON.to_f64();
        assert!(residual <= bound * norm, "{what}, n = {n}: residual {:e}", residual / norm);
        for j in 0..n {
            assert!((v.col(j).norm_l2().to_f64() - 1.0).abs() <= bound, "{what}, n = {n}, column {j}");
            assert!(!is_turned(v.as_ref(), j), "{what}, n = {n}, column {j}");
        }
        found
    }

    fn triangle<T: Scalar>(n: usize, diagonal: impl Fn(usize) -> f64, seed: u64) -> Mat<T> {
        let above = random::<T>(n, n, seed);
        Mat::from_fn(n, n, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Less => above[(i, j)],
            std::cmp::Ordering::Equal => T::from_f64(diagonal(i)),
            std::cmp::Ordering::Greater => T::default(),
        })
    }

    fn all<T: Scalar>() {
        for n in 0..=40 {
            let seed = n as u64;
            let apart = |i: usize| if i.is_multiple_of(2) { i as f64 } else { -(i as f64) };
            let t = triangle::<T>(n, apart, seed);
            let (values, _) = check(t.as_ref(), "triangle");
            let mut known: Vec<T> = (0..n).map(|i| t[(i, i)]).collect();
            known.sort_by(|x, y| x.partial_cmp(y).unwrap());
            assert!((0..n).all(|i| (values[(i, 0)] - known[i]).abs() <= T::EPSILON * known[i].abs()));
            check(t.transpose(), "lower triangle");
            let q = if n > 0 { orthogonal::<T>(n, seed) } else { Mat::zeros(0, 0) };
            check((&q * &t * q.transpose()).as_ref(), "rotated");
            for (what, a) in [
                ("zero", Mat::zeros(n, n)),
                ("ones", Mat::full(n, n, T::from_f64(1.0))),
                ("Jordan", jordan(n, 2.0)),
                ("nilpotent", jordan(n, 0.0)),
                ("equal", triangle(n, |_| 1.0, seed)),
                ("twice", triangle(n, |i| (i / 2) as f64, seed)),
            ] {
                check::<T>(a.as_ref(), what);
            }
            assert_eq!(check(Mat::<T>::identity(n, n).as_ref(), "identity").1, Mat::<T>::identity(n, n));
        }
    }

    #[test]
    fn residuals_are_rounding_errors() {
        all::<f64>();
        all::<f32>();
    }

    /// Two equal eigenvalues with one eigenvector are real, though their computed Schur form may say otherwise.
    fn pairs<T: Scalar>() {
        for n in 2..30 {
            for seed in 0..20 {
                let q = orthogonal::<T>(n, seed);
                let twice = triangle::<T>(n, |i| i.max(1) as f64, seed);
                check((&q * &twice * q.transpose()).as_ref(), "double");
                let both = Mat::from_fn(n, n, |i, j| T::from_f64(if i == j { i.max(1) as f64 } else { 0.0 }));
                check((&q * &both * q.transpose()).as_ref(), "double, two eigenvectors");
            }
        }
    }

    #[test]
    fn rounding_errors_make_no_pair() {
        pairs::<f64>();
        pairs::<f32>();
    }

    #[test]
    fn what_stands_below_changes_places() {
        let tiny = 1e-17;
        let block = |b: f64, c: f64| Mat::from_fn(2, 2, |i, j| [[3.0, b], [c, 3.0]][i][j]);
        for a in [block(1.0, -tiny), block(-tiny, 1.0), block(tiny, -tiny), block(-1.0, tiny)] {
            let (values, _) = check(a.as_ref(), "block");
            assert_eq!((values[(0, 0)], values[(1, 0)]), (3.0, 3.0));
        }
        // Between others.
        let mut a = triangle::<f64>(5, |i| i as f64, 3);
        (a[(2, 2)], a[(3, 3)], a[(2, 3)], a[(3, 2)]) = (2.5, 2.5, -tiny, 0.7);
        let (values, _) = check(a.as_ref(), "inner block");
        assert_eq!((values[(2, 0)], values[(3, 0)]), (2.5, 2.5));
    }

    #[test]
    fn complex_pairs_are_told() {
        for size in [1.0, 1e-200, 1e200] {
            let mut a = triangle::<f64>(6, |i| i as f64, 1);
            (a[(1, 1)], a[(1, 2)], a[(2, 1)], a[(2, 2)]) = (1.0, -2.0, 2.0, 1.0);
            (a[(3, 3)], a[(3, 4)], a[(4, 3)], a[(4, 4)]) = (4.0, 1.0, -1e-6, 4.0);
            a.col_iter_mut().for_each(|column| column.iter_mut().for_each(|x| *x *= size));
            match decompose(a.as_ref()) {
                Err(Failure::ComplexEigenvalues { eigenvalue: Eigenvalue { re, im } }) => {
                    assert!((re / size - 1.0).abs() < 1e-14 && (im / size - 2.0).abs() < 1e-14);
                }
                other => panic!("{other:?}"),
            }
            (a[(1, 2)], a[(2, 1)]) = (0.0, 0.0);
            match decompose(a.as_ref()) {
                Err(Failure::ComplexEigenvalues { eigenvalue: Eigenvalue { re, im } }) => {
                    assert!((re / size - 4.0).abs() < 1e-14 && (im / size - 1e-3).abs() < 1e-14);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn extreme_entries() {
        let a = triangle::<f64>(6, |i| 1.0 + i as f64, 5);
        let q = orthogonal::<f64>(6, 2);
        let a = &q * a * q.transpose();
        let (values, v) = check(a.as_ref(), "usual");
        for size in [1e-318, 1e-300, 1e-200, 1e200, 1e300, 1e307] {
            let a = Mat::from_fn(6, 6, |i, j| a[(i, j)] * size);
            let (found, w) = decompose(a.as_ref()).unwrap();
            // Of a subnormal number few digits are left.
            let tolerance = if size < 1e-310 { 1e-2 } else { 1e-12 };
            assert!(distance(v.as_ref(), w.as_ref()) < tolerance, "{size:e}");
            assert!((0..6).all(|i| (found[(i, 0)] / size - values[(i, 0)]).abs() < tolerance), "{size:e}");
        }
    }

    #[test]
    fn what_is_not_finite_is_nan() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for n in [1, 2, 5, 20] {
                let mut a = random::<f64>(n, n, 1);
                a[(n - 1, 0)] = bad;
                let (values, v) = decompose(a.as_ref()).unwrap();
                let nan = |a: &Mat<f64>| a.col_iter().all(|column| column.iter().all(|x| x.is_nan()));
                assert!(nan(&values) && nan(&v));
            }
        }
    }
}
