//! Decompositions, and what their derivatives are made of.

use super::At;
use super::Rule::{self, Constant, Frechet, Linear};
use pullback_tape::{Factor, Op, Spectral, Var};

pub(super) fn factor(factor: Factor) -> &'static [Rule] {
    match factor {
        Factor::Eigenvalues => &EIGENVALUES,
        Factor::Eigenvectors => &EIGENVECTORS,
        Factor::RealEigenvalues | Factor::ClusteredEigenvalues => &REAL_EIGENVALUES,
        Factor::RealEigenvectors => &REAL_EIGENVECTORS,
        Factor::SingularValues => &SINGULAR_VALUES,
        Factor::LeftVectors => &LEFT_VECTORS,
        Factor::RightVectors => &RIGHT_VECTORS,
        Factor::PseudoInverse => &PSEUDO_INVERSE,
        Factor::Polar => &POLAR,
        Factor::Orthonormal => &ORTHONORMAL,
        Factor::Triangular => &TRIANGULAR,
        Factor::Permutation => &PERMUTATION,
        Factor::Lower => &LOWER,
        Factor::Upper => &UPPER,
        Factor::SymmetricLower => &SYMMETRIC_LOWER,
        Factor::Pivots => &PIVOTS,
    }
}

pub(super) fn spectral(spectral: Spectral) -> &'static [Rule] {
    match spectral {
        Spectral::Diagonal | Spectral::GeneralDiagonal => &SPECTRAL_DIAGONAL,
        Spectral::Diag => &SPECTRAL_DIAG,
        Spectral::Gaps | Spectral::SymmetricGaps | Spectral::SkewGaps => &GAPS,
        Spectral::SkewSums => &SKEW_SUMS,
        Spectral::Columns => &COLUMNS,
        Spectral::Distinct | Spectral::Positive => &CHECKED,
    }
}

/// An operation beside a spectrum.
fn beside<'t>(spectral: Spectral, spectrum: Var<'t>, x: Var<'t>) -> Var<'t> {
    x.tape().apply(Op::Spectral(spectral), &[spectrum, x])
}

/// The values whose gaps the derivative of vectors divides by. If the vectors are entangled with values, no value of one that is
/// used may coincide with another: a quotient whose numerator vanishes may hide what their derivatives have together.
fn apart<'t>(at: &At<'_, 't>, values: Var<'t>) -> Var<'t> {
    at.used.map_or(values, |used| beside(Spectral::Distinct, values, used))
}

/// `λ` of a symmetric A: `D[ε] = diag(Vᵀ ε V)` for a symmetric ε, from `Vᵀ A V = Diag(λ)` and `Vᵀ V = I`. [MN §8.9; G §3.1]
const EIGENVALUES: [Rule; 1] = [Frechet(|at, e| {
    let v = at.a.eigenvectors();
    beside(Spectral::Diagonal, at.y, v.t() * e * v)
})];

/// `V` of a symmetric A: `D[ε] = V (Vᵀ ε V ⊘ Δ)` for a symmetric ε, with the gaps `Δᵢⱼ = λⱼ − λᵢ` and 0 on the diagonal, from
/// the derivative of `A V = V Diag(λ)`. [MN §8.9; G §3.1]
const EIGENVECTORS: [Rule; 1] = [Frechet(|at, e| {
    at.y * beside(Spectral::SymmetricGaps, apart(at, at.a.eigenvalues()), at.y.t() * e * at.y)
})];

/// `λ` of a square A with real eigenvalues: `D[ε] = diag(V⁻¹ ε V)`, from `V⁻¹ A V = Diag(λ)`; the rows of `V⁻¹` are the left
/// eigenvectors. [MN §8.9; Magnus, Econometric Theory 1 (1985) 179; G §3.1]
const REAL_EIGENVALUES: [Rule; 1] = [Frechet(|at, e| {
    let v = at.a.real_eigenvectors();
    beside(Spectral::GeneralDiagonal, clustered(at.a), v.solve(e * v))
})];

/// `V` of a square A with real eigenvalues: `D[ε] = U − V Diag(diag(Vᵀ U))` with `U = V K` and `K = V⁻¹ ε V ⊘ Δ`, from the
/// derivative of `A V = V Diag(λ)`; the second term keeps the columns at norm 1. [Magnus, ibid.; G §3.1]
const REAL_EIGENVECTORS: [Rule; 1] = [Frechet(|at, e| {
    let (v, values) = (at.y, clustered(at.a));
    let turned = v * beside(Spectral::Gaps, apart(at, values), v.solve(e * v));
    turned - v * (v.t() * turned).diagonal().diag()
})];

/// `λ` of a square A, where nothing is taken for a gap that may be a rounding error.
fn clustered(a: Var<'_>) -> Var<'_> {
    a.tape().apply(Op::Factor(Factor::ClusteredEigenvalues), &[a])
}

/// `σ` of A: `D[ε] = diag(Uᵀ ε V)`, from `Uᵀ A V = Diag(σ)`. [G §3.2; Townsend, *Differentiating the SVD* (2016)]
const SINGULAR_VALUES: [Rule; 1] = [Frechet(|at, e| {
    let (u, v) = (at.a.left_vectors(), at.a.right_vectors());
    beside(Spectral::Diagonal, at.y, u.t() * e * v)
})];

/// `U` of A: `D[ε] = U (sym(P) ⊘ Δ + skew(P) ⊘ Σ) + (I − U Uᵀ) ε V Diag(σ)⁻¹` with `P = Uᵀ ε V`, the gaps `Δᵢⱼ = σⱼ − σᵢ` and
/// the sums `Σᵢⱼ = σᵢ + σⱼ`: from the derivative of `A = U Diag(σ) Vᵀ`, off the diagonal `P = U̇′ Diag(σ) − Diag(σ) V̇′` with
/// the skew matrices `U̇′ = Uᵀ U̇` and `V̇′ = Vᵀ V̇`, so that `sym(P) = ½ (U̇′ + V̇′) ∘ Δ` and `skew(P) = ½ (U̇′ − V̇′) ∘ Σ`.
/// [Papadopoulo & Lourakis, ECCV 2000; Townsend, *Differentiating the SVD* (2016)]
const LEFT_VECTORS: [Rule; 1] = [Frechet(|at, e| {
    let (u, s, v) = (at.y, at.a.singular_values(), at.a.right_vectors());
    let p = u.t() * e * v;
    let turned = u * (beside(Spectral::SymmetricGaps, apart(at, s), p) + beside(Spectral::SkewSums, s, p));
    turned + away(u, positive(at, s), e * v)
})];

/// `V` of A: `D[ε] = V (sym(P) ⊘ Δ − skew(P) ⊘ Σ) + (I − V Vᵀ) εᵀ U Diag(σ)⁻¹`, by the same equations.
const RIGHT_VECTORS: [Rule; 1] = [Frechet(|at, e| {
    let (u, s, v) = (at.a.left_vectors(), at.a.singular_values(), at.y);
    let p = u.t() * e * v;
    let turned = v * (beside(Spectral::SymmetricGaps, apart(at, s), p) - beside(Spectral::SkewSums, s, p));
    turned + away(v, positive(at, s), e.t() * u)
})];

/// The singular values that a derivative divides by, in the same way: beyond the columns of U all values are 0.
fn positive<'t>(at: &At<'_, 't>, values: Var<'t>) -> Var<'t> {
    at.used.map_or(values, |used| beside(Spectral::Positive, values, used))
}

/// `(I − U Uᵀ) X Diag(σ)⁻¹`: what leaves the space of the columns of U; nothing if they span everything.
fn away<'t>(u: Var<'t>, s: Var<'t>, x: Var<'t>) -> Var<'t> {
    if u.rows() == u.cols() {
        return u.tape().zeros(u.shape());
    }
    let x = beside(Spectral::Columns, s, x);
    x - u * (u.t() * x)
}

/// `A⁺`: `D[ε] = −A⁺ ε A⁺ + A⁺ A⁺ᵀ εᵀ (I − A A⁺) + (I − A⁺ A) εᵀ A⁺ᵀ A⁺` where the rank stays the same. [Golub & Pereyra, SIAM
/// J. Numer. Anal. 10 (1973) 413]
const PSEUDO_INVERSE: [Rule; 1] = [Frechet(|at, e| {
    let (a, y) = (at.a, at.y);
    let (left, right) = (y * y.t() * e.t(), e.t() * y.t() * y);
    left - left * a * y + (right - y * a * right) - y * e * y
})];

/// `Q = U Vᵀ`: `D[ε] = 2 U (skew(P) ⊘ Σ) Vᵀ + (I − U Uᵀ) ε V Diag(σ)⁻¹ Vᵀ + U Diag(σ)⁻¹ Uᵀ ε (I − V Vᵀ)` with `P = Uᵀ ε V`, from
/// the derivatives of U and V: what is divided by gaps cancels. [Higham, *Functions of Matrices*, §8.1; Papadopoulo &
/// Lourakis, ECCV 2000]
const POLAR: [Rule; 1] = [Frechet(|at, e| {
    let (u, s, v) = at.a.svd();
    let turned = 2.0 * u * beside(Spectral::SkewSums, s, u.t() * e * v) * v.t();
    turned + away(u, s, e * v) * v.t() + u * away(v, s, e.t() * u).t()
})];

/// `Q` of A: `D[ε] = ε R⁻¹ − Q N` with `N = triu(M) + tril(M, −1)ᵀ` and `M = Qᵀ ε R⁻¹`, from the derivative of `A = Q R`: `Qᵀ Q̇`
/// is skew and `N = Ṙ R⁻¹` upper triangular. [Walter & Lehmann, arXiv:1001.1654; Roberts & Roberts, arXiv:2009.10071]
const ORTHONORMAL: [Rule; 1] = [Frechet(|at, e| {
    let (q, r) = at.a.qr();
    let x = over(r, e);
    x - q * upper_of_qr(q.t() * x)
})];

/// `R` of A: `D[ε] = N R`, by the same equations.
const TRIANGULAR: [Rule; 1] = [Frechet(|at, e| {
    let (q, r) = at.a.qr();
    upper_of_qr(q.t() * over(r, e)) * r
})];

/// `X R⁻¹` with the upper triangle of R.
fn over<'t>(r: Var<'t>, x: Var<'t>) -> Var<'t> {
    r.t().solve_lower(x.t()).t()
}

/// What is upper triangular in the sum of it and a skew matrix.
fn upper_of_qr(m: Var<'_>) -> Var<'_> {
    m.triu() + m.strict_tril().t()
}

/// `P` of `P A = L U` stays the same near A.
const PERMUTATION: [Rule; 1] = [Constant];

/// `L` of `P A = L U`: `D[ε] = L tril(F, −1)` with `F = L⁻¹ P ε U⁻¹`, from `F = L⁻¹ L̇ + U̇ U⁻¹`. [Walter & Lehmann,
/// arXiv:1001.1654]
const LOWER: [Rule; 1] = [Frechet(|at, e| at.y * beside_lu(at.a, e).strict_tril())];

/// `U` of `P A = L U`: `D[ε] = triu(F) U`, by the same equation.
const UPPER: [Rule; 1] = [Frechet(|at, e| beside_lu(at.a, e).triu() * at.y)];

/// `L⁻¹ P ε U⁻¹`.
fn beside_lu<'t>(a: Var<'t>, e: Var<'t>) -> Var<'t> {
    let (p, l, u) = a.lu();
    over(u, l.solve_unit_lower(p * e))
}

/// `L` of `A = L Diag(d) Lᵀ`: `D[ε] = L tril(F, −1) Diag(d)⁻¹` for a symmetric ε, with `F = L⁻¹ ε L⁻ᵀ`, from
/// `F = L⁻¹ L̇ Diag(d) + Diag(ḋ) + (L⁻¹ L̇ Diag(d))ᵀ`.
const SYMMETRIC_LOWER: [Rule; 1] = [Frechet(|at, e| {
    let (l, d) = at.a.ldl();
    l * beside_ldl(l, e).strict_tril().mul_row(d.recip().t())
})];

/// `d` of `A = L Diag(d) Lᵀ`: `D[ε] = diag(F)`, by the same equation.
const PIVOTS: [Rule; 1] = [Frechet(|at, e| beside_ldl(at.a.ldl().0, e).diagonal())];

/// `L⁻¹ ε L⁻ᵀ` for a symmetric ε.
fn beside_ldl<'t>(l: Var<'t>, e: Var<'t>) -> Var<'t> {
    l.solve_unit_lower(l.solve_unit_lower(e).t()).t()
}

/// `diag(M)` beside a spectrum: `M̄ = Diag(ȳ)`. Where values coincide does not vary.
const SPECTRAL_DIAGONAL: [Rule; 2] = [Constant, Linear(|at, y_bar| beside(Spectral::Diag, at.a, y_bar))];

/// `Diag(w)` beside a spectrum: `w̄ = diag(Ȳ)`.
const SPECTRAL_DIAG: [Rule; 2] = [Constant, Linear(|_, y_bar| y_bar.diagonal())];

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

/// `Y = skew(M) ⊘ Σ` with `Σᵢⱼ = λᵢ + λⱼ`: `D[δ] = −(Y ∘ (δ 𝟏ᵀ + 𝟏 δᵀ)) ⊘ Σ` in λ; in M it is its own adjoint.
const SKEW_SUMS: [Rule; 2] = [
    Frechet(|at, e| {
        let rows = at.y.tape().ones((e.rows(), 1)) * e.t();
        -at.y.tape().apply(at.op, &[at.a, at.y.hadamard(rows + rows.t())])
    }),
    Linear(|at, y_bar| beside(Spectral::SkewSums, at.a, y_bar)),
];

/// `Y = M Diag(λ)⁻¹`: `D[δ] = −Y Diag(δ) Diag(λ)⁻¹` in λ; in M it is its own adjoint.
const COLUMNS: [Rule; 2] = [
    Frechet(|at, e| -beside(Spectral::Columns, at.a, at.y.mul_row(e.t()))),
    Linear(|at, y_bar| beside(Spectral::Columns, at.a, y_bar)),
];

/// λ, checked: `D[ε] = ε`.
const CHECKED: [Rule; 2] = [Frechet(|_, e| e), Constant];
