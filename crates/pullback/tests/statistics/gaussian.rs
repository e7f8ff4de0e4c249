//! Likelihoods, and what is close to them.

use crate::*;
use std::f64::consts::TAU;

/// `½ yᵀ K⁻¹ y + ½ log det K + n/2 log 2π` with `K = s exp(−d²/(2ℓ²)) + τ I`.
///
/// In a hyperparameter: `−½ tr((α αᵀ − K⁻¹) ∂K/∂θ)`, `α = K⁻¹ y` (Rasmussen & Williams, *Gaussian Processes for Machine
/// Learning*, 2006, eq. 5.9). In the points, by `∂d²ᵢⱼ/∂xᵢ = 2 (xᵢ − xⱼ)`.
#[test]
fn gaussian_process() {
    let (d, n) = (2, 6);
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (d, n)), tape.input("y", (n, 1)));
    let [l, s, noise] = ["ℓ", "s", "τ"].map(|name| tape.positive_definite(name, 1));
    let gram = x.t() * x;
    let squares = gram.diagonal();
    let distances = (-2.0 * gram).add_col(squares).add_row(squares.t());
    let k = s * (-0.5 * distances / l.square()).exp() + noise * tape.identity(n);
    let loss = 0.5 * (y.t() * k.solve(y) + k.log_det()) + 0.5 * n as f64 * TAU.ln();

    let given = Given::from([
        ("X", random(d, n, 1)),
        ("y", random(n, 1, 2)),
        ("ℓ", number(0.8)),
        ("s", number(1.3)),
        ("τ", number(0.2)),
    ]);
    let (l_, s_, noise_) = (given["ℓ"][(0, 0)], given["s"][(0, 0)], given["τ"][(0, 0)]);
    let points = &given["X"];
    let d2 = Mat::from_fn(n, n, |i, j| (points.col(i) - points.col(j)).squared_norm_l2());
    let e = map(&d2, |d2| (-d2 / (2.0 * l_ * l_)).exp());
    let k = s_ * &e + noise_ * eye(n);
    let alpha = inv(&k) * &given["y"];
    let outer = &alpha * alpha.transpose() - inv(&k);
    let along = |dk: &Mat<f64>| number(-0.5 * trace(&(&outer * dk)));
    let in_distances = Mat::from_fn(n, n, |i, j| 0.25 * outer[(i, j)] * s_ * e[(i, j)] / (l_ * l_));
    let in_points = Mat::from_fn(d, n, |c, i| {
        (0..n).map(|j| 4.0 * in_distances[(i, j)] * (points[(c, i)] - points[(c, j)])).sum()
    });
    let value = 0.5 * (inner(&given["y"], &alpha) + log_det(&k) + n as f64 * TAU.ln());
    judge(
        loss,
        &given,
        value,
        &[
            (l, along(&(s_ / l_.powi(3) * times(&e, &d2)))),
            (s, along(&e)),
            (noise, along(&eye(n))),
            (x, in_points),
        ],
    );
}

/// `½ (yᵀ K⁻¹ y + log det K)` in K: `½ (K⁻¹ − α αᵀ)`, the matrix of Rasmussen & Williams, eq. 5.9.
#[test]
fn marginal_likelihood_in_the_covariance() {
    let n = 5;
    let tape = Tape::new();
    let (k, y) = (tape.positive_definite("K", n), tape.input("y", (n, 1)));
    let loss = 0.5 * (y.t() * k.solve(y) + k.log_det());
    assert_eq!(formulas(loss, &[k]), ["½ (K⁻¹ − K⁻¹ y yᵀ K⁻¹)"]);
    let given = Given::from([("K", definite(n, 1)), ("y", random(n, 1, 2))]);
    let (k_inv, y) = (inv(&given["K"]), &given["y"]);
    let alpha = &k_inv * y;
    let value = 0.5 * (inner(y, &alpha) + log_det(&given["K"]));
    judge(loss, &given, value, &[(k, 0.5 * (k_inv - &alpha * alpha.transpose()))]);
}

/// `N/2 (log det C + tr(C⁻¹ S) + d log 2π)` with `C = W Wᵀ + σ² I`.
///
/// In W: `N (C⁻¹ W − C⁻¹ S C⁻¹ W)` (Tipping & Bishop, *Probabilistic Principal Component Analysis*, 1999, eq. 15 in the
/// appendix); in σ²: `N/2 tr(C⁻¹ − C⁻¹ S C⁻¹)`.
#[test]
fn probabilistic_principal_components() {
    let (d, q, samples) = (6, 2, 9.0);
    let tape = Tape::new();
    let (w, s) = (tape.input("W", (d, q)), tape.positive_definite("S", d));
    let variance = tape.positive_definite("v", 1);
    let c = w * w.t() + variance * tape.identity(d);
    let loss = 0.5 * samples * (c.log_det() + c.solve(s).trace() + d as f64 * TAU.ln());
    let given = Given::from([("W", random(d, q, 1)), ("S", definite(d, 2)), ("v", number(0.4))]);
    let (w_, s_) = (&given["W"], &given["S"]);
    let c = w_ * w_.transpose() + 0.4 * eye(d);
    let c_inv = inv(&c);
    assert_eq!(formulas(loss, &[w]), ["9 ((W Wᵀ + v I)⁻¹ − (W Wᵀ + v I)⁻¹ S (W Wᵀ + v I)⁻¹) W"]);
    let inside = &c_inv - &c_inv * s_ * &c_inv;
    let value = 0.5 * samples * (log_det(&c) + trace(&(&c_inv * s_)) + d as f64 * TAU.ln());
    judge(
        loss,
        &given,
        value,
        &[(w, samples * &inside * w_), (variance, number(0.5 * samples * trace(&inside)))],
    );
}

/// `tr(S Θ) − log det Θ`, the smooth part of the graphical lasso. In Θ: `S − Θ⁻¹` (Friedman, Hastie & Tibshirani, *Sparse
/// inverse covariance estimation with the graphical lasso*, 2008, eq. 2.6).
#[test]
fn graphical_lasso() {
    let n = 5;
    let tape = Tape::new();
    let (s, theta) = (tape.symmetric("S", n), tape.positive_definite("Θ", n));
    let loss = (s * theta).trace() - theta.log_det();
    assert_eq!(formulas(loss, &[theta]), ["S − Θ⁻¹"]);
    let given = Given::from([("S", symmetrized(&random(n, n, 1))), ("Θ", definite(n, 2))]);
    let (s, at) = (&given["S"], &given["Θ"]);
    judge(loss, &given, inner(s, at) - log_det(at), &[(theta, s - inv(at))]);
}

/// Stein's loss `tr(Σ S⁻¹) − log det(Σ S⁻¹) − n` (James & Stein, *Estimation with Quadratic Loss*, 1961). In Σ:
/// `S⁻¹ − Σ⁻¹`; in S: `S⁻¹ − S⁻¹ Σ S⁻¹`.
#[test]
fn stein_loss() {
    let n = 5;
    let tape = Tape::new();
    let (sigma, s) = (tape.positive_definite("Σ", n), tape.positive_definite("S", n));
    let loss = s.solve(sigma).trace() - (sigma.log_det() - s.log_det()) - n as f64;
    assert_eq!(formulas(loss, &[sigma, s]), ["S⁻¹ − Σ⁻¹", "S⁻¹ − S⁻¹ Σ S⁻¹"]);
    let given = Given::from([("Σ", definite(n, 1)), ("S", definite(n, 2))]);
    let (sigma_, s_inv) = (&given["Σ"], inv(&given["S"]));
    let ratio = sigma_ * &s_inv;
    let value = trace(&ratio) - log_det(&ratio) - n as f64;
    judge(loss, &given, value, &[(sigma, &s_inv - inv(sigma_)), (s, &s_inv - &s_inv * ratio)]);
}

/// Kullback and Leibler's divergence of N(m, A) from N(μ, B):
/// `½ (tr(B⁻¹ A) + (μ − m)ᵀ B⁻¹ (μ − m) − n + log det B − log det A)` (Petersen & Pedersen, *The Matrix Cookbook*, 2012,
/// §8.2). In m: `B⁻¹ (m − μ)`; in A: `½ (B⁻¹ − A⁻¹)`; in B: `½ (B⁻¹ − B⁻¹ (A + (μ − m)(μ − m)ᵀ) B⁻¹)`.
#[test]
fn divergence_of_gaussians() {
    let n = 4;
    let tape = Tape::new();
    let (m, mu) = (tape.input("m", (n, 1)), tape.input("μ", (n, 1)));
    let (a, b) = (tape.positive_definite("A", n), tape.positive_definite("B", n));
    let r = mu - m;
    let loss = 0.5 * (b.solve(a).trace() + b.inv().quadratic_form(r) - n as f64 + b.log_det() - a.log_det());
    let given = Given::from([
        ("m", random(n, 1, 1)),
        ("μ", random(n, 1, 2)),
        ("A", definite(n, 3)),
        ("B", definite(n, 4)),
    ]);
    assert_eq!(formulas(loss, &[a]), ["½ (B⁻¹ − A⁻¹)"]);
    let (a_, b_inv) = (&given["A"], inv(&given["B"]));
    let r = &given["μ"] - &given["m"];
    let scatter = a_ + &r * r.transpose();
    let value = 0.5 * (trace(&(&b_inv * &scatter)) - n as f64 + log_det(&given["B"]) - log_det(a_));
    judge(
        loss,
        &given,
        value,
        &[
            (m, -(&b_inv * &r)),
            (a, 0.5 * (&b_inv - inv(a_))),
            (b, 0.5 * (&b_inv - &b_inv * scatter * &b_inv)),
        ],
    );
}

/// `log det` by Cholesky's factor, `2 Σ log Lᵢᵢ`: the gradient is `Σ⁻¹`.
#[test]
fn log_det_by_cholesky() {
    let n = 4;
    let tape = Tape::new();
    let sigma = tape.positive_definite("Σ", n);
    let loss = 2.0 * sigma.cholesky().diagonal().ln().sum();
    let given = Given::from([("Σ", definite(n, 1))]);
    judge(loss, &given, log_det(&given["Σ"]), &[(sigma, inv(&given["Σ"]))]);
}

/// `−log(det L_Y / det(I + L))` of the items Y. In L: `(I + L)⁻¹` less `(L_Y)⁻¹` in the rows and columns of Y (Kulesza &
/// Taskar, *Determinantal Point Processes for Machine Learning*, 2012, eq. 2.26; Gillenwater et al., 2014).
#[test]
fn determinantal_point_process() {
    let (n, items) = (6, [0, 2, 3, 5]);
    let tape = Tape::new();
    let l = tape.positive_definite("L", n);
    let loss = (tape.identity(n) + l).log_det() - l.select_rows(&items).select_cols(&items).log_det();
    let given = Given::from([("L", definite(n, 1))]);
    let at = &given["L"];
    let chosen = Mat::from_fn(items.len(), items.len(), |i, j| at[(items[i], items[j])]);
    let rows = Mat::from_fn(items.len(), n, |i, j| f64::from(u8::from(items[i] == j)));
    let wanted = inv(&(eye(n) + at)) - rows.transpose() * inv(&chosen) * &rows;
    judge(loss, &given, log_det(&(eye(n) + at)) - log_det(&chosen), &[(l, wanted)]);
}

/// The part of generalized least squares that no β explains, `rᵀ Ω⁻¹ r` with `r = y − X β`,
/// `β = (Xᵀ Ω⁻¹ X)⁻¹ Xᵀ Ω⁻¹ y` (Aitken, 1935). As β minimizes it, β may be held (Danskin's theorem): in y `2 Ω⁻¹ r`, in X
/// `−2 Ω⁻¹ r βᵀ`, in Ω `−Ω⁻¹ r rᵀ Ω⁻¹`.
#[test]
fn generalized_least_squares() {
    let (n, p) = (7, 3);
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (n, p)), tape.input("y", (n, 1)));
    let omega = tape.positive_definite("Ω", n);
    let weighted = omega.solve(x);
    let beta = (x.t() * weighted).solve(weighted.t() * y);
    let r = y - x * beta;
    let loss = r.t() * omega.solve(r);
    let given = Given::from([("X", random(n, p, 1)), ("y", random(n, 1, 2)), ("Ω", definite(n, 3))]);
    let (x_, y_, w) = (&given["X"], &given["y"], inv(&given["Ω"]));
    let beta = inv(&(x_.transpose() * &w * x_)) * x_.transpose() * &w * y_;
    let r = y_ - x_ * &beta;
    let scaled = &w * &r;
    judge(
        loss,
        &given,
        inner(&r, &scaled),
        &[
            (y, 2.0 * &scaled),
            (x, -2.0 * &scaled * beta.transpose()),
            (omega, -(&scaled * scaled.transpose())),
        ],
    );
}

/// D-optimal design: `−log det(X Diag(w) Xᵀ)` in the weights: `−diag(Xᵀ M⁻¹ X)` (Kiefer & Wolfowitz, *The Equivalence of Two
/// Extremum Problems*, 1960; Boyd & Vandenberghe, *Convex Optimization*, §7.5.2).
#[test]
fn optimal_design() {
    let (d, n) = (3, 7);
    let tape = Tape::new();
    let (x, w) = (tape.input("X", (d, n)), tape.input("w", (n, 1)));
    let loss = -(x * w.diag() * x.t()).log_det();
    let given = Given::from([("X", random(d, n, 1)), ("w", map(&random(n, 1, 2), f64::abs))]);
    let (x_, w_) = (&given["X"], &given["w"]);
    let m = Mat::from_fn(d, n, |i, j| x_[(i, j)] * w_[(j, 0)]) * x_.transpose();
    assert_eq!(formulas(loss, &[w]), ["−diag(Xᵀ (X Diag(w) Xᵀ)⁻¹ X)"]);
    let leverages = x_.transpose() * inv(&m) * x_;
    judge(loss, &given, -log_det(&m), &[(w, Mat::from_fn(n, 1, |i, _| -leverages[(i, i)]))]);
}

/// Independent components: `1/N Σ log cosh(W X) − log |det W|`. In W: `1/N tanh(W X) Xᵀ − W⁻ᵀ` (Bell & Sejnowski, *An
/// Information-Maximization Approach to Blind Separation*, 1995; MacKay, *Maximum Likelihood and Covariant Algorithms for
/// Independent Component Analysis*, 1996, eq. 15).
#[test]
fn independent_components() {
    let (d, samples) = (4, 8);
    let tape = Tape::new();
    let (w, x) = (tape.input("W", (d, d)), tape.input("X", (d, samples)));
    let loss = (w * x).log_cosh().sum() / samples as f64 - w.log_det();
    assert_eq!(formulas(loss, &[w]), ["1/8 tanh(W X) Xᵀ − W⁻ᵀ"]);
    let given = Given::from([("W", random(d, d, 1) + 2.0 * eye(d)), ("X", random(d, samples, 2))]);
    let (w_, x_) = (&given["W"], &given["X"]);
    let s = w_ * x_;
    let value = map(&s, |s| s.cosh().ln()).sum() / samples as f64 - log_det(w_);
    let wanted = map(&s, f64::tanh) * x_.transpose() / samples as f64 - inv(w_).transpose();
    judge(loss, &given, value, &[(w, wanted)]);
}
