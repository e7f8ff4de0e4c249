//! Linear maps that are given by functions instead of matrices.

use crate::check::{Agreement, random};
use crate::custom::{Argument, At, CustomOp, Operation};
use crate::{Error, Scalar};
use faer::dyn_stack::MemStack;
use faer::{Mat, MatMut, MatRef};
use pullback_tape::{Custom, Shape, Var};
use std::fmt;
use std::sync::Arc;

type Apply<T> = Box<dyn Fn(MatRef<'_, T>, MatMut<'_, T>) + Send + Sync>;

/// A map and its adjoint, computed by two functions that write to their second argument.
struct Pair<T> {
    forward: Apply<T>,
    backward: Apply<T>,
}

/// A linear map `K` from matrices of one shape to matrices of another that is given by what it does: a Fourier transform, a
/// blur, a product with a sparse matrix, a solve with a factorization of one's own.
///
/// Two functions are needed: the map, and its adjoint `K*`, with `⟨Y, K X⟩ = ⟨K* Y, X⟩` for all X and Y. As it is linear, that
/// is all there is to differentiate. It prints as `K(X)`, and its adjoint as `K*(Y)`.
///
/// ```
/// use pullback::linear_map::LinearMap;
/// use pullback::prelude::*;
///
/// // Differences of neighbours, and their adjoint.
/// let differences = LinearMap::new(
///     "D",
///     (5, 1),
///     (4, 1),
///     |x, mut y| (0..4).for_each(|i| y[(i, 0)] = x[(i + 1, 0)] - x[(i, 0)]),
///     |y, mut x| {
///         x.fill(0.0);
///         for i in 0..4 {
///             x[(i, 0)] -= y[(i, 0)];
///             x[(i + 1, 0)] += y[(i, 0)];
///         }
///     },
/// )
/// .checked()?;
/// let tape = Tape::new();
/// let x = tape.input("x", (5, 1));
/// let roughness = 0.5 * differences.apply(x).norm_squared();
/// assert_eq!(gradient(roughness, &[x])?[0].to_string(), "D*(D(x))");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct LinearMap {
    maps: Arc<Maps>,
    /// Numbers of the map, and of its adjoint.
    id: u64,
    /// Whether it is the adjoint.
    turned: bool,
    operation: Operation,
}

/// What a map and its adjoint share.
struct Maps {
    names: [String; 2],
    shapes: [Shape; 2],
    double: Option<Pair<f64>>,
    single: Option<Pair<f32>>,
}

impl LinearMap {
    /// The map from matrices of the shape `from` to those of the shape `to`.
    ///
    /// `apply(x, y)` writes `K x` to `y`, and `adjoint(y, x)` writes `K* y` to `x`; what they write to has unspecified
    /// contents. Both have to give the same bits for the same matrix.
    pub fn new(
        name: &str,
        from: impl Into<Shape>,
        to: impl Into<Shape>,
        apply: impl Fn(MatRef<'_, f64>, MatMut<'_, f64>) + Send + Sync + 'static,
        adjoint: impl Fn(MatRef<'_, f64>, MatMut<'_, f64>) + Send + Sync + 'static,
    ) -> Self {
        let double = Pair { forward: Box::new(apply), backward: Box::new(adjoint) };
        let names = [name.to_owned(), format!("{name}*")];
        let maps = Maps { names, shapes: [from.into(), to.into()], double: Some(double), single: None };
        LinearMap::of(Arc::new(maps), Custom::fresh(), false)
    }

    /// The same for matrices of `f32`, for programs in single precision alone.
    pub fn single(
        name: &str,
        from: impl Into<Shape>,
        to: impl Into<Shape>,
        apply: impl Fn(MatRef<'_, f32>, MatMut<'_, f32>) + Send + Sync + 'static,
        adjoint: impl Fn(MatRef<'_, f32>, MatMut<'_, f32>) + Send + Sync + 'static,
    ) -> Self {
        let single = Pair { forward: Box::new(apply), backward: Box::new(adjoint) };
        let names = [name.to_owned(), format!("{name}*")];
        let maps = Maps { names, shapes: [from.into(), to.into()], double: None, single: Some(single) };
        LinearMap::of(Arc::new(maps), Custom::fresh(), false)
    }

    /// The product with a sparse m×n matrix, `A X` for an X of so many columns: one of faer's. (With the feature `sparse`.)
    ///
    /// ```
    /// use pullback::faer::sparse::{SparseColMat, Triplet};
    /// use pullback::linear_map::LinearMap;
    /// use pullback::prelude::*;
    ///
    /// let entries = [Triplet::new(0, 0, 2.0), Triplet::new(1, 2, -1.0)];
    /// let a = SparseColMat::<usize, f64>::try_new_from_triplets(2, 3, &entries).map_err(|e| format!("{e:?}"))?;
    /// let a = LinearMap::sparse("A", a, 4).checked()?;
    /// let tape = Tape::new();
    /// let x = tape.input("X", (3, 4));
    /// assert_eq!(gradient(0.5 * a.apply(x).norm_squared(), &[x])?[0].to_string(), "A*(A(X))");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "sparse")]
    pub fn sparse(name: &str, a: faer::sparse::SparseColMat<usize, f64>, cols: usize) -> Self {
        use faer::sparse::linalg::matmul::sparse_dense_matmul;
        use faer::{Accum, Par};
        let (from, to) = (Shape::new(a.ncols(), cols), Shape::new(a.nrows(), cols));
        let a = Arc::new(a);
        let turned = a.clone();
        LinearMap::new(
            name,
            from,
            to,
            move |x, y| sparse_dense_matmul(y, Accum::Replace, (*a).as_ref(), x, 1.0, Par::Seq),
            move |y, x| {
                sparse_dense_matmul(x, Accum::Replace, (*turned).as_ref().transpose(), y, 1.0, Par::Seq)
            },
        )
    }

    fn of(maps: Arc<Maps>, id: u64, turned: bool) -> Self {
        let op = Direction { maps: maps.clone(), id, turned };
        let operation = Operation::numbered(Arc::new(op), id + u64::from(turned));
        LinearMap { maps, id, turned, operation }
    }

    /// `K X`.
    ///
    /// # Derivative
    /// It is linear; the adjoint is `K*`.
    ///
    /// # Errors
    /// (deferred) [`TapeError::Shape`](crate::errors::TapeError::Shape) if X has not the shape from which it maps.
    #[track_caller]
    pub fn apply<'t>(&self, x: Var<'t>) -> Var<'t> {
        self.operation.apply([x])
    }

    /// The adjoint, which is a linear map again.
    pub fn adjoint(&self) -> LinearMap {
        LinearMap::of(self.maps.clone(), self.id, !self.turned)
    }

    /// The adjoint test: `⟨Y, K X⟩` and `⟨K* Y, X⟩` for random X and Y.
    pub fn adjoint_test(&self) -> Agreement {
        match (&self.maps.double, &self.maps.single) {
            (Some(pair), _) => agreement(pair, self.maps.shapes),
            (None, Some(pair)) => agreement(pair, self.maps.shapes),
            (None, None) => Agreement { left: 0.0, right: 0.0, error: 0.0, tolerance: 0.0 },
        }
    }

    /// The map itself, if it passes the [adjoint test](Self::adjoint_test).
    ///
    /// # Errors
    /// [`Error::NotAdjoint`], with both numbers.
    pub fn checked(self) -> Result<Self, Error> {
        let agreement = self.adjoint_test();
        let name = self.maps.names[0].clone();
        if agreement.passes() { Ok(self) } else { Err(Error::NotAdjoint { name, agreement }) }
    }
}

impl fmt::Debug for LinearMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [from, to] = self.maps.shapes;
        let (from, to) = if self.turned { (to, from) } else { (from, to) };
        write!(f, "{}: {from} → {to}", self.maps.names[usize::from(self.turned)])
    }
}

/// Entries that are not written show as NaN.
fn agreement<T: Scalar>(pair: &Pair<T>, [from, to]: [Shape; 2]) -> Agreement {
    let (x, y): (Mat<T>, Mat<T>) = (random(from.rows, from.cols, 1), random(to.rows, to.cols, 2));
    let unwritten = |shape: Shape| Mat::full(shape.rows, shape.cols, T::from_f64(f64::NAN));
    let (mut image, mut preimage) = (unwritten(to), unwritten(from));
    (pair.forward)(x.as_ref(), image.as_mut());
    (pair.backward)(y.as_ref(), preimage.as_mut());
    let inner = |a: &Mat<T>, b: &Mat<T>| -> f64 {
        (0..a.ncols())
            .flat_map(|j| (0..a.nrows()).map(move |i| a[(i, j)].to_f64() * b[(i, j)].to_f64()))
            .sum()
    };
    let norm = |a: &Mat<T>| inner(a, a).sqrt();
    let bound = norm(&y) * norm(&image) + norm(&preimage) * norm(&x);
    Agreement::new::<T>(inner(&y, &image), inner(&preimage, &x), bound)
}

/// A map or its adjoint, as an operation.
struct Direction {
    maps: Arc<Maps>,
    id: u64,
    turned: bool,
}

impl Direction {
    fn run<T>(
        &self,
        pair: Option<&Pair<T>>,
        args: &[MatRef<'_, T>],
        out: MatMut<'_, T>,
    ) -> Result<(), String> {
        match (pair, args) {
            (Some(pair), &[x]) => {
                if self.turned {
                    (pair.backward)(x, out)
                } else {
                    (pair.forward)(x, out)
                }
                Ok(())
            }
            _ => Err(format!("is not given for {}", std::any::type_name::<T>())),
        }
    }
}

impl CustomOp for Direction {
    fn name(&self) -> &str {
        &self.maps.names[usize::from(self.turned)]
    }

    fn arguments(&self) -> &[Argument] {
        &[Argument::Linear]
    }

    fn shape(&self, args: &[Shape]) -> Result<Shape, String> {
        let [from, to] = self.maps.shapes;
        let (from, to) = if self.turned { (to, from) } else { (from, to) };
        match args {
            &[x] if x == from => Ok(to),
            _ => Err(format!("maps {from}, not {}", args.first().copied().unwrap_or(Shape::SCALAR))),
        }
    }

    fn adjoint<'t>(&self, _: &At<'_, 't>, y_bar: Var<'t>) -> Var<'t> {
        LinearMap::of(self.maps.clone(), self.id, !self.turned).apply(y_bar)
    }

    fn run_f64(
        &self,
        args: &[MatRef<'_, f64>],
        out: MatMut<'_, f64>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        self.run(self.maps.double.as_ref(), args, out)
    }

    fn run_f32(
        &self,
        args: &[MatRef<'_, f32>],
        out: MatMut<'_, f32>,
        _: &mut MemStack,
    ) -> Result<(), String> {
        self.run(self.maps.single.as_ref(), args, out)
    }
}
