//! Carries out what owners decided on differences between the ledger and a destination.

use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use super::due::{self, Due};
use super::intents::{self, Draft, Intent};
use super::letters::Desk;
use super::{OutboxError, items, slots};
use crate::ledger::series;
use crate::reconcile::cause::{Cause, Repair};
use crate::reconcile::order::RepairOrder;
use crate::sending::capability::ReadBack;
use crate::sending::destination::Destination;
use crate::sending::intent::{Progress, State};
use crate::sending::item::Item;
use crate::store::sql::repair;
use crate::store::{StoreError, Transaction};

/// Decisions that one transaction carries out.
const REPAIRS_AT_ONCE: i64 = 50;

/// Does a part of what is ordered. Says whether there is more to do.
pub async fn carry_out(db: &mut Transaction, desk: &Desk<'_>) -> Result<bool, OutboxError> {
    let (id, destination, now) = (desk.registration.id, desk.destination, desk.now);
    let orders = repair::open(db, id, REPAIRS_AT_ONCE).await?;
    for (number, order) in &orders {
        match (order.repair, order.cause) {
            (Repair::Accept, cause) => accept(db, id, destination, order, cause).await?,
            (Repair::Void, _) => {
                for one in of(db, id, order, &[State::Quarantined]).await? {
                    take_out(db, id, destination, &one, Progress::voided).await?;
                    if desk.replaces() {
                        take_back(db, desk, &one).await?;
                    }
                }
            }
            (Repair::Compensate, _) => compensate(db, id, destination, order, now).await?,
            (Repair::Resend, Cause::Quarantined) => {
                for one in of(db, id, order, &[State::Quarantined]).await? {
                    let replayed = |progress: &Progress| progress.replayed(now);
                    match desk.replaces() {
                        true => desk.restate(db, &one.1).await?,
                        false => take_out(db, id, destination, &one, replayed).await?,
                    }
                }
            }
            (Repair::Resend, cause) if cause.is_of_the_ledger() => {
                look_again(db, id, order, now).await?;
            }
            (Repair::Resend, _) => send_what_is_missing(db, desk, order).await?,
        }
        repair::carried_out(db, *number).await?;
    }
    Ok(orders.len() as i64 == REPAIRS_AT_ONCE)
}

/// The items of a window in some states, with their intents.
async fn of(
    db: &mut Transaction,
    id: DestinationId,
    order: &RepairOrder,
    states: &[State],
) -> Result<Vec<(Item, Intent)>, StoreError> {
    let items = slots::items(db, id, &order.slot()).await?;
    with_intents(db, id, items, states).await
}

async fn with_intents(
    db: &mut Transaction,
    id: DestinationId,
    items: Vec<(Item, i64)>,
    states: &[State],
) -> Result<Vec<(Item, Intent)>, StoreError> {
    let mut found = Vec::new();
    for (item, number) in items {
        if let Some(intent) = intents::find(db, id, number).await?
            && states.contains(&intent.progress.state)
        {
            found.push((item, intent));
        }
    }
    Ok(found)
}

/// Gives an item a story of its own; those that shared its request keep theirs.
async fn take_out(
    db: &mut Transaction,
    id: DestinationId,
    destination: &dyn Destination,
    (item, intent): &(Item, Intent),
    turn: impl FnOnce(&Progress) -> Progress,
) -> Result<(), StoreError> {
    // An item of the same request may have been taken out since.
    let number = intent.frozen.number;
    let members = items::of_intent(db, number).await?;
    let progress = turn(&intent.progress);
    let body = destination.freeze(std::slice::from_ref(item));
    let others: Vec<Item> = members.into_iter().filter(|other| other.id != item.id).collect();
    if others.is_empty() {
        // A request that may have arrived is repeated to the byte.
        if progress.state == State::Frozen {
            intents::refreeze(db, number, &body).await?;
        }
        return Ok(intents::save(db, number, &progress).await?);
    }
    let draft = Draft {
        lane: &intent.lane,
        body: &body,
        progress: &progress,
        created_at: intent.created_at,
    };
    let own = intents::insert(db, id, &draft).await?;
    items::move_to(db, item, own, 0).await?;
    for (position, other) in others.iter().enumerate() {
        items::move_to(db, other, number, position).await?;
    }
    intents::refreeze(db, number, &destination.freeze(&others)).await?;
    Ok(())
}

/// Has the day of a window looked at: what the ledger has and was not decided on is sent.
async fn look_again(
    db: &mut Transaction,
    id: DestinationId,
    order: &RepairOrder,
    now: Timestamp,
) -> Result<(), StoreError> {
    let slot = order.slot();
    if let Some(series) = series::number_of(db, slot.subscription, slot.plan).await? {
        due::put(db, id, Due { day: slot.start.day(), series }, now, None).await?;
    }
    Ok(())
}

async fn send_what_is_missing(
    db: &mut Transaction,
    desk: &Desk<'_>,
    order: &RepairOrder,
) -> Result<(), OutboxError> {
    let (id, now) = (desk.registration.id, desk.now);
    let mut sent = of(db, id, order, &[State::Acknowledged, State::Settled]).await?;
    let Some((item, intent)) = sent.first() else { return Ok(()) };
    if desk.replaces() {
        // Only the newest total of the hour counts.
        return desk.state(db, &intent.lane, Item { quantity: 0, ..item.clone() }).await;
    }
    if quantity(&sent) != order.acknowledged {
        // Something has happened to the window since: what it lacks may be on its way.
        return Ok(());
    }
    if let ReadBack::Totals { .. } = desk.destination.capabilities().read_back {
        sent = missing_of_hour(db, id, item, order.quantity).await?;
    }
    for one in sent.iter().filter(|(_, intent)| !intent.is_booked()) {
        take_out(db, id, desk.destination, one, |progress| progress.doubted(now)).await?;
    }
    Ok(())
}

/// What an hour lacks, where that can be told: all of it, the one item of so much that was not shown yet, or all
/// that was not.
async fn missing_of_hour(
    db: &mut Transaction,
    id: DestinationId,
    item: &Item,
    missing: i64,
) -> Result<Vec<(Item, Intent)>, StoreError> {
    let items = slots::items_of_hour(db, id, item).await?;
    let mut sent = with_intents(db, id, items, &[State::Acknowledged, State::Settled]).await?;
    sent.retain(|(_, intent)| !intent.is_booked());
    if missing == quantity(&sent) {
        return Ok(sent);
    }
    sent.retain(|(_, intent)| intent.progress.state == State::Acknowledged);
    if let Some(one) = sent.iter().position(|(item, _)| item.quantity == missing) {
        return Ok(vec![sent.swap_remove(one)]);
    }
    Ok(if missing == quantity(&sent) { sent } else { Vec::new() })
}

fn quantity(items: &[(Item, Intent)]) -> i64 {
    items.iter().map(|(item, _)| item.quantity).sum()
}

/// States the total of an hour anew where a later one has in it what is never to be sent.
async fn take_back(
    db: &mut Transaction,
    desk: &Desk<'_>,
    (item, intent): &(Item, Intent),
) -> Result<(), OutboxError> {
    let newest = slots::newest_of_hour(db, desk.registration.id, item).await?;
    if newest == intent.frozen.number {
        return Ok(());
    }
    desk.state(db, &intent.lane, Item { quantity: 0, ..item.clone() }).await
}

/// Lets rest what was acknowledged and is not shown as it should be: whoever sends would look again, and
/// may send it once it is certain that it is not there.
async fn accept(
    db: &mut Transaction,
    id: DestinationId,
    destination: &dyn Destination,
    order: &RepairOrder,
    cause: Cause,
) -> Result<(), OutboxError> {
    let turn: fn(&Progress) -> Progress = match cause {
        Cause::MissingAtDestination | Cause::MoreAtDestination | Cause::ValueDiffers => {
            Progress::accepted
        }
        // It stays a difference, and is no more looked for.
        Cause::NotShown => Progress::never_shown,
        Cause::NotSent
        | Cause::CorrectionPending
        | Cause::LedgerLower
        | Cause::UnknownAtLedger
        | Cause::OnItsWay
        | Cause::InDoubt
        | Cause::Quarantined => return Ok(()),
    };
    let mut items = slots::items(db, id, &order.slot()).await?;
    if let ReadBack::Totals { .. } = destination.capabilities().read_back {
        // What the total of an hour is off by is listed at the first of its windows.
        let Some((item, _)) = items.first() else { return Ok(()) };
        items = slots::items_of_hour(db, id, item).await?;
    }
    for one in &with_intents(db, id, items, &[State::Acknowledged]).await? {
        take_out(db, id, destination, one, turn).await?;
    }
    Ok(())
}

/// Books what the destination shows, so that the rest is sent as a further version. If anything has
/// happened to the window since it was decided on, nothing is done: the difference is another one. Nor is it
/// while something of the hour is on its way, where the difference is one of the hour.
async fn compensate(
    db: &mut Transaction,
    id: DestinationId,
    destination: &dyn Destination,
    order: &RepairOrder,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = of(db, id, order, &State::ALL).await?;
    let has = |(_, intent): &&(Item, Intent)| {
        matches!(intent.progress.state, State::Acknowledged | State::Settled)
    };
    let is_voided = |intent: &Intent| intent.progress.state == State::Voided;
    let is_sure = known.iter().all(|one| has(&one) || is_voided(&one.1));
    let acknowledged: i64 = known.iter().filter(has).map(|(item, _)| item.quantity).sum();
    let Some((last, _)) = known.last() else { return Ok(()) };
    if !is_sure || acknowledged != order.acknowledged {
        return Ok(());
    }
    if let ReadBack::Totals { .. } = destination.capabilities().read_back {
        let items = slots::items_of_hour(db, id, last).await?;
        let on_its_way = with_intents(db, id, items, &[State::Frozen, State::Ambiguous]).await?;
        if !on_its_way.is_empty() {
            return Ok(());
        }
    }
    for one in known.iter().filter(has) {
        take_out(db, id, destination, one, Progress::settled_by_hand).await?;
    }
    let version = last.version + 1;
    let booked = Item {
        id: last.place.item_id(id, version),
        version,
        quantity: -order.quantity,
        total: 0,
        ..last.clone()
    };
    let progress = Progress::frozen(now).settled_by_hand();
    let draft = Draft { lane: "", body: &[], progress: &progress, created_at: now };
    let number = intents::insert(db, id, &draft).await?;
    items::insert(db, id, number, 0, &booked).await?;
    look_again(db, id, order, now).await
}
