//! Pullback's contenders: a compiled program and the matrices on which it runs.

use crate::race::Contender;
use pullback::faer::{Mat, MatRef};
use pullback::{Error, Program, Scalar, Var, gradient};

/// A matrix and the name of the input that it is bound to.
pub type Binding<'p, T> = (&'p str, MatRef<'p, T>);

/// A loss and its gradients as they are written, without a search for a better order.
///
/// # Errors
/// A mistake in the expression.
pub fn as_written<T: Scalar>(loss: Var<'_>, wrt: &[Var<'_>]) -> Result<Program<T>, Error> {
    let mut outputs = vec![loss];
    outputs.extend(gradient(loss, wrt)?);
    Ok(Program::compile(&outputs)?)
}

/// A program that was compiled once and hands its results out.
pub struct Compiled<'p, T: Scalar> {
    program: Program<T>,
    inputs: Vec<Binding<'p, T>>,
}

impl<'p, T: Scalar> Compiled<'p, T> {
    /// The loss is the program's first output; the gradients follow. What was declared constant is bound once.
    ///
    /// # Errors
    /// A constant of another shape.
    pub fn new(
        mut program: Program<T>,
        bindings: impl IntoIterator<Item = Binding<'p, T>>,
    ) -> Result<Self, Error> {
        let is_constant = |name: &str| program.constants().any(|(constant, _)| constant == name);
        let (constants, inputs): (Vec<_>, Vec<_>) =
            bindings.into_iter().partition(|(name, _)| is_constant(name));
        if !constants.is_empty() {
            program.bind(&constants)?;
        }
        Ok(Compiled { program, inputs })
    }
}

impl<T: Scalar> Contender<T> for Compiled<'_, T> {
    fn run(&mut self) -> T {
        // A failure shows as a loss that differs from the others'.
        self.program.run(&self.inputs).ok().and_then(|outputs| outputs.scalar(0)).unwrap_or_default()
    }

    fn results(&mut self) -> (T, Vec<Mat<T>>) {
        let Ok(outputs) = self.program.run(&self.inputs) else { return Default::default() };
        (outputs.scalar(0).unwrap_or_default(), outputs.iter().skip(1).map(|g| g.to_owned()).collect())
    }
}

/// A program for a matrix, of which the first entry stands for the value.
pub struct Value<'p, T: Scalar> {
    program: Program<T>,
    inputs: Vec<Binding<'p, T>>,
}

impl<'p, T: Scalar> Value<'p, T> {
    /// The matrix is the program's first output.
    pub fn new(program: Program<T>, inputs: Vec<Binding<'p, T>>) -> Self {
        let known = |name: &str| program.inputs().any(|(input, _)| input == name);
        let inputs = inputs.into_iter().filter(|(name, _)| known(name)).collect();
        Value { program, inputs }
    }
}

impl<T: Scalar> Contender<T> for Value<'_, T> {
    fn run(&mut self) -> T {
        let outputs = self.program.run(&self.inputs).ok();
        outputs.and_then(|outputs| outputs.get(0)).map_or(T::default(), |matrix| matrix[(0, 0)])
    }

    fn results(&mut self) -> (T, Vec<Mat<T>>) {
        let Ok(outputs) = self.program.run(&self.inputs) else { return Default::default() };
        let Some(matrix) = outputs.get(0) else { return Default::default() };
        (matrix[(0, 0)], vec![matrix.to_owned()])
    }
}

/// A program that writes its N results into matrices of the caller's.
pub struct CompiledInto<'p, T: Scalar, const N: usize> {
    compiled: Compiled<'p, T>,
    outputs: [Mat<T>; N],
}

impl<'p, T: Scalar, const N: usize> CompiledInto<'p, T, N> {
    /// Allocates what the program writes to.
    pub fn new(compiled: Compiled<'p, T>) -> Self {
        let mut shapes = compiled.program.outputs();
        let outputs =
            std::array::from_fn(|_| shapes.next().map_or_else(Mat::new, |s| Mat::zeros(s.rows, s.cols)));
        drop(shapes);
        CompiledInto { compiled, outputs }
    }
}

impl<T: Scalar, const N: usize> Contender<T> for CompiledInto<'_, T, N> {
    fn run(&mut self) -> T {
        let Compiled { program, inputs } = &mut self.compiled;
        let mut outputs = self.outputs.each_mut().map(|matrix| matrix.as_mut());
        match program.run_into(inputs, &mut outputs) {
            Ok(()) => self.outputs[0][(0, 0)],
            Err(_) => T::default(),
        }
    }

    fn results(&mut self) -> (T, Vec<Mat<T>>) {
        (self.run(), self.outputs[1..].to_vec())
    }
}

/// Two programs that run at the same time: what a machine with two processors can do at best.
#[cfg(feature = "rayon")]
pub struct Twice<'p, T: Scalar> {
    programs: [Compiled<'p, T>; 2],
    threads: rayon::ThreadPool,
}

#[cfg(feature = "rayon")]
impl<'p, T: Scalar> Twice<'p, T> {
    /// # Panics
    /// There are no threads to be had.
    #[allow(clippy::panic)]
    pub fn new(programs: [Compiled<'p, T>; 2]) -> Self {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        Twice { programs, threads: threads.unwrap_or_else(|reason| panic!("{reason}")) }
    }
}

#[cfg(feature = "rayon")]
impl<T: Scalar> Contender<T> for Twice<'_, T> {
    fn run(&mut self) -> T {
        let [a, b] = &mut self.programs;
        self.threads.install(|| rayon::join(|| a.run(), || b.run())).0
    }

    fn results(&mut self) -> (T, Vec<Mat<T>>) {
        self.programs[1].results()
    }
}
