//! The frontend as its start leaves it, and its cage: a real process, looked at from inside.
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use reeve_tests::daemon::copy_program;
use reeve_tests::skip::{is_root, skip};
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Uids that no account has.
const FRONTEND: u32 = 65_531;
const ORDINARY: u32 = 65_532;

/// A folder with the program, and with what it needs.
struct Scene {
    folder: TempDir,
    trial: bool,
}

impl Scene {
    fn new(trial: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder, trial };
        fs::set_permissions(scene.folder.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, mode) in [("home", 0o700), ("empty", 0o555), ("run", 0o755)] {
            fs::create_dir(scene.path(name)).unwrap();
            fs::set_permissions(scene.path(name), Permissions::from_mode(mode)).unwrap();
        }
        copy_program(env!("CARGO_BIN_EXE_show_process"), scene.program());
        fs::set_permissions(scene.program(), Permissions::from_mode(0o755)).unwrap();
        if trial && is_root() {
            for name in ["home", "home/show_process", "empty", "run"] {
                nix::unistd::chown(&scene.path(name), Some(ORDINARY.into()), Some(ORDINARY.into())).unwrap();
            }
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// In a folder that only its owner can enter: the frontend can't name it.
    fn program(&self) -> PathBuf {
        self.path("home/show_process")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        if self.trial && is_root() {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        command.env("SECRET_OF_THE_EXECUTOR", "x").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self, socket: &str) -> Started {
        let uid = if self.trial { "-".to_owned() } else { FRONTEND.to_string() };
        let mut child =
            self.command().arg(uid).arg(self.path("empty")).arg(self.path("run").join(socket)).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Started { child, out }
    }

    fn end(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }
}

struct Started {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Started {
    /// What it says up to this line.
    fn until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.out.read_line(&mut line).unwrap() == 0 {
                let mut why = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
                panic!("it ended: {lines:?} {why}");
            }
            let line = line.trim_end().replace('\t', " ");
            if line == last {
                return lines;
            }
            lines.push(line);
        }
    }

    fn close_cage(&mut self) -> Vec<String> {
        self.child.stdin.as_mut().unwrap().write_all(b"c").unwrap();
        self.until("caged")
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of a line.
fn value<'a>(lines: &'a [String], key: &str) -> &'a str {
    let found = lines
        .iter()
        .filter_map(|line| line.strip_prefix(key))
        .find(|rest| rest.is_empty() || rest.starts_with([' ', ':']));
    found.unwrap_or_else(|| panic!("{key}: {lines:?}")).trim_start_matches(':').trim()
}

const CAPABILITY_SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
const NONE: &str = "0000000000000000";
/// CAP_SYS_CHROOT is 18.
const CHROOT: &str = "0000000000040000";

fn check_what_every_frontend_has(shown: &[String], started: &Started) {
    assert_eq!(value(shown, "NoNewPrivs"), "1");
    assert_eq!(value(shown, "Threads"), "1");
    assert_eq!(value(shown, "SigBlk"), NONE);
    assert_eq!(value(shown, "Umask"), "0077");
    assert_eq!(value(shown, "executor"), started.child.id().to_string());
    assert_eq!(value(shown, "leader"), "true");
    assert_eq!(value(shown, "arguments"), r#"["reeve-frontend"]"#);
    assert_eq!(value(shown, "environment"), "[]");
    assert_eq!(value(shown, "death"), "Some(SIGKILL)");
    // The link, the socket, the log, a copy of the link, and the file that shows the status.
    let expected = r#"["0 socket", "1 socket", "2 pipe", "3 socket", "4 /proc/"#;
    assert!(
        value(shown, "descriptors").starts_with(expected) && !value(shown, "descriptors").contains("\"5 "),
        "{shown:?}"
    );
}

#[test]
fn the_frontend_of_root_is_nobody_and_in_its_cage_can_do_nothing() {
    if !is_root() {
        return skip("it needs root");
    }
    let scene = Scene::new(false);
    let mut started = scene.start("socket");
    let shown = started.until("shown");
    assert_eq!((value(&shown, "chroot"), value(&shown, "missing")), ("true", ""));
    check_what_every_frontend_has(&shown, &started);
    for (key, expected) in [("Uid", "65531 65531 65531 65531"), ("Gid", "65531 65531 65531 65531"), ("Groups", "")] {
        assert_eq!(value(&shown, key), expected, "{key}");
    }
    let sets = CAPABILITY_SETS.map(|set| value(&shown, set));
    assert_eq!(sets, [CHROOT, CHROOT, CHROOT, NONE, CHROOT]);
    assert_eq!(value(&shown, "folder"), "0");

    let caged = started.close_cage();
    assert_eq!(CAPABILITY_SETS.map(|set| value(&caged, set)), [NONE; 5]);
    for (key, expected) in [
        ("Name", "reeve-frontend"),
        ("NoNewPrivs", "1"),
        ("reads", "false"),
        ("writes", "false"),
        ("threads", "false"),
        ("dumpable", "false"),
        ("limit NPROC", "(0, 0)"),
        ("limit FSIZE", "(0, 0)"),
        ("limit CORE", "(0, 0)"),
        ("limit MEMLOCK", "(0, 0)"),
        ("limit NOFILE", "(512, 512)"),
    ] {
        assert_eq!(value(&caged, key), expected, "{key}");
    }
    for separation in ["an empty root", "uid 65531, gid 65531", "no capability", "an empty bounding set", "no groups"] {
        assert!(value(&caged, "separations").contains(separation), "{separation}");
    }
    // A second one of the same uid starts all the same: the limits are each process's own.
    let mut second = scene.start("second");
    second.until("shown");
    second.close_cage();
}

#[test]
fn the_frontend_of_a_trial_run_has_what_an_ordinary_user_can_give_it() {
    let scene = Scene::new(true);
    let mut started = scene.start("socket");
    let shown = started.until("shown");
    assert_eq!(value(&shown, "chroot"), "false");
    assert_eq!(value(&shown, "missing"), "a uid of its own, an empty root, an empty bounding set");
    check_what_every_frontend_has(&shown, &started);
    let uid = if is_root() { ORDINARY } else { geteuid().as_raw() };
    assert_eq!(value(&shown, "Uid"), format!("{uid} {uid} {uid} {uid}"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(value(&shown, set), NONE, "{set}");
    }
    let caged = started.close_cage();
    for (key, expected) in
        [("NoNewPrivs", "1"), ("reads", "true"), ("threads", "false"), ("dumpable", "false"), ("limit FSIZE", "(0, 0)")]
    {
        assert_eq!(value(&caged, key), expected, "{key}");
    }
    let separations = value(&caged, "separations");
    assert!(separations.contains(&format!("uid {uid}")) && !separations.contains("root"), "{separations}");
}

#[test]
fn the_frontend_ends_with_the_executor() {
    for trial in if is_root() { vec![false, true] } else { vec![true] } {
        let scene = Scene::new(trial);
        let mut started = scene.start("socket");
        let pid: i32 = value(&started.until("shown"), "Pid").parse().unwrap();
        started.close_cage();
        assert!(is_alive(pid));
        kill(Pid::from_raw(i32::try_from(started.child.id()).unwrap()), Signal::SIGKILL).unwrap();
        let begun = Instant::now();
        while is_alive(pid) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the frontend lives on");
            std::thread::yield_now();
        }
    }
}

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

#[test]
fn a_launcher_says_why_it_failed() {
    let scene = Scene::new(true);
    let says = |arguments: &[&str]| {
        let output = scene.end(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, why) = says(&["--become-frontend"]);
    assert!(code == Some(71) && why.starts_with("ERROR --become-frontend is for"), "{why}");
    let (code, why) = says(&["--become-frontend", "1", "900", "0"]);
    assert!(code == Some(71) && why.contains("taking up its program"), "{why}");
    // Not the executor's child: its parent is this test.
    let (code, why) = says(&["--become-frontend", "1", "0", "0"]);
    assert!(code == Some(71) && why.contains("has ended already"), "{why}");
    let own = std::process::id().to_string();
    let (code, why) = says(&["--become-frontend", &own, "0", "0"]);
    assert!(code == Some(71) && why.contains("executing its program"), "{why}");
    let (code, why) = says(&["--become-frontend", &own, "0", "0", "65531", "65531"]);
    assert!(code == Some(71) && why.contains("can't be started"), "an ordinary user becomes nobody else: {why}");
}

#[test]
fn a_cage_that_can_not_be_closed_is_an_error() {
    let scene = Scene::new(true);
    let output = scene.end(&["cage"]);
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && why.contains("no_new_privs is not set"), "{why}");
    if is_root() {
        let output = Scene::new(false).end(&["cage"]);
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && why.contains("the uid is 0"), "{why}");
    }
}

#[test]
fn a_program_that_others_can_write_or_can_not_execute_is_not_started() {
    if !is_root() {
        return skip("it needs root");
    }
    let scene = Scene::new(false);
    let copy = scene.path("home/other");
    let with = |mode: u32, owner: u32| {
        copy_program(scene.program(), &copy);
        nix::unistd::chown(&copy, Some(owner.into()), None).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(mode)).unwrap();
        reeve_executor::start::Binary::open(Some(copy.clone()))
            .map(|binary| binary.path.to_string())
            .map_err(|error| error.to_string())
    };
    assert_eq!(with(0o755, 0), Ok(copy.to_str().unwrap().to_owned()));
    assert_eq!(with(0o711, 0), Ok(copy.to_str().unwrap().to_owned()));
    for (mode, owner, mend) in
        [(0o775, 0, "chmod go-w"), (0o757, 0, "chmod go-w"), (0o755, ORDINARY, "chown root"), (0o750, 0, "chmod 755")]
    {
        assert!(with(mode, owner).unwrap_err().contains(mend), "{mode:o}");
    }
    let folder = reeve_executor::start::Binary::open(Some(scene.path("home"))).unwrap_err().to_string();
    assert!(folder.contains("--frontend"), "{folder}");
    let absent = reeve_executor::start::Binary::open(Some(scene.path("absent"))).unwrap_err().to_string();
    assert!(absent.contains("--frontend"), "{absent}");
}
