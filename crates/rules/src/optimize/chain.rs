//! Chains of products: how they are opened, their best order, and how they are put together again.

use super::cost::{self, Passes};
use super::page::Page;
use pullback_tape::{Op, Shape, Structure, Tape, Var};
use std::collections::HashMap;

/// Longer chains keep the order in which they were written: finding the best takes O(n³) time. Around a circle there
/// are twice as many intervals.
const LONGEST_CHAIN: usize = 300;

/// In longer chains no sum is multiplied out: each is tried.
const LONGEST_EXPANDED: usize = 32;

/// Sums of more terms are not multiplied out.
const MOST_TERMS: usize = 6;

/// A rewrite has to save more than rounding errors of the costs.
const WORTH_IT: f64 = 1.0 - 1e-9;

/// A factor of a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Factor {
    /// Its index; a vector of ones and an identity have none.
    pub(super) node: Option<usize>,
    pub(super) transposed: bool,
    pub(super) inverted: bool,
    /// The shape as it stands in the chain.
    pub(super) shape: Shape,
    pub(super) structure: Structure,
    pub(super) varies: bool,
    pub(super) constant: bool,
    /// Whether a product with it takes no more than one operation for each entry: it scales, picks or adds up rows.
    pub(super) light: bool,
}

impl Factor {
    fn ones(shape: Shape) -> Factor {
        Factor {
            node: None,
            transposed: false,
            inverted: false,
            shape,
            structure: Structure::General,
            varies: false,
            constant: true,
            light: false,
        }
    }

    pub(super) fn identity(n: usize) -> Factor {
        Factor { structure: Structure::Definite, ..Factor::ones(Shape::new(n, n)) }
    }

    fn is_symmetric(&self) -> bool {
        self.structure >= Structure::Symmetric
    }

    pub(super) fn flipped(self) -> Factor {
        Factor {
            transposed: !self.transposed && !self.is_symmetric() && self.node.is_some(),
            shape: self.shape.transposed(),
            ..self
        }
    }

    /// Whether this is the transpose of the other.
    fn mirrors(&self, other: &Factor) -> bool {
        let other = other.flipped();
        self.node == other.node
            && self.inverted == other.inverted
            && self.shape == other.shape
            && (self.transposed == other.transposed || self.is_symmetric())
    }

    fn undoes(&self, other: &Factor) -> bool {
        self.node.is_some()
            && self.node == other.node
            && self.inverted != other.inverted
            && (self.transposed == other.transposed || self.is_symmetric())
    }

    /// What it costs to have all its entries.
    fn cost(&self) -> f64 {
        if !self.inverted || self.constant {
            return 0.0;
        }
        cost::inverse(self.shape.rows, self.structure == Structure::Definite, self.varies)
    }

    /// The matrix, not inverted.
    pub(super) fn base<'t>(&self, tape: &'t Tape, image: &dyn Fn(usize) -> Var<'t>) -> Var<'t> {
        match self.node {
            Some(i) if self.transposed => image(i).t(),
            Some(i) => image(i),
            None if self.is_symmetric() => tape.identity(self.shape.rows),
            None => tape.ones(self.shape),
        }
    }
}

/// A chain of factors, and what was opened to find it.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) factors: Vec<Factor>,
    /// The nodes that are taken apart.
    pub(super) links: Vec<usize>,
    /// What they cost.
    cost: f64,
}

impl Opened {
    /// Opens products, solves, inverses and transposes. `start` are nodes to be multiplied, each transposed or not; the
    /// node `root` is opened whoever uses it.
    pub(super) fn new(page: &Page<'_>, start: &[(usize, bool)], root: Option<usize>) -> Opened {
        let mut opened = Opened::default();
        let mut pending: Vec<(usize, bool, bool)> = start.iter().rev().map(|&(i, t)| (i, t, false)).collect();
        while let Some((i, t, inverted)) = pending.pop() {
            let opens = !inverted && (root == Some(i) || page.opens(i));
            let taken = opened.links.len();
            if opens {
                opened.links.push(i);
            }
            // The last one pushed comes first.
            match page.op(i) {
                (Op::MatMul, [Some(a), Some(b)]) if opens => {
                    pending.extend(if t {
                        [(a, t, false), (b, t, false)]
                    } else {
                        [(b, t, false), (a, t, false)]
                    });
                }
                (Op::Solve, [Some(a), Some(b)]) if opens => {
                    pending.extend(if t {
                        [(a, t, true), (b, t, false)]
                    } else {
                        [(b, t, false), (a, t, true)]
                    });
                }
                (Op::Inverse, [Some(a), _]) if opens => pending.push((a, t, true)),
                (Op::Transpose, [Some(x), _]) if opens => pending.push((x, !t, false)),
                _ => {
                    opened.links.truncate(taken);
                    opened.push(page, i, t, inverted);
                    continue;
                }
            }
            opened.cost += page.cost(i);
        }
        opened
    }

    fn push(&mut self, page: &Page<'_>, i: usize, transposed: bool, inverted: bool) {
        let (i, transposed) = match page.op(i) {
            (Op::Transpose, [Some(x), _]) if !page.is_frozen(i) => (x, !transposed),
            _ => (i, transposed),
        };
        let mut factor = Factor { inverted, ..page.factor(i) };
        if transposed {
            factor = factor.flipped();
        }
        let Shape { rows, cols } = factor.shape;
        if page.op(i).0 == Op::Ones {
            // 𝟏 𝟏ᵀ has rank one.
            if rows > 1 && cols > 1 {
                self.factors.push(Factor::ones(Shape::new(rows, 1)));
                self.factors.push(Factor::ones(Shape::new(1, cols)));
            } else {
                self.factors.push(Factor::ones(factor.shape));
            }
            return;
        }
        if self.factors.last().is_some_and(|last| last.undoes(&factor)) {
            self.factors.pop();
        } else {
            self.factors.push(factor);
        }
    }
}

/// How a chain ends.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    /// With its product, of this shape.
    Product(Shape),
    /// With the trace of its product: the chain is a circle.
    Trace,
    /// With the diagonal of its product.
    Diagonal,
}

/// Where a circle is cut, or that it is not.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The product of all factors, from the one at this position around.
    Whole(usize),
    /// `⟨Pᵀ, Q⟩`, or `(P ∘ Qᵀ) 𝟏`, with P the product of so many factors from this position on, and Q that of the others.
    Halves(usize, usize),
}

/// A chain in its best order.
#[derive(Debug)]
struct Chain {
    /// Those of a circle stand here twice.
    factors: Vec<Factor>,
    cut: Cut,
    /// How many factors there are.
    len: usize,
    cost: f64,
    /// For the factors `i..=j`, at `i * factors.len() + j`: where the last product divides them.
    splits: Vec<usize>,
    /// Those whose product is there already.
    known: HashMap<usize, Known>,
    end: End,
}

/// A node that is a product, and whether its transpose is meant.
type Known = (usize, bool);

/// The factors of a product: the node of each, whether it is transposed and whether it is inverted.
type Key = Vec<(usize, bool, bool)>;

/// The products that are computed in any case, by their factors.
#[derive(Default)]
pub(super) struct Products {
    known: HashMap<Key, Known>,
    /// Products of two factors that are results but for a coefficient. There is one way to compute them, so that they need
    /// not come first.
    results: HashMap<Key, usize>,
}

/// Longer products are not looked up.
const LONGEST_KNOWN: usize = 8;

impl Products {
    /// Products that several others use stay what they are.
    pub(super) fn of(page: &Page<'_>) -> Products {
        let (mut known, mut results) = (HashMap::new(), HashMap::new());
        for i in page.indices().rev() {
            let product = matches!(page.op(i).0, Op::MatMul | Op::Solve);
            if product && page.is_result(i) && !page.is_frozen(i) {
                let factors = Opened::new(page, &[(i, false)], Some(i)).factors;
                let flipped: Vec<_> = factors.iter().rev().map(|factor| factor.flipped()).collect();
                let stays = factors.len() == 2 && !factors.iter().any(|factor| sum_of_chains(page, factor));
                let keys = [flipped, factors].into_iter().filter(|_| stays);
                results.extend(keys.filter_map(|factors| Some((Products::key(&factors)?, i))));
            }
            // What was asked for would change its gradient if something else were made of it.
            if page.node(i).is_none() || !product || page.opens(i) || page.is_asked(i) {
                continue;
            }
            let factors = Opened::new(page, &[(i, false)], Some(i)).factors;
            let flipped: Vec<_> = factors.iter().rev().map(|factor| factor.flipped()).collect();
            for (factors, transposed) in [(flipped, true), (factors, false)] {
                if let Some(key) = Products::key(&factors) {
                    known.insert(key, (i, transposed));
                }
            }
        }
        Products { known, results }
    }

    fn key(factors: &[Factor]) -> Option<Key> {
        let known = (2..=LONGEST_KNOWN).contains(&factors.len());
        let key = |factor: &Factor| Some((factor.node?, factor.transposed, factor.inverted));
        if known { factors.iter().map(key).collect() } else { None }
    }

    /// A product of these factors that comes before the node `root`.
    fn find(&self, factors: &[Factor], root: usize) -> Option<Known> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&Products::key(factors)?).copied().filter(|&(i, _)| i < root)
    }

    /// Whether the product of two factors is a result, other than the node `root`.
    fn is_result(&self, factors: &[Factor], root: usize) -> bool {
        let result = || self.results.get(&Products::key(factors)?);
        factors.len() == 2 && !self.results.is_empty() && result().is_some_and(|&i| i != root)
    }
}

/// For every position, how far the factors around it mirror each other.
struct Mirrors {
    /// Between the factor here and the next.
    even: Vec<usize>,
    /// Around the factor here, if it is symmetric.
    odd: Vec<Option<usize>>,
}

impl Mirrors {
    fn new(factors: &[Factor]) -> Mirrors {
        let reach = |left: usize, right: usize| {
            let pairs = factors[..left].iter().rev().zip(factors.get(right..).unwrap_or_default());
            pairs.take_while(|(a, b)| a.mirrors(b)).count()
        };
        Mirrors {
            even: (0..factors.len()).map(|k| reach(k + 1, k + 1)).collect(),
            odd: (0..factors.len()).map(|c| factors[c].is_symmetric().then(|| reach(c, c + 1))).collect(),
        }
    }

    /// Whether the factors `k + 1..=j` are the transpose of `i..=k`.
    fn halves(&self, i: usize, k: usize, j: usize) -> bool {
        k + 1 - i == j - k && self.even[k] > k - i
    }

    /// Whether the product of the factors `i..=j` is symmetric.
    fn palindrome(&self, i: usize, j: usize) -> bool {
        let center = (i + j) / 2;
        if (j - i) % 2 == 1 {
            self.halves(i, center, j)
        } else {
            self.odd[center].is_some_and(|r| r >= center - i)
        }
    }
}

impl Chain {
    /// The best order for a chain that takes the place of node `root`.
    fn best(page: &Page<'_>, root: usize, factors: &[Factor], end: End) -> Option<Chain> {
        let len = factors.len();
        let mut factors = factors.to_vec();
        if end == End::Trace {
            factors.extend_from_within(..);
        }
        let m = factors.len();
        if !(1..=LONGEST_CHAIN).contains(&m) {
            return None;
        }
        let mirrors = Mirrors::new(&factors);
        let mut costs = vec![0.0; m * m];
        let (mut splits, mut known) = (vec![0; m * m], HashMap::new());
        let (mut varies, mut constant) = (vec![false; m * m], vec![true; m * m]);
        for (i, factor) in factors.iter().enumerate() {
            costs[i * m + i] = factor.cost();
            (varies[i * m + i], constant[i * m + i]) = (factor.varies, factor.constant);
        }
        for length in 1..len {
            for i in 0..m - length {
                let j = i + length;
                varies[i * m + j] = varies[i * m + j - 1] || factors[j].varies;
                constant[i * m + j] = constant[i * m + j - 1] && factors[j].constant;
                let (rows, cols) = (factors[i].shape.rows, factors[j].shape.cols);
                let symmetric = rows > 1 && mirrors.palindrome(i, j);
                let mut best = f64::INFINITY;
                for k in i..j {
                    let (left, right) = (i * m + k, (k + 1) * m + j);
                    let passes = Passes {
                        left: varies[left],
                        right: varies[right],
                        constant: constant[left] && constant[right],
                    };
                    let scales = k == i && factors[i].light || k + 1 == j && factors[j].light;
                    let inner = if scales { 1 } else { factors[k].shape.cols };
                    // An inverse beside another factor is a solve; of two, one is needed with all its entries.
                    let solves = [k == i && factors[i].inverted, k + 1 == j && factors[j].inverted];
                    let total = match solves {
                        [true, _] => costs[right] + cost::product(rows, inner, cols, passes, false),
                        [_, true] => costs[left] + cost::product(rows, inner, cols, passes, false),
                        // Back from S S come two products.
                        _ if mirrors.halves(i, k, j) && mirrors.palindrome(i, k) => {
                            costs[left] + cost::product(rows, inner, cols, passes, symmetric)
                        }
                        _ if mirrors.halves(i, k, j) => {
                            costs[left] + cost::mirrored_product(rows, inner, passes)
                        }
                        _ => costs[left] + costs[right] + cost::product(rows, inner, cols, passes, symmetric),
                    };
                    if total < best {
                        best = total;
                        splits[i * m + j] = k;
                    }
                }
                if best > 0.0
                    && let Some(product) = page.products.find(&factors[i..=j], root)
                {
                    best = 0.0;
                    known.insert(i * m + j, product);
                }
                if best > 0.0 && page.products.is_result(&factors[i..=j], root) {
                    best = 0.0;
                }
                costs[i * m + j] = best;
            }
        }
        let (mut cut, mut cost) = (Cut::Whole(0), costs[len - 1]);
        if !matches!(end, End::Product(_)) {
            cost = f64::INFINITY;
            for start in 0..if end == End::Trace { len } else { 1 } {
                let whole = costs[start * m + start + len - 1] + factors[start].shape.rows as f64;
                if whole < cost {
                    (cut, cost) = (Cut::Whole(start), whole);
                }
                for half in 1..len {
                    let (middle, last) = (start + half, start + len - 1);
                    let shape = Shape::new(factors[start].shape.rows, factors[middle - 1].shape.cols);
                    let (p, q) = (start * m + middle - 1, middle * m + last);
                    let q_cost = if mirrors.halves(start, middle - 1, last) { 0.0 } else { costs[q] };
                    let constant = constant[p] && constant[q];
                    let passes = Passes { left: false, right: false, constant };
                    let inner = cost::product(shape.rows, shape.cols, 1, passes, false);
                    if costs[p] + q_cost + inner < cost {
                        (cut, cost) = (Cut::Halves(start, half), costs[p] + q_cost + inner);
                    }
                }
            }
        }
        Some(Chain { factors, cut, len, cost, splits, known, end })
    }

    fn build<'t>(&self, tape: &'t Tape, image: &dyn Fn(usize) -> Var<'t>) -> Var<'t> {
        let interval = |i: usize, j: usize| self.interval(i, j, tape, image);
        match (self.cut, self.end) {
            (Cut::Whole(start), End::Product(_)) => interval(start, start + self.len - 1),
            (Cut::Whole(start), End::Trace) => interval(start, start + self.len - 1).trace(),
            (Cut::Whole(start), End::Diagonal) => interval(start, start + self.len - 1).diagonal(),
            (Cut::Halves(start, half), end) => {
                let (middle, last) = (start + half, start + self.len - 1);
                let p = interval(start, middle - 1);
                let mirrored = Mirrors::new(&self.factors).halves(start, middle - 1, last);
                let q = if mirrored { p.t() } else { interval(middle, last) };
                if end == End::Diagonal { p.hadamard(q.t()).row_sums() } else { p.t().inner(q) }
            }
        }
    }

    /// The product of the factors `i..=j`. The recursion is no deeper than the chain is long.
    fn interval<'t>(&self, i: usize, j: usize, tape: &'t Tape, image: &dyn Fn(usize) -> Var<'t>) -> Var<'t> {
        let (first, last) = (&self.factors[i], &self.factors[j]);
        if i == j {
            let base = first.base(tape, image);
            return if first.inverted { base.inv() } else { base };
        }
        if let Some(&(product, transposed)) = self.known.get(&(i * self.factors.len() + j)) {
            return if transposed { image(product).t() } else { image(product) };
        }
        let k = self.splits[i * self.factors.len() + j];
        let part = |i: usize, j: usize| self.interval(i, j, tape, image);
        if k == i && first.inverted {
            first.base(tape, image).solve(part(k + 1, j))
        } else if k + 1 == j && last.inverted {
            // X A⁻¹ = (A⁻ᵀ Xᵀ)ᵀ
            last.base(tape, image).t().solve(part(i, k).t()).t()
        } else if self.factors[i..=k].iter().rev().zip(&self.factors[k + 1..=j]).all(|(a, b)| a.mirrors(b))
            && k + 1 - i == j - k
        {
            // The same order on both sides, so that they are the same node.
            let left = part(i, k);
            left * left.t()
        } else {
            part(i, k) * part(k + 1, j)
        }
    }

    fn has_inverse(&self) -> bool {
        self.factors.iter().any(|factor| factor.inverted)
    }
}

/// A sum of chains that takes the place of a node.
pub(super) struct Terms {
    terms: Vec<Term>,
    identity: &'static str,
}

struct Term {
    coefficient: f64,
    scalars: Vec<usize>,
    chain: Chain,
}

/// What takes the place of a factor: its terms.
struct Expansion {
    /// Coefficient, 1×1 factors, and the chain.
    terms: Vec<(f64, Vec<usize>, Vec<Factor>)>,
    links: Vec<usize>,
    /// What the factor costs if it stays as it is, and what its parts cost otherwise.
    kept: f64,
    expanded: f64,
    identity: &'static str,
}

impl Terms {
    /// What is better than the chain that ends at node `root`, if something is, and the nodes that the chain consists
    /// of; `None` if no chain ends there.
    pub(super) fn of(page: &Page<'_>, root: usize) -> Option<(Option<Terms>, Vec<usize>)> {
        // The order of the product if it is square.
        let (mut opened, end, written, n) = match page.op(root) {
            (Op::MatMul | Op::Solve, _) => {
                let (opened, shape) = (Opened::new(page, &[(root, false)], Some(root)), page.shape(root));
                let written = opened.cost;
                (opened, End::Product(shape), written, shape.rows)
            }
            (Op::Trace, [Some(x), _]) => {
                let (opened, n) = (Opened::new(page, &[(x, false)], None), page.shape(x).rows);
                let written = opened.cost + n as f64;
                (opened, End::Trace, written, n)
            }
            (Op::Diagonal, [Some(x), _]) => {
                let (opened, n) = (Opened::new(page, &[(x, false)], None), page.shape(x).rows);
                let written = opened.cost + n as f64;
                (opened, End::Diagonal, written, n)
            }
            (Op::Inner, [Some(x), Some(y)]) if x != y => {
                let opened = Opened::new(page, &[(x, true), (y, false)], None);
                let written = opened.cost + page.cost(root);
                // An inner product of two matrices is what it should be.
                let multiplies =
                    |&link: &usize| matches!(page.op(link).0, Op::MatMul | Op::Solve | Op::Inverse);
                if !opened.links.iter().any(multiplies)
                    && !opened.factors.iter().any(|f| sum_of_chains(page, f))
                {
                    return None;
                }
                (opened, End::Trace, written, page.shape(x).cols)
            }
            _ => return None,
        };
        opened.links.retain(|&link| link != root);
        if opened.factors.is_empty() {
            // All of them cancelled, and all were square.
            opened.factors.push(Factor::identity(n));
        }
        let kept = Chain::best(page, root, &opened.factors, end);
        let saved = kept.as_ref().map_or(0.0, |kept| written - kept.cost);
        let mut best: Option<(f64, Terms)> = None;
        if let Some(kept) = kept
            && kept.cost < written * WORTH_IT
        {
            let identity = match end {
                End::Trace => "tr(A B) = ⟨Aᵀ, B⟩",
                End::Diagonal => "diag(A B) = (A ∘ Bᵀ) 𝟏",
                End::Product(_) if kept.has_inverse() => "A⁻¹ B is a solve",
                End::Product(_) => "(A B) C = A (B C)",
            };
            let terms = vec![Term { coefficient: 1.0, scalars: vec![], chain: kept }];
            best = Some((saved, Terms { terms, identity }));
        }
        let expanded = if opened.factors.len() <= LONGEST_EXPANDED { &opened.factors[..] } else { &[] };
        for (position, factor) in expanded.iter().enumerate() {
            let Some(expansion) = Expansion::of(page, factor) else { continue };
            let shape = match end {
                End::Product(shape) => shape,
                End::Trace => Shape::SCALAR,
                End::Diagonal => page.shape(root),
            };
            let additions = (expansion.terms.len() - 1) as f64 * shape.rows as f64 * shape.cols as f64;
            let mut cost = expansion.expanded + additions;
            let mut terms = Vec::new();
            for (coefficient, scalars, chain) in expansion.terms {
                let mut factors = opened.factors[..position].to_vec();
                factors.extend(chain);
                factors.extend_from_slice(&opened.factors[position + 1..]);
                // A sum that lacks a term is not to be had at any price.
                let Some(chain) = Chain::best(page, root, &factors, end) else {
                    cost = f64::INFINITY;
                    break;
                };
                cost += chain.cost;
                terms.push(Term { coefficient, scalars, chain });
            }
            let saved = written + expansion.kept - cost;
            let better = saved > (written + expansion.kept) * (1.0 - WORTH_IT);
            if better && best.as_ref().is_none_or(|(most, _)| saved > *most) {
                opened.links.extend(expansion.links);
                best = Some((saved, Terms { terms, identity: expansion.identity }));
                break;
            }
        }
        Some((best.map(|(_, terms)| terms), opened.links))
    }

    pub(super) fn build<'t>(&self, tape: &'t Tape, image: &dyn Fn(usize) -> Var<'t>) -> Var<'t> {
        tape.by(self.identity, || {
            let mut sum: Option<Var<'t>> = None;
            for Term { coefficient, scalars, chain } in &self.terms {
                let product = scalars.iter().fold(chain.build(tape, image), |product, &s| image(s) * product);
                let term = *coefficient * product;
                sum = Some(sum.map_or(term, |sum| sum + term));
            }
            sum.unwrap_or_else(|| tape.scalar(0.0))
        })
    }
}

/// A term of a sum: `coefficient · scalars · factors`.
pub(super) struct Summand {
    pub(super) coefficient: f64,
    pub(super) scalars: Vec<usize>,
    pub(super) factors: Vec<Factor>,
    /// The nodes that are taken apart.
    links: Vec<usize>,
}

impl Summand {
    /// The terms of node `i`, which is read `users` times by who asks; `None` if there are too many.
    pub(super) fn all(page: &Page<'_>, i: usize, transposed: bool, users: u32) -> Option<Vec<Summand>> {
        let mut terms = Vec::new();
        let mut links = Vec::new();
        let mut pending = vec![(i, 1.0, Vec::new(), transposed, users)];
        while let Some((i, coefficient, scalars, transposed, users)) = pending.pop() {
            let opens = page.opens_for(i, users);
            match page.op(i) {
                (Op::Add, [Some(a), Some(b)]) if opens => {
                    links.push(i);
                    pending.push((b, coefficient, scalars.clone(), transposed, 1));
                    pending.push((a, coefficient, scalars, transposed, 1));
                }
                (Op::Scale(c), [Some(x), _]) if opens => {
                    links.push(i);
                    pending.push((x, coefficient * c.value(), scalars, transposed, 1));
                }
                (Op::ScaleBy, [Some(s), Some(x)]) if opens && !page.shape(x).is_scalar() => {
                    links.push(i);
                    let scalars = scalars.into_iter().chain([s]).collect();
                    pending.push((x, coefficient, scalars, transposed, 1));
                }
                _ => {
                    let opened = Opened::new(page, &[(i, transposed)], opens.then_some(i));
                    links.extend(opened.links);
                    let (mut factors, links) = (opened.factors, std::mem::take(&mut links));
                    if factors.is_empty() {
                        factors.push(Factor::identity(page.shape(i).rows));
                    }
                    terms.push(Summand { coefficient, scalars, factors, links });
                }
            }
            if terms.len() + pending.len() > MOST_TERMS {
                return None;
            }
        }
        Some(terms)
    }
}

/// Whether a factor is a sum in which something is multiplied.
fn sum_of_chains(page: &Page<'_>, factor: &Factor) -> bool {
    Expansion::of(page, factor).is_some()
}

impl Expansion {
    fn of(page: &Page<'_>, factor: &Factor) -> Option<Expansion> {
        let i = factor.node.filter(|&i| page.opens(i))?;
        match (page.op(i), factor.inverted) {
            ((Op::Add, _), false) => Expansion::sum(page, i, factor),
            ((Op::MatMul, [Some(a), Some(b)]), true) => Expansion::inverse(page, i, [a, b], factor),
            _ => None,
        }
    }

    /// `(A + B) C = A C + B C`
    fn sum(page: &Page<'_>, i: usize, factor: &Factor) -> Option<Expansion> {
        let terms = Summand::all(page, i, factor.transposed, 1)?;
        let multiplies = |&link: &usize| matches!(page.op(link).0, Op::MatMul | Op::Solve | Op::Inverse);
        if !terms.iter().any(|term| term.links.iter().any(multiplies)) {
            return None;
        }
        let mut expansion = Expansion {
            terms: vec![],
            links: vec![],
            kept: 0.0,
            expanded: 0.0,
            identity: "(A + B) C = A C + B C",
        };
        for Summand { coefficient, scalars, factors, links } in terms {
            let chain = Chain::best(page, i, &factors, End::Product(factor.shape))?;
            expansion.kept += chain.cost + factor.shape.rows as f64 * factor.shape.cols as f64;
            expansion.terms.push((coefficient, scalars, factors));
            expansion.links.extend(links);
        }
        Some(expansion)
    }

    /// `(A B)⁻¹ = B⁻¹ A⁻¹` of square matrices
    fn inverse(page: &Page<'_>, i: usize, [a, b]: [usize; 2], factor: &Factor) -> Option<Expansion> {
        let n = factor.shape.rows;
        if !page.shape(a).is_square() || factor.constant {
            return None;
        }
        let definite = |i: usize| page.structure(i) == Structure::Definite;
        let mut parts = Opened::default();
        for i in if factor.transposed { [a, b] } else { [b, a] } {
            parts.push(page, i, factor.transposed, true);
        }
        Some(Expansion {
            terms: vec![(1.0, vec![], parts.factors)],
            links: vec![i],
            kept: page.cost(i) + cost::factorization(n, definite(i)),
            expanded: cost::factorization(n, definite(a)) + cost::factorization(n, definite(b)),
            identity: "(A B)⁻¹ = B⁻¹ A⁻¹",
        })
    }
}
