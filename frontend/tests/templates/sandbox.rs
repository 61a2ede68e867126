//! Namespaces of one test's own: its network (so port 80 is free), its processes (so none outlives it), and its mounts (so logs,
//! sites, homes and accounts are the test's, and the host's are untouched).
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sendto, socket};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const INSIDE: &str = "REEVE_TEST_SANDBOX";

/// Runs the body of the test `name` in a sandbox: the test's own binary, a second time.
pub(crate) fn sandboxed(name: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        furnish();
        return body();
    }
    if !nix::unistd::Uid::effective().is_root() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} needs root");
        eprintln!("{name}: skipped: needs root");
        return;
    }
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Empty folders over the host's, accounts for the tenants, and a loopback interface that is up.
fn furnish() {
    let redis = fs::metadata("/var/lib/redis").expect("redis-server is not installed: apt-get install redis-server");
    for folder in [
        "/run",
        "/var/log",
        "/var/www",
        "/home",
        "/var/lib/redis",
        "/etc/nginx/sites-enabled",
        "/etc/nginx/conf.d",
        "/etc/ssl/certs",
    ] {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0755", "reeve-test", folder])).unwrap();
    }
    for folder in ["/var/log/nginx", "/var/log/redis", "/run/php", "/run/redis"] {
        fs::create_dir(folder).unwrap();
    }
    for folder in ["/var/lib/redis", "/var/log/redis", "/run/redis"] {
        chown(folder, Some(redis.uid()), Some(redis.gid())).unwrap();
    }
    // What Reeve's package ships beside nginx.
    fs::write("/etc/nginx/conf.d/reeve.conf", "server_names_hash_bucket_size 512;\n").unwrap();
    let names = [(ANN.name, ANN.id), (BOB.name, BOB.id), ("on", 12003), ("none", 12004)];
    for (file, rest) in [("passwd", "::/nonexistent:/usr/sbin/nologin"), ("group", "")] {
        let mut text = fs::read_to_string(format!("/etc/{file}")).unwrap();
        for (name, id) in names {
            let group = if file == "group" { ":".to_owned() } else { format!(":{id}{rest}") };
            text.push_str(&format!("{name}:x:{id}{group}\n"));
        }
        fs::write(format!("/run/{file}"), text).unwrap();
        run(Command::new("mount").args(["--bind", &format!("/run/{file}"), &format!("/etc/{file}")])).unwrap();
    }
    loopback_up();
}

/// RTM_NEWLINK with IFF_UP for interface 1, which is the loopback one in every network namespace (rtnetlink(7)).
fn loopback_up() {
    let mut message = Vec::new();
    message.extend(32_u32.to_ne_bytes()); // nlmsghdr: length
    message.extend(16_u16.to_ne_bytes()); // RTM_NEWLINK
    message.extend(1_u16.to_ne_bytes()); // NLM_F_REQUEST
    message.extend([0; 8]); // sequence, port
    message.extend([0; 4]); // ifinfomsg: family, padding, type
    message.extend(1_i32.to_ne_bytes()); // index
    message.extend(1_u32.to_ne_bytes()); // flags: IFF_UP
    message.extend(1_u32.to_ne_bytes()); // change: IFF_UP
    let route =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute).unwrap();
    sendto(route.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty()).unwrap();
}

/// Runs a command to its end: what it said, as an error if it failed. A daemon that it leaves behind holds a file, not a pipe.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let said = tempfile::NamedTempFile::new().unwrap();
    let (out, err) = (said.reopen().unwrap(), fs::OpenOptions::new().append(true).open(said.path()).unwrap());
    let status = command.stdin(Stdio::null()).stdout(out).stderr(err).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&fs::read(said.path()).unwrap()).into_owned();
    if status.success() { Ok(text) } else { Err(format!("{command:?}: {status}: {text}")) }
}

/// Looks again and again until it is so.
pub(crate) fn wait_for(what: &str, so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An account of the sandbox.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) id: u32,
}
/// One tenant.
pub(crate) const ANN: Account = Account { name: "ann", id: 12001 };
/// Another tenant.
pub(crate) const BOB: Account = Account { name: "bob", id: 12002 };

/// A tenant with a home and a document root in it, both its own and readable by all.
pub(crate) struct Tenant(Account);

impl Tenant {
    pub(crate) fn new(account: Account) -> Self {
        let tenant = Self(account);
        tenant.folder(&format!("/home/{}/public", account.name));
        tenant
    }

    /// A file in the document root.
    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        chown(&path, Some(self.0.id), Some(self.0.id)).unwrap();
    }

    /// A link in the document root, the tenant's own.
    pub(crate) fn link(&self, name: &str, target: &str) {
        self.link_at(&self.path(name), target);
    }

    /// A link anywhere, the tenant's own.
    pub(crate) fn link_at(&self, path: &str, target: &str) {
        symlink(target, path).unwrap();
        lchown(path, Some(self.0.id), Some(self.0.id)).unwrap();
    }

    fn path(&self, name: &str) -> String {
        let path = format!("/home/{}/public/{name}", self.0.name);
        self.folder(path.rsplit_once('/').unwrap().0);
        path
    }

    fn folder(&self, path: &str) {
        let mut sofar = "/home".to_owned();
        for component in path.strip_prefix("/home/").unwrap().split('/') {
            sofar = format!("{sofar}/{component}");
            if fs::create_dir(&sofar).is_ok() {
                chown(&sofar, Some(self.0.id), Some(self.0.id)).unwrap();
            }
        }
    }
}
