//! A line of JSON, for the log and for the audit trail.
use serde_json::Value;

/// An object of these fields, in their order. It is ASCII: what turns the direction of a terminal's text shows as what it is.
pub(crate) fn json_line<'a>(fields: impl Iterator<Item = (&'a str, Value)>) -> String {
    let fields: Vec<String> = fields.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let json = format!("{{{}}}", fields.join(","));
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            line.push(c);
        } else {
            line.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    line
}
