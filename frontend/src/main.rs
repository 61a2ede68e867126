//! `reeve-frontend`: started by the executor, never by hand.
#![forbid(unsafe_code)]
fn main() {}
