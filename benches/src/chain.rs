//! `tr(A₁ A₂ ⋯ A₈)` of factors that are tall and wide in turn, so that the products as written are large, and
//! those of each wide factor with the tall one after it are small.

use crate::compiled::{Compiled, as_written};
use crate::hand::{product, release_registers};
use crate::harness::Contenders;
use crate::race::Contender;
use crate::random::Random;
use pullback::faer::Mat;
use pullback::prelude::*;

const FACTORS: usize = 8;

/// The factors: tall, wide, tall, …
pub struct Problem {
    names: [String; FACTORS],
    factors: [Mat<f64>; FACTORS],
}

impl Problem {
    /// Of large×small and small×large factors.
    pub fn new(small: usize, large: usize) -> Self {
        let mut random = Random::new(2);
        // Products of such matrices neither grow nor vanish.
        let scale = (9.0 / (small * large) as f64).powf(0.25);
        let mut matrix = |rows, cols| Mat::from_fn(rows, cols, |_, _| scale * random.uniform());
        Problem {
            names: std::array::from_fn(|k| format!("A{}", k + 1)),
            factors: std::array::from_fn(|k| {
                if k % 2 == 0 { matrix(large, small) } else { matrix(small, large) }
            }),
        }
    }

    /// By hand, Pullback, and Pullback as written.
    ///
    /// # Errors
    /// None, for matrices that are not out of this world.
    pub fn contenders(&self) -> Result<Contenders<'_, f64>, Error> {
        Ok(vec![
            Box::new(ByHand::new(self)),
            Box::new(self.compiled(compile)?),
            Box::new(self.compiled(as_written)?),
        ])
    }

    fn compiled(
        &self,
        compile: impl FnOnce(Var<'_>, &[Var<'_>]) -> Result<Program<f64>, Error>,
    ) -> Result<Compiled<'_, f64>, Error> {
        let tape = Tape::new();
        let named = || self.names.iter().map(String::as_str).zip(&self.factors);
        let vars: Vec<_> = named().map(|(name, factor)| tape.input(name, factor.shape())).collect();
        // (⋯((A₁ A₂) A₃) ⋯) A₈
        let loss = vars.iter().copied().reduce(|product, var| product * var).map(Var::trace);
        let loss = loss.unwrap_or_else(|| tape.scalar(0.0));
        Compiled::new(compile(loss, &vars)?, named().map(|(name, factor)| (name, factor.as_ref())))
    }
}

/// The product is cut before a wide factor, `tr((A₂ A₃) (A₄ A₅) (A₆ A₇) (A₈ A₁))`: four small squares, the products
/// of any three of which, all that the gradients need, take six more small products.
///
/// The gradients' transposes are what products without transposed factors yield, which is faster, and so they are
/// kept: whoever wants them the other way looks at them the other way, and so does Pullback.
struct ByHand<'p> {
    problem: &'p Problem,
    /// `P₁ = A₂ A₃, …, P₄ = A₈ A₁`
    pairs: [Mat<f64>; 4],
    /// `P₁ P₂` and `P₃ P₄`
    halves: [Mat<f64>; 2],
    /// `P₂ P₃ P₄`, `P₃ P₄ P₁`, `P₄ P₁ P₂`, `P₁ P₂ P₃`
    others: [Mat<f64>; 4],
    /// Transposed.
    gradients: [Mat<f64>; FACTORS],
}

impl<'p> ByHand<'p> {
    fn new(problem: &'p Problem) -> Self {
        let square = || Mat::zeros(problem.factors[1].nrows(), problem.factors[0].ncols());
        ByHand {
            problem,
            pairs: std::array::from_fn(|_| square()),
            halves: std::array::from_fn(|_| square()),
            others: std::array::from_fn(|_| square()),
            gradients: problem.factors.each_ref().map(|f| Mat::zeros(f.ncols(), f.nrows())),
        }
    }
}

impl Contender<f64> for ByHand<'_> {
    fn run(&mut self) -> f64 {
        let ByHand { problem: Problem { factors, .. }, pairs, halves, others, gradients } = self;
        // The factors of a pair.
        let (wide, tall) = (|q: usize| 2 * q + 1, |q: usize| (2 * q + 2) % FACTORS);
        for (q, pair) in pairs.iter_mut().enumerate() {
            product(pair, factors[wide(q)].as_ref(), factors[tall(q)].as_ref());
        }
        let [p1, p2, p3, p4] = pairs.each_ref().map(|p| p.as_ref());
        product(&mut halves[0], p1, p2);
        product(&mut halves[1], p3, p4);
        let [p12, p34] = halves.each_ref().map(|p| p.as_ref());
        product(&mut others[0], p2, p34);
        product(&mut others[1], p34, p1);
        product(&mut others[2], p4, p12);
        product(&mut others[3], p12, p3);
        for (q, rest) in others.iter().enumerate() {
            product(&mut gradients[wide(q)], factors[tall(q)].as_ref(), rest.as_ref());
            product(&mut gradients[tall(q)], rest.as_ref(), factors[wide(q)].as_ref());
        }
        release_registers();
        let mut trace = 0.0;
        for j in 0..p34.ncols() {
            for (i, entry) in halves[1].col_as_slice(j).iter().enumerate() {
                trace += entry * p12[(j, i)];
            }
        }
        trace
    }

    fn results(&mut self) -> (f64, Vec<Mat<f64>>) {
        (self.run(), self.gradients.iter().map(|gradient| gradient.transpose().to_owned()).collect())
    }
}
