//! What is printed, read as a person reads it: formulas are parsed, evaluated with plain matrices, and compared with what the
//! library computes.
//!
//! Of the library nothing is used here but the values of functions that stand under a name, such as `chol(K)` or `λ(S)`: what
//! is tested is the formula.

#![allow(dead_code)]

mod evaluate;
mod parse;
mod shapes;
mod values;

use evaluate::Paper;
use pullback::Structure;
use pullback::faer::{Mat, MatRef};
use pullback::prelude::*;
use std::collections::BTreeMap;

/// What is compared agrees to so much of the size of its entries.
const TOLERANCE: f64 = 1e-12;

/// The matrices that names stand for.
pub(crate) type Given = BTreeMap<String, Mat<f64>>;

/// The value of a formula, of which the shape is known.
pub(crate) fn read(
    text: &str,
    definitions: &[String],
    given: &Given,
    shape: (usize, usize),
) -> Result<Mat<f64>, String> {
    Paper::new(definitions, given)?.value(text, shape)
}

fn inner(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (0..a.ncols()).flat_map(|j| (0..a.nrows()).map(move |i| (i, j))).map(|at| a[at] * b[at]).sum()
}

/// Every line of the derivation of a loss in each of its variables is true of some numbers: the loss, the loss at another
/// place, the linear term in each of its forms, and the gradient.
pub(crate) fn judge(loss: Var<'_>, wrt: &[Var<'_>], given: &[(&str, MatRef<'_, f64>)]) -> Result<(), String> {
    for &x in wrt {
        let steps = derivation(loss, x).map_err(|error| error.to_string())?;
        let text = steps.to_string();
        lines(&text, loss, x, given).map_err(|error| format!("{error}\n{text}"))?;
        // The other styles show the same lines.
        let rows = text.lines().filter(|line| line.contains(" = ")).count();
        let (latex, markdown) = (format!("{steps:#}"), steps.markdown());
        if latex.matches("&=").count() != rows || markdown.matches("= ").count() < rows {
            return Err(format!(
                "in LaTeX or in Markdown there are other lines\n{text}\n{latex}\n{markdown}"
            ));
        }
    }
    Ok(())
}

/// A formula without the names of the identities at its right.
fn bare(line: &str) -> &str {
    line.find("    (").map_or(line, |end| &line[..end]).trim_end()
}

/// Whether every line of a derivation is true.
pub(crate) fn lines(
    text: &str,
    loss: Var<'_>,
    x: Var<'_>,
    given: &[(&str, MatRef<'_, f64>)],
) -> Result<(), String> {
    let computed = gradient(loss, &[x]).map(|gradient| [vec![loss, x], gradient].concat());
    let values =
        evaluate(&computed.map_err(|error| error.to_string())?, given).map_err(|error| error.to_string())?;
    let [value, at, gradient] = &values[..] else { return Err("there is no value".to_owned()) };
    let shape = (at.nrows(), at.ncols());

    let mut e = 0.05 * check::random::<f64>(shape.0, shape.1, 99);
    if x.structure() >= Structure::Symmetric {
        e = 0.5 * (&e + e.transpose());
    }
    let mut bound: Given =
        given.iter().map(|(name, matrix)| ((*name).to_owned(), matrix.to_owned())).collect();
    bound.insert("ε".to_owned(), e.clone());
    let near: Vec<_> = bound
        .iter()
        .filter(|(name, _)| *name != "ε")
        .map(|(name, matrix)| {
            (name.clone(), if *name == x.to_string() { matrix + &e } else { matrix.clone() })
        })
        .collect();
    let near: Vec<_> = near.iter().map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect();
    let perturbed = evaluate(&[loss], &near).map_err(|error| error.to_string())?[0][(0, 0)];

    // What is known of each line.
    let linear = inner(gradient, &e);
    let size = gradient.norm_l2() * e.norm_l2();
    let value = value[(0, 0)];
    let close = |what: &str, found: f64, wanted: f64, size: f64| {
        if (found - wanted).abs() <= TOLERANCE * size.max(wanted.abs()) {
            Ok(())
        } else {
            Err(format!("`{what}` is {found:e}, not {wanted:e}"))
        }
    };

    let (text, clause) = text.split_once("\nwhere ").unwrap_or((text, ""));
    let definitions: Vec<_> =
        clause.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    let number =
        |formula: &str| -> Result<f64, String> { Ok(read(formula, &definitions, &bound, (1, 1))?[(0, 0)]) };
    let variable = x.summary();
    let mut left = "";
    let (mut linears, mut gradients) = (0, 0);
    for line in text.lines() {
        let line = bare(line);
        if line.trim_start().starts_with("… ") {
            continue;
        }
        let (before, formula) = match line.split_once("= ") {
            Some((before, formula)) => (before.trim(), formula),
            None => (line, line),
        };
        if !before.is_empty() {
            left = before;
        }
        let is_letter =
            |text: &str, rest: &str| text.strip_suffix(rest).is_some_and(|f| f.chars().count() == 1);
        if left == format!("∇{variable}") {
            let found = read(formula, &definitions, &bound, shape)?;
            let error = (&found - gradient).norm_max();
            if error.is_nan() || error > TOLERANCE * gradient.norm_max() {
                return Err(format!("`{formula}` is off by {error:e}\n{found:?}\n{gradient:?}"));
            }
            gradients += 1;
        } else if left.starts_with('D') && is_letter(&left[1..], &format!("({variable})[ε]")) {
            close(formula, number(formula)?, linear, size)?;
            linears += 1;
        } else if is_letter(left, &format!("({variable})")) {
            close(formula, number(formula)?, value, 1.0)?;
        } else if formula.contains("[ε] + o(") {
            // `f(x) + Df(x)[ε] + o(‖ε‖)`
        } else if formula.contains("+ o(") {
            // On the left side stands the loss, perturbed.
            close(left, number(left)?, perturbed, 1.0)?;
            close(formula, number(formula)?, value + linear, value.abs())?;
            linears += 1;
        } else {
            close(formula, number(formula)?, perturbed, 1.0)?;
        }
    }
    if linears == 0 || gradients != 1 { Err("lines are missing".to_owned()) } else { Ok(()) }
}
