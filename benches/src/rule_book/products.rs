//! Products.

use super::{ByHand, Op, inner, nothing, one, two};
use crate::hand::{mirror, product, scaled_product};
use pullback::Structure;
use pullback::faer::linalg::matmul::triangular::{self, BlockStructure};
use pullback::faer::{Accum, Par};

pub(super) const OPS: &[Op] = &[
    Op {
        formula: "A B",
        name: "product",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: two,
        record: |x| x[0] * x[1],
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| product(&mut work.y, x[0].as_ref(), x[1].as_ref()),
            gradient: |x, c, work| {
                let [a_bar, b_bar] = &mut work.gradients[..] else { return f64::NAN };
                product(a_bar, c.as_ref(), x[1].transpose());
                product(b_bar, x[0].transpose(), c.as_ref());
                inner(a_bar.as_ref(), x[0].as_ref())
            },
            transposed: false,
        }),
    },
    Op {
        formula: "AᵀA",
        name: "gram",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: one,
        record: |x| x[0].t() * x[0],
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                let all = BlockStructure::Rectangular;
                let lower = BlockStructure::TriangularLower;
                let (a, y) = (x[0].as_ref(), work.y.as_mut());
                triangular::matmul(y, lower, Accum::Replace, a.transpose(), all, a, all, 1.0, Par::Seq);
                mirror(&mut work.y);
            },
            gradient: |x, c, work| {
                let a_bar = &mut work.gradients[0];
                scaled_product(a_bar, Accum::Replace, x[0].as_ref(), c.as_ref(), 2.0);
                0.5 * inner(a_bar.as_ref(), x[0].as_ref())
            },
            transposed: false,
        }),
    },
];
