//! Sums and products.

use super::Rule::{self, Frechet, Linear};

/// `A + B`, linear in both together: `Ā = Ȳ`, `B̄ = Ȳ`.
pub(super) const ADD: [Rule; 2] = [Linear(|_, y_bar| y_bar), Linear(|_, y_bar| y_bar)];

/// `c A`, its own adjoint: `Ā = c Ȳ`.
pub(super) const SCALE: [Rule; 1] = [Linear(|at, y_bar| at.with(y_bar))];

/// `s B` with a 1×1 `s`: `s̄ = ⟨Ȳ, B⟩`, `B̄ = s Ȳ`.
pub(super) const SCALE_BY: [Rule; 2] =
    [Linear(|at, y_bar| y_bar.inner(at.b)), Linear(|at, y_bar| at.a * y_bar)];

/// `A B`: `Ā = Ȳ Bᵀ`, `B̄ = Aᵀ Ȳ`, by the cyclic trace `tr(Ȳᵀ ε B) = tr((Ȳ Bᵀ)ᵀ ε)`. [G §2.2.1]
pub(super) const MATMUL: [Rule; 2] =
    [Linear(|at, y_bar| y_bar * at.b.t()), Linear(|at, y_bar| at.a.t() * y_bar)];

/// `Aᵀ`: `Ā = Ȳᵀ`, by `tr(Ȳᵀ εᵀ) = tr(Ȳ ε)`. [MN §1.10]
pub(super) const TRANSPOSE: [Rule; 1] = [Linear(|_, y_bar| y_bar.t())];

/// `reshape(A)`: `Ā = reshape(Ȳ)`, as the entries keep their order. [MN §2.4]
pub(super) const RESHAPE: [Rule; 1] = [Linear(|at, y_bar| y_bar.reshape(at.a.shape()))];

/// `A ∘ B`: `Ā = Ȳ ∘ B`, `B̄ = A ∘ Ȳ`. [MN §3.6]
pub(super) const HADAMARD: [Rule; 2] =
    [Linear(|at, y_bar| y_bar.hadamard(at.b)), Linear(|at, y_bar| at.a.hadamard(y_bar))];

/// `A ⊘ B`: `Ā = Ȳ ⊘ B`; `D[ε] = −(A ⊘ B ⊘ B) ∘ ε` in `B`.
pub(super) const QUOTIENT: [Rule; 2] =
    [Linear(|at, y_bar| y_bar.quotient(at.b)), Frechet(|at, e| -at.y.quotient(at.b).hadamard(e))];
