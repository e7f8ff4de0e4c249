//! What derivatives of eigenvalues and eigenvectors are made of: quotients by gaps, and diagonals, where values may coincide.

use super::eigen::largest;
use crate::Scalar;
use crate::failure::Failure;
use faer::traits::math_utils::sqrt;
use faer::{MatMut, MatRef};
use pullback_tape::Spectral;

/// So many rounding errors of the largest value, for each value, may be between two that coincide.
const COINCIDE: f64 = 8.0;
/// So many rounding errors of the largest entry, for each value, may be in an entry that should vanish.
const VANISH: f64 = 64.0;

/// See [`Spectral`].
pub(crate) fn spectral<T: Scalar>(
    mut dst: MatMut<'_, T>,
    op: Spectral,
    spectrum: MatRef<'_, T>,
    x: MatRef<'_, T>,
) -> Result<(), Failure> {
    let n = spectrum.nrows();
    let half = T::from_f64(0.5);
    let rounding = |errors: f64, of: MatRef<'_, T>| T::from_f64(errors * n as f64) * T::EPSILON * largest(of);
    let gap = |i: usize, j: usize| spectrum[(j, 0)] - spectrum[(i, 0)];
    let (coinciding, vanishing) = (rounding(COINCIDE, spectrum), rounding(VANISH, x));
    let coincide = |i: usize, j: usize| {
        Err(Failure::Coincide { first: i.min(j), second: i.max(j), gap: gap(i, j).abs().to_f64() })
    };
    match op {
        Spectral::Diagonal | Spectral::GeneralDiagonal => {
            for (i, j) in pairs(n) {
                // The skew part turns orthonormal vectors, and leaves values as they are.
                let skew = op == Spectral::GeneralDiagonal && (x[(i, j)] - x[(j, i)]).abs() > vanishing;
                let multiple = !skew
                    && (half * (x[(i, j)] + x[(j, i)])).abs() <= vanishing
                    && (x[(i, i)] - x[(j, j)]).abs() <= vanishing;
                if gap(i, j).abs() <= coinciding && !multiple {
                    return coincide(i, j);
                }
            }
            (0..n).for_each(|i| dst[(i, 0)] = x[(i, i)]);
        }
        Spectral::Diag => {
            for (i, j) in pairs(n) {
                if gap(i, j).abs() <= coinciding && (x[(i, 0)] - x[(j, 0)]).abs() > vanishing {
                    return coincide(i, j);
                }
            }
            dst.fill(T::default());
            (0..n).for_each(|i| dst[(i, i)] = x[(i, 0)]);
        }
        Spectral::Gaps | Spectral::SymmetricGaps | Spectral::SkewGaps => {
            let wide = wide(spectrum);
            for j in 0..n {
                for i in 0..n {
                    let numerator = match op {
                        Spectral::SymmetricGaps => half * (x[(i, j)] + x[(j, i)]),
                        Spectral::SkewGaps => half * (x[(i, j)] - x[(j, i)]),
                        _ => x[(i, j)],
                    };
                    let gap = gap(i, j);
                    let nothing = i == j || gap.abs() <= wide && numerator.abs() <= vanishing;
                    if !nothing && gap.abs() <= coinciding {
                        return coincide(i, j);
                    }
                    dst[(i, j)] = if nothing { T::default() } else { numerator / gap };
                }
            }
        }
        Spectral::SkewSums => {
            for j in 0..n {
                for i in 0..n {
                    let numerator = half * (x[(i, j)] - x[(j, i)]);
                    let sum = spectrum[(i, 0)] + spectrum[(j, 0)];
                    let nothing = sum <= wide(spectrum) && numerator.abs() <= vanishing;
                    if !nothing && sum <= coinciding {
                        return coincide(i, j);
                    }
                    dst[(i, j)] = if nothing { T::default() } else { numerator / sum };
                }
            }
        }
        Spectral::Distinct => {
            let used = |i: usize| x[(i, 0)] != T::default();
            if let Some((i, j)) =
                pairs(n).find(|&(i, j)| gap(i, j).abs() <= coinciding && (used(i) || used(j)))
            {
                return coincide(i, j);
            }
            dst.copy_from(spectrum);
        }
        Spectral::Positive => {
            let used = |i: usize| x[(i, 0)] != T::default();
            if let Some(pivot) = (0..n).find(|&i| spectrum[(i, 0)] <= coinciding && used(i)) {
                return Err(Failure::Singular { pivot });
            }
            dst.copy_from(spectrum);
        }
        Spectral::Columns => {
            for j in 0..n {
                let (value, zero) = (spectrum[(j, 0)], T::default());
                // A rounding error over a rounding error says nothing, however small it is.
                if value.abs() <= coinciding && (0..x.nrows()).any(|i| x[(i, j)] != zero) {
                    return Err(Failure::Singular { pivot: j });
                }
                for i in 0..x.nrows() {
                    dst[(i, j)] = if x[(i, j)] == zero { zero } else { x[(i, j)] / value };
                }
            }
        }
    }
    Ok(())
}

/// Beyond such a gap, a rounding error of the numerator does no more than it does anywhere.
fn wide<T: Scalar>(spectrum: MatRef<'_, T>) -> T {
    sqrt(&T::EPSILON) * largest(spectrum)
}

fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(|j| (0..j).map(move |i| (i, j)))
}
