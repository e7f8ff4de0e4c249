//! Functions of symmetric matrices by their eigenvalues.

use crate::factor::{Factor, Spectral};
use crate::graph::{Args, Graph, NodeId};
use crate::normal::{At, Recorder};
use crate::{Error, Op, Shape, Var};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;

impl<'t> Var<'t> {
    /// The same value, held: gradients do not pass through it.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let x = tape.input("x", (3, 1));
    /// assert_eq!(x.stop_gradient().hadamard(x).to_string(), "stop(x) ∘ x");
    /// ```
    ///
    /// # Derivative
    /// 0
    #[track_caller]
    pub fn stop_gradient(self) -> Var<'t> {
        self.tape.record(Op::StopGradient, &[self], Location::caller())
    }

    /// `f(X) = V Diag(f(λ)) Vᵀ` of a symmetric matrix with eigenvalues λ, m×m. O(m³).
    ///
    /// `f` is given the column of the eigenvalues and returns a function of every entry: elementwise functions, their sums,
    /// products and quotients, and numbers. The result does not depend on the choice of the eigenvectors, and
    /// neither do its derivatives, which are exact where eigenvalues coincide.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let s = tape.symmetric("S", 3);
    /// assert_eq!(s.symmetric_function(|x| x.tanh()).to_string(), "fun(tanh(λ(S)))");
    /// assert!(s.symmetric_function(|x| x).same(s));
    /// ```
    ///
    /// # Derivative
    /// `V (F ∘ Vᵀ ε V) Vᵀ` for a symmetric ε, with the divided differences `Fᵢⱼ = (f(λⱼ) − f(λᵢ))/(λⱼ − λᵢ)`, and `f′(λᵢ)`
    /// where both are equal (Daleckii–Krein; Higham, *Functions of Matrices*, §3.2; Bhatia, *Matrix Analysis*, §V.3).
    /// Those of order k are made of divided differences of order k: O(k! mᵏ⁺¹) more.
    ///
    /// # Errors
    /// (deferred) [`Error::NotSymmetric`] if the matrix is not known to be symmetric; [`Error::Shape`] if `f` is no function of
    /// every entry alone; (when run) no convergence.
    #[track_caller]
    pub fn symmetric_function(self, f: impl FnOnce(Var<'t>) -> Var<'t>) -> Var<'t> {
        let at = Location::caller();
        let held = self.eigenvalues().stop_gradient();
        let values = f(held);
        if let (Ok(y), Ok(x)) = (values.id, held.id)
            && between(&self.tape.graph_ref(), y, x).is_none()
        {
            let problem = "symmetric_function: not a function of every eigenvalue alone".to_owned();
            return self.tape.mistake(Error::Shape {
                op: "symmetric_function",
                formula: values.summary(),
                shapes: vec![values.shape()],
                problem,
                location: at,
            });
        }
        self.tape.record(Op::SymmetricFunction { order: 0, columns: 1 }, &[self, values], at)
    }
}

/// The nodes from a column `x` to a function `y` of every entry of it, in which nothing else varies; none if it is no such
/// function.
fn between(graph: &Graph, y: NodeId, x: NodeId) -> Option<BTreeSet<NodeId>> {
    let (mut pending, mut found) = (BTreeSet::from([y]), BTreeSet::new());
    while let Some(id) = pending.pop_last() {
        let node = graph.node(id);
        let constant = matches!(node.op, Op::Ones | Op::Zeros | Op::Scalar(_));
        // Entrywise products of two numbers are recorded as these.
        let product = node.shape.is_scalar() && matches!(node.op, Op::MatMul | Op::ScaleBy | Op::Inner);
        let known = id == x || constant || product || node.op.is_elementwise();
        if !known || node.shape != graph.node(x).shape {
            return None;
        }
        found.insert(id);
        if id != x {
            pending.extend(&node.args);
        }
    }
    Some(found)
}

impl Recorder {
    /// The derivative in the direction I is that of the derivative of f, with one direction fewer.
    pub(crate) fn symmetric_function(
        &mut self,
        order: u32,
        columns: u32,
        args: &[NodeId],
        shape: Shape,
        at: At,
    ) -> Option<NodeId> {
        let (&a, rest) = args.split_first()?;
        let (derivatives, directions) = rest.split_at_checked(columns as usize)?;
        if order == 0 {
            let [values] = derivatives else {
                // Only derivatives need the derivatives.
                let first = derivatives.first()?;
                let op = Op::SymmetricFunction { order, columns: 1 };
                return Some(self.normal(op, &[a, *first], shape, at));
            };
            return match self.op(*values) {
                Op::Ones => Some(self.intern(Op::Identity, &[], shape, at)),
                Op::Zeros => Some(self.intern(Op::Zeros, &[], shape, at)),
                // f(λ) = λ.
                Op::StopGradient => Some(a),
                _ => None,
            };
        }
        let unit = directions.iter().position(|&direction| self.is_unit(direction))?;
        let mut fewer = vec![a];
        fewer.extend(derivatives.iter().skip(1));
        fewer.extend(
            directions.iter().enumerate().filter(|(i, _)| *i != unit).map(|(_, direction)| direction),
        );
        let op = Op::SymmetricFunction { order: order - 1, columns: columns - 1 };
        Some(self.normal(op, &fewer, shape, at))
    }

    /// Whether this is an identity matrix.
    pub(crate) fn is_unit(&self, id: NodeId) -> bool {
        self.op(id) == Op::Identity || matches!(self.op(id), Op::Scalar(c) if c.value() == 1.0)
    }

    /// With the eigenvectors of a symmetric A, `V Vᵀ = Vᵀ V = I` and `V Diag(f(λ)) Vᵀ = f(A)`; with singular values and
    /// vectors, `U Diag(σ) Vᵀ = A`, and `U Vᵀ` is the polar factor. The right sides are differentiable where values coincide: so are
    /// gradients of `Σ f(λᵢ)`, which are `V Diag(f′(λ)) Vᵀ`.
    pub(crate) fn spectral_product(&mut self, a: NodeId, b: NodeId, shape: Shape, at: At) -> Option<NodeId> {
        let transposed = |x: NodeId| match (self.op(x), &self.graph.node(x).args[..]) {
            (Op::Transpose, &[y]) => Some(y),
            _ => None,
        };
        let (left, right) = match (transposed(a), transposed(b)) {
            (None, Some(right)) => (a, right),
            (Some(left), None) if left == b && self.factor_of(left)?.0 == Factor::Eigenvectors => {
                return Some(self.intern(Op::Identity, &[], shape, at));
            }
            _ => return None,
        };
        // X Diag(w), as it is written or in a gradient, or X ∘ (𝟏 wᵀ), with a factor X.
        let scaled = |x: NodeId| match (self.op(x), &self.graph.node(x).args[..]) {
            (Op::MatMul, &[x, d]) if matches!(self.op(d), Op::Diag | Op::Spectral(Spectral::Diag)) => {
                Some((x, Some(self.graph.node(d).args.last().copied()?)))
            }
            (Op::Hadamard, &[x, y]) => {
                let (x, rows) = if self.factor_of(x).is_some() { (x, y) } else { (y, x) };
                // 𝟏 wᵀ is (w 𝟏ᵀ)ᵀ.
                let repeated = transposed(rows).unwrap_or(rows);
                match (self.op(repeated), &self.graph.node(repeated).args[..]) {
                    (Op::MatMul, &[w, ones]) if repeated != rows && self.is_ones(ones) => Some((x, Some(w))),
                    (Op::MatMul, &[ones, w]) if repeated == rows && self.is_ones(ones) => {
                        Some((x, Some(transposed(w)?)))
                    }
                    _ => None,
                }
            }
            _ => Some((x, None)),
        };
        let ((left, before), (right, after)) = (scaled(left)?, scaled(right)?);
        let values = match (before, after) {
            (Some(_), Some(_)) => return None,
            (before, after) => before.or(after),
        };
        let ((first, matrix), (second, same)) = (self.factor_of(left)?, self.factor_of(right)?);
        if matrix != same {
            return None;
        }
        let is_sigma = |x: NodeId| self.factor_of(x) == Some((Factor::SingularValues, matrix));
        let singular = match (first, second) {
            (Factor::LeftVectors, Factor::RightVectors) => false,
            (Factor::RightVectors, Factor::LeftVectors) => true,
            (Factor::Eigenvectors, Factor::Eigenvectors) => {
                return match values {
                    Some(values) => self.rebuilt(matrix, values, shape, at),
                    None => Some(self.intern(Op::Identity, &[], shape, at)),
                };
            }
            _ => return None,
        };
        let product = match values {
            Some(values) if is_sigma(values) => matrix,
            Some(_) => return None,
            None => {
                let shape = self.shape(matrix);
                self.normal(Op::Factor(Factor::Polar), &[matrix], shape, at)
            }
        };
        Some(if singular { self.flip(product, at) } else { product })
    }

    /// `V Diag(f(λ)) Vᵀ`, as a function of the matrix.
    fn rebuilt(&mut self, matrix: NodeId, values: NodeId, shape: Shape, at: At) -> Option<NodeId> {
        // Diag(λ) shows that its eigenvalues have been recorded.
        let key = Op::Factor(Factor::Eigenvalues);
        let column = Shape::new(shape.rows, 1);
        let eigenvalues = self.intern(key, &[matrix], column, at);
        let nodes = between(&self.graph, values, eigenvalues)?;
        let held = self.normal(Op::StopGradient, &[eigenvalues], column, at);
        let mut images = BTreeMap::from([(eigenvalues, held)]);
        for id in nodes {
            let (op, args) = (self.op(id), self.graph.node(id).args.clone());
            if id == eigenvalues || args.is_empty() {
                continue;
            }
            let args: Args = args.iter().map(|arg| images.get(arg).copied().unwrap_or(*arg)).collect();
            let image = self.normal(op, &args, column, at);
            images.insert(id, image);
        }
        let values = images.get(&values).copied().unwrap_or(values);
        Some(self.normal(Op::SymmetricFunction { order: 0, columns: 1 }, &[matrix, values], shape, at))
    }

    /// Whether this is a matrix of ones, or the transpose of one.
    fn is_ones(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        let under = node.args.first().filter(|_| node.op == Op::Transpose);
        node.op == Op::Ones || under.is_some_and(|&x| self.op(x) == Op::Ones)
    }

    /// Which factor this is, and of which matrix.
    fn factor_of(&self, id: NodeId) -> Option<(Factor, NodeId)> {
        match (self.op(id), &self.graph.node(id).args[..]) {
            (Op::Factor(factor), &[matrix]) => Some((factor, matrix)),
            _ => None,
        }
    }
}
