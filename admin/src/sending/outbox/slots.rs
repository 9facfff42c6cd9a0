//! What was sent, window by window, for whoever compares it with the ledger.

use sqlx::AssertSqlSafe;
use tollgate_common::ids::{DestinationId, PlanId, SubscriptionId};
use tollgate_common::time::Timestamp;

use super::intents::state_read;
use super::items::{item, meter_read};
use crate::ledger::series::id_read;
use crate::ledger::window::{Day, MINUTES_PER_DAY, Minute};
use crate::reconcile::digest::{Digest, SentDigest};
use crate::reconcile::figures::{Sent, Slot};
use crate::sending::intent::State;
use crate::sending::item::Item;
use crate::store::column::Columns;
use crate::store::query::{Row, query, query_as, query_scalar};
use crate::store::{StoreError, Transaction};

/// Intents that the destination has not acknowledged, or of which something is said: in the words of
/// the index `sending_intent_open`.
const OPEN: &str = "n.state <> 'settled' AND (n.state <> 'acknowledged' OR n.reason IS NOT NULL)";

/// After all intents.
const NO_INTENT: i64 = i64::MAX;

/// Who used what on which terms, in the order of slots.
pub type Owner = (SubscriptionId, PlanId);

/// The next for whom something was sent.
pub async fn next_owner(
    db: &mut Transaction,
    destination: DestinationId,
    after: Owner,
) -> Result<Option<Owner>, StoreError> {
    let row: Option<(Vec<u8>, Vec<u8>)> = query_as(
        "SELECT subscription, plan FROM sending_item
         WHERE destination = $1 AND (subscription, plan) > ($2, $3)
         ORDER BY subscription, plan LIMIT 1",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(after.0.as_bytes().to_vec())
    .bind(after.1.as_bytes().to_vec())
    .fetch_optional(db)
    .await?;
    let Some((subscription, plan)) = row else { return Ok(None) };
    Ok(Some((
        SubscriptionId::from_bytes(id_read(&subscription)?),
        PlanId::from_bytes(id_read(&plan)?),
    )))
}

type SentRow = (String, i64, i64, i64, i64, i64, i64, i64, i64, Option<String>);

/// What was sent of windows that begin from a minute on to before another, in the order of slots.
pub async fn sent(
    db: &mut Transaction,
    destination: DestinationId,
    (subscription, plan): Owner,
    (from, to): (Minute, Minute),
) -> Result<Vec<Sent>, StoreError> {
    let rows: Vec<SentRow> = query_as(
        "SELECT i.meter, i.window_start, MAX(i.window_end),
             CAST(SUM(CASE n.state WHEN 'frozen' THEN i.quantity ELSE 0 END) AS BIGINT),
             CAST(SUM(CASE n.state WHEN 'ambiguous' THEN i.quantity ELSE 0 END) AS BIGINT),
             CAST(SUM(CASE n.state WHEN 'acknowledged' THEN i.quantity WHEN 'settled' THEN i.quantity
                 ELSE 0 END) AS BIGINT),
             CAST(SUM(CASE n.state WHEN 'settled' THEN i.quantity ELSE 0 END) AS BIGINT),
             CAST(SUM(CASE n.state WHEN 'quarantined' THEN i.quantity ELSE 0 END) AS BIGINT),
             CAST(SUM(CASE n.state WHEN 'voided' THEN i.quantity ELSE 0 END) AS BIGINT),
             MAX(CASE n.state WHEN 'settled' THEN NULL WHEN 'voided' THEN NULL ELSE n.reason END)
         FROM sending_item i JOIN sending_intent n ON n.id = i.intent
         WHERE i.destination = $1 AND i.subscription = $2 AND i.plan = $3
             AND i.window_start >= $4 AND i.window_start < $5
         GROUP BY i.meter, i.window_start",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(subscription.as_bytes().to_vec())
    .bind(plan.as_bytes().to_vec())
    .bind(from.0)
    .bind(to.0)
    .fetch_all(db)
    .await?;
    let sent = |row: SentRow| {
        let (
            meter,
            start,
            end,
            frozen,
            in_doubt,
            acknowledged,
            settled,
            quarantined,
            voided,
            reason,
        ) = row;
        let meter = meter_read(&meter)?;
        Ok(Sent {
            slot: Slot { subscription, plan, start: Minute(start), meter },
            end: Minute(end),
            frozen,
            in_doubt,
            acknowledged,
            settled,
            quarantined,
            voided,
            reason,
        })
    };
    let mut sents = rows.into_iter().map(sent).collect::<Result<Vec<_>, StoreError>>()?;
    sents.sort_unstable_by_key(|sent| sent.slot);
    Ok(sents)
}

/// The same in a few numbers for each meter, by windows of so many minutes. Places are counted from
/// the first day.
///
/// Intents are wide, and no item looks at its own: what is not settled is in an index of a few
/// numbers, which is not looked at either for items that are older than all of them.
pub async fn digests(
    db: &mut Transaction,
    destination: DestinationId,
    (subscription, plan): Owner,
    (from, to): (Minute, Minute),
    minutes: i64,
) -> Result<Vec<SentDigest>, StoreError> {
    let columns = Digest::columns(
        "i.quantity",
        &format!("(i.window_start - CAST($6 AS BIGINT)) / {minutes}"),
    );
    let open = format!("FROM sending_intent n WHERE n.destination = $1 AND {OPEN}");
    let sql = format!(
        "SELECT i.meter, {columns}, CAST(SUM(CASE i.version WHEN 1 THEN 1 ELSE 0 END) AS BIGINT),
             CAST(SUM(CASE WHEN i.window_start % {minutes} = 0
                     AND i.window_end - i.window_start = {minutes}
                     AND NOT (i.intent >= COALESCE((SELECT MIN(n.id) {open}), {NO_INTENT})
                         AND i.intent IN (SELECT n.id {open}))
                 THEN 0 ELSE 1 END) AS BIGINT)
         FROM sending_item i
         WHERE i.destination = $1 AND i.subscription = $2 AND i.plan = $3
             AND i.window_start >= $4 AND i.window_start < $5
         GROUP BY i.meter"
    );
    let rows: Vec<(String, i64, i64, i64, i64, i64)> = query_as(AssertSqlSafe(sql))
        .bind(destination.as_bytes().as_slice())
        .bind(subscription.as_bytes().to_vec())
        .bind(plan.as_bytes().to_vec())
        .bind(from.0)
        .bind(to.0)
        .bind(from.day().start().0)
        .fetch_all(db)
        .await?;
    let digest =
        |(meter, sum, by_place, by_square, windows, exceptions): (String, _, _, _, _, _)| {
            let digest = Digest { sum, by_place, by_square };
            Ok(SentDigest { meter: meter_read(&meter)?, digest, windows, exceptions })
        };
    rows.into_iter().map(digest).collect()
}

/// What has been said of an item.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    pub item: Item,
    pub attempted_at: Option<Timestamp>,
}

/// The items that the destination has acknowledged, in the order of slots. What was booked without
/// having been sent is not among them.
pub async fn acknowledged(
    db: &mut Transaction,
    destination: DestinationId,
    (subscription, plan): Owner,
    (from, to): (Minute, Minute),
) -> Result<Vec<Acknowledged>, StoreError> {
    let rows = query(
        "SELECT i.*, n.attempted_at AS attempted_at
         FROM sending_item i JOIN sending_intent n ON n.id = i.intent
         WHERE i.destination = $1 AND i.subscription = $2 AND i.plan = $3
             AND i.window_start >= $4 AND i.window_start < $5
             AND n.state IN ('acknowledged', 'settled') AND length(n.body) > 0",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(subscription.as_bytes().to_vec())
    .bind(plan.as_bytes().to_vec())
    .bind(from.0)
    .bind(to.0)
    .fetch_all(db)
    .await?;
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        let columns = Columns { table: "sending_intent", row };
        known.push(Acknowledged {
            item: item(row)?,
            attempted_at: columns.time_option("attempted_at")?,
        });
    }
    known.sort_unstable_by_key(|one| (Slot::from(one.item.place), one.item.version));
    Ok(known)
}

/// All items of a window with the numbers of their intents, by version.
pub async fn items(
    db: &mut Transaction,
    destination: DestinationId,
    slot: &Slot,
) -> Result<Vec<(Item, i64)>, StoreError> {
    let rows = query(
        "SELECT * FROM sending_item WHERE destination = $1 AND subscription = $2 AND plan = $3
             AND meter = $4 AND window_start = $5 ORDER BY version",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(slot.subscription.as_bytes().to_vec())
    .bind(slot.plan.as_bytes().to_vec())
    .bind(slot.meter.label())
    .bind(slot.start.0)
    .fetch_all(db)
    .await?;
    rows.iter().map(numbered).collect()
}

fn numbered(row: &Row) -> Result<(Item, i64), StoreError> {
    Ok((item(row)?, Columns { table: "sending_item", row }.number("intent")?))
}

/// What carries a call's usage to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    pub destination: DestinationId,
    pub destination_name: String,
    pub delivery: i64,
    pub state: State,
    pub slot: Slot,
    pub end: Minute,
    pub version: u32,
}

/// Every item of a window that a minute is in, at all destinations.
pub async fn holding(
    db: &mut Transaction,
    (subscription, plan): Owner,
    minute: Minute,
) -> Result<Vec<Carried>, StoreError> {
    let rows = query(
        "SELECT d.id AS destination, d.name AS name, n.id AS delivery, n.state AS state,
             i.meter AS meter, i.window_start AS window_start, i.window_end AS window_end,
             i.version AS version
         FROM destinations d
         JOIN sending_item i ON i.destination = d.id AND i.subscription = $1 AND i.plan = $2
             AND i.window_start > $4 AND i.window_start <= $3 AND i.window_end > $3
         JOIN sending_intent n ON n.id = i.intent
         WHERE d.deleted_at IS NULL ORDER BY d.id, i.meter, i.version",
    )
    .bind(subscription.as_bytes().to_vec())
    .bind(plan.as_bytes().to_vec())
    .bind(minute.0)
    // No window is longer than a day.
    .bind(minute.0 - MINUTES_PER_DAY)
    .fetch_all(db)
    .await?;
    let carried = |row: &_| {
        let columns = Columns { table: "sending_item", row };
        let (start, end) = (columns.number("window_start")?, columns.number("window_end")?);
        let meter = meter_read(&columns.text("meter")?)?;
        Ok(Carried {
            destination: columns.id("destination", DestinationId::from_bytes)?,
            destination_name: columns.text("name")?,
            delivery: columns.number("delivery")?,
            state: state_read(&columns.text("state")?)?,
            slot: Slot { subscription, plan, start: Minute(start), meter },
            end: Minute(end),
            version: columns.number("version")?,
        })
    };
    rows.iter().map(carried).collect()
}

/// All items that make up the total of an item's customer, meter and hour, with the numbers of their
/// intents.
pub async fn items_of_hour(
    db: &mut Transaction,
    destination: DestinationId,
    of: &Item,
) -> Result<Vec<(Item, i64)>, StoreError> {
    let rows = query(
        "SELECT * FROM sending_item WHERE destination = $1 AND customer = $2 AND meter = $3
             AND booked_at >= $4 AND booked_at < $5",
    )
    .bind_hour(destination, of)
    .fetch_all(db)
    .await?;
    rows.iter().map(numbered).collect()
}

/// The first slot of all that was acknowledged of the total of an item's customer, meter and hour.
pub async fn first_of_hour(
    db: &mut Transaction,
    destination: DestinationId,
    item: &Item,
) -> Result<Option<Slot>, StoreError> {
    let row: Option<(Vec<u8>, Vec<u8>, i64)> = query_as(
        "SELECT i.subscription, i.plan, i.window_start
         FROM sending_item i JOIN sending_intent n ON n.id = i.intent
         WHERE i.destination = $1 AND i.customer = $2 AND i.meter = $3
             AND i.booked_at >= $4 AND i.booked_at < $5
             AND n.state IN ('acknowledged', 'settled') AND length(n.body) > 0
         ORDER BY i.subscription, i.plan, i.window_start LIMIT 1",
    )
    .bind_hour(destination, item)
    .fetch_optional(db)
    .await?;
    let Some((subscription, plan, start)) = row else { return Ok(None) };
    Ok(Some(Slot {
        subscription: SubscriptionId::from_bytes(id_read(&subscription)?),
        plan: PlanId::from_bytes(id_read(&plan)?),
        start: Minute(start),
        meter: item.place.meter,
    }))
}

/// The newest intent of all that make up the total of an item's customer, meter and hour.
pub async fn newest_of_hour(
    db: &mut Transaction,
    destination: DestinationId,
    item: &Item,
) -> Result<i64, StoreError> {
    let newest: i64 = query_scalar(
        "SELECT COALESCE(MAX(intent), 0) FROM sending_item
         WHERE destination = $1 AND customer = $2 AND meter = $3
             AND booked_at >= $4 AND booked_at < $5",
    )
    .bind_hour(destination, item)
    .fetch_one(db)
    .await?;
    Ok(newest)
}

/// Days of a series whose usage is held back, and why.
pub async fn held(
    db: &mut Transaction,
    destination: DestinationId,
    series: i64,
) -> Result<Vec<(Day, String)>, StoreError> {
    let rows: Vec<(i64, String)> = query_as(
        "SELECT day, held FROM sending_due
         WHERE destination = $1 AND series = $2 AND held IS NOT NULL ORDER BY day",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(series)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(day, held)| (Day(day), held)).collect())
}
