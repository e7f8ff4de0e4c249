//! What the benchmarks share: the contenders, the race between them and the summary of its results.
//!
//! A shared machine changes its speed from one second to the next, so times taken one after the other do not
//! compare. Here all contenders of a cell run side by side, a fraction of a millisecond each in an order drawn
//! anew in every [round](race::Race::run), and what is reported is the median over the rounds of the ratio to
//! the first of them.
//!
//! Every problem has a module of its own, with the contender that is written by hand and the expression that
//! Pullback [compiles](compiled).

pub mod chain;
pub mod compiled;
pub mod deep_linear;
pub mod gaussian;
mod hand;
pub mod harness;
pub mod race;
mod random;
pub mod rule_book;
pub mod summary;
pub mod symmetric;
pub mod tanh_network;
pub mod trace;
