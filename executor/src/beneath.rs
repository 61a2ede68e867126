//! Beneath an allowed prefix: the kernel checks paths, not we.
//!
//! ```text
//! /  ->  prefix folder  ->  folder  ->  folder  ->  target        each arrow: openat2(2) of one component,
//!        (prefix)           (object)                (object)      O_PATH, no link, no ..; a mount only if it is harmless
//! ```
//! What was found is held by a descriptor, and what is done is done to that. Nothing is checked by name and then used by name;
//! where the system has only a call by name (rename, unlink), that name is one component in an open folder, and is looked at
//! again afterwards.
mod make;
mod mount;
mod object;
mod prefix;
mod protected;
mod temporary;

pub(crate) use make::{Attributes, Made};
pub(crate) use mount::Mounts;
pub(crate) use object::{Identity, Kind, Object};
pub(crate) use temporary::{Temporary, TemporaryName};

use crate::error::{Error, OrFailed};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use protected::Protected;
use reeve_shared::{AbsolutePath, Policy};
use std::ffi::OsStr;
use std::os::fd::AsFd;

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
    pub(crate) folder: Object,
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

    /// Looks at what `name` leads to in a folder; `None` if there is nothing.
    ///
    /// # Errors
    /// It is protected, or lies on a mount that isn't entered.
    pub(crate) fn look(&self, folder: &Object<impl AsFd>, name: impl AsRef<OsStr>) -> Result<Option<Object>, Error> {
        self.look_across(self.mounts, folder, name.as_ref())
    }

    fn look_across(&self, mounts: Mounts, folder: &Object<impl AsFd>, name: &OsStr) -> Result<Option<Object>, Error> {
        let path = folder.path.join(name);
        let open = |resolve| {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat2(folder, name, OpenHow::new().flags(flags).resolve(resolve))
        };
        let mut opened = open(IN_PLACE);
        if let Err(Errno::EXDEV) = opened {
            if mounts == Mounts::Refused {
                return Err(Error::Mount { path, kind: "any kind, in a recursive command".to_owned() });
            }
            opened = open(BENEATH);
            if let Ok(descriptor) = &opened {
                mount::check(descriptor, &path)?;
            }
        }
        if let Err(Errno::ENOENT) = opened {
            return Ok(None);
        }
        let object = Object::new(opened.or_failed(&path, "opening it")?, path, folder.is_loose())?;
        self.protected.check(&object)?;
        Ok(Some(object))
    }

    /// Goes into a folder; `None` if there is nothing of that name.
    ///
    /// # Errors
    /// As [`Beneath::look`], or it is no folder.
    pub(crate) fn enter(&self, folder: &Object, name: &str) -> Result<Option<Object>, Error> {
        self.look(folder, name)?.map(Object::into_folder).transpose()
    }

    /// Goes into one folder after the other.
    ///
    /// # Errors
    /// As [`Beneath::enter`], or [`Error::Absent`].
    pub(crate) fn descend(&self, mut folder: Object, names: &[&str]) -> Result<Object, Error> {
        for name in names {
            folder = self.enter(&folder, name)?.ok_or_else(|| Error::Absent(folder.path.join(name)))?;
        }
        Ok(folder)
    }

    /// The target, and the folder that it is in.
    ///
    /// # Errors
    /// As [`Beneath::look`] and [`Beneath::descend`], or [`Error::Absent`].
    pub(crate) fn find(&self, Start { folder, folders, name }: Start<'_>) -> Result<(Object, Object), Error> {
        let folder = self.descend(folder, &folders)?;
        let target = self.look(&folder, name)?.ok_or_else(|| Error::Absent(folder.path.join(name)))?;
        Ok((folder, target))
    }

    /// Whether `name` leads to the object that was just given that name.
    pub(crate) fn check_in_place(&self, folder: &Object, name: &str, identity: Identity) -> Result<(), Error> {
        match self.look(folder, name)? {
            Some(object) if object.identity() == identity => Ok(()),
            _ => Err(Error::Swapped(folder.path.join(name))),
        }
    }
}

#[cfg(test)]
mod tests;
