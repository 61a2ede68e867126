#![allow(clippy::arithmetic_side_effects, reason = "a test")]
use super::*;
use proptest::prelude::*;
use serde::Deserialize;

const NONCE: &str = "0123456789abcdef";
const MESSAGE: &str =
    r#"{"command":"system.ping","params":{},"timestamp":1,"nonce":"0123456789abcdef","signature":"s"}"#;

/// A message with these fields; what is not given is what [`MESSAGE`] has.
fn message(fields: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("command", "\"system.ping\""),
        ("params", "{}"),
        ("timestamp", "1"),
        ("nonce", "\"0123456789abcdef\""),
        ("signature", "\"s\""),
    ];
    for (field, value) in fields {
        all.retain(|(known, _)| known != field);
        all.push((field, value));
    }
    let fields: Vec<_> = all.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("\"{k}\":{v}")).collect();
    format!("{{{}}}", fields.join(","))
}

fn good(text: &str) -> Envelope<'_> {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {}", error.fault))
}

/// What is wrong, and the nonce that was found.
fn bad(text: &str) -> (String, Option<String>) {
    let error = parse(text.as_bytes()).expect_err(text);
    (error.fault.to_string(), error.nonce.map(Cow::into_owned))
}

#[test]
fn a_message_is_borrowed_not_copied() {
    let envelope = good(MESSAGE);
    assert_eq!((&*envelope.command, envelope.params, envelope.timestamp), ("system.ping", Some("{}"), 1));
    assert_eq!((&*envelope.nonce, &*envelope.signature, envelope.options), (NONCE, "s", None));
    assert!([envelope.command, envelope.nonce, envelope.signature].iter().all(|text| matches!(text, Cow::Borrowed(_))));
}

#[test]
fn params_and_options_are_the_bytes_that_stand_in_the_message() {
    let text = message(&[("params", " \n{ \"a\" : 1.50 ,\"\\u0062\": 1E2 }\t"), ("options", " { }")]);
    let envelope = good(&text);
    assert_eq!(envelope.params, Some("{ \"a\" : 1.50 ,\"\\u0062\": 1E2 }"));
    assert_eq!(envelope.options, Some("{ }"));
    assert_eq!(good(&message(&[("params", "")])).params, None);
}

#[test]
fn escapes_in_names_and_values_are_read() {
    let text = r#"{"\u0063ommand":"system\u002eping","timestamp":1,"nonc\u0065":"0123456789abcd\u0065f","signature":"\u0073"}"#;
    let envelope = good(text);
    assert_eq!((&*envelope.command, &*envelope.nonce, &*envelope.signature), ("system.ping", NONCE, "s"));
}

#[test]
fn what_is_not_json_is_refused() {
    let cut = &MESSAGE[..MESSAGE.len() - 1];
    for text in
        ["", " ", "x", "{", cut, "{'a':1}", "{\"a\":1,}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":\"\t\"}", "{\"a\":NaN}"]
    {
        bad(text);
    }
    assert_eq!(bad(&format!("{MESSAGE}x")).1.as_deref(), Some(NONCE));
    assert_eq!(bad(&format!("{MESSAGE}{MESSAGE}")).1.as_deref(), Some(NONCE));
    assert_eq!(bad(&format!("{MESSAGE}\0")).1.as_deref(), Some(NONCE));
    good(&format!(" \r\n\t{MESSAGE} \r\n\t"));
    bad(&format!("\u{a0}{MESSAGE}"));
    bad(&format!("\u{feff}{MESSAGE}"));
    assert!(parse(b"{\"command\":\"\xff\"}").unwrap_err().fault.to_string().contains("UTF-8"));
    assert!(parse(b"\xef\xbb\xbf{}").is_err() && parse(b"\xed\xa0\x80").is_err() && parse(b"\xc0\x80").is_err());
}

#[test]
fn a_message_is_an_object() {
    for text in ["[]", "null", "1", "\"{}\"", "true", &format!("[{MESSAGE}]")] {
        assert_eq!(bad(text), ("the message is not a JSON object".to_owned(), None));
    }
}

#[test]
fn a_missing_field_is_named() {
    for field in ["command", "timestamp", "signature"] {
        let (fault, nonce) = bad(&message(&[(field, "")]));
        assert_eq!((fault, nonce.as_deref()), (format!("the message has no {field}"), Some(NONCE)));
    }
    assert_eq!(bad(&message(&[("nonce", "")])), ("the message has no nonce".to_owned(), None));
}

#[test]
fn a_mistyped_field_is_named_and_does_not_hide_the_nonce() {
    for value in ["null", "1", "true", "[]", "{}"] {
        for field in ["command", "signature"] {
            let (fault, nonce) = bad(&message(&[(field, value)]));
            assert_eq!((fault, nonce.as_deref()), (format!("{field} is not a string"), Some(NONCE)));
        }
        assert_eq!(bad(&message(&[("nonce", value)])), ("nonce is not a string".to_owned(), None));
    }
}

#[test]
fn params_as_array_are_refused() {
    for field in ["params", "options"] {
        for value in ["null", "1", "\"{}\"", "true", "[1]", "[[]]", "[{}]", "[null]"] {
            let (fault, nonce) = bad(&message(&[(field, value)]));
            assert_eq!((fault, nonce.as_deref()), (format!("{field} is not an object"), Some(NONCE)));
        }
        for value in ["[]", "[ ]", "[\n\t\r ]", "{}", "{ }", "{\"a\":[1]}"] {
            good(&message(&[(field, value)]));
        }
        bad(&message(&[(field, "[\u{a0}]")]));
    }
}

#[test]
fn a_timestamp_is_plain_digits_below_2_to_the_63() {
    for (text, value) in [("0", 0), ("1703808000", 1_703_808_000), ("9223372036854775807", (1 << 63) - 1)] {
        assert_eq!(good(&message(&[("timestamp", text)])).timestamp, value);
    }
    for text in [
        "-1",
        "-0",
        "1.0",
        "1e3",
        "1E3",
        "1.5",
        "9223372036854775808",
        "99999999999999999999",
        "\"1\"",
        "null",
        "[1]",
        "1e400",
    ] {
        let (fault, nonce) = bad(&message(&[("timestamp", text)]));
        assert!(fault.contains("plain digits"), "{text}: {fault}");
        assert_eq!(nonce.as_deref(), Some(NONCE));
    }
    for text in ["01", "+1", "1.", "0x1", "1_0"] {
        bad(&message(&[("timestamp", text)]));
    }
    assert!(seconds("timestamp", "+1").is_err() && seconds("timestamp", "").is_err());
}

#[test]
fn a_nonce_is_16_to_128_characters_of_its_alphabet() {
    for text in [
        NONCE.to_owned(),
        "a".repeat(128),
        "550e8400-e29b-41d4-a716-446655440000".to_owned(),
        "_-AZaz09_-AZaz09".to_owned(),
    ] {
        assert_eq!(good(&message(&[("nonce", &format!("\"{text}\""))])).nonce, text);
    }
    for text in [
        "",
        "0123456789abcde",
        &"a".repeat(129),
        "0123456789abcde ",
        "0123456789abcde.",
        "0123456789abcdeé",
        "0123456789abcdef\\n",
        "0123456789abcdef\\u0000",
    ] {
        let (fault, nonce) = bad(&message(&[("nonce", &format!("\"{text}\""))]));
        assert!(fault.contains("16 to 128") && nonce.is_none(), "{text}: {fault}");
    }
}

#[test]
fn a_duplicate_key_is_refused_at_every_level_after_unescaping() {
    for field in ["command", "params", "timestamp", "signature", "options", "x"] {
        let fields = [(field, "{}"), ("y", "1")];
        let twice = message(&fields).replacen("\"y\":1", &format!("\"{field}\":{{}}"), 1);
        assert_eq!(bad(&twice).1.as_deref(), Some(NONCE), "{twice}");
    }
    let escaped = message(&[("x", "1"), ("\\u0078", "1")]);
    assert_eq!(bad(&escaped), ("the message has the field \"x\" twice".to_owned(), Some(NONCE.to_owned())));
    bad(&message(&[("\\u0063ommand", "\"system.ping\"")]));
    for field in ["params", "options", "x"] {
        for value in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":[{"c":1,"\u0063":1}]}}"#] {
            let (fault, nonce) = bad(&message(&[(field, value)]));
            assert!(fault.contains("stands twice") && fault.contains(field), "{fault}");
            assert_eq!(nonce.as_deref(), Some(NONCE));
        }
        good(&message(&[(field, r#"{"a":{"a":[{"a":1},{"a":1}]}}"#)]));
    }
}

#[test]
fn of_two_nonces_none_is_answered() {
    for second in ["\"0123456789abcdef\"", "\"fedcba9876543210\"", "1", "\"short\""] {
        let twice = message(&[("y", "1")]).replacen("\"y\":1", &format!("\"nonce\":{second}"), 1);
        assert_eq!(bad(&twice).1, None, "{twice}");
        let twice = twice.replacen("\"nonce\":\"0123456789abcdef\"", &format!("\"nonce\":{second}"), 1);
        assert_eq!(bad(&twice).1, None, "{twice}");
    }
}

#[test]
fn nesting_deeper_than_64_is_refused_anywhere() {
    for field in ["params", "options", "x"] {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth - 2), "]".repeat(depth - 2));
        good(&message(&[(field, &nested(64))]));
        for depth in [65, 127, 128, 129, 100_000] {
            let (fault, nonce) = bad(&message(&[(field, &nested(depth))]));
            assert!(fault.contains("nested deeper than 64"), "{fault}");
            assert_eq!(nonce.as_deref(), Some(NONCE));
        }
    }
    bad(&"[".repeat(1_000_000));
    bad(&"{\"a\":".repeat(200_000));
}

#[test]
fn surrogates_and_numbers_are_looked_at_anywhere() {
    for field in ["params", "options", "x"] {
        for value in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, "1e400", "-1e400"] {
            for value in [format!("{{\"a\":{value}}}"), format!("{{\"a\":[[{value}]]}}")] {
                let (fault, nonce) = bad(&message(&[(field, &value)]));
                assert!(fault.starts_with("in "), "{fault}");
                assert_eq!(nonce.as_deref(), Some(NONCE));
            }
        }
        bad(&message(&[(field, r#"{"\ud800":1}"#)]));
        good(&message(&[(field, r#"{"\ud83d\ude00":["\ud83d\ude00",1e308,1e-400]}"#)]));
    }
    bad(&message(&[("\\ud800", "1")]));
    bad(&message(&[("command", r#""\ud800""#)]));
    assert_eq!(bad(&message(&[("signature", r#""\udc00""#)])).1.as_deref(), Some(NONCE));
    assert_eq!(good(&message(&[("command", r#""\ud83d\ude00""#)])).command, "\u{1f600}");
}

#[test]
fn unknown_fields_are_ignored() {
    let text = message(&[("version", "1"), ("Command", "null"), ("", "[]"), ("meta", r#"{"a":[null,1.5,"\n"]}"#)]);
    assert_eq!(good(&text), good(MESSAGE));
}

#[test]
fn a_malformed_message_still_says_which_command_it_named() {
    let text = message(&[("timestamp", "-1")]);
    assert_eq!(parse(text.as_bytes()).unwrap_err().command.as_deref(), Some("system.ping"));
    let text = message(&[("command", "1")]);
    assert_eq!(parse(text.as_bytes()).unwrap_err().command, None);
}

/// JSON as a naive reader sees it: every key kept.
#[derive(Debug)]
enum Tree {
    Leaf,
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    fn strict(&self, depth: usize) -> bool {
        match self {
            Self::Leaf => true,
            Self::List(items) => depth <= 64 && items.iter().all(|item| item.strict(depth + 1)),
            Self::Object(items) => {
                let keys: std::collections::BTreeSet<_> = items.iter().map(|(key, _)| key).collect();
                depth <= 64 && keys.len() == items.len() && items.iter().all(|(_, item)| item.strict(depth + 1))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = map.next_entry()? {
                    items.push(item);
                }
                Ok(Tree::Object(items))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// JSON text of any shape, with white space, escapes, extreme numbers and the odd duplicate key.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "null",
        "true",
        "0",
        "-0",
        "1.50",
        "1e400",
        "1E5",
        "-12",
        "18446744073709551616",
        "\"\"",
        "\"a\"",
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\n\/""#,
        "\"é\"",
        "01",
        "nul",
    ])
    .prop_map(str::to_owned);
    let space = prop::sample::select(vec!["", "", "", " ", "\n", "\t\r", "\u{a0}"]);
    let key = prop::sample::select(vec!["a", "b", "c", "d", "\\u0061", "é", "", "\\ud800"]);
    leaf.prop_recursive(6, 40, 5, move |inner| {
        let item = (space.clone(), inner, space.clone()).prop_map(|(a, text, b)| format!("{a}{text}{b}"));
        let member = (key.clone(), item.clone()).prop_map(|(key, text)| format!("\"{key}\":{text}"));
        prop_oneof![
            prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4).prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

proptest! {
    /// What it accepts is what serde_json accepts, less what the contract refuses.
    #[test]
    fn the_strict_pass_is_serde_json_less_the_listed_refusals(value in json(), cut in any::<prop::sample::Index>(), damage in 0_u8..4) {
        let mut value = value;
        if damage == 0 && !value.is_empty() {
            let at = cut.index(value.len());
            if value.is_char_boundary(at) && value.is_char_boundary(at + 1) {
                value.remove(at);
            }
        }
        let text = message(&[("x", &value)]);
        let expected = !value.is_empty() && serde_json::from_str::<Tree>(&text).is_ok_and(|tree| tree.strict(1));
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), serde_json::from_str::<Tree>(&text).is_ok());
        if !value.is_empty() {
            prop_assert_eq!(parse(text.as_bytes()).is_ok(), expected, "{}", text);
            let object = expected && value.trim_matches(WHITE_SPACE).starts_with('{');
            let text = message(&[("params", &value)]);
            prop_assert!(!object || good(&text).params == Some(value.trim_matches(WHITE_SPACE)));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_damage_to_a_message_makes_it_panic_or_take_two_nonces(at in 0..MESSAGE.len(), byte in any::<u8>()) {
        let mut bytes = MESSAGE.as_bytes().to_vec();
        bytes[at] = byte;
        if let Err(Malformed { nonce: Some(nonce), .. }) = parse(&bytes) {
            prop_assert!(is_nonce(&nonce));
        }
    }
}
