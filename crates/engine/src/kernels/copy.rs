//! Copies of matrices, transposed ones in tiles.

use crate::Scalar;
use faer::MatRef;

/// Rows and columns of a tile: a tile of `f64` consists of whole cache lines on either side.
const TILE: usize = 8;

/// `dst = alpha a`, column by column.
pub(crate) fn copy<T: Scalar>(dst: &mut [T], a: MatRef<'_, T>, alpha: T) {
    let rows = a.nrows().max(1);
    if a.row_stride() == 1 {
        for (j, column) in dst.chunks_exact_mut(rows).enumerate() {
            // Only a matrix without rows has no such columns.
            let Some(a) = a.col(j).try_as_col_major() else { return };
            for (entry, &a) in column.iter_mut().zip(a.as_slice()) {
                *entry = alpha * a;
            }
        }
        return;
    }
    let by_tiles = a.col_stride() == 1 && a.nrows() >= TILE;
    let tiled = if by_tiles { a.ncols() / TILE * TILE } else { 0 };
    let (strips, rest) = dst.split_at_mut(tiled * a.nrows());
    for (s, strip) in strips.chunks_exact_mut(TILE * rows).enumerate() {
        transpose(strip, a.subcols(s * TILE, TILE), alpha);
    }
    for (column, j) in rest.chunks_exact_mut(rows).zip(tiled..) {
        for (i, entry) in column.iter_mut().enumerate() {
            *entry = alpha * a[(i, j)];
        }
    }
}

/// Some columns, as many as a tile has, of a matrix stored by rows.
///
/// Each tile is read and written line by line. A column alone would be read from as many cache lines as it has
/// entries, and where the rows are a power of two long, those lines drive each other out of the cache.
fn transpose<T: Scalar>(dst: &mut [T], a: MatRef<'_, T>, alpha: T) {
    let (rows, stored) = (a.nrows(), a.transpose());
    let mut columns = dst.chunks_exact_mut(rows.max(1));
    let mut columns: [&mut [T]; TILE] = std::array::from_fn(|_| columns.next().unwrap_or_default());
    for start in (0..rows).step_by(TILE) {
        let height = TILE.min(rows - start);
        let mut tile = [[T::default(); TILE]; TILE];
        for (i, row) in tile.iter_mut().enumerate().take(height) {
            if let Some(a) = stored.col(start + i).try_as_col_major()
                && let Some(a) = a.as_slice().first_chunk()
            {
                *row = *a;
            }
        }
        for (j, column) in columns.iter_mut().enumerate() {
            let column = column.get_mut(start..).unwrap_or_default();
            if let Some(column) = column.first_chunk_mut::<TILE>() {
                for (entry, row) in column.iter_mut().zip(&tile) {
                    *entry = alpha * row[j];
                }
            } else {
                for (entry, row) in column.iter_mut().zip(&tile) {
                    *entry = alpha * row[j];
                }
            }
        }
    }
}
