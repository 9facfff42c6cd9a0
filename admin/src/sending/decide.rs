//! From the ledger to intents: looks at days that are due and fixes what is to be sent of them.
//!
//! All in one transaction with the day's being done, so a day is looked at again or its intents are
//! stored, never both and never neither.

use std::collections::BTreeMap;

use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::ids::SubscriptionId;
use tollgate_common::time::Timestamp;

use super::capability::{Amounts, Capabilities};
use super::cut;
use super::destination::Destination;
use super::ends::Ends;
use super::intent::Progress;
use super::item::{Item, Place};
use super::outbox::due::{self, Due};
use super::outbox::intents::{self, Draft};
use super::outbox::{OutboxError, items};
use super::plan::{self, Part};
use super::registration::Registration;
use crate::ledger::window::{Day, Minute};
use crate::ledger::{Counts, Series, series, sweep, usage};
use crate::store::Transaction;
use crate::store::sql;

/// Changes of the ledger that are read in one transaction.
const TOUCHES_AT_ONCE: i64 = 500;

/// Days that are decided on in one transaction: a few thousand rows at most.
const DAYS_AT_ONCE: i64 = 50;

/// When a day is looked at again whose usage cannot be sent as things are.
const HELD_MS: i64 = 60_000;

/// Decides on the next days that are due. Says whether there is more to decide now.
pub async fn decide(
    db: &mut Transaction,
    registration: &Registration,
    destination: &dyn Destination,
    minutes_kept_from: Day,
    put_back_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, OutboxError> {
    let first = Minute::of(registration.starts_at).day().max(minutes_kept_from);
    let has_more = due::pull(db, registration.id, first, now, TOUCHES_AT_ONCE).await?;
    let days = due::take(db, registration.id, now, DAYS_AT_ONCE).await?;
    let mut items = Vec::new();
    for due in &days {
        if due.day < minutes_kept_from {
            due::drop(db, registration.id, *due).await?;
            continue;
        }
        let decided = day(db, registration, destination, *due, now).await?;
        items.extend(decided);
    }
    // To one that was set up since, nothing was sent before.
    let put_back_at = put_back_at.filter(|at| registration.created_at < *at);
    freeze(db, registration, destination, items, put_back_at, now).await?;
    Ok(has_more || days.len() as i64 == DAYS_AT_ONCE)
}

/// Who a series belongs to, as far as it is still known.
struct Owner {
    subscription: Subscription,
    consumer: Option<Consumer>,
}

async fn day(
    db: &mut Transaction,
    registration: &Registration,
    destination: &dyn Destination,
    due: Due,
    now: Timestamp,
) -> Result<Vec<Item>, OutboxError> {
    let Some(key) = series::find(db, due.series).await? else {
        due::drop(db, registration.id, due).await?;
        return Ok(Vec::new());
    };
    let Series { subscription, plan: plan_id, .. } = key;
    let owner = owner(db, subscription).await?;
    let decided = items::of_day(db, registration.id, subscription, plan_id, due.day).await?;
    let minutes: BTreeMap<Minute, Counts> =
        usage::minutes_of_series(db, due.series, due.day).await?.into_iter().collect();
    let ends = match &owner {
        Some(owner) => Ends::read(db, &owner.subscription, plan_id).await?.of_day(due.day),
        None => Vec::new(),
    };
    let pieces = cut::pieces(
        due.day,
        Minute::of(registration.starts_at),
        registration.window,
        &ends,
        &plan::sent_pieces(&decided),
    );
    let can = destination.capabilities();
    let mut plan =
        plan::plan(&pieces, &minutes, &decided, &registration.meters, can.takes_negative, now);
    if plan.parts.iter().any(Part::is_further) {
        let unsure = items::forgotten(db, registration.id, subscription, plan_id, due.day).await?;
        plan.hold(&unsure, now.plus_ms(HELD_MS));
    }
    match name_customer(destination, owner.as_ref()) {
        Ok((owner, consumer, customer)) => {
            match plan.again_at {
                Some(at) => due::put(db, registration.id, due, at, None).await?,
                None => due::drop(db, registration.id, due).await?,
            }
            let parts = plan.parts.into_iter();
            let item = |part| item(registration, key, owner, consumer, &customer, part);
            Ok(parts.map(item).collect())
        }
        Err(_) if plan.parts.is_empty() && plan.again_at.is_none() => {
            due::drop(db, registration.id, due).await?;
            Ok(Vec::new())
        }
        Err(held) => {
            let at = now.plus_ms(HELD_MS);
            due::put(db, registration.id, due, at, Some(&held)).await?;
            Ok(Vec::new())
        }
    }
}

async fn owner(
    db: &mut Transaction,
    subscription: SubscriptionId,
) -> Result<Option<Owner>, OutboxError> {
    let Some(subscription) = sql::subscription::find(db, subscription).await? else {
        return Ok(None);
    };
    let consumer = sql::consumer::find_ever(db, subscription.consumer_id).await?;
    Ok(Some(Owner { subscription, consumer }))
}

fn name_customer<'a>(
    destination: &dyn Destination,
    owner: Option<&'a Owner>,
) -> Result<(&'a Owner, &'a Consumer, String), String> {
    let owner = owner.ok_or("the subscription is not known")?;
    let consumer = owner.consumer.as_ref().ok_or("the consumer is not known")?;
    let customer = destination.customer(consumer, &owner.subscription)?;
    Ok((owner, consumer, customer))
}

fn item(
    registration: &Registration,
    key: Series,
    owner: &Owner,
    consumer: &Consumer,
    customer: &str,
    part: Part,
) -> Item {
    let Part { piece, meter, version, quantity } = part;
    let Series { subscription, plan, product } = key;
    let place = Place { subscription, plan, meter, start: piece.start };
    Item {
        id: place.item_id(registration.id, version),
        place,
        version,
        end: piece.end,
        quantity,
        total: 0,
        at: cut::booked_at(&piece, owner.subscription.started_at),
        product,
        consumer: consumer.id,
        customer: customer.to_owned(),
    }
}

/// Groups items by lane into requests, and stores the bytes of each.
async fn freeze(
    db: &mut Transaction,
    registration: &Registration,
    destination: &dyn Destination,
    items: Vec<Item>,
    put_back_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), OutboxError> {
    let can = destination.capabilities();
    // What is in doubt does not hold up the rest, nor is it in one request with it.
    let mut lanes: BTreeMap<(bool, String), Vec<Item>> = BTreeMap::new();
    for item in items {
        let is_forgotten = put_back_at.is_some_and(|at| may_have_been_sent(&item, at));
        lanes.entry((is_forgotten, destination.lane(&item))).or_default().push(item);
    }
    for ((is_forgotten, lane), mut items) in lanes {
        let put_back_at = put_back_at.filter(|_| is_forgotten);
        items.sort_by_key(|item| (item.at, item.place, item.version));
        let size = match can.amounts {
            Amounts::Added => can.batch_items_max.max(1),
            // Each states the total with those before it.
            Amounts::Replacing => 1,
        };
        for batch in items.chunks_mut(size) {
            store(db, registration, destination, &lane, batch, put_back_at, now).await?;
        }
    }
    Ok(())
}

/// Whether the same or a part of it may have been sent before the store was put back.
fn may_have_been_sent(item: &Item, put_back_at: Timestamp) -> bool {
    item.end.start().plus_ms(plan::GRACE_MS) <= put_back_at
}

/// States the total of an hour once more, in the name of one of its places, with a quantity that was
/// not decided on before.
pub async fn state_again(
    db: &mut Transaction,
    registration: &Registration,
    destination: &dyn Destination,
    lane: &str,
    item: Item,
    put_back_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), OutboxError> {
    let version = items::version(db, registration.id, &item.place).await? + 1;
    let id = item.place.item_id(registration.id, version);
    let again = Item { version, id, ..item };
    let put_back_at = put_back_at.filter(|at| registration.created_at < *at);
    store(db, registration, destination, lane, &mut [again], put_back_at, now).await
}

/// Stores one intent with its items, as one that may have been sent before the store was put back
/// where a moment is given.
pub async fn store(
    db: &mut Transaction,
    registration: &Registration,
    destination: &dyn Destination,
    lane: &str,
    batch: &mut [Item],
    put_back_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), OutboxError> {
    let can = destination.capabilities();
    if can.amounts == Amounts::Replacing {
        for item in batch.iter_mut() {
            let hour = items::hour(db, registration.id, item).await?;
            item.total = hour.decided + item.quantity;
            // The newest counts, by its own time: a later statement must not bear an earlier one.
            item.at = hour.booked_at.map_or(item.at, |at| at.max(item.at));
            // Another total may be known there by the id that it had.
            if let Some(at) = put_back_at {
                item.id = item.place.item_id_since(registration.id, item.version, at);
            }
        }
    }
    let body = destination.freeze(batch);
    let mut progress = match (can.amounts, put_back_at) {
        (Amounts::Added, Some(at)) => Progress::forgotten(at, now),
        (Amounts::Added, None) | (Amounts::Replacing, _) => Progress::frozen(now),
    };
    // It is parked at once: an attempt would lose the whole request. A total is alone in its own, and is parked
    // at its turn: what is stated again for a dead letter must not be one within the same order.
    if can.amounts == Amounts::Added
        && is_too_old(&can, batch, now)
        && is_too_old(&can, batch, sweep::believed(db, now).await?)
    {
        progress = progress.parked(TOO_OLD.to_owned());
    }
    let draft = Draft { lane, body: &body, progress: &progress, created_at: now };
    let intent = intents::insert(db, registration.id, &draft).await?;
    for (position, item) in batch.iter().enumerate() {
        items::insert(db, registration.id, intent, position, item).await?;
    }
    Ok(())
}

pub const TOO_OLD: &str = "it is older than what the destination takes";

pub fn is_too_old(can: &Capabilities, items: &[Item], now: Timestamp) -> bool {
    let oldest = items.iter().map(|item| item.at).min();
    oldest.zip(can.age_ms_max).is_some_and(|(oldest, max)| oldest.plus_ms(max) <= now)
}
