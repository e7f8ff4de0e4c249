//! Functions of square matrices, as power series define them; those of `Function` act on every entry instead.

use crate::{Error, Op, Var};
use std::panic::Location;

/// The functions of square matrices of [`Op::MatrixFunction`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MatrixFunction {
    /// `exp A = Σ Aᵏ / k!`.
    Exp,
    /// The principal logarithm: `exp(log A) = A`, with eigenvalues whose imaginary parts are between −π and π.
    Log,
}

impl MatrixFunction {
    /// The name in formulas and messages. `exp` is the elementwise function.
    pub const fn name(self) -> &'static str {
        match self {
            MatrixFunction::Exp => "expm",
            MatrixFunction::Log => "logm",
        }
    }

    /// Every function: for tests that walk the list.
    pub const fn all() -> [MatrixFunction; 2] {
        [MatrixFunction::Exp, MatrixFunction::Log]
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

    /// The principal logarithm of a square matrix without eigenvalues on the negative real axis: the Y with `exp Y = X` whose
    /// eigenvalues have imaginary parts between −π and π. O(m³).
    ///
    /// [`ln`](Var::ln) takes the logarithm of every entry instead. For a matrix that is known to be symmetric and definite
    /// `symmetric_function(|x| x.ln())` is faster.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let a = tape.input("A", (3, 3));
    /// assert_eq!((a.t().logm() * a).to_string(), "logm(A)ᵀ A");
    /// ```
    ///
    /// It is computed by inverse scaling and squaring of the real Schur form (Al-Mohy, Higham and Relton, SIAM J. Sci. Comput.
    /// 35 (2013) C394). If an entry is infinite or NaN, every entry of the result is NaN.
    ///
    /// # Derivative
    /// `Dlogm(X)[ε] = ∫₀¹ (s(X − I) + I)⁻¹ ε (s(X − I) + I)⁻¹ ds`; in a direction that commutes with X, `X⁻¹ ε`. (Higham,
    /// *Functions of Matrices* (2008), §11.8; for higher orders Higham and Relton, SIAM J. Matrix Anal. Appl. 35 (2014) 1019)
    ///
    /// # Errors
    /// (when run) an eigenvalue that is zero or negative; no convergence.
    #[track_caller]
    pub fn logm(self) -> Var<'t> {
        self.unary(Op::MatrixFunction { function: MatrixFunction::Log, order: 0 })
    }

    /// The principal power `Xᵖ = exp(p log X)` of a square matrix without eigenvalues on the negative real axis; any square
    /// matrix if p is an integer, invertible if p is negative. O(m³).
    ///
    /// Integer parts of p are products, halves are square roots, and what is left of p is between −½ and ½:
    /// `Xᵖ = Xᵏ exp((p − k) log X)`. (Higham and Lin, SIAM J. Matrix Anal. Appl. 32 (2011) 1056, on why to split.)
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let a = tape.input("A", (3, 3));
    /// assert_eq!(a.powm(0.5).to_string(), "sqrtm(A)");
    /// assert_eq!(a.powm(1.25).to_string(), "A expm(1/4 logm(A))");
    /// assert!(a.powm(-1.0).same(a.inv()));
    /// ```
    ///
    /// # Derivative
    /// That of the composition.
    ///
    /// # Errors
    /// (deferred) [`Error::Argument`](crate::Error::Argument) if p is no number, or its integer part too large; (when run) those of
    /// [`logm`](Self::logm), [`sqrtm`](Self::sqrtm) and [`inv`](Self::inv).
    #[track_caller]
    pub fn powm(self, p: f64) -> Var<'t> {
        let whole = if p.fract().abs() == 0.5 { p.trunc() } else { p.round() };
        if p.is_nan() || whole.abs() > f64::from(i32::MAX) {
            let problem = "there is no such power of a matrix".to_owned();
            return self.tape.mistake(Error::Argument {
                call: format!("powm({p})"),
                problem,
                location: Location::caller(),
            });
        }
        let rest = p - whole;
        let power = match whole as i32 {
            0 => None,
            whole => Some(self.matrix_power(whole)),
        };
        let part = match rest {
            0.0 => None,
            0.5 => Some(self.sqrtm()),
            -0.5 => Some(self.sqrtm().inv()),
            rest => Some((rest * self.logm()).expm()),
        };
        match (power, part) {
            (Some(power), Some(part)) => power * part,
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => self.matrix_power(0),
        }
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
