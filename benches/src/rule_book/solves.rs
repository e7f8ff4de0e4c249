//! Solves, inverses and determinants.

use super::{ByHand, Op, conditioned, inner, uniform};
use crate::hand::{product, release_registers, scaled_product};
use pullback::Structure;
use pullback::faer::dyn_stack::{MemStack, StackReq};
use pullback::faer::linalg::lu::partial_pivoting as lu;
use pullback::faer::linalg::matmul::triangular::{self, BlockStructure};
use pullback::faer::linalg::triangular_solve;
use pullback::faer::perm::PermRef;
use pullback::faer::{Accum, Mat, Par};

fn scratch(n: usize) -> StackReq {
    StackReq::any_of(&[
        lu::factor::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Default::default()),
        lu::solve::solve_in_place_scratch::<usize, f64>(n, n, Par::Seq),
        lu::solve::solve_transpose_in_place_scratch::<usize, f64>(n, n, Par::Seq),
        lu::inverse::inverse_scratch::<usize, f64>(n, Par::Seq),
    ])
}

/// `P A = L U` in the place of `factors`.
pub(super) fn factorize<'r>(
    a: &Mat<f64>,
    factors: &mut Mat<f64>,
    [forward, inverse]: &'r mut [Vec<usize>; 2],
    stack: &mut MemStack,
) -> PermRef<'r, usize> {
    factors.copy_from(a);
    lu::factor::lu_in_place(factors.as_mut(), forward, inverse, Par::Seq, stack, Default::default()).1
}

pub(super) const OPS: &[Op] = &[
    Op {
        formula: "A⁻¹B",
        name: "solve",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: |n, random| vec![conditioned(n, random), uniform(n, n, random)],
        record: |x| x[0].solve(x[1]),
        by_hand: Some(ByHand {
            scratch,
            value: |x, work| {
                let stack = MemStack::new(&mut work.scratch);
                let [factors, ..] = &mut work.t;
                let rows = factorize(&x[0], factors, &mut work.rows, stack);
                work.y.copy_from(&x[1]);
                let (factors, z) = (factors.as_ref(), work.y.as_mut());
                lu::solve::solve_in_place(factors, factors, rows, z, Par::Seq, stack);
            },
            gradient: |x, c, work| {
                let stack = MemStack::new(&mut work.scratch);
                let ([factors, ..], z) = (&mut work.t, &mut work.y);
                let [a_bar, b_bar] = &mut work.gradients[..] else { return f64::NAN };
                let rows = factorize(&x[0], factors, &mut work.rows, stack);
                z.copy_from(&x[1]);
                b_bar.copy_from(c);
                let factors = factors.as_ref();
                lu::solve::solve_in_place(factors, factors, rows, z.as_mut(), Par::Seq, stack);
                lu::solve::solve_transpose_in_place(factors, factors, rows, b_bar.as_mut(), Par::Seq, stack);
                scaled_product(a_bar, Accum::Replace, b_bar.as_ref(), z.transpose(), -1.0);
                inner(c.as_ref(), z.as_ref())
            },
            transposed: false,
        }),
    },
    Op {
        formula: "A⁻¹",
        name: "inverse",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: |n, random| vec![conditioned(n, random)],
        record: |x| x[0].inv(),
        by_hand: Some(ByHand {
            scratch,
            value: |x, work| {
                let stack = MemStack::new(&mut work.scratch);
                let [factors, ..] = &mut work.t;
                let rows = factorize(&x[0], factors, &mut work.rows, stack);
                let (factors, y) = (factors.as_ref(), work.y.as_mut());
                lu::inverse::inverse(y, factors, factors, rows, Par::Seq, stack);
            },
            gradient: |x, c, work| {
                let stack = MemStack::new(&mut work.scratch);
                let ([factors, half, ..], y, a_bar) = (&mut work.t, &mut work.y, &mut work.gradients[0]);
                let rows = factorize(&x[0], factors, &mut work.rows, stack);
                lu::inverse::inverse(y.as_mut(), factors.as_ref(), factors.as_ref(), rows, Par::Seq, stack);
                product(half, y.transpose(), c.as_ref());
                scaled_product(a_bar, Accum::Replace, half.as_ref(), y.transpose(), -1.0);
                inner(c.as_ref(), y.as_ref())
            },
            transposed: false,
        }),
    },
    Op {
        formula: "tril(A)⁻¹B",
        name: "solve_lower",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: |n, random| vec![conditioned(n, random), uniform(n, n, random)],
        record: |x| x[0].solve_lower(x[1]),
        by_hand: Some(ByHand {
            scratch: super::nothing,
            value: |x, work| {
                work.y.copy_from(&x[1]);
                let z = work.y.as_mut();
                triangular_solve::solve_lower_triangular_in_place(x[0].as_ref(), z, Par::Seq);
            },
            gradient: |x, c, work| {
                let [a_bar, b_bar] = &mut work.gradients[..] else { return f64::NAN };
                let (l, z) = (x[0].as_ref(), &mut work.y);
                z.copy_from(&x[1]);
                b_bar.copy_from(c);
                triangular_solve::solve_lower_triangular_in_place(l, z.as_mut(), Par::Seq);
                triangular_solve::solve_upper_triangular_in_place(l.transpose(), b_bar.as_mut(), Par::Seq);
                let (all, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
                let (lhs, rhs) = (b_bar.as_ref(), z.transpose());
                triangular::matmul(a_bar.as_mut(), lower, Accum::Replace, lhs, all, rhs, all, -1.0, Par::Seq);
                release_registers();
                (1..a_bar.ncols()).for_each(|j| a_bar.col_as_slice_mut(j)[..j].fill(0.0));
                inner(c.as_ref(), z.as_ref())
            },
            transposed: false,
        }),
    },
];

pub(super) const DETERMINANTS: &[Op] = &[Op {
    formula: "log |det A|",
    name: "log_det",
    sizes: &[32, 256],
    structure: Structure::General,
    inputs: |n, random| vec![conditioned(n, random)],
    record: |x| x[0].log_det(),
    by_hand: Some(ByHand {
        scratch,
        value: |x, work| {
            let [factors, ..] = &mut work.t;
            factorize(&x[0], factors, &mut work.rows, MemStack::new(&mut work.scratch));
            work.y[(0, 0)] = log_det(factors);
        },
        gradient: |x, c, work| {
            let stack = MemStack::new(&mut work.scratch);
            let ([factors, ..], a_bar) = (&mut work.t, &mut work.gradients[0]);
            let rows = factorize(&x[0], factors, &mut work.rows, stack);
            lu::inverse::inverse(a_bar.as_mut(), factors.as_ref(), factors.as_ref(), rows, Par::Seq, stack);
            release_registers();
            let c = c[(0, 0)];
            (0..a_bar.ncols()).for_each(|j| a_bar.col_as_slice_mut(j).iter_mut().for_each(|x| *x *= c));
            c * log_det(factors)
        },
        transposed: true,
    }),
}];

fn log_det(factors: &Mat<f64>) -> f64 {
    release_registers();
    (0..factors.nrows()).map(|j| factors[(j, j)].abs().ln()).sum()
}
