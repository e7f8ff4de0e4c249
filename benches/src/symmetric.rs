//! `¼ ‖S − T‖²` for a symmetric product S, which is `AᵀA` or `X S Xᵀ`, and its gradient in A or X.

use crate::compiled::Compiled;
use crate::hand::{product, residual};
use crate::harness::Contenders;
use crate::race::Contender;
use crate::random::Random;
use pullback::faer::Mat;
use pullback::prelude::*;

/// Which symmetric product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `AᵀA`
    Gram,
    /// `X S Xᵀ`
    Sandwich,
}

/// n×n matrices: A or X, the symmetric S in the middle, and the symmetric target.
pub struct Problem {
    form: Form,
    x: Mat<f64>,
    s: Mat<f64>,
    target: Mat<f64>,
}

impl Problem {
    /// Of n×n matrices.
    pub fn new(form: Form, n: usize) -> Self {
        let mut random = Random::new(4);
        let scale = (3.0 / n as f64).sqrt();
        let mut matrix = || Mat::from_fn(n, n, |_, _| scale * random.uniform());
        let mut symmetric = || {
            let m = matrix();
            &m + m.transpose()
        };
        let (s, target) = (symmetric(), symmetric());
        Problem { form, x: matrix(), s, target }
    }

    /// By hand, with whole products, and Pullback.
    ///
    /// # Errors
    /// None, for matrices that are not out of this world.
    pub fn contenders(&self) -> Result<Contenders<'_, f64>, Error> {
        Ok(vec![Box::new(ByHand::new(self)), Box::new(self.compiled()?)])
    }

    fn compiled(&self) -> Result<Compiled<'_, f64>, Error> {
        let tape = Tape::new();
        let n = self.x.nrows();
        let x = tape.input("X", (n, n));
        let square = match self.form {
            Form::Gram => x.t() * x,
            Form::Sandwich => x * tape.symmetric("S", n) * x.t(),
        };
        let loss = 0.25 * (square - tape.symmetric("T", n)).norm_squared();
        let middle = (self.form == Form::Sandwich).then_some(("S", self.s.as_ref()));
        let inputs =
            std::iter::once(("X", self.x.as_ref())).chain(middle).chain([("T", self.target.as_ref())]);
        Compiled::new(compile(loss, &[x])?, inputs)
    }
}

/// With products that compute all their entries, as `matmul` does.
struct ByHand<'p> {
    problem: &'p Problem,
    /// `X S`
    half: Mat<f64>,
    /// The product, then its distance from the target.
    square: Mat<f64>,
    gradient: Mat<f64>,
}

impl<'p> ByHand<'p> {
    fn new(problem: &'p Problem) -> Self {
        let n = problem.x.nrows();
        ByHand { problem, half: Mat::zeros(n, n), square: Mat::zeros(n, n), gradient: Mat::zeros(n, n) }
    }
}

impl Contender<f64> for ByHand<'_> {
    fn run(&mut self) -> f64 {
        let ByHand { problem: Problem { form, x, s, target }, half, square, gradient } = self;
        match form {
            Form::Gram => product(square, x.transpose(), x.as_ref()),
            Form::Sandwich => {
                product(half, x.as_ref(), s.as_ref());
                product(square, half.as_ref(), x.transpose());
            }
        }
        let distance = residual(square, target, 1.0);
        match form {
            Form::Gram => product(gradient, x.as_ref(), square.as_ref()),
            Form::Sandwich => product(gradient, square.as_ref(), half.as_ref()),
        }
        0.25 * distance
    }

    fn results(&mut self) -> (f64, Vec<Mat<f64>>) {
        (self.run(), vec![self.gradient.clone()])
    }
}
