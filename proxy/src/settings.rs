//! The bounds that a gateway works within. Each has a reason; the configuration names the defaults.

use std::time::Duration;

use ipnet::IpNet;

use crate::http1::head::HeadLimits;

#[derive(Clone, Debug)]
pub struct Settings {
    pub head: HeadLimits,
    /// A whole request head, from its first byte: what slow senders may hold a connection for.
    pub header_timeout: Duration,
    /// A connection that asks nothing.
    pub idle_timeout: Duration,
    /// Bytes per second that a request body must reach, on average, after the first window.
    pub body_rate_min: u64,
    /// One piece of a response: what slow readers may hold a connection for.
    pub write_timeout: Duration,
    /// A request body, where neither product nor route says otherwise.
    pub body_bytes_max: u64,
    /// Streams that one HTTP/2 connection may have open.
    pub http2_streams_max: u32,
    /// Networks whose word on the caller's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many of these proxies a call comes through.
    pub trusted_hops: usize,
}
