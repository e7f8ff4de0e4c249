//! Eigenvalues and eigenvectors of general matrices where they are real, and projectors on eigenvectors and singular vectors.

use crate::{Factor, Structure, Var};
use std::ops::RangeBounds;

impl<'t> Var<'t> {
    /// What a matrix that is known to be symmetric has, or else what any has.
    #[track_caller]
    fn real_factor(self, symmetric: Factor, general: Factor) -> Var<'t> {
        self.factor(if self.structure() >= Structure::Symmetric { symmetric } else { general })
    }

    /// The eigenvalues of a square matrix that are all real, ascending, m×1. O(m³), by the real Schur form. Of a matrix that
    /// is known to be symmetric these are its [`eigenvalues`](Self::eigenvalues).
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, s) = (tape.input("A", (3, 3)), tape.symmetric("S", 3));
    /// assert_eq!(a.real_eigenvalues().to_string(), "λ(A)");
    /// assert!(s.real_eigenvalues().same(s.eigenvalues()));
    /// ```
    ///
    /// A pair of complex eigenvalues counts as one real eigenvalue, twice, if the matrix has it but for a rounding error: if
    /// an entry of no more than `8 ε ‖X‖` in Schur's form makes it complex. As `√ε ‖X‖` of imaginary part may come from
    /// that, pairs of that size may pass; an eigenvalue that is real three times and has one eigenvector only may still be
    /// found complex.
    ///
    /// The sum of their logarithms is the log-determinant: where all that is wanted is `Σ log |λᵢ| = log |det X|`,
    /// [`log_det`](Self::log_det) costs less, and takes complex eigenvalues too. In the same way `Σ λᵢ = tr X`.
    ///
    /// If an entry is infinite or NaN, every entry of the result is NaN.
    ///
    /// # Derivative
    /// `diag(V⁻¹ ε V)`. Where eigenvalues coincide, they have a gradient only if the loss treats them alike, and if there is a
    /// full set of eigenvectors. (Magnus, Econometric Theory 1 (1985) 179)
    ///
    /// For derivatives, eigenvalues coincide if rounding errors may have split them: if the gap is no more than the sum of
    /// `8 m ε ‖X‖_F κᵢ` for both, with the conditions `κᵢ = 1/|yᵢᵀ xᵢ|` by the eigenvectors on the right and on the left. (Golub &
    /// Van Loan, *Matrix Computations*, 4th ed., §7.2.2) So the run fails at a defective matrix, whose eigenvalues are found `√ε`
    /// apart or more. A loss that treats coinciding eigenvalues alike is found to do so up to `64 m ε`: where a matrix far from
    /// normal makes two of them differ by more, that is an error, too.
    ///
    /// # Errors
    /// (when run) a pair of complex eigenvalues; no convergence; for gradients, coinciding eigenvalues that the loss tells
    /// apart, or that have too few eigenvectors.
    #[track_caller]
    pub fn real_eigenvalues(self) -> Var<'t> {
        self.real_factor(Factor::Eigenvalues, Factor::RealEigenvalues)
    }

    /// The eigenvectors of a square matrix whose eigenvalues are all real, one to a column, in the order of the
    /// [eigenvalues](Self::real_eigenvalues), m×m: `X V = V Diag(λ)`. Each has the norm 1, and its entry of the largest size
    /// is positive. O(m³).
    ///
    /// The rows of `V⁻¹` are the left eigenvectors. If an eigenvalue has too few eigenvectors, some columns agree, or almost.
    ///
    /// # Derivative
    /// `U − V Diag(diag(Vᵀ U))` with `U = V (V⁻¹ ε V ⊘ Δ)`, the gaps `Δᵢⱼ = λⱼ − λᵢ` and 0 on the diagonal; the second term keeps
    /// the norms. (Magnus, Econometric Theory 1 (1985) 179)
    ///
    /// # Errors
    /// Those of [`real_eigenvalues`](Self::real_eigenvalues).
    #[track_caller]
    pub fn real_eigenvectors(self) -> Var<'t> {
        self.real_factor(Factor::Eigenvectors, Factor::RealEigenvectors)
    }

    /// The eigenvalues and eigenvectors of a square matrix where all are real:
    /// [`real_eigenvalues`](Self::real_eigenvalues) and [`real_eigenvectors`](Self::real_eigenvectors).
    #[track_caller]
    pub fn real_eigen(self) -> (Var<'t>, Var<'t>) {
        (self.real_eigenvalues(), self.real_eigenvectors())
    }

    /// The orthogonal projector on what the eigenvectors of a range of eigenvalues of a symmetric matrix span, in ascending
    /// order: `V_r V_rᵀ`, m×m, symmetric. O(m³).
    ///
    /// It does not depend on the choice of the eigenvectors, as long as no eigenvalue within the range coincides with one
    /// outside; then it has gradients, and they are exact where eigenvalues within the range coincide. Derivatives along a
    /// direction, and gradients of gradients, need eigenvalues within the range that differ.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let s = tape.symmetric("S", 3);
    /// assert_eq!(s.eigenprojector(2..).shape(), s.shape());
    /// assert_eq!(s.eigenprojector(..).to_string(), "I");
    /// ```
    ///
    /// # Derivative
    /// `V (G ∘ Vᵀ ε V) Vᵀ` for a symmetric ε, where `Gᵢⱼ = 1/(λⱼ − λᵢ)` if only j is in the range, `1/(λᵢ − λⱼ)` if only i is, and
    /// otherwise 0. (Magnus & Neudecker, §8.9; Kato, *Perturbation Theory for Linear Operators*, §II.2)
    ///
    /// # Errors
    /// Those of [`eigenvalues`](Self::eigenvalues); (deferred) [`Error::Shape`](crate::Error::Shape) if the range does not
    /// lie within the matrix; (when run) for derivatives, eigenvalues that coincide where they must not.
    #[track_caller]
    pub fn eigenprojector(self, range: impl RangeBounds<usize>) -> Var<'t> {
        let vectors = self.eigenvectors().slice(.., range);
        vectors * vectors.t()
    }

    /// The orthogonal projector on what the left singular vectors of a range of singular values span, in descending order:
    /// `U_r U_rᵀ`, m×m, symmetric. O(mnk). That on the right singular vectors is the one of the transpose.
    ///
    /// It does not depend on the choice of the vectors, as long as no singular value within the range coincides with one
    /// outside; then it has gradients, and they are exact where singular values within the range coincide. Derivatives
    /// along a direction, and gradients of gradients, need singular values within the range that differ.
    ///
    /// # Derivative
    /// `U̇_r U_rᵀ + U_r U̇_rᵀ` with that of [`left_vectors`](Self::left_vectors). (Kato, *Perturbation Theory for Linear
    /// Operators*, §II.2)
    ///
    /// # Errors
    /// Those of [`left_vectors`](Self::left_vectors); (deferred) [`Error::Shape`](crate::Error::Shape) if the range goes
    /// beyond the singular values.
    #[track_caller]
    pub fn singular_projector(self, range: impl RangeBounds<usize>) -> Var<'t> {
        let vectors = self.left_vectors().slice(.., range);
        vectors * vectors.t()
    }
}
