//! The frontend's log: read from its pipe, bounded, and written as the frontend's.
use super::{Line, level_of};
use crate::config::Level;
use reeve_shared::Flood;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// The longest line that is kept, in bytes.
const LONGEST: usize = 4096;
/// What one token of the flood bound stands for, in bytes.
const PIECE: usize = 256;
/// 256 KiB at once, and then 1 KiB a second: some 90 MB a day at the most.
const BURST: u32 = 1024;
const EVERY: Duration = Duration::from_millis(250);

/// Reads the frontend's log until its end, in a thread of its own; what is returned is closed then. A frontend that was taken over can say what it likes, but not
/// more of it than a disk can bear, and not in another's name.
///
/// # Errors
/// No thread can be made.
pub fn drain(log: impl Read + Send + 'static) -> std::io::Result<Receiver<()>> {
    let (end, ended) = channel();
    Builder::new().name("log".to_owned()).stack_size(128 << 10).spawn(move || {
        let started = Instant::now();
        read_all(log, || started.elapsed(), |level, line| line.write(level));
        drop::<Sender<()>>(end);
    })?;
    Ok(ended)
}

fn read_all(log: impl Read, clock: impl Fn() -> Duration, mut write: impl FnMut(Level, &Line)) {
    let mut log = BufReader::with_capacity(LONGEST, log);
    let mut flood = Flood::new(BURST, EVERY);
    let mut left_out = 0_u64;
    while let Some(text) = next_line(&mut log) {
        let pieces = text.len().div_ceil(PIECE).max(1);
        if !(0..pieces).all(|_| flood.admit(clock()).is_some()) {
            left_out = left_out.saturating_add(1);
            continue;
        }
        tell_left_out(&mut left_out, &mut write);
        let (level, message) = split(&text);
        write(level, &Line { from: Some("frontend"), message: message.to_owned(), fields: vec![] });
    }
    tell_left_out(&mut left_out, &mut write);
}

fn tell_left_out(left_out: &mut u64, write: &mut impl FnMut(Level, &Line)) {
    if *left_out > 0 {
        let message = format!("{} lines of the frontend's log were left out", std::mem::take(left_out));
        write(Level::Warn, &Line { from: None, message, fields: vec![] });
    }
}

/// The next line, without its end, or as much of it as is kept; `None` at the end.
fn next_line(log: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::with_capacity(LONGEST);
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX).saturating_add(1);
    // What can't be read is at its end.
    let _ = log.take(limit).read_until(b'\n', &mut line);
    if line.is_empty() {
        return None;
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let Some((kept, [_, ..])) = line.split_at_checked(LONGEST) else {
        return Some(String::from_utf8_lossy(line).into_owned());
    };
    let _ = log.skip_until(b'\n');
    Some(format!("{}...", String::from_utf8_lossy(kept)))
}

/// A line's level, which is its first word; `info` where that is none.
fn split(line: &str) -> (Level, &str) {
    let line = line.trim_start();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    level_of(word).map_or((Level::Info, line), |level| (level, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], clock: impl Fn() -> Duration) -> Vec<(Level, String)> {
        let mut lines = Vec::new();
        read_all(text, clock, |level, line| lines.push((level, line.message.clone())));
        lines
    }

    #[test]
    fn lines_keep_their_level() {
        let text = b" INFO a b=1\nERROR c\nnothing of the kind\nWARN\n\nlast";
        let expected = [
            (Level::Info, "a b=1"),
            (Level::Error, "c"),
            (Level::Info, "nothing of the kind"),
            (Level::Warn, ""),
            (Level::Info, ""),
            (Level::Info, "last"),
        ];
        assert_eq!(lines(text, || Duration::ZERO), expected.map(|(level, text)| (level, text.to_owned())));
    }

    #[test]
    fn a_long_line_is_cut() {
        let text = [vec![b'a'; 1 << 20], b"\nINFO b\n".to_vec()].concat();
        let read = lines(&text, || Duration::ZERO);
        assert_eq!(read.first().map(|(_, text)| (text.len(), text.ends_with("a..."))), Some((LONGEST + 3, true)));
        assert_eq!(read.get(1), Some(&(Level::Info, "b".to_owned())));
        let longest = lines(&vec![b'a'; LONGEST], || Duration::ZERO);
        assert_eq!(longest.first().map(|(_, text)| text.len()), Some(LONGEST));
    }

    #[test]
    fn a_flood_is_bounded_in_bytes_and_counted() {
        let long = format!("INFO {}\n", "x".repeat(4000)).repeat(1000);
        let read = lines(long.as_bytes(), || Duration::ZERO);
        assert_eq!(read.len(), 64 + 1, "1024 tokens are 64 lines of 16");
        assert_eq!(read.last(), Some(&(Level::Warn, "936 lines of the frontend's log were left out".to_owned())));
        let short = "INFO x\n".repeat(5000);
        assert_eq!(lines(short.as_bytes(), || Duration::ZERO).len(), 1024 + 1);
        let now = std::cell::Cell::new(Duration::ZERO);
        let trickle = lines("INFO x\n".repeat(5000).as_bytes(), || {
            now.set(now.get() + EVERY);
            now.get()
        });
        assert_eq!(trickle.len(), 5000);
    }

    #[test]
    fn what_is_no_text_is_read_all_the_same() {
        assert_eq!(lines(b"INFO \xff\xfe\0\n", || Duration::ZERO), [(Level::Info, "\u{fffd}\u{fffd}\0".to_owned())]);
    }
}
