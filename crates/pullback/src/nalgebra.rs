//! Matrices of [nalgebra](https://docs.rs/nalgebra) as inputs and outputs, by the feature `nalgebra`.
//!
//! A matrix or vector that owns its entries, of dynamic or static size, is read and written where it lies, by [`view`] and
//! [`view_mut`]. Of a part of a larger matrix nalgebra shows safe code no slice, except of a column; there is [`to_mat`], which copies any.
//!
//! Results are written straight into nalgebra's matrices by [`Program::run_into`](crate::Program::run_into), or copied by
//! [`to_matrix`]. A matrix of faer's cannot be shown as one of nalgebra's, because its columns begin at multiples of 64 bytes
//! and nothing safe shows what lies between them.
//!
//! ```
//! use nalgebra::{DMatrix, Matrix2x3};
//! use pullback::nalgebra::{view, view_mut};
//! use pullback::prelude::*;
//!
//! let tape = Tape::new();
//! let (a, b) = (tape.input("A", (2, 3)), tape.input("B", (3, 2)));
//! let mut program = Program::<f64>::compile(&[a * b])?;
//!
//! let a = Matrix2x3::new(1.0, 2.0, 3.0, 4.0, 5.0, 6.0);
//! let mut product = DMatrix::zeros(2, 2);
//! // Nothing is copied.
//! program.run_into(&[("A", view(&a)), ("B", view(&a).transpose())], &mut [view_mut(&mut product)])?;
//! assert_eq!(product, a * a.transpose());
//! # Ok::<(), Error>(())
//! ```

use ::nalgebra::{DMatrix, Dim, IsContiguous, Matrix, RawStorage, RawStorageMut};
use faer::{Mat, MatMut, MatRef};

/// A matrix of nalgebra's as one of faer's, where it lies.
pub fn view<T, R, C, S>(matrix: &Matrix<T, R, C, S>) -> MatRef<'_, T>
where
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C> + IsContiguous,
{
    MatRef::from_column_major_slice(matrix.as_slice(), matrix.nrows(), matrix.ncols())
}

/// A matrix of nalgebra's as one of faer's to write to, where it lies.
pub fn view_mut<T, R, C, S>(matrix: &mut Matrix<T, R, C, S>) -> MatMut<'_, T>
where
    R: Dim,
    C: Dim,
    S: RawStorageMut<T, R, C> + IsContiguous,
{
    let (rows, cols) = matrix.shape();
    MatMut::from_column_major_slice_mut(matrix.as_mut_slice(), rows, cols)
}

/// A copy of any matrix of nalgebra's, or part of one.
pub fn to_mat<T, R, C, S>(matrix: &Matrix<T, R, C, S>) -> Mat<T>
where
    T: Clone,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C>,
{
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)].clone())
}

/// A copy of a matrix, as one of nalgebra's.
pub fn to_matrix<T>(matrix: MatRef<'_, T>) -> DMatrix<T>
where
    T: ::nalgebra::Scalar,
{
    DMatrix::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)].clone())
}
