//! System calls that have no safe wrapper: the one module with `unsafe`.
#![allow(unsafe_code, reason = "each call here has no safe wrapper in std or nix; every block says why it is sound")]
use nix::dir::{Dir, OwningIter};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use reeve_ipc::blocking::{Receive, Received};
use std::ffi::{CStr, CString};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The number by which the kernel tells this socket from every other one since boot (SO_COOKIE, socket(7)).
///
/// # Errors
/// It is no socket.
pub(crate) fn socket_cookie(socket: &impl AsFd) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `cookie`; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            ptr::from_mut(&mut cookie).cast(),
            &mut length,
        )
    };
    Errno::result(result)?;
    Ok(cookie)
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
    // and F_GETFD within the next call refuses a number that is not open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(LISTEN_FDS_START) };
    fcntl(descriptor, FcntlArg::F_GETFD)?;
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
        loop {
            match self.0.next()? {
                Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
                Ok(entry) => return Some(Ok(entry.file_name().to_owned())),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

impl AsFd for Entries {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the stream owns the descriptor and closes it when it is dropped, which the borrow of `self` rules out.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}

/// How many descriptors one message may bring; a frame takes one, so that a second shows what is wrong.
const DESCRIPTORS: usize = 2;
/// The bytes of `DESCRIPTORS` descriptors.
const PAYLOAD: u32 = 2 * 4;
// SAFETY: it only computes.
const SPACE: usize = to_usize(unsafe { libc::CMSG_SPACE(PAYLOAD) });

#[allow(clippy::as_conversions, reason = "there is no other conversion in a constant, and a usize has 32 bits or more")]
const fn to_usize(number: u32) -> usize {
    number as usize
}

/// The executor's end of the link: read by recvmsg(2), always.
///
/// nix's own iterator gives no control message after MSG_CTRUNC, and so loses descriptors that the kernel had opened by then.
#[derive(Debug)]
pub struct LinkSocket(pub UnixStream);

impl AsFd for LinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Receive for LinkSocket {
    fn receive(&self, space: &mut [u8]) -> io::Result<Received> {
        // Of u64, so that it is aligned as a cmsghdr wants it.
        let mut control = [0_u64; SPACE.div_ceil(size_of::<u64>())];
        let mut vector = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
        // SAFETY: a msghdr of zeroes is a valid one, without buffers.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = &mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = SPACE;
        // SAFETY: `message` names two buffers, `space` and `control`, with no more than their lengths; both outlive the call.
        let count = unsafe { libc::recvmsg(self.0.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
        let count = usize::try_from(Errno::result(count)?).unwrap_or(0);
        let mut descriptors = Vec::with_capacity(DESCRIPTORS);
        // SAFETY: the kernel has filled `message`; its control buffer is `control`, which is alive and aligned.
        let mut header = unsafe { libc::CMSG_FIRSTHDR(&message) };
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a header that lies wholly within the control buffer.
        while let Some(control_message) = unsafe { header.as_ref() } {
            if control_message.cmsg_level == libc::SOL_SOCKET && control_message.cmsg_type == libc::SCM_RIGHTS {
                // SAFETY: it only computes.
                let empty = to_usize(unsafe { libc::CMSG_LEN(0) });
                let bytes = control_message.cmsg_len.saturating_sub(empty);
                // SAFETY: it only computes, from a header of the control buffer.
                let data = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
                for index in 0..bytes.checked_div(size_of::<RawFd>()).unwrap_or(0) {
                    // SAFETY: cmsg_len says that this many descriptors lie at `data`, which need not be aligned for them.
                    let raw = unsafe { data.add(index).read_unaligned() };
                    // SAFETY: the kernel has just opened it for this message, so nobody else owns it.
                    descriptors.push(unsafe { OwnedFd::from_raw_fd(raw) });
                }
            }
            // SAFETY: as for CMSG_FIRSTHDR; `header` came from there or from here.
            header = unsafe { libc::CMSG_NXTHDR(&message, header) };
        }
        Ok(Received { count, descriptors, cut_off: message.msg_flags & libc::MSG_CTRUNC != 0 })
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
