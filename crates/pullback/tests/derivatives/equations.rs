use crate::{Case, Dims, Domain, SQUARE};
use pullback::prelude::*;

fn both<'t>(
    tape: &'t Tape,
    (m, _, n): Dims,
    f: impl Fn(Var<'t>, Var<'t>, Var<'t>) -> Var<'t>,
) -> (Var<'t>, Vec<Var<'t>>) {
    let (a, b, c) = (tape.input("A", (m, m)), tape.input("B", (n, n)), tape.input("C", (m, n)));
    (f(a, b, c), vec![a, b, c])
}

fn one<'t>(
    tape: &'t Tape,
    (m, _, _): Dims,
    f: impl Fn(Var<'t>, Var<'t>) -> Var<'t>,
) -> (Var<'t>, Vec<Var<'t>>) {
    let (a, q) = (tape.input("A", (m, m)), tape.input("Q", (m, m)));
    (f(a, q), vec![a, q])
}

fn alone<'t>(tape: &'t Tape, (m, _, _): Dims, f: impl Fn(Var<'t>) -> Var<'t>) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, m));
    (f(a), vec![a])
}

const fn case(name: &'static str, build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>)) -> Case {
    Case { name, domain: Domain::Invertible, shapes: SQUARE, build }
}

pub(crate) const CASES: &[Case] = &[
    case("Sylvester", |t, d| both(t, d, |a, b, c| a.sylvester(b, c))),
    case("Sylvester, transposed", |t, d| both(t, d, |a, b, c| a.t().sylvester(0.5 * b, c).t())),
    case("Sylvester with a product", |t, d| both(t, d, |a, b, c| a.sylvester(b, a * c))),
    case("Lyapunov", |t, d| one(t, d, |a, q| a.lyapunov(q))),
    case("Lyapunov, symmetric", |t, d| one(t, d, |a, q| a.lyapunov(q * q.t()) * q)),
    // The eigenvalues are within the unit circle.
    case("Stein", |t, d| both(t, d, |a, b, c| (0.2 * a).stein(0.1 * b, c))),
    case("Stein, outside", |t, d| both(t, d, |a, b, c| (2.0 * a).stein(3.0 * b.t(), c))),
    case("discrete Lyapunov", |t, d| one(t, d, |a, q| (0.15 * a).discrete_lyapunov(q))),
    case("discrete Lyapunov, symmetric", |t, d| {
        one(t, d, |a, q| (0.15 * a).discrete_lyapunov(q * q.t()).trace())
    }),
    case("square root", |t, d| alone(t, d, |a| (a + 2.0 * t.identity(a.rows())).sqrtm())),
    case("square root of a transpose", |t, d| {
        alone(t, d, |a| (a.t() + 2.0 * t.identity(a.rows())).sqrtm() * a)
    }),
    case("square root of a symmetric matrix", |t, (m, _, _)| {
        let a = t.positive_definite("A", m);
        ((a + 2.0 * t.identity(m)).sqrtm() * a, vec![a])
    }),
    case("fidelity", |t, d| {
        one(t, d, |a, q| {
            let (a, b) = (a * a.t() + t.identity(a.rows()), q * q.t() + t.identity(q.rows()));
            let root = a.sqrtm();
            (root * b * root).sqrtm().trace()
        })
    }),
    // Eigenvalues on both sides.
    case("sign", |t, d| alone(t, d, |a| (a - spread(t, a.rows())).signm())),
    case("sign of a variable", |t, d| alone(t, d, |a| a.signm() * a)),
    case("projection", |t, d| {
        alone(t, d, |a| (a.t() - spread(t, a.rows())).signm() * a + (a + a.t()).signm())
    }),
];

/// A diagonal matrix with entries far from those of the cases, on both sides.
fn spread(tape: &Tape, n: usize) -> Var<'_> {
    let mut entries = vec![tape.zeros((0, 1))];
    entries.extend((0..n).map(|i| tape.scalar(if i % 2 == 0 { 7.0 } else { -2.0 })));
    tape.stack_rows(&entries).diag()
}
