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

    /// A block of which rows have become columns.
    #[doc(hidden)]
    fn transposed(shuffles: Shuffles, block: [[Self; BLOCK]; BLOCK]) -> [[Self; BLOCK]; BLOCK];
}

/// The rows and columns of a block that is transposed in registers.
pub(crate) const BLOCK: usize = 4;

macro_rules! lanes {
    ($($T:ident: $Vector:ident $as_simd:ident $as_mut_simd:ident $splat:ident $mul:ident $mul_add:ident $sum:ident $transposed:ident,)*) => {$(
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

            #[inline(always)]
            fn transposed(shuffles: Shuffles, block: [[$T; BLOCK]; BLOCK]) -> [[$T; BLOCK]; BLOCK] {
                shuffles.$transposed(block)
            }
        }
    )*};
}

lanes! {
    f32: f32s as_simd_f32s as_mut_simd_f32s splat_f32s mul_f32s mul_add_e_f32s reduce_sum_f32s f32s,
    f64: f64s as_simd_f64s as_mut_simd_f64s splat_f64s mul_f64s mul_add_e_f64s reduce_sum_f64s f64s,
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
    use super::{BLOCK, Wide};
    #[cfg(target_arch = "x86")]
    use core::arch::x86::{__m128, __m256d};
    #[cfg(target_arch = "x86_64")]
    use core::arch::x86_64::{__m128, __m256d};
    use pulp::bytemuck::cast;
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

    /// What the instructions that move numbers within registers need.
    #[derive(Clone, Copy, Debug)]
    pub struct Shuffles(Option<V3>);

    impl Shuffles {
        #[inline(always)]
        pub(crate) fn new() -> Self {
            Shuffles(V3::try_new())
        }

        /// A transposed block.
        #[inline(always)]
        pub(crate) fn f64s(self, block: [[f64; BLOCK]; BLOCK]) -> [[f64; BLOCK]; BLOCK] {
            let Some(V3 { avx, .. }) = self.0 else { return super::transposed(block) };
            let [a, b, c, d]: [__m256d; BLOCK] = cast(block);
            let even = [avx._mm256_unpacklo_pd(a, b), avx._mm256_unpacklo_pd(c, d)];
            let odd = [avx._mm256_unpackhi_pd(a, b), avx._mm256_unpackhi_pd(c, d)];
            cast([
                avx._mm256_permute2f128_pd::<0x20>(even[0], even[1]),
                avx._mm256_permute2f128_pd::<0x20>(odd[0], odd[1]),
                avx._mm256_permute2f128_pd::<0x31>(even[0], even[1]),
                avx._mm256_permute2f128_pd::<0x31>(odd[0], odd[1]),
            ])
        }

        /// A transposed block.
        #[inline(always)]
        pub(crate) fn f32s(self, block: [[f32; BLOCK]; BLOCK]) -> [[f32; BLOCK]; BLOCK] {
            let Some(V3 { sse, .. }) = self.0 else { return super::transposed(block) };
            let [a, b, c, d]: [__m128; BLOCK] = cast(block);
            let low = [sse._mm_unpacklo_ps(a, b), sse._mm_unpacklo_ps(c, d)];
            let high = [sse._mm_unpackhi_ps(a, b), sse._mm_unpackhi_ps(c, d)];
            cast([
                sse._mm_movelh_ps(low[0], low[1]),
                sse._mm_movehl_ps(low[1], low[0]),
                sse._mm_movelh_ps(high[0], high[1]),
                sse._mm_movehl_ps(high[1], high[0]),
            ])
        }
    }

    /// The widest registers, and those of half the width.
    pub(crate) type Full = V3;
    pub(crate) type Half = V3_128b;

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
        match V3::try_new() {
            Some(v3) => v3.vectorize(On(V3_128b(v3), kernel)),
            None => super::one(kernel),
        }
    }

    /// Runs a kernel on numbers one by one.
    #[inline(always)]
    pub(crate) fn single<F: WithSimd<Output = Option<()>>>(kernel: F) -> Option<()> {
        match V3::try_new() {
            Some(v3) => v3.vectorize(On(pulp::Scalar, kernel)),
            None => super::one(kernel),
        }
    }

    /// A kernel and what it runs on: compiled for all instructions, but not for all of a register.
    struct On<S, F>(S, F);

    impl<S: Simd, F: WithSimd> NullaryFnOnce for On<S, F> {
        type Output = F::Output;

        #[inline(always)]
        fn call(self) -> F::Output {
            self.1.with_simd(self.0)
        }
    }
}

/// Other processors have numbers one by one: faer knows their vectors.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
mod isa {
    use super::{BLOCK, Wide, transposed};
    use pulp::WithSimd;

    /// What the instructions that move numbers within registers need.
    #[derive(Clone, Copy, Debug)]
    pub struct Shuffles;

    impl Shuffles {
        #[inline(always)]
        pub(crate) fn new() -> Self {
            Shuffles
        }

        #[inline(always)]
        pub(crate) fn f64s(self, block: [[f64; BLOCK]; BLOCK]) -> [[f64; BLOCK]; BLOCK] {
            transposed(block)
        }

        #[inline(always)]
        pub(crate) fn f32s(self, block: [[f32; BLOCK]; BLOCK]) -> [[f32; BLOCK]; BLOCK] {
            transposed(block)
        }
    }

    #[inline(always)]
    pub(crate) fn wide<W: Wide>(work: W) -> W::Output {
        super::narrow(work)
    }

    pub(crate) type Full = pulp::Scalar;
    pub(crate) type Half = pulp::Scalar;

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

    #[inline(always)]
    pub(crate) fn single<F: WithSimd<Output = Option<()>>>(kernel: F) -> Option<()> {
        super::one(kernel)
    }
}

/// A transposed block, number by number.
#[inline(always)]
fn transposed<T: Copy>(block: [[T; BLOCK]; BLOCK]) -> [[T; BLOCK]; BLOCK] {
    std::array::from_fn(|i| std::array::from_fn(|j| block[j][i]))
}

pub(crate) use isa::{Full, Half, Shuffles, available, full, half, single, wide};

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
