use crate::{Eigenvalue, Error};
use std::panic::Location;

/// Why an algorithm on matrices has no result. It knows numbers only; what they belong to is added to the [`Error`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Failure {
    /// An iteration did not end, after it was tried again on a scaled or a transposed problem.
    NoConvergence,
    /// Two values of a spectrum coincide, and the result depends on how their vectors are chosen.
    Coincide { first: usize, second: usize, gap: f64 },
    /// Two eigenvalues coincide that have too few eigenvectors.
    Defective { first: usize, second: usize, gap: f64 },
    /// What is divided by vanishes.
    Singular { pivot: usize },
    /// A pivot vanishes where rows are not exchanged.
    ZeroPivot { pivot: usize },
    /// An eigenvalue of one coefficient of an equation and one of the other that together make it singular.
    SingularEquation { first: Eigenvalue, second: Eigenvalue },
    /// An eigenvalue where a function of a matrix is not defined.
    OutsideDomain { eigenvalue: Eigenvalue },
    /// A pair of complex eigenvalues where all were to be real.
    ComplexEigenvalues { eigenvalue: Eigenvalue },
}

impl Failure {
    /// The error that tells of it: the op, its matrix, and where it was written.
    pub(crate) fn error(
        self,
        op: &'static str,
        formula: String,
        location: &'static Location<'static>,
    ) -> Error {
        match self {
            Failure::Singular { pivot } => Error::Singular { op, formula, pivot, location },
            Failure::ZeroPivot { pivot } => Error::ZeroPivot { op, formula, pivot, location },
            Failure::NoConvergence => Error::NoConvergence { op, formula, location },
            Failure::Coincide { first, second, gap } => {
                Error::Coincide { op, formula, first, second, gap, location }
            }
            Failure::Defective { first, second, gap } => {
                Error::Defective { op, formula, first, second, gap, location }
            }
            Failure::SingularEquation { first, second } => {
                Error::SingularEquation { op, formula, first, second, location }
            }
            Failure::OutsideDomain { eigenvalue } => {
                Error::OutsideDomain { op, formula, eigenvalue, location }
            }
            Failure::ComplexEigenvalues { eigenvalue } => {
                Error::ComplexEigenvalues { op, formula, eigenvalue, location }
            }
        }
    }
}
