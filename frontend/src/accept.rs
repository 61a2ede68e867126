//! The public socket: who may connect at all, and how many.
use crate::answer;
use crate::connection::{Connection, PAUSE};
use crate::linger::linger;
use crate::readiness::watch;
use crate::server::{SharedServer, Welcome};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{MsgFlags, getsockopt, recv, send};
use reeve_shared::{Caller, ErrorCode, RequestId};
use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use tokio::io::Interest;
use tokio::task::{spawn_local, yield_now};

/// Refused connections that wait for their client to read why; beyond that they close at once.
const MAX_LINGERING: u32 = 32;
/// Connections that are accepted in one go.
const IN_ONE_GO: u64 = 16;

/// Accepts until the task is ended.
///
/// # Errors
/// The event loop's.
pub(crate) async fn accept(listener: UnixListener, server: SharedServer) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let readable = watch(listener.try_clone()?.into(), Interest::READABLE)?;
    let lingering = Rc::new(Cell::new(0));
    for accepted in 1_u64.. {
        if accepted.checked_rem(IN_ONE_GO) == Some(0) {
            // Those who are connected have their turn.
            yield_now().await;
        }
        let mut guard = readable.readable().await?;
        match listener.accept() {
            Ok((stream, _)) => welcome(stream, &server, &lingering),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {}
            Err(error) => {
                drop(guard);
                tracing::warn!(%error, "can't accept; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    Ok(())
}

fn welcome(stream: UnixStream, server: &SharedServer, lingering: &Rc<Cell<u32>>) {
    let Ok(peer) = getsockopt(&stream, PeerCredentials) else { return };
    let caller = Caller { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
    let welcome = server.borrow_mut().welcome(caller, stream);
    match welcome {
        Welcome::Serve(connection) => {
            spawn_local(Connection::serve(connection, Rc::clone(server)));
        }
        Welcome::Refuse(stream, request_id, code) => {
            if lingering.get() < MAX_LINGERING {
                lingering.set(lingering.get().saturating_add(1));
                spawn_local(refuse(stream, request_id, code, Rc::clone(lingering)));
            } else {
                say(&stream, request_id, code);
                // What has come already is read, so that a client that wrote first sees the answer and no EPIPE.
                let _ = recv(stream.as_raw_fd(), &mut [0; 4096], MsgFlags::MSG_DONTWAIT);
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

async fn refuse(stream: UnixStream, request_id: RequestId, code: ErrorCode, lingering: Rc<Cell<u32>>) {
    say(&stream, request_id, code);
    let readable = stream.try_clone().map(|clone| watch(clone.into(), Interest::READABLE));
    if let Ok(Ok(readable)) = readable {
        linger(&stream, &readable).await;
    }
    let _ = stream.shutdown(Shutdown::Both);
    lingering.set(lingering.get().saturating_sub(1));
}

/// Writes the one answer. A fresh socket has room for it; a client that is gone needs none.
fn say(stream: &UnixStream, request_id: RequestId, code: ErrorCode) {
    let mut out = Vec::new();
    answer::append_error(&mut out, request_id, None, code);
    let _ = send(stream.as_raw_fd(), &out, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
}
