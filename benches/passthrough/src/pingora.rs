//! A pass-through on Pingora's `ProxyHttp`: `passthrough-pingora LISTEN UPSTREAM`.
//!
//! One thread, no filters. It keeps the choice of the HTTP engine checkable: the difference to
//! `passthrough-hyper` is what `ProxyHttp` costs per call.

use std::error::Error;
use std::net::SocketAddr;

use async_trait::async_trait;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// The product's allocator, so that the comparison is of the work and not of the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Idle upstream connections kept: twice the connections that the benchmark opens.
const IDLE_MAX: usize = 128;

struct PassThrough {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for PassThrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut (),
    ) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: passthrough-pingora LISTEN UPSTREAM".into());
    };
    let upstream = upstream.parse()?;
    let settings = ServerConf {
        threads: 1,
        // With one thread there is nobody to steal from; the plain runtime is the cheaper one.
        work_stealing: false,
        upstream_keepalive_pool_size: IDLE_MAX,
        // The benchmark ends the process when it is done; no call is left to wait for.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, PassThrough { upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
