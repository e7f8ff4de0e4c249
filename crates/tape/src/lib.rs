//! What is computed: matrix expressions on a [`Tape`], their shapes, and the formulas they print as.
//!
//! This crate knows no numbers and no derivatives. It is the language in which users write losses and in which
//! the rule book writes derivatives; `pullback-rules` differentiates what is recorded here and
//! `pullback-engine` runs it. Most users want the crate `pullback`, which joins the three.
//!
//! ```
//! use pullback_tape::Tape;
//! let tape = Tape::new();
//! let (w2, w1) = (tape.input("W2", (10, 32)), tape.input("W1", (32, 64)));
//! let (x, y) = (tape.input("X", (64, 200)), tape.input("Y", (10, 200)));
//! let loss = 0.5 * (w2 * w1 * x - y).norm_squared();
//! assert_eq!(loss.to_string(), "½ ‖W2 W1 X − Y‖²");
//! ```

mod arrange;
mod contract;
mod custom;
mod decompose;
mod determinant;
mod equations;
mod error;
mod factor;
mod formula;
mod functions;
mod graph;
mod normal;
mod op;
mod real_eigen;
mod reduce;
mod shape;
mod spectrum;
mod structure;
mod tape;
mod var;
mod write;

pub use custom::{Argument, Custom, CustomOp};
pub use error::Error;
pub use factor::{Factor, Spectral};
pub use formula::Formulas;
pub use functions::MatrixFunction;
pub use graph::{Args, Graph, Node, NodeId};
pub use op::{Binary, Function, Indices, Literal, Name, Op, Slot};
pub use shape::Shape;
pub use structure::{Declaration, Structure};
pub use tape::Tape;
pub use var::Var;
