//! Why the link ended.
use std::io;
use std::time::Duration;

/// Why the link ended, or a frame can't be made. After any of these nothing more is read from the link.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other end is gone, between two frames.
    #[error("the other process closed the link")]
    Closed,
    /// The other end is gone within a frame.
    #[error("the link ended within a frame")]
    Truncated,
    /// A length over the limit. No memory was taken for it.
    #[error("a frame of {0} bytes is longer than allowed")]
    TooLong(usize),
    /// The bytes are no value of the type that is due.
    #[error("a frame is malformed: {0}")]
    Malformed(String),
    /// The hello is of another version.
    #[error(
        "the other process speaks version {theirs} of the link, this one {ours}: they are of two releases; install both anew"
    )]
    Version {
        /// The other end's.
        theirs: u32,
        /// This end's.
        ours: u32,
    },
    /// A descriptor came with a frame that takes none, or more than one came.
    #[error("a descriptor came that no frame takes")]
    SurplusDescriptor,
    /// A frame that takes a descriptor came without one.
    #[error("a frame came without the descriptor that belongs to it")]
    MissingDescriptor,
    /// The kernel dropped descriptors (MSG_CTRUNC, recvmsg(2)).
    #[error("descriptors were cut off")]
    CutOffDescriptors,
    /// A frame was begun and not finished.
    #[error("a frame was begun and not finished within {0:?}")]
    Unfinished(Duration),
    /// The other end doesn't read.
    #[error("a frame was not taken within {0:?}")]
    NotTaken(Duration),
    /// The system refused.
    #[error("the link failed: {0}")]
    System(#[from] io::Error),
}

impl From<nix::Error> for Error {
    fn from(error: nix::Error) -> Self {
        Self::System(error.into())
    }
}
