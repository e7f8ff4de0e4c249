//! Eigenvalues and eigenvectors of general matrices, and projectors of symmetric ones: how they print, and mistakes.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use pullback_tape::{Error, Factor, Op, Shape, Structure, Tape};

#[test]
fn they_print_as_those_of_symmetric_matrices_do() {
    let tape = Tape::new();
    let (a, b) = (tape.input("A", (3, 3)), tape.input("B", (3, 3)));
    let (values, vectors) = (a * b).real_eigen();
    assert_eq!(values.to_string(), "λ(A B)");
    assert_eq!(vectors.to_string(), "V(A B)");
    assert_eq!((vectors.t() * values).to_string(), "V(A B)ᵀ λ(A B)");
    assert_eq!((values.shape(), vectors.shape()), (Shape::new(3, 1), Shape::new(3, 3)));
    // That of a transpose is another.
    assert!(!a.t().real_eigenvalues().same(a.real_eigenvalues()));
    assert_eq!(vectors.structure(), Structure::General);
}

#[test]
fn of_a_symmetric_matrix_they_are_its_own() {
    let tape = Tape::new();
    let (s, a) = (tape.symmetric("S", 3), tape.input("A", (3, 3)));
    for x in [s, a * a.t(), s + tape.identity(3)] {
        let (values, vectors) = x.real_eigen();
        assert!(values.same(x.eigenvalues()) && vectors.same(x.eigenvectors()));
    }
    let op = a.real_eigenvalues().node().unwrap().op;
    assert_eq!(op, Op::Factor(Factor::RealEigenvalues));
    assert_eq!(op.name(), "real eigenvalues");
}

#[test]
fn projectors_are_symmetric() {
    let tape = Tape::new();
    let s = tape.symmetric("S", 4);
    let p = s.eigenprojector(1..3);
    assert!(p.structure() >= Structure::Symmetric && p.t().same(p));
    assert_eq!(p.shape(), s.shape());
    assert!(s.eigenprojector(..).same(tape.identity(4)));
    assert!(s.eigenprojector(2..2).check().is_ok());
    let a = tape.input("A", (5, 3));
    let p = a.singular_projector(..2);
    assert!(p.structure() >= Structure::Symmetric);
    assert_eq!((p.shape(), a.t().singular_projector(..).shape()), (Shape::new(5, 5), Shape::new(3, 3)));
    assert!(a.singular_projector(2..4).check().is_err());
    assert!(tape.symmetric("E", 0).eigenprojector(..).check().is_ok());
}

#[test]
fn mistakes() {
    let tape = Tape::new();
    let (a, wide) = (tape.input("A", (3, 3)), tape.input("X", (2, 3)));
    for y in [wide.real_eigenvalues(), wide.real_eigenvectors(), wide.real_eigen().0] {
        let Err(Error::Shape { problem, shapes, location, .. }) = y.check() else { panic!("{y:?}") };
        assert_eq!((problem.as_str(), &shapes[..]), ("2×3 is not square", &[Shape::new(2, 3)][..]));
        assert_eq!(location.file(), file!());
    }
    assert!(matches!(a.eigenprojector(0..1).check(), Err(Error::NotSymmetric { .. })));
    let line = line!() + 1;
    let beyond = tape.symmetric("S", 3).eigenprojector(2..4).check();
    let Err(Error::Shape { location, .. }) = beyond else { panic!("{beyond:?}") };
    assert_eq!((location.file(), location.line()), (file!(), line));
}
