//! Which instructions loops are compiled for.

/// Loops that are compiled twice: for any processor, and for one with vectors of 256 bits that multiplies and adds in
/// one instruction.
///
/// What `run` calls has to be inlined into it, for it to be compiled for the same instructions.
pub(crate) trait Loop {
    type Output;

    /// `FUSED` says that `mul_add` is an instruction.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

/// Runs the loops that were compiled for this processor. To find out which takes a load and a comparison.
#[inline(always)]
pub(crate) fn run<L: Loop>(work: L) -> L::Output {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    if let Some(v3) = pulp::x86::V3::try_new() {
        return v3.vectorize(
            #[inline(always)]
            || work.run::<true>(),
        );
    }
    work.run::<false>()
}
