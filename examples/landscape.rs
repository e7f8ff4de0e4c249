//! The landscape of deep linear networks: where descent ends, and what kind of point that is.
//!
//! Laurent and von Brecht, *Deep linear networks with arbitrary loss: all local minima are global*
//! ([arXiv:1712.01473](https://arxiv.org/abs/1712.01473)). Let `L` be a convex and differentiable function of a matrix, and no
//! hidden layer narrower than both input and output. Then every local minimum of `L(W_D ⋯ W_1)` is global: with
//! `W = W_D ⋯ W_1` it has `∇L(W) = 0`. A stationary point with `∇L(W) ≠ 0` is thus no minimum, and one of two kinds:
//!
//! - a *strict saddle*, where the Hessian has a negative eigenvalue, or
//! - a *degenerate saddle*, where it has none. All layers zero is one from depth 3 on: there even the Hessian vanishes.
//!
//! What the Hessian says at points that are made, not found, is short to derive, with `G = ∇L(W)`:
//!
//! - All layers zero, depth 2: it is `⟨G, ε_2 ε_1⟩` twice, and its eigenvalues are `±σᵢ(G)`.
//! - A stationary point of a network with one unit in each hidden layer, padded to a wide one. With zeros: a strict saddle at
//!   depth 2, with an eigenvalue `≤ −σ_1(G)`, and degenerate from depth 3 on. With an identity between the padded units of inner
//!   layers: strict at every depth, and again `≤ −σ_1(G)`.
//!
//! Then the hypotheses are dropped, one at a time.
//!
//! - **A bottleneck.** One hidden unit between two inputs and two outputs, `X = I`, `Y = Diag(3, 2)`, Huber's loss with δ = 1,
//!   which is 1/2 the sum over residuals. `W = Diag(3, 0)` is best. But at `W = Diag(0, 2)`, from `√2 e_2` in both layers, the
//!   Hessian has the eigenvalues 0 (along which W stays as it is), 1/2, 3/2 and 2: a minimum that is not global. For the squared
//!   loss the same point is a strict saddle with an eigenvalue −1/2 (all minima of that are global, bottleneck or not: Baldi and
//!   Hornik, 1989; Kawaguchi, 2016).
//! - **A loss with kinks.** The paper shows that convex losses that are Lipschitz, but not differentiable, can have minima that are
//!   not global. The one here is worked out for this example: `|W_2 W_1 − Y|₁ / 2` with 2×2 matrices and `Y = e_2 e_1ᵀ`, at
//!   `W_2 = e_1 e_1ᵀ`, `W_1 = e_2 e_2ᵀ`. Near it, with `A = W_2 W_1`, `W_2 = (1+α, p; q, a)` and `W_1 = (b, r; s, 1+β)`,
//!
//!   ```text
//!   A_21 = q/(1+α) A_11 + s/(1+β) A_22 − qs/((1+α)(1+β)) A_12,
//!   ```
//!
//!   so that `|A_21| ≤ |A_11| + |A_22| + |A_12|` as long as `|q| ≤ 1+α`, `|s| ≤ 1+β`: the loss is nowhere below 1/2, its value
//!   there, though its minimum is 0. Round off the kinks, by Huber's loss divided by δ, and the theorem holds again: the point is a
//!   strict saddle with the eigenvalue `(1 − √(1 + 4δ²)) / 4δ ≈ −δ/2`, which tells how the theorem fades as δ → 0.
//!
//! ```text
//! cargo run --release --example landscape -- --help
//! ```

use pullback::check::random;
use pullback::faer::{Mat, Scale as Times, Side, mat};
use pullback::{Var, losses};
use pullback_examples::cli::{self, Example, Failure};
use pullback_examples::network::{Layers, Network, inner, moved, norm, product};
use pullback_examples::plot::{self, Curve, Field, Panel, Scale, slope};
use pullback_examples::table::{Table, Within, largest};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

const EXAMPLE: Example = Example {
    name: "landscape",
    about: "Deep linear networks have no bad minima, and what becomes of that without the theorem's hypotheses.",
};

fn main() -> ExitCode {
    EXAMPLE.main(run)
}

fn run(svg: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = Table::default();
    let (gaps, mut points) = wide_networks(&mut table)?;
    let bottleneck = bottleneck(&mut table, &mut points)?;
    let [kinks, smoothed] = kinks(&mut table)?;
    table.print(out)?;
    let panels = [gaps, spectrum_panel(&points), saddle_slice()?, bottleneck, kinks, smoothed];
    cli::save(&plot::grid(&panels, 2), svg, out)?;
    table.check()
}

// ---- problems --------------------------------------------------------------------------------------------

/// Convex and differentiable functions of predictions. With the targets below they all have minima.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Squared,
    Huber,
    Logistic,
    CrossEntropy,
}

impl Loss {
    const ALL: [Loss; 4] = [Loss::Squared, Loss::Huber, Loss::Logistic, Loss::CrossEntropy];

    fn name(self) -> &'static str {
        match self {
            Loss::Squared => "squared",
            Loss::Huber => "Huber",
            Loss::Logistic => "logistic",
            Loss::CrossEntropy => "cross-entropy",
        }
    }

    fn of<'t>(self, p: Var<'t>, y: Var<'t>) -> Var<'t> {
        match self {
            Loss::Squared => losses::squared(p, y),
            Loss::Huber => losses::huber(p, y, 1.0),
            Loss::Logistic => losses::binary_cross_entropy(p, y),
            Loss::CrossEntropy => losses::cross_entropy(p, y),
        }
    }

    /// Targets for scores `A X` with noise. Probabilities stay away from 0 and 1: where they do not, the infimum may lie at
    /// infinity.
    fn targets(self, scores: &Mat<f64>) -> Mat<f64> {
        let (m, samples) = scores.shape();
        let best = |i: usize, j: usize| (0..m).all(|k| scores[(i, j)] >= scores[(k, j)]);
        Mat::from_fn(m, samples, |i, j| match self {
            Loss::Squared | Loss::Huber => 2.0 * scores[(i, j)],
            Loss::Logistic => 0.5 + 0.45 * scores[(i, j)].signum(),
            Loss::CrossEntropy => (if best(i, j) { 0.9 } else { 0.0 }) + 0.1 / m as f64,
        })
    }
}

/// Data, and a network for them.
struct Problem {
    loss: Loss,
    widths: Vec<usize>,
    x: Mat<f64>,
    y: Mat<f64>,
}

impl Problem {
    /// Random data. Hidden layers have the width of the narrower of input and output, or up to two more.
    fn random(loss: Loss, depth: usize, seed: u64) -> Problem {
        // The softmax of two scores depends on their difference alone: for it, one unit is no bottleneck.
        let fewest = if loss == Loss::CrossEntropy { 3 } else { 2 };
        let [n, m] = [pick(2..=5, seed), pick(fewest..=5, seed + 1)];
        let hidden = |k: usize| n.min(m) + pick(0..=2, seed + 2 + k as u64);
        let mut widths = vec![n];
        widths.extend((1..depth).map(hidden));
        widths.push(m);
        let samples = 6 * n;
        let x = random::<f64>(n, samples, seed + 10);
        let scores = random::<f64>(m, n, seed + 11) * &x + Times(0.5) * random::<f64>(m, samples, seed + 12);
        Problem { loss, widths, y: loss.targets(&scores), x }
    }

    fn depth(&self) -> usize {
        self.widths.len() - 1
    }

    fn with_hidden(&self, width: usize) -> Vec<usize> {
        let last = self.depth();
        self.widths.iter().enumerate().map(|(k, w)| if k == 0 || k == last { *w } else { width }).collect()
    }

    fn network(&self, widths: &[usize]) -> Result<Network, Failure> {
        Network::compile(widths, &self.x, &self.y, |p, y| self.loss.of(p, y))
    }

    /// `L(W)` of a single matrix.
    fn convex(&self) -> Result<Network, Failure> {
        self.network(&[self.x.nrows(), self.y.nrows()])
    }

    /// Random layers, through which signals about keep their size.
    fn start(widths: &[usize], seed: u64) -> Layers {
        let layer = |(k, ends): (u64, &[usize])| {
            Times(1.5 / (ends[0] as f64).sqrt()) * random::<f64>(ends[1], ends[0], seed + k)
        };
        (0..).zip(widths.windows(2)).map(layer).collect()
    }
}

/// A whole number, fixed by the seed.
fn pick(range: std::ops::RangeInclusive<usize>, seed: u64) -> usize {
    let part = (random::<f64>(1, 1, seed)[(0, 0)].abs() - 0.05) / 0.95;
    let count = (range.end() - range.start() + 1) as f64;
    (range.start() + (part * count) as usize).min(*range.end())
}

// ---- the convex problem, by its own method ---------------------------------------------------------------

/// The minimum of the convex `L(W)`, by Newton's method: its systems are solved by conjugate gradients, for which products
/// with the Hessian are enough.
fn convex_minimum(convex: &mut Network, zero: Mat<f64>) -> Result<(f64, f64), Failure> {
    let mut at = vec![zero];
    let (mut value, mut gradient) = convex.gradients(&at)?;
    for _ in 0..100 {
        if norm(&gradient) <= 1e-14 {
            break;
        }
        let direction = newton_direction(convex, &at, &gradient)?;
        let slope = inner(&gradient, &direction);
        // Halved until it is no longer too long; rounding ends the search at the minimum.
        let mut length = 1.0;
        let next = loop {
            let trial = moved(&at, length, &direction);
            let (lower, next) = convex.gradients(&trial)?;
            let falls = lower <= value + 1e-4 * length * slope;
            // By less than rounding shows, close to the minimum: there the gradient tells.
            if falls
                || norm(&next) < 0.5 * norm(&gradient) && lower <= value * (1.0 + 1e-14)
                || length < 1e-10
            {
                break (trial, lower, next);
            }
            length /= 2.0;
        };
        if next.1 > value && norm(&next.2) >= norm(&gradient) {
            break;
        }
        (at, value, gradient) = next;
    }
    Ok((value, norm(&gradient)))
}

/// `−H⁻¹ g`, or as much of it as there is where H is singular.
fn newton_direction(convex: &mut Network, at: &Layers, gradient: &Layers) -> Result<Layers, Failure> {
    let hessian = convex.hessian(at)?;
    let mut solution = moved(gradient, -1.0, gradient);
    let mut residual = moved(&solution, -1.0, gradient);
    let mut direction = residual.clone();
    let mut size = inner(&residual, &residual);
    let end = 1e-24 * size;
    for _ in 0..200 {
        let views: Vec<_> = direction.iter().map(Mat::as_ref).collect();
        let product = hessian.product(&views)?;
        let curvature = inner(&direction, &product);
        if curvature <= 1e-14 * inner(&direction, &direction) {
            break;
        }
        solution = moved(&solution, size / curvature, &direction);
        residual = moved(&residual, -size / curvature, &product);
        let next = inner(&residual, &residual);
        if next <= end {
            break;
        }
        direction = moved(&residual, next / size, &direction);
        size = next;
    }
    // Without any curvature, downhill.
    Ok(if norm(&solution) == 0.0 { moved(&solution, -1.0, gradient) } else { solution })
}

// ---- descent ---------------------------------------------------------------------------------------------

/// Where a descent ended.
struct Descent {
    layers: Layers,
    loss: f64,
    /// The loss after some of the steps.
    history: Vec<(f64, f64)>,
}

/// Beside a minimum where hardly anything is left to learn, descent is slow.
const MOST_STEPS: usize = 400_000;

/// Gradient descent with steps that are halved until the loss falls enough (Armijo, 1966), and then longer again.
fn descend(network: &mut Network, mut layers: Layers) -> Result<Descent, Failure> {
    let (mut loss, mut gradient) = network.gradients(&layers)?;
    let (mut rate, mut next) = (0.1, 0);
    let mut history = Vec::new();
    for step in 0..=MOST_STEPS {
        if step == next {
            history.push((step as f64, loss));
            next += 1 + step / 12;
        }
        let size = norm(&gradient);
        if size <= 1e-8 || step == MOST_STEPS {
            history.push((step as f64, loss));
            break;
        }
        loop {
            let trial = moved(&layers, -rate, &gradient);
            let (lower, steeper) = network.gradients(&trial)?;
            // Near a minimum the loss falls by less than rounding shows; the gradient has to fall then.
            let falls = 0.3 * rate * size * size;
            let enough = lower <= loss - falls && falls > 1e-14 * loss.abs()
                || norm(&steeper) < size && lower <= loss * (1.0 + 1e-14);
            if enough || rate < 1e-12 {
                (layers, loss, gradient) = (trial, lower, steeper);
                break;
            }
            rate /= 2.0;
        }
        rate *= 1.3;
    }
    Ok(Descent { layers, loss, history })
}

/// A point beside another.
fn beside(layers: &[Mat<f64>], distance: f64, seed: u64) -> Layers {
    let aside: Layers = (0u64..).zip(layers).map(|(k, w)| random(w.nrows(), w.ncols(), seed + k)).collect();
    moved(layers, distance, &aside)
}

// ---- stationary points -----------------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Global,
    Strict,
    Degenerate,
    /// With `∇L(W) ≠ 0`, yet a minimum: what the theorem rules out.
    Spurious,
}

impl Class {
    const ALL: [(Class, &'static str); 4] = [
        (Class::Global, "global minimum"),
        (Class::Strict, "strict saddle"),
        (Class::Degenerate, "degenerate saddle"),
        (Class::Spurious, "spurious minimum (bottleneck)"),
    ];
}

/// A stationary point, with what tells of which kind it is.
struct Point {
    class: Class,
    /// `‖∇L(W)‖`
    slope: f64,
    /// `σ_1(∇L(W))`
    steepest: f64,
    smallest: f64,
}

/// `∇L(W)` smaller than this counts as zero: descent stops at gradients of 1e-8 in the layers, through which it is seen.
const FLAT: f64 = 1e-5;
/// Eigenvalues above the negative of this, relative to the largest, count as not negative.
const LEVEL: f64 = 1e-5;

fn examine(network: &mut Network, convex: &mut Network, layers: &[Mat<f64>]) -> Result<Point, Failure> {
    let (_, gradient) = convex.gradients(&[product(layers)])?;
    let extremes = network.extremes(layers)?;
    let (smallest, slope) = (extremes.smallest.value, norm(&gradient));
    let class = match () {
        () if slope <= FLAT => Class::Global,
        () if smallest < -LEVEL * extremes.largest.value.max(1.0) => Class::Strict,
        () => Class::Degenerate,
    };
    let steepest = gradient.first().map_or(f64::NAN, largest_singular_value);
    Ok(Point { class, slope, steepest, smallest })
}

fn largest_singular_value(a: &Mat<f64>) -> f64 {
    a.singular_values().ok().and_then(|values| values.first().copied()).unwrap_or(f64::NAN)
}

/// A network of one unit in each hidden layer, as a part of a wider one: in what is added, zeros, or an identity between the
/// units of two hidden layers.
fn padded(narrow: &[Mat<f64>], widths: &[usize], identity: bool) -> Layers {
    let last = narrow.len() - 1;
    let layer = |(k, w): (usize, &Mat<f64>)| {
        let inside = identity && 0 < k && k < last;
        Mat::from_fn(widths[k + 1], widths[k], |i, j| match i < w.nrows() && j < w.ncols() {
            true => w[(i, j)],
            false => f64::from(u8::from(inside && i == j)),
        })
    };
    narrow.iter().enumerate().map(layer).collect()
}

// ---- 1: what the theorem says ----------------------------------------------------------------------------

const DEPTHS: [usize; 3] = [2, 3, 4];
const PROBLEMS: u64 = 3;
const STARTS: u64 = 5;
/// How close the loss has to come to the separately computed optimum.
const GAP: f64 = 1e-9;

/// What happened to the networks of one loss.
#[derive(Default)]
struct Tally {
    starts: usize,
    reached: usize,
    global: usize,
    /// Distances from the convex optimum.
    gaps: Vec<f64>,
    restarts: usize,
    reached_again: usize,
}

fn wide_networks(table: &mut Table) -> Result<(Panel, Vec<Point>), Failure> {
    let (mut points, mut curves) = (Vec::new(), Vec::new());
    let mut saddles = Saddles::default();
    let mut newton = Vec::new();
    let mut tallies = Vec::new();
    for (colour, loss) in Loss::ALL.into_iter().enumerate() {
        let mut tally = Tally::default();
        for (depth, k) in DEPTHS.into_iter().flat_map(|depth| (0..PROBLEMS).map(move |k| (depth, k))) {
            let seed = 1000 * (colour as u64 + 1) + 100 * depth as u64 + 20 * k;
            let problem = Problem::random(loss, depth, seed);
            let (mut network, mut convex) = (problem.network(&problem.widths)?, problem.convex()?);
            let zero = Mat::zeros(problem.y.nrows(), problem.x.nrows());
            let (optimum, residual) = convex_minimum(&mut convex, zero)?;
            newton.push(residual);
            for start in 0..STARTS {
                let end = descend(&mut network, Problem::start(&problem.widths, seed + 7919 * (start + 1)))?;
                let gap = end.loss - optimum;
                tally.starts += 1;
                tally.reached += usize::from(gap.abs() <= GAP);
                tally.gaps.push(gap.abs());
                let point = examine(&mut network, &mut convex, &end.layers)?;
                tally.global += usize::from(point.class == Class::Global);
                points.push(point);
                if start < 2 && k == 0 {
                    let label = if start == 0 && depth == DEPTHS[0] { loss.name() } else { "" };
                    // Below this, the gap is rounding.
                    let gaps =
                        end.history.iter().map(|(step, loss)| (*step + 1.0, (loss - optimum).max(1e-15)));
                    curves.push(Curve::new(label, gaps).coloured(colour));
                }
            }
            for saddle in saddles.make(&problem, &mut network, &mut convex, seed, &mut points)? {
                let end = descend(&mut network, beside(&saddle, 0.05, seed + 31))?;
                tally.restarts += 1;
                tally.reached_again += usize::from((end.loss - optimum).abs() <= GAP);
            }
        }
        tallies.push((loss, tally));
    }

    table.add(
        "‖∇L(W)‖ where Newton's method ended, largest",
        newton.len(),
        1e-10,
        Within::AtMost,
        largest(newton),
    );
    for (loss, tally) in &tallies {
        table.all(
            format!("{}: random starts reach the convex optimum", loss.name()),
            tally.starts,
            tally.reached,
        );
    }
    let runs = tallies.iter().map(|(_, tally)| tally.starts).sum();
    let gaps = tallies.iter().flat_map(|(_, tally)| tally.gaps.iter().copied());
    table.add("largest distance from the convex optimum", runs, GAP, Within::AtMost, largest(gaps));
    table.all("random starts end where ∇L(W) = 0", runs, tallies.iter().map(|(_, t)| t.global).sum());
    saddles.report(table);
    let sum = |of: fn(&Tally) -> usize| tallies.iter().map(|(_, tally)| of(tally)).sum::<usize>();
    table.all(
        "starts beside these saddles reach the convex optimum",
        sum(|t| t.restarts),
        sum(|t| t.reached_again),
    );

    let panel = Panel {
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        curves,
        ..Panel::new("All descents reach the convex optimum", "steps + 1", "loss above the optimum")
    };
    Ok((panel, points))
}

/// How many stationary points of each kind were made, and how many of them are what they should be.
#[derive(Default)]
struct Saddles {
    zero_shallow: (usize, usize),
    zero_deep: (usize, usize),
    strict: (usize, usize),
    degenerate: (usize, usize),
    /// The relative errors of `λ = −σ_1(G)` at zero, and `λ/σ_1(G)` where it should be at most −1.
    at_zero: Vec<f64>,
    bounds: Vec<f64>,
}

impl Saddles {
    /// Makes the saddles of a network, and examines them.
    fn make(
        &mut self,
        problem: &Problem,
        network: &mut Network,
        convex: &mut Network,
        seed: u64,
        points: &mut Vec<Point>,
    ) -> Result<Vec<Layers>, Failure> {
        let deep = problem.depth() > 2;
        let zero: Layers = problem.widths.windows(2).map(|ends| Mat::zeros(ends[1], ends[0])).collect();
        let point = examine(network, convex, &zero)?;
        if deep {
            count(&mut self.zero_deep, point.class == Class::Degenerate);
        } else {
            count(&mut self.zero_shallow, point.class == Class::Strict);
            self.at_zero.push((point.smallest / point.steepest + 1.0).abs());
        }
        points.push(point);

        let narrow_widths = problem.with_hidden(1);
        let narrow =
            descend(&mut problem.network(&narrow_widths)?, Problem::start(&narrow_widths, seed + 13))?;
        let mut made = vec![zero];
        for identity in [false, true] {
            if identity && !deep {
                continue;
            }
            let layers = padded(&narrow.layers, &problem.widths, identity);
            let point = examine(network, convex, &layers)?;
            if deep && !identity {
                count(&mut self.degenerate, point.class == Class::Degenerate);
            } else {
                count(&mut self.strict, point.class == Class::Strict);
                self.bounds.push(point.smallest / point.steepest);
            }
            points.push(point);
            made.push(layers);
        }
        Ok(made)
    }

    fn report(&self, table: &mut Table) {
        let mut all = |what: &str, (made, right): (usize, usize)| table.all(what, made, right);
        all("all layers zero, depth 2: strict saddle", self.zero_shallow);
        all("all layers zero, depth ≥ 3: degenerate saddle", self.zero_deep);
        all("rank 1, padded with zeros, depth ≥ 3: degenerate saddle", self.degenerate);
        all("rank 1, depth 2 or identity between: strict saddle", self.strict);
        let what = "all layers zero, depth 2: relative error of λ = −σ₁(∇L)";
        let error = largest(self.at_zero.iter().copied());
        table.add(what, self.at_zero.len(), 0.0, Within::Absolute(1e-9), error);
        // Descent stops at gradients of 1e-8.
        let (what, bound) = ("rank 1, strict: largest λ / σ₁(∇L)", largest(self.bounds.iter().copied()));
        table.add(what, self.bounds.len(), -1.0 + 1e-6, Within::AtMost, bound);
    }
}

fn count((all, right): &mut (usize, usize), is: bool) {
    *all += 1;
    *right += usize::from(is);
}

fn spectrum_panel(points: &[Point]) -> Panel {
    let curve = |(colour, (class, name)): (usize, (Class, &str))| {
        let of_class = points.iter().filter(|point| point.class == class);
        // What is zero is drawn at the left.
        let places = of_class.map(|point| (point.slope.max(1e-10), point.smallest));
        let places: Vec<_> = places.collect();
        Curve::scatter(format!("{name} ({})", places.len()), places).coloured(colour)
    };
    let line = (0..=60).map(|k| 10f64.powf(-2.0 + f64::from(k) / 30.0)).filter(|slope| *slope <= 2.0);
    let curves = Class::ALL.into_iter().enumerate().map(curve);
    Panel {
        x_scale: Scale::Log,
        curves: curves.chain([Curve::reference("−‖∇L(W)‖", line.map(|slope| (slope, -slope)))]).collect(),
        ..Panel::new(
            "Stationary points by gradient and curvature",
            "‖∇L(W)‖ of the product W",
            "smallest λ of the Hessian",
        )
    }
}

// ---- slices ----------------------------------------------------------------------------------------------

/// The loss above its optimum on the plane through 0 and two points.
fn slice(
    network: &mut Network,
    [a, b]: [&Layers; 2],
    optimum: f64,
    levels: &[f64],
) -> Result<Field, Failure> {
    const CELLS: usize = 120;
    let side = (-1.6, 1.6);
    let middle = |k: usize| side.0 + (side.1 - side.0) * (k as f64 + 0.5) / CELLS as f64;
    let zero = moved(a, -1.0, a);
    let mut rows = Vec::new();
    for i in 0..CELLS {
        let mut row = Vec::new();
        for j in 0..CELLS {
            let layers = moved(&moved(&zero, middle(j), a), middle(i), b);
            row.push(network.gradients(&layers)?.0 - optimum);
        }
        rows.push(row);
    }
    let ends =
        levels.first().zip(levels.last()).map_or(String::new(), |(low, high)| format!("≤ {low} to > {high}"));
    Ok(Field {
        x: side,
        y: side,
        rows,
        levels: levels.to_vec(),
        label: format!("loss above the optimum, {ends}"),
    })
}

/// The plane through the saddle at zero and two minima of a network of depth 3.
fn saddle_slice() -> Result<Panel, Failure> {
    let problem = Problem::random(Loss::Squared, 3, 4300);
    let (mut network, mut convex) = (problem.network(&problem.widths)?, problem.convex()?);
    let (optimum, _) = convex_minimum(&mut convex, Mat::zeros(problem.y.nrows(), problem.x.nrows()))?;
    let mut minimum =
        |seed| descend(&mut network, Problem::start(&problem.widths, seed)).map(|end| end.layers);
    let (a, b) = (minimum(1)?, minimum(11)?);
    let field = slice(&mut network, [&a, &b], optimum, &[0.03, 0.1, 0.3, 0.6, 0.9, 1.2, 1.6, 2.0, 3.0, 5.0])?;
    Ok(Panel {
        field: Some(field),
        curves: vec![
            Curve::scatter("global minima θ₁, θ₂", [(1.0, 0.0), (0.0, 1.0)]).coloured(1),
            Curve::scatter("degenerate saddle", [(0.0, 0.0)]).coloured(2),
        ],
        ..Panel::new("Depth 3, squared loss, on a plane: x θ₁ + y θ₂", "x", "y")
    })
}

// ---- 2: without wide layers ------------------------------------------------------------------------------

const BOTTLENECK_STARTS: u64 = 100;

/// `Diag(3, 2)` through one unit.
fn narrow_problem(loss: Loss) -> Problem {
    Problem { loss, widths: vec![2, 1, 2], x: Mat::identity(2, 2), y: mat![[3.0, 0.0], [0.0, 2.0]] }
}

/// `√c e_k` in both layers: W has a single entry c.
fn single_entry(k: usize, c: f64) -> Layers {
    let column = Mat::from_fn(2, 1, |i, _| if i == k { c.sqrt() } else { 0.0 });
    vec![column.transpose().to_owned(), column]
}

fn bottleneck(table: &mut Table, points: &mut Vec<Point>) -> Result<Panel, Failure> {
    let runs = BOTTLENECK_STARTS as usize;
    // The mean over two samples: 1/2 · 1/2 · 2², and of Huber's 1/2 (2 − 1/2) and 1/2 (3 − 1/2).
    let (squared, best, spurious) = (1.0, 0.75, 1.25);
    let ends = |loss| -> Result<Vec<Descent>, Failure> {
        let problem = narrow_problem(loss);
        let mut network = problem.network(&problem.widths)?;
        let start = |k| Problem::start(&problem.widths, 17 * k + 1);
        (0..BOTTLENECK_STARTS).map(|k| descend(&mut network, start(k))).collect()
    };
    let near =
        |ends: &[Descent], value: f64| ends.iter().filter(|end| (end.loss - value).abs() <= GAP).count();
    table.all(
        "one hidden unit, squared: random starts reach the best",
        runs,
        near(&ends(Loss::Squared)?, squared),
    );
    let ends = ends(Loss::Huber)?;
    table.some("one hidden unit, Huber: random starts reach the best", runs, near(&ends, best));
    table.some("one hidden unit, Huber: random starts end 1/2 above it", runs, near(&ends, spurious));
    table.all("one hidden unit, Huber: one or the other", runs, near(&ends, best) + near(&ends, spurious));

    let at = single_entry(1, 2.0);
    let problem = narrow_problem(Loss::Huber);
    let (mut network, mut convex) = (problem.network(&problem.widths)?, problem.convex()?);
    let (_, gradient) = network.gradients(&at)?;
    table.add(
        "W = Diag(0, 2), Huber: norm of the gradient",
        1,
        0.0,
        Within::Absolute(1e-14),
        norm(&gradient),
    );
    for (k, (predicted, measured)) in
        [0.0, 0.5, 1.5, 2.0].into_iter().zip(spectrum(&mut network, &at)?).enumerate()
    {
        let what = format!("W = Diag(0, 2), Huber: eigenvalue {}", k + 1);
        table.add(what, 1, predicted, Within::Absolute(1e-12), measured);
    }
    points.push(Point { class: Class::Spurious, ..examine(&mut network, &mut convex, &at)? });
    let squared = narrow_problem(Loss::Squared);
    let smallest = squared.network(&squared.widths)?.extremes(&at)?.smallest.value;
    table.add("W = Diag(0, 2), squared: smallest eigenvalue", 1, -0.5, Within::Absolute(1e-12), smallest);
    random_bottlenecks(table, points)?;

    let levels = [0.02, 0.1, 0.2, 0.3, 0.4, 0.48, 0.56, 0.7, 0.9, 1.2, 1.6];
    Ok(Panel {
        field: Some(slice(&mut network, [&single_entry(0, 3.0), &at], best, &levels)?),
        curves: vec![
            Curve::scatter("global: ±θ₁, W = Diag(3, 0)", [(1.0, 0.0), (-1.0, 0.0)]).coloured(1),
            Curve::scatter("spurious: ±θ₂, W = Diag(0, 2)", [(0.0, 1.0), (0.0, -1.0)]).coloured(4),
        ],
        ..Panel::new("One hidden unit, Huber's loss, on a plane: x θ₁ + y θ₂", "x", "y")
    })
}

/// All eigenvalues of the Hessian, in order: its columns are its products with unit directions.
fn spectrum(network: &mut Network, layers: &[Mat<f64>]) -> Result<Vec<f64>, Failure> {
    let hessian = network.hessian(layers)?;
    let entries: Vec<(usize, usize, usize)> = layers
        .iter()
        .enumerate()
        .flat_map(|(k, w)| (0..w.ncols()).flat_map(move |j| (0..w.nrows()).map(move |i| (k, i, j))))
        .collect();
    let mut columns = Vec::new();
    for &(k, i, j) in &entries {
        let mut unit: Layers = layers.iter().map(|w| Mat::zeros(w.nrows(), w.ncols())).collect();
        unit[k][(i, j)] = 1.0;
        let views: Vec<_> = unit.iter().map(Mat::as_ref).collect();
        columns.push(hessian.product(&views)?);
    }
    let dense = Mat::from_fn(entries.len(), entries.len(), |row, column| {
        let (k, i, j) = entries[row];
        columns[column][k][(i, j)]
    });
    Ok(dense.self_adjoint_eigenvalues(Side::Lower).unwrap_or_default())
}

/// Random problems through one unit, of which nothing is predicted: how many have several minima?
fn random_bottlenecks(table: &mut Table, points: &mut Vec<Point>) -> Result<(), Failure> {
    const TRIED: u64 = 12;
    for loss in [Loss::Squared, Loss::Huber, Loss::Logistic, Loss::CrossEntropy] {
        let (mut several, mut gaps) = (0, Vec::new());
        for k in 0..TRIED {
            let problem = Problem::random(loss, 2, 9000 + 50 * k);
            let widths = problem.with_hidden(1);
            let (mut network, mut convex) = (problem.network(&widths)?, problem.convex()?);
            let start = |start| Problem::start(&widths, 60_000 + 100 * k + 2 * start);
            let ends: Vec<_> =
                (0..STARTS).map(|s| descend(&mut network, start(s))).collect::<Result<_, _>>()?;
            let best = ends.iter().map(|end| end.loss).fold(f64::INFINITY, f64::min);
            let mut found = 0;
            for end in ends.iter().filter(|end| end.loss > best + 1e-6) {
                // A minimum, and no saddle at which descent was too slow: no negative curvature, and from beside it one
                // comes back.
                let point = examine(&mut network, &mut convex, &end.layers)?;
                let again = descend(&mut network, beside(&end.layers, 1e-2, 5))?;
                if point.class == Class::Degenerate && (again.loss - end.loss).abs() <= GAP {
                    found += 1;
                    gaps.push(end.loss - best);
                    points.push(Point { class: Class::Spurious, ..point });
                }
            }
            several += usize::from(found > 0);
        }
        let name = loss.name();
        let what = |what| format!("random problems, one hidden unit, {name}: {what}");
        if loss == Loss::Squared {
            table.add(
                what("ends in spurious minima"),
                (TRIED * STARTS) as usize,
                0.0,
                Within::Exact,
                gaps.len() as f64,
            );
        } else {
            table.found(what("ends in spurious minima"), (TRIED * STARTS) as usize, gaps.len() as f64);
            table.found(what("problems that have them"), TRIED as usize, several as f64);
            table.found(what("largest gap"), gaps.len(), largest(gaps));
        }
    }
    Ok(())
}

// ---- 3: without differentiability ------------------------------------------------------------------------

const KINK_STARTS: u64 = 200;

/// `|W_2 W_1 − e_2 e_1ᵀ|₁ / 2`, or what else is made of it.
fn two_by_two(loss: impl for<'t> FnOnce(Var<'t>, Var<'t>) -> Var<'t>) -> Result<Network, Failure> {
    Network::compile(&[2, 2, 2], &Mat::identity(2, 2), &mat![[0.0, 0.0], [1.0, 0.0]], loss)
}

/// `W_1 = e_2 e_2ᵀ`, `W_2 = e_1 e_1ᵀ`
fn kink() -> Layers {
    vec![mat![[0.0, 0.0], [0.0, 1.0]], mat![[1.0, 0.0], [0.0, 0.0]]]
}

fn kinks(table: &mut Table) -> Result<[Panel; 2], Failure> {
    let mut absolute = two_by_two(losses::absolute)?;
    let (value, _) = absolute.gradients(&kink())?;
    table.add("ℓ₁, 2×2: loss at W₂ = e₁e₁ᵀ, W₁ = e₂e₂ᵀ", 1, 0.5, Within::Exact, value);
    const AROUND: u64 = 20_000;
    let mut deeper = Vec::new();
    for k in 0..AROUND {
        // At all distances up to 0.4: |q| ≤ 1 + α and |s| ≤ 1 + β.
        let distance = 0.4 * 0.999f64.powi((k % 10_000) as i32);
        deeper.push(value - absolute.gradients(&beside(&kink(), distance, 3 * k))?.0);
    }
    let what = "ℓ₁, 2×2: by how much the loss is lower around it";
    table.add(what, deeper.len(), 1e-15, Within::AtMost, largest(deeper));

    let runs = KINK_STARTS as usize;
    let (mut best, mut spurious, mut back) = (0, 0, 0);
    let mut curves = Vec::new();
    let starts = || (0..KINK_STARTS).map(|k| Problem::start(&[2, 2, 2], 40_000 + 2 * k));
    for start in starts() {
        let Descent { layers: end, loss, history } = subgradient_descent(&mut absolute, start, 0.05)?;
        let colour = if loss <= 1e-3 { 0 } else { 1 };
        best += usize::from(loss <= 1e-3);
        if (loss - 0.5).abs() <= 1e-3 {
            spurious += 1;
            let again = subgradient_descent(&mut absolute, beside(&end, 1e-2, 77), 1e-2)?;
            back += usize::from((again.loss - 0.5).abs() <= 1e-3);
        }
        // All that end at 1/2, and as many of the others as one can tell apart.
        if colour == 1 || best <= 30 {
            curves.push(Curve::new("", history).coloured(colour));
        }
    }
    table.some("ℓ₁, 2×2: random starts reach the optimum 0", runs, best);
    table.some("ℓ₁, 2×2: random starts end at 1/2", runs, spurious);
    table.all("ℓ₁, 2×2: from beside these ends, back to 1/2", spurious, back);
    table.found("ℓ₁, 2×2: random starts end elsewhere", runs, (runs - best - spurious) as f64);
    curves.push(Curve::new(format!("to the optimum ({best} of {runs})"), []).coloured(0));
    curves.push(Curve::new(format!("to 1/2 ({spurious} of {runs})"), []).coloured(1));

    let mut reached = |name: &str, network: &mut Network| -> Result<(), Failure> {
        let mut reached = 0;
        for start in starts() {
            reached += usize::from(descend(network, start)?.loss <= GAP);
        }
        table.all(format!("the same starts, {name}: reach the optimum 0"), runs, reached);
        Ok(())
    };
    reached("squared loss", &mut two_by_two(losses::squared)?)?;
    reached("Huber, δ = 1/2", &mut two_by_two(|p, y| losses::huber(p, y, 0.5))?)?;
    let smoothed = smoothed(table)?;
    Ok([
        Panel {
            x_scale: Scale::Log,
            curves,
            ..Panel::new("ℓ₁ loss, 2×2: some descents end in a spurious minimum", "steps + 1", "loss")
        },
        smoothed,
    ])
}

/// Steps along normalized subgradients that become shorter by a constant factor.
fn subgradient_descent(
    network: &mut Network,
    mut layers: Layers,
    mut length: f64,
) -> Result<Descent, Failure> {
    const STEPS: usize = 2000;
    let mut history = Vec::new();
    let mut next = 0;
    for step in 0..=STEPS {
        let (loss, subgradient) = network.gradients(&layers)?;
        if step == next {
            history.push((step as f64 + 1.0, loss));
            next += 1 + step / 20;
        }
        let size = norm(&subgradient);
        if step < STEPS && size > 0.0 {
            layers = moved(&layers, -length / size, &subgradient);
            length *= 0.996;
        }
    }
    let (loss, _) = network.gradients(&layers)?;
    Ok(Descent { layers, loss, history })
}

/// From beside how many of the rounded points descent is followed: from the others it takes too long.
const ESCAPES: i32 = 6;

/// The kinks rounded off, ever less: the spurious minimum is a strict saddle, but ever less so.
fn smoothed(table: &mut Table) -> Result<Panel, Failure> {
    let predicted = |delta: f64| ((1.0 + 4.0 * delta * delta).sqrt() - 1.0) / (4.0 * delta);
    let (mut measured, mut rates, mut errors, mut reached) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for k in 0..8 {
        let delta = 0.5 * 0.5f64.powi(k);
        let mut network = two_by_two(|p, y| losses::huber(p, y, delta) / delta)?;
        let smallest = network.extremes(&kink())?.smallest.value;
        errors.push((-smallest / predicted(delta) - 1.0).abs());
        measured.push((delta, -smallest));
        if k < ESCAPES {
            let end = descend(&mut network, beside(&kink(), 1e-3, 8))?;
            reached += usize::from(end.loss <= GAP);
            let left = end.history.iter().find(|(_, loss)| *loss < 0.25);
            rates.extend(left.map(|(steps, _)| (delta, 1.0 / steps)));
        }
    }
    let what = "ℓ₁ rounded off: relative error of the formula for λ";
    table.add(what, errors.len(), 0.0, Within::Absolute(1e-9), largest(errors));
    table.all("ℓ₁ rounded off: from beside the point, to the optimum 0", ESCAPES as usize, reached);
    // The stiffest direction, 1/2δ, allows rates of descent up to 4δ, and in a step the way out grows by 1 + 4δ · δ/2.
    let sharp: Vec<_> = rates.iter().copied().filter(|(delta, _)| *delta < 0.1).collect();
    let what = "ℓ₁ rounded off: exponent in δ of the steps to leave the point";
    table.add(what, sharp.len(), -2.0, Within::Absolute(0.1), -slope(&sharp));

    let line = |of: &dyn Fn(f64) -> f64| {
        (0..=60).map(|k| 3e-3 * 10f64.powf(f64::from(k) / 24.0)).map(|d| (d, of(d))).collect::<Vec<_>>()
    };
    let (d0, r0) = sharp.first().copied().unwrap_or((1.0, 1.0));
    Ok(Panel {
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        curves: vec![
            Curve::scatter("−smallest λ", measured),
            Curve::reference("(√(1 + 4δ²) − 1) / 4δ", line(&predicted)),
            Curve::scatter("1 / steps to leave it", rates),
            Curve::reference("∝ δ²", line(&|delta| r0 * (delta / d0).powi(2))),
        ],
        ..Panel::new(
            "Rounded off, it is a saddle, but ever less so",
            "δ, the width of the rounding",
            "at the spurious minimum",
        )
    })
}
