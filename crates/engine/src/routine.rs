//! Algorithms on whole matrices that an instruction runs as they are: what they are called, what they cost, what scratch
//! they need, and where they are.

use crate::cost::Kind;
use crate::failure::Failure;
use crate::kernels::sylvester::{self, Equation};
use crate::kernels::{eigen, sign, square_root, symmetric_function};
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
    Equation(Equation),
    SquareRoot,
    MatrixSign,
    /// With the eigenvalues and eigenvectors in the place of the matrix.
    SymmetricFunction {
        order: u32,
        columns: u32,
    },
}

/// A decomposition whose factors are values of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Decomposition {
    /// `A = V Diag(λ) Vᵀ` of a symmetric matrix.
    Eigen,
}

impl Decomposition {
    /// The decomposition that a factor of an m×n matrix belongs to, and where among its numbers it begins.
    pub(crate) fn of(factor: Factor, Shape { rows: m, .. }: Shape) -> (Decomposition, usize) {
        match factor {
            Factor::Eigenvalues => (Decomposition::Eigen, 0),
            Factor::Eigenvectors => (Decomposition::Eigen, m),
        }
    }

    /// The numbers in all factors of an m×n matrix.
    pub(crate) fn len(self, Shape { rows: m, .. }: Shape) -> usize {
        match self {
            Decomposition::Eigen => m + m * m,
        }
    }
}

impl Routine {
    /// The routine that computes an op, if there is one.
    pub(crate) fn of(op: Op) -> Option<Routine> {
        match op {
            Op::Spectral(spectral) => Some(Routine::Spectral(spectral)),
            Op::Sylvester => Some(Routine::Equation(Equation::Sylvester)),
            Op::Stein => Some(Routine::Equation(Equation::Stein)),
            Op::SquareRoot => Some(Routine::SquareRoot),
            Op::MatrixSign => Some(Routine::MatrixSign),
            _ => None,
        }
    }

    /// What it is called in a listing.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Routine::Decompose(Decomposition::Eigen) => "eigendecomposition",
            Routine::Spectral(_) => "beside a spectrum",
            Routine::Equation(_) => "matrix equation",
            Routine::SquareRoot => "square root",
            Routine::MatrixSign => "matrix sign",
            Routine::SymmetricFunction { order: 0, .. } => "function",
            Routine::SymmetricFunction { .. } => "derivative of a function",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Routine::Decompose(_) | Routine::Equation(_) | Routine::SquareRoot | Routine::MatrixSign => {
                Kind::Factorization
            }
            Routine::Spectral(_) => Kind::Elementwise,
            Routine::SymmetricFunction { .. } => Kind::Product,
        }
    }

    /// Floating-point operations, to first order.
    pub(crate) fn flops(self, args: &[Shape]) -> u64 {
        let rows = args.last().map_or(0, |a| a.rows) as u64;
        let square = rows.saturating_mul(rows);
        let cube = square.saturating_mul(rows);
        match self {
            // Golub & Van Loan, *Matrix Computations*, 4th ed., §8.3.
            Routine::Decompose(Decomposition::Eigen) => cube.saturating_mul(9),
            Routine::Spectral(_) => square.saturating_mul(2),
            // Ibid., §7.5.6 and §7.6.3; Higham, *Functions of Matrices*, §6.2.
            Routine::Equation(_) => {
                let cols = args.get(1).map_or(0, |b| b.rows) as u64;
                let schur = cube.saturating_add(cols.saturating_pow(3)).saturating_mul(25);
                schur
                    .saturating_add((rows + cols).saturating_mul(rows.saturating_mul(cols)).saturating_mul(5))
            }
            Routine::SquareRoot => cube.saturating_mul(28),
            Routine::MatrixSign => cube.saturating_mul(29),
            Routine::SymmetricFunction { order: 0, .. } => cube,
            // Four products for the first direction, two for each of the others, and the divided differences.
            Routine::SymmetricFunction { order, .. } => {
                let tuples = (0..=order).fold(1u64, |tuples, _| tuples.saturating_mul(rows));
                let products = cube.saturating_mul(4 * (u64::from(order) + 1));
                products.saturating_add(tuples.saturating_mul(u64::from(order) * u64::from(order)))
            }
        }
    }

    pub(crate) fn scratch<T: Scalar>(self, args: &[Shape]) -> StackReq {
        let rows = args.first().map_or(0, |a| a.rows);
        match self {
            Routine::Decompose(Decomposition::Eigen) => eigen::eigen_scratch::<T>(rows),
            Routine::Spectral(_) => StackReq::EMPTY,
            Routine::Equation(_) => sylvester::equation_scratch::<T>(rows, args.get(1).map_or(0, |b| b.rows)),
            Routine::SquareRoot => square_root::square_root_scratch::<T>(rows),
            Routine::MatrixSign => sign::sign_scratch::<T>(rows),
            Routine::SymmetricFunction { order, .. } => {
                let n = args.last().map_or(0, |last| last.rows);
                symmetric_function::scratch::<T>(n, order as usize)
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
            (Routine::Spectral(spectral), &[spectrum, x]) => {
                kernels::spectrum::spectral(dst, spectral, spectrum, x)
            }
            (Routine::Equation(kind), &[a, b, c]) => sylvester::equation(kind, dst, [a, b, c], stack),
            (Routine::SquareRoot, &[a]) => square_root::square_root(dst, a, stack),
            (Routine::MatrixSign, &[a]) => sign::sign(dst, a, stack),
            (Routine::SymmetricFunction { order, columns }, [eigen, others @ ..]) => {
                let (columns, directions) = others.split_at(columns as usize);
                debug_assert_eq!(directions.len(), order as usize);
                symmetric_function::symmetric_function(dst, *eigen, columns, directions, stack);
                Ok(())
            }
            // Every op has its arity.
            _ => Ok(()),
        }
    }
}
