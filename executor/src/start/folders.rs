//! The daemon's own folders: made if absent, checked, and locked against a second instance.
use crate::error::Error;
use crate::inputs::check_ours;
use crate::sys::Entries;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::mkdir;
use reeve_shared::AbsolutePath;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Both folders, locked (flock(2)) for as long as this lives.
#[derive(Debug)]
pub struct Folders {
    _locks: [Flock<OwnedFd>; 2],
    /// An empty folder that nobody can write, for the frontend to be enclosed in.
    pub empty: OwnedFd,
}

impl Folders {
    /// Makes and locks `paths.state_dir` and `paths.run_dir`.
    ///
    /// # Errors
    /// [`Error::Unfit`]: one is a link, not root's, open to others, or in use by another instance.
    pub fn take(state_dir: &AbsolutePath, run_dir: &AbsolutePath) -> Result<Self, Error> {
        let own = |path: &AbsolutePath| {
            let path = Path::new(path.as_str());
            let folder = make(path, 0o700)?;
            let mode = fstat(&folder).map_err(|why| Error::file(path, "looking at it", why))?.st_mode;
            if mode & 0o077 != 0 {
                return Err(Error::unfit(
                    path,
                    format!("has mode {:04o}, open to others: `chmod 700` it", mode & 0o7777),
                ));
            }
            match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
                Err((_, Errno::EWOULDBLOCK)) => Err(Error::unfit(
                    path,
                    "is in use by another instance of Reeve: stop that one, or give this one a run_dir and a state_dir of its own",
                )),
                locked => locked.map_err(|(_, why)| Error::file(path, "locking it", why)),
            }
        };
        let locks = [own(run_dir)?, own(state_dir)?];
        let path: PathBuf = [run_dir.as_str(), "empty"].iter().collect();
        let empty = make(&path, 0o555)?;
        let reading = |why| Error::File { path: path.clone(), doing: "reading the folder", why };
        if Entries::new(empty.try_clone().map_err(reading)?).map_err(reading)?.next().is_some() {
            return Err(Error::unfit(path, "is not empty: remove what lies in it"));
        }
        Ok(Self { _locks: locks, empty })
    }
}

/// Opens a folder of ours. If it is absent it is made with `mode`, those above it 0755.
///
/// # Errors
/// [`Error::Unfit`]: it is a link, not ours, or others can write in it.
pub(crate) fn make(path: &Path, mode: u32) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let made = match mkdir(path, Mode::from_bits_truncate(0o700)) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(Errno::ENOENT) if path.parent().is_some() => {
            make(path.parent().unwrap_or(path), 0o755)?;
            return make(path, mode);
        }
        Err(why) => return Err(Error::file(path, "making the folder", why)),
    };
    let folder = match open(path, flags, Mode::empty()) {
        Err(Errno::ENOTDIR | Errno::ELOOP) => {
            return Err(Error::unfit(path, "is a symlink or no folder: remove it, or name another"));
        }
        opened => opened.map_err(|why| Error::file(path, "opening the folder", why))?,
    };
    let stat = fstat(&folder).map_err(|why| Error::file(path, "looking at it", why))?;
    check_ours(path, &stat)?;
    if made {
        fchmod(&folder, Mode::from_bits_truncate(mode)).map_err(|why| Error::file(path, "setting its mode", why))?;
    }
    Ok(folder)
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
