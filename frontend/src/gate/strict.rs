//! One JSON value, read strictly: all that serde_json refuses, and also duplicate keys, deep nesting, unpaired surrogates and
//! numbers beyond an f64 wherever they stand. Nothing is kept of it.
//!
//! serde_json is the reader here as it is for the parameters, so that the two can't see different things in the same bytes.
use reeve_shared::error::excerpt;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// The deepest nesting of a message; the message object itself is 1.
pub const MAX_DEPTH: u8 = 64;

/// The keys of one object. A long list is a set: hashed with a key of its own (std's SipHash), so that no client can choose keys
/// that make it slow.
#[derive(Default)]
pub(super) struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: Option<HashSet<Cow<'a, str>>>,
}

impl<'a> Keys<'a> {
    /// Comparing with up to so many is quicker than hashing.
    const FEW: usize = 16;

    /// Takes a key, unescaped.
    ///
    /// # Errors
    /// An excerpt of the key, if the object has it already.
    pub(super) fn insert(&mut self, key: Cow<'a, str>) -> Result<(), String> {
        if let Some(many) = &mut self.many {
            return many.replace(key).map_or(Ok(()), |twice| Err(excerpt(&twice)));
        }
        if self.few.contains(&key) {
            return Err(excerpt(&key));
        }
        self.few.push(key);
        if self.few.len() > Self::FEW {
            self.many = Some(self.few.drain(..).collect());
        }
        Ok(())
    }
}

/// Reads a key; one without escapes is not copied.
pub(super) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// A value at this depth.
struct Value {
    depth: u8,
}

/// Reads the whole of `text`, a value that stands in a message's object.
///
/// # Errors
/// What the strict pass refuses.
pub(super) fn scan(text: &str) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Value { depth: 2 }.deserialize(&mut deserializer)?;
    deserializer.end()
}

impl Value {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        if self.depth > MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(Self { depth: self.depth.saturating_add(1) })
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.inner::<A::Error>()?;
        while list.next_element_seed(self.inner()?)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        self.inner::<A::Error>()?;
        let mut keys = Keys::default();
        while let Some(key) = object.next_key_seed(Key)? {
            keys.insert(key).map_err(|key| A::Error::custom(format_args!("key {key} stands twice")))?;
            object.next_value_seed(self.inner()?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_passes() {
        for good in
            ["null", "true", "-1", "1", "1.5", "1e308", "1e-999", "\"\\ud83d\\ude00\"", "[]", "{}", " [1,{\"a\":[]}] "]
        {
            assert!(scan(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_serde_json_would_skip_over_is_refused_anywhere() {
        for bad in ["1e400", "-1e400", r#""\ud83d""#, r#""\ude00\ud83d""#, r#""\ud83d\u0041""#] {
            for text in [bad.to_owned(), format!("[{bad}]"), format!("{{\"a\":[{{\"b\":{bad}}}]}}")] {
                assert!(scan(&text).is_err(), "{text}");
            }
        }
        assert!(scan(r#"{"\ud83d":1}"#).is_err());
        assert!(scan(r#"{"\ud83d\ude00":1}"#).is_ok());
    }

    #[test]
    fn a_key_may_stand_once_an_object_after_unescaping() {
        assert!(scan(r#"{"a":{"a":[{"a":1},{"a":2}]},"b":1,"A":1,"":1}"#).is_ok());
        for bad in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"b":{"é":1,"\u00e9":2}}]"#, r#"{"":1,"":1}"#] {
            assert!(scan(bad).unwrap_err().to_string().contains("stands twice"), "{bad}");
        }
        let many = |last: usize| {
            let keys: Vec<_> = (0..100).chain([last]).map(|n| format!("\"k{n}\":{n}")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert!(scan(&many(100)).is_ok());
        for twice in [0, 15, 16, 17, 99] {
            assert!(scan(&many(twice)).is_err(), "{twice}");
        }
    }

    #[test]
    fn nesting_ends_at_64_the_message_being_1() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(scan(&nested(63)).is_ok());
            assert!(scan(&nested(64)).unwrap_err().to_string().contains("deeper"));
            assert!(scan(&nested(500_000)).is_err());
        }
        assert!(scan(&format!("{}{}", "[".repeat(63), "]".repeat(63))).is_ok());
        assert!(scan(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_err());
    }

    #[test]
    fn a_hundred_thousand_keys_cost_no_more_than_their_number() {
        let keys: Vec<_> = (0..100_000).map(|n| format!("\"{n}\":0")).collect();
        assert!(scan(&format!("{{{}}}", keys.join(","))).is_ok());
    }
}
