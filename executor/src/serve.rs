//! The serve loop: one thread reads the link, learns who asks, approves, and answers or hands on.
//!
//! It is a function of a socket and a [`Service`], so that tests drive it in their own process.
use crate::{
    Error, audit::Audit, audit::Subject, host::Machine, host::Task, host::file::account::HostAccounts, journal::Entry,
    journal::Journal, journal::Slot, lane::Job, lane::Lanes, lane::Turn, lock::lock, peer::Peer, peer::Peers,
};
use reeve_ipc::blocking::{Reader, Receive, Writer};
use reeve_ipc::frame;
use reeve_ipc::message::{Answer, Ready, Request, Setup, ToExecutor, ToFrontend};
use reeve_shared::command::{Effect, Lane};
use reeve_shared::{AbsolutePath, Approved, Command, Minter, Outcome, Policy, RequestId};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

/// Reloads that the frontend may leave unanswered.
const UNANSWERED: usize = 8;
/// How long a stop waits for what has begun.
pub const DRAIN: Duration = Duration::from_secs(30);
/// How long the frontend may take to close its cage.
const HELLO: Duration = Duration::from_secs(10);

/// What a reload can change.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Who may call, and what is allowed.
    pub policy: Arc<Policy>,
    /// What has not begun after this is turned away.
    pub begin_within: Duration,
    /// The time limit of a command whose row names none.
    pub default_limit: Duration,
}

/// What a reload read anew.
pub struct Proposal {
    /// For the frontend.
    pub setup: Setup,
    /// For this process.
    pub rules: Rules,
    /// What else is to happen if the frontend takes its part; nothing happens if it doesn't.
    pub accepted: Box<dyn FnOnce() + Send>,
}

/// What waits for the frontend's word.
type Proposed = (Rules, Box<dyn FnOnce() + Send>);

/// All that the serve loop and its workers share.
pub struct Service {
    /// The trail.
    pub audit: Audit,
    /// What is under way.
    pub journal: Journal,
    /// The workers.
    pub lanes: Lanes,
    /// The way back to the frontend.
    pub writer: Writer,
    /// The wall clock.
    pub clock: fn() -> SystemTime,
    rules: RwLock<Arc<Rules>>,
    /// Rules that come in force when the frontend has taken its part of them.
    proposed: Mutex<VecDeque<Proposed>>,
    minter: Mutex<Minter<Draw>>,
    /// When a stop that was asked for is no longer waited for.
    drain_by: OnceLock<Instant>,
    pulse: AtomicU64,
}

/// Where randomness comes from.
type Draw = fn(&mut [u8]) -> bool;

impl Service {
    /// Puts the parts together.
    #[must_use]
    pub fn new(audit: Audit, journal: Journal, lanes: Lanes, writer: Writer, rules: Rules) -> Self {
        Self {
            audit,
            journal,
            lanes,
            writer,
            clock: SystemTime::now,
            rules: RwLock::new(Arc::new(rules)),
            proposed: Mutex::new(VecDeque::new()),
            minter: Mutex::new(Minter::new(|bytes| SystemRandom::new().fill(bytes).is_ok())),
            drain_by: OnceLock::new(),
            pulse: AtomicU64::new(0),
        }
    }

    /// Has the frontend take its part of the proposal; if it does, the rest comes in force here. Work that has begun goes on under
    /// the old rules. What is allowed no longer is refused at once, whatever the frontend says.
    ///
    /// # Errors
    /// The setup makes no frame.
    pub fn reload(&self, proposal: Proposal) -> Result<(), Error> {
        let mut frame = zeroize::Zeroizing::new(Vec::new());
        frame::append(&mut frame, &ToFrontend::Reload(Box::new(proposal.setup)))?;
        let old = self.rules();
        let policy = Arc::new(old.policy.and(&proposal.rules.policy));
        self.put_in_force(Rules { policy, ..Rules::clone(&old) });
        if lock(&self.proposed).len() >= UNANSWERED {
            return Err(Error::BrokenRule("it has not answered the last reloads"));
        }
        lock(&self.proposed).push_back((proposal.rules, proposal.accepted));
        self.writer.send_secret(&frame);
        Ok(())
    }

    /// The frontend's word on what [`Service::reload`] proposed.
    fn reloaded(&self, refusal: Option<String>) -> Result<(), Error> {
        let proposed = lock(&self.proposed).pop_front();
        let (rules, accepted) = proposed.ok_or(Error::BrokenRule("it answers a reload that was not"))?;
        if let Some(why) = refusal {
            tracing::error!(
                why,
                "the configuration was not taken; the old one stays in force, but for what the new one forbids"
            );
            return Ok(());
        }
        self.put_in_force(rules);
        accepted();
        tracing::info!("the configuration was read again and is in force");
        Ok(())
    }

    fn put_in_force(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// The rules that are in force.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on the end of the link is what was asked for. `false` if it was already.
    pub fn drain(&self) -> bool {
        let now = Instant::now();
        self.drain_by.set(now.checked_add(DRAIN).unwrap_or(now)).is_ok()
    }

    /// How long what has begun is waited for; `None` as long as nobody has asked for a stop.
    pub fn drain_left(&self) -> Option<Duration> {
        self.drain_by.get().map(|by| by.saturating_duration_since(Instant::now()))
    }

    /// The last number that went round through the frontend's event loop.
    pub fn pulse(&self) -> u64 {
        self.pulse.load(Ordering::Relaxed)
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        lock(&self.minter).bytes().ok_or(Error::NoRandomness)
    }

    /// Approves a request and answers it into `out`, or hands it to its lane.
    fn take(self: &Arc<Self>, request: Request, peers: &Peers, bytes: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let Request { id, connection, command } = request;
        let request_id = RequestId::from_random(self.random()?);
        let rules = self.rules();
        let (row, lane) = (command.row(), command.lane());
        let peer = peers.get(connection);
        let checked = peer.ok_or(Error::NoConnection).and_then(|peer| {
            let approved = Approved::check(command, &rules.policy, &peer.caller())?;
            Ok((approved, Arc::clone(peer)))
        });
        let (approved, peer) = match checked {
            Ok(checked) => checked,
            Err(error) => {
                self.audit.rejected(request_id, row.name, peer.map(|peer| peer.caller()), &error);
                return answer(out, id, request_id, Err(error));
            }
        };
        let limit = row.limit_seconds.map_or(rules.default_limit, Duration::from_secs);
        let now = Instant::now();
        let task = Task {
            request_id,
            caller: peer.caller(),
            policy: Arc::clone(&rules.policy),
            // A limit that no clock can hold is none at all; the configuration bounds it far below.
            deadline: now.checked_add(limit).unwrap_or(now),
            temporary: self.random().map(crate::beneath::TemporaryName::from_random)?,
            clock: self.clock,
        };
        if lane == Lane::Inline {
            return answer(out, id, request_id, act(approved, &task));
        }
        let path = match &lane {
            Lane::Path(path) => Some(path.clone()),
            Lane::Inline => None,
        };
        let service = Arc::clone(self);
        let work = move |turn| {
            let result = service.carry_out(turn, approved, &peer, path, limit, task).map_err(|error| error.code());
            service.writer.send(&ToFrontend::Answer(Answer { id, request_id, result }));
        };
        let begin_by = now.checked_add(rules.begin_within).unwrap_or(now);
        if let Err(job) = self.lanes.submit(Job { lane, begin_by, bytes, work: Box::new(work) }) {
            (job.work)(Turn::Missed);
        }
        Ok(())
    }

    /// Does what a lane's turn has come for.
    fn carry_out(
        &self,
        turn: Turn,
        mut approved: Approved<Command>,
        peer: &Peer,
        path: Option<AbsolutePath>,
        limit: Duration,
        mut task: Task,
    ) -> Result<Outcome, Error> {
        let started = Instant::now();
        task.deadline = started.checked_add(limit).unwrap_or(started);
        let (row, request_id) = (approved.get().row(), task.request_id);
        let begun = self.begin(turn, &mut approved, peer, path, &task).inspect_err(|error| {
            self.audit.rejected(request_id, row.name, Some(task.caller), error);
        })?;
        let result = act(approved, &task);
        if let Err(error) = &result {
            tracing::warn!(%request_id, command = row.name, %error, "not done");
        }
        let Some((subject, under_way)) = begun else { return result };
        let recorded = self.audit.outcome(&subject, result.as_ref().map(|_| ()), started.elapsed());
        if let Err(error) = recorded {
            tracing::error!(%request_id, %error, "an outcome is not recorded");
        }
        under_way.end();
        result
    }

    /// Looks whether a command may begin: not if its turn came too late, or if whoever asked has gone or may ask no more. Then
    /// records that it does, if it changes something.
    fn begin(
        &self,
        turn: Turn,
        approved: &mut Approved<Command>,
        peer: &Peer,
        path: Option<AbsolutePath>,
        task: &Task,
    ) -> Result<Option<(Subject, Slot)>, Error> {
        if turn == Turn::Missed {
            return Err(Error::Busy);
        }
        if peer.has_hung_up() {
            return Err(Error::HungUp);
        }
        self.rules().policy.permit_caller(&task.caller)?;
        if approved.get().row().effect == Effect::Reads {
            return Ok(None);
        }
        approved.resolve(&HostAccounts)?;
        let subject = Subject::new(task.request_id, approved.get(), task.caller);
        let entry = Entry {
            request_id: task.request_id,
            caller: task.caller,
            command: approved.get().row().name.to_owned(),
            path,
            temporary: task.temporary.clone(),
        };
        let under_way = self.journal.begin(&entry)?;
        if let Err(error) = self.audit.intent(&subject) {
            under_way.end();
            return Err(error);
        }
        Ok(Some((subject, under_way)))
    }
}

/// Appends an answer of the reading thread's own.
fn answer(out: &mut Vec<u8>, id: u64, request_id: RequestId, result: Result<Outcome, Error>) -> Result<(), Error> {
    let result = result.map_err(|error| error.code());
    Ok(frame::append(out, &ToFrontend::Answer(Answer { id, request_id, result }))?)
}

/// A defect in one action must not take the others along.
fn act(approved: Approved<Command>, task: &Task) -> Result<Outcome, Error> {
    catch_unwind(AssertUnwindSafe(|| approved.run(&Machine, task))).unwrap_or(Err(Error::Panicked))
}

/// Says hello, and waits for the frontend's: it comes when the frontend's cage is closed.
///
/// # Errors
/// What ended the link, a version that is not ours among it.
pub fn greet(reader: &mut Reader<impl Receive + AsFd>, writer: &Writer, setup: &Setup) -> Result<Ready, Error> {
    let mut hello = zeroize::Zeroizing::new(Vec::new());
    frame::append_hello(&mut hello, setup)?;
    writer.send_secret(&hello);
    loop {
        if let Some(frame) = reader.next_frame()? {
            return Ok(frame::decode_hello(frame)?);
        }
        if !reader.is_ready_within(HELLO)? {
            let silent = io::Error::new(io::ErrorKind::TimedOut, "the frontend did not say hello");
            return Err(reeve_ipc::Error::System(silent).into());
        }
        reader.wait().map_err(|error| writer.take_failure().unwrap_or(error))?;
    }
}

/// Serves the link until it ends. `public` is the path of the public socket.
///
/// # Errors
/// Why the link ended, unless [`Service::drain`] was called before the frontend closed it.
pub fn serve<S: Receive + AsFd>(
    reader: &mut Reader<S>,
    service: &Arc<Service>,
    public: AbsolutePath,
    max_connections: usize,
) -> Result<(), Error> {
    let mut peers = Peers::new(public, max_connections);
    let mut out = Vec::new();
    loop {
        while let Some(bytes) = reader.next_frame()? {
            let length = bytes.len();
            let message: ToExecutor = frame::decode(bytes)?;
            if !message.bounded() {
                return Err(Error::BrokenRule("a text for the log or the record is longer than it may be"));
            }
            match message {
                ToExecutor::Request(request) => service.take(request, &peers, length, &mut out)?,
                ToExecutor::Opened => {
                    let descriptor = reader.take_descriptor()?;
                    peers.open(descriptor, &service.rules().policy)?;
                }
                ToExecutor::Closed(connection) => peers.close(connection)?,
                ToExecutor::Rejected(rejected) => service.audit.rejected_by_frontend(&rejected),
                ToExecutor::Reloaded(refusal) => service.reloaded(refusal)?,
                ToExecutor::Watchdog(pulse) => service.pulse.store(pulse, Ordering::Relaxed),
            }
        }
        if !out.is_empty() {
            service.writer.push_frames(&out);
            service.writer.flush();
            out.clear();
        }
        match reader.wait() {
            Ok(()) => {}
            Err(reeve_ipc::Error::Closed) if service.drain_left().is_some() => return Ok(()),
            Err(error) => return Err(service.writer.take_failure().unwrap_or(error).into()),
        }
    }
}
