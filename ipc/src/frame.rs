//! Frames: a length, then one bincode value. This is the one file that names bincode.
//!
//! ```text
//!  0        4                      4 + length
//!  +--------+----------------------+
//!  | length | one value in bincode |      length: u32, little-endian, 1 to MAX_FRAME
//!  +--------+----------------------+
//! ```
//! The hello of each end has the version (u32, little-endian) before its value, so that it is understood whatever the rest is.
use crate::error::Error;
use crate::message::VERSION;
use bincode::Options;
use reeve_shared::Content;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

/// The longest frame, in bytes without its length: the longest content and room for the rest of a request.
pub const MAX_FRAME: usize = Content::MAX + (64 << 10);

const HEADER: usize = 4;
/// What is asked for with one read.
const READ: usize = 64 << 10;

fn codec() -> impl Options {
    let limit = u64::try_from(MAX_FRAME).unwrap_or(u64::MAX);
    bincode::DefaultOptions::new().with_fixint_encoding().with_limit(limit).reject_trailing_bytes()
}

/// Appends `value` as a frame to `out`, which is left as it was after an error.
///
/// # Errors
/// [`Error::TooLong`].
pub fn append<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    append_with(out, &[], value)
}

/// Appends the first frame of an end: the version, then `value`.
///
/// # Errors
/// [`Error::TooLong`].
pub fn append_hello<T: Serialize>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    append_with(out, &VERSION.to_le_bytes(), value)
}

fn append_with<T: Serialize>(out: &mut Vec<u8>, before: &[u8], value: &T) -> Result<(), Error> {
    let begin = out.len();
    let result = write_frame(out, before, value);
    if result.is_err() {
        out.truncate(begin);
    }
    result
}

fn write_frame<T: Serialize>(out: &mut Vec<u8>, before: &[u8], value: &T) -> Result<(), Error> {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER]);
    out.extend_from_slice(before);
    codec().serialize_into(&mut *out, value).map_err(|error| Error::Malformed(error.to_string()))?;
    let length = out.len().saturating_sub(begin).saturating_sub(HEADER);
    let field = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME).ok_or(Error::TooLong(length))?;
    if let Some(header) = out.get_mut(begin..begin.saturating_add(HEADER)) {
        header.copy_from_slice(&field.to_le_bytes());
    }
    Ok(())
}

/// Reads the value of one frame.
///
/// # Errors
/// [`Error::Malformed`], after trailing bytes too.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, Error> {
    codec().deserialize(frame).map_err(|error| Error::Malformed(error.to_string()))
}

/// Reads the first frame of the other end.
///
/// # Errors
/// [`Error::Version`] before anything else of it is looked at, [`Error::Malformed`].
pub fn decode_hello<T: DeserializeOwned>(frame: &[u8]) -> Result<T, Error> {
    let (version, rest) =
        frame.split_first_chunk().ok_or_else(|| Error::Malformed("a hello of less than four bytes".to_owned()))?;
    match u32::from_le_bytes(*version) {
        VERSION => decode(rest),
        theirs => Err(Error::Version { theirs, ours: VERSION }),
    }
}

/// Puts frames together from what a socket gives. Memory grows with what has come, never with what a length announces.
#[derive(Debug, Default)]
pub struct Assembler {
    buffer: Vec<u8>,
    /// Where the first byte that was not handed out stands.
    start: usize,
    /// Where the last byte that was received ends.
    end: usize,
}

impl Assembler {
    /// Room for the next read: 64 KiB, or what a frame that is under way still lacks if that is less.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.end.saturating_sub(self.start);
            self.start = 0;
        }
        let wanted = self.end.saturating_add(READ);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        } else if self.end == 0 && self.buffer.len() > READ {
            self.buffer.truncate(READ);
            self.buffer.shrink_to_fit();
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes note of `count` bytes that were read into [`Assembler::space`].
    pub fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.buffer.len());
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`Error::TooLong`] as soon as a length says so; [`Error::Malformed`] for a length of 0.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Error> {
        let received = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((header, rest)) = received.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(Error::TooLong(length));
        }
        if length == 0 {
            return Err(Error::Malformed("a frame of 0 bytes".to_owned()));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let begin = self.start.saturating_add(HEADER);
        self.start = begin.saturating_add(length);
        Ok(self.buffer.get(begin..self.start))
    }

    /// Whether a frame has begun and is not whole. Ask after [`Assembler::next_frame`] has given `None`.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.start < self.end
    }

    /// Overwrites what was received: a hello holds secrets. Bytes that were not handed out yet are kept.
    pub fn wipe(&mut self) {
        if let Some(used) = self.buffer.get_mut(..self.start) {
            used.zeroize();
        }
        if let Some(unused) = self.buffer.get_mut(self.end..) {
            unused.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(assembler: &mut Assembler, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = assembler.space();
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            assembler.filled(count);
            bytes = &bytes[count..];
        }
    }

    #[test]
    fn a_length_over_the_limit_takes_no_memory() {
        let mut assembler = Assembler::default();
        feed(&mut assembler, &u32::MAX.to_le_bytes());
        assert!(matches!(assembler.next_frame(), Err(Error::TooLong(_))));
        assert!(assembler.buffer.capacity() <= 2 * READ);
    }

    #[test]
    fn a_length_of_zero_is_malformed() {
        let mut assembler = Assembler::default();
        feed(&mut assembler, &[0; 4]);
        assert!(matches!(assembler.next_frame(), Err(Error::Malformed(_))));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut out = Vec::new();
        append(&mut out, &7_u32).unwrap();
        assert_eq!(decode::<u32>(&out[HEADER..]).unwrap(), 7);
        out.push(0);
        assert!(matches!(decode::<u32>(&out[HEADER..]), Err(Error::Malformed(_))));
    }

    #[test]
    fn a_length_within_a_frame_can_not_exceed_the_frame() {
        // A string that announces 2^62 bytes and brings four.
        let mut bytes = (1_u64 << 62).to_le_bytes().to_vec();
        bytes.extend_from_slice(b"four");
        assert!(matches!(decode::<String>(&bytes), Err(Error::Malformed(_))));
        assert!(matches!(decode::<Vec<u64>>(&bytes), Err(Error::Malformed(_))));
    }

    #[test]
    fn a_hello_of_another_version_is_named_before_it_is_decoded() {
        let mut out = Vec::new();
        append_hello(&mut out, &7_u32).unwrap();
        assert_eq!(decode_hello::<u32>(&out[HEADER..]).unwrap(), 7);
        out[HEADER] = 99;
        let error = decode_hello::<u32>(&out[HEADER..HEADER + 4]).unwrap_err();
        assert!(matches!(error, Error::Version { theirs: 99, ours: VERSION }));
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_begun() {
        let mut out = b"before".to_vec();
        assert!(append(&mut out, &"x".repeat(MAX_FRAME)).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_large_frame_leaves_no_large_buffer_and_a_wipe_leaves_nothing() {
        let (mut out, mut assembler) = (Vec::new(), Assembler::default());
        append(&mut out, &"s".repeat(1 << 20)).unwrap();
        feed(&mut assembler, &out);
        assert!(assembler.next_frame().unwrap().is_some() && !assembler.is_partial());
        assembler.wipe();
        assert!(assembler.buffer.iter().all(|byte| *byte == 0));
        assembler.space();
        assert!(assembler.buffer.capacity() < 2 * READ);
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..20), cut in 1_usize..97,
        ) {
            let (mut out, mut got, mut assembler) = (Vec::new(), Vec::new(), Assembler::default());
            for value in &values {
                append(&mut out, value).unwrap();
            }
            for piece in out.chunks(cut) {
                feed(&mut assembler, piece);
                while let Some(frame) = assembler.next_frame().unwrap() {
                    got.push(decode::<Vec<u8>>(frame).unwrap());
                }
            }
            prop_assert_eq!(got, values);
            prop_assert!(!assembler.is_partial());
        }

        #[test]
        fn hostile_bytes_are_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode::<crate::message::ToExecutor>(&bytes);
            let _ = decode_hello::<crate::message::Setup>(&bytes);
            let mut assembler = Assembler::default();
            feed(&mut assembler, &bytes);
            while let Ok(Some(_)) = assembler.next_frame() {}
        }
    }
}
