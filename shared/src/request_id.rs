//! The id that ties an answer, the log and the audit trail together.
use serde::{Deserialize, Serialize};
use std::fmt;

/// A version 4 UUID (RFC 9562), minted by the process that answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Makes an id of 16 random bytes; six bits of them become version and variant.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid().into_bytes())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}
impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many bytes are drawn at once: a system call for 256 ids.
const DRAW: usize = 4096;

/// Mints ids from randomness that is drawn in large pieces.
pub struct Minter<F> {
    draw: F,
    bytes: Vec<u8>,
    used: usize,
}

impl<F: FnMut(&mut [u8]) -> bool> Minter<F> {
    /// A minter that fills its buffer by `draw`, which says whether it could.
    pub fn new(draw: F) -> Self {
        Self { draw, bytes: Vec::new(), used: 0 }
    }

    /// `N` random bytes, N being a divisor of 4096; `None` if the system gives none.
    pub fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        if self.bytes.len().saturating_sub(self.used) < N {
            self.bytes.resize(DRAW, 0);
            self.used = 0;
            if !(self.draw)(&mut self.bytes) {
                self.bytes.clear();
                return None;
            }
        }
        let piece = self.bytes.get_mut(self.used..)?.first_chunk_mut::<N>()?;
        self.used = self.used.saturating_add(N);
        Some(std::mem::replace(piece, [0; N]))
    }

    /// A fresh id; `None` if the system gives no randomness.
    pub fn mint(&mut self) -> Option<RequestId> {
        self.bytes().map(RequestId::from_random)
    }
}

impl<F> fmt::Debug for Minter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Minter")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_given_twice_and_none_without_randomness() {
        let (mut next, mut draws) = (0_u8, 0);
        let mut minter = Minter::new(|bytes: &mut [u8]| {
            draws += 1;
            bytes.iter_mut().for_each(|byte| {
                *byte = next;
                next = next.wrapping_add(1);
            });
            true
        });
        assert_eq!(minter.bytes(), Some([0, 1, 2, 3]));
        assert_eq!(minter.bytes(), Some([4, 5]));
        let ids: Vec<_> = (0..256).map(|_| minter.mint().unwrap().to_string()).collect();
        assert!(ids[0].starts_with("06070809"));
        drop(minter);
        assert_eq!(draws, 2);
        assert!(Minter::new(|_: &mut [u8]| false).mint().is_none());
    }

    #[test]
    fn an_id_is_a_version_4_uuid() {
        let text = RequestId::from_random([0xff; 16]).to_string();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
