//! What agrees at a glance, on real databases, is what agrees window by window.

use std::collections::BTreeMap;

use rstest::rstest;
use tollgate_common::ids::{ConsumerId, PlanId, ProductId, SubscriptionId};
use tollgate_common::meter::Meter;

use super::*;
use crate::ledger::tests::Kind as Store;
use crate::sending::intent::Progress;
use crate::sending::item::{Item, Place};
use crate::sending::kind::Kind;
use crate::sending::outbox::{intents, items};
use crate::sending::registration::Status;
use crate::store::query::{query, query_scalar};
use crate::store::{Database, Part};

/// Three days of hours, from the middle of a day on.
const WINDOWS: i64 = 72;
const FROM: Minute = Minute(20_500 * 1_440 + 720);
const TO: Minute = Minute(FROM.0 + WINDOWS * 60);
const NOW: Timestamp = Timestamp(20_600 * 86_400_000);
const PLAN: PlanId = PlanId::from_bytes([9; 16]);

/// The window whose request is in another state than the rest.
const ODD: i64 = 30;

/// What makes one subscription different from what it should be.
struct Case {
    subscription: u8,
    /// What was sent of a window in excess of what the ledger has.
    excess: &'static [(i64, i64)],
    /// Of the odd window.
    state: &'static str,
    reason: Option<&'static str>,
    agrees: bool,
}

const PLAIN: Case =
    Case { subscription: 1, excess: &[], state: "settled", reason: None, agrees: true };

const CASES: [Case; 12] = [
    // Older than all others, so that all that follow are looked for among what is open.
    Case { subscription: 2, state: "quarantined", agrees: false, ..PLAIN },
    PLAIN,
    Case { subscription: 3, excess: &[(5, 1)], agrees: false, ..PLAIN },
    Case { subscription: 4, excess: &[(5, 1), (6, -1)], agrees: false, ..PLAIN },
    Case { subscription: 5, excess: &[(0, -400), (71, 400)], agrees: false, ..PLAIN },
    Case { subscription: 6, excess: &[(8, 65_521), (9, -65_521)], agrees: false, ..PLAIN },
    Case {
        subscription: 7,
        excess: &[(8, 268_435_399), (50, -268_435_399)],
        agrees: false,
        ..PLAIN
    },
    Case { subscription: 8, excess: &[(1, 7), (2, -14), (3, 7)], agrees: false, ..PLAIN },
    Case { subscription: 10, state: "acknowledged", ..PLAIN },
    Case { subscription: 11, state: "acknowledged", reason: Some("lost"), agrees: false, ..PLAIN },
    Case { subscription: 12, state: "frozen", agrees: false, ..PLAIN },
    Case { subscription: 13, state: "ambiguous", agrees: false, ..PLAIN },
];

#[rstest]
#[tokio::test]
async fn what_agrees_at_a_glance_agrees_window_by_window_and_nothing_else_does(
    #[values(Store::Sqlite, Store::Postgres)] store: Store,
) {
    let directory = tempfile::tempdir().unwrap();
    let database = store.open(&directory).await;
    let registration = registration();
    for case in &CASES {
        let owner = (SubscriptionId::from_bytes([case.subscription; 16]), PLAN);
        let series = fill(&database, &registration, owner, case).await;
        let (registration, series) = (&registration, Some(series));
        let stretch = Stretch { registration, owner, series, from: FROM, to: TO, now: NOW };
        let mut db = database.read().await.unwrap();

        let agreed = stretch.agreed(&mut db).await.unwrap();
        let reading = stretch.read(&mut db, false).await.unwrap();

        let expected = case.agrees.then_some((FROM, TO, WINDOWS.unsigned_abs()));
        assert_eq!(agreed, expected, "subscription {}", case.subscription);
        let both = reading.used.iter().zip(&reading.sent);
        let off: Vec<(i64, i64)> = both
            .map(|(used, sent)| {
                (
                    used.slot.start,
                    sent.frozen + sent.in_doubt + sent.acknowledged + sent.quarantined
                        - used.quantity,
                )
            })
            .filter(|(_, excess)| *excess != 0)
            .map(|(start, excess)| ((start.0 - FROM.0) / 60, excess))
            .collect();
        assert_eq!((reading.used.len() as i64, off.as_slice()), (WINDOWS, case.excess));
    }
}

#[tokio::test]
async fn only_whole_windows_that_are_closed_agree_at_a_glance() {
    let directory = tempfile::tempdir().unwrap();
    let database = Store::Sqlite.open(&directory).await;
    let registration = registration();
    let owner = (SubscriptionId::from_bytes([1; 16]), PLAN);
    let series = Some(fill(&database, &registration, owner, &PLAIN).await);
    let of = |from, to, now| Stretch { registration: &registration, owner, series, from, to, now };
    let mut db = database.read().await.unwrap();

    let inside = of(Minute(FROM.0 + 1), Minute(TO.0 - 1), NOW).agreed(&mut db).await.unwrap();
    let now = Minute(FROM.0 + 600).start();
    let open = of(FROM, TO, now).agreed(&mut db).await.unwrap();
    let nothing = of(FROM, Minute(FROM.0 + 59), NOW).agreed(&mut db).await.unwrap();

    assert_eq!(inside, Some((Minute(FROM.0 + 60), Minute(TO.0 - 60), 70)));
    assert_eq!(open, Some((FROM, Minute(FROM.0 + 540), 9)), "the last minute is still awaited");
    assert_eq!(nothing, None);
}

fn registration() -> Registration {
    Registration {
        id: DestinationId::from_bytes([7; 16]),
        name: "lago".to_owned(),
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

/// Two minutes of each window at the ledger, and what was sent of it in a request of its own.
async fn fill(database: &Database, registration: &Registration, owner: Owner, case: &Case) -> i64 {
    let mut db = database.write(Part::Sending).await.unwrap();
    let series: i64 = query_scalar(
        "INSERT INTO ledger_series (subscription, plan, product) VALUES ($1, $2, $2) RETURNING id",
    )
    .bind(owner.0.as_bytes().to_vec())
    .bind(owner.1.as_bytes().to_vec())
    .fetch_one(&mut db)
    .await
    .unwrap();
    for window in 0..WINDOWS {
        let start = Minute(FROM.0 + window * 60);
        let quantity = 1_000_000_000 + window;
        for (minute, calls) in [(3, quantity - 1), (59, 1)] {
            query("INSERT INTO ledger_minute VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, 0)")
                .bind(start.day().0)
                .bind(series)
                .bind(start.of_day() + minute)
                .bind(calls)
                .execute(&mut db)
                .await
                .unwrap();
        }
        let excess = case.excess.iter().find(|(place, _)| *place == window);
        let quantity = quantity + excess.map_or(0, |(_, excess)| *excess);
        let progress = Progress::frozen(NOW);
        let draft =
            intents::Draft { lane: "", body: b"body", progress: &progress, created_at: NOW };
        let intent = intents::insert(&mut db, registration.id, &draft).await.unwrap();
        let (state, reason) =
            if window == ODD { (case.state, case.reason) } else { ("settled", None) };
        query("UPDATE sending_intent SET state = $2, reason = $3 WHERE id = $1")
            .bind(intent)
            .bind(state)
            .bind(reason)
            .execute(&mut db)
            .await
            .unwrap();
        let item = item(registration, owner, start, quantity);
        items::insert(&mut db, registration.id, intent, 0, &item).await.unwrap();
    }
    db.commit().await.unwrap();
    series
}

fn item(registration: &Registration, owner: Owner, start: Minute, quantity: i64) -> Item {
    let place = Place { subscription: owner.0, plan: owner.1, meter: Meter::Calls, start };
    Item {
        id: place.item_id(registration.id, 1),
        place,
        version: 1,
        end: Minute(start.0 + 60),
        quantity,
        total: 0,
        at: start.start(),
        product: ProductId::from_bytes([3; 16]),
        consumer: ConsumerId::from_bytes([4; 16]),
        customer: "customer".to_owned(),
    }
}
