use crate::{Error, Program, Scalar, Var, gradient, reassociate};
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
    let run = program.run(inputs)?;
    Ok(run.iter().map(|matrix| matrix.to_owned()).collect())
}

/// The value of a loss and its gradients in `wrt`, in one call, with products in their cheapest order.
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
/// Those of [`reassociate`], [`gradient`], [`Program::compile`] and [`Program::run`].
pub fn value_and_gradients<'t, T: Scalar>(
    loss: Var<'t>,
    wrt: &[Var<'t>],
    inputs: &[(&str, MatRef<'_, T>)],
) -> Result<(T, Vec<Mat<T>>), Error> {
    let loss = reassociate(loss, wrt)?;
    let mut outputs = vec![loss];
    outputs.extend(gradient(loss, wrt)?);
    let mut values = evaluate(&outputs, inputs)?;
    let gradients = values.split_off(1);
    Ok((values.first().map_or_else(T::default, |value| value[(0, 0)]), gradients))
}
