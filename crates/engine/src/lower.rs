//! From expressions to instructions.
//!
//! A transpose is a view, and so is a part of a matrix, a literal coefficient rides along until a kernel can take it into its
//! `alpha`, ones are a number that is read many times, and an identity is only ever added to a diagonal. Some nodes are
//! *deferred*: computed by their only user, which can do so without a temporary. A product is added into the
//! sum it belongs to, a chain of elementwise operations runs in one pass.

use crate::Error;
use crate::brief::Stretches;
use crate::kernels::arrange::Triangle;
use crate::kernels::triangular::Parts;
use crate::kernels::{reduce, small};
use crate::plan::{
    Arg, Around, Buffer, Elementwise, Factorization, Group, Input, Instruction, Kernel, Method, Place, Plan,
    Repeat, Slot, Step, View,
};
use crate::recompute::{self, Cuts};
use crate::routine::{Decomposition, Routine};
use crate::{homes, parallel};
use pullback_tape::{Factor, Graph, Indices, Node, NodeId, Op, Shape, Structure};
use smallvec::{SmallVec, smallvec};
use std::collections::{HashMap, HashSet};

/// One elementwise pass has at most so many operations, which also bounds the recursion.
const LONGEST_CHAIN: u32 = 12;

/// A right factor stored by rows is copied if a row has so many bytes, ...
const LONG_ROW: usize = 1024;
/// ... and it has so many rows, ...
const DEEP: usize = 16;
/// ... and the left factor so many.
const TALL: usize = 64;

/// Smaller symmetric products are computed whole: that takes no longer than half of them and a copy.
const FROM_SYMMETRIC: usize = 32;

/// A matrix that is known up to a coefficient that is not applied yet.
#[derive(Clone, Copy)]
struct Value {
    alpha: f64,
    view: View,
}

/// What a plan is made for.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The size of a number, in bytes.
    pub(crate) number: usize,
    /// The number of threads to run on.
    pub(crate) threads: usize,
    /// Whether values may be computed again to save memory.
    pub(crate) recompute: bool,
}

/// A matrix of zeros and ones that is not stored.
#[derive(Clone, Copy)]
enum Pattern {
    /// Rows of the identity matrix, or the transpose of them.
    Selection {
        rows: Indices,
        back: bool,
        /// Where they begin, if they follow each other.
        start: Option<usize>,
    },
    Triangle(Triangle),
}

struct Lowering<'g> {
    graph: &'g Graph,
    target: Target,
    /// Whether a node is computed once for all runs.
    constant: Vec<bool>,
    uses: Vec<u32>,
    /// Whether some node that is not constant, or the caller, reads it.
    runs_read: Vec<bool>,
    deferred: Vec<bool>,
    /// Sums that are deferred to the sum, or the multiple of a sum, which they belong to.
    joined: Vec<bool>,
    values: Vec<Option<Value>>,
    /// Where the rows of a selection begin, if they follow each other.
    starts: Vec<Option<usize>>,
    code: Vec<Instruction>,
    slots: Vec<Slot>,
    /// The node whose value, and nothing else, a buffer holds.
    owners: Vec<NodeId>,
    inputs: Vec<Input>,
    functions: Vec<String>,
    factors_of: HashMap<(NodeId, Method), (Buffer, usize)>,
    factorizations: Vec<Factorization>,
    /// Columns with all factors of a matrix.
    decompositions: HashMap<(NodeId, Decomposition), View>,
    /// Whether somebody asks where the columns of a node are largest, and the answers, with what they are about.
    is_argmax_of: Vec<bool>,
    positions_of: HashMap<NodeId, (View, View)>,
    /// The matrices of which vectors of a decomposition are needed, not only values.
    vectors: HashSet<(NodeId, Decomposition)>,
    /// The products of which a multiple is an output, and others need them too: by which power of two they are multiplied.
    multiples: HashMap<NodeId, (f64, NodeId)>,
    /// The nodes that are Cholesky's factors, by their matrices.
    triangles: HashMap<NodeId, NodeId>,
}

pub(crate) fn lower(graph: Graph, declared: Vec<String>, target: Target) -> Result<Plan, Error> {
    let mut lowering = Lowering {
        graph: &graph,
        target,
        constant: graph.nodes().iter().map(|node| node.constant).collect(),
        uses: vec![0; graph.nodes().len()],
        runs_read: vec![false; graph.nodes().len()],
        deferred: vec![false; graph.nodes().len()],
        joined: vec![false; graph.nodes().len()],
        values: vec![None; graph.nodes().len()],
        starts: graph.nodes().iter().map(|node| start_of_run(&graph, node)).collect(),
        code: Vec::new(),
        slots: Vec::new(),
        owners: Vec::new(),
        inputs: Vec::new(),
        functions: Vec::new(),
        factors_of: HashMap::new(),
        factorizations: Vec::new(),
        decompositions: HashMap::new(),
        is_argmax_of: vec![false; graph.nodes().len()],
        positions_of: HashMap::new(),
        vectors: graph.nodes().iter().filter_map(|node| vectors(&graph, node)).collect(),
        multiples: {
            let multiple = |&id: &NodeId| match (graph.node(id).op, &graph.node(id).args[..]) {
                (Op::Scale(c), &[x]) if is_power_of_two(c.value()) => Some((x, (c.value(), id))),
                _ => None,
            };
            graph.outputs().iter().filter_map(multiple).collect()
        },
        triangles: {
            let factors = graph.iter().filter(|(_, node)| node.op == Op::Cholesky);
            factors.filter_map(|(id, node)| Some((*node.args.first()?, id))).collect()
        },
    };
    for node in graph.nodes() {
        if let (Op::ColArgmax, &[x]) = (node.op, &node.args[..]) {
            lowering.is_argmax_of[x.index()] = true;
        }
    }
    lowering.defer();
    for (id, node) in graph.iter() {
        if let Op::Symbol(name) = node.op {
            return Err(Error::Symbolic { name: graph.name(name).to_owned(), location: node.location });
        }
        // What is known without being stored is stored only if something asks for its entries.
        let known = lowering.identity(id).is_some()
            || lowering.pattern(id).is_some()
            || lowering.argmax(id).is_some()
            || lowering.window(id).is_some()
            || lowering.picked_columns(id).is_some();
        if !lowering.deferred[id.index()] && !known {
            lowering.value(id);
        }
    }
    let outputs: Vec<View> = graph.outputs().iter().map(|&id| lowering.output(id)).collect();
    let constant_buffers: Vec<bool> =
        lowering.owners.iter().map(|owner| lowering.constant[owner.index()]).collect();
    let Lowering { mut code, mut slots, inputs, functions, mut factorizations, .. } = lowering;
    read_copies(&mut code, &outputs);
    // The order among constants, and among the others, stays what it is.
    code.sort_by_key(|instruction| !constant_buffers[instruction.dst]);
    let constants = code.iter().filter(|instruction| constant_buffers[instruction.dst]).count();

    let mut shown = vec![0; slots.len()];
    for buffer in outputs.iter().filter_map(View::buffer) {
        shown[buffer] += 1;
    }
    let mut kept: Vec<bool> =
        shown.iter().zip(&constant_buffers).map(|(&shown, &constant)| shown > 0 || constant).collect();
    let mut arena = homes::assign(&mut code, &mut slots, &kept, &[])?;
    let checkpoint = |node: NodeId| graph.node(node).checkpoint;
    let cuts = match graph.nodes().iter().any(|node| node.checkpoint) {
        true => Some(Cuts::After(&checkpoint)),
        false => target.recompute.then_some(Cuts::Even),
    };
    if let Some(cuts) = cuts
        && let Some(smaller) = recompute::recompute(&code, &slots, &kept, &factorizations, arena, cuts)?
    {
        (code, slots, factorizations, arena) = smaller;
        kept.resize(slots.len(), false);
    }
    let mut groups = Vec::new();
    if target.threads > 1
        && let Some(found) = parallel::groups(&mut code[constants..], &slots, target.number, target.threads)
    {
        groups = found;
        for Group { members, .. } in &mut groups {
            *members = members.start + constants..members.end + constants;
        }
        arena = homes::assign(&mut code, &mut slots, &kept, &groups)?;
    }
    for (i, view) in outputs.iter().enumerate() {
        if let Some(buffer) = view.buffer()
            && shown[buffer] == 1
            && !constant_buffers[buffer]
        {
            slots[buffer].output = Some((i, view.transposed));
        }
    }
    let stretches = Stretches::new(&code[constants..], &mut slots, &inputs, arena);
    Ok(Plan {
        stretches,
        code,
        constants,
        groups,
        slots,
        arena,
        inputs,
        declared,
        functions,
        outputs,
        factorizations,
        graph,
    })
}

/// Whether multiplying by a number and dividing by it again changes nothing.
fn is_power_of_two(x: f64) -> bool {
    // Neither is subnormal.
    let usual = (1e-30..1e30).contains(&x.abs());
    usual && x.abs().log2().fract() == 0.0
}

/// The matrix and the decomposition of which a node needs vectors.
fn vectors(graph: &Graph, node: &Node) -> Option<(NodeId, Decomposition)> {
    let &matrix = node.args.first()?;
    match node.op {
        Op::SymmetricFunction { .. } => Some((matrix, Decomposition::Eigen)),
        Op::Factor(factor) => {
            let shape = graph.node(matrix).shape;
            let (decomposition, start) = Decomposition::of(factor, shape);
            (start > 0 || Routine::of_factors(factor, shape).is_some()).then_some((matrix, decomposition))
        }
        _ => None,
    }
}

/// Lets inner products of matrices that are stored in different orders read one of them from its copy, if that is an
/// output: copies to the caller's matrices are often made across storage orders, and then the orders agree.
fn read_copies(code: &mut [Instruction], outputs: &[View]) {
    let copied = |instruction: &Instruction, view: &View| match &instruction.kernel {
        Kernel::Copy { a, alpha: 1.0 } => {
            let output = outputs.iter().any(|output| output.buffer() == Some(instruction.dst));
            let same = a.place == view.place && a.window == view.window && a.repeat == view.repeat;
            (output && same).then_some(a.transposed)
        }
        _ => None,
    };
    for k in 0..code.len() {
        let Kernel::Inner { a, b, .. } = &code[k].kernel else { continue };
        let is_input = |view: &View| {
            let matrix = view.shape.rows.min(view.shape.cols) > 1;
            matches!(view.place, Place::Input(_)) && view.repeat == Repeat::No && matrix
        };
        if a.transposed == b.transposed || !is_input(a) || !is_input(b) {
            continue;
        }
        let find = |(other, view): (View, View)| {
            let (at, turned) = (k + 1..code.len()).find_map(|at| Some((at, copied(&code[at], &view)?)))?;
            let place = Place::Buffer(code[at].dst);
            let transposed = view.transposed != turned;
            Some((at, other, View { place, window: None, transposed, ..view }))
        };
        let Some((at, other, copy)) = [(*a, *b), (*b, *a)].into_iter().find_map(find) else { continue };
        if let Kernel::Inner { a, b, .. } = &mut code[k].kernel {
            // The kernel follows the order of the first.
            (*a, *b) = (other, copy);
        }
        // The copy comes first.
        code[k..=at].rotate_right(1);
    }
}

/// Where the rows that a node selects begin, if they follow each other.
fn start_of_run(graph: &Graph, node: &Node) -> Option<usize> {
    let Op::Selection(rows) = node.op else { return None };
    let rows = graph.indices(rows);
    let start = rows.first().copied().unwrap_or(0);
    rows.iter().zip(start..).all(|(&row, next)| row == next).then_some(start)
}

impl<'g> Lowering<'g> {
    /// Whether what `user` needs can be left to it: nobody else reads it, it is not computed once for all runs, and it is no
    /// checkpoint, which has to be stored.
    fn can_defer(&self, id: NodeId, user: NodeId) -> bool {
        let same_time = self.constant[id.index()] == self.constant[user.index()];
        self.uses[id.index()] == 1 && same_time && !self.node(id).checkpoint
    }

    fn node(&self, id: NodeId) -> &'g Node {
        self.graph.node(id)
    }

    /// Decides which nodes are left to their only user. Users come before what they use.
    fn defer(&mut self) {
        for &output in self.graph.outputs() {
            self.uses[output.index()] += 1;
            self.runs_read[output.index()] = true;
        }
        for (id, node) in self.graph.iter().rev() {
            // What is not computed is seen through: who reads a transpose reads what is under it.
            let repeats = |&arg: &NodeId| self.node(arg).op == Op::Ones;
            let is_view = matches!(node.op, Op::Transpose | Op::Scale(_) | Op::ScaleBy)
                || self.window(id).is_some()
                || self.picked_columns(id).is_some()
                || node.op == Op::MatMul && node.args.iter().any(repeats);
            let passes_on = is_view && self.runs_read[id.index()];
            for (slot, arg) in node.args.iter().enumerate() {
                self.uses[arg.index()] += 1;
                // Of a matrix that is factorized nothing but the factors is read.
                let factorized = match node.op {
                    Op::Inverse | Op::Cholesky | Op::Factor(_) | Op::Det | Op::LogDet => true,
                    Op::Solve | Op::LeastSquares | Op::SymmetricFunction { .. } => slot == 0,
                    _ => false,
                };
                self.runs_read[arg.index()] |= passes_on || !self.constant[id.index()] && !factorized;
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
            let sum_of_products = self.is_sum_of_products(id) && (!inlined || self.joined[id.index()]);
            // A coefficient alone is no pass, unless the result has to be stored anyway.
            let pass = match node.op {
                Op::Scale(_) => inlined || is_output[id.index()],
                Op::Add => !sum_of_products,
                Op::Hadamard if self.is_masked(id) => false,
                op => op.is_elementwise() || op == Op::ScaleBy || self.scales(id).is_some(),
            };
            if let Some((_, x)) = self.mirrored(id) {
                for &arg in &node.args {
                    let (triangle, _) = self.under_transpose(arg);
                    self.deferred[arg.index()] = true;
                    self.deferred[triangle.index()] = true;
                }
                let same_time = self.constant[x.index()] == self.constant[id.index()];
                self.deferred[x.index()] = same_time && self.uses[x.index()] == 2 && self.has_triangle(x);
                continue;
            }
            if let Some((_, x)) = self.masks(id)
                && self.can_defer(x, id)
                && self.has_triangle(x)
            {
                self.deferred[x.index()] = true;
                continue;
            }
            let summed = self.summed(id);
            for &arg in &node.args {
                // What is to be kept has to be stored.
                if self.node(arg).checkpoint {
                    continue;
                }
                // A square of a sum's terms is one argument twice.
                let here = node.args.iter().filter(|&&other| other == arg).count();
                let same_time = self.constant[arg.index()] == self.constant[id.index()];
                if summed && same_time && self.uses[arg.index()] as usize == here {
                    if self.can_chain(arg)
                        && length[root.index()] < LONGEST_CHAIN
                        && !self.deferred[arg.index()]
                    {
                        self.deferred[arg.index()] = true;
                        chain[arg.index()] = root;
                        length[root.index()] += 1;
                    }
                    continue;
                }
                if !self.can_defer(arg, id) {
                    continue;
                }
                // Columns of a pass are added to where they go.
                let scaled = matches!(self.node(arg).op, Op::Scale(_));
                if self.columns_put_back(id).is_some_and(|(x, _)| x == arg) && self.can_chain(arg) && !scaled
                {
                    self.deferred[arg.index()] = true;
                    continue;
                }
                // What is put back by rows and by columns goes to its place at once.
                if self.put_back(id).is_some() && self.put_back(arg).is_some() {
                    self.deferred[arg.index()] = true;
                    continue;
                }
                let scale = matches!(node.op, Op::Scale(_));
                let passes_on = scale || node.op == Op::Transpose;
                let halved = self.masks(arg).is_some() || self.mirrored(arg).is_some();
                let scaled = scale && (self.is_reduction(arg) || halved);
                let added = if sum_of_products || inlined && passes_on {
                    self.addend(arg, id).or_else(|| self.term(arg, id)).is_some()
                } else {
                    scale && self.term(arg, id).is_some()
                };
                if added || scaled && !inlined {
                    self.deferred[arg.index()] = true;
                    continue;
                }
                // A sum takes in the sums that it consists of. A coefficient that would otherwise cost a pass of
                // its own goes to the terms of the sum.
                let joins = sum_of_products && self.plain(arg) == 0
                    || scale && is_output[id.index()] && !inlined && self.plain(arg) <= 1;
                // In what is symmetric, half is enough; in what is not, it stays a term of its own.
                let halves = self.is_symmetric(id) == self.is_symmetric(arg);
                if joins && halves && self.is_sum_of_products(arg) {
                    self.deferred[arg.index()] = true;
                    self.joined[arg.index()] = true;
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

    /// Whether a node is a sum to which a product, or a multiple of the identity, can be added in place.
    fn is_sum_of_products(&self, id: NodeId) -> bool {
        let node = self.node(id);
        let in_place = |&arg: &NodeId| self.addend(arg, id).is_some() || self.identity(arg).is_some();
        node.op == Op::Add && node.args.iter().any(in_place)
    }

    /// How many operands of a sum cannot be added in place.
    fn plain(&self, sum: NodeId) -> usize {
        let in_place = |&arg: &NodeId| self.addend(arg, sum).is_some() || self.identity(arg).is_some();
        self.node(sum).args.iter().filter(|arg| !in_place(arg)).count()
    }

    /// Whether a node adds up the entries of its arguments, or their products.
    fn summed(&self, id: NodeId) -> bool {
        self.node(id).op == Op::Inner
    }

    /// Whether a node may be computed inside its user's elementwise pass.
    fn can_chain(&self, id: NodeId) -> bool {
        let node = self.node(id);
        let identity = node.op == Op::Add && node.args.iter().any(|&arg| self.identity(arg).is_some());
        let product = matches!(node.op, Op::Scale(_)) && self.term(id, id).is_some();
        let entrywise = node.op.is_elementwise() || node.op == Op::ScaleBy || self.scales(id).is_some();
        entrywise && !identity && !product && !self.is_masked(id) && self.mirrored(id).is_none()
    }

    /// What is known of a node that is a selection or a triangle of ones, or the transpose of one.
    fn pattern(&self, id: NodeId) -> Option<Pattern> {
        let node = self.node(id);
        match (node.op, node.args.first()) {
            (Op::Selection(rows), _) => {
                Some(Pattern::Selection { rows, back: false, start: self.starts[id.index()] })
            }
            (Op::Triangle { strict }, _) => Some(Pattern::Triangle(Triangle { upper: false, strict })),
            (Op::Transpose, Some(&x)) => self.pattern(x).map(|pattern| match pattern {
                Pattern::Selection { rows, back, start } => Pattern::Selection { rows, back: !back, start },
                Pattern::Triangle(part) => Pattern::Triangle(part.transposed()),
            }),
            _ => None,
        }
    }

    fn triangle(&self, id: NodeId) -> Option<Triangle> {
        match self.pattern(id) {
            Some(Pattern::Triangle(part)) => Some(part),
            _ => None,
        }
    }

    /// The triangle and the matrix, if a node is an entrywise product of the two.
    fn masks(&self, id: NodeId) -> Option<(Triangle, NodeId)> {
        let node = self.node(id);
        let (Op::Hadamard, &[a, b]) = (node.op, &node.args[..]) else { return None };
        self.triangle(a).map(|part| (part, b)).or(self.triangle(b).map(|part| (part, a)))
    }

    /// The X of an `argmax(X)`, or the transpose of one, and whether it is that.
    fn argmax(&self, id: NodeId) -> Option<(NodeId, bool)> {
        let node = self.node(id);
        match (node.op, node.args.first()) {
            (Op::ColArgmax, Some(&x)) => Some((x, false)),
            (Op::Transpose, Some(&y)) => self.argmax(y).map(|(x, transposed)| (x, !transposed)),
            _ => None,
        }
    }

    /// The same of an entrywise product with one, and the other factor.
    fn at_maxima(&self, id: NodeId) -> Option<(NodeId, bool, NodeId)> {
        let node = self.node(id);
        let (Op::Hadamard, &[a, b]) = (node.op, &node.args[..]) else { return None };
        let ((x, transposed), y) = self.argmax(a).zip(Some(b)).or(self.argmax(b).zip(Some(a)))?;
        Some((x, transposed, y))
    }

    /// Whether most entries of an entrywise product are 0 and need not be computed.
    fn is_masked(&self, id: NodeId) -> bool {
        self.masks(id).is_some() || self.at_maxima(id).is_some()
    }

    /// A triangle and the matrix it belongs to, if a node is the sum of this triangle and, strictly above or below the diagonal,
    /// its mirror image: `tril(A) + tril(A, −1)ᵀ`, of which nobody needs the terms.
    fn mirrored(&self, id: NodeId) -> Option<(Triangle, NodeId)> {
        let node = self.node(id);
        let (Op::Add, &[a, b]) = (node.op, &node.args[..]) else { return None };
        let term = |id: NodeId| {
            let (x, transposed) = self.under_transpose(id);
            let (part, matrix) = self.masks(x)?;
            let alone = self.can_defer(id, a) && self.can_defer(x, a);
            alone.then_some((part, matrix, transposed))
        };
        let ((p, x, x_turned), (q, y, y_turned)) = (term(a)?, term(b)?);
        let halves = p.upper == q.upper && p.strict != q.strict && x_turned != y_turned;
        let same_time = self.constant[a.index()] == self.constant[id.index()];
        (x == y && halves && same_time).then_some((Triangle { strict: false, ..p }, x))
    }

    /// Whether a node is a product of which a triangle takes less time than the whole.
    fn has_triangle(&self, id: NodeId) -> bool {
        let node = self.node(id);
        let (Op::MatMul, &[a, b]) = (node.op, &node.args[..]) else { return false };
        let other = |id| matches!(self.node(id).op, Op::Ones | Op::Diag) || self.pattern(id).is_some();
        let large = node.shape.rows >= FROM_SYMMETRIC && self.node(a).shape.cols >= DEEP;
        node.shape.is_square() && large && !other(a) && !other(b)
    }

    /// The triangle outside of which a matrix is known to be 0.
    fn known_triangle(&self, id: NodeId) -> Option<Triangle> {
        let (x, transposed) = self.under_transpose(id);
        let whole = |upper| Some(Triangle { upper, strict: false });
        let node = self.node(x);
        let part = match node.op {
            Op::Cholesky | Op::Factor(Factor::Lower | Factor::SymmetricLower) => whole(false),
            Op::Factor(Factor::Triangular | Factor::Upper) => whole(true),
            _ => self.masks(x).map(|(part, _)| part).filter(|_| node.shape.is_square()),
        };
        part.map(|part| if transposed { part.transposed() } else { part })
    }

    /// Of a product with a pattern, the pattern, the other factor, and whether that is the left one.
    fn patterned(&self, a: NodeId, b: NodeId) -> Option<(Pattern, NodeId, bool)> {
        self.pattern(a)
            .map(|pattern| (pattern, b, false))
            .or(self.pattern(b).map(|pattern| (pattern, a, true)))
    }

    /// The matrix, the row and the column, if a node is the part of a matrix that begins there: a product that picks rows,
    /// or columns, that follow each other.
    fn window(&self, id: NodeId) -> Option<(NodeId, [usize; 2])> {
        self.moved(id, false)
    }

    /// The same of a product that puts them back.
    fn put_back(&self, id: NodeId) -> Option<(NodeId, [usize; 2])> {
        self.moved(id, true)
    }

    fn moved(&self, id: NodeId, puts_back: bool) -> Option<(NodeId, [usize; 2])> {
        let node = self.node(id);
        let (Op::MatMul, &[a, b]) = (node.op, &node.args[..]) else { return None };
        match self.patterned(a, b)? {
            (Pattern::Selection { start: Some(start), back, .. }, x, columns) => {
                let at = if columns { [0, start] } else { [start, 0] };
                ((back != columns) == puts_back).then_some((x, at))
            }
            _ => None,
        }
    }

    /// The matrix and the list, if a node is a product that picks columns, not all of which follow each other.
    fn picked_columns(&self, id: NodeId) -> Option<(NodeId, Indices)> {
        self.columns(id, false)
    }

    /// The same of a product that puts them back.
    fn columns_put_back(&self, id: NodeId) -> Option<(NodeId, Indices)> {
        self.columns(id, true)
    }

    fn columns(&self, id: NodeId, puts_back: bool) -> Option<(NodeId, Indices)> {
        let node = self.node(id);
        let (Op::MatMul, &[a, b]) = (node.op, &node.args[..]) else { return None };
        match self.patterned(a, b)? {
            (Pattern::Selection { start: None, back, rows }, x, true) if back != puts_back => Some((x, rows)),
            _ => None,
        }
    }

    /// `(v, X)` if the node is the product of a `Diag(v)` and a matrix: every row of X, or every column, times an
    /// entry of v.
    fn scales(&self, id: NodeId) -> Option<(NodeId, NodeId)> {
        let node = self.node(id);
        let (Op::MatMul, &[a, b]) = (node.op, &node.args[..]) else { return None };
        let diagonal = |x: NodeId| self.node(x).args.first().copied().filter(|_| self.node(x).op == Op::Diag);
        diagonal(a).map(|v| (v, b)).or(diagonal(b).map(|v| (v, a)))
    }

    /// `(c, term)` if the node is `c` times something that nobody else needs and that can be added into its `user`
    /// in place: a matrix product, or the inverse of a definite matrix, which ends with a symmetric product.
    fn term(&self, id: NodeId, user: NodeId) -> Option<(f64, NodeId)> {
        let node = self.node(id);
        match (node.op, &node.args[..]) {
            _ if !self.can_defer(id, user) || self.window(id).is_some() => None,
            (Op::MatMul, &[a, b]) => {
                // Sums, repetitions and scalings are not products once they are lowered.
                let other =
                    |id| matches!(self.node(id).op, Op::Ones | Op::Diag) || self.triangle(id).is_some();
                (!other(a) && !other(b)).then_some((1.0, id))
            }
            (Op::Inverse, &[a]) => {
                let definite = self.node(a).structure == Structure::Definite;
                (definite && self.is_symmetric(user)).then_some((1.0, id))
            }
            (Op::Scale(c), &[x]) if matches!(self.node(x).op, Op::MatMul | Op::Inverse) => {
                self.term(x, user).map(|(_, term)| (c.value(), term))
            }
            _ => None,
        }
    }

    /// The same in a sum, where a product may also be transposed: `(A B)ᵀ = Bᵀ Aᵀ` is added as it stands.
    fn addend(&self, id: NodeId, sum: NodeId) -> Option<(f64, NodeId)> {
        let node = self.node(id);
        match (node.op, &node.args[..]) {
            (Op::Transpose, &[x]) if self.can_defer(id, sum) => {
                let &[a, b] = &self.node(x).args[..] else { return None };
                let picks = self.patterned(a, b).is_some();
                self.term(x, sum).filter(|&(_, term)| term == x && !picks).map(|(c, _)| (c, id))
            }
            (Op::Scale(c), &[x]) if self.node(x).op == Op::Transpose && self.can_defer(id, sum) => {
                self.addend(x, sum).map(|(_, term)| (c.value(), term))
            }
            _ => self.term(id, sum),
        }
    }

    fn is_symmetric(&self, id: NodeId) -> bool {
        self.node(id).structure >= Structure::Symmetric
    }

    /// `(c, s)` if the node is `c s I`, or `c Diag(s)`.
    fn identity(&self, id: NodeId) -> Option<(f64, Option<NodeId>)> {
        let node = self.node(id);
        match (node.op, &node.args[..]) {
            (Op::Identity, _) => Some((1.0, None)),
            (Op::Diag, &[x]) => Some((1.0, Some(x))),
            (Op::ScaleBy, &[s, x]) if self.node(x).op == Op::Identity => Some((1.0, Some(s))),
            (Op::Scale(c), &[x]) if matches!(self.node(x).op, Op::Identity | Op::Diag | Op::ScaleBy) => {
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
        self.code.push(Instruction { kernel, dst, node, again: false });
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

    /// What is read as it stands, coefficients applied.
    fn arguments(&mut self, args: &[NodeId], node: NodeId) -> SmallVec<[View; 2]> {
        let mut views = SmallVec::new();
        for &arg in args {
            let value = self.value(arg);
            views.push(self.applied(value, node));
        }
        views
    }

    fn copy(&mut self, Value { alpha, view }: Value, node: NodeId) -> View {
        self.emit(node, view.shape, Kernel::Copy { a: view, alpha })
    }

    /// A buffer with the value of `id` that may be overwritten: its own if nobody else reads it.
    fn writable(&mut self, id: NodeId, for_node: NodeId) -> Buffer {
        let value = self.value(id);
        match self.own(id, for_node) {
            Some(buffer) if !value.view.transposed => {
                self.owners[buffer] = for_node;
                buffer
            }
            _ => {
                let copy = self.copy(value, for_node);
                copy.buffer().unwrap_or_default()
            }
        }
    }

    /// The same, or a buffer with the transpose, and whether it is that.
    fn writable_either_way(&mut self, id: NodeId, for_node: NodeId) -> (Buffer, bool) {
        let value = self.value(id);
        match self.own(id, for_node) {
            Some(buffer) if value.view.transposed => {
                self.owners[buffer] = for_node;
                (buffer, true)
            }
            _ => (self.writable(id, for_node), false),
        }
    }

    /// The buffer with the value of `id`, or its transpose, if nobody else reads it.
    fn own(&mut self, id: NodeId, for_node: NodeId) -> Option<Buffer> {
        let Value { alpha, view } = self.value(id);
        let (owner, transposed) = self.under_transpose(id);
        let last = self.can_defer(id, for_node) && (!transposed || self.can_defer(owner, for_node));
        let whole = view.window.is_none() && view.repeat == Repeat::No && alpha == 1.0;
        view.buffer().filter(|&buffer| last && whole && self.owners[buffer] == owner)
    }

    /// What an output is read from: a buffer that holds it whole, or transposed.
    fn output(&mut self, id: NodeId) -> View {
        let value = self.value(id);
        let view = value.view;
        let stored = view.window.is_none() && view.repeat == Repeat::No;
        if view.buffer().is_some() && stored && value.alpha == 1.0 {
            return view;
        }
        // In the order of its source, of which the transpose is handed out.
        if view.transposed {
            return self.copy(Value { view: view.transpose(), ..value }, id).transpose();
        }
        self.copy(value, id)
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
                let symmetric = node.structure >= Structure::Symmetric && !shape.is_scalar();
                let constant = self.constant[id.index()];
                self.inputs.push(Input { name, shape, symmetric, constant, node: id });
                let input = View::whole(Place::Input(self.inputs.len() - 1), shape);
                // Data that runs read is copied once; what only other constants are made of is read where it is.
                let copied = constant && self.runs_read[id.index()];
                plain(if copied { self.copy(Value { alpha: 1.0, view: input }, id) } else { input })
            }
            (Op::Scalar(c), _) => Value { alpha: c.value(), view: View::ones(shape) },
            (Op::Ones, _) => plain(View::ones(shape)),
            (Op::Identity | Op::Diag, args) => {
                let factor = args.first().map(|&x| self.value(x));
                let zeros = Value { alpha: 0.0, view: View::ones(shape) };
                let dst = self.copy(zeros, id).buffer().unwrap_or_default();
                let alpha = factor.map_or(1.0, |factor| factor.alpha);
                let factor = factor.map(|factor| factor.view);
                plain(self.emit_to(dst, id, Kernel::AddIdentity { alpha, factor }))
            }
            (Op::Selection(rows), _) => {
                // Rows of a large identity matrix, or those of a small one put back.
                let back = shape.rows < shape.cols;
                let n = shape.rows.min(shape.cols);
                let order = Shape::new(n, n);
                let a = if n == 1 {
                    View::ones(order)
                } else {
                    let zeros = Value { alpha: 0.0, view: View::ones(order) };
                    let dst = self.copy(zeros, id).buffer().unwrap_or_default();
                    self.emit_to(dst, id, Kernel::AddIdentity { alpha: 1.0, factor: None })
                };
                let stored = if back { shape.transposed() } else { shape };
                let (alpha, columns, accumulate) = (1.0, false, false);
                let kernel = Kernel::Select { a, rows, back, columns, alpha, accumulate };
                let selection = self.emit(id, stored, kernel);
                plain(if back { selection.transpose() } else { selection })
            }
            (Op::Triangle { strict }, _) => {
                let part = Triangle { upper: false, strict };
                plain(self.emit(id, shape, Kernel::Triangle { a: View::ones(shape), part, alpha: 1.0 }))
            }
            (Op::Reshape(_), &[x]) => {
                let Value { alpha, view: a } = self.value(x);
                plain(self.emit(id, shape, Kernel::Reshape { a, alpha }))
            }
            (Op::Diagonal, &[a]) => {
                let Value { alpha, view: a } = self.value(a);
                plain(self.emit(id, shape, Kernel::Diagonal { a, alpha }))
            }
            (Op::Transpose, &[x]) => {
                let x = self.value(x);
                Value { view: x.view.transpose(), ..x }
            }
            (Op::Scale(c), &[x]) => match self.term(x, id) {
                _ if self.joined[x.index()] => plain(self.accumulated(x, c.value(), id)),
                Some((_, term)) if self.deferred[x.index()] => {
                    let dst = self.added(term, c.value(), None, id);
                    plain(self.completed(dst, term, id))
                }
                _ if self.deferred[x.index()] && self.is_reduction(x) => {
                    plain(self.reduction(x, c.value(), id))
                }
                _ if let Some((part, matrix)) = self.masks(x).filter(|_| self.deferred[x.index()]) => {
                    plain(self.masked(part, matrix, c.value(), id))
                }
                _ if let Some((part, matrix)) = self.mirrored(x).filter(|_| self.deferred[x.index()]) => {
                    plain(self.both_triangles(part, matrix, c.value(), id))
                }
                _ if self.deferred[x.index()] => plain(self.pass(id)),
                _ => {
                    let x = self.value(x);
                    Value { alpha: c.value() * x.alpha, ..x }
                }
            },
            (Op::MatMul, _) if self.scales(id).is_some() => plain(self.pass(id)),
            (Op::MatMul, &[a, b]) => self.product_value(id, a, b),
            // A part of an elementwise pass that somebody needs before left its products to themselves.
            (Op::Add, _) if self.is_sum_of_products(id) && !self.deferred[id.index()] => {
                plain(self.accumulated(id, 1.0, id))
            }
            (Op::Add, _) if let Some((part, x)) = self.mirrored(id) => {
                plain(self.both_triangles(part, x, 1.0, id))
            }
            (Op::Hadamard, _) if let Some((x, transposed, y)) = self.at_maxima(id) => {
                let Value { alpha, view } = self.value(y);
                let view = if transposed { view.transpose() } else { view };
                let at_maxima = self.put_at_maxima(view, x, id);
                Value { alpha, view: if transposed { at_maxima.transpose() } else { at_maxima } }
            }
            (Op::ColArgmax, &[x]) => plain(self.put_at_maxima(View::ones(shape), x, id)),
            (Op::ColMax, &[x]) if self.is_argmax_of[x.index()] => {
                let (positions, a) = self.positions(x, id);
                let args = smallvec![a, positions];
                plain(self.emit(id, shape, Kernel::Routine { routine: Routine::EntriesAt, args }))
            }
            (Op::Add, _) => plain(self.pass(id)),
            (Op::Hadamard, _) if let Some((part, x)) = self.masks(id) => plain(self.masked(part, x, 1.0, id)),
            (Op::Hadamard | Op::Quotient | Op::ScaleBy | Op::Map(_) | Op::Zip(_), _) => plain(self.pass(id)),
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
            (Op::Inverse, &[a]) if self.node(a).structure == Structure::Definite => {
                let dst = self.added(id, 1.0, None, id);
                plain(self.completed(dst, id, id))
            }
            (Op::Inverse, &[a]) => {
                let ((factors, which), transposed) = self.factorized(a, id);
                let inverse = self.emit(id, shape, Kernel::Inverse { factors, which });
                plain(if transposed { inverse.transpose() } else { inverse })
            }
            (Op::Det, &[a]) => {
                let ((factors, which), _) = self.factorized(a, id);
                plain(self.emit(id, shape, Kernel::Det { factors, which }))
            }
            (Op::Adjugate, &[a]) => {
                let (matrix, transposed) = self.under_transpose(a);
                let (factors, which) = self.factorized_by(Method::Lu, matrix, id);
                let Value { alpha, view: a } = self.value(matrix);
                let adjugate = self.emit(id, shape, Kernel::Adjugate { a, alpha, factors, which });
                plain(if transposed { adjugate.transpose() } else { adjugate })
            }
            (Op::LogDet, &[a]) => {
                let ((factors, which), _) = self.factorized(a, id);
                plain(self.emit(id, shape, Kernel::LogDet { factors, which }))
            }
            (Op::Solve, &[a, b]) => {
                let ((factors, which), transposed) = self.factorized(a, id);
                let (dst, turned) = self.writable_either_way(b, id);
                let solution = self.emit_to(dst, id, Kernel::Solve { factors, which, transposed, turned });
                plain(if turned { solution.transpose() } else { solution })
            }
            (Op::TriangularSolve { upper, unit }, &[a, b]) => {
                let a = self.value(a);
                let stored = a.view.repeat == Repeat::No;
                let a = if stored { self.applied(a, id) } else { self.copy(a, id) };
                let (dst, turned) = self.writable_either_way(b, id);
                let solution = self.emit_to(dst, id, Kernel::TriangularSolve { a, upper, unit, turned });
                plain(if turned { solution.transpose() } else { solution })
            }
            (Op::Cholesky, &[a]) => {
                let (factor, _) = self.factorized_by(Method::Cholesky, a, id);
                plain(View::whole(Place::Buffer(factor), shape))
            }
            (Op::Factor(factor), &[a]) => {
                let of = self.node(a).shape;
                let (whole, start) = Decomposition::of(factor, of);
                let alone = whole.values_alone().filter(|_| !self.vectors.contains(&(a, whole)));
                // QR of a wide matrix is that of its transpose.
                let matrix = match self.under_transpose(a) {
                    (x, true) if whole == Decomposition::Qr && of.rows > of.cols => x,
                    _ => a,
                };
                let a = self.decomposed(alone.unwrap_or(whole), matrix, id);
                if let Some(routine) = Routine::of_factors(factor, of) {
                    let kernel = Kernel::Routine { routine, args: smallvec![a] };
                    return plain(self.emit(id, shape, kernel));
                }
                plain(self.emit(id, shape, Kernel::Part { a, start }))
            }
            (Op::LeastSquares, &[a, b]) => {
                let (matrix, turned) = self.under_transpose(a);
                let of = self.node(matrix).shape;
                let wide = of.rows < of.cols;
                let factors = self.decomposed(Decomposition::Qr, matrix, id);
                let mut args = self.arguments(&[b], id);
                args.insert(0, factors);
                let shape_of_factors = if wide { of.transposed() } else { of };
                let routine = Routine::LeastSquares { shape: shape_of_factors, transposed: turned != wide };
                plain(self.emit(id, shape, Kernel::Routine { routine, args }))
            }
            (Op::StopGradient, &[x]) => self.value(x),
            (Op::SymmetricFunction { order, columns }, [a, others @ ..]) => {
                let mut args = self.arguments(others, id);
                args.insert(0, self.decomposed(Decomposition::Eigen, *a, id));
                let routine = Routine::SymmetricFunction { order, columns, symmetric: self.is_symmetric(id) };
                plain(self.emit(id, shape, Kernel::Routine { routine, args }))
            }
            (op, args) if let Some(routine) = Routine::of(op) => {
                let args = self.arguments(args, id);
                plain(self.emit(id, shape, Kernel::Routine { routine, args }))
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
                let args = self.arguments(args, id);
                plain(self.emit(id, shape, Kernel::Opaque { function, order, args }))
            }
            (Op::Custom(_), args) => {
                let args = self.arguments(args, id);
                plain(self.emit(id, shape, Kernel::Custom { args }))
            }
            // Zeros, and nothing else: every op has its arity.
            _ => Value { alpha: 0.0, view: View::ones(shape) },
        }
    }

    /// `alpha` times the reduction `id`, stored for `node`.
    fn reduction(&mut self, id: NodeId, alpha: f64, node: NodeId) -> View {
        let reduction = self.node(id);
        if let (Op::Inner, &[a, b]) = (reduction.op, &reduction.args[..])
            && (self.deferred[a.index()] || self.deferred[b.index()])
        {
            return self.sum_of_pass(a, b, alpha, node);
        }
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
        if let Some((mut x, mut at)) = self.window(id) {
            while let Some((under, [i, j])) = self.window(x) {
                (x, at) = (under, [at[0] + i, at[1] + j]);
            }
            let x = self.value(x);
            let part = Value { view: x.view.part(at, shape), ..x };
            let copied = self.is_worth_copying(&part.view, id);
            return if copied { Value { alpha: 1.0, view: self.copy(part, id) } } else { part };
        }
        let (ones_a, ones_b) = (self.node(a).op == Op::Ones, self.node(b).op == Op::Ones);
        if let Some((Pattern::Triangle(part), x, columns)) = self.patterned(a, b) {
            let Value { alpha, view: a } = self.value(x);
            let part = if columns { part.transposed() } else { part };
            // In the order in which it is stored.
            let view = if a.transposed {
                let sums = Kernel::CumulativeSums { a: a.transpose(), part, columns: !columns, alpha };
                self.emit(id, shape.transposed(), sums).transpose()
            } else {
                self.emit(id, shape, Kernel::CumulativeSums { a, part, columns, alpha })
            };
            return Value { alpha: 1.0, view };
        }
        if let Some(&(c, multiple)) = self.multiples.get(&id)
            && self.constant[id.index()] == self.constant[multiple.index()]
            && !self.in_halves(id, id)
            && !ones_a
            && !ones_b
        {
            let dst = self.added(id, c, None, multiple);
            return Value { alpha: 1.0 / c, view: View::whole(Place::Buffer(dst), shape) };
        }
        if !ones_a && !ones_b || self.patterned(a, b).is_some() {
            let dst = self.added(id, 1.0, None, id);
            return Value { alpha: 1.0, view: self.completed(dst, id, id) };
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

    /// Whether a part of a matrix is copied: a row, of which every entry is in another line of memory, and what is small
    /// and read more than once, so that whoever reads it may be brief.
    fn is_worth_copying(&self, part: &View, id: NodeId) -> bool {
        let whole = match part.place {
            Place::Buffer(buffer) => self.slots[buffer].shape,
            Place::Input(input) => self.inputs[input].shape,
            Place::One => return false,
        };
        if part.repeat != Repeat::No || part.start(whole).is_some() {
            return false;
        }
        let few = part.shape.rows.saturating_mul(part.shape.cols) <= small::COPY;
        part.stored().rows == 1 || few && self.uses[id.index()] > 1
    }

    /// A factor of a brief product: a copy of a part that such a product does not read where it is.
    fn at_hand(&mut self, part: View, node: NodeId) -> View {
        let start = match part.place {
            Place::Buffer(buffer) => part.start(self.slots[buffer].shape),
            Place::Input(input) => {
                let whole = self.inputs[input].shape;
                let few = whole.rows.saturating_mul(whole.cols) <= small::COPY;
                part.start(whole).filter(|_| few)
            }
            Place::One => Some(0),
        };
        let read = part.window.is_none() || part.repeat == Repeat::No && start.is_some();
        if read { part } else { self.copy(Value { alpha: 1.0, view: part }, node) }
    }

    /// The term `id` times `alpha`, stored for `node` or added to `dst`. Of what is symmetric and
    /// [large enough](Self::in_halves) it is the lower triangle.
    fn added(&mut self, id: NodeId, alpha: f64, dst: Option<Buffer>, node: NodeId) -> Buffer {
        let (term, accumulate) = (self.node(id), dst.is_some());
        let (product, transposed) = self.under_transpose(id);
        let kernel = match (term.op, &self.node(product).args[..]) {
            (Op::Inverse, &[a]) => {
                let ((factors, which), _) = self.factorized(a, id);
                Kernel::DefiniteInverse { factors, which, alpha, accumulate }
            }
            _ if let Some((x, at)) = self.place_of(id) => {
                let x = self.value(x);
                let around = if accumulate { Around::Added } else { Around::Zeros };
                Kernel::PutBack { a: x.view, at, alpha: alpha * x.alpha, around }
            }
            _ if let Some((x, rows)) = self.columns_put_back(id)
                && self.deferred[x.index()] =>
            {
                let mut pass = Elementwise::default();
                let (c, arg) = self.step(x, x, &mut pass);
                if let Arg::Operand(_) = arg {
                    pass.steps.push((Step::Scale(1.0, arg), None));
                }
                let (pass, shape) = (Box::new(pass), self.node(x).shape);
                Kernel::PutBackOf { pass, shape, rows, alpha: alpha * c, accumulate }
            }
            (_, &[a, b]) if self.patterned(a, b).is_some() => self.selected(a, b, alpha, accumulate),
            (_, &[a, b]) => {
                let (a, b) = (self.value(a), self.value(b));
                let (mut lhs, mut rhs, alpha) = (a.view, b.view, alpha * a.alpha * b.alpha);
                if transposed {
                    (lhs, rhs) = (rhs.transpose(), lhs.transpose());
                }
                if small::is_small(lhs.shape.rows, lhs.shape.cols, rhs.shape.cols) {
                    lhs = self.at_hand(lhs, node);
                    rhs = self.at_hand(rhs, node);
                }
                if self.in_halves(id, node) {
                    Kernel::SymmetricProduct { lhs, rhs, alpha, accumulate }
                } else {
                    let rhs = self.by_columns(rhs, term.shape, node);
                    Kernel::MatMul { lhs, rhs, alpha, accumulate }
                }
            }
            _ => Kernel::Copy { a: View::ones(term.shape), alpha: 0.0 },
        };
        let dst = dst.unwrap_or_else(|| self.new_buffer(term.shape, node));
        // Of a matrix that has no inverse, it is the inverse that is told.
        let told = if term.op == Op::Inverse { id } else { node };
        self.emit_to(dst, told, kernel);
        dst
    }

    /// What a term puts back, and where it goes.
    fn place_of(&self, term: NodeId) -> Option<(NodeId, [usize; 2])> {
        let (mut x, mut at) = self.put_back(term)?;
        while self.deferred[x.index()]
            && let Some((under, [i, j])) = self.put_back(x)
        {
            (x, at) = (under, [at[0] + i, at[1] + j]);
        }
        Some((x, at))
    }

    /// The matrices that terms put back, in order, if these fill a matrix of this shape, and whether they stand under each
    /// other there, and not beside each other.
    fn stacked(&self, terms: &[(f64, NodeId)], shape: Shape) -> Option<(Vec<(NodeId, f64)>, bool)> {
        let places = terms.iter().map(|&(alpha, term)| {
            let (x, at) = self.place_of(term)?;
            Some((at, self.node(x).shape, x, alpha))
        });
        let mut places = places.collect::<Option<Vec<_>>>()?;
        // What is empty goes before what begins in the same place.
        places.sort_by_key(|&(at, part, ..)| (at, part.rows, part.cols));
        let fills = |under: bool| {
            let end = places.iter().try_fold(0, |end, &(at, part, ..)| {
                let (begins, width, len) = if under {
                    ([end, 0], part.cols == shape.cols, part.rows)
                } else {
                    ([0, end], part.rows == shape.rows, part.cols)
                };
                (at == begins && width).then_some(end + len)
            });
            end == Some(if under { shape.rows } else { shape.cols })
        };
        let under = fills(true);
        let parts = places.iter().map(|&(.., x, alpha)| (x, alpha)).collect();
        (under || fills(false)).then_some((parts, under))
    }

    /// `alpha` times a triangle of a matrix, stored for `node`.
    fn masked(&mut self, part: Triangle, matrix: NodeId, alpha: f64, node: NodeId) -> View {
        if self.deferred[matrix.index()] {
            return self.triangle_of_product(part, matrix, false, alpha, node);
        }
        let Value { alpha: c, view: a } = self.value(matrix);
        self.emit(node, a.shape, Kernel::Triangle { a, part, alpha: alpha * c })
    }

    /// `alpha` times a triangle of a matrix and its mirror image, stored for `node`.
    fn both_triangles(&mut self, part: Triangle, matrix: NodeId, alpha: f64, node: NodeId) -> View {
        if self.deferred[matrix.index()] {
            return self.triangle_of_product(part, matrix, true, alpha, node);
        }
        let Value { alpha: c, view } = self.value(matrix);
        let view = if part.upper { view.transpose() } else { view };
        let dst = self.copy(Value { alpha: alpha * c, view }, node).buffer().unwrap_or_default();
        self.emit_to(dst, node, Kernel::Mirror { update: None })
    }

    /// `alpha` times a triangle of the product `id`, stored for `node`, and its mirror image if that is asked for.
    fn triangle_of_product(
        &mut self,
        part: Triangle,
        id: NodeId,
        mirrored: bool,
        alpha: f64,
        node: NodeId,
    ) -> View {
        let &[a, b] = &self.node(id).args[..] else { return View::ones(self.node(id).shape) };
        let mut factors = [self.known_triangle(a), self.known_triangle(b)];
        let (a, b) = (self.value(a), self.value(b));
        let (mut lhs, mut rhs, alpha) = (a.view, b.view, alpha * a.alpha * b.alpha);
        let mut dst = part;
        if mirrored && part.upper {
            // It is the lower triangle that is mirrored.
            (lhs, rhs) = (rhs.transpose(), lhs.transpose());
            factors = [factors[1], factors[0]].map(|part| part.map(Triangle::transposed));
            dst = part.transposed();
        }
        // Of one factor no more is read than a triangle if the other is the opposite one.
        let same = Some(Triangle { strict: false, ..dst });
        let opposite = factors.map(|part| part.is_some_and(|part| part.upper != dst.upper));
        match (opposite, factors) {
            ([true, _], [_, None]) => factors[1] = same,
            ([_, true], [None, _]) => factors[0] = same,
            _ => {}
        }
        let parts = Parts { dst, factors };
        self.emit(node, self.node(id).shape, Kernel::TriangularProduct { lhs, rhs, parts, mirrored, alpha })
    }

    /// A product with a selection.
    fn selected(&mut self, a: NodeId, b: NodeId, alpha: f64, accumulate: bool) -> Kernel {
        let Some((Pattern::Selection { rows, back, .. }, x, columns)) = self.patterned(a, b) else {
            return Kernel::Copy { a: View::ones(self.node(a).shape), alpha: 0.0 };
        };
        let x = self.value(x);
        let back = back != columns;
        Kernel::Select { a: x.view, rows, back, columns, alpha: alpha * x.alpha, accumulate }
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

    /// Whether the term `id` of what is stored for `node` is computed as a lower triangle only.
    fn in_halves(&self, id: NodeId, node: NodeId) -> bool {
        let term = self.node(id);
        let large = term.op == Op::Inverse || term.shape.rows >= FROM_SYMMETRIC;
        let selected = matches!(term.args[..], [a, b] if self.patterned(a, b).is_some());
        large && !selected && self.is_symmetric(id) && self.is_symmetric(node)
    }

    /// The column u of a product `u uᵀ`.
    fn outer(&self, id: NodeId) -> Option<NodeId> {
        let node = self.node(id);
        let (Op::MatMul, &[u, v]) = (node.op, &node.args[..]) else { return None };
        let transposed = |x: NodeId, y: NodeId| {
            let node = self.node(y);
            node.op == Op::Transpose && node.args.first() == Some(&x)
        };
        (self.node(u).shape.cols == 1 && (transposed(u, v) || transposed(v, u))).then_some(u)
    }

    /// The buffer in which the term `id` was computed for `node`, both triangles filled.
    fn completed(&mut self, dst: Buffer, id: NodeId, node: NodeId) -> View {
        if self.in_halves(id, node) {
            self.emit_to(dst, node, Kernel::Mirror { update: None });
        }
        View::whole(Place::Buffer(dst), self.slots[dst].shape)
    }

    /// `alpha` times a sum, stored for `node`: products are added in place.
    fn accumulated(&mut self, sum: NodeId, alpha: f64, node: NodeId) -> View {
        let shape = self.node(sum).shape;
        let (mut terms, mut identities, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        let mut pending = vec![sum];
        while let Some(id) = pending.pop() {
            if id == sum || self.joined[id.index()] {
                pending.extend(self.node(id).args.iter().rev());
            } else if let Some((c, term)) = self.addend(id, sum).filter(|_| self.deferred[id.index()]) {
                terms.push((alpha * c, term));
            } else if let Some((c, s)) = self.identity(id) {
                identities.push((alpha * c, s));
            } else {
                rest.push(id);
            }
        }
        // What is no product and no identity comes first: it fills the buffer. There is at most one.
        let mut dst = rest.first().map(|&x| self.filled(x, alpha, node));
        // Or terms do, of which every entry belongs to one.
        let placed: Vec<_> =
            terms.iter().copied().filter(|&(_, term)| self.put_back(term).is_some()).collect();
        let halves = terms.iter().any(|&(_, term)| self.in_halves(term, node));
        if dst.is_none()
            && !halves
            && placed.len() > 1
            && let Some((parts, under)) = self.stacked(&placed, shape)
        {
            terms.retain(|(_, term)| self.put_back(*term).is_none());
            let parts = parts.into_iter().map(|(x, alpha)| {
                let x = self.value(x);
                (x.view, alpha * x.alpha)
            });
            let stack = Kernel::Stack { parts: parts.collect(), under };
            dst = self.emit(node, shape, stack).buffer();
        }
        // Triangles first: once they are mirrored, what is not symmetric may follow.
        terms.sort_by_key(|&(_, term)| (!self.in_halves(term, node), self.outer(term).is_some()));
        let halves = terms.iter().filter(|(_, term)| self.in_halves(*term, node)).count();
        for (k, &(alpha, term)) in terms.iter().enumerate() {
            // The last of them costs nothing if it is an outer product: it is added while the triangle is mirrored.
            if let (Some(u), Some(dst)) = (self.outer(term), dst)
                && k + 1 == halves
            {
                let Value { alpha: c, view } = self.value(u);
                self.emit_to(dst, node, Kernel::Mirror { update: Some((alpha * c * c, view)) });
                continue;
            }
            dst = Some(self.added(term, alpha, dst, node));
            if let Some(dst) = dst
                && k + 1 == halves
            {
                self.completed(dst, term, node);
            }
        }
        for (alpha, s) in identities {
            let dst = *dst.get_or_insert_with(|| {
                let zeros = Value { alpha: 0.0, view: View::ones(shape) };
                self.copy(zeros, node).buffer().unwrap_or_default()
            });
            let factor = s.map(|s| self.value(s));
            let alpha = alpha * factor.map_or(1.0, |factor| factor.alpha);
            self.emit_to(dst, node, Kernel::AddIdentity { alpha, factor: factor.map(|factor| factor.view) });
        }
        View::whole(Place::Buffer(dst.unwrap_or_default()), shape)
    }

    /// A buffer with `alpha` times the value of `id` that may be overwritten.
    fn filled(&mut self, id: NodeId, alpha: f64, node: NodeId) -> Buffer {
        if alpha == 1.0 {
            return self.writable(id, node);
        }
        let value = self.value(id);
        self.copy(Value { alpha: alpha * value.alpha, ..value }, node).buffer().unwrap_or_default()
    }

    /// The factors of a matrix, shared by all that need them, and whether those of its transpose are meant.
    fn factorized(&mut self, id: NodeId, for_node: NodeId) -> ((Buffer, usize), bool) {
        let (matrix, transposed) = self.under_transpose(id);
        let definite = self.node(matrix).structure == Structure::Definite;
        let method = if definite { Method::Cholesky } else { Method::Lu };
        (self.factorized_by(method, matrix, for_node), transposed)
    }

    /// What a transpose is the transpose of, and whether it is one.
    fn under_transpose(&self, id: NodeId) -> (NodeId, bool) {
        let node = self.node(id);
        match (node.op, node.args.first()) {
            (Op::Transpose, Some(&x)) => (x, true),
            _ => (id, false),
        }
    }

    fn factorized_by(&mut self, method: Method, matrix: NodeId, for_node: NodeId) -> (Buffer, usize) {
        if let Some(&factors) = self.factors_of.get(&(matrix, method)) {
            return factors;
        }
        let Value { alpha, view: a } = self.value(matrix);
        let which = self.factorizations.len();
        self.factorizations.push(Factorization { method, n: a.shape.rows });
        // Once for all runs, if the matrix is constant.
        let dst = self.new_buffer(a.shape, matrix);
        // Who solves with it reads the lower triangle alone.
        let factor = self.triangles.get(&matrix).copied().filter(|_| method == Method::Cholesky);
        let (node, lower) = (factor.unwrap_or(for_node), factor.is_some());
        self.emit_to(dst, node, Kernel::Factorize { a, alpha, which, lower });
        self.factors_of.insert((matrix, method), (dst, which));
        (dst, which)
    }

    /// Where the columns of x are largest, shared by all that ask for it, and x.
    fn positions(&mut self, x: NodeId, for_node: NodeId) -> (View, View) {
        if let Some(&found) = self.positions_of.get(&x) {
            return found;
        }
        let a = self.value(x);
        let a = self.applied(a, x);
        let dst = self.new_buffer(Shape::new(reduce::POSITION, a.shape.cols), x);
        let kernel = Kernel::Routine { routine: Routine::Positions, args: smallvec![a] };
        let found = (self.emit_to(dst, for_node, kernel), a);
        self.positions_of.insert(x, found);
        found
    }

    /// The entries of `a` where the columns of x are largest, and 0 elsewhere.
    fn put_at_maxima(&mut self, a: View, x: NodeId, node: NodeId) -> View {
        let (positions, _) = self.positions(x, node);
        let args = smallvec![a, positions];
        self.emit(node, a.shape, Kernel::Routine { routine: Routine::KeptAt, args })
    }

    /// All factors of a matrix in a column, shared by all that need one. QR is that of the transpose if the matrix is wide.
    fn decomposed(&mut self, decomposition: Decomposition, matrix: NodeId, for_node: NodeId) -> View {
        if let Some(&factors) = self.decompositions.get(&(matrix, decomposition)) {
            return factors;
        }
        let a = self.value(matrix);
        let a = self.applied(a, matrix);
        let wide = decomposition == Decomposition::Qr && a.shape.rows < a.shape.cols;
        let a = if wide { a.transpose() } else { a };
        let dst = self.new_buffer(Shape::new(decomposition.len(a.shape), 1), matrix);
        let kernel = Kernel::Routine { routine: Routine::Decompose(decomposition), args: smallvec![a] };
        let factors = self.emit_to(dst, for_node, kernel);
        self.decompositions.insert((matrix, decomposition), factors);
        factors
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

    /// `alpha ⟨a, b⟩`, one or both of which were deferred to it.
    fn sum_of_pass(&mut self, a: NodeId, b: NodeId, alpha: f64, node: NodeId) -> View {
        let mut pass = Elementwise::default();
        let ones = |this: &Self, x: NodeId| this.node(x).op == Op::Ones;
        let (alpha, last) = if ones(self, a) || ones(self, b) {
            let (c, x) = self.step(if ones(self, a) { b } else { a }, node, &mut pass);
            (alpha * c, x)
        } else {
            let (c, x) = self.step(a, node, &mut pass);
            let (d, y) = if a == b { (c, x) } else { self.step(b, node, &mut pass) };
            pass.steps.push((Step::Mul(1.0, x, y), None));
            (alpha * c * d, Arg::Step(pass.steps.len() - 1))
        };
        if let Arg::Operand(_) = last {
            pass.steps.push((Step::Scale(1.0, last), None));
        }
        let shape = self.node(a).shape;
        let by_rows = |view: &View| {
            view.transposed && view.repeat == Repeat::No && view.shape.rows.min(view.shape.cols) > 1
        };
        if pass.operands.iter().any(by_rows) {
            // A sum goes along the columns, and reading an operand against its order takes longer than another pass.
            let terms = self.emit(node, shape, Kernel::Elementwise(Box::new(pass)));
            return self.emit(node, Shape::SCALAR, Kernel::Sum { a: terms, alpha });
        }
        self.emit(node, Shape::SCALAR, Kernel::SumOf { pass: Box::new(pass), shape, alpha })
    }

    /// Adds the steps for `id` to a pass; returns a coefficient and the step that holds the rest.
    fn step(&mut self, id: NodeId, root: NodeId, pass: &mut Elementwise) -> (f64, Arg) {
        let node = self.node(id);
        let inside = id == root || self.deferred[id.index()] && self.can_chain(id);
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
                let factor = self.operand(s.view.repeated(node.shape), None, pass);
                let (d, x) = self.step(x, root, pass);
                Step::Mul(s.alpha * d, factor, x)
            }
            (Op::MatMul, &[a, _]) if inside && self.scales(id).is_some() => {
                let (v, x) = self.scales(id).unwrap_or((id, id));
                let v = self.value(v);
                let line = if x == a { v.view.transpose() } else { v.view };
                let factor = self.operand(line.repeated(node.shape), None, pass);
                let (d, x) = self.step(x, root, pass);
                Step::Mul(v.alpha * d, factor, x)
            }
            (Op::Quotient, &[a, b]) if inside => {
                let ((c, a), (d, b)) = (self.step(a, root, pass), self.step(b, root, pass));
                Step::Div(c / d, a, b)
            }
            (Op::Map(f), &[arg]) if inside => {
                let x = self.scaled_step(arg, root, pass);
                Step::Map(f, x)
            }
            (Op::Zip(f), &[a, b]) if inside => {
                let (a, b) = (self.scaled_step(a, root, pass), self.scaled_step(b, root, pass));
                Step::Zip(f, a, b)
            }
            _ => {
                // Picked columns are read where they are.
                if let Some((x, list)) = self.picked_columns(id)
                    && self.values[id.index()].is_none()
                {
                    let Value { alpha, view } = self.value(x);
                    if !view.transposed && view.repeat == Repeat::No {
                        return (alpha, self.operand(view, Some(list), pass));
                    }
                }
                let Value { alpha, view } = self.value(id);
                return (alpha, self.operand(view, None, pass));
            }
        };
        pass.steps.push((step, Some(id)));
        (1.0, Arg::Step(pass.steps.len() - 1))
    }

    /// The same, with the coefficient in a step of its own.
    fn scaled_step(&mut self, id: NodeId, root: NodeId, pass: &mut Elementwise) -> Arg {
        let (c, x) = self.step(id, root, pass);
        if c == 1.0 {
            return x;
        }
        pass.steps.push((Step::Scale(c, x), Some(id)));
        Arg::Step(pass.steps.len() - 1)
    }

    fn operand(&mut self, view: View, pick: Option<Indices>, pass: &mut Elementwise) -> Arg {
        let mut known = pass.operands.iter().zip(&pass.picks);
        if let Some(known) = known.position(|known| known == (&view, &pick)) {
            return Arg::Operand(known);
        }
        pass.operands.push(view);
        pass.picks.push(pick);
        Arg::Operand(pass.operands.len() - 1)
    }
}
