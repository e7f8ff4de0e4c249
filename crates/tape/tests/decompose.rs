//! How factors of decompositions print, and what a mistake with them says.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pullback_tape::{Error, Factor, Op, Shape, Spectral, Tape};

#[test]
fn factors_print_by_their_names() {
    let tape = Tape::new();
    let (a, s, k) = (tape.input("A", (4, 3)), tape.input("S", (3, 3)), tape.symmetric("K", 3));
    let (x, y) = (tape.input("X", (3, 2)), tape.input("Y", (4, 2)));
    let (u, sigma, v) = a.svd();
    let (q, r) = a.qr();
    let (p, lower, upper) = s.lu();
    let (l, d) = k.ldl();
    let beside = |op| tape.apply(Op::Spectral(op), &[sigma, s]);
    let cases = [
        (u * sigma.exp().diag() * v.t(), "svd.U(A) Diag(exp(sv(A))) svd.V(A)ᵀ"),
        (a.nuclear_norm(), "sum(abs(sv(A)))"),
        (a.schatten_norm(2.0), "‖A‖"),
        (q * r, "Q(A) R(A)"),
        (r.solve_upper(x), "R(A)⁻¹ X"),
        (r.t().solve_lower(x), "R(A)⁻ᵀ X"),
        (r.solve_lower(x), "tril(R(A))⁻¹ X"),
        (a.least_squares(y), "A⁺ Y"),
        (a.t().least_squares(x), "(A⁺)ᵀ X"),
        (a.polar().0, "polar(A)"),
        (a.pseudo_inverse() * y, "A⁺ Y"),
        (a.pseudo_inverse().t() * x, "(A⁺)ᵀ X"),
        (upper.solve_upper(lower.solve_unit_lower(p * x)), "lu.U(S)⁻¹ lu.L(S)⁻¹ lu.P(S) X"),
        (l.solve_unit_lower(x), "ldl.L(K)⁻¹ X"),
        (l * d.diag() * l.t(), "ldl.L(K) Diag(ldl.d(K)) ldl.L(K)ᵀ"),
        (beside(Spectral::SkewSums), "skew(S) ⊘ Σ(sv(A))"),
        (beside(Spectral::Columns), "S Diag(sv(A))⁻¹"),
        (beside(Spectral::Columns).t() * x, "Diag(sv(A))⁻¹ Sᵀ X"),
        (tape.apply(Op::Spectral(Spectral::Distinct), &[sigma, tape.ones((3, 1))]), "sv(A)"),
        (tape.apply(Op::Spectral(Spectral::Positive), &[sigma, tape.ones((3, 1))]).t(), "sv(A)ᵀ"),
    ];
    for (var, wanted) in cases {
        assert_eq!(var.check().unwrap().to_string(), wanted);
    }
}

#[test]
fn factors_have_their_shapes() {
    let tape = Tape::new();
    for (m, n) in [(4, 3), (3, 4), (2, 2), (1, 1), (0, 3), (3, 0), (0, 0)] {
        let a = tape.input(&format!("A{m}{n}"), (m, n));
        let (k, shape) = (m.min(n), |rows, cols| Shape::new(rows, cols));
        let (u, s, v) = a.svd();
        assert_eq!((u.shape(), s.shape(), v.shape()), (shape(m, k), shape(k, 1), shape(n, k)));
        let (q, r) = a.qr();
        assert_eq!((q.shape(), r.shape()), (shape(m, k), shape(k, n)));
        assert_eq!(a.pseudo_inverse().shape(), shape(n, m));
        for norm in [a.nuclear_norm(), a.spectral_norm(), a.schatten_norm(3.0)] {
            assert!(norm.check().is_ok() && norm.shape().is_scalar());
        }
    }
}

#[test]
fn what_has_no_factors_is_told() {
    let tape = Tape::new();
    let (a, wide, s) = (tape.input("A", (4, 3)), tape.input("W", (3, 4)), tape.input("S", (3, 3)));
    let sigma = tape.input("s", (2, 1));
    let cases = [
        (a.lu().0, "permutation of LU", "lu.P(A)", "4×3 is not square"),
        (a.lu().1, "L of LU", "lu.L(A)", "4×3 is not square"),
        (a.lu().2, "U of LU", "lu.U(A)", "4×3 is not square"),
        (a.ldl().0, "L of LDL", "ldl.L(A)", "4×3 is not square"),
        (a.ldl().1, "d of LDL", "ldl.d(A)", "4×3 is not square"),
        (
            tape.apply(Op::Factor(Factor::Orthonormal), &[wide]),
            "Q of QR",
            "Q(W)",
            "3×4 has more columns than rows",
        ),
        (
            tape.apply(Op::Factor(Factor::Triangular), &[wide]),
            "R of QR",
            "R(W)",
            "3×4 has more columns than rows",
        ),
        (
            tape.apply(Op::Spectral(Spectral::Columns), &[sigma, a]),
            "columns over a spectrum",
            "A Diag(s)⁻¹",
            "beside 2 values there is a 4×2, not a 4×3",
        ),
        (a.least_squares(s), "least_squares", "A⁺ S", "4×3 fitted to 3×3 do not conform"),
    ];
    for (var, wanted_op, wanted_formula, wanted) in cases {
        match var.check().unwrap_err() {
            Error::Shape { op, formula, problem, .. } => {
                assert_eq!((op, formula.as_str(), problem.as_str()), (wanted_op, wanted_formula, wanted));
            }
            error => panic!("{error}"),
        }
    }
    for factor in [s.ldl().0, s.ldl().1] {
        let error = factor.check().unwrap_err();
        assert!(matches!(&error, Error::NotSymmetric { operand, .. } if operand == "S"), "{error}");
    }
}

#[test]
fn what_singular_vectors_rebuild_is_recognized() {
    let tape = Tape::new();
    for shape in [(5, 3), (3, 5), (4, 4)] {
        let a = tape.input(&format!("A{}{}", shape.0, shape.1), shape);
        let b = tape.input(&format!("B{}{}", shape.0, shape.1), shape);
        let (u, s, v) = a.svd();
        for rebuilt in [u * s.diag() * v.t(), u * (s.diag() * v.t()), u.mul_row(s.t()) * v.t()] {
            assert!(rebuilt.same(a), "{rebuilt}");
        }
        assert!((v * s.diag() * u.t()).same(a.t()));
        assert!((u * v.t()).same(a.polar().0) && (v * u.t()).same(a.polar().0.t()));
        // Neither another matrix, nor another function.
        assert!(!(u * s.diag() * b.svd().2.t()).same(a));
        assert_eq!((u * s.exp().diag() * v.t()).shape(), shape.into());
        assert!((u * s.exp().diag() * v.t()).to_string().contains("exp"));
    }
}
