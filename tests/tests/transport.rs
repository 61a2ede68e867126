//! The transport of docs/protocol.md, clause by clause, through both real processes.
use reeve_tests::daemon::{Daemon, SECRET, Setup};
use reeve_tests::skip::{is_root, skip};
use reeve_tests::wait::eventually;
use reeve_tests::wire::{Request, code, frame, nonce};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};

fn ping() -> String {
    Request::new("system.ping", "{}").sign(SECRET)
}

fn daemon() -> Daemon {
    Setup::new().start()
}

/// The one answer that comes, and then the end.
fn last_word(daemon: &Daemon, bytes: &[u8]) -> (Value, bool) {
    let mut wire = daemon.connect();
    wire.0.write_all(bytes).unwrap();
    let answer = wire.receive().unwrap().expect("an answer");
    let ended = matches!(wire.receive(), Ok(None));
    (answer, ended)
}

#[test]
fn a_ping_goes_through_both_processes() {
    let daemon = daemon();
    let answer = daemon.ask("system.ping", &json!({}));
    assert_eq!((code(&answer), &answer["data"]["pong"]), ("ok", &json!(true)), "{answer}");
    assert_eq!(answer["data"]["request_id"], answer["request_id"]);
    assert_eq!(answer["data"].as_object().unwrap().len(), 3);
    assert_eq!(answer["request_id"].as_str().unwrap().as_bytes()[14], b'4', "a version 4 UUID");
    assert_eq!(answer.as_object().unwrap().len(), 4);
}

#[test]
fn a_length_of_zero_or_over_the_limit_is_answered_once_and_closes() {
    let mut setup = Setup::new();
    setup.set("limits", "max_message_size", "4096");
    let daemon = setup.start();
    for bytes in [vec![0; 4], 4097_u32.to_be_bytes().to_vec(), [&u32::MAX.to_be_bytes()[..], &[b'x'; 100]].concat()] {
        let (answer, ended) = last_word(&daemon, &bytes);
        assert_eq!((code(&answer), &answer["nonce"], ended), ("PROTOCOL_ERROR", &Value::Null, true));
    }
    let padded = format!("{:4096}", ping());
    assert_eq!(code(&daemon.connect().ask(padded.as_bytes()).unwrap()), "ok", "just the limit");
}

#[test]
fn the_largest_message_that_can_be_configured_is_taken() {
    let mut setup = Setup::new();
    setup.set("limits", "max_message_size", "16777216");
    let daemon = setup.start();
    let mut padded = ping();
    padded.push_str(&" ".repeat(16_777_216 - padded.len()));
    assert_eq!(code(&daemon.connect().ask(padded.as_bytes()).unwrap()), "ok");
}

#[test]
fn a_client_that_is_still_writing_sees_why_it_is_closed() {
    let daemon = daemon();
    let mut wire = daemon.connect();
    wire.0.write_all(&u32::MAX.to_be_bytes()).unwrap();
    // It goes on writing as if nothing had happened. Whether that still works is not the point.
    let _ = wire.0.write_all(&vec![b'x'; 300_000]);
    let answer = wire.receive().unwrap().expect("an answer");
    assert_eq!(code(&answer), "PROTOCOL_ERROR");
}

#[test]
fn malformed_messages_are_answered_and_the_connection_stays() {
    let daemon = daemon();
    let mut wire = daemon.connect();
    let good = Request::new("system.ping", "{}");
    let with = |from: &str, to: &str| good.sign(SECRET).replacen(from, to, 1).into_bytes();
    let deep = |levels: usize| {
        let params = format!("{}{}", r#"{"a":"#.repeat(levels), "1".to_owned() + &"}".repeat(levels));
        Request::new("system.ping", &params).sign(SECRET).into_bytes()
    };
    let bad: Vec<Vec<u8>> = vec![
        b"x".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        b"{}".to_vec(),
        [&b"\xef\xbb\xbf"[..], ping().as_bytes()].concat(),
        [ping().as_bytes(), b"x"].concat(),
        with("\"params\":{}", "\"params\":null"),
        with("\"params\":{}", "\"params\":[1]"),
        with("\"params\":{}", "\"params\":\"\""),
        with("\"params\":{}", "\"params\":{\"a\":1,\"\\u0061\":2}"),
        with("\"params\":{}", "\"params\":{\"a\":1e400}"),
        with("\"params\":{}", "\"params\":{\"a\":\"\\ud800\"}"),
        with("\"params\":{}", "\"params\":{},\"options\":null"),
        with("\"params\":{}", "\"params\":{},\"options\":[1]"),
        with("\"params\":{}", "\"params\":{},\"x\":{\"a\":1,\"a\":2}"),
        with("\"params\":{}", "\"params\":{},\"params\":{}"),
        with("\"command\":\"system.ping\"", "\"command\":1"),
        with("\"command\":\"system.ping\",", ""),
        with("\"timestamp\":", "\"timestamp\":-"),
        with("\"timestamp\":", "\"timestamp\":1.5e"),
        with("\"timestamp\":", "\"timestamp\":99999999999999999999"),
        with("\"nonce\":\"", "\"nonce\":\"short\",\"n\":\""),
        with("\"nonce\":\"", "\"nonce\":\"bad char!"),
        deep(64),
        {
            let mut bytes = with("system.ping", "system.p\u{1}ng");
            let at = bytes.iter().position(|byte| *byte == 1).unwrap();
            bytes[at] = 0xff;
            bytes
        },
    ];
    for message in bad {
        let answer = wire.ask(&message).unwrap();
        assert_eq!(code(&answer), "PROTOCOL_ERROR", "{}", String::from_utf8_lossy(&message));
        assert_eq!(answer["error"]["message"], "Malformed message");
    }
    // Nested to just the limit it is a well-formed message of a command that takes no such parameter.
    assert_eq!(code(&wire.ask(&deep(62)).unwrap()), "VALIDATION_ERROR");
    let unknown = with("\"params\":{}", "\"params\":{},\"unsigned\":{\"any\":[1,null]}");
    assert_eq!(code(&wire.ask(&unknown).unwrap()), "ok", "unknown fields are ignored");
    assert_eq!(code(&wire.ask(ping().as_bytes()).unwrap()), "ok", "the connection is still open");
}

#[test]
fn params_as_array_are_refused() {
    let daemon = daemon();
    let mut wire = daemon.connect();
    let full = Request::new("file.delete", r#"["/home/a"]"#).sign(SECRET);
    assert_eq!(code(&wire.ask(full.as_bytes()).unwrap()), "PROTOCOL_ERROR");
    for empty in ["[]", "[ ]"] {
        let empty = Request::new("system.ping", empty).sign(SECRET);
        assert_eq!(code(&wire.ask(empty.as_bytes()).unwrap()), "ok");
    }
    let inside = Request::new("file.write_template", r#"{"path":"/home/a","template":"x","context":[1]}"#).sign(SECRET);
    assert_eq!(code(&wire.ask(inside.as_bytes()).unwrap()), "VALIDATION_ERROR");
}

#[test]
fn many_requests_at_once_are_all_answered_by_their_nonce() {
    let daemon = daemon();
    let mut wire = daemon.connect();
    let mut sent = HashSet::new();
    let mut bytes = Vec::new();
    for _ in 0..500 {
        let request = Request::new("system.ping", "{}");
        bytes.extend(frame(request.sign(SECRET).as_bytes()));
        sent.insert(request.nonce);
    }
    let mut writer = wire.0.try_clone().unwrap();
    std::thread::scope(|scope| {
        // In crooked pieces, so that frames are cut anywhere.
        scope.spawn(move || bytes.chunks(997).for_each(|piece| writer.write_all(piece).unwrap()));
        for _ in 0..500 {
            let answer = wire.receive().unwrap().unwrap();
            assert_eq!(code(&answer), "ok");
            assert!(sent.remove(answer["nonce"].as_str().unwrap()));
        }
    });
    assert!(sent.is_empty());
}

#[test]
fn a_client_that_never_waits_is_read_on_and_on() {
    let daemon = daemon();
    let mut wire = daemon.connect();
    wire.0.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut writer = wire.0.try_clone().unwrap();
    let total = 30_000;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..total / 50 {
                let bytes: Vec<u8> = (0..50).flat_map(|_| frame(ping().as_bytes())).collect();
                if writer.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        for number in 0..total {
            let answer = wire.receive().unwrap_or_else(|error| panic!("no answer {number}: {error}"));
            assert_eq!(code(&answer.expect("an answer")), "ok");
        }
    });
}

#[test]
fn a_client_that_shut_down_its_writing_side_gets_its_answers_and_then_the_end() {
    let daemon = daemon();
    let mut wire = daemon.connect();
    for _ in 0..100 {
        wire.send(ping().as_bytes()).unwrap();
    }
    wire.0.shutdown(Shutdown::Write).unwrap();
    for _ in 0..100 {
        assert_eq!(code(&wire.receive().unwrap().unwrap()), "ok");
    }
    assert!(wire.receive().unwrap().is_none());
}

#[test]
fn a_message_that_is_not_whole_in_time_is_answered_and_an_idle_connection_closed_silently() {
    let mut setup = Setup::new();
    setup.set("limits", "socket_timeout_seconds", "1");
    let daemon = setup.start();
    let mut slow = daemon.connect();
    slow.0.write_all(&frame(ping().as_bytes())[..30]).unwrap();
    let answer = slow.receive().unwrap().expect("an answer");
    assert_eq!((code(&answer), &answer["nonce"]), ("CONNECTION_TIMEOUT", &Value::Null));
    assert!(slow.receive().unwrap().is_none());
    let mut idle = daemon.connect();
    assert_eq!(code(&idle.ask(ping().as_bytes()).unwrap()), "ok");
    assert!(idle.receive().unwrap().is_none(), "closed without a word");
}

#[test]
fn a_client_that_does_not_read_is_closed_and_holds_up_nobody() {
    let mut setup = Setup::new();
    setup.set("limits", "socket_timeout_seconds", "1");
    let daemon = setup.start();
    let mut deaf = daemon.connect();
    let metrics = || Request::new("system.metrics", "{}").sign(SECRET);
    let mut refused = None;
    // It writes until it is closed; far more than any buffer holds.
    for _ in 0..1_000_000 {
        if let Err(error) = deaf.send(metrics().as_bytes()) {
            refused = Some(error);
            break;
        }
    }
    assert!(refused.is_some(), "it was never closed");
    assert_eq!(code(&daemon.connect().ask(ping().as_bytes()).unwrap()), "ok");
}

#[test]
fn sixty_clients_with_large_messages_are_all_answered() {
    let mut setup = Setup::new();
    setup.set("limits", "socket_timeout_seconds", "5");
    let daemon = setup.start();
    let content = "x".repeat(1_000_000);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..60)
            .map(|number| {
                let params = json!({"path": daemon.setup.path(&format!("site/{number}")), "content": content});
                let daemon = &daemon;
                scope.spawn(move || {
                    let message = Request::new("file.write", &params.to_string()).sign(SECRET);
                    code(&daemon.connect().ask(message.as_bytes()).unwrap()).to_owned()
                })
            })
            .collect();
        let codes: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(codes.iter().all(|code| code == "ok"), "{codes:?}");
    });
}

#[test]
fn half_sent_messages_hold_nobody_up() {
    let daemon = daemon();
    let part = [&1_000_000_u32.to_be_bytes()[..], &[b' '; 500_000]].concat();
    let held: Vec<_> = (0..60)
        .map(|_| {
            let wire = daemon.connect();
            wire.0.set_nonblocking(true).unwrap();
            // As much of it as the daemon takes.
            let _ = (&wire.0).write(&part);
            wire
        })
        .collect();
    assert_eq!(code(&daemon.ask("system.ping", &json!({}))), "ok");
    let large = json!({"path": daemon.setup.path("site/file"), "content": "x".repeat(60_000)});
    assert_eq!(code(&daemon.ask("file.write", &large)), "ok");
    drop(held);
    // Their places are free again, those of clients that were not read too.
    eventually("sixty can connect", || {
        let wires: Vec<_> = (0..60).map(|_| daemon.connect()).collect();
        wires.into_iter().all(|mut wire| wire.ask(ping().as_bytes()).is_ok_and(|answer| code(&answer) != "BUSY"))
    });
}

#[test]
fn no_uid_may_hold_more_than_half_of_the_connections() {
    let mut setup = Setup::new();
    setup.set("limits", "max_connections", "8");
    let daemon = setup.start();
    let mut kept: Vec<_> = (0..4).map(|_| daemon.connect()).collect();
    for wire in &mut kept {
        assert_eq!(code(&wire.ask(ping().as_bytes()).unwrap()), "ok");
    }
    let mut one_more = daemon.connect();
    let answer = one_more.receive().unwrap().expect("an answer");
    assert_eq!((code(&answer), &answer["nonce"]), ("BUSY", &Value::Null));
    assert!(one_more.receive().unwrap().is_none());
    drop(kept.pop());
    // The place is free when the frontend has seen the end.
    let again = (0..1000).any(|_| {
        let mut wire = daemon.connect();
        wire.ask(ping().as_bytes()).is_ok_and(|answer| code(&answer) == "ok")
    });
    assert!(again);
}

#[test]
fn thousands_of_connections_come_and_go() {
    let daemon = daemon();
    for round in 0..3000 {
        let mut wire = daemon.connect();
        if round % 3 == 0 {
            assert_eq!(code(&wire.ask(ping().as_bytes()).unwrap()), "ok");
        } else if round % 3 == 1 {
            wire.send(ping().as_bytes()).unwrap();
        }
    }
    let answer = daemon.ask("system.metrics", &json!({}));
    assert!(answer["data"]["active_connections"].as_u64().unwrap() <= 64, "{answer}");
}

#[test]
fn an_unlisted_uid_is_refused_and_closed() {
    if !is_root() {
        return skip("needs root, to connect as another user");
    }
    let daemon = daemon();
    // The client as another user, with the right secret: a program of its own.
    let script = format!(
        "import socket,sys\ns=socket.socket(socket.AF_UNIX); s.connect({:?})\nd=s.recv(9999); print(d[4:].decode())\nprint(s.recv(1))",
        daemon.socket()
    );
    let run = |uid: &str| {
        let output = Command::new("setpriv")
            .args(["--reuid", uid, "--regid", uid, "--clear-groups", "/usr/bin/python3", "-c", &script])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let answer = run("65000");
    assert!(answer.contains("AUTH_ERROR") && answer.ends_with("b''\n"), "{answer}");
    let record = daemon.audit().into_iter().find(|record| record["layer"] == "peer").expect("a record");
    assert_eq!(
        (&record["record"], &record["source"], &record["peer"]["uid"]),
        (&json!("rejected"), &json!("frontend"), &json!(65000))
    );
}

#[test]
fn the_order_of_the_layers_is_that_of_the_contract() {
    let mut setup = Setup::new();
    setup.set("security", "rate_limit_requests", "12").set("security", "rate_limit_window_seconds", "3600");
    let daemon = setup.start();
    let mut wire = daemon.connect();
    let mut ask = |message: String| {
        let answer = wire.ask(message.as_bytes()).unwrap();
        (code(&answer).to_owned(), answer["nonce"].clone())
    };
    let bad_everything = |change: &dyn Fn(&mut Request)| {
        let mut request = Request::new("no.such", r#"{"x":1}"#);
        request.options = Some(r#"{"x":1}"#.to_owned());
        change(&mut request);
        request
    };
    // Stale comes before the signature, the signature before the nonce, the nonce before the command, that before options.
    let stale = bad_everything(&|request| request.timestamp -= 1000);
    assert_eq!(ask(stale.with_signature("zz")).0, "AUTH_ERROR");
    let request = bad_everything(&|_| {});
    assert_eq!(ask(request.with_signature("zz")).0, "AUTH_ERROR");
    assert_eq!(ask(request.sign(SECRET)), ("COMMAND_ERROR".to_owned(), json!(request.nonce)));
    assert_eq!(ask(request.sign(SECRET)).0, "AUTH_ERROR", "the nonce was stored");
    let options = bad_everything(&|request| request.command = "system.ping".to_owned());
    assert_eq!(ask(options.sign(SECRET)).0, "VALIDATION_ERROR");
    let key = bad_everything(&|request| request.options = Some(r#"{"key_id":"k"}"#.to_owned()));
    assert_eq!(ask(key.sign(SECRET)).0, "AUTH_ERROR", "an unknown key");
    let reserved = bad_everything(&|request| {
        request.command = "system.ping".to_owned();
        request.options = Some(r#"{"dry_run":true}"#.to_owned());
    });
    assert_eq!(ask(reserved.sign(SECRET)).0, "VALIDATION_ERROR");
    let parameters = Request::new("system.ping", r#"{"x":1}"#);
    assert_eq!(ask(parameters.sign(SECRET)).0, "VALIDATION_ERROR");
    let ahead = bad_everything(&|request| request.timestamp += 100);
    assert_eq!(ask(ahead.sign(SECRET)).0, "AUTH_ERROR");
    assert_eq!(ask("not json".to_owned()).0, "PROTOCOL_ERROR");
    let mut empty_options = Request::new("system.ping", "{}");
    empty_options.options = Some("{}".to_owned());
    assert_eq!(ask(empty_options.sign(SECRET)).0, "ok");
    assert_eq!(ask(ping()).0, "ok");
    // The thirteenth: every complete frame counted, the malformed one too.
    let request = Request::new("system.ping", "{}");
    assert_eq!(ask(request.sign(SECRET)), ("RATE_LIMITED".to_owned(), json!(request.nonce)));
    assert_eq!(ask("not json".to_owned()), ("RATE_LIMITED".to_owned(), Value::Null));
}

#[test]
fn three_spellings_are_signed_and_no_fourth() {
    let daemon = daemon();
    let mut wire = daemon.connect();
    let params = r#"{ "path" : "/home/x y/\u00e9" , "context":{"b":[1,  2.50],"a":1e16} }"#;
    let stripped = r#"{"path":"/home/x y/\u00e9","context":{"b":[1,2.50],"a":1e16}}"#;
    let sorted = r#"{"context":{"a":1e16,"b":[1,2.5]},"path":"/home/x y/é"}"#;
    let sorted_plus = r#"{"context":{"a":1e+16,"b":[1,2.5]},"path":"/home/x y/é"}"#;
    let mut ask = |signed: &str| {
        let mut request = Request::new("file.delete", params);
        request.signed_params = Some(signed.to_owned());
        code(&wire.ask(request.sign(SECRET).as_bytes()).unwrap()).to_owned()
    };
    for spelling in [params, stripped, sorted, sorted_plus] {
        assert_eq!(ask(spelling), "VALIDATION_ERROR", "past the signature: {spelling}");
    }
    for other in [r#"{"path":"/home/x y/é","context":{"b":[1,2.50],"a":1e16}}"#, "{}", "", "[]"] {
        assert_eq!(ask(other), "AUTH_ERROR", "{other}");
    }
    let mut absent = Request::new("system.ping", "{}");
    absent.params = None;
    for (signed, expected) in [("{}", "ok"), ("", "ok"), ("[]", "AUTH_ERROR")] {
        absent.nonce = nonce();
        absent.signed_params = Some(signed.to_owned());
        assert_eq!(code(&wire.ask(absent.sign(SECRET).as_bytes()).unwrap()), expected, "{signed:?}");
    }
}

#[test]
fn the_secret_with_a_final_line_feed_is_accepted_both_ways() {
    let setup = Setup::new();
    std::fs::write(setup.path("secret"), [SECRET, b"\n"].concat()).unwrap();
    let daemon = setup.start();
    let mut wire = daemon.connect();
    for (secret, expected) in
        [(SECRET.to_vec(), "ok"), ([SECRET, b"\n"].concat(), "ok"), ([SECRET, b"\r\n"].concat(), "AUTH_ERROR")]
    {
        let request = Request::new("system.ping", "{}").sign(&secret);
        assert_eq!(code(&wire.ask(request.as_bytes()).unwrap()), expected);
    }
}

#[test]
fn an_error_answer_says_nothing_but_its_fixed_text() {
    let daemon = daemon();
    let answer = daemon.ask("file.write", &json!({"path": "/etc/shadow", "content": "x"}));
    assert_eq!(answer["error"], json!({"code": "VALIDATION_ERROR", "message": "Invalid request parameters"}));
    assert!(!answer.to_string().contains("shadow"));
    // The reason is in the log, under the same id.
    daemon.setup.wait_for_log(answer["request_id"].as_str().unwrap(), 0);
}

#[test]
fn a_connection_that_ends_within_a_frame_costs_nothing() {
    let daemon = daemon();
    for cut in [1, 3, 4, 5, 100] {
        let mut wire = daemon.connect();
        wire.0.write_all(&frame(ping().as_bytes())[..cut]).unwrap();
        wire.0.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        wire.0.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
    assert_eq!(daemon.code("system.ping", &json!({})), "ok");
}
