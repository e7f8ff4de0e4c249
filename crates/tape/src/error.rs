use crate::Shape;
use std::panic::Location;

/// Why an expression could not be recorded.
///
/// Operators cannot return a `Result`, so a mistake is recorded on the tape, with the user's source line, and
/// comes back from the first call that can return it (`gradient`, `compile`, [`Var::check`](crate::Var::check)).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operands' shapes do not fit the operation.
    #[error("{formula}: {problem} ({location})")]
    Shape {
        /// The operation, as printed: `*`, `+`, `trace`, …
        op: &'static str,
        /// The operation with its operands, abbreviated where they are long.
        formula: String,
        /// The shapes of the operands.
        shapes: Vec<Shape>,
        /// What does not fit, in words.
        problem: String,
        /// Where it was written.
        location: &'static Location<'static>,
    },
    /// A matrix has to be symmetric, and nothing says that it is.
    #[error("{op}: `{operand}` is not known to be symmetric: declare it, or symmetrize it ({location})")]
    NotSymmetric {
        /// The operation.
        op: &'static str,
        /// The matrix, abbreviated.
        operand: String,
        /// Where it was written.
        location: &'static Location<'static>,
    },
    /// An operand was recorded on another tape.
    #[error("{op}: `{operand}` belongs to another tape ({location})")]
    ForeignVar {
        /// The operation that was given the foreign operand.
        op: &'static str,
        /// The foreign operand's formula, abbreviated.
        operand: String,
        /// Where it was written.
        location: &'static Location<'static>,
    },
    /// An input's name was declared before with another shape, or something else was said about it.
    #[error(
        "input `{name}` is {shape} here ({location}) and was declared {first}{} before ({first_location})",
        if shape == first { ", but not as here," } else { "" }
    )]
    InputRedeclared {
        /// The name.
        name: String,
        /// The shape asked for.
        shape: Shape,
        /// The shape declared first.
        first: Shape,
        /// Where the second declaration stands.
        location: &'static Location<'static>,
        /// Where the first declaration stands.
        first_location: &'static Location<'static>,
    },
    /// A call got an argument that it does not take.
    #[error("{call}: {problem} ({location})")]
    Argument {
        /// The call, as written: `norm_p(0.5)`, `einsum("ij->k")`, …
        call: String,
        /// What it does not take, in words.
        problem: String,
        /// Where it was written.
        location: &'static Location<'static>,
    },
    /// A matrix would have more entries than memory has addresses.
    #[error("{formula}: a {shape} matrix is larger than the address space ({location})")]
    TooLarge {
        /// The expression.
        formula: String,
        /// Its shape.
        shape: Shape,
        /// Where it was written.
        location: &'static Location<'static>,
    },
}
