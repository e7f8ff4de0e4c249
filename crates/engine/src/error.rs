use pullback_tape::Shape;
use std::fmt;
use std::panic::Location;

/// An eigenvalue of a real matrix; of a pair, that with the positive imaginary part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Eigenvalue {
    /// The real part.
    pub re: f64,
    /// The imaginary part.
    pub im: f64,
}

impl fmt::Display for Eigenvalue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.im == 0.0 { write!(f, "{}", self.re) } else { write!(f, "{} + {}i", self.re, self.im) }
    }
}

/// Why a program could not be compiled or run.
///
/// After an error in a run, the program can be run again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A mistake made when the expression was recorded.
    #[error(transparent)]
    Tape(#[from] pullback_tape::Error),
    /// A perturbation has no value.
    #[error("`{name}` is a symbol and cannot be evaluated ({location})")]
    Symbolic {
        /// The symbol's name.
        name: String,
        /// Where it was declared.
        location: &'static Location<'static>,
    },
    /// An input was given no matrix.
    #[error("input `{name}` ({shape}) is not bound")]
    Unbound {
        /// The input's name.
        name: String,
        /// The shape it needs.
        shape: Shape,
    },
    /// A matrix was given for an input that the tape does not have.
    #[error("there is no input `{name}`; the inputs are {known}")]
    UnknownInput {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Two matrices were given for one input.
    #[error("input `{name}` is bound twice")]
    BoundTwice {
        /// The input's name.
        name: String,
    },
    /// A constant was given to a run.
    #[error("input `{name}` was declared constant: it is bound once, by `bind`, and not in every run")]
    Constant {
        /// The input's name.
        name: String,
    },
    /// An input of runs was bound as a constant.
    #[error("input `{name}` was not declared constant: it is given to every run")]
    NotConstant {
        /// The input's name.
        name: String,
    },
    /// The user's code refused, or panicked: an operation of one's own, or the definition of a function.
    #[error("{op}: {problem}, in `{formula}` ({location})")]
    Custom {
        /// The operation's name.
        op: String,
        /// The expression that it forms, abbreviated.
        formula: String,
        /// What it said.
        problem: String,
        /// Where it was written.
        location: &'static Location<'static>,
    },
    /// A matrix has another shape than its input.
    #[error("input `{name}` is {expected}, but the matrix bound to it is {found}")]
    InputShape {
        /// The input's name.
        name: String,
        /// The shape declared.
        expected: Shape,
        /// The shape of the matrix.
        found: Shape,
    },
    /// Another number of results was asked for than the program has.
    #[error("the program has {expected} outputs, not {found}")]
    OutputCount {
        /// The number of outputs compiled.
        expected: usize,
        /// The number asked for.
        found: usize,
    },
    /// A result does not have the shape asked for.
    #[error("output {index}, `{formula}`, is {expected}, not {found}")]
    OutputShape {
        /// The output's position.
        index: usize,
        /// The output's formula.
        formula: String,
        /// The shape of the result.
        expected: Shape,
        /// The shape asked for.
        found: Shape,
    },
    /// A function was defined that the program does not use.
    #[error("the program has no function `{name}`")]
    UnknownFunction {
        /// The name given.
        name: String,
    },
    /// An opaque function, or a derivative of it, was run without a numeric definition.
    #[error("`{formula}` needs a definition of `{function}` ({location})")]
    Undefined {
        /// The function, or its derivative: `L`, `∇L`, `∇²L`, …
        function: String,
        /// The expression.
        formula: String,
        /// Where it was written.
        location: &'static Location<'static>,
    },
    /// A matrix that is to be inverted is singular to working precision.
    #[error("{op}: `{formula}` is singular to working precision: pivot {pivot} vanishes ({location})")]
    Singular {
        /// The op that needs an invertible matrix.
        op: &'static str,
        /// The matrix.
        formula: String,
        /// The first vanishing pivot.
        pivot: usize,
        /// Where the op was written.
        location: &'static Location<'static>,
    },
    /// A matrix that was declared or written as positive definite is not, to working precision.
    #[error(
        "{op}: `{formula}` is not positive definite to working precision: pivot {pivot} is not positive ({location})"
    )]
    NotPositiveDefinite {
        /// The op that factorizes the matrix.
        op: &'static str,
        /// The matrix.
        formula: String,
        /// The first pivot that is not positive.
        pivot: usize,
        /// Where the op was written.
        location: &'static Location<'static>,
    },
    /// A pivot vanishes in a factorization that does not exchange rows.
    #[error(
        "{op}: pivot {pivot} of `{formula}` vanishes to working precision, and rows are not exchanged ({location})"
    )]
    ZeroPivot {
        /// The op that factorizes the matrix.
        op: &'static str,
        /// The matrix.
        formula: String,
        /// The first vanishing pivot.
        pivot: usize,
        /// Where the op was written.
        location: &'static Location<'static>,
    },
    /// An iteration on a matrix did not converge, on a scaled one neither.
    #[error("{op}: no convergence for `{formula}` ({location})")]
    NoConvergence {
        /// The op that iterates.
        op: &'static str,
        /// The matrix.
        formula: String,
        /// Where the op was written.
        location: &'static Location<'static>,
    },
    /// Eigenvalues or singular values coincide, and the derivative depends on which vectors belong to them.
    #[error(
        "{op}: values {first} and {second} of `{formula}` coincide to working precision (gap {gap:e}), \
         and the derivative depends on the choice of their vectors ({location})"
    )]
    Coincide {
        /// The op whose derivative it is.
        op: &'static str,
        /// The eigenvalues or singular values.
        formula: String,
        /// The position of the first of the two.
        first: usize,
        /// The position of the second.
        second: usize,
        /// Their distance.
        gap: f64,
        /// Where the op was written.
        location: &'static Location<'static>,
    },
    /// Eigenvalues of a general matrix coincide and have too few eigenvectors, so that they have no derivative.
    #[error(
        "{op}: the eigenvalues {first} and {second} of `{formula}` coincide to working precision (gap {gap:e}), \
         with too few eigenvectors: they have no derivative ({location})"
    )]
    Defective {
        /// The op that tells them apart.
        op: &'static str,
        /// The matrix.
        formula: String,
        /// The position of the first of the two.
        first: usize,
        /// The position of the second.
        second: usize,
        /// Their distance.
        gap: f64,
        /// Where the op was written whose derivative it is.
        location: &'static Location<'static>,
    },
    /// A linear matrix equation has no solution, or more than one.
    #[error(
        "{op}: the equation is singular to working precision, by the eigenvalue {first} of `{formula}` and \
         {second} of the other coefficient ({location})"
    )]
    SingularEquation {
        /// The op that solves the equation.
        op: &'static str,
        /// The first coefficient.
        formula: String,
        /// The eigenvalue of it.
        first: Eigenvalue,
        /// The eigenvalue of the other coefficient.
        second: Eigenvalue,
        /// Where the op was written.
        location: &'static Location<'static>,
    },
    /// A function of a matrix is not defined where the matrix has an eigenvalue.
    #[error("{op}: not defined for the eigenvalue {eigenvalue} of `{formula}` ({location})")]
    OutsideDomain {
        /// The op.
        op: &'static str,
        /// The matrix.
        formula: String,
        /// The eigenvalue.
        eigenvalue: Eigenvalue,
        /// Where the op was written.
        location: &'static Location<'static>,
    },
    /// A matrix whose eigenvalues were to be real has a pair of complex ones.
    #[error("{op}: `{formula}` has the complex eigenvalue {eigenvalue} and its conjugate ({location})")]
    ComplexEigenvalues {
        /// The op.
        op: &'static str,
        /// The matrix.
        formula: String,
        /// Of the pairs, that with the largest imaginary part.
        eigenvalue: Eigenvalue,
        /// Where the op was written.
        location: &'static Location<'static>,
    },
    /// A matrix that was declared symmetric is not.
    #[error(
        "input `{name}` is symmetric, but the matrix bound to it differs at ({row}, {col}) from ({col}, {row})"
    )]
    NotSymmetric {
        /// The input's name.
        name: String,
        /// The row of an entry that differs from its mirror image.
        row: usize,
        /// The column of that entry.
        col: usize,
    },
    /// A value is infinite or NaN, and the program was told to look.
    #[error("{op}: `{formula}` is not finite at row {row}, column {col} ({location})")]
    NonFinite {
        /// The op that produced it.
        op: &'static str,
        /// The expression.
        formula: String,
        /// The row of the first such entry.
        row: usize,
        /// The column of the first such entry.
        col: usize,
        /// Where it was written.
        location: &'static Location<'static>,
    },
    /// The program's buffers do not fit into memory.
    #[error("the program needs a buffer of {bytes} bytes more than there is")]
    OutOfMemory {
        /// The size of the buffer that was refused.
        bytes: usize,
    },
    /// The threads that the program was to run on could not be started.
    #[error("{threads} threads could not be started: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}
