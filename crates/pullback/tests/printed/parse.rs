//! Formulas as the library prints them in Unicode, read back.

/// A formula. The grammar is that of a reader who knows no code: juxtaposition is a product, a name before a bracket without a
/// space between them a function.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Ast {
    Number(f64),
    Name(String),
    Sum(Vec<Ast>),
    Negative(Box<Ast>),
    Product(Vec<Ast>),
    Times(Box<Ast>, Box<Ast>),
    Over(Box<Ast>, Box<Ast>),
    /// A 1×1 over another.
    Ratio(Box<Ast>, Box<Ast>),
    Transpose(Box<Ast>),
    Inverse(Box<Ast>),
    Pseudo(Box<Ast>),
    Power(Box<Ast>, f64),
    EntryPower(Box<Ast>, f64),
    EntryPseudo(Box<Ast>),
    Call(String, Vec<Ast>),
    /// `Df(A)[E, …]`, `∇²L(W)[V]`: a function at a place, and directions.
    Along(String, Box<Ast>, Vec<Ast>),
    Norm(Box<Ast>),
    Abs(Box<Ast>),
    LogDet(Box<Ast>),
    Inner(Box<Ast>, Box<Ast>),
    Rows(Vec<usize>),
    /// `𝟏[i ≥ j]` and the like.
    Triangle(String),
    Shape(usize, usize),
}

pub(crate) fn parse(text: &str) -> Result<Ast, String> {
    let mut parser = Parser { rest: text };
    let ast = parser.sum()?;
    if parser.rest.is_empty() { Ok(ast) } else { Err(format!("`{}` is left of `{text}`", parser.rest)) }
}

struct Parser<'a> {
    rest: &'a str,
}

const RAISED: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";

fn is_raised(c: char) -> bool {
    RAISED.contains(c)
}

/// Functions with a space in their names.
const SPACED: [&str; 2] = ["log cosh", "ln Γ"];

impl Parser<'_> {
    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("`{token}` is missing before `{}`", self.rest)) }
    }

    fn sum(&mut self) -> Result<Ast, String> {
        let mut terms = vec![self.term()?];
        loop {
            if self.eat(" + ") {
                terms.push(self.term()?);
            } else if self.eat(" − ") {
                terms.push(Ast::Negative(Box::new(self.term()?)));
            } else {
                break;
            }
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Ast::Sum(terms) })
    }

    /// A product, or entrywise products, with a sign and a number in front.
    fn term(&mut self) -> Result<Ast, String> {
        if self.eat("−") {
            return Ok(Ast::Negative(Box::new(self.term()?)));
        }
        let first = self.power()?;
        if let Ast::Number(_) = first
            && self.rest.starts_with(' ')
            && !self.is_sign()
        {
            self.expect(" ")?;
            return Ok(Ast::Product(vec![first, self.chain()?])).and_then(|ast| self.over(ast));
        }
        let chain = self.chain_after(first)?;
        self.over(chain)
    }

    fn over(&mut self, ast: Ast) -> Result<Ast, String> {
        if self.eat(" / ") { Ok(Ast::Ratio(Box::new(ast), Box::new(self.power()?))) } else { Ok(ast) }
    }

    fn is_sign(&self) -> bool {
        [" + ", " − ", " / ", " ∘ ", " ⊘ "].iter().any(|sign| self.rest.starts_with(sign))
    }

    fn chain(&mut self) -> Result<Ast, String> {
        let first = self.power()?;
        self.chain_after(first)
    }

    fn chain_after(&mut self, first: Ast) -> Result<Ast, String> {
        if self.rest.starts_with(" ∘ ") || self.rest.starts_with(" ⊘ ") {
            let mut ast = first;
            loop {
                if self.eat(" ∘ ") {
                    ast = Ast::Times(Box::new(ast), Box::new(self.power()?));
                } else if self.eat(" ⊘ ") {
                    ast = Ast::Over(Box::new(ast), Box::new(self.power()?));
                } else {
                    return Ok(ast);
                }
            }
        }
        let mut factors = vec![first];
        while self.rest.starts_with(' ') && !self.is_sign() {
            self.expect(" ")?;
            factors.push(self.power()?);
        }
        Ok(if factors.len() == 1 { factors.remove(0) } else { Ast::Product(factors) })
    }

    fn power(&mut self) -> Result<Ast, String> {
        let mut ast = self.atom()?;
        loop {
            let base = || Box::new(ast.clone());
            ast = if self.eat("ᵀ") {
                Ast::Transpose(base())
            } else if self.eat("⁻ᵀ") {
                Ast::Transpose(Box::new(Ast::Inverse(base())))
            } else if self.eat("∘⁺") {
                Ast::EntryPseudo(base())
            } else if self.eat("⁺") {
                Ast::Pseudo(base())
            } else if self.rest.starts_with('∘') {
                self.expect("∘")?;
                Ast::EntryPower(base(), self.exponent()?)
            } else if self.rest.starts_with(['⁻', '^']) || self.rest.starts_with(is_raised) {
                match self.exponent()? {
                    -1.0 => Ast::Inverse(base()),
                    p => Ast::Power(base(), p),
                }
            } else {
                return Ok(ast);
            };
        }
    }

    /// `²`, `⁻¹`, `^2.5`, `^(1/3)`
    fn exponent(&mut self) -> Result<f64, String> {
        if self.eat("^(") {
            let sign = if self.eat("−") { -1.0 } else { 1.0 };
            let (a, b) = (self.digits()?, self.eat("/").then(|| self.digits()).transpose()?);
            self.expect(")")?;
            return Ok(sign * a / b.unwrap_or(1.0));
        }
        if self.eat("^") {
            let sign = if self.eat("−") { -1.0 } else { 1.0 };
            return Ok(sign * if self.eat("½") { 0.5 } else { self.digits()? });
        }
        let sign = if self.eat("⁻") { -1.0 } else { 1.0 };
        Ok(sign * self.raised()?)
    }

    fn raised(&mut self) -> Result<f64, String> {
        let mut value = None;
        while let Some(digit) = self.rest.chars().next().and_then(|c| RAISED.chars().position(|r| r == c)) {
            value = Some(10.0 * value.unwrap_or(0.0) + digit as f64);
            self.rest = &self.rest[self.rest.chars().next().map_or(0, char::len_utf8)..];
        }
        value.ok_or_else(|| format!("there is no exponent before `{}`", self.rest))
    }

    fn digits(&mut self) -> Result<f64, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits.parse().map_err(|_| format!("there is no number before `{rest}`"))
    }

    /// Numbers as they are printed: `½`, `1/10`, `10⁻⁶`, `1.5·10⁻⁷`, `√2`, `1/√(2π)`, `2/√π`, `1/ln 2`, `π`.
    fn number(&mut self) -> Result<Option<f64>, String> {
        if self.eat("½") {
            return Ok(Some(0.5));
        }
        if !self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            return self.constant();
        }
        let mut value = self.digits()?;
        if self.rest.starts_with("/") {
            self.expect("/")?;
            let under = match self.constant()? {
                Some(constant) => constant,
                None => self.digits()?,
            };
            return Ok(Some(value / under));
        }
        let ten = self.eat("·10");
        if ten || (value == 10.0 && self.rest.starts_with(|c| is_raised(c) || c == '⁻')) {
            let sign = if self.eat("⁻") { -1 } else { 1 };
            let exponent = sign * self.raised()? as i32;
            // The nearest number, as if it were written with an `e`.
            let mantissa = if ten { value } else { 1.0 };
            value = format!("{mantissa}e{exponent}").parse().map_err(|_| "no number".to_owned())?;
        }
        Ok(Some(value))
    }

    fn constant(&mut self) -> Result<Option<f64>, String> {
        use std::f64::consts::PI;
        if self.eat("√(2/π)") {
            return Ok(Some((2.0 / PI).sqrt()));
        }
        if self.eat("√(2π)") {
            return Ok(Some((2.0 * PI).sqrt()));
        }
        if self.eat("√π") {
            return Ok(Some(PI.sqrt()));
        }
        if self.eat("√") {
            return Ok(Some(self.digits()?.sqrt()));
        }
        for n in ["2", "10"] {
            if self.eat(&format!("ln {n}")) {
                return Ok(Some(n.parse::<f64>().map_err(|error| error.to_string())?.ln()));
            }
        }
        Ok(self.eat("π").then_some(PI))
    }

    fn atom(&mut self) -> Result<Ast, String> {
        if let Some(value) = self.number()? {
            if self.eat("×") {
                return Ok(Ast::Shape(value as usize, self.digits()? as usize));
            }
            return Ok(Ast::Number(value));
        }
        if self.eat("(") {
            let ast = self.sum()?;
            self.expect(")")?;
            return Ok(ast);
        }
        if self.eat("‖") {
            let ast = self.sum()?;
            self.expect("‖")?;
            return Ok(Ast::Norm(Box::new(ast)));
        }
        if self.eat("|") {
            let ast = self.sum()?;
            self.expect("|")?;
            return Ok(Ast::Abs(Box::new(ast)));
        }
        if self.eat("⟨") {
            let a = self.sum()?;
            self.expect(", ")?;
            let b = self.sum()?;
            self.expect("⟩")?;
            return Ok(Ast::Inner(Box::new(a), Box::new(b)));
        }
        if self.eat("log |det") {
            let _ = self.eat(" ");
            let ast = self.power()?;
            self.expect("|")?;
            return Ok(Ast::LogDet(Box::new(ast)));
        }
        if self.eat("I[") {
            return self.rows();
        }
        if self.eat("𝟏[") {
            let end = self.rest.find(']').ok_or("`]` is missing")?;
            let (condition, rest) = self.rest.split_at(end);
            self.rest = &rest[1..];
            return Ok(Ast::Triangle(condition.to_owned()));
        }
        self.name_or_call()
    }

    fn rows(&mut self) -> Result<Ast, String> {
        let end = self.rest.find(']').ok_or("`]` is missing")?;
        let (list, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        let index = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no index"));
        if let Some((from, to)) = list.split_once("..") {
            return Ok(Ast::Rows((index(from)?..index(to)?).collect()));
        }
        list.split(", ").map(index).collect::<Result<_, _>>().map(Ast::Rows)
    }

    fn name_or_call(&mut self) -> Result<Ast, String> {
        let spaced =
            SPACED.iter().find(|name| self.rest.strip_prefix(**name).is_some_and(|r| r.starts_with('(')));
        let name = match spaced {
            Some(name) => (*name).to_owned(),
            None => {
                let mut end = 0;
                for (i, c) in self.rest.char_indices() {
                    let before = &self.rest[..i];
                    // The order of a derivative is part of a name: `D²expm`, `∇²L`, `ψ⁽³⁾`.
                    let order =
                        before.strip_prefix(['D', '∇']).is_some_and(|order| order.chars().all(is_raised))
                            || before.starts_with("ψ⁽");
                    let letter = c.is_alphanumeric() && c != 'ᵀ' && !is_raised(c);
                    let mark = "_.′″∇⁽⁾".contains(c);
                    if !(letter || mark || order && is_raised(c)) {
                        break;
                    }
                    end = i + c.len_utf8();
                }
                self.rest[..end].to_owned()
            }
        };
        if name.is_empty() {
            return Err(format!("`{}` is not understood", self.rest));
        }
        self.rest = &self.rest[name.len()..];
        if !self.eat("(") {
            return Ok(Ast::Name(name));
        }
        let mut args = vec![self.sum()?];
        while self.eat(", ") {
            args.push(self.sum()?);
        }
        self.expect(")")?;
        if !self.eat("[") {
            return Ok(Ast::Call(name, args));
        }
        let mut directions = vec![self.sum()?];
        while self.eat(", ") {
            directions.push(self.sum()?);
        }
        self.expect("]")?;
        let place = args.into_iter().next().ok_or("there is no argument")?;
        Ok(Ast::Along(name, Box::new(place), directions))
    }
}
