//! What the micro benchmarks stand on: a gateway of real parts with as many keys as are asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tollgate_common::catalog::key::key_text;
use tollgate_common::catalog::product::UpstreamSettings;
use tollgate_common::catalog::{
    KeyDigest, OutageMode, PeriodKind, ProductStatus, QuotaMode, SubscriptionStatus,
};
use tollgate_common::ids::{ConsumerId, PlanId, ProductId, SubscriptionId};
use tollgate_common::outcome::OutcomeSet;
use tollgate_common::snapshot::{Entry, KeyRules, PlanRules, ProductRules, SubscriptionRules};
use tollgate_common::time::{Clock, Timestamp};
use tollgate_proxy::clock::SystemClock;
use tollgate_proxy::counters::local::LocalCounters;
use tollgate_proxy::gateway::Gateway;
use tollgate_proxy::http1::head::HeadLimits;
use tollgate_proxy::journal::{Journal, JournalOptions};
use tollgate_proxy::metrics::Metrics;
use tollgate_proxy::report::refusals::Refusals;
use tollgate_proxy::server::Flood;
use tollgate_proxy::settings::Settings;
use tollgate_proxy::snapshot::batch::{Batch, Sink};
use tollgate_proxy::snapshot::catalog::Catalog;
use tollgate_proxy::upstream::{Context, ContextOptions};

/// Keys whose text is at hand. Spread over all keys, they do not fit any cache either.
const CALLERS_MAX: usize = 1 << 20;

/// Calls between two looks at the journal: fewer than its reserve holds.
pub const CALLS_PER_ROUND: u64 = 50_000;

const SEGMENT_BYTES: u64 = 64 << 20;

pub struct Stage {
    pub gateway: Gateway,
    /// Texts of keys, in random order.
    pub keys: Vec<String>,
    acknowledging: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
    _directory: TempDir,
    _background: Runtime,
}

impl Stage {
    pub fn set(keys: usize) -> Self {
        let background = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads can be started");
        let metrics = Metrics::register(&mut Registry::default());
        let catalog = catalog(&background, metrics.clone());
        let texts = fill(&catalog, keys);
        let directory = memory_directory();
        let clock = SystemClock::start();
        let mut options = JournalOptions::new(directory.path().join("journal"));
        options.segment_bytes = SEGMENT_BYTES;
        let journal = Journal::open(options, clock.now().wall).expect("the journal opens");
        let journal = Arc::new(journal);
        let is_over = Arc::new(AtomicBool::new(false));
        Self {
            acknowledging: Some(acknowledge(journal.clone(), is_over.clone())),
            gateway: Gateway {
                settings: settings(),
                catalog: Arc::new(catalog),
                counters: Box::new(LocalCounters::default()),
                journal,
                refusals: Arc::new(Refusals::default()),
                flood: Flood::new(1_000),
                metrics,
                clock: Box::new(clock),
            },
            keys: texts,
            is_over,
            _directory: directory,
            _background: background,
        }
    }

    /// Waits until the journal has room for a round.
    pub fn make_room(&self) {
        while !self.gateway.journal.accepts() {
            std::thread::yield_now();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.acknowledging.take() {
            thread.join().expect("acknowledging does not panic");
        }
    }
}

/// Stands in for a ledger that takes everything, so that the journal never fills.
fn acknowledge(journal: Arc<Journal>, is_over: Arc<AtomicBool>) -> JoinHandle<()> {
    const EVERY: Duration = Duration::from_millis(5);
    std::thread::spawn(move || {
        while !is_over.load(Ordering::Relaxed) {
            let appended = *journal.appended().borrow();
            journal.acknowledge(journal.epoch(), appended).expect("that much was appended");
            std::thread::park_timeout(EVERY);
        }
    })
}

/// In memory where the system has such a place: what is measured is the path, not the disk.
pub fn memory_directory() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    made.expect("a temporary directory can be made")
}

pub fn catalog(background: &Runtime, metrics: Arc<Metrics>) -> Catalog {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let context = Context::new(&ContextOptions::default(), background.handle().clone())
        .expect("the system has a resolver");
    Catalog::new(context, metrics)
}

/// Fills the catalog; gives back texts of keys spread over all of them, in random order.
fn fill(catalog: &Catalog, keys: usize) -> Vec<String> {
    let mut random = SmallRng::seed_from_u64(1);
    let every = keys.div_ceil(CALLERS_MAX);
    let mut texts = Vec::with_capacity(keys.min(CALLERS_MAX));
    let mut batch = catalog.begin(true);
    for entry in base() {
        batch.entry(entry).expect("products come before plans");
    }
    for number in 0..keys {
        let text = key_text(&random.random());
        let digest = KeyDigest::of(text.as_bytes());
        for entry in subscribed(&mut random, digest) {
            batch.entry(entry).expect("the plan is there");
        }
        if number % every == 0 {
            texts.push(text);
        }
    }
    batch.commit(1).expect("the batch is whole");
    texts.shuffle(&mut random);
    texts
}

pub const PRODUCT: ProductId = ProductId::from_bytes([1; 16]);
pub const PLANS: [PlanId; 2] = [PlanId::from_bytes([1; 16]), PlanId::from_bytes([2; 16])];

/// A product and two plans, with limits that no benchmark reaches.
pub fn base() -> Vec<Entry> {
    let product = Entry::Product(ProductRules {
        id: PRODUCT,
        name: "weather".into(),
        status: ProductStatus::Active,
        gateway_endpoint: Some("http://192.0.2.1/".into()),
        hosts: vec![],
        routes: vec![],
        upstream: UpstreamSettings::default(),
        key_query_parameter: None,
        body_bytes_max: None,
    });
    let plans = PLANS.map(|id| {
        Entry::Plan(PlanRules {
            id,
            product: PRODUCT,
            name: format!("plan-{}", id.as_bytes()[0]),
            quota: Some(1 << 50),
            rate_limit: Some(u32::MAX),
            burst: Some(u32::MAX),
            quota_mode: QuotaMode::Hard,
            period: PeriodKind::CalendarMonth,
            time_zone: "Europe/Berlin".into(),
            counted: OutcomeSet::ANSWERED,
            billed: OutcomeSet::ANSWERED,
            outage_mode: OutageMode::Share,
        })
    });
    std::iter::once(product).chain(plans).collect()
}

/// A subscription with one key.
pub fn subscribed(random: &mut impl Rng, digest: KeyDigest) -> [Entry; 2] {
    let subscription = SubscriptionId::from_bytes(random.random());
    let rules = SubscriptionRules {
        id: subscription,
        consumer: ConsumerId::from_bytes(random.random()),
        plan: PLANS[0],
        status: SubscriptionStatus::Active,
        started_at: Timestamp(1_790_000_000_000),
    };
    let key = KeyRules { digest, subscription, expires_at: None };
    [Entry::Subscription(rules), Entry::Key(key)]
}

fn settings() -> Settings {
    Settings {
        head: HeadLimits { fields_max: 100, bytes_max: 32 << 10, target_bytes_max: 8 << 10 },
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        body_rate_min: 1_024,
        write_timeout: Duration::from_secs(30),
        body_bytes_max: 1 << 30,
        http2_streams_max: 100,
        trusted_proxies: vec![],
        trusted_hops: 1,
    }
}

/// What the process has in memory (proc(5)).
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a process has one");
    let kilobytes: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("proc(5) states kilobytes");
    kilobytes * 1_024
}

/// Of all threads of this process, from `/proc/self/stat`.
pub fn cpu_time() -> Duration {
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is mounted");
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}
