//! Linear matrix equations: `A X + X B = C` (Sylvester) and `X − A X B = C` (Stein).
//!
//! The real Schur forms of A and B make the coefficients quasi-triangular (Bartels & Stewart, Comm. ACM 15 (1972) 820; for
//! Stein's equation Barraud, IEEE Trans. Automat. Control 22 (1977) 883, and Kitagawa, Int. J. Control 25 (1977) 745; Golub &
//! Van Loan, *Matrix Computations*, 4th ed., §7.6.3). A quasi-triangular equation is solved by halves, down to blocks of at
//! most two rows and columns, so that almost all of its work are products (Jonsson & Kågström, ACM Trans. Math. Softw. 28
//! (2002) 392). `25 (m³ + n³)` for the Schur forms, and around `5 mn (m + n)` for the rest.

use super::registers;
use super::schur::{eigenvalue, middle, product_of_three, schur, schur_scratch};
use super::transpose;
use crate::Scalar;
use crate::failure::Failure;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::matmul::matmul;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, MatMut, MatRef, Par};

/// An equation for X with quasi-triangular T and S.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Equation {
    /// `T X + X S = C`.
    Sylvester,
    /// `T X − X S = C`.
    Difference,
    /// `X − T X S = C`.
    Stein,
}

pub(crate) fn equation_scratch<T: Scalar>(m: usize, n: usize) -> StackReq {
    let square = |n: usize| temp_mat_scratch::<T>(n, n).array(2);
    let schur = schur_scratch::<T>(m).or(schur_scratch::<T>(n));
    StackReq::all_of(&[square(m), square(n), schur.or(temp_mat_scratch::<T>(m, n))])
}

/// `dst = X` with `A X + X B = C` or another equation.
///
/// It has one solution if A and −B have no eigenvalue in common (Stein: if no two eigenvalues of A and B have the product 1).
/// Schur's forms are those of matrices that differ from A and B by rounding errors: what such errors can make singular is
/// called singular.
pub(crate) fn equation<T: Scalar>(
    kind: Equation,
    mut dst: MatMut<'_, T>,
    [a, b, c]: [MatRef<'_, T>; 3],
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let (m, n) = (a.nrows(), b.nrows());
    if m == 0 || n == 0 {
        return Ok(());
    }
    let (mut ta, stack) = temp_mat_zeroed::<T, _, _>(m, m, stack);
    let (mut qa, stack) = temp_mat_zeroed::<T, _, _>(m, m, stack);
    let (mut tb, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut qb, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut ta, mut qa, mut tb, mut qb) =
        (ta.as_mat_mut(), qa.as_mat_mut(), tb.as_mat_mut(), qb.as_mat_mut());
    transpose::copy(ta.rb_mut(), a, T::from_f64(1.0));
    schur(ta.rb_mut(), qa.rb_mut(), stack)?;
    let (ta, qa) = (ta.rb(), qa.rb());
    // Often B is A, or Aᵀ: a look at them is cheap.
    let mirrored = equal(a.transpose(), b);
    let (tb, qb) = if equal(a, b) {
        (ta, qa)
    } else if mirrored {
        // `Aᵀ = Q Tᵀ Qᵀ`, and Tᵀ is upper quasi-triangular when read from behind.
        (ta.transpose().reverse_rows_and_cols(), qa.reverse_cols())
    } else {
        transpose::copy(tb.rb_mut(), b, T::from_f64(1.0));
        schur(tb.rb_mut(), qb.rb_mut(), stack)?;
        (tb.rb(), qb.rb())
    };
    let (mut work, _) = temp_mat_zeroed::<T, _, _>(m, n, stack);
    let mut work = work.as_mat_mut();
    product_of_three(dst.rb_mut(), [qa.transpose(), c, qb], work.rb_mut());
    let (norm_a, norm_b) = (ta.norm_l2(), tb.norm_l2());
    let norm = if kind == Equation::Stein { T::from_f64(1.0) + norm_a * norm_b } else { norm_a + norm_b };
    quasi(kind, ta, tb, dst.rb_mut(), work.rb_mut(), T::from_f64(2.0) * T::EPSILON * norm)?;
    let (qa, qb) = (qa.rb(), qb.rb());
    matmul(work.rb_mut(), Accum::Replace, qa, dst.rb(), T::from_f64(1.0), Par::Seq);
    matmul(dst.rb_mut(), Accum::Replace, work.rb(), qb.transpose(), T::from_f64(1.0), Par::Seq);
    registers::release();
    // Lyapunov's equations: with X, Xᵀ is a solution.
    if mirrored && equal(c.transpose(), c) {
        symmetrize(dst);
    }
    Ok(())
}

/// Replaces a square matrix by its symmetric part.
pub(crate) fn symmetrize<T: Scalar>(mut a: MatMut<'_, T>) {
    for j in 0..a.ncols() {
        for i in 0..j {
            let mean = T::from_f64(0.5) * a[(i, j)] + T::from_f64(0.5) * a[(j, i)];
            (a[(i, j)], a[(j, i)]) = (mean, mean);
        }
    }
}

/// Whether two matrices have the same entries.
pub(crate) fn equal<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> bool {
    let shape = |x: MatRef<'_, T>| (x.nrows(), x.ncols());
    shape(a) == shape(b) && (0..a.ncols()).all(|j| (0..a.nrows()).all(|i| a[(i, j)] == b[(i, j)]))
}

/// Replaces C by X. A pivot that is no larger than `tiny` says that there is no X, or more than one. `work` has the shape of C
/// for Stein's equation, and is not used for the others.
pub(crate) fn quasi<T: Scalar>(
    kind: Equation,
    t: MatRef<'_, T>,
    s: MatRef<'_, T>,
    mut c: MatMut<'_, T>,
    mut work: MatMut<'_, T>,
    tiny: T,
) -> Result<(), Failure> {
    let (m, n) = (t.nrows(), s.nrows());
    let (rows, cols) = (middle(t), middle(s));
    let by_rows = if m >= n { rows } else { rows.filter(|_| cols.is_none()) };
    if let Some(k) = by_rows {
        let (t1, t12, t2) =
            (t.submatrix(0, 0, k, k), t.submatrix(0, k, k, m - k), t.submatrix(k, k, m - k, m - k));
        let (mut c1, mut c2) = c.split_at_row_mut(k);
        quasi(kind, t2, s, c2.rb_mut(), work.rb_mut(), tiny)?;
        let x2 = c2.rb();
        match kind {
            Equation::Sylvester | Equation::Difference => add(c1.rb_mut(), -1.0, t12, x2),
            Equation::Stein => {
                let mut work = work.rb_mut().submatrix_mut(0, 0, k, n);
                work.fill(T::default());
                add(work.rb_mut(), 1.0, t12, x2);
                add(c1.rb_mut(), 1.0, work.rb(), s);
            }
        }
        quasi(kind, t1, s, c1, work, tiny)
    } else if let Some(k) = cols {
        let (s1, s12, s2) =
            (s.submatrix(0, 0, k, k), s.submatrix(0, k, k, n - k), s.submatrix(k, k, n - k, n - k));
        let (mut c1, mut c2) = c.split_at_col_mut(k);
        quasi(kind, t, s1, c1.rb_mut(), work.rb_mut(), tiny)?;
        let x1 = c1.rb();
        match kind {
            Equation::Sylvester => add(c2.rb_mut(), -1.0, x1, s12),
            Equation::Difference => add(c2.rb_mut(), 1.0, x1, s12),
            Equation::Stein => {
                let mut work = work.rb_mut().submatrix_mut(0, 0, m, n - k);
                work.fill(T::default());
                add(work.rb_mut(), 1.0, x1, s12);
                add(c2.rb_mut(), 1.0, t, work.rb());
            }
        }
        quasi(kind, t, s2, c2, work, tiny)
    } else if m > 0 && n > 0 {
        one_block(kind, t, s, c.rb_mut(), tiny)
    } else {
        Ok(())
    }
}

/// `dst += factor a b`.
pub(crate) fn add<T: Scalar>(mut dst: MatMut<'_, T>, factor: f64, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let factor = T::from_f64(factor);
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    if m * k * n > 64 {
        matmul(dst, Accum::Add, a, b, factor, Par::Seq);
        return registers::release();
    }
    for j in 0..n {
        for l in 0..k {
            let x = factor * b[(l, j)];
            for i in 0..m {
                dst[(i, j)] += a[(i, l)] * x;
            }
        }
    }
}

/// Solves the equation for a block of one or two rows and columns, as linear equations for its entries.
fn one_block<T: Scalar>(
    kind: Equation,
    t: MatRef<'_, T>,
    s: MatRef<'_, T>,
    mut c: MatMut<'_, T>,
    tiny: T,
) -> Result<(), Failure> {
    let (m, n, zero) = (t.nrows(), s.nrows(), T::default());
    let mut matrix = [[zero; 4]; 4];
    let mut x = [zero; 4];
    let entries = || (0..n).flat_map(|j| (0..m).map(move |i| (i, j)));
    for (row, (i, j)) in entries().enumerate().take(4) {
        x[row] = c[(i, j)];
        for (col, (k, l)) in entries().enumerate().take(4) {
            let (left, right) =
                (if l == j { t[(i, k)] } else { zero }, if i == k { s[(l, j)] } else { zero });
            matrix[row][col] = match kind {
                Equation::Sylvester => left + right,
                Equation::Difference => left - right,
                Equation::Stein if (i, j) == (k, l) => T::from_f64(1.0) - t[(i, k)] * s[(l, j)],
                Equation::Stein => -(t[(i, k)] * s[(l, j)]),
            };
        }
    }
    if !eliminate(&mut matrix, &mut x, m * n, tiny) {
        return Err(Failure::SingularEquation { first: eigenvalue(t, 0), second: eigenvalue(s, 0) });
    }
    for ((i, j), &x) in entries().zip(&x) {
        c[(i, j)] = x;
    }
    Ok(())
}

/// Solves a system of so many linear equations, with complete pivoting; `false` if a pivot is no larger than `tiny`.
pub(crate) fn eliminate<T: Scalar>(a: &mut [[T; 4]; 4], x: &mut [T; 4], order: usize, tiny: T) -> bool {
    let mut unknown = [0, 1, 2, 3];
    for k in 0..order {
        let (mut row, mut col) = (k, k);
        for i in k..order {
            for j in k..order {
                if a[i][j].abs() > a[row][col].abs() {
                    (row, col) = (i, j);
                }
            }
        }
        a.swap(k, row);
        x.swap(k, row);
        a.iter_mut().for_each(|row| row.swap(k, col));
        unknown.swap(k, col);
        // Written so that a NaN is not called singular: it passes through.
        if a[k][k].abs() <= tiny {
            return false;
        }
        let (pivots, known) = (a[k], x[k]);
        for (row, x) in a.iter_mut().zip(x.iter_mut()).take(order).skip(k + 1) {
            let factor = row[k] / pivots[k];
            for (entry, &pivot) in row.iter_mut().zip(&pivots).take(order).skip(k) {
                *entry -= factor * pivot;
            }
            *x -= factor * known;
        }
    }
    for k in (0..order).rev() {
        let known = (k + 1..order).fold(T::default(), |sum, j| sum + a[k][j] * x[j]);
        x[k] = (x[k] - known) / a[k][k];
    }
    let y = *x;
    for (&k, y) in unknown.iter().zip(y).take(order) {
        x[k] = y;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Eigenvalue;
    use crate::kernels::samples::{distance, jordan, orthogonal, random, symmetric, with};
    use faer::Mat;

    fn solve<T: Scalar>(kind: Equation, a: &Mat<T>, b: &Mat<T>, c: &Mat<T>) -> Result<Mat<T>, Failure> {
        let (m, n) = (a.nrows(), b.nrows());
        let mut x = Mat::full(m, n, T::from_f64(f64::NAN));
        with(equation_scratch::<T>(m, n), |stack| {
            equation(kind, x.as_mut(), [a.as_ref(), b.as_ref(), c.as_ref()], stack)
        })
        .map(|()| x)
    }

    /// The residual is as small as rounding errors of A and B make it.
    fn check<T: Scalar>(kind: Equation, a: &Mat<T>, b: &Mat<T>, c: &Mat<T>, what: &str) -> Mat<T> {
        let (m, n) = (a.nrows(), b.nrows());
        let x = solve(kind, a, b, c).unwrap();
        let left = match kind {
            Equation::Sylvester => a * &x + &x * b,
            Equation::Difference => a * &x - &x * b,
            Equation::Stein => &x - a * &x * b,
        };
        let norm = |x: &Mat<T>| x.norm_l2().to_f64();
        let size = match kind {
            Equation::Stein => norm(&x) * (1.0 + norm(a) * norm(b)),
            _ => norm(&x) * (norm(a) + norm(b)),
        };
        let error = distance(left.as_ref(), c.as_ref());
        let bound = T::EPSILON.to_f64() * 4.0 * (m + n) as f64 * (size + norm(c));
        assert!(error <= bound, "{kind:?}, {what}, {m}×{n}: {error:e}, bound {bound:e}");
        x
    }

    fn all<T: Scalar>() {
        for (m, n) in [
            (0, 0),
            (0, 3),
            (3, 0),
            (1, 1),
            (2, 1),
            (1, 2),
            (2, 2),
            (3, 5),
            (5, 3),
            (8, 8),
            (17, 30),
            (40, 33),
        ] {
            for kind in [Equation::Sylvester, Equation::Difference, Equation::Stein] {
                let (a, b) = (random::<T>(m, m, 1), random::<T>(n, n, 2));
                let c = random::<T>(m, n, 3);
                check(kind, &a, &b, &c, "random");
                check(kind, &symmetric(m, 4), &symmetric(n, 5), &c, "symmetric");
                let (x, y) = if kind == Equation::Stein { (0.2, 0.3) } else { (1.5, 4.0) };
                check(kind, &jordan(m, x), &jordan(n, y), &c, "Jordan");
                if m > 0 && kind != Equation::Difference {
                    check(kind, &a, &Mat::from_fn(n, n, |i, j| a[(i % m, j % m)]), &c, "alike");
                }
                let square = random::<T>(m, m, 6);
                // Those with a real part below 0, or within the unit circle.
                let half = T::from_f64(0.5);
                let stable = Mat::from_fn(m, m, |i, j| {
                    let x = half * a[(i, j)] / T::from_f64((m as f64).sqrt());
                    if i == j && kind != Equation::Stein { x - T::from_f64(1.0) } else { x }
                });
                if kind != Equation::Difference {
                    check(kind, &stable, &stable, &square, "A and A");
                    check(kind, &stable, &stable.transpose().to_owned(), &square, "A and Aᵀ");
                    let right = symmetric::<T>(m, 7);
                    let x = check(kind, &stable, &stable.transpose().to_owned(), &right, "Lyapunov");
                    assert_eq!(x, x.transpose().to_owned(), "{kind:?}");
                }
            }
        }
    }

    #[test]
    fn residuals_are_rounding_errors() {
        all::<f64>();
        all::<f32>();
    }

    #[test]
    fn common_eigenvalues_are_found() {
        for n in [1, 2, 3, 6, 20] {
            let q = orthogonal::<f64>(n, 1);
            let a = random::<f64>(n, n, 2);
            let b = &q * &a * q.transpose();
            let c = random::<f64>(n, n, 3);
            let near = |x: Eigenvalue, y: Eigenvalue| (x.re + y.re).hypot(x.im - y.im);
            match solve(Equation::Sylvester, &a, &-&b, &c) {
                Err(Failure::SingularEquation { first, second }) => assert!(near(first, second) < 1e-12),
                other => panic!("{n}: {other:?}"),
            }
            let turn = orthogonal::<f64>(n, 4);
            match solve(Equation::Stein, &turn, &turn.transpose().to_owned(), &c) {
                Err(Failure::SingularEquation { first, .. }) => {
                    assert!((first.re.hypot(first.im) - 1.0).abs() < 1e-13)
                }
                other => panic!("{n}: {other:?}"),
            }
        }
        let bad = Mat::full(3, 3, f64::NAN);
        let x = solve(Equation::Sylvester, &bad, &random(3, 3, 1), &random(3, 3, 2)).unwrap();
        assert!(x[(0, 0)].is_nan());
    }
}
