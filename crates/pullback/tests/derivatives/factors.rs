use crate::{Case, Dims, Domain, SHAPES, SQUARE};
use pullback::prelude::*;
use pullback_tape::{Factor, Op, Spectral};

fn symmetric<'t>(tape: &'t Tape, (m, _, _): Dims, f: impl Fn(Var<'t>) -> Var<'t>) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.symmetric("A", m);
    (f(a), vec![a])
}

/// Numbers as far apart as the positions are.
fn positions(tape: &Tape, m: usize) -> Var<'_> {
    3.0 * tape.ones((m, 1)).cumulative_sums()
}

/// A function of a matrix whose eigenvalues are real, by Gershgorin's discs, and that is not symmetric.
fn apart<'t>(tape: &'t Tape, (m, _, _): Dims, f: impl Fn(Var<'t>) -> Var<'t>) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, m));
    // Small eigenvalues, so that their rounding errors do not hide how little they bend.
    let middle = 0.6 * (m as f64 + 1.0) * tape.identity(m);
    (f(0.4 * positions(tape, m).diag() - middle + 0.2 * a), vec![a])
}

const fn case(name: &'static str, build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>)) -> Case {
    Case { name, domain: Domain::Any, shapes: SQUARE, build }
}

/// Of a square matrix with a heavy diagonal.
const fn square(name: &'static str, build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>)) -> Case {
    Case { name, domain: Domain::Invertible, shapes: SQUARE, build }
}

/// Of an m×n matrix.
const fn any(name: &'static str, build: for<'t> fn(&'t Tape, Dims) -> (Var<'t>, Vec<Var<'t>>)) -> Case {
    Case { name, domain: Domain::Any, shapes: SHAPES, build }
}

fn rectangular<'t>(
    tape: &'t Tape,
    (m, _, n): Dims,
    f: impl Fn(Var<'t>) -> Var<'t>,
) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, n));
    (f(a), vec![a])
}

pub(crate) const CASES: &[Case] = &[
    case("eigenvalues", |t, d| symmetric(t, d, |a| a.eigenvalues())),
    case("eigenvectors", |t, d| symmetric(t, d, |a| a.eigenvectors())),
    case("eigenvalues and eigenvectors", |t, d| {
        symmetric(t, d, |a| {
            let (values, vectors) = a.eigen();
            vectors * values.exp().diag() * vectors.t() + a
        })
    }),
    case("a function of a symmetric matrix", |t, d| symmetric(t, d, |a| a.symmetric_function(|x| x.exp()))),
    case("functions of symmetric matrices", |t, d| {
        symmetric(t, d, |a| {
            let b = a.symmetric_function(|x| (x.square() + 1.0).ln().sin() - x.tanh());
            b * (a * b).symmetrize().symmetric_function(|x| x.sigmoid())
        })
    }),
    case("derivatives of a function of a symmetric matrix", |t, (m, _, _)| {
        let (a, b, c) = (t.symmetric("A", m), t.input("B", (m, m)), t.input("C", (m, m)));
        let along = |y, e| jvp(y, &[(a, e)]).unwrap();
        let f = a.symmetric_function(|x| x.exp());
        (along(along(f, b.symmetrize()), c.symmetrize()) + along(f, c), vec![a, b, c])
    }),
    case("a spectral product", |t, d| {
        symmetric(t, d, |a| {
            let (values, vectors) = a.eigen();
            vectors * (values.tanh() + 2.0 * values.square()).diag() * vectors.t()
        })
    }),
    case("an eigenprojector", |t, d| {
        symmetric(t, d, |a| a.eigenprojector(a.rows() / 3..a.rows() - a.rows() / 2))
    }),
    case("real eigenvalues", |t, d| apart(t, d, |a| a.real_eigenvalues())),
    case("clustered eigenvalues", |t, d| {
        apart(t, d, |a| t.apply(Op::Factor(Factor::ClusteredEigenvalues), &[a]))
    }),
    case("real eigenvectors", |t, d| apart(t, d, |a| a.real_eigenvectors())),
    case("real eigenvalues and eigenvectors", |t, d| {
        apart(t, d, |a| {
            let (values, vectors) = a.t().real_eigen();
            vectors * values.sin().diag() * vectors.inv() + 0.1 * a
        })
    }),
    case("real eigenvalues and eigenvectors of similar matrices", |t, (m, _, _)| {
        let (x, s) = (t.input("X", (m, m)), t.input("s", (m, 1)));
        let x1 = t.identity(m) + 0.15 * x;
        let (values, vectors) = (x1 * (positions(t, m) + s).diag() * x1.inv()).real_eigen();
        (vectors * values + vectors.row_sums(), vec![x, s])
    }),
    case("gaps", |t, (m, _, _)| {
        let (spectrum, b) = (t.input("s", (m, 1)), t.input("B", (m, m)));
        let spectrum_apart = positions(t, m) + spectrum;
        let beside = |op| t.apply(Op::Spectral(op), &[spectrum_apart, b]);
        let y = beside(Spectral::Gaps) + beside(Spectral::SymmetricGaps) + beside(Spectral::SkewGaps);
        let y = y + beside(Spectral::SkewSums) + beside(Spectral::Columns);
        let diagonal = beside(Spectral::Diagonal) - 0.5 * beside(Spectral::GeneralDiagonal);
        let checked = |op| t.apply(Op::Spectral(op), &[spectrum_apart, b.row_sums()]);
        let diagonal = diagonal + checked(Spectral::Distinct) + checked(Spectral::Positive).square();
        (y + t.apply(Op::Spectral(Spectral::Diag), &[spectrum_apart, diagonal]), vec![spectrum, b])
    }),
    any("singular values", |t, d| rectangular(t, d, |a| a.singular_values())),
    any("left singular vectors", |t, d| rectangular(t, d, |a| a.left_vectors())),
    any("right singular vectors", |t, d| rectangular(t, d, |a| a.right_vectors())),
    any("singular values and vectors", |t, d| {
        rectangular(t, d, |a| {
            let (u, s, v) = a.svd();
            u * s.tanh().diag() * v.t() + a
        })
    }),
    Case {
        name: "pseudo-inverse",
        domain: Domain::Invertible,
        shapes: SHAPES,
        build: |t, d| rectangular(t, d, |a| a.pseudo_inverse()),
    },
    Case {
        name: "polar factor",
        domain: Domain::Invertible,
        shapes: SHAPES,
        build: |t, d| rectangular(t, d, |a| a.polar().0),
    },
    any("norms of singular values", |t, d| {
        rectangular(t, d, |a| {
            a.nuclear_norm() + a.spectral_norm() + a.schatten_norm(3.0).square() + a.schatten_norm(1.5)
        })
    }),
    any("QR", |t, d| {
        rectangular(t, d, |a| {
            let (q, r) = a.qr();
            q * r.sin() + a
        })
    }),
    any("Q of QR", |t, (m, k, _)| {
        let a = t.input("A", (m.max(k), m.min(k)));
        (a.qr().0, vec![a])
    }),
    any("R of QR", |t, (m, k, _)| {
        let a = t.input("A", (m.max(k), m.min(k)));
        (a.qr().1, vec![a])
    }),
    Case {
        name: "least squares",
        domain: Domain::Invertible,
        shapes: SHAPES,
        build: |t, (m, k, n)| {
            let (a, b) = (t.input("A", (m, k)), t.input("B", (m, n)));
            (a.least_squares(b), vec![a, b])
        },
    },
    square("LU", |t, (m, _, _)| {
        let a = t.input("A", (m, m));
        let (p, l, u) = a.lu();
        (p.t() * l.tanh() * u.sin(), vec![a])
    }),
    square("LDL", |t, d| {
        symmetric(t, d, |a| {
            let (l, d) = a.ldl();
            l.sin() * d.sin().diag() * l.t() + a
        })
    }),
];
