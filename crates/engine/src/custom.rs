//! What the user's code computes: the kernels of operations of one's own, and what happens if they fail.

use crate::{Error, Scalar};
use faer::dyn_stack::{MemStack, StackReq};
use faer::{MatMut, MatRef};
use pullback_tape::{Graph, NodeId, Op, Shape};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How an operation of one's own computes its value. Most users want `pullback::CustomOp`, of which this is a part.
///
/// It is the luggage of [`Custom::with_kernel`](pullback_tape::Custom::with_kernel), as a `Box<dyn CustomKernel>`.
///
/// `out` has the shape that the shape rule gave it, and unspecified contents; every entry has to be written. Arguments may be
/// stored in any order, with any strides. The same arguments have to give the same bits. After an error nobody reads `out`.
pub trait CustomKernel: Send + Sync {
    /// The scratch that is handed to a run, for arguments of these shapes: enough for either type of numbers.
    fn scratch(&self, args: &[Shape]) -> StackReq;

    /// Computes the value.
    ///
    /// # Errors
    /// In words, why there is none.
    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        out: MatMut<'_, f64>,
        stack: &mut MemStack,
    ) -> Result<(), String>;

    /// Computes the value in single precision.
    ///
    /// # Errors
    /// In words, why there is none.
    fn run_f32(
        &self,
        args: &[MatRef<'_, f32>],
        out: MatMut<'_, f32>,
        stack: &mut MemStack,
    ) -> Result<(), String>;
}

/// The kernel of the user's operation `id`, if it is one.
pub(crate) fn kernel(graph: &Graph, id: NodeId) -> Option<&dyn CustomKernel> {
    let Op::Custom(op) = graph.node(id).op else { return None };
    let kernel = graph.custom(op)?.kernel().downcast_ref::<Box<dyn CustomKernel>>()?;
    Some(&**kernel)
}

/// The scratch that a node needs if it is an operation of the user's.
pub(crate) fn scratch(graph: &Graph, id: NodeId, args: &[Shape]) -> StackReq {
    kernel(graph, id).map_or(StackReq::EMPTY, |kernel| kernel.scratch(args))
}

/// Computes the operation `id` of the user's.
pub(crate) fn run<T: Scalar>(
    graph: &Graph,
    id: NodeId,
    args: &[MatRef<'_, T>],
    out: MatMut<'_, T>,
    stack: &mut MemStack,
) -> Result<(), Error> {
    guarded(graph, id, || match kernel(graph, id) {
        Some(kernel) => T::custom(kernel, args, out, stack),
        None => Err("has no kernel".to_owned()),
    })
}

/// What the user's code returns, or the error that tells of its refusal or its panic. The program can run again: what was
/// written is not read.
pub(crate) fn guarded<R>(
    graph: &Graph,
    id: NodeId,
    run: impl FnOnce() -> Result<R, String>,
) -> Result<R, Error> {
    let problem = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(result)) => return Ok(result),
        Ok(Err(problem)) => problem,
        Err(panic) => format!("panicked: {}", said(&*panic)),
    };
    Err(Error::Custom {
        op: graph.head(id),
        formula: graph.summary(id),
        problem,
        location: graph.node(id).location,
    })
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
