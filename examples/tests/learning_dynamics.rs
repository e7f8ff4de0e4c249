//! What `learning_dynamics` predicts is what it measures.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::predictions::{Expected::*, hold, understands};

#[test]
fn its_command_line_is_understood() {
    understands("learning_dynamics");
}

#[test]
fn its_predictions_hold() {
    // Four digits are printed of exponents that do not depend on a limit.
    const PRINTED: f64 = 1e-4;
    hold(
        "learning_dynamics",
        6,
        &[
            // Runge and Kutta's error, (2 s h)⁴ = (0.08)⁴ = 4e-5 with a factor of 1/120 and less.
            ("aligned start: largest |a(t) − u(t)| / s", Between(0.0, 1e-6)),
            ("exponent in s of the time to half strength, over ln(s/u₀ − 1)", Near(-1.0, PRINTED)),
            // 4/7 in the limit of small starts; between finite ones the constant still changes a little.
            ("exponent in the size of the start of that error", Near(4.0 / 7.0, 0.05)),
            // Each mode alone misses by as much however small the start: the other prediction is needed.
            (
                "random start of size 1e-2, half-time in 1/2s: median error, each mode alone",
                Between(0.3, 1.0),
            ),
            (
                "random start of size 1e-6, half-time in 1/2s: median error, each mode alone",
                Between(0.3, 1.0),
            ),
            ("random start of size 1e-6, half-time in 1/2s: largest error, in turn", Between(0.0, 2e-3)),
            ("random start: stronger modes are learned earlier", All),
            // Fitted to steps that are short, not infinitely so.
            ("drift of Wₖ₊₁ᵀWₖ₊₁ − WₖWₖᵀ: order in the step, gradient descent", Near(1.0, 0.05)),
            ("drift of Wₖ₊₁ᵀWₖ₊₁ − WₖWₖᵀ: order in the step, midpoint rule", Near(2.0, 0.05)),
            ("drift of Wₖ₊₁ᵀWₖ₊₁ − WₖWₖᵀ: order in the step, Runge–Kutta", Near(4.0, 0.05)),
            // Lanczos' method ends at residuals of 1e-9, which eigenvalues feel squared.
            ("largest λ on the way: relative error of D s^(2−2/D)", Between(0.0, 1e-10)),
            ("exponent in D of the best rate, s = 1", Near(-1.0, PRINTED)),
            ("exponent in s of the best rate, D = 2 (−2 in the limit)", Near(-1.0, PRINTED)),
            ("exponent in s of the best rate, D = 8 (−2 in the limit)", Near(-1.75, PRINTED)),
            ("gradient descent at 1.9/λ settles", All),
            ("gradient descent at 2.1/λ leaves", All),
        ],
    );
}
