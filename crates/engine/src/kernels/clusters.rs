//! Which of the real eigenvalues of a general matrix can be told apart, as far as rounding errors allow to say.
//!
//! A change E of the matrix moves an eigenvalue λ by `yᵀ E x/(yᵀ x)` to first order, with its eigenvectors x on the right and
//! y on the left: by up to `κ ‖E‖` with the condition `κ = ‖x‖ ‖y‖/|yᵀ x|` (Wilkinson, *The Algebraic Eigenvalue Problem*,
//! §2.8; Golub & Van Loan, *Matrix Computations*, 4th ed., §7.2.2). As the columns of V have norm 1, κ is the norm of a row of
//! `V⁻¹`. Eigenvalues that come closer than that with an E of rounding errors may be one: they form a cluster.
//!
//! On the cluster, with the mean λ̄, the projector `P = Σ xᵢ yᵢᵀ/(yᵢᵀ xᵢ)` and `N = Σ (λᵢ − λ̄) xᵢ yᵢᵀ/(yᵢᵀ xᵢ)`, the matrix is
//! `λ̄ P + N`. A full set of eigenvectors belongs to λ̄ if N is no more than what E does to it, `P E P` (Kato, *Perturbation Theory
//! for Linear Operators*, §II.2). Otherwise the eigenvalue is defective: eigenvalues are no differentiable functions there. N is
//! not small though the λᵢ are close, because the xᵢ are almost the same.

use super::registers;
use crate::Scalar;
use crate::failure::Failure;
use faer::dyn_stack::{MemStack, StackReq};
use faer::linalg::lu::partial_pivoting as lu;
use faer::linalg::{temp_mat_scratch, temp_mat_zeroed};
use faer::mat::AsMatMut;
use faer::perm::PermRef;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef, Par};
use std::ops::Range;

pub(crate) fn clusters_scratch<T: Scalar>(n: usize) -> StackReq {
    let factorize = lu::factor::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, Default::default());
    StackReq::all_of(&[
        temp_mat_scratch::<T>(n, n).array(2),
        StackReq::new::<usize>(n).array(2),
        StackReq::new::<f64>(n),
        factorize.or(lu::inverse::inverse_scratch::<usize, T>(n, Par::Seq)),
    ])
}

/// The eigenvalues of an n×n matrix from its decomposition, as it comes from [`real_eigen`](super::real_eigen::real_eigen). In
/// place of those that cannot be told apart there is their mean.
///
/// # Errors
/// If they have too few eigenvectors.
pub(crate) fn clusters<T: Scalar>(
    mut dst: MatMut<'_, T>,
    factors: MatRef<'_, T>,
    n: usize,
    stack: &mut MemStack,
) -> Result<(), Failure> {
    let Some(numbers) = factors.col(0).try_as_col_major().map(|column| column.as_slice()) else {
        return Ok(());
    };
    let (values, rest) = numbers.split_at(n);
    let (vectors, rounding) = rest.split_at(n * n);
    let v = MatRef::from_column_major_slice(vectors, n, n);
    for (i, &value) in values.iter().enumerate() {
        dst[(i, 0)] = value;
    }
    let Some(rounding) = rounding.first().filter(|rounding| n > 0 && rounding.is_finite()) else {
        return Ok(());
    };
    let rounding = rounding.to_f64();
    let failure = |first: usize, second: usize| {
        let gap = values[second].to_f64() - values[first].to_f64();
        Err(Failure::Defective { first, second, gap })
    };
    let (mut packed, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut left, stack) = temp_mat_zeroed::<T, _, _>(n, n, stack);
    let (mut packed, mut left) = (packed.as_mat_mut(), left.as_mat_mut());
    let (mut forward, stack) = stack.make_with::<usize>(n, |i| i);
    let (mut backward, stack) = stack.make_with::<usize>(n, |i| i);
    let (mut conditions, stack) = stack.make_with::<f64>(n, |_| 0.0);
    packed.copy_from(v);
    let params = Default::default();
    lu::factor::lu_in_place(packed.rb_mut(), &mut forward, &mut backward, Par::Seq, stack, params);
    registers::release();
    if (0..n).any(|k| packed[(k, k)] == T::default()) {
        let (first, second) = most_alike(v);
        return failure(first, second);
    }
    let permutation = PermRef::new_checked(&forward, &backward, n);
    lu::inverse::inverse(left.rb_mut(), packed.rb(), packed.rb(), permutation, Par::Seq, stack);
    registers::release();
    let left = left.rb();
    for (i, condition) in conditions.iter_mut().enumerate() {
        *condition = (0..n).map(|j| left[(i, j)].to_f64().powi(2)).sum::<f64>().sqrt();
    }
    let mut start = 0;
    while start < n {
        let end = end_of_cluster(values, &conditions, rounding, start);
        if end - start > 1 {
            let cluster = start..end;
            let lowest = values[start].to_f64();
            let above = |i: usize| values[i].to_f64() - lowest;
            let mean = lowest + cluster.clone().map(above).sum::<f64>() / (end - start) as f64;
            if is_defective(values, v, left, &conditions, rounding, cluster.clone(), mean) {
                // The two that are closest.
                let gap = |i: &usize| values[*i + 1].to_f64() - values[*i].to_f64();
                let first = (start..end - 1).min_by(|i, j| gap(i).total_cmp(&gap(j))).unwrap_or(start);
                return failure(first, first + 1);
            }
            cluster.for_each(|i| dst[(i, 0)] = T::from_f64(mean));
        }
        start = end;
    }
    Ok(())
}

/// Where the cluster ends that begins at `start`: of ascending values, whose intervals overlap.
fn end_of_cluster<T: Scalar>(values: &[T], conditions: &[f64], rounding: f64, start: usize) -> usize {
    let value = |i: usize| values[i].to_f64();
    // A condition that is no number belongs to a V that is singular.
    let radius = |i: usize| {
        let radius = rounding * conditions[i];
        if radius.is_finite() { radius } else { f64::INFINITY }
    };
    let (mut end, mut reach) = (start + 1, value(start) + radius(start));
    // Whatever lies between two that overlap overlaps with one of them.
    while let Some(last) = (end..values.len()).rev().find(|&k| value(k) - radius(k) <= reach) {
        reach = (end..=last).fold(reach, |reach, k| reach.max(value(k) + radius(k)));
        end = last + 1;
    }
    end
}

/// Whether a cluster has too few eigenvectors.
fn is_defective<T: Scalar>(
    values: &[T],
    v: MatRef<'_, T>,
    left: MatRef<'_, T>,
    conditions: &[f64],
    rounding: f64,
    cluster: Range<usize>,
    mean: f64,
) -> bool {
    let away = |a: usize| values[a].to_f64() - mean;
    // Half of the digits of V⁻¹ are lost, or all of them.
    let lost = |a: usize| conditions[a].is_nan() || conditions[a].powi(2) * T::EPSILON.to_f64() > 1.0;
    if cluster.clone().any(lost) {
        return true;
    }
    // No projector has a norm below 1, and N none above this sum.
    if cluster.clone().map(|a| away(a).abs() * conditions[a]).sum::<f64>() <= rounding {
        return false;
    }
    let widest = cluster.clone().fold(0.0, |widest: f64, a| widest.max(away(a).abs()));
    let (mut p, mut n) = (0.0, 0.0);
    for j in 0..values.len() {
        for i in 0..values.len() {
            let (mut of_p, mut of_n) = (0.0, 0.0);
            for a in cluster.clone() {
                let product = v[(i, a)].to_f64() * left[(a, j)].to_f64();
                of_p += product;
                of_n += product * (away(a) / widest);
            }
            p += of_p * of_p;
            n += of_n * of_n;
        }
    }
    widest * n.sqrt() > rounding * p
}

/// Two columns of norm 1 that are the closest to parallel.
fn most_alike<T: Scalar>(v: MatRef<'_, T>) -> (usize, usize) {
    let cosine =
        |i: usize, j: usize| (0..v.nrows()).fold(T::default(), |sum, k| sum + v[(k, i)] * v[(k, j)]).abs();
    let mut found = ((0, 0), T::default());
    for j in 0..v.ncols() {
        for i in 0..j {
            if cosine(i, j) > found.1 {
                found = ((i, j), cosine(i, j));
            }
        }
    }
    found.0
}
