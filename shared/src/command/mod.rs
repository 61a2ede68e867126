//! The table of commands: one row is one command.
//!
//! A row makes the variant of [`Request`] (what a client wrote), of [`Command`] (what crosses the link) and of [`Outcome`]
//! (what comes back), the parser by name, the row of [`TABLE`] (for the log, the reference, the client's help), and the
//! method that [`Host`] must have. To add one: its structs in a family's file, its row here, its method in
//! `executor/src/host/`. Nothing else knows a command by name.
//!
//! ```compile_fail
//! // A host without a method for every row does not compile.
//! struct Nothing;
//! impl reeve_shared::Host for Nothing {
//!     type Context = ();
//!     type Error = ();
//! }
//! ```
mod context;
mod describe;
mod file;
mod system;

pub use context::{Context, Value};
pub use describe::{Audited, Described, Kind, Parameter, Recorded};
pub use file::{
    FileChanged, FileChmod, FileDelete, FileDeleted, FileMade, FileMkdir, FileWrite, FileWriteTemplate, FileWritten,
    Reason, TemplateRequest, TemplateWritten,
};
pub use system::{Metrics, MetricsRequest, Pong, SystemMetrics, SystemPing};

use crate::approved::{Approved, Caller, Permit};
use crate::error::{Error, excerpt};
use crate::owner::Accounts;
use crate::path::AbsolutePath;
use crate::policy::Policy;
use serde::{Deserialize, Deserializer, Serialize};

/// Whether a command changes something on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks; it leaves no record.
    Reads,
    /// It changes something: intent and outcome are recorded.
    Changes,
}

/// What must not overlap: commands of one lane run one after the other, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Quick and without a disk: answered by the thread that reads the link.
    Inline,
    /// One path.
    Path(AbsolutePath),
}

/// One command, as help, log and reference show it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name that clients send.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// What it takes, as a client writes it.
    pub parameters: &'static [Parameter],
    /// Whether it changes something.
    pub effect: Effect,
    /// Its time limit in seconds; `None` for `limits.default_timeout_seconds`.
    pub limit_seconds: Option<u64>,
}

/// The type that a client's parameters are read into: the command's own, unless the row names another.
macro_rules! request_type {
    ($Params:ident) => {
        $Params
    };
    ($Params:ident $Request:ident) => {
        $Request
    };
}

/// Turns a request into a command: itself, unless the row names a request type.
macro_rules! prepare {
    ($prepare:ident, $request:ident, $method:ident) => {
        $request
    };
    ($prepare:ident, $request:ident, $method:ident $Request:ident) => {
        $prepare.$method($request)?
    };
}

macro_rules! commands {
    ($(
        #[doc = $doc:literal]
        $name:literal => $method:ident($Params:ident $(from $Request:ident)?) -> $Data:ident,
        $effect:ident, lane $lane:expr, limit $limit:expr;
    )*) => {
        /// A request as a client wrote it, its parameters read and well formed.
        #[derive(Clone, Debug)]
        pub enum Request { $( #[doc = $doc] $Params(request_type!($Params $($Request)?)) ),* }

        /// A command as it crosses the link.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Command { $( #[doc = $doc] $Params($Params) ),* }

        /// What a command that succeeded answers: the `data` of the public answer.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Outcome { $( #[doc = $doc] $Params($Data) ),* }

        $( impl $Params {
            /// The command's row.
            pub const ROW: Row = Row {
                name: $name,
                summary: $doc,
                parameters: <request_type!($Params $($Request)?)>::PARAMETERS,
                effect: Effect::$effect,
                limit_seconds: $limit,
            };
        } )*

        /// Every command, in the order of the reference.
        pub const TABLE: &[Row] = &[$($Params::ROW),*];

        impl Request {
            /// Reads the public form of the command `name`.
            ///
            /// # Errors
            /// `Ok(Err(_))` if there is no such command, `Err(_)` if its parameters are not well formed.
            pub fn parse<'de, D: Deserializer<'de>>(name: &str, parameters: D) -> Result<Result<Self, Error>, D::Error> {
                match name {
                    $( $name => Deserialize::deserialize(parameters).map(Self::$Params).map(Ok), )*
                    _ => Ok(Err(Error::UnknownCommand(excerpt(name)))),
                }
            }

            /// The row of the command that is asked for.
            #[must_use]
            pub fn row(&self) -> &'static Row {
                match self { $( Self::$Params(_) => &$Params::ROW ),* }
            }

            /// Makes the command that root will see.
            ///
            /// # Errors
            /// Whatever the preparing of a row that names a request type says.
            pub fn prepare<P: Prepare>(self, prepare: &P) -> Result<Command, P::Error> {
                Ok(match self { $( Self::$Params(request) => Command::$Params(prepare!(prepare, request, $method $($Request)?)) ),* })
            }
        }

        /// What must happen to a request before root sees it, for the rows that name a request type.
        pub trait Prepare {
            /// Why it can't be prepared.
            type Error;
            $($(
                #[doc = $doc]
                ///
                /// # Errors
                /// What is wrong with the request.
                fn $method(&self, request: $Request) -> Result<$Params, Self::Error>;
            )?)*
        }

        impl Command {
            /// The command's row.
            #[must_use]
            pub fn row(&self) -> &'static Row {
                match self { $( Self::$Params(_) => &$Params::ROW ),* }
            }

            /// What it must not overlap with.
            #[must_use]
            pub fn lane(&self) -> Lane {
                match self { $( Self::$Params(parameters) => {
                    let lane: fn(&$Params) -> Lane = $lane;
                    lane(parameters)
                } ),* }
            }

            fn resolve<A: Accounts>(&mut self, accounts: &A) -> Result<(), A::Error> {
                match self { $( Self::$Params(parameters) => parameters.resolve(accounts) ),* }
            }

            /// Its parameters for the audit trail.
            #[must_use]
            pub fn recorded(&self) -> Vec<(&'static str, Recorded<'_>)> {
                match self { $( Self::$Params(parameters) => parameters.recorded() ),* }
            }
        }

        impl Permit for Command {
            fn permit(&self, policy: &Policy, caller: &Caller) -> Result<(), Error> {
                match self { $( Self::$Params(parameters) => parameters.permit(policy, caller) ),* }
            }
        }

        impl Outcome {
            /// Writes the `data` object of the public answer.
            ///
            /// # Errors
            /// Those of the serializer.
            pub fn serialize_data<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self { $( Self::$Params(data) => data.serialize(serializer) ),* }
            }
        }

        /// What the executor must be able to do: a method a row.
        pub trait Host {
            /// What an action needs to know beside its parameters.
            type Context;
            /// Why an action failed.
            type Error;
            $(
                #[doc = $doc]
                ///
                /// # Errors
                /// Why it was not done.
                fn $method(&self, command: Approved<$Params>, context: &Self::Context) -> Result<$Data, Self::Error>;
            )*
        }

        impl Approved<Command> {
            /// Replaces names of accounts by their ids. That changes nothing of what was approved: owners are on no list.
            ///
            /// # Errors
            /// Those of `accounts`.
            pub fn resolve<A: Accounts>(&mut self, accounts: &A) -> Result<(), A::Error> {
                self.get_mut().resolve(accounts)
            }

            /// Has `host` carry the command out.
            ///
            /// # Errors
            /// The host's.
            pub fn run<H: Host>(self, host: &H, context: &H::Context) -> Result<Outcome, H::Error> {
                match self.into_inner() {
                    $( Command::$Params(parameters) => host.$method(Approved::carry(parameters), context).map(Outcome::$Params) ),*
                }
            }
        }
    };
}

commands! {
    /// Answer, through both processes.
    "system.ping" => system_ping(SystemPing) -> Pong, Reads, lane |_| Lane::Inline, limit None;
    /// Counters of the running daemon.
    "system.metrics" => system_metrics(SystemMetrics from MetricsRequest) -> Metrics, Reads, lane |_| Lane::Inline, limit None;
    /// Write a file, whole or not at all.
    "file.write" => file_write(FileWrite) -> FileWritten, Changes, lane |c| Lane::Path(c.path.clone()), limit None;
    /// Render a template and write the result as a file.
    "file.write_template" => file_write_template(FileWriteTemplate from TemplateRequest) -> TemplateWritten, Changes, lane |c| Lane::Path(c.path.clone()), limit None;
    /// Delete a regular file.
    "file.delete" => file_delete(FileDelete) -> FileDeleted, Changes, lane |c| Lane::Path(c.path.clone()), limit None;
    /// Make a folder.
    "file.mkdir" => file_mkdir(FileMkdir) -> FileMade, Changes, lane |c| Lane::Path(c.path.clone()), limit None;
    /// Change the mode of a file or a folder.
    "file.chmod" => file_chmod(FileChmod) -> FileChanged, Changes, lane |c| Lane::Path(c.path.clone()), limit None;
}
