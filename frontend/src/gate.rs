//! The gate: every layer that a client's frame passes in this process, in the order of the contract. Pure: it reads no socket,
//! and time comes from where it is told.
//!
//! In the order of the layers: [`rate`], [`request`] (the strict pass, by [`strict`]), [`timestamp`] (by [`clock`]),
//! [`signature`] (by [`spelling`]), [`nonce`], then the command's name, [`options`], and the parameters. The first that fails
//! answers, with a [`Refusal`].
pub mod clock;
pub mod nonce;
pub mod options;
pub mod rate;
pub mod refusal;
pub mod request;
pub mod signature;
pub mod spelling;
pub mod strict;
pub mod timestamp;

#[cfg(test)]
mod tests;

pub use clock::{SystemClocks, Time};
pub use refusal::{Reason, Refusal};

use clock::Clock;
use nonce::NonceStore;
use options::Options;
use rate::RateLimiter;
use reeve_ipc::message::{Security, Setup};
use reeve_shared::command::TABLE;
use reeve_shared::{Caller, Policy, Request, error::excerpt};
use request::{Envelope, Malformed};
use signature::Keys;
use std::time::Duration;
use timestamp::Freshness;

/// What of the expired nonces an idle moment removes at once: a fraction of a millisecond's work.
const REMOVED_WHEN_IDLE: u32 = 1024;

/// A request that passed every layer of the gate.
#[derive(Debug)]
pub struct Admitted {
    /// The nonce that the answer carries.
    pub nonce: String,
    /// What is asked for. Whether the lists allow it is not decided yet.
    pub request: Request,
}

/// The layers and what they remember.
#[derive(Debug)]
pub struct Gate<T = SystemClocks> {
    time: T,
    clock: Clock,
    security: Security,
    policy: Policy,
    rate: RateLimiter,
    freshness: Freshness,
    keys: Keys,
    nonces: NonceStore,
    /// The text that a signature is computed over.
    scratch: Vec<u8>,
}

impl Gate {
    /// A gate for this configuration, by the system's clocks.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        Self::with_time(setup, SystemClocks::default())
    }
}

impl<T: Time> Gate<T> {
    /// A gate by other clocks.
    #[must_use]
    pub fn with_time(setup: &Setup, time: T) -> Self {
        let security = setup.security;
        let max_age = security.max_request_age_seconds;
        Self {
            time,
            clock: Clock::default(),
            security,
            policy: setup.policy.clone(),
            rate: RateLimiter::new(security.rate_limit_requests, window(&security)),
            freshness: Freshness::new(max_age),
            keys: Keys::new(&setup.secrets),
            nonces: NonceStore::new(nonce::CAPACITY, security.nonce_ttl_seconds, max_age),
            scratch: Vec::new(),
        }
    }

    /// Takes over a configuration that was read again. Nothing that was refused for its age, or as used, becomes good by it.
    pub fn reload(&mut self, setup: &Setup) {
        let now = self.clock.now(self.time.unix_seconds());
        let max_age = setup.security.max_request_age_seconds;
        self.security = setup.security;
        self.policy = setup.policy.clone();
        self.rate.configure(setup.security.rate_limit_requests, window(&setup.security));
        self.freshness.reload(max_age, now);
        self.keys = Keys::new(&setup.secrets);
        self.nonces.configure(setup.security.nonce_ttl_seconds, max_age, now);
    }

    /// Who may call, and what the lists allow.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many nonces are live.
    #[must_use]
    pub fn nonces(&self) -> u64 {
        self.nonces.len()
    }

    /// Gives back memory of what has passed. To be called now and then; whether there is more to do at once.
    pub fn tidy(&mut self) -> bool {
        self.rate.tidy(self.time.monotonic());
        self.nonces.expire(self.clock.now(self.time.unix_seconds()), REMOVED_WHEN_IDLE)
    }

    /// Looks at a complete frame of a peer that may call.
    ///
    /// # Errors
    /// The refusal by the first layer that fails.
    pub fn admit(&mut self, frame: &[u8], peer: &Caller) -> Result<Admitted, Refusal> {
        let allowed = self.rate.allow(peer.uid, self.time.monotonic());
        let envelope = match request::parse(frame) {
            Ok(envelope) if allowed => envelope,
            Ok(Envelope { nonce, command, .. }) => {
                return Err(Refusal::new(self.rate_limited(), Some(&nonce), Some(&command)));
            }
            Err(Malformed { fault, nonce, command }) => {
                let reason = if allowed { Reason::Request(fault) } else { self.rate_limited() };
                return Err(Refusal::new(reason, nonce.as_deref(), command.as_deref()));
            }
        };
        match self.authenticate(&envelope, peer).and_then(|options| understand(&envelope, options)) {
            Ok(request) => Ok(Admitted { nonce: envelope.nonce.into_owned(), request }),
            Err(reason) => Err(Refusal::new(reason, Some(&envelope.nonce), Some(&envelope.command))),
        }
    }

    /// Timestamp, signature, nonce. The nonce comes last, so that nobody without the secret can use one up.
    fn authenticate(&mut self, envelope: &Envelope<'_>, peer: &Caller) -> Result<Options, Reason> {
        let wall = self.time.unix_seconds();
        let now = self.clock.now(wall);
        let behind = self.clock.behind(wall);
        self.freshness.check(envelope.timestamp, now).map_err(|error| Reason::Timestamp { error, behind })?;
        let options = Options::read(envelope.options);
        self.keys.verify(envelope, options.key_id.as_deref(), &mut self.scratch).map_err(Reason::Signature)?;
        self.nonces.insert(&envelope.nonce, peer.uid, envelope.timestamp, now).map_err(Reason::Nonce)?;
        Ok(options)
    }

    fn rate_limited(&self) -> Reason {
        let Security { rate_limit_requests: requests, rate_limit_window_seconds: seconds, .. } = self.security;
        Reason::Rate { requests, seconds }
    }
}

fn window(security: &Security) -> Duration {
    Duration::from_secs(security.rate_limit_window_seconds)
}

/// Command, options, parameters. These are read from the received bytes, whatever spelling was signed.
fn understand(envelope: &Envelope<'_>, options: Options) -> Result<Request, Reason> {
    let unknown = || reeve_shared::Error::UnknownCommand(excerpt(&envelope.command));
    if !TABLE.iter().any(|row| row.name == envelope.command) {
        return Err(Reason::Command(unknown()));
    }
    options.refused.map_or(Ok(()), |refused| Err(Reason::Options(refused)))?;
    let params = envelope.params.filter(|text| !request::is_empty_list(text)).unwrap_or("{}");
    let mut deserializer = serde_json::Deserializer::from_str(params);
    let request = Request::parse(&envelope.command, &mut deserializer).map_err(Reason::Parameters)?;
    deserializer.end().map_err(Reason::Parameters)?;
    request.map_err(Reason::Command)
}
