//! Products that take less time than a call of faer: small matrices, and vectors.
//!
//! A matrix is read by its columns. A left factor that is not stored column by column, in columns that whole registers
//! fill, is copied first, which takes far less time than the product.

use super::lanes::{Full, Lanes, available, full, half, lanes};
use crate::Scalar;
use faer::{ContiguousFwd, MatRef};
use pulp::{Simd, WithSimd};

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
    /// All that is stored, if its columns follow one another.
    numbers: Option<&'a [T]>,
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
        Some(Factor { stored, numbers: Some(numbers), transposed })
    }

    /// A matrix where it is if its columns or rows are contiguous, or else copied to `scratch`.
    #[inline(always)]
    pub(crate) fn of_matrix(matrix: MatRef<'a, T>, scratch: &'a mut [T]) -> Option<Self> {
        let (rows, cols) = (matrix.nrows(), matrix.ncols());
        if rows != 1
            && let Some(stored) = matrix.try_as_col_major()
        {
            return Some(Factor { stored, numbers: None, transposed: false });
        }
        if cols != 1
            && let Some(stored) = matrix.transpose().try_as_col_major()
        {
            return Some(Factor { stored, numbers: None, transposed: true });
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

    /// Puts as many entries of a vector as there is room for.
    #[inline(always)]
    fn put_vector<S: Simd>(&self, simd: S, entries: &mut [T], sums: T::Vector<S>) {
        if let Some(place) = T::vectors_mut::<S>(entries).first_mut() {
            let alpha = T::splat(simd, self.alpha);
            *place = if self.accumulate {
                T::mul_add(simd, alpha, sums, *place)
            } else {
                T::times(simd, alpha, sums)
            };
        } else {
            self.put_some(entries, pulp::bytemuck::cast_slice(std::slice::from_ref(&sums)));
        }
    }

    #[inline(never)]
    fn put_some(&self, entries: &mut [T], sums: &[T]) {
        for (entry, &sum) in entries.iter_mut().zip(sums) {
            self.put(entry, sum);
        }
    }
}

/// Up to this many rows and columns, plain loops take less time than preparing a kernel.
pub(crate) const TINY: usize = 3;

/// A matrix of at most 3×3, column by column, with zeros around it.
#[derive(Clone, Copy)]
pub(crate) struct Tiny<T>([[T; TINY]; TINY]);

impl<T: Scalar> Tiny<T> {
    #[inline(always)]
    pub(crate) fn load(rows: usize, cols: usize, entry: impl Fn(usize, usize) -> T) -> Self {
        let mut block = [[T::default(); TINY]; TINY];
        for (j, column) in block.iter_mut().enumerate().take(cols) {
            for (i, value) in column.iter_mut().enumerate().take(rows) {
                *value = entry(i, j);
            }
        }
        Tiny(block)
    }

    /// The product with a matrix of `inner` rows and `cols` columns.
    #[inline(always)]
    pub(crate) fn times(&self, other: &Self, inner: usize, cols: usize) -> Self {
        let mut block = [[T::default(); TINY]; TINY];
        for (column, factors) in block.iter_mut().zip(&other.0).take(cols) {
            for (a, &factor) in self.0.iter().zip(factors).take(inner) {
                for (sum, &a) in column.iter_mut().zip(a) {
                    *sum += a * factor;
                }
            }
        }
        Tiny(block)
    }

    /// Puts the matrix into columns of so many rows.
    #[inline(always)]
    pub(crate) fn put(&self, dst: &mut [T], rows: usize, update: Update<T>) {
        for (column, sums) in dst.chunks_exact_mut(rows.max(1)).zip(&self.0) {
            for (entry, &sum) in column.iter_mut().zip(sums) {
                update.put(entry, sum);
            }
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

/// `dst = alpha a b`, or `dst += alpha a b`, if [`is_small`]; the scratch is for copies of the factors.
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
    scratch: (&'a mut [T], &'a mut [T]),
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
    run::<T>(rows, Tiles::<'_, '_, T, false>(&mut Product { dst, a, b, rows, inner, cols, update, scratch }))
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
    [a, b]: [(&[T], bool); 2],
    update: Update<T>,
    scratch: &mut [T],
) -> Option<()> {
    let a = Factor::of_numbers(a.0.get(..N * N)?, N, N, a.1)?;
    let b = Factor::of_numbers(b.0.get(..N * N)?, N, N, b.1)?;
    let (dst, scratch) = (dst.get_mut(..N * N)?, scratch.split_at_mut_checked(COPY)?);
    let product = &mut Product { dst, a, b, rows: N, inner: N, cols: N, update, scratch };
    if 2 * N > lanes::<T, F>() {
        Tiles::<'_, '_, T, true>(product).with_simd(full)
    } else {
        Tiles::<'_, '_, T, true>(product).with_simd(half)
    }
}

/// Runs a kernel on the registers that so many numbers fill best.
#[inline(always)]
fn run<T: Scalar>(numbers: usize, kernel: impl WithSimd<Output = Option<()>>) -> Option<()> {
    if 2 * numbers > lanes::<T, Full>() { full(kernel) } else { half(kernel) }
}

// What calls intrinsics below is a loop, not a closure: a closure may be compiled where the instructions are not
// enabled, and then every intrinsic is a call.

/// A product of two matrices, and memory for copies of its factors.
struct Product<'a, T> {
    dst: &'a mut [T],
    a: Factor<'a, T>,
    b: Factor<'a, T>,
    rows: usize,
    inner: usize,
    cols: usize,
    update: Update<T>,
    scratch: (&'a mut [T], &'a mut [T]),
}

/// Computes a product in tiles that stay in registers; `KNOWN` says that its sizes are known to the compiler.
struct Tiles<'x, 'a, T, const KNOWN: bool>(&'x mut Product<'a, T>);

impl<T: Scalar, const KNOWN: bool> WithSimd for Tiles<'_, '_, T, KNOWN> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        match self.0.rows.div_ceil(lanes::<T, S>()) {
            0 => Some(()),
            1 => tiles::<T, S, 1, KNOWN>(simd, self.0),
            2 => tiles::<T, S, 2, KNOWN>(simd, self.0),
            3 | 4 => tiles::<T, S, 4, KNOWN>(simd, self.0),
            _ => None,
        }
    }
}

/// A product with columns of at most `V` vectors.
#[inline(always)]
fn tiles<T: Scalar, S: Simd, const V: usize, const KNOWN: bool>(
    simd: S,
    product: &mut Product<'_, T>,
) -> Option<()> {
    let Product { dst, a, b, rows, inner, cols, update, scratch } = product;
    let (rows, inner, cols) = (*rows, *inner, *cols);
    let height = V * lanes::<T, S>();
    let a = match a.numbers {
        Some(numbers) if !a.transposed && rows == height => numbers,
        _ => {
            let to = scratch.0.get_mut(..height * inner)?;
            if a.transposed {
                copy_transposed(a.stored, to, height);
            } else {
                copy::<T, S>(a.stored, to, height);
            }
            to
        }
    };
    let a = T::vectors::<S>(a).as_chunks::<V>().0.get(..inner)?;
    let stored = b.stored;
    let b_numbers = match b.numbers {
        Some(numbers) => numbers,
        None => {
            let to = scratch.1.get_mut(..inner * cols)?;
            copy::<T, S>(stored, to, stored.nrows());
            to
        }
    };
    let mut dst = Columns { rest: dst, rows, update: *update };
    let mut j = 0;
    macro_rules! columns {
        ($($C:literal if $allowed:expr;)*) => {$(
            while $allowed && cols - j >= $C {
                j += if b.transposed {
                    tiles_of_transposed::<T, S, V, $C>(simd, &mut dst, a, b_numbers.get(j..)?, cols)?
                } else {
                    tiles_of::<T, S, V, $C>(simd, &mut dst, a, b_numbers.get(j * inner..)?)?
                };
            }
        )*};
    }
    // As many sums at a time as registers hold.
    columns! {
        8 if KNOWN && V == 1;
        6 if KNOWN && V > 1 && cols > 8;
        4 if true;
        2 if true;
        1 if true;
    }
    Some(())
}

/// The next `C` columns of a product, whose factors are below one another.
#[inline(always)]
fn tiles_of<T: Scalar, S: Simd, const V: usize, const C: usize>(
    simd: S,
    dst: &mut Columns<'_, T>,
    a: &[[T::Vector<S>; V]],
    b: &[T],
) -> Option<usize> {
    let inner = a.len();
    let mut columns: [&[T]; C] = [&[]; C];
    for (c, column) in columns.iter_mut().enumerate() {
        *column = b.get(c * inner..)?.get(..inner)?;
    }
    let mut first = 0;
    while first < V {
        let mut tile = Tile::<T, S, C>::new(simd);
        let mut k = 0;
        while k + UNROLLED <= inner {
            for u in 0..UNROLLED {
                let mut factors = [T::default(); C];
                for (factor, column) in factors.iter_mut().zip(&columns) {
                    *factor = column[k + u];
                }
                tile.add(simd, &a[k + u], first, &factors);
            }
            k += UNROLLED;
        }
        while k < inner {
            let mut factors = [T::default(); C];
            for (factor, column) in factors.iter_mut().zip(&columns) {
                *factor = column[k];
            }
            tile.add(simd, &a[k], first, &factors);
            k += 1;
        }
        dst.put::<S, V, C>(simd, first, &tile)?;
        first += 2;
    }
    dst.advance(C)
}

/// The next `C` columns of a product, whose factors are side by side in rows of `cols` numbers.
#[inline(always)]
fn tiles_of_transposed<T: Scalar, S: Simd, const V: usize, const C: usize>(
    simd: S,
    dst: &mut Columns<'_, T>,
    a: &[[T::Vector<S>; V]],
    b: &[T],
    cols: usize,
) -> Option<usize> {
    let mut first = 0;
    while first < V {
        let mut tile = Tile::<T, S, C>::new(simd);
        let mut at = 0;
        let (blocks, rest) = a.as_chunks::<UNROLLED>();
        for block in blocks {
            for column in block {
                tile.add(simd, column, first, b.get(at..)?.first_chunk()?);
                at += cols;
            }
        }
        for column in rest {
            tile.add(simd, column, first, b.get(at..)?.first_chunk()?);
            at += cols;
        }
        dst.put::<S, V, C>(simd, first, &tile)?;
        first += 2;
    }
    dst.advance(C)
}

/// So many terms of a sum are added before the loop looks whether there are more: the processor foresees the end of a
/// short loop better than that of a long one.
const UNROLLED: usize = 4;

/// Sums of at most two vectors by `C` columns.
struct Tile<T: Scalar, S: Simd, const C: usize>([[T::Vector<S>; 2]; C]);

impl<T: Scalar, S: Simd, const C: usize> Tile<T, S, C> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        Tile([[T::splat(simd, T::default()); 2]; C])
    }

    /// Adds the outer product of the first vectors of a column, from `first` on, and some factors.
    #[inline(always)]
    fn add<const V: usize>(&mut self, simd: S, column: &[T::Vector<S>; V], first: usize, factors: &[T; C]) {
        for (sums, &factor) in self.0.iter_mut().zip(factors) {
            let factor = T::splat(simd, factor);
            sums[0] = T::mul_add(simd, column[first % V], factor, sums[0]);
            if V > 1 {
                sums[1] = T::mul_add(simd, column[(first + 1) % V], factor, sums[1]);
            }
        }
    }
}

/// The columns of a product that are still to come.
struct Columns<'a, T> {
    rest: &'a mut [T],
    rows: usize,
    update: Update<T>,
}

impl<T: Scalar> Columns<'_, T> {
    /// Puts a tile where it belongs, but for rows that the columns do not have.
    #[inline(always)]
    fn put<S: Simd, const V: usize, const C: usize>(
        &mut self,
        simd: S,
        first: usize,
        tile: &Tile<T, S, C>,
    ) -> Option<()> {
        let (lanes, rows, update) = (lanes::<T, S>(), self.rows, self.update);
        let at = first * lanes;
        for (c, sums) in tile.0.iter().enumerate() {
            let column = self.rest.get_mut(c * rows + at..)?.get_mut(..rows - at)?;
            update.put_vector::<S>(simd, column, sums[0]);
            if V > 1
                && let Some(column) = column.get_mut(lanes..)
            {
                update.put_vector::<S>(simd, column, sums[1]);
            }
        }
        Some(())
    }

    /// Leaves so many columns behind, and returns their number.
    #[inline(always)]
    fn advance(&mut self, columns: usize) -> Option<usize> {
        self.rest = std::mem::take(&mut self.rest).get_mut(columns * self.rows..)?;
        Some(columns)
    }
}

/// A product of a matrix and a vector, or of two vectors.
struct Slim<'a, T> {
    dst: &'a mut [T],
    a: ByColumns<'a, T>,
    b: &'a [T],
    update: Update<T>,
}

/// `a b` as a sum of columns of `a`.
struct BySum<'x, 'a, T>(&'x mut Slim<'a, T>);

impl<T: Scalar> WithSimd for BySum<'_, '_, T> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        let Slim { dst, a, b, update } = self.0;
        let (lanes, mut i) = (lanes::<T, S>(), 0);
        // Many rows at once, so that additions do not wait for each other.
        while i + 8 * lanes <= dst.len() {
            sum_of_columns::<T, S, 8>(simd, &mut dst[i..], *a, b, i, *update)?;
            i += 8 * lanes;
        }
        if i + 4 * lanes <= dst.len() {
            sum_of_columns::<T, S, 4>(simd, &mut dst[i..], *a, b, i, *update)?;
            i += 4 * lanes;
        }
        if i + 2 * lanes <= dst.len() {
            sum_of_columns::<T, S, 2>(simd, &mut dst[i..], *a, b, i, *update)?;
            i += 2 * lanes;
        }
        if i + lanes <= dst.len() {
            sum_of_columns::<T, S, 1>(simd, &mut dst[i..], *a, b, i, *update)?;
            i += lanes;
        }
        for (i, entry) in dst.iter_mut().enumerate().skip(i) {
            let mut sum = T::default();
            for (k, &factor) in b.iter().enumerate() {
                sum += a.col(k).as_slice()[i] * factor;
            }
            update.put(entry, sum);
        }
        Some(())
    }
}

/// `V` vectors of `a b` from row `i` on.
#[inline(always)]
fn sum_of_columns<T: Scalar, S: Simd, const V: usize>(
    simd: S,
    dst: &mut [T],
    a: ByColumns<'_, T>,
    b: &[T],
    i: usize,
    update: Update<T>,
) -> Option<()> {
    let mut sums = [T::splat(simd, T::default()); V];
    for (k, &factor) in b.iter().enumerate() {
        let column: &[T::Vector<S>; V] = T::vectors::<S>(a.col(k).as_slice().get(i..)?).first_chunk()?;
        let factor = T::splat(simd, factor);
        for (sum, &vector) in sums.iter_mut().zip(column) {
            *sum = T::mul_add(simd, vector, factor, *sum);
        }
    }
    for (place, &sum) in dst.chunks_exact_mut(lanes::<T, S>()).zip(&sums) {
        update.put_vector::<S>(simd, place, sum);
    }
    Some(())
}

/// `aᵀ b` by inner products.
struct ByDots<'x, 'a, T>(&'x mut Slim<'a, T>);

impl<T: Scalar> WithSimd for ByDots<'_, '_, T> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        let Slim { dst, a, b, update } = self.0;
        let (fours, rest) = dst.as_chunks_mut::<4>();
        let done = 4 * fours.len();
        for (i, dst) in fours.iter_mut().enumerate() {
            let dots = dots::<T, S, 4>(simd, *a, 4 * i, b)?;
            for (entry, &dot) in dst.iter_mut().zip(&dots) {
                update.put(entry, dot);
            }
        }
        for (i, entry) in rest.iter_mut().enumerate() {
            let [dot] = dots::<T, S, 1>(simd, *a, done + i, b)?;
            update.put(entry, dot);
        }
        Some(())
    }
}

/// The inner products of `b` with `C` columns of `a` from column `i` on.
#[inline(always)]
fn dots<T: Scalar, S: Simd, const C: usize>(
    simd: S,
    a: ByColumns<'_, T>,
    i: usize,
    b: &[T],
) -> Option<[T; C]> {
    let vectors = T::vectors::<S>(b);
    let (whole, mut columns, mut rests) = (vectors.len() * lanes::<T, S>(), [vectors; C], [b; C]);
    for (c, (column, rest)) in columns.iter_mut().zip(&mut rests).enumerate() {
        let all = a.col(i + c).as_slice();
        *column = T::vectors::<S>(all).get(..vectors.len())?;
        *rest = all.get(whole..b.len())?;
    }
    let mut sums = [T::splat(simd, T::default()); C];
    for (k, &b) in vectors.iter().enumerate() {
        for (sum, column) in sums.iter_mut().zip(&columns) {
            *sum = T::mul_add(simd, column[k], b, *sum);
        }
    }
    let mut totals = [T::default(); C];
    for (total, &sum) in totals.iter_mut().zip(&sums) {
        *total = T::sum(simd, sum);
    }
    for (k, &b) in b.get(whole..)?.iter().enumerate() {
        for (total, rest) in totals.iter_mut().zip(&rests) {
            *total += rest[k] * b;
        }
    }
    Some(totals)
}

/// `a bᵀ` of two vectors.
struct Outer<'x, 'a, T>(&'x mut Slim<'a, T>);

impl<T: Scalar> WithSimd for Outer<'_, '_, T> {
    type Output = Option<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<()> {
        let Slim { dst, a, b, update } = self.0;
        let a = a.col(0).as_slice();
        let (vectors, mut rest) = (T::vectors::<S>(a), &mut dst[..]);
        let end = a.get(vectors.len() * lanes::<T, S>()..)?;
        for &factor in *b {
            let column;
            (column, rest) = std::mem::take(&mut rest).split_at_mut_checked(a.len())?;
            let (whole, column_end) = column.split_at_mut_checked(a.len() - end.len())?;
            let places = T::vectors_mut::<S>(whole);
            let (factor, factors) = (update.alpha * factor, T::splat(simd, update.alpha * factor));
            if update.accumulate {
                for (place, &vector) in places.iter_mut().zip(vectors) {
                    *place = T::mul_add(simd, vector, factors, *place);
                }
                for (entry, &a) in column_end.iter_mut().zip(end) {
                    *entry += a * factor;
                }
            } else {
                for (place, &vector) in places.iter_mut().zip(vectors) {
                    *place = T::times(simd, vector, factors);
                }
                for (entry, &a) in column_end.iter_mut().zip(end) {
                    *entry = a * factor;
                }
            }
        }
        Some(())
    }
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

/// Copies the rows of a matrix into columns of the given height.
#[inline(always)]
fn copy_transposed<T: Scalar>(from: ByColumns<'_, T>, to: &mut [T], height: usize) {
    const BLOCK: usize = 4;
    let (rows, cols) = (from.ncols(), from.nrows());
    if rows < BLOCK || cols < BLOCK {
        for i in 0..rows {
            for (k, &entry) in from.col(i).as_slice().iter().enumerate() {
                to[k * height + i] = entry;
            }
        }
        return;
    }
    for i in (0..rows).step_by(BLOCK) {
        // Blocks that reach beyond the end begin earlier.
        let i = i.min(rows - BLOCK);
        let mut columns: [&[T]; BLOCK] = [&[]; BLOCK];
        for (c, column) in columns.iter_mut().enumerate() {
            *column = from.col(i + c).as_slice();
        }
        for k in (0..cols).step_by(BLOCK) {
            let k = k.min(cols - BLOCK);
            let mut block = [[T::default(); BLOCK]; BLOCK];
            for (block, column) in block.iter_mut().zip(&columns) {
                block.copy_from_slice(&column[k..k + BLOCK]);
            }
            for u in 0..BLOCK {
                let row = [block[0][u], block[1][u], block[2][u], block[3][u]];
                to[(k + u) * height + i..][..BLOCK].copy_from_slice(&row);
            }
        }
    }
}
