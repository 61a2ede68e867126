//! How the daemon comes to life: the process itself, its folders, the public socket, the frontend.
mod folders;
mod frontend;
mod launcher;
mod socket;

pub use folders::Folders;
pub use frontend::{Binary, Frontend, Process};
pub use launcher::become_frontend;
pub use socket::{Passed, PublicSocket};

use crate::config::Limits;
use crate::error::{Error, OrFailed};
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use std::fmt::Display;

/// Takes from this process what it doesn't need: a memory that others may read (prctl(2), PR_SET_DUMPABLE), files that others may
/// read. To be called before anything secret is read.
///
/// # Errors
/// The system's.
pub fn harden() -> Result<(), Error> {
    umask(Mode::from_bits_truncate(0o077));
    set_dumpable(false).or_system("can't close this process's memory to others")
}

/// Makes room for the descriptors of connections, which this process keeps along with the frontend, and of commands at work, which
/// hold one for each level of a tree.
///
/// # Errors
/// [`Error::Unfit`]: the hard limit forbids it.
pub fn make_room(limits: &Limits) -> Result<(), Error> {
    let setting = "can't set the limit of open files";
    let Limits { max_connections: connections, max_concurrent_requests: commands, .. } = *limits;
    // The daemon's own beside them.
    let needed = u64::from(commands).saturating_mul(72).saturating_add(connections.into()).saturating_add(512);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).or_system(setting)?;
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        let why = format!(
            "= {connections} and {commands} need {needed} open files, {hard} are allowed: raise LimitNOFILE, or lower them"
        );
        return Err(Error::unfit("limits.max_connections and max_concurrent_requests", why));
    }
    setrlimit(Resource::RLIMIT_NOFILE, needed, hard).or_system(setting)
}

/// Says of what was refused what it was to do for the frontend.
trait OrNotStarted<T> {
    /// # Errors
    /// [`Error::Frontend`].
    fn or_not_started(self, doing: &'static str) -> Result<T, Error>;
}

impl<T, E: Display> OrNotStarted<T> for Result<T, E> {
    fn or_not_started(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|why| Error::Frontend { doing, why: why.to_string() })
    }
}
