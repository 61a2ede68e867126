//! Replacing a file: written under a temporary name, complete in every respect, then renamed.
use crate::beneath::{Attributes, Beneath, Folder, Identity, Kind, Made, Mounts, Start, Temporary, TemporaryName};
use crate::error::Error;
use crate::host::Task;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Gid, Uid, fsync};
use reeve_shared::{AbsolutePath, FileMode};
use std::fs::File;
use std::io::Write;

/// What the command says of owner, group and mode. What it doesn't say stays as it is, or becomes root's and 0644.
pub(super) struct Wanted {
    pub(super) uid: Option<Uid>,
    pub(super) gid: Option<Gid>,
    pub(super) mode: Option<FileMode>,
}

/// Puts a file at `path`, and gives the size of its content.
pub(super) fn put(path: &AbsolutePath, content: &[u8], wanted: &Wanted, task: &Task) -> Result<u64, Error> {
    task.check_deadline(path.as_str())?;
    let beneath = Beneath::new(&task.policy, Mounts::Entered)?;
    let Start { folder, folders, name } = beneath.start(path, &task.policy)?;
    let mut made = Made::new(&beneath, &task.temporary);
    let folder = beneath.descend_making(folder, &folders, &mut made)?;
    let kept = match beneath.look(&folder, folder.path(), name.as_ref())? {
        None => Attributes::ours(0o644),
        Some(object) if object.kind() == Kind::File => {
            let stat = object.stat();
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            Attributes { uid, gid, mode: FileMode::masked(stat.st_mode) }
        }
        Some(object) => return Err(object.unfit("a regular file, or nothing")),
    };
    let attributes = Attributes {
        uid: wanted.uid.unwrap_or(kept.uid),
        gid: wanted.gid.unwrap_or(kept.gid),
        mode: wanted.mode.unwrap_or(kept.mode),
    };
    replace(&beneath, &folder, name, content, attributes, &task.temporary)?;
    made.keep();
    Ok(u64::try_from(content.len()).unwrap_or(u64::MAX))
}

fn replace(
    beneath: &Beneath,
    folder: &Folder,
    name: &str,
    content: &[u8],
    attributes: Attributes,
    temporary: &TemporaryName,
) -> Result<(), Error> {
    let path = folder.path().join(name);
    let shown = path.as_path();
    let failed = |doing| move |why: Errno| Error::file(shown, doing, why);
    // Opened before anything is written, so that it can't be what fails in the end.
    let for_sync = folder.readable()?;
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = openat(folder, temporary.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(failed("making a temporary file beside it"))?;
    let guard = Temporary::file(folder, temporary);
    let mut file = File::from(file);
    file.write_all(content).map_err(|why| Error::file(&path, "writing the content", why))?;
    attributes.apply(&file, &path)?;
    fsync(&file).map_err(failed("writing the content to disk"))?;
    let written = fstat(&file).map_err(failed("asking what was written"))?;
    renameat(folder, temporary.as_os_str(), folder, name).map_err(failed("putting the file in its place"))?;
    // Whoever can write in the folder may have put something else under the temporary name.
    beneath.check_in_place(folder, name, Identity::of(&written))?;
    fsync(&for_sync).map_err(failed("writing the folder to disk"))?;
    guard.keep();
    Ok(())
}
