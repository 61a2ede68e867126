//! The library against a server that does what each test says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a test, and a module that two tests share"
)]

mod server;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use reeve::{Connection, Error, Key, Request, Stage};
use serde_json::{Value, json};
use server::{Peer, SECRET, Server, failure, frame, success};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Long enough for a loaded machine; a test that waits for all of it has failed.
const AMPLE: Duration = Duration::from_secs(60);
/// For what must time out.
const SHORT: Duration = Duration::from_millis(50);

fn key() -> Key {
    Key::new(SECRET.into()).unwrap()
}

/// A connection whose other end is served by `serve`.
fn pair(timeout: Duration, serve: impl FnOnce(Peer) + Send + 'static) -> (Connection, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Connection::new(ours, key(), timeout), thread::spawn(move || serve(Peer(theirs))))
}

fn request(command: &str) -> Request {
    Request::new(command, "{}").unwrap()
}

#[test]
fn answers_that_come_in_another_order_find_their_requests() {
    let (mut connection, server) = pair(AMPLE, |mut peer| {
        let requests: Vec<Value> = (0..5).map(|_| peer.request().unwrap()).collect();
        for request in requests.iter().rev() {
            peer.answer(&success(request, json!({"command": request["command"]})));
        }
    });
    let requests: Vec<Request> = (0..5).map(|number| request(&format!("a.{number}"))).collect();
    for request in &requests {
        connection.send(request).unwrap();
    }
    for request in &requests[1..4] {
        let answer = connection.receive(&request.nonce).unwrap();
        assert_eq!(answer.nonce, request.nonce);
        assert_eq!(answer.read::<Value>().unwrap()["command"], request.command);
    }
    // What is left comes in the order in which it arrived.
    assert_eq!(connection.receive_any().unwrap().nonce, requests[4].nonce);
    assert_eq!(connection.receive_any().unwrap().nonce, requests[0].nonce);
    server.join().unwrap();
    assert!(matches!(connection.receive_any(), Err(Error::Closed)));
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_put_together() {
    let (mut connection, _server) = pair(AMPLE, |mut peer| {
        while let Some(request) = peer.request() {
            let stranger = json!({"nonce": "of-another-request"});
            let bytes = [frame(&success(&stranger, json!({}))), frame(&success(&request, json!({"a": "é"})))].concat();
            bytes.chunks(1).for_each(|byte| peer.0.write_all(byte).unwrap());
        }
    });
    for _ in 0..3 {
        let answer = connection.call("system.ping", "{}").unwrap();
        assert_eq!(answer.data.get(), r#"{"a":"é"}"#);
        assert_eq!(answer.request_id, "id");
    }
}

#[test]
fn what_arrives_is_signed() {
    let (mut connection, server) = pair(AMPLE, |mut peer| {
        let text = peer.text().unwrap();
        let request: Value = serde_json::from_str(&text).unwrap();
        let params = r#"{ "path":"/a" }"#;
        assert!(text.contains(params), "{text}");
        let (timestamp, nonce) = (request["timestamp"].as_u64().unwrap(), request["nonce"].as_str().unwrap());
        assert_eq!(
            request["signature"],
            key().sign("file.delete", params, timestamp, nonce, Some(r#"{"key_id":"k"}"#))
        );
        peer.answer(&success(&request, json!({})));
    });
    let request = Request::new("file.delete", r#"{ "path":"/a" }"#).unwrap().with_options(r#"{"key_id":"k"}"#).unwrap();
    connection.send(&request).unwrap();
    connection.receive(&request.nonce).unwrap();
    server.join().unwrap();
}

#[test]
fn a_failure_has_its_code_and_the_connection_goes_on() {
    let (mut connection, _server) = pair(AMPLE, |mut peer| {
        let request = peer.request().unwrap();
        peer.answer(&failure(&request["nonce"], "VALIDATION_ERROR"));
        // Nothing but PROTOCOL_ERROR with a nonce that could not be read.
        peer.request().unwrap();
        peer.answer(&failure(&Value::Null, "PROTOCOL_ERROR"));
        let request = peer.request().unwrap();
        peer.answer(&success(&request, json!({})));
    });
    for (code, nonce) in [("VALIDATION_ERROR", true), ("PROTOCOL_ERROR", false)] {
        let Err(Error::Answered(failure)) = connection.call("a.b", "{}") else { panic!("no failure") };
        assert_eq!(
            (failure.code.as_str(), failure.message.as_str(), failure.request_id.as_str()),
            (code, "Text", "id")
        );
        assert_eq!(failure.nonce.is_some(), nonce);
    }
    connection.call("a.b", "{}").unwrap();
}

#[test]
fn busy_at_accept_is_heard_though_nothing_is_read() {
    let (mut connection, server) = pair(AMPLE, |mut peer| peer.answer(&failure(&Value::Null, "BUSY")));
    server.join().unwrap();
    let Err(Error::Answered(failure)) = connection.call("system.ping", "{}") else { panic!("no failure") };
    assert_eq!(failure.code, "BUSY");
    assert!(matches!(connection.call("system.ping", "{}"), Err(Error::Closed)));
}

#[test]
fn a_refusal_in_the_middle_of_a_long_request_is_heard() {
    let (mut connection, server) = pair(AMPLE, |mut peer| {
        peer.0.read_exact(&mut [0; 4]).unwrap();
        peer.answer(&failure(&Value::Null, "PROTOCOL_ERROR"));
        peer.0.shutdown(Shutdown::Write).unwrap();
        // Some of the rest is dropped, then the connection is closed.
        peer.0.read_exact(&mut [0; 1000]).unwrap();
    });
    let content = json!({"content": "x".repeat(8 << 20)}).to_string();
    let Err(Error::Answered(failure)) = connection.call("file.write", &content) else { panic!("no failure") };
    assert_eq!(failure.code, "PROTOCOL_ERROR");
    server.join().unwrap();
}

#[test]
fn requests_and_answers_that_fill_the_socket_do_not_wait_for_each_other() {
    const REQUESTS: usize = 40;
    let (mut connection, server) = pair(AMPLE, |mut peer| {
        // It reads the next request only when its answer to the last one was taken.
        while let Some(request) = peer.request() {
            peer.answer(&success(&request, json!({"output": "y".repeat(500_000)})));
        }
    });
    let params = json!({"content": "x".repeat(500_000)}).to_string();
    let requests: Vec<Request> = (0..REQUESTS).map(|_| Request::new("file.write", &params).unwrap()).collect();
    for request in &requests {
        connection.send(request).unwrap();
    }
    for request in requests.iter().rev() {
        assert_eq!(connection.receive(&request.nonce).unwrap().nonce, request.nonce);
    }
    drop(connection);
    server.join().unwrap();
}

#[test]
fn a_connection_that_is_closed_says_so() {
    let (mut connection, server) = pair(AMPLE, |mut peer| {
        peer.request().unwrap();
        // An answer that is cut off is none.
        peer.0.write_all(&[0, 0, 0, 9, b'{']).unwrap();
    });
    assert!(matches!(connection.call("system.ping", "{}"), Err(Error::Closed)));
    server.join().unwrap();
}

#[test]
fn what_is_no_answer_ends_the_connection() {
    for (bytes, too_long) in
        [(&[0, 0, 0, 2, b'[', b']'][..], false), (&[0, 0, 0, 0], false), (b"HTTP/1.1 400 Bad", true)]
    {
        let (mut connection, server) = pair(AMPLE, move |mut peer| {
            peer.request().unwrap();
            peer.0.write_all(bytes).unwrap();
            assert!(peer.request().is_none());
        });
        match connection.call("system.ping", "{}") {
            Err(Error::AnswerTooLong(length)) => assert!(too_long && length > reeve::frame::MAX_ANSWER),
            Err(Error::MalformedAnswer(_)) => assert!(!too_long),
            other => panic!("{other:?}"),
        }
        assert!(matches!(connection.call("system.ping", "{}"), Err(Error::Closed)));
        drop(connection);
        server.join().unwrap();
    }
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken_for_another() {
    let (mut connection, server) = pair(SHORT, |mut peer| {
        let late = peer.request().unwrap();
        let next = peer.request().unwrap();
        peer.answer(&success(&late, json!({"late": true})));
        peer.answer(&success(&next, json!({"late": false})));
    });
    let result = connection.call("system.ping", "{}");
    assert!(matches!(result, Err(Error::TimedOut { stage: Stage::Answering, after: SHORT })), "{result:?}");
    connection.set_timeout(AMPLE);
    assert_eq!(connection.call("system.ping", "{}").unwrap().data.get(), r#"{"late":false}"#);
    assert!(matches!(connection.receive_any(), Err(Error::Closed)));
    server.join().unwrap();
}

#[test]
fn a_request_that_is_not_taken_in_time_is_not_sent_in_halves() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut connection = Connection::new(ours, key(), SHORT);
    let params = json!({"content": "x".repeat(8 << 20)}).to_string();
    let result = connection.call("file.write", &params);
    assert!(matches!(result, Err(Error::TimedOut { stage: Stage::Sending, .. })), "{result:?}");
    // The frame was begun: what follows it would be taken for its rest.
    assert!(matches!(connection.call("system.ping", "{}"), Err(Error::Closed)));
    drop(theirs);
}

#[test]
fn a_full_backlog_is_waited_for_until_the_time_is_up() {
    let server = Server::absent();
    let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(&server.socket()).unwrap()).unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let listener = UnixListener::from(listener);

    let mut waiting = Vec::new();
    let refused = loop {
        match Connection::connect(server.socket(), key(), SHORT) {
            Ok(connection) => waiting.push(connection),
            Err(error) => break error,
        }
        assert!(waiting.len() < 10, "the backlog is never full");
    };
    assert!(matches!(refused, Error::TimedOut { stage: Stage::Connecting, after: SHORT }), "{refused:?}");

    // Whoever has time is let in as soon as there is a place.
    let path = server.socket();
    let patient = thread::spawn(move || reeve::call(path, &key(), AMPLE, &request("system.ping")));
    for stream in listener.incoming() {
        let mut peer = Peer(stream.unwrap());
        // Those that only connected are closed, so they send nothing.
        waiting.clear();
        if let Some(request) = peer.request() {
            peer.answer(&success(&request, json!({})));
            break;
        }
    }
    patient.join().unwrap().unwrap();
}

#[test]
fn a_call_has_one_time_for_everything() {
    let server = Server::start(|mut peer| while peer.request().is_some() {});
    let result = reeve::call(server.socket(), &key(), SHORT, &request("system.ping"));
    assert!(matches!(result, Err(Error::TimedOut { stage: Stage::Answering, after: SHORT })), "{result:?}");
}

#[test]
fn each_way_of_being_unreachable_has_its_name() {
    let server = Server::absent();
    let connect = || Connection::connect(server.socket(), key(), AMPLE).map(drop);
    assert!(matches!(connect(), Err(Error::NoSocket(_))));
    drop(UnixListener::bind(server.socket()).unwrap());
    assert!(matches!(connect(), Err(Error::NotListening(_))));
    let beneath = Connection::connect(server.socket().join("a"), key(), AMPLE).map(drop);
    assert!(matches!(beneath, Err(Error::NoSocket(_))), "{beneath:?}");
    let long = Connection::connect(format!("/{}", "x".repeat(200)), key(), AMPLE).map(drop);
    assert!(matches!(long, Err(Error::Connect { .. })), "{long:?}");
}
