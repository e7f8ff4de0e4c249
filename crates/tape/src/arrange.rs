//! Parts of matrices, and matrices put together from parts.
//!
//! No op is needed for any of this but [`Op::Reshape`]: rows are picked by a product with some rows of the identity matrix,
//! and put back by one with their transpose. So the derivatives are those of the product.

use crate::{Error, Op, Shape, Tape, Var};
use std::ops::{Bound, Range, RangeBounds};
use std::panic::Location;

/// So many indices below n, if a selection of so many rows can be addressed: an empty matrix may have more.
fn indices(len: usize, n: usize, index: impl Fn(usize) -> usize) -> Option<Vec<usize>> {
    Shape::new(len, n.max(1)).len().map(|_| (0..len).map(index).collect())
}

impl Tape {
    /// Matrices under each other: `Σ Sₖᵀ Xₖ`, where the rows of Sₖ are those of I that Xₖ takes.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (a, b) = (tape.input("A", (2, 3)), tape.input("B", (4, 3)));
    /// assert_eq!(tape.stack_rows(&[a, b]).shape(), (6, 3).into());
    /// ```
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if they differ in their numbers of columns.
    #[track_caller]
    pub fn stack_rows<'t>(&'t self, parts: &[Var<'t>]) -> Var<'t> {
        let total = parts.iter().map(|part| part.rows()).fold(0, usize::saturating_add);
        let mut start = 0;
        let mut sum: Option<Var<'t>> = None;
        for &part in parts {
            let Some(rows) = indices(part.rows(), total, |i| start + i) else { return part.too_many() };
            start += part.rows();
            let term = self.selection(&rows, total).t() * part;
            sum = Some(match sum {
                Some(sum) => sum + term,
                None => term,
            });
        }
        sum.unwrap_or_else(|| self.zeros((0, 0)))
    }

    /// Matrices beside each other: `Σ Xₖ Sₖ`, where the rows of Sₖ are those of I that Xₖ takes.
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if they differ in their numbers of rows.
    #[track_caller]
    pub fn stack_cols<'t>(&'t self, parts: &[Var<'t>]) -> Var<'t> {
        let total = parts.iter().map(|part| part.cols()).fold(0, usize::saturating_add);
        let mut start = 0;
        let mut sum: Option<Var<'t>> = None;
        for &part in parts {
            let Some(cols) = indices(part.cols(), total, |j| start + j) else { return part.too_many() };
            start += part.cols();
            let term = part * self.selection(&cols, total);
            sum = Some(match sum {
                Some(sum) => sum + term,
                None => term,
            });
        }
        sum.unwrap_or_else(|| self.zeros((0, 0)))
    }

    /// A matrix of blocks, given row by row.
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if the blocks do not fit together.
    #[track_caller]
    pub fn blocks<'t>(&'t self, rows: &[&[Var<'t>]]) -> Var<'t> {
        let mut stacked = Vec::with_capacity(rows.len());
        for row in rows {
            stacked.push(self.stack_cols(row));
        }
        self.stack_rows(&stacked)
    }
}

impl<'t> Var<'t> {
    /// The rows with these indices, in this order; a row may be taken more than once. `S X`, where S has these rows of the
    /// identity matrix.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let x = tape.input("X", (5, 2));
    /// assert_eq!(x.select_rows(&[3, 0]).to_string(), "I[3, 0] X");
    /// ```
    ///
    /// # Derivative
    /// `S ε`
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if there is no such row.
    #[track_caller]
    pub fn select_rows(self, indices: &[usize]) -> Var<'t> {
        self.selection(indices, self.rows(), "row") * self
    }

    /// The columns with these indices, in this order: `X Sᵀ`, where S has these rows of the identity matrix.
    ///
    /// # Derivative
    /// `ε Sᵀ`
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if there is no such column.
    #[track_caller]
    pub fn select_cols(self, indices: &[usize]) -> Var<'t> {
        self * self.selection(indices, self.cols(), "column").t()
    }

    /// Some rows of the identity matrix of order n, or a mistake in this expression.
    #[track_caller]
    fn selection(self, indices: &[usize], n: usize, what: &str) -> Var<'t> {
        match indices.iter().find(|&&index| index >= n) {
            _ if self.id.is_err() => self,
            Some(index) => self.mistaken("select", format!("there is no {what} {index}"), Location::caller()),
            None => self.tape.selection(indices, n),
        }
    }

    /// The part in these rows and columns.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let x = tape.input("X", (5, 4));
    /// assert_eq!(x.slice(1..3, ..).shape(), (2, 4).into());
    /// assert!(x.slice(3..7, ..).check().is_err());
    /// ```
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if it reaches beyond the matrix.
    #[track_caller]
    pub fn slice(self, rows: impl RangeBounds<usize>, cols: impl RangeBounds<usize>) -> Var<'t> {
        let within = |range: (Bound<&usize>, Bound<&usize>), len: usize| -> Option<Range<usize>> {
            let start = match range.0 {
                Bound::Included(&start) => start,
                Bound::Excluded(&start) => start.checked_add(1)?,
                Bound::Unbounded => 0,
            };
            let end = match range.1 {
                Bound::Included(&end) => end.checked_add(1)?,
                Bound::Excluded(&end) => end,
                Bound::Unbounded => len,
            };
            (start <= end && end <= len).then_some(start..end)
        };
        let rows = within((rows.start_bound(), rows.end_bound()), self.rows());
        let cols = within((cols.start_bound(), cols.end_bound()), self.cols());
        let (rows, cols) = match (rows, cols) {
            _ if self.id.is_err() => return self,
            (Some(rows), Some(cols)) => (rows, cols),
            _ => {
                return self.mistaken("slice", "the part reaches beyond it".to_owned(), Location::caller());
            }
        };
        let some_rows = indices(rows.len(), self.rows(), |i| rows.start + i);
        let some_cols = indices(cols.len(), self.cols(), |j| cols.start + j);
        match (some_rows, some_cols) {
            (Some(rows), Some(cols)) => self.select_rows(&rows).select_cols(&cols),
            _ => self.too_many(),
        }
    }

    /// The row with this index, 1×n.
    #[track_caller]
    pub fn row(self, i: usize) -> Var<'t> {
        self.select_rows(&[i])
    }

    /// The column with this index, m×1.
    #[track_caller]
    pub fn col(self, j: usize) -> Var<'t> {
        self.select_cols(&[j])
    }

    /// The entry in row i and column j, 1×1.
    #[track_caller]
    pub fn entry(self, i: usize, j: usize) -> Var<'t> {
        self.row(i).col(j)
    }

    /// The same entries, column by column, in another shape: a copy, O(mn).
    ///
    /// # Derivative
    /// `reshape(ε)`
    ///
    /// # Errors
    /// (deferred) [`Error::Shape`] if it has not as many entries.
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Var<'t> {
        self.tape.record(Op::Reshape(shape.into()), &[self], Location::caller())
    }

    /// All columns under each other, `vec X`, mn×1.
    #[track_caller]
    pub fn vec(self) -> Var<'t> {
        let Shape { rows, cols } = self.shape();
        self.reshape((rows.saturating_mul(cols), 1))
    }

    /// The lower triangle with the diagonal; 0 above.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let x = tape.input("X", (3, 3));
    /// assert_eq!((x.tril() + x.strict_triu()).to_string(), "tril(X) + triu(X, 1)");
    /// ```
    ///
    /// # Derivative
    /// `tril(ε)`
    #[track_caller]
    pub fn tril(self) -> Var<'t> {
        self.tape.triangle(self.shape(), false).hadamard(self)
    }

    /// The lower triangle without the diagonal.
    #[track_caller]
    pub fn strict_tril(self) -> Var<'t> {
        self.tape.triangle(self.shape(), true).hadamard(self)
    }

    /// The upper triangle with the diagonal; 0 below.
    ///
    /// # Derivative
    /// `triu(ε)`
    #[track_caller]
    pub fn triu(self) -> Var<'t> {
        self.tape.triangle(self.shape().transposed(), false).t().hadamard(self)
    }

    /// The upper triangle without the diagonal.
    #[track_caller]
    pub fn strict_triu(self) -> Var<'t> {
        self.tape.triangle(self.shape().transposed(), true).t().hadamard(self)
    }

    /// The symmetric part of a square matrix, `½ (X + Xᵀ)`.
    #[track_caller]
    pub fn symmetrize(self) -> Var<'t> {
        0.5 * (self + self.t())
    }

    /// What the gradient in a symmetric matrix is in its lower triangle alone, if the entries there are the free variables and
    /// those above the diagonal are their copies: `tril(X) + tril(X, −1)`.
    ///
    /// A gradient in a symmetric matrix is symmetric: `⟨G, ε⟩` is the change for every symmetric ε, and an entry of G beside
    /// the diagonal stands for itself and its mirror image. Libraries that count both at one place return this matrix.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// assert_eq!(tape.symmetric("G", 3).free_triangle().to_string(), "tril(G) + tril(G, −1)");
    /// ```
    #[track_caller]
    pub fn free_triangle(self) -> Var<'t> {
        self.tril() + self.strict_tril()
    }

    /// The sums of the first entries of every column: `Yᵢⱼ = Σ_{k ≤ i} Xₖⱼ`, O(mn).
    ///
    /// # Derivative
    /// The cumulative sums of `ε`.
    #[track_caller]
    pub fn cumulative_sums(self) -> Var<'t> {
        self.tape.triangle((self.rows(), self.rows()), false) * self
    }

    /// The outer product of two columns, `x yᵀ`.
    #[track_caller]
    pub fn outer(self, rhs: Var<'t>) -> Var<'t> {
        self * rhs.t()
    }

    /// The Kronecker product of an m×n and a p×q matrix, mp×nq: the blocks `Xᵢⱼ Y`.
    ///
    /// It is an entrywise product, of the matrix that repeats every entry of X in a block, and that which repeats Y: both are
    /// selections. O(mnpq).
    ///
    /// # Derivative
    /// `ε ⊗ Y`, `X ⊗ ε`
    #[track_caller]
    pub fn kron(self, rhs: Var<'t>) -> Var<'t> {
        let (Shape { rows: m, cols: n }, Shape { rows: p, cols: q }) = (self.shape(), rhs.shape());
        if self.id.is_err() || rhs.id.is_err() {
            return self.hadamard(rhs);
        }
        let each = |len: usize, times: usize| indices(len.saturating_mul(times), len, |i| i / times.max(1));
        let all = |len: usize, times: usize| indices(len.saturating_mul(times), len, |i| i % len.max(1));
        let lists = (each(m, p), each(n, q), all(p, m), all(q, n));
        let (Some(x_rows), Some(x_cols), Some(y_rows), Some(y_cols)) = lists else { return self.too_many() };
        let x = self.select_rows(&x_rows).select_cols(&x_cols);
        x.hadamard(rhs.select_rows(&y_rows).select_cols(&y_cols))
    }

    /// The mistake of taking more rows or columns of this than there can be.
    #[track_caller]
    fn too_many(self) -> Var<'t> {
        let (formula, shape, location) = (self.summary(), self.shape(), Location::caller());
        self.tape.mistake(Error::TooLarge { formula, shape, location })
    }

    /// A mistake in what was asked of this expression.
    fn mistaken(self, op: &'static str, problem: String, location: &'static Location<'static>) -> Var<'t> {
        let shape = self.shape();
        let problem = format!("{problem} in {shape}");
        self.tape.mistake(Error::Shape {
            op,
            formula: self.summary(),
            shapes: vec![shape],
            problem,
            location,
        })
    }
}
