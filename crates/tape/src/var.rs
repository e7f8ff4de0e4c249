use crate::graph::{Node, NodeId};
use crate::op::{Binary, Function, Literal};
use crate::{Error, Op, Shape, Structure, Tape};
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::panic::Location;

/// A matrix expression on a [`Tape`]: a reference and an index, free to copy.
///
/// `+`, `-` and unary `-` are what they are for matrices, `*` is the matrix product, and a 1×1 times a matrix
/// scales it. An `f64` is a scalar: `2.0 * x` scales and `x + 1.0` adds to every entry. No operator panics: a
/// mistake comes back, with its source line, from the first call that returns a `Result`, or from
/// [`check`](Var::check).
///
/// Shapes below are those of `self`, m×n, unless said otherwise. Derivatives are stated as Fréchet derivatives
/// `D f(X)[ε]`; the rule book in `pullback-rules` holds them, with their sources.
///
/// `Display` prints the formula, in Unicode or, with `{:#}`, in LaTeX.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    pub(crate) tape: &'t Tape,
    /// `Err` names a mistake on the tape.
    pub(crate) id: Result<NodeId, usize>,
}

impl<'t> Var<'t> {
    /// The tape on which this is recorded.
    pub fn tape(self) -> &'t Tape {
        self.tape
    }

    /// The shape; 0×0 where a mistake was recorded.
    pub fn shape(self) -> Shape {
        match self.id {
            Ok(id) => self.tape.graph_ref().node(id).shape,
            Err(_) => Shape::new(0, 0),
        }
    }

    /// Number of rows.
    pub fn rows(self) -> usize {
        self.shape().rows
    }

    /// Number of columns.
    pub fn cols(self) -> usize {
        self.shape().cols
    }

    /// The expression itself, unless a mistake was made in it.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, b) = (tape.input("A", (10, 32)), tape.input("B", (64, 784)));
    /// let message = (a * b).check().unwrap_err().to_string();
    /// assert!(message.starts_with("A B: 10×32 times 64×784 do not conform ("));
    /// ```
    ///
    /// # Errors
    /// The first mistake made in it.
    pub fn check(self) -> Result<Var<'t>, Error> {
        self.valid().map(|_| self)
    }

    /// The node's index, unless a mistake was made in the expression.
    ///
    /// # Errors
    /// The first mistake made in it.
    pub fn valid(self) -> Result<NodeId, Error> {
        self.id.map_err(|index| {
            self.tape.error(index).unwrap_or(Error::TooLarge {
                formula: String::new(),
                shape: Shape::new(0, 0),
                location: Location::caller(),
            })
        })
    }

    /// The node behind this expression, copied; `None` where a mistake was recorded.
    pub fn node(self) -> Option<Node> {
        self.id.ok().map(|id| self.tape.graph_ref().node(id).clone())
    }

    /// Where it was written in the user's source, if no mistake was made in it.
    pub fn location(self) -> Option<&'static Location<'static>> {
        self.id.ok().map(|id| self.tape.graph_ref().node(id).location)
    }

    /// Whether this is known to be zero from its structure.
    pub fn is_zero(self) -> bool {
        self.node().is_some_and(|node| match node.op {
            Op::Zeros => true,
            Op::Scalar(c) => c.value() == 0.0,
            _ => false,
        })
    }

    /// What is known of it from how it is written.
    pub fn structure(self) -> Structure {
        self.node().map_or(Structure::General, |node| node.structure)
    }

    /// Whether both are the same expression.
    pub fn same(self, other: Var<'_>) -> bool {
        std::ptr::eq(self.tape, other.tape) && self.id == other.id
    }

    /// The name that it was given, if any.
    pub fn name(self) -> Option<String> {
        let graph = self.tape.graph_ref();
        graph.node(self.id.ok()?).name.map(|name| graph.name(name).to_owned())
    }

    /// Gives the expression a name: longer formulas print the name, and explain it in a `where` clause.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (w, x) = (tape.input("W", (3, 2)), tape.input("X", (2, 5)));
    /// let h = (w * x).tanh().named("H");
    /// assert_eq!((h * h.t()).trace().to_string(), "tr(H Hᵀ) where H = tanh(W X)");
    /// ```
    pub fn named(self, name: &str) -> Var<'t> {
        if let Ok(id) = self.id {
            self.tape.set_name(id, name);
        }
        self
    }

    /// Marks the value as one that is kept. In a program, what lies between two checkpoints is forgotten once it has been
    /// used, and computed again where a derivative needs it: a segment at a time, so that less is in memory at once.
    /// Without one, or if that would save nothing, everything is kept.
    ///
    /// The value itself stays what it is, and so do all results, bit by bit. `Options::recompute` finds checkpoints by itself.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (w, x) = (tape.input("W", (3, 3)), tape.input("X", (3, 5)));
    /// let h = (w * x).tanh().checkpoint();
    /// assert_eq!((w * h).to_string(), "W tanh(W X)");
    /// ```
    pub fn checkpoint(self) -> Var<'t> {
        if let Ok(id) = self.id {
            self.tape.with_graph(|graph| graph.keep(id));
        }
        self
    }

    /// Whether it is a checkpoint.
    pub fn is_checkpoint(self) -> bool {
        self.node().is_some_and(|node| node.checkpoint)
    }

    #[track_caller]
    pub(crate) fn unary(self, op: Op) -> Var<'t> {
        self.tape.record(op, &[self], Location::caller())
    }

    #[track_caller]
    pub(crate) fn binary(self, op: Op, rhs: Var<'t>) -> Var<'t> {
        self.tape.record(op, &[self, rhs], Location::caller())
    }

    #[track_caller]
    pub(crate) fn ones(self, shape: Shape) -> Var<'t> {
        self.tape.ones(shape)
    }

    /// The transpose `Xᵀ`, n×m: a view when it runs.
    ///
    /// # Derivative
    /// `εᵀ`
    #[track_caller]
    pub fn t(self) -> Var<'t> {
        self.unary(Op::Transpose)
    }

    /// The trace `tr X` of a square matrix.
    ///
    /// # Derivative
    /// `tr ε`
    #[track_caller]
    pub fn trace(self) -> Var<'t> {
        self.unary(Op::Trace)
    }

    /// The diagonal of a square matrix, `diag(X)ᵢ = Xᵢᵢ`, n×1.
    ///
    /// # Derivative
    /// `diag(ε)`
    #[track_caller]
    pub fn diagonal(self) -> Var<'t> {
        self.unary(Op::Diagonal)
    }

    /// The diagonal matrix with this column, n×1, on its diagonal: `Diag(x)`, n×n. It is stored only if
    /// something asks for its entries; a product with it scales rows or columns, O(mn).
    ///
    /// ```
    /// # use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (d, a) = (tape.input("d", (3, 1)), tape.input("A", (3, 3)));
    /// assert_eq!((d.diag() * a).trace().to_string(), "tr(Diag(d) A)");
    /// assert!(d.diag().diagonal().same(d));
    /// ```
    ///
    /// # Derivative
    /// `Diag(ε)`
    #[track_caller]
    pub fn diag(self) -> Var<'t> {
        self.unary(Op::Diag)
    }

    /// The inner product `⟨X, Y⟩ = tr(Xᵀ Y) = Σ Xᵢⱼ Yᵢⱼ` with a matrix of the same shape.
    ///
    /// # Derivative
    /// `⟨ε, Y⟩`, `⟨X, ε⟩`
    #[track_caller]
    pub fn inner(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::Inner, rhs)
    }

    /// The squared Frobenius norm `‖X‖² = ⟨X, X⟩`.
    ///
    /// # Derivative
    /// `2 ⟨X, ε⟩`
    #[track_caller]
    pub fn norm_squared(self) -> Var<'t> {
        self.inner(self)
    }

    /// The Frobenius norm `‖X‖`, safe against overflow.
    ///
    /// # Derivative
    /// `⟨X, ε⟩ / ‖X‖`, and 0 at `X = 0`, which is a subgradient there.
    #[track_caller]
    pub fn norm(self) -> Var<'t> {
        self.unary(Op::Norm)
    }

    /// The entrywise (Hadamard) product `X ∘ Y` with a matrix of the same shape.
    ///
    /// # Derivative
    /// `ε ∘ Y`, `X ∘ ε`
    #[track_caller]
    pub fn hadamard(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::Hadamard, rhs)
    }

    /// The entrywise quotient `X ⊘ Y` by a matrix of the same shape.
    ///
    /// # Derivative
    /// `ε ⊘ Y`, `−(X ⊘ Y ⊘ Y) ∘ ε`
    #[track_caller]
    pub fn quotient(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::Quotient, rhs)
    }

    /// The sum of all entries, `⟨𝟏, X⟩`.
    #[track_caller]
    pub fn sum(self) -> Var<'t> {
        self.ones(self.shape()).inner(self)
    }

    /// The sum of every row, `X 𝟏`, m×1.
    #[track_caller]
    pub fn row_sums(self) -> Var<'t> {
        self * self.ones(Shape::new(self.cols(), 1))
    }

    /// The sum of every column, `𝟏ᵀ X`, 1×n.
    #[track_caller]
    pub fn col_sums(self) -> Var<'t> {
        self.ones(Shape::new(1, self.rows())) * self
    }

    /// The mean of all entries; NaN for an empty matrix.
    #[track_caller]
    pub fn mean(self) -> Var<'t> {
        let Shape { rows, cols } = self.shape();
        self.sum().over(rows as f64 * cols as f64)
    }

    /// The mean of every row, `X 𝟏 / n`, m×1; NaN where n = 0.
    #[track_caller]
    pub fn row_means(self) -> Var<'t> {
        self.row_sums().over(self.cols() as f64)
    }

    /// The mean of every column, `𝟏ᵀ X / m`, 1×n; NaN where m = 0.
    #[track_caller]
    pub fn col_means(self) -> Var<'t> {
        self.col_sums().over(self.rows() as f64)
    }

    /// Division of a sum by its number of terms; 0/0 is NaN although the sum is a structural zero.
    #[track_caller]
    pub(crate) fn over(self, count: f64) -> Var<'t> {
        if count == 0.0 && self.id.is_ok() {
            let nan = self.tape.scalar(f64::NAN);
            return if self.shape().is_scalar() { nan } else { nan * self.ones(self.shape()) };
        }
        self / count
    }

    /// A column c, m×1, beside itself n times: `c 𝟏ᵀ`, m×n. A view when it runs.
    #[track_caller]
    pub fn repeat_cols(self, n: usize) -> Var<'t> {
        self * self.ones(Shape::new(1, n))
    }

    /// A row r, 1×n, under itself m times: `𝟏 r`, m×n. A view when it runs.
    #[track_caller]
    pub fn repeat_rows(self, m: usize) -> Var<'t> {
        self.ones(Shape::new(m, 1)) * self
    }

    /// Adds a column, m×1, to every column: `X + c 𝟏ᵀ`.
    #[track_caller]
    pub fn add_col(self, column: Var<'t>) -> Var<'t> {
        self + column.repeat_cols(self.cols())
    }

    /// Adds a row, 1×n, to every row: `X + 𝟏 r`.
    #[track_caller]
    pub fn add_row(self, row: Var<'t>) -> Var<'t> {
        self + row.repeat_rows(self.rows())
    }

    /// Multiplies every column entrywise by a column, m×1: `X ∘ c 𝟏ᵀ = diag(c) X`.
    #[track_caller]
    pub fn mul_col(self, column: Var<'t>) -> Var<'t> {
        self.hadamard(column.repeat_cols(self.cols()))
    }

    /// Multiplies every row entrywise by a row, 1×n: `X ∘ 𝟏 r = X diag(r)`.
    #[track_caller]
    pub fn mul_row(self, row: Var<'t>) -> Var<'t> {
        self.hadamard(row.repeat_rows(self.rows()))
    }

    /// `log Σᵢ exp Xᵢⱼ` of every column, 1×n, safe against overflow; −∞ where m = 0.
    ///
    /// # Derivative
    /// `𝟏ᵀ (softmax(X) ∘ ε)`
    #[track_caller]
    pub fn log_sum_exp(self) -> Var<'t> {
        self.unary(Op::LogSumExp)
    }

    /// `exp Xᵢⱼ / Σᵢ exp Xᵢⱼ` in every column, m×n, safe against overflow.
    ///
    /// # Derivative
    /// With `S = softmax(X)`: `S ∘ (ε − 𝟏 𝟏ᵀ (S ∘ ε))`
    #[track_caller]
    pub fn softmax(self) -> Var<'t> {
        self.unary(Op::Softmax)
    }

    /// The inverse `X⁻¹` of a square matrix. Prefer [`solve`](Var::solve) to a product with it.
    ///
    /// # Derivative
    /// `−X⁻¹ ε X⁻¹`
    ///
    /// # Errors
    /// (when run) singular to working precision.
    #[track_caller]
    pub fn inv(self) -> Var<'t> {
        self.unary(Op::Inverse)
    }

    /// The solution `X⁻¹ B` of `X Z = B`: `self` is m×m, `rhs` m×p, the result m×p. O(m³ + m²p).
    ///
    /// # Derivative
    /// `−X⁻¹ ε Z`, `X⁻¹ ε`
    ///
    /// # Errors
    /// (when run) singular to working precision.
    #[track_caller]
    pub fn solve(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::Solve, rhs)
    }

    /// `tril(X)⁻¹ B`: the solution of `tril(X) Z = B`. `self` is m×m, `rhs` m×p, the result m×p. O(m²p).
    ///
    /// The entries above the diagonal are not read. A solution of `Z tril(X) = B` is the transpose of one:
    /// `X.t().solve_upper(B.t()).t()`.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, b) = (tape.input("A", (3, 3)), tape.input("B", (3, 2)));
    /// assert_eq!(a.solve_lower(b).to_string(), "tril(A)⁻¹ B");
    /// ```
    ///
    /// # Derivative
    /// `−tril(X)⁻¹ tril(ε) Z`, `tril(X)⁻¹ ε`
    ///
    /// # Errors
    /// (when run) a zero on the diagonal.
    #[track_caller]
    pub fn solve_lower(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::TriangularSolve { upper: false, unit: false }, rhs)
    }

    /// `triu(X)⁻¹ B`: the solution of `triu(X) Z = B`. The entries below the diagonal are not read. A solution of
    /// `Z triu(X) = B` is `X.t().solve_lower(B.t()).t()`. O(m²p).
    ///
    /// # Derivative
    /// `−triu(X)⁻¹ triu(ε) Z`, `triu(X)⁻¹ ε`
    ///
    /// # Errors
    /// (when run) a zero on the diagonal.
    #[track_caller]
    pub fn solve_upper(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::TriangularSolve { upper: true, unit: false }, rhs)
    }

    /// [`solve_lower`](Var::solve_lower) with a diagonal of ones: `(I + tril(X, −1))⁻¹ B`. The diagonal is not read.
    ///
    /// # Derivative
    /// With `T = I + tril(X, −1)`: `−T⁻¹ tril(ε, −1) Z`, `T⁻¹ ε`
    #[track_caller]
    pub fn solve_unit_lower(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::TriangularSolve { upper: false, unit: true }, rhs)
    }

    /// [`solve_upper`](Var::solve_upper) with a diagonal of ones: `(I + triu(X, 1))⁻¹ B`. The diagonal is not read.
    ///
    /// # Derivative
    /// With `T = I + triu(X, 1)`: `−T⁻¹ triu(ε, 1) Z`, `T⁻¹ ε`
    #[track_caller]
    pub fn solve_unit_upper(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::TriangularSolve { upper: true, unit: true }, rhs)
    }

    /// Cholesky's factor of a positive definite matrix: the lower triangular L with a positive diagonal and `X = L Lᵀ`,
    /// m×m. O(m³). It shares its factorization with solves, inverses and determinants of the same matrix.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (k, a) = (tape.positive_definite("K", 3), tape.input("A", (3, 3)));
    /// assert_eq!(k.cholesky().to_string(), "chol(K)");
    /// assert!(a.cholesky().check().is_err());
    /// assert!(a.symmetrize().cholesky().check().is_ok());
    /// ```
    ///
    /// # Derivative
    /// `L Φ(L⁻¹ ε L⁻ᵀ)` for a symmetric ε, where Φ takes the lower triangle and halves the diagonal.
    ///
    /// # Errors
    /// (deferred) [`Error::NotSymmetric`](crate::Error::NotSymmetric) if the matrix is not known to be symmetric, by
    /// declaration or from how it is written; (when run) not positive definite to working precision.
    #[track_caller]
    pub fn cholesky(self) -> Var<'t> {
        self.unary(Op::Cholesky)
    }

    /// A function of one variable on every entry; see [`Function`] for the table.
    #[track_caller]
    pub fn map(self, f: Function) -> Var<'t> {
        self.unary(Op::Map(f))
    }

    /// `xᵖ` on every entry.
    ///
    /// # Derivative
    /// `p xᵖ⁻¹`
    #[track_caller]
    pub fn powf(self, p: f64) -> Var<'t> {
        self.map(Function::Powf(Literal::new(p)))
    }

    /// `min(max(x, low), high)` on every entry.
    ///
    /// # Derivative
    /// 1 where `low ≤ x ≤ high`, else 0.
    #[track_caller]
    pub fn clamp(self, low: f64, high: f64) -> Var<'t> {
        self.map(Function::Clamp(Literal::new(low), Literal::new(high)))
    }

    /// 1 where `low ≤ x ≤ high`, else 0, on every entry.
    ///
    /// # Derivative
    /// 0
    #[track_caller]
    pub fn inside(self, low: f64, high: f64) -> Var<'t> {
        self.map(Function::Inside(Literal::new(low), Literal::new(high)))
    }

    /// `xᵖ` on every entry with an integer p: [`powf`](Var::powf), which is real for negative entries then.
    ///
    /// # Derivative
    /// `p xᵖ⁻¹`
    #[track_caller]
    pub fn powi(self, p: i32) -> Var<'t> {
        self.powf(f64::from(p))
    }

    /// The digamma function `ψ(x)` on every entry, the derivative of [`ln_gamma`](Var::ln_gamma).
    ///
    /// # Derivative
    /// `ψ′(x)`, see [`polygamma`](Var::polygamma)
    #[track_caller]
    pub fn digamma(self) -> Var<'t> {
        self.polygamma(0)
    }

    /// The polygamma function `ψ⁽ⁿ⁾(x)` on every entry: the derivative of order n of `ψ`, and of order n + 1 of `ln Γ`. At the
    /// poles 0, −1, −2, … it is ∞ for odd n, where both sides tend to it, and NaN for even n.
    ///
    /// # Derivative
    /// `ψ⁽ⁿ⁺¹⁾(x)`
    #[track_caller]
    pub fn polygamma(self, n: u32) -> Var<'t> {
        self.map(Function::Polygamma(n))
    }

    /// The sigmoid linear unit `x σ(x)` on every entry.
    ///
    /// # Derivative
    /// `σ(x) + x (σ(x) − σ(x)²)`
    #[track_caller]
    pub fn silu(self) -> Var<'t> {
        self.hadamard(self.sigmoid())
    }

    /// The Gaussian error linear unit `x Φ(x)` on every entry, with `Φ(x) = ½ erfc(−x/√2)`, which keeps its digits where it is
    /// small.
    ///
    /// # Derivative
    /// `Φ(x) + x e^{−x²/2} / √(2π)`
    #[track_caller]
    pub fn gelu(self) -> Var<'t> {
        self.hadamard(0.5 * (-std::f64::consts::FRAC_1_SQRT_2 * self).erfc())
    }

    /// `self` where the condition is not 0, `other` elsewhere: `keep(X, C) + keep(Y, 1[C = 0])`. What is not chosen may be
    /// infinite or NaN, in the value and in the derivative. A condition comes from [`less`](Var::less), [`step`](Var::step),
    /// [`inside`](Var::inside) or an input; where it is NaN, so is the result.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (x, y) = (tape.input("X", (3, 2)), tape.input("Y", (3, 2)));
    /// let larger = x.select(y.less(x), y);
    /// assert_eq!(larger.to_string(), "keep(X, less(Y, X)) + keep(Y, inside(less(Y, X), 0, 0))");
    /// ```
    ///
    /// # Derivative
    /// `ε` where chosen, else 0; 0 in the condition.
    #[track_caller]
    pub fn select(self, condition: Var<'t>, other: Var<'t>) -> Var<'t> {
        self.keep(condition) + other.keep(condition.inside(0.0, 0.0))
    }

    /// `c X`.
    #[track_caller]
    fn scaled(self, c: f64) -> Var<'t> {
        self.unary(Op::Scale(Literal::new(c)))
    }

    /// `X + c 𝟏𝟏ᵀ`: a number added to every entry.
    #[track_caller]
    fn add_number(self, c: f64) -> Var<'t> {
        self + c * self.ones(self.shape())
    }
}

/// One method for each parameterless elementwise function.
macro_rules! elementwise {
    ($($method:ident $function:ident $value:literal $derivative:literal;)*) => {
        impl<'t> Var<'t> {$(
            #[doc = concat!("`", $value, "` on every entry.\n\n# Derivative\n`", $derivative, "`")]
            #[track_caller]
            pub fn $method(self) -> Var<'t> {
                self.map(Function::$function)
            }
        )*}
    };
}

elementwise! {
    exp Exp "eˣ" "eˣ";
    ln Ln "ln x" "1/x";
    ln_1p Ln1p "ln(1 + x)" "1/(1 + x)";
    sqrt Sqrt "√x" "½ / √x, and 0 at 0";
    square Square "x²" "2x";
    recip Recip "1/x" "−1/x²";
    pseudo_recip PseudoRecip "x⁺: 1/x, and 0 at 0" "−(x⁺)²";
    abs Abs "|x|" "sign x";
    sign Sign "−1, 0 or 1" "0";
    tanh Tanh "tanh x" "1 − tanh² x";
    sigmoid Sigmoid "σ(x) = 1/(1 + e⁻ˣ)" "σ(x) − σ(x)²";
    softplus Softplus "ln(1 + eˣ)" "σ(x)";
    sin Sin "sin x" "cos x";
    cos Cos "cos x" "−sin x";
    relu Relu "max(x, 0)" "1 where x > 0, else 0";
    step Step "1 where x > 0, else 0" "0";
    log_cosh LogCosh "ln cosh x" "tanh x";
    exp_m1 ExpM1 "eˣ − 1" "eˣ";
    log2 Log2 "ln x / ln 2" "1/(x ln 2)";
    log10 Log10 "ln x / ln 10" "1/(x ln 10)";
    cbrt Cbrt "∛x" "⅓ (∛x)⁻², and 0 at 0";
    tan Tan "tan x" "1 + tan² x";
    asin Asin "arcsin x" "1/√(1 − x²), and 0 at ±1";
    acos Acos "arccos x" "−1/√(1 − x²), and 0 at ±1";
    atan Atan "arctan x" "1/(1 + x²)";
    sinh Sinh "sinh x" "cosh x";
    cosh Cosh "cosh x" "sinh x";
    asinh Asinh "arsinh x" "1/√(x² + 1)";
    acosh Acosh "arcosh x" "1/√(x² − 1), and 0 at 1";
    atanh Atanh "artanh x" "1/(1 − x²)";
    erf Erf "erf x = 2/√π ∫₀ˣ e^{−t²} dt" "2/√π e^{−x²}";
    erfc Erfc "erfc x = 1 − erf x" "−2/√π e^{−x²}";
    ln_gamma LnGamma "ln |Γ(x)|" "ψ(x)";
}

/// One method for each elementwise function of two matrices of the same shape.
macro_rules! pairwise {
    ($($method:ident $function:ident $value:literal $derivative:literal;)*) => {
        impl<'t> Var<'t> {$(
            #[doc = concat!($value, ", for every entry x and the entry y of `other`, which has the same shape.\n\n# Derivative\n", $derivative)]
            #[track_caller]
            pub fn $method(self, other: Var<'t>) -> Var<'t> {
                self.binary(Op::Zip(Binary::$function), other)
            }
        )*}
    };
}

pairwise! {
    max Max "The larger one of x and y" "`ε` for the larger one, 0 for the other; if both are equal, `ε` for x.";
    min Min "The smaller one of x and y" "`ε` for the smaller one, 0 for the other; if both are equal, `ε` for x.";
    atan2 Atan2 "The angle of the point (y, x), between −π and π" "`y ε / (x² + y²)`, `−x ε / (x² + y²)`; 0 at the origin.";
    hypot Hypot "`√(x² + y²)`, safe against overflow" "`x ε / √(x² + y²)`, `y ε / √(x² + y²)`; 0 at the origin, a subgradient.";
    less Less "1 where x < y, else 0" "0";
    keep Keep "x where y is not 0, and 0 where it is, even if x is infinite or NaN" "`ε` where y is not 0, else 0; 0 in y.";
}

impl<'t> Add for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn add(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::Add, rhs)
    }
}

impl<'t> Sub for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn sub(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::Add, -rhs)
    }
}

impl<'t> Mul for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn mul(self, rhs: Var<'t>) -> Var<'t> {
        self.binary(Op::MatMul, rhs)
    }
}

/// Division by a 1×1; for an entrywise quotient see [`Var::quotient`].
impl<'t> Div for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn div(self, rhs: Var<'t>) -> Var<'t> {
        let divisor = rhs.shape();
        if divisor.is_scalar() && self.shape().is_scalar() {
            self.binary(Op::Quotient, rhs)
        } else if divisor.is_scalar() {
            rhs.recip().binary(Op::ScaleBy, self)
        } else {
            rhs.binary(Op::ScaleBy, self)
        }
    }
}

impl<'t> Neg for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn neg(self) -> Var<'t> {
        self.scaled(-1.0)
    }
}

impl<'t> Mul<f64> for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn mul(self, c: f64) -> Var<'t> {
        self.scaled(c)
    }
}

impl<'t> Mul<Var<'t>> for f64 {
    type Output = Var<'t>;
    #[track_caller]
    fn mul(self, x: Var<'t>) -> Var<'t> {
        x.scaled(self)
    }
}

impl<'t> Div<f64> for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn div(self, c: f64) -> Var<'t> {
        self.scaled(1.0 / c)
    }
}

impl<'t> Div<Var<'t>> for f64 {
    type Output = Var<'t>;
    #[track_caller]
    fn div(self, x: Var<'t>) -> Var<'t> {
        x.recip().scaled(self)
    }
}

impl<'t> Add<f64> for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn add(self, c: f64) -> Var<'t> {
        self.add_number(c)
    }
}

impl<'t> Add<Var<'t>> for f64 {
    type Output = Var<'t>;
    #[track_caller]
    fn add(self, x: Var<'t>) -> Var<'t> {
        self * x.ones(x.shape()) + x
    }
}

impl<'t> Sub<f64> for Var<'t> {
    type Output = Var<'t>;
    #[track_caller]
    fn sub(self, c: f64) -> Var<'t> {
        self.add_number(-c)
    }
}

impl<'t> Sub<Var<'t>> for f64 {
    type Output = Var<'t>;
    #[track_caller]
    fn sub(self, x: Var<'t>) -> Var<'t> {
        self * x.ones(x.shape()) - x
    }
}
