//! Start, stop, reload, and the end of either process.
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, umask};
use reeve_tests::daemon::{Daemon, FRONTEND_UID, SECRET, Setup, copy_program, programs};
use reeve_tests::skip::{is_root, skip};
use reeve_tests::wait::eventually;
use reeve_tests::wire::{Request, Wire, code};
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

fn status_lines(pid: nix::unistd::Pid, names: &[&str]) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &&str| status.lines().find(|line| line.starts_with(*name)).unwrap_or("").replace('\t', " ");
    names.iter().map(line).collect()
}

#[test]
fn the_frontend_has_no_privilege_left() {
    let daemon = Setup::new().start();
    let frontend = daemon.frontend();
    let none = "0000000000000000";
    let sets = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"].map(|set| format!("{set} {none}"));
    assert_eq!(status_lines(frontend, &["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"]), sets);
    assert_eq!(status_lines(frontend, &["NoNewPrivs:"]), ["NoNewPrivs: 1"]);
    if is_root() {
        let id = FRONTEND_UID.to_string();
        assert_eq!(
            status_lines(frontend, &["CapBnd:", "Uid:", "Gid:"]),
            [format!("CapBnd: {none}"), format!("Uid: {id} {id} {id} {id}"), format!("Gid: {id} {id} {id} {id}"),]
        );
        assert_eq!(status_lines(frontend, &["Groups:"])[0].trim(), "Groups:");
        let root = fs::read_link(format!("/proc/{frontend}/root")).unwrap();
        assert!(root.ends_with("run/empty"), "{root:?}");
        assert!(fs::read_dir(format!("/proc/{frontend}/root")).unwrap().next().is_none());
        assert_eq!(fs::read(format!("/proc/{frontend}/environ")).unwrap(), b"");
        let limits = fs::read_to_string(format!("/proc/{frontend}/limits")).unwrap();
        let limit = |name: &str| {
            limits
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .split_whitespace()
                .rev()
                .nth(1)
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            (limit("Max file size"), limit("Max core file size"), limit("Max processes")),
            ("0".into(), "0".into(), "0".into())
        );
    } else {
        skip("uid, chroot and bounding set of the frontend need root");
    }
    // Neither is dumpable: their files in /proc are root's.
    for pid in [frontend, daemon.pid()] {
        assert_eq!(fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0);
    }
}

#[test]
fn a_stop_finishes_and_ends_both_and_the_socket_is_gone() {
    let mut daemon = Setup::new().start();
    let frontend = daemon.frontend();
    let mut wire = daemon.connect();
    assert_eq!(code(&wire.ask(Request::new("system.ping", "{}").sign(SECRET).as_bytes()).unwrap()), "ok");
    let status = daemon.stop();
    assert_eq!(status.code(), Some(0), "{}", daemon.setup.log());
    assert!(wire.receive().unwrap().is_none());
    eventually("the frontend ends", || kill(frontend, None).is_err());
    assert!(!daemon.socket().exists());
    daemon.wait_for("STOPPING=1");
}

#[test]
fn a_frontend_that_dies_ends_the_executor_with_an_error() {
    let mut daemon = Setup::new().start();
    kill(daemon.frontend(), Signal::SIGKILL).unwrap();
    let status = daemon.child.wait().unwrap();
    assert_eq!(status.code(), Some(70), "{}", daemon.setup.log());
}

#[test]
fn an_executor_that_dies_takes_the_frontend_along() {
    let mut daemon = Setup::new().start();
    let frontend = daemon.frontend();
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    eventually("the frontend ends", || {
        !fs::read_to_string(format!("/proc/{frontend}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    });
}

#[test]
fn a_second_instance_is_refused_and_the_first_goes_on() {
    let daemon = Setup::new().start();
    let output = daemon.setup.command().status().unwrap();
    assert!(!output.success());
    assert!(daemon.setup.log().contains("another instance"), "{}", daemon.setup.log());
    assert_eq!(daemon.code("system.ping", &json!({})), "ok");
}

#[test]
fn a_socket_of_ones_own_has_its_mode_and_a_stale_one_is_replaced() {
    let mut setup = Setup::new();
    drop(UnixListener::bind(setup.path("socket")).unwrap());
    setup.set("socket", "permissions", "\"0640\"");
    let before = umask(Mode::from_bits_truncate(0o077));
    let daemon = setup.start();
    umask(before);
    assert_eq!(fs::metadata(daemon.socket()).unwrap().mode() & 0o777, 0o640);
    assert_eq!(daemon.code("system.ping", &json!({})), "ok");
}

#[test]
fn what_is_not_ours_at_the_sockets_path_is_refused_and_left() {
    let setup = Setup::new();
    fs::write(setup.path("socket"), "precious").unwrap();
    let (status, log) = setup.refused();
    assert!(!status.success() && log.contains("socket"), "{log}");
    assert_eq!(fs::read_to_string(setup.path("socket")).unwrap(), "precious");
    fs::remove_file(setup.path("socket")).unwrap();
    symlink(setup.path("elsewhere"), setup.path("socket")).unwrap();
    assert!(!setup.refused().0.success());
    assert!(fs::symlink_metadata(setup.path("socket")).unwrap().is_symlink());
    fs::remove_file(setup.path("socket")).unwrap();
    let live = UnixListener::bind(setup.path("socket")).unwrap();
    assert!(!setup.refused().0.success());
    drop(live);
    assert_eq!(setup.start().code("system.ping", &json!({})), "ok");
}

#[test]
fn a_bad_configuration_secret_or_user_refuses_to_start_and_names_the_mend() {
    let refused = |change: &dyn Fn(&mut Setup), words: &[&str]| {
        let mut setup = Setup::new();
        change(&mut setup);
        let (status, log) = setup.refused();
        assert!(!status.success(), "{words:?}");
        for word in words {
            assert!(log.contains(word), "{word:?} is not in:\n{log}");
        }
        assert!(!setup.path("socket").exists());
    };
    let secret = |mode: u32, text: &'static [u8]| {
        move |setup: &mut Setup| {
            fs::write(setup.path("secret"), text).unwrap();
            fs::set_permissions(setup.path("secret"), Permissions::from_mode(mode)).unwrap();
        }
    };
    refused(&secret(0o640, SECRET), &["secret", "0640", "chmod 600"]);
    refused(&secret(0o600, b"short\n"), &["secret", "32"]);
    refused(&|setup| fs::remove_file(setup.path("secret")).unwrap(), &["secret"]);
    refused(
        &|setup| {
            fs::rename(setup.path("secret"), setup.path("real")).unwrap();
            symlink(setup.path("real"), setup.path("secret")).unwrap();
        },
        &["secret", "link"],
    );
    refused(&|setup| _ = setup.set("limits", "max_conections", "5"), &["max_conections"]);
    refused(&|setup| _ = setup.set("security", "nonce_ttl_seconds", "100"), &["nonce_ttl_seconds", "121"]);
    refused(&|setup| _ = setup.set("whitelists", "additional_php_settings", "[\"extension\"]"), &["extension"]);
    if is_root() {
        for user in ["root", "0", "65534", "www-data", "no-such-user"] {
            refused(&|setup| _ = setup.set("frontend", "user", &format!("{user:?}")), &["frontend.user"]);
        }
        refused(&|setup| _ = setup.set("security", "allowed_uids", &format!("[{FRONTEND_UID}]")), &["allowed_uids"]);
    } else {
        skip("frontend.user is applied as root only");
    }
}

#[test]
fn template_symlink_to_shadow_is_refused() {
    let setup = Setup::new();
    fs::create_dir(setup.path("custom")).unwrap();
    symlink("/etc/shadow", setup.path("custom/shadow.tera")).unwrap();
    let (status, log) = setup.refused();
    assert!(!status.success() && log.contains("shadow.tera"), "{log}");
    fs::remove_file(setup.path("custom/shadow.tera")).unwrap();
    fs::write(setup.path("custom/real.tera"), "x").unwrap();
    let daemon = setup.start();
    let path = daemon.setup.path("site/out");
    assert_eq!(
        daemon.code("file.write_template", &json!({"path": path, "template": "real.tera", "context": {}})),
        "ok"
    );
}

#[test]
fn a_reload_changes_who_may_call_and_a_bad_one_changes_nothing() {
    let mut daemon = Setup::new().start();
    let mut wire = daemon.connect();
    let mut ping = || {
        wire.ask(Request::new("system.ping", "{}").sign(SECRET).as_bytes()).ok().map(|answer| code(&answer).to_owned())
    };
    assert_eq!(ping().as_deref(), Some("ok"));
    let log = |daemon: &Daemon, word: &str| daemon.setup.log().matches(word).count();
    daemon.setup.set("limits", "max_connections", "\"many\"").write();
    daemon.signal(Signal::SIGHUP);
    eventually("the log says why", || log(&daemon, "old one stays in force") == 1);
    assert_eq!(ping().as_deref(), Some("ok"));
    daemon.setup.set("limits", "max_connections", "128");
    let uid = if is_root() { 12_345 } else { 12_346 };
    daemon.setup.set("security", "allowed_uids", &format!("[{uid}]")).write();
    daemon.signal(Signal::SIGHUP);
    eventually("it is in force", || log(&daemon, "is in force") == 1);
    eventually("the connection closes", || ping().is_none());
    let refused = daemon.connect().receive().unwrap().unwrap();
    assert_eq!(code(&refused), "AUTH_ERROR");
}

#[test]
fn a_reload_takes_a_new_secret() {
    let daemon = Setup::new().start();
    let other = b"another secret of at least 32 bytes";
    fs::write(daemon.setup.path("secret"), other).unwrap();
    let ping = |secret: &[u8]| {
        let request = Request::new("system.ping", "{}").sign(secret);
        code(&daemon.connect().ask(request.as_bytes()).unwrap()).to_owned()
    };
    assert_eq!((ping(SECRET).as_str(), ping(other).as_str()), ("ok", "AUTH_ERROR"));
    daemon.signal(Signal::SIGHUP);
    eventually("it is in force", || daemon.setup.log().contains("is in force"));
    assert_eq!((ping(SECRET).as_str(), ping(other).as_str()), ("AUTH_ERROR", "ok"));
}

#[test]
fn a_socket_from_systemd_is_served() {
    let activate = "/usr/bin/systemd-socket-activate";
    if !std::path::Path::new(activate).exists() {
        return skip("needs systemd-socket-activate, of the package systemd");
    }
    let setup = Setup::new();
    setup.write();
    let mut command = Command::new(activate);
    command.arg("--listen").arg(setup.path("socket"));
    command.arg(programs().join("reeve-executor")).arg("--config").arg(setup.path("reeve.toml"));
    let log = fs::File::create(setup.path("log")).unwrap();
    let mut child = command.stderr(log).spawn().unwrap();
    eventually("systemd-socket-activate listens", || setup.path("socket").exists());
    // The first connection starts the daemon; it waits in the backlog meanwhile.
    let mut wire = Wire::connect(&setup.path("socket")).unwrap();
    let answer = wire.ask(Request::new("system.ping", "{}").sign(SECRET).as_bytes()).unwrap();
    assert_eq!(code(&answer), "ok", "{}", setup.log());
    kill(nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success(), "{}", setup.log());
    assert!(setup.path("socket").exists(), "a socket of systemd's is left to it");
}

#[test]
fn tcp_listener_passed_is_refused() {
    let activate = "/usr/bin/systemd-socket-activate";
    if !std::path::Path::new(activate).exists() {
        return skip("needs systemd-socket-activate, of the package systemd");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("other");
    let (other, port) = (other.to_str().unwrap(), free_port());
    let tcp = format!("127.0.0.1:{port}");
    let knock: [&dyn Fn() -> bool; 3] =
        [&|| std::net::TcpStream::connect(&tcp).is_ok(), &|| UnixStream::connect(other).is_ok(), &|| {
            UnixDatagram::unbound().unwrap().send_to(b"x", other).is_ok()
        }];
    for (listen, knock) in [
        (vec!["--listen", &tcp], knock[0]),
        (vec!["--listen", other], knock[1]),
        (vec!["--datagram", "--listen", other], knock[2]),
        (vec!["--listen", other, "--listen", &tcp], knock[1]),
    ] {
        let _ = fs::remove_file(other);
        let setup = Setup::new();
        setup.write();
        let mut command = Command::new(activate);
        command.args(&listen).arg(programs().join("reeve-executor")).arg("--config").arg(setup.path("reeve.toml"));
        let mut child = command.stderr(fs::File::create(setup.path("log")).unwrap()).spawn().unwrap();
        eventually("systemd-socket-activate is knocked awake", knock);
        assert!(!child.wait().unwrap().success(), "{listen:?}");
        let log = setup.log();
        assert!(log.contains("LISTEN_FDS") || log.contains("socket.path"), "{listen:?}: {log}");
    }
}

/// A port of loopback's that nothing listens at.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_checkout_under_a_closed_home_serves() {
    let home = tempfile::tempdir().unwrap();
    let closed = home.path().join("closed");
    fs::create_dir(&closed).unwrap();
    for program in ["reeve-executor", "reeve-frontend"] {
        copy_program(programs().join(program), closed.join(program));
    }
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let setup = Setup::new();
    let template = setup.command();
    let mut command = Command::new(closed.join("reeve-executor"));
    command.args(template.get_args()).stderr(fs::File::create(setup.path("log")).unwrap());
    let daemon = setup.start_by(command);
    assert_eq!(daemon.code("system.ping", &json!({})), "ok");
}

#[test]
fn two_daemons_of_one_frontend_uid_run_side_by_side() {
    let (first, second) = (Setup::new().start(), Setup::new().start());
    assert_eq!(
        (first.code("system.ping", &json!({})), second.code("system.ping", &json!({}))),
        ("ok".into(), "ok".into())
    );
}

#[test]
fn what_a_crash_left_is_removed_at_the_next_start() {
    // A writer is killed between its temporary file and the rename, again and again, by killing the executor as it writes.
    let mut setup = Setup::new();
    let mut seen_unknown = 0;
    for _ in 0..100 {
        let mut daemon = setup.start();
        let mut wire = daemon.connect();
        for number in 0..60 {
            let path = daemon.setup.path(&format!("site/{}/deep/{number}/file", daemon.pid()));
            let params = json!({"path": path, "content": "x".repeat(100_000)});
            wire.send(Request::new("file.write", &params.to_string()).sign(SECRET).as_bytes()).unwrap();
        }
        let _ = wire.receive();
        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
        setup = std::mem::take(&mut daemon.setup);
        // The kernel ends the frontend, which listens until then.
        eventually("the frontend ends", || UnixStream::connect(setup.path("socket")).is_err());
        let mut again = setup.start();
        let left = Command::new("find").arg(again.setup.path("site")).args(["-name", ".reeve-*"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{}", again.setup.log());
        seen_unknown += again.audit().iter().filter(|record| record["source"] == "journal").count();
        again.stop();
        setup = std::mem::take(&mut again.setup);
        if seen_unknown >= 10 {
            break;
        }
    }
    assert!(seen_unknown >= 10, "hardly a kill hit a command under way");
}
