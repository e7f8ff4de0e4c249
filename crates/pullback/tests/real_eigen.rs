//! Eigenvalues and eigenvectors of general matrices, and projectors: against closed forms, and where
//! eigenvalues coincide.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use pullback::errors::EngineError;
use pullback::faer::{Mat, mat};
use pullback::prelude::*;

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
    let Err(Error::Engine(EngineError::Singular { ref formula, .. })) = error else { panic!("{error:?}") };
    assert_eq!(formula, "V(A)ᵀ");
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
