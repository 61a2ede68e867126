//! What the executor refuses and what fails in it, and the code that a client is told for it.
use reeve_shared::ErrorCode;
use std::io;
use std::path::{Path, PathBuf};

/// Makes [`Error`]: a row is a failure, its text for the log, and its code for the client.
macro_rules! errors {
    ($( $(#[$meta:meta])* $Name:ident $(($($inner:tt)*))? $({ $($field:ident: $Type:ty),* })? => $code:ident, )*) => {
        /// Why a command was not carried out, or why the executor does not start. The text is for the log; a client sees only
        /// [`Error::code`].
        #[derive(Debug, thiserror::Error)]
        #[allow(missing_docs, reason = "the text of each says what its fields are")]
        pub enum Error {
            /// The policy refused.
            #[error(transparent)]
            Refused(#[from] reeve_shared::Error),
            $( $(#[$meta])* $Name $(($($inner)*))? $({ $($field: $Type),* })?, )*
        }

        impl Error {
            /// The code that protocol.md gives this failure.
            #[must_use]
            pub fn code(&self) -> ErrorCode {
                match self {
                    Self::Refused(error) => error.code(),
                    $( Self::$Name { .. } => ErrorCode::$code, )*
                }
            }
        }
    };
}

errors! {
    /// The link to the frontend ended.
    #[error("the link to the frontend ended: {0}")]
    Link(#[from] reeve_ipc::Error) => ExecutionError,
    /// The frontend passed a descriptor that is no connection of a client's.
    #[error("the frontend passed a descriptor that is no connection of a client's: {0}")]
    NotAConnection(&'static str) => ExecutionError,
    /// The frontend said what it has no right to say.
    #[error("the frontend broke the link's rules: {0}")]
    BrokenRule(&'static str) => ExecutionError,
    /// A request names a connection that is not open.
    #[error("the request names a connection that is not open")]
    NoConnection => AuthError,
    /// The client closed its connection before its command began.
    #[error("the client closed its connection before the command began")]
    HungUp => Busy,
    /// Neither a slot nor room in the queue.
    #[error("the command could not begin within limits.socket_timeout_seconds, or the queue is full")]
    Busy => Busy,
    /// The audit trail can't be written.
    #[error("the audit trail {path} can't be written: {why}; nothing is done without it")]
    Audit { path: String, why: io::Error } => ExecutionError,
    /// The system refused what the daemon needs.
    #[error("{what}: {why}")]
    System { what: &'static str, why: io::Error } => ExecutionError,
    /// No prefix of the path has a folder that is fit for one.
    #[error("{path}: no allowed prefix of it can be used: {reasons}")]
    NoPrefix { path: String, reasons: String } => CommandError,
    /// A folder that others can write stands where only root may decide.
    #[error("{0:?} can be written by others; a prefix can be used after `chmod o-w`")]
    WritableByOthers(PathBuf) => CommandError,
    /// A folder is somebody else's where only root, or a service, may decide.
    #[error("{path:?} is owned by uid {uid}; a prefix can be used after `chown root`")]
    Owner { path: PathBuf, uid: u32 } => CommandError,
    /// The walk met an object that is protected, whatever it is called there.
    #[error("{0:?} is a protected file or folder, by its name or by its device and inode; nothing opens that up")]
    ProtectedObject(PathBuf) => CommandError,
    /// The walk met a mount that it doesn't enter.
    #[error("{path:?} is a mount of {kind}, which is not entered")]
    Mount { path: PathBuf, kind: String } => CommandError,
    /// What is there is not what the command takes.
    #[error("{path:?} is {found}; the command takes {expected}")]
    WrongKind { path: PathBuf, found: &'static str, expected: &'static str } => CommandError,
    /// There is nothing of that name.
    #[error("{0:?} does not exist")]
    Absent(PathBuf) => CommandError,
    /// file.chmod of a file with several names.
    #[error("{0:?} has more than one hard link, so it is a file of some other place too; its mode is not changed")]
    HardLinked(PathBuf) => CommandError,
    /// file.chmod of what root owns in a place that is not root's alone.
    #[error("{0:?} is root's, but on the way to it someone else can write; its mode is not changed")]
    RootsInALoosePlace(PathBuf) => CommandError,
    /// Someone changed what was just made.
    #[error("{0:?} was replaced by someone else while it was written; what stands there now is not Reeve's")]
    Swapped(PathBuf) => CommandError,
    /// A tree is larger than a recursive command takes.
    #[error("{path:?} lies beyond what a recursive command takes: {bound} at most")]
    TooLarge { path: PathBuf, bound: &'static str } => CommandError,
    /// The command's time limit passed.
    #[error("{0:?}: the command's time limit has passed")]
    Deadline(PathBuf) => CommandError,
    /// Users can link to files that aren't theirs, so no file can be told to be whose it seems.
    #[error("file.chmod is refused while the sysctl fs.protected_hardlinks is {0}: set it to 1")]
    LinksNotProtected(String) => CommandError,
    /// A file command failed in the system.
    #[error("{path:?}: {doing}: {why}")]
    File { path: PathBuf, doing: &'static str, why: io::Error } => CommandError,
    /// An owner or group that this host doesn't know.
    #[error("there is no {kind} {name} on this host")]
    NoAccount { kind: &'static str, name: String } => CommandError,
    /// What the kernel says of itself can't be read.
    #[error("{path} can't be read: {why}; /proc must be mounted")]
    Proc { path: &'static str, why: io::Error } => ExecutionError,
    /// The kernel is too old.
    #[error("this kernel gives no openat2(2): {0}; Linux 5.11 or later is needed, and nothing that filters the call")]
    NoOpenat2(io::Error) => ExecutionError,
    /// The journal can't be read or written.
    #[error("the journal {path:?} can't be {doing}: {why}; no command is begun without it")]
    Journal { path: PathBuf, doing: &'static str, why: io::Error } => ExecutionError,
    /// There are more commands under way than the journal has slots.
    #[error("every slot of the journal is taken, so no more commands can begin")]
    JournalFull => ExecutionError,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness => ExecutionError,
    /// A file, folder or socket that the daemon stands on is not fit for that.
    #[error("{path:?} {why}")]
    Unfit { path: PathBuf, why: String } => ExecutionError,
    /// What the service manager passed is not the public socket.
    #[error("the service manager passed no public socket: {0}")]
    NotPassed(String) => ExecutionError,
    /// The frontend can't be started.
    #[error("the frontend can't be started: {doing}: {why}")]
    Frontend { doing: &'static str, why: String } => ExecutionError,
    /// An action panicked: a defect.
    #[error("the action panicked; that is a defect of Reeve's, please report it")]
    Panicked => InternalError,
}

impl Error {
    /// What the system said to a file command.
    pub(crate) fn file(path: impl AsRef<Path>, doing: &'static str, why: impl Into<std::io::Error>) -> Self {
        Self::File { path: path.as_ref().to_owned(), doing, why: why.into() }
    }

    /// A fault of something that the daemon stands on.
    pub(crate) fn unfit(path: impl AsRef<Path>, why: impl Into<String>) -> Self {
        Self::Unfit { path: path.as_ref().to_owned(), why: why.into() }
    }
}

/// Says of what the system refused which object it was about and what was being done.
pub(crate) trait OrFailed<T> {
    /// # Errors
    /// [`Error::File`] with what the system said.
    fn or_failed(self, path: impl AsRef<Path>, doing: &'static str) -> Result<T, Error>;
    /// # Errors
    /// [`Error::System`], of what is no file.
    fn or_system(self, what: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> OrFailed<T> for Result<T, E> {
    fn or_failed(self, path: impl AsRef<Path>, doing: &'static str) -> Result<T, Error> {
        self.map_err(|why| Error::file(path, doing, why))
    }
    fn or_system(self, what: &'static str) -> Result<T, Error> {
        self.map_err(|why| Error::System { what, why: why.into() })
    }
}
