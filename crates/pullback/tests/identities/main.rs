//! Identities between whole expressions at random matrices: both sides agree, and so do their derivatives.
//!
//! The sides are computed by different operations, whose rules have nothing to do with each other: where they agree, each
//! tests the other.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod algebra;
mod equations;
mod factors;
mod functions;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use pullback::faer::Mat;
use pullback::prelude::*;
use pullback::{Scalar, Structure};

/// What the square matrices of an identity are made of; the others are random.
#[derive(Clone, Copy, PartialEq)]
enum Domain {
    Any,
    /// Singular values between 1/√κ and √κ.
    Regular,
    /// `S + K` with a definite S, whose eigenvalues lie between 1/√κ and √κ, and a skew K: all eigenvalues are on the right.
    Right,
    /// So small that everything converges: `‖A‖ ≤ 1/2`.
    Small,
}

struct Identity {
    name: &'static str,
    domain: Domain,
    /// The largest extent, at most 8.
    most: usize,
    /// Both sides, given three extents.
    sides: for<'t> fn(&'t Tape, [usize; 3]) -> [Var<'t>; 2],
}

const fn identity(
    name: &'static str,
    domain: Domain,
    sides: for<'t> fn(&'t Tape, [usize; 3]) -> [Var<'t>; 2],
) -> Identity {
    Identity { name, domain, most: 8, sides }
}

impl Identity {
    /// With matrices of at most this extent.
    const fn up_to(self, most: usize) -> Self {
        Identity { most, ..self }
    }
}

/// Inputs of an extent.
trait Inputs {
    fn square(&self, name: &str, n: usize) -> Var<'_>;
    fn column(&self, name: &str, n: usize) -> Var<'_>;
    fn number(&self, name: &str) -> Var<'_>;
}

impl Inputs for Tape {
    fn square(&self, name: &str, n: usize) -> Var<'_> {
        self.input(name, (n, n))
    }
    fn column(&self, name: &str, n: usize) -> Var<'_> {
        self.input(name, (n, 1))
    }
    fn number(&self, name: &str) -> Var<'_> {
        self.input(name, (1, 1))
    }
}

fn symmetrized(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| 0.5 * (a[(i, j)] + a[(j, i)]))
}

/// A product of two reflections.
fn orthogonal(n: usize, seed: u64) -> Mat<f64> {
    let reflection = |seed| {
        let u: Mat<f64> = check::random(n, 1, seed);
        Mat::<f64>::identity(n, n) - (2.0 / u.squared_norm_l2()) * &u * u.transpose()
    };
    reflection(seed) * reflection(seed + 1)
}

/// A matrix of the domain with the condition κ at most.
fn matrix(domain: Domain, structure: Structure, (m, n): (usize, usize), kappa: f64, seed: u64) -> Mat<f64> {
    let random: Mat<f64> = check::random(m, n, seed);
    if m != n || n == 0 {
        return random;
    }
    let spectrum: Mat<f64> = check::random(n, 1, seed + 100);
    let scaled = |q: &Mat<f64>| Mat::from_fn(n, n, |i, j| q[(i, j)] * kappa.powf(0.5 * spectrum[(j, 0)]));
    let q = orthogonal(n, seed + 200);
    let definite = symmetrized(&(scaled(&q) * q.transpose()));
    match domain {
        _ if structure >= Structure::Semidefinite => definite,
        Domain::Right if structure == Structure::Symmetric => definite,
        _ if structure == Structure::Symmetric && n > 1 => symmetrized(&random),
        Domain::Any => random,
        Domain::Regular => scaled(&q) * orthogonal(n, seed + 300),
        Domain::Right => definite + 0.5 * (&random - random.transpose()),
        Domain::Small => (0.5 / random.norm_l2()) * random,
    }
}

/// How many units both sides may differ, relative to their size. A unit is the machine precision times the condition κ times
/// the largest extent; for gradients it is κ times as large, and relative to `‖G‖ ‖side‖/‖input‖` too. The worst below takes
/// half of it.
const ALLOWED: f64 = 64.0;

fn compare<T: Scalar>(identity: &Identity, extents: [usize; 3], kappa: f64, seed: u64) -> Result<(), String> {
    let tape = Tape::new();
    let [left, right] = (identity.sides)(&tape, extents);
    let inputs = tape.inputs();
    let left = left.check().map_err(|error| error.to_string())?;
    let right = right.check().map_err(|error| error.to_string())?;
    if left.shape() != right.shape() {
        return Err(format!("{} is not {}", left.shape(), right.shape()));
    }
    let wrt: Vec<_> = inputs.iter().map(|(name, shape)| tape.input(name, *shape)).collect();
    let g = tape.input("G", left.shape());
    let values: Vec<_> = (1..)
        .zip(wrt.iter().chain([&g]))
        .map(|(k, x)| {
            let domain = if x.same(g) { Domain::Any } else { identity.domain };
            let shape = (x.rows(), x.cols());
            let value = matrix(domain, x.structure(), shape, kappa, seed.wrapping_mul(1000).wrapping_add(k));
            Mat::from_fn(shape.0, shape.1, |i, j| T::from_f64(value[(i, j)]))
        })
        .collect();
    let [of_left, of_right] = [left, right].map(|side| gradient(g.inner(side), &wrt));
    let of_left = of_left.map_err(|error| error.to_string())?;
    let of_right = of_right.map_err(|error| error.to_string())?;
    let gradients = of_left.into_iter().zip(of_right).flat_map(|(left, right)| [left, right]);
    let outputs: Vec<_> = [left, right].into_iter().chain(gradients).collect();
    let names: Vec<_> = inputs.iter().map(|(name, _)| name.as_str()).chain(["G"]).collect();
    for outputs in [outputs.clone(), optimize(&outputs, &[]).map_err(|error| error.to_string())?] {
        let mut program = Program::<T>::compile(&outputs).map_err(|error| error.to_string())?;
        let known: Vec<_> = program.inputs().map(|(name, _)| name.to_owned()).collect();
        let bound = names.iter().copied().zip(values.iter().map(|value| value.as_ref()));
        let bound: Vec<_> = bound.filter(|(name, _)| known.iter().any(|k| k == name)).collect();
        let run = program.run(&bound).map_err(|error| error.to_string())?;
        let found: Vec<_> = run.iter().collect();
        let norm = |k: usize| found[k].norm_l2().to_f64();
        let distance = |k: usize| (found[k] - found[k + 1]).norm_l2().to_f64();
        let unit =
            ALLOWED * T::EPSILON.to_f64() * kappa * extents.into_iter().max().unwrap_or(0).max(1) as f64;
        let (off, scale) = (distance(0), norm(0) + norm(1));
        // Written so that a NaN fails.
        let holds = off <= unit * scale;
        if !holds {
            return Err(format!(
                "{left}\n= {right}: off by {off:e} of {scale:e}, {:.1} units",
                off / unit / scale
            ));
        }
        for (k, (x, value)) in wrt.iter().zip(&values).enumerate() {
            let k = 2 + 2 * k;
            let size = value.norm_l2().to_f64();
            let natural = values[wrt.len()].norm_l2().to_f64() * scale;
            let scale = norm(k) + norm(k + 1) + if size > 0.0 { natural / size } else { 0.0 };
            let off = distance(k);
            let holds = off <= unit * kappa * scale;
            if !holds {
                return Err(format!(
                    "{left}\n= {right}: the gradients in {x}\n{}\n= {}: off by {off:e} of {scale:e}, {:.1} units",
                    outputs[k],
                    outputs[k + 1],
                    off / (unit * kappa * scale)
                ));
            }
        }
    }
    Ok(())
}

/// At random extents, conditions and matrices, the same each time; a failure is shrunk.
fn hold<T: Scalar>(identities: &[Identity], worst: f64) {
    let mut failures = Vec::new();
    for identity in identities {
        let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let extents = [0..=identity.most, 0..=identity.most, 0..=identity.most];
        let inputs = (extents, 0.0..=worst.log10(), 0..u64::from(u32::MAX));
        let result = runner.run(&inputs, |(extents, condition, seed)| {
            compare::<T>(identity, extents, 10f64.powf(condition), seed).map_err(TestCaseError::fail)
        });
        if let Err(error) = result {
            failures.push(format!("{}: {error}", identity.name));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn identities_of_products_inverses_and_determinants() {
    hold::<f64>(algebra::IDENTITIES, 1e3);
    hold::<f32>(algebra::IDENTITIES, 3.0);
}

#[test]
fn identities_of_functions_of_matrices() {
    hold::<f64>(functions::IDENTITIES, 1e2);
    hold::<f32>(functions::IDENTITIES, 3.0);
}

#[test]
fn identities_of_matrix_equations() {
    hold::<f64>(equations::IDENTITIES, 1e2);
    hold::<f32>(equations::IDENTITIES, 3.0);
}

#[test]
fn identities_of_factors() {
    hold::<f64>(factors::IDENTITIES, 1e2);
    hold::<f32>(factors::IDENTITIES, 3.0);
}

#[test]
fn what_is_no_identity_is_refused() {
    let wrong = [
        identity("a value", Domain::Right, |t, [n, _, _]| {
            [t.square("A", n).sqrtm() * t.square("A", n).sqrtm(), (1.0 + 1e-9) * t.square("A", n)]
        }),
        identity("a derivative", Domain::Right, |t, [n, _, _]| {
            let a = t.square("A", n);
            [a.stop_gradient() * a, a * a]
        }),
        identity("a NaN", Domain::Right, |t, [n, _, _]| {
            let a = t.square("A", n);
            [a + (-a.square() - 1.0).sqrt(), a]
        }),
    ];
    for identity in &wrong {
        assert!(compare::<f64>(identity, [3, 3, 3], 2.0, 1).is_err(), "{}", identity.name);
    }
}

/// `‖A‖₂ ≤ ‖A‖_F ≤ ‖A‖_* ≤ √k ‖A‖_F ≤ k ‖A‖₂`, `‖A‖₂² ≤ ‖A‖₁ ‖A‖_∞` and `max |aᵢⱼ| ≤ ‖A‖₂` of an m×n matrix,
/// k = min(m, n) (Golub & Van Loan, *Matrix Computations*, §2.3).
#[test]
fn norms_are_in_order() {
    for (m, n) in (0..=8).flat_map(|m| (0..=8).map(move |n| (m, n))) {
        let tape = Tape::new();
        let a = tape.input("A", (m, n));
        let norms = [
            a.spectral_norm(),
            a.norm(),
            a.nuclear_norm(),
            a.norm_1(),
            a.norm_inf(),
            a.norm_max(),
            a.schatten_norm(3.0),
        ];
        let mut program = Program::<f64>::compile(&norms).unwrap();
        for seed in 0..8 {
            let value = check::random::<f64>(m, n, seed);
            let run = program.run(&[("A", value.as_ref())]).unwrap();
            let [two, frobenius, nuclear, one, infinity, largest, three] =
                [0, 1, 2, 3, 4, 5, 6].map(|k| run.scalar(k).unwrap());
            let k = m.min(n) as f64;
            let order = [largest, two, three, frobenius, nuclear, k.sqrt() * frobenius, k * two];
            assert!(order.is_sorted_by(|x, y| *x <= y * (1.0 + 1e-14)), "{m}×{n}: {order:?}");
            assert!(two * two <= one * infinity * (1.0 + 1e-14), "{m}×{n}: {two} {one} {infinity}");
        }
    }
}
