//! From expressions to instructions.
//!
//! A transpose is a view, a literal coefficient rides along until a kernel can take it into its `alpha`, ones
//! are a number that is read many times, and an identity is only ever added to a diagonal. Some nodes are
//! *deferred*: computed by their only user, which can do so without a temporary. A product is added into the
//! sum it belongs to, a chain of elementwise operations runs in one pass.

use crate::Error;
use crate::homes;
use crate::parallel;
use crate::plan::{
    Arg, Buffer, Elementwise, Input, Instruction, Kernel, Place, Plan, Repeat, Slot, Step, View,
};
use pullback_tape::{Graph, Node, NodeId, Op, Shape};
use std::collections::HashMap;

/// One elementwise pass has at most so many operations, which also bounds the recursion.
const LONGEST_CHAIN: u32 = 12;

/// A right factor stored by rows is copied if a row has so many bytes, ...
const LONG_ROW: usize = 1024;
/// ... and it has so many rows, ...
const DEEP: usize = 16;
/// ... and the left factor so many.
const TALL: usize = 64;

/// A matrix that is known up to a coefficient that is not applied yet.
#[derive(Clone, Copy)]
struct Value {
    alpha: f64,
    view: View,
}

struct Lowering<'g> {
    graph: &'g Graph,
    target: Target,
    uses: Vec<u32>,
    deferred: Vec<bool>,
    values: Vec<Option<Value>>,
    code: Vec<Instruction>,
    slots: Vec<Slot>,
    /// The node whose value, and nothing else, a buffer holds.
    owners: Vec<NodeId>,
    inputs: Vec<Input>,
    functions: Vec<String>,
    lu_of: HashMap<NodeId, (Buffer, usize)>,
    lus: Vec<usize>,
}

/// What a plan is made for.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The size of a number, in bytes.
    pub(crate) number: usize,
    /// Whether there is more than one thread.
    pub(crate) threads: bool,
}

pub(crate) fn lower(graph: Graph, declared: Vec<String>, target: Target) -> Result<Plan, Error> {
    let mut lowering = Lowering {
        graph: &graph,
        target,
        uses: vec![0; graph.nodes().len()],
        deferred: vec![false; graph.nodes().len()],
        values: vec![None; graph.nodes().len()],
        code: Vec::new(),
        slots: Vec::new(),
        owners: Vec::new(),
        inputs: Vec::new(),
        functions: Vec::new(),
        lu_of: HashMap::new(),
        lus: Vec::new(),
    };
    lowering.defer();
    for (id, node) in graph.iter() {
        if let Op::Symbol(name) = node.op {
            return Err(Error::Symbolic { name: graph.name(name).to_owned(), location: node.location });
        }
        // An identity is stored only if something asks for its entries.
        if !lowering.deferred[id.index()] && lowering.identity(id).is_none() {
            lowering.value(id);
        }
    }
    let outputs: Vec<View> = graph.outputs().iter().map(|&id| lowering.output(id)).collect();
    let Lowering { mut code, mut slots, inputs, functions, lus, .. } = lowering;

    let mut kept = vec![0; slots.len()];
    for buffer in outputs.iter().filter_map(View::buffer) {
        kept[buffer] += 1;
    }
    let kept_at_all: Vec<_> = kept.iter().map(|&count| count > 0).collect();
    let groups = if target.threads { parallel::groups(&mut code, &slots, target.number) } else { None };
    let groups = groups.unwrap_or_default();
    let arena = homes::assign(&mut code, &mut slots, &kept_at_all, &groups)?;
    for (i, view) in outputs.iter().enumerate() {
        if let Some(buffer) = view.buffer()
            && kept[buffer] == 1
        {
            slots[buffer].output = Some((i, view.transposed));
        }
    }
    Ok(Plan { code, groups, slots, arena, inputs, declared, functions, outputs, lus, graph })
}

impl<'g> Lowering<'g> {
    fn node(&self, id: NodeId) -> &'g Node {
        self.graph.node(id)
    }

    /// Decides which nodes are left to their only user. Users come before what they use.
    fn defer(&mut self) {
        for &output in self.graph.outputs() {
            self.uses[output.index()] += 1;
        }
        for (_, node) in self.graph.iter() {
            for arg in &node.args {
                self.uses[arg.index()] += 1;
            }
        }
        let mut is_output = vec![false; self.graph.nodes().len()];
        for &output in self.graph.outputs() {
            is_output[output.index()] = true;
        }
        let mut chain: Vec<NodeId> = self.graph.iter().map(|(id, _)| id).collect();
        let mut length = vec![1u32; self.graph.nodes().len()];
        for (id, node) in self.graph.iter().rev() {
            let root = chain[id.index()];
            let inlined = self.deferred[id.index()];
            let sum_of_products = node.op == Op::Add
                && !inlined
                && node.args.iter().any(|&arg| self.product(arg).is_some() || self.identity(arg).is_some());
            // A coefficient alone is no pass, unless the result has to be stored anyway.
            let pass = match node.op {
                Op::Scale(_) => inlined || is_output[id.index()],
                Op::Add => !sum_of_products,
                op => op.is_elementwise() || op == Op::ScaleBy,
            };
            for &arg in &node.args {
                if self.uses[arg.index()] != 1 {
                    continue;
                }
                let takes_product = sum_of_products || matches!(node.op, Op::Scale(_));
                let scaled = matches!(node.op, Op::Scale(_)) && self.is_reduction(arg);
                if takes_product && self.product(arg).is_some() || scaled && !inlined {
                    self.deferred[arg.index()] = true;
                    continue;
                }
                let fits = self.node(arg).shape == node.shape && length[root.index()] < LONGEST_CHAIN;
                if pass && fits && self.can_chain(arg) {
                    self.deferred[arg.index()] = true;
                    chain[arg.index()] = root;
                    length[root.index()] += 1;
                }
            }
        }
    }

    /// Whether a node may be computed inside its user's elementwise pass.
    fn can_chain(&self, id: NodeId) -> bool {
        let node = self.node(id);
        let identity = node.op == Op::Add && node.args.iter().any(|&arg| self.identity(arg).is_some());
        let product = matches!(node.op, Op::Scale(_)) && self.product(id).is_some();
        (node.op.is_elementwise() || node.op == Op::ScaleBy) && !identity && !product
    }

    /// `(c, product)` if the node is `c` times a matrix product that nobody else needs.
    fn product(&self, id: NodeId) -> Option<(f64, NodeId)> {
        let node = self.node(id);
        match (node.op, &node.args[..]) {
            _ if self.uses[id.index()] != 1 => None,
            (Op::MatMul, &[a, b]) => {
                // Sums and repetitions are not products once they are lowered.
                let ones = |id| self.node(id).op == Op::Ones;
                (!ones(a) && !ones(b)).then_some((1.0, id))
            }
            (Op::Scale(c), &[x]) if self.node(x).op == Op::MatMul => {
                self.product(x).map(|(_, product)| (c.value(), product))
            }
            _ => None,
        }
    }

    /// `(c, s)` if the node is `c s I`.
    fn identity(&self, id: NodeId) -> Option<(f64, Option<NodeId>)> {
        let node = self.node(id);
        match (node.op, &node.args[..]) {
            (Op::Identity, _) => Some((1.0, None)),
            (Op::ScaleBy, &[s, x]) if self.node(x).op == Op::Identity => Some((1.0, Some(s))),
            (Op::Scale(c), &[x]) if matches!(self.node(x).op, Op::Identity | Op::ScaleBy) => {
                self.identity(x).map(|(_, s)| (c.value(), s))
            }
            _ => None,
        }
    }

    // ---- emitting ----------------------------------------------------------------------------------------

    fn new_buffer(&mut self, shape: Shape, owner: NodeId) -> Buffer {
        self.slots.push(Slot { shape, offset: 0, output: None });
        self.owners.push(owner);
        self.slots.len() - 1
    }

    fn emit_to(&mut self, dst: Buffer, node: NodeId, kernel: Kernel) -> View {
        self.code.push(Instruction { kernel, dst, node });
        View::whole(Place::Buffer(dst), self.slots[dst].shape)
    }

    fn emit(&mut self, node: NodeId, shape: Shape, kernel: Kernel) -> View {
        let dst = self.new_buffer(shape, node);
        self.emit_to(dst, node, kernel)
    }

    /// A view with the coefficient applied.
    fn applied(&mut self, value: Value, node: NodeId) -> View {
        if value.alpha == 1.0 { value.view } else { self.copy(value, node) }
    }

    fn copy(&mut self, Value { alpha, view }: Value, node: NodeId) -> View {
        self.emit(node, view.shape, Kernel::Copy { a: view, alpha })
    }

    /// A buffer with the value of `id` that may be overwritten: its own if nobody else reads it.
    fn writable(&mut self, id: NodeId, for_node: NodeId) -> Buffer {
        let value = self.value(id);
        let whole = !value.view.transposed && value.view.repeat == Repeat::No && value.alpha == 1.0;
        match value.view.buffer() {
            Some(buffer) if whole && self.uses[id.index()] == 1 && self.owners[buffer] == id => {
                self.owners[buffer] = for_node;
                buffer
            }
            _ => {
                let copy = self.copy(value, for_node);
                copy.buffer().unwrap_or_default()
            }
        }
    }

    /// What an output is read from: a buffer that holds it whole, or transposed.
    fn output(&mut self, id: NodeId) -> View {
        let value = self.value(id);
        let stored = value.view.buffer().is_some() && value.view.repeat == Repeat::No && value.alpha == 1.0;
        if stored { value.view } else { self.copy(value, id) }
    }

    // ---- nodes -------------------------------------------------------------------------------------------

    fn value(&mut self, id: NodeId) -> Value {
        if let Some(value) = self.values[id.index()] {
            return value;
        }
        let value = self.lowered(id);
        self.values[id.index()] = Some(value);
        value
    }

    fn lowered(&mut self, id: NodeId) -> Value {
        let node = self.node(id);
        let shape = node.shape;
        let plain = |view: View| Value { alpha: 1.0, view };
        match (node.op, &node.args[..]) {
            (Op::Input(name), _) => {
                let name = self.graph.name(name).to_owned();
                self.inputs.push(Input { name, shape, node: id });
                plain(View::whole(Place::Input(self.inputs.len() - 1), shape))
            }
            (Op::Scalar(c), _) => Value { alpha: c.value(), view: View::ones(shape) },
            (Op::Ones, _) => plain(View::ones(shape)),
            (Op::Identity, _) => {
                let dst =
                    self.copy(Value { alpha: 0.0, view: View::ones(shape) }, id).buffer().unwrap_or_default();
                plain(self.emit_to(dst, id, Kernel::AddIdentity { alpha: 1.0, factor: None }))
            }
            (Op::Transpose, &[x]) => {
                let x = self.value(x);
                Value { view: x.view.transpose(), ..x }
            }
            (Op::Scale(c), &[x]) => match self.product(x) {
                Some((_, product)) if self.deferred[x.index()] => {
                    plain(self.matmul(product, c.value(), None, id))
                }
                _ if self.deferred[x.index()] && self.is_reduction(x) => {
                    plain(self.reduction(x, c.value(), id))
                }
                _ if self.deferred[x.index()] => plain(self.pass(id)),
                _ => {
                    let x = self.value(x);
                    Value { alpha: c.value() * x.alpha, ..x }
                }
            },
            (Op::MatMul, &[a, b]) => self.product_value(id, a, b),
            (Op::Add, &[a, b]) => {
                let in_place = |x: NodeId| {
                    self.identity(x).is_some() || self.deferred[x.index()] && self.product(x).is_some()
                };
                if in_place(a) || in_place(b) {
                    plain(self.accumulated(id, a, b))
                } else {
                    plain(self.pass(id))
                }
            }
            (Op::Hadamard | Op::Quotient | Op::ScaleBy | Op::Map(_), _) => plain(self.pass(id)),
            (Op::Inner | Op::Trace | Op::Norm, _) => plain(self.reduction(id, 1.0, id)),
            (Op::LogSumExp, &[a]) => {
                let a = self.value(a);
                let a = self.applied(a, id);
                plain(self.emit(id, shape, Kernel::LogSumExp { a }))
            }
            (Op::Softmax, &[a]) => {
                let a = self.value(a);
                let a = self.applied(a, id);
                plain(self.emit(id, shape, Kernel::Softmax { a }))
            }
            (Op::Inverse, &[a]) => {
                let ((factors, lu), transposed) = self.factorized(a, id);
                let inverse = self.emit(id, shape, Kernel::Inverse { factors, lu });
                plain(if transposed { inverse.transpose() } else { inverse })
            }
            (Op::Det, &[a]) => {
                let ((factors, lu), _) = self.factorized(a, id);
                plain(self.emit(id, shape, Kernel::Det { factors, lu }))
            }
            (Op::LogDet, &[a]) => {
                let ((factors, lu), _) = self.factorized(a, id);
                plain(self.emit(id, shape, Kernel::LogDet { factors, lu }))
            }
            (Op::Solve, &[a, b]) => {
                let ((factors, lu), transposed) = self.factorized(a, id);
                let dst = self.writable(b, id);
                plain(self.emit_to(dst, id, Kernel::Solve { factors, lu, transposed }))
            }
            (Op::Opaque { name, order }, args) => {
                let name = self.graph.name(name);
                let function = match self.functions.iter().position(|known| known == name) {
                    Some(function) => function,
                    None => {
                        self.functions.push(name.to_owned());
                        self.functions.len() - 1
                    }
                };
                let args = args
                    .iter()
                    .map(|&arg| {
                        let arg = self.value(arg);
                        self.applied(arg, id)
                    })
                    .collect();
                plain(self.emit(id, shape, Kernel::Opaque { function, order, args }))
            }
            // Zeros, and nothing else: every op has its arity.
            _ => Value { alpha: 0.0, view: View::ones(shape) },
        }
    }

    /// `alpha` times the reduction `id`, stored for `node`.
    fn reduction(&mut self, id: NodeId, alpha: f64, node: NodeId) -> View {
        let reduction = self.node(id);
        let args: Vec<Value> = reduction.args.iter().map(|&arg| self.value(arg)).collect();
        let kernel = match (reduction.op, &args[..]) {
            (Op::Trace, &[a]) => Kernel::Trace { a: a.view, alpha: alpha * a.alpha },
            (Op::Inner, &[a, b]) => {
                let alpha = alpha * a.alpha * b.alpha;
                match (a.view, b.view) {
                    (ones, a) | (a, ones) if ones.is_ones() => Kernel::Sum { a, alpha },
                    (a, b) => Kernel::Inner { a, b, alpha },
                }
            }
            (_, &[a, ..]) => Kernel::Norm { a: a.view, alpha: alpha * a.alpha.abs() },
            (_, []) => Kernel::Sum { a: View::ones(Shape::new(0, 0)), alpha },
        };
        self.emit(node, Shape::SCALAR, kernel)
    }

    fn is_reduction(&self, id: NodeId) -> bool {
        matches!(self.node(id).op, Op::Inner | Op::Trace | Op::Norm)
    }

    /// `A B`, where sums are products with ones and repetitions are views.
    fn product_value(&mut self, id: NodeId, a: NodeId, b: NodeId) -> Value {
        let shape = self.node(id).shape;
        let inner = self.node(a).shape.cols;
        let (ones_a, ones_b) = (self.node(a).op == Op::Ones, self.node(b).op == Op::Ones);
        if !ones_a && !ones_b {
            return Value { alpha: 1.0, view: self.matmul(id, 1.0, None, id) };
        }
        let x = self.value(if ones_a { b } else { a });
        let line = if ones_a { Shape::new(1, shape.cols) } else { Shape::new(shape.rows, 1) };
        if inner == 1 {
            return Value { view: x.view.repeated(shape), ..x };
        }
        let (lhs, rhs) = if ones_a {
            (View::ones(Shape::new(1, inner)), x.view)
        } else {
            (x.view, View::ones(Shape::new(inner, 1)))
        };
        let kernel = Kernel::MatMul { lhs, rhs, alpha: x.alpha, accumulate: false };
        Value { alpha: 1.0, view: self.emit(id, line, kernel).repeated(shape) }
    }

    /// The product node `id` times `alpha`, stored for `node` or added to `dst`.
    fn matmul(&mut self, id: NodeId, alpha: f64, dst: Option<Buffer>, node: NodeId) -> View {
        let product = self.node(id);
        let (Some(&a), Some(&b)) = (product.args.first(), product.args.get(1)) else {
            return View::ones(product.shape);
        };
        let (a, b) = (self.value(a), self.value(b));
        let (alpha, accumulate) = (alpha * a.alpha * b.alpha, dst.is_some());
        let rhs = self.by_columns(b.view, product.shape, node);
        let kernel = Kernel::MatMul { lhs: a.view, rhs, alpha, accumulate };
        match dst {
            Some(dst) => self.emit_to(dst, node, kernel),
            None => self.emit(node, product.shape, kernel),
        }
    }

    /// The right factor of a product: a copy if it is stored by rows and copying takes less time than what faer
    /// would lose by reading it in that order.
    ///
    /// faer's kernels read it four columns at a time without packing it. Stored by rows those four numbers are
    /// neighbours, and the next four are a whole row away: a 512×512 `A Bᵀ` of `f64` runs at 0.6 times the speed
    /// of `A B` (Zen 3), and the copy takes a twentieth of the time.
    fn by_columns(&mut self, rhs: View, product: Shape, node: NodeId) -> View {
        let row = rhs.shape.cols.saturating_mul(self.target.number);
        let long = row >= LONG_ROW && rhs.shape.rows >= DEEP && product.rows >= TALL;
        if long && rhs.transposed && rhs.repeat == Repeat::No {
            return self.copy(Value { alpha: 1.0, view: rhs }, node);
        }
        rhs
    }

    /// `a + b` where one or both are products, added in place, or multiples of the identity.
    fn accumulated(&mut self, id: NodeId, a: NodeId, b: NodeId) -> View {
        let mut dst: Option<Buffer> = None;
        let deferred = |this: &Self, x: NodeId| this.deferred[x.index()] && this.product(x).is_some();
        // What is no product and no identity comes first: it fills the buffer.
        for x in [a, b] {
            if !deferred(self, x) && self.identity(x).is_none() {
                dst = Some(self.writable(x, id));
            }
        }
        for x in [a, b] {
            if deferred(self, x)
                && let Some((c, product)) = self.product(x)
            {
                dst = self.matmul(product, c, dst, id).buffer();
            }
        }
        for x in [a, b] {
            let Some((alpha, s)) = self.identity(x) else { continue };
            let buffer = match dst {
                Some(buffer) => buffer,
                None => {
                    let zeros = Value { alpha: 0.0, view: View::ones(self.node(id).shape) };
                    self.copy(zeros, id).buffer().unwrap_or_default()
                }
            };
            let factor = s.map(|s| self.value(s));
            let alpha = alpha * factor.map_or(1.0, |factor| factor.alpha);
            let factor = factor.map(|factor| factor.view);
            dst = self.emit_to(buffer, id, Kernel::AddIdentity { alpha, factor }).buffer();
        }
        View::whole(Place::Buffer(dst.unwrap_or_default()), self.node(id).shape)
    }

    /// The LU factors of a matrix, shared by all that need them, and whether those of its transpose are meant.
    fn factorized(&mut self, id: NodeId, for_node: NodeId) -> ((Buffer, usize), bool) {
        let node = self.node(id);
        let (matrix, transposed) = match (node.op, node.args.first()) {
            (Op::Transpose, Some(&x)) => (x, true),
            _ => (id, false),
        };
        if let Some(&factors) = self.lu_of.get(&matrix) {
            return (factors, transposed);
        }
        let Value { alpha, view: a } = self.value(matrix);
        let lu = self.lus.len();
        self.lus.push(a.shape.rows);
        let dst = self.new_buffer(a.shape, for_node);
        self.emit_to(dst, for_node, Kernel::Factorize { a, alpha, lu });
        self.lu_of.insert(matrix, (dst, lu));
        ((dst, lu), transposed)
    }

    // ---- elementwise passes ------------------------------------------------------------------------------

    /// One pass for `root` and what was deferred to it.
    fn pass(&mut self, root: NodeId) -> View {
        let mut pass = Elementwise::default();
        let (c, arg) = self.step(root, root, &mut pass);
        if c != 1.0 || matches!(arg, Arg::Operand(_)) {
            pass.steps.push((Step::Scale(c, arg), Some(root)));
        }
        self.emit(root, self.node(root).shape, Kernel::Elementwise(Box::new(pass)))
    }

    /// Adds the steps for `id` to a pass; returns a coefficient and the step that holds the rest.
    fn step(&mut self, id: NodeId, root: NodeId, pass: &mut Elementwise) -> (f64, Arg) {
        let node = self.node(id);
        let inside = id == root
            || self.deferred[id.index()] && self.can_chain(id) && node.shape == self.node(root).shape;
        let step = match (node.op, &node.args[..]) {
            (Op::Scale(c), &[x]) if inside => {
                let (d, x) = self.step(x, root, pass);
                return (c.value() * d, x);
            }
            (Op::Add, &[a, b]) if inside => {
                let ((c, a), (d, b)) = (self.step(a, root, pass), self.step(b, root, pass));
                Step::Add(c, a, d, b)
            }
            (Op::Hadamard, &[a, b]) if inside => {
                let ((c, a), (d, b)) = (self.step(a, root, pass), self.step(b, root, pass));
                Step::Mul(c * d, a, b)
            }
            (Op::ScaleBy, &[s, x]) if inside => {
                let s = self.value(s);
                let factor = self.operand(s.view.repeated(node.shape), pass);
                let (d, x) = self.step(x, root, pass);
                Step::Mul(s.alpha * d, factor, x)
            }
            (Op::Quotient, &[a, b]) if inside => {
                let ((c, a), (d, b)) = (self.step(a, root, pass), self.step(b, root, pass));
                Step::Div(c / d, a, b)
            }
            (Op::Map(f), &[x]) if inside => {
                let (c, mut x) = self.step(x, root, pass);
                if c != 1.0 {
                    pass.steps.push((Step::Scale(c, x), None));
                    x = Arg::Step(pass.steps.len() - 1);
                }
                Step::Map(f, x)
            }
            _ => {
                let Value { alpha, view } = self.value(id);
                return (alpha, self.operand(view, pass));
            }
        };
        pass.steps.push((step, Some(id)));
        (1.0, Arg::Step(pass.steps.len() - 1))
    }

    fn operand(&mut self, view: View, pass: &mut Elementwise) -> Arg {
        if let Some(known) = pass.operands.iter().position(|known| *known == view) {
            return Arg::Operand(known);
        }
        pass.operands.push(view);
        Arg::Operand(pass.operands.len() - 1)
    }
}
