//! Sums of records in memory, so that a batch costs a few rows and not a row per record.

use std::collections::HashMap;
use std::ops::AddAssign;

use foldhash::fast::RandomState;
use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;

use super::window::{Day, Minute};

type FastMap<K, V> = HashMap<K, V, RandomState>;

/// What is summed in every window. The first four hold what is billed, the rest stands apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub calls: i64,
    pub units: i64,
    pub bytes_in: i64,
    pub bytes_out: i64,
    /// Admitted calls that are not billed.
    pub calls_unbilled: i64,
    /// Requests made to the upstream, for calls billed or not.
    pub attempts: i64,
    /// Calls whose response did not reach its end.
    pub truncated: i64,
}

impl Counts {
    fn of(record: &UsageRecord) -> Self {
        let calls = i64::from(record.calls);
        let apart = Self {
            // Attempts are over before a first part is written.
            attempts: if record.part == 0 { i64::from(record.attempts) } else { 0 },
            truncated: i64::from(record.truncated && record.last),
            ..Self::default()
        };
        if !record.billed {
            return Self { calls_unbilled: calls, ..apart };
        }
        Self {
            calls,
            units: record.units,
            bytes_in: bounded(record.bytes_in),
            bytes_out: bounded(record.bytes_out),
            ..apart
        }
    }

    /// What is billed of one meter.
    pub const fn billed(&self, meter: Meter) -> i64 {
        match meter {
            Meter::Calls => self.calls,
            Meter::Units => self.units,
            Meter::BytesIn => self.bytes_in,
            Meter::BytesOut => self.bytes_out,
        }
    }

    /// Nothing in it is billed.
    pub fn is_unbilled(&self) -> bool {
        self.calls == 0 && self.units == 0 && self.bytes_in == 0 && self.bytes_out == 0
    }
}

fn bounded(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("a checked record is within BYTES_MAX")
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.units += other.units;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.calls_unbilled += other.calls_unbilled;
        self.attempts += other.attempts;
        self.truncated += other.truncated;
    }
}

/// Who used what on which terms. A plan belongs to one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    pub subscription: SubscriptionId,
    pub plan: PlanId,
    pub product: ProductId,
}

/// A place in [`Tally::series`].
type SeriesIndex = usize;

/// What a group of batches adds up to.
#[derive(Debug, Default)]
pub struct Tally {
    pub records: u64,
    pub series: Vec<Series>,
    index: FastMap<(SubscriptionId, PlanId), SeriesIndex>,
    minutes: FastMap<(SeriesIndex, Minute), Counts>,
    node_quotas: FastMap<(NodeId, SeriesIndex, Timestamp), i64>,
    keys: FastMap<KeyId, Minute>,
}

impl Tally {
    /// Adds a record that came from a gateway.
    pub fn add(&mut self, node: NodeId, record: &UsageRecord) {
        let minute = Minute::of(record.admitted_at);
        let series = self.index_of(record);
        self.records += 1;
        *self.minutes.entry((series, minute)).or_default() += Counts::of(record);
        if record.counted && record.period_start != Timestamp::default() {
            let quota = (node, series, record.period_start);
            *self.node_quotas.entry(quota).or_default() += record.units;
        }
        let used = self.keys.entry(record.key).or_insert(minute);
        *used = minute.max(*used);
    }

    fn index_of(&mut self, record: &UsageRecord) -> SeriesIndex {
        let UsageRecord { subscription, plan, product, .. } = *record;
        *self.index.entry((subscription, plan)).or_insert_with(|| {
            self.series.push(Series { subscription, plan, product });
            self.series.len() - 1
        })
    }

    pub fn minutes(&self) -> impl Iterator<Item = (SeriesIndex, Minute, &Counts)> {
        self.minutes.iter().map(|((series, minute), counts)| (*series, *minute, counts))
    }

    pub fn days(&self) -> impl Iterator<Item = (SeriesIndex, Day, Counts)> {
        let mut days: FastMap<(SeriesIndex, Day), Counts> = FastMap::default();
        for (series, minute, counts) in self.minutes() {
            *days.entry((series, minute.day())).or_default() += *counts;
        }
        days.into_iter().map(|((series, day), counts)| (series, day, counts))
    }

    pub fn quotas(&self) -> impl Iterator<Item = (SeriesIndex, Timestamp, i64)> {
        let mut quotas: FastMap<(SeriesIndex, Timestamp), i64> = FastMap::default();
        for (_, series, start, units) in self.node_quotas() {
            *quotas.entry((series, start)).or_default() += units;
        }
        quotas.into_iter().map(|((series, start), units)| (series, start, units))
    }

    pub fn node_quotas(&self) -> impl Iterator<Item = (NodeId, SeriesIndex, Timestamp, i64)> {
        let all = self.node_quotas.iter();
        all.map(|((node, series, start), units)| (*node, *series, *start, *units))
    }

    pub fn keys(&self) -> impl Iterator<Item = (KeyId, Minute)> {
        self.keys.iter().map(|(key, minute)| (*key, *minute))
    }
}
