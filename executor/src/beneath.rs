//! Beneath an allowed prefix: the kernel checks paths, not we.
//!
//! ```text
//! /  ->  prefix folder  ->  folder  ->  folder  ->  target        each arrow: openat2(2) of one component,
//!        (prefix)           (folder)                (object)      O_PATH, no link, no ..; a mount only if it is harmless
//! ```
//! What was found is held by a descriptor, and what is done is done to that. Nothing is checked by name and then used by name;
//! where the system has only a call by name (rename, unlink), that name is one component in an open folder, and is looked at
//! again afterwards.
mod folder;
mod make;
mod mount;
mod object;
mod prefix;
mod protected;
mod temporary;

pub(crate) use folder::{Folder, entries};
pub(crate) use make::{Attributes, Made};
pub(crate) use mount::Mounts;
pub(crate) use object::{Identity, Kind, Object, is_loose};
pub(crate) use temporary::{Temporary, TemporaryName};

use crate::error::Error;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::fstat;
use protected::Protected;
use reeve_shared::{AbsolutePath, Policy};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::Path;

/// How a component is resolved: it leads neither up nor elsewhere.
const BENEATH: ResolveFlag =
    ResolveFlag::RESOLVE_BENEATH.union(ResolveFlag::RESOLVE_NO_SYMLINKS).union(ResolveFlag::RESOLVE_NO_MAGICLINKS);
/// As [`BENEATH`], and to no other mount.
const IN_PLACE: ResolveFlag = BENEATH.union(ResolveFlag::RESOLVE_NO_XDEV);

/// Whether this kernel has openat2(2). There is no other way that is safe.
///
/// # Errors
/// [`Error::NoOpenat2`].
pub(crate) fn probe() -> Result<(), Error> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(IN_PLACE);
    openat2(AT_FDCWD, ".", how).map(drop).map_err(|why| Error::NoOpenat2(why.into()))
}

/// What holds for every step of one command.
#[derive(Debug)]
pub(crate) struct Beneath {
    protected: Protected,
    mounts: Mounts,
}

/// Where a path begins to be a client's: the folder of its prefix, and the components below.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) folder: Folder,
    /// The folders between the prefix and the target.
    pub(crate) folders: Vec<&'a str>,
    /// The target's name.
    pub(crate) name: &'a str,
}

impl Beneath {
    /// Looks up what is protected now.
    pub(crate) fn new(policy: &Policy, mounts: Mounts) -> Result<Self, Error> {
        Ok(Self { protected: Protected::look_up(policy)?, mounts })
    }

    /// Opens the first of the path's prefixes whose folder is fit for one.
    ///
    /// # Errors
    /// [`Error::NoPrefix`] with what is wrong with each.
    pub(crate) fn start<'a>(&self, path: &'a AbsolutePath, policy: &Policy) -> Result<Start<'a>, Error> {
        let mut reasons = Vec::new();
        for (prefix, built_in) in policy.prefixes_of(path) {
            let mut folders: Vec<_> = prefix.strip(path).unwrap_or_default().split('/').collect();
            match (self.open_prefix(&prefix, built_in), folders.pop()) {
                (Ok(folder), Some(name)) => return Ok(Start { folder, folders, name }),
                (Ok(_), None) => {}
                (Err(error), _) => reasons.push(error.to_string()),
            }
        }
        Err(Error::NoPrefix { path: path.to_string(), reasons: reasons.join("; ") })
    }

    /// Looks at what `name` leads to in a folder that is at `path`; `None` if there is nothing.
    ///
    /// # Errors
    /// It is protected, or lies on a mount that isn't entered.
    pub(crate) fn look(&self, folder: &impl AsFd, path: &Path, name: &OsStr) -> Result<Option<Object>, Error> {
        self.look_across(self.mounts, folder, path, name)
    }

    fn look_across(
        &self,
        mounts: Mounts,
        folder: &impl AsFd,
        path: &Path,
        name: &OsStr,
    ) -> Result<Option<Object>, Error> {
        let path = path.join(name);
        let open = |resolve| {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat2(folder, name, OpenHow::new().flags(flags).resolve(resolve))
        };
        let opened = match open(IN_PLACE) {
            Err(Errno::EXDEV) if mounts == Mounts::Refused => {
                return Err(Error::Mount { path, kind: "any kind, in a recursive command".to_owned() });
            }
            Err(Errno::EXDEV) => {
                let opened = open(BENEATH);
                if let Ok(descriptor) = &opened {
                    mount::check(descriptor, &path)?;
                }
                opened
            }
            other => other,
        };
        let descriptor = match opened {
            Ok(descriptor) => descriptor,
            Err(Errno::ENOENT) => return Ok(None),
            Err(why) => return Err(Error::file(&path, "opening it", why)),
        };
        let stat = fstat(&descriptor).map_err(|why| Error::file(&path, "asking what it is", why))?;
        self.protected.check(&path, Identity::of(&stat))?;
        Ok(Some(Object { descriptor, stat, path }))
    }

    /// Goes into a folder; `None` if there is nothing of that name.
    ///
    /// # Errors
    /// As [`Beneath::look`], or it is no folder.
    pub(crate) fn enter(&self, folder: &Folder, name: &str) -> Result<Option<Folder>, Error> {
        let object = self.look(folder, folder.path(), name.as_ref())?;
        object.map(|object| object.into_folder(folder.is_loose())).transpose()
    }

    /// Goes into one folder after the other; `None` if one is absent.
    pub(crate) fn descend(&self, mut folder: Folder, names: &[&str]) -> Result<Option<Folder>, Error> {
        for name in names {
            match self.enter(&folder, name)? {
                Some(next) => folder = next,
                None => return Ok(None),
            }
        }
        Ok(Some(folder))
    }

    /// Goes into one folder after the other, and makes those that are absent.
    pub(crate) fn descend_making(
        &self,
        mut folder: Folder,
        names: &[&str],
        made: &mut Made<'_>,
    ) -> Result<Folder, Error> {
        for name in names {
            folder = match self.enter(&folder, name)? {
                Some(next) => next,
                None => made.make(&folder, name)?,
            };
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests;
