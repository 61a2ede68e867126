//! Requests that were handed to the executor. The id on the link is a slot and its generation, so that an answer that is
//! stale, forged or given twice finds nothing.

/// Values by the ids that were given for them.
#[derive(Debug)]
pub(crate) struct InFlight<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> InFlight<T> {
    /// None.
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    /// Keeps a value; its id is that of no other for the next 2^32 values of its slot.
    pub(crate) fn insert(&mut self, value: T) -> u64 {
        let reused = self.free.pop().and_then(|index| Some((index, self.slots.get_mut(usize::try_from(index).ok()?)?)));
        if let Some((index, slot)) = reused {
            slot.generation = slot.generation.wrapping_add(1);
            slot.value = Some(value);
            return id(index, slot.generation);
        }
        // There are far fewer than 2^32: connections and requests of each are bounded.
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { generation: 0, value: Some(value) });
        id(index, 0)
    }

    /// Gives the value of an id back, once.
    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        let (index, generation) = (u32::try_from(id & u64::from(u32::MAX)).ok()?, u32::try_from(id >> 32).ok()?);
        let slot = self.slots.get_mut(usize::try_from(index).ok()?).filter(|slot| slot.generation == generation)?;
        let value = slot.value.take()?;
        self.free.push(index);
        Some(value)
    }

    /// Whether none is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    /// Takes out all that is there.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.free.clear();
        self.slots.drain(..).filter_map(|slot| slot.value)
    }
}

fn id(index: u32, generation: u32) -> u64 {
    (u64::from(generation) << 32) | u64::from(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_finds_its_value_once_and_a_stale_one_nothing() {
        let mut in_flight = InFlight::new();
        let (first, second) = (in_flight.insert('a'), in_flight.insert('b'));
        assert_eq!(in_flight.remove(first), Some('a'));
        assert_eq!(in_flight.remove(first), None);
        let third = in_flight.insert('c');
        assert_ne!(third, first);
        assert_eq!((in_flight.remove(first), in_flight.remove(u64::MAX), in_flight.remove(99)), (None, None, None));
        assert_eq!((in_flight.remove(third), in_flight.remove(second)), (Some('c'), Some('b')));
        let slots = in_flight.slots.len();
        for _ in 0..1000 {
            let id = in_flight.insert('x');
            assert_eq!(in_flight.remove(id), Some('x'));
        }
        assert_eq!(in_flight.slots.len(), slots, "slots are used again");
        assert!(in_flight.is_empty());
        in_flight.insert('y');
        assert!(!in_flight.is_empty());
        assert_eq!(in_flight.drain().collect::<String>(), "y");
    }
}
