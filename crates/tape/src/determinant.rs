//! Determinants, and the cofactors that are their derivatives.

use crate::{Op, Var};

impl<'t> Var<'t> {
    /// The determinant of a square matrix, 1×1. O(m³). The product of many pivots may overflow or underflow:
    /// [`log_det`](Var::log_det) is safe against that.
    ///
    /// # Derivative
    /// `⟨adj(X)ᵀ, ε⟩` (Jacobi's formula), with the [adjugate](Var::adjugate), which is `det(X) X⁻¹` if X is invertible. A singular X
    /// has a gradient too; the second derivative needs the inverse, and is an error there. Of a matrix that is known to
    /// be positive definite it is `det(X) ⟨X⁻¹, ε⟩`.
    #[track_caller]
    pub fn det(self) -> Var<'t> {
        self.unary(Op::Det)
    }

    /// The adjugate of a square matrix, the transpose of the matrix of its cofactors: m×m, and `X adj(X) = det(X) I`. It is
    /// `det(X) X⁻¹` if X is invertible, of rank 1 if X has the rank m − 1, and 0 if the rank is less; of a 1×1 it is 1. O(m³).
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, k) = (tape.input("A", (3, 3)), tape.positive_definite("K", 3));
    /// assert_eq!(a.t().adjugate().to_string(), "adj(A)ᵀ");
    /// assert_eq!(k.adjugate().to_string(), "det(K) K⁻¹");
    /// ```
    ///
    /// It is found from the LU factors that the determinant and solves share, and if the matrix is singular to working
    /// precision from `X = U Diag(σ) Vᵀ` as `det(U) det(V) V Diag(Πⱼ≠ᵢ σⱼ) Uᵀ`: both are exact for a matrix that differs from X by
    /// rounding errors, so that what should vanish is as small as these. (Stewart, Linear Algebra Appl. 283 (1998) 151)
    /// Products are taken in an order in which nothing overflows or underflows that the result does not.
    ///
    /// # Derivative
    /// `⟨X⁻ᵀ, ε⟩ adj(X) − X⁻¹ ε adj(X)`, for an invertible matrix.
    ///
    /// # Errors
    /// (when run) if X is known to be positive definite, but is not to working precision; in the derivative, singular to
    /// working precision.
    #[track_caller]
    pub fn adjugate(self) -> Var<'t> {
        self.unary(Op::Adjugate)
    }

    /// The sign of the determinant of a square matrix, 1×1: −1, 0 or 1. O(m³).
    ///
    /// It is the sign of [`det`](Var::det): 0 where that underflows, and if the matrix is singular but for rounding errors, what they
    /// say.
    ///
    /// # Derivative
    /// 0
    #[track_caller]
    pub fn det_sign(self) -> Var<'t> {
        self.det().sign()
    }

    /// `log |det X|` of a square matrix, safe against overflow.
    ///
    /// # Derivative
    /// `⟨X⁻ᵀ, ε⟩`
    ///
    /// # Errors
    /// (when run) singular to working precision.
    #[track_caller]
    pub fn log_det(self) -> Var<'t> {
        self.unary(Op::LogDet)
    }
}
