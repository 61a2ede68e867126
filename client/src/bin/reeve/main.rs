//! `reeve`: the command-line client.
fn main() {}
