//! Derivatives of any order: dense matrices of them, products with them, what they cost, and what their eigenvalues are.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback::curvature::Hessian;
use pullback::custom::{Argument, At, CustomOp, Operation};
use pullback::faer::dyn_stack::MemStack;
use pullback::faer::{Mat, MatMut, MatRef, Side, mat};
use pullback::prelude::*;
use pullback::{gauss_newton, hessian_diagonal, metric_product};

/// Random matrices for all inputs of a tape; symmetric ones for those that are.
fn at(tape: &Tape) -> Vec<(String, Mat<f64>)> {
    let mut seed = 0;
    let inputs = tape.inputs().into_iter();
    inputs
        .map(|(name, shape)| {
            seed += 1;
            let matrix: Mat<f64> = check::random(shape.rows, shape.cols, seed);
            let symmetric = tape.input(&name, shape).t().same(tape.input(&name, shape)) && !shape.is_scalar();
            let matrix = if symmetric {
                &matrix * matrix.transpose() + Mat::<f64>::identity(shape.rows, shape.rows)
            } else {
                matrix
            };
            (name, matrix)
        })
        .collect()
}

fn values(outputs: &[Var<'_>]) -> Vec<Mat<f64>> {
    let tape = outputs[0].tape();
    let mut program = Program::compile(&optimize(outputs, &[]).unwrap()).unwrap();
    assert_eq!(program.constants().count(), 0);
    let at = at(tape);
    let known: Vec<String> = program.inputs().map(|(name, _)| name.to_owned()).collect();
    let bound: Vec<_> =
        at.iter().filter(|(name, _)| known.contains(name)).map(|(n, m)| (n.as_str(), m.as_ref())).collect();
    program.run(&bound).unwrap_or_else(|error| panic!("{error}")).iter().map(|m| m.to_owned()).collect()
}

fn assert_close(a: MatRef<'_, f64>, b: MatRef<'_, f64>, what: &str) {
    assert_eq!((a.nrows(), a.ncols()), (b.nrows(), b.ncols()), "{what}");
    let error = (a - b).norm_max();
    assert!(error <= 1e-10 * (1.0 + b.norm_max()), "{what}: {error:e}\n{a:?}\n{b:?}");
}

/// `sin`, entry by entry.
struct Sine;

impl CustomOp for Sine {
    fn name(&self) -> &str {
        "sine"
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Nonlinear]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        Ok(args[0])
    }

    fn derivative<'t>(&self, at: &At<'_, 't>, e: Var<'t>) -> Var<'t> {
        at.arg(0).cos().hadamard(e)
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        mut out: MatMut<'_, f64>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        out.copy_from(Mat::from_fn(args[0].nrows(), args[0].ncols(), |i, j| args[0][(i, j)].sin()));
        Ok(())
    }
}

type Build = for<'t> fn(&'t Tape) -> (Var<'t>, Var<'t>);

const MAPS: &[(&str, Build)] = &[
    ("A x", |t| {
        let x = t.input("x", (3, 1));
        (t.input("A", (4, 3)) * x, x)
    }),
    ("tanh(A x) ⊘ y", |t| {
        let x = t.input("x", (3, 1));
        ((t.input("A", (4, 3)) * x).tanh().quotient(t.input("y", (4, 1)).exp()), x)
    }),
    ("A X B", |t| {
        let x = t.input("X", (2, 3));
        (t.input("A", (4, 2)) * x * t.input("B", (3, 5)), x)
    }),
    ("Xᵀ A X", |t| {
        let x = t.input("X", (3, 2));
        (x.t() * t.input("A", (3, 3)) * x, x)
    }),
    ("a row", |t| {
        let x = t.input("x", (1, 3));
        (x.exp() * t.input("B", (3, 4)), x)
    }),
    ("of a 1×1", |t| {
        let s = t.input("s", (1, 1));
        (s.exp() * t.input("A", (3, 2)), s)
    }),
    ("a 1×1 times X", |t| {
        let x = t.input("X", (3, 2));
        (x.norm_squared() * x, x)
    }),
    ("solve", |t| {
        let x = t.input("X", (3, 3));
        ((x * x.t() + t.identity(3)).solve(t.input("B", (3, 2))), x)
    }),
    ("solve on the right side", |t| {
        let x = t.input("X", (3, 2));
        (t.input("A", (3, 3)).solve(x), x)
    }),
    ("triangles", |t| {
        let x = t.input("X", (3, 3));
        ((x.tril() + 3.0 * t.identity(3)).solve_lower(x), x)
    }),
    ("diagonals", |t| {
        let x = t.input("X", (3, 3));
        ((x * x).diagonal().diag() * x.trace(), x)
    }),
    ("parts", |t| {
        let x = t.input("X", (4, 3));
        (x.slice(1..3, ..).reshape((3, 2)).t().hadamard(t.input("B", (2, 3))), x)
    }),
    ("column sums", |t| {
        let x = t.input("X", (4, 3));
        (x.square().col_sums(), x)
    }),
    ("softmax", |t| {
        let x = t.input("X", (4, 2));
        (x.softmax(), x)
    }),
    ("mean of a product", |t| {
        let x = t.input("X", (4, 2));
        (x.inner(t.input("B", (4, 2))) * x.sum(), x)
    }),
    ("inverse", |t| {
        let x = t.input("X", (3, 3));
        ((x + 4.0 * t.identity(3)).inv(), x)
    }),
    ("exponential", |t| {
        let x = t.input("X", (2, 2));
        (x.expm(), x)
    }),
    ("Cholesky factor of a symmetric matrix", |t| {
        let s = t.positive_definite("S", 3);
        (s.cholesky(), s)
    }),
    ("eigenvalues of a symmetric matrix", |t| {
        let s = t.symmetric("S", 3);
        (s.eigenvalues(), s)
    }),
    ("kept", |t| {
        let x = t.input("X", (3, 2));
        (x.exp().select(t.input("M", (3, 2)).less(t.zeros((3, 2))), x), x)
    }),
    ("expm(A) X", |t| {
        let x = t.input("X", (2, 2));
        (t.input("A", (2, 2)).expm_multiply(x), x)
    }),
    ("operation of one's own", |t| {
        let x = t.input("X", (2, 3));
        (Operation::new(Sine).apply([x]) * t.input("B", (3, 1)), x)
    }),
    ("constant", |t| (t.input("A", (2, 2)), t.input("X", (2, 2)))),
    ("itself", |t| {
        let x = t.input("X", (3, 2));
        (x, x)
    }),
    ("transposed", |t| {
        let x = t.input("X", (3, 2));
        (x.t(), x)
    }),
    ("empty", |t| {
        let x = t.input("X", (0, 2));
        (t.input("A", (3, 0)) * x, x)
    }),
    ("empty value", |t| {
        let x = t.input("X", (2, 2));
        (t.input("A", (0, 2)) * x, x)
    }),
];

/// `vec(D y[E]) = J vec(E)` for a random E, and the adjoint the same way.
#[test]
fn a_jacobian_is_the_matrix_of_the_derivative() {
    for (name, build) in MAPS {
        let tape = Tape::new();
        let (y, x) = build(&tape);
        let symmetric = x.t().same(x) && !x.shape().is_scalar();
        let e = tape.input("E", x.shape());
        let e = if symmetric { e.symmetrize() } else { e };
        let g = tape.input("G", y.shape());
        let j = jacobian(y, x).unwrap();
        assert_eq!(j.shape(), Shape::new(y.rows() * y.cols(), x.rows() * x.cols()), "{name}");
        let x_bar = vjp(y, &[x], g).unwrap()[0];
        let x_bar = if symmetric { x_bar.symmetrize() } else { x_bar };
        let [j, y_dot, e, g, x_bar] =
            values(&[j, jvp(y, &[(x, e)]).unwrap().vec(), e.vec(), g.vec(), x_bar.vec()]).try_into().unwrap();
        assert_close((&j * &e).as_ref(), y_dot.as_ref(), name);
        assert_close((j.transpose() * &g).as_ref(), x_bar.as_ref(), name);
    }
}

/// As formulas, they are those of the textbook.
#[test]
fn jacobians_and_hessians_print_as_in_a_textbook() {
    let tape = Tape::new();
    let (a, x, w) = (tape.input("A", (4, 3)), tape.input("X", (9, 3)), tape.input("w", (3, 1)));
    let (q, y) = (tape.symmetric("Q", 3), tape.input("y", (9, 1)));
    let text = |var: Result<Var<'_>, _>| {
        var.map(|var: Var<'_>| var.to_string()).map_err(|e: pullback::errors::RulesError| e)
    };
    assert_eq!(text(jacobian(a * w, w)).unwrap(), "A");
    assert_eq!(text(jacobian(w, w)).unwrap(), "I");
    assert_eq!(text(jacobian(w.square(), w)).unwrap(), "2 Diag(w)");
    assert_eq!(text(hessian(0.5 * (w.t() * q * w), w)).unwrap(), "Q");
    assert_eq!(text(hessian(0.5 * (x * w - y).norm_squared(), w)).unwrap(), "Xᵀ X");
    assert_eq!(text(hessian(w.exp().sum(), w)).unwrap(), "Diag(exp(w))");
    // Logistic regression.
    let z = (x * w).named("z");
    assert_eq!(text(hessian(z.softplus().sum(), w)).unwrap(), "Xᵀ Diag(σ(z) − σ(z)∘²) X where z = X w",);
    assert_eq!(text(hessian_diagonal(w.exp().sum(), w)).unwrap(), "exp(w)");
}

const LOSSES: &[(&str, Build)] = &[
    ("network", |t| {
        let (x, w) = (t.input("X", (3, 5)), t.input("W", (2, 3)));
        (losses::cross_entropy((w * x).tanh(), t.input("Y", (2, 5)).softmax()), w)
    }),
    ("deep linear network", |t| {
        let w = t.input("W", (3, 2));
        (losses::squared(t.input("V", (2, 3)) * w * t.input("X", (2, 4)), t.input("Y", (2, 4))), w)
    }),
    ("log-likelihood", |t| {
        let x = t.input("X", (3, 2));
        let k = x * x.t() + t.identity(3);
        let y = t.input("y", (3, 1));
        (0.5 * (y.t() * k.solve(y) + k.log_det()), x)
    }),
    ("of a symmetric matrix", |t| {
        let s = t.positive_definite("S", 3);
        (s.log_det() + s.inv().trace(), s)
    }),
];

#[test]
fn a_hessian_is_the_matrix_of_its_products() {
    for (name, build) in LOSSES {
        let tape = Tape::new();
        let (loss, x) = build(&tape);
        let symmetric = x.t().same(x);
        let e = tape.input("E", x.shape());
        let e = if symmetric { e.symmetrize() } else { e };
        let h = hessian(loss, x).unwrap();
        let product = hvp(loss, &[(x, e)]).unwrap()[0].vec();
        let diagonal = hessian_diagonal(loss, x).unwrap().vec();
        let [h, product, e, diagonal] = values(&[h, product, e.vec(), diagonal]).try_into().unwrap();
        assert_close((&h * &e).as_ref(), product.as_ref(), name);
        if !symmetric {
            assert_close(h.as_ref(), h.transpose(), name);
        }
        let wanted = Mat::from_fn(h.nrows(), 1, |i, _| h[(i, i)]);
        assert_close(diagonal.as_ref(), wanted.as_ref(), name);
    }
}

/// The diagonal of `Xᵀ Diag(d) X` takes no product of matrices.
#[test]
fn the_diagonal_of_a_hessian_is_cheaper_than_the_hessian() {
    let tape = Tape::new();
    let (x, w) = (tape.input("X", (200, 50)), tape.input("w", (50, 1)));
    let loss = (x * w).softplus().sum();
    let flops = |y: Var<'_>| Program::<f64>::compile(&optimize(&[y], &[]).unwrap()).unwrap().flops();
    let (diagonal, whole) = (flops(hessian_diagonal(loss, w).unwrap()), flops(hessian(loss, w).unwrap()));
    assert!(whole > 500_000 && diagonal < 100_000, "{diagonal} {whole}");
}

/// `∂²L/∂x∂z` is the transpose of `∂²L/∂z∂x`.
#[test]
fn mixed_partial_derivatives_commute() {
    let tape = Tape::new();
    let (w, v, x) = (tape.input("W", (3, 2)), tape.input("V", (2, 3)), tape.input("X", (2, 4)));
    let loss = (v * (w * x).tanh()).log_sum_exp().sum();
    let one = jacobian(gradient(loss, &[w]).unwrap()[0], v).unwrap();
    let other = jacobian(gradient(loss, &[v]).unwrap()[0], w).unwrap();
    let [one, other] = values(&[one, other]).try_into().unwrap();
    assert_close(one.as_ref(), other.transpose(), "mixed");
}

/// The third derivative `D³L[u, v, w]` does not depend on the order of the directions, and is what the definition says.
#[test]
fn the_third_derivative_is_symmetric() {
    let tape = Tape::new();
    let (x, a) = (tape.input("x", (4, 1)), tape.input("A", (3, 4)));
    let loss = (a * x).tanh().square().sum() + (x.norm_squared() + 1.0).ln();
    let [u, v, w] = ["u", "v", "w"].map(|name| tape.input(name, (4, 1)));
    let third = |u, v, w| {
        let second = jvp(jvp(loss, &[(x, u)]).unwrap(), &[(x, v)]).unwrap();
        jvp(second, &[(x, w)]).unwrap()
    };
    // Reverse over forward over reverse.
    let reverse = gradient(hvp(loss, &[(x, u)]).unwrap()[0].inner(v), &[x]).unwrap()[0].inner(w);
    let all = values(&[third(u, v, w), third(w, u, v), third(v, w, u), reverse]);
    for other in &all[1..] {
        assert_close(all[0].as_ref(), other.as_ref(), "third");
    }
    let slope = jvp(jvp(loss, &[(x, u)]).unwrap(), &[(x, v)]).unwrap();
    let at = at(&tape);
    let bound: Vec<_> =
        at.iter().filter(|(name, _)| name != "w").map(|(n, m)| (n.as_str(), m.as_ref())).collect();
    assert!(check::taylor(slope, x, &bound).unwrap().passes());
    // Of Σ x⁴: 24 Σ x u v w.
    let quartic = x.powf(4.0).sum();
    let third = jvp(jvp(jvp(quartic, &[(x, u)]).unwrap(), &[(x, v)]).unwrap(), &[(x, w)]).unwrap();
    let [found, wanted] = values(&[third, 24.0 * x.hadamard(u).hadamard(v).inner(w)]).try_into().unwrap();
    assert_close(found.as_ref(), wanted.as_ref(), "quartic");
}

// ---- costs -----------------------------------------------------------------------------------------------

fn flops(outputs: &[Var<'_>]) -> u64 {
    Program::<f64>::compile(&optimize(outputs, &[]).unwrap()).unwrap().flops()
}

/// Of many cotangents, or many directions, the forward pass is computed once.
#[test]
fn one_forward_pass_serves_many() {
    let tape = Tape::new();
    let ws: Vec<_> = (0..4).map(|k| tape.input(&format!("W{k}"), (64, 64))).collect();
    let x = tape.input("X", (64, 64));
    let y = ws.iter().fold(x, |x, &w| (w * x).tanh());
    let cotangents: Vec<_> = (0..3).map(|k| tape.input(&format!("G{k}"), y.shape())).collect();
    let all: Vec<_> = cotangents.iter().flat_map(|&g| vjp(y, &ws, g).unwrap()).collect();
    let (one, many) = (flops(&vjp(y, &ws, cotangents[0]).unwrap()), flops(&all));
    // Four products forward, seven back: of three, 4 + 3 · 7.
    let product = 2 * 64u64.pow(3);
    assert!((11 * product..12 * product).contains(&one), "{one}");
    assert!((25 * product..27 * product).contains(&many), "{many}");
    // Several directions from one gradient.
    let loss = losses::squared(y, tape.input("Y", y.shape()));
    let directions = |k: usize| -> Vec<_> {
        ws.iter().map(|&w| (w, tape.input(&format!("V{k} of {w}"), w.shape()))).collect()
    };
    let mut outputs = gradient(loss, &ws).unwrap();
    let gradient = flops(&outputs);
    let mut before = gradient;
    let mut costs = Vec::new();
    for k in 0..3 {
        outputs.extend(hvp(loss, &directions(k)).unwrap());
        let now = flops(&outputs);
        costs.push((now - before) as f64 / gradient as f64);
        before = now;
    }
    assert!(costs.iter().all(|&cost| cost < 2.1), "{costs:?}");
}

/// A Hessian product takes at most 2.5 gradients, its own gradient included, where products or solves are what costs. Of L equal layers, a gradient takes L products
/// forward and 2L − 1 back; the derivative of each of these products has two terms, but for what does not vary: in all
/// 8L − 5 of 3L − 1, which is 2.5 at L = 5 and 8/3 in the limit.
#[test]
fn a_hessian_product_costs_at_most_two_and_a_half_gradients() {
    type Problem = for<'t> fn(&'t Tape) -> (Var<'t>, Vec<Var<'t>>);
    fn layers(t: &Tape, depth: usize) -> (Var<'_>, Vec<Var<'_>>) {
        let ws: Vec<_> = (0..depth).map(|k| t.input(&format!("W{k}"), (48, 48))).collect();
        let y = ws.iter().fold(t.input("X", (48, 48)), |x, &w| w * x);
        (losses::squared(y, t.input("Y", (48, 48))), ws)
    }
    let problems: [(&str, Problem, f64); 8] = [
        ("deep linear network", |t| layers(t, 4), 2.5),
        ("very deep linear network", |t| layers(t, 32), 8.0 / 3.0),
        (
            "network",
            |t| {
                let ws = vec![t.input("W1", (128, 64)), t.input("W2", (10, 128))];
                let y = ws[1] * (ws[0] * t.input("X", (64, 256))).tanh();
                (losses::cross_entropy(y, t.input("Y", (10, 256))), ws)
            },
            2.5,
        ),
        (
            "logistic regression",
            |t| {
                let w = t.input("w", (50, 1));
                ((t.input("X", (400, 50)) * w).softplus().sum(), vec![w])
            },
            2.5,
        ),
        // The gradient in K takes no more than the half of an inverse that is symmetric; −K⁻¹ V K⁻¹ takes two products.
        (
            "likelihood in the covariance",
            |t| {
                let k = t.positive_definite("K", 100);
                let y = t.input("y", (100, 1));
                (0.5 * (y.t() * k.solve(y) + k.log_det()), vec![k, y])
            },
            5.2,
        ),
        (
            "likelihood in hyperparameters",
            |t| {
                let (d, y) = (t.symmetric("D", 100), t.input("y", (100, 1)));
                let (length, noise) = (t.input("l", (1, 1)), t.input("s", (1, 1)));
                let k = (-0.5 * d / length).exp() + noise.exp() * t.identity(100);
                (0.5 * (y.t() * k.solve(y) + k.log_det()), vec![length, noise])
            },
            3.0,
        ),
        (
            "matrix factorization",
            |t| {
                let (u, v) = (t.input("U", (80, 6)), t.input("V", (70, 6)));
                (
                    t.input("M", (80, 70)).hadamard(u * v.t() - t.input("Y", (80, 70))).norm_squared(),
                    vec![u, v],
                )
            },
            2.5,
        ),
        // An inverse, and two products with it.
        (
            "determinant",
            |t| {
                let a = t.input("A", (100, 100));
                (a.log_det(), vec![a])
            },
            3.01,
        ),
    ];
    for (name, build, most) in problems {
        let tape = Tape::new();
        let (loss, xs) = build(&tape);
        let directions: Vec<_> =
            xs.iter().map(|&x| (x, tape.input(&format!("V of {x}"), x.shape()))).collect();
        let directions: Vec<_> = directions
            .into_iter()
            .map(|(x, v)| (x, if x.t().same(x) && !x.shape().is_scalar() { v.symmetrize() } else { v }))
            .collect();
        let mut gradients = vec![loss];
        gradients.extend(gradient(loss, &xs).unwrap());
        let (gradient, product) = (flops(&gradients), flops(&hvp(loss, &directions).unwrap()));
        let ratio = product as f64 / gradient as f64;
        println!("{name}: {ratio:.2}");
        assert!(ratio <= most, "{name}: {product} of {gradient}, {ratio}");
    }
}

// ---- curvature -------------------------------------------------------------------------------------------

/// Of the cross-entropy of a softmax, the Gauss–Newton matrix is Fisher's: the covariance of the scores.
#[test]
fn gauss_newton_is_fisher_for_a_softmax() {
    let tape = Tape::new();
    let (w, v, x) = (tape.input("W", (3, 4)), tape.input("V", (3, 4)), tape.input("X", (4, 6)));
    let labels = tape.input("Y", (3, 6)).softmax();
    let z = (w * x).tanh();
    let loss = losses::cross_entropy(z, labels);
    let products = gauss_newton(loss, z, &[(w, v)]).unwrap();
    let p = z.softmax();
    // Per sample, (Diag(p) − p pᵀ) ż; the loss is their mean.
    let fisher = metric_product(z, &[(w, v)], |z_dot| {
        (p.hadamard(z_dot) - p.mul_row(p.hadamard(z_dot).col_sums())) / 6.0
    })
    .unwrap();
    let found = values(&[products[0], fisher[0], v.inner(products[0])]);
    assert_close(found[0].as_ref(), found[1].as_ref(), "Fisher");
    assert!(found[2][(0, 0)] > 0.0);
    // Where z is linear in the variables, it is the Hessian.
    let z = w * x;
    let loss = losses::cross_entropy(z, labels);
    let found = values(&[gauss_newton(loss, z, &[(w, v)]).unwrap()[0], hvp(loss, &[(w, v)]).unwrap()[0]]);
    assert_close(found[0].as_ref(), found[1].as_ref(), "linear");
}

/// The ends of the spectrum are those of the dense Hessian.
#[test]
fn lanczos_finds_the_extreme_eigenvalues() {
    for (name, build) in &LOSSES[..3] {
        let tape = Tape::new();
        let (loss, x) = build(&tape);
        let dense = values(&[hessian(loss, x).unwrap()]).remove(0);
        let eigen = dense.self_adjoint_eigen(Side::Lower).unwrap();
        let (smallest, largest) = (eigen.S()[0], eigen.S()[dense.nrows() - 1]);
        let mut map = Hessian::<f64>::compile(loss, &[x]).unwrap();
        let at = at(&tape);
        let at: Vec<_> = at.iter().map(|(name, m)| (name.as_str(), m.as_ref())).collect();
        map.set(&at).unwrap();
        let found = map.extremes(1e-12, 100).unwrap();
        for (extreme, wanted) in [(&found.smallest, smallest), (&found.largest, largest)] {
            let error = (extreme.value - wanted).abs();
            assert!(error <= 1e-11 * largest.abs().max(smallest.abs()), "{name}: {extreme:?} {wanted}");
            let v = extreme.vector[0].as_ref();
            let product = map.product(&[v]).unwrap().remove(0);
            let residual = (product - v * pullback::faer::Scale(extreme.value)).norm_l2();
            assert!(
                residual <= extreme.residual + 1e-11 * largest.abs(),
                "{name}: {residual} {}",
                extreme.residual
            );
            assert!((v.norm_l2() - 1.0).abs() < 1e-12);
        }
    }
}

/// Eigenvalues that all coincide, no curvature at all, several variables of different shapes, constants, single precision.
#[test]
fn lanczos_ends_where_there_is_little_to_find() {
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (3, 2)), tape.input("y", (4, 1)));
    let c = tape.constant("C", (4, 4));
    let of = |loss: Var<'_>| {
        let mut map = Hessian::<f64>::compile(loss, &[x, y]).unwrap();
        let c = Mat::from_fn(4, 4, |i, j| if i == j { i as f64 } else { 0.0 });
        let (x, y) = (check::random::<f64>(3, 2, 1), check::random::<f64>(4, 1, 2));
        map.set(&[("X", x.as_ref()), ("y", y.as_ref()), ("C", c.as_ref())]).unwrap();
        let found = map.extremes(1e-10, 50).unwrap();
        (found.smallest.value, found.largest.value, found.products)
    };
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    let (low, high, _) = of(x.norm_squared() + y.norm_squared());
    assert!(near(low, 2.0) && near(high, 2.0), "{low} {high}");
    let (low, high, _) = of(x.sum() + y.sum());
    assert_eq!((low, high), (0.0, 0.0));
    let (low, high, products) = of(0.5 * (y.t() * c * y) - 0.5 * x.norm_squared());
    assert!(near(low, -1.0) && near(high, 3.0) && products <= 10, "{low} {high} {products}");
    // In single precision.
    let mut map = Hessian::<f32>::compile(x.square().square().sum(), &[x]).unwrap();
    let at = Mat::from_fn(3, 2, |i, j| (1 + i + j) as f32);
    map.set(&[("X", at.as_ref())]).unwrap();
    let found = map.extremes(1e-5, 50).unwrap();
    assert!(
        (found.smallest.value - 12.0).abs() < 1e-3 && (found.largest.value - 192.0).abs() < 1e-3,
        "{found:?}"
    );
    // Symmetric matrices: of ½ ⟨S, C S⟩ among them.
    let s = tape.symmetric("S", 3);
    let mut map = Hessian::<f64>::compile(s.log_det(), &[s]).unwrap();
    let at = mat![[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 4.0]];
    map.set(&[("S", at.as_ref())]).unwrap();
    let found = map.extremes(1e-12, 50).unwrap();
    // −S⁻¹ E S⁻¹ has the eigenvalues −1/(sᵢ sⱼ), and only six of them here.
    assert!(near(found.smallest.value, -1.0) && near(found.largest.value, -1.0 / 16.0), "{found:?}");
    assert!(found.products <= 6);
    // Nothing to vary.
    let empty = tape.input("nothing", (0, 3));
    let mut map = Hessian::<f64>::compile(empty.norm_squared(), &[empty]).unwrap();
    map.set(&[]).unwrap();
    assert_eq!(map.extremes(1e-12, 5).unwrap().products, 0);
    // What is not finite is told at once.
    let mut map = Hessian::<f64>::compile(x.ln().sum(), &[x]).unwrap();
    map.set(&[("X", Mat::<f64>::zeros(3, 2).as_ref())]).unwrap();
    let found = map.extremes(1e-12, 50).unwrap();
    assert!(found.smallest.value.is_nan() && found.largest.residual.is_nan() && found.products == 1);
    // What was not set is an error.
    let mut map = Hessian::<f64>::compile(x.exp().sum(), &[x]).unwrap();
    assert!(map.extremes(1e-3, 5).is_err());
}
