//! LU factors and what is computed from them.

use super::registers;
use crate::Scalar;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::lu::partial_pivoting as lu;
use faer::perm::PermRef;
use faer::{MatMut, MatRef, Par};

/// A row permutation and its sign.
#[derive(Clone, Debug, Default)]
pub(crate) struct Permutation {
    forward: Vec<usize>,
    inverse: Vec<usize>,
    odd: bool,
}

impl Permutation {
    pub(crate) fn new(n: usize) -> Self {
        Permutation { forward: (0..n).collect(), inverse: (0..n).collect(), odd: false }
    }

    fn as_ref(&self) -> PermRef<'_, usize> {
        PermRef::new_checked(&self.forward, &self.inverse, self.forward.len())
    }
}

pub(crate) fn factorize_scratch<T: Scalar>(n: usize, par: Par) -> StackReq {
    lu::factor::lu_in_place_scratch::<usize, T>(n, n, par, Default::default())
}

pub(crate) fn solve_scratch<T: Scalar>(n: usize, cols: usize, par: Par) -> StackReq {
    lu::solve::solve_in_place_scratch::<usize, T>(n, cols, par)
        .or(lu::solve::solve_transpose_in_place_scratch::<usize, T>(n, cols, par))
}

pub(crate) fn inverse_scratch<T: Scalar>(n: usize, par: Par) -> StackReq {
    lu::inverse::inverse_scratch::<usize, T>(n, par)
}

/// Replaces a matrix by its packed factors `P A = L U`.
pub(crate) fn factorize<T: Scalar>(a: MatMut<'_, T>, p: &mut Permutation, par: Par, stack: &mut MemStack) {
    let (info, _) =
        lu::factor::lu_in_place(a, &mut p.forward, &mut p.inverse, par, stack, Default::default());
    p.odd = info.transposition_count % 2 == 1;
    registers::release();
}

/// The first pivot that is zero to working precision.
///
/// A pivot `uₖₖ = aₖₖ − Σⱼ lₖⱼ uⱼₖ` that is no larger than the rounding errors of its own sum says nothing: a
/// relative perturbation of that size in the matrix makes it exactly zero (Higham, *Accuracy and Stability of
/// Numerical Algorithms*, §9.3). The test does not depend on how rows and columns are scaled.
pub(crate) fn zero_pivot<T: Scalar>(factors: MatRef<'_, T>) -> Option<usize> {
    let tolerance = T::from_f64(4.0) * T::EPSILON;
    (0..factors.nrows()).find(|&k| {
        let pivot = factors[(k, k)].abs();
        let sum = (0..k).fold(pivot, |sum, j| sum + (factors[(k, j)] * factors[(j, k)]).abs());
        // Written so that a NaN is not called singular: it passes through.
        pivot == T::default() || pivot <= tolerance * sum && sum.is_finite()
    })
}

pub(crate) fn solve<T: Scalar>(
    factors: MatRef<'_, T>,
    p: &Permutation,
    transposed: bool,
    rhs: MatMut<'_, T>,
    par: Par,
    stack: &mut MemStack,
) {
    if transposed {
        lu::solve::solve_transpose_in_place(factors, factors, p.as_ref(), rhs, par, stack);
    } else {
        lu::solve::solve_in_place(factors, factors, p.as_ref(), rhs, par, stack);
    }
    registers::release();
}

pub(crate) fn inverse<T: Scalar>(
    dst: MatMut<'_, T>,
    factors: MatRef<'_, T>,
    p: &Permutation,
    par: Par,
    stack: &mut MemStack,
) {
    lu::inverse::inverse(dst, factors, factors, p.as_ref(), par, stack);
    registers::release();
}

pub(crate) fn det<T: Scalar>(factors: MatRef<'_, T>, p: &Permutation) -> T {
    let mut det = T::from_f64(if p.odd { -1.0 } else { 1.0 });
    for i in 0..factors.nrows() {
        let pivot = factors[(i, i)];
        // Beyond an exact zero the factors hold quotients by it.
        if pivot == T::default() {
            return pivot;
        }
        det *= pivot;
    }
    det
}

/// `log |det A|`.
pub(crate) fn log_det<T: Scalar>(factors: MatRef<'_, T>) -> T {
    (0..factors.nrows()).fold(T::default(), |sum, i| sum + factors[(i, i)].abs().ln())
}
