//! From what was written to the parameters of a command: the table of kinds.
//!
//! Nothing here knows a command: a row of [`TABLE`](reeve_shared::command::TABLE) says what it takes, and its kinds say how
//! that is written. A first parameter that must be there, and is one word, stands bare; the others are flags.
use crate::exit::Trouble;
use crate::object::{self, Object};
use clap::{Arg, ArgAction, ArgMatches, ValueHint};
use reeve_shared::Content;
use reeve_shared::command::{Kind, Parameter, Row};
use serde_json::value::RawValue;
use std::fs::File;
use std::io::Read;

/// The arguments for the parameters of a row.
pub(crate) fn arguments(row: &Row) -> Vec<Arg> {
    let set_goes_to = object_parameter(row).map(|parameter| parameter.name);
    row.parameters
        .iter()
        .enumerate()
        .flat_map(|(place, parameter)| match (place, parameter.kind) {
            (0, Kind::Path | Kind::Name) if parameter.required => vec![bare(parameter)],
            _ => flags(parameter, set_goes_to == Some(parameter.name)),
        })
        .collect()
}

fn bare(parameter: &Parameter) -> Arg {
    let hint = if parameter.kind == Kind::Path { ValueHint::AnyPath } else { ValueHint::Other };
    Arg::new(parameter.name)
        .value_name(parameter.name.to_uppercase())
        .value_hint(hint)
        .help(summary(parameter))
        .required(true)
}

fn flags(parameter: &Parameter, takes_set: bool) -> Vec<Arg> {
    let long = match (parameter.kind, parameter.name) {
        (Kind::Content, "content") => "from".to_owned(),
        (_, name) => name.replace('_', "-"),
    };
    let valued = |value: &'static str| {
        Arg::new(parameter.name)
            .long(long.clone())
            .value_name(value)
            .help(summary(parameter))
            .required(parameter.required)
    };
    match parameter.kind {
        Kind::Path => vec![valued("PATH").value_hint(ValueHint::AnyPath)],
        Kind::Name => vec![valued("NAME")],
        Kind::Owner => vec![valued("ID|NAME")],
        Kind::Mode => vec![valued("OCTAL")],
        Kind::Number => vec![valued("NUMBER")],
        Kind::Content => {
            let help = format!("{}: the file to read it from, - for standard input", summary(parameter));
            vec![valued("FILE|-").help(help).value_hint(ValueHint::FilePath)]
        }
        Kind::Flag => {
            let no = format!("no-{long}");
            let flag = |id: String| Arg::new(id).action(ArgAction::SetTrue);
            vec![
                flag(parameter.name.to_owned()).long(long.clone()).overrides_with(no.clone()).help(summary(parameter)),
                flag(no.clone()).long(no).overrides_with(parameter.name).help(format!("The opposite of --{long}")),
            ]
        }
        Kind::Object => {
            // Without either of the two it is the empty object.
            let whole = valued("JSON").required(false).help(format!("{}, as a JSON object", summary(parameter)));
            let set = Arg::new("set")
                .long("set")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help(format!("Sets one value of --{long}. What reads as JSON is that (80, true, '[\"a\"]', '\"80\"'), anything else is text"));
            if takes_set { vec![whole, set] } else { vec![whole] }
        }
    }
}

fn summary(parameter: &Parameter) -> String {
    parameter.summary.trim().trim_end_matches('.').to_owned()
}

/// The parameter that `--set` is for.
fn object_parameter(row: &Row) -> Option<&'static Parameter> {
    row.parameters.iter().find(|parameter| parameter.kind == Kind::Object)
}

/// Where content comes from.
pub(crate) trait Sources {
    /// The text of a file, or of standard input for `-`.
    fn read(&mut self, name: &str) -> Result<String, Trouble>;
}

/// Real files, and this process's standard input.
#[derive(Debug, Default)]
pub(crate) struct Files {
    stdin_taken: bool,
}

impl Sources for Files {
    fn read(&mut self, name: &str) -> Result<String, Trouble> {
        let most = u64::try_from(Content::MAX).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        let (read, name) = if name == "-" {
            if std::mem::replace(&mut self.stdin_taken, true) {
                return Err(Trouble::usage("standard input can be read for one parameter only"));
            }
            (std::io::stdin().lock().take(most).read_to_end(&mut bytes), "standard input".to_owned())
        } else {
            let read = File::open(name).and_then(|file| file.take(most).read_to_end(&mut bytes));
            (read, format!("{name:?}"))
        };
        match read {
            Err(error) => Err(Trouble::usage(format!("can't read {name}: {error}"))),
            Ok(_) if bytes.len() > Content::MAX => Err(Trouble::usage(format!("{name} is longer than 16 MiB"))),
            Ok(_) => String::from_utf8(bytes).map_err(|_| Trouble::usage(format!("{name} is not UTF-8 text"))),
        }
    }
}

/// The parameters of a row, as JSON.
pub(crate) fn parameters(row: &Row, matches: &ArgMatches, sources: &mut dyn Sources) -> Result<String, Trouble> {
    let mut object = Object::default();
    for parameter in row.parameters {
        if let Some(value) = value(row, parameter, matches, sources)? {
            object.0.push((parameter.name.to_owned(), value));
        }
    }
    serde_json::to_string(&object).map_err(|error| Trouble::usage(error.to_string()))
}

type Value = Box<RawValue>;

fn value(
    row: &Row,
    parameter: &Parameter,
    matches: &ArgMatches,
    sources: &mut dyn Sources,
) -> Result<Option<Value>, Trouble> {
    let name = parameter.name;
    let written = || matches.get_one::<String>(name);
    let made = match parameter.kind {
        Kind::Path | Kind::Name | Kind::Mode => written().map(object::raw),
        Kind::Owner => written().map(|text| match text.parse::<u64>() {
            Ok(id) if id.to_string() == *text => object::raw(&id),
            Ok(_) | Err(_) => object::raw(text),
        }),
        Kind::Number => written().map(|text| serde_json::from_str::<serde_json::Number>(text).and(object::parse(text))),
        Kind::Content => match written() {
            None => None,
            Some(source) => Some(object::raw(&sources.read(source)?)),
        },
        Kind::Flag => match (matches.get_flag(name), matches.get_flag(&format!("no-{}", name.replace('_', "-")))) {
            (false, false) => None,
            (yes, _) => Some(object::raw(&yes)),
        },
        Kind::Object => {
            let takes_set = object_parameter(row).is_some_and(|other| other.name == name);
            return object(parameter, written(), if takes_set { matches.get_many("set") } else { None });
        }
    };
    made.transpose().map_err(|error| Trouble::usage(format!("--{}: {error}", name.replace('_', "-"))))
}

fn object(
    parameter: &Parameter,
    whole: Option<&String>,
    set: Option<clap::parser::ValuesRef<'_, String>>,
) -> Result<Option<Value>, Trouble> {
    let wrong = |reason: String| Trouble::usage(format!("--{}: {reason}", parameter.name.replace('_', "-")));
    let Some(set) = set else {
        // As it was written, to the last space.
        return match whole {
            None if parameter.required => object::raw(&Object::default()).map(Some).map_err(|e| wrong(e.to_string())),
            None => Ok(None),
            Some(text) => object::parse(text).map(Some).map_err(|error| wrong(error.to_string())),
        };
    };
    let mut object: Object = match whole {
        None => Object::default(),
        Some(text) => serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?,
    };
    let mut seen = Object::default();
    for pair in set {
        let (name, text) = pair
            .split_once('=')
            .ok_or_else(|| Trouble::usage(format!("--set {pair:?}: write a name, = and a value")))?;
        if seen.has(name) {
            return Err(Trouble::usage(format!("--set gives {name:?} twice")));
        }
        let value = object::parse(text).or_else(|_| object::raw(text)).map_err(|error| wrong(error.to_string()))?;
        seen.set(name, value.clone());
        object.set(name, value);
    }
    object::raw(&object).map(Some).map_err(|error| wrong(error.to_string()))
}
