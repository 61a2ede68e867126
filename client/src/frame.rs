//! Frames: a length, then one message of JSON.
//!
//! ```text
//!  0        4                      4 + length
//!  +--------+----------------------+
//!  | length | one message in JSON  |      length: u32, big-endian, 1 or more
//!  +--------+----------------------+
//! ```
use crate::error::Error;

/// The longest answer that is read, in bytes: a command's 64 KiB of output, escaped, and much room beside it.
pub const MAX_ANSWER: usize = 1 << 20;

const HEADER: usize = 4;

/// Appends `message` as a frame to `out`.
///
/// # Errors
/// [`Error::RequestTooLong`] if the length of the message doesn't fit its header.
pub fn append(out: &mut Vec<u8>, message: &[u8]) -> Result<(), Error> {
    let length = u32::try_from(message.len()).map_err(|_| Error::RequestTooLong(message.len()))?;
    out.reserve(HEADER.saturating_add(message.len()));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    Ok(())
}

/// Makes messages of the pieces in which they come.
#[derive(Debug, Default)]
pub struct Assembler {
    buffer: Vec<u8>,
    /// Where the next frame begins.
    start: usize,
}

impl Assembler {
    /// Takes up what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None` if more must be read first.
    ///
    /// # Errors
    /// [`Error::AnswerTooLong`] over [`MAX_ANSWER`], [`Error::MalformedAnswer`] if it is empty.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, Error> {
        let unread = self.buffer.get(self.start..).unwrap_or_default();
        let Some((header, rest)) = unread.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        if length == 0 {
            return Err(Error::MalformedAnswer("it is empty".into()));
        }
        if length > MAX_ANSWER {
            return Err(Error::AnswerTooLong(length));
        }
        let message = rest.get(..length);
        if message.is_some() {
            self.start = self.start.saturating_add(HEADER).saturating_add(length);
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let messages: Vec<Vec<u8>> = (1..50).map(|length| vec![b'x'; length * 7 % 31 + 1]).collect();
        let mut stream = Vec::new();
        for message in &messages {
            append(&mut stream, message).unwrap();
        }
        for cut in 1..40 {
            let (mut assembler, mut got) = (Assembler::default(), Vec::new());
            for piece in stream.chunks(cut) {
                assembler.push(piece);
                while let Some(message) = assembler.next_message().unwrap() {
                    got.push(message.to_vec());
                }
            }
            assert_eq!(got, messages, "in pieces of {cut}");
        }
    }

    #[test]
    fn an_answer_that_is_too_long_is_refused_by_its_length_alone() {
        let mut assembler = Assembler::default();
        assembler.push(&u32::try_from(MAX_ANSWER).unwrap().to_be_bytes());
        assert!(matches!(assembler.next_message(), Ok(None)));
        let mut assembler = Assembler::default();
        assembler.push(&u32::try_from(MAX_ANSWER + 1).unwrap().to_be_bytes());
        assert!(matches!(assembler.next_message(), Err(Error::AnswerTooLong(length)) if length == MAX_ANSWER + 1));
    }

    #[test]
    fn an_empty_answer_is_malformed() {
        let mut assembler = Assembler::default();
        assembler.push(&[0; 4]);
        assert!(matches!(assembler.next_message(), Err(Error::MalformedAnswer(_))));
    }
}
