//! The rule book.
//!
//! Each op has one rule for each of its arguments (the last rule serves all further ones). A rule is stated in
//! one of two ways. For an argument in which the op is linear: the adjoint of that map, `Ȳ ↦ X̄`, by
//! `⟨Ȳ, f(ε)⟩ = ⟨X̄, ε⟩`; the derivative is then the op itself. For any other: the Fréchet derivative
//! `ε ↦ D f(X)[ε]`, from which the adjoint follows by transposition. If that is 0, the op is constant in this argument.
//!
//! Sources: [G] Giles, *Collected matrix derivative results for forward and reverse mode algorithmic
//! differentiation* (2008); [MN] Magnus & Neudecker, *Matrix Differential Calculus*, 3rd ed. (2019);
//! [H] Higham, *Functions of Matrices* (2008).

mod algebra;
pub(crate) mod columns;
mod custom;
mod elementwise;
mod entangled;
mod equations;
mod factors;
mod functions;
pub(crate) mod names;
mod opaque;
mod reductions;
mod solves;
mod spectrum;

pub use custom::Variation;
pub(crate) use entangled::Entangled;
use pullback_tape::{Op, Slot, Var};

/// What a rule may look at: an op, its arguments and its value.
#[derive(Clone, Copy, Debug)]
pub struct At<'a, 't> {
    pub(crate) op: Op,
    pub(crate) args: &'a [Var<'t>],
    /// The argument that varies.
    pub(crate) slot: usize,
    /// The first argument (the value itself where there is none).
    pub(crate) a: Var<'t>,
    /// The second argument (the first where there is none).
    pub(crate) b: Var<'t>,
    /// The value.
    pub(crate) y: Var<'t>,
    /// Of vectors that are [`Entangled`] with values: a column that is not 0 for those that are used.
    pub(crate) used: Option<Var<'t>>,
}

impl<'a, 't> At<'a, 't> {
    pub(crate) fn new(op: Op, args: &'a [Var<'t>], slot: usize, y: Var<'t>) -> Self {
        let a = args.first().copied().unwrap_or(y);
        At { op, args, slot, a, b: args.get(1).copied().unwrap_or(a), y, used: None }
    }

    /// The argument that varies, counted from 0.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// All arguments.
    pub fn args(&self) -> &'a [Var<'t>] {
        self.args
    }

    /// An argument, counted from 0. There is a mistake in its place if there are not so many.
    pub fn arg(&self, slot: usize) -> Var<'t> {
        let none = || self.y.tape().refuse(&self.y.summary(), &format!("there is no argument {slot}"));
        self.args.get(slot).copied().unwrap_or_else(none)
    }

    /// The value.
    pub fn value(&self) -> Var<'t> {
        self.y
    }

    /// The op itself with `x` in the place of the argument that varies.
    pub fn with(&self, x: Var<'t>) -> Var<'t> {
        let args: Vec<_> =
            (0..).zip(self.args).map(|(i, &arg)| if i == self.slot { x } else { arg }).collect();
        self.apply(&args)
    }

    /// The op itself of other arguments.
    pub fn apply(&self, args: &[Var<'t>]) -> Var<'t> {
        self.y.tape().apply(self.op, args)
    }
}

/// A linear map, written in tape language.
pub(crate) type Map = for<'a, 't> fn(&At<'a, 't>, Var<'t>) -> Var<'t>;

/// How an op varies with one of its arguments.
#[derive(Clone, Copy)]
pub(crate) enum Rule {
    /// It is linear; here is the adjoint `Ȳ ↦ X̄`.
    Linear(Map),
    /// It is not; here is the Fréchet derivative `ε ↦ D f(X)[ε]`.
    Frechet(Map),
    /// It does not vary with it: `D[ε] = 0`.
    Constant,
}

/// The rules of an op, one for each argument.
pub(crate) fn rules(op: Op) -> &'static [Rule] {
    match op {
        Op::Input(_)
        | Op::Symbol(_)
        | Op::Scalar(_)
        | Op::Identity
        | Op::Zeros
        | Op::Ones
        | Op::Selection(_)
        | Op::Triangle { .. } => &[],
        Op::Add => &algebra::ADD,
        Op::Scale(_) => &algebra::SCALE,
        Op::ScaleBy => &algebra::SCALE_BY,
        Op::MatMul => &algebra::MATMUL,
        Op::Transpose => &algebra::TRANSPOSE,
        Op::Reshape(_) => &algebra::RESHAPE,
        Op::Hadamard => &algebra::HADAMARD,
        Op::Quotient => &algebra::QUOTIENT,
        Op::Trace => &reductions::TRACE,
        Op::Diagonal => &reductions::DIAGONAL,
        Op::Diag => &reductions::DIAG,
        Op::Inner => &reductions::INNER,
        Op::Norm => &reductions::NORM,
        Op::LogSumExp => &reductions::LOG_SUM_EXP,
        Op::Softmax => &reductions::SOFTMAX,
        Op::ColMax => &reductions::COL_MAX,
        Op::ColArgmax => &reductions::COL_ARGMAX,
        Op::Map(f) => elementwise::map(f),
        Op::Zip(f) => elementwise::zip(f),
        Op::Inverse => &solves::INVERSE,
        Op::Solve => &solves::SOLVE,
        Op::LeastSquares => &solves::LEAST_SQUARES,
        Op::TriangularSolve { .. } => &solves::TRIANGULAR_SOLVE,
        Op::Cholesky => &solves::CHOLESKY,
        Op::Factor(factor) => factors::factor(factor),
        Op::Spectral(spectral) => factors::spectral(spectral),
        Op::Sylvester => &equations::SYLVESTER,
        Op::Stein => &equations::STEIN,
        Op::SquareRoot => &equations::SQUARE_ROOT,
        Op::MatrixSign => &equations::MATRIX_SIGN,
        Op::SymmetricFunction { .. } => &spectrum::SYMMETRIC_FUNCTION,
        Op::StopGradient => &spectrum::STOP_GRADIENT,
        Op::Det => &solves::DET,
        Op::Adjugate => &solves::ADJUGATE,
        Op::LogDet => &solves::LOG_DET,
        Op::MatrixFunction { .. } => &functions::MATRIX_FUNCTION,
        Op::ExpAction => &functions::EXP_ACTION,
        Op::Opaque { .. } => &opaque::OPAQUE,
        Op::Custom(_) => &[custom::CUSTOM, custom::CUSTOM_LINEAR],
    }
}

/// The rule for argument `slot`.
pub(crate) fn rule(op: Op, slot: usize) -> Option<Rule> {
    let rules = rules(op);
    let slot = match op {
        // One rule for all columns, and one for all directions.
        Op::SymmetricFunction { columns, .. } if slot > columns as usize => 2,
        Op::SymmetricFunction { .. } => slot.min(1),
        Op::Custom(_) => usize::from(op.slot(slot) == Slot::Multilinear),
        _ => slot,
    };
    rules.get(slot).or(rules.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullback_tape::{Function, Tape};

    /// Every op that takes arguments has a rule for each, of the kind that the tape's algebra relies on.
    #[test]
    fn every_op_has_its_rules() {
        let tape = Tape::new();
        let name = match tape.input("X", (2, 2)).node().unwrap().op {
            Op::Input(name) => name,
            op => panic!("{op:?}"),
        };
        let mut ops = Op::all(name);
        ops.extend(Function::all().map(Op::Map));
        for op in ops {
            assert_eq!(rules(op).is_empty(), op.arity() == 0, "{op:?}");
            for slot in 0..op.arity() {
                let rule = rule(op, slot).unwrap_or_else(|| panic!("{op:?} has no rule for argument {slot}"));
                let linear = matches!(rule, Rule::Linear(_));
                assert_eq!(linear, op.slot(slot) != Slot::Nonlinear, "{op:?}, argument {slot}");
            }
        }
    }
}
