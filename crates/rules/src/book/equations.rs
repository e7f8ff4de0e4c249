//! Matrix equations, linear and nonlinear.

use super::At;
use super::Rule::{self, Frechet, Linear};
use pullback_tape::{Op, Var};

/// `X` with `A X + X B = C`: `D[ε] = −Sylvester(A, B, ε X)` in `A` and `−Sylvester(A, B, X ε)` in `B`, from the equation;
/// `C̄ = Sylvester(Aᵀ, Bᵀ, X̄)`, as `⟨X̄, X⟩ = ⟨C̄, A X + X B⟩`. [Kao & Hennequin, arXiv:2011.11430]
pub(super) const SYLVESTER: [Rule; 3] = [
    Frechet(|at, e| -again(at, e * at.y)),
    Frechet(|at, e| -again(at, at.y * e)),
    Linear(|at, y_bar| at.y.tape().apply(at.op, &[at.a.t(), at.b.t(), y_bar])),
];

/// `X` with `X − A X B = C`: `D[ε] = Stein(A, B, ε X B)` in `A` and `Stein(A, B, A X ε)` in `B`, from the equation;
/// `C̄ = Stein(Aᵀ, Bᵀ, X̄)`, as `⟨X̄, X⟩ = ⟨C̄, X − A X B⟩`. [Kao & Hennequin, arXiv:2011.11430]
pub(super) const STEIN: [Rule; 3] = [
    Frechet(|at, e| again(at, e * at.y * at.b)),
    Frechet(|at, e| again(at, at.a * at.y * e)),
    Linear(|at, y_bar| at.y.tape().apply(at.op, &[at.a.t(), at.b.t(), y_bar])),
];

/// The same equation with another right side.
fn again<'t>(at: &At<'_, 't>, c: Var<'t>) -> Var<'t> {
    at.y.tape().apply(at.op, &[at.a, at.b, c])
}

/// `S = √A`: `S D[ε] + D[ε] S = ε`, from `S² = A`. [H §6.1]
pub(super) const SQUARE_ROOT: [Rule; 1] =
    [Frechet(|at, e| at.y.tape().apply(Op::Sylvester, &[at.y, at.y, e]))];

/// `S = sign A`: with `N = S A`, of which all eigenvalues have positive real parts, `N D[ε] + D[ε] N = ε − S ε S`, from
/// `S A = A S` and `S² = I`. [H §5.1, theorem 5.3]
pub(super) const MATRIX_SIGN: [Rule; 1] = [Frechet(|at, e| {
    let n = at.y * at.a;
    at.y.tape().apply(Op::Sylvester, &[n, n, e - at.y * e * at.y])
})];
