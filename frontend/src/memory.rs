//! Who may hold how much: 32 MiB for all clients' bytes, so that each can go on that waits for nobody but us.
//!
//! - *A little* is each connection's own: small frames need no more, so nobody's large ones are in their way.
//! - *A grant* is room for one whole larger frame, asked for once its length is known, and given in the order of asking. Whoever
//!   has one can always read on, so it comes to an end: the frame, or the time limit.
//! - *Unsent answers* are bounded by no longer reading from those uids that hold most of them.
use crate::by_uid::ByUid;
use crate::connection::READ;
use std::collections::VecDeque;

/// What all connections have of their own together, in bytes.
const OWN: usize = 8 << 20;
/// All grants together: the largest frame with its length, or many smaller ones.
const GRANTS: usize = (16 << 20) + READ;
/// Unsent answers.
const UNSENT: usize = 4 << 20;
/// What waits for the executor to take it; beyond it nothing more is granted or read.
const ON_THE_LINK: usize = 4 << 20;

/// A connection that waits for a grant.
#[derive(Debug)]
struct Wish {
    connection: u64,
    uid: u32,
    bytes: usize,
}

/// What is held.
#[derive(Debug)]
pub(crate) struct Memory {
    /// What one connection may hold without a grant.
    pub(crate) own: usize,
    /// What the grants of one uid may come to.
    share: usize,
    granted: ByUid,
    granted_in_all: usize,
    unsent: ByUid,
    wishes: VecDeque<Wish>,
}

impl Memory {
    /// Nothing is held yet.
    pub(crate) fn new(max_connections: usize, largest_frame: usize) -> Self {
        let mut memory = Self {
            own: OWN.checked_div(max_connections).unwrap_or(READ).clamp(512, READ),
            share: 0,
            granted: ByUid::default(),
            granted_in_all: 0,
            unsent: ByUid::default(),
            wishes: VecDeque::new(),
        };
        memory.configure(largest_frame);
        memory
    }

    /// Takes a new length of the largest frame, its header included: half of the grants are a uid's, or one such frame.
    pub(crate) fn configure(&mut self, largest_frame: usize) {
        self.share = largest_frame.max(GRANTS / 2);
    }

    /// Asks for room for a whole frame.
    pub(crate) fn wish(&mut self, connection: u64, uid: u32, bytes: usize) {
        self.wishes.push_back(Wish { connection, uid, bytes });
    }

    /// Takes back what a connection asked for.
    pub(crate) fn forget(&mut self, connection: u64) {
        self.wishes.retain(|wish| wish.connection != connection);
    }

    /// The next connection that gets what it asked for. None overtakes another but one whose uid has its share.
    pub(crate) fn grant(&mut self, on_the_link: usize) -> Option<u64> {
        let in_share = |wish: &Wish| self.granted.of(wish.uid).saturating_add(wish.bytes) <= self.share;
        let at = self.wishes.iter().position(in_share)?;
        let fits = |wish: &&Wish| self.granted_in_all.saturating_add(wish.bytes) <= GRANTS && on_the_link < ON_THE_LINK;
        self.wishes.get(at).filter(fits)?;
        let Wish { connection, uid, bytes } = self.wishes.remove(at)?;
        self.granted.change(uid, 0, bytes);
        self.granted_in_all = self.granted_in_all.saturating_add(bytes);
        Some(connection)
    }

    /// A grant is used up.
    pub(crate) fn give_back(&mut self, uid: u32, bytes: usize) {
        self.granted.change(uid, bytes, 0);
        self.granted_in_all = self.granted_in_all.saturating_sub(bytes);
    }

    /// Unsent answers of a uid grew or shrank.
    pub(crate) fn unsent(&mut self, uid: u32, before: usize, after: usize) {
        self.unsent.change(uid, before, after);
    }

    /// Whether more may be read for a uid without a grant. Who holds no unsent answers is never the one who waits for others'.
    pub(crate) fn may_read(&self, uid: u32, on_the_link: usize) -> bool {
        let fair = UNSENT.checked_div(self.unsent.uids()).unwrap_or(UNSENT);
        let own = self.unsent.of(uid);
        on_the_link < ON_THE_LINK && own < fair
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn all(memory: &mut Memory) -> Vec<u64> {
        std::iter::from_fn(|| memory.grant(0)).collect()
    }

    #[test]
    fn a_connection_has_a_little_of_its_own_however_many_there_are() {
        assert_eq!(Memory::new(128, MIB).own, 64 << 10);
        assert_eq!(Memory::new(16_384, MIB).own, 512);
        assert_eq!(Memory::new(2, MIB).own, 64 << 10);
    }

    #[test]
    fn the_largest_frame_is_granted_when_nothing_else_is() {
        let largest = 16 * MIB + 4;
        let mut memory = Memory::new(128, largest);
        memory.wish(1, 7, largest);
        memory.wish(2, 8, largest);
        assert_eq!(all(&mut memory), [1]);
        memory.give_back(7, largest);
        assert_eq!(all(&mut memory), [2]);
    }

    #[test]
    fn a_uid_has_half_and_others_are_next_in_their_order() {
        let mut memory = Memory::new(128, MIB + 4);
        (0..20).for_each(|connection| memory.wish(connection, 7, MIB));
        assert_eq!(all(&mut memory), (0..8).collect::<Vec<_>>());
        memory.wish(100, 8, MIB);
        assert_eq!(all(&mut memory), [100]);
        memory.give_back(7, MIB);
        assert_eq!(all(&mut memory), [8]);
        memory.forget(9);
        memory.give_back(7, MIB);
        assert_eq!(all(&mut memory), [10]);
    }

    #[test]
    fn a_large_frame_is_not_overtaken_for_ever() {
        let mut memory = Memory::new(128, 10 * MIB);
        (0..10).for_each(|connection| memory.wish(connection, 7, MIB));
        assert_eq!(all(&mut memory).len(), 10);
        memory.wish(50, 8, 10 * MIB);
        memory.wish(51, 9, MIB);
        assert!(all(&mut memory).is_empty(), "the first one waits for room, and so does who came later");
        (0..4).for_each(|_| memory.give_back(7, MIB));
        assert_eq!(all(&mut memory), [50]);
        memory.give_back(8, 10 * MIB);
        assert_eq!(all(&mut memory), [51]);
    }

    #[test]
    fn who_takes_his_answers_is_read_whatever_others_leave() {
        let mut memory = Memory::new(128, MIB);
        memory.unsent(7, 0, UNSENT - 1);
        assert!(memory.may_read(7, 0) && memory.may_read(8, 0));
        memory.unsent(7, 0, 1);
        assert!(!memory.may_read(7, 0) && memory.may_read(8, 0));
        memory.unsent(9, 0, UNSENT);
        assert!(!memory.may_read(7, 0) && !memory.may_read(9, 0) && memory.may_read(8, 0));
        memory.unsent(7, UNSENT, 0);
        assert!(memory.may_read(7, 0));
        assert!(!memory.may_read(8, ON_THE_LINK), "the executor takes nothing");
        memory.unsent(9, UNSENT, 0);
        assert_eq!(memory.unsent.uids(), 0);
    }
}
