//! Inner products of sums, multiplied out so that constants meet constants.

use super::chain::{Factor, Summand};
use super::optimize;
use super::page::Page;
use crate::Error;
use pullback_tape::{Op, Tape, Var};

/// So many inner products are tried.
const MOST_TRIALS: usize = 32;

/// The outputs with those inner products multiplied out for which that pays.
pub(super) fn distributed<'t>(outputs: &[Var<'t>], wrt: &[Var<'t>]) -> Result<Vec<Var<'t>>, Error> {
    let total = |outputs: &[Var<'t>]| -> Result<f64, Error> {
        let cheap = optimize(outputs, wrt)?;
        Ok(Page::new(&cheap, wrt)?.map_or(0.0, |page| page.total()))
    };
    let mut current = outputs.to_vec();
    let mut cost = total(&current)?;
    let mut refused = Vec::new();
    for _ in 0..MOST_TRIALS {
        let Some(page) = Page::new(&current, wrt)? else { break };
        let candidate = page.indices().rev().find_map(|i| {
            let known = refused.contains(&i) || page.is_frozen(i);
            if known { None } else { Product::of(&page, i).map(|product| (i, product)) }
        });
        let Some((i, product)) = candidate else { break };
        let multiplied = page.with(&current, |j, image| (i == j).then(|| product.build(page.tape, image)))?;
        let new_cost = total(&multiplied)?;
        if new_cost < cost {
            (current, cost) = (multiplied, new_cost);
        } else {
            refused.push(i);
        }
    }
    Ok(current)
}

/// `⟨Σ Aᵢ, Σ Bⱼ⟩`
struct Product {
    left: Vec<Part>,
    /// `None` if both sides are the same.
    right: Option<Vec<Part>>,
}

/// A term `c L M R`, with constant L and R. A term that is constant altogether has no M.
struct Part {
    coefficient: f64,
    scalars: Vec<usize>,
    l: Vec<Factor>,
    m: Vec<Factor>,
    r: Vec<Factor>,
}

impl Part {
    fn new(Summand { coefficient, scalars, factors, .. }: Summand) -> Part {
        let varies = |factor: &Factor| !factor.constant;
        let first = factors.iter().position(varies).unwrap_or(factors.len());
        let end = factors.iter().rposition(varies).map_or(factors.len(), |last| last + 1);
        Part {
            coefficient,
            scalars,
            l: factors[..first].to_vec(),
            m: factors[first..end].to_vec(),
            r: factors[end..].to_vec(),
        }
    }

    /// Whether constants stand at an end of what varies.
    fn is_mixed(&self) -> bool {
        let constants = self.l.len() + self.r.len();
        constants > 0 && !self.m.is_empty()
    }
}

impl Product {
    /// An inner product of which a term has constants to be moved.
    fn of(page: &Page<'_>, i: usize) -> Option<Product> {
        let (Op::Inner, [Some(x), Some(y)]) = page.op(i) else { return None };
        let parts = |x: usize, users: u32| -> Option<Vec<Part>> {
            Some(Summand::all(page, x, false, users)?.into_iter().map(Part::new).collect())
        };
        let product = if x == y {
            Product { left: parts(x, 2)?, right: None }
        } else {
            Product { left: parts(x, 1)?, right: Some(parts(y, 1)?) }
        };
        let mixed = |parts: &[Part]| parts.iter().any(Part::is_mixed);
        let sums = product.left.len() + product.right.as_ref().map_or(product.left.len(), Vec::len) > 2;
        let square = product.right.is_none();
        let pays = mixed(&product.left) && (square || mixed(product.right.as_ref()?)) && (sums || square);
        pays.then_some(product)
    }

    fn build<'t>(&self, tape: &'t Tape, image: &dyn Fn(usize) -> Var<'t>) -> Var<'t> {
        tape.by("⟨A M B, C N D⟩ = ⟨(Cᵀ A) M (B Dᵀ), N⟩", || {
            let mut sum: Option<Var<'t>> = None;
            for (i, a) in self.left.iter().enumerate() {
                let right = self.right.as_deref().unwrap_or(&self.left[i..]);
                for (k, b) in right.iter().enumerate() {
                    // Of a square, each pair of different terms comes twice.
                    let twice = self.right.is_none() && k > 0;
                    let c = a.coefficient * b.coefficient * if twice { 2.0 } else { 1.0 };
                    let scalars = a.scalars.iter().chain(&b.scalars);
                    let term = scalars.fold(inner(a, b, tape, image), |term, &s| image(s) * term);
                    sum = Some(sum.map_or(c * term, |sum| sum + c * term));
                }
            }
            sum.unwrap_or_else(|| tape.scalar(0.0))
        })
    }
}

/// `⟨L₁ M₁ R₁, L₂ M₂ R₂⟩ = ⟨(L₂ᵀ L₁) M₁ (R₁ R₂ᵀ), M₂⟩`
fn inner<'t>(a: &Part, b: &Part, tape: &'t Tape, image: &dyn Fn(usize) -> Var<'t>) -> Var<'t> {
    let product = |factors: &[Factor]| product(factors, tape, image);
    let transposed = |factors: &[Factor]| product(factors).map(Var::t);
    let times = |a: Option<Var<'t>>, b: Option<Var<'t>>| match (a, b) {
        (Some(a), Some(b)) => Some(a * b),
        (a, b) => a.or(b),
    };
    let (a, b) = if a.m.is_empty() { (b, a) } else { (a, b) };
    let (left, right) = if a.m.is_empty() {
        (product(&a.l), product(&b.l))
    } else if b.m.is_empty() {
        // ⟨L M R, C⟩ = ⟨M, Lᵀ C Rᵀ⟩
        (product(&a.m), times(times(transposed(&a.l), product(&b.l)), transposed(&a.r)))
    } else {
        let l = times(transposed(&b.l), product(&a.l));
        let r = times(product(&a.r), transposed(&b.r));
        (times(times(l, product(&a.m)), r), product(&b.m))
    };
    match (left, right) {
        (Some(left), Some(right)) => left.inner(right),
        // A part has factors.
        (left, right) => left.or(right).map_or_else(|| tape.scalar(0.0), Var::trace),
    }
}

/// The product of some factors, from right to left; `None` if there are none.
fn product<'t>(factors: &[Factor], tape: &'t Tape, image: &dyn Fn(usize) -> Var<'t>) -> Option<Var<'t>> {
    factors.iter().rev().fold(None, |product: Option<Var<'t>>, factor| {
        let base = factor.base(tape, image);
        Some(match (product, factor.inverted) {
            (Some(rest), true) => base.solve(rest),
            (None, true) => base.inv(),
            (Some(rest), false) => base * rest,
            (None, false) => base,
        })
    })
}
