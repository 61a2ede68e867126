//! The log on standard error: one line an event, one write(2) a line, ASCII alone.
//!
//! Whoever can choose what is logged (a path, a name, the whole of the frontend's log) must not be able to begin a line, to reach
//! a terminal or to reorder what is read: control characters, C1 and bidirectional marks are shown as escapes.
mod drain;

use crate::{config::Format, config::Level, json_line::json_line};
use reeve_shared::Timestamp;
use serde_json::Value;
use std::fmt;
use std::io::Write;
use std::sync::{PoisonError, RwLock};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, set_global_default};
use tracing::{Event, Metadata, Subscriber};

pub use drain::drain;

static SETTINGS: RwLock<(Level, Format)> = RwLock::new((Level::Info, Format::Pretty));

/// Begins to log, in pretty lines and from `info` on, until [`configure`] says otherwise.
pub fn begin() {
    // An error means that it has begun already.
    let _ = set_global_default(Log);
}

/// Sets how the log looks, and the least severe level that is logged.
pub fn configure(level: Level, format: Format) {
    *SETTINGS.write().unwrap_or_else(PoisonError::into_inner) = (level, format);
}

fn settings() -> (Level, Format) {
    *SETTINGS.read().unwrap_or_else(PoisonError::into_inner)
}

/// The level of this name, in any case.
fn level_of(name: &str) -> Option<Level> {
    Level::ALL.iter().find(|level| level.as_str().eq_ignore_ascii_case(name)).copied()
}

fn level(metadata: &Metadata<'_>) -> Level {
    level_of(metadata.level().as_str()).unwrap_or(Level::Error)
}

/// What tracing hands events to. There are no spans.
struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && level(metadata) <= settings().0
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
        line.write(level(event.metadata()));
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

impl Line {
    fn write(&self, level: Level) {
        let now = Timestamp::now();
        let mut line = match settings().1 {
            Format::Json => self.json(level, now),
            Format::Pretty => self.pretty(level, now),
        };
        line.push('\n');
        // There is nobody to tell that the log can't be written.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn pretty(&self, level: Level, now: Timestamp) -> String {
        let from = self.from.map(|from| format!("{from}: ")).unwrap_or_default();
        let mut line = format!("{now} {} {from}", level.as_str().to_ascii_uppercase());
        escape(&mut line, &self.message, false);
        for (name, value) in &self.fields {
            line.push_str(&format!(" {name}="));
            match value.as_str() {
                None => line.push_str(&value.to_string()),
                Some(text) if is_one_word(text) => line.push_str(text),
                Some(text) => {
                    line.push('"');
                    escape(&mut line, text, true);
                    line.push('"');
                }
            }
        }
        line
    }

    fn json(&self, level: Level, now: Timestamp) -> String {
        let (now, message) = (now.to_string(), self.message.as_str());
        let begin = [("timestamp", now.into()), ("level", level.as_str().into()), ("message", message.into())];
        let from = self.from.map(|from| ("process", from.into()));
        json_line(begin.into_iter().chain(from).chain(self.fields.iter().cloned()))
    }

    fn push(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Line {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}").into());
    }
}

/// Whether a value can stand without quotes of ours: visible ASCII, and no quote but around a text that Debug wrote.
fn is_one_word(value: &str) -> bool {
    let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    let inner = if quoted { value.get(1..value.len().saturating_sub(1)).unwrap_or_default() } else { value };
    let good = |c: u8| c.is_ascii_graphic() && c != b'"' && c != if quoted { b'\\' } else { b'=' };
    !value.is_empty() && inner.bytes().all(good)
}

/// Appends `text` in visible ASCII.
fn escape(line: &mut String, text: &str, in_quotes: bool) {
    for c in text.chars() {
        match c {
            '"' | '\\' if in_quotes => line.extend(['\\', c]),
            ' '..='~' => line.push(c),
            _ => line.extend(c.escape_default()),
        }
    }
}

#[cfg(test)]
mod tests;
