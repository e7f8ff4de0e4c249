//! One op of the rule book at a time: its value and the gradient of `⟨C, op(A, …)⟩`, by hand and through Pullback.
//!
//! By hand means the kernels of faer on memory that was allocated before, and the adjoint in closed form, as a textbook has it.
//! Who writes it knows what the op is used for: it computes what value and gradient share once, and of symmetric matrices one
//! triangle. Its loops are plain, with `f64::tanh` and `f64::exp`.

mod elementwise;
mod equations;
mod factors;
mod functions;
mod products;
mod reductions;
mod solves;
mod structure;

use crate::compiled::{Compiled, Value};
use crate::hand::{product, release_registers};
use crate::harness::Contenders;
use crate::race::Contender;
use crate::random::Random;
use pullback::faer::dyn_stack::{MemBuffer, StackReq};
use pullback::faer::{Mat, MatRef};
use pullback::prelude::*;
use pullback::{Declaration, Structure};

/// The subjects of the rule book and some ops of each.
pub const SUBJECTS: [(&str, &[Op]); 10] = [
    ("structure", structure::OPS),
    ("elementwise", elementwise::OPS),
    ("reductions", reductions::OPS),
    ("products", products::OPS),
    ("solves", solves::OPS),
    ("determinants", solves::DETERMINANTS),
    ("factorizations", factors::OPS),
    ("spectral", factors::SPECTRAL),
    ("matrix_functions", functions::OPS),
    ("equations", equations::OPS),
];

/// An op, what it is applied to, and how it is computed by hand.
pub struct Op {
    /// For the table.
    pub formula: &'static str,
    /// For the name of the benchmark.
    pub name: &'static str,
    /// The orders of the matrices.
    pub sizes: &'static [usize],
    /// What is known of the inputs.
    structure: Structure,
    inputs: fn(usize, &mut Random) -> Vec<Mat<f64>>,
    record: for<'t> fn(&[Var<'t>]) -> Var<'t>,
    /// What faer has no kernels for is measured against a product of matrices of the same order.
    by_hand: Option<ByHand>,
}

impl Op {
    /// Whether there is something to measure it against but products.
    pub fn is_by_hand(&self) -> bool {
        self.by_hand.is_some()
    }
}

/// How an op is computed by hand.
struct ByHand {
    scratch: fn(usize) -> StackReq,
    value: fn(&[Mat<f64>], &mut Work),
    /// The loss, from the inputs and C.
    gradient: fn(&[Mat<f64>], &Mat<f64>, &mut Work) -> f64,
    /// Whether the gradients lie transposed in memory, as those of Pullback may.
    transposed: bool,
}

/// The memory of a computation by hand.
struct Work {
    y: Mat<f64>,
    gradients: Vec<Mat<f64>>,
    /// Temporaries; as many rows and columns as the first input has columns.
    t: [Mat<f64>; 12],
    /// In the shape of the first input.
    tall: [Mat<f64>; 2],
    /// A permutation and its inverse.
    rows: [Vec<usize>; 2],
    scratch: MemBuffer,
}

fn nothing(_: usize) -> StackReq {
    StackReq::EMPTY
}

/// An op at one order: the inputs, and the constant C.
pub struct Problem<'o> {
    op: &'o Op,
    inputs: Vec<Mat<f64>>,
    c: Mat<f64>,
}

/// The names of the inputs.
const NAMES: [&str; 3] = ["A", "B", "Q"];

impl<'o> Problem<'o> {
    /// The same matrices whenever it is asked for them.
    ///
    /// # Errors
    /// None, unless the op is written wrong.
    pub fn new(op: &'o Op, n: usize) -> Result<Self, Error> {
        let mut random = Random::new(7);
        let inputs = (op.inputs)(n, &mut random);
        let (tape, mut problem) = (Tape::new(), Problem { op, inputs, c: Mat::new() });
        let y = problem.record(&tape).1.check()?;
        problem.c = Mat::from_fn(y.rows(), y.cols(), |_, _| random.uniform());
        if y.structure() >= Structure::Symmetric {
            problem.c = 0.5 * (&problem.c + problem.c.transpose());
        }
        Ok(problem)
    }

    /// The inputs, and the op of them.
    fn record<'t>(&self, tape: &'t Tape) -> (Vec<Var<'t>>, Var<'t>) {
        let declaration = Declaration::new().structure(self.op.structure);
        let declared = NAMES.iter().zip(&self.inputs);
        let inputs: Vec<_> =
            declared.map(|(name, matrix)| tape.declare(name, matrix.shape(), declaration)).collect();
        let y = (self.op.record)(&inputs);
        (inputs, y)
    }

    fn bindings(&self) -> Vec<(&str, MatRef<'_, f64>)> {
        let c = ("C", self.c.as_ref());
        NAMES.into_iter().zip(self.inputs.iter().map(|matrix| matrix.as_ref())).chain([c]).collect()
    }

    /// The value by hand and through Pullback, and loss and gradients by hand and through Pullback. Where faer has no kernels, a
    /// product alone, and behind it what Pullback does.
    ///
    /// # Errors
    /// None, for matrices that are not out of this world.
    pub fn heats(&self) -> Result<Vec<Contenders<'_, f64>>, Error> {
        let tape = Tape::new();
        let (wrt, y) = self.record(&tape);
        let value = Box::new(Value::new(Program::compile(&[y])?, self.bindings()));
        let symmetric = y.structure().min(Structure::Symmetric);
        let c = tape.declare("C", y.shape(), Declaration::new().structure(symmetric));
        let gradient = Box::new(Compiled::new(compile(c.inner(y), &wrt)?, self.bindings())?);
        Ok(match &self.op.by_hand {
            Some(by_hand) => {
                let [first, second] = [false, true].map(|differentiates| {
                    Box::new(Written { problem: self, by_hand, work: self.work(by_hand), differentiates })
                });
                vec![vec![first, value], vec![second, gradient]]
            }
            None => vec![vec![Box::new(Product::new(&self.inputs[0]))], vec![value], vec![gradient]],
        })
    }

    fn work(&self, by_hand: &ByHand) -> Work {
        let n = self.inputs[0].ncols();
        let zeros = |matrix: &Mat<f64>| match by_hand.transposed {
            true => Mat::zeros(matrix.ncols(), matrix.nrows()),
            false => Mat::zeros(matrix.nrows(), matrix.ncols()),
        };
        Work {
            y: Mat::zeros(self.c.nrows(), self.c.ncols()),
            gradients: self.inputs.iter().map(zeros).collect(),
            t: std::array::from_fn(|_| Mat::zeros(n, n)),
            tall: std::array::from_fn(|_| Mat::zeros(self.inputs[0].nrows(), n)),
            rows: [(0..n).collect(), (0..n).collect()],
            scratch: MemBuffer::new((by_hand.scratch)(n)),
        }
    }
}

/// An op by hand, with or without the gradient.
struct Written<'p> {
    problem: &'p Problem<'p>,
    by_hand: &'p ByHand,
    work: Work,
    differentiates: bool,
}

impl Contender<f64> for Written<'_> {
    fn run(&mut self) -> f64 {
        let Written { problem: Problem { inputs, c, .. }, by_hand, work, differentiates } = self;
        if *differentiates {
            return (by_hand.gradient)(inputs, c, work);
        }
        (by_hand.value)(inputs, work);
        work.y[(0, 0)]
    }

    fn results(&mut self) -> (f64, Vec<Mat<f64>>) {
        let result = self.run();
        if !self.differentiates {
            return (result, vec![self.work.y.clone()]);
        }
        let gradients = self.work.gradients.iter();
        let turned = self.by_hand.transposed;
        (result, gradients.map(|g| if turned { g.transpose().to_owned() } else { g.clone() }).collect())
    }
}

/// A product of a matrix with itself.
struct Product<'p> {
    a: &'p Mat<f64>,
    y: Mat<f64>,
}

impl<'p> Product<'p> {
    fn new(a: &'p Mat<f64>) -> Self {
        Product { a, y: Mat::zeros(a.nrows(), a.ncols()) }
    }
}

impl Contender<f64> for Product<'_> {
    fn run(&mut self) -> f64 {
        product(&mut self.y, self.a.as_ref(), self.a.as_ref());
        self.y[(0, 0)]
    }

    fn results(&mut self) -> (f64, Vec<Mat<f64>>) {
        (self.run(), vec![self.y.clone()])
    }
}

/// Entries in [−1, 1).
fn uniform(rows: usize, cols: usize, random: &mut Random) -> Mat<f64> {
    Mat::from_fn(rows, cols, |_, _| random.uniform())
}

/// One square matrix.
fn one(n: usize, random: &mut Random) -> Vec<Mat<f64>> {
    vec![uniform(n, n, random)]
}

/// Two square matrices.
fn two(n: usize, random: &mut Random) -> Vec<Mat<f64>> {
    vec![uniform(n, n, random), uniform(n, n, random)]
}

/// A symmetric matrix whose spectrum is that of a random one, in about [−2, 2], about `shift`.
fn shifted(n: usize, random: &mut Random, shift: f64) -> Mat<f64> {
    let m = uniform(n, n, random);
    let scale = (1.5 / n as f64).sqrt();
    Mat::from_fn(n, n, |i, j| scale * (m[(i, j)] + m[(j, i)]) + if i == j { shift } else { 0.0 })
}

/// Calls `step` with the columns of matrices of the same shape.
fn each_column<const K: usize>(
    dst: &mut Mat<f64>,
    sources: [MatRef<'_, f64>; K],
    mut step: impl FnMut(&mut [f64], [&[f64]; K]),
) {
    release_registers();
    for j in 0..dst.ncols() {
        let columns =
            sources.map(|source| source.col(j).try_as_col_major().map_or(&[][..], |col| col.as_slice()));
        step(dst.col_as_slice_mut(j), columns);
    }
}

/// `⟨A, B⟩`
fn inner(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    const LANES: usize = 8;
    release_registers();
    let mut sums = [0.0; LANES];
    for j in 0..a.ncols() {
        let [a, b] = [a, b].map(|m| m.col(j).try_as_col_major().map_or(&[][..], |col| col.as_slice()));
        let (a_blocks, a_rest) = a.as_chunks::<LANES>();
        let (b_blocks, b_rest) = b.as_chunks::<LANES>();
        for (a, b) in a_blocks.iter().zip(b_blocks) {
            for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                *sum += a * b;
            }
        }
        for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// A square matrix far from singular ones, whose spectrum is in a circle of radius 0.6 about 1.5.
fn conditioned(n: usize, random: &mut Random) -> Mat<f64> {
    let m = uniform(n, n, random);
    let scale = 1.0 / (n as f64).sqrt();
    Mat::from_fn(n, n, |i, j| scale * m[(i, j)] + if i == j { 1.5 } else { 0.0 })
}
