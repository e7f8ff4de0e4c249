//! Blocks of entries that fit into the first-level cache.

use pullback_tape::Shape;

/// Entries in a block.
pub(crate) const BLOCK: usize = 256;

/// Rows of a tile of which some operand is read by rows: a cache line of `f32`.
const SIDE: usize = 16;

/// Some rows of some columns, at most [`BLOCK`] entries; in a block they stand column by column.
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

    /// Tiles that are as wide as they are high, if the matrix is.
    pub(crate) fn square(shape: Shape) -> impl Iterator<Item = Tile> {
        let rows = shape.rows.min(BLOCK / shape.cols.clamp(1, SIDE)).max(1);
        Tile::of_size(shape, rows, BLOCK / rows)
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
