//! An opaque function has its derivatives by name. Here it is defined as `Σ wᵢⱼ³`, and then its values and
//! derivatives of every order must be those of the same loss written out, which the other cases test.

use pullback::Definition;
use pullback::faer::{Mat, MatRef, unzip, zip};
use pullback::prelude::*;

/// The orders that the test below reaches, for the list of ops.
pub(crate) const ORDERS: [&str; 3] = ["function of order 0", "function of order 1", "function of order 2"];

fn cubes() -> Definition<f64> {
    Definition::new(|w: MatRef<'_, f64>| {
        let mut sum = 0.0;
        zip!(w).for_each(|unzip!(w)| sum += w * w * w);
        sum
    })
    .gradient(|w, out| zip!(out, w).for_each(|unzip!(out, w)| *out = 3.0 * w * w))
    .hessian_product(|w, v, out| zip!(out, w, v).for_each(|unzip!(out, w, v)| *out = 6.0 * w * v))
}

#[test]
fn an_opaque_function_is_what_it_is_defined_as() {
    for (m, k, n) in [(3, 2, 4), (1, 1, 1), (2, 0, 3), (0, 2, 2)] {
        let tape = Tape::new();
        let (a, b) = (tape.input("A", (m, k)), tape.input("B", (k, n)));
        let w = a * b;
        let outputs = |loss: Var<'_>| -> Vec<Mat<f64>> {
            let tape = loss.tape();
            let (a, b) = (tape.input("A", (m, k)), tape.input("B", (k, n)));
            let (u, v) = (tape.input("U", (m, k)), tape.input("V", (k, n)));
            let mut wanted = vec![loss, jvp(loss, &[(a, u), (b, v)]).unwrap()];
            wanted.extend(gradient(loss, &[a, b]).unwrap());
            wanted.extend(hvp(loss, &[(a, u), (b, v)]).unwrap());
            let mut program = Program::compile(&wanted).unwrap();
            // Where W is empty, nothing of the function is left in its derivatives.
            let _ = program.define("L", cubes());
            let at = [("A", m, k), ("B", k, n), ("U", m, k), ("V", k, n)];
            let at = at.map(|(name, rows, cols)| (name, check::random(rows, cols, rows as u64 + 10)));
            let bound: Vec<_> = at.iter().map(|(name, matrix)| (*name, matrix.as_ref())).collect();
            program.run(&bound).unwrap().iter().map(|matrix| matrix.to_owned()).collect()
        };
        let opaque = outputs(tape.function("L", w));
        let written = outputs(w.powf(3.0).sum());
        for (opaque, written) in opaque.iter().zip(&written) {
            assert!((opaque - written).norm_max() <= 1e-13, "{m} {k} {n}: {opaque:?} {written:?}");
        }
    }
}

/// The symmetric second derivative is its own adjoint, and the third is asked for by name.
#[test]
fn the_third_derivative_has_a_name() {
    let tape = Tape::new();
    let (w, u, v) = (tape.input("W", (2, 2)), tape.input("U", (2, 2)), tape.input("V", (2, 2)));
    let loss = tape.function("L", w);
    let hessian_u = hvp(loss, &[(w, u)]).unwrap()[0];
    assert_eq!(hessian_u.to_string(), "∇²L(W)[U]");
    assert_eq!(gradient(hessian_u.inner(v), &[u]).unwrap()[0].to_string(), "∇²L(W)[V]");
    assert_eq!(gradient(hessian_u.inner(v), &[w]).unwrap()[0].to_string(), "∇³L(W)[U, V]");
}
