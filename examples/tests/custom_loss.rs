//! What `custom_loss` predicts is what it measures.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::predictions::{Expected::*, hold, understands};

#[test]
fn its_command_line_is_understood() {
    understands("custom_loss");
}

#[test]
fn its_predictions_hold() {
    hold(
        "custom_loss",
        3,
        &[
            // Least squares follow the points that are off.
            ("slope by least squares", Between(2.4, 2.8)),
            ("slope by the robust loss", Near(2.0, 0.2)),
            ("pairs recognized by the contrastive loss", All),
        ],
    );
}
