//! What stands on the page, by subject.

use pullback::prelude::*;
use pullback_tape::{Op, Spectral};

/// A value, and the variables that it is differentiated in.
type Built<'t> = (Var<'t>, Vec<Var<'t>>);

pub(crate) struct Entry {
    /// How it is written.
    pub(crate) call: &'static str,
    pub(crate) build: for<'t> fn(&'t Tape) -> Built<'t>,
    /// Conventions, and how it fails.
    pub(crate) notes: &'static str,
    pub(crate) source: &'static str,
}

const fn entry(
    call: &'static str,
    build: for<'t> fn(&'t Tape) -> Built<'t>,
    notes: &'static str,
    source: &'static str,
) -> Entry {
    Entry { call, build, notes, source }
}

/// A square matrix.
fn square<'t>(tape: &'t Tape, f: impl Fn(Var<'t>) -> Var<'t>) -> Built<'t> {
    let a = tape.input("A", (4, 4));
    (f(a), vec![a])
}

/// A tall matrix.
fn tall<'t>(tape: &'t Tape, f: impl Fn(Var<'t>) -> Var<'t>) -> Built<'t> {
    let a = tape.input("A", (5, 4));
    (f(a), vec![a])
}

/// A symmetric matrix.
fn symmetric<'t>(tape: &'t Tape, f: impl Fn(Var<'t>) -> Var<'t>) -> Built<'t> {
    let a = tape.symmetric("S", 4);
    (f(a), vec![a])
}

/// A positive definite matrix.
fn definite<'t>(tape: &'t Tape, f: impl Fn(Var<'t>) -> Var<'t>) -> Built<'t> {
    let a = tape.positive_definite("K", 4);
    (f(a), vec![a])
}

/// A square matrix and one of as many rows.
fn beside<'t>(tape: &'t Tape, f: impl Fn(Var<'t>, Var<'t>) -> Var<'t>) -> Built<'t> {
    let (a, b) = (tape.input("A", (4, 4)), tape.input("B", (4, 3)));
    (f(a, b), vec![a, b])
}

/// Two matrices of one shape.
fn alike<'t>(tape: &'t Tape, f: impl Fn(Var<'t>, Var<'t>) -> Var<'t>) -> Built<'t> {
    let (a, b) = (tape.input("A", (5, 4)), tape.input("B", (5, 4)));
    (f(a, b), vec![a, b])
}

/// A column.
fn column<'t>(tape: &'t Tape, f: impl Fn(Var<'t>) -> Var<'t>) -> Built<'t> {
    let a = tape.input("a", (4, 1));
    (f(a), vec![a])
}

const ELEMENTWISE: &[Entry] = &[
    entry("a.exp()", |t| tall(t, |a| a.exp()), "", ""),
    entry("a.exp_m1()", |t| tall(t, |a| a.exp_m1()), "accurate at 0", ""),
    entry("a.ln()", |t| tall(t, |a| a.ln()), "", ""),
    entry("a.ln_1p()", |t| tall(t, |a| a.ln_1p()), "accurate at 0", ""),
    entry("a.log2()", |t| tall(t, |a| a.log2()), "", ""),
    entry("a.log10()", |t| tall(t, |a| a.log10()), "", ""),
    entry("a.sqrt()", |t| tall(t, |a| a.sqrt()), "derivative 0 at 0", ""),
    entry("a.cbrt()", |t| tall(t, |a| a.cbrt()), "derivative 0 at 0", ""),
    entry("a.square()", |t| tall(t, |a| a.square()), "", ""),
    entry("a.powi(3)", |t| tall(t, |a| a.powi(3)), "", ""),
    entry("a.powf(2.5)", |t| tall(t, |a| a.powf(2.5)), "", ""),
    entry("a.recip()", |t| tall(t, |a| a.recip()), "", ""),
    entry("a.pseudo_recip()", |t| tall(t, |a| a.pseudo_recip()), "0 at 0, with derivative 0", ""),
    entry("a.abs()", |t| tall(t, |a| a.abs()), "derivative 0 at 0", ""),
    entry("a.sign()", |t| tall(t, |a| a.sign()), "0 at 0", ""),
    entry("a.sin()", |t| tall(t, |a| a.sin()), "", ""),
    entry("a.cos()", |t| tall(t, |a| a.cos()), "", ""),
    entry("a.tan()", |t| tall(t, |a| a.tan()), "", ""),
    entry("a.asin()", |t| tall(t, |a| a.asin()), "derivative 0 at ±1", ""),
    entry("a.acos()", |t| tall(t, |a| a.acos()), "derivative 0 at ±1", ""),
    entry("a.atan()", |t| tall(t, |a| a.atan()), "", ""),
    entry("a.sinh()", |t| tall(t, |a| a.sinh()), "", ""),
    entry("a.cosh()", |t| tall(t, |a| a.cosh()), "", ""),
    entry("a.tanh()", |t| tall(t, |a| a.tanh()), "", ""),
    entry("a.asinh()", |t| tall(t, |a| a.asinh()), "", ""),
    entry("a.acosh()", |t| tall(t, |a| a.acosh()), "derivative 0 at 1", ""),
    entry("a.atanh()", |t| tall(t, |a| a.atanh()), "", ""),
    entry("a.erf()", |t| tall(t, |a| a.erf()), "", "DLMF §7.2"),
    entry("a.erfc()", |t| tall(t, |a| a.erfc()), "", "DLMF §7.2"),
    entry("a.ln_gamma()", |t| tall(t, |a| a.ln_gamma()), "", "DLMF §5.2"),
    entry("a.digamma()", |t| tall(t, |a| a.digamma()), "", "DLMF §5.15"),
    entry("a.polygamma(1)", |t| tall(t, |a| a.polygamma(1)), "", "DLMF §5.15"),
    entry("a.sigmoid()", |t| tall(t, |a| a.sigmoid()), "", ""),
    entry("a.softplus()", |t| tall(t, |a| a.softplus()), "", ""),
    entry("a.log_cosh()", |t| tall(t, |a| a.log_cosh()), "", ""),
    entry("a.relu()", |t| tall(t, |a| a.relu()), "derivative 0 at 0", ""),
    entry("a.step()", |t| tall(t, |a| a.step()), "0 at 0", ""),
    entry("a.clamp(-1.0, 1.0)", |t| tall(t, |a| a.clamp(-1.0, 1.0)), "derivative 1 at both ends", ""),
    entry("a.silu()", |t| tall(t, |a| a.silu()), "", ""),
    entry("a.gelu()", |t| tall(t, |a| a.gelu()), "the exact one", "Hendrycks & Gimpel 2016"),
    entry("a.max(b)", |t| alike(t, |a, b| a.max(b)), "where both are equal, a is chosen", ""),
    entry("a.min(b)", |t| alike(t, |a, b| a.min(b)), "where both are equal, a is chosen", ""),
    entry("a.atan2(b)", |t| alike(t, |a, b| a.atan2(b)), "derivative 0 at the origin", ""),
    entry("a.hypot(b)", |t| alike(t, |a, b| a.hypot(b)), "derivative 0 at the origin", ""),
    entry("a.less(b)", |t| alike(t, |a, b| a.less(b)), "", ""),
    entry("a.keep(b)", |t| alike(t, |a, b| a.keep(b)), "0 where b is 0, whatever a is", ""),
    entry(
        "m.select(a, b)",
        |t| {
            let mask = t.input("M", (5, 4));
            alike(t, |a, b| mask.select(a, b))
        },
        "what is not chosen has gradient 0, whatever it is",
        "",
    ),
];

const ALGEBRA: &[Entry] = &[
    entry("a + b", |t| alike(t, |a, b| a + b), "", ""),
    entry("2.0 * a", |t| tall(t, |a| 2.0 * a), "", ""),
    entry(
        "s * a",
        |t| {
            let (s, a) = (t.input("s", (1, 1)), t.input("A", (5, 4)));
            (s * a, vec![s, a])
        },
        "",
        "",
    ),
    entry("a * b", |t| beside(t, |a, b| a * b), "", "G §2.2.2"),
    entry("a.t()", |t| tall(t, |a| a.t()), "a view", ""),
    entry("a.hadamard(b)", |t| alike(t, |a, b| a.hadamard(b)), "", "MN §3.6"),
    entry("a.quotient(b)", |t| alike(t, |a, b| a.quotient(b)), "", ""),
    entry("a.stop_gradient()", |t| tall(t, |a| a.stop_gradient()), "held", ""),
    entry(
        "tape.function(\"L\", a)",
        |t| tall(t, |a| t.function("L", a)),
        "given by closures, or left opaque",
        "",
    ),
    entry(
        "jvp(tape.function(\"L\", a), …)",
        |t| tall(t, |a| gradient(t.function("L", a), &[a]).map_or(a, |gradients| gradients[0])),
        "",
        "",
    ),
];

const STRUCTURE: &[Entry] = &[
    entry("a.slice(1..3, ..)", |t| tall(t, |a| a.slice(1..3, ..)), "", ""),
    entry("a.select_rows(&[3, 0])", |t| tall(t, |a| a.select_rows(&[3, 0])), "rows may repeat", ""),
    entry("a.select_cols(&[1])", |t| tall(t, |a| a.select_cols(&[1])), "", ""),
    entry("tape.stack_rows(&[a, b])", |t| alike(t, |a, b| t.stack_rows(&[a, b])), "", ""),
    entry("tape.stack_cols(&[a, b])", |t| alike(t, |a, b| t.stack_cols(&[a, b])), "", ""),
    entry("a.reshape((2, 10))", |t| tall(t, |a| a.reshape((2, 10))), "column by column", "MN §2.4"),
    entry("a.diag()", |t| column(t, |a| a.diag()), "", "MN §3.8"),
    entry("a.diagonal()", |t| square(t, |a| a.diagonal()), "", "MN §3.8"),
    entry("a.tril()", |t| square(t, |a| a.tril()), "", ""),
    entry("a.strict_triu()", |t| square(t, |a| a.strict_triu()), "", ""),
    entry("a.symmetrize()", |t| square(t, |a| a.symmetrize()), "", ""),
    entry("a.cumulative_sums()", |t| tall(t, |a| a.cumulative_sums()), "down the columns", ""),
    entry("a.kron(b)", |t| beside(t, |a, b| a.slice(..2, ..1).kron(b.slice(..1, ..2))), "", "MN §2.2"),
    entry("a.outer(b)", |t| column(t, |a| a.outer(t.input("b", (3, 1)))), "", ""),
];

const REDUCTIONS: &[Entry] = &[
    entry("a.sum()", |t| tall(t, |a| a.sum()), "", ""),
    entry("a.row_sums()", |t| tall(t, |a| a.row_sums()), "", ""),
    entry("a.mean()", |t| tall(t, |a| a.mean()), "", ""),
    entry("a.variance(1)", |t| tall(t, |a| a.variance(1)), "NaN for too few entries", ""),
    entry(
        "a.product()",
        |t| {
            let a = t.input("a", (3, 1));
            (a.product(), vec![a])
        },
        "exact at zeros",
        "",
    ),
    entry("a.col_maxima()", |t| tall(t, |a| a.col_maxima()), "the first maximum; −∞ of nothing", ""),
    entry("a.col_argmax()", |t| tall(t, |a| a.col_argmax()), "one-hot", ""),
    entry("a.log_sum_exp()", |t| tall(t, |a| a.log_sum_exp()), "of every column, without overflow", ""),
    entry("a.softmax()", |t| tall(t, |a| a.softmax()), "of every column", ""),
    entry("a.trace()", |t| square(t, |a| a.trace()), "", "G §2.2.4"),
    entry("a.inner(b)", |t| alike(t, |a, b| a.inner(b)), "", ""),
    entry("a.norm()", |t| tall(t, |a| a.norm()), "gradient 0 at 0", ""),
    entry("a.norm_1()", |t| tall(t, |a| a.norm_1()), "largest column sum; gradient 0 at 0", ""),
    entry("a.norm_inf()", |t| tall(t, |a| a.norm_inf()), "largest row sum; gradient 0 at 0", ""),
    entry("a.norm_max()", |t| tall(t, |a| a.norm_max()), "gradient 0 at 0", ""),
    entry("a.norm_p(3.0)", |t| tall(t, |a| a.norm_p(3.0)), "entrywise; gradient 0 at 0", ""),
];

const SOLVES: &[Entry] = &[
    entry("a.inv()", |t| square(t, |a| a.inv()), "singular: the pivot", "G §2.2.3; MN §8.4"),
    entry("a.solve(b)", |t| beside(t, |a, b| a.solve(b)), "singular: the pivot", "G §2.3.1"),
    entry(
        "k.solve(b)",
        |t| {
            let (k, b) = (t.positive_definite("K", 4), t.input("B", (4, 3)));
            (k.solve(b), vec![k, b])
        },
        "by Cholesky; not positive definite: the pivot",
        "G §2.3.1",
    ),
    entry(
        "a.solve_lower(b)",
        |t| beside(t, |a, b| a.solve_lower(b)),
        "the other triangle is not read",
        "G §2.3.1",
    ),
    entry("a.solve_upper(b)", |t| beside(t, |a, b| a.solve_upper(b)), "a zero on the diagonal", "G §2.3.1"),
    entry(
        "a.solve_unit_lower(b)",
        |t| beside(t, |a, b| a.solve_unit_lower(b)),
        "the diagonal is not read",
        "G §2.3.1",
    ),
    entry(
        "a.solve_unit_upper(b)",
        |t| beside(t, |a, b| a.solve_unit_upper(b)),
        "the diagonal is not read",
        "G §2.3.1",
    ),
    entry("a.det()", |t| square(t, |a| a.det()), "singular A too", "MN §8.3"),
    entry("k.det()", |t| definite(t, |k| k.det()), "by Cholesky", "G §2.2.4; MN §8.3"),
    entry(
        "a.adjugate()",
        |t| square(t, |a| a.adjugate()),
        "singular A too; in derivatives: the pivot",
        "MN §8.3, §8.4; Stewart 1998",
    ),
    entry(
        "a.log_det()",
        |t| square(t, |a| a.log_det()),
        "log \\|det A\\|; singular: the pivot",
        "G §2.2.4; MN §8.3",
    ),
    entry("k.log_det()", |t| definite(t, |k| k.log_det()), "by Cholesky", "MN §8.3"),
];

const FACTORS: &[Entry] = &[
    entry(
        "k.cholesky()",
        |t| definite(t, |k| k.cholesky()),
        "positive diagonal; not positive definite: the pivot",
        "Smith 1995; Murray 2016",
    ),
    entry("s.ldl().0", |t| symmetric(t, |s| s.ldl().0), "unit diagonal; a pivot that is 0", ""),
    entry("s.ldl().1", |t| symmetric(t, |s| s.ldl().1), "a column", ""),
    entry("a.lu().0", |t| square(t, |a| a.lu().0), "`P A = L U`; P is held", ""),
    entry(
        "a.lu().1",
        |t| square(t, |a| a.lu().1),
        "unit diagonal; singular: the pivot",
        "de Hoog, Anderssen & Lukas 2011",
    ),
    entry("a.lu().2", |t| square(t, |a| a.lu().2), "singular: the pivot", "de Hoog, Anderssen & Lukas 2011"),
    entry(
        "a.qr().0",
        |t| tall(t, |a| a.qr().0),
        "thin; dependent columns: the first of them",
        "Walter & Lehmann 2010",
    ),
    entry("a.qr().1", |t| tall(t, |a| a.qr().1), "diagonal not negative", "Walter & Lehmann 2010"),
    entry(
        "a.svd().0",
        |t| tall(t, |a| a.svd().0),
        "thin, largest entry positive; values that coincide or vanish",
        "G §3.2; Townsend 2016",
    ),
    entry(
        "a.svd().1",
        |t| tall(t, |a| a.svd().1),
        "descending; values that coincide and are told apart",
        "G §3.2",
    ),
    entry("a.svd().2", |t| tall(t, |a| a.svd().2), "values that coincide", "G §3.2; Townsend 2016"),
    entry(
        "a.polar().0",
        |t| tall(t, |a| a.polar().0),
        "exact where singular values coincide; a value that vanishes",
        "H §8.4",
    ),
    entry(
        "a.pseudo_inverse()",
        |t| tall(t, |a| a.pseudo_inverse()),
        "values below max(m, n) ε σ₁ count as 0; constant rank",
        "Golub & Pereyra 1973",
    ),
    entry(
        "a.least_squares(b)",
        |t| {
            let (a, b) = (t.input("A", (5, 4)), t.input("B", (5, 3)));
            (a.least_squares(b), vec![a, b])
        },
        "full rank; dependent columns: the first of them",
        "Golub & Pereyra 1973; Golub & Van Loan §5.3",
    ),
    entry("a.nuclear_norm()", |t| tall(t, |a| a.nuclear_norm()), "gradient 0 at 0", ""),
    entry(
        "a.spectral_norm()",
        |t| tall(t, |a| a.spectral_norm()),
        "gradient 0 at 0; largest values that coincide",
        "",
    ),
    entry("a.schatten_norm(3.0)", |t| tall(t, |a| a.schatten_norm(3.0)), "gradient 0 at 0", ""),
    entry(
        "s.eigenvalues()",
        |t| symmetric(t, |s| s.eigenvalues()),
        "ascending; values that coincide and are told apart",
        "MN §8.9; G §3.1",
    ),
    entry(
        "s.eigenvectors()",
        |t| symmetric(t, |s| s.eigenvectors()),
        "largest entry positive; values that coincide",
        "MN §8.9; G §3.1",
    ),
    entry(
        "s.eigenprojector(1..3)",
        |t| symmetric(t, |s| s.eigenprojector(1..3)),
        "a value within the range that coincides with one outside",
        "MN §8.9; Kato §II.2",
    ),
    entry(
        "a.real_eigenvalues()",
        |t| square(t, |a| a.real_eigenvalues()),
        "ascending; complex eigenvalues; values that coincide and are told apart",
        "MN §8.9; Magnus 1985",
    ),
    entry(
        "a.real_eigenvectors()",
        |t| square(t, |a| a.real_eigenvectors()),
        "columns of norm 1, largest entry positive; complex eigenvalues; values that coincide",
        "MN §8.9; Magnus 1985",
    ),
    entry(
        "beside a spectrum",
        |t| {
            let (s, m) = (t.input("λ", (4, 1)), t.input("M", (4, 4)));
            (t.apply(Op::Spectral(Spectral::Gaps), &[s, m]), vec![s, m])
        },
        "0 where the numerator vanishes",
        "MN §8.9",
    ),
    entry(
        "values beside entangled vectors",
        |t| {
            let (s, used) = (t.input("λ", (4, 1)), t.ones((4, 1)));
            let distinct = t.apply(Op::Spectral(Spectral::Distinct), &[s, used]);
            (t.apply(Op::Spectral(Spectral::Positive), &[distinct, used]), vec![s])
        },
        "values of vectors that are used: one coincides with another, or vanishes",
        "",
    ),
];

const FUNCTIONS: &[Entry] = &[
    entry("a.expm()", |t| square(t, |a| a.expm()), "", "H §10.2; Al-Mohy & Higham 2009"),
    entry("a.expm().trace()", |t| square(t, |a| a.expm().trace()), "", "H §3.2"),
    entry(
        "a.expm_multiply(b)",
        |t| beside(t, |a, b| a.expm_multiply(b)),
        "without the exponential",
        "Al-Mohy & Higham 2011",
    ),
    entry(
        "a.logm()",
        |t| square(t, |a| a.logm()),
        "principal; an eigenvalue that is zero or negative",
        "H §11.8; Al-Mohy, Higham & Relton 2013",
    ),
    entry(
        "a.sqrtm()",
        |t| square(t, |a| a.sqrtm()),
        "principal; an eigenvalue that is zero or negative",
        "H §6.1; Deadman, Higham & Ralha 2013",
    ),
    entry("a.signm()", |t| square(t, |a| a.signm()), "an eigenvalue on the imaginary axis", "H §5.1"),
    entry("a.powm(0.3)", |t| square(t, |a| a.powm(0.3)), "those of `logm`", "Higham & Lin 2011"),
    entry(
        "s.symmetric_function(|x| x.tanh())",
        |t| symmetric(t, |s| s.symmetric_function(|x| x.tanh())),
        "divided differences, exact where eigenvalues coincide",
        "H §3.2; Bhatia §V.3",
    ),
];

const EQUATIONS: &[Entry] = &[
    entry(
        "a.sylvester(b, c)",
        |t| {
            let (a, b, c) = (t.input("A", (4, 4)), t.input("B", (3, 3)), t.input("C", (4, 3)));
            (a.sylvester(b, c), vec![a, b, c])
        },
        "`A X + X B = C`; eigenvalues of A and B that add up to 0",
        "Bartels & Stewart 1972",
    ),
    entry(
        "a.stein(b, c)",
        |t| {
            let (a, b, c) = (t.input("A", (4, 4)), t.input("B", (3, 3)), t.input("C", (4, 3)));
            (a.stein(b, c), vec![a, b, c])
        },
        "`X − A X B = C`; eigenvalues of A and B with the product 1",
        "Kitagawa 1977",
    ),
    entry(
        "a.lyapunov(q)",
        |t| {
            let (a, q) = (t.input("A", (4, 4)), t.symmetric("Q", 4));
            (a.lyapunov(q), vec![a, q])
        },
        "`A X + X Aᵀ = Q`",
        "",
    ),
    entry(
        "a.discrete_lyapunov(q)",
        |t| {
            let (a, q) = (t.input("A", (4, 4)), t.symmetric("Q", 4));
            (a.discrete_lyapunov(q), vec![a, q])
        },
        "`X = A X Aᵀ + Q`",
        "",
    ),
];

const PRODUCTS: &[Entry] = &[
    entry(
        "tape.multi_dot(&[a, b, …])",
        |t| {
            let (a, b, c) = (t.input("A", (4, 3)), t.input("B", (3, 5)), t.input("C", (5, 2)));
            (t.multi_dot(&[a, b, c]), vec![a, b, c])
        },
        "in the best order",
        "",
    ),
    entry(
        "a.matrix_power(3)",
        |t| square(t, |a| a.matrix_power(3)),
        "repeated squaring; negative by the inverse",
        "",
    ),
    entry("a.quadratic_form(b)", |t| beside(t, |a, b| a.quadratic_form(b)), "", "MN §9.9"),
    entry(
        "s.congruence(b)",
        |t| {
            let (s, b) = (t.symmetric("S", 4), t.input("B", (3, 4)));
            (s.congruence(b), vec![s, b])
        },
        "",
        "",
    ),
    entry("a.col_inner(b)", |t| alike(t, |a, b| a.col_inner(b)), "no product of the two is formed", ""),
    entry(
        "tape.einsum(\"ij,kj->ik\", &[a, b])",
        |t| alike(t, |a, b| t.einsum("ij,kj->ik", &[a, b])),
        "at most two operands of two indices",
        "",
    ),
];

pub(crate) const SUBJECTS: &[(&str, &[Entry])] = &[
    ("Algebra", ALGEBRA),
    ("Structure", STRUCTURE),
    ("Elementwise functions", ELEMENTWISE),
    ("Reductions and norms", REDUCTIONS),
    ("Products", PRODUCTS),
    ("Solves and determinants", SOLVES),
    ("Decompositions", FACTORS),
    ("Matrix equations", EQUATIONS),
    ("Functions of matrices", FUNCTIONS),
];
