//! What a name in a folder leads to.
use super::folder::Folder;
use crate::error::Error;
use crate::trust;
use nix::fcntl::AT_FDCWD;
use nix::libc;
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmodat};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Device and inode: which object it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(libc::dev_t, libc::ino_t);

impl Identity {
    pub(crate) fn of(stat: &FileStat) -> Self {
        Self(stat.st_dev, stat.st_ino)
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A fifo, a socket, a device: what it is called.
    Other(&'static str),
}

impl Kind {
    pub(crate) fn of(stat: &FileStat) -> Self {
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => Self::Folder,
            libc::S_IFREG => Self::File,
            libc::S_IFLNK => Self::Symlink,
            libc::S_IFIFO => Self::Other("a fifo"),
            libc::S_IFSOCK => Self::Other("a socket"),
            _ => Self::Other("a device"),
        }
    }

    /// What it is called.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "a folder",
            Self::File => "a regular file",
            Self::Symlink => "a symbolic link",
            Self::Other(name) => name,
        }
    }
}

/// Whether someone but root can write in a folder: its owner, or by a bit (which shows the mask of an ACL too).
pub(crate) fn is_loose(stat: &FileStat) -> bool {
    !trust::is_ours(stat.st_uid) || stat.st_mode & 0o022 != 0
}

/// An object that was found, held by an O_PATH descriptor. What is asked is asked of it, what is done is done to it, and nothing
/// that its owner did makes that wait.
#[derive(Debug)]
pub(crate) struct Object {
    pub(super) descriptor: OwnedFd,
    pub(super) stat: FileStat,
    pub(super) path: PathBuf,
}

impl Object {
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(&self.stat)
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::of(&self.stat)
    }

    pub(crate) fn stat(&self) -> &FileStat {
        &self.stat
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The object as a folder to go on in. `loose` says whether someone but root could write in one on the way to it.
    pub(crate) fn into_folder(self, loose: bool) -> Result<Folder, Error> {
        if self.kind() != Kind::Folder {
            return Err(self.unfit("a folder"));
        }
        Ok(Folder::new(self.descriptor, self.path, loose || is_loose(&self.stat)))
    }

    /// Sets the mode of exactly this object, without opening it.
    pub(crate) fn chmod(&self, mode: Mode) -> Result<(), Error> {
        let link = format!("/proc/thread-self/fd/{}", self.descriptor.as_raw_fd());
        fchmodat(AT_FDCWD, link.as_str(), mode, FchmodatFlags::FollowSymlink)
            .map_err(|why| Error::file(&self.path, "setting its mode", why))
    }

    /// The refusal of an object that is not what the command takes.
    pub(crate) fn unfit(&self, expected: &'static str) -> Error {
        Error::WrongKind { path: self.path.clone(), found: self.kind().as_str(), expected }
    }
}

impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
