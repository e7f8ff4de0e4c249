//! Products of several matrices, and sums of products by their indices.

use crate::{Case, Dims, Domain, SHAPES, SQUARE};
use pullback::prelude::*;

const fn case(
    name: &'static str,
    shapes: &'static [Dims],
    build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>),
) -> Case {
    Case { name, domain: Domain::Any, shapes, build }
}

/// A sum over `A`, m×n, and `B`, of the given shape.
fn sum<'t>(tape: &'t Tape, (m, _, n): Dims, text: &str, b: (usize, usize)) -> (Var<'t>, Vec<Var<'t>>) {
    let (a, b) = (tape.input("A", (m, n)), tape.input("B", b));
    (tape.einsum(text, &[a, b]), vec![a, b])
}

/// A sum over a square `A`.
fn square<'t>(tape: &'t Tape, (m, _, _): Dims, text: &str) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, m));
    (tape.einsum(text, &[a.exp()]), vec![a])
}

pub(crate) const CASES: &[Case] = &[
    case("chain", SHAPES, |t, (m, k, n)| {
        let (a, b, c) = (t.input("A", (m, k)), t.input("B", (k, n)), t.input("C", (n, m)));
        (t.multi_dot(&[a, b, c, a.exp()]), vec![a, b, c])
    }),
    case("matrix power", SQUARE, |t, (m, _, _)| {
        let a = t.input("A", (m, m));
        ((0.5 * a).matrix_power(5) + a.matrix_power(2) - a.matrix_power(1) + a.matrix_power(0), vec![a])
    }),
    Case {
        name: "negative matrix power",
        domain: Domain::Invertible,
        shapes: SQUARE,
        build: |t, (m, _, _)| {
            let a = t.input("A", (m, m));
            (a.matrix_power(-3), vec![a])
        },
    },
    case("quadratic form", SHAPES, |t, (m, _, n)| {
        let (a, b) = (t.input("A", (m, m)), t.input("B", (m, n)));
        (a.quadratic_form(b), vec![a, b])
    }),
    case("congruence of a symmetric matrix", SHAPES, |t, (m, _, n)| {
        let (s, b) = (t.symmetric("S", m), t.input("B", (n, m)));
        (s.congruence(b), vec![s, b])
    }),
    case("inner products of columns", SHAPES, |t, (m, _, n)| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (m, n)));
        (a.col_inner(b).exp() + a.col_inner(a), vec![a, b])
    }),
    case("inner products of rows", SHAPES, |t, (m, _, n)| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (m, n)));
        (a.row_inner(b.exp()), vec![a, b])
    }),
    case("einsum ij,jk->ki", SHAPES, |t, d @ (_, k, n)| sum(t, d, "ij,jk->ki", (n, k))),
    case("einsum ij,kj->ik", SHAPES, |t, d @ (_, k, n)| sum(t, d, "ij,kj->ik", (k, n))),
    case("einsum ij,jk->", SHAPES, |t, d @ (_, k, n)| sum(t, d, "ij,jk->", (n, k))),
    case("einsum ij,jk->k", SHAPES, |t, d @ (_, k, n)| sum(t, d, "ij,jk->k", (n, k))),
    case("einsum ij,ji->i", SHAPES, |t, d @ (m, _, n)| sum(t, d, "ij,ji->i", (n, m))),
    case("einsum ij,ij->ji", SHAPES, |t, d @ (m, _, n)| sum(t, d, "ij,ij->ji", (m, n))),
    case("einsum ij,i->ji", SHAPES, |t, d @ (m, _, _)| sum(t, d, "ij,i->ji", (m, 1))),
    case("einsum ij,jj->i", SHAPES, |t, d @ (_, _, n)| sum(t, d, "ij,jj->i", (n, n))),
    case("einsum ij,kk->j", SHAPES, |t, d @ (_, k, _)| sum(t, d, "ij,kk->j", (k, k))),
    case("einsum ij,k->kj", SHAPES, |t, d @ (_, k, _)| sum(t, d, "ij,k->kj", (1, k))),
    case("einsum ij,->ij", SHAPES, |t, d| sum(t, d, "ij,->ij", (1, 1))),
    case("einsum ii->", SQUARE, |t, d| square(t, d, "ii->")),
    case("einsum ii->i", SQUARE, |t, d| square(t, d, "ii->i")),
    case("einsum ij->j", SQUARE, |t, d| square(t, d, "ij->j")),
];
