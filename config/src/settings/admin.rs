//! Settings of the control plane.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use secrecy::SecretString;

use super::TlsSettings;
use crate::section::section;
use crate::value::ByteSize;

section! {
    /// The control plane: the API that owners use and gateways ask.
    pub struct AdminSettings {
        /// Where the API is served. Loopback by default, so that nothing is open by accident.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9090));
        /// The certificate to answer HTTPS with; without it the port speaks plain HTTP.
        tls: Option<TlsSettings> = None;
        /// A token with the role `platform_owner`, for the first steps and for automation. None:
        /// only tokens made with `tollgate token create` are known.
        bootstrap_token: Option<SecretString> = None;
        /// The largest body of an API call. The largest resource is some 100 KiB.
        body_bytes_max: ByteSize = ByteSize::mib(1), ByteSize::kib(16)..=ByteSize::mib(64);
        /// From the start of a connection or of a request to the end of its header.
        header_timeout: Duration = Duration::from_secs(10), Duration::from_millis(100)..=Duration::from_secs(300);
        /// The longest that one API call may take. The feed of changes to gateways is exempt.
        request_timeout: Duration = Duration::from_secs(30), Duration::from_secs(1)..=Duration::from_secs(600);
        /// Connections at once: some hundred gateways, and people. One address gets half of them at the
        /// most, and all of them a quarter of the files that the system lets the process open.
        connections_max: usize = 1_024, 1..=100_000;
    }
}

impl AdminSettings {
    /// The longest text that is taken for a token; made ones have 47 characters, and those of the
    /// settings what their owner chose.
    pub const TOKEN_LENGTH_MAX: usize = 1_024;
}
