//! What the examples share: reading data and drawing plots.

pub mod digits;
pub mod plot;
