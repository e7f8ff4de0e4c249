//! Solutions of matrix equations.

use crate::{Op, Var};
use std::panic::Location;

impl<'t> Var<'t> {
    /// The solution X of Sylvester's equation `A X + X B = C`: `self` is A, m×m, B is n×n, C and the result m×n.
    ///
    /// There is one if A and −B have no eigenvalue in common. `25 (m³ + n³) + 5 mn (m + n)`, by real Schur forms.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, b, c) = (tape.input("A", (3, 3)), tape.input("B", (2, 2)), tape.input("C", (3, 2)));
    /// assert_eq!(a.sylvester(b, c).to_string(), "sylvester(A, B, C)");
    /// ```
    ///
    /// # Derivative
    /// `sylvester(A, B, −ε X)`, `sylvester(A, B, −X ε)`, `sylvester(A, B, ε)`
    ///
    /// # Errors
    /// (when run) A and −B have an eigenvalue in common to working precision; no convergence.
    #[track_caller]
    pub fn sylvester(self, b: Var<'t>, c: Var<'t>) -> Var<'t> {
        self.tape.record(Op::Sylvester, &[self, b, c], Location::caller())
    }

    /// The solution X of Stein's equation `X − A X B = C`: `self` is A, m×m, B is n×n, C and the result m×n.
    ///
    /// There is one if no eigenvalue of A is the reciprocal of one of B. `25 (m³ + n³) + 7 mn (m + n)`, by real Schur forms.
    ///
    /// # Derivative
    /// `stein(A, B, ε X B)`, `stein(A, B, A X ε)`, `stein(A, B, ε)`
    ///
    /// # Errors
    /// (when run) An eigenvalue of A is the reciprocal of one of B to working precision; no convergence.
    #[track_caller]
    pub fn stein(self, b: Var<'t>, c: Var<'t>) -> Var<'t> {
        self.tape.record(Op::Stein, &[self, b, c], Location::caller())
    }

    /// The solution X of Lyapunov's equation `A X + X Aᵀ = Q`, where `self` is A: `A.sylvester(A.t(), Q)`.
    ///
    /// Mind the sign. If A is stable (its eigenvalues have negative real parts), it is
    /// `A.lyapunov(-1.0 * W)` that is semidefinite for a semidefinite W: the stationary covariance of `dx = A x dt + dw`
    /// where W is that of the noise. If Q is known to be symmetric, so is X.
    ///
    /// # Derivative
    /// `lyapunov(A, −ε X − X εᵀ)`, `lyapunov(A, ε)`
    ///
    /// # Errors
    /// Those of [`sylvester`](Self::sylvester).
    #[track_caller]
    pub fn lyapunov(self, q: Var<'t>) -> Var<'t> {
        self.sylvester(self.t(), q)
    }

    /// The solution X of the discrete Lyapunov equation `X = A X Aᵀ + Q`, where `self` is A: `A.stein(A.t(), Q)`.
    ///
    /// If A is stable (its eigenvalues lie within the unit circle), it is `Σₖ Aᵏ Q (Aᵀ)ᵏ`: the stationary covariance of
    /// `x' = A x + w` where Q is that of the noise. If Q is known to be symmetric, so is X.
    ///
    /// # Derivative
    /// `discrete_lyapunov(A, ε X Aᵀ + A X εᵀ)`, `discrete_lyapunov(A, ε)`
    ///
    /// # Errors
    /// Those of [`stein`](Self::stein).
    #[track_caller]
    pub fn discrete_lyapunov(self, q: Var<'t>) -> Var<'t> {
        self.stein(self.t(), q)
    }

    /// The principal square root of a square matrix: the S with `S S = X` whose eigenvalues have positive real parts.
    ///
    /// Of a symmetric matrix it is symmetric, and positive definite. About 30n³, by the real Schur form.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// assert_eq!(tape.input("A", (3, 3)).sqrtm().to_string(), "sqrtm(A)");
    /// ```
    ///
    /// # Derivative
    /// The solution of `S Ṡ + Ṡ S = ε`: `sylvester(S, S, ε)`. [Higham, *Functions of Matrices*, §6.1]
    ///
    /// # Errors
    /// (when run) an eigenvalue that is negative or zero; no convergence.
    #[track_caller]
    pub fn sqrtm(self) -> Var<'t> {
        self.tape.record(Op::SquareRoot, &[self], Location::caller())
    }

    /// The sign of a square matrix: the S that commutes with X, where every eigenvalue is replaced by the sign of its real
    /// part, so that `S² = I`. `½ (I + S)` projects onto the invariant subspace that belongs to the eigenvalues on the right.
    /// About 29n³, by the real Schur form.
    ///
    /// # Derivative
    /// The solution of `N Ṡ + Ṡ N = ε − S ε S` with `N = S X`: `sylvester(N, N, ε − S ε S)`. [Higham, *Functions of
    /// Matrices*, §5.1]
    ///
    /// # Errors
    /// (when run) an eigenvalue whose real part is zero to working precision; no convergence.
    #[track_caller]
    pub fn signm(self) -> Var<'t> {
        self.tape.record(Op::MatrixSign, &[self], Location::caller())
    }
}
