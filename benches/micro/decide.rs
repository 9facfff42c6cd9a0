//! What a call costs beside being passed on: identify, decide and settle, each and together, at a
//! thousand, a million and ten million keys in random order.
//!
//! The text of a key is at hand, as that of a request is which has just been read. Together they
//! are measured once more with texts that come from memory as well.
//!
//! `TOLLGATE_BENCH_KEYS=1000,1000000` chooses other numbers of keys.

#[expect(dead_code, reason = "what memory a catalog takes is for the other benchmarks")]
mod stage;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use stage::{CALLS_PER_ROUND, Stage};
use tollgate_common::catalog::key::KEY_LENGTH;
use tollgate_common::ids::RequestId;
use tollgate_common::outcome::Outcome;
use tollgate_common::usage::UsageRecord;
use tollgate_proxy::decide::{Admitted, decide};
use tollgate_proxy::identify::{LastCredential, identify};
use tollgate_proxy::meter::{Admission, Grant};
use tollgate_proxy::request::RequestHead;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: &str = "1000,1000000,10000000";

/// Texts of keys that are fetched before the calls that are timed: few enough for any cache.
const AT_HAND: usize = 256;

type KeyText = [u8; KEY_LENGTH];

/// How far ahead texts are taken that are not at hand.
const AWAY: usize = 4 * AT_HAND;

/// Connections that keep their caller: each remembers the digest of its own key.
const CONNECTIONS_MAX: usize = 65_536;

fn benchmarks(criterion: &mut Criterion) {
    let keys = std::env::var("TOLLGATE_BENCH_KEYS").unwrap_or_else(|_| KEYS.into());
    for keys in keys.split(',').map(|keys| keys.trim().parse().expect("a number of keys")) {
        let stage = Stage::set(keys);
        identify_alone(criterion, &stage, keys);
        decide_alone(criterion, &stage, keys);
        settle_alone(criterion, &stage, keys);
        append_alone(criterion, &stage, keys);
        together(criterion, &stage, keys);
    }
}

/// Times `call` with callers and their keys, in rounds before which the journal gets room and the
/// texts of the keys are fetched.
fn measure(
    criterion: &mut Criterion,
    stage: &Stage,
    name: &str,
    keys: usize,
    mut call: impl FnMut(usize, &[u8]),
) {
    let mut callers = (0..stage.keys.len()).cycle();
    let mut round: Vec<(usize, KeyText)> = Vec::with_capacity(AT_HAND);
    criterion.bench_function(&format!("{name}, {keys} keys"), |bencher| {
        bencher.iter_custom(|calls| {
            let mut spent = Duration::ZERO;
            let mut left = calls as usize;
            while left > 0 {
                stage.make_room();
                let next = callers.by_ref().take(left.min(AT_HAND));
                round.clear();
                round.extend(next.map(|caller| (caller, text(stage, caller))));
                let start = Instant::now();
                for (caller, key) in &round {
                    call(*caller, key);
                }
                spent += start.elapsed();
                left -= round.len();
            }
            spent
        });
    });
}

fn text(stage: &Stage, caller: usize) -> KeyText {
    stage.keys[caller].as_bytes().try_into().expect("a key has its length")
}

fn identify_alone(criterion: &mut Criterion, stage: &Stage, keys: usize) {
    let catalog = &stage.gateway.catalog;
    let now = stage.gateway.clock.now().wall;
    let mut last = LastCredential::default();
    measure(criterion, stage, "identify a new key", keys, |_, key| {
        let tables = catalog.tables();
        let _ = black_box(identify(key, &mut last, tables.index(), now).expect("the key is known"));
    });

    let mut connections: Vec<_> = stage
        .keys
        .iter()
        .take(CONNECTIONS_MAX)
        .map(|key| (key, LastCredential::default()))
        .collect();
    let count = connections.len();
    measure(criterion, stage, "identify the connection's key", keys, |caller, _| {
        let (key, last) = &mut connections[caller % count];
        let tables = catalog.tables();
        let found = identify(key.as_bytes(), last, tables.index(), now);
        let _ = black_box(found.expect("the key is known"));
    });
}

fn decide_alone(criterion: &mut Criterion, stage: &Stage, keys: usize) {
    let mut head = head();
    let mut last = LastCredential::default();
    measure(criterion, stage, "decide", keys, |caller, key| {
        let Admitted { grant, .. } = decide_on(stage, caller, key, &mut head, &mut last);
        // Settling is measured by itself.
        std::mem::forget(black_box(grant));
    });
}

fn settle_alone(criterion: &mut Criterion, stage: &Stage, keys: usize) {
    let admissions: Vec<Admission> = {
        let (mut head, mut last) = (head(), LastCredential::default());
        let callers = 0..stage.keys.len().min(CONNECTIONS_MAX);
        stage.make_room();
        callers
            .map(|caller| {
                if (caller as u64).is_multiple_of(CALLS_PER_ROUND) {
                    stage.make_room();
                }
                let key = text(stage, caller);
                decide_on(stage, caller, &key, &mut head, &mut last).grant.admission.clone()
            })
            .collect()
    };
    measure(criterion, stage, "settle", keys, |caller, _| {
        let admission = admissions[caller % admissions.len()].clone();
        settle(Grant::new(&stage.gateway, admission));
    });
}

fn append_alone(criterion: &mut Criterion, stage: &Stage, keys: usize) {
    let record = record(stage);
    measure(criterion, stage, "append", keys, |_, _| {
        stage.gateway.journal.append(black_box(&record)).expect("there is room");
    });
}

fn together(criterion: &mut Criterion, stage: &Stage, keys: usize) {
    let mut head = head();
    let mut last = LastCredential::default();
    measure(criterion, stage, "identify, decide and settle", keys, |caller, key| {
        settle(decide_on(stage, caller, key, &mut head, &mut last).grant);
    });
    measure(criterion, stage, "together, texts from memory", keys, |caller, _| {
        let key = stage.keys[(caller + AWAY) % stage.keys.len()].as_bytes();
        settle(decide_on(stage, caller, key, &mut head, &mut last).grant);
    });
}

fn head() -> RequestHead {
    let mut head = RequestHead::default();
    head.target.read(b"/weather/v1/today?city=1").expect("the target is plain");
    head.host = "127.0.0.1:8080".into();
    head
}

/// Decides on a call of one of the callers; to write its key into the head is part of it.
fn decide_on<'a>(
    stage: &'a Stage,
    caller: usize,
    key: &[u8],
    head: &mut RequestHead,
    last: &mut LastCredential,
) -> Admitted<'a> {
    head.fields.clear();
    head.fields.push(b"X-API-Key", key);
    let now = stage.gateway.clock.now();
    let request = RequestId::new(now.wall.0, caller as u128);
    let decision = decide(&stage.gateway, request, now, head, last);
    match decision.now_or_never().expect("counting in memory does not wait") {
        Ok(admitted) => admitted,
        Err(refused) => panic!("{:?}", refused.refusal),
    }
}

fn settle(mut grant: Grant<'_>) {
    grant.answer.outcome = Outcome::Success;
    grant.answer.status = 200;
    grant.answer.attempts = 1;
    grant.answer.truncated = false;
    grant.bytes_out = 100;
    black_box(grant.settle().expect("there is room"));
}

fn record(stage: &Stage) -> UsageRecord {
    let (mut head, mut last) = (head(), LastCredential::default());
    let admission =
        decide_on(stage, 0, &text(stage, 0), &mut head, &mut last).grant.admission.clone();
    UsageRecord {
        request: admission.request,
        part: 0,
        last: true,
        product: stage::PRODUCT,
        plan: stage::PLANS[0],
        subscription: admission.subscriber.id(),
        key: admission.key.key_id(),
        admitted_at: admission.at.wall,
        period_start: admission.period.start,
        duration_us: 1_000,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 1,
        bytes_in: 0,
        bytes_out: 100,
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).sample_size(20);
    targets = benchmarks
}
criterion_main!(benches);
