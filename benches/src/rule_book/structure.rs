//! Parts of matrices, and matrices put together from parts.

use super::{ByHand, Op, inner, nothing, two, uniform};
use crate::hand::release_registers;
use pullback::Structure;

pub(super) const OPS: &[Op] = &[
    Op {
        formula: "A[n/4..3n/4, n/4..3n/4]",
        name: "slice",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: super::one,
        record: |x| {
            let n = x[0].rows();
            x[0].slice(n / 4..n / 4 * 3, n / 4..n / 4 * 3)
        },
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                let start = x[0].nrows() / 4;
                for j in 0..work.y.ncols() {
                    let to = work.y.col_as_slice_mut(j);
                    to.copy_from_slice(&x[0].col_as_slice(start + j)[start..start + to.len()]);
                }
            },
            gradient: |x, c, work| {
                let (start, len) = (x[0].nrows() / 4, c.nrows());
                let a_bar = &mut work.gradients[0];
                for j in 0..a_bar.ncols() {
                    let to = a_bar.col_as_slice_mut(j);
                    to.fill(0.0);
                    if (start..start + len).contains(&j) {
                        to[start..start + len].copy_from_slice(c.col_as_slice(j - start));
                    }
                }
                inner(c.as_ref(), x[0].as_ref().submatrix(start, start, len, len))
            },
            transposed: false,
        }),
    },
    Op {
        formula: "[A; B]",
        name: "stack",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: two,
        record: |x| x[0].tape().stack_rows(x),
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                for j in 0..work.y.ncols() {
                    let (top, bottom) = work.y.col_as_slice_mut(j).split_at_mut(x[0].nrows());
                    top.copy_from_slice(x[0].col_as_slice(j));
                    bottom.copy_from_slice(x[1].col_as_slice(j));
                }
            },
            gradient: |x, c, work| {
                let (top, bottom) = c.as_ref().split_at_row(x[0].nrows());
                for (i, half) in [top, bottom].into_iter().enumerate() {
                    super::each_column(&mut work.gradients[i], [half], |to, [from]| to.copy_from_slice(from));
                }
                inner(top, x[0].as_ref()) + inner(bottom, x[1].as_ref())
            },
            transposed: false,
        }),
    },
    Op {
        formula: "A ⊗ B",
        name: "kron",
        sizes: &[8, 16],
        structure: Structure::General,
        inputs: two,
        record: |x| x[0].kron(x[1]),
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                let p = x[1].nrows();
                for j in 0..work.y.ncols() {
                    let (a, b) = (x[0].col_as_slice(j / p), x[1].col_as_slice(j % p));
                    for (y, a) in work.y.col_as_slice_mut(j).chunks_exact_mut(p).zip(a) {
                        y.iter_mut().zip(b).for_each(|(y, b)| *y = a * b);
                    }
                }
            },
            gradient: |x, c, work| {
                let p = x[1].nrows();
                let [a_bar, b_bar] = &mut work.gradients[..] else { return f64::NAN };
                a_bar.fill(0.0);
                b_bar.fill(0.0);
                for j in 0..c.ncols() {
                    let (a, b) = (x[0].col_as_slice(j / p), x[1].col_as_slice(j % p));
                    let a_bar = a_bar.col_as_slice_mut(j / p);
                    let b_bar = b_bar.col_as_slice_mut(j % p);
                    for ((c, a), a_bar) in c.col_as_slice(j).chunks_exact(p).zip(a).zip(a_bar) {
                        *a_bar += c.iter().zip(b).map(|(c, b)| c * b).sum::<f64>();
                        b_bar.iter_mut().zip(c).for_each(|(b_bar, c)| *b_bar += a * c);
                    }
                }
                inner(x[0].as_ref(), a_bar.as_ref())
            },
            transposed: false,
        }),
    },
    Op {
        formula: "cumulative sums",
        name: "cumulative_sums",
        sizes: &[32, 256],
        structure: Structure::General,
        inputs: |n, random| vec![uniform(n, n, random)],
        record: |x| x[0].cumulative_sums(),
        by_hand: Some(ByHand {
            scratch: nothing,
            value: |x, work| {
                for j in 0..work.y.ncols() {
                    let mut sum = 0.0;
                    for (y, x) in work.y.col_as_slice_mut(j).iter_mut().zip(x[0].col_as_slice(j)) {
                        sum += x;
                        *y = sum;
                    }
                }
            },
            gradient: |x, c, work| {
                release_registers();
                let a_bar = &mut work.gradients[0];
                for j in 0..c.ncols() {
                    let mut sum = 0.0;
                    for (a_bar, c) in a_bar.col_as_slice_mut(j).iter_mut().zip(c.col_as_slice(j)).rev() {
                        sum += c;
                        *a_bar = sum;
                    }
                }
                inner(x[0].as_ref(), a_bar.as_ref())
            },
            transposed: false,
        }),
    },
];
