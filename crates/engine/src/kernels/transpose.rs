//! Copies between matrices that lie in memory in different ways.
//!
//! Read against the order in which it is stored, a large matrix costs a cache line for every entry, and a page for as many. In
//! square tiles every line is read once, and used whole.

use super::tile::Tile;
use super::vector::{self, Loop};
use crate::Scalar;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{ContiguousFwd, MatMut, MatRef};

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
        vector::run(Across { to, from, alpha: T::from_f64(1.0) });
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
pub(crate) fn copy<T: Scalar>(to: MatMut<'_, T>, from: MatRef<'_, T>, alpha: T) {
    if to.row_stride() != 1 && to.col_stride() == 1 {
        return copy(to.transpose_mut(), from.transpose(), alpha);
    }
    if is_crosswise(from) && to.row_stride() == 1 {
        return vector::run(Across { to, from, alpha });
    }
    let one = alpha == T::from_f64(1.0);
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

/// Rows and columns of what is visited together, so that every line of memory is used whole.
pub(crate) const SIDE: usize = 8;

/// Rows and columns of what is transposed in registers and stored: with more, the compiler shuffles single numbers.
pub(crate) const PART: usize = 4;

/// A square block, column by column.
pub(crate) type Square<T, const S: usize> = [[T; S]; S];

/// A matrix that is stored by columns.
pub(crate) type Columns<'a, T> = MatRef<'a, T, usize, usize, ContiguousFwd>;
pub(crate) type ColumnsMut<'a, T> = MatMut<'a, T, usize, usize, ContiguousFwd>;

/// The square whose first entry is (i, j).
#[inline(always)]
pub(crate) fn square<T: Scalar, const S: usize>(from: Columns<'_, T>, i: usize, j: usize) -> Square<T, S> {
    std::array::from_fn(|col| chunk(from.col(j + col).as_slice(), i))
}

#[inline(always)]
pub(crate) fn turned<T: Scalar, const S: usize>(square: &Square<T, S>) -> Square<T, S> {
    std::array::from_fn(|col| std::array::from_fn(|row| square[row][col]))
}

#[inline(always)]
pub(crate) fn put<T: Scalar, const S: usize>(
    to: &mut ColumnsMut<'_, T>,
    i: usize,
    j: usize,
    square: &Square<T, S>,
) {
    for (col, numbers) in square.iter().enumerate() {
        to.rb_mut().col_mut(j + col).as_slice_mut()[i..i + S].copy_from_slice(numbers);
    }
}

/// Some entries of a column.
#[inline(always)]
pub(crate) fn chunk<T: Scalar, const S: usize>(x: &[T], start: usize) -> [T; S] {
    x.get(start..).and_then(|x| x.first_chunk()).copied().unwrap_or([T::default(); S])
}

/// `to = alpha from` of a matrix that is stored by rows, to one that is stored by columns.
struct Across<'a, T> {
    to: MatMut<'a, T>,
    from: MatRef<'a, T>,
    alpha: T,
}

impl<T: Scalar> Loop for Across<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let (rows, alpha) = (self.from.transpose(), self.alpha);
        let (Some(mut to), Some(rows)) = (self.to.try_as_col_major_mut(), rows.try_as_col_major()) else {
            return;
        };
        let (m, n) = (to.nrows(), to.ncols());
        let (whole_m, whole_n) = (m / SIDE * SIDE, n / SIDE * SIDE);
        for j in (0..whole_n).step_by(SIDE) {
            for i in (0..whole_m).step_by(SIDE) {
                for i in (i..i + SIDE).step_by(PART) {
                    for j in (j..j + SIDE).step_by(PART) {
                        let mut square: Square<T, PART> = turned(&square(rows, j, i));
                        square.as_flattened_mut().iter_mut().for_each(|x| *x = alpha * *x);
                        put(&mut to, i, j, &square);
                    }
                }
            }
        }
        // What is left at the right, and at the bottom.
        for i in 0..whole_m {
            for j in whole_n..n {
                to[(i, j)] = alpha * rows[(j, i)];
            }
        }
        for j in 0..n {
            for i in whole_m..m {
                to[(i, j)] = alpha * rows[(j, i)];
            }
        }
    }
}
