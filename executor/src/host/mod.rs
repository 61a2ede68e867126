//! The actions: the one impl of [`Host`], a line a command. Each family's work stands in its own file.
pub mod file;

use crate::{Error, beneath::TemporaryName};
use reeve_shared::command::{
    FileChanged, FileChmod, FileDelete, FileDeleted, FileMade, FileMkdir, FileWrite, FileWriteTemplate, FileWritten,
    Metrics, Pong, SystemMetrics, SystemPing, TemplateWritten,
};
use reeve_shared::{Approved, Caller, Host, Policy, RequestId, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What an action needs to know beside its parameters.
#[derive(Clone, Debug)]
pub struct Task {
    /// The id of the request, as minted by this process.
    pub request_id: RequestId,
    /// Who asks.
    pub caller: Caller,
    /// The policy under which it was approved.
    pub policy: Arc<Policy>,
    /// When it has to be over.
    pub deadline: Instant,
    /// The name that a temporary file of this command has.
    pub temporary: TemporaryName,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
}

impl Task {
    /// # Errors
    /// [`Error::Deadline`] once the time limit has passed.
    pub(crate) fn check_deadline(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(Error::Deadline(path.as_ref().to_owned())) }
    }
}

/// This machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Host for Machine {
    type Context = Task;
    type Error = Error;

    fn system_ping(&self, _: Approved<SystemPing>, task: &Task) -> Result<Pong, Error> {
        Ok(Pong { timestamp: Timestamp((task.clock)()).unix_seconds(), request_id: task.request_id })
    }

    fn system_metrics(&self, counters: Approved<SystemMetrics>, _: &Task) -> Result<Metrics, Error> {
        let SystemMetrics { uptime_seconds, requests_total, requests_failed, active_connections, nonce_store_size } =
            counters.into_inner();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Metrics { uptime_seconds, requests_total, requests_failed, active_connections, nonce_store_size, version })
    }

    fn file_write(&self, command: Approved<FileWrite>, task: &Task) -> Result<FileWritten, Error> {
        file::write(command.get(), task)
    }

    fn file_write_template(&self, command: Approved<FileWriteTemplate>, task: &Task) -> Result<TemplateWritten, Error> {
        file::write_template(command.get(), task)
    }

    fn file_delete(&self, command: Approved<FileDelete>, task: &Task) -> Result<FileDeleted, Error> {
        file::delete(command.get(), task)
    }

    fn file_mkdir(&self, command: Approved<FileMkdir>, task: &Task) -> Result<FileMade, Error> {
        file::mkdir(command.get(), task)
    }

    fn file_chmod(&self, command: Approved<FileChmod>, task: &Task) -> Result<FileChanged, Error> {
        file::chmod(command.get(), task)
    }
}
