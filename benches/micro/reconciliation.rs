//! How long it takes to compare what the ledger has with what a destination was sent, over a year.
//! The destination answers at once and in this process, and the store is in memory where the system
//! has a place there: what is measured is the comparing, not a network or a disk.

#[expect(dead_code, reason = "calls are of other benchmarks")]
mod control;
#[expect(dead_code, reason = "the gateway on the stage is for the calls of another benchmark")]
mod stage;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tollgate_admin::ledger::window::{Minute, Window};
use tollgate_admin::reconcile::page::{Books, Question};
use tollgate_admin::sending::capability::{Amounts, Capabilities, Dedupe, ReadBack};
use tollgate_admin::sending::destination::{Answer, Destination, Frozen};
use tollgate_admin::sending::intent::{Finding, Outcome};
use tollgate_admin::sending::item::Item;
use tollgate_admin::sending::kind::Kind;
use tollgate_admin::sending::registration::{Registration, Status};
use tollgate_admin::sending::wire::{Request, Response, Wire, WireError};
use tollgate_admin::store::query::query;
use tollgate_admin::store::{Database, Part};
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::ids::DestinationId;
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DESTINATION: DestinationId = DestinationId::from_bytes([7; 16]);
const HOURS_PER_YEAR: i64 = 8_760;

/// The first hour of the year, the start of a day.
const BEGIN: i64 = 490_008;

/// A day after the year's end, in the middle of an hour.
const NOW: Timestamp = Timestamp((BEGIN + HOURS_PER_YEAR + 24) * 3_600_000 + 1_800_000);

/// One subscription of so many has a window in which the two sides differ.
const DIFFERS_EVERY: i64 = 1_000;

/// What the goal is about.
const SUBSCRIPTIONS_GOAL: f64 = 100_000.0;

fn main() {
    control::runtime().block_on(async {
        compare(200, HOURS_PER_YEAR, false).await;
        compare(100_000, 24, false).await;
        compare(5, HOURS_PER_YEAR, true).await;
    });
}

/// Compares so many windows of each of so many subscriptions, spread over the year.
#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
async fn compare(subscriptions: i64, windows_each: i64, asks: bool) {
    let directory = stage::memory_directory();
    let path = directory.path().join("tollgate.db");
    let database = Database::open_file(&path).await.expect("the directory is ours");
    fill(&database, subscriptions, windows_each).await;
    let registration = registration();
    let books = Books {
        database: &database,
        now: NOW,
        registration: &registration,
        destination: &Prompt,
        wire: &NoWire,
    };
    let mut question = Question {
        subscription: None,
        from: Minute(BEGIN * 60),
        to: Minute::of(NOW),
        is_accepted: false,
        asks,
        after: None,
        items_max: 500,
    };
    let (mut windows, mut differences, mut pages) = (0, 0, 0);
    let mut longest = Duration::ZERO;
    let start = Instant::now();
    loop {
        let page_start = Instant::now();
        let page = books.page(&question).await.expect("the store works");
        longest = longest.max(page_start.elapsed());
        windows += page.windows;
        differences += page.items.len();
        pages += 1;
        question.after = page.next;
        if question.after.is_none() {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(windows as i64, subscriptions * windows_each);
    assert_eq!(differences as i64, (subscriptions + DIFFERS_EVERY - 1) / DIFFERS_EVERY);
    println!(
        "{subscriptions:>7} subscriptions with {windows_each:>5} windows each{}: {seconds:>6.1} s in \
         {pages} pages of at most {:.0} ms, {:>9.0} windows/s, {:>8.1} subscriptions/s, \
         {:.1} minutes for 100,000",
        if asks { ", asked for" } else { "" },
        longest.as_secs_f64() * 1_000.0,
        windows as f64 / seconds,
        subscriptions as f64 / seconds,
        SUBSCRIPTIONS_GOAL / subscriptions as f64 * seconds / 60.0,
    );
    database.close().await;
}

async fn fill(database: &Database, subscriptions: i64, windows_each: i64) {
    let mut transaction = database.write(Part::Sending).await.expect("nobody else writes");
    for statement in STATEMENTS {
        query(statement)
            .bind(subscriptions)
            .bind(windows_each)
            .bind(BEGIN)
            .bind(HOURS_PER_YEAR / windows_each)
            .bind(DESTINATION.as_bytes().as_slice())
            .bind(DIFFERS_EVERY)
            .execute(&mut transaction)
            .await
            .expect("the schema is as the statements say");
    }
    transaction.commit().await.expect("there is room");
}

/// A call's minute in each window, and requests of a hundred subscriptions' items of the same turn,
/// with 250 bytes for each, as JSON has them.
const STATEMENTS: [&str; 4] = [
    "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < $1 - 1)
     INSERT INTO ledger_series (id, subscription, plan, product)
     SELECT n + 1, CAST(printf('%016d', n) AS BLOB), zeroblob(16), zeroblob(16) FROM n",
    "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < $1 - 1),
         turn (turn) AS (SELECT 0 UNION ALL SELECT turn + 1 FROM turn WHERE turn < $2 - 1)
     INSERT INTO ledger_minute
     SELECT hour / 24, n + 1, hour % 24 * 60 + n % 60, 1 + (n + hour) % 1000, 1, 120, 900, 0, 1, 0
     FROM (SELECT n, $3 + turn * $4 + n * 7 % $4 AS hour FROM turn CROSS JOIN n)",
    "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < ($1 + 99) / 100 * $2)
     INSERT INTO sending_intent
     SELECT n + 1, $5, n % 16, zeroblob(25000), 'settled', 1, NULL, 1790000000000, 0, 0, NULL,
         1790000000000 FROM n",
    "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < $1 - 1),
         turn (turn) AS (SELECT 0 UNION ALL SELECT turn + 1 FROM turn WHERE turn < $2 - 1)
     INSERT INTO sending_item
     SELECT $5, CAST(printf('%016d', n) AS BLOB), zeroblob(16), 'calls', hour * 60, 1, hour * 60 + 60,
         1 + (n + hour) % 1000 + (turn = 0 AND n % $6 = 0), 0, hour * 3600000, zeroblob(16),
         zeroblob(16), printf('customer-%d', n), randomblob(16),
         turn * (($1 + 99) / 100) + n / 100 + 1, n % 100
     FROM (SELECT n, turn, $3 + turn * $4 + n * 7 % $4 AS hour FROM n CROSS JOIN turn)",
];

fn registration() -> Registration {
    Registration {
        id: DESTINATION,
        name: "prompt".to_owned(),
        kind: Kind::Lago,
        settings: BTreeMap::new(),
        meters: vec![Meter::Calls],
        window: Window::Hour,
        starts_at: Timestamp(0),
        status: Status::Active,
        pause_reason: None,
        has_secret: false,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

/// A destination that has all that it was sent, and says so at once.
struct Prompt;

#[async_trait]
impl Destination for Prompt {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dedupe: Dedupe::Always,
            read_back: ReadBack::Items { lag_ms: 0 },
            amounts: Amounts::Added,
            batch_items_max: 100,
            requests_at_once_max: 4,
            age_ms_max: None,
            takes_negative: false,
        }
    }

    fn lane(&self, _item: &Item) -> String {
        String::new()
    }

    fn customer(&self, _: &Consumer, _: &Subscription) -> Result<String, String> {
        Ok(String::new())
    }

    fn freeze(&self, _items: &[Item]) -> Vec<u8> {
        Vec::new()
    }

    async fn send(&self, _frozen: &Frozen, _wire: &dyn Wire, _now: Timestamp) -> Answer {
        Answer::All(Outcome::Accepted)
    }

    async fn find(
        &self,
        items: &[Item],
        _wire: &dyn Wire,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        findings.extend(items.iter().map(|_| Finding::Present));
        Ok(())
    }
}

/// [`Prompt`] asks nobody.
struct NoWire;

#[async_trait]
impl Wire for NoWire {
    async fn exchange(&self, _request: Request) -> Result<Response, WireError> {
        Err(WireError::NotSent("there is nobody".to_owned()))
    }
}
