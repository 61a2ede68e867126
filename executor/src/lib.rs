//! Reeve's root process: learns who asks, approves typed commands again, carries them out, records them.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their scenes by path"))]
pub mod audit;
mod beneath;
pub mod config;
pub mod error;
pub mod host;
mod inputs;
pub mod journal;
mod json_line;
pub mod lane;
mod lock;
pub mod log;
mod peer;
pub mod run;
#[cfg(test)]
mod scene;
pub mod serve;
pub mod start;
pub mod supervise;
mod sys;
mod trust;

pub use error::Error;
pub use sys::LinkSocket;
