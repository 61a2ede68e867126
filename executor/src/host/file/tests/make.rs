//! file.mkdir.
use crate::error::Error;
use crate::scene::{Scene, as_root, give, mode, names, owner, set_mode};
use nix::unistd::{getegid, geteuid};
use reeve_shared::command::Reason;
use std::os::unix::fs::symlink;

#[test]
fn a_folder_is_made_with_those_above_it_and_only_the_last_gets_the_mode() {
    let scene = Scene::new();
    let made = scene.mkdir_as("srv/a/b/c", None, Some("700"), true).unwrap();
    assert_eq!((made.created, made.reason), (true, None));
    let ours = (geteuid().as_raw(), getegid().as_raw());
    for (folder, bits) in [("srv/a", 0o755), ("srv/a/b", 0o755), ("srv/a/b/c", 0o700)] {
        assert_eq!((mode(&scene.at(folder)), owner(&scene.at(folder))), (bits, ours), "{folder}");
    }
    assert!(names(&scene.at("srv/a/b/c")).is_empty());
    assert!(scene.mkdir("srv/d", false).unwrap().created);
    assert_eq!(mode(&scene.at("srv/d")), 0o755);
    if as_root() {
        scene.mkdir_as("srv/e/f", Some(33), None, true).unwrap();
        assert_eq!((owner(&scene.at("srv/e")), owner(&scene.at("srv/e/f"))), ((0, 0), (33, 0)));
    }
}

#[test]
fn a_folder_that_exists_is_left_as_it_is() {
    let scene = Scene::new();
    set_mode(&scene.folder("srv/a"), 0o2711);
    for recursive in [true, false] {
        let made = scene.mkdir_as("srv/a", None, Some("777"), recursive).unwrap();
        assert_eq!((made.created, made.reason), (false, Some(Reason::AlreadyExists)));
        assert_eq!(mode(&scene.at("srv/a")), 0o2711);
    }
}

#[test]
fn something_that_is_no_folder_is_refused_and_so_is_an_absent_parent_without_recursive() {
    let scene = Scene::new();
    scene.file("srv/file", "");
    scene.folder("outside");
    symlink(scene.at("outside"), scene.at("srv/link")).unwrap();
    symlink("nowhere", scene.at("srv/dangling")).unwrap();
    for name in ["file", "link", "dangling"] {
        assert!(matches!(scene.mkdir(&format!("srv/{name}"), true), Err(Error::WrongKind { .. })), "{name}");
    }
    assert!(matches!(scene.mkdir("srv/a/b", false), Err(Error::Absent(_))));
    assert_eq!(names(&scene.at("srv")), ["dangling", "file", "link"]);
}

#[test]
fn a_set_gid_parent_gives_neither_its_group_nor_its_bit() {
    if !as_root() {
        return;
    }
    let scene = Scene::new();
    let parent = scene.folder("srv/shared");
    give(&parent, 0, 4321);
    set_mode(&parent, 0o2775);
    scene.mkdir("srv/shared/a/b", true).unwrap();
    scene.write("srv/shared/c/d", "").unwrap();
    for made in ["a", "a/b", "c"] {
        let path = scene.at(&format!("srv/shared/{made}"));
        assert_eq!((mode(&path), owner(&path)), (0o755, (0, 0)), "{made}");
    }
    assert_eq!(owner(&scene.at("srv/shared/c/d")), (0, 0));
}
