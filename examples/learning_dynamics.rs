//! How a deep linear network learns: exact solutions against gradient flow.
//!
//! Saxe, McClelland and Ganguli, *Exact solutions to the nonlinear dynamics of learning in deep linear neural
//! networks* ([arXiv:1312.6120](https://arxiv.org/abs/1312.6120)). The inputs are whitened, `X Xᵀ / N = I`, and
//! `Σ = Y Xᵀ / N = U Diag(s) Vᵀ`. Gradient flow on `1/(2N) ‖W_D ⋯ W_1 X − Y‖²` is
//!
//! ```text
//! dW_k/dt = (W_D ⋯ W_{k+1})ᵀ (Σ − W_D ⋯ W_1) (W_{k−1} ⋯ W_1)ᵀ
//! ```
//!
//! in time units τ. Nothing below states it: all gradients are derived by Pullback.
//!
//! **Two layers.** If W_1 and W_2 begin aligned with U and V, every mode `u = uᵢᵀ W_2 W_1 vᵢ` goes its own way,
//! `du/dt = 2 u (s − u)`, and so
//!
//! ```text
//! u(t) = s e^{2st} / (e^{2st} − 1 + s/u₀),   half of s is learned at t = ln(s/u₀ − 1) / (2s).
//! ```
//!
//! A small random start is not aligned. As long as all modes are small, `a = W_1 vᵢ` and `b = W_2ᵀ uᵢ` follow
//! `da/dt = s b`, `db/dt = s a`: what grows is `cᵢ = (a + b)/2`, and `u ≈ ‖cᵢ‖² e^{2st}`. The same curve with `u₀ = ‖cᵢ‖²`, each
//! mode *alone*, is a rough approximation, however small the start. For a mode that is learned drives what the others share with
//! it out of the hidden units: what remains of cᵢ is orthogonal to those of all stronger modes. With
//! `(c₁, c₂, …) = Q R`, strongest first, that is `u₀ = Rᵢᵢ²`: the modes *in turn*. This becomes exact as the start becomes small,
//! by as much as a mode is still small when the one before it is learned: the error goes as `ε^{2(1 − sᵢ₊₁/sᵢ)}`. (That is an
//! argument and not a proof, beside what the paper solves exactly; it is measured below.)
//!
//! **Any depth.** `W_{k+1}ᵀ W_{k+1} − W_k W_kᵀ` is conserved along the flow. An integrator of order p with step η lets it
//! drift by `O(η^p)`.
//!
//! **The best learning rate** is about one over the largest eigenvalue of the Hessian on the way. From an aligned and balanced
//! start that grows to `D s^{2(D−1)/D}`, with the largest s, at the end: there the Hessian is `JᵀJ`, and `J Jᵀ` has the
//! eigenvalues `Σ_k sᵢ^{2(D−k)/D} sⱼ^{2(k−1)/D}`. The paper (§3, where the number of layers N_l = D + 1 counts the input) puts it
//! as a rate of `O(1/(N_l s²))`. Gradient descent near the minimum settles below twice that rate, and not above.
//!
//! ```text
//! cargo run --release --example learning_dynamics -- --help
//! ```

use pullback::check::random;
use pullback::faer::{Mat, Scale as Times};
use pullback::losses;
use pullback_examples::cli::{self, Example, Failure};
use pullback_examples::network::{Layers, Network, moved, product};
use pullback_examples::plot::{self, Curve, Panel, Scale, slope};
use pullback_examples::table::{Table, Within, largest};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

const EXAMPLE: Example = Example {
    name: "learning_dynamics",
    about: "Deep linear networks learn as predicted: modes in time, what is conserved, how fast one may go.",
};

fn main() -> ExitCode {
    EXAMPLE.main(run)
}

fn run(svg: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::default();
    let aligned = aligned_modes(&mut table)?;
    let times = learning_times(&aligned, &mut table);
    let random = random_modes(&mut table)?;
    let drift = conserved(&mut table)?;
    let [curvature, rates] = learning_rates(&mut table)?;
    table.print(out)?;

    let panels = [
        modes_panel("Aligned start: the solution is exact", &aligned, 10.0),
        random,
        times,
        drift,
        curvature,
        rates,
    ];
    cli::save(&plot::grid(&panels, 2), svg, out)?;
    table.check()
}

// ---- data ------------------------------------------------------------------------------------------------

/// Samples whose inputs are whitened, and the singular value decomposition of their correlation.
struct Task {
    x: Mat<f64>,
    y: Mat<f64>,
    u: Mat<f64>,
    s: Vec<f64>,
    v: Mat<f64>,
}

impl Task {
    /// As many modes as inputs and outputs, with these strengths.
    fn new(s: &[f64]) -> Task {
        let (n, samples) = (s.len(), 4 * s.len());
        let (u, v) = (orthogonal(n, n, 1), orthogonal(n, n, 2));
        let x = Times((samples as f64).sqrt()) * orthogonal(samples, n, 3).transpose();
        let y = &u * diagonal(s) * v.transpose() * &x;
        Task { x, y, u, s: s.to_vec(), v }
    }

    fn network(&self, depth: usize) -> Result<Network, Failure> {
        Network::compile(&vec![self.s.len(); depth + 1], &self.x, &self.y, losses::squared)
    }

    /// `W_D = U A R_{D−1}ᵀ`, …, `W_1 = R_1 A Vᵀ`, with the strengths A in every layer and any orthogonal R_k: the modes are
    /// decoupled.
    fn aligned(&self, depth: usize, strengths: &[f64]) -> Layers {
        let n = self.s.len();
        let end = |k: usize| match k {
            0 => self.v.clone(),
            k if k == depth => self.u.clone(),
            k => orthogonal(n, n, 10 + k as u64),
        };
        (1..=depth).map(|k| end(k) * diagonal(strengths) * end(k - 1).transpose()).collect()
    }

    /// `uᵢᵀ W vᵢ` of every mode.
    fn modes(&self, layers: &[Mat<f64>]) -> Vec<f64> {
        let strengths = self.u.transpose() * product(layers) * &self.v;
        (0..self.s.len()).map(|i| strengths[(i, i)]).collect()
    }
}

fn orthogonal(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    random::<f64>(rows, cols, seed).qr().compute_thin_Q()
}

fn diagonal(entries: &[f64]) -> Mat<f64> {
    Mat::from_fn(entries.len(), entries.len(), |i, j| if i == j { entries[i] } else { 0.0 })
}

// ---- gradient flow ---------------------------------------------------------------------------------------

/// How `dW/dt = −∇L(W)` is followed.
#[derive(Clone, Copy)]
enum Integrator {
    /// Gradient descent.
    Euler,
    Midpoint,
    RungeKutta,
}

impl Integrator {
    const ALL: [(Integrator, &'static str, i32); 3] = [
        (Integrator::Euler, "gradient descent", 1),
        (Integrator::Midpoint, "midpoint rule", 2),
        (Integrator::RungeKutta, "Runge–Kutta", 4),
    ];

    fn step(self, network: &mut Network, w: &Layers, h: f64) -> Result<Layers, Failure> {
        let mut slope = |w: &Layers| network.gradients(w).map(|(_, gradients)| gradients);
        let g1 = slope(w)?;
        Ok(match self {
            Integrator::Euler => moved(w, -h, &g1),
            Integrator::Midpoint => moved(w, -h, &slope(&moved(w, -h / 2.0, &g1))?),
            Integrator::RungeKutta => {
                let g2 = slope(&moved(w, -h / 2.0, &g1))?;
                let g3 = slope(&moved(w, -h / 2.0, &g2))?;
                let g4 = slope(&moved(w, -h, &g3))?;
                let ends = moved(w, -h / 6.0, &moved(&g1, 1.0, &g4));
                moved(&ends, -h / 3.0, &moved(&g2, 1.0, &g3))
            }
        })
    }
}

/// `s e^{2st} / (e^{2st} − 1 + s/u₀)`
fn sigmoid(s: f64, u0: f64, t: f64) -> f64 {
    // Divided by e^{2st}, which overflows.
    s / (1.0 + (s / u0 - 1.0) * (-2.0 * s * t).exp())
}

/// The strength of every mode over time, and what is predicted of it.
struct Modes {
    s: Vec<f64>,
    u0: Vec<f64>,
    times: Vec<f64>,
    /// Of each moment, of each mode.
    strengths: Vec<Vec<f64>>,
}

/// The step and the end of the flow in which modes are watched: later than any of them is half learned.
const STEP: f64 = 0.01;
const END: f64 = 30.0;

impl Modes {
    fn follow(task: &Task, mut layers: Layers, u0: Vec<f64>) -> Result<Modes, Failure> {
        let mut network = task.network(2)?;
        let mut modes = Modes { s: task.s.clone(), u0, times: Vec::new(), strengths: Vec::new() };
        for step in 0..=(END / STEP) as usize {
            modes.times.push(step as f64 * STEP);
            modes.strengths.push(task.modes(&layers));
            layers = Integrator::RungeKutta.step(&mut network, &layers, STEP)?;
        }
        Ok(modes)
    }

    fn predicted(&self, mode: usize, t: f64) -> f64 {
        sigmoid(self.s[mode], self.u0[mode], t)
    }

    /// The largest distance from the prediction, over time, relative to s.
    fn error(&self, mode: usize) -> f64 {
        let at = |(t, strengths): (&f64, &Vec<f64>)| (strengths[mode] - self.predicted(mode, *t)).abs();
        largest(self.times.iter().zip(&self.strengths).map(at)) / self.s[mode]
    }

    /// When half of s is learned.
    fn half_time(&self, mode: usize) -> f64 {
        let half = self.s[mode] / 2.0;
        let after = self.strengths.iter().position(|strengths| strengths[mode] >= half);
        let Some(k) = after.filter(|k| *k > 0) else { return f64::NAN };
        let [before, after] = [k - 1, k].map(|k| self.strengths[k][mode]);
        self.times[k - 1] + STEP * (half - before) / (after - before)
    }

    /// `ln(s/u₀ − 1)`
    fn logarithm(&self, mode: usize) -> f64 {
        (self.s[mode] / self.u0[mode] - 1.0).ln()
    }

    fn predicted_half_time(&self, mode: usize) -> f64 {
        self.logarithm(mode) / (2.0 * self.s[mode])
    }

    /// By how much later half of s is learned than predicted, in units of the time `1/2s` in which the mode grows by e.
    fn lateness(&self, mode: usize) -> f64 {
        2.0 * self.s[mode] * (self.half_time(mode) - self.predicted_half_time(mode))
    }
}

// ---- 1: modes over time ----------------------------------------------------------------------------------

/// How strong the modes of the correlation are.
const STRENGTHS: [f64; 6] = [4.0, 2.8, 2.0, 1.4, 1.0, 0.7];
/// How strong they are in the network at first.
const START: f64 = 1e-3;

fn aligned_modes(table: &mut Table) -> Result<Modes, Failure> {
    let task = Task::new(&STRENGTHS);
    let layers = task.aligned(2, &[START.sqrt(); STRENGTHS.len()]);
    let modes = Modes::follow(&task, layers, vec![START; STRENGTHS.len()])?;
    let worst = largest((0..STRENGTHS.len()).map(|mode| modes.error(mode)));
    table.add(
        "aligned start: largest |a(t) − u(t)| / s",
        STRENGTHS.len(),
        0.0,
        Within::Absolute(1e-6),
        worst,
    );
    Ok(modes)
}

fn modes_panel(title: &str, modes: &Modes, until: f64) -> Panel {
    let moments = || (0..modes.times.len()).step_by(5).take_while(|k| modes.times[*k] <= until);
    let curve = |mode: usize| {
        let points = moments().map(|k| (modes.times[k], modes.strengths[k][mode]));
        Curve::new(format!("s = {}", modes.s[mode]), points)
    };
    let prediction = |mode: usize| {
        let label = if mode == 0 { "u(t)" } else { "" };
        Curve::reference(label, moments().map(|k| (modes.times[k], modes.predicted(mode, modes.times[k]))))
    };
    let all = || 0..modes.s.len();
    Panel {
        curves: all().map(curve).chain(all().map(prediction)).collect(),
        ..Panel::new(title, "t / τ", "strength of a mode")
    }
}

/// Half-times follow `1/s`, up to a logarithm.
fn learning_times(modes: &Modes, table: &mut Table) -> Panel {
    let all = || 0..modes.s.len();
    let against_s =
        |time: &dyn Fn(usize) -> f64| all().map(|mode| (modes.s[mode], time(mode))).collect::<Vec<_>>();
    let measured = against_s(&|mode| modes.half_time(mode));
    let predicted = against_s(&|mode| modes.predicted_half_time(mode));
    let scaled = against_s(&|mode| modes.half_time(mode) / modes.logarithm(mode));
    let runs = modes.s.len();
    let exponent = "exponent in s of the time to half strength";
    table.add(exponent, runs, slope(&predicted), Within::Relative(1e-3), slope(&measured));
    table.add(format!("{exponent}, over ln(s/u₀ − 1)"), runs, -1.0, Within::Absolute(1e-3), slope(&scaled));

    // The line through what is predicted of many s.
    let line = (0..=60).map(|k| 0.5 * 10f64.powf(f64::from(k) / 60.0));
    let line = line.map(|s| (s, (s / START - 1.0).ln() / (2.0 * s)));
    Panel {
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        curves: vec![
            Curve::scatter("measured", measured),
            Curve::reference("ln(s/u₀ − 1) / 2s", line),
            Curve::scatter("measured / ln(s/u₀ − 1)", scaled),
            Curve::reference("1/2s", [0.5, 5.0].map(|s| (s, 0.5 / s))),
        ],
        ..Panel::new(
            "Strong modes are learned first: times go as 1/s",
            "singular value s",
            "t / τ to half strength",
        )
    }
}

// ---- 2: a start that is not aligned ----------------------------------------------------------------------

/// The entries at a random start are at most so large, in turn; the first is drawn.
const SMALL: [f64; 3] = [1e-2, 1e-4, 1e-6];
const RANDOM_RUNS: u64 = 10;

fn random_modes(table: &mut Table) -> Result<Panel, Failure> {
    let task = Task::new(&STRENGTHS);
    let n = task.s.len();
    // Of the two modes that are closest to each other.
    let order = 2.0 * (1.0 - largest(STRENGTHS.windows(2).map(|pair| pair[1] / pair[0])));
    let (mut errors, mut in_order, mut shown) = (Vec::new(), 0, None);
    for small in SMALL {
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for seed in 0..RANDOM_RUNS {
            let layers: Layers =
                (0..2).map(|k| Times(small) * random::<f64>(n, n, 100 + 2 * seed + k)).collect();
            let sums = &layers[0] * &task.v + layers[1].transpose() * &task.u;
            let r = sums.qr().R().to_owned();
            let u0_alone = squared(|i| sums.col(i).norm_l2() / 2.0, n);
            let mut modes = Modes::follow(&task, layers, u0_alone.clone())?;
            alone.extend((0..n).map(|mode| modes.lateness(mode).abs()));
            modes.u0 = squared(|i| r[(i, i)] / 2.0, n);
            together.extend((0..n).map(|mode| modes.lateness(mode).abs()));
            in_order += usize::from((0..n).map(|mode| modes.half_time(mode)).is_sorted());
            shown.get_or_insert((modes, u0_alone));
        }
        let what = format!("random start of size {small:.0e}, half-time in 1/2s:");
        table.found(format!("{what} median error, each mode alone"), alone.len(), median(&mut alone));
        let worst = largest(together.iter().copied());
        table.add(
            format!("{what} largest error, in turn"),
            together.len(),
            0.0,
            Within::Absolute(3.0 * small.powf(order)),
            worst,
        );
        errors.push((small, worst));
    }
    let (what, runs) = ("exponent in the size of the start of that error", SMALL.len());
    table.add(what, runs, order, Within::Absolute(0.05), slope(&errors));
    let runs = SMALL.len() * RANDOM_RUNS as usize;
    table.all("random start: stronger modes are learned earlier", runs, in_order);
    let title = "Random start: one mode in turn after the other";
    let Some((modes, u0_alone)) = shown else { return Ok(Panel::new(title, "", "")) };
    let mut panel = modes_panel(title, &modes, 15.0);
    for (mode, (s, u0)) in modes.s.iter().zip(u0_alone).enumerate() {
        let line = (0..=150).map(|k| 0.1 * f64::from(k)).map(|t| (t, sigmoid(*s, u0, t)));
        panel.curves.push(Curve::reference(if mode == 0 { "each alone" } else { "" }, line).coloured(mode));
    }
    Ok(panel)
}

fn squared(of: impl Fn(usize) -> f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| of(i) * of(i)).collect()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

// ---- 3: what is conserved --------------------------------------------------------------------------------

/// `W_{k+1}ᵀ W_{k+1} − W_k W_kᵀ` of neighbouring layers.
fn balance(layers: &[Mat<f64>]) -> Layers {
    layers.windows(2).map(|pair| pair[1].transpose() * &pair[1] - &pair[0] * pair[0].transpose()).collect()
}

/// How far the balances move in a flow of a deeper network from a random start, with steps that are halved again and again.
fn conserved(table: &mut Table) -> Result<Panel, Failure> {
    const DEPTH: usize = 4;
    const TIME: f64 = 2.0;
    let task = Task::new(&[2.0, 1.5, 1.0]);
    let mut network = task.network(DEPTH)?;
    let start: Layers = (0..DEPTH as u64).map(|k| Times(0.6) * random::<f64>(3, 3, 50 + k)).collect();
    let initial = balance(&start);
    let mut curves = Vec::new();
    for (colour, (integrator, name, order)) in Integrator::ALL.into_iter().enumerate() {
        let mut drifts = Vec::new();
        for steps in [50, 100, 200, 400, 800] {
            let h = TIME / f64::from(steps);
            let mut layers = start.clone();
            for _ in 0..steps {
                layers = integrator.step(&mut network, &layers, h)?;
            }
            let drift = moved(&balance(&layers), -1.0, &initial);
            drifts.push((h, drift.iter().map(|m| m.squared_norm_l2()).sum::<f64>().sqrt()));
        }
        // Where steps are short the order shows best.
        let fitted = slope(&drifts[2..]);
        let what = format!("drift of Wₖ₊₁ᵀWₖ₊₁ − WₖWₖᵀ: order in the step, {name}");
        table.add(what, 3, f64::from(order), Within::Absolute(0.1), fitted);
        if let Some(&(h0, d0)) = drifts.last() {
            let label = if colour == 0 { "η, η², η⁴" } else { "" };
            let line = drifts.iter().map(|(h, _)| (*h, d0 * (h / h0).powi(order))).collect::<Vec<_>>();
            curves.push(Curve::reference(label, line));
        }
        curves.push(Curve::scatter(format!("{name} (fitted: {fitted:.2})"), drifts).coloured(colour));
    }
    Ok(Panel {
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        curves,
        ..Panel::new("Depth 4: what is conserved drifts with the step", "step η", "drift of the balances")
    })
}

// ---- 4: how fast one may go ------------------------------------------------------------------------------

/// The numbers of weight matrices, and the strengths of the stronger of two modes.
const DEPTHS: [usize; 6] = [2, 3, 4, 5, 6, 8];
const SIZES: [f64; 4] = [0.7, 1.0, 2.0, 4.0];

/// The steps in which everything is learned.
const LONG: usize = 8000;

/// `D s^{2(D−1)/D}`
fn predicted_curvature(depth: usize, s: f64) -> f64 {
    depth as f64 * s.powf(2.0 * (depth - 1) as f64 / depth as f64)
}

/// The largest eigenvalue of the Hessian on the way, relative to the prediction, against what is learned of the strongest mode;
/// and whether gradient descent settles just below twice the best rate, and leaves just above it.
struct Way {
    curvature: Vec<(f64, f64)>,
    largest: f64,
    settles: bool,
    leaves: bool,
}

fn way(depth: usize, s: f64) -> Result<Way, Failure> {
    // The stronger of two modes has half of what it needs in each layer.
    let task = Task::new(&[s, s / 2.0]);
    let ends = [s, s / 2.0].map(|s| s.powf(1.0 / depth as f64));
    let mut layers = task.aligned(depth, &ends.map(|end| 0.5 * end));
    let mut network = task.network(depth)?;
    let predicted = predicted_curvature(depth, s);
    let mut curvature = Vec::new();
    let mut most = f64::NEG_INFINITY;
    let mut seen = f64::NEG_INFINITY;
    for step in 0..=LONG {
        // It is looked at whenever something has been learned, and at the end.
        let learned = task.modes(&layers)[0] / s;
        if learned - seen >= 0.02 || step == LONG {
            let top = network.extremes(&layers)?.largest.value;
            most = largest([most, top]);
            curvature.push((learned, top / predicted));
            seen = learned;
        }
        // Gradient descent at a twentieth of the best rate.
        layers = Integrator::Euler.step(&mut network, &layers, 0.05 / predicted)?;
    }
    let settles = !strays(&mut network, &task.aligned(depth, &ends), 1.9 / most)?;
    let leaves = strays(&mut network, &task.aligned(depth, &ends), 2.1 / most)?;
    Ok(Way { curvature, largest: most, settles, leaves })
}

/// Whether gradient descent from next to a minimum makes the loss larger.
fn strays(network: &mut Network, minimum: &Layers, rate: f64) -> Result<bool, Failure> {
    let aside: Layers = (0u64..).zip(minimum).map(|(k, w)| random(w.nrows(), w.ncols(), 70 + k)).collect();
    let mut layers = moved(minimum, 1e-6, &aside);
    let (first, _) = network.gradients(&layers)?;
    let mut loss = first;
    for _ in 0..300 {
        let (now, gradients) = network.gradients(&layers)?;
        loss = now;
        if loss.is_nan() || loss > 1e3 * first {
            return Ok(true);
        }
        layers = moved(&layers, -rate, &gradients);
    }
    Ok(loss > first)
}

fn learning_rates(table: &mut Table) -> Result<[Panel; 2], Failure> {
    let mut ways = Vec::new();
    for depth in DEPTHS {
        for s in SIZES {
            ways.push((depth, s, way(depth, s)?));
        }
    }
    let runs = ways.len();
    let error =
        |(depth, s, way): &(usize, f64, Way)| (way.largest / predicted_curvature(*depth, *s) - 1.0).abs();
    let worst = largest(ways.iter().map(error));
    table.add(
        "largest λ on the way: relative error of D s^(2−2/D)",
        runs,
        0.0,
        Within::Absolute(1e-6),
        worst,
    );
    let rate = |way: &Way| 1.0 / way.largest;
    let over_s = |depth| {
        let points = ways.iter().filter(move |(d, ..)| *d == depth);
        points.map(|(_, s, way)| (*s, rate(way))).collect::<Vec<_>>()
    };
    let at_one = ways.iter().filter(|(_, s, _)| *s == 1.0).map(|(d, _, way)| (*d as f64, rate(way)));
    let in_depth = slope(&at_one.collect::<Vec<_>>());
    table.add("exponent in D of the best rate, s = 1", DEPTHS.len(), -1.0, Within::Absolute(1e-3), in_depth);
    for depth in DEPTHS {
        let predicted = -2.0 + 2.0 / depth as f64;
        let what = format!("exponent in s of the best rate, D = {depth} (−2 in the limit)");
        table.add(what, SIZES.len(), predicted, Within::Absolute(1e-3), slope(&over_s(depth)));
    }
    let count = |of: fn(&Way) -> bool| ways.iter().filter(|(.., way)| of(way)).count();
    table.all("gradient descent at 1.9/λ settles", runs, count(|way| way.settles));
    table.all("gradient descent at 2.1/λ leaves", runs, count(|way| way.leaves));

    let shown = ways.iter().filter(|(_, s, _)| *s == 2.0);
    let paths = shown.map(|(d, _, way)| Curve::new(format!("D = {d}"), way.curvature.iter().copied()));
    let law = DEPTHS.iter().enumerate().map(|(k, &depth)| {
        let line = (0..=40).map(|k| 0.6 * 8f64.powf(f64::from(k) / 40.0));
        let label = if k == 0 { "1 / (D s^(2−2/D))" } else { "" };
        Curve::reference(label, line.map(|s| (s, 1.0 / predicted_curvature(depth, s))))
    });
    let points = DEPTHS.iter().map(|&depth| Curve::scatter(format!("D = {depth}"), over_s(depth)));
    Ok([
        Panel {
            curves: paths.chain([Curve::reference("predicted maximum", [(0.0, 1.0), (1.0, 1.0)])]).collect(),
            ..Panel::new(
                "The Hessian is most curved where all is learned, s = 2",
                "learned part of the strongest mode, u/s",
                "largest λ / (D s^(2−2/D))",
            )
        },
        Panel {
            x_scale: Scale::Log,
            y_scale: Scale::Log,
            curves: law.chain(points).collect(),
            ..Panel::new(
                "The best rate falls with depth and strength",
                "singular value s",
                "1 / largest λ on the way",
            )
        },
    ])
}
