//! Threads above faer: what is divided among them, and how.
//!
//! Two things are: instructions that do not depend on each other run side by side, and a large instruction works
//! on several panels of its destination at once. Every number is computed by the same operations in the same
//! order as on one thread, so that results do not depend on how many there are. faer itself stays on one thread:
//! it would divide products far too small for that, and some results would depend on the number of threads.

use crate::Scalar;
use crate::kernels::elementwise::{self, Sources, Target};
use crate::kernels::tile::BLOCK;
use crate::kernels::{product, transpose};
use crate::plan::{Buffer, Elementwise, Group, Instruction, Kernel, Slot, Step};
use faer::{MatMut, MatRef};
use pullback_tape::{Binary, Function, Shape};
use smallvec::SmallVec;
use std::ops::Range;

#[cfg(feature = "rayon")]
pub(crate) use crate::pool::{Pool, join};

#[cfg(not(feature = "rayon"))]
pub(crate) use no_pool::{Pool, join};

#[cfg(not(feature = "rayon"))]
mod no_pool {
    /// There are no threads.
    #[derive(Clone)]
    pub(crate) enum Pool {}

    impl Pool {
        pub(crate) fn run<R>(&self, _: impl FnOnce() -> R) -> R {
            match *self {}
        }
    }

    pub(crate) fn join<A, B>(a: impl FnOnce() -> A, b: impl FnOnce() -> B) -> (A, B) {
        (a(), b())
    }
}

// ---- what is worth it ------------------------------------------------------------------------------------

// Work is counted in multiplications of `f64`, of which a core does about 2·10¹⁰ a second in a large product. The
// limits are about those for two threads; what they cost does not depend on the work.

/// A program with less work to divide stays on the thread that runs it.
const PROGRAM: usize = 1 << 23;

/// An instruction, or a group of them, with less work is not divided.
const DIVISIBLE: usize = 3 << 19;

/// An instruction with less work does not run beside another.
const MEMBER: usize = 1 << 17;

/// So many instructions run side by side at most.
pub(crate) const MOST: usize = 4;

/// The multiplications that take as long as reading a number from memory, or writing it.
const TRANSFER: usize = 8;

/// The work for so many multiplications of numbers of the given size, of which a register holds the more the
/// smaller they are.
fn scaled(multiplications: usize, number: usize) -> usize {
    multiplications / (size_of::<f64>() / number).max(1)
}

fn entries(shape: Shape) -> usize {
    shape.rows.saturating_mul(shape.cols)
}

fn product_work(dst: Shape, inner: usize, number: usize) -> usize {
    let transfers = if is_vector(dst) { inner.saturating_mul(TRANSFER) } else { TRANSFER };
    scaled(entries(dst).saturating_mul(inner.max(transfers)), number)
}

fn copy_work(entries: usize, number: usize) -> usize {
    scaled(entries.saturating_mul(TRANSFER), number)
}

fn pass_work(pass: &Elementwise, dst: Shape, number: usize) -> usize {
    let cost = |step: &Step| match step {
        Step::Map(Function::Square | Function::Abs | Function::Relu | Function::Step, _) => TRANSFER,
        Step::Map(..) | Step::Zip(Binary::Atan2 | Binary::Hypot, ..) => 4 * TRANSFER,
        _ => TRANSFER,
    };
    scaled(entries(dst).saturating_mul(pass.steps.iter().map(|(step, _)| cost(step)).sum()), number)
}

fn work(instruction: &Instruction, dst: Shape, number: usize) -> usize {
    match &instruction.kernel {
        Kernel::MatMul { lhs, .. } => product_work(dst, lhs.shape.cols, number),
        Kernel::Copy { .. } => copy_work(entries(dst), number),
        Kernel::Elementwise(pass) => pass_work(pass, dst, number),
        _ => 0,
    }
}

fn is_vector(shape: Shape) -> bool {
    shape.rows == 1 || shape.cols == 1
}

// ---- side by side ----------------------------------------------------------------------------------------

/// What some instructions read and write.
struct Footprint {
    read: Vec<Buffer>,
    written: Vec<Buffer>,
}

impl Footprint {
    fn of(instruction: &mut Instruction) -> Self {
        let mut read = Vec::new();
        instruction.reads(|buffer| read.push(buffer));
        Footprint { read, written: vec![instruction.dst] }
    }

    /// Whether one writes what the other reads or writes.
    fn meets(&self, other: &Footprint) -> bool {
        let touches = |x: &Footprint, buffer| x.read.contains(buffer) || x.written.contains(buffer);
        self.written.iter().any(|buffer| touches(other, buffer))
            || other.written.iter().any(|buffer| touches(self, buffer))
    }

    fn extend(&mut self, other: Footprint) {
        self.read.extend(other.read);
        self.written.extend(other.written);
    }
}

/// Divides a program on numbers of the given size into groups of consecutive products and copies that do not depend
/// on each other, and single instructions. `None` if there is so little work to divide that the program had better
/// stay on one thread.
pub(crate) fn groups(
    code: &mut [Instruction],
    slots: &[Slot],
    number: usize,
    threads: usize,
) -> Option<Vec<Group>> {
    let work: Vec<usize> =
        code.iter().map(|instruction| work(instruction, slots[instruction.dst].shape, number)).collect();
    let mut groups: Vec<Range<usize>> = Vec::new();
    // The footprint of the last group, if others may join it.
    let mut open: Option<Footprint> = None;
    for (i, instruction) in code.iter_mut().enumerate() {
        let movable = matches!(instruction.kernel, Kernel::MatMul { .. } | Kernel::Copy { .. });
        let own = (movable && work[i] >= MEMBER).then(|| Footprint::of(instruction));
        match (&mut open, own, groups.last_mut()) {
            (Some(group), Some(own), Some(range)) if range.len() < MOST && !group.meets(&own) => {
                group.extend(own);
                range.end += 1;
            }
            (_, own, _) => {
                groups.push(i..i + 1);
                open = own;
            }
        }
    }
    let mut divided = 0usize;
    let mut worth_it = Vec::with_capacity(groups.len());
    for group in groups {
        let total = work[group.clone()].iter().copied().fold(0, usize::saturating_add);
        let single = group.len() == 1;
        let divisible = total >= DIVISIBLE && !(single && is_vector(slots[code[group.start].dst].shape));
        if divisible {
            divided = divided.saturating_add(total);
        }
        if divisible || single {
            let work = &work[group.clone()];
            let (least, most) = (work.iter().min(), work.iter().max());
            // Whole members take less time than their panels, if every thread has as many and as large ones.
            let even = group.len().is_multiple_of(threads) && least == most;
            worth_it.push(Group { members: group, divided: !even });
        } else {
            worth_it.extend(group.map(|i| Group { members: i..i + 1, divided: true }));
        }
    }
    (divided >= PROGRAM).then_some(worth_it)
}

/// Does all tasks; the error is that of the first that fails.
pub(crate) fn each<X: Send, E: Send>(
    tasks: &mut [X],
    run: &(impl Fn(&mut X) -> Result<(), E> + Sync),
) -> Result<(), E> {
    match tasks {
        [] => Ok(()),
        [task] => run(task),
        _ => {
            let (left, right) = tasks.split_at_mut(tasks.len() / 2);
            let (left, right) = join(|| each(left, run), || each(right, run));
            left.and(right)
        }
    }
}

/// A part of a slice that is lent out, or kept, and where it begins.
pub(crate) type Lent<'a, X> = SmallVec<[&'a mut [X]; MOST]>;
pub(crate) type Kept<'a, X> = SmallVec<[(usize, &'a [X]); MOST + 1]>;

/// Lends out some parts of a slice, to be written, and keeps the others, to be read, each with the place where it
/// begins. The parts to be lent are disjoint and in order.
pub(crate) fn lend<X>(
    whole: &mut [X],
    parts: impl Iterator<Item = Range<usize>>,
) -> (Lent<'_, X>, Kept<'_, X>) {
    let (mut lent, mut kept) = (Lent::new(), Kept::new());
    let (mut place, mut rest) = (0, whole);
    for part in parts {
        let (before, others) = rest.split_at_mut(part.start - place);
        let (own, after) = others.split_at_mut(part.len());
        kept.push((place, &*before));
        lent.push(own);
        (place, rest) = (part.end, after);
    }
    kept.push((place, &*rest));
    (lent, kept)
}

// ---- in panels -------------------------------------------------------------------------------------------

/// A panel has at least so many rows; a product with too few for two panels is divided by columns. Panels of rows take no
/// longer than the whole, while faer arranges the left factor again for every panel of columns.
const HEIGHT: usize = 120;

/// A panel has at least so many columns, where there are enough for more than two.
const WIDTH: usize = 128;

/// A product with fewer columns is divided by rows, if it has more of them.
const FEW: usize = 64;

/// Panels begin at multiples of so many columns, as in an undivided product the blocks of its kernels do.
const COLUMNS: usize = 8;

/// The same for rows.
const ROWS: usize = 24;

/// Where to cut `len` columns or rows in about two halves, at a multiple of `step`, unless they would be less than
/// `width` wide.
fn middle(len: usize, width: usize, step: usize) -> Option<usize> {
    let middle = (len / 2 + step / 2) / step * step;
    // A product with a single column would be computed by another kernel, to other bits.
    (len >= 2 * width && middle >= 2 && middle + 2 <= len).then_some(middle)
}

/// `dst = alpha a b`, or `dst += alpha a b`.
pub(crate) fn product<T: Scalar>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    alpha: T,
) {
    let shape = Shape::new(dst.nrows(), dst.ncols());
    if is_vector(shape) || product_work(shape, a.ncols(), size_of::<T>()) < DIVISIBLE {
        product::product(dst, accumulate, a, b, alpha);
    } else if shape.rows >= 2 * HEIGHT || shape.cols < FEW && shape.rows > shape.cols {
        by_rows(dst, accumulate, a, b, alpha);
    } else {
        by_columns(dst, accumulate, a, b, alpha, WIDTH.min(shape.cols / 2));
    }
}

fn by_columns<T: Scalar>(
    dst: MatMut<'_, T>,
    accumulate: bool,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
    alpha: T,
    width: usize,
) {
    let Some(middle) = middle(dst.ncols(), width, COLUMNS) else {
        return product::product(dst, accumulate, a, b, alpha);
    };
    let (left, right) = dst.split_at_col_mut(middle);
    let (b_left, b_right) = b.split_at_col(middle);
    join(
        || by_columns(left, accumulate, a, b_left, alpha, width),
        || by_columns(right, accumulate, a, b_right, alpha, width),
    );
}

fn by_rows<T: Scalar>(dst: MatMut<'_, T>, accumulate: bool, a: MatRef<'_, T>, b: MatRef<'_, T>, alpha: T) {
    let Some(middle) = middle(dst.nrows(), HEIGHT, ROWS) else {
        return product::product(dst, accumulate, a, b, alpha);
    };
    let (top, bottom) = dst.split_at_row_mut(middle);
    let (a_top, a_bottom) = a.split_at_row(middle);
    join(|| by_rows(top, accumulate, a_top, b, alpha), || by_rows(bottom, accumulate, a_bottom, b, alpha));
}

/// `dst = alpha a`, column by column.
pub(crate) fn copy<T: Scalar>(dst: &mut [T], a: MatRef<'_, T>, alpha: T) {
    let enough = copy_work(dst.len(), size_of::<T>()) >= DIVISIBLE;
    let Some(middle) = middle(a.ncols(), COLUMNS, COLUMNS).filter(|_| enough) else {
        let dst = MatMut::from_column_major_slice_mut(dst, a.nrows(), a.ncols());
        return transpose::copy(dst, a, alpha);
    };
    let (left, right) = dst.split_at_mut(middle * a.nrows());
    let (a_left, a_right) = a.split_at_col(middle);
    join(|| copy(left, a_left, alpha), || copy(right, a_right, alpha));
}

/// A pass is divided into at most so many panels, each of which needs scratch of its own.
const PANELS: usize = 8;

/// The scratch that a pass needs if it may be divided.
pub(crate) fn scratch<T>(pass: &Elementwise, dst: Shape) -> usize {
    let one = elementwise::scratch(pass);
    if pass_work(pass, dst, size_of::<T>()) < DIVISIBLE { one } else { PANELS * one }
}

/// An elementwise pass over a matrix of the given shape.
pub(crate) fn pass<T: Scalar>(
    pass: &Elementwise,
    sources: &Sources<'_, T>,
    target: Target<'_, T>,
    shape: Shape,
    scratch: &mut [T],
) {
    // A panel begins with a block, so that the blocks are those of the whole.
    let step = (1..=BLOCK).find(|cols| (cols * shape.rows).is_multiple_of(BLOCK)).unwrap_or(BLOCK);
    let enough = pass_work(pass, shape, size_of::<T>()) >= DIVISIBLE
        && scratch.len() >= 2 * elementwise::scratch(pass);
    let Some(middle) = middle(shape.cols, 1, step).filter(|_| enough) else {
        return elementwise::run(pass, sources, target, shape, scratch, None);
    };
    let (left, right) = match target {
        Target::Flat(numbers) => {
            let (left, right) = numbers.split_at_mut(middle * shape.rows);
            (Target::Flat(left), Target::Flat(right))
        }
        Target::Strided(matrix) => {
            let (left, right) = matrix.split_at_col_mut(middle);
            (Target::Strided(left), Target::Strided(right))
        }
        // Its parts are added in order.
        sum => return elementwise::run(pass, sources, sum, shape, scratch, None),
    };
    let cut = sources.iter().map(|source| source.split(middle, shape.rows));
    let (sources_left, sources_right): (Sources<'_, T>, Sources<'_, T>) = cut.unzip();
    let (scratch_left, scratch_right) = scratch.split_at_mut(scratch.len() / 2);
    let panel = |cols| Shape::new(shape.rows, cols);
    join(
        || self::pass(pass, &sources_left, left, panel(middle), scratch_left),
        || self::pass(pass, &sources_right, right, panel(shape.cols - middle), scratch_right),
    );
}
