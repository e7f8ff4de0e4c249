//! Matrix equations and functions of matrices: what they are told to be where there is none, and that they allocate nothing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use faer::Mat;
use pullback_engine::{Error, Program, Scalar};
use pullback_tape::{Tape, Var};

fn matrix<T: Scalar, const N: usize>(rows: [[f64; N]; N]) -> Mat<T> {
    Mat::from_fn(N, N, |i, j| T::from_f64(rows[i][j]))
}

/// The error of a run with these matrices for A and B.
fn fails<T: Scalar>(build: for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>, a: &Mat<T>, b: &Mat<T>) -> Error {
    let tape = Tape::new();
    let n = a.nrows();
    let y = build(tape.input("A", (n, n)), tape.input("B", (n, n)));
    let mut program = Program::<T>::compile(&[y]).unwrap();
    let error = program.run(&[("A", a.as_ref()), ("B", b.as_ref())]).unwrap_err();
    // After an error the program can be run again.
    let identity = Mat::<T>::from_fn(n, n, |i, j| T::from_f64(if i == j { 3.0 } else { 0.0 }));
    program.run(&[("A", identity.as_ref()), ("B", identity.as_ref())]).unwrap();
    error
}

fn singular<T: Scalar>() {
    let a = matrix::<T, 2>([[1.0, 2.0], [0.0, 3.0]]);
    let b = matrix::<T, 2>([[-3.0, 0.0], [4.0, 7.0]]);
    match fails(|a, b| (2.0 * a).sylvester(2.0 * b, a * b), &a, &b) {
        Error::SingularEquation { op: "sylvester", formula, first, second, location } => {
            assert_eq!((formula.as_str(), location.file()), ("2 A", file!()));
            assert!((first.re - 6.0).abs() < 1e-4 && (second.re + 6.0).abs() < 1e-4, "{first} {second}");
        }
        error => panic!("{error}"),
    }
    let turn = matrix::<T, 2>([[0.0, -2.0], [2.0, 0.0]]);
    let error = fails(|a, b| a.sylvester(a, b), &turn, &b);
    let text = error.to_string();
    assert!(
        text.starts_with(
            "sylvester: the equation is singular to working precision, by the eigenvalue 0 + 2i of `A`"
        ),
        "{text}"
    );
    match fails(|a, b| a.discrete_lyapunov(b), &a, &b) {
        Error::SingularEquation { op: "stein", formula, first, second, .. } => {
            assert_eq!((formula.as_str(), first.re, second.re), ("A", 1.0, 1.0));
        }
        error => panic!("{error}"),
    }
}

#[test]
fn equations_without_a_solution_are_told() {
    singular::<f64>();
    singular::<f32>();
}

#[test]
fn functions_are_told_where_they_are_not_defined() {
    let any = matrix::<f64, 2>([[1.0, 0.0], [0.0, 1.0]]);
    let cut = matrix::<f64, 2>([[-2.0, 1.0], [0.0, 3.0]]);
    match fails(|a, _| a.sqrtm(), &cut, &any) {
        Error::OutsideDomain { op: "sqrtm", formula, eigenvalue, location } => {
            assert_eq!((formula.as_str(), location.file()), ("A", file!()));
            assert_eq!((eigenvalue.re, eigenvalue.im), (-2.0, 0.0));
        }
        error => panic!("{error}"),
    }
    match fails(|a, _| a.logm(), &cut, &any) {
        Error::OutsideDomain { op: "logm", formula, eigenvalue, location } => {
            assert_eq!((formula.as_str(), location.file()), ("A", file!()));
            assert_eq!((eigenvalue.re, eigenvalue.im), (-2.0, 0.0));
        }
        error => panic!("{error}"),
    }
    let text = fails(|a, b| (a * b).sqrtm(), &Mat::zeros(2, 2), &any).to_string();
    assert!(text.starts_with("sqrtm: not defined for the eigenvalue 0 of `A B` ("), "{text}");
    let turn = matrix::<f64, 2>([[0.0, -2.0], [2.0, 0.0]]);
    let text = fails(|a, _| a.signm(), &turn, &any).to_string();
    assert!(text.starts_with("signm: not defined for the eigenvalue 0 + 2i of `A` ("), "{text}");
}

/// The solution of a Lyapunov equation for a symmetric matrix, and functions of symmetric matrices, are symmetric to the last
/// digit; a NaN ends nothing, and comes out again.
#[test]
fn symmetry_and_nan() {
    let tape = Tape::new();
    let (a, s) = (tape.input("A", (9, 9)), tape.symmetric("S", 9));
    let ys = [a.lyapunov(s), (0.1 * a).discrete_lyapunov(s), (s * s + a * a.t()).sqrtm(), s.signm()];
    let mut program = Program::<f64>::compile(&ys).unwrap();
    let random = |i: usize, j: usize| ((7 * i + 13 * j + i * j) as f64).sin();
    let a = Mat::from_fn(9, 9, |i, j| random(i, j) - if i == j { 6.0 } else { 0.0 });
    let s = Mat::from_fn(9, 9, |i, j| random(i, j) + random(j, i));
    let outputs = program.run(&[("A", a.as_ref()), ("S", s.as_ref())]).unwrap();
    for (index, written) in ys.iter().enumerate() {
        let y = outputs.get(index).unwrap();
        assert!((0..9).all(|i| (0..9).all(|j| y[(i, j)] == y[(j, i)])), "{written}");
    }
    let nan = Mat::full(9, 9, f64::NAN);
    let outputs = program.run(&[("A", nan.as_ref()), ("S", s.as_ref())]).unwrap();
    assert!((0..3).all(|index| outputs.get(index).unwrap()[(8, 8)].is_nan()));
}

#[test]
fn a_run_allocates_nothing() {
    let tape = Tape::new();
    let n = 40;
    let (a, b) = (tape.input("A", (n, n)), tape.input("B", (n, n)));
    let c = a * b;
    let ys = [a.sylvester(b, c), a.stein(b, c), a.lyapunov(c), a.sqrtm(), (a - 30.0 * b).signm()];
    let mut program = Program::<f64>::compile(&ys).unwrap();
    let random = |i: usize, j: usize| ((7 * i + 13 * j + i * j) as f64).sin();
    let heavy = |d: f64| Mat::from_fn(n, n, move |i, j| 0.3 * random(i, j) + if i == j { d } else { 0.0 });
    let (a, b) = (heavy(20.0), heavy(10.0));
    let inputs = [("A", a.as_ref()), ("B", b.as_ref())];
    program.run(&inputs).unwrap();
    let counts = measure(|| {
        program.run(&inputs).unwrap();
    });
    assert_eq!(counts.count_total, 0);
}
