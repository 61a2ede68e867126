//! The context of an operator's template: any keys, and no text that could end a directive and begin another.
use super::engine;
use super::error::Error;
use reeve_shared::command::{Context, Value};
use reeve_shared::error::excerpt;
use std::collections::BTreeMap;

/// The context for the engine, once every text in it, keys included, was found harmless.
pub(super) fn context(template: &str, context: &Context) -> Result<minijinja::Value, Error> {
    object(&context.0).map_err(|text| Error::Character { template: template.to_owned(), text })?;
    Ok(engine::value(&context.0))
}

/// `Err` names the key beneath which the text stands, not the text: that may be a password.
fn object(values: &BTreeMap<String, Value>) -> Result<(), String> {
    for (key, value) in values {
        if !harmless(key) || !harmless_value(value)? {
            return Err(excerpt(key));
        }
    }
    Ok(())
}

fn harmless_value(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) => Ok(true),
        Value::Text(text) => Ok(harmless(text)),
        Value::List(values) => values.iter().try_fold(true, |all, value| Ok(harmless_value(value)? && all)),
        Value::Object(values) => object(values).map(|()| true),
    }
}

fn harmless(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || ";{}`$\"'\\".contains(c))
}
