//! From a matrix to a number or a row.

use crate::Scalar;
use faer::{MatMut, MatRef};

/// Independent partial sums, so that additions do not wait for each other.
const LANES: usize = 8;

/// `Σ aᵢ bᵢ`
#[inline]
pub(crate) fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    sum_of(a, b, |a, b| a * b)
}

/// `Σ |aᵢ|`
pub(crate) fn sum_of_sizes<T: Scalar>(a: &[T]) -> T {
    sum_of(a, a, |a, _| a.abs())
}

#[inline(always)]
fn sum_of<T: Scalar>(a: &[T], b: &[T], term: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::default(); LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(a, b);
        }
    }
    let mut total = T::default();
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        total += term(a, b);
    }
    sums.into_iter().fold(total, |total, sum| total + sum)
}

/// `⟨a, b⟩`, column by column.
pub(crate) fn inner<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> T {
    // Both are read along the columns of a, which is the better direction for at least one of them.
    let (a, b) = if a.row_stride() == 1 { (a, b) } else { (a.transpose(), b.transpose()) };
    let mut total = T::default();
    for j in 0..a.ncols() {
        let (a, b) = (a.col(j), b.col(j));
        total += match (a.try_as_col_major(), b.try_as_col_major()) {
            (Some(a), Some(b)) => dot(a.as_slice(), b.as_slice()),
            _ => (0..a.nrows()).fold(T::default(), |sum, i| sum + a[i] * b[i]),
        };
    }
    total
}

pub(crate) fn trace<T: Scalar>(a: MatRef<'_, T>) -> T {
    (0..a.nrows()).fold(T::default(), |sum, i| sum + a[(i, i)])
}

/// The largest entry of column `j`, NaN if there is one, −∞ if there is none.
fn column_max<T: Scalar>(a: MatRef<'_, T>, j: usize) -> T {
    let mut max = T::from_f64(f64::NEG_INFINITY);
    for i in 0..a.nrows() {
        let x = a[(i, j)];
        if x.partial_cmp(&max) != Some(std::cmp::Ordering::Less) {
            max = x;
            if x.partial_cmp(&x).is_none() {
                break;
            }
        }
    }
    max
}

/// What is taken off before exponentiating: the maximum if it is finite.
fn shift<T: Scalar>(max: T) -> T {
    if max.is_finite() { max } else { T::default() }
}

/// `log Σᵢ exp aᵢⱼ = max + log Σᵢ exp(aᵢⱼ − max)`.
pub(crate) fn log_sum_exp<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>) {
    for j in 0..a.ncols() {
        let shift = shift(column_max(a, j));
        let sum = (0..a.nrows()).fold(T::default(), |sum, i| sum + (a[(i, j)] - shift).exp());
        dst[(0, j)] = shift + sum.ln();
    }
}

pub(crate) fn softmax<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>) {
    for j in 0..a.ncols() {
        let shift = shift(column_max(a, j));
        let mut sum = T::default();
        for i in 0..a.nrows() {
            let e = (a[(i, j)] - shift).exp();
            dst[(i, j)] = e;
            sum += e;
        }
        for i in 0..a.nrows() {
            dst[(i, j)] /= sum;
        }
    }
}

/// An entry below the diagonal that differs from its mirror image. A NaN is not counted as a difference.
pub(crate) fn asymmetry<T: Scalar>(a: MatRef<'_, T>) -> Option<(usize, usize)> {
    // Both blocks of a pair stay in the first-level cache.
    const BLOCK: usize = 16;
    let a = if a.row_stride() == 1 { a } else { a.transpose() };
    let n = a.nrows();
    let differs = |x: T, y: T| x.partial_cmp(&y).is_some_and(|order| order.is_ne());
    for left in (0..n).step_by(BLOCK) {
        for top in (left..n).step_by(BLOCK) {
            let (rows, cols) = ((n - top).min(BLOCK), (n - left).min(BLOCK));
            let (below, right) = (a.submatrix(top, left, rows, cols), a.submatrix(left, top, cols, rows));
            let mut found = false;
            for j in 0..cols {
                match below.col(j).try_as_col_major() {
                    Some(column) => {
                        for (i, &entry) in column.as_slice().iter().enumerate() {
                            found |= differs(entry, right[(j, i)]);
                        }
                    }
                    None => found |= (0..rows).any(|i| differs(below[(i, j)], right[(j, i)])),
                }
            }
            if found {
                let pairs = (0..cols).flat_map(|j| (0..rows).map(move |i| (i, j)));
                let first = pairs.into_iter().find(|&(i, j)| differs(below[(i, j)], right[(j, i)]));
                return first.map(|(i, j)| (top + i, left + j));
            }
        }
    }
    None
}
