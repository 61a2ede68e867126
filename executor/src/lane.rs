//! Lanes: what must not overlap runs one after the other, in its order; the rest runs side by side.
//!
//! A job that waits for its lane holds no thread. Threads are made when there is work for them, up to the number of slots.
use crate::lock::lock;
use reeve_shared::command::Lane;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a worker needs of stack: no action recurses further than a tree of 64 folders.
const STACK: usize = 512 << 10;

/// Whether a job's turn came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It did: act.
    Came,
    /// It did not: say so, and do nothing.
    Missed,
}

/// Work for one lane.
pub struct Job {
    /// What it must not overlap with.
    pub lane: Lane,
    /// When it is too late to begin.
    pub begin_by: Instant,
    /// The memory that it holds while it waits, in bytes.
    pub bytes: usize,
    /// The work. It is called once, whatever happens.
    pub work: Box<dyn FnOnce(Turn) + Send>,
}

/// The bounds of [`Lanes`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Jobs at work at once.
    pub slots: usize,
    /// Jobs that wait.
    pub waiting: usize,
    /// Bytes that waiting jobs hold.
    pub bytes: usize,
}

/// The scheduler. Clones are handles to the same one.
#[derive(Clone)]
pub struct Lanes(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bounds: Bounds,
    waiting: VecDeque<Job>,
    busy: HashSet<Lane>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Lanes {
    /// A scheduler without threads yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let state = State { bounds, ..State::default() };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Changes the number of slots; threads beyond it end when they have finished.
    pub fn set_slots(&self, slots: usize) {
        lock(&self.0.state).bounds.slots = slots;
        self.0.changed.notify_all();
    }

    /// Queues a job.
    ///
    /// # Errors
    /// The job itself, if the queue is full or closed, or no thread can be made for it.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let mut state = lock(&self.0.state);
        let bytes = state.waiting.iter().fold(job.bytes, |sum, waiting| sum.saturating_add(waiting.bytes));
        if state.closed || state.waiting.len() >= state.bounds.waiting || bytes > state.bounds.bytes {
            return Err(job);
        }
        if state.idle <= state.waiting.len() && state.threads < state.bounds.slots {
            let shared = Arc::clone(&self.0);
            let spawned =
                thread::Builder::new().name("worker".to_owned()).stack_size(STACK).spawn(move || shared.work());
            match spawned {
                Ok(_) => state.threads = state.threads.saturating_add(1),
                Err(_) if state.threads == 0 => return Err(job),
                Err(_) => {}
            }
        }
        state.waiting.push_back(job);
        self.0.changed.notify_one();
        Ok(())
    }

    /// Turns away the jobs whose time to begin is over.
    pub fn expire(&self, now: Instant) {
        let late = {
            let mut state = lock(&self.0.state);
            let (late, rest) = std::mem::take(&mut state.waiting).into_iter().partition(|job| job.begin_by <= now);
            state.waiting = rest;
            late
        };
        turn_away(late);
    }

    /// Takes no more jobs, turns away those that wait unless `finish_waiting`, and waits for the rest, `patience` at most.
    /// `true` if none is left.
    pub fn close(&self, finish_waiting: bool, patience: Duration) -> bool {
        let until = Instant::now().checked_add(patience);
        let mut state = lock(&self.0.state);
        state.closed = true;
        self.0.changed.notify_all();
        if !finish_waiting {
            let late = std::mem::take(&mut state.waiting);
            drop(state);
            turn_away(late);
            state = lock(&self.0.state);
        }
        while !(state.busy.is_empty() && state.waiting.is_empty()) {
            let left = until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
            if left.is_zero() {
                return false;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

fn turn_away(jobs: VecDeque<Job>) {
    for job in jobs {
        (job.work)(Turn::Missed);
    }
}

impl State {
    /// Takes out the first job whose lane is free. Jobs of one lane stand in their order, so this is the lane's first.
    fn next(&mut self) -> Option<Job> {
        let at = self.waiting.iter().position(|job| !self.busy.contains(&job.lane))?;
        let job = self.waiting.remove(at)?;
        self.busy.insert(job.lane.clone());
        Some(job)
    }
}

impl Shared {
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if state.threads > state.bounds.slots {
                break;
            }
            if let Some(Job { lane, begin_by, bytes: _, work }) = state.next() {
                drop(state);
                work(if Instant::now() < begin_by { Turn::Came } else { Turn::Missed });
                state = lock(&self.state);
                state.busy.remove(&lane);
                self.changed.notify_all();
            } else if state.closed && state.waiting.is_empty() {
                break;
            } else {
                state.idle = state.idle.saturating_add(1);
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle = state.idle.saturating_sub(1);
            }
        }
        state.threads = state.threads.saturating_sub(1);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use reeve_shared::AbsolutePath;
    use std::sync::mpsc;

    const BOUNDS: Bounds = Bounds { slots: 2, waiting: 4, bytes: 100 };

    fn job(path: &str, work: impl FnOnce(Turn) + Send + 'static) -> Job {
        let begin_by = Instant::now() + Duration::from_secs(600);
        Job { lane: Lane::Path(AbsolutePath::try_from(path).unwrap()), begin_by, bytes: 10, work: Box::new(work) }
    }

    /// A job that says that it runs, then waits for the word to end.
    fn held(path: &str, name: &'static str, says: &mpsc::Sender<&'static str>) -> (Job, mpsc::Sender<()>) {
        let (go, wait) = mpsc::channel();
        let says = says.clone();
        let work = move |turn| {
            says.send(if turn == Turn::Came { name } else { "missed" }).unwrap();
            if turn == Turn::Came {
                let _ = wait.recv();
            }
        };
        (job(path, work), go)
    }

    #[test]
    fn one_lane_keeps_its_order_and_others_pass_it() {
        let lanes = Lanes::new(BOUNDS);
        let (says, heard) = mpsc::channel();
        let (first, end_first) = held("/a", "a1", &says);
        let (second, end_second) = held("/a", "a2", &says);
        let (other, end_other) = held("/b", "b1", &says);
        for job in [first, second, other] {
            assert!(lanes.submit(job).is_ok());
        }
        let mut begun = [heard.recv().unwrap(), heard.recv().unwrap()];
        begun.sort_unstable();
        assert_eq!(begun, ["a1", "b1"]);
        end_other.send(()).unwrap();
        end_first.send(()).unwrap();
        assert_eq!(heard.recv().unwrap(), "a2");
        end_second.send(()).unwrap();
        assert!(lanes.close(true, Duration::from_secs(60)));
    }

    #[test]
    fn the_queue_is_bounded_in_jobs_and_bytes_and_late_ones_are_turned_away() {
        let lanes = Lanes::new(BOUNDS);
        let (says, heard) = mpsc::channel();
        let (first, end_first) = held("/a", "a1", &says);
        assert!(lanes.submit(first).is_ok());
        assert_eq!(heard.recv().unwrap(), "a1");
        let mut kept = Vec::new();
        for _ in 0..4 {
            let (next, end) = held("/a", "next", &says);
            kept.push(end);
            assert!(lanes.submit(next).is_ok());
        }
        assert!(lanes.submit(job("/c", |_| {})).is_err(), "a fifth waits");
        lanes.expire(Instant::now());
        lanes.expire(Instant::now() + Duration::from_secs(3600));
        assert_eq!([(); 4].map(|()| heard.recv().unwrap()), ["missed"; 4]);
        assert!(lanes.submit(Job { bytes: 101, ..job("/c", |_| {}) }).is_err(), "too many bytes");
        assert!(lanes.submit(job("/c", |_| {})).is_ok());
        end_first.send(()).unwrap();
        assert!(lanes.close(true, Duration::from_secs(60)));
        assert!(lanes.submit(job("/c", |_| {})).is_err(), "closed");
    }

    #[test]
    fn a_close_in_haste_turns_away_what_has_not_begun_and_waits_for_the_rest() {
        let lanes = Lanes::new(BOUNDS);
        let (says, heard) = mpsc::channel();
        let (first, end_first) = held("/a", "a1", &says);
        let (second, _end_second) = held("/a", "a2", &says);
        assert!(lanes.submit(first).is_ok() && lanes.submit(second).is_ok());
        assert_eq!(heard.recv().unwrap(), "a1");
        assert!(!lanes.close(false, Duration::ZERO));
        assert_eq!(heard.recv().unwrap(), "missed");
        end_first.send(()).unwrap();
        assert!(lanes.close(false, Duration::from_secs(60)));
    }
}
