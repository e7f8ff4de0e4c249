//! Decompositions of matrices, and what is made of their factors.

use crate::{Factor, Op, Var};
use std::panic::Location;

/// Singular values and vectors, and the norms that they give.
impl<'t> Var<'t> {
    /// The singular values of an m×n matrix, descending, a column of k = min(m, n). O(mnk).
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let a = tape.input("A", (5, 3));
    /// let (u, sigma, v) = a.svd();
    /// assert_eq!((u * sigma.ln().diag() * v.t()).to_string(), "svd.U(A) Diag(ln(sv(A))) svd.V(A)ᵀ");
    /// assert!((u * sigma.diag() * v.t()).same(a));
    /// ```
    ///
    /// # Derivative
    /// `diag(Uᵀ ε V)` (Giles 2008, §3.2). Where singular values coincide, they have a gradient only if the loss treats them
    /// alike.
    ///
    /// # Errors
    /// (when run) no convergence; for gradients, coinciding singular values that the loss tells apart.
    #[track_caller]
    pub fn singular_values(self) -> Var<'t> {
        self.factor(Factor::SingularValues)
    }

    /// The orthonormal left singular vectors of an m×n matrix, m×k with k = min(m, n), one to a column, in the order of the
    /// [singular values](Self::singular_values). Of each, the entry of the largest size is positive. O(mnk).
    ///
    /// # Derivative
    /// `U (sym(P) ⊘ Δ + skew(P) ⊘ Σ) + (I − U Uᵀ) ε V Diag(σ)⁻¹` with `P = Uᵀ ε V`, the gaps `Δᵢⱼ = σⱼ − σᵢ` (0 on the
    /// diagonal) and the sums `Σᵢⱼ = σᵢ + σⱼ` (Papadopoulo & Lourakis 2000; Townsend, *Differentiating the SVD*, 2016). The
    /// last term is there for m > n only.
    ///
    /// # Errors
    /// Those of [`singular_values`](Self::singular_values); for gradients of what depends on the vectors of vanishing
    /// singular values, that one vanishes; for gradients of terms that depend on values too, a singular value that coincides
    /// with that of a vector that is used.
    #[track_caller]
    pub fn left_vectors(self) -> Var<'t> {
        self.factor(Factor::LeftVectors)
    }

    /// The orthonormal right singular vectors of an m×n matrix, n×k with k = min(m, n), one to a column:
    /// `A V = U Diag(σ)`. O(mnk).
    ///
    /// # Derivative
    /// `V (sym(P) ⊘ Δ − skew(P) ⊘ Σ) + (I − V Vᵀ) εᵀ U Diag(σ)⁻¹`, as of [`left_vectors`](Self::left_vectors). The last term
    /// is there for n > m only.
    ///
    /// # Errors
    /// Those of [`left_vectors`](Self::left_vectors).
    #[track_caller]
    pub fn right_vectors(self) -> Var<'t> {
        self.factor(Factor::RightVectors)
    }

    /// The thin singular value decomposition `A = U Diag(σ) Vᵀ` of an m×n matrix: U (m×k), σ (k×1), V (n×k) with
    /// k = min(m, n). They are [`left_vectors`](Self::left_vectors), [`singular_values`](Self::singular_values) and
    /// [`right_vectors`](Self::right_vectors), from one decomposition.
    #[track_caller]
    pub fn svd(self) -> (Var<'t>, Var<'t>, Var<'t>) {
        (self.left_vectors(), self.singular_values(), self.right_vectors())
    }

    /// The pseudo-inverse A⁺ of Moore and Penrose of an m×n matrix, n×m: `V Diag(σ⁺) Uᵀ`, where a singular value of no more than
    /// max(m, n) rounding errors of the largest counts as 0, and σ⁺ is 1/σ of the others. O(mnk). `A⁺ B` is, of all X that
    /// minimize `‖A X − B‖`, the smallest; where the rank is full, [`least_squares`](Self::least_squares) finds it faster.
    ///
    /// # Derivative
    /// `−A⁺ ε A⁺ + A⁺ A⁺ᵀ εᵀ (I − A A⁺) + (I − A⁺ A) εᵀ A⁺ᵀ A⁺` where the rank stays the same (Golub & Pereyra, SIAM J. Numer.
    /// Anal. 10, 1973). Where the rank is not full, it is the derivative along the matrices of this rank.
    ///
    /// # Errors
    /// (when run) no convergence.
    #[track_caller]
    pub fn pseudo_inverse(self) -> Var<'t> {
        self.factor(Factor::PseudoInverse)
    }

    /// The polar decomposition `A = Q H` of an m×n matrix with m ≥ n: Q (m×n) has orthonormal columns, and of all matrices that
    /// have them it is the nearest to A; H (n×n) is symmetric and semidefinite. Of a wide matrix it is `A = H Q` with
    /// orthonormal rows and H m×m. Q is unique where the rank is full. O(mnk).
    ///
    /// # Derivative
    /// Of Q: `2 U (skew(P) ⊘ Σ) Vᵀ + (I − U Uᵀ) ε V Diag(σ)⁻¹ Vᵀ + U Diag(σ)⁻¹ Uᵀ ε (I − V Vᵀ)` with `P = Uᵀ ε V` and
    /// `Σᵢⱼ = σᵢ + σⱼ` (Higham 2008, §8.1). It is exact where singular values coincide; its own derivative is there for
    /// distinct ones only.
    ///
    /// # Errors
    /// (when run) no convergence; for gradients, the rank is not full.
    #[track_caller]
    pub fn polar(self) -> (Var<'t>, Var<'t>) {
        let q = self.factor(Factor::Polar);
        let tall = self.rows() >= self.cols();
        let h = if tall { q.t() * self } else { self * q.t() };
        (q, h.symmetrize())
    }

    /// The nuclear norm `Σ σᵢ`, 1×1.
    ///
    /// # Derivative
    /// `⟨U Vᵀ, ε⟩`; 0 at the zero matrix. Where the rank is not full, `U Vᵀ` is a subgradient.
    ///
    /// # Errors
    /// Those of [`singular_values`](Self::singular_values).
    #[track_caller]
    pub fn nuclear_norm(self) -> Var<'t> {
        // The sign of a singular value is 0 where it is.
        self.singular_values().abs().sum()
    }

    /// The spectral norm `σ₁ = max ‖A x‖/‖x‖`, 1×1; 0 for an empty matrix.
    ///
    /// # Derivative
    /// `⟨u₁ v₁ᵀ, ε⟩`; 0 at the zero matrix.
    ///
    /// # Errors
    /// Those of [`singular_values`](Self::singular_values): there is no gradient where the first two coincide.
    #[track_caller]
    pub fn spectral_norm(self) -> Var<'t> {
        let values = self.singular_values();
        match values.rows() {
            0 => values.sum(),
            // The sign goes with all values, so that all weights are 0 where all values are.
            _ => values.abs().entry(0, 0),
        }
    }

    /// Schatten's norm `(Σ σᵢᵖ)^(1/p)` for p ≥ 1, 1×1: the [nuclear norm](Self::nuclear_norm) for 1, [Frobenius'](Self::norm)
    /// for 2, the [spectral norm](Self::spectral_norm) for infinity.
    ///
    /// # Derivative
    /// `‖A‖^(1−p) ⟨U Diag(σᵖ⁻¹) Vᵀ, ε⟩`; 0 at the zero matrix.
    ///
    /// # Errors
    /// Those of [`singular_values`](Self::singular_values).
    #[track_caller]
    pub fn schatten_norm(self, p: f64) -> Var<'t> {
        match p {
            1.0 => self.nuclear_norm(),
            2.0 => self.norm(),
            f64::INFINITY => self.spectral_norm(),
            p => {
                let sum = self.singular_values().powf(p).sum();
                // The root has no slope at 0.
                sum.powf(1.0 / p).keep(sum)
            }
        }
    }
}

/// Triangular factors.
impl<'t> Var<'t> {
    /// The thin QR decomposition `A = Q R` of an m×n matrix, k = min(m, n): Q (m×k) has orthonormal columns, R (k×n) is upper
    /// triangular and has a diagonal that is not negative. O(mnk). Where a column depends on those before it to working
    /// precision, the entry of R on the diagonal is 0.
    ///
    /// Of a wide matrix, `A = (A₁ A₂)`, they are Q and `(R₁  Qᵀ A₂)`, with `A₁ = Q R₁` of the first m columns.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (q, r) = tape.input("A", (5, 3)).qr();
    /// let b = tape.input("B", (5, 2));
    /// assert_eq!(r.solve_upper(q.t() * b).to_string(), "R(A)⁻¹ Q(A)ᵀ B");
    /// ```
    ///
    /// # Derivative
    /// With `M = Qᵀ ε R⁻¹` and `N = triu(M) + tril(M, −1)ᵀ`, for m ≥ n: `ε R⁻¹ − Q N` of Q, and `N R` of R (Walter & Lehmann,
    /// arXiv:1001.1654; Roberts & Roberts, arXiv:2009.10071).
    ///
    /// # Errors
    /// (when run) none for values; for gradients, the first columns depend on each other: a triangular solve says which.
    #[track_caller]
    pub fn qr(self) -> (Var<'t>, Var<'t>) {
        let (rows, cols) = (self.rows(), self.cols());
        if rows >= cols {
            return (self.factor(Factor::Orthonormal), self.factor(Factor::Triangular));
        }
        let (q, r) = self.slice(.., ..rows).qr();
        let rest = q.t() * self.slice(.., rows..);
        (q, self.tape.stack_cols(&[r, rest]))
    }

    /// The X that minimizes `‖A X − B‖` for an m×n matrix A of full rank and an m×p matrix B, n×p: `R⁻¹ Qᵀ B` by
    /// [QR](Self::qr). If A is wide, of all X with `A X = B` the smallest: `Q R⁻ᵀ B` by QR of Aᵀ. O(mnk + mnp), without Q as a
    /// matrix; all problems with the same A, or Aᵀ, share one decomposition.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, b) = (tape.input("A", (5, 3)), tape.input("B", (5, 2)));
    /// assert_eq!(a.least_squares(b).to_string(), "A⁺ B");
    /// ```
    ///
    /// # Derivative
    /// With the solution X: `A⁺ A⁺ᵀ εᵀ (B − A X) − A⁺ ε X` in a tall A, `(I − A⁺ A) εᵀ A⁺ᵀ X − A⁺ ε X` in a wide one (Golub &
    /// Pereyra, SIAM J. Numer. Anal. 10, 1973); `A⁺ ε` in B.
    ///
    /// # Errors
    /// (deferred) mismatched shapes; (when run) the rank is not full to working precision: the pivot is that of the first
    /// column of A, or of Aᵀ if A is wide, that depends on those before it.
    #[track_caller]
    pub fn least_squares(self, rhs: Var<'t>) -> Var<'t> {
        self.tape.record(Op::LeastSquares, &[self, rhs], Location::caller())
    }

    /// The LU decomposition `P A = L U` of a square matrix with partial pivoting: the permutation P, the lower triangle L with
    /// ones on its diagonal, and the upper triangle U, all m×m. O(m³). A pivot that vanishes to working precision is 0.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (p, l, u) = tape.input("A", (3, 3)).lu();
    /// assert_eq!((p.t() * l * u).to_string(), "lu.P(A)ᵀ lu.L(A) lu.U(A)");
    /// ```
    ///
    /// # Derivative
    /// With `F = L⁻¹ P ε U⁻¹`: `L tril(F, −1)` of L, `triu(F) U` of U, and 0 of P (Walter & Lehmann, arXiv:1001.1654).
    ///
    /// # Errors
    /// (deferred) the matrix is not square; (when run) none for values; for gradients, the matrix is singular: a triangular
    /// solve says at which pivot.
    #[track_caller]
    pub fn lu(self) -> (Var<'t>, Var<'t>, Var<'t>) {
        (self.factor(Factor::Permutation), self.factor(Factor::Lower), self.factor(Factor::Upper))
    }

    /// The decomposition `A = L Diag(d) Lᵀ` of a symmetric matrix, not necessarily definite, without pivoting: the lower
    /// triangle L with ones on its diagonal, m×m, and the column d of pivots, m×1. O(m³).
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (l, d) = tape.symmetric("S", 3).ldl();
    /// assert_eq!((l * d.diag() * l.t()).to_string(), "ldl.L(S) Diag(ldl.d(S)) ldl.L(S)ᵀ");
    /// ```
    ///
    /// # Derivative
    /// With `F = L⁻¹ ε L⁻ᵀ` for a symmetric ε: `L tril(F, −1) Diag(d)⁻¹` of L, and `diag(F)` of d.
    ///
    /// # Errors
    /// (deferred) [`Error::NotSymmetric`](crate::Error::NotSymmetric) if the matrix is not known to be symmetric; (when run)
    /// a pivot vanishes to working precision. That happens for regular matrices too, as rows are not exchanged.
    #[track_caller]
    pub fn ldl(self) -> (Var<'t>, Var<'t>) {
        (self.factor(Factor::SymmetricLower), self.factor(Factor::Pivots))
    }
}
