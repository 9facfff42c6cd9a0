//! What Prometheus reads of the data plane.
//!
//! Handles live with the product or plan that they count for, so a call looks up no series, and what
//! has left the catalog has none. No label carries a key, a consumer, a path or anything else that a
//! caller chooses; series are as many as products, plans, outcomes and reasons.

mod durations;
pub mod node;
mod series;

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use self::series::Series;
pub use self::series::{PlanMetrics, ProductMetrics};
use crate::durations::Durations;

/// Label pairs by position; every family here has its own fixed names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels<const N: usize>([(&'static str, Arc<str>); N]);

impl<const N: usize> EncodeLabelSet for Labels<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, value) in &self.0 {
            (*name, &**value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

pub struct Metrics {
    series: Arc<Series>,
    /// Seconds from the end of the request head to the end of the response.
    pub request_duration: Durations,
    /// Seconds from the request being sent to the upstream to the head of its response.
    pub upstream_duration: Durations,
    /// Seconds from the end of the request head to the decision.
    pub decision_duration: Durations,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    /// Connections of callers that are open.
    pub connections: Gauge,
    /// Refusals before a product is known.
    pub unrouted: ProductMetrics,
}

/// From a tenth of a millisecond to a minute, doubling or so.
static DURATION_SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

/// A decision is pure computation, unless it waits for shared counters.
static DECISION_SECONDS: [f64; 10] =
    [0.0000005, 0.000001, 0.0000025, 0.000005, 0.00001, 0.000025, 0.0001, 0.001, 0.01, 0.1];

impl Metrics {
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let series = Series::register(registry);
        let bytes = Family::<Labels<1>, Counter>::default();
        let metrics = Self {
            request_duration: Durations::new(&DURATION_SECONDS),
            upstream_duration: Durations::new(&DURATION_SECONDS),
            decision_duration: Durations::new(&DECISION_SECONDS),
            bytes_in: bytes.get_or_create_owned(&Labels([("direction", "in".into())])),
            bytes_out: bytes.get_or_create_owned(&Labels([("direction", "out".into())])),
            connections: Gauge::default(),
            unrouted: series.product(""),
            series,
        };
        registry.register("tollgate_bytes", "Bytes of bodies and tunnels", bytes);
        registry.register(
            "tollgate_request_duration_seconds",
            "From the end of the request head to the end of the response",
            metrics.request_duration.clone(),
        );
        registry.register(
            "tollgate_upstream_duration_seconds",
            "From sending to the upstream to the head of its response",
            metrics.upstream_duration.clone(),
        );
        registry.register(
            "tollgate_decision_duration_seconds",
            "From the end of the request head to the decision",
            metrics.decision_duration.clone(),
        );
        registry.register(
            "tollgate_connections",
            "Open connections of callers",
            metrics.connections.clone(),
        );
        Arc::new(metrics)
    }

    pub fn product(&self, product: &str) -> ProductMetrics {
        self.series.product(product)
    }

    pub fn plan(&self, product: &str, plan: &str) -> PlanMetrics {
        self.series.plan(product, plan)
    }
}
