//! A function known by name only.

use super::Rule::{self, Frechet, Linear};
use pullback_tape::Op;

/// `∇ᵏL(W)[V, …]`: `D L(W)[ε] = ⟨∇L(W), ε⟩`, which is the definition of the gradient, and
/// `D ∇ᵏL(W)[V, …][ε] = ∇ᵏ⁺¹L(W)[V, …, ε]`. As derivatives are symmetric (Schwarz), each direction changes
/// places with the cotangent: `⟨Ȳ, ∇ᵏL(W)[ε, …]⟩ = ⟨∇ᵏL(W)[Ȳ, …], ε⟩`.
pub(super) const OPAQUE: [Rule; 2] = [
    Frechet(|at, e| {
        let Op::Opaque { name, order } = at.op else { return e };
        let next = Op::Opaque { name, order: order + 1 };
        if order == 0 {
            return at.y.tape().apply(next, at.args).inner(e);
        }
        let mut args = at.args.to_vec();
        args.push(e);
        at.y.tape().apply(next, &args)
    }),
    Linear(|at, y_bar| at.with(y_bar)),
];
