//! A deep linear network on real data.

fn main() {}
