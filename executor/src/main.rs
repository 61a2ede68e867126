//! `reeve-executor --config FILE [--frontend PATH]`: the one entry point of the daemon.
fn main() {}
