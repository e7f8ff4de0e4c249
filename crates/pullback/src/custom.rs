//! Operations of one's own.

use faer::dyn_stack::{MemStack, StackReq};
use faer::{MatMut, MatRef};
use pullback_engine::CustomKernel;
use pullback_rules::Variation;
use pullback_tape::{Custom, Shape, Structure, Tape, Var};
use std::fmt;
use std::sync::Arc;

pub use pullback_rules::At;
pub use pullback_tape::Argument;

/// An operation of one's own, in one place: what it is, how it varies, how it runs.
///
/// How it varies is said as in the rule book, argument by argument. Where the operation is [linear](Argument::Linear), by its
/// [adjoint](Self::adjoint); elsewhere by its Fréchet [derivative](Self::derivative), an expression in `ε`. Gradients,
/// directional derivatives and those of any order follow. Both may use other operations, and this one.
///
/// ```
/// use pullback::custom::{Argument, At, CustomOp, Operation};
/// use pullback::faer::{MatMut, MatRef, mat};
/// use pullback::prelude::*;
/// use pullback::faer::dyn_stack::MemStack;
///
/// /// `x eˣ`, entry by entry: Lambert's W backwards.
/// struct XExp;
///
/// impl CustomOp for XExp {
///     fn name(&self) -> &str {
///         "xexp"
///     }
///
///     fn arguments(&self) -> &[Argument] {
///         &[Argument::Nonlinear]
///     }
///
///     fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
///         Ok(args[0])
///     }
///
///     // D[ε] = (X eˣ + eˣ) ∘ ε
///     fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
///         (at.value() + at.arg(0).exp()).hadamard(e)
///     }
///
///     fn run_f64(&self, args: &[MatRef<'_, f64>], mut out: MatMut<'_, f64>, _: &mut MemStack) -> Result<(), String> {
///         let x = args[0];
///         for j in 0..x.ncols() {
///             for i in 0..x.nrows() {
///                 out[(i, j)] = x[(i, j)] * x[(i, j)].exp();
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let xexp = Operation::new(XExp);
/// let tape = Tape::new();
/// let x = tape.input("x", (2, 1));
/// let loss = xexp.apply([x]).norm_squared();
/// assert_eq!(gradient(loss, &[x])?[0].to_string(), "2 (xexp(x) + exp(x)) ∘ xexp(x)");
/// let at = mat![[0.5], [-1.0]];
/// for report in check::derivatives(loss, &[x], &[("x", at.as_ref())])? {
///     assert!(report.passes(), "{report}");
/// }
/// # Ok::<(), Error>(())
/// ```
pub trait CustomOp: Send + Sync + 'static {
    /// The name in formulas and messages.
    fn name(&self) -> &str;

    /// How the value depends on each argument: one to sixteen of them.
    fn arguments(&self) -> &[Argument];

    /// The shape of the value, or in words why the arguments do not fit. There are as many shapes as
    /// [arguments](Self::arguments).
    ///
    /// # Errors
    /// Shapes that do not fit: the message becomes that of an [error](crate::errors::TapeError::Shape) with the user's line.
    fn shape(&self, args: &[Shape]) -> Result<Shape, String>;

    /// What is known of a square value from what is known of the arguments; nothing, unless said otherwise. It is believed:
    /// a determinant of what is [definite](Structure::Definite) goes by Cholesky.
    fn structure(&self, args: &[Structure]) -> Structure {
        let _ = args;
        Structure::General
    }

    /// The Fréchet derivative `D[ε]` in the argument [`At::slot`], in which the operation is nonlinear: an expression of the
    /// shape of the value, linear in `e`.
    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        let _ = e;
        missing(at, "derivative")
    }

    /// The adjoint in the argument [`At::slot`], in which the operation is linear: an expression X̄ of the shape of the
    /// argument with `⟨Ȳ, f(ε)⟩ = ⟨X̄, ε⟩` for every `ε`.
    fn adjoint<'t>(&self, at: &At<'_, 't>, y_bar: Var<'t>) -> Var<'t> {
        let _ = y_bar;
        missing(at, "adjoint")
    }

    /// The scratch that a run needs for arguments of these shapes, for either type of numbers: it is reserved once, when a
    /// program is compiled. None, unless said otherwise.
    fn scratch(&self, args: &[Shape]) -> StackReq {
        let _ = args;
        StackReq::EMPTY
    }

    /// Computes the value. `out` has its shape and unspecified contents: every entry has to be written. Arguments may be stored
    /// in any order and with any strides. The same arguments have to give the same bits.
    ///
    /// # Errors
    /// In words, why there is no value. It becomes an [error](crate::errors::EngineError::Custom) with the operation, its
    /// formula and the user's line, as does a panic; the program can be run again.
    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        out: MatMut<'_, f64>,
        stack: &mut MemStack,
    ) -> Result<(), String> {
        let _ = (args, out, stack);
        Err("has no kernel for f64".to_owned())
    }

    /// The same in single precision.
    ///
    /// # Errors
    /// Those of [`run_f64`](Self::run_f64).
    fn run_f32(
        &self,
        args: &[MatRef<'_, f32>],
        out: MatMut<'_, f32>,
        stack: &mut MemStack,
    ) -> Result<(), String> {
        let _ = (args, out, stack);
        Err("has no kernel for f32".to_owned())
    }
}

fn missing<'t>(at: &At<'_, 't>, what: &str) -> Var<'t> {
    let problem = format!("no {what} in argument {} is given", at.slot());
    at.value().tape().refuse(&at.value().summary(), &problem)
}

/// A [`CustomOp`], ready to be applied on any tape. A clone is the same operation.
#[derive(Clone)]
pub struct Operation {
    custom: Arc<Custom>,
    op: Arc<dyn CustomOp>,
}

impl Operation {
    /// The operation.
    pub fn new(op: impl CustomOp) -> Self {
        Operation::numbered(Arc::new(op), Custom::fresh())
    }

    /// The operation with a number of its own: on a tape, equal numbers are the same operation.
    pub(crate) fn numbered(op: Arc<dyn CustomOp>, id: u64) -> Self {
        let (shape, structure) = (op.clone(), op.clone());
        let custom = Custom::new(op.name(), op.arguments(), move |args| shape.shape(args))
            .id(id)
            .structure(move |args| structure.structure(args))
            .with_rules(Box::new(Packed(op.clone())) as Box<dyn Variation>)
            .with_kernel(Box::new(Packed(op.clone())) as Box<dyn CustomKernel>);
        Operation { custom: Arc::new(custom), op }
    }

    /// The operation of these arguments. Equal arguments give one node, as everywhere on a tape.
    ///
    /// # Errors
    /// (deferred) [`TapeError::Shape`](crate::errors::TapeError::Shape) if the shape rule refuses the arguments, or there are
    /// not as many as [`CustomOp::arguments`] says.
    #[track_caller]
    pub fn apply<'t, const N: usize>(&self, args: [Var<'t>; N]) -> Var<'t> {
        const { assert!(N > 0, "an operation has arguments") };
        args[0].tape().custom(&self.custom, &args)
    }

    /// The operation of as many arguments as there are.
    pub(crate) fn apply_all<'t>(&self, tape: &'t Tape, args: &[Var<'t>]) -> Var<'t> {
        tape.custom(&self.custom, args)
    }

    /// What was made an operation.
    pub fn get(&self) -> &dyn CustomOp {
        &*self.op
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.custom.fmt(f)
    }
}

/// What the rule book and the engine find when they open their luggage.
struct Packed(Arc<dyn CustomOp>);

impl Variation for Packed {
    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        self.0.derivative(at, e)
    }

    fn adjoint<'t>(&self, at: &At<'_, 't>, y_bar: Var<'t>) -> Var<'t> {
        self.0.adjoint(at, y_bar)
    }
}

impl CustomKernel for Packed {
    fn scratch(&self, args: &[Shape]) -> StackReq {
        self.0.scratch(args)
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        out: MatMut<'_, f64>,
        stack: &mut MemStack,
    ) -> Result<(), String> {
        self.0.run_f64(args, out, stack)
    }

    fn run_f32(
        &self,
        args: &[MatRef<'_, f32>],
        out: MatMut<'_, f32>,
        stack: &mut MemStack,
    ) -> Result<(), String> {
        self.0.run_f32(args, out, stack)
    }
}
