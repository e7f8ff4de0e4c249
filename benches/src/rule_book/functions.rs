//! Functions of matrices.

use super::{ByHand, Op, conditioned, inner, uniform};
use crate::hand::{product, release_registers, scaled_product};
use crate::random::Random;
use pullback::Structure;
use pullback::faer::dyn_stack::MemStack;
use pullback::faer::linalg::lu::partial_pivoting as lu;
use pullback::faer::{Accum, Mat, Par};

/// The exponential of a matrix with a norm.
const fn expm(
    formula: &'static str,
    name: &'static str,
    inputs: fn(usize, &mut Random) -> Vec<Mat<f64>>,
) -> Op {
    Op {
        formula,
        name,
        sizes: &[50, 200],
        structure: Structure::General,
        inputs,
        record: |x| x[0].expm(),
        by_hand: Some(ByHand {
            scratch: |n| {
                lu::factor::lu_in_place_scratch::<usize, f64>(n, n, Par::Seq, Default::default())
                    .or(lu::solve::solve_in_place_scratch::<usize, f64>(n, n, Par::Seq))
            },
            value,
            gradient,
            transposed: true,
        }),
    }
}

pub(super) const OPS: &[Op] = &[
    expm("expm(A), ‖A‖₁ = 0.1", "expm_0.1", |n, random| vec![of_norm(n, random, 0.1)]),
    expm("expm(A), ‖A‖₁ = 1", "expm_1", |n, random| vec![of_norm(n, random, 1.0)]),
    expm("expm(A), ‖A‖₁ = 4", "expm_4", |n, random| vec![of_norm(n, random, 4.0)]),
    expm("expm(A), ‖A‖₁ = 30", "expm_30", |n, random| vec![of_norm(n, random, 30.0)]),
    Op {
        formula: "√A",
        name: "sqrtm",
        sizes: &[32, 128],
        structure: Structure::General,
        inputs: |n, random| vec![conditioned(n, random)],
        record: |x| x[0].sqrtm(),
        by_hand: None,
    },
    Op {
        formula: "log A",
        name: "logm",
        sizes: &[32, 128],
        structure: Structure::General,
        inputs: |n, random| vec![conditioned(n, random)],
        record: |x| x[0].logm(),
        by_hand: None,
    },
    Op {
        formula: "sign A",
        name: "signm",
        sizes: &[32, 128],
        structure: Structure::General,
        inputs: |n, random| {
            let mut a = conditioned(n, random);
            (n / 2..n).for_each(|j| a.col_as_slice_mut(j).iter_mut().for_each(|x| *x = -*x));
            vec![a]
        },
        record: |x| x[0].signm(),
        by_hand: None,
    },
];

fn of_norm(n: usize, random: &mut Random, norm: f64) -> Mat<f64> {
    let a = uniform(n, n, random);
    let scale = norm / one_norm(&a);
    Mat::from_fn(n, n, |i, j| scale * a[(i, j)])
}

fn one_norm(a: &Mat<f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col_as_slice(j).iter().map(|x| x.abs()).sum()).fold(0.0, f64::max)
}

/// The numerator of the Padé approximant of degree 13. (Higham, SIAM J. Matrix Anal. Appl. 26 (2005) 1179)
const B: [f64; 14] = [
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
];

/// Up to which norm it is used for the exponential, and for its derivative.
const REACH: [f64; 2] = [5.371920351148152, 4.74];

/// `x = 2⁻ˢ a`, where s is returned.
fn scaled(x: &mut Mat<f64>, a: &Mat<f64>, reach: f64) -> i32 {
    let squarings = (one_norm(a) / reach).log2().ceil().max(0.0) as i32;
    let scale = 0.5f64.powi(squarings);
    for j in 0..a.ncols() {
        x.col_as_slice_mut(j).iter_mut().zip(a.col_as_slice(j)).for_each(|(x, a)| *x = scale * a);
    }
    squarings
}

/// `dst = Σ cᵢ xᵢ + c I`
fn combine(dst: &mut Mat<f64>, c: [f64; 3], [x, y, z]: [&Mat<f64>; 3], unit: f64) {
    release_registers();
    for j in 0..dst.ncols() {
        let to = dst.col_as_slice_mut(j);
        let sources = x.col_as_slice(j).iter().zip(y.col_as_slice(j)).zip(z.col_as_slice(j));
        to.iter_mut().zip(sources).for_each(|(to, ((x, y), z))| *to = c[0] * x + c[1] * y + c[2] * z);
        to[j] += unit;
    }
}

/// `(u, v) = (v + u, v − u)`
fn sum_and_difference(u: &mut Mat<f64>, v: &mut Mat<f64>) {
    release_registers();
    for j in 0..u.ncols() {
        for (u, v) in u.col_as_slice_mut(j).iter_mut().zip(v.col_as_slice_mut(j)) {
            (*u, *v) = (*v + *u, *v - *u);
        }
    }
}

/// Padé approximant and squarings.
fn value(a: &[Mat<f64>], work: &mut super::Work) {
    let ([x, x2, x4, x6, u, v, t, ..], y) = (&mut work.t, &mut work.y);
    let squarings = scaled(x, &a[0], REACH[0]);
    product(x2, x.as_ref(), x.as_ref());
    product(x4, x2.as_ref(), x2.as_ref());
    product(x6, x2.as_ref(), x4.as_ref());
    combine(t, [B[13], B[11], B[9]], [x6, x4, x2], 0.0);
    combine(v, [B[7], B[5], B[3]], [x6, x4, x2], B[1]);
    scaled_product(v, Accum::Add, x6.as_ref(), t.as_ref(), 1.0);
    product(u, x.as_ref(), v.as_ref());
    combine(t, [B[12], B[10], B[8]], [x6, x4, x2], 0.0);
    combine(v, [B[6], B[4], B[2]], [x6, x4, x2], B[0]);
    scaled_product(v, Accum::Add, x6.as_ref(), t.as_ref(), 1.0);
    sum_and_difference(u, v);
    let stack = MemStack::new(&mut work.scratch);
    let [forward, inverse] = &mut work.rows;
    let rows = lu::factor::lu_in_place(v.as_mut(), forward, inverse, Par::Seq, stack, Default::default()).1;
    lu::solve::solve_in_place(v.as_ref(), v.as_ref(), rows, u.as_mut(), Par::Seq, stack);
    let (mut u, mut t) = (u, t);
    for _ in 0..squarings {
        product(t, u.as_ref(), u.as_ref());
        (u, t) = (t, u);
    }
    std::mem::swap(y, u);
}

/// The derivative at A in the direction `Cᵀ`, which is the gradient transposed. (Al-Mohy and Higham, SIAM J. Matrix Anal.
/// Appl. 30 (2009) 1639, algorithm 6.4)
fn gradient(a: &[Mat<f64>], c: &Mat<f64>, work: &mut super::Work) -> f64 {
    let [x, x2, x4, x6, m2, m4, m6, u, v, t, e, w] = &mut work.t;
    let (lv, lu) = (&mut work.y, &mut work.gradients[0]);
    let squarings = scaled(x, &a[0], REACH[1]);
    let scale = 0.5f64.powi(squarings);
    for j in 0..e.ncols() {
        for i in 0..e.nrows() {
            e[(i, j)] = scale * c[(j, i)];
        }
    }
    product(x2, x.as_ref(), x.as_ref());
    product(m2, x.as_ref(), e.as_ref());
    scaled_product(m2, Accum::Add, e.as_ref(), x.as_ref(), 1.0);
    product(x4, x2.as_ref(), x2.as_ref());
    product(m4, x2.as_ref(), m2.as_ref());
    scaled_product(m4, Accum::Add, m2.as_ref(), x2.as_ref(), 1.0);
    product(x6, x4.as_ref(), x2.as_ref());
    product(m6, x4.as_ref(), m2.as_ref());
    scaled_product(m6, Accum::Add, m4.as_ref(), x2.as_ref(), 1.0);

    combine(t, [B[13], B[11], B[9]], [x6, x4, x2], 0.0);
    combine(w, [B[7], B[5], B[3]], [x6, x4, x2], B[1]);
    scaled_product(w, Accum::Add, x6.as_ref(), t.as_ref(), 1.0);
    product(u, x.as_ref(), w.as_ref());
    // The derivative of w, then that of u.
    combine(lv, [B[7], B[5], B[3]], [m6, m4, m2], 0.0);
    scaled_product(lv, Accum::Add, m6.as_ref(), t.as_ref(), 1.0);
    combine(t, [B[13], B[11], B[9]], [m6, m4, m2], 0.0);
    scaled_product(lv, Accum::Add, x6.as_ref(), t.as_ref(), 1.0);
    product(lu, x.as_ref(), lv.as_ref());
    scaled_product(lu, Accum::Add, e.as_ref(), w.as_ref(), 1.0);

    combine(t, [B[12], B[10], B[8]], [x6, x4, x2], 0.0);
    combine(v, [B[6], B[4], B[2]], [x6, x4, x2], B[0]);
    scaled_product(v, Accum::Add, x6.as_ref(), t.as_ref(), 1.0);
    combine(lv, [B[6], B[4], B[2]], [m6, m4, m2], 0.0);
    scaled_product(lv, Accum::Add, m6.as_ref(), t.as_ref(), 1.0);
    combine(t, [B[12], B[10], B[8]], [m6, m4, m2], 0.0);
    scaled_product(lv, Accum::Add, x6.as_ref(), t.as_ref(), 1.0);

    sum_and_difference(u, v);
    sum_and_difference(lu, lv);
    let stack = MemStack::new(&mut work.scratch);
    let [forward, inverse] = &mut work.rows;
    let rows = lu::factor::lu_in_place(v.as_mut(), forward, inverse, Par::Seq, stack, Default::default()).1;
    lu::solve::solve_in_place(v.as_ref(), v.as_ref(), rows, u.as_mut(), Par::Seq, stack);
    scaled_product(lu, Accum::Add, lv.as_ref(), u.as_ref(), -1.0);
    lu::solve::solve_in_place(v.as_ref(), v.as_ref(), rows, lu.as_mut(), Par::Seq, stack);
    for _ in 0..squarings {
        product(t, u.as_ref(), lu.as_ref());
        scaled_product(t, Accum::Add, lu.as_ref(), u.as_ref(), 1.0);
        std::mem::swap(t, lu);
        product(t, u.as_ref(), u.as_ref());
        std::mem::swap(t, u);
    }
    inner(c.as_ref(), u.as_ref())
}
