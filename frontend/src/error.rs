//! Why the frontend ends, or does not start.
use std::io;

/// Why the frontend ends, or does not start. The executor's log has the text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The link to the executor ended.
    #[error("the link to the executor ended: {0}")]
    Link(#[from] reeve_ipc::Error),
    /// A template of the operator's can't be read.
    #[error(transparent)]
    Template(#[from] crate::prepare::Error),
    /// The event loop failed.
    #[error("the event loop failed: {0}")]
    System(#[from] io::Error),
    /// The public socket takes no connection any more.
    #[error("the public socket takes no connection any more")]
    CannotAccept,
    /// A separation can't be had.
    #[error("the cage can't be closed: {doing}: {why}")]
    Cage {
        /// What could not be done.
        doing: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}
