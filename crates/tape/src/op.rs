use crate::Shape;
use crate::custom::CustomOp;
use crate::factor::{Factor, Spectral};
use crate::functions::MatrixFunction;

/// An `f64` literal that can be hashed and compared: by its bits.
#[derive(Clone, Copy, Debug)]
pub struct Literal(f64);

impl Literal {
    /// Wraps a value; `-0.0` becomes `0.0`.
    pub fn new(value: f64) -> Self {
        Literal(if value == 0.0 { 0.0 } else { value })
    }

    /// The value.
    pub fn value(self) -> f64 {
        self.0
    }
}

impl std::fmt::Display for Literal {
    /// As it stands in formulas: `½`, `2/3`, `−10⁻⁶`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crate::write::number(self.0, crate::write::Style::Unicode))
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Literal {}

impl std::hash::Hash for Literal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// An interned name on a tape.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Name(pub(crate) u32);

/// An interned list of indices on a tape.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Indices(pub(crate) u32);

/// What a node computes from its arguments.
///
/// The list is closed: the rule book and the engine match on it exhaustively, so that an op without a rule or a
/// kernel does not compile. Arguments are called `a`, `b`, … in the order in which they are stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// A named matrix that is bound when a program runs.
    Input(Name),
    /// A perturbation such as `ε`: it is differentiated with and printed, never evaluated.
    Symbol(Name),
    /// A 1×1 literal.
    Scalar(Literal),
    /// The identity matrix `I`.
    Identity,
    /// The zero matrix.
    Zeros,
    /// The matrix of ones, `𝟏`.
    Ones,
    /// Some rows of an identity matrix, in the given order. A product with it picks rows, and with its transpose puts
    /// them back.
    Selection(Indices),
    /// 1 on and below the diagonal, or strictly below it; 0 above. An entrywise product with it is a lower triangle, a
    /// matrix product a cumulative sum.
    Triangle {
        /// Whether the diagonal is 0.
        strict: bool,
    },
    /// `a + b`.
    Add,
    /// `c a` with a literal `c`; the minus sign is `c = −1`.
    Scale(Literal),
    /// `a b` with `a` 1×1.
    ScaleBy,
    /// The matrix product `a b`.
    MatMul,
    /// `aᵀ`.
    Transpose,
    /// The entries of `a`, column by column, in another shape.
    Reshape(Shape),
    /// `tr a`.
    Trace,
    /// The diagonal of a square matrix, a column.
    Diagonal,
    /// The diagonal matrix with the column `a` on its diagonal.
    Diag,
    /// `⟨a, b⟩ = tr(aᵀ b)`.
    Inner,
    /// The Frobenius norm `‖a‖`.
    Norm,
    /// The entrywise product `a ∘ b`.
    Hadamard,
    /// The entrywise quotient `a ⊘ b`.
    Quotient,
    /// A function of one variable on every entry.
    Map(Function),
    /// A function of two variables on every pair of entries.
    Zip(Binary),
    /// `log Σᵢ exp aᵢⱼ` of every column.
    LogSumExp,
    /// `exp aᵢⱼ / Σᵢ exp aᵢⱼ` in every column.
    Softmax,
    /// The largest entry of every column.
    ColMax,
    /// 1 at the first of the largest entries of every column, 0 elsewhere.
    ColArgmax,
    /// `a⁻¹`.
    Inverse,
    /// `a⁻¹ b`.
    Solve,
    /// `a⁺ b` for an `a` of full rank: the X with the least `‖a X − b‖`, and of those that are equal the smallest.
    LeastSquares,
    /// `t⁻¹ b`, where `t` is a triangle of `a`. The other triangle is not read.
    TriangularSolve {
        /// Whether it is the upper triangle.
        upper: bool,
        /// Whether the diagonal is taken as 1 and not read.
        unit: bool,
    },
    /// The lower triangular `l` with a positive diagonal of which `a = l lᵀ`, for a positive definite `a`.
    Cholesky,
    /// A matrix of a decomposition of `a`.
    Factor(Factor),
    /// An operation beside a spectrum `a`, the column of the eigenvalues or singular values of something: it looks
    /// whether some of them coincide.
    Spectral(Spectral),
    /// The solution X of `a X + X b = c`.
    Sylvester,
    /// The solution X of `X − a X b = c`.
    Stein,
    /// The principal square root of `a`.
    SquareRoot,
    /// The sign of `a`: each of its eigenvalues replaced by the sign of its real part.
    MatrixSign,
    /// A function of the symmetric `a` by its eigenvalues, `V Diag(f(λ)) Vᵀ`, and its Fréchet derivatives. Arguments: `a`; the
    /// columns `f(λ)`, `f′(λ)`, `f″(λ)`, …, in which λ is held; the directions. Order k takes at least k + 1 columns; further
    /// ones make it accurate where eigenvalues are close.
    SymmetricFunction {
        /// The order of the derivative.
        order: u32,
        /// The number of columns.
        columns: u32,
    },
    /// `a`, held: it does not vary.
    StopGradient,
    /// `det a`.
    Det,
    /// The transpose of the matrix of the cofactors of `a`: `det(a) a⁻¹`, if there is an inverse.
    Adjugate,
    /// `log |det a|`.
    LogDet,
    /// A function of a matrix and its Fréchet derivatives. Order 0 is `f(a)`; order k ≥ 1 is the derivative of order k at a
    /// in the directions `b, …`, symmetric and linear in each.
    MatrixFunction {
        /// The function.
        function: MatrixFunction,
        /// The order of the derivative.
        order: u32,
    },
    /// `exp(a) b`, without the exponential.
    ExpAction,
    /// An opaque scalar function `L` and its derivatives. Order 0 is `L(a)`; order k ≥ 1 is the matrix
    /// `∇ᵏL(a)[b, …]` with k − 1 directions, symmetric and linear in each.
    Opaque {
        /// The function's name.
        name: Name,
        /// The order of the derivative.
        order: u32,
    },
    /// An operation of the user's own.
    Custom(CustomOp),
}

/// The elementwise functions of [`Op::Map`].
///
/// | function | value | derivative |
/// |---|---|---|
/// | `Exp` | `eˣ` | `eˣ` |
/// | `Ln` | `ln x` | `1/x` |
/// | `Ln1p` | `ln(1 + x)` | `1/(1 + x)` |
/// | `ExpM1` | `eˣ − 1` | `eˣ` |
/// | `Log2`, `Log10` | `ln x / ln 2`, `ln x / ln 10` | `1/(x ln 2)`, `1/(x ln 10)` |
/// | `Sqrt` | `√x` | `½ (√x)⁺` |
/// | `Cbrt` | `∛x` | `⅓ ((∛x)²)⁺` |
/// | `Square` | `x²` | `2x` |
/// | `Powf(p)` | `xᵖ` | `p xᵖ⁻¹` |
/// | `Recip` | `1/x` | `−1/x²` |
/// | `PseudoRecip` | `x⁺`: `1/x`, and 0 at 0 | `−(x⁺)²` |
/// | `Abs` | `\|x\|` | `sign x` |
/// | `Sign` | −1, 0 or 1 | 0 |
/// | `Tanh` | `tanh x` | `1 − tanh² x` |
/// | `Sigmoid` | `σ(x) = 1/(1 + e⁻ˣ)` | `σ(x) − σ(x)²` |
/// | `Softplus` | `ln(1 + eˣ)` | `σ(x)` |
/// | `Sin`, `Cos` | `sin x`, `cos x` | `cos x`, `−sin x` |
/// | `Tan` | `tan x` | `1 + tan² x` |
/// | `Asin`, `Acos` | `arcsin x`, `arccos x` | `(√(1 − x²))⁺`, `−(√(1 − x²))⁺` |
/// | `Atan` | `arctan x` | `1/(1 + x²)` |
/// | `Sinh`, `Cosh` | `sinh x`, `cosh x` | `cosh x`, `sinh x` |
/// | `Asinh` | `arsinh x` | `1/√(x² + 1)` |
/// | `Acosh` | `arcosh x` | `(√(x² − 1))⁺` |
/// | `Atanh` | `artanh x` | `1/(1 − x²)` |
/// | `Erf` | `erf x = 2/√π ∫₀ˣ e^{−t²} dt` | `2/√π e^{−x²}` |
/// | `Erfc` | `erfc x = 1 − erf x` | `−2/√π e^{−x²}` |
/// | `LnGamma` | `ln \|Γ(x)\|` | `ψ(x)` |
/// | `Polygamma(n)` | `ψ⁽ⁿ⁾(x)`, the derivative of order n + 1 of `ln Γ` | `ψ⁽ⁿ⁺¹⁾(x)` |
/// | `Relu` | `max(x, 0)` | `step x` |
/// | `Step` | 1 where `x > 0`, else 0 | 0 |
/// | `Clamp(l, h)` | `min(max(x, l), h)` | `inside(x, l, h)` |
/// | `Inside(l, h)` | 1 where `l ≤ x ≤ h`, else 0 | 0 |
/// | `LogCosh` | `ln cosh x` | `tanh x` |
///
/// What `x⁺` is good for: where a slope is infinite (`√x` and `∛x` at 0, `arcsin x`, `arccos x` and `arcosh x` where they
/// end), the derivative is 0, so that a gradient stays finite.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // The table above documents them at one glance.
pub enum Function {
    Exp,
    Ln,
    Ln1p,
    Sqrt,
    Square,
    Powf(Literal),
    Recip,
    PseudoRecip,
    Abs,
    Sign,
    Tanh,
    Sigmoid,
    Softplus,
    Sin,
    Cos,
    Relu,
    Step,
    Clamp(Literal, Literal),
    Inside(Literal, Literal),
    LogCosh,
    ExpM1,
    Log2,
    Log10,
    Cbrt,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Asinh,
    Acosh,
    Atanh,
    Erf,
    Erfc,
    LnGamma,
    Polygamma(u32),
}

impl Function {
    /// The name in formulas and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Function::Exp => "exp",
            Function::Ln => "ln",
            Function::Ln1p => "ln_1p",
            Function::Sqrt => "sqrt",
            Function::Square => "square",
            Function::Powf(_) => "powf",
            Function::Recip => "recip",
            Function::PseudoRecip => "pseudo_recip",
            Function::Abs => "abs",
            Function::Sign => "sign",
            Function::Tanh => "tanh",
            Function::Sigmoid => "sigmoid",
            Function::Softplus => "softplus",
            Function::Sin => "sin",
            Function::Cos => "cos",
            Function::Relu => "relu",
            Function::Step => "step",
            Function::Clamp(..) => "clamp",
            Function::Inside(..) => "inside",
            Function::LogCosh => "log_cosh",
            Function::ExpM1 => "exp_m1",
            Function::Log2 => "log2",
            Function::Log10 => "log10",
            Function::Cbrt => "cbrt",
            Function::Tan => "tan",
            Function::Asin => "asin",
            Function::Acos => "acos",
            Function::Atan => "atan",
            Function::Sinh => "sinh",
            Function::Cosh => "cosh",
            Function::Asinh => "asinh",
            Function::Acosh => "acosh",
            Function::Atanh => "atanh",
            Function::Erf => "erf",
            Function::Erfc => "erfc",
            Function::LnGamma => "ln_gamma",
            Function::Polygamma(_) => "polygamma",
        }
    }

    /// One of every function, parameters filled in: for tests that walk the list.
    pub fn all() -> [Function; 39] {
        let half = Literal::new(0.5);
        [
            Function::Exp,
            Function::Ln,
            Function::Ln1p,
            Function::Sqrt,
            Function::Square,
            Function::Powf(Literal::new(2.5)),
            Function::Recip,
            Function::PseudoRecip,
            Function::Abs,
            Function::Sign,
            Function::Tanh,
            Function::Sigmoid,
            Function::Softplus,
            Function::Sin,
            Function::Cos,
            Function::Relu,
            Function::Step,
            Function::Clamp(Literal::new(-0.5), half),
            Function::Inside(Literal::new(-0.5), half),
            Function::LogCosh,
            Function::ExpM1,
            Function::Log2,
            Function::Log10,
            Function::Cbrt,
            Function::Tan,
            Function::Asin,
            Function::Acos,
            Function::Atan,
            Function::Sinh,
            Function::Cosh,
            Function::Asinh,
            Function::Acosh,
            Function::Atanh,
            Function::Erf,
            Function::Erfc,
            Function::LnGamma,
            Function::Polygamma(0),
            Function::Polygamma(1),
            Function::Polygamma(2),
        ]
    }
}

/// The elementwise functions of [`Op::Zip`].
///
/// | function | value | derivatives |
/// |---|---|---|
/// | `Max` | the larger of a and b | 1 for the larger one, 0 for the other; if both are equal, 1 for a |
/// | `Min` | the smaller of a and b | 1 for the smaller one, 0 for the other; if both are equal, 1 for a |
/// | `Atan2` | the angle of the point (b, a) | `b/(a² + b²)`, `−a/(a² + b²)`; at the origin 0 |
/// | `Hypot` | `√(a² + b²)` | `a/y`, `b/y`; at the origin 0 |
/// | `Less` | 1 where `a < b`, else 0 | 0 |
/// | `Keep` | a where `b ≠ 0`, else 0, whatever a is | `keep(ε, b)`, 0 |
///
/// A NaN in either argument is one in the result, but for what `Keep` does not keep.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // The table above documents them at one glance.
pub enum Binary {
    Max,
    Min,
    Atan2,
    Hypot,
    Less,
    Keep,
}

impl Binary {
    /// The name in formulas and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Binary::Max => "max",
            Binary::Min => "min",
            Binary::Atan2 => "atan2",
            Binary::Hypot => "hypot",
            Binary::Less => "less",
            Binary::Keep => "keep",
        }
    }

    /// Every function: for tests that walk the list.
    pub const fn all() -> [Binary; 6] {
        [Binary::Max, Binary::Min, Binary::Atan2, Binary::Hypot, Binary::Less, Binary::Keep]
    }
}

/// Functions of symmetric matrices have derivatives up to this order: nobody has time for more of them.
const HIGHEST_ORDER: u32 = 8;

/// How an op depends on one of its arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// Linear in this argument while the others stay fixed (a product's factors).
    Multilinear,
    /// Linear in all such arguments together (a sum's terms).
    Jointly,
    /// Not linear.
    Nonlinear,
}

impl Op {
    /// The name in messages: the sign a person writes, or the method's name.
    pub const fn name(self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Symbol(_) => "symbol",
            Op::Scalar(_) => "scalar",
            Op::Identity => "identity",
            Op::Zeros => "zeros",
            Op::Ones => "ones",
            Op::Selection(_) => "selection",
            Op::Triangle { .. } => "triangle",
            Op::Add => "+",
            Op::Scale(_) => "scale",
            Op::ScaleBy => "scale by",
            Op::MatMul => "*",
            Op::Transpose => "transpose",
            Op::Reshape(_) => "reshape",
            Op::Trace => "trace",
            Op::Diagonal => "diagonal",
            Op::Diag => "diag",
            Op::Inner => "inner",
            Op::Norm => "norm",
            Op::Hadamard => "hadamard",
            Op::Quotient => "quotient",
            Op::Map(f) => f.name(),
            Op::Zip(f) => f.name(),
            Op::LogSumExp => "log_sum_exp",
            Op::Softmax => "softmax",
            Op::ColMax => "col_max",
            Op::ColArgmax => "col_argmax",
            Op::Inverse => "inverse",
            Op::Solve => "solve",
            Op::LeastSquares => "least_squares",
            Op::TriangularSolve { upper: false, unit: false } => "solve_lower",
            Op::TriangularSolve { upper: true, unit: false } => "solve_upper",
            Op::TriangularSolve { upper: false, unit: true } => "solve_unit_lower",
            Op::TriangularSolve { upper: true, unit: true } => "solve_unit_upper",
            Op::Cholesky => "cholesky",
            Op::Factor(factor) => factor.name(),
            Op::Spectral(spectral) => spectral.name(),
            Op::Sylvester => "sylvester",
            Op::Stein => "stein",
            Op::SquareRoot => "sqrtm",
            Op::MatrixSign => "signm",
            Op::SymmetricFunction { .. } => "symmetric_function",
            Op::StopGradient => "stop_gradient",
            Op::Det => "det",
            Op::Adjugate => "adjugate",
            Op::LogDet => "log_det",
            Op::MatrixFunction { function, .. } => function.name(),
            Op::ExpAction => "expm_multiply",
            Op::Opaque { .. } => "function",
            Op::Custom(_) => "operation",
        }
    }

    /// One of every op, with an arbitrary literal, function, name, shape and order: for tests that walk the list.
    pub fn all(name: Name) -> Vec<Op> {
        let mut ops = vec![
            Op::Input(name),
            Op::Symbol(name),
            Op::Scalar(Literal::new(1.5)),
            Op::Identity,
            Op::Zeros,
            Op::Ones,
            Op::Selection(Indices(0)),
            Op::Triangle { strict: false },
            Op::Add,
            Op::Scale(Literal::new(1.5)),
            Op::ScaleBy,
            Op::MatMul,
            Op::Transpose,
            Op::Reshape(Shape::SCALAR),
            Op::Trace,
            Op::Diagonal,
            Op::Diag,
            Op::Inner,
            Op::Norm,
            Op::Hadamard,
            Op::Quotient,
            Op::Map(Function::Exp),
            Op::LogSumExp,
            Op::Softmax,
            Op::ColMax,
            Op::ColArgmax,
            Op::Inverse,
            Op::Solve,
            Op::LeastSquares,
            Op::TriangularSolve { upper: false, unit: false },
            Op::TriangularSolve { upper: true, unit: false },
            Op::TriangularSolve { upper: false, unit: true },
            Op::TriangularSolve { upper: true, unit: true },
            Op::Cholesky,
            Op::Sylvester,
            Op::Stein,
            Op::SquareRoot,
            Op::MatrixSign,
            Op::Det,
            Op::Adjugate,
            Op::LogDet,
            Op::Opaque { name, order: 0 },
            Op::Opaque { name, order: 1 },
            Op::Opaque { name, order: 2 },
        ];
        ops.extend(Binary::all().map(Op::Zip));
        ops.push(Op::ExpAction);
        for function in MatrixFunction::all() {
            ops.extend((0..3).map(|order| Op::MatrixFunction { function, order }));
        }
        ops.extend(Factor::all().map(Op::Factor));
        ops.extend(Spectral::all().map(Op::Spectral));
        ops.push(Op::SymmetricFunction { order: 0, columns: 1 });
        ops.push(Op::SymmetricFunction { order: 1, columns: 5 });
        ops.push(Op::SymmetricFunction { order: 2, columns: 6 });
        ops.push(Op::StopGradient);
        ops.push(Op::Custom(CustomOp::ANY));
        ops
    }

    /// Number of arguments.
    pub const fn arity(self) -> usize {
        match self {
            Op::Input(_)
            | Op::Symbol(_)
            | Op::Scalar(_)
            | Op::Identity
            | Op::Zeros
            | Op::Ones
            | Op::Selection(_)
            | Op::Triangle { .. } => 0,
            Op::Scale(_)
            | Op::Transpose
            | Op::Reshape(_)
            | Op::Trace
            | Op::Diagonal
            | Op::Diag
            | Op::Norm
            | Op::Map(_)
            | Op::LogSumExp
            | Op::Softmax
            | Op::ColMax
            | Op::ColArgmax
            | Op::Inverse
            | Op::Cholesky
            | Op::Factor(_)
            | Op::SquareRoot
            | Op::MatrixSign
            | Op::StopGradient
            | Op::Det
            | Op::Adjugate
            | Op::LogDet => 1,
            Op::Add
            | Op::ScaleBy
            | Op::MatMul
            | Op::Inner
            | Op::Hadamard
            | Op::Quotient
            | Op::Zip(_)
            | Op::Solve
            | Op::LeastSquares
            | Op::TriangularSolve { .. }
            | Op::Spectral(_)
            | Op::ExpAction => 2,
            Op::MatrixFunction { order, .. } => (order as usize).saturating_add(1),
            Op::Sylvester | Op::Stein => 3,
            Op::SymmetricFunction { order, columns } => 1 + (columns as usize).saturating_add(order as usize),
            Op::Opaque { order, .. } => {
                if order == 0 {
                    1
                } else {
                    order as usize
                }
            }
            Op::Custom(op) => op.arity(),
        }
    }

    /// How the op depends on argument `slot`.
    ///
    /// The algebra that holds in a slot follows from it: scalars pass through a multilinear slot, which is how
    /// they move to the front of a formula.
    pub const fn slot(self, slot: usize) -> Slot {
        match self {
            Op::Add => Slot::Jointly,
            Op::Zip(Binary::Keep) => [Slot::Multilinear, Slot::Nonlinear][(slot > 0) as usize],
            Op::Scale(_)
            | Op::ScaleBy
            | Op::MatMul
            | Op::Transpose
            | Op::Reshape(_)
            | Op::Trace
            | Op::Diagonal
            | Op::Diag
            | Op::Inner
            | Op::Hadamard => Slot::Multilinear,
            Op::Quotient => [Slot::Multilinear, Slot::Nonlinear][(slot > 0) as usize],
            Op::Spectral(Spectral::Distinct | Spectral::Positive) => Slot::Nonlinear,
            Op::Solve
            | Op::LeastSquares
            | Op::TriangularSolve { .. }
            | Op::Spectral(_)
            | Op::ExpAction
            | Op::MatrixFunction { .. } => [Slot::Nonlinear, Slot::Multilinear][(slot > 0) as usize],
            Op::Sylvester | Op::Stein => [Slot::Nonlinear, Slot::Multilinear][(slot > 1) as usize],
            Op::Opaque { .. } => [Slot::Nonlinear, Slot::Multilinear][(slot > 0) as usize],
            Op::Custom(op) => op.slot(slot),
            Op::Input(_)
            | Op::Symbol(_)
            | Op::Scalar(_)
            | Op::Identity
            | Op::Zeros
            | Op::Ones
            | Op::Selection(_)
            | Op::Triangle { .. }
            | Op::Norm
            | Op::Map(_)
            | Op::Zip(_)
            | Op::LogSumExp
            | Op::Softmax
            | Op::ColMax
            | Op::ColArgmax
            | Op::Inverse
            | Op::Cholesky
            | Op::Factor(_)
            | Op::SquareRoot
            | Op::MatrixSign
            | Op::StopGradient
            | Op::Det
            | Op::Adjugate
            | Op::LogDet => Slot::Nonlinear,
            Op::SymmetricFunction { columns, .. } => {
                [Slot::Nonlinear, Slot::Multilinear][(slot > columns as usize) as usize]
            }
        }
    }

    /// Whether the op acts entry by entry on operands of its own shape.
    pub const fn is_elementwise(self) -> bool {
        matches!(self, Op::Add | Op::Scale(_) | Op::Hadamard | Op::Quotient | Op::Map(_) | Op::Zip(_))
    }

    /// Whether the first argument has to be known to be symmetric.
    pub const fn of_symmetric(self) -> bool {
        match self {
            Op::Cholesky => true,
            Op::SymmetricFunction { .. } => true,
            Op::Factor(factor) => factor.of_symmetric(),
            _ => false,
        }
    }

    /// Whether the two arguments may change places.
    pub(crate) const fn is_commutative(self) -> bool {
        matches!(self, Op::Add | Op::Inner | Op::Hadamard)
    }

    /// The shape of the result, or in words why there is none.
    ///
    /// `args` holds [`arity`](Op::arity) shapes. Leaves have the shape that they were declared with and are not
    /// asked; the user's operations have rules of their own.
    pub(crate) fn shape(self, args: &[Shape]) -> Result<Shape, String> {
        let (a, b) = match *args {
            [] => (Shape::SCALAR, Shape::SCALAR),
            [a] => (a, a),
            [a, b, ..] => (a, b),
        };
        let same = |wanted: bool, relation: &str| {
            if wanted { Ok(()) } else { Err(format!("{a} {relation} {b} do not conform")) }
        };
        let square = || if a.is_square() { Ok(()) } else { Err(format!("{a} is not square")) };
        match self {
            Op::Input(_)
            | Op::Symbol(_)
            | Op::Scalar(_)
            | Op::Identity
            | Op::Zeros
            | Op::Ones
            | Op::Selection(_)
            | Op::Triangle { .. }
            | Op::Custom(_) => Ok(a),
            Op::Scale(_) | Op::Map(_) | Op::Softmax | Op::ColArgmax => Ok(a),
            Op::Add => same(a == b, "plus").map(|()| a),
            Op::Hadamard => same(a == b, "entrywise times").map(|()| a),
            Op::Quotient => same(a == b, "entrywise over").map(|()| a),
            Op::Zip(_) => same(a == b, "and").map(|()| a),
            Op::ScaleBy if a.is_scalar() => Ok(b),
            Op::ScaleBy => Err(format!("a matrix is scaled by a 1×1, not by a {a}")),
            Op::MatMul => same(a.cols == b.rows, "times").map(|()| Shape::new(a.rows, b.cols)),
            Op::Transpose => Ok(a.transposed()),
            Op::Reshape(shape) if a.rows.checked_mul(a.cols) == shape.rows.checked_mul(shape.cols) => {
                Ok(shape)
            }
            Op::Reshape(shape) => Err(format!("{a} has not as many entries as {shape}")),
            Op::Inner => same(a == b, "inner product with").map(|()| Shape::SCALAR),
            Op::Norm => Ok(Shape::SCALAR),
            Op::LogSumExp | Op::ColMax => Ok(Shape::new(1, a.cols)),
            Op::Inverse | Op::Adjugate | Op::Cholesky | Op::SquareRoot | Op::MatrixSign => {
                square().map(|()| a)
            }
            Op::Diagonal => square().map(|()| Shape::new(a.rows, 1)),
            Op::Diag if a.cols == 1 => Ok(Shape::new(a.rows, a.rows)),
            Op::Diag => Err(format!("a diagonal is a column, not {a}")),
            Op::Trace | Op::Det | Op::LogDet => square().map(|()| Shape::SCALAR),
            Op::Factor(factor) => factor.shape(a),
            Op::StopGradient => Ok(a),
            Op::SymmetricFunction { order, columns } => {
                square()?;
                if order > HIGHEST_ORDER {
                    return Err(format!("there is no derivative of order {order}"));
                }
                if order >= columns {
                    return Err(format!("{columns} columns do not suffice for order {order}"));
                }
                let column = Shape::new(a.rows, 1);
                let mut others = args.iter().skip(1).enumerate();
                let wanted = |i: usize| if i < columns as usize { column } else { a };
                match others.find(|&(i, &other)| other != wanted(i)) {
                    Some((i, other)) => Err(format!("{other} where a {} belongs", wanted(i))),
                    None => Ok(a),
                }
            }
            Op::Spectral(_) if a.cols != 1 => Err(format!("a spectrum is a column, not {a}")),
            Op::Spectral(spectral) => spectral.shape(a.rows, b),
            Op::Solve | Op::TriangularSolve { .. } => {
                square()?;
                same(a.rows == b.rows, "solved for").map(|()| b)
            }
            Op::LeastSquares => same(a.rows == b.rows, "fitted to").map(|()| Shape::new(a.cols, b.cols)),
            Op::ExpAction => {
                square()?;
                same(a.rows == b.rows, "exponential times").map(|()| b)
            }
            Op::MatrixFunction { .. } if !a.is_square() => square().map(|()| a),
            Op::Sylvester | Op::Stein => {
                let c = args.get(2).copied().unwrap_or(b);
                square()?;
                if !b.is_square() {
                    return Err(format!("beside {a}, {b} is not square"));
                }
                if (a.rows, b.rows) != (c.rows, c.cols) {
                    return Err(format!("with {a} and {b} the right side is not {c}"));
                }
                Ok(c)
            }
            Op::Opaque { order: 0, .. } => Ok(Shape::SCALAR),
            Op::Opaque { .. } | Op::MatrixFunction { .. } => {
                match args.iter().find(|&&direction| direction != a) {
                    Some(direction) => Err(format!("the direction is {direction} and the argument {a}")),
                    None => Ok(a),
                }
            }
        }
    }
}
