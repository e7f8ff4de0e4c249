//! What a compiled program consists of: instructions on buffers, views of them, and where each buffer lives.

use crate::brief::Stretches;
use crate::kernels::arrange::Triangle;
use crate::kernels::triangular::Parts;
use crate::routine::Routine;
use pullback_tape::{Binary, Function, Graph, Indices, NodeId, Shape};
use smallvec::SmallVec;
use std::ops::Range;

/// A buffer of the plan; buffers whose lifetimes do not meet share memory.
pub(crate) type Buffer = usize;

/// Where the entries of a view are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Place {
    /// The input with this position among the program's inputs.
    Input(usize),
    Buffer(Buffer),
    /// The 1×1 constant 1.
    One,
}

/// How a view repeats what it shows, without storing it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Repeat {
    No,
    /// One column, `shape.cols` times.
    Cols,
    /// One row, `shape.rows` times.
    Rows,
    /// One number.
    All,
}

/// A matrix as an instruction reads it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct View {
    pub(crate) place: Place,
    /// The row and the column in which a part begins of what is stored, if it is not the whole.
    pub(crate) window: Option<[usize; 2]>,
    pub(crate) transposed: bool,
    pub(crate) repeat: Repeat,
    /// The shape seen.
    pub(crate) shape: Shape,
    /// A copy of the buffer's offset in the arena, once that is known.
    pub(crate) offset: usize,
}

impl View {
    pub(crate) fn whole(place: Place, shape: Shape) -> View {
        View { place, window: None, transposed: false, repeat: Repeat::No, shape, offset: 0 }
    }

    /// A matrix of ones.
    pub(crate) fn ones(shape: Shape) -> View {
        View { repeat: Repeat::All, ..View::whole(Place::One, shape) }
    }

    pub(crate) fn transpose(self) -> View {
        let repeat = match self.repeat {
            Repeat::Cols => Repeat::Rows,
            Repeat::Rows => Repeat::Cols,
            other => other,
        };
        View { transposed: !self.transposed, repeat, shape: self.shape.transposed(), ..self }
    }

    /// The view repeated to `shape`, of which it has one extent and is 1 in the other.
    pub(crate) fn repeated(self, shape: Shape) -> View {
        let repeat = match (self.repeat, shape == self.shape) {
            (repeat, true) => repeat,
            (Repeat::No, _) if self.shape.is_scalar() => Repeat::All,
            (Repeat::No, _) if self.shape.cols == 1 && self.shape.rows == shape.rows => Repeat::Cols,
            (Repeat::No, _) => Repeat::Rows,
            _ => Repeat::All,
        };
        View { repeat, shape, ..self }
    }

    /// The part of this shape that begins in row i and column j of what is seen.
    pub(crate) fn part(self, [i, j]: [usize; 2], shape: Shape) -> View {
        let repeat = match self.repeat {
            Repeat::Cols if shape.cols == 1 => Repeat::No,
            Repeat::Rows if shape.rows == 1 => Repeat::No,
            Repeat::All if shape.is_scalar() && !self.is_ones() => Repeat::No,
            repeat => repeat,
        };
        let part = View { repeat, shape, ..self };
        if part.stored() == self.stored() {
            return part;
        }
        // What is repeated is the same wherever it is looked at.
        let (i, j) = match self.repeat {
            Repeat::No => (i, j),
            Repeat::Cols => (i, 0),
            Repeat::Rows => (0, j),
            Repeat::All => (0, 0),
        };
        let [row, col] = self.window.unwrap_or_default();
        let start = if self.transposed { [row + j, col + i] } else { [row + i, col + j] };
        View { window: Some(start), ..part }
    }

    /// The shape of what is stored of it: before it is transposed and repeated.
    pub(crate) fn stored(&self) -> Shape {
        let once = match self.repeat {
            Repeat::No => self.shape,
            Repeat::Cols => Shape::new(self.shape.rows, 1),
            Repeat::Rows => Shape::new(1, self.shape.cols),
            Repeat::All => Shape::SCALAR,
        };
        if self.transposed { once.transposed() } else { once }
    }

    /// Where it begins among the entries of the whole, which has this shape, if those that it shows of them are neighbours.
    pub(crate) fn start(&self, whole: Shape) -> Option<usize> {
        let Some([i, j]) = self.window else { return Some(0) };
        let part = self.stored();
        (part.rows == whole.rows || part.cols == 1).then_some(i + j * whole.rows)
    }

    /// Whether it shows what is stored, in the order in which it is stored.
    pub(crate) fn is_whole(&self) -> bool {
        self.window.is_none() && !self.transposed && self.repeat == Repeat::No
    }

    pub(crate) fn buffer(&self) -> Option<Buffer> {
        match self.place {
            Place::Buffer(buffer) => Some(buffer),
            Place::Input(_) | Place::One => None,
        }
    }

    pub(crate) fn is_ones(&self) -> bool {
        self.place == Place::One
    }
}

/// An argument of a step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Arg {
    Operand(usize),
    Step(usize),
}

/// One step of an elementwise pass, on a block of entries.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Step {
    /// `c a`
    Scale(f64, Arg),
    /// `c a + d b`
    Add(f64, Arg, f64, Arg),
    /// `c a b`
    Mul(f64, Arg, Arg),
    /// `c a / b`
    Div(f64, Arg, Arg),
    Map(Function, Arg),
    Zip(Binary, Arg, Arg),
}

/// A chain of elementwise operations in one pass. The last step is the result.
#[derive(Clone, Default, Debug)]
pub(crate) struct Elementwise {
    pub(crate) operands: Vec<View>,
    /// Of every operand, the columns that the pass reads, in this order, if it does not read the operand as it is.
    pub(crate) picks: Vec<Option<Indices>>,
    /// With the node that each belongs to; none if it belongs to the sum of all entries.
    pub(crate) steps: Vec<(Step, Option<NodeId>)>,
}

/// What becomes of a matrix when something is put into a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Around {
    /// The rest becomes 0.
    Zeros,
    /// It is added to what the part held, and the rest is left alone.
    Added,
}

#[derive(Clone, Debug)]
pub(crate) enum Kernel {
    /// `dst = alpha lhs rhs`, or `dst += alpha lhs rhs`.
    MatMul {
        lhs: View,
        rhs: View,
        alpha: f64,
        accumulate: bool,
    },
    /// `dst = alpha a`.
    Copy {
        a: View,
        alpha: f64,
    },
    Elementwise(Box<Elementwise>),
    /// `dst = alpha Σ x` over the entries of a pass of this shape, which are not kept.
    SumOf {
        pass: Box<Elementwise>,
        shape: Shape,
        alpha: f64,
    },
    /// `dst = alpha X S`, or `dst += alpha X S`, with the X of a pass of this shape, which is not kept, and the rows of the
    /// identity matrix that a list holds.
    PutBackOf {
        pass: Box<Elementwise>,
        shape: Shape,
        rows: Indices,
        alpha: f64,
        accumulate: bool,
    },
    /// `dst += alpha factor I`, with a 1×1 factor if there is one, or `dst += alpha Diag(factor)`.
    AddIdentity {
        alpha: f64,
        factor: Option<View>,
    },
    Inner {
        a: View,
        b: View,
        alpha: f64,
    },
    Sum {
        a: View,
        alpha: f64,
    },
    Trace {
        a: View,
        alpha: f64,
    },
    /// `dst = alpha S a`, or `dst += alpha S a`, with the rows of the identity matrix that a list holds, or their
    /// transpose. With `columns`, on the columns of `a`.
    Select {
        a: View,
        rows: Indices,
        back: bool,
        columns: bool,
        alpha: f64,
        accumulate: bool,
    },
    /// `alpha a` in a part of `dst` that begins in this row and this column.
    PutBack {
        a: View,
        at: [usize; 2],
        alpha: f64,
        around: Around,
    },
    /// The matrices with their coefficients under each other, or beside each other.
    Stack {
        parts: Vec<(View, f64)>,
        under: bool,
    },
    /// `dst = alpha a` in a triangle, 0 elsewhere.
    Triangle {
        a: View,
        part: Triangle,
        alpha: f64,
    },
    /// `dst = alpha T a` with a triangle of ones. With `columns`, on the columns of `a`.
    CumulativeSums {
        a: View,
        part: Triangle,
        columns: bool,
        alpha: f64,
    },
    /// `dst = alpha a`, entry by entry, in another shape.
    Reshape {
        a: View,
        alpha: f64,
    },
    /// `dst = alpha diag(a)`.
    Diagonal {
        a: View,
        alpha: f64,
    },
    Norm {
        a: View,
        alpha: f64,
    },
    LogSumExp {
        a: View,
    },
    Softmax {
        a: View,
    },
    /// The lower triangle of `dst = alpha lhs rhs`, or of `dst += alpha lhs rhs`.
    SymmetricProduct {
        lhs: View,
        rhs: View,
        alpha: f64,
        accumulate: bool,
    },
    /// A triangle of `dst = alpha lhs rhs`, of factors that may be triangles themselves. What is outside of it is 0, or, if
    /// that is wanted of a lower triangle, its mirror image.
    TriangularProduct {
        lhs: View,
        rhs: View,
        parts: Parts,
        mirrored: bool,
        alpha: f64,
    },
    /// `dst` becomes the packed factors of `alpha a`; what else belongs to them goes to the position `which` among the
    /// plan's factorizations.
    Factorize {
        a: View,
        alpha: f64,
        which: usize,
        /// Whether `dst` is Cholesky's factor L itself, with zeros above the diagonal.
        lower: bool,
    },
    /// `dst = A⁻¹ dst`, or `A⁻ᵀ dst`; of `dstᵀ` if that is turned.
    Solve {
        factors: Buffer,
        which: usize,
        transposed: bool,
        turned: bool,
    },
    /// `dst = T⁻¹ dst` with a triangle T of `a`; of `dstᵀ` if that is turned.
    TriangularSolve {
        a: View,
        upper: bool,
        unit: bool,
        turned: bool,
    },
    Inverse {
        factors: Buffer,
        which: usize,
    },
    /// The lower triangle of `dst = alpha A⁻¹`, or of `dst += alpha A⁻¹`, from Cholesky factors.
    DefiniteInverse {
        factors: Buffer,
        which: usize,
        alpha: f64,
        accumulate: bool,
    },
    /// The upper triangle of `dst` becomes the mirror image of the lower one; if there is an update `(alpha, u)`, after
    /// `alpha u uᵀ` was added to both.
    Mirror {
        update: Option<(f64, View)>,
    },
    Det {
        factors: Buffer,
        which: usize,
    },
    /// `dst = adj(alpha a)`, of which the factors are given: a is read where it is singular.
    Adjugate {
        a: View,
        alpha: f64,
        factors: Buffer,
        which: usize,
    },
    LogDet {
        factors: Buffer,
        which: usize,
    },
    /// The result of an algorithm on whole matrices.
    Routine {
        routine: Routine,
        args: SmallVec<[View; 2]>,
    },
    /// Some of the numbers of a column, from one position on, in the shape of `dst`.
    Part {
        a: View,
        start: usize,
    },
    /// The derivative of the given order of the function with this position among the program's functions.
    Opaque {
        function: usize,
        order: u32,
        args: SmallVec<[View; 2]>,
    },
    /// The user's operation that the instruction's node is.
    Custom {
        args: SmallVec<[View; 2]>,
    },
}

/// How a matrix is factorized.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Method {
    /// `P A = L U` with partial pivoting.
    Lu,
    /// `A = L Lᵀ` of a positive definite matrix.
    Cholesky,
}

/// The factorization of a matrix of order n.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factorization {
    pub(crate) method: Method,
    pub(crate) n: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub(crate) kernel: Kernel,
    pub(crate) dst: Buffer,
    /// What it computes, for messages.
    pub(crate) node: NodeId,
    /// Whether an earlier instruction computed the same, to be forgotten in between.
    pub(crate) again: bool,
}

impl Slot {
    pub(crate) fn len(&self) -> usize {
        self.shape.rows * self.shape.cols
    }
}

impl Instruction {
    /// Every view that is read.
    pub(crate) fn operands(&self) -> SmallVec<[View; 4]> {
        let mut operands = SmallVec::new();
        self.clone().views(|view| operands.push(*view));
        operands
    }

    /// The factorization that is read: its buffer, and its position among the plan's.
    pub(crate) fn factors(&mut self) -> Option<(&mut Buffer, &mut usize)> {
        match &mut self.kernel {
            Kernel::Solve { factors, which, .. }
            | Kernel::Inverse { factors, which }
            | Kernel::DefiniteInverse { factors, which, .. }
            | Kernel::Det { factors, which }
            | Kernel::Adjugate { factors, which, .. }
            | Kernel::LogDet { factors, which } => Some((factors, which)),
            _ => None,
        }
    }

    /// Calls `visit` with every view that is read.
    pub(crate) fn views(&mut self, visit: impl FnMut(&mut View)) {
        match &mut self.kernel {
            Kernel::MatMul { lhs: a, rhs: b, .. }
            | Kernel::SymmetricProduct { lhs: a, rhs: b, .. }
            | Kernel::TriangularProduct { lhs: a, rhs: b, .. }
            | Kernel::Inner { a, b, .. } => [a, b].into_iter().for_each(visit),
            Kernel::Elementwise(pass) | Kernel::SumOf { pass, .. } | Kernel::PutBackOf { pass, .. } => {
                pass.operands.iter_mut().for_each(visit);
            }
            Kernel::Stack { parts, .. } => parts.iter_mut().map(|(part, _)| part).for_each(visit),
            Kernel::AddIdentity { factor, .. } => factor.iter_mut().for_each(visit),
            Kernel::Mirror { update } => update.iter_mut().map(|(_, u)| u).for_each(visit),
            Kernel::Opaque { args, .. } | Kernel::Routine { args, .. } | Kernel::Custom { args } => {
                args.iter_mut().for_each(visit);
            }
            Kernel::Copy { a, .. }
            | Kernel::Sum { a, .. }
            | Kernel::Trace { a, .. }
            | Kernel::Diagonal { a, .. }
            | Kernel::Part { a, .. }
            | Kernel::Select { a, .. }
            | Kernel::PutBack { a, .. }
            | Kernel::Triangle { a, .. }
            | Kernel::CumulativeSums { a, .. }
            | Kernel::Reshape { a, .. }
            | Kernel::Norm { a, .. }
            | Kernel::LogSumExp { a }
            | Kernel::Softmax { a }
            | Kernel::TriangularSolve { a, .. }
            | Kernel::Adjugate { a, .. }
            | Kernel::Factorize { a, .. } => [a].into_iter().for_each(visit),
            Kernel::Solve { .. }
            | Kernel::Inverse { .. }
            | Kernel::DefiniteInverse { .. }
            | Kernel::Det { .. }
            | Kernel::LogDet { .. } => {}
        }
    }

    /// Calls `read` with every buffer that is read, `dst` not among them.
    pub(crate) fn reads(&mut self, mut read: impl FnMut(Buffer)) {
        if let Some((factors, _)) = self.factors() {
            read(*factors);
        }
        self.views(|view| {
            if let Some(buffer) = view.buffer() {
                read(buffer);
            }
        });
    }
}

/// A buffer's shape and where its entries live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) shape: Shape,
    /// Its first entry in the arena.
    pub(crate) offset: usize,
    /// The output that this buffer alone holds, and whether transposed: it may be written into the caller's
    /// matrix instead.
    pub(crate) output: Option<(usize, bool)>,
}

/// An input of the program.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// Whether it was declared symmetric.
    pub(crate) symmetric: bool,
    /// Whether it was declared constant.
    pub(crate) constant: bool,
    pub(crate) node: NodeId,
}

/// Instructions that run side by side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Group {
    pub(crate) members: Range<usize>,
    /// Whether each of them is divided too, if it is large.
    pub(crate) divided: bool,
}

/// A compiled program without its memory.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) code: Vec<Instruction>,
    /// So many instructions depend on constants alone, and come first: they run when the constants are bound.
    pub(crate) constants: usize,
    /// What is divided among threads. Empty if the program is to run on one.
    pub(crate) groups: Vec<Group>,
    pub(crate) slots: Vec<Slot>,
    /// The brief instructions among those of a run.
    pub(crate) stretches: Stretches,
    /// The size of the arena in which all buffers live, in numbers.
    pub(crate) arena: usize,
    pub(crate) inputs: Vec<Input>,
    /// All names that the tape knows, sorted.
    pub(crate) declared: Vec<String>,
    pub(crate) functions: Vec<String>,
    pub(crate) outputs: Vec<View>,
    pub(crate) factorizations: Vec<Factorization>,
    /// What is computed, for messages.
    pub(crate) graph: Graph,
}

impl Plan {
    /// So many numbers are in memory: those of the arena, and the copies of inputs behind it.
    pub(crate) fn numbers(&self) -> usize {
        self.arena.saturating_add(self.stretches.copies)
    }
}
