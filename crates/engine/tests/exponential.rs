//! Exponentials of matrices: against closed forms, against a Taylor series in more digits, and against each other.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use faer::{Mat, MatRef};
use pullback_engine::{Program, Scalar};
use pullback_tape::{MatrixFunction, Op, Tape, Var};

/// Numbers from −1 to 1, fixed by the seed.
fn random<T: Scalar>(rows: usize, cols: usize, seed: u64) -> Mat<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0123_4567_89AB_CDEF;
    Mat::from_fn(rows, cols, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    })
}

fn run<T: Scalar>(
    inputs: &[(&str, MatRef<'_, T>)],
    build: impl for<'t> Fn(&'t Tape, &[Var<'t>]) -> Var<'t>,
) -> Mat<T> {
    let tape = Tape::new();
    let vars: Vec<_> =
        inputs.iter().map(|(name, matrix)| tape.input(name, (matrix.nrows(), matrix.ncols()))).collect();
    let mut program = Program::compile(&[build(&tape, &vars)]).unwrap();
    let results = program.run(inputs).unwrap();
    results.iter().next().unwrap().to_owned()
}

fn expm<T: Scalar>(a: &Mat<T>) -> Mat<T> {
    run(&[("A", a.as_ref())], |_, vars| vars[0].expm())
}

fn action<T: Scalar>(a: &Mat<T>, b: &Mat<T>) -> Mat<T> {
    run(&[("A", a.as_ref()), ("B", b.as_ref())], |_, vars| vars[0].expm_multiply(vars[1]))
}

/// The derivative at the first matrix in the directions of the others.
fn derivative<T: Scalar>(matrices: &[&Mat<T>]) -> Mat<T> {
    let names = ["A", "E", "F", "G", "H"];
    let inputs: Vec<_> = names.iter().zip(matrices).map(|(&name, matrix)| (name, matrix.as_ref())).collect();
    let order = matrices.len() as u32 - 1;
    run(&inputs, |tape, vars| tape.apply(Op::MatrixFunction { function: MatrixFunction::Exp, order }, vars))
}

fn size<T: Scalar>(a: &Mat<T>) -> f64 {
    let column = |j| (0..a.nrows()).map(|i| a[(i, j)].to_f64().abs()).sum::<f64>();
    (0..a.ncols()).map(column).fold(0.0, f64::max)
}

#[track_caller]
fn assert_close<T: Scalar>(got: &Mat<T>, wanted: &Mat<f64>, ulps: f64) {
    assert_eq!((got.nrows(), got.ncols()), (wanted.nrows(), wanted.ncols()));
    let difference = Mat::from_fn(got.nrows(), got.ncols(), |i, j| got[(i, j)].to_f64() - wanted[(i, j)]);
    let (error, allowed) = (size(&difference), ulps * T::EPSILON.to_f64() * size(wanted));
    assert!(error <= allowed, "off by {:.1} of {ulps} ulps\n{got:?}\n{wanted:?}", error / allowed * ulps);
}

fn double<T: Scalar>(a: &Mat<T>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)].to_f64())
}

fn single(a: &Mat<f64>) -> Mat<f32> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)] as f32)
}

// ---- a reference in twice the digits ---------------------------------------------------------------------

/// The unevaluated sum of two numbers. (Dekker, Numer. Math. 18 (1971) 224)
#[derive(Clone, Copy, Debug)]
struct Twofold(f64, f64);

impl Twofold {
    fn plus(self, other: Twofold) -> Twofold {
        let sum = self.0 + other.0;
        let moved = sum - self.0;
        let error = (self.0 - (sum - moved)) + (other.0 - moved) + self.1 + other.1;
        Twofold::normal(sum, error)
    }

    fn times(self, other: Twofold) -> Twofold {
        let product = self.0 * other.0;
        let error = self.0.mul_add(other.0, -product) + self.0 * other.1 + self.1 * other.0;
        Twofold::normal(product, error)
    }

    fn over(self, k: f64) -> Twofold {
        let quotient = self.0 / k;
        let rest = quotient.mul_add(-k, self.0) + self.1;
        Twofold::normal(quotient, rest / k)
    }

    fn normal(high: f64, low: f64) -> Twofold {
        let sum = high + low;
        Twofold(sum, low - (sum - high))
    }
}

type Wide = Vec<Vec<Twofold>>;

fn wide_product(a: &Wide, b: &Wide) -> Wide {
    let zero = Twofold(0.0, 0.0);
    let entry =
        |row: &[Twofold], j: usize| row.iter().zip(b).fold(zero, |sum, (&x, y)| sum.plus(x.times(y[j])));
    a.iter().map(|row| (0..b.len()).map(|j| entry(row, j)).collect()).collect()
}

/// `Σ (A/2ˢ)ᵏ / k!`, squared s times.
fn reference(a: &Mat<f64>) -> Mat<f64> {
    let n = a.nrows();
    let s = (size(a).max(1.0).log2().ceil() as i32) + 4;
    let wide = |f: &dyn Fn(usize, usize) -> f64| -> Wide {
        (0..n).map(|i| (0..n).map(|j| Twofold(f(i, j), 0.0)).collect()).collect()
    };
    let scaled = wide(&|i, j| a[(i, j)] * 0.5f64.powi(s));
    let mut term = wide(&|i, j| f64::from(u8::from(i == j)));
    let mut sum = term.clone();
    for k in 1..=24 {
        term = wide_product(&term, &scaled);
        for (term, sum) in term.iter_mut().flatten().zip(sum.iter_mut().flatten()) {
            *term = term.over(f64::from(k));
            *sum = sum.plus(*term);
        }
    }
    for _ in 0..s {
        sum = wide_product(&sum, &sum);
    }
    Mat::from_fn(n, n, |i, j| sum[i][j].0)
}

/// The derivative as a block of the exponential of a larger matrix: `exp [A E; 0 A]`, and of that again. (Higham and
/// Relton, SIAM J. Matrix Anal. Appl. 35 (2014) 1019)
fn reference_derivative(a: &Mat<f64>, directions: &[&Mat<f64>]) -> Mat<f64> {
    let n = a.nrows();
    let order = n << directions.len();
    let x = Mat::from_fn(order, order, |i, j| {
        let ((row, i), (col, j)) = ((i / n, i % n), (j / n, j % n));
        match row ^ col {
            0 => a[(i, j)],
            bit if col > row && bit.is_power_of_two() => directions[bit.trailing_zeros() as usize][(i, j)],
            _ => 0.0,
        }
    });
    let exp = reference(&x);
    exp.submatrix(0, order - n, n, n).to_owned()
}

// ---- closed forms ----------------------------------------------------------------------------------------

#[test]
fn closed_forms() {
    let upper = |n: usize, x: f64| Mat::from_fn(n, n, |i, j| if j == i + 1 { x } else { 0.0 });
    // Nilpotent: the series ends.
    for (n, x) in [(2, 1.0), (4, 0.5), (4, 30.0), (7, 2.0)] {
        let wanted = Mat::from_fn(n, n, |i, j| {
            let k = j.wrapping_sub(i);
            if j < i { 0.0 } else { (1..=k).fold(1.0, |product, k| product * x / k as f64) }
        });
        assert_close(&expm(&upper(n, x)), &wanted, 8.0);
        assert_close(&expm(&single(&upper(n, x))), &wanted, 8.0);
    }
    // A Jordan block.
    let jordan = Mat::from_fn(5, 5, |i, j| if i == j { -0.75 } else { upper(5, 1.0)[(i, j)] });
    let wanted = Mat::from_fn(5, 5, |i, j| {
        let k = j.wrapping_sub(i);
        if j < i { 0.0 } else { (-0.75f64).exp() / (1..=k).map(|k| k as f64).product::<f64>() }
    });
    assert_close(&expm(&jordan), &wanted, 8.0);
    // A diagonal.
    let values = [0.0, 1.0, -2.5, 4.0, 1e-9, -30.0];
    let diagonal = Mat::from_fn(6, 6, |i, j| if i == j { values[i] } else { 0.0 });
    let got = expm(&diagonal);
    for (i, value) in values.iter().enumerate() {
        assert!((got[(i, i)] / value.exp() - 1.0).abs() < 1e-13, "{value}: {}", got[(i, i)]);
    }
    // Rotations.
    for angle in [1e-12f64, 0.01, 0.2, 0.9, 2.0, 4.0, 10.0, 100.0] {
        let a = Mat::from_fn(2, 2, |i, j| {
            if i == j {
                0.0
            } else if i < j {
                -angle
            } else {
                angle
            }
        });
        let (sin, cos) = angle.sin_cos();
        let wanted = Mat::from_fn(2, 2, |i, j| {
            if i == j {
                cos
            } else if i < j {
                -sin
            } else {
                sin
            }
        });
        assert_close(&expm(&a), &wanted, 8.0 + 2.0 * angle);
        let angle = f64::from(angle as f32);
        let wanted = Mat::from_fn(2, 2, |i, j| match (i, j) {
            (0, 1) => -angle.sin(),
            (1, 0) => angle.sin(),
            _ => angle.cos(),
        });
        assert_close(&expm(&single(&a)), &wanted, 8.0 + 2.0 * angle);
    }
    for n in [2, 3, 17] {
        assert_eq!(expm(&Mat::<f64>::zeros(n, n)), Mat::<f64>::identity(n, n));
    }
    assert_eq!(expm(&Mat::<f64>::zeros(0, 0)).nrows(), 0);
}

/// Powers that are far smaller than the powers of the norm do not lead to more squarings than needed, which would lose all
/// digits. (Al-Mohy and Higham, SIAM J. Matrix Anal. Appl. 31 (2009) 970, eq. (1.6))
#[test]
fn overscaling() {
    for b in [1e2, 1e4, 1e6, 1e8] {
        let a = Mat::from_fn(2, 2, |i, j| [[1.0, b], [0.0, -1.0]][i][j]);
        let wanted = Mat::from_fn(2, 2, |i, j| [[1f64.exp(), b * 1f64.sinh()], [0.0, (-1f64).exp()]][i][j]);
        let got = expm(&a);
        for i in 0..2 {
            assert!((got[(i, i)] / wanted[(i, i)] - 1.0).abs() < 1e-14, "{b}: {got:?}");
        }
        assert_close(&got, &wanted, 8.0);
        let e = random::<f64>(2, 2, 1);
        let upper = Mat::from_fn(2, 2, |i, j| if i > j { 0.0 } else { e[(i, j)] });
        for direction in [&e, &upper] {
            assert_close(&derivative(&[&a, direction]), &reference_derivative(&a, &[direction]), 64.0);
        }
        // Beyond, powers would overflow in f32.
        if b > 1e6 {
            continue;
        }
        let got = expm(&single(&a));
        for i in 0..2 {
            assert!((f64::from(got[(i, i)]) / wanted[(i, i)] - 1.0).abs() < 1e-5, "{b}: {got:?}");
        }
    }
}

// ---- the reference ---------------------------------------------------------------------------------------

/// All degrees and some squarings.
const NORMS: [f64; 10] = [1e-4, 0.01, 0.2, 0.9, 2.0, 4.0, 8.0, 20.0, 60.0, 150.0];

/// How many units in the last place: squarings lose some digits.
fn ulps(n: usize, norm: f64) -> f64 {
    4.0 * (n as f64).sqrt() * (4.0 + norm)
}

fn of_norm(n: usize, norm: f64, seed: u64) -> Mat<f64> {
    let a = random::<f64>(n, n, seed);
    let factor = norm / size(&a);
    // Exactly representable in f32.
    Mat::from_fn(n, n, |i, j| f64::from((a[(i, j)] * factor) as f32))
}

#[test]
fn exponentials_against_a_series_in_more_digits() {
    for n in [1, 2, 3, 5, 12] {
        for (seed, norm) in (1..).zip(NORMS) {
            let a = of_norm(n, norm, seed);
            let wanted = reference(&a);
            assert_close(&expm(&a), &wanted, ulps(n, norm));
            if norm < 50.0 {
                assert_close(&expm(&single(&a)), &wanted, ulps(n, norm));
            }
        }
    }
}

#[test]
fn derivatives_are_blocks_of_larger_exponentials() {
    for n in [1, 2, 3, 5] {
        for (seed, norm) in (1..).zip(NORMS.into_iter().filter(|&norm| norm < 50.0)) {
            let a = of_norm(n, norm, seed);
            let [e, f, g] = [11, 12, 13].map(|k| of_norm(n, 1.0, seed + k));
            for directions in [vec![&e], vec![&e, &f], vec![&e, &f, &g]] {
                let wanted = reference_derivative(&a, &directions);
                let mut args = vec![&a];
                args.extend(&directions);
                assert_close(&derivative(&args), &wanted, 8.0 * ulps(n, norm));
                let args: Vec<_> = args.into_iter().map(single).collect();
                let args: Vec<_> = args.iter().collect();
                assert_close(&derivative(&args), &wanted, 8.0 * ulps(n, norm));
            }
        }
    }
}

/// At zero: `E`, `½ (E F + F E)`, and a direction of any size.
#[test]
fn derivatives_at_zero_and_in_large_directions() {
    let zero = Mat::<f64>::zeros(3, 3);
    let [e, f] = [1, 2].map(|seed| random::<f64>(3, 3, seed));
    assert_close(&derivative(&[&zero, &e]), &e, 1.0);
    assert_close(&derivative(&[&zero, &e, &f]), &(0.5 * (&e * &f + &f * &e)), 4.0);
    let wanted = reference_derivative(&f, &[&e]);
    for factor in [1e-150, 1e-8, 1e8, 1e150] {
        let got = derivative(&[&f, &(factor * &e)]);
        assert_close(&((1.0 / factor) * got), &wanted, 16.0);
    }
}

/// The fourth derivative is there, too.
#[test]
fn higher_derivatives() {
    let a = of_norm(2, 2.0, 1);
    let e = [2, 3, 4, 5].map(|seed| of_norm(2, 1.0, seed));
    let wanted = reference_derivative(&a, &e.each_ref());
    assert_close(&derivative(&[&a, &e[0], &e[1], &e[2], &e[3]]), &wanted, 64.0);
}

// ---- identities ------------------------------------------------------------------------------------------

/// `exp(A) exp(−A) = I`, within what the condition of the product allows, and `det exp(A) = e^{tr A}`.
#[test]
fn inverses_and_determinants() {
    for n in [2, 20, 70] {
        for norm in [0.5, 3.0, 12.0] {
            let a = of_norm(n, norm, n as u64);
            let (plus, minus) = (expm(&a), expm(&(-1.0 * &a)));
            let product = &plus * &minus;
            let bound = ulps(n, norm) * f64::EPSILON * size(&plus) * size(&minus);
            assert!(size(&(product - Mat::<f64>::identity(n, n))) <= bound);
            let det = run(&[("A", a.as_ref())], |_, vars| vars[0].expm().log_det())[(0, 0)];
            let trace: f64 = (0..n).map(|i| a[(i, i)]).sum();
            assert!((det - trace).abs() <= 1e-11, "{det} {trace}");
        }
    }
}

/// Large norms end in zeros or infinities, and what is not finite in NaN.
#[test]
fn large_and_infinite() {
    let multiple = |c: f64| Mat::from_fn(3, 3, |i, j| if i == j { c } else { 0.0 });
    for c in [1e3, 1e10, 1e100, 1e300] {
        assert_eq!(expm(&multiple(-c)), Mat::<f64>::zeros(3, 3), "{c}");
        let grown = expm(&multiple(c));
        assert!((0..3).all(|i| !grown[(i, i)].is_finite()), "{c}: {grown:?}");
        let moved = action(&multiple(-c), &random(3, 2, 1));
        assert_eq!(moved, Mat::<f64>::zeros(3, 2), "{c}");
    }
    assert_eq!(expm(&single(&multiple(-1e30))), Mat::<f32>::zeros(3, 3));
    let tiny = multiple(1e-310);
    assert_eq!(expm(&tiny), Mat::<f64>::identity(3, 3));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut a = random::<f64>(3, 3, 1);
        a[(1, 2)] = bad;
        let nan = |x: &Mat<f64>| (0..x.ncols()).all(|j| (0..3).all(|i| x[(i, j)].is_nan()));
        assert!(nan(&expm(&a)) && nan(&action(&a, &random(3, 2, 1))));
        assert!(nan(&derivative(&[&a, &tiny])));
        // In a direction it stays where it acts.
        assert!(!derivative(&[&tiny, &a])[(1, 2)].is_finite());
    }
    let large = random::<f64>(20, 20, 1);
    assert!(expm(&(1e200 * large)).nrows() == 20);
}

// ---- the action ------------------------------------------------------------------------------------------

#[test]
fn actions_are_products_with_exponentials() {
    for (n, p) in [(1, 3), (2, 1), (5, 2), (12, 1), (12, 40), (40, 1), (40, 3), (3, 0), (0, 2)] {
        for (seed, norm) in (1..).zip(NORMS) {
            let (a, b) = (of_norm(n.max(1), norm, seed), of_norm(n.max(p).max(1), 1.0, seed + 50));
            let a = a.submatrix(0, 0, n, n).to_owned();
            let b = b.submatrix(0, 0, n, p).to_owned();
            let exp = if n > 12 { expm(&a) } else { reference(&a) };
            let wanted = &exp * &b;
            let allowed = ulps(n, norm) * size(&exp) * size(&b) / size(&wanted).max(f64::MIN_POSITIVE);
            assert_close(&action(&a, &b), &wanted, allowed);
            if norm < 50.0 {
                assert_close(&action(&single(&a), &single(&b)), &wanted, allowed);
            }
        }
    }
    let b = random::<f64>(4, 3, 1);
    assert_eq!(action(&Mat::<f64>::zeros(4, 4), &b), b);
    // Columns of very different size keep their digits.
    let (a, mut b) = (of_norm(6, 3.0, 1), random::<f64>(6, 2, 2));
    b.col_mut(1).iter_mut().for_each(|x| *x *= 1e-100);
    let (got, exp) = (action(&a, &b), reference(&a));
    for j in 0..2 {
        let column = |x: &Mat<f64>| x.submatrix(0, j, 6, 1).to_owned();
        assert_close(&column(&got), &(&exp * column(&b)), 256.0);
    }
    // A shift by a multiple of the identity costs no digits.
    let mut shifted = a.clone();
    (0..6).for_each(|i| shifted[(i, i)] += 300.0);
    let b = random::<f64>(6, 1, 3);
    assert_close(&action(&shifted, &b), &(300f64.exp() * (&exp * &b)), 4096.0);
}

#[test]
fn what_lies_by_rows_or_repeats() {
    let (a, b) = (random::<f64>(5, 5, 1), random::<f64>(5, 5, 2));
    let inputs = [("A", a.as_ref()), ("B", b.as_ref())];
    let got = run(&inputs, |_, v| v[0].t().expm_multiply((v[1] * v[0]).t()));
    let transposed = a.transpose().to_owned();
    let wanted = &reference(&transposed) * (&b * &a).transpose();
    assert_close(&got, &wanted, 64.0);
    let got = run(&inputs, |t, v| {
        let op = Op::MatrixFunction { function: MatrixFunction::Exp, order: 1 };
        2.0 * t.apply(op, &[v[0].t(), v[1]]).t() + t.apply(op, &[v[0], t.ones((5, 5))]) - v[0]
    });
    let ones = Mat::from_fn(5, 5, |_, _| 1.0);
    let wanted =
        2.0 * reference_derivative(&transposed, &[&b]).transpose() + reference_derivative(&a, &[&ones]) - &a;
    assert_close(&got, &wanted, 64.0);
    let as_double = double(&expm(&single(&a)));
    assert!(size(&(as_double - expm(&a))) < 1e-4);
}

#[test]
fn a_run_allocates_nothing() {
    let tape = Tape::new();
    let [a, e, f] = ["A", "E", "F"].map(|name| tape.input(name, (12, 12)));
    let b = tape.input("b", (12, 1));
    let op = |order| Op::MatrixFunction { function: MatrixFunction::Exp, order };
    let second = tape.apply(op(2), &[a, e, f]);
    let outputs = [a.expm(), tape.apply(op(1), &[a.t(), e]), second, a.expm_multiply(b), e.expm_multiply(f)];
    let mut program = Program::<f64>::compile(&outputs).unwrap();
    // The last one is large enough for a look at powers, and for the exponential itself.
    let matrices = [1, 2, 3].map(|seed| random::<f64>(12, 12, seed));
    let (large, column) = (100.0 * &matrices[1], random::<f64>(12, 1, 4));
    let inputs = [
        ("A", matrices[0].as_ref()),
        ("E", large.as_ref()),
        ("F", matrices[2].as_ref()),
        ("b", column.as_ref()),
    ];
    program.run(&inputs).unwrap();
    let allocations = measure(|| {
        program.run(&inputs).unwrap();
    });
    assert_eq!(allocations.count_total, 0);
}
