//! `file.chmod`: of one object, or of a tree that was looked through first.
use super::start;
use crate::{
    Error, beneath::Beneath, beneath::Kind, beneath::Mounts, beneath::Object, beneath::TemporaryName, error::OrFailed,
    host::Task, trust::is_ours,
};
use nix::sys::stat::Mode;
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
    check_links_are_protected()?;
    let mounts = if *recursive { Mounts::Refused } else { Mounts::Entered };
    let bits = Mode::from_bits_truncate(mode.bits());
    let mut changed = 0;
    // What is protected is looked up again for the second pass, and the path walked again.
    for change in [None, Some(bits)] {
        let (beneath, start) = start(path, mounts, task)?;
        let (_, target) = beneath.find(start)?;
        let mut tree = Tree { beneath: &beneath, task, change, entries_left: bounds.entries, changed: 0 };
        match target.kind() {
            Kind::Folder if *recursive => tree.visit(target, bounds.depth)?,
            Kind::Folder | Kind::File => {
                check_one_name(&target)?;
                if is_roots_in_a_loose_place(&target) {
                    return Err(Error::RootsInALoosePlace(target.path));
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
#[allow(clippy::disallowed_methods, reason = "the kernel's own files in /proc are nobody's to swap")]
fn check_links_are_protected() -> Result<(), Error> {
    let path = "/proc/sys/fs/protected_hardlinks";
    let value = std::fs::read_to_string(path).map_err(|why| Error::Proc { path, why })?;
    if value.trim() == "1" { Ok(()) } else { Err(Error::LinksNotProtected(value.trim().to_owned())) }
}

/// Refuses a file with more than one name.
fn check_one_name(object: &Object) -> Result<(), Error> {
    if object.kind() == Kind::File && object.stat.st_nlink > 1 {
        return Err(Error::HardLinked(object.path.clone()));
    }
    Ok(())
}

fn is_roots_in_a_loose_place(object: &Object) -> bool {
    object.in_loose && is_ours(object.stat.st_uid)
}

/// One pass through a tree.
struct Tree<'a> {
    beneath: &'a Beneath,
    task: &'a Task,
    /// The mode to set; `None` in the pass that only looks.
    change: Option<Mode>,
    entries_left: u64,
    changed: u64,
}

impl Tree<'_> {
    /// Goes through what lies beneath `object`, then changes it. One descriptor is held a level.
    fn visit(&mut self, object: Object, depth_left: u32) -> Result<(), Error> {
        self.task.check_deadline(&object.path)?;
        check_one_name(&object)?;
        let left_alone = is_roots_in_a_loose_place(&object);
        match object.kind() {
            Kind::File if !left_alone => self.set(&object),
            Kind::File | Kind::Symlink => Ok(()),
            Kind::Other(_) => Err(object.unfit("a tree of folders, regular files and symbolic links")),
            Kind::Folder => {
                let mut folder = object.into_entries()?;
                while let Some(name) = folder.descriptor.next() {
                    self.task.check_deadline(&folder.path)?;
                    let name = name.or_failed(&folder.path, "reading the folder")?;
                    let name = OsStr::from_bytes(name.to_bytes());
                    let too_large = |bound| Error::TooLarge { path: folder.path.join(name), bound };
                    self.entries_left = self.entries_left.checked_sub(1).ok_or_else(|| too_large(Bounds::ENTRIES))?;
                    // What another command is about to put in its place has that one's mode, and may not be readable yet.
                    if TemporaryName::is_one(name) {
                        continue;
                    }
                    let Some(entry) = self.beneath.look(&folder, name)? else { continue };
                    let depth_left = depth_left.checked_sub(1).ok_or_else(|| too_large(Bounds::DEPTH))?;
                    self.visit(entry, depth_left)?;
                }
                if left_alone { Ok(()) } else { self.set(&folder) }
            }
        }
    }

    fn set(&mut self, object: &Object<impl AsFd>) -> Result<(), Error> {
        self.change.map_or(Ok(()), |mode| object.chmod(mode))?;
        self.changed = self.changed.saturating_add(1);
        Ok(())
    }
}
