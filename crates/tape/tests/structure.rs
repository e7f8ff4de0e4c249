//! What is known of a matrix from how it is written, and what is not.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback_tape::Structure::{self, Definite, General, Semidefinite, Symmetric};
use pullback_tape::{Declaration, Error, Tape, Var};

/// The inputs of the tables below, by name.
#[derive(Clone, Copy)]
struct On<'t>(&'t Tape);

#[allow(non_snake_case)] // They are called as they print.
impl<'t> On<'t> {
    /// 4×4, general
    fn A(self) -> Var<'t> {
        self.0.input("A", (4, 4))
    }
    /// 4×3
    fn X(self) -> Var<'t> {
        self.0.input("X", (4, 3))
    }
    /// 4×3
    fn Y(self) -> Var<'t> {
        self.0.input("Y", (4, 3))
    }
    /// 4×4, symmetric
    fn S(self) -> Var<'t> {
        self.0.symmetric("S", 4)
    }
    /// 4×4, symmetric
    fn T(self) -> Var<'t> {
        self.0.symmetric("T", 4)
    }
    /// 4×4, semidefinite
    fn P(self) -> Var<'t> {
        self.0.declare("P", (4, 4), Declaration::new().structure(Semidefinite))
    }
    /// 4×4, definite
    fn K(self) -> Var<'t> {
        self.0.positive_definite("K", 4)
    }
    /// 4×4, definite
    fn L(self) -> Var<'t> {
        self.0.positive_definite("L", 4)
    }
    /// 4×1
    fn x(self) -> Var<'t> {
        self.0.input("x", (4, 1))
    }
    /// 1×1
    fn s(self) -> Var<'t> {
        self.0.input("s", (1, 1))
    }
    /// 1×1, positive
    fn p(self) -> Var<'t> {
        self.0.declare("p", (1, 1), Declaration::new().structure(Definite))
    }
    fn identity(self) -> Var<'t> {
        self.0.identity(4)
    }
    fn ones(self) -> Var<'t> {
        self.0.ones((4, 4))
    }
}

type Build = for<'t> fn(On<'t>) -> Var<'t>;

#[rustfmt::skip]
const KNOWN: &[(Structure, Build)] = &[
    // Inputs and literals
    (General, |o| o.A()),
    (Symmetric, |o| o.S()),
    (Semidefinite, |o| o.P()),
    (Definite, |o| o.K()),
    (Definite, |o| o.identity()),
    (Semidefinite, |o| o.ones()),
    (Semidefinite, |o| o.0.zeros((4, 4))),
    (General, |o| o.0.zeros((4, 3))),
    (General, |o| o.0.ones((4, 3))),
    // Products that read the same from both sides
    (Semidefinite, |o| o.X() * o.X().t()),
    (Semidefinite, |o| o.X().t() * o.X()),
    (Semidefinite, |o| o.x() * o.x().t()),
    (Symmetric, |o| o.A() * o.S() * o.A().t()),
    (Symmetric, |o| o.A() * (o.S() * o.A().t())),
    (Semidefinite, |o| o.A() * o.P() * o.A().t()),
    (Semidefinite, |o| o.A() * o.K() * o.A().t()),
    (Semidefinite, |o| o.X().t() * o.K().inv() * o.X()),
    (Semidefinite, |o| o.X().t() * o.K().solve(o.X())),
    (Symmetric, |o| o.X().t() * o.S().solve(o.X())),
    (Semidefinite, |o| o.A().inv() * o.A().t().inv()),
    (Semidefinite, |o| o.A().solve(o.A().solve(o.K()).t()).t()),
    (Semidefinite, |o| o.S() * o.S()),
    (Symmetric, |o| o.S() * o.T() * o.S()),
    (Semidefinite, |o| o.S() * o.K() * o.S()),
    (Semidefinite, |o| (o.A() * o.X()) * (o.A() * o.X()).t()),
    (Semidefinite, |o| o.S() * o.X() * (o.X().t() * o.S())),
    (Symmetric, |o| o.A() * (o.A() + o.A().t()) * o.A().t()),
    // … and those that do not
    (General, |o| o.A() * o.A()),
    (General, |o| o.A().t() * o.K() * o.A().inv()),
    (General, |o| o.X() * o.Y().t()),
    (General, |o| o.S() * o.T()),
    (General, |o| o.K() * o.L()),
    (General, |o| o.A() * o.S()),
    (General, |o| o.A() * o.A() * o.A().t()),
    (General, |o| o.A() * o.A().t() * o.A()),
    (General, |o| o.A() * (o.A() * o.S()) * o.A().t()),
    (General, |o| o.A().solve(o.A().t())),
    (General, |o| o.A().solve(o.A()).t() * o.S()),
    // Sums
    (Symmetric, |o| o.S() + o.T()),
    (Symmetric, |o| o.A() + o.A().t()),
    (Symmetric, |o| o.A().t() + o.A()),
    (Symmetric, |o| 0.5 * (o.A() + o.A().t())),
    (Semidefinite, |o| o.X() * o.X().t() + o.P()),
    (Definite, |o| o.X() * o.X().t() + o.K()),
    (Definite, |o| o.K() + o.L()),
    (Definite, |o| o.X() * o.X().t() + 0.1 * o.identity()),
    (Symmetric, |o| o.K() + o.S()),
    (Symmetric, |o| o.K() - o.L()),
    (Symmetric, |o| o.X() * o.X().t() - 0.1 * o.identity()),
    (General, |o| o.K() + o.A()),
    (General, |o| o.A() - o.A().t()),
    (General, |o| o.A() + 2.0 * o.A().t()),
    // Multiples
    (Definite, |o| 2.0 * o.K()),
    (Symmetric, |o| -o.K()),
    (Symmetric, |o| -(o.X() * o.X().t())),
    (Symmetric, |o| o.s() * o.K()),
    (Semidefinite, |o| o.s().square() * o.K()),
    (Semidefinite, |o| o.s().abs() * o.P()),
    (Definite, |o| o.s().exp() * o.K()),
    (Semidefinite, |o| o.s().exp() * o.P()),
    (Symmetric, |o| o.s().exp() * o.S()),
    (General, |o| o.s().exp() * o.A()),
    (Definite, |o| o.X() * o.X().t() + o.p() * o.identity()),
    (Semidefinite, |o| o.X() * o.X().t() + o.s().square() * o.identity()),
    (Definite, |o| o.X() * o.X().t() + (o.s().square() + 0.1) * o.identity()),
    (Symmetric, |o| o.X() * o.X().t() + o.s() * o.identity()),
    // Entry by entry
    (Definite, |o| o.K().hadamard(o.L())),
    (Semidefinite, |o| o.K().hadamard(o.P())),
    (Semidefinite, |o| o.P().hadamard(o.X() * o.X().t())),
    (Symmetric, |o| o.K().hadamard(o.S())),
    (Symmetric, |o| o.S().hadamard(o.K())),
    (General, |o| o.K().hadamard(o.A())),
    (Symmetric, |o| o.K().quotient(o.L())),
    (General, |o| o.K().quotient(o.A())),
    (Symmetric, |o| o.K().tanh()),
    (Symmetric, |o| o.K().exp()),
    (Symmetric, |o| o.K().recip()),
    (Symmetric, |o| o.S().square()),
    (General, |o| o.A().exp()),
    // Inverses
    (Definite, |o| o.K().inv()),
    (Definite, |o| o.P().inv()),
    (Definite, |o| (o.X().t() * o.X()).inv()),
    (Symmetric, |o| o.S().inv()),
    // matrix equations, and functions of matrices
    (Symmetric, |o| o.A().lyapunov(o.S())),
    (Symmetric, |o| o.A().t().lyapunov(o.K())),
    (Symmetric, |o| o.A().discrete_lyapunov(o.S())),
    (Symmetric, |o| o.S().sylvester(o.S(), o.K())),
    (General, |o| o.A().sylvester(o.A(), o.S())),
    (General, |o| o.S().sylvester(o.T(), o.S())),
    (General, |o| o.A().lyapunov(o.A())),
    (Definite, |o| o.S().sqrtm()),
    (General, |o| o.A().sqrtm()),
    (Symmetric, |o| o.P().signm()),
    (Definite, |o| o.K().signm()),
    (General, |o| o.A().signm()),
    (General, |o| o.A().inv()),
    (General, |o| o.K().solve(o.A())),
    // Row and column operations
    (General, |o| o.S().softmax()),
    (General, |o| o.S().mul_col(o.x())),
    (General, |o| o.S().add_row(o.x().t())),
    (General, |o| o.x().repeat_cols(4)),
    // 1×1
    (Symmetric, |o| o.s()),
    (Definite, |o| o.p()),
    (Definite, |o| o.0.scalar(2.0)),
    (Semidefinite, |o| o.0.scalar(0.0)),
    (Symmetric, |o| o.0.scalar(-1.0)),
    (Symmetric, |o| o.0.scalar(f64::NAN)),
    (Symmetric, |o| o.A().trace()),
    (Semidefinite, |o| o.K().trace()),
    (Symmetric, |o| o.S().trace()),
    (Semidefinite, |o| o.A().norm()),
    (Semidefinite, |o| o.A().norm_squared()),
    (Semidefinite, |o| o.x().t() * o.K() * o.x()),
    (Symmetric, |o| o.x().t() * o.A() * o.x()),
    (Definite, |o| o.K().det()),
    (Symmetric, |o| o.P().det()),
    (Symmetric, |o| o.A().det()),
    (Definite, |o| o.K().adjugate()),
    (Semidefinite, |o| o.P().adjugate()),
    (Symmetric, |o| o.S().adjugate()),
    (General, |o| o.A().adjugate()),
    (Symmetric, |o| o.K().log_det()),
    (Definite, |o| o.s().exp()),
    (Definite, |o| o.s().softplus()),
    (Definite, |o| o.s().sigmoid()),
    (Definite, |o| o.s().cosh()),
    (Definite, |o| o.s().max(o.s().exp())),
    (Semidefinite, |o| o.s().hypot(o.s().exp())),
    (Semidefinite, |o| o.s().exp().min(o.s().square())),
    (Semidefinite, |o| o.s().square().atan()),
    (Semidefinite, |o| o.s().square()),
    (Semidefinite, |o| o.s().sqrt()),
    (Semidefinite, |o| o.s().relu()),
    (Definite, |o| o.p().recip()),
    (Symmetric, |o| o.s().recip()),
    (Symmetric, |o| o.s().tanh()),
    (Definite, |o| o.s().square() + 1.0),
    (Symmetric, |o| o.s().square() - 1.0),
    (Definite, |o| o.p() * o.p()),
    (Symmetric, |o| o.p() * o.s()),
];

#[test]
fn what_is_known() {
    let mut failures = Vec::new();
    for &(wanted, build) in KNOWN {
        let tape = Tape::new();
        let y = build(On(&tape));
        if y.structure() != wanted {
            failures.push(format!("{y} is {:?}, not {wanted:?}", y.structure()));
        }
        // A transpose is never written of what is symmetric.
        let same = y.t().same(y);
        if same != (wanted != General) {
            failures.push(format!("({y})ᵀ = {}", y.t()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Whoever writes it last, a symmetric matrix and its transpose are one node.
#[test]
fn symmetric_formulas_print_without_transposes() {
    #[rustfmt::skip]
    let cases: &[(&str, Build)] = &[
        ("S", |o| o.S().t()),
        ("K⁻¹", |o| o.K().t().inv()),
        ("K⁻¹", |o| o.K().inv().t()),
        ("X Xᵀ", |o| (o.X() * o.X().t()).t()),
        ("A S Aᵀ", |o| (o.A() * o.S() * o.A().t()).t()),
        ("Xᵀ K⁻¹ X", |o| (o.X().t() * o.K().solve(o.X())).t()),
        ("S X", |o| (o.X().t() * o.S()).t()),
        ("T S", |o| (o.S() * o.T()).t()),
        ("K⁻¹ X", |o| (o.X().t() * o.K().inv()).t()),
        ("2 S", |o| o.S() + o.S().t()),
        ("S − K", |o| (o.S() - o.K()).t()),
        ("A + Aᵀ", |o| (o.A() + o.A().t()).t()),
        ("tanh(S)", |o| o.S().tanh().t()),
        ("K ∘ S", |o| o.K().hadamard(o.S()).t()),
    ];
    for &(wanted, build) in cases {
        let tape = Tape::new();
        assert_eq!(build(On(&tape)).to_string(), wanted);
    }
    let tape = Tape::new();
    let o = On(&tape);
    assert!((o.S() * o.X()).t().same(o.X().t() * o.S()));
}

#[test]
fn longer_chains_than_are_searched_are_general() {
    let tape = Tape::new();
    let factor = |k: usize| tape.input(&format!("A{k}"), (3, 3));
    for (factors, wanted) in [(1, Semidefinite), (12, Semidefinite), (13, General), (400, General)] {
        let product = (1..factors).map(factor).fold(factor(0), |a, b| a * b);
        assert_eq!((product * product.t()).structure(), wanted, "{factors} factors");
    }
}

// ---- declarations ----------------------------------------------------------------------------------------

#[test]
fn a_declaration_is_repeated_or_left_out() {
    let tape = Tape::new();
    let k = tape.positive_definite("K", 3);
    assert!(tape.input("K", (3, 3)).same(k));
    assert!(tape.positive_definite("K", 3).same(k));
    let c = tape.constant("C", (2, 3));
    assert!(tape.constant("C", (2, 3)).same(c) && tape.input("C", (2, 3)).same(c));
    let both = Declaration::new().structure(Symmetric).constant();
    let node = tape.declare("D", (2, 2), both).node().unwrap();
    assert_eq!((node.structure, node.constant), (Symmetric, true));
    assert_eq!(Declaration::new(), Declaration::default());
    // Every 1×1 is symmetric.
    let s = tape.input("s", (1, 1));
    assert!(tape.symmetric("s", 1).same(s));
}

#[test]
fn another_declaration_is_a_mistake() {
    type Declare = for<'t> fn(&'t Tape) -> Var<'t>;
    let plain: Declare = |tape| tape.input("K", (3, 3));
    let symmetric: Declare = |tape| tape.symmetric("K", 3);
    let definite: Declare = |tape| tape.positive_definite("K", 3);
    let constant: Declare = |tape| tape.constant("K", (3, 3));
    let larger: Declare = |tape| tape.positive_definite("K", 4);
    let pairs = [
        (plain, symmetric),
        (symmetric, definite),
        (definite, symmetric),
        (constant, symmetric),
        (symmetric, constant),
        (plain, constant),
        (definite, larger),
    ];
    for (k, (first, second)) in pairs.into_iter().enumerate() {
        let tape = Tape::new();
        assert!(first(&tape).check().is_ok());
        let error = second(&tape).check().unwrap_err();
        assert!(matches!(&error, Error::InputRedeclared { name, .. } if name == "K"), "{k}: {error}");
        let (text, here) = (error.to_string(), file!());
        assert!(text.contains("`K`") && text.matches(here).count() == 2, "{k}: {text}");
    }
    // A positive 1×1 is more than any 1×1.
    let tape = Tape::new();
    tape.input("s", (1, 1));
    assert!(tape.positive_definite("s", 1).check().is_err(), "a sign was taken on trust");
}

#[test]
fn only_square_matrices_are_symmetric() {
    for structure in [Symmetric, Semidefinite, Definite] {
        let tape = Tape::new();
        let error = tape.declare("X", (2, 3), Declaration::new().structure(structure)).check().unwrap_err();
        assert!(matches!(error, Error::Shape { op: "declare", .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("2×3 is not square") && text.contains(file!()), "{text}");
        // The name is free again.
        assert!(tape.input("X", (2, 3)).check().is_ok());
    }
    let tape = Tape::new();
    let general = Declaration::new().structure(General);
    assert!(tape.declare("X", (2, 3), general).check().is_ok());
}

#[test]
fn what_depends_on_constants_alone_is_constant() {
    let tape = Tape::new();
    let (c, d) = (tape.constant("C", (3, 3)), tape.constant("D", (3, 3)));
    let (x, e) = (tape.input("X", (3, 3)), tape.symbol("ε", (3, 3)));
    let constant = |y: Var<'_>| y.node().unwrap().constant;
    for y in [c, c * d, c.inv().tanh() + 2.0 * d, c.trace(), tape.identity(3), tape.scalar(2.0)] {
        assert!(constant(y), "{y}");
    }
    for y in [x, e, c * x, c + e, tape.function("L", c)] {
        assert!(!constant(y), "{y}");
    }
}

#[test]
fn triangular_solves_on_both_sides() {
    let tape = Tape::new();
    let (a, k, d) = (tape.input("A", (3, 3)), tape.symmetric("K", 3), tape.input("d", (3, 1)));
    let both = |x: Var<'_>, upper: bool| match upper {
        true => a.t().solve_upper(a.t().solve_upper(x).t()).structure(),
        false => a.solve_lower(a.solve_lower(x).t()).structure(),
    };
    assert_eq!([both(k, true), both(k, false), both(d.diag(), true)], [Structure::Symmetric; 3]);
    assert_eq!(both(a, false), Structure::General);
    // L⁻ᵀ Diag(d) L⁻¹, and the two triangles of one matrix.
    let l = a.solve_lower(tape.identity(3));
    assert_eq!((l.t() * d.diag() * l).structure(), Structure::Symmetric);
    assert_eq!(a.t().solve_upper(d.diag() * l).structure(), Structure::Symmetric);
    assert_eq!((l.t() * l).structure(), Structure::Semidefinite);
    assert_eq!(a.solve_upper(l).structure(), Structure::General);
    // A triangle of a symmetric matrix is not symmetric.
    assert_eq!(k.solve_lower(tape.identity(3)).structure(), Structure::General);
    assert_eq!(k.solve_lower(k.solve_lower(tape.identity(3))).structure(), Structure::General);
}
