//! What a file is to hold.
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;

/// UTF-8 text, bounded by its type. Neither printed nor recorded: the audit trail has its size and SHA-256.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Content(String);

impl Content {
    /// The longest content, in bytes: the largest `limits.max_message_size` that a configuration may name.
    pub const MAX: usize = 16 << 20;

    /// The content as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl TryFrom<String> for Content {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        if text.len() <= Self::MAX {
            Ok(Self(text))
        } else {
            Err(Error::malformed("content", &format!("{} bytes", text.len()), "16 MiB at most"))
        }
    }
}
impl From<Content> for String {
    fn from(content: Content) -> String {
        content.0
    }
}
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_bounded_and_not_printed() {
        let most = "x".repeat(Content::MAX);
        assert!(Content::try_from(format!("{most}x")).is_err());
        assert_eq!(format!("{:?}", Content::try_from(most).unwrap()), "Content(16777216 bytes)");
    }
}
