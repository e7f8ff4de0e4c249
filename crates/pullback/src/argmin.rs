//! Losses as problems for the solvers of [argmin](https://docs.rs/argmin), by the feature `argmin`.
//!
//! A [`Problem`] is what argmin minimizes: its parameter is one `Vec` that holds the entries of all variables, in their order,
//! each column by column, which is a form that all of argmin's solvers know how to compute with. Value and gradient of one
//! point come from one run of one program: what the last run found is kept, so it does not matter that a solver asks for
//! them one after the other. Errors come out of argmin as [`Error`]; only `LBFGS` ends with what it has, and the error's text as
//! the reason, if a line search comes to a point at which the loss is not defined. Its first step is the gradient itself: a loss
//! with a large gradient at the start wants to be scaled. For solvers that want a Hessian there is [`HessianAt`], of which only products are computed.
//!
//! ```
//! use argmin::core::{Executor, State};
//! use argmin::solver::{linesearch::MoreThuenteLineSearch, quasinewton::LBFGS};
//! use pullback::argmin::Problem;
//! use pullback::faer::{Mat, mat};
//! use pullback::prelude::*;
//!
//! // ½ ‖X w − y‖²
//! let tape = Tape::new();
//! let (x, y, w) = (tape.constant("X", (3, 2)), tape.constant("y", (3, 1)), tape.input("w", (2, 1)));
//! let loss = 0.5 * (x * w - y).norm_squared();
//! let data = (mat![[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], mat![[1.0], [3.0], [5.0]]);
//! let problem = Problem::new(loss, &[w], &[("X", data.0.as_ref()), ("y", data.1.as_ref())])?;
//!
//! let start = problem.flatten(&[Mat::zeros(2, 1).as_ref()])?;
//! let solver = LBFGS::new(MoreThuenteLineSearch::new(), 5);
//! let result = Executor::new(&problem, solver).configure(|state| state.param(start).max_iters(50)).run()?;
//!
//! let best = result.state().get_best_param().ok_or("no iteration")?;
//! let w = &problem.unflatten(best)?[0];
//! assert!((w - mat![[1.0], [2.0]]).norm_l2() < 1e-6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::errors::EngineError;
use crate::evaluate::is_constant;
use crate::{Program, Scalar, Shape, Var, compile, curvature};
use ::argmin::core::{CostFunction, Error as ArgminError, Gradient, Hessian};
use argmin_math::ArgminDot;
use faer::{Mat, MatRef};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// Why a [`Problem`] could not be made or evaluated. argmin hands it on as its own error, from which it can be had again by
/// `downcast_ref`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error of the rest of this library.
    #[error(transparent)]
    Pullback(#[from] crate::Error),
    /// A parameter has another length than the variables have entries.
    #[error("the variables have {expected} entries, but the parameter has {found}")]
    Length {
        /// The number of entries of all variables.
        expected: usize,
        /// The length given.
        found: usize,
    },
    /// Another number of matrices was given than there are variables.
    #[error("there are {expected} variables, but {found} matrices were given")]
    Count {
        /// The number of variables.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// A matrix has another shape than its variable.
    #[error("variable `{name}` is {expected}, not {found}")]
    Shape {
        /// The variable's name.
        name: String,
        /// Its shape.
        expected: Shape,
        /// The shape given.
        found: Shape,
    },
    /// What is to be minimized over is no input of runs.
    #[error("`{name}` is no input that every run is given, so it cannot be minimized over")]
    NoInput {
        /// The expression, abbreviated.
        name: String,
    },
    /// A product with the Hessian has an infinite or NaN entry.
    #[error("a product with the Hessian is not finite")]
    NonFinite,
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Error::Pullback(error.into())
    }
}

/// A loss to be minimized over some of its inputs, for argmin: see the [module](self).
///
/// `Problem` and `&Problem` implement [`CostFunction`], [`Gradient`] and [`Hessian`]; give a solver the reference to have the
/// problem's helpers afterwards. The Hessian is compiled when it is first asked for.
pub struct Problem<'t, T: Scalar> {
    loss: Var<'t>,
    wrt: Vec<Var<'t>>,
    variables: Rc<Variables>,
    /// What else is bound: first what every run is given, and then constants.
    fixed: Rc<Vec<(String, Mat<T>)>>,
    /// The number of the former.
    inputs: usize,
    program: RefCell<Program<T>>,
    last: RefCell<Option<Evaluation<T>>>,
    runs: Cell<usize>,
    curvature: RefCell<Option<Rc<Curvature<T>>>>,
}

/// Value and gradient at a point.
struct Evaluation<T> {
    point: Vec<T>,
    value: T,
    gradient: Vec<T>,
}

/// The variables, by names and shapes.
struct Variables(Vec<(String, Shape)>);

impl Variables {
    fn len(&self) -> usize {
        self.0.iter().map(|(_, shape)| shape.rows * shape.cols).sum()
    }

    /// A parameter as matrices, where it lies.
    fn matrices<'a, T>(&'a self, flat: &'a [T]) -> Result<Vec<(&'a str, MatRef<'a, T>)>, Error> {
        if flat.len() != self.len() {
            return Err(Error::Length { expected: self.len(), found: flat.len() });
        }
        let mut rest = flat;
        let mut matrices = Vec::with_capacity(self.0.len());
        for (name, Shape { rows, cols }) in &self.0 {
            let (entries, others) = rest.split_at(rows * cols);
            matrices.push((name.as_str(), MatRef::from_column_major_slice(entries, *rows, *cols)));
            rest = others;
        }
        Ok(matrices)
    }
}

fn append<T: Copy>(flat: &mut Vec<T>, matrix: MatRef<'_, T>) {
    flat.extend(matrix.col_iter().flat_map(|col| col.iter().copied()));
}

/// The same bits: `−0` is not `0`, which a reciprocal can tell apart.
fn same<T: Scalar>(a: &[T], b: &[T]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_f64().to_bits() == b.to_f64().to_bits())
}

impl<'t, T: Scalar> Problem<'t, T> {
    /// The problem to minimize the 1×1 `loss` over `wrt`, where all other inputs are bound to `inputs`, of which copies are
    /// kept.
    ///
    /// # Errors
    /// Those of [`compile`] and of binding constants; [`Error::NoInput`] if a variable is a constant or an expression.
    pub fn new(loss: Var<'t>, wrt: &[Var<'t>], inputs: &[(&str, MatRef<'_, T>)]) -> Result<Self, Error> {
        let mut program = compile(loss, wrt)?;
        let known = loss.tape().inputs();
        let variables: Vec<_> = wrt.iter().map(|x| (x.to_string(), x.shape())).collect();
        for (name, shape) in &variables {
            if is_constant(&program, name) || !known.iter().any(|input| (&input.0, &input.1) == (name, shape))
            {
                return Err(Error::NoInput { name: name.clone() });
            }
            if inputs.iter().any(|(other, _)| other == name) {
                return Err(EngineError::BoundTwice { name: name.clone() }.into());
            }
        }
        let (constants, fixed): (Vec<_>, Vec<_>) =
            inputs.iter().copied().partition(|(name, _)| is_constant(&program, name));
        if !constants.is_empty() {
            program.bind(&constants)?;
        }
        // The Hessian is bound to the constants once more.
        let owned = |(name, matrix): &(&str, MatRef<'_, T>)| ((*name).to_owned(), matrix.to_owned());
        Ok(Problem {
            loss,
            wrt: wrt.to_vec(),
            variables: Rc::new(Variables(variables)),
            inputs: fixed.len(),
            fixed: Rc::new(fixed.iter().chain(&constants).map(owned).collect()),
            program: RefCell::new(program),
            last: RefCell::new(None),
            runs: Cell::new(0),
            curvature: RefCell::new(None),
        })
    }

    /// The number of entries of all variables, which is the length of a parameter.
    pub fn len(&self) -> usize {
        self.variables.len()
    }

    /// Whether there is nothing to minimize over.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parameter that holds these matrices, one for every variable.
    ///
    /// # Errors
    /// [`Error::Count`], [`Error::Shape`].
    pub fn flatten(&self, matrices: &[MatRef<'_, T>]) -> Result<Vec<T>, Error> {
        let variables = &self.variables.0;
        if matrices.len() != variables.len() {
            return Err(Error::Count { expected: variables.len(), found: matrices.len() });
        }
        let mut flat = Vec::with_capacity(self.len());
        for ((name, expected), matrix) in variables.iter().zip(matrices) {
            let found = Shape::new(matrix.nrows(), matrix.ncols());
            if found != *expected {
                return Err(Error::Shape { name: name.clone(), expected: *expected, found });
            }
            append(&mut flat, *matrix);
        }
        Ok(flat)
    }

    /// The matrices that a parameter holds, one for every variable.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn unflatten(&self, parameter: &[T]) -> Result<Vec<Mat<T>>, Error> {
        Ok(self.variables.matrices(parameter)?.into_iter().map(|(_, matrix)| matrix.to_owned()).collect())
    }

    /// How often the program ran: once for every point, if value and gradient of it are asked for before those of the next.
    pub fn evaluations(&self) -> usize {
        self.runs.get()
    }

    /// Value and gradient at a point, computed unless they are those of the last one.
    ///
    /// # Errors
    /// [`Error::Length`], and those of [`Program::run`].
    pub fn value_and_gradient(&self, parameter: &[T]) -> Result<(T, Vec<T>), Error> {
        self.at(parameter, |evaluation| (evaluation.value, evaluation.gradient.clone()))
    }

    fn at<R>(&self, point: &[T], read: impl FnOnce(&Evaluation<T>) -> R) -> Result<R, Error> {
        if let Some(curvature) = &*self.curvature.borrow() {
            curvature.failed()?;
        }
        let mut last = self.last.borrow_mut();
        if let Some(evaluation) = last.as_ref().filter(|evaluation| same(&evaluation.point, point)) {
            return Ok(read(evaluation));
        }
        let mut program = self.program.borrow_mut();
        let fixed = self.fixed.iter().take(self.inputs);
        let fixed = fixed.map(|(name, matrix)| (name.as_str(), matrix.as_ref()));
        let bound: Vec<_> = self.variables.matrices(point)?.into_iter().chain(fixed).collect();
        let run = program.run(&bound)?;
        self.runs.set(self.runs.get() + 1);
        let mut gradient = Vec::with_capacity(point.len());
        run.iter().skip(1).for_each(|matrix| append(&mut gradient, matrix));
        let value = run.scalar(0).unwrap_or_default();
        Ok(read(last.insert(Evaluation { point: point.to_vec(), value, gradient })))
    }

    /// The Hessian at a point, of which nothing is computed yet.
    fn hessian_at(&self, point: &[T]) -> Result<HessianAt<T>, Error> {
        self.variables.matrices(point)?;
        let mut curvature = self.curvature.borrow_mut();
        let curvature = match &*curvature {
            Some(curvature) => curvature.clone(),
            None => curvature
                .insert(Rc::new(Curvature {
                    hessian: RefCell::new(curvature::Hessian::compile(self.loss, &self.wrt)?),
                    variables: self.variables.clone(),
                    fixed: self.fixed.clone(),
                    at: RefCell::new(None),
                    failure: RefCell::new(None),
                }))
                .clone(),
        };
        curvature.failed()?;
        Ok(HessianAt { curvature, point: Rc::new(point.to_vec()) })
    }
}

impl<T: Scalar> fmt::Debug for Problem<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("loss", &self.loss.to_string())
            .field("variables", &self.variables.0)
            .finish_non_exhaustive()
    }
}

/// The products with the Hessian, wherever it is taken.
struct Curvature<T: Scalar> {
    hessian: RefCell<curvature::Hessian<T>>,
    variables: Rc<Variables>,
    fixed: Rc<Vec<(String, Mat<T>)>>,
    /// Where it was taken last.
    at: RefCell<Option<Rc<Vec<T>>>>,
    /// What went wrong in a product that could not say so.
    failure: RefCell<Option<Error>>,
}

impl<T: Scalar> Curvature<T> {
    fn failed(&self) -> Result<(), Error> {
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    fn product(&self, point: &Rc<Vec<T>>, direction: &[T]) -> Result<Vec<T>, Error> {
        let mut hessian = self.hessian.borrow_mut();
        let mut at = self.at.borrow_mut();
        if !at.as_ref().is_some_and(|at| Rc::ptr_eq(at, point)) {
            let fixed = self.fixed.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref()));
            let bound: Vec<_> = self.variables.matrices(point)?.into_iter().chain(fixed).collect();
            *at = None;
            hessian.set(&bound)?;
            *at = Some(point.clone());
        }
        let directions: Vec<_> =
            self.variables.matrices(direction)?.into_iter().map(|(_, matrix)| matrix).collect();
        let mut product = Vec::with_capacity(direction.len());
        hessian.product(&directions)?.iter().for_each(|matrix| append(&mut product, matrix.as_ref()));
        if product.iter().all(|x| Scalar::is_finite(*x)) { Ok(product) } else { Err(Error::NonFinite) }
    }
}

/// The Hessian of a [`Problem`] at a point: a linear map, of which argmin's solvers (`NewtonCG`, `Steihaug`) compute products
/// by [`ArgminDot`]. No matrix is formed; a product costs about two gradients.
///
/// A product cannot return an error. If it fails, or is not finite, it is zero, at which solvers stop looking along a
/// direction, and whatever the problem is asked next returns the error.
#[derive(Clone)]
pub struct HessianAt<T: Scalar> {
    curvature: Rc<Curvature<T>>,
    point: Rc<Vec<T>>,
}

impl<T: Scalar> HessianAt<T> {
    /// The product with a direction.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFinite`], and those of [`curvature::Hessian::product`].
    pub fn product(&self, direction: &[T]) -> Result<Vec<T>, Error> {
        self.curvature.product(&self.point, direction)
    }
}

impl<T: Scalar> ArgminDot<Vec<T>, Vec<T>> for HessianAt<T> {
    fn dot(&self, direction: &Vec<T>) -> Vec<T> {
        self.product(direction).unwrap_or_else(|error| {
            self.curvature.failure.borrow_mut().get_or_insert(error);
            vec![T::default(); direction.len()]
        })
    }
}

impl<T: Scalar> fmt::Debug for HessianAt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HessianAt").field("point", &self.point).finish_non_exhaustive()
    }
}

/// What argmin asks, of a problem and of a reference to it.
macro_rules! answers {
    ($problem:ty) => {
        impl<'t, T: Scalar> CostFunction for $problem {
            type Param = Vec<T>;
            type Output = T;

            fn cost(&self, parameter: &Vec<T>) -> Result<T, ArgminError> {
                Ok(self.at(parameter, |evaluation| evaluation.value)?)
            }
        }

        impl<'t, T: Scalar> Gradient for $problem {
            type Param = Vec<T>;
            type Gradient = Vec<T>;

            fn gradient(&self, parameter: &Vec<T>) -> Result<Vec<T>, ArgminError> {
                Ok(self.at(parameter, |evaluation| evaluation.gradient.clone())?)
            }
        }

        impl<'t, T: Scalar> Hessian for $problem {
            type Param = Vec<T>;
            type Hessian = HessianAt<T>;

            fn hessian(&self, parameter: &Vec<T>) -> Result<HessianAt<T>, ArgminError> {
                Ok(self.hessian_at(parameter)?)
            }
        }
    };
}

answers!(Problem<'t, T>);
answers!(&Problem<'t, T>);
