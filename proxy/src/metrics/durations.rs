//! A histogram of durations that is observed without a lock: every call does so three times, on every
//! core.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

const NS_PER_SECOND: f64 = 1e9;

#[derive(Clone, Debug)]
pub struct Durations(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// The longest of each bucket, in seconds as Prometheus is told.
    ends: &'static [f64],
    ends_ns: Vec<u64>,
    /// One more than there are ends, for what is longer than all.
    counts: Vec<AtomicU64>,
    /// Begins anew after 584 years of durations, which Prometheus takes for a restart.
    sum_ns: AtomicU64,
}

impl Durations {
    /// With buckets up to each of `ends`, in seconds, rising.
    pub fn new(ends: &'static [f64]) -> Self {
        Self(Arc::new(Buckets {
            ends,
            ends_ns: ends.iter().map(|end| (end * NS_PER_SECOND).round() as u64).collect(),
            counts: (0..=ends.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_ns: AtomicU64::new(0),
        }))
    }

    pub fn observe(&self, ns: u64) {
        let Buckets { ends_ns, counts, sum_ns, .. } = &*self.0;
        let bucket = ends_ns.iter().position(|end| ns <= *end).unwrap_or(ends_ns.len());
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        sum_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Buckets { ends, counts, sum_ns, .. } = &*self.0;
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        let ends = ends.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = sum_ns.load(Ordering::Relaxed) as f64 / NS_PER_SECOND;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
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
