//! Sylvester's, Stein's and Lyapunov's equations.

use crate::Domain::{Right, Small};
use crate::{Identity, Inputs, identity};
use pullback::prelude::*;

/// A, B and C of an equation whose solution is m×n.
fn given(t: &Tape, m: usize, n: usize) -> (Var<'_>, Var<'_>, Var<'_>) {
    (t.square("A", m), t.square("B", n), t.input("C", (m, n)))
}

pub(crate) const IDENTITIES: &[Identity] = &[
    identity("A X + X B = C", Right, |t, [m, n, _]| {
        let (a, b, c) = given(t, m, n);
        let x = a.sylvester(b, c);
        [a * x + x * b, c]
    }),
    identity("X of A, B and A X + X B is X", Right, |t, [m, n, _]| {
        let (a, b, x) = given(t, m, n);
        [a.sylvester(b, a * x + x * b), x]
    }),
    identity("(I ⊗ A + Bᵀ ⊗ I) vec X = vec C", Right, |t, [m, n, _]| {
        let (a, b, c) = given(t, m, n);
        let k = t.identity(n).kron(a) + b.t().kron(t.identity(m));
        [a.sylvester(b, c).vec(), k.solve(c.vec())]
    })
    .up_to(4),
    identity("sign [A −C; 0 −B] = [I −2X; 0 −I] (Roberts 1980)", Right, |t, [m, n, _]| {
        let (a, b, c) = given(t, m, n);
        let x = a.sylvester(b, c);
        [
            t.blocks(&[&[a, -c], &[t.zeros((n, m)), -b]]).signm(),
            t.blocks(&[&[t.identity(m), -2.0 * x], &[t.zeros((n, m)), -t.identity(n)]]),
        ]
    })
    .up_to(4),
    identity("Xᵀ solves with Bᵀ and Aᵀ", Right, |t, [m, n, _]| {
        let (a, b, c) = given(t, m, n);
        [a.sylvester(b, c), b.t().sylvester(a.t(), c.t()).t()]
    }),
    identity("A X + X Aᵀ = Q", Right, |t, [n, _, _]| {
        let (a, q) = (t.square("A", n), t.symmetric("Q", n));
        let x = a.lyapunov(q);
        [a * x + x * a.t(), q]
    }),
    identity("√A turns by an equation: √A Y + Y √A = A gives 2 Y = √A", Right, |t, [n, _, _]| {
        let root = t.square("A", n).sqrtm();
        [2.0 * root.sylvester(root, t.square("A", n)), root]
    }),
    identity("X − A X B = C", Small, |t, [m, n, _]| {
        let (a, b, c) = given(t, m, n);
        let x = a.stein(b, c);
        [x - a * x * b, c]
    }),
    identity("(I − Bᵀ ⊗ A) vec X = vec C", Small, |t, [m, n, _]| {
        let (a, b, c) = given(t, m, n);
        let k = t.identity(m * n) - b.t().kron(a);
        [a.stein(b, c).vec(), k.solve(c.vec())]
    })
    .up_to(4),
    identity("X − A X B = C is A⁻¹ X − X B = A⁻¹ C", Small, |t, [m, n, _]| {
        let (a, b, c) = given(t, m, n);
        let a = 0.5 * (t.identity(m) + a);
        [a.stein(b, c), a.inv().sylvester(-b, a.solve(c))]
    }),
    identity("X = A X Aᵀ + Q by its series", Small, |t, [n, _, _]| {
        let (a, q) = (t.square("A", n), t.symmetric("Q", n));
        // Squared: 64 terms.
        let (mut sum, mut power) = (q, a);
        for _ in 0..6 {
            sum = sum + power * sum * power.t();
            power = power * power;
        }
        [a.discrete_lyapunov(q), sum]
    }),
];
