//! The Hessian of a loss as a linear map, and its extreme eigenvalues, by products alone.

use crate::check::{Inputs, random};
use crate::{Error, Program, Scalar, Shape, Structure, Var, hvp, optimize};
use faer::{Mat, MatRef, Side};

/// The Hessian of a loss, of which only products with directions are computed: forward over reverse, at about twice the cost
/// of a gradient, however many entries the variables have.
///
/// ```
/// use pullback::curvature::Hessian;
/// use pullback::faer::mat;
/// use pullback::prelude::*;
///
/// // A strict saddle: x² − y².
/// let tape = Tape::new();
/// let (x, y) = (tape.input("x", (1, 1)), tape.input("y", (1, 1)));
/// let mut hessian = Hessian::<f64>::compile(x.square() - y.square(), &[x, y])?;
/// let (one, two) = (mat![[1.0]], mat![[2.0]]);
/// hessian.set(&[("x", one.as_ref()), ("y", two.as_ref())])?;
/// let extremes = hessian.extremes(1e-10, 50)?;
/// assert!((extremes.smallest.value + 2.0).abs() < 1e-14 && (extremes.largest.value - 2.0).abs() < 1e-14);
/// # Ok::<(), Error>(())
/// ```
pub struct Hessian<T: Scalar> {
    program: Program<T>,
    /// Where the loss is expanded: what the program reads besides directions.
    at: Vec<(String, Mat<T>)>,
    /// Of each variable: the name of its direction, its shape, and whether it is symmetric.
    variables: Vec<(String, Shape, bool)>,
}

/// An extreme eigenvalue, with its eigenvector: one matrix for every variable, of norm 1 together.
#[derive(Clone, Debug)]
pub struct Extreme<T: Scalar> {
    /// The eigenvalue λ.
    pub value: f64,
    /// A bound on `‖H v − λ v‖`, and so on the distance to the nearest eigenvalue.
    pub residual: f64,
    /// The eigenvector v.
    pub vector: Vec<Mat<T>>,
}

/// Both ends of the spectrum of a Hessian.
#[derive(Clone, Debug)]
pub struct Extremes<T: Scalar> {
    /// The smallest eigenvalue.
    pub smallest: Extreme<T>,
    /// The largest eigenvalue.
    pub largest: Extreme<T>,
    /// The products with the Hessian that were needed.
    pub products: usize,
}

impl<T: Scalar> Hessian<T> {
    /// Compiles the products with the Hessian of a 1×1 `loss` in `wrt`.
    ///
    /// # Errors
    /// Those of [`hvp`] and [`Program::compile`].
    pub fn compile(loss: Var<'_>, wrt: &[Var<'_>]) -> Result<Self, Error> {
        let (mut directions, mut variables) = (Vec::new(), Vec::new());
        for &x in wrt {
            // Inputs of the tape, each named after what it is a direction of.
            let (name, shape) = (format!("direction of node {}", x.tape().index(x)?), x.shape());
            let symmetric = x.structure() != Structure::General && !shape.is_scalar();
            let direction = x.tape().input(&name, shape);
            directions.push((x, if symmetric { direction.symmetrize() } else { direction }));
            variables.push((name, shape, symmetric));
        }
        let program = Program::compile(&optimize(&hvp(loss, &directions)?, &[])?)?;
        Ok(Hessian { program, at: Vec::new(), variables })
    }

    /// Sets where the loss is expanded, and binds its constants. What the products do not depend on is left out.
    ///
    /// # Errors
    /// Those of [`Program::bind`].
    pub fn set(&mut self, at: &Inputs<'_, T>) -> Result<(), Error> {
        let constant = |name: &str| self.program.constants().any(|(known, _)| known == name);
        let constants: Vec<_> = at.iter().copied().filter(|(name, _)| constant(name)).collect();
        let direction = |name: &str| self.variables.iter().any(|(known, ..)| known == name);
        let input = |name: &str| self.program.inputs().any(|(known, _)| known == name) && !direction(name);
        self.at = at
            .iter()
            .filter(|(name, _)| input(name))
            .map(|(name, m)| ((*name).to_owned(), m.to_owned()))
            .collect();
        if !constants.is_empty() {
            self.program.bind(&constants)?;
        }
        Ok(())
    }

    /// The product with the directions, one matrix for every variable.
    ///
    /// # Errors
    /// Those of [`Program::run`]: a direction of another shape than its variable, or an input that was not
    /// [set](Self::set).
    pub fn product(&mut self, directions: &[MatRef<'_, T>]) -> Result<Vec<Mat<T>>, Error> {
        let needed = |name: &str| self.program.inputs().any(|(known, _)| known == name);
        let at = self.at.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref()));
        let named =
            self.variables.iter().zip(directions).map(|((name, ..), direction)| (name.as_str(), *direction));
        let bound: Vec<_> = at.chain(named).filter(|(name, _)| needed(name)).collect();
        let run = self.program.run(&bound)?;
        Ok(run.iter().map(|product| product.to_owned()).collect())
    }

    /// The smallest and the largest eigenvalue, by Lanczos' method with full reorthogonalization, from a random start that is
    /// the same every time. It ends when both residuals are at most `tolerance` times the largest eigenvalue in size, or
    /// after so many products; the residuals tell which. Of a Hessian that is not finite, and of no variables, the eigenvalues are NaN.
    ///
    /// In what is known to be symmetric, the Hessian acts on symmetric matrices. (Golub & Van Loan, *Matrix Computations*, 4th
    /// ed., §10.1–10.3)
    ///
    /// # Errors
    /// Those of [`product`](Self::product).
    pub fn extremes(&mut self, tolerance: f64, products: usize) -> Result<Extremes<T>, Error> {
        let n = self.variables.iter().map(|(_, shape, _)| shape.rows * shape.cols).sum::<usize>();
        let most = products.min(n);
        let mut basis: Vec<Mat<f64>> = Vec::new();
        let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
        let mut seed = 1;
        let mut next = self.fresh(n, &basis, &mut seed);
        while let Some(q) = next.take() {
            let mut w = self.flat_product(&q)?;
            diagonal.push(dot(&q, &w));
            basis.push(q);
            away(&mut w, &basis);
            let size = dot(&w, &w).sqrt();
            let scale = diagonal.iter().chain(&beside).fold(0.0f64, |scale, x| scale.max(f64::abs(*x)));
            // The Krylov space is exhausted: its complement begins anew.
            let exhausted = size <= 64.0 * T::EPSILON.to_f64() * scale * (n as f64).sqrt();
            let size = if exhausted { 0.0 } else { size };
            beside.push(size);
            let k = diagonal.len();
            let finite = size.is_finite() && diagonal.iter().all(|x: &f64| x.is_finite());
            let done = !finite
                || k >= most
                || (k.is_multiple_of(4) || exhausted) && {
                    let ritz = Ritz::of(&diagonal, &beside);
                    !exhausted && ritz.residual(0).max(ritz.residual(k - 1)) <= tolerance * ritz.size()
                };
            if !done {
                next = if exhausted { self.fresh(n, &basis, &mut seed) } else { Some(scaled(w, 1.0 / size)) };
            }
        }
        let ritz = Ritz::of(&diagonal, &beside);
        let k = diagonal.len();
        let extreme = |this: &Self, i: usize| Extreme {
            value: ritz.value(i),
            residual: ritz.residual(i),
            vector: this.divided(&ritz.vector(&basis, i, n)),
        };
        Ok(Extremes { smallest: extreme(self, 0), largest: extreme(self, k.saturating_sub(1)), products: k })
    }

    /// A random unit vector that is orthogonal to the others, if there is one.
    fn fresh(&self, n: usize, basis: &[Mat<f64>], seed: &mut u64) -> Option<Mat<f64>> {
        if basis.len() >= n {
            return None;
        }
        *seed += 1;
        let start: Mat<f64> = random(n, 1, *seed);
        // Among symmetric matrices, if the variable is one.
        let mut start = self.flat(&self.divided(&start));
        away(&mut start, basis);
        let size = dot(&start, &start).sqrt();
        // What is left of it is rounding where all symmetric matrices are spanned.
        (size > 1e-8 * (n as f64).sqrt()).then(|| scaled(start, 1.0 / size))
    }

    fn flat_product(&mut self, q: &Mat<f64>) -> Result<Mat<f64>, Error> {
        let directions = self.divided(q);
        let directions: Vec<_> = directions.iter().map(Mat::as_ref).collect();
        let products = self.product(&directions)?;
        Ok(self.flat(&products))
    }

    /// A column, divided into one matrix for every variable.
    fn divided(&self, column: &Mat<f64>) -> Vec<Mat<T>> {
        let mut start = 0;
        let mut parts = Vec::new();
        for &(_, Shape { rows, cols }, symmetric) in &self.variables {
            let entry = |i: usize, j: usize| column[(start + i + j * rows, 0)];
            let of = |i, j| if symmetric { 0.5 * (entry(i, j) + entry(j, i)) } else { entry(i, j) };
            parts.push(Mat::from_fn(rows, cols, |i, j| T::from_f64(of(i, j))));
            start += rows * cols;
        }
        parts
    }

    /// The entries of all matrices, in one column.
    fn flat(&self, parts: &[Mat<T>]) -> Mat<f64> {
        let entries: Vec<f64> =
            parts.iter().flat_map(|m| m.col_iter().flat_map(|col| col.iter().map(|x| x.to_f64()))).collect();
        Mat::from_fn(entries.len(), 1, |i, _| entries[i])
    }
}

/// The eigenvalues of a tridiagonal matrix that approximate those of the Hessian.
struct Ritz {
    values: Vec<f64>,
    vectors: Mat<f64>,
    last: f64,
}

impl Ritz {
    fn of(diagonal: &[f64], beside: &[f64]) -> Ritz {
        let k = diagonal.len();
        let t = Mat::from_fn(k, k, |i, j| match i.abs_diff(j) {
            0 => diagonal[i],
            1 => beside[i.min(j)],
            _ => 0.0,
        });
        let last = beside.last().copied().unwrap_or(0.0);
        // faer does not take what is empty, and iterates on a NaN.
        let usual = k > 0 && diagonal.iter().chain(beside).all(|x| x.is_finite());
        match usual.then(|| t.self_adjoint_eigen(Side::Lower)) {
            Some(Ok(eigen)) => {
                let values = (0..k).map(|i| eigen.S()[i]).collect();
                Ritz { values, vectors: eigen.U().to_owned(), last }
            }
            _ => Ritz { values: vec![f64::NAN; k], vectors: Mat::zeros(k, k), last: f64::NAN },
        }
    }

    fn value(&self, i: usize) -> f64 {
        self.values.get(i).copied().unwrap_or(f64::NAN)
    }

    fn size(&self) -> f64 {
        self.values.iter().fold(0.0, |size, value| size.max(value.abs()))
    }

    /// `β |sₖ|`: what the last basis vector contributes.
    fn residual(&self, i: usize) -> f64 {
        let k = self.values.len();
        if i < k { (self.last * self.vectors[(k - 1, i)]).abs() } else { f64::NAN }
    }

    fn vector(&self, basis: &[Mat<f64>], i: usize, n: usize) -> Mat<f64> {
        let mut vector = Mat::zeros(n, 1);
        for (k, q) in basis.iter().enumerate() {
            (0..n).for_each(|row| vector[(row, 0)] += self.vectors[(k, i)] * q[(row, 0)]);
        }
        vector
    }
}

fn dot(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    a.col(0).iter().zip(b.col(0).iter()).map(|(a, b)| a * b).sum()
}

fn scaled(a: Mat<f64>, c: f64) -> Mat<f64> {
    a * faer::Scale(c)
}

/// Takes from `w` its part in the span of the basis; twice is enough (Parlett, *The Symmetric Eigenvalue Problem*, §6.9).
fn away(w: &mut Mat<f64>, basis: &[Mat<f64>]) {
    for _ in 0..2 {
        for q in basis {
            let c = dot(q, w);
            (0..w.nrows()).for_each(|i| w[(i, 0)] -= c * q[(i, 0)]);
        }
    }
}
