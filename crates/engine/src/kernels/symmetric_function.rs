//! Functions of symmetric matrices by their eigenvalues, and their derivatives by divided differences.

use super::product::product;
use super::symmetric::{mirror, symmetric_product};
use crate::Scalar;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};

/// Every term of a quotient counts with so many rounding errors.
const ROUNDING: f64 = 4.0;

/// What a function of an n×n matrix, or its derivative of this order, needs.
pub(crate) fn scratch<T: Scalar>(n: usize, order: usize) -> StackReq {
    let matrix = temp_mat_scratch::<T>(n, n);
    let directions = temp_mat_scratch::<T>(n, n.saturating_mul(order));
    let table = temp_mat_scratch::<T>(order + 1, 2);
    StackReq::all_of(&[matrix, matrix, directions, table])
}

/// `V Diag(f) Vᵀ`, or the derivative of order k along k directions: with `Ẽ = Vᵀ E V`, V times the matrix of
/// `Σ f[λᵢ, λₗ, …, λⱼ] Ẽᵢₗ ⋯ Ẽ′ₘⱼ`, over all indices in between and all orders of the directions, times Vᵀ. Columns hold f, f′, …
/// at the eigenvalues. The directions may be known to be `symmetric`.
pub(crate) fn symmetric_function<T: Scalar>(
    mut dst: MatMut<'_, T>,
    eigen: MatRef<'_, T>,
    columns: &[MatRef<'_, T>],
    directions: &[MatRef<'_, T>],
    symmetric: bool,
    stack: &mut MemStack,
) {
    let (n, k) = (dst.nrows(), directions.len());
    let Some(numbers) = eigen.col(0).try_as_col_major().map(|column| column.as_slice()) else { return };
    if n == 0 || columns.is_empty() {
        return;
    }
    let (values, vectors) = numbers.split_at(n);
    let v = MatRef::from_column_major_slice(vectors, n, n);
    let (mut work, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let mut work = work.as_mat_mut();
    if k == 0 {
        for j in 0..n {
            for i in 0..n {
                work[(i, j)] = v[(i, j)] * columns[0][(j, 0)];
            }
        }
        if dst.row_stride() != 1 {
            dst = dst.transpose_mut();
        }
        symmetric_product(dst.rb_mut(), false, work.rb(), v.transpose(), T::from_f64(1.0));
        return mirror(dst, None);
    }
    let (mut sums, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let mut sums = sums.as_mat_mut();
    let (difference, one) = (Differences { values, columns }, T::from_f64(1.0));
    if let (&[direction], true) = (directions, symmetric) {
        // Then all of this is, and of two products and of the quotients half is enough.
        product(work.rb_mut(), false, direction, v, one);
        symmetric_product(sums.rb_mut(), false, v.transpose(), work.rb(), one);
        for j in 0..n {
            for i in j..n {
                sums[(i, j)] *= difference.between(j, i);
            }
        }
        mirror(sums.rb_mut(), None);
        product(work.rb_mut(), false, v, sums.rb(), one);
        if dst.row_stride() != 1 {
            dst = dst.transpose_mut();
        }
        symmetric_product(dst.rb_mut(), false, work.rb(), v.transpose(), one);
        return mirror(dst, None);
    }
    let (mut inner, stack) = temp_mat_zeroed::<T, _, _>(n, n * k, stack);
    let mut inner = inner.as_mat_mut();
    for (e, direction) in directions.iter().enumerate() {
        product(work.rb_mut(), false, *direction, v, T::from_f64(1.0));
        product(inner.rb_mut().subcols_mut(e * n, n), false, v.transpose(), work.rb(), T::from_f64(1.0));
    }
    let inner = inner.rb();
    let (mut table, _) = temp_mat_zeroed::<T, _, _>(k + 1, 2, stack);
    let mut table = table.as_mat_mut();
    let mut indices = [0usize; MOST + 1];
    let indices = &mut indices[..(k + 1).min(MOST + 1)];
    loop {
        let (first, last) = (indices[0], indices[k]);
        let entry = |step: usize, e: usize| inner[(indices[step], e * n + indices[step + 1])];
        let terms = permanent(k, 0, (1 << k) - 1, &entry);
        if terms != T::default() {
            sums[(first, last)] += terms * difference.of(indices, table.rb_mut());
        }
        // The next tuple.
        let Some(step) = indices.iter().position(|&i| i + 1 < n) else { break };
        indices[step] += 1;
        indices[..step].fill(0);
    }
    product(work.rb_mut(), false, sums.rb(), v.transpose(), T::from_f64(1.0));
    product(dst, false, v, work.rb(), T::from_f64(1.0));
}

/// Derivatives of higher order are not computed: n nodes have nᵏ⁺¹ tuples.
pub(crate) const MOST: usize = 8;

/// `Σ Πₛ entry(s, σ(s))` over all orders σ of the directions in the set `left`, from this step on.
fn permanent<T: Scalar>(k: usize, step: usize, left: u32, entry: &impl Fn(usize, usize) -> T) -> T {
    if step == k {
        return T::from_f64(1.0);
    }
    let mut sum = T::default();
    for e in (0..k).filter(|e| left & (1 << e) != 0) {
        let factor = entry(step, e);
        if factor != T::default() {
            sum += factor * permanent(k, step + 1, left & !(1 << e), entry);
        }
    }
    sum
}

/// Divided differences of a function of which the values and some derivatives are known at some nodes.
struct Differences<'a, T> {
    values: &'a [T],
    columns: &'a [MatRef<'a, T>],
}

impl<T: Scalar> Differences<'_, T> {
    /// `f[x₀, …, x_k]` at nodes in any order. `table` has k + 1 rows and 2 columns.
    ///
    /// The quotient `(f[x₁, …, x_k] − f[x₀, …, x_{k−1}])/(x_k − x₀)` of sorted nodes has a rounding error of which the size is
    /// known. An expansion by derivatives that agrees with it to this error takes its place: where nodes are close, it is
    /// by far the more accurate one, and where f is not smooth between them, it does not agree.
    fn of(&self, indices: &[usize], mut table: MatMut<'_, T>) -> T {
        let k = indices.len() - 1;
        // Eigenvalues ascend, so that indices sort nodes.
        let mut sorted = [0usize; MOST + 1];
        let sorted = &mut sorted[..=k];
        sorted.copy_from_slice(indices);
        sorted.sort_unstable();
        let (x, f) =
            (|i: usize| self.values[sorted[i]], |d: usize, i: usize| self.columns[d][(sorted[i], 0)]);
        let epsilon = T::from_f64(ROUNDING) * T::EPSILON;
        // Differences over `order + 1` nodes and their errors, in columns 0 and 1.
        for i in 0..=k {
            table[(i, 0)] = f(0, i);
            table[(i, 1)] = epsilon * f(0, i).abs();
        }
        for order in 1..=k {
            for i in 0..=k - order {
                let spread = x(i + order) - x(i);
                let smooth = if order == 1 {
                    self.trapezoid(sorted[i], sorted[i + 1], spread)
                } else {
                    self.taylor(&sorted[i..=i + order])
                };
                let quotient = (table[(i + 1, 0)] - table[(i, 0)]) / spread;
                let error = (table[(i + 1, 1)] + table[(i, 1)]) / spread + epsilon * quotient.abs();
                let agrees = spread == T::default() || (quotient - smooth).abs() <= error;
                (table[(i, 0)], table[(i, 1)]) = if agrees {
                    let own = epsilon * smooth.abs();
                    (smooth, if spread == T::default() || own < error { own } else { error })
                } else {
                    (quotient, error)
                };
            }
        }
        table[(0, 0)]
    }

    /// The same of two nodes in ascending order.
    fn between(&self, i: usize, j: usize) -> T {
        let epsilon = T::from_f64(ROUNDING) * T::EPSILON;
        let (spread, smooth) = (self.values[j] - self.values[i], |h| self.trapezoid(i, j, h));
        if spread == T::default() {
            return smooth(spread);
        }
        let (low, high) = (self.columns[0][(i, 0)], self.columns[0][(j, 0)]);
        let quotient = (high - low) / spread;
        let error = (epsilon * high.abs() + epsilon * low.abs()) / spread + epsilon * quotient.abs();
        let smooth = smooth(spread);
        if (quotient - smooth).abs() <= error { smooth } else { quotient }
    }

    /// The mean of f′ between two nodes: `½ (f′(x) + f′(y)) − h/12 (f″(y) − f″(x)) + h³/720 (f⁗(y) − f⁗(x))`, Euler and
    /// Maclaurin's formula, as far as derivatives are known.
    fn trapezoid(&self, i: usize, j: usize, h: T) -> T {
        let at = |d: usize, i: usize| self.columns.get(d).map_or(T::default(), |column| column[(i, 0)]);
        let difference = |d: usize| at(d, j) - at(d, i);
        T::from_f64(0.5) * (at(1, i) + at(1, j)) - h * difference(2) / T::from_f64(12.0)
            + h * h * h * difference(4) / T::from_f64(720.0)
    }

    /// `Σₘ f⁽ᵏ⁺ᵐ⁾(c)/(k + m)! hₘ(x₀ − c, …, x_k − c)` about the middle node c, with the complete homogeneous polynomials hₘ.
    fn taylor(&self, nodes: &[usize]) -> T {
        let k = nodes.len() - 1;
        let center = nodes[k / 2];
        // hₘ of the nodes met so far: hₘ(…, x) = hₘ(…) + x hₘ₋₁(…, x).
        let mut complete = [T::default(); 8];
        let terms = self.columns.len().saturating_sub(k).min(complete.len());
        complete[0] = T::from_f64(1.0);
        for &node in nodes {
            let x = self.values[node] - self.values[center];
            for m in 1..terms {
                complete[m] += x * complete[m - 1];
            }
        }
        let mut factorial = (1..=k).fold(1.0, |product, i| product * i as f64);
        let mut sum = T::default();
        for (m, complete) in complete.iter().enumerate().take(terms) {
            if m > 0 {
                factorial *= (k + m) as f64;
            }
            sum += self.columns[k + m][(center, 0)] * *complete / T::from_f64(factorial);
        }
        sum
    }
}
