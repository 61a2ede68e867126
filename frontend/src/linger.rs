//! Closing a connection with an answer on the way.
use nix::sys::socket::{MsgFlags, recv};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// How long such a connection is read, so that the client sees the answer and no EPIPE.
const LINGER: Duration = Duration::from_secs(1);

/// Shuts the writing side down, then reads and drops what still comes, until the end or for [`LINGER`].
pub(crate) async fn linger(stream: &UnixStream, readable: &AsyncFd<OwnedFd>) {
    let drop_the_rest = async {
        let mut dropped = [0; 4096];
        while let Ok(mut guard) = readable.readable().await {
            match recv(stream.as_raw_fd(), &mut dropped, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return,
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => guard.clear_ready(),
                Err(_) => return,
            }
        }
    };
    if stream.shutdown(Shutdown::Write).is_ok() {
        // Either way the connection closes now.
        let _ = timeout(LINGER, drop_the_rest).await;
    }
}
