//! Connections of callers, by protocol.

pub mod http1;
pub mod http2;
mod least_rate;
mod prefixed;

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use self::prefixed::Prefixed;
use crate::core::Core;
use crate::serve::Peer;
use crate::server::{Accepted, Alpn, Drain};

/// What an HTTP/2 connection begins with (RFC 9113, section 3.4). No HTTP/1.1 method is so called.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for a first read.
const FIRST_READ_BYTES: usize = 4 << 10;

/// Serves a connection until one side ends it.
pub async fn serve(core: &Arc<Core>, accepted: Accepted, drain: Drain) {
    let Accepted { mut stream, peer, secure, protocol, .. } = accepted;
    let peer = Peer::new(peer, secure);
    core.gateway.metrics.connections.inc();
    if protocol == Some(Alpn::Http2) {
        http2::serve_connection(core, stream, peer, &drain).await;
    } else {
        let mut buffer = BytesMut::with_capacity(FIRST_READ_BYTES);
        let first = async {
            tokio::select! {
                biased;
                has_asked = read_first(&mut stream, &mut buffer) => has_asked,
                () = drain.lingered() => false,
            }
        };
        match timeout(core.gateway.settings.header_timeout, first).await {
            Ok(true) if buffer.starts_with(HTTP2_PREFACE) => {
                let stream = Prefixed::new(buffer.freeze(), stream);
                http2::serve_connection(core, stream, peer, &drain).await;
            }
            Ok(true) => http1::serve_connection(core, stream, buffer, &peer, &drain).await,
            // Nothing was asked.
            Ok(false) | Err(_) => {}
        }
    }
    core.gateway.metrics.connections.dec();
}

/// Reads until it is clear which protocol is spoken; false when the caller has left.
async fn read_first(stream: &mut (impl AsyncReadExt + Unpin), buffer: &mut BytesMut) -> bool {
    loop {
        match stream.read_buf(buffer).await {
            Ok(read) if read > 0 => {}
            Ok(_) | Err(_) => return false,
        }
        let could_be_http2 =
            HTTP2_PREFACE.starts_with(buffer) && buffer.len() < HTTP2_PREFACE.len();
        if !could_be_http2 {
            return true;
        }
    }
}
