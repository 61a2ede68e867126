use super::*;
use crate::scene::{self, TENANT};
use reeve_shared::Owner;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use tempfile::TempDir;

fn config(folder: &TempDir) -> Socket {
    Socket {
        path: AbsolutePath::try_from(folder.path().join("sub/socket").to_str().unwrap()).unwrap(),
        permissions: "0620".try_into().unwrap(),
        owner: Owner::Id(geteuid().as_raw()),
        group: reeve_shared::Group(Owner::Id(nix::unistd::getegid().as_raw())),
    }
}

fn scene() -> (TempDir, Socket) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    (folder, config)
}

fn refused(config: &Socket) -> String {
    make(config).unwrap_err().to_string()
}

#[test]
fn a_socket_is_made_with_its_mode_and_removed_again() {
    let (folder, config) = scene();
    let socket = make(&config).unwrap();
    let path = config.path.as_str();
    let found = fs::symlink_metadata(path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o620);
    assert_eq!(fs::metadata(folder.path().join("sub")).unwrap().permissions().mode() & 0o7777, 0o755);
    let _client = UnixStream::connect(path).unwrap();
    assert!(socket.listener.accept().is_ok());
    drop(socket);
    assert!(fs::symlink_metadata(path).is_err());
}

#[test]
fn owner_and_group_are_those_of_the_configuration() {
    if !scene::as_root() {
        return;
    }
    let (_folder, mut config) = scene();
    config.owner = Owner::Id(TENANT);
    config.group = "www-data".try_into().unwrap();
    let socket = make(&config).unwrap();
    let found = fs::symlink_metadata(config.path.as_str()).unwrap();
    assert_eq!((found.uid(), found.gid()), (TENANT, 33));
    drop(socket);
    config.group = "no-such-group".try_into().unwrap();
    assert!(refused(&config).contains("no-such-group"));
    assert!(fs::symlink_metadata(config.path.as_str()).is_err(), "nothing is left");
}

#[test]
fn a_foreign_file_at_the_path_is_refused_and_left() {
    let (_folder, config) = scene();
    drop(make(&config).unwrap());
    let path = Path::new(config.path.as_str());
    fs::write(path, "mine").unwrap();
    assert!(refused(&config).contains("left as it is"));
    assert_eq!(fs::read_to_string(path).unwrap(), "mine");
    fs::remove_file(path).unwrap();

    let elsewhere = path.with_file_name("elsewhere");
    drop(UnixDatagram::bind(&elsewhere).unwrap());
    for target in [elsewhere.as_path(), Path::new("/nowhere")] {
        symlink(target, path).unwrap();
        assert!(refused(&config).contains("symlink"));
        assert!(fs::symlink_metadata(path).unwrap().is_symlink());
        fs::remove_file(path).unwrap();
    }
    fs::create_dir(path).unwrap();
    assert!(refused(&config).contains("left as it is"));
    fs::remove_dir(path).unwrap();
    if scene::as_root() {
        drop(UnixListener::bind(path).unwrap());
        chown(path, Some(TENANT), None).unwrap();
        assert!(refused(&config).contains("no socket of root's"));
        assert!(fs::symlink_metadata(path).is_ok());
        fs::remove_file(path).unwrap();
    }
    assert!(make(&config).is_ok());
}

#[test]
fn a_live_socket_is_refused_and_a_stale_one_replaced() {
    let (_folder, config) = scene();
    let first = make(&config).unwrap();
    assert!(refused(&config).contains("another process serves"));
    assert!(UnixStream::connect(config.path.as_str()).is_ok(), "it is left");
    drop(first);
    drop(UnixListener::bind(config.path.as_str()).unwrap());
    assert!(UnixStream::connect(config.path.as_str()).is_err(), "stale");
    let second = make(&config).unwrap();
    assert!(UnixStream::connect(config.path.as_str()).is_ok());
    drop(second);
    let datagram = UnixDatagram::bind(config.path.as_str()).unwrap();
    assert!(refused(&config).contains("another process serves"));
    drop(datagram);
}

#[test]
fn only_the_socket_that_was_made_here_is_removed() {
    let (_folder, config) = scene();
    let socket = make(&config).unwrap();
    fs::rename(config.path.as_str(), format!("{}.old", config.path)).unwrap();
    fs::write(config.path.as_str(), "another's").unwrap();
    drop(socket);
    assert_eq!(fs::read_to_string(config.path.as_str()).unwrap(), "another's");
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    let (folder, config) = scene();
    drop(make(&config).unwrap());
    let sub = folder.path().join("sub");
    for bad in [0o757, 0o775, 0o1777] {
        fs::set_permissions(&sub, fs::Permissions::from_mode(bad)).unwrap();
        assert!(refused(&config).contains("chmod go-w"), "{bad:o}");
    }
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o750)).unwrap();
    assert!(make(&config).is_ok());
}

#[test]
fn a_thousand_clients_can_wait() {
    let (_folder, config) = scene();
    let _socket = make(&config).unwrap();
    let allowed: usize = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let text = "[limits]\nmax_connections = 1200\nmax_concurrent_requests = 1";
    let limits = crate::config::Config::parse("reeve.toml".as_ref(), text).unwrap().limits;
    if !scene::can(
        "net.core.somaxconn of 1024 or more, and 1200 open files",
        allowed >= 1024 && super::super::make_room(&limits).is_ok(),
    ) {
        return;
    }
    let waiting: Vec<OwnedFd> = (0..1024)
        .map(|_| {
            let client =
                socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
                    .unwrap();
            connect(client.as_raw_fd(), &UnixAddr::new(config.path.as_str()).unwrap()).unwrap();
            client
        })
        .collect();
    assert_eq!(waiting.len(), 1024);
}

#[test]
fn listen_fds_is_one_and_listen_pid_is_ours_or_neither_is_set() {
    let own = std::process::id().to_string();
    assert!(!is_passed(None, None).unwrap());
    assert!(is_passed(Some("1"), Some(&own)).unwrap());
    for (count, pid) in [
        (Some("1"), None),
        (None, Some(own.as_str())),
        (Some("1"), Some("1")),
        (Some("0"), Some(&own)),
        (Some("2"), Some(&own)),
        (Some("01"), Some(&own)),
        (Some(" 1"), Some(&own)),
        (Some(""), Some(&own)),
        (Some("x\n"), Some(&own)),
    ] {
        let error = is_passed(count, pid).unwrap_err().to_string();
        assert!(
            error.contains("LISTEN_FDS") && error.contains(&own) && error.is_ascii() && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn tcp_listener_passed_is_refused() {
    let (_folder, config) = scene();
    let socket = make(&config).unwrap();
    assert!(check(&socket.listener.try_clone().unwrap().into(), &config.path).is_ok());
    let why = |descriptor: OwnedFd| check(&descriptor, &config.path).unwrap_err().to_string();
    assert!(why(TcpListener::bind("127.0.0.1:0").unwrap().into()).contains("no Unix socket"));
    assert!(why(UnixDatagram::unbound().unwrap().into()).contains("no stream socket"));
    assert!(why(UnixStream::pair().unwrap().0.into()).contains("does not listen"));
    assert!(why(UnixStream::connect(config.path.as_str()).unwrap().into()).contains("does not listen"));
    assert!(why(fs::File::open("/dev/null").unwrap().into()).contains("no socket"));
    let elsewhere = format!("{}.other", config.path);
    assert!(why(UnixListener::bind(&elsewhere).unwrap().into()).contains("somewhere else"));
    use std::os::linux::net::SocketAddrExt;
    let name = std::os::unix::net::SocketAddr::from_abstract_name(config.path.as_str()).unwrap();
    assert!(why(UnixListener::bind_addr(&name).unwrap().into()).contains("somewhere else"));
}
