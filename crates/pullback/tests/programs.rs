//! Programs that nobody wrote: random expressions, whose gradients have to satisfy the definition, and very long
//! ones.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Random, Step, bound, loss, pick, programs, text};
use pullback::Function;
use pullback::faer::Mat;
use pullback::prelude::*;
use pullback_tape::{Name, Op};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

// ---- random programs -------------------------------------------------------------------------------------

/// Adds an expression to the pool, smooth and of moderate size whatever its operands are.
fn grow<'t>(tape: &'t Tape, pool: &mut Vec<Var<'t>>, (op, first, second): Step) {
    let a = pool[usize::from(first) % pool.len()];
    let Shape { rows, cols } = a.shape();
    let pick = |fits: &dyn Fn(Shape) -> bool| pick(pool, second, fits);
    let like = || pick(&|shape| shape == a.shape()).unwrap_or(a);
    let number = || pick(&Shape::is_scalar).unwrap_or_else(|| a.inner(like()).tanh());
    // A square matrix with a heavy diagonal.
    let regular = || {
        let square = pick(&|shape| shape == Shape::new(rows, rows)).unwrap_or_else(|| a * a.t());
        square.tanh() + (rows as f64 + 1.0) * tape.identity(rows)
    };
    // The same of as many rows as there are columns.
    let other_side = || (a.t() * a).tanh() + (cols as f64 + 1.0) * tape.identity(cols);
    let grown = match op {
        0 => match pick(&|shape| shape.rows == cols) {
            Some(b) => (a * b) / cols as f64,
            None => a.t() * a,
        },
        1 => match pick(&|shape| shape.cols == cols) {
            Some(b) => a * b.t() - 0.5,
            None => a * a.t(),
        },
        2 => match pick(&|shape| shape.rows == rows) {
            Some(b) => 0.5 * (a.t() * b),
            None => a.t() * a,
        },
        3 => a + like(),
        4 => 2.0 * a - 0.5 * like(),
        5 => a.t(),
        6 => a.tanh().hadamard(like().sin()),
        7 => a.quotient(like().square() + 1.5),
        8 => number().cos() * a,
        9 => a / (number().square() + 1.0),
        10 => a.sigmoid(),
        11 => a.softplus(),
        12 => a.sin().exp(),
        13 => a.log_cosh(),
        14 => (a.square() + 0.5).ln(),
        15 => (a.square() + 0.5).sqrt(),
        16 => (a.square() + 1.0).recip().powf(1.5),
        17 => a.softmax(),
        18 => a.log_sum_exp(),
        19 => a.row_sums(),
        20 => a.col_means(),
        21 => a.tanh().sum(),
        22 => a.inner(like()).tanh(),
        23 => (a.norm_squared() + 1.0).sqrt(),
        24 => a.add_col(a.row_means().sin()),
        25 => a.mul_row(a.col_sums().cos()),
        26 => match pick(&|shape| shape.rows == rows) {
            Some(b) => regular().solve(b),
            None => regular().solve(a),
        },
        27 => regular().t().solve(a),
        28 => regular().inv() * a,
        29 => regular().log_det(),
        30 => (regular().det() + regular().adjugate().norm_squared()).ln_1p(),
        31 => (a * a.t()).trace().tanh(),
        32 => pick(&|shape| shape.rows == rows && shape.cols == 1).unwrap_or(a.row_sums()).repeat_cols(3),
        33 => 1.0 - a.cos() * number(),
        34 => a.row_sums().sin().diag() * a,
        35 => (a * a.t()).diagonal(),
        36 => a.tanh() * (a.t() * a).diagonal().diag() / rows as f64,
        37 => regular() + a.row_sums().cos().diag(),
        38 => a.select_rows(&[rows - 1, 0, rows / 2]),
        39 => tape.selection(&[cols / 2, 0], cols) * a.t(),
        40 => (a.t() * a).strict_tril() + a.sin().cumulative_sums().t() * a.tanh(),
        41 => a.t().tril() + a.triu().t().tanh(),
        42 => a.reshape((cols, rows)),
        43 => tape.stack_cols(&[a, like().tanh(), a * (a.t() * a).triu() / rows as f64]),
        44 => regular().solve_lower(a) - regular().t().solve_upper(a),
        45 => {
            let tall = tape.stack_rows(&[regular(), a.t().tanh()]);
            let nearest = tall.least_squares(tape.stack_rows(&[a, other_side().tanh()]));
            let smallest = tall.t().least_squares(a.sin()).slice(..rows, ..);
            regular().solve_unit_lower(regular().solve_unit_upper(a)) + nearest - smallest
        }
        46 => (a * a.t() + tape.identity(rows)).cholesky(),
        47 => (0.9 * a.sin()).asin() + a.tanh().tan(),
        48 => (0.9 * a.tanh()).acos() - a.cos().sinh(),
        49 => (0.9 * a.sin()).atanh().hadamard(like().tanh().cosh()),
        50 => (a.asinh() + like().atan()).reshape((cols, rows)),
        51 => (a.square() + 1.5).acosh(),
        52 => (a.square() + 0.5).log2() - (a.square() + 0.5).log10(),
        53 => ((a.square() + 0.5).cbrt() + a.tanh().exp_m1()).reshape((cols, rows)),
        54 => (a.erf() - like().erfc()).reshape((cols, rows)),
        55 => (a.tanh() + 2.0).ln_gamma() + (a.tanh() + 1.5).digamma(),
        56 => a.atan2(like().square() + 1.0).hypot(a.cos() + 2.0),
        57 => a.sin().max(like().tanh() + 3.0).min(a.tanh() + 5.0) - 3.0,
        58 => a.keep(like().cos().less(a.sin() + 3.0)).tanh(),
        65 => (a * a.t()).tanh().symmetric_function(|x| x.sin() + 0.5 * x.square()) * a,
        // One row is far above the others, whatever the entries are: where two are equal, nothing is differentiable.
        59 => (a.sin() + tape.ones((rows, cols)).cumulative_sums() * 3.0).col_maxima().sin(),
        60 => (a.sin() + tape.ones((rows, cols)).cumulative_sums() * 3.0).col_argmax().hadamard(a).tanh(),
        61 => a.row_variances(0).mean().tanh() * (1.0 + 0.3 * a.sin()).col_products(),
        62 => (a.tanh() + 2.0).norm_p(3.0) * a.cos(),
        63 => tape.einsum("ij,ij->j", &[a, like().sin()]).repeat_cols(rows),
        64 => (a.tanh() * a.t() / rows as f64).matrix_power(3).quadratic_form(a.tanh()).tanh(),
        66 => (0.2 * regular()).expm() * a.tanh() - regular().logm() * a,
        67 => (0.2 * regular()).expm_multiply(a).tanh(),
        68 => regular().sqrtm() * a.tanh() + regular().signm() * a,
        69 => {
            regular().sylvester(other_side(), a)
                - (regular() / (3 * rows) as f64).stein(other_side() / (3 * cols) as f64, a)
        }
        _ => -a,
    };
    pool.push(grown);
}

const OPS: u8 = 71;

/// The inputs, and all expressions grown from them.
fn expressions<'t>(tape: &'t Tape, program: &Random) -> (Vec<Var<'t>>, Vec<Var<'t>>) {
    let (m, k, n) = program.extents;
    let shapes = [("A", (m, k)), ("B", (k, n)), ("C", (m, m)), ("c", (m, 1)), ("s", (1, 1))];
    let inputs: Vec<_> = shapes.iter().map(|(name, shape)| tape.input(name, *shape)).collect();
    let mut pool = inputs.clone();
    program.steps.iter().for_each(|&step| grow(tape, &mut pool, step));
    (inputs, pool)
}

fn matrices(tape: &Tape) -> Vec<(String, Mat<f64>)> {
    let inputs = (1..).zip(tape.inputs());
    inputs.map(|(seed, (name, shape))| (name, check::random(shape.rows, shape.cols, seed))).collect()
}

/// Runs a test on 200 programs.
fn for_random_programs(test: impl Fn(&Random) -> Result<(), String>) {
    common::for_random_programs(200, &programs(1..=4, OPS, 15), test);
}

#[test]
fn random_gradients_satisfy_the_definition() {
    for_random_programs(|program| {
        let tape = Tape::new();
        let (inputs, pool) = expressions(&tape, program);
        let (loss, last) = (loss(&pool), pool[pool.len() - 1]);
        let matrices = matrices(&tape);
        let at = bound(&matrices);
        for x in inputs {
            let taylor = check::taylor(loss, x, &at).map_err(text)?;
            if !taylor.passes() {
                return Err(format!("{loss} in {x}: {taylor}\n{:?}", taylor.remainders));
            }
            for y in [loss, last] {
                let adjoint = check::adjoint(y, x, &at).map_err(text)?;
                if !adjoint.passes() {
                    return Err(format!("{y} in {x}: {adjoint}"));
                }
            }
        }
        Ok(())
    });
}

/// What shares buffers, passes and factors when computed together is the same when computed alone.
#[test]
fn outputs_do_not_depend_on_their_company() {
    for_random_programs(|program| {
        let tape = Tape::new();
        let (inputs, pool) = expressions(&tape, program);
        let mut outputs = vec![loss(&pool)];
        outputs.extend(gradient(outputs[0], &inputs).map_err(text)?);
        outputs.extend(pool.iter().step_by(2));
        let matrices = matrices(&tape);
        let at = bound(&matrices);
        let together = evaluate(&outputs, &at).map_err(text)?;
        for (output, together) in outputs.iter().zip(&together) {
            let alone = &evaluate(&[*output], &at).map_err(text)?[0];
            let error = (alone - together).norm_max() / alone.norm_max().max(1.0);
            if error > 1e-12 || error.is_nan() {
                return Err(format!("{output}: {error:e}"));
            }
        }
        Ok(())
    });
}

/// Among the programs tested, every smooth op is met.
#[test]
fn random_programs_are_various() {
    let met = RefCell::new(BTreeSet::new());
    for_random_programs(|program| {
        let tape = Tape::new();
        let (_, pool) = expressions(&tape, program);
        let graph = tape.graph(&[loss(&pool)]).map_err(text)?;
        met.borrow_mut().extend(graph.iter().map(|(_, node)| node.op.name()));
        Ok(())
    });
    let not_smooth = ["abs", "sign", "relu", "step", "clamp", "inside", "pseudo_recip", "norm"];
    // Not evaluated, or with parts of the algebra that leave nothing of them here.
    let absent = ["symbol", "function", "operation", "zeros"];
    // As badly conditioned as gaps happen to be small.
    let fragile = |op| matches!(op, Op::Factor(_) | Op::Spectral(_));
    let ops = Op::all(name()).into_iter().filter(|&op| !fragile(op)).map(Op::name);
    let ops = ops.chain(Function::all().map(Function::name));
    let missing: Vec<_> = ops
        .filter(|op| !not_smooth.contains(op) && !absent.contains(op) && !met.borrow().contains(op))
        .collect();
    assert!(missing.is_empty(), "{missing:?} are never met");
}

/// Some name, for the list of ops.
fn name() -> Name {
    match Tape::new().input("X", (1, 1)).node().map(|node| node.op) {
        Some(Op::Input(name)) => name,
        op => panic!("{op:?}"),
    }
}

// ---- long programs ---------------------------------------------------------------------------------------

/// Records at least so many nodes, differentiates, compiles, runs and prints them; returns the time of all but
/// the printing.
fn long(nodes: usize) -> Duration {
    let started = Instant::now();
    let tape = Tape::new();
    let weights: Vec<_> = (0..8).map(|k| tape.input(&format!("W{k}"), (3, 3))).collect();
    let x = tape.input("X", (3, 2));
    let mut y = x;
    while tape.len() < nodes {
        let w = weights[tape.len() % weights.len()];
        y = (w * y).tanh() - 0.5 * (y + y.sin().hadamard(x));
    }
    let loss = y.norm_squared();
    let mut outputs = vec![loss];
    outputs.extend(gradient(loss, &[weights[0], x]).unwrap());
    let mut program = Program::<f64>::compile(&outputs).unwrap();
    let matrices = matrices(&tape);
    let inputs: Vec<_> = bound(&matrices);
    let run = program.run(&inputs).unwrap();
    assert!(run.iter().all(|m| m.norm_max().is_finite()));
    let elapsed = started.elapsed();
    for output in &outputs {
        for text in [output.summary(), output.to_string(), output.latex(), format!("{output:?}")] {
            assert!(text.chars().count() < 100_000, "{} characters", text.chars().count());
        }
        assert!(output.summary().chars().count() < 200);
    }
    elapsed
}

/// Neither deep recursion nor anything that is done again for every node.
#[test]
fn a_hundred_thousand_nodes_take_linear_time_and_little_stack() {
    // What a thread gets unless asked otherwise.
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let measured = thread.spawn(|| {
        long(2_000);
        // The fastest of a few, for the machine may be busy.
        let fastest = |nodes| (0..3).map(|_| long(nodes)).min().unwrap();
        (fastest(20_000), fastest(100_000))
    });
    let (some, many) = measured.unwrap().join().unwrap();
    let ratio = many.as_secs_f64() / some.as_secs_f64();
    assert!(ratio < 8.0, "five times the nodes take {ratio:.1} times as long: {some:?}, {many:?}");
}
