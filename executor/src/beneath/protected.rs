//! What is never touched, by spelling and by identity.
use super::object::Identity;
use crate::error::Error;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::fstatat;
use reeve_shared::policy::lists::PROTECTED_COMPONENTS;
use reeve_shared::{AbsolutePath, Policy};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
    pub(super) fn check(&self, path: &Path, identity: Identity) -> Result<(), Error> {
        let spelling = path.as_os_str().as_bytes();
        let by_component =
            path.file_name().is_some_and(|name| PROTECTED_COMPONENTS.iter().any(|component| name == *component));
        if by_component
            || self.identities.contains(&identity)
            || self.paths.iter().any(|path| path.as_str().as_bytes() == spelling)
        {
            return Err(Error::ProtectedObject(path.to_owned()));
        }
        Ok(())
    }
}
