//! Orthonormal columns times an upper triangle.

use super::eigen::{largest, numbers};
use super::registers;
use crate::Scalar;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::householder;
use faer::linalg::qr::no_pivoting::factor as qr;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::traits::math_utils::sqrt;
use faer::{Conj, MatMut, MatRef, Par};

pub(crate) fn qr_scratch<T: Scalar>(m: usize, n: usize) -> StackReq {
    if n == 0 {
        return StackReq::EMPTY;
    }
    let size = qr::recommended_block_size::<T>(m, n);
    let factorize = qr::qr_in_place_scratch::<T>(m, n, size, Par::Seq, Default::default());
    let expand = householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<T>(m, size, n);
    StackReq::all_of(&[temp_mat_scratch::<T>(m, n), temp_mat_scratch::<T>(size, n), factorize.or(expand)])
}

/// Q of an m×n matrix with m ≥ n, and behind it R, whose diagonal is not negative. Where a column depends on those before it
/// to working precision, the entry of the diagonal is 0.
pub(crate) fn qr<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, stack: &mut MemStack) {
    let (m, n) = a.shape();
    let Some(numbers) = numbers(&mut dst).filter(|_| n > 0) else { return };
    if !largest(a).is_finite() {
        numbers.fill(T::from_f64(f64::NAN));
        return;
    }
    let (zero, one) = (T::default(), T::from_f64(1.0));
    let (q, r) = numbers.split_at_mut(m * n);
    let mut q = MatMut::from_column_major_slice_mut(q, m, n);
    let mut r = MatMut::from_column_major_slice_mut(r, n, n);
    let (mut packed, stack) = temp_mat_zeroed::<T, _, _>(m, n, stack);
    let mut packed = packed.as_mat_mut();
    let (mut blocks, stack) = temp_mat_zeroed::<T, _, _>(qr::recommended_block_size::<T>(m, n), n, stack);
    let mut blocks = blocks.as_mat_mut();
    packed.copy_from(a);
    qr::qr_in_place(packed.rb_mut(), blocks.rb_mut(), Par::Seq, stack, Default::default());
    q.fill(zero);
    q.rb_mut().diagonal_mut().fill(one);
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        packed.rb(),
        blocks.rb(),
        Conj::No,
        q.rb_mut(),
        Par::Seq,
        stack,
    );
    registers::release();
    r.fill(zero);
    for j in 0..n {
        for i in 0..=j {
            r[(i, j)] = packed[(i, j)];
        }
        // What faer leaves out as dependent.
        let suspicious = T::from_f64(16.0 * (m - j) as f64) * T::EPSILON;
        let size = (0..=j).fold(zero, |max, i| if r[(i, j)].abs() > max { r[(i, j)].abs() } else { max });
        let squares = (0..=j).fold(zero, |sum, i| {
            let part = if size > zero { r[(i, j)] / size } else { zero };
            sum + part * part
        });
        if r[(j, j)].abs() <= suspicious * size * sqrt(&squares) {
            r[(j, j)] = zero;
        }
    }
    for j in (0..n).filter(|&j| packed[(j, j)] < zero) {
        q.rb_mut().col_mut(j).iter_mut().for_each(|x| *x = -*x);
        r.rb_mut().row_mut(j).iter_mut().for_each(|x| *x = -*x);
    }
}
