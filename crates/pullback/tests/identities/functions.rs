//! Functions of matrices: exponentials, logarithms, roots, signs, and functions of symmetric matrices.

use crate::Domain::{Any, Regular, Right, Small};
use crate::algebra::nabla;
use crate::{Identity, Inputs, identity};

/// The rows of vec A in the order of vec Aᵀ.
fn commutation(n: usize) -> Vec<usize> {
    (0..n * n).map(|k| k / n + k % n * n).collect()
}

pub(crate) const IDENTITIES: &[Identity] = &[
    identity("exp(A) exp(−A) = I", Any, |t, [n, _, _]| {
        let a = 0.3 * t.square("A", n);
        [a.expm() * (-a).expm(), t.identity(n)]
    }),
    identity("exp(Aᵀ) = exp(A)ᵀ", Any, |t, [n, _, _]| {
        // A transpose only in numbers: another expression for the tape.
        let a = 0.5 * t.square("A", n);
        let transposed = t.input("A", (n, n)).vec().select_rows(&commutation(n)).reshape((n, n));
        [(0.5 * transposed).expm(), a.expm().t()]
    }),
    identity("exp 2A = (exp A)²", Any, |t, [n, _, _]| {
        let a = 0.5 * t.square("A", n);
        [(2.0 * a).expm(), a.expm() * a.expm()]
    }),
    identity("exp(A + A²) = exp A exp A²", Any, |t, [n, _, _]| {
        let a = 0.3 * t.square("A", n);
        [(a + a * a).expm(), a.expm() * (a * a).expm()]
    }),
    identity("exp(A ⊗ I + I ⊗ B) = exp A ⊗ exp B", Any, |t, [m, n, _]| {
        let (a, b) = (0.5 * t.square("A", m), 0.5 * t.square("B", n));
        [(a.kron(t.identity(n)) + t.identity(m).kron(b)).expm(), a.expm().kron(b.expm())]
    })
    .up_to(3),
    identity("exp(P A P⁻¹) = P exp(A) P⁻¹", Small, |t, [n, _, _]| {
        let (a, p) = (t.square("A", n), t.identity(n) + t.square("P", n));
        [(p * a * p.inv()).expm(), p * a.expm() * p.inv()]
    }),
    identity("exp(A B) A = A exp(B A)", Any, |t, [m, n, _]| {
        let (a, b) = (0.3 * t.input("A", (m, n)), t.input("B", (n, m)));
        [(a * b).expm() * a, a * (b * a).expm()]
    })
    .up_to(5),
    identity("det exp A = exp tr A", Any, |t, [n, _, _]| {
        let a = 0.3 * t.square("A", n);
        [a.expm().log_det(), a.trace()]
    }),
    identity("exp(A) B without the exponential", Any, |t, [n, k, _]| {
        let (a, b) = (t.square("A", n), t.input("B", (n, k)));
        [a.expm_multiply(b), a.expm() * b]
    }),
    identity("exp [A E; 0 A] has Dexp(A)[E] in its corner", Any, |t, [n, _, _]| {
        // In jvp the derivative is an expression of its own.
        let (a, e) = (0.5 * t.square("A", n), t.square("E", n));
        let block = t.blocks(&[&[a, e], &[t.zeros((n, n)), a]]).expm();
        [block.slice(..n, n..), pullback::jvp(a.expm(), &[(t.square("A", n), 2.0 * e)]).unwrap()]
    })
    .up_to(5),
    identity("∇ tr exp A = exp(A)ᵀ", Any, |t, [n, _, _]| {
        let a = t.square("A", n);
        [nabla(a.expm().trace(), a), a.t().expm()]
    }),
    identity("a turn by an angle", Any, |t, _| {
        let x = t.number("x");
        let zero = t.zeros((1, 1));
        [t.blocks(&[&[zero, -x], &[x, zero]]).expm(), t.blocks(&[&[x.cos(), -x.sin()], &[x.sin(), x.cos()]])]
    }),
    identity("exp of a symmetric matrix by its eigenvalues", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        [s.symmetric_function(|x| x.exp()), (s + t.zeros((n, n))).expm()]
    }),
    identity("f(S) = 2 S³ − S + I", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        [s.symmetric_function(|x| 2.0 * x.powi(3) - x + 1.0), 2.0 * s * s * s - s + t.identity(n)]
    }),
    identity("f(S) g(S) = (f g)(S)", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        let (f, g) = (s.symmetric_function(|x| x.tanh()), s.symmetric_function(|x| x.cos()));
        [f * g, s.symmetric_function(|x| x.tanh().hadamard(x.cos()))]
    }),
    identity("f(g(S)) = (f ∘ g)(S)", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        let g = s.symmetric_function(|x| x.sin());
        [g.symmetric_function(|x| x.exp()), s.symmetric_function(|x| x.sin().exp())]
    }),
    identity("log exp S = S", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        [s.symmetric_function(|x| x.exp()).symmetric_function(|x| x.ln()), s]
    })
    .up_to(4),
    identity("1/S = S⁻¹", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        [s.symmetric_function(|x| x.recip()), s.inv()]
    }),
    identity("√S √S = S", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        let root = s.symmetric_function(|x| x.sqrt());
        [root * root, s]
    }),
    identity("∇ tr f(S) = f′(S)", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        [nabla(s.symmetric_function(|x| x.sin()).trace(), s), s.symmetric_function(|x| x.cos())]
    }),
    identity("Σ λ = tr S", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        [s.eigenvalues().sum(), s.trace()]
    }),
    identity("Σ λ² = ‖S‖²", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        [s.eigenvalues().norm_squared(), s.norm_squared()]
    }),
    identity("Σ log λ = log det S", Regular, |t, [n, _, _]| {
        let s = t.positive_definite("S", n);
        [s.eigenvalues().ln().sum(), s.log_det()]
    }),
    identity("V Diag(λ) Vᵀ = S", Any, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        let (values, vectors) = s.eigen();
        // Not what is known to be S.
        let scaled = vectors.mul_row(values.t());
        [scaled * vectors.t(), s]
    }),
    identity("√A √A = A", Right, |t, [n, _, _]| {
        let a = t.square("A", n);
        [a.sqrtm() * a.sqrtm(), a]
    }),
    identity("√(A A) = A", Right, |t, [n, _, _]| {
        let a = t.square("A", n);
        [(a * a).sqrtm(), a]
    }),
    identity("√A⁻¹ = (√A)⁻¹", Right, |t, [n, _, _]| {
        let a = t.square("A", n);
        [a.inv().sqrtm(), a.sqrtm().inv()]
    }),
    identity("√Aᵀ = (√A)ᵀ of a product", Right, |t, [n, _, _]| {
        let (a, b) = (t.positive_definite("A", n), t.positive_definite("B", n));
        [(a * b).sqrtm(), (b * a).sqrtm().t()]
    }),
    identity("√(A B) = √A √(√A B √A) √A⁻¹", Right, |t, [n, _, _]| {
        let (a, b) = (t.positive_definite("A", n), t.positive_definite("B", n));
        let root = a.symmetric_function(|x| x.sqrt());
        let inside = b.congruence(root).symmetric_function(|x| x.sqrt());
        [(a * b).sqrtm(), root * inside * a.symmetric_function(|x| x.powf(-0.5))]
    }),
    identity("the root of a symmetric matrix by its eigenvalues", Right, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        [s.sqrtm(), s.symmetric_function(|x| x.sqrt())]
    }),
    identity("∇ tr √A = ½ (√A)⁻ᵀ", Right, |t, [n, _, _]| {
        let a = t.square("A", n);
        [nabla(a.sqrtm().trace(), a), 0.5 * a.sqrtm().inv().t()]
    }),
    identity("sign(A)² = I", Regular, |t, [n, _, _]| {
        let a = t.symmetric("A", n) * t.positive_definite("P", n);
        [a.signm() * a.signm(), t.identity(n)]
    })
    .up_to(3),
    identity("sign A = A (A²)^{−½}", Right, |t, [n, _, _]| {
        // Eigenvalues on both sides, near to no axis.
        let (a, b) = (t.square("A", n), t.square("B", n));
        let c = t.blocks(&[&[a, t.identity(n)], &[t.zeros((n, n)), -b]]);
        [c.signm(), c * (c * c).sqrtm().inv()]
    })
    .up_to(3),
    identity("sign [0 A; I 0] = [0 √A; √A⁻¹ 0]", Right, |t, [n, _, _]| {
        let (a, zero) = (t.square("A", n), t.zeros((n, n)));
        let root = a.sqrtm();
        [
            t.blocks(&[&[zero, a], &[t.identity(n), zero]]).signm(),
            t.blocks(&[&[zero, root], &[root.inv(), zero]]),
        ]
    })
    .up_to(4),
    identity("exp log A = A", Right, |t, [n, _, _]| [t.square("A", n).logm().expm(), t.square("A", n)]),
    identity("log exp A = A", Small, |t, [n, _, _]| [t.square("A", n).expm().logm(), t.square("A", n)]),
    identity("exp tr log A = det A", Right, |t, [n, _, _]| {
        [t.square("A", n).logm().trace().exp(), t.square("A", n).det()]
    }),
    identity("∇ tr log A = A⁻ᵀ", Right, |t, [n, _, _]| {
        [nabla(t.square("A", n).logm().trace(), t.square("A", n)), t.square("A", n).t().inv()]
    }),
    identity("log A⁻¹ = −log A", Right, |t, [n, _, _]| {
        [t.square("A", n).inv().logm(), -t.square("A", n).logm()]
    }),
    identity("log A² = 2 log A", Right, |t, [n, _, _]| {
        let a = t.square("A", n);
        [(a * a).logm(), 2.0 * a.logm()]
    }),
    identity("log(A ⊗ B) = log A ⊗ I + I ⊗ log B", Small, |t, [m, n, _]| {
        let (a, b) = (t.identity(m) + t.square("A", m), t.identity(n) + t.square("B", n));
        [a.kron(b).logm(), a.logm().kron(t.identity(n)) + t.identity(m).kron(b.logm())]
    })
    .up_to(3),
    identity("the logarithm of a symmetric matrix by its eigenvalues", Right, |t, [n, _, _]| {
        let s = t.symmetric("S", n);
        [s.logm(), s.symmetric_function(|x| x.ln())]
    }),
];
