//! Random expressions, optimized before and after they are differentiated: the same values, gradients and second
//! derivatives as those that were written, never at a larger cost, and nothing left to improve.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Random, Step, bound, loss, pick, programs, text};
use pullback::faer::Mat;
use pullback::prelude::*;
use pullback::{Rewrites, Structure, optimize_with};
use pullback_tape::Op;
use std::cell::RefCell;
use std::collections::BTreeSet;

const OPS: u8 = 42;

/// Adds an expression to the pool, of moderate size whatever its operands are: mostly products, and what can be said
/// about them.
fn grow<'t>(tape: &'t Tape, pool: &mut Vec<Var<'t>>, (op, first, second): Step) {
    let a = pool[usize::from(first) % pool.len()];
    let Shape { rows, cols } = a.shape();
    let pick = |fits: &dyn Fn(Shape) -> bool| pick(pool, second, fits);
    let like = || pick(&|shape| shape == a.shape()).unwrap_or(a);
    let number = || pick(&Shape::is_scalar).unwrap_or_else(|| a.inner(like()).tanh());
    let after = || pick(&|shape| shape.rows == cols).unwrap_or(a.t());
    let back = || pick(&|shape| shape == Shape::new(cols, rows)).unwrap_or(a.t());
    // Square matrices with a heavy diagonal.
    let regular = |n: usize, x: Var<'t>| x.tanh() + (n as f64 + 1.0) * tape.identity(n);
    let square = |n: usize| pick(&|shape| shape == Shape::new(n, n)).unwrap_or(tape.ones((n, n)));
    let (left, other) = (regular(rows, square(rows)), regular(rows, (a * a.t()).sin()));
    let right = regular(cols, square(cols));
    let symmetric = || pool[2];
    let definite = || pool[3];
    let fits = rows == definite().rows();
    let grown = match op {
        0..=3 => (a * after()) / cols.max(1) as f64,
        4 => a * pick(&|shape| shape.cols == cols).unwrap_or(a).t(),
        5 => 0.5 * (a.t() * pick(&|shape| shape.rows == rows).unwrap_or(a)),
        6 => a + like(),
        7 => 2.0 * a - 0.5 * like(),
        8 => a.t(),
        9 => a.tanh(),
        10 => a.tanh().hadamard(like().sin()),
        11 => number().tanh() * a,
        12 => (a * back()).trace(),
        13 => (a * back() * left).trace() / 7.0,
        14 => a.inner(like()),
        15 => (a * right).inner(left * like()) / 9.0,
        16 => left.solve(a),
        17 => left.inv() * a,
        18 => a * right.inv(),
        19 => a * right.t().inv() * after(),
        20 => left.log_det(),
        21 => (left * other).log_det(),
        22 => (left * other).inv() * a,
        23 => left.inv().log_det() * a,
        24 => (left.inv() + a.row_sums() * tape.ones((1, rows))) * a,
        25 => (left * other).det().square().ln_1p(),
        26 => other.solve(left * other * a),
        27 => a * right * right.inv(),
        28 if fits => a.tanh().t() * definite().inv() * a,
        28 => a.row_sums(),
        29 if fits => a.t() * symmetric() * a,
        29 => a.col_sums(),
        30 => (a.tanh() * a.tanh().t() + tape.identity(rows)).inv() * a,
        31 => (a.tanh() * a.tanh().t() + 0.5 * tape.identity(rows)).log_det(),
        32 => tape.ones((rows, rows)) * a / 3.0,
        33 => (a * after()).sum().tanh(),
        34 if fits && cols == rows => (a * pool[6] - pool[7]).norm_squared() / 50.0,
        34 => (a * right - like()).norm_squared() / 5.0,
        35 if fits => (definite() + a.tanh() * a.tanh().t()).solve(a) + symmetric().inv() * a,
        35 => a * tape.identity(cols) + a,
        37 => tape.selection(&[0, 0], 1).t() * tape.ones((2, 1)) * a.col_sums() * after(),
        38 if rows > 0 && cols > 0 => {
            (a * after()).select_rows(&[rows - 1, 0]) - a.select_rows(&[0, 0]) * after()
        }
        38 => a.cumulative_sums() * after(),
        39 => (a * after()).cumulative_sums() + a.tril() * after(),
        40 => (a.t() * back().t()).strict_triu() * a.t(),
        36 => (a.row_sums() * a.col_sums() + a) * after(),
        _ => {
            let product = a * after();
            // An input is not renamed.
            if product.node().is_some_and(|node| !node.args.is_empty()) {
                product.named(&format!("P{}", pool.len()));
            }
            product
        }
    };
    pool.push(grown);
}

/// Variables, each with a direction.
type Directions<'t> = Vec<(Var<'t>, Var<'t>)>;

/// The variables to differentiate in with their directions, and all expressions.
fn expressions<'t>(tape: &'t Tape, program: &Random) -> (Directions<'t>, Vec<Var<'t>>) {
    let (m, k, n) = program.extents;
    let (a, b) = (tape.input("A", (m, k)), tape.input("B", (k, n)));
    let (s, d) = (tape.symmetric("S", m), tape.positive_definite("K", m));
    let (c, u) = (tape.constant("C", (m, m)), tape.input("u", (m, 1)));
    let (x, y) = (tape.constant("X", (m, 40)), tape.constant("Y", (m, 40)));
    let mut pool = vec![a, b, s, d, c, u, x, y, tape.input("s", (1, 1))];
    program.steps.iter().for_each(|&step| grow(tape, &mut pool, step));
    let direction = |x: Var<'t>, name: &str| match x.structure() {
        Structure::General => (x, tape.input(name, x.shape())),
        _ => (x, tape.symmetric(name, x.rows())),
    };
    (vec![direction(a, "V"), direction(d, "W"), direction(u, "z")], pool)
}

/// Another one, that leaves the products at the end of chains open.
fn bilinear<'t>(pool: &[Var<'t>]) -> Var<'t> {
    let (last, other) = (pool[pool.len() - 1], pool[pool.len() / 2]);
    let last = if last.shape().is_square() { last.trace() } else { last.sum() };
    last + other.norm_squared() / 10.0
}

fn matrices(tape: &Tape) -> Vec<(String, Mat<f64>)> {
    let input = |(seed, (name, shape)): (u64, (String, Shape))| {
        let base: Mat<f64> = check::random(shape.rows, shape.cols, seed);
        let known = tape.input(&name, shape).structure();
        let heavy = known == Structure::Definite || name == "S";
        let entry = |i: usize, j: usize| {
            let symmetric = known >= Structure::Symmetric;
            let entry = if symmetric { 0.5 * (base[(i, j)] + base[(j, i)]) } else { base[(i, j)] };
            entry + if heavy && i == j { shape.rows as f64 } else { 0.0 }
        };
        (name, Mat::from_fn(shape.rows, shape.cols, entry))
    };
    (1..).zip(tape.inputs()).map(input).collect()
}

fn values(outputs: &[Var<'_>]) -> Result<Vec<Mat<f64>>, String> {
    let matrices = matrices(outputs[0].tape());
    let program = Program::<f64>::compile(outputs).map_err(text)?;
    let inputs = program.inputs().chain(program.constants());
    let needed: BTreeSet<String> = inputs.map(|(name, _)| name.to_owned()).collect();
    let mut at = bound(&matrices);
    at.retain(|(name, _)| needed.contains(*name));
    evaluate(outputs, &at).map_err(text)
}

/// Runs a test on so many programs.
fn for_random_programs(cases: u32, test: impl Fn(&Random) -> Result<(), String>) {
    common::for_random_programs(cases, &programs(0..=4, OPS, 11), test);
}

/// The values of some outputs, compared with what they should be on the scale of all that is computed.
fn compare(
    what: &str,
    loss: Var<'_>,
    cheap: &[Mat<f64>],
    plain: &[Mat<f64>],
    scale: f64,
) -> Result<(), String> {
    for (k, (cheap, plain)) in cheap.iter().zip(plain).enumerate() {
        let error = (cheap - plain).norm_max() / scale;
        if error > 1e-10 || error.is_nan() {
            return Err(format!("{what} of {loss}, output {k}: {error:e} of {scale:e}"));
        }
    }
    Ok(())
}

/// A loss, its gradients, and their derivatives along the directions.
fn derivatives<'t>(loss: Var<'t>, directions: &[(Var<'t>, Var<'t>)]) -> Result<Vec<Var<'t>>, String> {
    let wrt: Vec<_> = directions.iter().map(|(x, _)| *x).collect();
    let mut outputs = vec![loss];
    outputs.extend(gradient(loss, &wrt).map_err(text)?);
    outputs.extend(hvp(loss, directions).map_err(text)?);
    Ok(outputs)
}

/// Value, gradients and second order; optimized before, after, and both.
fn agrees(program: &Random, rewrites: Rewrites) -> Result<(), String> {
    for build in [loss, bilinear] {
        let tape = Tape::new();
        let (directions, pool) = expressions(&tape, program);
        let wrt: Vec<_> = directions.iter().map(|(x, _)| *x).collect();
        let loss = build(&pool);
        let plain = derivatives(loss, &directions)?;
        let wanted = values(&plain)?;
        let cheap = optimize_with(&[loss], &wrt, rewrites).map_err(text)?[0];
        let before = derivatives(cheap, &directions)?;
        let sizes = values(&pool)?;
        let scale = sizes.iter().chain(&wanted).map(|m| m.norm_max()).fold(1.0, f64::max);
        compare("optimized before", loss, &values(&before)?, &wanted, scale)?;
        let both = optimize_with(&before, &[], rewrites).map_err(text)?;
        compare("optimized before and after", loss, &values(&both)?, &wanted, scale)?;
        let after = optimize(&plain, &[]).map_err(text)?;
        compare("optimized after", loss, &values(&after)?, &wanted, scale)?;
    }
    Ok(())
}

#[test]
fn values_gradients_and_second_order_stay_the_same() {
    for_random_programs(150, |program| agrees(program, Rewrites::new()));
}

#[test]
fn so_they_do_multiplied_out() {
    for_random_programs(60, |program| agrees(program, Rewrites::new().distribute(true)));
}

/// Flops of what is not constant, by the textbook; factorizations are left out, which are shared.
fn flops(outputs: &[Var<'_>]) -> f64 {
    let graph = outputs[0].tape().graph(outputs).unwrap();
    let cost = |node: &pullback_tape::Node| {
        let arg = |k: usize| graph.node(node.args[k]);
        let Shape { rows, cols } = node.shape;
        let symmetric = rows > 1 && node.structure != Structure::General;
        let entries = (rows * cols) as f64;
        match node.op {
            Op::MatMul => {
                // What is multiplied by ones is summed once.
                let rows = if arg(0).op == Op::Ones { 1 } else { rows };
                let cols = if arg(1).op == Op::Ones { 1 } else { cols };
                let half = if symmetric { 0.5 } else { 1.0 };
                2.0 * half * (rows * arg(0).shape.cols * cols) as f64
            }
            Op::Solve => 2.0 * rows as f64 * entries,
            Op::Inverse if node.structure == Structure::Definite => 2.0 / 3.0 * (rows * rows * rows) as f64,
            Op::Inverse => 4.0 / 3.0 * (rows * rows * rows) as f64,
            Op::Inner => 2.0 * (arg(0).shape.rows * arg(0).shape.cols) as f64,
            Op::Trace => arg(0).shape.rows as f64,
            Op::Add => entries,
            _ => 0.0,
        }
    };
    graph.iter().filter(|(_, node)| !node.constant).map(|(_, node)| cost(node)).sum()
}

#[test]
fn costs_never_rise_and_nothing_is_left_to_improve() {
    for_random_programs(200, |program| {
        for build in [loss, bilinear] {
            let tape = Tape::new();
            let (directions, pool) = expressions(&tape, program);
            let wrt: Vec<_> = directions.iter().map(|(x, _)| *x).collect();
            let loss = build(&pool);
            let mut outputs = vec![loss, pool[pool.len() / 2]];
            outputs.extend(gradient(loss, &wrt).map_err(text)?);
            let cheap = optimize(&outputs, &[]).map_err(text)?;
            let (before, after) = (flops(&outputs), flops(&cheap));
            if after > before {
                return Err(format!("{loss}: {after} flops instead of {before}"));
            }
            for (outputs, wrt) in [(&cheap, &[][..]), (&optimize(&[loss], &wrt).map_err(text)?, &wrt)] {
                let again = optimize(outputs, wrt).map_err(text)?;
                if let Some((new, old)) = again.iter().zip(outputs).find(|(new, old)| !new.same(**old)) {
                    return Err(format!("{old} becomes {new}"));
                }
            }
        }
        Ok(())
    });
}

/// From tape to tape, and from run to run.
#[test]
fn results_are_the_same_to_the_last_bit() {
    for_random_programs(60, |program| {
        let run = || -> Result<(Vec<String>, Vec<Mat<f64>>), String> {
            let tape = Tape::new();
            let (directions, pool) = expressions(&tape, program);
            let wrt: Vec<_> = directions.iter().map(|(x, _)| *x).collect();
            let distribute = Rewrites::new().distribute(true);
            let cheap = optimize_with(&[bilinear(&pool)], &wrt, distribute).map_err(text)?[0];
            let mut outputs = vec![cheap];
            outputs.extend(gradient(cheap, &wrt).map_err(text)?);
            let outputs = optimize(&outputs, &[]).map_err(text)?;
            Ok((outputs.iter().map(|y| y.to_string()).collect(), values(&outputs)?))
        };
        if run()? == run()? { Ok(()) } else { Err("another result".to_owned()) }
    });
}

/// Among the programs, each identity is applied.
#[test]
fn random_programs_meet_every_identity() {
    let met = RefCell::new(BTreeSet::new());
    for_random_programs(500, |program| {
        for rewrites in [Rewrites::new(), Rewrites::new().distribute(true)] {
            let tape = Tape::new();
            let (directions, pool) = expressions(&tape, program);
            let wrt: Vec<_> = directions.iter().map(|(x, _)| *x).collect();
            let cheap = optimize_with(&[loss(&pool), bilinear(&pool)], &wrt, rewrites).map_err(text)?;
            let graph = tape.graph(&cheap).map_err(text)?;
            met.borrow_mut().extend(graph.iter().filter_map(|(_, node)| node.identity));
        }
        Ok(())
    });
    let wanted = [
        "(A B) C = A (B C)",
        "tr(A B) = ⟨Aᵀ, B⟩",
        "A⁻¹ B is a solve",
        "(A + B) C = A C + B C",
        "(A B)⁻¹ = B⁻¹ A⁻¹",
        "log |det A B| = log |det A| + log |det B|",
        "log |det A⁻¹| = −log |det A|",
        "det A B = det A det B",
        "⟨A M B, C N D⟩ = ⟨(Cᵀ A) M (B Dᵀ), N⟩",
    ];
    let missing: Vec<_> = wanted.iter().filter(|identity| !met.borrow().contains(*identity)).collect();
    assert!(missing.is_empty(), "{missing:?} are never applied; met {:?}", met.borrow());
}
