//! Functions of square matrices, as power series define them; those of `Function` act on every entry instead.

use crate::{Op, Var};

/// The functions of square matrices of [`Op::MatrixFunction`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MatrixFunction {
    /// `exp A = Σ Aᵏ / k!`.
    Exp,
}

impl MatrixFunction {
    /// The name in formulas and messages. `exp` is the elementwise function.
    pub const fn name(self) -> &'static str {
        match self {
            MatrixFunction::Exp => "expm",
        }
    }

    /// Every function: for tests that walk the list.
    pub const fn all() -> [MatrixFunction; 1] {
        [MatrixFunction::Exp]
    }
}

impl<'t> Var<'t> {
    /// The exponential `exp X = I + X + X²/2 + …` of a square matrix. O(m³).
    ///
    /// [`exp`](Var::exp) takes the exponential of every entry instead.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let a = tape.input("A", (3, 3));
    /// assert_eq!(a.t().expm().trace().to_string(), "tr(expm(A))");
    /// assert_eq!(tape.zeros((3, 3)).expm().to_string(), "I");
    /// ```
    ///
    /// It is computed by scaling and squaring with Padé approximants, backward stable but for the squarings (Al-Mohy and
    /// Higham, SIAM J. Matrix Anal. Appl. 31 (2009) 970). If an entry is infinite or NaN, every entry of the result is NaN.
    ///
    /// # Derivative
    /// `Dexpm(X)[ε] = ∫₀¹ exp((1 − s) X) ε exp(s X) ds`, computed together with `exp X` at about three times its cost; that of
    /// order k, `Dᵏexpm(X)[ε₁, …]`, costs about 3ᵏ exponentials. (Higham, *Functions of Matrices* (2008), §3.2 and §10.2;
    /// Higham and Relton, SIAM J. Matrix Anal. Appl. 35 (2014) 1019)
    #[track_caller]
    pub fn expm(self) -> Var<'t> {
        self.unary(Op::MatrixFunction { function: MatrixFunction::Exp, order: 0 })
    }

    /// `exp(X) B` without the exponential: `self` is m×m, `rhs` m×p, the result m×p. O(m²p) times about `‖X‖₁`, and never much
    /// more than the exponential and a product would take.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, b) = (tape.input("A", (3, 3)), tape.input("b", (3, 1)));
    /// assert_eq!(a.t().expm_multiply(b).to_string(), "expm(A)ᵀ b");
    /// ```
    ///
    /// A Taylor polynomial of `X/s − μ I` is applied s times (Al-Mohy and Higham, SIAM J. Sci. Comput. 33 (2011) 488).
    ///
    /// # Derivative
    /// `Dexpm(X)[ε] B`, `exp(X) ε`
    #[track_caller]
    pub fn expm_multiply(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::ExpAction, rhs)
    }
}
