//! What an instruction sees: the matrices that it can read, and where it writes.

use crate::kernels::elementwise::Source;
use crate::kernels::transpose;
use crate::machine::Machine;
use crate::plan::{Buffer, Place, Repeat, Slot, View};
use crate::{Scalar, cost, parallel};
use faer::prelude::ReborrowMut;
use faer::{MatMut, MatRef};
use pullback_tape::Shape;

/// What is left of a slice while parts of it are written to.
pub(crate) struct Rest<'a, X> {
    /// What comes before the first of these parts, and what comes after the last, with the place where it begins.
    pub(crate) before: &'a [X],
    pub(crate) after: (usize, &'a [X]),
    /// The pieces between them, if several parts are written to at the same time.
    pub(crate) between: &'a [(usize, &'a [X])],
}

impl<'a, X> Rest<'a, X> {
    pub(crate) fn whole(slice: &'a [X]) -> Self {
        Rest { before: slice, after: (slice.len(), &[]), between: &[] }
    }

    pub(crate) fn of(kept: &'a [(usize, &'a [X])]) -> Self {
        match kept {
            [(_, before), between @ .., after] => Rest { before, after: *after, between },
            [(_, whole)] => Rest::whole(whole),
            [] => Rest::whole(&[]),
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, start: usize, len: usize) -> Option<&'a [X]> {
        if start + len <= self.before.len() {
            return self.before.get(start..start + len);
        }
        match start.checked_sub(self.after.0) {
            Some(start) => self.after.1.get(start..start + len),
            None => self.get_between(start, len),
        }
    }

    #[cold]
    pub(crate) fn get_between(&self, start: usize, len: usize) -> Option<&'a [X]> {
        let piece = |(place, piece): &(usize, &'a [X])| {
            let start = start.checked_sub(*place)?;
            piece.get(start..start + len)
        };
        self.between.iter().find_map(piece)
    }
}

/// The matrices that an instruction can read: all but its destination, and those of its group.
pub(crate) struct Sight<'a, 'b, T: Scalar> {
    pub(crate) machine: &'a Machine<'a, T>,
    pub(crate) arena: Rest<'a, T>,
    /// The caller's matrices, if outputs go there.
    pub(crate) outside: Option<Rest<'a, MatMut<'b, T>>>,
}

impl<'a, T: Scalar> Sight<'a, '_, T> {
    #[inline(always)]
    pub(crate) fn numbers(&self, offset: usize, shape: Shape) -> &'a [T] {
        self.arena.get(offset, shape.rows * shape.cols).unwrap_or_default()
    }

    #[inline(always)]
    pub(crate) fn buffer(&self, slot: &Slot) -> MatRef<'a, T> {
        if let (Some(outside), Some((i, transposed))) = (&self.outside, slot.output)
            && let Some([matrix]) = outside.get(i, 1)
        {
            return if transposed { matrix.as_ref().transpose() } else { matrix.as_ref() };
        }
        MatRef::from_column_major_slice(
            self.numbers(slot.offset, slot.shape),
            slot.shape.rows,
            slot.shape.cols,
        )
    }

    #[inline(always)]
    pub(crate) fn base(&self, view: &View) -> MatRef<'a, T> {
        let machine = self.machine;
        let whole = match view.place {
            Place::Buffer(buffer) => self.buffer(&machine.plan.slots[buffer]),
            Place::Input(input) => machine.inputs[machine.bound[input]].1,
            Place::One => MatRef::from_ref(&machine.one),
        };
        let base = match view.window {
            Some([i, j]) => {
                let Shape { rows, cols } = view.stored();
                whole.submatrix(i, j, rows, cols)
            }
            None => whole,
        };
        if view.transposed { base.transpose() } else { base }
    }

    /// Whether a buffer is in the arena, and not with the caller.
    pub(crate) fn is_stored(&self, slot: &Slot) -> bool {
        self.outside.is_none() || slot.output.is_none()
    }

    /// The view as an operand of an elementwise pass.
    pub(crate) fn source(&self, view: &View) -> Source<'a, T> {
        if view.repeat == Repeat::All {
            return Source::Constant(self.base(view)[(0, 0)]);
        }
        if let (Place::Buffer(buffer), Repeat::No) = (view.place, view.repeat) {
            // A vector lies in memory in the same way as its transpose.
            let vector = view.shape.rows == 1 || view.shape.cols == 1;
            let slot = &self.machine.plan.slots[buffer];
            if (vector || !view.transposed)
                && self.is_stored(slot)
                && let Some(start) = view.start(slot.shape)
            {
                return Source::Flat(self.numbers(view.offset + start, view.shape));
            }
        }
        Source::Strided(self.view(view))
    }

    #[inline(always)]
    pub(crate) fn view(&self, view: &View) -> MatRef<'a, T> {
        let base = self.base(view);
        if view.repeat == Repeat::No { base } else { repeated(base, view) }
    }
}

/// The sizes of what is really there.
impl<T: Scalar> cost::Sizes for Sight<'_, '_, T> {
    fn view(&self, view: &View) -> Shape {
        let matrix = Sight::view(self, view);
        Shape::new(matrix.nrows(), matrix.ncols())
    }

    fn buffer(&self, buffer: Buffer) -> Shape {
        let matrix = Sight::buffer(self, &self.machine.plan.slots[buffer]);
        Shape::new(matrix.nrows(), matrix.ncols())
    }
}

/// What a view shows that repeats this matrix, if it repeats.
pub(crate) fn repeated<'a, T: Scalar>(base: MatRef<'a, T>, view: &View) -> MatRef<'a, T> {
    match view.repeat {
        Repeat::No => base,
        Repeat::Cols => MatRef::from_repeated_col(base.col(0), view.shape.cols),
        Repeat::Rows => MatRef::from_repeated_row(base.row(0), view.shape.rows),
        Repeat::All => MatRef::from_repeated_ref(base.get(0, 0), view.shape.rows, view.shape.cols),
    }
}

/// Where an instruction writes.
pub(crate) enum Destination<'a, T> {
    Arena(&'a mut [T], &'a Slot),
    Outside(MatMut<'a, T>),
}

impl<T: Scalar> Destination<'_, T> {
    /// The same, for a shorter time.
    pub(crate) fn again(&mut self) -> Destination<'_, T> {
        match self {
            Destination::Arena(numbers, slot) => Destination::Arena(numbers, slot),
            Destination::Outside(matrix) => Destination::Outside(matrix.rb_mut()),
        }
    }

    #[inline(always)]
    pub(crate) fn matrix(&mut self) -> MatMut<'_, T> {
        match self {
            Destination::Arena(numbers, slot) => {
                MatMut::from_column_major_slice_mut(numbers, slot.shape.rows, slot.shape.cols)
            }
            Destination::Outside(matrix) => matrix.rb_mut(),
        }
    }

    /// Writes `alpha a`, on several threads if that is allowed.
    pub(crate) fn copy(&mut self, a: MatRef<'_, T>, alpha: T, split: bool) {
        match self {
            Destination::Arena(numbers, _) if split => parallel::copy(numbers, a, alpha),
            _ => transpose::copy(self.matrix(), a, alpha),
        }
    }
}
