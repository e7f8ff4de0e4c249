//! Eigenvalues, eigenvectors and functions of symmetric matrices where eigenvalues coincide, or almost.

#![allow(missing_docs, clippy::unwrap_used)]

use pullback::errors::EngineError;
use pullback::faer::{Mat, mat};
use pullback::prelude::*;
use pullback::{Function, Scalar};

/// `Q Diag(values) Qᵀ` with a reflection Q.
fn with_eigenvalues(values: &[f64]) -> Mat<f64> {
    let n = values.len();
    let u: Vec<f64> = (0..n).map(|i| 1.0 + (i as f64).sin()).collect();
    let norm: f64 = u.iter().map(|x| x * x).sum();
    let q = |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * u[i] * u[j] / norm;
    let entry = |i, j| (0..n).map(|k| q(i, k) * values[k] * q(j, k)).sum::<f64>();
    Mat::from_fn(n, n, |i, j| 0.5 * (entry(i, j) + entry(j, i)))
}

fn run<T: Scalar>(y: Var<'_>, inputs: &[(&str, &Mat<T>)]) -> Result<Mat<T>, Error> {
    let inputs: Vec<_> = inputs.iter().map(|(name, matrix)| (*name, matrix.as_ref())).collect();
    let mut program = Program::<T>::compile(&[y])?;
    let [value] = program.run(&inputs)?.matrices()?;
    Ok(value.to_owned())
}

fn distance(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (a - b).norm_max()
}

type Curve = fn(Var<'_>) -> Var<'_>;

/// The derivative of a function of Diag(x, x + h) along the exchange of both is the divided difference.
fn difference<T: Scalar>(f: Curve, x: T, y: T) -> T {
    let tape = Tape::new();
    let (a, e) = (tape.symmetric("A", 2), tape.symmetric("E", 2));
    let derivative = jvp(a.symmetric_function(f), &[(a, e)]).unwrap();
    let zero = T::default();
    let one = T::from_f64(1.0);
    let a = mat![[x, zero], [zero, y]];
    let e = mat![[zero, one], [one, zero]];
    run::<T>(derivative, &[("A", &a), ("E", &e)]).unwrap()[(0, 1)]
}

#[test]
fn divided_differences_are_accurate_at_every_gap() {
    let mut gaps: Vec<f64> = (-40..=4).map(|k| 10f64.powf(0.4 * f64::from(k))).collect();
    gaps.push(0.0);
    for &h in &gaps {
        let x = 0.3f64;
        let y = x + h;
        let h = y - x;
        let over = |f: f64, limit: f64| if h == 0.0 { limit } else { f / h };
        let cases: [(&str, Curve, f64); 6] = [
            ("exp", |x| x.exp(), over(h.exp_m1(), 1.0) * x.exp()),
            ("ln", |x| x.ln(), over((h / x).ln_1p(), 1.0 / x)),
            ("sqrt", |x| x.sqrt(), 1.0 / (x.sqrt() + y.sqrt())),
            ("recip", |x| x.recip(), -1.0 / (x * y)),
            ("cube", |x| x.powf(3.0), x * x + x * y + y * y),
            ("tanh", |x| x.tanh(), over(h.tanh(), 1.0) * (1.0 - x.tanh() * y.tanh())),
        ];
        for (name, f, right) in cases {
            let found = difference(f, x, y);
            let error = (found - right).abs() / right.abs();
            assert!(error < 2e-13, "{name}, gap {h:e}: {found} instead of {right}, off by {error:e}");
            let (x, y) = (x as f32, y as f32);
            if y == x || y - x > 1e-2 {
                continue;
            }
            let found = f64::from(difference::<f32>(f, x, y));
            assert!((found - right).abs() < 2e-5 * right.abs(), "{name} in f32, gap {h:e}: {found}, {right}");
        }
    }
}

#[test]
fn divided_differences_meet_kinks() {
    for h in [1e-12, 1e-6, 1e-3, 0.4] {
        for part in [0.1, 0.5, 0.9] {
            let (x, y) = (-part * h, (1.0 - part) * h);
            assert!((difference(|x| x.abs(), x, y) - (1.0 - 2.0 * part)).abs() < 1e-12);
            assert!((difference(|x| x.relu(), x, y) - (1.0 - part)).abs() < 1e-12);
        }
    }
    let clamped = difference(|x| x.clamp(1.0, 5.0), 0.9, 1.05);
    assert!((clamped - 1.0 / 3.0).abs() < 1e-12, "{clamped}");
}

#[test]
fn second_divided_differences_are_accurate_at_every_gap() {
    for k in -40..=2 {
        let h = if k == -40 { 0.0 } else { 10f64.powf(0.4 * f64::from(k)) };
        let tape = Tape::new();
        let (a, e, f) = (tape.symmetric("A", 3), tape.symmetric("E", 3), tape.symmetric("F", 3));
        let first = jvp(a.symmetric_function(|x| x.exp()), &[(a, e)]).unwrap();
        let second = jvp(first, &[(a, f)]).unwrap();
        let x = 0.25;
        let a = mat![[x, 0.0, 0.0], [0.0, x + h, 0.0], [0.0, 0.0, x + 2.0 * h]];
        let e = mat![[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]];
        let f = mat![[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]];
        let found = run(second, &[("A", &a), ("E", &e), ("F", &f)]).unwrap()[(0, 2)];
        let h = a[(1, 1)] - a[(0, 0)];
        // x + 2h is rounded too, which moves the exact value by less than the tolerance.
        let right = if h == 0.0 { 0.5 } else { 0.5 * (h.exp_m1() / h).powi(2) } * x.exp();
        assert!((found - right).abs() < 1e-11 * right, "gap {h:e}: {found} instead of {right}");
    }
}

#[test]
fn functions_of_multiples_of_the_identity_are_exact() {
    let tape = Tape::new();
    let (a, b) = (tape.symmetric("A", 3), tape.symmetric("B", 3));
    let f = a.symmetric_function(|x| x.exp());
    let loss = b.inner(f * f);
    let g = gradient(loss, &[a]).unwrap()[0];
    let h = hvp(loss, &[(a, b)]).unwrap()[0];
    let a = mat![[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]];
    let b = with_eigenvalues(&[1.0, -2.0, 0.7]);
    // ⟨B, exp(2A)⟩ at A = ½ I: 2e B, and as everything commutes with B, 4e B².
    let e = 1f64.exp();
    let found = run(g, &[("A", &a), ("B", &b)]).unwrap();
    assert!(distance(&found, &(2.0 * e * &b)) < 1e-13);
    let found = run(h, &[("A", &a), ("B", &b)]).unwrap();
    assert!(distance(&found, &(4.0 * e * &b * &b)) < 1e-12);
}

#[test]
fn reconstruction_and_spectral_functions_are_exact_where_eigenvalues_coincide() {
    let tape = Tape::new();
    let (a, b) = (tape.symmetric("A", 4), tape.symmetric("B", 4));
    let (values, vectors) = a.eigen();
    let d = values.diag();
    let rows = vectors.mul_row(values.t());
    for rebuilt in
        [vectors * d * vectors.t(), vectors * (d * vectors.t()), rows * vectors.t(), vectors * rows.t()]
    {
        assert!(rebuilt.same(a));
    }
    let squared = vectors * (2.0 * values.square()).diag() * vectors.t();
    assert_eq!(squared.to_string(), "2 fun(λ(A)∘²)");
    let loss = b.inner(squared);
    let g = gradient(loss, &[a]).unwrap()[0];
    let matrix = with_eigenvalues(&[1.0, 1.0, 1.0, 3.0]);
    let direction = with_eigenvalues(&[0.3, -1.0, 2.0, 0.0]);
    let found = run(g, &[("A", &matrix), ("B", &direction)]).unwrap();
    let right = 2.0 * (&matrix * &direction + &direction * &matrix);
    assert!(distance(&found, &right) < 1e-13);
    assert!((vectors * vectors.t()).same(tape.identity(4)) && (vectors.t() * vectors).same(tape.identity(4)));
}

#[test]
fn sums_over_the_spectrum_have_gradients_where_eigenvalues_coincide() {
    let tape = Tape::new();
    let a = tape.symmetric("A", 4);
    let loss = a.eigenvalues().exp().sum();
    let trace = a.symmetric_function(|x| x.exp()).trace();
    // A gradient of such a sum is a function of the matrix, which has derivatives of its own.
    assert_eq!(gradient(3.0 * loss, &[a]).unwrap()[0].to_string(), "3 fun(exp(λ(A)))");
    assert!(gradient(0.5 * a.eigenvalues().square().sum(), &[a]).unwrap()[0].same(a));
    assert!(gradient(a.eigenvalues().sum(), &[a]).unwrap()[0].same(tape.identity(4)));
    let b = tape.input("B", (4, 3));
    assert!(gradient(0.5 * b.singular_values().square().sum(), &[b]).unwrap()[0].same(b));
    assert_eq!(gradient(trace, &[a]).unwrap()[0].to_string(), "fun(exp(λ(A)))");
    let matrix = with_eigenvalues(&[0.5, 0.5, -1.0, 0.5]);
    let right = with_eigenvalues(&[0.5f64.exp(), 0.5f64.exp(), (-1f64).exp(), 0.5f64.exp()]);
    for loss in [loss, trace] {
        let found = run(gradient(loss, &[a]).unwrap()[0], &[("A", &matrix)]).unwrap();
        assert!(distance(&found, &right) < 1e-13);
    }
}

#[test]
fn projectors_on_whole_clusters_have_gradients() {
    let tape = Tape::new();
    let (a, b) = (tape.symmetric("A", 4), tape.symmetric("B", 4));
    let cluster = a.eigenvectors().slice(.., 1..3);
    let g = gradient(b.inner(cluster * cluster.t()), &[a]).unwrap()[0];
    let matrix = with_eigenvalues(&[2.0, 1.0, 2.0, 4.0]);
    let direction = with_eigenvalues(&[0.3, -1.0, 2.0, 0.5])
        + mat![[0.0, 1.0, 0.0, 2.0], [1.0, 0.0, 0.5, 0.0], [0.0, 0.5, 0.0, 0.0], [2.0, 0.0, 0.0, 1.0]];
    let found = run(g, &[("A", &matrix), ("B", &direction)]).unwrap();
    // The projector is a polynomial in A: (A − 1)(A − 4)/((2 − 1)(2 − 4)) for as long as the others stay what they are; its
    // derivative is that of the contour integral, P ε S + S ε P with the reduced resolvent S.
    let identity = Mat::<f64>::identity(4, 4);
    let p = -0.5 * (&matrix - &identity) * (&matrix - 4.0 * &identity);
    let p1 = (&matrix - 2.0 * &identity) * (&matrix - 4.0 * &identity) / 3.0;
    let p4 = (&matrix - 2.0 * &identity) * (&matrix - &identity) / 6.0;
    let s = &p1 - 0.5 * &p4;
    let right = &p * &direction * &s + &s * &direction * &p;
    assert!(distance(&found, &right) < 1e-13, "{:e}", distance(&found, &right));
}

#[test]
fn what_depends_on_the_choice_of_vectors_is_an_error() {
    let tape = Tape::new();
    let (a, b) = (tape.symmetric("A", 3), tape.input("B", (3, 3)));
    let matrix = with_eigenvalues(&[2.0, 1.0, 2.0]);
    let other = Mat::from_fn(3, 3, |i, j| (i + 2 * j) as f64);
    let losses = [a.eigenvalues().entry(1, 0), b.inner(a.eigenvectors())];
    for loss in losses {
        let g = gradient(loss, &[a]).unwrap()[0];
        let inputs = [("A", &matrix), ("B", &other)];
        let needed = if loss.to_string().contains('B') { &inputs[..] } else { &inputs[..1] };
        let error = run(g, needed);
        let Err(Error::Engine(EngineError::Coincide { first, second, gap, ref formula, location, .. })) =
            error
        else {
            panic!("{loss}: {error:?}")
        };
        assert_eq!((first, second), (1, 2));
        assert!(gap < 1e-14 && location.file().ends_with("spectrum.rs"));
        assert_eq!(formula, "λ(A)");
    }
}

#[test]
fn a_function_has_to_be_one_of_each_eigenvalue_alone() {
    let tape = Tape::new();
    let (a, s, c) = (tape.symmetric("A", 3), tape.input("s", (1, 1)), tape.input("c", (3, 1)));
    for mistake in [
        a.symmetric_function(|x| x * s),
        a.symmetric_function(|x| x.hadamard(c)),
        a.symmetric_function(|x| x.cumulative_sums()),
        a.symmetric_function(|x| x.sum()),
        a.symmetric_function(|_| c),
    ] {
        let message = mistake.check().unwrap_err().to_string();
        assert!(message.contains("not a function of every eigenvalue alone"), "{message}");
    }
    assert!(tape.input("X", (3, 3)).symmetric_function(|x| x.exp()).check().is_err());
    // With one eigenvalue, a product of functions is one of numbers.
    let one = tape.symmetric("x", 1);
    assert!(one.symmetric_function(|x| x.exp().hadamard(x.sin())).check().is_ok());
    assert!(one.symmetric_function(|x| x.exp().hadamard(s)).check().is_err());
    assert!(a.symmetric_function(|x| 2.0 * x.map(Function::Exp) + 1.0).check().is_ok());
}

#[test]
fn what_is_held_has_no_gradient() {
    let tape = Tape::new();
    let x = tape.input("X", (2, 3));
    let g = gradient(x.stop_gradient().inner(x), &[x]).unwrap()[0];
    assert_eq!(g.to_string(), "stop(X)");
    assert!(gradient(x.stop_gradient().sum(), &[x]).unwrap()[0].is_zero());
    let value = Mat::from_fn(2, 3, |i, j| (i * 3 + j) as f64);
    assert_eq!(run(g, &[("X", &value)]).unwrap(), value);
}
