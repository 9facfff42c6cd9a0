//! What operators see of the control plane. No label carries what a caller chooses.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    /// The pattern of the URL, such as `/api/v1/plans/{id}`.
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    request_duration: Histogram,
    pub changes: Counter,
    pub connections: Gauge,
    pub feed_subscribers: Gauge,
    pub feed_bytes: Counter,
}

/// From a look-up in memory to a change that waits for the disk.
const DURATION_BUCKETS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            request_duration: Histogram::new(DURATION_BUCKETS),
            changes: Counter::default(),
            connections: Gauge::default(),
            feed_subscribers: Gauge::default(),
            feed_bytes: Counter::default(),
        }
    }
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tollgate_admin_requests",
            "Requests to the control plane, by route, method and status",
            self.requests.clone(),
        );
        registry.register(
            "tollgate_admin_request_duration_seconds",
            "Time from a request's header to the head of its answer",
            self.request_duration.clone(),
        );
        registry.register(
            "tollgate_admin_changes",
            "Changes to the catalog that were committed",
            self.changes.clone(),
        );
        registry.register(
            "tollgate_admin_connections",
            "Connections to the control plane",
            self.connections.clone(),
        );
        registry.register(
            "tollgate_admin_feed_subscribers",
            "Gateways that follow the snapshot feed",
            self.feed_subscribers.clone(),
        );
        registry.register(
            "tollgate_admin_feed_bytes",
            "Bytes that the snapshot feed has sent",
            self.feed_bytes.clone(),
        );
    }

    pub fn count_request(
        &self,
        route: &str,
        method: &Method,
        status: StatusCode,
        duration: Duration,
    ) {
        let labels = RequestLabels {
            route: route.to_owned(),
            method: method_label(method),
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        self.request_duration.observe(duration.as_secs_f64());
    }
}

/// A caller can make methods up; the label cannot.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
