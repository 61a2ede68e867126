//! The types of the values of shipped templates that hold several things.
use super::grammar::{Grammar, as_text, plain_path};
use reeve_shared::command::Value;
use reeve_shared::{AbsolutePath, DomainName};
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The items of a list of texts, or of a text with one of `between` between them.
fn as_items<'a>(value: &'a Value, between: &[char]) -> Option<Vec<&'a str>> {
    match value {
        Value::List(values) => values.iter().map(as_text).collect(),
        Value::Text(text) => Some(text.split(between).filter(|item| !item.is_empty()).collect()),
        Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_) | Value::Object(_) => None,
    }
}

/// The names of a site: at least one, each once, in their order.
#[derive(Debug, Serialize)]
pub(super) struct Domains(Vec<DomainName>);

impl Grammar for Domains {
    const EXPECTED: &'static str = "a list of one or more domain names";
    fn read(value: &Value) -> Option<Self> {
        let Value::List(values) = value else { return None };
        let mut seen = BTreeSet::new();
        let names = values.iter().map(|value| DomainName::try_from(as_text(value)?).ok());
        let mut names = names.collect::<Option<Vec<_>>>()?;
        names.retain(|name| seen.insert(name.clone())); // nginx warns of a name that stands twice
        (!names.is_empty()).then_some(Self(names))
    }
}

/// Addresses that redis listens on; `-` before one lets redis start where it can't be had.
#[derive(Debug, Serialize)]
pub(super) struct Addresses(Vec<String>);

impl Grammar for Addresses {
    const EXPECTED: &'static str = "one to 16 IP addresses (redis's own limit), a list or parted by spaces";
    fn read(value: &Value) -> Option<Self> {
        let items = as_items(value, &[' '])?;
        let address = |item: &&str| item.strip_prefix('-').unwrap_or(item).parse::<IpAddr>().is_ok();
        ((1..=16).contains(&items.len()) && items.iter().all(address))
            .then(|| Self(items.into_iter().map(str::to_owned).collect()))
    }
}

/// Functions that PHP is to do without.
#[derive(Debug, Serialize)]
pub(super) struct Functions(Vec<String>);

impl Grammar for Functions {
    const EXPECTED: &'static str = "names of functions, a list or parted by commas";
    fn read(value: &Value) -> Option<Self> {
        let items = as_items(value, &[',', ' '])?;
        let name = |item: &&str| {
            let mut bytes = item.bytes();
            bytes.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
                && bytes.all(|c| c.is_ascii_alphanumeric() || c == b'_')
        };
        items.iter().all(name).then(|| Self(items.into_iter().map(str::to_owned).collect()))
    }
}

/// Folders that PHP may not leave. An empty list would be no restriction at all, so there is none.
#[derive(Debug, Serialize)]
pub(super) struct Folders(Vec<String>);

impl Grammar for Folders {
    const EXPECTED: &'static str =
        "one or more absolute paths of letters, digits and ._@+~-, a list or parted by colons";
    fn read(value: &Value) -> Option<Self> {
        let items = as_items(value, &[':'])?;
        let folder = |item: &str| {
            let path = AbsolutePath::try_from(item.strip_suffix('/').unwrap_or(item)).ok()?;
            plain_path(path.as_str()).then(|| path.as_str().to_owned())
        };
        let folders = items.into_iter().map(folder).collect::<Option<Vec<_>>>()?;
        (!folders.is_empty()).then_some(Self(folders))
    }
}
