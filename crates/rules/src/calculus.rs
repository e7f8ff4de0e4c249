//! Reverse and forward sweeps over the tape. They know no op: the rule book does.

use crate::Error;
use crate::book::{At, Entangled, Rule, rule};
use pullback_tape::{Node, Slot, Structure, Tape, Var};
use std::panic::Location;

/// The gradient `∇f` of a 1×1 expression in each of `wrt`, by `f(X + ε) = f(X) + ⟨∇f(X), ε⟩ + o(‖ε‖)`.
///
/// The results are expressions on the same tape, of the shapes of `wrt`: they print, compile and
/// can be differentiated again. What the loss does not depend on has gradient zero. `wrt` need not be inputs;
/// an intermediate value has its cotangent. Time is linear in the nodes between `wrt` and `loss`.
///
/// If `X` is known to be symmetric, so is `∇f`, and the definition holds for every symmetric `ε`: that is the
/// orthogonal projection `½ (G + Gᵀ)` of the gradient `G` in a matrix that is free.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::gradient;
/// let tape = Tape::new();
/// let (x, q) = (tape.input("x", (3, 1)), tape.input("Q", (3, 3)));
/// let grads = gradient(x.t() * q * x, &[x, q])?;
/// assert_eq!(grads[0].to_string(), "(Q + Qᵀ) x");
/// assert_eq!(grads[1].to_string(), "x xᵀ");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// A mistake recorded in one of the expressions; [`Error::NotScalar`].
pub fn gradient<'t>(loss: Var<'t>, wrt: &[Var<'t>]) -> Result<Vec<Var<'t>>, Error> {
    loss.check()?;
    if !loss.shape().is_scalar() {
        return Err(Error::NotScalar {
            formula: loss.summary(),
            shape: loss.shape(),
            location: location_of(loss),
        });
    }
    vjp(loss, wrt, loss.tape().scalar(1.0))
}

/// The vector-Jacobian product: the adjoint of `D y`, applied to the cotangent `y_bar`, in each of `wrt`.
///
/// `⟨y_bar, D y(X)[ε]⟩ = ⟨vjp, ε⟩` for every `ε`. See [`gradient`], which is the case of a 1×1.
///
/// # Errors
/// A mistake recorded in one of the expressions; [`Error::SeedShape`].
pub fn vjp<'t>(y: Var<'t>, wrt: &[Var<'t>], y_bar: Var<'t>) -> Result<Vec<Var<'t>>, Error> {
    check_seed("cotangent", y, y_bar)?;
    let bars = pull(y, wrt, y_bar, Kind::Differentiable)?;
    Ok(bars.into_iter().zip(wrt).map(|(bar, &x)| projected(bar, x)).collect())
}

/// A cotangent of `x`, projected on the symmetric matrices if `x` is one: the adjoint of their inclusion.
fn projected<'t>(bar: Var<'t>, x: Var<'t>) -> Var<'t> {
    let free = x.structure() == Structure::General || bar.structure() != Structure::General;
    if free { bar } else { 0.5 * (bar + bar.t()) }
}

/// The Jacobian-vector product: the Fréchet derivative of `y` along the given tangents, `Σ D y(X)[x_dot]`.
///
/// The tangent of what is known to be symmetric has to be symmetric.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::jvp;
/// let tape = Tape::new();
/// let (a, e) = (tape.input("A", (3, 3)), tape.symbol("ε", (3, 3)));
/// assert_eq!(jvp(a.inv(), &[(a, e)])?.to_string(), "−A⁻¹ ε A⁻¹");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// A mistake recorded in one of the expressions; [`Error::SeedShape`].
pub fn jvp<'t>(y: Var<'t>, tangents: &[(Var<'t>, Var<'t>)]) -> Result<Var<'t>, Error> {
    for &(x, x_dot) in tangents {
        check_seed("tangent", x, x_dot)?;
    }
    let xs: Vec<_> = tangents.iter().map(|&(x, _)| x).collect();
    let region = Region::new(y, &xs)?;
    let mut dots: Vec<Option<Var<'t>>> = vec![None; region.depends.len()];
    for &(x, x_dot) in tangents {
        if let Some(slot) = region.offset(x).and_then(|j| dots.get_mut(j)) {
            *slot = Some(slot.map_or(x_dot, |other| other + x_dot));
        }
    }
    for i in region.indices() {
        let Some((node, value)) = region.node(i) else { continue };
        let args = region.args(&node);
        let dot = |arg: Var<'t>| region.offset(arg).and_then(|j| dots.get(j).copied().flatten());
        let y_dot = region.tape.attributed(node.location, || push(&node, value, &args, dot));
        if let (Some(slot), Some(y_dot)) = (dots.get_mut(i - region.start), y_dot) {
            let y_dot = slot.map_or(y_dot, |seed| y_dot + seed);
            *slot = (!y_dot.is_zero()).then_some(y_dot);
        }
    }
    let y_dot = region.offset(y).and_then(|j| dots.get(j).copied().flatten());
    match y_dot {
        Some(y_dot) => Ok(y_dot.check()?),
        None => Ok(y.tape().zeros(y.shape())),
    }
}

/// The Hessian-vector product: the derivative of the gradient of `loss` along the given directions, in each of
/// the variables that have one. Forward over reverse.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::hvp;
/// let tape = Tape::new();
/// let (x, v) = (tape.input("x", (3, 1)), tape.input("v", (3, 1)));
/// let q = tape.input("Q", (3, 3));
/// assert_eq!(hvp(0.5 * (x.t() * q * x), &[(x, v)])?[0].to_string(), "½ (Q + Qᵀ) v");
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// Those of [`gradient`] and [`jvp`].
pub fn hvp<'t>(loss: Var<'t>, directions: &[(Var<'t>, Var<'t>)]) -> Result<Vec<Var<'t>>, Error> {
    let xs: Vec<_> = directions.iter().map(|&(x, _)| x).collect();
    gradient(loss, &xs)?.into_iter().map(|gradient| jvp(gradient, directions)).collect()
}

/// The adjoint of the linear map `x ↦ y`, applied to `y_bar`: `⟨y_bar, y(x)⟩ = ⟨transpose, x⟩`.
///
/// ```
/// # use pullback_tape::Tape;
/// # use pullback_rules::transpose;
/// let tape = Tape::new();
/// let (a, b) = (tape.input("A", (2, 3)), tape.input("B", (4, 5)));
/// let (e, g) = (tape.symbol("ε", (3, 4)), tape.input("G", (2, 5)));
/// assert_eq!(transpose(a * e * b, e, g)?.to_string(), "Aᵀ G Bᵀ");
/// assert!(transpose(a * e.exp() * b, e, g).is_err());
/// # Ok::<(), pullback_rules::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotLinear`] if `y` is not linear in `x`, naming the op where that shows; [`Error::SeedShape`]; a
/// mistake recorded in one of the expressions.
pub fn transpose<'t>(y: Var<'t>, x: Var<'t>, y_bar: Var<'t>) -> Result<Var<'t>, Error> {
    check_seed("cotangent", y, y_bar)?;
    Ok(projected(one(pull(y, &[x], y_bar, Kind::Linear)?, x)?, x))
}

/// `y` with `new` in the place of `old`, recorded anew.
///
/// # Errors
/// A mistake recorded in one of the expressions, or made by the substitution; [`Error::SeedShape`].
pub fn substitute<'t>(y: Var<'t>, old: Var<'t>, new: Var<'t>) -> Result<Var<'t>, Error> {
    check_seed("replacement", old, new)?;
    let region = Region::new(y, &[old])?;
    let mut images: Vec<Option<Var<'t>>> = vec![None; region.depends.len()];
    for i in region.indices() {
        let Some((node, value)) = region.node(i) else { continue };
        let image =
            |arg: Var<'t>| region.offset(arg).and_then(|j| images.get(j).copied().flatten()).unwrap_or(arg);
        let args: Vec<_> = region.args(&node).into_iter().map(image).collect();
        let value = if old.same(value) {
            new
        } else {
            region.tape.attributed(node.location, || region.tape.apply(node.op, &args))
        };
        if let Some(slot) = images.get_mut(i - region.start) {
            *slot = Some(value);
        }
    }
    Ok(region.offset(y).and_then(|j| images.get(j).copied().flatten()).unwrap_or(y).check()?)
}

/// Whether an expression may be differentiated on the way, or has to be linear as it stands.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Differentiable,
    Linear,
}

/// The reverse sweep: cotangents of `xs` from the cotangent of `y`.
fn pull<'t>(y: Var<'t>, xs: &[Var<'t>], y_bar: Var<'t>, kind: Kind) -> Result<Vec<Var<'t>>, Error> {
    let region = Region::new(y, xs)?;
    let mut bars: Vec<Option<Var<'t>>> = vec![None; region.depends.len()];
    match region.offset(y).and_then(|i| bars.get_mut(i)) {
        Some(slot) => *slot = Some(y_bar),
        None if kind == Kind::Linear && !y.is_zero() => return Err(not_linear("constant", y, xs)),
        None => {}
    }
    let entangled = match kind {
        Kind::Differentiable => Entangled::new(&region),
        Kind::Linear => Entangled::default(),
    };
    for i in region.indices().rev() {
        let Some((node, value)) = region.node(i) else { continue };
        let Some(y_bar) = bars.get(i - region.start).copied().flatten() else { continue };
        let args = region.args(&node);
        if kind == Kind::Linear && !is_linear(&node, &args, &region) {
            return Err(not_linear(node.op.name(), value, xs));
        }
        for (slot, &arg) in args.iter().enumerate() {
            let Some(offset) = region.offset(arg) else { continue };
            let at = At::new(node.op, &args, slot, value);
            let x_bar = region.tape.attributed(node.location, || match rule(node.op, slot) {
                Some(Rule::Linear(adjoint)) => Ok(Some(adjoint(&at, y_bar))),
                Some(Rule::Frechet(frechet)) if kind == Kind::Differentiable => {
                    let at = At { used: entangled.used(i, y_bar), ..at };
                    let e = region.tape.symbol("ε", arg.shape());
                    let y_dot = frechet(&at, e).check()?;
                    one(pull(y_dot, &[e], y_bar, Kind::Linear)?, e).map(Some)
                }
                Some(Rule::Constant) => Ok(Some(arg.tape().zeros(arg.shape()))),
                Some(Rule::Frechet(_)) | None => Ok::<_, Error>(None),
            })?;
            let Some(x_bar) = x_bar else { return Err(not_linear(node.op.name(), value, xs)) };
            if let Some(bar) = bars.get_mut(offset)
                && !x_bar.is_zero()
            {
                // Later terms of a sum are met first: putting new ones in front restores their order.
                let sum = region.tape.attributed(node.location, || bar.map_or(x_bar, |bar| x_bar + bar));
                *bar = Some(sum.check()?);
            }
        }
    }
    let bar = |x: &Var<'t>| region.offset(*x).and_then(|i| bars.get(i).copied().flatten());
    Ok(xs.iter().map(|x| bar(x).unwrap_or_else(|| x.tape().zeros(x.shape()))).collect())
}

/// The forward step: the tangent of a node from those of its arguments, by Leibniz' rule.
fn push<'t>(
    node: &Node,
    value: Var<'t>,
    args: &[Var<'t>],
    dot: impl Fn(Var<'t>) -> Option<Var<'t>>,
) -> Option<Var<'t>> {
    let mut y_dot: Option<Var<'t>> = None;
    for (slot, &arg) in args.iter().enumerate() {
        let Some(x_dot) = dot(arg) else { continue };
        if node.op.slot(slot) == Slot::Jointly {
            let dots: Vec<_> =
                args.iter().map(|&arg| dot(arg).unwrap_or_else(|| arg.tape().zeros(arg.shape()))).collect();
            return Some(value.tape().apply(node.op, &dots));
        }
        let at = At::new(node.op, args, slot, value);
        let term = match rule(node.op, slot) {
            Some(Rule::Linear(_)) => at.with(x_dot),
            Some(Rule::Frechet(frechet)) => frechet(&at, x_dot),
            Some(Rule::Constant) | None => continue,
        };
        y_dot = Some(y_dot.map_or(term, |sum| sum + term));
    }
    y_dot
}

/// Whether a node that depends on the variable does so linearly, its arguments being linear.
fn is_linear<'t>(node: &Node, args: &[Var<'t>], region: &Region<'t>) -> bool {
    let varying = args.iter().filter(|&&arg| region.offset(arg).is_some()).count();
    (0..).zip(args).all(|(slot, &arg)| match (node.op.slot(slot), region.offset(arg).is_some()) {
        (Slot::Multilinear, true) => varying == 1,
        (Slot::Jointly, false) => arg.is_zero(),
        (Slot::Nonlinear, true) => false,
        _ => true,
    })
}

pub(crate) fn not_linear(op: &'static str, at: Var<'_>, xs: &[Var<'_>]) -> Error {
    let variable = xs.first().map_or_else(String::new, |x| x.summary());
    Error::NotLinear { op, formula: at.summary(), variable, location: location_of(at) }
}

fn location_of(var: Var<'_>) -> &'static Location<'static> {
    var.location().unwrap_or(Location::caller())
}

pub(crate) fn check_seed(kind: &'static str, at: Var<'_>, seed: Var<'_>) -> Result<(), Error> {
    at.check()?;
    seed.check()?;
    if at.shape() == seed.shape() { Ok(()) } else { Err(Error::seed_shape(kind, seed, at)) }
}

fn one<'t>(vars: Vec<Var<'t>>, x: Var<'t>) -> Result<Var<'t>, Error> {
    Ok(vars.into_iter().next().unwrap_or_else(|| x.tape().zeros(x.shape())))
}

/// The part of a tape that lies between some variables and a value: what depends on the former and is needed
/// for the latter. All other nodes are left alone.
pub(crate) struct Region<'t> {
    tape: &'t Tape,
    start: usize,
    /// By index from `start`.
    depends: Vec<bool>,
}

impl<'t> Region<'t> {
    pub(crate) fn new(y: Var<'t>, xs: &[Var<'t>]) -> Result<Self, Error> {
        let tape = y.tape();
        let end = tape.index(y)? + 1;
        let xs = xs.iter().map(|&x| tape.index(x)).collect::<Result<Vec<_>, _>>()?;
        let start = xs.iter().copied().min().unwrap_or(end).min(end);
        let mut depends = vec![false; end - start];
        for x in xs {
            if let Some(slot) = depends.get_mut(x - start) {
                *slot = true;
            }
        }
        let mut nodes = Vec::with_capacity(end - start);
        for i in start..end {
            let args = tape.var(i).and_then(Var::node).map(|node| node.args).unwrap_or_default();
            let varies = |index: usize| index.checked_sub(start).and_then(|j| depends.get(j)) == Some(&true);
            if args.iter().any(|arg| varies(arg.index()))
                && let Some(slot) = depends.get_mut(i - start)
            {
                *slot = true;
            }
            nodes.push(args);
        }
        let mut needed = vec![false; end - start];
        if let Some(last) = needed.last_mut() {
            *last = true;
        }
        for (i, args) in nodes.iter().enumerate().rev() {
            if !needed.get(i).copied().unwrap_or(false) {
                continue;
            }
            for arg in args {
                if let Some(slot) = arg.index().checked_sub(start).and_then(|j| needed.get_mut(j)) {
                    *slot = true;
                }
            }
        }
        for (varies, needed) in depends.iter_mut().zip(needed) {
            *varies &= needed;
        }
        Ok(Region { tape, start, depends })
    }

    /// The number of nodes from the first of the region to the last, those between that do not belong to it included.
    pub(crate) fn len(&self) -> usize {
        self.depends.len()
    }

    /// The index of the first.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The indices of all nodes of the region, arguments first.
    pub(crate) fn indices(&self) -> impl DoubleEndedIterator<Item = usize> + use<'t> {
        let start = self.start;
        let inside: Vec<usize> =
            (0..).zip(&self.depends).filter(|(_, d)| **d).map(|(i, _)| i + start).collect();
        inside.into_iter()
    }

    /// Whether the node of this index belongs to the region.
    pub(crate) fn contains(&self, i: usize) -> bool {
        i.checked_sub(self.start).and_then(|j| self.depends.get(j)) == Some(&true)
    }

    /// The position of a node that belongs to the region.
    pub(crate) fn offset(&self, var: Var<'t>) -> Option<usize> {
        let i = var.valid().ok()?.index().checked_sub(self.start)?;
        self.depends.get(i).copied().unwrap_or(false).then_some(i)
    }

    /// Whether the node with this index belongs to the region.
    pub(crate) fn has(&self, i: usize) -> bool {
        i.checked_sub(self.start).and_then(|j| self.depends.get(j)) == Some(&true)
    }

    pub(crate) fn node(&self, i: usize) -> Option<(Node, Var<'t>)> {
        let var = self.tape.var(i)?;
        Some((var.node()?, var))
    }

    pub(crate) fn args(&self, node: &Node) -> Vec<Var<'t>> {
        node.args.iter().filter_map(|arg| self.tape.var(arg.index())).collect()
    }
}
