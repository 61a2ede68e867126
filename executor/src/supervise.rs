//! What the daemon does beside serving: signals, time limits of what waits, the watchdog, a reload.
use crate::{Error, error::OrFailed, serve::DRAIN, serve::Proposal, serve::Service};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use reeve_ipc::message::ToFrontend;
use sd_notify::NotifyState;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How often it looks for what is late.
const TICK: Duration = Duration::from_secs(1);

/// SIGHUP, as signalfd(2) spells it.
const HANG_UP: u32 = 1;

/// Blocks the signals that [`supervise`] takes, and the one that would end the process where a write over RLIMIT_FSIZE is an
/// error like any other (setrlimit(2)). To be called before the first thread is made: threads inherit the mask.
///
/// # Errors
/// The system's.
pub fn block_signals() -> Result<SignalFd, Error> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    let blocked = signals.thread_block().and_then(|()| SigSet::from(Signal::SIGXFSZ).thread_block());
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    blocked.and_then(|()| SignalFd::with_flags(&signals, flags)).or_system("can't take signals")
}

/// Tells systemd, where there is one.
pub fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "can't tell the service manager");
    }
}

/// Runs for as long as the process does.
pub fn supervise(
    service: &Service,
    signals: &SignalFd,
    frontend_ended: impl Fn() -> bool,
    reload: impl Fn() -> Result<Proposal, Error>,
) {
    let mut watchdog = Watchdog::new(sd_notify::watchdog_enabled());
    loop {
        let patience = PollTimeout::try_from(watchdog.tick).unwrap_or(PollTimeout::MAX);
        // A signal that interrupts is one that is read below; another failure means that a tick comes early.
        let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], patience);
        while let Ok(Some(info)) = signals.read_signal() {
            if info.ssi_signo == HANG_UP {
                if let Err(error) = reload().and_then(|proposal| service.reload(proposal)) {
                    tracing::error!(%error, "the configuration was not taken; the old one stays in force");
                }
            } else if service.drain() {
                tracing::info!("stopping: what has begun is finished");
                notify(NotifyState::Stopping);
                service.writer.send(&ToFrontend::Drain);
            }
        }
        let now = Instant::now();
        service.lanes.expire(now);
        if frontend_ended() {
            service.writer.shut_down();
        }
        if service.drain_left().is_some_and(|left| left.is_zero()) {
            tracing::warn!("what has begun is not finished after {DRAIN:?}; ending the link");
            service.writer.shut_down();
        }
        watchdog.tick(now, service.pulse(), |pulse| service.writer.send(&ToFrontend::Watchdog(pulse)));
    }
}

/// Says that all is well only after a number has gone round through the frontend's event loop.
struct Watchdog {
    every: Option<Duration>,
    tick: Duration,
    sent: u64,
    sent_at: Option<Instant>,
    told: u64,
}

impl Watchdog {
    fn new(limit: Option<Duration>) -> Self {
        // A third of the limit, so that one late answer is none too many.
        let every = limit.and_then(|limit| limit.checked_div(3));
        let tick = every.and_then(|every| every.checked_div(2)).unwrap_or(TICK).min(TICK);
        Self { every, tick, sent: 0, sent_at: None, told: 0 }
    }

    fn tick(&mut self, now: Instant, seen: u64, send: impl FnOnce(u64)) {
        let Some(every) = self.every else { return };
        if seen > self.told && seen == self.sent {
            self.told = seen;
            notify(NotifyState::Watchdog);
        }
        let due = self.sent_at.is_none_or(|at| now.saturating_duration_since(at) >= every);
        if due && self.told == self.sent {
            self.sent = self.sent.saturating_add(1);
            self.sent_at = Some(now);
            send(self.sent);
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_frontend_that_does_not_answer_is_asked_no_second_time() {
        let mut asked = Vec::new();
        let mut watchdog = Watchdog::new(Some(Duration::from_secs(3)));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        watchdog.tick(at(0), 0, |pulse| asked.push(pulse));
        watchdog.tick(at(5), 0, |pulse| asked.push(pulse));
        assert_eq!((asked.as_slice(), watchdog.told), ([1].as_slice(), 0));
        watchdog.tick(at(5), 1, |pulse| asked.push(pulse));
        assert_eq!((asked.as_slice(), watchdog.told), ([1, 2].as_slice(), 1));
        watchdog.tick(at(5), 7, |pulse| asked.push(pulse));
        assert_eq!(
            (asked.as_slice(), watchdog.told),
            ([1, 2].as_slice(), 1),
            "a number that was not sent counts for nothing"
        );
        let mut none = Watchdog::new(None);
        none.tick(at(5), 0, |_| panic!("no watchdog was asked for"));
    }
}
