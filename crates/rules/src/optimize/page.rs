use super::chain::{Factor, Products, Terms};
use super::cost::{self, Passes};
use super::identities;
use crate::Error;
use pullback_tape::{Node, NodeId, Op, Shape, Structure, Tape, Var};
use std::cell::RefCell;
use std::collections::HashSet;

/// The nodes that some expressions need, by index on the tape.
pub(super) struct Page<'t> {
    pub(super) tape: &'t Tape,
    nodes: Vec<Option<Node>>,
    uses: Vec<u32>,
    /// Whether it depends on a variable.
    varies: Vec<bool>,
    /// A variable that is no leaf, or what one is computed from: it has to stay what it is.
    frozen: Vec<bool>,
    /// Whether it is a result, but for a coefficient or a transpose.
    results: Vec<bool>,
    /// The variables that are no leaves.
    asked: Vec<usize>,
    pub(super) products: Products,
}

/// What takes the place of a node.
enum Rewrite {
    Chains(Terms),
    Identity(identities::Identity),
}

impl<'t> Page<'t> {
    /// What `outputs` need; `None` if there are none.
    pub(super) fn new(outputs: &[Var<'t>], wrt: &[Var<'t>]) -> Result<Option<Self>, Error> {
        let Some(tape) = outputs.first().map(|output| output.tape()) else { return Ok(None) };
        let roots = outputs.iter().map(|&y| tape.index(y)).collect::<Result<Vec<_>, _>>()?;
        let len = roots.iter().max().map_or(0, |last| last + 1);
        let (mut requested, mut asked) = (vec![false; len], Vec::new());
        for &x in wrt {
            let i = tape.index(x)?;
            if let Some(slot) = requested.get_mut(i) {
                *slot = true;
            }
            if x.node().is_some_and(|node| !node.args.is_empty()) {
                asked.push(i);
            }
        }
        let mut page = Page {
            tape,
            nodes: vec![None; len],
            uses: vec![0; len],
            varies: requested.clone(),
            frozen: vec![false; len],
            results: vec![false; len],
            asked,
            products: Products::default(),
        };
        for root in roots {
            page.uses[root] += 1;
            page.results[root] = true;
        }
        // A node's users come after it, so going back each has been counted when its turn comes.
        for i in (0..len).rev() {
            if page.uses[i] == 0 {
                continue;
            }
            let node = tape.var(i).and_then(Var::node);
            if let Some(node) = &node {
                if let (Op::Scale(_) | Op::Transpose, Some(x)) = (node.op, node.args.first()) {
                    page.results[x.index()] |= page.results[i];
                }
                page.frozen[i] |= requested[i] && !node.args.is_empty();
                for arg in &node.args {
                    page.uses[arg.index()] += 1;
                    page.frozen[arg.index()] |= page.frozen[i];
                }
            }
            page.nodes[i] = node;
        }
        for i in 0..len {
            let from_args = |node: &Node| node.args.iter().any(|arg| page.varies[arg.index()]);
            page.varies[i] |= page.nodes[i].as_ref().is_some_and(from_args);
        }
        page.products = Products::of(&page);
        Ok(Some(page))
    }

    /// All indices, arguments first.
    pub(super) fn indices(&self) -> impl DoubleEndedIterator<Item = usize> + use<'t> {
        0..self.nodes.len()
    }

    pub(super) fn node(&self, i: usize) -> Option<&Node> {
        self.nodes.get(i)?.as_ref()
    }

    /// The op and the arguments' indices; a leaf if there is no such node.
    pub(super) fn op(&self, i: usize) -> (Op, [Option<usize>; 2]) {
        self.node(i).map_or((Op::Zeros, [None; 2]), |node| {
            (node.op, [0, 1].map(|k| node.args.get(k).map(|arg| arg.index())))
        })
    }

    pub(super) fn shape(&self, i: usize) -> Shape {
        self.node(i).map_or(Shape::new(0, 0), |node| node.shape)
    }

    pub(super) fn structure(&self, i: usize) -> Structure {
        self.node(i).map_or(Structure::General, |node| node.structure)
    }

    pub(super) fn varies(&self, i: usize) -> bool {
        self.varies.get(i).copied().unwrap_or(false)
    }

    pub(super) fn constant(&self, i: usize) -> bool {
        self.node(i).is_some_and(|node| node.constant) && !self.varies(i)
    }

    /// Whether a node may be taken apart: it is read `users` times, all by who asks, has no name and is no checkpoint, and
    /// nobody asked for it.
    pub(super) fn opens_for(&self, i: usize, users: u32) -> bool {
        self.uses.get(i) == Some(&users)
            && !self.is_frozen(i)
            && self.node(i).is_some_and(|node| node.name.is_none() && !node.checkpoint)
    }

    /// Whether a node may be taken apart by its only user.
    pub(super) fn opens(&self, i: usize) -> bool {
        self.opens_for(i, 1)
    }

    /// Whether it is a variable, and no leaf.
    pub(super) fn is_asked(&self, i: usize) -> bool {
        self.asked.contains(&i)
    }

    /// Whether it is among the expressions, but for a coefficient or a transpose.
    pub(super) fn is_result(&self, i: usize) -> bool {
        self.results.get(i).copied().unwrap_or(false)
    }

    pub(super) fn is_frozen(&self, i: usize) -> bool {
        self.frozen.get(i).copied().unwrap_or(true)
    }

    pub(super) fn factor(&self, i: usize) -> Factor {
        Factor {
            node: Some(i),
            transposed: false,
            inverted: false,
            shape: self.shape(i),
            structure: self.structure(i),
            varies: self.varies(i),
            constant: self.constant(i),
            light: self.is_light(i),
        }
    }

    /// Whether it scales, picks or adds up the rows of what it is multiplied by, or the columns.
    fn is_light(&self, i: usize) -> bool {
        match self.op(i) {
            (Op::Diag | Op::Selection(_) | Op::Triangle { .. }, _) => true,
            (Op::Transpose, [Some(x), _]) => matches!(self.op(x).0, Op::Selection(_) | Op::Triangle { .. }),
            _ => false,
        }
    }

    /// What the products, solves, inverses and reductions of a node cost by itself, in the sweep and back.
    pub(super) fn cost(&self, i: usize) -> f64 {
        let shape = self.shape(i);
        let (m, n) = (shape.rows, shape.cols);
        match self.op(i) {
            (Op::MatMul, [Some(a), Some(b)]) => {
                let passes = self.passes(a, b);
                let is = |x: usize, op: Op| self.op(x).0 == op;
                // What is multiplied by ones is summed once, and repeated.
                let (m, n) = (if is(a, Op::Ones) { 1 } else { m }, if is(b, Op::Ones) { 1 } else { n });
                let k = if self.is_light(a) || self.is_light(b) { 1 } else { self.shape(a).cols };
                let transpose_of = |x: usize, y: usize| self.op(x) == (Op::Transpose, [Some(y), None]);
                if transpose_of(a, b) || transpose_of(b, a) {
                    return cost::mirrored_product(m, k, passes);
                }
                // A 1×1 has no halves.
                cost::product(m, k, n, passes, m > 1 && self.structure(i) != Structure::General)
            }
            (Op::Solve, [Some(a), Some(b)]) => cost::product(m, m, n, self.passes(a, b), false),
            (Op::Inverse, [Some(a), _]) if self.constant(a) => 0.0,
            (Op::Inverse, [Some(a), _]) => {
                cost::inverse(m, self.structure(a) == Structure::Definite, self.varies(a))
            }
            (Op::Inner, [Some(a), Some(b)]) => {
                let shape = self.shape(a);
                let passes = Passes { left: false, right: false, ..self.passes(a, b) };
                cost::product(shape.rows, shape.cols, 1, passes, false)
            }
            _ => 0.0,
        }
    }

    /// What all nodes cost together.
    pub(super) fn total(&self) -> f64 {
        self.indices().map(|i| self.cost(i)).sum()
    }

    fn passes(&self, a: usize, b: usize) -> Passes {
        Passes { left: self.varies(a), right: self.varies(b), constant: self.constant(a) && self.constant(b) }
    }

    /// Whether `new` contains a variable that none of its `parts` does: its gradient would be another one.
    fn makes_a_variable(&self, new: Var<'t>, parts: &[Var<'t>]) -> bool {
        if self.asked.is_empty() {
            return false;
        }
        let index = |var: &Var<'t>| self.tape.index(*var).ok();
        let mut seen: HashSet<usize> = parts.iter().filter_map(index).collect();
        let mut pending = Vec::from_iter(index(&new));
        while let Some(i) = pending.pop() {
            if !seen.insert(i) {
                continue;
            }
            if self.is_asked(i) {
                return true;
            }
            let args = self.tape.var(i).and_then(Var::node).map(|node| node.args).unwrap_or_default();
            pending.extend(args.iter().map(|arg| arg.index()));
        }
        false
    }

    /// The expressions with everything in place that makes them cheaper.
    pub(super) fn rewritten(&self, outputs: &[Var<'t>]) -> Result<Vec<Var<'t>>, Error> {
        let mut plans: Vec<Option<Rewrite>> = (0..self.nodes.len()).map(|_| None).collect();
        let mut inner = vec![false; self.nodes.len()];
        for i in self.indices().rev() {
            if self.node(i).is_none() || inner[i] || self.is_frozen(i) {
                continue;
            }
            if let Some(identity) = identities::of(self, i) {
                plans[i] = Some(Rewrite::Identity(identity));
            } else if let Some((terms, opened)) = Terms::of(self, i) {
                for link in opened {
                    inner[link] = true;
                }
                plans[i] = terms.map(Rewrite::Chains);
            }
        }
        self.with(outputs, |i, image| match &plans[i] {
            Some(Rewrite::Chains(terms)) => Some(terms.build(self.tape, image)),
            Some(Rewrite::Identity(identity)) => Some(identity.build(self.tape, image)),
            None => None,
        })
    }

    /// The outputs, recorded anew with what `replace` gives for a node, from the images of what it is made of.
    pub(super) fn with(
        &self,
        outputs: &[Var<'t>],
        replace: impl Fn(usize, &dyn Fn(usize) -> Var<'t>) -> Option<Var<'t>>,
    ) -> Result<Vec<Var<'t>>, Error> {
        let mut images: Vec<Option<Var<'t>>> = vec![None; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            let (Some(node), Some(var)) = (node, self.tape.var(i)) else { continue };
            let recorded = self.tape.len();
            let parts = RefCell::new(Vec::new());
            let image = |i: usize| {
                let image = images.get(i).copied().flatten().or(self.tape.var(i)).unwrap_or(var);
                parts.borrow_mut().push(image);
                image
            };
            let again = || {
                let args: Vec<_> = node.args.iter().map(|arg| image(arg.index())).collect();
                let same = |(arg, new): (&NodeId, &Var<'t>)| {
                    self.tape.var(arg.index()).is_some_and(|old| old.same(*new))
                };
                if self.is_frozen(i) || node.args.iter().zip(&args).all(same) {
                    return var;
                }
                // What was known to be symmetric, as it was written, may not look so any more.
                let unknown = |arg: &Var<'t>| arg.structure() == Structure::General;
                if node.op.of_symmetric() && args.first().is_some_and(unknown) {
                    return var;
                }
                self.tape.apply(node.op, &args)
            };
            let harmless = |new: &Var<'t>| !self.makes_a_variable(*new, &parts.borrow());
            let new = self.tape.attributed(node.location, || {
                let replaced = replace(i, &image).filter(harmless);
                replaced.unwrap_or_else(|| Some(again()).filter(harmless).unwrap_or(var))
            });
            // What had been recorded before has a name of its own, or none.
            if let Some(name) = var.name()
                && self.tape.index(new)? >= recorded
            {
                new.named(&name);
            }
            if node.checkpoint {
                new.checkpoint();
            }
            images[i] = Some(new);
        }
        let image = |y: &Var<'t>| {
            let i = self.tape.index(*y)?;
            Ok(images.get(i).copied().flatten().unwrap_or(*y).check()?)
        };
        outputs.iter().map(image).collect()
    }
}
