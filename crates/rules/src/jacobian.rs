//! Dense matrices of derivatives, for small problems.

use crate::book::At;
use crate::book::columns::{of_columns, transposed};
use crate::calculus::{Region, check_seed, not_linear};
use crate::{Error, gradient, jvp, vjp};
use pullback_tape::{Op, Slot, Structure, Var};

/// The Jacobian `J` of `y` in `x`: `vec(D y(X)[ε]) = J vec(ε)` for every ε, with the entries column by column.
///
/// Its row i belongs to entry i of y, its column j to entry j of x. As an expression it is a formula again: of a column in a
/// column, the one of the textbook. In what is known to be symmetric, the equation holds for every symmetric ε.
///
/// It is computed by columns, or by rows if y has fewer entries than x: the directional derivative in all unit directions at
/// once, in which a product with a column becomes a product with a matrix. Operations for which that is not known
/// (decompositions, matrix equations and functions, opaque functions and those of one's own) are written once for every direction:
/// for a Jacobian with many of them, use [`jvp`] and [`vjp`].
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::jacobian;
/// let tape = Tape::new();
/// let (w, x) = (tape.input("W", (4, 3)), tape.input("x", (3, 1)));
/// assert_eq!(jacobian(w * x, x)?.to_string(), "W");
/// assert_eq!(jacobian((w * x).tanh(), x)?.to_string(), "Diag(𝟏 − tanh(W x)∘²) W");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// A mistake recorded in one of the expressions.
pub fn jacobian<'t>(y: Var<'t>, x: Var<'t>) -> Result<Var<'t>, Error> {
    let (rows, cols) = (entries(y.check()?), entries(x.check()?));
    let tape = y.tape();
    if rows < cols {
        let g = tape.symbol("Ȳ", y.shape());
        let rows = vjp(y, &[x], g)?.into_iter().next().unwrap_or_else(|| tape.zeros(x.shape()));
        return Ok(columns(rows, g)?.t().check()?);
    }
    let e = tape.symbol("ε", x.shape());
    columns(jvp(y, &[(x, e)])?, e).and_then(|j| {
        // A symmetric ε is the mean of itself and its transpose.
        let free = x.structure() == Structure::General || x.shape().is_scalar();
        let mirrored = |j: Var<'t>| transposed(j.t(), x.rows(), x.cols()).t();
        Ok(if free { j } else { 0.5 * (j + mirrored(j)) }.check()?)
    })
}

/// The Hessian of a 1×1 `loss` in `x`, the [Jacobian](jacobian) of its gradient: `vec(H[ε]) = H vec(ε)`.
///
/// Mixed partial derivatives are Jacobians of gradients, too: `jacobian(gradient(loss, &[x])?[0], z)`.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::hessian;
/// let tape = Tape::new();
/// let (x, y) = (tape.input("X", (10, 3)), tape.input("y", (10, 1)));
/// let w = tape.input("w", (3, 1));
/// assert_eq!(hessian(0.5 * (x * w - y).norm_squared(), w)?.to_string(), "Xᵀ X");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// Those of [`gradient`] and [`jacobian`].
pub fn hessian<'t>(loss: Var<'t>, x: Var<'t>) -> Result<Var<'t>, Error> {
    let gradient = gradient(loss, &[x])?.into_iter().next();
    jacobian(gradient.unwrap_or_else(|| x.tape().zeros(x.shape())), x)
}

/// The diagonal of the [Hessian](hessian), in the shape of `x`. A program computes of the products in it no more than their
/// diagonals.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::hessian_diagonal;
/// let tape = Tape::new();
/// let x = tape.input("x", (3, 1));
/// assert_eq!(hessian_diagonal(x.exp().sum(), x)?.to_string(), "exp(x)");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// Those of [`hessian`].
pub fn hessian_diagonal<'t>(loss: Var<'t>, x: Var<'t>) -> Result<Var<'t>, Error> {
    Ok(hessian(loss, x)?.diagonal().reshape(x.shape()).check()?)
}

fn entries(x: Var<'_>) -> usize {
    x.rows() * x.cols()
}

/// The matrix of the linear map `x ↦ y`: its columns are the values in the unit directions.
fn columns<'t>(y: Var<'t>, x: Var<'t>) -> Result<Var<'t>, Error> {
    check_seed("value", x, x)?;
    let (tape, many) = (y.tape(), entries(x));
    let region = Region::new(y, &[x])?;
    let mut images: Vec<Option<Var<'t>>> = vec![None; region.len()];
    for i in region.indices() {
        let Some((node, value)) = region.node(i) else { continue };
        let args = region.args(&node);
        let image = |arg: Var<'t>| region.offset(arg).and_then(|j| images.get(j).copied().flatten());
        let varying: Vec<(usize, Var<'t>)> =
            (0..).zip(&args).filter_map(|(slot, &arg)| Some((slot, image(arg)?))).collect();
        let of = |slot: usize, x: Var<'t>| of_columns(&At::new(node.op, &args, slot, value), x);
        let result = tape.attributed(node.location, || match varying[..] {
            _ if x.same(value) => Some(tape.identity(many)),
            _ if node.op == Op::Add => varying.iter().map(|&(_, image)| image).reduce(|a, b| a + b),
            [(slot, image)] if node.op.slot(slot) == Slot::Multilinear => Some(of(slot, image)),
            _ => None,
        });
        let Some(result) = result else { return Err(not_linear(node.op.name(), value, &[x])) };
        if let Some(slot) = images.get_mut(i - region.start()) {
            *slot = Some(result.check()?);
        }
    }
    let image = region.offset(y).and_then(|j| images.get(j).copied().flatten());
    Ok(image.unwrap_or_else(|| tape.zeros((entries(y), many))))
}
