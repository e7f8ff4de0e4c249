//! An operation of one's own has derivatives of every order from what it says of itself.

use crate::{Case, Domain, SHAPES};
use pullback::custom::{Argument, At, CustomOp, Operation};
use pullback::faer::dyn_stack::MemStack;
use pullback::faer::linalg::matmul::matmul;
use pullback::faer::{Accum, Mat, MatMut, MatRef, Par};
use pullback::prelude::*;
use pullback::{Scalar, Var};
use std::sync::LazyLock;

/// `sin(A) B`, not linear in A and linear in B.
struct Wave;

fn wave<T: Scalar>(args: &[MatRef<'_, T>], out: MatMut<'_, T>, sin: fn(T) -> T) -> Result<(), String> {
    let &[a, b] = args else { return Err(format!("{} arguments", args.len())) };
    let waves = Mat::from_fn(a.nrows(), a.ncols(), |i, j| sin(a[(i, j)]));
    matmul(out, Accum::Replace, waves.as_ref(), b, T::from_f64(1.0), Par::Seq);
    Ok(())
}

impl CustomOp for Wave {
    fn name(&self) -> &str {
        "wave"
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Nonlinear, Argument::Linear]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        if args[0].cols == args[1].rows {
            return Ok(Shape::new(args[0].rows, args[1].cols));
        }
        Err(format!("{} and {} do not conform", args[0], args[1]))
    }

    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        at.arg(0).cos().hadamard(e) * at.arg(1)
    }

    fn adjoint<'t>(&self, at: &At<'_, 't>, y_bar: Var<'t>) -> Var<'t> {
        at.arg(0).sin().t() * y_bar
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        out: MatMut<'_, f64>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        wave(args, out, f64::sin)
    }

    fn run_f32(
        &self,
        args: &[MatRef<'_, f32>],
        out: MatMut<'_, f32>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        wave(args, out, f32::sin)
    }
}

static WAVE: LazyLock<Operation> = LazyLock::new(|| Operation::new(Wave));

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "operation of one's own",
        domain: Domain::Any,
        shapes: SHAPES,
        build: |t, (m, k, n)| {
            let (a, b) = (t.input("A", (m, k)), t.input("B", (k, n)));
            (WAVE.apply([a, b]), vec![a, b])
        },
    },
    Case {
        name: "operation of one's own, twice the same argument",
        domain: Domain::Any,
        shapes: &[(3, 3, 3), (1, 1, 1), (0, 0, 0)],
        build: |t, (m, _, _)| {
            let a = t.input("A", (m, m));
            (WAVE.apply([a, WAVE.apply([a, a.t()])]), vec![a])
        },
    },
];
