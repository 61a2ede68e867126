//! Mounts beneath a prefix.
use crate::error::Error;
use crate::host::file::remove_leftovers;
use crate::journal::Entry;
use crate::scene::{Scene, as_root, bind, can, in_a_namespace, mode, mount_tmpfs, names};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::unistd::read;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A FUSE file system whose server never answers anything, not even FUSE_INIT: whoever asks it something waits for ever.
struct Silent(File);

impl Silent {
    fn mount(at: &Path, root: &str) -> Self {
        let server =
            OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode={root},user_id=0,group_id=0", server.as_raw_fd());
        mount(Some("silent"), at, Some("fuse"), MsFlags::empty(), Some(options.as_str())).unwrap();
        let silent = Self(server);
        assert!(silent.was_asked(), "the kernel says FUSE_INIT");
        silent
    }

    /// Whether something was asked since the last time.
    fn was_asked(&self) -> bool {
        match read(&self.0, &mut [0; 1 << 16]) {
            Ok(_) => true,
            Err(Errno::EAGAIN) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_refused<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(&result, Err(Error::Mount { .. })), "{result:?}");
}

#[test]
fn fuse_mount_of_a_tenant_is_not_entered() {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    if !as_root() || !can("FUSE", device.is_ok()) {
        return;
    }
    in_a_namespace(&Scene::new(), |scene| {
        scene.tenants_folder("srv/t/mnt");
        scene.tenants_file("srv/t/file", "");
        scene.tenants_file("srv/t/beside", "");
        let folder = Silent::mount(&scene.at("srv/t/mnt"), "40000");
        let file = Silent::mount(&scene.at("srv/t/file"), "100000");
        for path in ["srv/t/mnt", "srv/t/mnt/x", "srv/t/mnt/x/y", "srv/t/file"] {
            is_refused(scene.write(path, "x"));
            is_refused(scene.delete(path));
            is_refused(scene.mkdir(path, true));
            is_refused(scene.mkdir(path, false));
            is_refused(scene.chmod(path, "700", false));
            is_refused(scene.chmod(path, "700", true));
        }
        is_refused(scene.chmod("srv/t", "700", true));
        let entry = Entry {
            request_id: scene.task().request_id,
            caller: scene.task().caller,
            command: "file.write".to_owned(),
            path: Some(scene.absolute("srv/t/mnt/x")),
            temporary: scene.task().temporary,
        };
        is_refused(remove_leftovers(&entry, &scene.policy));
        assert!(!folder.was_asked() && !file.was_asked(), "nobody asked it a thing");
        assert_eq!(mode(&scene.at("srv/t/beside")), 0o644);
        assert!(scene.write("srv/t/beside", "x").is_ok(), "what lies beside it is served");
        // Over the folder of the prefix itself, which a service's account may own.
        let prefix = Silent::mount(&scene.at("srv"), "40000");
        let refused = scene.write("srv/x", "").unwrap_err().to_string();
        assert!(refused.contains("is a mount of fuse"), "{refused}");
        assert!(!prefix.was_asked());
    });
}

#[test]
fn a_harmless_mount_is_entered_but_never_by_a_recursive_command() {
    if !as_root() {
        return;
    }
    in_a_namespace(&Scene::new(), |scene| {
        scene.folder("srv/site/data");
        scene.file("srv/site/before", "");
        mount_tmpfs(&scene.at("srv/site/data"), "mode=0755");
        scene.write("srv/site/data/a/b", "x").unwrap();
        assert_eq!(scene.chmod("srv/site/data/a", "711", false).unwrap().files_modified, 1);
        assert_eq!(scene.chmod("srv/site/data", "711", false).unwrap().files_modified, 1);
        assert!(!scene.mkdir("srv/site/data", true).unwrap().created);
        assert!(scene.delete("srv/site/data/a/b").unwrap().deleted);
        for path in ["srv/site", "srv/site/data", "srv/site/data/a"] {
            is_refused(scene.chmod(path, "700", true));
        }
        assert_eq!([mode(&scene.at("srv/site/before")), mode(&scene.at("srv/site/data/a"))], [0o644, 0o711]);
    });
}

#[test]
fn the_kernels_own_file_systems_are_not_entered() {
    if !as_root() {
        return;
    }
    in_a_namespace(&Scene::new(), |scene| {
        for kind in ["proc", "sysfs"] {
            scene.folder("srv/kernel");
            mount(Some(kind), &scene.at("srv/kernel"), Some(kind), MsFlags::empty(), None::<&str>).unwrap();
            is_refused(scene.write("srv/kernel/x", ""));
            nix::mount::umount(&scene.at("srv/kernel")).unwrap();
        }
        bind("/proc/sys/kernel".as_ref(), &scene.at("srv/kernel"));
        is_refused(scene.write("srv/kernel/core_pattern", ""));
    });
}

#[test]
fn a_file_that_is_a_mount_is_neither_replaced_nor_deleted() {
    if !as_root() {
        return;
    }
    in_a_namespace(&Scene::new(), |scene| {
        let other = scene.file("other", "safe");
        scene.file("srv/file", "covered");
        bind(&other, &scene.at("srv/file"));
        assert!(matches!(scene.write("srv/file", "x"), Err(Error::File { .. })));
        assert!(matches!(scene.delete("srv/file"), Err(Error::File { .. })));
        assert_eq!(fs::read_to_string(other).unwrap(), "safe");
        assert_eq!(names(&scene.at("srv")), ["file"], "nothing is left beside it");
    });
}
