//! Products that take less time than a call of faer: small matrices, and vectors.
//!
//! faer plans every product anew, and transposes what does not suit its kernels. That takes some 30 to 100 ns, as long as
//! the product of two 8×8 matrices. Here a product is found by the shapes of its factors:
//!
//! | | | |
//! |---|---|---|
//! | `tiny` | both at most 3×3 | plain loops, less than preparing a kernel would take |
//! | `tiles` | both at most 16×16 | blocks of the product that stay in registers |
//! | `slim` | one a vector, the other at most 64×64 | sums of columns, inner products, outer products |
//!
//! **Factors** are read where they are, as matrices with contiguous columns or as transposes of such; only what has
//! neither is copied. A transpose is read in another way, or copied if it stands on the left of a product of matrices.
//!
//! **Registers.** Every kernel is compiled for vectors of 256 bits, for those of 128 and for single numbers, and runs on
//! the widest that the rows of the product fill at least once. There are two ways in: [`product`] looks whether the
//! processor has these registers and calls a kernel; [`square`] is called in a loop that is compiled for them already,
//! and knows the sizes when it is compiled.
//!
//! **Rounding.** The sum of an entry is taken in the order of `k`, except in inner products, which add vectors. So its
//! bits depend on shapes and on how the factors are stored, and on nothing else.

mod slim;
mod tiles;
mod tiny;

use super::lanes::{Full, Half, Lanes, available, full, half, lanes, single};
use crate::Scalar;
use faer::{ContiguousFwd, MatRef};
use pulp::{Simd, WithSimd};
use slim::{ByDots, BySum, Outer, Slim};
use tiles::{Product, Tiles};
pub(crate) use tiny::{TINY, Tiny};

/// Products of matrices with at most so many rows and columns are done here.
pub(crate) const SMALL: usize = 16;

/// Products with a vector are done here if the matrix has at most so many rows and columns.
pub(crate) const SLIM: usize = 64;

/// The entries of a scratch into which a factor is copied.
pub(crate) const COPY: usize = SMALL * SMALL;

/// A matrix whose columns are contiguous.
type ByColumns<'a, T> = MatRef<'a, T, usize, usize, ContiguousFwd>;

/// A factor: a matrix as it is stored, or its transpose.
#[derive(Clone, Copy)]
pub(crate) struct Factor<'a, T> {
    stored: ByColumns<'a, T>,
    transposed: bool,
}

impl<'a, T: Scalar> Factor<'a, T> {
    /// A rows×cols matrix whose entries, or those of its transpose, are given column by column.
    #[inline(always)]
    pub(crate) fn of_numbers(numbers: &'a [T], rows: usize, cols: usize, transposed: bool) -> Option<Self> {
        // A vector lies in memory in the same way as its transpose, and is always stored as a column.
        let transposed = if rows == 1 || cols == 1 { cols != 1 } else { transposed };
        let (rows, cols) = if transposed { (cols, rows) } else { (rows, cols) };
        let stored = MatRef::from_column_major_slice(numbers, rows, cols).try_as_col_major()?;
        Some(Factor { stored, transposed })
    }

    /// A matrix where it is if its columns or rows are contiguous, or else copied to `scratch`.
    #[inline(always)]
    pub(crate) fn of_matrix(matrix: MatRef<'a, T>, scratch: &'a mut [T]) -> Option<Self> {
        let (rows, cols) = (matrix.nrows(), matrix.ncols());
        if rows != 1
            && let Some(stored) = matrix.try_as_col_major()
        {
            return Some(Factor { stored, transposed: false });
        }
        if cols != 1
            && let Some(stored) = matrix.transpose().try_as_col_major()
        {
            return Some(Factor { stored, transposed: true });
        }
        Factor::of_numbers(gathered(matrix, scratch)?, rows, cols, false)
    }

    #[inline(always)]
    fn shape(&self) -> (usize, usize) {
        let (rows, cols) = (self.stored.nrows(), self.stored.ncols());
        if self.transposed { (cols, rows) } else { (rows, cols) }
    }
}

/// The entries of a matrix, column by column, copied to `scratch`.
///
/// What is rare and not inlined returns a slice, which fits into registers: a whole [`Factor`] would have to be put
/// together in memory, there and everywhere else.
#[inline(never)]
pub(crate) fn gathered<'s, T: Scalar>(matrix: MatRef<'_, T>, scratch: &'s mut [T]) -> Option<&'s [T]> {
    let (rows, cols) = (matrix.nrows(), matrix.ncols());
    let numbers = scratch.get_mut(..rows * cols)?;
    for (j, column) in numbers.chunks_exact_mut(rows.max(1)).enumerate() {
        for (i, entry) in column.iter_mut().enumerate() {
            *entry = matrix[(i, j)];
        }
    }
    Some(numbers)
}

/// What becomes of a product: it is multiplied by `alpha`, and replaces what was there before or is added to it.
#[derive(Clone, Copy)]
pub(crate) struct Update<T> {
    pub(crate) alpha: T,
    pub(crate) accumulate: bool,
}

impl<T: Scalar> Update<T> {
    #[inline(always)]
    fn put(&self, entry: &mut T, sum: T) {
        let value = self.alpha * sum;
        *entry = if self.accumulate { *entry + value } else { value };
    }

    /// Puts a vector at the beginning of entries that are at least as many.
    #[inline(always)]
    fn put_vector<S: Simd>(&self, simd: S, entries: &mut [T], sums: T::Vector<S>) {
        if let Some(place) = T::vectors_mut::<S>(entries).first_mut() {
            let alpha = T::splat(simd, self.alpha);
            *place = if self.accumulate {
                T::mul_add(simd, alpha, sums, *place)
            } else {
                T::times(simd, alpha, sums)
            };
        }
    }
}

/// Whether [`product`] computes an m×k times a k×n.
#[inline(always)]
pub(crate) fn is_small(m: usize, k: usize, n: usize) -> bool {
    // Without wide registers, faer is left as soon as its loops are as good.
    let (limit, slim) = if available() { (SMALL, SLIM) } else { (SMALL / 4, SLIM / 4) };
    let largest = m.max(k).max(n);
    largest <= limit || largest <= slim && (m == 1 || k == 1 || n == 1)
}

/// `dst = alpha a b`, or `dst += alpha a b`, if [`is_small`]; the scratch is for a copy of the left factor.
///
/// A kernel is compiled for the widest registers that the processor has, and called once for a product. Its arguments
/// are passed by reference, because a copy of what has just been written, in pieces of another size, would have to wait
/// until that has arrived in memory.
#[inline(always)]
pub(crate) fn product<'a, T: Scalar>(
    dst: &'a mut [T],
    a: Factor<'a, T>,
    b: Factor<'a, T>,
    update: Update<T>,
    scratch: &'a mut [T],
) -> Option<()> {
    let ((rows, inner), (_, cols)) = (a.shape(), b.shape());
    if rows == 1 && cols > 1 {
        // A row: its transpose lies in memory in the same way.
        let product = &mut Slim { dst, a: b.stored, b: a.stored.col(0).as_slice(), update };
        return if b.transposed { run::<T>(cols, BySum(product)) } else { run::<T>(inner, ByDots(product)) };
    }
    if cols == 1 || inner == 1 {
        let product = &mut Slim { dst, a: a.stored, b: b.stored.col(0).as_slice(), update };
        return match (cols == 1, a.transposed) {
            (true, false) => run::<T>(rows, BySum(product)),
            (true, true) => run::<T>(inner, ByDots(product)),
            (false, _) => run::<T>(rows, Outer(product)),
        };
    }
    let product = &mut Product { dst, a, b, update, scratch };
    if rows >= lanes::<T, Full>() {
        full(Tiles::<'_, '_, T, false>(product))
    } else if rows >= lanes::<T, Half>() {
        half(Tiles::<'_, '_, T, false>(product))
    } else {
        single(Tiles::<'_, '_, T, false>(product))
    }
}

/// Whether [`square`] multiplies matrices of this order.
pub(crate) fn is_usual(order: usize) -> bool {
    matches!(order, 8 | 16)
}

/// [`product`] of two matrices of a usual order, inside a loop that is compiled for the widest registers already: for
/// every order there are loops whose ends are known. The factors are stored column by column, or their transposes are.
#[inline(always)]
pub(crate) fn square<T: Scalar, F: Simd, H: Simd>(
    (full, half): (F, H),
    dst: &mut [T],
    factors: [(&[T], bool); 2],
    order: usize,
    update: Update<T>,
    scratch: &mut [T],
) -> Option<()> {
    match order {
        8 => square_of::<T, F, H, 8>((full, half), dst, factors, update, scratch),
        16 => square_of::<T, F, H, 16>((full, half), dst, factors, update, scratch),
        _ => None,
    }
}

#[inline(always)]
fn square_of<T: Scalar, F: Simd, H: Simd, const N: usize>(
    (full, half): (F, H),
    dst: &mut [T],
    factors: [(&[T], bool); 2],
    update: Update<T>,
    scratch: &mut [T],
) -> Option<()> {
    let square = &mut Square::<'_, T, N> { dst, factors, update, scratch };
    if N >= lanes::<T, F>() { apart(full, OfSquare(square)) } else { apart(half, OfSquare(square)) }
}

/// Runs a kernel in a function of its own: in a loop that contains many of them, the compiler would run out of registers.
#[inline(never)]
fn apart<S: Simd, K: WithSimd>(simd: S, kernel: K) -> K::Output {
    simd.vectorize(kernel)
}

/// A product of two matrices of order `N`.
struct Square<'a, T, const N: usize> {
    dst: &'a mut [T],
    factors: [(&'a [T], bool); 2],
    update: Update<T>,
    scratch: &'a mut [T],
}

struct OfSquare<'x, 'a, T, const N: usize>(&'x mut Square<'a, T, N>);

impl<T: Scalar, const N: usize> WithSimd for OfSquare<'_, '_, T, N> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        let Square { dst, factors: [a, b], update, scratch } = self.0;
        let a = Factor::of_numbers(a.0.get(..N * N)?, N, N, a.1)?;
        let b = Factor::of_numbers(b.0.get(..N * N)?, N, N, b.1)?;
        let product = &mut Product { dst: dst.get_mut(..N * N)?, a, b, update: *update, scratch };
        Tiles::<'_, '_, T, true>(product).with_simd(simd)
    }
}

/// Runs a kernel on the registers that so many numbers fill best.
#[inline(always)]
fn run<T: Scalar>(numbers: usize, kernel: impl WithSimd<Output = Option<()>>) -> Option<()> {
    if 2 * numbers > lanes::<T, Full>() { full(kernel) } else { half(kernel) }
}

/// Copies a matrix to columns that follow one another, inside a loop that is compiled for the widest registers already.
#[inline(always)]
pub(crate) fn copy_columns<T: Lanes, F: Simd, H: Simd>(_: (F, H), from: ByColumns<'_, T>, to: &mut [T]) {
    match from.nrows() {
        2 => copy_columns_of::<T, 2>(from, to),
        3 => copy_columns_of::<T, 3>(from, to),
        4 => copy_columns_of::<T, 4>(from, to),
        8 => copy_columns_of::<T, 8>(from, to),
        16 => copy_columns_of::<T, 16>(from, to),
        rows if 2 * rows > lanes::<T, F>() => copy::<T, F>(from, to, rows),
        rows => copy::<T, H>(from, to, rows),
    }
}

/// Copies columns whose length is known to the compiler.
#[inline(always)]
fn copy_columns_of<T: Lanes, const N: usize>(from: ByColumns<'_, T>, to: &mut [T]) {
    for (j, to) in to.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        if let Some(column) = from.col(j).as_slice().first_chunk::<N>() {
            *to = *column;
        }
    }
}

/// Copies the columns of a matrix into columns of the given height.
#[inline(always)]
pub(crate) fn copy<T: Lanes, S: Simd>(from: ByColumns<'_, T>, mut to: &mut [T], height: usize) {
    for j in 0..from.ncols() {
        let (column, from) = (to.get_mut(..height).unwrap_or_default(), from.col(j).as_slice());
        let vectors = T::vectors::<S>(from);
        for (place, &vector) in T::vectors_mut::<S>(column).iter_mut().zip(vectors) {
            *place = vector;
        }
        for (place, &entry) in column.iter_mut().zip(from).skip(vectors.len() * lanes::<T, S>()) {
            *place = entry;
        }
        to = std::mem::take(&mut to).get_mut(height..).unwrap_or_default();
    }
}
