//! The template engine: minijinja, with bounds on what a template can cost and with Tera's keywords.
use super::error::Error;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use reeve_shared::Content;
use serde::Serialize;
use std::io;

/// Steps that a rendering may take; each pays for 64 bytes too. A loop over as many domains as a message holds takes half.
const FUEL: u64 = 1_000_000;
/// How deep a rendering may nest; an include counts ten.
const DEPTH: usize = 200;

/// An engine without templates and without a loader: it knows what it is given, and no file.
pub(super) fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    engine.set_auto_escape_callback(|_| AutoEscape::None);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(DEPTH);
    engine.set_formatter(|out, state, value| match spelling(value) {
        Some(spelling) => out.write_str(spelling).map_err(minijinja::Error::from),
        None => minijinja::escape_formatter(out, state, value),
    });
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true); // as Tera does
    if let Ok(syntax) = syntax.build() {
        engine.set_syntax(syntax);
    }
    engine.add_filter("join", join);
    engine.add_filter("default", default);
    engine
}

/// A context as the engine takes it.
pub(super) fn value(context: impl Serialize) -> Value {
    Value::from(Serde(context))
}

/// Renders the template `name` with `context`.
pub(super) fn render(engine: &Environment<'static>, name: &str, context: Value) -> Result<Content, Error> {
    let mut output = Bounded { text: Vec::new(), full: false };
    let template = engine.get_template(name).map_err(|error| Error::render(name, &error))?;
    if let Err(error) = template.render_captured_to(context, &mut output) {
        return Err(if output.full { Error::TooLong(name.to_owned()) } else { Error::render(name, &error) });
    }
    let text = String::from_utf8(output.text).ok().and_then(|text| Content::try_from(text).ok());
    text.ok_or_else(|| Error::TooLong(name.to_owned()))
}

/// Takes what a file may hold, and fails at the first byte more.
struct Bounded {
    text: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len().saturating_add(bytes.len()) > Content::MAX {
            self.full = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `true` and `false` as every configuration file and Tera spell them; minijinja has Python's `True`.
fn spelling(value: &Value) -> Option<&'static str> {
    match (value.kind() == ValueKind::Bool, value.is_true()) {
        (true, true) => Some("true"),
        (true, false) => Some("false"),
        (false, _) => None,
    }
}

/// `join(sep=", ")` as Tera writes it, `join(", ")` as Jinja does.
fn join(list: &Value, separator: Option<String>, keywords: Kwargs) -> Result<String, minijinja::Error> {
    let separator = match keywords.get::<Option<String>>("sep")? {
        Some(sep) => sep,
        None => separator.unwrap_or_default(),
    };
    keywords.assert_all_used()?;
    let mut text = String::new();
    for (index, item) in list.try_iter()?.enumerate() {
        if index > 0 {
            text.push_str(&separator);
        }
        match spelling(&item) {
            Some(spelling) => text.push_str(spelling),
            None => text.push_str(&item.to_string()),
        }
        if text.len() > Content::MAX {
            return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "join makes more than a file may hold"));
        }
    }
    Ok(text)
}

/// `default(value=1)` as Tera writes it, `default(1)` as Jinja does.
fn default(value: &Value, other: Option<Value>, keywords: Kwargs) -> Result<Value, minijinja::Error> {
    let other = match keywords.get::<Option<Value>>("value")? {
        Some(value) => value,
        None => other.unwrap_or_else(|| Value::from("")),
    };
    keywords.assert_all_used()?;
    Ok(if value.is_undefined() { other } else { value.clone() })
}
