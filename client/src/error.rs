//! Why there is no good answer.
use crate::answer::Failure;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no good answer. Each names what is wrong and, where something does, what mends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket's path leads to nothing.
    #[error("there is no socket at {0:?}: start the daemon, or name the path of its socket")]
    NoSocket(PathBuf),
    /// There is a file, and nobody listens.
    #[error("nobody listens at {0:?}: the daemon has stopped, start it again")]
    NotListening(PathBuf),
    /// The file system keeps this user from the socket.
    #[error(
        "this user may not open {0:?}: it must belong to the group of the socket (socket.group, or SocketGroup= of reeve.socket)"
    )]
    NoPermission(PathBuf),
    /// Any other reason for which connect(2) fails.
    #[error("can't connect to {path:?}: {source}")]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The time was up.
    #[error("{stage} within {after:?}: {}", .stage.mend())]
    TimedOut {
        /// What was waited for.
        stage: Stage,
        /// The time that was given.
        after: Duration,
    },
    /// The daemon closed the connection and gave no answer.
    #[error(
        "the daemon closed the connection before it answered: whether a command was carried out, its audit trail says"
    )]
    Closed,
    /// An answer that the protocol doesn't know.
    #[error("the daemon's answer is malformed: {0}; is that the socket of Reeve?")]
    MalformedAnswer(String),
    /// An answer over the limit. No memory was taken for it.
    #[error("the daemon's answer is of {0} bytes, more than is read; is that the socket of Reeve?")]
    AnswerTooLong(usize),
    /// A request that no frame holds.
    #[error("a request of {0} bytes fits no message: send less content")]
    RequestTooLong(usize),
    /// Text that was to be JSON.
    #[error("{what} are not JSON: {reason}")]
    NotJson {
        /// What was to be JSON.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The file that holds the secret can't be read.
    #[error("can't read the secret in {path:?}: {source}; run as a user who may read it, or name another file")]
    SecretUnreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What was given as a secret has a length that no secret has.
    #[error("the secret{} must have 32 to 4096 bytes: `openssl rand -base64 32` makes one, the same for the daemon and for here",
        .path.as_ref().map(|path| format!(" in {path:?}")).unwrap_or_default())]
    SecretLength {
        /// The file that it was read from.
        path: Option<PathBuf>,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a nonce")]
    NoRandomness,
    /// The clock stands before 1970.
    #[error("the clock of this host stands before 1970: set it")]
    Clock,
    /// The daemon refused the request, or failed to carry it out.
    #[error(transparent)]
    Answered(#[from] Failure),
    /// The connection failed in a way that has no name of its own.
    #[error("the connection failed: {0}")]
    System(#[from] io::Error),
}

/// What was waited for when the time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A place in the daemon's backlog.
    Connecting,
    /// Room for the request.
    Sending,
    /// The answer.
    Answering,
}

impl Stage {
    fn mend(self) -> &'static str {
        match self {
            Self::Connecting => "its backlog is full; nothing was sent, try again later",
            Self::Sending => "it reads no more; nothing was carried out, try again later",
            Self::Answering => {
                "the command may be carried out all the same, the daemon's audit trail says; give it more time"
            }
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "the daemon took no connection",
            Self::Sending => "the daemon did not take the request",
            Self::Answering => "the daemon gave no answer",
        })
    }
}

impl From<nix::Error> for Error {
    fn from(error: nix::Error) -> Self {
        Self::System(error.into())
    }
}
