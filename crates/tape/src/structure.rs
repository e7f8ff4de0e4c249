//! What is known of a matrix from how it is written.

use crate::factor::Spectral;
use crate::graph::{Graph, NodeId};
use crate::op::{Binary, Function};
use crate::{MatrixFunction, Op, Shape};
use smallvec::SmallVec;

/// Whether a square matrix is known to be symmetric, and definite.
///
/// It is declared for an input, or follows from how an expression is written: `X Xᵀ` is semidefinite, and
/// `X Xᵀ + σ I` with a positive σ is definite. A 1×1 is semidefinite if it is not negative, and definite if it is positive.
/// Nothing is concluded from numbers. In order: what is further down implies what stands above.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Structure {
    /// Nothing is known.
    #[default]
    General,
    /// `Aᵀ = A`.
    Symmetric,
    /// Symmetric, and `xᵀ A x ≥ 0` for every x.
    Semidefinite,
    /// Symmetric, and `xᵀ A x > 0` for every x but 0.
    Definite,
}

/// What is said about an input besides its name and shape.
///
/// ```
/// use pullback_tape::{Declaration, Structure, Tape};
/// let tape = Tape::new();
/// let k = tape.declare("K", (5, 5), Declaration::new().structure(Structure::Definite).constant());
/// assert!(k.t().same(k));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Declaration {
    pub(crate) structure: Structure,
    pub(crate) constant: bool,
}

impl Declaration {
    /// Nothing is said.
    pub fn new() -> Self {
        Declaration::default()
    }

    /// What is known of a square matrix.
    pub fn structure(mut self, structure: Structure) -> Self {
        self.structure = structure;
        self
    }

    /// The input is data that stays the same from run to run.
    pub fn constant(mut self) -> Self {
        self.constant = true;
        self
    }
}

impl Structure {
    fn symmetric(self) -> bool {
        self >= Structure::Symmetric
    }

    /// What is left of it when nothing is known of signs any more.
    fn unsigned(self) -> Structure {
        self.min(Structure::Symmetric)
    }
}

/// Longer chains are not searched for symmetry.
const LONGEST_CHAIN: usize = 24;

/// What is known of `op` applied to `args`.
pub(crate) fn of(graph: &Graph, op: Op, args: &[NodeId], shape: Shape) -> Structure {
    use Structure::{Definite, General, Semidefinite, Symmetric};
    if !shape.is_square() {
        return General;
    }
    let at = |i: usize| args.get(i).map_or(General, |&arg| graph.node(arg).structure);
    let (a, b) = (at(0), at(1));
    let known = match op {
        Op::Identity => Definite,
        Op::Zeros | Op::Ones => Semidefinite,
        Op::Scalar(c) if c.value() > 0.0 => Definite,
        Op::Scalar(c) if c.value() == 0.0 => Semidefinite,
        Op::Add if a >= Semidefinite && b >= Semidefinite => a.max(b),
        Op::Add if args.len() == 2 && mirrors(graph, args[0], args[1]) => Symmetric,
        Op::Add if args.len() == 2 && completes(graph, args[0], args[1]) => Symmetric,
        Op::Add | Op::Quotient => a.min(b).unsigned(),
        Op::Scale(c) if c.value() > 0.0 => a,
        Op::Scale(_) | Op::Transpose => a.unsigned(),
        Op::ScaleBy if a >= Semidefinite => a.min(b).max(b.unsigned()),
        Op::ScaleBy => b.unsigned(),
        // Schur: the entrywise product of semidefinite matrices is semidefinite (Horn & Johnson, §7.5).
        Op::Hadamard if a >= Semidefinite => a.min(b).max(b.unsigned()),
        Op::Hadamard => a.min(b).unsigned(),
        Op::MatMul | Op::Solve | Op::TriangularSolve { .. } => palindrome(graph, op, args),
        Op::SymmetricFunction { order: 0, .. } => args.get(1).map_or(Symmetric, |&f| sign(graph, f)),
        Op::SymmetricFunction { columns, .. } => {
            let directions = args.iter().skip(1 + columns as usize);
            directions.map(|&id| graph.node(id).structure).fold(Symmetric, Structure::min)
        }
        Op::StopGradient => a,
        Op::Custom(custom) => graph.custom_structure(custom, args),
        // Skew over skew.
        Op::Spectral(Spectral::Diag | Spectral::SkewGaps) => Symmetric,
        Op::Inverse if a >= Semidefinite => Definite,
        // The cofactors of what is semidefinite are those of limits of definite matrices.
        Op::Inverse | Op::Adjugate => a,
        Op::Diag => Symmetric,
        // With X, Xᵀ is a solution.
        Op::Sylvester | Op::Stein => match *args {
            [a, b, c] if opposite(graph, a, b) => graph.node(c).structure.unsigned(),
            _ => General,
        },
        // Where it is defined, the eigenvalues are positive.
        Op::SquareRoot if a >= Symmetric => Definite,
        Op::MatrixSign if a == Definite => Definite,
        Op::MatrixSign => a.unsigned(),
        Op::MatrixFunction { function: MatrixFunction::Exp, order: 0 } if a.symmetric() => Definite,
        Op::MatrixFunction { .. } if (0..args.len()).all(|i| at(i).symmetric()) => Symmetric,
        Op::Cholesky if shape.is_scalar() => Definite,
        Op::Norm => Semidefinite,
        Op::Trace if a >= Semidefinite => Semidefinite,
        Op::Inner if args.len() == 2 && args[0] == args[1] => Semidefinite,
        Op::Det if a == Definite => Definite,
        Op::Map(f) if shape.is_scalar() => match f {
            Function::Exp | Function::Softplus | Function::Sigmoid | Function::Cosh | Function::Erfc => {
                Definite
            }
            Function::Acos | Function::Acosh => Semidefinite,
            Function::Square | Function::Sqrt | Function::Abs | Function::Relu | Function::Step => {
                a.max(Semidefinite)
            }
            // What has the sign of its argument.
            Function::Recip | Function::PseudoRecip | Function::ExpM1 | Function::Cbrt | Function::Sinh => a,
            Function::Atan | Function::Asinh | Function::Erf => a,
            _ => Symmetric,
        },
        Op::Map(_) => a.unsigned(),
        Op::Zip(f) if shape.is_scalar() => match f {
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
            Binary::Hypot | Binary::Less => Semidefinite,
            Binary::Keep => a.min(Semidefinite),
            Binary::Atan2 => Symmetric,
        },
        Op::Zip(_) => a.min(b).unsigned(),
        _ => General,
    };
    if shape.is_scalar() { known.max(Symmetric) } else { known }
}

/// Whether one is the transpose of the other, or both are the same symmetric matrix.
fn opposite(graph: &Graph, a: NodeId, b: NodeId) -> bool {
    mirrors(graph, a, b) || a == b && graph.node(a).structure.symmetric()
}

/// What is known of a symmetric matrix whose eigenvalues are these values of a function.
fn sign(graph: &Graph, values: NodeId) -> Structure {
    let node = graph.node(values);
    match node.op {
        Op::Map(Function::Exp | Function::Softplus | Function::Sigmoid | Function::Cosh) => {
            Structure::Definite
        }
        Op::Map(Function::Square | Function::Sqrt | Function::Abs | Function::Relu) => {
            Structure::Semidefinite
        }
        _ => Structure::Symmetric,
    }
}

/// Whether one is the transpose of the other.
fn mirrors(graph: &Graph, a: NodeId, b: NodeId) -> bool {
    let transpose_of = |x: NodeId, y: NodeId| {
        let node = graph.node(x);
        node.op == Op::Transpose && node.args.first() == Some(&y)
    };
    transpose_of(a, b) || transpose_of(b, a)
}

/// Whether one is a triangle of a matrix and the other its mirror image on the other side of the diagonal.
fn completes(graph: &Graph, a: NodeId, b: NodeId) -> bool {
    let under = |id: NodeId| {
        let node = graph.node(id);
        let transposed = node.op == Op::Transpose;
        (node.args.first().copied().filter(|_| transposed).unwrap_or(id), transposed)
    };
    // The strictness of a triangle, whether it is the upper one, the matrix, and whether all that is transposed.
    let triangle = |id: NodeId| {
        let (x, turned) = under(id);
        let node = graph.node(x);
        let (Op::Hadamard, &[p, q]) = (node.op, &node.args[..]) else { return None };
        [(p, q), (q, p)].into_iter().find_map(|(mask, matrix)| {
            let (mask, upper) = under(mask);
            match graph.node(mask).op {
                Op::Triangle { strict } => Some((strict, upper, matrix, turned)),
                _ => None,
            }
        })
    };
    match (triangle(a), triangle(b)) {
        (Some((s, upper, x, turned)), Some((t, upper_too, y, turned_too))) => {
            x == y && s != t && upper == upper_too && turned != turned_too
        }
        _ => false,
    }
}

/// How a factor of a chain of products is inverted.
#[derive(Clone, Copy, PartialEq)]
enum Inverted {
    No,
    Whole,
    Triangle { upper: bool, unit: bool },
}

/// A factor of a chain of products: a node, whether it is transposed, and how it is inverted.
type Factor = (NodeId, bool, Inverted);

/// `X S Xᵀ` is symmetric if S is, and semidefinite if S is or if there is no S.
fn palindrome(graph: &Graph, op: Op, args: &[NodeId]) -> Structure {
    let inverted = |op: Op| match op {
        Op::Solve => Inverted::Whole,
        Op::TriangularSolve { upper, unit } => Inverted::Triangle { upper, unit },
        _ => Inverted::No,
    };
    let mut factors: SmallVec<[Factor; LONGEST_CHAIN]> = SmallVec::new();
    let factor = |(k, &arg): (usize, &NodeId)| (arg, false, if k == 0 { inverted(op) } else { Inverted::No });
    let mut pending: SmallVec<[Factor; LONGEST_CHAIN]> = args.iter().enumerate().rev().map(factor).collect();
    while let Some((id, transposed, how)) = pending.pop() {
        let node = graph.node(id);
        // In which order the two factors of a product come: the last one pushed comes first.
        let mut both = |a: Factor, b: Factor| pending.extend(if transposed { [a, b] } else { [b, a] });
        match (node.op, &node.args[..]) {
            (Op::Transpose, &[x]) => {
                let how = match how {
                    Inverted::Triangle { upper, unit } => Inverted::Triangle { upper: !upper, unit },
                    how => how,
                };
                pending.push((x, !transposed, how));
            }
            (Op::MatMul | Op::Solve | Op::TriangularSolve { .. }, &[a, b]) if how == Inverted::No => {
                both((a, transposed, inverted(node.op)), (b, transposed, Inverted::No));
            }
            (Op::Inverse, &[a]) if how == Inverted::No => pending.push((a, transposed, Inverted::Whole)),
            // Also the triangle of one.
            (Op::Identity, _) => {}
            _ => factors.push((id, transposed, how)),
        }
        if factors.len() + pending.len() > LONGEST_CHAIN {
            return Structure::General;
        }
    }
    let mirrored = |&(x, t, how): &Factor, &(y, u, how_too): &Factor| {
        let symmetric = || !matches!(how, Inverted::Triangle { .. }) && graph.node(x).structure.symmetric();
        x == y && how == how_too && (t != u || symmetric())
    };
    let (mut rest, mut outer) = (&factors[..], true);
    while let [first, middle @ .., last] = rest
        && outer
    {
        outer = mirrored(first, last);
        rest = middle;
    }
    match rest {
        _ if !outer => Structure::General,
        [] => Structure::Semidefinite,
        // A triangle of a symmetric matrix is none.
        [(_, _, Inverted::Triangle { .. })] => Structure::General,
        // Nothing is known of the rank of the others.
        [(center, ..), ..] => graph.node(*center).structure.min(Structure::Semidefinite),
    }
}
