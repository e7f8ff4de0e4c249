//! From a matrix to a number or a row.
//!
//! Every sum is taken in an order that depends on the plan alone: not on strides, not on the processor.

use super::elementwise::Source;
use super::tile::{BLOCK, PANEL, Tile};
use super::transpose::{Columns, SIDE, Square, gather, scatter, square, turned};
use super::vector::{self, Loop};
use crate::Scalar;
use faer::prelude::ReborrowMut;
use faer::traits::math_utils::{min_positive, sqrt};
use faer::{MatMut, MatRef};
use pullback_tape::Shape;

/// Independent partial sums, so that additions do not wait for each other.
const LANES: usize = SIDE;

/// `Σ |aᵢ|`
pub(crate) fn sum_of_sizes<T: Scalar>(a: &[T]) -> T {
    sum_of(a, a, |a, _| a.abs())
}

#[inline(always)]
fn sum_of<T: Scalar>(a: &[T], b: &[T], term: impl Fn(T, T) -> T) -> T {
    let mut sums = [T::default(); LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(a, b);
        }
    }
    let mut total = T::default();
    for (&a, &b) in a_rest.iter().zip(b_rest) {
        total += term(a, b);
    }
    sums.into_iter().fold(total, |total, sum| total + sum)
}

/// The products of a block, or its entries if there is no second one, added up.
struct BlockSum<'a, T>(&'a [T], Option<&'a [T]>);

impl<T: Scalar> Loop for BlockSum<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> T {
        match self {
            BlockSum(a, Some(b)) => sum_of(a, b, |a, b| a * b),
            BlockSum(a, None) => sum_of(a, a, |a, _| a),
        }
    }
}

/// `Σ aᵢ bᵢ` of a block, inside a loop that is compiled for vectors already.
#[inline(always)]
pub(crate) fn inner_within<const FUSED: bool, T: Scalar>(a: &[T], b: &[T]) -> T {
    let mut total = Total::default();
    total.add(BlockSum(a, Some(b)).run::<FUSED>());
    total.value()
}

/// `Σ aᵢ` of a block.
#[inline]
pub(crate) fn block_sum<T: Scalar>(a: &[T]) -> T {
    vector::run(BlockSum(a, None))
}

/// A sum of the sums of many blocks that keeps what rounding takes off (Neumaier, *ZAMM* 54, 1974): the result is as
/// accurate as the sum of a single block.
#[derive(Clone, Copy, Default)]
pub(crate) struct Total<T> {
    sum: T,
    lost: T,
}

impl<T: Scalar> Total<T> {
    #[inline(always)]
    pub(crate) fn add(&mut self, x: T) {
        let sum = self.sum + x;
        let lost = if self.sum.abs() >= x.abs() { (self.sum - sum) + x } else { (x - sum) + self.sum };
        // Nothing can be said of what is lost beside infinity.
        if lost.is_finite() {
            self.lost += lost;
        }
        self.sum = sum;
    }

    #[inline(always)]
    pub(crate) fn value(self) -> T {
        self.sum + self.lost
    }
}

/// `Σ aᵢⱼ bᵢⱼ`, or `Σ aᵢⱼ` if there is no `b`, of matrices of the given shape; `blocks` has [`SCRATCH`] numbers.
pub(crate) fn inner<T: Scalar>(
    a: &Source<'_, T>,
    b: Option<&Source<'_, T>>,
    shape: Shape,
    blocks: &mut [T],
) -> T {
    let (a_block, b_block) = blocks.split_at_mut(BLOCK);
    let mut total = Total::default();
    for tile in Tile::columns(shape) {
        let a = a.read(tile, shape, a_block);
        let b = b.map(|b| b.read(tile, shape, b_block));
        total.add(vector::run(BlockSum(a, b)));
    }
    total.value()
}

/// `Σ aᵢⱼ bᵢⱼ` in squares, for matrices of which one is stored by columns and one by rows; `blocks` has [`SCRATCH`]
/// numbers.
pub(crate) fn inner_across<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>, blocks: &mut [T]) -> T {
    vector::run(InnerAcross { a, b, blocks })
}

/// See [`inner_across`].
struct InnerAcross<'a, T> {
    a: MatRef<'a, T>,
    b: MatRef<'a, T>,
    blocks: &'a mut [T],
}

impl<T: Scalar> Loop for InnerAcross<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> T {
        let InnerAcross { a, b, blocks } = self;
        let (a_block, b_block) = blocks.split_at_mut(PANEL);
        let mut total = Total::default();
        for tile in Tile::panels(Shape::new(a.nrows(), a.ncols())) {
            let (Some(a), Some(b)) = (Lines::of(a, tile, a_block), Lines::of(b, tile, b_block)) else {
                continue;
            };
            let (whole_rows, whole_cols) = (tile.rows / LANES * LANES, tile.cols / LANES * LANES);
            let (mut sums, mut rest) = ([T::default(); LANES], T::default());
            for j in (0..whole_cols).step_by(LANES) {
                for i in (0..whole_rows).step_by(LANES) {
                    for (a, b) in a.square(i, j).iter().zip(&b.square(i, j)) {
                        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                            *sum += a * b;
                        }
                    }
                }
            }
            for j in 0..tile.cols {
                for i in if j < whole_cols { whole_rows } else { 0 }..tile.rows {
                    rest += a.entry(i, j) * b.entry(i, j);
                }
            }
            total.add(sums.into_iter().fold(rest, |total, sum| total + sum));
        }
        total.value()
    }
}

/// A part of a matrix that is stored by columns or by rows.
#[derive(Clone, Copy)]
struct Lines<'a, T> {
    columns: Columns<'a, T>,
    transposed: bool,
}

impl<'a, T: Scalar> Lines<'a, T> {
    /// A tile where it is, or else in the block.
    #[inline(always)]
    fn of(a: MatRef<'a, T>, tile: Tile, block: &'a mut [T]) -> Option<Self> {
        let part = a.submatrix(tile.i, tile.j, tile.rows, tile.cols);
        if let Some(columns) = part.try_as_col_major() {
            return Some(Lines { columns, transposed: false });
        }
        if let Some(columns) = part.transpose().try_as_col_major() {
            return Some(Lines { columns, transposed: true });
        }
        let block = &mut block[..tile.len()];
        gather(a, tile, block);
        let block = MatRef::from_column_major_slice(&*block, tile.rows, tile.cols);
        Some(Lines { columns: block.try_as_col_major()?, transposed: false })
    }

    #[inline(always)]
    fn square(&self, i: usize, j: usize) -> Square<T, SIDE> {
        if self.transposed { turned(&square(self.columns, j, i)) } else { square(self.columns, i, j) }
    }

    #[inline(always)]
    fn entry(&self, i: usize, j: usize) -> T {
        self.columns[if self.transposed { (j, i) } else { (i, j) }]
    }
}

/// The scratch of a reduction.
pub(crate) const SCRATCH: usize = 2 * PANEL;

/// `√Σ aᵢⱼ²`, safe against overflow; `blocks` has [`SCRATCH`] numbers.
pub(crate) fn norm<T: Scalar>(a: &Source<'_, T>, shape: Shape, blocks: &mut [T]) -> T {
    let squares = inner(a, Some(a), shape, blocks);
    let smallest = min_positive::<T>() / (T::EPSILON * T::EPSILON);
    if squares > smallest && squares.is_finite() || squares.to_f64().is_nan() {
        return sqrt(&squares);
    }
    let block = &mut blocks[..BLOCK];
    let mut largest = T::default();
    for tile in Tile::columns(shape) {
        largest = a.read(tile, shape, block).iter().fold(largest, |max, x| larger(max, x.abs()));
    }
    if largest == T::default() || !largest.is_finite() {
        return largest;
    }
    let mut total = Total::default();
    for tile in Tile::columns(shape) {
        let (staged, scaled) = blocks.split_at_mut(BLOCK);
        let entries = a.read(tile, shape, staged);
        for (scaled, &x) in scaled.iter_mut().zip(entries) {
            *scaled = x / largest;
        }
        let scaled = &scaled[..entries.len()];
        total.add(vector::run(BlockSum(scaled, Some(scaled))));
    }
    largest * sqrt(&total.value())
}

pub(crate) fn trace<T: Scalar>(a: MatRef<'_, T>) -> T {
    (0..a.nrows()).fold(T::default(), |sum, i| sum + a[(i, i)])
}

#[inline(always)]
fn larger<T: Scalar>(max: T, x: T) -> T {
    if x > max { x } else { max }
}

/// The largest number, −∞ if there is none. A NaN is not looked at: it will show in the sum.
#[inline(always)]
fn largest<T: Scalar>(x: &[T]) -> T {
    let lowest = T::from_f64(f64::NEG_INFINITY);
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [lowest; LANES];
    for block in blocks {
        for (max, &x) in lanes.iter_mut().zip(block) {
            *max = larger(*max, x);
        }
    }
    lanes.iter().chain(rest).fold(lowest, |max, &x| larger(max, x))
}

/// What is taken off before exponentiating: the maximum if it is finite.
#[inline(always)]
fn shift<T: Scalar>(max: T) -> T {
    if max.is_finite() { max } else { T::default() }
}

fn column_shift<T: Scalar>(a: MatRef<'_, T>, j: usize) -> T {
    let column = a.col(j);
    match column.try_as_col_major() {
        Some(column) => shift(largest(column.as_slice())),
        None => shift(column.iter().fold(T::from_f64(f64::NEG_INFINITY), |max, &x| larger(max, x))),
    }
}

/// `x = exp x`
struct Exp<'a, T>(&'a mut [T]);

impl<T: Scalar> Loop for Exp<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        T::exp_in_place::<FUSED>(self.0);
    }
}

/// Walks over `exp(aᵢⱼ − shiftⱼ)` by [tiles](Tile::columns) and along their columns.
struct Exponentials<'a, T> {
    a: MatRef<'a, T>,
    block: &'a mut [T],
    /// Of the column in progress.
    shift: T,
}

impl<'a, T: Scalar> Exponentials<'a, T> {
    fn new(a: MatRef<'a, T>, blocks: &'a mut [T]) -> Self {
        Exponentials { a, block: &mut blocks[..BLOCK], shift: T::default() }
    }

    /// The exponentials of a tile; `note` is told the shift of every column that begins in it.
    fn tile(&mut self, tile: Tile, mut note: impl FnMut(usize, T)) -> &mut [T] {
        let block = &mut self.block[..tile.len()];
        gather(self.a, tile, block);
        for (j, column) in (tile.j..).zip(block.chunks_exact_mut(tile.rows)) {
            if tile.i == 0 {
                self.shift = column_shift(self.a, j);
                note(j, self.shift);
            }
            column.iter_mut().for_each(|x| *x -= self.shift);
        }
        vector::run(Exp(block));
        block
    }
}

/// `log Σᵢ exp aᵢⱼ = max + log Σᵢ exp(aᵢⱼ − max)`; `blocks` has [`SCRATCH`] numbers.
pub(crate) fn log_sum_exp<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, blocks: &mut [T]) {
    let rows = a.nrows();
    if rows == 0 {
        dst.fill(T::from_f64(f64::NEG_INFINITY));
    }
    let mut sum = Total::default();
    let mut exponentials = Exponentials::new(a, blocks);
    for tile in Tile::columns(Shape::new(rows, a.ncols())) {
        let block = exponentials.tile(tile, |j, shift| dst[(0, j)] = shift);
        for (j, part) in (tile.j..).zip(block.chunks_exact(tile.rows)) {
            let sum = column_sum(&mut sum, tile, part);
            if tile.i + tile.rows == rows {
                dst[(0, j)] += sum.ln();
            }
        }
    }
}

/// `exp aᵢⱼ / Σᵢ exp aᵢⱼ`; `blocks` has [`SCRATCH`] numbers.
pub(crate) fn softmax<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, blocks: &mut [T]) {
    let rows = a.nrows();
    let mut sum = Total::default();
    let mut exponentials = Exponentials::new(a, blocks);
    for tile in Tile::columns(Shape::new(rows, a.ncols())) {
        let block = exponentials.tile(tile, |_, _| {});
        for column in block.chunks_exact_mut(tile.rows) {
            let sum = column_sum(&mut sum, tile, column);
            if tile.rows == rows {
                column.iter_mut().for_each(|x| *x /= sum);
            }
        }
        scatter(block, tile, dst.rb_mut());
        if tile.rows < rows && tile.i + tile.rows == rows {
            let sum = sum.value();
            dst.rb_mut().col_mut(tile.j).iter_mut().for_each(|x| *x /= sum);
        }
    }
}

/// Adds a part of a column, and returns the sum of its parts so far.
fn column_sum<T: Scalar>(total: &mut Total<T>, tile: Tile, part: &[T]) -> T {
    if tile.i == 0 {
        *total = Total::default();
    }
    total.add(block_sum(part));
    total.value()
}

/// The largest of some numbers, NaN if there is one, −∞ if there is no number.
struct Largest<'a, T>(&'a [T]);

impl<T: Scalar> Loop for Largest<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> T {
        let lowest = T::from_f64(f64::NEG_INFINITY);
        let (blocks, rest) = self.0.as_chunks::<LANES>();
        // What is not finite leaves a NaN behind in the second.
        let (mut lanes, mut traces) = ([lowest; LANES], [T::default(); LANES]);
        for block in blocks {
            for ((max, trace), &x) in lanes.iter_mut().zip(&mut traces).zip(block) {
                *max = larger(*max, x);
                *trace += x * T::default();
            }
        }
        let trace = traces.into_iter().fold(T::default(), |sum, trace| sum + trace);
        let trace = rest.iter().fold(trace, |sum, &x| sum + x * T::default());
        if is_nan(trace) && self.0.iter().any(|&x| is_nan(x)) {
            return T::from_f64(f64::NAN);
        }
        lanes.iter().chain(rest).fold(lowest, |max, &x| larger(max, x))
    }
}

#[inline(always)]
#[allow(clippy::eq_op)] // What a NaN is.
fn is_nan<T: Scalar>(x: T) -> bool {
    x != x
}

/// The index of the first of the largest numbers, of which this is one, and the number itself: zeros differ in sign.
#[inline(always)]
fn first_of<T: Scalar>(x: &[T], max: T) -> (usize, T) {
    let first =
        if is_nan(max) { x.iter().position(|&x| is_nan(x)) } else { x.iter().position(|&x| x == max) };
    let first = first.unwrap_or(0);
    (first, x.get(first).copied().unwrap_or(max))
}

/// Walks over the columns and tells of each the index, if it is asked for, and the value of the first of its largest entries.
/// A NaN counts as the largest.
fn maxima<T: Scalar>(a: MatRef<'_, T>, indices: bool, mut note: impl FnMut(usize, usize, T)) {
    let find = |part: &[T]| {
        let max = vector::run(Largest(part));
        if indices || max == T::default() { first_of(part, max) } else { (0, max) }
    };
    if a.nrows() > 0 && a.row_stride() == 1 {
        for (j, column) in a.col_iter().enumerate() {
            let Some(column) = column.try_as_col_major() else { continue };
            let (index, max) = find(column.as_slice());
            note(j, index, max);
        }
        return;
    }
    let mut block = [T::default(); BLOCK];
    let (mut index, mut max) = (0, T::default());
    for tile in Tile::columns(Shape::new(a.nrows(), a.ncols())) {
        let block = &mut block[..tile.len()];
        gather(a, tile, block);
        for (j, part) in (tile.j..).zip(block.chunks_exact(tile.rows)) {
            let (first, of_part) = find(part);
            if tile.i == 0 || of_part > max || is_nan(of_part) && !is_nan(max) {
                (index, max) = (tile.i + first, of_part);
            }
            if tile.i + tile.rows == a.nrows() {
                note(j, index, max);
            }
        }
    }
}

/// `maxᵢ aᵢⱼ`, −∞ of an empty column.
pub(crate) fn col_max<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>) {
    if a.nrows() == 0 {
        dst.fill(T::from_f64(f64::NEG_INFINITY));
    }
    maxima(a, false, |j, _, max| dst[(0, j)] = max);
}

/// A position is written as so many numbers, ...
pub(crate) const POSITION: usize = 2;
/// ... the last digit first: either is a number that is exact in single precision.
const DIGIT: usize = 1 << 20;

/// Where the first of the largest entries of every column is.
pub(crate) fn positions<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>) {
    if a.nrows() == 0 {
        dst.fill(T::default());
    }
    maxima(a, true, |j, index, _| {
        dst[(0, j)] = T::from_f64((index % DIGIT) as f64);
        dst[(1, j)] = T::from_f64((index / DIGIT) as f64);
    });
}

/// What [`positions`] has written for a column.
pub(crate) fn position<T: Scalar>(positions: MatRef<'_, T>, j: usize) -> usize {
    positions[(0, j)].to_f64() as usize + positions[(1, j)].to_f64() as usize * DIGIT
}

/// The entry of every column at its position, −∞ of an empty column.
pub(crate) fn entries_at<T: Scalar>(mut dst: MatMut<'_, T>, a: MatRef<'_, T>, positions: MatRef<'_, T>) {
    for j in 0..dst.ncols() {
        let i = position(positions, j);
        dst[(0, j)] = if i < a.nrows() { a[(i, j)] } else { T::from_f64(f64::NEG_INFINITY) };
    }
}
