use crate::{Error, jvp, substitute};
use pullback_tape::Var;
use std::fmt;

/// The steps that lead from a loss to its gradient, as a person would write them.
///
/// `Display` prints them, in Unicode or, with `{:#}`, in LaTeX.
#[derive(Clone, Copy, Debug)]
pub struct Derivation<'t> {
    /// The loss.
    pub loss: Var<'t>,
    /// The variable.
    pub variable: Var<'t>,
    /// The loss at `variable + ε`.
    pub perturbed: Var<'t>,
    /// The Fréchet derivative along `ε`: the loss linearized.
    pub linear: Var<'t>,
    /// The linear term with the adjoint applied: `⟨gradient, ε⟩`.
    pub adjoint: Var<'t>,
    /// What stands beside `ε`.
    pub gradient: Var<'t>,
    remainder: Var<'t>,
}

/// Derives the gradient of a 1×1 `loss` in `variable` step by step: perturb, expand, move the adjoints
/// across, read off.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::derivation;
/// let tape = Tape::new();
/// let (w2, w1) = (tape.input("W2", (10, 32)), tape.input("W1", (32, 64)));
/// let steps = derivation(tape.function("L", w2 * w1), w1)?;
/// assert_eq!(steps.to_string(), "\
/// L(W2 (W1 + ε))
///   = L(W2 W1) + ⟨∇L(W2 W1), W2 ε⟩ + o(‖ε‖)
///   = L(W2 W1) + ⟨W2ᵀ ∇L(W2 W1), ε⟩ + o(‖ε‖)
/// ∇W1 = W2ᵀ ∇L(W2 W1)");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// Those of [`gradient`](crate::gradient).
pub fn derivation<'t>(loss: Var<'t>, variable: Var<'t>) -> Result<Derivation<'t>, Error> {
    let gradient = crate::gradient(loss, &[variable])?.into_iter().next();
    let tape = loss.tape();
    let e = tape.symbol("ε", variable.check()?.shape());
    let linear = jvp(loss, &[(variable, e)])?;
    let gradient = gradient.unwrap_or_else(|| tape.zeros(variable.shape()));
    Ok(Derivation {
        loss,
        variable,
        perturbed: substitute(loss, variable, variable + e)?,
        linear,
        adjoint: gradient.inner(e),
        gradient,
        remainder: tape.function("o", e.norm()),
    })
}

impl fmt::Display for Derivation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variable = self.variable.summary();
        let expanded = self.loss + self.linear + self.remainder;
        let moved = self.loss + self.adjoint + self.remainder;
        if f.alternate() {
            writeln!(f, "{:#} &= {expanded:#} \\\\", self.perturbed)?;
            if !moved.same(expanded) {
                writeln!(f, "  &= {moved:#} \\\\")?;
            }
            return write!(f, "\\nabla_{{{:#}}} &= {:#}", self.variable, self.gradient);
        }
        writeln!(f, "{}", self.perturbed)?;
        writeln!(f, "  = {}", indented(expanded))?;
        // Some derivatives, like that of log det, are an inner product with ε from the start.
        if !moved.same(expanded) {
            writeln!(f, "  = {}", indented(moved))?;
        }
        write!(f, "∇{variable} = {}", self.gradient)
    }
}

/// A formula whose further lines are moved to the right, below its first.
fn indented(var: Var<'_>) -> String {
    var.to_string().replace('\n', "\n    ")
}
