//! The frontend's state, shared by all tasks of its one thread: who is connected, what is in flight, what the gate remembers.
use crate::accept;
use crate::answer;
use crate::by_uid::ByUid;
use crate::connection::{Connection, READ};
use crate::error::Error;
use crate::frame::HEADER;
use crate::gate::{Gate, Refusal};
use crate::in_flight::InFlight;
use crate::link::{self, Link};
use crate::memory::Memory;
use crate::prepare::{self, Templates};
use reeve_ipc::message::{Answer, Limits, Rejected, Request, Setup, ToExecutor};
use reeve_shared::command::{FileWriteTemplate, MetricsRequest, SystemMetrics, TemplateRequest};
use reeve_shared::{Approved, Caller, Command, ErrorCode, Flood, Layer, Minter, Policy, Prepare, RequestId};
use ring::rand::{SecureRandom, SystemRandom};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::spawn_local;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often idle and slow connections are looked for.
const SWEEP: Duration = Duration::from_millis(250);
/// Refusals that are logged and passed on for the record at once, and how often one more is.
const BURST: u32 = 100;
const EVERY: Duration = Duration::from_secs(1);

/// The server, as its tasks hold it. No borrow lives across an await.
pub(crate) type SharedServer = Rc<RefCell<Server>>;

/// A command that the executor has.
struct Pending {
    connection: Rc<Connection>,
    nonce: String,
}

/// A refusal, as it is answered, logged and recorded.
struct Refused<'a> {
    layer: Layer,
    code: ErrorCode,
    /// The command's name, or the beginning of what was sent for one: at most [`Rejected::MAX_NAME`] bytes.
    command: Option<&'a str>,
    reason: &'a dyn Display,
}

/// What becomes of a client that has just connected.
pub(crate) enum Welcome {
    /// It is served.
    Serve(Rc<Connection>),
    /// It is told why not.
    Refuse(UnixStream, RequestId, ErrorCode),
}

/// The state.
pub(crate) struct Server {
    gate: Gate,
    templates: Templates,
    policy: Policy,
    limits: Limits,
    /// The way to the executor.
    pub(crate) link: Link,
    in_flight: InFlight<Pending>,
    connections: HashMap<u64, Rc<Connection>>,
    next_connection: u64,
    counters: Counters,
    /// What clients hold of it.
    pub(crate) memory: Memory,
    /// How many connections each uid has.
    open: ByUid,
    minter: Minter<fn(&mut [u8]) -> bool>,
    flood: Flood,
    started: Instant,
    draining: bool,
    /// One buffer for the reads of all connections.
    pub(crate) scratch: Vec<u8>,
    /// Connections whose client has to be waited for.
    slow: Vec<u64>,
    fatal: Option<Error>,
}

#[derive(Default)]
struct Counters {
    requests: u64,
    failed: u64,
}

fn draw(bytes: &mut [u8]) -> bool {
    SystemRandom::new().fill(bytes).is_ok()
}

impl Server {
    fn new(setup: &Setup) -> Result<Self, Error> {
        Ok(Self {
            gate: Gate::new(setup),
            templates: Templates::new(&setup.templates)?,
            policy: setup.policy.clone(),
            limits: setup.limits,
            link: Link::default(),
            in_flight: InFlight::new(),
            connections: HashMap::new(),
            next_connection: 0,
            counters: Counters::default(),
            memory: Memory::new(size(setup.limits.max_connections), largest_frame(setup.limits)),
            open: ByUid::default(),
            minter: Minter::new(draw),
            flood: Flood::new(BURST, EVERY),
            started: Instant::now(),
            draining: false,
            scratch: vec![0; READ],
            slow: Vec::new(),
            fatal: None,
        })
    }

    /// The time, as this process's tasks see it.
    pub(crate) fn now(&self) -> Instant {
        Instant::now()
    }

    pub(crate) fn max_message_size(&self) -> usize {
        size(self.limits.max_message_size)
    }

    pub(crate) fn socket_timeout(&self) -> Duration {
        Duration::from_secs(self.limits.socket_timeout_seconds)
    }

    fn mint(&mut self) -> RequestId {
        // Without randomness nothing goes on: the event loop ends at once, and this id is seen by nobody.
        self.minter.mint().unwrap_or_else(|| {
            self.fatal = Some(Error::NoRandomness);
            RequestId::from_random([0; 16])
        })
    }

    /// Decides on a client that has just connected, and tells the executor of one that is served.
    pub(crate) fn welcome(&mut self, caller: Caller, stream: UnixStream) -> Welcome {
        let most = size(self.limits.max_connections);
        let refused = if self.policy.permit_caller(&caller).is_err() {
            Some((Layer::Peer, ErrorCode::AuthError, "the uid is not in security.allowed_uids"))
        } else if self.draining || self.connections.len() >= most || self.open.of(caller.uid) >= most / 2 {
            Some((
                Layer::Connection,
                ErrorCode::Busy,
                "the uid holds half of limits.max_connections, or all are in use",
            ))
        } else {
            None
        };
        if let Some((layer, code, reason)) = refused {
            let request_id = self.mint();
            self.record(request_id, caller, &Refused { layer, code, command: None, reason: &reason });
            return Welcome::Refuse(stream, request_id, code);
        }
        let Ok(descriptor) = stream.try_clone() else {
            return Welcome::Refuse(stream, self.mint(), ErrorCode::Busy);
        };
        let number = self.next_connection;
        self.next_connection = self.next_connection.saturating_add(1);
        self.link.send_with(&ToExecutor::Opened, OwnedFd::from(descriptor));
        let connection = Rc::new(Connection::new(number, caller, stream, self.now()));
        self.connections.insert(number, Rc::clone(&connection));
        self.open.change(caller.uid, 0, 1);
        Welcome::Serve(connection)
    }

    /// Forgets a connection that is over.
    pub(crate) fn leave(&mut self, connection: &Connection) {
        self.connections.remove(&connection.number);
        self.open.change(connection.caller.uid, 1, 0);
        self.memory.forget(connection.number);
        connection.let_go(self);
        self.link.send(&ToExecutor::Closed(connection.number));
    }

    /// Whether more may be read for `uid` by a connection without a grant.
    pub(crate) fn may_read(&self, uid: u32) -> bool {
        self.memory.may_read(uid, self.link.waiting())
    }

    /// Gives the connections that are next the room that they asked for.
    pub(crate) fn grant(&mut self) {
        while let Some(number) = self.memory.grant(self.link.waiting()) {
            // Who leaves takes his wish back.
            if let Some(connection) = self.connections.get(&number) {
                connection.granted(self.now());
            }
        }
    }

    /// Has a task wait for a client that is slow to read.
    pub(crate) fn write_later(&mut self, connection: u64) {
        self.slow.push(connection);
        self.link.wake();
    }

    /// The connections that are to be waited for, each once.
    pub(crate) fn take_slow(&mut self) -> Vec<Rc<Connection>> {
        let slow = std::mem::take(&mut self.slow);
        slow.iter().filter_map(|number| self.connections.get(number).cloned()).collect()
    }

    /// Takes a whole frame of a client's through the layers: a command for the executor, or a refusal for the client.
    pub(crate) fn handle(&mut self, connection: &Connection, frame: &[u8]) {
        self.counters.requests = self.counters.requests.saturating_add(1);
        let admitted = match self.gate.admit(frame, &connection.caller) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let Refusal { layer, code, nonce, command, reason } = &refusal;
                let refused = Refused { layer: *layer, code: *code, command: command.as_deref(), reason };
                return self.refuse(connection, nonce.as_deref(), &refused);
            }
        };
        let (nonce, request) = (admitted.nonce, admitted.request);
        let name = request.row().name;
        let approved = match request.prepare(&*self) {
            Ok(command) => Approved::check(command, &self.policy, &connection.caller)
                .map_err(|error| (error.code(), error.to_string())),
            Err(error) => Err((error.code(), error.to_string())),
        };
        match approved {
            Ok(approved) => self.forward(connection, nonce, approved.into_inner()),
            Err((code, reason)) => {
                let refused = Refused { layer: Layer::Parameters, code, command: Some(name), reason: &reason };
                self.refuse(connection, Some(&nonce), &refused);
            }
        }
    }

    fn forward(&mut self, connection: &Connection, nonce: String, command: Command) {
        let Some(shared) = self.connections.get(&connection.number).cloned() else { return };
        let id = self.in_flight.insert(Pending { connection: shared, nonce });
        connection.begin();
        self.link.send(&ToExecutor::Request(Request { id, connection: connection.number, command }));
    }

    /// Answers a request that a layer refused.
    fn refuse(&mut self, connection: &Connection, nonce: Option<&str>, refused: &Refused<'_>) {
        let request_id = self.mint();
        self.counters.failed = self.counters.failed.saturating_add(1);
        self.record(request_id, connection.caller, refused);
        connection.answer(self, |out| answer::append_error(out, request_id, nonce, refused.code));
    }

    /// Answers what is no whole frame and will be none.
    pub(crate) fn refuse_frame(&mut self, connection: &Connection, code: ErrorCode, reason: &'static str) {
        self.refuse(connection, None, &Refused { layer: Layer::Frame, code, command: None, reason: &reason });
    }

    /// Logs a refusal and passes it on for the audit trail, unless there is a flood of them.
    fn record(&mut self, request_id: RequestId, peer: Caller, refused: &Refused<'_>) {
        let Some(left_out) = self.flood.admit(self.started.elapsed()) else { return };
        let Refused { layer, code, command, reason } = refused;
        tracing::info!(%request_id, uid = peer.uid, layer = layer.as_str(), code = code.as_str(), command, %reason, left_out, "refused");
        let command = command.map(str::to_owned);
        self.link.send(&ToExecutor::Rejected(Rejected {
            request_id,
            peer,
            layer: *layer,
            code: *code,
            command,
            left_out,
        }));
    }

    /// Takes the executor's answer to its connection; the caller flushes that.
    pub(crate) fn answered(&mut self, answer: &Answer) -> Option<Rc<Connection>> {
        let Some(Pending { connection, nonce }) = self.in_flight.remove(answer.id) else {
            tracing::warn!(id = answer.id, "the executor answered what nobody asked");
            return None;
        };
        if answer.result.is_err() {
            self.counters.failed = self.counters.failed.saturating_add(1);
        }
        connection.end();
        let result = answer.result.as_ref().map_err(|code| *code);
        connection.answer(self, |out| answer::append(out, answer.request_id, &nonce, result));
        Some(connection)
    }

    /// Puts a configuration that was read again in force, all of it or nothing.
    ///
    /// # Errors
    /// A template that can't be read.
    pub(crate) fn reload(&mut self, setup: &Setup) -> Result<(), Error> {
        self.templates = Templates::new(&setup.templates)?;
        self.gate.reload(setup);
        self.policy = setup.policy.clone();
        self.limits = setup.limits;
        self.memory.configure(largest_frame(setup.limits));
        crate::log::set_level(&setup.log_level);
        for connection in self.connections.values().filter(|open| self.policy.permit_caller(&open.caller).is_err()) {
            connection.close();
        }
        Ok(())
    }

    /// Takes nothing more.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.connections.values().for_each(|connection| connection.close());
    }

    /// The link is gone: what is in flight has no known outcome.
    fn lose_link(&mut self) {
        let pending: Vec<_> = self.in_flight.drain().collect();
        for Pending { connection, nonce } in pending {
            let request_id = self.mint();
            connection.end();
            connection.answer(self, |out| answer::append(out, request_id, &nonce, Err(ErrorCode::ExecutionError)));
            connection.flush(self);
        }
    }

    fn sweep(&mut self) {
        self.gate.tidy();
        self.grant();
        let connections: Vec<_> = self.connections.values().cloned().collect();
        for connection in connections {
            connection.sweep(self);
        }
    }
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The length of the largest message, with its header.
fn largest_frame(limits: Limits) -> usize {
    size(limits.max_message_size).saturating_add(HEADER)
}

/// What a request becomes before root sees it.
impl Prepare for Server {
    type Error = prepare::Error;

    fn system_metrics(&self, _: MetricsRequest) -> Result<SystemMetrics, prepare::Error> {
        Ok(SystemMetrics {
            uptime_seconds: self.started.elapsed().as_secs(),
            requests_total: self.counters.requests,
            requests_failed: self.counters.failed,
            active_connections: u64::try_from(self.connections.len()).unwrap_or(u64::MAX),
            nonce_store_size: self.gate.nonces(),
        })
    }

    fn file_write_template(&self, request: TemplateRequest) -> Result<FileWriteTemplate, prepare::Error> {
        self.templates.prepare(request)
    }
}

/// Serves until the executor says to drain and everything is answered, or the link is lost.
///
/// # Errors
/// Why it ended otherwise.
pub async fn run(
    setup: Setup,
    socket: OwnedFd,
    listener: UnixListener,
    ready: &reeve_ipc::message::Ready,
) -> Result<(), Error> {
    let mut server = Server::new(&setup)?;
    drop(setup);
    server.link.greet(ready);
    let server = Rc::new(RefCell::new(server));
    let accepting = spawn_local(accept::accept(listener, Rc::clone(&server)));
    let mut link = spawn_local(link::run(socket, Rc::clone(&server)));
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            biased;
            ended = &mut link => break ended.unwrap_or_else(|_| Err(reeve_ipc::Error::Closed.into())),
            _ = ticks.tick() => {}
        }
        if accepting.is_finished() {
            break Err(Error::CannotAccept);
        }
        let mut server = server.borrow_mut();
        server.sweep();
        if let Some(error) = server.fatal.take() {
            break Err(error);
        }
        if server.draining && server.connections.is_empty() && server.in_flight.is_empty() && server.link.waiting() == 0
        {
            break Ok(());
        }
    };
    accepting.abort();
    server.borrow_mut().lose_link();
    ended
}
