//! Whom the daemon trusts with its own files: root, and whoever runs it (a trial run as an ordinary user).
use nix::unistd::geteuid;

/// Whether files and folders of `uid` count as root's.
pub(crate) fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}
