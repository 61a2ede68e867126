//! Replacing a file: written under a temporary name, complete in every respect, then renamed.
use super::account::Wanted;
use super::start;
use crate::{
    Error, beneath::Attributes, beneath::Identity, beneath::Kind, beneath::Made, beneath::Mounts, beneath::Object,
    beneath::Start, beneath::Temporary, error::OrFailed, host::Task,
};
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, fsync};
use reeve_shared::AbsolutePath;
use std::fs::File;
use std::io::Write;

/// Puts a file at `path`, and gives the size of its content. What isn't wanted of owner, group and mode stays as it is, or becomes
/// root's and 0644.
pub(super) fn put(path: &AbsolutePath, content: &[u8], wanted: &Wanted, task: &Task) -> Result<u64, Error> {
    let (beneath, Start { folder, folders, name }) = start(path, Mounts::Entered, task)?;
    let mut made = Made::new(&beneath, &task.temporary);
    let folder = made.descend(folder, &folders)?;
    let kept = match beneath.look(&folder, name)? {
        None => Attributes::ours(0o644),
        Some(object) if object.kind() == Kind::File => Attributes::of(&object.stat),
        Some(object) => return Err(object.unfit("a regular file, or nothing")),
    };
    replace(&made, &folder, name, content, wanted.or(kept))?;
    made.keep();
    Ok(u64::try_from(content.len()).unwrap_or(u64::MAX))
}

fn replace(made: &Made, folder: &Object, name: &str, content: &[u8], attributes: Attributes) -> Result<(), Error> {
    let (path, temporary) = (&folder.path.join(name), made.temporary.as_str());
    // Opened before anything is written, so that it can't be what fails in the end.
    let for_sync = folder.readable()?;
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = openat(folder, temporary, flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .or_failed(path, "making a temporary file beside it")?;
    let guard = Temporary::new(folder, temporary, UnlinkatFlags::NoRemoveDir);
    let mut file = File::from(file);
    file.write_all(content).or_failed(path, "writing the content")?;
    attributes.apply(&file, path)?;
    fsync(&file).or_failed(path, "writing the content to disk")?;
    let written = fstat(&file).or_failed(path, "asking what was written")?;
    renameat(folder, temporary, folder, name).or_failed(path, "putting the file in its place")?;
    // Whoever can write in the folder may have put something else under the temporary name.
    made.beneath.check_in_place(folder, name, Identity::of(&written))?;
    fsync(&for_sync).or_failed(path, "writing the folder to disk")?;
    guard.keep();
    Ok(())
}
