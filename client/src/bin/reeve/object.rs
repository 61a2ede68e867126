//! JSON objects in their own order, with names that stand twice and numbers as they were written.
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// An object: names, and values as they were written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(pub(crate) Vec<(String, Box<RawValue>)>);

impl Object {
    /// Sets a value, in the place of any of that name.
    pub(crate) fn set(&mut self, name: &str, value: Box<RawValue>) {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), value));
    }

    /// Whether there is a value of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// `value` as JSON, for a value that has such a form.
pub(crate) fn raw<T: Serialize + ?Sized>(value: &T) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(value)
}

/// `text`, if it is JSON.
pub(crate) fn parse(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_duplicates_and_spelling_survive() {
        let text = r#"{"b":1.50,"a":{"z": 1e2},"b":[ ]}"#;
        let mut object: Object = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), text);
        object.set("b", parse("true").unwrap());
        assert!(object.has("a") && !object.has("c"));
        assert_eq!(serde_json::to_string(&object).unwrap(), r#"{"a":{"z": 1e2},"b":true}"#);
        assert!(serde_json::from_str::<Object>("[]").is_err());
    }
}
