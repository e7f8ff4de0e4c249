//! Determinants and inverses of what is composed.

use super::page::Page;
use pullback_tape::{Op, Tape, Var};

/// What equals a node, and why.
pub(super) enum Identity {
    /// `log |det A B| = log |det A| + log |det B|`
    LogDetOfProduct(usize, usize),
    /// `log |det A⁻¹| = −log |det A|`
    LogDetOfInverse(usize),
    /// `det A B = det A det B`
    DetOfProduct(usize, usize),
}

/// What a determinant equals. Squares that are multiplied for the sake of it alone are not.
pub(super) fn of(page: &Page<'_>, i: usize) -> Option<Identity> {
    let (op, [Some(x), _]) = page.op(i) else { return None };
    match (op, page.op(x)) {
        (Op::LogDet, (Op::MatMul, [Some(a), Some(b)])) if page.opens(x) && page.shape(a).is_square() => {
            Some(Identity::LogDetOfProduct(a, b))
        }
        (Op::Det, (Op::MatMul, [Some(a), Some(b)])) if page.opens(x) && page.shape(a).is_square() => {
            Some(Identity::DetOfProduct(a, b))
        }
        // Whoever else uses the inverse; but what was asked for has to be met.
        (Op::LogDet, (Op::Inverse, [Some(a), _])) if !page.is_frozen(x) => Some(Identity::LogDetOfInverse(a)),
        _ => None,
    }
}

impl Identity {
    pub(super) fn build<'t>(&self, tape: &'t Tape, image: &dyn Fn(usize) -> Var<'t>) -> Var<'t> {
        match *self {
            Identity::LogDetOfProduct(a, b) => tape
                .by("log |det A B| = log |det A| + log |det B|", || image(a).log_det() + image(b).log_det()),
            Identity::LogDetOfInverse(a) => {
                tape.by("log |det A⁻¹| = −log |det A|", || -image(a).log_det())
            }
            Identity::DetOfProduct(a, b) => {
                tape.by("det A B = det A det B", || image(a).det() * image(b).det())
            }
        }
    }
}
