use crate::Scalar;
use faer::{MatMut, MatRef};
use std::fmt;
use std::sync::Arc;

type Value<T> = Arc<dyn Fn(MatRef<'_, T>) -> T + Send + Sync>;
type Gradient<T> = Arc<dyn Fn(MatRef<'_, T>, MatMut<'_, T>) + Send + Sync>;
type HessianProduct<T> = Arc<dyn Fn(MatRef<'_, T>, MatRef<'_, T>, MatMut<'_, T>) + Send + Sync>;

/// What an opaque function computes: its value and, where they are needed, its gradient and the product of its
/// Hessian with a direction.
///
/// ```
/// use pullback_engine::{Definition, Program};
/// use pullback_tape::Tape;
///
/// let tape = Tape::new();
/// let w = tape.input("W", (2, 3));
/// let mut program = Program::<f64>::compile(&[tape.function("L", w)])?;
/// program.define("L", Definition::new(|w| w.squared_norm_l2()))?;
/// let w = faer::Mat::full(2, 3, 2.0);
/// assert_eq!(program.run(&[("W", w.as_ref())])?.scalar(0), Some(24.0));
/// # Ok::<(), pullback_engine::Error>(())
/// ```
#[derive(Clone)]
pub struct Definition<T: Scalar> {
    pub(crate) value: Value<T>,
    pub(crate) gradient: Option<Gradient<T>>,
    pub(crate) hessian_product: Option<HessianProduct<T>>,
}

impl<T: Scalar> Definition<T> {
    /// A function given by its value.
    pub fn new(value: impl Fn(MatRef<'_, T>) -> T + Send + Sync + 'static) -> Self {
        Definition { value: Arc::new(value), gradient: None, hessian_product: None }
    }

    /// Adds the gradient: `gradient(w, out)` writes `∇L(w)` to `out`, which has the shape of `w` and
    /// unspecified contents.
    pub fn gradient(
        mut self,
        gradient: impl Fn(MatRef<'_, T>, MatMut<'_, T>) + Send + Sync + 'static,
    ) -> Self {
        self.gradient = Some(Arc::new(gradient));
        self
    }

    /// Adds the Hessian product: `product(w, v, out)` writes `∇²L(w)[v]` to `out`, which has the shape of `w`
    /// and unspecified contents.
    pub fn hessian_product(
        mut self,
        product: impl Fn(MatRef<'_, T>, MatRef<'_, T>, MatMut<'_, T>) + Send + Sync + 'static,
    ) -> Self {
        self.hessian_product = Some(Arc::new(product));
        self
    }
}

impl<T: Scalar> fmt::Debug for Definition<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("gradient", &self.gradient.is_some())
            .field("hessian_product", &self.hessian_product.is_some())
            .finish_non_exhaustive()
    }
}
