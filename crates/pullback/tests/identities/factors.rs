//! Factors: QR, LU, LDL, singular values, polar factors, pseudo-inverses, and norms.

use crate::Domain::{Any, Regular, Right};
use crate::algebra::nabla;
use crate::{Identity, Inputs, identity};
use pullback::prelude::*;

/// A tall matrix of full rank, (n + k)×n.
fn tall<'t>(t: &'t Tape, name: &str, n: usize, k: usize) -> Var<'t> {
    let below = t.input(&format!("{name}₂"), (k, n));
    t.stack_rows(&[t.square(name, n), 0.3 * below])
}

/// A wide one.
fn wide<'t>(t: &'t Tape, name: &str, n: usize, k: usize) -> Var<'t> {
    tall(t, name, n, k).t()
}

/// The product of a tall matrix and a wide one: of rank n.
fn deficient(t: &Tape, n: usize, k: usize) -> Var<'_> {
    tall(t, "A", n, k) * wide(t, "B", n, k)
}

pub(crate) const IDENTITIES: &[Identity] = &[
    identity("Q R = A, tall", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        let (q, r) = a.qr();
        [q * r, a]
    }),
    identity("Q R = A, wide", Regular, |t, [n, k, _]| {
        let a = wide(t, "A", n, k);
        let (q, r) = a.qr();
        [q * r, a]
    }),
    identity("Qᵀ Q = I", Regular, |t, [n, k, _]| {
        let (q, _) = tall(t, "A", n, k).qr();
        [q.t() * q, t.identity(n)]
    }),
    identity("Rᵀ R = Aᵀ A: R is Cholesky's factor", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        [a.qr().1, (a.t() * a).cholesky().t()]
    })
    .up_to(5),
    identity("Σ log Rᵢᵢ = log |det A|", Regular, |t, [n, _, _]| {
        let a = t.square("A", n);
        [a.qr().1.diagonal().ln().sum(), a.log_det()]
    }),
    identity("Q Qᵀ = A (Aᵀ A)⁻¹ Aᵀ", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        let (q, _) = a.qr();
        [q * q.t(), a * (a.t() * a).solve(a.t())]
    })
    .up_to(5),
    identity("least squares by the normal equations", Regular, |t, [n, k, p]| {
        let (a, b) = (tall(t, "A", n, k), t.input("B", (n + k, p)));
        [a.least_squares(b), (a.t() * a).solve(a.t() * b)]
    })
    .up_to(5),
    identity("the smallest solution is A⁺ B", Regular, |t, [n, k, p]| {
        let (a, b) = (wide(t, "A", n, k), t.input("B", (n, p)));
        [a.least_squares(b), a.pseudo_inverse() * b]
    }),
    identity("Pᵀ L U = A", Regular, |t, [n, _, _]| {
        let a = t.square("A", n);
        let (p, l, u) = a.lu();
        [p.t() * l * u, a]
    }),
    identity("Σ log |Uᵢᵢ| = log |det A|", Regular, |t, [n, _, _]| {
        let a = t.square("A", n);
        [a.lu().2.diagonal().abs().ln().sum(), a.log_det()]
    }),
    identity("U⁻¹ L⁻¹ P B = A⁻¹ B", Regular, |t, [n, k, _]| {
        let (a, b) = (t.square("A", n), t.input("B", (n, k)));
        let (p, l, u) = a.lu();
        [u.solve_upper(l.solve_unit_lower(p * b)), a.solve(b)]
    }),
    identity("L Diag(d) Lᵀ = S", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        let (l, d) = s.ldl();
        [l * d.diag() * l.t(), s]
    }),
    identity("L Diag(√d) is Cholesky's factor", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        let (l, d) = s.ldl();
        [l.mul_row(d.sqrt().t()), s.cholesky()]
    }),
    // With σ itself it is the same expression.
    identity("U Diag(√σ²) Vᵀ = A", Any, |t, [m, n, _]| {
        let a = t.input("A", (m + n, n));
        let (u, s, v) = a.svd();
        [u.mul_row(s.square().sqrt().t()) * v.t(), a]
    })
    .up_to(4),
    identity("Σ σ² = ‖A‖²", Any, |t, [m, n, _]| {
        let a = t.input("A", (m, n));
        [a.singular_values().norm_squared(), a.norm_squared()]
    }),
    identity("Σ log σ = log |det A|", Regular, |t, [n, _, _]| {
        let a = t.square("A", n);
        [a.singular_values().ln().sum(), a.log_det()]
    }),
    identity("σ² are the eigenvalues of Aᵀ A", Any, |t, [m, n, _]| {
        let a = t.input("A", (m + n, n));
        [a.singular_values().square().exp().sum(), (a.t() * a).eigenvalues().exp().sum()]
    })
    .up_to(3),
    identity("‖A‖_* = tr √(Aᵀ A)", Regular, |t, [n, _, _]| {
        let a = t.square("A", n);
        [a.nuclear_norm(), (a.t() * a).symmetric_function(|x| x.sqrt()).trace()]
    })
    .up_to(5),
    identity("‖S‖_* = tr S of a definite S", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        [s.nuclear_norm(), s.trace()]
    }),
    identity("‖A‖₂² is the largest eigenvalue of Aᵀ A", Any, |t, [m, n, _]| {
        let a = t.input("A", (m + 1, n + 1));
        [a.spectral_norm().square(), (a.t() * a).eigenvalues().entry(n, 0)]
    })
    .up_to(4),
    identity("Schatten's norm with p = 4", Any, |t, [m, n, _]| {
        let a = t.input("A", (m + 1, n + 1));
        [a.schatten_norm(4.0).powi(4), (a * a.t() * a).inner(a)]
    }),
    identity("Schatten's norm with p = 2", Any, |t, [m, n, _]| {
        let a = t.input("A", (m + 1, n + 1));
        [a.schatten_norm(2.0), a.norm()]
    }),
    identity("A A⁺ A = A", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        [a * a.pseudo_inverse() * a, a]
    }),
    identity("A A⁺ A = A of a deficient matrix", Regular, |t, [n, k, _]| {
        let a = deficient(t, n, k);
        [a * a.pseudo_inverse() * a, a]
    })
    .up_to(4),
    identity("A⁺ A A⁺ = A⁺ of a deficient matrix", Regular, |t, [n, k, _]| {
        let a = deficient(t, n, k);
        let p = a.pseudo_inverse();
        [p * a * p, p]
    })
    .up_to(4),
    identity("A A⁺ is symmetric", Regular, |t, [n, k, _]| {
        let a = deficient(t, n, k);
        let p = a * a.pseudo_inverse();
        [p, p.t()]
    })
    .up_to(4),
    identity("A⁺ A is symmetric", Regular, |t, [n, k, _]| {
        let a = deficient(t, n, k);
        let p = a.pseudo_inverse() * a;
        [p, p.t()]
    })
    .up_to(4),
    identity("(A B)⁺ = B⁺ A⁺ of a tall A and a wide B", Regular, |t, [n, k, _]| {
        let (a, b) = (tall(t, "A", n, k), wide(t, "B", n, k));
        [(a * b).pseudo_inverse(), b.pseudo_inverse() * a.pseudo_inverse()]
    })
    .up_to(4),
    identity("A⁺ = (Aᵀ A)⁻¹ Aᵀ", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        [a.pseudo_inverse(), (a.t() * a).solve(a.t())]
    })
    .up_to(5),
    identity("A⁺ = A⁻¹", Regular, |t, [n, _, _]| {
        [t.square("A", n).pseudo_inverse(), t.square("A", n).inv()]
    }),
    identity("Q H = A", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        let (q, h) = a.polar();
        [q * h, a]
    }),
    identity("Qᵀ Q = I of polar factors", Regular, |t, [n, k, _]| {
        let (q, _) = tall(t, "A", n, k).polar();
        [q.t() * q, t.identity(n)]
    }),
    identity("H = √(Aᵀ A)", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        [a.polar().1, (a.t() * a).symmetric_function(|x| x.sqrt())]
    })
    .up_to(5),
    identity("Q = A (Aᵀ A)^{−½}", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        [a.polar().0, a * (a.t() * a).symmetric_function(|x| x.powf(-0.5))]
    })
    .up_to(5),
    identity(
        "Q is the sign of [0 A; Aᵀ 0] (Higham, Functions of Matrices, §8.1)",
        Regular,
        |t, [n, _, _]| {
            let (a, zero) = (t.square("A", n), t.zeros((n, n)));
            let (q, _) = a.polar();
            [t.blocks(&[&[zero, a], &[a.t(), zero]]).signm(), t.blocks(&[&[zero, q], &[q.t(), zero]])]
        },
    )
    .up_to(3),
    identity("Q and H of a definite matrix", Right, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        let (q, h) = (s * t.identity(n)).polar();
        [q * h, s]
    }),
    identity("∇ ‖A‖_* = Q", Regular, |t, [n, k, _]| {
        let a = tall(t, "A", n, k);
        [nabla(a.nuclear_norm(), a), a.polar().0]
    })
    .up_to(5),
    identity(
        "∇ ½ ‖b − A A⁺ b‖² = −(b − A x) xᵀ with x = A⁺ b",
        Regular,
        |t, [n, k, _]| {
            // Overdetermined, for else there is no residual.
            let (a, b) = (tall(t, "A", n, k + 1), t.column("b", n + k + 1));
            let x = a.pseudo_inverse() * b;
            let r = b - a * x;
            [nabla(0.5 * r.norm_squared(), a), -(r * x.t())]
        },
    )
    .up_to(5),
];
