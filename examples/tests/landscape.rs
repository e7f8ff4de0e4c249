//! What `landscape` predicts is what it measures.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::predictions::{Expected::*, hold, understands};

#[test]
fn its_command_line_is_understood() {
    understands("landscape");
}

#[test]
fn its_predictions_hold() {
    // Eigenvalues of matrices of order 1, as many digits as are printed.
    const PRINTED: f64 = 1e-4;
    hold(
        "landscape",
        6,
        &[
            // Strongly convex but for directions that change nothing: Newton's method ends at rounding.
            ("‖∇L(W)‖ where Newton's method ended, largest", Between(0.0, 1e-12)),
            ("squared: random starts reach the convex optimum", All),
            ("Huber: random starts reach the convex optimum", All),
            ("logistic: random starts reach the convex optimum", All),
            ("cross-entropy: random starts reach the convex optimum", All),
            // Gradients of 1e-8, squared, over curvatures of 1e-4 and more.
            ("largest distance from the convex optimum", Between(0.0, 1e-11)),
            ("random starts end where ∇L(W) = 0", All),
            ("all layers zero, depth 2: strict saddle", All),
            ("all layers zero, depth ≥ 3: degenerate saddle", All),
            ("rank 1, padded with zeros, depth ≥ 3: degenerate saddle", All),
            ("rank 1, depth 2 or identity between: strict saddle", All),
            ("all layers zero, depth 2: relative error of λ = −σ₁(∇L)", Between(0.0, 1e-12)),
            ("starts beside these saddles reach the convex optimum", All),
            ("one hidden unit, squared: random starts reach the best", All),
            // By symmetry of the network, and with starts that prefer neither, both basins are large.
            ("one hidden unit, Huber: random starts reach the best", Between(10.0, 90.0)),
            ("one hidden unit, Huber: random starts end 1/2 above it", Between(10.0, 90.0)),
            ("one hidden unit, Huber: one or the other", All),
            ("W = Diag(0, 2), Huber: eigenvalue 2", Near(0.5, PRINTED)),
            ("W = Diag(0, 2), Huber: eigenvalue 3", Near(1.5, PRINTED)),
            ("W = Diag(0, 2), Huber: eigenvalue 4", Near(2.0, PRINTED)),
            ("W = Diag(0, 2), squared: smallest eigenvalue", Near(-0.5, PRINTED)),
            ("random problems, one hidden unit, squared: ends in spurious minima", Near(0.0, 0.0)),
            // Rounding of a loss of order 1.
            ("ℓ₁, 2×2: by how much the loss is lower around it", Between(-1.0, 1e-15)),
            ("ℓ₁, 2×2: random starts reach the optimum 0", Between(100.0, 199.0)),
            ("ℓ₁, 2×2: random starts end at 1/2", Between(1.0, 100.0)),
            ("ℓ₁, 2×2: from beside these ends, back to 1/2", All),
            ("the same starts, squared loss: reach the optimum 0", All),
            ("the same starts, Huber, δ = 1/2: reach the optimum 0", All),
            ("ℓ₁ rounded off: relative error of the formula for λ", Between(0.0, 1e-10)),
            ("ℓ₁ rounded off: from beside the point, to the optimum 0", All),
            ("ℓ₁ rounded off: exponent in δ of the steps to leave the point", Near(-2.0, 0.1)),
        ],
    );
}
