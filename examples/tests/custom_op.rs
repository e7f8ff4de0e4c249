//! What `custom_op` predicts is what it measures.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::predictions::{Expected::*, hold, understands};

#[test]
fn its_command_line_is_understood() {
    understands("custom_op");
}

#[test]
fn its_predictions_hold() {
    hold("custom_op", 2, &[("gradient: error relative to that of a dense solve", Between(0.0, 1e-11))]);
}
