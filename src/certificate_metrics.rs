//! When the certificates of this process end.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tollgate_proxy::server::Terminator;

use crate::announce::Listener;

/// Of the listeners that speak TLS.
pub fn registry(terminators: Vec<(Listener, Terminator)>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Certificates(terminators)));
    registry
}

struct Certificates(Vec<(Listener, Terminator)>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "tollgate_certificate_expiry_timestamp_seconds",
            "When the certificate in use ends, in seconds since the Unix epoch",
            None,
            MetricType::Gauge,
        )?;
        for (listener, terminator) in &self.0 {
            let Some(expires_at) = terminator.expires_at() else { continue };
            let labels = [("listener", listener.role())];
            ConstGauge::new(expires_at).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
