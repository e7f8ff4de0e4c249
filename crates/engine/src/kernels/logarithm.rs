//! The principal logarithm of a matrix, and its Fréchet derivatives of every order.
//!
//! Inverse scaling and squaring on the real Schur form (Al-Mohy & Higham, SIAM J. Sci. Comput. 34 (2012) C153; in real
//! arithmetic Al-Mohy, Higham & Relton, ibid. 35 (2013) C394): square roots are taken until the matrix is close to I, then
//! comes a Padé approximant, as a sum of partial fractions. What is left of a root after I is subtracted is computed from the
//! eigenvalues on the diagonal and next to it, as it would cancel otherwise.
//!
//! The derivative in the directions E₁, …, Eₖ is the upper right block of the logarithm of a matrix of `2ᵏ` times the order,
//! with A in its diagonal blocks and the directions above them (Higham & Relton, SIAM J. Matrix Anal. Appl. 35 (2014) 1019).
//! It is quasi-triangular like A, so that Schur's form is needed of A only; and how many roots are taken depends on A only,
//! so that the derivative is linear in the directions in spite of rounding.

use super::registers;
use super::schur::{block, blocks, eigenvalue, middle, product_of_three, schur, schur_scratch};
use super::square_root::{on_the_plane, quasi_root};
use super::sylvester::{add, eliminate, equal, symmetrize};
use super::transpose;
use crate::failure::Failure;
use crate::{Eigenvalue, Scalar};
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::matmul::matmul;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, MatMut, MatRef, Par};

/// Where `‖R‖` is no larger, the Padé approximant `[m/m]` of `log(I + R)` has a backward error below `2⁻⁵³`, for m = 1, 2, …
/// (Al-Mohy & Higham 2012, table 2.1).
const RADII: [f64; 7] = [1.59e-5, 2.31e-3, 1.94e-2, 6.21e-2, 1.28e-1, 2.06e-1, 2.88e-1];

/// The longest sum of partial fractions.
const LONGEST: usize = 16;

/// No matrix of ordinary numbers needs so many square roots.
const MOST_ROOTS: i32 = 100;

/// So large is the matrix of which the logarithm is taken.
fn extended(n: usize, directions: usize) -> usize {
    u32::try_from(directions)
        .ok()
        .and_then(|k| 1usize.checked_shl(k))
        .map_or(usize::MAX, |blocks| n.saturating_mul(blocks))
}

pub(crate) fn log_scratch<T: Scalar>(n: usize, directions: usize) -> StackReq {
    let (square, large) = (temp_mat_scratch::<T>(n, n), extended(n, directions));
    let (large, tall) = (temp_mat_scratch::<T>(large, large), temp_mat_scratch::<T>(large, n));
    let later = StackReq::all_of(&[square.array(3), large.array(2), tall.array(2)]);
    square.array(2).and(schur_scratch::<T>(n).or(later))
}

/// `dst = log A`, or its derivative in these directions.
///
/// # Errors
/// If an eigenvalue is zero or negative.
pub(crate) fn log<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    directions: &[MatRef<'_, T>],
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let (n, one) = (a.nrows(), T::from_f64(1.0));
    if n == 0 {
        return Ok(());
    }
    let large = extended(n, directions.len());
    let (mut t, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut q, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut t, mut q) = (t.as_mat_mut(), q.as_mat_mut());
    transpose::copy(t.rb_mut(), a, one);
    schur(t.rb_mut(), q.rb_mut(), stack)?;
    let (t, q) = (t.rb(), q.rb());
    on_the_plane(t)?;
    let (mut r, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut work, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut power, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut root, stack) = temp_mat_zeroed::<T, _, _>(large, large, stack);
    let (mut shifted, stack) = temp_mat_zeroed::<T, _, _>(large, large, stack);
    let (mut sum, stack) = temp_mat_zeroed::<T, _, _>(large, n, stack);
    let (mut term, _) = temp_mat_zeroed::<T, _, _>(large, n, stack);
    let (mut r, mut work, mut power) = (r.as_mat_mut(), work.as_mat_mut(), power.as_mat_mut());
    let (mut root, mut shifted) = (root.as_mat_mut(), shifted.as_mat_mut());
    let (mut sum, mut term) = (sum.as_mat_mut(), term.as_mat_mut());

    // T on the diagonal; in block (i, j) the direction that i lacks of those in j, if it is one.
    let count = large / n;
    for i in 0..count {
        root.rb_mut().submatrix_mut(i * n, i * n, n, n).copy_from(t);
        for (bit, &direction) in directions.iter().enumerate() {
            let j = i | 1 << bit;
            if j != i {
                let block = root.rb_mut().submatrix_mut(i * n, j * n, n, n);
                product_of_three(block, [q.transpose(), direction, q], work.rb_mut());
            }
        }
    }

    let mut roots = 0;
    let widest = RADII[RADII.len() - 1];
    let terms = loop {
        r.copy_from(root.rb().submatrix(0, 0, n, n));
        less_identity(r.rb_mut(), t, roots);
        let spread = blocks(t).map(|(k, _)| away_from_one(eigenvalue(t, k), roots)).fold(0.0, larger);
        let radius = if spread > widest { spread } else { radius(r.rb_mut(), work.rb_mut(), power.rb_mut()) };
        // A NaN passes through.
        if radius <= widest || radius.is_nan() {
            break RADII.iter().take_while(|&&bound| radius > bound).count() + 1;
        }
        if roots == MOST_ROOTS {
            return Err(Failure::NoConvergence);
        }
        quasi_root(root.rb_mut())?;
        roots += 1;
    };
    for i in 0..count {
        less_identity(root.rb_mut().submatrix_mut(i * n, i * n, n, n), t, roots);
    }

    // log(I + R) = ∫₀¹ R (I + τR)⁻¹ dτ by Gauss' rule, of which the last columns are enough. A derivative of the remainder loses
    // a power of R.
    let last = root.rb().submatrix(0, large - n, large, n);
    let terms = (terms + directions.len()).min(LONGEST);
    for index in 0..terms {
        let (node, weight) = gauss(terms, index);
        transpose::copy(shifted.rb_mut(), root.rb(), T::from_f64(node));
        for i in 0..large {
            shifted[(i, i)] += one;
        }
        term.copy_from(last);
        solve_quasi(shifted.rb(), term.rb_mut());
        let weight = T::from_f64(weight);
        for j in 0..n {
            for i in 0..large {
                sum[(i, j)] += weight * term[(i, j)];
            }
        }
    }
    let mut result = sum.submatrix_mut(0, 0, n, n);
    let scale = T::from_f64(f64::from(roots).exp2());
    for j in 0..n {
        for i in 0..n {
            result[(i, j)] *= scale;
        }
    }
    if directions.is_empty() {
        exactly(result.rb_mut(), t);
    }
    product_of_three(dst.rb_mut(), [q, result.rb(), q.transpose()], work);
    if std::iter::once(&a).chain(directions).all(|x| equal(*x, x.transpose())) {
        symmetrize(dst);
    }
    Ok(())
}

fn larger(x: f64, y: f64) -> f64 {
    // Written so that a NaN is taken, and stays.
    if x.is_nan() || x > y { x } else { y }
}

/// Real and imaginary part of `log λ / 2ˢ`.
fn scaled_log(Eigenvalue { re, im }: Eigenvalue, roots: i32) -> (f64, f64) {
    let scale = (-f64::from(roots)).exp2();
    // Close to 1 the logarithm of the size would cancel.
    let log = if im == 0.0 { re.ln() } else { log_size(re, im) };
    (scale * log, scale * im.atan2(re))
}

/// `log √(x² + y²)`.
fn log_size(x: f64, y: f64) -> f64 {
    let size = x.hypot(y);
    if (0.5..=2.0).contains(&size) {
        let (large, small) = if x.abs() > y.abs() { (x.abs(), y.abs()) } else { (y.abs(), x.abs()) };
        0.5 * ((large - 1.0) * (large + 1.0) + small * small).ln_1p()
    } else {
        size.ln()
    }
}

/// `λ^(1/2ˢ) − 1`, without cancellation.
fn root_less_one(eigenvalue: Eigenvalue, roots: i32) -> (f64, f64) {
    let (x, y) = scaled_log(eigenvalue, roots);
    let half = (0.5 * y).sin();
    (x.exp_m1() * y.cos() - 2.0 * half * half, x.exp() * y.sin())
}

fn away_from_one(eigenvalue: Eigenvalue, roots: i32) -> f64 {
    let (re, im) = root_less_one(eigenvalue, roots);
    re.hypot(im)
}

/// Takes I from the root of T of order `2ˢ`.
fn less_identity<T: Scalar>(root: MatMut<'_, T>, t: MatRef<'_, T>, roots: i32) {
    let power = (-f64::from(roots)).exp2();
    replace(
        root,
        t,
        |eigenvalue| root_less_one(eigenvalue, roots),
        |x, y| {
            if x == y {
                return power * (power * x.ln()).exp() / x;
            }
            if x > 2.0 * y || y > 2.0 * x {
                return ((power * y.ln()).exp_m1() - (power * x.ln()).exp_m1()) / (y - x);
            }
            let mean = 0.5 * power * (x.ln() + y.ln());
            2.0 * mean.exp() * (power * ((y - x) / (y + x)).atanh()).sinh() / (y - x)
        },
    );
}

/// Of log T, what can be computed exactly.
fn exactly<T: Scalar>(log: MatMut<'_, T>, t: MatRef<'_, T>) {
    replace(
        log,
        t,
        |eigenvalue| scaled_log(eigenvalue, 0),
        |x, y| {
            if x == y {
                return x.recip();
            }
            if x > 2.0 * y || y > 2.0 * x {
                return (y.ln() - x.ln()) / (y - x);
            }
            2.0 * ((y - x) / (y + x)).atanh() / (y - x)
        },
    );
}

/// Of a function f of T the blocks on the diagonal, from the value at an eigenvalue, and the entries between two real ones, from
/// the divided difference.
fn replace<T: Scalar>(
    mut of_t: MatMut<'_, T>,
    t: MatRef<'_, T>,
    f: impl Fn(Eigenvalue) -> (f64, f64),
    difference: impl Fn(f64, f64) -> f64,
) {
    for (k, rows) in blocks(t) {
        let eigenvalue = eigenvalue(t, k);
        let (re, im) = f(eigenvalue);
        if rows == 2 {
            let factor = im / eigenvalue.im;
            of_t[(k, k)] = T::from_f64(re);
            of_t[(k + 1, k + 1)] = T::from_f64(re);
            of_t[(k, k + 1)] = T::from_f64(t[(k, k + 1)].to_f64() * factor);
            of_t[(k + 1, k)] = T::from_f64(t[(k + 1, k)].to_f64() * factor);
            continue;
        }
        of_t[(k, k)] = T::from_f64(re);
        if k + 1 < t.nrows() && block(t, k + 1) == 1 {
            let slope = difference(t[(k, k)].to_f64(), t[(k + 1, k + 1)].to_f64());
            of_t[(k, k + 1)] = T::from_f64(t[(k, k + 1)].to_f64() * slope);
        }
    }
}

/// A number that takes the place of `‖R‖` in the bounds: it is hardly larger than the spectral radius, which can be far below
/// the norm.
///
/// With `dₚ = ‖Rᵖ‖^(1/p)`, series that begin with the power p (p − 1) or a later one are bounded by `max(dₚ, dₚ₊₁)` (Al-Mohy &
/// Higham, SIAM J. Matrix Anal. Appl. 31 (2009), theorem 4.2).
fn radius<T: Scalar>(mut r: MatMut<'_, T>, mut square: MatMut<'_, T>, mut power: MatMut<'_, T>) -> f64 {
    let one = T::from_f64(1.0);
    let whole = norm(r.rb());
    if whole <= RADII[0] {
        return whole;
    }
    matmul(square.rb_mut(), Accum::Replace, r.rb(), r.rb(), one, Par::Seq);
    matmul(power.rb_mut(), Accum::Replace, square.rb(), r.rb(), one, Par::Seq);
    matmul(r.rb_mut(), Accum::Replace, square.rb(), square.rb(), one, Par::Seq);
    registers::release();
    let (second, third, fourth) =
        (norm(square.rb()).sqrt(), norm(power.rb()).cbrt(), norm(r.rb()).sqrt().sqrt());
    let (low, high) = (larger(second, third), larger(third, fourth));
    // The series begins with the power 2m + 1: from m = 3 on, p = 3 is allowed.
    if high < low { larger(high, RADII[1] * 1.000_001).min(low) } else { low }
}

/// The largest sum of the sizes in a column.
fn norm<T: Scalar>(a: MatRef<'_, T>) -> f64 {
    (0..a.ncols()).map(|j| (0..a.nrows()).map(|i| a[(i, j)].abs().to_f64()).sum()).fold(0.0, larger)
}

/// A node of Gauss' rule with so many on `[0, 1]`, and its weight.
fn gauss(count: usize, index: usize) -> (f64, f64) {
    let n = count as f64;
    // Newton's method for a zero of the Legendre polynomial.
    let mut x = (std::f64::consts::PI * (index as f64 + 0.75) / (n + 0.5)).cos();
    let mut slope = 1.0;
    for _ in 0..8 {
        let (mut before, mut value) = (0.0, 1.0);
        for k in 1..=count {
            let k = k as f64;
            (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
        }
        slope = n * (x * value - before) / (x * x - 1.0);
        x -= value / slope;
    }
    (0.5 + 0.5 * x, 1.0 / ((1.0 - x * x) * slope * slope))
}

/// `x = T⁻¹ x` with a quasi-triangular T.
fn solve_quasi<T: Scalar>(t: MatRef<'_, T>, mut x: MatMut<'_, T>) {
    let n = t.nrows();
    if let Some(k) = middle(t) {
        let (mut first, mut second) = x.split_at_row_mut(k);
        solve_quasi(t.submatrix(k, k, n - k, n - k), second.rb_mut());
        add(first.rb_mut(), -1.0, t.submatrix(0, k, k, n - k), second.rb());
        solve_quasi(t.submatrix(0, 0, k, k), first);
        return;
    }
    for j in 0..x.ncols() {
        let (mut matrix, mut rhs) = ([[T::default(); 4]; 4], [T::default(); 4]);
        for i in 0..n {
            rhs[i] = x[(i, j)];
            for k in 0..n {
                matrix[i][k] = t[(i, k)];
            }
        }
        // Its eigenvalues are close to 1.
        eliminate(&mut matrix, &mut rhs, n, T::default());
        for i in 0..n {
            x[(i, j)] = rhs[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples::{distance, jordan, orthogonal, random, symmetric, with};
    use faer::{Mat, Scale};

    fn derivative<T: Scalar>(a: &Mat<T>, directions: &[&Mat<T>]) -> Mat<T> {
        let n = a.nrows();
        let mut x = Mat::full(n, n, T::from_f64(f64::NAN));
        let directions: Vec<_> = directions.iter().map(|e| e.as_ref()).collect();
        with(log_scratch::<T>(n, directions.len()), |stack| log(x.as_mut(), a.as_ref(), &directions, stack))
            .unwrap_or_else(|failure| panic!("n = {n}: {failure:?}"));
        x
    }

    fn log_of<T: Scalar>(a: &Mat<T>) -> Mat<T> {
        derivative(a, &[])
    }

    /// `eˣ` by its series, after the argument was halved often.
    fn exp(x: &Mat<f64>) -> Mat<f64> {
        let n = x.nrows();
        let halvings = x.norm_l2().max(1e-300).log2().ceil().max(0.0) as i32 + 4;
        let x = x * Scale((-f64::from(halvings)).exp2());
        let (mut sum, mut term) = (Mat::<f64>::zeros(n, n), Mat::<f64>::identity(n, n));
        // e^x − 1, as it would cancel.
        for k in 1..20 {
            term = &term * &x * Scale(1.0 / f64::from(k));
            sum += &term;
        }
        for _ in 0..halvings {
            sum = &sum * Scale(2.0) + &sum * &sum;
        }
        sum + Mat::<f64>::identity(n, n)
    }

    fn close<T: Scalar>(x: &Mat<T>, y: &Mat<T>, units: f64, what: &str) {
        let (error, size) = (distance(x.as_ref(), y.as_ref()), y.norm_l2().to_f64());
        let bound = units * T::EPSILON.to_f64() * size.max(f64::MIN_POSITIVE);
        assert!(error <= bound, "{what}, n = {}: {:e} units", x.nrows(), error / size / T::EPSILON.to_f64());
    }

    #[test]
    fn the_logarithm_of_an_exponential() {
        for n in (0..10).chain([20, 35]) {
            for size in [1e-8, 1e-3, 0.1, 1.0, 2.5] {
                let x = random::<f64>(n, n, n as u64 + 3);
                let x = &x * Scale(size / x.norm_l2().max(1e-300));
                close(&log_of(&exp(&x)), &x, 1e3 / size.min(1.0), "log exp");
                let x = symmetric::<f64>(n, n as u64);
                let x = &x * Scale(size / x.norm_l2().max(1e-300));
                let log = log_of(&exp(&x).as_ref().to_owned());
                close(&log, &x, 1e3 / size.min(1.0), "log exp of a symmetric matrix");
            }
        }
    }

    fn closed_forms<T: Scalar>() {
        // A rotation.
        for angle in [1e-3f64, 0.5, 1.5, 3.0] {
            let (sin, cos) = angle.sin_cos();
            let entry = |i: usize, j: usize, same: f64, other: f64| {
                T::from_f64(if i == j {
                    same
                } else if i > j {
                    other
                } else {
                    -other
                })
            };
            let log = log_of(&Mat::from_fn(2, 2, |i, j| entry(i, j, cos, sin)));
            close(
                &log,
                &Mat::from_fn(2, 2, |i, j| entry(i, j, 0.0, angle)),
                10.0 / angle.min(0.1),
                "rotation",
            );
        }
        // log(λ + N) = log λ + N/λ − N²/(2λ²) + …
        for n in [1, 2, 3, 5, 9] {
            for x in [0.1, 1.0, 4.0f64] {
                let expected = Mat::from_fn(n, n, |i, j| {
                    T::from_f64(match j.checked_sub(i) {
                        None => 0.0,
                        Some(0) => x.ln(),
                        Some(k) => -(-x.recip()).powi(k as i32) / k as f64,
                    })
                });
                close(&log_of(&jordan(n, x)), &expected, 200.0, "Jordan");
            }
        }
        // Far from normal, and far from I.
        for size in [1e3f64, 1e6] {
            let a = Mat::from_fn(2, 2, |i, j| T::from_f64([[1.0, size], [0.0, 2.0]][i][j]));
            let expected =
                Mat::from_fn(2, 2, |i, j| T::from_f64([[0.0, size * 2f64.ln()], [0.0, 2f64.ln()]][i][j]));
            close(&log_of(&a), &expected, 4.0, "far from normal");
        }
        let diagonal = |f: fn(i32) -> f64| {
            Mat::from_fn(7, 7, |i, j| T::from_f64(if i == j { f(5 * i as i32 - 15) } else { 0.0 }))
        };
        close(
            &log_of(&diagonal(|k| 10f64.powi(k))),
            &diagonal(|k| f64::from(k) * 10f64.ln()),
            4.0,
            "diagonal",
        );
    }

    #[test]
    fn what_is_known() {
        closed_forms::<f64>();
        closed_forms::<f32>();
    }

    fn half_plane<T: Scalar>(n: usize) -> Mat<T> {
        random::<T>(n, n, 5) + Mat::<T>::identity(n, n) * Scale(T::from_f64((n as f64).sqrt() + 0.5))
    }

    #[test]
    fn the_logarithm_of_a_square() {
        for n in [1, 2, 3, 8, 25] {
            let a = half_plane::<f64>(n);
            close(&log_of(&(&a * &a)), &(log_of(&a) * Scale(2.0)), 2e3, "log A²");
            let a = half_plane::<f32>(n);
            close(&log_of(&(&a * &a)), &(log_of(&a) * Scale(2.0)), 2e3, "log A²");
            let q = orthogonal::<f64>(n, 3);
            let a = half_plane::<f64>(n);
            let rotated = &q * log_of(&a) * q.transpose();
            close(&log_of(&(&q * &a * q.transpose())), &rotated, 1e3, "rotated");
        }
    }

    /// Of a derivative in one direction the difference quotient is one order less; that of the value, extrapolated.
    #[test]
    fn derivatives_are_limits() {
        for n in [1, 2, 3, 6, 11] {
            let a = half_plane::<f64>(n);
            let e: Vec<_> = (0..3).map(|seed| random::<f64>(n, n, seed)).collect();
            for order in 1..=3 {
                let directions: Vec<&Mat<f64>> = e[..order].iter().collect();
                let last = directions[order - 1];
                let at = |h: f64| derivative(&(&a + last * Scale(h)), &directions[..order - 1]);
                let quotient = |h: f64| (at(h) - at(-h)) * Scale(0.5 / h);
                let h = 4e-3;
                let limit = (quotient(h) * Scale(64.0) - quotient(2.0 * h) * Scale(20.0) + quotient(4.0 * h))
                    * Scale(1.0 / 45.0);
                let exact = derivative(&a, &directions);
                let error = distance(limit.as_ref(), exact.as_ref()) / exact.norm_l2();
                assert!(error < 3e-9, "n = {n}, order {order}: {error:e}");
            }
        }
    }

    fn algebra<T: Scalar>() {
        for n in [0, 1, 2, 4, 9] {
            let a = half_plane::<T>(n);
            let (e, f) = (random::<T>(n, n, 1), random::<T>(n, n, 2));
            // Linear to the last digit, however large.
            let large = T::from_f64(2f64.powi(40));
            let product = &e * Scale(large);
            assert_eq!(derivative(&a, &[&product]), derivative(&a, &[&e]) * Scale(large));
            close(&derivative(&a, &[&e, &f]), &derivative(&a, &[&f, &e]), 100.0, "symmetric");
            // A commutes with itself: L(A, A) = I, L(A, A, A) = −I.
            close(&derivative(&a, &[&a]), &Mat::identity(n, n), 500.0, "L(A, A)");
            close(&derivative(&a, &[&a, &a]), &-Mat::<T>::identity(n, n), 2e3, "L(A, A, A)");
            // L(A, E) of a symmetric A and E is symmetric.
            let a = &a * a.transpose();
            let a = Mat::from_fn(n, n, |i, j| T::from_f64(0.5) * (a[(i, j)] + a[(j, i)]));
            let x = derivative(&a, &[&symmetric(n, 4)]);
            assert_eq!(x, x.transpose().to_owned());
        }
    }

    #[test]
    fn derivatives_are_multilinear() {
        algebra::<f64>();
        algebra::<f32>();
    }

    #[test]
    fn gauss_integrates_polynomials() {
        for count in 1..=LONGEST {
            for degree in 0..2 * count {
                let sum: f64 =
                    (0..count).map(|i| gauss(count, i)).map(|(x, w)| w * x.powi(degree as i32)).sum();
                assert!((sum * (degree as f64 + 1.0) - 1.0).abs() < 1e-14, "{count} nodes, degree {degree}");
            }
        }
    }

    #[test]
    fn the_cut_is_an_error() {
        let of = |a: &Mat<f64>| {
            let n = a.nrows();
            let mut x = Mat::zeros(n, n);
            with(log_scratch::<f64>(n, 0), |stack| log(x.as_mut(), a.as_ref(), &[], stack)).map(|()| x)
        };
        assert!(matches!(of(&Mat::zeros(2, 2)), Err(Failure::OutsideDomain { .. })));
        let negative = -Mat::<f64>::identity(3, 3);
        assert!(matches!(of(&negative), Err(Failure::OutsideDomain { eigenvalue }) if eigenvalue.re == -1.0));
        assert!(of(&Mat::full(3, 3, f64::NAN)).unwrap()[(0, 0)].is_nan());
    }
}
