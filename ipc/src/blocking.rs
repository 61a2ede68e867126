//! The executor's end: a reader that takes descriptors up, and a writer that many threads share.
use crate::error::Error;
use crate::frame::{self, Assembler};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use serde::Serialize;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A frame that was begun must be whole within this, and an answer taken.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What one recvmsg(2) brought.
#[derive(Debug)]
pub struct Received {
    /// Bytes read; 0 at the end.
    pub count: usize,
    /// The descriptors that came, owned from the first moment.
    pub descriptors: Vec<OwnedFd>,
    /// Whether the kernel dropped some (MSG_CTRUNC).
    pub cut_off: bool,
}

/// A socket that is read by recvmsg(2): a plain read would drop descriptors without a word.
pub trait Receive {
    /// Waits for bytes and reads them into `space`, with whatever descriptors come.
    ///
    /// # Errors
    /// The system's.
    fn receive(&self, space: &mut [u8]) -> io::Result<Received>;
}

/// The reading end.
#[derive(Debug)]
pub struct Reader<S> {
    socket: S,
    assembler: Assembler,
    /// A descriptor whose frame has not been handed out.
    descriptor: Option<OwnedFd>,
    /// Whether the frame that is under way is the last that may take the descriptor, and whether it was handed out.
    owed: Option<bool>,
    /// When the frame that is under way was begun.
    begun: Option<Instant>,
    patience: Duration,
}

impl<S: Receive + AsFd> Reader<S> {
    /// A reader that gives a frame `patience` to become whole: [`PATIENCE`], but in a test.
    pub fn new(socket: S, patience: Duration) -> Self {
        Self { socket, assembler: Assembler::default(), descriptor: None, owed: None, begun: None, patience }
    }

    /// The next frame that is here already, without waiting; `None` if [`Reader::wait`] has to be called first.
    ///
    /// # Errors
    /// A bad length, a descriptor that belongs to no frame.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Error> {
        if self.owed == Some(true) {
            self.owed = None;
            if self.descriptor.is_some() {
                return Err(Error::SurplusDescriptor);
            }
        }
        let frame = self.assembler.next_frame()?;
        if frame.is_some() {
            self.begun = None;
            self.owed = self.owed.map(|_| true);
        }
        Ok(frame)
    }

    /// The descriptor of the frame that was handed out last.
    ///
    /// # Errors
    /// [`Error::MissingDescriptor`].
    pub fn take_descriptor(&mut self) -> Result<OwnedFd, Error> {
        self.descriptor.take().ok_or(Error::MissingDescriptor)
    }

    /// Waits until there is something to read, for `patience` at most; `false` if there is not.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn is_ready_within(&self, patience: Duration) -> Result<bool, Error> {
        ready(&self.socket, PollFlags::POLLIN, Instant::now(), patience)
    }

    /// Waits for more bytes. To be called when [`Reader::next_frame`] has given `None`.
    ///
    /// # Errors
    /// The end of the link, in each of its ways.
    pub fn wait(&mut self) -> Result<(), Error> {
        // A descriptor comes with the last frame that one recvmsg(2) brings, or with the one behind it that isn't whole yet.
        match (self.assembler.is_partial(), self.descriptor.is_some()) {
            (false, true) => return Err(Error::SurplusDescriptor),
            (true, true) => self.owed = Some(false),
            (_, false) => {}
        }
        if self.assembler.is_partial() {
            self.wait_for_the_rest()?;
        }
        let received = loop {
            match self.socket.receive(self.assembler.space()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if received.cut_off {
            return Err(Error::CutOffDescriptors);
        }
        if received.count == 0 {
            return Err(if self.assembler.is_partial() { Error::Truncated } else { Error::Closed });
        }
        for descriptor in received.descriptors {
            if self.descriptor.replace(descriptor).is_some() {
                return Err(Error::SurplusDescriptor);
            }
        }
        self.assembler.filled(received.count);
        Ok(())
    }

    fn wait_for_the_rest(&mut self) -> Result<(), Error> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if ready(&self.socket, PollFlags::POLLIN, begun, self.patience)? {
            Ok(())
        } else {
            Err(Error::Unfinished(self.patience))
        }
    }
}

/// Waits until `socket` is ready for `what`; `false` when `patience` has passed since `begun`.
fn ready(socket: &impl AsFd, what: PollFlags, begun: Instant, patience: Duration) -> Result<bool, Error> {
    loop {
        let left = patience.saturating_sub(begun.elapsed());
        // Rounded up: a rest of less than a millisecond would be asked for again and again.
        let left = left.saturating_add(Duration::from_micros(999));
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), what)], timeout) {
            Ok(0) if begun.elapsed() >= patience => return Ok(false),
            Ok(0) | Err(nix::Error::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The writing end, for many threads. Frames that are ready at the same time leave in one write.
///
/// After a failure the link is shut down, so that the reader wakes up, and the first error is kept for it.
#[derive(Debug)]
pub struct Writer {
    waiting: Mutex<Vec<u8>>,
    socket: Mutex<Socket>,
    failure: Mutex<Option<Error>>,
    patience: Duration,
}

/// The socket, and a buffer that takes turns with the one that fills.
#[derive(Debug)]
struct Socket {
    stream: UnixStream,
    sending: Vec<u8>,
}

/// The most that an idle buffer keeps, in bytes.
const KEPT: usize = 64 << 10;

impl Writer {
    /// A writer that gives the other end `patience` to take what is written: [`PATIENCE`], but in a test.
    #[must_use]
    pub fn new(socket: UnixStream, patience: Duration) -> Self {
        let socket = Socket { stream: socket, sending: Vec::new() };
        Self { waiting: Mutex::default(), socket: Mutex::new(socket), failure: Mutex::default(), patience }
    }

    /// Appends a frame, to be sent by the next [`Writer::flush`] of any thread.
    pub fn push<T: Serialize>(&self, value: &T) {
        if let Err(error) = frame::append(&mut lock(&self.waiting), value) {
            self.fail(error);
        }
    }

    /// Appends bytes that [`frame`] made, to be sent by the next [`Writer::flush`] of any thread.
    pub fn push_frames(&self, frames: &[u8]) {
        lock(&self.waiting).extend_from_slice(frames);
    }

    /// Sends what waits.
    pub fn flush(&self) {
        let mut socket = lock(&self.socket);
        std::mem::swap(&mut socket.sending, &mut *lock(&self.waiting));
        let result = send_all(&socket.stream, &socket.sending, self.patience);
        socket.sending.clear();
        socket.sending.shrink_to(KEPT);
        drop(socket);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Sends what waits, then frames that are copied nowhere: they hold secrets.
    pub fn send_secret(&self, frames: &[u8]) {
        self.flush();
        let result = send_all(&lock(&self.socket).stream, frames, self.patience);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Appends a frame and sends what waits.
    pub fn send<T: Serialize>(&self, value: &T) {
        self.push(value);
        self.flush();
    }

    /// Shuts the link down.
    pub fn shut_down(&self) {
        // An error means that it is shut already.
        let _ = lock(&self.socket).stream.shutdown(Shutdown::Both);
    }

    /// Why writing failed, once.
    pub fn take_failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }

    fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
        self.shut_down();
    }
}

/// A poisoned lock holds whole frames all the same: nothing that can panic runs under it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send_all(socket: &UnixStream, mut bytes: &[u8], patience: Duration) -> Result<(), Error> {
    let mut begun = None;
    while !bytes.is_empty() {
        match send(socket.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(nix::Error::EAGAIN) => {
                let begun = *begun.get_or_insert_with(Instant::now);
                if !ready(socket, PollFlags::POLLOUT, begun, patience)? {
                    return Err(Error::NotTaken(patience));
                }
            }
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
