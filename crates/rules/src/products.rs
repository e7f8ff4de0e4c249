//! The order of products: associativity, used for cost.

use crate::Error;
use pullback_tape::{Node, Op, Shape, Tape, Var};

/// Longer chains keep the order in which they were written: finding the best takes O(n³) time.
const LONGEST_CHAIN: usize = 300;

/// The same expression with its products in the order that is cheapest for its value and for its gradients in
/// `wrt` together.
///
/// `(A B) C = A (B C)` costs more or less depending on the shapes, and the reverse sweep pays again: for every
/// product one of the same size for each side that depends on a variable. So a chain of products is put in the
/// order in which the sum over its products of `2mkn · (1 + [left varies] + [right varies])` is smallest, by
/// dynamic programming over its intervals (Godbole, *On Efficient Computation of Matrix Chain Products*, 1973,
/// with the sweep's weights). A chain ends where a value is used elsewhere, named or asked for, so that nothing that
/// is shared is computed twice. What cannot be improved stays as it is. The value changes by rounding only; the
/// formula prints the same.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::{gradient, reassociate};
/// let tape = Tape::new();
/// let (w, x) = (tape.input("W", (10, 64)), tape.input("X", (64, 500)));
/// let u = tape.input("u", (500, 1));
/// // W X is 10×500; X u is a vector.
/// let loss = (w * x * u).norm_squared();
/// let cheap = reassociate(loss, &[w])?;
/// assert!(!cheap.same(loss));
/// assert_eq!(cheap.to_string(), loss.to_string());
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// A mistake recorded in one of the expressions.
pub fn reassociate<'t>(y: Var<'t>, wrt: &[Var<'t>]) -> Result<Var<'t>, Error> {
    let page = Page::new(y, wrt)?;
    let mut chains: Vec<Option<Chain>> = vec![None; page.nodes.len()];
    let mut inner = vec![false; page.nodes.len()];
    for (i, node) in page.nodes.iter().enumerate().rev() {
        if node.as_ref().is_some_and(|node| node.op == Op::MatMul) && !inner[i] && !page.frozen[i] {
            let chain = page.chain(i);
            for &link in &chain.links {
                inner[link] = true;
            }
            chains[i] = chain.improved();
        }
    }
    let mut images: Vec<Option<Var<'t>>> = vec![None; page.nodes.len()];
    for (i, node) in page.nodes.iter().enumerate() {
        let (Some(node), Some(var)) = (node, page.tape.var(i)) else { continue };
        let image = |i: usize| images.get(i).copied().flatten().or(page.tape.var(i)).unwrap_or(var);
        let changed = node.args.iter().any(|arg| !image(arg.index()).same(page.var(arg.index(), var)));
        let new = page.tape.attributed(node.location, || match &chains[i] {
            Some(chain) => chain.build(&|factor: Factor| {
                let image = image(factor.index);
                if factor.transposed { image.t() } else { image }
            }),
            None if changed && !page.frozen[i] => {
                let args: Vec<_> = node.args.iter().map(|arg| image(arg.index())).collect();
                page.tape.apply(node.op, &args)
            }
            None => var,
        });
        if let Some(name) = var.name()
            && !new.same(var)
        {
            new.named(&name);
        }
        images[i] = Some(new);
    }
    Ok(images.last().copied().flatten().unwrap_or(y).check()?)
}

/// The nodes that an expression needs, by index on the tape.
struct Page<'t> {
    tape: &'t Tape,
    nodes: Vec<Option<Node>>,
    uses: Vec<u32>,
    /// Whether it depends on a variable.
    varies: Vec<bool>,
    /// A variable that is no leaf, or what one is computed from: it has to stay what it is.
    frozen: Vec<bool>,
}

/// A factor of a chain.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Factor {
    index: usize,
    transposed: bool,
    shape: Shape,
    varies: bool,
}

/// A product of many factors.
#[derive(Clone, Debug)]
struct Chain {
    factors: Vec<Factor>,
    /// The products, and their transposes, that the chain consists of, the outermost not among them.
    links: Vec<usize>,
    /// What it costs as written.
    cost: f64,
    /// For the factors `i..=j`, at `i * n + j`: where the last product divides them.
    splits: Vec<usize>,
}

/// Multiplications and additions of a product, in the sweep and back.
fn cost(rows: usize, inner: usize, cols: usize, left: bool, right: bool) -> f64 {
    let passes = 1.0 + f64::from(u8::from(left)) + f64::from(u8::from(right));
    2.0 * rows as f64 * inner as f64 * cols as f64 * passes
}

impl<'t> Page<'t> {
    fn new(y: Var<'t>, wrt: &[Var<'t>]) -> Result<Self, Error> {
        let tape = y.tape();
        let len = tape.index(y)? + 1;
        let mut requested = vec![false; len];
        for &x in wrt {
            if let Some(slot) = requested.get_mut(tape.index(x)?) {
                *slot = true;
            }
        }
        let mut nodes: Vec<Option<Node>> = vec![None; len];
        let mut uses = vec![0; len];
        let mut frozen = vec![false; len];
        if let Some(last) = uses.last_mut() {
            *last = 1;
        }
        // A node's users come after it, so going back each has been counted when its turn comes.
        for i in (0..len).rev() {
            if uses[i] == 0 {
                continue;
            }
            let node = tape.var(i).and_then(Var::node);
            if let Some(node) = &node {
                frozen[i] |= requested[i] && !node.args.is_empty();
                for arg in &node.args {
                    uses[arg.index()] += 1;
                    frozen[arg.index()] |= frozen[i];
                }
            }
            nodes[i] = node;
        }
        let mut varies = requested;
        for i in 0..len {
            let from_args = |node: &Node| node.args.iter().any(|arg| varies[arg.index()]);
            varies[i] |= nodes[i].as_ref().is_some_and(from_args);
        }
        Ok(Page { tape, nodes, uses, varies, frozen })
    }

    fn var(&self, index: usize, otherwise: Var<'t>) -> Var<'t> {
        self.tape.var(index).unwrap_or(otherwise)
    }

    /// Whether a node may be taken apart: nobody else reads it and nobody asked for it.
    fn opens(&self, i: usize) -> bool {
        self.uses[i] == 1 && !self.frozen[i] && self.nodes[i].as_ref().is_some_and(|node| node.name.is_none())
    }

    /// The chain whose last product is node `root`.
    fn chain(&self, root: usize) -> Chain {
        let mut chain = Chain { factors: vec![], links: vec![], cost: 0.0, splits: vec![] };
        let mut pending = vec![(root, false)];
        while let Some((i, transposed)) = pending.pop() {
            let Some(node) = &self.nodes[i] else { continue };
            match (node.op, &node.args[..]) {
                (Op::MatMul, &[a, b]) if i == root || self.opens(i) => {
                    let (a, b) = (a.index(), b.index());
                    let inner = self.nodes[a].as_ref().map_or(0, |a| a.shape.cols);
                    chain.cost +=
                        cost(node.shape.rows, inner, node.shape.cols, self.varies[a], self.varies[b]);
                    chain.links.extend((i != root).then_some(i));
                    // The last one pushed comes first.
                    let order = if transposed { [a, b] } else { [b, a] };
                    pending.extend(order.map(|i| (i, transposed)));
                }
                (Op::Transpose, &[x])
                    if self.opens(i) && self.opens(x.index()) && self.is_product(x.index()) =>
                {
                    chain.links.push(i);
                    pending.push((x.index(), !transposed));
                }
                _ => {
                    let shape = if transposed { node.shape.transposed() } else { node.shape };
                    chain.factors.push(Factor { index: i, transposed, shape, varies: self.varies[i] });
                }
            }
        }
        chain
    }

    fn is_product(&self, i: usize) -> bool {
        self.nodes[i].as_ref().is_some_and(|node| node.op == Op::MatMul)
    }
}

impl Chain {
    /// The chain with its best order, if that is better than the one it was written in.
    fn improved(mut self) -> Option<Chain> {
        let n = self.factors.len();
        if !(3..=LONGEST_CHAIN).contains(&n) {
            return None;
        }
        let mut costs = vec![0.0; n * n];
        let mut varies: Vec<bool> = vec![false; n * n];
        self.splits = vec![0; n * n];
        for (i, factor) in self.factors.iter().enumerate() {
            varies[i * n + i] = factor.varies;
        }
        for length in 1..n {
            for i in 0..n - length {
                let j = i + length;
                varies[i * n + j] = varies[i * n + j - 1] || varies[j * n + j];
                let (rows, cols) = (self.factors[i].shape.rows, self.factors[j].shape.cols);
                let mut best = f64::INFINITY;
                for k in i..j {
                    let (left, right) = (i * n + k, (k + 1) * n + j);
                    let product = cost(rows, self.factors[k].shape.cols, cols, varies[left], varies[right]);
                    let total = costs[left] + costs[right] + product;
                    if total < best {
                        best = total;
                        self.splits[i * n + j] = k;
                    }
                }
                costs[i * n + j] = best;
            }
        }
        (costs[n - 1] < self.cost).then_some(self)
    }

    fn build<'t>(&self, factor: &dyn Fn(Factor) -> Var<'t>) -> Var<'t> {
        self.interval(0, self.factors.len() - 1, factor)
    }

    /// The recursion is no deeper than the chain is long.
    fn interval<'t>(&self, i: usize, j: usize, factor: &dyn Fn(Factor) -> Var<'t>) -> Var<'t> {
        if i == j {
            return factor(self.factors[i]);
        }
        let k = self.splits[i * self.factors.len() + j];
        self.interval(i, k, factor) * self.interval(k + 1, j, factor)
    }
}
