//! What equals what: identities of matrix algebra, used to make expressions cheaper.
//!
//! A chain of products is opened into its factors and put together again in the order that costs least (`chain`);
//! determinants and inverses of products are taken apart (`identities`); sums of constants and variables are multiplied
//! out if that is allowed (`distribute`). All of it goes from tape to tape.

mod chain;
mod cost;
mod distribute;
mod identities;
mod page;

use crate::Error;
use page::Page;
use pullback_tape::Var;

/// Which identities [`optimize_with`] may use besides those that change the value by rounding only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Rewrites {
    /// Whether inner products of sums are multiplied out where that moves work to constants.
    pub distribute: bool,
}

impl Rewrites {
    /// The defaults.
    pub fn new() -> Self {
        Rewrites::default()
    }

    /// Allows to multiply out inner products of sums where that moves work to [constants](pullback_tape::Tape::constant):
    /// `‖W X − Y‖² = ⟨W (X Xᵀ), W⟩ − 2 ⟨W, Y Xᵀ⟩ + ‖Y‖²` with constant X and Y costs the same for every number of
    /// samples.
    ///
    /// The terms are as large as `‖Y‖²` even where their sum is small, so that the value has an error of a few rounding
    /// errors of `‖Y‖²` instead of `‖W X − Y‖²`, and may even come out negative; its gradient has an error relative to
    /// `‖W X Xᵀ‖ + ‖Y Xᵀ‖`. As with the normal equations of least squares, the condition number of X enters squared
    /// (Björck, *Numerical Methods for Least Squares Problems*, 1996, §2.2).
    pub fn distribute(mut self, allowed: bool) -> Self {
        self.distribute = allowed;
        self
    }
}

/// Each round can open the way for another: what was a sum is now a product.
const ROUNDS: usize = 8;

/// The same expressions at the smallest cost of their values and of the gradients in `wrt` together.
///
/// Before differentiating, give the loss and the variables: the sweep pays for every product once more for each side that
/// depends on one. Afterwards, give all that is to be computed, and no variables.
///
/// - **Order of products.** `(A B) C = A (B C)`: a chain of products is put in the order in which the sum over its
///   products of `2mkn · (1 + [left varies] + [right varies])` is smallest, by dynamic programming over its intervals
///   (Godbole, *On Efficient Computation of Matrix Chain Products*, 1973, with the sweep's weights).
/// - **Traces and inner products.** `tr(A B) = ⟨Aᵀ, B⟩` takes 2mn operations, and the trace of a longer product is cut where
///   that is cheapest around the circle; so is `⟨A B, C D⟩ = tr(Bᵀ Aᵀ C D)`. `diag(A B) = (A ∘ Bᵀ) 𝟏` likewise.
/// - **Symmetry.** `X Xᵀ` and `X S Xᵀ` take half the multiplications, and their two sides are computed once.
/// - **Inverses.** `A⁻¹ B` is a solve, whatever stands around it; `A A⁻¹ = I`; `(A B)⁻¹ = B⁻¹ A⁻¹`,
///   `log |det A B| = log |det A| + log |det B|` and `det A B = det A det B` for square A and B;
///   `log |det A⁻¹| = −log |det A|`.
/// - **Sums.** `(u vᵀ + A⁻¹) X = u (vᵀ X) + A⁻¹ X` where that is cheaper: a sum of products of low rank is never multiplied out
///   only to be multiplied again.
/// - **Shared products.** A part of a chain that is computed for something else anyway costs nothing: `(R X) S = R (X S)`
///   where `X S` is there already, and `⟨C, Aᵀ A⟩ = ⟨A C, A⟩` where the gradient `2 A C` is computed beside it.
/// - **Constants.** What depends on constants alone costs nothing, as it is computed once.
///
/// A chain ends where a value is used elsewhere, named or asked for, so that nothing that is shared is computed
/// twice. What cannot be improved stays as it is. Values change by rounding only.
///
/// Chains of more than 300 factors, and traces of more than 150, keep their order; time is otherwise linear in the
/// number of nodes, and cubic in the length of a chain.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::{gradient, optimize};
/// let tape = Tape::new();
/// let (w, x) = (tape.input("W", (10, 64)), tape.input("X", (64, 500)));
/// let u = tape.input("u", (500, 1));
/// // W X is 10×500; X u is a vector.
/// let loss = (w * x * u).norm_squared();
/// let cheap = optimize(&[loss], &[w])?[0];
/// assert!(!cheap.same(loss));
/// assert_eq!(cheap.to_string(), loss.to_string());
/// // The trace of a product needs no product.
/// let trace = (x * x.t()).trace();
/// assert_eq!(optimize(&[trace], &[])?[0].to_string(), "‖X‖²");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// A mistake recorded in one of the expressions.
pub fn optimize<'t>(outputs: &[Var<'t>], wrt: &[Var<'t>]) -> Result<Vec<Var<'t>>, Error> {
    optimize_with(outputs, wrt, Rewrites::new())
}

/// [`optimize`], and what else is allowed.
///
/// # Errors
/// A mistake recorded in one of the expressions.
pub fn optimize_with<'t>(
    outputs: &[Var<'t>],
    wrt: &[Var<'t>],
    rewrites: Rewrites,
) -> Result<Vec<Var<'t>>, Error> {
    let mut current =
        if rewrites.distribute { distribute::distributed(outputs, wrt)? } else { outputs.to_vec() };
    for _ in 0..ROUNDS {
        let Some(page) = Page::new(&current, wrt)? else { break };
        let next = page.rewritten(&current)?;
        let unchanged = next.iter().zip(&current).all(|(new, old)| new.same(*old));
        current = next;
        if unchanged {
            break;
        }
    }
    Ok(current)
}
