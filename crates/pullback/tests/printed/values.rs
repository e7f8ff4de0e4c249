//! Functions under a name: their shapes, and their values by the library.

use super::parse::Ast;
use super::shapes::{Extent2, Extents};
use pullback::faer::Mat;
use pullback::jvp;
use pullback::prelude::*;

pub(crate) fn shape(
    name: &str,
    args: &[Ast],
    of: &[Extent2],
    shape: Extent2,
    x: &mut Extents,
) -> Result<(), String> {
    let Some(&first) = of.first() else { return Err(format!("{name} of nothing")) };
    let least = |x: &Extents| x.known(first).map(|(m, n)| m.min(n));
    match name {
        "tr" | "det" | "sum" | "o" => x.set2(shape, (1, 1)),
        "diag" => {
            x.same(first.0, first.1)?;
            x.same(shape.0, first.0)?;
            x.set(shape.1, 1)
        }
        "Diag" | "Δ" | "Σ" => {
            x.set(first.1, 1)?;
            x.same(shape.0, first.0)?;
            x.same(shape.1, first.0)
        }
        "logsumexp" | "colmax" => {
            x.set(shape.0, 1)?;
            x.same(shape.1, first.1)
        }
        "λ" | "ldl.d" => {
            x.same(first.0, first.1)?;
            x.same(shape.0, first.0)?;
            x.set(shape.1, 1)
        }
        "sv" => {
            x.set(shape.1, 1)?;
            least(x).map_or(Ok(()), |least| x.set(shape.0, least))
        }
        "svd.U" | "svd.V" => {
            x.same(shape.0, if name == "svd.U" { first.0 } else { first.1 })?;
            least(x).map_or(Ok(()), |least| x.set(shape.1, least))
        }
        "R" => {
            x.same(shape.0, first.1)?;
            x.same(shape.1, first.1)
        }
        "vec" => {
            x.set(shape.1, 1)?;
            x.known(first).map_or(Ok(()), |(m, n)| x.set(shape.0, m * n))
        }
        "reshape" => match args.get(1) {
            Some(Ast::Shape(m, n)) => x.set2(shape, (*m, *n)),
            _ => Err("a shape is missing".to_owned()),
        },
        "sylvester" | "stein" => {
            let (&[a, b, c], true) = (of, of.len() == 3) else { return Err("three arguments".to_owned()) };
            x.same2(c, shape)?;
            x.same2(a, (shape.0, shape.0))?;
            x.same2(b, (shape.1, shape.1))
        }
        "tril" | "triu" | "clamp" | "inside" => {
            of.iter().skip(1).try_for_each(|&number| x.set2(number, (1, 1)))?;
            x.same2(first, shape)
        }
        "max" | "min" | "atan2" | "hypot" | "less" | "keep" => {
            of.iter().try_for_each(|&part| x.same2(part, shape))
        }
        // Entry by entry, or from a square matrix to one.
        _ => x.same2(first, shape),
    }
}

/// A function of matrices, some arguments of which may be numbers.
pub(crate) fn named(
    name: &str,
    args: &[Ast],
    of: &[Mat<f64>],
    shape: (usize, usize),
) -> Result<Mat<f64>, String> {
    let a = &of[0];
    let n = a.nrows();
    let filled = |f: &dyn Fn(usize, usize) -> f64| Mat::from_fn(shape.0, shape.1, f);
    Ok(match name {
        "o" => Mat::zeros(1, 1),
        "tr" => filled(&|_, _| (0..n).map(|i| a[(i, i)]).sum()),
        "sum" => filled(&|_, _| (0..a.ncols()).map(|j| a.col(j).sum()).sum()),
        "diag" => filled(&|i, _| a[(i, i)]),
        "Diag" => filled(&|i, j| if i == j { a[(i, 0)] } else { 0.0 }),
        "sym" => 0.5 * (a + a.transpose()),
        "skew" => 0.5 * (a - a.transpose()),
        // What is divided by a gap on the diagonal is 0.
        "Δ" => filled(&|i, j| if i == j { f64::INFINITY } else { a[(j, 0)] - a[(i, 0)] }),
        "Σ" => filled(&|i, j| a[(i, 0)] + a[(j, 0)]),
        "tril" | "triu" => {
            let from = of.get(1).map_or(0.0, |d| d[(0, 0)]);
            let inside = |i: usize, j: usize| {
                let d = j as f64 - i as f64;
                if name == "tril" { d <= from } else { d >= from }
            };
            filled(&|i, j| if inside(i, j) { a[(i, j)] } else { 0.0 })
        }
        "vec" | "reshape" => {
            let entry = |k: usize| a[(k % n, k / n)];
            filled(&|i, j| entry(i + j * shape.0))
        }
        "clamp" | "inside" => {
            let (low, high) = (of[1][(0, 0)], of[2][(0, 0)]);
            filled(&|i, j| match name {
                "clamp" => a[(i, j)].clamp(low, high),
                _ => f64::from(u8::from((low..=high).contains(&a[(i, j)]))),
            })
        }
        _ if name == "lu.P" || args.len() == of.len() => call(name, of)?,
        _ => return Err(format!("{name} is not understood")),
    })
}

fn is_symmetric(a: &Mat<f64>) -> bool {
    a.nrows() == a.ncols() && (a - a.transpose()).norm_max() <= 1e-13 * a.norm_max()
}

fn symmetrized(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| 0.5 * (a[(i, j)] + a[(j, i)]))
}

/// The value of one function, by the library.
pub(crate) fn call(name: &str, of: &[Mat<f64>]) -> Result<Mat<f64>, String> {
    let tape = Tape::new();
    let symmetric = is_symmetric(&of[0]) && matches!(name, "λ" | "V" | "ldl.L" | "ldl.d" | "chol");
    let mut of = of.to_vec();
    if symmetric {
        of[0] = symmetrized(&of[0]);
    }
    let names: Vec<_> = (0..of.len()).map(|i| format!("x{i}")).collect();
    let vars: Vec<_> = of
        .iter()
        .zip(&names)
        .enumerate()
        .map(|(i, (matrix, name))| match i {
            0 if symmetric => tape.symmetric(name, matrix.nrows()),
            _ => tape.input(name, (matrix.nrows(), matrix.ncols())),
        })
        .collect();
    let (a, b) = (vars[0], vars.get(1).copied().unwrap_or(vars[0]));
    let c = vars.get(2).copied().unwrap_or(b);
    let y = match name {
        "λ" if symmetric => a.eigenvalues(),
        "V" if symmetric => a.eigenvectors(),
        "λ" => a.real_eigenvalues(),
        "V" => a.real_eigenvectors(),
        "chol" => a.cholesky(),
        "ldl.L" => a.ldl().0,
        "ldl.d" => a.ldl().1,
        "lu.P" => a.lu().0,
        "lu.L" => a.lu().1,
        "lu.U" => a.lu().2,
        "Q" => a.qr().0,
        "R" => a.qr().1,
        "sv" => a.singular_values(),
        "svd.U" => a.left_vectors(),
        "svd.V" => a.right_vectors(),
        "polar" => a.polar().0,
        "pinv" => a.pseudo_inverse(),
        "det" => a.det(),
        "adj" => a.adjugate(),
        "expm" => a.expm(),
        "logm" => a.logm(),
        "sqrtm" => a.sqrtm(),
        "signm" => a.signm(),
        "sylvester" => a.sylvester(b, c),
        "stein" => a.stein(b, c),
        "logsumexp" => a.log_sum_exp(),
        "softmax" => a.softmax(),
        "colmax" => a.col_maxima(),
        "argmax" => a.col_argmax(),
        "stop" => a.stop_gradient(),
        "max" => a.max(b),
        "min" => a.min(b),
        "atan2" => a.atan2(b),
        "hypot" => a.hypot(b),
        "less" => a.less(b),
        "keep" => a.keep(b),
        _ => elementwise(name, a).ok_or_else(|| format!("{name} is not understood"))?,
    };
    value(y, &names, &of)
}

fn value(y: Var<'_>, names: &[String], of: &[Mat<f64>]) -> Result<Mat<f64>, String> {
    let bound: Vec<_> = names.iter().zip(of).map(|(name, matrix)| (name.as_str(), matrix.as_ref())).collect();
    let values = evaluate(&[y], &bound).map_err(|error| error.to_string())?;
    values.into_iter().next().ok_or_else(|| "there is no value".to_owned())
}

fn elementwise<'t>(name: &str, x: Var<'t>) -> Option<Var<'t>> {
    Some(match name {
        "exp" => x.exp(),
        "ln" => x.ln(),
        "ln_1p" => x.ln_1p(),
        "exp_m1" => x.exp_m1(),
        "log2" => x.log2(),
        "log10" => x.log10(),
        "sqrt" => x.sqrt(),
        "cbrt" => x.cbrt(),
        "abs" => x.abs(),
        "sign" => x.sign(),
        "tanh" => x.tanh(),
        "σ" => x.sigmoid(),
        "softplus" => x.softplus(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "tan" => x.tan(),
        "asin" => x.asin(),
        "acos" => x.acos(),
        "atan" => x.atan(),
        "sinh" => x.sinh(),
        "cosh" => x.cosh(),
        "asinh" => x.asinh(),
        "acosh" => x.acosh(),
        "atanh" => x.atanh(),
        "erf" => x.erf(),
        "erfc" => x.erfc(),
        "ln Γ" => x.ln_gamma(),
        "ψ" => x.digamma(),
        "ψ′" => x.polygamma(1),
        "ψ″" => x.polygamma(2),
        "relu" => x.relu(),
        "step" => x.step(),
        "log cosh" => x.log_cosh(),
        _ => return None,
    })
}

/// The derivative of a function of a matrix at the first argument, along the others.
pub(crate) fn along(name: &str, of: &[Mat<f64>], order: usize) -> Result<Mat<f64>, String> {
    let tape = Tape::new();
    let names: Vec<_> = (0..of.len()).map(|i| format!("x{i}")).collect();
    let inputs = of.iter().zip(&names).map(|(x, name)| tape.input(name, (x.nrows(), x.ncols())));
    let vars: Vec<_> = inputs.collect();
    let a = vars[0];
    let mut y = match name.trim_start_matches(['D', '²', '³']) {
        "expm" => a.expm(),
        "logm" => a.logm(),
        _ => return Err(format!("{name} is not understood")),
    };
    for &direction in vars.iter().skip(1).take(order) {
        y = jvp(y, &[(a, direction)]).map_err(|error| error.to_string())?;
    }
    value(y, &names, of)
}

/// A function of a symmetric matrix by its values `f(λ(S))`, or a derivative of it; S stands last.
pub(crate) fn function(values: Option<&Ast>, of: &[Mat<f64>], order: usize) -> Result<Mat<f64>, String> {
    let (ast, Some((s, directions))) = (values.ok_or("no values")?, of.split_last()) else {
        return Err("there are no eigenvalues".to_owned());
    };
    if !is_symmetric(s) {
        return Err("what has no symmetry has no such function".to_owned());
    }
    let tape = Tape::new();
    let a = tape.symmetric("x", s.nrows());
    let mut problem = None;
    let mut y = a.symmetric_function(|x| {
        apply(ast, x).unwrap_or_else(|error| {
            problem = Some(error);
            x
        })
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    let mut bound = vec![symmetrized(s)];
    let mut names = vec!["x".to_owned()];
    for (i, direction) in directions.iter().take(order).enumerate() {
        let name = format!("d{i}");
        let along = tape.input(&name, (direction.nrows(), direction.ncols()));
        y = jvp(y, &[(a, along)]).map_err(|error| error.to_string())?;
        bound.push(direction.clone());
        names.push(name);
    }
    value(y, &names, &bound)
}

/// `f(x)` for the formula `f(λ(…))`.
fn apply<'t>(ast: &Ast, x: Var<'t>) -> Result<Var<'t>, String> {
    let tape = x.tape();
    Ok(match ast {
        Ast::Call(name, _) if name == "λ" => x,
        Ast::Call(name, args) => {
            let arg = apply(args.first().ok_or("no argument")?, x)?;
            elementwise(name, arg).ok_or_else(|| format!("{name} is not understood"))?
        }
        Ast::Number(c) => tape.scalar(*c),
        Ast::Name(name) if name == "𝟏" => tape.ones(x.shape()),
        Ast::Negative(part) => -apply(part, x)?,
        Ast::Power(part, p) | Ast::EntryPower(part, p) => apply(part, x)?.powf(*p),
        Ast::EntryPseudo(part) => apply(part, x)?.pseudo_recip(),
        Ast::Times(a, b) => apply(a, x)?.hadamard(apply(b, x)?),
        Ast::Over(a, b) => apply(a, x)?.quotient(apply(b, x)?),
        Ast::Sum(parts) | Ast::Product(parts) => {
            let mut parts = parts.iter().map(|part| apply(part, x));
            let first = parts.next().ok_or("nothing")??;
            parts.try_fold(first, |so_far, part| {
                let part = part?;
                Ok::<_, String>(if matches!(ast, Ast::Sum(_)) { so_far + part } else { so_far * part })
            })?
        }
        ast => return Err(format!("{ast:?} is no function of eigenvalues")),
    })
}
