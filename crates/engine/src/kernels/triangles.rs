//! Factors of square matrices as values: LU with a permutation, and LDLᵀ.

use super::eigen::{largest, numbers};
use super::factor::vanishing;
use super::registers;
use crate::Scalar;
use crate::failure::Failure;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::cholesky::ldlt::factor::{self as ldlt, LdltError};
use faer::linalg::lu::partial_pivoting::factor as lu;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef, Par};

pub(crate) fn lu_scratch<T: Scalar>(n: usize) -> StackReq {
    let factorize = lu::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, Default::default());
    StackReq::all_of(&[
        temp_mat_scratch::<T>(n, n),
        StackReq::new::<usize>(n),
        StackReq::new::<usize>(n),
        factorize.or(StackReq::new::<T>(3 * n)),
    ])
}

/// P, L and U of a square matrix, one behind the other: `P A = L U` with partial pivoting. A pivot that vanishes to working
/// precision is 0, and below an exact zero L has zeros.
pub(crate) fn lu<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, stack: &mut MemStack) {
    let n = a.nrows();
    let Some(numbers) = numbers(&mut dst).filter(|_| n > 0) else { return };
    if !largest(a).is_finite() {
        numbers.fill(T::from_f64(f64::NAN));
        return;
    }
    let (zero, one) = (T::default(), T::from_f64(1.0));
    let (p, rest) = numbers.split_at_mut(n * n);
    let (l, u) = rest.split_at_mut(n * n);
    let mut p = MatMut::from_column_major_slice_mut(p, n, n);
    let mut l = MatMut::from_column_major_slice_mut(l, n, n);
    let mut u = MatMut::from_column_major_slice_mut(u, n, n);
    let (mut packed, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let mut packed = packed.as_mat_mut();
    let (mut forward, stack) = stack.make_with::<usize>(n, |i| i);
    let (mut backward, stack) = stack.make_with::<usize>(n, |i| i);
    packed.copy_from(a);
    lu::lu_in_place(packed.rb_mut(), &mut forward, &mut backward, Par::Seq, stack, Default::default());
    registers::release();
    if (0..n).any(|k| packed[(k, k)] == zero) {
        // Beyond an exact zero faer's factors hold quotients by it.
        packed.copy_from(a);
        forward.iter_mut().enumerate().for_each(|(i, row)| *row = i);
        eliminate(packed.rb_mut(), &mut forward);
    } else {
        let (mut work, _) = stack.make_with::<T>(3 * n, |_| zero);
        if let Some(k) = vanishing(packed.rb(), &mut work) {
            packed[(k, k)] = zero;
        }
    }
    p.fill(zero);
    for (i, &row) in forward.iter().enumerate() {
        p[(i, row)] = one;
    }
    for j in 0..n {
        for i in 0..n {
            let (below, entry) = (i > j, packed[(i, j)]);
            u[(i, j)] = if below { zero } else { entry };
            l[(i, j)] = if below { entry } else { T::from_f64(f64::from(i == j)) };
        }
    }
}

/// Gauss' elimination, by the book.
fn eliminate<T: Scalar>(mut a: MatMut<'_, T>, rows: &mut [usize]) {
    let n = a.nrows();
    for k in 0..n {
        let largest =
            (k + 1..n).fold(k, |best, i| if a[(i, k)].abs() > a[(best, k)].abs() { i } else { best });
        rows.swap(k, largest);
        for j in 0..n {
            let (x, y) = (a[(k, j)], a[(largest, j)]);
            (a[(k, j)], a[(largest, j)]) = (y, x);
        }
        let pivot = a[(k, k)];
        if pivot == T::default() {
            continue;
        }
        for i in k + 1..n {
            a[(i, k)] /= pivot;
        }
        for j in k + 1..n {
            let x = a[(k, j)];
            for i in k + 1..n {
                let factor = a[(i, k)];
                a[(i, j)] -= factor * x;
            }
        }
    }
}

pub(crate) fn ldl_scratch<T: Scalar>(n: usize) -> StackReq {
    ldlt::cholesky_in_place_scratch::<T>(n, Par::Seq, Default::default())
}

/// L and d of a symmetric matrix, one behind the other: `A = L Diag(d) Lᵀ`. The lower triangle is read.
pub(crate) fn ldl<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let n = a.nrows();
    let Some(numbers) = numbers(&mut dst).filter(|_| n > 0) else { return Ok(()) };
    if !largest(a).is_finite() {
        numbers.fill(T::from_f64(f64::NAN));
        return Ok(());
    }
    let (l, d) = numbers.split_at_mut(n * n);
    let mut l = MatMut::from_column_major_slice_mut(l, n, n);
    l.copy_from(a);
    let pivots = ldlt::cholesky_in_place(l.rb_mut(), Default::default(), Par::Seq, stack, Default::default());
    registers::release();
    if let Err(LdltError::ZeroPivot { index }) = pivots {
        return Err(Failure::ZeroPivot { pivot: index });
    }
    for (k, pivot) in d.iter_mut().enumerate() {
        *pivot = l[(k, k)];
        l[(k, k)] = T::from_f64(1.0);
        (0..k).for_each(|i| l[(i, k)] = T::default());
    }
    // What is left of an entry of the diagonal after other terms are taken off says nothing if it is a few rounding errors
    // of them.
    let suspicious = T::from_f64(8.0) * T::EPSILON;
    for k in 0..n {
        let terms = (0..k).fold(a[(k, k)].abs(), |sum, j| sum + l[(k, j)] * l[(k, j)] * d[j].abs());
        if d[k].abs() <= suspicious * terms {
            return Err(Failure::ZeroPivot { pivot: k });
        }
    }
    Ok(())
}
