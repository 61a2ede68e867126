//! What stands between the executor and the frontend: a copy of the executor with one thread, which takes everything from itself
//! that the frontend must not have, and then becomes it.
//!
//! It is a program of its own, and no code between fork and exec, so that it can be written without `unsafe`. When it is done
//! nothing is left of it but a process id.
use super::OrNotStarted;
use crate::{Error, config::Account, sys::close_from};
use caps::{CapSet, Capability, CapsHashSet};
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::prctl::{set_keepcaps, set_no_new_privs, set_pdeathsig};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, execveat, getppid, setgroups, setresgid, setresuid, setsid};
use std::convert::Infallible;
use std::ffi::{CStr, OsString};
use std::io::Write;
use std::os::fd::RawFd;
use std::process::ExitCode;

/// The argument that makes an executor a launcher. Whoever gives it by hand gets nothing that he hadn't.
const ARGUMENT: &str = "--become-frontend";
/// EX_OSERR (sysexits.h).
const FAILED: u8 = 71;

/// What the launcher is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// The executor's process id.
    pub(super) parent: u32,
    /// The number of the descriptor of the frontend's program.
    pub(super) program: RawFd,
    /// Whom to become.
    pub(super) account: Option<Account>,
    /// Whether to keep CAP_SYS_CHROOT.
    pub(super) chroot: bool,
}

/// An order as arguments: `--become-frontend PARENT PROGRAM CHROOT [UID GID]`.
pub(super) fn arguments(order: &Order) -> Vec<String> {
    let Order { parent, program, account, chroot } = order;
    let order = [parent.to_string(), program.to_string(), u8::from(*chroot).to_string()];
    let account = account.iter().flat_map(|Account { uid, gid }| [uid.to_string(), gid.to_string()]);
    [ARGUMENT.to_owned()].into_iter().chain(order).chain(account).collect()
}

fn read(arguments: &[OsString]) -> Option<Order> {
    let mut numbers = arguments.iter().skip(2).map(|number| number.to_str()?.parse::<u32>().ok());
    let mut number = || numbers.next().flatten();
    let (parent, program, chroot) = (number()?, number()?.try_into().ok()?, number()? == 1);
    let account = number().zip(number()).map(|(uid, gid)| Account { uid, gid });
    Some(Order { parent, program, account, chroot })
}

/// Becomes the frontend if `arguments`, the name of the program first, say so; returns only if they don't, with `None`, or if it
/// fails. To be called before anything else.
#[must_use]
pub fn become_frontend(arguments: &[OsString]) -> Option<ExitCode> {
    if arguments.get(1).is_none_or(|argument| argument != ARGUMENT) {
        return None;
    }
    let why = match read(arguments).map(|order| launch(&order)) {
        None => format!("{ARGUMENT} is for the executor's own use"),
        Some(Err(error)) => error.to_string(),
    };
    // Standard error is the pipe that the executor reads the frontend's log from.
    let _ = writeln!(std::io::stderr(), "ERROR {why}");
    Some(ExitCode::from(FAILED))
}

fn launch(order: &Order) -> Result<Infallible, Error> {
    SigSet::empty().thread_set_mask().or_not_started("unblocking signals")?;
    // By way of /proc the number becomes a descriptor that is ours, without unsafe code.
    let path = format!("/proc/self/fd/{}", order.program);
    let program =
        open(path.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).or_not_started("taking up its program")?;
    setsid().or_not_started("making a session of its own")?;
    give_up_capabilities(order)?;
    // Only now: a change of the uid would clear it. If the executor ended before this, nobody would send the signal.
    set_pdeathsig(Signal::SIGKILL).or_not_started("having it end with the executor")?;
    if u32::try_from(getppid().as_raw()) != Ok(order.parent) {
        return Err("that has ended already").or_not_started("having it end with the executor");
    }
    set_no_new_privs().or_not_started("forbidding new privileges")?;
    umask(Mode::from_bits_truncate(0o077));
    close_from(3).or_not_started("closing descriptors")?;
    execveat::<_, _, &CStr>(program, c"", &[c"reeve-frontend"], &[], AtFlags::AT_EMPTY_PATH)
        .or_not_started("executing its program")
}

/// Becomes the account, and keeps of the capabilities at most the one to chroot with, across exec too (capabilities(7)).
fn give_up_capabilities(order: &Order) -> Result<(), Error> {
    let kept: CapsHashSet = order.chroot.then_some(Capability::CAP_SYS_CHROOT).into_iter().collect();
    let doing = "giving up capabilities";
    caps::clear(None, CapSet::Ambient).or_not_started(doing)?;
    // The bounding set bounds what may be made inheritable, but not what is so already.
    caps::set(None, CapSet::Inheritable, &kept).or_not_started(doing)?;
    if let Some(Account { uid, gid }) = order.account {
        caps::clear(None, CapSet::Bounding).or_not_started(doing)?;
        setgroups(&[]).or_not_started("leaving all groups")?;
        let gid = Gid::from_raw(gid);
        setresgid(gid, gid, gid).or_not_started("becoming its group")?;
        set_keepcaps(true).or_not_started(doing)?;
        let uid = Uid::from_raw(uid);
        setresuid(uid, uid, uid).or_not_started("becoming its user")?;
        set_keepcaps(false).or_not_started(doing)?;
    }
    caps::clear(None, CapSet::Effective).or_not_started(doing)?;
    caps::set(None, CapSet::Permitted, &kept).or_not_started(doing)?;
    for capability in kept {
        caps::raise(None, CapSet::Ambient, capability).or_not_started(doing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let account = Account { uid: 65_531, gid: 100 };
        for order in [
            Order { parent: 1, program: 7, account: Some(account), chroot: true },
            Order { parent: 4_000_000, program: 3, account: None, chroot: false },
        ] {
            let words: Vec<OsString> =
                ["x".to_owned()].into_iter().chain(arguments(&order)).map(OsString::from).collect();
            assert_eq!(read(&words), Some(order));
        }
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for bad in ["x --become-frontend", "x --become-frontend 1 -2 0", "x --become-frontend 1 99999999999 0"] {
            assert_eq!(read(&words(bad)), None, "{bad}");
        }
        assert!(become_frontend(&words("x --config /etc/reeve/reeve.toml")).is_none());
        assert!(become_frontend(&words("x")).is_none());
    }
}
