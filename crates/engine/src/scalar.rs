use crate::custom::CustomKernel;
use crate::kernels::elementwise::combine;
use crate::kernels::functions::{self, Digits};
use crate::kernels::gamma;
use crate::kernels::lanes::Lanes;
use crate::machine::Runs;
use faer::dyn_stack::MemStack;
use faer::traits::RealField;
use faer::{MatMut, MatRef};
use pullback_tape::{Binary, Function};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The numbers a program computes with: `f32` and `f64`.
///
/// # Accuracy
/// Elementwise functions are off by at most this many units in the last place: not proven, but tested on some 60 000
/// arguments over the whole range, subnormal numbers included.
///
/// | | `f64` | `f32` |
/// |---|---|---|
/// | `exp`, `ln`, `ln_1p` | 1 | 0.51 |
/// | `sin`, `cos` | 1.5 | 0.6 |
/// | `powf` | 1.5 | 0.51 |
/// | `tanh`, `sigmoid`, `softplus` | 2.5 | 0.51 |
/// | `log_cosh` | 4.5 | 0.51 |
/// | `exp_m1`, `log2`, `log10`, `cbrt`, `sinh`, `cosh`, `erf` | 2 | 0.51 |
/// | `asinh`, `acosh`, `atanh` | 3 | 0.51 |
/// | `erfc` | 3 | 0.51 |
/// | `tan`, `asin`, `acos`, `atan` (of std) | 1 | 0.51 |
/// | `ln_gamma` of positive numbers | 2.5 | 0.51 |
/// | `polygamma` of positive numbers, of orders up to 170 | 2.5 | 0.51 |
///
/// Near 1.46, where `digamma` vanishes, its error is at most 2·10⁻¹⁷ instead. Between the poles of a negative number, values of
/// `ln_gamma` and `polygamma` are differences: their errors are at most 4 units in the last place of the larger term. Orders
/// above 170 lose some digits, as many as the logarithm of the value has before its point.
///
/// The others are exactly rounded. Where a processor lacks AVX2 and FMA they are computed by std's functions, which are
/// about as accurate.
pub trait Scalar:
    sealed::Sealed + Lanes + Runs + RealField + Copy + Default + Send + Sync + std::fmt::Display + 'static
{
    /// The distance from 1 to the next larger number.
    const EPSILON: Self;

    /// The nearest number.
    fn from_f64(x: f64) -> Self;

    /// The number, exactly.
    fn to_f64(self) -> f64;

    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;

    /// `|x|`.
    fn abs(self) -> Self;

    /// `eˣ`.
    fn exp(self) -> Self;

    /// `ln x`.
    fn ln(self) -> Self;

    /// `out = f(x)`, entry by entry; both of the same length.
    ///
    /// With `FUSED` the functions of `kernels/functions.rs`, whose accuracy is stated there; otherwise those of std.
    #[doc(hidden)]
    fn map<const FUSED: bool>(f: Function, x: &[Self], out: &mut [Self]);

    /// `out = f(a, b)`, entry by entry; all of the same length.
    #[doc(hidden)]
    fn zip(f: Binary, a: &[Self], b: &[Self], out: &mut [Self]);

    /// What an operation of the user's own computes from matrices of this type.
    #[doc(hidden)]
    fn custom(
        kernel: &dyn CustomKernel,
        args: &[MatRef<'_, Self>],
        out: MatMut<'_, Self>,
        stack: &mut MemStack,
    ) -> Result<(), String>;

    /// `x = exp x`, entry by entry.
    #[doc(hidden)]
    fn exp_in_place<const FUSED: bool>(x: &mut [Self]);
}

#[inline(always)]
fn each<T: Copy>(x: &[T], out: &mut [T], f: impl Fn(T) -> T) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

/// `out = f(x)`, computed in double precision.
#[inline(always)]
fn doubly<T: Scalar>(x: &[T], out: &mut [T], f: impl Fn(f64) -> f64) {
    each(x, out, |x| T::from_f64(f(x.to_f64())));
}

/// `out = fused(x)` or `out = std(x)`.
#[inline(always)]
fn either<const FUSED: bool, T: Scalar>(
    x: &[T],
    out: &mut [T],
    fused: impl Fn(f64) -> f64,
    std: impl Fn(T) -> T,
) {
    if FUSED {
        each(
            x,
            out,
            #[inline(always)]
            |x| T::from_f64(fused(x.to_f64())),
        );
    } else {
        each(x, out, std);
    }
}

/// `out = fused(x)` where `x` is usual, which it almost always is; `out = std(x)` elsewhere.
#[inline(always)]
fn usually<const FUSED: bool, T: Scalar>(
    x: &[T],
    out: &mut [T],
    usual: impl Fn(f64) -> bool,
    fused: impl Fn(f64) -> f64,
    std: impl Fn(T) -> T,
) {
    either::<FUSED, T>(x, out, fused, &std);
    // Without an early end, the search is vector code.
    if FUSED && x.iter().fold(false, |found, x| found | !usual(x.to_f64())) {
        for (out, &x) in out.iter_mut().zip(x) {
            if !usual(x.to_f64()) {
                *out = std(x);
            }
        }
    }
}

macro_rules! scalar {
    ($($T:ident: $run:ident),*) => {$(
        impl Scalar for $T {
            const EPSILON: $T = $T::EPSILON;

            #[inline(always)]
            fn from_f64(x: f64) -> $T {
                x as $T
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }

            #[inline]
            fn is_finite(self) -> bool {
                $T::is_finite(self)
            }

            #[inline]
            fn abs(self) -> $T {
                $T::abs(self)
            }

            #[inline]
            fn exp(self) -> $T {
                $T::exp(self)
            }

            #[inline]
            fn ln(self) -> $T {
                $T::ln(self)
            }

            // The comparisons are written so that a NaN passes through.
            #[inline(always)]
            fn map<const FUSED: bool>(f: Function, x: &[$T], out: &mut [$T]) {
                match f {
                    Function::Exp => either::<FUSED, $T>(x, out, functions::exp::<$T>, $T::exp),
                    Function::Ln => {
                        usually::<FUSED, $T>(x, out, functions::has_logarithm, functions::ln::<$T>, $T::ln);
                    }
                    Function::Ln1p => {
                        let usual = functions::has_logarithm_1p;
                        usually::<FUSED, $T>(x, out, usual, functions::ln_1p::<$T>, $T::ln_1p);
                    }
                    Function::Sqrt => each(x, out, $T::sqrt),
                    Function::Square => each(x, out, |x| x * x),
                    Function::Powf(p) => {
                        let p = p.value() as $T;
                        usually::<FUSED, $T>(
                            x,
                            out,
                            functions::has_logarithm,
                            #[inline(always)]
                            |x| <$T as Digits>::powf(x, p.into()),
                            |x| x.powf(p),
                        );
                    }
                    Function::Recip => each(x, out, |x| 1.0 / x),
                    Function::PseudoRecip => each(x, out, |x| if x == 0.0 { 0.0 } else { 1.0 / x }),
                    Function::Abs => each(x, out, $T::abs),
                    Function::Sign => each(x, out, |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }),
                    Function::Tanh => either::<FUSED, $T>(x, out, functions::tanh::<$T>, $T::tanh),
                    Function::Sigmoid => either::<FUSED, $T>(x, out, functions::sigmoid::<$T>, |x| {
                        let e = (-x.abs()).exp();
                        if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
                    }),
                    Function::Softplus => either::<FUSED, $T>(x, out, functions::softplus::<$T>, |x| {
                        let positive = if x <= 0.0 { 0.0 } else { x };
                        positive + (-x.abs()).exp().ln_1p()
                    }),
                    Function::Sin => usually::<FUSED, $T>(x, out, functions::few_turns, functions::sin::<$T>, $T::sin),
                    Function::Cos => usually::<FUSED, $T>(x, out, functions::few_turns, functions::cos::<$T>, $T::cos),
                    Function::Relu => each(x, out, |x| if x <= 0.0 { 0.0 } else { x }),
                    Function::Step => each(x, out, |x| if x > 0.0 { 1.0 } else if x <= 0.0 { 0.0 } else { x }),
                    Function::Clamp(low, high) => {
                        let (low, high) = (low.value() as $T, high.value() as $T);
                        each(x, out, |x| {
                            let x = if x < low { low } else { x };
                            if x > high { high } else { x }
                        });
                    }
                    Function::Inside(low, high) => {
                        let (low, high) = (low.value() as $T, high.value() as $T);
                        each(x, out, |x| {
                            if x.is_nan() {
                                return x;
                            }
                            if low <= x && x <= high { 1.0 } else { 0.0 }
                        });
                    }
                    // cosh² = 1 + sinh² keeps all digits near 0, where cosh itself is 1 to rounding.
                    Function::LogCosh => either::<FUSED, $T>(x, out, functions::log_cosh::<$T>, |x| {
                        let size = x.abs();
                        if size < 1.0 {
                            let sinh = x.sinh();
                            0.5 * (sinh * sinh).ln_1p()
                        } else {
                            size + (-2.0 * size).exp().ln_1p() - std::$T::consts::LN_2
                        }
                    }),
                    Function::ExpM1 => doubly(x, out, f64::exp_m1),
                    Function::Log2 => doubly(x, out, f64::log2),
                    Function::Log10 => doubly(x, out, f64::log10),
                    Function::Cbrt => doubly(x, out, f64::cbrt),
                    Function::Tan => doubly(x, out, f64::tan),
                    Function::Asin => doubly(x, out, f64::asin),
                    Function::Acos => doubly(x, out, f64::acos),
                    Function::Atan => doubly(x, out, f64::atan),
                    Function::Sinh => doubly(x, out, f64::sinh),
                    Function::Cosh => doubly(x, out, f64::cosh),
                    // Those of std lose digits where they are small. That of libm is not NaN for −10⁹.
                    Function::Asinh => doubly(x, out, libm::asinh),
                    Function::Acosh => doubly(x, out, |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) }),
                    Function::Atanh => doubly(x, out, libm::atanh),
                    Function::Erf => doubly(x, out, libm::erf),
                    Function::Erfc => doubly(x, out, libm::erfc),
                    Function::LnGamma => doubly(x, out, gamma::ln_gamma),
                    Function::Polygamma(n) => doubly(x, out, |x| gamma::polygamma(n, x)),
                }
            }

            // As above, a NaN passes through.
            #[inline(always)]
            fn zip(f: Binary, a: &[$T], b: &[$T], out: &mut [$T]) {
                match f {
                    Binary::Max => combine(a, b, out, |a, b| if a >= b || a.is_nan() { a } else { b }),
                    Binary::Min => combine(a, b, out, |a, b| if a <= b || a.is_nan() { a } else { b }),
                    Binary::Atan2 => combine(a, b, out, $T::atan2),
                    // That of C is infinite with an infinite argument, even if the other one is NaN.
                    Binary::Hypot => combine(a, b, out, |a, b| {
                        if a.is_nan() || b.is_nan() { a + b } else { a.hypot(b) }
                    }),
                    Binary::Less => combine(a, b, out, |a, b| {
                        if a < b { 1.0 } else if a >= b { 0.0 } else { a + b }
                    }),
                    Binary::Keep => combine(a, b, out, |a, b| {
                        if b.is_nan() { b } else if b == 0.0 { 0.0 } else { a }
                    }),
                }
            }

            fn custom(
                kernel: &dyn CustomKernel,
                args: &[MatRef<'_, $T>],
                out: MatMut<'_, $T>,
                stack: &mut MemStack,
            ) -> Result<(), String> {
                kernel.$run(args, out, stack)
            }

            #[inline(always)]
            fn exp_in_place<const FUSED: bool>(x: &mut [$T]) {
                for x in x {
                    *x = if FUSED { functions::exp::<$T>((*x).into()) as $T } else { x.exp() };
                }
            }
        }
    )*};
}

scalar! { f32: run_f32, f64: run_f64 }
