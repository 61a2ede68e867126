//! The frontend's end: nothing here waits. The event loop says when to try.
use crate::error::Error;
use crate::frame::{self, Assembler};
use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};

/// Frames that wait to be sent, in order.
#[derive(Debug, Default)]
pub struct Outgoing {
    segments: VecDeque<Segment>,
    /// How many bytes of the first segment are gone.
    sent: usize,
    length: usize,
}

/// Bytes that leave in one call: many frames, or one frame and its descriptor.
#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    descriptor: Option<OwnedFd>,
}

impl Outgoing {
    /// Appends a frame.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn push<T: Serialize>(&mut self, value: &T) -> Result<(), Error> {
        if self.segments.back().is_none_or(|last| last.descriptor.is_some()) {
            self.segments.push_back(Segment::default());
        }
        match self.segments.back_mut() {
            Some(last) => {
                let before = last.bytes.len();
                frame::append(&mut last.bytes, value)?;
                self.length = self.length.saturating_add(last.bytes.len().saturating_sub(before));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Appends this end's hello.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn push_hello<T: Serialize>(&mut self, value: &T) -> Result<(), Error> {
        let mut segment = Segment::default();
        frame::append_hello(&mut segment.bytes, value)?;
        self.length = self.length.saturating_add(segment.bytes.len());
        self.segments.push_back(segment);
        Ok(())
    }

    /// Appends a frame that takes a descriptor along, in a sendmsg(2) of its own.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn push_with_descriptor<T: Serialize>(&mut self, value: &T, descriptor: OwnedFd) -> Result<(), Error> {
        let mut segment = Segment { bytes: Vec::new(), descriptor: Some(descriptor) };
        frame::append(&mut segment.bytes, value)?;
        self.length = self.length.saturating_add(segment.bytes.len());
        self.segments.push_back(segment);
        Ok(())
    }

    /// The bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Sends what the socket takes now; `true` if nothing is left.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn flush(&mut self, socket: &impl AsRawFd) -> Result<bool, Error> {
        while let Some(first) = self.segments.front_mut() {
            let rest = first.bytes.get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                self.segments.pop_front();
                self.sent = 0;
                continue;
            }
            let descriptor = first.descriptor.as_ref().map(|descriptor| [descriptor.as_raw_fd()]);
            let rights = descriptor.as_ref().map(|descriptor| ControlMessage::ScmRights(descriptor));
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(rest)], rights.as_slice(), flags, None) {
                Ok(count) => {
                    // The descriptor left with the first byte; sending it once more would be a surplus one.
                    first.descriptor = None;
                    self.sent = self.sent.saturating_add(count);
                    self.length = self.length.saturating_sub(count);
                }
                Err(nix::Error::EAGAIN) => return Ok(false),
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

/// Reads once into `assembler`; `None` when nothing has come, else whether the read was short, so that nothing more can be there.
///
/// # Errors
/// [`Error::Closed`] or [`Error::Truncated`] at the end, [`Error::System`].
pub fn receive(socket: &impl AsRawFd, assembler: &mut Assembler) -> Result<Option<bool>, Error> {
    let partial = assembler.is_partial();
    let space = assembler.space();
    let room = space.len();
    loop {
        match recv(socket.as_raw_fd(), space, MsgFlags::MSG_DONTWAIT) {
            Ok(0) if partial => return Err(Error::Truncated),
            Ok(0) => return Err(Error::Closed),
            Ok(count) => {
                assembler.filled(count);
                return Ok(Some(count < room));
            }
            Err(nix::Error::EAGAIN) => return Ok(None),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
