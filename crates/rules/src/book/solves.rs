//! Inverses, solves and determinants.

use super::Rule::{self, Frechet, Linear};
use pullback_tape::{Op, Var};
use std::cmp::Ordering;

/// `A⁻¹`: `D[ε] = −A⁻¹ ε A⁻¹`, from `A A⁻¹ = I`. [G §2.2.3; MN §8.4]
pub(super) const INVERSE: [Rule; 1] = [Frechet(|at, e| -(at.y * e * at.y))];

/// `Z = A⁻¹ B`: `D[ε] = −A⁻¹ ε Z` in `A`, from `A Z = B`; `B̄ = A⁻ᵀ Z̄`. [G §2.3.1]
pub(super) const SOLVE: [Rule; 2] =
    [Frechet(|at, e| -at.a.solve(e * at.y)), Linear(|at, y_bar| at.a.t().solve(y_bar))];

/// `X = A⁺ B` for an A of full rank: `D[ε] = A⁺ A⁺ᵀ εᵀ (B − A X) − A⁺ ε X + (I − A⁺ A) εᵀ A⁺ᵀ X` in `A`; the first term vanishes if
/// A is wide, and the last if it is tall. `B̄ = A⁺ᵀ X̄`. [Golub & Pereyra, SIAM J. Numer. Anal. 10 (1973) 413]
pub(super) const LEAST_SQUARES: [Rule; 2] = [
    Frechet(|at, e| {
        let (a, x, moved) = (at.a, at.y, at.a.least_squares(e * at.y));
        match a.rows().cmp(&a.cols()) {
            Ordering::Greater => a.least_squares(a.t().least_squares(e.t() * (at.b - a * x))) - moved,
            Ordering::Equal => -moved,
            Ordering::Less => {
                let within = e.t() * a.t().least_squares(x);
                within - a.least_squares(a * within) - moved
            }
        }
    }),
    Linear(|at, y_bar| at.a.t().least_squares(y_bar)),
];

/// `Z = T⁻¹ B` with a triangle T of A: `D[ε] = −T⁻¹ (M ∘ ε) Z` in `A`, from `T Z = B`, where M is 1 in the entries of A
/// that are read; `B̄ = T⁻ᵀ Z̄`, a solve with the other triangle of Aᵀ. [G §2.3.1]
pub(super) const TRIANGULAR_SOLVE: [Rule; 2] = [
    Frechet(|at, e| -at.y.tape().apply(at.op, &[at.a, read(at.op, e) * at.y])),
    Linear(|at, y_bar| at.y.tape().apply(mirrored(at.op), &[at.a.t(), y_bar])),
];

/// What a triangular solve reads of a matrix.
fn read(op: Op, x: Var<'_>) -> Var<'_> {
    match op {
        Op::TriangularSolve { upper: false, unit: false } => x.tril(),
        Op::TriangularSolve { upper: true, unit: false } => x.triu(),
        Op::TriangularSolve { upper: false, unit: true } => x.strict_tril(),
        Op::TriangularSolve { upper: true, unit: true } => x.strict_triu(),
        _ => x,
    }
}

/// The same solve with the other triangle.
fn mirrored(op: Op) -> Op {
    match op {
        Op::TriangularSolve { upper, unit } => Op::TriangularSolve { upper: !upper, unit },
        op => op,
    }
}

/// `K = L Lᵀ`: `D L[ε] = L Φ(L⁻¹ ε L⁻ᵀ)` for a symmetric ε, where `Φ(X) = ½ (tril(X) + tril(X, −1))` takes the lower
/// triangle and halves the diagonal, from `L⁻¹ ε L⁻ᵀ = L⁻¹ L̇ + (L⁻¹ L̇)ᵀ`. [Smith, J. Comput. Graph. Stat. 4 (1995) 134;
/// Murray, arXiv:1602.07527]
///
/// What is below the diagonal is read above it, half of it: X is symmetric, and so the adjoint of Φ is symmetric too.
pub(super) const CHOLESKY: [Rule; 1] = [Frechet(|at, e| {
    let x = at.y.solve_lower(at.y.solve_lower(e).t()).t();
    0.5 * at.y * (x.tril() + x.t().strict_tril())
})];

/// `det A`: `D[ε] = ⟨adj(A)ᵀ, ε⟩`, Jacobi's formula, of a singular A too. [MN §8.3]
pub(super) const DET: [Rule; 1] = [Frechet(|at, e| at.a.adjugate().t().inner(e))];

/// `adj A`: `D[ε] = ⟨A⁻ᵀ, ε⟩ adj(A) − A⁻¹ ε adj(A)`, from `adj A = det(A) A⁻¹`. [MN §8.3, §8.4]
///
/// There is a derivative at a singular A too. Its entries are minors of order n − 2, and this is not how to find them.
pub(super) const ADJUGATE: [Rule; 1] =
    [Frechet(|at, e| at.a.inv().t().inner(e) * at.y - at.a.solve(e * at.y))];

/// `log |det A|`: `D[ε] = ⟨A⁻ᵀ, ε⟩`. [G §2.2.4; MN §8.3]
pub(super) const LOG_DET: [Rule; 1] = [Frechet(|at, e| at.a.inv().t().inner(e))];
