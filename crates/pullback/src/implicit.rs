//! Values that are defined by an equation: roots, fixed points, minimizers.
//!
//! They are computed by the user's code, in any way, and differentiated by the implicit function theorem: where
//! `F(x, θ) = 0` and `∂F/∂x` is invertible, `∂F/∂x ẋ + D_θF[ε] = 0`. How the solution was found does not matter, and is not
//! traced. (Krantz & Parks, *The Implicit Function Theorem* (2002), §3.3; Blondel et al., *Efficient and Modular Implicit
//! Differentiation*, NeurIPS 2022)

use crate::custom::{Argument, At, CustomOp, Operation};
use crate::{Error, Shape, Structure, Var, gradient, jacobian, jvp, substitute};
use faer::dyn_stack::MemStack;
use faer::{MatMut, MatRef};

/// The solution `x` of `F(x, θ) = 0`, as an operation of the parameters θ.
///
/// `shape` is the shape of x from those of the parameters; `residual` is `F`, written like a loss, with as many entries as x;
/// `solve(θ, x)` writes the solution to `x`, or says why there is none. A fixed point of `g` is a root of `x − g(x, θ)`.
///
/// # Derivative
/// `ẋ = −(∂F/∂x)⁻¹ D_θF(x, θ)[ε]`, by a dense LU factorization of the [Jacobian](jacobian) `∂F/∂x`: O(n³) for n entries of
/// x. Derivatives of any order follow, as `x` on the right side is the solution again.
///
/// ```
/// use pullback::faer::mat;
/// use pullback::prelude::*;
///
/// // x = cos(θ x), by iteration.
/// let fixed = implicit::root(
///     "fix",
///     1,
///     |parameters| Ok(parameters[0]),
///     |x, parameters| x - (parameters[0].hadamard(x)).cos(),
///     |parameters, mut x| {
///         let theta = parameters[0][(0, 0)];
///         x[(0, 0)] = (0..200).fold(0.5, |x: f64, _| (theta * x).cos());
///         Ok(())
///     },
/// );
/// let tape = Tape::new();
/// let theta = tape.input("θ", (1, 1));
/// let x = fixed.apply([theta]);
/// let at = mat![[0.8]];
/// for report in check::derivatives(x, &[theta], &[("θ", at.as_ref())])? {
///     assert!(report.passes(), "{report}");
/// }
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// (when run) What `solve` says; for derivatives, [`Singular`](crate::errors::EngineError::Singular) if `∂F/∂x` is.
pub fn root(
    name: &str,
    parameters: usize,
    shape: impl Fn(&[Shape]) -> Result<Shape, String> + Send + Sync + 'static,
    residual: impl for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t> + Send + Sync + 'static,
    solve: impl Fn(&[MatRef<'_, f64>], MatMut<'_, f64>) -> Result<(), String> + Send + Sync + 'static,
) -> Operation {
    Operation::new(Implicit {
        name: name.to_owned(),
        arguments: vec![Argument::Nonlinear; parameters],
        shape,
        residual,
        solve,
    })
}

/// The minimizer of `L(x, θ)` in x, as an operation of the parameters θ: the [root] of the gradient `∇ₓL`.
///
/// # Derivative
/// `ẋ = −(∇²ₓL)⁻¹ D_θ∇ₓL(x, θ)[ε]`: what is minimized has to be curved at the minimum.
///
/// ```
/// use pullback::faer::linalg::solvers::Solve;
/// use pullback::prelude::*;
///
/// // Ridge regression, solved by the normal equations: how does the solution depend on the penalty?
/// let ridge = implicit::argmin(
///     "ridge",
///     3,
///     |shapes| Ok(Shape::new(shapes[0].cols, 1)),
///     |w, parameters| {
///         let [x, y, penalty] = parameters else { return w };
///         0.5 * (*x * w - *y).norm_squared() + 0.5 * *penalty * w.norm_squared()
///     },
///     |parameters, mut w| {
///         let (x, y, penalty) = (parameters[0], parameters[1], parameters[2][(0, 0)]);
///         let n = x.ncols();
///         let normal = x.transpose() * x + pullback::faer::Mat::<f64>::identity(n, n) * pullback::faer::Scale(penalty);
///         w.copy_from(normal.partial_piv_lu().solve(x.transpose() * y));
///         Ok(())
///     },
/// );
/// let tape = Tape::new();
/// let (x, y) = (tape.input("X", (5, 2)), tape.input("y", (5, 1)));
/// let penalty = tape.input("λ", (1, 1));
/// let w = ridge.apply([x, y, penalty]);
/// let at = [("X", check::random::<f64>(5, 2, 1)), ("y", check::random(5, 1, 2)), ("λ", check::random(1, 1, 3))];
/// let at: Vec<_> = at.iter().map(|(name, m)| (*name, m.as_ref())).collect();
/// for report in check::derivatives(w, &[x, y, penalty], &at)? {
///     assert!(report.passes(), "{report}");
/// }
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Those of [`root`].
pub fn argmin(
    name: &str,
    parameters: usize,
    shape: impl Fn(&[Shape]) -> Result<Shape, String> + Send + Sync + 'static,
    objective: impl for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t> + Send + Sync + 'static,
    solve: impl Fn(&[MatRef<'_, f64>], MatMut<'_, f64>) -> Result<(), String> + Send + Sync + 'static,
) -> Operation {
    /// For tapes of every lifetime, which is not inferred where a closure stands by itself.
    fn every<F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>>(f: F) -> F {
        f
    }
    let stationary = every(move |x, parameters| slope(objective(x, parameters), x));
    root(name, parameters, shape, stationary, solve)
}

/// The gradient, or the mistake that stands in its place.
fn slope<'t>(loss: Var<'t>, x: Var<'t>) -> Var<'t> {
    or_refused(x, gradient(loss, &[x]).map(|gradients| gradients.into_iter().next().unwrap_or(x)))
}

fn or_refused<'t>(at: Var<'t>, result: Result<Var<'t>, impl Into<Error>>) -> Var<'t> {
    result.unwrap_or_else(|error| at.tape().refuse("implicit", &error.into().to_string()))
}

struct Implicit<S, F, R> {
    name: String,
    arguments: Vec<Argument>,
    shape: S,
    residual: F,
    solve: R,
}

impl<S, F, R> Implicit<S, F, R>
where
    F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
{
    /// `−(∂F/∂x)⁻¹ D_θF[ε]`.
    fn varied<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Result<Var<'t>, Error> {
        // Symbols in the place of the solution and the parameter: neither varies with what the other arguments are made of.
        let (tape, y, parameter) = (e.tape(), at.value(), at.arg(at.slot()));
        let (x, shape) = (tape.symbol("x", y.shape()), parameter.shape());
        let free = parameter.structure() == Structure::General || shape.is_scalar();
        let symbol = if free { tape.symbol("θ", shape) } else { tape.symmetric_symbol("θ", shape.rows) };
        let mut parameters = at.args().to_vec();
        if let Some(parameter) = parameters.get_mut(at.slot()) {
            *parameter = symbol;
        }
        let residual = (self.residual)(x, &parameters);
        let placed = |of: Var<'t>| -> Result<Var<'t>, Error> {
            Ok(substitute(substitute(of, symbol, parameter)?, x, y)?)
        };
        let slope = placed(jacobian(residual, x)?)?;
        let change = placed(jvp(residual, &[(symbol, e)])?)?;
        Ok(-slope.solve(change.vec()).reshape(y.shape()))
    }
}

impl<S, F, R> CustomOp for Implicit<S, F, R>
where
    S: Fn(&[Shape]) -> Result<Shape, String> + Send + Sync + 'static,
    F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t> + Send + Sync + 'static,
    R: Fn(&[MatRef<'_, f64>], MatMut<'_, f64>) -> Result<(), String> + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        (self.shape)(args)
    }

    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        or_refused(e, self.varied(at, e))
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        out: MatMut<'_, f64>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        (self.solve)(args, out)
    }
}
