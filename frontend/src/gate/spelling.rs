//! The spellings of a JSON value that clients sign. None of them is ever acted on.
use super::request::WHITE_SPACE;
use super::strict::Key;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A way to write the value that a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// As it stands in the message.
    Received,
    /// Without the white space outside strings.
    Compact,
    /// As serde_json's `Value` prints it: compact, keys sorted by their UTF-8 bytes, numbers and escapes printed again.
    Sorted(Exponent),
}

/// How the exponent of a large number is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exponent {
    /// `1e+16`, as serde_json does since 1.0.147.
    Signed,
    /// `1e16`, as it did before.
    Bare,
}

impl Spelling {
    /// Every spelling, in the order in which they are tried.
    pub const ALL: [Self; 4] =
        [Self::Received, Self::Compact, Self::Sorted(Exponent::Signed), Self::Sorted(Exponent::Bare)];

    /// Writes `text`, which passed the strict pass, in this spelling. `None` if it is no JSON.
    #[must_use]
    pub fn of(self, text: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Received => Some(Cow::Borrowed(text)),
            Self::Compact => Some(compact(text)),
            Self::Sorted(exponent) => sorted(text, exponent).map(Cow::Owned),
        }
    }
}

fn compact(text: &str) -> Cow<'_, str> {
    if !text.contains(WHITE_SPACE) {
        return Cow::Borrowed(text);
    }
    let (mut in_string, mut escaped) = (false, false);
    let kept = |c: &char| {
        let keep = in_string || !WHITE_SPACE.contains(c);
        in_string ^= *c == '"' && !escaped;
        escaped = *c == '\\' && in_string && !escaped;
        keep
    };
    Cow::Owned(text.chars().filter(kept).collect())
}

fn sorted(text: &str, exponent: Exponent) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Printer { out: &mut out, exponent }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    String::from_utf8(out).ok()
}

/// Prints a value as it reads it. It sorts by itself and needs no `Value`, whose order of keys hangs on a feature that any crate
/// of the build may turn on.
struct Printer<'o> {
    out: &'o mut Vec<u8>,
    exponent: Exponent,
}

impl Printer<'_> {
    fn print<E: Error>(self, value: &impl serde::Serialize) -> Result<(), E> {
        serde_json::to_writer(self.out, value).map_err(E::custom)
    }

    fn inner(&mut self) -> Printer<'_> {
        Printer { out: self.out, exponent: self.exponent }
    }
}

impl<'de> DeserializeSeed<'de> for Printer<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Printer<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.print(&value)
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.print(&value)
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.print(&value)
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let text = serde_json::to_string(&value).map_err(E::custom)?;
        match (text.split_once('e'), self.exponent) {
            (Some((digits, power)), Exponent::Bare) => write(self.out, &[digits, "e", power.trim_start_matches('+')]),
            (Some((digits, power)), Exponent::Signed) if !power.starts_with(['+', '-']) => {
                write(self.out, &[digits, "e+", power]);
            }
            _ => write(self.out, &[&text]),
        }
        Ok(())
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.print(&value)
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.print(&())
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut before = "[";
        loop {
            let start = self.out.len();
            write(self.out, &[before]);
            if list.next_element_seed(self.inner())?.is_none() {
                self.out.truncate(start);
                break;
            }
            before = ",";
        }
        write(self.out, if before == "[" { &["[]"] } else { &["]"] });
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        // Each member is printed where it comes, then all of them are put in order.
        let start = self.out.len();
        let mut members: Vec<(Cow<'de, str>, Range<usize>)> = Vec::new();
        while let Some(key) = object.next_key_seed(Key)? {
            let from = self.out.len();
            self.inner().print(&key)?;
            write(self.out, &[":"]);
            object.next_value_seed(self.inner())?;
            members.push((key, from..self.out.len()));
        }
        members.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        let mut in_order = Vec::with_capacity(self.out.len().saturating_sub(start).saturating_add(members.len()));
        for (_, member) in members {
            in_order.push(if in_order.is_empty() { b'{' } else { b',' });
            in_order.extend_from_slice(self.out.get(member).unwrap_or_default());
        }
        self.out.truncate(start);
        if in_order.is_empty() {
            in_order.push(b'{');
        }
        self.out.append(&mut in_order);
        self.out.push(b'}');
        Ok(())
    }
}

fn write(out: &mut Vec<u8>, pieces: &[&str]) {
    pieces.iter().for_each(|piece| out.extend_from_slice(piece.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signed(text: &str) -> String {
        sorted(text, Exponent::Signed).unwrap()
    }

    #[test]
    fn white_space_goes_outside_strings_only() {
        for (text, expected) in [
            ("{ \"a b\" :\t[ 1 ,\r\n\"c d\" ] }", "{\"a b\":[1,\"c d\"]}"),
            (r#"{ "\" " : "\\" , "x" : " \\\" " }"#, r#"{"\" ":"\\","x":" \\\" "}"#),
            ("{}", "{}"),
            ("[ ]", "[]"),
        ] {
            assert_eq!(compact(text), expected);
        }
        assert!(matches!(compact("{\"a\":1.0}"), Cow::Borrowed(_)));
    }

    #[test]
    fn keys_are_sorted_by_their_unescaped_bytes_at_every_level() {
        let text = r#"{"b":{"z":1,"\u0061":2},"é":1,"Z":[{"b":1,"a":2}],"a":{},"\ud83d\ude00":1,"\uffff":2,"":0}"#;
        let expected = "{\"\":0,\"Z\":[{\"a\":2,\"b\":1}],\"a\":{},\"b\":{\"a\":2,\"z\":1},\"é\":1,\"\u{ffff}\":2,\"\u{1f600}\":1}";
        assert_eq!(signed(text), expected);
    }

    #[test]
    fn numbers_and_escapes_are_printed_again() {
        for (text, expected) in [
            ("[1.50,1E2,-0,-0.0,100000000000000000000,1e-7,0.1e1]", "[1.5,100.0,-0.0,-0.0,1e+20,1e-7,1.0]"),
            (
                "[18446744073709551615,-9223372036854775808,18446744073709551616]",
                "[18446744073709551615,-9223372036854775808,1.8446744073709552e+19]",
            ),
            (r#"["\u0041\/\u001f\n\b\u2028\u00e9\""]"#, "[\"A/\\u001f\\n\\b\u{2028}é\\\"\"]"),
            (" [ null , true , [ ] , { } ] ", "[null,true,[],{}]"),
            ("[[],[[]],1]", "[[],[[]],1]"),
        ] {
            assert_eq!(signed(text), expected);
        }
    }

    #[test]
    fn both_spellings_of_an_exponent_are_known() {
        let text = r#"{"a":1e16,"b":[1e-16,"1e+16"],"c":1.5E300}"#;
        assert_eq!(signed(text), r#"{"a":1e+16,"b":[1e-16,"1e+16"],"c":1.5e+300}"#);
        assert_eq!(sorted(text, Exponent::Bare).unwrap(), r#"{"a":1e16,"b":[1e-16,"1e+16"],"c":1.5e300}"#);
    }

    #[test]
    fn what_is_no_json_has_no_such_spelling() {
        assert_eq!(Spelling::Sorted(Exponent::Bare).of("{"), None);
        assert_eq!(Spelling::Sorted(Exponent::Bare).of("{}x"), None);
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<Option<bool>>().prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            prop::num::f64::NORMAL.prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn sorted_is_what_serde_json_prints(value in value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let read: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(signed(&text), read.to_string());
                prop_assert_eq!(compact(&text), value.to_string());
            }
        }
    }
}
