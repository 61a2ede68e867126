use super::*;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use reeve_ipc::Error;
use reeve_ipc::blocking::{PATIENCE, Reader};
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::process::Command;

fn send(socket: &UnixStream, descriptors: &[RawFd]) {
    let message = [ControlMessage::ScmRights(descriptors)];
    let sent = sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(b"x")], &message, MsgFlags::empty(), None);
    assert_eq!(sent.unwrap(), 1);
}

/// Sends the writing end of a pipe `count` times and gives away our own: when nobody has one any more, the reading end says so.
fn sent(count: usize) -> (LinkSocket, File, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    send(&theirs, &vec![writer.as_raw_fd(); count]);
    (LinkSocket(ours), reader.into(), theirs)
}

#[test]
fn a_passed_descriptor_is_taken_up_and_closed_on_exec() {
    let (socket, mut reader, _theirs) = sent(1);
    let mut received = socket.receive(&mut [0; 8]).unwrap();
    assert_eq!((received.count, received.descriptors.len(), received.cut_off), (1, 1, false));
    let descriptor = received.descriptors.pop().unwrap();
    let flags = FdFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GETFD).unwrap());
    assert!(flags.contains(FdFlag::FD_CLOEXEC));
    let mut pipe = File::from(descriptor);
    pipe.write_all(b"hello").unwrap();
    drop(pipe);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn every_descriptor_is_owned_however_many_come() {
    for count in [2, 3, MOST_DESCRIPTORS] {
        let (socket, mut reader, _theirs) = sent(count);
        let received = socket.receive(&mut [0; 8]).unwrap();
        assert_eq!((received.descriptors.len(), received.cut_off), (count, false));
        drop(received);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "none is left open");
    }
}

#[test]
fn the_links_reader_ends_on_a_surplus_descriptor_and_closes_them_all() {
    for count in [1, 2, 3, MOST_DESCRIPTORS] {
        let (socket, mut pipe, theirs) = sent(count);
        let mut link = Reader::new(socket, PATIENCE);
        assert!(link.next_frame().unwrap().is_none());
        let first = link.wait();
        drop(theirs);
        match (count, first) {
            (1, first) => assert!(first.is_ok()),
            (_, Err(Error::SurplusDescriptor)) => {}
            (_, other) => panic!("{count}: {other:?}"),
        }
        drop(link);
        assert_eq!(pipe.read(&mut [0]).unwrap(), 0, "none is left open");
    }
}

/// Starts this test binary once more, by a shell that says `first` and then runs the test `name` alone, told to be `state`.
fn in_child(first: &str, name: &str, state: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("{first}; exec \"$0\" --exact sys::tests::{name} --test-threads=1 --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(IN_CHILD, state)
        .status()
        .unwrap();
    assert!(status.success(), "{state}");
}

#[test]
fn the_links_reader_ends_when_no_more_descriptors_can_be_opened() {
    if std::env::var_os(IN_CHILD).is_none() {
        return in_child("ulimit -n 64", "the_links_reader_ends_when_no_more_descriptors_can_be_opened", "limited");
    }
    let (socket, _pipe, _theirs) = sent(MOST_DESCRIPTORS);
    let mut link = Reader::new(socket, PATIENCE);
    assert!(link.next_frame().unwrap().is_none());
    assert!(matches!(link.wait(), Err(Error::CutOffDescriptors)));
}

#[test]
fn plain_bytes_and_the_end_come_without_descriptors() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let socket = LinkSocket(ours);
    theirs.write_all(b"abc").unwrap();
    let mut space = [0; 8];
    let received = socket.receive(&mut space).unwrap();
    assert_eq!((received.count, received.descriptors.len(), received.cut_off), (3, 0, false));
    assert_eq!(&space[..3], b"abc");
    drop(theirs);
    assert_eq!(socket.receive(&mut space).unwrap().count, 0);
}

#[test]
fn cookies_tell_sockets_apart_and_not_their_descriptors() {
    let (one, other) = UnixStream::pair().unwrap();
    let again = one.try_clone().unwrap();
    assert_eq!(socket_cookie(&one).unwrap(), socket_cookie(&again).unwrap());
    assert_ne!(socket_cookie(&one).unwrap(), socket_cookie(&other).unwrap());
    assert!(socket_cookie(&File::open("/dev/null").unwrap()).is_err());
}

#[test]
fn an_attribute_that_is_absent_or_unknown_is_as_good_as_removed() {
    let file = tempfile::tempfile().unwrap();
    assert!(remove_xattr(&file, c"system.posix_acl_access").is_ok());
    assert!(remove_xattr(&file, c"system.no_such_attribute").is_ok());
    let by_path = nix::fcntl::open("/", nix::fcntl::OFlag::O_PATH, nix::sys::stat::Mode::empty()).unwrap();
    assert!(remove_xattr(&by_path, c"system.posix_acl_access").is_err(), "by O_PATH it can't be done");
}

#[test]
fn descriptors_from_a_number_on_are_closed_by_exec() {
    let file = File::open("/dev/null").unwrap();
    let raw = fcntl(&file, FcntlArg::F_DUPFD(900)).unwrap();
    // SAFETY: it was just made, and nobody else knows of it.
    let high = unsafe { OwnedFd::from_raw_fd(raw) };
    let flags = || FdFlag::from_bits_retain(fcntl(&high, FcntlArg::F_GETFD).unwrap());
    assert!(!flags().contains(FdFlag::FD_CLOEXEC));
    close_from(900).unwrap();
    assert!(flags().contains(FdFlag::FD_CLOEXEC));
    assert!(close_from(-1).is_err());
}

/// Set in the child that this test binary starts of itself: with a descriptor 3, without one, or with few descriptors.
const IN_CHILD: &str = "REEVE_TEST_IN_CHILD";

#[test]
fn descriptor_three_is_taken_up_once() {
    match std::env::var(IN_CHILD).as_deref() {
        Ok("open") => {
            let descriptor = listen_descriptor().unwrap();
            assert_eq!(descriptor.as_raw_fd(), 3);
            let flags = FdFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GETFD).unwrap());
            assert!(flags.contains(FdFlag::FD_CLOEXEC));
            assert!(listen_descriptor().is_err(), "a second time");
        }
        Ok(_) => assert!(listen_descriptor().is_err(), "not open"),
        Err(_) => {
            for (state, shell) in [("open", "exec 3</dev/null"), ("closed", "exec 3<&-")] {
                in_child(shell, "descriptor_three_is_taken_up_once", state);
            }
        }
    }
}
