//! How it varies: derivatives of the expressions on a [`Tape`](pullback_tape::Tape), as expressions on it.
//!
//! The gradient of a scalar function is defined by `f(X + ε) = f(X) + ⟨∇f(X), ε⟩ + o(‖ε‖)`, and nothing else
//! is used to find it. The rule book states for every op either that it is linear in an argument, with the
//! adjoint of that linear map, or its Fréchet derivative, one line in the language in which losses are written.
//! [`transpose`] turns any expression that is linear in `ε` into the adjoint map, and that is every
//! vector-Jacobian product: none is written by hand. Leaving `ε` in place is every Jacobian-vector product.
//!
//! This is "linearize, then transpose" (Radul, Paszke, Frostig, Johnson, Maclaurin, *You Only Linearize Once*,
//! POPL 2023) at the level of matrices, so that the answer can be read:
//!
//! ```
//! use pullback_tape::Tape;
//! use pullback_rules::gradient;
//!
//! let tape = Tape::new();
//! let w1 = tape.input("W1", (32, 64));
//! let w2 = tape.input("W2", (32, 32));
//! let w3 = tape.input("W3", (10, 32));
//! let loss = tape.function("L", w3 * w2 * w1);
//! let grads = gradient(loss, &[w1, w2, w3])?;
//! assert_eq!(grads[1].to_string(), "W3ᵀ ∇L(W3 W2 W1) W1ᵀ");
//! # Ok::<(), pullback_rules::Error>(())
//! ```

mod book;
mod calculus;
mod curvature;
mod derivation;
mod error;
mod jacobian;
mod optimize;

pub use book::{At, Variation};
pub use calculus::{gradient, hvp, jvp, substitute, transpose, vjp};
pub use curvature::{gauss_newton, metric_product};
pub use derivation::{Derivation, Step, derivation};
pub use error::Error;
pub use jacobian::{hessian, hessian_diagonal, jacobian};
pub use optimize::{Rewrites, optimize, optimize_with};
