//! A network of two layers, `Z = W₂ tanh(W₁ X + b₁ 𝟏ᵀ) + b₂ 𝟏ᵀ`, under softmax cross-entropy, and the gradients in
//! its weights and biases.

use crate::compiled::Compiled;
use crate::hand::{product, release_registers};
use crate::harness::Contenders;
use crate::race::Contender;
use crate::random::Random;
use pullback::faer::Mat;
use pullback::prelude::*;

/// Weights, biases, samples and one-hot targets.
pub struct Problem {
    w1: Mat<f64>,
    b1: Mat<f64>,
    w2: Mat<f64>,
    b2: Mat<f64>,
    x: Mat<f64>,
    y: Mat<f64>,
}

impl Problem {
    /// The widths of input, hidden layer and output.
    pub fn new([inputs, hidden, classes]: [usize; 3], samples: usize) -> Self {
        let mut random = Random::new(5);
        let mut matrix = |rows, cols, size: f64| Mat::from_fn(rows, cols, |_, _| size * random.uniform());
        Problem {
            w1: matrix(hidden, inputs, (3.0 / inputs as f64).sqrt()),
            b1: matrix(hidden, 1, 0.1),
            w2: matrix(classes, hidden, (3.0 / hidden as f64).sqrt()),
            b2: matrix(classes, 1, 0.1),
            x: matrix(inputs, samples, 1.0),
            y: Mat::from_fn(classes, samples, |i, j| if i == j % classes { 1.0 } else { 0.0 }),
        }
    }

    /// By hand, and Pullback.
    ///
    /// # Errors
    /// None, for matrices that are not out of this world.
    pub fn contenders(&self) -> Result<Contenders<'_, f64>, Error> {
        Ok(vec![Box::new(ByHand::new(self)), Box::new(self.compiled()?)])
    }

    fn compiled(&self) -> Result<Compiled<'_, f64>, Error> {
        let tape = Tape::new();
        let Problem { w1, b1, w2, b2, x, y } = self;
        let parameters = [("W1", w1), ("b1", b1), ("W2", w2), ("b2", b2)];
        let wrt = parameters.map(|(name, matrix)| tape.input(name, matrix.shape()));
        let [v1, c1, v2, c2] = wrt;
        let hidden = (v1 * tape.input("X", x.shape())).add_col(c1).tanh();
        let loss = losses::cross_entropy((v2 * hidden).add_col(c2), tape.input("Y", y.shape()));
        let inputs = parameters.into_iter().chain([("X", x), ("Y", y)]);
        Compiled::new(compile(loss, &wrt)?, inputs.map(|(name, matrix)| (name, matrix.as_ref())))
    }
}

/// Backpropagation with `matmul`, loops over columns and std's functions; nothing is computed twice, and biases are
/// summed in the pass that computes what is summed.
struct ByHand<'p> {
    problem: &'p Problem,
    /// `A = tanh(W₁ X + b₁ 𝟏ᵀ)`
    hidden: Mat<f64>,
    /// The logits, then `1/N (softmax(Z) − Y)`.
    logits: Mat<f64>,
    hidden_bar: Mat<f64>,
    /// In W₁, b₁, W₂, b₂.
    gradients: [Mat<f64>; 4],
}

impl<'p> ByHand<'p> {
    fn new(problem: &'p Problem) -> Self {
        let Problem { w1, b1, w2, b2, x, y } = problem;
        ByHand {
            problem,
            hidden: Mat::zeros(w1.nrows(), x.ncols()),
            logits: Mat::zeros(y.nrows(), y.ncols()),
            hidden_bar: Mat::zeros(w1.nrows(), x.ncols()),
            gradients: [w1, b1, w2, b2].map(|matrix| Mat::zeros(matrix.nrows(), matrix.ncols())),
        }
    }
}

/// Puts `1/N (softmax(Z) − Y)` in the place of the logits without their bias, and returns the loss.
fn cross_entropy(logits: &mut Mat<f64>, bias: &[f64], target: &Mat<f64>, bias_bar: &mut [f64]) -> f64 {
    let per_sample = 1.0 / target.ncols() as f64;
    let mut loss = 0.0;
    bias_bar.fill(0.0);
    for j in 0..target.ncols() {
        let (z, y) = (logits.col_as_slice_mut(j), target.col_as_slice(j));
        let mut max = f64::NEG_INFINITY;
        for (z, b) in z.iter_mut().zip(bias) {
            *z += b;
            max = max.max(*z);
        }
        let mut sum = 0.0;
        for (z, y) in z.iter_mut().zip(y) {
            loss -= y * (*z - max);
            *z = (*z - max).exp();
            sum += *z;
        }
        loss += sum.ln();
        let reciprocal = 1.0 / sum;
        for ((z, y), bar) in z.iter_mut().zip(y).zip(&mut *bias_bar) {
            *z = per_sample * (*z * reciprocal - y);
            *bar += *z;
        }
    }
    per_sample * loss
}

impl Contender<f64> for ByHand<'_> {
    fn run(&mut self) -> f64 {
        let ByHand { problem, hidden, logits, hidden_bar, gradients: [w1_bar, b1_bar, w2_bar, b2_bar] } =
            self;
        let Problem { w1, b1, w2, b2, x, y } = problem;
        let (b1, b2) = (b1.col_as_slice(0), b2.col_as_slice(0));

        product(hidden, w1.as_ref(), x.as_ref());
        release_registers();
        for j in 0..x.ncols() {
            for (a, b) in hidden.col_as_slice_mut(j).iter_mut().zip(b1) {
                *a = (*a + b).tanh();
            }
        }
        product(logits, w2.as_ref(), hidden.as_ref());
        release_registers();
        let loss = cross_entropy(logits, b2, y, b2_bar.col_as_slice_mut(0));

        product(w2_bar, logits.as_ref(), hidden.transpose());
        product(hidden_bar, w2.transpose(), logits.as_ref());
        release_registers();
        let b1_bar = b1_bar.col_as_slice_mut(0);
        b1_bar.fill(0.0);
        for j in 0..x.ncols() {
            let column = hidden_bar.col_as_slice_mut(j).iter_mut().zip(hidden.col_as_slice(j));
            for ((h, a), bar) in column.zip(&mut *b1_bar) {
                *h *= 1.0 - a * a;
                *bar += *h;
            }
        }
        product(w1_bar, hidden_bar.as_ref(), x.transpose());
        loss
    }

    fn results(&mut self) -> (f64, Vec<Mat<f64>>) {
        (self.run(), self.gradients.to_vec())
    }
}
