//! The folder of an allowed prefix: found from `/` on, and judged anew for each command, so that one that was removed and made
//! again works, and one that has become somebody else's no longer does.
use super::object::{Kind, Object};
use super::{Beneath, Folder, Mounts};
use crate::error::Error;
use crate::trust::is_ours;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstat};
use reeve_shared::PathPrefix;
use std::path::Path;

/// Accounts of services have uids below this (login.defs(5), SYS_UID_MAX).
const FIRST_USER: u32 = 1000;

impl Beneath {
    /// Opens the folder of a prefix, if it and those above it are fit for one.
    pub(super) fn open_prefix(&self, prefix: &PathPrefix, built_in: bool) -> Result<Folder, Error> {
        let root = Path::new("/");
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let descriptor = open(root, flags, Mode::empty()).map_err(|why| Error::file(root, "opening it", why))?;
        let stat = fstat(&descriptor).map_err(|why| Error::file(root, "asking what it is", why))?;
        let mut object = Object { descriptor, stat, path: root.to_owned() };
        let mut names = prefix.folder().components().peekable();
        while let Some(name) = names.next() {
            check_above(&object)?;
            let in_sticky = is_world_writable(object.stat());
            // Mounts up to the prefix folder are the administrator's own, and a recursive command enters them too.
            let next = self.look_across(Mounts::Entered, &object, object.path(), name.as_ref())?;
            object = next.ok_or_else(|| Error::Absent(object.path().join(name)))?;
            if object.kind() != Kind::Folder {
                return Err(object.unfit("a folder"));
            }
            let uid = object.stat().st_uid;
            if in_sticky && !is_ours(uid) {
                return Err(Error::Owner { path: object.path().to_owned(), uid });
            }
            if names.peek().is_none() {
                check_prefix(&object, built_in)?;
            }
        }
        object.into_folder(false)
    }
}

fn is_world_writable(stat: &FileStat) -> bool {
    stat.st_mode & 0o002 != 0
}

/// A folder of root's that others can't write, or in which they can't touch what is root's.
fn check_above(folder: &Object) -> Result<(), Error> {
    let uid = folder.stat().st_uid;
    if !is_ours(uid) {
        return Err(Error::Owner { path: folder.path().to_owned(), uid });
    }
    check_writable(folder)
}

fn check_prefix(folder: &Object, built_in: bool) -> Result<(), Error> {
    let uid = folder.stat().st_uid;
    let is_fit = is_ours(uid) || (built_in && uid < FIRST_USER);
    if !is_fit {
        return Err(Error::Owner { path: folder.path().to_owned(), uid });
    }
    check_writable(folder)
}

fn check_writable(folder: &Object) -> Result<(), Error> {
    let stat = folder.stat();
    let sticky = stat.st_mode & libc::S_ISVTX != 0 && is_ours(stat.st_uid);
    if is_world_writable(stat) && !sticky {
        return Err(Error::WritableByOthers(folder.path().to_owned()));
    }
    Ok(())
}
