//! Waiting for a descriptor: the one place that registers with the event loop.
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `descriptor` for reading or for writing, never for both: an interest in writing wakes this process each time that
/// the other end has read.
pub(crate) fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    #[allow(
        deprecated,
        reason = "its successor is unsafe to call, for what an OwnedFd keeps by its type: it stays open, and the same"
    )]
    AsyncFd::with_interest(descriptor, interest)
}
