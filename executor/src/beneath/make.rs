//! Making folders: under a temporary name first, so that nobody meets one that is not ready, and taking them away again.
use super::folder::{Folder, entries};
use super::object::{Identity, Kind};
use super::temporary::{Temporary, TemporaryName};
use super::{Beneath, IN_PLACE};
use crate::error::Error;
use crate::sys::remove_xattr;
use crate::trust::is_ours;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, RenameFlags, openat2, renameat2};
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, getegid, geteuid, unlinkat};
use reeve_shared::FileMode;
use std::os::fd::{AsFd, OwnedFd};
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
        let mode = FileMode::masked(mode);
        if geteuid().is_root() {
            Self { uid: Uid::from_raw(0), gid: Gid::from_raw(0), mode }
        } else {
            Self { uid: geteuid(), gid: getegid(), mode }
        }
    }

    /// Gives them to a new object, and takes from it the ACL that it inherited: before the mode, which would set the ACL's mask
    /// and with it let in whom the ACL names.
    pub(crate) fn apply(&self, object: &impl AsFd, path: &Path) -> Result<(), Error> {
        let failed = |doing| move |why: Errno| Error::file(path, doing, why);
        fchown(object, Some(self.uid), Some(self.gid)).map_err(failed("setting its owner"))?;
        for acl in [c"system.posix_acl_access", c"system.posix_acl_default"] {
            remove_xattr(object, acl).map_err(|why| Error::File {
                path: path.to_owned(),
                doing: "removing an inherited ACL",
                why,
            })?;
        }
        fchmod(object, Mode::from_bits_truncate(self.mode.bits())).map_err(failed("setting its mode"))
    }
}

impl Beneath {
    /// Makes a folder. `None` if there is something of that name.
    pub(crate) fn make_folder(
        &self,
        parent: &Folder,
        name: &str,
        attributes: Attributes,
        temporary: &TemporaryName,
    ) -> Result<Option<Folder>, Error> {
        let path = parent.path().join(name);
        let shown = path.as_path();
        let failed = |doing| move |why: Errno| Error::file(shown, doing, why);
        let for_sync = parent.readable()?;
        mkdirat(parent, temporary.as_os_str(), Mode::S_IRWXU).map_err(failed("making the folder"))?;
        let guard = Temporary::folder(parent, temporary);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let folder = openat2(parent, temporary.as_os_str(), OpenHow::new().flags(flags).resolve(IN_PLACE))
            .map_err(failed("opening the new folder"))?;
        let identity = check_fresh(&folder, &path)?;
        attributes.apply(&folder, &path)?;
        match renameat2(parent, temporary.as_os_str(), parent, name, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Ok(None),
            Err(why) => return Err(failed("putting the folder in its place")(why)),
        }
        self.check_in_place(parent, name, identity)?;
        guard.keep();
        if let Err(why) = fsync(&for_sync) {
            // What is not sure to last is not left behind either.
            let _ = unlinkat(parent, name, UnlinkatFlags::RemoveDir);
            return Err(failed("writing the folder above to disk")(why));
        }
        Ok(Some(Folder::new(folder, path, parent.is_loose())))
    }

    /// Whether `name` leads to the object that was just given that name.
    pub(crate) fn check_in_place(&self, folder: &Folder, name: &str, identity: Identity) -> Result<(), Error> {
        match self.look(folder, folder.path(), name.as_ref())? {
            Some(object) if object.identity() == identity => Ok(()),
            _ => Err(Error::Swapped(folder.path().join(name))),
        }
    }
}

/// Whether an open folder is one that we have just made: whoever can write in the folder above may have put another one there.
pub(super) fn check_fresh(folder: &OwnedFd, path: &Path) -> Result<Identity, Error> {
    let stat = fstat(folder).map_err(|why| Error::file(path, "asking what the new folder is", why))?;
    if !is_ours(stat.st_uid) || stat.st_mode & 0o777 != 0o700 || entries(folder, path)?.next().is_some() {
        return Err(Error::Swapped(path.to_owned()));
    }
    Ok(Identity::of(&stat))
}

/// The folders that a command made on its way. They go again with it, unless it succeeds.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    beneath: &'a Beneath,
    temporary: &'a TemporaryName,
    folders: Vec<(Folder, String, Identity)>,
}

impl<'a> Made<'a> {
    pub(crate) fn new(beneath: &'a Beneath, temporary: &'a TemporaryName) -> Self {
        Self { beneath, temporary, folders: Vec::new() }
    }

    /// Makes an absent folder on the way, root's and 0755, or enters the one that somebody else made meanwhile.
    pub(crate) fn make(&mut self, parent: &Folder, name: &str) -> Result<Folder, Error> {
        let undo = parent.another()?;
        match self.beneath.make_folder(parent, name, Attributes::ours(0o755), self.temporary)? {
            Some(folder) => {
                let stat = fstat(&folder).map_err(|why| Error::file(folder.path(), "asking what it is", why))?;
                self.folders.push((undo, name.to_owned(), Identity::of(&stat)));
                Ok(folder)
            }
            None => self.beneath.enter(parent, name)?.ok_or_else(|| Error::Swapped(parent.path().join(name))),
        }
    }

    /// The command succeeded.
    pub(crate) fn keep(mut self) {
        self.folders.clear();
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        for (parent, name, identity) in self.folders.drain(..).rev() {
            match self.beneath.look(&parent, parent.path(), name.as_ref()) {
                Ok(Some(object)) if object.identity() == identity && object.kind() == Kind::Folder => {
                    if let Err(error) = unlinkat(&parent, name.as_str(), UnlinkatFlags::RemoveDir) {
                        tracing::warn!(path = ?object.path(), %error, "a folder that a failed command made stays");
                    }
                }
                _ => {}
            }
        }
    }
}
