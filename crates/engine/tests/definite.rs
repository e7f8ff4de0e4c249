//! Symmetric and definite matrices: values against loops, triangles that are added up, and what is told of matrices that
//! are not what they were declared.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use faer::{Mat, MatRef};
use pullback_engine::{Error, Program, Scalar};
use pullback_tape::{Declaration, Function, Op, Structure, Tape, Var};

/// Numbers from −1 to 1, fixed by the seed.
fn random<T: Scalar>(rows: usize, cols: usize, seed: u64) -> Mat<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0123_4567_89AB_CDEF;
    Mat::from_fn(rows, cols, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    })
}

/// A matrix for every input: what is declared symmetric is, and square ones have a heavy diagonal.
fn matrices<T: Scalar>(tape: &Tape) -> Vec<(String, Mat<T>)> {
    let input = |(seed, (name, shape)): (u64, (String, pullback_tape::Shape))| {
        let base = random::<f64>(shape.rows, shape.cols, seed);
        let known = tape.input(&name, shape).structure();
        let symmetric = known >= Structure::Symmetric;
        let matrix = Mat::from_fn(shape.rows, shape.cols, |i, j| {
            let entry = if symmetric { 0.5 * (base[(i, j)] + base[(j, i)]) } else { base[(i, j)] };
            let heavy = i == j && (known == Structure::Definite || shape.is_square() && shape.rows > 1);
            T::from_f64(entry + if heavy { shape.rows as f64 + 1.0 } else { 0.0 })
        });
        (name, matrix)
    };
    (1..).zip(tape.inputs()).map(input).collect()
}

fn bound<T: Scalar>(matrices: &[(String, Mat<T>)]) -> Vec<(&str, MatRef<'_, T>)> {
    matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect()
}

// ---- values ----------------------------------------------------------------------------------------------

/// `A = L Lᵀ`, by the textbook.
fn cholesky(a: &Mat<f64>) -> Mat<f64> {
    let n = a.nrows();
    let mut l = Mat::<f64>::zeros(n, n);
    for j in 0..n {
        for i in j..n {
            let rest = a[(i, j)] - (0..j).map(|k| l[(i, k)] * l[(j, k)]).sum::<f64>();
            l[(i, j)] = if i == j { rest.sqrt() } else { rest / l[(j, j)] };
        }
    }
    l
}

/// `A⁻¹ B`, by Gauss and Jordan.
fn solved(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
    let (mut a, mut b, n) = (a.clone(), b.clone(), a.nrows());
    for k in 0..n {
        for i in (0..n).filter(|&i| i != k) {
            let factor = a[(i, k)] / a[(k, k)];
            (k..n).for_each(|j| a[(i, j)] -= factor * a[(k, j)]);
            (0..b.ncols()).for_each(|j| b[(i, j)] -= factor * b[(k, j)]);
        }
    }
    Mat::from_fn(n, b.ncols(), |i, j| b[(i, j)] / a[(i, i)])
}

fn assert_close<T: Scalar>(what: &str, got: MatRef<'_, T>, wanted: &Mat<f64>) {
    let got = Mat::from_fn(got.nrows(), got.ncols(), |i, j| got[(i, j)].to_f64());
    assert_eq!(got.shape(), wanted.shape(), "{what}");
    let error = (&got - wanted).norm_max();
    let allowed = 1024.0 * T::EPSILON.to_f64() * wanted.norm_max().max(f64::MIN_POSITIVE);
    assert!(error <= allowed, "{what} ({}): {error:e}", std::any::type_name::<T>());
}

fn factors_are_right<T: Scalar>() {
    for n in [0, 1, 2, 3, 5, 8, 16, 31, 32, 33, 48, 100] {
        let tape = Tape::new();
        let (k, b) = (tape.positive_definite("K", n), tape.input("B", (n, 3)));
        let outputs = [k.solve(b), b.t() * k.inv(), k.inv(), k.log_det(), k.det(), 0.5 * k.inv(), -k.inv()];
        let matrices = matrices::<T>(&tape);
        let mut program = Program::<T>::compile(&outputs).unwrap();
        let run = program.run(&bound(&matrices)).unwrap();
        let f64s = |m: &Mat<T>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)].to_f64());
        let (k, b) = (f64s(&matrices[0].1), f64s(&matrices[1].1));
        let (solution, inverse) = (solved(&k, &b), solved(&k, &Mat::identity(n, n)));
        let l = cholesky(&k);
        let log_det = 2.0 * (0..n).map(|i| l[(i, i)].ln()).sum::<f64>();
        let number = |x: f64| Mat::full(1, 1, x);
        assert_close(&format!("K⁻¹ B, {n}"), run.get(0).unwrap(), &solution);
        assert_close(&format!("Bᵀ K⁻¹, {n}"), run.get(1).unwrap(), &solution.transpose().to_owned());
        assert_close(&format!("K⁻¹, {n}"), run.get(2).unwrap(), &inverse);
        assert_close(&format!("log det K, {n}"), run.get(3).unwrap(), &number(log_det));
        if log_det < 80.0 {
            assert_close(&format!("det K, {n}"), run.get(4).unwrap(), &number(log_det.exp()));
        }
        assert_close(&format!("½ K⁻¹, {n}"), run.get(5).unwrap(), &(0.5 * &inverse));
        assert_close(&format!("−K⁻¹, {n}"), run.get(6).unwrap(), &(-1.0 * &inverse));
        // Exactly symmetric.
        let inverse = run.get(2).unwrap();
        assert_eq!(inverse, inverse.transpose());
    }
}

#[test]
fn definite_matrices_against_loops() {
    factors_are_right::<f64>();
    factors_are_right::<f32>();
}

/// Whether Cholesky or LU: the backward error is a few rounding errors, however badly conditioned the matrix.
#[test]
fn hilbert_matrices() {
    for n in 3..=12 {
        let hilbert = Mat::from_fn(n, n, |i, j| 1.0 / (i + j + 1) as f64);
        let b = Mat::from_fn(n, 1, |i, _| (0..n).map(|j| hilbert[(i, j)]).sum::<f64>());
        let tape = Tape::new();
        let (k, y) = (tape.positive_definite("K", n), tape.input("y", (n, 1)));
        let mut program = Program::<f64>::compile(&[k.solve(y), k.log_det(), k.inv()]).unwrap();
        let run = program.run(&[("K", hilbert.as_ref()), ("y", b.as_ref())]).unwrap();
        let [x, log_det, inverse] = run.matrices().unwrap();
        let residual = (&hilbert * x - &b).norm_max();
        assert!(residual < 1e-14 * x.norm_max(), "{n}: {residual:e}");
        // det H = cₙ⁴ / c₂ₙ with cₙ = Πᵢ i!, for i < n.
        let log_factorial = |i: usize| (1..=i).map(|k| (k as f64).ln()).sum::<f64>();
        let log_c = |n: usize| (1..n).map(log_factorial).sum::<f64>();
        let wanted = 4.0 * log_c(n) - log_c(2 * n);
        // The condition number grows like 33ⁿ.
        let condition = 33.6f64.powi(n as i32);
        assert!((log_det[(0, 0)] - wanted).abs() < 1e-16 * condition.max(1e4), "{n}: {log_det:?}, {wanted}");
        assert!(inverse.norm_max().is_finite());
    }
}

// ---- sums of triangles -----------------------------------------------------------------------------------

type Sum = for<'t> fn(&'t Tape, usize) -> Var<'t>;

fn a(t: &Tape, n: usize) -> Var<'_> {
    t.input("A", (n, n))
}
fn m(t: &Tape, n: usize) -> Var<'_> {
    t.input("M", (n, 7))
}
fn x(t: &Tape, n: usize) -> Var<'_> {
    t.input("X", (n, 5))
}
fn y(t: &Tape, n: usize) -> Var<'_> {
    t.input("Y", (n, 5))
}
fn v(t: &Tape, n: usize) -> Var<'_> {
    t.input("v", (n, 1))
}
fn r(t: &Tape, n: usize) -> Var<'_> {
    t.input("r", (1, n))
}
fn s(t: &Tape, n: usize) -> Var<'_> {
    t.symmetric("S", n)
}
fn k(t: &Tape, n: usize) -> Var<'_> {
    t.positive_definite("K", n)
}
fn l(t: &Tape, n: usize) -> Var<'_> {
    t.positive_definite("L", n)
}

/// Products and inverses, symmetric and not, in sums of all kinds.
#[rustfmt::skip]
const SUMS: &[(&str, Sum)] = &[
    ("product", |t, n| x(t, n) * x(t, n).t()),
    ("product with a coefficient", |t, n| -3.0 * (x(t, n) * x(t, n).t())),
    ("two products", |t, n| x(t, n) * x(t, n).t() + m(t, n) * m(t, n).t()),
    ("difference of products", |t, n| 2.0 * (x(t, n) * x(t, n).t()) - 0.5 * (m(t, n) * m(t, n).t())),
    ("product and inverse", |t, n| x(t, n) * x(t, n).t() + k(t, n).inv()),
    ("inverse and product", |t, n| 2.0 * k(t, n).inv() - x(t, n) * x(t, n).t()),
    ("outer product", |t, n| v(t, n) * v(t, n).t()),
    ("outer product and inverse", |t, n| k(t, n).inv() - 0.5 * (v(t, n) * v(t, n).t())),
    ("outer product of rows and inverse", |t, n| 2.0 * k(t, n).inv() + r(t, n).t() * r(t, n)),
    ("outer products and product", |t, n| {
        v(t, n) * v(t, n).t() - r(t, n).t() * r(t, n) + x(t, n) * x(t, n).t()
    }),
    ("outer product with a multiple", |t, n| k(t, n).inv() + (3.0 * v(t, n)) * (3.0 * v(t, n)).t()),
    ("outer product and symmetric matrix", |t, n| s(t, n) + v(t, n) * v(t, n).t()),
    ("outer product and matrix", |t, n| a(t, n) + v(t, n) * v(t, n).t()),
    ("outer product and identity", |t, n| v(t, n) * v(t, n).t() + 2.0 * t.identity(n)),
    ("two inverses", |t, n| k(t, n).inv() + 2.0 * l(t, n).inv()),
    ("inverse and matrix", |t, n| k(t, n).inv() + a(t, n)),
    ("inverse and symmetric matrix", |t, n| s(t, n) - k(t, n).inv()),
    ("product and symmetric matrix", |t, n| s(t, n) + x(t, n) * x(t, n).t()),
    ("product and matrix", |t, n| a(t, n) + x(t, n) * x(t, n).t()),
    ("product and identity", |t, n| x(t, n) * x(t, n).t() + 0.5 * t.identity(n)),
    ("symmetric and other products", |t, n| x(t, n) * x(t, n).t() + x(t, n) * y(t, n).t()),
    ("other and symmetric products", |t, n| x(t, n) * y(t, n).t() - 2.0 * (x(t, n) * x(t, n).t())),
    ("inverse and other product", |t, n| k(t, n).inv() + x(t, n) * y(t, n).t()),
    ("two inverses and another product", |t, n| (k(t, n).inv() + l(t, n).inv()) + x(t, n) * y(t, n).t()),
    ("inverses, products, all in one", |t, n| {
        (k(t, n).inv() - x(t, n) * x(t, n).t()) + (2.0 * l(t, n).inv() + m(t, n) * m(t, n).t())
            + x(t, n) * y(t, n).t()
    }),
    ("nested, symmetric", |t, n| {
        ((x(t, n) * x(t, n).t() + k(t, n).inv()) + m(t, n) * m(t, n).t()) + 2.0 * t.identity(n)
    }),
    ("nested with a coefficient", |t, n| {
        3.0 * ((x(t, n) * x(t, n).t() - k(t, n).inv()) + m(t, n) * m(t, n).t())
    }),
    ("nested with a coefficient and another product", |t, n| {
        3.0 * ((k(t, n).inv() + 2.0 * l(t, n).inv()) + x(t, n) * y(t, n).t())
    }),
    ("nested with a matrix inside", |t, n| {
        -2.0 * ((x(t, n) * x(t, n).t() + s(t, n)) + k(t, n).inv())
    }),
    ("a sum and its transpose", |t, n| {
        let p = x(t, n) * y(t, n).t();
        (p + p.t()) + k(t, n).inv()
    }),
    ("sandwich", |t, n| x(t, n).t() * s(t, n) * x(t, n) + t.identity(5)),
    ("large sandwich", |t, n| a(t, n) * s(t, n) * a(t, n).t() + k(t, n).inv()),
    ("elementwise with a sum", |t, n| (x(t, n) * x(t, n).t() + k(t, n).inv()).tanh() + a(t, n)),
    ("inverse read twice", |t, n| {
        let inverse = k(t, n).inv();
        inverse * a(t, n) + inverse
    }),
    ("inverse of a sum", |t, n| (x(t, n) * x(t, n).t() + t.identity(n)).inv() + x(t, n) * x(t, n).t()),
    ("scaled by a number", |t, n| t.input("c", (1, 1)) * (x(t, n) * x(t, n).t()) + k(t, n).inv()),
];

/// The same expression without anything in place: each part is an output of its own, combined by loops here.
fn plainly(matrices: &[(String, Mat<f64>)], y: Var<'_>) -> Mat<f64> {
    let graph = y.tape().graph(&[y]).unwrap();
    let mut values: Vec<Mat<f64>> = Vec::new();
    for (_, node) in graph.iter() {
        let arg = |k: usize| &values[node.args[k].index()];
        let shape = node.shape;
        let from = |f: &dyn Fn(usize, usize) -> f64| Mat::from_fn(shape.rows, shape.cols, f);
        let value = match node.op {
            Op::Input(name) => {
                matrices.iter().find(|(known, _)| known == graph.name(name)).unwrap().1.clone()
            }
            Op::Scale(c) => from(&|i, j| c.value() * arg(0)[(i, j)]),
            Op::Identity => Mat::identity(shape.rows, shape.cols),
            Op::Add => from(&|i, j| arg(0)[(i, j)] + arg(1)[(i, j)]),
            Op::MatMul => from(&|i, j| (0..arg(0).ncols()).map(|k| arg(0)[(i, k)] * arg(1)[(k, j)]).sum()),
            Op::Transpose => from(&|i, j| arg(0)[(j, i)]),
            Op::ScaleBy => from(&|i, j| arg(0)[(0, 0)] * arg(1)[(i, j)]),
            Op::Inverse => solved(arg(0), &Mat::identity(shape.rows, shape.rows)),
            Op::Map(Function::Tanh) => from(&|i, j| arg(0)[(i, j)].tanh()),
            op => panic!("{op:?} is not in these sums"),
        };
        values.push(value);
    }
    values.pop().unwrap()
}

#[test]
fn sums_of_triangles() {
    for n in [2, 3, 16, 31, 32, 33, 48] {
        for &(what, build) in SUMS {
            let tape = Tape::new();
            let sum = build(&tape, n);
            let matrices = matrices::<f64>(&tape);
            let inputs = bound(&matrices);
            let wanted = plainly(&matrices, sum);
            let what = format!("{what}, {n}: {sum}");
            // As an output, and inside of something else.
            for outputs in [vec![sum], vec![sum.trace(), sum], vec![sum.t(), 2.0 * sum]] {
                let mut program = Program::<f64>::compile(&outputs).unwrap();
                let run = program.run(&inputs).unwrap();
                let results: Vec<Mat<f64>> = run.iter().map(|result| result.to_owned()).collect();
                for (y, got) in outputs.iter().zip(&results).filter(|(y, _)| y.shape() == sum.shape()) {
                    let c = if y.same(2.0 * sum) { 2.0 } else { 1.0 };
                    let wanted = if y.same(sum.t()) { wanted.transpose().to_owned() } else { wanted.clone() };
                    assert_close(&what, got.as_ref(), &(c * wanted));
                }
                // Where the caller wants them, up to rounding: small kernels go by how a matrix lies in memory. The same
                // place gets the same bits, and nothing is allocated.
                let nan = |m: &Mat<f64>| Mat::full(m.nrows(), m.ncols(), f64::NAN);
                let mut into = || {
                    let mut into: Vec<Mat<f64>> = results.iter().map(nan).collect();
                    let mut views: Vec<_> = into.iter_mut().map(Mat::as_mut).collect();
                    program.run_into(&inputs, &mut views).unwrap();
                    into
                };
                let (first, second) = (into(), into());
                assert_eq!(first, second, "{what}");
                for (into, result) in first.iter().zip(&results) {
                    assert_close(&what, into.as_ref(), result);
                }
                // By rows, and backwards.
                let mut others: Vec<_> = results.iter().map(|m| nan(&m.transpose().to_owned())).collect();
                let mut views: Vec<_> = others.iter_mut().map(|m| m.as_mut().transpose_mut()).collect();
                program.run_into(&inputs, &mut views).unwrap();
                for (into, result) in others.iter().zip(&results) {
                    assert_close(&what, into.transpose(), result);
                }
                let mut others: Vec<_> = results.iter().map(nan).collect();
                let mut views: Vec<_> = others.iter_mut().map(|m| m.as_mut().reverse_rows_mut()).collect();
                program.run_into(&inputs, &mut views).unwrap();
                for (into, result) in others.iter().zip(&results) {
                    assert_close(&what, into.as_ref().reverse_rows(), result);
                }
                let run = program.run(&inputs).unwrap();
                assert!(run.iter().eq(results.iter().map(Mat::as_ref)), "{what} again");
                let again = measure(|| drop(program.run(&inputs).map(|run| run.len())));
                assert_eq!(again.count_total, 0, "{what}: run allocates");
            }
            if sum.structure() == Structure::General {
                continue;
            }
            let mut program = Program::<f64>::compile(&[sum]).unwrap();
            let [got] = program.run(&inputs).unwrap().matrices().unwrap();
            // What ends with a mirror is symmetric to the last bit.
            assert!((got - got.transpose()).norm_max() <= 1e-13 * got.norm_max(), "{what}");
        }
    }
}

/// The last of the outer products in a symmetric sum takes no pass of its own.
#[test]
fn outer_products_are_added_while_mirroring() {
    let (tape, n) = (Tape::new(), 40);
    let solution = k(&tape, n).solve(v(&tape, n));
    let gradient = 0.5 * (k(&tape, n).inv() - solution * solution.t());
    let plan = Program::<f64>::compile(&[gradient]).unwrap().plan();
    let steps: Vec<_> = plan.iter().map(|line| line.step().to_owned()).collect();
    let last = ["%1⁻¹ %2", "½ %1⁻¹", "%4 − ½ %3 %3ᵀ, both triangles"];
    assert_eq!(steps[steps.len() - 3..], last, "{steps:?}");
    let mirror = plan.iter().last().unwrap();
    assert_eq!((mirror.kernel(), mirror.flops()), ("mirror, added", 40 * 41));
    assert_eq!(mirror.bytes_read(), 8 * (40 + 40 * 41 / 2));
    assert_eq!(mirror.bytes_written(), 8 * 40 * 40);
}

// ---- what is not what it was declared --------------------------------------------------------------------

type Use = for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>;

#[test]
fn matrices_that_are_not_positive_definite_are_told() {
    let uses: &[(&str, Use)] = &[
        ("solve", |k, b| k.solve(b)),
        ("inverse", |k, _| k.inv()),
        ("inverse", |k, b| k.inv() + b * b.t()),
        ("inverse", |k, b| 2.0 * k.inv() - b * b.t()),
        ("inverse", |k, _| 3.0 * k.inv()),
        ("cholesky", |k, _| k.cholesky()),
        ("log_det", |k, _| k.log_det()),
        ("det", |k, _| k.det()),
        // As `det(K) K⁻¹`.
        ("det", |k, _| k.adjugate()),
    ];
    // The last row is a combination of the others, or worse.
    let (n, bad) = (4, 2);
    let indefinite = Mat::from_fn(n, n, |i, j| {
        if i != j {
            0.0
        } else if i == bad {
            -1.0
        } else {
            1.0
        }
    });
    let semidefinite = Mat::from_fn(n, n, |i, j| if i == j && i != bad { 1.0 } else { 0.0 });
    for matrix in [indefinite, semidefinite] {
        for &(op, f) in uses {
            let tape = Tape::new();
            let (k, b) = (tape.positive_definite("K", n), tape.input("B", (n, 2)));
            let y = f(k, b);
            let line = line!() - 1;
            let mut program = Program::<f64>::compile(&[y]).unwrap();
            let b = Mat::full(n, 2, 1.0);
            let all = [("K", matrix.as_ref()), ("B", b.as_ref())];
            let needed = program.inputs().count();
            let error = program.run(&all[..needed]).unwrap_err();
            let text = error.to_string();
            match error {
                Error::NotPositiveDefinite { op: found, formula, pivot, location } => {
                    assert_eq!((found, &*formula, pivot), (op, "K", bad), "{y}");
                    assert_eq!(location.file(), file!());
                    assert!(location.line() < line, "{location}");
                }
                other => panic!("{y}: {other}"),
            }
            assert!(text.contains(op) && text.contains("`K` is not positive definite"), "{text}");
            assert!(text.contains(&format!("pivot {bad}")) && text.contains(file!()), "{text}");
            // The program goes on.
            let good = Mat::<f64>::identity(n, n);
            program.run(&[("K", good.as_ref()), ("B", b.as_ref())][..needed]).unwrap();
        }
    }
}

/// What is only known to be symmetric has a Cholesky factor if it is definite, beside the LU factors of a solve.
#[test]
fn cholesky_of_what_is_known_to_be_symmetric() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (5, 5)), tape.input("B", (5, 2)));
    let k = a.symmetrize() + 3.0 * tape.identity(5);
    let l = k.cholesky();
    let mut program =
        Program::<f64>::compile(&[l * l.t() - k, k.solve(b) - l.t().solve_upper(l.solve_lower(b))]).unwrap();
    let b = random::<f64>(5, 2, 2);
    let run = program.run(&[("A", random::<f64>(5, 5, 1).as_ref()), ("B", b.as_ref())]).unwrap();
    assert!(run.iter().all(|difference| difference.norm_max() < 1e-13));
    let negative = Mat::from_fn(5, 5, |i, j| if i == j { -4.0 } else { 0.0 });
    let error = program.run(&[("A", negative.as_ref()), ("B", b.as_ref())]).unwrap_err();
    assert!(matches!(error, Error::NotPositiveDefinite { op: "cholesky", pivot: 0, .. }), "{error}");
}

/// A solve, a determinant and Cholesky's factor of one definite matrix need one factorization.
#[test]
fn cholesky_shares_its_factorization() {
    let tape = Tape::new();
    let (k, b) = (tape.positive_definite("K", 5), tape.input("B", (5, 2)));
    let outputs = [k.cholesky(), k.solve(b), k.log_det(), k.inv()];
    // The factor is stored once, where the others read it, whoever comes first.
    for order in [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]] {
        let mut program = Program::<f64>::compile(&order.map(|i| outputs[i])).unwrap();
        assert_eq!(program.plan().to_string().matches("Cholesky(").count(), 1, "{}", program.plan());
        let a = random::<f64>(5, 5, 1);
        let k = &a * a.transpose() + Mat::<f64>::identity(5, 5);
        let b = random::<f64>(5, 2, 2);
        let mut found = order.map(|i| match i {
            1 => Mat::full(5, 2, f64::NAN),
            2 => Mat::full(1, 1, f64::NAN),
            _ => Mat::full(5, 5, f64::NAN),
        });
        let inputs = [("K", k.as_ref()), ("B", b.as_ref())];
        program.run_into(&inputs, &mut found.each_mut().map(|found| found.as_mut())).unwrap();
        for (run, found) in program.run(&inputs).unwrap().iter().zip(&found) {
            assert_eq!(run.to_owned(), *found);
        }
        let at = |wanted| &found[order.iter().position(|&i| i == wanted).unwrap()];
        let close = |a: Mat<f64>, b: &Mat<f64>| assert!((a - b).norm_max() < 1e-12);
        let l = cholesky(&k);
        close(l.clone(), at(0));
        assert!((0..5).all(|j| (0..j).all(|i| at(0)[(i, j)] == 0.0)));
        close(&k * at(1), &b);
        assert!((at(2)[(0, 0)] - (0..5).map(|i| 2.0 * l[(i, i)].ln()).sum::<f64>()).abs() < 1e-12);
        close(&k * at(3), &Mat::identity(5, 5));
        let error = program.run(&[("K", (-1.0 * &k).as_ref()), ("B", b.as_ref())]).unwrap_err();
        assert!(matches!(error, Error::NotPositiveDefinite { op: "cholesky", pivot: 0, .. }), "{error}");
    }
}

/// `X Xᵀ + σ I` is definite however it is written, but not once σ is lost in rounding.
#[test]
fn definite_by_construction_and_lost_in_rounding() {
    let tape = Tape::new();
    let x = tape.input("X", (6, 2));
    let k = x * x.t() + 1e-20 * tape.identity(6);
    assert_eq!(k.structure(), Structure::Definite);
    let mut program = Program::<f64>::compile(&[k.log_det()]).unwrap();
    let error = program.run(&[("X", random::<f64>(6, 2, 1).as_ref())]).unwrap_err();
    let Error::NotPositiveDefinite { op: "log_det", formula, pivot, .. } = &error else { panic!("{error}") };
    assert!(formula.contains("X Xᵀ") && (2..6).contains(pivot), "{error}");
}

#[test]
fn matrices_that_are_not_symmetric_are_told() {
    for n in [2, 7, 8, 15, 16, 17, 40, 75] {
        for structure in [Structure::Symmetric, Structure::Semidefinite, Structure::Definite] {
            let tape = Tape::new();
            let s = tape.declare("S", (n, n), Declaration::new().structure(structure));
            let mut program = Program::<f64>::compile(&[s.trace()]).unwrap();
            for (i, j) in [(n - 1, 0), (0, n - 1), (n - 1, n - 2), (n / 2, 0)] {
                let mut matrix = Mat::<f64>::identity(n, n);
                matrix[(i, j)] = 1e-300;
                for view in [matrix.as_ref(), matrix.transpose()] {
                    let error = program.run(&[("S", view)]).unwrap_err();
                    let Error::NotSymmetric { name, row, col } = &error else { panic!("{error}") };
                    let mut found = [*row, *col];
                    found.sort_unstable();
                    assert_eq!((&**name, found), ("S", [i.min(j), i.max(j)]));
                    assert!(error.to_string().contains("`S` is symmetric"), "{error}");
                }
                matrix[(j, i)] = 1e-300;
                program.run(&[("S", matrix.as_ref())]).unwrap();
            }
        }
    }
}

/// A NaN is neither symmetric nor definite; it is told where it does harm, or passes through.
#[test]
fn nan_in_a_symmetric_matrix() {
    let tape = Tape::new();
    let (s, k) = (tape.symmetric("S", 3), tape.positive_definite("K", 3));
    let mut matrix = Mat::<f64>::identity(3, 3);
    (matrix[(0, 1)], matrix[(1, 0)]) = (f64::NAN, f64::NAN);
    let mut program = Program::<f64>::compile(&[s * s]).unwrap();
    assert!(program.run(&[("S", matrix.as_ref())]).unwrap().get(0).unwrap()[(0, 0)].is_nan());
    for y in [k.log_det(), k.inv(), k.det()] {
        let mut program = Program::<f64>::compile(&[y]).unwrap();
        match program.run(&[("K", matrix.as_ref())]) {
            Err(Error::NotPositiveDefinite { pivot, .. }) => assert!(pivot < 3),
            Err(error) => panic!("{error}"),
            Ok(run) => assert!(run.iter().any(|m| (0..m.nrows()).any(|i| m[(i, i)].is_nan())), "{y}"),
        }
    }
    // An infinite entry is its own mirror image.
    (matrix[(0, 1)], matrix[(1, 0)]) = (f64::INFINITY, f64::INFINITY);
    let mut program = Program::<f64>::compile(&[s.tanh()]).unwrap();
    assert_eq!(program.run(&[("S", matrix.as_ref())]).unwrap().get(0).unwrap()[(0, 1)], 1.0);
}
