//! Matrix equations, for which faer has no kernels.

use super::{Op, conditioned, uniform};
use pullback::Structure;

pub(super) const OPS: &[Op] = &[
    Op {
        formula: "A X + X B = Q",
        name: "sylvester",
        sizes: &[32, 128],
        structure: Structure::General,
        inputs: |n, random| vec![conditioned(n, random), conditioned(n, random), uniform(n, n, random)],
        record: |x| x[0].sylvester(x[1], x[2]),
        by_hand: None,
    },
    Op {
        formula: "A X + X Aᵀ = Q",
        name: "lyapunov",
        sizes: &[32, 128],
        structure: Structure::General,
        inputs: |n, random| vec![conditioned(n, random), uniform(n, n, random)],
        record: |x| x[0].lyapunov(x[1]),
        by_hand: None,
    },
    Op {
        formula: "X − A X B = Q",
        name: "stein",
        sizes: &[32, 128],
        structure: Structure::General,
        inputs: |n, random| {
            let mut half = || {
                let a = conditioned(n, random);
                0.4 * a
            };
            vec![half(), half(), uniform(n, n, random)]
        },
        record: |x| x[0].stein(x[1], x[2]),
        by_hand: None,
    },
];
