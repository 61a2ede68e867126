//! What the executor refuses and what fails in it, and the code that a client is told for it.
use reeve_shared::ErrorCode;
use std::path::{Path, PathBuf};

/// Why a command was not carried out, or why the executor does not start. The text is for the log; a client sees only
/// [`Error::code`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy refused.
    #[error(transparent)]
    Refused(#[from] reeve_shared::Error),
    /// The link to the frontend ended.
    #[error("the link to the frontend ended: {0}")]
    Link(#[from] reeve_ipc::Error),
    /// The frontend passed a descriptor that is no connection of a client's.
    #[error("the frontend passed a descriptor that is no connection of a client's: {0}")]
    NotAConnection(&'static str),
    /// The frontend said what it has no right to say.
    #[error("the frontend broke the link's rules: {0}")]
    BrokenRule(&'static str),
    /// A request names a connection that is not open.
    #[error("the request names a connection that is not open")]
    NoConnection,
    /// The client closed its connection before its command began.
    #[error("the client closed its connection before the command began")]
    HungUp,
    /// Neither a slot nor room in the queue.
    #[error("the command could not begin within limits.socket_timeout_seconds, or the queue is full")]
    Busy,
    /// The audit trail can't be written.
    #[error("the audit trail {path} can't be written: {why}; nothing is done without it")]
    Audit {
        /// Where it is.
        path: String,
        /// What the system said.
        why: std::io::Error,
    },
    /// The system refused what the daemon needs.
    #[error("{what}: {why}")]
    System {
        /// What could not be done.
        what: &'static str,
        /// What the system said.
        why: std::io::Error,
    },
    /// No prefix of the path has a folder that is fit for one.
    #[error("{path}: no allowed prefix of it can be used: {reasons}")]
    NoPrefix {
        /// The path that was asked for.
        path: String,
        /// What is wrong with each prefix.
        reasons: String,
    },
    /// A folder that others can write stands where only root may decide.
    #[error("{0:?} can be written by others; a prefix can be used after `chmod o-w`")]
    WritableByOthers(PathBuf),
    /// A folder is somebody else's where only root, or a service, may decide.
    #[error("{path:?} is owned by uid {uid}; a prefix can be used after `chown root`")]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// The walk met an object that is protected, whatever it is called there.
    #[error("{0:?} is a protected file or folder, by its name or by its device and inode; nothing opens that up")]
    ProtectedObject(PathBuf),
    /// The walk met a mount that it doesn't enter.
    #[error("{path:?} is a mount of {kind}, which is not entered")]
    Mount {
        /// The mount point.
        path: PathBuf,
        /// The file system's type.
        kind: String,
    },
    /// What is there is not what the command takes.
    #[error("{path:?} is {found}; the command takes {expected}")]
    WrongKind {
        /// The object.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it would have to be.
        expected: &'static str,
    },
    /// There is nothing of that name.
    #[error("{0:?} does not exist")]
    Absent(PathBuf),
    /// file.chmod of a file with several names.
    #[error("{0:?} has more than one hard link, so it is a file of some other place too; its mode is not changed")]
    HardLinked(PathBuf),
    /// file.chmod of what root owns in a place that is not root's alone.
    #[error("{0:?} is root's, but on the way to it someone else can write; its mode is not changed")]
    RootsInALoosePlace(PathBuf),
    /// Someone changed what was just made.
    #[error("{0:?} was replaced by someone else while it was written; what stands there now is not Reeve's")]
    Swapped(PathBuf),
    /// A tree is larger than a recursive command takes.
    #[error("{path:?} lies beyond what a recursive command takes: {bound} at most")]
    TooLarge {
        /// Where the bound was met.
        path: PathBuf,
        /// The bound.
        bound: &'static str,
    },
    /// The command's time limit passed.
    #[error("{0:?}: the command's time limit has passed")]
    Deadline(PathBuf),
    /// Users can link to files that aren't theirs, so no file can be told to be whose it seems.
    #[error("file.chmod is refused while the sysctl fs.protected_hardlinks is {0}: set it to 1")]
    LinksNotProtected(String),
    /// A file command failed in the system.
    #[error("{path:?}: {doing}: {why}")]
    File {
        /// The object.
        path: PathBuf,
        /// What could not be done.
        doing: &'static str,
        /// What the system said.
        why: std::io::Error,
    },
    /// An owner or group that this host doesn't know.
    #[error("there is no {kind} {name} on this host")]
    NoAccount {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// What the kernel says of itself can't be read.
    #[error("{path} can't be read: {why}; /proc must be mounted")]
    Proc {
        /// The file.
        path: &'static str,
        /// What the system said.
        why: std::io::Error,
    },
    /// The kernel is too old.
    #[error("this kernel gives no openat2(2): {0}; Linux 5.6 or later is needed, and nothing that filters the call")]
    NoOpenat2(std::io::Error),
    /// The journal can't be read or written.
    #[error("the journal {path:?} can't be {doing}: {why}; no command is begun without it")]
    Journal {
        /// Where it is.
        path: PathBuf,
        /// `opened`, `read` or `written`.
        doing: &'static str,
        /// What is wrong.
        why: std::io::Error,
    },
    /// There are more commands under way than the journal has slots.
    #[error("every slot of the journal is taken, so no more commands can begin")]
    JournalFull,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// What stands in the configuration, or doesn't.
    #[error("{path:?}: {why}")]
    Setting {
        /// The configuration file.
        path: PathBuf,
        /// The key, what is wrong with it and what it should be.
        why: String,
    },
    /// A file, folder or socket that the daemon stands on is not fit for that.
    #[error("{path:?} {why}")]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What is wrong and what mends it.
        why: String,
    },
    /// What the service manager passed is not the public socket.
    #[error("the service manager passed no public socket: {0}")]
    NotPassed(String),
    /// The frontend can't be started.
    #[error("the frontend can't be started: {doing}: {why}")]
    Frontend {
        /// What could not be done.
        doing: &'static str,
        /// What is wrong.
        why: String,
    },
    /// An action panicked: a defect.
    #[error("the action panicked; that is a defect of Reeve's, please report it")]
    Panicked,
}

impl Error {
    /// What the system said to a file command.
    pub(crate) fn file(path: impl AsRef<Path>, doing: &'static str, why: impl Into<std::io::Error>) -> Self {
        Self::File { path: path.as_ref().to_owned(), doing, why: why.into() }
    }

    /// A fault of the configuration's.
    pub(crate) fn setting(path: &Path, why: impl Into<String>) -> Self {
        Self::Setting { path: path.to_owned(), why: why.into() }
    }

    /// A fault of something that the daemon stands on.
    pub(crate) fn unfit(path: impl AsRef<Path>, why: impl Into<String>) -> Self {
        Self::Unfit { path: path.as_ref().to_owned(), why: why.into() }
    }

    /// The code that protocol.md gives this failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(error) => error.code(),
            Self::NoConnection => ErrorCode::AuthError,
            Self::Busy | Self::HungUp => ErrorCode::Busy,
            Self::Link(_)
            | Self::NotAConnection(_)
            | Self::BrokenRule(_)
            | Self::Setting { .. }
            | Self::Unfit { .. }
            | Self::NotPassed(_)
            | Self::Frontend { .. }
            | Self::Audit { .. }
            | Self::System { .. }
            | Self::NoRandomness => ErrorCode::ExecutionError,
            Self::NoPrefix { .. }
            | Self::WritableByOthers(_)
            | Self::Owner { .. }
            | Self::ProtectedObject(_)
            | Self::Mount { .. }
            | Self::WrongKind { .. }
            | Self::Absent(_)
            | Self::HardLinked(_)
            | Self::RootsInALoosePlace(_)
            | Self::Swapped(_)
            | Self::TooLarge { .. }
            | Self::Deadline(_)
            | Self::LinksNotProtected(_)
            | Self::File { .. }
            | Self::NoAccount { .. } => ErrorCode::CommandError,
            Self::Proc { .. } | Self::NoOpenat2(_) | Self::Journal { .. } | Self::JournalFull => {
                ErrorCode::ExecutionError
            }
            Self::Panicked => ErrorCode::InternalError,
        }
    }
}

/// Says of what the system refused which object it was about and what was being done.
pub(crate) trait OrFailed<T> {
    /// # Errors
    /// [`Error::File`] with what the system said.
    fn or_failed(self, path: impl AsRef<Path>, doing: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<std::io::Error>> OrFailed<T> for Result<T, E> {
    fn or_failed(self, path: impl AsRef<Path>, doing: &'static str) -> Result<T, Error> {
        self.map_err(|why| Error::file(path, doing, why))
    }
}
