//! Items, by intent and by the place that they are of.

use tollgate_common::ids::{ConsumerId, DestinationId, PlanId, ProductId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;
use uuid::Uuid;

use crate::ledger::window::{Day, Minute};
use crate::sending::capability::{CLOCK_SKEW_MS_MAX, FORGOTTEN};
use crate::sending::item::{Item, Place};
use crate::store::column::Columns;
use crate::store::query::{Query, Row, query, query_as};
use crate::store::{StoreError, Transaction};

const TABLE: &str = "sending_item";

/// What was decided on of a piece of a day so far, over all versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    pub meter: Meter,
    pub start: Minute,
    pub end: Minute,
    pub version: u32,
    pub quantity: i64,
}

/// How a customer's meter stands in an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// All that was decided on and not voided.
    pub decided: i64,
    /// What the destination has acknowledged.
    pub acknowledged: i64,
    /// When the last attempt began that may have changed it.
    pub attempted_at: Option<Timestamp>,
    /// The latest moment that something was booked on.
    pub booked_at: Option<Timestamp>,
}

impl<'q, T> Query<'q, T> {
    /// The values of the next five parameters: destination, customer, meter, and from when until when, of the
    /// total that an item is part of.
    pub(super) fn bind_hour(self, destination: DestinationId, item: &'q Item) -> Self {
        let from = item.hour() * 3_600_000;
        self.bind(destination.as_bytes().to_vec())
            .bind(&item.customer)
            .bind(item.place.meter.label())
            .bind(from)
            .bind(from + 3_600_000)
    }
}

pub async fn insert(
    db: &mut Transaction,
    destination: DestinationId,
    intent: i64,
    position: usize,
    item: &Item,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO sending_item (destination, subscription, plan, meter, window_start, version,
             window_end, quantity, total, booked_at, product, consumer, customer, id, intent,
             position)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(item.place.subscription.as_bytes().as_slice())
    .bind(item.place.plan.as_bytes().as_slice())
    .bind(item.place.meter.label())
    .bind(item.place.start.0)
    .bind(item.version)
    .bind(item.end.0)
    .bind(item.quantity)
    .bind(item.total)
    .bind(item.at.0)
    .bind(item.product.as_bytes().as_slice())
    .bind(item.consumer.as_bytes().as_slice())
    .bind(&item.customer)
    .bind(item.id.as_bytes().as_slice())
    .bind(intent)
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .execute(db)
    .await?;
    Ok(())
}

/// Puts an item into another intent.
pub async fn move_to(
    db: &mut Transaction,
    item: &Item,
    intent: i64,
    position: usize,
) -> Result<(), sqlx::Error> {
    query("UPDATE sending_item SET intent = $2, position = $3 WHERE id = $1")
        .bind(item.id.as_bytes().as_slice())
        .bind(intent)
        .bind(i64::try_from(position).unwrap_or(i64::MAX))
        .execute(db)
        .await?;
    Ok(())
}

/// Books the quantity of an item that it has by now.
pub async fn book(db: &mut Transaction, item: &Item) -> Result<(), sqlx::Error> {
    query("UPDATE sending_item SET quantity = $2 WHERE id = $1")
        .bind(item.id.as_bytes().as_slice())
        .bind(item.quantity)
        .execute(db)
        .await?;
    Ok(())
}

pub async fn of_intent(db: &mut Transaction, intent: i64) -> Result<Vec<Item>, StoreError> {
    let rows = query("SELECT * FROM sending_item WHERE intent = $1 ORDER BY position")
        .bind(intent)
        .fetch_all(db)
        .await?;
    rows.iter().map(item).collect()
}

/// What was decided on in a day of a subscription on a plan.
pub async fn of_day(
    db: &mut Transaction,
    destination: DestinationId,
    subscription: SubscriptionId,
    plan: PlanId,
    day: Day,
) -> Result<Vec<Decided>, StoreError> {
    let rows: Vec<(String, i64, i64, i64, i64)> = query_as(
        "SELECT meter, window_start, window_end, MAX(version), CAST(SUM(quantity) AS BIGINT)
         FROM sending_item
         WHERE destination = $1 AND subscription = $2 AND plan = $3
             AND window_start >= $4 AND window_start < $5
         GROUP BY meter, window_start, window_end",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(subscription.as_bytes().as_slice())
    .bind(plan.as_bytes().as_slice())
    .bind(day.start().0)
    .bind(Day(day.0 + 1).start().0)
    .fetch_all(db)
    .await?;
    let decided = |(meter, start, end, version, quantity): (String, i64, i64, i64, i64)| {
        Ok(Decided {
            meter: meter_read(&meter)?,
            start: Minute(start),
            end: Minute(end),
            version: u32::try_from(version).unwrap_or(u32::MAX),
            quantity,
        })
    };
    rows.into_iter().map(decided).collect()
}

/// The places of a day that may have been sent before the store was put back, and are being looked up.
pub async fn forgotten(
    db: &mut Transaction,
    destination: DestinationId,
    subscription: SubscriptionId,
    plan: PlanId,
    day: Day,
) -> Result<Vec<(Meter, Minute)>, StoreError> {
    let rows: Vec<(String, i64)> = query_as(
        "SELECT i.meter, i.window_start FROM sending_item i JOIN sending_intent n ON n.id = i.intent
         WHERE i.destination = $1 AND i.subscription = $2 AND i.plan = $3
             AND i.window_start >= $4 AND i.window_start < $5
             AND n.state = 'ambiguous' AND n.doubt_since = $6",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(subscription.as_bytes().as_slice())
    .bind(plan.as_bytes().as_slice())
    .bind(day.start().0)
    .bind(Day(day.0 + 1).start().0)
    .bind(FORGOTTEN.0)
    .fetch_all(db)
    .await?;
    rows.into_iter().map(|(meter, start)| Ok((meter_read(&meter)?, Minute(start)))).collect()
}

type HourRow = (i64, i64, Option<i64>, Option<i64>);

/// The totals of an item's customer, meter and hour.
pub async fn hour(
    db: &mut Transaction,
    destination: DestinationId,
    item: &Item,
) -> Result<Hour, StoreError> {
    let (decided, acknowledged, attempted_at, booked_at): HourRow = query_as(
        "SELECT CAST(COALESCE(SUM(CASE WHEN n.state = 'voided' THEN 0
                 ELSE i.quantity END), 0) AS BIGINT),
             CAST(COALESCE(SUM(CASE WHEN n.state IN ('acknowledged', 'settled')
                 THEN i.quantity ELSE 0 END), 0) AS BIGINT),
             MAX(n.attempted_at), MAX(i.booked_at)
         FROM sending_item i JOIN sending_intent n ON n.id = i.intent
         WHERE i.destination = $1 AND i.customer = $2 AND i.meter = $3
             AND i.booked_at >= $4 AND i.booked_at < $5",
    )
    .bind_hour(destination, item)
    .fetch_one(db)
    .await?;
    Ok(Hour {
        decided,
        acknowledged,
        attempted_at: attempted_at.map(Timestamp),
        booked_at: booked_at.map(Timestamp),
    })
}

/// Whether the destination has shown anything of an item's customer and meter that was sent since a
/// moment.
pub async fn is_shown(
    db: &mut Transaction,
    destination: DestinationId,
    item: &Item,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (shown,): (i64,) = query_as(
        "SELECT COUNT(*) FROM (
             SELECT 1 FROM sending_item i JOIN sending_intent n ON n.id = i.intent
             WHERE i.destination = $1 AND i.customer = $2 AND i.meter = $3 AND i.quantity > 0
                 AND n.state = 'settled' AND n.reason IS NULL
                 AND n.attempted_at > $4 AND n.attempted_at <= $5 LIMIT 1) AS shown",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(&item.customer)
    .bind(item.place.meter.label())
    .bind(since.0)
    .bind(now.plus_ms(CLOCK_SKEW_MS_MAX).0)
    .fetch_one(db)
    .await?;
    Ok(shown > 0)
}

/// How often the total of an item's hour was stated again since usage was last added to it.
pub async fn restated(
    db: &mut Transaction,
    destination: DestinationId,
    item: &Item,
) -> Result<i64, StoreError> {
    let (count,): (i64,) = query_as(
        "SELECT COUNT(*) FROM sending_item
         WHERE destination = $1 AND customer = $2 AND meter = $3
             AND booked_at >= $4 AND booked_at < $5 AND quantity = 0
             AND intent > (SELECT COALESCE(MAX(intent), 0) FROM sending_item
                 WHERE destination = $1 AND customer = $2 AND meter = $3
                     AND booked_at >= $4 AND booked_at < $5 AND quantity <> 0)",
    )
    .bind_hour(destination, item)
    .fetch_one(db)
    .await?;
    Ok(count)
}

/// Whether the destination has shown anything of an item's meter that was sent since a moment.
pub async fn is_meter_shown(
    db: &mut Transaction,
    destination: DestinationId,
    item: &Item,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let shown: Option<(i64,)> = query_as(
        "SELECT n.id FROM sending_intent n JOIN sending_item i ON i.intent = n.id
         WHERE n.destination = $1 AND n.state = 'settled' AND n.reason IS NULL
             AND n.attempted_at > $3 AND n.attempted_at <= $4
             AND i.meter = $2 AND i.quantity > 0 LIMIT 1",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(item.place.meter.label())
    .bind(since.0)
    .bind(now.plus_ms(CLOCK_SKEW_MS_MAX).0)
    .fetch_optional(db)
    .await?;
    Ok(shown.is_some())
}

/// Dates attempts for an item's customer, meter and hour that a clock made which was ahead.
pub async fn put_hour_right(
    db: &mut Transaction,
    destination: DestinationId,
    item: &Item,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE sending_intent SET attempted_at = $6 WHERE attempted_at > $7 AND id IN (
             SELECT intent FROM sending_item WHERE destination = $1 AND customer = $2
                 AND meter = $3 AND booked_at >= $4 AND booked_at < $5)",
    )
    .bind_hour(destination, item)
    .bind(now.0)
    .bind(now.plus_ms(CLOCK_SKEW_MS_MAX).0)
    .execute(db)
    .await?;
    Ok(())
}

/// The newest version of a place.
pub async fn version(
    db: &mut Transaction,
    destination: DestinationId,
    place: &Place,
) -> Result<u32, StoreError> {
    let (version,): (Option<i64>,) = query_as(
        "SELECT MAX(version) FROM sending_item WHERE destination = $1 AND subscription = $2
             AND plan = $3 AND meter = $4 AND window_start = $5",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(place.subscription.as_bytes().as_slice())
    .bind(place.plan.as_bytes().as_slice())
    .bind(place.meter.label())
    .bind(place.start.0)
    .fetch_one(db)
    .await?;
    Ok(version.and_then(|version| u32::try_from(version).ok()).unwrap_or(0))
}

pub(super) fn meter_read(word: &str) -> Result<Meter, StoreError> {
    Meter::from_label(word).ok_or_else(|| StoreError::Content {
        table: TABLE,
        column: "meter",
        reason: word.to_owned(),
    })
}

pub(super) fn item(row: &Row) -> Result<Item, StoreError> {
    let columns = Columns { table: TABLE, row };
    Ok(Item {
        place: Place {
            subscription: columns.id("subscription", SubscriptionId::from_bytes)?,
            plan: columns.id("plan", PlanId::from_bytes)?,
            meter: meter_read(&columns.text("meter")?)?,
            start: Minute(columns.number("window_start")?),
        },
        version: columns.number("version")?,
        end: Minute(columns.number("window_end")?),
        quantity: columns.number("quantity")?,
        total: columns.number("total")?,
        at: columns.time("booked_at")?,
        product: columns.id("product", ProductId::from_bytes)?,
        consumer: columns.id("consumer", ConsumerId::from_bytes)?,
        customer: columns.text("customer")?,
        id: columns.id("id", Uuid::from_bytes)?,
    })
}
