//! Leaving vector registers as the rest of the program expects them.

/// Marks the upper halves of the vector registers as unused.
///
/// faer's large products (`private-gemm-x86`) return with the upper halves in use. Until they are cleared, every
/// SSE instruction has to preserve them, and most of a program, its `exp` and `tanh` among it, consists of SSE
/// instructions: on a Zen 3 they ran ten times slower. The compiler clears them after vector code of its own.
#[inline(always)]
pub(crate) fn release() {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(avx) = pulp::core_arch::x86::Avx::try_new() {
        avx._mm256_zeroupper();
    }
}
