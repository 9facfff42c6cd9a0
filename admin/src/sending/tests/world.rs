//! One history: usage comes in, senders die and others take over, the network fails, days pass.

mod episodes;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tollgate_common::catalog::{Consumer, PeriodKind, Plan, Subscription, SubscriptionStatus};
use tollgate_common::ids::{ConsumerId, DestinationId, KeyId, NodeId, RequestId, SubscriptionId};
use tollgate_common::internal::UsageBatch;
use tollgate_common::meter::Meter;
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;
use tollgate_test_support::billing::{Bill, HOUR_MS};
use tollgate_test_support::chance::Chance;

use super::air::{Air, Weather};
use super::systems::{NAME, System};
use crate::ledger::Ledger;
use crate::ledger::sweep::Retention;
use crate::ledger::usage::{Scope, UsageQuery};
use crate::ledger::window::{Minute, Window};
use crate::reconcile::cause::Cause;
use crate::reconcile::page::{Books, Found, Question};
use crate::sending::destination::Destination;
use crate::sending::intent::State;
use crate::sending::metrics::SendingMetrics;
use crate::sending::outbox::{Standing, backlog, lease, letters};
use crate::sending::registration::{Registration, Status};
use crate::sending::sender::{Post, Sender};
use crate::sending::wire::Wire;
use crate::store::catalog::CommitRecord;
use crate::store::tests::{on_a_server, plan, product};
use crate::store::{CatalogStore, Database, SqlCatalog};

/// 2026-11-20T10:20:00Z.
pub const START: Timestamp = Timestamp(1_795_170_000_000);

/// The store's file, and that of an earlier state of it.
const STORE: &str = "tollgate.db";
const BACKUP: &str = "backup.db";

/// Turns that a history needs at most to come to its end once everything works.
const TURNS_MAX: usize = 3_000;

/// How long it takes at most until nothing is left to do, where nothing fails and nothing is lost.
const SOON_MS: i64 = 36 * HOUR_MS;

/// After so long a turn is taken again that found nothing to do.
const LOOK_AGAIN_MS: i64 = HOUR_MS;

const METERS: [Meter; 2] = [Meter::Calls, Meter::Units];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

pub struct World {
    chance: Chance,
    air: Arc<Air>,
    database: Database,
    ledger: Arc<Ledger>,
    registration: Registration,
    destination: Box<dyn Destination>,
    senders: [Running; 2],
    subscriptions: Vec<(Subscription, Consumer)>,
    records: u64,
    /// What gateways have delivered.
    batches: Vec<UsageBatch>,
    holders: u8,
    directory: TempDir,
}

/// A control plane that sends when it is its turn.
struct Running {
    holder: u8,
    sender: Sender,
}

impl World {
    pub async fn new(kind: Kind, seed: u64, system: System) -> Self {
        let mut chance = Chance::new(seed);
        // In memory where the machine lets us: a history commits a thousand times.
        let shared = std::path::Path::new("/dev/shm");
        let directory = match shared.is_dir() {
            true => tempfile::tempdir_in(shared).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let database = match kind {
            Kind::Sqlite => Database::open_file(&directory.path().join(STORE)).await.unwrap(),
            Kind::Postgres => on_a_server().await,
        };
        let ledger = Ledger::open(database.clone(), Retention::default()).await.unwrap();
        let subscriptions = furnish(&database, seed, &mut chance, system.customers).await;
        let destination = system.open();
        let what = system.kind;
        let air = Arc::new(Air::new(seed, START.0, system));
        let window = match chance.within(0, 3) {
            0 => Window::Minute,
            // A day has one total there, and hours are what is compared.
            _ => Window::Hour,
        };
        let registration = Registration {
            id: DestinationId::from_bytes([7; 16]),
            name: NAME.to_owned(),
            kind: what,
            settings: BTreeMap::new(),
            meters: METERS.to_vec(),
            window,
            starts_at: START.plus_ms(-48 * HOUR_MS),
            status: Status::Active,
            pause_reason: None,
            has_secret: true,
            created_at: START,
            updated_at: START,
        };
        let senders = [1, 2].map(|holder| Running::new(holder, &database, &air, seed));
        Self {
            chance,
            air,
            database,
            ledger: Arc::new(ledger),
            registration,
            destination,
            senders,
            subscriptions,
            records: 1,
            batches: Vec::new(),
            holders: 2,
            directory,
        }
    }

    /// Lives through it, and compares what is billed there with the ledger.
    pub async fn run(mut self, steps: usize) {
        // Where totals are asked for, what is in doubt is believed to be gone once the meter has shown something.
        self.use_some().await;
        self.settle().await;
        for _ in 0..steps {
            match self.chance.within(0, 10) {
                0..=3 => self.use_some().await,
                4 => self.air.set_clock(&mut self.chance),
                5 => self.air.turns(Weather::Fine),
                6 | 7 => self.air.turns(Weather::Rough),
                8 => self.air.turns(Weather::Outage),
                _ => self.let_time_pass(),
            }
            self.turn().await;
            self.air.pass(self.chance.within(0, 20 * 60_000) as i64);
        }
        self.air.heal();
        self.go_on().await;
        self.compare().await;
    }

    /// The clock is ahead for some turns while something is under way, something waits and nothing
    /// arrives. A day later all is there, and nothing twice.
    pub async fn run_ahead(mut self, ahead_ms: i64) {
        self.air.heal();
        self.use_some().await;
        self.air.turns(Weather::Outage);
        self.turns(2).await;
        self.use_some().await;
        self.air.jump_ahead(ahead_ms);
        self.turns(4).await;
        self.air.heal();
        let healed_ms = self.air.now_ms();
        self.finish().await;
        let took_ms = self.air.now_ms() - healed_ms;
        assert!(took_ms <= SOON_MS, "{} hours", took_ms / HOUR_MS);
        self.compare().await;
    }

    /// One request is acknowledged and lost, after others were shown.
    pub async fn run_with_a_loss(mut self) {
        self.air.heal();
        for _ in 0..6 {
            self.use_some().await;
        }
        self.settle().await;
        self.use_some().await;
        self.air.pass(2 * HOUR_MS);
        self.air.lose_next();
        self.turns(12).await;
        assert!(self.air.has_struck());
        self.go_on().await;
        self.compare().await;
    }

    /// The store is put back to a state from which much was decided on and sent since.
    pub async fn run_put_back(mut self) -> Self {
        self.air.heal();
        for _ in 0..3 {
            self.use_some().await;
        }
        self.settle().await;
        self.use_some().await;
        self.air.pass(2 * HOUR_MS);
        self.air.turns(Weather::Outage);
        self.turns(2).await;
        self.use_some().await;
        self.back_up();
        let batches_known = self.batches.len();
        // So that windows are sent of which a part is known then.
        self.use_some().await;
        self.air.heal();
        for _ in 0..3 {
            self.settle().await;
            self.use_some().await;
        }
        self.settle().await;
        self.put_back(batches_known).await;
        for _ in 0..2 {
            self.use_some().await;
            self.settle().await;
        }
        self
    }

    /// Hours later everybody calls again and nothing more is lost, so that something is shown that is later than
    /// all that was.
    pub async fn go_on(&mut self) {
        self.air.pass(2 * HOUR_MS);
        self.turns(12).await;
        self.air.pass(2 * HOUR_MS);
        self.air.keep_all();
        let first = self.records;
        let mut records = Vec::new();
        for (subscription, _) in &self.subscriptions {
            let admitted_at = Timestamp(self.air.now_ms());
            records.extend(call(self.records, admitted_at, subscription).encode());
            self.records += 1;
        }
        self.deliver(first, records).await;
        self.finish().await;
    }

    /// Windows are closed, and all that can be done soon is.
    async fn settle(&mut self) {
        self.air.pass(2 * HOUR_MS);
        for _ in 0..TURNS_MAX {
            let now_ms = self.air.now_ms();
            match self.turn().await {
                Some(next) if next.0 < now_ms + 12 * HOUR_MS => {
                    let soon = Timestamp(now_ms + LOOK_AGAIN_MS);
                    self.air.pass_until(next.min(soon));
                }
                // What is left waits for something that is not to come.
                Some(_) | None => return,
            }
        }
        panic!("it does not come to rest");
    }

    /// Nothing is billed twice, and where something is missing, it waits for somebody to decide.
    pub async fn is_careful(&self) {
        let (bill, expected) = (named(self.air.bill()), self.expected().await);
        for (key, billed) in &bill {
            assert!(expected.get(key).is_some_and(|due| billed <= due), "{key:?} {billed}");
        }
        let mut db = self.database.read().await.unwrap();
        let backlog = backlog(&mut db, self.registration.id).await.unwrap();
        let is_parked = |standing: &Standing| standing.state == State::Quarantined;
        assert!(bill == expected || backlog.standings.iter().any(is_parked), "{backlog:?}");
    }

    async fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn().await;
        }
    }

    fn let_time_pass(&mut self) {
        let hours = [1, 2, 5, 23, 26, 50][self.chance.within(0, 6) as usize];
        self.air.pass(hours * HOUR_MS);
    }

    /// A gateway delivers usage of the last hours, and now and then of the day before.
    async fn use_some(&mut self) {
        let count = self.chance.within(1, 12);
        let first = self.records;
        let mut records = Vec::new();
        for _ in 0..count {
            let hours = if self.chance.happens(100) { 30 } else { 3 };
            let ago = self.chance.within(0, hours * HOUR_MS.unsigned_abs()) as i64;
            let which = self.chance.within(0, self.subscriptions.len() as u64) as usize;
            let (subscription, _) = &self.subscriptions[which];
            let admitted_at = Timestamp(self.air.now_ms() - ago);
            records.extend(call(self.records, admitted_at, subscription).encode());
            self.records += 1;
        }
        self.deliver(first, records).await;
    }

    async fn deliver(&mut self, first: u64, records: Vec<u8>) {
        let batch = UsageBatch { node: NodeId::from_bytes([1; 16]), epoch: 1, first, records };
        self.batches.push(batch.clone());
        self.ledger.apply(batch, Timestamp(self.air.now_ms())).await.unwrap();
    }

    /// The store as it is, for [`put_back`](Self::put_back).
    fn back_up(&self) {
        for ending in ["", "-wal"] {
            let file = |name: &str| self.directory.path().join(format!("{name}{ending}"));
            fs::copy(file(STORE), file(BACKUP)).unwrap();
        }
    }

    /// The store is what it was, and gateways deliver again what came since.
    async fn put_back(&mut self, batches_known: usize) {
        let path = self.directory.path().join(BACKUP);
        self.database = Database::open_file(&path).await.unwrap();
        let ledger = Ledger::open(self.database.clone(), Retention::default()).await.unwrap();
        self.ledger = Arc::new(ledger);
        let now = Timestamp(self.air.now_ms());
        self.senders = [3, 4].map(|holder| {
            let running = Running::new(holder, &self.database, &self.air, u64::from(holder));
            Running { sender: running.sender.after(Some(now)), ..running }
        });
        self.holders = 4;
        let delivered_again = self.batches[batches_known..].to_vec();
        for batch in delivered_again {
            // What is known so far is decided on in between.
            self.turns(4).await;
            self.ledger.apply(batch, now).await.unwrap();
        }
    }

    /// One of the control planes has a turn, if it is its turn; it may be killed in the middle.
    async fn turn(&mut self) -> Option<Timestamp> {
        let which = self.chance.within(0, 2) as usize;
        let running = &self.senders[which];
        let holder = [running.holder];
        let now = running.sender.now();
        let Some(fence) = lease::hold(&self.database, &holder, now).await.unwrap() else {
            return Some(now.plus_ms(lease::LEASE_MS));
        };
        let post = Post {
            registration: &self.registration,
            destination: &*self.destination,
            fence,
            stop: CancellationToken::new(),
        };
        tokio::select! {
            biased;
            turn = running.sender.turn(&post) => return turn.unwrap().next_at,
            () = self.air.killed.notified() => {}
        }
        self.holders += 1;
        let (holder, seed) = (self.holders, self.chance.word());
        self.senders[which] = Running::new(holder, &self.database, &self.air, seed);
        self.air.set_clock(&mut self.chance);
        Some(now)
    }

    async fn finish(&mut self) {
        for _ in 0..TURNS_MAX {
            match self.turn().await {
                // A sender looks again soon, whatever it waits for.
                Some(next) => {
                    let soon = Timestamp(self.air.now_ms() + LOOK_AGAIN_MS);
                    self.air.pass_until(next.min(soon));
                }
                None => return,
            }
        }
        let mut db = self.database.read().await.unwrap();
        let backlog = backlog(&mut db, self.registration.id).await.unwrap();
        panic!("it does not come to an end: {backlog:?}");
    }

    pub async fn compare(&self) {
        let mut db = self.database.read().await.unwrap();
        let backlog = backlog(&mut db, self.registration.id).await.unwrap();
        let letters =
            letters::list(&mut db, self.registration.id, Some(State::Quarantined), None, 5);
        let letters = letters.await.unwrap();
        drop(db);
        let is_over =
            |standing: &Standing| matches!(standing.state, State::Acknowledged | State::Settled);
        assert!(backlog.standings.iter().all(is_over), "{backlog:?} {letters:?}");
        assert_eq!(backlog.held, None);
        assert_eq!(named(self.air.bill()), self.expected().await);
        for asks in [true, false] {
            self.reconcile(asks).await;
        }
    }

    /// Reconciliation finds the same, whether it asks the destination or not. It may not show what is
    /// old.
    async fn reconcile(&self, asks: bool) {
        self.air.pass(HOUR_MS);
        let now = Timestamp(self.air.now_ms());
        let books = Books {
            database: &self.database,
            now,
            registration: &self.registration,
            destination: &*self.destination,
            wire: &*self.air,
        };
        let mut question = Question {
            subscription: None,
            from: Minute::of(self.registration.starts_at),
            to: Minute::of(now),
            is_accepted: false,
            asks,
            after: None,
            items_max: 3,
        };
        let mut windows = 0;
        loop {
            let page = books.page(&question).await.unwrap();
            let is_off = |found: &&Found| found.difference.cause != Cause::NotShown;
            assert_eq!(page.items.iter().filter(is_off).count(), 0, "{:?}", page.items);
            windows += page.windows;
            question.after = page.next;
            if question.after.is_none() {
                break;
            }
        }
        assert!(windows > 0);
    }

    /// What the ledger says, by the customers' names there.
    async fn expected(&self) -> Bill {
        let mut bill = Bill::new();
        for (subscription, consumer) in &self.subscriptions {
            let query = UsageQuery {
                scope: Scope { subscription: Some(subscription.id), ..Scope::default() },
                meter: None,
                window: Window::Hour,
                from: Minute::of(self.registration.starts_at.plus_ms(-HOUR_MS)),
                to: Minute::of(Timestamp(self.air.now_ms() + HOUR_MS)),
                after: None,
                items_max: 100_000,
            };
            let customer = self.destination.customer(consumer, subscription).unwrap();
            for item in self.ledger.usage(&query).await.unwrap().items {
                if METERS.contains(&item.meter) {
                    let hour = item.window_start.start().0 / HOUR_MS;
                    let key = (customer.clone(), item.meter.label().to_owned(), hour);
                    *bill.entry(key).or_default() += item.quantity;
                }
            }
        }
        bill
    }
}

impl Running {
    fn new(holder: u8, database: &Database, air: &Arc<Air>, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let jitter = move || chance.within(0, 1_000) as f64 / 1_000.0;
        let wire: Arc<dyn Wire> = Arc::clone(air) as _;
        let clock = Arc::clone(air) as _;
        let metrics = SendingMetrics::default();
        let retention = Retention::default();
        let sender = Sender::new(database.clone(), wire, metrics, clock, retention, jitter);
        Self { holder, sender }
    }
}

/// Meters by their names here.
pub fn named(bill: Bill) -> Bill {
    let name = |meter: &str| {
        meter.trim_start_matches("tollgate").trim_start_matches(['.', '_']).to_owned()
    };
    bill.into_iter()
        .map(|((customer, meter, hour), sum)| ((customer, name(&meter), hour), sum))
        .collect()
}

/// A catalog with a few subscriptions, two of which may be of one consumer.
async fn furnish(
    database: &Database,
    seed: u64,
    chance: &mut Chance,
    customers: &str,
) -> Vec<(Subscription, Consumer)> {
    let catalog = SqlCatalog::open(database.clone()).await.unwrap();
    let plan = Plan {
        period: if seed.is_multiple_of(2) {
            PeriodKind::CalendarMonth
        } else {
            PeriodKind::Anniversary
        },
        ..plan(1, 1)
    };
    let mut write = catalog.write().await.unwrap();
    write.save_product(&product(1)).await.unwrap();
    write.save_plan(&plan).await.unwrap();
    let mut subscriptions = Vec::new();
    for number in 1..=3 {
        let is_shared = number == 2 && seed.is_multiple_of(3);
        let consumer = consumer(if is_shared { 1 } else { number }, customers);
        write.save_consumer(&consumer).await.unwrap();
        let ago = chance.within(0, 60 * 24 * HOUR_MS.unsigned_abs()) as i64;
        let subscription = subscription(number, &plan, &consumer, START.plus_ms(-ago));
        write.save_subscription(&subscription).await.unwrap();
        subscriptions.push((subscription, consumer));
    }
    let record = CommitRecord { revision: 1, at: START, frames: vec![], audit: vec![] };
    write.commit(record).await.unwrap();
    subscriptions
}

pub fn consumer(number: u8, customers: &str) -> Consumer {
    Consumer {
        id: ConsumerId::from_bytes([number; 16]),
        name: format!("consumer {number}"),
        email: None,
        external_ids: BTreeMap::from([(NAME.to_owned(), format!("{customers}{number}"))]),
        created_at: START,
        updated_at: START,
    }
}

fn subscription(
    number: u8,
    plan: &Plan,
    consumer: &Consumer,
    started_at: Timestamp,
) -> Subscription {
    Subscription {
        id: SubscriptionId::from_bytes([number; 16]),
        consumer_id: consumer.id,
        product_id: plan.product_id,
        plan_id: plan.id,
        status: SubscriptionStatus::Active,
        started_at,
        canceled_at: None,
        created_at: started_at,
        updated_at: started_at,
    }
}

fn call(number: u64, admitted_at: Timestamp, subscription: &Subscription) -> UsageRecord {
    UsageRecord {
        request: RequestId::new(admitted_at.0, u128::from(number)),
        part: 0,
        last: true,
        product: subscription.product_id,
        plan: subscription.plan_id,
        subscription: subscription.id,
        key: KeyId::from_bytes([1; 16]),
        admitted_at,
        period_start: START,
        duration_us: 1_500,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 1 + number as i64 % 7,
        bytes_in: 10,
        bytes_out: 100,
    }
}
