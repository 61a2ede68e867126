#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]
use super::*;
use reeve_ipc::message::Limits;
use reeve_shared::{ErrorCode, Layer, Secret};
use ring::hmac;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const START: u64 = 1_703_808_000;
const PEER: Caller = Caller { uid: 1000, gid: 1000, pid: 1 };

/// A clock that a test sets.
#[derive(Clone, Default)]
struct TestTime(Rc<Cell<(u64, Duration)>>);

impl Time for TestTime {
    fn unix_seconds(&self) -> u64 {
        self.0.get().0
    }
    fn monotonic(&self) -> Duration {
        self.0.get().1
    }
}

impl TestTime {
    fn wait(&self, seconds: u64) {
        let (unix, monotonic) = self.0.get();
        self.0.set((unix + seconds, monotonic + Duration::from_secs(seconds)));
    }
    fn set(&self, unix: u64) {
        self.0.set((unix, self.0.get().1));
    }
}

fn setup() -> Setup {
    Setup {
        policy: Policy::new(BTreeSet::from([1000]), reeve_shared::Whitelists::default(), vec![]).unwrap(),
        security: Security {
            max_request_age_seconds: 60,
            nonce_ttl_seconds: 300,
            rate_limit_requests: 100,
            rate_limit_window_seconds: 60,
        },
        limits: Limits { max_connections: 128, max_message_size: 1_048_576, socket_timeout_seconds: 30 },
        secrets: vec![Secret::new(SECRET.to_vec())],
        templates: vec![],
        log_level: "info".into(),
        chroot: false,
    }
}

fn gate() -> (Gate<TestTime>, TestTime) {
    let time = TestTime::default();
    time.set(START);
    (Gate::with_time(&setup(), time.clone()), time)
}

/// A frame of these parts, and the text that is signed for it.
struct Frame<'a> {
    command: &'a str,
    params: &'a str,
    timestamp: u64,
    nonce: &'a str,
    options: Option<&'a str>,
}

impl Frame<'_> {
    fn signed(&self) -> String {
        let Self { command, params, timestamp, nonce, options } = self;
        let text =
            format!("{command}:{params}:{timestamp}:{nonce}{}", options.map_or(String::new(), |o| format!(":{o}")));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
        self.with(&tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
    fn with(&self, signature: &str) -> String {
        let Self { command, params, timestamp, nonce, options } = self;
        let options = options.map_or(String::new(), |o| format!(",\"options\":{o}"));
        format!(
            r#"{{"command":"{command}","params":{params},"timestamp":{timestamp},"nonce":"{nonce}","signature":"{signature}"{options}}}"#
        )
    }
}

fn ping(nonce: &str) -> Frame<'_> {
    Frame { command: "system.ping", params: "{}", timestamp: START, nonce, options: None }
}

fn nonce(n: u32) -> String {
    format!("nonce-{n:010}")
}

fn admitted(gate: &mut Gate<TestTime>, frame: &str) -> Admitted {
    gate.admit(frame.as_bytes(), &PEER).unwrap_or_else(|refusal| panic!("{frame}: {}", refusal.reason))
}

fn refused(gate: &mut Gate<TestTime>, frame: &str) -> (Layer, ErrorCode, Option<String>) {
    let refusal = gate.admit(frame.as_bytes(), &PEER).expect_err(frame);
    (refusal.layer, refusal.code, refusal.nonce)
}

#[test]
fn a_good_request_is_admitted_with_its_nonce() {
    let (mut gate, _) = gate();
    let answer = admitted(&mut gate, &ping(&nonce(1)).signed());
    assert!(matches!(answer.request, Request::SystemPing(_)) && answer.nonce == nonce(1));
    assert_eq!(gate.nonces(), 1);
}

#[test]
fn a_command_is_read_from_the_received_bytes_whatever_was_signed() {
    let (mut gate, _) = gate();
    let (received, sorted) = (
        r#"{ "path" : "\/home\/a", "content" : "x\ny", "mode" : "0600" }"#,
        r#"{"content":"x\ny","mode":"0600","path":"/home/a"}"#,
    );
    let of =
        |params| Frame { command: "file.write", params, timestamp: START, nonce: "0123456789abcdef", options: None };
    let signature = of(sorted).signed().rsplit('"').nth(1).unwrap().to_owned();
    let answer = admitted(&mut gate, &of(received).with(&signature));
    let Request::FileWrite(write) = answer.request else { panic!("{:?}", answer.request) };
    assert_eq!((write.path.as_str(), write.content.as_bytes()), ("/home/a", &b"x\ny"[..]));
}

#[test]
fn absent_params_and_phps_empty_object_are_no_parameters() {
    let (mut gate, _) = gate();
    for (n, params) in ["[]", "[ ]", "{}", " { } "].iter().enumerate() {
        let nonce = nonce(n as u32);
        let frame = Frame { params: params.trim(), ..ping(&nonce) };
        admitted(&mut gate, &frame.signed());
    }
    let nonce = nonce(9);
    let absent = ping(&nonce).signed().replace("\"params\":{},", "");
    admitted(&mut gate, &absent);
}

#[test]
fn the_first_layer_that_fails_answers() {
    use ErrorCode as Code;
    let good = nonce(1);
    // Each frame has every fault of those below it too.
    let bad_options = Some(r#"{"dry_run":true}"#);
    let parameters =
        Frame { command: "system.ping", params: r#"{"x":1}"#, timestamp: START, nonce: &good, options: None };
    let options = Frame { options: bad_options, ..parameters };
    let command = Frame { command: "system.pong", ..options };
    let stale = Frame { timestamp: START - 61, ..command };
    let key_id = Frame { options: Some(r#"{"key_id":"a","dry_run":true}"#), ..command };
    let malformed = stale.with("x").replace("\"nonce\"", "\"params\":1,\"nonce\"");

    let (mut gate, _) = gate();
    let (layer, code, _) = refused(&mut gate, &parameters.signed());
    assert_eq!((layer, code), (Layer::Parameters, Code::ValidationError));
    let replay = refused(&mut gate, &parameters.signed());
    assert_eq!(replay, (Layer::Nonce, Code::AuthError, Some(nonce(1))));

    let (mut gate, time) = self::gate();
    assert_eq!(refused(&mut gate, &options.signed()), (Layer::Options, Code::ValidationError, Some(nonce(1))));
    assert_eq!(refused(&mut gate, &command.signed()), (Layer::Nonce, Code::AuthError, Some(nonce(1))));
    time.wait(301);
    let later = Frame { timestamp: START + 301, ..command };
    assert_eq!(refused(&mut gate, &later.signed()), (Layer::Command, Code::CommandError, Some(nonce(1))));
    assert_eq!(refused(&mut gate, &later.with("x")), (Layer::Signature, Code::AuthError, Some(nonce(1))));
    assert_eq!(refused(&mut gate, &later.with(&"0".repeat(64))), (Layer::Signature, Code::AuthError, Some(nonce(1))));
    time.set(START);
    let (mut gate, _) = self::gate();
    assert_eq!(refused(&mut gate, &key_id.signed()), (Layer::Signature, Code::AuthError, Some(nonce(1))));
    assert_eq!(refused(&mut gate, &stale.with("x")), (Layer::Timestamp, Code::AuthError, Some(nonce(1))));
    let ahead = Frame { timestamp: START + 61, ..stale };
    assert_eq!(refused(&mut gate, &ahead.with("x")), (Layer::Timestamp, Code::AuthError, Some(nonce(1))));
    assert_eq!(refused(&mut gate, &malformed), (Layer::Request, Code::ProtocolError, Some(nonce(1))));

    let mut setup = setup();
    setup.security.rate_limit_requests = 0;
    gate.reload(&setup);
    assert_eq!(refused(&mut gate, &malformed), (Layer::Rate, Code::RateLimited, Some(nonce(1))));
    assert_eq!(refused(&mut gate, "x"), (Layer::Rate, Code::RateLimited, None));
}

#[test]
fn every_complete_frame_counts_and_a_refused_one_does_not() {
    let (mut gate, time) = gate();
    for _ in 0..99 {
        assert_eq!(refused(&mut gate, "not json").0, Layer::Request);
    }
    admitted(&mut gate, &ping(&nonce(1)).signed());
    for _ in 0..1000 {
        assert_eq!(
            refused(&mut gate, &ping(&nonce(2)).signed()),
            (Layer::Rate, ErrorCode::RateLimited, Some(nonce(2)))
        );
    }
    assert!(gate.admit(ping(&nonce(3)).signed().as_bytes(), &Caller { uid: 1001, ..PEER }).is_ok());
    time.wait(60);
    admitted(&mut gate, &ping(&nonce(2)).signed());
}

#[test]
fn a_nonce_is_used_up_only_by_a_good_signature_and_for_every_uid() {
    let (mut gate, _) = gate();
    assert_eq!(refused(&mut gate, &ping(&nonce(1)).with(&"0".repeat(64))).0, Layer::Signature);
    assert_eq!(gate.nonces(), 0);
    let frame = ping(&nonce(1)).signed();
    admitted(&mut gate, &frame);
    let other = Caller { uid: 1001, ..PEER };
    let refusal = gate.admit(frame.as_bytes(), &other).unwrap_err();
    assert_eq!((refusal.layer, refusal.code), (Layer::Nonce, ErrorCode::AuthError));
}

#[test]
fn a_full_store_is_rate_limited() {
    let (mut gate, _) = gate();
    gate.nonces = NonceStore::new(4, 300, 60);
    (0..2).for_each(|n| drop(admitted(&mut gate, &ping(&nonce(n)).signed())));
    assert_eq!(refused(&mut gate, &ping(&nonce(2)).signed()), (Layer::Nonce, ErrorCode::RateLimited, Some(nonce(2))));
    assert_eq!(refused(&mut gate, &ping(&nonce(0)).signed()).1, ErrorCode::AuthError);
    for n in 2..4 {
        assert!(gate.admit(ping(&nonce(n)).signed().as_bytes(), &Caller { uid: 1001, ..PEER }).is_ok());
    }
    let refusal = gate.admit(ping(&nonce(9)).signed().as_bytes(), &Caller { uid: 7, ..PEER }).unwrap_err();
    assert_eq!((refusal.layer, refusal.code), (Layer::Nonce, ErrorCode::RateLimited));
}

#[test]
fn a_replay_is_refused_for_as_long_as_it_is_fresh_also_after_a_reload_that_raises_max_age() {
    let (mut gate, time) = gate();
    let old = Frame { timestamp: START - 60, ..ping("old-old-old-old-old") }.signed();
    let stale = Frame { timestamp: START - 61, ..ping("stale-stale-stale-") }.signed();
    let ahead = Frame { timestamp: START + 60, ..ping("ahead-ahead-ahead-") }.signed();
    admitted(&mut gate, &old);
    admitted(&mut gate, &ahead);
    assert_eq!(refused(&mut gate, &stale).0, Layer::Timestamp);
    let mut setup = setup();
    setup.security.max_request_age_seconds = 3600;
    setup.security.nonce_ttl_seconds = 3661;
    gate.reload(&setup);
    assert_eq!(refused(&mut gate, &stale).0, Layer::Timestamp);
    for _ in 0..200 {
        time.wait(60);
        assert_eq!(refused(&mut gate, &stale).0, Layer::Timestamp);
        for frame in [&old, &ahead] {
            assert!(matches!(refused(&mut gate, frame).0, Layer::Nonce | Layer::Timestamp));
        }
    }
}

#[test]
fn a_wall_clock_set_back_refuses_until_it_has_caught_up_and_says_so() {
    let (mut gate, time) = gate();
    admitted(&mut gate, &ping(&nonce(1)).signed());
    time.set(START - 500);
    let frame = Frame { timestamp: START - 500, ..ping("0123456789abcdef") }.signed();
    let refusal = gate.admit(frame.as_bytes(), &PEER).unwrap_err();
    assert_eq!(refusal.layer, Layer::Timestamp);
    assert!(refusal.reason.to_string().contains("set back by 500 s"), "{}", refusal.reason);
    assert_eq!(refused(&mut gate, &ping(&nonce(1)).signed()).0, Layer::Nonce);
    time.set(START);
    admitted(&mut gate, &ping(&nonce(2)).signed());
}

#[test]
fn a_reload_brings_another_age_and_rate() {
    let (mut gate, time) = gate();
    let mut setup = setup();
    setup.security.max_request_age_seconds = 10;
    gate.reload(&setup);
    assert_eq!(refused(&mut gate, &Frame { timestamp: START - 11, ..ping(&nonce(1)) }.signed()).0, Layer::Timestamp);
    admitted(&mut gate, &Frame { timestamp: START - 10, ..ping(&nonce(1)) }.signed());
    setup.security.max_request_age_seconds = 100;
    setup.security.rate_limit_requests = 4;
    gate.reload(&setup);
    time.wait(90);
    admitted(&mut gate, &Frame { timestamp: START - 10, ..ping(&nonce(2)) }.signed());
    time.set(START + 91);
    assert_eq!(refused(&mut gate, &Frame { timestamp: START - 10, ..ping(&nonce(3)) }.signed()).0, Layer::Timestamp);
    assert_eq!(refused(&mut gate, "{}").0, Layer::Request);
    assert_eq!(refused(&mut gate, "{}").0, Layer::Request);
    assert_eq!(refused(&mut gate, "{}").0, Layer::Rate);
}

#[test]
fn a_reload_brings_other_secrets() {
    let (mut gate, _) = gate();
    let mut setup = setup();
    setup.secrets = vec![Secret::new(b"another secret of thirty-two bytes".to_vec())];
    gate.reload(&setup);
    assert_eq!(refused(&mut gate, &ping(&nonce(1)).signed()).0, Layer::Signature);
    setup.secrets.push(Secret::new(SECRET.to_vec()));
    gate.reload(&setup);
    admitted(&mut gate, &ping(&nonce(1)).signed());
}

#[test]
fn unknown_and_reserved_options_are_refused_and_empty_ones_are_not() {
    let (mut gate, _) = gate();
    for (n, text) in [
        r#"{"dry_run":false}"#,
        r#"{"progress":true}"#,
        r#"{"detach":1}"#,
        r#"{"idempotency_key":"a"}"#,
        r#"{"x":null}"#,
        r#"{"key_id":1}"#,
    ]
    .iter()
    .enumerate()
    {
        let nonce = nonce(n as u32);
        let frame = Frame { options: Some(text), ..ping(&nonce) };
        assert_eq!(refused(&mut gate, &frame.signed()).0, Layer::Options, "{text}");
    }
    for (n, text) in ["{}", "[]"].iter().enumerate() {
        let nonce = nonce(50 + n as u32);
        admitted(&mut gate, &Frame { options: Some(text), ..ping(&nonce) }.signed());
    }
}

#[test]
fn parameters_are_refused_by_the_command_that_they_are_for() {
    let (mut gate, _) = gate();
    for (n, params) in [
        r#"{}"#,
        r#"[]"#,
        r#"{"path":"/home/a"}"#,
        r#"{"path":"/home/a","content":"x","owner":null}"#,
        r#"{"path":"/home/a","content":"x","colour":1}"#,
        r#"{"path":"/home/../a","content":"x"}"#,
        r#"{"path":"/home/a","content":["x"]}"#,
        r#"{"path":"/home/a","content":"x","mode":"4755"}"#,
    ]
    .iter()
    .enumerate()
    {
        let nonce = nonce(n as u32);
        let frame = Frame { command: "file.write", params, ..ping(&nonce) };
        let (layer, code, _) = refused(&mut gate, &frame.signed());
        assert_eq!((layer, code), (Layer::Parameters, ErrorCode::ValidationError), "{params}");
    }
}

#[test]
fn a_reason_names_the_parameter_and_can_not_write_to_the_log_what_it_likes() {
    let (mut gate, _) = gate();
    let frame = Frame { params: r#"{"co\nl\u202eour":1}"#, ..ping("0123456789abcdef") };
    let refusal = gate.admit(frame.signed().as_bytes(), &PEER).unwrap_err();
    let text = refusal.reason.to_string();
    assert!(text.contains("co\\nl\\u{202e}our") && text.is_ascii() && !text.contains('\n'), "{text}");
    let frame = Frame { command: "\\u001b[2Jx", ..ping("fedcba9876543210") };
    let refusal = gate.admit(frame.with(&"0".repeat(64)).as_bytes(), &PEER).unwrap_err();
    assert_eq!(refusal.command.as_deref(), Some("\u{1b}[2Jx"));
}

#[test]
fn idle_moments_empty_the_store() {
    let (mut gate, time) = gate();
    (0..50).for_each(|n| drop(admitted(&mut gate, &ping(&nonce(n)).signed())));
    assert!(!gate.tidy() && gate.nonces() == 50);
    time.wait(300);
    assert!(!gate.tidy() && gate.nonces() == 0);
}

#[test]
fn the_system_clock_serves_too() {
    let mut gate = Gate::new(&setup());
    let now = SystemClocks::default().unix_seconds();
    let frame = Frame { timestamp: now, ..ping("0123456789abcdef") };
    assert!(gate.admit(frame.signed().as_bytes(), &PEER).is_ok());
    assert!(gate.policy().permit_caller(&PEER).is_ok());
}
