//! The principal square root of a matrix: that whose eigenvalues have positive real parts.
//!
//! Of the real Schur form `A = Q T Qᵀ` the square root is `Q U Qᵀ` with an upper quasi-triangular U (Björck & Hammarling,
//! Linear Algebra Appl. 52/53 (1983) 127; Higham, Linear Algebra Appl. 88/89 (1987) 405). It is found by halves: with the
//! roots of the diagonal blocks, the other block solves `U₁₁ X + X U₂₂ = T₁₂` (Deadman, Higham & Ralha, *Blocked Schur
//! algorithms for computing the matrix square root*, PARA 2012). Around 30n³, most of it for Schur's form.

use super::schur::{blocks, eigenvalue, middle, product_of_three, schur, schur_scratch};
use super::sylvester::{Equation, equal, quasi, symmetrize};
use super::transpose;
use crate::failure::Failure;
use crate::{Eigenvalue, Scalar};
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};

pub(crate) fn square_root_scratch<T: Scalar>(n: usize) -> StackReq {
    let square = temp_mat_scratch::<T>(n, n);
    square.array(2).and(schur_scratch::<T>(n).or(square))
}

/// `dst = √A`.
///
/// # Errors
/// If an eigenvalue is zero or negative.
pub(crate) fn square_root<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let n = a.nrows();
    let (mut t, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut q, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut t, mut q) = (t.as_mat_mut(), q.as_mat_mut());
    transpose::copy(t.rb_mut(), a, T::from_f64(1.0));
    schur(t.rb_mut(), q.rb_mut(), stack)?;
    on_the_plane(t.rb())?;
    quasi_root(t.rb_mut())?;
    let (mut work, _) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    product_of_three(dst.rb_mut(), [q.rb(), t.rb(), q.rb().transpose()], work.as_mat_mut());
    if equal(a, a.transpose()) {
        symmetrize(dst);
    }
    Ok(())
}

/// Fails if a quasi-triangular matrix has an eigenvalue that is zero or negative.
pub(crate) fn on_the_plane<T: Scalar>(t: MatRef<'_, T>) -> Result<(), Failure> {
    for (k, rows) in blocks(t) {
        if rows == 1 && t[(k, k)] <= T::default() {
            return Err(Failure::OutsideDomain { eigenvalue: eigenvalue(t, k) });
        }
    }
    Ok(())
}

/// Replaces an upper quasi-triangular matrix by its square root.
pub(crate) fn quasi_root<T: Scalar>(mut t: MatMut<'_, T>) -> Result<(), Failure> {
    let Some(k) = middle(t.rb()) else {
        root_of_block(t);
        return Ok(());
    };
    let (mut t1, mut t12, below, mut t2) = t.rb_mut().split_at_mut(k, k);
    quasi_root(t1.rb_mut())?;
    quasi_root(t2.rb_mut())?;
    // No two eigenvalues of the roots are opposite to each other. What is below is zero, and not asked for memory.
    let nothing = below.submatrix_mut(0, 0, 0, 0);
    quasi(Equation::Sylvester, t1.rb(), t2.rb(), t12.rb_mut(), nothing, T::default())
}

/// The square root of a block in standard form.
fn root_of_block<T: Scalar>(mut t: MatMut<'_, T>) {
    let n = t.nrows();
    if n == 1 {
        t[(0, 0)] = T::from_f64(t[(0, 0)].to_f64().sqrt());
    }
    if n != 2 {
        return;
    }
    // √(θ + iμ) = α + iμ/(2α)
    let Eigenvalue { re, im } = eigenvalue(t.rb(), 0);
    let size = re.hypot(im);
    let half = if re > 0.0 {
        (0.5 * re + 0.5 * size).sqrt()
    } else {
        im / (std::f64::consts::SQRT_2 * (size - re).sqrt())
    };
    let factor = 0.5 / half;
    let of = |x: T, factor: f64| T::from_f64(x.to_f64() * factor);
    (t[(0, 1)], t[(1, 0)]) = (of(t[(0, 1)], factor), of(t[(1, 0)], factor));
    (t[(0, 0)], t[(1, 1)]) = (T::from_f64(half), T::from_f64(half));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples::{distance, jordan, orthogonal, random, with};
    use faer::Mat;

    fn root<T: Scalar>(a: &Mat<T>) -> Result<Mat<T>, Failure> {
        let n = a.nrows();
        let mut s = Mat::full(n, n, T::from_f64(f64::NAN));
        with(square_root_scratch::<T>(n), |stack| square_root(s.as_mut(), a.as_ref(), stack)).map(|()| s)
    }

    fn check<T: Scalar>(a: &Mat<T>, what: &str) -> Mat<T> {
        let n = a.nrows();
        let s = root(a).unwrap_or_else(|failure| panic!("{what}, n = {n}: {failure:?}"));
        let error = distance((&s * &s).as_ref(), a.as_ref());
        let norm = s.norm_l2().to_f64();
        let bound = 4.0 * n as f64 * T::EPSILON.to_f64() * norm * norm;
        assert!(error <= bound, "{what}, n = {n}: {error:e}, bound {bound:e}");
        s
    }

    fn all<T: Scalar>() {
        for n in (0..13).chain([20, 41]) {
            let x = random::<T>(n, n, n as u64);
            let positive = &x * x.transpose() + Mat::<T>::identity(n, n);
            let s = check(&positive, "definite");
            assert!(distance(s.as_ref(), s.transpose()) <= 1e2 * T::EPSILON.to_f64() * s.norm_l2().to_f64());
            let identity = Mat::<T>::identity(n, n);
            let half_plane = &x + &identity * faer::Scale(T::from_f64((n as f64).sqrt() + 1.0));
            check(&half_plane, "half plane");
            // Squares of half planes fill the rest.
            let s = check(&(&half_plane * &half_plane), "plane");
            let error = distance(s.as_ref(), half_plane.as_ref());
            assert!(error <= 1e4 * T::EPSILON.to_f64() * half_plane.norm_l2().to_f64(), "n = {n}: {error:e}");
            check(&jordan::<T>(n, 4.0), "Jordan");
            assert_eq!(check(&identity, "identity"), identity);
        }
    }

    #[test]
    fn squares_come_back() {
        all::<f64>();
        all::<f32>();
    }

    #[test]
    fn closed_forms() {
        // A rotation by less than a half turn is the square of one by half the angle.
        for angle in [0.1f64, 1.0, 2.0, 3.0, 3.1] {
            let rotation = |angle: f64| {
                let (sin, cos) = angle.sin_cos();
                Mat::from_fn(2, 2, |i, j| {
                    if i == j {
                        cos
                    } else if i > j {
                        sin
                    } else {
                        -sin
                    }
                })
            };
            let error = distance(root(&rotation(angle)).unwrap().as_ref(), rotation(angle / 2.0).as_ref());
            assert!(error < 4e-16 / (std::f64::consts::PI - angle), "{angle}: {error:e}");
        }
        // √(4I + N) = 2 + N/4 − N²/64
        let s = root(&jordan::<f64>(3, 4.0)).unwrap();
        let expected = Mat::from_fn(3, 3, |i, j| match j.checked_sub(i) {
            Some(0) => 2.0,
            Some(1) => 0.25,
            Some(2) => -1.0 / 64.0,
            _ => 0.0,
        });
        assert_eq!(s, expected);
    }

    #[test]
    fn the_cut_is_an_error() {
        let q = orthogonal::<f64>(5, 1);
        let d = Mat::from_fn(5, 5, |i, j| if i == j { i as f64 - 1.5 } else { 0.0 });
        match root(&(&q * d * q.transpose())) {
            Err(Failure::OutsideDomain { eigenvalue: Eigenvalue { re, im } }) => {
                assert!(re < -0.4 && im == 0.0)
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(
            root(&Mat::<f64>::zeros(3, 3)),
            Err(Failure::OutsideDomain { eigenvalue: Eigenvalue { re: 0.0, im: 0.0 } })
        );
        assert!(root(&Mat::full(3, 3, f64::NAN)).unwrap()[(1, 1)].is_nan());
    }
}
