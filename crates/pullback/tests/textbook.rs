//! The derivations of the textbooks in numbers: each gradient against its closed form, written with faer's own
//! operators. The formulas as they print are tested in the crate `pullback-rules`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback::faer::linalg::solvers::{PartialPivLu, Solve};
use pullback::faer::{Mat, MatRef};
use pullback::prelude::*;
use std::collections::BTreeMap;
use std::ops::Index;

/// Extents that differ.
const M: usize = 4;
const N: usize = 6;
const P: usize = 9;

/// The matrices bound, by name.
struct Given(BTreeMap<String, Mat<f64>>);

impl Index<&str> for Given {
    type Output = Mat<f64>;
    fn index(&self, name: &str) -> &Mat<f64> {
        &self.0[name]
    }
}

type Build = for<'t> fn(&'t Tape) -> Result<Var<'t>, Error>;
type Value = fn(&Given) -> Mat<f64>;

fn in_one<'t>(loss: Var<'t>, x: Var<'t>) -> Result<Var<'t>, Error> {
    Ok(gradient(loss, &[x])?[0])
}

fn inv(a: &Mat<f64>) -> Mat<f64> {
    PartialPivLu::new(a.as_ref()).solve(Mat::<f64>::identity(a.nrows(), a.nrows()))
}

fn map(a: &Mat<f64>, f: impl Fn(f64) -> f64) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| f(a[(i, j)]))
}

/// Rows of a shape, to be asked for by name.
trait Inputs {
    fn of(&self, name: &str, rows: usize, cols: usize) -> Var<'_>;

    /// n×n
    fn square(&self, name: &str) -> Var<'_> {
        self.of(name, N, N)
    }
    /// n×1
    fn column(&self, name: &str) -> Var<'_> {
        self.of(name, N, 1)
    }
    /// n×p
    fn matrix(&self, name: &str) -> Var<'_> {
        self.of(name, N, P)
    }
}

impl Inputs for Tape {
    fn of(&self, name: &str, rows: usize, cols: usize) -> Var<'_> {
        self.input(name, (rows, cols))
    }
}

const CASES: &[(&str, Build, Value)] = &[
    ("x²", |t| in_one(t.of("x", 1, 1).square(), t.of("x", 1, 1)), |g| 2.0 * &g["x"]),
    (
        "xᵀ Q x in x",
        |t| in_one(t.column("x").t() * t.square("Q") * t.column("x"), t.column("x")),
        |g| (&g["Q"] + g["Q"].transpose()) * &g["x"],
    ),
    (
        "xᵀ Q x in Q",
        |t| in_one(t.column("x").t() * t.square("Q") * t.column("x"), t.square("Q")),
        |g| &g["x"] * g["x"].transpose(),
    ),
    (
        "‖Y − βᵀ X‖² in β",
        |t| {
            let beta = t.of("β", N, M);
            in_one((t.of("Y", M, P) - beta.t() * t.matrix("X")).norm_squared(), beta)
        },
        |g| 2.0 * &g["X"] * (g["X"].transpose() * &g["β"] - g["Y"].transpose()),
    ),
    (
        "‖y − W x‖² in W",
        |t| {
            let w = t.of("W", M, N);
            in_one((t.of("y", M, 1) - w * t.column("x")).norm_squared(), w)
        },
        |g| 2.0 * (&g["W"] * &g["x"] - &g["y"]) * g["x"].transpose(),
    ),
    (
        "det M",
        |t| in_one(t.square("M").det(), t.square("M")),
        |g| g["M"].determinant() * inv(&g["M"]).transpose(),
    ),
    (
        "log det M",
        |t| in_one(t.square("M").log_det(), t.square("M")),
        |g| inv(&g["M"]).transpose().to_owned(),
    ),
    (
        "yᵀ K⁻¹ y + log det K in K",
        |t| {
            let (k, y) = (t.square("K"), t.column("y"));
            in_one(y.t() * k.solve(y) + k.log_det(), k)
        },
        |g| {
            let k = inv(&g["K"]);
            let alpha = k.transpose() * &g["y"];
            k.transpose() - &alpha * (&k * &g["y"]).transpose()
        },
    ),
    (
        "yᵀ K⁻¹ y in y",
        |t| in_one(t.column("y").inner(t.square("K").solve(t.column("y"))), t.column("y")),
        |g| (inv(&g["K"]) + inv(&g["K"]).transpose()) * &g["y"],
    ),
    (
        "tr(A X⁻¹)",
        |t| in_one((t.square("A") * t.square("X").inv()).trace(), t.square("X")),
        |g| -(inv(&g["X"]) * &g["A"] * inv(&g["X"])).transpose().to_owned(),
    ),
    (
        "tr(Xᵀ A X)",
        |t| in_one((t.matrix("X").t() * t.square("A") * t.matrix("X")).trace(), t.matrix("X")),
        |g| (&g["A"] + g["A"].transpose()) * &g["X"],
    ),
    (
        "tr(X³)",
        |t| in_one((t.square("X") * t.square("X") * t.square("X")).trace(), t.square("X")),
        |g| 3.0 * (&g["X"] * &g["X"]).transpose(),
    ),
    ("‖X‖", |t| in_one(t.matrix("X").norm(), t.matrix("X")), |g| &g["X"] / g["X"].norm_l2()),
    (
        "cross-entropy",
        |t| {
            let (w, x, y) = (t.of("W", M, N), t.matrix("X"), t.of("Y", M, P));
            in_one((w * x).log_sum_exp().sum() - y.inner(w * x), w)
        },
        |g| {
            let exp = map(&(&g["W"] * &g["X"]), f64::exp);
            let sums = Mat::full(1, M, 1.0) * &exp;
            let softmax = Mat::from_fn(M, P, |i, j| exp[(i, j)] / sums[(0, j)]);
            (softmax - &g["Y"]) * g["X"].transpose()
        },
    ),
    (
        "a layer of tanh",
        |t| {
            let (w, x, y) = (t.of("W", M, N), t.matrix("X"), t.of("Y", M, P));
            in_one(0.5 * ((w * x).tanh() - y).norm_squared(), w)
        },
        |g| {
            let h = map(&(&g["W"] * &g["X"]), f64::tanh);
            Mat::from_fn(M, P, |i, j| (h[(i, j)] - g["Y"][(i, j)]) * (1.0 - h[(i, j)].powi(2)))
                * g["X"].transpose()
        },
    ),
    (
        "A⁻¹ along E",
        |t| Ok(pullback::jvp(t.square("A").inv(), &[(t.square("A"), t.square("E"))])?),
        |g| -(inv(&g["A"]) * &g["E"] * inv(&g["A"])),
    ),
    (
        "the Hessian of log det along V",
        |t| Ok(hvp(t.square("A").log_det(), &[(t.square("A"), t.square("V"))])?[0]),
        |g| -(inv(&g["A"]) * &g["V"] * inv(&g["A"])).transpose().to_owned(),
    ),
    (
        "the Hessian of least squares along V",
        |t| {
            let (w, x, y) = (t.of("W", M, N), t.matrix("X"), t.of("Y", M, P));
            Ok(hvp(0.5 * (w * x - y).norm_squared(), &[(w, t.of("V", M, N))])?[0])
        },
        |g| &g["V"] * &g["X"] * g["X"].transpose(),
    ),
];

/// Random matrices, square ones with a heavy diagonal.
fn random_inputs(tape: &Tape) -> Given {
    let matrix = |seed, rows, cols| {
        let mut matrix = check::random::<f64>(rows, cols, seed);
        (0..if rows == cols { rows } else { 0 }).for_each(|i| matrix[(i, i)] += 4.0);
        matrix
    };
    let inputs = (1..).zip(tape.inputs());
    Given(inputs.map(|(seed, (name, shape))| (name, matrix(seed, shape.rows, shape.cols))).collect())
}

#[test]
fn gradients_are_the_closed_forms() {
    for (name, build, value) in CASES {
        let tape = Tape::new();
        let gradient = build(&tape).unwrap();
        let given = random_inputs(&tape);
        let mut program = Program::<f64>::compile(&[gradient]).unwrap();
        let bound: Vec<_> = given.0.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect();
        let [got] = program.run(&bound).unwrap().matrices().unwrap();
        let wanted = value(&given);
        let error = (got - &wanted).norm_max() / wanted.norm_max();
        assert!(error <= 1e-13, "{name}: {gradient} is off by {error:e}");
    }
}

/// `W_{k+1:}ᵀ ∇L(W) W_{:k}ᵀ`, for depths 1 to 8 and both bracketings, with `L(W) = ½‖W X − Y‖²`.
#[test]
fn deep_linear_networks() {
    for depth in 1..=8 {
        for from_the_right in [false, true] {
            let tape = Tape::new();
            let (x, y) = (tape.input("X", (2, P)), tape.input("Y", (depth + 2, P)));
            let weight = |k: usize| tape.input(&format!("W{k}"), (k + 2, k + 1));
            let weights: Vec<_> = (1..=depth).map(weight).collect();
            let product = if from_the_right {
                weights.iter().copied().reduce(|product, w| w * product)
            } else {
                weights.iter().rev().copied().reduce(|product, w| product * w)
            };
            let loss = 0.5 * (product.unwrap() * x - y).norm_squared();

            let given = random_inputs(&tape);
            let bound: Vec<_> = given.0.iter().map(|(name, m)| (name.as_str(), m.as_ref())).collect();
            let (value, gradients) = value_and_gradients(loss, &weights, &bound).unwrap();

            let times = |layers: std::ops::RangeInclusive<usize>, extent: usize| {
                layers.fold(Mat::<f64>::identity(extent, extent), |product, k| {
                    &given[&format!("W{k}")] * product
                })
            };
            let (x, y): (MatRef<'_, f64>, _) = (given["X"].as_ref(), &given["Y"]);
            let residual = times(1..=depth, 2) * x - y;
            let outer = &residual * x.transpose();
            let wanted = 0.5 * residual.squared_norm_l2();
            assert!((value - wanted).abs() <= 1e-13 * wanted, "L = {depth}: {value} {wanted}");
            for (k, gradient) in (1..).zip(gradients) {
                let after = times(k + 1..=depth, k + 2);
                let before = times(1..=k - 1, 2);
                let wanted = after.transpose() * &outer * before.transpose();
                let error = (&gradient - &wanted).norm_max() / wanted.norm_max();
                assert!(error <= 1e-13, "L = {depth}, k = {k}: off by {error:e}");
            }
        }
    }
}
