//! The nonces that were used: each counts once, for all uids and keys together.
//!
//! Nothing in here takes longer the more nonces there are. A nonce is kept as a digest of 128 bits under keys that only this
//! process knows (std's SipHash): a collision would refuse a good request, never accept a bad one. Digests are in a hash table
//! that grows a chain at a time, and in one list for each second in which some of them expire. When that second has come the
//! whole list stops counting at once; its slots are given back a few at a time. A live nonce takes 36 bytes.
mod segments;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use table::{Digest, NONE, Table};

/// Live nonces in all.
pub const CAPACITY: u32 = 4_194_304;

/// How far a nonce outlives the last second at which its request is fresh: what a request may lie ahead, and one.
const MARGIN_SECONDS: u64 = super::timestamp::MAX_AHEAD_SECONDS + 1;

/// How far the store's time lies ahead of the clock at first, in seconds: more than any lifetime can be raised by.
const AHEAD: u64 = 1 << 40;

/// How many expired nonces an insert removes. More than one, so that the expired ones grow fewer.
const REMOVED_AN_INSERT: u32 = 4;

/// Why a nonce is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It was used.
    #[error("the nonce was used before: each request needs a new one")]
    Replayed,
    /// The store is full. A live nonce is never given up for a new one.
    #[error(
        "{0} nonces are live, and no more are kept; the rate limit or security.nonce_ttl_seconds is too high for this load"
    )]
    Full(u32),
    /// The uid has half of the store.
    #[error(
        "uid {0} has half of all the nonces that are kept; the rate limit or security.nonce_ttl_seconds is too high for this load"
    )]
    ShareFull(u32),
}

/// The live nonces.
pub struct NonceStore {
    capacity: u32,
    ttl: u64,
    max_age: u64,
    keys: [RandomState; 2],
    table: Table,
    /// Live nonces by the second in which they expire, in the store's time.
    due: BTreeMap<u64, Due>,
    /// Lists of expired ones that are still in the table.
    expired: Vec<u32>,
    live: u32,
    /// How many of the live ones each uid has.
    shares: HashMap<u32, u32>,
    /// How far the store's time lies ahead of the clock. See [`NonceStore::configure`].
    ahead: u64,
}

/// The nonces that expire in one second.
struct Due {
    list: u32,
    shares: BTreeMap<u32, u32>,
}

impl fmt::Debug for NonceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NonceStore({} of {} live)", self.live, self.capacity)
    }
}

impl NonceStore {
    /// An empty store for `capacity` live nonces ([`CAPACITY`] but in tests), each kept until the later of its arrival plus `ttl`
    /// and its timestamp plus `max_age` plus 61, in seconds.
    #[must_use]
    pub fn new(capacity: u32, ttl: u64, max_age: u64) -> Self {
        Self {
            capacity,
            ttl,
            max_age,
            keys: [RandomState::new(), RandomState::new()],
            table: Table::new(),
            due: BTreeMap::new(),
            expired: Vec::new(),
            live: 0,
            shares: HashMap::new(),
            ahead: AHEAD,
        }
    }

    /// Takes the nonce of a request that is authentic. `now` is Unix seconds by a clock that never goes back.
    ///
    /// # Errors
    /// Why the nonce can't be used. The store is then as it was.
    pub fn insert(&mut self, nonce: &str, uid: u32, timestamp: u64, now: u64) -> Result<(), Unusable> {
        let own_now = self.advance(now);
        self.remove(REMOVED_AN_INSERT);
        let digest = self.digest(nonce);
        if self.table.has(&digest, own_now) {
            return Err(Unusable::Replayed);
        }
        let full = Unusable::Full(self.live);
        if self.live >= self.capacity {
            return Err(full);
        }
        let share = self.shares.entry(uid).or_default();
        if *share >= self.capacity >> 1 {
            return Err(Unusable::ShareFull(uid));
        }
        let guarded = timestamp.saturating_add(self.max_age).saturating_add(MARGIN_SECONDS);
        let expires = now.saturating_add(self.ttl).max(guarded).saturating_add(self.ahead);
        let due = self.due.entry(expires).or_insert_with(|| Due { list: NONE, shares: BTreeMap::new() });
        due.list = self.table.insert(digest, expires, due.list).ok_or(full)?;
        add(due.shares.entry(uid).or_default());
        add(share);
        add(&mut self.live);
        Ok(())
    }

    /// How many nonces are live.
    #[must_use]
    pub fn len(&self) -> u64 {
        u64::from(self.live)
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Removes up to `at_most` of what has expired at `now`, and gives all memory back once nothing is live. For an idle moment.
    /// Whether there is more to remove.
    pub fn expire(&mut self, now: u64, at_most: u32) -> bool {
        self.advance(now);
        self.remove(at_most);
        if self.table.used() == 0 {
            self.table = Table::new();
        }
        !self.expired.is_empty()
    }

    /// Sets other lifetimes. Raising `max_age` keeps every live nonce as much longer as the request that it guards is fresh now:
    /// the store's time stands still for as long.
    pub fn configure(&mut self, ttl: u64, max_age: u64, now: u64) {
        self.advance(now);
        self.remove(u32::MAX); // an expired one must not come to life again
        self.ahead = self.ahead.saturating_sub(max_age.saturating_sub(self.max_age));
        self.ttl = ttl;
        self.max_age = max_age;
    }

    /// The bytes that its table takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Stops counting what has expired; the store's time at `now`.
    fn advance(&mut self, now: u64) -> u64 {
        let own_now = now.saturating_add(self.ahead);
        while let Some(due) = self.due.first_entry().filter(|due| *due.key() <= own_now) {
            let Due { list, shares } = due.remove();
            self.expired.push(list);
            for (uid, count) in shares {
                self.live = self.live.saturating_sub(count);
                let left = self.shares.get(&uid).map_or(0, |share| share.saturating_sub(count));
                if left == 0 {
                    self.shares.remove(&uid);
                } else {
                    self.shares.insert(uid, left);
                }
            }
        }
        own_now
    }

    /// Removes up to `at_most` expired nonces from the table.
    fn remove(&mut self, at_most: u32) {
        for _ in 0..at_most {
            let Some(list) = self.expired.last_mut() else { return };
            match self.table.remove(*list) {
                Some(next) if next != NONE => *list = next,
                Some(_) | None => drop(self.expired.pop()),
            }
        }
    }

    fn digest(&self, nonce: &str) -> Digest {
        self.keys.each_ref().map(|key| key.hash_one(nonce))
    }
}

fn add(count: &mut u32) {
    *count = count.saturating_add(1);
}
