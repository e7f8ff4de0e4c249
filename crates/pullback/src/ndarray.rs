//! Arrays of [ndarray](https://docs.rs/ndarray) as inputs and outputs, by the feature `ndarray`.
//!
//! An array that fills its memory is read and written where it lies, by [`view`] and [`view_mut`]: in row-major or
//! column-major order, transposed or with axes turned around. Of a part of a larger array, such as some of its columns, safe
//! code can show only one row or column at a time; there is [`to_mat`], which copies any array.
//!
//! Results are written straight into arrays by [`Program::run_into`](crate::Program::run_into), or copied by [`to_array`].
//! A matrix of faer's cannot be shown as an array, because its columns begin at multiples of 64 bytes and nothing safe
//! shows what lies between them.
//!
//! ```
//! use ndarray::{Array2, array};
//! use pullback::ndarray::{view, view_mut};
//! use pullback::prelude::*;
//!
//! let tape = Tape::new();
//! let (a, b) = (tape.input("A", (2, 3)), tape.input("B", (3, 2)));
//! let mut program = Program::<f64>::compile(&[a * b])?;
//!
//! let a = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
//! let mut product = Array2::zeros((2, 2));
//! // Nothing is copied: A as it is, A transposed in place of B, and the product into its array.
//! program.run_into(&[("A", view(a.view())?), ("B", view(a.t())?)], &mut [view_mut(product.view_mut())?])?;
//! assert_eq!(product, a.dot(&a.t()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use ::ndarray::{Array2, ArrayView2, ArrayViewMut2};
use faer::{Mat, MatMut, MatRef};

/// An array of which safe code cannot be shown the memory as one slice: a part of a larger one, or one that is repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a {rows}×{cols} array with strides {strides:?} does not fill its memory; `to_mat` copies it")]
pub struct NotContiguous {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// How far the next row and the next column are, in entries.
    pub strides: [isize; 2],
}

/// How an array lies in its memory.
struct Layout {
    rows: usize,
    cols: usize,
    /// Whether entries of a row are neighbours.
    by_rows: bool,
    /// Which axes run against the memory.
    turned: [bool; 2],
    not_contiguous: NotContiguous,
}

impl Layout {
    fn of((rows, cols): (usize, usize), strides: &[isize]) -> Self {
        let strides = [strides.first().copied().unwrap_or(1), strides.get(1).copied().unwrap_or(1)];
        // An axis of one entry has a stride that says nothing; of two longer ones only one is walked in steps of 1.
        let by_rows = cols > 1 && strides[1].abs() == 1;
        let turned = [rows > 1 && strides[0] < 0, cols > 1 && strides[1] < 0];
        Layout { rows, cols, by_rows, turned, not_contiguous: NotContiguous { rows, cols, strides } }
    }
}

/// An array as a matrix, where it lies.
///
/// # Errors
/// [`NotContiguous`] if it does not fill its memory.
pub fn view<T>(array: ArrayView2<'_, T>) -> Result<MatRef<'_, T>, NotContiguous> {
    let layout = Layout::of(array.dim(), array.strides());
    let slice = array.to_slice_memory_order().ok_or(layout.not_contiguous)?;
    let matrix = if layout.by_rows {
        MatRef::from_row_major_slice(slice, layout.rows, layout.cols)
    } else {
        MatRef::from_column_major_slice(slice, layout.rows, layout.cols)
    };
    let matrix = if layout.turned[0] { matrix.reverse_rows() } else { matrix };
    Ok(if layout.turned[1] { matrix.reverse_cols() } else { matrix })
}

/// An array as a matrix to write to, where it lies.
///
/// # Errors
/// [`NotContiguous`] if it does not fill its memory.
pub fn view_mut<T>(array: ArrayViewMut2<'_, T>) -> Result<MatMut<'_, T>, NotContiguous> {
    let layout = Layout::of(array.dim(), array.strides());
    let slice = array.into_slice_memory_order().ok_or(layout.not_contiguous)?;
    let matrix = if layout.by_rows {
        MatMut::from_row_major_slice_mut(slice, layout.rows, layout.cols)
    } else {
        MatMut::from_column_major_slice_mut(slice, layout.rows, layout.cols)
    };
    let matrix = if layout.turned[0] { matrix.reverse_rows_mut() } else { matrix };
    Ok(if layout.turned[1] { matrix.reverse_cols_mut() } else { matrix })
}

/// A copy of any array.
pub fn to_mat<T: Clone>(array: ArrayView2<'_, T>) -> Mat<T> {
    Mat::from_fn(array.nrows(), array.ncols(), |i, j| array[[i, j]].clone())
}

/// A copy of a matrix, in ndarray's row-major order.
pub fn to_array<T: Clone>(matrix: MatRef<'_, T>) -> Array2<T> {
    Array2::from_shape_fn((matrix.nrows(), matrix.ncols()), |(i, j)| matrix[(i, j)].clone())
}
