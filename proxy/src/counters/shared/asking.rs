//! Carries questions to the servers, looks after leases that no call looks after, and notices when
//! the servers have forgotten what they were told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::servers::{Script, Servers};
use super::{Inner, Questions, SharedCounters};
use crate::backoff::Backoff;
use crate::control::Control;
use crate::counters::lease::exchange::{Ask, Reply, Seeds};
use crate::counters::lease::roll::Heard;

/// How often leases are looked at that hold something.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How often each bucket is told that this gateway is there, three times in a roll call.
const BEAT_EVERY: Duration = Duration::from_millis(400);

/// A gateway that is silent for so long shares nothing any more.
const SILENT_MS: u64 = 5_000;

/// And after so long it is forgotten.
const FORGOTTEN_MS: u64 = 86_400_000;

/// What is held at the end goes back within this time, or else after the next start.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

pub(super) struct Question {
    pub entry: Arc<Entry>,
    pub ask: Ask,
}

/// Runs until it is cancelled, then gives back what is held.
pub async fn run(
    counters: SharedCounters,
    questions: Questions,
    servers: Servers,
    control: Control,
    cancel: CancellationToken,
) {
    let asking = Arc::new(Asking { inner: counters.0, servers, control });
    let Questions(mut questions) = questions;
    let mut sweep = interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beating = tokio::spawn(beat(asking.clone()));
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            question = questions.recv() => match question {
                Some(question) => drop(tokio::spawn(put(asking.clone(), question))),
                None => break,
            },
            _ = sweep.tick() => asking.look_after(),
        }
    }
    beating.abort();
    asking.retire_all();
    let mut last = Vec::new();
    while let Ok(question) = questions.try_recv() {
        last.push(put(asking.clone(), question));
    }
    if tokio::time::timeout(FAREWELL_MAX, join_all(last)).await.is_err() {
        tracing::warn!("the counters did not take back in time what this gateway held");
    }
}

struct Asking {
    inner: Arc<Inner>,
    servers: Servers,
    control: Control,
}

/// Puts one question, and tells what came of it.
async fn put(asking: Arc<Asking>, question: Question) {
    let Question { entry, ask } = question;
    let inner = &asking.inner;
    let keys = keys(&entry, &ask);
    let word = inner.rolls[entry.bucket].lock().next_word();
    let arguments = ask.arguments(&inner.process, word);
    inner.round_trips.fetch_add(1, Ordering::Relaxed);
    let answer = asking.servers.run(Script::Draw, &keys, &arguments).await;
    let reply = answer.and_then(|numbers| Ok(Reply::read(&numbers)?));
    let now_ns = inner.clock.monotonic_ns();
    let mut desk = entry.desk.lock();
    match reply {
        Ok(reply) => {
            if reply.is_kept() {
                inner.rolls[entry.bucket].lock().acknowledge(word);
            }
            let decided = desk.lease.answer(ask.seq, &reply, rand::random(), now_ns);
            desk.tell(decided, now_ns);
        }
        Err(error) => {
            asking.servers.complain(&error);
            desk.lease.failed(ask.seq, now_ns);
        }
    }
    if desk.lease.is_unseeded() && !std::mem::replace(&mut desk.is_seeding, true) {
        drop(tokio::spawn(seed(asking.clone(), entry.clone())));
    }
    inner.go_on(&entry, &mut desk, now_ns);
}

/// The keys of a question: all of one bucket, so all of one slot of a cluster.
fn keys(entry: &Entry, ask: &Ask) -> [String; 3] {
    let (bucket, subscription) = (entry.bucket, entry.subscription);
    let start = ask.quota.as_ref().map_or(0, |quota| quota.period_start.0);
    [
        roll_key(bucket),
        format!("tollgate:{{{bucket}}}:quota:{subscription}:{start}"),
        format!("tollgate:{{{bucket}}}:rate:{subscription}"),
    ]
}

fn roll_key(bucket: usize) -> String {
    format!("tollgate:{{{bucket}}}:roll")
}

/// Asks the ledger what each gateway has used, until it answers or the period is another one.
async fn seed(asking: Arc<Asking>, entry: Arc<Entry>) {
    let mut backoff = Backoff::default();
    loop {
        let period = entry.desk.lock().lease.period();
        let asked = asking.control.node_totals(entry.subscription, period.start).await;
        let now_ns = asking.inner.clock.monotonic_ns();
        match asked {
            Ok(totals) => {
                let seeds: Seeds = totals.into();
                let mut desk = entry.desk.lock();
                desk.lease.seed(period, seeds);
                if !desk.lease.is_unseeded() {
                    desk.is_seeding = false;
                    asking.inner.go_on(&entry, &mut desk, now_ns);
                    return;
                }
            }
            Err(error) => {
                let wait = backoff.next(rand::random());
                if backoff.failures().is_power_of_two() {
                    tracing::warn!(%error, subscription = %entry.subscription, "the ledger does not say what was used");
                }
                sleep(wait).await;
            }
        }
    }
}

impl Asking {
    /// Puts the questions that no call puts: to draw ahead, to tell, and to give back.
    fn look_after(&self) {
        let inner = &self.inner;
        let now_ns = inner.clock.monotonic_ns();
        let watched = std::mem::take(&mut *inner.active.lock());
        let mut still = Vec::with_capacity(watched.len());
        for entry in watched {
            let mut desk = entry.desk.lock();
            if desk.lease.asks_ahead(now_ns) || desk.lease.is_due(now_ns) {
                inner.ask(&entry, &mut desk, now_ns);
            }
            desk.is_watched = !desk.lease.is_at_rest(now_ns);
            let is_watched = desk.is_watched;
            drop(desk);
            if is_watched {
                still.push(entry);
            }
        }
        inner.active.lock().append(&mut still);
    }

    fn retire_all(&self) {
        let now_ns = self.inner.clock.monotonic_ns();
        for entry in std::mem::take(&mut *self.inner.active.lock()) {
            let mut desk = entry.desk.lock();
            desk.lease.retire();
            self.inner.ask(&entry, &mut desk, now_ns);
        }
    }

    /// The servers of a bucket have lost what they were told: they are told again.
    fn tell_again(&self, bucket: usize) {
        let inner = &self.inner;
        let now_ns = inner.clock.monotonic_ns();
        let entries = inner.entries[bucket].lock().clone();
        for entry in entries {
            let mut desk = entry.desk.lock();
            if desk.lease.is_used() {
                desk.lease.lost();
                inner.watch(&entry, &mut desk);
                inner.go_on(&entry, &mut desk, now_ns);
            }
        }
    }

    /// The servers answer again: nobody waits for a pause to end.
    fn come_back(&self) {
        let inner = &self.inner;
        let now_ns = inner.clock.monotonic_ns();
        for entry in inner.active.lock().clone() {
            let mut desk = entry.desk.lock();
            desk.lease.back();
            inner.go_on(&entry, &mut desk, now_ns);
        }
    }
}

/// Says to each bucket again and again that this gateway is there.
async fn beat(asking: Arc<Asking>) {
    let inner = &asking.inner;
    let mut ticks = interval(BEAT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let name = format!("{}:{}", inner.process.node, inner.process.epoch);
    loop {
        ticks.tick().await;
        let words = inner.rolls.each_ref().map(|roll| roll.lock().next_word());
        let beats = words.iter().enumerate().map(|(bucket, word)| {
            let arguments = [
                name.clone(),
                word.number.to_string(),
                SILENT_MS.to_string(),
                FORGOTTEN_MS.to_string(),
            ];
            let servers = &asking.servers;
            async move { servers.run(Script::Beat, &[roll_key(bucket)], &arguments).await }
        });
        let answers = join_all(beats).await;
        let mut nodes = None;
        for (bucket, answer) in answers.into_iter().enumerate() {
            match answer.map(|numbers| Heard::read(&numbers)) {
                Ok(Some(heard)) => {
                    nodes = nodes.max(Some(heard.nodes));
                    let is_lost = inner.rolls[bucket].lock().hear(words[bucket], heard);
                    if is_lost {
                        tracing::warn!(bucket, "the shared counters have lost what they were told");
                        asking.tell_again(bucket);
                    }
                }
                Ok(None) => {
                    tracing::warn!(bucket, "a roll answers with numbers that make no sense")
                }
                Err(error) => asking.servers.complain(&error),
            }
        }
        if let Some(nodes) = nodes {
            inner.nodes.store(nodes, Ordering::Relaxed);
        }
        let was_available = inner.is_available.swap(nodes.is_some(), Ordering::Relaxed);
        if nodes.is_some() && !was_available {
            tracing::info!(nodes, "the shared counters answer");
            asking.servers.is_well();
            asking.come_back();
        }
    }
}
