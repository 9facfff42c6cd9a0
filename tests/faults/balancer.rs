//! What stands in front of several control planes: each connection goes to the first that takes it.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// It ends when it is dropped, and all connections with it.
pub struct Balancer {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Balancer {
    /// Needs a runtime.
    pub fn start(targets: Vec<SocketAddr>) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(accept(TcpListener::from_std(listener).unwrap(), targets));
        Self { address, accepting }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, targets: Vec<SocketAddr>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(pass(client, targets.clone()));
    }
}

async fn pass(mut client: TcpStream, targets: Vec<SocketAddr>) {
    for target in targets {
        if let Ok(mut server) = TcpStream::connect(target).await {
            // Either side may break off.
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
