//! What an expression is recorded as and printed as, and what a mistake in it says.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback_tape::{Error, Function, Op, Shape, Tape, Var};
use std::time::{Duration, Instant};

/// The inputs of the tables below, by name.
struct On<'t>(&'t Tape);

#[allow(non_snake_case)] // They are called as they print.
impl<'t> On<'t> {
    /// 3×4
    fn A(&self) -> Var<'t> {
        self.0.input("A", (3, 4))
    }
    /// 3×4
    fn B(&self) -> Var<'t> {
        self.0.input("B", (3, 4))
    }
    /// 4×5
    fn X(&self) -> Var<'t> {
        self.0.input("X", (4, 5))
    }
    /// 4×4
    fn S(&self) -> Var<'t> {
        self.0.input("S", (4, 4))
    }
    /// 4×4
    fn T(&self) -> Var<'t> {
        self.0.input("T", (4, 4))
    }
    /// 4×1
    fn x(&self) -> Var<'t> {
        self.0.input("x", (4, 1))
    }
    /// 1×1
    fn s(&self) -> Var<'t> {
        self.0.input("s", (1, 1))
    }
    /// 1×1
    fn t(&self) -> Var<'t> {
        self.0.input("t", (1, 1))
    }
    fn identity(&self) -> Var<'t> {
        self.0.identity(4)
    }
    fn zeros(&self) -> Var<'t> {
        self.0.zeros((4, 4))
    }
    fn ones(&self) -> Var<'t> {
        self.0.ones((4, 4))
    }
}

type Build = for<'t> fn(&On<'t>) -> Var<'t>;

fn assert_prints(cases: &[(&str, Build)]) {
    let mut failures = Vec::new();
    for (wanted, build) in cases {
        let tape = Tape::new();
        let printed = build(&On(&tape)).to_string();
        if printed != *wanted {
            failures.push(format!("wanted {wanted}\n   got {printed}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Pairs of expressions that are one node.
fn assert_same(cases: &[(Build, Build)]) {
    let mut failures = Vec::new();
    for (left, right) in cases {
        let tape = Tape::new();
        let (left, right) = (left(&On(&tape)), right(&On(&tape)));
        left.check().unwrap();
        if !left.same(right) {
            failures.push(format!("{left}   is not   {right}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn identities_that_are_recorded() {
    assert_same(&[
        // transposes
        (|on| on.A().t().t(), |on| on.A()),
        (|on| on.s().t(), |on| on.s()),
        (|on| on.identity().t(), |on| on.identity()),
        (|on| on.0.zeros((2, 3)).t(), |on| on.0.zeros((3, 2))),
        (|on| on.0.ones((2, 3)).t(), |on| on.0.ones((3, 2))),
        (|on| on.A().t() + on.B().t(), |on| (on.A() + on.B()).t()),
        (|on| on.A().t().hadamard(on.B().t()), |on| on.A().hadamard(on.B()).t()),
        (|on| on.A().t().quotient(on.B().t()), |on| on.A().quotient(on.B()).t()),
        (|on| on.A().t().exp(), |on| on.A().exp().t()),
        (|on| on.A().t() + 1.0, |on| (on.A() + 1.0).t()),
        (|on| on.S().t().inv(), |on| on.S().inv().t()),
        (|on| on.S().t().adjugate(), |on| on.S().adjugate().t()),
        (|on| on.S().t() * on.T().t(), |on| (on.T() * on.S()).t()),
        (|on| on.X().t() * on.A().t(), |on| (on.A() * on.X()).t()),
        (|on| (2.0 * on.A()).t(), |on| 2.0 * on.A().t()),
        // what a transpose does not change
        (|on| on.S().t().trace(), |on| on.S().trace()),
        (|on| on.S().t().det(), |on| on.S().det()),
        (|on| on.S().t().log_det(), |on| on.S().log_det()),
        (|on| on.A().t().norm(), |on| on.A().norm()),
        (|on| on.A().t().inner(on.B().t()), |on| on.A().inner(on.B())),
        (|on| on.A().t().sum(), |on| on.A().sum()),
        // parts
        (|on| on.A().select_rows(&[0, 1, 2]), |on| on.A()),
        (|on| on.A().select_rows(&[2, 0]).select_rows(&[1, 1]), |on| on.A().select_rows(&[0, 0])),
        (|on| on.A().slice(1.., ..), |on| on.A().select_rows(&[1, 2])),
        (|on| (2.0 * on.A()).slice(..2, ..), |on| 2.0 * on.A().slice(..2, ..)),
        (|on| on.A().t().select_cols(&[1]), |on| on.A().select_rows(&[1]).t()),
        (|on| on.0.ones((3, 2)).select_rows(&[2, 2]), |on| on.0.ones((2, 2))),
        (|on| on.0.stack_rows(&[on.A()]), |on| on.A()),
        (|on| on.A().reshape((4, 3)).reshape((3, 4)), |on| on.A()),
        (|on| on.A().reshape((4, 3)).vec(), |on| on.A().vec()),
        (|on| on.x().reshape((1, 4)), |on| on.x().t()),
        (|on| on.x().t().reshape((2, 2)), |on| on.x().reshape((2, 2))),
        (|on| (3.0 * on.A()).vec(), |on| 3.0 * on.A().vec()),
        (|on| on.S().tril().tril(), |on| on.S().tril()),
        (|on| on.S().t().tril(), |on| on.S().triu().t()),
        (|on| on.S().tril().diagonal(), |on| on.S().tril().diagonal()),
        (|on| on.0.triangle((4, 4), false).diagonal(), |on| on.0.ones((4, 1))),
        // units and zeros
        (|on| on.identity() * on.S(), |on| on.S()),
        (|on| on.S() * on.identity(), |on| on.S()),
        (|on| on.S() + on.zeros(), |on| on.S()),
        (|on| on.zeros() + on.S(), |on| on.S()),
        (|on| on.S() - on.zeros(), |on| on.S()),
        (|on| on.zeros() * on.X(), |on| on.0.zeros((4, 5))),
        (|on| on.zeros().hadamard(on.S()), |on| on.zeros()),
        (|on| on.S().hadamard(on.ones()), |on| on.S()),
        (|on| on.S().keep(on.ones()), |on| on.S()),
        (|on| on.S().keep(on.zeros()), |on| on.zeros()),
        (|on| on.A().t().max(on.B().t()), |on| on.A().max(on.B()).t()),
        (|on| on.A().t().tan(), |on| on.A().tan().t()),
        (|on| on.S().quotient(on.ones()), |on| on.S()),
        (|on| 0.0 * on.S(), |on| on.zeros()),
        (|on| 1.0 * on.S(), |on| on.S()),
        (|on| on.0.scalar(0.0) * on.S(), |on| on.zeros()),
        (|on| on.0.scalar(1.0) * on.S(), |on| on.S()),
        (|on| on.S() / 1.0, |on| on.S()),
        (|on| -(-on.S()), |on| on.S()),
        (|on| on.zeros().inner(on.S()), |on| on.0.scalar(0.0)),
        (|on| on.zeros().trace(), |on| on.0.scalar(0.0)),
        (|on| on.0.zeros((1, 1)), |on| on.0.scalar(0.0)),
        (|on| on.0.ones((1, 1)), |on| on.0.scalar(1.0)),
        (|on| on.0.identity(1), |on| on.0.scalar(1.0)),
        (|on| on.0.scalar(-0.0), |on| on.0.scalar(0.0)),
        // sums
        (|on| on.A() - on.A(), |on| on.0.zeros((3, 4))),
        (|on| on.A() + on.A(), |on| 2.0 * on.A()),
        (|on| 2.0 * on.A() + 3.0 * on.A(), |on| 5.0 * on.A()),
        (|on| 2.0 * on.A() - 2.0 * on.A(), |on| on.0.zeros((3, 4))),
        (|on| 2.0 * on.A() + 2.0 * on.B(), |on| 2.0 * (on.A() + on.B())),
        (|on| 2.0 * on.A() - 2.0 * on.B(), |on| 2.0 * (on.A() - on.B())),
        (|on| on.0.scalar(2.0) + on.0.scalar(3.0), |on| on.0.scalar(5.0)),
        // scalars to the front
        (|on| 2.0 * (3.0 * on.A()), |on| 6.0 * on.A()),
        (|on| (2.0 * on.A()) * (3.0 * on.X()), |on| 6.0 * (on.A() * on.X())),
        (|on| on.A() * (on.s() * on.X()), |on| on.s() * (on.A() * on.X())),
        (|on| on.A() * on.s(), |on| on.s() * on.A()),
        (|on| on.s() * (on.t() * on.A()), |on| (on.s() * on.t()) * on.A()),
        (|on| (-on.A()).inner(2.0 * on.B()), |on| -2.0 * on.A().inner(on.B())),
        (|on| (on.s() * on.S()).trace(), |on| on.s() * on.S().trace()),
        (|on| (2.0 * on.A()).quotient(on.B()), |on| 2.0 * on.A().quotient(on.B())),
        (|on| on.S().solve(2.0 * on.X()), |on| 2.0 * on.S().solve(on.X())),
        (|on| on.s() / on.0.scalar(2.0), |on| 0.5 * on.s()),
        // what is one thing by two names
        (|on| on.s() * on.s(), |on| on.s().square()),
        (|on| on.A().hadamard(on.A()), |on| on.A().square()),
        (|on| on.A().powf(2.0), |on| on.A().square()),
        (|on| on.A().powf(1.0), |on| on.A()),
        (|on| on.A().powf(-1.0), |on| on.A().recip()),
        (|on| on.A().powf(0.0), |on| on.0.ones((3, 4))),
        (|on| on.s().inner(on.t()), |on| on.s() * on.t()),
        (|on| on.s().hadamard(on.t()), |on| on.s() * on.t()),
        (|on| on.s().trace(), |on| on.s()),
        (|on| on.s().det(), |on| on.s()),
        (|on| on.s().adjugate(), |on| on.0.scalar(1.0)),
        (|on| on.S().det_sign(), |on| on.S().det().sign()),
        (|on| on.s().norm(), |on| on.s().abs()),
        (|on| on.S().solve(on.identity()), |on| on.S().inv()),
        (|on| on.identity().solve(on.X()), |on| on.X()),
        (|on| on.S().inv().inv(), |on| on.S()),
        (|on| on.identity().inv(), |on| on.identity()),
        (|on| on.identity().det(), |on| on.0.scalar(1.0)),
        (|on| on.identity().adjugate(), |on| on.identity()),
        (|on| on.identity().log_det(), |on| on.0.scalar(0.0)),
        (|on| on.identity().trace(), |on| on.0.scalar(4.0)),
        (|on| on.ones().trace(), |on| on.0.scalar(4.0)),
        (|on| on.identity().inner(on.S()), |on| on.S().trace()),
        (|on| on.S().inner(on.identity()), |on| on.S().trace()),
        (|on| on.0.ones((2, 3)).inner(on.0.ones((2, 3))), |on| on.0.scalar(6.0)),
        // sums of products, and products of ones
        (|on| on.A().hadamard(on.B()).sum(), |on| on.A().inner(on.B())),
        (|on| on.A().square().sum(), |on| on.A().norm_squared()),
        (|on| on.A().row_sums().sum(), |on| on.A().sum()),
        (|on| on.A().col_sums().sum(), |on| on.A().sum()),
        (|on| on.0.ones((2, 3)) * on.0.ones((3, 4)), |on| 3.0 * on.0.ones((2, 4))),
        (|on| on.x().repeat_cols(3).row_sums(), |on| on.x().repeat_cols(3) * on.0.ones((3, 1))),
        // nothing
        (|on| on.0.input("E", (0, 0)).det(), |on| on.0.scalar(1.0)),
        (|on| on.0.input("E", (0, 0)).adjugate(), |on| on.0.input("E", (0, 0))),
        (|on| on.0.input("E", (0, 0)).log_det(), |on| on.0.scalar(0.0)),
        (|on| on.0.input("E", (0, 0)).trace(), |on| on.0.scalar(0.0)),
        (|on| on.0.input("E", (0, 3)).norm(), |on| on.0.scalar(0.0)),
        (|on| on.0.input("E", (0, 3)).sum(), |on| on.0.scalar(0.0)),
        (|on| on.0.input("E", (2, 0)) * on.0.input("F", (0, 3)), |on| on.0.zeros((2, 3))),
        // whatever was recorded before is found again
        (|on| on.A(), |on| on.A()),
        (|on| (on.A() * on.X()).tanh(), |on| (on.A() * on.X()).tanh()),
        (|on| on.0.function("L", on.A()), |on| on.0.function("L", on.A())),
        // and may be written either way round
        (|on| on.A() + on.B(), |on| on.B() + on.A()),
        (|on| on.A().hadamard(on.B()), |on| on.B().hadamard(on.A())),
        (|on| on.A().inner(on.B()), |on| on.B().inner(on.A())),
        (|on| on.s() * on.t(), |on| on.t() * on.s()),
    ]);
}

#[test]
fn different_things_stay_apart() {
    let tape = Tape::new();
    let on = On(&tape);
    let different = [
        on.S() * on.T(),
        on.T() * on.S(),
        on.S().t() * on.T(),
        on.S() - on.T(),
        on.T() - on.S(),
        on.S().quotient(on.T()),
        on.T().quotient(on.S()),
        on.S().solve(on.T()),
        on.T().solve(on.S()),
        on.S().t(),
        on.zeros(),
        tape.zeros((4, 3)),
        on.ones(),
        tape.ones((4, 3)),
        tape.scalar(2.0),
        tape.scalar(f64::NAN),
        on.S().powf(2.5),
        on.S().clamp(0.0, 1.0),
        on.S().inside(0.0, 1.0),
        tape.function("L", on.S()),
        tape.function("M", on.S()),
        tape.symbol("ε", (4, 4)),
        // A symbol is fresh each time.
        tape.symbol("ε", (4, 4)),
    ];
    for (i, a) in different.iter().enumerate() {
        for b in &different[..i] {
            assert!(!a.same(*b), "{a} is {b}");
        }
    }
    let other = Tape::new();
    assert!(!on.S().same(On(&other).S()));
}

#[test]
fn formulas_are_written_as_by_a_person() {
    assert_prints(&[
        // parts
        ("I[1..3] A", |on| on.A().slice(1.., ..)),
        ("A I[0..2]ᵀ", |on| on.A().slice(.., ..2)),
        ("I[2] A I[0]ᵀ", |on| on.A().entry(2, 0)),
        ("I[2, 0, 1, 2, …] A", |on| on.A().select_rows(&[2, 0, 1, 2, 0])),
        ("I[0..3]ᵀ A + I[3..6]ᵀ B", |on| on.0.stack_rows(&[on.A(), on.B()])),
        ("tril(A) + triu(A, 1)", |on| on.A().tril() + on.A().strict_triu()),
        ("triu(A)ᵀ A", |on| on.A().t().tril() * on.A()),
        ("𝟏[i ≥ j] A", |on| on.A().cumulative_sums()),
        ("vec(A)ᵀ vec(B)", |on| on.A().vec().t() * on.B().vec()),
        ("reshape(A, 2×6)", |on| on.A().reshape((2, 6))),
        // transposes move to the factors
        ("Xᵀ Aᵀ", |on| (on.A() * on.X()).t()),
        ("Xᵀ S Aᵀ", |on| (on.A() * on.S().t() * on.X()).t()),
        ("Aᵀ + Bᵀ", |on| (on.A() + on.B()).t()),
        ("exp(tanh(A))", |on| on.A().t().tanh().t().exp()),
        ("S⁻ᵀ", |on| on.S().inv().t()),
        ("S⁻ᵀ X", |on| on.S().t().solve(on.X())),
        ("Xᵀ S⁻ᵀ", |on| on.S().solve(on.X()).t()),
        ("exp(A)ᵀ", |on| on.A().t().exp()),
        ("xᵀ x", |on| on.x().t() * on.x()),
        // signs and numbers
        ("−A X", |on| -(on.A() * on.X())),
        ("−A X", |on| on.A() * -on.X()),
        ("A − B", |on| on.A() - on.B()),
        ("B − A", |on| -on.A() + on.B()),
        ("B − A", |on| -(on.A() - on.B())),
        ("A + B", |on| on.A() - -on.B()),
        ("2 A − 3 B", |on| 2.0 * on.A() - 3.0 * on.B()),
        ("6 A X", |on| (2.0 * on.A()) * (3.0 * on.X())),
        ("2 (A + B)", |on| 2.0 * on.A() + 2.0 * on.B()),
        ("2 (A − B)", |on| -2.0 * (on.B() - on.A())),
        ("s A X", |on| on.A() * (on.s() * on.X())),
        ("2 s A", |on| on.s() * (2.0 * on.A())),
        ("s t A", |on| on.s() * (on.t() * on.A())),
        ("s²", |on| on.s() * on.s()),
        ("s⁻¹", |on| on.s().recip()),
        ("s⁻¹ A", |on| on.A() / on.s()),
        ("2 s⁻¹", |on| 2.0 / on.s()),
        ("s / t", |on| on.s() / on.t()),
        ("s / (s t)", |on| on.s() / (on.s() * on.t())),
        ("(s + t) / s", |on| (on.s() + on.t()) / on.s()),
        ("A + 𝟏", |on| on.A() + 1.0),
        ("𝟏 − A", |on| 1.0 - on.A()),
        ("A − 2 𝟏", |on| on.A() - 2.0),
        ("S + 1/4 I", |on| on.S() + 0.25 * on.identity()),
        ("S + s I", |on| on.S() + on.s() * on.identity()),
        ("0", |on| on.A() - on.A()),
        // common factors
        ("(S + T) X", |on| on.S() * on.X() + on.T() * on.X()),
        ("A (S + T)", |on| on.A() * on.S() + on.A() * on.T()),
        // brackets where they are needed, and nowhere else
        ("A (S + T) X", |on| on.A() * (on.S() + on.T()) * on.X()),
        ("A S X", |on| on.A() * (on.S() * on.X())),
        ("S + T + I", |on| on.S() + (on.T() + on.identity())),
        ("S − T − I", |on| on.S() - (on.T() + on.identity())),
        ("A ∘ (A + B)", |on| on.A().hadamard(on.A() + on.B())),
        ("2 A ∘ B", |on| 2.0 * on.A().hadamard(on.B())),
        ("(A ∘ B) X", |on| on.A().hadamard(on.B()) * on.X()),
        ("(S X) ∘ X", |on| (on.S() * on.X()).hadamard(on.X())),
        ("A ⊘ B", |on| on.A().quotient(on.B())),
        ("A ∘ B ∘ exp(A)", |on| on.A().hadamard(on.B()).hadamard(on.A().exp())),
        ("(S T)⁻¹", |on| (on.S() * on.T()).inv()),
        ("(S + T)⁻¹ x", |on| (on.S() + on.T()).solve(on.x())),
        ("(A + B)∘²", |on| (on.A() + on.B()).square()),
        ("A∘⁻¹", |on| on.A().recip()),
        ("A∘⁺", |on| on.A().pseudo_recip()),
        ("s⁺", |on| on.s().pseudo_recip()),
        ("A∘³", |on| on.A().powf(3.0)),
        ("A∘^2.5", |on| on.A().powf(2.5)),
        // functions
        ("tr(S T)", |on| (on.S() * on.T()).trace()),
        ("tr(S + T)", |on| (on.S() + on.T()).trace()),
        ("⟨A, B⟩", |on| on.A().inner(on.B())),
        ("‖A − B‖²", |on| (on.A() - on.B()).norm_squared()),
        ("‖A‖", |on| on.A().norm()),
        ("‖A‖²", |on| on.A().norm().square()),
        ("|s|", |on| on.s().abs()),
        ("|s|", |on| on.s().norm()),
        ("abs(A)", |on| on.A().abs()),
        ("sum(A)", |on| on.A().sum()),
        ("A 𝟏", |on| on.A().row_sums()),
        ("𝟏ᵀ A", |on| on.A().col_sums()),
        ("1/4 A 𝟏", |on| on.A().row_means()),
        ("1/3 𝟏ᵀ A", |on| on.A().col_means()),
        ("1/12 sum(A)", |on| on.A().mean()),
        ("x 𝟏ᵀ", |on| on.x().repeat_cols(3)),
        ("𝟏 xᵀ", |on| on.x().t().repeat_rows(3)),
        ("X + x 𝟏ᵀ", |on| on.X().add_col(on.x())),
        ("A + 𝟏 xᵀ", |on| on.A().add_row(on.x().t())),
        ("X ∘ (x 𝟏ᵀ)", |on| on.X().mul_col(on.x())),
        ("A ∘ (𝟏 xᵀ)", |on| on.A().mul_row(on.x().t())),
        ("det(S)", |on| on.S().det()),
        ("adj(S)", |on| on.S().adjugate()),
        ("s S + T S", |on| on.s() * on.S() + on.T() * on.S()),
        ("(s + t) S", |on| on.s() * on.S() + on.t() * on.S()),
        // A number stays away from a matrix, but both may stand behind a common number.
        ("s (T S + S)", |on| on.s() * on.T() * on.S() + on.s() * on.S()),
        ("s T S + t S", |on| on.s() * on.T() * on.S() + on.t() * on.S()),
        ("s (t T S + S)", |on| on.s() * on.t() * on.T() * on.S() + on.s() * on.S()),
        ("(s T + S) X", |on| on.s() * on.T() * on.X() + on.S() * on.X()),
        ("A∘^−½ + B∘^−1.5 + A∘^(−1/3)", |on| {
            on.A().powf(-0.5) + on.B().powf(-1.5) + on.A().powf(-1.0 / 3.0)
        }),
        ("adj(S)ᵀ X", |on| on.S().adjugate().t() * on.X()),
        ("sign(det(S))", |on| on.S().det_sign()),
        ("log |det S|", |on| on.S().log_det()),
        ("log |det(S + T)|", |on| (on.S() + on.T()).log_det()),
        ("½ log |det S|", |on| 0.5 * on.S().log_det()),
        ("s + log |det S|", |on| on.s() + on.S().log_det()),
        ("(log |det S|) A", |on| on.S().log_det() * on.A()),
        ("softmax(S X)", |on| (on.S() * on.X()).softmax()),
        ("logsumexp(X)", |on| on.X().log_sum_exp()),
        ("colmax(X)", |on| on.X().col_maxima()),
        ("colmax(Xᵀ)ᵀ", |on| on.X().row_maxima()),
        ("−colmax(−X)", |on| on.X().col_minima()),
        ("argmax(X)", |on| on.X().col_argmax()),
        ("σ(S X)", |on| (on.S() * on.X()).sigmoid()),
        ("log cosh(A)", |on| on.A().log_cosh()),
        ("clamp(A, −1, 0.3)", |on| on.A().clamp(-1.0, 0.3)),
        ("ln Γ(A) + ψ(A) + ψ′(A) + ψ⁽³⁾(A)", |on| {
            on.A().ln_gamma() + on.A().digamma() + on.A().polygamma(1) + on.A().polygamma(3)
        }),
        ("erf(A) ∘ atanh(A)", |on| on.A().erf().hadamard(on.A().atanh())),
        ("A∘³", |on| on.A().powi(3)),
        ("A ∘ σ(A)", |on| on.A().silu()),
        ("max(A, B) + atan2(B, A)", |on| on.A().max(on.B()) + on.B().atan2(on.A())),
        ("keep(A, less(A, B))", |on| on.A().keep(on.A().less(on.B()))),
        ("tanh(S tanh(T x))", |on| (on.S() * (on.T() * on.x()).tanh()).tanh()),
        ("L(A)", |on| on.0.function("L", on.A())),
    ]);
}

/// What prints alike is one term, but not what is shortened.
#[test]
fn equal_terms_are_put_together() {
    let tape = Tape::new();
    let (a, b) = (tape.symmetric("A", 6), tape.symmetric("B", 6));
    let (x, y) = (tape.input("X", (6, 6)), tape.input("Y", (6, 6)));
    assert_eq!((a * b + (b * a).t()).to_string(), "2 A B");
    assert_eq!((x + (a * b + (b * a).t())).to_string(), "X + 2 A B");
    assert_eq!((x + (a * b - (b * a).t())).to_string(), "X + (A − A) B");
    assert_eq!((a * x + (x + a * x)).to_string(), "2 A X + X");
    let (some, others) = (x.select_rows(&[0, 1, 2, 5, 4]), x.select_rows(&[0, 1, 2, 5, 3]));
    assert_eq!((some + others).to_string(), "(I[0, 1, 2, 5, …] + I[0, 1, 2, 5, …]) X");
    assert_eq!((x + y).summary(), "X + Y");
}

#[test]
fn numbers_are_written_shortly() {
    let tape = Tape::new();
    let s = tape.input("s", (1, 1));
    for (c, unicode, latex) in [
        (0.5, "½ s", r"\tfrac{1}{2} s"),
        (-0.5, "−½ s", r"-\tfrac{1}{2} s"),
        (2.0, "2 s", "2 s"),
        (-1.0, "−s", "-s"),
        (-3.0, "−3 s", "-3 s"),
        (0.1, "1/10 s", r"\tfrac{1}{10} s"),
        (0.25, "1/4 s", r"\tfrac{1}{4} s"),
        (0.3, "0.3 s", "0.3 s"),
        (1.25, "1.25 s", "1.25 s"),
        (1.0 / 3.0, "1/3 s", r"\tfrac{1}{3} s"),
        (-2.0 / 3.0, "−2/3 s", r"-\tfrac{2}{3} s"),
        (1.0 / 500.0, "1/500 s", r"\tfrac{1}{500} s"),
        (2.0 / 1437.0, "2/1437 s", r"\tfrac{2}{1437} s"),
        (1500.0, "1500 s", "1500 s"),
        (1e-12, "10⁻¹² s", r"10^{-12} s"),
        (6.02e23, "6.02·10²³ s", r"6.02 \cdot 10^{23} s"),
        (f64::NAN, "NaN s", "NaN s"),
        (f64::INFINITY, "inf s", "inf s"),
        (f64::NEG_INFINITY, "−inf s", "-inf s"),
    ] {
        let printed = c * s;
        assert_eq!((printed.to_string().as_str(), printed.latex().as_str()), (unicode, latex), "{c}");
    }
    // Where there is nothing shorter, all digits that the number needs, in the shorter of their two notations.
    for c in [0.3, 1.0 / 3.0 + 1e-9, 123.456, 1e5, 2.0f64.powf(0.3)] {
        assert_eq!(tape.scalar(c).to_string().parse(), Ok(c));
    }
}

#[test]
fn names_in_latex() {
    let tape = Tape::new();
    for (name, latex) in [
        ("W", "W"),
        ("W1", "W_{1}"),
        ("W12", "W_{12}"),
        ("β", r"\beta"),
        ("ε", r"\varepsilon"),
        ("Σ", r"\Sigma"),
        ("ℓ", r"\ell"),
        ("x_i", "x_{i}"),
        ("x_train", r"x_{\mathrm{train}}"),
        ("W_1_2", "W_{1,2}"),
        ("weights", r"\mathrm{weights}"),
        ("β2", r"\beta_{2}"),
    ] {
        let input = tape.input(name, (2, 2));
        assert_eq!(input.latex(), latex);
        assert_eq!(input.to_string(), name);
    }
    assert_prints_latex(&[
        (r"x^\top W_{1}^\top", |on| (on.0.input("W1", (3, 4)) * on.x()).t()),
        (r"\lVert A - B \rVert^{2}", |on| (on.A() - on.B()).norm_squared()),
        (r"\langle A, B \rangle", |on| on.A().inner(on.B())),
        (r"A \circ B", |on| on.A().hadamard(on.B())),
        (r"\arcsin(A) + \max(A, B)", |on| on.A().asin() + on.A().max(on.B())),
        (r"\ln\Gamma(A) + \psi'(A) + \psi^{(3)}(A) + \log_{10}(A)", |on| {
            on.A().ln_gamma() + on.A().polygamma(1) + on.A().polygamma(3) + on.A().log10()
        }),
        (r"A \oslash B", |on| on.A().quotient(on.B())),
        (r"\frac{s + t}{s}", |on| (on.s() + on.t()) / on.s()),
        (r"S^{-1} X", |on| on.S().solve(on.X())),
        (r"S^{-\top}", |on| on.S().inv().t()),
        (r"\log \lvert \det S \rvert", |on| on.S().log_det()),
        (r"\operatorname{softmax}(X)", |on| on.X().softmax()),
        (r"\operatorname{colmax}(X)", |on| on.X().col_maxima()),
        (r"\operatorname{argmax}(X)", |on| on.X().col_argmax()),
        (r"\sigma(X)", |on| on.X().sigmoid()),
        (r"\tanh(X)", |on| on.X().tanh()),
        (r"\sqrt{X}", |on| on.X().sqrt()),
        (r"\operatorname{ln\_1p}(X)", |on| on.X().ln_1p()),
        (r"X^{\circ 2}", |on| on.X().square()),
        (r"X^{\circ +}", |on| on.X().pseudo_recip()),
        (r"s^{-1}", |on| on.s().recip()),
        (r"\mathbf{1} x^\top", |on| on.x().t().repeat_rows(2)),
        (r"\operatorname{tr}(S)", |on| on.S().trace()),
    ]);
}

fn assert_prints_latex(cases: &[(&str, Build)]) {
    for (wanted, build) in cases {
        let tape = Tape::new();
        let var = build(&On(&tape));
        assert_eq!(var.latex(), *wanted);
        assert_eq!(format!("{var:#}"), *wanted);
    }
}

/// The inverse of a transpose is written onto the name of what is transposed, unless the transpose has one of its own.
#[test]
fn inverses_of_transposes_with_names() {
    let tape = Tape::new();
    let (a, y) = (tape.input("A", (4, 4)), tape.input("y", (4, 1)));
    let k = (a * a).sin().named("K");
    assert_eq!(k.t().solve(y).to_string(), "K⁻ᵀ y where K = sin(A A)");
    assert_eq!(k.t().solve(y).t().to_string(), "yᵀ K⁻¹ where K = sin(A A)");
    assert_eq!(k.t().solve_lower(y).to_string(), "triu(K)⁻ᵀ y where K = sin(A A)");
    assert_eq!(k.t().expm_multiply(y).to_string(), "expm(K)ᵀ y where K = sin(A A)");
    let named = k.t().named("T");
    assert!(named.solve(y).to_string().starts_with("T⁻¹ y where"), "{}", named.solve(y));
}

#[test]
fn long_formulas_have_a_where_clause() {
    let tape = Tape::new();
    let (w, x) = (tape.input("W", (4, 4)), tape.input("X", (4, 5)));
    let h = (w * x).tanh().named("H");
    assert_eq!((h * h.t()).trace().to_string(), "tr(H Hᵀ) where H = tanh(W X)");
    assert_eq!(h.to_string(), "tanh(W X)");
    let g = (w * h).exp().named("G");
    assert_eq!((g * g.t()).to_string(), "G Gᵀ where G = exp(W H), H = tanh(W X)");
    assert_eq!((g * g.t()).latex(), r"G G^\top \text{where } G = \exp(W H),\; H = \tanh(W X)");
    // An input has its name already, and keeps it.
    assert_eq!(x.named("Z").norm_squared().to_string(), "‖X‖²");

    // A shared part of a long formula is named by the printer, with letters that are free.
    let tape = Tape::new();
    let (a, x) = (tape.input("A", (4, 4)), tape.input("X", (4, 4)));
    let mut y = (a * x).tanh();
    for _ in 0..10 {
        y = (y * y.exp() + y).tanh();
    }
    let text = y.to_string();
    let (formula, definitions) = text.split_once("where").unwrap();
    assert!(formula.chars().count() < 60, "{text}");
    // Doubled ten times over, it would be a thousand times as long when written out.
    assert!(text.chars().count() < 2000, "{text}");
    assert!(!definitions.contains("A = ") && definitions.contains("B = "), "{text}");
    let named: Vec<_> = definitions.lines().map(|line| line.trim().split(" = ").next().unwrap()).collect();
    for (i, name) in named.iter().enumerate() {
        let read = definitions.matches(name).count() + formula.matches(name).count();
        assert!(read >= 2, "`{name}` is explained and never read: {text}");
        assert!(!named[..i].contains(name), "`{name}` is explained twice: {text}");
    }
}

/// Neither the text nor the time to write it grows with what is printed.
#[test]
fn a_long_chain_prints_boundedly_and_quickly() {
    let started = Instant::now();
    let print = |layers: usize| {
        let tape = Tape::new();
        let x = tape.input("X", (4, 5));
        let weight = |k: usize| tape.input(&format!("W{k}"), (4, 4));
        let linear = (0..layers).fold(x, |x, k| weight(k) * x);
        let deep = (0..layers).fold(x, |x, k| (weight(k) * x).tanh());
        let sum = (0..layers).fold(x, |x, k| x + weight(k) * x);
        [linear, deep, sum].map(|y| {
            let texts = [y.to_string(), y.latex(), y.summary(), format!("{y:?}"), (y * y).to_string()];
            texts.map(|text| text.chars().count())
        })
    };
    let (many, some) = (print(30_000), print(3000));
    for (some, many) in some.as_flattened().iter().zip(many.as_flattened()) {
        assert!(*some < 20_000, "{some}");
        // The names of the layers have one digit more.
        assert!(*many <= some + some / 4, "{some} characters for 3000 layers, {many} for ten times as many");
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn summaries_are_short() {
    let tape = Tape::new();
    let on = On(&tape);
    for (var, summary) in [
        (on.A(), "A"),
        (on.A() * on.X(), "A X"),
        ((on.A() * on.X()).tanh(), "tanh(A X)"),
        ((on.S() * on.X()).named("H").exp(), "exp(H)"),
    ] {
        assert_eq!(var.summary(), summary);
        assert_eq!(format!("{var:?}"), format!("{summary}: {}", var.shape()));
    }
    let deep = (0..100).fold(on.S(), |x, _| (x * on.T() + on.S()).tanh());
    let summary = deep.summary();
    assert!(summary.chars().count() < 80 && summary.contains('…'), "{summary}");
}

// ---- mistakes --------------------------------------------------------------------------------------------

/// Every op that takes arguments, given some that do not fit, says so with its operands and the line.
#[test]
fn every_misfit_is_told() {
    let tape = Tape::new();
    let on = On(&tape);
    let (a, x, s) = (on.A(), on.X(), on.s());
    let wide = tape.input("V", (1, 4));
    let of = |order| {
        let name = match tape.function("L", a).node().map(|node| node.op) {
            Some(Op::Opaque { name, .. }) => name,
            op => panic!("{op:?}"),
        };
        Op::Opaque { name, order }
    };
    let line = line!() + 2;
    let cases = [
        (a + x, "+", "A + X", "3×4 plus 4×5 do not conform"),
        (a - x, "+", "A − X", "3×4 plus 4×5 do not conform"),
        (x * a, "*", "X A", "4×5 times 3×4 do not conform"),
        (a * a, "*", "A A", "3×4 times 3×4 do not conform"),
        (a.hadamard(x), "hadamard", "A ∘ X", "3×4 entrywise times 4×5 do not conform"),
        (a.max(x), "max", "max(A, X)", "3×4 and 4×5 do not conform"),
        (a.quotient(x), "quotient", "A ⊘ X", "3×4 entrywise over 4×5 do not conform"),
        (a.inner(x), "inner", "⟨A, X⟩", "3×4 inner product with 4×5 do not conform"),
        (a.trace(), "trace", "tr(A)", "3×4 is not square"),
        (a.det(), "det", "det(A)", "3×4 is not square"),
        (a.adjugate(), "adjugate", "adj(A)", "3×4 is not square"),
        (a.log_det(), "log_det", "log |det A|", "3×4 is not square"),
        (a.inv(), "inverse", "A⁻¹", "3×4 is not square"),
        (a.solve(x), "solve", "A⁻¹ X", "3×4 is not square"),
        (on.S().solve(a), "solve", "S⁻¹ A", "4×4 solved for 3×4 do not conform"),
        (a.solve_lower(x), "solve_lower", "tril(A)⁻¹ X", "3×4 is not square"),
        (on.S().solve_upper(a), "solve_upper", "triu(S)⁻¹ A", "4×4 solved for 3×4 do not conform"),
        (a.cholesky(), "cholesky", "chol(A)", "3×4 is not square"),
        (a.sylvester(on.S(), x), "sylvester", "sylvester(A, S, X)", "3×4 is not square"),
        (on.S().sylvester(x, x), "sylvester", "sylvester(S, X, X)", "beside 4×4, 4×5 is not square"),
        (
            on.S().sylvester(s, x),
            "sylvester",
            "sylvester(S, s, X)",
            "with 4×4 and 1×1 the right side is not 4×5",
        ),
        (a.stein(on.S(), x), "stein", "stein(A, S, X)", "3×4 is not square"),
        (
            on.S().lyapunov(x),
            "sylvester",
            "sylvester(S, Sᵀ, X)",
            "with 4×4 and 4×4 the right side is not 4×5",
        ),
        (
            on.S().discrete_lyapunov(x),
            "stein",
            "stein(S, Sᵀ, X)",
            "with 4×4 and 4×4 the right side is not 4×5",
        ),
        (a.sqrtm(), "sqrtm", "sqrtm(A)", "3×4 is not square"),
        (a.signm(), "signm", "signm(A)", "3×4 is not square"),
        (a / x, "scale by", "X A", "a matrix is scaled by a 1×1, not by a 4×5"),
        (s / x, "scale by", "X s", "a matrix is scaled by a 1×1, not by a 4×5"),
        (tape.apply(Op::ScaleBy, &[a, x]), "scale by", "A X", "a matrix is scaled by a 1×1, not by a 3×4"),
        (a.select_rows(&[0, 3]), "select", "A", "there is no row 3 in 3×4"),
        (a.col(4), "select", "A", "there is no column 4 in 3×4"),
        (a.slice(2..4, ..), "slice", "A", "the part reaches beyond it in 3×4"),
        (a.reshape((5, 2)), "reshape", "reshape(A, 5×2)", "3×4 has not as many entries as 5×2"),
        (tape.stack_rows(&[a, x]), "+", "I[0..3]ᵀ A + I[3..7]ᵀ X", "7×4 plus 7×5 do not conform"),
        (tape.apply(of(2), &[a, x]), "function", "∇²L(A)[X]", "the direction is 4×5 and the argument 3×4"),
        (tape.apply(Op::Transpose, &[a, x]), "transpose", "transpose(A, X)", "takes 1 operands, not 2"),
        (tape.apply(Op::Add, &[a]), "+", "+(A)", "takes 2 operands, not 1"),
        (tape.apply(Op::Identity, &[]), "identity", "I", "takes 0 operands, not 0"),
        // What is written out of several ops says which of them does not fit.
        (x.add_col(a), "*", "A 𝟏ᵀ", "3×4 times 1×5 do not conform"),
        (x.add_row(wide), "+", "X + 𝟏 V", "4×5 plus 4×4 do not conform"),
        (x.mul_row(wide), "hadamard", "X ∘ (𝟏 V)", "4×5 entrywise times 4×4 do not conform"),
    ];
    let last = line!();
    for (var, op, formula, problem) in cases {
        let error = var.check().unwrap_err();
        let text = error.to_string();
        match error {
            Error::Shape { op: found, formula: shown, problem: told, location, shapes } => {
                assert_eq!((found, shown.as_str(), told.as_str()), (op, formula, problem));
                assert_eq!(location.file(), file!());
                assert!((line..last).contains(&location.line()), "{text}");
                assert_eq!(text, format!("{formula}: {problem} ({location})"));
                let named = shapes.first().is_none_or(|shape| problem.contains(&shape.to_string()));
                assert!(named || problem.starts_with("takes"), "{text}: {shapes:?}");
            }
            error => panic!("{error}"),
        }
        assert_eq!(var.shape(), Shape::new(0, 0));
        assert!(var.node().is_none() && var.location().is_none());
        assert_eq!(var.to_string(), format!("⟨{text}⟩"));
    }
}

#[test]
fn triangular_solves_and_factors_are_written_shortly() {
    let tape = Tape::new();
    let on = On(&tape);
    let (s, x) = (on.S(), on.X());
    let k = tape.positive_definite("K", 4);
    let l = k.cholesky();
    let cases = [
        (s.solve_lower(x), "tril(S)⁻¹ X"),
        (s.solve_upper(2.0 * x), "2 triu(S)⁻¹ X"),
        (s.t().solve_upper(x), "tril(S)⁻ᵀ X"),
        (s.solve_unit_lower(x), "(I + tril(S, −1))⁻¹ X"),
        (s.t().solve_unit_lower(x), "(I + triu(S, 1))⁻ᵀ X"),
        (s.t().solve_upper(x).t(), "Xᵀ tril(S)⁻¹"),
        (l, "chol(K)"),
        (l.t().solve_upper(l.solve_lower(x)), "chol(K)⁻ᵀ chol(K)⁻¹ X"),
        (l.solve_upper(x), "triu(chol(K))⁻¹ X"),
        (tape.identity(4).solve_upper(x), "X"),
        (tape.identity(4).cholesky(), "I"),
    ];
    for (var, wanted) in cases {
        assert_eq!(var.to_string(), wanted);
    }
}

#[test]
fn equations_are_written_as_calls() {
    let tape = Tape::new();
    let on = On(&tape);
    let (s, t, x) = (on.S(), on.T(), on.X());
    let b = tape.input("B", (5, 5));
    let cases = [
        (s.sylvester(b, x), "sylvester(S, B, X)"),
        (s.sylvester(b, -2.0 * x), "−2 sylvester(S, B, X)"),
        (s.sylvester(b, x).t() * s, "sylvester(S, B, X)ᵀ S"),
        (s.sylvester(b, 0.0 * x), "0"),
        (s.lyapunov(t), "sylvester(S, Sᵀ, T)"),
        (s.stein(b, x), "stein(S, B, X)"),
        (s.discrete_lyapunov(3.0 * t), "3 stein(S, Sᵀ, T)"),
        (s.sqrtm() * x, "sqrtm(S) X"),
        (s.sqrtm().t(), "sqrtm(S)ᵀ"),
        ((s + t).signm(), "signm(S + T)"),
        (tape.identity(4).sqrtm(), "I"),
        (tape.identity(4).signm(), "I"),
    ];
    for (var, wanted) in cases {
        assert_eq!(var.to_string(), wanted);
    }
}

/// Of what is not known to be symmetric there is no Cholesky factor.
#[test]
fn cholesky_asks_for_symmetry() {
    let tape = Tape::new();
    let s = On(&tape).S();
    let line = line!() + 1;
    let error = s.cholesky().check().unwrap_err();
    let text = error.to_string();
    let Error::NotSymmetric { op: "cholesky", operand, location } = error else { panic!("{error}") };
    assert_eq!((operand.as_str(), location.line()), ("S", line));
    assert!(text.contains("not known to be symmetric: declare it, or symmetrize it"), "{text}");
    for symmetric in [s.symmetrize(), s * s.t(), tape.symmetric("T", 4), tape.positive_definite("K", 4)] {
        assert!(symmetric.cholesky().check().is_ok());
    }
}

#[test]
fn the_location_is_the_users_line() {
    let tape = Tape::new();
    let (a, x) = (tape.input("A", (3, 4)), tape.input("X", (4, 5)));
    let here = line!();
    let recorded = [
        a * x,
        a.add_row(x.row_sums().t()),
        a.mul_row(x.row_means().t()),
        a.mean(),
        1.0 - a,
        a / 3.0,
        (a * x).norm_squared(),
        tape.function("L", a),
    ];
    for (i, var) in (1..).zip(recorded) {
        let location = var.location().unwrap();
        assert_eq!((location.file(), location.line()), (file!(), here + 1 + i), "{var}");
    }
    // Whoever records for somebody else can say so.
    let there = a.location().unwrap();
    assert_eq!(tape.attributed(there, || a.tanh()).location(), Some(there));
    assert_eq!(a.sin().location().map(|at| at.line()), Some(line!()));
}

#[test]
fn foreign_operands_are_told() {
    let (tape, other) = (Tape::new(), Tape::new());
    let (a, b) = (tape.input("A", (3, 3)), other.input("B", (3, 3)));
    for (var, op, line) in [
        (a + b, "+", line!()),
        (a - b, "+", line!()),
        (a * b, "*", line!()),
        (a.hadamard(b), "hadamard", line!()),
        (a.inner(b), "inner", line!()),
        (a.quotient(b), "quotient", line!()),
        (a.solve(b), "solve", line!()),
        (tape.apply(Op::Add, &[a, b]), "+", line!()),
        (tape.function("L", b), "function", line!()),
    ] {
        match var.check().unwrap_err() {
            Error::ForeignVar { op: found, operand, location } => {
                let operand = operand.trim_start_matches('−');
                assert_eq!((found, operand, location.file(), location.line()), (op, "B", file!(), line));
            }
            error => panic!("{error}"),
        }
    }
    assert!(matches!(tape.graph(&[a, b]), Err(Error::ForeignVar { .. })));
    assert!(matches!(tape.index(b), Err(Error::ForeignVar { .. })));
    // Neither tape is the worse for it.
    assert_eq!((a * a).to_string(), "A A");
    assert_eq!((b * b).to_string(), "B B");
}

#[test]
fn a_name_has_one_shape() {
    let tape = Tape::new();
    let (first, here) = (tape.input("X", (3, 4)), line!());
    assert!(tape.input("X", (3, 4)).same(first));
    let (again, there) = (tape.input("X", (4, 3)), line!());
    match again.check().unwrap_err() {
        Error::InputRedeclared { name, shape, first, location, first_location } => {
            assert_eq!((name.as_str(), shape, first), ("X", Shape::new(4, 3), Shape::new(3, 4)));
            assert_eq!((location.line(), first_location.line()), (there, here));
        }
        error => panic!("{error}"),
    }
    assert_eq!(tape.inputs(), [("X".to_owned(), Shape::new(3, 4))]);
}

#[test]
fn a_matrix_fits_into_the_address_space() {
    let tape = Tape::new();
    let huge = 1 << 40;
    let column = tape.input("c", (huge, 1));
    let empty = tape.input("M", (1 << 60, 0));
    let square = Shape::new(huge, huge);
    let here = line!();
    let cases = [
        (tape.input("H", (huge, huge)), "H", square),
        (tape.ones((huge, huge)), "𝟏", square),
        (tape.zeros((huge, huge)), "0", square),
        (tape.identity(huge), "I", square),
        (tape.symbol("ε", (huge, huge)), "ε", square),
        (column * column.t(), "c cᵀ", square),
        (column.repeat_cols(huge), "c 𝟏ᵀ", square),
        (empty.slice(1.., ..), "M", (1 << 60, 0).into()),
        (tape.stack_rows(&[empty, empty]), "M", (1 << 60, 0).into()),
        (empty.kron(column), "M", (1 << 60, 0).into()),
        (empty.row(0), "I", (1, 1 << 60).into()),
        (tape.input("N", (usize::MAX, 2)), "N", Shape::new(usize::MAX, 2)),
    ];
    let there = line!();
    for (var, formula, shape) in cases {
        match var.check().unwrap_err() {
            Error::TooLarge { formula: told, shape: found, location } => {
                assert_eq!((told.as_str(), found), (formula, shape));
                assert!((here..there).contains(&location.line()));
            }
            error => panic!("{error}"),
        }
    }
    // Nothing is in the way of a matrix without entries.
    tape.input("E", (usize::MAX, 0)).check().unwrap();
    (column.t() * column).check().unwrap();
}

#[test]
fn the_first_mistake_is_the_one_that_is_told() {
    let tape = Tape::new();
    let on = On(&tape);
    let (first, second) = (on.X() * on.A(), on.A() + on.X());
    let told = first.check().unwrap_err();
    for later in [
        first + second,
        first * second,
        second.t().inner(on.A()) * first,
        first.tanh().solve(second),
        -first,
        2.0 * first,
        first / second,
        on.A() / first,
        1.0 / first,
        first - 1.0,
        first.sum(),
        first.mean(),
        first.row_means(),
        first.norm_squared(),
        first.repeat_cols(3),
        on.A().add_col(first),
        on.A().mul_row(first),
        first.named("F").powf(2.5),
        tape.function("L", first),
    ] {
        let error = later.check().unwrap_err();
        let expected = if error == told { &told } else { &second.check().unwrap_err() };
        assert_eq!(&error, expected);
    }
    for later in [first + second, first * second, first.solve(second), first.tanh() - second] {
        assert_eq!(later.check().unwrap_err(), told);
    }
    // Other expressions of the tape know nothing of it.
    assert_eq!((on.A() * on.X()).check().unwrap().to_string(), "A X");
    assert_eq!(tape.graph(&[on.A() * on.X()]).unwrap().outputs().len(), 1);
    assert_eq!(tape.graph(&[on.A(), first]).unwrap_err(), told);
}

/// Every method on every pair of shapes is either recorded or told, whatever the shapes.
#[test]
fn no_operator_panics() {
    let extents = [0, 1, 2, 3];
    let shapes = || extents.iter().flat_map(|&m| extents.iter().map(move |&n| (m, n)));
    let tape = Tape::new();
    let var = |(m, n): (usize, usize)| tape.input(&format!("A{m}{n}"), (m, n));
    let mut all: Vec<Var<'_>> = shapes().map(var).collect();
    all.extend(shapes().flat_map(|shape| [tape.zeros(shape), tape.ones(shape), 2.0 * var(shape)]));
    all.extend(shapes().flat_map(|(m, n)| [var((n, m)).t(), tape.identity(m)]));
    all.push(all[0] * all[5]);
    all.push(all[6].inv());
    let mut mistakes = 0;
    let mut see = |var: Var<'_>| {
        mistakes += usize::from(var.check().is_err());
        assert!(!var.to_string().is_empty() && !var.summary().is_empty() && !var.latex().is_empty());
    };
    for &a in &all {
        let mut unary = vec![a.t(), a.trace(), a.norm(), a.norm_squared(), a.sum(), a.mean(), a.inv()];
        unary.extend([
            a.tril(),
            a.strict_triu(),
            a.vec(),
            a.reshape((2, 3)),
            a.symmetrize(),
            a.cumulative_sums(),
        ]);
        unary.extend([a.select_rows(&[1, 0]), a.select_cols(&[2]), a.slice(1.., ..2), a.entry(0, 1)]);
        unary.extend([a.row_sums(), a.col_sums(), a.row_means(), a.col_means(), a.det(), a.log_det()]);
        unary.extend([a.log_sum_exp(), a.softmax(), -a, 2.0 * a, a * 0.0, a / 2.0, 2.0 / a, a / 0.0]);
        unary.extend([a + 1.0, 1.0 + a, a - 1.0, 1.0 - a, a.repeat_cols(2), a.repeat_rows(2)]);
        unary.extend([a.maximum(), a.row_minima(), a.row_argmax(), a.product(), a.row_products()]);
        unary.extend([a.variance(1), a.col_variances(2), a.row_std_devs(0), a.standardize_cols(0.1)]);
        unary.extend([a.norm_1(), a.norm_inf(), a.norm_max(), a.norm_p(1.5), a.norm_p(f64::NAN)]);
        unary.extend([a.matrix_power(0), a.matrix_power(5), a.matrix_power(i32::MIN)]);
        unary.extend(Function::all().map(|f| a.map(f)));
        unary.into_iter().for_each(&mut see);
        for &b in &all {
            let binary = [a + b, a - b, a * b, a / b, a.inner(b), a.hadamard(b), a.quotient(b), a.solve(b)];
            binary.into_iter().for_each(&mut see);
            [a.kron(b), a.outer(b), tape.stack_rows(&[a, b]), tape.stack_cols(&[a, b, a])]
                .into_iter()
                .for_each(&mut see);
            [a.max(b), a.atan2(b), a.keep(b), a.select(b, a)].into_iter().for_each(&mut see);
            [a.quadratic_form(b), a.congruence(b), a.col_inner(b), a.row_inner(b), tape.multi_dot(&[a, b])]
                .into_iter()
                .for_each(&mut see);
            [a.add_col(b), a.add_row(b), a.mul_col(b), a.mul_row(b)].into_iter().for_each(&mut see);
        }
    }
    assert!(mistakes > 0);
}

// ---- calls with arguments that are not taken -------------------------------------------------------------

#[test]
fn what_a_call_does_not_take_is_told() {
    let tape = Tape::new();
    let on = On(&tape);
    let (a, x, s, t) = (on.A(), on.X(), on.s(), on.t());
    let line = line!() + 2;
    let cases = [
        (a.norm_p(0.5), "norm_p(0.5)", "p is 1 or larger"),
        (a.norm_p(f64::NAN), "norm_p(NaN)", "p is 1 or larger"),
        (tape.multi_dot(&[]), "multi_dot([])", "a product needs a factor"),
        (
            tape.einsum("ij,jk", &[a, x]),
            "einsum(\"ij,jk\")",
            "an arrow `->` stands before the indices of the result",
        ),
        (
            tape.einsum("ij,jk->ik", &[a]),
            "einsum(\"ij,jk->ik\")",
            "there are indices for 2 operands, and 1 were given",
        ),
        (
            tape.einsum("ij,jk,->ik", &[a, x, s]),
            "einsum(\"ij,jk,->ik\")",
            "there are one or two operands, not 3",
        ),
        (tape.einsum("->", &[]), "einsum(\"->\")", "there are indices for 1 operands, and 0 were given"),
        (
            tape.einsum("ij->ijk", &[a]),
            "einsum(\"ij->ijk\")",
            "the result would have 3 indices, and a matrix has two",
        ),
        (
            tape.einsum("ij,kl->ikjl", &[a, x]),
            "einsum(\"ij,kl->ikjl\")",
            "the result would have 4 indices, and a matrix has two",
        ),
        (tape.einsum("ijk->i", &[a]), "einsum(\"ijk->i\")", "`ijk` has 3 indices, and a matrix two"),
        (tape.einsum("ij->ii", &[a]), "einsum(\"ij->ii\")", "`i` stands twice behind the arrow"),
        (tape.einsum("ij->k", &[a]), "einsum(\"ij->k\")", "`k` stands at no operand"),
        (tape.einsum("i1->i", &[a]), "einsum(\"i1->i\")", "`1` is no index: those are letters"),
        (tape.einsum("ij->i->j", &[a]), "einsum(\"ij->i->j\")", "`-` is no index: those are letters"),
        (tape.einsum("ii->", &[a]), "einsum(\"ii->\")", "`i` counts 3 in `A` and 4 in `A`"),
        (tape.einsum("ij,kj->ik", &[a, x]), "einsum(\"ij,kj->ik\")", "`j` counts 4 in `A` and 5 in `X`"),
        (tape.einsum("i->i", &[a]), "einsum(\"i->i\")", "`i` is for a column, and `A` is 3×4"),
        (tape.einsum(",->", &[s * t, a]), "einsum(\",->\")", "`` is for a 1×1, and `A` is 3×4"),
    ];
    let last = line!();
    for (var, wanted, told) in cases {
        let error = var.check().unwrap_err();
        let text = error.to_string();
        let Error::Argument { call, problem, location } = error else { panic!("{text}") };
        assert_eq!((call.as_str(), problem.as_str()), (wanted, told));
        assert!(location.file() == file!() && (line..last).contains(&location.line()), "{text}");
        assert_eq!(text, format!("{wanted}: {told} ({location})"));
    }
    let error = a.matrix_power(2).check().unwrap_err();
    assert!(matches!(&error, Error::Shape { op: "matrix_power", .. }), "{error}");
    assert!(error.to_string().starts_with("A: 3×4 is not square ("), "{error}");
    assert!(matches!(tape.multi_dot(&[x, a]).check(), Err(Error::Shape { op: "*", .. })));
    // A mistake made before is the one that is told.
    let first = a * a;
    for later in [
        tape.einsum("ij->k", &[first]),
        tape.multi_dot(&[a, first]),
        first.norm_p(0.5),
        first.norm_1(),
        first.matrix_power(0),
        first.product(),
        first.variance(1),
    ] {
        assert_eq!(later.check().unwrap_err(), first.check().unwrap_err());
    }
    let other = Tape::new();
    for foreign in [other.einsum("ij->ji", &[a]), other.multi_dot(&[a])] {
        assert!(matches!(foreign.check(), Err(Error::ForeignVar { .. })));
    }
}

#[test]
fn sums_by_indices_are_written_as_products() {
    let tape = Tape::new();
    let on = On(&tape);
    let (a, b, x, s, v) = (on.A(), on.B(), on.X(), on.S(), on.x());
    let cases = [
        (tape.einsum("ij->ji", &[a]), "Aᵀ"),
        (tape.einsum("ij,jk->ik", &[a, x]), "A X"),
        (tape.einsum(" ij , jk -> ki ", &[a, x]), "Xᵀ Aᵀ"),
        (tape.einsum("ij,kj->ik", &[a, b]), "A Bᵀ"),
        (tape.einsum("ij,ij->", &[a, b]), "⟨A, B⟩"),
        (tape.einsum("ij,ij->ij", &[a, b]), "A ∘ B"),
        (tape.einsum("ij,ij->ji", &[a, b]), "Aᵀ ∘ Bᵀ"),
        (tape.einsum("ij,j->i", &[a, v]), "A x"),
        (tape.einsum("ij,j->i", &[a, v.t()]), "A x"),
        (tape.einsum("i,j->ij", &[v, v]), "x xᵀ"),
        (tape.einsum("i,i->", &[v, v]), "‖x‖²"),
        (tape.einsum("ii->", &[s]), "tr(S)"),
        (tape.einsum("ii->i", &[s]), "diag(S)"),
        (tape.einsum("αβ->", &[a]), "sum(A)"),
        (tape.einsum(",ij->ij", &[on.s(), a]), "s A"),
        (s.quadratic_form(v), "xᵀ S x"),
        (s.congruence(a), "A S Aᵀ"),
        (tape.multi_dot(&[a, s, v]), "A S x"),
        (s.matrix_power(-2), "S⁻¹ S⁻¹"),
    ];
    for (var, wanted) in cases {
        assert_eq!(var.to_string(), wanted);
    }
}

#[test]
fn numbers_that_derivatives_bring_along_have_names() {
    let tape = Tape::new();
    let x = tape.input("X", (2, 3));
    let c = std::f64::consts::FRAC_2_SQRT_PI;
    for (factor, unicode, latex) in [
        (c, "2/√π X", "\\tfrac{2}{\\sqrt{\\pi}} X"),
        (-c, "−2/√π X", "-\\tfrac{2}{\\sqrt{\\pi}} X"),
        (1.0 / std::f64::consts::LN_2, "1/ln 2 X", "\\tfrac{1}{\\ln 2} X"),
        ((2.0 / std::f64::consts::PI).sqrt(), "√(2/π) X", "\\sqrt{2/\\pi} X"),
        (3f64.sqrt(), "√3 X", "\\sqrt{3} X"),
        (-1.0 / 7f64.sqrt(), "−1/√7 X", "-\\tfrac{1}{\\sqrt{7}} X"),
        (0.7 * c, "0.7898654169668587 X", "0.7898654169668587 X"),
    ] {
        assert_eq!((factor * x).to_string(), unicode);
        assert_eq!((factor * x).latex(), latex);
    }
    assert_eq!((1.5 * x.square() + 0.5).powf(1.0 / 3.0).to_string(), "(1.5 X∘² + ½ 𝟏)∘^(1/3)");
}
