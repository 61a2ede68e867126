#![allow(clippy::arithmetic_side_effects, reason = "a test")]
use super::super::request::parse;
use super::*;
use proptest::prelude::*;

const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn hmac_hex(key: &[u8], text: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keys(secrets: &[&[u8]]) -> Keys {
    Keys::new(&secrets.iter().map(|secret| Secret::new(secret.to_vec())).collect::<Vec<_>>())
}

/// An envelope with these texts and a signature over `signed` with [`SECRET`].
fn envelope<'a>(params: Option<&'a str>, options: Option<&'a str>, signed: &str) -> Envelope<'a> {
    Envelope {
        command: "file.write".into(),
        params,
        timestamp: 1_703_808_000,
        nonce: "0123456789abcdef".into(),
        signature: hmac_hex(SECRET, signed).into(),
        options,
    }
}

/// Whether a signature over `file.write:{params}:1703808000:0123456789abcdef{options}` is accepted for this message.
fn accepts(message: (Option<&str>, Option<&str>), params: &str, options: &str) -> bool {
    let signed = format!("file.write:{params}:1703808000:0123456789abcdef{options}");
    keys(&[SECRET]).verify(&envelope(message.0, message.1, &signed), None, &mut Vec::new()).is_ok()
}

#[test]
fn hmac_sha256_of_rfc_4231_is_what_is_computed() {
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(hmac_hex(b"Jefe", "what do ya want for nothing?"), expected);
}

#[test]
fn a_signature_is_64_hex_digits_of_either_case() {
    let good = hmac_hex(SECRET, "file.write:{}:1703808000:0123456789abcdef");
    let verify = |signature: &str| {
        let envelope = Envelope { signature: signature.to_owned().into(), ..envelope(Some("{}"), None, "") };
        keys(&[SECRET]).verify(&envelope, None, &mut Vec::new())
    };
    assert_eq!(verify(&good), Ok(()));
    assert_eq!(verify(&good.to_uppercase()), Ok(()));
    let mixed: String =
        good.chars().enumerate().map(|(n, c)| if n % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect();
    assert_eq!(verify(&mixed), Ok(()));
    for bad in [
        "",
        &good[1..],
        &format!("{good}0"),
        &format!("g{}", &good[1..]),
        &format!(" {}", &good[1..]),
        &format!("+{}", &good[1..]),
        &"é".repeat(32),
        &"0".repeat(128),
    ] {
        assert_eq!(verify(bad), Err(Unauthentic::NotHex), "{bad}");
    }
    assert_eq!(verify(&"0".repeat(64)), Err(Unauthentic::Mismatch));
}

#[test]
fn each_of_the_three_spellings_is_accepted() {
    let params = r#"{ "b" : 1.50, "a" : "x\/ y" }"#;
    for signed in [params, r#"{"b":1.50,"a":"x\/ y"}"#, r#"{"a":"x/ y","b":1.5}"#] {
        assert!(accepts((Some(params), None), signed, ""), "{signed}");
    }
    for signed in [r#"{"b":1.5,"a":"x/ y"}"#, r#"{"a":"x/ y", "b":1.5}"#, r#"{"a":"x\/ y","b":1.50}"#, "{}", ""] {
        assert!(!accepts((Some(params), None), signed, ""), "{signed}");
    }
}

#[test]
fn both_spellings_of_a_large_number_are_accepted() {
    for signed in [r#"{"a":1e16}"#, r#"{"a":1e+16}"#, r#"{"a":10000000000000000.0}"#] {
        assert!(accepts((Some(r#"{"a":10000000000000000.0}"#), None), signed, ""), "{signed}");
    }
    assert!(!accepts((Some(r#"{"a":10000000000000000.0}"#), None), r#"{"a":1E16}"#, ""));
}

#[test]
fn params_and_options_are_in_the_same_spelling() {
    let message = (Some(r#"{"b":1, "a":2}"#), Some(r#"{"d":1, "c":2}"#));
    let params = [r#"{"b":1, "a":2}"#, r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#];
    let options = [r#":{"d":1, "c":2}"#, r#":{"d":1,"c":2}"#, r#":{"c":2,"d":1}"#];
    for (n, params) in params.iter().enumerate() {
        for (m, options) in options.iter().enumerate() {
            assert_eq!(accepts(message, params, options), n == m, "{params}{options}");
        }
        assert!(!accepts(message, params, ""));
    }
}

#[test]
fn options_are_signed_when_they_are_present_even_empty() {
    assert!(accepts((Some("{}"), Some("{}")), "{}", ":{}"));
    assert!(!accepts((Some("{}"), Some("{}")), "{}", ""));
    assert!(!accepts((Some("{}"), None), "{}", ":{}"));
    assert!(!accepts((Some("{}"), None), "{}", ":"));
}

#[test]
fn absent_params_sign_as_an_empty_object_or_nothing() {
    for (options, suffix) in [(None, ""), (Some("{}"), ":{}"), (Some("{ }"), ":{ }"), (Some("{ }"), ":{}")] {
        assert!(accepts((None, options), "{}", suffix));
        assert!(accepts((None, options), "", suffix));
        assert!(!accepts((None, options), "[]", suffix));
        assert!(!accepts((None, options), "null", suffix));
        assert!(!accepts((Some("{}"), options), "", suffix));
    }
}

#[test]
fn phps_empty_object_signs_as_either() {
    for text in ["[]", "[ ]"] {
        assert!(accepts((Some(text), None), text, ""));
        assert!(accepts((Some(text), None), "[]", ""));
        assert!(accepts((Some(text), None), "{}", ""));
        assert!(accepts((Some(text), Some(text)), "[]", ":[]"));
        assert!(accepts((Some(text), Some(text)), "{}", ":{}"));
        assert!(!accepts((Some(text), None), "", ""));
    }
    assert!(!accepts((Some("{}"), None), "[]", ""));
    assert!(!accepts((Some(r#"{"a":[]}"#), None), r#"{"a":{}}"#, ""));
}

#[test]
fn every_part_of_the_text_is_signed() {
    let signed = "file.write:{}:1703808000:0123456789abcdef";
    let good = envelope(Some("{}"), None, signed);
    let keys = keys(&[SECRET]);
    assert_eq!(keys.verify(&good, None, &mut Vec::new()), Ok(()));
    for bad in [
        Envelope { command: "file.chmod".into(), ..good.clone() },
        Envelope { params: Some(r#"{"a":1}"#), ..good.clone() },
        Envelope { timestamp: 1_703_808_001, ..good.clone() },
        Envelope { nonce: "0123456789abcdeF".into(), ..good.clone() },
        Envelope { options: Some("{}"), ..good.clone() },
    ] {
        assert_eq!(keys.verify(&bad, None, &mut Vec::new()), Err(Unauthentic::Mismatch));
    }
}

#[test]
fn a_secret_counts_with_and_without_one_trailing_line_feed() {
    let verify = |secret: &[u8], key: &[u8]| {
        let signature = hmac_hex(key, "file.write:{}:1703808000:0123456789abcdef");
        let envelope = Envelope { signature: signature.into(), ..envelope(Some("{}"), None, "") };
        keys(&[secret]).verify(&envelope, None, &mut Vec::new()).is_ok()
    };
    assert!(verify(b"secret\n", b"secret") && verify(b"secret\n", b"secret\n"));
    assert!(
        verify(b"secret\n\n", b"secret\n") && verify(b"secret\n\n", b"secret\n\n") && !verify(b"secret\n\n", b"secret")
    );
    assert!(
        verify(b"secret\r\n", b"secret\r") && verify(b"secret\r\n", b"secret\r\n") && !verify(b"secret\r\n", b"secret")
    );
    assert!(verify(b"secret", b"secret") && !verify(b"secret", b"secret\n"));
    assert!(verify(b"\0\xff", b"\0\xff"));
}

#[test]
fn all_of_up_to_four_secrets_are_tried() {
    let good = envelope(Some("{}"), None, "file.write:{}:1703808000:0123456789abcdef");
    let others: [&[u8]; 4] = [b"one", b"two\n", b"three", b"four"];
    let verify = |secrets: &[&[u8]]| keys(secrets).verify(&good, None, &mut Vec::new()).is_ok();
    for n in 0..4 {
        let mut secrets = others;
        secrets[n] = SECRET;
        assert!(verify(&secrets), "{n}");
    }
    assert!(!verify(&others) && !verify(&[]));
    assert!(!verify(&[b"one", b"two", b"three", b"four", SECRET]));
}

#[test]
fn an_unknown_key_id_is_refused_though_the_signature_is_good() {
    let good = envelope(Some("{}"), None, "file.write:{}:1703808000:0123456789abcdef");
    let verify = |id| keys(&[SECRET]).verify(&good, id, &mut Vec::new());
    assert_eq!(verify(None), Ok(()));
    for id in ["", "default", "\u{202e}"] {
        assert_eq!(verify(Some(id)), Err(Unauthentic::UnknownKey(excerpt(id))));
    }
}

#[test]
fn a_large_text_leaves_no_large_buffer_and_keys_are_not_printed() {
    let params = format!("{{\"a\":\"{}\"}}", "x".repeat(1_000_000));
    let signed = format!("file.write:{params}:1703808000:0123456789abcdef");
    let mut scratch = Vec::new();
    assert_eq!(keys(&[SECRET]).verify(&envelope(Some(&params), None, &signed), None, &mut scratch), Ok(()));
    assert!(scratch.is_empty() && scratch.capacity() <= SCRATCH_KEPT);
    assert_eq!(format!("{:?}", keys(&[SECRET])), "Keys(redacted)");
}

proptest! {
    #[test]
    fn a_signature_over_any_spelling_verifies_and_one_bit_less_does_not(
        members in prop::collection::btree_map("[a-z\\\\u{e9} \"]{0,6}", prop_oneof![
            any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(serde_json::Value::from),
            any::<u64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ], 0..6),
        pretty in any::<bool>(), spelling in prop::sample::select(Spelling::ALL.to_vec()), key in 0_usize..2,
        byte in 0_usize..32, bit in 0_u32..8, with_options in any::<bool>(),
    ) {
        let pairs: Vec<_> = members.iter().rev().map(|(k, v)| format!("{}{}{v}", serde_json::json!(k), if pretty { " : " } else { ":" })).collect();
        let params = format!("{{{}}}", pairs.join(if pretty { ",\n" } else { "," }));
        let options = with_options.then_some(r#"{ "b": 1, "a": [] }"#);
        let suffix = options.map_or(String::new(), |text| format!(":{}", spelling.of(text).unwrap()));
        let text = format!("system.ping:{}:5:0123456789abcdef{suffix}", spelling.of(&params).unwrap());
        let secrets: [&[u8]; 2] = [b"first\n", b"second"];
        let mut signature = hmac_hex([&b"first"[..], b"second"][key], &text);
        let frame = |signature: &str| format!(
            r#"{{"command":"system.ping","params":{params},"timestamp":5,"nonce":"0123456789abcdef","signature":"{signature}"{}}}"#,
            options.map_or(String::new(), |text| format!(",\"options\":{text}"))
        );
        let verify = |frame: &str| keys(&secrets).verify(&parse(frame.as_bytes()).unwrap(), None, &mut Vec::new());
        prop_assert_eq!(verify(&frame(&signature)), Ok(()));
        let flipped = u8::from_str_radix(&signature[byte * 2..byte * 2 + 2], 16).unwrap() ^ (1 << bit);
        signature.replace_range(byte * 2..byte * 2 + 2, &format!("{flipped:02x}"));
        prop_assert_eq!(verify(&frame(&signature)), Err(Unauthentic::Mismatch));
    }
}
