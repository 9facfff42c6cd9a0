//! Lets go of deliveries as old as what the ledger has let go of.
//!
//! What was sent of a window says what is still to be sent of it. So it stays for as long as the
//! ledger has the window's minutes; without them, nothing of the window is decided on again.

use tollgate_common::time::Timestamp;

use crate::ledger::window::Day;
use crate::sending::intent::State;
use crate::store::query::{query, query_as, query_scalar};
use crate::store::{StoreError, Transaction};

use super::intents::state_read;

/// Deliveries that are looked at in one transaction, bodies and all: their state stands behind them.
const LOOKED_AT_ONCE: i64 = 100;

/// Items that are dropped in one transaction, and those of one delivery more: some tens of
/// milliseconds of the writer's time.
const ITEMS_AT_ONCE: u64 = 2_000;

/// Drops some deliveries that were decided on before a day and that are done with, in their order
/// after `after`. Answers how far it came; None when all that may go has gone.
pub async fn prune(
    db: &mut Transaction,
    kept_from: Day,
    after: i64,
) -> Result<Option<i64>, StoreError> {
    let minutes: Option<i64> = query_scalar("SELECT day FROM ledger_minute WHERE day < $1 LIMIT 1")
        .bind(kept_from.0)
        .fetch_optional(&mut *db)
        .await?;
    if minutes.is_some() {
        return Ok(None);
    }
    let rows: Vec<(i64, i64, String)> = query_as(
        "SELECT id, created_at, state FROM sending_intent WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after)
    .bind(LOOKED_AT_ONCE)
    .fetch_all(&mut *db)
    .await?;
    let mut gone = 0;
    for (number, created_at, state) in &rows {
        if Timestamp(*created_at) >= kept_from.start().start() {
            return Ok(None);
        }
        if is_done(state_read(state)?) {
            gone += drop(db, *number).await?;
        }
        if gone >= ITEMS_AT_ONCE {
            return Ok(Some(*number));
        }
    }
    let is_all = (rows.len() as i64) < LOOKED_AT_ONCE;
    Ok(rows.last().filter(|_| !is_all).map(|(number, ..)| *number))
}

/// Whether nothing is to be done about it any more, by us or by an owner.
const fn is_done(state: State) -> bool {
    match state {
        State::Acknowledged | State::Settled | State::Voided => true,
        State::Frozen | State::Ambiguous | State::Quarantined => false,
    }
}

async fn drop(db: &mut Transaction, number: i64) -> Result<u64, sqlx::Error> {
    let items =
        query("DELETE FROM sending_item WHERE intent = $1").bind(number).execute(&mut *db).await?;
    query("DELETE FROM sending_intent WHERE id = $1").bind(number).execute(db).await?;
    Ok(items)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tollgate_common::ids::{ConsumerId, DestinationId, PlanId, ProductId, SubscriptionId};
    use tollgate_common::meter::Meter;

    use super::*;
    use crate::ledger::tests::Kind;
    use crate::ledger::window::Minute;
    use crate::sending::intent::Progress;
    use crate::sending::item::{Item, Place};
    use crate::sending::outbox::{intents, items};
    use crate::store::{Database, Part};

    const DESTINATION: DestinationId = DestinationId::from_bytes([7; 16]);
    const KEPT_FROM: Day = Day(20_500);

    /// A delivery of one item, of the hour before it was decided on.
    async fn deliver(database: &Database, state: State, created_at: Timestamp) -> i64 {
        let mut db = database.write(Part::Sending).await.unwrap();
        let progress = Progress { state, ..Progress::frozen(created_at) };
        let draft = intents::Draft { lane: "", body: b"body", progress: &progress, created_at };
        let number = intents::insert(&mut db, DESTINATION, &draft).await.unwrap();
        let place = Place {
            subscription: SubscriptionId::from_bytes([1; 16]),
            plan: PlanId::from_bytes([2; 16]),
            meter: Meter::Calls,
            start: Minute(number * 60),
        };
        let item = Item {
            id: place.item_id(DESTINATION, 1),
            place,
            version: 1,
            end: Minute(place.start.0 + 60),
            quantity: 1,
            total: 0,
            at: place.start.start(),
            product: ProductId::from_bytes([3; 16]),
            consumer: ConsumerId::from_bytes([4; 16]),
            customer: "customer".to_owned(),
        };
        items::insert(&mut db, DESTINATION, number, 0, &item).await.unwrap();
        db.commit().await.unwrap();
        number
    }

    /// Prunes until there is nothing more to do; says in how many transactions.
    async fn prune_all(database: &Database) -> usize {
        let (mut after, mut transactions) = (0, 1);
        loop {
            let mut db = database.write(Part::Sending).await.unwrap();
            let came_to = prune(&mut db, KEPT_FROM, after).await.unwrap();
            db.commit().await.unwrap();
            let Some(last) = came_to else { return transactions };
            (after, transactions) = (last, transactions + 1);
        }
    }

    /// The deliveries that are there, each with its item.
    async fn left(database: &Database) -> Vec<i64> {
        let mut db = database.read().await.unwrap();
        let sorted = async |db: &mut Transaction, text: &'static str| -> Vec<i64> {
            query_scalar(text).fetch_all(db).await.unwrap()
        };
        let intents = sorted(&mut db, "SELECT id FROM sending_intent ORDER BY id").await;
        let items = sorted(&mut db, "SELECT intent FROM sending_item ORDER BY intent").await;
        assert_eq!(intents, items);
        intents
    }

    #[rstest]
    #[tokio::test]
    async fn what_is_done_with_and_older_than_the_ledgers_minutes_goes(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        let border = KEPT_FROM.start().start();
        let mut kept = Vec::new();
        for state in [State::Acknowledged, State::Settled, State::Voided] {
            deliver(&database, state, border.plus_ms(-1)).await;
        }
        for state in [State::Frozen, State::Ambiguous, State::Quarantined] {
            kept.push(deliver(&database, state, border.plus_ms(-1)).await);
        }
        deliver(&database, State::Settled, border.plus_ms(-1)).await;
        kept.push(deliver(&database, State::Settled, border).await);

        prune_all(&database).await;

        assert_eq!(left(&database).await, kept);
    }

    #[rstest]
    #[tokio::test]
    async fn nothing_goes_while_the_ledger_has_older_minutes(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        let delivery = deliver(&database, State::Settled, Timestamp(0)).await;
        let mut db = database.write(Part::Ledger).await.unwrap();
        query("INSERT INTO ledger_minute VALUES ($1, 1, 0, 1, 0, 0, 0, 0, 0, 0)")
            .bind(KEPT_FROM.0 - 1)
            .execute(&mut db)
            .await
            .unwrap();
        db.commit().await.unwrap();

        prune_all(&database).await;

        assert_eq!(left(&database).await, [delivery]);
    }

    #[tokio::test]
    async fn many_go_a_part_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let database = Kind::Sqlite.open(&directory).await;
        let parked = deliver(&database, State::Quarantined, Timestamp(0)).await;
        for _ in 0..LOOKED_AT_ONCE {
            deliver(&database, State::Settled, Timestamp(0)).await;
        }

        assert_eq!(prune_all(&database).await, 2);
        assert_eq!(left(&database).await, [parked]);
    }
}
