//! How the daemon comes to life: the process itself, its folders, the public socket, the frontend.
mod folders;
mod frontend;
mod launcher;
mod socket;

pub use folders::Folders;
pub use frontend::{Binary, Frontend, Process};
pub use launcher::become_frontend;
pub use socket::{Passed, PublicSocket};

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

/// Makes room for the descriptors of `connections`, which this process keeps along with the frontend.
///
/// # Errors
/// [`Error::Unfit`]: the hard limit forbids it.
pub fn make_room(connections: u32) -> Result<(), Error> {
    let setting = "can't set the limit of open files";
    // Files, tools and the daemon's own beside them.
    let needed = u64::from(connections).saturating_add(512);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).or_system(setting)?;
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        let why =
            format!("= {connections} needs {needed} open files, {hard} are allowed: raise LimitNOFILE, or lower it");
        return Err(Error::unfit("limits.max_connections", why));
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
