//! Files that the daemon stands on: opened without following a link, and checked by their descriptor before a byte is used.
use crate::error::Error;
use crate::start::make_folder;
use crate::sys::Entries;
use crate::trust::is_ours;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use reeve_ipc::message::Template;
use reeve_shared::{Secret, TemplateName};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
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
    let (file, stat) = open(AT_FDCWD, path, path)?;
    check_ours(path, &stat)?;
    text(path, read(path, file, MAX_CONFIG)?)
}

/// Reads a secret.
///
/// # Errors
/// [`Error::Unfit`]: it is a link, no regular file, not root's, anything but 0600 or 0400, too short or too long.
pub(crate) fn read_secret(path: &Path) -> Result<Secret, Error> {
    let (file, stat) = open(AT_FDCWD, path, path)?;
    let mode = stat.st_mode & 0o7777;
    if !matches!(mode, 0o600 | 0o400) {
        let known = if mode & 0o077 == 0 { "" } else { ", and make a new secret: others may know this one" };
        return Err(Error::unfit(path, format!("has mode {mode:04o}: `chmod 600` it{known}")));
    }
    check_ours(path, &stat)?;
    let secret = Secret::new(read(path, file, MAX_SECRET)?);
    let length = secret.expose().strip_suffix(b"\n").unwrap_or(secret.expose()).len();
    if length < MIN_SECRET {
        let why =
            format!("holds {length} bytes, a secret has {MIN_SECRET} or more: `openssl rand -base64 32` makes one");
        return Err(Error::unfit(path, why));
    }
    Ok(secret)
}

/// Templates as they are collected, within bounds that all folders share.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    found: Vec<Template>,
    bytes: usize,
}

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
        match openat(AT_FDCWD, path, FLAGS | OFlag::O_DIRECTORY, Mode::empty()) {
            Err(Errno::ENOENT) => Ok(()),
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                Err(Error::unfit(path, "is a symlink or no folder: name the folder itself"))
            }
            Err(why) => Err(Error::file(path, "opening it", why)),
            Ok(folder) => {
                let stat = fstat(&folder).map_err(|why| Error::file(path, "looking at it", why))?;
                self.walk(path, "", folder, &stat, 0)
            }
        }
    }

    /// What was found, by name.
    pub(crate) fn finish(mut self) -> Vec<Template> {
        self.found.sort_by(|a, b| a.name.cmp(&b.name));
        self.found
    }

    fn walk(&mut self, path: &Path, above: &str, folder: OwnedFd, stat: &FileStat, depth: usize) -> Result<(), Error> {
        check_ours(path, stat)?;
        if depth > Self::MAX_DEPTH {
            return Err(Error::unfit(path, format!("lies more than {} folders deep", Self::MAX_DEPTH)));
        }
        let reading = |why| Error::File { path: path.to_owned(), doing: "reading the folder", why };
        let mut entries = Entries::new(folder).map_err(reading)?;
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(reading)?;
            if entry.to_bytes().starts_with(b".") {
                continue;
            }
            let child = path.join(&*entry.to_string_lossy());
            let name = match TemplateName::try_from(format!("{above}{}", entry.to_string_lossy())) {
                Ok(name) => name,
                Err(error) => {
                    tracing::warn!(path = ?child, %error, "passed over: no client can ask for it");
                    continue;
                }
            };
            let (file, stat) = open_at(&entries, entry.as_c_str(), &child)?;
            if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
                self.walk(&child, &format!("{name}/"), file, &stat, depth.saturating_add(1))?;
            } else {
                self.take(&child, name, file, &stat)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, name: TemplateName, file: OwnedFd, stat: &FileStat) -> Result<(), Error> {
        check_regular(path, stat)?;
        check_ours(path, stat)?;
        let source = text(path, read(path, file, Self::MAX_BYTES)?)?;
        if self.found.iter().any(|template| template.name == name) {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(source.len());
        if self.bytes > Self::MAX_TOTAL || self.found.len() >= Self::MAX_COUNT {
            let why = format!(
                "is one too many: {} templates of {} bytes in all are allowed",
                Self::MAX_COUNT,
                Self::MAX_TOTAL
            );
            return Err(Error::unfit(path, why));
        }
        self.found.push(Template { name, source });
        Ok(())
    }
}

/// No link is followed, no fifo or lease waited for, no terminal taken.
const FLAGS: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

fn open(folder: impl AsFd, name: &Path, path: &Path) -> Result<(OwnedFd, FileStat), Error> {
    let (file, stat) = open_at(folder, name, path)?;
    check_regular(path, &stat)?;
    Ok((file, stat))
}

fn open_at<N: ?Sized + nix::NixPath>(folder: impl AsFd, name: &N, path: &Path) -> Result<(OwnedFd, FileStat), Error> {
    let file = match openat(folder, name, FLAGS, Mode::empty()) {
        Err(Errno::ELOOP) => {
            return Err(Error::unfit(path, "is a symlink, which is not followed: put the file itself there"));
        }
        opened => opened.map_err(|why| Error::file(path, "opening it", why))?,
    };
    let stat = fstat(&file).map_err(|why| Error::file(path, "looking at it", why))?;
    Ok((file, stat))
}

/// Opens a file that records are appended to, making it and its folder if they are absent: 0600 in a folder of 0750.
///
/// # Errors
/// [`Error::Unfit`]: it is a link, no regular file, not root's, or can be written by others.
pub(crate) fn open_log(path: &Path) -> Result<File, Error> {
    if let Some(folder) = path.parent().filter(|folder| folder.parent().is_some()) {
        make_folder(folder, 0o750)?;
    }
    let flags =
        OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match openat(AT_FDCWD, path, flags | OFlag::O_CLOEXEC, Mode::from_bits_truncate(0o600)) {
        Err(Errno::ELOOP) => return Err(Error::unfit(path, "is a symlink: name the file itself")),
        opened => opened.map_err(|why| Error::file(path, "opening it", why))?,
    };
    let stat = fstat(&file).map_err(|why| Error::file(path, "looking at it", why))?;
    check_regular(path, &stat)?;
    check_ours(path, &stat)?;
    Ok(file.into())
}

fn check_regular(path: &Path, stat: &FileStat) -> Result<(), Error> {
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG {
        return Ok(());
    }
    Err(Error::unfit(path, "is no regular file: put one there"))
}

/// That only root, or who runs the daemon, can write it.
pub(crate) fn check_ours(path: &Path, stat: &FileStat) -> Result<(), Error> {
    if !is_ours(stat.st_uid) {
        return Err(Error::unfit(path, format!("is owned by uid {}: `chown root` it", stat.st_uid)));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(Error::unfit(path, "can be written by group or others: `chmod go-w` it"));
    }
    Ok(())
}

fn read(path: &Path, file: OwnedFd, most: usize) -> Result<Vec<u8>, Error> {
    // Taken at once and with room to spare: a buffer that grows leaves a copy of what it held.
    let mut bytes = Vec::with_capacity(most.saturating_add(64));
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::from(file).take(limit).read_to_end(&mut bytes).map_err(|why| Error::file(path, "reading it", why))?;
    if bytes.len() > most {
        return Err(Error::unfit(path, format!("is longer than {most} bytes")));
    }
    Ok(bytes)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Error> {
    let mut text = String::from_utf8(bytes).map_err(|_| Error::unfit(path, "is no UTF-8 text"))?;
    text.shrink_to_fit();
    Ok(text)
}

/// The absolute path of a file that was named on the command line. The file itself may be a link; that is seen when it is opened.
///
/// # Errors
/// [`Error::Unfit`].
pub(crate) fn absolute(path: &Path) -> Result<reeve_shared::AbsolutePath, Error> {
    let (folder, name) = (path.parent().unwrap_or(Path::new("")), path.file_name());
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let name = name.ok_or_else(|| Error::unfit(path, "names no file"))?;
    let whole: PathBuf = folder.canonicalize().map_err(|why| Error::file(path, "finding its folder", why))?.join(name);
    let whole = whole.to_str().ok_or_else(|| Error::unfit(path, "is not UTF-8"))?;
    Ok(whole.try_into()?)
}

#[cfg(test)]
mod tests;
