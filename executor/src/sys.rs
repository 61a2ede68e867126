//! System calls that have no safe wrapper: the one module with `unsafe`.
#![allow(unsafe_code, reason = "each call here has no safe wrapper in std or nix; every block says why it is sound")]
use nix::dir::{Dir, Entry, OwningIter};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, getsockopt, recvmsg};
use nix::{cmsg_space, getsockopt_impl, libc, sockopt_impl};
use reeve_ipc::blocking::{Receive, Received};
use std::ffi::{CStr, CString};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

// The option of socket_cookie().
sockopt_impl!(Cookie, GetOnly, libc::SOL_SOCKET, libc::SO_COOKIE, u64);

/// The number by which the kernel tells this socket from every other one since boot (SO_COOKIE, socket(7)).
///
/// # Errors
/// It is no socket.
pub(crate) fn socket_cookie(socket: &impl AsFd) -> io::Result<u64> {
    Ok(getsockopt(socket, Cookie)?)
}

/// Removes an extended attribute (fremovexattr(2)). It may be absent, and the file system may know none.
///
/// # Errors
/// The system's; EBADF for an O_PATH descriptor.
pub(crate) fn remove_xattr(file: &impl AsFd, name: &CStr) -> io::Result<()> {
    // SAFETY: `name` ends with a NUL and outlives the call, which only reads it.
    let result = unsafe { libc::fremovexattr(file.as_fd().as_raw_fd(), name.as_ptr()) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The first descriptor that a service manager passes (SD_LISTEN_FDS_START).
const LISTEN_FDS_START: RawFd = 3;
static LISTEN_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes up the descriptor that the service manager passed. To be called only when LISTEN_FDS and LISTEN_PID say that there is
/// one, and before anything else is opened.
///
/// # Errors
/// It is not open, or was taken already.
pub(crate) fn listen_descriptor() -> io::Result<OwnedFd> {
    if LISTEN_TAKEN.swap(true, Ordering::SeqCst) {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: the flag makes this the only owner that we make of it, LISTEN_FDS says that nobody else in this process is one,
    // and the next call refuses a number that is not open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(LISTEN_FDS_START) };
    fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: as above; it is open.
    Ok(unsafe { OwnedFd::from_raw_fd(LISTEN_FDS_START) })
}

/// Has every descriptor from `first` on closed by the next exec, whoever opened it and however (close_range(2), Linux 5.11).
/// Until then their owners keep them.
///
/// # Errors
/// The system's.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(|_| Errno::EBADF)?;
    // SAFETY: it takes three numbers and closes nothing now.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result)?;
    Ok(())
}

/// The names in an open folder, one at a time. The one descriptor that reads them also looks them up.
#[derive(Debug)]
pub(crate) struct Entries(OwningIter);

impl Entries {
    /// Reads the folder that `descriptor` is open on, not by O_PATH.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        Ok(Self(Dir::from_fd(descriptor)?.into_iter()))
    }
}

impl Iterator for Entries {
    type Item = io::Result<CString>;
    fn next(&mut self) -> Option<Self::Item> {
        let is_dots = |entry: &Entry| matches!(entry.file_name().to_bytes(), b"." | b"..");
        let entry = self.0.find(|entry| !entry.as_ref().is_ok_and(is_dots))?;
        Some(entry.map(|entry| entry.file_name().to_owned()).map_err(io::Error::from))
    }
}

impl AsFd for Entries {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor and closes it when it is dropped, which the borrow of `self` rules out.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

/// The most descriptors that the kernel takes in one message (SCM_MAX_FD, unix(7)).
const MOST_DESCRIPTORS: usize = 253;

/// The executor's end of the link: read by recvmsg(2), always.
///
/// There is room for all the descriptors that a message can bring, so that each has an owner and a surplus one is closed. Only
/// when this process may open no more is MSG_CTRUNC set; nix gives none of them then, and the process ends with the link.
#[derive(Debug)]
pub struct LinkSocket(pub UnixStream);

impl AsFd for LinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Receive for LinkSocket {
    fn receive(&self, space: &mut [u8]) -> io::Result<Received> {
        let mut control = cmsg_space!([RawFd; MOST_DESCRIPTORS]);
        let mut space = [IoSliceMut::new(space)];
        let message = recvmsg::<()>(self.0.as_raw_fd(), &mut space, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let mut descriptors = Vec::new();
        for part in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(raw) = part {
                // SAFETY: the kernel has just opened them for this message, so nobody else owns them.
                descriptors.extend(raw.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }));
            }
        }
        Ok(Received { count: message.bytes, descriptors, cut_off: message.flags.contains(MsgFlags::MSG_CTRUNC) })
    }
}

/// What a tenant does to a file of his, for tests: takes a write lease. Whoever breaks it is told by SIGURG, which nobody minds.
#[cfg(test)]
pub(crate) fn take_lease(file: &std::fs::File) -> io::Result<()> {
    /// <asm-generic/fcntl.h>; libc leaves it out.
    const F_SETSIG: libc::c_int = 10;
    for (command, argument) in [(F_SETSIG, libc::SIGURG), (libc::F_SETLEASE, libc::F_WRLCK)] {
        // SAFETY: it takes three numbers.
        Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), command, argument) })?;
    }
    Ok(())
}

/// Whether nobody has broken it.
#[cfg(test)]
pub(crate) fn has_lease(file: &std::fs::File) -> bool {
    // SAFETY: it takes two numbers.
    let lease = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) };
    lease == libc::F_WRLCK
}

#[cfg(test)]
mod tests;
