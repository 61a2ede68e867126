//! What is never touched, by spelling and by identity.
use super::object::{Identity, Object};
use crate::error::Error;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::fstatat;
use reeve_shared::policy::lists::PROTECTED_COMPONENTS;
use reeve_shared::{AbsolutePath, Policy};
use std::os::unix::ffi::OsStrExt;

/// The protected objects as they are now. Made anew for each command: useradd gives /etc/passwd another inode.
#[derive(Debug)]
pub(crate) struct Protected {
    paths: Vec<AbsolutePath>,
    identities: Vec<Identity>,
}

impl Protected {
    /// Looks each protected path up: the object itself and, if it is a link, what it leads to. What is absent can't be touched.
    pub(crate) fn look_up(policy: &Policy) -> Result<Self, Error> {
        let paths: Vec<_> = policy.protected_paths().collect();
        let mut identities = Vec::with_capacity(paths.len());
        for path in &paths {
            for flags in [AtFlags::AT_SYMLINK_NOFOLLOW, AtFlags::empty()] {
                match fstatat(AT_FDCWD, path.as_str(), flags) {
                    Ok(stat) => identities.push(Identity::of(&stat)),
                    Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                    // Where an ordinary user can't look, he can't write either.
                    Err(Errno::EACCES) if !nix::unistd::geteuid().is_root() => {}
                    Err(why) => return Err(Error::file(path.as_str(), "looking up a protected path", why)),
                }
            }
        }
        Ok(Self { paths, identities })
    }

    /// Refuses a protected object.
    pub(super) fn check(&self, object: &Object) -> Result<(), Error> {
        let path = &object.path;
        let by_component = path.file_name().is_some_and(|name| PROTECTED_COMPONENTS.iter().any(|it| name == *it));
        let by_path = || self.paths.iter().any(|it| it.as_str().as_bytes() == path.as_os_str().as_bytes());
        if by_component || by_path() || self.identities.contains(&object.identity()) {
            return Err(Error::ProtectedObject(path.clone()));
        }
        Ok(())
    }
}
