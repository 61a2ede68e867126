//! What this crate refuses, and the code that a client is told for it.
use crate::layer::ErrorCode;
#[cfg(feature = "config")]
use std::path::{Path, PathBuf};

/// Why a value, a command or a caller was refused. The text is for the log; a client sees only [`Error::code`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value that breaks the grammar of its type.
    #[error("{value} is not a valid {kind}: expected {expected}")]
    Malformed {
        /// What the value was to be.
        kind: &'static str,
        /// The beginning of the value, escaped. Never that of a secret.
        value: String,
        /// The grammar, in words.
        expected: &'static str,
    },
    /// A well-formed value that is on no list.
    #[error("{kind} {value:?} is not on the list of allowed ones; {key} in the configuration adds to it")]
    NotListed {
        /// What the value names.
        kind: &'static str,
        /// The value.
        value: String,
        /// The key of `[whitelists]` that would allow it.
        key: &'static str,
    },
    /// A path that is, or lies beneath, a protected one.
    #[error("path {path:?} is protected by {protected:?}; nothing in the configuration opens it")]
    Protected {
        /// The path that was asked for.
        path: String,
        /// The protected path, or the component that protects it.
        protected: String,
    },
    /// A PHP setting that names a file, a library, a command or a handler.
    #[error("php setting {0:?} names a file, a library, a command or a handler and can't be added")]
    UnsafePhpSetting(String),
    /// A uid that is not in `allowed_uids`.
    #[error("uid {0} is not in security.allowed_uids")]
    CallerNotAllowed(u32),
    /// No row of the table has this name.
    #[error("there is no command {0}")]
    UnknownCommand(String),
    /// What stands in the configuration, or doesn't.
    #[cfg(feature = "config")]
    #[error("{file:?}: {why}")]
    Setting {
        /// The configuration file.
        file: PathBuf,
        /// The key, what is wrong with it and what it should be.
        why: String,
    },
}

impl Error {
    /// The code that protocol.md gives this refusal.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::CallerNotAllowed(_) => ErrorCode::AuthError,
            Self::UnknownCommand(_) => ErrorCode::CommandError,
            Self::Malformed { .. } | Self::NotListed { .. } | Self::Protected { .. } | Self::UnsafePhpSetting(_) => {
                ErrorCode::ValidationError
            }
            #[cfg(feature = "config")]
            Self::Setting { .. } => ErrorCode::ExecutionError,
        }
    }

    /// A fault of the configuration's.
    #[cfg(feature = "config")]
    pub fn setting(file: &Path, why: impl Into<String>) -> Self {
        Self::Setting { file: file.to_owned(), why: why.into() }
    }

    /// A [`Error::Malformed`] with the beginning of `value`, escaped to ASCII.
    pub(crate) fn malformed(kind: &'static str, value: &str, expected: &'static str) -> Self {
        Self::Malformed { kind, value: excerpt(value), expected }
    }
}

/// The first 64 characters of `text`, quoted and escaped to ASCII, so that no value can write to the log what it likes.
#[must_use]
pub fn excerpt(text: &str) -> String {
    const KEPT: usize = 64;
    let mut out = String::from("\"");
    out.extend(text.chars().take(KEPT).flat_map(char::escape_default));
    out.push_str(if text.chars().nth(KEPT).is_some() { "\"..." } else { "\"" });
    out
}
