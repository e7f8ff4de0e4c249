//! Functions of symmetric matrices by their eigenvalues, and what is held in them.

use super::Rule::{self, Constant, Frechet, Linear};
use crate::calculus::jvp;
use pullback_tape::{Op, Var};

/// A value that is held.
pub(super) const STOP_GRADIENT: [Rule; 1] = [Constant];

/// So many derivatives of f beyond those in the formula make divided differences accurate where eigenvalues are close.
const MORE: u32 = 4;

/// `f(A)` of a symmetric A, and its derivatives: in A `Dᵏf(A)[E, …]` has the derivative `Dᵏ⁺¹f(A)[E, …, ε]`, by definition. The
/// columns hold f and its derivatives at the eigenvalues, whose variation is part of that. As A is symmetric, each direction
/// changes places with the cotangent under a transpose of the other directions, as in a power series.
/// [H §3.2; Bhatia, *Matrix Analysis* (1997), §V.3]
pub(super) const SYMMETRIC_FUNCTION: [Rule; 3] = [
    Frechet(|at, e| {
        let Op::SymmetricFunction { order, columns } = at.op else { return e };
        let (mut args, directions) = match at.args.split_at_checked(1 + columns as usize) {
            Some((columns, directions)) => (columns.to_vec(), directions),
            None => return e,
        };
        let wanted = order + 1 + MORE;
        for _ in columns..wanted {
            let last = args.last().copied().unwrap_or(at.a);
            args.push(derivative(last, at.a.eigenvalues().stop_gradient()));
        }
        args.extend(directions);
        args.push(e);
        let op = Op::SymmetricFunction { order: order + 1, columns: wanted.max(columns) };
        at.y.tape().apply(op, &args)
    }),
    Constant,
    Linear(|at, y_bar| {
        let Op::SymmetricFunction { columns, .. } = at.op else { return y_bar };
        let mut args = at.args.to_vec();
        args.iter_mut().skip(1 + columns as usize).for_each(|direction| *direction = direction.t());
        if let Some(arg) = args.get_mut(at.slot) {
            *arg = y_bar;
        }
        at.y.tape().apply(at.op, &args)
    }),
];

/// The derivative of an elementwise function of a column, by the rules for elementwise functions.
fn derivative<'t>(y: Var<'t>, x: Var<'t>) -> Var<'t> {
    // A mistake on the way is one in the result: no op takes no arguments.
    let mistaken = |_| y.tape().apply(Op::Add, &[]);
    jvp(y, &[(x, y.tape().ones(x.shape()))]).unwrap_or_else(mistaken)
}
