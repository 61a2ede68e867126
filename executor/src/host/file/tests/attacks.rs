//! A tenant against root: leases, fifos, deep trees, and races that another process runs in a folder of its own.
use crate::error::Error;
use crate::scene::{Scene, TENANT, as_root, mode, names, owner, set_mode};
use crate::sys::{has_lease, take_lease};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, symlink};

/// Tries until both sides have won often enough, and no more often than `most`.
fn race(most: u32, mut turn: impl FnMut(u32) -> bool, enough: (u32, u32)) -> (u32, u32) {
    let (mut won, mut lost) = (0, 0);
    for number in 0..most {
        if turn(number) {
            won += 1
        } else {
            lost += 1
        }
        if won >= enough.0 && lost >= enough.1 {
            break;
        }
    }
    (won, lost)
}

#[test]
fn lease_fifo_and_deep_tree_cost_no_worker() {
    let scene = Scene::new();
    let leased = scene.file("srv/leased", "his");
    let holder = OpenOptions::new().read(true).write(true).open(&leased).unwrap();
    take_lease(&holder).unwrap();
    scene.chmod("srv/leased", "640", false).unwrap();
    scene.write("srv/leased", "new").unwrap();
    assert!(has_lease(&holder), "it was not broken: nobody has waited for its holder");
    assert_eq!(fs::read_to_string(&leased).unwrap(), "new");
    let holder = OpenOptions::new().read(true).write(true).open(&leased).unwrap();
    take_lease(&holder).unwrap();
    assert!(scene.delete("srv/leased").unwrap().deleted);
    assert!(has_lease(&holder));

    scene.fifo("srv/fifo");
    assert!(matches!(scene.write("srv/fifo", ""), Err(Error::WrongKind { found: "a fifo", .. })));
    assert!(matches!(scene.delete("srv/fifo"), Err(Error::WrongKind { found: "a fifo", .. })));
    assert!(matches!(scene.chmod("srv/fifo", "700", false), Err(Error::WrongKind { found: "a fifo", .. })));
    assert!(matches!(scene.mkdir("srv/fifo/x", true), Err(Error::WrongKind { found: "a fifo", .. })));

    let top = scene.folder("srv/deep");
    let inside = format!("srv/deep{}", "/d".repeat(100));
    fs::create_dir_all(scene.at(&inside)).unwrap();
    set_mode(&top, 0o755);
    assert!(matches!(scene.chmod("srv/deep", "700", true), Err(Error::TooLarge { .. })));
    assert_eq!(mode(&top), 0o755, "nothing was changed");
    let half = format!("srv/deep{}", "/d".repeat(36));
    assert_eq!(scene.chmod(&half, "700", true).unwrap().files_modified, 65, "64 levels below the target");
    assert!(scene.write(&format!("{inside}/x"), "").is_ok(), "a walk has no such bound");
}

#[test]
fn a_folder_that_a_tenant_swaps_for_a_link_leads_nowhere() {
    if !as_root() {
        return;
    }
    let scene = Scene::fast();
    scene.tenants_folder("srv/t");
    scene.tenants_folder("srv/t/d");
    scene.folder("outside");
    let program = format!(
        "rename 'd', \"x$n\"; symlink '{}', 'd'; unlink 'd'; mkdir 'd'; rmdir \"x$n\"; $n++;",
        scene.at("outside").display()
    );
    let mut attacker = scene.attacker("srv/t", &program);
    let mut refused_link = 0;
    let (won, lost) = race(
        100_000,
        |_| match scene.write("srv/t/d/file", "x") {
            Ok(_) => true,
            Err(error) => {
                refused_link += u32::from(matches!(error, Error::WrongKind { found: "a symbolic link", .. }));
                false
            }
        },
        (2_000, 2_000),
    );
    assert!(attacker.is_at_work());
    assert!(names(&scene.at("outside")).is_empty(), "an escape, in {won} writes and {lost} refusals");
    assert!(won > 0 && refused_link > 0, "{won} writes, {lost} refusals, {refused_link} of them of a link");
}

#[test]
fn swapped_temporary_file_is_not_reported_written() {
    if !as_root() {
        return;
    }
    let scene = Scene::fast();
    scene.tenants_folder("srv/t");
    let secret = scene.file("outside", "safe");
    set_mode(&secret, 0o600);
    // Half of the temporary files are taken away, and something of his put in its place: a file or a link.
    let program = format!(
        "opendir(D, '.'); for (readdir D) {{ next unless /^\\.reeve-.*[0-7].\\.tmp$/; rename $_, 'stolen' or next; \
         if ($n++ % 2) {{ open(F, '>', $_); print F 'his'; close F; }} else {{ symlink '{}', $_; }} }} closedir D;",
        secret.display()
    );
    let mut attacker = scene.attacker("srv/t", &program);
    let mut swapped = 0;
    let content = |number: u32| format!("{number} {}", "x".repeat(50_000));
    let (won, lost) = race(
        20_000,
        |number| {
            let _ = scene.delete("srv/t/file");
            let _ = fs::remove_file(scene.at("srv/t/file"));
            match scene.write_as("srv/t/file", &content(number), Some(TENANT), None, None) {
                Ok(_) => {
                    assert_eq!(
                        fs::read_to_string(scene.at("srv/t/file")).unwrap(),
                        content(number),
                        "reported as written"
                    );
                    true
                }
                Err(error) => {
                    swapped += u32::from(matches!(error, Error::Swapped(_)));
                    false
                }
            }
        },
        (200, 100),
    );
    assert!(attacker.is_at_work());
    assert!(won > 0 && swapped > 0, "{won} written, {lost} failed, {swapped} of them because of a swap");
    assert_eq!((mode(&secret), owner(&secret)), (0o600, (0, 0)));
    assert_eq!(fs::read_to_string(&secret).unwrap(), "safe");
    drop(attacker);
    for name in names(&scene.at("srv/t")).iter().filter(|name| name.starts_with(".reeve-")) {
        let left = scene.at(&format!("srv/t/{name}"));
        let his = left.is_symlink() || fs::read_to_string(&left).unwrap().len() <= "his".len();
        assert!(his, "what he put there after it had failed may stay, but nothing of Reeve's");
    }
}

#[test]
fn chmod_and_mkdir_races_never_touch_what_root_owns() {
    if !as_root() {
        return;
    }
    let scene = Scene::fast();
    let outside = scene.file("outside", "");
    set_mode(&outside, 0o600);
    scene.tenants_folder("srv/t");
    // Root's own file and folder, in a folder in which the tenant can rename them.
    let roots = scene.file("srv/t/roots", "");
    set_mode(&roots, 0o600);
    scene.folder("srv/t/keep");
    scene.file("srv/t/keep/inner", "");
    set_mode(&scene.at("srv/t/keep"), 0o700);
    let inodes = [&roots, &scene.at("srv/t/keep")].map(|path| fs::metadata(path).unwrap().ino());
    scene.tenants_file("srv/t/mine", "");
    symlink(&outside, scene.at("srv/t/link")).unwrap();
    let untouched = |scene: &Scene| {
        let mut found = 0;
        for name in names(&scene.at("srv/t")) {
            let Ok(metadata) = fs::symlink_metadata(scene.at(&format!("srv/t/{name}"))) else { continue };
            if let Some(index) = inodes.iter().position(|inode| *inode == metadata.ino()) {
                assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, [0o600, 0o700][index]), "{name}");
                found += 1;
            }
        }
        assert_eq!(found, 2, "both are still there");
        assert_eq!((mode(&outside), owner(&outside)), (0o600, (0, 0)));
    };

    let swap =
        "for $n ('roots', 'link') { rename 'mine', 'm'; rename $n, 'mine'; rename 'mine', $n; rename 'm', 'mine'; }";
    let attacker = scene.attacker("srv/t", swap);
    let (one, refused) = race(20_000, |_| scene.chmod("srv/t/mine", "666", false).is_ok(), (2_000, 2_000));
    let (tree, _) = race(2_000, |_| scene.chmod("srv/t", "777", true).is_ok(), (500, 0));
    drop(attacker);
    untouched(&scene);
    assert!(one > 0 && refused > 0 && tree > 0, "{one} changed, {refused} refused, {tree} trees");

    set_mode(&scene.at("srv/t"), 0o755);
    // Half of the new folders are taken away while they have their temporary name, and root's own put there, or his, or a link.
    let swap = "opendir(D, '.'); for (readdir D) { next unless /^\\.reeve-.*[0-7].\\.tmp$/; \
                if (-l $_) { unlink $_; next } rename $_, \"s$n\" or next; \
                if ($n % 3 == 0) { rename 'keep', $_; rename $_, 'keep'; } elsif ($n % 3 == 1) { mkdir $_, 0700; utime 1, 1, $_; } \
                else { symlink '..', $_; } rmdir \"s$n\"; $n++; } closedir D;";
    let mut attacker = scene.attacker("srv/t", swap);
    let (made, refused) = race(
        100_000,
        |_| {
            let made = scene.mkdir_as("srv/t/new", Some(TENANT), Some("777"), true).is_ok_and(|made| made.created);
            let his = fs::metadata(scene.at("srv/t/new")).is_ok_and(|new| new.mtime() == 1);
            assert!(!(made && his), "a folder that he had made was given to root's command");
            // A small folder is quickly read, so he wins more often. And root's own may have got the new name.
            let new = scene.at("srv/t/new");
            let _ = fs::remove_dir(&new)
                .or_else(|_| fs::remove_file(&new))
                .or_else(|_| fs::rename(&new, scene.at("srv/t/keep")));
            made
        },
        (200, 200),
    );
    assert!(attacker.is_at_work());
    drop(attacker);
    assert!(made > 0 && refused > 0, "{made} made, {refused} refused");
    let keep =
        names(&scene.at("srv/t")).into_iter().find(|name| scene.at(&format!("srv/t/{name}/inner")).exists()).unwrap();
    let inner = scene.at(&format!("srv/t/{keep}/inner"));
    assert_eq!((mode(&inner), owner(&inner)), (0o644, (0, 0)));
    untouched(&scene);
}
