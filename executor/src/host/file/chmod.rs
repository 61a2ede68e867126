//! `file.chmod`: of one object, or of a tree that was looked through first.
use crate::beneath::{Beneath, Kind, Mounts, Object, Start, entries, is_loose};
use crate::error::Error;
use crate::host::Task;
use crate::trust::is_ours;
use nix::sys::stat::{Mode, fchmod};
use reeve_shared::command::{FileChanged, FileChmod};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// How far a recursion goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Folders within folders, below the target.
    pub(super) depth: u32,
    /// Entries in all.
    pub(super) entries: u64,
}

impl Bounds {
    const DEPTH: &'static str = "a depth of 64";
    const ENTRIES: &'static str = "1,000,000 entries";
    const OF_A_COMMAND: Self = Self { depth: 64, entries: 1_000_000 };
}

/// Sets the mode of a file or folder; `recursive`: and of all that lies beneath the folder.
///
/// # Errors
/// What the host refuses. A tree is looked through before anything is changed.
pub(crate) fn chmod(command: &FileChmod, task: &Task) -> Result<FileChanged, Error> {
    chmod_within(command, task, Bounds::OF_A_COMMAND)
}

/// [`chmod`] with bounds that a test can reach.
pub(super) fn chmod_within(command: &FileChmod, task: &Task, bounds: Bounds) -> Result<FileChanged, Error> {
    let FileChmod { path, mode, recursive } = command;
    task.check_deadline(path.as_str())?;
    check_links_are_protected()?;
    let mounts = if *recursive { Mounts::Refused } else { Mounts::Entered };
    let bits = Mode::from_bits_truncate(mode.bits());
    let mut changed = 0;
    // What is protected is looked up again for the second pass, and the path walked again.
    for change in [None, Some(bits)] {
        let beneath = Beneath::new(&task.policy, mounts)?;
        let Start { folder, folders, name } = beneath.start(path, &task.policy)?;
        let absent = || Error::Absent(path.as_str().into());
        let folder = beneath.descend(folder, &folders)?.ok_or_else(absent)?;
        let target = beneath.look(&folder, folder.path(), name.as_ref())?.ok_or_else(absent)?;
        let mut tree = Tree { beneath: &beneath, task, bounds, change, entries: 0, changed: 0 };
        match target.kind() {
            Kind::Folder if *recursive => tree.visit(target, folder.is_loose(), 0)?,
            Kind::Folder | Kind::File => {
                tree.check(&target)?;
                if folder.is_loose() && is_ours(target.stat().st_uid) {
                    return Err(Error::RootsInALoosePlace(path.as_str().into()));
                }
                tree.set(&target)?;
            }
            Kind::Symlink | Kind::Other(_) => return Err(target.unfit("a regular file or a folder")),
        }
        changed = tree.changed;
    }
    Ok(FileChanged { path: path.clone(), mode: *mode, files_modified: changed })
}

/// Where users can link to files that they can't write, a root's file in a tenant's folder may be any of root's.
fn check_links_are_protected() -> Result<(), Error> {
    let path = "/proc/sys/fs/protected_hardlinks";
    let value = std::fs::read_to_string(path).map_err(|why| Error::Proc { path, why })?;
    if value.trim() == "1" { Ok(()) } else { Err(Error::LinksNotProtected(value.trim().to_owned())) }
}

/// One pass through a tree.
struct Tree<'a> {
    beneath: &'a Beneath,
    task: &'a Task,
    bounds: Bounds,
    /// The mode to set; `None` in the pass that only looks.
    change: Option<Mode>,
    entries: u64,
    changed: u64,
}

impl Tree<'_> {
    /// Goes through what lies beneath `object`, then changes it. `loose` says whether someone but root could write in a folder
    /// on the way to it. One descriptor is held a level.
    fn visit(&mut self, object: Object, loose: bool, depth: u32) -> Result<(), Error> {
        self.task.check_deadline(object.path())?;
        self.check(&object)?;
        let left_alone = loose && is_ours(object.stat().st_uid);
        match object.kind() {
            Kind::File if !left_alone => self.set(&object),
            Kind::File | Kind::Symlink => Ok(()),
            Kind::Other(_) => Err(object.unfit("a tree of folders, regular files and symbolic links")),
            Kind::Folder => {
                let mut names = entries(&object, object.path())?;
                let (stat, path) = (*object.stat(), object.path().to_owned());
                drop(object);
                let loose = loose || is_loose(&stat);
                while let Some(name) = names.next() {
                    let name = name.map_err(|why| Error::file(&path, "reading the folder", why))?;
                    let Some(entry) = self.beneath.look(&names, &path, OsStr::from_bytes(name.to_bytes()))? else {
                        continue;
                    };
                    self.entries = self.entries.saturating_add(1);
                    let too_large = |bound| Error::TooLarge { path: entry.path().to_owned(), bound };
                    if self.entries > self.bounds.entries {
                        return Err(too_large(Bounds::ENTRIES));
                    }
                    if depth >= self.bounds.depth {
                        return Err(too_large(Bounds::DEPTH));
                    }
                    self.visit(entry, loose, depth.saturating_add(1))?;
                }
                if left_alone {
                    return Ok(());
                }
                self.count(|mode| {
                    fchmod(names.as_fd(), mode).map_err(|why| Error::file(&path, "setting its mode", why))
                })
            }
        }
    }

    /// Refuses a file with more than one name.
    fn check(&self, object: &Object) -> Result<(), Error> {
        if object.kind() == Kind::File && object.stat().st_nlink > 1 {
            return Err(Error::HardLinked(object.path().to_owned()));
        }
        Ok(())
    }

    fn set(&mut self, object: &Object) -> Result<(), Error> {
        self.count(|mode| object.chmod(mode))
    }

    fn count(&mut self, change: impl FnOnce(Mode) -> Result<(), Error>) -> Result<(), Error> {
        self.change.map_or(Ok(()), change)?;
        self.changed = self.changed.saturating_add(1);
        Ok(())
    }
}
