//! `file.*`: write, delete, make folders, change modes, all of it beneath an allowed prefix.
pub(crate) mod account;
mod chmod;
mod put;

pub(crate) use chmod::chmod;

use super::Task;
use crate::{
    Error, beneath::Attributes, beneath::Beneath, beneath::Kind, beneath::Made, beneath::Mounts, beneath::Object,
    beneath::Start, error::OrFailed, journal::Entry,
};
use account::Wanted;
use nix::errno::Errno;
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use reeve_shared::command::{
    FileDelete, FileDeleted, FileMade, FileMkdir, FileWrite, FileWriteTemplate, FileWritten, Reason, TemplateWritten,
};
use reeve_shared::{AbsolutePath, Policy};

/// Puts a file with this content at the path, whole or not at all.
///
/// # Errors
/// What the host refuses. Nothing is left then.
pub(crate) fn write(command: &FileWrite, task: &Task) -> Result<FileWritten, Error> {
    let FileWrite { path, content, owner, group, mode } = command;
    let wanted = Wanted::new(owner.as_ref(), group.as_ref(), *mode)?;
    let bytes_written = put::put(path, content.as_bytes(), &wanted, task)?;
    Ok(FileWritten { path: path.clone(), bytes_written })
}

/// Puts a file with what the frontend rendered at the path.
///
/// # Errors
/// As [`write()`].
pub(crate) fn write_template(command: &FileWriteTemplate, task: &Task) -> Result<TemplateWritten, Error> {
    let FileWriteTemplate { path, template, content, owner, group, mode } = command;
    let wanted = Wanted::new(owner.as_ref(), group.as_ref(), *mode)?;
    let bytes_written = put::put(path, content.as_bytes(), &wanted, task)?;
    Ok(TemplateWritten { path: path.clone(), template: template.clone(), bytes_written })
}

/// Removes the name of a regular file.
///
/// # Errors
/// What the host refuses, anything that is no regular file among it.
pub(crate) fn delete(command: &FileDelete, task: &Task) -> Result<FileDeleted, Error> {
    let path = &command.path;
    let absent = FileDeleted { path: path.clone(), deleted: false, reason: Some(Reason::NotFound) };
    let (beneath, start) = start(path, Mounts::Entered, task)?;
    let name = start.name;
    let (folder, object) = match beneath.find(start) {
        Err(Error::Absent(_)) => return Ok(absent),
        found => found?,
    };
    if object.kind() != Kind::File {
        return Err(object.unfit("a regular file"));
    }
    let for_sync = folder.readable()?;
    match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => return Ok(absent),
        unlinked => unlinked.or_failed(&object.path, "deleting it")?,
    }
    fsync(&for_sync).or_failed(&folder.path, "writing the folder to disk")?;
    Ok(FileDeleted { path: path.clone(), deleted: true, reason: None })
}

/// Makes a folder, and those above it if `recursive`.
///
/// # Errors
/// What the host refuses. Folders that were made on the way are gone then.
pub(crate) fn mkdir(command: &FileMkdir, task: &Task) -> Result<FileMade, Error> {
    let FileMkdir { path, owner, group, mode, recursive } = command;
    let attributes = Wanted::new(owner.as_ref(), group.as_ref(), *mode)?.or(Attributes::ours(0o755));
    let (beneath, Start { folder, folders, name }) = start(path, Mounts::Entered, task)?;
    let mut made = Made::new(&beneath, &task.temporary);
    let folder = if *recursive { made.descend(folder, &folders)? } else { beneath.descend(folder, &folders)? };
    let created = !is_folder(&beneath, &folder, name)? && made.folder(&folder, name, attributes)?.is_some();
    // Somebody else may have made it meanwhile, or something else.
    if !created && !is_folder(&beneath, &folder, name)? {
        return Err(Error::Swapped(path.as_str().into()));
    }
    made.keep();
    Ok(FileMade { path: path.clone(), created, reason: (!created).then_some(Reason::AlreadyExists) })
}

/// Looks up what is protected, and goes to where `path` begins to be a client's, if there is time left.
fn start<'a>(path: &'a AbsolutePath, mounts: Mounts, task: &Task) -> Result<(Beneath, Start<'a>), Error> {
    task.check_deadline(path.as_str())?;
    let beneath = Beneath::new(&task.policy, mounts)?;
    let start = beneath.start(path, &task.policy)?;
    Ok((beneath, start))
}

/// Whether there is a folder of that name; `false` if there is nothing.
fn is_folder(beneath: &Beneath, folder: &Object, name: &str) -> Result<bool, Error> {
    match beneath.look(folder, name)? {
        Some(object) if object.kind() == Kind::Folder => Ok(true),
        Some(object) => Err(object.unfit("a folder, or nothing")),
        None => Ok(false),
    }
}

/// Removes what a command that was under way at a crash left under its temporary name, in each folder on the way to its target.
///
/// # Errors
/// What the host refuses. What lies further down is then left.
pub(crate) fn remove_leftovers(entry: &Entry, policy: &Policy) -> Result<(), Error> {
    let Some(path) = &entry.path else {
        return Ok(());
    };
    let beneath = Beneath::new(policy, Mounts::Entered)?;
    let Start { mut folder, folders, name: _ } = beneath.start(path, policy)?;
    let temporary = entry.temporary.to_string();
    remove_leftover(&beneath, &folder, &temporary, path)?;
    for name in folders {
        match beneath.enter(&folder, name)? {
            Some(next) => folder = next,
            None => break,
        }
        remove_leftover(&beneath, &folder, &temporary, path)?;
    }
    Ok(())
}

fn remove_leftover(beneath: &Beneath, folder: &Object, name: &str, path: &AbsolutePath) -> Result<(), Error> {
    let Some(object) = beneath.look(folder, name)? else {
        return Ok(());
    };
    let flag = match object.kind() {
        Kind::File => UnlinkatFlags::NoRemoveDir,
        Kind::Folder => UnlinkatFlags::RemoveDir,
        // Not what any command makes.
        Kind::Symlink | Kind::Other(_) => return Err(object.unfit("a temporary file or folder")),
    };
    unlinkat(folder, name, flag).or_failed(&object.path, "removing what a crash left")?;
    tracing::info!(%path, leftover = ?object.path, "removed what a command left that was under way when Reeve ended");
    Ok(())
}

#[cfg(test)]
mod tests;
