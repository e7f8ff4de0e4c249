//! Gradients in symmetric matrices: the projection of those in free ones, to second order.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use pullback::faer::{Mat, MatRef};
use pullback::prelude::*;
use pullback::{Declaration, Structure};

const N: usize = 5;

/// A loss in a square matrix, a rectangular one and a vector.
type Loss = for<'t> fn(Var<'t>, Var<'t>, Var<'t>) -> Var<'t>;

#[rustfmt::skip]
const LOSSES: &[(&str, Loss)] = &[
    ("linear", |k, x, _| (k * x * x.t() * k.tape().ones((N, N))).trace()),
    ("bilinear", |k, x, y| y.t() * k * x.row_sums()),
    ("quadratic form", |k, _, y| y.t() * k * y),
    ("square", |k, x, _| (k * x).norm_squared()),
    ("two sides", |k, x, y| (x.t() * k * x).tanh().sum() + (k * k).trace() + (k * y).norm()),
    ("cube", |k, x, _| (k * k * k).trace() + (k * x * x.t() * k * k).sum()),
    ("entrywise", |k, _, y| (k.tanh() * y).norm_squared() + k.hadamard(k.sin()).sum()),
    ("weighted", |k, x, y| k.hadamard(x * (x.hadamard(x.sin())).t() + y * x.row_sums().t()).sum()),
    ("solve", |k, x, y| y.inner(k.solve(y)) + k.solve(x).tanh().sum()),
    ("inverse", |k, _, y| (k.inv() * y).norm_squared() + k.inv().trace()),
    ("determinants", |k, _, _| k.log_det() + (k.det() / 1e4).tanh()),
    ("Gaussian likelihood", |k, _, y| 0.5 * y.inner(k.solve(y)) + 0.5 * k.log_det()),
    ("rows and columns", |k, _, y| k.softmax().log_sum_exp().sum() + k.mul_col(y).add_row(y.t()).square().sum()),
];

fn symmetrized(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| 0.5 * (a[(i, j)] + a[(j, i)]))
}

/// K, X, y, and the direction V.
fn inputs() -> Vec<(&'static str, Mat<f64>)> {
    let heavy = Mat::from_fn(N, N, |i, j| if i == j { N as f64 } else { 0.0 });
    vec![
        ("K", symmetrized(&check::random(N, N, 1)) + heavy),
        ("X", check::random(N, 3, 2)),
        ("y", check::random(N, 1, 3)),
        ("V", symmetrized(&check::random(N, N, 4))),
    ]
}

fn values(outputs: &[Var<'_>]) -> Vec<Mat<f64>> {
    let program = Program::<f64>::compile(outputs).unwrap();
    let needed: Vec<_> = program.inputs().map(|(name, _)| name.to_owned()).collect();
    let inputs = inputs();
    let bound: Vec<(&str, MatRef<'_, f64>)> = inputs
        .iter()
        .filter(|(name, _)| needed.iter().any(|known| known == name))
        .map(|(name, matrix)| (*name, matrix.as_ref()))
        .collect();
    evaluate(outputs, &bound).unwrap()
}

/// The loss, its gradient in K and in X, and their derivatives along V.
fn derivatives(loss: Loss, structure: Structure, cheap: bool) -> Vec<Mat<f64>> {
    let tape = Tape::new();
    let k = tape.declare("K", (N, N), Declaration::new().structure(structure));
    let v = if structure == Structure::General { tape.input("V", (N, N)) } else { tape.symmetric("V", N) };
    let (x, y) = (tape.input("X", (N, 3)), tape.input("y", (N, 1)));
    let mut loss = loss(k, x, y);
    if cheap {
        loss = optimize(&[loss], &[k, x]).unwrap()[0];
    }
    let mut outputs = vec![loss];
    outputs.extend(gradient(loss, &[k, x]).unwrap());
    outputs.extend(hvp(loss, &[(k, v)]).unwrap());
    if structure != Structure::General {
        assert_ne!(outputs[1].structure(), Structure::General, "{}", outputs[1]);
        assert!(outputs[1].t().same(outputs[1]));
    }
    values(&if cheap { optimize(&outputs, &[]).unwrap() } else { outputs })
}

#[test]
fn they_are_projections_of_those_in_free_matrices() {
    for &(name, loss) in LOSSES {
        let free = derivatives(loss, Structure::General, false);
        for structure in [Structure::Symmetric, Structure::Semidefinite, Structure::Definite] {
            for cheap in [false, true] {
                let known = derivatives(loss, structure, cheap);
                for (k, (known, free)) in known.iter().zip(&free).enumerate() {
                    // In K, at 1 and 3: ½ (G + Gᵀ).
                    let free = if k % 2 == 1 { symmetrized(free) } else { free.clone() };
                    let error = (known - &free).norm_max() / free.norm_max().max(1.0);
                    assert!(error < 1e-12, "{name}, {structure:?}, output {k}: {error:e}");
                    if k % 2 == 1 {
                        let skew = (known - known.transpose()).norm_max() / known.norm_max().max(1.0);
                        assert!(skew < 1e-13, "{name}, {structure:?}, output {k}: {skew:e} from symmetric");
                    }
                }
            }
        }
    }
}

#[test]
fn they_satisfy_the_definition() {
    for &(name, loss) in LOSSES {
        for structure in [Structure::Symmetric, Structure::Definite] {
            let tape = Tape::new();
            let k = tape.declare("K", (N, N), Declaration::new().structure(structure));
            let (x, y) = (tape.input("X", (N, 3)), tape.input("y", (N, 1)));
            let loss = loss(k, x, y);
            for loss in [loss, optimize(&[loss], &[k]).unwrap()[0]] {
                let all = inputs();
                let bound: Vec<_> = all[..3].iter().map(|(name, matrix)| (*name, matrix.as_ref())).collect();
                for report in check::derivatives(loss, &[k], &bound).unwrap() {
                    assert!(report.passes(), "{name}, {structure:?}: {report}");
                }
            }
        }
    }
}

/// The gradient in what was symmetric by construction is symmetric too.
#[test]
fn intermediate_values_have_symmetric_cotangents() {
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (N, 3)), tape.input("y", (N, 1)));
    let k = x * x.t() + tape.identity(N);
    let loss = y.inner(k.solve(y)) + (k * y * x.row_sums().t()).trace();
    let gradients = gradient(loss, &[k, x]).unwrap();
    assert!(gradients[0].t().same(gradients[0]), "{}", gradients[0]);
    let all = inputs();
    let bound: Vec<_> = all[1..3].iter().map(|(name, matrix)| (*name, matrix.as_ref())).collect();
    for report in check::derivatives(loss, &[x, y], &bound).unwrap() {
        assert!(report.passes(), "{report}");
    }
}

/// A gradient in a symmetric matrix, converted in one call, is that in the entries of its lower triangle.
#[test]
fn the_free_triangle_is_one_call_away() {
    fn loss<'t>(a: Var<'t>, b: Var<'t>) -> Var<'t> {
        (a * a * b).trace() + a.eigenvalues().exp().sum()
    }
    let tape = Tape::new();
    let (a, b, l) = (tape.symmetric("A", 4), tape.input("B", (4, 4)), tape.input("L", (4, 4)));
    let symmetric = gradient(loss(a, b), &[a]).unwrap()[0].free_triangle();
    // Symmetric as it stands, and known to be.
    let rebuilt = (l.tril() + l.strict_tril().t()).symmetrize();
    let free = gradient(loss(rebuilt, b), &[l]).unwrap()[0];
    let lower: Mat<f64> = check::random(4, 4, 1);
    let matrix = Mat::from_fn(4, 4, |i, j| lower[(i.max(j), i.min(j))]);
    let other = check::random(4, 4, 2);
    let inputs = [("A", matrix.as_ref()), ("B", other.as_ref()), ("L", lower.as_ref())];
    let [found, right] = &evaluate(&[symmetric, free], &inputs).unwrap()[..] else { panic!("two outputs") };
    assert!((found - right).norm_max() < 1e-13, "{:e}", (found - right).norm_max());
}
