//! Derivatives as they are printed: gradients, tangents, Hessian products and derivations against the formulas
//! of the textbooks. That the formulas are also right is tested by their numbers, in the crate `pullback`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback_rules::{Error, derivation, gradient, hvp, jvp, substitute, transpose, vjp};
use pullback_tape::{Shape, Tape, Var};

/// Inputs of extents that differ, so that a transpose that is missing shows.
struct On<'t>(&'t Tape);

impl<'t> On<'t> {
    const N: usize = 4;
    const P: usize = 5;

    fn of(&self, name: &str, rows: usize, cols: usize) -> Var<'t> {
        self.0.input(name, (rows, cols))
    }

    /// An n×n matrix.
    fn square(&self, name: &str) -> Var<'t> {
        self.of(name, Self::N, Self::N)
    }

    /// An n×1 column.
    fn column(&self, name: &str) -> Var<'t> {
        self.of(name, Self::N, 1)
    }

    fn number(&self, name: &str) -> Var<'t> {
        self.of(name, 1, 1)
    }

    /// An n×p matrix.
    fn matrix(&self, name: &str) -> Var<'t> {
        self.of(name, Self::N, Self::P)
    }
}

/// What is derived, and the formula it should print as. Where it adds nothing, there is no LaTeX.
struct Case {
    build: for<'t> fn(&On<'t>) -> Result<Var<'t>, Error>,
    unicode: &'static str,
    latex: &'static str,
}

type Build = for<'t> fn(&On<'t>) -> Result<Var<'t>, Error>;

const fn new(unicode: &'static str, build: Build) -> Case {
    Case { build, unicode, latex: "" }
}

const fn tex(unicode: &'static str, latex: &'static str, build: Build) -> Case {
    Case { build, unicode, latex }
}

fn in_one<'t>(loss: Var<'t>, x: Var<'t>) -> Result<Var<'t>, Error> {
    Ok(gradient(loss, &[x])?[0])
}

fn second<'t>(loss: Var<'t>, x: Var<'t>, v: Var<'t>) -> Result<Var<'t>, Error> {
    Ok(hvp(loss, &[(x, v)])?[0])
}

fn assert_prints(cases: &[Case]) {
    let mut failures = Vec::new();
    for case in cases {
        let tape = Tape::new();
        let derived = (case.build)(&On(&tape)).unwrap();
        for (printed, wanted) in [(derived.to_string(), case.unicode), (derived.latex(), case.latex)] {
            if printed != wanted && !wanted.is_empty() {
                failures.push(format!("wanted {wanted}\n   got {printed}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn gradients_of_the_textbooks() {
    assert_prints(&[
        new("2 x", |on| in_one(on.number("x") * on.number("x"), on.number("x"))),
        new("2 x", |on| in_one(on.number("x").square(), on.number("x"))),
        new("3 x²", |on| in_one(on.number("x").powf(3.0), on.number("x"))),
        tex("(Q + Qᵀ) x", r"(Q + Q^\top) x", |on| {
            let (x, q) = (on.column("x"), on.square("Q"));
            in_one(x.t() * q * x, x)
        }),
        tex("x xᵀ", r"x x^\top", |on| {
            let (x, q) = (on.column("x"), on.square("Q"));
            in_one(x.t() * q * x, q)
        }),
        tex("2 X (Xᵀ β − Yᵀ)", r"2 X (X^\top \beta - Y^\top)", |on| {
            let (beta, x, y) = (on.of("β", 3, 4), on.of("X", 3, 5), on.of("Y", 4, 5));
            in_one((y - beta.t() * x).norm_squared(), beta)
        }),
        tex("2 (W x − y) xᵀ", r"2 (W x - y) x^\top", |on| {
            let (w, x, y) = (on.of("W", 3, 4), on.column("x"), on.of("y", 3, 1));
            in_one((y - w * x).norm_squared(), w)
        }),
        tex("adj(M)ᵀ", r"\operatorname{adj}(M)^\top", |on| in_one(on.square("M").det(), on.square("M"))),
        tex("M⁻ᵀ", r"M^{-\top}", |on| in_one(on.square("M").log_det(), on.square("M"))),
        tex("K⁻ᵀ − K⁻ᵀ y yᵀ K⁻ᵀ", r"K^{-\top} - K^{-\top} y y^\top K^{-\top}", |on| {
            let (k, y) = (on.square("K"), on.column("y"));
            in_one(y.t() * k.solve(y) + k.log_det(), k)
        }),
        new("(K⁻¹ + K⁻ᵀ) y", |on| {
            let (k, y) = (on.square("K"), on.column("y"));
            in_one(y.t() * k.solve(y) + k.log_det(), y)
        }),
        new("a bᵀ", |on| {
            let (a, x, b) = (on.column("a"), on.matrix("X"), on.of("b", On::P, 1));
            in_one(a.t() * x * b, x)
        }),
        new("b aᵀ", |on| {
            let (a, x, b) = (on.column("a"), on.of("X", On::P, On::N), on.of("b", On::P, 1));
            in_one(a.t() * x.t() * b, x)
        }),
        new("Aᵀ", |on| {
            let (a, x) = (on.of("A", On::P, On::N), on.matrix("X"));
            in_one((a * x).trace(), x)
        }),
        new("(A + Aᵀ) X", |on| {
            let (a, x) = (on.square("A"), on.matrix("X"));
            in_one((x.t() * a * x).trace(), x)
        }),
        new("I", |on| in_one(on.square("X").trace(), on.square("X"))),
        new("2 Xᵀ", |on| in_one((on.square("X") * on.square("X")).trace(), on.square("X"))),
        new("3 Xᵀ Xᵀ", |on| {
            let x = on.square("X");
            in_one((x * x * x).trace(), x)
        }),
        new("−X⁻ᵀ Aᵀ X⁻ᵀ", |on| {
            let (a, x) = (on.square("A"), on.square("X"));
            in_one((a * x.inv()).trace(), x)
        }),
        new("2 X", |on| in_one(on.matrix("X").norm_squared(), on.matrix("X"))),
        new("‖X‖⁺ X", |on| in_one(on.matrix("X").norm(), on.matrix("X"))),
        new("𝟏", |on| in_one(on.matrix("X").sum(), on.matrix("X"))),
        new("exp(X)", |on| in_one(on.matrix("X").exp().sum(), on.matrix("X"))),
        new("X∘⁻¹", |on| in_one(on.matrix("X").ln().sum(), on.matrix("X"))),
        new("softmax(Z) − Y", |on| {
            let (z, y) = (on.matrix("Z"), on.matrix("Y"));
            in_one(z.log_sum_exp().sum() - y.inner(z), z)
        }),
        new("(softmax(W X) − Y) Xᵀ", |on| {
            let (w, x, y) = (on.of("W", 3, 4), on.matrix("X"), on.of("Y", 3, 5));
            in_one((w * x).log_sum_exp().sum() - y.inner(w * x), w)
        }),
        new("σ(Z) − Y", |on| {
            let (z, y) = (on.matrix("Z"), on.matrix("Y"));
            in_one(z.softplus().sum() - y.inner(z), z)
        }),
        new("∇f(X)", |on| in_one(on.0.function("f", on.matrix("X")), on.matrix("X"))),
        new("∇f(Xᵀ)ᵀ", |on| in_one(on.0.function("f", on.matrix("X").t()), on.matrix("X"))),
    ]);
}

/// `∇_{W_k} L(W_L ⋯ W_1) = W_{k+1:}ᵀ ∇L(W) W_{:k}ᵀ` (Laurent & von Brecht, arXiv:1712.01473), whichever way the
/// product is bracketed.
#[test]
fn deep_linear_networks() {
    for depth in 1..=8 {
        for from_the_right in [false, true] {
            let tape = Tape::new();
            let weight = |k: usize| tape.input(&format!("W{k}"), (k + 2, k + 1));
            let weights: Vec<_> = (1..=depth).map(weight).collect();
            let product = if from_the_right {
                weights.iter().copied().reduce(|product, w| w * product)
            } else {
                weights.iter().rev().copied().reduce(|product, w| product * w)
            };
            let gradients = gradient(tape.function("L", product.unwrap()), &weights).unwrap();

            let join = |words: Vec<String>| words.join(" ");
            let all = join((1..=depth).rev().map(|k| format!("W{k}")).collect());
            for (k, gradient) in (1..).zip(gradients) {
                let mut words: Vec<_> = (k + 1..=depth).map(|i| format!("W{i}ᵀ")).collect();
                words.push(format!("∇L({all})"));
                words.extend((1..k).map(|i| format!("W{i}ᵀ")));
                assert_eq!(gradient.to_string(), join(words), "L = {depth}, k = {k}");
            }
        }
    }
}

#[test]
fn tangents() {
    assert_prints(&[
        tex("−A⁻¹ ε A⁻¹", r"-A^{-1} \varepsilon A^{-1}", |on| {
            let (a, e) = (on.square("A"), on.0.symbol("ε", (On::N, On::N)));
            jvp(a.inv(), &[(a, e)])
        }),
        new("⟨adj(A)ᵀ, E⟩", |on| {
            let (a, e) = (on.square("A"), on.square("E"));
            jvp(a.det(), &[(a, e)])
        }),
        new("⟨A⁻ᵀ, E⟩ adj(A) − A⁻¹ E adj(A)", |on| {
            let (a, e) = (on.square("A"), on.square("E"));
            jvp(a.adjugate(), &[(a, e)])
        }),
        new("⟨A⁻ᵀ, E⟩", |on| {
            let (a, e) = (on.square("A"), on.square("E"));
            jvp(a.log_det(), &[(a, e)])
        }),
        new("−A⁻¹ E A⁻¹ B", |on| {
            let (a, b, e) = (on.square("A"), on.matrix("B"), on.square("E"));
            jvp(a.solve(b), &[(a, e)])
        }),
        new("A⁻¹ E", |on| {
            let (a, b, e) = (on.square("A"), on.matrix("B"), on.matrix("E"));
            jvp(a.solve(b), &[(b, e)])
        }),
        // Leibniz' rule
        new("U B + A V", |on| {
            let (a, b, u, v) = (on.square("A"), on.matrix("B"), on.square("U"), on.matrix("V"));
            jvp(a * b, &[(a, u), (b, v)])
        }),
        new("E A + A E", |on| {
            let (a, e) = (on.square("A"), on.square("E"));
            jvp(a * a, &[(a, e)])
        }),
        // Two tangents of one variable are one.
        new("A (U + V)", |on| {
            let (a, b, u, v) = (on.square("A"), on.matrix("B"), on.matrix("U"), on.matrix("V"));
            jvp(a * b, &[(b, u), (b, v)])
        }),
        new("exp(X) ∘ E", |on| jvp(on.matrix("X").exp(), &[(on.matrix("X"), on.matrix("E"))])),
        // A perturbation stands on the right.
        new("2 ⟨X, ε⟩", |on| {
            let (x, e) = (on.matrix("X"), on.0.symbol("ε", (On::N, On::P)));
            jvp(x.norm_squared(), &[(x, e)])
        }),
        new("𝟏ᵀ (argmax(X) ∘ E)", |on| {
            jvp(on.matrix("X").col_maxima(), &[(on.matrix("X"), on.matrix("E"))])
        }),
        new("0", |on| jvp(on.matrix("X").col_argmax(), &[(on.matrix("X"), on.matrix("E"))])),
        new("𝟏ᵀ (softmax(X) ∘ E)", |on| {
            jvp(on.matrix("X").log_sum_exp(), &[(on.matrix("X"), on.matrix("E"))])
        }),
        new("⟨∇L(X), E⟩", |on| {
            jvp(on.0.function("L", on.matrix("X")), &[(on.matrix("X"), on.matrix("E"))])
        }),
        new("0", |on| jvp(on.matrix("X").exp(), &[(on.matrix("Y"), on.matrix("E"))])),
        new("0", |on| jvp(on.matrix("X").sign(), &[(on.matrix("X"), on.matrix("E"))])),
    ]);
}

#[test]
fn cotangents() {
    assert_prints(&[
        new("Aᵀ G Bᵀ", |on| {
            let (a, x, b, g) = (on.of("A", 2, 4), on.matrix("X"), on.of("B", On::P, 3), on.of("G", 2, 3));
            Ok(vjp(a * x * b, &[x], g)?[0])
        }),
        new("−A⁻ᵀ G A⁻ᵀ", |on| Ok(vjp(on.square("A").inv(), &[on.square("A")], on.square("G"))?[0])),
        new("cos(X) ∘ G", |on| Ok(vjp(on.matrix("X").sin(), &[on.matrix("X")], on.matrix("G"))?[0])),
        new("A⁻ᵀ G", |on| {
            transpose(on.square("A").solve(on.matrix("B")), on.matrix("B"), on.matrix("G"))
        }),
        new("g I", |on| transpose(on.square("X").trace(), on.square("X"), on.number("g"))),
    ]);
}

#[test]
fn hessian_products() {
    assert_prints(&[
        tex("½ (Q + Qᵀ) v", r"\tfrac{1}{2} (Q + Q^\top) v", |on| {
            let (x, q, v) = (on.column("x"), on.square("Q"), on.column("v"));
            second(0.5 * (x.t() * q * x), x, v)
        }),
        new("X Xᵀ V", |on| {
            let (b, x, y, v) = (on.of("β", 3, 4), on.of("X", 3, 5), on.of("Y", 4, 5), on.of("V", 3, 4));
            second(0.5 * (y - b.t() * x).norm_squared(), b, v)
        }),
        new("−A⁻ᵀ Vᵀ A⁻ᵀ", |on| second(on.square("A").log_det(), on.square("A"), on.square("V"))),
        tex("∇²L(W)[V]", r"\nabla^{2} L(W)[V]", |on| {
            second(on.0.function("L", on.matrix("W")), on.matrix("W"), on.matrix("V"))
        }),
        new("W2ᵀ ∇²L(W2 W1)[W2 V]", |on| {
            let (w2, w1, v) = (on.of("W2", 3, 4), on.matrix("W1"), on.matrix("V"));
            second(on.0.function("L", w2 * w1), w1, v)
        }),
        new("exp(X) ∘ V", |on| second(on.matrix("X").exp().sum(), on.matrix("X"), on.matrix("V"))),
        // The second derivative of a linear function.
        new("0", |on| second(on.matrix("X").inner(on.matrix("A")), on.matrix("X"), on.matrix("V"))),
        // The mixed derivative.
        new("U y", |on| {
            let (x, y, a) = (on.column("x"), on.column("y"), on.square("A"));
            Ok(hvp(x.t() * a * y, &[(x, on.0.zeros((On::N, 1))), (a, on.square("U"))])?[0])
        }),
    ]);
}

#[test]
fn a_derivation_shows_its_steps() {
    let tape = Tape::new();
    let (w, x, y) = (tape.input("W", (3, 4)), tape.input("x", (4, 1)), tape.input("y", (3, 1)));
    let m = tape.input("M", (4, 4));
    for (loss, variable, unicode, latex) in [
        (
            (w * x - y).norm_squared(),
            w,
            "\
‖(W + ε) x − y‖²
  = ‖W x − y‖² + 2 ⟨W x − y, ε x⟩ + o(‖ε‖)       (product rule)
  = ‖W x − y‖² + 2 ⟨(W x − y) xᵀ, ε⟩ + o(‖ε‖)    (adjoint of a product)
∇W = 2 (W x − y) xᵀ",
            r"\lVert (W + \varepsilon) x - y \rVert^{2} &= \lVert W x - y \rVert^{2} + 2 \langle W x - y, \varepsilon x \rangle + o(\lVert \varepsilon \rVert) && \text{(product rule)} \\
  &= \lVert W x - y \rVert^{2} + 2 \langle (W x - y) x^\top, \varepsilon \rangle + o(\lVert \varepsilon \rVert) && \text{(adjoint of a product)} \\
\nabla_{W} &= 2 (W x - y) x^\top",
        ),
        (
            tape.function("L", w * m),
            w,
            "\
L((W + ε) M)
  = L(W M) + ⟨∇L(W M), ε M⟩ + o(‖ε‖)     (definition of ∇L)
  = L(W M) + ⟨∇L(W M) Mᵀ, ε⟩ + o(‖ε‖)    (adjoint of a product)
∇W = ∇L(W M) Mᵀ",
            r"L((W + \varepsilon) M) &= L(W M) + \langle \nabla L(W M), \varepsilon M \rangle + o(\lVert \varepsilon \rVert) && \text{(definition of $\nabla L$)} \\
  &= L(W M) + \langle \nabla L(W M) M^\top, \varepsilon \rangle + o(\lVert \varepsilon \rVert) && \text{(adjoint of a product)} \\
\nabla_{W} &= \nabla L(W M) M^\top",
        ),
        (
            m.log_det(),
            m,
            "\
log |det(M + ε)|
  = log |det M| + ⟨M⁻ᵀ, ε⟩ + o(‖ε‖)    (derivative of log |det|)
∇M = M⁻ᵀ",
            r"\log \lvert \det(M + \varepsilon) \rvert &= \log \lvert \det M \rvert + \langle M^{-\top}, \varepsilon \rangle + o(\lVert \varepsilon \rVert) && \text{(derivative of $\log \lvert\det\rvert$)} \\
\nabla_{M} &= M^{-\top}",
        ),
    ] {
        let steps = derivation(loss, variable).unwrap();
        assert_eq!(steps.to_string(), unicode);
        assert_eq!(format!("{steps:#}"), latex);
        assert!(steps.gradient.same(gradient(loss, &[variable]).unwrap()[0]));
    }
}

/// Each step is named by the identity it is by.
#[test]
fn steps_are_named() {
    let tape = Tape::new();
    let (k, y) = (tape.input("K", (4, 4)), tape.input("y", (4, 1)));
    let (s, a) = (tape.symmetric("S", 4), tape.input("A", (4, 4)));
    let c = tape.positive_definite("c", 1);
    let cases = [
        (
            0.5 * (y.t() * k.solve(y) + k.log_det()),
            k,
            "\
f(K)     = ½ (yᵀ K⁻¹ y + log |det K|)
f(K + ε) = ½ (yᵀ (K + ε)⁻¹ y + log |det(K + ε)|)
         = f(K) + Df(K)[ε] + o(‖ε‖)
Df(K)[ε] = ½ (⟨K⁻ᵀ, ε⟩ − yᵀ K⁻¹ ε K⁻¹ y)       (derivatives of a solve and log |det|)
         = ½ (⟨K⁻ᵀ, ε⟩ − ⟨y, K⁻¹ ε K⁻¹ y⟩)     (aᵀ b = ⟨a, b⟩)
         = ½ (⟨K⁻ᵀ, ε⟩ − ⟨K⁻ᵀ y, ε K⁻¹ y⟩)     (adjoint of a solve)
         = ½ (⟨K⁻ᵀ, ε⟩ − ⟨K⁻ᵀ y yᵀ K⁻ᵀ, ε⟩)    (adjoint of a product)
         = ½ ⟨K⁻ᵀ − K⁻ᵀ y yᵀ K⁻ᵀ, ε⟩           (collect)
∇K       = ½ (K⁻ᵀ − K⁻ᵀ y yᵀ K⁻ᵀ)",
        ),
        (
            (k * a * k).trace(),
            k,
            "\
f(K)     = tr(K A K)
f(K + ε) = tr((K + ε) A (K + ε))
         = f(K) + Df(K)[ε] + o(‖ε‖)
Df(K)[ε] = tr(ε A K + K A ε)          (product rule)
         = tr(ε A K) + ⟨Aᵀ Kᵀ, ε⟩     (tr(Aᵀ B) = ⟨A, B⟩)
         = ⟨Kᵀ, ε A⟩ + ⟨Aᵀ Kᵀ, ε⟩     (tr(A B) = tr(B A))
         = ⟨Kᵀ Aᵀ, ε⟩ + ⟨Aᵀ Kᵀ, ε⟩    (adjoint of a product)
         = ⟨Kᵀ Aᵀ + Aᵀ Kᵀ, ε⟩         (collect)
∇K       = Kᵀ Aᵀ + Aᵀ Kᵀ",
        ),
        // A symmetric variable has a symmetric perturbation.
        (
            (a * s).tril().trace(),
            s,
            "\
f(S)     = tr(tril(A S))
f(S + ε) = tr(tril(A (S + ε)))
         = f(S) + Df(S)[ε] + o(‖ε‖)
Df(S)[ε] = tr(tril(A ε))    (linearity)
         = tr(A ε)          (adjoint of tril)
         = ⟨Aᵀ, ε⟩          (tr(Aᵀ B) = ⟨A, B⟩)
         = ½ ⟨Aᵀ + A, ε⟩    (ε is symmetric)
∇S       = ½ (Aᵀ + A)",
        ),
        // Of a number: through the matrix in which it stands.
        (
            (a + c * k).log_det(),
            c,
            "\
f(c)     = log |det(A + c K)|
f(c + ε) = log |det(A + (c + ε) K)|
         = f(c) + Df(c)[ε] + o(|ε|)
Df(c)[ε] = ⟨(A + c K)⁻ᵀ, δ⟩      (derivative of log |det|)
         = ε ⟨(A + c K)⁻ᵀ, K⟩    (δ inserted)
∇c       = ⟨(A + c K)⁻ᵀ, K⟩
where δ = ε K",
        ),
        (
            k.trace() + a.sum(),
            k,
            "\
tr(K + ε) + sum(A)
  = tr(K) + sum(A) + tr(ε) + o(‖ε‖)     (linearity)
  = tr(K) + sum(A) + ⟨I, ε⟩ + o(‖ε‖)    (tr A = ⟨I, A⟩)
∇K = I",
        ),
        (
            2.0 * a.sum(),
            a,
            "\
2 sum(A + ε)
  = 2 sum(A) + 2 sum(ε) + o(‖ε‖)    (linearity)
  = 2 sum(A) + ⟨2 𝟏, ε⟩ + o(‖ε‖)    (sum(A) = ⟨𝟏, A⟩)
∇A = 2 𝟏",
        ),
        (
            -k.log_det(),
            k,
            "\
−log |det(K + ε)|
  = −log |det K| − ⟨K⁻ᵀ, ε⟩ + o(‖ε‖)    (derivative of log |det|)
∇K = −K⁻ᵀ",
        ),
        (
            a.sum(),
            k,
            "\
sum(A)
  = sum(A) + o(‖ε‖)    (linearity)
∇K = 0",
        ),
    ];
    for (loss, variable, wanted) in cases {
        assert_eq!(derivation(loss, variable).unwrap().to_string(), wanted);
    }
}

/// A long derivation shows its beginning and its end, says how much there is between, and gives one name to one expression.
#[test]
fn long_derivations_are_shortened() {
    let tape = Tape::new();
    let x = tape.input("x", (4, 1));
    let deep = |layers: usize| {
        let weight = |k: usize| tape.input(&format!("W{k}"), (4, 4));
        let first = weight(0);
        let y = (1..layers).fold(first * x, |y, k| weight(k) * y.tanh());
        (y.sum(), first)
    };
    for layers in [2, 7, 60, 2000] {
        let (loss, first) = deep(layers);
        let steps = derivation(loss, first).unwrap();
        // A product and an entrywise product for each layer.
        let all = 2 * layers - 1;
        let text = steps.to_string();
        assert_eq!(steps.steps.len(), all.min(12), "{text}");
        let gap = (all > 12).then(|| format!("… {} more step", all - 12));
        for text in [text.clone(), format!("{steps:#}"), steps.markdown()] {
            assert_eq!(text.contains(" more step"), gap.is_some(), "{text}");
            assert!(gap.iter().all(|gap| text.contains(gap)), "{text}");
        }
        let named: Vec<_> = text
            .lines()
            .filter_map(|line| line.trim_start_matches("where").trim().split_once(" = "))
            .collect();
        for (i, (name, formula)) in named.iter().enumerate() {
            let twice = named[..i].iter().any(|(other, _)| !other.is_empty() && other == name);
            assert!(!twice, "{name} = {formula} is explained twice: {text}");
        }
        assert!(steps.gradient.same(gradient(loss, &[first]).unwrap()[0]));
    }
}

#[test]
fn what_a_loss_does_not_depend_on_has_gradient_zero() {
    let tape = Tape::new();
    let (x, y) = (tape.input("X", (2, 3)), tape.input("Y", (4, 5)));
    let before = x.norm_squared();
    let late = tape.input("Z", (6, 7));
    for (loss, wrt) in [
        (before, y),
        (before, late),
        (tape.scalar(3.0), x),
        (x.step().sum(), x),
        ((x - x).norm_squared(), x),
        // Needed for something, but not for the loss.
        (before, (y * late.t().sum()).exp()),
    ] {
        let gradient = gradient(loss, &[wrt]).unwrap()[0];
        assert!(gradient.is_zero(), "{loss} in {wrt}: {gradient}");
        assert_eq!(gradient.shape(), wrt.shape());
    }
    assert!(gradient(before, &[]).unwrap().is_empty());
}

#[test]
fn wrt_may_be_anything_and_repeat() {
    let tape = Tape::new();
    let (w, x) = (tape.input("W", (3, 4)), tape.input("X", (4, 5)));
    let h = w * x;
    let loss = h.norm_squared();
    let wrt = [w, h, w, loss, h.norm_squared()];
    let printed: Vec<_> = gradient(loss, &wrt).unwrap().iter().map(|g| g.to_string()).collect();
    assert_eq!(printed, ["2 W X Xᵀ", "2 W X", "2 W X Xᵀ", "1", "1"]);

    // A variable inside another: each is varied with what lies between it and the loss.
    let outer = h.tanh();
    let gradients = gradient(outer.sum(), &[outer, h, x]).unwrap();
    assert_eq!(gradients[0].to_string(), "𝟏");
    assert!(gradients[2].same(w.t() * gradients[1]));
}

#[test]
fn substitution_is_recorded_anew() {
    let tape = Tape::new();
    let (a, b, c) = (tape.input("A", (3, 3)), tape.input("B", (3, 3)), tape.input("C", (3, 3)));
    let y = (a * b).tanh() + a;
    assert!(substitute(y, a, c).unwrap().same((c * b).tanh() + c));
    assert!(substitute(y, a * b, c).unwrap().same(c.tanh() + a));
    assert!(substitute(y, c, a).unwrap().same(y));
    assert!(substitute(y, y, c).unwrap().same(c));
    // What becomes simple is simplified.
    assert!(substitute(y, a, tape.identity(3)).unwrap().same(b.tanh() + tape.identity(3)));
    let wrong = substitute(y, a, tape.input("D", (3, 4))).unwrap_err();
    assert!(matches!(wrong, Error::SeedShape { kind: "replacement", .. }), "{wrong}");
}

#[test]
fn only_what_is_linear_is_transposed() {
    let tape = Tape::new();
    let (a, g) = (tape.input("A", (3, 3)), tape.input("G", (3, 3)));
    let s = tape.input("s", (1, 1));
    let e = tape.symbol("ε", (3, 3));
    for (y, op) in [
        (e * e, "*"),
        (e.hadamard(a * e), "hadamard"),
        (e.inner(e) * a, "inner"),
        (e.trace() * e, "scale by"),
        (e + a, "+"),
        (a * (e + 1.0), "+"),
        (a * e.exp(), "exp"),
        (e.inv(), "inverse"),
        (a.quotient(e), "quotient"),
        (s / e.trace() * a, "quotient"),
        (e.solve(a), "solve"),
        (e.softmax(), "softmax"),
        (e.col_maxima().t() * a.row(0), "col_max"),
        (e.col_argmax(), "col_argmax"),
        (e.norm() * a, "norm"),
        (e.det() * a, "det"),
        (e.adjugate() * a, "adjugate"),
        (e.log_det() * a, "log_det"),
        (tape.function("L", e) * a, "function"),
        (a * g, "constant"),
    ] {
        match transpose(y, e, g).unwrap_err() {
            Error::NotLinear { op: found, variable, location, .. } => {
                assert_eq!((found, variable.as_str(), location.file()), (op, "ε", file!()), "{y}");
            }
            error => panic!("{y}: {error}"),
        }
    }
    let error = transpose(a * (e * e), e, g).unwrap_err().to_string();
    assert!(error.starts_with("`ε ε` is not linear in `ε`: * (crates/rules/tests/formulas.rs:"), "{error}");

    // And these are linear.
    for y in [a.solve(e), e.quotient(a), 2.0 * e - a * e.t(), s * e, e.trace() * a, tape.zeros((3, 3))] {
        transpose(y, e, g).unwrap();
    }
}

#[test]
fn errors_say_what_and_where() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (3, 4)), tape.input("B", (4, 2)));
    let (ab, line) = (a * b, line!());
    let number = ab.norm_squared();
    match gradient(ab, &[a]).unwrap_err() {
        Error::NotScalar { formula, shape, location } => {
            assert_eq!((formula.as_str(), shape), ("A B", Shape::new(3, 2)));
            assert_eq!((location.file(), location.line()), (file!(), line));
        }
        error => panic!("{error}"),
    }
    assert!(matches!(derivation(ab, a), Err(Error::NotScalar { .. })));
    assert!(matches!(hvp(ab, &[(a, a)]), Err(Error::NotScalar { .. })));

    let seeds = [
        (vjp(ab, &[a], b).unwrap_err(), "cotangent", "A B", Shape::new(3, 2)),
        (transpose(ab, a, b).unwrap_err(), "cotangent", "A B", Shape::new(3, 2)),
        (jvp(ab, &[(a, b)]).unwrap_err(), "tangent", "A", Shape::new(3, 4)),
        (hvp(number, &[(a, b)]).unwrap_err(), "tangent", "A", Shape::new(3, 4)),
    ];
    for (error, kind, formula, expected) in seeds {
        let found = Shape::new(4, 2);
        let seed = "B".to_owned();
        let wanted = Error::SeedShape { kind, seed, found, formula: formula.to_owned(), expected };
        assert_eq!(error, wanted);
    }
}

/// A mistake made while recording comes back from every function, whichever argument holds it.
#[test]
fn mistakes_come_back() {
    let tape = Tape::new();
    let other = Tape::new();
    let (a, x) = (tape.input("A", (3, 4)), tape.input("X", (4, 2)));
    let mistake = x * a;
    let recorded = Error::Tape(mistake.check().unwrap_err());
    let loss = (a * x).norm_squared();
    for error in [
        gradient(mistake.norm_squared(), &[a]).unwrap_err(),
        gradient(loss, &[a, mistake]).unwrap_err(),
        vjp(a * x, &[a], mistake).unwrap_err(),
        vjp(mistake, &[a], a * x).unwrap_err(),
        jvp(mistake, &[(a, a)]).unwrap_err(),
        jvp(a * x, &[(mistake, a)]).unwrap_err(),
        jvp(a * x, &[(a, mistake)]).unwrap_err(),
        hvp(loss, &[(a, mistake)]).unwrap_err(),
        transpose(a * x, mistake, a * x).unwrap_err(),
        substitute(loss, a, mistake).unwrap_err(),
        derivation(loss, mistake).unwrap_err(),
        derivation(mistake.trace(), a).unwrap_err(),
    ] {
        assert_eq!(error, recorded);
    }

    let (foreign, square) = (other.input("A", (3, 4)), other.input("S", (3, 2)));
    for error in [
        gradient(loss, &[foreign]).unwrap_err(),
        gradient(foreign.norm_squared(), &[a]).unwrap_err(),
        vjp(a * x, &[a], square).unwrap_err(),
        jvp(a * x, &[(a, foreign)]).unwrap_err(),
        jvp(a * x, &[(foreign, foreign)]).unwrap_err(),
        hvp(loss, &[(a, foreign)]).unwrap_err(),
        transpose(a * x, a, square).unwrap_err(),
        substitute(loss, a, foreign).unwrap_err(),
        derivation(loss, foreign).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Tape(pullback_tape::Error::ForeignVar { .. })), "{error}");
    }
}
