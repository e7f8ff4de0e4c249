//! From a matrix to a row or a number.

use super::{ByHand, Op, each_column, nothing, one};
use pullback::Structure;

pub(super) const OPS: &[Op] = &[
    Op {
        formula: "log Σᵢ exp Aᵢⱼ",
        name: "log_sum_exp",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: one,
        record: |x| x[0].log_sum_exp(),
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                for j in 0..x[0].ncols() {
                    let column = x[0].col_as_slice(j);
                    let max = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    work.y[(0, j)] = max + column.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
                }
            },
            gradient: |x, c, work| {
                let (mut loss, mut j) = (0.0, 0);
                each_column(&mut work.gradients[0], [x[0].as_ref()], |a_bar, [column]| {
                    let max = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let mut sum = 0.0;
                    for (a_bar, x) in a_bar.iter_mut().zip(column) {
                        *a_bar = (x - max).exp();
                        sum += *a_bar;
                    }
                    let c = c[(0, j)];
                    j += 1;
                    a_bar.iter_mut().for_each(|a_bar| *a_bar *= c / sum);
                    loss += c * (max + sum.ln());
                });
                loss
            },
            transposed: false,
        }),
    },
    Op {
        formula: "maxᵢ Aᵢⱼ",
        name: "col_maxima",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: one,
        record: |x| x[0].col_maxima(),
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                for j in 0..x[0].ncols() {
                    let column = x[0].col_as_slice(j);
                    work.y[(0, j)] =
                        column.iter().fold(f64::NEG_INFINITY, |max, &x| if x > max { x } else { max });
                }
            },
            gradient: |x, c, work| {
                let mut loss = 0.0;
                for j in 0..c.ncols() {
                    let (column, a_bar) = (x[0].col_as_slice(j), work.gradients[0].col_as_slice_mut(j));
                    let max = column.iter().fold(f64::NEG_INFINITY, |max, &x| if x > max { x } else { max });
                    a_bar.fill(0.0);
                    if let Some(i) = column.iter().position(|&x| x == max) {
                        a_bar[i] = c[(0, j)];
                    }
                    loss += c[(0, j)] * max;
                }
                loss
            },
            transposed: false,
        }),
    },
    Op {
        formula: "‖A‖",
        name: "norm",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: one,
        record: |x| x[0].norm(),
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| work.y[(0, 0)] = x[0].norm_l2(),
            gradient: |x, c, work| {
                let norm = x[0].norm_l2();
                let scale = c[(0, 0)] / norm;
                each_column(&mut work.gradients[0], [x[0].as_ref()], |a_bar, [a]| {
                    a_bar.iter_mut().zip(a).for_each(|(a_bar, a)| *a_bar = scale * a);
                });
                c[(0, 0)] * norm
            },
            transposed: false,
        }),
    },
];
