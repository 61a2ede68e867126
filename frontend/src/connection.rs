//! A client's connection: bytes in, frames out to the [`Server`], answers back. It holds no more than its bounds allow.
//!
//! One task reads. Answers are written by whoever has them, at once; a task that waits for the socket exists only while a
//! client is slow to read.
use crate::readiness::watch;
use crate::server::{Server, SharedServer};
use nix::sys::socket::{MsgFlags, recv, send};
use reeve_shared::{Caller, ErrorCode};
use std::cell::RefCell;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Requests of one connection that are unanswered at once; then nothing more is read from it.
const MAX_IN_FLIGHT: u32 = 64;
/// How long a connection that is closed with an answer on the way is read, so that the client sees the answer and no EPIPE.
pub(crate) const LINGER: Duration = Duration::from_secs(1);
/// What is asked for with one read(2).
pub(crate) const READ: usize = 64 << 10;
const HEADER: usize = 4;

/// A connection that is being served.
pub(crate) struct Connection {
    /// The number that it has on the link.
    pub(crate) number: u64,
    /// Who it is.
    pub(crate) caller: Caller,
    stream: UnixStream,
    state: RefCell<State>,
    /// Wakes the reading task: there is room again, or it is over.
    wake: Notify,
}

#[derive(Default)]
struct State {
    /// What was read and is no whole frame yet, or waits for its turn.
    input: Vec<u8>,
    /// What is still to be written.
    output: Vec<u8>,
    in_flight: u32,
    /// Whole frames wait in `input` until less is in flight.
    paused: bool,
    /// It is not read until there is room in memory again.
    starved: bool,
    /// The reading task sleeps until what it waits for has changed.
    waits: bool,
    /// When the frame that is under way was begun.
    begun: Option<Instant>,
    /// When the client last sent or took something.
    active: Option<Instant>,
    /// Since when the client takes no more of its answers.
    stalled: Option<Instant>,
    /// The client has shut down its writing side.
    at_end: bool,
    /// Nothing more is taken from it; it closes when its answers are written.
    closing: bool,
    /// It is over.
    dead: bool,
}

/// What the reading task does next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Read,
    Wait,
    Close,
    Drop,
}

impl Connection {
    pub(crate) fn new(number: u64, caller: Caller, stream: UnixStream, now: Instant) -> Self {
        let state = RefCell::new(State { active: Some(now), ..State::default() });
        Self { number, caller, stream, state, wake: Notify::new() }
    }

    /// Reads until the end, then closes.
    pub(crate) async fn serve(self: Rc<Self>, server: SharedServer) {
        self.read_until_the_end(&server).await;
        server.borrow_mut().leave(&self);
        // An error means that the client has closed it already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    async fn read_until_the_end(&self, server: &SharedServer) {
        let Ok(descriptor) = self.stream.try_clone() else { return };
        let Ok(readable) = watch(descriptor.into(), Interest::READABLE) else { return };
        loop {
            self.resume(server);
            match self.next(server) {
                Next::Read => {
                    tokio::select! {
                        biased;
                        () = self.wake.notified() => {}
                        guard = readable.readable() => {
                            let Ok(mut guard) = guard else { return };
                            if self.read(server) {
                                guard.clear_ready();
                            }
                        }
                    }
                }
                Next::Wait => self.wake.notified().await,
                Next::Close => return self.linger(&readable).await,
                Next::Drop => return,
            }
        }
    }

    fn next(&self, server: &SharedServer) -> Next {
        let mut state = self.state.borrow_mut();
        if state.dead {
            return Next::Drop;
        }
        state.starved = !server.borrow().has_room(self.caller.uid);
        let answered = state.in_flight == 0 && state.output.is_empty();
        let next = match (state.closing || state.at_end, answered) {
            (true, true) if state.closing => Next::Close,
            (true, true) => Next::Drop,
            (true, false) => Next::Wait,
            (false, _) if state.in_flight >= MAX_IN_FLIGHT || state.starved => Next::Wait,
            (false, _) => Next::Read,
        };
        state.waits = next == Next::Wait;
        next
    }

    /// Reads once and takes what is whole; `true` if nothing more can be there now.
    fn read(&self, server: &SharedServer) -> bool {
        let mut server = server.borrow_mut();
        let mut scratch = std::mem::take(&mut server.scratch);
        let result = recv(self.stream.as_raw_fd(), &mut scratch, MsgFlags::MSG_DONTWAIT);
        let drained = match result {
            Ok(0) => {
                self.state.borrow_mut().at_end = true;
                true
            }
            Ok(count) => {
                self.state.borrow_mut().active = Some(server.now());
                self.take(&mut server, scratch.get(..count).unwrap_or_default());
                count < scratch.len()
            }
            Err(nix::Error::EAGAIN) => true,
            Err(nix::Error::EINTR) => false,
            Err(_) => {
                self.state.borrow_mut().dead = true;
                true
            }
        };
        server.scratch = scratch;
        drop(server);
        drained
    }

    /// Takes bytes that came: whole frames go to the server, the rest is kept.
    fn take(&self, server: &mut Server, bytes: &[u8]) {
        let mut input = std::mem::take(&mut self.state.borrow_mut().input);
        let before = input.len();
        let rest = if input.is_empty() {
            // The usual case: nothing is copied.
            let used = self.take_frames(server, bytes);
            input.extend_from_slice(bytes.get(used..).unwrap_or_default());
            input
        } else {
            input.extend_from_slice(bytes);
            let used = self.take_frames(server, &input);
            // A message that is still coming in keeps its room: it would be copied with every read.
            if used > 0 {
                input.drain(..used);
                input.shrink_to(READ);
            }
            input
        };
        self.keep(server, rest, before);
        self.flush(server);
    }

    /// Keeps `rest` as input, of which `before` bytes were counted already.
    fn keep(&self, server: &mut Server, rest: Vec<u8>, before: usize) {
        server.count_held(self.caller.uid, before, rest.len());
        let mut state = self.state.borrow_mut();
        state.begun = if rest.is_empty() || state.paused { None } else { state.begun.or_else(|| Some(server.now())) };
        state.input = rest;
    }

    /// Hands on the whole frames that stand at the beginning of `bytes`, until the connection has enough in flight; returns
    /// how many bytes they were.
    fn take_frames(&self, server: &mut Server, bytes: &[u8]) -> usize {
        let mut used: usize = 0;
        loop {
            if self.state.borrow().closing {
                return bytes.len();
            }
            let rest = bytes.get(used..).unwrap_or_default();
            if self.state.borrow().in_flight >= MAX_IN_FLIGHT && !rest.is_empty() {
                self.state.borrow_mut().paused = true;
                return used;
            }
            let Some((header, body)) = rest.split_first_chunk::<HEADER>() else { return used };
            let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
            if length == 0 || length > server.max_message_size() {
                server.refuse_frame(self, ErrorCode::ProtocolError, "its length is 0 or over limits.max_message_size");
                self.close();
                return bytes.len();
            }
            let Some(frame) = body.get(..length) else { return used };
            used = used.saturating_add(HEADER).saturating_add(length);
            self.state.borrow_mut().begun = None;
            server.handle(self, frame);
        }
    }

    /// Takes on the frames that had to wait until less was in flight.
    fn resume(&self, server: &SharedServer) {
        let ready = {
            let state = self.state.borrow();
            state.paused && state.in_flight < MAX_IN_FLIGHT && !state.dead
        };
        if ready {
            self.state.borrow_mut().paused = false;
            self.take(&mut server.borrow_mut(), &[]);
        }
    }

    /// Counts a request that was handed to the executor.
    pub(crate) fn begin(&self) {
        let mut state = self.state.borrow_mut();
        state.in_flight = state.in_flight.saturating_add(1);
    }

    /// Counts a request that the executor answered.
    pub(crate) fn end(&self) {
        let mut state = self.state.borrow_mut();
        state.in_flight = state.in_flight.saturating_sub(1);
    }

    /// Appends an answer; it leaves with the next [`Connection::flush`].
    pub(crate) fn answer(&self, server: &mut Server, append: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.borrow_mut();
        if state.dead {
            return;
        }
        let before = state.output.len();
        append(&mut state.output);
        server.count_held(self.caller.uid, before, state.output.len());
    }

    /// Writes what the client takes now.
    pub(crate) fn flush(&self, server: &mut Server) {
        let mut state = self.state.borrow_mut();
        let (before, mut sent) = (state.output.len(), 0_usize);
        while let Some(rest) = state.output.get(sent..).filter(|rest| !rest.is_empty()) {
            match send(self.stream.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => sent = sent.saturating_add(count),
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => break,
                Err(_) => {
                    // The client is gone; nobody is left to answer.
                    state.dead = true;
                    sent = before;
                }
            }
        }
        state.output.drain(..sent);
        if state.output.is_empty() {
            state.output.shrink_to(READ);
            state.stalled = None;
        } else {
            let (began, now) = (state.stalled.is_none(), server.now());
            if sent > 0 || began {
                state.stalled = Some(now);
            }
            if began {
                server.write_later(self.number);
            }
        }
        if sent > 0 {
            state.active = Some(server.now());
        }
        server.count_held(self.caller.uid, before, state.output.len());
        // A task that sleeps on the socket has no need to wake for an answer that is written.
        if state.dead || state.waits {
            self.wake.notify_one();
        }
    }

    /// Waits until the client reads, and writes on, until nothing is left.
    pub(crate) async fn write_on(self: Rc<Self>, server: SharedServer) {
        let Ok(descriptor) = self.stream.try_clone() else { return self.abandon() };
        let Ok(writable) = watch(descriptor.into(), Interest::WRITABLE) else {
            return self.abandon();
        };
        while !self.is_written() {
            let Ok(mut guard) = writable.writable().await else { return self.abandon() };
            guard.clear_ready();
            self.flush(&mut server.borrow_mut());
        }
    }

    fn is_written(&self) -> bool {
        let state = self.state.borrow();
        state.dead || state.output.is_empty()
    }

    /// Takes nothing more; closes when what is in flight is answered and written.
    pub(crate) fn close(&self) {
        self.state.borrow_mut().closing = true;
        self.wake.notify_one();
    }

    /// Closes at once.
    fn abandon(&self) {
        self.state.borrow_mut().dead = true;
        self.wake.notify_one();
    }

    /// The bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        let state = self.state.borrow();
        state.input.len().saturating_add(state.output.len())
    }

    /// Ends it if its time is over.
    pub(crate) fn sweep(&self, server: &mut Server) {
        let (now, patience) = (server.now(), server.socket_timeout());
        let over = |since: Option<Instant>| since.is_some_and(|since| now.saturating_duration_since(since) >= patience);
        let (unread, unfinished, idle) = {
            let state = self.state.borrow();
            let quiet = state.in_flight == 0 && state.input.is_empty() && state.output.is_empty() && !state.closing;
            (over(state.stalled), over(state.begun) && !state.closing, quiet && over(state.active))
        };
        if unread || idle {
            self.abandon();
        } else if unfinished {
            server.refuse_frame(
                self,
                ErrorCode::ConnectionTimeout,
                "it was not whole within limits.socket_timeout_seconds",
            );
            self.close();
            self.flush(server);
        } else if self.state.borrow().starved {
            self.wake.notify_one();
        }
    }

    /// Lets the client read its last answer before the connection goes.
    async fn linger(&self, readable: &AsyncFd<OwnedFd>) {
        linger(&self.stream, readable).await;
    }
}

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
