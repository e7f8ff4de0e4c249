//! Adjugates of square matrices, of singular ones too.

use super::factor::{self, Pivots};
use super::svd::{parts, svd, svd_scratch};
use super::{registers, transpose};
use crate::Scalar;
use crate::failure::Failure;
use crate::plan::{Factorization, Method};
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::matmul::matmul;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::traits::math_utils::min_positive;
use faer::{Accum, MatMut, MatRef, Par};

pub(crate) fn adjugate_scratch<T: Scalar>(n: usize) -> StackReq {
    let singular = StackReq::all_of(&[
        temp_mat_scratch::<T>(n, n),
        temp_mat_scratch::<T>(n * (1 + 2 * n), 1),
        svd_scratch::<T>(n, n, true).or(StackReq::all_of(&[
            StackReq::new::<usize>(n),
            StackReq::new::<usize>(n),
            factor::factorize_scratch::<T>(Factorization { method: Method::Lu, n }),
        ])),
    ]);
    factor::inverse_scratch::<T>(n).or(singular)
}

/// The adjugate of `alpha a`, whose LU factors are given: `det(A) A⁻¹`, or if a pivot vanishes, from the singular values.
pub(crate) fn adjugate<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    alpha: T,
    factors: MatRef<'_, T>,
    p: &Pivots<T>,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let n = a.nrows();
    if n <= 1 {
        dst.fill(T::from_f64(1.0));
        return Ok(());
    }
    if p.vanishing.is_some() {
        return of_singular(dst, a, alpha, stack);
    }
    factor::inverse(dst.rb_mut(), factors, p, stack);
    // If it is the last pivot that is small, its error is in the inverse and in the determinant, and cancels.
    let sign = T::from_f64(if p.is_odd() { -1.0 } else { 1.0 });
    let pivot = |i: usize| factors[(i, i)];
    let det = product(sign, n, pivot);
    let usual = det.is_finite() && det.abs() >= min_positive::<T>();
    for j in 0..n {
        for i in 0..n {
            let entry = dst[(i, j)];
            dst[(i, j)] = if usual { entry * det } else { product(sign * entry, n, pivot) };
        }
    }
    Ok(())
}

/// With `A = U Diag(σ) Vᵀ` it is `det(U) det(V) V Diag(Πⱼ≠ᵢ σⱼ) Uᵀ`. [Stewart, Linear Algebra Appl. 283 (1998) 151]
fn of_singular<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    alpha: T,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let (n, one) = (a.nrows(), T::from_f64(1.0));
    let (mut work, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let mut work = work.as_mat_mut();
    let (mut decomposed, stack) = temp_mat_zeroed::<T, _, _>(n * (1 + 2 * n), 1, stack);
    let mut decomposed = decomposed.as_mat_mut();
    transpose::copy(work.rb_mut(), a, alpha);
    svd(decomposed.rb_mut(), work.rb(), stack)?;
    let Some((values, u, v)) = parts(decomposed.rb(), n, n).filter(|(values, ..)| values[0].is_finite())
    else {
        dst.fill(T::from_f64(f64::NAN));
        return Ok(());
    };
    let sign = if is_reflection(work.rb_mut(), u, stack) == is_reflection(work.rb_mut(), v, stack) {
        one
    } else {
        -one
    };
    for j in 0..n {
        let others = product(sign, n, |i| if i == j { one } else { values[i] });
        for i in 0..n {
            work[(i, j)] = others * v[(i, j)];
        }
    }
    matmul(dst.rb_mut(), Accum::Replace, work.rb(), u.transpose(), one, Par::Seq);
    registers::release();
    Ok(())
}

/// Whether the determinant of an orthogonal matrix is −1.
fn is_reflection<T: Scalar>(mut work: MatMut<'_, T>, q: MatRef<'_, T>, stack: &mut MemStack) -> bool {
    let n = q.nrows();
    work.copy_from(q);
    let (mut forward, stack) = stack.make_with::<usize>(n, |i| i);
    let (mut backward, stack) = stack.make_with::<usize>(n, |i| i);
    let odd = factor::lu_in_place(work.rb_mut(), &mut forward, &mut backward, stack);
    (0..n).fold(odd, |odd, i| odd != (work[(i, i)] < T::default()))
}

/// `start Πᵢ xᵢ`, taken in an order in which nothing overflows or underflows that the result does not.
fn product<T: Scalar>(start: T, n: usize, x: impl Fn(usize) -> T) -> T {
    let one = T::from_f64(1.0);
    let is_large = |&i: &usize| x(i).abs() >= one;
    let mut large = (0..n).filter(is_large);
    let mut others = (0..n).filter(|i| !is_large(i));
    let mut product = start;
    loop {
        let next = if product.abs() < one {
            large.next().or_else(|| others.next())
        } else {
            others.next().or_else(|| large.next())
        };
        match next {
            Some(i) => product *= x(i),
            None => return product,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::product;

    #[test]
    fn products_neither_overflow_nor_underflow_on_the_way() {
        let numbers = [1e200, 1e200, -1e-200, 1e-200, 1e200, 1e-200, 3.0];
        let value = product(2.0, numbers.len(), |i| numbers[i]);
        assert!((value / -6.0 - 1.0_f64).abs() < 1e-14, "{value}");
        assert_eq!(product(1e300, 3, |i| [1e300, 1e300, 0.0][i]), 0.0);
        assert!(product(1.0, 2, |i| [f64::NAN, 2.0][i]).is_nan());
    }
}
