//! The cage: what the frontend takes from itself before it looks at a client's first byte.
//!
//! The executor has taken most of it before this program was executed; here the rest goes, and what is in force is looked at.
use crate::error::Error;
use caps::CapSet;
use nix::sys::prctl::{get_no_new_privs, get_pdeathsig, set_dumpable, set_name, set_pdeathsig};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{chdir, chroot, getegid, geteuid, getgroups};
use reeve_ipc::message::Setup;
use std::fmt::Display;

/// Descriptors beside those of connections: the link, the listener, the log, the event loop's own, connections that are refused.
const DESCRIPTORS: u64 = 128;

/// Closes the cage, and gives each separation that is in force, in words. To be called once, before there is a second thread:
/// capabilities are a thread's own.
///
/// # Errors
/// [`Error::Cage`]: a separation that was asked for can't be had.
pub fn close(setup: &Setup) -> Result<Vec<String>, Error> {
    // Executed by descriptor, it would be called by the descriptor's number.
    set_name(c"reeve-frontend").or_fail("naming itself")?;
    set_pdeathsig(Signal::SIGKILL).or_fail("ending with the executor")?;
    set_dumpable(false).or_fail("closing its memory to others")?;
    set_limits(setup.limits.max_connections)?;
    let mut separations = Vec::new();
    if setup.chroot {
        // The executor has put this process into an empty folder.
        chroot(".").or_fail("changing its root")?;
        chdir("/").or_fail("changing its root")?;
        separations.push("an empty root".to_owned());
    }
    give_up_capabilities().or_fail("giving up capabilities")?;
    separations.extend(look()?);
    Ok(separations)
}

fn set_limits(connections: u32) -> Result<(), Error> {
    // A connection has two, for its reader and for its writer, and a third on its way to the executor or while its client is slow.
    let descriptors = u64::from(connections).saturating_mul(3).saturating_add(DESCRIPTORS);
    for (resource, limit) in [
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_NOFILE, descriptors),
    ] {
        setrlimit(resource, limit, limit).or_fail("setting resource limits")?;
    }
    Ok(())
}

fn give_up_capabilities() -> Result<(), caps::errors::CapsError> {
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::clear(None, CapSet::Effective)?;
    caps::clear(None, CapSet::Permitted)
}

/// What is in force, as the kernel says. What the executor does for every frontend is a condition.
fn look() -> Result<Vec<String>, Error> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        return Err(failed("running as another user", "the uid is 0"));
    }
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient] {
        let left = caps::read(None, set).or_fail("reading its capabilities")?;
        if !left.is_empty() {
            return Err(failed("giving up capabilities", format!("{left:?} are left")));
        }
    }
    if get_no_new_privs() != Ok(true) {
        return Err(failed("forbidding new privileges", "no_new_privs is not set"));
    }
    if get_pdeathsig() != Ok(Some(Signal::SIGKILL)) {
        return Err(failed("ending with the executor", "no signal is set"));
    }
    let mut separations =
        vec![format!("uid {uid}, gid {gid}"), "no capability".to_owned(), "no new privileges".to_owned()];
    if caps::read(None, CapSet::Bounding).or_fail("reading its capabilities")?.is_empty() {
        separations.push("an empty bounding set".to_owned());
    }
    if getgroups().or_fail("reading its groups")?.is_empty() {
        separations.push("no groups".to_owned());
    }
    separations
        .extend(["no processes, files or core dumps of its own", "a memory closed to others"].map(str::to_owned));
    Ok(separations)
}

fn failed(doing: &'static str, why: impl Display) -> Error {
    Error::Cage { doing, why: why.to_string() }
}

/// An error with what failed.
trait OrFail<T> {
    fn or_fail(self, doing: &'static str) -> Result<T, Error>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|why| failed(doing, why))
    }
}
