//! The value of every op against loops that are written here, in `f64` and `f32`, on all shapes, from and to
//! matrices of all strides.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use faer::{Mat, MatMut, MatRef};
use pullback_engine::{Definition, Program, Scalar};
use pullback_tape::{Function, Literal, MatrixFunction, Op, Tape, Var};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Index;

/// Row, inner and column extents.
type Dims = (usize, usize, usize);

/// Tall, wide, square, vectors, 1×1, more than one block of 256 entries, and empty in each way.
const SHAPES: &[Dims] = &[
    (7, 2, 5),
    (2, 5, 7),
    (4, 4, 4),
    (1, 1, 1),
    (1, 6, 1),
    (6, 1, 3),
    (3, 4, 1),
    (1, 3, 6),
    (20, 3, 17),
    (300, 2, 3),
    (0, 3, 2),
    (3, 0, 2),
    (2, 3, 0),
    (0, 0, 0),
];

/// Square matrices only; larger ones take long by cofactors.
const SQUARE: &[Dims] =
    &[(1, 1, 1), (2, 3, 1), (3, 2, 4), (5, 5, 2), (6, 1, 6), (3, 2, 0), (0, 0, 2), (0, 2, 0)];

// ---- matrices of all strides -----------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq, Debug)]
enum Layout {
    Columns,
    Rows,
    /// Part of a larger matrix, whose other entries are NaN.
    Inside,
    /// Row-major part of a larger matrix.
    RowsInside,
    ReversedRows,
    ReversedCols,
    /// The diagonal of a larger matrix, for a vector.
    Diagonal,
    /// The first column again and again, with stride 0.
    RepeatedCol,
    RepeatedRow,
    /// The first entry again and again.
    Repeated,
}

const LAYOUTS: [Layout; 10] = [
    Layout::Columns,
    Layout::Rows,
    Layout::Inside,
    Layout::RowsInside,
    Layout::ReversedRows,
    Layout::ReversedCols,
    Layout::Diagonal,
    Layout::RepeatedCol,
    Layout::RepeatedRow,
    Layout::Repeated,
];

/// A matrix in storage that shows it in the given layout.
struct Laid<T> {
    storage: Mat<T>,
    layout: Layout,
    shape: (usize, usize),
}

impl<T: Scalar> Laid<T> {
    fn new(matrix: &Mat<T>, layout: Layout) -> Self {
        let shape @ (m, n) = matrix.shape();
        let nan = T::from_f64(f64::NAN);
        let layout = match layout {
            Layout::Diagonal if n != 1 && m != 1 => Layout::Columns,
            Layout::RepeatedCol | Layout::RepeatedRow | Layout::Repeated if m * n == 0 => Layout::Columns,
            layout => layout,
        };
        let storage = match layout {
            Layout::Rows => matrix.transpose().to_owned(),
            Layout::Inside | Layout::RowsInside => Mat::full(m + n + 3, m + n + 3, nan),
            Layout::Diagonal => Mat::full(m * n, m * n, nan),
            _ => matrix.clone(),
        };
        let mut laid = Laid { storage, layout, shape };
        if let Some(mut view) = laid.view_mut() {
            view.copy_from(matrix);
        }
        laid
    }

    fn view(&self) -> MatRef<'_, T> {
        let ((m, n), all) = (self.shape, self.storage.as_ref());
        match self.layout {
            Layout::Columns => all,
            Layout::Rows => all.transpose(),
            Layout::Inside => all.submatrix(2, 1, m, n),
            Layout::RowsInside => all.submatrix(1, 2, n, m).transpose(),
            Layout::ReversedRows => all.reverse_rows(),
            Layout::ReversedCols => all.reverse_cols(),
            Layout::Diagonal if n == 1 => all.diagonal().column_vector().as_mat(),
            Layout::Diagonal => all.diagonal().column_vector().as_mat().transpose(),
            Layout::RepeatedCol => MatRef::from_repeated_col(all.col(0), n),
            Layout::RepeatedRow => MatRef::from_repeated_row(all.row(0), m),
            Layout::Repeated => MatRef::from_repeated_ref(&self.storage[(0, 0)], m, n),
        }
    }

    /// The same view to be written to, unless an entry stands for several.
    fn view_mut(&mut self) -> Option<MatMut<'_, T>> {
        let ((m, n), layout) = (self.shape, self.layout);
        let all = self.storage.as_mut();
        Some(match layout {
            Layout::Columns => all,
            Layout::Rows => all.transpose_mut(),
            Layout::Inside => all.submatrix_mut(2, 1, m, n),
            Layout::RowsInside => all.submatrix_mut(1, 2, n, m).transpose_mut(),
            Layout::ReversedRows => all.reverse_rows_mut(),
            Layout::ReversedCols => all.reverse_cols_mut(),
            Layout::Diagonal if n == 1 => all.diagonal_mut().column_vector_mut().as_mat_mut(),
            Layout::Diagonal => all.diagonal_mut().column_vector_mut().as_mat_mut().transpose_mut(),
            Layout::RepeatedCol | Layout::RepeatedRow | Layout::Repeated => return None,
        })
    }
}

// ---- the checker -----------------------------------------------------------------------------------------

/// Numbers from −1 to 1; positive ones for a name with `P`, a heavy diagonal for one with `D`.
fn matrix<T: Scalar>(name: &str, rows: usize, cols: usize) -> Mat<T> {
    let mut state = name.bytes().fold(7u64, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    Mat::from_fn(rows, cols, |i, j| {
        let x = next();
        T::from_f64(match name.chars().next() {
            Some('P') => 0.5 + x.abs(),
            Some('D') if i == j => 2.0 * x.signum() + x,
            Some('D') => 0.4 * x,
            _ => x,
        })
    })
}

/// The matrices bound in a run, by name.
struct Given(BTreeMap<String, Mat<f64>>);

impl Index<&str> for Given {
    type Output = Mat<f64>;
    fn index(&self, name: &str) -> &Mat<f64> {
        &self.0[name]
    }
}

/// `Σ wᵢⱼ³`
fn cubes<T: Scalar>() -> Definition<T> {
    let of = |w: MatRef<'_, T>, f: &dyn Fn(usize, usize) -> T, mut out: MatMut<'_, T>| {
        (0..w.nrows()).for_each(|i| (0..w.ncols()).for_each(|j| out[(i, j)] = f(i, j)));
    };
    let (three, six) = (T::from_f64(3.0), T::from_f64(6.0));
    Definition::new(|w: MatRef<'_, T>| {
        (0..w.nrows()).fold(T::default(), |sum, i| {
            (0..w.ncols()).fold(sum, |sum, j| sum + w[(i, j)] * w[(i, j)] * w[(i, j)])
        })
    })
    .gradient(move |w, out| of(w, &|i, j| three * w[(i, j)] * w[(i, j)], out))
    .hessian_product(move |w, v, out| of(w, &|i, j| six * w[(i, j)] * v[(i, j)], out))
}

/// A message unless `got` is `wanted` to so many units in the last place of the larger of 1 and the entry.
fn difference<T: Scalar>(got: MatRef<'_, T>, wanted: &Mat<f64>, ulps: f64) -> Option<String> {
    if got.shape() != wanted.shape() {
        return Some(format!("{:?} instead of {:?}", got.shape(), wanted.shape()));
    }
    for j in 0..got.ncols() {
        for i in 0..got.nrows() {
            let (x, y) = (got[(i, j)].to_f64(), wanted[(i, j)]);
            let same = x == y || x.is_nan() && y.is_nan();
            let error = (x - y).abs() / (y.abs().max(1.0) * T::EPSILON.to_f64());
            if !same && (error > ulps || error.is_nan()) {
                return Some(format!("{x} instead of {y} at ({i}, {j}), {error} ulps"));
            }
        }
    }
    None
}

type Build<'b> = &'b dyn for<'t> Fn(&'t Tape, Dims) -> Vec<Var<'t>>;
type Value<'v> = &'v dyn Fn(&Given, Dims) -> Vec<Mat<f64>>;
type Ulps<'u> = &'u dyn Fn(Dims) -> f64;

/// Runs on inputs of every layout, and writes into matrices of every layout.
fn verify<T: Scalar>(
    name: &str,
    shapes: &[Dims],
    layouts: &[Layout],
    build: Build<'_>,
    value: Value<'_>,
    ulps: Ulps<'_>,
) -> Vec<String> {
    let mut failures = Vec::new();
    for &dims in shapes {
        let tape = Tape::new();
        let vars = build(&tape, dims);
        let mut program = Program::<T>::compile(&vars).unwrap_or_else(|error| panic!("{name}: {error}"));
        let _ = program.define("L", cubes());
        for i in 0..layouts.len() {
            // Each input has another layout. What the outputs turn out not to need is bound as well.
            let turn = dims.0 + 2 * dims.1 + 3 * dims.2;
            let laid: Vec<_> = (0..)
                .zip(tape.inputs())
                .map(|(k, (name, shape))| {
                    let layout = layouts[(i + k * turn) % layouts.len()];
                    // A matrix of equal columns has no inverse.
                    let repeats =
                        matches!(layout, Layout::RepeatedCol | Layout::RepeatedRow | Layout::Repeated);
                    let layout = if repeats && name.starts_with('D') { Layout::Rows } else { layout };
                    let matrix = matrix(&name, shape.rows, shape.cols);
                    (name, Laid::new(&matrix, layout))
                })
                .collect();
            let bound: Vec<_> = laid.iter().map(|(name, laid)| (name.as_str(), laid.view())).collect();
            let exact = |m: MatRef<'_, T>| Mat::from_fn(m.nrows(), m.ncols(), |i, j| m[(i, j)].to_f64());
            let given = Given(bound.iter().map(|(name, m)| ((*name).to_owned(), exact(*m))).collect());
            let wanted = value(&given, dims);

            let mut see = |what: &str, got: MatRef<'_, T>, wanted: &Mat<f64>| {
                if let Some(difference) = difference(got, wanted, ulps(dims)) {
                    let type_name = std::any::type_name::<T>();
                    failures.push(format!("{name} {dims:?} layout {i} {what} {type_name}: {difference}"));
                }
            };
            let run = program.run(&bound).unwrap_or_else(|error| panic!("{name} {dims:?}: {error}"));
            assert_eq!(run.len(), wanted.len(), "{name}");
            run.iter().zip(&wanted).for_each(|(got, wanted)| see("run", got, wanted));

            // Each output goes to another layout.
            let mut outside: Vec<_> = (i..)
                .zip(&wanted)
                .map(|(i, wanted)| {
                    let nan = Mat::full(wanted.nrows(), wanted.ncols(), T::from_f64(f64::NAN));
                    Laid::new(&nan, LAYOUTS[i % 7])
                })
                .collect();
            let mut outputs: Vec<_> = outside.iter_mut().filter_map(Laid::view_mut).collect();
            program.run_into(&bound, &mut outputs).unwrap();
            outside.iter().zip(&wanted).for_each(|(got, wanted)| see("run_into", got.view(), wanted));
        }
    }
    failures
}

fn verify_both(
    name: &str,
    shapes: &[Dims],
    build: Build<'_>,
    value: Value<'_>,
    ulps: Ulps<'_>,
) -> Vec<String> {
    let mut failures = verify::<f64>(name, shapes, &LAYOUTS, build, value, ulps);
    failures.extend(verify::<f32>(name, shapes, &LAYOUTS, build, value, ulps));
    failures
}

fn assert_none(failures: &[String]) {
    let first: Vec<_> = failures.iter().take(20).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), first.join("\n"));
}

// ---- what a person would loop ----------------------------------------------------------------------------

fn map(a: &Mat<f64>, f: impl Fn(f64) -> f64) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| f(a[(i, j)]))
}

fn zip(a: &Mat<f64>, b: &Mat<f64>, f: impl Fn(f64, f64) -> f64) -> Mat<f64> {
    assert_eq!(a.shape(), b.shape());
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| f(a[(i, j)], b[(i, j)]))
}

fn t(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.ncols(), a.nrows(), |i, j| a[(j, i)])
}

/// From the last to the first, and the first once more.
fn around(len: usize) -> Vec<usize> {
    (0..len).rev().chain((len > 0).then_some(0)).collect()
}

/// Some indices in the middle.
fn inside(len: usize) -> std::ops::Range<usize> {
    len / 3..len - len / 4
}

fn in_middle(x: Var<'_>) -> Var<'_> {
    x.slice(inside(x.rows()), inside(x.cols()))
}

fn middle(a: &Mat<f64>) -> Mat<f64> {
    let (rows, cols) = (inside(a.nrows()), inside(a.ncols()));
    Mat::from_fn(rows.len(), cols.len(), |i, j| a[(rows.start + i, cols.start + j)])
}

/// What was taken out of the middle of an m×n matrix, with zeros around it.
fn put_back(x: Var<'_>, (m, _, n): Dims) -> Var<'_> {
    let (rows, cols): (Vec<_>, Vec<_>) = (inside(m).collect(), inside(n).collect());
    x.tape().selection(&rows, m).t() * x * x.tape().selection(&cols, n)
}

fn outside_removed(a: &Mat<f64>, m: usize, n: usize) -> Mat<f64> {
    let (rows, cols) = (inside(m), inside(n));
    Mat::from_fn(m, n, |i, j| if rows.contains(&i) && cols.contains(&j) { a[(i, j)] } else { 0.0 })
}

/// Indices below k, n in number, that do not follow each other.
fn groups(n: usize, k: usize) -> Vec<usize> {
    (0..n).map(|j| (j * j + k - 1) % k).collect()
}

fn picked(a: &Mat<f64>, rows: &[usize]) -> Mat<f64> {
    Mat::from_fn(rows.len(), a.ncols(), |i, j| a[(rows[i], j)])
}

fn mul(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
    assert_eq!(a.ncols(), b.nrows());
    Mat::from_fn(a.nrows(), b.ncols(), |i, j| (0..a.ncols()).map(|k| a[(i, k)] * b[(k, j)]).sum())
}

fn add(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
    zip(a, b, |a, b| a + b)
}

fn times(c: f64, a: &Mat<f64>) -> Mat<f64> {
    map(a, |a| c * a)
}

fn number(x: f64) -> Mat<f64> {
    Mat::full(1, 1, x)
}

fn eye(n: usize) -> Mat<f64> {
    Mat::from_fn(n, n, |i, j| f64::from(u8::from(i == j)))
}

fn filled(x: f64, rows: usize, cols: usize) -> Mat<f64> {
    Mat::full(rows, cols, x)
}

fn sum(a: &Mat<f64>) -> f64 {
    (0..a.nrows()).flat_map(|i| (0..a.ncols()).map(move |j| a[(i, j)])).sum()
}

fn inner(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    sum(&zip(a, b, |a, b| a * b))
}

fn trace(a: &Mat<f64>) -> f64 {
    (0..a.nrows()).map(|i| a[(i, i)]).sum()
}

fn minor(a: &Mat<f64>, row: usize, col: usize) -> Mat<f64> {
    let skip = |i: usize, without: usize| if i < without { i } else { i + 1 };
    Mat::from_fn(a.nrows() - 1, a.ncols() - 1, |i, j| a[(skip(i, row), skip(j, col))])
}

fn sign(i: usize) -> f64 {
    if i.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// By Laplace's expansion.
fn det(a: &Mat<f64>) -> f64 {
    if a.nrows() == 0 {
        return 1.0;
    }
    (0..a.ncols()).map(|j| sign(j) * a[(0, j)] * det(&minor(a, 0, j))).sum()
}

/// By cofactors.
fn adjugate(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| sign(i + j) * det(&minor(a, j, i)))
}

/// By Cramer's rule.
fn inv(a: &Mat<f64>) -> Mat<f64> {
    let det_a = det(a);
    map(&adjugate(a), |cofactor| cofactor / det_a)
}

/// The lower triangle.
fn lower(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| if i >= j { a[(i, j)] } else { 0.0 })
}

/// With ones on the diagonal.
fn unit(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| if i == j { 1.0 } else { a[(i, j)] })
}

/// `L` of `L Lᵀ`, entry by entry.
fn cholesky(a: &Mat<f64>) -> Mat<f64> {
    let mut l = Mat::zeros(a.nrows(), a.nrows());
    for j in 0..a.nrows() {
        for i in j..a.nrows() {
            let rest = a[(i, j)] - (0..j).map(|k| l[(i, k)] * l[(j, k)]).sum::<f64>();
            l[(i, j)] = if i == j { rest.sqrt() } else { rest / l[(j, j)] };
        }
    }
    l
}

/// `exp(A)` of a small matrix, by its Taylor series.
fn expm(a: &Mat<f64>) -> Mat<f64> {
    let (mut term, mut sum) = (eye(a.nrows()), eye(a.nrows()));
    for k in 1..=30 {
        term = times(1.0 / f64::from(k), &mul(&term, a));
        sum = add(&sum, &term);
    }
    sum
}

fn log_sum_exp(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(1, a.ncols(), |_, j| (0..a.nrows()).map(|i| a[(i, j)].exp()).sum::<f64>().ln())
}

fn softmax(a: &Mat<f64>) -> Mat<f64> {
    let log = log_sum_exp(a);
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| (a[(i, j)] - log[(0, j)]).exp())
}

fn col_maxima(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(1, a.ncols(), |_, j| (0..a.nrows()).fold(f64::NEG_INFINITY, |max, i| max.max(a[(i, j)])))
}

/// 1 where an entry is larger than those before it, and none behind it is larger.
fn col_argmax(a: &Mat<f64>) -> Mat<f64> {
    let first =
        |i, j| (0..a.nrows()).all(|k| if k < i { a[(k, j)] < a[(i, j)] } else { a[(k, j)] <= a[(i, j)] });
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| f64::from(u8::from(first(i, j))))
}

// ---- every op --------------------------------------------------------------------------------------------

struct Case {
    name: &'static str,
    shapes: &'static [Dims],
    /// How far the result may be off, in units in the last place, for each root of a term that is summed.
    ulps: f64,
    /// The number of terms.
    terms: fn(Dims) -> usize,
    build: BuildOne,
    value: ValueOne,
}

type BuildOne = for<'t> fn(&'t Tape, Dims) -> Var<'t>;
type ValueOne = fn(&Given, Dims) -> Mat<f64>;

/// One operation or two on each entry.
const fn entry(name: &'static str, build: BuildOne, value: ValueOne) -> Case {
    Case { name, shapes: SHAPES, ulps: 2.0, terms: |_| 1, build, value }
}

/// Sums along rows or columns.
const fn product(name: &'static str, build: BuildOne, value: ValueOne) -> Case {
    Case { name, shapes: SHAPES, ulps: 8.0, terms: |(m, k, n)| m.max(k).max(n).max(1), build, value }
}

/// Sums of all entries.
const fn reduction(name: &'static str, build: BuildOne, value: ValueOne) -> Case {
    Case { name, shapes: SHAPES, ulps: 8.0, terms: |(m, _, n)| (m * n).max(1), build, value }
}

const fn square(name: &'static str, build: BuildOne, value: ValueOne) -> Case {
    Case { shapes: SQUARE, ..product(name, build, value) }
}

/// With matrices of condition numbers of about 10.
const fn solve(name: &'static str, build: BuildOne, value: ValueOne) -> Case {
    Case { shapes: SQUARE, ulps: 32.0, ..product(name, build, value) }
}

/// Dozens of operations on each entry, in one pass or several.
const fn chain(name: &'static str, build: BuildOne, value: ValueOne) -> Case {
    Case { ulps: 32.0, ..entry(name, build, value) }
}

/// The squares of the entries: all eigenvalues are on the right.
fn squared<'t>(tape: &'t Tape, name: &str, n: usize) -> Var<'t> {
    let d = tape.input(name, (n, n));
    d.hadamard(d)
}

/// A diagonal matrix of numbers of alternating signs, their sizes 1, q, q², …
fn alternating(tape: &Tape, n: usize, q: f64) -> Var<'_> {
    let entry = |i: usize| tape.scalar(sign(i) * q.powi(i as i32));
    let mut rows = vec![tape.zeros((0, 1))];
    rows.extend((0..n).map(entry));
    tape.stack_rows(&rows).diag()
}

/// The inputs, by letters that say their shapes.
trait Inputs {
    fn a(&self, dims: Dims) -> Var<'_>;
    fn b(&self, dims: Dims) -> Var<'_>;
    fn c(&self, dims: Dims) -> Var<'_>;
    fn d(&self, dims: Dims) -> Var<'_>;
    fn x(&self, dims: Dims) -> Var<'_>;
    fn p(&self, dims: Dims) -> Var<'_>;
    fn s(&self) -> Var<'_>;
}

impl Inputs for Tape {
    /// m×k
    fn a(&self, (m, k, _): Dims) -> Var<'_> {
        self.input("A", (m, k))
    }
    /// k×n
    fn b(&self, (_, k, n): Dims) -> Var<'_> {
        self.input("B", (k, n))
    }
    /// m×n
    fn c(&self, (m, _, n): Dims) -> Var<'_> {
        self.input("C", (m, n))
    }
    /// m×m, well conditioned
    fn d(&self, (m, _, _): Dims) -> Var<'_> {
        self.input("D", (m, m))
    }
    /// m×n
    fn x(&self, (m, _, n): Dims) -> Var<'_> {
        self.input("X", (m, n))
    }
    /// m×n, positive
    fn p(&self, (m, _, n): Dims) -> Var<'_> {
        self.input("P", (m, n))
    }
    /// 1×1, positive
    fn s(&self) -> Var<'_> {
        self.input("Ps", (1, 1))
    }
}

fn opaque<'t>(w: Var<'t>, order: u32, args: &[Var<'t>]) -> Var<'t> {
    match w.tape().function("L", w).node().map(|node| node.op) {
        Some(Op::Opaque { name, .. }) => w.tape().apply(Op::Opaque { name, order }, args),
        op => panic!("{op:?}"),
    }
}

const CASES: &[Case] = &[
    // leaves
    entry("input", |t, d| t.c(d), |g, _| g["C"].clone()),
    entry("scalar", |t, _| t.scalar(0.75), |_, _| number(0.75)),
    entry("ones", |t, (m, _, n)| t.ones((m, n)), |_, (m, _, n)| filled(1.0, m, n)),
    entry("zeros", |t, (m, _, n)| t.zeros((m, n)), |_, (m, _, n)| filled(0.0, m, n)),
    entry("identity", |t, (m, _, _)| t.identity(m), |_, (m, _, _)| eye(m)),
    entry("transpose", |t, d| t.c(d).t(), |g, _| t(&g["C"])),
    // parts
    entry("selection", |t, (m, _, _)| t.selection(&around(m), m), |_, (m, _, _)| picked(&eye(m), &around(m))),
    entry(
        "rows",
        |t, d @ (m, _, _)| t.c(d).select_rows(&around(m)),
        |g, (m, _, _)| picked(&g["C"], &around(m)),
    ),
    entry(
        "columns of a transpose",
        |t, d @ (m, _, _)| 2.0 * t.c(d).t().select_cols(&around(m)),
        |g, (m, _, _)| times(2.0, &t(&picked(&g["C"], &around(m)))),
    ),
    entry(
        "rows put back",
        |t, d @ (m, _, _)| t.selection(&around(m), m).t() * t.c(d).select_rows(&around(m)) - t.c(d),
        |g, (m, _, n)| {
            let c = &g["C"];
            // The first row is there twice.
            Mat::from_fn(m, n, |i, j| if i == 0 { c[(i, j)] } else { 0.0 })
        },
    ),
    entry(
        "how often a row is taken",
        |t, (m, _, n)| t.selection(&around(m), m).t() * t.ones((around(m).len(), n)),
        |_, (m, _, n)| Mat::from_fn(m, n, |i, _| if i == 0 { 2.0 } else { 1.0 }),
    ),
    entry(
        "stacked",
        |t, d| t.stack_rows(&[t.c(d), t.x(d), -t.c(d)]),
        |g, (m, _, n)| {
            let (c, x) = (&g["C"], &g["X"]);
            Mat::from_fn(3 * m, n, |i, j| match i / m {
                0 => c[(i, j)],
                1 => x[(i - m, j)],
                _ => -c[(i - 2 * m, j)],
            })
        },
    ),
    entry("part", |t, d| in_middle(t.c(d)), |g, _| middle(&g["C"])),
    entry(
        "part of a transpose, scaled",
        |t, d| -2.0 * in_middle(t.c(d).t()),
        |g, _| times(-2.0, &middle(&t(&g["C"]))),
    ),
    entry(
        "part of a part of a transpose",
        |t, d| in_middle(in_middle(t.c(d)).t()).t(),
        |g, _| middle(&middle(&g["C"])),
    ),
    entry(
        "no rows of a part",
        |t, d| in_middle(t.c(d).t()).t().slice(..0, ..),
        |g, _| Mat::zeros(0, middle(&g["C"]).ncols()),
    ),
    product(
        "product of parts",
        |t, d| in_middle(t.c(d)).t() * in_middle(t.x(d)),
        |g, _| mul(&t(&middle(&g["C"])), &middle(&g["X"])),
    ),
    product(
        "product of transposes of parts of values",
        |t, d| in_middle(t.c(d).exp()) * in_middle(t.x(d).sin()).t() * in_middle(t.c(d).exp()),
        |g, _| {
            let (c, x) = (middle(&map(&g["C"], f64::exp)), middle(&map(&g["X"], f64::sin)));
            mul(&mul(&c, &t(&x)), &c)
        },
    ),
    entry(
        "part of what is repeated",
        |t, d @ (m, _, n)| {
            let (r, c) = (t.input("r", (1, n)), t.input("c", (m, 1)));
            in_middle(t.c(d)).hadamard(in_middle(r.repeat_rows(m)) - in_middle(c.repeat_cols(n)))
        },
        |g, (m, _, n)| middle(&Mat::from_fn(m, n, |i, j| g["C"][(i, j)] * (g["r"][(0, j)] - g["c"][(i, 0)]))),
    ),
    entry(
        "column of a part, repeated",
        |t, d @ (_, _, n)| match in_middle(t.c(d)) {
            part if part.cols() > 0 => part.col(part.cols() - 1).repeat_cols(n).exp(),
            part => part,
        },
        |g, (_, _, n)| {
            let part = middle(&g["C"]);
            match part.ncols() {
                0 => part,
                cols => Mat::from_fn(part.nrows(), n, |i, _| part[(i, cols - 1)].exp()),
            }
        },
    ),
    // Neither may be written over what it is read from.
    entry(
        "parts of a value that dies",
        |t, d @ (m, _, n)| {
            let y = t.c(d).square();
            let rows = y.slice(m / 2..m / 2 * 2, ..) - 0.5 * y.slice(..m / 2, ..);
            rows.slice(.., n / 2..n / 2 * 2).hadamard(rows.slice(.., ..n / 2))
        },
        |g, (m, _, n)| {
            let y = map(&g["C"], |c| c * c);
            let rows = Mat::from_fn(m / 2, n, |i, j| y[(m / 2 + i, j)] - 0.5 * y[(i, j)]);
            Mat::from_fn(m / 2, n / 2, |i, j| rows[(i, n / 2 + j)] * rows[(i, j)])
        },
    ),
    entry(
        "columns of a value that dies, in another order",
        |t, d @ (_, _, n)| {
            let y = t.c(d).tanh();
            y.select_cols(&around(n)[..n]).exp() - y
        },
        |g, (m, _, n)| {
            let y = map(&g["C"], f64::tanh);
            Mat::from_fn(m, n, |i, j| y[(i, n - 1 - j)].exp() - y[(i, j)])
        },
    ),
    entry(
        "part put back",
        |t, d| -2.0 * put_back(in_middle(t.c(d)), d),
        |g, (m, _, n)| times(-2.0, &outside_removed(&g["C"], m, n)),
    ),
    entry(
        "part of a transpose put back",
        |t, d @ (m, _, n)| put_back(in_middle(t.input("Y", (n, m))).t(), d),
        |g, (m, _, n)| outside_removed(&t(&g["Y"]), m, n),
    ),
    entry(
        "parts added to what is there",
        |t, d| t.x(d).exp() - 2.0 * put_back(in_middle(t.c(d)), d) + put_back(in_middle(t.x(d)), d),
        |g, (m, _, n)| {
            let (c, x) = (outside_removed(&g["C"], m, n), outside_removed(&g["X"], m, n));
            Mat::from_fn(m, n, |i, j| g["X"][(i, j)].exp() - 2.0 * c[(i, j)] + x[(i, j)])
        },
    ),
    entry(
        "beside each other",
        |t, d @ (m, _, _)| {
            t.stack_cols(&[t.c(d), t.zeros((m, 0)), 3.0 * t.x(d).exp(), t.input("Y", (2, m)).t()])
        },
        |g, (m, _, n)| {
            Mat::from_fn(m, 2 * n + 2, |i, j| match j {
                j if j < n => g["C"][(i, j)],
                j if j < 2 * n => 3.0 * g["X"][(i, j - n)].exp(),
                j => g["Y"][(j - 2 * n, i)],
            })
        },
    ),
    entry(
        "Kronecker product",
        |t, d @ (m, _, n)| {
            t.c(d).kron(t.input("Y", (3, 2)))
                - (2.0 * t.input("Y", (3, 2)).kron(t.c(d)).exp()).slice(..3 * m, ..2 * n)
        },
        |g, (m, _, n)| {
            let (c, y) = (&g["C"], &g["Y"]);
            Mat::from_fn(3 * m, 2 * n, |i, j| {
                c[(i / 3, j / 2)] * y[(i % 3, j % 2)] - 2.0 * (y[(i / m, j / n)] * c[(i % m, j % n)]).exp()
            })
        },
    ),
    product(
        "columns of a product added up in groups",
        |t, d @ (_, k, n)| {
            let products = 2.0 * t.c(d).hadamard(t.x(d));
            if k == 0 { products * t.zeros((n, k)) } else { products * t.selection(&groups(n, k), k) }
        },
        |g, (m, k, n)| {
            let (c, x) = (&g["C"], &g["X"]);
            let group =
                |i, l| (0..n).filter(|&j| groups(n, k)[j] == l).map(|j| 2.0 * c[(i, j)] * x[(i, j)]).sum();
            Mat::from_fn(m, k, group)
        },
    ),
    product(
        "columns of a chain added up in groups, beside a product",
        |t, d @ (m, k, n)| {
            let (y, x) = (t.input("Y", (n, m)).t(), t.x(d));
            let product = t.c(d) * t.b(d).t();
            if k == 0 { product } else { y.hadamard(x) * t.selection(&groups(n, k), k) - product }
        },
        |g, (m, k, n)| {
            let (y, x) = (&g["Y"], &g["X"]);
            let product = |i, l| (0..n).map(|j| g["C"][(i, j)] * g["B"][(l, j)]).sum::<f64>();
            let group =
                |i, l| (0..n).filter(|&j| groups(n, k)[j] == l).map(|j| y[(j, i)] * x[(i, j)]).sum::<f64>();
            Mat::from_fn(m, k, |i, l| group(i, l) - product(i, l))
        },
    ),
    entry(
        "triangle",
        |t, (m, _, n)| t.triangle((m, n), false),
        |_, (m, _, n)| Mat::from_fn(m, n, |i, j| f64::from(i >= j)),
    ),
    entry(
        "lower triangle",
        |t, d| 0.5 * t.c(d).tril() + t.c(d).t().strict_triu().t(),
        |g, (m, _, n)| {
            let factor = |i, j| if i > j { 1.5 } else { 0.5 * f64::from(i == j) };
            Mat::from_fn(m, n, |i, j| factor(i, j) * g["C"][(i, j)])
        },
    ),
    entry(
        "strictly upper triangle",
        |t, d| -t.c(d).strict_triu(),
        |g, (m, _, n)| Mat::from_fn(m, n, |i, j| if i < j { -g["C"][(i, j)] } else { 0.0 }),
    ),
    entry(
        "reshape",
        |t, d @ (m, _, n)| (2.0 * t.c(d)).reshape((n, m)),
        |g, (m, _, n)| Mat::from_fn(n, m, |i, j| 2.0 * g["C"][((i + n * j) % m, (i + n * j) / m)]),
    ),
    entry(
        "vec of a transpose",
        |t, d| t.c(d).t().vec(),
        |g, (m, _, n)| Mat::from_fn(m * n, 1, |i, _| g["C"][(i / n, i % n)]),
    ),
    product(
        "cumulative sums",
        |t, d| t.c(d).cumulative_sums(),
        |g, (m, _, n)| Mat::from_fn(m, n, |i, j| (0..=i).map(|k| g["C"][(k, j)]).sum()),
    ),
    product(
        "sums after each entry, of rows",
        |t, d @ (_, _, n)| t.c(d) * t.triangle((n, n), true),
        |g, (m, _, n)| Mat::from_fn(m, n, |i, j| (j + 1..n).map(|k| g["C"][(i, k)]).sum()),
    ),
    product(
        "sums before each entry, of columns of a transpose",
        |t, (m, _, n)| 2.0 * (t.triangle((m, m), true) * t.input("Y", (n, m)).t()),
        |g, (m, _, n)| Mat::from_fn(m, n, |i, j| (0..i).map(|k| 2.0 * g["Y"][(j, k)]).sum()),
    ),
    product(
        "sums from each entry on, of a part",
        |t, d| {
            let part = in_middle(t.c(d));
            (-0.5 * t.triangle((part.rows(), part.rows()), false).t()) * part
        },
        |g, _| {
            let part = middle(&g["C"]);
            Mat::from_fn(part.nrows(), part.ncols(), |i, j| {
                (i..part.nrows()).map(|k| -0.5 * part[(k, j)]).sum()
            })
        },
    ),
    reduction(
        "sums of the first entries, and more or fewer of them",
        |t, d @ (m, _, n)| t.triangle((m + 2, m), false) * t.c(d) * t.triangle((n + 3, n), false).t(),
        |g, (m, _, n)| {
            let sum = |i: usize, j: usize| {
                (0..m.min(i + 1)).map(|k| (0..n.min(j + 1)).map(|l| g["C"][(k, l)]).sum::<f64>()).sum()
            };
            Mat::from_fn(m + 2, n + 3, sum)
        },
    ),
    // entry by entry
    entry("sum", |t, d| t.c(d) + t.x(d), |g, _| add(&g["C"], &g["X"])),
    entry("difference", |t, d| t.c(d) - t.x(d), |g, _| zip(&g["C"], &g["X"], |c, x| c - x)),
    entry(
        "combination",
        |t, d| 2.0 * t.c(d) - 3.0 * t.x(d),
        |g, _| zip(&g["C"], &g["X"], |c, x| 2.0 * c - 3.0 * x),
    ),
    entry(
        "sum with a transpose",
        |t, d @ (m, _, n)| t.c(d) + t.input("Y", (n, m)).t(),
        |g, _| add(&g["C"], &t(&g["Y"])),
    ),
    entry("sum of transposes", |t, d| t.c(d).t() + t.x(d).t(), |g, _| t(&add(&g["C"], &g["X"]))),
    entry("multiple", |t, d| 2.5 * t.c(d), |g, _| times(2.5, &g["C"])),
    entry("negative transpose", |t, d| -t.c(d).t(), |g, _| times(-1.0, &t(&g["C"]))),
    entry("1×1 times matrix", |t, d| t.s() * t.c(d), |g, _| times(g["Ps"][(0, 0)], &g["C"])),
    entry("matrix over 1×1", |t, d| t.c(d).t() / t.s(), |g, _| map(&t(&g["C"]), |c| c / g["Ps"][(0, 0)])),
    entry("number plus matrix", |t, d| 2.0 + t.c(d), |g, _| map(&g["C"], |c| 2.0 + c)),
    entry("Hadamard product", |t, d| t.c(d).hadamard(t.x(d)), |g, _| zip(&g["C"], &g["X"], |c, x| c * x)),
    entry("Hadamard square", |t, d| t.c(d).hadamard(t.c(d)), |g, _| map(&g["C"], |c| c * c)),
    entry("quotient", |t, d| t.c(d).quotient(t.p(d)), |g, _| zip(&g["C"], &g["P"], |c, p| c / p)),
    entry(
        "quotient of multiples",
        |t, d| (3.0 * t.c(d)).quotient(-2.0 * t.p(d)),
        |g, _| zip(&g["C"], &g["P"], |c, p| -1.5 * c / p),
    ),
    entry("max", |t, d| t.c(d).max(t.x(d)), |g, _| zip(&g["C"], &g["X"], f64::max)),
    entry("min", |t, d| t.c(d).min(t.x(d)), |g, _| zip(&g["C"], &g["X"], f64::min)),
    entry("atan2", |t, d| t.c(d).atan2(t.x(d)), |g, _| zip(&g["C"], &g["X"], f64::atan2)),
    entry(
        "hypot",
        |t, d| t.c(d).hypot(-3.0 * t.x(d)),
        |g, _| zip(&g["C"], &g["X"], |c, x| (c * c + 9.0 * x * x).sqrt()),
    ),
    entry(
        "less",
        |t, d| t.c(d).less(t.x(d)),
        |g, _| zip(&g["C"], &g["X"], |c, x| if c < x { 1.0 } else { 0.0 }),
    ),
    entry(
        "keep",
        |t, d| t.c(d).keep(t.x(d).step()),
        |g, _| zip(&g["C"], &g["X"], |c, x| if x > 0.0 { c } else { 0.0 }),
    ),
    entry(
        "select",
        |t, d| (2.0 * t.c(d)).select(t.x(d).step(), t.x(d).t().t().square()),
        |g, _| zip(&g["C"], &g["X"], |c, x| if x > 0.0 { 2.0 * c } else { x * x }),
    ),
    entry("ratio", |t, _| t.s() / t.input("Pt", (1, 1)), |g, _| zip(&g["Ps"], &g["Pt"], |s, t| s / t)),
    entry(
        "column added",
        |t, d| t.x(d).add_col(t.input("c", (d.0, 1))),
        |g, _| Mat::from_fn(g["X"].nrows(), g["X"].ncols(), |i, j| g["X"][(i, j)] + g["c"][(i, 0)]),
    ),
    entry(
        "row added",
        |t, d| t.x(d).add_row(t.input("r", (1, d.2))),
        |g, _| Mat::from_fn(g["X"].nrows(), g["X"].ncols(), |i, j| g["X"][(i, j)] + g["r"][(0, j)]),
    ),
    entry(
        "column multiplied",
        |t, d| t.x(d).mul_col(t.input("c", (d.0, 1))),
        |g, _| Mat::from_fn(g["X"].nrows(), g["X"].ncols(), |i, j| g["X"][(i, j)] * g["c"][(i, 0)]),
    ),
    entry(
        "row of another multiplied",
        |t, d| t.x(d).mul_row(-2.0 * t.input("c", (d.2, 1)).t()),
        |g, _| Mat::from_fn(g["X"].nrows(), g["X"].ncols(), |i, j| -2.0 * g["X"][(i, j)] * g["c"][(j, 0)]),
    ),
    entry(
        "repeated column",
        |t, d| t.input("c", (d.0, 1)).repeat_cols(d.2),
        |g, (m, _, n)| Mat::from_fn(m, n, |i, _| g["c"][(i, 0)]),
    ),
    entry(
        "repeated row",
        |t, d| t.input("c", (d.2, 1)).t().repeat_rows(d.0),
        |g, (m, _, n)| Mat::from_fn(m, n, |_, j| g["c"][(j, 0)]),
    ),
    entry("repeated number", |t, d| t.s() * t.ones((d.0, d.2)), |g, (m, _, n)| filled(g["Ps"][(0, 0)], m, n)),
    // products
    product("A B", |t, d| t.a(d) * t.b(d), |g, _| mul(&g["A"], &g["B"])),
    product(
        "Aᵀ B",
        |t, (m, k, n)| t.input("A", (k, m)).t() * t.input("B", (k, n)),
        |g, _| mul(&t(&g["A"]), &g["B"]),
    ),
    product(
        "A Bᵀ",
        |t, (m, k, n)| t.input("A", (m, k)) * t.input("B", (n, k)).t(),
        |g, _| mul(&g["A"], &t(&g["B"])),
    ),
    product(
        "Aᵀ Bᵀ",
        |t, (m, k, n)| t.input("A", (k, m)).t() * t.input("B", (n, k)).t(),
        |g, _| mul(&t(&g["A"]), &t(&g["B"])),
    ),
    product("(A B)ᵀ", |t, d| (t.a(d) * t.b(d)).t(), |g, _| t(&mul(&g["A"], &g["B"]))),
    product("A Aᵀ", |t, d| t.a(d) * t.a(d).t(), |g, _| mul(&g["A"], &t(&g["A"]))),
    product("Aᵀ A", |t, d| t.a(d).t() * t.a(d), |g, _| mul(&t(&g["A"]), &g["A"])),
    product("c A B", |t, d| (0.5 * t.a(d)) * (-3.0 * t.b(d)), |g, _| times(-1.5, &mul(&g["A"], &g["B"]))),
    product("s A B", |t, d| t.a(d) * (t.s() * t.b(d)), |g, _| times(g["Ps"][(0, 0)], &mul(&g["A"], &g["B"]))),
    product(
        "A B Bᵀ Aᵀ",
        |t, d| t.a(d) * t.b(d) * t.b(d).t() * t.a(d).t(),
        |g, _| {
            let product = mul(&g["A"], &g["B"]);
            mul(&product, &t(&product))
        },
    ),
    product("A B + C", |t, d| t.a(d) * t.b(d) + t.c(d), |g, _| add(&mul(&g["A"], &g["B"]), &g["C"])),
    product(
        "C − 2 A B",
        |t, d| t.c(d) - 2.0 * (t.a(d) * t.b(d)),
        |g, _| add(&g["C"], &times(-2.0, &mul(&g["A"], &g["B"]))),
    ),
    product(
        "A B + A exp(B)",
        |t, d| t.a(d) * t.b(d) + t.a(d) * t.b(d).exp(),
        |g, _| add(&mul(&g["A"], &g["B"]), &mul(&g["A"], &map(&g["B"], f64::exp))),
    ),
    product(
        "A B + (Bᵀ Aᵀ exp)ᵀ",
        |t, d| t.a(d) * t.b(d) + (t.b(d).t() * t.a(d).exp().t()).t(),
        |g, _| add(&mul(&g["A"], &g["B"]), &mul(&map(&g["A"], f64::exp), &g["B"])),
    ),
    product(
        "a sum of many products",
        |t, d| {
            let (a, b) = (t.a(d), t.b(d));
            (a * b + 2.0 * (a.sin() * b) - a * b.sin() + t.c(d))
                + (t.x(d) - (a.sin() * b.sin() + 0.5 * (a.exp() * b)))
        },
        |g, _| {
            let (a, b) = (&g["A"], &g["B"]);
            let (sin_a, sin_b) = (map(a, f64::sin), map(b, f64::sin));
            let mut sum = add(&g["C"], &g["X"]);
            for (c, a, b) in [
                (1.0, a, b),
                (2.0, &sin_a, b),
                (-1.0, a, &sin_b),
                (-1.0, &sin_a, &sin_b),
                (-0.5, &map(a, f64::exp), b),
            ] {
                sum = add(&sum, &times(c, &mul(a, b)));
            }
            sum
        },
    ),
    product(
        "a product added to what is read again",
        |t, d| {
            let tanh = t.c(d).tanh();
            (t.a(d) * t.b(d) + tanh).hadamard(tanh)
        },
        |g, _| {
            let tanh = map(&g["C"], f64::tanh);
            zip(&add(&mul(&g["A"], &g["B"]), &tanh), &tanh, |x, y| x * y)
        },
    ),
    product(
        "a product read twice",
        |t, d| {
            let product = t.a(d) * t.b(d);
            (product + t.c(d)).hadamard(product.exp()) - product
        },
        |g, _| {
            let product = mul(&g["A"], &g["B"]);
            zip(&zip(&add(&product, &g["C"]), &product, |x, y| x * y.exp()), &product, |x, y| x - y)
        },
    ),
    product(
        "a product that is entered entry by entry",
        |t, d| (t.a(d) * t.b(d)).t().tanh() - 1.0,
        |g, _| map(&t(&mul(&g["A"], &g["B"])), |x| x.tanh() - 1.0),
    ),
    product(
        "a product with a repeated column",
        |t, d| t.input("c", (d.0, 1)).repeat_cols(d.1) * t.b(d),
        |g, d| mul(&Mat::from_fn(d.0, d.1, |i, _| g["c"][(i, 0)]), &g["B"]),
    ),
    product(
        "a product with a repeated row",
        |t, d| t.a(d) * t.input("r", (1, d.2)).repeat_rows(d.1),
        |g, d| mul(&g["A"], &Mat::from_fn(d.1, d.2, |_, j| g["r"][(0, j)])),
    ),
    product(
        "a product with many ones",
        |t, d| t.a(d) * t.ones((d.1, d.2)),
        |g, d| mul(&g["A"], &filled(1.0, d.1, d.2)),
    ),
    product(
        "many ones in a product",
        |t, d| t.ones((d.0, d.1)) * (2.0 * t.b(d)),
        |g, d| mul(&filled(2.0, d.0, d.1), &g["B"]),
    ),
    product("row sums", |t, d| t.c(d).row_sums(), |g, d| mul(&g["C"], &filled(1.0, d.2, 1))),
    product(
        "column sums of a transpose",
        |t, d| (3.0 * t.c(d).t()).col_sums(),
        |g, d| mul(&filled(3.0, 1, d.2), &t(&g["C"])),
    ),
    product(
        "row means",
        |t, d| t.c(d).row_means(),
        |g, d| map(&mul(&g["C"], &filled(1.0, d.2, 1)), |x| x / d.2 as f64),
    ),
    product(
        "column means",
        |t, d| t.c(d).col_means(),
        |g, d| map(&mul(&filled(1.0, 1, d.0), &g["C"]), |x| x / d.0 as f64),
    ),
    product(
        "centred columns",
        |t, d| t.c(d) - t.c(d).col_sums().repeat_rows(d.0),
        |g, d| add(&g["C"], &times(-1.0, &mul(&filled(1.0, d.0, d.0), &g["C"]))),
    ),
    // reductions
    reduction("sum of all", |t, d| t.c(d).sum(), |g, _| number(sum(&g["C"]))),
    reduction("mean of all", |t, d| t.c(d).mean(), |g, d| number(sum(&g["C"]) / (d.0 as f64 * d.2 as f64))),
    reduction("inner product", |t, d| t.c(d).inner(t.x(d)), |g, _| number(inner(&g["C"], &g["X"]))),
    reduction(
        "inner product with a transpose",
        |t, d @ (m, _, n)| t.c(d).inner(-2.0 * t.input("Y", (n, m)).t()),
        |g, _| number(-2.0 * inner(&g["C"], &t(&g["Y"]))),
    ),
    reduction(
        "inner product with a product",
        |t, d| t.c(d).inner(t.a(d) * t.b(d)),
        |g, _| number(inner(&g["C"], &mul(&g["A"], &g["B"]))),
    ),
    reduction(
        "inner product with a repeated column",
        |t, d| t.c(d).inner(t.input("c", (d.0, 1)).repeat_cols(d.2)),
        |g, d| number(inner(&g["C"], &Mat::from_fn(d.0, d.2, |i, _| g["c"][(i, 0)]))),
    ),
    reduction("squared norm", |t, d| t.c(d).norm_squared(), |g, _| number(inner(&g["C"], &g["C"]))),
    reduction("norm", |t, d| (-2.0 * t.c(d)).t().norm(), |g, _| number(2.0 * inner(&g["C"], &g["C"]).sqrt())),
    square("trace", |t, d| t.d(d).t().trace(), |g, _| number(trace(&g["D"]))),
    square(
        "diagonal",
        |t, d| t.d(d).diagonal(),
        |g, _| Mat::from_fn(g["D"].nrows(), 1, |i, _| g["D"][(i, i)]),
    ),
    square(
        "diagonal of a multiple of a transpose",
        |t, d| (2.0 * t.d(d).t()).diagonal(),
        |g, _| Mat::from_fn(g["D"].nrows(), 1, |i, _| 2.0 * g["D"][(i, i)]),
    ),
    square(
        "diagonal matrix",
        |t, d| (-2.0 * t.d(d).diagonal()).diag(),
        |g, d| Mat::from_fn(d.0, d.0, |i, j| if i == j { -2.0 * g["D"][(i, i)] } else { 0.0 }),
    ),
    square(
        "rows scaled by a diagonal",
        |t, d| 3.0 * t.d(d).diagonal().diag() * t.d(d),
        |g, d| Mat::from_fn(d.0, d.0, |i, j| 3.0 * g["D"][(i, i)] * g["D"][(i, j)]),
    ),
    square(
        "columns scaled by a diagonal, and more",
        |t, d| (t.d(d).t() * t.d(d).diagonal().diag()).tanh() - t.d(d).diagonal().diag(),
        |g, d| {
            Mat::from_fn(d.0, d.0, |i, j| {
                let on_diagonal = if i == j { g["D"][(i, i)] } else { 0.0 };
                (g["D"][(j, i)] * g["D"][(j, j)]).tanh() - on_diagonal
            })
        },
    ),
    reduction(
        "trace of a product",
        |t, d| (2.0 * (t.c(d) * t.x(d).t())).trace(),
        |g, _| number(2.0 * trace(&mul(&g["C"], &t(&g["X"])))),
    ),
    product("log-sum-exp", |t, d| t.c(d).log_sum_exp(), |g, _| log_sum_exp(&g["C"])),
    product(
        "log-sum-exp of a transpose",
        |t, d| (-3.0 * t.c(d).t()).log_sum_exp(),
        |g, _| log_sum_exp(&times(-3.0, &t(&g["C"]))),
    ),
    product("softmax", |t, d| t.c(d).softmax(), |g, _| softmax(&g["C"])),
    product(
        "softmax of a transpose",
        |t, d| (2.0 * t.c(d).t()).softmax(),
        |g, _| softmax(&times(2.0, &t(&g["C"]))),
    ),
    product(
        "softmax of a product",
        |t, d| (t.a(d) * t.b(d)).softmax(),
        |g, _| softmax(&mul(&g["A"], &g["B"])),
    ),
    product("maxima of columns", |t, d| t.c(d).col_maxima(), |g, _| col_maxima(&g["C"])),
    product(
        "maxima of rows",
        |t, d| (-2.0 * t.c(d)).row_maxima(),
        |g, _| t(&col_maxima(&times(-2.0, &t(&g["C"])))),
    ),
    entry(
        "entries where columns are largest",
        |t, d @ (m, _, n)| {
            (-3.0 * t.input("Y", (n, m)).t()).hadamard(t.c(d).col_argmax())
                + t.c(d).col_maxima().repeat_rows(m)
        },
        |g, (m, _, n)| {
            let (at, max) = (col_argmax(&g["C"]), col_maxima(&g["C"]));
            Mat::from_fn(m, n, |i, j| -3.0 * g["Y"][(j, i)] * at[(i, j)] + max[(0, j)])
        },
    ),
    entry(
        "entries where rows are largest",
        |t, d| t.c(d).row_argmax().hadamard(t.x(d)),
        |g, _| zip(&t(&col_argmax(&t(&g["C"]))), &g["X"], |at, x| at * x),
    ),
    product("argmax of columns", |t, d| t.c(d).col_argmax(), |g, _| col_argmax(&g["C"])),
    product(
        "argmax of rows",
        |t, d| (-2.0 * t.c(d)).row_argmax(),
        |g, _| t(&col_argmax(&times(-2.0, &t(&g["C"])))),
    ),
    // the identity
    square("X + I", |t, d| t.d(d) + t.identity(d.0), |g, d| add(&g["D"], &eye(d.0))),
    square("I − X", |t, d| t.identity(d.0) - t.d(d), |g, d| add(&eye(d.0), &times(-1.0, &g["D"]))),
    square(
        "c I − X",
        |t, d| 3.0 * t.identity(d.0) - t.d(d).t(),
        |g, d| add(&times(3.0, &eye(d.0)), &times(-1.0, &t(&g["D"]))),
    ),
    square(
        "X + s I",
        |t, d| t.d(d) + t.s() * t.identity(d.0),
        |g, d| add(&g["D"], &times(g["Ps"][(0, 0)], &eye(d.0))),
    ),
    square(
        "X Xᵀ − c s I",
        |t, d| t.c(d) * t.c(d).t() - 2.0 * (t.s() * t.identity(d.0)),
        |g, d| add(&mul(&g["C"], &t(&g["C"])), &times(-2.0 * g["Ps"][(0, 0)], &eye(d.0))),
    ),
    square("c I", |t, d| -0.5 * t.identity(d.0), |_, d| times(-0.5, &eye(d.0))),
    square("s I", |t, d| t.s() * t.identity(d.0), |g, d| times(g["Ps"][(0, 0)], &eye(d.0))),
    square("c s I", |t, d| 2.0 * (t.s() * t.identity(d.0)), |g, d| times(2.0 * g["Ps"][(0, 0)], &eye(d.0))),
    square(
        "I + s I",
        |t, d| t.identity(d.0) + t.s() * t.identity(d.0),
        |g, d| times(1.0 + g["Ps"][(0, 0)], &eye(d.0)),
    ),
    square("I + 𝟏", |t, d| t.identity(d.0) + 1.0, |_, d| map(&eye(d.0), |x| x + 1.0)),
    square("I ∘ X", |t, d| t.identity(d.0).hadamard(t.d(d)), |g, d| zip(&eye(d.0), &g["D"], |i, x| i * x)),
    square(
        "exp(s I)",
        |t, d| (t.s() * t.identity(d.0)).exp(),
        |g, d| map(&times(g["Ps"][(0, 0)], &eye(d.0)), f64::exp),
    ),
    square("s I X", |t, d| (t.s() * t.identity(d.0)) * t.x(d), |g, _| times(g["Ps"][(0, 0)], &g["X"])),
    square("sum(I)", |t, d| t.identity(d.0).sum(), |_, d| number(d.0 as f64)),
    square("softmax(I)", |t, d| t.identity(d.0).softmax(), |_, d| softmax(&eye(d.0))),
    square("det(2 I)", |t, d| (2.0 * t.identity(d.0)).det(), |_, d| number(2f64.powi(d.0 as i32))),
    square("(2 I)⁻¹ X", |t, d| (2.0 * t.identity(d.0)).solve(t.x(d)), |g, _| times(0.5, &g["X"])),
    square(
        "log det(s I)",
        |t, d| (t.s() * t.identity(d.0)).log_det(),
        |g, d| number(d.0 as f64 * g["Ps"][(0, 0)].ln()),
    ),
    // constants
    entry("exp(0)", |t, d| t.zeros((d.0, d.2)).exp(), |_, d| filled(1.0, d.0, d.2)),
    entry("exp(𝟏)", |t, d| t.ones((d.0, d.2)).exp(), |_, d| filled(1f64.exp(), d.0, d.2)),
    entry("c 𝟏", |t, d| 0.3 * t.ones((d.0, d.2)), |_, d| filled(0.3, d.0, d.2)),
    entry("𝟏 ⊘ X", |t, d| t.ones((d.0, d.2)).quotient(t.p(d)), |g, _| map(&g["P"], f64::recip)),
    entry("softmax(0)", |t, d| t.zeros((d.0, d.2)).softmax(), |_, d| filled(1.0 / d.0 as f64, d.0, d.2)),
    entry(
        "logsumexp(𝟏)",
        |t, d| t.ones((d.0, d.2)).log_sum_exp(),
        |_, d| filled(1.0 + (d.0 as f64).ln(), 1, d.2),
    ),
    entry("a held value", |t, d| (2.0 * t.x(d).t()).stop_gradient(), |g, _| times(2.0, &t(&g["X"]))),
    entry("sin of a literal", |t, _| t.scalar(0.7).sin(), |_, _| number(0.7f64.sin())),
    entry("NaN", |t, d| t.scalar(f64::NAN) * t.ones((d.0, d.2)), |_, d| filled(f64::NAN, d.0, d.2)),
    // factorizations
    solve("expm", |t, d| (0.25 * t.d(d)).expm(), |g, _| expm(&times(0.25, &g["D"]))),
    solve("logm", |t, d| (0.25 * t.d(d)).expm().logm(), |g, _| times(0.25, &g["D"])),
    solve(
        "expm_multiply",
        |t, d| (0.25 * t.d(d)).expm_multiply(t.x(d)),
        |g, _| mul(&expm(&times(0.25, &g["D"])), &g["X"]),
    ),
    solve(
        "derivative of expm",
        |t, d| {
            let (function, a) = (MatrixFunction::Exp, 0.25 * t.d(d));
            t.apply(Op::MatrixFunction { function, order: 1 }, &[a, t.d(d).t() + t.identity(d.0)])
        },
        // A block of exp [A E; 0 A].
        |g, d| {
            let (d, n) = (&g["D"], d.0);
            let block = Mat::from_fn(2 * n, 2 * n, |i, j| match (i / n.max(1), j / n.max(1)) {
                (0, 1) => d[(j - n, i)] + if j == i + n { 1.0 } else { 0.0 },
                (row, col) if row == col => 0.25 * d[(i % n, j % n)],
                _ => 0.0,
            });
            expm(&block).submatrix(0, n, n, n).to_owned()
        },
    ),
    solve("inverse", |t, d| t.d(d).inv(), |g, _| inv(&g["D"])),
    solve("inverse of a multiple", |t, d| (-4.0 * t.d(d)).inv(), |g, _| times(-0.25, &inv(&g["D"]))),
    solve("inverse of a transpose", |t, d| t.d(d).t().inv(), |g, _| t(&inv(&g["D"]))),
    solve("solve", |t, d| t.d(d).solve(t.x(d)), |g, _| mul(&inv(&g["D"]), &g["X"])),
    solve("solve with a transpose", |t, d| t.d(d).t().solve(t.x(d)), |g, _| mul(&t(&inv(&g["D"])), &g["X"])),
    solve(
        "solve for a transpose",
        |t, d| t.d(d).solve(2.0 * t.input("Y", (d.2, d.0)).t()),
        |g, _| times(2.0, &mul(&inv(&g["D"]), &t(&g["Y"]))),
    ),
    solve(
        "solve for a product",
        |t, d| t.d(d).solve(t.a(d) * t.b(d)),
        |g, _| mul(&inv(&g["D"]), &mul(&g["A"], &g["B"])),
    ),
    solve(
        "solve for a repeated column",
        |t, d| t.d(d).solve(t.input("c", (d.0, 1)).repeat_cols(d.2)),
        |g, d| mul(&inv(&g["D"]), &Mat::from_fn(d.0, d.2, |i, _| g["c"][(i, 0)])),
    ),
    solve("least squares, square", |t, d| t.d(d).least_squares(t.x(d)), |g, _| mul(&inv(&g["D"]), &g["X"])),
    solve("solve_lower", |t, d| t.d(d).solve_lower(t.x(d)), |g, _| mul(&inv(&lower(&g["D"])), &g["X"])),
    solve(
        "solve_upper",
        |t, d| t.d(d).solve_upper(t.x(d)),
        |g, _| mul(&inv(&t(&lower(&t(&g["D"])))), &g["X"]),
    ),
    solve(
        "solve_unit_lower",
        |t, d| t.d(d).solve_unit_lower(t.x(d)),
        |g, _| mul(&inv(&unit(&lower(&g["D"]))), &g["X"]),
    ),
    solve(
        "solve_unit_upper",
        |t, d| t.d(d).solve_unit_upper(t.x(d)),
        |g, _| mul(&inv(&unit(&t(&lower(&t(&g["D"]))))), &g["X"]),
    ),
    solve(
        "solve_upper with a multiple of a transpose, for a product",
        |t, d| (-2.0 * t.d(d)).t().solve_upper(t.a(d) * t.b(d)),
        |g, _| times(-0.5, &mul(&inv(&t(&lower(&g["D"]))), &mul(&g["A"], &g["B"]))),
    ),
    solve(
        "solve_unit_lower with a multiple, for a transpose that is read again",
        |t, d| {
            let y = t.input("Y", (d.2, d.0)).sin();
            (2.0 * t.d(d)).solve_unit_lower(y.t()) + y.t()
        },
        |g, _| {
            let y = t(&map(&g["Y"], f64::sin));
            add(&mul(&inv(&unit(&times(2.0, &lower(&g["D"])))), &y), &y)
        },
    ),
    solve(
        "solve_lower with ones",
        |t, d| t.ones((d.0, d.0)).solve_lower(t.x(d)),
        |g, d| mul(&inv(&lower(&filled(1.0, d.0, d.0))), &g["X"]),
    ),
    solve(
        "cholesky",
        |t, d| (t.d(d) * t.d(d).t() + t.identity(d.0)).cholesky(),
        |g, d| cholesky(&add(&mul(&g["D"], &t(&g["D"])), &eye(d.0))),
    ),
    solve(
        "cholesky of a symmetric part",
        |t, d| (3.0 * (t.d(d).hadamard(t.d(d)).symmetrize() + t.identity(d.0))).cholesky(),
        |g, d| {
            let a = zip(&g["D"], &g["D"], |x, y| x * y);
            cholesky(&times(3.0, &add(&times(0.5, &add(&a, &t(&a))), &eye(d.0))))
        },
    ),
    solve(
        "cholesky, transposed",
        |t, d| (t.d(d).t() * t.d(d) + t.identity(d.0)).cholesky().t() * t.x(d),
        |g, d| mul(&t(&cholesky(&add(&mul(&t(&g["D"]), &g["D"]), &eye(d.0)))), &g["X"]),
    ),
    solve(
        "solve twice",
        |t, d| t.d(d).solve(t.d(d).t().solve(t.x(d))),
        |g, _| mul(&mul(&inv(&g["D"]), &t(&inv(&g["D"]))), &g["X"]),
    ),
    solve(
        "solve for what is read again",
        |t, d| {
            let exp = t.x(d).exp();
            t.d(d).solve(exp) - exp
        },
        |g, _| {
            let exp = map(&g["X"], f64::exp);
            add(&mul(&inv(&g["D"]), &exp), &times(-1.0, &exp))
        },
    ),
    solve(
        "solve with a sum",
        |t, d| (t.d(d) * t.d(d).t() + t.identity(d.0)).solve(t.x(d)),
        |g, d| mul(&inv(&add(&mul(&g["D"], &t(&g["D"])), &eye(d.0))), &g["X"]),
    ),
    // matrix equations, of which a solution is known
    solve(
        "sylvester",
        |t, d| {
            let (a, b, x) = (squared(t, "D", d.0), squared(t, "DB", d.2), t.x(d));
            a.sylvester(b, a * x + x * b)
        },
        |g, _| g["X"].clone(),
    ),
    solve(
        "sylvester with transposes and multiples",
        |t, d| {
            let (a, b, x) = (2.0 * squared(t, "D", d.0).t(), squared(t, "DB", d.2).t(), t.x(d));
            -(a.sylvester(b, a * x + x * b).t())
        },
        |g, _| times(-1.0, &t(&g["X"])),
    ),
    solve(
        "sylvester with ones",
        |t, d| {
            let (a, b, x) = (squared(t, "D", d.0), t.ones((d.2, d.2)), t.x(d));
            a.sylvester(b, a * x + x * b)
        },
        |g, _| g["X"].clone(),
    ),
    solve(
        "lyapunov",
        |t, d| {
            let (a, x) = (squared(t, "D", d.0), t.input("DX", (d.0, d.0)).symmetrize());
            a.lyapunov(a * x + x * a.t())
        },
        |g, _| times(0.5, &add(&g["DX"], &t(&g["DX"]))),
    ),
    solve(
        "stein",
        |t, d| {
            let (a, b, x) = (0.05 * squared(t, "D", d.0), 0.05 * squared(t, "DB", d.2), t.x(d));
            a.stein(b, x - a * x * b)
        },
        |g, _| g["X"].clone(),
    ),
    solve(
        "discrete lyapunov",
        |t, d| {
            let (a, x) = (0.05 * squared(t, "D", d.0), t.input("DX", (d.0, d.0)));
            a.discrete_lyapunov(x - a * x * a.t())
        },
        |g, _| g["DX"].clone(),
    ),
    solve(
        "square root",
        |t, d| (squared(t, "D", d.0) * squared(t, "D", d.0)).sqrtm(),
        |g, _| zip(&g["D"], &g["D"], |x, y| x * y),
    ),
    solve(
        "square root of a transpose, multiplied",
        |t, d| 3.0 * ((squared(t, "D", d.0) * squared(t, "D", d.0)).t().sqrtm() * t.x(d)),
        |g, _| times(3.0, &mul(&t(&zip(&g["D"], &g["D"], |x, y| x * y)), &g["X"])),
    ),
    solve(
        "sign",
        |t, d| (t.d(d) * alternating(t, d.0, 1.5) * t.d(d).inv()).signm(),
        |g, (m, _, _)| {
            let signs = Mat::from_fn(m, m, |i, j| if i == j { sign(i) } else { 0.0 });
            mul(&mul(&g["D"], &signs), &inv(&g["D"]))
        },
    ),
    solve("determinant", |t, d| t.d(d).det(), |g, _| number(det(&g["D"]))),
    solve("determinant of a negative", |t, d| (-t.d(d)).t().det(), |g, d| number(sign(d.0) * det(&g["D"]))),
    solve(
        "determinant of reversed rows",
        |t, d| t.input("reversed D", (d.0, d.0)).det(),
        |g, _| number(det(&g["reversed D"])),
    ),
    solve("adjugate", |t, d| t.d(d).adjugate(), |g, _| adjugate(&g["D"])),
    solve(
        "adjugate of a multiple of a transpose",
        |t, d| (-0.5 * t.d(d)).t().adjugate(),
        |g, _| t(&adjugate(&times(-0.5, &g["D"]))),
    ),
    solve(
        "log-determinant",
        |t, d| (0.5 * t.d(d)).t().log_det(),
        |g, _| number(det(&times(0.5, &g["D"])).abs().ln()),
    ),
    solve(
        "determinants and solves together",
        |t, d| {
            let (k, x) = (t.d(d), t.x(d));
            k.det() * k.solve(x) + k.log_det() * (k.inv() * x)
        },
        |g, _| {
            let det = det(&g["D"]);
            times(det + det.abs().ln(), &mul(&inv(&g["D"]), &g["X"]))
        },
    ),
    // opaque functions: L is the sum of cubes
    reduction("L(C)", |t, d| t.function("L", t.c(d)), |g, _| number(sum(&map(&g["C"], |c| c * c * c)))),
    reduction(
        "L(2 A B)",
        |t, d| t.function("L", 2.0 * (t.a(d) * t.b(d))),
        |g, _| number(sum(&map(&mul(&g["A"], &g["B"]), |x| 8.0 * x * x * x))),
    ),
    entry("∇L(Cᵀ)", |t, d| opaque(t.c(d).t(), 1, &[t.c(d).t()]), |g, _| map(&t(&g["C"]), |c| 3.0 * c * c)),
    entry(
        "∇²L(C)[X]",
        |t, d| opaque(t.c(d), 2, &[t.c(d), t.x(d)]),
        |g, _| zip(&g["C"], &g["X"], |c, x| 6.0 * c * x),
    ),
    entry(
        "∇²L(C)[−2 X]",
        |t, d| opaque(t.c(d), 2, &[t.c(d), -2.0 * t.x(d)]),
        |g, _| zip(&g["C"], &g["X"], |c, x| -12.0 * c * x),
    ),
    // long chains of operations
    chain(
        "a chain of 40 operations",
        |t, d| {
            (0..10).fold(t.c(d), |y, k| {
                ((0.5 * y).sin() + t.x(d)).tanh().hadamard(t.p(d)) - 0.1 * f64::from(k) * t.x(d)
            })
        },
        |g, _| {
            (0..10).fold(g["C"].clone(), |y, k| {
                Mat::from_fn(y.nrows(), y.ncols(), |i, j| {
                    let x = g["X"][(i, j)];
                    ((0.5 * y[(i, j)]).sin() + x).tanh() * g["P"][(i, j)] - 0.1 * f64::from(k) * x
                })
            })
        },
    ),
    chain(
        "a chain whose parts are read again",
        |t, d| (0..16).fold(t.c(d), |y, _| (y.sin() + y.cos().hadamard(t.x(d))).tanh() + y),
        |g, _| {
            (0..16).fold(g["C"].clone(), |y, _| {
                Mat::from_fn(y.nrows(), y.ncols(), |i, j| {
                    let y = y[(i, j)];
                    (y.sin() + y.cos() * g["X"][(i, j)]).tanh() + y
                })
            })
        },
    ),
    chain(
        "a chain that mixes transposes, rows and columns",
        |t, d @ (m, _, n)| {
            let (r, c) = (t.input("r", (1, n)), t.input("c", (m, 1)));
            let y = (t.c(d).add_row(r).mul_col(c) + t.input("Y", (n, m)).t().exp())
                .quotient(t.p(d).add_col(c.square()));
            (y.t() + t.x(d).t().mul_row(c.t())).hadamard(t.input("Y", (n, m))) - 2.0
        },
        |g, (m, _, n)| {
            Mat::from_fn(n, m, |j, i| {
                let (r, c, y, p) = (g["r"][(0, j)], g["c"][(i, 0)], g["Y"][(j, i)], g["P"][(i, j)]);
                (((g["C"][(i, j)] + r) * c + y.exp()) / (p + c * c) + g["X"][(i, j)] * c) * y - 2.0
            })
        },
    ),
];

#[test]
fn every_case() {
    let failures: Vec<_> = CASES
        .iter()
        .flat_map(|case| {
            let build: Build<'_> = &|tape, dims| vec![(case.build)(tape, dims)];
            verify_both(
                case.name,
                case.shapes,
                build,
                &|given, dims| vec![(case.value)(given, dims)],
                &|dims| case.ulps * ((case.terms)(dims) as f64).sqrt(),
            )
        })
        .collect();
    assert_none(&failures);
}

/// A name for an op that does not depend on its parameters.
fn key(op: Op) -> String {
    match op {
        Op::Opaque { order, .. } => format!("function of order {order}"),
        op => op.name().to_owned(),
    }
}

#[test]
fn every_op_has_a_case() {
    let tape = Tape::new();
    let Some(Op::Input(name)) = tape.input("X", (1, 1)).node().map(|node| node.op) else {
        panic!("no input")
    };
    // A symbol has no value; functions are tested below, and decompositions elsewhere by their properties. Operations of one's
    // own bring their kernels along.
    let elsewhere = |op: &Op| {
        matches!(op, Op::Factor(_) | Op::Spectral(_) | Op::SymmetricFunction { .. } | Op::Custom(_))
    };
    let with_value = |op: &Op| !matches!(op, Op::Symbol(_) | Op::Map(_)) && !elsewhere(op);
    let mut wanted: BTreeSet<String> = Op::all(name).into_iter().filter(with_value).map(key).collect();
    for case in CASES {
        for &dims in case.shapes {
            let tape = Tape::new();
            if let Some(node) = (case.build)(&tape, dims).node() {
                wanted.remove(&key(node.op));
            }
        }
    }
    assert!(wanted.is_empty(), "no case computes {wanted:?}");
}

/// Every extent on either side of the widths at which kernels change, in every combination of transposes, scaled
/// and added to a sum.
#[test]
fn products_of_all_sizes() {
    const EXTENTS: [usize; 14] = [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 33];
    let all = EXTENTS
        .iter()
        .flat_map(|&m| EXTENTS.iter().flat_map(move |&k| EXTENTS.iter().map(move |&n| (m, k, n))));
    let mut failures = Vec::new();
    for (i, dims @ (m, k, n)) in all.enumerate() {
        let build: Build<'_> = &|t, d| {
            let (a, b, c) = (t.a(d), t.b(d), t.c(d));
            let (a_t, b_t) = (t.input("U", (k, m)).t(), t.input("V", (n, k)).t());
            vec![a * b, a_t * b, a * b_t, 0.5 * (a_t * b_t), c - a * b, c.exp() + 3.0 * (a_t * b) - a * b_t]
        };
        let value: Value<'_> = &|g, _| {
            let (a, b, c, a_t, b_t) = (&g["A"], &g["B"], &g["C"], t(&g["U"]), t(&g["V"]));
            let sum = add(&map(c, f64::exp), &times(3.0, &mul(&a_t, b)));
            vec![
                mul(a, b),
                mul(&a_t, b),
                mul(a, &b_t),
                times(0.5, &mul(&a_t, &b_t)),
                add(c, &times(-1.0, &mul(a, b))),
                add(&sum, &times(-1.0, &mul(a, &b_t))),
            ]
        };
        let ulps: Ulps<'_> = &|(_, k, _)| 8.0 * (1.0 + k as f64).sqrt();
        let layouts = [0, 1, 2].map(|k| LAYOUTS[(3 * k + i) % LAYOUTS.len()]);
        failures.extend(verify::<f64>("product", &[dims], &layouts, build, value, ulps));
        failures.extend(verify::<f32>("product", &[dims], &layouts, build, value, ulps));
    }
    assert_none(&failures);
}

/// Triangles of products, alone and mirrored, of triangular factors too, above and below the order from which half is less.
#[test]
fn triangles_of_products() {
    let dims =
        [(7, 20, 7), (31, 16, 31), (32, 15, 32), (32, 16, 32), (33, 40, 33), (70, 33, 70), (48, 48, 48)];
    let mut failures = Vec::new();
    for (i, dims @ (m, k, _)) in dims.into_iter().enumerate() {
        let build: Build<'_> = &|t, d| {
            let product = |i: usize| {
                let (u, v) = (t.input(&format!("U{i}"), (m, k)), t.input(&format!("V{i}"), (k, m)));
                u * v
            };
            let turned = t.input("Ut", (k, m)).t() * t.input("Vt", (m, k)).t();
            let (p, q, c) = (product(4), product(5), t.c(d));
            let mut all = vec![
                product(0).tril(),
                -2.0 * product(1).triu(),
                product(2).strict_tril().t(),
                product(3).strict_triu(),
                p.tril() + p.strict_tril().t(),
                -0.5 * (q.triu().t() + q.strict_triu()),
                c.strict_tril() + c.tril().t(),
                turned.tril(),
            ];
            if k == m {
                let (l, r) = (t.input("L", (m, m)).tril(), t.input("R", (m, m)).strict_triu());
                all.extend([
                    (l * product(6)).triu(),
                    (l.t() * t.c(d)).tril(),
                    (t.c(d) * r).tril(),
                    (r * l).strict_triu(),
                    (l * l).tril(),
                ]);
            }
            all
        };
        let value: Value<'_> = &|g, _| {
            let product = |i: usize| mul(&g[format!("U{i}").as_str()], &g[format!("V{i}").as_str()]);
            let part = |a: &Mat<f64>, inside: fn(usize, usize) -> bool| {
                Mat::from_fn(a.nrows(), a.ncols(), |i, j| if inside(i, j) { a[(i, j)] } else { 0.0 })
            };
            let mirrored = |a: &Mat<f64>| Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i.max(j), i.min(j))]);
            let turned = mul(&t(&g["Ut"]), &t(&g["Vt"]));
            let mut all = vec![
                lower(&product(0)),
                times(-2.0, &part(&product(1), |i, j| i <= j)),
                t(&part(&product(2), |i, j| i > j)),
                part(&product(3), |i, j| i < j),
                mirrored(&product(4)),
                times(-0.5, &mirrored(&t(&product(5)))),
                mirrored(&g["C"]),
                lower(&turned),
            ];
            if k == m {
                let (l, r, c) = (lower(&g["L"]), part(&g["R"], |i, j| i < j), &g["C"]);
                all.extend([
                    part(&mul(&l, &product(6)), |i, j| i <= j),
                    lower(&mul(&t(&l), c)),
                    lower(&mul(c, &r)),
                    part(&mul(&r, &l), |i, j| i < j),
                    lower(&mul(&l, &l)),
                ]);
            }
            all
        };
        let ulps: Ulps<'_> = &|(_, k, _)| 16.0 * (1.0 + k as f64);
        let layouts = [0, 1, 2].map(|k| LAYOUTS[(3 * k + i) % LAYOUTS.len()]);
        failures.extend(verify::<f64>("triangle", &[dims], &layouts, build, value, ulps));
        failures.extend(verify::<f32>("triangle", &[dims], &layouts, build, value, ulps));
    }
    assert_none(&failures);
}

/// What is outside of a triangle is 0, whatever stands in the place of the factors' zeros.
#[test]
fn nothing_outside_of_a_triangle_is_read() {
    let tape = Tape::new();
    let n = 40;
    let (a, c) = (tape.input("A", (n, n)), tape.input("C", (n, n)));
    let l = a.tril();
    let mut program = Program::<f64>::compile(&[(l.t() * c).tril(), (l.t() * (2.0 * c)).t().triu()]).unwrap();
    let lines: Vec<String> = program.plan().iter().map(|line| line.kernel().to_owned()).collect();
    assert!(lines.contains(&"triangle of product".to_owned()), "{lines:?}");
    let matrix =
        |outside| Mat::from_fn(n, n, |i, j| if i >= j { ((3 * i + 5 * j) as f64).sin() } else { outside });
    let run = |program: &mut Program<f64>, outside| {
        let m = matrix(outside);
        let results = program.run(&[("A", m.as_ref()), ("C", m.as_ref())]).unwrap();
        results.iter().map(|matrix| matrix.to_owned()).collect::<Vec<_>>()
    };
    let wanted = run(&mut program, 0.0);
    assert_eq!(run(&mut program, f64::NAN), wanted);
}

/// The transpose of a matrix, or the matrix itself.
fn seen(matrix: &Mat<f64>, transposed: bool) -> Mat<f64> {
    if transposed { t(matrix) } else { matrix.clone() }
}

fn infinite_and_nan_entries<T: Scalar>() {
    for (m, k, n) in (1..=17).flat_map(|m| (1..=17).map(move |k| (m, k, (5 * m + 3 * k) % 17 + 1))) {
        let special = |rows: usize, cols: usize, at: usize, x: f64| {
            let mut matrix = matrix::<f64>("A", rows, cols);
            matrix[(at % rows, at % cols)] = x;
            matrix
        };
        let (a, b) = (special(m, k, m + n, f64::INFINITY), special(k, n, k + 2 * n, f64::NAN));
        let wanted = mul(&a, &b);
        for (a_transposed, b_transposed) in [(false, false), (true, false), (false, true), (true, true)] {
            let (a, b) = (seen(&a, a_transposed), seen(&b, b_transposed));
            let tape = Tape::new();
            let var = |name, matrix: &Mat<f64>, transposed| {
                let var = tape.input(name, matrix.shape());
                if transposed { var.t() } else { var }
            };
            let product = var("A", &a, a_transposed) * var("B", &b, b_transposed);
            let mut program = Program::<T>::compile(&[product]).unwrap();
            let number = |matrix: &Mat<f64>| {
                Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| T::from_f64(matrix[(i, j)]))
            };
            let (a, b) = (number(&a), number(&b));
            let [got] = program.run(&[("A", a.as_ref()), ("B", b.as_ref())]).unwrap().matrices().unwrap();
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let (got, wanted) = (got[(i, j)].to_f64(), wanted[(i, j)]);
                let same = got == wanted || got.is_nan() && wanted.is_nan();
                assert!(
                    same || wanted.is_finite() && got.is_finite(),
                    "{m}×{k}×{n} at ({i}, {j}): {got}, not {wanted}"
                );
            }
        }
    }
}

/// An infinite or NaN entry shows in the entries that depend on it, and in no others.
#[test]
fn products_of_infinite_and_nan_entries() {
    infinite_and_nan_entries::<f64>();
    infinite_and_nan_entries::<f32>();
}

/// Writing into the caller's matrices gives the same bits as reading what was computed here.
#[test]
fn products_have_the_same_bits_wherever_they_go() {
    for (m, k, n) in (1..=17).flat_map(|m| (1..=17).map(move |k| (m, k, (5 * m + 3 * k) % 17 + 1))) {
        let tape = Tape::new();
        let (a, b) = (tape.input("A", (m, k)), tape.input("B", (k, n)));
        let outputs = [a * b, 2.0 * (b.t() * b), (a * b).sin() + 3.0 * (a * b)];
        let mut program = Program::<f64>::compile(&outputs).unwrap();
        let (a, b) = (matrix::<f64>("A", m, k), matrix::<f64>("B", k, n));
        let inputs = [("A", a.as_ref()), ("B", b.as_ref())];
        let read: Vec<_> = program.run(&inputs).unwrap().iter().map(|x| x.to_owned()).collect();
        let mut written: Vec<_> = read.iter().map(|x| Mat::<f64>::zeros(x.nrows(), x.ncols())).collect();
        let mut places: Vec<_> = written.iter_mut().map(Mat::as_mut).collect();
        program.run_into(&inputs, &mut places).unwrap();
        assert_eq!(read, written, "{m}×{k}×{n}");
    }
}

/// Small products, passes and sums, however they run: the results read where they are or written into matrices of every
/// layout, with and without a look at every entry.
fn small_programs_have_the_same_bits<T: Scalar>() {
    const EXTENTS: [usize; 8] = [1, 2, 3, 4, 5, 8, 13, 16];
    for (m, k, n) in EXTENTS
        .iter()
        .flat_map(|&m| EXTENTS.iter().flat_map(move |&k| EXTENTS.iter().map(move |&n| (m, k, n))))
    {
        let tape = Tape::new();
        let (a, b, c) = (tape.input("A", (m, k)), tape.input("B", (k, n)), tape.input("C", (m, n)));
        let (product, residual) = (a * b, a * b - c);
        let outputs = [
            product.t(),
            residual,
            0.5 * (residual * b.t()),
            (a.t() * residual).t(),
            residual.norm_squared(),
            a.row_sums(),
            residual.t() * a.row_sums() + b.col_sums().t(),
            c.tanh(),
            in_middle(residual).t(),
            a.slice(inside(m), inside(k)) * b.slice(inside(k), ..),
            (residual.slice(inside(m), ..) * b.slice(k - 1.., ..).t()).t(),
            tape.stack_cols(&[residual, c.exp()]),
        ];
        let mut program = Program::<T>::compile(&outputs).unwrap();
        let (a, b, c) = (matrix::<T>("A", m, k), matrix::<T>("B", k, n), matrix::<T>("C", m, n));
        for layout in LAYOUTS {
            let laid = [&a, &b, &c].map(|matrix| Laid::new(matrix, layout));
            let inputs = [("A", laid[0].view()), ("B", laid[1].view()), ("C", laid[2].view())];
            program.check_finite(false);
            let read: Vec<_> = program.run(&inputs).unwrap().iter().map(|x| x.to_owned()).collect();
            let profiled = program.profile(&inputs, 1).unwrap();
            assert!(profiled.results().iter().eq(&read), "{m}×{k}×{n} {layout:?} profiled");
            for check in [false, true] {
                program.check_finite(check);
                let again: Vec<_> = program.run(&inputs).unwrap().iter().map(|x| x.to_owned()).collect();
                assert_eq!(read, again, "{m}×{k}×{n} {layout:?} read, {check}");
                let mut written: Vec<_> = read
                    .iter()
                    .enumerate()
                    .map(|(i, x)| Laid::new(&Mat::zeros(x.nrows(), x.ncols()), LAYOUTS[i % 7]))
                    .collect();
                let mut places: Vec<_> = written.iter_mut().filter_map(Laid::view_mut).collect();
                program.run_into(&inputs, &mut places).unwrap();
                let written: Vec<_> = written.iter().map(|laid| laid.view().to_owned()).collect();
                assert_eq!(read, written, "{m}×{k}×{n} {layout:?} written, {check}");
            }
        }
    }
}

#[test]
fn small_programs_have_the_same_bits_however_they_run() {
    small_programs_have_the_same_bits::<f64>();
    small_programs_have_the_same_bits::<f32>();
}

// ---- outputs ---------------------------------------------------------------------------------------------

#[test]
fn outputs_of_all_kinds_at_once() {
    let ulps: Ulps<'_> = &|_| 64.0;
    let build: Build<'_> = &|t, d @ (m, _, n)| {
        let (a, b, c, x) = (t.a(d), t.b(d), t.c(d), t.x(d));
        let (product, chain) = (a * b, (c + x).tanh());
        vec![
            c,
            c.t(),
            c,
            product,
            product.t(),
            2.0 * product,
            product,
            chain,
            -chain.t(),
            chain + product,
            t.ones((m, n)),
            t.zeros((n, m)),
            t.identity(m),
            t.scalar(3.0),
            t.input("c", (m, 1)).repeat_cols(n),
            t.input("c", (m, 1)).repeat_cols(n).t(),
            x.row_sums(),
            x.row_sums().t(),
            c.t(),
            a.t() * product,
        ]
    };
    let value: Value<'_> = &|g, (m, _, n)| {
        let (a, b, c, x) = (&g["A"], &g["B"], &g["C"], &g["X"]);
        let (product, chain) = (mul(a, b), zip(c, x, |c, x| (c + x).tanh()));
        let repeated = Mat::from_fn(m, n, |i, _| g["c"][(i, 0)]);
        let sums = mul(x, &filled(1.0, n, 1));
        vec![
            c.clone(),
            t(c),
            c.clone(),
            product.clone(),
            t(&product),
            times(2.0, &product),
            product.clone(),
            chain.clone(),
            times(-1.0, &t(&chain)),
            add(&chain, &product),
            filled(1.0, m, n),
            filled(0.0, n, m),
            eye(m),
            number(3.0),
            repeated.clone(),
            t(&repeated),
            sums.clone(),
            t(&sums),
            t(c),
            mul(&t(a), &product),
        ]
    };
    assert_none(&verify_both("all kinds", SHAPES, build, value, ulps));
    // Each of them alone, and each pair, so that every one is once written into the caller's matrix.
    for i in 0..20 {
        let one: Build<'_> = &|t, d| vec![build(t, d)[i]];
        assert_none(&verify_both("one kind", SHAPES, one, &|g, d| vec![value(g, d)[i].clone()], ulps));
        let next = (i + 1) % 20;
        let pair: Build<'_> = &|t, d| {
            let all = build(t, d);
            vec![all[i], all[next]]
        };
        let wanted = |g: &Given, d| {
            let all = value(g, d);
            vec![all[i].clone(), all[next].clone()]
        };
        assert_none(&verify_both("a pair", SHAPES, pair, &wanted, ulps));
    }
}

#[test]
fn no_output_at_all() {
    let mut program = Program::<f64>::compile(&[]).unwrap();
    assert!(program.run(&[]).unwrap().is_empty());
    program.run_into(&[], &mut []).unwrap();
}

// ---- functions -------------------------------------------------------------------------------------------

/// The function in `f64`, to a few units in the last place.
fn reference(f: Function, x: f64) -> f64 {
    match f {
        Function::Exp => x.exp(),
        Function::Ln => x.ln(),
        Function::Ln1p => x.ln_1p(),
        Function::Sqrt => x.sqrt(),
        Function::Square => x * x,
        Function::Powf(p) => x.powf(p.value()),
        Function::Recip => x.recip(),
        Function::PseudoRecip if x == 0.0 => 0.0,
        Function::PseudoRecip => x.recip(),
        Function::Abs => x.abs(),
        Function::Sign if x == 0.0 => 0.0,
        Function::Sign => x.signum(),
        Function::Tanh => x.tanh(),
        // For large x, e⁻ˣ is lost in the denominator; for small x, nothing is subtracted.
        Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        // ln(1 + eˣ) without overflow, and without loss where eˣ is small.
        Function::Softplus if x > 40.0 => x,
        Function::Softplus => x.exp().ln_1p(),
        Function::Sin => x.sin(),
        Function::Cos => x.cos(),
        Function::Relu => x.max(0.0),
        Function::Step => f64::from(u8::from(x > 0.0)),
        Function::Clamp(low, high) => x.clamp(low.value(), high.value()),
        Function::Inside(low, high) => f64::from(u8::from(low.value() <= x && x <= high.value())),
        // cosh x − 1 = 2 sinh²(x/2)
        Function::LogCosh if x.abs() > 20.0 => x.abs() - std::f64::consts::LN_2,
        Function::LogCosh => (2.0 * (0.5 * x).sinh().powi(2)).ln_1p(),
        Function::ExpM1 => x.exp_m1(),
        Function::Log2 => x.log2(),
        Function::Log10 => x.log10(),
        Function::Cbrt => x.cbrt(),
        Function::Tan => x.tan(),
        Function::Asin => x.asin(),
        Function::Acos => x.acos(),
        Function::Atan => x.atan(),
        Function::Sinh => x.sinh(),
        Function::Cosh => x.cosh(),
        Function::Asinh => libm::asinh(x),
        Function::Acosh if x < 1.0 => f64::NAN,
        Function::Acosh => libm::acosh(x),
        Function::Atanh => libm::atanh(x),
        Function::Erf => libm::erf(x),
        Function::Erfc => libm::erfc(x),
        Function::LnGamma => libm::lgamma(x),
        Function::Polygamma(_) => f64::NAN,
    }
}

/// Numbers of all sizes and both signs, with what is special.
fn samples() -> Vec<f64> {
    let sizes = [1e-300, 1e-40, 1e-20, 1e-9, 1e-5, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.999, 1.0, 1.3, 2.0, 5.0, 17.0];
    let sizes = sizes.into_iter().chain([30.0, 88.0, 100.0, 700.0, 1000.0, 1e5, 1e10]);
    let mut samples: Vec<f64> = sizes.flat_map(|x| [x, -x]).collect();
    samples.extend((0..500).map(|k| 0.041 * f64::from(k) - 10.0));
    samples.extend([0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
    samples
}

/// A function of every sample, once by itself and once behind another step.
fn values<T: Scalar>(f: Function, samples: &[T]) -> Vec<T> {
    let tape = Tape::new();
    let x = tape.input("X", (samples.len(), 1));
    let mut program = Program::<T>::compile(&[x.map(f), (x.t() - 0.0).map(f) * 1.0]).unwrap();
    let at = Mat::from_fn(samples.len(), 1, |i, _| samples[i]);
    let run = program.run(&[("X", at.as_ref())]).unwrap();
    let [column, row] = run.matrices().unwrap();
    (0..samples.len())
        .map(|i| {
            let (a, b): (T, T) = (column[(i, 0)], row[(0, i)]);
            assert!(a == b || a.to_f64().is_nan() && b.to_f64().is_nan(), "{f:?}: {a} {b}");
            a
        })
        .collect()
}

fn assert_accurate<T: Scalar>(ulps: f64) {
    // The derivatives of ln Γ have tests of their own.
    for f in Function::all().into_iter().filter(|f| !matches!(f, Function::Polygamma(_))) {
        let samples: Vec<T> = samples().into_iter().map(T::from_f64).collect();
        for (x, got) in samples.iter().zip(values(f, &samples)) {
            // NaN passes through everything but x⁰.
            let x = x.to_f64();
            let wanted = if x.is_nan() { f64::NAN } else { reference(f, x) };
            // What the type can hold.
            let wanted = T::from_f64(wanted).to_f64();
            let got = got.to_f64();
            let smallest =
                if T::EPSILON.to_f64() > 1e-10 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
            let error = (got - wanted).abs() / (T::EPSILON.to_f64() * wanted.abs().max(smallest));
            let same = got == wanted || got.is_nan() && wanted.is_nan();
            assert!(same || error <= ulps, "{f:?} of {x}: {got} instead of {wanted}, {error} ulps");
        }
    }
}

#[test]
fn functions_in_f32_are_those_in_f64() {
    assert_accurate::<f32>(4.0);
}

#[test]
fn functions_in_f64() {
    assert_accurate::<f64>(4.0);
}

/// Where the formula that comes to mind overflows or cancels.
#[test]
fn functions_at_their_limits() {
    let at = |f: Function, x: f64| values(f, &[x])[0];
    let close = |x: f64, y: f64| (x - y).abs() <= 4.0 * f64::EPSILON * y.abs();
    // log cosh x = x²/2 − x⁴/12 + …
    for x in [1e-150f64, 1e-10, 1e-5, -1e-5] {
        let series = x * x / 2.0 - x.powi(4) / 12.0;
        assert!(close(at(Function::LogCosh, x), series), "{x}");
    }
    assert_eq!(at(Function::LogCosh, -1000.0), 1000.0 - std::f64::consts::LN_2);
    assert_eq!((at(Function::Softplus, 1000.0), at(Function::Softplus, -1000.0)), (1000.0, 0.0));
    assert_eq!((at(Function::Sigmoid, 1000.0), at(Function::Sigmoid, -1000.0)), (1.0, 0.0));
    // σ(x) = eˣ to the last place, long before it underflows.
    assert!(close(at(Function::Sigmoid, -700.0), (-700f64).exp()));
    assert!(close(at(Function::Softplus, -700.0), (-700f64).exp()));
    assert_eq!(at(Function::Ln1p, 1e-20), 1e-20);
    assert_eq!((at(Function::PseudoRecip, 0.0), at(Function::PseudoRecip, -0.0)), (0.0, 0.0));
    assert_eq!(at(Function::Powf(Literal::new(1.5)), 4.0), 8.0);
}

/// What is special: ties, zeros, infinite entries, and NaN.
#[test]
fn pairs_at_their_limits() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let of = |f: fn(Var<'static>, Var<'static>) -> Var<'static>, a: f64, b: f64| {
        let tape: &'static Tape = Box::leak(Box::new(Tape::new()));
        let (x, y) = (tape.input("x", (1, 1)), tape.input("y", (1, 1)));
        let mut program = Program::<f64>::compile(&[f(x, y)]).unwrap();
        let (a, b) = (Mat::full(1, 1, a), Mat::full(1, 1, b));
        program.run(&[("x", a.as_ref()), ("y", b.as_ref())]).unwrap().get(0).unwrap()[(0, 0)]
    };
    for f in [Var::max, Var::min, Var::atan2, Var::hypot, Var::less] {
        assert!(of(f, nan, 1.0).is_nan() && of(f, 1.0, nan).is_nan() && of(f, inf, nan).is_nan());
    }
    assert_eq!((of(Var::max, -inf, 2.0), of(Var::min, inf, 2.0)), (2.0, 2.0));
    assert!((of(Var::hypot, 3e200, 4e200) / 5e200 - 1.0).abs() < 4.0 * f64::EPSILON);
    assert_eq!(of(Var::hypot, -inf, 1.0), inf);
    assert_eq!((of(Var::less, 1.0, 1.0), of(Var::less, -inf, inf)), (0.0, 1.0));
    assert_eq!((of(Var::keep, nan, 0.0), of(Var::keep, inf, -0.0)), (0.0, 0.0));
    assert_eq!((of(Var::keep, inf, 0.5), of(Var::keep, 3.0, -1.0)), (inf, 3.0));
    assert!(of(Var::keep, 1.0, nan).is_nan());
    // √x where x is not negative, else x, without a NaN; and with an infinite coefficient.
    let root = |x: Var<'static>, y| x.sqrt().select(y, x);
    assert_eq!((of(root, -4.0, 0.0), of(root, 4.0, 1.0)), (-4.0, 2.0));
    let infinite = |x: Var<'static>, y| (x / 0.0).select(y, x);
    assert_eq!((of(infinite, 4.0, 0.0), of(infinite, 4.0, 1.0)), (4.0, inf));
}

#[test]
fn exponentials_of_huge_entries() {
    for huge in [1e3, 1e300, -1e3, -1e300] {
        let tape = Tape::new();
        let x = tape.input("X", (3, 4));
        let mut program = Program::<f64>::compile(&[x.log_sum_exp(), x.softmax()]).unwrap();
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let at = faer::mat![
            [huge, huge, -inf, nan],
            [huge, -2.0 * huge.abs(), -inf, 0.0],
            [huge, -3.0 * huge.abs(), -inf, 0.0]
        ];
        let run = program.run(&[("X", at.as_ref())]).unwrap();
        let [log, soft] = run.matrices().unwrap();
        assert_eq!(log[(0, 0)], huge + 3f64.ln());
        assert_eq!(log[(0, 1)], huge);
        assert_eq!(log[(0, 2)], -inf);
        assert!(log[(0, 3)].is_nan());
        for (i, wanted) in [1.0, 0.0, 0.0].into_iter().enumerate() {
            assert!((soft[(i, 0)] - 1.0 / 3.0).abs() <= f64::EPSILON);
            assert_eq!(soft[(i, 1)], wanted);
            assert!(soft[(i, 2)].is_nan() && soft[(i, 3)].is_nan());
        }
    }
}

#[test]
fn a_norm_neither_overflows_nor_underflows() {
    let tape = Tape::new();
    let x = tape.input("X", (2, 1));
    let mut program = Program::<f64>::compile(&[x.norm()]).unwrap();
    for size in [1e-300, 1e-160, 1.0, 1e160, 1e300] {
        let at = faer::mat![[3.0 * size], [-4.0 * size]];
        let norm = program.run(&[("X", at.as_ref())]).unwrap().scalar(0).unwrap();
        assert!((norm / (5.0 * size) - 1.0).abs() <= 4.0 * f64::EPSILON, "{size}: {norm}");
    }
}
