//! `make run`: both processes, in a folder of their own, doing real work before one's eyes.
use nix::unistd::geteuid;
use reeve_tests::daemon::{Daemon, SECRET, Setup, programs};
use reeve_tests::wire::Request;
use serde_json::json;
use std::path::Path;
use std::process::Command;

fn main() {
    let daemon = Setup::generated().start();
    say(&format!("Both processes run, in a folder of their own: {}", daemon.setup.folder.path().display()));
    processes(&daemon);
    ping(&daemon);
    write(&daemon);
    render(&daemon);
    refuse(&daemon);
    audit(&daemon);
    stop(daemon);
}

fn say(text: &str) {
    println!("\n== {text}");
}

/// Runs a command before one's eyes.
fn show(program: &Path, arguments: &[&str]) -> bool {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    println!("$ {name} {}", arguments.iter().map(|argument| shown(argument)).collect::<Vec<_>>().join(" "));
    Command::new(program).args(arguments).status().expect("it runs").success()
}

fn shown(argument: &str) -> String {
    if argument.contains([' ', '{', '"']) { format!("'{argument}'") } else { argument.to_owned() }
}

/// Runs `reeve` with the daemon's socket and secret.
fn reeve(daemon: &Daemon, secret: &str, arguments: &[&str]) -> bool {
    let (socket, secret) = (daemon.socket(), daemon.setup.path(secret));
    let mut all = vec!["--socket", socket.to_str().unwrap(), "--secret", secret.to_str().unwrap()];
    all.extend(arguments);
    println!("$ reeve {}", arguments.iter().map(|argument| shown(argument)).collect::<Vec<_>>().join(" "));
    Command::new(programs().join("reeve")).args(all).status().expect("reeve runs").success()
}

fn processes(daemon: &Daemon) {
    let pids = format!("{},{}", daemon.pid(), daemon.frontend());
    assert!(show(Path::new("ps"), &["-o", "pid,ppid,uid,gid,rss,args", "-ww", "-p", &pids]));
    if geteuid().is_root() {
        println!(
            "The executor is root. The frontend is a uid that no account has, in an empty root folder, without a capability."
        );
    } else {
        println!(
            "This is a trial run as an ordinary user: both processes are yours, frontend.user is not applied, and so is"
        );
        println!("no chroot. Run it as root to see them apart. What is not in force the log says:");
        daemon.setup.log().lines().filter(|line| line.contains("not in force")).for_each(|line| println!("  {line}"));
    }
}

fn ping(daemon: &Daemon) {
    say("A ping, through both processes");
    assert!(reeve(daemon, "secret", &["system", "ping"]));
}

fn write(daemon: &Daemon) {
    say("A file is written, whole or not at all, and its folder made");
    let (path, source) = (daemon.setup.path("site/www/index.html"), daemon.setup.path("index.html"));
    std::fs::write(&source, "<h1>Hello from Reeve</h1>\n").unwrap();
    let (path, source) = (path.to_str().unwrap(), source.to_str().unwrap());
    assert!(reeve(daemon, "secret", &["file", "write", path, "--from", source, "--mode", "0640"]));
    assert!(show(Path::new("ls"), &["-ln", path]) && show(Path::new("cat"), &[path]));
}

fn render(daemon: &Daemon) {
    say("An nginx site is rendered from a template, in the process without privilege, and written by the one with");
    let path = daemon.setup.path("site/shop.conf");
    let context =
        json!({"site_name": "shop", "domains": ["shop.example.com"], "document_root": "/var/www/shop"}).to_string();
    let path = path.to_str().unwrap();
    assert!(reeve(
        daemon,
        "secret",
        &["file", "write-template", path, "--template", "nginx/site.conf.tera", "--context", &context]
    ));
    assert!(show(Path::new("cat"), &[path]));
}

fn refuse(daemon: &Daemon) {
    say("A path that leaves its prefix is refused");
    let path = daemon.setup.path("site/../../../etc/passwd");
    assert!(!reeve(daemon, "secret", &["file", "delete", path.to_str().unwrap()]));
    say("A request that is sent a second time is refused");
    let secret = std::fs::read(daemon.setup.path("secret")).unwrap();
    let captured = Request::new("system.ping", "{}").sign(secret.strip_suffix(b"\n").unwrap_or(&secret));
    for _ in 0..2 {
        println!("  {}", daemon.connect().ask(captured.as_bytes()).expect("an answer"));
    }
    say("A request that is signed with another secret is refused");
    std::fs::write(daemon.setup.path("other"), SECRET).unwrap();
    assert!(!reeve(daemon, "other", &["system", "ping"]));
}

fn audit(daemon: &Daemon) {
    say("The audit trail, written by the executor");
    daemon.audit().iter().for_each(|record| println!("  {record}"));
}

fn stop(mut daemon: Daemon) {
    say("Stopping: SIGTERM to the executor, as a service manager would");
    let status = daemon.stop();
    println!("ended with {status}; its folder is removed. What it logged:");
    daemon.setup.log().lines().for_each(|line| println!("  {line}"));
    assert!(status.success());
}
