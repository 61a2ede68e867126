//! The private channel between frontend and executor: what is said, how it is framed, and the two ends.
//!
//! - [`message`]: hello, requests, answers;
//! - [`frame`]: a length and one bincode value, bounded before memory is taken; the one file that names bincode;
//! - [`blocking`]: the executor's end, which takes descriptors up;
//! - [`nonblocking`]: the frontend's end, which passes them.
#![forbid(unsafe_code)]

pub mod blocking;
mod error;
pub mod frame;
pub mod message;
pub mod nonblocking;

pub use error::Error;
