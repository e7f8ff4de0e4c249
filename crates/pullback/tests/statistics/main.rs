//! Whole losses from statistics, control and machine learning, written as a user would write them: each against its value
//! and its gradient in the literature, which are computed with plain matrices, and against the definition of derivatives.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod control;
mod distances;
mod gaussian;
mod learning;
#[path = "../printed/mod.rs"]
mod printed;

use pullback::faer::linalg::solvers::{PartialPivLu, Solve};
use pullback::faer::{Mat, Side, mat};
use pullback::prelude::*;
use std::collections::BTreeMap;
use std::ops::Index;

/// The matrices bound, by name.
struct Given(BTreeMap<&'static str, Mat<f64>>);

impl<const N: usize> From<[(&'static str, Mat<f64>); N]> for Given {
    fn from(matrices: [(&'static str, Mat<f64>); N]) -> Self {
        Given(BTreeMap::from(matrices))
    }
}

impl Index<&str> for Given {
    type Output = Mat<f64>;
    fn index(&self, name: &str) -> &Mat<f64> {
        &self.0[name]
    }
}

impl Given {
    fn run(&self, mut program: Program<f64>) -> Vec<Mat<f64>> {
        let find = |(name, _)| self.0.get_key_value(name).map(|(name, matrix)| (*name, matrix.as_ref()));
        let constants: Vec<_> = program.constants().filter_map(find).collect();
        let inputs: Vec<_> = program.inputs().filter_map(find).collect();
        if !constants.is_empty() {
            program.bind(&constants).unwrap();
        }
        program.run(&inputs).unwrap().iter().map(|value| value.to_owned()).collect()
    }
}

/// The largest error allowed, relative to the largest entry. The matrices below are conditioned no worse than 1e3.
const TOLERANCE: f64 = 1e-13;

/// Losses whose formulas are shortened, by how they begin: nobody can read what is not printed.
const OUT_OF_REACH: [(&str, &str); 1] = [(
    "⟨reshape((I − (I[0, 0, 0, 1, …] ",
    "a Kronecker product selects rows by lists of nine indices, of which four are shown",
)];

/// A loss has its value and its gradients, as they were recorded and as they are planned at the smallest cost, and both of
/// its derivatives are those of the definition, and its derivation is true.
fn judge(loss: Var<'_>, given: &Given, value: f64, gradients: &[(Var<'_>, Mat<f64>)]) {
    let wrt: Vec<_> = gradients.iter().map(|(x, _)| *x).collect();
    let recorded = [vec![loss], gradient(loss, &wrt).unwrap()].concat();
    let programs = [Program::compile(&recorded).unwrap(), compile(loss, &wrt).unwrap()];
    for (program, what) in programs.into_iter().zip(["as recorded", "optimized"]) {
        let found = given.run(program);
        let error = (found[0][(0, 0)] - value).abs() / value.abs().max(1.0);
        assert!(error <= TOLERANCE, "{loss} {what} is {}, not {value}", found[0][(0, 0)]);
        for ((x, wanted), (found, formula)) in gradients.iter().zip(found[1..].iter().zip(&recorded[1..])) {
            assert_eq!((found.nrows(), found.ncols()), (wanted.nrows(), wanted.ncols()));
            let error = (found - wanted).norm_max() / wanted.norm_max();
            assert!(
                error <= TOLERANCE,
                "the gradient of\n{loss} in {x}\n{formula}\n{what} is off by {error:e}\n{found:?}\n{wanted:?}"
            );
        }
    }
    let bound: Vec<_> = given.0.iter().map(|(name, matrix)| (*name, matrix.as_ref())).collect();
    for report in check::derivatives(loss, &wrt, &bound).unwrap() {
        assert!(report.passes(), "{loss}\n{report}");
    }
    let text = loss.to_string();
    let out_of_reach = OUT_OF_REACH.iter().find(|(beginning, _)| text.starts_with(beginning));
    match (printed::judge(loss, &wrt, &bound), out_of_reach) {
        (Ok(()), None) | (Err(_), Some(_)) => {}
        (Ok(()), Some(_)) => panic!("{loss} is within reach"),
        (Err(error), None) => panic!("the derivation of\n{loss}\nis wrong: {error}"),
    }
}

/// The gradients of a loss, as they print.
fn formulas(loss: Var<'_>, wrt: &[Var<'_>]) -> Vec<String> {
    gradient(loss, wrt).unwrap().iter().map(|gradient| gradient.to_string()).collect()
}

// What the closed forms are made of: plain matrices, and nothing of this library.

fn random(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    check::random(rows, cols, seed)
}

/// Symmetric positive definite.
fn definite(n: usize, seed: u64) -> Mat<f64> {
    let g = random(n, n, seed);
    symmetrized(&(&g * g.transpose() + 0.5 * eye(n)))
}

/// A positive number.
fn number(x: f64) -> Mat<f64> {
    mat![[x]]
}

fn eye(n: usize) -> Mat<f64> {
    Mat::identity(n, n)
}

fn inv(a: &Mat<f64>) -> Mat<f64> {
    PartialPivLu::new(a.as_ref()).solve(eye(a.nrows()))
}

/// `tr(Aᵀ B)`
fn inner(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (a.transpose() * b).diagonal().column_vector().sum()
}

fn trace(a: &Mat<f64>) -> f64 {
    a.diagonal().column_vector().sum()
}

fn log_det(a: &Mat<f64>) -> f64 {
    a.determinant().abs().ln()
}

fn symmetrized(a: &Mat<f64>) -> Mat<f64> {
    0.5 * (a + a.transpose())
}

fn map(a: &Mat<f64>, f: impl Fn(f64) -> f64) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| f(a[(i, j)]))
}

/// The entrywise product.
fn times(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)] * b[(i, j)])
}

/// `V Diag(f(λ)) Vᵀ` of a symmetric matrix.
fn spectral(a: &Mat<f64>, f: impl Fn(f64) -> f64) -> Mat<f64> {
    let eigen = a.self_adjoint_eigen(Side::Lower).unwrap();
    let (v, values) = (eigen.U(), eigen.S().column_vector());
    Mat::from_fn(a.nrows(), a.nrows(), |i, k| v[(i, k)] * f(values[k])) * v.transpose()
}

/// The lower Cholesky factor.
fn cholesky(a: &Mat<f64>) -> Mat<f64> {
    a.llt(Side::Lower).unwrap().L().to_owned()
}

fn vec(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows() * a.ncols(), 1, |k, _| a[(k % a.nrows(), k / a.nrows())])
}

fn kron(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
    let (p, q) = (b.nrows(), b.ncols());
    Mat::from_fn(a.nrows() * p, a.ncols() * q, |i, j| a[(i / p, j / q)] * b[(i % p, j % q)])
}

/// The solution of `A X + X B = C`, by `(I ⊗ A + Bᵀ ⊗ I) vec X = vec C`.
fn sylvester(a: &Mat<f64>, b: &Mat<f64>, c: &Mat<f64>) -> Mat<f64> {
    let (m, n) = (a.nrows(), b.nrows());
    let k = kron(&eye(n), a) + kron(&b.transpose().to_owned(), &eye(m));
    let x = PartialPivLu::new(k.as_ref()).solve(vec(c));
    Mat::from_fn(m, n, |i, j| x[(i + j * m, 0)])
}

/// `exp A` by its series, after halving, and squared again.
fn expm(a: &Mat<f64>) -> Mat<f64> {
    let halvings = 6;
    let a = a / 2f64.powi(halvings);
    let (mut term, mut sum) = (eye(a.nrows()), eye(a.nrows()));
    for k in 1..=20 {
        term = &term * &a / f64::from(k);
        sum += &term;
    }
    (0..halvings).fold(sum, |e, _| &e * &e)
}

/// A matrix with one entry that is not 0: 1, at (i, j).
fn unit(rows: usize, cols: usize, at: (usize, usize)) -> Mat<f64> {
    Mat::from_fn(rows, cols, |i, j| f64::from(u8::from((i, j) == at)))
}

/// The gradient whose inner products with the unit matrices are these derivatives.
fn by_entries(rows: usize, cols: usize, derivative: impl Fn(&Mat<f64>) -> f64) -> Mat<f64> {
    Mat::from_fn(rows, cols, |i, j| derivative(&unit(rows, cols, (i, j))))
}

/// That of a function of symmetric matrices.
fn by_symmetric_entries(n: usize, derivative: impl Fn(&Mat<f64>) -> f64) -> Mat<f64> {
    by_entries(n, n, |e| derivative(&symmetrized(e)))
}

/// Nodes and weights of Gauss and Legendre on [0, 1]: the zeros of a Legendre polynomial by Newton's method.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let legendre = |x: f64| {
        let (mut p, mut before) = (x, 1.0);
        for k in 2..=n {
            let k = k as f64;
            (p, before) = (((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k, p);
        }
        (p, n as f64 * (x * p - before) / (x * x - 1.0))
    };
    let node = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        for _ in 0..8 {
            let (p, slope) = legendre(x);
            x -= p / slope;
        }
        (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * legendre(x).1.powi(2)))
    };
    (0..n).map(node).collect()
}
