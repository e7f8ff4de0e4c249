//! An operation of one's own, in one place: smoothing along a path. `x = (I + Bᵀ Diag(w) B)⁻¹ b`, with differences B between
//! neighbours, is a tridiagonal system, which elimination solves in O(n); a dense solve takes O(n³). What is said of it is its
//! shape, one line for each argument of how it varies, and a kernel. The rest follows: here, learning weights with which a
//! signal is smoothed without losing its edges.
//!
//! ```text
//! cargo run --release --example custom_op
//! ```

use pullback::custom::{Argument, At, CustomOp, Operation};
use pullback::faer::dyn_stack::{MemStack, StackReq};
use pullback::faer::{Mat, MatMut, MatRef};
use pullback::prelude::*;
use pullback_examples::plot::{self, Curve, Panel, Scale};
use std::time::Instant;

struct Smooth;

impl CustomOp for Smooth {
    fn name(&self) -> &str {
        "smooth"
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Nonlinear, Argument::Linear]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        let (w, b) = (args[0], args[1]);
        let fits = w.cols == 1 && b.cols == 1 && w.rows + 1 == b.rows;
        if fits { Ok(b) } else { Err(format!("{w} weights between {b} numbers")) }
    }

    // In w: of A x = b, A ẋ = −Ȧ x with Ȧ = Bᵀ Diag(ε) B.
    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        let (w, x) = (at.arg(0), at.value());
        -at.apply(&[w, differences_t(e.hadamard(differences(x)))])
    }

    // In b: A is symmetric.
    fn adjoint<'t>(&self, at: &At<'_, 't>, y_bar: Var<'t>) -> Var<'t> {
        at.with(y_bar)
    }

    // The pivots.
    fn scratch(&self, args: &[Shape]) -> StackReq {
        StackReq::new::<f64>(args[1].rows)
    }

    // Elimination from the first number to the last, and back.
    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        out: MatMut<'_, f64>,
        stack: &mut MemStack,
    ) -> Result<(), String> {
        let (w, b, n) = (args[0].col(0), args[1].col(0), args[1].nrows());
        if let Some(edge) = (0..n - 1).find(|&i| w[i] < 0.0) {
            return Err(format!("weight {edge} is negative"));
        }
        let (mut pivots, _) = stack.make_with::<f64>(n, |_| 0.0);
        let mut x = out.col_mut(0);
        for i in 0..n {
            let before = if i > 0 { w[i - 1] } else { 0.0 };
            let after = if i + 1 < n { w[i] } else { 0.0 };
            let ratio = if i > 0 { before / pivots[i - 1] } else { 0.0 };
            pivots[i] = 1.0 + before + after - before * ratio;
            x[i] = b[i] + if i > 0 { ratio * x[i - 1] } else { 0.0 };
        }
        for i in (0..n).rev() {
            let after = if i + 1 < n { w[i] * x[i + 1] } else { 0.0 };
            x[i] = (x[i] + after) / pivots[i];
        }
        Ok(())
    }
}

/// `B x`, the differences between neighbours.
fn differences(x: Var<'_>) -> Var<'_> {
    x.slice(1.., ..) - x.slice(..x.rows() - 1, ..)
}

/// `Bᵀ d`.
fn differences_t(d: Var<'_>) -> Var<'_> {
    let nothing = d.tape().zeros((1, 1));
    d.tape().stack_rows(&[nothing, d]) - d.tape().stack_rows(&[d, nothing])
}

/// The same by a dense solve.
fn dense<'t>(w: Var<'t>, b: Var<'t>) -> Var<'t> {
    let (tape, n) = (b.tape(), b.rows());
    let rows = differences(tape.identity(n));
    (tape.identity(n) + rows.t() * w.diag() * rows).solve(b)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let smooth = Operation::new(Smooth);

    // Does it keep its promises? The report reads like a lab notebook.
    let (weights, numbers) = (Mat::full(5, 1, 0.7), check::random::<f64>(6, 1, 1));
    println!("{}", check::operation(&smooth, &[weights.as_ref(), numbers.as_ref()])?);

    // Three steps, seen through noise, and another look at the same steps to learn from.
    let n = 200;
    let tape = Tape::new();
    let (v, b, c) = (tape.input("v", (n - 1, 1)), tape.input("b", (n, 1)), tape.input("c", (n, 1)));
    // Weights are positive, and alike where nothing speaks against it.
    let w = v.exp();
    let objective = 0.5 * (smooth.apply([w, b]) - c).norm_squared() + 0.02 * differences(v).square().sum();
    println!("{objective}\n∇v = {}\n", gradient(objective, &[v])?[0]);

    let steps = |i: usize| [0.0, 2.0, -1.0][3 * i / n];
    let look = |seed| {
        let noise = check::random::<f64>(n, 1, seed);
        Mat::from_fn(n, 1, |i, _| steps(i) + 0.5 * noise[(i, 0)])
    };
    let (at_b, at_c) = (look(1), look(2));
    let mut at_v = Mat::full(n - 1, 1, 1.0);
    let mut program = compile::<f64>(objective, &[v])?;
    let mut history = Vec::new();
    let mut velocity = Mat::<f64>::zeros(n - 1, 1);
    for _ in 0..=600 {
        let run = program.run(&[("v", at_v.as_ref()), ("b", at_b.as_ref()), ("c", at_c.as_ref())])?;
        history.push(run.scalar(0).unwrap_or(f64::NAN));
        let [_, slope] = run.matrices()?;
        velocity = &velocity * pullback::faer::Scale(0.9) - slope * pullback::faer::Scale(0.05);
        at_v += &velocity;
    }

    // Predicted: the gradient of a dense solve, to rounding, at a cost that grows with n and not with n³.
    let by_hand = 0.5 * (dense(w, b) - c).norm_squared() + 0.02 * differences(v).square().sum();
    let bound = [("v", at_v.as_ref()), ("b", at_b.as_ref()), ("c", at_c.as_ref())];
    let mut other = compile::<f64>(by_hand, &[v])?;
    let [_, own] = program.run(&bound)?.matrices()?;
    let [_, full] = other.run(&bound)?.matrices()?;
    let error = (own - full).norm_max() / full.norm_max();
    let time = |program: &mut Program<f64>| -> Result<f64, Error> {
        let start = Instant::now();
        for _ in 0..20 {
            program.run(&bound)?;
        }
        Ok(start.elapsed().as_secs_f64() / 20.0)
    };
    let (fast, slow) = (time(&mut program)?, time(&mut other)?);
    let smoothed = evaluate(&[smooth.apply([w, b])], &bound[..2])?.remove(0);
    let mut smallest: Vec<usize> = (0..n - 1).collect();
    smallest.sort_by(|&i, &j| at_v[(i, 0)].total_cmp(&at_v[(j, 0)]));
    println!("| | predicted | measured |");
    println!("|---|---|---|");
    println!("| gradient, from that of a dense solve | rounding | {:.1e} |", error);
    println!("| the two smallest weights, after entries | 66, 133 | {:?} |", {
        let mut edges = [smallest[0], smallest[1]];
        edges.sort_unstable();
        edges
    });
    println!("| time, over that of a dense solve | below 1 | {:.3} |", fast / slow);

    let points =
        |m: &Mat<f64>| -> Vec<(f64, f64)> { (0..m.nrows()).map(|i| (i as f64, m[(i, 0)])).collect() };
    let panel =
        |title: &str, y_label: &str, curves| Panel { curves, ..Panel::new(title, "position", y_label) };
    let panels = [
        panel(
            "A signal, smoothed without losing its edges",
            "value",
            vec![
                Curve::reference("as seen", points(&at_b)),
                Curve::new("smoothed", points(&smoothed)),
                Curve::new("true", (0..n).map(|i| (i as f64, steps(i)))),
            ],
        ),
        Panel {
            y_scale: Scale::Log,
            ..panel(
                "What was learned",
                "weight",
                vec![Curve::new(
                    "between neighbours",
                    (0..n - 1).map(|i| (i as f64 + 0.5, at_v[(i, 0)].exp())),
                )],
            )
        },
    ];
    std::fs::write("custom_op.svg", plot::svg(&panels))?;
    println!("\ncustom_op.svg shows the signal and the weights");
    Ok(())
}
