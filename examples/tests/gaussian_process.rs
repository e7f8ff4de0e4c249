//! What `gaussian_process` predicts is what it measures.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::predictions::{Expected::*, hold, understands};

#[test]
fn its_command_line_is_understood() {
    understands("gaussian_process");
}

#[test]
fn its_predictions_hold() {
    hold(
        "gaussian_process",
        2,
        &[
            ("gradient against differences: relative error", Between(0.0, 1e-9)),
            ("L-BFGS ends without a slope", All),
            // The means of a hundred draws, give or take.
            ("length scale: part within 1.96 standard errors", Near(0.95, 0.07)),
            ("signal: part within 1.96 standard errors", Near(0.95, 0.07)),
            ("noise: part within 1.96 standard errors", Near(0.95, 0.07)),
            ("twice the gain over the truth, mean", Near(3.0, 0.75)),
            ("part of the function within the band, truth known", Near(0.95, 0.03)),
            ("part of the function within the band, fitted", Between(0.85, 0.95)),
        ],
    );
}
