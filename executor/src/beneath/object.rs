//! What a name in a folder leads to.
use crate::{Error, error::OrFailed, sys::Entries, trust::is_ours};
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::libc;
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmodat, fstat};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

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
    /// What it is called.
    fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "a folder",
            Self::File => "a regular file",
            Self::Symlink => "a symbolic link",
            Self::Other(name) => name,
        }
    }
}

/// An object that was found, held by a descriptor: by O_PATH, unless it is a folder that we made or whose names are read. What is
/// asked is asked of it, what is done is done to it, and nothing that its owner did makes that wait.
#[derive(Debug)]
pub(crate) struct Object<Descriptor = OwnedFd> {
    pub(crate) descriptor: Descriptor,
    /// What it was like when it was found.
    pub(crate) stat: FileStat,
    /// Its path, for messages: it may be somewhere else by now.
    pub(crate) path: PathBuf,
    /// Whether someone but root can write in a folder on the way to it, from the prefix on.
    pub(crate) in_loose: bool,
}

impl Object {
    pub(super) fn new(descriptor: OwnedFd, path: PathBuf, in_loose: bool) -> Result<Self, Error> {
        let stat = fstat(&descriptor).or_failed(&path, "asking what it is")?;
        Ok(Self { descriptor, stat, path, in_loose })
    }

    /// The object as a folder to go on in.
    pub(super) fn into_folder(self) -> Result<Self, Error> {
        if self.kind() == Kind::Folder { Ok(self) } else { Err(self.unfit("a folder")) }
    }

    /// The folder once more, open for what an O_PATH descriptor is not good for: reading its names, fsync(2). A folder has no
    /// lease and is no fifo, and one on a FUSE mount was never reached.
    pub(crate) fn readable(&self) -> Result<OwnedFd, Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        openat(self, ".", flags, Mode::empty()).or_failed(&self.path, "opening the folder")
    }

    /// The names in the folder.
    pub(super) fn entries(&self) -> Result<Entries, Error> {
        Entries::new(self.readable()?).or_failed(&self.path, "reading the folder")
    }

    /// The folder held by the one descriptor that reads its names.
    pub(crate) fn into_entries(self) -> Result<Object<Entries>, Error> {
        Ok(Object { descriptor: self.entries()?, stat: self.stat, path: self.path, in_loose: self.in_loose })
    }
}

impl<Descriptor: AsFd> Object<Descriptor> {
    pub(crate) fn kind(&self) -> Kind {
        match self.stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => Kind::Folder,
            libc::S_IFREG => Kind::File,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFIFO => Kind::Other("a fifo"),
            libc::S_IFSOCK => Kind::Other("a socket"),
            _ => Kind::Other("a device"),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::of(&self.stat)
    }

    /// Whether someone but root can write in this folder (its owner, or by a bit, which shows the mask of an ACL too) or in one on
    /// the way to it.
    pub(crate) fn is_loose(&self) -> bool {
        self.in_loose || !is_ours(self.stat.st_uid) || self.stat.st_mode & 0o022 != 0
    }

    /// Sets the mode of exactly this object, without opening it.
    pub(crate) fn chmod(&self, mode: Mode) -> Result<(), Error> {
        let link = format!("/proc/thread-self/fd/{}", self.as_fd().as_raw_fd());
        fchmodat(AT_FDCWD, link.as_str(), mode, FchmodatFlags::FollowSymlink).or_failed(&self.path, "setting its mode")
    }

    /// The refusal of an object that is not what the command takes.
    pub(crate) fn unfit(&self, expected: &'static str) -> Error {
        Error::WrongKind { path: self.path.clone(), found: self.kind().as_str(), expected }
    }
}

impl<Descriptor: AsFd> AsFd for Object<Descriptor> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
