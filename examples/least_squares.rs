//! Least squares, three ways: gradient descent, one Newton step by products with the Hessian, and a direct solve.
//!
//! The data are those of *Least Angle Regression* (Efron, Hastie, Johnstone and Tibshirani, 2004): ten measurements of 442
//! people with diabetes, and how far the disease had progressed a year later; every column with mean 0 and variance 1. The loss
//! is
//!
//! ```text
//! 1/(2n) ‖X w − y‖² + λ/2 ‖w‖²,   with the Hessian H = XᵀX/n + λ I
//! ```
//!
//! **Gradient descent** at the rate 1/L, where μ and L are the extreme eigenvalues of H, multiplies the error along an
//! eigenvector of λᵢ by `1 − λᵢ/L` in every step. So it needs at most `ln ε / ln(1 − μ/L)` steps for a relative error ε, about
//! `(L/μ) ln(1/ε)`, and in the end all error is along the eigenvector v of μ: from a start at 0,
//! `‖w_k − w‖ → |⟨v, w⟩| (1 − μ/L)^k`. Pullback finds μ, L and v by Lanczos' method, from products with H alone.
//!
//! **Newton's method** solves a quadratic problem in one step. The step is computed by conjugate gradients, which end after as
//! many products with H as there are variables, up to rounding, which one more may have to mend; in the norm of H the error after k of them is at most
//! `2 ((√κ − 1)/(√κ + 1))^k` of that at the start, with κ = L/μ (Golub and Van Loan, *Matrix Computations*, §11.3).
//!
//! ```text
//! cargo run --release --example least_squares -- --help
//! ```

use pullback::curvature::Hessian;
use pullback::faer::{Mat, MatRef, Scale as Times};
use pullback::prelude::*;
use pullback_examples::cli::{self, Example, Failure};
use pullback_examples::plot::{self, Curve, Panel, Scale};
use pullback_examples::table::{Table, Within, largest};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

const EXAMPLE: Example = Example {
    name: "least_squares",
    about: "Least squares by gradient descent, by a Newton step and by direct solves: as fast as predicted, and the same.",
};

const DATA: &str = include_str!("data/diabetes.csv");

/// The relative error at which gradient descent ends.
const CLOSE: f64 = 1e-8;

/// The relative residual at which conjugate gradients end.
const RESIDUAL: f64 = 1e-12;

const RIDGES: [f64; 3] = [0.0, 0.01, 0.1];

fn main() -> ExitCode {
    EXAMPLE.main(run)
}

fn run(svg: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let data = Data::read();
    let mut table = Table::default();
    let studies = RIDGES.map(|lambda| study(&data, lambda));
    let [plain, little, more] = studies;
    let studies = [plain?, little?, more?];
    for study in &studies {
        study.tabulate(&mut table);
    }
    fit(&data, &studies[0].direct, &mut table)?;
    writeln!(out, "{}", studies[1].formulas)?;
    table.print(out)?;

    let descent = studies.iter().enumerate().flat_map(|(k, study)| study.descent_curves(k));
    let conjugate = studies.iter().enumerate().flat_map(|(k, study)| study.conjugate_curves(k));
    let panels = [
        Panel {
            y_scale: Scale::Log,
            curves: descent.collect(),
            ..Panel::new("Gradient descent at the rate 1/L", "steps", "error, relative")
        },
        Panel {
            y_scale: Scale::Log,
            curves: conjugate.collect(),
            ..Panel::new(
                "A Newton step by conjugate gradients",
                "products with the Hessian",
                "error in the norm of H, relative",
            )
        },
    ];
    cli::save(&plot::svg(&panels), svg, out)?;
    table.check()
}

/// Measurements, a person in each row, and what is to be explained by them.
struct Data {
    x: Mat<f64>,
    y: Mat<f64>,
}

impl Data {
    fn read() -> Data {
        let number = |entry: &str| entry.trim().parse().unwrap_or(f64::NAN);
        let row = |line: &str| line.split(',').map(number).collect::<Vec<f64>>();
        let rows: Vec<_> = DATA.lines().skip(1).map(row).collect();
        let width = rows.first().map_or(0, Vec::len);
        let all = Mat::from_fn(rows.len(), width, |i, j| rows[i].get(j).copied().unwrap_or(f64::NAN));
        let all = standardized(&all);
        let last = width.saturating_sub(1);
        Data { x: all.subcols(0, last).to_owned(), y: all.subcols(last, width - last).to_owned() }
    }

    fn bound(&self) -> [(&str, MatRef<'_, f64>); 2] {
        [("X", self.x.as_ref()), ("y", self.y.as_ref())]
    }
}

/// Every column with mean 0 and variance 1.
fn standardized(m: &Mat<f64>) -> Mat<f64> {
    let n = m.nrows() as f64;
    let scales = m.col_iter().map(|col| {
        let mean = col.iter().sum::<f64>() / n;
        let variance = col.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt())
    });
    let scales: Vec<(f64, f64)> = scales.collect();
    Mat::from_fn(m.nrows(), m.ncols(), |i, j| (m[(i, j)] - scales[j].0) / scales[j].1)
}

/// One value of λ: what was predicted and what was measured.
struct Study {
    lambda: f64,
    formulas: String,
    /// The eigenvalues of the Hessian by a decomposition, from the smallest.
    eigenvalues: Vec<f64>,
    /// Its extreme eigenvalues by products.
    extremes: (f64, f64),
    /// The part of the solution along the eigenvector of the smallest, relative.
    slowest: f64,
    /// The solution of the normal equations.
    direct: Mat<f64>,
    /// How far gradient descent was from it in every step, relative.
    descent: Vec<f64>,
    /// How far conjugate gradients were from it after each product, in the norm of the Hessian, relative.
    conjugate: Vec<f64>,
    /// How far the Newton step ends from it, relative.
    newton: f64,
}

fn study(data: &Data, lambda: f64) -> Result<Study, Failure> {
    let tape = Tape::new();
    let (n, features) = (data.x.nrows(), data.x.ncols());
    let (x, y) = (tape.constant("X", (n, features)), tape.constant("y", (n, 1)));
    let w = tape.input("w", (features, 1));
    let loss = 0.5 / n as f64 * (x * w - y).norm_squared() + losses::ridge(w, lambda);
    let formulas = format!("L  = {loss}\n∇L = {}\n", gradient(loss, &[w])?[0]);

    let h = 1.0 / n as f64 * (x.t() * x) + lambda * tape.identity(features);
    let solution = h.solve(x.t() * y) / n as f64;
    let mut values = evaluate(&[solution, h], &data.bound())?;
    let (dense, direct) = (values.remove(1), values.remove(0));
    let size = direct.norm_l2();
    let far = |at: &Mat<f64>| (at - &direct).norm_l2() / size;

    // Where a quadratic function is expanded does not matter to its Hessian.
    let mut hessian = Hessian::compile(loss, &[w])?;
    let start = Mat::<f64>::zeros(features, 1);
    let [of_x, of_y] = data.bound();
    hessian.set(&[of_x, of_y, ("w", start.as_ref())])?;
    let extremes = hessian.extremes(1e-12, 4 * features)?;
    let slowest = extremes.smallest.vector.iter().map(|v| inner(v, &direct).abs() / size).sum();
    let extremes = (extremes.smallest.value, extremes.largest.value);

    let mut program = compile::<f64>(loss, &[w])?;
    program.bind(&data.bound())?;
    let mut at = start.clone();
    let mut descent = vec![far(&at)];
    while descent.last().is_some_and(|far| *far > CLOSE) && descent.len() < 100_000 {
        let [_, slope] = program.run(&[("w", at.as_ref())])?.matrices()?;
        at -= Times(1.0 / extremes.1) * slope;
        descent.push(far(&at));
    }

    let [_, slope] = program.run(&[("w", start.as_ref())])?.matrices()?;
    let mut product =
        |v: &Mat<f64>| -> Result<Mat<f64>, Error> { Ok(hessian.product(&[v.as_ref()])?.remove(0)) };
    let steps = conjugate_gradients(&mut product, &(Times(-1.0) * slope), 2 * features)?;
    let energy = |at: &Mat<f64>| {
        let error = at - &direct;
        inner(&error, &(&dense * &error)).sqrt()
    };
    let conjugate = steps.iter().map(|at| energy(at) / energy(&start)).collect();
    let newton = steps.last().map_or(f64::NAN, far);

    let eigenvalues = evaluate(&[h.eigenvalues()], &data.bound())?;
    let eigenvalues =
        eigenvalues.iter().flat_map(|m| m.col_iter().flat_map(|col| col.iter().copied())).collect();
    Ok(Study { lambda, formulas, eigenvalues, extremes, slowest, direct, descent, conjugate, newton })
}

/// The iterates on the way to the solution of `H x = b`, from 0 until rounding or so many products end it. (Golub and Van Loan,
/// §11.3)
fn conjugate_gradients(
    product: &mut impl FnMut(&Mat<f64>) -> Result<Mat<f64>, Error>,
    b: &Mat<f64>,
    most: usize,
) -> Result<Vec<Mat<f64>>, Error> {
    let mut x = Mat::zeros(b.nrows(), 1);
    let (mut r, mut p) = (b.clone(), b.clone());
    let mut iterates = vec![x.clone()];
    while r.norm_l2() > RESIDUAL * b.norm_l2() && iterates.len() <= most {
        let h_p = product(&p)?;
        let before = inner(&r, &r);
        let step = before / inner(&p, &h_p);
        x += Times(step) * &p;
        r -= Times(step) * h_p;
        p = &r + Times(inner(&r, &r) / before) * p;
        iterates.push(x.clone());
    }
    Ok(iterates)
}

fn inner(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    a.col(0).iter().zip(b.col(0).iter()).map(|(a, b)| a * b).sum()
}

impl Study {
    fn condition(&self) -> f64 {
        self.extremes.1 / self.extremes.0
    }

    /// By which gradient descent multiplies the slowest error.
    fn factor(&self) -> f64 {
        1.0 - 1.0 / self.condition()
    }

    fn tabulate(&self, table: &mut Table) {
        let steps = self.descent.len() - 1;
        let of = |what: &str| format!("λ = {}: {what}", self.lambda);
        let ends =
            [self.eigenvalues.first(), self.eigenvalues.last()].map(|end| end.copied().unwrap_or(f64::NAN));
        let condition = ends[1] / ends[0];
        table.add(
            of("condition number, by products"),
            1,
            condition,
            Within::Absolute(1e-9 * condition),
            self.condition(),
        );

        let logarithm = self.factor().ln();
        table.add(
            of("steps, by the condition number"),
            1,
            (CLOSE.ln() / logarithm).ceil(),
            Within::AtMost,
            steps as f64,
        );
        let by_start = ((CLOSE / self.slowest).ln() / logarithm).ceil();
        table.add(of("steps, by the start, too"), 1, by_start, Within::Absolute(1.0), steps as f64);
        // Over the last hundred steps, when only the slowest error is left.
        let tail = self.descent.get(steps.saturating_sub(100)..).unwrap_or_default();
        let factor = match tail {
            [first, .., last] => (last / first).ln() / (tail.len() - 1) as f64,
            _ => f64::NAN,
        };
        let halves = |logarithm: f64| 0.5f64.ln() / logarithm;
        let half = halves(logarithm);
        table.add(of("steps in which the error halves"), 1, half, Within::Relative(1e-4), halves(factor));

        let products = self.conjugate.len() - 1;
        let variables = self.direct.nrows() as f64;
        table.add(of("products in a Newton step"), 1, variables, Within::Absolute(1.0), products as f64);
        // An error is at most κ times the residual, both relative.
        let allowed = condition * RESIDUAL;
        table.add(of("error after a Newton step"), 1, allowed, Within::AtMost, self.newton);
        // Before the first product, the error is half of its bound.
        let over = largest((0..).zip(&self.conjugate).skip(1).map(|(k, error)| error / self.bound(k)));
        table.add(of("error of conjugate gradients, over its bound"), products, 1.0, Within::AtMost, over);
    }

    /// Chebyshev's bound for conjugate gradients.
    fn bound(&self, k: i32) -> f64 {
        let root = self.condition().sqrt();
        2.0 * ((root - 1.0) / (root + 1.0)).powi(k)
    }

    fn descent_curves(&self, colour: usize) -> [Curve; 2] {
        let steps = self.descent.len();
        // A few of them, so that the prediction is seen between them.
        let stride = steps.div_ceil(25).max(1);
        let measured = self.descent.iter().enumerate().step_by(stride).map(|(k, error)| (k as f64, *error));
        let predicted = |k: usize| (k as f64, self.slowest * self.factor().powf(k as f64));
        let label = if colour + 1 == RIDGES.len() { "predicted" } else { "" };
        [
            Curve::scatter(format!("λ = {}", self.lambda), measured).coloured(colour),
            Curve::reference(label, [predicted(0), predicted(steps - 1)]),
        ]
    }

    fn conjugate_curves(&self, colour: usize) -> [Curve; 2] {
        let measured = self.conjugate.iter().enumerate().map(|(k, error)| (k as f64, *error));
        let label = if colour + 1 == RIDGES.len() { "bound" } else { "" };
        let bound = (0..).map(|k| (f64::from(k), self.bound(k))).take(self.conjugate.len());
        [
            Curve::new(format!("λ = {}", self.lambda), measured).coloured(colour),
            Curve::reference(label, bound),
        ]
    }
}

/// How much of the variance is explained, and whether a decomposition finds the same weights.
fn fit(data: &Data, normal: &Mat<f64>, table: &mut Table) -> Result<(), Failure> {
    let tape = Tape::new();
    let (x, y) = (tape.input("X", data.x.shape()), tape.input("y", data.y.shape()));
    let (q, _) = x.qr();
    // What X explains of y is its projection onto the columns of X.
    let explained = (q.t() * y).norm_squared() / y.norm_squared();
    let values = evaluate(&[x.least_squares(y), explained], &data.bound())?;
    let error = (&values[0] - normal).norm_l2() / normal.norm_l2();
    table.add("λ = 0: normal equations against QR", 1, 1e-12, Within::AtMost, error);

    let residual = &data.x * normal - &data.y;
    let measured = 1.0 - residual.squared_norm_l2() / data.y.squared_norm_l2();
    let explained = values[1][(0, 0)];
    table.add("λ = 0: R², by a projection", 1, explained, Within::Absolute(1e-12), measured);
    Ok(())
}
