//! The strict pass: a frame becomes an [`Envelope`], or it is malformed.
//!
//! The fields are first told apart as raw text, without recursion; that fails only where the text is not JSON. Then each is
//! read for what it must be. So a field that is wrong does not hide the nonce behind it, and the answer can carry it.
//! Beside the frame it takes up to ten times the frame's size, for an object that is nothing but short keys; else hardly any.
use super::strict;
use reeve_shared::error::excerpt;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

#[cfg(test)]
mod tests;

/// A message whose form is right. Nothing in it is authenticated yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The command's name, unescaped.
    pub command: Cow<'a, str>,
    /// The text of `params` as it stands in the message: an object, or `[]`.
    pub params: Option<&'a str>,
    /// Unix seconds, below 2^63.
    pub timestamp: u64,
    /// 16 to 128 characters of `[A-Za-z0-9_-]`.
    pub nonce: Cow<'a, str>,
    /// Whatever the message calls its signature, unescaped.
    pub signature: Cow<'a, str>,
    /// The text of `options` as it stands in the message: an object, or `[]`.
    pub options: Option<&'a str>,
}

/// A frame that is refused, and what could be read of it all the same.
#[derive(Debug)]
pub struct Malformed<'a> {
    /// What is wrong. For the log.
    pub fault: Fault,
    /// The nonce, if there was a single one, and a well-formed one.
    pub nonce: Option<Cow<'a, str>>,
    /// The command's name, if there was one.
    pub command: Option<Cow<'a, str>>,
}

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Bytes that are not UTF-8.
    #[error("the message is not UTF-8: {0}")]
    NotUtf8(#[from] std::str::Utf8Error),
    /// JSON of another kind, or something else altogether.
    #[error("the message is not a JSON object")]
    NotObject,
    /// It begins as an object and goes wrong.
    #[error("the message is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A key of the message itself stands twice.
    #[error("the message has the field {0} twice")]
    Twice(String),
    /// A field that must be there is not.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// A field is not what it must be.
    #[error("{field} is not {expected}")]
    Mistyped {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A field is of its kind, but something in it is refused.
    #[error("in {field}: {fault}")]
    Within {
        /// The field.
        field: String,
        /// What is wrong in it.
        #[source]
        fault: serde_json::Error,
    },
}

/// Reads a whole frame.
///
/// # Errors
/// The first thing found wrong with it.
pub fn parse(frame: &[u8]) -> Result<Envelope<'_>, Malformed<'_>> {
    let refuse = |fault| Malformed { fault, nonce: None, command: None };
    let text = std::str::from_utf8(frame).map_err(|error| refuse(error.into()))?;
    if !text.trim_start_matches(WHITE_SPACE).starts_with('{') {
        return Err(refuse(Fault::NotObject));
    }
    let mut fields = Fields::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_map(&mut fields).and_then(|()| deserializer.end());
    if let Err(error) = read {
        fields.note(Fault::NotJson(error));
    }
    fields.finish()
}

/// Whether the text of `params` or `options` is PHP's empty object: after the strict pass a list can only be empty.
#[must_use]
pub fn is_empty_list(text: &str) -> bool {
    text.starts_with('[')
}

/// Whether `text` is a nonce.
#[must_use]
pub fn is_nonce(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'-')
}

/// White space of JSON (RFC 8259, section 2), which is less than Rust's.
pub(super) const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The raw text of each field.
#[derive(Default)]
struct Fields<'a> {
    command: Option<&'a str>,
    params: Option<&'a str>,
    timestamp: Option<&'a str>,
    nonce: Option<&'a str>,
    signature: Option<&'a str>,
    options: Option<&'a str>,
    others: strict::Keys<'a>,
    two_nonces: bool,
    /// The first thing found wrong.
    fault: Option<Fault>,
}

impl<'de> Visitor<'de> for &mut Fields<'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut message: A) -> Result<(), A::Error> {
        while let Some(key) = message.next_key_seed(strict::Key)? {
            self.take(key, message.next_value::<&RawValue>()?.get());
        }
        Ok(())
    }
}

impl<'a> Fields<'a> {
    fn note(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn take(&mut self, key: Cow<'a, str>, value: &'a str) {
        let field = match &*key {
            "command" => &mut self.command,
            "params" => &mut self.params,
            "timestamp" => &mut self.timestamp,
            "nonce" => &mut self.nonce,
            "signature" => &mut self.signature,
            "options" => &mut self.options,
            _ => return self.ignore(key, value),
        };
        if field.replace(value).is_some() {
            self.two_nonces |= key == "nonce";
            self.note(Fault::Twice(excerpt(&key)));
        }
    }

    /// A field that means nothing here must be JSON all the same.
    fn ignore(&mut self, key: Cow<'a, str>, value: &'a str) {
        if let Err(fault) = strict::scan(value) {
            self.note(Fault::Within { field: excerpt(&key), fault });
        }
        if let Err(key) = self.others.insert(key) {
            self.note(Fault::Twice(key));
        }
    }

    fn finish(mut self) -> Result<Envelope<'a>, Malformed<'a>> {
        let command = required("command", self.command, string);
        let nonce = required("nonce", self.nonce, nonce);
        let known_command = command.as_ref().ok().cloned();
        let known_nonce = nonce.as_ref().ok().filter(|_| !self.two_nonces).cloned();
        let read = || {
            self.fault.take().map_or(Ok(()), Err)?;
            Ok(Envelope {
                command: command?,
                params: self.params.map(|text| object("params", text)).transpose()?,
                timestamp: required("timestamp", self.timestamp, seconds)?,
                nonce: nonce?,
                signature: required("signature", self.signature, string)?,
                options: self.options.map(|text| object("options", text)).transpose()?,
            })
        };
        read().map_err(|fault| Malformed { fault, nonce: known_nonce, command: known_command })
    }
}

fn required<'a, T>(
    field: &'static str,
    text: Option<&'a str>,
    read: fn(&'static str, &'a str) -> Result<T, Fault>,
) -> Result<T, Fault> {
    text.map_or(Err(Fault::Missing(field)), |text| read(field, text))
}

/// A string; one without escapes is not copied.
fn string<'a>(field: &'static str, text: &'a str) -> Result<Cow<'a, str>, Fault> {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        None => Err(Fault::Mistyped { field, expected: "a string" }),
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        Some(_) => {
            serde_json::from_str(text).map(Cow::Owned).map_err(|fault| Fault::Within { field: field.to_owned(), fault })
        }
    }
}

fn nonce<'a>(field: &'static str, text: &'a str) -> Result<Cow<'a, str>, Fault> {
    let nonce = string(field, text)?;
    if is_nonce(&nonce) {
        return Ok(nonce);
    }
    Err(Fault::Mistyped { field, expected: "16 to 128 characters of [A-Za-z0-9_-]" })
}

/// Digits alone. `1e3` and `1.0` are the same number to some readers and not to others.
fn seconds(field: &'static str, text: &str) -> Result<u64, Fault> {
    let digits = text.bytes().all(|c| c.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && i64::try_from(*number).is_ok());
    number.ok_or(Fault::Mistyped { field, expected: "a whole number below 2^63 in plain digits" })
}

fn object<'a>(field: &'static str, text: &'a str) -> Result<&'a str, Fault> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if inside.is_some_and(|inside| inside.trim_matches(WHITE_SPACE).is_empty()) {
        return Ok(text);
    }
    if !text.starts_with('{') {
        return Err(Fault::Mistyped { field, expected: "an object" });
    }
    strict::scan(text).map_err(|fault| Fault::Within { field: field.to_owned(), fault })?;
    Ok(text)
}
