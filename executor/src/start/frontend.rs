//! Starting the frontend: what it is, and the three descriptors that it gets.
use super::OrNotStarted;
use super::launcher::{self, Order};
use crate::{Error, config::Account, inputs, log::drain, peer::name_our_end};
use caps::{CapSet, Capability};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, dup, geteuid, pipe2};
use reeve_shared::AbsolutePath;
use std::fs::{File, Metadata, metadata};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// The frontend's program, opened once; what happens to its path afterwards changes nothing.
#[derive(Debug)]
pub struct Binary {
    /// Where it was found.
    pub path: AbsolutePath,
    /// Where this process's own was.
    pub own_path: AbsolutePath,
    program: File,
}

impl Binary {
    /// Opens the program at `path`, by default the one beside this process's own.
    ///
    /// # Errors
    /// [`Error::Unfit`]: there is none, or someone could put another in its place whom this process's own doesn't trust.
    pub fn open(path: Option<PathBuf>) -> Result<Self, Error> {
        let own = std::env::current_exe().or_not_started("finding this program")?;
        let path = path.unwrap_or_else(|| own.with_file_name("reeve-frontend"));
        let descriptor = open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(|why| {
            Error::unfit(&path, format!("is the frontend's program and can't be opened: {why}; name it by --frontend"))
        })?;
        let found = inputs::Input::new(path, descriptor)?;
        if !found.metadata.is_file() {
            return Err(found.unfit("is no program: name the frontend's by --frontend"));
        }
        if geteuid().is_root() {
            let mine = metadata("/proc/self/exe").or_not_started("looking at this program")?;
            // A checkout may be some user's; then this program is his as well.
            let rights = |of: &Metadata| (of.uid(), of.gid(), of.mode());
            if rights(&mine) != rights(&found.metadata) {
                found.ours()?;
            }
            if found.mode() & 0o001 == 0 {
                return Err(found.unfit("can't be executed by frontend.user: `chmod 755` it"));
            }
        }
        Ok(Self { path: inputs::absolute(&found.path)?, own_path: inputs::absolute(&own)?, program: found.file })
    }
}

/// A frontend that was started.
#[derive(Debug)]
pub struct Frontend {
    /// The process. It is killed when the thread that started it ends.
    pub child: Child,
    /// The executor's end of the link.
    pub link: UnixStream,
    /// Where its log comes from.
    pub log: File,
    /// Whether it got the one capability that it needs to enclose itself.
    pub chroot: bool,
    /// Which of the separations that root can make are not in force.
    pub missing: Vec<&'static str>,
}

impl Frontend {
    /// Starts it, as `account` if there is one. To be called by the main thread and before there is another: the frontend ends
    /// with the thread that started it (PR_SET_PDEATHSIG, prctl(2)).
    ///
    /// # Errors
    /// [`Error::Frontend`]. What goes wrong after the fork is said on the log, and the link ends.
    #[allow(clippy::disallowed_methods, reason = "this is the place that starts the frontend")]
    pub fn start(
        binary: &Binary,
        account: Option<Account>,
        listener: &UnixListener,
        empty: &impl AsRawFd,
    ) -> Result<Self, Error> {
        let may_chroot = || caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_CHROOT).unwrap_or(false);
        let chroot = account.is_some() && may_chroot();
        let (link, theirs) = UnixStream::pair().or_not_started("making the link")?;
        name_our_end(&link).or_not_started("naming the link")?;
        let (log, their_log) = pipe2(OFlag::O_CLOEXEC).or_not_started("making a pipe for its log")?;
        let listener = listener.as_fd().try_clone_to_owned().or_not_started("handing it the socket")?;
        // Not closed by exec; it is gone again at the end of this function, before anything else is started.
        let program = dup(&binary.program).or_not_started("handing it its program")?;
        let order = Order { parent: std::process::id(), program: program.as_raw_fd(), account, chroot };
        let child = Command::new("/proc/self/exe")
            .arg0("reeve-executor: becoming the frontend")
            .args(launcher::arguments(&order))
            .env_clear()
            .current_dir(format!("/proc/self/fd/{}", empty.as_raw_fd()))
            .stdin(OwnedFd::from(theirs))
            .stdout(listener)
            .stderr(their_log)
            .spawn()
            .or_not_started("starting this program again")?;
        let missing = match (account, chroot) {
            (None, _) => vec!["a uid of its own", "an empty root", "an empty bounding set"],
            (Some(_), false) => vec!["an empty root"],
            (Some(_), true) => vec![],
        };
        Ok(Self { child, link, log: log.into(), chroot, missing })
    }
}

/// The time for what the frontend's log still holds when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A frontend's process whose log is read: killed when this is dropped, and the log read to its end, or for a second: it may have
/// left the pipe's other end to somebody, in a message on a socket even.
#[derive(Debug)]
pub struct Process {
    child: Child,
    drained: Option<Receiver<()>>,
}

impl Process {
    /// Takes over what [`Frontend::start`] gave.
    ///
    /// # Errors
    /// [`Error::Frontend`]: there is no thread to read the log by.
    pub fn watch(child: Child, log: File) -> Result<Self, Error> {
        let mut process = Self { child, drained: None };
        process.drained = Some(drain(log).or_not_started("reading its log")?);
        Ok(process)
    }

    /// Says whether the process has ended. Its end of the link may be somebody else's by then.
    pub fn ended(&self) -> impl Fn() -> bool + Send + 'static {
        let id = Pid::from_raw(self.child.id().try_into().unwrap_or(-1));
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        move || !matches!(waitid(Id::Pid(id), flags), Ok(WaitStatus::StillAlive))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a drain it has ended by itself; otherwise there is nothing that it could still do. Errors mean that it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.drained.take().map(|drained| drained.recv_timeout(LAST_WORDS));
    }
}
