//! What may be written on the command line.
use crate::example;
use crate::exit::Exit;
use crate::parameter;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use clap_complete::Shell;
use reeve_shared::command::{Row, TABLE};
use std::path::PathBuf;

const SOCKET: &str = "/run/reeve/reeve.sock";
const SECRET: &str = "/etc/reeve/hmac.secret";
/// The daemon's time limit for a command whose row names none, unless its configuration says otherwise.
const LIMIT: u64 = 60;
/// How long a command may wait for its turn, and then some.
const TURN: u64 = 40;

/// The time that a command is given if nothing else is said, in seconds: its own limit, and the wait for its turn.
pub(crate) fn default_timeout(command: &str) -> u64 {
    let row = TABLE.iter().find(|row| row.name == command);
    row.and_then(|row| row.limit_seconds).unwrap_or(LIMIT).saturating_add(TURN)
}

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Asked<'a> {
    /// `reeve call`.
    Call { command: String, params: String, matches: &'a ArgMatches },
    /// The subcommand of a row.
    Row { row: &'static Row, matches: &'a ArgMatches },
    /// `reeve completions`.
    Completions(Shell),
    /// `reeve man`.
    Manual(Option<PathBuf>),
    /// Nothing that there is.
    Nothing,
}

/// What the man page says of it.
pub(crate) const DESCRIPTION: &str = "\
Have privileged work done on this host by Reeve: a signed request goes to the daemon's socket, its answer is printed, a name \
and its value a line. Each command of the daemon is a subcommand; call sends any command with its parameters as JSON.";

/// The whole command line; help, completions and man pages are made of it.
pub(crate) fn reeve() -> Command {
    let reeve = Command::new("reeve")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Have privileged work done on this host by Reeve")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .args(globals())
        .after_help(exit_statuses())
        .subcommand(call());
    families()
        .into_iter()
        .fold(reeve, |reeve, (family, rows)| reeve.subcommand(self::family(family, &rows)))
        .subcommands(local())
}

fn globals() -> [Arg; 4] {
    let heading = "Global options";
    [
        Arg::new("socket")
            .long("socket")
            .value_name("PATH")
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .env("REEVE_SOCKET")
            .hide_env_values(true)
            .default_value(SOCKET)
            .help("The daemon's socket"),
        Arg::new("secret")
            .long("secret")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .value_hint(ValueHint::FilePath)
            .env("REEVE_SECRET")
            .hide_env_values(true)
            .default_value(SECRET)
            .help("The file with the secret that signs requests"),
        Arg::new("timeout").long("timeout").value_name("SECONDS").value_parser(value_parser!(u64).range(1..)).help(
            "How long to wait, from connecting to the answer [default: the command's own time limit and 40 more]",
        ),
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the whole answer as one line of JSON"),
    ]
    .map(|arg| arg.global(true).help_heading(heading))
}

/// What help and man page say of the exit status.
fn exit_statuses() -> String {
    let lines = Exit::ALL.iter().map(|(exit, meaning)| format!("\n  {}  {meaning}", exit.status()));
    format!("Exit status:{}", lines.collect::<String>())
}

fn call() -> Command {
    Command::new("call")
        .about("Send any command, with its parameters as JSON")
        .arg(Arg::new("command").value_name("COMMAND").required(true).help("The command's name, file.write"))
        .arg(
            Arg::new("params")
                .value_name("JSON")
                .default_value("{}")
                .help("Its parameters, sent as they are written; - reads them from standard input"),
        )
        .after_help(examples(CALL_EXAMPLES))
}

const CALL_EXAMPLES: &[&str] =
    &["reeve call system.ping", r#"reeve call file.chmod '{"path": "/var/www/one", "mode": "0750"}'"#];

fn examples(lines: &[&str]) -> String {
    let title = if lines.len() == 1 { "Example:" } else { "Examples:" };
    lines.iter().fold(title.to_owned(), |text, line| format!("{text}\n  {line}"))
}

/// The commands by the first part of their names, in the table's order.
fn families() -> Vec<(&'static str, Vec<&'static Row>)> {
    let mut families: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in TABLE {
        let (family, _) = split(row.name);
        match families.iter_mut().find(|(other, _)| *other == family) {
            Some((_, rows)) => rows.push(row),
            None => families.push((family, vec![row])),
        }
    }
    families
}

fn split(name: &'static str) -> (&'static str, &'static str) {
    name.split_once('.').unwrap_or((name, ""))
}

fn family(family: &'static str, rows: &[&'static Row]) -> Command {
    let actions: Vec<String> = rows.iter().map(|row| action(row)).collect();
    Command::new(family)
        .about(format!("Commands {family}.*: {}", actions.join(", ")))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(rows.iter().map(|row| {
            let (_, spelling) = split(row.name);
            Command::new(action(row))
                // The spelling of the protocol does, too.
                .aliases((action(row) != spelling).then_some(spelling))
                .about(row.summary.trim().trim_end_matches('.'))
                .args(parameter::arguments(row))
                .after_help(examples(example::of(row.name)))
        }))
}

fn action(row: &Row) -> String {
    split(row.name).1.replace('_', "-")
}

/// The commands that need no daemon.
fn local() -> [Command; 2] {
    [
        Command::new("completions")
            .about("Print the completions for a shell")
            .arg(
                Arg::new("shell")
                    .value_name("SHELL")
                    .required(true)
                    .value_parser(value_parser!(Shell))
                    .help("The shell"),
            )
            .after_help(examples(&["reeve completions bash > /etc/bash_completion.d/reeve"])),
        Command::new("man")
            .about("Print the man page, or write one for each command into a folder")
            .arg(
                Arg::new("folder")
                    .value_name("DIR")
                    .value_parser(value_parser!(PathBuf))
                    .value_hint(ValueHint::DirPath)
                    .help("Where to write them; it is made if it is absent"),
            )
            .after_help(examples(&["reeve man | man -l -", "reeve man /usr/local/share/man/man1"])),
    ]
}

/// What `matches`, of [`reeve`], asks for.
pub(crate) fn asked(matches: &ArgMatches) -> Asked<'_> {
    let text = |matches: &ArgMatches, id: &str| matches.get_one::<String>(id).cloned().unwrap_or_default();
    match matches.subcommand() {
        Some(("call", matches)) => {
            Asked::Call { command: text(matches, "command"), params: text(matches, "params"), matches }
        }
        Some(("completions", matches)) => matches.get_one("shell").copied().map_or(Asked::Nothing, Asked::Completions),
        Some(("man", matches)) => Asked::Manual(matches.get_one("folder").cloned()),
        Some((family, matches)) => row(family, matches).unwrap_or(Asked::Nothing),
        None => Asked::Nothing,
    }
}

fn row<'a>(family: &str, matches: &'a ArgMatches) -> Option<Asked<'a>> {
    let (name, matches) = matches.subcommand()?;
    let row = TABLE.iter().find(|row| split(row.name).0 == family && action(row) == name)?;
    Some(Asked::Row { row, matches })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_has_no_contradiction() {
        reeve().debug_assert();
    }

    #[test]
    fn every_row_has_a_subcommand_with_each_of_its_parameters_and_its_example() {
        for row in TABLE {
            let (family, _) = split(row.name);
            let reeve = reeve();
            let command = reeve.find_subcommand(family).and_then(|found| found.find_subcommand(action(row))).unwrap();
            for parameter in row.parameters {
                assert!(
                    command.get_arguments().any(|arg| arg.get_id() == parameter.name),
                    "{} {}",
                    row.name,
                    parameter.name
                );
            }
            assert!(command.get_after_help().unwrap().to_string().contains("reeve "));
        }
    }

    #[test]
    fn globals_stand_anywhere_and_the_time_is_the_commands_own() {
        for line in [
            ["reeve", "--socket", "/s", "--timeout", "7", "system", "ping"],
            ["reeve", "system", "ping", "--socket", "/s", "--timeout", "7"],
        ] {
            let matches = reeve().try_get_matches_from(line).unwrap();
            let Asked::Row { matches, .. } = asked(&matches) else { panic!("no row") };
            assert_eq!(matches.get_one::<PathBuf>("socket").unwrap().to_str(), Some("/s"));
            assert_eq!(matches.get_one::<u64>("timeout"), Some(&7));
        }
        assert!(reeve().try_get_matches_from(["reeve", "--timeout", "0", "system", "ping"]).is_err());
        assert_eq!(default_timeout("system.ping"), 100);
    }

    #[test]
    fn help_shows_the_exit_statuses_and_call_takes_no_parameters_for_none() {
        assert!(reeve().render_help().to_string().contains("  3  refused"));
        let matches = reeve().try_get_matches_from(["reeve", "call", "system.ping"]).unwrap();
        assert!(matches!(asked(&matches), Asked::Call { params, .. } if params == "{}"));
    }
}
