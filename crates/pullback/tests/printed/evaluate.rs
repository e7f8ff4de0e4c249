//! The value of a formula.

use super::parse::{Ast, parse};
use super::shapes::{Extent2, Extents};
use super::{Given, inner, values};
use pullback::faer::Mat;
use pullback::faer::linalg::solvers::{PartialPivLu, Solve};
use std::collections::HashMap;

/// Formulas and the definitions that they share.
pub(crate) struct Paper<'g> {
    given: &'g Given,
    written: HashMap<String, Ast>,
    /// Definitions that were used.
    definitions: HashMap<String, usize>,
    nodes: Vec<Node>,
    extents: Extents,
}

struct Node {
    /// The formula, of which the parts stand in `parts`.
    ast: Ast,
    parts: Vec<usize>,
    shape: Extent2,
}

impl<'g> Paper<'g> {
    pub(crate) fn new(definitions: &[String], given: &'g Given) -> Result<Self, String> {
        let mut paper = Paper {
            given,
            written: HashMap::new(),
            definitions: HashMap::new(),
            nodes: Vec::new(),
            extents: Extents::default(),
        };
        for definition in definitions {
            let (name, formula) = definition.split_once(" = ").ok_or_else(|| format!("`{definition}`?"))?;
            if paper.written.insert(name.to_owned(), parse(formula)?).is_some() || given.contains_key(name) {
                return Err(format!("{name} is two things"));
            }
        }
        Ok(paper)
    }

    /// The value of one more formula.
    pub(crate) fn value(&mut self, text: &str, shape: (usize, usize)) -> Result<Mat<f64>, String> {
        let id = self.add(parse(text)?)?;
        let of = |error: String| format!("`{text}`: {error}");
        self.extents.set2(self.nodes[id].shape, shape).map_err(of)?;
        self.infer().map_err(of)?;
        let mut known = HashMap::new();
        self.evaluate(id, &mut known).map_err(of)
    }

    /// `f(λ(S))` written out, if it stands under a name.
    fn resolved(&self, ast: &Ast) -> Ast {
        let of = |part: &Ast| Box::new(self.resolved(part));
        let all = |parts: &[Ast]| parts.iter().map(|part| self.resolved(part)).collect();
        match ast {
            Ast::Name(name) => {
                self.written.get(name).map_or_else(|| ast.clone(), |known| self.resolved(known))
            }
            // What the eigenvalues are of may stay under its name.
            Ast::Call(name, _) if name == "λ" => ast.clone(),
            Ast::Call(name, args) => Ast::Call(name.clone(), all(args)),
            Ast::Sum(parts) => Ast::Sum(all(parts)),
            Ast::Product(parts) => Ast::Product(all(parts)),
            Ast::Negative(x) => Ast::Negative(of(x)),
            Ast::Power(x, p) => Ast::Power(of(x), *p),
            Ast::EntryPower(x, p) => Ast::EntryPower(of(x), *p),
            Ast::EntryPseudo(x) => Ast::EntryPseudo(of(x)),
            Ast::Times(a, b) => Ast::Times(of(a), of(b)),
            Ast::Over(a, b) => Ast::Over(of(a), of(b)),
            ast => ast.clone(),
        }
    }

    fn add(&mut self, ast: Ast) -> Result<usize, String> {
        let ast = match ast {
            Ast::Call(name, args) if name == "fun" => {
                Ast::Call(name, args.iter().map(|arg| self.resolved(arg)).collect())
            }
            Ast::Along(name, place, directions) if name.ends_with("fun") => {
                Ast::Along(name, Box::new(self.resolved(&place)), directions)
            }
            ast => ast,
        };
        if let Ast::Name(name) = &ast {
            if let Some(id) = self.definitions.get(name) {
                return Ok(*id);
            }
            if let Some(definition) = self.written.get(name).cloned() {
                let id = self.add(definition)?;
                self.definitions.insert(name.clone(), id);
                return Ok(id);
            }
        }
        let parts: Vec<Ast> = match &ast {
            Ast::Number(_) | Ast::Name(_) | Ast::Rows(_) | Ast::Triangle(_) | Ast::Shape(..) => vec![],
            Ast::Sum(parts) | Ast::Product(parts) => parts.clone(),
            // A function by its values at the eigenvalues is read where it is evaluated.
            Ast::Call(name, _) if name == "fun" => vec![],
            Ast::Call(_, parts) => parts.clone(),
            Ast::Along(name, _, directions) if name.ends_with("fun") => directions.clone(),
            Ast::Along(_, place, directions) => {
                std::iter::once((**place).clone()).chain(directions.iter().cloned()).collect()
            }
            Ast::Negative(x)
            | Ast::Transpose(x)
            | Ast::Inverse(x)
            | Ast::Pseudo(x)
            | Ast::Power(x, _)
            | Ast::EntryPower(x, _)
            | Ast::EntryPseudo(x)
            | Ast::Norm(x)
            | Ast::Abs(x)
            | Ast::LogDet(x) => vec![(**x).clone()],
            Ast::Times(a, b) | Ast::Over(a, b) | Ast::Ratio(a, b) | Ast::Inner(a, b) => {
                vec![(**a).clone(), (**b).clone()]
            }
        };
        let mut parts = parts.into_iter().map(|part| self.add(part)).collect::<Result<Vec<_>, _>>()?;
        // What the eigenvalues are of is part of a function of them.
        if let Ast::Call(name, args) = &ast
            && name == "fun"
        {
            parts.push(self.add(argument(args.first())?)?);
        }
        if let Ast::Along(name, place, _) = &ast
            && name.ends_with("fun")
        {
            parts.push(self.add(argument(Some(&**place))?)?);
        }
        let shape = self.extents.fresh2();
        self.nodes.push(Node { ast, parts, shape });
        Ok(self.nodes.len() - 1)
    }

    // ---- shapes ----------------------------------------------------------------------------------------------

    fn infer(&mut self) -> Result<(), String> {
        for default in [false, true] {
            loop {
                let before = self.extents.changes;
                for id in 0..self.nodes.len() {
                    self.constrain(id, default)?;
                }
                if self.extents.changes == before {
                    break;
                }
            }
            // What nothing is said of is as small as it can be.
            for id in (0..self.nodes.len()).filter(|_| default) {
                let (rows, cols) = self.nodes[id].shape;
                if self.extents.get(cols).is_none() && self.extents.get(rows).is_some() {
                    self.extents.set(cols, 1)?;
                }
            }
        }
        (0..self.nodes.len()).try_for_each(|id| self.constrain(id, true))
    }

    /// `late`: what may yet turn out to be a number is taken for a matrix.
    fn constrain(&mut self, id: usize, late: bool) -> Result<(), String> {
        let Node { ast, parts, shape } = &self.nodes[id];
        let (ast, shape) = (ast.clone(), *shape);
        let of: Vec<Extent2> = parts.iter().map(|&part| self.nodes[part].shape).collect();
        let x = &mut self.extents;
        let first = of.first().copied().unwrap_or(shape);
        match &ast {
            // A zero may be a matrix.
            Ast::Number(0.0) => Ok(()),
            Ast::Number(_) => x.set2(shape, (1, 1)),
            Ast::Name(name) if name == "𝟏" => Ok(()),
            Ast::Name(name) if name == "I" && !self.given.contains_key(name) => x.same(shape.0, shape.1),
            Ast::Name(name) => {
                let matrix = self.given.get(name).ok_or_else(|| format!("nobody knows {name}"))?;
                x.set2(shape, (matrix.nrows(), matrix.ncols()))
            }
            Ast::Rows(rows) => x.set(shape.0, rows.len()),
            Ast::Triangle(_) | Ast::Shape(..) => Ok(()),
            Ast::Sum(_) | Ast::Times(..) | Ast::Over(..) => {
                of.iter().try_for_each(|&part| x.same2(part, shape))
            }
            Ast::Negative(_) | Ast::EntryPower(..) | Ast::EntryPseudo(_) => x.same2(first, shape),
            Ast::Transpose(of) => {
                // A row.
                if matches!(&**of, Ast::Name(name) if name == "𝟏") {
                    x.set(shape.0, 1)?;
                }
                x.same2((first.1, first.0), shape)
            }
            Ast::Inverse(_) => {
                x.same(shape.0, shape.1)?;
                x.same2(first, shape)
            }
            Ast::Pseudo(_) => x.same2((first.1, first.0), shape),
            Ast::Power(..) | Ast::Abs(_) => {
                x.set2(shape, (1, 1))?;
                x.set2(first, (1, 1))
            }
            Ast::Ratio(..) => {
                x.set2(shape, (1, 1))?;
                of.iter().try_for_each(|&part| x.set2(part, (1, 1)))
            }
            Ast::Norm(_) | Ast::LogDet(_) => x.set2(shape, (1, 1)),
            Ast::Inner(..) => {
                x.set2(shape, (1, 1))?;
                of.iter().try_for_each(|&part| x.same2(part, first))
            }
            Ast::Product(factors) => {
                let is_matrix = |ast: &Ast| match ast {
                    Ast::Transpose(of) => matches!(&**of, Ast::Name(_) | Ast::Rows(_)),
                    ast => {
                        matches!(ast, Ast::Name(name) if name == "𝟏" || name == "I")
                            || matches!(ast, Ast::Rows(_))
                    }
                };
                let open = |(ast, &part): (&Ast, &Extent2)| x.known(part).is_none() && !is_matrix(ast);
                if !late && factors.iter().zip(&of).any(open) {
                    return Ok(());
                }
                let mut so_far = first;
                for &next in of.iter().skip(1) {
                    if x.is_scalar(so_far) {
                        so_far = next;
                    } else if !x.is_scalar(next) {
                        x.same(so_far.1, next.0)?;
                        so_far = (so_far.0, next.1);
                    }
                }
                x.same2(so_far, shape)
            }
            Ast::Call(name, args) => values::shape(name, args, &of, shape, x),
            Ast::Along(name, ..) if name.ends_with("fun") => {
                of.iter().try_for_each(|&part| x.same2(part, shape))
            }
            Ast::Along(..) => of.iter().try_for_each(|&part| x.same2(part, shape)),
        }
    }

    // ---- values ----------------------------------------------------------------------------------------------

    fn evaluate(&self, id: usize, known: &mut HashMap<usize, Mat<f64>>) -> Result<Mat<f64>, String> {
        if let Some(value) = known.get(&id) {
            return Ok(value.clone());
        }
        let Node { ast, parts, shape } = &self.nodes[id];
        let mut of = Vec::new();
        for &part in parts {
            let written = matches!(self.nodes[part].ast, Ast::Shape(..));
            of.push(if written { Mat::zeros(0, 0) } else { self.evaluate(part, known)? });
        }
        let (m, n) = self.extents.known(*shape).ok_or_else(|| format!("{ast:?} has no shape"))?;
        let filled = |f: &dyn Fn(usize, usize) -> f64| Mat::from_fn(m, n, f);
        let each =
            |x: &Mat<f64>, f: &dyn Fn(f64) -> f64| Mat::from_fn(x.nrows(), x.ncols(), |i, j| f(x[(i, j)]));
        let number = |c: f64| Mat::full(1, 1, c);
        let value = match ast {
            Ast::Number(c) => Mat::full(m, n, *c),
            Ast::Name(name) if name == "𝟏" => Mat::full(m, n, 1.0),
            Ast::Name(name) if name == "I" && !self.given.contains_key(name) => Mat::identity(m, n),
            Ast::Name(name) => self.given[name].clone(),
            Ast::Rows(rows) => filled(&|i, j| f64::from(u8::from(rows[i] == j))),
            Ast::Triangle(condition) => {
                let holds: fn(usize, usize) -> bool = match condition.as_str() {
                    "i ≥ j" => |i, j| i >= j,
                    "i > j" => |i, j| i > j,
                    "i ≤ j" => |i, j| i <= j,
                    "i < j" => |i, j| i < j,
                    _ => return Err(format!("`{condition}` is not understood")),
                };
                filled(&|i, j| f64::from(u8::from(holds(i, j))))
            }
            Ast::Shape(..) => return Err("a shape has no value".to_owned()),
            Ast::Sum(_) => of.iter().fold(Mat::zeros(m, n), |sum, term| sum + term),
            Ast::Negative(_) => -&of[0],
            Ast::Times(..) => filled(&|i, j| of[0][(i, j)] * of[1][(i, j)]),
            Ast::Over(..) => filled(&|i, j| of[0][(i, j)] / of[1][(i, j)]),
            Ast::Ratio(..) => number(of[0][(0, 0)] / of[1][(0, 0)]),
            Ast::Transpose(_) => of[0].transpose().to_owned(),
            Ast::Inverse(_) => PartialPivLu::new(of[0].as_ref()).solve(Mat::<f64>::identity(m, m)),
            Ast::Pseudo(_) if (m, n) == (1, 1) => each(&of[0], &|x| if x == 0.0 { 0.0 } else { 1.0 / x }),
            Ast::Pseudo(_) => values::call("pinv", &of)?,
            Ast::EntryPseudo(_) => each(&of[0], &|x| if x == 0.0 { 0.0 } else { 1.0 / x }),
            Ast::Power(_, p) | Ast::EntryPower(_, p) if p.fract() == 0.0 => {
                each(&of[0], &|x| x.powi(*p as i32))
            }
            Ast::Power(_, p) | Ast::EntryPower(_, p) => each(&of[0], &|x| x.powf(*p)),
            Ast::Norm(_) => number(of[0].norm_l2()),
            Ast::Abs(_) => number(of[0][(0, 0)].abs()),
            Ast::LogDet(_) => number(of[0].determinant().abs().ln()),
            Ast::Inner(..) => number(inner(&of[0], &of[1])),
            Ast::Product(_) => {
                let mut factors = of.into_iter();
                let mut so_far = factors.next().ok_or("an empty product")?;
                for next in factors {
                    let is_scalar = |x: &Mat<f64>| (x.nrows(), x.ncols()) == (1, 1);
                    so_far = match (is_scalar(&so_far), is_scalar(&next)) {
                        (true, _) => so_far[(0, 0)] * next,
                        (_, true) => next[(0, 0)] * so_far,
                        _ => so_far * next,
                    };
                }
                so_far
            }
            Ast::Call(name, args) if name == "fun" => values::function(args.first(), &of, 0)?,
            Ast::Along(name, place, directions) if name.ends_with("fun") => {
                values::function(Some(&**place), &of, directions.len())?
            }
            Ast::Call(name, args) => values::named(name, args, &of, (m, n))?,
            Ast::Along(name, _, directions) => values::along(name, &of, directions.len())?,
        };
        if (value.nrows(), value.ncols()) != (m, n) {
            return Err(format!("{ast:?} is {}×{}, not {m}×{n}", value.nrows(), value.ncols()));
        }
        known.insert(id, value.clone());
        Ok(value)
    }
}

/// What the eigenvalues in `f(λ(S))` are those of.
fn argument(ast: Option<&Ast>) -> Result<Ast, String> {
    let mut pending: Vec<&Ast> = ast.into_iter().collect();
    while let Some(ast) = pending.pop() {
        match ast {
            Ast::Call(name, args) if name == "λ" => {
                return args.first().cloned().ok_or("λ of nothing".to_owned());
            }
            Ast::Sum(parts) | Ast::Product(parts) | Ast::Call(_, parts) => pending.extend(parts),
            Ast::Negative(x)
            | Ast::Power(x, _)
            | Ast::EntryPower(x, _)
            | Ast::EntryPseudo(x)
            | Ast::Transpose(x) => {
                pending.push(x);
            }
            Ast::Times(a, b) | Ast::Over(a, b) => pending.extend([&**a, &**b]),
            _ => {}
        }
    }
    Err("there are no eigenvalues".to_owned())
}
