//! Settings of the data plane.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::TlsSettings;
use crate::section::section;
use crate::value::ByteSize;

section! {
    /// The data plane: where calls come in and how they are treated.
    pub struct ProxySettings {
        /// Where calls come in. Loopback by default, so that nothing is open by accident.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        /// The certificate to answer HTTPS with; without it the port speaks plain HTTP.
        tls: Option<TlsSettings> = None;
        /// Threads that serve calls, each with its own connections, at most 1024. None: one per core.
        threads: Option<NonZeroUsize> = None;
        /// The control plane, for `tollgate proxy`.
        admin_url: Option<Url> = None;
        /// Lets an upstream be on this machine (127.0.0.0/8, ::1). Off, because whoever may edit a
        /// product could then reach services that trust the machine.
        allow_loopback_upstreams: bool = false;
        /// Lets an upstream be on a private network (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,
        /// 100.64.0.0/10, fc00::/7). Off for the same reason.
        allow_private_upstreams: bool = false;
        /// Load balancers in front. Only what they say in `X-Forwarded-For` is believed.
        trusted_proxies: Vec<IpNet> = Vec::new();
        /// Through how many of them a call comes: so many entries of `X-Forwarded-For`, from the last,
        /// are believed and passed on; what a caller has written before them is not.
        trusted_hops: usize = 1, 1..=16;
        /// How long calls in flight may take to end once the process was told to stop. Longer than
        /// most calls, shorter than the patience of systemd (90 s).
        drain_timeout: Duration = Duration::from_secs(30), Duration::ZERO..=Duration::from_secs(3_600);
        /// A Unix socket over which a new process takes the listening sockets from the one that
        /// runs on the same `data_dir`, so that an upgrade refuses no call. Nothing else may be at
        /// the path. None: no hand-over.
        upgrade_socket: Option<PathBuf> = None;
        /// The most that one caller can take.
        limits: ProxyLimits = ProxyLimits::default();
    }
}

section! {
    /// The most that one caller can take. Each bound keeps a single client from costing more than
    /// its share of memory, sockets or time.
    pub struct ProxyLimits {
        /// Fields in a request's header. Browsers and SDKs stay below 50.
        header_fields: usize = 100, 10..=1_000;
        /// Bytes in a request's header, request line included. Cookies and tokens rarely pass 16 KiB.
        header_bytes: ByteSize = ByteSize::kib(32), ByteSize::kib(4)..=ByteSize::mib(1);
        /// Bytes in a request's target. RFC 9110, section 4.1, asks for at least 8000.
        target_bytes: ByteSize = ByteSize::kib(8), ByteSize(256)..=ByteSize::kib(64);
        /// From the first byte of a request, or from the start of a connection, to the end of the
        /// header. Time for a slow link, not for a client that feeds a byte now and then.
        header_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100)..=Duration::from_secs(300);
        /// How long a connection may wait for its next request. Longer than the 60 s of most load
        /// balancers, so that it is they who close.
        idle_timeout: Duration = Duration::from_secs(75), Duration::from_millis(100)..=Duration::from_secs(3_600);
        /// Bytes per second, on average, below which a request body is given up; 0B asks for none. 240 is
        /// what Kestrel uses: slower than any working modem.
        body_rate_min: ByteSize = ByteSize(240), ByteSize(0)..=ByteSize::mib(1);
        /// How long a client may take nothing of its response before its connection is closed, or its stream is reset over HTTP/2.
        /// There the end of a response, some 200 KiB of it, may wait for as long as its connection is used.
        write_timeout: Duration = Duration::from_secs(30), Duration::from_millis(100)..=Duration::from_secs(3_600);
        /// The largest request body, where product and route set no other. Bodies stream, so this
        /// bounds traffic, not memory.
        body_bytes_max: ByteSize = ByteSize::mib(64), ByteSize(0)..=ByteSize(1 << 50);
        /// Streams at once on one HTTP/2 connection: the least that RFC 9113, section 6.5.2, advises.
        h2_streams: u32 = 100, 1..=10_000;
        /// Connections at once. To upstreams there are twice as many at the most, or what these leave
        /// of the process's file descriptors: half of them to one upstream, a quarter for the calls of
        /// one subscription to it (over HTTP/2, 400 calls of one on each core). Calls that find no room
        /// are answered 503.
        connections_max: usize = 10_000, 1..=1_000_000;
        /// Connections at once from one address (an IPv6 /64 is one). Room for an office behind
        /// one address, too little to fill the house. Trusted proxies are exempt.
        connections_per_address_max: usize = 1_000, 1..=1_000_000;
        /// Unknown keys per second that one address may try before it is answered 503 instead of
        /// 401. No one mistypes 100 keys a second.
        unknown_key_rate: u32 = 100, 1..=1_000_000;
    }
}
