//! Functions of every entry.

use super::{ByHand, Op, each_column, inner, nothing, one};
use pullback::Structure;
use pullback::faer::Mat;

pub(super) const OPS: &[Op] = &[
    Op {
        formula: "tanh A",
        name: "tanh",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: one,
        record: |x| x[0].tanh(),
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                each_column(&mut work.y, [x[0].as_ref()], |y, [a]| {
                    y.iter_mut().zip(a).for_each(|(y, a)| *y = a.tanh());
                });
            },
            gradient: |x, c, work| {
                let mut loss = 0.0;
                each_column(&mut work.gradients[0], [x[0].as_ref(), c.as_ref()], |a_bar, [a, c]| {
                    for ((a_bar, a), c) in a_bar.iter_mut().zip(a).zip(c) {
                        let y = a.tanh();
                        loss += c * y;
                        *a_bar = c * (1.0 - y * y);
                    }
                });
                loss
            },
            transposed: false,
        }),
    },
    Op {
        formula: "A ⊘ B",
        name: "quotient",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: |n, random| {
            vec![super::uniform(n, n, random), Mat::from_fn(n, n, |_, _| 2.0 + random.uniform())]
        },
        record: |x| x[0].quotient(x[1]),
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                each_column(&mut work.y, [x[0].as_ref(), x[1].as_ref()], |y, [a, b]| {
                    y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = a / b);
                });
            },
            gradient: |x, c, work| {
                let [a_bar, b_bar] = &mut work.gradients[..] else { return f64::NAN };
                let sources = [x[0].as_ref(), x[1].as_ref(), c.as_ref()];
                let mut j = 0;
                each_column(a_bar, sources, |a_bar, [a, b, c]| {
                    let b_bar = b_bar.col_as_slice_mut(j);
                    j += 1;
                    for ((((a_bar, b_bar), a), b), c) in a_bar.iter_mut().zip(b_bar).zip(a).zip(b).zip(c) {
                        let quotient = c / b;
                        *a_bar = quotient;
                        *b_bar = -quotient * a / b;
                    }
                });
                inner(a_bar.as_ref(), x[0].as_ref())
            },
            transposed: false,
        }),
    },
];
