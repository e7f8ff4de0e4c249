use crate::{Error, Options, Outputs, Program, Rewrites, Scalar, Var, gradient, optimize, optimize_with};
use faer::{Mat, MatRef};

/// Compiles, binds and runs: the values of some expressions, for a first try. To evaluate the same expressions
/// again, keep a [`Program`].
///
/// ```
/// use pullback::prelude::*;
/// let tape = Tape::new();
/// let a = tape.input("A", (2, 2));
/// let values = evaluate(&[a.inv()], &[("A", pullback::faer::mat![[2.0, 0.0], [0.0, 4.0]].as_ref())])?;
/// assert_eq!(values[0], pullback::faer::mat![[0.5, 0.0], [0.0, 0.25]]);
/// # Ok::<(), pullback::Error>(())
/// ```
///
/// # Errors
/// Those of [`Program::compile`] and [`Program::run`].
pub fn evaluate<T: Scalar>(
    outputs: &[Var<'_>],
    inputs: &[(&str, MatRef<'_, T>)],
) -> Result<Vec<Mat<T>>, Error> {
    let mut program = Program::compile(outputs)?;
    let run = run_once(&mut program, inputs)?;
    Ok(run.iter().map(|matrix| matrix.to_owned()).collect())
}

/// A program for a loss and its gradients in `wrt`, planned as a whole: output 0 is the loss, and the gradients follow.
///
/// The loss is [optimized](optimize) for itself and its gradients, differentiated, and what comes out is optimized
/// once more.
///
/// ```
/// use pullback::prelude::*;
/// use pullback::faer::Mat;
/// let tape = Tape::new();
/// let (a, b) = (tape.input("A", (50, 60)), tape.input("B", (60, 50)));
/// // tr(A B) = ⟨Aᵀ, B⟩ needs no product, and its gradients are Bᵀ and Aᵀ.
/// let mut program = pullback::compile::<f64>((a * b).trace(), &[a, b])?;
/// assert_eq!(program.product_flops(), 0);
/// let (a, b) = (Mat::full(50, 60, 1.0), Mat::full(60, 50, 2.0));
/// let run = program.run(&[("A", a.as_ref()), ("B", b.as_ref())])?;
/// assert_eq!((run.scalar(0), run.get(1)), (Some(6000.0), Some(b.transpose())));
/// # Ok::<(), pullback::Error>(())
/// ```
///
/// # Errors
/// Those of [`optimize`], [`gradient`] and [`Program::compile`].
pub fn compile<T: Scalar>(loss: Var<'_>, wrt: &[Var<'_>]) -> Result<Program<T>, Error> {
    compile_with(loss, wrt, Rewrites::new(), Options::new())
}

/// [`compile`], with more identities allowed and other options of the program.
///
/// # Errors
/// Those of [`compile`].
pub fn compile_with<T: Scalar>(
    loss: Var<'_>,
    wrt: &[Var<'_>],
    rewrites: Rewrites,
    options: Options,
) -> Result<Program<T>, Error> {
    let loss = first(optimize_with(&[loss], wrt, rewrites)?, loss);
    let mut outputs = vec![loss];
    outputs.extend(gradient(loss, wrt)?);
    Ok(Program::compile_with(&optimize(&outputs, &[])?, options)?)
}

fn first<'t>(vars: Vec<Var<'t>>, otherwise: Var<'t>) -> Var<'t> {
    vars.into_iter().next().unwrap_or(otherwise)
}

/// The value of a loss and its gradients in `wrt`, in one call, at the smallest cost.
///
/// ```
/// use pullback::prelude::*;
/// let tape = Tape::new();
/// let x = tape.input("x", (2, 1));
/// let at = pullback::faer::mat![[3.0], [4.0]];
/// let (value, grads) = value_and_gradients(x.norm_squared(), &[x], &[("x", at.as_ref())])?;
/// assert_eq!((value, &grads[0]), (25.0, &pullback::faer::mat![[6.0], [8.0]]));
/// # Ok::<(), pullback::Error>(())
/// ```
///
/// # Errors
/// Those of [`compile`] and [`Program::run`].
pub fn value_and_gradients<T: Scalar>(
    loss: Var<'_>,
    wrt: &[Var<'_>],
    inputs: &[(&str, MatRef<'_, T>)],
) -> Result<(T, Vec<Mat<T>>), Error> {
    let mut program = compile(loss, wrt)?;
    let run = run_once(&mut program, inputs)?;
    let gradients = run.iter().skip(1).map(|gradient| gradient.to_owned()).collect();
    Ok((run.scalar(0).unwrap_or_default(), gradients))
}

/// Whether an input is to be bound before the first run.
pub(crate) fn is_constant<T: Scalar>(program: &Program<T>, name: &str) -> bool {
    program.constants().any(|(constant, _)| constant == name)
}

/// Binds the constants among some matrices, and runs on the others.
pub(crate) fn run_once<'p, T: Scalar>(
    program: &'p mut Program<T>,
    inputs: &[(&str, MatRef<'_, T>)],
) -> Result<Outputs<'p, T>, Error> {
    let (constants, others): (Vec<_>, Vec<_>) =
        inputs.iter().copied().partition(|(name, _)| is_constant(program, name));
    if !constants.is_empty() {
        program.bind(&constants)?;
    }
    Ok(program.run(&others)?)
}
