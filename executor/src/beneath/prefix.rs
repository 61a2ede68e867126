//! The folder of an allowed prefix: found from `/` on, and judged anew for each command, so that one that was removed and made
//! again works, and one that has become somebody else's no longer does.
use super::{Beneath, Mounts, Object};
use crate::{Error, error::OrFailed, trust::is_ours};
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::stat::Mode;
use reeve_shared::PathPrefix;

/// Accounts of services have uids below this (login.defs(5), SYS_UID_MAX).
const FIRST_USER: u32 = 1000;

impl Beneath {
    /// Opens the folder of a prefix, if it and those above it are fit for one.
    pub(super) fn open_prefix(&self, prefix: &PathPrefix, built_in: bool) -> Result<Object, Error> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open("/", flags, Mode::empty()).or_failed("/", "opening it")?;
        let mut object = Object::new(root, "/".into(), false)?;
        let mut names = prefix.folder().components().peekable();
        check(&object, false)?;
        while let Some(name) = names.next() {
            let may_be_a_services = built_in && names.peek().is_none() && !is_world_writable(&object);
            // Mounts up to the prefix folder are the administrator's own, and a recursive command enters them too.
            let next = self.look_across(Mounts::Entered, &object, name.as_ref())?;
            object = next.ok_or_else(|| Error::Absent(object.path.join(name)))?.into_folder()?;
            check(&object, may_be_a_services)?;
        }
        // What is above a prefix was judged here.
        object.in_loose = false;
        Ok(object)
    }
}

fn is_world_writable(folder: &Object) -> bool {
    folder.stat.st_mode & 0o002 != 0
}

/// A folder of root's, or maybe a service's, that others can't write, or in which they can't touch what is root's.
fn check(folder: &Object, may_be_a_services: bool) -> Result<(), Error> {
    let uid = folder.stat.st_uid;
    let is_fit = is_ours(uid) || (may_be_a_services && uid < FIRST_USER);
    if !is_fit {
        return Err(Error::Owner { path: folder.path.clone(), uid });
    }
    let is_sticky = folder.stat.st_mode & libc::S_ISVTX != 0 && is_ours(uid);
    if is_world_writable(folder) && !is_sticky {
        return Err(Error::WritableByOthers(folder.path.clone()));
    }
    Ok(())
}
