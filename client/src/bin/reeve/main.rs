//! `reeve`: the command-line client.
//!
//! - [`args`]: what may be written, made of the table of commands;
//! - [`parameter`]: from what was written to the parameters of a command, a kind at a time;
//! - [`example`]: an example for each command;
//! - [`object`]: JSON objects in their own order;
//! - [`exit`]: what went wrong, what mends it, and the exit status that says so;
//! - [`print`]: answers, for people and for programs;
//! - [`manual`]: man pages and completions.
#![forbid(unsafe_code)]

mod args;
mod example;
mod exit;
mod manual;
mod object;
mod parameter;
mod print;

use clap::ArgMatches;
use exit::{Exit, Trouble};
use parameter::{Files, Sources};
use reeve::{Error, Key, Request};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let matches = match args::reeve().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help that nobody reads any more is no failure.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    match run(&matches) {
        Ok(()) => Exit::Done.into(),
        Err(trouble) => {
            print::error(&trouble.text);
            trouble.exit.into()
        }
    }
}

fn run(matches: &ArgMatches) -> Result<(), Trouble> {
    match args::asked(matches) {
        args::Asked::Completions(shell) => print::bytes(&manual::completions(shell)),
        args::Asked::Manual(None) => print::bytes(&manual::page()?),
        args::Asked::Manual(Some(folder)) => manual::write_pages(&folder),
        args::Asked::Call { command, params, matches } => {
            let params = match params.as_str() {
                "-" => Files::default().read("-")?,
                _ => params,
            };
            call(&command, &params, matches)
        }
        args::Asked::Row { row, matches } => {
            let params = parameter::parameters(row, matches, &mut Files::default())?;
            call(row.name, &params, matches)
        }
        args::Asked::Nothing => Err(Trouble::usage("name a command; reeve --help lists them")),
    }
}

fn call(command: &str, params: &str, matches: &ArgMatches) -> Result<(), Trouble> {
    let path = |id: &str| matches.get_one::<PathBuf>(id).cloned().unwrap_or_default();
    let timeout = matches.get_one::<u64>("timeout").copied().unwrap_or_else(|| args::default_timeout(command));
    let json = matches.get_flag("json");
    let key = Key::read(path("secret"))?;
    let request = Request::new(command, params)?;
    match reeve::call(path("socket"), &key, Duration::from_secs(timeout), &request) {
        Ok(answer) if json => print::json(&answer),
        Ok(answer) => print::data(&answer),
        Err(Error::Answered(failure)) => {
            if json {
                print::json(&failure)?;
            }
            Err(failure.into())
        }
        Err(error) => Err(error.into()),
    }
}
