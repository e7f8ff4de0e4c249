/// Any error of this library.
///
/// `?` makes one of the errors of recording, differentiating, compiling and running.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A mistake made when the expression was recorded.
    #[error(transparent)]
    Tape(#[from] pullback_tape::Error),
    /// An expression that cannot be differentiated.
    #[error(transparent)]
    Rules(#[from] pullback_rules::Error),
    /// A program that cannot be compiled or run.
    #[error(transparent)]
    Engine(#[from] pullback_engine::Error),
    /// What was given as the adjoint of a linear map is not it.
    #[error("`{name}*` is not the adjoint of `{name}`: ⟨Y, {name} X⟩ is {} and ⟨{name}* Y, X⟩ is {}", .agreement.left, .agreement.right)]
    NotAdjoint {
        /// The map's name.
        name: String,
        /// The two numbers that should be the same.
        agreement: crate::check::Agreement,
    },
}
