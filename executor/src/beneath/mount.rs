//! What kind of mount a descriptor lies on.
use crate::error::Error;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Whether mounts beneath a prefix are entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mounts {
    /// Those that can't make root wait, and that no tenant can have made.
    Entered,
    /// None: a recursive command stays on one mount.
    Refused,
}

/// Kinds that are never entered. A tenant can mount FUSE where user_allow_other is on, and then let root wait for ever; autofs
/// waits for a daemon; proc and sysfs hold no files but the kernel's own switches.
fn is_refused(kind: &str) -> bool {
    kind.starts_with("fuse") || matches!(kind, "proc" | "sysfs" | "autofs")
}

/// Refuses a descriptor on a mount that is not to be entered. It has to be an O_PATH descriptor that nothing has been asked yet:
/// fstat(2) of a FUSE mount waits as well.
pub(super) fn check(descriptor: &OwnedFd, path: &Path) -> Result<(), Error> {
    let kind = kind(descriptor).map_err(|why| Error::Proc { path: "/proc/thread-self/mountinfo", why })?;
    match kind {
        Some(kind) if !is_refused(&kind) => Ok(()),
        kind => Err(Error::Mount { path: path.to_owned(), kind: kind.unwrap_or("an unknown kind".to_owned()) }),
    }
}

/// The file system's type. `None` if the mount is not, or no longer, one of this thread's name space.
///
/// Asked of the thread and not of the process, which is another name space where a thread has one of its own.
#[allow(clippy::disallowed_methods, reason = "the kernel's own files in /proc are nobody's to swap")]
fn kind(descriptor: &OwnedFd) -> io::Result<Option<String>> {
    let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", descriptor.as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim);
    let id = id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "there is no mnt_id in fdinfo"))?;
    // Mount points can be called anything; the fields that are looked at are ASCII.
    let mounts = fs::read("/proc/thread-self/mountinfo")?;
    let mounts = String::from_utf8_lossy(&mounts);
    let mut mount = mounts.split('\n').map(|line| line.split(' ')).find(|fields| fields.clone().next() == Some(id));
    Ok(mount.as_mut().and_then(|fields| fields.skip_while(|field| *field != "-").nth(1)).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> OwnedFd {
        fs::File::open(path).unwrap().into()
    }

    #[test]
    fn the_kernels_own_file_systems_are_told_apart() {
        assert_eq!(kind(&of("/proc")).unwrap().unwrap(), "proc");
        assert!(matches!(check(&of("/proc"), Path::new("/proc")), Err(Error::Mount { kind, .. }) if kind == "proc"));
        assert!(check(&of("/"), Path::new("/")).is_ok());
    }

    #[test]
    fn a_descriptor_that_no_mount_holds_is_refused() {
        let (pipe, _) = nix::unistd::pipe().unwrap();
        assert!(matches!(check(&pipe, Path::new("pipe")), Err(Error::Mount { .. })));
    }

    #[test]
    fn refused_kinds() {
        for refused in ["fuse", "fuseblk", "fuse.sshfs", "proc", "sysfs", "autofs"] {
            assert!(is_refused(refused), "{refused}");
        }
        for entered in ["ext4", "tmpfs", "nfs4", "overlay", "zfs", "procfs"] {
            assert!(!is_refused(entered), "{entered}");
        }
    }
}
