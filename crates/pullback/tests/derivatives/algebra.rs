use crate::{Case, Dims, Domain, SHAPES, SQUARE};
use pullback::prelude::*;

fn two<'t>(tape: &'t Tape, a: (usize, usize), b: (usize, usize)) -> (Var<'t>, Var<'t>) {
    (tape.input("A", a), tape.input("B", b))
}

fn same<'t>(tape: &'t Tape, (m, _, n): Dims, f: fn(Var<'t>, Var<'t>) -> Var<'t>) -> (Var<'t>, Vec<Var<'t>>) {
    let (a, b) = two(tape, (m, n), (m, n));
    (f(a, b), vec![a, b])
}

const fn case(
    name: &'static str,
    domain: Domain,
    build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>),
) -> Case {
    Case { name, domain, shapes: SHAPES, build }
}

pub(crate) const CASES: &[Case] = &[
    case("sum", Domain::Any, |t, d| same(t, d, |a, b| a.tanh() + b.exp())),
    case("difference", Domain::Any, |t, d| same(t, d, |a, b| a.square() - b.square())),
    case("scale", Domain::Any, |t, d| same(t, d, |a, b| 3.5 * (a.hadamard(b)))),
    case("negative", Domain::Any, |t, d| same(t, d, |a, b| -(a.exp()).hadamard(b))),
    case("scalar plus matrix", Domain::Any, |t, d| {
        same(t, d, |a, b| (a + 2.0).square() - (1.0 - b).square())
    }),
    case("1×1 times matrix", Domain::Any, |t, (m, _, n)| {
        let (s, b) = two(t, (1, 1), (m, n));
        (s * b, vec![s, b])
    }),
    case("1×1 times itself", Domain::Any, |t, _| {
        let s = t.input("s", (1, 1));
        (s * s * s, vec![s])
    }),
    case("matrix over 1×1", Domain::Positive, |t, (m, _, n)| {
        let (s, b) = two(t, (1, 1), (m, n));
        (b / s, vec![s, b])
    }),
    case("number over 1×1", Domain::Positive, |t, _| {
        let s = t.input("s", (1, 1));
        (2.0 / s, vec![s])
    }),
    case("product", Domain::Any, |t, (m, k, n)| {
        let (a, b) = two(t, (m, k), (k, n));
        (a * b, vec![a, b])
    }),
    case("product of transposes", Domain::Any, |t, (m, k, n)| {
        let (a, b) = two(t, (k, m), (n, k));
        (a.t() * b.t(), vec![a, b])
    }),
    case("product with a transpose", Domain::Any, |t, (m, k, n)| {
        let (a, b) = two(t, (k, m), (k, n));
        (a.t() * b, vec![a, b])
    }),
    case("Gram matrix", Domain::Any, |t, (m, _, n)| {
        let a = t.input("A", (m, n));
        (a * a.t(), vec![a])
    }),
    Case {
        name: "cube",
        domain: Domain::Any,
        shapes: SQUARE,
        build: |t, (m, _, _)| {
            let a = t.input("A", (m, m));
            (a * a * a, vec![a])
        },
    },
    case("transpose", Domain::Any, |t, (m, k, n)| {
        let (a, b) = two(t, (m, k), (m, n));
        ((a.t() * b).t().exp(), vec![a, b])
    }),
    case("Hadamard product", Domain::Any, |t, d| same(t, d, |a, b| a.hadamard(b))),
    case("quotient", Domain::Positive, |t, d| same(t, d, |a, b| a.quotient(b))),
    case("quotient of 1×1s", Domain::Positive, |t, _| {
        let (a, b) = two(t, (1, 1), (1, 1));
        (a / b, vec![a, b])
    }),
    case("column added", Domain::Any, |t, (m, _, n)| {
        let (a, c) = two(t, (m, n), (m, 1));
        (a.add_col(c).square(), vec![a, c])
    }),
    case("row added", Domain::Any, |t, (m, _, n)| {
        let (a, r) = two(t, (m, n), (1, n));
        (a.add_row(r).square(), vec![a, r])
    }),
    case("column multiplied", Domain::Any, |t, (m, _, n)| {
        let (a, c) = two(t, (m, n), (m, 1));
        (a.mul_col(c), vec![a, c])
    }),
    case("row multiplied", Domain::Any, |t, (m, _, n)| {
        let (a, r) = two(t, (m, n), (1, n));
        (a.mul_row(r), vec![a, r])
    }),
    case("repeated column in a product", Domain::Any, |t, (m, k, n)| {
        let (c, b) = two(t, (m, 1), (k, n));
        (c.repeat_cols(k) * b, vec![c, b])
    }),
    case("shared weight", Domain::Any, |t, (m, _, n)| {
        let (w, x) = two(t, (m, m), (m, n));
        (w * (w * (w * x).tanh()).tanh() + w * x, vec![w, x])
    }),
    Case {
        name: "intermediate variable",
        domain: Domain::Any,
        // A product over nothing is a constant, and no variable.
        shapes: &[(5, 2, 3), (2, 3, 5), (3, 3, 3), (1, 1, 1), (0, 2, 3)],
        build: |t, (m, k, n)| {
            let (a, b) = two(t, (m, k), (k, n));
            let h = a * b;
            (h.hadamard(h) + h.tanh(), vec![a, b, h])
        },
    },
];
