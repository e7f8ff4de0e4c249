//! Arrays of ndarray as matrices.

use ndarray::{Array2, ArrayView2, Axis, ShapeBuilder, Slice};
use pullback::faer::Mat;
use pullback::ndarray::{NotContiguous, to_array, to_mat, view, view_mut};

fn numbered(rows: usize, cols: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, cols), |(i, j)| (10 * i + j) as f64)
}

/// Arrays that fill their memory, in every order there is.
fn contiguous(test: impl Fn(&str, Array2<f64>)) {
    for (rows, cols) in [(3, 4), (1, 4), (3, 1), (1, 1), (0, 4), (3, 0), (0, 0), (2, 2)] {
        let by_rows = numbered(rows, cols);
        let mut by_cols = Array2::zeros((rows, cols).f());
        by_cols.assign(&by_rows);
        for (order, array) in [("rows", by_rows), ("columns", by_cols)] {
            for turned in [&[][..], &[Axis(0)], &[Axis(1)], &[Axis(0), Axis(1)]] {
                let mut array = array.clone();
                turned.iter().for_each(|axis| array.invert_axis(*axis));
                test(&format!("{rows}×{cols} by {order}, turned along {turned:?}"), array.clone());
                test(&format!("the same, transposed: {turned:?}"), array.reversed_axes());
            }
        }
    }
}

#[test]
fn arrays_are_read_where_they_lie() {
    contiguous(|what, array| {
        let matrix = view(array.view()).expect(what);
        assert_eq!((matrix.nrows(), matrix.ncols()), array.dim(), "{what}");
        for ((i, j), entry) in array.indexed_iter() {
            assert!(std::ptr::eq(&matrix[(i, j)], entry), "{what}: ({i}, {j})");
        }
        assert_eq!(to_mat(array.view()).as_ref(), matrix, "{what}");
    });
}

#[test]
fn arrays_are_written_where_they_lie() {
    contiguous(|what, mut array| {
        let dim = array.dim();
        let mut matrix = view_mut(array.view_mut()).expect(what);
        for j in 0..dim.1 {
            for i in 0..dim.0 {
                matrix[(i, j)] = (100 * i + j) as f64;
            }
        }
        assert_eq!(array, Array2::from_shape_fn(dim, |(i, j)| (100 * i + j) as f64), "{what}");
    });
}

#[test]
fn a_part_of_an_array_is_copied() {
    let mut array = numbered(3, 4);
    let part = array.slice_axis(Axis(1), Slice::from(1..3));
    let error = NotContiguous { rows: 3, cols: 2, strides: [4, 1] };
    assert_eq!(view(part).unwrap_err(), error);
    assert_eq!(
        error.to_string(),
        "a 3×2 array with strides [4, 1] does not fill its memory; `to_mat` copies it"
    );
    assert_eq!(to_mat(part), Mat::from_fn(3, 2, |i, j| (10 * i + j + 1) as f64));
    assert_eq!(
        view_mut(array.slice_axis_mut(Axis(0), Slice::new(0, None, 2))).map(drop).unwrap_err().strides,
        [8, 1]
    );
    // Rows that follow each other fill their part of the memory.
    assert_eq!(view(array.slice_axis(Axis(0), Slice::from(1..))).unwrap()[(0, 2)], 12.0);
    let row = numbered(1, 4);
    let repeated: ArrayView2<'_, f64> = row.broadcast((3, 4)).unwrap();
    assert_eq!(view(repeated).unwrap_err().strides, [0, 1]);
    assert_eq!(to_mat(repeated)[(2, 3)], 3.0);
}

#[test]
fn matrices_are_copied_to_arrays() {
    for (rows, cols) in [(3, 4), (1, 4), (0, 2), (2, 0)] {
        let matrix = Mat::from_fn(rows, cols, |i, j| (10 * i + j) as f32);
        assert_eq!(to_array(matrix.as_ref()), numbered(rows, cols).mapv(|x| x as f32));
        assert_eq!(to_array(matrix.transpose()), numbered(rows, cols).mapv(|x| x as f32).t());
    }
}
