//! A program that shows what the start of the frontend gives it, by Reeve's own code; for tests/start.rs.
//!
//! - `show_process UID EMPTY SOCKET` starts itself as the frontend, as that uid, or in a trial run if it is `-`. Then it passes
//!   on what the frontend says, and to the frontend what is said to it;
//! - as `reeve-frontend` it shows its process, closes its cage when it is told to, and shows what that changed;
//! - `show_process cage` closes the cage of a process that nobody has prepared.
use nix::fcntl::{OFlag, open};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;
use nix::unistd::{getpid, getppid, getsid};
use reeve_executor::config::Account;
use reeve_executor::start::{Binary, Frontend, become_frontend, harden};
use reeve_frontend::cage;
use reeve_ipc::message::{Limits, Security, Setup};
use reeve_shared::Policy;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;

type Anything = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = become_frontend(&arguments) {
        return code;
    }
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let result = match words.as_slice() {
        ["reeve-frontend"] => frontend(),
        [_, "cage"] => cage::close(&setup(false)).map(|_| ()).map_err(Into::into),
        [_, uid, empty, socket] => executor(uid, Path::new(empty), Path::new(socket)),
        _ => Err("show_process UID EMPTY SOCKET".into()),
    };
    if let Err(error) = result {
        let _ = writeln!(io::stderr(), "{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn executor(uid: &str, empty: &Path, socket: &Path) -> Result<(), Anything> {
    harden()?;
    let account = match uid {
        "-" => None,
        number => Some(Account { uid: number.parse()?, gid: number.parse()? }),
    };
    let listener = UnixListener::bind(socket)?;
    let binary = Binary::open(Some(std::env::current_exe()?))?;
    let empty = open(empty, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut frontend = Frontend::start(&binary, account, &listener, &empty)?;
    let (mut to, mut from) = (frontend.link.try_clone()?, frontend.link);
    writeln!(io::stdout(), "chroot {}", frontend.chroot)?;
    writeln!(io::stdout(), "missing {}", frontend.missing.join(", "))?;
    to.write_all(&[u8::from(frontend.chroot)])?;
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    io::copy(&mut from, &mut io::stdout())?;
    io::copy(&mut frontend.log, &mut io::stdout())?;
    writeln!(io::stdout(), "ended {}", frontend.child.wait()?)?;
    Ok(())
}

fn frontend() -> Result<(), Anything> {
    let mut link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut chroot = [0];
    link.read_exact(&mut chroot)?;
    let mut status = File::open("/proc/self/status")?;
    let mut text = String::new();
    status.read_to_string(&mut text)?;
    write!(link, "{text}")?;
    writeln!(link, "executor {}", getppid())?;
    writeln!(link, "leader {}", getsid(None)? == getpid())?;
    writeln!(link, "arguments {:?}", std::env::args().collect::<Vec<_>>())?;
    writeln!(link, "environment {:?}", fs::read("/proc/self/environ")?)?;
    writeln!(
        link,
        "folder {}",
        fs::read_dir(".").map_or_else(|error| error.to_string(), |folder| folder.count().to_string())
    )?;
    writeln!(link, "death {:?}", nix::sys::prctl::get_pdeathsig()?)?;
    writeln!(link, "descriptors {:?}", descriptors()?)?;
    writeln!(link, "shown")?;
    let mut order = [0];
    link.read_exact(&mut order)?;
    let separations = cage::close(&setup(chroot == [1]))?;
    status.rewind()?;
    text.clear();
    status.read_to_string(&mut text)?;
    write!(link, "{text}")?;
    writeln!(link, "separations {}", separations.join("; "))?;
    writeln!(link, "reads {:?}", fs::read("/etc/hosts").is_ok())?;
    writeln!(link, "writes {:?}", File::create("/tmp/reeve-show-process").is_ok())?;
    writeln!(link, "threads {:?}", std::thread::Builder::new().spawn(|| ()).is_ok())?;
    writeln!(link, "dumpable {:?}", nix::sys::prctl::get_dumpable()?)?;
    for (name, resource) in [
        ("NPROC", Resource::RLIMIT_NPROC),
        ("FSIZE", Resource::RLIMIT_FSIZE),
        ("CORE", Resource::RLIMIT_CORE),
        ("MEMLOCK", Resource::RLIMIT_MEMLOCK),
        ("NOFILE", Resource::RLIMIT_NOFILE),
    ] {
        writeln!(link, "limit {name} {:?}", getrlimit(resource)?)?;
    }
    writeln!(link, "caged")?;
    writeln!(io::stderr(), "its last line")?;
    // Until the executor ends it, or closes the link.
    link.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// What each descriptor is, but the one that reads them.
fn descriptors() -> io::Result<Vec<String>> {
    let mut all = Vec::new();
    for number in 0..1024 {
        if let Ok(target) = fs::read_link(format!("/proc/self/fd/{number}")) {
            let kind = target.to_string_lossy().split(':').next().unwrap_or_default().to_owned();
            all.push(format!("{number} {kind}"));
        }
    }
    Ok(all)
}

fn setup(chroot: bool) -> Setup {
    Setup {
        policy: Policy::default(),
        security: Security {
            max_request_age_seconds: 60,
            nonce_ttl_seconds: 300,
            rate_limit_requests: 100,
            rate_limit_window_seconds: 60,
        },
        limits: Limits { max_connections: 128, max_message_size: 1 << 20, socket_timeout_seconds: 30 },
        secrets: vec![],
        templates: vec![],
        log_level: "info".to_owned(),
        chroot,
    }
}
