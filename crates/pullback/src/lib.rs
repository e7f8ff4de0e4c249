//! Reverse-mode automatic differentiation whose nodes are whole matrices.
//!
//! Write a scalar loss in matrix notation; its gradient comes back as an expression that prints as the formula
//! in the textbook and runs at the speed of the same [faer](https://docs.rs/faer) calls by hand.
//!
//! ```
//! use pullback::faer::Mat;
//! use pullback::prelude::*;
//!
//! // Record: shapes and names, no numbers yet.
//! let tape = Tape::new();
//! let (w1, w2) = (tape.input("W1", (32, 64)), tape.input("W2", (10, 32)));
//! let (x, y) = (tape.input("X", (64, 100)), tape.input("Y", (10, 100)));
//! let loss = losses::squared(w2 * w1 * x, y);
//! assert_eq!(loss.to_string(), "1/200 ‖W2 W1 X − Y‖²");
//!
//! // Differentiate: the gradients are expressions on the same tape.
//! let grads = gradient(loss, &[w1, w2])?;
//! assert_eq!(grads[0].to_string(), "1/100 W2ᵀ (W2 W1 X − Y) Xᵀ");
//! assert_eq!(grads[1].to_string(), "1/100 (W2 W1 X − Y) Xᵀ W1ᵀ");
//!
//! // Run: compile once, bind matrices by name, run as often as you like without allocating.
//! let mut program = Program::<f64>::compile(&[loss, grads[0], grads[1]])?;
//! let (w1, w2) = (Mat::full(32, 64, 0.1), Mat::full(10, 32, 0.1));
//! let (x, y) = (Mat::full(64, 100, 1.0), Mat::zeros(10, 100));
//! let run = program.run(&[
//!     ("W1", w1.as_ref()), ("W2", w2.as_ref()), ("X", x.as_ref()), ("Y", y.as_ref()),
//! ])?;
//! let [value, g1, g2] = run.matrices()?;
//! assert!((value[(0, 0)] - 0.5 * 10.0 * 20.48f64.powi(2)).abs() < 1e-9);
//! assert_eq!((g1.nrows(), g2.nrows()), (32, 10));
//! # Ok::<(), pullback::Error>(())
//! ```
//!
//! # The four crates
//!
//! [`pullback_tape`] records *what* is computed, [`pullback_rules`] knows *how it varies*, [`pullback_engine`]
//! knows *how it runs*; this one joins them and adds [`losses`], [`check`] and one-call evaluation.
//!
//! # Features
//!
//! All are off by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `rayon` | programs that divide their work among threads: `Parallelism::Threads` |
//! | `argmin` | losses as problems for the solvers of argmin: module `argmin` |
//! | `nalgebra`, `ndarray` | their matrices as inputs and outputs, without a copy: modules `nalgebra`, `ndarray` |
//! | `serde` | named parameters that can be written to files and read again: module `parameters` |

#[cfg(feature = "argmin")]
pub mod argmin;
pub mod check;
pub mod curvature;
pub mod custom;
mod error;
mod evaluate;
pub mod implicit;
pub mod linear_map;
pub mod losses;
#[cfg(feature = "nalgebra")]
pub mod nalgebra;
#[cfg(feature = "ndarray")]
pub mod ndarray;
#[cfg(feature = "serde")]
pub mod parameters;

pub use error::Error;
pub use evaluate::{compile, compile_with, evaluate, value_and_gradients};
pub use pullback_engine::{
    Definition, Kind, Line, Listing, Options, Outputs, Parallelism, Profile, Program, Scalar, Stored,
};
pub use pullback_rules::{
    Derivation, Rewrites, Step, derivation, gauss_newton, gradient, hessian, hessian_diagonal, hvp, jacobian,
    jvp, metric_product, optimize, optimize_with, substitute, transpose, vjp,
};
pub use pullback_tape::{Binary, Declaration, Function, MatrixFunction, Shape, Structure, Tape, Var};

/// The version of faer in whose matrices this library speaks.
pub use faer;

/// The errors of each part, by its name.
pub mod errors {
    pub use pullback_engine::Error as EngineError;
    pub use pullback_rules::Error as RulesError;
    pub use pullback_tape::Error as TapeError;
}

/// What most programs use: `use pullback::prelude::*`.
pub mod prelude {
    pub use crate::{
        Definition, Error, Program, Shape, Tape, Var, check, compile, derivation, evaluate, gradient,
        hessian, hvp, implicit, jacobian, jvp, losses, optimize, value_and_gradients, vjp,
    };
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
