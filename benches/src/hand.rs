//! What contenders that are written by hand have in common.

use pullback::Scalar;
use pullback::faer::linalg::matmul::matmul;
use pullback::faer::{Accum, Mat, MatRef, Par};

/// `dst = lhs rhs`
pub(crate) fn product<T: Scalar>(dst: &mut Mat<T>, lhs: MatRef<'_, T>, rhs: MatRef<'_, T>) {
    matmul(dst.as_mut(), Accum::Replace, lhs, rhs, T::from_f64(1.0), Par::Seq);
}

/// `dst = alpha lhs rhs`, or `dst += alpha lhs rhs`.
pub(crate) fn scaled_product<T: Scalar>(
    dst: &mut Mat<T>,
    accum: Accum,
    lhs: MatRef<'_, T>,
    rhs: MatRef<'_, T>,
    alpha: T,
) {
    matmul(dst.as_mut(), accum, lhs, rhs, alpha, Par::Seq);
}

/// faer's large products leave the upper halves of the vector registers in use, which makes the plain loops after
/// them several times slower. Whoever writes by hand and measures will find out, so the contenders do.
pub(crate) fn release_registers() {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx) = pulp::core_arch::x86::Avx::try_new() {
        avx._mm256_zeroupper();
    }
}

/// Puts `scale (P − Y)` in the place of the prediction P, and returns `‖P − Y‖²`.
pub(crate) fn residual<T: Scalar>(prediction: &mut Mat<T>, target: &Mat<T>, scale: T) -> T {
    const LANES: usize = 8;
    let mut sums = [T::default(); LANES];
    release_registers();
    let step = |sum: &mut T, p: &mut T, y: T| {
        let r = *p - y;
        *sum += r * r;
        *p = scale * r;
    };
    for j in 0..target.ncols() {
        let (p_blocks, p_rest) = prediction.col_as_slice_mut(j).as_chunks_mut::<LANES>();
        let (y_blocks, y_rest) = target.col_as_slice(j).as_chunks::<LANES>();
        for (p, y) in p_blocks.iter_mut().zip(y_blocks) {
            for ((sum, p), &y) in sums.iter_mut().zip(p).zip(y) {
                step(sum, p, y);
            }
        }
        for ((sum, p), &y) in sums.iter_mut().zip(p_rest).zip(y_rest) {
            step(sum, p, y);
        }
    }
    sums.into_iter().fold(T::default(), |total, sum| total + sum)
}

/// Rows and columns of a [`Tile`]: a column of it is one line of the cache.
pub(crate) const TILE: usize = 8;

/// A square block of a matrix, by columns. What is transposed in tiles reads and writes whole lines of the cache.
pub(crate) type Tile = [[f64; TILE]; TILE];

/// The tile with the upper left corner (i, j).
#[inline(always)]
pub(crate) fn load(matrix: &Mat<f64>, i: usize, j: usize) -> Tile {
    std::array::from_fn(|col| {
        let column = &matrix.col_as_slice(j + col)[i..i + TILE];
        std::array::from_fn(|row| column[row])
    })
}

#[inline(always)]
pub(crate) fn store(matrix: &mut Mat<f64>, i: usize, j: usize, tile: &Tile) {
    for (col, numbers) in tile.iter().enumerate() {
        matrix.col_as_slice_mut(j + col)[i..i + TILE].copy_from_slice(numbers);
    }
}

#[inline(always)]
pub(crate) fn transposed(tile: &Tile) -> Tile {
    std::array::from_fn(|col| std::array::from_fn(|row| tile[row][col]))
}

/// Copies the lower triangle of a square matrix, whose order is a multiple of [`TILE`], to the other side of the diagonal.
pub(crate) fn mirror(matrix: &mut Mat<f64>) {
    release_registers();
    for j in (0..matrix.ncols()).step_by(TILE) {
        for i in (j..matrix.nrows()).step_by(TILE) {
            let tile = load(matrix, i, j);
            let mut mirrored = transposed(&tile);
            if i == j {
                for (col, (mirrored, tile)) in mirrored.iter_mut().zip(&tile).enumerate() {
                    mirrored[col..].copy_from_slice(&tile[col..]);
                }
            }
            store(matrix, j, i, &mirrored);
        }
    }
}
