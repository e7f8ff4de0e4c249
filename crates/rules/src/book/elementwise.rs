//! Functions of one variable, `D f(X)[ε] = f′(X) ∘ ε`, and of two, each held fixed in turn.

use super::Rule::{self, Constant, Frechet, Linear};
use pullback_tape::{Binary, Function, Op, Var};
use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LN_10};

pub(super) fn map(f: Function) -> &'static [Rule; 1] {
    match f {
        Function::Sign | Function::Step | Function::Inside(..) => &[Constant],
        _ => &MAP,
    }
}

const MAP: [Rule; 1] = [Frechet(|at, e| match at.op {
    Op::Map(f) => derivative(f, at.a, at.y).hadamard(e),
    _ => e,
})];

/// `f′(x)`, from `x` and `y = f(x)`. At a kink it is the subgradient stated in the table of [`Function`].
fn derivative<'t>(f: Function, x: Var<'t>, y: Var<'t>) -> Var<'t> {
    match f {
        Function::Exp => y,
        Function::Ln => x.recip(),
        Function::Ln1p => (1.0 + x).recip(),
        Function::Sqrt => 0.5 * y.pseudo_recip(),
        Function::Square => 2.0 * x,
        Function::Powf(p) => p.value() * x.powf(p.value() - 1.0),
        Function::Recip | Function::PseudoRecip => -y.square(),
        Function::Abs => x.sign(),
        Function::Tanh => 1.0 - y.square(),
        Function::Sigmoid => y - y.square(),
        Function::Softplus => x.sigmoid(),
        Function::Sin => x.cos(),
        Function::Cos => -x.sin(),
        Function::Relu => x.step(),
        Function::Clamp(low, high) => x.inside(low.value(), high.value()),
        Function::LogCosh => x.tanh(),
        Function::ExpM1 => x.exp(),
        Function::Log2 => x.recip() / LN_2,
        Function::Log10 => x.recip() / LN_10,
        Function::Cbrt => y.square().pseudo_recip() / 3.0,
        Function::Tan => 1.0 + y.square(),
        Function::Asin => (1.0 - x.square()).sqrt().pseudo_recip(),
        Function::Acos => -(1.0 - x.square()).sqrt().pseudo_recip(),
        Function::Atan => (1.0 + x.square()).recip(),
        Function::Sinh => x.cosh(),
        Function::Cosh => x.sinh(),
        Function::Asinh => (x.square() + 1.0).sqrt().recip(),
        Function::Acosh => (x.square() - 1.0).sqrt().pseudo_recip(),
        Function::Atanh => (1.0 - x.square()).recip(),
        Function::Erf => FRAC_2_SQRT_PI * (-x.square()).exp(),
        Function::Erfc => -FRAC_2_SQRT_PI * (-x.square()).exp(),
        Function::LnGamma => x.digamma(),
        Function::Polygamma(n) => x.polygamma(n.saturating_add(1)),
        Function::Sign | Function::Step | Function::Inside(..) => x.tape().zeros(x.shape()),
    }
}

pub(super) fn zip(f: Binary) -> &'static [Rule; 2] {
    match f {
        Binary::Max => &MAX,
        Binary::Min => &MIN,
        Binary::Atan2 => &ATAN2,
        Binary::Hypot => &HYPOT,
        Binary::Less => &LESS,
        Binary::Keep => &KEEP,
    }
}

/// `max(A, B)`: `D[ε] = ε` where this is the larger one, else 0. What is equal counts for A: a subgradient.
const MAX: [Rule; 2] =
    [Frechet(|at, e| (1.0 - at.a.less(at.b)).hadamard(e)), Frechet(|at, e| at.a.less(at.b).hadamard(e))];

/// `min(A, B)`: `D[ε] = ε` where this is the smaller one, else 0. What is equal counts for A: a subgradient of −min.
const MIN: [Rule; 2] =
    [Frechet(|at, e| (1.0 - at.b.less(at.a)).hadamard(e)), Frechet(|at, e| at.b.less(at.a).hadamard(e))];

/// `atan2(A, B)`, the angle of `(B, A)`: `D[ε] = B ∘ ε ⊘ R²` in A and `−A ∘ ε ⊘ R²` in B, `R² = A² + B²`. Where R = 0, 0.
const ATAN2: [Rule; 2] = [
    Frechet(|at, e| at.b.hadamard((at.a.square() + at.b.square()).pseudo_recip()).hadamard(e)),
    Frechet(|at, e| -at.a.hadamard((at.a.square() + at.b.square()).pseudo_recip()).hadamard(e)),
];

/// `Y = hypot(A, B)`: `D[ε] = A ∘ ε ⊘ Y`, and with B, from `Y² = A² + B²`. Where Y = 0, 0: a subgradient.
const HYPOT: [Rule; 2] = [
    Frechet(|at, e| at.a.hadamard(at.y.pseudo_recip()).hadamard(e)),
    Frechet(|at, e| at.b.hadamard(at.y.pseudo_recip()).hadamard(e)),
];

/// `1[A < B]`: `D[ε] = 0`, but for where A and B are equal.
const LESS: [Rule; 2] = [Constant, Constant];

/// `keep(A, M)`: `Ā = keep(Ȳ, M)`, as the same entries count; `D[ε] = 0` in M.
const KEEP: [Rule; 2] = [Linear(|at, y_bar| y_bar.keep(at.b)), Constant];
