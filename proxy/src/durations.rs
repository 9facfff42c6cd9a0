//! Durations in buckets, counted without a lock: every call counts three, on every core.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

/// What was counted until a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// The longest of each bucket in seconds, and how many were in it and in none before.
    pub buckets: Vec<(f64, u64)>,
    pub sum_seconds: f64,
}

impl Durations {
    /// With buckets up to each of `ends`, in seconds, rising, and one without end.
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
        counts[bucket].fetch_add(1, Relaxed);
        sum_ns.fetch_add(ns, Relaxed);
    }

    pub fn observed(&self) -> Observed {
        let Buckets { ends, counts, sum_ns, .. } = &*self.0;
        let ends = ends.iter().copied().chain([f64::INFINITY]);
        Observed {
            buckets: ends.zip(counts.iter().map(|count| count.load(Relaxed))).collect(),
            sum_seconds: sum_ns.load(Relaxed) as f64 / NS_PER_SECOND,
        }
    }
}

impl Observed {
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}
