//! Eigenvalues and eigenvectors of general matrices, where they are real: by what they are for, and against known ones.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use allocation_counter::measure;
use faer::prelude::Solve;
use faer::{Mat, MatRef};
use pullback_engine::{Eigenvalue, Error, Program, Scalar};
use pullback_tape::{Factor, Op, Tape, Var};

fn run<T: Scalar>(ys: &[Var<'_>], a: MatRef<'_, T>) -> Result<Vec<Mat<T>>, Error> {
    let mut program = Program::<T>::compile(ys)?;
    Ok(program.run(&[("A", a)])?.iter().map(|matrix| matrix.to_owned()).collect())
}

fn random(n: usize, seed: usize) -> Mat<f64> {
    Mat::from_fn(n, n, |i, j| ((7 * i + 13 * j + i * j + 5 * seed) as f64).sin())
}

/// `X Diag(λ) X⁻¹` with X not far from orthogonal, rounded once.
fn similar<T: Scalar>(values: &[f64], seed: usize) -> Mat<T> {
    let n = values.len();
    let x = random(n, seed);
    let mut x = Mat::from_fn(n, n, |i, j| x[(i, j)] + if i == j { (n as f64).sqrt() + 1.0 } else { 0.0 });
    let scaled = Mat::from_fn(n, n, |i, j| x[(i, j)] * values[j]);
    x = x.transpose().partial_piv_lu().solve(scaled.transpose()).transpose().to_owned();
    Mat::from_fn(n, n, |i, j| T::from_f64(x[(i, j)]))
}

/// The results for the same numbers in every order and between others, bit by bit the same.
fn in_every_layout<T: Scalar>(ys: &[Var<'_>], a: &Mat<T>) -> Vec<Mat<T>> {
    let n = a.nrows();
    let found = run(ys, a.as_ref()).unwrap();
    let rows = a.transpose().to_owned();
    let reversed_rows = a.as_ref().reverse_rows().to_owned();
    let reversed_cols = a.as_ref().reverse_cols().to_owned();
    let mut inside = Mat::full(n + 3, n + 2, T::from_f64(f64::NAN));
    inside.submatrix_mut(2, 1, n, n).copy_from(a);
    let mut rows_inside = Mat::full(n + 3, n + 2, T::from_f64(f64::NAN));
    rows_inside.submatrix_mut(1, 2, n, n).copy_from(a.transpose());
    for view in [
        rows.transpose(),
        reversed_rows.as_ref().reverse_rows(),
        reversed_cols.as_ref().reverse_cols(),
        inside.submatrix(2, 1, n, n),
        rows_inside.submatrix(1, 2, n, n).transpose(),
    ] {
        assert_eq!(found, run(ys, view).unwrap());
    }
    found
}

fn has_its_properties<T: Scalar>() {
    for n in 0..=40 {
        for seed in 0..3 {
            let values: Vec<f64> = (0..n).map(|i| (i as f64 - 3.5) * 2.0).collect();
            let tape = Tape::new();
            let (found_values, vectors) = tape.input("A", (n, n)).real_eigen();
            let a = similar::<T>(&values, seed);
            let found = in_every_layout(&[found_values, vectors], &a);
            let (found, v) = (&found[0], &found[1]);
            let size = values.iter().fold(1.0f64, |max, x| max.max(x.abs()));
            let bound = T::EPSILON.to_f64() * size * 10.0 * (n as f64 + 1.0);
            for j in 0..n {
                let error = (found[(j, 0)].to_f64() - values[j]).abs();
                assert!(error <= bound, "n = {n}, seed {seed}: {error:e} in eigenvalue {j}, bound {bound:e}");
                let (mut square, mut largest) = (0.0, 0.0f64);
                for i in 0..n {
                    let product: f64 = (0..n).map(|k| a[(i, k)].to_f64() * v[(k, j)].to_f64()).sum();
                    let residual = (product - v[(i, j)].to_f64() * found[(j, 0)].to_f64()).abs();
                    assert!(residual <= bound, "n = {n}, seed {seed}: {residual:e}, bound {bound:e}");
                    let x = v[(i, j)].to_f64();
                    square += x * x;
                    largest = if x.abs() > largest.abs() * (1.0 + 1e-4) { x } else { largest };
                }
                assert!((square - 1.0).abs() <= 10.0 * (n as f64) * T::EPSILON.to_f64() && largest > 0.0);
            }
        }
    }
}

#[test]
fn known_spectra() {
    has_its_properties::<f64>();
    has_its_properties::<f32>();
}

#[test]
fn roots_of_polynomials() {
    // The companion matrix of (x + 3)(x + 1)(x − 1/2)(x − 2)(x − 4), whose eigenvectors are the powers of the roots.
    let roots = [-3.0, -1.0, 0.5, 2.0, 4.0];
    let mut coefficients = vec![1.0];
    for root in roots {
        coefficients.push(0.0);
        for i in (1..coefficients.len()).rev() {
            coefficients[i] -= root * coefficients[i - 1];
        }
    }
    let a =
        Mat::from_fn(5, 5, |i, j| if i < 4 { f64::from(u8::from(j == i + 1)) } else { -coefficients[5 - j] });
    let tape = Tape::new();
    let (values, vectors) = tape.input("A", (5, 5)).real_eigen();
    let found = run(&[values, vectors], a.as_ref()).unwrap();
    for (j, root) in roots.into_iter().enumerate() {
        assert!((found[0][(j, 0)] - root).abs() < 1e-13);
        let norm = (0..5).map(|i| root.powi(2 * i)).sum::<f64>().sqrt();
        // The largest is the last, or the first, and positive in any case.
        for i in 0..5 {
            let expected = root.powi(i as i32) / norm;
            assert!((found[1][(i, j)] - expected).abs() < 1e-13, "{root}: {:?}", found[1].col(j));
        }
    }
}

#[test]
fn triangles_show_their_eigenvalues() {
    let a = Mat::from_fn(4, 4, |i, j| if i <= j { [3.0, -1.0, 7.0, 0.0][j] + (j - i) as f64 } else { 0.0 });
    let tape = Tape::new();
    let x = tape.input("A", (4, 4));
    let found = run(&[x.real_eigenvalues(), x.real_eigenvectors()], a.as_ref()).unwrap();
    assert_eq!(found[0], Mat::from_fn(4, 1, |i, _| [-1.0, 0.0, 3.0, 7.0][i]));
    assert_eq!(found[1].col(2), Mat::from_fn(4, 1, |i, _| f64::from(u8::from(i == 0))).col(0));
}

#[test]
fn complex_eigenvalues_are_named() {
    let tape = Tape::new();
    let a = tape.input("A", (3, 3));
    let line = line!() + 1;
    let y = (2.0 * a).real_eigenvectors();
    let turn = Mat::from_fn(3, 3, |i, j| [[1.0, -2.0, 5.0], [2.0, 1.0, 0.0], [0.0, 0.0, 7.0]][i][j]);
    let mut program = Program::<f64>::compile(&[y]).unwrap();
    let error = program.run(&[("A", turn.as_ref())]).unwrap_err();
    let text = error.to_string();
    let start = "real eigenvectors: `2 A` has the complex eigenvalue 2 + 4i and its conjugate (";
    assert!(text.starts_with(start), "{text}");
    let Error::ComplexEigenvalues { op, formula, eigenvalue, location } = error else { panic!("{error}") };
    assert_eq!((op, formula.as_str()), ("real eigenvectors", "2 A"));
    assert_eq!((location.file(), location.line()), (file!(), line));
    assert_eq!(eigenvalue, Eigenvalue { re: 2.0, im: 4.0 });
    // After an error the program can be run again.
    program.run(&[("A", Mat::<f64>::identity(3, 3).as_ref())]).unwrap();
}

#[test]
fn what_is_not_a_number_passes_through() {
    let tape = Tape::new();
    let (values, vectors) = tape.input("A", (3, 3)).real_eigen();
    for bad in [f64::NAN, f64::INFINITY] {
        let mut matrix = random(3, 3);
        matrix[(1, 0)] = bad;
        let found = run(&[values, vectors], matrix.as_ref()).unwrap();
        assert!(found.iter().all(|matrix| matrix.col_iter().all(|col| col.iter().all(|x| x.is_nan()))));
    }
}

#[test]
fn one_decomposition_for_all_factors_and_a_run_allocates_nothing() {
    let tape = Tape::new();
    let a = tape.input("A", (40, 40));
    let (values, vectors) = a.real_eigen();
    let mut program = Program::<f64>::compile(&[values, vectors, vectors.inv(), clustered(a)]).unwrap();
    assert_eq!(program.plan().to_string().matches("real eigendecomposition").count(), 1);
    let matrix = similar::<f64>(&(0..40).map(f64::from).collect::<Vec<_>>(), 1);
    let inputs = [("A", matrix.as_ref())];
    program.run(&inputs).unwrap();
    let counts = measure(|| {
        program.run(&inputs).unwrap();
    });
    assert_eq!(counts.count_total, 0);
}

/// The eigenvalues as derivatives see them.
fn clustered(a: Var<'_>) -> Var<'_> {
    a.tape().apply(Op::Factor(Factor::ClusteredEigenvalues), &[a])
}

/// `Q A Qᵀ` with a reflection.
fn reflected<T: Scalar>(a: &Mat<f64>) -> Mat<T> {
    let n = a.nrows();
    let u = Mat::from_fn(n, 1, |i, _| 1.0 + 0.3 * (i as f64).sin());
    let q = Mat::<f64>::identity(n, n) - &u * u.transpose() * faer::Scale(2.0 / u.squared_norm_l2());
    let a = &q * a * &q;
    Mat::from_fn(n, n, |i, j| T::from_f64(a[(i, j)]))
}

fn clusters<T: Scalar>() {
    let tape = Tape::new();
    let a = tape.input("A", (4, 4));
    let (values, clusters) = (a.real_eigenvalues(), clustered(a));
    let of = |spectrum: [f64; 4], above: [f64; 3]| {
        Mat::from_fn(4, 4, |i, j| match () {
            () if i == j => spectrum[i],
            () if i + 1 == j => above[i],
            () => 0.0,
        })
    };
    // Those that can be told apart stay as they are.
    let apart = reflected::<T>(&of([1.0, 2.0, 3.0, 4.0], [5.0, 0.0, 1.0]));
    let found = run(&[values, clusters], apart.as_ref()).unwrap();
    assert_eq!(found[0], found[1]);
    // Two that coincide become equal, and the others stay.
    for coupled in [0.0, 2.0] {
        let twice = reflected::<T>(&of([1.0, 2.0, 2.0, 4.0], [coupled, 0.0, 0.0]));
        let found = run(&[values, clusters], twice.as_ref()).unwrap();
        assert_eq!((found[0][(0, 0)], found[0][(3, 0)]), (found[1][(0, 0)], found[1][(3, 0)]));
        assert_eq!(found[1][(1, 0)], found[1][(2, 0)]);
        assert!((found[1][(1, 0)].to_f64() - 2.0).abs() < 50.0 * T::EPSILON.to_f64());
    }
    // A Jordan block is named, and has values.
    let y = clustered(2.0 * a);
    let block = reflected::<T>(&of([1.0, 2.0, 2.0, 4.0], [0.0, 1.0, 0.0]));
    run(&[values], block.as_ref()).unwrap();
    let error = run(&[y], block.as_ref()).unwrap_err();
    let text = error.to_string();
    let Error::Defective { op, formula, first, second, gap, location } = error else { panic!("{error}") };
    assert_eq!((op, formula.as_str(), first, second), ("clustered eigenvalues", "2 A", 1, 2));
    assert!(gap < 20.0 * T::EPSILON.to_f64().sqrt() && location.file() == file!(), "{text}");
    assert!(text.contains("the eigenvalues 1 and 2 of `2 A` coincide to working precision"), "{text}");
    // A coupling as small as rounding errors is none.
    let weak = reflected::<T>(&of([1.0, 2.0, 2.0, 4.0], [0.0, T::EPSILON.to_f64(), 0.0]));
    run(&[clusters], weak.as_ref()).unwrap();
    // Nothing, and what is no number.
    for scale in [0.0, f64::NAN] {
        let matrix = Mat::from_fn(4, 4, |i, j| T::from_f64(scale * (i + j) as f64));
        let found = &run(&[clusters], matrix.as_ref()).unwrap()[0];
        assert!(
            (0..4)
                .all(|i| found[(i, 0)].to_f64() == 0.0 || scale.is_nan() && found[(i, 0)].to_f64().is_nan())
        );
    }
    let empty = clustered(tape.input("A0", (0, 0)));
    let none = Mat::<T>::zeros(0, 0);
    assert_eq!(
        Program::<T>::compile(&[empty])
            .unwrap()
            .run(&[("A0", none.as_ref())])
            .unwrap()
            .get(0)
            .unwrap()
            .nrows(),
        0
    );
}

#[test]
fn eigenvalues_that_rounding_may_have_split() {
    clusters::<f64>();
    clusters::<f32>();
}

#[test]
fn scales_of_clusters() {
    let tape = Tape::new();
    let y = clustered(tape.input("A", (3, 3)));
    for scale in [1e-290, 1e-200, 1e-3, 1.0, 1e200, 1e300] {
        let with = |above: f64| {
            let entry = |i: usize, j: usize| [[2.0, above, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]][i][j];
            reflected::<f64>(&Mat::from_fn(3, 3, |i, j| entry(i, j) * scale))
        };
        assert!(matches!(run(&[y], with(1.0).as_ref()), Err(Error::Defective { .. })), "{scale:e}");
        run(&[y], with(0.0).as_ref()).unwrap();
    }
}
