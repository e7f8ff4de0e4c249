//! The deep linear gradient.
fn main() {}
