//! Machine learning: normalization, attention, factorization, and what is trained through a solution.

use crate::*;

/// A row of the means of the columns.
fn col_means(a: &Mat<f64>) -> Vec<f64> {
    (0..a.ncols()).map(|j| a.col(j).sum() / a.nrows() as f64).collect()
}

/// Attention, a column to a token: `½ ‖V softmax(Kᵀ Q/√d) − Y‖²`.
///
/// With the probabilities P and the residual G: in V `G Pᵀ`; with `S̄ = P ∘ (P̄ − 𝟏 diag(Pᵀ P̄)ᵀ)`, `P̄ = Vᵀ G`, in K `Q S̄ᵀ/√d`
/// and in Q `K S̄/√d` (Dao et al., *FlashAttention*, 2022, appendix B.2).
#[test]
fn attention() {
    let (d, keys, queries, outputs) = (3, 5, 4, 2);
    let tape = Tape::new();
    let (q, k) = (tape.input("Q", (d, queries)), tape.input("K", (d, keys)));
    let (v, y) = (tape.input("V", (outputs, keys)), tape.input("Y", (outputs, queries)));
    let root = (d as f64).sqrt();
    let loss = 0.5 * (v * (k.t() * q / root).softmax() - y).norm_squared();
    let given = Given::from([
        ("Q", random(d, queries, 1)),
        ("K", random(d, keys, 2)),
        ("V", random(outputs, keys, 3)),
        ("Y", random(outputs, queries, 4)),
    ]);
    let [q_, k_, v_, y_] = ["Q", "K", "V", "Y"].map(|name| &given[name]);
    let e = map(&(k_.transpose() * q_), |x| (x / root).exp());
    let p = Mat::from_fn(keys, queries, |i, j| e[(i, j)] / e.col(j).sum());
    let g = v_ * &p - y_;
    let p_bar = v_.transpose() * &g;
    let along = p.transpose() * &p_bar;
    let s_bar = Mat::from_fn(keys, queries, |i, j| p[(i, j)] * (p_bar[(i, j)] - along[(j, j)]) / root);
    judge(
        loss,
        &given,
        0.5 * g.squared_norm_l2(),
        &[(v, &g * p.transpose()), (k, q_ * s_bar.transpose()), (q, k_ * &s_bar)],
    );
}

/// `⟨G, γ x̂ + β⟩` of a batch X, a column to a sample, where x̂ are the rows with mean 0 and variance 1.
///
/// The equations of Ioffe & Szegedy, *Batch Normalization*, 2015, §3, one after the other.
#[test]
fn batch_normalization() {
    let (features, samples, epsilon) = (3, 7, 1e-3);
    let tape = Tape::new();
    let (x, g) = (tape.input("X", (features, samples)), tape.input("G", (features, samples)));
    let (gamma, beta) = (tape.input("γ", (features, 1)), tape.input("β", (features, 1)));
    let loss = g.inner(x.standardize_rows(epsilon).mul_col(gamma).add_col(beta));
    let given = Given::from([
        ("X", random(features, samples, 1)),
        ("G", random(features, samples, 2)),
        ("γ", random(features, 1, 3)),
        ("β", random(features, 1, 4)),
    ]);
    let (x_, g_) = (&given["X"], &given["G"]);
    let n = samples as f64;
    let (mut in_x, mut in_gamma, mut value) = (Mat::zeros(features, samples), Mat::zeros(features, 1), 0.0);
    for c in 0..features {
        let mean = x_.row(c).sum() / n;
        let variance = (0..samples).map(|i| (x_[(c, i)] - mean).powi(2)).sum::<f64>() / n;
        let scale = 1.0 / (variance + epsilon).sqrt();
        let hat = |i: usize| (x_[(c, i)] - mean) * scale;
        let hat_bar = |i: usize| g_[(c, i)] * given["γ"][(c, 0)];
        let variance_bar: f64 =
            (0..samples).map(|i| hat_bar(i) * (x_[(c, i)] - mean) * -0.5 * scale.powi(3)).sum();
        let mean_bar = (0..samples).map(|i| -hat_bar(i) * scale).sum::<f64>()
            + variance_bar * (0..samples).map(|i| -2.0 * (x_[(c, i)] - mean)).sum::<f64>() / n;
        for i in 0..samples {
            in_x[(c, i)] = hat_bar(i) * scale + variance_bar * 2.0 * (x_[(c, i)] - mean) / n + mean_bar / n;
            in_gamma[(c, 0)] += g_[(c, i)] * hat(i);
            value += g_[(c, i)] * (given["γ"][(c, 0)] * hat(i) + given["β"][(c, 0)]);
        }
    }
    let in_beta = Mat::from_fn(features, 1, |c, _| g_.row(c).sum());
    judge(loss, &given, value, &[(x, in_x), (gamma, in_gamma), (beta, in_beta)]);
}

/// `⟨G, x̂⟩`, where the columns of x̂ have mean 0 and variance 1.
///
/// In X: `1/σ (g − mean(g) − x̂ mean(g ∘ x̂))` of every column (Xu et al., *Understanding and Improving Layer Normalization*,
/// 2019, §4.1).
#[test]
fn layer_normalization() {
    let (features, samples) = (6, 3);
    let tape = Tape::new();
    let (x, g) = (tape.input("X", (features, samples)), tape.input("G", (features, samples)));
    let loss = g.inner(x.standardize_cols(0.0));
    let given = Given::from([("X", random(features, samples, 1)), ("G", random(features, samples, 2))]);
    let (x_, g_) = (&given["X"], &given["G"]);
    let mean = col_means(x_);
    let centred = Mat::from_fn(features, samples, |i, j| x_[(i, j)] - mean[j]);
    let sigma: Vec<_> = col_means(&times(&centred, &centred)).into_iter().map(f64::sqrt).collect();
    let hat = Mat::from_fn(features, samples, |i, j| centred[(i, j)] / sigma[j]);
    let (g_mean, along) = (col_means(g_), col_means(&times(g_, &hat)));
    let wanted =
        Mat::from_fn(features, samples, |i, j| (g_[(i, j)] - g_mean[j] - hat[(i, j)] * along[j]) / sigma[j]);
    judge(loss, &given, inner(g_, &hat), &[(x, wanted)]);
}

/// `⟨G, S^{−½} X⟩` with `S = 1/N X Xᵀ + ε I`: whitening without a change of axes (Huang et al., *Decorrelated Batch
/// Normalization*, 2018).
///
/// The root R of S varies by `R dR + dR R = dS`: with Z = −R⁻¹ sym(G Xᵀ) R⁻¹ its adjoint is the solution Y of
/// `R Y + Y R = Z`, and the gradient `R⁻¹ G + 2/N Y X`.
#[test]
fn symmetric_whitening() {
    let (d, samples, epsilon) = (3, 8, 0.1);
    let tape = Tape::new();
    let (x, g) = (tape.input("X", (d, samples)), tape.input("G", (d, samples)));
    let covariance = x * x.t() / samples as f64 + epsilon * tape.identity(d);
    let loss = g.inner(covariance.symmetric_function(|x| x.powf(-0.5)) * x);
    let given = Given::from([("X", random(d, samples, 1)), ("G", random(d, samples, 2))]);
    let (x_, g_, n) = (&given["X"], &given["G"], samples as f64);
    let root = spectral(&symmetrized(&(x_ * x_.transpose() / n + epsilon * eye(d))), f64::sqrt);
    let w = inv(&root);
    let z = -(&w * symmetrized(&(g_ * x_.transpose())) * &w);
    let wanted = &w * g_ + 2.0 / n * sylvester(&root, &root, &z) * x_;
    judge(loss, &given, inner(g_, &(&w * x_)), &[(x, wanted)]);
}

/// `⟨G, L⁻¹ X⟩` with `S = 1/N X Xᵀ + ε I = L Lᵀ`.
///
/// The adjoint of Cholesky's factor is `S̄ = sym(L⁻ᵀ Φ(Lᵀ L̄) L⁻¹)`, where Φ takes the lower triangle and half of the diagonal
/// (Murray, *Differentiation of the Cholesky decomposition*, 2016, eq. 10), and here `L̄ = −tril(L⁻ᵀ G (L⁻¹ X)ᵀ)`.
#[test]
fn triangular_whitening() {
    let (d, samples, epsilon) = (3, 8, 0.1);
    let tape = Tape::new();
    let (x, g) = (tape.input("X", (d, samples)), tape.input("G", (d, samples)));
    let covariance = x * x.t() / samples as f64 + epsilon * tape.identity(d);
    let loss = g.inner(covariance.cholesky().solve_lower(x));
    let given = Given::from([("X", random(d, samples, 1)), ("G", random(d, samples, 2))]);
    let (x_, g_, n) = (&given["X"], &given["G"], samples as f64);
    let l = cholesky(&(x_ * x_.transpose() / n + epsilon * eye(d)));
    let l_inv = inv(&l);
    let white = &l_inv * x_;
    let lower = |a: &Mat<f64>, diagonal: f64| {
        Mat::from_fn(d, d, |i, j| a[(i, j)] * if i == j { diagonal } else { f64::from(u8::from(i > j)) })
    };
    let l_bar = -lower(&(l_inv.transpose() * g_ * white.transpose()), 1.0);
    let phi = lower(&(l.transpose() * l_bar), 0.5);
    let s_bar = symmetrized(&(l_inv.transpose() * phi * &l_inv));
    let wanted = l_inv.transpose() * g_ + 2.0 / n * s_bar * x_;
    judge(loss, &given, inner(g_, &white), &[(x, wanted)]);
}

/// Correlations of two views X and Y, a column to a sample with mean 0: the sum of the singular values `T = U D Vᵀ` of
/// `T = Sxx^{−½} Sxy Syy^{−½}`, `Sxx = 1/N X Xᵀ + ε I`, `Sxy = 1/N X Yᵀ`.
///
/// In X: `1/N (2 ∇xx X + ∇xy Y)`, `∇xy = Sxx^{−½} U Vᵀ Syy^{−½}`, `∇xx = −½ Sxx^{−½} U D Uᵀ Sxx^{−½}` (Andrew, Arora, Bilmes &
/// Livescu, *Deep Canonical Correlation Analysis*, 2013, eq. 11–13).
#[test]
fn canonical_correlations() {
    let (d, samples, epsilon) = (3, 9, 0.1);
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (d, samples)), tape.input("Y", (d, samples)));
    let ridge = epsilon * tape.identity(d);
    let [a, b] = [x, y].map(|x| (x * x.t() / samples as f64 + ridge).symmetric_function(|x| x.powf(-0.5)));
    let t = a * x * y.t() * b / samples as f64;
    let sums = [t.nuclear_norm(), (t.t() * t).symmetric_function(|x| x.sqrt()).trace()];
    let given = Given::from([("X", random(d, samples, 1)), ("Y", random(d, samples, 2))]);
    let (value, wanted) = correlations(&given, epsilon);
    for sum in sums {
        judge(sum, &given, value, &[(x, wanted.clone())]);
    }
}

fn correlations(given: &Given, epsilon: f64) -> (f64, Mat<f64>) {
    let (x, y) = (&given["X"], &given["Y"]);
    let (d, n) = (x.nrows(), x.ncols() as f64);
    let unroot = |x: &Mat<f64>| {
        spectral(&symmetrized(&(x * x.transpose() / n + epsilon * eye(d))), |x| 1.0 / x.sqrt())
    };
    let (a, b) = (unroot(x), unroot(y));
    let svd = (&a * x * y.transpose() * &b / n).svd().unwrap();
    let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
    let cross = &a * u * v.transpose() * &b;
    let own = -0.5 * &a * Mat::from_fn(d, d, |i, k| u[(i, k)] * s[k]) * u.transpose() * &a;
    (s.sum(), (2.0 * own * x + cross * y) / n)
}

/// Factors of a matrix of which some entries are known: `½ ‖M ∘ (U Vᵀ − X)‖² + λ/2 (‖U‖² + ‖V‖²)` with a mask of ones and
/// zeros. In U: `(M ∘ (U Vᵀ − X)) V + λ U` (Koren, Bell & Volinsky, *Matrix Factorization Techniques for Recommender Systems*,
/// 2009, eq. 2 and what follows).
#[test]
fn matrix_factorization() {
    let (m, n, k, lambda) = (5, 6, 2, 0.25);
    let tape = Tape::new();
    let (u, v) = (tape.input("U", (m, k)), tape.input("V", (n, k)));
    let (x, mask) = (tape.constant("X", (m, n)), tape.constant("M", (m, n)));
    let residual = mask.hadamard(u * v.t() - x);
    let loss = 0.5 * residual.norm_squared() + losses::ridge(u, lambda) + losses::ridge(v, lambda);
    let given = Given::from([
        ("U", random(m, k, 1)),
        ("V", random(n, k, 2)),
        ("X", random(m, n, 3)),
        ("M", map(&random(m, n, 4), |x| f64::from(u8::from(x > 0.0)))),
    ]);
    let (u_, v_) = (&given["U"], &given["V"]);
    let residual = times(&given["M"], &(u_ * v_.transpose() - &given["X"]));
    let penalty = 0.5 * lambda * (u_.squared_norm_l2() + v_.squared_norm_l2());
    judge(
        loss,
        &given,
        0.5 * residual.squared_norm_l2() + penalty,
        &[(u, &residual * v_ + lambda * u_), (v, residual.transpose() * u_ + lambda * v_)],
    );
}

/// The log-partition function `log Σ exp(Tᵀ θ)` of an exponential family with the sufficient statistics T, a column to an
/// outcome: its gradient is their mean, and its Hessian their covariance (Wainwright & Jordan, *Graphical Models, Exponential
/// Families, and Variational Inference*, 2008, proposition 3.1).
#[test]
fn log_partition() {
    let (d, outcomes) = (3, 7);
    let tape = Tape::new();
    let (t, theta) = (tape.input("T", (d, outcomes)), tape.input("θ", (d, 1)));
    let along = tape.input("v", (d, 1));
    let loss = (t.t() * theta).log_sum_exp();
    assert_eq!(formulas(loss, &[theta]), ["T softmax(Tᵀ θ)"]);
    let given = Given::from([("T", random(d, outcomes, 1)), ("θ", random(d, 1, 2)), ("v", random(d, 1, 3))]);
    let t_ = &given["T"];
    let e = map(&(t_.transpose() * &given["θ"]), f64::exp);
    let p = &e / e.sum();
    let mean = t_ * &p;
    judge(loss, &given, e.sum().ln(), &[(theta, mean.clone())]);
    let second = Mat::from_fn(d, outcomes, |i, j| t_[(i, j)] * p[(j, 0)]) * t_.transpose();
    let covariance = second - &mean * mean.transpose();
    let hessian = hvp(loss, &[(theta, along)]).unwrap()[0];
    let found = given.run(Program::compile(&[hessian]).unwrap());
    assert!((&found[0] - covariance * &given["v"]).norm_max() < 1e-14);
}

/// Softmax regression, `1/N (Σ log Σ exp(W X) − ⟨Y, W X⟩)`: `1/N (softmax(W X) − Y) Xᵀ` (Bishop, *Pattern Recognition and
/// Machine Learning*, 2006, eq. 4.109).
#[test]
fn softmax_regression() {
    let (classes, d, samples) = (3, 4, 8);
    let tape = Tape::new();
    let (w, x) = (tape.input("W", (classes, d)), tape.input("X", (d, samples)));
    let y = tape.input("Y", (classes, samples));
    let loss = losses::cross_entropy(w * x, y);
    assert_eq!(formulas(loss, &[w]), ["1/8 (softmax(W X) − Y) Xᵀ"]);
    let label = Mat::from_fn(classes, samples, |i, j| f64::from(u8::from(i == (2 * j + 1) % classes)));
    let given = Given::from([("W", random(classes, d, 1)), ("X", random(d, samples, 2)), ("Y", label)]);
    let z = &given["W"] * &given["X"];
    let e = map(&z, f64::exp);
    let p = Mat::from_fn(classes, samples, |i, j| e[(i, j)] / e.col(j).sum());
    let value = -inner(&given["Y"], &map(&p, f64::ln)) / samples as f64;
    judge(loss, &given, value, &[(w, (p - &given["Y"]) * given["X"].transpose() / samples as f64)]);
}

/// What ridge regression on X, y leaves on other samples, `½ ‖Z β − z‖²` with `β = (Xᵀ X + λ I)⁻¹ Xᵀ y`.
///
/// In λ: `−(Z β − z)ᵀ Z (Xᵀ X + λ I)⁻¹ β`, by the implicit function theorem (Bengio, *Gradient-Based Optimization of
/// Hyperparameters*, 2000, §3). In y: `X (Xᵀ X + λ I)⁻¹ Zᵀ (Z β − z)`.
#[test]
fn hyperparameter_of_ridge_regression() {
    let (n, p, others) = (7, 3, 5);
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (n, p)), tape.input("y", (n, 1)));
    let (z, target) = (tape.input("Z", (others, p)), tape.input("z", (others, 1)));
    let lambda = tape.positive_definite("λ", 1);
    let beta = (x.t() * x + lambda * tape.identity(p)).solve(x.t() * y);
    let loss = 0.5 * (z * beta - target).norm_squared();
    let given = Given::from([
        ("X", random(n, p, 1)),
        ("y", random(n, 1, 2)),
        ("Z", random(others, p, 3)),
        ("z", random(others, 1, 4)),
        ("λ", number(0.6)),
    ]);
    let (x_, z_) = (&given["X"], &given["Z"]);
    let h = inv(&(x_.transpose() * x_ + 0.6 * eye(p)));
    let beta = &h * x_.transpose() * &given["y"];
    assert_eq!(formulas(loss, &[y]), ["X (Xᵀ X + λ I)⁻¹ Zᵀ (Z (Xᵀ X + λ I)⁻¹ Xᵀ y − z)"]);
    let residual = z_ * &beta - &given["z"];
    let pulled = &h * z_.transpose() * &residual;
    judge(
        loss,
        &given,
        0.5 * residual.squared_norm_l2(),
        &[(lambda, number(-inner(&pulled, &beta))), (y, x_ * &pulled)],
    );
}

/// `½ ‖y − Φ c‖²` with the coefficients c that fit best, by variable projection: `−r cᵀ` in Φ (Golub & Pereyra, 1973, whose
/// second term is orthogonal to r).
#[test]
fn variable_projection() {
    let (n, k) = (7, 3);
    let tape = Tape::new();
    let (phi, y) = (tape.input("Φ", (n, k)), tape.input("y", (n, 1)));
    let coefficients = [(phi.t() * phi).solve(phi.t() * y), phi.least_squares(y), phi.pseudo_inverse() * y];
    let given = Given::from([("Φ", random(n, k, 1)), ("y", random(n, 1, 2))]);
    let (phi_, y_) = (&given["Φ"], &given["y"]);
    let c = inv(&(phi_.transpose() * phi_)) * phi_.transpose() * y_;
    let r = y_ - phi_ * &c;
    let wanted = -(&r * c.transpose());
    for c in coefficients {
        let loss = 0.5 * (y - phi * c).norm_squared();
        judge(loss, &given, 0.5 * r.squared_norm_l2(), &[(phi, wanted.clone())]);
    }
}
