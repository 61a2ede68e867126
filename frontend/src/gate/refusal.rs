//! What the gate answers to a request that it does not admit.
use super::nonce::Unusable;
use super::options::Refused;
use super::request::Fault;
use super::signature::Unauthentic;
use super::timestamp::Untimely;
use reeve_shared::{ErrorCode, Layer};
use std::fmt::{Display, Write};

/// A request that is not admitted.
#[derive(Debug)]
pub struct Refusal {
    /// The layer that refused.
    pub layer: Layer,
    /// What the client is told.
    pub code: ErrorCode,
    /// The nonce that the answer carries, if a single well-formed one was read.
    pub nonce: Option<String>,
    /// The beginning of the command's name, if it was read: at most [`Refusal::MAX_COMMAND`] bytes.
    pub command: Option<String>,
    /// Why. Its text, made only when it is asked for, is for the log; the client is not told.
    pub reason: Reason,
}

impl Refusal {
    /// The longest [`command`](Self::command), in bytes: what the audit trail keeps of a refused one.
    pub const MAX_COMMAND: usize = reeve_ipc::message::Rejected::MAX_NAME;

    pub(super) fn new(reason: Reason, nonce: Option<&str>, command: Option<&str>) -> Self {
        let (layer, code) = reason.answer();
        Self { layer, code, nonce: nonce.map(str::to_owned), command: command.map(beginning), reason }
    }
}

/// Why a request is not admitted, by layer.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The window of the peer's uid is full.
    #[error("more than {requests} requests in {seconds} s; security.rate_limit_requests raises the limit")]
    Rate {
        /// The limit.
        requests: u32,
        /// The window.
        seconds: u64,
    },
    /// The frame is malformed.
    #[error("{}", printable(.0))]
    Request(#[source] Fault),
    /// The request is not of the present.
    #[error("{error}{}", set_back(*.behind))]
    Timestamp {
        /// Why.
        #[source]
        error: Untimely,
        /// How far the wall clock lies behind what it has shown, in seconds.
        behind: u64,
    },
    /// The request is not authentic.
    #[error(transparent)]
    Signature(Unauthentic),
    /// The nonce can't be used.
    #[error(transparent)]
    Nonce(Unusable),
    /// There is no such command.
    #[error(transparent)]
    Command(reeve_shared::Error),
    /// An option that does not exist.
    #[error(transparent)]
    Options(Refused),
    /// Parameters that the command does not take.
    #[error("the parameters are refused: {}", printable(.0))]
    Parameters(#[source] serde_json::Error),
}

impl Reason {
    fn answer(&self) -> (Layer, ErrorCode) {
        match self {
            Self::Rate { .. } => (Layer::Rate, ErrorCode::RateLimited),
            Self::Request(_) => (Layer::Request, ErrorCode::ProtocolError),
            Self::Timestamp { .. } => (Layer::Timestamp, ErrorCode::AuthError),
            Self::Signature(_) => (Layer::Signature, ErrorCode::AuthError),
            Self::Nonce(Unusable::Replayed) => (Layer::Nonce, ErrorCode::AuthError),
            Self::Nonce(Unusable::Full(_) | Unusable::ShareFull(_)) => (Layer::Nonce, ErrorCode::RateLimited),
            Self::Command(error) => (Layer::Command, error.code()),
            Self::Options(_) => (Layer::Options, ErrorCode::ValidationError),
            Self::Parameters(_) => (Layer::Parameters, ErrorCode::ValidationError),
        }
    }
}

fn set_back(behind: u64) -> String {
    match behind {
        0 => String::new(),
        _ => format!(" (this host's clock was set back by {behind} s; requests are refused until it has caught up)"),
    }
}

/// The first 256 characters of a text that a client may have had a part in, escaped to ASCII.
fn printable(text: &dyn Display) -> String {
    const KEPT: usize = 256;
    let text = text.to_string();
    let mut out = String::with_capacity(text.len().min(KEPT));
    for c in text.chars().take(KEPT) {
        if c == ' ' || c.is_ascii_graphic() {
            out.push(c);
        } else {
            let _ = write!(out, "{}", c.escape_default());
        }
    }
    if text.chars().nth(KEPT).is_some() {
        out.push_str("...");
    }
    out
}

fn beginning(text: &str) -> String {
    let mut end = text.len().min(Refusal::MAX_COMMAND);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_64_bytes_of_a_command_are_kept() {
        for (text, kept) in
            [("", 0), ("system.ping", 11), (&"a".repeat(64), 64), (&"a".repeat(65), 64), (&"é".repeat(99), 64)]
        {
            assert_eq!(beginning(text).len(), kept);
        }
        assert_eq!(beginning(&format!("a{}", "é".repeat(99))).len(), 63);
    }

    #[test]
    fn what_a_client_wrote_is_escaped_and_bounded() {
        assert_eq!(printable(&"a `b\n\u{1b}[0m\u{202e}é` \"c\""), "a `b\\n\\u{1b}[0m\\u{202e}\\u{e9}` \"c\"");
        assert_eq!(printable(&"x".repeat(256)).len(), 256);
        assert_eq!(printable(&"x".repeat(100_000)).len(), 259);
    }
}
