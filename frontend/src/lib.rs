//! Reeve's unprivileged process: owns the public socket, authenticates, validates, and hands typed commands to root.
#![forbid(unsafe_code)]
