//! The exponential of a matrix times another one, without the exponential.

use super::expm::{self, ALIGN, is_double, norm_estimate, one_norm, slices};
use super::product::product;
use super::reduce::sum_of_sizes;
use super::transpose;
use crate::Scalar;
use faer::dyn_stack::{MemStack, StackReq};
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};

/// Degrees m of Taylor polynomials, and up to which size θ of A they may be used, in `f64` and in `f32`: with
/// `log(e⁻ˣ Tₘ(x)) = Σ cⱼ xʲ`, it is where `Σ |cⱼ| θʲ⁻¹` is the unit roundoff. (Al-Mohy and Higham, SIAM J. Sci. Comput. 33
/// (2011) 488, Table 3.1)
const DEGREES: [(usize, f64, f64); 11] = [
    (5, 2.401e-3, 0.1308),
    (10, 0.1442, 0.9952),
    (15, 0.6411, 2.217),
    (20, 1.438, 3.551),
    (25, 2.429, 4.927),
    (30, 3.54, 6.321),
    (35, 4.728, 7.724),
    (40, 5.969, 9.131),
    (45, 7.245, 10.54),
    (50, 8.547, 11.95),
    (55, 9.867, 13.36),
];

/// Powers up to this one are estimated.
const HIGHEST: usize = 6;
/// Estimating them costs about so many products with a vector.
const ESTIMATES: f64 = 100.0;

/// Scratch for [`exp_action`] of an n×n matrix on p columns.
pub(crate) fn exp_action_scratch<T: Scalar>(n: usize, p: usize) -> StackReq {
    match numbers(n, p).filter(|&len| len < isize::MAX as usize / size_of::<T>()) {
        Some(len) => StackReq::new_aligned::<T>(len, ALIGN)
            .and(StackReq::new::<T>(n.saturating_mul(3)).or(expm::exp_scratch::<T>(n, 0))),
        None => StackReq::OVERFLOW,
    }
}

/// A square matrix, three like the right factor, and a row.
fn numbers(n: usize, p: usize) -> Option<usize> {
    n.checked_mul(n)?.checked_add(n.checked_mul(p)?.checked_mul(3)?)?.checked_add(p)
}

/// `dst = exp(a) b`. If a is not finite, the result is NaN.
pub(crate) fn exp_action<T: Scalar>(
    mut dst: MatMut<'_, T>,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    stack: &mut MemStack,
) {
    let (n, p) = (b.nrows(), b.ncols());
    let Some(len) = numbers(n, p).filter(|_| n > 0 && p > 0) else { return };
    let (mut numbers, stack) = stack.make_aligned_with::<T>(len, ALIGN, |_| T::default());
    let (square, rest) = numbers.split_at_mut(n * n);
    let (wide, sizes) = rest.split_at_mut(3 * n * p);
    let [sum, mut term, mut next] = slices(wide, n * p);
    let one = T::from_f64(1.0);

    // exp(A) = e^μ exp(A − μ I); of all shifts, by the mean of the eigenvalues, the norm is about smallest.
    let mut shifted = MatMut::from_column_major_slice_mut(square, n, n);
    transpose::copy(shifted.rb_mut(), a, one);
    let mean = (0..n).fold(T::default(), |sum, i| sum + shifted[(i, i)] / T::from_f64(n as f64));
    for i in 0..n {
        shifted[(i, i)] -= mean;
    }
    let norm = one_norm(shifted.rb());
    if !norm.is_finite() {
        return dst.fill(T::from_f64(f64::NAN));
    }
    let Some((degree, steps)) = steps(shifted.rb(), norm, p, stack) else {
        expm::exp(shifted.rb_mut(), a, &[], stack);
        return product(dst, false, shifted.rb(), b, one);
    };

    transpose::copy(MatMut::from_column_major_slice_mut(sum, n, p), b, one);
    let factor = (mean / T::from_f64(steps as f64)).exp();
    for _ in 0..steps {
        term.copy_from_slice(sum);
        for (size, term) in sizes.iter_mut().zip(term.chunks_exact(n)) {
            *size = sum_of_sizes(term);
        }
        for k in 1..=degree {
            let (to, from) = (MatMut::from_column_major_slice_mut(next, n, p), &*term);
            let from = MatRef::from_column_major_slice(from, n, p);
            product(to, false, shifted.rb(), from, T::from_f64(1.0 / (steps as f64 * k as f64)));
            std::mem::swap(&mut term, &mut next);
            // Two terms that do not count in any column are taken as a sign that none will.
            let mut negligible = true;
            for ((before, term), sum) in
                sizes.iter_mut().zip(term.chunks_exact(n)).zip(sum.chunks_exact_mut(n))
            {
                sum.iter_mut().zip(term).for_each(|(sum, &term)| *sum += term);
                let size = sum_of_sizes(term);
                negligible &= *before + size <= T::from_f64(0.5) * T::EPSILON * sum_of_sizes(sum);
                *before = size;
            }
            if negligible {
                break;
            }
        }
        sum.iter_mut().for_each(|sum| *sum *= factor);
    }
    transpose::copy(dst, MatRef::from_column_major_slice(sum, n, p), one);
}

/// The degree m and the number s of Taylor polynomials in `A/s` that take the fewest products; none if the exponential and
/// one product take less time.
fn steps<T: Scalar>(a: MatRef<'_, T>, norm: f64, p: usize, stack: &mut MemStack) -> Option<(usize, usize)> {
    if norm > LARGE {
        return None;
    }
    let n = a.nrows() as f64;
    // Up to a size of α, if degrees from `least` are allowed.
    let fewest = |alpha: f64, least: usize| {
        let allowed = DEGREES.iter().filter(|(m, ..)| *m + 1 >= least);
        let cost = |&(m, double, single): &(usize, f64, f64)| {
            let s = (alpha / if is_double::<T>() { double } else { single }).ceil().max(1.0);
            (m as f64 * s, m, s)
        };
        allowed
            .map(cost)
            .fold((f64::INFINITY, 0, 0.0), |best, this| if this.0 < best.0 { this } else { best })
    };
    let mut best = fewest(norm, 0);
    if best.0 * p as f64 > 2.0 * ESTIMATES {
        // The norms of powers may be smaller than the powers of the norm, and bound those of all higher powers.
        let (mut numbers, _) = stack.make_with::<T>(3 * a.nrows(), |_| T::default());
        let mut last = norm;
        for power in 2..=HIGHEST {
            let size = norm_estimate(slices(&mut numbers, a.nrows()), |x, y, transposed| {
                let a = if transposed { a.transpose() } else { a };
                for _ in 0..power {
                    product(y.rb_mut(), false, a, x.as_ref(), T::from_f64(1.0));
                    x.copy_from(&y);
                }
            });
            let root = size.powf(1.0 / power as f64);
            let other = fewest(last.max(root).min(norm), (power - 1) * (power - 2));
            if other.0 < best.0 && power > 2 {
                best = other;
            }
            last = root;
        }
    }
    let (products, m, s) = best;
    let squarings = (norm / 4.0).log2().max(0.0);
    (products * p as f64 <= (8.0 + squarings) * n + p as f64).then_some((m, s as usize))
}

/// Matrices of larger norm would take forever, and their powers overflow.
const LARGE: f64 = 65536.0;
