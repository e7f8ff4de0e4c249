//! The order of products: exact flop counts, and the same values.

#![allow(missing_docs, clippy::unwrap_used)]

use pullback::faer::MatRef;
use pullback::prelude::*;

/// The deep linear gradient, activations first: flops as written and in the best order.
fn flops(widths: &[usize], samples: usize) -> (u64, u64) {
    let tape = Tape::new();
    let x = tape.input("X", (widths[0], samples));
    let ws: Vec<_> =
        (1..widths.len()).map(|k| tape.input(&format!("W{k}"), (widths[k], widths[k - 1]))).collect();
    let y = tape.input("Y", (*widths.last().unwrap(), samples));
    let loss = losses::squared(ws.iter().fold(x, |h, &w| w * h), y);
    let count = |loss| {
        let mut outputs = vec![loss];
        outputs.extend(gradient(loss, &ws).unwrap());
        Program::<f64>::compile(&outputs).unwrap().product_flops()
    };
    (count(loss), count(optimize(&[loss], &ws).unwrap()[0]))
}

#[test]
fn deep_linear_networks_take_their_cheapest_order() {
    let (written, best) = flops(&[512, 64, 512, 32, 10], 512);
    assert_eq!((written as f64 / 1e5).round() / 10.0, 219.1);
    assert_eq!((best as f64 / 1e5).round() / 10.0, 15.4);
    let cases: [(&[usize], usize, f64); 5] = [
        (&[512, 64, 512, 32, 10], 512, 0.070),
        (&[1024, 16, 1024, 16, 1024], 512, 0.467),
        (&[784, 256, 64, 10], 6000, 0.037),
        (&[64; 7], 4096, 0.131),
        (&[64; 7], 64, 1.000),
    ];
    for (widths, samples, ratio) in cases {
        let (written, best) = flops(widths, samples);
        let found = best as f64 / written as f64;
        assert!((found - ratio).abs() < 5e-4, "{widths:?}, N = {samples}: {found:.4}, not {ratio}");
    }
}

#[test]
fn what_cannot_be_improved_stays_as_it_is() {
    let tape = Tape::new();
    let square = |name| tape.input(name, (8, 8));
    let (a, b, c, x) = (square("A"), square("B"), square("C"), tape.input("x", (8, 1)));
    for loss in [a.trace(), (a * (b * (c * x))).norm_squared(), a.tanh().sum()] {
        assert!(optimize(&[loss], &[a, b]).unwrap()[0].same(loss), "{loss}");
    }
}

#[test]
fn what_is_used_elsewhere_named_or_asked_for_is_not_taken_apart() {
    let tape = Tape::new();
    let (a, b, x) = (tape.input("A", (9, 9)), tape.input("B", (9, 9)), tape.input("x", (9, 1)));
    let shared = a * b;
    let loss = (shared * x).norm_squared() + shared.trace();
    assert!(optimize(&[loss], &[a]).unwrap()[0].same(loss));
    let named = (b * a).named("M");
    let loss = (named * x).norm_squared();
    assert!(optimize(&[loss], &[a]).unwrap()[0].same(loss));
    let asked = a.t() * b;
    let loss = (asked * x).norm_squared();
    let cheap = optimize(&[loss], &[asked]).unwrap()[0];
    assert_eq!(gradient(cheap, &[asked]).unwrap()[0].to_string(), "2 Aᵀ B x xᵀ");
    // Asked for in the factors only, it is.
    assert!(!optimize(&[loss], &[a]).unwrap()[0].same(loss));
}

/// Values, gradients and second order of expressions in which chains are nested, shared and transposed.
#[test]
fn the_order_changes_nothing_but_rounding() {
    type Build = for<'t> fn(Var<'t>, Var<'t>, Var<'t>, Var<'t>) -> Var<'t>;
    let cases: &[Build] = &[
        |a, b, c, u| (a * b * c * u).norm_squared(),
        |a, b, c, u| ((a * b * c).t() * a * u.repeat_cols(1).t().t()).tanh().sum() + 0.0 * b.sum(),
        |a, b, c, u| ((a * b).tanh() * c * u).exp().sum() + (a * b * c).trace(),
        |a, b, c, u| u.t() * (b * c).t() * (a.t() * u) * (u.t() * b * c * a * u),
        |a, b, c, u| (2.0 * (a * b) * (c.t() * b.t() * u)).norm() + (a * (b * (c * (a * u)))).sum(),
    ];
    for build in cases {
        let tape = Tape::new();
        let square = |name| tape.input(name, (5, 5));
        let (a, b, c, u) = (square("A"), square("B"), square("C"), tape.input("u", (5, 1)));
        let loss = build(a, b, c, u);
        let cheap = optimize(&[loss], &[a, u]).unwrap()[0];
        let values = [("A", 5, 1), ("B", 5, 2), ("C", 5, 3), ("u", 1, 4)]
            .map(|(name, cols, seed)| (name, check::random::<f64>(5, cols, seed)));
        let all = |loss| -> Vec<_> {
            let mut outputs = vec![loss];
            outputs.extend(gradient(loss, &[a, u]).unwrap());
            outputs.extend(hvp(loss, &[(a, b), (u, u)]).unwrap());
            let bound: Vec<(&str, MatRef<'_, f64>)> =
                values.iter().map(|(name, m)| (*name, m.as_ref())).collect();
            evaluate(&outputs, &bound).unwrap()
        };
        for (written, best) in all(loss).iter().zip(all(cheap)) {
            let error = (written - &best).norm_max() / written.norm_max().max(1.0);
            assert!(error < 1e-11, "{loss}: {error:e}");
        }
    }
}
