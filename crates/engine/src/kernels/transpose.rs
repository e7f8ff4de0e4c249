//! Copies between matrices that lie in memory in different ways.
//!
//! Read against the order in which it is stored, a large matrix costs a cache line for every entry, and a page for as many. In
//! square tiles every line is read once, and used whole.

use super::tile::Tile;
use super::vector::{self, Loop};
use crate::Scalar;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};

/// Whether a matrix is stored by rows, so that reading along its columns is slow.
pub(crate) fn is_crosswise<T: Scalar>(x: MatRef<'_, T>) -> bool {
    x.col_stride() == 1 && x.row_stride() > 1 && x.nrows() > 1 && x.ncols() > 1
}

/// Copies a tile of `from` to `block`, column by column.
pub(crate) fn gather<T: Scalar>(from: MatRef<'_, T>, tile: Tile, block: &mut [T]) {
    let from = from.submatrix(tile.i, tile.j, tile.rows, tile.cols);
    if from.row_stride() == 0 {
        for (j, column) in block.chunks_exact_mut(tile.rows).enumerate() {
            column.fill(from[(0, j)]);
        }
    } else if from.row_stride() == 1 || from.col_stride() != 1 {
        for (column, from) in block.chunks_exact_mut(tile.rows).zip(from.col_iter()) {
            match from.try_as_col_major() {
                Some(from) => column.copy_from_slice(from.as_slice()),
                None => column.iter_mut().zip(from.iter()).for_each(|(to, &from)| *to = from),
            }
        }
    } else {
        let to = MatMut::from_column_major_slice_mut(block, tile.rows, tile.cols);
        vector::run(Across { to, from });
    }
}

/// Copies `block` to a tile of `to`.
pub(crate) fn scatter<T: Scalar>(block: &[T], tile: Tile, to: MatMut<'_, T>) {
    let to = to.submatrix_mut(tile.i, tile.j, tile.rows, tile.cols);
    if to.row_stride() == 1 || to.col_stride() != 1 {
        for (column, mut to) in block.chunks_exact(tile.rows).zip(to.col_iter_mut()) {
            match to.rb_mut().try_as_col_major_mut() {
                Some(to) => to.as_slice_mut().copy_from_slice(column),
                None => to.iter_mut().zip(column).for_each(|(to, &from)| *to = from),
            }
        }
    } else {
        for (i, row) in to.transpose_mut().col_iter_mut().enumerate() {
            let Some(row) = row.try_as_col_major_mut() else { continue };
            for (to, &from) in row.as_slice_mut().iter_mut().zip(block[i..].iter().step_by(tile.rows)) {
                *to = from;
            }
        }
    }
}

/// `to = alpha from`
pub(crate) fn copy<T: Scalar>(mut to: MatMut<'_, T>, from: MatRef<'_, T>, alpha: T) {
    if to.row_stride() != 1 && to.col_stride() == 1 {
        return copy(to.transpose_mut(), from.transpose(), alpha);
    }
    let one = alpha == T::from_f64(1.0);
    if is_crosswise(from) && to.row_stride() == 1 {
        vector::run(Across { to: to.rb_mut(), from });
        if !one {
            to.col_iter_mut().for_each(|column| column.iter_mut().for_each(|x| *x = alpha * *x));
        }
        return;
    }
    for (mut to, from) in to.col_iter_mut().zip(from.col_iter()) {
        match (to.rb_mut().try_as_col_major_mut(), from.rb().try_as_col_major()) {
            (Some(to), Some(from)) if one => to.as_slice_mut().copy_from_slice(from.as_slice()),
            (Some(to), Some(from)) => {
                for (to, &from) in to.as_slice_mut().iter_mut().zip(from.as_slice()) {
                    *to = alpha * from;
                }
            }
            _ => to.iter_mut().zip(from.iter()).for_each(|(to, &from)| *to = alpha * from),
        }
    }
}

/// Rows and columns of a square that is transposed in registers.
const SIDE: usize = 8;

/// `to = from` of a matrix that is stored by rows, to one that is stored by columns.
struct Across<'a, T> {
    to: MatMut<'a, T>,
    from: MatRef<'a, T>,
}

impl<T: Scalar> Loop for Across<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let rows = self.from.transpose();
        let (Some(mut to), Some(rows)) = (self.to.try_as_col_major_mut(), rows.try_as_col_major()) else {
            return;
        };
        let (m, n) = (to.nrows(), to.ncols());
        let (whole_m, whole_n) = (m / SIDE * SIDE, n / SIDE * SIDE);
        for j in (0..whole_n).step_by(SIDE) {
            for i in (0..whole_m).step_by(SIDE) {
                let square: [[T; SIDE]; SIDE] =
                    std::array::from_fn(|row| chunk(rows.col(i + row).as_slice(), j));
                let turned: [[T; SIDE]; SIDE] =
                    std::array::from_fn(|col| std::array::from_fn(|row| square[row][col]));
                for (col, numbers) in turned.iter().enumerate() {
                    let column = to.rb_mut().col_mut(j + col).as_slice_mut();
                    column[i..i + SIDE].copy_from_slice(numbers);
                }
            }
        }
        // What is left at the right, and at the bottom.
        for i in 0..whole_m {
            for j in whole_n..n {
                to[(i, j)] = rows[(j, i)];
            }
        }
        for j in 0..n {
            for i in whole_m..m {
                to[(i, j)] = rows[(j, i)];
            }
        }
    }
}

#[inline(always)]
fn chunk<T: Scalar>(x: &[T], start: usize) -> [T; SIDE] {
    x.get(start..).and_then(|x| x.first_chunk()).copied().unwrap_or_default()
}
