//! The request's options.
use super::strict::Key;
use reeve_shared::error::excerpt;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Options that will mean something one day, and are refused until then: ignoring one would do what nobody asked for.
const RESERVED: [&str; 4] = ["dry_run", "progress", "detach", "idempotency_key"];

/// What a request's `options` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Which secret signed, by its id.
    pub key_id: Option<String>,
    /// The first option that is refused. It is refused by its own layer, behind the signature.
    pub refused: Option<Refused>,
}

/// Why an option is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none of this name.
    #[error("there is no option {0}")]
    Unknown(String),
    /// It is reserved.
    #[error("the option {0} is reserved and does not exist yet")]
    Reserved(String),
    /// `key_id` is not a string.
    #[error("options.key_id is not a string")]
    KeyId,
    /// The text is not what the strict pass lets through.
    #[error("the options can't be read")]
    Unreadable,
}

impl Options {
    /// Reads the text of `options`, which passed the strict pass.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        let mut options = Self::default();
        if let Some(text) = text {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            if deserializer.deserialize_any(&mut options).is_err() {
                options.refused = Some(Refused::Unreadable);
            }
        }
        options
    }

    fn take(&mut self, name: &str, value: &str) {
        let refused = if name == "key_id" {
            self.key_id = serde_json::from_str(value).ok();
            self.key_id.is_none().then_some(Refused::KeyId)
        } else if RESERVED.contains(&name) {
            Some(Refused::Reserved(excerpt(name)))
        } else {
            Some(Refused::Unknown(excerpt(name)))
        };
        self.refused = self.refused.take().or(refused);
    }
}

impl<'de> Visitor<'de> for &mut Options {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut options: A) -> Result<(), A::Error> {
        while let Some(name) = options.next_key_seed(Key)? {
            self.take(&name, options.next_value::<&RawValue>()?.get());
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Ok(()) // PHP's empty object; the deserializer refuses what is left of another list.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_options_and_empty_ones_are_the_same() {
        for none in [None, Some("{}"), Some("{ }"), Some("[]"), Some("[ ]")] {
            assert_eq!(Options::read(none), Options::default());
        }
    }

    #[test]
    fn key_id_is_read_as_a_string() {
        for text in [r#"{"key_id":"a b"}"#, r#"{ "k\u0065y_id" : "a\u0020b" }"#] {
            assert_eq!(Options::read(Some(text)), Options { key_id: Some("a b".into()), refused: None });
        }
        for text in ["null", "1", "[]", "{}", "true"] {
            let options = Options::read(Some(&format!("{{\"key_id\":{text}}}")));
            assert_eq!(options, Options { key_id: None, refused: Some(Refused::KeyId) });
        }
    }

    #[test]
    fn reserved_and_unknown_options_are_refused_by_name() {
        for name in ["dry_run", "progress", "detach", "idempotency_key"] {
            let options = Options::read(Some(&format!("{{\"key_id\":\"a\",\"{name}\":true,\"x\":1}}")));
            assert_eq!(options.refused, Some(Refused::Reserved(format!("\"{name}\""))));
            assert_eq!(options.key_id.as_deref(), Some("a"));
        }
        for name in ["x", "", "Key_id", "dry-run"] {
            let options = Options::read(Some(&format!("{{\"{name}\":null}}")));
            assert_eq!(options.refused, Some(Refused::Unknown(format!("\"{name}\""))));
        }
        assert_eq!(Options::read(Some("[1]")).refused, Some(Refused::Unreadable));
    }
}
