//! Operations of one's own, linear maps given by functions, and implicit values: what they are good for, and how they fail.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use allocation_counter::measure;
use pullback::custom::{Argument, At, CustomOp, Operation};
use pullback::errors::{EngineError, RulesError, TapeError};
use pullback::faer::dyn_stack::{MemStack, StackReq};
use pullback::faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use pullback::faer::mat::AsMatMut;
use pullback::faer::{Mat, MatMut, MatRef, mat};
use pullback::linear_map::LinearMap;
use pullback::prelude::*;
use pullback::{Options, Structure};
use std::sync::atomic::{AtomicUsize, Ordering};

/// All tests of the derivatives of `y`.
fn assert_derivatives(y: Var<'_>, at: &[(&str, &Mat<f64>)]) {
    let bound: Vec<_> = at.iter().map(|(name, matrix)| (*name, matrix.as_ref())).collect();
    let tape = y.tape();
    let xs: Vec<_> = at.iter().map(|(name, m)| tape.input(name, (m.nrows(), m.ncols()))).collect();
    for report in check::derivatives(y, &xs, &bound).unwrap() {
        assert!(report.passes(), "{y}\n{report}");
    }
}

// ---- a covariance kernel ---------------------------------------------------------------------------------

/// `Kᵢⱼ = exp(−½ ‖xᵢ − xⱼ‖²) + 10⁻³ δᵢⱼ` of the rows of X.
struct Kernel;

impl CustomOp for Kernel {
    fn name(&self) -> &str {
        "rbf"
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Nonlinear]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        Ok(Shape::new(args[0].rows, args[0].rows))
    }

    fn structure(&self, _: &[Structure]) -> Structure {
        Structure::Definite
    }

    // Of −½ ‖xᵢ − xⱼ‖²: xᵢ·εⱼ + xⱼ·εᵢ − xᵢ·εᵢ − xⱼ·εⱼ, times Kᵢⱼ; 0 on the diagonal.
    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        let (x, n) = (at.arg(0), e.rows());
        let (cross, own) = (x * e.t(), x.row_inner(e).repeat_cols(n));
        at.value().hadamard(cross + cross.t() - own - own.t())
    }

    // The transpose of X, whose columns are points, is scratch.
    fn scratch(&self, args: &[Shape]) -> StackReq {
        temp_mat_scratch::<f64>(args[0].cols, args[0].rows)
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        mut out: MatMut<'_, f64>,
        stack: &mut MemStack,
    ) -> Result<(), String> {
        let (mut points, _) = temp_mat_zeroed::<f64, _, _>(args[0].ncols(), args[0].nrows(), stack);
        let mut points = points.as_mat_mut();
        points.copy_from(args[0].transpose());
        for j in 0..out.ncols() {
            for i in 0..out.nrows() {
                let apart =
                    (0..points.nrows()).map(|k| (points[(k, i)] - points[(k, j)]).powi(2)).sum::<f64>();
                out[(i, j)] = (-0.5 * apart).exp() + if i == j { 1e-3 } else { 0.0 };
            }
        }
        Ok(())
    }
}

/// The same, written out.
fn written_out(x: Var<'_>) -> Var<'_> {
    let n = x.rows();
    let squares = x.row_inner(x).repeat_cols(n);
    let apart = squares + squares.t() - 2.0 * (x * x.t());
    (-0.5 * apart).exp() + 1e-3 * x.tape().identity(n)
}

/// A likelihood with it: value, gradients and Hessian products are those of the kernel written out; the operation is declared
/// definite, so that it is factorized by Cholesky.
#[test]
fn a_covariance_kernel_of_ones_own() {
    let rbf = Operation::new(Kernel);
    let tape = Tape::new();
    let (x, y, v) = (tape.input("X", (6, 2)), tape.input("y", (6, 1)), tape.input("V", (6, 2)));
    fn likelihood<'t>(k: Var<'t>, [x, y, v]: [Var<'t>; 3]) -> Vec<Var<'t>> {
        let loss = 0.5 * (y.t() * k.solve(y) + k.log_det());
        let mut outputs = vec![loss];
        outputs.extend(gradient(loss, &[x, y]).unwrap());
        outputs.extend(hvp(loss, &[(x, v)]).unwrap());
        outputs
    }
    let all = [x, y, v];
    let (own, written) = (likelihood(rbf.apply([x]), all), likelihood(written_out(x), all));
    assert_eq!(own[0].to_string(), "½ (yᵀ rbf(X)⁻¹ y + log |det rbf(X)|)");
    let at =
        [("X", check::random::<f64>(6, 2, 1)), ("y", check::random(6, 1, 2)), ("V", check::random(6, 2, 3))];
    let at: Vec<_> = at.iter().map(|(name, m)| (*name, m.as_ref())).collect();
    for (own, written) in evaluate(&own, &at).unwrap().iter().zip(evaluate(&written, &at).unwrap()) {
        assert!((own - &written).norm_max() <= 1e-9 * (1.0 + written.norm_max()), "{own:?} {written:?}");
    }
    let mut program = compile::<f64>(own[0], &[x]).unwrap();
    let plan = program.plan().to_string();
    assert!(plan.contains("Cholesky"), "{plan}");
    program.run(&at[..2]).unwrap();
    let allocations = measure(|| assert!(program.run(&at[..2]).is_ok()));
    assert_eq!(allocations.count_total, 0);
    assert_derivatives(own[0], &[("X", &check::random(6, 2, 1)), ("y", &check::random(6, 1, 2))]);
}

// ---- a solve of one's own --------------------------------------------------------------------------------

/// `x = (I + Bᵀ Diag(w) B)⁻¹ b`: a Laplacian of a path whose edges have weights, solved by elimination along the path.
struct PathSolve;

impl CustomOp for PathSolve {
    fn name(&self) -> &str {
        "path"
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Nonlinear, Argument::Linear]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        let (w, b) = (args[0], args[1]);
        let fits = w.cols == 1 && b.cols == 1 && w.rows + 1 == b.rows;
        if fits { Ok(b) } else { Err(format!("{w} weights of the edges between the {b} nodes")) }
    }

    // L x = b, and so L ẋ = −L̇ x = −Bᵀ (ε ∘ B x).
    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        let (x, n) = (at.value(), at.value().rows());
        let along = e.hadamard(x.slice(1.., ..) - x.slice(..n - 1, ..));
        let nothing = e.tape().zeros((1, 1));
        let right = e.tape().stack_rows(&[nothing, along]) - e.tape().stack_rows(&[along, nothing]);
        -at.apply(&[at.arg(0), right])
    }

    // The matrix is symmetric.
    fn adjoint<'t>(&self, at: &At<'_, 't>, y_bar: Var<'t>) -> Var<'t> {
        at.with(y_bar)
    }

    fn scratch(&self, args: &[Shape]) -> StackReq {
        temp_mat_scratch::<f64>(args[1].rows, 1)
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        mut out: MatMut<'_, f64>,
        stack: &mut MemStack,
    ) -> Result<(), String> {
        let (w, b, n) = (args[0], args[1], args[1].nrows());
        let (mut pivots, _) = temp_mat_zeroed::<f64, _, _>(n, 1, stack);
        let mut pivots = pivots.as_mat_mut();
        let weight = |i: usize| if i < n - 1 { w[(i, 0)] } else { 0.0 };
        for i in 0..n {
            let before = if i > 0 { weight(i - 1) } else { 0.0 };
            let diagonal = 1.0 + before + weight(i);
            let (carried, right) = match i {
                0 => (0.0, 0.0),
                _ => (before * before / pivots[(i - 1, 0)], before / pivots[(i - 1, 0)] * out[(i - 1, 0)]),
            };
            pivots[(i, 0)] = diagonal - carried;
            if pivots[(i, 0)] <= 0.0 {
                return Err(format!("pivot {i} is not positive"));
            }
            out[(i, 0)] = b[(i, 0)] + right;
        }
        for i in (0..n).rev() {
            let after = if i + 1 < n { weight(i) * out[(i + 1, 0)] } else { 0.0 };
            out[(i, 0)] = (out[(i, 0)] + after) / pivots[(i, 0)];
        }
        Ok(())
    }
}

#[test]
fn a_solve_of_ones_own_whose_derivative_calls_itself() {
    let path = Operation::new(PathSolve);
    let tape = Tape::new();
    let (w, b) = (tape.input("w", (4, 1)), tape.input("b", (5, 1)));
    let x = path.apply([w, b]);
    let weights = mat![[0.5], [1.0], [2.0], [0.3]];
    assert_derivatives(x, &[("w", &weights), ("b", &check::random(5, 1, 2))]);
    assert_derivatives(x.square().sum(), &[("w", &weights), ("b", &check::random(5, 1, 2))]);
    let negative = mat![[-9.0], [1.0], [2.0], [0.3]];
    let error =
        evaluate::<f64>(&[x], &[("w", negative.as_ref()), ("b", Mat::zeros(5, 1).as_ref())]).unwrap_err();
    assert!(
        error.to_string().starts_with("path: pivot 0 is not positive, in `path(w, b)` (crates/"),
        "{error}"
    );
    let error = path.apply([b, w]).check().unwrap_err();
    assert!(error.to_string().contains("5×1 weights of the edges between the 4×1 nodes"), "{error}");
    assert!(matches!(error, TapeError::Shape { .. }));
}

// ---- one node for one thing ------------------------------------------------------------------------------

#[test]
fn equal_applications_are_one_node() {
    let (rbf, other) = (Operation::new(Kernel), Operation::new(Kernel));
    let tape = Tape::new();
    let x = tape.input("X", (6, 2));
    assert!(rbf.apply([x]).same(rbf.clone().apply([x])));
    // Two operations may differ in what they hold.
    assert!(!rbf.apply([x]).same(other.apply([x])));
    let second = Tape::new();
    let foreign = second.input("X", (6, 2));
    let mixed = Operation::new(PathSolve).apply([x, foreign]);
    assert!(matches!(mixed.check(), Err(TapeError::ForeignVar { .. })));
    // Numbers pass through an argument in which it is linear, and zeros annihilate.
    let path = Operation::new(PathSolve);
    let (w, b) = (tape.input("w", (4, 1)), tape.input("b", (5, 1)));
    assert_eq!(path.apply([w, 2.0 * b]).to_string(), "2 path(w, b)");
    assert!(path.apply([w, tape.zeros((5, 1))]).is_zero());
    assert_eq!(path.apply([w, b]).latex(), r"\operatorname{path}(w, b)");
}

// ---- what can go wrong -----------------------------------------------------------------------------------

/// Does what it is told, wrongly.
#[derive(Clone, Copy)]
enum Wrong {
    Nothing,
    Shape,
    NotLinear,
    Panics,
    NoArguments,
}

impl CustomOp for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn arguments(&self) -> &[Argument] {
        if matches!(self, Wrong::NoArguments) { &[] } else { &[Argument::Nonlinear] }
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        Ok(args[0])
    }

    fn derivative<'t>(&self, _: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        match self {
            Wrong::Shape => e.sum(),
            Wrong::NotLinear => e.exp(),
            _ => e,
        }
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        mut out: MatMut<'_, f64>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        assert!(!matches!(self, Wrong::Panics) || args[0][(0, 0)] < 10.0, "it is {}", args[0][(0, 0)]);
        out.copy_from(args[0]);
        Ok(())
    }
}

struct Silent;

impl CustomOp for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Nonlinear, Argument::Linear]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        Ok(args[0])
    }
}

#[test]
fn mistakes_are_errors_that_name_the_operation() {
    let tape = Tape::new();
    let x = tape.input("x", (2, 2));
    let of = |wrong: Wrong| Operation::new(wrong).apply([x]).sum();
    let text = |loss: Var<'_>| gradient(loss, &[x]).unwrap_err().to_string();
    let error = text(of(Wrong::Shape));
    assert!(error.contains("wrong(x): its derivative in argument 0 is 1×1, and has to be 2×2"), "{error}");
    assert!(matches!(gradient(of(Wrong::NotLinear), &[x]), Err(RulesError::NotLinear { op: "exp", .. })));
    let error = Operation::new(Wrong::NoArguments).apply([x]).check().unwrap_err().to_string();
    assert!(error.contains("wrong: has 0 arguments; 1 to 16 are possible"), "{error}");
    let silent = Operation::new(Silent).apply([x, x]);
    let error = text(silent.sum());
    assert!(error.contains("silent(x, x): no derivative in argument 0 is given"), "{error}");
    let held = Operation::new(Silent).apply([tape.input("a", (2, 2)), x]);
    let error = text(held.sum());
    assert!(error.contains("no adjoint in argument 1 is given"), "{error}");
    let at = Mat::full(2, 2, 1.0);
    let error = evaluate::<f64>(&[silent], &[("x", at.as_ref())]).unwrap_err();
    assert!(error.to_string().starts_with("silent: has no kernel for f64, in `silent(x, x)` ("), "{error}");
    let at = Mat::full(2, 2, 1.0f32);
    let error = evaluate::<f32>(&[of(Wrong::Nothing)], &[("x", at.as_ref())]).unwrap_err();
    assert!(error.to_string().starts_with("wrong: has no kernel for f32, in `wrong(x)` ("), "{error}");
    let few = Operation::new(Wrong::Nothing).apply([x, x]).check().unwrap_err().to_string();
    assert!(few.contains("takes 1 operands, not 2"), "{few}");
}

#[test]
fn a_panic_is_an_error_and_the_program_runs_again() {
    let tape = Tape::new();
    let x = tape.input("x", (2, 2));
    let y = Operation::new(Wrong::Panics).apply([x.square()]);
    let mut program = Program::<f64>::compile(&[y.sum(), y]).unwrap();
    let (small, large) = (Mat::full(2, 2, 2.0), Mat::full(2, 2, 4.0));
    let quietly = |program: &mut Program<f64>| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let error = program.run(&[("x", large.as_ref())]).unwrap_err();
        std::panic::set_hook(hook);
        error
    };
    for _ in 0..2 {
        assert_eq!(program.run(&[("x", small.as_ref())]).unwrap().scalar(0), Some(16.0));
        let error = quietly(&mut program);
        assert!(error.to_string().starts_with("wrong: panicked: it is 16, in `wrong(x∘²)` ("), "{error}");
        assert!(matches!(error, EngineError::Custom { .. }));
    }
    let mut program = Program::<f64>::compile(&[tape.function("L", x)]).unwrap();
    program
        .define(
            "L",
            Definition::new(|w: MatRef<'_, f64>| if w[(0, 0)] > 3.0 { panic!("too large") } else { 1.0 }),
        )
        .unwrap();
    let error = quietly(&mut program);
    assert!(error.to_string().starts_with("L: panicked: too large, in `L(x)` ("), "{error}");
    assert_eq!(program.run(&[("x", small.as_ref())]).unwrap().scalar(0), Some(1.0));
}

// ---- linear maps -----------------------------------------------------------------------------------------

/// A circular convolution with `[1, 2, 3]`, which counts its calls.
fn blur(n: usize, calls: &'static AtomicUsize) -> LinearMap {
    let weights = [1.0, 2.0, 3.0];
    LinearMap::new(
        "blur",
        (n, 2),
        (n, 2),
        move |x, mut y| {
            calls.fetch_add(1, Ordering::Relaxed);
            for j in 0..2 {
                for i in 0..n {
                    y[(i, j)] = (0..3).map(|k| weights[k] * x[((i + k) % n, j)]).sum();
                }
            }
        },
        move |y, mut x| {
            calls.fetch_add(1, Ordering::Relaxed);
            for j in 0..2 {
                for i in 0..n {
                    x[(i, j)] = (0..3).map(|k| weights[k] * y[((i + n - k) % n, j)]).sum();
                }
            }
        },
    )
}

#[test]
fn a_linear_map_needs_only_its_adjoint() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let k = blur(5, &CALLS).checked().unwrap();
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (5, 2)), tape.input("Y", (5, 2)));
    let loss = 0.5 * (k.apply(x) - y).norm_squared();
    assert_eq!(loss.to_string(), "½ ‖blur(X) − Y‖²");
    let grad = gradient(loss, &[x]).unwrap()[0];
    assert_eq!(grad.to_string(), "blur*(blur(X) − Y)");
    assert_eq!(grad.latex(), r"\operatorname{blur}^*(\operatorname{blur}(X) - Y)");
    // The adjoint of the adjoint is the map itself.
    assert!(k.adjoint().adjoint().apply(x).same(k.apply(x)));
    assert_eq!(hvp(loss, &[(x, y)]).unwrap()[0].to_string(), "blur*(blur(Y))");
    let (at_x, at_y) = (check::random::<f64>(5, 2, 1), check::random(5, 2, 2));
    assert_derivatives(loss, &[("X", &at_x), ("Y", &at_y)]);
    // A gradient takes one call of each.
    let mut program = compile::<f64>(loss, &[x]).unwrap();
    CALLS.store(0, Ordering::Relaxed);
    program.run(&[("X", at_x.as_ref()), ("Y", at_y.as_ref())]).unwrap();
    assert_eq!(CALLS.load(Ordering::Relaxed), 2);
    let allocations = measure(|| assert!(program.run(&[("X", at_x.as_ref()), ("Y", at_y.as_ref())]).is_ok()));
    assert_eq!(allocations.count_total, 0);
    assert_eq!(
        (format!("{k:?}"), format!("{:?}", k.adjoint())),
        ("blur: 5×2 → 5×2".into(), "blur*: 5×2 → 5×2".into())
    );
}

#[test]
fn what_is_no_adjoint_is_found_out() {
    let copy = |x: MatRef<'_, f64>, mut y: MatMut<'_, f64>| y.copy_from(x);
    let slightly = |y: MatRef<'_, f64>, mut x: MatMut<'_, f64>| {
        x.copy_from(y);
        x[(0, 0)] *= 1.001;
    };
    let unwritten = |_: MatRef<'_, f64>, _: MatMut<'_, f64>| ();
    assert!(LinearMap::new("I", (3, 3), (3, 3), copy, copy).checked().is_ok());
    let error = LinearMap::new("I", (3, 3), (3, 3), copy, slightly).checked().unwrap_err();
    assert!(matches!(&error, Error::NotAdjoint { name, .. } if name == "I"), "{error}");
    assert!(error.to_string().starts_with("`I*` is not the adjoint of `I`: ⟨Y, I X⟩ is "), "{error}");
    assert!(LinearMap::new("I", (3, 3), (3, 3), copy, unwritten).checked().is_err());
    let tape = Tape::new();
    let map = LinearMap::new("I", (3, 3), (3, 3), copy, copy);
    let error = map.apply(tape.input("x", (2, 3))).check().unwrap_err().to_string();
    assert!(error.contains("maps 3×3, not 2×3"), "{error}");
    // Of one type of numbers alone.
    let x = tape.input("X", (3, 3));
    let error =
        evaluate(&[map.apply(x)], &[("X", Mat::<f32>::zeros(3, 3).as_ref())]).unwrap_err().to_string();
    assert!(error.starts_with("I: is not given for f32"), "{error}");
    let copy = |x: MatRef<'_, f32>, mut y: MatMut<'_, f32>| y.copy_from(x);
    let single = LinearMap::single("I", (3, 3), (3, 3), copy, copy).checked().unwrap();
    let ones = Mat::full(3, 3, 1.0f32);
    assert_eq!(evaluate(&[single.apply(x)], &[("X", ones.as_ref())]).unwrap()[0], ones);
}

// ---- implicit values -------------------------------------------------------------------------------------

/// A matrix as unknown, two parameters, one of them used twice: `X = A tanh(X) B + A`.
#[test]
fn a_fixed_point_varies_by_the_implicit_function_theorem() {
    let fixed = implicit::root(
        "fix",
        2,
        |shapes| Ok(Shape::new(shapes[0].rows, shapes[1].cols)),
        |x, parameters| x - parameters[0] * x.tanh() * parameters[1] - parameters[0],
        |parameters, mut x| {
            let (a, b) = (parameters[0], parameters[1]);
            x.fill(0.0);
            for _ in 0..200 {
                let t = Mat::from_fn(a.nrows(), b.ncols(), |i, j| x[(i, j)].tanh());
                x.copy_from(a * t * b + a);
            }
            Ok(())
        },
    );
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (3, 3)), tape.input("B", (3, 3)));
    let small = |seed| pullback::faer::Scale(0.4) * check::random::<f64>(3, 3, seed);
    assert_derivatives(fixed.apply([a, b]), &[("A", &small(1)), ("B", &small(2))]);
    assert_derivatives(fixed.apply([a, a]), &[("A", &small(3))]);
    assert_derivatives(fixed.apply([a.tanh(), a * b]).square().sum(), &[("A", &small(1)), ("B", &small(2))]);
}

/// In a symmetric parameter, of which the equation takes a Cholesky factor.
#[test]
fn an_implicit_value_of_a_symmetric_parameter() {
    let solved = implicit::root(
        "solved",
        1,
        |shapes| Ok(Shape::new(shapes[0].rows, 1)),
        |x, parameters| {
            let l = parameters[0].cholesky();
            l * x - x.tape().ones((x.rows(), 1))
        },
        |parameters, mut x| {
            let factor =
                parameters[0].llt(pullback::faer::Side::Lower).map_err(|error| format!("{error:?}"))?;
            let l = factor.L();
            for i in 0..x.nrows() {
                let before: f64 = (0..i).map(|k| l[(i, k)] * x[(k, 0)]).sum();
                x[(i, 0)] = (1.0 - before) / l[(i, i)];
            }
            Ok(())
        },
    );
    let tape = Tape::new();
    let s = tape.symmetric("S", 3);
    let b = check::random::<f64>(3, 3, 1);
    let at = &b * b.transpose() + Mat::<f64>::identity(3, 3);
    let y = solved.apply([s]);
    for report in check::derivatives(y, &[s], &[("S", at.as_ref())]).unwrap() {
        assert!(report.passes(), "{report}");
    }
}

#[test]
fn an_equation_that_does_not_determine_the_solution_is_an_error() {
    let tape = Tape::new();
    let a = tape.input("a", (2, 1));
    let anything = implicit::root(
        "anything",
        1,
        |shapes| Ok(shapes[0]),
        |x, parameters| x.hadamard(x) - parameters[0],
        |_, mut x| {
            x.fill(0.0);
            Ok(())
        },
    );
    let at = Mat::<f64>::zeros(2, 1);
    let error = value_and_gradients(anything.apply([a]).sum(), &[a], &[("a", at.as_ref())]).unwrap_err();
    assert!(matches!(error, Error::Engine(EngineError::Singular { .. })), "{error}");
    // As many equations as unknowns.
    let few = implicit::root("few", 1, |shapes| Ok(shapes[0]), |x, _| x.sum(), |_, _| Ok(()));
    let error = gradient(few.apply([a]).sum(), &[a]).unwrap_err().to_string();
    assert!(error.contains("1×2 is not square"), "{error}");
}

/// Checkpoints may compute an operation again.
#[test]
fn operations_may_be_computed_again() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let k = blur(40, &CALLS);
    let tape = Tape::new();
    let x = tape.input("X", (40, 2));
    let y = (0..30).fold(x, |x, _| k.apply(x).tanh());
    let loss = y.square().sum();
    let outputs = [loss, gradient(loss, &[x]).unwrap()[0]];
    let at = check::random::<f64>(40, 2, 1);
    let run = |recompute: bool| {
        let options = Options::new().recompute(recompute);
        let mut program = Program::<f64>::compile_with(&outputs, options).unwrap();
        CALLS.store(0, Ordering::Relaxed);
        let run = program.run(&[("X", at.as_ref())]).unwrap();
        let grad = run.get(1).unwrap().to_owned();
        (grad, CALLS.load(Ordering::Relaxed), program.bytes())
    };
    let ((plain, calls, bytes), (again, more, fewer)) = (run(false), run(true));
    assert_eq!(plain, again);
    assert!(more > calls && 2 * fewer < bytes, "{calls} calls in {bytes} bytes, {more} in {fewer}");
}

// ---- the checker -----------------------------------------------------------------------------------------

/// The derivative of `exp`, off by a factor, or a kernel that breaks a promise.
struct Flawed(Flaw);

#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    Derivative,
    Adjoint,
    Unwritten,
    Varying,
    Scratch,
    Strides,
    Single,
    NotLinear,
}

impl CustomOp for Flawed {
    fn name(&self) -> &str {
        "exp times"
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Nonlinear, Argument::Linear]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        if args[0] == args[1] { Ok(args[0]) } else { Err("two shapes".to_owned()) }
    }

    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        let factor = if self.0 == Flaw::Derivative { 1.001 } else { 1.0 };
        factor * at.value().hadamard(e)
    }

    fn adjoint<'t>(&self, at: &At<'_, 't>, y_bar: Var<'t>) -> Var<'t> {
        let factor = if self.0 == Flaw::Adjoint { 1.001 } else { 1.0 };
        factor * at.arg(0).exp().hadamard(y_bar)
    }

    fn scratch(&self, args: &[Shape]) -> StackReq {
        if self.0 == Flaw::Scratch { StackReq::EMPTY } else { temp_mat_scratch::<f64>(args[0].rows, 1) }
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        mut out: MatMut<'_, f64>,
        stack: &mut MemStack,
    ) -> Result<(), String> {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let _ = temp_mat_zeroed::<f64, _, _>(args[0].nrows(), 1, stack);
        for j in 0..out.ncols() {
            for i in 0..out.nrows() {
                let (a, b) = (args[0][(i, j)], args[1][(i, j)]);
                let b = match self.0 {
                    Flaw::NotLinear => b + 1e-3 * b * b,
                    Flaw::Varying => b + 1e-16 * RUNS.fetch_add(1, Ordering::Relaxed) as f64,
                    Flaw::Strides if args[1].row_stride() != 1 => 1.001 * b,
                    Flaw::Unwritten if i + j == 0 => continue,
                    _ => b,
                };
                out[(i, j)] = a.exp() * b;
            }
        }
        Ok(())
    }

    fn run_f32(
        &self,
        args: &[MatRef<'_, f32>],
        mut out: MatMut<'_, f32>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        let factor = if self.0 == Flaw::Single { 1.001 } else { 1.0 };
        out.copy_from(Mat::from_fn(args[0].nrows(), args[0].ncols(), |i, j| {
            factor * args[0][(i, j)].exp() * args[1][(i, j)]
        }));
        Ok(())
    }
}

#[test]
fn the_checker_finds_every_flaw() {
    let (a, b) = (check::random::<f64>(3, 4, 1), check::random::<f64>(3, 4, 2));
    let of = |flaw| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let report = check::operation(&Operation::new(Flawed(flaw)), &[a.as_ref(), b.as_ref()]);
        std::panic::set_hook(hook);
        report
    };
    let sound = of(Flaw::None).unwrap();
    assert!(sound.passes(), "{sound}");
    let text = sound.to_string();
    for line in [
        "exp times of 3×4, 3×4: 3×4",
        "  ✓ scratch       as much as it asked for suffices",
        "  ✓ every entry   12 of 12 are written",
        "  ✓ again         12 of 12 have the same bits",
        "  ✓ strides       stored by rows, to 0.0e0",
        "  argument 0, nonlinear, by its derivative",
        "  argument 1, linear, by its adjoint",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let broken = |report: &check::OperationReport| -> Vec<&str> {
        report.kernel.iter().filter(|finding| !finding.passes).map(|finding| finding.subject).collect()
    };
    for (flaw, subject) in [
        (Flaw::Unwritten, "every entry"),
        (Flaw::Strides, "strides"),
        (Flaw::Single, "f32"),
        (Flaw::NotLinear, "linear"),
    ] {
        let report = of(flaw).unwrap();
        assert!(!report.passes() && broken(&report).contains(&subject), "{subject}\n{report}");
    }
    for flaw in [Flaw::Derivative, Flaw::Adjoint] {
        let report = of(flaw).unwrap();
        assert!(!report.passes() && broken(&report).is_empty(), "{report}");
    }
    assert!(broken(&of(Flaw::Varying).unwrap()).contains(&"again"));
    // In a program, there may be enough scratch that others need; here there is none.
    let error = of(Flaw::Scratch).unwrap_err();
    assert!(error.to_string().starts_with("exp times: panicked: "), "{error}");
    let error = check::operation(&Operation::new(Flawed(Flaw::None)), &[a.as_ref()]).unwrap_err();
    assert!(error.to_string().contains("takes 2 operands, not 1"), "{error}");
}

// ---- many arguments --------------------------------------------------------------------------------------

/// The sum of as many matrices as an operation can have.
struct Sum;

impl CustomOp for Sum {
    fn name(&self) -> &str {
        "sum of sixteen"
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Nonlinear; 16]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        Ok(args[0])
    }

    fn derivative<'t>(&self, _: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        e
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        mut out: MatMut<'_, f64>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        out.fill(0.0);
        args.iter().for_each(|x| out += x);
        Ok(())
    }
}

/// However many arguments an operation has, a run allocates nothing; and what was computed on the way, named, is a variable.
#[test]
fn many_arguments_take_no_memory() {
    let tape = Tape::new();
    let xs: [Var<'_>; 16] = std::array::from_fn(|i| tape.input(&format!("X{i}"), (3, 3)));
    let h = Operation::new(Sum).apply(xs).named("H");
    let s = tape.symmetric("S", 3);
    let loss = h.square().sum() + s.symmetric_function(|x| x.tanh()).inner(h);
    let gradient = gradient(loss, &[h]).unwrap()[0].to_string();
    assert!(gradient.starts_with("2 H + fun(tanh(λ(S)))\n  where H = sum of sixteen(X0, "), "{gradient}");
    let mut program = compile::<f64>(loss, &[h, xs[0], s]).unwrap();
    let at = Mat::<f64>::identity(3, 3);
    let names: Vec<String> = tape.inputs().into_iter().map(|(name, _)| name).collect();
    let bound: Vec<_> = names.iter().map(|name| (name.as_str(), at.as_ref())).collect();
    let run = program.run(&bound).unwrap();
    assert_eq!(run.get(1), run.get(2));
    let allocations = measure(|| assert!(program.run(&bound).is_ok()));
    assert_eq!(allocations.count_total, 0);
}
