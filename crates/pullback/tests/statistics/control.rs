//! Filters, regulators, graphs and chains: iterations written out, and exponentials.

use crate::*;

/// The negative log likelihood of a linear system in its innovations, without constants:
/// `½ Σ (log det S + eᵀ S⁻¹ e)`.
fn filter<'t>(
    [f, h, q, r]: [Var<'t>; 4],
    (mean, covariance): (Var<'t>, Var<'t>),
    observed: Var<'t>,
) -> Var<'t> {
    let (mut m, mut p) = (mean, covariance);
    let mut loss = f.tape().zeros((1, 1));
    for k in 0..observed.cols() {
        m = f * m;
        p = p.congruence(f) + q;
        let s = p.congruence(h) + r;
        let e = observed.col(k) - h * m;
        loss = loss + 0.5 * (s.log_det() + e.t() * s.solve(e));
        let gain = s.solve(h * p).t();
        m = m + gain * e;
        p = p - gain * h * p;
    }
    loss
}

/// The same and its derivative along a variation of F, Q and R: the sensitivity equations (Gupta & Mehra, *Computational
/// Aspects of Maximum Likelihood Estimation and Reduction in Sensitivity Function Calculations*, 1974; Harvey,
/// *Forecasting, Structural Time Series Models and the Kalman Filter*, 1989, §3.4.5).
fn sensitivity(given: &Given, df: &Mat<f64>, dq: &Mat<f64>, dr: &Mat<f64>) -> (f64, f64) {
    let [f, h, q, r] = ["F", "H", "Q", "R"].map(|name| &given[name]);
    let (mut m, mut p) = (given["m"].clone(), given["P"].clone());
    let (mut dm, mut dp) = (Mat::zeros(m.nrows(), 1), Mat::zeros(m.nrows(), m.nrows()));
    let (mut value, mut derivative) = (0.0, 0.0);
    for k in 0..given["Y"].ncols() {
        dm = df * &m + f * &dm;
        m = f * &m;
        dp = df * &p * f.transpose() + f * &dp * f.transpose() + f * &p * df.transpose() + dq;
        p = f * &p * f.transpose() + q;
        let e = given["Y"].subcols(k, 1) - h * &m;
        let de = -(h * &dm);
        let (s, ds) = (h * &p * h.transpose() + r, h * &dp * h.transpose() + dr);
        let s_inv = inv(&s);
        let scaled = &s_inv * &e;
        value += 0.5 * (log_det(&s) + inner(&e, &scaled));
        derivative += 0.5 * (trace(&(&s_inv * &ds)) - inner(&scaled, &(&ds * &scaled))) + inner(&de, &scaled);
        let gain = &p * h.transpose() * &s_inv;
        let dgain = (&dp * h.transpose() - &gain * &ds) * &s_inv;
        dm += &dgain * &e + &gain * &de;
        m += &gain * &e;
        dp = &dp - &dgain * h * &p - &gain * h * &dp;
        p = &p - &gain * h * &p;
    }
    (value, derivative)
}

#[test]
fn kalman_filter() {
    let (n, d, steps) = (3, 2, 4);
    let tape = Tape::new();
    let (f, h) = (tape.input("F", (n, n)), tape.input("H", (d, n)));
    let (q, r) = (tape.positive_definite("Q", n), tape.positive_definite("R", d));
    let start = (tape.input("m", (n, 1)), tape.positive_definite("P", n));
    let loss = filter([f, h, q, r], start, tape.input("Y", (d, steps)));
    let given = Given::from([
        ("F", 0.7 * random(n, n, 1)),
        ("H", random(d, n, 2)),
        ("Q", definite(n, 3)),
        ("R", definite(d, 4)),
        ("m", random(n, 1, 5)),
        ("P", definite(n, 6)),
        ("Y", 2.0 * random(d, steps, 7)),
    ]);
    let (no, none) = (Mat::zeros(n, n), Mat::zeros(d, d));
    let (value, _) = sensitivity(&given, &no, &no, &none);
    judge(
        loss,
        &given,
        value,
        &[
            (f, by_entries(n, n, |e| sensitivity(&given, e, &no, &none).1)),
            (q, by_symmetric_entries(n, |e| sensitivity(&given, &no, e, &none).1)),
            (r, by_symmetric_entries(d, |e| sensitivity(&given, &no, &no, e).1)),
        ],
    );
}

/// A system so calm that it is stable under any small feedback.
fn regulator(n: usize, m: usize) -> Given {
    Given::from([
        ("A", 0.3 * random(n, n, 1)),
        ("B", random(n, m, 2)),
        ("K", 0.2 * random(m, n, 3)),
        ("Q", definite(n, 4)),
        ("R", definite(m, 5)),
        ("Σ", definite(n, 6)),
    ])
}

/// The cost-to-go of a state feedback `u = −K x` one step earlier: `Q + Kᵀ R K + (A − B K)ᵀ P (A − B K)`.
fn earlier(given: &Given, p: &Mat<f64>) -> Mat<f64> {
    let [a, b, k, q, r] = ["A", "B", "K", "Q", "R"].map(|name| &given[name]);
    let closed = a - b * k;
    q + k.transpose() * r * k + closed.transpose() * p * &closed
}

/// `2 ((R + Bᵀ P B) K − Bᵀ P A) Σ` (Fazel, Ge, Kakade & Mesbahi, *Global Convergence of Policy Gradient Methods for the Linear
/// Quadratic Regulator*, 2018, lemma 1).
fn policy_gradient(given: &Given, p: &Mat<f64>, states: &Mat<f64>) -> Mat<f64> {
    let [a, b, k, r] = ["A", "B", "K", "R"].map(|name| &given[name]);
    2.0 * ((r + b.transpose() * p * b) * k - b.transpose() * p * a) * states
}

/// The cost of a few steps of feedback, `tr(P₀ Σ)`: the policy gradient is the sum of those of the steps, each with the
/// covariance of its states and the cost-to-go after it.
#[test]
fn regulator_of_few_steps() {
    let (n, m, steps) = (3, 2, 4);
    let tape = Tape::new();
    let (a, b, k) = (tape.input("A", (n, n)), tape.input("B", (n, m)), tape.input("K", (m, n)));
    let (q, r) = (tape.positive_definite("Q", n), tape.positive_definite("R", m));
    let sigma = tape.positive_definite("Σ", n);
    let closed = a - b * k;
    let mut p = q;
    for _ in 0..steps {
        p = q + r.quadratic_form(k) + p.quadratic_form(closed);
    }
    let loss = (p * sigma).trace();

    let given = regulator(n, m);
    let mut costs = vec![given["Q"].clone()];
    (0..steps).for_each(|t| costs.push(earlier(&given, &costs[t])));
    let closed = &given["A"] - &given["B"] * &given["K"];
    let (mut states, mut wanted) = (given["Σ"].clone(), Mat::zeros(m, n));
    for t in 0..steps {
        wanted += policy_gradient(&given, &costs[steps - 1 - t], &states);
        states = &closed * states * closed.transpose();
    }
    judge(loss, &given, inner(&costs[steps], &given["Σ"]), &[(k, wanted)]);
}

/// The cost of feedback for ever, where `P = Q + Kᵀ R K + (A − B K)ᵀ P (A − B K)` and
/// `Σ_K = Σ + (A − B K) Σ_K (A − B K)ᵀ`: the policy gradient with both. P is found as the solution of Lyapunov's equation, and
/// by `(I − Aᵀ ⊗ Aᵀ) vec P = vec Q`.
#[test]
fn regulator_for_ever() {
    let (n, m) = (3, 2);
    let tape = Tape::new();
    let (a, b, k) = (tape.input("A", (n, n)), tape.input("B", (n, m)), tape.input("K", (m, n)));
    let (q, r) = (tape.positive_definite("Q", n), tape.positive_definite("R", m));
    let sigma = tape.positive_definite("Σ", n);
    let (back, cost) = ((a - b * k).t(), q + r.quadratic_form(k));
    let by_kronecker = (tape.identity(n * n) - back.kron(back)).solve(cost.vec()).reshape((n, n));

    let given = regulator(n, m);
    let closed = &given["A"] - &given["B"] * &given["K"];
    let (mut p, mut states) = (Mat::zeros(n, n), Mat::zeros(n, n));
    for _ in 0..400 {
        p = earlier(&given, &p);
        states = &given["Σ"] + &closed * states * closed.transpose();
    }
    assert!((earlier(&given, &p) - &p).norm_max() < 1e-14 * p.norm_max());
    let (value, wanted) = (inner(&p, &given["Σ"]), policy_gradient(&given, &p, &states));
    for p in [back.discrete_lyapunov(cost), by_kronecker] {
        judge(p.inner(sigma), &given, value, &[(k, wanted.clone())]);
    }
}

/// The variance `tr(W P)` of a stable system in continuous time, `A P + P Aᵀ + Q = 0`: with the Gramian of observation L,
/// `Aᵀ L + L A + W = 0`, the gradient in A is `2 L P` and that in Q is L (Rautert & Sachs, *Computational Design of Optimal
/// Output Feedback Controllers*, 1997, §3; Yan, Moore & Helmke, 1994).
#[test]
fn variance_of_a_stable_system() {
    let n = 4;
    let tape = Tape::new();
    let a = tape.input("A", (n, n));
    let (q, w) = (tape.positive_definite("Q", n), tape.positive_definite("W", n));
    let loss = a.lyapunov(-q).inner(w);
    let given = Given::from([
        ("A", 0.5 * random(n, n, 1) - 2.0 * eye(n)),
        ("Q", definite(n, 2)),
        ("W", definite(n, 3)),
    ]);
    let a_ = &given["A"];
    let p = sylvester(a_, &a_.transpose().to_owned(), &-&given["Q"]);
    let l = sylvester(&a_.transpose().to_owned(), a_, &-&given["W"]);
    judge(loss, &given, inner(&p, &given["W"]), &[(a, 2.0 * &l * &p), (q, l)]);
}

/// A graph has no cycles if `tr exp(W ∘ W) = d`; the gradient is `2 W ∘ exp(W ∘ W)ᵀ` (Zheng, Aragam, Ravikumar & Xing, *DAGs
/// with NO TEARS*, 2018, eq. 8).
#[test]
fn acyclicity() {
    let d = 5;
    let tape = Tape::new();
    let w = tape.input("W", (d, d));
    let loss = w.square().expm().trace() - d as f64;
    let given = Given::from([("W", random(d, d, 1))]);
    let at = &given["W"];
    let e = expm(&times(at, at));
    judge(loss, &given, trace(&e) - d as f64, &[(w, 2.0 * times(at, &e.transpose().to_owned()))]);
}

/// The negative log likelihood `−⟨N, log exp(t Q)⟩` of a chain in continuous time that was seen to go from i to j Nᵢⱼ times
/// (Kalbfleisch & Lawless, *The Analysis of Panel Data under a Markov Assumption*, 1985).
///
/// In Q: `t (exp′(t Q))*[−N ⊘ exp(t Q)]`, and the derivative of an exponential is a block of a larger one (Van Loan,
/// *Computing Integrals Involving the Matrix Exponential*, 1978).
#[test]
fn markov_chain() {
    let (n, t) = (4, 0.7);
    let tape = Tape::new();
    let (q, counts) = (tape.input("Q", (n, n)), tape.input("N", (n, n)));
    let loss = -counts.inner((t * q).expm().ln());
    let mut rates = map(&random(n, n, 1), f64::abs);
    for i in 0..n {
        let sum = rates.row(i).sum();
        rates[(i, i)] -= sum;
    }
    let given = Given::from([("Q", rates), ("N", map(&random(n, n, 2), |x| (10.0 * x.abs()).round()))]);
    let scaled = t * &given["Q"];
    let p = expm(&scaled);
    let seed = Mat::from_fn(n, n, |i, j| -given["N"][(i, j)] / p[(i, j)]);
    let block = Mat::from_fn(2 * n, 2 * n, |i, j| match (i < n, j < n) {
        (true, false) => seed[(i, j - n)],
        (false, true) => 0.0,
        _ => scaled[(j % n, i % n)],
    });
    let wanted = t * expm(&block).submatrix(0, n, n, n);
    judge(loss, &given, -inner(&given["N"], &map(&p, f64::ln)), &[(q, wanted)]);
}
