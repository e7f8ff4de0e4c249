//! Matrices to test kernels on.

use crate::Scalar;
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::{Mat, MatRef};

/// Numbers between −1 and 1, always the same for the same seed.
pub(crate) fn random<T: Scalar>(rows: usize, cols: usize, seed: u64) -> Mat<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x2545_f491_4f6c_dd1d);
    Mat::from_fn(rows, cols, |_, _| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        T::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    })
}

/// A symmetric matrix, random.
pub(crate) fn symmetric<T: Scalar>(n: usize, seed: u64) -> Mat<T> {
    let a = random::<T>(n, n, seed);
    Mat::from_fn(n, n, |i, j| a[(i, j)] + a[(j, i)])
}

/// Ones above the diagonal, λ on it.
pub(crate) fn jordan<T: Scalar>(n: usize, eigenvalue: f64) -> Mat<T> {
    Mat::from_fn(n, n, |i, j| {
        T::from_f64(if i == j {
            eigenvalue
        } else if i + 1 == j {
            1.0
        } else {
            0.0
        })
    })
}

/// An orthogonal matrix, random.
pub(crate) fn orthogonal<T: Scalar>(n: usize, seed: u64) -> Mat<T> {
    random::<T>(n, n, seed).qr().compute_Q()
}

/// Frobenius' norm of `a − b`.
pub(crate) fn distance<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> f64 {
    (a - b).norm_l2().to_f64()
}

/// Calls with so much scratch.
pub(crate) fn with<R>(scratch: StackReq, f: impl FnOnce(&mut MemStack) -> R) -> R {
    f(MemStack::new(&mut MemBuffer::new(scratch)))
}
