//! Decompositions.

use super::{ByHand, Op, inner, shifted, uniform};
use crate::hand::{mirror, product, release_registers, scaled_product};
use pullback::Structure;
use pullback::faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use pullback::faer::linalg::cholesky::llt;
use pullback::faer::linalg::evd::{self, ComputeEigenvectors};
use pullback::faer::linalg::matmul::matmul;
use pullback::faer::linalg::matmul::triangular::{self, BlockStructure};
use pullback::faer::linalg::qr::no_pivoting::factor as qr;
use pullback::faer::linalg::{householder, svd, triangular_solve};
use pullback::faer::prelude::{Reborrow, ReborrowMut};
use pullback::faer::{Accum, Conj, Mat, MatMut, MatRef, Par};

/// `A = L Lᵀ` in the lower triangle of `l`.
fn cholesky(a: &Mat<f64>, l: &mut Mat<f64>, scratch: &mut MemBuffer) {
    for j in 0..a.ncols() {
        l.col_as_slice_mut(j)[j..].copy_from_slice(&a.col_as_slice(j)[j..]);
    }
    let (stack, params) = (MemStack::new(scratch), Default::default());
    let result = llt::factor::cholesky_in_place(l.as_mut(), Default::default(), Par::Seq, stack, params);
    release_registers();
    if result.is_err() {
        l.fill(f64::NAN);
    }
}

pub(super) const OPS: &[Op] = &[CHOLESKY, QR, LEAST_SQUARES];

const CHOLESKY: Op = Op {
    formula: "cholesky(A)",
    name: "cholesky",
    sizes: &[32, 256],
    structure: Structure::Definite,
    inputs: |n, random| vec![shifted(n, random, 3.5)],
    record: |x| x[0].cholesky(),
    by_hand: Some(ByHand {
        scratch: |n| llt::factor::cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default()),
        value: |x, work| {
            cholesky(&x[0], &mut work.y, &mut work.scratch);
            (1..work.y.ncols()).for_each(|j| work.y.col_as_slice_mut(j)[..j].fill(0.0));
        },
        // Ā = ½ L⁻ᵀ (P + Pᵀ) L⁻¹, where P is the lower triangle of Lᵀ C with half its diagonal.
        gradient: |x, c, work| {
            let (l, a_bar) = (&mut work.y, &mut work.gradients[0]);
            cholesky(&x[0], l, &mut work.scratch);
            let (lower, upper) = (BlockStructure::TriangularLower, BlockStructure::TriangularUpper);
            let (lhs, rhs, dst) = (l.transpose(), c.as_ref(), a_bar.as_mut());
            triangular::matmul(dst, lower, Accum::Replace, lhs, upper, rhs, lower, 0.5, Par::Seq);
            mirror(a_bar);
            triangular_solve::solve_upper_triangular_in_place(l.transpose(), a_bar.as_mut(), Par::Seq);
            triangular_solve::solve_upper_triangular_in_place(l.transpose(), a_bar.transpose_mut(), Par::Seq);
            release_registers();
            let column = |j: usize| c.col_as_slice(j)[j..].iter().zip(&l.col_as_slice(j)[j..]);
            (0..c.ncols()).map(|j| column(j).map(|(c, l)| c * l).sum::<f64>()).sum()
        },
        transposed: false,
    }),
};

/// `A = Q R` of a matrix with twice as many rows as columns: faer's packed factors, and what belongs to its blocks.
fn pack(a: &Mat<f64>, packed: &mut Mat<f64>, blocks: &mut Mat<f64>, stack: &mut MemStack) {
    packed.copy_from(a);
    let blocks = blocks.as_mut().subrows_mut(0, block_size(a.ncols()));
    qr::qr_in_place(packed.as_mut(), blocks, Par::Seq, stack, Default::default());
}

fn block_size(n: usize) -> usize {
    qr::recommended_block_size::<f64>(2 * n, n)
}

/// `x = Q x`
fn apply_q(packed: &Mat<f64>, blocks: &Mat<f64>, x: MatMut<'_, f64>, stack: &mut MemStack) {
    let blocks = blocks.as_ref().subrows(0, block_size(packed.ncols()));
    let (packed, no) = (packed.as_ref(), Conj::No);
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        packed,
        blocks,
        no,
        x,
        Par::Seq,
        stack,
    );
}

/// Q with the signs that make the diagonal of R positive, and R with the same.
fn orthonormal(packed: &mut Mat<f64>, blocks: &Mat<f64>, q: &mut Mat<f64>, stack: &mut MemStack) {
    q.fill(0.0);
    q.diagonal_mut().fill(1.0);
    apply_q(packed, blocks, q.as_mut(), stack);
    release_registers();
    for k in 0..q.ncols() {
        if packed[(k, k)] < 0.0 {
            q.col_as_slice_mut(k).iter_mut().for_each(|x| *x = -*x);
            (k..q.ncols()).for_each(|j| packed[(k, j)] = -packed[(k, j)]);
        }
    }
}

fn qr_scratch(n: usize) -> StackReq {
    let (m, size) = (2 * n, block_size(n));
    StackReq::any_of(&[
        qr::qr_in_place_scratch::<f64>(m, n, size, Par::Seq, Default::default()),
        householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<f64>(m, size, n),
        householder::apply_block_householder_sequence_transpose_on_the_left_in_place_scratch::<f64>(
            m, size, n,
        ),
    ])
}

const QR: Op = Op {
    formula: "Q(A), 2n×n",
    name: "qr",
    sizes: &[32, 128],
    structure: Structure::General,
    inputs: |n, random| vec![uniform(2 * n, n, random)],
    record: |x| x[0].qr().0,
    by_hand: Some(ByHand {
        scratch: qr_scratch,
        value: |x, work| {
            let (stack, [packed, _], [blocks, ..]) =
                (MemStack::new(&mut work.scratch), &mut work.tall, &mut work.t);
            pack(&x[0], packed, blocks, stack);
            orthonormal(packed, blocks, &mut work.y, stack);
        },
        // Ā = (C + Q S) R⁻ᵀ, where S is symmetric with the lower triangle of −CᵀQ. [Roberts & Roberts, arXiv:2009.10071]
        gradient: |x, c, work| {
            let (stack, [packed, _], [blocks, s, ..]) =
                (MemStack::new(&mut work.scratch), &mut work.tall, &mut work.t);
            let (q, a_bar) = (&mut work.y, &mut work.gradients[0]);
            pack(&x[0], packed, blocks, stack);
            orthonormal(packed, blocks, q, stack);
            let (all, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
            let (lhs, rhs, dst) = (c.transpose(), q.as_ref(), s.as_mut());
            triangular::matmul(dst, lower, Accum::Replace, lhs, all, rhs, all, -1.0, Par::Seq);
            mirror(s);
            a_bar.copy_from(c);
            scaled_product(a_bar, Accum::Add, q.as_ref(), s.as_ref(), 1.0);
            let r = packed.as_ref().subrows(0, packed.ncols());
            triangular_solve::solve_upper_triangular_in_place(r, a_bar.transpose_mut(), Par::Seq);
            -(0..s.ncols()).map(|j| s[(j, j)]).sum::<f64>()
        },
        transposed: false,
    }),
};

/// Right sides of the least squares problem.
const RIGHT_SIDES: usize = 8;

const LEAST_SQUARES: Op = Op {
    formula: "min ‖A X − B‖, 2n×n, 8 columns",
    name: "least_squares",
    sizes: &[32, 128],
    structure: Structure::General,
    inputs: |n, random| vec![uniform(2 * n, n, random), uniform(2 * n, RIGHT_SIDES, random)],
    record: |x| x[0].least_squares(x[1]),
    by_hand: Some(ByHand {
        scratch: qr_scratch,
        value: |x, work| {
            let (stack, [packed, b], [blocks, ..]) =
                (MemStack::new(&mut work.scratch), &mut work.tall, &mut work.t);
            least_squares(x, packed, blocks, b.as_mut().subcols_mut(0, RIGHT_SIDES), &mut work.y, stack);
        },
        // With W = R⁻ᵀ C, B̄ = Q (W; 0) and Ā = (B − A X)(R⁻¹ W)ᵀ − B̄ Xᵀ.
        gradient: |x, c, work| {
            let (stack, [packed, b], [blocks, w, ..]) =
                (MemStack::new(&mut work.scratch), &mut work.tall, &mut work.t);
            let [a_bar, b_bar] = &mut work.gradients[..] else { return f64::NAN };
            let (n, y) = (packed.ncols(), &mut work.y);
            let mut rest = b.as_mut().subcols_mut(0, RIGHT_SIDES);
            least_squares(x, packed, blocks, rest.rb_mut(), y, stack);
            let mut w = w.as_mut().subcols_mut(0, RIGHT_SIDES);
            w.copy_from(c);
            let r = packed.as_ref().subrows(0, n);
            triangular_solve::solve_lower_triangular_in_place(r.transpose(), w.rb_mut(), Par::Seq);
            b_bar.fill(0.0);
            b_bar.as_mut().subrows_mut(0, n).copy_from(w.rb());
            apply_q(packed, blocks, b_bar.as_mut(), stack);
            triangular_solve::solve_upper_triangular_in_place(r, w.rb_mut(), Par::Seq);
            rest.copy_from(&x[1]);
            matmul(rest.rb_mut(), Accum::Add, x[0].as_ref(), y.as_ref(), -1.0, Par::Seq);
            scaled_product(a_bar, Accum::Replace, rest.rb(), w.rb().transpose(), 1.0);
            scaled_product(a_bar, Accum::Add, b_bar.as_ref(), y.transpose(), -1.0);
            inner(c.as_ref(), y.as_ref())
        },
        transposed: false,
    }),
};

/// The solution in `y`; `b` is memory for the right sides.
fn least_squares(
    x: &[Mat<f64>],
    packed: &mut Mat<f64>,
    blocks: &mut Mat<f64>,
    mut b: MatMut<'_, f64>,
    y: &mut Mat<f64>,
    stack: &mut MemStack,
) {
    let n = packed.ncols();
    pack(&x[0], packed, blocks, stack);
    b.copy_from(&x[1]);
    let (factors, coefficients) = (packed.as_ref(), blocks.as_ref().subrows(0, block_size(n)));
    householder::apply_block_householder_sequence_transpose_on_the_left_in_place_with_conj(
        factors,
        coefficients,
        Conj::No,
        b.rb_mut(),
        Par::Seq,
        stack,
    );
    y.copy_from(b.rb().subrows(0, n));
    triangular_solve::solve_upper_triangular_in_place(factors.subrows(0, n), y.as_mut(), Par::Seq);
}

fn svd(a: &Mat<f64>, values: &mut Mat<f64>, vectors: Option<[&mut Mat<f64>; 2]>, scratch: &mut MemBuffer) {
    let (stack, params) = (MemStack::new(scratch), Default::default());
    let (u, v) = vectors.map_or((None, None), |[u, v]| (Some(u.as_mut()), Some(v.as_mut())));
    let diagonal = values.col_mut(0).as_diagonal_mut();
    let result = svd::svd(a.as_ref(), diagonal, u, v, Par::Seq, stack, params);
    release_registers();
    if result.is_err() {
        values.fill(f64::NAN);
    }
}

const SINGULAR_VALUES: Op = Op {
    formula: "σ(A)",
    name: "singular_values",
    sizes: &[32, 128],
    structure: Structure::General,
    inputs: super::one,
    record: |x| x[0].singular_values(),
    by_hand: Some(ByHand {
        scratch: |n| {
            let thin = svd::ComputeSvdVectors::Thin;
            svd::svd_scratch::<f64>(n, n, thin, thin, Par::Seq, Default::default())
        },
        value: |x, work| svd(&x[0], &mut work.y, None, &mut work.scratch),
        // Ā = U Diag(c) Vᵀ
        gradient: |x, c, work| {
            let (values, [u, v, scaled, ..]) = (&mut work.y, &mut work.t);
            svd(&x[0], values, Some([u, v]), &mut work.scratch);
            scale_columns(scaled, u, |j| c[(j, 0)]);
            product(&mut work.gradients[0], scaled.as_ref(), v.transpose());
            inner(c.as_ref(), values.as_ref())
        },
        transposed: false,
    }),
};

pub(super) fn evd_scratch(n: usize) -> StackReq {
    evd::self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Default::default())
}

/// Eigenvalues in the first column of `values`, and eigenvectors.
pub(super) fn eigen(a: &Mat<f64>, values: &mut Mat<f64>, v: Option<&mut Mat<f64>>, scratch: &mut MemBuffer) {
    let (stack, params) = (MemStack::new(scratch), Default::default());
    let (diagonal, v) = (values.col_mut(0).as_diagonal_mut(), v.map(|v| v.as_mut()));
    let result = evd::self_adjoint_evd(a.as_ref(), diagonal, v, Par::Seq, stack, params);
    release_registers();
    if result.is_err() {
        values.fill(f64::NAN);
    }
}

/// Turns every eigenvector so that its entry of the largest size is positive.
fn turn(v: &mut Mat<f64>) {
    for j in 0..v.ncols() {
        let column = v.col_as_slice_mut(j);
        let largest = column.iter().fold(0.0, |max: f64, &x| if x.abs() > max.abs() { x } else { max });
        if largest < 0.0 {
            column.iter_mut().for_each(|x| *x = -*x);
        }
    }
}

/// `dst = lhs rhs`, which is known to be symmetric.
pub(super) fn symmetric_product(dst: &mut Mat<f64>, lhs: MatRef<'_, f64>, rhs: MatRef<'_, f64>) {
    let (all, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
    triangular::matmul(dst.as_mut(), lower, Accum::Replace, lhs, all, rhs, all, 1.0, Par::Seq);
    mirror(dst);
}

/// `dst = V Diag(d)`, with d in the first column of `scales`.
pub(super) fn scale_columns(dst: &mut Mat<f64>, v: &Mat<f64>, scale: impl Fn(usize) -> f64) {
    release_registers();
    for j in 0..v.ncols() {
        let scale = scale(j);
        dst.col_as_slice_mut(j).iter_mut().zip(v.col_as_slice(j)).for_each(|(dst, v)| *dst = scale * v);
    }
}

pub(super) const SPECTRAL: &[Op] = &[
    SINGULAR_VALUES,
    Op {
        formula: "λ(A), symmetric",
        name: "eigenvalues",
        sizes: &[32, 128],
        structure: Structure::Symmetric,
        inputs: |n, random| vec![shifted(n, random, 0.5)],
        record: |x| x[0].eigenvalues(),
        by_hand: Some(ByHand {
            scratch: evd_scratch,
            value: |x, work| eigen(&x[0], &mut work.y, None, &mut work.scratch),
            // Ā = V Diag(c) Vᵀ
            gradient: |x, c, work| {
                let (values, [v, scaled, ..]) = (&mut work.y, &mut work.t);
                eigen(&x[0], values, Some(v), &mut work.scratch);
                scale_columns(scaled, v, |j| c[(j, 0)]);
                symmetric_product(&mut work.gradients[0], scaled.as_ref(), v.transpose());
                inner(c.as_ref(), values.as_ref())
            },
            transposed: false,
        }),
    },
    Op {
        formula: "V(A), symmetric",
        name: "eigenvectors",
        sizes: &[32, 128],
        structure: Structure::Symmetric,
        inputs: |n, random| vec![shifted(n, random, 0.5)],
        record: |x| x[0].eigenvectors(),
        by_hand: Some(ByHand {
            scratch: evd_scratch,
            value: |x, work| {
                eigen(&x[0], &mut work.t[0], Some(&mut work.y), &mut work.scratch);
                turn(&mut work.y);
            },
            // Ā = V sym(VᵀC ⊘ Δ) Vᵀ
            gradient: |x, c, work| {
                let (v, [values, m, half, ..]) = (&mut work.y, &mut work.t);
                eigen(&x[0], values, Some(v), &mut work.scratch);
                turn(v);
                product(m, v.transpose(), c.as_ref());
                release_registers();
                let values = values.col_as_slice(0);
                let loss = (0..m.ncols()).map(|j| m[(j, j)]).sum();
                for j in 0..m.ncols() {
                    m[(j, j)] = 0.0;
                    for i in j + 1..m.nrows() {
                        m[(i, j)] = 0.5 * (m[(i, j)] - m[(j, i)]) / (values[j] - values[i]);
                    }
                }
                mirror(m);
                product(half, v.as_ref(), m.as_ref());
                symmetric_product(&mut work.gradients[0], half.as_ref(), v.transpose());
                loss
            },
            transposed: false,
        }),
    },
    Op {
        formula: "exp(A), symmetric, by its eigenvalues",
        name: "symmetric_function",
        sizes: &[32, 128],
        structure: Structure::Symmetric,
        inputs: |n, random| vec![shifted(n, random, 0.5)],
        record: |x| x[0].symmetric_function(|lambda| lambda.exp()),
        by_hand: Some(ByHand {
            scratch: evd_scratch,
            value: |x, work| {
                let [values, v, scaled, ..] = &mut work.t;
                eigen(&x[0], values, Some(v), &mut work.scratch);
                scale_columns(scaled, v, |j| values[(j, 0)].exp());
                symmetric_product(&mut work.y, scaled.as_ref(), v.transpose());
            },
            // Ā = V (Γ ∘ Vᵀ C V) Vᵀ with the divided differences Γ.
            gradient: |x, c, work| {
                let [values, v, half, m, exps, ..] = &mut work.t;
                eigen(&x[0], values, Some(v), &mut work.scratch);
                product(half, c.as_ref(), v.as_ref());
                symmetric_product(m, v.transpose(), half.as_ref());
                let (values, exps) = (values.col_as_slice(0), exps.col_as_slice_mut(0));
                exps.iter_mut().zip(values).for_each(|(exp, value)| *exp = value.exp());
                let loss = (0..m.ncols()).map(|j| m[(j, j)] * exps[j]).sum();
                for j in 0..m.ncols() {
                    for (i, m) in m.col_as_slice_mut(j).iter_mut().enumerate().skip(j) {
                        let gap = values[i] - values[j];
                        *m *= match gap.abs() > 1e-3 {
                            true => (exps[i] - exps[j]) / gap,
                            false => (0.5 * (values[i] + values[j])).exp() * (1.0 + gap * gap / 24.0),
                        };
                    }
                }
                mirror(m);
                product(half, v.as_ref(), m.as_ref());
                symmetric_product(&mut work.gradients[0], half.as_ref(), v.transpose());
                loss
            },
            transposed: false,
        }),
    },
];
