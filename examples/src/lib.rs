//! What the examples share: the command line, reading data, drawing plots, and tables of what was predicted.

pub mod cli;
pub mod digits;
pub mod network;
pub mod plot;
pub mod table;
