//! Who is at the other end of a connection: a fact that the kernel gives, not a claim of the frontend's.
use crate::{Error, sys::socket_cookie};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{AcceptConn, PeerCredentials, SockType};
use nix::sys::socket::{SockType as Kind, UnixAddr, bind, getpeername, getsockname, getsockopt};
use reeve_shared::{AbsolutePath, Caller, Policy};
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// How many cookies of closed connections are remembered, so that one that was kept can't be passed as a new one.
const REMEMBERED: usize = 4096;

/// Gives our end of the link a name of the kernel's choice (unix(7), "Autobind feature"). The frontend could bind its own end to
/// the public path, in a mount name space of its own; it would still be the end of a named one, and no client's connection.
///
/// # Errors
/// The system's.
pub(crate) fn name_our_end(link: &impl AsRawFd) -> nix::Result<()> {
    bind(link.as_raw_fd(), &UnixAddr::new_unnamed())
}

/// A connection of a client's, as the executor keeps it.
#[derive(Debug)]
pub(crate) struct Peer {
    caller: Caller,
    descriptor: OwnedFd,
}

impl Peer {
    /// The peer of a connection that was accepted at `public`.
    fn learn(descriptor: OwnedFd, public: &AbsolutePath) -> Result<Self, Error> {
        let bad = |why: &'static str| Error::NotAConnection(why);
        let kind = getsockopt(&descriptor, SockType).map_err(|_| bad("it is no socket"))?;
        if kind != Kind::Stream {
            return Err(bad("it is no stream socket"));
        }
        // The listener's own credentials are those of root.
        if getsockopt(&descriptor, AcceptConn).map_err(|_| bad("it does not say whether it listens"))? {
            return Err(bad("it is a listener"));
        }
        // So are those of the link's ends, which have no name unless the frontend gives its end one.
        let name: UnixAddr = getsockname(descriptor.as_raw_fd()).map_err(|_| bad("it is no Unix socket"))?;
        if name.path().map(Path::as_os_str) != Some(public.as_str().as_ref()) {
            return Err(bad("it was not accepted at the public path"));
        }
        let peer = getsockopt(&descriptor, PeerCredentials).map_err(|_| bad("it has no peer"))?;
        Ok(Self { caller: Caller { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() }, descriptor })
    }

    /// Whether the socket at the other end is bound to a name. A listener always is, so what connected to one is told from what was
    /// accepted: the other end of the former, root's maybe, is named, and that of a client that speaks to us is not.
    fn is_of_a_named_one(&self) -> bool {
        let name = getpeername::<UnixAddr>(self.descriptor.as_raw_fd());
        name.map_or(true, |name| name.path().is_some() || name.as_abstract().is_some())
    }

    /// Who it is.
    pub(crate) fn caller(&self) -> Caller {
        self.caller
    }

    /// Whether the client has closed its end. One that shut down only its writing side has not.
    pub(crate) fn has_hung_up(&self) -> bool {
        let mut polled = [PollFd::new(self.descriptor.as_fd(), PollFlags::empty())];
        match poll(&mut polled, PollTimeout::ZERO) {
            Ok(0) => false,
            Ok(_) => polled.iter().any(|fd| fd.revents().is_none_or(|events| !events.is_empty())),
            // What can't be asked is taken for the worse.
            Err(_) => true,
        }
    }
}

/// The connections that are open, by their number.
#[derive(Debug)]
pub(crate) struct Peers {
    public: AbsolutePath,
    most: usize,
    open: HashMap<u64, (u64, Arc<Peer>)>,
    next: u64,
    cookies: HashSet<u64>,
    closed: VecDeque<u64>,
}

impl Peers {
    /// None yet. `public` is the path of the public socket.
    pub(crate) fn new(public: AbsolutePath, most: usize) -> Self {
        Self { public, most, open: HashMap::new(), next: 0, cookies: HashSet::new(), closed: VecDeque::new() }
    }

    /// Numbers a connection. One whose uid the policy doesn't allow, or whose client has a name, takes a number too, which then names
    /// nobody.
    pub(crate) fn open(&mut self, descriptor: OwnedFd, policy: &Policy) -> Result<(), Error> {
        let peer = Peer::learn(descriptor, &self.public)?;
        let cookie = socket_cookie(&peer.descriptor).map_err(|_| Error::NotAConnection("it has no cookie"))?;
        if !self.cookies.insert(cookie) {
            return Err(Error::NotAConnection("it was passed before"));
        }
        let number = self.next;
        self.next = self.next.saturating_add(1);
        if peer.is_of_a_named_one() || policy.permit_caller(&peer.caller).is_err() {
            // For the asking: a flood of these fills no disk.
            tracing::debug!(
                connection = number,
                ?peer,
                "not taken up: its uid is not allowed, or its client's socket is bound"
            );
            self.forget(cookie);
            return Ok(());
        }
        if self.open.len() >= self.most {
            return Err(Error::NotAConnection("there are more than max_connections"));
        }
        self.open.insert(number, (cookie, Arc::new(peer)));
        Ok(())
    }

    /// Forgets a connection. Work that was begun for it keeps it for itself.
    pub(crate) fn close(&mut self, number: u64) -> Result<(), Error> {
        if number >= self.next {
            return Err(Error::NotAConnection("it was closed before it was opened"));
        }
        if let Some((cookie, _)) = self.open.remove(&number) {
            self.forget(cookie);
        }
        Ok(())
    }

    /// The connection of this number.
    pub(crate) fn get(&self, number: u64) -> Option<&Arc<Peer>> {
        self.open.get(&number).map(|(_, peer)| peer)
    }

    /// Remembers the cookie of a connection that is closed for a while.
    fn forget(&mut self, cookie: u64) {
        self.closed.push_back(cookie);
        if self.closed.len() > REMEMBERED {
            if let Some(oldest) = self.closed.pop_front() {
                self.cookies.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{getgid, getuid};
    use std::collections::BTreeSet;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    struct Public {
        _folder: tempfile::TempDir,
        listener: UnixListener,
        path: AbsolutePath,
    }

    fn public() -> Public {
        let folder = tempfile::tempdir().unwrap();
        let path = AbsolutePath::try_from(format!("{}/s", folder.path().display())).unwrap();
        Public { listener: UnixListener::bind(path.as_str()).unwrap(), path, _folder: folder }
    }

    fn connection(public: &Public) -> (UnixStream, OwnedFd) {
        let client = UnixStream::connect(public.path.as_str()).unwrap();
        (client, public.listener.accept().unwrap().0.into())
    }

    fn policy(uid: u32) -> Policy {
        Policy::new(BTreeSet::from([uid]), reeve_shared::Whitelists::default(), vec![]).unwrap()
    }

    fn why(descriptor: impl Into<OwnedFd>, public: &Public) -> String {
        Peer::learn(descriptor.into(), &public.path).unwrap_err().to_string()
    }

    #[test]
    fn a_connection_says_who_it_is_and_others_are_numbered_too() {
        let public = public();
        let mut peers = Peers::new(public.path.clone(), 2);
        let (client, descriptor) = connection(&public);
        peers.open(descriptor, &policy(getuid().as_raw())).unwrap();
        let (_stranger, descriptor) = connection(&public);
        peers.open(descriptor, &policy(getuid().as_raw().wrapping_add(1))).unwrap();
        let caller = peers.get(0).unwrap().caller();
        let me = Caller { uid: getuid().as_raw(), gid: getgid().as_raw(), pid: nix::unistd::getpid().as_raw() };
        assert_eq!(caller, me);
        assert!(peers.get(1).is_none() && peers.get(2).is_none());
        assert!(!peers.get(0).unwrap().has_hung_up());
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!peers.get(0).unwrap().has_hung_up(), "half closed is not closed");
        drop(client);
        assert!(peers.get(0).unwrap().has_hung_up());
    }

    #[test]
    fn listener_as_connection_is_refused() {
        let public = public();
        assert!(why(public.listener.try_clone().unwrap(), &public).contains("listener"));
    }

    #[test]
    fn link_end_as_connection_is_refused() {
        let public = public();
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(why(ours, &public).contains("public path"));
        assert!(why(theirs, &public).contains("public path"));
    }

    /// Takes the public path away from its listener, as it is in a mount name space of the frontend's own.
    fn bind_to_the_public_path(socket: &impl AsRawFd, public: &Public) {
        std::fs::remove_file(public.path.as_str()).unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new(public.path.as_str()).unwrap()).unwrap();
    }

    #[test]
    fn what_connected_from_the_public_path_names_nobody() {
        let (public, roots) = (public(), self::public());
        let flags = nix::sys::socket::SockFlag::empty();
        let family = nix::sys::socket::AddressFamily::Unix;
        let client = nix::sys::socket::socket(family, Kind::Stream, flags, None).unwrap();
        bind_to_the_public_path(&client, &public);
        nix::sys::socket::connect(client.as_raw_fd(), &UnixAddr::new(roots.path.as_str()).unwrap()).unwrap();
        let mut peers = Peers::new(public.path.clone(), 2);
        // To the kernel its peer is who listens there.
        assert_eq!(Peer::learn(client.try_clone().unwrap(), &public.path).unwrap().caller().uid, getuid().as_raw());
        peers.open(client, &policy(getuid().as_raw())).unwrap();
        assert!(peers.get(0).is_none());
    }

    #[test]
    fn the_frontends_own_end_bound_to_the_public_path_names_nobody() {
        let public = public();
        let (ours, its) = UnixStream::pair().unwrap();
        name_our_end(&ours).unwrap();
        bind_to_the_public_path(&its, &public);
        let mut peers = Peers::new(public.path.clone(), 2);
        peers.open(its.into(), &policy(getuid().as_raw())).unwrap();
        assert!(peers.get(0).is_none());
    }

    #[test]
    fn other_descriptors_are_no_connection() {
        let public = public();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(why(file, &public).contains("no socket"));
        assert!(why(UnixDatagram::unbound().unwrap(), &public).contains("no stream"));
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(why(TcpStream::connect(tcp.local_addr().unwrap()).unwrap(), &public).contains("no Unix"));
        let (client, _connection) = connection(&public);
        assert!(why(client, &public).contains("public path"), "the client's own end");
        let elsewhere = self::public();
        assert!(why(connection(&elsewhere).1, &public).contains("public path"));
    }

    #[test]
    fn closed_connection_gives_no_identity() {
        let public = public();
        let mut peers = Peers::new(public.path.clone(), 2);
        let (_client, descriptor) = connection(&public);
        let kept = descriptor.try_clone().unwrap();
        let twice = descriptor.try_clone().unwrap();
        let policy = policy(getuid().as_raw());
        peers.open(descriptor, &policy).unwrap();
        assert!(peers.open(twice, &policy).is_err(), "passed twice");
        peers.close(0).unwrap();
        assert!(peers.get(0).is_none());
        assert!(peers.open(kept, &policy).is_err(), "passed again after it was closed");
        assert!(peers.close(7).is_err(), "never opened");
    }

    #[test]
    fn there_are_no_more_than_max_connections() {
        let public = public();
        let mut peers = Peers::new(public.path.clone(), 2);
        let policy = policy(getuid().as_raw());
        let kept: Vec<_> = (0..3).map(|_| connection(&public)).collect();
        let mut results = kept.into_iter().map(|(_client, descriptor)| peers.open(descriptor, &policy).is_ok());
        assert_eq!([(); 3].map(|()| results.next().unwrap()), [true, true, false]);
    }
}
