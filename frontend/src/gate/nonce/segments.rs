//! A list that grows a piece at a time, so that no push ever moves what is there.

/// Items in pieces of `1 << BITS`.
pub(super) struct Segments<T> {
    pieces: Vec<Vec<T>>,
    len: u32,
}

const BITS: u32 = 11;
const PIECE: usize = 1 << BITS;
const MASK: u32 = (1 << BITS) - 1;

impl<T> Segments<T> {
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// What is held, in bytes, without what the allocator adds.
    pub(super) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.capacity().saturating_mul(size_of::<T>())).sum()
    }

    /// Appends an item; its index, or `None` where there is no memory.
    pub(super) fn push(&mut self, item: T) -> Option<u32> {
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            let mut piece = Vec::new();
            piece.try_reserve_exact(PIECE).ok()?;
            self.pieces.try_reserve(1).ok()?;
            self.pieces.push(piece);
        }
        let index = self.len;
        self.len = index.checked_add(1)?;
        self.pieces.last_mut()?.push(item);
        Some(index)
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.pieces.get(usize::try_from(index >> BITS).ok()?)?.get(usize::try_from(index & MASK).ok()?)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pieces.get_mut(usize::try_from(index >> BITS).ok()?)?.get_mut(usize::try_from(index & MASK).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_are_put() {
        let mut list = Segments::new();
        let count = u32::try_from(PIECE * 3 + 1).unwrap();
        for n in 0..count {
            assert_eq!(list.push(u64::from(n) * 7), Some(n));
        }
        assert!((0..count).all(|n| list.get(n) == Some(&(u64::from(n) * 7))));
        *list.get_mut(5000).unwrap() = 1;
        assert_eq!((list.get(5000), list.get(count), list.get(u32::MAX)), (Some(&1), None, None));
        assert_eq!((list.len(), list.bytes()), (count, PIECE * 4 * 8));
    }
}
