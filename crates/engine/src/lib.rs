//! How it runs: expressions compiled to programs of matrix kernels on [faer](https://docs.rs/faer).
//!
//! This crate knows no calculus: a gradient is an expression like any other. A [`Program`] is planned once
//! from the shapes and run many times without allocating.
//!
//! ```
//! use faer::{Mat, mat};
//! use pullback_engine::Program;
//! use pullback_tape::Tape;
//!
//! let tape = Tape::new();
//! let (a, x) = (tape.input("A", (2, 2)), tape.input("x", (2, 1)));
//! let mut program = Program::<f64>::compile(&[a * x, (a * x).norm_squared()])?;
//!
//! let a = mat![[1.0, 2.0], [3.0, 4.0]];
//! let x = Mat::full(2, 1, 1.0);
//! let [y, norm] = program.run(&[("A", a.as_ref()), ("x", x.as_ref())])?.matrices()?;
//! assert_eq!((y[(0, 0)], y[(1, 0)], norm[(0, 0)]), (3.0, 7.0, 58.0));
//! # Ok::<(), pullback_engine::Error>(())
//! ```

mod brief;
mod cost;
mod custom;
mod definition;
mod error;
mod failure;
mod homes;
mod kernels;
mod listing;
mod lower;
mod machine;
mod memory;
mod parallel;
mod plan;
#[cfg(feature = "rayon")]
mod pool;
mod profile;
mod program;
mod recompute;
mod routine;
mod scalar;
mod sight;

pub use cost::Kind;
pub use custom::CustomKernel;
pub use definition::Definition;
pub use error::{Eigenvalue, Error};
pub use listing::{Line, Listing, Stored};
pub use profile::Profile;
pub use program::{Options, Outputs, Parallelism, Program};
pub use scalar::Scalar;
