//! Constants: bound once, and what depends on them alone computed once.

#![allow(missing_docs, clippy::unwrap_used)]

use allocation_counter::measure;
use faer::{Mat, mat};
use pullback_engine::{Definition, Error, Program};
use pullback_tape::{Declaration, Op, Structure, Tape};

fn matrix(rows: usize, cols: usize, seed: usize) -> Mat<f64> {
    Mat::from_fn(rows, cols, |i, j| ((7 * i + 3 * j + 5 * seed) % 11) as f64 / 4.0 - 1.0)
}

/// `W X Xᵀ`, `Xᵀ` and `tr(X Xᵀ)` with constant X.
#[test]
fn what_depends_on_constants_alone_is_computed_once() {
    let tape = Tape::new();
    let (x, w) = (tape.constant("X", (4, 30)), tape.input("W", (2, 4)));
    let mut program = Program::<f64>::compile(&[w * (x * x.t()), x.t(), (x * x.t()).trace()]).unwrap();
    assert_eq!(program.instructions(), 1);
    assert_eq!(program.product_flops(), 2 * 2 * 4 * 4);
    assert_eq!(program.inputs().map(|(name, _)| name).collect::<Vec<_>>(), ["W"]);
    assert_eq!(program.constants().map(|(name, _)| name).collect::<Vec<_>>(), ["X"]);
    let wm = matrix(2, 4, 1);
    for seed in [2, 3] {
        {
            // The data need not outlive the call.
            let xm = matrix(4, 30, seed);
            program.bind(&[("X", xm.as_ref())]).unwrap();
        }
        let xm = matrix(4, 30, seed);
        let gram = &xm * xm.transpose();
        for _ in 0..2 {
            let [product, transpose, trace] = program.run(&[("W", wm.as_ref())]).unwrap().matrices().unwrap();
            assert!((product - &wm * &gram).norm_max() < 1e-12);
            assert_eq!(transpose, xm.transpose());
            assert!((trace[(0, 0)] - xm.squared_norm_l2()).abs() < 1e-12);
        }
        // Outputs that are constant, into the caller's matrices, and from a clone.
        let mut clone = program.clone();
        let (mut a, mut b, mut c) = (Mat::zeros(2, 4), Mat::zeros(30, 4), Mat::zeros(1, 1));
        clone.run_into(&[("W", wm.as_ref())], &mut [a.as_mut(), b.as_mut(), c.as_mut()]).unwrap();
        assert!((&a - &wm * &gram).norm_max() < 1e-12);
        assert_eq!(b, xm.transpose());
    }
}

#[test]
fn a_constant_matrix_is_factorized_once() {
    let tape = Tape::new();
    let definite = Declaration::new().structure(Structure::Definite).constant();
    let (k, y) = (tape.declare("K", (2, 2), definite), tape.input("y", (2, 1)));
    let mut program = Program::<f64>::compile(&[k.solve(y), k.log_det() * y]).unwrap();
    program.bind(&[("K", mat![[2.0, 0.0], [0.0, 8.0]].as_ref())]).unwrap();
    for scale in [1.0, 4.0] {
        let y = mat![[scale], [scale]];
        let [solution, scaled] = program.run(&[("y", y.as_ref())]).unwrap().matrices().unwrap();
        assert!((solution - mat![[scale / 2.0], [scale / 8.0]]).norm_max() < 1e-15 * scale);
        assert!((scaled[(0, 0)] - scale * 16f64.ln()).abs() < 1e-14);
    }
    let plan = program.plan().to_string();
    assert!(plan.contains("Cholesky(K)") && plan.contains("computed once"), "{plan}");
    // What cannot be factorized is told when it is bound, and nothing is bound then.
    let error = program.bind(&[("K", mat![[1.0, 2.0], [2.0, 1.0]].as_ref())]).unwrap_err();
    assert!(matches!(error, Error::NotPositiveDefinite { .. }), "{error}");
    let error = program.run(&[("y", mat![[1.0], [1.0]].as_ref())]).unwrap_err();
    assert_eq!(error.to_string(), "input `K` (2×2) is not bound");
    let error = program.bind(&[("K", mat![[1.0, 2.0], [3.0, 9.0]].as_ref())]).unwrap_err();
    assert!(matches!(error, Error::NotSymmetric { row: 1, col: 0, .. }), "{error}");
}

#[test]
fn each_input_is_bound_in_its_place() {
    let tape = Tape::new();
    let (x, w) = (tape.constant("X", (1, 1)), tape.input("W", (1, 1)));
    let mut program = Program::<f64>::compile(&[w * x]).unwrap();
    let one = mat![[1.0]];
    let of = |result: Result<(), Error>| result.unwrap_err().to_string();
    let unbound = program.run(&[("W", one.as_ref())]).map(|_| ());
    assert_eq!(of(unbound), "input `X` (1×1) is not bound");
    assert_eq!(of(program.bind(&[])), "input `X` (1×1) is not bound");
    assert_eq!(
        of(program.bind(&[("X", one.as_ref()), ("W", one.as_ref())])),
        "input `W` was not declared constant: it is given to every run"
    );
    program.bind(&[("X", one.as_ref())]).unwrap();
    let twice = program.run(&[("W", one.as_ref()), ("X", one.as_ref())]).map(|_| ());
    assert_eq!(
        of(twice),
        "input `X` was declared constant: it is bound once, by `bind`, and not in every run"
    );
    assert_eq!(program.run(&[("W", one.as_ref())]).unwrap().scalar(0), Some(1.0));
}

/// Sums, passes, repetitions, multiples of the identity and opaque functions in which constants meet variables.
#[test]
fn constants_meet_variables() {
    let tape = Tape::new();
    let (c, s) = (tape.constant("C", (3, 3)), tape.constant("s", (1, 1)));
    let (a, v) = (tape.input("A", (3, 3)), tape.constant("v", (3, 1)));
    let outputs = [
        a + c * c,
        a.hadamard(c.exp().t()) + 2.0 * c,
        a + (2.0 * s) * tape.identity(3),
        a + v.repeat_cols(3),
        (a - c).norm_squared() + tape.function("f", c),
        tape.ones((3, 3)).exp() + c,
        a + v.diag(),
    ];
    let mut program = Program::<f64>::compile(&outputs).unwrap();
    program.define("f", Definition::new(|c| c[(0, 0)])).unwrap();
    let (cm, am, vm, sm) = (matrix(3, 3, 1), matrix(3, 3, 2), matrix(3, 1, 3), mat![[0.5]]);
    program.bind(&[("v", vm.as_ref()), ("C", cm.as_ref()), ("s", sm.as_ref())]).unwrap();
    let entry = |f: &dyn Fn(usize, usize) -> f64| Mat::from_fn(3, 3, f);
    let on = |i: usize, j: usize| if i == j { 1.0 } else { 0.0 };
    for _ in 0..3 {
        let run = program.run(&[("A", am.as_ref())]).unwrap();
        let wanted = [
            &am + &cm * &cm,
            entry(&|i, j| am[(i, j)] * cm[(j, i)].exp() + 2.0 * cm[(i, j)]),
            entry(&|i, j| am[(i, j)] + on(i, j)),
            entry(&|i, j| am[(i, j)] + vm[(i, 0)]),
            Mat::full(1, 1, (&am - &cm).squared_norm_l2() + cm[(0, 0)]),
            entry(&|i, j| 1f64.exp() + cm[(i, j)]),
            entry(&|i, j| am[(i, j)] + on(i, j) * vm[(i, 0)]),
        ];
        for (k, (got, wanted)) in run.iter().zip(&wanted).enumerate() {
            assert!((got - wanted).norm_max() < 1e-13, "output {k}: {got:?} instead of {wanted:?}");
        }
    }
}

#[test]
fn neither_binding_nor_running_allocates() {
    let tape = Tape::new();
    let (x, w) = (tape.constant("X", (20, 50)), tape.input("W", (20, 20)));
    let mut program =
        Program::<f64>::compile(&[(w * (x * x.t())).tanh().sum(), (x * x.t()).log_det()]).unwrap();
    let (xm, wm) = (
        Mat::from_fn(20, 50, |i, j| ((i * j) % 7) as f64 + if i == j { 9.0 } else { 0.0 }),
        matrix(20, 20, 2),
    );
    let (data, inputs) = ([("X", xm.as_ref())], [("W", wm.as_ref())]);
    program.bind(&data).unwrap();
    program.run(&inputs).unwrap();
    let info = measure(|| {
        program.bind(&data).unwrap();
        program.run(&inputs).unwrap();
    });
    assert_eq!(info.count_total, 0);
}

/// What a derivative is taken along is data as well as what is decomposed.
#[test]
fn a_constant_direction_is_read_in_runs() {
    let tape = Tape::new();
    let (a, c) = (tape.symmetric("A", 3), tape.constant("C", (3, 3)));
    let values = a.eigenvalues().stop_gradient();
    let derivative = Op::SymmetricFunction { order: 1, columns: 5 };
    let two = 2.0 * tape.ones((3, 1));
    let none = tape.zeros((3, 1));
    // The square along C: A C + C A.
    let square = tape.apply(derivative, &[a, values.square(), 2.0 * values, two, none, none, c]);
    let mut program = Program::<f64>::compile(&[square]).unwrap();
    let (am, cm) = (matrix(3, 3, 1), matrix(3, 3, 2));
    let am = &am + am.transpose();
    program.bind(&[("C", cm.as_ref())]).unwrap();
    for _ in 0..2 {
        let [found] = program.run(&[("A", am.as_ref())]).unwrap().matrices().unwrap();
        assert!((found - (&am * &cm + &cm * &am)).norm_max() < 1e-12);
    }
}
