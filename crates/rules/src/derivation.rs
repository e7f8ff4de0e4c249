mod paper;

use crate::book::names::{self, Expansion, Words, expansion, identity, plain};
use crate::book::{At, Rule, rule};
use crate::calculus::{Region, not_linear};
use crate::{Error, jvp, substitute};
use pullback_tape::{Op, Structure, Var};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A derivation shows at most so many steps from the linear term to the gradient; further ones are left out of its middle.
const MOST_STEPS: usize = 12;

/// The steps that lead from a loss to its gradient, as a person would write them.
///
/// `Display` prints them in Unicode or, with `{:#}`, in LaTeX, as what stands within `align*`;
/// [`markdown`](Derivation::markdown) as a table. What is long is cut into a `where` clause at the end, in which a name is
/// one expression in all lines.
#[derive(Clone, Debug)]
pub struct Derivation<'t> {
    /// The loss.
    pub loss: Var<'t>,
    /// The variable.
    pub variable: Var<'t>,
    /// The loss at `variable + ε`.
    pub perturbed: Var<'t>,
    /// The Fréchet derivative along `ε`: the loss linearized.
    pub linear: Var<'t>,
    /// How the linear term becomes `⟨gradient, ε⟩`.
    pub steps: Vec<Step<'t>>,
    /// The linear term with the adjoint applied: `⟨gradient, ε⟩`.
    pub adjoint: Var<'t>,
    /// What stands beside `ε`.
    pub gradient: Var<'t>,
    /// The perturbation: symmetric if the variable is.
    pub perturbation: Var<'t>,
    by: Words,
    left_out: usize,
    through: Option<Through<'t>>,
    remainder: Var<'t>,
}

/// One of the steps by which adjoints are moved across an inner product.
#[derive(Clone, Debug)]
pub struct Step<'t> {
    /// What it leads to: it is equal to the linear term.
    pub linear: Var<'t>,
    by: Words,
}

impl Step<'_> {
    /// The identities that were used.
    pub fn by(&self) -> &str {
        &self.by.unicode
    }
}

/// Derives the gradient of a 1×1 `loss` in `variable` step by step: perturb, expand, move the adjoints
/// across, read off.
///
/// Each line is followed by the identities it is by. The linear term is taken to pieces by a reverse sweep: one linear op after
/// another goes from the right side of `⟨G, f(ε)⟩` to the left, by its adjoint in the rule book. Terms in ε are collected at
/// the end. Of a number, the matrix is varied in which it stands, by `δ`, and what `δ` is along ε is inserted at the end. More than
/// twelve steps are cut in the middle, with a line that says how many are left out. Time is that of
/// [`gradient`](crate::gradient) and [`jvp`](crate::jvp).
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::derivation;
/// let tape = Tape::new();
/// let (w2, w1) = (tape.input("W2", (10, 32)), tape.input("W1", (32, 64)));
/// let steps = derivation(tape.function("L", w2 * w1), w1)?;
/// assert_eq!(steps.to_string(), "\
/// L(W2 (W1 + ε))
///   = L(W2 W1) + ⟨∇L(W2 W1), W2 ε⟩ + o(‖ε‖)     (definition of ∇L)
///   = L(W2 W1) + ⟨W2ᵀ ∇L(W2 W1), ε⟩ + o(‖ε‖)    (adjoint of a product)
/// ∇W1 = W2ᵀ ∇L(W2 W1)");
///
/// let (k, y) = (tape.positive_definite("K", 9), tape.input("y", (9, 1)));
/// let steps = derivation(0.5 * (y.t() * k.solve(y) + k.log_det()), k)?;
/// assert_eq!(steps.to_string(), "\
/// f(K)     = ½ (yᵀ K⁻¹ y + log |det K|)
/// f(K + ε) = ½ (yᵀ (K + ε)⁻¹ y + log |det(K + ε)|)
///          = f(K) + Df(K)[ε] + o(‖ε‖)
/// Df(K)[ε] = ½ (⟨K⁻¹, ε⟩ − yᵀ K⁻¹ ε K⁻¹ y)       (derivatives of a solve and log |det|)
///          = ½ (⟨K⁻¹, ε⟩ − ⟨y, K⁻¹ ε K⁻¹ y⟩)     (aᵀ b = ⟨a, b⟩)
///          = ½ (⟨K⁻¹, ε⟩ − ⟨K⁻¹ y, ε K⁻¹ y⟩)     (adjoint of a solve)
///          = ½ (⟨K⁻¹, ε⟩ − ⟨K⁻¹ y yᵀ K⁻¹, ε⟩)    (adjoint of a product)
///          = ½ ⟨K⁻¹ − K⁻¹ y yᵀ K⁻¹, ε⟩           (collect)
/// ∇K       = ½ (K⁻¹ − K⁻¹ y yᵀ K⁻¹)");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// Those of [`gradient`](crate::gradient).
pub fn derivation<'t>(loss: Var<'t>, variable: Var<'t>) -> Result<Derivation<'t>, Error> {
    let gradient = crate::gradient(loss, &[variable])?;
    let tape = loss.tape();
    let shape = variable.check()?.shape();
    let gradient = gradient.into_iter().next().unwrap_or_else(|| tape.zeros(shape));
    let symmetric = variable.structure() >= Structure::Symmetric && !shape.is_scalar();
    let e = if symmetric { tape.symmetric_symbol("ε", shape.rows) } else { tape.symbol("ε", shape) };
    let linear = jvp(loss, &[(variable, e)])?;
    let through = match shape.is_scalar() {
        true => through(loss, variable, e)?,
        false => None,
    };
    let mut sweep = match &through {
        Some(through) => Sweep::new(through.linear, through.symbol)?,
        None => Sweep::new(linear, e)?,
    };
    sweep.run()?;
    let adjoint = gradient.inner(e);
    let (steps, left_out) = match &through {
        Some(through) => sweep.steps(through.gradient, Some((adjoint, through.inserted())))?,
        None => sweep.steps(gradient, None)?,
    };
    Ok(Derivation {
        loss,
        variable,
        perturbed: substitute(loss, variable, variable + e)?,
        linear,
        steps,
        adjoint,
        gradient,
        perturbation: e,
        by: expanded_by(loss, variable)?,
        left_out,
        through,
        remainder: tape.function("o", e.norm()),
    })
}

/// By what a loss is linearized.
fn expanded_by(loss: Var<'_>, variable: Var<'_>) -> Result<Words, Error> {
    let region = Region::new(loss, &[variable])?;
    // Nodes that vary, and how; of these, those by which the loss does.
    let mut varying: BTreeMap<usize, Expansion> = BTreeMap::new();
    for i in region.indices() {
        let Some((node, value)) = region.node(i) else { continue };
        let args = region.args(&node);
        let varies = |arg: Var<'_>| arg.valid().is_ok_and(|id| varying.contains_key(&id.index()));
        let how = match value.same(variable) {
            true => Expansion::Linear,
            false if !args.iter().any(|&arg| varies(arg)) => continue,
            false => expansion(&At::new(node.op, &args, 0, value), varies),
        };
        if how != Expansion::Held {
            varying.insert(i, how);
        }
    }
    let mut needed = BTreeSet::from([loss.tape().index(loss)?]);
    for &i in varying.keys().rev() {
        let Some((node, _)) = region.node(i).filter(|_| needed.contains(&i)) else { continue };
        needed.extend(node.args.iter().map(|arg| arg.index()));
    }
    let (mut product, mut derivatives, mut definitions) = (false, Vec::new(), Vec::new());
    for (_, how) in varying.into_iter().filter(|(i, _)| needed.contains(i)) {
        let (list, words) = match how {
            Expansion::Held | Expansion::Linear => continue,
            Expansion::Product => {
                product = true;
                continue;
            }
            Expansion::Derivative(words) => (&mut derivatives, words),
            Expansion::Definition(words) => (&mut definitions, words),
        };
        if !list.contains(&words) {
            list.push(words);
        }
    }
    let mut parts = Vec::new();
    if product {
        parts.push(plain("product rule"));
    }
    if !derivatives.is_empty() {
        let what = if derivatives.len() > 1 { "derivatives of" } else { "derivative of" };
        parts.push(Words::list(&derivatives, " and ").after(what));
    }
    if !definitions.is_empty() {
        parts.push(Words::list(&definitions, " and ").after("definition of"));
    }
    Ok(if parts.is_empty() { plain("linearity") } else { Words::list(&parts, ", ") })
}

/// What a loss depends on a number through: a matrix M, the last of those that everything passes. A number goes to the front of
/// a formula, and nothing would be left to be moved; M stays where it is.
#[derive(Clone, Copy, Debug)]
struct Through<'t> {
    /// The variation of M.
    symbol: Var<'t>,
    /// What it is along `ε`.
    along: Var<'t>,
    /// The loss linearized in M.
    linear: Var<'t>,
    /// Its gradient in M.
    gradient: Var<'t>,
}

impl Through<'_> {
    fn inserted(&self) -> Words {
        Words::new(&format!("{} inserted", self.symbol), &format!("${}$ inserted", self.symbol.latex()))
    }
}

/// The last matrix that everything passes between a number and a loss, if there is one.
fn through<'t>(loss: Var<'t>, variable: Var<'t>, e: Var<'t>) -> Result<Option<Through<'t>>, Error> {
    let region = Region::new(loss, &[variable])?;
    let tape = loss.tape();
    // From the loss down, nodes that are still to come; where there is one alone, everything passes it.
    let mut pending = BTreeSet::from([tape.index(loss)?]);
    while let Some(i) = pending.pop_last() {
        let Some((node, value)) = region.node(i) else { continue };
        if pending.is_empty() && !node.shape.is_scalar() {
            let Some(gradient) = crate::gradient(loss, &[value])?.into_iter().next() else { return Ok(None) };
            let taken = names::taken(loss)?;
            let free = |name: &&&str| !taken.contains(**name);
            let name = ["δ", "η", "ζ"].iter().find(free).copied().unwrap_or("δ′");
            let symmetric = value.structure() >= Structure::Symmetric;
            let symbol = match symmetric {
                true => tape.symmetric_symbol(name, value.rows()),
                false => tape.symbol(name, value.shape()),
            };
            let linear = jvp(loss, &[(value, symbol)])?;
            return Ok(Some(Through { symbol, along: jvp(value, &[(variable, e)])?, linear, gradient }));
        }
        pending.extend(node.args.iter().map(|arg| arg.index()).filter(|&arg| region.has(arg)));
    }
    Ok(None)
}

/// `⟨bar, y⟩`, where `y` is the node with an index.
#[derive(Clone, Copy)]
struct Term<'t> {
    bar: Var<'t>,
    y: usize,
}

/// A line: a sum of inner products, and the identities by which it follows.
type Line<'t> = (Vec<Term<'t>>, Words);

/// The reverse sweep over an expression that is linear in ε: a sum of inner products, from the right sides of which one
/// op after another is taken off. What is taken off by one identity is a line.
struct Sweep<'t> {
    linear: Var<'t>,
    e: Var<'t>,
    region: Region<'t>,
    /// In the order of the sum.
    terms: Vec<Term<'t>>,
    /// How many uses of a node were not yet met.
    uses: BTreeMap<usize, usize>,
    /// What can be taken off: no more terms will come to it.
    ready: BTreeSet<usize>,
    /// The identity of the line that is under way, and all that is said of it.
    current: Option<Words>,
    by: Vec<Words>,
    first: Vec<Line<'t>>,
    last: VecDeque<Line<'t>>,
    left_out: usize,
}

impl<'t> Sweep<'t> {
    fn new(linear: Var<'t>, e: Var<'t>) -> Result<Self, Error> {
        let region = Region::new(linear, &[e])?;
        let mut uses = BTreeMap::new();
        for i in region.indices() {
            let Some((node, _)) = region.node(i) else { continue };
            for arg in node.args.iter().filter(|arg| region.has(arg.index())) {
                *uses.entry(arg.index()).or_insert(0) += 1;
            }
        }
        let top = Some(linear.tape().index(linear)?).filter(|&top| region.has(top));
        let one = linear.tape().scalar(1.0);
        Ok(Sweep {
            linear,
            e,
            region,
            terms: top.map(|y| Term { bar: one, y }).into_iter().collect(),
            uses,
            ready: top.into_iter().collect(),
            current: None,
            by: Vec::new(),
            first: Vec::new(),
            last: VecDeque::new(),
            left_out: 0,
        })
    }

    /// Takes off everything but ε.
    fn run(&mut self) -> Result<(), Error> {
        while let Some((i, identity)) = self.next() {
            if let Some(words) = identity
                && self.current.as_ref() != Some(&words)
            {
                self.end_line();
                self.by.push(words.clone());
                self.current = Some(words);
            }
            self.take_off(i)?;
        }
        self.end_line();
        Ok(())
    }

    /// What is taken off next: what is worth no line, then what belongs to this line, then what was recorded last.
    fn next(&self) -> Option<(usize, Option<Words>)> {
        let mut best = None;
        let others = |i: &&usize| self.region.node(**i).is_some_and(|(_, y)| !y.same(self.e));
        for &i in self.ready.iter().rev().filter(others) {
            match self.identity(i) {
                Some(words) => {
                    if best.is_none() || self.current.as_ref() == Some(&words) {
                        best = Some((i, Some(words)));
                    }
                }
                None => return Some((i, None)),
            }
        }
        best
    }

    /// The identity by which a node is taken off, if it is part of a term and that is worth a line.
    fn identity(&self, i: usize) -> Option<Words> {
        let mut bars = self.terms.iter().filter(|term| term.y == i).map(|term| term.bar);
        // `⟨I, X⟩` is the trace of X.
        let traced = core(bars.next()?) == Some(Op::Identity) && bars.next().is_none();
        let (node, value) = self.region.node(i)?;
        let slot = node.args.iter().position(|arg| self.region.has(arg.index()))?;
        let args = self.region.args(&node);
        identity(&At::new(node.op, &args, slot, value), traced)
    }

    /// `⟨G, f(x)⟩ = ⟨f*(G), x⟩`
    fn take_off(&mut self, i: usize) -> Result<(), Error> {
        self.ready.remove(&i);
        let Some((node, value)) = self.region.node(i) else { return Ok(()) };
        let bars: Vec<_> = self.terms.iter().filter(|term| term.y == i).map(|term| term.bar).collect();
        let collect = plain("collect");
        if bars.len() > 1 && !self.by.contains(&collect) {
            self.by.insert(self.by.len().saturating_sub(1), collect);
        }
        let y_bar = bars.into_iter().reduce(|sum, bar| sum + bar);
        let args = self.region.args(&node);
        let mut taken = Vec::new();
        for (slot, (&arg, y)) in args.iter().zip(node.args.iter().map(|arg| arg.index())).enumerate() {
            if !self.region.has(y) {
                continue;
            }
            if let Some(y_bar) = y_bar {
                let at = At::new(node.op, &args, slot, value);
                let Some(Rule::Linear(adjoint)) = rule(node.op, slot) else {
                    return Err(not_linear(node.op.name(), arg, &[self.e]));
                };
                let bar = arg.tape().attributed(node.location, || adjoint(&at, y_bar)).check()?;
                if !bar.is_zero() {
                    taken.push(Term { bar, y });
                }
            }
            if let Some(uses) = self.uses.get_mut(&y) {
                *uses = uses.saturating_sub(1);
                if *uses == 0 {
                    self.ready.insert(y);
                }
            }
        }
        if let Some(place) = self.terms.iter().position(|term| term.y == i) {
            self.terms.splice(place..=place, taken);
            self.terms.retain(|term| term.y != i);
        }
        Ok(())
    }

    fn end_line(&mut self) {
        if self.current.take().is_none() {
            return;
        }
        let line = (self.terms.clone(), Words::list(&std::mem::take(&mut self.by), ", "));
        if self.first.len() < MOST_STEPS {
            return self.first.push(line);
        }
        self.last.push_back(line);
        if self.last.len() > MOST_STEPS {
            self.last.pop_front();
            self.left_out += 1;
        }
    }

    fn sum(&self, terms: &[Term<'t>]) -> Result<Var<'t>, Error> {
        let tape = self.linear.tape();
        let inner = |term: &Term<'t>| tape.var(term.y).map(|y| term.bar.inner(y));
        let sum = terms.iter().filter_map(inner).reduce(|sum, term| sum + term);
        Ok(sum.unwrap_or_else(|| tape.scalar(0.0)).check()?)
    }

    /// The lines that look different from those before them, up to `⟨gradient, ε⟩`, and how many were left out of their
    /// middle.
    fn steps(
        &self,
        gradient: Var<'t>,
        last: Option<(Var<'t>, Words)>,
    ) -> Result<(Vec<Step<'t>>, usize), Error> {
        let mut steps: Vec<Step<'t>> = Vec::new();
        let (mut shown, mut by) = (self.linear.to_string(), Vec::new());
        for (terms, words) in self.first.iter().chain(&self.last) {
            let linear = self.sum(terms)?;
            let text = linear.to_string();
            by.push(words.clone());
            if text != shown {
                steps.push(Step { linear, by: Words::list(&std::mem::take(&mut by), ", ") });
                shown = text;
            }
        }
        let adjoint = gradient.inner(self.e).check()?;
        if let Some(unit) = unit(gradient).filter(|_| last.is_none()) {
            steps.push(Step { linear: adjoint, by: unit });
        } else if adjoint.to_string() != shown {
            let general = |term: &Term<'_>| term.bar.structure() == Structure::General;
            if self.terms.len() > 1 {
                by.push(plain("collect"));
            }
            if self.e.structure() >= Structure::Symmetric && self.terms.iter().any(general) {
                by.push(plain("ε is symmetric"));
            }
            // The sweep over the loss wrote the same in another order.
            if by.is_empty() {
                by.push(plain("rearranged"));
            }
            steps.push(Step { linear: adjoint, by: Words::list(&by, ", ") });
        }
        if let Some((adjoint, by)) = last {
            steps.push(Step { linear: adjoint, by });
        }
        let more = steps.len().saturating_sub(MOST_STEPS);
        if more > 0 {
            steps.drain(MOST_STEPS / 2..MOST_STEPS / 2 + more);
        }
        Ok((steps, self.left_out + more))
    }
}

/// Of a gradient `c I` or `c 𝟏`, whose inner product with ε is a trace or a sum: why it is one.
fn unit(gradient: Var<'_>) -> Option<Words> {
    match core(gradient)? {
        Op::Identity => Some(names::trace()),
        Op::Ones => Some(names::sum()),
        _ => None,
    }
}

/// What is scaled by numbers.
fn core(x: Var<'_>) -> Option<Op> {
    let mut node = x.node()?;
    while let (Op::Scale(_) | Op::ScaleBy, Some(arg)) = (node.op, node.args.last()) {
        node = x.tape().var(arg.index())?.node()?;
    }
    Some(node.op)
}
