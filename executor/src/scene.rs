//! A stage for the tests of the file engine: an allowed prefix in a folder of its own, and attackers who are real processes.
use crate::{Error, beneath::TemporaryName, host::Task, host::file};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, chown, geteuid, mkfifo};
use reeve_shared::command::{
    FileChanged, FileChmod, FileDelete, FileDeleted, FileMade, FileMkdir, FileWrite, FileWritten,
};
use reeve_shared::{AbsolutePath, Caller, Content, FileMode, Group, Owner, PathPrefix, Policy, RequestId, Whitelists};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A uid that no account has, for whoever is not root.
pub(crate) const TENANT: u32 = 65533;

/// Whether this test can be run: as root, or with what else `needs` says. In CI a test that can't is a failure.
pub(crate) fn can(needs: &str, it_can: bool) -> bool {
    if !it_can {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!in_ci, "in CI nothing is skipped, but this needs {needs}");
        eprintln!("skipped: needs {needs}");
    }
    it_can
}

pub(crate) fn as_root() -> bool {
    can("root", geteuid().is_root())
}

/// An allowed prefix, `{folder}/srv`, and what lies beside it.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) policy: Arc<Policy>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::protecting(&[])
    }

    /// With paths, relative to the folder, that Reeve itself stands on.
    pub(crate) fn protecting(own: &[&str]) -> Self {
        Self::within(&std::env::temp_dir(), own)
    }

    /// In memory, where a flush costs nothing: races get more tries.
    pub(crate) fn fast() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::within(memory, &[]) } else { Self::new() }
    }

    fn within(place: &Path, own: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(place).unwrap();
        set_mode(folder.path(), 0o755);
        let at = |below: &str| AbsolutePath::try_from(format!("{}/{below}", folder.path().display())).unwrap();
        let prefix = PathPrefix::try_from(at("srv").to_string()).unwrap();
        let whitelists = Whitelists { additional_path_prefixes: BTreeSet::from([prefix]), ..Whitelists::default() };
        let policy = Policy::new(BTreeSet::new(), whitelists, own.iter().map(|path| at(path)).collect()).unwrap();
        let scene = Self { folder, policy: Arc::new(policy) };
        scene.folder("srv");
        scene
    }

    /// The path of what is called `below` in the scene's folder.
    pub(crate) fn at(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn absolute(&self, below: &str) -> AbsolutePath {
        AbsolutePath::try_from(self.at(below).to_str().unwrap()).unwrap()
    }

    pub(crate) fn folder(&self, below: &str) -> PathBuf {
        fs::create_dir_all(self.at(below)).unwrap();
        set_mode(&self.at(below), 0o755);
        self.at(below)
    }

    pub(crate) fn file(&self, below: &str, content: &str) -> PathBuf {
        fs::write(self.at(below), content).unwrap();
        set_mode(&self.at(below), 0o644);
        self.at(below)
    }

    pub(crate) fn fifo(&self, below: &str) -> PathBuf {
        mkfifo(&self.at(below), nix::sys::stat::Mode::S_IRWXU).unwrap();
        self.at(below)
    }

    /// A folder that the tenant owns.
    pub(crate) fn tenants_folder(&self, below: &str) -> PathBuf {
        give_to_tenant(&self.folder(below));
        self.at(below)
    }

    pub(crate) fn tenants_file(&self, below: &str, content: &str) -> PathBuf {
        give_to_tenant(&self.file(below, content));
        self.at(below)
    }

    pub(crate) fn task(&self) -> Task {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Task {
            request_id: RequestId::from_random([1; 16]),
            caller: Caller { uid: 0, gid: 0, pid: 1 },
            policy: Arc::clone(&self.policy),
            deadline: Instant::now().checked_add(Duration::from_secs(3600)).unwrap(),
            temporary: TemporaryName::from_random(NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes()),
            clock: SystemTime::now,
        }
    }

    pub(crate) fn write(&self, below: &str, content: &str) -> Result<FileWritten, Error> {
        self.write_as(below, content, None, None, None)
    }

    pub(crate) fn write_as(
        &self,
        below: &str,
        content: &str,
        owner: Option<u32>,
        group: Option<u32>,
        mode: Option<&str>,
    ) -> Result<FileWritten, Error> {
        let command = FileWrite {
            path: self.absolute(below),
            content: Content::try_from(content.to_owned()).unwrap(),
            owner: owner.map(Owner::Id),
            group: group.map(|id| Group(Owner::Id(id))),
            mode: mode.map(|mode| FileMode::try_from(mode).unwrap()),
        };
        file::write(&command, &self.task())
    }

    pub(crate) fn delete(&self, below: &str) -> Result<FileDeleted, Error> {
        file::delete(&FileDelete { path: self.absolute(below) }, &self.task())
    }

    pub(crate) fn mkdir(&self, below: &str, recursive: bool) -> Result<FileMade, Error> {
        self.mkdir_as(below, None, None, recursive)
    }

    pub(crate) fn mkdir_as(
        &self,
        below: &str,
        owner: Option<u32>,
        mode: Option<&str>,
        recursive: bool,
    ) -> Result<FileMade, Error> {
        let command = FileMkdir {
            path: self.absolute(below),
            owner: owner.map(Owner::Id),
            group: None,
            mode: mode.map(|mode| FileMode::try_from(mode).unwrap()),
            recursive,
        };
        file::mkdir(&command, &self.task())
    }

    pub(crate) fn chmod(&self, below: &str, mode: &str, recursive: bool) -> Result<FileChanged, Error> {
        file::chmod(&self.chmod_command(below, mode, recursive), &self.task())
    }

    pub(crate) fn chmod_command(&self, below: &str, mode: &str, recursive: bool) -> FileChmod {
        FileChmod { path: self.absolute(below), mode: FileMode::try_from(mode).unwrap(), recursive }
    }

    /// Starts a Perl program in a folder as the tenant, and waits until it says that it is at work.
    pub(crate) fn attacker(&self, folder: &str, program: &str) -> Attacker {
        let program = format!("$| = 1; print 'x'; while (1) {{ {program} }}");
        let mut child = Command::new("perl")
            .args(["-e", &program])
            .current_dir(self.at(folder))
            .uid(TENANT)
            .gid(TENANT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("perl, which is an essential package of Debian");
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        Attacker(child)
    }
}

/// A process that ends with the test.
pub(crate) struct Attacker(Child);

impl Attacker {
    /// Whether it is still at it.
    pub(crate) fn is_at_work(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a test in a thread with a mount name space of its own, which takes its mounts along when it ends. The scene's folder goes
/// after that.
pub(crate) fn in_a_namespace(scene: &Scene, test: impl FnOnce(&Scene) + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
            test(scene);
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Binds `from` over `to`, in this thread's own name space.
pub(crate) fn bind(from: &Path, to: &Path) {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
}

pub(crate) fn mount_tmpfs(at: &Path, options: &str) {
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn give_to_tenant(path: &Path) {
    give(path, TENANT, TENANT);
}

pub(crate) fn give(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).unwrap();
}

/// Mode bits, set-id and sticky ones too.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

pub(crate) fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
