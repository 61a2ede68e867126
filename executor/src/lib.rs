//! Reeve's root process: learns who asks, approves typed commands again, carries them out, records them.
pub mod error;
pub mod audit;
pub mod lane;
mod beneath;
pub mod config;
pub mod host;
mod inputs;
pub mod journal;
pub mod log;
mod sys;
mod peer;
pub mod run;
pub mod serve;
pub mod start;
pub mod supervise;
#[cfg(test)]
mod scene;
mod timestamp;
mod trust;

pub use error::Error;
pub use sys::LinkSocket;
