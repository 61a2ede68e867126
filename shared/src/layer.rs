//! The layers that a request passes, in their order, and the error codes with their fixed texts.
use serde::{Deserialize, Serialize};

/// A layer that can refuse a request; the first that fails answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Layer {
    /// The peer's uid, at accept.
    Peer,
    /// The number of connections.
    Connection,
    /// Length and completeness of the frame.
    Frame,
    /// The sliding window of the peer's uid.
    Rate,
    /// The strict JSON pass.
    Request,
    /// The age of the request.
    Timestamp,
    /// The HMAC.
    Signature,
    /// The nonce.
    Nonce,
    /// The command's name.
    Command,
    /// The request's options.
    Options,
    /// The command's parameters, lists included.
    Parameters,
    /// The executor's own checks and its work.
    Executor,
}

impl Layer {
    /// The layer's name in log, metrics and audit trail.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Connection => "connection",
            Self::Frame => "frame",
            Self::Rate => "rate",
            Self::Request => "request",
            Self::Timestamp => "timestamp",
            Self::Signature => "signature",
            Self::Nonce => "nonce",
            Self::Command => "command",
            Self::Options => "options",
            Self::Parameters => "parameters",
            Self::Executor => "executor",
        }
    }
}

/// Makes [`ErrorCode`]: one row a code, with its spelling and its fixed text.
macro_rules! error_codes {
    ($( $(#[doc = $doc:literal])+ $Code:ident = $name:literal, $message:literal; )*) => {
        /// What an error answer says, and all that it says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode { $( $(#[doc = $doc])+ $Code ),* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$Code),*];

            /// The code as clients read it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$Code => $name),* }
            }

            /// The text that goes with it, always the same.
            #[must_use]
            pub fn message(self) -> &'static str {
                match self { $(Self::$Code => $message),* }
            }
        }
    };
}

error_codes! {
    /// The uid, the timestamp, the signature or the nonce.
    AuthError = "AUTH_ERROR", "Authentication failed";
    /// A caller who may not use that command.
    PermissionDenied = "PERMISSION_DENIED", "Not permitted";
    /// Malformed parameters, and what the lists don't allow.
    ValidationError = "VALIDATION_ERROR", "Invalid request parameters";
    /// An unknown command; or the system refused, or the tool failed.
    CommandError = "COMMAND_ERROR", "Command execution failed";
    /// It could not be begun, or its outcome is unknown.
    ExecutionError = "EXECUTION_ERROR", "Internal execution error";
    /// A defect.
    InternalError = "INTERNAL_ERROR", "Internal server error";
    /// The sliding window, or the nonce store, is full.
    RateLimited = "RATE_LIMITED", "Too many requests";
    /// A message that was begun and not finished in time.
    ConnectionTimeout = "CONNECTION_TIMEOUT", "Connection timed out";
    /// A message that breaks the framing or the strict JSON pass.
    ProtocolError = "PROTOCOL_ERROR", "Malformed message";
    /// Not begun: safe to send again, with a new nonce.
    Busy = "BUSY", "Too many concurrent requests";
}
