//! What threads change: the time that a program takes, and nothing else.

#![cfg(feature = "rayon")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use faer::{Mat, MatRef};
use pullback_engine::{Error, Options, Parallelism, Program, Scalar};
use pullback_tape::{Shape, Tape, Var};

type Build = for<'t> fn(&'t Tape, usize, usize) -> Vec<Var<'t>>;

/// Programs by the width of their layers and the number of samples.
const PROGRAMS: [(&str, Build); 6] = [
    ("deep linear network", |t, d, n| network(t, d, n, |z| z, |_, y_bar| y_bar)),
    ("tanh network", |t, d, n| network(t, d, n, |z| z.tanh(), |y, y_bar| (1.0 - y.square()).hadamard(y_bar))),
    ("narrow in between", |t, d, n| {
        let (a, b, x) = (t.input("A", (d, 20)), t.input("B", (20, d)), t.input("X", (d, n)));
        let (inner, y) = (b * x, a * (b * x));
        let y_bar = y.tanh();
        vec![y_bar * inner.t(), a.t() * y_bar * x.t(), (a * b).t(), b * b.t(), y_bar.t() * a]
    }),
    ("three products of one matrix", |t, d, n| {
        let x = t.input("X", (d, n));
        let [q, k, v] = ["Q", "K", "V"].map(|name| t.input(name, (d, d)) * x);
        let scores = (k.t() * q).softmax();
        vec![(v * scores).t(), scores.t(), (v * scores).norm_squared(), x * scores - 2.0 * (q * k.t() * x)]
    }),
    ("solves", |t, d, n| {
        let (a, x) = (t.input("A", (d, d)), t.input("X", (d, n)));
        let k = a * a.t() + (d as f64) * t.identity(d);
        vec![k.solve(x), k.log_det(), k.inv() * x, x.t() * k.inv()]
    }),
    ("parts", |t, d, n| {
        let (a, b, x) = (t.input("A", (d, d)), t.input("B", (d, d)), t.input("X", (d, n)));
        let (half, y) = (d / 2, a * x);
        let around: Vec<usize> = (0..n).map(|j| (j * j) % n).collect();
        let s = t.selection(&around, n);
        vec![
            a.slice(..half, half..) * b.slice(half.., ..) * x,
            t.stack_rows(&[y, y.slice(..half, ..).tanh(), x]),
            y.select_cols(&around).exp().hadamard(x),
            y.hadamard(x).exp() * s,
            y.cumulative_sums() - y.col_argmax().hadamard(x),
            b.slice(.., half..).t() * y.slice(.., ..n.div_ceil(2)) * y.slice(..1, ..n.div_ceil(2)).t(),
        ]
    }),
];

/// Three layers, and the gradients of `½‖·‖²` of what they compute.
fn network<'t>(
    t: &'t Tape,
    d: usize,
    n: usize,
    layer: fn(Var<'t>) -> Var<'t>,
    back: fn(Var<'t>, Var<'t>) -> Var<'t>,
) -> Vec<Var<'t>> {
    let weights = ["W1", "W2", "W3"].map(|name| t.input(name, (d, d)));
    let mut values = vec![t.input("X", (d, n))];
    for w in weights {
        values.push(layer(w * values[values.len() - 1]));
    }
    let mut y_bar = values[3];
    let mut outputs = vec![0.5 * y_bar.norm_squared()];
    for k in (0..3).rev() {
        let z_bar = back(values[k + 1], y_bar);
        y_bar = weights[k].t() * z_bar;
        outputs.extend([z_bar * values[k].t(), z_bar.row_sums()]);
    }
    outputs.push(y_bar);
    outputs
}

fn matrices<T: Scalar>(tape: &Tape) -> Vec<(String, Mat<T>)> {
    let mut state = 1u64;
    let mut entry = |size: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::from_f64(((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0) / size.sqrt())
    };
    let inputs = tape.inputs().into_iter();
    inputs
        .map(|(name, shape)| (name, Mat::from_fn(shape.rows, shape.cols, |_, _| entry(shape.rows as f64))))
        .collect()
}

fn bound<T: Scalar>(matrices: &[(String, Mat<T>)]) -> Vec<(&str, MatRef<'_, T>)> {
    matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect()
}

fn threads(n: usize) -> Options {
    Options::new().parallelism(Parallelism::Threads(n.try_into().unwrap()))
}

fn bits<'m, T: Scalar>(matrices: impl Iterator<Item = MatRef<'m, T>>) -> Vec<u64> {
    let entries = |m: MatRef<'m, T>| {
        (0..m.ncols()).flat_map(move |j| (0..m.nrows()).map(move |i| m[(i, j)].to_f64().to_bits()))
    };
    matrices.flat_map(entries).collect()
}

/// The bits of the results: of `run`, and of `run_into` matrices stored by columns and by rows, in each of which
/// reductions add up in an order of their own.
fn all_bits<T: Scalar>(
    program: &mut Program<T>,
    inputs: &[(&str, MatRef<'_, T>)],
    shapes: &[Shape],
) -> [Vec<u64>; 3] {
    let zeros = |&Shape { rows, cols }: &Shape| Mat::<T>::zeros(rows, cols);
    let mut by_columns: Vec<_> = shapes.iter().map(zeros).collect();
    let mut into: Vec<_> = by_columns.iter_mut().map(Mat::as_mut).collect();
    program.run_into(inputs, &mut into).unwrap();
    let mut by_rows: Vec<_> = shapes.iter().map(|shape| zeros(&shape.transposed())).collect();
    let mut into: Vec<_> = by_rows.iter_mut().map(|m| m.as_mut().transpose_mut()).collect();
    program.run_into(inputs, &mut into).unwrap();
    [
        bits(program.run(inputs).unwrap().iter()),
        bits(by_columns.iter().map(Mat::as_ref)),
        bits(by_rows.iter().map(Mat::transpose)),
    ]
}

fn same_bits<T: Scalar>(name: &str, build: Build, d: usize, n: usize) {
    let tape = Tape::new();
    let outputs = build(&tape, d, n);
    let shapes: Vec<_> = outputs.iter().map(|y| y.shape()).collect();
    let matrices = matrices::<T>(&tape);
    let inputs = bound(&matrices);
    let expected = all_bits(&mut Program::compile(&outputs).unwrap(), &inputs, &shapes);
    for count in [1, 2, 3, 8] {
        let what = format!("{name}, {d} wide, {n} samples, {count} threads");
        let mut program = Program::compile_with(&outputs, threads(count)).unwrap();
        assert!(all_bits(&mut program, &inputs, &shapes) == expected, "{what}");
        let mut clone = program.clone();
        let (here, there) = std::thread::scope(|scope| {
            let there = scope.spawn(|| bits(clone.run(&inputs).unwrap().iter()));
            (bits(program.run(&inputs).unwrap().iter()), there.join().unwrap())
        });
        assert!(here == expected[0] && there == expected[0], "{what}, a clone at the same time");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for (name, build) in PROGRAMS {
        for d in [5, 64, 128, 200, 257] {
            for n in [1, 2, 33, d] {
                same_bits::<f64>(name, build, d, n);
                same_bits::<f32>(name, build, d, n);
            }
        }
    }
}

#[test]
fn nor_do_those_of_large_programs() {
    for (name, build) in PROGRAMS {
        same_bits::<f64>(name, build, 390, 270);
        same_bits::<f32>(name, build, 521, 40);
    }
}

/// However many clones run on the program's threads at once, none waits for another for ever.
#[test]
fn clones_share_the_threads() {
    let tape = Tape::new();
    let outputs = PROGRAMS[0].1(&tape, 200, 200);
    let matrices = matrices::<f64>(&tape);
    let inputs = bound(&matrices);
    for count in [2, 3] {
        let mut program = Program::compile_with(&outputs, threads(count)).unwrap();
        let expected = bits(program.run(&inputs).unwrap().iter());
        std::thread::scope(|scope| {
            for mut clone in vec![program.clone(); 5] {
                let (inputs, expected) = (&inputs, &expected);
                scope.spawn(move || {
                    for _ in 0..40 {
                        assert!(bits(clone.run(inputs).unwrap().iter()) == *expected);
                    }
                });
            }
        });
    }
}

/// What another thread allocates is not counted; rayon's queue takes a block of memory once in 63 runs.
#[test]
fn the_calling_thread_allocates_nothing() {
    let tape = Tape::new();
    let outputs = PROGRAMS[0].1(&tape, 200, 200);
    let matrices = matrices::<f64>(&tape);
    let inputs = bound(&matrices);
    let mut program = Program::compile_with(&outputs, threads(2)).unwrap();
    program.run(&inputs).unwrap();
    let again = measure(|| {
        for _ in 0..20 {
            program.run(&inputs).unwrap();
        }
    });
    assert!(again.count_total <= 1, "{} allocations", again.count_total);
}

/// Of two products that run side by side, the first is blamed, however long each takes.
#[test]
fn the_first_error_is_told() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (200, 200)), tape.input("B", (200, 200)));
    let outputs = [a * b, b * a.t(), b * b];
    let (large, mut overflow) = (Mat::<f64>::full(200, 200, 1e200), Mat::<f64>::zeros(200, 200));
    overflow[(3, 4)] = 1e200;
    let inputs = [("A", overflow.as_ref()), ("B", large.as_ref())];
    let told = |mut program: Program<f64>| -> Error {
        program.check_finite(true);
        program.run(&inputs).map(drop).unwrap_err()
    };
    let expected = told(Program::compile(&outputs).unwrap());
    for _ in 0..20 {
        assert_eq!(told(Program::compile_with(&outputs, threads(2)).unwrap()), expected);
    }
    assert!(matches!(expected, Error::NonFinite { row: 3, .. }), "{expected}");
}

#[test]
fn programs_can_be_sent() {
    fn assert_send<T: Send + Clone>() {}
    assert_send::<Program<f64>>();
}
