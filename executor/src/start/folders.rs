//! The daemon's own folders: made if absent, checked, and locked against a second instance.
use crate::{Error, error::OrFailed, inputs::make_folder, sys::Entries};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use reeve_shared::AbsolutePath;
use std::{fs::File, path::Path};

/// Both folders, locked (flock(2)) for as long as this lives.
#[derive(Debug)]
pub struct Folders {
    _locks: [Flock<File>; 2],
    /// An empty folder that nobody can write, for the frontend to be enclosed in.
    pub empty: File,
}

impl Folders {
    /// Makes and locks `paths.state_dir` and `paths.run_dir`.
    ///
    /// # Errors
    /// [`Error::Unfit`]: one is a link, not root's, open to others, or in use by another instance.
    pub fn take(state_dir: &AbsolutePath, run_dir: &AbsolutePath) -> Result<Self, Error> {
        let locks = [own(run_dir.as_ref())?, own(state_dir.as_ref())?];
        let empty = make_folder(&Path::new(run_dir.as_str()).join("empty"), 0o555)?;
        let entries = empty.file.try_clone().and_then(|folder| Entries::new(folder.into()));
        if entries.or_failed(&empty.path, "reading the folder")?.next().is_some() {
            return Err(empty.unfit("is not empty: remove what lies in it"));
        }
        Ok(Self { _locks: locks, empty: empty.file })
    }
}

/// Makes a folder for us alone, and locks it.
fn own(path: &Path) -> Result<Flock<File>, Error> {
    let folder = make_folder(path, 0o700)?;
    if folder.mode() & 0o077 != 0 {
        return Err(folder.unfit(format!("has mode {:04o}, open to others: `chmod 700` it", folder.mode())));
    }
    match Flock::lock(folder.file, FlockArg::LockExclusiveNonblock) {
        Err((_, Errno::EWOULDBLOCK)) => {
            let mend = "stop that one, or give this one a run_dir and a state_dir of its own";
            Err(Error::unfit(path, format!("is in use by another instance of Reeve: {mend}")))
        }
        locked => locked.map_err(|(_, why)| why).or_failed(path, "locking it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn scene() -> (tempfile::TempDir, AbsolutePath, AbsolutePath) {
        let scene = tempfile::tempdir().unwrap();
        let path = |name: &str| AbsolutePath::try_from(scene.path().join(name).to_str().unwrap()).unwrap();
        let (state, run) = (path("a/state"), path("b/c/run"));
        (scene, state, run)
    }
    fn mode(path: &AbsolutePath) -> u32 {
        fs::metadata(path.as_str()).unwrap().permissions().mode() & 0o7777
    }
    fn chmod(path: &AbsolutePath, mode: u32) {
        fs::set_permissions(path.as_str(), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn absent_folders_are_made_for_us_alone() {
        let (_scene, state, run) = scene();
        drop(Folders::take(&state, &run).unwrap());
        assert_eq!((mode(&state), mode(&run)), (0o700, 0o700));
        let child = |name: &str| AbsolutePath::try_from(format!("{run}/{name}")).unwrap();
        assert_eq!((mode(&run.parent().unwrap()), mode(&child("empty"))), (0o755, 0o555));
        drop(Folders::take(&state, &run).unwrap());
        chmod(&child("empty"), 0o755);
        fs::write(child("empty/x").as_str(), "").unwrap();
        assert!(Folders::take(&state, &run).unwrap_err().to_string().contains("is not empty"));
    }

    #[test]
    fn a_second_instance_is_refused_by_either_folder() {
        let (scene, state, run) = scene();
        let other = AbsolutePath::try_from(scene.path().join("other").to_str().unwrap()).unwrap();
        let first = Folders::take(&state, &run).unwrap();
        for (state, run, named) in [(&state, &run, &run), (&other, &run, &run), (&state, &other, &state)] {
            let error = Folders::take(state, run).unwrap_err().to_string();
            assert!(error.contains("another instance") && error.contains(named.as_str()), "{error}");
        }
        drop(first);
        assert!(Folders::take(&state, &run).is_ok());
    }

    #[test]
    fn a_folder_that_is_open_to_others_or_a_link_is_refused() {
        let (scene, state, run) = scene();
        drop(Folders::take(&state, &run).unwrap());
        for bad in [0o701, 0o750, 0o777] {
            chmod(&state, bad);
            assert!(Folders::take(&state, &run).unwrap_err().to_string().contains("chmod"), "{bad:o}");
        }
        chmod(&state, 0o700);
        let link = AbsolutePath::try_from(scene.path().join("link").to_str().unwrap()).unwrap();
        symlink(state.as_str(), link.as_str()).unwrap();
        assert!(Folders::take(&link, &run).unwrap_err().to_string().contains("symlink"));
        assert!(Folders::take(&state, &run).is_ok());
        if crate::scene::as_root() {
            std::os::unix::fs::chown(state.as_str(), Some(crate::scene::TENANT), None).unwrap();
            assert!(Folders::take(&state, &run).unwrap_err().to_string().contains("chown root"));
        }
    }
}
