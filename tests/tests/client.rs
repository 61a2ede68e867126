//! `reeve`, the command line, against the real daemon.
use reeve_tests::daemon::{Daemon, Setup, programs};
use std::io::Write;
use std::process::{Command, Stdio};

/// Exit status, standard output, standard error.
fn reeve(daemon: &Daemon, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(programs().join("reeve"));
    command.arg("--socket").arg(daemon.socket()).arg("--secret").arg(daemon.setup.path("secret")).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("reeve runs");
    // A command that takes no input may have ended already.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("reeve ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn exit_codes_tell_refused_from_failed_from_unreachable() {
    let daemon = Setup::new().start();
    let site = daemon.setup.path("site");
    let path = |name: &str| site.join(name).to_str().expect("text").to_owned();
    let (status, out, _) = reeve(&daemon, &["system", "ping"], "");
    assert!(status == Some(0) && out.contains("pong: true"), "{out}");
    let written = reeve(&daemon, &["file", "write", &path("a/b"), "--from", "-", "--mode", "0600"], "from a pipe\n");
    assert_eq!(written.0, Some(0), "{written:?}");
    assert_eq!(std::fs::read_to_string(path("a/b")).expect("it is there"), "from a pipe\n");
    let (status, out, _) = reeve(&daemon, &["--json", "file", "delete", &path("a/b")], "");
    assert!(status == Some(0) && out.contains("\"deleted\":true"), "{out}");
    let params = format!("{{\"path\":\"{}\",\"mode\":\"0700\",\"recursive\":true}}", path("a"));
    assert_eq!(reeve(&daemon, &["call", "file.chmod", &params], "").0, Some(0));
    let (refused, _, why) = reeve(&daemon, &["file", "delete", "/etc/shadow"], "");
    assert!(refused == Some(3) && why.contains("VALIDATION_ERROR"), "{why}");
    let (failed, _, why) = reeve(&daemon, &["file", "delete", &path("a")], "");
    assert!(failed == Some(1) && why.contains("COMMAND_ERROR"), "{why}");
    assert_eq!(reeve(&daemon, &["file", "delete"], "").0, Some(2));
    let mut daemon = daemon;
    daemon.stop();
    assert_eq!(reeve(&daemon, &["system", "ping"], "").0, Some(5), "nobody listens");
}
