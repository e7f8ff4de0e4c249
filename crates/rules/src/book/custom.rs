//! Operations of the user's own, which bring their rules along.

use super::At;
use super::Rule::{self, Frechet, Linear};
use pullback_tape::{Op, Var};

/// How an operation of one's own varies. Most users want `pullback::CustomOp`, of which this is a part.
///
/// It is the luggage of [`Custom::with_rules`](pullback_tape::Custom::with_rules), as a `Box<dyn Variation>`.
pub trait Variation: Send + Sync {
    /// The Fréchet derivative `D[ε]` in the argument [`At::slot`], in which the operation is not linear: an expression of the
    /// shape of the value, linear in `ε`.
    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t>;

    /// The adjoint `X̄` of the operation in the argument [`At::slot`], in which it is linear: an expression of the shape of
    /// this argument, with `⟨Ȳ, f(ε)⟩ = ⟨X̄, ε⟩` for every `ε`.
    fn adjoint<'t>(&self, at: &At<'_, 't>, y_bar: Var<'t>) -> Var<'t>;
}

/// By the definitions of what the user brings along.
pub(super) const CUSTOM: Rule = Frechet(|at, e| {
    let y_dot = brought(at, |rules| rules.derivative(at, e));
    fitting(at, "derivative", y_dot, at.y)
});

/// The same of an argument in which it is linear.
pub(super) const CUSTOM_LINEAR: Rule = Linear(|at, y_bar| {
    let x_bar = brought(at, |rules| rules.adjoint(at, y_bar));
    fitting(at, "adjoint", x_bar, at.arg(at.slot))
});

fn brought<'t>(at: &At<'_, 't>, apply: impl FnOnce(&dyn Variation) -> Var<'t>) -> Var<'t> {
    let tape = at.y.tape();
    let Op::Custom(op) = at.op else { return at.y };
    let Some(custom) = tape.custom_of(op) else { return at.y };
    match custom.rules().downcast_ref::<Box<dyn Variation>>() {
        Some(rules) => apply(&**rules),
        None => tape.refuse(custom.name(), "says nothing of how it varies"),
    }
}

/// `x` itself, if it has the shape of what it belongs to.
fn fitting<'t>(at: &At<'_, 't>, what: &str, x: Var<'t>, like: Var<'t>) -> Var<'t> {
    if x.check().is_err() || x.shape() == like.shape() {
        return x;
    }
    let problem =
        format!("its {what} in argument {} is {}, and has to be {}", at.slot, x.shape(), like.shape());
    at.y.tape().refuse(&at.y.summary(), &problem)
}
