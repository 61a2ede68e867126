//! Making folders: under a temporary name first, so that nobody meets one that is not ready, and taking them away again.
use super::object::{Identity, Object};
use super::temporary::{Temporary, TemporaryName};
use super::{Beneath, IN_PLACE};
use crate::{Error, error::OrFailed, sys::remove_xattr, trust::is_ours};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, RenameFlags, openat2, renameat2};
use nix::sys::stat::{FileStat, Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, getegid, geteuid, unlinkat};
use reeve_shared::FileMode;
use std::os::fd::AsFd;
use std::path::Path;

/// Who is to own an object, and its mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) mode: FileMode,
}

impl Attributes {
    /// Root's, or of whoever runs the daemon.
    pub(crate) fn ours(mode: u32) -> Self {
        let (uid, gid) =
            if geteuid().is_root() { (Uid::from_raw(0), Gid::from_raw(0)) } else { (geteuid(), getegid()) };
        Self { uid, gid, mode: FileMode::masked(mode) }
    }

    /// Those that an object has.
    pub(crate) fn of(stat: &FileStat) -> Self {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        Self { uid, gid, mode: FileMode::masked(stat.st_mode) }
    }

    /// Gives them to a new object, and takes from it the ACL that it inherited: before the mode, which would set the ACL's mask
    /// and with it let in whom the ACL names.
    pub(crate) fn apply(&self, object: &impl AsFd, path: &Path) -> Result<(), Error> {
        fchown(object, Some(self.uid), Some(self.gid)).or_failed(path, "setting its owner")?;
        for acl in [c"system.posix_acl_access", c"system.posix_acl_default"] {
            remove_xattr(object, acl).or_failed(path, "removing an inherited ACL")?;
        }
        fchmod(object, Mode::from_bits_truncate(self.mode.bits())).or_failed(path, "setting its mode")
    }
}

/// Whether an open folder is one that we have just made: whoever can write in the folder above may have put another one there.
pub(super) fn check_fresh(folder: Object) -> Result<Object, Error> {
    let is_new = is_ours(folder.stat.st_uid) && folder.stat.st_mode & 0o777 == 0o700;
    if !is_new || folder.entries()?.next().is_some() {
        return Err(Error::Swapped(folder.path));
    }
    Ok(folder)
}

/// How a command makes things, and the folders that it made on its way. Those go again with it, unless it succeeds.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    pub(crate) beneath: &'a Beneath,
    /// What a thing is called until it is in its place.
    pub(crate) temporary: String,
    /// Where each folder is, its name there, and which it is.
    folders: Vec<(Object, String, Identity)>,
}

impl<'a> Made<'a> {
    pub(crate) fn new(beneath: &'a Beneath, temporary: &TemporaryName) -> Self {
        Self { beneath, temporary: temporary.to_string(), folders: Vec::new() }
    }

    /// Makes a folder, which doesn't go again. `None` if there is something of that name.
    pub(crate) fn folder(&self, parent: &Object, name: &str, wanted: Attributes) -> Result<Option<Object>, Error> {
        let (path, temporary) = (parent.path.join(name), self.temporary.as_str());
        let for_sync = parent.readable()?;
        mkdirat(parent, temporary, Mode::S_IRWXU).or_failed(&path, "making the folder")?;
        let guard = Temporary::new(parent, temporary, UnlinkatFlags::RemoveDir);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let folder = openat2(parent, temporary, OpenHow::new().flags(flags).resolve(IN_PLACE));
        let folder = folder.or_failed(&path, "opening the new folder")?;
        let folder = check_fresh(Object::new(folder, path, parent.is_loose())?)?;
        let path = &folder.path;
        wanted.apply(&folder, path)?;
        match renameat2(parent, temporary, parent, name, RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EEXIST) => return Ok(None),
            renamed => renamed.or_failed(path, "putting the folder in its place")?,
        }
        self.beneath.check_in_place(parent, name, folder.identity())?;
        guard.keep();
        fsync(&for_sync).or_failed(path, "writing the folder above to disk").inspect_err(|_| {
            // What is not sure to last is not left behind either.
            let _ = unlinkat(parent, name, UnlinkatFlags::RemoveDir);
        })?;
        Ok(Some(folder))
    }

    /// Goes into one folder after the other, and makes those that are absent.
    pub(crate) fn descend(&mut self, mut folder: Object, names: &[&str]) -> Result<Object, Error> {
        for name in names {
            folder = match self.beneath.enter(&folder, name)? {
                Some(next) => next,
                None => self.folder_on_the_way(folder, name)?,
            };
        }
        Ok(folder)
    }

    /// Makes an absent folder on the way, root's and 0755, or enters the one that somebody else made meanwhile.
    fn folder_on_the_way(&mut self, parent: Object, name: &str) -> Result<Object, Error> {
        let Some(folder) = self.folder(&parent, name, Attributes::ours(0o755))? else {
            return self.beneath.enter(&parent, name)?.ok_or_else(|| Error::Swapped(parent.path.join(name)));
        };
        self.folders.push((parent, name.to_owned(), folder.identity()));
        Ok(folder)
    }

    /// The command succeeded.
    pub(crate) fn keep(mut self) {
        self.folders.clear();
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for (parent, name, identity) in self.folders.drain(..).rev() {
            if self.beneath.check_in_place(&parent, &name, identity).is_err() {
                continue;
            }
            if let Err(error) = unlinkat(&parent, name.as_str(), UnlinkatFlags::RemoveDir) {
                tracing::warn!(path = ?parent.path.join(&name), %error, "a folder that a failed command made stays");
            }
        }
    }
}
