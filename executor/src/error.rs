//! What the executor refuses and what fails in it, and the code that a client is told for it.
use reeve_shared::ErrorCode;

/// Why a command was not carried out, or why the executor does not start. The text is for the log; a client sees only
/// [`Error::code`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy refused.
    #[error(transparent)]
    Refused(#[from] reeve_shared::Error),
}

impl Error {
    /// The code that protocol.md gives this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(error) => error.code(),
        }
    }
}
