//! Functions of matrices.

use super::Rule::{self, Frechet, Linear};
use pullback_tape::{MatrixFunction, Op};

/// `L⁽ᵏ⁾(A; E, …)`, the derivative of order k of a function of a matrix: in `A` `D[ε] = L⁽ᵏ⁺¹⁾(A; E, …, ε)`, by definition;
/// each direction changes places with the cotangent under a transpose of everything else,
/// `⟨Ȳ, L⁽ᵏ⁾(A; ε, F, …)⟩ = ⟨L⁽ᵏ⁾(Aᵀ; Ȳ, Fᵀ, …), ε⟩`, as it does in every term `Aⁱ ε Aʲ F …` of a power series.
/// [H §3.2; Higham and Relton, SIAM J. Matrix Anal. Appl. 35 (2014) 1019]
pub(super) const MATRIX_FUNCTION: [Rule; 2] = [
    Frechet(|at, e| {
        let Op::MatrixFunction { function, order } = at.op else { return e };
        let mut args = at.args.to_vec();
        args.push(e);
        at.y.tape().apply(Op::MatrixFunction { function, order: order + 1 }, &args)
    }),
    Linear(|at, y_bar| {
        let with = (0..).zip(at.args).map(|(i, arg)| if i == at.slot { y_bar } else { arg.t() });
        let args: Vec<_> = with.collect();
        at.y.tape().apply(at.op, &args)
    }),
];

/// `Z = exp(A) B`: in `A` `D[ε] = L(A; ε) B` with the derivative L of the exponential; `B̄ = exp(Aᵀ) Z̄`. [H §10.2]
pub(super) const EXP_ACTION: [Rule; 2] = [
    Frechet(|at, e| {
        let derivative = Op::MatrixFunction { function: MatrixFunction::Exp, order: 1 };
        at.y.tape().apply(derivative, &[at.a, e]) * at.b
    }),
    Linear(|at, y_bar| at.a.t().expm_multiply(y_bar)),
];
