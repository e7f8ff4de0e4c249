//! The normal form: what is recorded when an expression is written.
//!
//! Each smart constructor assumes arguments in normal form and returns a node in normal form. Outermost stands
//! the literal coefficient, then 1×1 factors, then the transpose, then the operation itself:
//! `c · s · (core)ᵀ`. All identities used here hold exactly, up to the rounding of the literals' own arithmetic.

use crate::formula;
use crate::graph::{Args, Graph, Node, NodeId};
use crate::op::{Binary, Function, Indices, Literal, Name};
use crate::structure;
use crate::{Declaration, Error, MatrixFunction, Op, Shape, Slot, Structure};
use smallvec::{SmallVec, smallvec};
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

/// What is kept by a mask.
const KEEP: Op = Op::Zip(Binary::Keep);

pub(crate) type At = &'static Location<'static>;

/// A tape's contents. A result of `Err(i)` stands for the mistake `errors[i]`.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) graph: Graph,
    pub(crate) errors: Vec<Error>,
    index: HashMap<(Op, Args, Shape), NodeId>,
    interned: HashMap<String, Name>,
    interned_lists: HashMap<Arc<[usize]>, Indices>,
    inputs: Vec<NodeId>,
    input_of_name: HashMap<Name, NodeId>,
    /// The identity that is being applied.
    pub(crate) identity: Option<&'static str>,
}

impl Recorder {
    pub(crate) fn mistake(&mut self, error: Error) -> usize {
        self.errors.push(error);
        self.errors.len() - 1
    }

    pub(crate) fn intern_name(&mut self, name: &str) -> Name {
        if let Some(&name) = self.interned.get(name) {
            return name;
        }
        let id = Name(self.graph.names.len() as u32);
        self.graph.names.push(name.to_owned());
        self.interned.insert(name.to_owned(), id);
        id
    }

    /// The rows with these indices of the identity matrix of order n.
    pub(crate) fn selection(&mut self, indices: &[usize], n: usize, at: At) -> NodeId {
        let shape = Shape::new(indices.len(), n);
        if shape.is_square() && indices.iter().copied().eq(0..n) {
            let unit = if n == 1 { Op::Scalar(Literal::new(1.0)) } else { Op::Identity };
            return self.intern(unit, &[], shape, at);
        }
        let list = match self.interned_lists.get(indices) {
            Some(&list) => list,
            None => {
                let list = Indices(self.graph.lists.len() as u32);
                let indices: Arc<[usize]> = Arc::from(indices);
                self.graph.lists.push(indices.clone());
                self.interned_lists.insert(indices, list);
                list
            }
        };
        self.intern(Op::Selection(list), &[], shape, at)
    }

    pub(crate) fn inputs(&self) -> Vec<(String, Shape)> {
        let of = |&id| {
            let node = self.graph.node(id);
            match node.op {
                Op::Input(name) => (self.graph.name(name).to_owned(), node.shape),
                _ => (String::new(), node.shape),
            }
        };
        self.inputs.iter().map(of).collect()
    }

    pub(crate) fn input(
        &mut self,
        name: &str,
        shape: Shape,
        declaration: Option<Declaration>,
        at: At,
    ) -> Result<NodeId, usize> {
        let key = self.intern_name(name);
        if let Some(&id) = self.input_of_name.get(&key) {
            let first = self.graph.node(id);
            // Every 1×1 is symmetric.
            let least = if shape.is_scalar() { Structure::Symmetric } else { Structure::General };
            let same =
                |it: Declaration| it.constant == first.constant && it.structure.max(least) == first.structure;
            if first.shape == shape && declaration.is_none_or(same) {
                return Ok(id);
            }
            let (first_shape, first_location) = (first.shape, first.location);
            return Err(self.mistake(Error::InputRedeclared {
                name: name.to_owned(),
                shape,
                first: first_shape,
                location: at,
                first_location,
            }));
        }
        let Declaration { structure, constant } = declaration.unwrap_or_default();
        if structure != Structure::General && !shape.is_square() {
            let problem = format!("{shape} is not square");
            return Err(self.mistake(Error::Shape {
                op: "declare",
                formula: name.to_owned(),
                shapes: vec![shape],
                problem,
                location: at,
            }));
        }
        let id = self.leaf(Op::Input(key), shape, at)?;
        let node = &mut self.graph.nodes[id.index()];
        node.constant = constant;
        node.structure = node.structure.max(structure);
        self.inputs.push(id);
        self.input_of_name.insert(key, id);
        Ok(id)
    }

    pub(crate) fn symbol(&mut self, name: &str, shape: Shape, at: At) -> Result<NodeId, usize> {
        let op = Op::Symbol(self.intern_name(name));
        self.check_size(op, &[], shape, at)?;
        Ok(self.push(op, Args::new(), shape, at))
    }

    pub(crate) fn symmetric_symbol(&mut self, name: &str, n: usize, at: At) -> Result<NodeId, usize> {
        let id = self.symbol(name, Shape::new(n, n), at)?;
        let node = &mut self.graph.nodes[id.index()];
        node.structure = node.structure.max(Structure::Symmetric);
        Ok(id)
    }

    pub(crate) fn leaf(&mut self, op: Op, shape: Shape, at: At) -> Result<NodeId, usize> {
        self.check_size(op, &[], shape, at)?;
        let op = match op {
            Op::Zeros if shape.is_scalar() => Op::Scalar(Literal::new(0.0)),
            Op::Ones | Op::Identity if shape.is_scalar() => Op::Scalar(Literal::new(1.0)),
            Op::Triangle { strict } if shape.is_scalar() => Op::Scalar(Literal::new(f64::from(!strict))),
            op => op,
        };
        Ok(self.intern(op, &[], shape, at))
    }

    pub(crate) fn apply(&mut self, op: Op, args: &[NodeId], at: At) -> Result<NodeId, usize> {
        if args.len() != op.arity() || (args.is_empty() && !matches!(op, Op::Scalar(_))) {
            let problem = format!("takes {} operands, not {}", op.arity(), args.len());
            return Err(self.shape_mistake(op, args, problem, at));
        }
        // `*` is the product of matrices, and a 1×1 times a matrix scales it.
        let op = match (op, args) {
            (Op::MatMul, &[a, b]) if self.is_scalar(a) => return self.apply(Op::ScaleBy, &[a, b], at),
            (Op::MatMul, &[a, b]) if self.is_scalar(b) => return self.apply(Op::ScaleBy, &[b, a], at),
            (op, _) => op,
        };
        let shapes: SmallVec<[Shape; 2]> = args.iter().map(|&id| self.shape(id)).collect();
        let shape = match op {
            Op::Custom(custom) => match self.graph.custom(custom) {
                Some(custom) => custom.shape(&shapes),
                None => Err("belongs to another tape".to_owned()),
            },
            op => op.shape(&shapes),
        };
        match shape {
            Ok(shape) => {
                self.check_size(op, args, shape, at)?;
                self.check_symmetric(op, args, at)?;
                Ok(self.normal(op, args, shape, at))
            }
            Err(problem) => Err(self.shape_mistake(op, args, problem, at)),
        }
    }

    fn shape_mistake(&mut self, op: Op, args: &[NodeId], problem: String, at: At) -> usize {
        let error = Error::Shape {
            op: op.name(),
            formula: formula::application(&self.graph, op, args),
            shapes: args.iter().map(|&id| self.shape(id)).collect(),
            problem,
            location: at,
        };
        self.mistake(error)
    }

    fn check_size(&mut self, op: Op, args: &[NodeId], shape: Shape, at: At) -> Result<(), usize> {
        if shape.len().is_some() {
            return Ok(());
        }
        let formula = formula::application(&self.graph, op, args);
        Err(self.mistake(Error::TooLarge { formula, shape, location: at }))
    }

    /// What decomposes a symmetric matrix reads one triangle, which says nothing about the other.
    fn check_symmetric(&mut self, op: Op, args: &[NodeId], at: At) -> Result<(), usize> {
        let unknown = |&&id: &&NodeId| self.graph.node(id).structure < Structure::Symmetric;
        match args.first().filter(unknown) {
            Some(&id) if op.of_symmetric() => {
                let operand = self.graph.summary(id);
                Err(self.mistake(Error::NotSymmetric { op: op.name(), operand, location: at }))
            }
            _ => Ok(()),
        }
    }

    // ---- nodes -------------------------------------------------------------------------------------------

    fn push(&mut self, op: Op, args: Args, shape: Shape, at: At) -> NodeId {
        let id = NodeId(self.graph.nodes.len() as u32);
        let symbolic = matches!(op, Op::Symbol(_)) || args.iter().any(|&arg| self.graph.node(arg).symbolic);
        let varies = matches!(op, Op::Input(_) | Op::Symbol(_) | Op::Opaque { .. });
        self.graph.nodes.push(Node {
            op,
            shape,
            location: at,
            name: None,
            checkpoint: false,
            symbolic,
            constant: !varies && args.iter().all(|&arg| self.graph.node(arg).constant),
            structure: structure::of(&self.graph, op, &args, shape),
            identity: self.identity,
            args,
        });
        id
    }

    pub(crate) fn intern(&mut self, op: Op, args: &[NodeId], shape: Shape, at: At) -> NodeId {
        let key = (op, Args::from_slice(args), shape);
        if let Some(&id) = self.index.get(&key) {
            return id;
        }
        let scalars = op == Op::ScaleBy && args.iter().all(|&id| self.is_scalar(id));
        if let (&[a, b], true) = (args, op.is_commutative() || scalars)
            && let Some(&id) = self.index.get(&(op, smallvec![b, a], shape))
        {
            return id;
        }
        let id = self.push(op, key.1.clone(), shape, at);
        self.index.insert(key, id);
        id
    }

    pub(crate) fn shape(&self, id: NodeId) -> Shape {
        self.graph.node(id).shape
    }

    pub(crate) fn op(&self, id: NodeId) -> Op {
        self.graph.node(id).op
    }

    /// The arguments of `id` if it is a binary `op`.
    fn pair(&self, id: NodeId, op: Op) -> Option<(NodeId, NodeId)> {
        let node = self.graph.node(id);
        match node.args[..] {
            [a, b] if node.op == op => Some((a, b)),
            _ => None,
        }
    }

    fn is_scalar(&self, id: NodeId) -> bool {
        self.shape(id).is_scalar()
    }

    fn is_zero(&self, id: NodeId) -> bool {
        self.op(id) == Op::Zeros || self.literal(id) == Some(0.0)
    }

    fn literal(&self, id: NodeId) -> Option<f64> {
        match self.op(id) {
            Op::Scalar(c) => Some(c.value()),
            _ => None,
        }
    }

    fn scalar(&mut self, c: f64, at: At) -> NodeId {
        self.intern(Op::Scalar(Literal::new(c)), &[], Shape::SCALAR, at)
    }

    fn zeros(&mut self, shape: Shape, at: At) -> NodeId {
        if shape.is_scalar() { self.scalar(0.0, at) } else { self.intern(Op::Zeros, &[], shape, at) }
    }

    fn ones(&mut self, shape: Shape, at: At) -> NodeId {
        if shape.is_scalar() { self.scalar(1.0, at) } else { self.intern(Op::Ones, &[], shape, at) }
    }

    /// `c · core`, with `core` free of a literal coefficient.
    fn coefficient(&self, id: NodeId) -> (f64, NodeId) {
        let node = self.graph.node(id);
        match (node.op, &node.args[..]) {
            (Op::Scale(c), &[core]) => (c.value(), core),
            _ => (1.0, id),
        }
    }

    // ---- the normal form ---------------------------------------------------------------------------------

    pub(crate) fn normal(&mut self, op: Op, args: &[NodeId], shape: Shape, at: At) -> NodeId {
        match (op, args) {
            (Op::Scale(c), &[x]) => return self.scale(c.value(), x, at),
            (Op::ScaleBy, &[s, x]) => return self.scale_by(s, x, at),
            (Op::Add, &[a, b]) => return self.add(a, b, at),
            _ => {}
        }
        if let Some(id) = self.pull_scalars(op, args, shape, at) {
            return id;
        }
        if let Some(id) = self.pull_transpose(op, args, shape, at) {
            return id;
        }
        let rewritten = match (op, args) {
            (Op::Transpose, &[x]) => self.transpose(x),
            (Op::Reshape(_), &[x]) => self.reshape(x, shape, at),
            (Op::MatMul, &[a, b]) => self.matmul(a, b, shape, at),
            (Op::Trace, &[x]) => self.trace(x, at),
            (Op::Diagonal, &[x]) => match self.op(x) {
                _ if self.is_scalar(x) => Some(x),
                Op::Identity | Op::Ones | Op::Triangle { strict: false } => Some(self.ones(shape, at)),
                Op::Triangle { strict: true } => Some(self.zeros(shape, at)),
                _ => self.on_diagonal(x),
            },
            (Op::Diag, &[x]) => match self.op(x) {
                _ if self.is_scalar(x) => Some(x),
                Op::Ones => Some(self.intern(Op::Identity, &[], shape, at)),
                _ => None,
            },
            (Op::Inner, &[a, b]) => self.inner(a, b, at),
            (Op::Hadamard, &[a, b]) => self.hadamard(a, b, at),
            (Op::Quotient, &[a, b]) if self.pair(a, KEEP).is_some() => {
                let (x, mask) = self.pair(a, KEEP).unwrap_or((a, b));
                let quotient = self.normal(op, &[x, b], shape, at);
                Some(self.normal(KEEP, &[quotient, mask], shape, at))
            }
            (Op::Quotient, &[a, b]) => match self.literal(b) {
                Some(c) => Some(self.scale(1.0 / c, a, at)),
                None => (self.op(b) == Op::Ones).then_some(a),
            },
            (Op::Map(f), &[x]) => self.map(f, x, at),
            (KEEP, &[x, mask]) => match self.op(mask) {
                Op::Ones => Some(x),
                _ if self.is_zero(x) || self.is_zero(mask) => Some(self.zeros(shape, at)),
                _ => None,
            },
            (Op::ColMax, &[x]) if self.shape(x).rows == 1 => Some(x),
            (Op::ColArgmax, &[x]) if self.shape(x).rows == 1 => Some(self.ones(shape, at)),
            (Op::Norm, &[x]) if self.shape(x).is_empty() => Some(self.scalar(0.0, at)),
            (Op::Norm, &[x]) if self.is_scalar(x) => {
                Some(self.normal(Op::Map(Function::Abs), args, shape, at))
            }
            (Op::Inverse, &[x]) => match (self.op(x), self.graph.node(x).args.first()) {
                (Op::Identity, _) => Some(x),
                (Op::Inverse, Some(&y)) => Some(y),
                _ => None,
            },
            (Op::Solve, &[a, b]) => match (self.op(a), self.op(b)) {
                (Op::Identity, _) => Some(b),
                (_, Op::Identity) => Some(self.normal(Op::Inverse, &[a], shape, at)),
                _ => None,
            },
            (Op::TriangularSolve { .. } | Op::LeastSquares, &[a, b]) if self.op(a) == Op::Identity => Some(b),
            (Op::TriangularSolve { unit: true, .. }, &[a, b]) if self.is_scalar(a) => Some(b),
            (Op::MatrixFunction { function, order }, args) => {
                self.matrix_function(function, order, args, shape, at)
            }
            (Op::ExpAction, &[a, b]) if self.is_scalar(a) => {
                let factor = self.normal(Op::Map(Function::Exp), &[a], Shape::SCALAR, at);
                Some(self.scale_by(factor, b, at))
            }
            (Op::ExpAction, &[a, b]) if self.is_zero(a) => Some(b),
            (Op::ExpAction, &[a, b]) if self.op(b) == Op::Identity => {
                let exp = Op::MatrixFunction { function: MatrixFunction::Exp, order: 0 };
                Some(self.normal(exp, &[a], shape, at))
            }
            (Op::Cholesky | Op::SquareRoot | Op::MatrixSign, &[x]) if self.op(x) == Op::Identity => Some(x),
            (Op::SymmetricFunction { order, columns }, args) => {
                self.symmetric_function(order, columns, args, shape, at)
            }
            (Op::StopGradient, &[x]) => (self.op(x) == Op::StopGradient
                || self.graph.node(x).args.is_empty() && !self.varies(x))
            .then_some(x),
            (Op::Det, &[x]) if self.is_scalar(x) => Some(x),
            (Op::Det, &[x]) if self.op(x) == Op::Identity || self.shape(x).is_empty() => {
                Some(self.scalar(1.0, at))
            }
            (Op::Adjugate, &[x]) if self.is_scalar(x) => Some(self.scalar(1.0, at)),
            (Op::Adjugate, &[x]) if self.op(x) == Op::Identity || self.shape(x).is_empty() => Some(x),
            // By Cholesky's factors, and an inverse that may be multiplied in a better order.
            (Op::Adjugate, &[x]) if self.graph.node(x).structure == Structure::Definite => {
                let det = self.normal(Op::Det, &[x], Shape::SCALAR, at);
                let inverse = self.normal(Op::Inverse, &[x], shape, at);
                Some(self.scale_by(det, inverse, at))
            }
            (Op::LogDet, &[x]) if self.op(x) == Op::Identity || self.shape(x).is_empty() => {
                Some(self.scalar(0.0, at))
            }
            _ => None,
        };
        rewritten.unwrap_or_else(|| self.intern(op, args, shape, at))
    }

    /// Whether this may be differentiated in.
    fn varies(&self, id: NodeId) -> bool {
        matches!(self.op(id), Op::Input(_) | Op::Symbol(_))
    }

    /// `f(…, c s X, …) = c s f(…, X, …)` in every multilinear slot, and `f(…, 0, …) = 0`.
    fn pull_scalars(&mut self, op: Op, args: &[NodeId], shape: Shape, at: At) -> Option<NodeId> {
        // An infinite factor would make a NaN of what is not kept.
        if op == KEEP {
            return None;
        }
        let mut core = Args::from_slice(args);
        let mut c = 1.0;
        let mut factors = Args::new();
        for (slot, arg) in core.iter_mut().enumerate() {
            if op.slot(slot) != Slot::Multilinear {
                continue;
            }
            if self.is_zero(*arg) {
                return Some(self.zeros(shape, at));
            }
            let (coefficient, x) = self.coefficient(*arg);
            c *= coefficient;
            *arg = x;
            if let Some((s, x)) = self.pair(x, Op::ScaleBy)
                && !self.is_scalar(x)
            {
                factors.push(s);
                *arg = x;
            }
        }
        if core[..] == *args {
            return None;
        }
        let mut result = self.normal(op, &core, shape, at);
        for &s in factors.iter().rev() {
            result = self.scale_by(s, result, at);
        }
        Some(self.scale(c, result, at))
    }

    /// `f(Xᵀ, Yᵀ) = f(X, Y)ᵀ` for what acts entrywise and for functions of matrices, `f(Xᵀ, Yᵀ) = f(X, Y)` for invariants.
    fn pull_transpose(&mut self, op: Op, args: &[NodeId], shape: Shape, at: At) -> Option<NodeId> {
        let invariant = matches!(op, Op::Trace | Op::Diagonal | Op::Inner | Op::Norm | Op::Det | Op::LogDet);
        let equivariant =
            matches!(op, Op::Add | Op::Hadamard | Op::Quotient | Op::Map(_) | Op::Zip(_) | Op::Inverse)
                || matches!(op, Op::MatrixFunction { .. } | Op::Adjugate);
        if !(invariant || equivariant) || !self.all_flip(args) {
            return None;
        }
        let flipped: Args = args.iter().map(|&x| self.flip(x, at)).collect();
        if invariant {
            return Some(self.normal(op, &flipped, shape, at));
        }
        let result = self.normal(op, &flipped, shape.transposed(), at);
        Some(self.flip(result, at))
    }

    /// Whether some argument is a transpose and all can be transposed without writing one.
    fn all_flip(&self, args: &[NodeId]) -> bool {
        let core = |x: &NodeId| {
            let x = self.coefficient(*x).1;
            match self.pair(x, Op::ScaleBy) {
                Some((_, y)) if !self.is_scalar(y) => y,
                _ => x,
            }
        };
        let is_transpose = |x: NodeId| self.op(x) == Op::Transpose;
        args.iter().map(core).any(is_transpose)
            && args.iter().map(core).all(|x| {
                is_transpose(x)
                    || self.is_scalar(x)
                    || matches!(self.op(x), Op::Identity | Op::Zeros | Op::Ones | Op::Triangle { .. })
            })
    }

    /// `x` with as many entries in another shape.
    fn reshape(&mut self, x: NodeId, shape: Shape, at: At) -> Option<NodeId> {
        let node = self.graph.node(x);
        match (node.op, &node.args[..]) {
            _ if node.shape == shape => Some(x),
            (Op::Ones, _) => Some(self.ones(shape, at)),
            (Op::Reshape(_), &[y]) => Some(self.normal(Op::Reshape(shape), &[y], shape, at)),
            _ if node.shape == shape.transposed() && (shape.rows == 1 || shape.cols == 1) => {
                Some(self.flip(x, at))
            }
            // The entries of a row are those of the column under it.
            (Op::Transpose, &[y]) if node.shape.rows == 1 => {
                Some(self.normal(Op::Reshape(shape), &[y], shape, at))
            }
            _ => None,
        }
    }

    /// `exp 0 = I`, and the derivative of `exp` in the direction I is `exp`. Directions have no order.
    fn matrix_function(
        &mut self,
        function: MatrixFunction,
        order: u32,
        args: &[NodeId],
        shape: Shape,
        at: At,
    ) -> Option<NodeId> {
        let (&a, directions) = args.split_first()?;
        let op = Op::MatrixFunction { function, order };
        match function {
            MatrixFunction::Exp if shape.is_scalar() => {
                let value = self.normal(Op::Map(Function::Exp), &[a], shape, at);
                Some(directions.iter().fold(value, |product, &e| self.scale_by(product, e, at)))
            }
            MatrixFunction::Log if order == 0 && self.is_unit(a) => Some(self.zeros(shape, at)),
            // log′ = 1/x.
            MatrixFunction::Log if order == 1 && directions.iter().any(|&e| self.is_unit(e)) => {
                Some(self.normal(Op::Inverse, &[a], shape, at))
            }
            MatrixFunction::Exp if order == 0 && self.is_zero(a) => {
                Some(self.intern(Op::Identity, &[], shape, at))
            }
            MatrixFunction::Exp if directions.iter().any(|&e| self.op(e) == Op::Identity) => {
                let mut fewer = Args::from_slice(args);
                let i = 1 + directions.iter().position(|&e| self.op(e) == Op::Identity)?;
                fewer.remove(i);
                let op = Op::MatrixFunction { function, order: order.checked_sub(1)? };
                Some(self.normal(op, &fewer, shape, at))
            }
            _ if !directions.is_sorted() => {
                let mut sorted = Args::from_slice(args);
                sorted[1..].sort_unstable();
                Some(self.normal(op, &sorted, shape, at))
            }
            _ => None,
        }
    }

    /// The column on the diagonal of a `Diag`.
    fn on_diagonal(&self, x: NodeId) -> Option<NodeId> {
        let node = self.graph.node(x);
        if node.op == Op::Diag { node.args.first().copied() } else { None }
    }

    /// `xᵀ`.
    pub(crate) fn flip(&mut self, x: NodeId, at: At) -> NodeId {
        let shape = self.shape(x).transposed();
        self.normal(Op::Transpose, &[x], shape, at)
    }

    fn transpose(&mut self, x: NodeId) -> Option<NodeId> {
        let node = self.graph.node(x);
        let (shape, location) = (node.shape, node.location);
        match (node.op, &node.args[..]) {
            _ if shape.is_scalar() => Some(x),
            (Op::Transpose, &[y]) => Some(y),
            _ if node.structure >= Structure::Symmetric => Some(x),
            (Op::Ones, _) => Some(self.ones(shape.transposed(), location)),
            _ => None,
        }
    }

    fn scale(&mut self, c: f64, x: NodeId, at: At) -> NodeId {
        let shape = self.shape(x);
        if c == 0.0 || self.is_zero(x) {
            return self.zeros(shape, at);
        }
        if let Some(value) = self.literal(x) {
            return self.scalar(c * value, at);
        }
        let (inner, core) = self.coefficient(x);
        let c = c * inner;
        if c == 1.0 { core } else { self.intern(Op::Scale(Literal::new(c)), &[core], shape, at) }
    }

    fn scale_by(&mut self, s: NodeId, x: NodeId, at: At) -> NodeId {
        if let Some(c) = self.literal(s) {
            return self.scale(c, x, at);
        }
        if let Some(c) = self.literal(x) {
            return self.scale(c, s, at);
        }
        let shape = self.shape(x);
        if self.is_zero(x) {
            return self.zeros(shape, at);
        }
        let ((cs, s), (cx, x)) = (self.coefficient(s), self.coefficient(x));
        if cs != 1.0 || cx != 1.0 {
            let core = self.scale_by(s, x, at);
            return self.scale(cs * cx, core, at);
        }
        if s == x {
            return self.intern(Op::Map(Function::Square), &[s], Shape::SCALAR, at);
        }
        if shape.is_scalar()
            && let Some(id) = self.kept(s, x, Op::ScaleBy, at)
        {
            return id;
        }
        match self.pair(x, Op::ScaleBy) {
            Some((t, y)) if !shape.is_scalar() => {
                let factor = self.scale_by(s, t, at);
                self.scale_by(factor, y, at)
            }
            _ => self.intern(Op::ScaleBy, &[s, x], shape, at),
        }
    }

    fn add(&mut self, a: NodeId, b: NodeId, at: At) -> NodeId {
        if self.is_zero(a) {
            return b;
        }
        if self.is_zero(b) {
            return a;
        }
        let shape = self.shape(a);
        if let (Some(x), Some(y)) = (self.literal(a), self.literal(b)) {
            return self.scalar(x + y, at);
        }
        let ((ca, xa), (cb, xb)) = (self.coefficient(a), self.coefficient(b));
        if xa == xb {
            return self.scale(ca + cb, xa, at);
        }
        // c X ± c Y = c (X ± Y); a lone minus sign stays inside, where it makes a difference.
        let lone_sign = ca.abs() == 1.0 && ca + cb > -2.0;
        if ca.abs() == cb.abs() && ca.is_finite() && !lone_sign {
            let c = if ca == cb { ca } else { ca.abs() };
            let (a, b) = (self.scale(ca / c, xa, at), self.scale(cb / c, xb, at));
            let sum = self.add(a, b, at);
            return self.scale(c, sum, at);
        }
        if let Some(id) = self.pull_transpose(Op::Add, &[a, b], shape, at) {
            return id;
        }
        self.intern(Op::Add, &[a, b], shape, at)
    }

    /// Whether a matrix is transposed without writing it.
    fn flips(&self, x: NodeId) -> bool {
        self.op(x) == Op::Transpose || self.graph.node(x).structure >= Structure::Symmetric
    }

    /// The rows of an identity matrix that a node picks.
    fn selected(&self, x: NodeId) -> Option<Arc<[usize]>> {
        match self.op(x) {
            Op::Selection(list) => Some(self.graph.indices(list).clone()),
            _ => None,
        }
    }

    /// `S₁ (S₂ X) = (S₁ S₂) X`, and `(X S₂ᵀ) S₁ᵀ = X (S₁ S₂)ᵀ`.
    fn selected_twice(&mut self, a: NodeId, b: NodeId, at: At) -> Option<NodeId> {
        let transposed = |this: &Self, x: NodeId| {
            let node = this.graph.node(x);
            if node.op == Op::Transpose { node.args.first().copied() } else { None }
        };
        let ends = [self.pair(b, Op::MatMul), self.pair(a, Op::MatMul)];
        let (first, second, x, left) = match ends {
            [Some((s, x)), _] if self.selected(a).is_some() => (a, s, x, true),
            [_, Some((x, s))] => (transposed(self, b)?, transposed(self, s)?, x, false),
            _ => return None,
        };
        let (outer, inner) = (self.selected(first)?, self.selected(second)?);
        let rows: Vec<usize> = outer.iter().filter_map(|&row| inner.get(row).copied()).collect();
        let n = self.shape(second).cols;
        let s = self.selection(&rows, n, at);
        let (rows, cols) = (self.shape(x).rows, self.shape(x).cols);
        if left {
            return Some(self.normal(Op::MatMul, &[s, x], Shape::new(self.shape(s).rows, cols), at));
        }
        let (s, width) = (self.flip(s, at), self.shape(s).rows);
        Some(self.normal(Op::MatMul, &[x, s], Shape::new(rows, width), at))
    }

    fn matmul(&mut self, a: NodeId, b: NodeId, shape: Shape, at: At) -> Option<NodeId> {
        if let Some(id) = self.selected_twice(a, b, at).or_else(|| self.spectral_product(a, b, shape, at)) {
            return Some(id);
        }
        let (op_a, op_b) = (self.op(a), self.op(b));
        let inner = self.shape(a).cols;
        match (op_a, op_b) {
            _ if inner == 0 => Some(self.zeros(shape, at)),
            (Op::Identity, _) => Some(b),
            (_, Op::Identity) => Some(a),
            (Op::Diag, Op::Diag) => {
                let (x, y) = (self.on_diagonal(a)?, self.on_diagonal(b)?);
                let column = self.normal(Op::Hadamard, &[x, y], self.shape(x), at);
                Some(self.normal(Op::Diag, &[column], shape, at))
            }
            (Op::Ones, Op::Ones) => {
                let ones = self.ones(shape, at);
                Some(self.scale(inner as f64, ones, at))
            }
            (Op::Selection(_), Op::Ones) => Some(self.ones(shape, at)),
            (Op::Selection(first), Op::Selection(second)) => {
                let (first, second) = (self.graph.indices(first), self.graph.indices(second));
                let rows: Vec<usize> = first.iter().filter_map(|&row| second.get(row).copied()).collect();
                Some(self.selection(&rows, shape.cols, at))
            }
            // Aᵀ Bᵀ = (B A)ᵀ, where a symmetric matrix is its own transpose.
            (Op::Transpose, _) | (_, Op::Transpose) if self.flips(a) && self.flips(b) => {
                let (a, b) = (self.flip(a, at), self.flip(b, at));
                let product = self.normal(Op::MatMul, &[b, a], shape.transposed(), at);
                Some(self.flip(product, at))
            }
            _ => None,
        }
    }

    fn trace(&mut self, x: NodeId, at: At) -> Option<NodeId> {
        let n = self.shape(x).rows;
        match self.op(x) {
            _ if n == 1 => Some(x),
            _ if n == 0 => Some(self.scalar(0.0, at)),
            Op::Identity | Op::Ones => Some(self.scalar(n as f64, at)),
            Op::Diag => {
                let column = self.on_diagonal(x)?;
                let ones = self.ones(self.shape(column), at);
                Some(self.normal(Op::Inner, &[ones, column], Shape::SCALAR, at))
            }
            _ => None,
        }
    }

    fn inner(&mut self, a: NodeId, b: NodeId, at: At) -> Option<NodeId> {
        let shape = self.shape(a);
        match (self.op(a), self.op(b)) {
            _ if shape.is_scalar() => Some(self.scale_by(a, b, at)),
            _ if shape.is_empty() => Some(self.scalar(0.0, at)),
            (Op::Identity, _) => Some(self.normal(Op::Trace, &[b], Shape::SCALAR, at)),
            (_, Op::Identity) => Some(self.normal(Op::Trace, &[a], Shape::SCALAR, at)),
            // Off the diagonal there is nothing.
            (Op::Diag, _) | (_, Op::Diag) => {
                let column = Shape::new(shape.rows, 1);
                let [a, b] = [a, b].map(|x| self.normal(Op::Diagonal, &[x], column, at));
                Some(self.normal(Op::Inner, &[a, b], Shape::SCALAR, at))
            }
            (Op::Ones, Op::Ones) => Some(self.scalar(shape.rows as f64 * shape.cols as f64, at)),
            (Op::Ones, _) => self.sum(b, at),
            (_, Op::Ones) => self.sum(a, at),
            _ => None,
        }
    }

    /// `⟨𝟏, x⟩` of a product that is a shorter sum: `Σ A ∘ B = ⟨A, B⟩`, `𝟏ᵀ(𝟏ᵀX)ᵀ = 𝟏ᵀX𝟏`.
    fn sum(&mut self, x: NodeId, at: At) -> Option<NodeId> {
        let node = self.graph.node(x);
        match (node.op, &node.args[..]) {
            (Op::Hadamard, &[a, b]) => Some(self.normal(Op::Inner, &[a, b], Shape::SCALAR, at)),
            (Op::Map(Function::Square), &[a]) => Some(self.normal(Op::Inner, &[a, a], Shape::SCALAR, at)),
            (Op::Diagonal, &[a]) => Some(self.normal(Op::Trace, &[a], Shape::SCALAR, at)),
            (Op::MatMul, &[a, b]) => {
                let y = match (self.op(a), self.op(b)) {
                    (Op::Ones, _) if self.shape(a).rows == 1 => b,
                    (_, Op::Ones) if self.shape(b).cols == 1 => a,
                    _ => return None,
                };
                let ones = self.ones(self.shape(y), at);
                Some(self.normal(Op::Inner, &[ones, y], Shape::SCALAR, at))
            }
            _ => None,
        }
    }

    /// `A ∘ keep(B, M) = keep(A ∘ B, M)`: what is not kept is 0 then, even where A is infinite or NaN. So a derivative
    /// that is not finite stays where the value was not chosen.
    fn kept(&mut self, a: NodeId, b: NodeId, product: Op, at: At) -> Option<NodeId> {
        let (a, x, mask) = match (self.pair(a, KEEP), self.pair(b, KEEP)) {
            (_, Some((x, mask))) => (a, x, mask),
            (Some((x, mask)), None) => (b, x, mask),
            (None, None) => return None,
        };
        let shape = self.shape(x);
        let kept = self.normal(product, &[a, x], shape, at);
        Some(self.normal(KEEP, &[kept, mask], shape, at))
    }

    fn hadamard(&mut self, a: NodeId, b: NodeId, at: At) -> Option<NodeId> {
        match (self.op(a), self.op(b)) {
            _ if self.is_scalar(a) => Some(self.scale_by(a, b, at)),
            (Op::Ones, _) => Some(b),
            (_, Op::Ones) => Some(a),
            (Op::Diag | Op::Identity, _) | (_, Op::Diag | Op::Identity) => {
                let shape = self.shape(a);
                let column = Shape::new(shape.rows, 1);
                let [a, b] = [a, b].map(|x| self.normal(Op::Diagonal, &[x], column, at));
                let column = self.normal(Op::Hadamard, &[a, b], column, at);
                Some(self.normal(Op::Diag, &[column], shape, at))
            }
            _ if a == b && self.is_mask(a) => Some(a),
            _ if a == b => Some(self.intern(Op::Map(Function::Square), &[a], self.shape(a), at)),
            _ if self.op(a) == KEEP || self.op(b) == KEEP => self.kept(a, b, Op::Hadamard, at),
            _ if self.is_mask(a) && self.pair(b, Op::Hadamard).is_some_and(|(x, y)| x == a || y == a) => {
                Some(b)
            }
            _ if self.is_mask(b) && self.pair(a, Op::Hadamard).is_some_and(|(x, y)| x == b || y == b) => {
                Some(a)
            }
            _ => None,
        }
    }

    /// Whether it is a triangle of ones, or the transpose of one.
    fn is_mask(&self, x: NodeId) -> bool {
        let node = self.graph.node(x);
        match (node.op, node.args.first()) {
            (Op::Transpose, Some(&y)) => matches!(self.op(y), Op::Triangle { .. }),
            (op, _) => matches!(op, Op::Triangle { .. }),
        }
    }

    fn map(&mut self, f: Function, x: NodeId, at: At) -> Option<NodeId> {
        let shape = self.shape(x);
        match f {
            Function::Recip => self.literal(x).map(|c| self.scalar(1.0 / c, at)),
            Function::Powf(p) if p.value() == 0.0 => Some(self.ones(shape, at)),
            Function::Powf(p) if p.value() == 1.0 => Some(x),
            Function::Powf(p) if p.value() == 2.0 => {
                Some(self.intern(Op::Map(Function::Square), &[x], shape, at))
            }
            Function::Powf(p) if p.value() == -1.0 => {
                Some(self.intern(Op::Map(Function::Recip), &[x], shape, at))
            }
            _ => None,
        }
    }
}
