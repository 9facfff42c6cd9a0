//! What the tests of deciding and metering stand on: a clock that the test holds, rules to vary,
//! and a gateway of real parts on a directory of its own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tollgate_common::catalog::key::key_text;
use tollgate_common::catalog::product::UpstreamSettings;
use tollgate_common::catalog::{
    KeyDigest, OutageMode, PeriodKind, ProductStatus, QuotaMode, SubscriptionStatus,
};
use tollgate_common::ids::{ConsumerId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::outcome::OutcomeSet;
use tollgate_common::snapshot::{
    Entry, KeyRules, PlanRules, ProductRules, Revision, SubscriptionRules,
};
use tollgate_common::time::{Clock, Now, Timestamp};
use tollgate_common::usage::{USAGE_RECORD_BYTES, UsageRecord};

use crate::counters::local::LocalCounters;
use crate::counters::{Drawing, Verdict};
use crate::gateway::Gateway;
use crate::http1::head::HeadLimits;
use crate::journal::{Journal, JournalOptions, SYNC_INTERVAL_DEFAULT, SyncMode};
use crate::meter::{Admission, Grant};
use crate::metrics::Metrics;
use crate::report::refusals::Refusals;
use crate::server::Flood;
use crate::settings::Settings;
use crate::snapshot::batch::{Batch, Sink};
use crate::snapshot::catalog::{ApplyError, Catalog, PlanSlot};
use crate::snapshot::plan::PlanEntry;
use crate::snapshot::product::ProductEntry;
use crate::snapshot::subscriber::Subscriber;
use crate::upstream::{Context, ContextOptions};

/// Stands still until the test moves it.
#[derive(Clone)]
pub struct TestClock(Arc<Mutex<Hands>>);

struct Hands {
    wall_at_zero_ms: i64,
    monotonic_ns: u64,
}

impl TestClock {
    pub fn at(wall: &str) -> Self {
        let hands = Hands { wall_at_zero_ms: moment(wall).0, monotonic_ns: 0 };
        Self(Arc::new(Mutex::new(hands)))
    }

    /// Moves both clocks.
    pub fn pass(&self, time: Duration) {
        self.0.lock().monotonic_ns += time.as_nanos() as u64;
    }

    /// Sets the clock on the wall, which can run back.
    pub fn set_wall(&self, wall: Timestamp) {
        let mut hands = self.0.lock();
        hands.wall_at_zero_ms = wall.0 - (hands.monotonic_ns / 1_000_000) as i64;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let Hands { wall_at_zero_ms, monotonic_ns } = *self.0.lock();
        Now { wall: Timestamp(wall_at_zero_ms + (monotonic_ns / 1_000_000) as i64), monotonic_ns }
    }
}

pub fn moment(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Named `product-<number>`, with an endpoint that nothing answers at.
pub fn product(number: u8) -> ProductRules {
    ProductRules {
        id: ProductId::from_bytes([number; 16]),
        name: format!("product-{number}"),
        status: ProductStatus::Active,
        gateway_endpoint: Some("http://192.0.2.1/".into()),
        hosts: vec![],
        routes: vec![],
        upstream: UpstreamSettings::default(),
        key_query_parameter: None,
        body_bytes_max: None,
    }
}

/// Of product 1, without limits.
pub fn plan(number: u8) -> PlanRules {
    PlanRules {
        id: plan_id(number),
        product: ProductId::from_bytes([1; 16]),
        name: format!("plan-{number}"),
        quota: None,
        rate_limit: None,
        burst: None,
        quota_mode: QuotaMode::Hard,
        period: PeriodKind::CalendarMonth,
        time_zone: "UTC".into(),
        counted: OutcomeSet::ANSWERED,
        billed: OutcomeSet::ANSWERED,
        outage_mode: OutageMode::Share,
    }
}

pub fn plan_id(number: u8) -> PlanId {
    PlanId::from_bytes([number; 16])
}

pub fn subscription(number: u8, plan: u8) -> SubscriptionRules {
    SubscriptionRules {
        id: subscription_id(number),
        consumer: ConsumerId::from_bytes([number; 16]),
        plan: plan_id(plan),
        status: SubscriptionStatus::Active,
        started_at: moment("2026-01-31T09:00:00Z"),
    }
}

pub fn subscription_id(number: u8) -> SubscriptionId {
    SubscriptionId::from_bytes([number; 16])
}

/// The text of a key.
pub fn secret(number: u8) -> String {
    key_text(&[number; 32])
}

pub fn digest(number: u8) -> KeyDigest {
    KeyDigest::of(secret(number).as_bytes())
}

pub fn key(number: u8, subscription: u8) -> KeyRules {
    KeyRules {
        digest: digest(number),
        subscription: subscription_id(subscription),
        expires_at: None,
    }
}

/// A plan as it is decided by, outside of any catalog.
pub fn compiled(rules: PlanRules) -> PlanEntry {
    let metrics = Metrics::register(&mut Registry::default());
    let product = ProductEntry::new(product(1), None, metrics.product("product-1"));
    let metrics = metrics.plan("product-1", &rules.name);
    PlanEntry::new(rules, Arc::new(product), metrics)
}

/// A subscription outside of any catalog.
pub fn subscriber(rules: &SubscriptionRules) -> Subscriber {
    Subscriber::new(rules, PlanSlot(0))
}

pub fn catalog() -> Catalog {
    catalog_with(Metrics::register(&mut Registry::default()))
}

pub fn catalog_with(metrics: Arc<Metrics>) -> Catalog {
    static BACKGROUND: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let context = Context::new(&ContextOptions::default(), BACKGROUND.handle().clone()).unwrap();
    Catalog::new(context, metrics)
}

/// Brings entries into force as one batch.
pub fn apply(
    catalog: &Catalog,
    full: bool,
    revision: Revision,
    entries: impl IntoIterator<Item = Entry>,
) -> Result<(), ApplyError> {
    let mut batch = catalog.begin(full);
    for entry in entries {
        batch.entry(entry)?;
    }
    batch.commit(revision)
}

/// A gateway without sockets.
pub struct TestGateway {
    pub gateway: Gateway,
    pub clock: TestClock,
    _directory: TempDir,
}

impl TestGateway {
    pub fn start(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self::start_synced(SyncMode::Interval(SYNC_INTERVAL_DEFAULT), entries)
    }

    pub fn start_synced(sync: SyncMode, entries: impl IntoIterator<Item = Entry>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = TestClock::at("2026-03-10T12:00:00Z");
        let metrics = Metrics::register(&mut Registry::default());
        let mut options = JournalOptions::new(directory.path().join("journal"));
        options.segment_bytes = 1 << 20;
        options.sync = sync;
        let catalog = catalog_with(metrics.clone());
        apply(&catalog, true, 1, entries).unwrap();
        let gateway = Gateway {
            settings: settings(),
            catalog: Arc::new(catalog),
            counters: Box::new(LocalCounters::default()),
            journal: Arc::new(Journal::open(options, clock.now().wall).unwrap()),
            refusals: Arc::new(Refusals::default()),
            flood: Flood::new(1_000),
            metrics,
            clock: Box::new(clock.clone()),
        };
        Self { gateway, clock, _directory: directory }
    }

    pub fn apply(&self, revision: Revision, entries: impl IntoIterator<Item = Entry>) {
        apply(&self.gateway.catalog, false, revision, entries).unwrap();
    }

    /// Draws for a call of subscription 1.
    pub fn admit(&self, cost: u32) -> Grant<'_> {
        let gateway = &self.gateway;
        let subscriber = gateway.catalog.key(&digest(1)).unwrap().subscriber;
        let plan = gateway.catalog.tables().plan(subscriber.plan()).unwrap().clone();
        let at = self.clock.now();
        let Drawing::Done(drawn) = gateway.counters.draw(&subscriber, &plan, cost, at) else {
            unreachable!("counting in memory does not wait")
        };
        assert_eq!(drawn.verdict, Verdict::Admitted);
        let request = RequestId::new(at.wall.0, 1);
        let period = drawn.limits.period;
        Grant::new(
            gateway,
            Admission { request, key: digest(1), subscriber, plan, cost, period, at },
        )
    }

    /// What was written to the journal, in order.
    pub fn records(&self) -> Vec<UsageRecord> {
        let Some(batch) = self.gateway.journal.undelivered(10_000).unwrap() else {
            return Vec::new();
        };
        let records = batch.records.as_chunks::<USAGE_RECORD_BYTES>().0;
        records.iter().map(|bytes| UsageRecord::decode(bytes).unwrap()).collect()
    }

    /// Units that a subscription has used of its quota.
    pub fn used(&self, number: u8) -> u64 {
        let subscriber = self.gateway.catalog.subscriber(subscription_id(number)).unwrap();
        let tables = self.gateway.catalog.tables();
        let plan = tables.plan(subscriber.plan()).unwrap();
        let limits = self.gateway.counters.look(&subscriber, plan, self.clock.now());
        limits.quota.unwrap().used
    }
}

pub fn settings() -> Settings {
    Settings {
        head: HeadLimits { fields_max: 100, bytes_max: 32 << 10, target_bytes_max: 8 << 10 },
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        body_rate_min: 1_024,
        write_timeout: Duration::from_secs(30),
        body_bytes_max: 1_000,
        http2_streams_max: 100,
        trusted_proxies: vec![],
        trusted_hops: 1,
    }
}
