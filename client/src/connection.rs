//! A connection to the daemon.
use crate::answer::{self, Answer, Failure};
use crate::error::{Error, Stage};
use crate::frame::{self, Assembler};
use crate::request::Request;
use crate::sign::Key;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Sends one request over a connection of its own. `timeout` is for all of it: connecting, sending, the answer.
///
/// # Errors
/// Why there is no good answer; [`Error::Answered`] if the daemon says why.
pub fn call(path: impl AsRef<Path>, key: &Key, timeout: Duration, request: &Request) -> Result<Answer, Error> {
    let deadline = Deadline::new(timeout);
    let stream = connect_by(path.as_ref(), deadline)?;
    Connection::new(stream, key.clone(), timeout).exchange(request, deadline)
}

/// A connection to the daemon. Any number of requests may be under way on it; their answers are told apart by nonce.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    key: Key,
    timeout: Duration,
    assembler: Assembler,
    /// The nonces of requests that somebody waits for. What comes for another one is dropped.
    waiting: HashSet<String>,
    /// Answers that came while another was waited for, in the order in which they came.
    kept: VecDeque<Result<Answer, Failure>>,
    /// Whether the daemon will say no more.
    ended: bool,
    /// Whether nothing can be sent any more: it reads no more, or a frame is cut off within.
    mute: bool,
}

impl Connection {
    /// Connects to the socket at `path`. `timeout` is for connecting, and from then on for each call.
    ///
    /// # Errors
    /// [`Error::NoSocket`], [`Error::NotListening`], [`Error::NoPermission`], [`Error::Connect`], [`Error::TimedOut`].
    pub fn connect(path: impl AsRef<Path>, key: Key, timeout: Duration) -> Result<Self, Error> {
        Ok(Self::new(connect_by(path.as_ref(), Deadline::new(timeout))?, key, timeout))
    }

    /// A connection over a stream that is connected already.
    #[must_use]
    pub fn new(stream: UnixStream, key: Key, timeout: Duration) -> Self {
        Self {
            stream,
            key,
            timeout,
            assembler: Assembler::default(),
            waiting: HashSet::new(),
            kept: VecDeque::new(),
            ended: false,
            mute: false,
        }
    }

    /// Changes the time that each call is given.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Sends a command with its parameters, as JSON text, and waits for its answer.
    ///
    /// # Errors
    /// [`Error::Answered`] if the daemon refused it, or failed; otherwise why there is no answer.
    pub fn call(&mut self, command: &str, params: &str) -> Result<Answer, Error> {
        let deadline = Deadline::new(self.timeout);
        self.exchange(&Request::new(command, params)?, deadline)
    }

    /// Sends a request and does not wait for its answer, which is [`Connection::receive`]'s to bring.
    ///
    /// # Errors
    /// [`Error::Closed`] if nothing can be sent any more; [`Error::RequestTooLong`], [`Error::TimedOut`], [`Error::System`].
    pub fn send(&mut self, request: &Request) -> Result<(), Error> {
        self.send_by(request, Deadline::new(self.timeout))
    }

    /// Waits for the answer to the request of this nonce. Those to other requests are kept for their turn. An answer
    /// without a nonce, such as that to a connection too many, is given to the first who waits.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn receive(&mut self, nonce: &str) -> Result<Answer, Error> {
        self.receive_by(Some(nonce), Deadline::new(self.timeout))
    }

    /// Waits for an answer, whichever comes first.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn receive_any(&mut self) -> Result<Answer, Error> {
        self.receive_by(None, Deadline::new(self.timeout))
    }

    fn exchange(&mut self, request: &Request, deadline: Deadline) -> Result<Answer, Error> {
        self.send_by(request, deadline)?;
        let result = self.receive_by(Some(&request.nonce), deadline);
        // Nobody will ask for it again.
        self.waiting.remove(&request.nonce);
        result
    }

    fn send_by(&mut self, request: &Request, deadline: Deadline) -> Result<(), Error> {
        let mut bytes = Vec::new();
        frame::append(&mut bytes, &request.message(&self.key)?)?;
        if self.mute {
            return Err(Error::Closed);
        }
        self.waiting.insert(request.nonce.clone());
        let (mut rest, mut result) = (bytes.as_slice(), Ok(()));
        while !rest.is_empty() && !self.ended && result.is_ok() {
            match send(self.stream.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                // Two that both only write would wait for each other, so what it says is taken up meanwhile.
                Err(nix::Error::EAGAIN) => result = self.wait_for_room(deadline),
                Err(nix::Error::EINTR) => {}
                // It reads no more. Why, it may have said before: that is still to be read.
                Err(nix::Error::EPIPE | nix::Error::ECONNRESET) => break,
                Err(error) => result = Err(error.into()),
            }
        }
        if result.is_err() {
            self.waiting.remove(&request.nonce);
        }
        let begun = rest.len() < bytes.len();
        let timed_out = matches!(result, Err(Error::TimedOut { .. }));
        self.mute = !rest.is_empty() && (begun || !timed_out);
        result
    }

    fn receive_by(&mut self, nonce: Option<&str>, deadline: Deadline) -> Result<Answer, Error> {
        loop {
            let due = |kept: &Result<Answer, Failure>| match (nonce, kept) {
                (Some(nonce), Ok(answer)) => answer.nonce == nonce,
                (Some(nonce), Err(failure)) => failure.nonce.as_ref().is_none_or(|other| other == nonce),
                (None, _) => true,
            };
            if let Some(kept) = self.kept.iter().position(due).and_then(|place| self.kept.remove(place)) {
                return kept.map_err(Error::Answered);
            }
            if self.ended {
                return Err(Error::Closed);
            }
            if ready(&self.stream, PollFlags::POLLIN, deadline)?.is_none() {
                return Err(deadline.passed(Stage::Answering));
            }
            self.read()?;
        }
    }

    fn wait_for_room(&mut self, deadline: Deadline) -> Result<(), Error> {
        match ready(&self.stream, PollFlags::POLLIN | PollFlags::POLLOUT, deadline)? {
            None => Err(deadline.passed(Stage::Sending)),
            Some(events) if events.contains(PollFlags::POLLIN) => self.read(),
            Some(_) => Ok(()),
        }
    }

    /// Reads once, and keeps each whole answer.
    fn read(&mut self) -> Result<(), Error> {
        let mut space = [0; 16 << 10];
        match recv(self.stream.as_raw_fd(), &mut space, MsgFlags::MSG_DONTWAIT) {
            Ok(0) | Err(nix::Error::ECONNRESET) => self.ended = true,
            Ok(count) => self.assembler.push(space.get(..count).unwrap_or_default()),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.keep_whole_answers().inspect_err(|_| {
            // Where the next answer would begin nobody knows.
            self.ended = true;
            self.mute = true;
        })
    }

    fn keep_whole_answers(&mut self) -> Result<(), Error> {
        while let Some(message) = self.assembler.next_message()? {
            let answer = answer::parse(message)?;
            let nonce = match &answer {
                Ok(answer) => Some(&answer.nonce),
                Err(failure) => failure.nonce.as_ref(),
            };
            if nonce.is_none_or(|nonce| self.waiting.remove(nonce)) {
                self.kept.push_back(answer);
            }
        }
        Ok(())
    }
}

/// A time that is up at some moment.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    begun: Instant,
    after: Duration,
}

impl Deadline {
    fn new(after: Duration) -> Self {
        Self { begun: Instant::now(), after }
    }

    fn left(self) -> Duration {
        self.after.saturating_sub(self.begun.elapsed())
    }

    fn passed(self, stage: Stage) -> Error {
        Error::TimedOut { stage, after: self.after }
    }
}

/// Connects, and waits for a place in the backlog if it is full.
fn connect_by(path: &Path, deadline: Deadline) -> Result<UnixStream, Error> {
    let failed = |source: nix::Error| Error::Connect { path: path.to_owned(), source: source.into() };
    let address = UnixAddr::new(path).map_err(failed)?;
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    let stream = UnixStream::from(descriptor);
    loop {
        // connect(2) of a Unix socket waits for a place as long as SO_SNDTIMEO says (socket(7)); 0 would be for ever.
        stream.set_write_timeout(Some(deadline.left().max(Duration::from_millis(1))))?;
        match connect(stream.as_raw_fd(), &address) {
            Ok(()) => return Ok(stream),
            Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => return Err(Error::NoSocket(path.to_owned())),
            Err(nix::Error::ECONNREFUSED) => return Err(Error::NotListening(path.to_owned())),
            Err(nix::Error::EACCES | nix::Error::EPERM) => return Err(Error::NoPermission(path.to_owned())),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) if deadline.left().is_zero() => {
                return Err(deadline.passed(Stage::Connecting));
            }
            // A system that doesn't wait there says so at once: not to ask it without a pause.
            Err(nix::Error::EAGAIN) => std::thread::sleep(deadline.left().min(Duration::from_millis(5))),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Waits until `socket` is ready for `what`, or closed; `None` when the time is up.
fn ready(socket: &impl AsFd, what: PollFlags, deadline: Deadline) -> Result<Option<PollFlags>, io::Error> {
    loop {
        let left = deadline.left();
        // Rounded up: a rest of less than a millisecond would be asked for again and again.
        let timeout =
            PollTimeout::try_from(left.saturating_add(Duration::from_micros(999))).unwrap_or(PollTimeout::MAX);
        let mut polled = [PollFd::new(socket.as_fd(), what)];
        match poll(&mut polled, timeout) {
            Ok(0) if left.is_zero() => return Ok(None),
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(polled.first().and_then(PollFd::revents)),
            Err(error) => return Err(error.into()),
        }
    }
}
