//! Symmetric matrices, of which one triangle is computed.
//!
//! What lies across the diagonal is stored in another order, so both triangles are visited together, in squares that are
//! transposed in registers.

use super::registers;
use super::transpose::{ColumnsMut, PART, SIDE, Square, chunk, put, square, turned};
use super::vector::{self, Loop};
use crate::Scalar;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{Accum, MatMut, MatRef, Par};

/// The lower triangle of `dst = alpha a b`, or of `dst += alpha a b`: half the multiplications.
pub(crate) fn symmetric_product<T: Scalar>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    alpha: T,
) {
    let accumulate = if accumulate { Accum::Add } else { Accum::Replace };
    let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    triangular::matmul(dst, lower, accumulate, a, full, b, full, alpha, Par::Seq);
    registers::release();
}

/// Squares that are visited together have so many rows and columns: their lines are neighbours in memory.
const PANEL: usize = 4 * SIDE;

/// Calls `visit` with the first entry of every square on and below the diagonal.
#[inline(always)]
fn squares(n: usize, mut visit: impl FnMut(usize, usize)) {
    let whole = n / SIDE * SIDE;
    for left in (0..whole).step_by(PANEL) {
        for top in (left..whole).step_by(PANEL) {
            for j in (left..whole.min(left + PANEL)).step_by(SIDE) {
                for i in (top.max(j)..whole.min(top + PANEL)).step_by(SIDE) {
                    visit(i, j);
                }
            }
        }
    }
}

/// Copies the lower triangle to the upper one; if there is an update `(alpha, u)`, after `alpha u uᵀ` was added.
pub(crate) fn mirror<T: Scalar>(a: MatMut<'_, T>, update: Option<(T, &[T])>) {
    let (a, upper) = match a.row_stride() {
        1 => (a, false),
        _ => (a.transpose_mut(), true),
    };
    if a.row_stride() != 1 {
        mirror_rows(a, 0, upper, update);
    } else {
        vector::run(Mirror { a, upper, update });
    }
}

/// The last rows, and columns, from `first` on; if `upper`, it is the upper triangle that is known.
fn mirror_rows<T: Scalar>(mut a: MatMut<'_, T>, first: usize, upper: bool, update: Option<(T, &[T])>) {
    for i in first..a.nrows() {
        for j in 0..=i {
            let mut x = if upper { a[(j, i)] } else { a[(i, j)] };
            if let Some((alpha, u)) = update {
                x += u[i] * (alpha * u[j]);
            }
            (a[(i, j)], a[(j, i)]) = (x, x);
        }
    }
}

/// See [`mirror`], of a matrix that is stored by columns.
struct Mirror<'a, T> {
    a: MatMut<'a, T>,
    /// Whether it is the upper triangle that is known.
    upper: bool,
    update: Option<(T, &'a [T])>,
}

impl<T: Scalar> Loop for Mirror<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let Mirror { mut a, upper, update } = self;
        let n = a.nrows();
        if let Some(mut a) = a.rb_mut().try_as_col_major_mut() {
            squares(
                n,
                #[inline(always)]
                |i, j| {
                    for j in (j..j + SIDE).step_by(PART) {
                        for i in (i..i + SIDE).step_by(PART) {
                            mirror_part(&mut a, (i, j), upper, update);
                        }
                    }
                },
            );
        }
        mirror_rows(a, n / SIDE * SIDE, upper, update);
    }
}

#[inline(always)]
fn mirror_part<T: Scalar>(
    a: &mut ColumnsMut<'_, T>,
    (i, j): (usize, usize),
    upper: bool,
    update: Option<(T, &[T])>,
) {
    if i < j {
        return;
    }
    let known = (*a).rb();
    let mut below: Square<T, PART> = if upper { turned(&square(known, j, i)) } else { square(known, i, j) };
    if let Some((alpha, u)) = update {
        let (rows, cols): ([T; PART], [T; PART]) = (chunk(u, i), chunk(u, j));
        for (column, u_j) in below.iter_mut().zip(cols) {
            let c = alpha * u_j;
            column.iter_mut().zip(rows).for_each(|(x, u_i)| *x += u_i * c);
        }
    }
    let mut right = turned(&below);
    if i == j {
        for (col, (right, below)) in right.iter_mut().zip(&below).enumerate() {
            right[col..].copy_from_slice(&below[col..]);
        }
        return put(a, j, i, &right);
    }
    if upper || update.is_some() {
        put(a, i, j, &below);
    }
    if !upper || update.is_some() {
        put(a, j, i, &right);
    }
}

/// An entry below the diagonal that differs from its mirror image. A NaN is not counted as a difference.
pub(crate) fn asymmetry<T: Scalar>(a: MatRef<'_, T>) -> Option<(usize, usize)> {
    let a = if a.row_stride() == 1 { a } else { a.transpose() };
    let n = a.nrows();
    let first = if a.row_stride() == 1 && !vector::run(Asymmetric(a)) { n / SIDE * SIDE } else { 0 };
    let mut below = (first..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    below.find(|&(i, j)| differ(a[(i, j)], a[(j, i)]))
}

#[inline(always)]
fn differ<T: Scalar>(x: T, y: T) -> bool {
    (x < y) | (x > y)
}

/// Whether a matrix that is stored by columns is not symmetric, as far as it consists of whole squares.
struct Asymmetric<'a, T>(MatRef<'a, T>);

impl<T: Scalar> Loop for Asymmetric<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> bool {
        let Some(a) = self.0.try_as_col_major() else { return true };
        let mut found = false;
        squares(
            a.nrows(),
            #[inline(always)]
            |i, j| {
                let [below, right]: [Square<T, SIDE>; 2] = [square(a, i, j), turned(&square(a, j, i))];
                for (below, right) in below.iter().zip(&right) {
                    found |= below.iter().zip(right).fold(false, |found, (&x, &y)| found | differ(x, y));
                }
            },
        );
        found
    }
}
