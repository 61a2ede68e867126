//! Files and folders that the daemon stands on: opened without following a link, and checked by their descriptor before a byte
//! is used.
use crate::{Error, error::OrFailed, sys::Entries, trust::is_ours};
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::mkdir;
use reeve_ipc::message::Template;
use reeve_shared::{AbsolutePath, Secret, TemplateName};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The largest configuration, in bytes.
const MAX_CONFIG: usize = 1 << 20;
/// The lengths of a secret, in bytes.
const MIN_SECRET: usize = 32;
const MAX_SECRET: usize = 4096;

/// Reads the configuration's text.
///
/// # Errors
/// [`Error::Unfit`]: it is a link, no regular file, not root's, can be written by others, is too large or no UTF-8.
pub(crate) fn read_config(path: &Path) -> Result<String, Error> {
    Input::open(path, OFlag::O_RDONLY)?.regular()?.ours()?.text(MAX_CONFIG)
}

/// Reads a secret.
///
/// # Errors
/// [`Error::Unfit`]: it is a link, no regular file, not root's, anything but 0600 or 0400, too short or too long.
pub(crate) fn read_secret(path: &Path) -> Result<Secret, Error> {
    let input = Input::open(path, OFlag::O_RDONLY)?;
    let mode = input.regular()?.mode();
    if !matches!(mode, 0o600 | 0o400) {
        let known = if mode & 0o077 == 0 { "" } else { ", and make a new secret: others may know this one" };
        return Err(input.unfit(format!("has mode {mode:04o}: `chmod 600` it{known}")));
    }
    let secret = Secret::new(input.ours()?.read(MAX_SECRET)?);
    let length = secret.expose().strip_suffix(b"\n").unwrap_or(secret.expose()).len();
    if length < MIN_SECRET {
        let mend = "`openssl rand -base64 32` makes one";
        return Err(input.unfit(format!("holds {length} bytes, a secret has {MIN_SECRET} or more: {mend}")));
    }
    Ok(secret)
}

/// Opens a file that records are appended to, making it and its folder if they are absent: 0600 in a folder of 0750.
///
/// # Errors
/// [`Error::Unfit`]: it is a link, no regular file, not root's, or can be written by others.
pub(crate) fn open_log(path: &Path) -> Result<File, Error> {
    if let Some(folder) = path.parent().filter(|folder| folder.parent().is_some()) {
        make_folder(folder, 0o750)?;
    }
    let log = Input::open(path, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)?;
    log.regular()?.ours()?;
    Ok(log.file)
}

/// Opens a folder of ours. If it is absent it is made with `mode`, those above it 0755.
///
/// # Errors
/// [`Error::Unfit`]: it is a link, not ours, or others can write in it.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<Input, Error> {
    let made = match (mkdir(path, Mode::S_IRWXU), path.parent()) {
        (Err(Errno::ENOENT), Some(parent)) => {
            make_folder(parent, 0o755)?;
            return make_folder(path, mode);
        }
        (Err(Errno::EEXIST), _) => false,
        (made, _) => made.or_failed(path, "making the folder").map(|()| true)?,
    };
    let folder = Input::open(path, OFlag::O_DIRECTORY)?;
    folder.ours()?;
    if made {
        fchmod(&folder.file, Mode::from_bits_truncate(mode)).or_failed(path, "setting its mode")?;
    }
    Ok(folder)
}

/// The absolute path of a file that was named on the command line. The file itself may be a link; that is seen when it is opened.
///
/// # Errors
/// [`Error::Unfit`].
pub(crate) fn absolute(path: &Path) -> Result<AbsolutePath, Error> {
    let whole = Path::new(".").join(path);
    let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) else {
        return Err(Error::unfit(path, "names no file"));
    };
    let whole = folder.canonicalize().or_failed(path, "finding its folder")?.join(name);
    Ok(whole.to_str().ok_or_else(|| Error::unfit(path, "is not UTF-8"))?.try_into()?)
}

/// A file or folder that was opened, and what the system says of it.
#[derive(Debug)]
pub(crate) struct Input {
    /// Where it was found.
    pub(crate) path: PathBuf,
    /// It.
    pub(crate) file: File,
    /// Its owner, mode and kind.
    pub(crate) metadata: Metadata,
}

impl Input {
    /// Looks at what was opened at `path`.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(path: PathBuf, opened: OwnedFd) -> Result<Self, Error> {
        let file = File::from(opened);
        let metadata = file.metadata().or_failed(&path, "looking at it")?;
        Ok(Self { path, file, metadata })
    }

    fn open(path: &Path, flags: OFlag) -> Result<Self, Error> {
        Self::open_in(AT_FDCWD, path, path.to_owned(), flags)
    }

    /// Opens `name` in `folder`, which together are `path`. What O_CREAT makes has the mode 0600.
    fn open_in<N: ?Sized + NixPath>(folder: impl AsFd, name: &N, path: PathBuf, flags: OFlag) -> Result<Self, Error> {
        // No link is followed, no fifo or lease waited for, no terminal taken.
        let careful = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let opened = openat(folder, name, flags | careful, Mode::S_IRUSR | Mode::S_IWUSR);
        if let Err(Errno::ELOOP | Errno::ENOTDIR) = opened {
            let kind = if flags.contains(OFlag::O_DIRECTORY) { "folder" } else { "file" };
            let why = format!("is a symlink or no {kind}: put the {kind} itself there, or name another");
            return Err(Error::unfit(path, why));
        }
        let opened = opened.or_failed(&path, "opening it")?;
        Self::new(path, opened)
    }

    /// Its permission bits.
    pub(crate) fn mode(&self) -> u32 {
        self.metadata.mode() & 0o7777
    }

    /// That only root, or who runs the daemon, can write it.
    pub(crate) fn ours(&self) -> Result<&Self, Error> {
        if !is_ours(self.metadata.uid()) {
            return Err(self.unfit(format!("is owned by uid {}: `chown root` it", self.metadata.uid())));
        }
        if self.mode() & 0o022 != 0 {
            return Err(self.unfit("can be written by group or others: `chmod go-w` it"));
        }
        Ok(self)
    }

    /// An [`Error::Unfit`] of it.
    pub(crate) fn unfit(&self, why: impl Into<String>) -> Error {
        Error::unfit(&self.path, why)
    }

    fn regular(&self) -> Result<&Self, Error> {
        if self.metadata.is_file() { Ok(self) } else { Err(self.unfit("is no regular file: put one there")) }
    }

    fn read(&self, most: usize) -> Result<Vec<u8>, Error> {
        // Taken at once and with room to spare: a buffer that grows leaves a copy of what it held.
        let mut bytes = Vec::with_capacity(most.saturating_add(64));
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        (&self.file).take(limit).read_to_end(&mut bytes).or_failed(&self.path, "reading it")?;
        if bytes.len() > most {
            return Err(self.unfit(format!("is longer than {most} bytes")));
        }
        Ok(bytes)
    }

    fn text(&self, most: usize) -> Result<String, Error> {
        let mut text = String::from_utf8(self.read(most)?).map_err(|_| self.unfit("is no UTF-8 text"))?;
        text.shrink_to_fit();
        Ok(text)
    }
}

/// Templates as they are collected, within bounds that all folders share.
#[derive(Debug, Default)]
pub(crate) struct Templates(BTreeMap<TemplateName, String>);

impl Templates {
    /// The largest template, and all of them together, in bytes: they travel in one frame.
    const MAX_BYTES: usize = 256 << 10;
    const MAX_TOTAL: usize = 12 << 20;
    const MAX_COUNT: usize = 1024;
    const MAX_DEPTH: usize = 8;

    /// Reads the templates beneath a folder, which may be absent. Of two with one name the first that was read counts.
    ///
    /// # Errors
    /// [`Error::Unfit`]: the folder or something beneath it is a link, not root's, can be written by others, or is too much.
    pub(crate) fn read_folder(&mut self, path: &Path) -> Result<(), Error> {
        match Input::open(path, OFlag::O_DIRECTORY) {
            Err(Error::File { why, .. }) if why.kind() == ErrorKind::NotFound => Ok(()),
            folder => self.walk(folder?, ""),
        }
    }

    /// What was found, by name.
    pub(crate) fn finish(self) -> Vec<Template> {
        self.0.into_iter().map(|(name, source)| Template { name, source }).collect()
    }

    /// Reads a folder whose templates' names begin with `above`.
    fn walk(&mut self, folder: Input, above: &str) -> Result<(), Error> {
        folder.ours()?;
        if above.matches('/').count() > Self::MAX_DEPTH {
            return Err(folder.unfit(format!("lies more than {} folders deep", Self::MAX_DEPTH)));
        }
        let reading = "reading the folder";
        let mut entries = Entries::new(folder.file.into()).or_failed(&folder.path, reading)?;
        while let Some(entry) = entries.next() {
            let entry = entry.or_failed(&folder.path, reading)?;
            let shown = entry.to_string_lossy();
            if shown.starts_with('.') {
                continue;
            }
            let path = folder.path.join(&*shown);
            let name = match TemplateName::try_from(format!("{above}{shown}")) {
                Ok(name) => name,
                Err(error) => {
                    tracing::warn!(?path, %error, "passed over: no client can ask for it");
                    continue;
                }
            };
            let input = Input::open_in(&entries, entry.as_c_str(), path, OFlag::O_RDONLY)?;
            if input.metadata.is_dir() {
                self.walk(input, &format!("{name}/"))?;
            } else {
                self.take(&input, name)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, input: &Input, name: TemplateName) -> Result<(), Error> {
        let source = input.regular()?.ours()?.text(Self::MAX_BYTES)?;
        if self.0.contains_key(&name) {
            return Ok(());
        }
        let total = self.0.values().map(String::len).fold(source.len(), usize::saturating_add);
        if total > Self::MAX_TOTAL || self.0.len() >= Self::MAX_COUNT {
            let bounds = format!("{} templates of {} bytes in all", Self::MAX_COUNT, Self::MAX_TOTAL);
            return Err(input.unfit(format!("is one too many: {bounds} are allowed")));
        }
        self.0.insert(name, source);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
