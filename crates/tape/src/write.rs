//! A form, written in Unicode or LaTeX.

use crate::formula::{Exponent, Form};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Unicode,
    Latex,
}

/// How tightly a form binds.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Sum,
    Entrywise,
    Product,
    Power,
    Atom,
}

fn level(form: &Form) -> Level {
    match form {
        Form::Sum(_) => Level::Sum,
        Form::Entrywise(..) | Form::Over(..) => Level::Entrywise,
        Form::Product(..) | Form::LogDet(_) => Level::Product,
        Form::Number(c) if *c < 0.0 => Level::Product,
        Form::Power(..) => Level::Power,
        _ => Level::Atom,
    }
}

pub(crate) fn write(form: &Form, style: Style) -> String {
    let latex = style == Style::Latex;
    match form {
        Form::Name(name) => write_name(name, style),
        Form::Number(c) => number(*c, style),
        Form::Sum(terms) => {
            let mut text = String::new();
            for (i, term) in terms.iter().enumerate() {
                let written = write(term, style);
                match (i, written.strip_prefix(minus(style))) {
                    (0, _) => text.push_str(&written),
                    (_, Some(rest)) => {
                        text.push(' ');
                        text.push_str(minus(style));
                        text.push(' ');
                        text.push_str(rest);
                    }
                    (_, None) => {
                        text.push_str(" + ");
                        text.push_str(&written);
                    }
                }
            }
            text
        }
        Form::Product(c, factors) => {
            let mut words = Vec::new();
            if *c != 1.0 && *c != -1.0 {
                words.push(number(c.abs(), style));
            }
            for (i, factor) in factors.iter().enumerate() {
                // One entrywise product after a number needs no brackets; log det ends where the product ends.
                let alone = matches!(factor, Form::Entrywise(..)) && factors.len() == 1;
                let last = matches!(factor, Form::LogDet(_)) && i + 1 == factors.len();
                words.push(if alone || last {
                    write(factor, style)
                } else {
                    at_least(Level::Power, factor, style)
                });
            }
            let sign = if *c < 0.0 { minus(style) } else { "" };
            format!("{sign}{}", words.join(" "))
        }
        Form::Entrywise(sign, factors) => {
            let sign = match (sign, latex) {
                ('⊘', true) => " \\oslash ",
                (_, true) => " \\circ ",
                ('⊘', false) => " ⊘ ",
                (_, false) => " ∘ ",
            };
            let words: Vec<_> = factors.iter().map(|factor| at_least(Level::Power, factor, style)).collect();
            words.join(sign)
        }
        Form::Over(a, b) if latex => format!("\\frac{{{}}}{{{}}}", write(a, style), write(b, style)),
        Form::Over(a, b) => {
            format!("{} / {}", at_least(Level::Product, a, style), at_least(Level::Power, b, style))
        }
        Form::Power(base, exponent) => {
            format!("{}{}", at_least(Level::Atom, base, style), superscript(*exponent, style))
        }
        Form::Call(name, args) => {
            let args: Vec<_> = args.iter().map(|arg| write(arg, style)).collect();
            if latex && name == "sqrt" {
                return format!("\\sqrt{{{}}}", args.join(", "));
            }
            format!("{}({})", function_name(name, style), args.join(", "))
        }
        Form::Opaque { name, order, args } => derivative(&head(name, *order, style), args, style),
        Form::Frechet { name, order, args } => {
            let name = function_name(name, style);
            let sign = match (order, style) {
                (0, _) => String::new(),
                (1, _) => "D".to_owned(),
                (k, Style::Unicode) => format!("D{}", digits(&k.to_string())),
                (k, Style::Latex) => format!("D^{{{k}}}"),
            };
            derivative(&format!("{sign}{name}"), args, style)
        }
        Form::Norm(x) if latex => format!("\\lVert {} \\rVert", write(x, style)),
        Form::Norm(x) => format!("‖{}‖", write(x, style)),
        Form::Abs(x) if latex => format!("\\lvert {} \\rvert", write(x, style)),
        Form::Abs(x) => format!("|{}|", write(x, style)),
        Form::LogDet(x) => {
            let arg = write(x, style);
            let arg = if level(x) >= Level::Power { format!(" {arg}") } else { format!("({arg})") };
            if latex { format!("\\log \\lvert \\det{arg} \\rvert") } else { format!("log |det{arg}|") }
        }
        Form::Part(name, part) if latex => {
            let part = part.replace('≥', "\\ge").replace('≤', "\\le").replace('…', "\\dots");
            format!("{}_{{[{part}]}}", write_name(name, style))
        }
        Form::Part(name, part) => format!("{name}[{part}]"),
        Form::Inner(a, b) if latex => format!("\\langle {}, {} \\rangle", write(a, style), write(b, style)),
        Form::Inner(a, b) => format!("⟨{}, {}⟩", write(a, style), write(b, style)),
    }
}

/// What is applied to an argument, and to directions: `∇²L(W)[V]`.
fn derivative(head: &str, args: &[Form], style: Style) -> String {
    let mut words = args.iter().map(|arg| write(arg, style));
    let argument = words.next().unwrap_or_default();
    let directions: Vec<_> = words.collect();
    let directions =
        if directions.is_empty() { String::new() } else { format!("[{}]", directions.join(", ")) };
    format!("{head}({argument}){directions}")
}

/// The name of a function's derivative: `L`, `∇L`, `∇²L`, ….
pub(crate) fn head(name: &str, order: u32, style: Style) -> String {
    let name = write_name(name, style);
    match (order, style) {
        (0, _) => name,
        (1, Style::Unicode) => format!("∇{name}"),
        (k, Style::Unicode) => format!("∇{}{name}", digits(&k.to_string())),
        (1, Style::Latex) => format!("\\nabla {name}"),
        (k, Style::Latex) => format!("\\nabla^{{{k}}} {name}"),
    }
}

fn at_least(wanted: Level, form: &Form, style: Style) -> String {
    let text = write(form, style);
    if level(form) >= wanted { text } else { format!("({text})") }
}

fn minus(style: Style) -> &'static str {
    if style == Style::Latex { "-" } else { "−" }
}

/// A number: as a fraction where it is one over an integer, or has many digits and a small numerator
/// (`1/10`, `2/1437`), else in the digits it needs.
pub(crate) fn number(c: f64, style: Style) -> String {
    let sign = if c < 0.0 { minus(style) } else { "" };
    let size = c.abs();
    let plain = format!("{size}");
    for numerator in (1..=9).map(f64::from) {
        let denominator = (numerator / size).round();
        let close = (denominator * size - numerator).abs() <= 4.0 * f64::EPSILON * numerator;
        let short = plain.len() <= 4 && size >= 0.1;
        if close && (2.0..1e6).contains(&denominator) && (numerator == 1.0 || !short) {
            return match style {
                Style::Unicode if size == 0.5 => format!("{sign}½"),
                Style::Unicode => format!("{sign}{numerator}/{denominator}"),
                Style::Latex => format!("{sign}\\tfrac{{{numerator}}}{{{denominator}}}"),
            };
        }
    }
    if let Some(name) = constant(size, style) {
        return format!("{sign}{name}");
    }
    if let Some(root) = root(size, style) {
        return format!("{sign}{root}");
    }
    let exponential = format!("{size:e}");
    let text = if plain.len() <= 8.max(exponential.len()) { plain } else { exponential };
    match (text.split_once('e'), style) {
        (Some(("1", exponent)), Style::Latex) => format!("{sign}10^{{{exponent}}}"),
        (Some(("1", exponent)), Style::Unicode) => format!("{sign}10{}", digits(exponent)),
        (Some((mantissa, exponent)), Style::Latex) => format!("{sign}{mantissa} \\cdot 10^{{{exponent}}}"),
        (Some((mantissa, exponent)), Style::Unicode) => format!("{sign}{mantissa}·10{}", digits(exponent)),
        (None, _) => format!("{sign}{text}"),
    }
}

/// The number as it is written with π, √ and ln, if it is one of those that derivatives bring along.
fn constant(size: f64, style: Style) -> Option<&'static str> {
    use std::f64::consts;
    let known = [
        (consts::FRAC_2_SQRT_PI, "2/√π", "\\tfrac{2}{\\sqrt{\\pi}}"),
        (consts::FRAC_1_SQRT_2, "1/√2", "\\tfrac{1}{\\sqrt{2}}"),
        (consts::SQRT_2, "√2", "\\sqrt{2}"),
        (consts::FRAC_2_SQRT_PI * consts::FRAC_1_SQRT_2, "√(2/π)", "\\sqrt{2/\\pi}"),
        (0.5 * consts::FRAC_2_SQRT_PI * consts::FRAC_1_SQRT_2, "1/√(2π)", "\\tfrac{1}{\\sqrt{2\\pi}}"),
        (consts::PI, "π", "\\pi"),
        (consts::LN_2, "ln 2", "\\ln 2"),
        (consts::LN_10, "ln 10", "\\ln 10"),
        (consts::LOG2_E, "1/ln 2", "\\tfrac{1}{\\ln 2}"),
        (consts::LOG10_E, "1/ln 10", "\\tfrac{1}{\\ln 10}"),
    ];
    let close = |value: f64| (size - value).abs() <= 2.0 * f64::EPSILON * value;
    let (_, unicode, latex) = known.into_iter().find(|(value, ..)| close(*value))?;
    Some(if style == Style::Latex { latex } else { unicode })
}

/// The root of an integer, or one over it: `√3`, `1/√3`.
fn root(size: f64, style: Style) -> Option<String> {
    let close = |value: f64| (size - value).abs() <= f64::EPSILON * value;
    let whole = |square: f64| Some(square.round()).filter(|n| (2.0..1e4).contains(n));
    if let Some(n) = whole(size * size).filter(|n| n.sqrt().fract() != 0.0 && close(n.sqrt())) {
        return Some(if style == Style::Latex { format!("\\sqrt{{{n}}}") } else { format!("√{n}") });
    }
    let n = whole(1.0 / (size * size)).filter(|n| n.sqrt().fract() != 0.0 && close(1.0 / n.sqrt()))?;
    Some(if style == Style::Latex { format!("\\tfrac{{1}}{{\\sqrt{{{n}}}}}") } else { format!("1/√{n}") })
}

/// Superscript digits.
pub(crate) fn digits(text: &str) -> String {
    let raise = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => c.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(c),
    };
    text.chars().map(raise).collect()
}

fn superscript(exponent: Exponent, style: Style) -> String {
    let power = |p: f64, entry: &str| {
        // ⅓ is no number with sixteen digits.
        let fraction = number(p, style);
        match style {
            Style::Latex if fraction.contains("frac") => format!("^{{{entry}{fraction}}}"),
            Style::Latex => format!("^{{{entry}{p}}}"),
            Style::Unicode if p.fract() == 0.0 && p.abs() < 1e6 => {
                format!("{entry}{}", digits(&p.to_string()))
            }
            Style::Unicode if fraction.contains('/') => format!("{entry}^({fraction})"),
            Style::Unicode if fraction.contains('½') => format!("{entry}^{fraction}"),
            Style::Unicode if p < 0.0 => format!("{entry}^−{}", -p),
            Style::Unicode => format!("{entry}^{p}"),
        }
    };
    match (exponent, style) {
        (Exponent::Transpose, Style::Unicode) => "ᵀ".to_owned(),
        (Exponent::Transpose, Style::Latex) => "^\\top".to_owned(),
        (Exponent::Inverse, Style::Unicode) => "⁻¹".to_owned(),
        (Exponent::Inverse, Style::Latex) => "^{-1}".to_owned(),
        (Exponent::InverseTranspose, Style::Unicode) => "⁻ᵀ".to_owned(),
        (Exponent::InverseTranspose, Style::Latex) => "^{-\\top}".to_owned(),
        (Exponent::Pseudo, Style::Unicode) => "⁺".to_owned(),
        (Exponent::Pseudo, Style::Latex) => "^{+}".to_owned(),
        (Exponent::EntryPseudo, Style::Unicode) => "∘⁺".to_owned(),
        (Exponent::EntryPseudo, Style::Latex) => "^{\\circ +}".to_owned(),
        (Exponent::Number(p), _) => power(p, ""),
        (Exponent::Entry(p), Style::Unicode) => power(p, "∘"),
        (Exponent::Entry(p), Style::Latex) => power(p, "\\circ "),
    }
}

fn function_name(name: &str, style: Style) -> String {
    if style == Style::Unicode {
        return name.to_owned();
    }
    match name {
        "exp" | "ln" | "tanh" | "sin" | "cos" | "tan" | "sinh" | "cosh" | "det" | "max" | "min" => {
            format!("\\{name}")
        }
        "asin" | "acos" | "atan" => format!("\\arc{}", &name[1..]),
        "log2" => "\\log_{2}".to_owned(),
        "log10" => "\\log_{10}".to_owned(),
        "ln Γ" => "\\ln\\Gamma".to_owned(),
        "ψ" => "\\psi".to_owned(),
        "ψ′" => "\\psi'".to_owned(),
        "ψ″" => "\\psi''".to_owned(),
        "log cosh" => "\\log\\cosh".to_owned(),
        "σ" => "\\sigma".to_owned(),
        name if name.starts_with("ψ⁽") => {
            let order = name.chars().filter_map(|c| match c {
                '¹' => Some('1'),
                '²' => Some('2'),
                '³' => Some('3'),
                c => (u32::from(c).checked_sub(0x2070)).and_then(|d| char::from_digit(d, 10)),
            });
            format!("\\psi^{{({})}}", order.collect::<String>())
        }
        // An adjoint.
        name if name.ends_with('*') => format!("{}^*", function_name(name.trim_end_matches('*'), style)),
        name => format!("\\operatorname{{{}}}", name.replace('_', "\\_")),
    }
}

/// `W1` is `W_{1}`, `β` is `\beta`, `x_train` is `x_{\mathrm{train}}`.
fn write_name(name: &str, style: Style) -> String {
    if style == Style::Unicode {
        return name.to_owned();
    }
    let split = name.find(|c: char| c == '_' || c.is_ascii_digit()).unwrap_or(name.len());
    let (head, tail) = name.split_at(split);
    let head = match head {
        "𝟏" => "\\mathbf{1}".to_owned(),
        "…" => "\\dots".to_owned(),
        _ if head.chars().count() == 1 => head.chars().map(letter).collect(),
        _ => format!("\\mathrm{{{head}}}"),
    };
    let tail = tail.trim_start_matches('_').replace('_', ",");
    match tail.chars().count() {
        0 => head,
        _ if tail.chars().all(|c| c.is_ascii_digit() || c == ',') => format!("{head}_{{{tail}}}"),
        1 => format!("{head}_{{{tail}}}"),
        _ => format!("{head}_{{\\mathrm{{{tail}}}}}"),
    }
}

fn letter(c: char) -> String {
    let names = [
        ('α', "alpha"),
        ('β', "beta"),
        ('γ', "gamma"),
        ('δ', "delta"),
        ('ε', "varepsilon"),
        ('ζ', "zeta"),
        ('η', "eta"),
        ('θ', "theta"),
        ('κ', "kappa"),
        ('λ', "lambda"),
        ('μ', "mu"),
        ('ν', "nu"),
        ('ξ', "xi"),
        ('π', "pi"),
        ('ρ', "rho"),
        ('σ', "sigma"),
        ('τ', "tau"),
        ('φ', "varphi"),
        ('χ', "chi"),
        ('ψ', "psi"),
        ('ω', "omega"),
        ('Γ', "Gamma"),
        ('Δ', "Delta"),
        ('Θ', "Theta"),
        ('Λ', "Lambda"),
        ('Ξ', "Xi"),
        ('Π', "Pi"),
        ('Σ', "Sigma"),
        ('Φ', "Phi"),
        ('Ψ', "Psi"),
        ('Ω', "Omega"),
        ('ℓ', "ell"),
    ];
    match names.iter().find(|(greek, _)| *greek == c) {
        Some((_, name)) => format!("\\{name}"),
        None => c.to_string(),
    }
}
