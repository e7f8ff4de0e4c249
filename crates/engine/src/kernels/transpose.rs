//! Copies between matrices that lie in memory in different ways.
//!
//! Read against the order in which it is stored, a large matrix costs a cache line for every entry. In square tiles
//! every line is read once, and used whole.

use super::tile::{BLOCK, Tile};
use crate::Scalar;
use faer::prelude::{Reborrow, ReborrowMut};
use faer::{MatMut, MatRef};
use pullback_tape::Shape;

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
        for (i, row) in from.transpose().col_iter().enumerate() {
            let Some(row) = row.try_as_col_major() else { continue };
            for (to, &from) in block[i..].iter_mut().step_by(tile.rows).zip(row.as_slice()) {
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
    let mut block = [T::default(); BLOCK];
    let in_tiles = Tile::square(shape);
    if from.row_stride() != 1 && from.col_stride() == 1 && shape.rows > 1 {
        for tile in in_tiles {
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
