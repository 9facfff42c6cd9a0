//! From a socket that Pingora has accepted to a connection that is served: limits, then TLS.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::l4::stream::Stream as Socket;
use pingora_core::protocols::{GetSocketDigest, Stream};
use pingora_core::server::ShutdownWatch;
use tokio_util::task::TaskTracker;
use tollgate_common::connections::Slots;

use super::drain::Drain;
use super::stream::{Accepted, Alpn, ClientStream};
use super::tls::Terminator;

/// What one core does with the connections of one listening socket.
pub(super) struct Acceptor<F> {
    pub serve: F,
    pub terminator: Option<Terminator>,
    pub slots: Arc<Slots>,
    pub live: TaskTracker,
    pub drain: Drain,
}

#[async_trait]
impl<F, Served> ServerApp for Acceptor<F>
where
    F: Fn(Accepted, Drain) -> Served + Send + Sync + 'static,
    Served: Future<Output = ()> + Send,
{
    async fn process_new(self: &Arc<Self>, stream: Stream, _: &ShutdownWatch) -> Option<Stream> {
        let _live = self.live.token();
        let socket = stream.into_any().downcast::<Socket>().ok()?;
        let (peer, local) = addresses(&socket)?;
        // Over a limit the connection is closed without a word: an answer would cost what the limit
        // is there to save.
        let _slot = self.slots.take(peer.ip())?;
        let accepted = match &self.terminator {
            None => {
                let stream = ClientStream::Plain(socket);
                Accepted { stream, peer, local, secure: false, protocol: None }
            }
            Some(terminator) => {
                let stream = terminator.accept(socket).await?;
                let protocol = stream.get_ref().1.alpn_protocol().and_then(Alpn::from_name);
                let stream = ClientStream::Tls(Box::new(stream));
                Accepted { stream, peer, local, secure: true, protocol }
            }
        };
        (self.serve)(accepted, self.drain.clone()).await;
        None
    }
}

fn addresses(socket: &Socket) -> Option<(SocketAddr, SocketAddr)> {
    let digest = socket.get_socket_digest()?;
    let peer = digest.peer_addr()?.as_inet()?;
    let local = digest.local_addr()?.as_inet()?;
    Some((*peer, *local))
}
