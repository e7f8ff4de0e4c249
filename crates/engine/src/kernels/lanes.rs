//! Vectors of numbers, and the instruction sets that have them.

use pulp::bytemuck::Pod;
use pulp::{Simd, WithSimd};

/// Numbers that come in vectors.
pub trait Lanes: Pod + Default + 'static {
    /// As many numbers as a register of `S` holds.
    type Vector<S: Simd>: Copy + Pod;

    /// The whole vectors in a slice, from its beginning.
    fn vectors<S: Simd>(x: &[Self]) -> &[Self::Vector<S>];

    /// The whole vectors in a slice, from its beginning.
    fn vectors_mut<S: Simd>(x: &mut [Self]) -> &mut [Self::Vector<S>];

    /// `(x, …, x)`
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// `a b`
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// `a b + c`, rounded once where the processor can.
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// `Σ xᵢ`
    fn sum<S: Simd>(simd: S, x: Self::Vector<S>) -> Self;
}

macro_rules! lanes {
    ($($T:ident: $Vector:ident $as_simd:ident $as_mut_simd:ident $splat:ident $mul:ident $mul_add:ident $sum:ident,)*) => {$(
        impl Lanes for $T {
            type Vector<S: Simd> = S::$Vector;

            #[inline(always)]
            fn vectors<S: Simd>(x: &[$T]) -> &[S::$Vector] {
                S::$as_simd(x).0
            }

            #[inline(always)]
            fn vectors_mut<S: Simd>(x: &mut [$T]) -> &mut [S::$Vector] {
                S::$as_mut_simd(x).0
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: $T) -> S::$Vector {
                simd.$splat(x)
            }

            #[inline(always)]
            fn times<S: Simd>(simd: S, a: S::$Vector, b: S::$Vector) -> S::$Vector {
                simd.$mul(a, b)
            }

            #[inline(always)]
            fn mul_add<S: Simd>(simd: S, a: S::$Vector, b: S::$Vector, c: S::$Vector) -> S::$Vector {
                simd.$mul_add(a, b, c)
            }

            #[inline(always)]
            fn sum<S: Simd>(simd: S, x: S::$Vector) -> $T {
                simd.$sum(x)
            }
        }
    )*};
}

lanes! {
    f32: f32s as_simd_f32s as_mut_simd_f32s splat_f32s mul_f32s mul_add_e_f32s reduce_sum_f32s,
    f64: f64s as_simd_f64s as_mut_simd_f64s splat_f64s mul_f64s mul_add_e_f64s reduce_sum_f64s,
}

/// How many numbers a register of `S` holds.
pub(crate) const fn lanes<T: Lanes, S: Simd>() -> usize {
    size_of::<T::Vector<S>>() / size_of::<T>()
}

/// What runs on registers of two widths.
pub(crate) trait Wide {
    type Output;

    /// `FUSED` says that `mul_add` is an instruction.
    fn run<const FUSED: bool, F: Simd, H: Simd>(self, full: F, half: H) -> Self::Output;
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod isa {
    use super::Wide;
    use pulp::x86::{V3, V3_128b};
    use pulp::{NullaryFnOnce, Simd, WithSimd};

    /// Runs something on registers of two widths.
    #[inline(always)]
    pub(crate) fn wide<W: Wide>(work: W) -> W::Output {
        struct Both<W>(V3, W);
        impl<W: Wide> NullaryFnOnce for Both<W> {
            type Output = W::Output;

            #[inline(always)]
            fn call(self) -> W::Output {
                self.1.run::<true, _, _>(self.0, V3_128b(self.0))
            }
        }
        match V3::try_new() {
            Some(v3) => v3.vectorize(Both(v3, work)),
            None => super::narrow(work),
        }
    }

    /// The widest registers.
    pub(crate) type Full = V3;

    #[inline(always)]
    pub(crate) fn available() -> bool {
        V3::is_available()
    }

    /// Runs a kernel on the widest registers.
    #[inline(always)]
    pub(crate) fn full<F: WithSimd<Output = Option<()>>>(kernel: F) -> Option<()> {
        match V3::try_new() {
            Some(v3) => Simd::vectorize(v3, kernel),
            None => super::one(kernel),
        }
    }

    /// Runs a kernel on registers of half the width.
    #[inline(always)]
    pub(crate) fn half<F: WithSimd<Output = Option<()>>>(kernel: F) -> Option<()> {
        struct Halved<F>(V3, F);
        impl<F: WithSimd> NullaryFnOnce for Halved<F> {
            type Output = F::Output;

            #[inline(always)]
            fn call(self) -> F::Output {
                self.1.with_simd(V3_128b(self.0))
            }
        }
        match V3::try_new() {
            Some(v3) => v3.vectorize(Halved(v3, kernel)),
            None => super::one(kernel),
        }
    }
}

/// Other processors have numbers one by one: faer knows their vectors.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
mod isa {
    use super::Wide;
    use pulp::WithSimd;

    #[inline(always)]
    pub(crate) fn wide<W: Wide>(work: W) -> W::Output {
        super::narrow(work)
    }

    pub(crate) type Full = pulp::Scalar;

    #[inline(always)]
    pub(crate) fn available() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn full<F: WithSimd<Output = Option<()>>>(kernel: F) -> Option<()> {
        super::one(kernel)
    }

    #[inline(always)]
    pub(crate) fn half<F: WithSimd<Output = Option<()>>>(kernel: F) -> Option<()> {
        super::one(kernel)
    }
}

pub(crate) use isa::{Full, available, full, half, wide};

/// Runs something on numbers one by one.
#[inline(never)]
fn narrow<W: Wide>(work: W) -> W::Output {
    work.run::<false, _, _>(pulp::Scalar, pulp::Scalar)
}

/// Runs a kernel on numbers one by one.
#[inline(never)]
pub(crate) fn one<F: WithSimd<Output = Option<()>>>(kernel: F) -> Option<()> {
    kernel.with_simd(pulp::Scalar)
}
