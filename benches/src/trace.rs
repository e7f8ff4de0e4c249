//! `tr(A B)`, and its gradients Bᵀ and Aᵀ: nothing in it takes more than a pass over the matrices.

use crate::compiled::{Compiled, CompiledInto};
use crate::hand::{TILE, load, store, transposed};
use crate::harness::Contenders;
use crate::race::Contender;
use crate::random::Random;
use pullback::faer::Mat;
use pullback::prelude::*;

/// A m×n and B n×m.
pub struct Problem {
    a: Mat<f64>,
    b: Mat<f64>,
}

impl Problem {
    /// Both extents are multiples of 8, so that the code by hand has no ragged edges.
    pub fn new(m: usize, n: usize) -> Self {
        let mut random = Random::new(1);
        let mut matrix = |rows, cols| Mat::from_fn(rows, cols, |_, _| random.uniform());
        Problem { a: matrix(m, n), b: matrix(n, m) }
    }

    /// By hand; Pullback, whose results are views; Pullback, writing into the caller's matrices.
    ///
    /// # Errors
    /// None, for matrices that are not out of this world.
    pub fn contenders(&self) -> Result<Contenders<'_, f64>, Error> {
        Ok(vec![
            Box::new(ByHand::new(self)),
            Box::new(self.compiled()?),
            Box::new(CompiledInto::<_, 3>::new(self.compiled()?)),
        ])
    }

    fn compiled(&self) -> Result<Compiled<'_, f64>, Error> {
        let tape = Tape::new();
        let (a, b) = (tape.input("A", self.a.shape()), tape.input("B", self.b.shape()));
        Compiled::new(compile((a * b).trace(), &[a, b])?, [("A", self.a.as_ref()), ("B", self.b.as_ref())])
    }
}

/// One pass over A and B in tiles, each of which is read once for the value and the gradient.
struct ByHand<'p> {
    problem: &'p Problem,
    gradients: [Mat<f64>; 2],
}

impl<'p> ByHand<'p> {
    fn new(problem: &'p Problem) -> Self {
        let (m, n) = problem.a.shape();
        ByHand { problem, gradients: [Mat::zeros(m, n), Mat::zeros(n, m)] }
    }
}

impl Contender<f64> for ByHand<'_> {
    fn run(&mut self) -> f64 {
        let ByHand { problem: Problem { a, b }, gradients: [a_bar, b_bar] } = self;
        let mut sums = [0.0; TILE];
        for j in (0..a.ncols()).step_by(TILE) {
            for i in (0..a.nrows()).step_by(TILE) {
                let (a, b_t) = (load(a, i, j), transposed(&load(b, j, i)));
                for (a, b) in a.iter().zip(&b_t) {
                    for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                        *sum += a * b;
                    }
                }
                store(a_bar, i, j, &b_t);
                store(b_bar, j, i, &transposed(&a));
            }
        }
        sums.iter().sum()
    }

    fn results(&mut self) -> (f64, Vec<Mat<f64>>) {
        (self.run(), self.gradients.to_vec())
    }
}
