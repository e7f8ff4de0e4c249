//! Decompositions, and what their derivatives are made of.

use super::At;
use super::Rule::{self, Frechet, Linear};
use pullback_tape::{Factor, Op, Spectral, Var};

pub(super) fn factor(factor: Factor) -> &'static [Rule] {
    match factor {
        Factor::Eigenvalues => &EIGENVALUES,
        Factor::Eigenvectors => &EIGENVECTORS,
        Factor::RealEigenvalues => &REAL_EIGENVALUES,
        Factor::RealEigenvectors => &REAL_EIGENVECTORS,
    }
}

pub(super) fn spectral(spectral: Spectral) -> &'static [Rule] {
    match spectral {
        Spectral::Diagonal => &SPECTRAL_DIAGONAL,
        Spectral::Diag => &SPECTRAL_DIAG,
        Spectral::Gaps | Spectral::SymmetricGaps | Spectral::SkewGaps => &GAPS,
    }
}

/// An operation beside a spectrum.
fn beside<'t>(spectral: Spectral, spectrum: Var<'t>, x: Var<'t>) -> Var<'t> {
    x.tape().apply(Op::Spectral(spectral), &[spectrum, x])
}

/// `λ` of a symmetric A: `D[ε] = diag(Vᵀ ε V)` for a symmetric ε, from `Vᵀ A V = Diag(λ)` and `Vᵀ V = I`. [MN §8.9; G §3.1]
const EIGENVALUES: [Rule; 1] = [Frechet(|at, e| {
    let v = at.a.eigenvectors();
    beside(Spectral::Diagonal, at.y, v.t() * e * v)
})];

/// `V` of a symmetric A: `D[ε] = V (Vᵀ ε V ⊘ Δ)` for a symmetric ε, with the gaps `Δᵢⱼ = λⱼ − λᵢ` and 0 on the diagonal, from
/// the derivative of `A V = V Diag(λ)`. [MN §8.9; G §3.1]
const EIGENVECTORS: [Rule; 1] =
    [Frechet(|at, e| at.y * beside(Spectral::SymmetricGaps, at.a.eigenvalues(), at.y.t() * e * at.y))];

/// `λ` of a square A with real eigenvalues: `D[ε] = diag(V⁻¹ ε V)`, from `V⁻¹ A V = Diag(λ)`; the rows of `V⁻¹` are the left
/// eigenvectors. [MN §8.9; Magnus, Econometric Theory 1 (1985) 179; G §3.1]
const REAL_EIGENVALUES: [Rule; 1] = [Frechet(|at, e| {
    let v = at.a.real_eigenvectors();
    beside(Spectral::Diagonal, at.y, v.solve(e * v))
})];

/// `V` of a square A with real eigenvalues: `D[ε] = U − V Diag(diag(Vᵀ U))` with `U = V K` and `K = V⁻¹ ε V ⊘ Δ`, from the
/// derivative of `A V = V Diag(λ)`; the second term keeps the columns at norm 1. [Magnus, ibid.; G §3.1]
const REAL_EIGENVECTORS: [Rule; 1] = [Frechet(|at, e| {
    let (v, values) = (at.y, at.a.real_eigenvalues());
    let turned = v * beside(Spectral::Gaps, values, v.solve(e * v));
    turned - v * (v.t() * turned).diagonal().diag()
})];

/// Where values coincide does not vary.
pub(super) fn nothing<'t>(at: &At<'_, 't>, _: Var<'t>) -> Var<'t> {
    at.y.tape().zeros(at.y.shape())
}

/// `diag(M)` beside a spectrum: `M̄ = Diag(ȳ)`.
const SPECTRAL_DIAGONAL: [Rule; 2] =
    [Frechet(nothing), Linear(|at, y_bar| beside(Spectral::Diag, at.a, y_bar))];

/// `Diag(w)` beside a spectrum: `w̄ = diag(Ȳ)`.
const SPECTRAL_DIAG: [Rule; 2] = [Frechet(nothing), Linear(|_, y_bar| y_bar.diagonal())];

/// `Y = M ⊘ Δ` with `Δᵢⱼ = λⱼ − λᵢ`: `D[δ] = −(Y ∘ (𝟏 δᵀ − δ 𝟏ᵀ)) ⊘ Δ` in λ, the derivative of a quotient; the adjoint in M
/// divides by the same gaps. As those are skew, what divided the symmetric part divides the skew part, and the other way round.
const GAPS: [Rule; 2] = [
    Frechet(|at, e| {
        let rows = at.y.tape().ones((e.rows(), 1)) * e.t();
        -at.y.tape().apply(at.op, &[at.a, at.y.hadamard(rows - rows.t())])
    }),
    Linear(|at, y_bar| {
        let mirrored = match at.op {
            Op::Spectral(Spectral::SymmetricGaps) => Op::Spectral(Spectral::SkewGaps),
            Op::Spectral(Spectral::SkewGaps) => Op::Spectral(Spectral::SymmetricGaps),
            op => op,
        };
        at.y.tape().apply(mirrored, &[at.a, y_bar])
    }),
];
