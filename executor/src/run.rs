//! The daemon, from its arguments to its exit status.
use crate::{
    Error, audit::Audit, beneath, config::Loaded, error::OrFailed, host::file, journal::Journal, journal::Opened,
    lane::Bounds, lane::Lanes, lock::lock, log, serve::DRAIN, serve::Proposal, serve::Rules, serve::Service,
    serve::greet, serve::serve, start, start::Binary, start::Folders, start::Frontend, start::Passed, start::Process,
    start::PublicSocket, supervise::block_signals, supervise::notify, supervise::supervise, sys::LinkSocket,
};
use nix::unistd::geteuid;
use reeve_ipc::blocking::{PATIENCE, Reader, Writer};
use reeve_shared::{AbsolutePath, Policy};
use sd_notify::NotifyState;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// EX_SOFTWARE (sysexits.h): the link to the frontend ended, and nobody had asked for it.
const LINK_ENDED: u8 = 70;
/// EX_USAGE (sysexits.h).
const USAGE: u8 = 64;
/// Commands that wait, and the bytes that they hold.
const WAITING: usize = 256;
const WAITING_BYTES: usize = 32 << 20;
/// More than commands can be at work.
const JOURNAL_SLOTS: usize = 512;

const HELP: &str = "\
reeve-executor: Reeve's root process. It starts reeve-frontend itself.

usage: reeve-executor [--config FILE] [--frontend PATH]

  --config FILE    the configuration [/etc/reeve/reeve.toml]
  --frontend PATH  the frontend's program [reeve-frontend, beside this one]
  --help, --version

SIGHUP reads configuration, secret and templates again; SIGTERM and SIGINT finish what has begun and stop.
";

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    config: PathBuf,
    frontend: Option<PathBuf>,
}

impl Arguments {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// The exit status, and what to say instead of running.
    pub fn read(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, (u8, String)> {
        let wrong = |why: String| (USAGE, format!("reeve-executor: {why}\n"));
        let mut read = Self { config: "/etc/reeve/reeve.toml".into(), frontend: None };
        while let Some(argument) = arguments.next() {
            let mut path = || {
                let path = arguments.next().map(PathBuf::from);
                path.ok_or_else(|| wrong(format!("{} needs a path", argument.to_string_lossy())))
            };
            match argument.to_str() {
                Some("--config") => read.config = path()?,
                Some("--frontend") => read.frontend = Some(path()?),
                Some("--help") => return Err((0, HELP.to_owned())),
                Some("--version") => return Err((0, format!("reeve-executor {}\n", env!("CARGO_PKG_VERSION")))),
                _ => return Err(wrong(format!("unknown argument {argument:?}; --help lists what there is"))),
            }
        }
        Ok(read)
    }
}

/// Says what is said instead of running.
#[must_use]
pub fn say(status: u8, text: &str) -> ExitCode {
    // Where it can't be said nobody listens.
    let _ = if status == 0 {
        std::io::stdout().write_all(text.as_bytes())
    } else {
        std::io::stderr().write_all(text.as_bytes())
    };
    ExitCode::from(status)
}

/// Runs the daemon until it ends.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    log::begin();
    match daemon(arguments) {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error @ (Error::Link(_) | Error::NotAConnection(_) | Error::BrokenRule(_))) => {
            tracing::error!(%error, "ended");
            ExitCode::from(LINK_ENDED)
        }
        Err(error) => {
            tracing::error!(%error, "not started");
            ExitCode::FAILURE
        }
    }
}

fn daemon(arguments: Arguments) -> Result<(), Error> {
    start::harden()?;
    let passed = Passed::take()?;
    beneath::probe()?;
    let loaded = Loaded::read(&arguments.config)?;
    log::configure(loaded.config.logging.level, loaded.config.logging.format);
    let binary = Binary::open(arguments.frontend)?;
    let binaries = [binary.path.clone(), binary.own_path.clone()];
    let policy = loaded.config.policy(&loaded.file, &binaries)?;
    let paths = &loaded.config.paths;
    let folders = Folders::take(&paths.state_dir, &paths.run_dir)?;
    start::make_room(&loaded.config.limits)?;
    let audit = Audit::open(&loaded.config.audit)?;
    let journal = recover(&paths.state_dir, &policy, &audit)?;
    let socket = PublicSocket::open(passed, &loaded.config.socket)?;
    let signals = block_signals()?;
    // Before the first thread, and by the one that ends last: the frontend ends with the thread that started it.
    let Frontend { child, link, log, chroot, missing } =
        Frontend::start(&binary, loaded.account, &socket.listener, &folders.empty)?;
    let process = Process::watch(child, log)?;
    for missing in missing {
        tracing::warn!("not in force: {missing} for the frontend; that needs root");
    }
    let writer = Writer::new(link.try_clone().or_system("can't take up the link")?, PATIENCE);
    let mut reader = Reader::new(LinkSocket(link), PATIENCE);
    let setup = loaded.setup(policy.clone(), chroot);
    let ready = greet(&mut reader, &writer, &setup).inspect_err(|error| audit.link_ended(error))?;
    drop(setup);
    tracing::info!(separations = ready.separations.join(", "), "the frontend's cage is closed");
    let limits = &loaded.config.limits;
    let (slots, connections) = (count(limits.max_concurrent_requests), count(limits.max_connections));
    let lanes = Lanes::new(Bounds { slots, waiting: WAITING, bytes: WAITING_BYTES });
    let public = loaded.config.socket.path.clone();
    let service = Arc::new(Service::new(audit, journal, lanes, writer, rules(&loaded, policy)));
    let supervised = Arc::clone(&service);
    let (current, reloaded) = (Arc::new(Mutex::new(loaded)), Arc::clone(&service));
    let gone = process.ended();
    let reload = move || read_again(&current, &binaries, chroot, &reloaded);
    thread::Builder::new()
        .name("supervisor".to_owned())
        .spawn(move || supervise(&supervised, &signals, gone, reload))
        .or_system("can't make a thread")?;
    tracing::info!(uid = geteuid().as_raw(), socket = %public, version = env!("CARGO_PKG_VERSION"), "serving");
    notify(NotifyState::Ready);
    let ended = serve(&mut reader, &service, public, connections);
    let left = service.drain_left().unwrap_or(DRAIN);
    if !service.lanes.close(ended.is_ok() && !left.is_zero(), left) {
        tracing::error!("work that had begun is not finished after {DRAIN:?}; its outcome is unknown");
    }
    if let Err(error) = &ended {
        service.audit.link_ended(error);
    }
    ended
}

/// Cleans up after a crash: what was under way has an outcome that nobody knows, and left temporary files.
fn recover(state_dir: &AbsolutePath, policy: &Policy, audit: &Audit) -> Result<Journal, Error> {
    let Opened { journal, under_way, unreadable } = Journal::open(state_dir.as_str().as_ref(), JOURNAL_SLOTS)?;
    if unreadable > 0 {
        tracing::warn!(unreadable, "entries of the journal can't be read; what they were about is unknown");
    }
    for (entry, slot) in under_way {
        tracing::warn!(request_id = %entry.request_id, command = entry.command, "its outcome is unknown: it was under way at a crash");
        if let Err(error) = file::remove_leftovers(&entry, policy) {
            tracing::warn!(request_id = %entry.request_id, %error, "its temporary files may still be there");
        }
        audit.outcome_unknown(entry.request_id, &entry.command, entry.caller)?;
        slot.end();
    }
    Ok(journal)
}

fn rules(loaded: &Loaded, policy: Policy) -> Rules {
    let limits = &loaded.config.limits;
    Rules {
        policy: Arc::new(policy),
        begin_within: Duration::from_secs(limits.socket_timeout_seconds),
        default_limit: Duration::from_secs(limits.default_timeout_seconds),
    }
}

/// Reads everything again, for [`Service::reload`] to propose. What comes in force here does so when the frontend has taken its
/// part.
fn read_again(
    current: &Arc<Mutex<Loaded>>,
    binaries: &[AbsolutePath],
    chroot: bool,
    service: &Arc<Service>,
) -> Result<Proposal, Error> {
    let loaded = lock(current).read_again()?;
    let policy = loaded.config.policy(&loaded.file, binaries)?;
    start::make_room(&loaded.config.limits)?;
    let audit = Audit::open(&loaded.config.audit)?;
    let (setup, rules) = (loaded.setup(policy.clone(), chroot), rules(&loaded, policy));
    let (service, current) = (Arc::clone(service), Arc::clone(current));
    let accepted = move || {
        service.audit.go_on_in(audit);
        service.lanes.set_slots(count(loaded.config.limits.max_concurrent_requests));
        log::configure(loaded.config.logging.level, loaded.config.logging.format);
        *lock(&current) = loaded;
    };
    Ok(Proposal { setup, rules, accepted: Box::new(accepted) })
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let read = |line: &str| Arguments::read(line.split_whitespace().map(OsString::from));
        assert_eq!(read(""), Ok(Arguments { config: "/etc/reeve/reeve.toml".into(), frontend: None }));
        assert_eq!(read("--config a --frontend b"), Ok(Arguments { config: "a".into(), frontend: Some("b".into()) }));
        assert!(matches!(read("--help"), Err((0, text)) if text.contains("--config")));
        for bad in ["--config", "--conf a", "a", "--config a --frontend"] {
            assert!(matches!(read(bad), Err((USAGE, _))), "{bad}");
        }
    }
}
