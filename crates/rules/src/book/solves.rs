//! Inverses, solves and determinants.

use super::Rule::{self, Frechet, Linear};

/// `A⁻¹`: `D[ε] = −A⁻¹ ε A⁻¹`, from `A A⁻¹ = I`. [G §2.2.3; MN §8.4]
pub(super) const INVERSE: [Rule; 1] = [Frechet(|at, e| -(at.y * e * at.y))];

/// `Z = A⁻¹ B`: `D[ε] = −A⁻¹ ε Z` in `A`, from `A Z = B`; `B̄ = A⁻ᵀ Z̄`. [G §2.3.1]
pub(super) const SOLVE: [Rule; 2] =
    [Frechet(|at, e| -at.a.solve(e * at.y)), Linear(|at, y_bar| at.a.t().solve(y_bar))];

/// `det A`: `D[ε] = det(A) ⟨A⁻ᵀ, ε⟩`, Jacobi's formula. [G §2.2.4; MN §8.3]
pub(super) const DET: [Rule; 1] = [Frechet(|at, e| at.y * at.a.inv().t().inner(e))];

/// `log |det A|`: `D[ε] = ⟨A⁻ᵀ, ε⟩`. [G §2.2.4; MN §8.3]
pub(super) const LOG_DET: [Rule; 1] = [Frechet(|at, e| at.a.inv().t().inner(e))];
