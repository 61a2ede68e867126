//! Who is to own a file: a number, or a name that the executor resolves once.
use crate::error::Error;
use crate::name::AccountName;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A uid or gid, or the name of one. Digits are always a number, in JSON as a number or a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An id, 0 to 4294967294: chown(2) takes 4294967295 for "leave as it is" and answers success.
    Id(u32),
    /// A name, not looked up yet.
    Name(AccountName),
}

impl Owner {
    fn id(number: u64) -> Result<Self, Error> {
        match u32::try_from(number) {
            Ok(id) if id != u32::MAX => Ok(Self::Id(id)),
            _ => Err(Error::malformed("owner", &number.to_string(), "a number of 0 to 4294967294")),
        }
    }
}

impl TryFrom<&str> for Owner {
    type Error = Error;
    fn try_from(text: &str) -> Result<Self, Error> {
        if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
            return Self::id(text.parse().unwrap_or(u64::MAX));
        }
        AccountName::try_from(text).map(Self::Name)
    }
}

/// The group of a file; written like an [`Owner`], and looked up among the groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Group(pub Owner);

impl TryFrom<&str> for Group {
    type Error = Error;
    fn try_from(text: &str) -> Result<Self, Error> {
        Owner::try_from(text).map(Self)
    }
}
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Looks the names of accounts and groups up, once for each command.
pub trait Accounts {
    /// Why a name has no id.
    type Error;
    /// # Errors
    /// There is no such account.
    fn uid(&self, name: &AccountName) -> Result<u32, Self::Error>;
    /// # Errors
    /// There is no such group.
    fn gid(&self, name: &AccountName) -> Result<u32, Self::Error>;
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// On the link, where the type has to be told apart without looking at the text.
#[derive(Serialize, Deserialize)]
enum Wire {
    Id(u32),
    Name(AccountName),
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, serializer.is_human_readable()) {
            (Self::Id(id), true) => serializer.serialize_u32(*id),
            (Self::Name(name), true) => name.serialize(serializer),
            (Self::Id(id), false) => Wire::Id(*id).serialize(serializer),
            (Self::Name(name), false) => Wire::Name(name.clone()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrName;
        impl de::Visitor<'_> for NumberOrName {
            type Value = Owner;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id or an account's name")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Owner, E> {
                Owner::id(number).map_err(E::custom)
            }
            // TOML's integers are signed.
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Owner, E> {
                u64::try_from(number)
                    .map_err(|_| E::custom("an id is not negative"))
                    .and_then(|number| self.visit_u64(number))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Owner, E> {
                Owner::try_from(text).map_err(E::custom)
            }
        }
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(NumberOrName);
        }
        match Wire::deserialize(deserializer)? {
            Wire::Id(id) => Self::id(id.into()).map_err(de::Error::custom),
            Wire::Name(name) => Ok(Self::Name(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_number_and_minus_one_is_refused() {
        let json = |text: &str| serde_json::from_str::<Owner>(text);
        assert_eq!(json("33").unwrap(), Owner::Id(33));
        assert_eq!(json("\"0033\"").unwrap(), Owner::Id(33));
        assert_eq!(json("4294967294").unwrap(), Owner::Id(4_294_967_294));
        assert_eq!(json("\"www-data\"").unwrap().to_string(), "www-data");
        for bad in [
            "4294967295",
            "\"4294967295\"",
            "-1",
            "\"-1\"",
            "1.0",
            "1e2",
            "null",
            "true",
            "\"\"",
            "\"a:b\"",
            "[]",
            "99999999999999999999",
        ] {
            assert!(json(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_link_carries_both_and_no_minus_one() {
        for owner in [Owner::Id(0), Owner::try_from("redis").unwrap()] {
            let wire = bincode::serialize(&owner).unwrap();
            assert_eq!(bincode::deserialize::<Owner>(&wire).unwrap(), owner);
        }
        assert!(bincode::deserialize::<Owner>(&bincode::serialize(&Wire::Id(u32::MAX)).unwrap()).is_err());
    }
}
