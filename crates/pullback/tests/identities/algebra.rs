//! Products, inverses, determinants.

use crate::Domain::{Any, Regular, Right};
use crate::{Identity, Inputs, identity};
use pullback::prelude::*;

/// The gradient of a number.
pub(crate) fn nabla<'t>(y: Var<'t>, x: Var<'t>) -> Var<'t> {
    gradient(y, &[x]).unwrap()[0]
}

/// `I + A Aᵀ/2` of an m×n matrix: nothing is to be assumed of A.
fn definite(a: Var<'_>) -> Var<'_> {
    a.tape().identity(a.rows()) + 0.5 * a * a.t()
}

pub(crate) const IDENTITIES: &[Identity] = &[
    identity("vec(A X B) = (Bᵀ ⊗ A) vec X", Any, |t, [m, n, k]| {
        let (a, x, b) = (t.input("A", (m, n)), t.input("X", (n, k)), t.input("B", (k, m)));
        [(a * x * b).vec(), b.t().kron(a) * x.vec()]
    })
    .up_to(6),
    identity("(A ⊗ B)(C ⊗ D) = A C ⊗ B D", Any, |t, [m, n, k]| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (k, m)));
        let (c, d) = (t.input("C", (n, k)), t.input("D", (m, n)));
        [a.kron(b) * c.kron(d), (a * c).kron(b * d)]
    })
    .up_to(4),
    identity("tr(A ⊗ B) = tr A tr B", Any, |t, [m, n, _]| {
        let (a, b) = (t.square("A", m), t.square("B", n));
        [a.kron(b).trace(), a.trace() * b.trace()]
    })
    .up_to(5),
    identity("det(A ⊗ B) = (det A)ⁿ (det B)ᵐ", Regular, |t, [m, n, _]| {
        let (a, b) = (t.square("A", m), t.square("B", n));
        [a.kron(b).log_det(), n as f64 * a.log_det() + m as f64 * b.log_det()]
    })
    .up_to(4),
    identity("(A ⊗ B)⁻¹ = A⁻¹ ⊗ B⁻¹", Regular, |t, [m, n, _]| {
        let (a, b) = (t.square("A", m), t.square("B", n));
        [a.kron(b).inv(), a.inv().kron(b.inv())]
    })
    .up_to(3),
    identity("tr(A B) = tr(B A)", Any, |t, [m, n, _]| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (n, m)));
        [(a * b).trace(), (b * a).trace()]
    }),
    identity("tr(A B C) = tr(C A B)", Any, |t, [m, n, k]| {
        let (a, b, c) = (t.input("A", (m, n)), t.input("B", (n, k)), t.input("C", (k, m)));
        [(a * b * c).trace(), (c * a * b).trace()]
    }),
    identity("xᵀ (A ∘ B) y = tr(Diag(x) A Diag(y) Bᵀ)", Any, |t, [m, n, _]| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (m, n)));
        let (x, y) = (t.column("x", m), t.column("y", n));
        [x.t() * a.hadamard(b) * y, (x.diag() * a * y.diag() * b.t()).trace()]
    }),
    identity("diag(A B) = (A ∘ Bᵀ) 𝟏", Any, |t, [m, n, _]| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (n, m)));
        [(a * b).diagonal(), a.row_inner(b.t())]
    }),
    identity("(A B)⁻¹ = B⁻¹ A⁻¹", Regular, |t, [n, _, _]| {
        let (a, b) = (t.square("A", n), t.square("B", n));
        [(a * b).solve(t.identity(n)), b.solve(a.inv())]
    })
    .up_to(6),
    identity("(A⁻¹)⁻¹ = A", Regular, |t, [n, _, _]| [t.square("A", n).inv().inv(), t.square("A", n)]),
    identity("det A B = det A det B", Regular, |t, [n, _, _]| {
        let (a, b) = (t.square("A", n), t.square("B", n));
        [(a * b).det(), a.det() * b.det()]
    })
    .up_to(4),
    identity("det A⁻¹ = 1/det A", Regular, |t, [n, _, _]| {
        [t.square("A", n).inv().det(), t.square("A", n).det().recip()]
    })
    .up_to(4),
    identity("log det A = log |det A|", Regular, |t, [n, _, _]| {
        [t.square("A", n).log_det(), t.square("A", n).det().abs().ln()]
    })
    .up_to(5),
    identity("det [A B; C D] = det A det(D − C A⁻¹ B)", Regular, |t, [m, n, _]| {
        let (a, d) = (t.square("A", m), 3.0 * t.identity(n));
        let (b, c) = (0.2 * t.input("B", (m, n)), 0.2 * t.input("C", (n, m)));
        [t.blocks(&[&[a, b], &[c, d]]).log_det(), a.log_det() + (d - c * a.solve(b)).log_det()]
    })
    .up_to(4),
    identity("det(A + U Vᵀ) = det(I + Vᵀ A⁻¹ U) det A", Right, |t, [n, k, _]| {
        let (a, u, v) = (t.square("A", n), t.input("U", (n, k)), 0.1 * t.input("V", (n, k)));
        [(a + u * v.t()).det(), (t.identity(k) + v.t() * a.solve(u)).det() * a.det()]
    })
    .up_to(4),
    identity(
        "(A + U C V)⁻¹ = A⁻¹ − A⁻¹ U (C⁻¹ + V A⁻¹ U)⁻¹ V A⁻¹",
        Any,
        |t, [n, k, m]| {
            let (a, c) = (definite(t.input("A", (n, m))), definite(t.input("C", (k, m))));
            let u = t.input("U", (n, k));
            let v = u.t();
            [(a + u * c * v).inv(), a.inv() - a.inv() * u * (c.inv() + v * a.solve(u)).solve(v * a.inv())]
        },
    )
    .up_to(5),
    identity("(I + A B)⁻¹ A = A (I + B A)⁻¹", Any, |t, [m, n, _]| {
        let (a, b) = (0.3 * t.input("A", (m, n)), 0.3 * t.input("B", (n, m)));
        let (left, right) = (t.identity(m) + a * b, t.identity(n) + b * a);
        [left.solve(a), right.t().solve(a.t()).t()]
    })
    .up_to(5),
    identity("∇ log |det A| = A⁻ᵀ", Regular, |t, [n, _, _]| {
        let a = t.square("A", n);
        [nabla(a.log_det(), a), a.t().inv()]
    }),
    identity("∇ det A = det(A) A⁻ᵀ", Regular, |t, [n, _, _]| {
        let a = t.square("A", n);
        [nabla(a.det(), a), a.det() * a.inv().t()]
    })
    .up_to(4),
    identity("∇ tr Aᵏ = k (Aᵏ⁻¹)ᵀ", Any, |t, [n, _, _]| {
        let a = t.square("A", n);
        [nabla(a.matrix_power(5).trace(), a), 5.0 * (a * a * a * a).t()]
    }),
    identity("∇ ½ ‖A X − B‖² = Aᵀ (A X − B)", Any, |t, [m, n, k]| {
        let (a, x, b) = (t.input("A", (m, n)), t.input("X", (n, k)), t.input("B", (m, k)));
        [nabla(0.5 * (a * x - b).norm_squared(), x), a.t() * (a * x - b)]
    }),
    identity("S = L Lᵀ", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        [s.cholesky() * s.cholesky().t(), s]
    }),
    identity("L⁻ᵀ L⁻¹ B = S⁻¹ B", Regular, |t, [n, k, _]| {
        let (s, b) = (t.positive_definite("S", n), t.input("B", (n, k)));
        let l = s.cholesky();
        [l.t().solve_upper(l.solve_lower(b)), s.solve(b)]
    }),
    identity("2 Σ log Lᵢᵢ = log det S", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        [2.0 * s.cholesky().diagonal().ln().sum(), s.log_det()]
    }),
    identity("Π Lᵢᵢ² = det S", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        [s.cholesky().diagonal().square().product(), s.det()]
    })
    .up_to(5),
    identity("min ‖y − X β‖² = det [X y]ᵀ[X y] / det Xᵀ X", Any, |t, [n, k, _]| {
        // The square of the last entry of a triangular factor.
        let (x, y) = (t.input("X", (n + k, k)), t.column("y", n + k));
        let (g, both) = (t.identity(k) + x.t() * x, t.stack_cols(&[x, y]));
        let r = y.norm_squared() + 1.0 - (x.t() * y).t() * g.solve(x.t() * y);
        [r.ln(), (t.identity(k + 1) + both.t() * both).log_det() - g.log_det()]
    })
    .up_to(5),
    identity("log Σ exp(z + c) = c + log Σ exp z", Any, |t, [m, n, _]| {
        let (z, c) = (t.input("Z", (m + 1, n)), t.input("c", (1, n)));
        [z.add_row(c).log_sum_exp(), c + z.exp().col_sums().ln()]
    }),
    identity("softmax z = exp(z − log Σ exp z)", Any, |t, [m, n, _]| {
        let z = t.input("Z", (m + 1, n));
        [z.softmax(), (z - z.log_sum_exp().repeat_rows(m + 1)).exp()]
    }),
    identity("variance: E x² − (E x)²", Any, |t, [m, n, _]| {
        let x = t.input("X", (m + 1, n));
        [x.col_variances(0), x.square().col_means() - x.col_means().square()]
    }),
];
