//! What went wrong, what mends it, and the exit status that says so.
use reeve::{Error, Failure};
use reeve_shared::ErrorCode;
use std::process::ExitCode;

/// An exit status. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    Usage,
    Refused,
    TryAgain,
    Unreachable,
}

impl Exit {
    /// Every status with what it means, for help and man page.
    pub(crate) const ALL: &'static [(Self, &'static str)] = &[
        (Self::Done, "the command was carried out"),
        (
            Self::Failed,
            "the command failed (COMMAND_ERROR, EXECUTION_ERROR, INTERNAL_ERROR or a code of its own), or its answer could not be printed",
        ),
        (Self::Usage, "the command line, or a file that it names, is no good; nothing was sent"),
        (Self::Refused, "refused (AUTH_ERROR, PERMISSION_DENIED, VALIDATION_ERROR, PROTOCOL_ERROR); nothing was done"),
        (Self::TryAgain, "not begun (RATE_LIMITED, BUSY); try again later"),
        (Self::Unreachable, "the daemon can't be reached, or gave no good answer in time (CONNECTION_TIMEOUT too)"),
    ];

    /// The number.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::TryAgain => 4,
            Self::Unreachable => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.status().into()
    }
}

/// Why `reeve` ends without success: one line, and the status.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) exit: Exit,
    pub(crate) text: String,
}

impl Trouble {
    /// The command line is wrong.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into() }
    }

    /// An output could not be written.
    pub(crate) fn output(text: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, text: text.into() }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let exit = match error {
            Error::Answered(failure) => return failure.into(),
            Error::NotJson { .. }
            | Error::RequestTooLong(_)
            | Error::SecretUnreadable { .. }
            | Error::SecretLength { .. }
            | Error::NoRandomness
            | Error::Clock => Exit::Usage,
            Error::NoSocket(_)
            | Error::NotListening(_)
            | Error::NoPermission(_)
            | Error::Connect { .. }
            | Error::TimedOut { .. }
            | Error::Closed
            | Error::MalformedAnswer(_)
            | Error::AnswerTooLong(_)
            | Error::System(_) => Exit::Unreachable,
        };
        Self { exit, text: error.to_string() }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let (exit, mend) = match failure.known() {
            None => (Exit::Failed, "the daemon's log says why"),
            Some(code) => meaning(code),
        };
        Self { exit, text: format!("{failure}: {mend}") }
    }
}

fn meaning(code: ErrorCode) -> (Exit, &'static str) {
    match code {
        ErrorCode::AuthError => (
            Exit::Refused,
            "the secret must be the daemon's, the clock right, and this user's uid in security.allowed_uids",
        ),
        ErrorCode::PermissionDenied => (Exit::Refused, "this user may not use the command"),
        ErrorCode::ValidationError => {
            (Exit::Refused, "a parameter is malformed or not on the daemon's lists; its log says which")
        }
        ErrorCode::ProtocolError => (
            Exit::Refused,
            "the JSON has a name twice or is nested too deep, or it is longer than limits.max_message_size",
        ),
        ErrorCode::CommandError => (Exit::Failed, "the daemon's log says why"),
        ErrorCode::ExecutionError => {
            (Exit::Failed, "it was not begun, or its outcome is unknown; look in the audit trail before trying again")
        }
        ErrorCode::InternalError => (Exit::Failed, "a defect; please report it with what the daemon's log says"),
        ErrorCode::RateLimited | ErrorCode::Busy => (Exit::TryAgain, "it was not begun; try again later"),
        ErrorCode::ConnectionTimeout => (Exit::Unreachable, "the request took too long to arrive; try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_status_and_each_status_is_described() {
        let status = |code: &str| {
            let failure = Failure { code: code.into(), message: "m".into(), request_id: "r".into(), nonce: None };
            let trouble = Trouble::from(Error::Answered(failure));
            assert!(trouble.text.starts_with(&format!("{code}: m (request r): ")), "{}", trouble.text);
            trouble.exit.status()
        };
        let expected = [
            ("AUTH_ERROR", 3),
            ("PERMISSION_DENIED", 3),
            ("VALIDATION_ERROR", 3),
            ("PROTOCOL_ERROR", 3),
            ("COMMAND_ERROR", 1),
            ("EXECUTION_ERROR", 1),
            ("INTERNAL_ERROR", 1),
            ("RATE_LIMITED", 4),
            ("BUSY", 4),
            ("CONNECTION_TIMEOUT", 5),
        ];
        assert_eq!(expected.len(), ErrorCode::ALL.len());
        for (code, number) in expected {
            assert_eq!(status(code), number, "{code}");
        }
        assert_eq!(status("GRANT_FAILED"), 1);
        let described: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.status()).collect();
        assert_eq!(described, [0, 1, 2, 3, 4, 5]);
    }
}
