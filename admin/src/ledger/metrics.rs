//! What operators see of the ledger.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tollgate_common::time::Clock;

use super::{ApplyError, Ledger};

const LAG: &str = "tollgate_ledger_lag_seconds";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, Default)]
pub struct LedgerMetrics {
    batches: Family<ResultLabel, Counter>,
    records: Counter,
    missing: Counter,
}

impl LedgerMetrics {
    pub(super) fn answered(&self, result: &Result<(), &ApplyError>) {
        let result = match result {
            Ok(()) => "acknowledged",
            Err(ApplyError::Malformed(_)) => "malformed",
            Err(ApplyError::Gap { .. }) => "gap",
            Err(ApplyError::Busy) => "busy",
            Err(ApplyError::Store(_) | ApplyError::Interrupted) => "failed",
        };
        self.batches.get_or_create(&ResultLabel { result }).inc();
    }

    pub(super) fn applied(&self, records: u64) {
        self.records.inc_by(records);
    }

    pub(super) fn missing(&self, records: u64) {
        self.missing.inc_by(records);
    }
}

/// Adds the ledger's metrics to those that are scraped.
pub fn register(ledger: &Arc<Ledger>, clock: Arc<dyn Clock>, registry: &mut Registry) {
    let metrics = ledger.metrics();
    registry.register(
        "tollgate_ledger_batches",
        "Batches of usage records that gateways delivered, by what was answered",
        metrics.batches.clone(),
    );
    registry.register(
        "tollgate_ledger_records",
        "Usage records that the ledger has taken",
        metrics.records.clone(),
    );
    registry.register(
        "tollgate_ledger_records_missing",
        "Usage records that the ledger had lost, put back to an earlier state, and that no gateway \
         had any longer; kept over restarts",
        metrics.missing.clone(),
    );
    registry.register_collector(Box::new(LagCollector { ledger: Arc::clone(ledger), clock }));
}

/// Works the lag out when it is asked for, since it grows by itself.
struct LagCollector {
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for LagCollector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LagCollector")
    }
}

impl Collector for LagCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let lags = self.ledger.lag(self.clock.now().wall);
        let worst = lags.iter().map(|lag| lag.seconds).max().unwrap_or(0);
        let gauge = ConstGauge::new(worst);
        let help = "Seconds from the newest call that the ledger has of a gateway to now, while \
                    that gateway holds records that the ledger has not; of the worst gateway";
        let metric = encoder.encode_descriptor(LAG, help, None, gauge.metric_type())?;
        gauge.encode(metric)
    }
}
