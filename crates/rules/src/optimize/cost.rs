//! What an expression costs, in multiplications and additions: in the sweep forward and in the sweep back.

/// How often a product of two factors is computed: forward, and once for each side that depends on a variable.
#[derive(Clone, Copy)]
pub(super) struct Passes {
    pub(super) left: bool,
    pub(super) right: bool,
    /// Both sides are constant: it is computed once and for all.
    pub(super) constant: bool,
}

/// Multiplications and additions that count so little that they only decide between equals.
const ALMOST_NOTHING: f64 = 1e-9;

impl Passes {
    fn back(self) -> f64 {
        f64::from(u8::from(self.left)) + f64::from(u8::from(self.right))
    }

    fn counted(self, flops: f64) -> f64 {
        if self.constant { ALMOST_NOTHING * flops } else { flops }
    }
}

/// An m×k times a k×n; half of it forward if the result is symmetric.
pub(super) fn product(m: usize, k: usize, n: usize, passes: Passes, symmetric: bool) -> f64 {
    let forward = if symmetric { 0.5 } else { 1.0 };
    passes.counted(2.0 * m as f64 * k as f64 * n as f64 * (forward + passes.back()))
}

/// `M Mᵀ` with an m×k factor: back comes `(Ȳ + Ȳᵀ) M`, a single product.
pub(super) fn mirrored_product(m: usize, k: usize, passes: Passes) -> f64 {
    let back = if passes.left { 1.0 } else { 0.0 };
    passes.counted(2.0 * m as f64 * k as f64 * m as f64 * (0.5 + back))
}

/// A factorization of order n: by LU `2/3 n³`, by Cholesky half of it.
pub(super) fn factorization(n: usize, definite: bool) -> f64 {
    (n as f64).powi(3) * if definite { 1.0 / 3.0 } else { 2.0 / 3.0 }
}

/// An inverse with all its entries, from the factors; back come two products.
pub(super) fn inverse(n: usize, definite: bool, varies: bool) -> f64 {
    let cube = (n as f64).powi(3);
    cube * if definite { 2.0 / 3.0 } else { 4.0 / 3.0 } + if varies { 4.0 * cube } else { 0.0 }
}
