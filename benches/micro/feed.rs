//! What it costs the control plane to send a large catalog to a gateway, and how long a gateway
//! without anything takes until it is in force there.

#[expect(dead_code, reason = "calls are of other benchmarks")]
mod control;
#[expect(dead_code, reason = "the gateway on the stage is for the calls of another benchmark")]
mod stage;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tollgate_admin::options::AdminOptions;
use tollgate_admin::store::query::query;
use tollgate_admin::store::{Database, Part};
use tollgate_admin::{feed, server};
use tollgate_common::snapshot::wire::{self, Frame};
use tollgate_proxy::control::{Control, ControlSettings};
use tollgate_proxy::metrics::Metrics;
use tollgate_proxy::snapshot::feed::{FeedState, follow};
use tollgate_proxy::snapshot::keep;
use tollgate_proxy::snapshot::last_good::Place;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SUBSCRIPTIONS: u64 = 1_000_000;
const NODE_TOKEN: &str = "a-node-of-the-benchmark";

/// Length and checksum.
const FRAME_PREFIX_BYTES: usize = 8;

fn main() {
    let runtime = control::runtime();
    let directory = stage::memory_directory();
    let database = directory.path().join("tollgate.db");
    runtime.block_on(fill(&database));

    let mut options = AdminOptions::new("127.0.0.1:0".parse().expect("an address"), database);
    options.node_token = Some(NODE_TOKEN.into());
    let stop = CancellationToken::new();
    let mut registry = Registry::default();
    let admin = runtime
        .block_on(server::start(options, &mut registry, stop.clone()))
        .expect("the control plane starts");

    for _ in 0..3 {
        dump(&runtime, &admin);
    }
    for _ in 0..3 {
        cold_start(&admin);
    }
    stop.cancel();
    runtime.block_on(admin.stopped());
}

/// Reads the whole catalog as a gateway's connection would, and lets go of it.
#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn dump(runtime: &Runtime, admin: &server::Running) {
    let before = stage::resident_bytes();
    let mut most = before;
    let start = Instant::now();
    let (bytes, entries) = runtime.block_on(async {
        let mut chunks = feed::follow(Arc::clone(admin.control()), 0);
        let mut bytes = 0;
        loop {
            let chunk = chunks.recv().await.expect("the feed goes on").expect("the store works");
            bytes += chunk.len();
            most = most.max(stage::resident_bytes());
            if let Some(entries) = committed(&chunk) {
                return (bytes, entries);
            }
        }
    });
    let took = start.elapsed();
    println!(
        "dump of {entries} entries: {took:.2?}, {} MB; memory grew by {} MB",
        bytes / 1_000_000,
        (most - before) / 1_000_000
    );
}

/// The number of entries, if a batch ends where the chunk does. Chunks end where frames do; only the
/// last one is decoded, so that what is measured is the sending.
fn committed(chunk: &[u8]) -> Option<u64> {
    let mut rest = chunk;
    loop {
        let length = rest.first_chunk().map(|length| u32::from_le_bytes(*length))?;
        let next = &rest[FRAME_PREFIX_BYTES + length as usize..];
        if next.is_empty() {
            break;
        }
        rest = next;
    }
    match wire::decode(rest).expect("frames are whole") {
        Some((Frame::Commit { entries, .. }, _)) => Some(entries),
        _ => None,
    }
}

/// A gateway with an empty disk, until the catalog is in force.
#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn cold_start(admin: &server::Running) {
    let background = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads can be started");
    let directory = stage::memory_directory();
    let place = Place::open(directory.path()).expect("the directory is ours");
    let catalog =
        Arc::new(stage::catalog(&background, Metrics::register(&mut Registry::default())));
    let base = format!("http://{}/", admin.address()).parse().expect("a URL");
    let settings =
        ControlSettings { base: &base, node_token: NODE_TOKEN, trusted: &[], store_file: None };
    let control = Control::new(&settings).expect("the settings work");
    let cancel = CancellationToken::new();
    let start = Instant::now();
    let found = place.load(&*catalog);
    let (keeper, keeping) = keep::start(place, &found).expect("a thread can be started");
    let (state, mut is_at) = watch::channel(FeedState::default());
    let following = background.spawn(follow(control, catalog, keeper, state, cancel.clone()));
    background
        .block_on(is_at.wait_for(|state| state.revision.is_some()))
        .expect("the feed is followed");
    println!("cold start of {SUBSCRIPTIONS} subscriptions from the feed: {:.2?}", start.elapsed());
    cancel.cancel();
    background.block_on(following).expect("the feed does not panic");
    keeping.join().expect("the disk's thread does not panic");
    background.shutdown_timeout(Duration::from_secs(5));
}

/// A product, a plan, and a million subscriptions with a key each, as years of changes leave them.
async fn fill(path: &Path) {
    let database = Database::open_file(path).await.expect("the directory is ours");
    let mut transaction = database.write(Part::Catalog).await.expect("nobody else writes");
    for statement in STATEMENTS {
        query(statement)
            .execute(&mut transaction)
            .await
            .expect("the schema is as the statements say");
    }
    transaction.commit().await.expect("there is room");
    database.close().await;
}

/// Ids rise with the time of creation, as real ones do; digests are spread evenly.
const STATEMENTS: [&str; 6] = [
    "INSERT INTO products (id, name, title, description, gateway_endpoint, status, hosts, routes,
         upstream, metadata, created_at, updated_at)
     VALUES (zeroblob(16), 'weather', '', '', 'http://192.0.2.1/', 'active', '[]', '[]', '{}', '{}',
         0, 0)",
    "INSERT INTO plans (id, product_id, name, billing_mode, price_label, monthly_quota, rate_limit,
         quota_mode, period, time_zone, counted_outcomes, billed_outcomes, outage_mode, created_at,
         updated_at)
     VALUES (zeroblob(16), zeroblob(16), 'free', 'free', '', 1000000, 600, 'hard', 'calendar_month',
         'UTC', '[]', '[]', 'share', 0, 0)",
    "INSERT INTO consumers (id, name, external_ids, created_at, updated_at)
     VALUES (zeroblob(16), 'Ada', '{}', 0, 0)",
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000000)
     INSERT INTO subscriptions (id, consumer_id, product_id, plan_id, status, started_at, created_at,
         updated_at)
     SELECT CAST(printf('%016d', n) AS BLOB), zeroblob(16), zeroblob(16), zeroblob(16), 'active',
         1790000000000 + n, 1790000000000 + n, 1790000000000 + n FROM numbers",
    "INSERT INTO api_keys (id, subscription_id, digest, prefix, created_at)
     SELECT id, id, randomblob(32), 'tg_abcdef', created_at FROM subscriptions",
    "UPDATE catalog_state SET revision = 1",
];
