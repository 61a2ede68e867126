use super::*;
use crate::scene::{Scene, TENANT, as_root, bind, give, in_a_namespace, mount_tmpfs, set_mode};
use reeve_shared::PathPrefix;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// What becomes of the folder `below` as a prefix.
fn prefix(scene: &Scene, below: &str, built_in: bool) -> Result<Object, Error> {
    let prefix = PathPrefix::try_from(scene.absolute(below).to_string()).unwrap();
    Beneath::new(&scene.policy, Mounts::Refused).unwrap().open_prefix(&prefix, built_in)
}

fn is_loose_prefix(scene: &Scene, below: &str) -> bool {
    prefix(scene, below, true).unwrap().is_loose()
}

#[test]
fn this_kernel_has_openat2() {
    assert!(probe().is_ok());
}

#[test]
fn a_prefix_is_a_folder_and_no_link() {
    let scene = Scene::new();
    scene.folder("a/b");
    scene.file("file", "");
    symlink(scene.at("a"), scene.at("link")).unwrap();
    assert!(prefix(&scene, "a/b", false).is_ok());
    let refused = |below| prefix(&scene, below, true).unwrap_err();
    assert!(matches!(refused("link"), Error::WrongKind { found: "a symbolic link", .. }));
    assert!(matches!(refused("link/b"), Error::WrongKind { found: "a symbolic link", .. }));
    assert!(matches!(refused("file"), Error::WrongKind { found: "a regular file", .. }));
    assert!(matches!(refused("absent"), Error::Absent(_)));
}

#[test]
fn a_prefix_and_what_is_above_it_is_not_writable_by_others() {
    let scene = Scene::new();
    scene.folder("a/b");
    set_mode(&scene.at("a"), 0o757);
    assert!(matches!(prefix(&scene, "a", true), Err(Error::WritableByOthers(_))));
    assert!(matches!(prefix(&scene, "a/b", true), Err(Error::WritableByOthers(_))), "above");
    set_mode(&scene.at("a"), 0o1777);
    assert!(prefix(&scene, "a", false).is_ok(), "sticky and root's");
    assert!(prefix(&scene, "a/b", false).is_ok(), "above, sticky and root's");
    set_mode(&scene.at("a"), 0o2775);
    assert!(prefix(&scene, "a/b", false).is_ok(), "writable by a group");
}

#[test]
fn a_prefix_is_roots_and_a_built_in_one_may_be_a_services() {
    if !as_root() {
        return;
    }
    let scene = Scene::new();
    scene.folder("a/b");
    for (uid, built_in, fit) in [
        (0, false, true),
        (0, true, true),
        (33, true, true),
        (999, true, true),
        (33, false, false),
        (1000, true, false),
        (TENANT, true, false),
    ] {
        give(&scene.at("a"), uid, 33);
        let opened = prefix(&scene, "a", built_in);
        assert_eq!(opened.is_ok(), fit, "{uid} {built_in}");
        assert!(fit || matches!(opened, Err(Error::Owner { .. })));
        // Who owns the folder above decides what the prefix is.
        assert_eq!(prefix(&scene, "a/b", built_in).is_ok(), uid == 0, "{uid} above");
    }
}

#[test]
fn what_stands_in_a_sticky_folder_is_roots() {
    if !as_root() {
        return;
    }
    let scene = Scene::new();
    scene.folder("tmp/reeve");
    set_mode(&scene.at("tmp"), 0o1777);
    assert!(prefix(&scene, "tmp/reeve", true).is_ok());
    give(&scene.at("tmp/reeve"), 33, 33);
    assert!(matches!(prefix(&scene, "tmp/reeve", true), Err(Error::Owner { uid: 33, .. })));
}

#[test]
fn a_place_is_loose_where_someone_but_root_can_write() {
    let scene = Scene::new();
    scene.folder("a/b/c");
    assert!(!is_loose_prefix(&scene, "a"));
    set_mode(&scene.at("a"), 0o775);
    assert!(is_loose_prefix(&scene, "a"));
    assert!(!is_loose_prefix(&scene, "a/b"), "what is above a prefix is judged otherwise");
    set_mode(&scene.at("a"), 0o755);
    set_mode(&scene.at("a/b"), 0o1777);
    let beneath = Beneath::new(&scene.policy, Mounts::Refused).unwrap();
    let walk = |names: &[&str]| beneath.descend(prefix(&scene, "a", true).unwrap(), names).unwrap().is_loose();
    assert!(!walk(&[]));
    assert!(walk(&["b"]));
    assert!(walk(&["b", "c"]), "and what is below it");
    if as_root() {
        set_mode(&scene.at("a/b"), 0o700);
        assert!(!walk(&["b", "c"]));
        give(&scene.at("a/b"), 33, 0);
        assert!(walk(&["b", "c"]));
    }
}

#[test]
fn the_first_fit_prefix_is_used_and_the_error_names_what_is_wrong_with_each() {
    let scene = Scene::new();
    let absolute = scene.absolute("srv/x/y");
    let start = |scene: &Scene| {
        let beneath = Beneath::new(&scene.policy, Mounts::Entered).unwrap();
        beneath.start(&absolute, &scene.policy).map(|start| (start.folders.join("/"), start.name.to_owned()))
    };
    assert_eq!(start(&scene).unwrap(), ("x".to_owned(), "y".to_owned()));
    set_mode(&scene.at("srv"), 0o777);
    let error = start(&scene).unwrap_err().to_string();
    assert!(error.contains("/srv/x/y") && error.contains("can be written by others"), "{error}");
}

#[test]
fn prefix_removed_and_made_again_works() {
    let scene = Scene::new();
    assert!(scene.write("srv/a", "1").is_ok());
    fs::remove_dir_all(scene.at("srv")).unwrap();
    assert!(matches!(scene.write("srv/a", "2"), Err(Error::NoPrefix { .. })));
    scene.folder("srv");
    assert!(scene.write("srv/a", "3").is_ok());
    assert_eq!(fs::read_to_string(scene.at("srv/a")).unwrap(), "3");
}

#[test]
fn passwd_is_protected_after_useradd() {
    let scene = Scene::protecting(&["srv/etc/passwd", "srv/etc/pam.d"]);
    scene.folder("srv/etc/pam.d");
    scene.file("srv/etc/passwd", "root");
    let refused = |below: &str| {
        let write = matches!(scene.write(below, "x"), Err(Error::ProtectedObject(_)));
        let delete = matches!(scene.delete(below), Err(Error::ProtectedObject(_)));
        assert_eq!(write, delete, "{below}");
        write
    };
    fs::hard_link(scene.at("srv/etc/passwd"), scene.at("srv/alias")).unwrap();
    assert!(refused("srv/etc/passwd") && refused("srv/alias"));
    // As useradd does it: a new file takes the name, and with it a new inode is the protected one.
    scene.file("srv/etc/passwd+", "root, user");
    fs::rename(scene.at("srv/etc/passwd+"), scene.at("srv/etc/passwd")).unwrap();
    fs::hard_link(scene.at("srv/etc/passwd"), scene.at("srv/alias2")).unwrap();
    assert!(refused("srv/etc/passwd") && refused("srv/alias2"));
    assert!(scene.write("srv/alias", "no longer anybody's").is_ok());
    assert!(matches!(scene.chmod("srv/etc", "755", true), Err(Error::ProtectedObject(_))), "within a tree");
    assert!(matches!(scene.mkdir("srv/etc/pam.d/x", true), Err(Error::ProtectedObject(_))));
    assert!(matches!(scene.mkdir("srv/etc/pam.d", true), Err(Error::ProtectedObject(_))));
    assert_eq!(fs::read_to_string(scene.at("srv/etc/passwd")).unwrap(), "root, user");
    assert!(scene.write("srv/etc/motd", "beside it").is_ok());
}

#[test]
fn what_a_protected_link_leads_to_is_protected() {
    let scene = Scene::protecting(&["etc/resolv.conf"]);
    scene.folder("etc");
    scene.file("srv/stub-resolv.conf", "nameserver");
    assert!(scene.write("srv/stub-resolv.conf", "x").is_ok());
    symlink(scene.at("srv/stub-resolv.conf"), scene.at("etc/resolv.conf")).unwrap();
    assert!(matches!(scene.write("srv/stub-resolv.conf", "y"), Err(Error::ProtectedObject(_))));
}

#[test]
fn protected_folders_are_known_through_a_bind_mount() {
    if !as_root() {
        return;
    }
    in_a_namespace(&Scene::protecting(&["etc/ssh"]), |scene| {
        scene.folder("etc/ssh");
        scene.folder("etc/other");
        scene.file("etc/ssh/sshd_config", "");
        let mount_points = [("etc/ssh", "srv/a"), ("etc/other", "srv/b"), ("etc", "srv/c")];
        for (from, to) in mount_points {
            scene.folder(to);
            bind(&scene.at(from), &scene.at(to));
        }
        assert!(matches!(scene.write("srv/a/x", ""), Err(Error::ProtectedObject(_))));
        assert!(matches!(scene.write("srv/c/ssh/x", ""), Err(Error::ProtectedObject(_))));
        assert!(scene.write("srv/b/x", "").is_ok());
        assert!(scene.write("srv/c/x", "").is_ok());
        // A folder above the prefix counts as well.
        let below: PathBuf = scene.at("etc/ssh/srv");
        fs::create_dir(&below).unwrap();
        bind(&below, &scene.at("srv"));
        assert!(scene.write("srv/x", "").is_ok(), "a folder within it, by another way, is not it");
        bind(&scene.at("etc/ssh"), &scene.at("srv"));
        assert!(
            matches!(scene.write("srv/x", ""), Err(Error::NoPrefix { reasons, .. }) if reasons.contains("protected"))
        );
    });
}

#[test]
fn a_folder_that_was_just_made_is_told_from_any_other() {
    let scene = Scene::new();
    let path = scene.folder("srv/new");
    let is_fresh = || {
        let folder = Object::new(fs::File::open(&path).unwrap().into(), path.clone(), false).unwrap();
        match make::check_fresh(folder) {
            Ok(_) => true,
            Err(Error::Swapped(_)) => false,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(!is_fresh(), "0755");
    set_mode(&path, 0o2700);
    assert!(is_fresh(), "in a set-gid folder");
    scene.file("srv/new/x", "");
    assert!(!is_fresh(), "not empty");
    fs::remove_file(scene.at("srv/new/x")).unwrap();
    assert!(is_fresh());
    if as_root() {
        give(&path, TENANT, 0);
        assert!(!is_fresh(), "somebody else's");
    }
}

#[test]
fn nothing_called_dot_ssh_is_met() {
    let scene = Scene::new();
    scene.folder("srv/home/.ssh");
    for refused in [scene.write("srv/home/.ssh/authorized_keys", "").err(), scene.chmod("srv/home", "700", true).err()]
    {
        assert!(matches!(refused, Some(Error::ProtectedObject(_))));
    }
    scene.folder("srv/home/ssh");
    assert!(scene.write("srv/home/ssh/authorized_keys", "").is_ok());
    assert!(scene.chmod("srv/home", "755", false).is_ok());
}

#[test]
fn a_mount_above_the_prefix_is_entered_by_a_recursive_command_too() {
    if !as_root() {
        return;
    }
    in_a_namespace(&Scene::new(), |scene| {
        mount_tmpfs(&scene.at("srv"), "mode=0755");
        scene.folder("srv/site");
        assert_eq!(scene.chmod("srv/site", "750", true).unwrap().files_modified, 1);
    });
}
