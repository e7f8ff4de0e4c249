//! From nodes to the formula a person would write.
//!
//! Two steps: a node becomes a [`Form`], in which products are flat, transposes have moved to the factors and
//! signs and common factors are where a reader expects them; a [`Form`] is then written in Unicode or LaTeX by
//! [`write`](crate::write). Formulas that are long, or in which something was named, are cut into a `where`
//! clause first, which also bounds the depth of the recursion.

use crate::factor::{Factor, Spectral};
use crate::graph::{Args, Graph, Node, NodeId};
use crate::op::Function;
use crate::write::{Style, digits, head, write};
use crate::{MatrixFunction, Op, Shape, Structure, Var};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// Formulas of more than so many symbols name their shared parts.
const LONG: u64 = 40;
/// Shared parts of at least so many symbols are worth a name.
const WORTH_A_NAME: u64 = 4;
/// Messages show at most about so many symbols.
const SHORT: u64 = 14;
/// Lists show at most so many indices.
const MOST_INDICES: usize = 4;
/// A `where` clause explains at most so many names of one formula,
const MAX_DEFINITIONS: usize = 64;
/// and so many of several.
const MAX_SHARED_DEFINITIONS: usize = 512;

/// A formula as it stands on paper.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Form {
    Name(String),
    Number(f64),
    Sum(Vec<Form>),
    /// `c f₁ f₂ …`; no factor is itself a product or a number.
    Product(f64, Vec<Form>),
    /// `a ∘ b ∘ …` or `a ⊘ b`.
    Entrywise(char, Vec<Form>),
    Over(Box<Form>, Box<Form>),
    Power(Box<Form>, Exponent),
    Call(String, Vec<Form>),
    /// `∇ᵏL(w)[v, …]`.
    Opaque {
        name: String,
        order: u32,
        args: Vec<Form>,
    },
    /// `Dᵏf(a)[e, …]`.
    Frechet {
        name: String,
        order: u32,
        args: Vec<Form>,
    },
    Norm(Box<Form>),
    Abs(Box<Form>),
    LogDet(Box<Form>),
    Inner(Box<Form>, Box<Form>),
    /// A name with what stands under it: rows of `I`, or where `𝟏` is not zero.
    Part(&'static str, String),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Exponent {
    Transpose,
    Inverse,
    InverseTranspose,
    Pseudo,
    Number(f64),
    /// An entrywise power.
    Entry(f64),
    EntryPseudo,
}

impl Form {
    fn power(self, exponent: Exponent) -> Form {
        Form::Power(Box::new(self), exponent)
    }

    fn call(name: &str, arg: Form) -> Form {
        Form::Call(name.to_owned(), vec![arg])
    }

    fn transposed(self, t: bool) -> Form {
        if t { self.power(Exponent::Transpose) } else { self }
    }

    /// `(c, factors)` of any form.
    fn factors(self) -> (f64, Vec<Form>) {
        match self {
            Form::Product(c, factors) => (c, factors),
            Form::Number(c) => (c, vec![]),
            form => (1.0, vec![form]),
        }
    }

    pub(crate) fn is_negative(&self) -> bool {
        match self {
            Form::Product(c, _) | Form::Number(c) => *c < 0.0,
            _ => false,
        }
    }

    /// Calls `visit` with every name, in reading order.
    fn rename(&mut self, visit: &mut dyn FnMut(&mut String)) {
        match self {
            Form::Name(name) => visit(name),
            Form::Number(_) | Form::Part(..) => {}
            Form::Sum(forms)
            | Form::Product(_, forms)
            | Form::Entrywise(_, forms)
            | Form::Call(_, forms)
            | Form::Opaque { args: forms, .. }
            | Form::Frechet { args: forms, .. } => forms.iter_mut().for_each(|form| form.rename(visit)),
            Form::Power(form, _) | Form::Norm(form) | Form::Abs(form) | Form::LogDet(form) => {
                form.rename(visit)
            }
            Form::Over(a, b) | Form::Inner(a, b) => {
                a.rename(visit);
                b.rename(visit);
            }
        }
    }

    /// Whether something is left out of it: two of them may be different and look alike.
    fn is_shortened(&self) -> bool {
        match self {
            Form::Name(name) | Form::Part(_, name) => name.contains('…'),
            Form::Number(_) => false,
            Form::Sum(forms)
            | Form::Product(_, forms)
            | Form::Entrywise(_, forms)
            | Form::Call(_, forms)
            | Form::Opaque { args: forms, .. }
            | Form::Frechet { args: forms, .. } => forms.iter().any(Form::is_shortened),
            Form::Power(form, _) | Form::Norm(form) | Form::Abs(form) | Form::LogDet(form) => {
                form.is_shortened()
            }
            Form::Over(a, b) | Form::Inner(a, b) => a.is_shortened() || b.is_shortened(),
        }
    }

    fn negated(self) -> Form {
        match self {
            Form::Sum(terms) => sum(terms.into_iter().map(Form::negated).collect(), &[]),
            form => product(vec![Form::Number(-1.0), form]),
        }
    }
}

fn rebuild(c: f64, mut factors: Vec<Form>) -> Form {
    match factors.len() {
        0 => Form::Number(c),
        1 if c == 1.0 => factors.remove(0),
        _ => Form::Product(c, factors),
    }
}

/// A product: flat, its numbers multiplied, its sign settled.
fn product(parts: Vec<Form>) -> Form {
    let mut c = 1.0;
    let mut factors = Vec::new();
    for part in parts {
        let (coefficient, more) = part.factors();
        c *= coefficient;
        factors.extend(more);
    }
    // −2 X (Y − W) reads better as 2 X (W − Y).
    if c < 0.0
        && let Some(Form::Sum(terms)) =
            factors.iter_mut().find(|f| matches!(f, Form::Sum(t) if t.iter().any(Form::is_negative)))
    {
        let flipped = std::mem::take(terms).into_iter().map(Form::negated).collect();
        *terms = positive_first(flipped);
        c = -c;
    }
    rebuild(c, factors)
}

fn positive_first(mut terms: Vec<Form>) -> Vec<Form> {
    if terms.first().is_some_and(Form::is_negative)
        && let Some(i) = terms.iter().position(|term| !term.is_negative())
    {
        let term = terms.remove(i);
        terms.insert(0, term);
    }
    terms
}

/// The terms of a sum, beginning with a plus where it can.
fn terms(parts: Vec<Form>) -> Vec<Form> {
    let mut terms = Vec::new();
    for part in parts {
        match part {
            Form::Sum(more) => terms.extend(more),
            // C − (A + B) = C − A − B
            Form::Product(-1.0, mut factors) if matches!(factors[..], [Form::Sum(_)]) => {
                if let Some(Form::Sum(more)) = factors.pop() {
                    terms.extend(more.into_iter().map(Form::negated));
                }
            }
            term => terms.push(term),
        }
    }
    positive_first(terms)
}

/// Where a common factor may stand: last, or first.
const ENDS: &[bool] = &[true, false];

/// Equal terms of one sign as one: of symmetric matrices, `A B` and `(B A)ᵀ` are not the same node and print alike. What cancels
/// is shown, because it is computed.
fn merged(terms: Vec<Form>) -> Vec<Form> {
    let mut kept: Vec<(f64, Vec<Form>)> = Vec::new();
    for term in terms {
        let (c, factors) = term.factors();
        let known = kept.iter_mut().find(|(other, known)| *known == factors && c * *other > 0.0);
        match known.filter(|_| !factors.is_empty() && !factors.iter().any(Form::is_shortened)) {
            Some((coefficient, _)) => *coefficient += c,
            None => kept.push((c, factors)),
        }
    }
    kept.into_iter().map(|(c, factors)| rebuild(c, factors)).collect()
}

/// A sum: flat, equal terms put together, common outer factors taken out at some ends.
fn sum(parts: Vec<Form>, ends: &[bool]) -> Form {
    let terms = merged(terms(parts));
    if terms.len() < 2 {
        return terms.into_iter().next().unwrap_or(Form::Number(0.0));
    }
    let end = |last: bool, form: &Form| match form {
        Form::Product(_, factors) if factors.len() >= 2 => {
            if last {
                factors.last().cloned()
            } else {
                factors.first().cloned()
            }
        }
        _ => None,
    };
    for &last in ends {
        let common = end(last, &terms[0]);
        if common.is_some() && terms.iter().all(|term| end(last, term) == common) {
            let strip = |term: Form| {
                let (c, mut factors) = term.factors();
                factors.remove(if last { factors.len() - 1 } else { 0 });
                rebuild(c, factors)
            };
            let rest = sum(terms.into_iter().map(strip).collect(), ends);
            let mut parts: Vec<Form> = common.into_iter().collect();
            parts.insert(if last { 0 } else { 1 }, rest);
            return product(parts);
        }
    }
    Form::Sum(terms)
}

/// A graph with names in place of some nodes.
struct Page<'g> {
    graph: &'g Graph,
    cuts: HashMap<NodeId, String>,
}

impl Page<'_> {
    /// The form of a node, or of its transpose.
    fn form(&self, id: NodeId, t: bool) -> Form {
        let node = self.graph.node(id);
        let t = t && node.structure == Structure::General;
        match self.cuts.get(&id) {
            Some(name) => Form::Name(name.clone()).transposed(t),
            None => self.definition(node, t),
        }
    }

    /// Whether some terms of a sum of matrices are a 1×1 times one factor, and others are not: of `s X + A X` only what
    /// stands in front may be taken out.
    fn is_mixed(&self, a: NodeId, b: NodeId) -> bool {
        let (mut scaled, mut other) = (false, false);
        let mut pending = vec![a, b];
        while let Some(id) = pending.pop() {
            let node = self.graph.node(id);
            match node.op {
                _ if node.shape.is_scalar() => return false,
                Op::Add | Op::Scale(_) | Op::Transpose if !self.cuts.contains_key(&id) => {
                    pending.extend(&node.args);
                }
                Op::ScaleBy if !self.cuts.contains_key(&id) && !self.is_product(id) => scaled = true,
                _ => other = true,
            }
        }
        scaled && other
    }

    /// Whether what is scaled by 1×1s prints as a product of more than one matrix.
    fn is_product(&self, mut id: NodeId) -> bool {
        while let (Op::ScaleBy | Op::Scale(_) | Op::Transpose, false, Some(&x)) =
            (self.graph.node(id).op, self.cuts.contains_key(&id), self.graph.node(id).args.last())
        {
            id = x;
        }
        let op = self.graph.node(id).op;
        let product = matches!(op, Op::MatMul | Op::Solve | Op::TriangularSolve { .. } | Op::ExpAction);
        (product || op == Op::Spectral(Spectral::Columns)) && !self.cuts.contains_key(&id)
    }

    fn definition(&self, node: &Node, t: bool) -> Form {
        self.applied(node.op, &node.args, node.shape, t && node.structure == Structure::General)
    }

    /// The form of an op applied to nodes, `shape` being that of the result where it has one.
    fn applied(&self, op: Op, args: &[NodeId], shape: Shape, t: bool) -> Form {
        let of = |id: NodeId| self.form(id, false);
        let scalar = |id: NodeId| self.graph.node(id).shape.is_scalar();
        match (op, args) {
            (Op::Input(name) | Op::Symbol(name), _) => {
                Form::Name(self.graph.name(name).to_owned()).transposed(t)
            }
            (Op::Scalar(c), _) => Form::Number(c.value()),
            (Op::Identity, _) => Form::Name("I".to_owned()),
            (Op::Zeros, _) => Form::Number(0.0),
            (Op::Ones, _) => {
                let row = if t { shape.cols == 1 } else { shape.rows == 1 };
                Form::Name("𝟏".to_owned()).transposed(row)
            }
            (Op::Selection(list), _) => Form::Part("I", rows(self.graph.indices(list))).transposed(t),
            (Op::Triangle { strict }, _) => {
                let condition = match (strict, t) {
                    (false, false) => "i ≥ j",
                    (true, false) => "i > j",
                    (false, true) => "i ≤ j",
                    (true, true) => "i < j",
                };
                Form::Part("𝟏", condition.to_owned())
            }
            (Op::Reshape(to), &[x]) if to.cols == 1 => Form::call("vec", of(x)).transposed(t),
            (Op::Reshape(to), &[x]) => {
                Form::Call("reshape".to_owned(), vec![of(x), Form::Name(to.to_string())]).transposed(t)
            }
            (Op::Add, &[a, b]) if self.is_mixed(a, b) => {
                sum(vec![self.form(a, t), self.form(b, t)], &[false])
            }
            (Op::Add, &[a, b]) => sum(vec![self.form(a, t), self.form(b, t)], ENDS),
            (Op::Scale(c), &[x]) => match (c.value(), self.form(x, t)) {
                (-1.0, form) => form.negated(),
                (c, form) => product(vec![Form::Number(c), form]),
            },
            (Op::ScaleBy, &[s, x]) => product(vec![of(s), self.form(x, t)]),
            (Op::MatMul, &[a, b]) if t => product(vec![self.form(b, t), self.form(a, t)]),
            (Op::MatMul, &[a, b]) => product(vec![of(a), of(b)]),
            (Op::Transpose, &[x]) => self.form(x, !t),
            (Op::Trace, &[x]) => Form::call("tr", of(x)),
            (Op::Diagonal, &[x]) => Form::call("diag", of(x)).transposed(t),
            (Op::Diag, &[x]) => Form::call("Diag", of(x)),
            (Op::Inner, &[a, b]) if a == b => Form::Norm(Box::new(of(a))).power(Exponent::Number(2.0)),
            (Op::Inner, &[a, b]) => {
                let (a_node, b_node) = (self.graph.node(a), self.graph.node(b));
                if a_node.op == Op::Ones {
                    return Form::call("sum", of(b));
                }
                if b_node.op == Op::Ones {
                    return Form::call("sum", of(a));
                }
                // The perturbation stands on the right.
                let swap = a_node.symbolic && !b_node.symbolic;
                let (a, b) = if swap { (b, a) } else { (a, b) };
                Form::Inner(Box::new(of(a)), Box::new(of(b)))
            }
            (Op::Norm, &[x]) => Form::Norm(Box::new(of(x))),
            (Op::Hadamard, &[a, b]) if self.triangle(a).or(self.triangle(b)).is_some() => {
                let (mask, x) = if self.triangle(a).is_some() { (a, b) } else { (b, a) };
                let (upper, strict) = self.triangle(mask).unwrap_or_default();
                let mut args = vec![of(x)];
                if strict {
                    args.push(Form::Number(if upper { 1.0 } else { -1.0 }));
                }
                Form::Call(if upper { "triu" } else { "tril" }.to_owned(), args).transposed(t)
            }
            (Op::Hadamard, &[a, b]) => {
                let mut factors = Vec::new();
                for form in [self.form(a, t), self.form(b, t)] {
                    match form {
                        Form::Entrywise('∘', more) => factors.extend(more),
                        form => factors.push(form),
                    }
                }
                Form::Entrywise('∘', factors)
            }
            (Op::Quotient, &[a, b]) if scalar(b) => Form::Over(Box::new(of(a)), Box::new(of(b))),
            (Op::Quotient, &[a, b]) => Form::Entrywise('⊘', vec![self.form(a, t), self.form(b, t)]),
            (Op::Map(f), &[x]) => self.map(f, x, t),
            (Op::Zip(f), &[a, b]) => Form::Call(f.name().to_owned(), vec![of(a), of(b)]).transposed(t),
            (Op::LogSumExp, &[x]) => Form::call("logsumexp", of(x)).transposed(t),
            (Op::Softmax, &[x]) => Form::call("softmax", of(x)).transposed(t),
            (Op::ColMax, &[x]) => Form::call("colmax", of(x)).transposed(t),
            (Op::ColArgmax, &[x]) => Form::call("argmax", of(x)).transposed(t),
            (Op::Inverse, &[x]) => inverse(of(x), t),
            (Op::Solve, &[a, b]) => {
                let rhs = self.form(b, t);
                let (a, a_t) = self.untransposed(a);
                let symmetric = self.graph.node(a).structure >= Structure::Symmetric;
                let left = inverse(of(a), a_t != t && !symmetric);
                product(if t { vec![rhs, left] } else { vec![left, rhs] })
            }
            (Op::LeastSquares, &[a, b]) => {
                let rhs = self.form(b, t);
                let (a, a_t) = self.untransposed(a);
                let symmetric = self.graph.node(a).structure >= Structure::Symmetric;
                let left = of(a).power(Exponent::Pseudo).transposed(a_t != t && !symmetric);
                product(if t { vec![rhs, left] } else { vec![left, rhs] })
            }
            (Op::TriangularSolve { upper, unit }, &[a, b]) => {
                let rhs = self.form(b, t);
                let (a, a_t) = self.untransposed(a);
                // What is written is the triangle of what stands under the transpose.
                let left = inverse(self.part(a, upper != a_t, unit), a_t != t);
                product(if t { vec![rhs, left] } else { vec![left, rhs] })
            }
            (Op::Cholesky, &[x]) => Form::call("chol", of(x)).transposed(t),
            (Op::Factor(Factor::PseudoInverse), &[x]) => of(x).power(Exponent::Pseudo).transposed(t),
            (Op::Factor(factor), &[x]) => Form::call(factor.symbol(), of(x)).transposed(t),
            // Checked, but the same.
            (Op::Spectral(Spectral::Distinct | Spectral::Positive), &[spectrum, _]) => self.form(spectrum, t),
            (Op::Spectral(op), &[spectrum, x]) => {
                if op == Spectral::Columns {
                    let (x, over) = (self.form(x, t), inverse(Form::call("Diag", of(spectrum)), false));
                    return product(if t { vec![over, x] } else { vec![x, over] });
                }
                let x = of(x);
                let numerator = match op {
                    Spectral::Diagonal | Spectral::GeneralDiagonal => {
                        return Form::call("diag", x).transposed(t);
                    }
                    Spectral::Diag => return Form::call("Diag", x),
                    Spectral::Gaps | Spectral::Columns | Spectral::Distinct | Spectral::Positive => x,
                    Spectral::SymmetricGaps => Form::call("sym", x),
                    Spectral::SkewGaps | Spectral::SkewSums => Form::call("skew", x),
                };
                let over = if op == Spectral::SkewSums { "Σ" } else { "Δ" };
                Form::Entrywise('⊘', vec![numerator, Form::call(over, of(spectrum))]).transposed(t)
            }
            (op @ (Op::Sylvester | Op::Stein), args) => {
                let args = args.iter().map(|&arg| of(arg)).collect();
                Form::Call(op.name().to_owned(), args).transposed(t)
            }
            (op @ (Op::SquareRoot | Op::MatrixSign), &[x]) => Form::call(op.name(), of(x)).transposed(t),
            // A function of a symmetric matrix holds its eigenvalues, which says nothing about the value.
            (Op::StopGradient, &[x]) if self.graph.node(x).op == Op::Factor(Factor::Eigenvalues) => {
                self.form(x, t)
            }
            (Op::StopGradient, &[x]) => Form::call("stop", of(x)).transposed(t),
            (Op::SymmetricFunction { order, columns }, args) => Form::Frechet {
                name: "fun".to_owned(),
                order,
                args: {
                    let directions = args.iter().skip(1 + columns as usize);
                    args.iter().skip(1).take(1).chain(directions).map(|&id| of(id)).collect()
                },
            }
            .transposed(t),
            (Op::Det, &[x]) => Form::call("det", of(x)),
            (Op::Adjugate, &[x]) => Form::call("adj", of(x)).transposed(t),
            (Op::LogDet, &[x]) => Form::LogDet(Box::new(of(x))),
            (Op::ExpAction, &[a, b]) => {
                let rhs = self.form(b, t);
                let (a, a_t) = self.untransposed(a);
                let symmetric = self.graph.node(a).structure >= Structure::Symmetric;
                let left = Form::call(MatrixFunction::Exp.name(), of(a)).transposed(a_t != t && !symmetric);
                product(if t { vec![rhs, left] } else { vec![left, rhs] })
            }
            (Op::MatrixFunction { function, order }, args) => Form::Frechet {
                name: function.name().to_owned(),
                order,
                args: args.iter().map(|&id| of(id)).collect(),
            }
            .transposed(t),
            (Op::Opaque { name, order }, args) => Form::Opaque {
                name: self.graph.name(name).to_owned(),
                order,
                args: args.iter().map(|&id| of(id)).collect(),
            }
            .transposed(t),
            (Op::Custom(op), args) => {
                let name = self.graph.custom(op).map_or("?", |custom| custom.name());
                Form::Call(name.to_owned(), args.iter().map(|&id| of(id)).collect()).transposed(t)
            }
            // Only an op with the wrong number of operands, in a message.
            (op, args) => Form::Call(op.name().to_owned(), args.iter().map(|&id| of(id)).collect()),
        }
    }

    /// What stands under a transpose, and whether there is one. A transpose with a name is what it is called.
    fn untransposed(&self, id: NodeId) -> (NodeId, bool) {
        let node = self.graph.node(id);
        match (node.op, node.args.first()) {
            (Op::Transpose, Some(&x)) if !self.cuts.contains_key(&id) => (x, true),
            _ => (id, false),
        }
    }

    /// A triangle of a matrix: `tril(A)`, or `I + tril(A, −1)` with a diagonal of ones; a triangular matrix is its own.
    fn part(&self, id: NodeId, upper: bool, unit: bool) -> Form {
        let form = self.form(id, false);
        let name = if upper { "triu" } else { "tril" };
        match self.graph.node(id).op {
            Op::Factor(Factor::Lower | Factor::SymmetricLower) if unit && !upper => form,
            Op::Factor(Factor::Triangular | Factor::Upper) if upper && !unit => form,
            _ if unit => {
                let offset = Form::Number(if upper { 1.0 } else { -1.0 });
                sum(vec![Form::Name("I".to_owned()), Form::Call(name.to_owned(), vec![form, offset])], ENDS)
            }
            Op::Cholesky if !upper => form,
            _ => Form::call(name, form),
        }
    }

    /// Of a triangle of ones, whether it is the upper one, and whether it is strict.
    fn triangle(&self, id: NodeId) -> Option<(bool, bool)> {
        let node = self.graph.node(id);
        match (node.op, node.args.first()) {
            (Op::Triangle { strict }, _) => Some((false, strict)),
            (Op::Transpose, Some(&x)) => self.triangle(x).map(|(upper, strict)| (!upper, strict)),
            _ => None,
        }
    }

    fn map(&self, f: Function, x: NodeId, t: bool) -> Form {
        let scalar = self.graph.node(x).shape.is_scalar();
        let arg = || self.form(x, false);
        let power =
            |p: f64| self.form(x, t).power(if scalar { Exponent::Number(p) } else { Exponent::Entry(p) });
        match f {
            Function::Square => power(2.0),
            Function::Recip => power(-1.0),
            Function::Powf(p) => power(p.value()),
            Function::PseudoRecip => {
                self.form(x, t).power(if scalar { Exponent::Pseudo } else { Exponent::EntryPseudo })
            }
            Function::Abs if scalar => Form::Abs(Box::new(arg())),
            Function::Sigmoid => Form::call("σ", arg()).transposed(t),
            Function::LogCosh => Form::call("log cosh", arg()).transposed(t),
            Function::LnGamma => Form::call("ln Γ", arg()).transposed(t),
            Function::Polygamma(n) => Form::call(&polygamma(n), arg()).transposed(t),
            Function::Clamp(low, high) | Function::Inside(low, high) => {
                let args = vec![arg(), Form::Number(low.value()), Form::Number(high.value())];
                Form::Call(f.name().to_owned(), args).transposed(t)
            }
            f => Form::call(f.name(), arg()).transposed(t),
        }
    }
}

/// `ψ`, `ψ′`, `ψ″`, `ψ⁽³⁾`, ….
fn polygamma(n: u32) -> String {
    match n {
        0 => "ψ".to_owned(),
        1 => "ψ′".to_owned(),
        2 => "ψ″".to_owned(),
        n => format!("ψ⁽{}⁾", digits(&n.to_string())),
    }
}

/// Indices as they stand in a formula: `2..5`, or the first few of them.
pub(crate) fn rows(indices: &[usize]) -> String {
    match indices {
        [] => String::new(),
        &[first, ..] if indices.len() > 1 && indices.iter().copied().eq(first..first + indices.len()) => {
            format!("{first}..{}", first + indices.len())
        }
        _ => {
            let shown: Vec<_> = indices.iter().take(MOST_INDICES).map(usize::to_string).collect();
            let more = if indices.len() > MOST_INDICES { ", …" } else { "" };
            format!("{}{more}", shown.join(", "))
        }
    }
}

fn inverse(form: Form, t: bool) -> Form {
    form.power(if t { Exponent::InverseTranspose } else { Exponent::Inverse })
}

// ---- where to cut ----------------------------------------------------------------------------------------

/// The nodes under some roots, with their weights: the number of symbols they print as.
struct Outline {
    /// Ascending, so that arguments come first.
    nodes: Vec<NodeId>,
    uses: HashMap<NodeId, u32>,
}

/// Transposes and coefficients are written onto their argument.
fn is_mark(op: Op) -> bool {
    matches!(op, Op::Transpose | Op::Scale(_))
}

/// The arguments that are printed. The derivatives of a function of a symmetric matrix follow from the function, and its
/// matrix is that of the eigenvalues.
fn shown(node: &Node) -> Args {
    match node.op {
        Op::SymmetricFunction { columns, .. } => {
            let printed = |&(i, _): &(usize, &NodeId)| i == 1 || i > columns as usize;
            node.args.iter().enumerate().filter(printed).map(|(_, &arg)| arg).collect()
        }
        _ => node.args.clone(),
    }
}

impl Outline {
    fn new(graph: &Graph, root: NodeId) -> Self {
        let mut uses: HashMap<NodeId, u32> = HashMap::from([(root, 1)]);
        let mut pending = BTreeSet::from([root]);
        let mut nodes = Vec::new();
        while let Some(id) = pending.pop_last() {
            nodes.push(id);
            let node = graph.node(id);
            let mine = uses.get(&id).copied().unwrap_or(1);
            let mut args = shown(node);
            if node.op == Op::Inner {
                args.dedup();
            }
            for &arg in &args {
                let count = uses.entry(arg).or_insert(0);
                *count = count.saturating_add(if is_mark(node.op) { mine } else { 1 });
                pending.insert(arg);
            }
        }
        nodes.reverse();
        Outline { nodes, uses }
    }

    /// Weights with `cut` nodes counting as one symbol; `cut` sees each node with its own weight.
    fn weights(
        &self,
        graph: &Graph,
        mut cut: impl FnMut(NodeId, &Node, u64) -> bool,
    ) -> HashMap<NodeId, u64> {
        let mut weights: HashMap<NodeId, u64> = HashMap::with_capacity(self.nodes.len());
        for &id in &self.nodes {
            let node = graph.node(id);
            let under =
                shown(node).iter().filter_map(|arg| weights.get(arg)).fold(0u64, |a, &b| a.saturating_add(b));
            let weight = if is_mark(node.op) { under } else { under.saturating_add(1) };
            weights.insert(id, if cut(id, node, weight) { 1 } else { weight });
        }
        weights
    }
}

/// Which nodes print as a name: those that were given one, and what is long or shared in a long formula.
fn cuts(graph: &Graph, root: NodeId) -> BTreeSet<NodeId> {
    let outline = Outline::new(graph, root);
    let named = |id: NodeId, node: &Node| node.name.is_some() && id != root && node.op.arity() > 0;
    let mut cuts = BTreeSet::new();
    let weights = outline.weights(graph, |id, node, _| {
        let cut = named(id, node);
        if cut {
            cuts.insert(id);
        }
        cut
    });
    if weights.get(&root).is_some_and(|&weight| weight <= LONG) {
        return cuts;
    }
    outline.weights(graph, |id, node, weight| {
        let shared = outline.uses.get(&id).is_some_and(|&uses| uses > 1) && weight >= WORTH_A_NAME;
        if id != root && !is_mark(node.op) && (shared || weight > LONG) {
            cuts.insert(id);
        }
        cuts.contains(&id)
    });
    cuts
}

/// Capital letters, then capital letters with numbers, that no name of the graph uses.
fn fresh_names(graph: &Graph) -> impl Iterator<Item = String> {
    let taken: BTreeSet<String> = graph.names.iter().cloned().collect();
    let letters = "ABCDEFGHJKMNPQRSTUVZ";
    (0..)
        .flat_map(move |round: usize| {
            letters.chars().map(move |c| if round == 0 { c.to_string() } else { format!("{c}{round}") })
        })
        .filter(move |name| !taken.contains(name))
}

/// Some formulas that share one `where` clause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Formulas {
    /// The formulas, in the order asked for.
    pub formulas: Vec<String>,
    /// What the clause says, `name = formula`, in the order in which a reader meets the names.
    pub definitions: Vec<String>,
    /// So many names are not explained, because there are too many of them.
    pub unexplained: usize,
}

/// Formulas in which one name is one expression.
///
/// Names are given and explained in the order in which a reader meets them.
fn formulas(graph: &Graph, roots: &[NodeId], style: Style, most: usize) -> Formulas {
    // While forms are built, a name that will be explained is the node's index behind a mark.
    const MARK: char = '\u{0}';
    let cuts: BTreeSet<NodeId> = roots.iter().flat_map(|&root| cuts(graph, root)).collect();
    let cuts = cuts.into_iter().map(|id| (id, format!("{MARK}{}", id.index()))).collect();
    let page = Page { graph, cuts };
    let mut fresh = fresh_names(graph);
    let mut names: HashMap<NodeId, String> = HashMap::new();
    let mut order = roots.to_vec();
    let mut written: Vec<String> = Vec::new();
    while let Some(&id) = order.get(written.len()) {
        let mut form = page.definition(graph.node(id), false);
        form.rename(&mut |name| {
            let Some(index) = name.strip_prefix(MARK).and_then(|index| index.parse().ok()) else { return };
            let met = NodeId(index);
            *name = names
                .entry(met)
                .or_insert_with(|| {
                    order.push(met);
                    let given = graph.node(met).name.map(|name| graph.name(name).to_owned());
                    given.or_else(|| fresh.next()).unwrap_or_default()
                })
                .clone();
        });
        let text = write(&form, style);
        written.push(match names.get(&id) {
            Some(name) if written.len() >= roots.len() => {
                format!("{} = {text}", write(&Form::Name(name.clone()), style))
            }
            _ => text,
        });
        if written.len() >= roots.len() + most {
            break;
        }
    }
    let unexplained = order.len() - written.len();
    let definitions = written.split_off(roots.len().min(written.len()));
    Formulas { formulas: written, definitions, unexplained }
}

/// The formula of `root` with its `where` clause.
fn formula(graph: &Graph, root: NodeId, style: Style) -> String {
    let Formulas { formulas, definitions, unexplained } = formulas(graph, &[root], style, MAX_DEFINITIONS);
    let mut text = formulas.concat();
    if definitions.is_empty() {
        return text;
    }
    let (and, line, word) = match style {
        Style::Unicode => (", ", "\n        ", "where"),
        Style::Latex => (",\\; ", "\\\\\n        ", "\\text{where }"),
    };
    let length =
        text.chars().count() + definitions.iter().map(|part| part.chars().count() + 2).sum::<usize>();
    if length <= 96 {
        text.push_str(&format!(" {word} {}", definitions.join(and)));
    } else {
        let start = if style == Style::Latex { "\\\\\n  " } else { "\n  " };
        text.push_str(&format!("{start}{word} {}", definitions.join(line)));
    }
    if unexplained > 0 {
        text.push_str(&format!("{line}… ({unexplained} more)"));
    }
    text
}

/// A page on which some nodes are names and everything of more than `long` symbols is an ellipsis.
fn abbreviated(
    graph: &Graph,
    roots: &[NodeId],
    name: &dyn Fn(NodeId) -> Option<String>,
    long: u64,
) -> HashMap<NodeId, String> {
    let mut cuts = HashMap::new();
    for &root in roots {
        // Long before the whole of a deep expression is read, its upper part has filled the message.
        let mut depth: HashMap<NodeId, u32> = HashMap::from([(root, 0)]);
        let mut pending = vec![root];
        while let Some(id) = pending.pop() {
            let node = graph.node(id);
            let below = depth.get(&id).copied().unwrap_or(0) + 1;
            if let Some(name) = name(id) {
                cuts.insert(id, name);
                continue;
            }
            if u64::from(below) > long && node.op.arity() > 0 {
                cuts.insert(id, "…".to_owned());
                continue;
            }
            for arg in shown(node) {
                if depth.insert(arg, below).is_none() {
                    pending.push(arg);
                }
            }
        }
        let mut nodes: Vec<NodeId> = depth.keys().copied().collect();
        nodes.sort_unstable();
        let outline = Outline { nodes, uses: HashMap::new() };
        outline.weights(graph, |id, _, weight| {
            let cut = cuts.contains_key(&id) || (id != root && weight > long);
            if cut {
                cuts.entry(id).or_insert_with(|| "…".to_owned());
            }
            cut
        });
    }
    cuts
}

/// The name that a node was given, inputs apart.
fn given_name(graph: &Graph, id: NodeId) -> Option<String> {
    let node = graph.node(id);
    node.name.filter(|_| node.op.arity() > 0).map(|name| graph.name(name).to_owned())
}

/// The formula of an op and its operands, shortened, as messages show it.
pub(crate) fn application(graph: &Graph, op: Op, args: &[NodeId]) -> String {
    let page = Page { graph, cuts: abbreviated(graph, args, &|id| given_name(graph, id), SHORT) };
    write(&page.applied(op, args, Shape::new(0, 0), false), Style::Unicode)
}

impl Graph {
    /// The formula of a node, with a `where` clause where it is long.
    pub fn formula(&self, id: NodeId) -> String {
        formula(self, id, Style::Unicode)
    }

    /// The formula of a node in LaTeX.
    pub fn latex(&self, id: NodeId) -> String {
        formula(self, id, Style::Latex)
    }

    /// The formulas of the outputs, with one `where` clause for all of them: an expression that has a name in one of them has
    /// it in all.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (w, x) = (tape.input("W", (3, 2)), tape.input("X", (2, 5)));
    /// let h = (w * x).named("H");
    /// let written = tape.graph(&[h.sum(), h.norm()])?.formulas();
    /// assert_eq!(written.formulas, ["sum(H)", "‖H‖"]);
    /// assert_eq!(written.definitions, ["H = W X"]);
    /// # Ok::<(), pullback_tape::Error>(())
    /// ```
    pub fn formulas(&self) -> Formulas {
        formulas(self, &self.outputs, Style::Unicode, MAX_SHARED_DEFINITIONS)
    }

    /// The formulas of the outputs in LaTeX, with one `where` clause for all of them.
    pub fn latex_formulas(&self) -> Formulas {
        formulas(self, &self.outputs, Style::Latex, MAX_SHARED_DEFINITIONS)
    }

    /// The name of a node's op as formulas show it: of an opaque function, its own with the order of the derivative; of an
    /// operation of the user's own, the name it was given.
    pub fn head(&self, id: NodeId) -> String {
        match self.node(id).op {
            Op::Opaque { name, order } => head(self.name(name), order, Style::Unicode),
            Op::Custom(op) => self.custom(op).map_or("?", |custom| custom.name()).to_owned(),
            op => op.name().to_owned(),
        }
    }

    /// The formula of a node, shortened to a few symbols, as messages show it.
    pub fn summary(&self, id: NodeId) -> String {
        self.shortened(id, &|id| given_name(self, id), SHORT)
    }

    /// The formula of a node in which those that `name` knows stand as names: one step of a computation, whose
    /// operands were computed before.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (w, x) = (tape.input("W", (3, 2)), tape.input("X", (2, 5)));
    /// let graph = tape.graph(&[(w * x).tanh()])?;
    /// let (product, _) = graph.iter().nth(2).unwrap();
    /// let known = |id| (id == product).then(|| "Z".to_owned());
    /// assert_eq!(graph.in_terms_of(graph.outputs()[0], known), "tanh(Z)");
    /// # Ok::<(), pullback_tape::Error>(())
    /// ```
    pub fn in_terms_of(&self, id: NodeId, name: impl Fn(NodeId) -> Option<String>) -> String {
        self.shortened(id, &name, LONG)
    }

    fn shortened(&self, id: NodeId, name: &dyn Fn(NodeId) -> Option<String>, long: u64) -> String {
        let node = self.node(id);
        let page = Page { graph: self, cuts: abbreviated(self, &node.args, name, long) };
        write(&page.definition(node, false), Style::Unicode)
    }
}

impl Var<'_> {
    /// The formula in LaTeX, with a `where` clause where it is long.
    ///
    /// ```
    /// use pullback_tape::Tape;
    /// let tape = Tape::new();
    /// let (w, x) = (tape.input("W1", (3, 2)), tape.input("x", (2, 1)));
    /// assert_eq!((w * x).t().latex(), r"x^\top W_{1}^\top");
    /// ```
    pub fn latex(self) -> String {
        self.text(Graph::latex)
    }

    /// The formula shortened to a few symbols, as messages show it.
    pub fn summary(self) -> String {
        self.text(Graph::summary)
    }

    fn text(self, print: impl Fn(&Graph, NodeId) -> String) -> String {
        match self.valid() {
            Ok(id) => print(&self.tape.graph_ref(), id),
            Err(error) => format!("⟨{error}⟩"),
        }
    }
}

impl fmt::Display for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(if f.alternate() { Graph::latex } else { Graph::formula }))
    }
}

impl fmt::Debug for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.summary(), self.shape())
    }
}
