//! The sign of a matrix: what is left of it when every eigenvalue is replaced by the sign of its real part.
//!
//! Of the real Schur form `A = Q T Qᵀ` it is `Q U Qᵀ` with an upper triangular U that has 1 or −1 on its diagonal. Between
//! blocks of the same sign, U is found from `U² = I`, and between others from `T U = U T` (Higham, *Functions of Matrices*,
//! §5.2, algorithm 5.5, here with blocks of one or two). Around 29n³, most of it for Schur's form.

use super::schur::{block, blocks, eigenvalue, product_of_three, schur, schur_scratch};
use super::sylvester::{Equation, add, equal, quasi, symmetrize};
use super::transpose;
use crate::Scalar;
use crate::failure::Failure;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};
use std::ops::Range;

pub(crate) fn sign_scratch<T: Scalar>(n: usize) -> StackReq {
    let square = temp_mat_scratch::<T>(n, n);
    square.array(3).and(schur_scratch::<T>(n).or(square))
}

/// `dst = sign A`.
///
/// # Errors
/// If an eigenvalue is imaginary to working precision.
pub(crate) fn sign<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let n = a.nrows();
    let (mut t, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut q, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut u, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut t, mut q, mut u) = (t.as_mat_mut(), q.as_mat_mut(), u.as_mat_mut());
    transpose::copy(t.rb_mut(), a, T::from_f64(1.0));
    schur(t.rb_mut(), q.rb_mut(), stack)?;
    let (t, q) = (t.rb(), q.rb());
    // Rounding errors of Schur's form move an eigenvalue by so much, if it is well conditioned.
    let tiny = T::EPSILON * t.norm_l2();
    for (k, rows) in blocks(t) {
        let real = t[(k, k)];
        if real.abs() <= tiny {
            return Err(Failure::OutsideDomain { eigenvalue: eigenvalue(t, k) });
        }
        for i in k..k + rows {
            // Written so that a NaN stays one.
            u[(i, i)] = real / real.abs();
        }
    }
    quasi_sign(t, u.rb_mut())?;
    let (mut work, _) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    product_of_three(dst.rb_mut(), [q, u.rb(), q.transpose()], work.as_mat_mut());
    if equal(a, a.transpose()) {
        symmetrize(dst);
    }
    Ok(())
}

/// Some of the rows and columns.
fn part<T>(x: MatRef<'_, T>, rows: Range<usize>, cols: Range<usize>) -> MatRef<'_, T> {
    x.submatrix(rows.start, cols.start, rows.len(), cols.len())
}

/// Above the diagonal of U, whose diagonal is known: block column by block column, from the diagonal up.
fn quasi_sign<T: Scalar>(t: MatRef<'_, T>, mut u: MatMut<'_, T>) -> Result<(), Failure> {
    for (j, cols) in blocks(t) {
        let mut i = j;
        while i > 0 {
            let rows = if i > 1 && block(t, i - 2) == 2 { 2 } else { 1 };
            i -= rows;
            let between = i + rows..j;
            let (of_rows, of_cols) = (i..i + rows, j..j + cols);
            let (sign_i, sign_j) = (u[(i, i)], u[(j, j)]);
            // At most two rows and columns.
            let (mut value, zero) = ([T::default(); 4], T::default());
            let mut x = MatMut::from_column_major_slice_mut(&mut value[..rows * cols], rows, cols);
            let left = part(u.rb(), of_rows.clone(), between.clone());
            let below = part(u.rb(), between.clone(), of_cols.clone());
            if sign_i != -sign_j {
                // `(uᵢ + uⱼ) X = −Σ uᵢₖ uₖⱼ`
                add(x.rb_mut(), -1.0, left, below);
                let half = T::from_f64(0.5) * sign_i;
                for b in 0..cols {
                    for a in 0..rows {
                        x[(a, b)] *= half;
                    }
                }
            } else {
                // `Tᵢᵢ X − X Tⱼⱼ = (uᵢ − uⱼ) Tᵢⱼ + Σ (uᵢₖ Tₖⱼ − Tᵢₖ uₖⱼ)`
                let of_t = part(t, of_rows.clone(), of_cols.clone());
                for b in 0..cols {
                    for a in 0..rows {
                        x[(a, b)] = (sign_i - sign_j) * of_t[(a, b)];
                    }
                }
                add(x.rb_mut(), 1.0, left, part(t, between.clone(), of_cols.clone()));
                add(x.rb_mut(), -1.0, part(t, of_rows.clone(), between), below);
                let (ti, tj) = (part(t, of_rows.clone(), of_rows), part(t, of_cols.clone(), of_cols));
                // Their eigenvalues are on different sides.
                let nothing = MatMut::from_column_major_slice_mut(&mut [], 0, 0);
                quasi(Equation::Difference, ti, tj, x.rb_mut(), nothing, zero)?;
            }
            u.rb_mut().submatrix_mut(i, j, rows, cols).copy_from(x.rb());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples::{distance, orthogonal, random, with};
    use faer::Mat;

    fn sign_of<T: Scalar>(a: &Mat<T>) -> Result<Mat<T>, Failure> {
        let n = a.nrows();
        let mut s = Mat::full(n, n, T::from_f64(f64::NAN));
        with(sign_scratch::<T>(n), |stack| sign(s.as_mut(), a.as_ref(), stack)).map(|()| s)
    }

    fn check<T: Scalar>(a: &Mat<T>, what: &str) -> Mat<T> {
        let n = a.nrows();
        let s = sign_of(a).unwrap();
        let norm = |x: &Mat<T>| x.norm_l2().to_f64();
        let unit = T::EPSILON.to_f64() * 8.0 * (n as f64).max(1.0);
        let square = distance((&s * &s).as_ref(), Mat::identity(n, n).as_ref());
        assert!(square <= unit * norm(&s).powi(2), "{what}, n = {n}: S² − I is {square:e}");
        let commutes = distance((&s * a).as_ref(), (a * &s).as_ref());
        assert!(commutes <= unit * norm(&s).powi(2) * norm(a), "{what}, n = {n}: SA − AS is {commutes:e}");
        s
    }

    fn all<T: Scalar>() {
        for n in (0..13).chain([20, 41]) {
            let x = random::<T>(n, n, n as u64);
            check(&x, "random");
            check(&(&x + x.transpose()), "symmetric");
            let shift = Mat::<T>::identity(n, n) * faer::Scale(T::from_f64(n as f64 + 1.0));
            assert_eq!(check(&shift, "multiple of I"), Mat::identity(n, n));
            let bound = 30.0 * T::EPSILON.to_f64() * (n as f64 + 1.0);
            let s = check(&(&x + &shift), "right half plane");
            assert!(distance(s.as_ref(), Mat::identity(n, n).as_ref()) <= bound);
            let s = check(&(&x - &shift), "left half plane");
            assert!(distance(s.as_ref(), (-Mat::<T>::identity(n, n)).as_ref()) <= bound);
            if n > 0 {
                // Half of the eigenvalues on either side.
                let q = orthogonal::<T>(n, 2);
                let entry = |i: usize, j: usize| match (i + j) % 2 {
                    _ if i == j => (if i.is_multiple_of(2) { 1.0 } else { -1.0 }) * (1.0 + i as f64),
                    _ if i < j => 0.5 * x[(i, j)].to_f64(),
                    _ => 0.0,
                };
                let t = Mat::from_fn(n, n, |i, j| T::from_f64(entry(i, j)));
                let s = check(&(&q * &t * q.transpose()), "both half planes");
                let trace: f64 = (0..n).map(|i| s[(i, i)].to_f64()).sum();
                assert!((trace - (n % 2) as f64).abs() <= 40.0 * bound, "{n}: {trace}");
            }
        }
    }

    #[test]
    fn squares_are_the_identity() {
        all::<f64>();
        all::<f32>();
    }

    #[test]
    fn the_imaginary_axis_is_an_error() {
        let turn = Mat::from_fn(2, 2, |i, j| [[0.0, -2.0], [2.0, 0.0]][i][j]);
        match sign_of(&turn) {
            Err(Failure::OutsideDomain { eigenvalue }) => {
                assert_eq!((eigenvalue.re, eigenvalue.im), (0.0, 2.0));
            }
            other => panic!("{other:?}"),
        }
        assert!(sign_of(&Mat::<f64>::zeros(2, 2)).is_err());
        assert!(sign_of(&Mat::full(3, 3, f64::NAN)).unwrap()[(1, 1)].is_nan());
    }
}
