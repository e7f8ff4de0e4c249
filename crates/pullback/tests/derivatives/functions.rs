use crate::{Case, Dims, Domain, SQUARE};
use pullback::MatrixFunction;
use pullback::prelude::*;
use pullback_tape::Op;

fn alone<'t>(tape: &'t Tape, (m, _, _): Dims, f: impl Fn(Var<'t>) -> Var<'t>) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, m));
    (f(a), vec![a])
}

fn with_rhs<'t>(
    tape: &'t Tape,
    (m, _, n): Dims,
    f: impl Fn(Var<'t>, Var<'t>) -> Var<'t>,
) -> (Var<'t>, Vec<Var<'t>>) {
    let (a, b) = (tape.input("A", (m, m)), tape.input("B", (m, n)));
    (f(a, b), vec![a, b])
}

/// The derivative of order `directions.len()` at the first matrix in the directions of the others.
fn derivative<'t, const K: usize>(
    tape: &'t Tape,
    (m, _, _): Dims,
    names: [&str; K],
) -> (Var<'t>, Vec<Var<'t>>) {
    let args: Vec<_> = names.iter().map(|name| tape.input(name, (m, m))).collect();
    let op = Op::MatrixFunction { function: MatrixFunction::Exp, order: K as u32 - 1 };
    (tape.apply(op, &args), args)
}

/// A case with eigenvalues to the right of 0.
const fn regular(name: &'static str, build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>)) -> Case {
    Case { name, domain: Domain::Invertible, shapes: SQUARE, build }
}

/// The derivative of the logarithm of order `directions.len()` at the first matrix, moved to the right of 0.
fn log_derivative<'t, const K: usize>(
    tape: &'t Tape,
    (m, _, _): Dims,
    names: [&str; K],
) -> (Var<'t>, Vec<Var<'t>>) {
    let args: Vec<_> = names.iter().map(|name| tape.input(name, (m, m))).collect();
    let op = Op::MatrixFunction { function: MatrixFunction::Log, order: K as u32 - 1 };
    let mut moved = args.clone();
    moved[0] = args[0] + 2.0 * tape.identity(m);
    (tape.apply(op, &moved), args)
}

const fn case(name: &'static str, build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>)) -> Case {
    Case { name, domain: Domain::Any, shapes: SQUARE, build }
}

pub(crate) const CASES: &[Case] = &[
    case("exponential", |t, d| alone(t, d, |a| a.expm())),
    case("exponential of a transpose", |t, d| alone(t, d, |a| (0.5 * a.t() - a).expm() * a.t().expm())),
    case("trace of an exponential", |t, d| alone(t, d, |a| a.square().expm().trace())),
    case("exponential of a symmetric matrix", |t, (m, _, _)| {
        let a = t.symmetric("A", m);
        (a.expm() + (0.3 * a).expm().inv(), vec![a])
    }),
    case("first derivative of the exponential", |t, d| derivative(t, d, ["A", "E"])),
    case("second derivative of the exponential", |t, d| derivative(t, d, ["A", "E", "F"])),
    case("second derivative in one direction", |t, (m, _, _)| {
        let (a, e) = (t.input("A", (m, m)), t.input("E", (m, m)));
        let op = Op::MatrixFunction { function: MatrixFunction::Exp, order: 2 };
        (t.apply(op, &[a.t(), e, e.t()]), vec![a, e])
    }),
    regular("logarithm", |t, d| alone(t, d, |a| (a + 2.0 * t.identity(a.rows())).logm())),
    regular("logarithm of a transpose", |t, d| {
        alone(t, d, |a| (0.5 * a.t() + t.identity(a.rows())).logm() * a)
    }),
    regular("logarithm of a symmetric matrix", |t, (m, _, _)| {
        let a = t.positive_definite("A", m);
        ((0.3 * a + 2.0 * t.identity(m)).logm(), vec![a])
    }),
    regular("first derivative of the logarithm", |t, d| log_derivative(t, d, ["A", "E"])),
    regular("second derivative of the logarithm", |t, d| log_derivative(t, d, ["A", "E", "F"])),
    regular("powers", |t, d| {
        alone(t, d, |a| {
            let b = a + 2.0 * t.identity(a.rows());
            b.powm(1.5) + b.powm(-0.5) * b.powm(0.3) - b.powm(-2.0)
        })
    }),
    case("action of an exponential", |t, d| with_rhs(t, d, |a, b| a.expm_multiply(b))),
    case("action of the exponential of a transpose", |t, d| {
        with_rhs(t, d, |a, b| (0.5 * a.t()).expm_multiply(a.expm_multiply(b)))
    }),
];
