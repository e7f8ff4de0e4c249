//! Algorithms on whole matrices that an instruction runs as they are: what they are called, what they cost, what scratch
//! they need, and where they are.

use crate::cost::Kind;
use crate::failure::Failure;
use crate::kernels::sylvester::{self, Equation};
use crate::kernels::{
    action, arrange, clusters, eigen, expm, logarithm, qr, real_eigen, reduce, sign, square_root, svd,
    symmetric_function, triangles,
};
use crate::{Scalar, kernels};
use faer::dyn_stack::{MemStack, StackReq};
use faer::{MatMut, MatRef};
use pullback_tape::{Factor, MatrixFunction, Op, Shape, Spectral};

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
    /// The eigenvalues of an n×n matrix from its real eigendecomposition, those that coincide made equal.
    Clusters(usize),
    /// Q or R of a matrix of this shape, from its packed factors.
    Orthonormal(Shape),
    Triangular(Shape),
    /// `F⁺ b` with a matrix F of this shape and full rank, from its packed factors; or with Fᵀ.
    LeastSquares {
        shape: Shape,
        transposed: bool,
    },
    /// A function of a matrix, or a derivative of it, in directions that are further arguments.
    Function(MatrixFunction),
    ExpAction,
    Equation(Equation),
    SquareRoot,
    MatrixSign,
    /// With the eigenvalues and eigenvectors in the place of the matrix.
    SymmetricFunction {
        order: u32,
        columns: u32,
        /// Whether the directions are known to be symmetric.
        symmetric: bool,
    },
    ColMax,
    /// Where the columns of a matrix are largest.
    Positions,
    /// The entries of a matrix there, in a row.
    EntriesAt,
    /// The entries of a matrix there, and 0 elsewhere.
    KeptAt,
}

/// A decomposition whose factors are values of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Decomposition {
    /// `A = V Diag(λ) Vᵀ` of a symmetric matrix.
    Eigen,
    /// λ alone.
    Eigenvalues,
    /// `A V = V Diag(λ)` of a matrix whose eigenvalues are real.
    RealEigen,
    /// λ alone.
    RealEigenvalues,
    /// `A = U Diag(σ) Vᵀ`.
    Svd,
    /// σ alone.
    SingularValues,
    /// `A = Q R`, packed, of a matrix that is not wide.
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
            Factor::RealEigenvalues | Factor::ClusteredEigenvalues => (Decomposition::RealEigen, 0),
            Factor::RealEigenvectors => (Decomposition::RealEigen, m),
            Factor::SingularValues => (Decomposition::Svd, 0),
            Factor::PseudoInverse | Factor::Polar => (Decomposition::Svd, 0),
            Factor::LeftVectors => (Decomposition::Svd, k),
            Factor::RightVectors => (Decomposition::Svd, k + m * k),
            Factor::Orthonormal | Factor::Triangular => (Decomposition::Qr, 0),
            Factor::Permutation => (Decomposition::Lu, 0),
            Factor::Lower => (Decomposition::Lu, n * n),
            Factor::Upper => (Decomposition::Lu, 2 * n * n),
            Factor::SymmetricLower => (Decomposition::Ldl, 0),
            Factor::Pivots => (Decomposition::Ldl, n * n),
        }
    }

    /// The decomposition without its vectors, if it has any.
    pub(crate) fn values_alone(self) -> Option<Decomposition> {
        match self {
            Decomposition::Eigen => Some(Decomposition::Eigenvalues),
            Decomposition::RealEigen => Some(Decomposition::RealEigenvalues),
            Decomposition::Svd => Some(Decomposition::SingularValues),
            _ => None,
        }
    }

    /// The numbers in all factors of an m×n matrix.
    pub(crate) fn len(self, Shape { rows: m, cols: n }: Shape) -> usize {
        match self {
            Decomposition::Svd => m.min(n) * (1 + m + n),
            Decomposition::Eigenvalues | Decomposition::RealEigenvalues => m,
            Decomposition::SingularValues => m.min(n),
            Decomposition::Eigen | Decomposition::Ldl => m + m * m,
            Decomposition::RealEigen => m + m * m + 1,
            Decomposition::Qr => qr::packed_len(m, n),
            Decomposition::Lu => 3 * n * n,
        }
    }
}

impl Routine {
    /// The routine that computes an op, if there is one.
    pub(crate) fn of(op: Op) -> Option<Routine> {
        match op {
            Op::Spectral(spectral) => Some(Routine::Spectral(spectral)),
            Op::MatrixFunction { function, .. } => Some(Routine::Function(function)),
            Op::ExpAction => Some(Routine::ExpAction),
            Op::ColMax => Some(Routine::ColMax),
            Op::Sylvester => Some(Routine::Equation(Equation::Sylvester)),
            Op::Stein => Some(Routine::Equation(Equation::Stein)),
            Op::SquareRoot => Some(Routine::SquareRoot),
            Op::MatrixSign => Some(Routine::MatrixSign),
            _ => None,
        }
    }

    /// The routine that computes a factor of a matrix of this shape from its decomposition, if it is no part of that.
    pub(crate) fn of_factors(factor: Factor, shape: Shape) -> Option<Routine> {
        match factor {
            Factor::PseudoInverse => Some(Routine::PseudoInverse(shape)),
            Factor::Polar => Some(Routine::Polar(shape)),
            Factor::ClusteredEigenvalues => Some(Routine::Clusters(shape.rows)),
            Factor::Orthonormal => Some(Routine::Orthonormal(shape)),
            Factor::Triangular => Some(Routine::Triangular(shape)),
            _ => None,
        }
    }

    /// What it is called in a listing.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Routine::Decompose(Decomposition::Eigen) => "eigendecomposition",
            Routine::Decompose(Decomposition::Eigenvalues) => "eigenvalues",
            Routine::Decompose(Decomposition::RealEigen) => "real eigendecomposition",
            Routine::Decompose(Decomposition::RealEigenvalues) => "real eigenvalues",
            Routine::Decompose(Decomposition::Svd) => "singular value decomposition",
            Routine::Decompose(Decomposition::SingularValues) => "singular values",
            Routine::Decompose(Decomposition::Qr) => "QR",
            Routine::Decompose(Decomposition::Lu) => "LU with its factors",
            Routine::Decompose(Decomposition::Ldl) => "LDLᵀ",
            Routine::Spectral(_) => "beside a spectrum",
            Routine::PseudoInverse(_) => "pseudo-inverse",
            Routine::Polar(_) => "polar factor",
            Routine::Clusters(_) => "clusters of eigenvalues",
            Routine::Orthonormal(_) => "Q from QR",
            Routine::Triangular(_) => "R from QR",
            Routine::LeastSquares { .. } => "least squares",
            Routine::Function(function) => function.name(),
            Routine::ExpAction => "action of expm",
            Routine::Equation(_) => "matrix equation",
            Routine::SquareRoot => "square root",
            Routine::MatrixSign => "matrix sign",
            Routine::SymmetricFunction { order: 0, .. } => "function",
            Routine::SymmetricFunction { .. } => "derivative of a function",
            Routine::ColMax => "maximum",
            Routine::Positions => "argmax",
            Routine::EntriesAt => "maximum",
            Routine::KeptAt => "at maxima",
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Routine::Decompose(_) | Routine::Equation(_) | Routine::SquareRoot | Routine::MatrixSign => {
                Kind::Factorization
            }
            Routine::Spectral(_) => Kind::Elementwise,
            Routine::Function(_) | Routine::ExpAction => Kind::Product,
            Routine::SymmetricFunction { .. }
            | Routine::PseudoInverse(_)
            | Routine::Polar(_)
            | Routine::Orthonormal(_)
            | Routine::Clusters(_) => Kind::Product,
            Routine::LeastSquares { .. } => Kind::Solve,
            Routine::ColMax | Routine::Positions => Kind::Reduction,
            Routine::Triangular(_) | Routine::EntriesAt | Routine::KeptAt => Kind::Copy,
        }
    }

    /// Floating-point operations, to first order.
    pub(crate) fn flops(self, args: &[Shape]) -> u64 {
        // What is decomposed comes in a column, and its directions last.
        let (rows, cols) = args.last().map_or((0, 0), |a| (a.rows as u64, a.cols as u64));
        let square = rows.saturating_mul(rows);
        let cube = square.saturating_mul(rows);
        let times = |c: u64, factors: [u64; 3]| factors.into_iter().fold(c, u64::saturating_mul);
        let (most, least) = (rows.max(cols), rows.min(cols));
        match self {
            // Golub & Van Loan, *Matrix Computations*, 4th ed., §8.6.
            Routine::Decompose(Decomposition::Svd) => {
                times(6, [most, least, least]).saturating_add(times(20, [least; 3]))
            }
            // The same, §5.4.8.
            Routine::Decompose(Decomposition::SingularValues) => {
                times(4, [most, least, least]).saturating_sub(times(4, [least; 3]) / 3)
            }
            // The same, §5.2, and once more for Q.
            Routine::Decompose(Decomposition::Qr) => {
                times(2, [rows, cols, cols]).saturating_sub(times(2, [cols; 3]) / 3)
            }
            Routine::Orthonormal(Shape { rows, cols }) => times(2, [rows as u64, cols as u64, cols as u64])
                .saturating_sub(times(2, [cols as u64; 3]) / 3),
            Routine::Triangular(_) => 0,
            // Householder's reflections, and a triangular solve.
            Routine::LeastSquares { shape: Shape { rows, cols: n }, .. } => {
                let n = n as u64;
                times(4, [rows as u64, n, cols]).saturating_sub(times(1, [n, n, cols]))
            }
            Routine::Decompose(Decomposition::Lu) => times(2, [rows; 3]) / 3,
            Routine::Decompose(Decomposition::Ldl) => times(1, [rows; 3]) / 3,
            Routine::PseudoInverse(Shape { rows, cols }) | Routine::Polar(Shape { rows, cols }) => {
                times(2, [rows as u64, cols as u64, rows.min(cols) as u64])
            }
            // The same, §8.3.
            Routine::Decompose(Decomposition::Eigen) => cube.saturating_mul(9),
            Routine::Decompose(Decomposition::Eigenvalues) => cube.saturating_mul(4) / 3,
            // Ibid., §7.5.6, and the eigenvectors.
            Routine::Decompose(Decomposition::RealEigen) => cube.saturating_mul(28),
            Routine::Decompose(Decomposition::RealEigenvalues) => cube.saturating_mul(25),
            Routine::Spectral(_) => times(2, [rows, cols, 1]),
            // An inverse.
            Routine::Clusters(n) => times(2, [n as u64; 3]),
            // Six products, a solve, and some two squarings; three times that for every direction. (Higham, *Functions of
            // Matrices* (2008), §10.3)
            // A Schur form, some five square roots and as many quotients; blocks for directions. (Ibid., §11.5)
            Routine::Function(MatrixFunction::Log) => {
                let blocks = 2u64.saturating_pow(args.len().saturating_sub(1) as u32);
                cube.saturating_mul(25)
                    .saturating_add(cube.saturating_mul(5).saturating_mul(blocks.saturating_pow(3)))
            }
            Routine::Function(MatrixFunction::Exp) => cube
                .saturating_mul(19)
                .saturating_mul(3u64.saturating_pow(args.len().saturating_sub(1) as u32)),
            // What is usual for a matrix of norm 1.
            Routine::ExpAction => {
                square.saturating_mul(60).saturating_mul(args.get(1).map_or(0, |b| b.cols) as u64)
            }
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
            Routine::SymmetricFunction { order: 1, symmetric: true, .. } => cube.saturating_mul(6),
            // Four products for the first direction, two for each of the others, and the divided differences.
            Routine::SymmetricFunction { order, .. } => {
                let tuples = (0..=order).fold(1u64, |tuples, _| tuples.saturating_mul(rows));
                let products = cube.saturating_mul(4 * (u64::from(order) + 1));
                products.saturating_add(tuples.saturating_mul(u64::from(order) * u64::from(order)))
            }
            Routine::ColMax | Routine::Positions => rows.saturating_mul(cols),
            Routine::EntriesAt | Routine::KeptAt => 0,
        }
    }

    pub(crate) fn scratch<T: Scalar>(self, args: &[Shape]) -> StackReq {
        let Shape { rows, cols } = args.first().copied().unwrap_or(Shape::SCALAR);
        match self {
            Routine::Decompose(Decomposition::Eigen) => eigen::eigen_scratch::<T>(rows, true),
            Routine::Decompose(Decomposition::Eigenvalues) => eigen::eigen_scratch::<T>(rows, false),
            Routine::Decompose(Decomposition::RealEigen | Decomposition::RealEigenvalues) => {
                real_eigen::real_eigen_scratch::<T>(rows)
            }
            Routine::Function(MatrixFunction::Log) => {
                logarithm::log_scratch::<T>(rows, args.len().saturating_sub(1))
            }
            Routine::Decompose(Decomposition::Svd) => svd::svd_scratch::<T>(rows, cols, true),
            Routine::Decompose(Decomposition::SingularValues) => svd::svd_scratch::<T>(rows, cols, false),
            Routine::Decompose(Decomposition::Qr) => qr::qr_scratch::<T>(rows, cols),
            Routine::Orthonormal(Shape { rows, cols }) => qr::reflections_scratch::<T>(rows, cols, cols),
            Routine::LeastSquares { shape: Shape { rows, cols }, .. } => {
                qr::least_squares_scratch::<T>(rows, cols, args.get(1).map_or(0, |b| b.cols))
            }
            Routine::Decompose(Decomposition::Lu) => triangles::lu_scratch::<T>(rows),
            Routine::Decompose(Decomposition::Ldl) => triangles::ldl_scratch::<T>(rows),
            Routine::PseudoInverse(Shape { rows, cols }) => svd::pseudo_inverse_scratch::<T>(rows, cols),
            Routine::Function(MatrixFunction::Exp) => {
                expm::exp_scratch::<T>(rows, args.len().saturating_sub(1))
            }
            Routine::ExpAction => action::exp_action_scratch::<T>(rows, args.get(1).map_or(0, |b| b.cols)),
            Routine::Equation(_) => sylvester::equation_scratch::<T>(rows, args.get(1).map_or(0, |b| b.rows)),
            Routine::SquareRoot => square_root::square_root_scratch::<T>(rows),
            Routine::MatrixSign => sign::sign_scratch::<T>(rows),
            Routine::SymmetricFunction { order, .. } => {
                let n = args.last().map_or(0, |last| last.rows);
                symmetric_function::scratch::<T>(n, order as usize)
            }
            Routine::Clusters(n) => clusters::clusters_scratch::<T>(n),
            Routine::Polar(_)
            | Routine::Triangular(_)
            | Routine::Spectral(_)
            | Routine::ColMax
            | Routine::Positions
            | Routine::EntriesAt
            | Routine::KeptAt => StackReq::EMPTY,
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
            (Routine::Decompose(Decomposition::Eigen | Decomposition::Eigenvalues), &[a]) => {
                eigen::eigen(dst, a, stack)
            }
            (Routine::Decompose(Decomposition::RealEigen | Decomposition::RealEigenvalues), &[a]) => {
                real_eigen::real_eigen(dst, a, stack)
            }
            (Routine::Decompose(Decomposition::Svd | Decomposition::SingularValues), &[a]) => {
                svd::svd(dst, a, stack)
            }
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
            (Routine::Orthonormal(shape), &[factors]) => {
                qr::orthonormal(dst, factors, shape, stack);
                Ok(())
            }
            (Routine::Triangular(shape), &[factors]) => {
                qr::triangular(dst, factors, shape);
                Ok(())
            }
            (Routine::LeastSquares { shape, transposed }, &[factors, b]) => {
                qr::least_squares(dst, factors, b, shape, transposed, stack)
            }
            (Routine::Polar(Shape { rows, cols }), &[factors]) => {
                svd::polar(dst, factors, rows, cols);
                Ok(())
            }
            (Routine::Clusters(n), &[factors]) => clusters::clusters(dst, factors, n, stack),
            (Routine::Spectral(spectral), &[spectrum, x]) => {
                kernels::spectrum::spectral(dst, spectral, spectrum, x)
            }
            (Routine::Function(MatrixFunction::Log), &[a, ref directions @ ..]) => {
                logarithm::log(dst, a, directions, stack)
            }
            (Routine::Function(MatrixFunction::Exp), &[a, ref directions @ ..]) => {
                expm::exp(dst, a, directions, stack);
                Ok(())
            }
            (Routine::ExpAction, &[a, b]) => {
                action::exp_action(dst, a, b, stack);
                Ok(())
            }
            (Routine::Equation(kind), &[a, b, c]) => sylvester::equation(kind, dst, [a, b, c], stack),
            (Routine::SquareRoot, &[a]) => square_root::square_root(dst, a, stack),
            (Routine::MatrixSign, &[a]) => sign::sign(dst, a, stack),
            (Routine::SymmetricFunction { order, columns, symmetric }, [eigen, others @ ..]) => {
                let (columns, directions) = others.split_at(columns as usize);
                debug_assert_eq!(directions.len(), order as usize);
                symmetric_function::symmetric_function(dst, *eigen, columns, directions, symmetric, stack);
                Ok(())
            }
            (Routine::ColMax, &[a]) => {
                reduce::col_max(dst, a);
                Ok(())
            }
            (Routine::Positions, &[a]) => {
                reduce::positions(dst, a);
                Ok(())
            }
            (Routine::EntriesAt, &[a, positions]) => {
                reduce::entries_at(dst, a, positions);
                Ok(())
            }
            (Routine::KeptAt, &[a, positions]) => {
                arrange::kept_at(dst, a, positions);
                Ok(())
            }
            // Every op has its arity.
            _ => Ok(()),
        }
    }
}
