//! Reeve's unprivileged process: owns the public socket, authenticates, validates, and hands typed commands to root.
#![forbid(unsafe_code)]
mod accept;
mod answer;
mod by_uid;
pub mod cage;
mod connection;
pub mod error;
mod frame;
pub mod gate;
mod in_flight;
mod linger;
mod link;
pub mod log;
mod memory;
pub mod prepare;
mod readiness;
pub mod server;

pub use error::Error;
