//! What the rules are called in a derivation.

use super::At;
use crate::Error;
use pullback_tape::{Binary, Factor, Function, Op, Shape, Slot, Spectral, Var};
use std::collections::BTreeSet;

/// A few words, in Unicode and in LaTeX text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Words {
    pub(crate) unicode: String,
    pub(crate) latex: String,
}

impl Words {
    pub(crate) fn new(unicode: &str, latex: &str) -> Self {
        Words { unicode: unicode.to_owned(), latex: latex.to_owned() }
    }

    /// `a, b and c`.
    pub(crate) fn list(words: &[Words], last: &str) -> Self {
        let mut list = Words::new("", "");
        for (i, more) in words.iter().enumerate() {
            let between = match i {
                0 => "",
                i if i + 1 == words.len() => last,
                _ => ", ",
            };
            list.unicode += &format!("{between}{}", more.unicode);
            list.latex += &format!("{between}{}", more.latex);
        }
        list
    }

    pub(crate) fn after(self, words: &str) -> Self {
        Words { unicode: format!("{words} {}", self.unicode), latex: format!("{words} {}", self.latex) }
    }
}

/// The same words in both.
pub(crate) fn plain(words: &str) -> Words {
    Words::new(words, &words.replace('_', "\\_"))
}

/// `tr A = ⟨I, A⟩`
pub(crate) fn trace() -> Words {
    Words::new("tr A = ⟨I, A⟩", "$\\operatorname{tr} A = \\langle I, A \\rangle$")
}

/// `sum A = ⟨𝟏, A⟩`
pub(crate) fn sum() -> Words {
    Words::new("sum(A) = ⟨𝟏, A⟩", "$\\operatorname{sum}(A) = \\langle \\mathbf{1}, A \\rangle$")
}

/// The identity by which a linear op is taken off the right side of an inner product, if it is worth a line: a sum, a multiple
/// and a trace are not. `traced`: the trace of its value was taken.
pub(crate) fn identity(at: &At<'_, '_>, traced: bool) -> Option<Words> {
    let adjoint = || Some(noun(at).after("adjoint of"));
    let named = |unicode, latex| Some(Words::new(unicode, latex));
    match at.op {
        Op::Add | Op::Scale(_) | Op::ScaleBy | Op::Inner | Op::Trace => None,
        Op::MatMul if traced && at.slot == 0 => {
            named("tr(A B) = tr(B A)", "$\\operatorname{tr}(A B) = \\operatorname{tr}(B A)$")
        }
        Op::MatMul if traced => {
            named("tr(Aᵀ B) = ⟨A, B⟩", "$\\operatorname{tr}(A^\\top B) = \\langle A, B \\rangle$")
        }
        Op::MatMul if at.y.shape() == Shape::SCALAR => {
            named("aᵀ b = ⟨a, b⟩", "$a^\\top b = \\langle a, b \\rangle$")
        }
        Op::Transpose => named("transpose", "transpose"),
        Op::Hadamard => match at.args.iter().find_map(|&arg| triangle(arg)) {
            Some(name) => Some(plain(name).after("adjoint of")),
            None => adjoint(),
        },
        _ => adjoint(),
    }
}

/// By what a node is expanded in what varies of its arguments.
#[derive(PartialEq)]
pub(crate) enum Expansion {
    /// It does not vary.
    Held,
    /// It is linear.
    Linear,
    /// It is a product, of which more than one factor varies.
    Product,
    /// By the derivative of this.
    Derivative(Words),
    /// By what this means.
    Definition(Words),
}

/// How a node is expanded, if so many of its arguments vary.
pub(crate) fn expansion(at: &At<'_, '_>, varies: impl Fn(Var<'_>) -> bool) -> Expansion {
    let varying = || (0..).zip(at.args).filter(|(_, arg)| varies(**arg)).map(|(slot, _)| at.op.slot(slot));
    match at.op {
        Op::StopGradient | Op::ColArgmax | Op::Factor(Factor::Permutation) | Op::Zip(Binary::Less) => {
            Expansion::Held
        }
        Op::Map(Function::Sign | Function::Step | Function::Inside(..)) => Expansion::Held,
        _ if varying().all(|slot| slot != Slot::Nonlinear) => {
            match varying().filter(|slot| *slot == Slot::Multilinear).count() {
                0 | 1 => Expansion::Linear,
                _ => Expansion::Product,
            }
        }
        Op::Opaque { order, .. } => Expansion::Definition(opaque(at.y, order + 1)),
        _ => Expansion::Derivative(noun(at)),
    }
}

/// Of a triangle of ones: what an entrywise product with it is.
fn triangle(mask: Var<'_>) -> Option<&'static str> {
    let node = mask.node()?;
    match node.op {
        Op::Triangle { .. } => Some("tril"),
        Op::Transpose => {
            let of = node.args.first().and_then(|arg| mask.tape().var(arg.index()))?;
            matches!(of.node()?.op, Op::Triangle { .. }).then_some("triu")
        }
        _ => None,
    }
}

/// What an op is called after "adjoint of" and "derivative of".
fn noun(at: &At<'_, '_>) -> Words {
    match at.op {
        Op::Input(_)
        | Op::Symbol(_)
        | Op::Scalar(_)
        | Op::Identity
        | Op::Zeros
        | Op::Ones
        | Op::Selection(_)
        | Op::Triangle { .. } => plain("a constant"),
        Op::Add => plain("a sum"),
        Op::Scale(_) | Op::ScaleBy => plain("a multiple"),
        Op::MatMul => plain("a product"),
        Op::Transpose => plain("the transpose"),
        Op::Reshape(to) if to.cols == 1 => plain("vec"),
        Op::Reshape(_) => plain("reshape"),
        Op::Trace => plain("tr"),
        Op::Diagonal => plain("diag"),
        Op::Diag => plain("Diag"),
        Op::Inner => Words::new("⟨·, ·⟩", "$\\langle\\cdot, \\cdot\\rangle$"),
        Op::Norm => Words::new("‖·‖", "$\\lVert\\cdot\\rVert$"),
        Op::Hadamard => Words::new("∘", "$\\circ$"),
        Op::Quotient => plain("a quotient"),
        Op::Map(function) => function_name(function),
        Op::Zip(function) => plain(function.name()),
        Op::LogSumExp => plain("logsumexp"),
        Op::Softmax => plain("softmax"),
        Op::ColMax => plain("colmax"),
        Op::ColArgmax => plain("argmax"),
        Op::Inverse => plain("an inverse"),
        Op::Solve => plain("a solve"),
        Op::TriangularSolve { .. } => plain("a triangular solve"),
        Op::Cholesky => plain("chol"),
        Op::Factor(factor) => factor_name(factor),
        Op::Spectral(spectral) => spectral_name(spectral),
        Op::LeastSquares => plain("least squares"),
        Op::Sylvester => plain("Sylvester’s equation"),
        Op::Stein => plain("Stein’s equation"),
        Op::SquareRoot => plain("sqrtm"),
        Op::MatrixSign => plain("signm"),
        Op::SymmetricFunction { order: 0, .. } => plain("a function of a symmetric matrix"),
        Op::SymmetricFunction { .. } => plain("the derivative of a function of a symmetric matrix"),
        Op::StopGradient => plain("stop"),
        Op::Det => plain("det"),
        Op::Adjugate => plain("adj"),
        Op::LogDet => Words::new("log |det|", "$\\log \\lvert\\det\\rvert$"),
        Op::MatrixFunction { function, order: 0 } => plain(function.name()),
        Op::MatrixFunction { function, .. } => plain(function.name()).after("the derivative of"),
        Op::ExpAction => plain("expm"),
        Op::Opaque { order, .. } => opaque(at.y, order),
        Op::Custom(op) => match at.y.tape().custom_of(op) {
            Some(custom) => plain(custom.name()),
            None => plain("an operation"),
        },
    }
}

fn function_name(function: Function) -> Words {
    match function {
        Function::Square | Function::Powf(_) => plain("a power"),
        Function::Recip | Function::PseudoRecip => plain("a reciprocal"),
        Function::Sigmoid => Words::new("σ", "$\\sigma$"),
        Function::LnGamma => Words::new("ln Γ", "$\\ln\\Gamma$"),
        Function::Polygamma(_) => Words::new("ψ", "$\\psi$"),
        Function::LogCosh => plain("log cosh"),
        function => plain(function.name()),
    }
}

fn factor_name(factor: Factor) -> Words {
    match factor {
        Factor::Eigenvalues | Factor::RealEigenvalues | Factor::ClusteredEigenvalues => plain("eigenvalues"),
        Factor::Eigenvectors | Factor::RealEigenvectors => plain("eigenvectors"),
        Factor::SingularValues => plain("singular values"),
        Factor::LeftVectors | Factor::RightVectors => plain("singular vectors"),
        Factor::PseudoInverse => plain("the pseudo-inverse"),
        Factor::Polar => plain("the polar factor"),
        Factor::Orthonormal | Factor::Triangular => plain("QR"),
        Factor::Permutation | Factor::Lower | Factor::Upper => plain("LU"),
        Factor::SymmetricLower | Factor::Pivots => Words::new("LDLᵀ", "$LDL^\\top$"),
    }
}

fn spectral_name(spectral: Spectral) -> Words {
    match spectral {
        Spectral::Diagonal | Spectral::GeneralDiagonal => plain("diag"),
        Spectral::Diag => plain("Diag"),
        Spectral::Gaps | Spectral::SymmetricGaps | Spectral::SkewGaps => {
            Words::new("a quotient by gaps", "a quotient by gaps")
        }
        Spectral::SkewSums => plain("a quotient by sums"),
        Spectral::Columns => plain("a quotient of columns"),
        Spectral::Distinct | Spectral::Positive => plain("a check"),
    }
}

/// `∇ᵏL` of the opaque function whose derivative a node is.
fn opaque(y: Var<'_>, order: u32) -> Words {
    let graph = y.tape().graph(&[y]);
    let name = graph.ok().and_then(|graph| {
        let Op::Opaque { name, .. } = y.node()?.op else { return None };
        Some(graph.name(name).to_owned())
    });
    let name = name.unwrap_or_default();
    let latex = name.replace('_', "\\_");
    match order {
        0 => Words::new(&name, &format!("${latex}$")),
        1 => Words::new(&format!("∇{name}"), &format!("$\\nabla {latex}$")),
        order => {
            let raised = superscript(order);
            Words::new(&format!("∇{raised}{name}"), &format!("$\\nabla^{{{order}}} {latex}$"))
        }
    }
}

fn superscript(order: u32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digit = |c: char| c.to_digit(10).and_then(|digit| DIGITS.get(digit as usize));
    order.to_string().chars().filter_map(digit).collect()
}

/// The names that stand in an expression.
pub(crate) fn taken(y: Var<'_>) -> Result<BTreeSet<String>, Error> {
    let graph = y.tape().graph(&[y])?;
    let mut taken = BTreeSet::new();
    for (_, node) in graph.iter() {
        taken.extend(node.name.map(|name| graph.name(name).to_owned()));
        if let Op::Input(name) | Op::Symbol(name) | Op::Opaque { name, .. } = node.op {
            taken.insert(graph.name(name).to_owned());
        }
    }
    Ok(taken)
}
