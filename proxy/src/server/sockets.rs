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

#[derive(Debug)]
struct Held {
    socket: TcpListener,
    /// False: a predecessor or the service manager gave it, nobody has asked for it yet.
    claimed: bool,
}

/// A socket that listens, non-blocking, and the name under which [`Sockets`] keeps it.
#[derive(Debug)]
pub struct Listening {
    pub name: String,
    pub socket: TcpListener,
}

impl Sockets {
    /// The socket that was inherited for `address`, or a new one. Port 0 takes a free port, each
    /// time another; a successor that asks in the same order gets the same ones.
    pub fn listen(&self, address: SocketAddr) -> io::Result<Listening> {
        let mut held = self.0.lock();
        for count in 0..=held.len() {
            let name = match count {
                0 => address.to_string(),
                _ => format!("{address}#{count}"),
            };
            match held.get_mut(&name) {
                Some(there) if there.claimed && address.port() == 0 => continue,
                Some(there) if there.claimed => return Err(io::ErrorKind::AddrInUse.into()),
                Some(there) => {
                    let socket = there.socket.try_clone()?;
                    there.claimed = true;
                    return Ok(Listening { name, socket });
                }
                None => {
                    let socket = bind(address)?;
                    let kept = socket.try_clone()?;
                    held.insert(name.clone(), Held { socket: kept, claimed: true });
                    return Ok(Listening { name, socket });
                }
            }
        }
        unreachable!("one of n + 1 names is not among the n that are taken")
    }

    /// Adds a socket that somebody else has bound, under the name it is to be asked for by.
    pub fn inherit(&self, name: String, socket: OwnedFd) -> io::Result<()> {
        let socket = TcpListener::from(socket);
        socket.set_nonblocking(true)?;
        self.0.lock().insert(name, Held { socket, claimed: false });
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

    /// Closes our hold on a socket. It goes on listening while a core or a successor holds it.
    pub fn close(&self, name: &str) {
        self.0.lock().remove(name);
    }

    /// Closes what was inherited and is not wanted any more, so that nobody connects to a socket
    /// that is never answered. Returns the names.
    pub fn close_unclaimed(&self) -> Vec<String> {
        self.0.lock().extract_if(.., |_, held| !held.claimed).map(|(name, _)| name).collect()
    }

    /// A copy of every socket, for a successor.
    pub(super) fn copies(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let held = self.0.lock();
        held.iter()
            .map(|(name, held)| Ok((name.clone(), OwnedFd::from(held.socket.try_clone()?))))
            .collect()
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait until the connections of the last run have timed out.
    socket.set_reuse_address(true)?;
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

    #[test]
    fn a_successor_that_asks_in_the_same_order_gets_the_same_sockets() {
        let old = Sockets::default();
        let first = old.listen(any_port()).unwrap();
        let second = old.listen(any_port()).unwrap();
        let new = Sockets::default();
        for (name, socket) in old.copies().unwrap() {
            new.inherit(name, socket).unwrap();
        }

        let first_again = new.listen(any_port()).unwrap();
        let second_again = new.listen(any_port()).unwrap();

        let address = |listening: &Listening| listening.socket.local_addr().unwrap();
        assert_ne!(address(&first), address(&second));
        assert_eq!(address(&first_again), address(&first));
        assert_eq!(address(&second_again), address(&second));
    }

    #[test]
    fn an_address_is_given_once() {
        let sockets = Sockets::default();
        let address = sockets.listen(any_port()).unwrap().socket.local_addr().unwrap();
        let taken = Sockets::default();

        assert_eq!(taken.listen(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_socket_of_the_service_manager_is_found_by_its_address() {
        let bound = TcpListener::bind(any_port()).unwrap();
        let address = bound.local_addr().unwrap();
        let unwanted = TcpListener::bind(any_port()).unwrap();
        let unwanted_address = unwanted.local_addr().unwrap();
        let sockets = Sockets::default();
        sockets.inherit_bound([bound.into(), unwanted.into()]).unwrap();

        let listening = sockets.listen(address).unwrap();

        assert_eq!(listening.socket.local_addr().unwrap(), address);
        assert_eq!(sockets.close_unclaimed(), [unwanted_address.to_string()]);
    }
}
