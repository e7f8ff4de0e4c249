//! A loss of one's own is a plain function of `Var`s. Three of them, each a little larger: a robust regression, the likelihood
//! of a Gaussian process in its hyperparameters, and a contrastive loss on pairs. Each is printed with its gradients, put to
//! the tests of `pullback::check`, and minimized.
//!
//! ```text
//! cargo run --release --example custom_loss
//! ```

use pullback::faer::{Mat, MatRef};
use pullback::prelude::*;
use pullback_examples::cli::{self, Example, Failure};
use pullback_examples::plot::{self, Curve, Panel};
use pullback_examples::table::{Table, Within};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

const EXAMPLE: Example =
    Example { name: "custom_loss", about: "Three losses of one's own: printed, checked and minimized." };

/// So many steps of gradient descent.
const STEPS: usize = 300;

/// Residuals count as squares where they are small and as distances where they are large: `Σ √(1 + rᵢ²) − 1`.
fn robust<'t>(x: Var<'t>, y: Var<'t>, w: Var<'t>) -> Var<'t> {
    let residual = x * w - y;
    ((1.0 + residual.square()).sqrt() - 1.0).sum()
}

/// The negative log-likelihood of y under a Gaussian process with squared distances D between its points, a length scale
/// `exp(l)` and noise of variance `exp(s)`, per point and up to a constant.
fn likelihood<'t>(d: Var<'t>, y: Var<'t>, l: Var<'t>, s: Var<'t>) -> Var<'t> {
    let n = y.rows();
    let k = (-0.5 * d / (2.0 * l).exp()).exp() + s.exp() * d.tape().identity(n);
    let k = k.named("K");
    0.5 * (y.t() * k.solve(y) + k.log_det()) / n as f64
}

/// Pairs in the columns of two embeddings are to be more alike than all other combinations: the cross-entropy of the
/// similarities of `A X` and `B Y`, cosines over a temperature (van den Oord et al., arXiv:1807.03748).
fn contrastive<'t>(x: Var<'t>, y: Var<'t>, a: Var<'t>, b: Var<'t>) -> Var<'t> {
    let pairs = x.tape().identity(x.cols());
    losses::cross_entropy(similarities(x, y, a, b), pairs)
}

fn similarities<'t>(x: Var<'t>, y: Var<'t>, a: Var<'t>, b: Var<'t>) -> Var<'t> {
    let unit = |z: Var<'t>| z.mul_row(z.square().col_sums().sqrt().recip());
    let (u, v) = (unit(a * x).named("U"), unit(b * y).named("V"));
    (10.0 * (u.t() * v)).named("S")
}

fn main() -> ExitCode {
    EXAMPLE.main(run)
}

fn run(svg: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::default();
    let tape = Tape::new();

    // A line of slope 2, with a few points that are far off.
    let (x, y, w) = (tape.constant("X", (40, 2)), tape.constant("y", (40, 1)), tape.input("w", (2, 1)));
    let at_x = Mat::from_fn(40, 2, |i, j| if j == 0 { 1.0 } else { i as f64 / 20.0 - 1.0 });
    let noise = check::random::<f64>(40, 1, 1);
    let at_y = Mat::from_fn(40, 1, |i, _| {
        0.5 + 2.0 * at_x[(i, 1)] + 0.1 * noise[(i, 0)] + if i % 8 == 7 { 8.0 } else { 0.0 }
    });
    let data = [("X", at_x.as_ref()), ("y", at_y.as_ref())];
    let (line, robust_curve) =
        study(out, "robust regression", robust(x, y, w), &[w], &data, &[Mat::zeros(2, 1)], 0.02)?;
    let (squares, _) = descend(losses::squared((x * w).t(), y.t()), &[w], &data, &[Mat::zeros(2, 1)], 0.5)?;
    let slopes = (line[0][(1, 0)], squares[0][(1, 0)]);

    // A wave, seen through noise of standard deviation 0.2.
    let (d, t) = (tape.symmetric("D", 50), tape.input("t", (50, 1)));
    let (l, s) = (tape.input("l", (1, 1)), tape.input("s", (1, 1)));
    let at = |i: usize| i as f64 / 5.0;
    let distances = Mat::from_fn(50, 50, |i, j| (at(i) - at(j)).powi(2));
    let noise = check::random::<f64>(50, 1, 2);
    // Uniform numbers between −1 and 1 have variance ⅓.
    let wave = Mat::from_fn(50, 1, |i, _| at(i).sin() + 0.2 * 3f64.sqrt() * noise[(i, 0)]);
    let data = [("D", distances.as_ref()), ("t", wave.as_ref())];
    let start = [Mat::zeros(1, 1), Mat::zeros(1, 1)];
    let (found, likelihood_curve) =
        study(out, "likelihood of a Gaussian process", likelihood(d, t, l, s), &[l, s], &data, &start, 0.5)?;
    let noise = (0.5 * found[1][(0, 0)]).exp();

    // Two views of the same five hidden numbers.
    let (x, y) = (tape.constant("P", (8, 60)), tape.constant("Q", (6, 60)));
    let (a, b) = (tape.input("A", (5, 8)), tape.input("B", (5, 6)));
    let hidden = check::random::<f64>(5, 60, 3);
    let (p, q) = (check::random::<f64>(8, 5, 4) * &hidden, check::random::<f64>(6, 5, 5) * &hidden);
    let data = [("P", p.as_ref()), ("Q", q.as_ref())];
    let start = [check::random(5, 8, 6), check::random(5, 6, 7)];
    let (found, contrastive_curve) =
        study(out, "contrastive loss", contrastive(x, y, a, b), &[a, b], &data, &start, 1.0)?;
    let bound = [data[0], data[1], ("A", found[0].as_ref()), ("B", found[1].as_ref())];
    let similar = evaluate(&[similarities(x, y, a, b)], &bound)?.remove(0);
    let right = (0..60).filter(|&j| (0..60).all(|i| similar[(i, j)] <= similar[(j, j)])).count();

    // Five points of forty are off by 8, which counts as 7 each for the robust loss, and as 32 for squares.
    table.add("slope by the robust loss", 1, 2.0, Within::Absolute(0.2), slopes.0);
    table.found("slope by least squares", 1, slopes.1);
    table.add("noise of the Gaussian process", 1, 0.2, Within::Absolute(0.05), noise);
    table.all("pairs recognized by the contrastive loss", 60, right);
    table.print(out)?;
    let panel = |title: &str, history: Vec<f64>| Panel {
        curves: vec![Curve::new("training", (0..).map(f64::from).zip(history))],
        ..Panel::new(title, "steps", "loss")
    };
    let panels = [
        panel("Robust regression", robust_curve),
        panel("Likelihood of a Gaussian process", likelihood_curve),
        panel("Contrastive loss", contrastive_curve),
    ];
    cli::save(&plot::svg(&panels), svg, out)?;
    table.check()
}

/// Prints a loss and its gradients, tests these, and minimizes it: the variables in the end, and how it fell.
fn study(
    out: &mut dyn Write,
    title: &str,
    loss: Var<'_>,
    wrt: &[Var<'_>],
    data: &[(&str, MatRef<'_, f64>)],
    start: &[Mat<f64>],
    rate: f64,
) -> Result<(Vec<Mat<f64>>, Vec<f64>), Failure> {
    writeln!(out, "{title}\n{loss}")?;
    for (x, gradient) in wrt.iter().zip(gradient(loss, wrt)?) {
        writeln!(out, "∇{x} = {gradient}")?;
    }
    let names: Vec<String> = wrt.iter().map(|x| x.to_string()).collect();
    let at = names.iter().map(String::as_str).zip(start.iter().map(Mat::as_ref));
    let at: Vec<_> = data.iter().copied().chain(at).collect();
    for report in check::derivatives(loss, wrt, &at)? {
        writeln!(out, "{report}")?;
    }
    let (found, history) = descend(loss, wrt, data, start, rate)?;
    writeln!(out, "{:.4} fell to {:.4} in {STEPS} steps\n", history[0], history[STEPS])?;
    Ok((found, history))
}

/// Gradient descent with momentum: the program is compiled once, and constants are bound once.
fn descend(
    loss: Var<'_>,
    wrt: &[Var<'_>],
    data: &[(&str, MatRef<'_, f64>)],
    start: &[Mat<f64>],
    rate: f64,
) -> Result<(Vec<Mat<f64>>, Vec<f64>), Error> {
    let mut program = compile::<f64>(loss, wrt)?;
    let constant = |name: &str| program.constants().any(|(known, _)| known == name);
    let (constants, inputs): (Vec<_>, Vec<_>) = data.iter().copied().partition(|(name, _)| constant(name));
    if !constants.is_empty() {
        program.bind(&constants)?;
    }
    let names: Vec<String> = wrt.iter().map(|x| x.to_string()).collect();
    let mut at = start.to_vec();
    let mut velocity: Vec<Mat<f64>> = start.iter().map(|x| Mat::zeros(x.nrows(), x.ncols())).collect();
    let mut history = Vec::with_capacity(STEPS + 1);
    for _ in 0..=STEPS {
        let bound: Vec<_> = inputs
            .iter()
            .copied()
            .chain(names.iter().map(String::as_str).zip(at.iter().map(Mat::as_ref)))
            .collect();
        let run = program.run(&bound)?;
        history.push(run.scalar(0).unwrap_or(f64::NAN));
        for (v, gradient) in velocity.iter_mut().zip(run.iter().skip(1)) {
            *v = &*v * pullback::faer::Scale(0.9) - gradient * pullback::faer::Scale(0.1 * rate);
        }
        for (x, v) in at.iter_mut().zip(&velocity) {
            *x += v;
        }
    }
    Ok((at, history))
}
