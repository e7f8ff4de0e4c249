//! Eigenvalues and eigenvectors of general matrices, and projectors: against closed forms, and where
//! eigenvalues coincide.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use pullback::errors::EngineError;
use pullback::faer::{Mat, mat};
use pullback::prelude::*;
use pullback::{Scalar, check};

fn run(y: Var<'_>, inputs: &[(&str, &Mat<f64>)]) -> Result<Mat<f64>, Error> {
    let inputs: Vec<_> = inputs.iter().map(|(name, matrix)| (*name, matrix.as_ref())).collect();
    let mut program = Program::<f64>::compile(&[y])?;
    let [value] = program.run(&inputs)?.matrices()?;
    Ok(value.to_owned())
}

fn distance(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (a - b).norm_max()
}

/// `X Diag(values) X⁻¹` with `X = I − ½ u vᵀ`, whose inverse is `I + u vᵀ/(2 − vᵀ u)`.
fn similar(values: [f64; 4]) -> Mat<f64> {
    let (u, v) = ([1.0, 0.5, -0.25, 0.75], [0.25, 1.0, 0.5, -0.5]);
    let inner: f64 = (0..4).map(|i| u[i] * v[i]).sum();
    let identity = |i: usize, j: usize| f64::from(u8::from(i == j));
    let x = |i: usize, j: usize| identity(i, j) - 0.5 * u[i] * v[j];
    let inverse = |i: usize, j: usize| identity(i, j) + u[i] * v[j] / (2.0 - inner);
    Mat::from_fn(4, 4, |i, j| (0..4).map(|k| x(i, k) * values[k] * inverse(k, j)).sum())
}

/// `Σ log |λᵢ| = log |det A|`, with the gradient `A⁻ᵀ`; `Σ λᵢ = tr A`, with the gradient I. Both also where eigenvalues
/// coincide.
#[test]
fn sums_over_the_spectrum() {
    let tape = Tape::new();
    let a = tape.input("A", (4, 4));
    let values = a.real_eigenvalues();
    for spectrum in [[1.0, -2.0, 3.0, 0.5], [2.0, 2.0, -1.0, 2.0], [1.5; 4]] {
        let matrix = similar(spectrum);
        let of = |y| run(y, &[("A", &matrix)]).unwrap();
        let logs = values.abs().ln().sum();
        for (sum, right) in
            [(logs, a.log_det()), (values.sum(), a.trace()), (values.exp().sum(), a.expm().trace())]
        {
            assert!(distance(&of(sum), &of(right)) < 1e-13);
            let (found, right) = (gradient(sum, &[a]).unwrap()[0], gradient(right, &[a]).unwrap()[0]);
            let error = distance(&of(found), &of(right));
            assert!(error < 1e-12, "{sum} at {spectrum:?}: {error:e}");
        }
    }
}

/// The eigenvalues of a symmetric matrix have the gradient of those of any, and so do functions of its eigenvectors.
#[test]
fn symmetric_and_general_agree() {
    let tape = Tape::new();
    let (s, a, b) = (tape.symmetric("S", 4), tape.input("A", (4, 4)), tape.input("B", (4, 4)));
    let loss = |values: Var<'_>, vectors: Var<'_>| values.sin().sum().to_string() + &vectors.to_string();
    assert_eq!(
        loss(s.eigenvalues(), s.eigenvectors()).replace('S', "A"),
        loss(a.real_eigenvalues(), a.real_eigenvectors())
    );
    let symmetric = (b.inner(s.eigenvectors()) * s.eigenvalues().sin().sum(), s);
    let general = (b.inner(a.real_eigenvectors()) * a.real_eigenvalues().sin().sum(), a);
    let matrix = Mat::from_fn(4, 4, |i, j| {
        ((i * j + i + j) as f64).sin() + f64::from(u8::from(i == j)) * 3.0 * i as f64
    });
    let other = Mat::from_fn(4, 4, |i, j| (i * 3 + j * j) as f64 * 0.1);
    let symmetric = run(gradient(symmetric.0, &[s]).unwrap()[0], &[("S", &matrix), ("B", &other)]).unwrap();
    let general = run(gradient(general.0, &[a]).unwrap()[0], &[("A", &matrix), ("B", &other)]).unwrap();
    // That of a symmetric variable is the symmetric part.
    assert!(distance(&symmetric, &(0.5 * (&general + general.transpose()))) < 1e-12);
}

/// `A = [a b; 0 c]` has the eigenvalues a and c and the eigenvectors (1, 0) and (b, c − a).
#[test]
fn closed_form() {
    let tape = Tape::new();
    let x = tape.input("X", (2, 2));
    let matrix = mat![[1.0, 3.0], [0.0, 5.0]];
    let found = run(gradient(x.real_eigenvalues().entry(1, 0), &[x]).unwrap()[0], &[("X", &matrix)]).unwrap();
    // ∂λ/∂A = y xᵀ/(yᵀ x) with the left eigenvector y = (0, 1) and x = (3, 4).
    assert!(distance(&found, &mat![[0.0, 0.0], [0.75, 1.0]]) < 1e-15);
    // The second eigenvector is (b, c − a) over its norm: in the first entry ∂/∂b is 16/125.
    let first = x.real_eigenvectors().entry(0, 1);
    let found = run(gradient(first, &[x]).unwrap()[0], &[("X", &matrix)]).unwrap();
    assert!((found[(0, 1)] - 16.0 / 125.0).abs() < 1e-15);
    assert!((found[(0, 0)] - 12.0 / 125.0).abs() < 1e-15 && (found[(1, 1)] + 12.0 / 125.0).abs() < 1e-15);
}

#[test]
fn what_depends_on_the_choice_of_vectors_is_an_error() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (4, 4)), tape.input("B", (4, 4)));
    let other = Mat::from_fn(4, 4, |i, j| (i + 2 * j) as f64);
    // A triangle, so that two are equal to the last digit.
    let twice = Mat::from_fn(4, 4, |i, j| if i == j { [2.0, 1.0, 2.0, 5.0][i] } else { 0.0 });
    for loss in [a.real_eigenvalues().entry(1, 0) + 0.0 * b.sum(), b.inner(a.real_eigenvectors())] {
        let g = gradient(loss, &[a]).unwrap()[0];
        let inputs = [("A", &twice), ("B", &other)];
        let needed = if g.to_string().contains('B') { &inputs[..] } else { &inputs[..1] };
        let error = run(g, needed);
        let Err(Error::Engine(EngineError::Coincide { first, second, gap, ref formula, location, .. })) =
            error
        else {
            panic!("{loss}: {error:?}")
        };
        assert_eq!((first, second, gap, formula.as_str()), (1, 2, 0.0, "λ(A)"));
        assert!(location.file().ends_with("real_eigen.rs"));
    }
    // Along a rotation, two equal eigenvalues become a complex pair.
    let along = jvp(a.real_eigenvalues(), &[(a, b)]).unwrap();
    let rotation = |sign: f64| {
        Mat::from_fn(4, 4, |i, j| match (i, j) {
            (0, 2) => 1.0,
            (2, 0) => sign,
            _ => 0.0,
        })
    };
    for sign in [-1.0, 1.0, 0.0] {
        let error = run(along, &[("A", &twice), ("B", &rotation(sign))]);
        assert!(matches!(error, Err(Error::Engine(EngineError::Coincide { .. }))), "{error:?}");
    }
    // Too few eigenvectors: there are values, but no gradients at all.
    let jordan = Mat::from_fn(4, 4, |i, j| if i == j { 2.0 } else { f64::from(u8::from(i + 1 == j)) });
    assert_eq!(run(a.real_eigenvalues(), &[("A", &jordan)]).unwrap(), Mat::full(4, 1, 2.0));
    let g = gradient(a.real_eigenvalues().exp().sum(), &[a]).unwrap()[0];
    let error = run(g, &[("A", &jordan)]);
    let Err(Error::Engine(EngineError::Defective { first, second, gap, ref formula, location, .. })) = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((first, second, gap, formula.as_str()), (0, 1, 0.0, "A"));
    assert!(location.file().ends_with("real_eigen.rs"));
}

fn orthogonal(n: usize, seed: u64) -> Mat<f64> {
    check::random::<f64>(n, n, seed).qr().compute_Q()
}

fn run_in<T: Scalar>(y: Var<'_>, inputs: &[(&str, &Mat<f64>)]) -> Result<Mat<T>, Error> {
    let rounded: Vec<_> = inputs
        .iter()
        .map(|(_, a)| Mat::from_fn(a.nrows(), a.ncols(), |i, j| T::from_f64(a[(i, j)])))
        .collect();
    let inputs: Vec<_> = inputs.iter().zip(&rounded).map(|((name, _), a)| (*name, a.as_ref())).collect();
    let mut program = Program::<T>::compile(&[y])?;
    let [value] = program.run(&inputs)?.matrices()?;
    Ok(value.to_owned())
}

/// Jordan blocks, whose eigenvalues rounding errors split by `√ε` or `∛ε`: no gradient, and no tangent, has half of its digits.
fn defective<T: Scalar>() {
    let (mut real, mut complex) = ([0; 4], [0; 4]);
    for (order, n) in [(2, 2), (2, 3), (2, 6), (2, 12), (3, 3), (3, 5)] {
        let tape = Tape::new();
        let (a, b) = (tape.input("A", (n, n)), tape.input("B", (n, n)));
        let (values, vectors) = a.real_eigen();
        let losses = [values.exp().sum(), values.entry(0, 0), values.square().sum(), b.inner(vectors)];
        let mut derivatives: Vec<_> = losses.iter().map(|&loss| gradient(loss, &[a]).unwrap()[0]).collect();
        derivatives.extend(jvp(values, &[(a, b)]));
        derivatives.extend(jvp(vectors, &[(a, b)]));
        for seed in 0..20 {
            let jordan = Mat::from_fn(n, n, |i, j| match (i, j) {
                _ if i == j => {
                    if i < order {
                        2.0
                    } else {
                        3.0 + i as f64
                    }
                }
                _ if i + 1 == j && j < order => [1.0, 0.25, 4.0][seed as usize % 3],
                // The others are not orthogonal to it either.
                _ if i < j && j >= order => 0.3 * ((i + 2 * j) as f64).sin(),
                _ => 0.0,
            });
            let turn = orthogonal(n, seed);
            let direction = check::random::<f64>(n, n, seed + 100);
            for matrix in [jordan.clone(), &turn * &jordan * turn.transpose()] {
                let inputs = [("A", &matrix), ("B", &direction)];
                match run_in::<T>(values, &inputs[..1]) {
                    Ok(_) => real[order] += 1,
                    Err(Error::Engine(EngineError::ComplexEigenvalues { .. })) => {
                        complex[order] += 1;
                        continue;
                    }
                    Err(error) => panic!("{error}"),
                }
                for &y in &derivatives {
                    let needed = if y.to_string().contains('B') { &inputs[..] } else { &inputs[..1] };
                    let error = run_in::<T>(y, needed);
                    assert!(
                        matches!(error, Err(Error::Engine(EngineError::Defective { .. }))),
                        "order {order}, n = {n}, seed {seed}: {y} is {error:?}"
                    );
                }
            }
        }
    }
    assert!(real[2] > 100 && real[3] > 0, "real {real:?}, complex {complex:?}");
}

#[test]
fn defective_eigenvalues_have_no_derivative() {
    defective::<f64>();
    defective::<f32>();
}

/// `V Diag(λ) V⁻¹` with distinct eigenvalues: however far V is from orthogonal, up to this condition, gradients are those that
/// V and λ say.
fn ill_conditioned<T: Scalar>(conditions: &[f64]) {
    for &condition in conditions {
        for n in [2, 3, 5, 8] {
            for seed in 0..20 {
                let (p, q) = (orthogonal(n, seed), orthogonal(n, seed + 50));
                let size = |i: usize| condition.powf(-(i as f64) / (n as f64 - 1.0));
                let v =
                    Mat::from_fn(n, n, |i, j| (0..n).map(|k| p[(i, k)] * size(k) * q[(j, k)]).sum::<f64>());
                let inverse =
                    Mat::from_fn(n, n, |i, j| (0..n).map(|k| q[(i, k)] / size(k) * p[(j, k)]).sum::<f64>());
                let value = |i: usize| i as f64 - 1.5;
                let with = |d: &dyn Fn(usize) -> f64| {
                    Mat::from_fn(n, n, |i, j| (0..n).map(|k| v[(i, k)] * d(k) * inverse[(k, j)]).sum::<f64>())
                };
                let (matrix, weight) = (with(&value), |i: usize| (1.0 + i as f64).cos());
                let weights = Mat::from_fn(n, 1, |i, _| weight(i));
                let tape = Tape::new();
                let (a, w) = (tape.input("A", (n, n)), tape.input("w", (n, 1)));
                let g = gradient(w.inner(a.real_eigenvalues()), &[a]).unwrap()[0];
                let found = run_in::<T>(g, &[("A", &matrix), ("w", &weights)]);
                let found =
                    found.unwrap_or_else(|error| panic!("{condition:e}, n = {n}, seed {seed}: {error}"));
                let right = with(&weight);
                let error = Mat::from_fn(n, n, |i, j| found[(j, i)].to_f64() - right[(i, j)]).norm_l2();
                // The matrix is known up to ε cond(V), and that moves the vectors by cond(V) times as much.
                let error = error / right.norm_l2() / (T::EPSILON.to_f64() * condition.powi(2));
                assert!(error < 8.0 * n as f64, "{condition:e}, n = {n}, seed {seed}: {error:e}");
            }
        }
    }
}

#[test]
fn distinct_eigenvalues_have_derivatives() {
    ill_conditioned::<f64>(&[1.0, 10.0, 1e3, 1e4, 1e5]);
    ill_conditioned::<f32>(&[1.0, 10.0, 100.0]);
}

/// Two eigenvalues that coincide, of a matrix that is far from normal, and have two eigenvectors: what treats them alike has a
/// gradient, and what tells them apart has none, though rounding errors split them by much more than their own size.
#[test]
fn coinciding_eigenvalues_of_matrices_far_from_normal() {
    let tape = Tape::new();
    let a = tape.input("A", (4, 4));
    let values = a.real_eigenvalues();
    let alike = gradient(values.exp().sum(), &[a]).unwrap()[0];
    let exact = a.expm().t();
    let apart = gradient(values.entry(2, 0), &[a]).unwrap()[0];
    let (mut real, mut treated_alike) = (0, 0);
    for condition in [1.0, 10.0, 100.0, 1e3] {
        for seed in 0..20 {
            let (p, q) = (orthogonal(4, seed), orthogonal(4, seed + 50));
            let size = |k: usize| [1.0, 1.0, 1.0 / condition, 1.0 / condition][k];
            let spectrum = [1.0, 2.0, 2.0, -0.5];
            let v = Mat::from_fn(4, 4, |i, j| (0..4).map(|k| p[(i, k)] * size(k) * q[(j, k)]).sum::<f64>());
            let inverse =
                Mat::from_fn(4, 4, |i, j| (0..4).map(|k| q[(i, k)] / size(k) * p[(j, k)]).sum::<f64>());
            let matrix = Mat::from_fn(4, 4, |i, j| {
                (0..4).map(|k| v[(i, k)] * spectrum[k] * inverse[(k, j)]).sum::<f64>()
            });
            let inputs = [("A", &matrix)];
            // Rounding errors may also make a pair of them.
            if run(values, &inputs).is_err() {
                continue;
            }
            real += 1;
            let error = run(apart, &inputs);
            assert!(
                matches!(error, Err(Error::Engine(EngineError::Coincide { .. }))),
                "{condition}, {seed}: {error:?}"
            );
            let right = run(exact, &inputs).unwrap();
            match run(alike, &inputs) {
                Ok(found) => {
                    let error = distance(&found, &right) / right.norm_max();
                    assert!(error < 1e-14 * condition.powi(2) + 1e-12, "{condition}, {seed}: {error:e}");
                    treated_alike += 1;
                }
                // The loss sees two values that differ by so many rounding errors.
                Err(Error::Engine(EngineError::Coincide { .. })) if condition >= 100.0 => {}
                Err(error) => panic!("{condition}, {seed}: {error}"),
            }
        }
    }
    assert!(real >= 40 && treated_alike >= 20, "{real}, {treated_alike}");
}

#[test]
fn complex_eigenvalues_are_an_error_of_gradients_too() {
    let tape = Tape::new();
    let a = tape.input("A", (2, 2));
    let g = gradient(a.real_eigenvalues().square().sum(), &[a]).unwrap()[0];
    let error = run(g, &[("A", &mat![[0.0, -1.0], [1.0, 0.0]])]);
    let Err(Error::Engine(EngineError::ComplexEigenvalues { eigenvalue, ref formula, .. })) = error else {
        panic!("{error:?}")
    };
    assert_eq!((eigenvalue.re, eigenvalue.im, formula.as_str()), (0.0, 1.0, "A"));
}

/// Where the eigenvalue λ is simple, `P = p(A)` with the polynomial that is 1 at λ and 0 at the others, and
/// `DP[ε] = P ε S + S ε P` with the reduced resolvent `S = Σ Pᵢ/(λ − λᵢ)`.
#[test]
fn projectors_of_simple_eigenvalues_and_of_clusters() {
    let tape = Tape::new();
    let (a, b) = (tape.symmetric("A", 4), tape.symmetric("B", 4));
    let u = [0.5, -0.5, 0.5, 0.5];
    let q = |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * u[i] * u[j];
    let with = |values: [f64; 4]| -> Mat<f64> {
        let entry = |i, j| (0..4).map(|k| q(i, k) * values[k] * q(j, k)).sum::<f64>();
        Mat::from_fn(4, 4, |i, j| 0.5 * (entry(i, j) + entry(j, i)))
    };
    let direction = Mat::from_fn(4, 4, |i, j| ((i + j) as f64).cos() + 0.3 * (i * j) as f64);
    let (matrix, clustered) = (with([1.0, 2.0, 4.0, 7.0]), with([1.0, 2.0, 2.0, 7.0]));
    let cases = [
        (1..2, &matrix, with([0.0, 1.0, 0.0, 0.0]), with([1.0, 0.0, -0.5, -0.2])),
        (3..4, &matrix, with([0.0, 0.0, 0.0, 1.0]), with([1.0 / 6.0, 0.2, 1.0 / 3.0, 0.0])),
        (1..3, &clustered, with([0.0, 1.0, 1.0, 0.0]), with([1.0, 0.0, 0.0, -0.2])),
    ];
    for (range, matrix, p, s) in cases {
        let projector = a.eigenprojector(range.clone());
        assert!(distance(&run(projector, &[("A", matrix)]).unwrap(), &p) < 1e-14);
        let right = &p * &direction * &s + &s * &direction * &p;
        let inputs = [("A", matrix), ("B", &direction)];
        let found = run(gradient(b.inner(projector), &[a]).unwrap()[0], &inputs).unwrap();
        assert!(distance(&found, &right) < 1e-13, "{range:?}: {:e}", distance(&found, &right));
        // Along a direction, every eigenvector of the range is moved by itself first.
        let along = run(jvp(projector, &[(a, b)]).unwrap(), &inputs);
        match along {
            Ok(along) => assert!(range.len() == 1 && distance(&along, &right) < 1e-13),
            Err(error) => {
                assert!(range.len() == 2);
                assert!(matches!(error, Error::Engine(EngineError::Coincide { .. })), "{error:?}");
            }
        }
    }
    // A cluster that the range divides.
    let g = gradient(b.inner(a.eigenprojector(..2)), &[a]).unwrap()[0];
    let error = run(g, &[("A", &clustered), ("B", &direction)]);
    assert!(
        matches!(error, Err(Error::Engine(EngineError::Coincide { first: 1, second: 2, .. }))),
        "{error:?}"
    );
}

/// The left singular vectors of A are the eigenvectors of `A Aᵀ`, in the other order.
#[test]
fn projectors_on_singular_vectors() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (4, 3)), tape.input("B", (4, 4)));
    let u = [0.5, -0.5, 0.5, 0.5];
    let q = |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * u[i] * u[j];
    let (cos, sin) = (0.6, 0.8);
    let turn = |i: usize, j: usize| [[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]][i][j];
    let weights = Mat::from_fn(4, 4, |i, j| ((i + 2 * j) as f64).cos());
    for values in [[3.0, 2.0, 1.0], [3.0, 3.0, 1.0]] {
        let entry = |i, j| (0..3).map(|k| q(i, k) * values[k] * turn(j, k)).sum::<f64>();
        let matrix = Mat::from_fn(4, 3, entry);
        let inputs = [("A", &matrix), ("B", &weights)];
        let of = |projector: Var<'_>| {
            let loss = b.inner(projector);
            (run(loss, &inputs).unwrap(), run(gradient(loss, &[a]).unwrap()[0], &inputs).unwrap())
        };
        for (left, right) in [
            (a.singular_projector(..2), (a * a.t()).eigenprojector(2..)),
            (a.singular_projector(2..), (a * a.t()).eigenprojector(1..2)),
        ] {
            let ((value, found), (same, expected)) = (of(left), of(right));
            assert!(distance(&value, &same) < 1e-14, "{values:?}");
            assert!(distance(&found, &expected) < 1e-12, "{values:?}: {:e}", distance(&found, &expected));
        }
    }
}
