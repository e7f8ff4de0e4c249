//! What `least_squares` predicts is what it measures.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::predictions::{Expected::*, hold, understands};

#[test]
fn its_command_line_is_understood() {
    understands("least_squares");
}

#[test]
fn its_predictions_hold() {
    hold(
        "least_squares",
        2,
        &[
            // A predictor that is nearly a sum of others, and what a ridge makes of it.
            ("λ = 0: condition number, by products", Between(400.0, 500.0)),
            ("λ = 0.1: condition number, by products", Between(30.0, 45.0)),
            // Ten variables.
            ("λ = 0: products in a Newton step", Between(9.0, 11.0)),
            ("λ = 0: steps, by the start, too", Between(8e3, 9e3)),
            ("λ = 0: error after a Newton step", Between(0.0, 1e-11)),
            ("λ = 0.1: error after a Newton step", Between(0.0, 1e-11)),
            ("λ = 0: normal equations against QR", Between(0.0, 1e-12)),
        ],
    );
}
