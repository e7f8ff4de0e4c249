//! What a compiled program promises: no allocation, the same bits, little memory, and errors from which it
//! recovers.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use faer::{Mat, MatMut, MatRef, mat};
use pullback_engine::{Definition, Error, Program, Scalar};
use pullback_tape::{Op, Shape, Tape, Var};

/// Numbers from −1 to 1, fixed by the seed.
fn random<T: Scalar>(rows: usize, cols: usize, seed: u64) -> Mat<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0123_4567_89AB_CDEF;
    Mat::from_fn(rows, cols, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    })
}

/// A matrix for every input of the tape, square ones with a heavy diagonal.
fn matrices<T: Scalar>(tape: &Tape) -> Vec<(String, Mat<T>)> {
    (1..)
        .zip(tape.inputs())
        .map(|(seed, (name, Shape { rows, cols }))| {
            let mut matrix = random::<T>(rows, cols, seed);
            for i in 0..if rows == cols { rows } else { 0 } {
                matrix[(i, i)] += T::from_f64(rows as f64);
            }
            (name, matrix)
        })
        .collect()
}

fn bound<T: Scalar>(matrices: &[(String, Mat<T>)]) -> Vec<(&str, MatRef<'_, T>)> {
    matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect()
}

// ---- programs as they are used ---------------------------------------------------------------------------

type Build = for<'t> fn(&'t Tape) -> Vec<Var<'t>>;
type Unary = for<'t> fn(Var<'t>) -> Var<'t>;
type Binary = for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>;
type Bindings<'m> = [(&'m str, MatRef<'m, f64>)];

/// Losses with their gradients, as a rule book would write them.
const PROGRAMS: [(&str, Build); 6] = [
    ("deep linear network", |t| {
        let weights: Vec<_> = (0..6).map(|k| t.input(&format!("W{k}"), (24, 24))).collect();
        let (x, y) = (t.input("X", (24, 40)), t.input("Y", (24, 40)));
        let product = weights[1..].iter().fold(weights[0], |product, w| *w * product);
        let residual = product * x - y;
        let outer = residual * x.t();
        let mut outputs = vec![0.5 * residual.norm_squared()];
        for k in 0..weights.len() {
            let after = weights[k + 1..].iter().fold(t.identity(24), |product, w| *w * product);
            let before = weights[..k].iter().fold(t.identity(24), |product, w| *w * product);
            outputs.push(after.t() * outer * before.t());
        }
        outputs
    }),
    ("two layers, tanh and softmax", |t| {
        let (w1, b1) = (t.input("W1", (30, 20)), t.input("b1", (30, 1)));
        let (w2, b2) = (t.input("W2", (10, 30)), t.input("b2", (10, 1)));
        let (x, y) = (t.input("X", (20, 64)), t.input("Y", (10, 64)));
        let h = (w1 * x).add_col(b1).tanh();
        let z = (w2 * h).add_col(b2);
        let z_bar = (z.softmax() - y) / 64.0;
        let h_bar = (w2.t() * z_bar).hadamard(1.0 - h.square());
        let loss = (z.log_sum_exp().sum() - y.inner(z)) / 64.0;
        vec![loss, h_bar * x.t(), h_bar.row_sums(), z_bar * h.t(), z_bar.row_sums()]
    }),
    ("Gaussian process", |t| {
        let (x, y, s) = (t.input("X", (20, 3)), t.input("y", (20, 1)), t.input("s", (1, 1)));
        let k = x * x.t() + s.square() * t.identity(20);
        let alpha = k.solve(y);
        let k_bar = 0.5 * (k.inv().t() - alpha * alpha.t());
        vec![0.5 * (y.inner(alpha) + k.log_det()), (k_bar + k_bar.t()) * x, 2.0 * s * k_bar.trace(), k.det()]
    }),
    ("everything at once", |t| {
        let (a, d) = (t.input("A", (17, 9)), t.input("D", (17, 17)));
        let (c, r) = (t.input("c", (17, 1)), t.input("r", (9, 1)));
        let chain = (0..30).fold(a, |y, _| (y.sin() + a).tanh().hadamard(a.cos()) - 0.1 * y);
        let elementwise = chain.add_row(r.t()).mul_col(c).quotient(a.square() + 1.0);
        let sum = d.t() * elementwise - 2.0 * (d * chain) + elementwise;
        let w = t.function("L", sum);
        vec![
            sum,
            sum.t(),
            w,
            d.t().solve(sum),
            d.inv(),
            d.det() * d,
            d.log_det() * sum.norm(),
            sum.softmax().t(),
            sum.col_maxima() + sum.col_argmax().hadamard(sum).col_minima(),
            sum.norm_p(3.0) * sum.row_products(),
            sum.t().log_sum_exp(),
            a,
            t.ones((3, 4)),
            t.identity(4),
            sum.inner(chain),
            (d + 2.0 * t.identity(17)).trace(),
            sum.row_means().repeat_cols(5),
        ]
    }),
    ("parts, triangles and factors", |t| {
        let (a, d) = (t.input("A", (17, 9)), t.input("D", (17, 17)));
        let lower = (a * a.t() + t.identity(17)).cholesky();
        let heavy = d.tanh() + 20.0 * t.identity(17);
        let rows = a.select_rows(&[16, 3, 3, 0]);
        vec![
            lower,
            lower.solve_lower(a.exp()),
            heavy.t().solve_upper(a),
            heavy.solve_unit_lower(a * 0.01),
            t.stack_rows(&[rows, a, 2.0 * a.slice(4..9, ..)]),
            t.selection(&[2, 2, 5, 11], 17).t() * rows,
            d.tril() * a.cumulative_sums() - d.strict_triu() * a,
            a.vec().reshape((9, 17)),
            a.slice(..3, ..2).kron(d.slice(.., 15..)),
            a.max(0.5 * a.sin()).hypot(a).atan2(a.less(0.1 * t.ones((17, 9)))),
        ]
    }),
    ("large", |t| {
        let (a, b) = (t.input("A", (200, 150)), t.input("B", (150, 300)));
        let product = a * b;
        vec![
            product.tanh().sum(),
            (1.0 - product.tanh().square()) * b.t(),
            (a * a.t() + t.identity(200)).log_det(),
        ]
    }),
];

fn compiled<T: Scalar>(outputs: &[Var<'_>]) -> Program<T> {
    let mut program = Program::compile(outputs).unwrap();
    // Only one of the programs has it.
    let _ = program.define("L", Definition::new(|w: MatRef<'_, T>| w[(0, 0)]));
    program
}

/// `f32` and `f64`, for all programs.
fn for_each_program(f: impl Fn(&str, Build), g: impl Fn(&str, Build)) {
    for (name, build) in PROGRAMS {
        f(name, build);
        g(name, build);
    }
}

fn allocates_nothing<T: Scalar>(name: &str, build: Build) {
    let tape = Tape::new();
    let outputs = build(&tape);
    let matrices = matrices::<T>(&tape);
    let inputs = bound(&matrices);
    let mut program = compiled::<T>(&outputs);
    program.run(&inputs).unwrap();
    let again = measure(|| {
        for _ in 0..3 {
            program.run(&inputs).unwrap();
        }
    });
    assert_eq!(again.count_total, 0, "{name}: run allocates");

    // faer's buffers belong to the thread, and the program needs none of its own for results that go elsewhere.
    let results: Vec<Mat<T>> = outputs.iter().map(|y| Mat::zeros(y.rows(), y.cols())).collect();
    for compile in [compiled::<T>(&outputs), program.clone()] {
        let mut fresh = compile;
        let mut results = results.clone();
        let mut into: Vec<_> = results.iter_mut().map(Mat::as_mut).collect();
        let first = measure(|| fresh.run_into(&inputs, &mut into).unwrap());
        // What is shared by two outputs (`sum` and its transpose) is computed inside, the first time.
        let shared = usize::from(name == "everything at once");
        assert!(
            first.count_total <= shared as u64,
            "{name}: the first run_into allocates {}",
            first.count_total
        );
        let second = measure(|| fresh.run_into(&inputs, &mut into).unwrap());
        assert_eq!(second.count_total, 0, "{name}: run_into allocates");
    }
}

#[test]
fn running_allocates_nothing() {
    for_each_program(allocates_nothing::<f64>, allocates_nothing::<f32>);
}

#[test]
fn an_allocation_would_be_seen() {
    assert!(measure(|| drop(Mat::<f64>::zeros(3, 3))).count_total > 0);
}

/// The bits of all results.
fn bits<T: Scalar>(program: &mut Program<T>, matrices: &[(String, Mat<T>)]) -> Vec<u64> {
    let run = program.run(&bound(matrices)).unwrap();
    run.iter()
        .flat_map(|m| {
            (0..m.ncols()).flat_map(move |j| (0..m.nrows()).map(move |i| m[(i, j)].to_f64().to_bits()))
        })
        .collect()
}

fn repeats_its_bits<T: Scalar>(name: &str, build: Build) {
    let tape = Tape::new();
    let outputs = build(&tape);
    let matrices = matrices::<T>(&tape);
    let mut program = compiled::<T>(&outputs);
    let mut unused = program.clone();
    let first = bits(&mut program, &matrices);
    assert!(first.iter().all(|bits| f64::from_bits(*bits).is_finite()), "{name}");
    assert_eq!(bits(&mut program, &matrices), first, "{name} again");
    // Something else in between leaves no trace.
    let others: Vec<_> = matrices
        .iter()
        .map(|(n, m)| (n.clone(), Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)] * T::from_f64(1.5))))
        .collect();
    assert_ne!(bits(&mut program, &others), first, "{name} with other inputs");
    assert_eq!(bits(&mut program, &matrices), first, "{name} after others");
    assert_eq!(bits(&mut unused, &matrices), first, "a clone of {name}, made before the first run");
    let mut clone = program.clone();
    drop((program, tape));
    let elsewhere = std::thread::scope(|scope| scope.spawn(|| bits(&mut clone, &matrices)).join().unwrap());
    assert_eq!(elsewhere, first, "{name} on another thread");
}

#[test]
fn the_same_inputs_give_the_same_bits() {
    fn assert_send<T: Send + Clone>() {}
    assert_send::<Program<f32>>();
    assert_send::<Program<f64>>();
    for_each_program(repeats_its_bits::<f64>, repeats_its_bits::<f32>);
}

/// The order in which inputs are bound and outputs compiled changes nothing.
#[test]
fn inputs_are_bound_by_name() {
    let tape = Tape::new();
    let outputs = PROGRAMS[1].1(&tape);
    let matrices = matrices::<f64>(&tape);
    let mut program = compiled::<f64>(&outputs);
    let first = bits(&mut program, &matrices);
    let reversed: Vec<_> = matrices.iter().rev().cloned().collect();
    assert_eq!(bits(&mut program, &reversed), first);
    let names: Vec<_> = program.inputs().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, ["W1", "b1", "W2", "b2", "X", "Y"]);
}

#[test]
fn buffers_are_used_again() {
    let (n, samples) = (16, 50);
    let layers: [(&str, Binary); 4] = [
        ("products", |w, x| w * x),
        ("layers", |w, x| (w * x).tanh()),
        ("residual layers", |w, x| x + (w * x).tanh()),
        ("long chains", |_, x| (0..10).fold(x, |y, _| y.sin() * 0.5 + x)),
    ];
    for (name, layer) in layers {
        let tape = Tape::new();
        let x = tape.input("X", (n, samples));
        let weight = |k: usize| tape.input(&format!("W{k}"), (n, n));
        let loss = (0..100).fold(x, |x, k| layer(weight(k), x)).norm_squared();
        let program = Program::<f64>::compile(&[loss]).unwrap();
        let one = n * samples * size_of::<f64>();
        assert!(program.bytes() <= 3 * one + 64, "{name}: {} bytes, {one} for one value", program.bytes());
        assert!(program.instructions() >= 100, "{name}");
    }
}

/// With an entry in every layout, of more than one block.
const SUMS: [(&str, Build); 8] = [
    ("Σ softplus", |t| vec![t.input("Z", (70, 9)).softplus().sum()]),
    ("Σ cosh", |t| vec![(3.0 * t.input("Z", (300, 3)) - 1.0).log_cosh().sum() / 7.0]),
    ("Huber", |t| {
        let r = t.input("P", (8, 40)) - t.input("Y", (8, 40));
        vec![r.clamp(-0.5, 0.5).inner(r - 0.5 * r.clamp(-0.5, 0.5))]
    }),
    ("a square", |t| vec![(t.input("P", (33, 8)) - t.input("Y", (33, 8))).norm_squared()]),
    ("with a stored factor", |t| {
        let e = t.input("Z", (50, 60)).exp();
        vec![e.inner(t.input("Y", (50, 60)) * 2.0 - 1.0), e]
    }),
    ("by rows", |t| vec![(t.input("Z", (40, 50)).t() + t.input("Y", (50, 40))).tanh().sum()]),
    ("of stored matrices", |t| {
        let (z, y) = (t.input("Z", (40, 50)), t.input("Y", (40, 50)));
        vec![z.sum(), z.inner(y), z.norm(), z.exp(), z.exp().sum(), z.exp().inner(y), z.exp().norm()]
    }),
    ("of columns", |t| {
        let (z, y) = (t.input("Z", (300, 3)), t.input("Y", (3, 300)));
        vec![z.softmax(), z.log_sum_exp(), y.softmax(), y.log_sum_exp(), z.t().softmax(), y.t().log_sum_exp()]
    }),
];

#[test]
fn sums_of_chains_are_not_stored() {
    for (name, build) in &SUMS[..4] {
        let tape = Tape::new();
        let program = compiled::<f64>(&build(&tape));
        // Huber's residual is needed three times.
        assert!(program.instructions() <= if *name == "Huber" { 3 } else { 1 }, "{name}");
    }
}

/// A sum has the same bits whatever the strides of its operands, and wherever they are stored.
#[test]
fn sums_have_the_same_bits_in_every_layout() {
    for (name, build) in SUMS {
        let tape = Tape::new();
        let mut program = compiled::<f64>(&build(&tape));
        let matrices = matrices::<f64>(&tape);
        let by_rows: Vec<_> =
            matrices.iter().map(|(name, m)| (name.clone(), m.transpose().to_owned())).collect();
        let wanted: Vec<Mat<f64>> =
            program.run(&bound(&matrices)).unwrap().iter().map(|m| m.to_owned()).collect();
        let transposed: Vec<_> = by_rows.iter().map(|(name, m)| (name.as_str(), m.transpose())).collect();
        for inputs in [&bound(&matrices), &transposed] {
            let same = |got: MatRef<'_, f64>, wanted: &Mat<f64>| assert_eq!(got, wanted.as_ref(), "{name}");
            program.run(inputs).unwrap().iter().zip(&wanted).for_each(|(got, wanted)| same(got, wanted));
            let mut outside: Vec<_> = wanted.iter().map(|m| Mat::zeros(m.ncols(), m.nrows())).collect();
            let mut views: Vec<_> = outside.iter_mut().map(|m| m.transpose_mut()).collect();
            program.run_into(inputs, &mut views).unwrap();
            outside.iter().zip(&wanted).for_each(|(got, wanted)| same(got.transpose(), wanted));
        }
    }
}

/// An inner product of matrices in different orders: what it reads may be a copy in the caller's memory, in any order.
fn inner_products_read_copies_of<T: Scalar>() {
    for (m, n) in [(2, 3), (8, 8), (17, 40), (40, 17), (64, 33), (70, 2)] {
        let tape = Tape::new();
        let (a, b) = (tape.input("A", (m, n)), tape.input("B", (n, m)));
        let inner = 2.0 * a.inner(b.t());
        for outputs in [
            vec![inner],
            vec![inner, b.t()],
            vec![inner, a.t()],
            vec![inner, b, a],
            vec![inner, b.t(), a.t()],
        ] {
            let (at, bt) = (random::<T>(m, n, 1), random::<T>(n, m, 2));
            let (by_rows_a, by_rows_b) = (at.transpose().to_owned(), bt.transpose().to_owned());
            let entries = (0..m).flat_map(|i| (0..n).map(move |j| (i, j)));
            let wanted: f64 = entries.map(|(i, j)| 2.0 * at[(i, j)].to_f64() * bt[(j, i)].to_f64()).sum();
            let mut program = Program::<T>::compile(&outputs).unwrap();
            let mut first: Option<T> = None;
            for a in [
                at.as_ref(),
                by_rows_a.transpose(),
                at.as_ref().reverse_rows().to_owned().as_ref().reverse_rows(),
            ] {
                for b in [bt.as_ref(), by_rows_b.transpose()] {
                    let inputs = [("A", a), ("B", b)];
                    let results: Vec<Mat<T>> =
                        program.run(&inputs).unwrap().iter().map(|m| m.to_owned()).collect();
                    let mut into: Vec<Mat<T>> =
                        results.iter().map(|m| Mat::zeros(m.nrows(), m.ncols())).collect();
                    let mut views: Vec<_> = into.iter_mut().map(Mat::as_mut).collect();
                    program.run_into(&inputs, &mut views).unwrap();
                    assert_eq!(into[1..], results[1..]);
                    let mut rows: Vec<Mat<T>> =
                        results.iter().map(|m| Mat::zeros(m.ncols(), m.nrows())).collect();
                    let mut views: Vec<_> = rows.iter_mut().map(|m| m.as_mut().transpose_mut()).collect();
                    program.run_into(&inputs, &mut views).unwrap();
                    assert!(
                        rows.iter()
                            .zip(&results)
                            .skip(1)
                            .all(|(row, result)| row.transpose() == result.as_ref())
                    );
                    for (output, result) in outputs.iter().zip(&results).skip(1) {
                        let copy = [at.as_ref(), at.transpose(), bt.as_ref(), bt.transpose()];
                        assert!(copy.contains(&result.as_ref()), "{output}");
                    }
                    for value in [&results, &into, &rows].map(|results| results[0][(0, 0)]) {
                        let scale = (m * n) as f64;
                        assert!((value.to_f64() - wanted).abs() <= 8.0 * T::EPSILON.to_f64() * scale);
                        // Few numbers are added up in another way where the caller's matrices are written.
                        let same = *first.get_or_insert(value) == value;
                        assert!(same || m * n < 500, "{m}×{n}: {value:?} and {first:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn inner_products_read_copies() {
    inner_products_read_copies_of::<f32>();
    inner_products_read_copies_of::<f64>();
}

#[test]
fn results_go_where_the_caller_wants_them() {
    let tape = Tape::new();
    let a = tape.input("A", (3, 3));
    let square = a * a;
    let mut program = Program::<f64>::compile(&[square, square, square.t(), a, (a * square).t()]).unwrap();
    let at = mat![[1.0, 2.0, 0.0], [0.0, 1.0, 3.0], [1.0, 0.0, 1.0]];
    let mut large = Mat::full(9, 9, 7.0);
    let (mut rows, mut reversed, mut plain) =
        (Mat::zeros(3, 3), Mat::zeros(3, 3), [Mat::zeros(3, 3), Mat::zeros(3, 3)]);
    let [plain, last] = &mut plain;
    let mut outputs = [
        large.as_mut().submatrix_mut(2, 3, 3, 3),
        rows.as_mut().transpose_mut(),
        reversed.as_mut().reverse_rows_mut(),
        plain.as_mut(),
        last.as_mut().transpose_mut().reverse_cols_mut(),
    ];
    program.run_into(&[("A", at.as_ref())], &mut outputs).unwrap();
    let square = &at * &at;
    assert_eq!(large.as_ref().submatrix(2, 3, 3, 3), square);
    assert_eq!(rows.transpose(), square);
    assert_eq!(reversed.as_ref().reverse_rows(), square.transpose());
    assert_eq!(*plain, at);
    assert_eq!(last.as_ref().transpose().reverse_cols(), (&at * &square).transpose());
    // Nothing else was written to.
    let outside = (0..9).flat_map(|i| (0..9).map(move |j| (i, j)));
    let mut outside = outside.filter(|(i, j)| !((2..5).contains(i) && (3..6).contains(j)));
    assert!(outside.all(|at| large[at] == 7.0));
}

// ---- errors ----------------------------------------------------------------------------------------------

#[test]
fn what_cannot_be_compiled() {
    let (tape, other) = (Tape::new(), Tape::new());
    let (a, b) = (tape.input("A", (2, 3)), other.input("B", (2, 2)));
    let (e, line) = (tape.symbol("ε", (2, 3)), line!());
    match Program::<f64>::compile(&[a, (a + e).norm()]).unwrap_err() {
        Error::Symbolic { name, location } => {
            assert_eq!((name.as_str(), location.file(), location.line()), ("ε", file!(), line));
        }
        error => panic!("{error}"),
    }
    // A symbol that is not needed is in nobody's way.
    Program::<f64>::compile(&[a]).unwrap();
    let mistake = a * a;
    assert_eq!(
        Program::<f64>::compile(&[a, mistake]).unwrap_err(),
        Error::Tape(mistake.check().unwrap_err())
    );
    let foreign = Program::<f64>::compile(&[a, b]).unwrap_err();
    assert!(matches!(foreign, Error::Tape(pullback_tape::Error::ForeignVar { .. })), "{foreign}");
}

#[test]
fn what_is_bound_wrongly() {
    let tape = Tape::new();
    let (a, b, unused) = (tape.input("A", (2, 3)), tape.input("B", (3, 2)), tape.input("U", (1, 1)));
    let mut program = Program::<f64>::compile(&[a * b]).unwrap();
    let (a, b, u) =
        (random::<f64>(2, 3, 1), random::<f64>(3, 2, 2), Mat::zeros(unused.rows(), unused.cols()));
    let (a, b, u) = (("A", a.as_ref()), ("B", b.as_ref()), ("U", u.as_ref()));
    let (unknown, wrong) = (("V", u.1), ("A", b.1));
    let shape = Shape::new;
    let not_bound = |name: &str, shape| Error::Unbound { name: name.to_owned(), shape };
    let no_input = |name: &str| Error::UnknownInput { name: name.to_owned(), known: "A, B, U".to_owned() };
    let twice = |name: &str| Error::BoundTwice { name: name.to_owned() };
    let misshapen = Error::InputShape { name: "A".to_owned(), expected: shape(2, 3), found: shape(3, 2) };
    let cases: [(&Bindings<'_>, Error); 10] = [
        (&[], not_bound("A", shape(2, 3))),
        (&[a], not_bound("B", shape(3, 2))),
        (&[b], not_bound("A", shape(2, 3))),
        (&[a, u], not_bound("B", shape(3, 2))),
        (&[a, b, unknown], no_input("V")),
        (&[unknown, a, b], no_input("V")),
        (&[a, b, a], twice("A")),
        (&[b, b, a], twice("B")),
        (&[a, b, u, u], twice("U")),
        (&[wrong, b], misshapen),
    ];
    let product = a.1 * b.1;
    let mut out = Mat::zeros(2, 2);
    for (inputs, wanted) in cases {
        assert_eq!(program.run(inputs).err().unwrap(), wanted);
        assert_eq!(program.run_into(inputs, &mut [out.as_mut()]).unwrap_err(), wanted);
        // What the outputs do not need may be bound, as long as the tape knows it.
        for inputs in [&[a, b][..], &[b, a], &[b, u, a]] {
            let [result] = program.run(inputs).unwrap().matrices().unwrap();
            assert!((result - &product).norm_max() <= 1e-15);
        }
    }
}

#[test]
fn outputs_that_do_not_fit() {
    let tape = Tape::new();
    let a = tape.input("A", (2, 3));
    let mut program = Program::<f64>::compile(&[a.t(), a.norm()]).unwrap();
    let at = random::<f64>(2, 3, 1);
    let inputs = [("A", at.as_ref())];
    let run = program.run(&inputs).unwrap();
    assert_eq!((run.len(), run.scalar(0), run.get(2).is_none()), (2, None, true));
    assert_eq!(run.scalar(1), Some(run.get(1).unwrap()[(0, 0)]));
    assert_eq!(run.matrices::<3>().unwrap_err(), Error::OutputCount { expected: 2, found: 3 });
    assert_eq!(program.outputs().collect::<Vec<_>>(), [Shape::new(3, 2), Shape::SCALAR]);

    let (mut good, mut wrong, mut norm) = (Mat::zeros(3, 2), Mat::zeros(2, 3), Mat::zeros(1, 1));
    let few = program.run_into(&inputs, &mut [good.as_mut()]).unwrap_err();
    assert_eq!(few, Error::OutputCount { expected: 2, found: 1 });
    let misshapen = program.run_into(&inputs, &mut [wrong.as_mut(), norm.as_mut()]).unwrap_err();
    let (expected, found) = (Shape::new(3, 2), Shape::new(2, 3));
    assert_eq!(misshapen, Error::OutputShape { index: 0, formula: "Aᵀ".to_owned(), expected, found });
    program.run_into(&inputs, &mut [good.as_mut(), norm.as_mut()]).unwrap();
    assert_eq!(good, at.transpose());
}

#[test]
fn functions_that_are_not_defined() {
    let tape = Tape::new();
    let (w, u, v) = (tape.input("W", (2, 2)), tape.input("U", (2, 2)), tape.input("V", (2, 2)));
    let Some(Op::Opaque { name, .. }) = tape.function("L", u).node().map(|node| node.op) else {
        panic!("no function")
    };
    let (derivative, line) = (|order, args: &[_]| tape.apply(Op::Opaque { name, order }, args), line!());
    let orders = [
        (derivative(0, &[w]), "L", "L(W)"),
        (derivative(1, &[w]), "∇L", "∇L(W)"),
        (derivative(2, &[w, u]), "∇²L", "∇²L(W)[U]"),
        (derivative(3, &[w, u, v]), "∇³L", "∇³L(W)[U, V]"),
    ];
    let matrices = matrices::<f64>(&tape);
    let value = || Definition::new(|w: MatRef<'_, f64>| w.squared_norm_l2());
    let twice = |w: MatRef<'_, f64>, mut out: MatMut<'_, f64>| out.copy_from(2.0 * w.to_owned());
    let definitions = [
        value(),
        value().gradient(twice),
        value().gradient(twice).hessian_product(move |_, v, out| twice(v, out)),
    ];
    for (order, (output, function, formula)) in orders.into_iter().enumerate() {
        let mut program = Program::<f64>::compile(&[w, output]).unwrap();
        assert_eq!(
            program.define("M", value()).unwrap_err(),
            Error::UnknownFunction { name: "M".to_owned() }
        );
        let undefined = |program: &mut Program<f64>| match program.run(&bound(&matrices)).err().unwrap() {
            Error::Undefined { function: found, formula: told, location } => {
                assert_eq!((found.as_str(), told.as_str()), (function, formula));
                assert_eq!((location.file(), location.line()), (file!(), line));
            }
            error => panic!("{error}"),
        };
        undefined(&mut program);
        for (known, definition) in definitions.iter().enumerate() {
            program.define("L", definition.clone()).unwrap();
            if known < order {
                undefined(&mut program);
            } else {
                program.run(&bound(&matrices)).unwrap();
            }
        }
    }
}

// ---- singular matrices -----------------------------------------------------------------------------------

/// The ops that need an inverse, and the value at the identity.
const INVERTING: [(&str, Unary); 5] = [
    ("inverse", |a| a.inv()),
    ("solve", |a| a.solve(a.tape().input("B", (a.rows(), 1)))),
    ("solve", |a| a.t().solve(a.tape().input("B", (a.rows(), 1)))),
    ("log_det", |a| a.log_det()),
    // The gradient of the determinant.
    ("inverse", |a| a.det() * a.inv().t()),
];

/// A zero on the diagonal that is read, and nothing else, makes a triangle singular.
#[test]
fn singular_triangles_are_told() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (3, 3)), tape.input("B", (3, 1)));
    let cases = [
        (a.solve_lower(b), "solve_lower", "A"),
        (a.solve_upper(b), "solve_upper", "A"),
        (a.t().solve_upper(b), "solve_upper", "Aᵀ"),
        ((2.0 * a).solve_lower(b), "solve_lower", "2 A"),
    ];
    let b_value = Mat::<f64>::full(3, 1, 1.0);
    let matrix = |diagonal: f64, other: f64| {
        Mat::from_fn(3, 3, |i, j| {
            if i != j {
                other
            } else if i == 1 {
                diagonal
            } else {
                1.0
            }
        })
    };
    for (y, op, shown) in cases {
        let mut program = Program::<f64>::compile(&[y]).unwrap();
        let error = program.run(&[("A", matrix(0.0, 1.0).as_ref()), ("B", b_value.as_ref())]).unwrap_err();
        let Error::Singular { op: found, formula, pivot: 1, location } = &error else {
            panic!("{y}: {error}")
        };
        assert_eq!((*found, formula.as_str(), location.file()), (op, shown, file!()));
        // What is small is not zero, and the program goes on.
        program.run(&[("A", matrix(1e-200, 0.0).as_ref()), ("B", b_value.as_ref())]).unwrap();
    }
    let units = [a.solve_unit_lower(b), a.solve_unit_upper(b)];
    let mut program = Program::<f64>::compile(&units).unwrap();
    program.run(&[("A", matrix(0.0, 1.0).as_ref()), ("B", b_value.as_ref())]).unwrap();
}

fn outcome<T: Scalar>(a: &Mat<T>, invert: Unary) -> Result<Mat<T>, Error> {
    let n = a.nrows();
    let tape = Tape::new();
    let mut program = Program::<T>::compile(&[invert(tape.input("A", (n, n)))]).unwrap();
    let (b, eye) = (Mat::full(n, 1, T::from_f64(1.0)), Mat::<T>::identity(n, n));
    let needs_b = program.inputs().any(|(name, _)| name == "B");
    let inputs = |a| [("A", a), ("B", b.as_ref())];
    let inputs = |a| inputs(a).into_iter().take(if needs_b { 2 } else { 1 }).collect::<Vec<_>>();
    let result = program.run(&inputs(a.as_ref())).map(|run| run.get(0).unwrap().to_owned());
    // Whatever it was, the program goes on.
    let [again] = program.run(&inputs(eye.as_ref())).unwrap().matrices().unwrap();
    let wanted = match again.shape() {
        (1, 1) if n > 1 => Mat::zeros(1, 1),
        (_, 1) => b,
        _ => eye,
    };
    assert!(n == 1 || again == wanted, "{again:?}");
    result
}

fn assert_singular<T: Scalar>(what: &str, a: &Mat<T>) {
    for (op, invert) in INVERTING {
        match outcome(a, invert) {
            Err(Error::Singular { op: found, formula, pivot, location }) => {
                assert_eq!((found, location.file()), (op, file!()));
                assert!(formula == "A" || formula == "Aᵀ", "{formula}");
                assert!(pivot < a.nrows());
            }
            other => panic!("{what} ({}), {op}: {other:?}", std::any::type_name::<T>()),
        }
    }
}

fn assert_invertible<T: Scalar>(what: &str, a: &Mat<T>) {
    for (op, invert) in INVERTING {
        if let Err(error) = outcome(a, invert) {
            panic!("{what} ({}), {op}: {error}", std::any::type_name::<T>());
        }
    }
}

/// Matrices whose pivots vanish without rounding.
fn singular_matrices<T: Scalar>() {
    for n in 2..=60 {
        assert_singular(&format!("zero, {n}"), &Mat::<T>::zeros(n, n));
        assert_singular(&format!("ones, {n}"), &Mat::full(n, n, T::from_f64(1.0)));
    }
}

/// Matrices of integers whose rank is exact, and of random numbers, where it is what rounding leaves of it.
fn matrices_of_low_rank<T: Scalar>() {
    let integer = |x: T| T::from_f64((4.5 * x.to_f64()).round());
    for n in 2..=60 {
        let mut equal = random::<T>(n, n, n as u64);
        (0..n).for_each(|j| equal[(n - 1, j)] = equal[(0, j)]);
        assert_singular(&format!("two equal rows, {n}"), &equal);
        for (rank, seed) in
            [1, n / 2, n - 1].into_iter().flat_map(|rank| (0..4).map(move |seed| (rank, seed)))
        {
            let seed = (100 * n + 10 * rank + seed) as u64;
            let (b, c) = (random::<T>(n, rank, seed), random::<T>(rank, n, seed + 5000));
            assert_singular(&format!("rank {rank} of {n}, seed {seed}"), &(&b * &c));
            let whole = |m: &Mat<T>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| integer(m[(i, j)]));
            assert_singular(
                &format!("integers of rank {rank} of {n}, seed {seed}"),
                &(whole(&b) * whole(&c)),
            );
        }
    }
}

fn invertible_matrices<T: Scalar>() {
    for n in 1..=60 {
        for seed in 0..4 {
            let a = random::<T>(n, n, (100 * n + seed) as u64);
            assert_invertible(&format!("random, {n}, seed {seed}"), &a);
            // Rows and columns of all sizes.
            let scale = |i: usize| T::from_f64(2f64.powi([-40, 0, 17, 30, -9][i % 5]));
            let scaled = Mat::from_fn(n, n, |i, j| a[(i, j)] * scale(i) * scale(j + 2));
            assert_invertible(&format!("scaled, {n}, seed {seed}"), &scaled);
        }
        // The factors of a triangular matrix are exact.
        let triangular = Mat::from_fn(n, n, |i, j| T::from_f64(if i <= j { 1.0 } else { 0.0 }));
        assert_invertible(&format!("triangular, {n}"), &triangular);
        let rotated = Mat::from_fn(n, n, |i, j| T::from_f64(if (i + 1) % n == j { -1.0 } else { 0.0 }));
        assert_invertible(&format!("permutation, {n}"), &rotated);
    }
}

#[test]
fn singular_matrices_are_told() {
    singular_matrices::<f64>();
    singular_matrices::<f32>();
}

#[test]
fn low_rank_is_told_in_f64() {
    matrices_of_low_rank::<f64>();
}

#[test]
fn low_rank_is_told_in_f32() {
    matrices_of_low_rank::<f32>();
}

#[test]
fn what_is_badly_scaled_is_not_singular() {
    invertible_matrices::<f64>();
    invertible_matrices::<f32>();
    assert_invertible("diag(1e-200, 1)", &mat![[1e-200, 0.0], [0.0, 1.0]]);
    assert_invertible("diag(1, 1e-200)", &mat![[1.0, 0.0], [0.0, 1e-200]]);
    assert_invertible("diag(1e200, 1e-200)", &mat![[1e200, 0.0], [0.0, 1e-200]]);
    assert_invertible("mixed", &mat![[1e-200, 1e-200], [1.0, -1.0]]);
    for n in 1..=6 {
        let hilbert = Mat::from_fn(n, n, |i, j| 1.0 / (i + j + 1) as f64);
        assert_invertible(&format!("Hilbert, {n}"), &hilbert);
    }
    for n in 1..=4 {
        let hilbert = Mat::from_fn(n, n, |i, j| 1.0 / (i + j + 1) as f32);
        assert_invertible(&format!("Hilbert, {n}"), &hilbert);
    }
}

#[test]
fn the_determinant_of_a_singular_matrix_is_zero() {
    for n in 1..=20 {
        let tape = Tape::new();
        let a = tape.input("A", (n, n));
        let mut program = Program::<f64>::compile(&[a.det()]).unwrap();
        let mut det = |a: &Mat<f64>| program.run(&[("A", a.as_ref())]).unwrap().scalar(0).unwrap();
        assert_eq!(det(&Mat::zeros(n, n)), 0.0);
        assert_eq!(det(&Mat::identity(n, n)), 1.0);
        let mut zero_row = random::<f64>(n, n, 3);
        (0..n).for_each(|j| zero_row[(n / 2, j)] = 0.0);
        assert_eq!(det(&zero_row), 0.0);
        if n > 1 {
            assert_eq!(det(&Mat::full(n, n, 1.0)), 0.0);
            let a = random::<f64>(n, n - 1, 1) * random::<f64>(n - 1, n, 2);
            // Hadamard's bound is the natural scale.
            let bound: f64 = (0..n).map(|i| a.row(i).norm_l2()).product();
            assert!(det(&a).abs() <= 64.0 * f64::EPSILON * bound, "{n}");
        }
    }
}

// ---- infinite and NaN ------------------------------------------------------------------------------------

#[test]
fn infinite_and_nan_pass_through() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let cases: [(Unary, f64, f64); 25] = [
        (|x| x.ln(), -1.0, nan),
        (|x| x.ln(), 0.0, -inf),
        (|x| x.sqrt(), -1.0, nan),
        (|x| x.exp(), 1000.0, inf),
        (|x| x.recip(), 0.0, inf),
        (|x| x.quotient(x), 0.0, nan),
        (|x| x - x.square(), inf, nan),
        (|x| x - x.square(), -inf, -inf),
        (|x| x.exp() - x, inf, nan),
        (|x| x.tanh(), inf, 1.0),
        (|x| x.sin(), inf, nan),
        (|x| x.sigmoid(), -inf, 0.0),
        (|x| x.relu(), nan, nan),
        (|x| x.relu(), -inf, 0.0),
        (|x| x.step(), nan, nan),
        (|x| x.sign(), nan, nan),
        (|x| x.abs(), -inf, inf),
        (|x| x.clamp(-1.0, 1.0), nan, nan),
        (|x| x.clamp(-1.0, 1.0), -inf, -1.0),
        (|x| x.inside(-1.0, 1.0), nan, nan),
        (|x| x.inside(-1.0, 1.0), inf, 0.0),
        (|x| x.softplus(), nan, nan),
        (|x| x.log_cosh(), -inf, inf),
        (|x| x.pseudo_recip(), nan, nan),
        // A zero that is known from the structure is zero whatever it meets.
        (|x| 0.0 * x, nan, 0.0),
    ];
    for (f, x, wanted) in cases {
        let tape = Tape::new();
        let y = f(tape.input("X", (2, 3)));
        let at = Mat::full(2, 3, x);
        let mut program = Program::<f64>::compile(&[y]).unwrap();
        let inputs: &[_] = &[("X", at.as_ref())];
        let got = program.run(inputs).unwrap().get(0).unwrap()[(1, 2)];
        assert!(got == wanted || got.is_nan() && wanted.is_nan(), "{y} at {x}: {got}");
    }
    // Through whole matrices: only what a NaN reaches, and never called singular.
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (3, 3)), tape.input("B", (3, 2)));
    let outputs =
        [a * b, a.solve(b), a.inv(), a.det(), a.log_det(), a.norm(), a.trace(), b.log_sum_exp(), b.softmax()];
    let mut program = Program::<f64>::compile(&outputs).unwrap();
    for bad in [nan, inf] {
        let (mut at_a, mut at_b) = (Mat::<f64>::identity(3, 3), Mat::full(3, 2, 1.0));
        at_a[(1, 1)] = bad;
        at_b[(0, 1)] = nan;
        let run = program.run(&[("A", at_a.as_ref()), ("B", at_b.as_ref())]).unwrap();
        let [product, _, _, det, log_det, norm, trace, log_sum, softmax] = run.matrices().unwrap();
        assert_eq!((product[(0, 0)], product[(2, 0)], product[(1, 0)].is_finite()), (1.0, 1.0, false));
        assert!(product[(0, 1)].is_nan());
        for number in [det, log_det, norm, trace] {
            assert!(!number[(0, 0)].is_finite());
        }
        assert_eq!((log_sum[(0, 0)].is_finite(), log_sum[(0, 1)].is_nan()), (true, true));
        assert_eq!((softmax[(2, 0)].is_finite(), softmax[(2, 1)].is_nan()), (true, true));
    }
}

#[test]
fn what_is_not_finite_is_found_on_request() {
    // A and B are 3×3 and hold ones, but −1 at (2, 1) of A. The op that fails first, its formula, and where.
    let cases: [(Binary, &str, &str, (usize, usize)); 10] = [
        (|a, b| a.ln() + b, "ln", "ln(A)", (2, 1)),
        (|a, b| (a.sqrt() + 1.0) * b, "sqrt", "sqrt(A)", (2, 1)),
        (|a, b| (b + a.ln().exp()).hadamard(b), "ln", "ln(A)", (2, 1)),
        (|a, b| (b.quotient(a + b) + b).t(), "quotient", "B ⊘ (A + B)", (2, 1)),
        (|a, b| ((a + b).ln() + 1.0).sum(), "ln", "ln(A + B)", (2, 1)),
        (|a, b| (a.ln() * b).sum(), "ln", "ln(A)", (2, 1)),
        (|a, b| b * (1e200 * a).square(), "square", "(10²⁰⁰ A)∘²", (0, 0)),
        (|a, b| (1e100 * a).square() * (1e100 * b).square(), "*", "(10¹⁰⁰ A)∘² (10¹⁰⁰ B)∘²", (0, 0)),
        (|a, b| (1e4 * a).exp().norm() * b, "exp", "exp(10000 A)", (0, 0)),
        (|a, b| (a + b).recip().tanh(), "recip", "(A + B)∘⁻¹", (2, 1)),
    ];
    for (f, op, formula, place) in cases {
        let tape = Tape::new();
        let (a, b) = (tape.input("A", (3, 3)), tape.input("B", (3, 3)));
        let y = f(a, b);
        let mut program = Program::<f64>::compile(&[y]).unwrap();
        let ones = Mat::full(3, 3, 1.0);
        let mut bad = ones.clone();
        bad[(2, 1)] = -1.0;
        let small = Mat::full(3, 3, 1e-100);
        fn inputs<'m>(a: &'m Mat<f64>, b: &'m Mat<f64>) -> [(&'static str, MatRef<'m, f64>); 2] {
            [("A", a.as_ref()), ("B", b.as_ref())]
        }
        program.run(&inputs(&bad, &ones)).unwrap();
        program.check_finite(true);
        match program.run(&inputs(&bad, &ones)).err().unwrap() {
            Error::NonFinite { op: found, formula: told, row, col, location } => {
                assert_eq!((found, told.as_str(), (row, col)), (op, formula, place), "{y}");
                assert_eq!(location.file(), file!());
            }
            error => panic!("{error}"),
        }
        // And then everything is fine again, if the numbers are.
        let checked = program.run(&inputs(&small, &small)).unwrap().get(0).unwrap().to_owned();
        program.check_finite(false);
        program.run(&inputs(&bad, &ones)).unwrap();
        assert_eq!(program.run(&inputs(&small, &small)).unwrap().get(0), Some(checked.as_ref()));
    }

    // An input, too, and the place in it.
    let tape = Tape::new();
    let (x, line) = (tape.input("X", (2, 3)), line!());
    let mut program = Program::<f32>::compile(&[x.tanh()]).unwrap();
    program.check_finite(true);
    let good = random::<f32>(2, 3, 1);
    let mut bad = good.clone();
    bad[(1, 2)] = f32::NEG_INFINITY;
    match program.run(&[("X", bad.as_ref())]).err().unwrap() {
        Error::NonFinite { op, formula, row, col, location } => {
            assert_eq!((op, formula.as_str(), row, col, location.line()), ("input", "X", 1, 2, line));
        }
        error => panic!("{error}"),
    }
    let result = program.run(&[("X", good.as_ref())]).unwrap().get(0).unwrap();
    assert_eq!(result[(1, 2)], good[(1, 2)].tanh());
}

// ---- memory ----------------------------------------------------------------------------------------------

#[test]
fn copies_of_small_inputs_count_as_memory() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (4, 4)), tape.input("B", (4, 4)));
    let program = Program::<f64>::compile(&[a * b]).unwrap();
    assert_eq!(program.bytes(), 3 * 16 * size_of::<f64>());
    assert_eq!(program.bytes(), program.plan().bytes());
}

#[test]
fn what_does_not_fit_into_memory() {
    let n = 1 << 24;
    let tape = Tape::new();
    let column = tape.input("c", (n, 1));
    let at = MatRef::from_repeated_ref(&1.0, n, 1);
    let outer = column * column.t();
    let wanted = n * n * size_of::<f64>();
    for outputs in [&[outer.exp().trace()][..], &[outer, column.norm_squared()]] {
        let run = |mut program: Program<f64>| program.run(&[("c", at)]).map(drop);
        match Program::<f64>::compile(outputs).and_then(run) {
            Err(Error::OutOfMemory { bytes }) => assert!((wanted..wanted + 4096).contains(&bytes), "{bytes}"),
            other => panic!("{other:?}"),
        }
    }
    // What needs only little of it runs.
    let mut program = Program::<f64>::compile(&[column.norm_squared()]).unwrap();
    assert_eq!(program.run(&[("c", at)]).unwrap().scalar(0), Some(n as f64));
}
