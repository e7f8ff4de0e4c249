//! Factors of square matrices, by LU or Cholesky, and what is computed from them.

use super::reduce::sum_of_sizes;
use super::{registers, transpose};
use crate::Scalar;
use crate::plan::{Factorization, Method};
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::cholesky::llt::{self, factor::LltError};
use faer::linalg::lu::partial_pivoting as lu;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::linalg::triangular_solve;
use faer::perm::PermRef;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::traits::math_utils::sqrt;
use faer::{Accum, MatMut, MatRef, Par};
use std::ops::Range;

/// What belongs to packed factors besides them: how they were found, the row permutation, and what the pivots say.
#[derive(Clone, Debug)]
pub(crate) struct Pivots<T> {
    pub(crate) method: Method,
    forward: Vec<usize>,
    inverse: Vec<usize>,
    odd: bool,
    /// The first pivot that is zero to working precision, or not positive where it should be.
    pub(crate) vanishing: Option<usize>,
    /// Memory to find it with.
    work: Vec<T>,
}

impl<T: Scalar> Pivots<T> {
    pub(crate) fn new(Factorization { method, n }: Factorization) -> Self {
        // Cholesky does not permute.
        let (permuted, work) = if method == Method::Lu { (n, 3 * n) } else { (0, n) };
        let (forward, inverse) = ((0..permuted).collect(), (0..permuted).collect());
        Pivots { method, forward, inverse, odd: false, vanishing: None, work: vec![T::default(); work] }
    }

    /// Whether the rows were permuted oddly.
    pub(super) fn is_odd(&self) -> bool {
        self.odd
    }

    fn permutation(&self) -> PermRef<'_, usize> {
        PermRef::new_checked(&self.forward, &self.inverse, self.forward.len())
    }
}

pub(crate) fn factorize_scratch<T: Scalar>(Factorization { method, n }: Factorization) -> StackReq {
    match method {
        Method::Lu => lu::factor::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, Default::default()),
        Method::Cholesky => llt::factor::cholesky_in_place_scratch::<T>(n, Par::Seq, Default::default()),
    }
}

pub(crate) fn solve_scratch<T: Scalar>(Factorization { method, n }: Factorization, cols: usize) -> StackReq {
    match method {
        Method::Lu => lu::solve::solve_in_place_scratch::<usize, T>(n, cols, Par::Seq)
            .or(lu::solve::solve_transpose_in_place_scratch::<usize, T>(n, cols, Par::Seq)),
        Method::Cholesky => llt::solve::solve_in_place_scratch::<T>(n, cols, Par::Seq),
    }
}

pub(crate) fn inverse_scratch<T: Scalar>(n: usize) -> StackReq {
    lu::inverse::inverse_scratch::<usize, T>(n, Par::Seq)
}

/// Of a matrix to be factorized, `to = alpha a`: for Cholesky the lower triangle, as nothing else is read.
pub(crate) fn load<T: Scalar>(mut to: MatMut<'_, T>, a: MatRef<'_, T>, alpha: T, method: Method) {
    if method == Method::Lu || a.row_stride() != 1 || to.row_stride() != 1 {
        return transpose::copy(to, a, alpha);
    }
    for j in 0..a.ncols() {
        let rows = a.nrows() - j;
        let (to, from) = (to.rb_mut().col_mut(j).subrows_mut(j, rows), a.col(j).subrows(j, rows));
        match (to.try_as_col_major_mut(), from.try_as_col_major()) {
            (Some(to), Some(from)) if alpha == T::from_f64(1.0) => {
                to.as_slice_mut().copy_from_slice(from.as_slice());
            }
            (Some(to), Some(from)) => {
                let pairs = to.as_slice_mut().iter_mut().zip(from.as_slice());
                pairs.for_each(|(to, &from)| *to = alpha * from);
            }
            // Both are stored by columns.
            _ => {}
        }
    }
}

/// Replaces a matrix by its packed factors: `P A = L U`, or `A = L Lᵀ` with L in the lower triangle.
pub(crate) fn factorize<T: Scalar>(mut a: MatMut<'_, T>, p: &mut Pivots<T>, stack: &mut MemStack) {
    match p.method {
        Method::Lu => {
            let (forward, inverse) = (&mut p.forward, &mut p.inverse);
            p.odd = lu_in_place(a.rb_mut(), forward, inverse, stack);
            p.vanishing = vanishing(a.rb(), &mut p.work);
        }
        Method::Cholesky => {
            for (k, entry) in p.work.iter_mut().enumerate() {
                *entry = a[(k, k)];
            }
            let pivots = llt::factor::cholesky_in_place(
                a.rb_mut(),
                Default::default(),
                Par::Seq,
                stack,
                Default::default(),
            );
            registers::release();
            p.vanishing = match pivots {
                Ok(_) => not_positive(a.rb(), &p.work),
                Err(LltError::NonPositivePivot { index }) => Some(index),
            };
        }
    }
}

/// Replaces a matrix by L and U of `P A = L U`; returns whether P is odd.
pub(super) fn lu_in_place<T: Scalar>(
    a: MatMut<'_, T>,
    forward: &mut [usize],
    inverse: &mut [usize],
    stack: &mut MemStack,
) -> bool {
    let (info, _) = lu::factor::lu_in_place(a, forward, inverse, Par::Seq, stack, Default::default());
    registers::release();
    info.transposition_count % 2 == 1
}

/// The first pivot of Cholesky's factors that is zero to working precision, from the diagonal of what was factorized.
///
/// `aₖₖ = Σⱼ lₖⱼ²`, and the pivot `lₖₖ²` is what is left of it after the other terms are taken off: no more than a few
/// rounding errors of `aₖₖ` say nothing (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §10.1).
fn not_positive<T: Scalar>(factors: MatRef<'_, T>, diagonal: &[T]) -> Option<usize> {
    let suspicious = T::from_f64(4.0) * T::EPSILON;
    (0..factors.nrows()).zip(diagonal).find_map(|(k, &entry)| {
        let pivot = factors[(k, k)];
        (pivot * pivot <= suspicious * entry).then_some(k)
    })
}

/// The first pivot that is zero to working precision; `work` has room for 3n numbers.
///
/// With `wᵀ L = eₖᵀ` and `U z = uₖₖ eₖ`, a change Δ of the matrix changes the pivot by `wᵀ Δ z` to first order.
/// Rounding errors of ε in each product `lᵢⱼ uⱼₘ` are independent, so that theirs add up to
/// `ε √(Σᵢ wᵢ² Σⱼ lᵢⱼ² Σₘ (uⱼₘ zₘ)²)`: a pivot no larger than three times that says nothing. (For componentwise
/// perturbations and rounding in LU see Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §9.3.) The
/// test does not depend on how rows and columns are scaled.
pub(crate) fn vanishing<T: Scalar>(factors: MatRef<'_, T>, work: &mut [T]) -> Option<usize> {
    let (n, at) = (factors.nrows(), |i: usize, j: usize| factors[(i, j)]);
    let suspicious = T::from_f64(2.0) * sqrt(&T::EPSILON);
    let (w, rest) = work.split_at_mut(n);
    let (z, uz) = rest.split_at_mut(n);
    (0..n).find(|&k| {
        let pivot = at(k, k).abs();
        if pivot == T::default() {
            return true;
        }
        // Only a pivot that is small beside the terms of its own sum is worth a closer look, which takes O(n²). As no
        // entry of L is larger than 1, the column of U bounds those terms, and it is contiguous.
        let small = |bound: T| pivot <= suspicious * bound;
        let column = factors.col(k).try_as_col_major().and_then(|column| column.as_slice().get(..=k));
        let terms = || (0..k).fold(pivot, |sum, j| sum + (at(k, j) * at(j, k)).abs());
        if !column.is_none_or(|column| small(sum_of_sizes(column))) || !small(terms()) {
            return false;
        }
        (w[k], z[k]) = (T::from_f64(1.0), T::from_f64(1.0));
        for j in (0..k).rev() {
            w[j] = -(j + 1..=k).fold(T::default(), |sum, i| sum + w[i] * at(i, j));
            z[j] = -(j + 1..=k).fold(T::default(), |sum, i| sum + at(j, i) * z[i]) / at(j, j);
        }
        for (i, uz) in uz.iter_mut().enumerate().take(k + 1) {
            *uz = norm(i..k + 1, |m| at(i, m) * z[m]);
        }
        for i in 0..=k {
            w[i] *= norm(0..i + 1, |j| if j < i { at(i, j) * uz[j] } else { uz[i] });
        }
        let errors = norm(0..k + 1, |i| w[i]);
        // Written so that a NaN is not called singular: it passes through.
        errors.is_finite() && pivot <= T::from_f64(3.0) * T::EPSILON * errors
    })
}

/// `√Σ xᵢ²`, safe against overflow.
fn norm<T: Scalar>(range: Range<usize>, x: impl Fn(usize) -> T) -> T {
    let largest = range.clone().fold(T::default(), |max, i| if x(i).abs() > max { x(i).abs() } else { max });
    if largest == T::default() {
        return largest;
    }
    let square = |x: T| x * x;
    largest * sqrt(&range.fold(T::default(), |sum, i| sum + square(x(i) / largest)))
}

pub(crate) fn solve<T: Scalar>(
    factors: MatRef<'_, T>,
    p: &Pivots<T>,
    transposed: bool,
    rhs: MatMut<'_, T>,
    stack: &mut MemStack,
) {
    match p.method {
        Method::Cholesky => llt::solve::solve_in_place(factors, rhs, Par::Seq, stack),
        Method::Lu if transposed => {
            lu::solve::solve_transpose_in_place(factors, factors, p.permutation(), rhs, Par::Seq, stack);
        }
        Method::Lu => lu::solve::solve_in_place(factors, factors, p.permutation(), rhs, Par::Seq, stack),
    }
    registers::release();
}

/// `rhs = T⁻¹ rhs` with a triangle T of `a`, whose diagonal has no zeros.
pub(crate) fn solve_triangular<T: Scalar>(a: MatRef<'_, T>, upper: bool, unit: bool, rhs: MatMut<'_, T>) {
    match (upper, unit) {
        (false, false) => triangular_solve::solve_lower_triangular_in_place(a, rhs, Par::Seq),
        (false, true) => triangular_solve::solve_unit_lower_triangular_in_place(a, rhs, Par::Seq),
        (true, false) => triangular_solve::solve_upper_triangular_in_place(a, rhs, Par::Seq),
        (true, true) => triangular_solve::solve_unit_upper_triangular_in_place(a, rhs, Par::Seq),
    }
    registers::release();
}

pub(crate) fn inverse<T: Scalar>(
    dst: MatMut<'_, T>,
    factors: MatRef<'_, T>,
    p: &Pivots<T>,
    stack: &mut MemStack,
) {
    lu::inverse::inverse(dst, factors, factors, p.permutation(), Par::Seq, stack);
    registers::release();
}

/// The lower triangle of `dst = alpha A⁻¹`, or of `dst += alpha A⁻¹`, from `A = L Lᵀ`: it is `L⁻ᵀ L⁻¹`. `work` has
/// n² numbers.
pub(crate) fn definite_inverse<T: Scalar>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    factors: MatRef<'_, T>,
    alpha: T,
    work: &mut [T],
) {
    let accumulate = if accumulate { Accum::Add } else { Accum::Replace };
    let (lower, upper) = (BlockStructure::TriangularLower, BlockStructure::TriangularUpper);
    let n = factors.nrows();
    // Above the diagonal is whatever was there before, and nobody reads it.
    let mut inverse = MatMut::from_column_major_slice_mut(&mut work[..n * n], n, n);
    invert_lower_triangular(inverse.rb_mut(), factors, Par::Seq);
    let inverse = inverse.rb();
    triangular::matmul(dst, lower, accumulate, inverse.transpose(), upper, inverse, lower, alpha, Par::Seq);
    registers::release();
}

pub(crate) fn det<T: Scalar>(factors: MatRef<'_, T>, p: &Pivots<T>) -> T {
    let mut det = T::from_f64(if p.odd { -1.0 } else { 1.0 });
    for i in 0..factors.nrows() {
        let pivot = factors[(i, i)];
        // Beyond an exact zero the factors hold quotients by it.
        if pivot == T::default() {
            return pivot;
        }
        det *= match p.method {
            Method::Lu => pivot,
            Method::Cholesky => pivot * pivot,
        };
    }
    det
}

/// `log |det A|`.
pub(crate) fn log_det<T: Scalar>(factors: MatRef<'_, T>, p: &Pivots<T>) -> T {
    let sum = (0..factors.nrows()).fold(T::default(), |sum, i| sum + factors[(i, i)].abs().ln());
    match p.method {
        Method::Lu => sum,
        Method::Cholesky => sum + sum,
    }
}
