//! The listening sockets of the process, by the address that they were asked for.
//!
//! All sockets that listen come from here, so that a successor can be given every one of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// A handle: clones share the sockets.
#[derive(Clone, Debug, Default)]
pub struct Sockets(Arc<Mutex<BTreeMap<String, Held>>>);

#[derive(Debug, Default)]
struct Held {
    /// More than one: the kernel spreads connections over them.
    sockets: Vec<TcpListener>,
    /// False: a predecessor or the service manager gave it, nobody has asked for it yet.
    claimed: bool,
}

/// Sockets that listen on one address, non-blocking, and the name under which [`Sockets`] keeps
/// them. There is at least one.
#[derive(Debug)]
pub struct Listening {
    pub name: String,
    pub address: SocketAddr,
    pub sockets: Vec<TcpListener>,
}

impl Sockets {
    /// One socket: what was inherited for `address`, or a new one. Port 0 takes a free port, each
    /// time another; a successor that asks in the same order gets the same ones.
    pub fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let Listening { mut sockets, .. } = self.hold(address, 1, Joinable::No)?;
        Ok(sockets.swap_remove(0))
    }

    /// As [`listen`](Self::listen), with a socket for each of `cores`. Over a single one that all
    /// share, a burst of connections goes to the core that wakes first. All of the sockets must be
    /// accepted from: there are more than `cores` when the predecessor had more, and fewer when a
    /// service manager has bound the address.
    pub fn listen_spread(&self, address: SocketAddr, cores: usize) -> io::Result<Listening> {
        self.hold(address, cores, Joinable::Yes)
    }

    fn hold(&self, address: SocketAddr, count: usize, joinable: Joinable) -> io::Result<Listening> {
        let mut held = self.0.lock();
        let name = free_name(&held, address)?;
        let mut sockets = held.remove(&name).unwrap_or_default().sockets;
        if sockets.is_empty() {
            sockets.push(bind_first(address, joinable)?);
        }
        let address = sockets[0].local_addr()?;
        while sockets.len() < count {
            match bind(address, joinable) {
                Ok(socket) => sockets.push(socket),
                // Not ours to add to: the cores share what there is.
                Err(_) => break,
            }
        }
        let copies = sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        held.insert(name.clone(), Held { sockets, claimed: true });
        Ok(Listening { name, address, sockets: copies })
    }

    /// Adds a socket that somebody else has bound, under the name it is to be asked for by; several
    /// of one name in their order.
    pub fn inherit(&self, name: String, socket: OwnedFd) -> io::Result<()> {
        let socket = TcpListener::from(socket);
        socket.set_nonblocking(true)?;
        self.0.lock().entry(name).or_default().sockets.push(socket);
        Ok(())
    }

    /// Adds sockets that the service manager has bound, under the addresses they listen on.
    pub fn inherit_bound(&self, sockets: impl IntoIterator<Item = OwnedFd>) -> io::Result<()> {
        for socket in sockets {
            let socket = TcpListener::from(socket);
            let name = socket.local_addr()?.to_string();
            self.inherit(name, socket.into())?;
        }
        Ok(())
    }

    /// Closes our hold on the sockets of a name. They go on listening while a core or a successor holds it.
    pub fn close(&self, name: &str) {
        self.0.lock().remove(name);
    }

    /// Closes our hold on all of them.
    pub fn close_all(&self) {
        self.0.lock().clear();
    }

    /// Closes what was inherited and is not wanted any more, so that nobody connects to a socket
    /// that is never answered. Returns the names.
    pub fn close_unclaimed(&self) -> Vec<String> {
        self.0.lock().extract_if(.., |_, held| !held.claimed).map(|(name, _)| name).collect()
    }

    /// A copy of every socket, for a successor.
    pub(super) fn copies(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let mut copies = Vec::new();
        for (name, held) in self.0.lock().iter() {
            for socket in &held.sockets {
                copies.push((name.clone(), OwnedFd::from(socket.try_clone()?)));
            }
        }
        Ok(copies)
    }
}

/// The first name for `address` that nobody has claimed. Only port 0 has more than one.
fn free_name(held: &BTreeMap<String, Held>, address: SocketAddr) -> io::Result<String> {
    let mut names = (0..=held.len()).map(|count| match count {
        0 => address.to_string(),
        _ => format!("{address}#{count}"),
    });
    let is_free = |name: &String| held.get(name).is_none_or(|held| !held.claimed);
    match names.find(is_free) {
        Some(name) if address.port() == 0 || !name.contains('#') => Ok(name),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Whether other sockets may listen on the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joinable {
    Yes,
    No,
}

/// The first socket of an address. One that can be joined would also join those of another process,
/// and calls would go to either: so it is seen to first that nobody is there. The kernel never gives
/// a port that is in use for port 0.
fn bind_first(address: SocketAddr, joinable: Joinable) -> io::Result<TcpListener> {
    if joinable == Joinable::Yes && address.port() != 0 {
        drop(bind(address, Joinable::No)?);
    }
    bind(address, joinable)
}

fn bind(address: SocketAddr, joinable: Joinable) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait until the connections of the last run have timed out.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(joinable == Joinable::Yes)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    fn successor(sockets: &Sockets) -> Sockets {
        let successor = Sockets::default();
        for (name, socket) in sockets.copies().unwrap() {
            successor.inherit(name, socket).unwrap();
        }
        successor
    }

    #[test]
    fn a_successor_that_asks_in_the_same_order_gets_the_same_sockets() {
        let old = Sockets::default();
        let first = old.listen(any_port()).unwrap().local_addr().unwrap();
        let second = old.listen_spread(any_port(), 3).unwrap();
        let new = successor(&old);

        let first_again = new.listen(any_port()).unwrap().local_addr().unwrap();
        let second_again = new.listen_spread(any_port(), 3).unwrap();

        assert_ne!(first, second.address);
        assert_eq!(first_again, first);
        assert_eq!(second_again.address, second.address);
        assert_eq!(second_again.sockets.len(), 3);
    }

    #[test]
    fn a_successor_with_other_cores_leaves_no_socket_without_one() {
        let old = Sockets::default();
        let two = old.listen_spread(any_port(), 2).unwrap();

        let fewer = successor(&old).listen_spread(any_port(), 1).unwrap();
        let more = successor(&old).listen_spread(any_port(), 4).unwrap();

        assert_eq!((two.sockets.len(), fewer.sockets.len(), more.sockets.len()), (2, 2, 4));
    }

    #[test]
    fn an_address_is_given_once_and_to_one_process() {
        let sockets = Sockets::default();
        let address = sockets.listen_spread(any_port(), 2).unwrap().address;

        for cores in [1, 2] {
            for other in [&sockets, &Sockets::default()] {
                let error = other.listen_spread(address, cores).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            }
        }
    }

    #[test]
    fn a_socket_of_the_service_manager_is_found_by_its_address() {
        let bound = TcpListener::bind(any_port()).unwrap();
        let address = bound.local_addr().unwrap();
        let unwanted = TcpListener::bind(any_port()).unwrap();
        let unwanted_address = unwanted.local_addr().unwrap();
        let sockets = Sockets::default();
        sockets.inherit_bound([bound.into(), unwanted.into()]).unwrap();

        let listening = sockets.listen_spread(address, 4).unwrap();

        assert_eq!(listening.address, address);
        assert_eq!(listening.sockets.len(), 1);
        assert_eq!(sockets.close_unclaimed(), [unwanted_address.to_string()]);
    }

    #[test]
    fn what_was_given_away_can_be_listened_on_once_its_new_owner_is_gone() {
        let old = Sockets::default();
        let address = old.listen_spread(any_port(), 2).unwrap().address;
        let new = successor(&old);

        old.close_all();
        assert!(Sockets::default().listen_spread(address, 1).is_err());
        drop(new);
        assert!(Sockets::default().listen_spread(address, 1).is_ok());
    }
}
