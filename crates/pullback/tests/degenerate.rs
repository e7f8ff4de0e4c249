//! Derivatives where decompositions are not unique: exact where the loss does not depend on the choice, and a typed error
//! where it does.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback::errors::EngineError;
use pullback::faer::{Mat, MatRef, mat};
use pullback::prelude::*;

/// A rotation of the plane of the first two of `n` coordinates and of the last two.
fn rotation(n: usize, angle: f64) -> Mat<f64> {
    let (s, c) = angle.sin_cos();
    let turn = |k: usize| {
        let mut turn = Mat::<f64>::identity(n, n);
        (turn[(k, k)], turn[(k + 1, k + 1)], turn[(k + 1, k)], turn[(k, k + 1)]) = (c, c, s, -s);
        turn
    };
    (0..n - 1).fold(Mat::identity(n, n), |product, k| product * turn(k))
}

/// An m×n matrix with these singular values.
fn with_values(m: usize, n: usize, values: &[f64]) -> Mat<f64> {
    let middle = Mat::from_fn(m, n, |i, j| if i == j { values[i] } else { 0.0 });
    rotation(m, 0.4) * middle * rotation(n, 0.9).transpose()
}

/// The gradient of a loss in `A`.
fn gradient_at(
    a: &Mat<f64>,
    loss: &dyn for<'t> Fn(&'t Tape, Var<'t>) -> Var<'t>,
) -> Result<(f64, Mat<f64>), Error> {
    let tape = Tape::new();
    let x = tape.input("A", (a.nrows(), a.ncols()));
    let (value, mut gradients) = value_and_gradients(loss(&tape, x), &[x], &[("A", a.as_ref())])?;
    Ok((value, gradients.remove(0)))
}

fn distance(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    (a - b).norm_max()
}

/// Central differences.
fn differences(a: &Mat<f64>, loss: &dyn for<'t> Fn(&'t Tape, Var<'t>) -> Var<'t>) -> Mat<f64> {
    let tape = Tape::new();
    let x = tape.input("A", (a.nrows(), a.ncols()));
    let mut program = Program::<f64>::compile(&[loss(&tape, x)]).unwrap();
    let mut at = |i: usize, j: usize, h: f64| {
        let mut moved = a.clone();
        moved[(i, j)] += h;
        program.run(&[("A", moved.as_ref())]).unwrap().scalar(0).unwrap()
    };
    let h = 1e-5;
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| (at(i, j, h) - at(i, j, -h)) / (2.0 * h))
}

fn weights<'t>(tape: &'t Tape, shape: Shape) -> Var<'t> {
    let entry = |i: usize, j: usize| ((1 + i + 3 * j) as f64 * 0.37).sin();
    let rows: Vec<Vec<Var<'_>>> =
        (0..shape.rows).map(|i| (0..shape.cols).map(|j| tape.scalar(entry(i, j))).collect()).collect();
    let rows: Vec<&[Var<'_>]> = rows.iter().map(Vec::as_slice).collect();
    tape.blocks(&rows)
}

/// The projector on the singular vectors of a whole cluster, and symmetric functions of its values.
#[test]
fn what_treats_coinciding_singular_values_alike_has_a_gradient() {
    type Loss = for<'t> fn(&'t Tape, Var<'t>) -> Var<'t>;
    let losses: [(&str, Loss); 5] = [
        ("projector on the left", |t, a| {
            let u = a.left_vectors().slice(.., ..2);
            (u * u.t()).inner(weights(t, Shape::new(a.rows(), a.rows())))
        }),
        ("projector on the right", |t, a| {
            let v = a.right_vectors().slice(.., ..2);
            (v * v.t()).inner(weights(t, Shape::new(a.cols(), a.cols())))
        }),
        ("sum of values", |_, a| a.nuclear_norm()),
        ("polar factor", |t, a| a.polar().0.inner(weights(t, a.shape()))),
        ("sum of powers", |_, a| a.schatten_norm(3.0)),
    ];
    for (m, n) in [(5, 3), (3, 5), (3, 3)] {
        let a = with_values(m, n, &[2.0, 2.0, 0.5]);
        for (name, loss) in losses {
            let (value, gradient) = gradient_at(&a, &loss).unwrap();
            let wanted = differences(&a, &loss);
            assert!(value.is_finite());
            let error = distance(gradient.as_ref(), wanted.as_ref());
            assert!(error < 1e-8, "{name} of {m}×{n}: {error:e}");
        }
    }
}

#[test]
fn what_tells_coinciding_singular_values_apart_is_an_error() {
    for (m, n) in [(5, 3), (3, 5), (3, 3)] {
        let a = with_values(m, n, &[3.0, 1.0, 1.0]);
        let vectors = gradient_at(&a, &|t, a| a.left_vectors().inner(weights(t, Shape::new(a.rows(), 3))));
        let values = gradient_at(&a, &|_, a| a.singular_values().entry(1, 0));
        for (result, wanted) in [(vectors, "symmetric gaps"), (values, "diag beside a spectrum")] {
            let error = result.unwrap_err();
            let Error::Engine(EngineError::Coincide { formula, first, second, gap, .. }) = &error else {
                panic!("{error}, not of {wanted}")
            };
            assert_eq!((formula.as_str(), *first, *second), ("sv(A)", 1, 2));
            assert!(*gap < 1e-14);
        }
    }
}

/// The left vectors of a tall matrix span a space that is not determined where a singular value vanishes.
#[test]
fn vectors_of_vanishing_singular_values_are_an_error_only_if_they_matter() {
    for (m, n, transposed) in [(5, 3, false), (3, 5, true)] {
        let a = with_values(m, n, &[3.0, 1.0, 0.0]);
        let all = gradient_at(&a, &|t, a| {
            let u = if transposed { a.right_vectors() } else { a.left_vectors() };
            (u * u.t()).inner(weights(t, Shape::new(5, 5)))
        });
        let error = all.unwrap_err();
        assert!(matches!(&error, Error::Engine(EngineError::Singular { pivot: 2, .. })), "{error}");
        let loss: &dyn for<'t> Fn(&'t Tape, Var<'t>) -> Var<'t> = &|t, a| {
            let u = if transposed { a.right_vectors() } else { a.left_vectors() };
            let u = u.slice(.., ..2);
            (u * u.t()).inner(weights(t, Shape::new(5, 5)))
        };
        let (_, gradient) = gradient_at(&a, loss).unwrap();
        assert!(distance(gradient.as_ref(), differences(&a, loss).as_ref()) < 1e-8);
    }
}

/// Small singular values far from each other relative to their size, but not to the largest: their vectors are as accurate as
/// rounding of the matrix allows.
#[test]
fn small_singular_values_are_told_apart() {
    let a = mat![[1.0, 0.0, 0.0], [0.0, 3e-9, 0.0], [0.0, 0.0, 1e-9]];
    let (_, gradient) = gradient_at(&a, &|_, a| a.left_vectors().entry(1, 2)).unwrap();
    // By the rule, with σ₁ = 3 and σ₂ = 1 after scaling.
    let wanted = 1e9 * (0.5 * (1.0 / (1.0 - 3.0) + 1.0 / (1.0 + 3.0)));
    assert!((gradient[(1, 2)] / wanted - 1.0).abs() < 1e-6, "{} {wanted}", gradient[(1, 2)]);
}

#[test]
fn norms_of_the_zero_matrix_have_the_gradient_zero() {
    type Loss = for<'t> fn(&'t Tape, Var<'t>) -> Var<'t>;
    let losses: [Loss; 6] = [
        |_, a| a.nuclear_norm(),
        |_, a| a.spectral_norm(),
        |_, a| a.schatten_norm(1.0),
        |_, a| a.schatten_norm(2.0),
        |_, a| a.schatten_norm(3.5),
        |_, a| a.schatten_norm(f64::INFINITY),
    ];
    for loss in losses {
        for (m, n) in [(3, 2), (2, 3), (2, 2), (1, 1), (0, 2), (0, 0)] {
            let (value, gradient) = gradient_at(&Mat::zeros(m, n), &loss).unwrap();
            assert_eq!(value, 0.0);
            assert_eq!(gradient, Mat::<f64>::zeros(m, n));
        }
    }
}

#[test]
fn norms_are_what_they_are_called() {
    let a = with_values(4, 3, &[4.0, 2.0, 1.0]);
    type Loss = for<'t> fn(&'t Tape, Var<'t>) -> Var<'t>;
    let losses: [(Loss, f64); 5] = [
        (|_, a| a.nuclear_norm(), 7.0),
        (|_, a| a.spectral_norm(), 4.0),
        (|_, a| a.schatten_norm(2.0), 21f64.sqrt()),
        (|_, a| a.schatten_norm(3.0), 73f64.cbrt()),
        (|_, a| a.schatten_norm(f64::INFINITY), 4.0),
    ];
    for (loss, wanted) in losses {
        let (value, _) = gradient_at(&a, &loss).unwrap();
        assert!((value - wanted).abs() < 1e-14 * wanted, "{value} {wanted}");
    }
}

/// Along matrices of the same rank the pseudo-inverse has a derivative, though the rank is not full.
#[test]
fn the_pseudo_inverse_has_a_derivative_where_the_rank_stays() {
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (5, 2)), tape.input("Y", (2, 4)));
    let product = (x * y).pseudo_inverse();
    let (at_x, at_y) = (check::random::<f64>(5, 2, 1), check::random::<f64>(2, 4, 2));
    let bound = [("X", at_x.as_ref()), ("Y", at_y.as_ref())];
    for variable in [x, y] {
        let report = check::taylor(product, variable, &bound).unwrap();
        assert!(report.passes(), "{report}");
    }
}

/// What divides by a triangle says where it is singular.
#[test]
fn gradients_of_triangular_factors_of_singular_matrices_are_errors() {
    let a = check::random::<f64>(4, 2, 1) * check::random::<f64>(2, 4, 2);
    type Loss = for<'t> fn(&'t Tape, Var<'t>) -> Var<'t>;
    let losses: [(Loss, &str); 3] = [
        (|t, a| a.qr().0.inner(weights(t, a.shape())), "R(A)"),
        (|t, a| a.qr().1.inner(weights(t, a.shape())), "R(A)"),
        (|t, a| a.lu().1.inner(weights(t, a.shape())), "lu.U(A)"),
    ];
    for (loss, of) in losses {
        let error = gradient_at(&a, &loss).unwrap_err();
        let Error::Engine(EngineError::Singular { pivot: 2, .. }) = &error else { panic!("{error}") };
        assert!(error.to_string().contains(of), "{error}");
    }
}

// ---- determinants ----------------------------------------------------------------------------------------

/// By Laplace's expansion.
fn minors(a: &Mat<f64>) -> f64 {
    (0..a.ncols()).map(|j| a[(0, j)] * cofactor(a, 0, j)).sum()
}

fn cofactor(a: &Mat<f64>, row: usize, col: usize) -> f64 {
    let skip = |i: usize, without: usize| if i < without { i } else { i + 1 };
    let minor = Mat::from_fn(a.nrows() - 1, a.ncols() - 1, |i, j| a[(skip(i, row), skip(j, col))]);
    let det = if minor.nrows() == 0 { 1.0 } else { minors(&minor) };
    if (row + col).is_multiple_of(2) { det } else { -det }
}

/// A determinant has a gradient everywhere: its cofactors, which vanish at a rank of n − 2.
#[test]
fn determinants_of_singular_matrices_have_gradients() {
    let mut matrices = vec![mat![[0.0]], mat![[0.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]];
    for n in 2..=6 {
        let entry = |i: usize, j: usize| ((7 * i * i + 3 * i * j + 5 * j + 1) % 11) as f64 - 5.0;
        matrices.push(Mat::from_fn(n, n, |i, j| entry(i % (n - 1), j)));
        matrices.push(Mat::from_fn(n, n, |i, j| entry(i, j % (n - 1))));
        // Of rank 2.
        let sums = Mat::from_fn(n, n, |i, j| (i + j) as f64);
        matrices.extend((n > 2).then_some(sums));
        matrices.push(Mat::zeros(n, n));
    }
    for a in &matrices {
        let (n, size) = (a.nrows(), a.norm_max().max(1.0));
        let (value, gradient) = gradient_at(a, &|_, a| a.det()).unwrap();
        let wanted = Mat::from_fn(n, n, |i, j| cofactor(a, i, j));
        let scale = if wanted.norm_max() > 0.0 { wanted.norm_max() } else { size.powi(n as i32 - 1) };
        assert!(value.abs() <= 1e-12 * scale * size, "{value:e} {a:?}");
        assert!(distance(gradient.as_ref(), wanted.as_ref()) <= 1e-12 * scale, "{gradient:?} {wanted:?}");
        // Behind other functions too, and in a factor.
        let (_, chained) = gradient_at(a, &|_, a| (3.0 * a.det()).exp()).unwrap();
        assert!(distance(chained.as_ref(), (3.0 * &wanted).as_ref()) <= 1e-9 * scale * size.powi(n as i32));
        let (_, square) = gradient_at(a, &|_, a| (a * a).det()).unwrap();
        assert!(square.norm_max() <= 1e-9 * size.powi(2 * n as i32), "{square:?}");
    }
}

/// The second derivative needs an inverse.
#[test]
fn second_derivatives_of_determinants_of_singular_matrices_are_errors() {
    let a = mat![[1.0, 2.0], [2.0, 4.0]];
    let error = gradient_at(&a, &|_, a| a.adjugate().norm_squared()).unwrap_err();
    assert!(matches!(&error, Error::Engine(EngineError::Singular { .. })), "{error}");
    let (tape, e) = (Tape::new(), Mat::identity(2, 2));
    let (x, v) = (tape.input("A", (2, 2)), tape.input("V", (2, 2)));
    let second = hvp(x.det(), &[(x, v)]).unwrap()[0];
    let inputs = [("A", a.as_ref()), ("V", e.as_ref())];
    let error = evaluate(&[second], &inputs).unwrap_err();
    assert!(matches!(&error, Error::Engine(EngineError::Singular { .. })), "{error}");
    assert!(error.to_string().contains("`A`"), "{error}");
}

#[test]
fn the_sign_of_a_determinant_does_not_vary() {
    let a = with_values(3, 3, &[3.0, 2.0, 1.0]);
    let (sign, gradient) = gradient_at(&a, &|_, a| a.det_sign() * a.trace()).unwrap();
    assert!((sign - a.diagonal().column_vector().sum()).abs() < 1e-14);
    assert_eq!(gradient, Mat::<f64>::identity(3, 3));
}

/// What is rebuilt from singular vectors has its exact gradient where singular values coincide.
#[test]
fn reconstructions_from_singular_vectors_are_exact() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (3, 3)), tape.input("B", (3, 3)));
    let (u, s, v) = a.svd();
    let orthogonal = Mat::from_fn(3, 3, |i, j| [[0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [2.0, 0.0, 0.0]][i][j]);
    let other: Mat<f64> = check::random(3, 3, 7);
    let at = [("A", orthogonal.as_ref()), ("B", other.as_ref())];
    let outputs =
        [u * s.diag() * v.t(), u * v.t()].map(|product| gradient(b.inner(product), &[a]).unwrap()[0]);
    let [rebuilt, polar] = &evaluate(&outputs, &at).unwrap()[..] else { panic!("two outputs") };
    assert_eq!(rebuilt, &other);
    // At 2 Q the derivative of the polar factor is ¼ (ε − Q εᵀ Q), and so is its adjoint.
    let q = &orthogonal * 0.5;
    let right = (&other - &q * other.transpose() * &q) * 0.25;
    assert!((polar - right).norm_max() < 1e-14);
}

// ---- values beside vectors -------------------------------------------------------------------------------

type Loss = for<'t> fn(&'t Tape, Var<'t>) -> Var<'t>;

/// A symmetric matrix with these eigenvalues.
fn with_eigenvalues(values: &[f64]) -> Mat<f64> {
    let (n, turn) = (values.len(), rotation(values.len(), 0.7));
    let middle = Mat::from_fn(n, n, |i, j| if i == j { values[i] } else { 0.0 });
    let product = &turn * middle * turn.transpose();
    (&product + product.transpose()) * 0.5
}

/// `Σ f(λᵢ) vᵢ vᵢᵀ` over some eigenvalues of a symmetric matrix, column by column.
fn by_columns<'t>(a: Var<'t>, range: std::ops::Range<usize>, f: impl Fn(Var<'t>) -> Var<'t>) -> Var<'t> {
    let (values, vectors) = a.eigen();
    let term = |i: usize| f(values.entry(i, 0)) * (vectors.col(i) * vectors.col(i).t());
    range.map(term).fold(a.tape().zeros(a.shape()), |sum, term| sum + term)
}

/// `Σ f(σᵢ) uᵢ vᵢᵀ` over the first singular values.
fn first_singular<'t>(a: Var<'t>, count: usize, f: impl Fn(Var<'t>) -> Var<'t>) -> Var<'t> {
    let (u, s, v) = a.svd();
    let (u, v) = (u.slice(.., ..count), v.slice(.., ..count));
    u * f(s.slice(..count, ..)).diag() * v.t()
}

/// Symmetric, with a constant diagonal: what tells values apart does not show in it.
fn hollow<'t>(tape: &'t Tape, diagonal: f64) -> Var<'t> {
    let (d, one) = (tape.scalar(diagonal), tape.scalar(1.0));
    tape.blocks(&[&[d, one], &[one, d]])
}

/// The derivative of `Σ f(λᵢ) vᵢ vᵢᵀ` where all λ are equal is `f′ ε`, and nothing of it is seen in the cotangents of λ and V by
/// themselves, for which all of it vanishes.
#[test]
fn functions_put_together_by_hand_are_errors_where_values_coincide() {
    let losses: [(&str, Loss); 10] = [
        ("columns", |t, a| by_columns(a.symmetrize(), 0..2, |x| x - 1.0).inner(hollow(t, 0.0))),
        ("a term of a sum", |t, a| {
            3.0 * (by_columns(a.symmetrize(), 0..2, |x| x.ln()) - a).t().inner(hollow(t, 2.0))
        }),
        ("in a function", |t, a| {
            (by_columns(a.symmetrize(), 0..2, |x| x - 1.0) + hollow(t, 0.0)).norm_squared()
        }),
        ("entries", |_, a| {
            let (values, vectors) = a.symmetrize().eigen();
            let entry = |i: usize, j: usize| vectors.entry(j, i);
            let term = |i: usize| (values.entry(i, 0) - 1.0) * entry(i, 0) * entry(i, 1);
            term(0) + term(1)
        }),
        ("one column", |t, a| {
            let first = by_columns(a.symmetrize(), 0..1, |x| x - 1.0);
            first.inner(hollow(t, 0.0))
        }),
        ("a function of values and one of vectors", |_, a| {
            let (values, vectors) = a.symmetrize().eigen();
            (values.entry(0, 0) * values.entry(1, 0) - 1.0) * vectors.entry(0, 0).square()
        }),
        ("values of another matrix", |t, a| {
            let (s, v) = (a.singular_values(), (a.t() * a).eigenvectors());
            (v * (s - 1.0).diag() * v.t()).inner(hollow(t, 0.0))
        }),
        ("singular values", |t, a| first_singular(a, 2, |x| x.powi(3)).inner(hollow(t, 2.0))),
        ("right vectors", |t, a| {
            let v = a.right_vectors();
            (v * a.singular_values().ln().diag() * v.t()).inner(hollow(t, 0.0))
        }),
        ("real eigenvalues", |t, a| {
            let (values, vectors) = a.real_eigen();
            (vectors * values.square().diag() * vectors.inv()).inner(hollow(t, 2.0))
        }),
    ];
    let a = Mat::identity(2, 2);
    for (name, loss) in losses {
        let error = gradient_at(&a, &loss).map(|(_, gradient)| gradient).expect_err(name);
        let coincide = matches!(&error, Error::Engine(EngineError::Coincide { first: 0, second: 1, .. }));
        assert!(coincide, "{name}: {error}");
        // The gradient at the end of a derivation is the same expression.
        let tape = Tape::new();
        let x = tape.input("A", (2, 2));
        let derived = derivation(loss(&tape, x), x).unwrap().gradient;
        assert!(evaluate(&[derived], &[("A", a.as_ref())]).is_err(), "{name}");
    }
}

/// Each output by itself, whatever they are multiplied by; values and vectors that are outputs beside each other are not mixed.
#[test]
fn outputs_are_terms() {
    let tape = Tape::new();
    let (x, c) = (tape.input("A", (2, 2)), tape.input("C", (2, 2)));
    let a = Mat::<f64>::identity(2, 2);
    let at = |y: Var<'_>, seed: &Mat<f64>| {
        let name = format!("Y of {}", y.shape());
        let found = vjp(y, &[x], tape.input(&name, y.shape())).unwrap()[0];
        evaluate(&[found], &[("A", a.as_ref()), ("C", a.as_ref()), (&name, seed.as_ref())])
    };
    let sum = by_columns(x.symmetrize(), 0..2, |x| x - 1.0);
    for y in [sum, c * sum, 2.0 * (x - c * sum.t())] {
        let error = at(y, &mat![[0.0, 1.0], [1.0, 0.0]]).unwrap_err();
        assert!(matches!(error, Error::Engine(EngineError::Coincide { .. })), "{error}");
    }
    let (u, s, _) = x.svd();
    let beside = tape.stack_cols(&[s.square(), u]);
    let found = at(beside, &mat![[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]).unwrap();
    assert!(distance(found[0].as_ref(), (2.0 * &a).as_ref()) < 1e-15);
}

/// The space of left vectors of a vanishing singular value is one that a tall matrix leaves open.
#[test]
fn vectors_beside_a_singular_value_that_vanishes_are_an_error() {
    for (m, n) in [(5, 3), (3, 5)] {
        let a = with_values(m, n, &[3.0, 1.0, 0.0]);
        let loss: Loss = |t, a| {
            let last = first_singular(a, 3, |x| x.sinh()) - first_singular(a, 2, |x| x.sinh());
            last.inner(weights(t, a.shape()))
        };
        let error = gradient_at(&a, &loss).unwrap_err();
        assert!(matches!(&error, Error::Engine(EngineError::Singular { pivot: 2, .. })), "{error}");
    }
}

/// What uses the vectors of other values only has its exact gradient, and what does not mix values and vectors.
#[test]
fn values_and_vectors_beside_a_cluster_are_exact() {
    let losses: [(&str, Loss); 6] = [
        ("the largest", |t, a| {
            let largest = by_columns((a.t() * a).symmetrize(), a.cols() - 2..a.cols(), |x| x.sqrt());
            largest.inner(weights(t, largest.shape()))
        }),
        ("the first", |t, a| first_singular(a, 2, |x| x.ln()).inner(weights(t, a.shape()))),
        ("the best approximation", |_, a| (first_singular(a, 2, |x| x) - a).norm_squared()),
        ("entries", |_, a| {
            let (u, s, v) = a.svd();
            s.entry(1, 0) * u.entry(0, 1) * v.row(2).col(1) + s.entry(0, 0).exp()
        }),
        ("a sum", |t, a| {
            let u = a.left_vectors().slice(.., 2..4);
            let projector = (u * u.t()).inner(weights(t, Shape::new(a.rows(), a.rows())));
            a.singular_values().square().sum() + projector
        }),
        ("one beside values of all", |t, a| {
            a.singular_values().square().sum() * first_singular(a, 1, |x| x).inner(weights(t, a.shape()))
        }),
    ];
    for (m, n) in [(5, 4), (4, 5), (4, 4)] {
        for (name, loss) in losses {
            let a = with_values(m, n, &[3.0, 2.0, 0.5, 0.5]);
            let (_, gradient) = gradient_at(&a, &loss).expect(name);
            let error = distance(gradient.as_ref(), differences(&a, &loss).as_ref());
            assert!(error < 1e-7, "{name} of {m}×{n}: {error:e}");
        }
    }
}

/// Values that are held do not vary, and so they are not mixed with their vectors.
#[test]
fn vectors_beside_values_that_are_held_are_exact() {
    let a = with_eigenvalues(&[0.5, 0.5, 2.0]);
    let held: Loss = |t, a| {
        let sum = by_columns(a.symmetrize(), 0..3, |x| x.square().stop_gradient());
        sum.inner(weights(t, a.shape()))
    };
    let constant: Loss = |t, a| {
        let v = a.symmetrize().eigenvectors();
        let squares = t.stack_rows(&[t.scalar(0.25), t.scalar(0.25), t.scalar(4.0)]);
        (v * squares.diag() * v.t()).inner(weights(t, a.shape()))
    };
    let (_, gradient) = gradient_at(&a, &held).unwrap();
    assert!(distance(gradient.as_ref(), differences(&a, &constant).as_ref()) < 1e-8);
}

/// Where values differ, what is put together by hand has the gradient of what is recognized.
#[test]
fn functions_put_together_by_hand_have_gradients_where_values_differ() {
    let pairs: [(&str, Loss, Loss); 3] = [
        (
            "eigenvalues",
            |t, a| by_columns(a.symmetrize(), 0..a.rows(), |x| x.exp()).inner(weights(t, a.shape())),
            |t, a| a.symmetrize().symmetric_function(|x| x.exp()).inner(weights(t, a.shape())),
        ),
        (
            "singular values",
            |t, a| first_singular(a, a.rows().min(a.cols()), |x| x.powi(3)).inner(weights(t, a.shape())),
            |t, a| (a * a.t() * a).inner(weights(t, a.shape())),
        ),
        (
            "real eigenvalues",
            |t, a| {
                let (values, v) = a.real_eigen();
                (v * values.square().diag() * v.inv()).inner(weights(t, a.shape()))
            },
            |t, a| (a * a).inner(weights(t, a.shape())),
        ),
    ];
    let a = with_eigenvalues(&[0.5, 1.0, 2.0, -0.7]);
    for (name, by_hand, whole) in pairs {
        let (_, found) = gradient_at(&a, &by_hand).unwrap();
        let (_, wanted) = gradient_at(&a, &whole).unwrap();
        assert!(distance(found.as_ref(), wanted.as_ref()) < 1e-12, "{name}");
    }
}

/// A gradient is put together from values and vectors too. Its own gradient is right, or a run fails.
#[test]
fn gradients_of_gradients_at_clusters_are_exact_or_errors() {
    let losses: [(&str, Loss); 10] = [
        ("sum of squares", |_, a| a.symmetrize().eigenvalues().square().sum()),
        ("sum of exponentials", |_, a| a.symmetrize().eigenvalues().exp().sum()),
        ("trace", |_, a| a.symmetrize().eigenvalues().sum()),
        ("spectral function", |t, a| {
            a.symmetrize().symmetric_function(|x| x.exp()).inner(weights(t, a.shape()))
        }),
        ("projector", |t, a| a.symmetrize().eigenprojector(..2).inner(weights(t, a.shape()))),
        ("the last", |t, a| by_columns(a.symmetrize(), 2..3, |x| x.exp()).inner(weights(t, a.shape()))),
        ("nuclear norm", |_, a| a.nuclear_norm()),
        ("polar factor", |t, a| a.polar().0.inner(weights(t, a.shape()))),
        ("the first", |t, a| first_singular(a, 1, |x| x.ln()).inner(weights(t, a.shape()))),
        ("real eigenvalues", |_, a| a.real_eigenvalues().square().sum()),
    ];
    let seeds: [Loss; 3] = [
        |t, a| weights(t, a.shape()),
        |t, a| t.identity(a.rows()) + t.ones(a.shape()),
        |t, a| t.ones(a.shape()) - t.identity(a.rows()),
    ];
    let matrices = [
        with_eigenvalues(&[1.5, 1.5, 2.5]),
        Mat::from_fn(3, 3, |i, j| if i != j { 0.0 } else { [1.0, 1.0, 2.0][i] }),
        Mat::identity(3, 3),
    ];
    let mut exact = Vec::new();
    for (name, loss) in losses {
        for (k, (a, seed)) in matrices.iter().flat_map(|a| seeds.map(|seed| (a, seed))).enumerate() {
            let tape = Tape::new();
            let x = tape.input("A", (3, 3));
            let first = gradient(loss(&tape, x), &[x]).unwrap()[0].inner(seed(&tape, x));
            let second = gradient(first, &[x]).unwrap()[0];
            let found = match evaluate(&[second], &[("A", a.as_ref())]) {
                Ok(mut found) => found.remove(0),
                Err(Error::Engine(EngineError::Coincide { .. })) => continue,
                Err(error) => panic!("{name}: {error}"),
            };
            // Along a direction in which all values part.
            let e: Mat<f64> = check::random(3, 3, 5);
            let e = if name == "real eigenvalues" { &e + e.transpose() } else { e };
            let h = 1e-4;
            let at = |h: f64| {
                let moved = a + h * &e;
                evaluate(&[first], &[("A", moved.as_ref())]).unwrap()[0][(0, 0)]
            };
            let wanted = (at(h) - at(-h)) / (2.0 * h);
            let along = (e.transpose() * &found).diagonal().column_vector().sum();
            assert!((along - wanted).abs() < 1e-5 * (1.0 + wanted.abs()), "{name} {k}: {along} {wanted}");
            exact.push(name);
        }
    }
    for name in ["sum of squares", "sum of exponentials", "trace", "spectral function"] {
        assert_eq!(exact.iter().filter(|exact| **exact == name).count(), 9, "{name}");
    }
}
