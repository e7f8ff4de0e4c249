//! Every op, in every argument, against the definition of its derivative.
//!
//! The case tables mirror the files of the rule book. Each case is tested in `f64` and `f32`, on all shapes that
//! it allows, to second order; derivatives are compared with nothing but the definition.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod algebra;
mod custom;
mod elementwise;
mod equations;
mod factors;
mod functions;
mod opaque;
mod products;
mod reductions;
mod solves;
mod structure;

use pullback::faer::Mat;
use pullback::prelude::*;
use pullback::{Function, Scalar, Structure, check};
use pullback_tape::Op;
use std::collections::{BTreeMap, BTreeSet};

/// Row, inner and column extents.
type Dims = (usize, usize, usize);

/// Tall, wide, square, 1×1, and empty in each way.
const SHAPES: &[Dims] = &[
    (5, 2, 3),
    (2, 3, 5),
    (3, 3, 3),
    (1, 1, 1),
    (1, 4, 1),
    (4, 1, 3),
    (0, 2, 3),
    (3, 2, 0),
    (3, 0, 2),
    (0, 0, 0),
];

/// Square matrices only.
const SQUARE: &[Dims] = &[(1, 1, 2), (2, 2, 1), (4, 4, 3), (7, 7, 7), (3, 3, 0), (0, 0, 2)];

/// What the matrices of a case are made of.
#[derive(Clone, Copy)]
enum Domain {
    Any,
    Positive,
    /// Square matrices have a heavy diagonal; the others are as in `Any`.
    Invertible,
}

struct Case {
    name: &'static str,
    domain: Domain,
    shapes: &'static [Dims],
    /// The expression, and the variables to differentiate in.
    build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>),
}

fn matrix<T: Scalar>(domain: Domain, (rows, cols): (usize, usize), seed: u64) -> Mat<T> {
    let base: Mat<f64> = check::random(rows, cols, seed);
    Mat::from_fn(rows, cols, |i, j| {
        T::from_f64(match domain {
            Domain::Any => base[(i, j)],
            Domain::Positive => 0.6 + base[(i, j)].abs(),
            Domain::Invertible if rows == cols && i == j => 2.5 + base[(i, j)].abs(),
            Domain::Invertible => base[(i, j)] * 0.7,
        })
    })
}

/// `½ (A + Aᵀ)`, exactly symmetric.
fn symmetrized<T: Scalar>(a: &Mat<T>) -> Mat<T> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| T::from_f64(0.5) * (a[(i, j)] + a[(j, i)]))
}

fn run<T: Scalar>(case: &Case) -> Vec<String> {
    let mut failures = Vec::new();
    for &dims in case.shapes {
        let tape = Tape::new();
        let (y, xs) = (case.build)(&tape, dims);
        let inputs: Vec<_> = (1..)
            .zip(tape.inputs())
            .map(|(seed, (name, shape))| {
                let symmetric = tape.input(&name, shape).structure() >= Structure::Symmetric;
                let matrix = matrix::<T>(case.domain, (shape.rows, shape.cols), seed);
                (name, if symmetric { symmetrized(&matrix) } else { matrix })
            })
            .collect();
        let bound: Vec<_> = inputs.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect();
        match check::derivatives(y, &xs, &bound) {
            Ok(reports) => {
                let bad = reports.iter().filter(|report| !report.passes());
                failures.extend(bad.map(|report| format!("{} {dims:?} {y}\n{report}", case.name)));
            }
            Err(error) => failures.push(format!("{} {dims:?} {y}: {error}", case.name)),
        }
    }
    failures
}

fn all() -> Vec<&'static Case> {
    [
        algebra::CASES,
        custom::CASES,
        elementwise::CASES,
        equations::CASES,
        factors::CASES,
        functions::CASES,
        products::CASES,
        reductions::CASES,
        solves::CASES,
        structure::CASES,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn assert_all<T: Scalar>() {
    let failures: Vec<_> = all().into_iter().flat_map(run::<T>).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_case_in_f64() {
    assert_all::<f64>();
}

#[test]
fn every_case_in_f32() {
    assert_all::<f32>();
}

/// A name for an op that does not depend on its parameters.
fn key(op: Op) -> String {
    match op {
        Op::Map(f) => format!("map {}", f.name()),
        Op::Zip(f) => format!("zip {}", f.name()),
        Op::Opaque { order, .. } => format!("function of order {order}"),
        op => op.name().to_owned(),
    }
}

/// Every op that varies is the outermost op of some case, with every argument a variable.
#[test]
fn every_op_has_a_case() {
    let tape = Tape::new();
    let Some(Op::Input(name)) = tape.input("X", (1, 1)).node().map(|node| node.op) else {
        panic!("no input")
    };
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for op in Op::all(name).into_iter().chain(Function::all().map(Op::Map)) {
        if op.arity() > 0 {
            wanted.insert(key(op), op.arity());
        }
    }
    for order in opaque::ORDERS {
        wanted.remove(order);
    }
    for case in all() {
        for &dims in case.shapes {
            let tape = Tape::new();
            let (y, xs) = (case.build)(&tape, dims);
            let graph = tape.graph(&[y]).unwrap();
            // An op counts where every one of its arguments depends on a variable of the case.
            let names: BTreeSet<String> = xs.iter().map(|x| x.to_string()).collect();
            let mut varies = Vec::new();
            for (_, node) in graph.iter() {
                let input = matches!(node.op, Op::Input(name) if names.contains(graph.name(name)));
                let args: Vec<bool> = node.args.iter().map(|arg| varies[arg.index()]).collect();
                if !args.is_empty() && args.iter().all(|&varies| varies) {
                    wanted.remove(&key(node.op));
                }
                varies.push(input || args.contains(&true));
            }
        }
    }
    assert!(wanted.is_empty(), "no case differentiates {wanted:?} in all arguments");
}

/// The testers catch a gradient that is wrong by 0.1 % in a single entry.
#[test]
fn a_rule_off_by_a_thousandth_is_caught() {
    let mut tested = 0;
    for case in all() {
        let tape = Tape::new();
        let (y, xs) = (case.build)(&tape, case.shapes[0]);
        let inputs: Vec<_> = (1..)
            .zip(tape.inputs())
            .map(|(seed, (name, shape))| {
                let symmetric = tape.input(&name, shape).structure() >= Structure::Symmetric;
                let matrix = matrix::<f64>(case.domain, (shape.rows, shape.cols), seed);
                (name, if symmetric { symmetrized(&matrix) } else { matrix })
            })
            .collect();
        let bound: Vec<_> = inputs.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect();
        let f = y.norm_squared();
        for x in xs {
            let right = gradient(f, &[x]).unwrap()[0];
            if right.is_zero() {
                continue;
            }
            let good = check::taylor_with(f, x, right, &bound).unwrap();
            let wrong = check::taylor_with(f, x, 1.001 * right, &bound).unwrap();
            assert!(good.passes(), "{}: {good}", case.name);
            // A derivative that vanishes along the direction hides any factor.
            if good.derivative.abs() > 1e-9 {
                tested += 1;
                assert!(!wrong.passes(), "{} passes with a factor of 1.001: {wrong}", case.name);
            }
        }
    }
    assert!(tested > 50, "only {tested} rules were tried");
}
