use crate::{Case, Dims, Domain, SHAPES, SQUARE};
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

/// Means need something to be the mean of.
const FILLED: &[Dims] = &[(5, 2, 3), (2, 3, 5), (3, 3, 3), (1, 1, 1), (1, 4, 6), (4, 1, 1)];

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
    case("softmax of a product", FILLED, |t, (m, k, n)| {
        let (a, b) = (t.input("A", (m, k)), t.input("B", (k, n)));
        ((a * b).softmax().hadamard(a * b), vec![a, b])
    }),
];

/// Where the norm is not differentiable it has the subgradient 0.
#[test]
fn norm_at_zero() {
    let tape = Tape::new();
    let a = tape.input("A", (2, 3));
    let zero = pullback::faer::Mat::<f64>::zeros(2, 3);
    let (value, grads) = value_and_gradients(a.norm(), &[a], &[("A", zero.as_ref())]).unwrap();
    assert_eq!((value, &grads[0]), (0.0, &zero));
}
