//! The frontend's log: lines of `LEVEL message key=value` on standard error, which is a pipe that the executor reads, bounds and
//! writes on. It never waits for that: what the pipe has no room for is dropped and counted.
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::write;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// PIPE_BUF (pipe(7)): a line of this length goes into the pipe whole or not at all.
const LONGEST: usize = 4096;

static LEVEL: AtomicU8 = AtomicU8::new(2);

/// Begins to log.
///
/// # Errors
/// Standard error can't be made not to wait.
pub fn init() -> io::Result<()> {
    let stderr = io::stderr();
    let flags = OFlag::from_bits_retain(fcntl(&stderr, FcntlArg::F_GETFL)?);
    fcntl(&stderr, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    let format = tracing_subscriber::fmt::layer().without_time().with_target(false).with_ansi(false);
    let filter = dynamic_filter_fn(|metadata: &Metadata<'_>, _| is_logged(*metadata.level()));
    let log = tracing_subscriber::registry().with(filter).with(format.with_writer(Pipe(stderr)));
    // An error means that it has begun already.
    let _ = tracing::subscriber::set_global_default(log);
    Ok(())
}

/// Sets the least severe level that is logged: `error`, `warn`, `info`, `debug` or `trace`.
pub fn set_level(level: &str) {
    let rank = match level {
        "error" => 0,
        "warn" => 1,
        "debug" => 3,
        "trace" => 4,
        _ => 2,
    };
    LEVEL.store(rank, Ordering::Relaxed);
}

fn is_logged(level: Level) -> bool {
    let rank = match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    };
    rank <= LEVEL.load(Ordering::Relaxed)
}

/// A pipe that lines go into whole.
struct Pipe<Fd>(Fd);

static DROPPED: AtomicU64 = AtomicU64::new(0);

impl<Fd: AsFd> Pipe<Fd> {
    fn send(&self, line: &[u8]) {
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0
            && !self
                .send_one(format!("WARN {dropped} lines of the log were dropped: the executor was busy\n").as_bytes())
        {
            DROPPED.fetch_add(dropped, Ordering::Relaxed);
        }
        if !self.send_one(line) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send_one(&self, line: &[u8]) -> bool {
        loop {
            match write(&self.0, line) {
                Err(Errno::EINTR) => {}
                result => return result.is_ok(),
            }
        }
    }
}

impl<'a, Fd: AsFd> MakeWriter<'a> for Pipe<Fd>
where
    Self: 'a,
{
    type Writer = &'a Self;
    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// One call is one line, as tracing-subscriber's fmt layer makes it.
impl<Fd: AsFd> io::Write for &Pipe<Fd> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut line = bytes.get(..LONGEST.saturating_sub(1)).unwrap_or(bytes).to_vec();
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        line.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
        line.push(b'\n');
        self.send(&line);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use nix::unistd::pipe2;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;

    fn pipe() -> (File, Pipe<OwnedFd>) {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        (reader.into(), Pipe(writer))
    }
    fn read(pipe: &mut File) -> String {
        let mut bytes = vec![0; 1 << 20];
        let count = pipe.read(&mut bytes).unwrap_or(0);
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn an_event_is_a_line() {
        let (mut reader, writer) = pipe();
        let format = tracing_subscriber::fmt::layer().without_time().with_target(false).with_ansi(false);
        let filter = dynamic_filter_fn(|metadata: &Metadata<'_>, _| is_logged(*metadata.level()));
        let log = tracing_subscriber::registry().with(filter).with(format.with_writer(writer));
        tracing::subscriber::with_default(log, || {
            // One callsite, so that a level that was refused once is asked about again.
            for level in ["info", "debug", "error", "nonsense"] {
                set_level(level);
                tracing::warn!(uid = 7, text = "a\nb", "from\n{level}");
                tracing::debug!("detail");
            }
        });
        let lines: Vec<String> = read(&mut reader).lines().map(|line| line.trim_start().to_owned()).collect();
        assert_eq!(
            lines,
            [
                r#"WARN from info uid=7 text="a\nb""#,
                r#"WARN from debug uid=7 text="a\nb""#,
                "DEBUG detail",
                r#"WARN from nonsense uid=7 text="a\nb""#
            ]
        );

        // A reader that does not read costs lines, and no time.
        let (mut reader, writer) = pipe();
        let mut out = &writer;
        for _ in 0..1000 {
            out.write_all("x".repeat(5000).as_bytes()).unwrap();
        }
        let first = read(&mut reader);
        assert!(first.lines().all(|line| line.len() == LONGEST - 1), "whole lines, cut");
        let kept = first.lines().count();
        out.write_all(b"INFO again\n").unwrap();
        let expected =
            format!("WARN {} lines of the log were dropped: the executor was busy\nINFO again\n", 1000 - kept);
        assert_eq!(read(&mut reader), expected);
        drop(reader);
        out.write_all(b"INFO nobody reads\n").unwrap();
    }
}
