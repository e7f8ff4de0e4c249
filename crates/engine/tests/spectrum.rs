//! Decompositions by what they are for, in every layout of the matrix, and what stands beside a spectrum by its definition.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use faer::{Mat, MatRef, mat};
use pullback_engine::{Error, Program, Scalar};
use pullback_tape::{Op, Spectral, Tape, Var};

/// Some symmetric matrix, multiples of the identity and blocks among them.
fn symmetric<T: Scalar>(n: usize, seed: usize) -> Mat<T> {
    let entry = |i: usize, j: usize| match seed {
        0 => f64::from(u8::from(i == j)) * 2.0,
        1 if i / 2 != j / 2 => 0.0,
        2 => 1.0,
        _ => ((1 + i.min(j) * 7 + i.max(j) * 3 + seed) as f64).sin(),
    };
    Mat::from_fn(n, n, |i, j| T::from_f64(entry(i, j)))
}

fn run<T: Scalar>(ys: &[Var<'_>], inputs: &[(&str, MatRef<'_, T>)]) -> Result<Vec<Mat<T>>, Error> {
    let mut program = Program::<T>::compile(ys)?;
    Ok(program.run(inputs)?.iter().map(|matrix| matrix.to_owned()).collect())
}

fn eigen_has_its_properties<T: Scalar>() {
    for n in [0, 1, 2, 3, 5, 17, 40, 70] {
        for seed in 0..5 {
            let tape = Tape::new();
            let a = tape.symmetric("A", n);
            let (values, vectors) = a.eigen();
            let rebuilt = a.symmetric_function(|x| 2.0 * x);
            let square = a.symmetric_function(|x| x.square());
            let matrix = symmetric::<T>(n, seed);
            let rows = matrix.transpose().to_owned();
            let found = run(&[values, vectors, rebuilt, square], &[("A", matrix.as_ref())]).unwrap();
            assert_eq!(found, run(&[values, vectors, rebuilt, square], &[("A", rows.transpose())]).unwrap());
            let (values, v) = (&found[0], &found[1]);
            assert!((1..n).all(|i| values[(i - 1, 0)] <= values[(i, 0)]));
            let tolerance = T::from_f64(10.0 * (n as f64 + 1.0)) * T::EPSILON;
            let size = matrix.norm_max() + T::from_f64(1.0);
            let close = |a: &Mat<T>, b: &Mat<T>, size: T| {
                assert!((a - b).norm_max() <= tolerance * size, "n = {n}, seed {seed}");
            };
            close(&(v.transpose() * v), &Mat::identity(n, n), T::from_f64(1.0));
            let scaled = Mat::from_fn(n, n, |i, j| v[(i, j)] * values[(j, 0)]);
            close(&(&scaled * v.transpose()), &matrix, size);
            close(&found[2], &(&matrix + &matrix), size);
            close(&found[3], &(&matrix * &matrix), size * size * T::from_f64(n as f64 + 1.0));
            assert!((0..n).all(|j| (0..n).all(|i| found[3][(i, j)] == found[3][(j, i)])));
            for j in 0..n {
                let largest = (0..n)
                    .fold(T::default(), |max, i| if v[(i, j)].abs() > max { v[(i, j)].abs() } else { max });
                let almost = largest * (T::from_f64(1.0) - T::from_f64(200.0) * T::EPSILON);
                let turned_right = (0..n).any(|i| v[(i, j)] >= almost);
                assert!(turned_right, "n = {n}, seed {seed}, column {j}");
            }
        }
    }
}

#[test]
fn eigenvalues_and_eigenvectors() {
    eigen_has_its_properties::<f64>();
    eigen_has_its_properties::<f32>();
}

#[test]
fn what_is_not_a_number_passes_through() {
    let tape = Tape::new();
    let a = tape.symmetric("A", 3);
    for bad in [f64::NAN, f64::INFINITY] {
        let mut matrix = symmetric::<f64>(3, 3);
        matrix[(1, 1)] = bad;
        let found = run(&[a.eigenvalues(), a.eigenvectors()], &[("A", matrix.as_ref())]).unwrap();
        assert!(found.iter().all(|matrix| matrix.col_iter().all(|col| col.iter().all(|x| x.is_nan()))));
    }
}

#[test]
fn huge_and_tiny_matrices() {
    let tape = Tape::new();
    let a = tape.symmetric("A", 4);
    let matrix = symmetric::<f64>(4, 3);
    let [values] = &run(&[a.eigenvalues()], &[("A", matrix.as_ref())]).unwrap()[..] else { panic!() };
    for scale in [1e-200, 1e150] {
        let scaled = Mat::from_fn(4, 4, |i, j| matrix[(i, j)] * scale);
        let found = &run(&[a.eigenvalues()], &[("A", scaled.as_ref())]).unwrap()[0];
        for i in 0..4 {
            assert!((found[(i, 0)] / scale - values[(i, 0)]).abs() < 1e-13);
        }
    }
}

#[test]
fn quotients_by_gaps() {
    let tape = Tape::new();
    let (spectrum, x, w) = (tape.input("s", (3, 1)), tape.input("X", (3, 3)), tape.input("w", (3, 1)));
    let beside = |op, x| tape.apply(Op::Spectral(op), &[spectrum, x]);
    let ys = [
        beside(Spectral::Gaps, x),
        beside(Spectral::SymmetricGaps, x),
        beside(Spectral::SkewGaps, x),
        beside(Spectral::Diagonal, x),
        beside(Spectral::Diag, w),
    ];
    let (s, matrix) = (mat![[1.0], [-2.0], [4.0]], Mat::from_fn(3, 3, |i, j| (1 + i * 3 + j * j) as f64));
    let w = mat![[5.0], [6.0], [7.0]];
    let found = run(&ys, &[("s", s.as_ref()), ("X", matrix.as_ref()), ("w", w.as_ref())]).unwrap();
    for i in 0..3 {
        for j in 0..3 {
            let (gap, x, y) = (s[(j, 0)] - s[(i, 0)], matrix[(i, j)], matrix[(j, i)]);
            let over = |x: f64| if i == j { 0.0 } else { x / gap };
            assert_eq!(found[0][(i, j)], over(x));
            assert_eq!(found[1][(i, j)], over(0.5 * (x + y)));
            assert_eq!(found[2][(i, j)], over(0.5 * (x - y)));
            assert_eq!(found[4][(i, j)], if i == j { w[(i, 0)] } else { 0.0 });
        }
        assert_eq!(found[3][(i, 0)], matrix[(i, i)]);
    }
}

#[test]
fn coinciding_values_that_are_told_apart_are_named() {
    let tape = Tape::new();
    let (spectrum, x, w) = (tape.input("s", (3, 1)), tape.input("X", (3, 3)), tape.input("w", (3, 1)));
    let beside = |op, x| tape.apply(Op::Spectral(op), &[spectrum, x]);
    let (s, apart) = (mat![[1.0], [3.0], [1.0]], mat![[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [3.0, 0.0, 1.5]]);
    let alike = mat![[1.0, 5.0, 0.0], [4.0, 9.0, 6.0], [0.0, 7.0, 1.0]];
    let (w_apart, w_alike) = (mat![[1.0], [0.0], [2.0]], mat![[2.0], [0.0], [2.0]]);
    let elsewhere = [Spectral::SkewSums, Spectral::Columns, Spectral::Distinct, Spectral::Positive];
    for op in Spectral::all().filter(|op| !elsewhere.contains(op)) {
        let y = beside(op, if op == Spectral::Diag { w } else { x });
        let inputs = |x: &'static str, m| [("s", s.as_ref()), (x, m)];
        let (good, bad) = match op {
            Spectral::Diag => {
                (run(&[y], &inputs("w", w_alike.as_ref())), run(&[y], &inputs("w", w_apart.as_ref())))
            }
            _ => (run(&[y], &inputs("X", alike.as_ref())), run(&[y], &inputs("X", apart.as_ref()))),
        };
        good.unwrap();
        if op == Spectral::GeneralDiagonal || op == Spectral::Diagonal {
            let skew = mat![[1.0, 0.0, 2.0], [0.0, 1.0, 0.0], [-2.0, 0.0, 1.0]];
            assert_eq!(run(&[y], &inputs("X", skew.as_ref())).is_ok(), op == Spectral::Diagonal);
        }
        let Err(Error::Coincide { first: 0, second: 2, gap: 0.0, formula, .. }) = bad else {
            panic!("{bad:?}")
        };
        assert_eq!(formula, "s");
    }
}

#[test]
fn quotients_by_sums_and_by_values() {
    let tape = Tape::new();
    let (spectrum, x) = (tape.input("s", (3, 1)), tape.input("X", (3, 3)));
    let beside = |op| tape.apply(Op::Spectral(op), &[spectrum, x]);
    let s = mat![[4.0], [0.0], [0.0]];
    let alike = mat![[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [3.0, 0.0, 0.0]];
    let at = |x: &Mat<f64>| {
        let y =
            |op| run(&[beside(op)], &[("s", s.as_ref()), ("X", x.as_ref())]).map(|mut found| found.remove(0));
        (y(Spectral::SkewSums), y(Spectral::Columns))
    };
    let (sums, columns) = at(&alike);
    assert_eq!(sums.unwrap(), mat![[0.0, -0.25, -0.375], [0.25, 0.0, 0.0], [0.375, 0.0, 0.0]]);
    assert_eq!(columns.unwrap(), mat![[0.25, 0.0, 0.0], [0.5, 0.0, 0.0], [0.75, 0.0, 0.0]]);
    // A numerator over nothing.
    let (sums, columns) = at(&mat![[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1e-300]]);
    let error = sums.unwrap_err();
    assert!(matches!(error, Error::Coincide { op: "skew sums", first: 1, second: 2, .. }), "{error}");
    let error = columns.unwrap_err();
    assert!(matches!(error, Error::Singular { op: "columns over a spectrum", pivot: 2, .. }), "{error}");
}

#[test]
fn values_that_have_to_be_distinct_or_positive() {
    let tape = Tape::new();
    let (spectrum, used) = (tape.input("s", (4, 1)), tape.input("u", (4, 1)));
    let at = |op, u: [f64; 4]| {
        let (s, u) = (mat![[3.0], [1.0], [0.0], [1.0]], Mat::from_fn(4, 1, |i, _| u[i]));
        let y = tape.apply(Op::Spectral(op), &[spectrum, used]);
        run(&[y], &[("s", s.as_ref()), ("u", u.as_ref())]).map(|found| assert_eq!(found[0], s))
    };
    at(Spectral::Distinct, [1.0, 0.0, 1.0, 0.0]).unwrap();
    at(Spectral::Positive, [1.0, 1.0, 0.0, 2.0]).unwrap();
    for u in [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1e-300], [2.0; 4]] {
        let error = at(Spectral::Distinct, u).unwrap_err();
        assert!(matches!(error, Error::Coincide { first: 1, second: 3, gap: 0.0, .. }), "{error}");
    }
    let error = at(Spectral::Positive, [0.0, 0.0, 1.0, 0.0]).unwrap_err();
    assert!(matches!(error, Error::Singular { pivot: 2, .. }), "{error}");
}
