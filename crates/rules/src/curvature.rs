//! Products with matrices of second derivatives that are never formed.

use crate::{Error, hvp, jvp, vjp};
use pullback_tape::Var;

/// The product `J* M J v` of a metric M on the values of `z`, pulled back to the variables: J is the derivative of `z` in those
/// that have a direction, and `metric` applies M to `ż = J v`.
///
/// With the Fisher information of a likelihood in its parameters z as the metric, this is a product with the Fisher
/// information in the variables: `|z_dot| z_dot / σ²` for a Gaussian with mean z. (Amari, *Natural gradient works efficiently in
/// learning*, Neural Comput. 10 (1998) 251; Schraudolph, *Fast curvature matrix-vector products for second-order gradient descent*,
/// Neural Comput. 14 (2002) 1723)
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::metric_product;
/// let tape = Tape::new();
/// let (x, w, v) = (tape.input("X", (9, 3)), tape.input("w", (3, 1)), tape.input("v", (3, 1)));
/// assert_eq!(metric_product(x * w, &[(w, v)], |z_dot| z_dot)?[0].to_string(), "Xᵀ X v");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// Those of [`jvp`] and [`vjp`].
pub fn metric_product<'t>(
    z: Var<'t>,
    directions: &[(Var<'t>, Var<'t>)],
    metric: impl FnOnce(Var<'t>) -> Var<'t>,
) -> Result<Vec<Var<'t>>, Error> {
    let xs: Vec<_> = directions.iter().map(|&(x, _)| x).collect();
    vjp(z, &xs, metric(jvp(z, directions)?))
}

/// The product `J* ∇²L(z) J v` with the Gauss–Newton matrix of a loss `L(z)`: the [`hvp`] without the curvature of `z` in the
/// variables. It is positive semidefinite if L is convex, and for the cross-entropy of a softmax of z it is the product with
/// the Fisher information.
///
/// `loss` is an expression in which `z` occurs; what it depends on beside `z` is held.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::gauss_newton;
/// let tape = Tape::new();
/// let (x, w, v) = (tape.input("X", (9, 3)), tape.input("w", (3, 1)), tape.input("v", (3, 1)));
/// let z = (x * w).tanh().named("z");
/// assert_eq!(
///     gauss_newton(0.5 * z.norm_squared(), z, &[(w, v)])?[0].to_string(),
///     "Xᵀ ((𝟏 − z∘²) ∘ (𝟏 − z∘²) ∘ (X v)) where z = tanh(X w)",
/// );
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// Those of [`hvp`], [`jvp`] and [`vjp`].
pub fn gauss_newton<'t>(
    loss: Var<'t>,
    z: Var<'t>,
    directions: &[(Var<'t>, Var<'t>)],
) -> Result<Vec<Var<'t>>, Error> {
    let xs: Vec<_> = directions.iter().map(|&(x, _)| x).collect();
    let curved = hvp(loss, &[(z, jvp(z, directions)?)])?;
    vjp(z, &xs, curved.into_iter().next().unwrap_or(z))
}
