//! Products of which one triangle is asked for.

use super::arrange::Triangle;
use super::registers;
use super::symmetric::mirror;
use crate::Scalar;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::prelude::ReborrowMut;
use faer::{Accum, MatMut, MatRef, Par};

/// The triangle that is asked for, and what is known of the factors: what is outside of their triangles is not read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Parts {
    pub(crate) dst: Triangle,
    pub(crate) factors: [Option<Triangle>; 2],
}

impl Parts {
    fn transposed(self) -> Self {
        let [lhs, rhs] = self.factors.map(|part| part.map(Triangle::transposed));
        Parts { dst: self.dst.transposed(), factors: [rhs, lhs] }
    }
}

fn structure(part: Triangle) -> BlockStructure {
    match (part.upper, part.strict) {
        (false, false) => BlockStructure::TriangularLower,
        (false, true) => BlockStructure::StrictTriangularLower,
        (true, false) => BlockStructure::TriangularUpper,
        (true, true) => BlockStructure::StrictTriangularUpper,
    }
}

/// A triangle of `dst = alpha a b`, which is square. Outside of it there are zeros, or, if it is `mirrored`, the mirror image
/// of the lower triangle.
pub(crate) fn triangular_product<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    alpha: T,
    parts: Parts,
    mirrored: bool,
) {
    if dst.row_stride() != 1 && dst.col_stride() == 1 && !mirrored {
        let (dst, a, b) = (dst.transpose_mut(), b.transpose(), a.transpose());
        return triangular_product(dst, a, b, alpha, parts.transposed(), false);
    }
    let [lhs, rhs] = parts.factors.map(|part| part.map_or(BlockStructure::Rectangular, structure));
    let to = structure(parts.dst);
    triangular::matmul(dst.rb_mut(), to, Accum::Replace, a, lhs, b, rhs, alpha, Par::Seq);
    registers::release();
    if mirrored {
        return mirror(dst, None);
    }
    outside(dst, parts.dst);
}

/// Writes zeros outside of a triangle.
pub(crate) fn outside<T: Scalar>(mut dst: MatMut<'_, T>, part: Triangle) {
    if dst.row_stride() != 1 && dst.col_stride() == 1 {
        return outside(dst.transpose_mut(), part.transposed());
    }
    let rows = dst.nrows();
    for j in 0..dst.ncols() {
        let inside = part.rows(j, rows);
        let (before, rest) = dst.rb_mut().col_mut(j).split_at_row_mut(inside.start);
        let after = rest.subrows_mut(inside.len(), rows - inside.end);
        for mut part in [before, after] {
            match part.rb_mut().try_as_col_major_mut() {
                Some(part) => part.as_slice_mut().fill(T::default()),
                None => part.fill(T::default()),
            }
        }
    }
}
