//! file.chmod.
use crate::error::Error;
use crate::host::file::chmod::{Bounds, chmod_within};
use crate::scene::{Scene, as_root, bind, give, in_a_namespace, mode, set_mode};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::Instant;

fn within(scene: &Scene, below: &str, depth: u32, entries: u64) -> Result<u64, Error> {
    let command = scene.chmod_command(below, "700", true);
    chmod_within(&command, &scene.task(), Bounds { depth, entries }).map(|changed| changed.files_modified)
}

#[test]
fn a_file_or_folder_gets_the_mode_and_loses_other_bits() {
    let scene = Scene::new();
    set_mode(&scene.file("srv/f", ""), 0o4755);
    set_mode(&scene.folder("srv/d"), 0o2755);
    scene.file("srv/d/inner", "");
    let changed = scene.chmod("srv/f", "640", false).unwrap();
    assert_eq!((changed.files_modified, changed.mode.to_string().as_str()), (1, "0640"));
    assert_eq!(scene.chmod("srv/d", "0711", false).unwrap().files_modified, 1);
    assert_eq!(["srv/f", "srv/d", "srv/d/inner"].map(|path| mode(&scene.at(path))), [0o640, 0o711, 0o644]);
    assert_eq!(scene.chmod("srv/f", "600", true).unwrap().files_modified, 1, "of a file it is a plain one");
    assert_eq!(mode(&scene.at("srv/f")), 0o600);
}

#[test]
fn a_tree_is_changed_whole_the_target_included_and_links_are_left_alone() {
    let scene = Scene::new();
    let outside = scene.file("outside", "");
    scene.folder("srv/d/e/f");
    scene.file("srv/d/one", "");
    scene.file("srv/d/e/two", "");
    symlink(&outside, scene.at("srv/d/link")).unwrap();
    symlink("/", scene.at("srv/d/e/root")).unwrap();
    assert_eq!(scene.chmod("srv/d", "700", true).unwrap().files_modified, 5);
    for path in ["srv/d", "srv/d/one", "srv/d/e", "srv/d/e/two", "srv/d/e/f"] {
        assert_eq!(mode(&scene.at(path)), 0o700, "{path}");
    }
    assert_eq!(mode(&outside), 0o644);
    // What lies in a folder is changed before the folder, or an ordinary user would shut himself out.
    assert_eq!(scene.chmod("srv/d", "000", true).unwrap().files_modified, 5);
    assert_eq!(mode(&scene.at("srv/d")), 0);
    for path in ["srv/d", "srv/d/e", "srv/d/e/f"] {
        set_mode(&scene.at(path), 0o700);
    }
}

#[test]
fn what_has_no_mode_of_its_own_or_is_absent_is_refused() {
    let scene = Scene::new();
    let outside = scene.file("outside", "");
    symlink(&outside, scene.at("srv/link")).unwrap();
    scene.fifo("srv/fifo");
    let _socket = UnixListener::bind(scene.at("srv/socket")).unwrap();
    for name in ["srv/link", "srv/fifo", "srv/socket"] {
        for recursive in [false, true] {
            assert!(matches!(scene.chmod(name, "777", recursive), Err(Error::WrongKind { .. })), "{name}");
        }
    }
    assert!(matches!(scene.chmod("srv/absent", "777", false), Err(Error::Absent(_))));
    assert!(matches!(scene.chmod("srv/absent/x", "777", true), Err(Error::Absent(_))));
    assert_eq!(mode(&outside), 0o644);
    // Deep within a tree, found before anything is changed.
    scene.folder("srv/a/b");
    for (bad, make) in [("fifo", true), ("socket", false)] {
        let path = format!("srv/a/b/{bad}");
        let _listener = if make {
            scene.fifo(&path);
            None
        } else {
            Some(UnixListener::bind(scene.at(&path)).unwrap())
        };
        assert!(matches!(scene.chmod("srv/a", "777", true), Err(Error::WrongKind { .. })));
        assert_eq!([mode(&scene.at("srv/a")), mode(&scene.at("srv/a/b"))], [0o755, 0o755]);
        fs::remove_file(scene.at(&path)).unwrap();
    }
    assert!(scene.chmod("srv/a", "777", true).is_ok());
}

#[test]
fn devices_are_refused() {
    if !as_root() {
        return;
    }
    let scene = Scene::new();
    let device = nix::sys::stat::makedev(1, 3);
    nix::sys::stat::mknod(&scene.at("srv/null"), nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::S_IRUSR, device)
        .unwrap();
    assert!(matches!(scene.chmod("srv/null", "777", false), Err(Error::WrongKind { found: "a device", .. })));
    assert!(matches!(scene.write("srv/null", ""), Err(Error::WrongKind { found: "a device", .. })));
    assert!(matches!(scene.delete("srv/null"), Err(Error::WrongKind { found: "a device", .. })));
}

#[test]
fn a_file_with_several_names_is_refused_alone_and_in_a_tree() {
    let scene = Scene::new();
    let outside = scene.file("outside", "");
    scene.folder("srv/d");
    fs::hard_link(&outside, scene.at("srv/d/alias")).unwrap();
    for (path, recursive) in [("srv/d/alias", false), ("srv/d/alias", true), ("srv/d", true)] {
        assert!(matches!(scene.chmod(path, "777", recursive), Err(Error::HardLinked(_))), "{path}");
    }
    assert_eq!([mode(&outside), mode(&scene.at("srv/d"))], [0o644, 0o755]);
    fs::remove_file(&outside).unwrap();
    assert!(scene.chmod("srv/d", "777", true).is_ok());
}

#[test]
fn what_root_owns_in_a_tenants_place_keeps_its_mode() {
    if !as_root() {
        return;
    }
    let scene = Scene::new();
    scene.tenants_folder("srv/t");
    scene.tenants_file("srv/t/his", "");
    let roots = scene.file("srv/t/roots", "");
    scene.folder("srv/t/roots-folder");
    scene.tenants_file("srv/t/roots-folder/his", "");
    for path in ["srv/t/roots", "srv/t/roots-folder"] {
        assert!(matches!(scene.chmod(path, "777", false), Err(Error::RootsInALoosePlace(_))));
    }
    assert!(matches!(scene.chmod("srv/t/roots", "777", true), Err(Error::RootsInALoosePlace(_))));
    assert_eq!(scene.chmod("srv/t/his", "600", false).unwrap().files_modified, 1);
    // He, his folder and what he has in root's: three.
    assert_eq!(scene.chmod("srv/t", "750", true).unwrap().files_modified, 3);
    assert_eq!([mode(&roots), mode(&scene.at("srv/t/roots-folder"))], [0o644, 0o755]);
    assert_eq!(mode(&scene.at("srv/t/roots-folder/his")), 0o750);
    assert_eq!(
        scene.chmod("srv/t/roots-folder", "700", true).unwrap().files_modified,
        1,
        "the target may be left alone"
    );
    // The same in a folder that a group or others can write, or where an ACL's mask says so.
    scene.folder("srv/g");
    let file = scene.file("srv/g/roots", "");
    for (bits, loose) in [(0o775, true), (0o757, true), (0o1777, true), (0o755, false), (0o700, false)] {
        set_mode(&scene.at("srv/g"), bits);
        assert_eq!(scene.chmod("srv/g/roots", "640", false).is_err(), loose, "{bits:o}");
    }
    assert_eq!(mode(&file), 0o640);
    // Root's own place within a tree, and a tenant's within that.
    scene.folder("srv/site");
    scene.file("srv/site/roots", "");
    scene.tenants_folder("srv/site/uploads");
    scene.file("srv/site/uploads/roots", "");
    assert_eq!(scene.chmod("srv/site", "711", true).unwrap().files_modified, 3);
    assert_eq!(mode(&scene.at("srv/site/uploads/roots")), 0o644);
    give(&scene.at("srv/site/uploads"), 0, 0);
    assert_eq!(scene.chmod("srv/site", "711", true).unwrap().files_modified, 4);
}

#[test]
fn a_tree_has_bounds_in_depth_entries_and_time() {
    let scene = Scene::new();
    scene.folder("srv/d/1/2");
    scene.file("srv/d/1/2/3", "");
    scene.file("srv/d/x", "");
    assert!(matches!(within(&scene, "srv/d", 2, 100), Err(Error::TooLarge { .. })));
    assert!(matches!(within(&scene, "srv/d", 64, 3), Err(Error::TooLarge { .. })));
    assert_eq!(mode(&scene.at("srv/d/x")), 0o644, "nothing was changed");
    let mut late = scene.task();
    late.deadline = Instant::now();
    let command = scene.chmod_command("srv/d", "700", true);
    assert!(matches!(chmod_within(&command, &late, Bounds { depth: 64, entries: 100 }), Err(Error::Deadline(_))));
    assert_eq!(mode(&scene.at("srv/d/x")), 0o644);
    assert_eq!(within(&scene, "srv/d", 3, 4).unwrap(), 5);
}

#[test]
fn without_protected_hardlinks_no_mode_is_changed() {
    if !as_root() {
        return;
    }
    in_a_namespace(&Scene::new(), |scene| {
        let file = scene.file("srv/f", "");
        assert!(scene.chmod("srv/f", "600", false).is_ok());
        bind(&scene.file("zero", "0\n"), "/proc/sys/fs/protected_hardlinks".as_ref());
        let refused = scene.chmod("srv/f", "777", false).unwrap_err();
        assert!(matches!(refused, Error::LinksNotProtected(_)));
        assert!(refused.to_string().contains("fs.protected_hardlinks"), "{refused}");
        assert_eq!(mode(&file), 0o600);
    });
}

#[test]
fn what_another_command_is_about_to_put_in_place_keeps_its_mode() {
    let scene = Scene::new();
    scene.folder("srv/d");
    let [temporary, other] = ["srv/d/.reeve-0011223344556677.tmp", "srv/d/.reeve.tmp"].map(|name| scene.file(name, ""));
    set_mode(&temporary, 0o600);
    set_mode(&other, 0o600);
    assert_eq!(scene.chmod("srv/d", "755", true).unwrap().files_modified, 2);
    assert_eq!([mode(&temporary), mode(&other)], [0o600, 0o755]);
}
