//! `reeve` itself: what it sends, what it prints, how it ends.
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

use reeve::Key;
use serde_json::{Value, json};
use server::{SECRET, Server, failure, success};
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

fn reeve(server: &Server, arguments: &[&str]) -> Command {
    let mut reeve = Command::new(env!("CARGO_BIN_EXE_reeve"));
    reeve
        .env("REEVE_SOCKET", server.socket())
        .env("REEVE_SECRET", server.secret())
        .args(arguments)
        .stdin(Stdio::null());
    reeve
}

fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    ended(reeve(server, arguments).output().unwrap())
}

fn ended(output: Output) -> (Option<i32>, String, String) {
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// A server that answers each request with `data`.
fn answering(data: Value) -> Server {
    Server::start(move |mut peer| {
        while let Some(request) = peer.request() {
            peer.answer(&success(&request, data.clone()));
        }
    })
}

/// A server that refuses each request.
fn refusing(code: &'static str) -> Server {
    Server::start(move |mut peer| {
        while let Some(request) = peer.request() {
            peer.answer(&failure(&request["nonce"], code));
        }
    })
}

#[test]
fn an_answer_is_printed_for_people_and_for_programs() {
    let server =
        answering(json!({"path": "/a", "n": 3, "no": null, "list": ["a", "b"], "stdout": "one\ntwo\u{1b}[2J\n"}));
    let (code, out, err) = run(&server, &["file", "delete", "/a"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for line in ["path: /a\n", "n: 3\n", "no: none\n", "list: a, b\n", "stdout:\n  one\n  two\\u{1b}[2J\n"] {
        assert!(out.contains(line), "{out}");
    }
    let (code, out, _) = run(&server, &["--json", "call", "file.delete", r#"{"path": "/a"}"#]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, out.lines().count()), (Some(0), 1));
    assert_eq!(
        (&answer["success"], &answer["data"]["n"], &answer["request_id"]),
        (&json!(true), &json!(3), &json!("id"))
    );
}

#[test]
fn flags_and_standard_input_become_a_signed_request() {
    let (sender, requests) = mpsc::channel();
    let server = Server::start(move |mut peer| {
        let text = peer.text().unwrap();
        let request: Value = serde_json::from_str(&text).unwrap();
        peer.answer(&success(&request, json!({})));
        sender.send((text, request)).unwrap();
    });
    let mut child = reeve(&server, &["file", "write", "/a", "--from", "-", "--owner", "33", "--mode", "0644"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all("é\n".as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let (text, request) = requests.recv().unwrap();
    let params = r#"{"path":"/a","content":"é\n","owner":33,"mode":"0644"}"#;
    assert!(text.contains(params), "{text}");
    let key = Key::new(SECRET.into()).unwrap();
    let (timestamp, nonce) = (request["timestamp"].as_u64().unwrap(), request["nonce"].as_str().unwrap());
    assert_eq!(request["signature"], key.sign("file.write", params, timestamp, nonce, None));

    let mut child = reeve(&server, &["call", "file.delete", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"path\" :\"/a\"}\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(requests.recv().unwrap().0.contains(r#""command":"file.delete","params":{"path" :"/a"},"#));
}

#[test]
fn the_exit_status_tells_failed_from_refused_from_not_begun() {
    for (code, status) in [
        ("COMMAND_ERROR", 1),
        ("GRANT_FAILED", 1),
        ("AUTH_ERROR", 3),
        ("VALIDATION_ERROR", 3),
        ("PROTOCOL_ERROR", 3),
        ("RATE_LIMITED", 4),
        ("BUSY", 4),
        ("CONNECTION_TIMEOUT", 5),
    ] {
        let server = refusing(code);
        let (exit, out, err) = run(&server, &["system", "ping"]);
        assert_eq!((exit, out.as_str()), (Some(status), ""), "{code}");
        assert!(err.starts_with(&format!("reeve: {code}: Text (request id): ")) && err.lines().count() == 1, "{err}");
        let (exit, out, _) = run(&server, &["system", "ping", "--json"]);
        assert_eq!(
            (exit, &serde_json::from_str::<Value>(&out).unwrap()["error"]["code"]),
            (Some(status), &json!(code))
        );
    }
}

#[test]
fn a_server_can_not_drive_the_terminal_by_an_error() {
    let server = refusing("A\u{1b}]0;x\u{7}\nB");
    let (exit, _, err) = run(&server, &["system", "ping"]);
    assert_eq!((exit, err.lines().count()), (Some(1), 1));
    assert!(!err.contains('\u{1b}') && err.contains("\\u{1b}"), "{err:?}");
}

#[test]
fn unreachable_is_a_status_of_its_own() {
    let server = Server::absent();
    let unreachable = |expected: &str| {
        let (exit, out, err) = run(&server, &["--timeout", "1", "system", "ping"]);
        assert_eq!((exit, out.as_str(), err.lines().count()), (Some(5), "", 1), "{err}");
        assert!(err.contains(expected), "{err}");
    };
    unreachable("there is no socket");
    let listener = UnixListener::bind(server.socket()).unwrap();
    unreachable("gave no answer within 1s");
    drop(listener);
    unreachable("nobody listens");

    let server = Server::start(drop);
    let (exit, _, err) = run(&server, &["system", "ping"]);
    assert!(exit == Some(5) && err.contains("closed the connection"), "{err}");
}

#[test]
fn a_socket_that_this_user_may_not_open_is_said_to_be_so() {
    let server = answering(json!({}));
    let mut command = reeve(&server, &["system", "ping"]);
    if nix::unistd::geteuid().is_root() {
        // Root may open everything, so another user has to try; the program goes where that user can run it.
        let program = server.folder().join("reeve");
        copy_program(env!("CARGO_BIN_EXE_reeve"), &program);
        for (path, mode) in
            [(server.folder(), 0o755), (&program, 0o755), (&server.secret(), 0o644), (&server.socket(), 0o600)]
        {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let mut other = Command::new(program);
        other.uid(65534).gid(65534).arg("--socket").arg(server.socket()).arg("--secret").arg(server.secret());
        other.args(["system", "ping"]);
        command = other;
    } else {
        fs::set_permissions(server.socket(), Permissions::from_mode(0o000)).unwrap();
    }
    let (exit, _, err) = ended(command.output().unwrap());
    assert!(exit == Some(5) && err.contains("may not open") && err.contains("socket.group"), "{err}");
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_and_nothing_is_sent() {
    let server = answering(json!({}));
    let file = |name: &str, content: &[u8]| {
        fs::write(server.folder().join(name), content).unwrap();
        server.folder().join(name).to_str().unwrap().to_owned()
    };
    let (latin, short) = (file("latin", b"caf\xe9"), file("short", b"swordfish"));
    let absent = server.folder().join("absent").to_str().unwrap().to_owned();
    for (arguments, expected) in [
        (&["file", "write", "/a", "--from", &latin][..], "not UTF-8"),
        (&["file", "write", "/a", "--from", &absent], "No such file"),
        (&["file", "write", "/a"], "--from"),
        (&["file", "rewrite", "/a"], "write"),
        (&["call", "file.delete", "{"], "the parameters are not JSON"),
        (&["system", "ping", "--secret", &absent], "can't read the secret"),
        (&["system", "ping", "--secret", &short], &format!("the secret in {short:?} must")),
        (&["system", "ping", "--timeout", "0"], "--timeout"),
        (&[], "Usage"),
    ] {
        let (exit, out, err) = run(&server, arguments);
        assert_eq!((exit, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.contains(expected) && !err.contains("swordfish"), "{arguments:?}: {err}");
    }
}

#[test]
fn content_over_its_bound_is_not_read_to_its_end() {
    let server = Server::absent();
    let (exit, _, err) = run(&server, &["file", "write", "/a", "--from", "/dev/zero"]);
    assert!(exit == Some(2) && err.contains("longer than 16 MiB"), "{err}");
}

#[test]
fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
    let server = answering(json!({"pong": true}));
    for arguments in [&["system", "ping"][..], &["--help"], &["man"], &["completions", "bash"]] {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let (exit, _, err) = ended(reeve(&server, arguments).stdout(writer).output().unwrap());
        assert_eq!((exit, err.as_str()), (Some(0), ""), "{arguments:?}");
    }
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (exit, _, err) = ended(reeve(&server, &["system", "ping"]).stdout(full).output().unwrap());
    assert!(exit == Some(1) && err.contains("could not be written"), "{err}");
}

#[test]
fn completions_are_good_shell() {
    let server = Server::absent();
    for shell in ["bash", "zsh", "fish"] {
        let (exit, script, _) = run(&server, &["completions", shell]);
        assert!(exit == Some(0) && script.contains("write-template"), "{shell}");
        let path = server.folder().join(shell);
        fs::write(&path, script).unwrap();
        // A shell that is not there can't judge.
        if let Ok(status) = Command::new(shell).arg("-n").arg(&path).status() {
            assert!(status.success(), "{shell}");
        }
    }
}

#[test]
fn man_pages_are_good_roff() {
    let server = Server::absent();
    let folder = server.folder().join("man/man1");
    assert_eq!(run(&server, &["man", folder.to_str().unwrap()]).0, Some(0));
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(fs::read_to_string(&path).unwrap().contains(".TH "));
        if let Some(text) = rendered(&path) {
            assert!(text.contains("EXIT STATUS"), "{path:?}: {text}");
        }
    }
    let (exit, _, err) = run(&server, &["man", "/dev/null/man1"]);
    assert!(exit == Some(1) && err.contains("/dev/null/man1"), "{err}");
}

/// The page as man(1) shows it, where there is man.
fn rendered(path: &Path) -> Option<String> {
    let mut man = Command::new("man");
    let output = man.args(["--warnings", "-E", "UTF-8", "-l"]).arg(path).env("MANWIDTH", "80").output().ok()?;
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.is_empty(), "{path:?}: {err}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Copies by a process of its own: a descriptor that this one writes by may be in a child of another test, and the system runs no
/// program that is being written (ETXTBSY, execve(2)).
fn copy_program(from: impl AsRef<std::ffi::OsStr>, to: impl AsRef<std::ffi::OsStr>) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}
