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
    /// The eigenvalues of a square matrix that are all real, as derivatives see them: in place of those that rounding errors
    /// may have split there is their mean. A run fails if such eigenvalues have too few eigenvectors.
    ClusteredEigenvalues,
    /// The singular values σ of an m×n matrix, descending: a column of min(m, n).
    SingularValues,
    /// The matrix U of orthonormal left singular vectors, m×min(m, n), `A = U Diag(σ) Vᵀ`.
    LeftVectors,
    /// The matrix V of orthonormal right singular vectors, n×min(m, n).
    RightVectors,
    /// The pseudo-inverse of Moore and Penrose of an m×n matrix, n×m, by its singular values.
    PseudoInverse,
    /// The factor `U Vᵀ` of `A = U Diag(σ) Vᵀ`, m×n: of all matrices with orthonormal columns (or rows) the nearest.
    Polar,
    /// The matrix Q of orthonormal columns of an m×n matrix with m ≥ n, m×n, `A = Q R`.
    Orthonormal,
    /// The upper triangle R with a diagonal that is not negative, n×n.
    Triangular,
    /// The permutation P of a square matrix, `P A = L U`.
    Permutation,
    /// The lower triangle L of LU, with ones on its diagonal.
    Lower,
    /// The upper triangle U of LU.
    Upper,
    /// The lower triangle L of a symmetric matrix, with ones on its diagonal, `A = L Diag(d) Lᵀ`.
    SymmetricLower,
    /// The pivots d of a symmetric matrix: a column.
    Pivots,
}

impl Factor {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Factor::Eigenvalues => "eigenvalues",
            Factor::Eigenvectors => "eigenvectors",
            Factor::RealEigenvalues => "real eigenvalues",
            Factor::RealEigenvectors => "real eigenvectors",
            Factor::ClusteredEigenvalues => "clustered eigenvalues",
            Factor::SingularValues => "singular values",
            Factor::LeftVectors => "left singular vectors",
            Factor::RightVectors => "right singular vectors",
            Factor::PseudoInverse => "pseudo-inverse",
            Factor::Polar => "polar factor",
            Factor::Orthonormal => "Q of QR",
            Factor::Triangular => "R of QR",
            Factor::Permutation => "permutation of LU",
            Factor::Lower => "L of LU",
            Factor::Upper => "U of LU",
            Factor::SymmetricLower => "L of LDL",
            Factor::Pivots => "d of LDL",
        }
    }

    /// What it is called in formulas.
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Factor::Eigenvalues | Factor::RealEigenvalues | Factor::ClusteredEigenvalues => "λ",
            Factor::Eigenvectors | Factor::RealEigenvectors => "V",
            Factor::SingularValues => "sv",
            Factor::LeftVectors => "svd.U",
            Factor::RightVectors => "svd.V",
            Factor::PseudoInverse => "pinv",
            Factor::Polar => "polar",
            Factor::Orthonormal => "Q",
            Factor::Triangular => "R",
            Factor::Permutation => "lu.P",
            Factor::Lower => "lu.L",
            Factor::Upper => "lu.U",
            Factor::SymmetricLower => "ldl.L",
            Factor::Pivots => "ldl.d",
        }
    }

    /// Every factor: for tests that walk the list.
    pub fn all() -> impl Iterator<Item = Factor> {
        [
            Factor::Eigenvalues,
            Factor::Eigenvectors,
            Factor::RealEigenvalues,
            Factor::RealEigenvectors,
            Factor::ClusteredEigenvalues,
            Factor::SingularValues,
            Factor::LeftVectors,
            Factor::RightVectors,
            Factor::PseudoInverse,
            Factor::Polar,
            Factor::Orthonormal,
            Factor::Triangular,
            Factor::Permutation,
            Factor::Lower,
            Factor::Upper,
            Factor::SymmetricLower,
            Factor::Pivots,
        ]
        .into_iter()
    }

    /// Whether the matrix has to be known to be symmetric.
    pub(crate) const fn of_symmetric(self) -> bool {
        use Factor::{Eigenvalues, Eigenvectors, Pivots, SymmetricLower};
        matches!(self, Eigenvalues | Eigenvectors | SymmetricLower | Pivots)
    }

    pub(crate) fn shape(self, a: Shape) -> Result<Shape, String> {
        let square = || if a.is_square() { Ok(a) } else { Err(format!("{a} is not square")) };
        let least = a.rows.min(a.cols);
        match self {
            Factor::Eigenvalues | Factor::RealEigenvalues | Factor::ClusteredEigenvalues | Factor::Pivots => {
                square().map(|a| Shape::new(a.rows, 1))
            }
            Factor::Eigenvectors | Factor::RealEigenvectors | Factor::SymmetricLower => square(),
            Factor::Permutation | Factor::Lower | Factor::Upper => square(),
            Factor::Orthonormal | Factor::Triangular if a.rows < a.cols => {
                Err(format!("{a} has more columns than rows"))
            }
            Factor::Orthonormal | Factor::Polar => Ok(a),
            Factor::Triangular => Ok(Shape::new(a.cols, a.cols)),
            Factor::SingularValues => Ok(Shape::new(least, 1)),
            Factor::LeftVectors => Ok(Shape::new(a.rows, least)),
            Factor::RightVectors => Ok(Shape::new(a.cols, least)),
            Factor::PseudoInverse => Ok(a.transposed()),
        }
    }
}

/// The operations of [`Op::Spectral`], beside a spectrum λ. Two of its values coincide if they differ by no more than
/// rounding errors; where something is asked that depends on how their vectors were chosen, a run fails.
///
/// | operation | value | linear in the second argument, with the adjoint |
/// |---|---|---|
/// | `Diagonal` | `diag(M)`; fails if `½ (M + Mᵀ)` is no multiple of I where values coincide | `Diag` |
/// | `GeneralDiagonal` | the same, but M itself must be one | `Diag` |
/// | `Diag` | `Diag(w)`; fails if entries of w differ where values coincide | `Diagonal` |
/// | `Gaps` | `Mᵢⱼ/(λⱼ − λᵢ)`, 0 on the diagonal | `Gaps` |
/// | `SymmetricGaps` | the same of `½ (M + Mᵀ)` | `SkewGaps` |
/// | `SkewGaps` | the same of `½ (M − Mᵀ)` | `SymmetricGaps` |
/// | `SkewSums` | `½ (Mᵢⱼ − Mⱼᵢ)/(λᵢ + λⱼ)`, for `λ ≥ 0`; fails if both vanish and the numerator does not | `SkewSums` |
/// | `Columns` | `M Diag(λ)⁻¹`, for `λ ≥ 0`; fails if one vanishes and its column is not 0 | `Columns` |
/// | `Distinct` | λ; fails if two values coincide and u is not 0 for one of them | (u does not vary) |
/// | `Positive` | λ, for `λ ≥ 0`; fails if one vanishes for which u is not 0 | (u does not vary) |
///
/// A quotient by a gap is 0 where its numerator is 0 to working precision; a run fails if the gap is, and the numerator is
/// not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // The table above documents them at one glance.
pub enum Spectral {
    Diagonal,
    GeneralDiagonal,
    Diag,
    Gaps,
    SymmetricGaps,
    SkewGaps,
    SkewSums,
    Columns,
    Distinct,
    Positive,
}

impl Spectral {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Spectral::Diagonal => "diagonal beside a spectrum",
            Spectral::GeneralDiagonal => "general diagonal beside a spectrum",
            Spectral::Diag => "diag beside a spectrum",
            Spectral::Gaps => "gaps",
            Spectral::SymmetricGaps => "symmetric gaps",
            Spectral::SkewGaps => "skew gaps",
            Spectral::SkewSums => "skew sums",
            Spectral::Columns => "columns over a spectrum",
            Spectral::Distinct => "distinct values",
            Spectral::Positive => "positive values",
        }
    }

    /// Every operation: for tests that walk the list.
    pub fn all() -> impl Iterator<Item = Spectral> {
        use Spectral::*;
        [
            Diagonal,
            GeneralDiagonal,
            Diag,
            Gaps,
            SymmetricGaps,
            SkewGaps,
            SkewSums,
            Columns,
            Distinct,
            Positive,
        ]
        .into_iter()
    }

    pub(crate) fn shape(self, n: usize, b: Shape) -> Result<Shape, String> {
        let wanted = match self {
            Spectral::Diag | Spectral::Distinct | Spectral::Positive => Shape::new(n, 1),
            Spectral::Columns => Shape::new(b.rows, n),
            _ => Shape::new(n, n),
        };
        match self {
            _ if b != wanted => Err(format!("beside {n} values there is a {wanted}, not a {b}")),
            Spectral::Diagonal | Spectral::GeneralDiagonal => Ok(Shape::new(n, 1)),
            Spectral::Columns | Spectral::Distinct | Spectral::Positive => Ok(b),
            _ => Ok(Shape::new(n, n)),
        }
    }
}

impl<'t> Var<'t> {
    #[track_caller]
    pub(crate) fn factor(self, factor: Factor) -> Var<'t> {
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
    /// alike. The gradient of `Σ f(λᵢ)` is `f′(X)`, and so it has derivatives too.
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
    /// Those of [`eigenvalues`](Self::eigenvalues); for gradients of terms that depend on values too, an eigenvalue that
    /// coincides with that of a vector that is used.
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
