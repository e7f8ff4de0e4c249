use crate::{Case, Dims, Domain, SHAPES};
use pullback::Function;
use pullback::prelude::*;

/// The function of a matrix that is itself computed, so that the chain rule is tested with it.
fn of<'t>(tape: &'t Tape, (m, _, n): Dims, f: impl Fn(Var<'t>) -> Var<'t>) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, n));
    (f(a), vec![a])
}

/// The same with two matrices of one shape, the second of which is computed too.
fn of_two<'t>(
    tape: &'t Tape,
    (m, _, n): Dims,
    f: impl Fn(Var<'t>, Var<'t>) -> Var<'t>,
) -> (Var<'t>, Vec<Var<'t>>) {
    let (a, b) = (tape.input("A", (m, n)), tape.input("B", (m, n)));
    (f(a, 1.5 * b), vec![a, b])
}

macro_rules! cases {
    ($($domain:ident $method:ident;)*) => {
        &[$(Case {
            name: stringify!($method),
            domain: Domain::$domain,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| a.$method()),
        },)*
        Case {
            name: "powf",
            domain: Domain::Positive,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| a.powf(2.5) + a.powf(-0.5) + a.powf(3.0)),
        },
        Case {
            name: "powi",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| a.powi(3) - a.powi(4)),
        },
        Case {
            name: "asin, acos, atanh",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| (0.8 * a).asin() - (0.7 * a).acos().square() + (0.6 * a).atanh()),
        },
        Case {
            name: "acosh",
            domain: Domain::Positive,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| (a + 1.0).acosh()),
        },
        Case {
            name: "polygamma",
            domain: Domain::Positive,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| a.polygamma(1) + 0.1 * a.polygamma(2)),
        },
        Case {
            name: "polygamma of negative numbers",
            domain: Domain::Positive,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| (-0.5 - 0.2 * a).digamma() + (-1.5 - 0.2 * a).ln_gamma()),
        },
        Case {
            name: "max",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of_two(t, d, |a, b| a.max(b)),
        },
        Case {
            name: "min",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of_two(t, d, |a, b| a.min(b).exp()),
        },
        Case {
            name: "atan2",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of_two(t, d, |a, b| a.atan2(b)),
        },
        Case {
            name: "hypot",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of_two(t, d, |a, b| a.hypot(b)),
        },
        Case {
            name: "less",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of_two(t, d, |a, b| a.less(b).hadamard(a)),
        },
        Case {
            name: "keep",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of_two(t, d, |a, b| a.keep(b).sin()),
        },
        Case {
            name: "select",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of_two(t, d, |a, b| a.square().select(a.less(b), b.exp())),
        },
        Case {
            name: "clamp",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| a.clamp(-0.517, 0.513).square()),
        },
        Case {
            name: "inside",
            domain: Domain::Any,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| a.inside(-0.01, 2.0).hadamard(a.exp())),
        },
        Case {
            name: "chain",
            domain: Domain::Positive,
            shapes: SHAPES,
            build: |t, d| of(t, d, |a| {
                let once = (a.ln().sin() + 2.0).sqrt().recip();
                (1.5 * once).tanh().hadamard((0.3 * a).exp()).quotient(a.softplus()) - a.sigmoid()
            }),
        }]
    };
}

pub(crate) const CASES: &[Case] = cases! {
    Any exp;
    Positive ln;
    Positive ln_1p;
    Positive sqrt;
    Any square;
    Positive recip;
    Positive pseudo_recip;
    Any abs;
    Any sign;
    Any tanh;
    Any sigmoid;
    Any softplus;
    Any sin;
    Any cos;
    Any relu;
    Any step;
    Any log_cosh;
    Any exp_m1;
    Positive log2;
    Positive log10;
    Positive cbrt;
    Any tan;
    Any atan;
    Any sinh;
    Any cosh;
    Any asinh;
    Any erf;
    Any erfc;
    Positive ln_gamma;
    Positive digamma;
    Any silu;
    Any gelu;
};

/// The table above is written by hand; here the list of functions itself is walked.
#[test]
fn every_function_differentiates() {
    for f in Function::all() {
        let tape = Tape::new();
        let a = tape.input("A", (3, 4));
        // Some end at 1, and one begins there.
        let start = if f == Function::Acosh { 1.11 } else { 0.11 };
        let at = pullback::faer::Mat::from_fn(3, 4, |i, j| start + 0.19 * i as f64 + 0.13 * j as f64);
        for report in check::derivatives(a.map(f), &[a], &[("A", at.as_ref())]).unwrap() {
            assert!(report.passes(), "{f:?}\n{report}");
        }
    }
}
