//! The daemon in a folder of its own: built, started for real, stopped by its drop.
use crate::skip::is_root;
use crate::wait::eventually;
use crate::wire::{Request, Wire, code};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The secret of every daemon here.
pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef-test";
/// A uid and gid that no account has, for the frontend.
pub const FRONTEND_UID: u32 = 65_531;
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder that the programs of this build stand in. They are built first, so that no stale one is tested.
///
/// # Panics
/// If they can't be built.
#[must_use]
pub fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let me = std::env::current_exe().expect("this program has a path");
        let profile =
            me.ancestors().find(|folder| folder.join(".fingerprint").is_dir()).expect("cargo built this program");
        let release = profile.file_name().is_some_and(|name| name == "release");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([
            "build",
            "--quiet",
            "--locked",
            "--bins",
            "-p",
            "reeve-executor",
            "-p",
            "reeve-frontend",
            "-p",
            "reeve",
            "-p",
            "reeve-tests",
        ]);
        cargo.arg("--target-dir").arg(profile.parent().expect("a profile lies in the target folder"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(release.then_some("--release"));
        assert!(cargo.status().expect("cargo runs").success(), "the programs can't be built");
        profile.to_owned()
    })
}

/// Copies a program, by a process of its own: a descriptor that this one writes by may be in a child of another test, and the
/// system runs no program that is being written (ETXTBSY, execve(2)).
///
/// # Panics
/// If it can't be copied.
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let copied = Command::new("cp").arg(from.as_ref()).arg(to.as_ref()).status().expect("cp runs");
    assert!(copied.success(), "cp failed");
}

/// What a daemon is started with.
#[derive(Debug)]
pub struct Setup {
    /// The folder: configuration, socket, state, and `site`, which is an allowed prefix.
    pub folder: TempDir,
    /// Lines for the sections of the configuration, each `section` and `line`.
    lines: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A folder with a secret, and a configuration that allows this process and whoever [`Setup::set`] adds.
    ///
    /// # Panics
    /// If the folder can't be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("reeve-test-").tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("chmod");
        fs::create_dir(folder.path().join("site")).expect("mkdir");
        fs::write(folder.path().join("secret"), SECRET).expect("write");
        fs::set_permissions(folder.path().join("secret"), Permissions::from_mode(0o600)).expect("chmod");
        let path = |name: &str| format!("{:?}", folder.path().join(name));
        let user = if is_root() { FRONTEND_UID } else { geteuid().as_raw() };
        let lines = [
            ("socket", format!("path = {}", path("socket"))),
            ("socket", "permissions = \"0666\"".to_owned()),
            ("security", format!("hmac_secret_path = {}", path("secret"))),
            ("frontend", format!("user = \"{user}\"")),
            ("paths", format!("state_dir = {}", path("state"))),
            ("paths", format!("run_dir = {}", path("run"))),
            ("paths", format!("templates_dir = {}", path("templates"))),
            ("paths", format!("custom_templates_dir = {}", path("custom"))),
            ("audit", format!("log_path = {}", path("audit/audit.log"))),
            ("whitelists", format!("additional_path_prefixes = [{}]", path("site/"))),
        ];
        let lines = lines.map(|(section, line)| (section.to_owned(), line)).to_vec();
        let mut setup = Self { folder, lines };
        if !is_root() {
            setup.set("socket", "owner", &geteuid().to_string());
            setup.set("socket", "group", &nix::unistd::getegid().to_string());
        }
        setup.set("security", "allowed_uids", &format!("[{}]", geteuid()));
        setup.set("security", "rate_limit_requests", "1000000");
        setup
    }

    /// The same with a secret that nobody else knows, for a demonstration.
    ///
    /// # Panics
    /// If the system gives no randomness.
    #[must_use]
    pub fn generated() -> Self {
        let (setup, mut secret) = (Self::new(), [0_u8; 32]);
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut secret).expect("randomness");
        let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(setup.path("secret"), format!("{text}\n")).expect("write");
        setup
    }

    /// Sets a key to a TOML value.
    pub fn set(&mut self, section: &str, key: &str, value: &str) -> &mut Self {
        let begins = format!("{key} = ");
        self.lines.retain(|(of, line)| of != section || !line.starts_with(&begins));
        self.lines.push((section.to_owned(), format!("{key} = {value}")));
        self
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(&self) {
        let mut sections: Vec<&str> = self.lines.iter().map(|(section, _)| section.as_str()).collect();
        sections.sort_unstable();
        sections.dedup();
        let text: String = sections
            .iter()
            .map(|section| {
                let lines = self.lines.iter().filter(|(of, _)| of == section).map(|(_, line)| format!("{line}\n"));
                format!("[{section}]\n{}\n", lines.collect::<String>())
            })
            .collect();
        fs::write(self.path("reeve.toml"), text).expect("write");
        fs::set_permissions(self.path("reeve.toml"), Permissions::from_mode(0o644)).expect("chmod");
    }

    /// The command that starts the daemon.
    ///
    /// # Panics
    /// If the log can't be made.
    #[must_use]
    pub fn command(&self) -> Command {
        self.write();
        let mut command = Command::new(programs().join("reeve-executor"));
        command.arg("--config").arg(self.path("reeve.toml"));
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
    }

    /// Waits until the log says `word` more than `before` times: the daemon writes it by a thread of its own.
    ///
    /// # Panics
    /// If it never does.
    pub fn wait_for_log(&self, word: &str, before: usize) {
        eventually(word, || self.log().matches(word).count() > before);
    }

    /// What the daemon logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Starts a daemon that must not start, and gives what it ended with.
    ///
    /// # Panics
    /// If it can't be run.
    #[must_use]
    pub fn refused(&self) -> (ExitStatus, String) {
        let status = self.command().status().expect("the executor runs");
        (status, self.log())
    }

    /// Starts the daemon and waits until it says READY=1.
    ///
    /// # Panics
    /// If it doesn't.
    #[must_use]
    pub fn start(self) -> Daemon {
        let command = self.command();
        self.start_by(command)
    }

    /// The same by another command.
    ///
    /// # Panics
    /// If it doesn't get ready.
    #[must_use]
    pub fn start_by(self, mut command: Command) -> Daemon {
        let notify_path = self.path("notify");
        let _ = fs::remove_file(&notify_path);
        let notify = UnixDatagram::bind(&notify_path).expect("a socket");
        notify.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let child = command.env("NOTIFY_SOCKET", &notify_path).spawn().expect("the executor starts");
        let mut daemon = Daemon { setup: self, child, notify };
        daemon.wait_for("READY=1");
        daemon
    }
}

/// A daemon that runs.
#[derive(Debug)]
pub struct Daemon {
    /// Its folder and configuration.
    pub setup: Setup,
    /// The executor.
    pub child: Child,
    notify: UnixDatagram,
}

impl Daemon {
    /// Waits until the daemon says this to the service manager.
    ///
    /// # Panics
    /// If it doesn't.
    pub fn wait_for(&mut self, state: &str) {
        let mut buffer = [0; 4096];
        loop {
            let count = match self.notify.recv(&mut buffer) {
                Ok(count) => count,
                Err(error) => {
                    panic!("no {state}: {error}; {:?}; its log:\n{}", self.child.try_wait(), self.setup.log())
                }
            };
            let said = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned();
            if said.lines().any(|line| line == state) {
                return;
            }
        }
    }

    /// The public socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.setup.path("socket")
    }

    /// Connects.
    ///
    /// # Panics
    /// If it can't.
    #[must_use]
    pub fn connect(&self) -> Wire {
        match Wire::connect(&self.socket()) {
            Ok(wire) => wire,
            Err(error) => panic!("can't connect: {error}; its log:\n{}", self.setup.log()),
        }
    }

    /// Sends one signed request over a connection of its own.
    ///
    /// # Panics
    /// If no answer comes.
    #[must_use]
    pub fn ask(&self, command: &str, params: &Value) -> Value {
        let request = Request::new(command, &params.to_string()).sign(SECRET);
        self.connect().ask(request.as_bytes()).expect("an answer")
    }

    /// The same, for its code alone.
    #[must_use]
    pub fn code(&self, command: &str, params: &Value) -> String {
        code(&self.ask(command, params)).to_owned()
    }

    /// The audit trail.
    #[must_use]
    pub fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.setup.path("audit/audit.log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect()
    }

    /// Sends the executor a signal.
    ///
    /// # Panics
    /// If it can't be sent.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a signal");
    }

    /// The executor's process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(0))
    }

    /// The frontend's process id.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn frontend(&self) -> Pid {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = fs::read_to_string(path).expect("the executor runs");
        Pid::from_raw(children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("the frontend runs"))
    }

    /// Stops it as a service manager would, and waits.
    ///
    /// # Panics
    /// If it can't be waited for.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.child.wait().expect("the executor ends")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the daemon's log:\n{}", self.setup.log());
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // The frontend goes with it: its parent-death signal.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
