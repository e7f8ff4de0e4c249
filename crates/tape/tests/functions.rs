//! Functions of matrices: their normal form, how they print, and mistakes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback_tape::{Error, MatrixFunction, Op, Structure, Tape, Var};

fn derivative<'t>(args: &[Var<'t>]) -> Var<'t> {
    let op = Op::MatrixFunction { function: MatrixFunction::Exp, order: args.len() as u32 - 1 };
    args[0].tape().apply(op, args)
}

#[test]
fn they_print_as_a_person_writes_them() {
    let tape = Tape::new();
    let [a, e, f] = ["A", "E", "F"].map(|name| tape.input(name, (3, 3)));
    let (b, w) = (tape.input("B", (3, 2)), tape.input("W1", (3, 3)));
    let cases = [
        (a.expm(), "expm(A)", r"\operatorname{expm}(A)"),
        ((a + e).t().expm(), "expm(A + E)ᵀ", r"\operatorname{expm}(A + E)^\top"),
        (2.0 * a.expm() * b, "2 expm(A) B", r"2 \operatorname{expm}(A) B"),
        (
            w.square().expm().trace(),
            "tr(expm(W1∘²))",
            r"\operatorname{tr}(\operatorname{expm}(W_{1}^{\circ 2}))",
        ),
        (derivative(&[a, e]), "Dexpm(A)[E]", r"D\operatorname{expm}(A)[E]"),
        (derivative(&[a, f, 2.0 * e]), "2 D²expm(A)[E, F]", r"2 D^{2}\operatorname{expm}(A)[E, F]"),
        (a.expm_multiply(b), "expm(A) B", r"\operatorname{expm}(A) B"),
        (a.expm_multiply(b).t(), "Bᵀ expm(A)ᵀ", r"B^\top \operatorname{expm}(A)^\top"),
        (a.t().expm_multiply(b), "expm(A)ᵀ B", r"\operatorname{expm}(A)^\top B"),
        (a.t().expm_multiply(b).t(), "Bᵀ expm(A)", r"B^\top \operatorname{expm}(A)"),
        ((a + e).expm_multiply(-b), "−expm(A + E) B", r"-\operatorname{expm}(A + E) B"),
    ];
    for (var, unicode, latex) in cases {
        assert_eq!((var.to_string().as_str(), var.latex().as_str()), (unicode, latex));
    }
}

#[test]
fn what_is_the_same_is_one_expression() {
    let tape = Tape::new();
    let [a, e, f] = ["A", "E", "F"].map(|name| tape.input(name, (3, 3)));
    let [x, y, z] = ["x", "y", "z"].map(|name| tape.input(name, (1, 1)));
    let (b, k) = (tape.input("B", (3, 2)), tape.symmetric("K", 3));
    let (identity, zeros, row) = (tape.identity(3), tape.zeros((3, 3)), tape.input("r", (1, 4)));
    let cases = [
        (zeros.expm(), identity),
        (a.t().expm(), a.expm().t()),
        (k.expm().t(), k.expm()),
        (derivative(&[a, f, e]), derivative(&[a, e, f])),
        (derivative(&[a, identity]), a.expm()),
        (derivative(&[a, e, 3.0 * identity, f]), 3.0 * derivative(&[a, f, e])),
        (derivative(&[a.t(), identity, identity]), a.expm().t()),
        (derivative(&[a.t(), e.t()]), derivative(&[a, e]).t()),
        (derivative(&[a, x * e]), x * derivative(&[a, e])),
        (derivative(&[a, zeros]), zeros),
        (derivative(&[k, k]).t(), derivative(&[k, k])),
        (x.expm(), x.exp()),
        (derivative(&[x, y, z]), x.exp() * y * z),
        (zeros.expm_multiply(b), b),
        (a.expm_multiply(identity), a.expm()),
        (a.expm_multiply(2.0 * b), 2.0 * a.expm_multiply(b)),
        (x.expm_multiply(row), x.exp() * row),
    ];
    for (i, (left, right)) in cases.into_iter().enumerate() {
        assert!(left.same(right), "{i}: {left} and {right}");
    }
    let different = [(derivative(&[a.t(), e]), derivative(&[a, e])), (a.expm(), a.exp())];
    assert!(different.iter().all(|(left, right)| !left.same(*right)));
    assert_eq!(k.expm().structure(), Structure::Definite);
    assert_eq!(derivative(&[k, k]).structure(), Structure::Symmetric);
    assert_eq!(derivative(&[k, a]).structure(), Structure::General);
}

#[test]
fn every_misfit_is_told() {
    let tape = Tape::new();
    let (a, b, c) = (tape.input("A", (3, 3)), tape.input("B", (3, 2)), tape.input("C", (2, 3)));
    let cases = [
        (b.expm(), "expm", "expm(B)", "3×2 is not square"),
        (b.expm_multiply(c), "expm_multiply", "expm(B) C", "3×2 is not square"),
        (a.expm_multiply(c), "expm_multiply", "expm(A) C", "3×3 exponential times 2×3 do not conform"),
        (derivative(&[a, b]), "expm", "Dexpm(A)[B]", "the direction is 3×2 and the argument 3×3"),
        (derivative(&[b, b]), "expm", "Dexpm(B)[B]", "3×2 is not square"),
    ];
    for (var, op, formula, problem) in cases {
        match var.check().unwrap_err() {
            Error::Shape { op: found, formula: shown, problem: told, .. } => {
                assert_eq!((found, shown.as_str(), told.as_str()), (op, formula, problem));
            }
            error => panic!("{error}"),
        }
    }
    let too_few = tape.apply(Op::MatrixFunction { function: MatrixFunction::Exp, order: 1 }, &[a]);
    assert!(too_few.check().unwrap_err().to_string().contains("takes 2 operands, not 1"));
}
