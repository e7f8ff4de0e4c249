//! A derivation on paper: in Unicode, LaTeX and Markdown.

use super::{Derivation, MOST_STEPS, unit};
use crate::Error;
use crate::book::names::{Words, taken};
use pullback_tape::{Formulas, Var};
use std::fmt;

/// Lines of at most so many characters stand with the loss and the remainder in them.
const NARROW: usize = 100;
/// Names of steps stand in a column, but those of longer lines.
const MARGIN: usize = 84;

/// A line: what stands left of the equals sign and right of it, and the identities it is by.
struct Line {
    left: String,
    right: String,
    by: Option<Words>,
}

impl Line {
    fn new(left: impl Into<String>, right: impl Into<String>, by: Option<&Words>) -> Self {
        Line { left: left.into(), right: right.into(), by: by.cloned() }
    }
}

/// All of it in one style.
struct Page {
    /// Whether left sides stand on lines of their own, but for the last.
    stacked: bool,
    lines: Vec<Line>,
    definitions: Vec<String>,
    unexplained: usize,
    /// After this line, some are left out.
    gap: Option<usize>,
}

impl<'t> Derivation<'t> {
    /// A table in Markdown, with formulas in LaTeX between `` $` `` and `` `$ ``, which GitHub renders.
    ///
    /// ```
    /// # use pullback_tape::Tape;
    /// # use pullback_rules::derivation;
    /// let tape = Tape::new();
    /// let (a, b) = (tape.input("A", (3, 3)), tape.input("B", (3, 2)));
    /// assert_eq!(derivation(tape.function("L", a * b), b)?.markdown(), r"| | | by |
    /// |---:|:---|:---|
    /// | $`L(A (B + \varepsilon))`$ | $`= L(A B) + \langle \nabla L(A B), A \varepsilon \rangle + o(\lVert \varepsilon \rVert)`$ | definition of ∇L |
    /// | | $`= L(A B) + \langle A^\top \nabla L(A B), \varepsilon \rangle + o(\lVert \varepsilon \rVert)`$ | adjoint of a product |
    /// | $`\nabla_{B}`$ | $`= A^\top \nabla L(A B)`$ | |
    /// ");
    /// # Ok::<(), pullback_rules::Error>(())
    /// ```
    pub fn markdown(&self) -> String {
        let page = match self.page(true) {
            Ok(page) => page,
            Err(error) => return error.to_string(),
        };
        let mut text = "| | | by |\n|---:|:---|:---|\n".to_owned();
        for (i, Line { left, right, by }) in page.lines.iter().enumerate() {
            let left = if left.is_empty() { String::new() } else { format!(" $`{left}`$") };
            let by =
                by.as_ref().map_or_else(String::new, |by| format!(" {}", by.unicode.replace('|', "\\|")));
            text.push_str(&format!("|{left} | $`= {right}`$ |{by} |\n"));
            if page.gap == Some(i) {
                text.push_str(&format!("| | {} | |\n", self.gap()));
            }
        }
        if !page.definitions.is_empty() {
            text.push_str("\nwhere\n\n");
        }
        for definition in &page.definitions {
            text.push_str(&format!("- $`{definition}`$\n"));
        }
        if page.unexplained > 0 {
            text.push_str(&format!("- … ({} more)\n", page.unexplained));
        }
        text
    }

    /// What stands in the place of steps that are not shown.
    fn gap(&self) -> String {
        let steps = if self.left_out == 1 { "step" } else { "steps" };
        format!("… {} more {steps}", self.left_out)
    }

    fn page(&self, latex: bool) -> Result<Page, Error> {
        Ok(match self.in_place(latex)? {
            Some(page) => page,
            None => self.apart(latex)?,
        })
    }

    fn write(&self, vars: &[Var<'t>], latex: bool) -> Result<Formulas, Error> {
        let graph = self.loss.tape().graph(vars)?;
        Ok(if latex { graph.latex_formulas() } else { graph.formulas() })
    }

    /// A short derivation, with loss and remainder in every line.
    fn in_place(&self, latex: bool) -> Result<Option<Page>, Error> {
        if self.steps.len() > 1 || self.left_out > 0 || self.through.is_some() {
            return Ok(None);
        }
        let step = self.steps.first();
        let moved = step.map_or(self.linear, |step| step.linear);
        let all = [self.perturbed, self.loss, self.linear, moved, self.gradient, self.remainder];
        let page = |latex| {
            let Formulas { formulas, definitions, .. } = self.write(&all, latex)?;
            let [perturbed, loss, linear, moved, gradient, remainder] = &formulas[..] else {
                return Ok(None);
            };
            let expanded = |linear: &str| {
                let minus = if latex { "-" } else { "−" };
                match linear.strip_prefix(minus) {
                    _ if linear == "0" => format!("{loss} + {remainder}"),
                    Some(rest) => format!("{loss} {minus} {rest} + {remainder}"),
                    None => format!("{loss} + {linear} + {remainder}"),
                }
            };
            let mut lines = vec![Line::new(perturbed, expanded(linear), Some(&self.by))];
            if let Some(step) = step {
                let moved = match unit(self.gradient) {
                    Some(_) => self.inner(gradient, latex),
                    None => moved.clone(),
                };
                lines.push(Line::new("", expanded(&moved), Some(&step.by)));
            }
            lines.push(Line::new(self.nabla(latex), gradient, None));
            let page = Page { stacked: true, lines, definitions, unexplained: 0, gap: None };
            Ok::<_, Error>(Some(page))
        };
        let narrow = |text: &str| text.chars().count() <= NARROW;
        let fits = |page: &Page| {
            let lines = page.lines.iter().all(|line| narrow(&line.left) && narrow(&line.right));
            lines && page.definitions.is_empty()
        };
        if page(false)?.filter(fits).is_some() { page(latex) } else { Ok(None) }
    }

    /// A long one, with the linear term apart from the rest.
    fn apart(&self, latex: bool) -> Result<Page, Error> {
        let alone = self.write(&[self.perturbed], false)?;
        let short = |text: &String| text.chars().count() <= NARROW;
        let perturbed = alone.definitions.is_empty() && alone.formulas.iter().all(short);
        let mut all = vec![self.loss];
        if perturbed {
            all.push(self.perturbed);
        }
        all.push(self.through.map_or(self.linear, |through| through.linear));
        all.extend(self.steps.iter().map(|step| step.linear));
        all.push(self.gradient);
        all.extend(self.through.map(|through| through.along));
        let Formulas { mut formulas, mut definitions, unexplained } = self.write(&all, latex)?;
        let shown = |var: Var<'t>| if latex { var.latex() } else { var.to_string() };
        if let Some(through) = self.through {
            let along = formulas.pop().unwrap_or_default();
            definitions.insert(0, format!("{} = {along}", shown(through.symbol)));
        }
        let gradient = formulas.last().cloned().unwrap_or_default();
        let mut formulas = formulas.into_iter();
        let mut next = || formulas.next().unwrap_or_default();

        let (x, f) = (self.name(latex), self.letter()?);
        let (e, remainder) = (shown(self.perturbation), shown(self.remainder));
        let expanded = format!("{f}({x}) + D{f}({x})[{e}] + {remainder}");
        let mut lines = vec![Line::new(format!("{f}({x})"), next(), None)];
        let mut left = format!("{f}({x} + {e})");
        if perturbed {
            lines.push(Line::new(std::mem::take(&mut left), next(), None));
        }
        lines.push(Line::new(left, expanded, None));
        lines.push(Line::new(format!("D{f}({x})[{e}]"), next(), Some(&self.by)));
        let gap = (self.left_out > 0).then_some(lines.len() + MOST_STEPS / 2 - 1);
        for (i, step) in self.steps.iter().enumerate() {
            let last = i + 1 == self.steps.len();
            let written = next();
            let text = match unit(self.gradient).filter(|_| last) {
                Some(_) => self.inner(&gradient, latex),
                None => written,
            };
            lines.push(Line::new("", text, Some(&step.by)));
        }
        lines.push(Line::new(self.nabla(latex), gradient, None));
        Ok(Page { stacked: false, lines, definitions, unexplained, gap })
    }

    /// `⟨gradient, ε⟩`, whatever the normal form makes of it.
    fn inner(&self, gradient: &str, latex: bool) -> String {
        if latex {
            format!("\\langle {gradient}, {} \\rangle", self.perturbation.latex())
        } else {
            format!("⟨{gradient}, {}⟩", self.perturbation)
        }
    }

    fn name(&self, latex: bool) -> String {
        if latex { self.variable.latex() } else { self.variable.summary() }
    }

    fn nabla(&self, latex: bool) -> String {
        if latex { format!("\\nabla_{{{}}}", self.name(true)) } else { format!("∇{}", self.name(false)) }
    }

    /// A letter for the loss that is not taken.
    fn letter(&self) -> Result<&'static str, Error> {
        let taken = taken(self.loss)?;
        Ok(["f", "g", "h", "φ", "ψ"].into_iter().find(|name| !taken.contains(*name)).unwrap_or("ℓ"))
    }
}

impl Page {
    fn unicode(&self, gap: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |text: &str| text.chars().count();
        let widest = self.lines.iter().map(|line| count(&line.left)).max().unwrap_or(0);
        let indent = if self.stacked { 2 } else { widest + 1 };
        let mut rows: Vec<(String, Option<&Words>)> = Vec::new();
        for (i, Line { left, right, by }) in self.lines.iter().enumerate() {
            let row = if self.stacked && i + 1 == self.lines.len() {
                format!("{left} = {right}")
            } else if self.stacked && !left.is_empty() {
                rows.push((left.clone(), None));
                format!("{:indent$}= {right}", "")
            } else {
                format!("{left}{:1$}= {right}", "", indent.saturating_sub(count(left)))
            };
            rows.push((row, by.as_ref()));
            if self.gap == Some(i) {
                rows.push((format!("{:indent$}{gap}", ""), None));
            }
        }
        let named = rows.iter().filter(|(_, by)| by.is_some());
        let margin = named.map(|(row, _)| count(row)).filter(|&width| width <= MARGIN).max().unwrap_or(0);
        for (i, (row, by)) in rows.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{row}")?;
            if let Some(by) = by {
                let space = margin.saturating_sub(count(row)) + 4;
                write!(f, "{:space$}({})", "", by.unicode)?;
            }
        }
        for (i, definition) in self.definitions.iter().enumerate() {
            write!(f, "\n{} {definition}", if i == 0 { "where" } else { "     " })?;
        }
        if self.unexplained > 0 {
            write!(f, "\n      … ({} more)", self.unexplained)?;
        }
        Ok(())
    }

    fn latex(&self, gap: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Line { left, right, by }) in self.lines.iter().enumerate() {
            let end = if i == 0 { "" } else { " \\\\\n" };
            let left = if left.is_empty() { " " } else { left };
            write!(f, "{end}{left} &= {right}")?;
            if let Some(by) = by {
                write!(f, " && \\text{{({})}}", by.latex)?;
            }
            if self.gap == Some(i) {
                write!(f, " \\\\\n  &\\phantom{{=}}\\; \\text{{{gap}}}")?;
            }
        }
        for (i, definition) in self.definitions.iter().enumerate() {
            let word = if i == 0 { "\\text{where } " } else { "" };
            write!(f, " \\\\\n{word}{}", definition.replacen(" = ", " &= ", 1))?;
        }
        if self.unexplained > 0 {
            write!(f, " \\\\\n  &\\phantom{{=}}\\; \\text{{… ({} more)}}", self.unexplained)?;
        }
        Ok(())
    }
}

impl fmt::Display for Derivation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.page(f.alternate()) {
            Ok(page) if f.alternate() => page.latex(&self.gap(), f),
            Ok(page) => page.unicode(&self.gap(), f),
            // What holds a mistake has no derivation.
            Err(error) => write!(f, "{error}"),
        }
    }
}
