//! Losses with exponentials of matrices: the formulas of their gradients, and their third derivatives.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback::faer::{Mat, MatRef};
use pullback::prelude::*;
use pullback::{check, hvp};

/// The acyclicity of a weighted graph, and its gradient. (Zheng, Aragam, Ravikumar and Xing, *DAGs with NO TEARS*, 2018)
#[test]
fn acyclicity_of_a_graph() {
    let tape = Tape::new();
    let w = tape.input("W", (4, 4));
    let loss = w.square().expm().trace() - 4.0;
    assert_eq!(loss.to_string(), "tr(expm(W∘²)) − 4");
    let gradient = gradient(loss, &[w]).unwrap()[0];
    assert_eq!(gradient.to_string(), "2 W ∘ expm(W∘²)ᵀ");
    // Without a cycle, it is 0.
    let acyclic = Mat::from_fn(4, 4, |i, j| if i < j { 1.0 + i as f64 - 2.0 * j as f64 } else { 0.0 });
    let mut program = Program::compile(&[loss, gradient]).unwrap();
    let results = program.run(&[("W", acyclic.as_ref())]).unwrap();
    assert!(results.iter().all(|result| result.norm_max() < 1e-11));
}

#[test]
fn gradients_are_derivatives_at_the_transpose() {
    let tape = Tape::new();
    let [a, c, v] = ["A", "C", "V"].map(|name| tape.input(name, (3, 3)));
    let (x, y) = (tape.input("x", (3, 1)), tape.input("y", (3, 1)));
    let of = |loss: Var<'_>, x: Var<'_>| gradient(loss, &[x]).unwrap()[0].to_string();
    let cases = [
        (of(a.expm().trace(), a), "expm(A)ᵀ"),
        (of(c.inner(a.expm()), a), "Dexpm(Aᵀ)[C]"),
        (of(c.inner(a.expm_multiply(v)), v), "expm(A)ᵀ C"),
        (of(y.inner(a.expm_multiply(x)), a), "Dexpm(Aᵀ)[y xᵀ]"),
    ];
    for (got, wanted) in cases {
        assert_eq!(got, wanted);
    }
    let tangent = pullback::jvp(a.expm(), &[(a, v)]).unwrap();
    assert_eq!(tangent.to_string(), "Dexpm(A)[V]");
    assert_eq!(of(c.inner(tangent), v), "Dexpm(Aᵀ)[C]");
    assert_eq!(hvp(c.inner(a.expm()), &[(a, v)]).unwrap()[0].to_string(), "D²expm(Aᵀ)[C, Vᵀ]");
}

/// The derivative of a Hessian's product with a vector is tested like any other gradient.
#[test]
fn third_derivatives() {
    let tape = Tape::new();
    let [a, b, v] = ["A", "B", "V"].map(|name| tape.input(name, (3, 3)));
    let loss = (a.expm() * b.expm_multiply(a)).norm_squared();
    let products = hvp(loss, &[(a, v), (b, v)]).unwrap();
    let matrices = [1, 2, 3].map(|seed| check::random::<f64>(3, 3, seed));
    let at: Vec<(&str, MatRef<'_, f64>)> =
        ["A", "B", "V"].into_iter().zip(&matrices).map(|(name, matrix)| (name, matrix.as_ref())).collect();
    for product in products {
        for x in [a, b] {
            let third = check::taylor(product.inner(v), x, &at).unwrap();
            assert!(third.passes(), "{third}");
        }
    }
}
