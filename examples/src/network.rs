//! Deep linear networks `L(W_D ⋯ W_1 X)`, compiled once: their losses, gradients and Hessians.

use crate::cli::Failure;
use pullback::curvature::{Extremes, Hessian};
use pullback::faer::{Mat, MatRef, Scale};
use pullback::{Program, Tape, Var, compile};

/// The matrices `W_1`, …, `W_D` of a network, in the order in which they are applied.
pub type Layers = Vec<Mat<f64>>;

/// Programs for a network with its data: the loss with its gradients, and products with its Hessian.
///
/// A network of one layer is the convex problem `L(W X)`.
pub struct Network {
    names: Vec<String>,
    program: Program<f64>,
    hessian: Hessian<f64>,
    data: [(&'static str, Mat<f64>); 2],
}

impl Network {
    /// Compiles a network whose layers have so many inputs and outputs: `widths` goes from the input to the output.
    ///
    /// # Errors
    /// Those of differentiating and compiling.
    pub fn compile(
        widths: &[usize],
        x: &Mat<f64>,
        y: &Mat<f64>,
        loss: impl for<'t> FnOnce(Var<'t>, Var<'t>) -> Var<'t>,
    ) -> Result<Self, Failure> {
        let tape = Tape::new();
        let names: Vec<String> = (1..widths.len()).map(|k| format!("W{k}")).collect();
        let layer = |(name, ends): (&String, &[usize])| tape.input(name, (ends[1], ends[0]));
        let weights: Vec<_> = names.iter().zip(widths.windows(2)).map(layer).collect();
        // Data are constants: what depends only on them is computed when they are bound.
        let data = [tape.constant("X", x.shape()), tape.constant("Y", y.shape())];
        let loss = loss(weights.iter().fold(data[0], |product, &w| w * product), data[1]);

        let mut program = compile(loss, &weights)?;
        let data = [("X", x.clone()), ("Y", y.clone())];
        let needed = |(name, _): &&(&str, Mat<f64>)| program.constants().any(|(known, _)| known == *name);
        let bound: Vec<_> = data.iter().filter(needed).map(|(name, m)| (*name, m.as_ref())).collect();
        program.bind(&bound)?;
        Ok(Network { names, program, hessian: Hessian::compile(loss, &weights)?, data })
    }

    /// The loss, and its gradient in every layer.
    ///
    /// # Errors
    /// Those of [`Program::run`].
    pub fn gradients(&mut self, layers: &[Mat<f64>]) -> Result<(f64, Layers), Failure> {
        let run = self.program.run(&named(&self.names, layers))?;
        let loss = run.scalar(0).unwrap_or(f64::NAN);
        Ok((loss, run.iter().skip(1).map(|gradient| gradient.to_owned()).collect()))
    }

    /// The Hessian of the loss in all layers together, to compute products with it.
    ///
    /// # Errors
    /// Those of [`Hessian::set`].
    pub fn hessian(&mut self, layers: &[Mat<f64>]) -> Result<&mut Hessian<f64>, Failure> {
        let at: Vec<_> = named(&self.names, layers)
            .into_iter()
            .chain(self.data.iter().map(|(name, m)| (*name, m.as_ref())))
            .collect();
        self.hessian.set(&at)?;
        Ok(&mut self.hessian)
    }

    /// The smallest and the largest eigenvalue of the Hessian, by Lanczos' method.
    ///
    /// # Errors
    /// Those of [`Hessian::extremes`].
    pub fn extremes(&mut self, layers: &[Mat<f64>]) -> Result<Extremes<f64>, Failure> {
        Ok(self.hessian(layers)?.extremes(1e-9, 400)?)
    }
}

fn named<'a>(names: &'a [String], layers: &'a [Mat<f64>]) -> Vec<(&'a str, MatRef<'a, f64>)> {
    names.iter().map(String::as_str).zip(layers.iter().map(Mat::as_ref)).collect()
}

/// `W_D ⋯ W_1`
pub fn product(layers: &[Mat<f64>]) -> Mat<f64> {
    let inputs = layers.first().map_or(0, Mat::ncols);
    layers.iter().fold(Mat::identity(inputs, inputs), |product, w| w * product)
}

/// `A + c B`, layer by layer.
pub fn moved(a: &[Mat<f64>], c: f64, b: &[Mat<f64>]) -> Layers {
    a.iter().zip(b).map(|(a, b)| a + Scale(c) * b).collect()
}

/// `√Σ ‖W_k‖²`
pub fn norm(layers: &[Mat<f64>]) -> f64 {
    layers.iter().map(|w| w.squared_norm_l2()).sum::<f64>().sqrt()
}

/// `Σ ⟨A_k, B_k⟩`
pub fn inner(a: &[Mat<f64>], b: &[Mat<f64>]) -> f64 {
    let entries = |m: &Mat<f64>| -> Vec<f64> { m.col_iter().flat_map(|col| col.iter().copied()).collect() };
    let products = |(a, b)| entries(a).into_iter().zip(entries(b)).map(|(a, b)| a * b).sum::<f64>();
    a.iter().zip(b).map(products).sum()
}
