//! Reeve's client library: blocking, and without an event loop.
//!
//! ```no_run
//! use reeve::{Connection, Key};
//! use std::time::Duration;
//!
//! let key = Key::read("/etc/reeve/hmac.secret")?;
//! let mut reeve = Connection::connect("/run/reeve/reeve.sock", key, Duration::from_secs(100))?;
//! let answer = reeve.call("file.write", r#"{"path": "/tmp/reeve/a", "content": "hello\n"}"#)?;
//! assert!(answer.data.get().contains("bytes_written"));
//! # Ok::<(), reeve::Error>(())
//! ```
//!
//! The files, from the bottom up: [`error`], [`nonce`], [`sign`] (the key), [`frame`], [`request`] and [`answer`]
//! (what stands in the frames), [`connection`].
#![forbid(unsafe_code)]

pub mod answer;
pub mod connection;
pub mod error;
pub mod frame;
pub mod nonce;
pub mod request;
pub mod sign;

pub use answer::{Answer, Failure};
pub use connection::{Connection, call};
pub use error::{Error, Stage};
pub use request::Request;
pub use sign::Key;
