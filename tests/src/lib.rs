//! Whole-system tests and benchmarks: what starts the two real processes and speaks to them.
//!
//! - [`daemon`]: the daemon in a folder of its own;
//! - [`wire`]: requests and answers as bytes, for what a well-behaved client would never send;
//! - [`wait`]: for what another process does;
//! - [`skip`]: what this machine can't show.

pub mod daemon;
pub mod skip;
pub mod wait;
pub mod wire;
