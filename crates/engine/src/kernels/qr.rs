//! Orthonormal columns times an upper triangle.
//!
//! Householder's reflections and the triangle stay packed as faer leaves them. Q is put together if it is asked for as a matrix;
//! least squares only apply it.

use super::eigen::{largest, numbers};
use super::reduce::sum_of_sizes;
use super::{factor, registers, transpose};
use crate::Scalar;
use crate::failure::Failure;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::householder;
use faer::linalg::qr::no_pivoting::factor as qr;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::traits::math_utils::sqrt;
use faer::{Conj, MatMut, MatRef, Par};
use pullback_tape::Shape;

/// Rows of the triangles that belong to blocks of reflections, whatever the numbers are.
fn block_size(m: usize, n: usize) -> usize {
    qr::recommended_block_size::<f64>(m, n)
}

/// The numbers in the packed factors of an m×n matrix, and in the triangles of its blocks behind them.
pub(crate) fn packed_len(m: usize, n: usize) -> usize {
    (m + block_size(m, n)) * n
}

pub(crate) fn qr_scratch<T: Scalar>(m: usize, n: usize) -> StackReq {
    if n == 0 {
        return StackReq::EMPTY;
    }
    qr::qr_in_place_scratch::<T>(m, n, block_size(m, n), Par::Seq, Default::default())
}

/// Reflections of an m×n matrix, on so many columns.
pub(crate) fn reflections_scratch<T: Scalar>(m: usize, n: usize, columns: usize) -> StackReq {
    if n == 0 {
        return StackReq::EMPTY;
    }
    let size = block_size(m, n);
    householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<T>(m, size, columns)
}

pub(crate) fn least_squares_scratch<T: Scalar>(m: usize, n: usize, columns: usize) -> StackReq {
    if n == 0 {
        return StackReq::EMPTY;
    }
    let size = block_size(m, n);
    let back = householder::apply_block_householder_sequence_transpose_on_the_left_in_place_scratch::<T>(
        m, size, columns,
    );
    temp_mat_scratch::<T>(m, columns).and(reflections_scratch::<T>(m, n, columns).or(back))
}

/// The packed factors of an m×n matrix with m ≥ n. Where a column depends on those before it to working precision, the entry
/// of the diagonal is 0.
pub(crate) fn qr<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, stack: &mut MemStack) {
    let (m, n) = a.shape();
    let Some(numbers) = numbers(&mut dst).filter(|_| n > 0) else { return };
    if !largest(a).is_finite() {
        numbers.fill(T::from_f64(f64::NAN));
        return;
    }
    let (zero, one) = (T::default(), T::from_f64(1.0));
    let (packed, blocks) = numbers.split_at_mut(m * n);
    let mut packed = MatMut::from_column_major_slice_mut(packed, m, n);
    let blocks = MatMut::from_column_major_slice_mut(blocks, block_size(m, n), n);
    transpose::copy(packed.rb_mut(), a, one);
    qr::qr_in_place(packed.rb_mut(), blocks, Par::Seq, stack, Default::default());
    registers::release();
    for j in 0..n {
        // What faer leaves out as dependent.
        let suspicious = T::from_f64(16.0 * (m - j) as f64) * T::EPSILON;
        let column = packed.rb().col(j).subrows(0, j + 1);
        let bound = column.try_as_col_major().map(|column| suspicious * sum_of_sizes(column.as_slice()));
        if bound.is_some_and(|bound| packed[(j, j)].abs() > bound) {
            continue;
        }
        let size = column.iter().fold(zero, |max, x| if x.abs() > max { x.abs() } else { max });
        let squares = column.iter().fold(zero, |sum, &x| {
            let part = if size > zero { x / size } else { zero };
            sum + part * part
        });
        if packed[(j, j)].abs() <= suspicious * size * sqrt(&squares) {
            packed[(j, j)] = zero;
        }
    }
}

/// The packed factors of a matrix of this shape, and the triangles of its blocks.
fn parts<T: Scalar>(factors: MatRef<'_, T>, shape: Shape) -> Option<(MatRef<'_, T>, MatRef<'_, T>)> {
    let Shape { rows: m, cols: n } = shape;
    if n == 0 {
        return None;
    }
    let (packed, blocks) = factors.col(0).try_as_col_major()?.as_slice().split_at(m * n);
    let blocks = MatRef::from_column_major_slice(blocks, block_size(m, n), n);
    Some((MatRef::from_column_major_slice(packed, m, n), blocks))
}

/// Q, of which R has a diagonal that is not negative.
pub(crate) fn orthonormal<T: Scalar>(
    mut q: MatMut<'_, T>,
    factors: MatRef<'_, T>,
    shape: Shape,
    stack: &mut MemStack,
) {
    let Some((packed, blocks)) = parts(factors, shape) else { return };
    q.fill(T::default());
    q.rb_mut().diagonal_mut().fill(T::from_f64(1.0));
    reflect(packed, blocks, q.rb_mut(), stack);
    for j in (0..packed.ncols()).filter(|&j| packed[(j, j)] < T::default()) {
        q.rb_mut().col_mut(j).iter_mut().for_each(|x| *x = -*x);
    }
}

/// R, of which the diagonal is not negative.
pub(crate) fn triangular<T: Scalar>(mut r: MatMut<'_, T>, factors: MatRef<'_, T>, shape: Shape) {
    let Some((packed, _)) = parts(factors, shape) else { return };
    r.fill(T::default());
    for j in 0..packed.ncols() {
        for i in 0..=j {
            let x = packed[(i, j)];
            r[(i, j)] = if packed[(i, i)] < T::default() { -x } else { x };
        }
    }
}

/// `x = Q x` with the square Q.
fn reflect<T: Scalar>(packed: MatRef<'_, T>, blocks: MatRef<'_, T>, x: MatMut<'_, T>, stack: &mut MemStack) {
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        packed,
        blocks,
        Conj::No,
        x,
        Par::Seq,
        stack,
    );
    registers::release();
}

/// `F⁺ b = R⁻¹ Qᵀ b` with `F = Q R` of this shape; if it is transposed, `F⁺ᵀ b = Q R⁻ᵀ b`, the smallest X with `Fᵀ X = b`.
pub(crate) fn least_squares<T: Scalar>(
    mut dst: MatMut<'_, T>,
    factors: MatRef<'_, T>,
    b: MatRef<'_, T>,
    shape: Shape,
    transposed: bool,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let Shape { rows: m, cols: n } = shape;
    let (zero, one) = (T::default(), T::from_f64(1.0));
    let Some((packed, blocks)) = parts(factors, shape) else {
        dst.fill(zero);
        return Ok(());
    };
    let r = packed.subrows(0, n);
    if let Some(pivot) = (0..n).find(|&k| r[(k, k)] == zero) {
        return Err(Failure::Singular { pivot });
    }
    if transposed {
        let (mut top, rest) = dst.rb_mut().split_at_row_mut(n);
        transpose::copy(top.rb_mut(), b, one);
        factor::solve_triangular(r.transpose(), false, false, top);
        rest.col_iter_mut().for_each(|mut column| column.fill(zero));
        reflect(packed, blocks, dst, stack);
        return Ok(());
    }
    let (mut turned, stack) = temp_mat_zeroed::<T, _, _>(m, b.ncols(), stack);
    let mut turned = turned.as_mat_mut();
    transpose::copy(turned.rb_mut(), b, one);
    householder::apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj(
        packed,
        blocks,
        Conj::No,
        turned.rb_mut(),
        Par::Seq,
        stack,
    );
    registers::release();
    transpose::copy(dst.rb_mut(), turned.rb().subrows(0, n), one);
    factor::solve_triangular(r, true, false, dst);
    Ok(())
}
