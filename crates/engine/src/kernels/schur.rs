//! The real Schur form of a square matrix, `A = Q T Qᵀ`: Q is orthogonal, and T upper quasi-triangular.
//!
//! T has blocks of one or two rows on its diagonal, and zeros below them. A block of one is a real eigenvalue; a block of
//! two is a pair of complex ones, `[a b; c a]` with `bc < 0`, whose eigenvalues are `a ± i √(−bc)`.
//!
//! The matrix is reduced to Hessenberg form, and then by the QR algorithm with implicit double shifts (Francis 1961; Golub &
//! Van Loan, *Matrix Computations*, 4th ed., §7.5), in the form that LAPACK gave it: the test for small subdiagonal entries of
//! Ahues & Tisseur (LAPACK Working Note 122), exceptional shifts, and blocks of two in standard form. Around 25n³.
//!
//! Where that does not end, it goes on with the transposed matrix, from the other end: `J Hᵀ J` is a Hessenberg matrix as
//! H is, with the rows in reverse by J, and of its Schur form `Z T Zᵀ` follows `H = (J Z J) (J Tᵀ J) (J Z J)ᵀ`.

use super::eigen::largest;
use super::registers;
use crate::Eigenvalue;
use crate::Scalar;
use crate::failure::Failure;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::evd::hessenberg::{hessenberg_in_place, hessenberg_in_place_scratch};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_right_in_place_scratch,
    apply_block_householder_sequence_on_the_right_in_place_with_conj,
};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::traits::math_utils::sqrt;
use faer::{Accum, Conj, MatMut, MatRef, Par};

pub(crate) fn schur_scratch<T: Scalar>(n: usize) -> StackReq {
    if n < 3 {
        return StackReq::EMPTY;
    }
    let block = recommended_block_size::<T>(n - 1, n - 1);
    temp_mat_scratch::<T>(block, n - 1).and(
        hessenberg_in_place_scratch::<T>(n, block, Par::Seq, Default::default())
            .or(apply_block_householder_sequence_on_the_right_in_place_scratch::<T>(n - 1, block, n - 1)),
    )
}

/// Replaces A in `t` by T, and finds Q, where `A = Q T Qᵀ`. What is not finite makes everything NaN.
pub(crate) fn schur<T: Scalar>(
    t: MatMut<'_, T>,
    q: MatMut<'_, T>,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    // Twice what LAPACK grants.
    let steps = 60 * t.nrows().max(10);
    schur_within(t, q, [steps, steps], stack)
}

/// The same, with so many steps for the first attempt and for the second.
fn schur_within<T: Scalar>(
    mut t: MatMut<'_, T>,
    mut q: MatMut<'_, T>,
    [first, second]: [usize; 2],
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let n = t.nrows();
    let largest = largest(t.rb());
    if !largest.is_finite() {
        let nan = T::from_f64(f64::NAN);
        q.fill(nan);
        // No entry below the diagonal says that there is a block of two.
        for j in 0..n {
            for i in 0..n {
                t[(i, j)] = if i > j { T::default() } else { nan };
            }
        }
        return Ok(());
    }
    // Squares of entries must neither overflow nor vanish.
    let scale = scale(largest);
    scale_by(t.rb_mut(), scale);
    hessenberg(t.rb_mut(), q.rb_mut(), stack);
    if iterate(t.rb_mut(), q.rb_mut(), first).is_err() {
        // What the first attempt has turned is as similar to A as A was.
        transpose_across(t.rb_mut());
        reverse_columns(q.rb_mut());
        iterate(t.rb_mut(), q.rb_mut(), second)?;
        transpose_across(t.rb_mut());
        reverse_columns(q);
    }
    scale_by(t, scale.recip());
    Ok(())
}

/// `J Aᵀ J`, where J reverses the rows: the entries change places across the other diagonal.
fn transpose_across<T: Scalar>(mut a: MatMut<'_, T>) {
    let n = a.nrows();
    for j in 0..n {
        for i in 0..n - 1 - j {
            let (k, l) = (n - 1 - j, n - 1 - i);
            (a[(i, j)], a[(k, l)]) = (a[(k, l)], a[(i, j)]);
        }
    }
}

/// `A J`
fn reverse_columns<T: Scalar>(mut a: MatMut<'_, T>) {
    let n = a.ncols();
    for j in 0..n / 2 {
        for i in 0..a.nrows() {
            (a[(i, j)], a[(i, n - 1 - j)]) = (a[(i, n - 1 - j)], a[(i, j)]);
        }
    }
}

/// A power of two that makes a matrix with this largest entry one that can be squared.
fn scale<T: Scalar>(largest: T) -> f64 {
    let largest = largest.to_f64();
    let (small, large) = (sqrt(&T::min_positive_impl()).to_f64(), sqrt(&T::max_positive_impl()).to_f64());
    if largest == 0.0 || (small..=large).contains(&largest) {
        return 1.0;
    }
    // In two steps, as neither factor may leave the range of the numbers.
    let exponent = -largest.log2().round();
    let limit = -small.log2() * 1.5;
    exponent.clamp(-limit, limit).exp2()
}

fn scale_by<T: Scalar>(mut a: MatMut<'_, T>, factor: f64) {
    if factor == 1.0 {
        return;
    }
    let factor = T::from_f64(factor);
    for j in 0..a.ncols() {
        for i in 0..a.nrows() {
            a[(i, j)] *= factor;
        }
    }
}

/// Hessenberg's form of `a`, with zeros below the subdiagonal, and Q.
fn hessenberg<T: Scalar>(mut a: MatMut<'_, T>, mut q: MatMut<'_, T>, stack: &mut MemStack) {
    let n = a.nrows();
    q.fill(T::default());
    for i in 0..n {
        q[(i, i)] = T::from_f64(1.0);
    }
    // A triangle, or what has the form already, stays as it is.
    if (0..n).all(|j| (j + 2..n).all(|i| a[(i, j)] == T::default())) {
        return;
    }
    let block = recommended_block_size::<T>(n - 1, n - 1);
    let (mut reflections, stack) = temp_mat_zeroed::<T, _, _>(block, n - 1, stack);
    let mut reflections = reflections.as_mat_mut();
    hessenberg_in_place(a.rb_mut(), reflections.rb_mut(), Par::Seq, stack, Default::default());
    apply_block_householder_sequence_on_the_right_in_place_with_conj(
        a.rb().submatrix(1, 0, n - 1, n - 1),
        reflections.rb(),
        Conj::No,
        q.submatrix_mut(1, 1, n - 1, n - 1),
        Par::Seq,
        stack,
    );
    registers::release();
    for j in 0..n {
        for i in j + 2..n {
            a[(i, j)] = T::default();
        }
    }
}

/// The QR algorithm on a Hessenberg matrix, with so many steps at most.
fn iterate<T: Scalar>(mut t: MatMut<'_, T>, mut q: MatMut<'_, T>, mut budget: usize) -> Result<(), Failure> {
    let n = t.nrows();
    // The rows from `end` on are done.
    let mut end = n;
    while end > 0 {
        let mut steps = 0;
        let start = loop {
            let start = (1..end).rev().find(|&k| negligible(t.rb(), k, end)).unwrap_or(0);
            if start > 0 {
                t[(start, start - 1)] = T::default();
            }
            if end - start <= 2 {
                break start;
            }
            if budget == 0 {
                return Err(Failure::NoConvergence);
            }
            (budget, steps) = (budget - 1, steps + 1);
            let shifts = shifts(t.rb(), start, end, steps);
            double_step(t.rb_mut(), q.rb_mut(), start, end, shifts);
        };
        if end - start == 2 {
            standardize(t.rb_mut(), q.rb_mut(), start);
        }
        end = start;
    }
    Ok(())
}

/// Whether the entry left of the diagonal in row k may be dropped.
fn negligible<T: Scalar>(t: MatRef<'_, T>, k: usize, end: usize) -> bool {
    let at = |i: usize, j: usize| t[(i, j)].abs();
    let small = T::min_positive_impl() * T::from_f64(t.nrows() as f64) / T::EPSILON;
    let below = at(k, k - 1);
    if below <= small {
        return true;
    }
    let mut size = at(k - 1, k - 1) + at(k, k);
    if size == T::default() {
        if k >= 2 {
            size += at(k - 1, k - 2);
        }
        if k + 1 < end {
            size += at(k + 1, k);
        }
    }
    if below > T::EPSILON * size {
        return false;
    }
    let ordered = |x: T, y: T| if x < y { (x, y) } else { (y, x) };
    let (lesser, greater) = ordered(below, at(k - 1, k));
    let (low, high) = ordered(at(k, k), (t[(k - 1, k - 1)] - t[(k, k)]).abs());
    let sum = high + greater;
    let bound = T::EPSILON * (low * (high / sum));
    lesser * (greater / sum) <= if bound > small { bound } else { small }
}

/// Two shifts, both real or a pair.
type Shifts<T> = [(T, T); 2];

/// The eigenvalues of the last two rows of the active block; every tenth time other numbers, in case that they go in a circle.
fn shifts<T: Scalar>(t: MatRef<'_, T>, start: usize, end: usize, steps: usize) -> Shifts<T> {
    let exceptional = |corner: T, size: T| {
        let a = T::from_f64(0.75) * size + corner;
        [a, T::from_f64(-0.4375) * size, size, a]
    };
    let last = end - 1;
    let [a, b, c, d] = if steps.is_multiple_of(20) {
        exceptional(t[(last, last)], t[(last, last - 1)].abs() + t[(last - 1, last - 2)].abs())
    } else if steps.is_multiple_of(10) {
        exceptional(t[(start, start)], t[(start + 1, start)].abs() + t[(start + 2, start + 1)].abs())
    } else {
        [t[(last - 1, last - 1)], t[(last - 1, last)], t[(last, last - 1)], t[(last, last)]]
    };
    let zero = T::default();
    let size = a.abs() + b.abs() + c.abs() + d.abs();
    if size == zero {
        return [(zero, zero); 2];
    }
    let [a, b, c, d] = [a, b, c, d].map(|x| x / size);
    let mean = T::from_f64(0.5) * (a + d);
    let det = (a - mean) * (d - mean) - b * c;
    let root = sqrt(&det.abs());
    if det >= zero {
        return [(mean * size, root * size), (mean * size, -root * size)];
    }
    // Twice the one that is closer to the corner.
    let (one, other) = (mean + root, mean - root);
    let closer = if (one - d).abs() <= (other - d).abs() { one } else { other };
    [(closer * size, zero); 2]
}

/// The first column of `(H − s₁)(H − s₂)` for the block of three that begins at k, up to a factor.
fn first_column<T: Scalar>(t: MatRef<'_, T>, k: usize, [(x1, y1), (x2, y2)]: Shifts<T>) -> [T; 3] {
    let size = (t[(k, k)] - x2).abs() + y2.abs() + t[(k + 1, k)].abs();
    let below = t[(k + 1, k)] / size;
    let v = [
        below * t[(k, k + 1)] + (t[(k, k)] - x1) * ((t[(k, k)] - x2) / size) - y1 * (y2 / size),
        below * (t[(k, k)] + t[(k + 1, k + 1)] - x1 - x2),
        below * t[(k + 2, k + 1)],
    ];
    let size = v[0].abs() + v[1].abs() + v[2].abs();
    v.map(|x| x / size)
}

/// A reflection `I − τ v vᵀ` with `v₀ = 1` that takes `x` to `β e₀`: the other two entries of v, τ and β.
fn reflection<T: Scalar>([x0, x1, x2]: [T; 3]) -> ([T; 2], T, T) {
    let zero = T::default();
    if x1 == zero && x2 == zero {
        return ([zero, zero], zero, x0);
    }
    // Far down a graded matrix, squares vanish.
    let size = x0.abs() + x1.abs() + x2.abs();
    let [x0, x1, x2] = [x0, x1, x2].map(|x| x / size);
    let norm = sqrt(&(x0 * x0 + x1 * x1 + x2 * x2));
    let beta = if x0 > zero { -norm } else { norm };
    let head = x0 - beta;
    ([x1 / head, x2 / head], -head / beta, size * beta)
}

/// One step of the QR algorithm with two shifts on rows `start..end`, at least three.
fn double_step<T: Scalar>(
    mut t: MatMut<'_, T>,
    mut q: MatMut<'_, T>,
    start: usize,
    end: usize,
    shifts: Shifts<T>,
) {
    let n = t.nrows();
    // Two consecutive small entries below the diagonal are as good as one that is negligible.
    let mut begin = end - 3;
    let mut v = first_column(t.rb(), begin, shifts);
    while begin > start {
        let k = begin;
        let size = t[(k - 1, k - 1)].abs() + t[(k, k)].abs() + t[(k + 1, k + 1)].abs();
        if t[(k, k - 1)].abs() * (v[1].abs() + v[2].abs()) <= T::EPSILON * v[0].abs() * size {
            break;
        }
        begin -= 1;
        v = first_column(t.rb(), begin, shifts);
    }
    for k in begin..end - 1 {
        let three = k + 2 < end;
        if k > begin {
            v = [t[(k, k - 1)], t[(k + 1, k - 1)], if three { t[(k + 2, k - 1)] } else { T::default() }];
        }
        let ([v1, v2], tau, beta) = reflection(v);
        if k > begin {
            (t[(k, k - 1)], t[(k + 1, k - 1)]) = (beta, T::default());
            if three {
                t[(k + 2, k - 1)] = T::default();
            }
        } else if k > start {
            // `−t` where nothing vanishes; otherwise the reflection leaves it as it is.
            t[(k, k - 1)] *= T::from_f64(1.0) - tau;
        }
        let (rows, v) = (if three { 3 } else { 2 }, [tau, tau * v1, tau * v2]);
        // From the left, column by column.
        for j in k..n {
            let mut sum = t[(k, j)] + v1 * t[(k + 1, j)];
            if three {
                sum += v2 * t[(k + 2, j)];
            }
            for (i, &v) in v.iter().enumerate().take(rows) {
                t[(k + i, j)] -= sum * v;
            }
        }
        let height = end.min(k + 4);
        reflect_columns(t.rb_mut().submatrix_mut(0, k, height, rows), [v1, v2], v);
        reflect_columns(q.rb_mut().submatrix_mut(0, k, n, rows), [v1, v2], v);
    }
}

/// `a −= (a v) (τ v)ᵀ` with two or three columns, where `v₀ = 1`.
fn reflect_columns<T: Scalar>(a: MatMut<'_, T>, [v1, v2]: [T; 2], [w0, w1, w2]: [T; 3]) {
    let rows = a.nrows();
    let (first, rest) = a.split_at_col_mut(1);
    let (second, third) = rest.split_at_col_mut(1);
    let (mut first, mut second) = (first.col_mut(0), second.col_mut(0));
    if third.ncols() == 0 {
        for i in 0..rows {
            let sum = first[i] + v1 * second[i];
            first[i] -= sum * w0;
            second[i] -= sum * w1;
        }
        return;
    }
    let mut third = third.col_mut(0);
    for i in 0..rows {
        let sum = first[i] + v1 * second[i] + v2 * third[i];
        first[i] -= sum * w0;
        second[i] -= sum * w1;
        third[i] -= sum * w2;
    }
}

/// Makes two blocks of one out of the block of two at k if its eigenvalues are real, or else brings it into standard form.
fn standardize<T: Scalar>(mut t: MatMut<'_, T>, q: MatMut<'_, T>, k: usize) {
    let n = t.nrows();
    let block = [t[(k, k)], t[(k, k + 1)], t[(k + 1, k)], t[(k + 1, k + 1)]];
    let ([a, b, c, d], (cos, sin)) = standard_form(block);
    (t[(k, k)], t[(k, k + 1)], t[(k + 1, k)], t[(k + 1, k + 1)]) = (a, b, c, d);
    let (upper, lower) = t.rb_mut().split_at_row_mut(k + 1);
    let (mut upper, mut lower) = (upper.row_mut(k), lower.row_mut(0));
    for j in k + 2..n {
        (upper[j], lower[j]) = (cos * upper[j] + sin * lower[j], cos * lower[j] - sin * upper[j]);
    }
    for matrix in [t.submatrix_mut(0, 0, k, n), q] {
        let (rows, (left, right)) = (matrix.nrows(), matrix.split_at_col_mut(k + 1));
        let (mut left, mut right) = (left.col_mut(k), right.col_mut(0));
        for i in 0..rows {
            (left[i], right[i]) = (cos * left[i] + sin * right[i], cos * right[i] - sin * left[i]);
        }
    }
}

/// `√(x² + y²)`, safe against underflow; both are not zero.
fn hypot<T: Scalar>(x: T, y: T) -> T {
    let size = x.abs() + y.abs();
    let (x, y) = (x / size, y / size);
    size * sqrt(&(x * x + y * y))
}

/// Schur's form of `[a b; c d]`, and the cosine and sine of the rotation that leads there (LAPACK's `dlanv2`).
fn standard_form<T: Scalar>([mut a, mut b, mut c, mut d]: [T; 4]) -> ([T; 4], (T, T)) {
    let (zero, one, half) = (T::default(), T::from_f64(1.0), T::from_f64(0.5));
    let signed = |x: T, sign: T| if sign < zero { -x.abs() } else { x.abs() };
    let max = |x: T, y: T| if x > y { x } else { y };
    if c == zero {
        return ([a, b, c, d], (one, zero));
    }
    if b == zero {
        return ([d, -c, zero, a], (zero, one));
    }
    if a == d && (b > zero) != (c > zero) {
        return ([a, b, c, d], (one, zero));
    }
    let difference = a - d;
    let p = half * difference;
    let (large, small) = if b.abs() > c.abs() { (b.abs(), c.abs()) } else { (c.abs(), b.abs()) };
    let small = signed(one, b) * signed(one, c) * small;
    let scale = max(p.abs(), large);
    let z = (p / scale) * p + (large / scale) * small;
    if z >= T::from_f64(4.0) * T::EPSILON * scale {
        // Two real eigenvalues, not too close to each other.
        let z = p + signed(sqrt(&scale) * sqrt(&z), p);
        let length = hypot(c, z);
        return ([d + z, b - c, zero, d - (large / z) * small], (z / length, c / length));
    }
    // A pair, or two that are almost equal: first make the diagonal equal.
    let sum = b + c;
    let length = hypot(sum, difference);
    let mut cos = sqrt(&(half * (one + sum.abs() / length)));
    let mut sin = -(p / (length * cos)) * signed(one, sum);
    let (aa, bb) = (a * cos + b * sin, b * cos - a * sin);
    let (cc, dd) = (c * cos + d * sin, d * cos - c * sin);
    (a, b, c, d) = (aa * cos + cc * sin, bb * cos + dd * sin, cc * cos - aa * sin, dd * cos - bb * sin);
    let mean = half * (a + d);
    (a, d) = (mean, mean);
    if c != zero {
        if b == zero {
            (b, c) = (-c, zero);
            (cos, sin) = (-sin, cos);
        } else if (b > zero) == (c > zero) {
            // They are real after all.
            let (root_b, root_c) = (sqrt(&b.abs()), sqrt(&c.abs()));
            let p = signed(root_b * root_c, c);
            let tau = one / sqrt(&(b + c).abs());
            (a, d) = (mean + p, mean - p);
            (b, c) = (b - c, zero);
            let (cos1, sin1) = (root_b * tau, root_c * tau);
            (cos, sin) = (cos * cos1 - sin * sin1, cos * sin1 + sin * cos1);
        }
    }
    ([a, b, c, d], (cos, sin))
}

/// `dst = a x b`; `work` has the shape of `a x`.
pub(crate) fn product_of_three<T: Scalar>(
    dst: MatMut<'_, T>,
    [a, x, b]: [MatRef<'_, T>; 3],
    mut work: MatMut<'_, T>,
) {
    let one = T::from_f64(1.0);
    matmul(work.rb_mut(), Accum::Replace, a, x, one, Par::Seq);
    matmul(dst, Accum::Replace, work.rb(), b, one, Par::Seq);
    registers::release();
}

/// How many rows the block of a quasi-triangular matrix has that begins in row k.
pub(crate) fn block<T: Scalar>(t: MatRef<'_, T>, k: usize) -> usize {
    if k + 1 < t.nrows() && t[(k + 1, k)] != T::default() { 2 } else { 1 }
}

/// The blocks of a quasi-triangular matrix, from the first to the last: the first row, and the number of rows.
pub(crate) fn blocks<T: Scalar>(t: MatRef<'_, T>) -> impl Iterator<Item = (usize, usize)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        let k = next;
        (k < t.nrows()).then(|| {
            let rows = block(t, k);
            next += rows;
            (k, rows)
        })
    })
}

/// Where to divide a quasi-triangular matrix, about in the middle; nowhere if it is one block, or empty.
pub(crate) fn middle<T: Scalar>(t: MatRef<'_, T>) -> Option<usize> {
    let (n, half) = (t.nrows(), t.nrows() / 2);
    if half == 0 {
        None
    } else if t[(half, half - 1)] == T::default() {
        Some(half)
    } else {
        (half + 1 < n).then_some(half + 1)
    }
}

/// The eigenvalue of the block that begins in row k; of a pair, that with the positive imaginary part.
pub(crate) fn eigenvalue<T: Scalar>(t: MatRef<'_, T>, k: usize) -> Eigenvalue {
    let im = if block(t, k) == 2 {
        let (b, c) = (t[(k, k + 1)].abs().to_f64(), t[(k + 1, k)].abs().to_f64());
        // The product may leave the range of the numbers.
        if (b * c).is_normal() { (b * c).sqrt() } else { b.sqrt() * c.sqrt() }
    } else {
        0.0
    };
    Eigenvalue { re: t[(k, k)].to_f64(), im }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::samples::{distance, jordan, orthogonal, random, symmetric, with};
    use faer::Mat;

    fn decompose<T: Scalar>(a: MatRef<'_, T>) -> (Mat<T>, Mat<T>) {
        let n = a.nrows();
        let (mut t, mut q) = (a.to_owned(), Mat::zeros(n, n));
        with(schur_scratch::<T>(n), |stack| schur(t.as_mut(), q.as_mut(), stack)).unwrap();
        (t, q)
    }

    fn check<T: Scalar>(a: MatRef<'_, T>, what: &str) {
        check_form(a, decompose(a), what);
        // The second attempt alone, and where the first is cut short.
        for first in [0, 1, 5] {
            check_form(a, within(a, [first, usize::MAX]).unwrap(), what);
        }
    }

    fn within<T: Scalar>(a: MatRef<'_, T>, steps: [usize; 2]) -> Result<(Mat<T>, Mat<T>), Failure> {
        let n = a.nrows();
        let (mut t, mut q) = (a.to_owned(), Mat::zeros(n, n));
        with(schur_scratch::<T>(n), |stack| schur_within(t.as_mut(), q.as_mut(), steps, stack))?;
        Ok((t, q))
    }

    fn check_form<T: Scalar>(a: MatRef<'_, T>, (t, q): (Mat<T>, Mat<T>), what: &str) {
        let n = a.nrows();
        let (t, q) = (t.as_ref(), q.as_ref());
        let bound = T::EPSILON.to_f64() * 8.0 * (n as f64).max(1.0);
        let norm = a.norm_l2().to_f64();
        let residual = distance((q * t * q.transpose()).as_ref(), a);
        assert!(residual <= bound * norm, "{what}, n = {n}: residual {:e}", residual / norm);
        let defect = distance((q.transpose() * q).as_ref(), Mat::identity(n, n).as_ref());
        assert!(defect <= bound, "{what}, n = {n}: defect {defect:e}");
        for (k, rows) in blocks(t) {
            for i in k + rows..n {
                for j in k..k + rows {
                    assert_eq!(t[(i, j)], T::default(), "{what}, n = {n}");
                }
            }
            if rows == 2 {
                assert_eq!(t[(k, k)], t[(k + 1, k + 1)], "{what}, n = {n}");
                assert!((t[(k, k + 1)] > T::default()) != (t[(k + 1, k)] > T::default()), "{what}, n = {n}");
            }
        }
    }

    fn all<T: Scalar>() {
        for n in (0..=20).chain([31, 40, 65, 100]) {
            let seed = n as u64;
            check(random::<T>(n, n, seed).as_ref(), "random");
            check(symmetric::<T>(n, seed).as_ref(), "symmetric");
            check(jordan::<T>(n, 2.0).as_ref(), "Jordan");
            check(jordan::<T>(n, 0.0).transpose(), "nilpotent");
            check(Mat::<T>::zeros(n, n).as_ref(), "zero");
            check(Mat::<T>::identity(n, n).as_ref(), "identity");
            check(Mat::<T>::full(n, n, T::from_f64(1.0)).as_ref(), "ones");
            if n > 0 {
                let q = orthogonal::<T>(n, seed);
                check(q.as_ref(), "orthogonal");
                check((&q * jordan::<T>(n, 1.0) * q.transpose()).as_ref(), "defective");
                // The companion matrix of x^n − 1, whose unshifted steps do not move; and that of x^n + x^(n-1) + … + 1.
                let cycle = Mat::from_fn(n, n, |i, j| T::from_f64(if i == (j + 1) % n { 1.0 } else { 0.0 }));
                check(cycle.as_ref(), "cycle");
                check(cycle.transpose(), "cycle, transposed");
                let companion = Mat::from_fn(n, n, |i, j| {
                    T::from_f64(if j + 1 == n { -1.0 } else { f64::from(i == j + 1) })
                });
                check(companion.as_ref(), "companion");
                check((q.transpose() * &companion * &q).as_ref(), "companion, rotated");
            }
            let triangle = random::<T>(n, n, seed + 1);
            let triangle = Mat::from_fn(n, n, |i, j| if i > j { T::default() } else { triangle[(i, j)] });
            check(triangle.as_ref(), "triangle");
            assert_eq!(decompose(triangle.as_ref()).0, triangle);
            check(triangle.transpose(), "lower triangle");
            for scale in [1e-30, 1e30] {
                let mut a = random::<T>(n, n, seed + 2);
                scale_by(a.as_mut(), scale);
                check(a.as_ref(), "scaled");
            }
        }
    }

    #[test]
    fn residuals_are_rounding_errors() {
        all::<f64>();
        all::<f32>();
    }

    #[test]
    fn two_attempts() {
        let a = random::<f64>(12, 12, 3);
        let steps = |steps| within(a.as_ref(), steps).map(|(t, _)| t);
        assert_eq!(steps([0, 0]).unwrap_err(), Failure::NoConvergence);
        assert_eq!(steps([3, 3]).unwrap_err(), Failure::NoConvergence);
        let (usual, second) = (steps([600, 0]).unwrap(), steps([0, 600]).unwrap());
        assert_eq!(usual, decompose(a.as_ref()).0);
        assert_ne!(usual, second);
        // Both have the same eigenvalues.
        let spectrum = |t: &Mat<f64>| {
            let of = |(k, _)| eigenvalue(t.as_ref(), k);
            let mut all: Vec<Eigenvalue> = blocks(t.as_ref()).map(of).collect();
            all.sort_by(|x, y| (x.re, x.im).partial_cmp(&(y.re, y.im)).unwrap());
            all
        };
        let (usual, second) = (spectrum(&usual), spectrum(&second));
        assert_eq!(usual.len(), second.len());
        for (x, y) in usual.iter().zip(&second) {
            assert!((x.re - y.re).abs() < 1e-13 && (x.im - y.im).abs() < 1e-13, "{x:?} {y:?}");
        }
        // What has the form already needs no step.
        let triangle = Mat::from_fn(5, 5, |i, j| if i > j { 0.0 } else { a[(i, j)] });
        assert_eq!(within(triangle.as_ref(), [0, 0]).unwrap().0, triangle);
    }

    #[test]
    fn what_is_not_finite_ends() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for n in [1, 2, 5, 20] {
                let mut a = random::<f64>(n, n, 1);
                a[(n - 1, 0)] = bad;
                let (t, q) = decompose(a.as_ref());
                assert!(t[(0, 0)].is_nan() && q[(0, 0)].is_nan());
                assert_eq!(blocks(t.as_ref()).count(), n);
            }
        }
    }

    #[test]
    fn extreme_entries() {
        for size in [1e-320, 1e-290, 1e-200, 1e200, 1e300, 1e307] {
            let mut a = random::<f64>(6, 6, 1);
            scale_by(a.as_mut(), size);
            let (t, q) = decompose(a.as_ref());
            let back = |x: &Mat<f64>| Mat::from_fn(6, 6, |i, j| x[(i, j)] / size);
            let error = distance((&q * back(&t) * q.transpose()).as_ref(), back(&a).as_ref());
            // Of a subnormal number few digits are left.
            assert!(error < if size < 1e-300 { 1e-2 } else { 1e-14 }, "{size:e}: {error:e}");
        }
    }

    #[test]
    fn eigenvalues_of_a_rotation() {
        let (sin, cos) = 0.3f64.sin_cos();
        let a = Mat::from_fn(2, 2, |i, j| {
            if i == j {
                cos
            } else if i > j {
                sin
            } else {
                -sin
            }
        });
        let (t, _) = decompose(a.as_ref());
        let Eigenvalue { re, im } = eigenvalue(t.as_ref(), 0);
        assert!((re - cos).abs() < 1e-15 && (im - sin).abs() < 1e-15);
    }
}
