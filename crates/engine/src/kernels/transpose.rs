//! Copies between matrices that lie in memory in different ways.
//!
//! Read against the order in which it is stored, a large matrix costs a cache line for every entry, and a page for as many. In
//! square tiles every line is read once, and used whole.

use super::tile::{PANEL, Tile};
use crate::Scalar;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};
use pullback_tape::Shape;

/// Up to so many entries a transpose is copied entry by entry.
const SMALL: usize = 256;

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
        let row = |i: usize| from.transpose().col(i).try_as_col_major().map_or(&[][..], |row| row.as_slice());
        let whole = tile.rows / 4 * 4;
        for i in (0..whole).step_by(4) {
            let rows = row(i).iter().zip(row(i + 1)).zip(row(i + 2)).zip(row(i + 3));
            for (column, (((&a, &b), &c), &d)) in block.chunks_exact_mut(tile.rows).zip(rows) {
                column[i..i + 4].copy_from_slice(&[a, b, c, d]);
            }
        }
        for i in whole..tile.rows {
            for (to, &from) in block[i..].iter_mut().step_by(tile.rows).zip(row(i)) {
                *to = from;
            }
        }
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
    let shape = Shape::new(to.nrows(), to.ncols());
    if is_crosswise(from) && shape.rows * shape.cols > SMALL {
        let mut block = [T::default(); PANEL];
        for tile in Tile::panels(shape) {
            let block = &mut block[..tile.len()];
            gather(from, tile, block);
            block.iter_mut().for_each(|x| *x = alpha * *x);
            scatter(block, tile, to.rb_mut());
        }
        return;
    }
    for (mut to, from) in to.col_iter_mut().zip(from.col_iter()) {
        match (to.rb_mut().try_as_col_major_mut(), from.rb().try_as_col_major()) {
            (Some(to), Some(from)) => {
                for (to, &from) in to.as_slice_mut().iter_mut().zip(from.as_slice()) {
                    *to = alpha * from;
                }
            }
            _ => to.iter_mut().zip(from.iter()).for_each(|(to, &from)| *to = alpha * from),
        }
    }
}
