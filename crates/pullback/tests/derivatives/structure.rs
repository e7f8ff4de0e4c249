use crate::reductions::{case, of};
use crate::{Case, SHAPES, SQUARE};

/// From the last to the first, and the first once more.
fn around(len: usize) -> Vec<usize> {
    (0..len).rev().chain((len > 0).then_some(0)).collect()
}

pub(crate) const CASES: &[Case] = &[
    case("rows selected", SHAPES, |t, d| of(t, d, |a| a.exp().select_rows(&around(a.rows())))),
    case("columns selected", SHAPES, |t, d| of(t, d, |a| a.square().select_cols(&around(a.cols())))),
    case("slice", SHAPES, |t, d| {
        of(t, d, |a| a.sin().slice(a.rows() / 3.., ..a.cols().div_ceil(2)).square())
    }),
    case("selected and put back", SHAPES, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, k)), t.input("B", (k, n)));
        let s = t.selection(&around(m), m);
        (s.t() * (s * a * b).tanh() + a * b, vec![a, b])
    }),
    case("stacked rows", SHAPES, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (k, n)));
        (t.stack_rows(&[a.exp(), b, 2.0 * a.hadamard(a)]).square(), vec![a, b])
    }),
    case("blocks", SHAPES, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (k, n)));
        let zeros = t.zeros((k, m));
        (t.blocks(&[&[a.sin(), a * a.t()], &[b, zeros]]) * 0.5, vec![a, b])
    }),
    case("reshape", SHAPES, |t, d| {
        of(t, d, |a| {
            let cols = if a.rows() % 2 == 0 { 2 * a.cols() } else { 1 };
            let rows = a.rows() * a.cols() / cols.max(1);
            a.exp().reshape((rows, cols)).square()
        })
    }),
    case("vec of a transpose", SHAPES, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, k)), t.input("B", (k, n)));
        ((a * b).t().vec().sin(), vec![a, b])
    }),
    case("triangles", SHAPES, |t, d| {
        of(t, d, |a| a.exp().tril() + a.triu().square() - a.strict_tril().sin() + 3.0 * a.strict_triu())
    }),
    case("triangles of products", SQUARE, |t, (m, _, n)| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (m, m)));
        ((a * a.t()).tril() * b + (b * b).triu().t(), vec![a, b])
    }),
    case("symmetric part", SQUARE, |t, (m, _, _)| {
        let a = t.input("A", (m, m));
        (a.exp().symmetrize() * a, vec![a])
    }),
    case("cumulative sums", SHAPES, |t, d| {
        of(t, d, |a| a.sin().cumulative_sums() + (a.square().t().cumulative_sums()).t())
    }),
    case("sums to the end", SHAPES, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (k, n)));
        let (upper, wide) = (t.triangle((m, m), true).t(), t.triangle((k, m), false));
        (upper * a.exp() + wide.t() * b.sin(), vec![a, b])
    }),
    case("Kronecker product", SHAPES, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, k)), t.input("B", (k, n)));
        (a.kron(b.exp()), vec![a, b])
    }),
    case("outer product", SHAPES, |t, (m, _, n)| {
        let (x, y) = (t.input("x", (m, 1)), t.input("y", (n, 1)));
        (x.sin().outer(y.exp()), vec![x, y])
    }),
];
