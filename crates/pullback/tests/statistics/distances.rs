//! Distances of matrices and of subspaces.

use crate::*;

/// The root of a symmetric positive definite matrix.
fn root(a: Var<'_>) -> Var<'_> {
    a.symmetric_function(|x| x.sqrt())
}

fn logarithm(a: Var<'_>) -> Var<'_> {
    a.symmetric_function(|x| x.ln())
}

/// Bures and Wasserstein's distance `tr A + tr B − 2 tr (A^½ B A^½)^½`.
///
/// In A: `I − T`, where `T = B^½ (B^½ A B^½)^{−½} B^½` transports N(0, A) to N(0, B) (Bhatia, Jain & Lim, *On the
/// Bures–Wasserstein distance between positive definite matrices*, 2019, §4 and eq. 53); in B, its inverse. It is
/// also `tr A + tr B − 2 tr (A B)^½`, with the root of a matrix that is not symmetric (§1).
#[test]
fn bures_wasserstein() {
    let n = 4;
    let tape = Tape::new();
    let (a, b) = (tape.positive_definite("A", n), tape.positive_definite("B", n));
    let roots = [root(b.congruence(root(a))), (a * b).sqrtm()];
    let given = Given::from([("A", definite(n, 1)), ("B", definite(n, 2))]);
    let (a_, b_) = (&given["A"], &given["B"]);
    let root_b = spectral(b_, f64::sqrt);
    let inside = symmetrized(&(&root_b * a_ * &root_b));
    let transport = symmetrized(&(&root_b * spectral(&inside, |x| 1.0 / x.sqrt()) * &root_b));
    assert!((&transport * a_ * &transport - b_).norm_max() < 1e-12);
    let value = trace(a_) + trace(b_) - 2.0 * trace(&spectral(&inside, f64::sqrt));
    for root in roots {
        let loss = a.trace() + b.trace() - 2.0 * root.trace();
        judge(loss, &given, value, &[(a, eye(n) - &transport), (b, eye(n) - inv(&transport))]);
    }
}

/// The log-Euclidean distance `‖log A − log B‖²` (Arsigny et al., *Geometric Means in a Novel Vector Space Structure on
/// Symmetric Positive-Definite Matrices*, 2007).
///
/// In A: `2 ∫₀¹ M(t)⁻¹ (log A − log B) M(t)⁻¹ dt` with `M(t) = t (A − I) + I`, for `log′` is selfadjoint (Higham, *Functions
/// of Matrices*, eq. 11.10).
#[test]
fn log_euclidean() {
    let n = 4;
    let tape = Tape::new();
    let (a, b) = (tape.positive_definite("A", n), tape.positive_definite("B", n));
    let loss = (logarithm(a) - logarithm(b)).norm_squared();
    let given = Given::from([("A", definite(n, 1)), ("B", definite(n, 2))]);
    let d = spectral(&given["A"], f64::ln) - spectral(&given["B"], f64::ln);
    let along = |a: &Mat<f64>| {
        let parts = gauss_legendre(60).into_iter().map(|(t, weight)| {
            let m = inv(&(t * (a - eye(n)) + eye(n)));
            2.0 * weight * &m * &d * &m
        });
        parts.fold(Mat::zeros(n, n), |sum, part| sum + part)
    };
    let value = d.squared_norm_l2();
    judge(loss, &given, value, &[(a, along(&given["A"])), (b, -along(&given["B"]))]);
}

/// The affine-invariant distance `‖log(A^{−½} B A^{−½})‖²`, which is `Σ log² λ` over the eigenvalues of `B⁻¹ A`.
///
/// In A: `2 A⁻¹ log(A B⁻¹)` (Moakher, *A Differential Geometric Approach to the Geometric Mean of Symmetric
/// Positive-Definite Matrices*, 2005, §3), here by the eigenvalues of `L⁻¹ A L⁻ᵀ`, `B = L Lᵀ`. In B: the same with A and B
/// exchanged.
#[test]
fn affine_invariant() {
    let n = 4;
    let tape = Tape::new();
    let (a, b) = (tape.positive_definite("A", n), tape.positive_definite("B", n));
    let unroot = a.symmetric_function(|x| x.powf(-0.5));
    let loss = logarithm(b.congruence(unroot)).norm_squared();
    let given = Given::from([("A", definite(n, 1)), ("B", definite(n, 2))]);
    let along = |a: &Mat<f64>, b: &Mat<f64>| {
        let l = inv(&cholesky(b));
        let relative = symmetrized(&(&l * a * l.transpose()));
        2.0 * l.transpose() * spectral(&relative, |x| x.ln() / x) * &l
    };
    let (a_, b_) = (&given["A"], &given["B"]);
    let l = inv(&cholesky(b_));
    let value = trace(&spectral(&symmetrized(&(&l * a_ * l.transpose())), |x| x.ln().powi(2)));
    judge(loss, &given, value, &[(a, along(a_, b_)), (b, along(b_, a_))]);
}

/// The distance of the column space of U from a subspace with the projector P, `‖U (Uᵀ U)⁻¹ Uᵀ − P‖²`.
///
/// In U: `−4 (I − U U⁺) P U (Uᵀ U)⁻¹`, by the derivative of a projector (Golub & Pereyra, *The Differentiation of
/// Pseudo-Inverses and Nonlinear Least Squares Problems Whose Variables Separate*, 1973, eq. 4.2).
#[test]
fn distance_of_subspaces() {
    let (n, k) = (6, 2);
    let tape = Tape::new();
    let (u, p) = (tape.input("U", (n, k)), tape.symmetric("P", n));
    let (q, _) = u.qr();
    let projectors = [u * (u.t() * u).solve(u.t()), q * q.t(), u * u.pseudo_inverse()];
    let given = Given::from([("U", random(n, k, 1)), ("P", projector(&random(n, k, 2)))]);
    let (value, wanted) = subspaces(&given);
    for projector in projectors {
        judge((projector - p).norm_squared(), &given, value, &[(u, wanted.clone())]);
    }
}

/// That onto the column space.
fn projector(u: &Mat<f64>) -> Mat<f64> {
    symmetrized(&(u * inv(&(u.transpose() * u)) * u.transpose()))
}

fn subspaces(given: &Given) -> (f64, Mat<f64>) {
    let (u, p) = (&given["U"], &given["P"]);
    let own = projector(u);
    let wanted = -4.0 * (eye(u.nrows()) - &own) * p * u * inv(&(u.transpose() * u));
    ((own - p).squared_norm_l2(), wanted)
}

/// Procrustes: the distance of A from what a rotation makes of B, `min ‖A − Q B‖² = ‖A‖² + ‖B‖² − 2 ‖A Bᵀ‖_*` with the
/// orthogonal polar factor Q of `A Bᵀ` (Schönemann, *A Generalized Solution of the Orthogonal Procrustes Problem*, 1966).
/// As Q minimizes it, Q may be held: in A `2 (A − Q B)`, in B `2 (B − Qᵀ A)`.
#[test]
fn procrustes() {
    let (d, n) = (3, 6);
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (d, n)), tape.input("B", (d, n)));
    let (q, _) = (a * b.t()).polar();
    let losses =
        [(a - q * b).norm_squared(), a.norm_squared() + b.norm_squared() - 2.0 * (a * b.t()).nuclear_norm()];
    let given = Given::from([("A", random(d, n, 1)), ("B", random(d, n, 2))]);
    let (a_, b_) = (&given["A"], &given["B"]);
    let svd = (a_ * b_.transpose()).svd().unwrap();
    let q = svd.U() * svd.V().transpose();
    let value = (a_ - &q * b_).squared_norm_l2();
    for loss in losses {
        judge(loss, &given, value, &[(a, 2.0 * (a_ - &q * b_)), (b, 2.0 * (b_ - q.transpose() * a_))]);
    }
}

/// Rayleigh's quotient `xᵀ A x / xᵀ x` in x: `2/(xᵀ x) (A x − ρ x)` (Absil, Mahony & Sepulchre, *Optimization Algorithms on
/// Matrix Manifolds*, 2008, §4.6); in A: `x xᵀ / xᵀ x`.
#[test]
fn rayleigh_quotient() {
    let n = 5;
    let tape = Tape::new();
    let (a, x) = (tape.symmetric("A", n), tape.input("x", (n, 1)));
    let loss = a.quadratic_form(x) / x.norm_squared();
    let given = Given::from([("A", symmetrized(&random(n, n, 1))), ("x", random(n, 1, 2))]);
    let (a_, x_) = (&given["A"], &given["x"]);
    let square = x_.squared_norm_l2();
    let rho = inner(x_, &(a_ * x_)) / square;
    let in_x = 2.0 / square * (a_ * x_ - rho * x_);
    judge(loss, &given, rho, &[(x, in_x), (a, x_ * x_.transpose() / square)]);
}

/// Discriminants: `tr((Wᵀ S W)⁻¹ Wᵀ B W)` in W:
/// `2 B W (Wᵀ S W)⁻¹ − 2 S W (Wᵀ S W)⁻¹ Wᵀ B W (Wᵀ S W)⁻¹` (Petersen & Pedersen, *The Matrix Cookbook*, 2012, eq. 126).
#[test]
fn discriminants() {
    let (n, k) = (6, 2);
    let tape = Tape::new();
    let w = tape.input("W", (n, k));
    let (s, b) = (tape.positive_definite("S", n), tape.positive_definite("B", n));
    let loss = s.quadratic_form(w).solve(b.quadratic_form(w)).trace();
    let given = Given::from([("W", random(n, k, 1)), ("S", definite(n, 2)), ("B", definite(n, 3))]);
    let (w_, s_, b_) = (&given["W"], &given["S"], &given["B"]);
    let within = inv(&(w_.transpose() * s_ * w_));
    let between = w_.transpose() * b_ * w_;
    let wanted = 2.0 * b_ * w_ * &within - 2.0 * s_ * w_ * &within * &between * &within;
    judge(loss, &given, trace(&(&within * &between)), &[(w, wanted)]);
}
