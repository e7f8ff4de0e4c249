//! Algorithms on whole matrices that an instruction runs as they are: what they are called, what they cost, what scratch
//! they need, and where they are.

use crate::cost::Kind;
use crate::failure::Failure;
use crate::kernels::{eigen, qr, reduce, svd, symmetric_function, triangles};
use crate::{Scalar, kernels};
use faer::dyn_stack::{MemStack, StackReq};
use faer::{MatMut, MatRef};
use pullback_tape::{Factor, Op, Shape, Spectral};

/// An algorithm that computes a matrix from its arguments. They may be stored in any order, or repeat a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Routine {
    /// All factors of a matrix, one behind the other in a column.
    Decompose(Decomposition),
    Spectral(Spectral),
    /// The pseudo-inverse of a matrix of this shape, from its singular values and vectors.
    PseudoInverse(Shape),
    /// The polar factor, the same way.
    Polar(Shape),
    /// With the eigenvalues and eigenvectors in the place of the matrix.
    SymmetricFunction {
        order: u32,
        columns: u32,
    },
    ColMax,
    ColArgmax,
}

/// A decomposition whose factors are values of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Decomposition {
    /// `A = V Diag(λ) Vᵀ` of a symmetric matrix.
    Eigen,
    /// `A = U Diag(σ) Vᵀ`.
    Svd,
    /// `A = Q R`.
    Qr,
    /// `P A = L U`.
    Lu,
    /// `A = L Diag(d) Lᵀ` of a symmetric matrix.
    Ldl,
}

impl Decomposition {
    /// The decomposition that a factor of an m×n matrix belongs to, and where among its numbers it begins.
    pub(crate) fn of(factor: Factor, Shape { rows: m, cols: n }: Shape) -> (Decomposition, usize) {
        let k = m.min(n);
        match factor {
            Factor::Eigenvalues => (Decomposition::Eigen, 0),
            Factor::Eigenvectors => (Decomposition::Eigen, m),
            Factor::SingularValues => (Decomposition::Svd, 0),
            Factor::PseudoInverse | Factor::Polar => (Decomposition::Svd, 0),
            Factor::LeftVectors => (Decomposition::Svd, k),
            Factor::RightVectors => (Decomposition::Svd, k + m * k),
            Factor::Orthonormal => (Decomposition::Qr, 0),
            Factor::Triangular => (Decomposition::Qr, m * n),
            Factor::Permutation => (Decomposition::Lu, 0),
            Factor::Lower => (Decomposition::Lu, n * n),
            Factor::Upper => (Decomposition::Lu, 2 * n * n),
            Factor::SymmetricLower => (Decomposition::Ldl, 0),
            Factor::Pivots => (Decomposition::Ldl, n * n),
        }
    }

    /// The numbers in all factors of an m×n matrix.
    pub(crate) fn len(self, Shape { rows: m, cols: n }: Shape) -> usize {
        match self {
            Decomposition::Svd => m.min(n) * (1 + m + n),
            Decomposition::Eigen | Decomposition::Ldl => m + m * m,
            Decomposition::Qr => m * n + n * n,
            Decomposition::Lu => 3 * n * n,
        }
    }
}

impl Routine {
    /// The routine that computes an op, if there is one.
    pub(crate) fn of(op: Op) -> Option<Routine> {
        match op {
            Op::Spectral(spectral) => Some(Routine::Spectral(spectral)),
            Op::ColMax => Some(Routine::ColMax),
            Op::ColArgmax => Some(Routine::ColArgmax),
            _ => None,
        }
    }

    /// The routine that computes a factor of a matrix of this shape from its decomposition, if it is no part of that.
    pub(crate) fn of_factors(factor: Factor, shape: Shape) -> Option<Routine> {
        match factor {
            Factor::PseudoInverse => Some(Routine::PseudoInverse(shape)),
            Factor::Polar => Some(Routine::Polar(shape)),
            _ => None,
        }
    }

    /// What it is called in a listing.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Routine::Decompose(Decomposition::Eigen) => "eigendecomposition",
            Routine::Decompose(Decomposition::Svd) => "singular value decomposition",
            Routine::Decompose(Decomposition::Qr) => "QR",
            Routine::Decompose(Decomposition::Lu) => "LU with its factors",
            Routine::Decompose(Decomposition::Ldl) => "LDLᵀ",
            Routine::Spectral(_) => "beside a spectrum",
            Routine::PseudoInverse(_) => "pseudo-inverse",
            Routine::Polar(_) => "polar factor",
            Routine::SymmetricFunction { order: 0, .. } => "function",
            Routine::SymmetricFunction { .. } => "derivative of a function",
            Routine::ColMax => "maximum",
            Routine::ColArgmax => "argmax",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Routine::Decompose(_) => Kind::Factorization,
            Routine::Spectral(_) => Kind::Elementwise,
            Routine::SymmetricFunction { .. } | Routine::PseudoInverse(_) | Routine::Polar(_) => {
                Kind::Product
            }
            Routine::ColMax | Routine::ColArgmax => Kind::Reduction,
        }
    }

    /// Floating-point operations, to first order.
    pub(crate) fn flops(self, args: &[Shape]) -> u64 {
        // What is decomposed comes in a column, and its directions last.
        let Shape { rows, cols } = args.last().copied().unwrap_or(Shape::SCALAR);
        let times = |c: u64, factors: [usize; 3]| {
            factors.into_iter().fold(c, |product, factor| product.saturating_mul(factor as u64))
        };
        let (most, least) = (rows.max(cols), rows.min(cols));
        match self {
            // Golub & Van Loan, *Matrix Computations*, 4th ed., §8.3.
            Routine::Decompose(Decomposition::Eigen) => times(9, [rows; 3]),
            // The same, §8.6.
            Routine::Decompose(Decomposition::Svd) => {
                times(6, [most, least, least]).saturating_add(times(20, [least; 3]))
            }
            // The same, §5.2, for R and for Q.
            Routine::Decompose(Decomposition::Qr) => {
                times(4, [rows, cols, cols]).saturating_sub(times(4, [cols; 3]) / 3)
            }
            Routine::Decompose(Decomposition::Lu) => times(2, [rows; 3]) / 3,
            Routine::Decompose(Decomposition::Ldl) => times(1, [rows; 3]) / 3,
            Routine::Spectral(_) => times(2, [rows, cols, 1]),
            Routine::PseudoInverse(Shape { rows, cols }) | Routine::Polar(Shape { rows, cols }) => {
                times(2, [rows, cols, rows.min(cols)])
            }
            Routine::SymmetricFunction { order: 0, .. } => times(1, [rows; 3]),
            // Four products for the first direction, two for each of the others, and the divided differences.
            Routine::SymmetricFunction { order, .. } => {
                let tuples = (0..=order).fold(1u64, |tuples, _| tuples.saturating_mul(rows as u64));
                let products = times(4 * (u64::from(order) + 1), [rows; 3]);
                products.saturating_add(tuples.saturating_mul(u64::from(order) * u64::from(order)))
            }
            Routine::ColMax | Routine::ColArgmax => times(1, [rows, cols, 1]),
        }
    }

    pub(crate) fn scratch<T: Scalar>(self, args: &[Shape]) -> StackReq {
        let Shape { rows, cols } = args.first().copied().unwrap_or(Shape::SCALAR);
        match self {
            Routine::Decompose(Decomposition::Eigen) => eigen::eigen_scratch::<T>(rows),
            Routine::Decompose(Decomposition::Svd) => svd::svd_scratch::<T>(rows, cols),
            Routine::Decompose(Decomposition::Qr) => qr::qr_scratch::<T>(rows, cols),
            Routine::Decompose(Decomposition::Lu) => triangles::lu_scratch::<T>(rows),
            Routine::Decompose(Decomposition::Ldl) => triangles::ldl_scratch::<T>(rows),
            Routine::PseudoInverse(Shape { rows, cols }) => svd::pseudo_inverse_scratch::<T>(rows, cols),
            Routine::SymmetricFunction { order, .. } => {
                let n = args.last().map_or(0, |last| last.rows);
                symmetric_function::scratch::<T>(n, order as usize)
            }
            Routine::Polar(_) | Routine::Spectral(_) | Routine::ColMax | Routine::ColArgmax => {
                StackReq::EMPTY
            }
        }
    }

    /// Writes the result to `dst`. After a failure nobody reads it.
    pub(crate) fn run<T: Scalar>(
        self,
        dst: MatMut<'_, T>,
        args: &[MatRef<'_, T>],
        stack: &mut MemStack,
    ) -> Result<(), Failure> {
        match (self, args) {
            (Routine::Decompose(Decomposition::Eigen), &[a]) => eigen::eigen(dst, a, stack),
            (Routine::Decompose(Decomposition::Svd), &[a]) => svd::svd(dst, a, stack),
            (Routine::Decompose(Decomposition::Qr), &[a]) => {
                qr::qr(dst, a, stack);
                Ok(())
            }
            (Routine::Decompose(Decomposition::Lu), &[a]) => {
                triangles::lu(dst, a, stack);
                Ok(())
            }
            (Routine::Decompose(Decomposition::Ldl), &[a]) => triangles::ldl(dst, a, stack),
            (Routine::PseudoInverse(Shape { rows, cols }), &[factors]) => {
                svd::pseudo_inverse(dst, factors, rows, cols, stack);
                Ok(())
            }
            (Routine::Polar(Shape { rows, cols }), &[factors]) => {
                svd::polar(dst, factors, rows, cols);
                Ok(())
            }
            (Routine::Spectral(spectral), &[spectrum, x]) => {
                kernels::spectrum::spectral(dst, spectral, spectrum, x)
            }
            (Routine::SymmetricFunction { order, columns }, [eigen, others @ ..]) => {
                let (columns, directions) = others.split_at(columns as usize);
                debug_assert_eq!(directions.len(), order as usize);
                symmetric_function::symmetric_function(dst, *eigen, columns, directions, stack);
                Ok(())
            }
            (Routine::ColMax, &[a]) => {
                reduce::col_max(dst, a);
                Ok(())
            }
            (Routine::ColArgmax, &[a]) => {
                reduce::col_argmax(dst, a);
                Ok(())
            }
            // Every op has its arity.
            _ => Ok(()),
        }
    }
}
