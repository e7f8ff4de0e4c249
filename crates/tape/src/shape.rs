use std::fmt;

/// The size of a matrix: `rows × cols`.
///
/// ```
/// use pullback_tape::Shape;
/// let shape = Shape::from((32, 64));
/// assert_eq!(shape.to_string(), "32×64");
/// assert_eq!(shape.transposed(), Shape::new(64, 32));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

impl Shape {
    /// The shape of a scalar, 1×1.
    pub const SCALAR: Shape = Shape::new(1, 1);

    /// `rows × cols`.
    pub const fn new(rows: usize, cols: usize) -> Self {
        Shape { rows, cols }
    }

    /// `cols × rows`.
    pub const fn transposed(self) -> Self {
        Shape::new(self.cols, self.rows)
    }

    /// Whether this is 1×1.
    pub const fn is_scalar(self) -> bool {
        self.rows == 1 && self.cols == 1
    }

    /// Whether rows and columns are equally many.
    pub const fn is_square(self) -> bool {
        self.rows == self.cols
    }

    /// Whether there is no entry at all.
    pub const fn is_empty(self) -> bool {
        self.rows == 0 || self.cols == 0
    }

    /// Number of entries, if a matrix of that many `f64` can be addressed.
    pub fn len(self) -> Option<usize> {
        let len = self.rows.checked_mul(self.cols)?;
        let bytes = len.checked_mul(size_of::<f64>())?;
        (bytes <= isize::MAX as usize).then_some(len)
    }
}

impl From<(usize, usize)> for Shape {
    fn from((rows, cols): (usize, usize)) -> Self {
        Shape::new(rows, cols)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.rows, self.cols)
    }
}
