//! Carries questions to the servers, looks after leases that no call looks after, and notices when
//! the servers have forgotten what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tollgate_common::internal::NodeTotals;
use tollgate_common::period::Period;

use super::entry::Entry;
use super::servers::{Script, Servers};
use super::{Inner, Questions, SharedCounters};
use crate::backoff::Backoff;
use crate::control::{Control, ControlError};
use crate::counters::lease::exchange::{Ask, Process, Reply, Seeds, Status};
use crate::counters::lease::muster::{Muster, beat_arguments};
use crate::counters::lease::roll::Heard;

/// How often leases are looked at that hold something.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How often each bucket is told that this gateway is there, three times in a roll call.
const BEAT_EVERY: Duration = Duration::from_millis(400);

/// Questions under way at once: what a server answers in some 20 ms. Those of a subscription follow one
/// another, so more only wait when thousands of subscriptions ask in one moment.
const QUESTIONS_MAX: usize = 1_024;

/// Questions to the ledger at once, so that lost counters do not become a flood there.
const SEEDING_MAX: usize = 32;

/// While it is asked in the place of the counters, calls are refused: no longer than this.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// After a start, what was used before is stated at this pace: a hundred thousand subscriptions in half
/// a minute, and the calls that come meanwhile do not queue behind them.
const TAKE_UP_EVERY: Duration = Duration::from_millis(10);
const TAKE_UP_AT_ONCE: usize = 32;

/// What is held at the end goes back within this time, or else after the next start.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
const FAREWELL_LOOK_EVERY: Duration = Duration::from_millis(5);

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
    let asking = Arc::new(Asking {
        inner: counters.0,
        servers,
        control,
        questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        seedings: Semaphore::new(SEEDING_MAX),
        is_relieved: AtomicBool::new(false),
    });
    let Questions(mut questions) = questions;
    let mut sweep = interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let beating = tokio::spawn(beat(asking.clone()));
    let taking_up = tokio::spawn(take_up(asking.clone()));
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            question = questions.recv() => match question {
                Some(question) => asking.carry(question).await,
                None => break,
            },
            _ = sweep.tick() => asking.look_after(),
        }
    }
    beating.abort();
    taking_up.abort();
    asking.retire_all();
    let all = async {
        // A question that is under way is answered first.
        while !asking.inner.active.lock().is_empty() {
            asking.look_after();
            while let Ok(question) = questions.try_recv() {
                asking.carry(question).await;
            }
            sleep(FAREWELL_LOOK_EVERY).await;
        }
    };
    if timeout(FAREWELL_MAX, all).await.is_err() {
        tracing::warn!("the counters did not take back in time what this gateway held");
    }
}

struct Asking {
    inner: Arc<Inner>,
    servers: Servers,
    control: Control,
    questions: Arc<Semaphore>,
    seedings: Semaphore,
    is_relieved: AtomicBool,
}

/// States what was used before this process, so that what was still held goes back.
async fn take_up(asking: Arc<Asking>) {
    let used: Vec<_> = asking.inner.past.lock().subscriptions().collect();
    let mut ticks = interval(TAKE_UP_EVERY);
    for some in used.chunks(TAKE_UP_AT_ONCE) {
        ticks.tick().await;
        some.iter().for_each(|subscription| asking.inner.take_up(*subscription));
    }
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
            match reply.status {
                Status::Done => {
                    desk.tell_curious();
                    let is_missed = reply.is_missed && desk.lease.goes_on_apart();
                    if (reply.freeable > 0 || is_missed)
                        && !std::mem::replace(&mut desk.is_freeing, true)
                    {
                        drop(tokio::spawn(free(asking.clone(), entry.clone())));
                    }
                }
                Status::Relieved => asking.say_relieved(),
                Status::OtherPeriod(_) => {
                    if let Some(period) = desk.lease.take_other_period() {
                        inner.go_on_in(&mut desk, entry.subscription, period);
                    }
                }
                Status::Stale | Status::Unknown | Status::Unseeded | Status::Counting => {}
            }
        }
        Err(error) => {
            asking.servers.complain(&error);
            desk.lease.failed(ask.seq, now_ns);
            if desk.lease.begins_to_look(now_ns) {
                drop(tokio::spawn(look(asking.clone(), entry.clone())));
            }
        }
    }
    if desk.lease.is_unseeded() && !std::mem::replace(&mut desk.is_seeding, true) {
        drop(tokio::spawn(seed(asking.clone(), entry.clone())));
    }
    inner.go_on(&entry, &mut desk, now_ns);
}

/// The keys of a question: all of one bucket, so all of one slot of a cluster.
fn keys(entry: &Entry, ask: &Ask) -> [String; 4] {
    let (bucket, subscription) = (entry.bucket, entry.subscription);
    let start = ask.quota.as_ref().map_or(0, |quota| quota.period.start.0);
    [
        roll_key(bucket),
        format!("tollgate:{{{bucket}}}:quota:{subscription}:{start}"),
        format!("tollgate:{{{bucket}}}:rate:{subscription}"),
        format!("tollgate:{{{bucket}}}:period:{subscription}"),
    ]
}

pub(super) fn roll_key(bucket: usize) -> String {
    format!("tollgate:{{{bucket}}}:roll")
}

/// Asks the ledger once what each gateway has used, so that what dead ones hold can be told from that, and what
/// those use that are only cut off is known to the others.
async fn free(asking: Arc<Asking>, entry: Arc<Entry>) {
    let period = entry.desk.lock().lease.period();
    let answer = timeout(LOOK_MAX, asking.node_totals(&entry, period)).await;
    let now_ns = asking.inner.clock.monotonic_ns();
    let mut desk = entry.desk.lock();
    desk.is_freeing = false;
    if let Ok(Ok(NodeTotals { totals, .. })) = answer {
        desk.lease.offer(period, totals.into());
        asking.inner.go_on(&entry, &mut desk, now_ns);
    }
}

/// Asks the ledger once what other gateways have used, while the counters cannot be asked; and once more where it
/// says that another period is running.
async fn look(asking: Arc<Asking>, entry: Arc<Entry>) {
    let inner = &asking.inner;
    let own = inner.process.node;
    let due = Instant::now() + LOOK_MAX;
    loop {
        let period = entry.desk.lock().lease.period();
        let answer = timeout_at(due, asking.node_totals(&entry, period)).await;
        let mut desk = entry.desk.lock();
        let others = match answer {
            Ok(Ok(NodeTotals { totals, begun })) => {
                if inner.learn_begun(&mut desk, entry.subscription, &begun) {
                    continue;
                }
                Some(totals.iter().filter(|(node, _)| *node != own).map(|of| of.1).sum())
            }
            Ok(Err(_)) | Err(_) => None,
        };
        desk.lease.look(period, others, inner.clock.monotonic_ns());
        return;
    }
}

/// Asks the ledger what each gateway has used, until it answers or the period is another one.
async fn seed(asking: Arc<Asking>, entry: Arc<Entry>) {
    let mut backoff = Backoff::default();
    loop {
        let period = entry.desk.lock().lease.period();
        let asked = asking.node_totals(&entry, period).await;
        let now_ns = asking.inner.clock.monotonic_ns();
        match asked {
            Ok(NodeTotals { totals, begun }) => {
                let seeds: Seeds = totals.into();
                let mut desk = entry.desk.lock();
                asking.inner.learn_begun(&mut desk, entry.subscription, &begun);
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
    /// What the ledger has of each gateway, when it is this question's turn.
    async fn node_totals(&self, entry: &Entry, period: Period) -> Result<NodeTotals, ControlError> {
        let _turn = self.seedings.acquire().await.expect("it is never closed");
        self.control.node_totals(entry.subscription, period.start).await
    }

    /// Puts a question beside the others, as soon as there are not too many.
    async fn carry(self: &Arc<Self>, question: Question) {
        let turns = self.questions.clone();
        let turn = turns.acquire_owned().await.expect("it is never closed");
        let asking = self.clone();
        tokio::spawn(async move {
            put(asking, question).await;
            drop(turn);
        });
    }

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

    /// Said once: what this process uses is not counted, and its callers are refused or stand apart.
    fn say_relieved(&self) {
        if !self.is_relieved.swap(true, Ordering::Relaxed) {
            let Process { node, epoch } = &self.inner.process;
            tracing::error!(%node, epoch, "another process of this node counts in its place: is its data directory a copy?");
        }
    }

    fn retire_all(&self) {
        for entry in self.inner.active.lock().clone() {
            entry.desk.lock().lease.retire();
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
    let mut muster = Muster::new(inner.nodes());
    let mut was_well = true;
    loop {
        ticks.tick().await;
        let words = inner.rolls.each_ref().map(|roll| roll.lock().next_word());
        let beats = words.iter().enumerate().map(|(bucket, word)| {
            let arguments = beat_arguments(&name, *word);
            let servers = &asking.servers;
            async move { servers.run(Script::Beat, &[roll_key(bucket)], &arguments).await }
        });
        let answers = join_all(beats).await;
        let (mut nodes, mut is_well) = (None, true);
        for (bucket, answer) in answers.into_iter().enumerate() {
            match answer.map(|numbers| Heard::read(&numbers)) {
                Ok(Some(heard)) => {
                    nodes = nodes.max(Some(heard.nodes));
                    let is_lost = inner.rolls[bucket].lock().hear(words[bucket], heard);
                    if is_lost {
                        tracing::warn!(bucket, "the shared counters have lost what they were told");
                        inner.tell_again(bucket);
                    }
                }
                Ok(None) => {
                    tracing::warn!(bucket, "a roll answers with numbers that make no sense")
                }
                Err(error) => {
                    is_well = false;
                    asking.servers.complain(&error);
                }
            }
        }
        if is_well && !was_well {
            asking.servers.is_well();
        }
        was_well = is_well;
        let believed = muster.hear(nodes, inner.clock.monotonic_ns());
        inner.nodes.store(believed, Ordering::Relaxed);
        let was_available = inner.is_available.swap(nodes.is_some(), Ordering::Relaxed);
        if nodes.is_some() && !was_available {
            tracing::info!(nodes, "the shared counters answer");
            asking.come_back();
        }
    }
}
