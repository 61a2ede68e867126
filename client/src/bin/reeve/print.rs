//! Answers, for people and for programs.
//!
//! Nothing is printed by `println!`, which panics when a pipe has been closed: that nobody reads on is no error here.
use crate::exit::Trouble;
use crate::object::Object;
use reeve::Answer;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, ErrorKind, Write};

/// Prints the whole answer as one line.
pub(crate) fn json(answer: &impl Serialize) -> Result<(), Trouble> {
    let mut line = serde_json::to_vec(answer).map_err(|error| Trouble::output(error.to_string()))?;
    line.push(b'\n');
    bytes(&line)
}

/// Prints the data of an answer: a name and its value a line.
pub(crate) fn data(answer: &Answer) -> Result<(), Trouble> {
    let data: Object = answer.read()?;
    let mut text = String::new();
    for (name, value) in &data.0 {
        let value: Value = serde_json::from_str(value.get()).map_err(|error| Trouble::output(error.to_string()))?;
        let value = plain(&value);
        text.push_str(&visible(name));
        if value.contains('\n') {
            text.push_str(":\n");
            for line in value.lines() {
                text.push_str(&format!("  {line}\n"));
            }
        } else {
            text.push_str(&format!(": {value}\n"));
        }
    }
    bytes(text.as_bytes())
}

/// Prints one line on standard error.
pub(crate) fn error(text: &str) {
    // There is no other place to say that this failed.
    let _ = writeln!(io::stderr().lock(), "reeve: {}", visible(text).replace('\n', " "));
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Trouble::output(format!("the output could not be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => visible(text),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => visible(&value.to_string()),
    }
}

/// The text without what would drive a terminal: control characters but line feed and tab, and what turns the direction of
/// writing (Unicode, UAX #9), are escaped.
fn visible(text: &str) -> String {
    let drives = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().fold(String::new(), |mut out, c| {
        if drives(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_plain_and_drive_no_terminal() {
        assert_eq!(plain(&json!(["a", 1, true, null])), "a, 1, true, none");
        assert_eq!(plain(&json!({"a": 1})), r#"{"a":1}"#);
        assert_eq!(plain(&json!("é\t\u{1b}[2J\r\u{9b}\u{202e}\n")), "é\t\\u{1b}[2J\\r\\u{9b}\\u{202e}\n");
    }
}
