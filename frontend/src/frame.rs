//! The frames of the public socket: a 4-byte big-endian length, and as many bytes of JSON.

/// The length before a message, in bytes.
pub(crate) const HEADER: usize = 4;

/// The length of a frame with its header.
pub(crate) fn whole_length(header: &[u8; HEADER]) -> usize {
    usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX).saturating_add(HEADER)
}
