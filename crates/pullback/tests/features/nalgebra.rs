//! Matrices of nalgebra's as faer's.

use nalgebra::{DMatrix, DVector, IsContiguous, Matrix, RawStorage, RowDVector, SMatrix};
use pullback::faer::Mat;
use pullback::nalgebra::{to_mat, to_matrix, view, view_mut};

fn read<R: nalgebra::Dim, C: nalgebra::Dim, S: RawStorage<f64, R, C> + IsContiguous>(
    matrix: &Matrix<f64, R, C, S>,
) {
    let seen = view(matrix);
    assert_eq!((seen.nrows(), seen.ncols()), matrix.shape());
    for j in 0..seen.ncols() {
        for i in 0..seen.nrows() {
            assert!(std::ptr::eq(&seen[(i, j)], &matrix[(i, j)]), "({i}, {j})");
        }
    }
    assert_eq!(to_mat(matrix).as_ref(), seen);
}

#[test]
fn matrices_are_read_where_they_lie() {
    for (rows, cols) in [(3, 4), (1, 4), (3, 1), (0, 4), (3, 0), (0, 0)] {
        read(&DMatrix::from_fn(rows, cols, |i, j| (10 * i + j) as f64));
    }
    read(&SMatrix::<f64, 2, 3>::new(1.0, 2.0, 3.0, 4.0, 5.0, 6.0));
    read(&DVector::from_vec(vec![1.0, 2.0, 3.0]));
    read(&RowDVector::from_vec(vec![1.0, 2.0, 3.0]));
    read(&DMatrix::from_fn(3, 4, |i, j| (10 * i + j) as f64).column(2));
}

#[test]
fn matrices_are_written_where_they_lie() {
    let mut matrix = DMatrix::zeros(3, 2);
    let mut seen = view_mut(&mut matrix);
    seen[(2, 0)] = 1.0;
    seen[(0, 1)] = 2.0;
    assert_eq!(matrix, DMatrix::from_column_slice(3, 2, &[0.0, 0.0, 1.0, 2.0, 0.0, 0.0]));
    let mut square = SMatrix::<f32, 2, 2>::zeros();
    view_mut(&mut square)[(0, 1)] = 1.0;
    assert_eq!(square, SMatrix::<f32, 2, 2>::new(0.0, 1.0, 0.0, 0.0));
}

#[test]
fn parts_and_results_are_copied() {
    let matrix = DMatrix::from_fn(3, 4, |i, j| (10 * i + j) as f64);
    let part = matrix.view((1, 1), (2, 2));
    assert_eq!(to_mat(&part), Mat::from_fn(2, 2, |i, j| (10 * (i + 1) + j + 1) as f64));
    for (rows, cols) in [(3, 4), (1, 4), (0, 2), (2, 0)] {
        let matrix = Mat::from_fn(rows, cols, |i, j| (10 * i + j) as f32);
        let expected = DMatrix::from_fn(rows, cols, |i, j| (10 * i + j) as f32);
        assert_eq!(to_matrix(matrix.as_ref()), expected);
        assert_eq!(to_matrix(matrix.transpose()), expected.transpose());
    }
}
