use crate::{Case, Dims, Domain, SQUARE};
use pullback::prelude::*;

fn with_rhs<'t>(
    tape: &'t Tape,
    (m, _, n): Dims,
    f: impl Fn(Var<'t>, Var<'t>) -> Var<'t>,
) -> (Var<'t>, Vec<Var<'t>>) {
    let (a, b) = (tape.input("A", (m, m)), tape.input("B", (m, n)));
    (f(a, b), vec![a, b])
}

fn alone<'t>(tape: &'t Tape, (m, _, _): Dims, f: impl Fn(Var<'t>) -> Var<'t>) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, m));
    (f(a), vec![a])
}

const fn case(name: &'static str, build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>)) -> Case {
    Case { name, domain: Domain::Invertible, shapes: SQUARE, build }
}

pub(crate) const CASES: &[Case] = &[
    case("inverse", |t, d| alone(t, d, |a| a.inv())),
    case("inverse of a transpose", |t, d| alone(t, d, |a| a.t().inv() * a)),
    case("inverse of a sum with the identity", |t, d| {
        alone(t, d, |a| (a * a.t() + t.identity(a.rows())).inv())
    }),
    case("solve", |t, d| with_rhs(t, d, |a, b| a.solve(b))),
    case("solve with the transpose", |t, d| with_rhs(t, d, |a, b| a.t().solve(b))),
    case("solve with a product", |t, d| with_rhs(t, d, |a, b| a.solve(a.t() * b))),
    case("quadratic form", |t, d| with_rhs(t, d, |a, b| b.inner(a.solve(b)))),
    case("solve_lower", |t, d| with_rhs(t, d, |a, b| a.solve_lower(b))),
    case("solve_upper", |t, d| with_rhs(t, d, |a, b| a.solve_upper(b))),
    case("solve_unit_lower", |t, d| with_rhs(t, d, |a, b| a.solve_unit_lower(b))),
    case("solve_unit_upper", |t, d| with_rhs(t, d, |a, b| a.solve_unit_upper(b))),
    case("triangular solves with a transpose", |t, d| {
        with_rhs(t, d, |a, b| a.t().solve_upper(b) + a.t().solve_unit_lower(2.0 * b))
    }),
    case("triangular solve on the right", |t, d| {
        with_rhs(t, d, |a, b| a.t().solve_upper(b).t() + a.solve_lower(a.solve_upper(a) * b).t())
    }),
    case("Cholesky", |t, (m, _, _)| {
        let a = t.positive_definite("A", m);
        ((a + 2.0 * t.identity(m)).cholesky(), vec![a])
    }),
    case("Cholesky of what is definite by construction", |t, d| {
        alone(t, d, |a| (a * a.t() + t.identity(a.rows())).cholesky())
    }),
    case("Cholesky of a symmetric part", |t, d| {
        alone(t, d, |a| (a.symmetrize() + 2.0 * t.identity(a.rows())).cholesky())
    }),
    case("whitening", |t, (m, _, n)| {
        let (a, b) = (t.positive_definite("A", m), t.input("B", (m, n)));
        let k = a + 2.0 * t.identity(m);
        let l = k.cholesky();
        let whitened = l.solve_lower(b).norm_squared() + 2.0 * l.diagonal().ln().sum();
        (whitened + k.log_det() + b.inner(k.solve(b)), vec![a, b])
    }),
    case("determinant", |t, d| alone(t, d, |a| a.det())),
    case("determinant of a multiple", |t, d| alone(t, d, |a| (0.5 * a.t()).det())),
    case("determinant of a product and of an inverse", |t, d| {
        with_rhs(t, d, |a, b| (a * a.t() + b * b.t()).det() + (a * a).det() * a.inv().det())
    }),
    case("adjugate", |t, d| alone(t, d, |a| a.adjugate())),
    case("adjugate of a multiple of a transpose", |t, d| with_rhs(t, d, |a, b| (0.5 * a.t()).adjugate() * b)),
    case("adjugate of a symmetric matrix", |t, (m, _, _)| {
        let a = t.symmetric("A", m);
        (a.adjugate() * a + a.det() * a.adjugate(), vec![a])
    }),
    case("adjugate of a definite matrix", |t, (m, _, _)| {
        let a = t.positive_definite("A", m);
        (a.adjugate(), vec![a])
    }),
    case("log-determinant", |t, d| alone(t, d, |a| a.log_det())),
    case("log-determinant of a product", |t, d| alone(t, d, |a| (a * a.t()).log_det())),
    case("Gaussian likelihood", |t, d| {
        with_rhs(t, d, |a, b| 0.5 * b.inner((a + a.t()).solve(b)) + 0.5 * (a + a.t()).log_det())
    }),
    case("shifted by a multiple of the identity", |t, (m, _, n)| {
        let (a, b, s) = (t.input("A", (m, m)), t.input("B", (m, n)), t.input("s", (1, 1)));
        let k = a * a.t() + s.square() * t.identity(m);
        (b.inner(k.solve(b)) + k.log_det(), vec![a, b, s])
    }),
    case("symmetric", |t, (m, _, n)| {
        let (a, b) = (t.symmetric("A", m), t.input("B", (m, n)));
        (b.inner(a.solve(b)) + (a * b * b.t() * a).trace() + a.log_det(), vec![a, b])
    }),
    case("inverse of a symmetric matrix", |t, (m, _, n)| {
        let (a, b) = (t.symmetric("A", m), t.input("B", (m, n)));
        (a.inv() * b, vec![a, b])
    }),
    case("positive definite", |t, (m, _, n)| {
        let (a, b) = (t.positive_definite("A", m), t.input("B", (m, n)));
        (a.solve(b), vec![a, b])
    }),
    case("Gaussian likelihood with Cholesky", |t, (m, _, n)| {
        let (a, b) = (t.positive_definite("A", m), t.input("B", (m, n)));
        (0.5 * b.inner(a.solve(b)) + 0.5 * a.log_det() + a.inv().trace() + a.det(), vec![a, b])
    }),
    case("definite by construction", |t, (m, _, n)| {
        let (a, b) = (t.input("A", (m, m)), t.input("B", (m, n)));
        let k = a * a.t() + 0.5 * t.identity(m);
        (b.inner(k.solve(b)) + k.log_det(), vec![a, b])
    }),
];
