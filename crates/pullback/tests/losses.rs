//! The losses against their formulas and documented derivatives, and the testers of derivatives themselves.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod printed;

use pullback::faer::Mat;
use pullback::prelude::*;
use pullback::{Scalar, errors::RulesError};

/// A loss of an entry and its target, and its derivative; each is summed over a column and averaged over samples.
struct Case {
    name: &'static str,
    loss: for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>,
    /// The loss of a column of predictions and one of targets.
    value: fn(&[f64], &[f64]) -> f64,
    /// Its derivative in the predictions.
    derivative: fn(&[f64], &[f64]) -> Vec<f64>,
    formula: &'static str,
    /// Targets from random numbers.
    targets: fn(&mut [f64]),
}

const DELTA: f64 = 0.6;

fn total(p: &[f64], y: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    p.iter().zip(y).map(|(&p, &y)| f(p, y)).sum()
}

fn each(p: &[f64], y: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    p.iter().zip(y).map(|(&p, &y)| f(p, y)).collect()
}

fn as_they_are(_: &mut [f64]) {}

fn distribution(column: &mut [f64]) {
    let sum: f64 = column.iter().map(|y| y.abs()).sum();
    column.iter_mut().for_each(|y| *y = y.abs() / sum);
}

const CASES: [Case; 7] = [
    Case {
        name: "squared",
        loss: losses::squared,
        value: |p, y| total(p, y, |p, y| 0.5 * (p - y).powi(2)),
        derivative: |p, y| each(p, y, |p, y| p - y),
        formula: "1/6 ‖P − Y‖²",
        targets: as_they_are,
    },
    Case {
        name: "absolute",
        loss: losses::absolute,
        value: |p, y| total(p, y, |p, y| (p - y).abs()),
        derivative: |p, y| each(p, y, |p, y| (p - y).signum()),
        formula: "1/3 sum(abs(P − Y))",
        targets: as_they_are,
    },
    Case {
        name: "log cosh",
        loss: losses::log_cosh,
        value: |p, y| total(p, y, |p, y| (p - y).cosh().ln()),
        derivative: |p, y| each(p, y, |p, y| (p - y).tanh()),
        formula: "1/3 sum(log cosh(P − Y))",
        targets: as_they_are,
    },
    Case {
        name: "Huber",
        loss: |p, y| losses::huber(p, y, DELTA),
        value: |p, y| {
            let of = |r: f64| if r <= DELTA { 0.5 * r * r } else { DELTA * (r - 0.5 * DELTA) };
            total(p, y, |p, y| of((p - y).abs()))
        },
        derivative: |p, y| each(p, y, |p, y| (p - y).clamp(-DELTA, DELTA)),
        formula: "1/3 ⟨clamp(P − Y, −0.6, 0.6), P − Y − ½ clamp(P − Y, −0.6, 0.6)⟩",
        targets: as_they_are,
    },
    Case {
        name: "cross-entropy",
        loss: losses::cross_entropy,
        value: |z, y| z.iter().map(|z| z.exp()).sum::<f64>().ln() - total(z, y, |z, y| z * y),
        derivative: |z, y| {
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            each(z, y, |z, y| z.exp() / sum - y)
        },
        formula: "1/3 (sum(logsumexp(P)) − ⟨Y, P⟩)",
        targets: distribution,
    },
    Case {
        name: "binary cross-entropy",
        loss: losses::binary_cross_entropy,
        value: |z, y| {
            let sigma = |z: f64| 1.0 / (1.0 + (-z).exp());
            total(z, y, |z, y| -y * sigma(z).ln() - (1.0 - y) * (1.0 - sigma(z)).ln())
        },
        derivative: |z, y| each(z, y, |z, y| 1.0 / (1.0 + (-z).exp()) - y),
        formula: "1/3 (sum(softplus(P)) − ⟨Y, P⟩)",
        targets: |column| column.iter_mut().for_each(|y| *y = y.abs()),
    },
    Case {
        name: "hinge",
        loss: losses::hinge,
        value: |z, y| total(z, y, |z, y| (1.0 - y * z).max(0.0)),
        derivative: |z, y| each(z, y, |z, y| if y * z < 1.0 { -y } else { 0.0 }),
        formula: "1/3 sum(relu(𝟏 − Y ∘ P))",
        targets: |column| column.iter_mut().for_each(|y| *y = y.signum()),
    },
];

fn compare<T: Scalar>(case: &Case, classes: usize, samples: usize) {
    let tape = Tape::new();
    let (p, y) = (tape.input("P", (classes, samples)), tape.input("Y", (classes, samples)));
    let loss = (case.loss)(p, y);
    if (classes, samples) == (5, 3) {
        assert_eq!(loss.to_string(), case.formula, "{}", case.name);
    }
    // Far enough apart to meet both branches of what has two.
    let predictions =
        Mat::from_fn(classes, samples, |i, j| 2.0 * check::random::<f64>(classes, samples, 1)[(i, j)]);
    let mut targets = check::random::<f64>(classes, samples, 2);
    for j in 0..samples {
        (case.targets)(targets.col_as_slice_mut(j));
    }
    let convert = |m: &Mat<f64>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| T::from_f64(m[(i, j)]));
    let (at_p, at_y) = (convert(&predictions), convert(&targets));
    let (value, gradients) =
        value_and_gradients(loss, &[p], &[("P", at_p.as_ref()), ("Y", at_y.as_ref())]).unwrap();

    let bound = [("P", predictions.as_ref()), ("Y", targets.as_ref())];
    if let Err(error) = printed::judge(loss, &[p], &bound) {
        panic!("the derivation of {loss} is wrong: {error}");
    }

    let n = samples as f64;
    let columns = |j| (predictions.col_as_slice(j), targets.col_as_slice(j));
    let wanted = (0..samples).map(|j| (case.value)(columns(j).0, columns(j).1)).sum::<f64>() / n;
    let tolerance = 64.0 * T::EPSILON.to_f64();
    assert!(
        (value.to_f64() - wanted).abs() <= tolerance * wanted.abs().max(1.0),
        "{}: {value} {wanted}",
        case.name
    );
    for j in 0..samples {
        for (i, wanted) in (case.derivative)(columns(j).0, columns(j).1).into_iter().enumerate() {
            let got = gradients[0][(i, j)].to_f64();
            assert!((got - wanted / n).abs() <= tolerance, "{} ({i}, {j}): {got} {wanted}/{n}", case.name);
        }
    }
}

#[test]
fn losses_are_their_formulas() {
    for case in &CASES {
        for (classes, samples) in [(1, 1), (3, 1), (1, 3), (5, 3), (10, 40)] {
            compare::<f64>(case, classes, samples);
            compare::<f32>(case, classes, samples);
        }
    }
}

#[test]
fn ridge_is_half_the_squared_norm() {
    let tape = Tape::new();
    let w = tape.input("W", (3, 4));
    let at = check::random::<f64>(3, 4, 1);
    let (value, gradients) = value_and_gradients(losses::ridge(w, 0.3), &[w], &[("W", at.as_ref())]).unwrap();
    assert!((value - 0.15 * at.squared_norm_l2()).abs() <= 1e-15);
    assert!((&gradients[0] - 0.3 * &at).norm_max() <= 1e-15);
}

/// A mistake in what a loss is given points to the line that called it.
#[test]
fn a_misfit_is_told_where_the_loss_was_called() {
    let tape = Tape::new();
    let (p, y) = (tape.input("P", (3, 5)), tape.input("Y", (5, 3)));
    for case in &CASES {
        let error = (case.loss)(p, y).check().unwrap_err().to_string();
        assert!(error.contains("do not conform"), "{}: {error}", case.name);
    }
    let (loss, line) = (losses::squared(p, y), line!());
    let error = loss.check().unwrap_err().to_string();
    assert!(error.contains(&format!("({}:{line}:", file!())), "{error}");
}

// ---- the testers -----------------------------------------------------------------------------------------

/// A loss in X at a random 3×4 matrix, given a gradient.
fn order(f: for<'t> fn(Var<'t>) -> Var<'t>, wrong: for<'t> fn(Var<'t>) -> Var<'t>) -> check::Taylor {
    let tape = Tape::new();
    let x = tape.input("X", (3, 4));
    let right = gradient(f(x), &[x]).unwrap()[0];
    let at = check::random::<f64>(3, 4, 5);
    check::taylor_with(f(x), x, wrong(right), &[("X", at.as_ref())]).unwrap()
}

#[test]
fn a_wrong_gradient_is_caught() {
    let losses: [for<'t> fn(Var<'t>) -> Var<'t>; 5] = [
        |x| x.norm_squared(),
        |x| x.tanh().sum(),
        |x| (x * x.t()).log_det(),
        |x| x.log_sum_exp().sum(),
        |x| (x.t() * x).exp().norm(),
    ];
    for loss in losses {
        let right = order(loss, |g| g);
        assert!(right.passes() && (right.order - 2.0).abs() < 0.1, "{right}");
        let wrongs: [for<'t> fn(Var<'t>) -> Var<'t>; 5] =
            [|g| 1.001 * g, |g| 0.999 * g, |g| -g, |g| g + 1e-3, |g| 0.0 * g];
        for wrong in wrongs {
            let wrong = order(loss, wrong);
            assert!(!wrong.passes() && (wrong.order - 1.0).abs() < 0.2, "{wrong}");
        }
    }
}

#[test]
fn what_is_affine_has_infinite_order() {
    assert_eq!(order(|x| x.sum(), |g| g).order, f64::INFINITY);
    assert_eq!(order(|x| 3.0 * x.sum() - 2.0, |g| g).order, f64::INFINITY);
    assert_eq!(order(|x| x.tape().scalar(1.0) + 0.0 * x.sum(), |g| g).order, f64::INFINITY);
    // A cubic at 0 has no second derivative there: the order is 3.
    let tape = Tape::new();
    let x = tape.input("x", (1, 1));
    let zero = Mat::<f64>::zeros(1, 1);
    let cubic = check::taylor(x.powf(3.0), x, &[("x", zero.as_ref())]).unwrap();
    assert!((cubic.order - 3.0).abs() < 0.1, "{cubic}");
    // An affine function has only rounding in its remainder, but a wrong gradient of it shows.
    assert!(!order(|x| x.sum(), |g| 1.001 * g).passes());
}

/// Near a kink large steps pass it and small ones do not; at a kink no gradient is right.
#[test]
fn kinks() {
    let tape = Tape::new();
    let x = tape.input("x", (1, 1));
    let loss = x.abs() + 0.5 * x.square();
    let at = |x0: f64| {
        let at = Mat::full(1, 1, x0);
        check::taylor(loss, x, &[("x", at.as_ref())]).unwrap()
    };
    for x0 in [1.0, -0.3, 1e-3] {
        assert!(at(x0).passes(), "{x0}: {}", at(x0));
    }
    let there = at(0.0);
    assert!(!there.passes() && (there.order - 1.0).abs() < 0.1, "{there}");
    // Relu's subgradient at 0 is one-sided, and the other side shows it or not: along ε > 0 it is wrong.
    let relu = check::taylor(x.relu() + x, x, &[("x", Mat::<f64>::zeros(1, 1).as_ref())]).unwrap();
    assert!(relu.order.is_infinite() || !relu.passes(), "{relu}");
}

/// Large steps may lead out of the domain, with an error or with a NaN. Where every step does, nothing is known.
#[test]
fn steps_out_of_the_domain() {
    let tape = Tape::new();
    let (a, x) = (tape.positive_definite("A", 2), tape.input("x", (1, 1)));
    let loss = a.cholesky().diagonal().ln().sum();
    let near_the_edge = Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { 0.9 });
    for report in check::derivatives(loss, &[a], &[("A", near_the_edge.as_ref())]).unwrap() {
        assert!(report.passes(), "{report}");
    }
    let wrong = check::taylor_with(loss, a, 0.501 * a.inv(), &[("A", near_the_edge.as_ref())]).unwrap();
    assert!(!wrong.passes(), "{wrong}");
    let at = |x0: f64| {
        let at = Mat::full(1, 1, x0);
        check::taylor_with(x.powf(1.5), x, 1.5 * x.sqrt(), &[("x", at.as_ref())]).unwrap()
    };
    assert!(at(0.1).passes(), "{}", at(0.1));
    let edge = check::taylor(-(-x.square()).sqrt(), x, &[("x", Mat::<f64>::zeros(1, 1).as_ref())]).unwrap();
    assert!(!edge.passes() && edge.order.is_nan(), "{edge}");
}

/// Where there is no derivative, or an infinite one, the gradient is what the documentation says, and finite.
#[test]
fn gradients_at_kinks() {
    type Build = for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>;
    let cases: [(&str, Build, [f64; 2], [f64; 2]); 16] = [
        ("abs", |x, _| x.abs(), [0.0, 0.0], [0.0, 0.0]),
        ("relu", |x, _| x.relu(), [0.0, 0.0], [0.0, 0.0]),
        ("clamp", |x, _| x.clamp(-1.0, 1.0), [1.0, 0.0], [1.0, 0.0]),
        ("norm", |x, _| x.norm(), [0.0, 0.0], [0.0, 0.0]),
        ("sqrt", |x, _| x.sqrt(), [0.0, 0.0], [0.0, 0.0]),
        ("cbrt", |x, _| x.cbrt(), [0.0, 0.0], [0.0, 0.0]),
        ("asin", |x, _| x.asin(), [1.0, 0.0], [0.0, 0.0]),
        ("acos", |x, _| x.acos(), [-1.0, 0.0], [0.0, 0.0]),
        ("acosh", |x, _| x.acosh(), [1.0, 0.0], [0.0, 0.0]),
        ("max", |x, y| x.max(y), [2.0, 2.0], [1.0, 0.0]),
        ("min", |x, y| x.min(y), [2.0, 2.0], [1.0, 0.0]),
        ("hypot", |x, y| x.hypot(y), [0.0, 0.0], [0.0, 0.0]),
        ("atan2", |x, y| x.atan2(y), [0.0, 0.0], [0.0, 0.0]),
        ("less", |x, y| x.less(y), [2.0, 2.0], [0.0, 0.0]),
        ("what is not chosen", |x, y| y.select(x.step(), (x - 1.0).ln()), [1.0, 3.0], [0.0, 1.0]),
        ("nor in the derivative", |x, y| y.select(1.0 - x.step(), x.ln()), [0.0, 3.0], [0.0, 1.0]),
    ];
    for (name, build, at, wanted) in cases {
        let tape = Tape::new();
        let (x, y) = (tape.input("x", (1, 1)), tape.input("y", (1, 1)));
        let (x_at, y_at) = (Mat::full(1, 1, at[0]), Mat::full(1, 1, at[1]));
        // Both are read, and neither changes the gradients.
        let loss = build(x, y) + (x + y) - (x + y).exp().ln();
        let bound = [("x", x_at.as_ref()), ("y", y_at.as_ref())];
        let (_, found) = value_and_gradients(loss, &[x, y], &bound).unwrap();
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found[(0, 0)] - wanted).abs() < 1e-15, "{name}: {} instead of {wanted}", found[(0, 0)]);
        }
    }
}

#[test]
fn testers_report_on_matrices_and_intermediates() {
    let tape = Tape::new();
    let (w, x) = (tape.input("W", (3, 4)), tape.input("X", (4, 5)));
    let h = w * x;
    let (at_w, at_x) = (check::random::<f64>(3, 4, 1), check::random::<f64>(4, 5, 2));
    let at = [("W", at_w.as_ref()), ("X", at_x.as_ref())];
    let reports = check::derivatives(h.tanh(), &[w, x, h], &at).unwrap();
    let names: Vec<_> = reports.iter().map(|report| report.variable.as_str()).collect();
    assert_eq!(names, ["W", "X", "W X"]);
    for report in &reports {
        assert!(report.passes(), "{report}");
        assert!(report.adjoint.error <= report.adjoint.tolerance);
        let text = report.to_string();
        assert!(
            ["Taylor order", "adjoint", "second order", "symmetry"].iter().all(|word| text.contains(word))
        );
    }
    // What cannot be tested is an error, not a pass.
    let not_scalar = check::taylor_with(h, w, w, &at).unwrap_err();
    assert!(matches!(not_scalar, Error::Rules(RulesError::NotScalar { .. })), "{not_scalar}");
    let unbound = check::taylor(h.norm(), w, &at[..1]).unwrap_err();
    assert!(matches!(unbound, Error::Engine(_)), "{unbound}");
    let nan = Mat::full(3, 4, f64::NAN);
    let report = check::taylor(h.norm(), w, &[("W", nan.as_ref()), at[1]]).unwrap();
    assert!(!report.passes(), "{report}");
}

#[test]
fn random_matrices_are_fixed_by_their_seed() {
    let a = check::random::<f64>(20, 30, 1);
    assert_eq!(a, check::random::<f64>(20, 30, 1));
    assert_ne!(a, check::random::<f64>(20, 30, 2));
    let sizes = || (0..20).flat_map(|i| (0..30).map(move |j| (i, j))).map(|at| a[at]);
    assert!(sizes().all(|x| (0.05..=1.0).contains(&x.abs())));
    assert!(sizes().any(|x| x < 0.0) && sizes().any(|x| x > 0.0));
}
