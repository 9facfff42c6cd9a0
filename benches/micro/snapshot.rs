//! What a large catalog costs: a cold start with a million subscriptions, the memory they take, and
//! one change among them. `TOLLGATE_BENCH_KEYS=10000000` chooses another number.

#[expect(dead_code, reason = "the gateway on the stage is for the calls of the other benchmark")]
mod stage;

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use prometheus_client::registry::Registry;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Runtime;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::snapshot::wire::{self, Frame};
use tollgate_common::snapshot::{Entry, KeyRules, SubscriptionRules};
use tollgate_proxy::metrics::Metrics;
use tollgate_proxy::snapshot::batch::{Batch, Sink};
use tollgate_proxy::snapshot::catalog::Catalog;
use tollgate_proxy::snapshot::last_good::Place;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SUBSCRIPTIONS: u64 = 1_000_000;

/// Of so many of them one is changed at a time.
const SAMPLES: u64 = 1_000;

/// Frames are handed to the disk in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn main() {
    let chosen = std::env::var("TOLLGATE_BENCH_KEYS").ok();
    let subscriptions =
        chosen.map_or(SUBSCRIPTIONS, |keys| keys.parse().expect("one number of keys"));
    let background = Runtime::new().expect("threads can be started");
    let directory = stage::memory_directory();
    let place = Place::open(directory.path()).expect("the directory is ours");
    let samples = keep(&place, subscriptions);

    let catalog = stage::catalog(&background, Metrics::register(&mut Registry::default()));
    let before = stage::resident_bytes();
    let start = Instant::now();
    let found = place.load(&catalog);
    let took = start.elapsed();
    let bytes = stage::resident_bytes() - before;
    assert_eq!(found.revision, Some(1), "the snapshot is whole");
    let per_subscription = bytes / subscriptions;
    println!("cold start of {subscriptions} subscriptions from their frames: {took:.2?}");
    println!("memory: {} MB, {per_subscription} bytes a subscription", bytes / 1_000_000);

    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500))
        .sample_size(20)
        .configure_from_args();
    changes(&mut criterion, &catalog, &samples, subscriptions);
    criterion.final_summary();
}

/// Writes a last good snapshot of so many subscriptions with a key each; gives back a few.
fn keep(place: &Place, subscriptions: u64) -> Vec<SubscriptionRules> {
    let mut random = SmallRng::seed_from_u64(2);
    let mut draft = place.draft().expect("there is room");
    let mut samples = Vec::new();
    let mut piece = Vec::with_capacity(PIECE_BYTES + 4_096);
    wire::encode(&Frame::Begin { full: true }, &mut piece);
    let base = stage::base();
    let entries = base.len() as u64 + 2 * subscriptions;
    let sampled = (subscriptions / SAMPLES).max(1);
    base.into_iter().for_each(|entry| wire::encode(&Frame::Entry(entry), &mut piece));
    for number in 0..subscriptions {
        for entry in stage::subscribed(&mut random, KeyDigest(random_bytes(number))) {
            if let Entry::Subscription(rules) = &entry
                && number % sampled == 0
            {
                samples.push(*rules);
            }
            wire::encode(&Frame::Entry(entry), &mut piece);
        }
        if piece.len() >= PIECE_BYTES {
            draft.append(&piece).expect("there is room");
            piece.clear();
        }
    }
    wire::encode(&Frame::Commit { revision: 1, entries }, &mut piece);
    draft.append(&piece).expect("there is room");
    place.replace(draft, 1).expect("there is room");
    samples
}

/// As evenly spread as a digest.
fn random_bytes(seed: u64) -> [u8; 32] {
    SmallRng::seed_from_u64(seed).random()
}

fn changes(
    criterion: &mut Criterion,
    catalog: &Catalog,
    samples: &[SubscriptionRules],
    subscriptions: u64,
) {
    let mut revision = 1;
    let mut apply = |entries: Vec<Entry>| {
        revision += 1;
        let mut batch = catalog.begin(false);
        for entry in entries {
            batch.entry(entry).expect("what it names is there");
        }
        batch.commit(revision).expect("what it names is there");
    };

    let mut number = 0;
    criterion.bench_function("apply a changed subscription", |bencher| {
        let change = || {
            number += 1;
            let plan = stage::PLANS[number % 2];
            vec![Entry::Subscription(SubscriptionRules { plan, ..samples[number % samples.len()] })]
        };
        bencher.iter_batched(change, &mut apply, BatchSize::SmallInput);
    });
    let mut seed = subscriptions;
    criterion.bench_function("apply a new key, then its revocation", |bencher| {
        let change = || {
            seed += 1;
            let digest = KeyDigest(random_bytes(seed));
            let subscription = samples[seed as usize % samples.len()].id;
            let key = KeyRules { digest, subscription, expires_at: None };
            vec![Entry::Key(key), Entry::KeyRemoved(digest)]
        };
        bencher.iter_batched(change, &mut apply, BatchSize::SmallInput);
    });
    criterion.bench_function("apply a changed plan", |bencher| {
        let plan = || stage::base().split_off(2);
        bencher.iter_batched(plan, &mut apply, BatchSize::SmallInput);
    });
}
