//! Durations as a histogram of Prometheus.

use std::fmt;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::durations::{Durations, Observed};

impl EncodeMetric for Durations {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.observed().encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl EncodeMetric for Observed {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_histogram::<NoLabelSet>(self.sum_seconds, self.count(), &self.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_it_fits() {
        let durations = Durations::new(&[0.0000005, 0.1]);
        let mut registry = Registry::default();
        registry.register("waits_seconds", "Waits", durations.clone());

        for ns in [0, 500, 501, 100_000_000, 100_000_001] {
            durations.observe(ns);
        }

        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert_eq!(
            text.lines().skip(2).collect::<Vec<_>>(),
            [
                "waits_seconds_sum 0.200001002",
                "waits_seconds_count 5",
                "waits_seconds_bucket{le=\"5e-7\"} 2",
                "waits_seconds_bucket{le=\"0.1\"} 4",
                "waits_seconds_bucket{le=\"+Inf\"} 5",
                "# EOF",
            ]
        );
    }
}
