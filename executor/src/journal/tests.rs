use super::*;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

fn entry(number: u8) -> Entry {
    Entry {
        request_id: RequestId::from_random([number; 16]),
        caller: Caller { uid: 1000, gid: 1000, pid: 7 },
        command: "file.write".to_owned(),
        path: Some(AbsolutePath::try_from(format!("/home/{number}/x").as_str()).unwrap()),
        temporary: TemporaryName::from_random([number; 8]),
    }
}

fn overwrite(folder: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(folder.join("journal")).unwrap().write_all_at(bytes, at).unwrap();
}

/// Ends the daemon without a word: nothing that it holds is dropped.
fn crash(things: impl Sized) {
    std::mem::forget(things);
}

#[test]
fn what_was_under_way_at_a_crash_is_told_until_it_is_seen_to() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Journal::open(folder.path(), 4).unwrap();
    assert!(opened.under_way.is_empty() && opened.unreadable == 0);
    let ended = opened.journal.begin(&entry(1)).unwrap();
    let under_way = opened.journal.begin(&entry(2)).unwrap();
    ended.end();
    crash((under_way, opened));

    let opened = Journal::open(folder.path(), 4).unwrap();
    assert_eq!(opened.under_way.iter().map(|(entry, _)| entry.clone()).collect::<Vec<_>>(), [entry(2)]);
    crash(opened);

    // A start that fails, since the trail can't be written say, drops them.
    for _ in 0..2 {
        let opened = Journal::open(folder.path(), 4).unwrap();
        assert_eq!(opened.under_way.len(), 1, "neither a crash nor a failure during start-up forgets anything");
    }
    let opened = Journal::open(folder.path(), 4).unwrap();
    for (_, slot) in opened.under_way {
        slot.end();
    }
    crash(opened.journal);
    assert!(Journal::open(folder.path(), 4).unwrap().under_way.is_empty());
}

#[test]
fn a_full_journal_begins_nothing_and_a_freed_slot_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = Journal::open(folder.path(), 2).unwrap();
    let (first, _second) = (journal.begin(&entry(1)).unwrap(), journal.begin(&entry(2)).unwrap());
    assert!(matches!(journal.begin(&entry(3)), Err(Error::JournalFull)));
    first.end();
    let _third = journal.begin(&entry(3)).unwrap();
    assert_eq!(fs::metadata(folder.path().join("journal")).unwrap().len(), 2 * 8192);
}

#[test]
fn fewer_slots_than_before_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Journal::open(folder.path(), 8).unwrap();
    let slots: Vec<_> = (0..8).map(|number| opened.journal.begin(&entry(number)).unwrap()).collect();
    crash((slots, opened));
    assert_eq!(Journal::open(folder.path(), 1).unwrap().under_way.len(), 8);
}

#[test]
fn a_damaged_slot_is_reported_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Journal::open(folder.path(), 4).unwrap();
    // The last free slot is taken first: 3, 2, 1.
    let slots: Vec<_> = (1..4).map(|number| opened.journal.begin(&entry(number)).unwrap()).collect();
    crash((slots, opened));
    overwrite(folder.path(), 3 * 8192 + 20, b"!");
    overwrite(folder.path(), 2 * 8192 + 4, &u32::MAX.to_le_bytes());
    let opened = Journal::open(folder.path(), 4).unwrap();
    assert_eq!(opened.unreadable, 2);
    assert_eq!(opened.under_way.iter().map(|(entry, _)| entry.clone()).collect::<Vec<_>>(), [entry(3)]);
    crash(opened);
    assert_eq!(Journal::open(folder.path(), 4).unwrap().unreadable, 0, "they are free now");
}

#[test]
fn any_bytes_at_all_are_read_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..200_u32 {
        let bytes: Vec<u8> = (0..16_384_u32)
            .map(|i| (i.wrapping_mul(seed | 1) ^ seed).to_le_bytes()[usize::from(seed & 1 == 0)])
            .collect();
        fs::write(folder.path().join("journal"), bytes).unwrap();
        fs::set_permissions(folder.path().join("journal"), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Journal::open(folder.path(), 2).unwrap().under_way.is_empty());
    }
}

#[test]
fn an_entry_that_fits_no_slot_does_not_begin() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = Journal::open(folder.path(), 1).unwrap();
    let longest = format!("/{}", "a/".repeat(2047));
    let path = AbsolutePath::try_from(longest.trim_end_matches('/')).unwrap();
    journal.begin(&Entry { path: Some(path), ..entry(1) }).unwrap().end();
    assert!(journal.begin(&Entry { command: "x".repeat(8192), ..entry(1) }).is_err());
    assert!(journal.begin(&entry(1)).is_ok(), "the slot is free again");
}

#[test]
fn only_a_file_of_our_own_is_taken_for_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let open = || Journal::open(folder.path(), 1);
    symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(open(), Err(Error::Journal { doing: "opened", .. })));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(open().is_err());
    fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    assert!(open().is_err());
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().write_all(b"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(open().is_err());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(open().is_ok());
}
