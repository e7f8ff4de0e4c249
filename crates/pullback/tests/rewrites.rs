//! Each identity that makes an expression cheaper: what it costs before and after, exactly, and where it is left alone.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use pullback::faer::{Mat, MatRef};
use pullback::prelude::*;
use pullback::{Rewrites, Structure, compile_with, optimize_with};
use pullback_tape::Op;
use std::time::{Duration, Instant};

// ---- one identity to a line ------------------------------------------------------------------------------

/// The inputs of the tables below, by name.
#[derive(Clone, Copy)]
struct On<'t>(&'t Tape);

#[allow(non_snake_case)] // They are called as they print.
impl<'t> On<'t> {
    /// 20×20
    fn A(self) -> Var<'t> {
        self.0.input("A", (20, 20))
    }
    /// 20×20
    fn B(self) -> Var<'t> {
        self.0.input("B", (20, 20))
    }
    /// 20×20
    fn C(self) -> Var<'t> {
        self.0.input("C", (20, 20))
    }
    /// 20×20, symmetric
    fn S(self) -> Var<'t> {
        self.0.symmetric("S", 20)
    }
    /// 20×3
    fn X(self) -> Var<'t> {
        self.0.input("X", (20, 3))
    }
    /// 20×3
    fn Y(self) -> Var<'t> {
        self.0.input("Y", (20, 3))
    }
    /// 20×1
    fn u(self) -> Var<'t> {
        self.0.input("u", (20, 1))
    }
    /// 20×1
    fn v(self) -> Var<'t> {
        self.0.input("v", (20, 1))
    }
    fn identity(self) -> Var<'t> {
        self.0.identity(20)
    }
}

type Build = for<'t> fn(On<'t>) -> Var<'t>;

/// The numbers of products, solves, inverses and determinants, and the flops of the products.
fn work(outputs: &[Var<'_>]) -> (usize, usize, usize, usize, u64) {
    let graph = outputs[0].tape().graph(outputs).unwrap();
    let count = |ops: &[Op]| graph.iter().filter(|(_, node)| ops.contains(&node.op)).count();
    let flops = Program::<f64>::compile(outputs).unwrap().product_flops();
    (count(&[Op::MatMul]), count(&[Op::Solve]), count(&[Op::Inverse]), count(&[Op::Det, Op::LogDet]), flops)
}

fn best<'t>(y: Var<'t>, wrt: &[Var<'t>]) -> Var<'t> {
    optimize(&[y], wrt).unwrap()[0]
}

type Work = (usize, usize, usize, usize, u64);

/// What is written, how the optimized expression prints, and the work before and after: products, solves, inverses,
/// determinants, and flops of the products.
#[rustfmt::skip]
const IDENTITIES: &[(Build, &str, Work, Work)] = &[
    // (A B) C = A (B C)
    (|o| o.A() * o.B() * o.u(), "A B u", (2, 0, 0, 0, 16_800), (2, 0, 0, 0, 1_600)),
    (|o| o.u() * o.v().t() * o.A(), "u vᵀ A", (2, 0, 0, 0, 16_800), (2, 0, 0, 0, 1_600)),
    (|o| o.X() * o.Y().t() * o.X() * o.Y().t(), "X Yᵀ X Yᵀ", (3, 0, 0, 0, 7_200), (3, 0, 0, 0, 3_120)),
    (|o| (o.A() * o.B()).t() * o.u(), "Bᵀ Aᵀ u", (2, 0, 0, 0, 16_800), (2, 0, 0, 0, 1_600)),
    // tr(A B) = ⟨Aᵀ, B⟩, around the circle
    (|o| (o.A() * o.B()).trace(), "⟨Aᵀ, B⟩", (1, 0, 0, 0, 16_000), (0, 0, 0, 0, 0)),
    (|o| (o.A() * o.A().t()).trace(), "‖A‖²", (1, 0, 0, 0, 16_000), (0, 0, 0, 0, 0)),
    (|o| (o.A() * o.A()).trace(), "⟨Aᵀ, A⟩", (1, 0, 0, 0, 16_000), (0, 0, 0, 0, 0)),
    (|o| (o.A() * o.B() * o.C()).trace(), "⟨Aᵀ, B C⟩", (2, 0, 0, 0, 32_000), (1, 0, 0, 0, 16_000)),
    (|o| (o.u() * o.v().t()).trace(), "⟨u, v⟩", (1, 0, 0, 0, 800), (0, 0, 0, 0, 0)),
    (|o| (o.A() * o.X() * o.Y().t()).trace(), "⟨A X, Y⟩", (2, 0, 0, 0, 4_800), (1, 0, 0, 0, 2_400)),
    (|o| (o.A() + o.B() * o.C()).trace(), "tr(A) + ⟨Bᵀ, C⟩", (1, 0, 0, 0, 16_000), (0, 0, 0, 0, 0)),
    // ⟨A B, C D⟩ = tr(Bᵀ Aᵀ C D)
    (|o| (o.X() * o.Y().t()).inner(o.Y() * o.X().t()), "⟨Yᵀ X, Xᵀ Y⟩", (2, 0, 0, 0, 4_800), (1, 0, 0, 0, 360)),
    (|o| (o.A() * o.B()).sum(), "sum(𝟏ᵀ A B)", (1, 0, 0, 0, 16_000), (2, 0, 0, 0, 1_600)),
    (|o| (o.u() * o.v().t()).inner(o.A()), "⟨vᵀ, uᵀ A⟩", (1, 0, 0, 0, 800), (1, 0, 0, 0, 800)),
    // A⁻¹ B is a solve
    (|o| o.A().inv() * o.X(), "A⁻¹ X", (1, 0, 1, 0, 2_400), (0, 1, 0, 0, 0)),
    (|o| o.X().t() * o.A().inv(), "Xᵀ A⁻¹", (1, 0, 1, 0, 2_400), (0, 1, 0, 0, 0)),
    (|o| o.A().inv().t() * o.X(), "A⁻ᵀ X", (1, 0, 1, 0, 2_400), (0, 1, 0, 0, 0)),
    (|o| o.A().inv() * o.B() * o.X(), "A⁻¹ B X", (2, 0, 1, 0, 18_400), (1, 1, 0, 0, 2_400)),
    (|o| (o.A().inv() * o.u() * o.v().t()).trace(), "⟨A⁻¹ u, v⟩", (2, 0, 1, 0, 1_600), (0, 1, 0, 0, 0)),
    (|o| (o.A().inv() * o.B()).trace(), "⟨A⁻ᵀ, B⟩", (1, 0, 1, 0, 16_000), (0, 0, 1, 0, 0)),
    // A A⁻¹ = I
    (|o| o.A() * o.A().inv() * o.X(), "X", (2, 0, 1, 0, 18_400), (0, 0, 0, 0, 0)),
    (|o| o.A().solve(o.A() * o.X()), "X", (1, 1, 0, 0, 2_400), (0, 0, 0, 0, 0)),
    (|o| o.A().solve(o.A()), "I", (0, 1, 0, 0, 0), (0, 0, 0, 0, 0)),
    (|o| o.A() * o.A().inv(), "I", (1, 0, 1, 0, 16_000), (0, 0, 0, 0, 0)),
    (|o| (o.A() * o.A().inv()).trace(), "20", (1, 0, 1, 0, 16_000), (0, 0, 0, 0, 0)),
    (|o| o.A().t().solve(o.A().t() * o.X()), "X", (1, 1, 0, 0, 2_400), (0, 0, 0, 0, 0)),
    (|o| o.S().solve(o.S() * o.X()), "X", (1, 1, 0, 0, 2_400), (0, 0, 0, 0, 0)),
    // … but not Aᵀ A⁻¹
    (|o| o.A().solve(o.A().t() * o.X()), "A⁻¹ Aᵀ X", (1, 1, 0, 0, 2_400), (1, 1, 0, 0, 2_400)),
    // (A B)⁻¹ = B⁻¹ A⁻¹
    (|o| (o.A() * o.B()).inv() * o.X(), "B⁻¹ A⁻¹ X", (2, 0, 1, 0, 18_400), (0, 2, 0, 0, 0)),
    (|o| (o.A() * o.B()).t().solve(o.X()), "A⁻ᵀ B⁻ᵀ X", (1, 1, 0, 0, 16_000), (0, 2, 0, 0, 0)),
    (|o| (o.X().t() * o.Y()).inv() * o.X().t(), "(Xᵀ Y)⁻¹ Xᵀ", (2, 0, 1, 0, 720), (1, 1, 0, 0, 360)),
    // Determinants
    (|o| (o.A() * o.B()).log_det(), "log |det A| + log |det B|", (1, 0, 0, 1, 16_000), (0, 0, 0, 2, 0)),
    (|o| (o.A() * o.A().t()).log_det(), "2 log |det A|", (1, 0, 0, 1, 16_000), (0, 0, 0, 1, 0)),
    (|o| o.A().inv().log_det(), "−log |det A|", (0, 0, 1, 1, 0), (0, 0, 0, 1, 0)),
    (|o| (o.A() * o.B()).det(), "det(A) det(B)", (1, 0, 0, 1, 16_000), (0, 0, 0, 2, 0)),
    (|o| (o.X().t() * o.Y()).log_det(), "log |det(Xᵀ Y)|", (1, 0, 0, 1, 360), (1, 0, 0, 1, 360)),
    (|o| (o.A() * o.B() * o.A().inv()).log_det(), "log |det A| + log |det B| − log |det A|", (2, 0, 1, 1, 32_000), (0, 0, 0, 2, 0)),
    // Palindromes: their sides are computed once
    (|o| o.A() * o.B() * (o.A() * o.B()).t(), "A B Bᵀ Aᵀ", (2, 0, 0, 0, 32_000), (2, 0, 0, 0, 32_000)),
    (|o| o.A() * (o.B() * o.B().t()) * o.A().t(), "A B Bᵀ Aᵀ", (3, 0, 0, 0, 48_000), (2, 0, 0, 0, 32_000)),
    (|o| o.A() * o.S() * o.A().t(), "A S Aᵀ", (2, 0, 0, 0, 32_000), (2, 0, 0, 0, 32_000)),
    // (A + B) C = A C + B C
    (|o| (o.u() * o.v().t() + o.A().inv()) * o.X(), "(u vᵀ + A⁻¹) X", (2, 0, 1, 0, 3_200), (2, 1, 0, 0, 240)),
    (|o| (o.X() * o.Y().t() + o.A()) * o.u(), "(X Yᵀ + A) u", (2, 0, 0, 0, 3_200), (3, 0, 0, 0, 1_040)),
    (|o| (o.X() * o.Y().t() + 2.0 * o.identity()) * o.u(), "X Yᵀ u + 2 u", (2, 0, 0, 0, 3_200), (2, 0, 0, 0, 240)),
    (|o| (o.A() * o.B() + o.C()) * o.A(), "(A B + C) A", (2, 0, 0, 0, 32_000), (2, 0, 0, 0, 32_000)),
    (|o| (o.A() + o.B()) * o.u(), "(A + B) u", (1, 0, 0, 0, 800), (1, 0, 0, 0, 800)),
];

#[test]
fn every_identity_pays_or_is_left() {
    let mut failures = Vec::new();
    for &(build, wanted, before, after) in IDENTITIES {
        let tape = Tape::new();
        let y = build(On(&tape));
        let cheap = best(y, &[]);
        let found = (cheap.to_string(), work(&[y]), work(&[cheap]));
        if found != (wanted.to_owned(), before, after) {
            failures.push(format!("{y}:\n  wanted {:?}\n   found {found:?}", (wanted, before, after)));
        }
        if before == after && y.to_string() == wanted && !cheap.same(y) {
            failures.push(format!("{y} was replaced by {cheap}, which is no cheaper"));
        }
        if !best(cheap, &[]).same(cheap) {
            failures.push(format!("{y} becomes {cheap}, and that {}", best(cheap, &[])));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Bound to anything, the optimized expressions have the same values.
#[test]
fn every_identity_holds() {
    for &(build, ..) in IDENTITIES {
        let tape = Tape::new();
        let on = On(&tape);
        let y = build(on);
        let cheap = best(y, &[]);
        let error = distance(&[y], &[cheap], 1);
        assert!(error < 1e-11, "{y} = {cheap}: {error:e}");
    }
}

/// A matrix for every input: symmetric if it has to be, with a heavy diagonal if it is square.
fn matrices(tape: &Tape, seed: u64) -> Vec<(String, Mat<f64>)> {
    let input = |(k, (name, shape)): (u64, (String, Shape))| {
        let base: Mat<f64> = check::random(shape.rows, shape.cols, seed + k);
        let symmetric = tape.input(&name, shape).structure() >= Structure::Symmetric;
        let n = shape.rows as f64;
        let entry = |i: usize, j: usize| match symmetric {
            _ if shape.rows != shape.cols || shape.is_scalar() => base[(i, j)],
            true => 0.5 * (base[(i, j)] + base[(j, i)]) + if i == j { n + 1.0 } else { 0.0 },
            false => base[(i, j)] + if i == j { n + 1.0 } else { 0.0 },
        };
        (name, Mat::from_fn(shape.rows, shape.cols, entry))
    };
    (0..).zip(tape.inputs()).map(input).collect()
}

/// The largest distance between two lists of values, relative to their size.
fn distance<'t>(some: &[Var<'t>], others: &[Var<'t>], seed: u64) -> f64 {
    let matrices = matrices(some[0].tape(), seed);
    let bound: Vec<(&str, MatRef<'_, f64>)> =
        matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect();
    let value = |outputs: &[Var<'t>]| {
        let needed = Program::<f64>::compile(outputs).unwrap();
        let names: Vec<_> =
            needed.inputs().chain(needed.constants()).map(|(name, _)| name.to_owned()).collect();
        let bound: Vec<_> =
            bound.iter().filter(|(name, _)| names.iter().any(|n| n == name)).copied().collect();
        evaluate(outputs, &bound).unwrap()
    };
    let (some, others) = (value(some), value(others));
    assert_eq!(some.len(), others.len());
    let errors = some.iter().zip(&others).map(|(a, b)| {
        assert_eq!((a.nrows(), a.ncols()), (b.nrows(), b.ncols()));
        let error = (a - b).norm_max() / a.norm_max().max(1.0);
        if error.is_nan() { f64::INFINITY } else { error }
    });
    errors.fold(0.0, f64::max)
}

// ---- gradients -------------------------------------------------------------------------------------------

/// The loss with its gradients, optimized before and after.
fn planned<'t>(loss: Var<'t>, wrt: &[Var<'t>]) -> Vec<Var<'t>> {
    let loss = best(loss, wrt);
    let mut outputs = vec![loss];
    outputs.extend(gradient(loss, wrt).unwrap());
    optimize(&outputs, &[]).unwrap()
}

#[test]
fn gradients_of_traces_need_no_product() {
    let tape = Tape::new();
    let on = On(&tape);
    let (a, b) = (on.A(), on.B());
    let cases = [
        ((a * b).trace(), vec!["Bᵀ", "Aᵀ"]),
        ((a * a.t()).trace(), vec!["2 A", "0"]),
        ((b * a.t()).trace(), vec!["B", "A"]),
        ((a * b + b).trace(), vec!["Bᵀ", "Aᵀ + I"]),
    ];
    for (loss, wanted) in cases {
        let outputs = planned(loss, &[a, b]);
        let printed: Vec<_> = outputs[1..].iter().map(|g| g.to_string()).collect();
        assert_eq!(printed, wanted, "∇ {loss}");
        assert_eq!(work(&outputs), (0, 0, 0, 0, 0), "∇ {loss}");
    }
}

/// `½ yᵀ K⁻¹ y + ½ log det K` with `K = X Xᵀ + σ I`: of its gradient in X, `K⁻¹ X − (K⁻¹ y) (yᵀ K⁻¹ X)`, only solves.
#[test]
fn a_gaussian_process_needs_no_inverse() {
    let tape = Tape::new();
    let (x, y, s) = (tape.input("X", (20, 3)), tape.input("y", (20, 1)), tape.input("σ", (1, 1)));
    let k = x * x.t() + s.square() * tape.identity(20);
    let loss = 0.5 * y.inner(k.solve(y)) + 0.5 * k.log_det();
    let outputs = planned(loss, &[x]);
    let (_, solves, inverses, dets, flops) = work(&outputs);
    // X Xᵀ, then yᵀ times what has three columns and the product of two vectors of rank one.
    assert_eq!((solves, inverses, dets, flops), (2, 0, 1, 2_400 + 120 + 120), "{}", outputs[1]);
    let mut plain = vec![loss];
    plain.extend(gradient(loss, &[x]).unwrap());
    assert!(distance(&plain, &outputs, 3) < 1e-11);
}

/// The cotangent of a vector is never multiplied out to a matrix.
#[test]
fn cotangents_of_low_rank_stay_so() {
    let tape = Tape::new();
    let on = On(&tape);
    let (a, b, u) = (on.A(), on.B(), on.u());
    let loss = (a * b * u).norm_squared();
    let outputs = planned(loss, &[a, b]);
    // B u, A (B u), and then Aᵀ r, r (B u)ᵀ, (Aᵀ r) uᵀ.
    assert_eq!(work(&outputs).4, 5 * 800);
    let second = hvp(loss, &[(u, on.v())]).unwrap();
    let cheap = optimize(&hvp(best(loss, &[u]), &[(u, on.v())]).unwrap(), &[]).unwrap();
    // A (B v), then Aᵀ and Bᵀ.
    assert_eq!(work(&cheap).4, 4 * 800, "{}", cheap[0]);
    assert!(distance(&second, &cheap, 2) < 1e-11);
}

#[test]
fn tangents_and_cotangents_are_products_of_vectors() {
    let tape = Tape::new();
    let on = On(&tape);
    let (a, b, c, u) = (on.A(), on.B(), on.C(), on.u());
    let y = a * b * c * u;
    let tangent = optimize(&[jvp(best(y, &[a]), &[(a, b)]).unwrap()], &[]).unwrap();
    assert_eq!((tangent[0].to_string(), work(&tangent).4), ("B B C u".to_owned(), 3 * 800));
    let cotangents = vjp(best(y, &[a, c]), &[a, c], on.v()).unwrap();
    let cotangents = optimize(&cotangents, &[]).unwrap();
    let printed: Vec<_> = cotangents.iter().map(|g| g.to_string()).collect();
    assert_eq!(printed, ["v uᵀ Cᵀ Bᵀ", "Bᵀ Aᵀ v uᵀ"]);
    // C u, B (C u), v (…)ᵀ; Aᵀ v, Bᵀ (Aᵀ v), (…) uᵀ.
    assert_eq!(work(&cotangents).4, 6 * 800);
}

/// Several outputs, and one that is a part of another: what is shared stays shared.
#[test]
fn outputs_share_what_they_have_in_common() {
    let tape = Tape::new();
    let on = On(&tape);
    let (a, b, u) = (on.A(), on.B(), on.u());
    let part = a * b;
    // The product is an output: the vector is one product more.
    for outputs in [[part, part * u], [part * u, part]] {
        let cheap = optimize(&outputs, &[]).unwrap();
        assert!(cheap.iter().zip(&outputs).all(|(new, old)| new.same(*old)));
    }
    let twice = optimize(&[part * u, part * u], &[]).unwrap();
    assert!(twice[0].same(twice[1]));
    assert_eq!(work(&twice).4, 1_600);
    // Asked for twice, and read: it is still one node.
    let cheap = optimize(&[part, part, part.t() * u], &[]).unwrap();
    assert!(cheap[0].same(part) && cheap[1].same(part));
    assert_eq!(optimize(&[], &[]).unwrap().len(), 0);
}

// ---- traces of long products -----------------------------------------------------------------------------

/// `tr(P₁ … P₆)` with dimensions 20, 2, 20, 2, 20, 2 around the circle.
#[test]
fn a_trace_is_cut_where_that_is_cheapest() {
    let tape = Tape::new();
    let factor = |k: usize| {
        let (rows, cols) = if k.is_multiple_of(2) { (20, 2) } else { (2, 20) };
        tape.input(&format!("P{k}"), (rows, cols))
    };
    let product = |from: usize| (from..from + 6).map(|k| factor(k % 6)).reduce(|a, b| a * b).unwrap();
    for from in 0..6 {
        let written = product(from);
        let cheap = best(written.trace(), &[]);
        // Three products of a 2×20 with a 20×2, and one of 2×2; then an inner product of 2×2.
        assert_eq!(work(&[cheap]).4, 3 * 160 + 16, "from factor {from}: {cheap}");
        // The best order of the product, as if the trace were not there.
        let linear = work(&[best(written, &[])]).4;
        assert!(linear > 3 * 160 + 16, "from factor {from}: {linear}");
        assert!(distance(&[written.trace()], &[cheap], 5) < 1e-11);
    }
}

// ---- constants -------------------------------------------------------------------------------------------

/// Flops of the products that depend on something that is not constant.
fn running_flops(outputs: &[Var<'_>]) -> usize {
    let graph = outputs[0].tape().graph(outputs).unwrap();
    let products = graph.iter().filter(|(_, node)| node.op == Op::MatMul && !node.constant);
    products
        .map(|(_, node)| 2 * graph.node(node.args[0]).shape.cols * node.shape.rows * node.shape.cols)
        .sum()
}

#[test]
fn products_of_constants_are_free() {
    let tape = Tape::new();
    let (a, b) = (tape.constant("A", (20, 20)), tape.constant("B", (20, 20)));
    let x = tape.input("x", (20, 1));
    // Two products with a vector, or one with a product that is computed once and for all.
    let y = a * (b * x);
    let cheap = best(y, &[x]);
    assert_eq!((running_flops(&[y]), running_flops(&[cheap])), (1_600, 800));
    // Constants that are differentiated in are variables.
    assert!(best(y, &[a, x]).same(y));
}

/// `‖W X − Y‖²` with constant X and Y: the flops of its gradient do not depend on the number of samples.
#[test]
fn a_linear_model_costs_the_same_for_all_numbers_of_samples() {
    let flops = |samples: usize, rewrites: Rewrites| {
        let tape = Tape::new();
        let w = tape.input("W", (3, 5));
        let (x, y) = (tape.constant("X", (5, samples)), tape.constant("Y", (3, samples)));
        let loss = optimize_with(&[(w * x - y).norm_squared()], &[w], rewrites).unwrap()[0];
        let outputs = [loss, gradient(loss, &[w]).unwrap()[0]];
        running_flops(&optimize(&outputs, &[]).unwrap())
    };
    let distribute = Rewrites::new().distribute(true);
    for samples in [100, 1_000, 10_000] {
        // Wᵀ W and W (X Xᵀ)
        assert_eq!(flops(samples, distribute), 2 * (2 * 3 * 5 * 5));
        // W X, and (W X − Y) Xᵀ
        assert_eq!(flops(samples, Rewrites::new()), 2 * 2 * 3 * 5 * samples);
    }
    // With fewer samples than features it does not pay.
    assert_eq!(flops(2, distribute), 2 * 2 * 3 * 5 * 2);
}

/// The price of that: errors relative to `‖Y‖²`, not to the loss.
#[test]
fn multiplied_out_squares_have_errors_relative_to_their_terms() {
    let tape = Tape::new();
    let w = tape.input("W", (3, 5));
    let (x, y) = (tape.constant("X", (5, 200)), tape.constant("Y", (3, 200)));
    let loss = (w * x - y).norm_squared();
    let (w0, x0): (Mat<f64>, Mat<f64>) = (check::random(3, 5, 1), check::random(5, 200, 2));
    // Almost a perfect fit.
    let y0 = &w0 * &x0 + 1e-6 * check::random::<f64>(3, 200, 3);
    let data = [("X", x0.as_ref()), ("Y", y0.as_ref())];
    let run = |rewrites| {
        let mut program = compile_with::<f64>(loss, &[w], rewrites, pullback::Options::new()).unwrap();
        program.bind(&data).unwrap();
        let run = program.run(&[("W", w0.as_ref())]).unwrap();
        (run.scalar(0).unwrap(), run.get(1).unwrap().to_owned())
    };
    let (exact, gradient) = run(Rewrites::new());
    let (value, cheap) = run(Rewrites::new().distribute(true));
    let size = y0.squared_norm_l2();
    assert!((value - exact).abs() < 1e-14 * size, "{value:e} instead of {exact:e}");
    // It has really been multiplied out.
    assert!((value - exact).abs() > 1e-9 * exact, "{value:e} is too good to be multiplied out");
    let scale = (&y0 * x0.transpose()).norm_l2();
    assert!((&cheap - &gradient).norm_l2() < 1e-13 * scale);
}

#[test]
fn terms_that_cancel_are_not_lost_when_they_are_multiplied_out() {
    let tape = Tape::new();
    let (w, a) = (tape.input("W", (4, 4)), tape.constant("A", (4, 4)));
    let x = tape.constant("X", (4, 4));
    let y = tape.constant("Y", (4, 4));
    let losses = [
        (w * x + a * a.inv()).norm_squared(),
        (w * x + tape.identity(4)).norm_squared(),
        (w * x - y).inner(w * y + a * a.inv()),
        (2.0 * (w * x) - 3.0 * y + (w * x) / 7.0).norm_squared(),
        (w.trace() * (w * x) - y).norm_squared(),
        (x.t() * w * y - w).inner(y * w * x + x),
    ];
    for loss in losses {
        let free = optimize_with(&[loss], &[w], Rewrites::new().distribute(true)).unwrap()[0];
        let error = distance(&[loss], &[free], 4);
        assert!(error < 1e-11, "{loss} = {free}: {error:e}");
        let (some, others) = (gradient(loss, &[w]).unwrap(), gradient(free, &[w]).unwrap());
        let error = distance(&some, &others, 4);
        assert!(error < 1e-11, "∇ {loss} = {free}: {error:e}");
    }
}

// ---- what was asked for ----------------------------------------------------------------------------------

/// The gradient in an intermediate value is that of the expression as it was written, whatever happens to it.
#[test]
fn gradients_in_intermediate_values_do_not_change() {
    type Ask = for<'t> fn(On<'t>) -> (Var<'t>, Var<'t>);
    let cases: &[Ask] = &[
        // log det is a function of the inverse asked for, not of the matrix.
        |o| (o.A().inv().log_det(), o.A().inv()),
        |o| ((o.A() * o.B()).log_det(), o.A() * o.B()),
        |o| ((o.A() * o.B() * o.A().inv()).trace(), o.A().inv()),
        |o| ((o.A() * o.B() * o.X()).norm_squared(), o.B() * o.X()),
        |o| ((o.A() * o.B() * o.X()).norm_squared(), o.A() * o.B()),
        // Xᵀ Y must not come about by itself: the gradient would be another.
        |o| ((o.X().t() * (o.Y() * o.X().t())).norm_squared(), o.X().t() * o.Y()),
        |o| {
            let asked = o.X().t() * o.Y();
            (asked.norm_squared() + (o.X().t() * (o.Y() * o.X().t())).sum(), asked)
        },
        |o| ((o.A().t() * o.A().t().inv() * o.u()).sum(), o.A().t()),
        |o| ((o.A() * o.B()).trace() + o.A().t().inner(o.B() * o.B()), o.A().t()),
        |o| ((o.u() * o.v().t() + o.A()).tanh().sum() + (o.u() * o.v().t() * o.u()).sum(), o.u() * o.v().t()),
    ];
    for build in cases {
        let tape = Tape::new();
        let (loss, asked) = build(On(&tape));
        let cheap = best(loss, &[asked]);
        let wanted = gradient(loss, &[asked]).unwrap();
        let found = gradient(cheap, &[asked]).unwrap();
        let error = distance(&wanted, &found, 6);
        assert!(error < 1e-11, "∇ {loss} in {asked}: {} is not {} ({error:e})", found[0], wanted[0]);
    }
}

#[test]
fn names_stay_with_what_they_name() {
    let tape = Tape::new();
    let on = On(&tape);
    let (a, b, x) = (on.A(), on.B(), on.X());
    // A product whose order changes is still called M.
    let named = (a * b * x).named("M");
    assert_eq!(best(named.tanh(), &[]).to_string(), named.tanh().to_string());
    // What becomes an input does not rename the input.
    let named = (a.inv() * a * x).named("Z");
    let cheap = best(named, &[]);
    assert!(cheap.same(x));
    assert_eq!((x.name(), x.to_string()), (None, "X".to_owned()));
}

// ---- extremes --------------------------------------------------------------------------------------------

/// A chain of random dimensions, its transpose or its trace.
fn long_chain(tape: &Tape, factors: usize, square: bool) -> Var<'_> {
    let dim = |k: usize| if square { 4 } else { 2 + (k * k + 3 * k) % 7 };
    let factor = |k: usize| tape.input(&format!("A{k}"), (dim(k), dim((k + 1) % factors)));
    (0..factors).map(factor).reduce(|a, b| a * b).unwrap()
}

#[test]
fn long_chains_take_little_time_and_little_stack() {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let measured = thread.spawn(|| {
        let mut times = Vec::new();
        for factors in [150, 300, 301, 2_000] {
            let tape = Tape::new();
            let chain = long_chain(&tape, factors, false);
            for y in [chain, chain.trace(), (chain.t() * chain).trace()] {
                let started = Instant::now();
                let cheap = best(y, &[]);
                times.push((factors, started.elapsed()));
                let error = distance(&[y], &[cheap], 1);
                // Entries grow like a power of the length: they may be infinite, but not wrong.
                assert!(error < 1e-9 || error.is_infinite(), "{factors} factors: {error:e}");
            }
        }
        times
    });
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });
    for (factors, time) in measured.unwrap().join().unwrap() {
        assert!(time < limit, "{factors} factors: {time:?}");
    }
}

/// A sum among so many factors that what comes of it is too long to be put in order.
#[test]
fn no_term_is_lost_in_chains_of_the_longest_kind() {
    for factors in [10, 31, 32, 33, 149, 150, 298, 299, 300, 301, 302] {
        let tape = Tape::new();
        let number = |k: usize| tape.input(&format!("A{k}"), (3, 3));
        let (u, v) = (tape.input("u", (3, 1)), tape.input("v", (3, 1)));
        let middle = u * v.t() + number(factors);
        let scaled = |k: usize| number(k) / 4.0;
        let half = factors / 2;
        let left = (1..half).map(scaled).fold(scaled(0), |a, b| a * b);
        let right = (half..factors - 1).map(scaled).rev().reduce(|b, a| a * b).unwrap();
        let y = left * middle * right;
        let cheap = best(y, &[]);
        let trace = best(y.trace(), &[]);
        let error = distance(&[y, y.trace()], &[cheap, trace], 1);
        assert!(error < 1e-10, "{factors} factors: {error:e}");
        // A long chain as a term of the sum.
        let z = (u * v.t() + left * right) * u;
        let error = distance(&[z], &[best(z, &[])], 1);
        assert!(error < 1e-10, "{factors} factors in a term: {error:e}");
    }
}

#[test]
fn a_chain_of_sums_is_not_multiplied_out_for_ever() {
    let tape = Tape::new();
    let sum = |k: usize| {
        let name = |what: &str| format!("{what}{k}");
        let (u, v) = (tape.input(&name("u"), (6, 1)), tape.input(&name("v"), (6, 1)));
        u * v.t() + tape.input(&name("A"), (6, 6))
    };
    for factors in [2, 8, 32, 40, 300] {
        let y = (0..factors).map(sum).reduce(|a, b| a * b).unwrap() * tape.input("x", (6, 1));
        let (started, before) = (Instant::now(), tape.len());
        let cheap = best(y, &[]);
        let limit = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });
        assert!(started.elapsed() < limit, "{factors} factors: {:?}", started.elapsed());
        assert!(tape.len() - before < 100 * factors + 1_000, "{} nodes more", tape.len() - before);
        if factors < 20 {
            let error = distance(&[y], &[cheap], 1);
            assert!(error < 1e-10, "{factors} factors: {error:e}");
        }
    }
}

/// Empty matrices, vectors of one entry, and ones everywhere.
#[test]
fn degenerate_shapes() {
    for n in [0, 1, 2] {
        for m in [0, 1, 3] {
            let tape = Tape::new();
            let (a, b) = (tape.input("A", (n, m)), tape.input("B", (m, n)));
            let (s, k) = (tape.input("S", (n, n)), tape.positive_definite("K", n));
            let ones = tape.ones((n, n));
            let cases = [
                a * b * a * b,
                (a * b).trace() * tape.identity(n),
                (a * b * ones).sum() * s,
                ones * s * ones * a * b,
                s.inv() * s * a * b,
                (s.inv() * a * b).trace() * k.inv(),
                (a * b + s) * k * (a * b + s).t(),
                k.solve(k) * k.solve(s),
                (a.t() * k.inv() * a).trace() * (s * k).inv(),
                (k * s).log_det() * (s * k.inv()).det() * ones,
            ];
            for y in cases {
                let cheap = optimize_with(&[y], &[a], Rewrites::new().distribute(true)).unwrap()[0];
                assert_eq!(cheap.shape(), y.shape());
                let error = distance(&[y], &[cheap], 2);
                assert!(error < 1e-11, "{n}, {m}: {y} = {cheap}: {error:e}");
            }
        }
    }
}

/// The deep linear gradient, activations first: flops as written and in the best order.
fn flops(widths: &[usize], samples: usize) -> (u64, u64) {
    let tape = Tape::new();
    let x = tape.input("X", (widths[0], samples));
    let ws: Vec<_> =
        (1..widths.len()).map(|k| tape.input(&format!("W{k}"), (widths[k], widths[k - 1]))).collect();
    let y = tape.input("Y", (*widths.last().unwrap(), samples));
    let loss = losses::squared(ws.iter().fold(x, |h, &w| w * h), y);
    let count = |loss| {
        let mut outputs = vec![loss];
        outputs.extend(gradient(loss, &ws).unwrap());
        Program::<f64>::compile(&outputs).unwrap().product_flops()
    };
    (count(loss), count(optimize(&[loss], &ws).unwrap()[0]))
}

#[test]
fn deep_linear_networks_take_their_cheapest_order() {
    let (written, best) = flops(&[512, 64, 512, 32, 10], 512);
    assert_eq!((written as f64 / 1e5).round() / 10.0, 219.1);
    assert_eq!((best as f64 / 1e5).round() / 10.0, 15.4);
    let cases: [(&[usize], usize, f64); 5] = [
        (&[512, 64, 512, 32, 10], 512, 0.070),
        (&[1024, 16, 1024, 16, 1024], 512, 0.467),
        (&[784, 256, 64, 10], 6000, 0.037),
        (&[64; 7], 4096, 0.131),
        (&[64; 7], 64, 1.000),
    ];
    for (widths, samples, ratio) in cases {
        let (written, best) = flops(widths, samples);
        let found = best as f64 / written as f64;
        assert!((found - ratio).abs() < 5e-4, "{widths:?}, N = {samples}: {found:.4}, not {ratio}");
    }
}

#[test]
fn what_cannot_be_improved_stays_as_it_is() {
    let tape = Tape::new();
    let square = |name| tape.input(name, (8, 8));
    let (a, b, c, x) = (square("A"), square("B"), square("C"), tape.input("x", (8, 1)));
    for loss in [a.trace(), (a * (b * (c * x))).norm_squared(), a.tanh().sum()] {
        assert!(optimize(&[loss], &[a, b]).unwrap()[0].same(loss), "{loss}");
    }
}

#[test]
fn what_is_used_elsewhere_named_or_asked_for_is_not_taken_apart() {
    let tape = Tape::new();
    let (a, b, x) = (tape.input("A", (9, 9)), tape.input("B", (9, 9)), tape.input("x", (9, 1)));
    let shared = a * b;
    let loss = (shared * x).norm_squared() + shared.trace();
    assert!(optimize(&[loss], &[a]).unwrap()[0].same(loss));
    let named = (b * a).named("M");
    let loss = (named * x).norm_squared();
    assert!(optimize(&[loss], &[a]).unwrap()[0].same(loss));
    let asked = a.t() * b;
    let loss = (asked * x).norm_squared();
    let cheap = optimize(&[loss], &[asked]).unwrap()[0];
    assert_eq!(gradient(cheap, &[asked]).unwrap()[0].to_string(), "2 Aᵀ B x xᵀ");
    // Asked for in the factors only, it is.
    assert!(!optimize(&[loss], &[a]).unwrap()[0].same(loss));
}

/// Values, gradients and second order of expressions in which chains are nested, shared and transposed.
#[test]
fn the_order_changes_nothing_but_rounding() {
    type Build = for<'t> fn(Var<'t>, Var<'t>, Var<'t>, Var<'t>) -> Var<'t>;
    let cases: &[Build] = &[
        |a, b, c, u| (a * b * c * u).norm_squared(),
        |a, b, c, u| ((a * b * c).t() * a * u.repeat_cols(1).t().t()).tanh().sum() + 0.0 * b.sum(),
        |a, b, c, u| ((a * b).tanh() * c * u).exp().sum() + (a * b * c).trace(),
        |a, b, c, u| u.t() * (b * c).t() * (a.t() * u) * (u.t() * b * c * a * u),
        |a, b, c, u| (2.0 * (a * b) * (c.t() * b.t() * u)).norm() + (a * (b * (c * (a * u)))).sum(),
    ];
    for build in cases {
        let tape = Tape::new();
        let square = |name| tape.input(name, (5, 5));
        let (a, b, c, u) = (square("A"), square("B"), square("C"), tape.input("u", (5, 1)));
        let loss = build(a, b, c, u);
        let cheap = optimize(&[loss], &[a, u]).unwrap()[0];
        let values = [("A", 5, 1), ("B", 5, 2), ("C", 5, 3), ("u", 1, 4)]
            .map(|(name, cols, seed)| (name, check::random::<f64>(5, cols, seed)));
        let all = |loss| -> Vec<_> {
            let mut outputs = vec![loss];
            outputs.extend(gradient(loss, &[a, u]).unwrap());
            outputs.extend(hvp(loss, &[(a, b), (u, u)]).unwrap());
            let bound: Vec<(&str, MatRef<'_, f64>)> =
                values.iter().map(|(name, m)| (*name, m.as_ref())).collect();
            evaluate(&outputs, &bound).unwrap()
        };
        for (written, best) in all(loss).iter().zip(all(cheap)) {
            let error = (written - &best).norm_max() / written.norm_max().max(1.0);
            assert!(error < 1e-11, "{loss}: {error:e}");
        }
    }
}

/// `R X S`, where `X S` is computed anyway: value and gradient of `‖X S Xᵀ − T‖²` take three products.
#[test]
fn products_that_are_there_already_are_used() {
    let tape = Tape::new();
    let (x, s, t) = (tape.input("X", (20, 20)), tape.symmetric("S", 20), tape.symmetric("T", 20));
    let loss = (x * s * x.t() - t).norm_squared();
    let outputs = [loss, gradient(loss, &[x]).unwrap()[0]];
    let flops = |outputs: &[Var<'_>]| Program::<f64>::compile(outputs).unwrap().product_flops();
    let product = 2 * 20 * 20 * 20;
    assert_eq!(flops(&outputs), 5 * product);
    let cheap = optimize(&outputs, &[]).unwrap();
    assert_eq!(flops(&cheap), 3 * product);
    assert!(distance(&outputs, &cheap, 3) < 1e-12);
    // What nobody else computes is not computed for it.
    let u = tape.input("u", (20, 1));
    let outputs = [x * s * u, x * t];
    assert_eq!(flops(&optimize(&outputs, &[]).unwrap()), product + 4 * 20 * 20);
}
