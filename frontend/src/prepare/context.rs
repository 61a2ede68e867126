//! Reads a client's context into a shipped template's own: known keys only, each by the grammar of its type.
use super::error::Error;
use super::grammar::Grammar;
use reeve_shared::command::{Context, Value};
use reeve_shared::error::excerpt;

/// A client's context, on its way into the context of `template`.
pub(super) struct Fields<'a> {
    pub(super) template: &'static str,
    context: &'a Context,
}

impl<'a> Fields<'a> {
    /// # Errors
    /// [`Error::UnknownKey`] if there is a key that is in none of `keys`.
    pub(super) fn new(template: &'static str, keys: &[&[&str]], context: &'a Context) -> Result<Self, Error> {
        match context.0.keys().find(|key| !keys.iter().any(|keys| keys.contains(&key.as_str()))) {
            Some(key) => Err(Error::UnknownKey { template, key: excerpt(key), known: keys.concat().join(", ") }),
            None => Ok(Self { template, context }),
        }
    }

    pub(super) fn required<T: Grammar>(&self, key: &'static str) -> Result<T, Error> {
        self.optional(key)?.ok_or(Error::MissingKey { template: self.template, key, expected: T::EXPECTED })
    }

    pub(super) fn optional<T: Grammar>(&self, key: &'static str) -> Result<Option<T>, Error> {
        self.context.0.get(key).map(|value| self.read(key, value)).transpose()
    }

    /// The value of `key`; where there is none, `default`, by the same grammar.
    pub(super) fn default<T: Grammar>(&self, key: &'static str, default: &Value) -> Result<T, Error> {
        self.read(key, self.context.0.get(key).unwrap_or(default))
    }

    fn read<T: Grammar>(&self, key: &'static str, value: &Value) -> Result<T, Error> {
        T::read(value).ok_or_else(|| Error::Value {
            template: self.template,
            key,
            value: if T::SECRET { "what was sent".to_owned() } else { describe(value) },
            expected: T::EXPECTED,
        })
    }
}

/// The beginning of a value for the log.
fn describe(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Signed(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => excerpt(text),
        Value::List(values) => match values.first() {
            Some(first) => format!("a list of {}, the first {}", values.len(), describe(first)),
            None => "an empty list".to_owned(),
        },
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Text, as the value of a default.
pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Writes the struct of a context, its list of keys, and how it is read.
macro_rules! context {
    (
        $(#[$meta:meta])*
        $Name:ident {
            required { $( $(#[$required_meta:meta])* $required:ident: $Required:ty, )* }
            default { $( $(#[$default_meta:meta])* $default:ident: $Default:ty = $value:expr, )* }
            optional { $( $(#[$optional_meta:meta])* $optional:ident: $Optional:ty, )* }
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, serde::Serialize)]
        pub(super) struct $Name {
            $( $(#[$required_meta])* $required: $Required, )*
            $( $(#[$default_meta])* $default: $Default, )*
            $( $(#[$optional_meta])* $optional: Option<$Optional>, )*
        }
        impl $Name {
            pub(super) const KEYS: &'static [&'static str] =
                &[$(stringify!($required),)* $(stringify!($default),)* $(stringify!($optional)),*];

            fn read(fields: &$crate::prepare::context::Fields<'_>) -> Result<Self, $crate::prepare::error::Error> {
                Ok(Self {
                    $( $required: fields.required(stringify!($required))?, )*
                    $( $default: fields.default(stringify!($default), &$value)?, )*
                    $( $optional: fields.optional(stringify!($optional))?, )*
                })
            }
        }
    };
}

pub(super) use context;
