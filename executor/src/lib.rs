//! Reeve's root process: learns who asks, approves typed commands again, carries them out, records them.
pub mod error;
mod trust;

pub use error::Error;
