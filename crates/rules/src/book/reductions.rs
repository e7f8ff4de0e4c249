//! From a matrix to a number or a row.

use super::Rule::{self, Constant, Frechet, Linear};

/// `tr A`: `Ā = ȳ I`, by `tr ε = ⟨I, ε⟩`. [G §2.2.4]
pub(super) const TRACE: [Rule; 1] = [Linear(|at, y_bar| y_bar * at.a.tape().identity(at.a.rows()))];

/// `diag(A)`: `Ā = Diag(ȳ)`, by `⟨ȳ, diag(ε)⟩ = ⟨Diag(ȳ), ε⟩`. [MN §3.8]
pub(super) const DIAGONAL: [Rule; 1] = [Linear(|_, y_bar| y_bar.diag())];

/// `Diag(a)`: `ā = diag(Ȳ)`, by `⟨Ȳ, Diag(ε)⟩ = ⟨diag(Ȳ), ε⟩`. [MN §3.8]
pub(super) const DIAG: [Rule; 1] = [Linear(|_, y_bar| y_bar.diagonal())];

/// `⟨A, B⟩ = tr(Aᵀ B)`: `Ā = ȳ B`, `B̄ = ȳ A`.
pub(super) const INNER: [Rule; 2] = [Linear(|at, y_bar| y_bar * at.b), Linear(|at, y_bar| y_bar * at.a)];

/// `‖A‖`: `D[ε] = ⟨A, ε⟩ ‖A‖⁺`, from `‖A‖² = ⟨A, A⟩`. At `A = 0` this is 0, a subgradient.
pub(super) const NORM: [Rule; 1] = [Frechet(|at, e| at.y.pseudo_recip() * at.a.inner(e))];

/// `log Σᵢ exp Aᵢⱼ`: `D[ε] = 𝟏ᵀ (softmax(A) ∘ ε)`.
pub(super) const LOG_SUM_EXP: [Rule; 1] = [Frechet(|at, e| at.a.softmax().hadamard(e).col_sums())];

/// `S = softmax(A)`: `D[ε] = S ∘ ε − S ∘ 𝟏 𝟏ᵀ (S ∘ ε)`, the derivative of a quotient.
pub(super) const SOFTMAX: [Rule; 1] = [Frechet(|at, e| {
    let s_e = at.y.hadamard(e);
    s_e - at.y.mul_row(s_e.col_sums())
})];

/// `maxᵢ Aᵢⱼ`: `D[ε] = 𝟏ᵀ (argmax(A) ∘ ε)`, the tangent of the largest entry. Where several are equal, that of the first: a
/// subgradient.
pub(super) const COL_MAX: [Rule; 1] = [Frechet(|at, e| at.a.col_argmax().hadamard(e).col_sums())];

/// `argmax(A)`: `D[ε] = 0`, but for where the two largest entries of a column are equal.
pub(super) const COL_ARGMAX: [Rule; 1] = [Constant];
