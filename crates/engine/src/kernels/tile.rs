//! Blocks of entries that fit into the first-level cache.

use pullback_tape::Shape;

/// Entries in a block.
pub(crate) const BLOCK: usize = 256;

/// Entries in a panel.
pub(crate) const PANEL: usize = SIDE * SIDE;
const SIDE: usize = 32;

/// Some rows of some columns; in a block they stand column by column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
    pub(crate) i: usize,
    pub(crate) j: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl Tile {
    /// Tiles that run along the columns: several whole columns, or a part of one. Which they are depends on the shape
    /// alone, and a sum over each in turn therefore as well.
    pub(crate) fn columns(shape: Shape) -> impl Iterator<Item = Tile> {
        if shape.rows <= BLOCK {
            Tile::of_size(shape, shape.rows, BLOCK / shape.rows.max(1))
        } else {
            Tile::of_size(shape, shape.rows.div_ceil(shape.rows.div_ceil(BLOCK)), 1)
        }
    }

    /// Tiles of up to [`PANEL`] entries for matrices of which some are stored by columns and some by rows: square, if the
    /// matrix is large enough, so that of either kind every line that is read is used whole, and every page several times.
    pub(crate) fn panels(shape: Shape) -> impl Iterator<Item = Tile> {
        let rows = shape.rows.min(PANEL / shape.cols.clamp(PANEL / BLOCK, SIDE)).max(1);
        Tile::of_size(shape, rows, PANEL / rows)
    }

    /// A panel in tiles of whole columns.
    pub(crate) fn parts(self) -> impl Iterator<Item = Tile> {
        let shape = Shape::new(self.rows, self.cols);
        Tile::of_size(shape, self.rows, BLOCK / self.rows.max(1)).map(move |tile| Tile {
            i: self.i,
            j: self.j + tile.j,
            ..tile
        })
    }

    /// The first is the largest; those on the edges are cut off.
    fn of_size(shape: Shape, rows: usize, cols: usize) -> impl Iterator<Item = Tile> {
        let starts = |len: usize, step: usize| (0..len).step_by(step.max(1));
        starts(shape.cols, cols).flat_map(move |j| {
            starts(shape.rows, rows).map(move |i| Tile {
                i,
                j,
                rows: rows.min(shape.rows - i),
                cols: cols.min(shape.cols - j),
            })
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Row and column of an entry of the block.
    pub(crate) fn position(&self, k: usize) -> (usize, usize) {
        (self.i + k % self.rows, self.j + k / self.rows)
    }
}
