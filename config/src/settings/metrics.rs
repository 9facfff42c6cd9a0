//! Settings of the listener for Prometheus and health checks.

use std::net::{Ipv4Addr, SocketAddr};

use crate::section::section;

section! {
    /// Serves `/metrics`, `/healthz` and `/readyz` in every role.
    pub struct MetricsSettings {
        /// Where Prometheus and health checks ask. Loopback by default: the metrics tell names of
        /// products and plans to whoever asks.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9091));
    }
}
