//! Matrices that a decomposition consists of, and what their derivatives are made of.

use crate::{Op, Shape, Var};
use std::panic::Location;

/// The matrices of [`Op::Factor`]. All factors of one matrix share one decomposition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Factor {
    /// The eigenvalues of a symmetric matrix, ascending: a column.
    Eigenvalues,
    /// The matrix V of orthonormal eigenvectors of a symmetric matrix, `A = V Diag(λ) Vᵀ`.
    Eigenvectors,
    /// The eigenvalues of a square matrix that are all real, ascending: a column.
    RealEigenvalues,
    /// The matrix V of their eigenvectors, columns of norm 1, `A V = V Diag(λ)`.
    RealEigenvectors,
}

impl Factor {
    /// The name in formulas and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Factor::Eigenvalues => "eigenvalues",
            Factor::Eigenvectors => "eigenvectors",
            Factor::RealEigenvalues => "real eigenvalues",
            Factor::RealEigenvectors => "real eigenvectors",
        }
    }

    /// What it is called in formulas.
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Factor::Eigenvalues | Factor::RealEigenvalues => "λ",
            Factor::Eigenvectors | Factor::RealEigenvectors => "V",
        }
    }

    /// Every factor: for tests that walk the list.
    pub const fn all() -> [Factor; 4] {
        [Factor::Eigenvalues, Factor::Eigenvectors, Factor::RealEigenvalues, Factor::RealEigenvectors]
    }

    /// Whether the matrix has to be known to be symmetric.
    pub(crate) const fn of_symmetric(self) -> bool {
        match self {
            Factor::Eigenvalues | Factor::Eigenvectors => true,
            Factor::RealEigenvalues | Factor::RealEigenvectors => false,
        }
    }

    pub(crate) fn shape(self, a: Shape) -> Result<Shape, String> {
        let square = || if a.is_square() { Ok(a) } else { Err(format!("{a} is not square")) };
        match self {
            Factor::Eigenvalues | Factor::RealEigenvalues => square().map(|a| Shape::new(a.rows, 1)),
            Factor::Eigenvectors | Factor::RealEigenvectors => square(),
        }
    }
}

/// The operations of [`Op::Spectral`], beside a spectrum λ. Two of its values coincide if they differ by no more than
/// rounding errors; where something is asked that depends on how their vectors were chosen, a run fails.
///
/// | operation | value | linear in the second argument, with the adjoint |
/// |---|---|---|
/// | `Diagonal` | `diag(M)`; fails if M is no multiple of I where values coincide | `Diag` |
/// | `Diag` | `Diag(w)`; fails if entries of w differ where values coincide | `Diagonal` |
/// | `Gaps` | `Mᵢⱼ/(λⱼ − λᵢ)`, 0 on the diagonal | `Gaps` |
/// | `SymmetricGaps` | the same of `½ (M + Mᵀ)` | `SkewGaps` |
/// | `SkewGaps` | the same of `½ (M − Mᵀ)` | `SymmetricGaps` |
///
/// A quotient by a gap is 0 where its numerator is 0 to working precision; a run fails if the gap is, and the numerator is
/// not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // The table above documents them at one glance.
pub enum Spectral {
    Diagonal,
    Diag,
    Gaps,
    SymmetricGaps,
    SkewGaps,
}

impl Spectral {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Spectral::Diagonal => "diagonal beside a spectrum",
            Spectral::Diag => "diag beside a spectrum",
            Spectral::Gaps => "gaps",
            Spectral::SymmetricGaps => "symmetric gaps",
            Spectral::SkewGaps => "skew gaps",
        }
    }

    /// Every operation: for tests that walk the list.
    pub const fn all() -> [Spectral; 5] {
        [Spectral::Diagonal, Spectral::Diag, Spectral::Gaps, Spectral::SymmetricGaps, Spectral::SkewGaps]
    }

    pub(crate) fn shape(self, n: usize, b: Shape) -> Result<Shape, String> {
        let wanted = if self == Spectral::Diag { Shape::new(n, 1) } else { Shape::new(n, n) };
        match self {
            _ if b != wanted => Err(format!("beside {n} values there is a {wanted}, not a {b}")),
            Spectral::Diagonal => Ok(Shape::new(n, 1)),
            _ => Ok(Shape::new(n, n)),
        }
    }
}

impl<'t> Var<'t> {
    #[track_caller]
    fn factor(self, factor: Factor) -> Var<'t> {
        self.tape.record(Op::Factor(factor), &[self], Location::caller())
    }

    /// The eigenvalues of a symmetric matrix, ascending, m×1. O(m³).
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (s, a) = (tape.symmetric("S", 3), tape.input("A", (3, 3)));
    /// assert_eq!(s.eigenvalues().to_string(), "λ(S)");
    /// assert!(a.eigenvalues().check().is_err());
    /// ```
    ///
    /// # Derivative
    /// `diag(Vᵀ ε V)` for a symmetric ε. Where eigenvalues coincide, they have a gradient only if the loss treats them
    /// alike.
    ///
    /// # Errors
    /// (deferred) [`Error::NotSymmetric`](crate::Error::NotSymmetric) if the matrix is not known to be symmetric; (when
    /// run) no convergence; for gradients, coinciding eigenvalues that the loss tells apart.
    #[track_caller]
    pub fn eigenvalues(self) -> Var<'t> {
        self.factor(Factor::Eigenvalues)
    }

    /// Orthonormal eigenvectors of a symmetric matrix, one to a column, in the order of the
    /// [eigenvalues](Self::eigenvalues), m×m: `X = V Diag(λ) Vᵀ`. Of each, the entry of the largest size is positive. O(m³).
    ///
    /// # Derivative
    /// `V (Vᵀ ε V ⊘ Δ)` for a symmetric ε, with the gaps `Δᵢⱼ = λⱼ − λᵢ` and 0 on the diagonal.
    ///
    /// # Errors
    /// Those of [`eigenvalues`](Self::eigenvalues).
    #[track_caller]
    pub fn eigenvectors(self) -> Var<'t> {
        self.factor(Factor::Eigenvectors)
    }

    /// The eigenvalues and eigenvectors of a symmetric matrix: [`eigenvalues`](Self::eigenvalues) and
    /// [`eigenvectors`](Self::eigenvectors).
    #[track_caller]
    pub fn eigen(self) -> (Var<'t>, Var<'t>) {
        (self.eigenvalues(), self.eigenvectors())
    }
}
