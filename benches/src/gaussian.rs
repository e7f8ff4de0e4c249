//! The negative log-likelihood of a Gaussian process, `½ (yᵀ K⁻¹ y + log det K)`, and its gradient in the covariance,
//! `½ (K⁻¹ − K⁻¹ y yᵀ K⁻¹)`.

use crate::compiled::Compiled;
use crate::hand::{TILE, load, release_registers, store, transposed};
use crate::harness::Contenders;
use crate::race::Contender;
use crate::random::Random;
use pullback::faer::dyn_stack::{MemBuffer, MemStack};
use pullback::faer::linalg::cholesky::llt;
use pullback::faer::{Mat, Par};
use pullback::prelude::*;

/// The covariance of n equidistant points, with noise, and what was observed there.
pub struct Problem {
    k: Mat<f64>,
    y: Mat<f64>,
}

impl Problem {
    /// n is a multiple of 8, so that the code by hand has no ragged edges.
    pub fn new(n: usize) -> Self {
        let mut random = Random::new(3);
        let covariance = |i: usize, j: usize| {
            let distance = i.abs_diff(j) as f64 / 4.0;
            (-0.5 * distance * distance).exp() + if i == j { 0.1 } else { 0.0 }
        };
        Problem { k: Mat::from_fn(n, n, covariance), y: Mat::from_fn(n, 1, |_, _| random.uniform()) }
    }

    /// By hand, and Pullback.
    ///
    /// # Errors
    /// None, for matrices that are not out of this world.
    pub fn contenders(&self) -> Result<Contenders<'_, f64>, Error> {
        Ok(vec![Box::new(ByHand::new(self)), Box::new(self.compiled()?)])
    }

    fn compiled(&self) -> Result<Compiled<'_, f64>, Error> {
        let tape = Tape::new();
        let (k, y) = (tape.positive_definite("K", self.k.nrows()), tape.input("y", self.y.shape()));
        let loss = 0.5 * (y.t() * k.solve(y) + k.log_det());
        Compiled::new(compile(loss, &[k])?, [("K", self.k.as_ref()), ("y", self.y.as_ref())])
    }
}

/// One Cholesky factorization, and from it the solution, the determinant and the inverse; one pass for the rest of
/// the gradient.
struct ByHand<'p> {
    problem: &'p Problem,
    /// K, then its factor, in the lower triangle.
    factor: Mat<f64>,
    /// `K⁻¹ y`
    solution: Mat<f64>,
    /// In its lower triangle first the inverse.
    gradient: Mat<f64>,
    scratch: MemBuffer,
}

impl<'p> ByHand<'p> {
    fn new(problem: &'p Problem) -> Self {
        let n = problem.k.nrows();
        let scratch = llt::factor::cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default())
            .or(llt::solve::solve_in_place_scratch::<f64>(n, 1, Par::Seq))
            .or(llt::inverse::inverse_scratch::<f64>(n, Par::Seq));
        ByHand {
            problem,
            factor: Mat::zeros(n, n),
            solution: Mat::zeros(n, 1),
            gradient: Mat::zeros(n, n),
            scratch: MemBuffer::new(scratch),
        }
    }

    /// Puts `½ (K⁻¹ − x xᵀ)` in the place of the inverse, of which there is the lower triangle, on both sides of the
    /// diagonal.
    fn finish_gradient(&mut self) {
        let x = self.solution.col_as_slice(0);
        for j in (0..x.len()).step_by(TILE) {
            for i in (j..x.len()).step_by(TILE) {
                let mut tile = load(&self.gradient, i, j);
                for (column, x_j) in tile.iter_mut().zip(&x[j..j + TILE]) {
                    for (entry, x_i) in column.iter_mut().zip(&x[i..i + TILE]) {
                        *entry = 0.5 * (*entry - x_i * x_j);
                    }
                }
                let mut mirrored = transposed(&tile);
                if i == j {
                    // What lies above the diagonal is whatever was there before.
                    for (col, (mirrored, tile)) in mirrored.iter_mut().zip(&tile).enumerate() {
                        mirrored[col..].copy_from_slice(&tile[col..]);
                    }
                } else {
                    store(&mut self.gradient, i, j, &tile);
                }
                store(&mut self.gradient, j, i, &mirrored);
            }
        }
    }
}

impl Contender<f64> for ByHand<'_> {
    fn run(&mut self) -> f64 {
        let ByHand { problem: Problem { k, y }, factor, solution, gradient, scratch } = self;
        let (n, stack) = (k.nrows(), MemStack::new(scratch));
        for j in 0..n {
            factor.col_as_slice_mut(j)[j..].copy_from_slice(&k.col_as_slice(j)[j..]);
        }
        let lower = factor.as_mut();
        if llt::factor::cholesky_in_place(lower, Default::default(), Par::Seq, stack, Default::default())
            .is_err()
        {
            return f64::NAN;
        }
        solution.copy_from(y);
        llt::solve::solve_in_place(factor.as_ref(), solution.as_mut(), Par::Seq, stack);
        llt::inverse::inverse(gradient.as_mut(), factor.as_ref(), Par::Seq, stack);
        release_registers();
        let log_det: f64 = (0..n).map(|j| factor[(j, j)].ln()).sum();
        let inner: f64 = y.col_as_slice(0).iter().zip(solution.col_as_slice(0)).map(|(y, x)| y * x).sum();
        self.finish_gradient();
        0.5 * inner + log_det
    }

    fn results(&mut self) -> (f64, Vec<Mat<f64>>) {
        (self.run(), vec![self.gradient.clone()])
    }
}
