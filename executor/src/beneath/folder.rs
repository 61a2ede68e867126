//! A folder that the walk has reached.
use crate::error::Error;
use crate::sys::Entries;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// An open folder, and what the way to it was like.
#[derive(Debug)]
pub(crate) struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
    loose: bool,
}

impl Folder {
    pub(super) fn new(descriptor: OwnedFd, path: PathBuf, loose: bool) -> Self {
        Self { descriptor, path, loose }
    }

    /// Another handle to it.
    pub(super) fn another(&self) -> Result<Self, Error> {
        let descriptor = self.descriptor.try_clone().map_err(|why| Error::File {
            path: self.path.clone(),
            doing: "holding it",
            why,
        })?;
        Ok(Self { descriptor, path: self.path.clone(), loose: self.loose })
    }

    /// Its path, for messages: it may be somewhere else by now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether someone but root can write in it or in a folder on the way to it, from the prefix on.
    pub(crate) fn is_loose(&self) -> bool {
        self.loose
    }

    /// The folder once more, open for what an O_PATH descriptor is not good for: reading its names, fsync(2).
    pub(crate) fn readable(&self) -> Result<OwnedFd, Error> {
        readable(self, &self.path)
    }
}

/// Opens a folder for reading. A folder has no lease and is no fifo, and one on a FUSE mount was never reached.
pub(crate) fn readable(folder: &impl AsFd, path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    openat(folder, ".", flags, Mode::empty()).map_err(|why| Error::file(path, "opening the folder", why))
}

/// The names in a folder.
pub(crate) fn entries(folder: &impl AsFd, path: &Path) -> Result<Entries, Error> {
    Entries::new(readable(folder, path)?).map_err(|why| Error::File {
        path: path.to_owned(),
        doing: "reading the folder",
        why,
    })
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
