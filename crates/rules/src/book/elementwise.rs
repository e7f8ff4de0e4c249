//! Functions of one variable: `D f(X)[ε] = f′(X) ∘ ε`.

use super::Rule::{self, Frechet};
use pullback_tape::{Function, Op, Var};

pub(super) const MAP: [Rule; 1] = [Frechet(|at, e| match at.op {
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
        Function::Sign | Function::Step | Function::Inside(..) => x.tape().zeros(x.shape()),
    }
}
