use pullback_tape::{Shape, Var};
use std::panic::Location;

/// Why an expression could not be differentiated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A mistake made when the expression was recorded.
    #[error(transparent)]
    Tape(#[from] pullback_tape::Error),
    /// Only a 1×1 has a gradient; a matrix has a [`vjp`](crate::vjp) or a [`jvp`](crate::jvp).
    #[error("the gradient of `{formula}` was asked for, which is {shape} and not 1×1 ({location})")]
    NotScalar {
        /// What was to be differentiated.
        formula: String,
        /// Its shape.
        shape: Shape,
        /// Where it was written.
        location: &'static Location<'static>,
    },
    /// A tangent or cotangent has another shape than what it belongs to.
    #[error("`{seed}` is {found}, but `{formula}`, whose {kind} it is to be, is {expected}")]
    SeedShape {
        /// `tangent` or `cotangent`.
        kind: &'static str,
        /// The seed's formula.
        seed: String,
        /// The seed's shape.
        found: Shape,
        /// What it is seeded at.
        formula: String,
        /// The shape it should have.
        expected: Shape,
    },
    /// An expression that was to be transposed is not linear.
    #[error("`{formula}` is not linear in `{variable}`: {op} ({location})")]
    NotLinear {
        /// The op at which linearity ends.
        op: &'static str,
        /// The expression formed by that op.
        formula: String,
        /// In what it should be linear.
        variable: String,
        /// Where it was written.
        location: &'static Location<'static>,
    },
}

impl Error {
    pub(crate) fn seed_shape(kind: &'static str, seed: Var<'_>, at: Var<'_>) -> Self {
        Error::SeedShape {
            kind,
            seed: seed.summary(),
            found: seed.shape(),
            formula: at.summary(),
            expected: at.shape(),
        }
    }
}
