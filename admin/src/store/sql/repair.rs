//! What was decided on differences between the ledger and destinations.

use tollgate_common::ids::{DestinationId, PlanId, SubscriptionId};

use crate::ledger::window::Minute;
use crate::reconcile::figures::Slot;
use crate::reconcile::order::{Decided, RepairOrder};
use crate::store::column::{Columns, word};
use crate::store::query::{Row, query, query_as};
use crate::store::{StoreError, Transaction};

pub async fn insert(
    db: &mut Transaction,
    destination: DestinationId,
    order: &RepairOrder,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO sending_repair (destination, subscription, plan, meter, window_start, cause,
             repair, quantity, acknowledged, note, ordered_at, is_open)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1)",
    )
    .bind(&destination.as_bytes()[..])
    .bind(&order.subscription.as_bytes()[..])
    .bind(&order.plan.as_bytes()[..])
    .bind(order.meter.label())
    .bind(order.slot().start.0)
    .bind(word(order.cause))
    .bind(word(order.repair))
    .bind(order.quantity)
    .bind(order.acknowledged)
    .bind(&order.note)
    .bind(order.ordered_at.0)
    .execute(db)
    .await?;
    Ok(())
}

/// All that was ever decided, oldest first.
pub async fn list(
    db: &mut Transaction,
    destination: DestinationId,
) -> Result<Vec<RepairOrder>, StoreError> {
    let rows = query("SELECT * FROM sending_repair WHERE destination = $1 ORDER BY id")
        .bind(&destination.as_bytes()[..])
        .fetch_all(db)
        .await?;
    rows.iter().map(order).collect()
}

pub async fn decided(
    db: &mut Transaction,
    destination: DestinationId,
    slot: Slot,
) -> Result<Decided, StoreError> {
    let (orders, is_open): (i64, Option<i64>) = query_as(
        "SELECT COUNT(*), MAX(is_open) FROM sending_repair WHERE destination = $1
             AND subscription = $2 AND plan = $3 AND window_start = $4 AND meter = $5",
    )
    .bind(&destination.as_bytes()[..])
    .bind(&slot.subscription.as_bytes()[..])
    .bind(&slot.plan.as_bytes()[..])
    .bind(slot.start.0)
    .bind(slot.meter.label())
    .fetch_one(db)
    .await?;
    Ok(Decided { orders, is_open: is_open == Some(1) })
}

/// What was accepted of a subscription on a plan, from a window on to before another, oldest first.
pub async fn accepted(
    db: &mut Transaction,
    destination: DestinationId,
    (subscription, plan): (SubscriptionId, PlanId),
    (from, to): (Minute, Minute),
) -> Result<Vec<RepairOrder>, StoreError> {
    let rows = query(
        "SELECT * FROM sending_repair WHERE destination = $1 AND subscription = $2 AND plan = $3
             AND window_start >= $4 AND window_start < $5 AND repair = 'accept' ORDER BY id",
    )
    .bind(&destination.as_bytes()[..])
    .bind(&subscription.as_bytes()[..])
    .bind(&plan.as_bytes()[..])
    .bind(from.0)
    .bind(to.0)
    .fetch_all(db)
    .await?;
    rows.iter().map(order).collect()
}

/// What is still to be carried out, by its number, oldest first.
pub async fn open(
    db: &mut Transaction,
    destination: DestinationId,
    limit: i64,
) -> Result<Vec<(i64, RepairOrder)>, StoreError> {
    let rows = query(
        "SELECT * FROM sending_repair WHERE destination = $1 AND is_open = 1 ORDER BY id LIMIT $2",
    )
    .bind(&destination.as_bytes()[..])
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((columns(row).number("id")?, order(row)?))).collect()
}

pub async fn carried_out(db: &mut Transaction, number: i64) -> Result<(), StoreError> {
    query("UPDATE sending_repair SET is_open = 0 WHERE id = $1").bind(number).execute(db).await?;
    Ok(())
}

fn columns(row: &Row) -> Columns<'_> {
    Columns { table: "sending_repair", row }
}

fn order(row: &Row) -> Result<RepairOrder, StoreError> {
    let columns = columns(row);
    let start: i64 = columns.number("window_start")?;
    Ok(RepairOrder {
        subscription: columns.id("subscription", SubscriptionId::from_bytes)?,
        plan: columns.id("plan", PlanId::from_bytes)?,
        meter: columns.word("meter")?,
        window_start: Minute(start).start(),
        cause: columns.word("cause")?,
        repair: columns.word("repair")?,
        quantity: columns.number("quantity")?,
        acknowledged: columns.number("acknowledged")?,
        note: columns.text_option("note")?,
        ordered_at: columns.time("ordered_at")?,
    })
}
