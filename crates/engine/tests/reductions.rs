//! Maxima, products, variances, norms and sums of products by their indices: the values of what is composed of ops, against
//! loops that are written here.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use faer::{Mat, MatRef, mat};
use pullback_engine::{Program, Scalar};
use pullback_tape::{Tape, Var};
use std::collections::BTreeSet;

/// Tall, wide, square, vectors, 1×1, more than one block of 256 entries, and empty in each way.
const SHAPES: [(usize, usize); 13] = [
    (7, 5),
    (2, 9),
    (4, 4),
    (1, 1),
    (1, 6),
    (6, 1),
    (300, 3),
    (3, 300),
    (1000, 2),
    (17, 20),
    (0, 3),
    (3, 0),
    (0, 0),
];

type Build = for<'t> fn(Var<'t>) -> Var<'t>;

/// Numbers from −1.5 to 1.5.
fn matrix(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Mat::from_fn(rows, cols, |_, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Exact in single precision.
        f64::from((state >> 40) as u32) / f64::from(1u32 << 24) * 3.0 - 1.5
    })
}

fn run<T: Scalar>(build: Build, a: MatRef<'_, f64>) -> Mat<f64> {
    let tape = Tape::new();
    let mut program = Program::<T>::compile(&[build(tape.input("A", a.shape()))]).unwrap();
    let a = Mat::from_fn(a.nrows(), a.ncols(), |i, j| T::from_f64(a[(i, j)]));
    let run = program.run(&[("A", a.as_ref())]).unwrap();
    let [value] = run.matrices().unwrap();
    Mat::from_fn(value.nrows(), value.ncols(), |i, j| value[(i, j)].to_f64())
}

fn entries(a: &Mat<f64>) -> Vec<f64> {
    (0..a.ncols()).flat_map(|j| (0..a.nrows()).map(move |i| a[(i, j)])).collect()
}

/// A function of the entries of every column, of every row, or of all.
fn each_col(a: &Mat<f64>, f: fn(&[f64]) -> f64) -> Mat<f64> {
    Mat::from_fn(1, a.ncols(), |_, j| f(&(0..a.nrows()).map(|i| a[(i, j)]).collect::<Vec<_>>()))
}

fn each_row(a: &Mat<f64>, f: fn(&[f64]) -> f64) -> Mat<f64> {
    each_col(&a.transpose().to_owned(), f).transpose().to_owned()
}

fn all(a: &Mat<f64>, f: fn(&[f64]) -> f64) -> Mat<f64> {
    Mat::full(1, 1, f(&entries(a)))
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(x))
}

fn smallest(x: &[f64]) -> f64 {
    x.iter().fold(f64::INFINITY, |min, &x| min.min(x))
}

fn log_sum_exp(x: &[f64]) -> f64 {
    x.iter().map(|x| x.exp()).sum::<f64>().ln()
}

fn product(x: &[f64]) -> f64 {
    x.iter().product()
}

/// NaN if there are not more than d numbers.
fn variance(x: &[f64], d: usize) -> f64 {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let squares: f64 = x.iter().map(|x| (x - mean).powi(2)).sum();
    if x.len() > d { squares / (x.len() - d) as f64 } else { f64::NAN }
}

fn size(x: &[f64]) -> f64 {
    x.iter().map(|x| x.abs()).sum()
}

fn largest_size(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |max, x| max.max(x.abs()))
}

fn norm_p(x: &[f64], p: f64) -> f64 {
    x.iter().map(|x| x.abs().powf(p)).sum::<f64>().powf(1.0 / p)
}

/// A function of matrices: its name, its expression, and how a person would loop.
type Case = (&'static str, Build, fn(&Mat<f64>) -> Mat<f64>);

const CASES: &[Case] = &[
    ("col_maxima", |a| a.col_maxima(), |a| each_col(a, largest)),
    ("row_maxima", |a| a.row_maxima(), |a| each_row(a, largest)),
    ("maximum", |a| a.maximum(), |a| all(a, largest)),
    ("col_minima", |a| a.col_minima(), |a| each_col(a, smallest)),
    ("row_minima", |a| a.row_minima(), |a| each_row(a, smallest)),
    ("minimum", |a| a.minimum(), |a| all(a, smallest)),
    ("total_log_sum_exp", |a| a.total_log_sum_exp(), |a| all(a, log_sum_exp)),
    ("row_log_sum_exp", |a| a.row_log_sum_exp(), |a| each_row(a, log_sum_exp)),
    (
        "row_softmax",
        |a| a.row_softmax(),
        |a| {
            let log = each_row(a, log_sum_exp);
            Mat::from_fn(a.nrows(), a.ncols(), |i, j| (a[(i, j)] - log[(i, 0)]).exp())
        },
    ),
    ("col_products", |a| a.col_products(), |a| each_col(a, product)),
    ("row_products", |a| a.row_products(), |a| each_row(a, product)),
    ("product", |a| a.product(), |a| all(a, product)),
    ("variance", |a| a.variance(0), |a| all(a, |x| variance(x, 0))),
    ("variance of a sample", |a| a.variance(1), |a| all(a, |x| variance(x, 1))),
    ("variance of too few", |a| a.variance(40), |a| all(a, |x| variance(x, 40))),
    ("col_variances", |a| a.col_variances(1), |a| each_col(a, |x| variance(x, 1))),
    ("row_variances", |a| a.row_variances(0), |a| each_row(a, |x| variance(x, 0))),
    ("std_dev", |a| a.std_dev(1), |a| all(a, |x| variance(x, 1).sqrt())),
    ("col_std_devs", |a| a.col_std_devs(0), |a| each_col(a, |x| variance(x, 0).sqrt())),
    ("row_std_devs", |a| a.row_std_devs(1), |a| each_row(a, |x| variance(x, 1).sqrt())),
    (
        "standardize_cols",
        |a| a.standardize_cols(0.5),
        |a| {
            let (mean, var) =
                (each_col(a, |x| x.iter().sum::<f64>() / x.len() as f64), each_col(a, |x| variance(x, 0)));
            Mat::from_fn(a.nrows(), a.ncols(), |i, j| (a[(i, j)] - mean[(0, j)]) / (var[(0, j)] + 0.5).sqrt())
        },
    ),
    (
        "standardize_rows",
        |a| a.standardize_rows(0.5),
        |a| {
            let (mean, var) =
                (each_row(a, |x| x.iter().sum::<f64>() / x.len() as f64), each_row(a, |x| variance(x, 0)));
            Mat::from_fn(a.nrows(), a.ncols(), |i, j| (a[(i, j)] - mean[(i, 0)]) / (var[(i, 0)] + 0.5).sqrt())
        },
    ),
    ("norm_1", |a| a.norm_1(), |a| all(&each_col(a, size), largest_size)),
    ("norm_inf", |a| a.norm_inf(), |a| all(&each_row(a, size), largest_size)),
    ("norm_max", |a| a.norm_max(), |a| all(a, largest_size)),
    ("norm_p, 1", |a| a.norm_p(1.0), |a| all(a, size)),
    ("norm_p, 1.5", |a| a.norm_p(1.5), |a| all(a, |x| norm_p(x, 1.5))),
    ("norm_p, 2", |a| a.norm_p(2.0), |a| all(a, |x| norm_p(x, 2.0))),
    ("norm_p, 3", |a| a.norm_p(3.0), |a| all(a, |x| norm_p(x, 3.0))),
    ("norm_p, ∞", |a| a.norm_p(f64::INFINITY), |a| all(a, largest_size)),
];

fn see<T: Scalar>(failures: &mut Vec<String>) {
    for &(name, build, value) in CASES {
        for (rows, cols) in SHAPES {
            let a = matrix(rows, cols, 7);
            // A transpose is read in another order.
            let transpose = a.transpose().to_owned();
            for (a, build) in [(&a, build), (&transpose, build)] {
                let (got, wanted) = (run::<T>(build, a.as_ref()), value(a));
                assert_eq!(got.shape(), wanted.shape(), "{name} of {:?}", a.shape());
                for (&got, wanted) in entries(&got).iter().zip(entries(&wanted)) {
                    // Some operations on each entry, of which the errors add up in part.
                    let tolerance = 8.0 * T::EPSILON.to_f64() * (a.nrows() * a.ncols()).max(4) as f64 / 2.0;
                    let error = (got - wanted).abs() / wanted.abs().max(1.0);
                    let same = got == wanted || got.is_nan() && wanted.is_nan();
                    if !same && (error > tolerance || error.is_nan()) {
                        failures.push(format!("{name} of {:?}: {got} instead of {wanted}", a.shape()));
                    }
                }
            }
        }
    }
}

#[test]
fn every_reduction() {
    let mut failures = Vec::new();
    see::<f64>(&mut failures);
    see::<f32>(&mut failures);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn maxima_of_what_is_infinite_or_no_number() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let a = mat![
        [1.0, -inf, inf, nan, 2.0, nan],
        [3.0, -inf, nan, 5.0, inf, -inf],
        [3.0, -inf, 7.0, inf, inf, nan]
    ];
    let shown = |a: Mat<f64>| format!("{:?}", entries(&a));
    assert_eq!(shown(run::<f64>(|a| a.col_maxima(), a.as_ref())), "[3.0, -inf, NaN, NaN, inf, NaN]");
    assert_eq!(shown(run::<f32>(|a| a.col_minima(), a.as_ref())), "[1.0, -inf, NaN, NaN, 2.0, NaN]");
    let first = |of: [usize; 6]| Mat::from_fn(3, 6, |i, j| f64::from(u8::from(of[j] == i)));
    assert_eq!(run::<f64>(|a| a.col_argmax(), a.as_ref()), first([1, 0, 1, 0, 1, 0]));
    assert!(run::<f64>(|a| a.maximum(), a.as_ref())[(0, 0)].is_nan());
    assert!(run::<f64>(|a| a.norm_1(), a.as_ref())[(0, 0)].is_nan());
    // A column of several blocks: what is found in one is not forgotten in the next.
    for place in [0, 255, 256, 700, 999] {
        for value in [2.0, inf, nan] {
            let mut a = matrix(1000, 2, 3);
            a[(place, 1)] = value;
            if let Some(later) = (place < 990).then_some(place + 10) {
                a[(later, 1)] = value;
            }
            let max = run::<f64>(|a| a.col_maxima(), a.as_ref());
            assert!(max[(0, 1)] == value || max[(0, 1)].is_nan() && value.is_nan(), "{value} at {place}");
            let argmax = run::<f32>(|a| a.col_argmax(), a.as_ref());
            let ones: Vec<usize> = (0..1000).filter(|&i| argmax[(i, 1)] != 0.0).collect();
            assert_eq!((ones, argmax[(place, 1)]), (vec![place], 1.0));
        }
    }
}

/// Squares of size 1e200 overflow; norms and standard deviations do not.
#[test]
fn norms_neither_overflow_nor_underflow() {
    let a = mat![[3.0, -4.0], [0.0, 12.0]];
    let wanted = 3f64.powi(5) + 4f64.powi(5) + 12f64.powi(5);
    for size in [1e-300, 1e-100, 1e100, 1e200, 1e300] {
        let a = Mat::from_fn(2, 2, |i, j| a[(i, j)] * size);
        let norm = run::<f64>(|a| a.norm_p(5.0), a.as_ref())[(0, 0)];
        assert!((norm / size / wanted.powf(0.2) - 1.0).abs() < 1e-14, "{norm}");
        let deviation = run::<f64>(|a| a.std_dev(0), a.as_ref())[(0, 0)];
        assert!((deviation / size / (555f64 / 16.0).sqrt() - 1.0).abs() < 1e-14, "{deviation}");
    }
}

// ---- sums of products by their indices -------------------------------------------------------------------

const LETTERS: [char; 4] = ['i', 'j', 'k', 'l'];

/// Lists of up to two indices.
fn lists() -> Vec<String> {
    let ones = LETTERS.iter().map(char::to_string);
    let twos = LETTERS.iter().flat_map(|a| LETTERS.iter().map(move |b| format!("{a}{b}")));
    [String::new()].into_iter().chain(ones).chain(twos).collect()
}

/// The sum over all values of all indices.
fn by_definition(operands: &[(&str, &Mat<f64>)], result: &str, extent: &dyn Fn(char) -> usize) -> Mat<f64> {
    let of = |list: &str, k: usize| list.chars().nth(k).map_or(1, extent);
    let mut sum = Mat::zeros(of(result, 0), of(result, 1));
    let used: BTreeSet<char> = operands.iter().flat_map(|(list, _)| list.chars()).collect();
    let used: Vec<char> = used.into_iter().collect();
    let count: usize = used.iter().map(|&c| extent(c)).product();
    for n in 0..count {
        let value = |c: char| {
            let before: usize = used.iter().take_while(|&&other| other != c).map(|&c| extent(c)).product();
            n / before % extent(c)
        };
        let at = |list: &str, k: usize| list.chars().nth(k).map_or(0, value);
        let term: f64 = operands.iter().map(|(list, a)| a[(at(list, 0), at(list, 1))]).product();
        sum[(at(result, 0), at(result, 1))] += term;
    }
    sum
}

/// Every sum over one or two operands that gives a matrix is what its definition says, and no matrix on the way is larger than
/// the operands and the result.
#[test]
fn every_sum_of_products() {
    let mut tried = 0;
    for extents in [[2, 3, 4, 5], [3, 1, 2, 1], [2, 0, 3, 1], [2, 2, 2, 2]] {
        let extent = |c: char| extents[LETTERS.iter().position(|&letter| letter == c).unwrap()];
        let tape = Tape::new();
        let (mut sums, mut names, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
        let operand = |list: &str, name: &str, seed: u64| {
            let of = |k: usize| list.chars().nth(k).map_or(1, extent);
            let shape = (of(0), of(1));
            (tape.input(&format!("{name}{}x{}", shape.0, shape.1), shape), matrix(shape.0, shape.1, seed))
        };
        let alone = lists().into_iter().map(|a| (a, None));
        let pairs = lists().into_iter().flat_map(|a| lists().into_iter().map(move |b| (a.clone(), Some(b))));
        for (a, b) in alone.chain(pairs) {
            for result in lists() {
                let given = format!("{a}{}", b.as_deref().unwrap_or_default());
                let twice = result.len() == 2 && result.chars().next() == result.chars().nth(1);
                let text = match &b {
                    Some(b) => format!("{a},{b}->{result}"),
                    None => format!("{a}->{result}"),
                };
                let mut vars = vec![operand(&a, "A", 1)];
                vars.extend(b.as_deref().map(|b| operand(b, "B", 2)));
                let operands: Vec<Var<'_>> = vars.iter().map(|(var, _)| *var).collect();
                let sum = tape.einsum(&text, &operands);
                if twice || result.chars().any(|c| !given.contains(c)) {
                    assert!(sum.check().is_err(), "{text}");
                    continue;
                }
                let sum = sum.check().unwrap();
                let most = operands.iter().chain([&sum]).map(|x| x.rows() * x.cols()).max().unwrap_or(0);
                let graph = tape.graph(&[sum]).unwrap();
                // Ones are not stored.
                let larger = |node: &pullback_tape::Node| {
                    node.op.arity() > 0 && node.shape.rows * node.shape.cols > most.max(1)
                };
                assert!(!graph.nodes().iter().any(larger), "{text}: {sum}");
                let mut terms = vec![(a.as_str(), &vars[0].1)];
                terms.extend(b.as_deref().map(|b| (b, &vars[1].1)));
                wanted.push(by_definition(&terms, &result, &extent));
                sums.push(sum);
                names.push(text);
                tried += 1;
            }
        }
        let mut program = Program::<f64>::compile(&sums).unwrap();
        let matrices: Vec<_> = tape
            .inputs()
            .into_iter()
            .map(|(name, shape)| {
                let seed = if name.starts_with('A') { 1 } else { 2 };
                (name, matrix(shape.rows, shape.cols, seed))
            })
            .collect();
        let bound: Vec<_> = matrices.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect();
        let run = program.run(&bound).unwrap();
        for ((name, wanted), got) in names.iter().zip(&wanted).zip(run.iter()) {
            assert_eq!(got.shape(), wanted.shape(), "{name}");
            for j in 0..wanted.ncols() {
                for i in 0..wanted.nrows() {
                    let (got, wanted) = (got[(i, j)], wanted[(i, j)]);
                    assert!((got - wanted).abs() < 1e-13, "{name} {extents:?}: {got} instead of {wanted}");
                }
            }
        }
    }
    assert!(tried > 4000, "{tried}");
}

/// No matrix of the order of a column's length stands behind its halves, whatever the length.
#[test]
fn a_product_of_many_entries_takes_little_memory() {
    let n = 100_001;
    let tape = Tape::new();
    let x = tape.input("x", (n, 1));
    let scaled = x.product() * tape.selection(&[n - 1], n).t();
    let mut program = Program::<f64>::compile(&[x.product(), scaled]).unwrap();
    let at = Mat::from_fn(n, 1, |i, _| if i % 2 == 0 { 2.0 } else { 0.5 });
    let run = program.run(&[("x", at.as_ref())]).unwrap();
    let [product, scaled] = run.matrices().unwrap();
    assert_eq!(product[(0, 0)], 2.0);
    assert_eq!((scaled.sum(), scaled[(n - 1, 0)]), (2.0, 2.0));
}

#[test]
fn powers_of_a_matrix() {
    let a = Mat::from_fn(4, 4, |i, j| matrix(4, 4, 5)[(i, j)] * 0.4 + if i == j { 2.0 } else { 0.0 });
    let inverse = run::<f64>(|a| a.inv(), a.as_ref());
    let powers: [(i32, Build); 8] = [
        (0, |a| a.matrix_power(0)),
        (1, |a| a.matrix_power(1)),
        (2, |a| a.matrix_power(2)),
        (7, |a| a.matrix_power(7)),
        (12, |a| a.matrix_power(12)),
        (-1, |a| a.matrix_power(-1)),
        (-2, |a| a.matrix_power(-2)),
        (-5, |a| a.matrix_power(-5)),
    ];
    for (k, power) in powers {
        let factor = if k < 0 { &inverse } else { &a };
        let wanted = (0..k.abs()).fold(Mat::<f64>::identity(4, 4), |power, _| &power * factor);
        let got = run::<f64>(power, a.as_ref());
        assert!((&got - &wanted).norm_max() < 1e-13 * wanted.norm_max(), "{k}");
    }
    assert_eq!(run::<f64>(|a| a.matrix_power(3), Mat::<f64>::zeros(0, 0).as_ref()).shape(), (0, 0));
}
