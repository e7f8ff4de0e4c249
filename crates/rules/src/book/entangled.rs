//! Vectors that are entangled with values.
//!
//! The derivatives of λ and V by themselves have no part where two values coincide, and none is missing as long as the loss is a
//! function of the values plus one of the vectors that does not depend on their choice. A function of both is another
//! thing: `Σ f(λᵢ) vᵢ vᵢᵀ` moves by `f′ vᵢᵀ ε vⱼ` between vectors of one value, though every `vᵢ` alone has no derivative. No
//! cotangent shows it (where `f(λ) = 0`, that of V vanishes), but the expression does.

use super::{Rule, rule};
use crate::calculus::Region;
use pullback_tape::{Factor, Node, Op, Slot, Var};
use std::collections::{BTreeMap, BTreeSet};

/// The vectors that some term of an expression has together with values, by index.
#[derive(Default)]
pub(crate) struct Entangled(BTreeSet<usize>);

/// What a node depends on.
#[derive(Clone, Copy, Default)]
struct Parts {
    values: bool,
    vectors: bool,
}

impl Entangled {
    /// Those between some variables and a value.
    pub(crate) fn new(region: &Region<'_>) -> Self {
        let nodes: Vec<(usize, Node)> =
            region.indices().filter_map(|i| region.node(i).map(|(node, _)| (i, node))).collect();
        if !nodes.iter().any(|(_, node)| is_vectors(node.op)) {
            return Entangled::default();
        }
        let mut parts: BTreeMap<usize, Parts> = BTreeMap::new();
        for (i, node) in &nodes {
            let mut sum = Parts { values: is_values(node.op), vectors: is_vectors(node.op) };
            for (_, arg) in varying(node, region) {
                let part = parts.get(&arg).copied().unwrap_or_default();
                sum = Parts { values: sum.values | part.values, vectors: sum.vectors | part.vectors };
            }
            if sum.values || sum.vectors {
                parts.insert(*i, sum);
            }
        }
        let both = |i: usize| parts.get(&i).is_some_and(|part| part.values && part.vectors);
        let Some(last) = nodes.last().map(|(i, _)| *i).filter(|&i| both(i)) else {
            return Entangled::default();
        };
        // From sums to their terms, and from a term with both to all that it depends on.
        let mut terms = BTreeMap::from([(last, false)]);
        for (i, node) in nodes.iter().rev() {
            let Some(&together) = terms.get(i) else { continue };
            let args: Vec<_> = varying(node, region).collect();
            let linear = match args[..] {
                [(slot, _)] => node.op.slot(slot) != Slot::Nonlinear,
                _ => args.iter().all(|&(slot, _)| node.op.slot(slot) == Slot::Jointly),
            };
            let together = together || !linear && both(*i);
            terms.insert(*i, together);
            if together || linear {
                args.iter().for_each(|&(_, arg)| *terms.entry(arg).or_default() |= together);
            }
        }
        let vectors = nodes.iter().filter(|(i, node)| is_vectors(node.op) && terms.get(i) == Some(&true));
        Entangled(vectors.map(|(i, _)| *i).collect())
    }

    /// If these vectors are entangled, a column that is not 0 for those that are used: those of which the cotangent is not 0 from
    /// how it is written.
    pub(crate) fn used<'t>(&self, i: usize, bar: Var<'t>) -> Option<Var<'t>> {
        self.0.contains(&i).then(|| columns(bar))
    }
}

/// A column that is not 0 for each column of `x` that is not known to be.
fn columns(x: Var<'_>) -> Var<'_> {
    let (tape, count) = (x.tape(), x.cols());
    let mut used = tape.zeros((count, 1));
    // Expressions of which the columns, or the rows, are the columns of x.
    let (mut pending, mut met) = (vec![(x, true)], BTreeSet::new());
    while let Some((x, cols)) = pending.pop() {
        let (Some(node), Ok(id)) = (x.node(), x.valid()) else { continue };
        if !met.insert((id.index(), cols)) {
            continue;
        }
        let args: Vec<_> = node.args.iter().filter_map(|arg| tape.var(arg.index())).collect();
        match (node.op, &args[..]) {
            (Op::Zeros, _) => {}
            (Op::Selection(_), _) if cols => used = used + x.col_sums().t(),
            (Op::Add, &[a, b]) => pending.extend([(a, cols), (b, cols)]),
            (Op::Scale(_), &[a]) | (Op::ScaleBy, &[_, a]) => pending.push((a, cols)),
            (Op::Transpose, &[a]) => pending.push((a, !cols)),
            (Op::Diag, &[a]) => pending.push((a, false)),
            (Op::MatMul, &[a, b]) => pending.push(if cols { (b, true) } else { (a, false) }),
            _ => return tape.ones((count, 1)),
        }
    }
    used
}

/// The arguments with which a node varies, each with its slot.
fn varying(node: &Node, region: &Region<'_>) -> impl Iterator<Item = (usize, usize)> {
    let held = |slot: usize| matches!(rule(node.op, slot), Some(Rule::Constant));
    let args = (0..).zip(node.args.iter().map(|arg| arg.index()));
    args.filter(move |&(slot, i)| region.contains(i) && !held(slot))
}

fn is_values(op: Op) -> bool {
    use Factor::{ClusteredEigenvalues, Eigenvalues, RealEigenvalues, SingularValues};
    matches!(op, Op::Factor(Eigenvalues | RealEigenvalues | ClusteredEigenvalues | SingularValues))
}

fn is_vectors(op: Op) -> bool {
    use Factor::{Eigenvectors, LeftVectors, RealEigenvectors, RightVectors};
    matches!(op, Op::Factor(Eigenvectors | RealEigenvectors | LeftVectors | RightVectors))
}
