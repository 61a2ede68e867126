//! file.write, file.write_template and file.delete.
use crate::beneath::TemporaryName;
use crate::error::Error;
use crate::host::file::{remove_leftovers, write, write_template};
use crate::journal::Entry;
use crate::scene::{Scene, TENANT, as_root, can, give, in_a_namespace, mode, mount_tmpfs, names, owner, set_mode};
use nix::unistd::{getegid, geteuid};
use reeve_shared::command::{FileWrite, FileWriteTemplate, Reason};
use reeve_shared::{Content, Owner, TemplateName};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn ours() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}

#[test]
fn a_new_file_is_roots_and_0644_and_so_are_its_folders() {
    let scene = Scene::new();
    let written = scene.write("srv/a/b/c", "hello").unwrap();
    assert_eq!((written.path, written.bytes_written), (scene.absolute("srv/a/b/c"), 5));
    assert_eq!(read(&scene.at("srv/a/b/c")), "hello");
    assert_eq!((mode(&scene.at("srv/a/b/c")), owner(&scene.at("srv/a/b/c"))), (0o644, ours()));
    for folder in ["srv/a", "srv/a/b"] {
        assert_eq!((mode(&scene.at(folder)), owner(&scene.at(folder))), (0o755, ours()));
        assert_eq!(names(&scene.at(folder)).len(), 1);
    }
    assert!(scene.write("srv/empty", "").is_ok());
    assert_eq!(read(&scene.at("srv/empty")), "");
}

#[test]
fn an_existing_file_keeps_what_the_command_does_not_name() {
    let scene = Scene::new();
    let file = scene.file("srv/f", "old and longer");
    set_mode(&file, 0o640);
    let inode = fs::metadata(&file).unwrap().ino();
    scene.write("srv/f", "new").unwrap();
    assert_eq!((read(&file).as_str(), mode(&file)), ("new", 0o640));
    assert_ne!(fs::metadata(&file).unwrap().ino(), inode, "it is replaced, never written into");
    scene.write_as("srv/f", "newer", None, None, Some("600")).unwrap();
    assert_eq!(mode(&file), 0o600);
    if as_root() {
        give(&file, 1234, 4321);
        scene.write("srv/f", "x").unwrap();
        assert_eq!((owner(&file), mode(&file)), ((1234, 4321), 0o600));
        scene.write_as("srv/f", "x", Some(33), None, None).unwrap();
        assert_eq!(owner(&file), (33, 4321));
        scene.write_as("srv/f", "x", None, Some(0), None).unwrap();
        assert_eq!(owner(&file), (33, 0));
    }
}

#[test]
fn a_template_is_written_as_content_is() {
    let scene = Scene::new();
    let command = FileWriteTemplate {
        path: scene.absolute("srv/site.conf"),
        template: TemplateName::try_from("nginx/site.conf.tera".to_owned()).unwrap(),
        content: Content::try_from("server {}".to_owned()).unwrap(),
        owner: None,
        group: None,
        mode: None,
    };
    let written = write_template(&command, &scene.task()).unwrap();
    assert_eq!((written.template.as_str(), written.bytes_written), ("nginx/site.conf.tera", 9));
    assert_eq!(read(&scene.at("srv/site.conf")), "server {}");
}

#[test]
fn an_owner_that_the_host_does_not_know_is_refused_and_nothing_is_made() {
    let scene = Scene::new();
    let mut command = FileWrite {
        path: scene.absolute("srv/a/b"),
        content: Content::try_from(String::new()).unwrap(),
        owner: Some(Owner::try_from("no-such-account-here").unwrap()),
        group: None,
        mode: None,
    };
    assert!(matches!(write(&command, &scene.task()), Err(Error::NoAccount { kind: "user", .. })));
    command.group = command.owner.take().map(reeve_shared::Group);
    assert!(matches!(write(&command, &scene.task()), Err(Error::NoAccount { kind: "group", .. })));
    assert!(names(&scene.at("srv")).is_empty());
    let us = nix::unistd::User::from_uid(geteuid()).unwrap();
    if can("an account of its own", us.is_some()) {
        command.owner = Some(Owner::try_from(us.unwrap().name.as_str()).unwrap());
        command.group = None;
        assert!(write(&command, &scene.task()).is_ok());
    }
}

#[test]
fn what_is_no_regular_file_is_neither_written_nor_deleted() {
    let scene = Scene::new();
    let outside = scene.file("outside", "safe");
    scene.folder("srv/folder");
    scene.fifo("srv/fifo");
    symlink(&outside, scene.at("srv/link")).unwrap();
    symlink(scene.at("absent"), scene.at("srv/dangling")).unwrap();
    let _socket = UnixListener::bind(scene.at("srv/socket")).unwrap();
    let before = names(&scene.at("srv"));
    for (name, found) in [
        ("folder", "a folder"),
        ("fifo", "a fifo"),
        ("link", "a symbolic link"),
        ("dangling", "a symbolic link"),
        ("socket", "a socket"),
    ] {
        let path = format!("srv/{name}");
        for refused in [scene.write(&path, "x").unwrap_err(), scene.delete(&path).unwrap_err()] {
            assert!(matches!(refused, Error::WrongKind { found: it, .. } if it == found), "{name}: {refused}");
        }
    }
    assert_eq!(names(&scene.at("srv")), before);
    assert_eq!(read(&outside), "safe");
    assert!(!scene.at("absent").exists());
}

#[test]
fn a_folder_on_the_way_is_no_link_and_no_file() {
    let scene = Scene::new();
    scene.folder("outside");
    scene.file("srv/file", "");
    scene.fifo("srv/fifo");
    symlink(scene.at("outside"), scene.at("srv/link")).unwrap();
    symlink("file", scene.at("srv/link-to-file")).unwrap();
    for name in ["file", "fifo", "link", "link-to-file"] {
        let path = format!("srv/{name}/x");
        assert!(matches!(scene.write(&path, ""), Err(Error::WrongKind { .. })), "{name}");
        assert!(matches!(scene.delete(&path), Err(Error::WrongKind { .. })), "{name}");
        assert!(matches!(scene.mkdir(&path, true), Err(Error::WrongKind { .. })), "{name}");
        assert!(matches!(scene.chmod(&path, "700", false), Err(Error::WrongKind { .. })), "{name}");
    }
    assert!(names(&scene.at("outside")).is_empty());
}

#[test]
fn only_the_name_of_a_linked_file_is_replaced_or_deleted() {
    let scene = Scene::new();
    let other = scene.file("other", "shared");
    for name in ["srv/a", "srv/b"] {
        fs::hard_link(&other, scene.at(name)).unwrap();
    }
    scene.write("srv/a", "mine").unwrap();
    assert!(scene.delete("srv/b").unwrap().deleted);
    assert_eq!((read(&other).as_str(), read(&scene.at("srv/a")).as_str()), ("shared", "mine"));
}

#[test]
fn delete_tells_a_file_that_was_there_from_one_that_was_not() {
    let scene = Scene::new();
    scene.file("srv/a", "");
    let deleted = scene.delete("srv/a").unwrap();
    assert_eq!((deleted.deleted, deleted.reason), (true, None));
    for absent in ["srv/a", "srv/b/c/d"] {
        let deleted = scene.delete(absent).unwrap();
        assert_eq!((deleted.deleted, deleted.reason), (false, Some(Reason::NotFound)));
    }
}

#[test]
fn kept_setuid_and_default_acl_do_not_reach_the_new_file() {
    if !as_root() || !can("setfacl, of the package acl", Command::new("setfacl").arg("--version").output().is_ok()) {
        return;
    }
    let scene = Scene::new();
    let file = scene.file("srv/program", "old");
    give(&file, TENANT, TENANT);
    set_mode(&file, 0o6755);
    scene.write("srv/program", "new").unwrap();
    assert_eq!((mode(&file), owner(&file)), (0o755, (TENANT, TENANT)));

    let folder = scene.folder("srv/shared");
    let acl = Command::new("setfacl").args(["-m", "d:u:65532:rwx,d:g::rwx,d:m::rwx,u:65532:rwx"]).arg(&folder).status();
    assert!(acl.unwrap().success());
    give(&folder, 0, 4321);
    set_mode(&folder, 0o2775);
    scene.write("srv/shared/file", "x").unwrap();
    scene.write_as("srv/shared/group", "x", None, None, Some("664")).unwrap();
    scene.write("srv/shared/made/file", "x").unwrap();
    scene.mkdir("srv/shared/folder", false).unwrap();
    let acl = |name: &str| {
        let output = Command::new("getfacl").args(["-c", "-p"]).arg(scene.at(name)).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert!(acl("srv/shared").contains("65532"), "the folder has its ACL");
    for (name, bits, entries) in [
        ("file", 0o644, "user::rw-\ngroup::r--\nother::r--"),
        ("group", 0o664, "user::rw-\ngroup::rw-\nother::r--"),
        ("made", 0o755, "user::rwx\ngroup::r-x\nother::r-x"),
        ("made/file", 0o644, "user::rw-\ngroup::r--\nother::r--"),
        ("folder", 0o755, "user::rwx\ngroup::r-x\nother::r-x"),
    ] {
        let path = format!("srv/shared/{name}");
        assert_eq!((mode(&scene.at(&path)), owner(&scene.at(&path))), (bits, (0, 0)), "{name}");
        assert_eq!(acl(&path), entries, "{name}");
    }
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_new() {
    if !as_root() {
        return;
    }
    in_a_namespace(&Scene::new(), |scene| {
        scene.folder("srv/small");
        mount_tmpfs(&scene.at("srv/small"), "size=64k,mode=0755");
        scene.write("srv/small/kept", "old").unwrap();
        let large = "x".repeat(1 << 20);
        for path in ["srv/small/kept", "srv/small/new", "srv/small/a/b/new"] {
            assert!(
                matches!(scene.write(path, &large), Err(Error::File { doing: "writing the content", .. })),
                "{path}"
            );
        }
        assert_eq!(names(&scene.at("srv/small")), ["kept"]);
        assert_eq!(read(&scene.at("srv/small/kept")), "old");
    });
}

#[test]
fn a_command_that_fails_takes_along_the_folders_that_it_made() {
    let scene = Scene::new();
    scene.folder("srv/kept");
    let name = "n".repeat(255);
    // The name is fine, the path to it is not: PATH_MAX has no say in a walk, but a file below a file has.
    scene.file("srv/kept/file", "");
    assert!(scene.write("srv/kept/file/a/b", "").is_err());
    assert!(scene.write(&format!("srv/new/{name}/x"), "").is_ok());
    if geteuid().is_root() {
        return;
    }
    let other = if geteuid().as_raw() == TENANT { TENANT - 1 } else { TENANT };
    assert!(
        scene.write_as("srv/made/then/x", "", Some(other), None, None).is_err(),
        "an ordinary user gives nothing away"
    );
    assert_eq!(names(&scene.at("srv")), ["kept", "new"]);
}

#[test]
fn after_its_time_limit_nothing_is_begun() {
    let scene = Scene::new();
    let mut task = scene.task();
    task.deadline = Instant::now();
    let command = FileWrite {
        path: scene.absolute("srv/a/b"),
        content: Content::try_from(String::new()).unwrap(),
        owner: None,
        group: None,
        mode: None,
    };
    assert!(matches!(write(&command, &task), Err(Error::Deadline(_))));
    assert!(names(&scene.at("srv")).is_empty());
}

#[test]
fn what_a_crash_left_is_removed_where_the_walk_went_and_nowhere_else() {
    let scene = Scene::new();
    scene.folder("srv/a/b");
    let temporary = TemporaryName::from_random([7; 8]);
    let name = temporary.to_string();
    scene.file(&format!("srv/a/b/{name}"), "half written");
    scene.folder(&format!("srv/{name}"));
    scene.folder(&format!("srv/elsewhere/{name}"));
    let entry = |path| Entry {
        request_id: scene.task().request_id,
        caller: scene.task().caller,
        command: "file.write".to_owned(),
        path,
        temporary: temporary.clone(),
    };
    remove_leftovers(&entry(None), &scene.policy).unwrap();
    assert!(scene.at(&format!("srv/a/b/{name}")).exists());
    remove_leftovers(&entry(Some(scene.absolute("srv/a/b/c/d"))), &scene.policy).unwrap();
    assert_eq!(names(&scene.at("srv")), ["a", "elsewhere"]);
    assert!(names(&scene.at("srv/a/b")).is_empty());
    assert_eq!(names(&scene.at("srv/elsewhere")), std::slice::from_ref(&name));
    // A link of that name, or a folder that holds something, is not Reeve's.
    symlink("b", scene.at(&format!("srv/a/{name}"))).unwrap();
    assert!(remove_leftovers(&entry(Some(scene.absolute("srv/a/x"))), &scene.policy).is_err());
    scene.folder(&format!("srv/{name}/full"));
    assert!(remove_leftovers(&entry(Some(scene.absolute("srv/x"))), &scene.policy).is_err());
    assert!(scene.at(&format!("srv/{name}/full")).exists());
}
