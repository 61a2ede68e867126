//! `reeve-executor --config FILE [--frontend PATH]`: the one entry point of the daemon.
#![forbid(unsafe_code)]
use reeve_executor::run::{Arguments, run, say};
use reeve_executor::start::become_frontend;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = become_frontend(&arguments) {
        return code;
    }
    match Arguments::read(arguments.into_iter().skip(1)) {
        Ok(arguments) => run(arguments),
        Err((status, text)) => say(status, &text),
    }
}
