//! A Gaussian process learns its own hyperparameters: L-BFGS of argmin on the likelihood, whose gradient Pullback derives.
//!
//! Values y at n points with squared distances D are `f + noise`, where f is a draw of the process with the covariance
//! `s² exp(−D/(2ℓ²))`, and the noise has the standard deviation σ. With `K = s² exp(−D/(2ℓ²)) + σ² I`, the negative
//! log-likelihood of the hyperparameters is
//!
//! ```text
//! ½ yᵀ K⁻¹ y + ½ log det K + n/2 log 2π
//! ```
//!
//! (Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006, §5.4). It is minimized in the logarithms of ℓ, s
//! and σ. At points with the covariances k to those seen, f is then normal with mean `kᵀ K⁻¹ y` and variance
//! `s² − diag(kᵀ K⁻¹ k)`.
//!
//! **What is predicted.** The data are drawn from the model, so what was put in should come out. By how much it may be missed, the
//! curvature of the likelihood says: its inverse at the minimum is the covariance of the estimate, if the data are many. Twice
//! the gain in log-likelihood over the true hyperparameters is then χ² with three degrees of freedom, 3 in the mean (Wilks,
//! 1938). A band of 1.96 standard deviations holds the true function in 95 % of places if the hyperparameters are known; it does not
//! know that those fitted are uncertain, and holds it in fewer. All of this holds of many draws, and of a single one only by chance.
//!
//! ```text
//! cargo run --release --example gaussian_process -- --help
//! ```

use argmin::core::{Executor, State};
use argmin::solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS};
use pullback::argmin::Problem;
use pullback::faer::{Mat, MatRef, mat};
use pullback::prelude::*;
use pullback_examples::cli::{self, Example, Failure};
use pullback_examples::plot::{self, Curve, Panel};
use pullback_examples::table::{Table, Within, largest};
use std::f64::consts::TAU;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

const EXAMPLE: Example = Example {
    name: "gaussian_process",
    about: "The hyperparameters of a Gaussian process, fitted by L-BFGS, and what it then says of a function.",
};

/// Length scale, signal and noise with which the data are drawn.
const TRUE: [f64; 3] = [1.0, 1.0, 0.2];
/// Those from which the fit starts.
const START: [f64; 3] = [0.3, 3.0, 1.0];
const NAMES: [&str; 3] = ["length scale", "signal", "noise"];
const LOGARITHMS: [&str; 3] = ["log ℓ", "log s", "log σ"];

/// How many functions are drawn, each with its points and its noise.
const DRAWS: u64 = 100;

/// Where nothing is seen.
const GAP: (f64, f64) = (4.0, 6.5);
const END: f64 = 10.0;
const POINTS: usize = 80;

fn main() -> ExitCode {
    EXAMPLE.main(run)
}

fn run(svg: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::default();
    let tape = Tape::new();
    let logs = logarithms(&tape);
    let (d, y) = (tape.symmetric("D", POINTS), tape.input("y", (POINTS, 1)));
    let loss = negative_log_likelihood(d, y, logs);
    writeln!(out, "L = {loss}")?;
    for (x, slope) in logs.iter().zip(gradient(loss, &logs)?) {
        writeln!(out, "∂L/∂{x} = {slope}")?;
    }
    writeln!(out)?;

    let fits = (0..DRAWS).map(|draw| Fit::new(loss, &logs, Data::draw(draw)));
    let fits = fits.collect::<Result<Vec<_>, Failure>>()?;
    // One that is neither lucky nor unlucky.
    let mut ranked: Vec<&Fit> = fits.iter().collect();
    ranked.sort_by(|a, b| a.coverages[1].total_cmp(&b.coverages[1]));
    let one = ranked[ranked.len() / 2];
    one.tabulate(&mut table);
    together(&fits, &mut table);
    table.print(out)?;

    let before = Posterior::new(&one.data, START)?;
    let panels = [
        before.panel(&one.data, format!("Before the fit: {}", list(START))),
        one.posterior.panel(&one.data, format!("Fitted: {}", list(one.fitted))),
    ];
    cli::save(&plot::svg(&panels), svg, out)?;
    table.check()
}

/// The hyperparameters as variables.
fn logarithms(tape: &Tape) -> [Var<'_>; 3] {
    LOGARITHMS.map(|name| tape.input(name, (1, 1)))
}

fn list([l, s, sigma]: [f64; 3]) -> String {
    format!("ℓ = {l:.2}, s = {s:.2}, σ = {sigma:.2}")
}

/// Of values y at points with squared distances D, in the logarithms of the hyperparameters.
fn negative_log_likelihood<'t>(d: Var<'t>, y: Var<'t>, [l, s, sigma]: [Var<'t>; 3]) -> Var<'t> {
    let n = y.rows();
    let k = covariance(d, l, s) + (2.0 * sigma).exp() * d.tape().identity(n);
    let k = k.named("K");
    0.5 * (y.t() * k.solve(y) + k.log_det()) + 0.5 * n as f64 * TAU.ln()
}

/// `s² exp(−D/(2ℓ²))`
fn covariance<'t>(d: Var<'t>, l: Var<'t>, s: Var<'t>) -> Var<'t> {
    (2.0 * s).exp() * (-0.5 * (-2.0 * l).exp() * d).exp()
}

// ---- data ------------------------------------------------------------------------------------------------

/// A function, and what is seen of it.
struct Data {
    x: Vec<f64>,
    y: Mat<f64>,
    function: Waves,
}

impl Data {
    /// The same for the same number.
    fn draw(number: u64) -> Data {
        let seed = 1000 * number;
        let function = Waves::draw(seed);
        let seen = END - (GAP.1 - GAP.0);
        let mut x: Vec<f64> = uniform(POINTS, seed + 1).into_iter().map(|u| u * seen).collect();
        x.iter_mut().filter(|x| **x > GAP.0).for_each(|x| *x += GAP.1 - GAP.0);
        let noise = normal(POINTS, seed + 2);
        let y = Mat::from_fn(POINTS, 1, |i, _| function.at(x[i]) + TRUE[2] * noise[i]);
        Data { x, y, function }
    }
}

/// A draw of the process as a sum of many waves, whose frequencies are normal. (Rahimi and Recht, *Random Features for
/// Large-Scale Kernel Machines*, 2007)
struct Waves(Vec<(f64, f64)>);

impl Waves {
    const COUNT: usize = 1000;

    fn draw(seed: u64) -> Waves {
        let frequencies = normal(Self::COUNT, seed + 3).into_iter().map(|z| z / TRUE[0]);
        Waves(frequencies.zip(uniform(Self::COUNT, seed + 4).into_iter().map(|u| TAU * u)).collect())
    }

    fn at(&self, x: f64) -> f64 {
        let waves = self.0.iter().map(|(frequency, phase)| (frequency * x + phase).cos());
        TRUE[1] * (2.0 / Self::COUNT as f64).sqrt() * waves.sum::<f64>()
    }
}

/// Numbers between 0 and 1.
fn uniform(count: usize, seed: u64) -> Vec<f64> {
    // `random` draws sizes from 0.05 to 1, with a sign.
    check::random::<f64>(count, 1, seed).col(0).iter().map(|x| (x.abs() - 0.05) / 0.95).collect()
}

/// Normal numbers (Box and Muller, 1958).
fn normal(count: usize, seed: u64) -> Vec<f64> {
    let pairs = uniform(count, 100 + seed).into_iter().zip(uniform(count, 200 + seed));
    pairs.map(|(u, v)| (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos()).collect()
}

/// `(aᵢ − bⱼ)²`
fn distances(a: &[f64], b: &[f64]) -> Mat<f64> {
    Mat::from_fn(a.len(), b.len(), |i, j| (a[i] - b[j]).powi(2))
}

// ---- the fit ---------------------------------------------------------------------------------------------

/// What L-BFGS finds for one draw.
struct Fit {
    data: Data,
    /// How far the gradient at the start is from differences, relative.
    differences: f64,
    /// The log-likelihood at the start, at the truth and at the end.
    likelihoods: [f64; 3],
    iterations: u64,
    /// Of the program, and numbers that the solver asked for.
    runs: usize,
    asked: u64,
    /// The largest entry of the gradient at the end, per point.
    slope: f64,
    fitted: [f64; 3],
    /// By how much the logarithms of the fitted are uncertain.
    errors: [f64; 3],
    posterior: Posterior,
    /// The part of the function that is within the band, if the hyperparameters are known, and if they are fitted.
    coverages: [f64; 2],
}

impl Fit {
    fn new<'t>(loss: Var<'t>, logs: &[Var<'t>], data: Data) -> Result<Self, Failure> {
        // Per point, so that the first step of L-BFGS, which goes along the gradient, is not too long.
        let n = POINTS as f64;
        let distances = distances(&data.x, &data.x);
        let problem = Problem::new(loss / n, logs, &[("D", distances.as_ref()), ("y", data.y.as_ref())])?;
        let start = START.map(f64::ln).to_vec();
        let differences = differences(&problem, &start)?;
        let likelihood = |at: &[f64]| -> Result<f64, Failure> { Ok(-n * problem.value_and_gradient(at)?.0) };
        let (truth, before) = (likelihood(&TRUE.map(f64::ln))?, likelihood(&start)?);

        let runs = problem.evaluations();
        let solver = LBFGS::new(MoreThuenteLineSearch::new(), 7).with_tolerance_grad(1e-7)?;
        let result =
            Executor::new(&problem, solver).configure(|state| state.param(start).max_iters(100)).run()?;
        let runs = problem.evaluations() - runs;
        let counts = &result.problem().counts;
        let asked = ["cost_count", "gradient_count"].iter().filter_map(|count| counts.get(*count)).sum();
        let found = result.state().get_best_param().cloned().unwrap_or_else(|| START.map(f64::ln).to_vec());

        let slope = largest(problem.value_and_gradient(&found)?.1.iter().map(|x| x.abs()));
        let fitted = [0, 1, 2].map(|k| found[k].exp());
        let posterior = Posterior::new(&data, fitted)?;
        let coverages = [Posterior::new(&data, TRUE)?.coverage(&data), posterior.coverage(&data)];
        Ok(Fit {
            differences,
            likelihoods: [before, truth, likelihood(&found)?],
            iterations: result.state().get_iter(),
            runs,
            asked,
            slope,
            fitted,
            errors: standard_errors(&problem, &found)?,
            posterior,
            coverages,
            data,
        })
    }

    /// Twice what the log-likelihood gains over that of the truth.
    fn gain(&self) -> f64 {
        2.0 * (self.likelihoods[2] - self.likelihoods[1])
    }

    fn tabulate(&self, table: &mut Table) {
        let [before, truth, after] = self.likelihoods;
        table.add("gradient against differences: relative error", 1, 1e-9, Within::AtMost, self.differences);
        table.found("log-likelihood at the start", 1, before);
        table.add("log-likelihood, fitted, against that of the truth", 1, truth, Within::AtLeast, after);
        table.found("iterations of L-BFGS", 1, self.iterations as f64);
        let pairs = (self.asked / 2) as f64;
        let asked = format!("runs, where {} numbers were asked for", self.asked);
        table.add(asked, 1, pairs, Within::AtMost, self.runs as f64);
        for k in 0..3 {
            let within = Within::Absolute(2.0 * self.errors[k] * self.fitted[k]);
            table.add(format!("{}, within 2 standard errors", NAMES[k]), 1, TRUE[k], within, self.fitted[k]);
        }
        let [inside, outside] = self.posterior.widths();
        table.add("standard deviation in the gap, over s", 1, 1.0, Within::AtMost, inside / self.fitted[1]);
        table.found("standard deviation beside the gap, over noise", 1, outside / self.fitted[2]);
    }
}

/// What holds of many draws. What is allowed is three times the standard deviation of such a mean.
fn together(fits: &[Fit], table: &mut Table) {
    let (runs, draws) = (fits.len(), fits.len() as f64);
    table.all("L-BFGS ends without a slope", runs, fits.iter().filter(|fit| fit.slope < 1e-6).count());
    let mean = |of: &dyn Fn(&Fit) -> f64| fits.iter().map(of).sum::<f64>() / draws;
    for (k, name) in NAMES.iter().enumerate() {
        let close = |fit: &Fit| f64::from((fit.fitted[k] / TRUE[k]).ln().abs() <= 1.96 * fit.errors[k]);
        let within = Within::Absolute(3.0 * (0.95f64 * 0.05 / draws).sqrt());
        table.add(format!("{name}: part within 1.96 standard errors"), runs, 0.95, within, mean(&close));
    }
    let within = Within::Absolute(3.0 * (6.0 / draws).sqrt());
    table.add("twice the gain over the truth, mean", runs, 3.0, within, mean(&Fit::gain));
    let coverage = mean(&|fit| fit.coverages[0]);
    let variance = mean(&|fit| (fit.coverages[0] - coverage).powi(2));
    let within = Within::Absolute(3.0 * (variance / draws).sqrt());
    table.add("part of the function within the band, truth known", runs, 0.95, within, coverage);
    table.found("part of the function within the band, fitted", runs, mean(&|fit| fit.coverages[1]));
}

/// How far the gradient is from central differences of fourth order, relative.
fn differences(problem: &Problem<'_, f64>, at: &[f64]) -> Result<f64, Failure> {
    const STEP: f64 = 1e-3;
    let gradient = problem.value_and_gradient(at)?.1;
    let value = |k: usize, steps: f64| -> Result<f64, Failure> {
        let mut at = at.to_vec();
        at[k] += steps * STEP;
        Ok(problem.value_and_gradient(&at)?.0)
    };
    let mut errors = Vec::new();
    for (k, slope) in gradient.iter().enumerate() {
        let near = value(k, 1.0)? - value(k, -1.0)?;
        let far = value(k, 2.0)? - value(k, -2.0)?;
        errors.push((8.0 * near - far) / (12.0 * STEP) - slope);
    }
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    Ok(norm(&errors) / norm(&gradient))
}

/// The roots of the diagonal of the inverse Hessian, which is that of all points.
fn standard_errors(problem: &Problem<'_, f64>, at: &[f64]) -> Result<[f64; 3], Failure> {
    let n = at.len();
    let hessian = argmin::core::Hessian::hessian(problem, &at.to_vec())?;
    let unit = |k: usize| (0..n).map(|i| f64::from(u8::from(i == k))).collect::<Vec<_>>();
    let columns = (0..n).map(|k| hessian.product(&unit(k))).collect::<Result<Vec<_>, _>>()?;
    let dense = Mat::from_fn(n, n, |i, j| POINTS as f64 * columns[j][i]);
    let tape = Tape::new();
    let inverse = evaluate(&[tape.input("H", (n, n)).inv()], &[("H", dense.as_ref())])?.remove(0);
    Ok([0, 1, 2].map(|k| inverse[(k, k)].sqrt()))
}

// ---- what the process says -------------------------------------------------------------------------------

/// Number of places at which it is asked.
const GRID: usize = 241;

fn grid() -> Vec<f64> {
    (0..GRID).map(|i| END * i as f64 / (GRID - 1) as f64).collect()
}

/// Mean and standard deviation of the function on the grid, given what was seen.
struct Posterior {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Posterior {
    fn new(data: &Data, hyperparameters: [f64; 3]) -> Result<Self, Failure> {
        let tape = Tape::new();
        let [l, s, sigma] = logarithms(&tape);
        let (d, y) = (tape.symmetric("D", POINTS), tape.input("y", (POINTS, 1)));
        let cross = covariance(tape.input("E", (POINTS, GRID)), l, s);
        let k = covariance(d, l, s) + (2.0 * sigma).exp() * tape.identity(POINTS);
        let mean = cross.t() * k.solve(y);
        let explained = (cross.t() * k.solve(cross)).diagonal();
        let deviation = ((2.0 * s).exp() * tape.ones((GRID, 1)) - explained).sqrt();

        let (near, far) = (distances(&data.x, &data.x), distances(&data.x, &grid()));
        let values = hyperparameters.map(|x| mat![[x.ln()]]);
        let named = LOGARITHMS.into_iter().zip(values.iter().map(Mat::as_ref));
        let bound: Vec<(&str, MatRef<'_, f64>)> =
            named.chain([("D", near.as_ref()), ("E", far.as_ref()), ("y", data.y.as_ref())]).collect();
        let outputs = evaluate(&optimize(&[mean, deviation], &[])?, &bound)?;
        let column = |m: &Mat<f64>| m.col(0).iter().copied().collect();
        Ok(Posterior { mean: column(&outputs[0]), deviation: column(&outputs[1]) })
    }

    /// The part of the grid on which the function is within two standard deviations.
    fn coverage(&self, data: &Data) -> f64 {
        let within = |(x, (mean, deviation)): &(f64, (&f64, &f64))| {
            (data.function.at(*x) - *mean).abs() <= 1.96 * **deviation
        };
        let places = grid().into_iter().zip(self.mean.iter().zip(&self.deviation));
        places.filter(within).count() as f64 / GRID as f64
    }

    /// The largest deviation in the gap, and the median outside.
    fn widths(&self) -> [f64; 2] {
        let in_gap = |x: f64| x > GAP.0 && x < GAP.1;
        let (inside, outside): (Vec<_>, Vec<_>) =
            grid().into_iter().zip(&self.deviation).partition(|(x, _)| in_gap(*x));
        let mut outside: Vec<f64> = outside.into_iter().map(|(_, deviation)| *deviation).collect();
        outside.sort_by(f64::total_cmp);
        let median = outside.get(outside.len() / 2).copied().unwrap_or(f64::NAN);
        [largest(inside.into_iter().map(|(_, deviation)| *deviation)), median]
    }

    fn panel(&self, data: &Data, title: String) -> Panel {
        let places = || grid().into_iter().zip(self.mean.iter().zip(&self.deviation));
        let band =
            places().map(|(x, (mean, deviation))| (x, mean - 1.96 * deviation, mean + 1.96 * deviation));
        let seen = data.x.iter().zip(data.y.col(0).iter()).map(|(x, y)| (*x, *y));
        let curves = vec![
            Curve::band("95 % band", band).coloured(0),
            Curve::new("mean", places().map(|(x, (mean, _))| (x, *mean))).coloured(0),
            Curve::reference("true function", grid().into_iter().map(|x| (x, data.function.at(x)))),
            Curve::scatter("seen", seen).coloured(1),
        ];
        Panel { curves, ..Panel::new(title, "x", "f(x)") }
    }
}
