//! The public socket: taken from the service manager (sd_listen_fds(3)), or made.
use crate::{
    Error, config::Socket, error::OrFailed, host::file::account, inputs::make_folder, sys::listen_descriptor,
    trust::is_ours,
};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::socket::sockopt::{AcceptConn, SockType as Kind};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, bind, connect, getsockname,
    getsockopt, listen, socket,
};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{fchownat, geteuid, unlink};
use reeve_shared::AbsolutePath;
use std::fs::{Metadata, symlink_metadata};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Connections that may wait to be accepted: what Linux allows unless net.core.somaxconn says otherwise.
const BACKLOG: i32 = 4096;

/// The listening socket.
#[derive(Debug)]
pub struct PublicSocket {
    /// It.
    pub listener: UnixListener,
    /// Where it was made, and what was made there, if not by the service manager.
    made: Option<(PathBuf, Metadata)>,
}

/// What the service manager passed, if it did.
#[derive(Debug)]
pub struct Passed(Option<OwnedFd>);

impl Passed {
    /// Takes up the descriptor that the environment's LISTEN_FDS and LISTEN_PID announce. To be called before anything else opens
    /// one: if they don't tell the truth it would be that.
    ///
    /// # Errors
    /// [`Error::NotPassed`].
    pub fn take() -> Result<Self, Error> {
        let variable = |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        if !is_passed(variable("LISTEN_FDS").as_deref(), variable("LISTEN_PID").as_deref())? {
            return Ok(Self(None));
        }
        let passed = listen_descriptor().map_err(|why| Error::NotPassed(format!("descriptor 3: {why}")))?;
        Ok(Self(Some(passed)))
    }
}

impl PublicSocket {
    /// The socket that was passed, or else one that is made.
    ///
    /// # Errors
    /// [`Error::NotPassed`], [`Error::Unfit`].
    pub fn open(passed: Passed, config: &Socket) -> Result<Self, Error> {
        let Passed(Some(passed)) = passed else { return make(config) };
        check(&passed, &config.path)?;
        Ok(Self { listener: passed.into(), made: None })
    }
}

/// Removes the socket file, if it is the one that was made here.
impl Drop for PublicSocket {
    fn drop(&mut self) {
        let Some((path, made)) = &self.made else { return };
        let ours = symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (made.dev(), made.ino()));
        if ours {
            let _ = unlink(path).inspect_err(|error| tracing::warn!(?path, %error, "the socket stays"));
        }
    }
}

fn is_passed(count: Option<&str>, pid: Option<&str>) -> Result<bool, Error> {
    let own = std::process::id().to_string();
    match (count, pid) {
        (None, None) => Ok(false),
        (Some("1"), Some(pid)) if pid == own => Ok(true),
        (count, pid) => {
            let shown = |value: Option<&str>| value.map_or("unset".to_owned(), reeve_shared::error::excerpt);
            let (count, pid) = (shown(count), shown(pid));
            let due = format!("\"1\" and this process's id, {own}, or both unset");
            Err(Error::NotPassed(format!("LISTEN_FDS is {count}, LISTEN_PID is {pid}; they must be {due}")))
        }
    }
}

/// That a descriptor is a Unix stream socket that listens at `path`.
fn check(passed: &OwnedFd, path: &AbsolutePath) -> Result<(), Error> {
    let why = match getsockname::<SockaddrStorage>(passed.as_raw_fd()) {
        Err(_) => "is no socket",
        Ok(name) if name.family() != Some(AddressFamily::Unix) => "is no Unix socket",
        Ok(_) if getsockopt(passed, Kind) != Ok(SockType::Stream) => "is no stream socket",
        Ok(_) if getsockopt(passed, AcceptConn) != Ok(true) => "does not listen",
        Ok(name) if name.as_unix_addr().and_then(UnixAddr::path) != Some(path.as_ref()) => "listens somewhere else",
        Ok(_) => return Ok(()),
    };
    Err(Error::NotPassed(format!("descriptor 3 {why}; ListenStream= must be socket.path, {path}, and nothing else")))
}

fn make(config: &Socket) -> Result<PublicSocket, Error> {
    let path: &Path = config.path.as_ref();
    // Who can write in its folder can put another socket there, and clients would trust that one.
    make_folder(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    clear(path)?;
    let socket = new_socket(path, SockFlag::SOCK_CLOEXEC)?;
    // It has its owner and mode before it listens: until then nobody can connect, whatever its mode.
    let bound = UnixAddr::new(path).and_then(|address| bind(socket.as_raw_fd(), &address));
    bound.or_failed(path, "binding a socket")?;
    let made = symlink_metadata(path).or_failed(path, "looking at it")?;
    let made = PublicSocket { listener: socket.into(), made: Some((path.to_owned(), made)) };
    let (owner, group) = (account::uid(Some(&config.owner))?, account::gid(Some(&config.group))?);
    match fchownat(AT_FDCWD, path, owner, group, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(error) if !geteuid().is_root() => {
            let why = "an ordinary user can't give the socket away";
            tracing::warn!(%error, "socket.owner and socket.group are not applied: {why}");
        }
        owned => owned.or_failed(path, "setting its owner and group")?,
    }
    let mode = Mode::from_bits_truncate(config.permissions.bits());
    fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink).or_failed(path, "setting its mode")?;
    Backlog::new(BACKLOG).and_then(|backlog| listen(&made.listener, backlog)).or_failed(path, "listening")?;
    Ok(made)
}

/// Removes a socket of ours that nobody listens at. Anything else at the path is refused and left.
fn clear(path: &Path) -> Result<(), Error> {
    let found = match symlink_metadata(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.or_failed(path, "looking at it")?,
    };
    if !found.file_type().is_socket() || !is_ours(found.uid()) {
        let what = if found.is_symlink() { "a symlink" } else { "no socket of root's" };
        let mend = "it is left as it is; remove it, or set another socket.path";
        return Err(Error::unfit(path, format!("is {what}: {mend}")));
    }
    let probe = new_socket(path, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    match UnixAddr::new(path).and_then(|address| connect(probe.as_raw_fd(), &address)) {
        Err(Errno::ECONNREFUSED) => unlink(path).or_failed(path, "removing the stale socket"),
        // A full backlog has a listener behind it.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => {
            let mend = "stop that one, or set another socket.path";
            Err(Error::unfit(path, format!("is a socket that another process serves: {mend}")))
        }
        Err(why) => Err(Error::file(path, "asking whether someone listens there", why)),
    }
}

fn new_socket(path: &Path, flags: SockFlag) -> Result<OwnedFd, Error> {
    socket(AddressFamily::Unix, SockType::Stream, flags, None).or_failed(path, "making a socket")
}

#[cfg(test)]
mod tests;
