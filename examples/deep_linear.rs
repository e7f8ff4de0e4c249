//! A deep linear network, `L(W_L ⋯ W_1 X)`, on handwritten digits.
//!
//! A column of X is a sample: the pixels of an image, and a 1 that makes the first layer affine. The gradients
//! have a closed form (Laurent and von Brecht, *Deep linear neural networks with arbitrary loss: all local
//! minima are global*, [arXiv:1712.01473](https://arxiv.org/abs/1712.01473)): `W_{k+1:}ᵀ ∇L(P) W_{:k}ᵀ`, with
//! the product P of everything, of what comes after layer k and of what comes before it. Nothing in Pullback
//! knows about it. This program
//!
//! 1. prints the loss and the gradients that come out, as formulas,
//! 2. prints how one of them is derived,
//! 3. prints the plan by which they are computed, instruction by instruction,
//! 4. compares them, number by number, with the closed form, and puts them to the Taylor test,
//! 5. learns to read digits with them,
//! 6. and draws how the learning went.
//!
//! ```text
//! cargo run --release --example deep_linear -- --help
//! ```

use indicatif::{ProgressBar, ProgressStyle};
use pullback::errors::{EngineError, RulesError};
use pullback::faer::{Mat, MatRef, Scale as Times, unzip, zip};
use pullback::{Scalar, prelude::*};
use pullback_examples::digits::{self, CLASSES, Digits, FEATURES, Samples};
use pullback_examples::plot::{self, Curve, Panel, Scale};
use smallvec::SmallVec;
use std::io::{self, ErrorKind, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which digits are held out is the same in every run: results can be compared.
const SPLIT: u64 = 1998;

/// How far the layers together go in a step of gradient descent. Each takes its share, for the deeper the
/// network, the more curved is its loss.
const RATE: f64 = 0.4;

/// How much of the last step remains in the next (Polyak, 1964).
const MOMENTUM: f64 = 0.9;

/// How often the network is looked at while it learns.
const MOMENTS: usize = 100;

/// How far the observed order of a Taylor test may be from 2.
const ORDER_TOLERANCE: f64 = 0.1;

/// The steps of the program, in the order in which they are printed.
fn run<T: Scalar>(options: &Options, out: &mut impl Write) -> Result<(), Failure> {
    let digits = Digits::read(&options.data)?;
    let (train, held_out) = digits.split::<T>(SPLIT);
    writeln!(out, "{} digits to learn from, {} held out\n", train.len(), held_out.len())?;

    let tape = Tape::new();
    let network = Network::record(&tape, options, train.len());
    print_formulas(&network, out)?;
    print_derivations(&network, out)?;
    print_plan::<T>(&network, out)?;

    let mut layers = options.initial_layers::<T>();
    check_gradients(&network, &layers, &train, out)?;

    let history = learn(&network, &mut layers, &train, &held_out, options)?;
    print_results(&history, out)?;

    let write = std::fs::write(&options.svg, plot::svg(&panels::<T>(&history, &layers, options)));
    write.map_err(|error| Failure::Picture(options.svg.clone(), error))?;
    Ok(writeln!(out, "Drawn in {}", options.svg.display())?)
}

// ---- the network -----------------------------------------------------------------------------------------

/// The network as it stands on a tape: what is computed, without any numbers.
struct Network<'t> {
    kind: Loss,
    /// `W_1`, …, `W_L`, by which the samples are multiplied in this order.
    weights: Vec<Var<'t>>,
    /// `P = W_L ⋯ W_1 X`, a column of scores for every sample.
    output: Var<'t>,
    /// `L(P)`
    loss: Var<'t>,
}

impl<'t> Network<'t> {
    fn record(tape: &'t Tape, options: &Options, samples: usize) -> Self {
        let weight = |(k, shape)| tape.input(&name(k), shape);
        let weights: Vec<_> = options.shapes().enumerate().map(weight).collect();
        let x = tape.input("X", (FEATURES, samples));
        let y = tape.input("Y", (CLASSES, samples));
        let output = weights.iter().fold(x, |product, &w| w * product);
        Network { kind: options.loss, loss: options.loss.of(output, y), weights, output }
    }
}

/// A layer's matrix, what it is called on the tape, and the step that it took last.
struct Layer<T> {
    name: String,
    weight: Mat<T>,
    velocity: Mat<T>,
}

fn name(k: usize) -> String {
    format!("W{}", k + 1)
}

/// What a program's inputs are bound to: a short list of views, which needs no allocation in networks that are
/// not too deep.
type Bindings<'a, T> = SmallVec<[(&'a str, MatRef<'a, T>); 10]>;

fn bind<'a, T>(layers: &'a [Layer<T>], samples: &'a Samples<T>) -> Bindings<'a, T> {
    let weights = layers.iter().map(|layer| (layer.name.as_str(), layer.weight.as_ref()));
    weights.chain([("X", samples.x.as_ref()), ("Y", samples.y.as_ref())]).collect()
}

// ---- 1 and 2: formulas -----------------------------------------------------------------------------------

/// The network with an arbitrary loss: `L(W_L ⋯ W_1)`.
fn touchstone<'t>(network: &Network<'t>) -> Var<'t> {
    let tape = network.loss.tape();
    tape.function("L", network.weights.iter().fold(tape.identity(FEATURES), |product, &w| w * product))
}

fn print_formulas(network: &Network<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let loss = ("The loss and its gradient in every layer", network.loss);
    let arbitrary = ("The same for an arbitrary loss", touchstone(network));
    for (title, loss) in [loss, arbitrary] {
        writeln!(out, "{title}\n  {loss}")?;
        for (w, gradient) in network.weights.iter().zip(gradient(loss, &network.weights)?) {
            writeln!(out, "  ∇{w} = {gradient}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn print_derivations(network: &Network<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let Some(&w) = network.weights.get((network.weights.len() - 1) / 2) else { return Ok(()) };
    for (title, loss) in [("arbitrary", touchstone(network)), ("actual", network.loss)] {
        let steps = derivation(loss, w)?.to_string().replace('\n', "\n  ");
        writeln!(out, "How to derive ∇{w} of the {title} loss\n  {steps}\n")?;
    }
    Ok(())
}

// ---- 3: a plan -------------------------------------------------------------------------------------------

fn print_plan<T: Scalar>(network: &Network<'_>, out: &mut impl Write) -> Result<(), Failure> {
    let plan = compile::<T>(network.loss, &network.weights)?.plan().to_string().replace('\n', "\n  ");
    Ok(writeln!(out, "How the loss (output 0) and its gradients are computed\n  {plan}\n")?)
}

// ---- 4: numbers ------------------------------------------------------------------------------------------

/// The gradients by the closed form `W_{k+1:}ᵀ ∇L(P) W_{:k}ᵀ`, in plain faer.
fn closed_form<T: Scalar>(loss: Loss, layers: &[Layer<T>], samples: &Samples<T>) -> Vec<Mat<T>> {
    // X, W_1 X, W_2 W_1 X, …: what each layer is applied to.
    let mut prefixes = Vec::new();
    let mut product = samples.x.clone();
    for layer in layers {
        let next = &layer.weight * &product;
        prefixes.push(std::mem::replace(&mut product, next));
    }
    let gradient = loss.gradient(product, &samples.y);

    let mut suffix = Mat::identity(CLASSES, CLASSES);
    let mut gradients = Vec::new();
    for (layer, prefix) in layers.iter().zip(&prefixes).rev() {
        gradients.push(suffix.transpose() * &gradient * prefix.transpose());
        suffix = suffix * &layer.weight;
    }
    gradients.reverse();
    gradients
}

/// `‖A − B‖ / ‖B‖`
fn relative_error<T: Scalar>(a: MatRef<'_, T>, b: &Mat<T>) -> f64 {
    let distance = (a - b).norm_l2().to_f64();
    if distance == 0.0 { 0.0 } else { distance / b.norm_l2().to_f64() }
}

/// What rounding may make of a gradient, relative to it.
fn tolerance<T: Scalar>() -> f64 {
    if T::EPSILON.to_f64() < 1e-10 { 1e-12 } else { 1e-5 }
}

fn check_gradients<T: Scalar>(
    network: &Network<'_>,
    layers: &[Layer<T>],
    samples: &Samples<T>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let inputs = bind(layers, samples);
    let derived = evaluate(&gradient(network.loss, &network.weights)?, &inputs)?;
    let closed = closed_form(network.kind, layers, samples);

    writeln!(out, "layer   shape   distance from the closed form   order of the Taylor remainder")?;
    let mut wrong = Vec::new();
    for (((&w, layer), derived), closed) in network.weights.iter().zip(layers).zip(&derived).zip(&closed) {
        let error = relative_error(derived.as_ref(), closed);
        let order = check::taylor(network.loss, w, &inputs)?.order;
        let shape = w.shape().to_string();
        writeln!(out, "{:<5} {shape:>7}   {error:<29.1e}   {order:.3}", layer.name)?;
        // Written so that a NaN is wrong.
        if !(error <= tolerance::<T>() && (order - 2.0).abs() <= ORDER_TOLERANCE) {
            wrong.push(layer.name.as_str());
        }
    }
    writeln!(out)?;
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Gradient(wrong.join(", "))) }
}

// ---- 5: learning -----------------------------------------------------------------------------------------

/// What there was to see after some steps.
struct Moment {
    step: usize,
    train: Score,
    held_out: Score,
    /// The relative error of every layer's gradient against the closed form.
    errors: Vec<f64>,
}

/// How well a network does.
struct Score {
    loss: f64,
    accuracy: f64,
}

/// Computes scores on some samples, again and again.
struct Examiner<'s, T: Scalar> {
    program: Program<T>,
    samples: &'s Samples<T>,
}

impl<'s, T: Scalar> Examiner<'s, T> {
    fn new(options: &Options, samples: &'s Samples<T>) -> Result<Self, Failure> {
        let tape = Tape::new();
        let network = Network::record(&tape, options, samples.len());
        Ok(Examiner { program: Program::compile(&[network.loss, network.output])?, samples })
    }

    fn score(&mut self, layers: &[Layer<T>]) -> Result<Score, Failure> {
        let [loss, output] = self.program.run(&bind(layers, self.samples))?.matrices()?;
        Ok(Score { loss: loss[(0, 0)].to_f64(), accuracy: self.samples.accuracy(output) })
    }
}

/// Gradient descent with momentum, every step on all samples.
fn learn<T: Scalar>(
    network: &Network<'_>,
    layers: &mut [Layer<T>],
    train: &Samples<T>,
    held_out: &Samples<T>,
    options: &Options,
) -> Result<Vec<Moment>, Failure> {
    let mut program = compile::<T>(network.loss, &network.weights)?;
    let (mut known, mut unseen) = (Examiner::new(options, train)?, Examiner::new(options, held_out)?);
    let (rate, momentum) = (T::from_f64(RATE / layers.len() as f64), T::from_f64(MOMENTUM));
    let stride = options.steps.div_ceil(MOMENTS).max(1);
    let mut history = Vec::new();

    let bar = progress_bar(options.steps);
    for step in 0..=options.steps {
        let outputs = program.run(&bind(layers, train))?;
        // The first output is the loss.
        let gradients = || outputs.iter().skip(1);
        if step % stride == 0 || step == options.steps {
            let closed = closed_form(network.kind, layers, train);
            let errors = gradients().zip(&closed).map(|(g, closed)| relative_error(g, closed)).collect();
            let (train, held_out) = (known.score(layers)?, unseen.score(layers)?);
            if !train.loss.is_finite() {
                return Err(Failure::Diverged(step));
            }
            bar.set_message(format!("loss {:.4}", train.loss));
            history.push(Moment { step, train, held_out, errors });
        }
        if step == options.steps {
            break;
        }
        // From here to the end of the loop, and in `run`, nothing is allocated.
        for (Layer { weight, velocity, .. }, gradient) in layers.iter_mut().zip(gradients()) {
            zip!(weight, velocity, gradient).for_each(|unzip!(weight, velocity, gradient)| {
                *velocity = momentum * *velocity - rate * *gradient;
                *weight += *velocity;
            });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(history)
}

fn progress_bar(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    match ProgressStyle::with_template("learning {bar:40} {pos}/{len} steps, {msg}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn print_results(history: &[Moment], out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out, "            training: loss, accuracy   held out: loss, accuracy")?;
    for moment in history.iter().take(1).chain(history.iter().skip(1).last()) {
        let row = |score: &Score| format!("{:.4}, {:>5.1} %", score.loss, 100.0 * score.accuracy);
        let steps = format!("{} steps", moment.step);
        writeln!(out, "{steps:>10}  {:>24}   {:>24}", row(&moment.train), row(&moment.held_out))?;
    }
    // Near a minimum a gradient is a small difference of large numbers, of which rounding takes a larger share.
    let worst = history.iter().flat_map(|moment| &moment.errors).fold(0.0, |worst, &error| error.max(worst));
    Ok(writeln!(out, "\nOn the way, no gradient was further than {worst:.1e} from its closed form.")?)
}

// ---- 6: a picture ----------------------------------------------------------------------------------------

fn panels<T: Scalar>(history: &[Moment], layers: &[Layer<T>], options: &Options) -> [Panel; 2] {
    let curve = |label: String, y: &dyn Fn(&Moment) -> f64| {
        Curve::new(label, history.iter().map(|moment| (moment.step as f64, y(moment))))
    };
    let scored = |title: &str, score: fn(&Moment) -> &Score| {
        let accuracy = history.last().map_or(f64::NAN, |last| score(last).accuracy);
        let label = format!("{title} ({:.1} % right)", 100.0 * accuracy);
        curve(label, &|moment| score(moment).loss)
    };
    let layered = layers.iter().enumerate().map(|(k, layer)| {
        curve(layer.name.clone(), &|moment| moment.errors.get(k).copied().unwrap_or(f64::NAN))
    });
    let limit = [0, options.steps].map(|step| (step as f64, tolerance::<T>()));
    let limit = Curve::reference("tolerance before learning", limit);
    [
        Panel {
            curves: vec![
                scored("training", |moment| &moment.train),
                scored("held out", |moment| &moment.held_out),
            ],
            ..Panel::new(
                format!("A linear network of depth {} learns to read digits", options.depth),
                "steps",
                format!("{} loss", options.loss.name()),
            )
        },
        Panel {
            y_scale: Scale::Log,
            curves: layered.chain([limit]).collect(),
            ..Panel::new(
                "Derived gradients against the closed form",
                "steps",
                "relative error (Frobenius norm)",
            )
        },
    ]
}

// ---- losses ----------------------------------------------------------------------------------------------

#[derive(Clone, Copy)]
enum Loss {
    Squared,
    CrossEntropy,
    LogCosh,
}

impl Loss {
    const ALL: [Loss; 3] = [Loss::Squared, Loss::CrossEntropy, Loss::LogCosh];

    fn name(self) -> &'static str {
        match self {
            Loss::Squared => "squared",
            Loss::CrossEntropy => "cross-entropy",
            Loss::LogCosh => "log-cosh",
        }
    }

    /// `L(P)` on the tape.
    fn of<'t>(self, p: Var<'t>, y: Var<'t>) -> Var<'t> {
        match self {
            Loss::Squared => losses::squared(p, y),
            Loss::CrossEntropy => losses::cross_entropy(p, y),
            Loss::LogCosh => losses::log_cosh(p, y),
        }
    }

    /// `∇L(P)` by hand.
    fn gradient<T: Scalar>(self, p: Mat<T>, y: &Mat<T>) -> Mat<T> {
        let per_sample = Times(T::from_f64(1.0 / p.ncols() as f64));
        let tanh = |x: &T| T::from_f64(x.to_f64().tanh());
        per_sample
            * match self {
                Loss::Squared => p - y,
                Loss::CrossEntropy => softmax(p) - y,
                Loss::LogCosh => zip!(&(p - y)).map(|unzip!(residual)| tanh(residual)),
            }
    }
}

/// `eᶻ / Σ eᶻ` in every column.
fn softmax<T: Scalar>(mut z: Mat<T>) -> Mat<T> {
    for j in 0..z.ncols() {
        let column = z.col_as_slice_mut(j);
        // Softmax is the same for z − max z, whose exponentials do not overflow.
        let top = column.iter().copied().fold(column[0], |top, z| if z > top { z } else { top });
        column.iter_mut().for_each(|z| *z = (*z - top).exp());
        let total = column.iter().fold(T::default(), |total, &z| total + z);
        column.iter_mut().for_each(|z| *z /= total);
    }
    z
}

// ---- the command line ------------------------------------------------------------------------------------

const HELP: &str = "\
A deep linear network learns to read digits; its gradients are derived, printed, checked and drawn.

Usage: cargo run --release --example deep_linear -- [OPTIONS]

  --depth N    number of matrices (4)
  --width N    number of rows of all but the last (32)
  --loss NAME  squared, cross-entropy or log-cosh (cross-entropy)
  --steps N    steps of gradient descent (200)
  --seed N     where the matrices begin (1)
  --f32        compute in f32, not f64
  --svg PATH   where to draw (deep_linear.svg)
  --data PATH  lines of 64 pixels from 0 to 16 and a digit (examples/data/digits.csv)
  --help       print this
";

/// The formulas of a deeper network are longer than anyone reads.
const MAX_DEPTH: u64 = 32;

struct Options {
    depth: usize,
    width: usize,
    loss: Loss,
    steps: usize,
    seed: u64,
    f32: bool,
    svg: PathBuf,
    data: PathBuf,
    help: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            depth: 4,
            width: 32,
            loss: Loss::CrossEntropy,
            steps: 200,
            seed: 1,
            f32: false,
            svg: "deep_linear.svg".into(),
            data: concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.csv").into(),
            help: false,
        }
    }
}

impl Options {
    /// Takes both `--depth 4` and `--depth=4`.
    fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Options::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (flag, attached) = match arg.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            match (flag, &attached) {
                ("--f32", None) => options.f32 = true,
                ("--help" | "-h", None) => options.help = true,
                ("--f32" | "--help" | "-h", Some(_)) => return usage(format!("{flag} takes no value")),
                _ => {
                    let value = || match attached.or_else(|| args.next()) {
                        Some(value) => Ok(value),
                        None => usage(format!("{flag} needs a value")),
                    };
                    match flag {
                        "--depth" => options.depth = number(flag, &value()?, 1..=MAX_DEPTH)? as usize,
                        "--width" => options.width = number(flag, &value()?, 1..=4096)? as usize,
                        "--steps" => options.steps = number(flag, &value()?, 0..=1_000_000)? as usize,
                        "--seed" => options.seed = number(flag, &value()?, 0..=u64::MAX)?,
                        "--loss" => options.loss = loss(flag, &value()?)?,
                        "--svg" => options.svg = value()?.into(),
                        "--data" => options.data = value()?.into(),
                        _ => return usage(format!("there is no option `{arg}`; --help lists them")),
                    }
                }
            }
        }
        Ok(options)
    }

    /// The shape of every matrix, from the first to the last.
    fn shapes(&self) -> impl Iterator<Item = (usize, usize)> {
        let rows = move |k| if k == self.depth { CLASSES } else { self.width };
        (1..=self.depth).map(move |k| (rows(k), if k == 1 { FEATURES } else { self.width }))
    }

    /// Orthogonal matrices, or parts of them: through these no signal grows or fades, however deep the network
    /// (Saxe, McClelland and Ganguli, 2014).
    fn initial_layers<T: Scalar>(&self) -> Vec<Layer<T>> {
        let layer = |(k, (rows, cols)): (usize, (usize, usize))| {
            let seed = self.seed.wrapping_mul(MAX_DEPTH).wrapping_add(k as u64);
            let tall = check::random::<T>(rows.max(cols), rows.min(cols), seed).qr().compute_thin_Q();
            let weight = if rows < cols { tall.transpose().to_owned() } else { tall };
            Layer { name: name(k), weight, velocity: Mat::zeros(rows, cols) }
        };
        self.shapes().enumerate().map(layer).collect()
    }
}

fn number(flag: &str, value: &str, range: RangeInclusive<u64>) -> Result<u64, Failure> {
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => usage(format!(
            "{flag} is a whole number from {} to {}, not `{value}`",
            range.start(),
            range.end()
        )),
    }
}

fn loss(flag: &str, value: &str) -> Result<Loss, Failure> {
    match Loss::ALL.into_iter().find(|loss| loss.name() == value) {
        Some(loss) => Ok(loss),
        None => usage(format!("{flag} is one of {}, not `{value}`", Loss::ALL.map(Loss::name).join(", "))),
    }
}

fn usage<T>(message: String) -> Result<T, Failure> {
    Err(Failure::Usage(message))
}

/// Why the program ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Digits(#[from] digits::Error),
    #[error("cannot write {0}: {1}")]
    Picture(PathBuf, io::Error),
    #[error("the gradient is wrong in {0}")]
    Gradient(String),
    #[error("the loss is no longer finite after {0} steps")]
    Diverged(usize),
    #[error(transparent)]
    Derivative(#[from] RulesError),
    #[error(transparent)]
    Program(#[from] EngineError),
    #[error(transparent)]
    Pullback(#[from] Error),
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl Failure {
    /// 2 is the user's to mend, 1 is not.
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Digits(_) | Failure::Picture(..) => 2,
            _ => 1,
        }
    }
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    let outcome = Options::parse(args).and_then(|options| match options {
        Options { help: true, .. } => Ok(out.write_all(HELP.as_bytes())?),
        Options { f32: true, .. } => run::<f32>(&options, &mut out),
        _ => run::<f64>(&options, &mut out),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough, as in `… | head`.
        Err(Failure::Print(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            // Not `eprintln!`, which panics where there is no stderr.
            let _ = writeln!(io::stderr(), "deep_linear: {failure}");
            failure.exit_code().into()
        }
    }
}
