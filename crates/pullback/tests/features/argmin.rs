//! Losses as problems for argmin.

use argmin::core::{CostFunction, Executor, Gradient, Hessian, State};
use argmin::solver::linesearch::{HagerZhangLineSearch, MoreThuenteLineSearch};
use argmin::solver::newton::NewtonCG;
use argmin::solver::quasinewton::LBFGS;
use argmin::solver::trustregion::{Steihaug, TrustRegion};
use argmin_math::ArgminDot;
use pullback::argmin::{Error, Problem};
use pullback::curvature;
use pullback::errors::EngineError;
use pullback::faer::{Mat, MatRef, mat};
use pullback::prelude::*;
use std::cell::RefCell;

/// `½ ‖tanh(B A X) − Y‖² + ¹⁄₂₀ (‖A‖² + ‖B‖²)`, with a constant X and an input Y.
fn network(tape: &Tape) -> (Var<'_>, [Var<'_>; 2]) {
    let (a, b) = (tape.input("A", (3, 4)), tape.input("B", (2, 3)));
    let (x, y) = (tape.constant("X", (4, 6)), tape.input("Y", (2, 6)));
    let residual = (b * a * x).tanh() - y;
    (0.5 * residual.norm_squared() + losses::ridge(a, 0.1) + losses::ridge(b, 0.1), [a, b])
}

fn data() -> [(&'static str, Mat<f64>); 2] {
    [("X", check::random(4, 6, 1)), ("Y", check::random(2, 6, 2))]
}

fn bound<'a>(matrices: &'a [(&'a str, Mat<f64>)]) -> Vec<(&'a str, MatRef<'a, f64>)> {
    matrices.iter().map(|(name, matrix)| (*name, matrix.as_ref())).collect()
}

#[test]
fn a_parameter_holds_the_variables_column_by_column() {
    let tape = Tape::new();
    let (loss, wrt) = network(&tape);
    let data = data();
    let problem = Problem::new(loss, &wrt, &bound(&data)).unwrap();
    let (a, b): (Mat<f64>, Mat<f64>) = (check::random(3, 4, 3), check::random(2, 3, 4));
    let flat = problem.flatten(&[a.as_ref(), b.as_ref()]).unwrap();
    assert_eq!((problem.len(), flat.len(), flat[1], flat[12 + 5]), (18, 18, a[(1, 0)], b[(1, 2)]));
    assert_eq!(problem.unflatten(&flat).unwrap(), [a.clone(), b.clone()]);

    let all = [bound(&data), vec![("A", a.as_ref()), ("B", b.as_ref())]].concat();
    let (value, gradients) = value_and_gradients(loss, &wrt, &all).unwrap();
    let gradients: Vec<_> = gradients.iter().map(Mat::as_ref).collect();
    let expected = (value, problem.flatten(&gradients).unwrap());
    assert_eq!(problem.value_and_gradient(&flat).unwrap(), expected);
    assert_eq!((problem.cost(&flat).unwrap(), problem.gradient(&flat).unwrap()), expected);
    assert_eq!(problem.evaluations(), 1);
    // The sign of a zero makes another point.
    problem.cost(&vec![0.0; 18]).unwrap();
    problem.cost(&vec![-0.0; 18]).unwrap();
    assert_eq!(problem.evaluations(), 3);
}

/// A problem that writes down where it is asked.
struct Overheard<'a, 't>(&'a Problem<'t, f64>, RefCell<Vec<Vec<f64>>>);

impl CostFunction for Overheard<'_, '_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, at: &Vec<f64>) -> Result<f64, argmin::core::Error> {
        self.1.borrow_mut().push(at.clone());
        self.0.cost(at)
    }
}

impl Gradient for Overheard<'_, '_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>) -> Result<Vec<f64>, argmin::core::Error> {
        self.1.borrow_mut().push(at.clone());
        self.0.gradient(at)
    }
}

#[test]
fn value_and_gradient_of_a_point_take_one_run() {
    let tape = Tape::new();
    let (loss, wrt) = network(&tape);
    let data = data();
    let problem = Problem::new(loss, &wrt, &bound(&data)).unwrap();
    let start: Vec<f64> = check::random(18, 1, 5).col(0).iter().copied().collect();
    let overheard = Overheard(&problem, RefCell::default());
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 7);
    let result =
        Executor::new(overheard, solver).configure(|state| state.param(start).max_iters(30)).run().unwrap();
    let asked = result.problem.problem.unwrap().1.into_inner();
    let mut points: Vec<Vec<u64>> = asked.iter().map(|at| at.iter().map(|x| x.to_bits()).collect()).collect();
    points.sort_unstable();
    points.dedup();
    assert!(asked.len() > 30, "{}", asked.len());
    assert_eq!(problem.evaluations(), points.len(), "{} questions", asked.len());
}

/// The norm of the gradient where a solver ends.
fn slope(problem: &Problem<'_, f64>, best: &[f64]) -> f64 {
    problem.value_and_gradient(best).unwrap().1.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Minimizes, and tests whether there is no slope where it ends.
macro_rules! ends_flat {
    ($problem:expr, $start:expr, $solver:expr) => {
        let run = Executor::new(&$problem, $solver);
        let result = run.configure(|state| state.param($start.clone()).max_iters(200)).run().unwrap();
        let slope = slope(&$problem, result.state().get_best_param().unwrap());
        assert!(slope < 1e-5, "{}: {slope:e}", stringify!($solver));
    };
}

#[test]
fn solvers_find_points_without_a_slope() {
    let tape = Tape::new();
    let (loss, wrt) = network(&tape);
    let data = data();
    let problem = Problem::new(loss, &wrt, &bound(&data)).unwrap();
    let start: Vec<f64> = check::random::<f64>(18, 1, 5).col(0).iter().map(|x| 0.3 * x).collect();
    ends_flat!(problem, start, LBFGS::new(MoreThuenteLineSearch::new(), 7));
    ends_flat!(problem, start, LBFGS::new(HagerZhangLineSearch::new(), 7));
    ends_flat!(problem, start, TrustRegion::new(Steihaug::new()));

    // Newton's method for a convex loss: half of the labels of a logistic regression are 1.
    let (w, x, y) = (tape.input("w", (1, 4)), tape.input("Z", (4, 20)), tape.input("labels", (1, 20)));
    let loss = losses::binary_cross_entropy(w * x, y) + losses::ridge(w, 0.01);
    let (x, y) = (check::random(4, 20, 8), Mat::from_fn(1, 20, |_, j| (j % 2) as f64));
    let problem = Problem::new(loss, &[w], &[("Z", x.as_ref()), ("labels", y.as_ref())]).unwrap();
    ends_flat!(problem, vec![0.0; 4], NewtonCG::new(MoreThuenteLineSearch::new()));
}

#[test]
fn single_precision_is_spoken_too() {
    let tape = Tape::new();
    let x = tape.input("x", (3, 1));
    let problem = Problem::<f32>::new((x - 1.0).norm_squared(), &[x], &[]).unwrap();
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 3);
    let run =
        Executor::new(&problem, solver).configure(|state| state.param(vec![0.0; 3]).max_iters(20)).run();
    let best = run.unwrap().state.best_param.unwrap();
    assert!(best.iter().all(|x| (x - 1.0).abs() < 1e-6), "{best:?}");
}

#[test]
fn products_are_those_of_the_hessian_wherever_it_is_taken() {
    let tape = Tape::new();
    let (loss, wrt) = network(&tape);
    let data = data();
    let problem = Problem::new(loss, &wrt, &bound(&data)).unwrap();
    let direction: Vec<f64> = check::random(18, 1, 9).col(0).iter().copied().collect();
    let parts = problem.unflatten(&direction).unwrap();
    let points: Vec<Vec<f64>> =
        [6, 7].map(|seed| check::random(18, 1, seed).col(0).iter().copied().collect()).to_vec();
    let hessians: Vec<_> = points.iter().map(|point| problem.hessian(point).unwrap()).collect();
    // In turn, so that each has to find its point again.
    for k in [0, 1, 0] {
        let at = problem.unflatten(&points[k]).unwrap();
        let all = [bound(&data), vec![("A", at[0].as_ref()), ("B", at[1].as_ref())]].concat();
        let mut expected = curvature::Hessian::compile(loss, &wrt).unwrap();
        expected.set(&all).unwrap();
        let expected = expected.product(&[parts[0].as_ref(), parts[1].as_ref()]).unwrap();
        let expected = problem.flatten(&[expected[0].as_ref(), expected[1].as_ref()]).unwrap();
        let product: Vec<f64> = hessians[k].dot(&direction);
        assert_eq!(product, expected);
        assert_eq!(hessians[k].product(&direction).unwrap(), expected);
        // And it is how the gradient changes.
        let gradient = |h: f64| {
            let at: Vec<f64> = points[k].iter().zip(&direction).map(|(x, d)| x + h * d).collect();
            problem.value_and_gradient(&at).unwrap().1
        };
        let (ahead, behind) = (gradient(1e-5), gradient(-1e-5));
        for (i, product) in product.iter().enumerate() {
            let difference = (ahead[i] - behind[i]) / 2e-5;
            assert!((difference - product).abs() < 1e-8, "{difference} for {product}");
        }
    }
}

#[test]
fn errors_pass_through_argmin() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (2, 2)), tape.input("b", (2, 1)));
    let loss = a.solve(b).norm_squared();
    let at_b = mat![[1.0], [2.0]];
    let problem = Problem::new(loss, &[a], &[("b", at_b.as_ref())]).unwrap();
    let cost = |at: &[f64]| problem.cost(&at.to_vec()).map_err(|error| error.downcast::<Error>().unwrap());

    assert_eq!(cost(&[1.0; 3]), Err(Error::Length { expected: 4, found: 3 }));
    let singular = cost(&[1.0; 4]).unwrap_err();
    assert!(matches!(singular, Error::Pullback(pullback::Error::Engine(EngineError::Singular { .. }))));
    // A run that fails leaves nothing behind.
    assert_eq!(cost(&[1.0, 0.0, 0.0, 1.0]), Ok(5.0));

    // A product cannot say what went wrong; the next answer does.
    let hessian = problem.hessian(&vec![1.0; 4]).unwrap();
    let product: Vec<f64> = hessian.dot(&vec![1.0; 4]);
    assert_eq!(product, [0.0; 4]);
    assert_eq!(cost(&[1.0, 0.0, 0.0, 1.0]), Err(hessian.product(&[1.0; 4]).unwrap_err()));
    assert_eq!(cost(&[1.0, 0.0, 0.0, 1.0]), Ok(5.0));
    let expected = Err(Error::Length { expected: 4, found: 1 });
    assert_eq!(problem.hessian(&vec![0.0]).map(drop).map_err(|error| error.downcast().unwrap()), expected);

    let unbound = Problem::new(loss, &[a], &[]).unwrap().value_and_gradient(&[1.0; 4]).unwrap_err();
    assert!(matches!(unbound, Error::Pullback(pullback::Error::Engine(EngineError::Unbound { .. }))));
    let few = problem.flatten(&[]).unwrap_err();
    assert_eq!(few.to_string(), "there are 1 variables, but 0 matrices were given");
    let other = problem.flatten(&[at_b.as_ref()]).unwrap_err();
    assert_eq!(other.to_string(), "variable `A` is 2×2, not 2×1");
}

#[test]
fn a_curvature_without_bounds_is_an_error() {
    let tape = Tape::new();
    let x = tape.input("x", (1, 1));
    let problem = Problem::<f64>::new(x.exp(), &[x], &[]).unwrap();
    let product: Vec<f64> = problem.hessian(&vec![800.0]).unwrap().dot(&vec![1.0]);
    assert_eq!(product, [0.0]);
    let error = problem.cost(&vec![1.0]).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Error::NonFinite));
}

#[test]
fn variables_are_inputs() {
    let tape = Tape::new();
    let (x, c) = (tape.input("x", (2, 1)), tape.constant("c", (2, 1)));
    let loss = x.inner(c);
    for (variable, name) in [(2.0 * x, "2 x"), (c, "c")] {
        let found = Problem::<f64>::new(loss, &[variable], &[]).map(drop).unwrap_err();
        assert_eq!(found, Error::NoInput { name: name.into() });
    }
    let twice = mat![[1.0], [2.0]];
    let found = Problem::new(loss, &[x], &[("x", twice.as_ref()), ("c", twice.as_ref())]).map(drop);
    let name = "x".into();
    assert_eq!(found, Err(Error::Pullback(EngineError::BoundTwice { name }.into())));
}
