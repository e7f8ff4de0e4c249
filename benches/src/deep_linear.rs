//! The deep linear network, `½‖W_L ⋯ W₁ X − Y‖²/N`: its value and the gradients of all its layers.

use crate::race::Contender;
use crate::random::Random;
use pullback::faer::linalg::matmul::matmul;
use pullback::faer::{Accum, Mat, MatRef, Par};
use pullback::prelude::*;
use pullback::{Error, Scalar};

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

/// `dst = lhs rhs`
fn product<T: Scalar>(dst: &mut Mat<T>, lhs: MatRef<'_, T>, rhs: MatRef<'_, T>) {
    matmul(dst.as_mut(), Accum::Replace, lhs, rhs, T::from_f64(1.0), Par::Seq);
}

/// faer's large products leave the upper halves of the vector registers in use, which makes the plain loops after
/// them several times slower. Whoever writes by hand and measures will find out, so the contenders do.
fn release_registers() {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx) = pulp::core_arch::x86::Avx::try_new() {
        avx._mm256_zeroupper();
    }
}

/// Puts the loss's gradient `(P − Y)/N` in the place of the prediction P, and returns the loss.
fn residual<T: Scalar>(prediction: &mut Mat<T>, target: &Mat<T>) -> T {
    const LANES: usize = 8;
    let mean = T::from_f64(1.0 / target.ncols() as f64);
    let mut sums = [T::default(); LANES];
    release_registers();
    let step = |sum: &mut T, p: &mut T, y: T| {
        let r = *p - y;
        *sum += r * r;
        *p = mean * r;
    };
    for j in 0..target.ncols() {
        let (p_blocks, p_rest) = prediction.col_as_slice_mut(j).as_chunks_mut::<LANES>();
        let (y_blocks, y_rest) = target.col_as_slice(j).as_chunks::<LANES>();
        for (p, y) in p_blocks.iter_mut().zip(y_blocks) {
            for ((sum, p), &y) in sums.iter_mut().zip(p).zip(y) {
                step(sum, p, y);
            }
        }
        for ((sum, p), &y) in sums.iter_mut().zip(p_rest).zip(y_rest) {
            step(sum, p, y);
        }
    }
    T::from_f64(0.5) * mean * sums.into_iter().fold(T::default(), |total, sum| total + sum)
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
        let loss = residual(prediction, y);
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

/// The expression `W_L (⋯ (W₁ X))` and its gradients by Pullback, compiled once.
pub struct Pullback<'p, T: Scalar> {
    program: Program<T>,
    inputs: Vec<(&'p str, MatRef<'p, T>)>,
}

impl<'p, T: Scalar> Pullback<'p, T> {
    /// Records, differentiates and compiles.
    ///
    /// # Errors
    /// None, for widths that are not out of this world.
    pub fn new(problem: &'p Problem<T>) -> Result<Self, Error> {
        let tape = Tape::new();
        let input = |name: &str, matrix: &Mat<T>| tape.input(name, matrix.shape());
        let Problem { names, weights, x, y } = problem;
        let vars: Vec<Var<'_>> = names.iter().zip(weights).map(|(name, w)| input(name, w)).collect();
        let prediction = vars.iter().fold(input("X", x), |h, &w| w * h);
        let loss = losses::squared(prediction, input("Y", y));
        let layers = names.iter().zip(weights).map(|(name, w)| (name.as_str(), w.as_ref()));
        Ok(Pullback {
            program: compile(loss, &vars)?,
            inputs: layers.chain([("X", x.as_ref()), ("Y", y.as_ref())]).collect(),
        })
    }
}

impl<T: Scalar> Contender<T> for Pullback<'_, T> {
    fn run(&mut self) -> T {
        // A failure shows as a loss that differs from the others'.
        self.program.run(&self.inputs).ok().and_then(|outputs| outputs.scalar(0)).unwrap_or_default()
    }

    fn results(&mut self) -> (T, Vec<Mat<T>>) {
        let Ok(outputs) = self.program.run(&self.inputs) else { return Default::default() };
        (outputs.scalar(0).unwrap_or_default(), outputs.iter().skip(1).map(|g| g.to_owned()).collect())
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
        let loss = residual(prediction, &self.problem.y);
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
