//! A hash table that grows by one chain an insert (linear hashing: Litwin, 1980), so that no insert pays for the others.
use super::segments::Segments;

/// No slot: the end of a chain or of a list.
pub(super) const NONE: u32 = u32::MAX;

/// What stands for a nonce.
pub(super) type Digest = [u64; 2];

/// A nonce: 32 bytes, and 4 more for the head of a chain.
struct Slot {
    digest: Digest,
    /// When it stops to count, by the store's time.
    expires: u64,
    /// The next slot of the chain, or of the free ones.
    chain: u32,
    /// The next slot of the list that the store keeps it in.
    list: u32,
}

/// Slots by digest. A slot keeps its number as long as it is there.
pub(super) struct Table {
    slots: Segments<Slot>,
    /// The first slot of each chain. There are as many chains as there are slots, or one.
    heads: Segments<u32>,
    free: u32,
    used: u32,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { slots: Segments::new(), heads: Segments::new(), free: NONE, used: 0 }
    }

    /// The slots in use.
    pub(super) fn used(&self) -> u32 {
        self.used
    }

    /// What it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes().saturating_add(self.heads.bytes())
    }

    /// Whether there is a slot of this digest that expires later than `now`.
    pub(super) fn has(&self, digest: &Digest, now: u64) -> bool {
        let mut next = self.heads.get(chain_of(digest, self.heads.len())).copied();
        while let Some(slot) = next.and_then(|number| self.slots.get(number)) {
            if slot.digest == *digest && slot.expires > now {
                return true;
            }
            next = Some(slot.chain);
        }
        false
    }

    /// Adds a slot in front of `list`; its number, or `None` where there is no memory.
    pub(super) fn insert(&mut self, digest: Digest, expires: u64, list: u32) -> Option<u32> {
        if self.heads.len() <= self.used {
            self.grow()?;
        }
        let head = chain_of(&digest, self.heads.len());
        let slot = Slot { digest, expires, chain: *self.heads.get(head)?, list };
        let number = match self.slots.get_mut(self.free) {
            Some(free) => {
                let number = std::mem::replace(&mut self.free, free.chain);
                *free = slot;
                number
            }
            None => self.slots.push(slot)?,
        };
        *self.heads.get_mut(head)? = number;
        self.used = self.used.saturating_add(1);
        Some(number)
    }

    /// Removes a slot; the next one of its list.
    pub(super) fn remove(&mut self, number: u32) -> Option<u32> {
        let (digest, chain, list) = self.slots.get(number).map(|slot| (slot.digest, slot.chain, slot.list))?;
        let head = self.heads.get_mut(chain_of(&digest, self.heads.len()))?;
        if *head == number {
            *head = chain;
        } else {
            let mut before = *head;
            loop {
                match self.slots.get_mut(before)? {
                    slot if slot.chain == number => break slot.chain = chain,
                    slot => before = slot.chain,
                }
            }
        }
        self.slots.get_mut(number)?.chain = std::mem::replace(&mut self.free, number);
        self.used = self.used.saturating_sub(1);
        Some(list)
    }

    /// Adds one chain, and moves there what belongs there from the one chain that it may be in.
    fn grow(&mut self) -> Option<()> {
        let new = self.heads.push(NONE)?;
        let Some(old) = new.checked_sub(half(self.heads.len())) else { return Some(()) };
        let mut next = std::mem::replace(self.heads.get_mut(old)?, NONE);
        let count = self.heads.len();
        while let Some(slot) = self.slots.get_mut(next) {
            let head = self.heads.get_mut(chain_of(&slot.digest, count))?;
            let number = std::mem::replace(&mut next, slot.chain);
            slot.chain = std::mem::replace(head, number);
        }
        Some(())
    }
}

/// Half of the power of two that `count` chains fit in; 0 for one chain.
fn half(count: u32) -> u32 {
    count.checked_next_power_of_two().unwrap_or(1 << 31) >> 1
}

/// The chain of a digest where there are `count`: its low bits, one less of them where that chain is not there yet.
fn chain_of(digest: &Digest, count: u32) -> u32 {
    let [low, _] = digest;
    let bits = u32::try_from(low & u64::from(u32::MAX)).unwrap_or_default();
    let half = half(count);
    let below = half.saturating_sub(1);
    let chain = bits & (below | half);
    if chain < count { chain } else { bits & below }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(n: u64) -> Digest {
        [n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n]
    }

    #[test]
    fn a_slot_is_32_bytes() {
        assert_eq!(size_of::<Slot>(), 32);
    }

    #[test]
    fn chains_stay_short_however_it_grows_and_shrinks() {
        let mut table = Table::new();
        let numbers: Vec<_> = (0..50_000).map(|n| table.insert(digest(n), 1, NONE).unwrap()).collect();
        assert_eq!((table.used(), table.heads.len(), table.slots.len()), (50_000, 50_000, 50_000));
        let length = |head: u32| {
            let mut next = *table.heads.get(head).unwrap();
            std::iter::from_fn(|| table.slots.get(next).map(|slot| next = slot.chain)).count()
        };
        let lengths: Vec<_> = (0..50_000).map(length).collect();
        assert_eq!(lengths.iter().sum::<usize>(), 50_000);
        assert!(lengths.iter().max() < Some(&12));
        numbers.iter().for_each(|number| assert_eq!(table.remove(*number), Some(NONE)));
        assert!((0..50_000).all(|n| !table.has(&digest(n), 0)) && table.used() == 0);
        assert!((0..50_000).all(|n| table.insert(digest(n), 1, NONE).is_some()));
        assert_eq!((table.heads.len(), table.slots.len()), (50_000, 50_000));
    }

    proptest! {
        #[test]
        fn it_holds_what_a_list_would_hold(steps in prop::collection::vec((any::<bool>(), 0_u64..40, 0_u64..3), 0..300)) {
            let (mut table, mut all) = (Table::new(), Vec::<(u64, u64, u32)>::new());
            for (insert, n, expires) in steps {
                if insert {
                    // Digests that share their low bits, and some that are equal.
                    all.push((n, expires, table.insert([n / 8, n], expires, 77).unwrap()));
                } else if let Some(at) = all.iter().position(|(m, ..)| *m == n) {
                    prop_assert_eq!(table.remove(all.remove(at).2), Some(77));
                }
                for n in 0..40 {
                    for now in 0..3 {
                        prop_assert_eq!(table.has(&[n / 8, n], now), all.iter().any(|(m, e, _)| *m == n && *e > now));
                    }
                }
                prop_assert_eq!(usize::try_from(table.used()).unwrap(), all.len());
            }
        }
    }
}
