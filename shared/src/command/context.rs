//! The values of a template, as a client wrote them.
use super::describe::{Described, Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;

/// The object `context` of a request: names and values. `[]`, PHP's empty object, reads as an empty one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context(pub BTreeMap<String, Value>);

/// A value of a template. There is no null: a value that is not there is left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A number without a point, not negative.
    Unsigned(u64),
    /// A negative number without a point.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object.
    Object(BTreeMap<String, Value>),
}

impl Described for Context {
    const KIND: Kind = Kind::Object;
}

struct ContextVisitor;
impl<'de> de::Visitor<'de> for ContextVisitor {
    type Value = Context;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Context, A::Error> {
        BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map)).map(Context)
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Context, A::Error> {
        match list.next_element::<Value>()? {
            None => Ok(Context::default()),
            Some(_) => Err(de::Error::custom("expected an object, got a list")),
        }
    }
}

impl<'de> Deserialize<'de> for Context {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContextVisitor)
    }
}

struct ValueVisitor;
impl<'de> de::Visitor<'de> for ValueVisitor {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value other than null")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Signed(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Value, A::Error> {
        Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Value::List)
    }
    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map)).map(Value::Object)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => value.serialize(serializer),
            Self::Unsigned(value) => value.serialize(serializer),
            Self::Signed(value) => value.serialize(serializer),
            Self::Float(value) => value.serialize(serializer),
            Self::Text(value) => value.serialize(serializer),
            Self::List(values) => values.serialize(serializer),
            Self::Object(values) => values.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_or_phps_empty_one_is_a_context() {
        let context = |text: &str| serde_json::from_str::<Context>(text);
        assert_eq!(context("[]").unwrap(), Context::default());
        assert_eq!(context("{}").unwrap(), Context::default());
        let some = context(r#"{"a": [1, -1, 1.5, "x", true], "b": {"c": 2}}"#).unwrap();
        assert_eq!(serde_json::to_string(&some.0).unwrap(), r#"{"a":[1,-1,1.5,"x",true],"b":{"c":2}}"#);
        for bad in ["[1]", "null", "1", "\"a\"", r#"{"a": null}"#, r#"{"a": [null]}"#] {
            assert!(context(bad).is_err(), "{bad}");
        }
    }
}
