//! A frontend that was taken over talks to the executor's end directly: nothing is touched, nothing hangs, the link ends.
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::unistd::{getegid, geteuid};
use reeve_executor::audit::Audit;
use reeve_executor::journal::Journal;
use reeve_executor::lane::{Bounds, Lanes};
use reeve_executor::serve::{Proposal, Rules, Service, greet, serve};
use reeve_executor::{Error, LinkSocket};
use reeve_ipc::blocking::{Reader, Writer};
use reeve_ipc::frame::{Assembler, append, append_hello, decode};
use reeve_ipc::message::{self, Answer, Limits, Ready, Rejected, Request, Security, ToExecutor, ToFrontend};
use reeve_shared::command::{FileChmod, FileDelete, FileMkdir, FileWrite, SystemPing};
use reeve_shared::{
    AbsolutePath, Caller, Command, Content, ErrorCode, FileMode, Group, Layer, Owner, PathPrefix, Policy, RequestId,
    Whitelists,
};
use reeve_tests::daemon::{Setup, programs};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeSet;
use std::fs;
use std::io::{IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

/// An executor's end in this process, and the frontend's side of its link.
struct Executor {
    folder: tempfile::TempDir,
    listener: UnixListener,
    link: UnixStream,
    service: Arc<Service>,
    ended: JoinHandle<Result<(), Error>>,
}

fn path(text: impl AsRef<std::path::Path>) -> AbsolutePath {
    AbsolutePath::try_from(text.as_ref().to_str().unwrap()).unwrap()
}

impl Executor {
    fn start(patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("site")).unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let (link, end) = UnixStream::pair().unwrap();
        link.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let prefix = PathPrefix::try_from(folder.path().join("site").to_str().unwrap().to_owned()).unwrap();
        let whitelists = Whitelists { additional_path_prefixes: BTreeSet::from([prefix]), ..Whitelists::default() };
        let policy = Policy::new(BTreeSet::from([geteuid().as_raw()]), whitelists, vec![]).unwrap();
        let rules = Rules { policy: Arc::new(policy), begin_within: patience, default_limit: Duration::from_secs(60) };
        let audit = fs::File::options().create(true).append(true).open(folder.path().join("audit")).unwrap();
        let audit = Audit::new(path(folder.path().join("audit")), Some(audit));
        let journal = Journal::open(folder.path(), 2).unwrap().journal;
        let lanes = Lanes::new(Bounds { slots: 2, waiting: 256, bytes: 32 << 20 });
        let writer = Writer::new(end.try_clone().unwrap(), patience);
        let service = Arc::new(Service::new(audit, journal, lanes, writer, rules));
        let public = path(folder.path().join("socket"));
        let served = Arc::clone(&service);
        let ended = thread::spawn(move || {
            let mut reader = Reader::new(LinkSocket(end), patience);
            let result = serve(&mut reader, &served, public, 4);
            served.lanes.close(false, Duration::from_secs(60));
            served.writer.shut_down();
            result
        });
        Self { folder, listener, link, service, ended }
    }

    fn say(&mut self, message: &ToExecutor) {
        let mut out = Vec::new();
        append(&mut out, message).unwrap();
        // The link may have ended already.
        let _ = self.link.write_all(&out);
    }

    fn pass(&self, message: &ToExecutor, descriptors: &[OwnedFd]) {
        let mut out = Vec::new();
        append(&mut out, message).unwrap();
        let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        sendmsg::<()>(self.link.as_raw_fd(), &[IoSlice::new(&out)], &rights, MsgFlags::empty(), None).unwrap();
    }

    /// A client's connection: both ends.
    fn connection(&self) -> (UnixStream, OwnedFd) {
        let client = UnixStream::connect(self.folder.path().join("socket")).unwrap();
        (client, self.listener.accept().unwrap().0.into())
    }

    fn open(&self) -> UnixStream {
        let (client, connection) = self.connection();
        self.pass(&ToExecutor::Opened, &[connection]);
        client
    }

    fn request(&mut self, connection: u64, command: Command) -> Answer {
        self.say(&ToExecutor::Request(Request { id: 7, connection, command }));
        let mut assembler = Assembler::default();
        loop {
            while let Some(frame) = assembler.next_frame().unwrap() {
                match decode(frame).unwrap() {
                    ToFrontend::Answer(answer) => return answer,
                    ToFrontend::Reload(_) => {}
                    other => panic!("not an answer: {other:?}"),
                }
            }
            let count = self.link.read(assembler.space()).unwrap();
            assert!(count > 0, "the link ended");
            assembler.filled(count);
        }
    }

    /// Why the link ended.
    fn end(self) -> String {
        let result = self.ended.join().expect("no panic");
        result.expect_err("a link that ends so is an error").to_string()
    }
}

fn ping() -> Command {
    Command::SystemPing(SystemPing {})
}

fn wire(message: &ToExecutor) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, message).unwrap();
    out
}

fn request(connection: u64) -> ToExecutor {
    ToExecutor::Request(Request { id: 7, connection, command: ping() })
}

#[test]
fn every_kind_of_bad_frame_ends_the_link_by_its_name() {
    let good = wire(&request(0));
    let mut trailing = good.clone();
    trailing.push(0);
    trailing[..4].copy_from_slice(&u32::try_from(good.len() - 3).unwrap().to_le_bytes());
    let mut unknown = good.clone();
    unknown[4] = 0xee;
    let mut forbidden = wire(&ToExecutor::Request(Request {
        id: 0,
        connection: 0,
        command: Command::FileDelete(FileDelete { path: AbsolutePath::try_from("/home/xx").unwrap() }),
    }));
    // The path becomes /home/.. : bincode bytes can't smuggle an ill-formed one in.
    let at = forbidden.windows(2).position(|two| two == b"xx").unwrap();
    forbidden[at..at + 2].copy_from_slice(b"..");
    let long_name = wire(&ToExecutor::Rejected(Rejected {
        request_id: RequestId::from_random([0; 16]),
        peer: Caller { uid: 0, gid: 0, pid: 0 },
        layer: Layer::Nonce,
        code: ErrorCode::AuthError,
        command: Some("x".repeat(Rejected::MAX_NAME + 1)),
        left_out: 0,
    }));
    for (bytes, word) in [
        (u32::MAX.to_le_bytes().to_vec(), "longer than allowed"),
        (vec![0; 4], "0 bytes"),
        (trailing, "malformed"),
        (unknown, "malformed"),
        (forbidden, "malformed"),
        (long_name, "broke the link's rules"),
        (wire(&ToExecutor::Reloaded(None)), "broke the link's rules"),
        (wire(&ToExecutor::Opened), "without the descriptor"),
        (wire(&ToExecutor::Closed(0)), "before it was opened"),
    ] {
        let mut executor = Executor::start(PATIENCE);
        let _ = executor.link.write_all(&bytes);
        let why = executor.end();
        assert!(why.contains(word), "{word:?} is not in {why:?}");
    }
    let mut executor = Executor::start(PATIENCE);
    executor.link.write_all(&good[..good.len() - 1]).unwrap();
    executor.link.shutdown(Shutdown::Write).unwrap();
    assert!(executor.end().contains("within a frame"));
    let executor = Executor::start(PATIENCE);
    executor.link.shutdown(Shutdown::Write).unwrap();
    assert!(executor.end().contains("closed the link"));
}

#[test]
fn random_frames_by_the_thousand_end_in_an_error_and_touch_nothing() {
    let random = SystemRandom::new();
    for round in 0..3000_usize {
        let mut executor = Executor::start(PATIENCE);
        let mut body = vec![0; 1 + round % 300];
        random.fill(&mut body).unwrap();
        if round % 2 == 0 {
            // A known kind of message with the rest at random.
            body[0] = u8::try_from(round / 2 % 6).unwrap();
            body.iter_mut().skip(1).take(3).for_each(|byte| *byte = 0);
        }
        let mut out = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        out.extend_from_slice(&body);
        let _ = executor.link.write_all(&out);
        let _ = executor.link.shutdown(Shutdown::Write);
        let site = executor.folder.path().join("site");
        assert!(executor.ended.join().expect("no panic").is_err());
        assert_eq!(fs::read_dir(site).unwrap().count(), 0);
    }
}

#[test]
fn a_hello_of_another_version_is_refused() {
    for (version, word) in [(None, "ok"), (Some(0xff), "version")] {
        let (mut link, end) = UnixStream::pair().unwrap();
        let mut hello = Vec::new();
        append_hello(&mut hello, &Ready { separations: vec![] }).unwrap();
        if let Some(version) = version {
            hello[4] = version;
        }
        link.write_all(&hello).unwrap();
        let writer = Writer::new(end.try_clone().unwrap(), PATIENCE);
        let setup = reeve_ipc::message::Setup {
            policy: Policy::default(),
            security: Security {
                max_request_age_seconds: 60,
                nonce_ttl_seconds: 300,
                rate_limit_requests: 1,
                rate_limit_window_seconds: 1,
            },
            limits: Limits { max_connections: 2, max_message_size: 1024, socket_timeout_seconds: 1 },
            secrets: vec![],
            templates: vec![],
            log_level: "info".to_owned(),
            chroot: false,
        };
        let result = greet(&mut Reader::new(LinkSocket(end), PATIENCE), &writer, &setup);
        let said = result.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn listener_as_connection_is_refused() {
    let executor = Executor::start(PATIENCE);
    executor.pass(&ToExecutor::Opened, &[executor.listener.try_clone().unwrap().into()]);
    assert!(executor.end().contains("listener"));
}

#[test]
fn link_end_as_connection_is_refused() {
    let executor = Executor::start(PATIENCE);
    executor.pass(&ToExecutor::Opened, &[executor.link.try_clone().unwrap().into()]);
    assert!(executor.end().contains("public path"));
}

#[test]
fn surplus_descriptors_end_the_link() {
    let executor = Executor::start(PATIENCE);
    let ((_first, one), (_second, two)) = (executor.connection(), executor.connection());
    executor.pass(&ToExecutor::Opened, &[one, two]);
    assert!(executor.end().contains("descriptor"));
    let executor = Executor::start(PATIENCE);
    let (_client, connection) = executor.connection();
    executor.pass(&request(0), &[connection]);
    assert!(executor.end().contains("no frame takes"));
    let executor = Executor::start(PATIENCE);
    let many: Vec<OwnedFd> = (0..40).map(|_| executor.listener.try_clone().unwrap().into()).collect();
    executor.pass(&ToExecutor::Opened, &many);
    assert!(executor.end().contains("no frame takes"));
}

#[test]
fn closed_connection_gives_no_identity() {
    let mut executor = Executor::start(PATIENCE);
    let file = executor.folder.path().join("site/file");
    fs::write(&file, "x").unwrap();
    let delete = || Command::FileDelete(FileDelete { path: path(&file) });
    assert_eq!(executor.request(0, delete()).result, Err(ErrorCode::AuthError), "never opened");
    let client = executor.open();
    drop(client);
    assert_eq!(executor.request(0, delete()).result, Err(ErrorCode::Busy), "the client has gone");
    assert!(file.exists());
    let _client = executor.open();
    assert!(executor.request(1, ping()).result.is_ok());
    executor.say(&ToExecutor::Closed(1));
    assert_eq!(executor.request(1, delete()).result, Err(ErrorCode::AuthError), "closed");
    assert!(file.exists());
    let _client = executor.open();
    assert!(executor.request(2, delete()).result.is_ok());
    assert!(!file.exists());
}

#[test]
fn what_the_policy_forbids_is_answered_recorded_and_not_done() {
    let mut executor = Executor::start(PATIENCE);
    let _client = executor.open();
    let (outside, site) = (executor.folder.path().join("outside"), executor.folder.path().join("site"));
    fs::write(&outside, "x").unwrap();
    let mode = FileMode::try_from("0666").unwrap();
    let content = || Content::try_from("owned".to_owned()).unwrap();
    let write = |target| {
        Command::FileWrite(FileWrite {
            path: target,
            content: content(),
            owner: Some(Owner::Id(geteuid().as_raw())),
            group: Some(Group(Owner::Id(getegid().as_raw()))),
            mode: Some(mode),
        })
    };
    for command in [
        write(path(&outside)),
        write(path("/etc/shadow")),
        write(path(site.join(".ssh/authorized_keys"))),
        Command::FileDelete(FileDelete { path: path(&outside) }),
        Command::FileChmod(FileChmod { path: path(&outside), mode, recursive: true }),
        Command::FileMkdir(FileMkdir {
            path: path("/etc/cron.d/x"),
            owner: None,
            group: None,
            mode: None,
            recursive: true,
        }),
    ] {
        assert_eq!(executor.request(0, command).result, Err(ErrorCode::ValidationError));
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "x");
    let trail = fs::read_to_string(executor.folder.path().join("audit")).unwrap();
    assert_eq!(trail.matches(r#""record":"rejected","source":"executor""#).count(), 6, "{trail}");
    assert!(!trail.contains("intent") && !trail.contains("owned"));
    assert!(executor.request(0, write(path(site.join("file")))).result.is_ok());
    assert_eq!(fs::read_to_string(site.join("file")).unwrap(), "owned");
}

/// A reload of nothing but the policy, which the frontend is not to take.
fn proposal(executor: &Executor, policy: Policy) -> Proposal {
    let rules = Rules { policy: Arc::new(policy.clone()), ..Rules::clone(&executor.service.rules()) };
    let setup = message::Setup {
        policy,
        security: Security {
            max_request_age_seconds: 60,
            nonce_ttl_seconds: 300,
            rate_limit_requests: 100,
            rate_limit_window_seconds: 60,
        },
        limits: Limits { max_connections: 4, max_message_size: 1 << 20, socket_timeout_seconds: 30 },
        secrets: vec![],
        templates: vec![],
        log_level: "info".to_owned(),
        chroot: false,
    };
    Proposal { setup, rules, accepted: Box::new(|| panic!("it was refused")) }
}

fn nobody() -> Policy {
    Policy::new(BTreeSet::new(), Whitelists::default(), vec![]).unwrap()
}

#[test]
fn a_reload_takes_away_at_once_whatever_the_frontend_says() {
    let mut executor = Executor::start(PATIENCE);
    let _client = executor.open();
    assert!(executor.request(0, ping()).result.is_ok());
    executor.service.reload(proposal(&executor, nobody())).unwrap();
    assert_eq!(executor.request(0, ping()).result, Err(ErrorCode::AuthError), "before its word");
    executor.say(&ToExecutor::Reloaded(Some("no".to_owned())));
    assert_eq!(executor.request(0, ping()).result, Err(ErrorCode::AuthError), "after it");
}

#[test]
fn a_frontend_that_answers_no_reload_keeps_nothing_from_being_taken_away() {
    let mut executor = Executor::start(PATIENCE);
    let _client = executor.open();
    let same = Policy::clone(&executor.service.rules().policy);
    while executor.service.reload(proposal(&executor, same.clone())).is_ok() {}
    assert!(executor.request(0, ping()).result.is_ok());
    let error = executor.service.reload(proposal(&executor, nobody())).unwrap_err();
    assert!(error.to_string().contains("not answered"), "{error}");
    assert_eq!(executor.request(0, ping()).result, Err(ErrorCode::AuthError));
}

#[test]
fn a_frame_begun_and_not_finished_ends_the_link() {
    let mut executor = Executor::start(Duration::from_millis(50));
    executor.link.write_all(&wire(&request(0))[..9]).unwrap();
    assert!(executor.end().contains("not finished"));
}

#[test]
fn frontend_that_never_reads_ends_the_link() {
    let executor = Executor::start(Duration::from_millis(50));
    let _client = executor.open();
    let mut frontend = executor.link.try_clone().unwrap();
    let writer = thread::spawn(move || while frontend.write_all(&wire(&request(0)).repeat(100)).is_ok() {});
    let why = executor.end();
    assert!(why.contains("not taken"), "{why}");
    writer.join().unwrap();
}

#[test]
fn hundreds_of_thousands_of_frames_are_answered_one_by_one() {
    let mut executor = Executor::start(PATIENCE);
    let _client = executor.open();
    let total = 200_000;
    let mut frontend = executor.link.try_clone().unwrap();
    let writer = thread::spawn(move || {
        (0..total / 100).for_each(|_| frontend.write_all(&wire(&request(0)).repeat(100)).unwrap())
    });
    let (mut assembler, mut answers) = (Assembler::default(), 0);
    while answers < total {
        while let Some(frame) = assembler.next_frame().unwrap() {
            assert!(matches!(decode(frame).unwrap(), ToFrontend::Answer(Answer { id: 7, result: Ok(_), .. })));
            answers += 1;
        }
        if answers < total {
            let count = executor.link.read(assembler.space()).unwrap();
            assembler.filled(count);
        }
    }
    writer.join().unwrap();
}

#[test]
fn a_real_executor_ends_with_70_and_takes_a_hostile_frontend_along() {
    for (mode, word) in [
        ("garbage", "longer than allowed"),
        ("too long", "longer than allowed"),
        ("trailing", "malformed"),
        ("old", "version"),
        ("opened without a descriptor", "without the descriptor"),
        ("a reload that was not", "broke the link's rules"),
        ("begun and not finished", "not finished"),
        ("never reads", "not taken"),
        ("exit", "closed the link"),
        ("leaves its log to another", "closed the link"),
        ("leaves its link to another", "the link to the frontend ended"),
    ] {
        let setup = Setup::new();
        fs::create_dir(setup.path("templates")).unwrap();
        fs::write(setup.path("templates/mode"), mode).unwrap();
        let mut command = setup.command();
        command.arg("--frontend").arg(programs().join("hostile"));
        let begun = Instant::now();
        let status = command.status().unwrap();
        let log = setup.log();
        assert!(begun.elapsed() < Duration::from_secs(50), "{mode}: it waited for somebody else: {log}");
        assert!(log.contains(word), "{mode}: {word:?} is not in:\n{log}");
        assert_eq!(status.code(), Some(70), "{mode}: {log}");
        let trail = fs::read_to_string(setup.path("audit/audit.log")).unwrap();
        assert!(trail.contains(r#""record":"link_ended""#), "{mode}: {trail}");
    }
}
