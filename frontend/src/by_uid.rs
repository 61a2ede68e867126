//! How much of something each uid has.
use std::collections::HashMap;

/// An amount for each uid that has any.
#[derive(Debug, Default)]
pub(crate) struct ByUid(HashMap<u32, usize>);

impl ByUid {
    /// What a uid has.
    pub(crate) fn of(&self, uid: u32) -> usize {
        self.0.get(&uid).copied().unwrap_or(0)
    }

    /// How many uids have any.
    pub(crate) fn uids(&self) -> usize {
        self.0.len()
    }

    /// A part of what a uid has grew or shrank, from `before` to `after`.
    pub(crate) fn change(&mut self, uid: u32, before: usize, after: usize) {
        if before == after {
            return;
        }
        match self.of(uid).saturating_add(after).saturating_sub(before) {
            0 => drop(self.0.remove(&uid)),
            some => drop(self.0.insert(uid, some)),
        }
    }
}
