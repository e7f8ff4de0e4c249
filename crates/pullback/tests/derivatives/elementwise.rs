use crate::{Case, Dims, Domain, SHAPES};
use pullback::Function;
use pullback::prelude::*;

/// The function of a matrix that is itself computed, so that the chain rule is tested with it.
fn of<'t>(tape: &'t Tape, (m, _, n): Dims, f: impl Fn(Var<'t>) -> Var<'t>) -> (Var<'t>, Vec<Var<'t>>) {
    let a = tape.input("A", (m, n));
    (f(a), vec![a])
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
};

/// The table above is written by hand; here the list of functions itself is walked.
#[test]
fn every_function_differentiates() {
    for f in Function::all() {
        let tape = Tape::new();
        let a = tape.input("A", (3, 4));
        let at = pullback::faer::Mat::from_fn(3, 4, |i, j| 0.11 + 0.23 * i as f64 + 0.17 * j as f64);
        for report in check::derivatives(a.map(f), &[a], &[("A", at.as_ref())]).unwrap() {
            assert!(report.passes(), "{f:?}\n{report}");
        }
    }
}
