//! The exponential of a matrix, and its Fréchet derivatives of every order.
//!
//! The derivative of order k at A in the directions E₁ … Eₖ is the coefficient of `ε₁ ⋯ εₖ` in `exp(A + Σ εⱼ Eⱼ)`, where
//! every `εⱼ² = 0`. So the algorithm for the exponential is carried out with numbers of this algebra: an *element* is one
//! matrix for every set S of directions, and the product of two is `(X Y)_S = Σ X_T Y_{S∖T}` over the subsets T of S, 3ᵏ
//! products of matrices. For k = 1 this is the algorithm of Al-Mohy and Higham (SIAM J. Matrix Anal. Appl. 30 (2009) 1639),
//! three products for each product of the exponential; in general it is what the block triangular matrix of order 2ᵏ n
//! computes that Higham and Relton use (SIAM J. Matrix Anal. Appl. 35 (2014) 1019), without its zeros and repetitions.

use super::product::product;
use super::reduce::sum_of_sizes;
use super::{registers, transpose};
use crate::Scalar;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::lu::partial_pivoting as lu;
use faer::perm::PermRef;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef, Par};

/// A diagonal Padé approximant of degree m.
struct Degree {
    m: usize,
    /// For the exponential and its first three derivatives, up to which size of A it may be used. With
    /// `log(e⁻ˣ rₘ(x)) = Σ cⱼ xʲ` and `h(x) = Σ |cⱼ| xʲ` it is where `h(θ)/θ`, or the derivative of that order of h, is the
    /// unit roundoff: the result is then that of a matrix and directions which differ by so much.
    reach: [f64; 4],
}

/// For `f64`. Of the last, the first three are limited to 4.25, so that the denominator is well conditioned (Al-Mohy and
/// Higham, SIAM J. Matrix Anal. Appl. 31 (2009) 970).
const DOUBLE: [Degree; 5] = [
    Degree { m: 3, reach: [1.49559e-2, 1.08134e-2, 3.0558e-3, 4.80466e-4] },
    Degree { m: 5, reach: [0.25394, 0.199806, 0.129364, 7.61252e-2] },
    Degree { m: 7, reach: [0.950418, 0.783461, 0.627778, 0.487779] },
    Degree { m: 9, reach: [2.09785, 1.78245, 1.55641, 1.34095] },
    Degree { m: 13, reach: [4.25, 4.25, 4.25, 4.12481] },
];

/// For `f32`. (Higham, SIAM J. Matrix Anal. Appl. 26 (2005) 1179, has the first column.)
const SINGLE: [Degree; 3] = [
    Degree { m: 3, reach: [0.425873, 0.308033, 0.170189, 7.31267e-2] },
    Degree { m: 5, reach: [1.88015, 1.48253, 1.20093, 0.935078] },
    Degree { m: 7, reach: [3.92572, 3.24867, 2.90721, 2.56997] },
];

impl Degree {
    /// Up to which size it may be used for a derivative; of a higher order than 3, only the last is used.
    fn reach(&self, order: usize, last: bool) -> f64 {
        match self.reach.get(order) {
            Some(&reach) => reach,
            None if last => self.reach[3] * 0.85f64.powi(order as i32 - 3),
            None => -1.0,
        }
    }

    /// `log₂` of `|c₂ₘ₊₁| = (m!)² / ((2m)! (2m + 1)!)`.
    fn leading(&self) -> f64 {
        let m = self.m as f64;
        let log = |from: usize, to: usize| (from..=to).map(|i| (i as f64).log2()).sum::<f64>();
        log(1, self.m) - log(self.m + 1, 2 * self.m) - log(1, 2 * self.m) - (2.0 * m + 1.0).log2()
    }

    /// The coefficients of the numerator, that of 1 being 1; they are all that is needed, as the denominator has the same
    /// with alternating signs.
    fn coefficients(&self) -> [f64; 14] {
        let mut b = [0.0; 14];
        b[0] = 1.0;
        for j in 0..self.m.min(13) {
            b[j + 1] = b[j] * (self.m - j) as f64 / ((2 * self.m - j) * (j + 1)) as f64;
        }
        b
    }
}

/// Whether numbers are as precise as an `f64`.
pub(super) fn is_double<T: Scalar>() -> bool {
    T::EPSILON.to_f64() < 1e-10
}

/// A matrix of larger norm is scaled before its powers are computed, so that none overflows: log₂ of it.
fn largest<T: Scalar>() -> f64 {
    if is_double::<T>() { 80.0 } else { 20.0 }
}

/// Bounds of `‖Aʲ‖₁ / ‖A‖₁ʲ` are considered for so many j.
const POWERS: usize = 52;

/// What is known of the size of A and its powers.
struct Sizes {
    /// `‖A‖₁`.
    norm: f64,
    /// `‖Aʲ‖₁ / ‖A‖₁ʲ` where it was computed or estimated, and else 1.
    powers: [f64; 11],
}

impl Sizes {
    fn new(norm: f64) -> Self {
        Sizes { norm, powers: [1.0; 11] }
    }

    fn learn(&mut self, j: usize, norm: f64) {
        if self.norm > 0.0 {
            self.powers[j] = (norm / self.norm.powi(j as i32)).min(1.0);
        }
    }

    /// A number η for which the backward error of the degree is no more than if `‖A‖ = η`.
    ///
    /// In the derivative of order k of `h(A) = Σ cⱼ Aʲ` stand products `A^{i₀} E₁ A^{i₁} ⋯ Eₖ A^{iₖ}` with `Σ i = j − k`;
    /// their norms are bounded by those of the powers, which may be far smaller than the powers of the norm, and η^{j−k}
    /// is the largest mean of such bounds. For k = 0, what counts is `h(A)/A`. Only odd j ≥ 2m + 1 occur.
    fn effective(&self, order: usize, m: usize) -> f64 {
        if self.norm == 0.0 {
            return 0.0;
        }
        let mut bounds = [1.0f64; POWERS];
        for j in 1..POWERS {
            for i in [1, 2, 4, 6, 8, 10].into_iter().take_while(|&i| i <= j) {
                bounds[j] = bounds[j].min(self.powers[i] * bounds[j - i]);
            }
        }
        // Sums over all i₀ + … + iₖ, and how many terms they have.
        let (mut sums, mut counts) = (bounds, [1.0f64; POWERS]);
        for _ in 0..order {
            for j in (0..POWERS).rev() {
                sums[j] = (0..=j).map(|i| bounds[i] * sums[j - i]).sum();
                counts[j] = counts[..=j].iter().sum();
            }
        }
        let logarithm = |j: usize| (sums[j] / counts[j]).ln() / j as f64;
        let exponents = (2 * m + 1..POWERS).step_by(2).map(|j| j.saturating_sub(order.max(1)).max(1));
        self.norm * exponents.map(logarithm).fold(f64::NEG_INFINITY, f64::max).exp()
    }
}

/// How many numbers and matrices of them an exponential needs besides its operands.
const ELEMENTS: usize = 7;

/// The numbers of an element with k directions.
fn element(n: usize, k: usize) -> Option<usize> {
    let blocks = 1usize.checked_shl(u32::try_from(k).ok()?)?;
    n.checked_mul(n)?.checked_mul(blocks)
}

/// Scratch for [`exp`] of an n×n matrix with k directions.
pub(crate) fn exp_scratch<T: Scalar>(n: usize, k: usize) -> StackReq {
    let numbers = element(n, k).and_then(|len| len.checked_mul(ELEMENTS * size_of::<T>()));
    match numbers.filter(|&bytes| k < 32 && bytes < isize::MAX as usize) {
        Some(bytes) => StackReq::all_of(&[
            StackReq::new_aligned::<T>(bytes / size_of::<T>(), ALIGN),
            StackReq::new::<usize>(2 * n),
            lu::factor::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, Default::default())
                .or(lu::solve::solve_in_place_scratch::<usize, T>(n, n, Par::Seq)),
        ]),
        None => StackReq::OVERFLOW,
    }
}

/// Numbers in scratch begin at a cache line.
pub(super) const ALIGN: usize = 64;

/// Slices of `len` numbers.
pub(super) fn slices<T, const K: usize>(numbers: &mut [T], len: usize) -> [&mut [T]; K] {
    let mut rest = numbers;
    std::array::from_fn(|_| {
        let (first, more) = std::mem::take(&mut rest).split_at_mut(len);
        rest = more;
        first
    })
}

/// The derivative of order k of the exponential at A in k directions; with none, it is `exp(A)`.
///
/// Scaling and squaring with Padé approximants; how often is decided by the norms of powers of A (Al-Mohy and Higham,
/// SIAM J. Matrix Anal. Appl. 31 (2009) 970). If A is not finite, the result is NaN.
pub(crate) fn exp<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    directions: &[MatRef<'_, T>],
    stack: &mut MemStack,
) {
    let (n, order) = (a.nrows(), directions.len());
    let Some(len) = element(n, order).filter(|&len| len > 0) else { return };
    let (mut numbers, stack) = stack.make_aligned_with::<T>(ELEMENTS * len, ALIGN, |_| T::default());
    let [x, x2, x4, x6, mut u, v, mut t] = slices(&mut numbers, len);

    let one = T::from_f64(1.0);
    transpose::copy(matrix_mut(x, n, 0), a, one);
    let mut squarings = 0;
    let norm = norm(x, n);
    if !norm.is_finite() {
        return dst.fill(T::from_f64(f64::NAN));
    }
    if norm.log2() > largest::<T>() {
        squarings = (norm.log2() - largest::<T>()).ceil() as i32;
        scale(&mut x[..n * n], squarings);
    }
    for (j, &direction) in directions.iter().enumerate() {
        transpose::copy(matrix_mut(x, n, 1 << j), direction, one);
        scale(&mut x[(n * n) << j..][..n * n], squarings);
    }

    let mut sizes = Sizes::new(self::norm(x, n));
    multiply(x2, x, x, n);
    sizes.learn(2, self::norm(x2, n));
    let degrees: &[Degree] = if is_double::<T>() { &DOUBLE } else { &SINGLE };
    let mut degree = &degrees[0];
    for (i, candidate) in degrees.iter().enumerate() {
        degree = candidate;
        match degree.m {
            5 => {
                multiply(x4, x2, x2, n);
                sizes.learn(4, self::norm(x4, n));
            }
            7 => {
                multiply(x6, x2, x4, n);
                sizes.learn(6, self::norm(x6, n));
            }
            _ => {}
        }
        let last = i + 1 == degrees.len();
        let reach = degree.reach(order, last);
        let effective = |sizes: &Sizes| {
            if sizes.norm <= reach { sizes.norm } else { sizes.effective(order, degree.m) }
        };
        let mut size = effective(&sizes);
        if last && size > reach {
            sizes.learn(8, estimate(x4, x4, n, [&mut u[..n], &mut v[..n], &mut t[..n]]));
            sizes.learn(10, estimate(x4, x6, n, [&mut u[..n], &mut v[..n], &mut t[..n]]));
            size = effective(&sizes);
        }
        if size <= reach || last {
            let s = (size / reach).log2().ceil().max(0.0);
            let excess = excess(degree, x, &sizes, s, [&mut *u, &mut *v, &mut *t], n);
            if !last && excess > 0.0 {
                continue;
            }
            let s = (s + excess) as i32;
            for (power, x) in [(1, &mut *x), (2, &mut *x2), (4, &mut *x4), (6, &mut *x6)] {
                scale(x, power * s);
            }
            squarings += s;
            break;
        }
    }

    // r = (V − U)⁻¹ (V + U) with the odd part U of the numerator and the even part V.
    let b = degree.coefficients();
    if degree.m == 13 {
        combine(t, [b[13], b[11], b[9]], [x6, x4, x2], 0.0, n);
        combine(v, [b[7], b[5], b[3]], [x6, x4, x2], b[1], n);
        multiply_add(v, x6, t, n);
        multiply(u, x, v, n);
        combine(t, [b[12], b[10], b[8]], [x6, x4, x2], 0.0, n);
        combine(v, [b[6], b[4], b[2]], [x6, x4, x2], b[0], n);
        multiply_add(v, x6, t, n);
    } else {
        if degree.m == 9 {
            multiply(t, x4, x4, n);
        }
        // Coefficients beyond the degree are 0, and so are the powers that were not computed.
        combine(v, [b[3], b[5], b[7], b[9]], [x2, x4, x6, t], b[1], n);
        multiply(u, x, v, n);
        combine(v, [b[2], b[4], b[6], b[8]], [x2, x4, x6, t], b[0], n);
    }
    for (u, v) in u.iter_mut().zip(v.iter_mut()) {
        (*u, *v) = (*v + *u, *v - *u);
    }
    divide(u, v, n, stack);
    for _ in 0..squarings {
        multiply(t, u, u, n);
        std::mem::swap(&mut u, &mut t);
    }
    transpose::copy(dst, matrix(u, n, len / (n * n) - 1), one);
}

/// One matrix of an element.
fn matrix<T: Scalar>(x: &[T], n: usize, set: usize) -> MatRef<'_, T> {
    MatRef::from_column_major_slice(&x[set * n * n..][..n * n], n, n)
}

fn matrix_mut<T: Scalar>(x: &mut [T], n: usize, set: usize) -> MatMut<'_, T> {
    MatMut::from_column_major_slice_mut(&mut x[set * n * n..][..n * n], n, n)
}

/// `‖A‖₁` of an element `A + …`; NaN if an entry is.
fn norm<T: Scalar>(x: &[T], n: usize) -> f64 {
    one_norm(matrix(x, n, 0))
}

/// The largest sum of sizes of a column; NaN if an entry is. The columns are contiguous.
pub(super) fn one_norm<T: Scalar>(x: MatRef<'_, T>) -> f64 {
    x.col_iter().fold(0.0, |max: f64, column| {
        let sum = column.try_as_col_major().map_or(0.0, |column| sum_of_sizes(column.as_slice()).to_f64());
        if sum <= max { max } else { sum }
    })
}

/// `x = 2⁻ˢ x`
fn scale<T: Scalar>(x: &mut [T], s: i32) {
    if s > 0 {
        let factor = T::from_f64(0.5f64.powi(s));
        x.iter_mut().for_each(|x| *x *= factor);
    }
}

/// The subsets of a set, from itself to the empty one.
fn subsets(set: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(set), move |&subset| (subset > 0).then(|| (subset - 1) & set))
}

/// `out = x y`
fn multiply<T: Scalar>(out: &mut [T], x: &[T], y: &[T], n: usize) {
    multiply_into(out, false, x, y, n);
}

/// `out += x y`
fn multiply_add<T: Scalar>(out: &mut [T], x: &[T], y: &[T], n: usize) {
    multiply_into(out, true, x, y, n);
}

fn multiply_into<T: Scalar>(out: &mut [T], accumulate: bool, x: &[T], y: &[T], n: usize) {
    for set in 0..out.len() / (n * n) {
        for left in subsets(set) {
            let (a, b) = (matrix(x, n, left), matrix(y, n, set & !left));
            product(matrix_mut(out, n, set), accumulate || left != set, a, b, T::from_f64(1.0));
        }
    }
}

/// `out = Σ cᵢ xᵢ + c I`
fn combine<T: Scalar, const K: usize>(out: &mut [T], c: [f64; K], x: [&[T]; K], unit: f64, n: usize) {
    let c = c.map(T::from_f64);
    for (i, out) in out.iter_mut().enumerate() {
        *out = (0..K).fold(T::default(), |sum, k| sum + c[k] * x[k][i]);
    }
    for i in 0..n {
        out[i * (n + 1)] += T::from_f64(unit);
    }
}

/// `p = q⁻¹ p`: `p_S = q_∅⁻¹ (p_S − Σ q_T p_{S∖T})` over the subsets T of S that are not empty.
fn divide<T: Scalar>(p: &mut [T], q: &mut [T], n: usize, stack: &mut MemStack) {
    let (mut rows, stack) = stack.make_with::<usize>(2 * n, |_| 0);
    let (forward, inverse) = rows.split_at_mut(n);
    let mut factors = matrix_mut(q, n, 0);
    lu::factor::lu_in_place(factors.rb_mut(), forward, inverse, Par::Seq, stack, Default::default());
    registers::release();
    let (forward, inverse) = (&*forward, &*inverse);
    for set in 0..p.len() / (n * n) {
        // Sets are numbered so that subsets come before.
        let (before, rest) = p.split_at_mut(set * n * n);
        let mut rhs = matrix_mut(rest, n, 0);
        for subset in subsets(set).filter(|&subset| subset > 0) {
            let (a, b) = (matrix(q, n, subset), matrix(before, n, set & !subset));
            product(rhs.rb_mut(), true, a, b, T::from_f64(-1.0));
        }
        let (factors, rows) = (matrix(q, n, 0), PermRef::new_checked(forward, inverse, n));
        lu::solve::solve_in_place(factors, factors, rows, rhs, Par::Seq, stack);
        registers::release();
    }
}

/// An estimate of `‖B C‖₁`, from below and seldom off by more than a factor of 3, by some products with vectors. (Hager,
/// SIAM J. Sci. Stat. Comput. 5 (1984) 311; Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., §15.3)
fn estimate<T: Scalar>(b: &[T], c: &[T], n: usize, work: [&mut [T]; 3]) -> f64 {
    let (b, c) = (matrix(b, n, 0), matrix(c, n, 0));
    norm_estimate(work, |x, y, transposed| {
        let [first, second] = if transposed { [b.transpose(), c.transpose()] } else { [c, b] };
        product(y.rb_mut(), false, first, x.as_ref(), T::from_f64(1.0));
        product(x.rb_mut(), false, second, y.as_ref(), T::from_f64(1.0));
    })
}

/// The same of any matrix M: `times(x, y, false)` replaces the column x by `M x`, `times(x, y, true)` by `Mᵀ x`; y is
/// another column for it.
pub(super) fn norm_estimate<T: Scalar>(
    work: [&mut [T]; 3],
    mut times: impl FnMut(&mut MatMut<'_, T>, &mut MatMut<'_, T>, bool),
) -> f64 {
    let [x, y, at] = work;
    let n = x.len();
    let mut best = 0.0;
    at.fill(T::from_f64(1.0 / n as f64));
    for _ in 0..MOST_STEPS {
        x.copy_from_slice(at);
        let mut columns = (column(x), column(y));
        times(&mut columns.0, &mut columns.1, false);
        let size = sum_of_sizes(x).to_f64();
        if size.is_nan() || size <= best {
            break;
        }
        best = size;
        x.iter_mut().for_each(|x| *x = T::from_f64(if *x < T::default() { -1.0 } else { 1.0 }));
        let mut columns = (column(x), column(y));
        times(&mut columns.0, &mut columns.1, true);
        let steepest = (0..n).fold(0, |best, i| if x[i].abs() > x[best].abs() { i } else { best });
        let at_sum = x.iter().zip(at.iter()).fold(T::default(), |sum, (&x, &at)| sum + x * at);
        if x[steepest].abs() <= at_sum {
            break;
        }
        at.fill(T::default());
        at[steepest] = T::from_f64(1.0);
    }
    best
}

/// An estimate takes at most so many steps; two are usual.
const MOST_STEPS: usize = 5;

fn column<T: Scalar>(x: &mut [T]) -> MatMut<'_, T> {
    let n = x.len();
    MatMut::from_column_major_slice_mut(x, n, 1)
}

/// How much more a matrix has to be scaled that was scaled s times, so that rounding errors stay small beside it where
/// its powers are small by cancellation: with `α = |c₂ₘ₊₁| ‖|A|²ᵐ⁺¹‖ / ‖A‖`, it is `⌈log₂(α/u) / 2m⌉`. (Al-Mohy and
/// Higham, SIAM J. Matrix Anal. Appl. 31 (2009) 970, eq. (5.2))
fn excess<T: Scalar>(
    degree: &Degree,
    x: &[T],
    sizes: &Sizes,
    s: f64,
    [u, v, t]: [&mut [T]; 3],
    n: usize,
) -> f64 {
    let twice = 2.0 * degree.m as f64;
    let roundoff = 0.5 * T::EPSILON.to_f64();
    // Without cancellation there is nothing to do; `‖|A|ʲ‖ ≤ ‖A‖ʲ`, which is almost always enough to see it.
    let bound = degree.leading() + twice * (sizes.norm.log2() - s) - roundoff.log2();
    if bound.is_nan() || bound <= 0.0 {
        return 0.0;
    }
    let scaled = T::from_f64(1.0 / sizes.norm);
    for (t, x) in t.iter_mut().zip(&x[..n * n]) {
        *t = x.abs() * scaled;
    }
    let (mut sums, mut next) = (&mut u[..n], &mut v[..n]);
    sums.fill(T::from_f64(1.0));
    for _ in 0..=2 * degree.m {
        let columns = matrix(t, n, 0).transpose();
        product(column(next), false, columns, column(sums).rb(), T::from_f64(1.0));
        std::mem::swap(&mut sums, &mut next);
    }
    let largest = sums.iter().fold(T::default(), |max, &sum| if sum > max { sum } else { max });
    ((bound + largest.to_f64().log2()) / twice).ceil().max(0.0)
}
