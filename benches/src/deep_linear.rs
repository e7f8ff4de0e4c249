//! The deep linear network, `½‖W_L ⋯ W₁ X − Y‖²/N`: its value and the gradients of all its layers.

use crate::compiled::{Compiled, as_written};
use crate::hand::{product, residual};
use crate::race::Contender;
use crate::random::Random;
use pullback::faer::Mat;
use pullback::prelude::*;
use pullback::{Options, Rewrites, Scalar, compile_with};

/// Layers, samples and targets.
pub struct Problem<T> {
    /// `names[k]` is the name of `weights[k]`.
    names: Vec<String>,
    weights: Vec<Mat<T>>,
    x: Mat<T>,
    y: Mat<T>,
}

impl<T: Scalar> Problem<T> {
    /// Layer k maps `widths[k]` numbers to `widths[k + 1]`.
    ///
    /// Every layer is a Householder reflection, or the corner of one if it is not square. Products of them
    /// neither grow nor vanish, however deep the network, and are as exact as their factors.
    pub fn new(widths: &[usize], samples: usize) -> Self {
        let mut random = Random::new(widths.len() as u64);
        let mut matrix = |rows, cols| Mat::from_fn(rows, cols, |_, _| T::from_f64(random.uniform()));
        let (inputs, outputs) = (widths.first().map_or(0, |&d| d), widths.last().map_or(0, |&d| d));
        let (x, y) = (matrix(inputs, samples), matrix(outputs, samples));
        let mut reflection = |rows: usize, cols: usize| {
            let v: Vec<f64> = (0..rows.max(cols)).map(|_| random.uniform()).collect();
            let scale = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
            Mat::from_fn(rows, cols, |i, j| T::from_f64(if i == j { 1.0 } else { 0.0 } - scale * v[i] * v[j]))
        };
        let weights: Vec<_> = widths.windows(2).map(|pair| reflection(pair[1], pair[0])).collect();
        let names = (1..=weights.len()).map(|k| format!("W{k}")).collect();
        Problem { names, weights, x, y }
    }

    fn depth(&self) -> usize {
        self.weights.len()
    }

    /// Memory for the gradients.
    fn gradients(&self) -> Vec<Mat<T>> {
        self.weights.iter().map(|w| Mat::zeros(w.nrows(), w.ncols())).collect()
    }

    /// Memory for the products `W_k ⋯ W₁ X`.
    fn activations(&self) -> Vec<Mat<T>> {
        self.weights.iter().map(|w| Mat::zeros(w.nrows(), self.x.ncols())).collect()
    }
}

/// Puts the loss's gradient `(P − Y)/N` in the place of the prediction P, and returns the loss.
fn squared<T: Scalar>(prediction: &mut Mat<T>, target: &Mat<T>) -> T {
    let mean = T::from_f64(1.0 / target.ncols() as f64);
    T::from_f64(0.5) * mean * residual(prediction, target, mean)
}

/// The floor: the `3L − 1` products of backpropagation, activations first, called by hand.
pub struct Floor<'p, T> {
    problem: &'p Problem<T>,
    /// `W_k ⋯ W₁ X`, and, once it is no longer needed, the loss's gradient with respect to it.
    activations: Vec<Mat<T>>,
    gradients: Vec<Mat<T>>,
}

impl<'p, T: Scalar> Floor<'p, T> {
    /// Allocates all that a run needs.
    pub fn new(problem: &'p Problem<T>) -> Self {
        Floor { problem, activations: problem.activations(), gradients: problem.gradients() }
    }
}

impl<T: Scalar> Contender<T> for Floor<'_, T> {
    fn run(&mut self) -> T {
        let Floor { problem: Problem { weights, x, y, .. }, activations, gradients } = self;
        for (k, w) in weights.iter().enumerate() {
            let (before, after) = activations.split_at_mut(k);
            product(&mut after[0], w.as_ref(), before.last().unwrap_or(x).as_ref());
        }
        let Some(prediction) = activations.last_mut() else { return T::default() };
        let loss = squared(prediction, y);
        for (k, w) in weights.iter().enumerate().rev() {
            let (before, after) = activations.split_at_mut(k);
            let h_bar = after[0].as_ref();
            let h = before.last().unwrap_or(x);
            product(&mut gradients[k], h_bar, h.transpose());
            if let Some(h) = before.last_mut() {
                product(h, w.transpose(), h_bar);
            }
        }
        loss
    }

    fn results(&mut self) -> (T, Vec<Mat<T>>) {
        (self.run(), self.gradients.clone())
    }
}

/// In which order the products are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Written {
    /// `W_L (⋯ (W₂ (W₁ X)))`: activations.
    #[default]
    FromTheRight,
    /// `((W_L W_{L−1}) ⋯ W₁) X`
    FromTheLeft,
}

/// What Pullback knows and is allowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// The order in the expression.
    pub written: Written,
    /// Whether the order of the products is left as it is.
    pub as_written: bool,
    /// Whether X and Y are constants.
    pub constant_data: bool,
    /// Whether the loss may be multiplied out.
    pub distribute: bool,
    /// How the program is compiled.
    pub options: Options,
}

impl<T: Scalar> Problem<T> {
    /// The expression and its gradients by Pullback, compiled once.
    ///
    /// # Errors
    /// None, for widths that are not out of this world.
    pub fn compiled(&self, setup: Setup) -> Result<Compiled<'_, T>, Error> {
        let tape = Tape::new();
        let Problem { weights, x, y, .. } = self;
        let named = || self.names.iter().map(String::as_str).zip(weights);
        let data = |name: &str, matrix: &Mat<T>| match setup.constant_data {
            true => tape.constant(name, matrix.shape()),
            false => tape.input(name, matrix.shape()),
        };
        let vars: Vec<Var<'_>> = named().map(|(name, w)| tape.input(name, w.shape())).collect();
        let (x_var, y_var) = (data("X", x), data("Y", y));
        let prediction = match setup.written {
            Written::FromTheRight => vars.iter().fold(x_var, |h, &w| w * h),
            Written::FromTheLeft => match vars.iter().copied().rev().reduce(|product, w| product * w) {
                Some(product) => product * x_var,
                None => x_var,
            },
        };
        let loss = losses::squared(prediction, y_var);
        let rewrites = Rewrites::new().distribute(setup.distribute);
        let program = match setup.as_written {
            true => as_written(loss, &vars)?,
            false => compile_with(loss, &vars, rewrites, setup.options)?,
        };
        Compiled::new(
            program,
            named().map(|(name, w)| (name, w.as_ref())).chain([("X", x.as_ref()), ("Y", y.as_ref())]),
        )
    }
}

/// The closed form `∇_{W_k} = (W_L ⋯ W_{k+1})ᵀ G (W_{k−1} ⋯ W₁ X)ᵀ` with `G = (W_L ⋯ W₁ X − Y)/N` (Laurent and
/// von Brecht, arXiv:1712.01473), each product of three in its better order.
///
/// With prefix and suffix products kept that is `4L − 3` products; recomputed for every layer, as the formula
/// is written, it is O(L²).
pub struct ClosedForm<'p, T> {
    problem: &'p Problem<T>,
    naive: bool,
    /// `W_k ⋯ W₁ X`; in the end, in place of the last, G.
    prefixes: Vec<Mat<T>>,
    /// `suffixes[k] = W_L ⋯ W_{k+1}` where that is a product of which some gradient is made, or else empty.
    suffixes: Vec<Mat<T>>,
    /// The first product of each gradient.
    halves: Vec<Mat<T>>,
    gradients: Vec<Mat<T>>,
}

impl<'p, T: Scalar> ClosedForm<'p, T> {
    /// With every prefix and suffix product computed once.
    pub fn new(problem: &'p Problem<T>) -> Self {
        let Problem { weights, x, y, .. } = problem;
        let depth = problem.depth();
        let suffixes = weights.iter().enumerate().map(|(k, w)| match k {
            k if k > 0 && k + 1 < depth => Mat::zeros(y.nrows(), w.ncols()),
            _ => Mat::new(),
        });
        let halves = weights.iter().map(|w| match left_first(w, x, y) {
            true => Mat::zeros(w.nrows(), x.ncols()),
            false => Mat::zeros(y.nrows(), w.ncols()),
        });
        ClosedForm {
            problem,
            naive: false,
            prefixes: problem.activations(),
            suffixes: suffixes.collect(),
            halves: halves.collect(),
            gradients: problem.gradients(),
        }
    }

    /// With the prefix and suffix products computed anew for every layer.
    pub fn naive(problem: &'p Problem<T>) -> Self {
        ClosedForm { naive: true, ..ClosedForm::new(problem) }
    }

    /// The first products `W_k ⋯ W₁ X`, as many as asked for.
    fn compute_prefixes(&mut self, count: usize) {
        let Problem { weights, x, .. } = self.problem;
        for (k, w) in weights.iter().enumerate().take(count) {
            let (before, after) = self.prefixes.split_at_mut(k);
            product(&mut after[0], w.as_ref(), before.last().unwrap_or(x).as_ref());
        }
    }

    /// The products `W_L ⋯ W_k` down to the layer at position `first`.
    fn compute_suffixes(&mut self, first: usize) {
        let Problem { weights, .. } = self.problem;
        for k in (first..weights.len().saturating_sub(1)).rev() {
            let (before, after) = self.suffixes.split_at_mut(k + 1);
            let suffix = if k + 2 == weights.len() { &weights[k + 1] } else { &after[0] };
            product(&mut before[k], suffix.as_ref(), weights[k].as_ref());
        }
    }

    fn compute_gradient(&mut self, k: usize) {
        let Problem { weights, x, y, .. } = self.problem;
        let last = weights.len() - 1;
        let residual = self.prefixes[last].as_ref();
        let prefix = if k == 0 { x } else { &self.prefixes[k - 1] }.transpose();
        let (half, gradient) = (&mut self.halves[k], &mut self.gradients[k]);
        if k == last {
            return product(gradient, residual, prefix);
        }
        let suffix = if k + 1 == last { &weights[last] } else { &self.suffixes[k + 1] }.transpose();
        if left_first(&weights[k], x, y) {
            product(half, suffix, residual);
            product(gradient, half.as_ref(), prefix);
        } else {
            product(half, residual, prefix);
            product(gradient, suffix, half.as_ref());
        }
    }

    /// Multiplications in a run.
    pub fn multiplications(&self) -> f64 {
        let Problem { weights, x, y, .. } = self.problem;
        let depth = weights.len();
        let size = |m: &Mat<T>| m.nrows() as f64 * m.ncols() as f64;
        // In how many layers' gradients a prefix or a suffix takes part, if computed for each.
        let times = |layers: usize| if self.naive { layers as f64 } else { 1.0 };
        let each = weights.iter().enumerate().map(|(k, w)| {
            let prefix = size(w) * x.ncols() as f64 * times(depth - k);
            let suffix = size(w) * y.nrows() as f64 * times(k);
            let (m, n, p, q) = (w.nrows(), w.ncols(), x.ncols(), y.nrows());
            let halves = if left_first(w, x, y) { m * p * (q + n) } else { q * n * (p + m) };
            prefix + if k > 0 && k + 1 < depth { suffix } else { 0.0 } + halves as f64
        });
        each.sum()
    }
}

/// Whether `SᵀG` is the better first half of a layer's gradient `Sᵀ G Pᵀ`.
fn left_first<T>(w: &Mat<T>, x: &Mat<T>, y: &Mat<T>) -> bool {
    let (m, n, samples, outputs) = (w.nrows(), w.ncols(), x.ncols(), y.nrows());
    m * samples * (outputs + n) <= outputs * n * (samples + m)
}

impl<T: Scalar> Contender<T> for ClosedForm<'_, T> {
    fn run(&mut self) -> T {
        let depth = self.problem.depth();
        self.compute_prefixes(depth);
        let Some(prediction) = self.prefixes.last_mut() else { return T::default() };
        let loss = squared(prediction, &self.problem.y);
        if !self.naive {
            self.compute_suffixes(1);
        }
        for k in 0..depth {
            if self.naive {
                self.compute_prefixes(k);
                self.compute_suffixes(k + 1);
            }
            self.compute_gradient(k);
        }
        loss
    }

    fn results(&mut self) -> (T, Vec<Mat<T>>) {
        (self.run(), self.gradients.clone())
    }
}
