use crate::kernels::lanes::Lanes;
use faer::traits::RealField;
use pullback_tape::Function;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The numbers a program computes with: `f32` and `f64`.
pub trait Scalar:
    sealed::Sealed + Lanes + RealField + Copy + Default + Send + Sync + std::fmt::Display + 'static
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
    #[doc(hidden)]
    fn map(f: Function, x: &[Self], out: &mut [Self]);
}

fn each<T: Copy>(x: &[T], out: &mut [T], f: impl Fn(T) -> T) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

macro_rules! scalar {
    ($($T:ident)*) => {$(
        impl Scalar for $T {
            const EPSILON: $T = $T::EPSILON;

            #[inline]
            fn from_f64(x: f64) -> $T {
                x as $T
            }

            #[inline]
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
            fn map(f: Function, x: &[$T], out: &mut [$T]) {
                match f {
                    Function::Exp => each(x, out, $T::exp),
                    Function::Ln => each(x, out, $T::ln),
                    Function::Ln1p => each(x, out, $T::ln_1p),
                    Function::Sqrt => each(x, out, $T::sqrt),
                    Function::Square => each(x, out, |x| x * x),
                    Function::Powf(p) => {
                        let p = p.value() as $T;
                        each(x, out, |x| x.powf(p));
                    }
                    Function::Recip => each(x, out, |x| 1.0 / x),
                    Function::PseudoRecip => each(x, out, |x| if x == 0.0 { 0.0 } else { 1.0 / x }),
                    Function::Abs => each(x, out, $T::abs),
                    Function::Sign => each(x, out, |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }),
                    Function::Tanh => each(x, out, $T::tanh),
                    Function::Sigmoid => each(x, out, |x| {
                        let e = (-x.abs()).exp();
                        if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
                    }),
                    Function::Softplus => each(x, out, |x| {
                        let positive = if x <= 0.0 { 0.0 } else { x };
                        positive + (-x.abs()).exp().ln_1p()
                    }),
                    Function::Sin => each(x, out, $T::sin),
                    Function::Cos => each(x, out, $T::cos),
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
                    Function::LogCosh => each(x, out, |x| {
                        let size = x.abs();
                        if size < 1.0 {
                            let sinh = x.sinh();
                            0.5 * (sinh * sinh).ln_1p()
                        } else {
                            size + (-2.0 * size).exp().ln_1p() - std::$T::consts::LN_2
                        }
                    }),
                }
            }
        }
    )*};
}

scalar! { f32 f64 }
