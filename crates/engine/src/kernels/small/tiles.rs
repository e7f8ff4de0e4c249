//! Products of two small matrices, in tiles that stay in registers.
//!
//! A tile is `V` vectors of rows by `C` columns of the product. For every `k` it takes `V` vectors of column `k` of the
//! left factor and `C` numbers of row `k` of the right one, and adds `V C` products:
//!
//! ```text
//!                 b[k, j]   b[k, j+1]   b[k, j+2]   …
//!   a[0..4, k]  [   +=    |    +=     |    +=     | … ]
//!   a[4..8, k]  [   +=    |    +=     |    +=     | … ]
//! ```
//!
//! Two things decide the form of a tile. A processor starts two of these sums in a cycle, but a sum waits four cycles
//! for the one before, so that fewer than eight leave it idle, if what comes next does not fill the gap. And of the
//! sixteen registers some hold what has been loaded; with twelve sums, which would just fit, the compiler moves some to
//! memory and back. So a tile has at most two vectors by four columns, or three by three, and columns that are left are
//! shared out evenly. Where all sizes are known when it is compiled, there are tiles of one vector by eight columns.
//!
//! **The last vector of a column overlaps the one before** if the rows do not fill it: all vectors are whole, nothing is
//! padded, and the left factor is read where it is. What is computed twice is the same both times. Where a product is
//! added to what was there, both vectors are read before either is written; so the last two belong to one tile.
//!
//! A transposed right factor is read in the same way, because its row `k` is contiguous. A transposed left factor is
//! copied first, in blocks that are transposed in registers.

use super::{ByColumns, Factor, Update};
use crate::Scalar;
use crate::kernels::lanes::{BLOCK, Lanes, Shuffles, lanes};
use faer::MatRef;
use pulp::{Simd, WithSimd};

// What calls intrinsics below is a loop, not a closure: a closure may be compiled where the instructions are not
// enabled, and then every intrinsic is a call.

/// A product of two matrices, neither of them a vector, and memory for a copy of the left one.
pub(super) struct Product<'a, T> {
    pub(super) dst: &'a mut [T],
    pub(super) a: Factor<'a, T>,
    pub(super) b: Factor<'a, T>,
    pub(super) update: Update<T>,
    pub(super) scratch: &'a mut [T],
}

/// Computes a product that has at least as many rows as a vector has entries.
///
/// It is passed by reference, because a copy of what has just been written, in pieces of another size, would have to
/// wait until that has arrived in memory.
///
/// `KNOWN` says that its sizes are known to the compiler.
pub(super) struct Tiles<'x, 'a, T, const KNOWN: bool>(pub(super) &'x mut Product<'a, T>);

impl<T: Scalar, const KNOWN: bool> WithSimd for Tiles<'_, '_, T, KNOWN> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        let Product { dst, a, b, update, scratch } = self.0;
        let left = if a.transposed {
            let (rows, cols) = a.shape();
            let to = scratch.get_mut(..rows * cols)?;
            copy_transposed(a.stored, to);
            MatRef::from_column_major_slice(&*to, rows, cols).try_as_col_major()?
        } else {
            a.stored
        };
        match b.transposed {
            false => rows::<T, S, KNOWN, false>(simd, dst, (left, b.stored), *update),
            true => rows::<T, S, KNOWN, true>(simd, dst, (left, b.stored), *update),
        }
    }
}

/// The factors, as they are stored. They are passed by value, so that they stay in registers whatever is written.
type Factors<'a, T> = (ByColumns<'a, T>, ByColumns<'a, T>);

/// Divides the rows into stretches of at most three vectors.
#[inline(always)]
fn rows<T: Scalar, S: Simd, const KNOWN: bool, const TRANSPOSED: bool>(
    simd: S,
    dst: &mut [T],
    factors: Factors<'_, T>,
    update: Update<T>,
) -> Option<()> {
    let lanes = lanes::<T, S>();
    // The conditions keep what no product has from being compiled.
    match factors.0.nrows().div_ceil(lanes) {
        0 => Some(()),
        1 => columns::<T, S, KNOWN, TRANSPOSED, 1>(simd, dst, factors, update, 0),
        2 => columns::<T, S, KNOWN, TRANSPOSED, 2>(simd, dst, factors, update, 0),
        3 if 2 * lanes < super::SMALL => columns::<T, S, KNOWN, TRANSPOSED, 3>(simd, dst, factors, update, 0),
        4 if 2 * lanes < super::SMALL => {
            for first in [0, 2 * lanes] {
                columns::<T, S, KNOWN, TRANSPOSED, 2>(simd, dst, factors, update, first)?;
            }
            Some(())
        }
        _ => None,
    }
}

/// Computes `V` vectors of rows, from `first` on: divides the columns into tiles.
#[inline(always)]
fn columns<T: Scalar, S: Simd, const KNOWN: bool, const TRANSPOSED: bool, const V: usize>(
    simd: S,
    dst: &mut [T],
    factors: Factors<'_, T>,
    update: Update<T>,
    first: usize,
) -> Option<()> {
    let most = match V {
        1 if KNOWN => 8,
        1 | 2 => 4,
        _ => 3,
    };
    let cols = if TRANSPOSED { factors.1.nrows() } else { factors.1.ncols() };
    let mut j = 0;
    while j < cols {
        let left = cols - j;
        let width = if left <= most {
            left
        } else if left <= 2 * most {
            left.div_ceil(2)
        } else {
            most
        };
        match width {
            1 => tile::<T, S, TRANSPOSED, V, 1>(simd, dst, factors, update, (first, j))?,
            2 => tile::<T, S, TRANSPOSED, V, 2>(simd, dst, factors, update, (first, j))?,
            3 => tile::<T, S, TRANSPOSED, V, 3>(simd, dst, factors, update, (first, j))?,
            8 if V == 1 && KNOWN => tile::<T, S, TRANSPOSED, V, 8>(simd, dst, factors, update, (first, j))?,
            4 if V < 3 => tile::<T, S, TRANSPOSED, V, 4>(simd, dst, factors, update, (first, j))?,
            _ => return None,
        }
        j += width;
    }
    Some(())
}

/// So many terms of a sum are added before the loop looks whether there are more: the processor foresees the end of a
/// short loop better than that of a long one.
const UNROLLED: usize = 4;

/// Computes the tile whose first entry is at `(first, j)`.
#[inline(always)]
fn tile<T: Scalar, S: Simd, const TRANSPOSED: bool, const V: usize, const C: usize>(
    simd: S,
    dst: &mut [T],
    (a, b): Factors<'_, T>,
    update: Update<T>,
    (first, j): (usize, usize),
) -> Option<()> {
    let (rows, inner) = (a.nrows(), a.ncols());
    let starts = Starts::<V>::new(first, rows, lanes::<T, S>())?;
    let mut columns: [&[T]; C] = [&[]; C];
    if !TRANSPOSED {
        for (c, column) in columns.iter_mut().enumerate() {
            *column = b.get(.., j + c).as_slice().get(..inner)?;
        }
    }
    let mut sums = [[T::splat(simd, T::default()); V]; C];
    let mut k = 0;
    while k + UNROLLED <= inner {
        for u in 0..UNROLLED {
            let vectors = starts.load::<T, S>(simd, a.col(k + u).as_slice())?;
            if TRANSPOSED {
                let factors: &[T; C] = b.col(k + u).as_slice().get(j..)?.first_chunk()?;
                for (sums, factor) in sums.iter_mut().zip(factors) {
                    add::<T, S, V>(simd, sums, &vectors, factor);
                }
            } else {
                for (sums, column) in sums.iter_mut().zip(&columns) {
                    add::<T, S, V>(simd, sums, &vectors, &column[k + u]);
                }
            }
        }
        k += UNROLLED;
    }
    while k < inner {
        let vectors = starts.load::<T, S>(simd, a.col(k).as_slice())?;
        if TRANSPOSED {
            let factors: &[T; C] = b.col(k).as_slice().get(j..)?.first_chunk()?;
            for (sums, factor) in sums.iter_mut().zip(factors) {
                add::<T, S, V>(simd, sums, &vectors, factor);
            }
        } else {
            for (sums, column) in sums.iter_mut().zip(&columns) {
                add::<T, S, V>(simd, sums, &vectors, &column[k]);
            }
        }
        k += 1;
    }
    let alpha = T::splat(simd, update.alpha);
    let places = dst.get_mut(j * rows..)?.get_mut(..C * rows)?;
    // Not `chunks_exact_mut`: the compiler has to see how many columns there are, or the sums are put into memory.
    for (c, sums) in sums.iter_mut().enumerate() {
        let column = places.get_mut(c * rows..(c + 1) * rows)?;
        if update.accumulate {
            let before = starts.load::<T, S>(simd, column)?;
            for (sum, before) in sums.iter_mut().zip(before) {
                *sum = T::mul_add(simd, alpha, *sum, before);
            }
        } else {
            for sum in sums.iter_mut() {
                *sum = T::times(simd, alpha, *sum);
            }
        }
        for (&start, &sum) in starts.0.iter().zip(&*sums) {
            *T::vectors_mut::<S>(column.get_mut(start..)?).first_mut()? = sum;
        }
    }
    Some(())
}

/// `sums += factor vectors`
///
/// The factor is read here, right before it is spread over a vector, so that one instruction does both.
#[inline(always)]
fn add<T: Scalar, S: Simd, const V: usize>(
    simd: S,
    sums: &mut [T::Vector<S>; V],
    vectors: &[T::Vector<S>; V],
    factor: &T,
) {
    let factor = T::splat(simd, *factor);
    for (sum, &vector) in sums.iter_mut().zip(vectors) {
        *sum = T::mul_add(simd, vector, factor, *sum);
    }
}

/// The rows at which the vectors of a tile begin.
#[derive(Clone, Copy)]
struct Starts<const V: usize>([usize; V]);

impl<const V: usize> Starts<V> {
    #[inline(always)]
    fn new(first: usize, rows: usize, lanes: usize) -> Option<Self> {
        let (mut starts, end) = ([first; V], rows.checked_sub(lanes)?);
        for (v, start) in starts.iter_mut().enumerate() {
            // Only the last one can reach beyond the end.
            let at = first + v * lanes;
            *start = if v + 1 == V { at.min(end) } else { at };
        }
        Some(Starts(starts))
    }

    #[inline(always)]
    fn load<T: Lanes, S: Simd>(&self, simd: S, column: &[T]) -> Option<[T::Vector<S>; V]> {
        let mut vectors = [T::splat(simd, T::default()); V];
        for (vector, &start) in vectors.iter_mut().zip(&self.0) {
            *vector = *T::vectors::<S>(column.get(start..)?).first()?;
        }
        Some(vectors)
    }
}

/// Copies the rows of a matrix into columns that follow one another.
#[inline(always)]
pub(super) fn copy_transposed<T: Scalar>(from: ByColumns<'_, T>, to: &mut [T]) {
    let (rows, cols) = (from.ncols(), from.nrows());
    if rows < BLOCK || cols < BLOCK {
        for i in 0..rows {
            for (k, &entry) in from.col(i).as_slice().iter().enumerate() {
                to[k * rows + i] = entry;
            }
        }
        return;
    }
    let shuffles = Shuffles::new();
    let mut i = 0;
    while i < rows {
        // Blocks that reach beyond the end begin earlier.
        let at = i.min(rows - BLOCK);
        let mut columns: [&[T]; BLOCK] = [&[]; BLOCK];
        for (c, column) in columns.iter_mut().enumerate() {
            *column = from.col(at + c).as_slice();
        }
        let mut k = 0;
        while k < cols {
            let first = k.min(cols - BLOCK);
            let mut block = [[T::default(); BLOCK]; BLOCK];
            for (block, column) in block.iter_mut().zip(&columns) {
                block.copy_from_slice(&column[first..first + BLOCK]);
            }
            for (u, row) in T::transposed(shuffles, block).iter().enumerate() {
                to[(first + u) * rows + at..][..BLOCK].copy_from_slice(row);
            }
            k += BLOCK;
        }
        i += BLOCK;
    }
}
