//! What is under way: a small file of fixed slots, so that start-up knows what a crash interrupted without reading the trail.
//!
//! ```text
//! slot of 8 KiB:  +----------+--------+---------------------+---------+
//!                 | checksum | length | one Entry in bincode | unused  |     checksum: FNV-1a of the entry, u32, little-endian
//!                 +----------+--------+---------------------+---------+     length: 0 in a free slot
//! ```
//! A slot is written by one pwrite and flushed before its command begins. Freeing one is not flushed: after a loss of power a
//! command that had ended may be told of again.
use crate::{Error, beneath::TemporaryName, trust::is_ours};
use nix::fcntl::{OFlag, open, posix_fallocate};
use nix::sys::stat::Mode;
use nix::unistd::{fdatasync, fsync};
use reeve_ipc::frame;
use reeve_shared::{AbsolutePath, Caller, RequestId};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SLOT: usize = 8 << 10;
const CHECKSUM: usize = 4;
/// Checksum and length.
const HEADER: usize = CHECKSUM + 4;
/// More slots than any configuration has commands at work.
const MOST_SLOTS: usize = 1024;

/// A command that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The id of its request.
    pub request_id: RequestId,
    /// Who asked.
    pub caller: Caller,
    /// Its name.
    pub command: String,
    /// The path that it is about, if it is about one.
    pub path: Option<AbsolutePath>,
    /// The name that its temporary files have.
    pub temporary: TemporaryName,
}

/// The journal of one daemon.
#[derive(Debug)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: File,
    path: PathBuf,
    free: Mutex<Vec<usize>>,
}

/// What the journal held when it was opened.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// Commands that were under way when the daemon ended. Each keeps its slot until that is ended: once it was seen to.
    pub under_way: Vec<(Entry, Slot)>,
    /// Slots that held something unreadable. They are free now.
    pub unreadable: usize,
}

/// A slot that is taken, until [`Slot::end`]. One that is dropped stays taken: what it is about will be told of at the next start.
#[derive(Debug)]
#[must_use = "a slot has to be ended"]
pub struct Slot {
    shared: Arc<Shared>,
    index: usize,
}

impl Journal {
    /// Opens the journal in `state_dir`, making it if it is absent, with room for `slots` commands or for as many as it had.
    ///
    /// # Errors
    /// [`Error::Journal`]: it can't be opened, or is not a regular file of ours that is nobody else's to write.
    pub fn open(state_dir: &Path, slots: usize) -> Result<Opened, Error> {
        let path = state_dir.join("journal");
        let (file, slots) = open_file(&path, slots.min(MOST_SLOTS)).map_err(failed(&path, "opened"))?;
        let shared = Arc::new(Shared { file, path, free: Mutex::default() });
        let (mut under_way, mut unreadable) = (Vec::new(), 0_usize);
        for index in 0..slots {
            let mut bytes = [0; SLOT];
            shared.file.read_exact_at(&mut bytes, offset(index)).map_err(failed(&shared.path, "read"))?;
            let slot = || Slot { shared: Arc::clone(&shared), index };
            match decode(&bytes) {
                Ok(None) => shared.free().push(index),
                Ok(Some(entry)) => under_way.push((entry, slot())),
                Err(Unreadable) => {
                    unreadable = unreadable.saturating_add(1);
                    slot().end();
                }
            }
        }
        Ok(Opened { journal: Self(shared), under_way, unreadable })
    }

    /// Notes that a command begins. It may, once this has succeeded.
    ///
    /// # Errors
    /// [`Error::JournalFull`], or [`Error::Journal`] if it can't be written.
    pub fn begin(&self, entry: &Entry) -> Result<Slot, Error> {
        let index = self.0.free().pop().ok_or(Error::JournalFull)?;
        let slot = Slot { shared: Arc::clone(&self.0), index };
        let write = |bytes: Vec<u8>| {
            let written = self.0.file.write_all_at(&bytes, offset(index));
            written.and_then(|()| Ok(fdatasync(&self.0.file)?)).map_err(failed(&self.0.path, "written"))
        };
        if let Err(error) = encode(entry).and_then(write) {
            slot.end();
            return Err(error);
        }
        Ok(slot)
    }
}

impl Slot {
    /// The command has ended, and its outcome is recorded.
    pub fn end(self) {
        match self.shared.file.write_all_at(&[0; HEADER], offset(self.index)) {
            Ok(()) => self.shared.free().push(self.index),
            // It stays taken: what it says would be told of a command that has ended.
            Err(error) => tracing::error!(path = ?self.shared.path, %error, "a slot of the journal is lost"),
        }
    }
}

impl Shared {
    /// What runs under this lock can't panic.
    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Error::Journal`] says of a failure.
fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |why| Error::Journal { path: path.to_owned(), doing, why }
}

/// Opens the file and gives it room on the disk, so that a full one is met at start and not by a command.
fn open_file(path: &Path, slots: usize) -> io::Result<(File, usize)> {
    let flags =
        OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = File::from(open(path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || !is_ours(metadata.uid()) || metadata.mode() & 0o077 != 0 {
        let why = "it has to be a regular file of root's with mode 0600; move it away, and a new one is made";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let had = usize::try_from(metadata.len()).unwrap_or(usize::MAX).div_ceil(SLOT).min(MOST_SLOTS);
    let slots = slots.max(had);
    posix_fallocate(&file, 0, i64::try_from(offset(slots)).unwrap_or(i64::MAX))?;
    fsync(&file)?;
    Ok((file, slots))
}

fn offset(index: usize) -> u64 {
    u64::try_from(index.saturating_mul(SLOT)).unwrap_or(u64::MAX)
}

fn encode(entry: &Entry) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; CHECKSUM];
    frame::append(&mut bytes, entry)?;
    let sum = checksum(bytes.get(HEADER..).unwrap_or_default());
    if let Some(field) = bytes.first_chunk_mut() {
        *field = sum.to_le_bytes();
    }
    if bytes.len() > SLOT { Err(reeve_ipc::Error::TooLong(bytes.len()).into()) } else { Ok(bytes) }
}

/// A slot that holds what no command wrote, or wrote only in part.
struct Unreadable;

/// What a slot holds; `None` if it is free.
fn decode(slot: &[u8; SLOT]) -> Result<Option<Entry>, Unreadable> {
    let [a, b, c, d, e, f, g, h, body @ ..] = slot;
    let (sum, length) = (u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h]));
    if length == 0 {
        return Ok(None);
    }
    let entry = usize::try_from(length).ok().and_then(|length| body.get(..length));
    let entry = entry.filter(|entry| checksum(entry) == sum).ok_or(Unreadable)?;
    frame::decode(entry).map(Some).map_err(|_| Unreadable)
}

/// FNV-1a: it has to notice a write that was cut off, not an attacker, who would have to be root.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
