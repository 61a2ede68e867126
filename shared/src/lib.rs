//! The vocabulary that both processes and the client speak. Pure: no I/O, no `unsafe`, no async.
//!
//! Two checks stand between bytes and an act, and both live here so that they are written once:
//! - *grammar*: a [`ServiceName`], [`AbsolutePath`] or [`FileMode`] exists only if it is well formed. Each has one
//!   fallible constructor, and serde goes through it, for JSON and for bincode alike;
//! - *policy*: an [`Approved`] command exists only if [`Approved::check`] found every one of its fields allowed.
//!
//! The files, from the bottom up: [`error`], [`name`], [`path`], [`mode`], [`owner`], [`content`], [`secret`], [`timestamp`],
//! [`layer`] (error codes and the layers that give them), [`policy`], [`approved`], [`command`] (the table).
//!
//! With the feature `config` there is also the text of the configuration file, `config`. Only who reads that file asks for it:
//! it takes a parser of TOML, which the frontend is to do without.
#![forbid(unsafe_code)]

pub mod approved;
pub mod command;
#[cfg(feature = "config")]
pub mod config;
pub mod content;
pub mod error;
pub mod flood;
pub mod layer;
pub mod mode;
pub mod name;
pub mod owner;
pub mod path;
pub mod policy;
pub mod request_id;
pub mod secret;
pub mod timestamp;

pub use approved::{Approved, Caller, Permit};
pub use command::{Command, Host, Outcome, Prepare, Request};
pub use content::Content;
pub use error::Error;
pub use flood::Flood;
pub use layer::{ErrorCode, Layer};
pub use mode::FileMode;
pub use name::{
    AccountName, DomainName, PackageName, PhpExtension, PhpSetting, PhpVersion, Repository, ServiceName, SiteName,
    TemplateName, UserName,
};
pub use owner::{Accounts, Group, Owner};
pub use path::{AbsolutePath, PathPrefix};
pub use policy::{Policy, Whitelists};
pub use request_id::{Minter, RequestId};
pub use secret::Secret;
pub use timestamp::Timestamp;
