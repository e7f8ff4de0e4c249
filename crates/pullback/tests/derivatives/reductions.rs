use crate::{Case, Dims, Domain, SHAPES, SQUARE};
use pullback::faer::{Mat, mat};
use pullback::prelude::*;

pub(crate) fn of<'t>(
    tape: &'t Tape,
    (m, _, n): Dims,
    f: impl Fn(Var<'t>) -> Var<'t>,
) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, n));
    (f(a), vec![a])
}

pub(crate) const fn case(
    name: &'static str,
    shapes: &'static [Dims],
    build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>),
) -> Case {
    Case { name, domain: Domain::Any, shapes, build }
}

type Of = for<'t> fn(Var<'t>) -> Var<'t>;

/// Means need something to be the mean of.
const FILLED: &[Dims] = &[(5, 2, 3), (2, 3, 5), (3, 3, 3), (1, 1, 1), (1, 4, 6), (4, 1, 1)];

/// Deviations of samples need two entries in a column, of which a deviation is not 0.
const TWO: &[Dims] = &[(5, 2, 3), (2, 3, 5), (3, 3, 3), (4, 1, 1)];

pub(crate) const CASES: &[Case] = &[
    case("trace", SQUARE, |t, (m, _, _)| {
        let (a, b) = (t.input("A", (m, m)), t.input("B", (m, m)));
        ((a * b.exp()).trace(), vec![a, b])
    }),
    case("trace of a square", SQUARE, |t, (m, _, _)| {
        let a = t.input("A", (m, m));
        ((a * a).trace() + a.trace().square(), vec![a])
    }),
    case("diagonal", SQUARE, |t, (m, _, _)| {
        let a = t.input("A", (m, m));
        ((a * a.exp()).diagonal(), vec![a])
    }),
    case("diagonal matrix", SQUARE, |t, (m, _, n)| {
        let (a, b, v) = (t.input("A", (m, n)), t.input("B", (m, m)), t.input("v", (m, 1)));
        (v.diag() * a + b * v.diag() * a + (v.diag() + b) * a, vec![a, b, v])
    }),
    case("sums and products of diagonals", SQUARE, |t, (m, _, _)| {
        let (b, v) = (t.input("B", (m, m)), t.input("v", (m, 1)));
        (v.diag() * v.exp().diag() + b.hadamard(v.diag()) + b.inner(v.diag()) * v.diag(), vec![b, v])
    }),
    case("inner product", SHAPES, |t, (m, _, n)| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (m, n)));
        (a.inner(b), vec![a, b])
    }),
    case("inner product with a transpose", SHAPES, |t, (m, _, n)| {
        let (a, b) = (t.input("A", (m, n)), t.input("B", (n, m)));
        (a.inner(b.t()), vec![a, b])
    }),
    case("squared norm", SHAPES, |t, d| of(t, d, |a| a.norm_squared())),
    case("norm", SHAPES, |t, d| of(t, d, |a| a.norm())),
    case("norm of a product", SHAPES, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, k)), t.input("B", (k, n)));
        ((2.0 * (a * b)).norm(), vec![a, b])
    }),
    case("sum", SHAPES, |t, d| of(t, d, |a| a.exp().sum())),
    case("row sums", SHAPES, |t, d| of(t, d, |a| a.row_sums().exp())),
    case("column sums", SHAPES, |t, d| of(t, d, |a| a.col_sums().exp())),
    case("mean", FILLED, |t, d| of(t, d, |a| a.exp().mean())),
    case("row means", FILLED, |t, d| of(t, d, |a| a.row_means().square())),
    case("column means", FILLED, |t, d| of(t, d, |a| a.col_means().square())),
    case("centred columns", FILLED, |t, d| {
        of(t, d, |a| (a - a.row_means().repeat_cols(a.cols())).norm_squared())
    }),
    case("log-sum-exp", FILLED, |t, d| of(t, d, |a| a.log_sum_exp())),
    case("log-sum-exp of a scaled transpose", FILLED, |t, d| of(t, d, |a| (3.0 * a.t()).log_sum_exp())),
    case("softmax", FILLED, |t, d| of(t, d, |a| a.softmax())),
    case("maxima of columns", FILLED, |t, d| of(t, d, |a| a.col_maxima())),
    case("minima of rows", FILLED, |t, d| of(t, d, |a| a.row_minima().square())),
    case("maximum and minimum", FILLED, |t, d| of(t, d, |a| a.exp().maximum() * a.minimum())),
    case("argmax", FILLED, |t, d| of(t, d, |a| a.col_argmax() + a.row_argmax().hadamard(a.exp()))),
    case("log-sum-exp of rows and of all", FILLED, |t, d| {
        of(t, d, |a| a.total_log_sum_exp() * a.row_log_sum_exp())
    }),
    case("softmax of rows", FILLED, |t, d| of(t, d, |a| a.row_softmax())),
    case("products of columns", SHAPES, |t, d| of(t, d, |a| a.col_products())),
    case("products of rows", SHAPES, |t, d| of(t, d, |a| a.row_products())),
    case("product of all", SHAPES, |t, d| of(t, d, |a| a.product())),
    case("variance", FILLED, |t, d| of(t, d, |a| a.exp().variance(0))),
    case("variances of columns", TWO, |t, d| of(t, d, |a| a.col_variances(1))),
    case("variances of rows", FILLED, |t, d| of(t, d, |a| a.row_variances(0).exp())),
    case("standard deviation", TWO, |t, d| of(t, d, |a| a.std_dev(1))),
    case("standard deviations", TWO, |t, d| of(t, d, |a| a.col_std_devs(0))),
    case("standardized columns", FILLED, |t, d| of(t, d, |a| a.standardize_cols(0.1))),
    case("standardized rows", FILLED, |t, d| of(t, d, |a| a.standardize_rows(0.1))),
    case("1-norm", SHAPES, |t, d| of(t, d, |a| a.norm_1())),
    case("∞-norm", SHAPES, |t, d| of(t, d, |a| a.norm_inf())),
    case("largest size", SHAPES, |t, d| of(t, d, |a| a.norm_max())),
    case("sum of sizes", SHAPES, |t, d| of(t, d, |a| a.norm_p(1.0))),
    case("3-norm", SHAPES, |t, d| of(t, d, |a| a.norm_p(3.0))),
    case("1.5-norm", SHAPES, |t, d| of(t, d, |a| a.norm_p(1.5))),
    case("softmax of a product", FILLED, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, k)), t.input("B", (k, n)));
        ((a * b).softmax().hadamard(a * b), vec![a, b])
    }),
];

/// Where a norm is not differentiable it has the subgradient 0. The same holds of standard deviations.
#[test]
fn norms_at_zero() {
    let zero = Mat::<f64>::zeros(2, 3);
    let norms: [Of; 12] = [
        |a| a.norm(),
        |a| a.norm_1(),
        |a| a.norm_inf(),
        |a| a.norm_max(),
        |a| a.norm_p(1.0),
        |a| a.norm_p(1.25),
        |a| a.norm_p(2.0),
        |a| a.norm_p(3.0),
        |a| a.norm_p(f64::INFINITY),
        |a| a.std_dev(1),
        |a| a.col_std_devs(0).sum(),
        |a| a.standardize_rows(0.0).sum(),
    ];
    for norm in norms {
        let tape = Tape::new();
        let a = tape.input("A", (2, 3));
        let (value, grads) = value_and_gradients(norm(a), &[a], &[("A", zero.as_ref())]).unwrap();
        assert_eq!((value, &grads[0]), (0.0, &zero), "{}", norm(a));
    }
}

fn gradient_at(f: Of, at: &Mat<f64>) -> (f64, Mat<f64>) {
    let tape = Tape::new();
    let a = tape.input("A", at.shape());
    let (value, mut grads) = value_and_gradients(f(a), &[a], &[("A", at.as_ref())]).unwrap();
    (value, grads.remove(0))
}

/// Of equal entries the first one counts.
#[test]
fn maxima_of_equal_entries() {
    let at = mat![[1.0, 3.0, 2.0], [3.0, 3.0, 2.0], [3.0, 0.0, 2.0]];
    let (value, gradient) = gradient_at(|a| a.maximum(), &at);
    assert_eq!((value, gradient), (3.0, mat![[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]));
    let (value, gradient) = gradient_at(|a| a.col_maxima().sum(), &at);
    assert_eq!((value, gradient), (8.0, mat![[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]));
    let (value, gradient) = gradient_at(|a| a.row_minima().sum(), &at);
    assert_eq!((value, gradient), (3.0, mat![[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]));
    // Of the largest size of an entry, and of the largest row.
    let at = mat![[1.0, -3.0], [3.0, 1.0]];
    assert_eq!(gradient_at(|a| a.norm_max(), &at).1, mat![[0.0, 0.0], [1.0, 0.0]]);
    assert_eq!(gradient_at(|a| a.norm_inf(), &at).1, mat![[1.0, -1.0], [0.0, 0.0]]);
    assert_eq!(gradient_at(|a| a.norm_1(), &at).1, mat![[1.0, 0.0], [1.0, 0.0]]);
}

/// A product is differentiated without a division.
#[test]
fn products_with_zeros() {
    let one_zero = mat![[2.0, 3.0], [0.0, 5.0], [7.0, 1.0]];
    assert_eq!(gradient_at(|a| a.product(), &one_zero), (0.0, mat![[0.0, 0.0], [210.0, 0.0], [0.0, 0.0]]));
    let two_zeros = mat![[2.0, 0.0], [0.0, 5.0], [7.0, 1.0]];
    assert_eq!(gradient_at(|a| a.product(), &two_zeros), (0.0, Mat::zeros(3, 2)));
    let (value, gradient) = gradient_at(|a| a.col_products().sum(), &two_zeros);
    assert_eq!((value, gradient), (0.0, mat![[0.0, 5.0], [14.0, 0.0], [0.0, 0.0]]));
}

/// Nor does its gradient take memory that grows with the square of the number of entries, even or odd.
#[test]
fn gradients_of_long_products() {
    for n in [99_999, 100_000] {
        let at = Mat::from_fn(n, 1, |i, _| if i % 2 == 0 { -1.0 } else { 1.0 });
        let (value, gradient) = gradient_at(|a| a.product(), &at);
        assert_eq!(value, 1.0);
        assert_eq!(gradient, at);
    }
}

/// A p-norm and its gradient do not overflow, nor do they underflow.
#[test]
fn norms_of_extreme_entries() {
    for size in [1e-300, 1e-200, 1.0, 1e200, 1e300] {
        let at = mat![[3.0 * size, 0.0], [-4.0 * size, 5.0 * size]];
        let cases: [(f64, Of); 3] =
            [(3.0, |a| a.norm_p(3.0)), (1.5, |a| a.norm_p(1.5)), (40.0, |a| a.norm_p(40.0))];
        for (p, norm) in cases {
            let (value, gradient) = gradient_at(norm, &at);
            let wanted = (3f64.powf(p) + 4f64.powf(p) + 5f64.powf(p)).powf(1.0 / p);
            assert!((value / (wanted * size) - 1.0).abs() < 1e-14, "{value} with p = {p}, {size}");
            let of = |x: f64| (x.abs() / wanted).powf(p - 1.0) * if x < 0.0 { -1.0 } else { 1.0 };
            let wanted = mat![[of(3.0), 0.0], [of(-4.0), of(5.0)]];
            assert!((&gradient - &wanted).norm_max() < 1e-14, "{gradient:?} with p = {p}, {size}");
        }
    }
}

/// A variance keeps its digits beside a large mean, also after the expressions were optimized.
#[test]
fn variances_beside_a_large_mean() {
    let small = mat![[1.0, 2.0, 4.0], [3.0, 8.0, 5.0]];
    let large = Mat::from_fn(2, 3, |i, j| small[(i, j)] + 1e9);
    let functions: [Of; 5] = [
        |a| a.variance(1),
        |a| a.std_dev(0),
        |a| a.row_variances(1).sum(),
        |a| a.col_variances(0).norm_squared(),
        |a| a.standardize_rows(0.1).norm_p(3.0),
    ];
    for f in functions {
        let (wanted, wanted_gradient) = gradient_at(f, &small);
        let (value, gradient) = gradient_at(f, &large);
        // What is left of the entries beside the mean, which has 7 digits behind the point, is exact.
        assert!((value - wanted).abs() < 1e-6 * wanted.abs(), "{value} instead of {wanted}");
        assert!((&gradient - &wanted_gradient).norm_max() < 1e-6, "{gradient:?} not {wanted_gradient:?}");
    }
}
