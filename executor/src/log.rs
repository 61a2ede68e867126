//! The log on standard error: one line an event, one write(2) a line, ASCII alone.
//!
//! Whoever can choose what is logged (a path, a name, the whole of the frontend's log) must not be able to begin a line, to reach
//! a terminal or to reorder what is read: control characters, C1 and bidirectional marks are shown as escapes.
mod drain;

use crate::config::{Format, Level};
use crate::timestamp::Timestamp;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Event, Metadata, Subscriber};

pub use drain::drain;

static LEVEL: AtomicU8 = AtomicU8::new(2);
static JSON: AtomicBool = AtomicBool::new(false);

/// Begins to log, in pretty lines and from `info` on, until [`configure`] says otherwise.
pub fn begin() {
    // An error means that it has begun already.
    let _ = set_global_default(Log);
}

/// Sets how the log looks, and the least severe level that is logged.
pub fn configure(level: Level, format: Format) {
    LEVEL.store(rank(level), Ordering::Relaxed);
    JSON.store(format == Format::Json, Ordering::Relaxed);
}

fn rank(level: Level) -> u8 {
    match level {
        Level::Error => 0,
        Level::Warn => 1,
        Level::Info => 2,
        Level::Debug => 3,
        Level::Trace => 4,
    }
}

fn level_of(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

/// What tracing hands events to. There are no spans.
struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && rank(level_of(*metadata.level())) <= LEVEL.load(Ordering::Relaxed)
    }
    // Asked each time, since a reload may change the level.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        line.write(level_of(*event.metadata().level()));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A line of the log.
#[derive(Debug, Default)]
struct Line {
    /// Who says it, if it is not this process.
    from: Option<&'static str>,
    message: String,
    fields: Vec<(&'static str, Value)>,
}

#[derive(Debug)]
enum Value {
    /// A number, `true` or `false`.
    Plain(String),
    Text(String),
}

impl Line {
    fn write(&self, level: Level) {
        let now = Timestamp::now();
        let json = JSON.load(Ordering::Relaxed);
        let mut line = if json { self.json(level, now) } else { self.pretty(level, now) };
        line.push('\n');
        // There is nobody to tell that the log can't be written.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn pretty(&self, level: Level, now: Timestamp) -> String {
        let from = self.from.map(|from| format!("{from}: ")).unwrap_or_default();
        let mut line = format!("{now} {} {from}", level.as_str().to_ascii_uppercase());
        escape(&mut line, &self.message, Place::Bare);
        for (name, value) in &self.fields {
            line.push_str(&format!(" {name}="));
            match value {
                Value::Plain(value) => line.push_str(value),
                Value::Text(value) if is_one_word(value) => line.push_str(value),
                Value::Text(value) => quote(&mut line, value, Place::Quotes),
            }
        }
        line
    }

    fn json(&self, level: Level, now: Timestamp) -> String {
        let mut line = format!("{{\"timestamp\":\"{now}\",\"level\":\"{}\",\"message\":", level.as_str());
        quote(&mut line, &self.message, Place::Json);
        let from = self.from.map(|from| ("process", Value::Text(from.to_owned())));
        for (name, value) in from.iter().chain(&self.fields) {
            line.push_str(&format!(",\"{name}\":"));
            match value {
                Value::Plain(value) => line.push_str(value),
                Value::Text(value) => quote(&mut line, value, Place::Json),
            }
        }
        line.push('}');
        line
    }

    fn push(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Plain(text) | Value::Text(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Value::Plain(value.to_string()));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Value::Plain(value.to_string()));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Value::Plain(value.to_string()));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, Value::Text(value.to_owned()));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, Value::Text(format!("{value:?}")));
    }
}

/// Whether a value can stand without quotes of ours: visible ASCII, and no quote but around a text that Debug wrote.
fn is_one_word(value: &str) -> bool {
    let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    let inner = if quoted { value.get(1..value.len().saturating_sub(1)).unwrap_or_default() } else { value };
    let good = |c: u8| c.is_ascii_graphic() && c != b'"' && c != if quoted { b'\\' } else { b'=' };
    !value.is_empty() && inner.bytes().all(good)
}

/// Where a text stands in a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Bare,
    Quotes,
    Json,
}

fn quote(line: &mut String, text: &str, place: Place) {
    line.push('"');
    escape(line, text, place);
    line.push('"');
}

/// Appends `text` in ASCII.
fn escape(line: &mut String, text: &str, place: Place) {
    for c in text.chars() {
        match c {
            '"' | '\\' if place != Place::Bare => line.extend(['\\', c]),
            ' '..='~' => line.push(c),
            _ if place == Place::Json => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
            _ => line.extend(c.escape_default()),
        }
    }
}

#[cfg(test)]
mod tests;
