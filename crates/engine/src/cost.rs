//! What an instruction costs, by a model: floating-point operations, and bytes read and written.
//!
//! All that a listing says about a kernel in general stands in this file, in exhaustive matches: a new kernel does
//! not compile until it has a kind, a name, flops and traffic.

use crate::kernels::arrange::Triangle;
use crate::plan::{
    Around, Buffer, Factorization, Instruction, Kernel, Method, Place, Plan, Repeat, Slot, View,
};
use pullback_tape::Shape;
use smallvec::SmallVec;

/// Kinds of instructions, by what their flops are spent on.
///
/// The model of what a kernel costs, in additions, multiplications, divisions and calls of functions of one
/// number, fractions rounded down:
///
/// | kernel | flops |
/// |---|---|
/// | product of an m×k and a k×n, added or not | `2mkn` |
/// | triangle of an n×n product of an n×k and a k×n | `n(n + 1)k`; a third of that if a factor is the other triangle |
/// | elementwise pass over m×n | `mn` for each of its operations; a function counts as one, coefficients are free |
/// | sum of an elementwise pass over m×n, or of groups of its columns | `mn` more |
/// | copy of m×n | `mn` if there is a coefficient, else 0 |
/// | multiple of the n×n identity, or a diagonal, added | `n` |
/// | diagonal of n×n | `n` if there is a coefficient, else 0 |
/// | lower triangle copied to the upper one | 0 |
/// | inner product, norm of m×n | `2mn` |
/// | sum of m×n | `mn` |
/// | trace of n×n | `n` |
/// | log-sum-exp of the columns of m×n | `3mn`: subtract, exp, add |
/// | softmax of the columns of m×n | `4mn`: subtract, exp, add, divide |
/// | LU, Cholesky factorization of n×n | `2/3 n³`, `1/3 n³` |
/// | solve with factors of n×n, n×k on the right | `2n²k` |
/// | triangular solve with n×n, n×k on the right | `n²k` |
/// | inverse from LU, triangle of an inverse from Cholesky factors of n×n | `4/3 n³`, `2/3 n³` |
/// | determinant, log-determinant from factors of n×n | `n`, `2n` |
/// | eigenvalues and vectors of a symmetric n×n | `9n³` |
/// | singular values and vectors of m×n, m ≥ n | `6mn² + 20n³` |
/// | QR of m×n, LU and LDLᵀ of n×n with their factors | `4mn² − 4/3 n³`, `2/3 n³`, `1/3 n³` |
/// | solution of a matrix equation with coefficients of orders m and n | `25(m³ + n³) + 5mn(m + n)` |
/// | square root, sign of n×n | `28n³`, `29n³` |
/// | opaque function | 0: nobody knows |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// Matrix products.
    Product,
    /// Elementwise passes, softmax among them.
    Elementwise,
    /// Sums, inner products, norms, traces.
    Reduction,
    /// Factorizations.
    Factorization,
    /// Solves, inverses and determinants from factors.
    Solve,
    /// Copies and additions to a diagonal.
    Copy,
    /// Opaque functions, and operations of the user's own.
    Opaque,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 7] = [
        Kind::Product,
        Kind::Elementwise,
        Kind::Reduction,
        Kind::Factorization,
        Kind::Solve,
        Kind::Copy,
        Kind::Opaque,
    ];

    /// What many of this kind are called.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Product => "products",
            Kind::Elementwise => "elementwise",
            Kind::Reduction => "reductions",
            Kind::Factorization => "factorizations",
            Kind::Solve => "solves",
            Kind::Copy => "copies",
            Kind::Opaque => "functions",
        }
    }
}

/// How large the matrices are: as planned, or as found.
pub(crate) trait Sizes {
    fn view(&self, view: &View) -> Shape;
    fn buffer(&self, buffer: Buffer) -> Shape;
}

impl Sizes for [Slot] {
    fn view(&self, view: &View) -> Shape {
        view.shape
    }

    fn buffer(&self, buffer: Buffer) -> Shape {
        self[buffer].shape
    }
}

/// A product that does not overflow.
fn times<const N: usize>(factors: [usize; N]) -> u64 {
    factors.into_iter().fold(1, |product: u64, factor| product.saturating_mul(factor as u64))
}

fn entries(shape: Shape) -> u64 {
    times([shape.rows, shape.cols])
}

/// Entries in the lower triangle of a square matrix, the diagonal included.
fn triangle(shape: Shape) -> u64 {
    times([shape.rows, shape.rows + 1]) / 2
}

pub(crate) fn kind(kernel: &Kernel) -> Kind {
    match kernel {
        Kernel::MatMul { .. } | Kernel::SymmetricProduct { .. } | Kernel::TriangularProduct { .. } => {
            Kind::Product
        }
        Kernel::Elementwise(_) | Kernel::PutBackOf { .. } | Kernel::Softmax { .. } => Kind::Elementwise,
        Kernel::Inner { .. }
        | Kernel::SumOf { .. }
        | Kernel::Sum { .. }
        | Kernel::CumulativeSums { .. }
        | Kernel::Trace { .. }
        | Kernel::Norm { .. }
        | Kernel::LogSumExp { .. } => Kind::Reduction,
        Kernel::Factorize { .. } => Kind::Factorization,
        Kernel::Solve { .. }
        | Kernel::TriangularSolve { .. }
        | Kernel::Inverse { .. }
        | Kernel::DefiniteInverse { .. }
        | Kernel::Det { .. }
        | Kernel::Adjugate { .. }
        | Kernel::LogDet { .. } => Kind::Solve,
        Kernel::Copy { .. }
        | Kernel::AddIdentity { .. }
        | Kernel::Diagonal { .. }
        | Kernel::Part { .. }
        | Kernel::Select { .. }
        | Kernel::PutBack { .. }
        | Kernel::Stack { .. }
        | Kernel::Triangle { .. }
        | Kernel::Reshape { .. }
        | Kernel::Mirror { update: None } => Kind::Copy,
        Kernel::Mirror { update: Some(_) } => Kind::Product,
        Kernel::Routine { routine, .. } => routine.kind(),
        Kernel::Opaque { .. } | Kernel::Custom { .. } => Kind::Opaque,
    }
}

pub(crate) fn name(kernel: &Kernel) -> &'static str {
    match kernel {
        Kernel::MatMul { accumulate: false, .. } => "product",
        Kernel::MatMul { accumulate: true, .. } => "product, added",
        Kernel::SymmetricProduct { accumulate: false, .. } => "symmetric product",
        Kernel::SymmetricProduct { accumulate: true, .. } => "symmetric, added",
        Kernel::TriangularProduct { .. } => "triangle of product",
        Kernel::Elementwise(_) => "pass",
        Kernel::Diagonal { .. } => "diagonal",
        Kernel::Select { accumulate: false, .. } => "selection",
        Kernel::Select { accumulate: true, .. } => "selection, added",
        Kernel::PutBack { around: Around::Added, .. } => "part, added",
        Kernel::PutBack { .. } => "put back",
        Kernel::Stack { .. } => "stack",
        Kernel::Triangle { .. } => "triangle",
        Kernel::CumulativeSums { .. } => "cumulative sums",
        Kernel::Reshape { .. } => "reshape",
        Kernel::Mirror { update: None } => "mirror",
        Kernel::Mirror { update: Some(_) } => "mirror, added",
        Kernel::Copy { .. } => "copy",
        Kernel::AddIdentity { .. } => "identity, added",
        Kernel::Inner { .. } => "inner product",
        Kernel::Sum { .. } => "sum",
        Kernel::SumOf { .. } => "sum of a pass",
        Kernel::PutBackOf { .. } => "columns of a pass",
        Kernel::Trace { .. } => "trace",
        Kernel::Norm { .. } => "norm",
        Kernel::LogSumExp { .. } => "log-sum-exp",
        Kernel::Softmax { .. } => "softmax",
        Kernel::Factorize { .. } => "factorization",
        Kernel::Solve { .. } => "solve",
        Kernel::TriangularSolve { .. } => "triangular solve",
        Kernel::Inverse { .. } | Kernel::DefiniteInverse { accumulate: false, .. } => "inverse",
        Kernel::DefiniteInverse { accumulate: true, .. } => "inverse, added",
        Kernel::Det { .. } => "determinant",
        Kernel::Adjugate { .. } => "adjugate",
        Kernel::LogDet { .. } => "log-determinant",
        Kernel::Routine { routine, .. } => routine.name(),
        Kernel::Part { .. } => "part",
        Kernel::Opaque { .. } => "function",
        Kernel::Custom { .. } => "operation",
    }
}

/// Floating-point operations, by the model of [`Kind`].
pub(crate) fn flops<S: Sizes + ?Sized>(
    kernel: &Kernel,
    dst: Buffer,
    sizes: &S,
    factorizations: &[Factorization],
) -> u64 {
    let result = || sizes.buffer(dst);
    let all = |view: &View| entries(sizes.view(view));
    match kernel {
        Kernel::MatMul { lhs, rhs, .. } => {
            let (a, b) = (sizes.view(lhs), sizes.view(rhs));
            times([2, a.rows, a.cols, b.cols])
        }
        Kernel::SymmetricProduct { lhs, .. } => {
            let a = sizes.view(lhs);
            times([a.rows, a.rows + 1, a.cols])
        }
        Kernel::TriangularProduct { lhs, parts, .. } => {
            let a = sizes.view(lhs);
            let all = times([a.rows, a.rows + 1, a.cols]);
            let is_other = |part: Option<Triangle>| part.is_some_and(|part| part.upper != parts.dst.upper);
            if parts.factors.into_iter().any(is_other) { all / 3 } else { all }
        }
        Kernel::Diagonal { alpha, .. } => {
            if *alpha == 1.0 {
                0
            } else {
                result().rows as u64
            }
        }
        Kernel::Select { a, back, alpha, accumulate, .. } => {
            let moved = if *back { all(a) } else { entries(result()) };
            let operations = u64::from(*alpha != 1.0) + u64::from(*accumulate || *back);
            moved.saturating_mul(operations)
        }
        Kernel::PutBack { a, alpha, around, .. } => {
            let operations = u64::from(*alpha != 1.0) + u64::from(*around == Around::Added);
            all(a).saturating_mul(operations)
        }
        Kernel::Stack { parts, .. } => {
            let scaled = parts.iter().filter(|(_, alpha)| *alpha != 1.0);
            scaled.map(|(part, _)| all(part)).fold(0, u64::saturating_add)
        }
        Kernel::Triangle { a, alpha, .. } | Kernel::Reshape { a, alpha } => {
            if *alpha == 1.0 || a.is_ones() {
                0
            } else {
                all(a)
            }
        }
        Kernel::CumulativeSums { a, .. } => all(a),
        Kernel::Mirror { update: None } => 0,
        Kernel::Mirror { update: Some(_) } => {
            let n = result().rows;
            times([n, n + 1])
        }
        Kernel::Elementwise(pass) => entries(result()).saturating_mul(pass.steps.len() as u64),
        Kernel::SumOf { pass, shape, .. } | Kernel::PutBackOf { pass, shape, .. } => {
            entries(*shape).saturating_mul(pass.steps.len() as u64 + 1)
        }
        Kernel::Copy { a, alpha } => {
            if *alpha == 1.0 || a.is_ones() {
                0
            } else {
                all(a)
            }
        }
        Kernel::AddIdentity { .. } => result().rows as u64,
        Kernel::Inner { a, .. } | Kernel::Norm { a, .. } => all(a).saturating_mul(2),
        Kernel::Sum { a, .. } => all(a),
        Kernel::Trace { a, .. } => sizes.view(a).rows as u64,
        Kernel::LogSumExp { a } => all(a).saturating_mul(3),
        Kernel::Softmax { a } => all(a).saturating_mul(4),
        Kernel::Factorize { a, which, .. } => {
            let n = sizes.view(a).rows;
            match factorizations[*which].method {
                Method::Lu => times([2, n, n, n]) / 3,
                Method::Cholesky => times([n, n, n]) / 3,
            }
        }
        Kernel::DefiniteInverse { factors, .. } => {
            let n = sizes.buffer(*factors).rows;
            times([2, n, n, n]) / 3
        }
        Kernel::Solve { factors, turned, .. } => {
            let n = sizes.buffer(*factors).rows;
            times([2, n, n, if *turned { result().rows } else { result().cols }])
        }
        Kernel::TriangularSolve { turned, .. } => {
            let Shape { rows, cols } = if *turned { result().transposed() } else { result() };
            times([rows, rows, cols])
        }
        // What is more, if a pivot vanishes, is not foreseen.
        Kernel::Inverse { factors, .. } | Kernel::Adjugate { factors, .. } => {
            let n = sizes.buffer(*factors).rows;
            times([4, n, n, n]) / 3
        }
        Kernel::Det { factors, .. } => sizes.buffer(*factors).rows as u64,
        Kernel::LogDet { factors, .. } => times([2, sizes.buffer(*factors).rows]),
        Kernel::Routine { routine, args } => {
            let shapes: SmallVec<[Shape; 4]> = args.iter().map(|view| sizes.view(view)).collect();
            routine.flops(&shapes)
        }
        Kernel::Part { .. } | Kernel::Opaque { .. } | Kernel::Custom { .. } => 0,
    }
}

/// Numbers read and written: every matrix that goes in once, and every one that comes out once. What a kernel
/// reads again is in a cache if it is written well.
pub(crate) fn traffic(instruction: &Instruction, slots: &[Slot]) -> (u64, u64) {
    let result = slots.buffer(instruction.dst);
    let of = |buffer: Buffer| entries(slots.buffer(buffer));
    let operands: u64 = instruction.operands().iter().map(stored).fold(0, u64::saturating_add);
    let (more, written) = match &instruction.kernel {
        Kernel::MatMul { accumulate: true, .. }
        | Kernel::Select { accumulate: true, .. }
        | Kernel::PutBackOf { accumulate: true, .. } => (entries(result), entries(result)),
        // Of a triangle, with its diagonal.
        Kernel::SymmetricProduct { accumulate: true, .. } => (triangle(result), triangle(result)),
        Kernel::SymmetricProduct { accumulate: false, .. } => (0, triangle(result)),
        Kernel::Mirror { update: None } => {
            (triangle(result), entries(result).saturating_sub(triangle(result)))
        }
        Kernel::Mirror { update: Some(_) } => (triangle(result), entries(result)),
        Kernel::PutBack { a, around: Around::Added, .. } => (entries(a.shape), entries(a.shape)),
        Kernel::MatMul { accumulate: false, .. }
        | Kernel::PutBack { around: Around::Zeros, .. }
        | Kernel::Stack { .. }
        | Kernel::PutBackOf { accumulate: false, .. }
        | Kernel::TriangularProduct { .. }
        | Kernel::Select { accumulate: false, .. }
        | Kernel::Triangle { .. }
        | Kernel::CumulativeSums { .. }
        | Kernel::Reshape { .. }
        | Kernel::Diagonal { .. }
        | Kernel::Routine { .. }
        | Kernel::Part { .. }
        | Kernel::Elementwise(_)
        | Kernel::SumOf { .. }
        | Kernel::Copy { .. }
        | Kernel::Inner { .. }
        | Kernel::Sum { .. }
        | Kernel::Trace { .. }
        | Kernel::Norm { .. }
        | Kernel::LogSumExp { .. }
        | Kernel::Softmax { .. }
        | Kernel::Factorize { .. }
        | Kernel::Opaque { .. }
        | Kernel::Custom { .. } => (0, entries(result)),
        Kernel::AddIdentity { .. } => (result.rows as u64, result.rows as u64),
        Kernel::Solve { factors, .. } => (of(*factors).saturating_add(entries(result)), entries(result)),
        // Half of the matrix is an operand too many.
        Kernel::TriangularSolve { .. } => (entries(result), entries(result)),
        Kernel::Inverse { factors, .. } | Kernel::Adjugate { factors, .. } => (of(*factors), entries(result)),
        Kernel::DefiniteInverse { accumulate, .. } => {
            let before = if *accumulate { 2 } else { 1 };
            (triangle(result).saturating_mul(before), triangle(result))
        }
        Kernel::Det { factors, .. } | Kernel::LogDet { factors, .. } => {
            (slots.buffer(*factors).rows as u64, 1)
        }
    };
    (operands.saturating_add(more), written)
}

/// The numbers behind a view.
fn stored(view: &View) -> u64 {
    match (view.place, view.repeat) {
        (Place::One, _) => 0,
        (_, Repeat::No) => entries(view.shape),
        (_, Repeat::Cols) => view.shape.rows as u64,
        (_, Repeat::Rows) => view.shape.cols as u64,
        (_, Repeat::All) => 1,
    }
}

impl Plan {
    /// The flops of the instructions of some kinds.
    pub(crate) fn flops(&self, counts: impl Fn(Kind) -> bool) -> u64 {
        let code =
            self.code.iter().skip(self.constants).filter(|instruction| counts(kind(&instruction.kernel)));
        let flops = code.map(|instruction| {
            flops(&instruction.kernel, instruction.dst, &self.slots[..], &self.factorizations)
        });
        flops.fold(0, u64::saturating_add)
    }

    /// Numbers in the values of all nodes that are not inputs or constants.
    pub(crate) fn all_values(&self) -> usize {
        let values = self.graph.nodes().iter().filter(|node| node.op.arity() > 0);
        values.filter_map(|node| node.shape.len()).fold(0, usize::saturating_add)
    }
}
