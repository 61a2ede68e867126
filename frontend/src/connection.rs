//! A client's connection: bytes in, frames out to the [`Server`], answers back. It holds no more than its bounds allow.
//!
//! One task reads. Answers are written by whoever has them, at once; a task that waits for the socket exists only while a
//! client is slow to read.
use crate::frame::{HEADER, whole_length};
use crate::linger::linger;
use crate::readiness::watch;
use crate::server::{Server, SharedServer};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use reeve_shared::{Caller, ErrorCode};
use std::cell::RefCell;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// Requests of one connection that are unanswered at once; then nothing more is read from it.
const MAX_IN_FLIGHT: u32 = 64;
/// What is asked for with one read(2).
pub(crate) const READ: usize = 64 << 10;
/// Frames that are taken in one go; then others have their turn.
const IN_ONE_GO: u32 = 64;
/// How long to wait when the system has no descriptor left.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

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
    /// Room for the frame that is coming in.
    grant: Grant,
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

/// Room for a frame that is larger than what a connection has of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Grant {
    /// None is needed.
    #[default]
    None,
    /// So many bytes were asked for.
    Wished(usize),
    /// They were given.
    Given(usize),
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
            while self.resume(server) {
                // Others have their turn.
                yield_now().await;
            }
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
                Next::Close => return linger(&self.stream, &readable).await,
                Next::Drop => return,
            }
        }
    }

    fn next(&self, server: &SharedServer) -> Next {
        let mut state = self.state.borrow_mut();
        if state.dead {
            return Next::Drop;
        }
        let server = server.borrow();
        let starved = match state.grant {
            Grant::Given(_) => false,
            Grant::Wished(_) => true,
            Grant::None => !server.may_read(self.caller.uid),
        };
        let was_starved = std::mem::replace(&mut state.starved, starved);
        if was_starved && !state.starved {
            // It was we who kept it waiting.
            state.active = Some(server.now());
            state.begun = state.begun.and(state.active);
        }
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
        let has_grant = matches!(self.state.borrow().grant, Grant::Given(_));
        let most = if has_grant { scratch.len() } else { server.memory.own.min(scratch.len()) };
        let space = scratch.get_mut(..most).unwrap_or_default();
        let result = recv(self.stream.as_raw_fd(), space, MsgFlags::MSG_DONTWAIT);
        let drained = match result {
            Ok(0) => {
                self.state.borrow_mut().at_end = true;
                true
            }
            Ok(count) => {
                self.state.borrow_mut().active = Some(server.now());
                self.take(&mut server, scratch.get(..count).unwrap_or_default());
                count < most
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
                self.give_back(server);
            }
            input
        };
        self.keep(server, rest);
        self.flush(server);
    }

    /// Keeps `rest` as input, and asks for room if it is the beginning of a large frame.
    fn keep(&self, server: &mut Server, rest: Vec<u8>) {
        let whole = rest.first_chunk::<HEADER>().map(whole_length);
        let mut state = self.state.borrow_mut();
        state.begun = if rest.is_empty() || state.paused { None } else { state.begun.or_else(|| Some(server.now())) };
        state.input = rest;
        if let Some(whole) = whole.filter(|whole| *whole > server.memory.own && !state.paused) {
            if state.grant == Grant::None {
                state.grant = Grant::Wished(whole);
                drop(state);
                server.memory.wish(self.number, self.caller.uid, whole);
                server.grant();
            }
        }
    }

    /// Takes the room that it asked for.
    pub(crate) fn granted(&self, now: Instant) {
        let mut state = self.state.borrow_mut();
        if let Grant::Wished(bytes) = state.grant {
            state.grant = Grant::Given(bytes);
            state.begun = Some(now);
            let missing = bytes.saturating_sub(state.input.len());
            state.input.reserve_exact(missing);
            self.wake.notify_one();
        }
    }

    /// Gives back the room for a frame that was taken.
    fn give_back(&self, server: &mut Server) {
        let grant = std::mem::take(&mut self.state.borrow_mut().grant);
        if let Grant::Given(bytes) = grant {
            server.memory.give_back(self.caller.uid, bytes);
            server.grant();
        }
    }

    /// Lets all go that it holds.
    pub(crate) fn let_go(&self, server: &mut Server) {
        let unsent = self.state.borrow().output.len();
        server.memory.unsent(self.caller.uid, unsent, 0);
        self.give_back(server);
    }

    /// Hands on the whole frames that stand at the beginning of `bytes`, until the connection has enough in flight; returns
    /// how many bytes they were.
    fn take_frames(&self, server: &mut Server, bytes: &[u8]) -> usize {
        let mut used: usize = 0;
        for taken in 0.. {
            if self.state.borrow().closing {
                return bytes.len();
            }
            let rest = bytes.get(used..).unwrap_or_default();
            let enough = taken >= IN_ONE_GO || self.state.borrow().in_flight >= MAX_IN_FLIGHT;
            if enough && !rest.is_empty() {
                self.state.borrow_mut().paused = true;
                return used;
            }
            let Some((header, body)) = rest.split_first_chunk::<HEADER>() else { return used };
            let length = whole_length(header).saturating_sub(HEADER);
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
        used
    }

    /// Takes on the frames that had to wait; whether there were some.
    fn resume(&self, server: &SharedServer) -> bool {
        let ready = {
            let state = self.state.borrow();
            state.paused && state.in_flight < MAX_IN_FLIGHT && !state.dead
        };
        if ready {
            self.state.borrow_mut().paused = false;
            self.take(&mut server.borrow_mut(), &[]);
        }
        ready
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
        server.memory.unsent(self.caller.uid, before, state.output.len());
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
        server.memory.unsent(self.caller.uid, before, state.output.len());
        // A task that sleeps on the socket has no need to wake for an answer that is written.
        if state.dead || state.waits {
            self.wake.notify_one();
        }
    }

    /// Waits until the client reads, and writes on, until nothing is left.
    pub(crate) async fn write_on(self: Rc<Self>, server: SharedServer) {
        let descriptor = loop {
            match self.stream.try_clone() {
                Ok(descriptor) => break descriptor,
                Err(_) if self.is_written() => return,
                // The system has none left for now. The client's own time limit ends this.
                Err(_) => sleep(PAUSE).await,
            }
        };
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

    /// Ends it if its time is over.
    pub(crate) fn sweep(&self, server: &mut Server) {
        let (now, patience) = (server.now(), server.socket_timeout());
        let over = |since: Option<Instant>| since.is_some_and(|since| now.saturating_duration_since(since) >= patience);
        let (unread, unfinished, idle) = {
            let state = self.state.borrow();
            let quiet = state.in_flight == 0 && state.input.is_empty() && state.output.is_empty();
            // Who waits for us is not late.
            let late = !state.closing && !state.starved;
            (over(state.stalled), late && over(state.begun), late && quiet && over(state.active))
        };
        let starved = self.state.borrow().starved;
        if unread || idle || (starved && self.has_hung_up()) {
            self.abandon();
        } else if unfinished {
            server.refuse_frame(
                self,
                ErrorCode::ConnectionTimeout,
                "it was not whole within limits.socket_timeout_seconds",
            );
            self.close();
            self.flush(server);
        } else if starved {
            self.wake.notify_one();
        }
    }

    /// Whether the client has closed, as far as that can be seen without reading.
    fn has_hung_up(&self) -> bool {
        let mut polled = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        let found = poll(&mut polled, PollTimeout::ZERO);
        found.is_ok_and(|count| count > 0) && polled.iter().any(|fd| fd.any().unwrap_or(true))
    }
}
