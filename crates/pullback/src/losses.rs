//! Losses: ordinary functions of expressions, to use as they are or to copy from.
//!
//! Predictions P (or logits Z) and targets Y are m×N: one column for each of N samples. Every loss is a mean
//! over the samples, 1×1.

use crate::Var;

/// The sum of a loss over the samples, divided by their number.
#[track_caller]
fn per_sample<'t>(sum: Var<'t>, samples: Var<'t>) -> Var<'t> {
    sum / samples.cols() as f64
}

/// Half the mean squared distance, `1/(2N) ‖P − Y‖²`.
///
/// # Derivative
/// `1/N (P − Y)`
#[track_caller]
pub fn squared<'t>(prediction: Var<'t>, target: Var<'t>) -> Var<'t> {
    per_sample(0.5 * (prediction - target).norm_squared(), prediction)
}

/// The mean absolute error, `1/N Σ |P − Y|`.
///
/// # Derivative
/// `1/N sign(P − Y)`
#[track_caller]
pub fn absolute<'t>(prediction: Var<'t>, target: Var<'t>) -> Var<'t> {
    per_sample((prediction - target).abs().sum(), prediction)
}

/// `1/N Σ log cosh(P − Y)`: quadratic near 0, linear far away, smooth everywhere.
///
/// # Derivative
/// `1/N tanh(P − Y)`
#[track_caller]
pub fn log_cosh<'t>(prediction: Var<'t>, target: Var<'t>) -> Var<'t> {
    per_sample((prediction - target).log_cosh().sum(), prediction)
}

/// Huber's loss: `r²/2` where `|r| ≤ δ`, `δ(|r| − δ/2)` beyond, of the residual `R = P − Y`.
///
/// With `C = clamp(R, −δ, δ)` it is `1/N ⟨C, R − C/2⟩`.
///
/// # Derivative
/// `1/N clamp(P − Y, −δ, δ)` (Huber, *Robust Estimation of a Location Parameter*, 1964).
///
/// ```
/// use pullback::prelude::*;
/// let tape = Tape::new();
/// let (p, y) = (tape.input("P", (1, 2)), tape.input("Y", (1, 2)));
/// let at = pullback::faer::mat![[0.5, 3.0]];
/// let zero = pullback::faer::mat![[0.0, 0.0]];
/// let bound = [("P", at.as_ref()), ("Y", zero.as_ref())];
/// let (value, grads) = value_and_gradients(losses::huber(p, y, 1.0), &[p], &bound)?;
/// assert_eq!(value, (0.125 + 2.5) / 2.0);
/// assert_eq!(grads[0], pullback::faer::mat![[0.25, 0.5]]);
/// # Ok::<(), pullback::Error>(())
/// ```
#[track_caller]
pub fn huber<'t>(prediction: Var<'t>, target: Var<'t>, delta: f64) -> Var<'t> {
    let residual = prediction - target;
    let clamped = residual.clamp(-delta, delta);
    per_sample(clamped.inner(residual - 0.5 * clamped), prediction)
}

/// The cross-entropy of `softmax(Z)` under target distributions: `1/N (Σ log Σ exp Z − ⟨Y, Z⟩)`.
///
/// Every column of Y is a distribution (it sums to 1), such as a one-hot column.
///
/// # Derivative
/// `1/N (softmax(Z) − Y)`
#[track_caller]
pub fn cross_entropy<'t>(logits: Var<'t>, target: Var<'t>) -> Var<'t> {
    per_sample(logits.log_sum_exp().sum() - target.inner(logits), logits)
}

/// The cross-entropy of independent Bernoulli variables with logits Z and targets in [0, 1]:
/// `1/N (Σ softplus(Z) − ⟨Y, Z⟩)`.
///
/// # Derivative
/// `1/N (σ(Z) − Y)`
#[track_caller]
pub fn binary_cross_entropy<'t>(logits: Var<'t>, target: Var<'t>) -> Var<'t> {
    per_sample(logits.softplus().sum() - target.inner(logits), logits)
}

/// The hinge loss for labels ±1: `1/N Σ max(0, 1 − Y ∘ Z)`.
///
/// # Derivative
/// `−1/N step(1 − Y ∘ Z) ∘ Y`
#[track_caller]
pub fn hinge<'t>(scores: Var<'t>, labels: Var<'t>) -> Var<'t> {
    per_sample((1.0 - labels.hadamard(scores)).relu().sum(), scores)
}

/// The ridge penalty `λ/2 ‖W‖²`, to add to a loss.
///
/// # Derivative
/// `λ W`
#[track_caller]
pub fn ridge(weights: Var<'_>, lambda: f64) -> Var<'_> {
    (0.5 * lambda) * weights.norm_squared()
}
