//! The public socket: taken from the service manager (sd_listen_fds(3)), or made.
use crate::config::Socket;
use crate::error::Error;
use crate::host::file::account;
use crate::start::folders;
use crate::sys::listen_descriptor;
use crate::trust::is_ours;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::socket::sockopt::{AcceptConn, SockType as Kind};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, bind, connect, getsockname,
    getsockopt, listen, socket,
};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, lstat};
use nix::unistd::{fchownat, geteuid, unlink};
use reeve_shared::AbsolutePath;
use std::os::fd::{AsRawFd, OwnedFd};
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
    made: Option<(PathBuf, FileStat)>,
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

    /// Removes the socket file, if it is the one that was made here.
    pub fn remove(&self) {
        let Some((path, made)) = &self.made else { return };
        let ours = lstat(path).is_ok_and(|found| (found.st_dev, found.st_ino) == (made.st_dev, made.st_ino));
        if ours {
            if let Err(error) = unlink(path) {
                tracing::warn!(?path, %error, "the socket stays");
            }
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
            Err(Error::NotPassed(format!(
                "LISTEN_FDS is {}, LISTEN_PID is {}; they must be \"1\" and this process's id, {own}, or both unset",
                shown(count),
                shown(pid)
            )))
        }
    }
}

/// That a descriptor is a Unix stream socket that listens at `path`.
fn check(passed: &OwnedFd, path: &AbsolutePath) -> Result<(), Error> {
    let bad = |why: &str| {
        Error::NotPassed(format!("descriptor 3 {why}; ListenStream= must be socket.path, {path}, and nothing else"))
    };
    let name: SockaddrStorage = getsockname(passed.as_raw_fd()).map_err(|_| bad("is no socket"))?;
    if name.family() != Some(AddressFamily::Unix) {
        return Err(bad("is no Unix socket"));
    }
    if getsockopt(passed, Kind) != Ok(SockType::Stream) {
        return Err(bad("is no stream socket"));
    }
    if getsockopt(passed, AcceptConn) != Ok(true) {
        return Err(bad("does not listen"));
    }
    if name.as_unix_addr().and_then(UnixAddr::path) != Some(Path::new(path.as_str())) {
        return Err(bad("listens somewhere else"));
    }
    Ok(())
}

fn make(config: &Socket) -> Result<PublicSocket, Error> {
    let path = Path::new(config.path.as_str());
    let failed = |doing| move |why: Errno| Error::file(path, doing, why);
    // Who can write in its folder can put another socket there, and clients would trust that one.
    folders::make(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    clear(path)?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .map_err(failed("making a socket"))?;
    // It has its owner and mode before it listens: until then nobody can connect, whatever its mode.
    UnixAddr::new(path).and_then(|address| bind(socket.as_raw_fd(), &address)).map_err(failed("binding a socket"))?;
    let made = lstat(path).map_err(failed("looking at it"))?;
    let (owner, group) = (account::uid(Some(&config.owner))?, account::gid(Some(&config.group))?);
    if let Err(why) = fchownat(AT_FDCWD, path, owner, group, AtFlags::AT_SYMLINK_NOFOLLOW) {
        if geteuid().is_root() {
            return Err(Error::file(path, "setting its owner and group", why));
        }
        tracing::warn!(error = %why, "socket.owner and socket.group are not applied: an ordinary user can't give the socket away");
    }
    let mode = Mode::from_bits_truncate(config.permissions.bits());
    fchmodat(AT_FDCWD, path, mode, FchmodatFlags::FollowSymlink).map_err(failed("setting its mode"))?;
    Backlog::new(BACKLOG).and_then(|backlog| listen(&socket, backlog)).map_err(failed("listening"))?;
    Ok(PublicSocket { listener: socket.into(), made: Some((path.to_owned(), made)) })
}

/// Removes a socket of ours that nobody listens at. Anything else at the path is refused and left.
fn clear(path: &Path) -> Result<(), Error> {
    let failed = |doing| move |why: Errno| Error::file(path, doing, why);
    let found = match lstat(path) {
        Err(Errno::ENOENT) => return Ok(()),
        found => found.map_err(failed("looking at it"))?,
    };
    let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFSOCK || !is_ours(found.st_uid) {
        let what = if kind == SFlag::S_IFLNK { "a symlink" } else { "no socket of root's" };
        return Err(Error::unfit(
            path,
            format!("is {what}: it is left as it is; remove it, or set another socket.path"),
        ));
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(failed("making a socket"))?;
    match UnixAddr::new(path).and_then(|address| connect(probe.as_raw_fd(), &address)) {
        Err(Errno::ECONNREFUSED) => unlink(path).map_err(failed("removing the stale socket")),
        // A full backlog has a listener behind it.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Err(Error::unfit(
            path,
            "is a socket that another process serves: stop that one, or set another socket.path",
        )),
        Err(why) => Err(Error::file(path, "asking whether someone listens there", why)),
    }
}

#[cfg(test)]
mod tests;
