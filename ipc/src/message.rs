//! What the two processes say to each other.
//!
//! ```text
//! executor                         frontend
//!    | ---------- hello: Setup ------> |      configuration, secrets, templates
//!    | <--------- hello: Ready ------- |      its cage is closed
//!    | <--------- Opened + descriptor  |      numbered 0, 1, 2, ... by both ends, in this order
//!    | <--------- Request ------------ |
//!    | ---------- Answer ------------> |      in any order
//!    | <--------- Closed ------------- |
//! ```
use reeve_shared::{Caller, Command, ErrorCode, Layer, Outcome, Policy, RequestId, Secret, TemplateName};
use serde::{Deserialize, Serialize};

/// The version of everything in this file. Both ends are built from one tree; a mismatch means a half-done upgrade.
pub const VERSION: u32 = 1;

/// The executor's hello: all that the frontend needs to know. It is also what a reload brings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Who may call, and what the lists allow.
    pub policy: Policy,
    /// `[security]`.
    pub security: Security,
    /// `[limits]`.
    pub limits: Limits,
    /// The secrets that sign requests; at most four.
    pub secrets: Vec<Secret>,
    /// Operators' templates, those of `custom_templates_dir` first. The shipped ones are built into the frontend.
    pub templates: Vec<Template>,
    /// The least severe level that is logged: `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
    /// Whether the frontend was given CAP_SYS_CHROOT to enclose itself with.
    pub chroot: bool,
}

/// `[security]`, as far as the frontend needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// The age above which a request is refused, in seconds.
    pub max_request_age_seconds: u64,
    /// How long a nonce is kept at least, in seconds.
    pub nonce_ttl_seconds: u64,
    /// How many requests a uid may send in a window.
    pub rate_limit_requests: u32,
    /// The window, in seconds.
    pub rate_limit_window_seconds: u64,
}

/// `[limits]`, as far as the frontend needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Connections at once.
    pub max_connections: u32,
    /// The longest message of a client, in bytes.
    pub max_message_size: u32,
    /// The time for a whole message, for an idle connection, for a client to read its answers; in seconds.
    pub socket_timeout_seconds: u64,
}

/// A template of the operator's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// The name that clients use.
    pub name: TemplateName,
    /// Its text.
    pub source: String,
}

/// The frontend's hello: its cage is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Each separation that is in force, in words, for the log.
    pub separations: Vec<String>,
}

/// What the executor says after the hello.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToFrontend {
    /// What a command came to.
    Answer(Answer),
    /// Pass this number round through the event loop and send it back.
    Watchdog(u64),
    /// A configuration that was read again.
    Reload(Box<Setup>),
    /// Take nothing new, finish what is under way, end.
    Drain,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The number that the frontend gave the request.
    pub id: u64,
    /// The id that the executor minted for it.
    pub request_id: RequestId,
    /// Its outcome, or the code that says why there is none.
    pub result: Result<Outcome, ErrorCode>,
}

/// What the frontend says after the hello.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToExecutor {
    /// A client connected. The connection's descriptor travels with this frame. Both ends count these frames from 0: the count
    /// is the connection's number.
    Opened,
    /// The frontend shut the connection of this number down.
    Closed(u64),
    /// A command to approve and carry out.
    Request(Request),
    /// A refusal for the audit trail, claimed by the frontend.
    Rejected(Rejected),
    /// The answer to [`ToFrontend::Watchdog`].
    Watchdog(u64),
    /// The answer to [`ToFrontend::Reload`]: why it was refused, as with a template that can't be read; `None` if it is in force.
    Reloaded(Option<String>),
}

/// A command to approve and carry out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// A number of the frontend's own, which the answer repeats.
    pub id: u64,
    /// The number of the connection that asks. Who that is the executor knows.
    pub connection: u64,
    /// What is asked for.
    pub command: Command,
}

impl ToExecutor {
    /// The longest reason for which a reload is refused, in bytes.
    pub const MAX_REASON: usize = 4096;

    /// Whether its texts keep the bounds that they have beyond that of a frame.
    #[must_use]
    pub fn bounded(&self) -> bool {
        match self {
            Self::Rejected(rejected) => rejected.command.as_ref().is_none_or(|name| name.len() <= Rejected::MAX_NAME),
            Self::Reloaded(refusal) => refusal.as_ref().is_none_or(|why| why.len() <= Self::MAX_REASON),
            Self::Request(_) | Self::Opened | Self::Closed(_) | Self::Watchdog(_) => true,
        }
    }
}

/// A refusal by the frontend. Its bounds are those of [`ToExecutor::bounded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The id that the client was told.
    pub request_id: RequestId,
    /// Who was refused, as the frontend read it.
    pub peer: Caller,
    /// The layer that refused.
    pub layer: Layer,
    /// What the client was told.
    pub code: ErrorCode,
    /// The command's name, if it was read; not more of it than [`Rejected::MAX_NAME`] bytes.
    pub command: Option<String>,
    /// How many refusals before this one were left out.
    pub left_out: u64,
}

impl Rejected {
    /// The longest name of a command that is recorded, in bytes.
    pub const MAX_NAME: usize = 64;
}
