//! One step of one intent: an attempt, or a look at what the destination has.
//!
//! What an attempt may do is stored before the socket is opened, what came of it after. Between the
//! two nothing is known, and that is what the store says.

use std::iter::repeat;
use std::time::Duration;

use tokio::time::timeout;
use tollgate_common::time::Timestamp;

use super::capability::{ANSWER_MS_MAX, Amounts, CLOCK_SKEW_MS_MAX, ReadBack, is_ahead};
use super::decide;
use super::destination::Answer;
use super::intent::{Finding, Outcome, Progress, State, Step};
use super::item::{Item, Place};
use super::outbox::due::{self, Due};
use super::outbox::intents::{self, Draft, Intent};
use super::outbox::{self, OutboxError, items};
use super::sender::{Post, Sender};
use crate::ledger::{series, sweep};
use crate::store::Transaction;

const ANSWER_MAX: Duration = Duration::from_millis(ANSWER_MS_MAX.unsigned_abs());

/// How often something is found too old before it is parked that is not by the days of calls: a day,
/// about.
const OLD_LOOKS_MAX: u32 = 150;

/// How often the total of an hour is stated again that is not shown as it was stated: at a meter that adds, each
/// time would count.
const RESTATEMENTS_MAX: i64 = 3;

/// What the destination wants, beyond what became of the intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    GoOn,
    /// Nothing more is to be sent.
    Stop(String),
}

impl Sender {
    /// Does the next step of an intent, if its time has come.
    pub(super) async fn step(&self, post: &Post<'_>, intent: Intent) -> Result<Wish, OutboxError> {
        let can = post.destination.capabilities();
        let now = self.now();
        let progress = intent.progress.put_right(intent.known_since(now), now);
        let progress = match self.put_back_at {
            Some(at) => progress.put_back(intent.created_at, at),
            None => progress,
        };
        let intent = Intent { progress, ..intent };
        let can = match intent.progress.doubt_since {
            Some(first) => can.of(first, set_up_at(post)),
            None => can,
        };
        match intent.progress.step(&can, now) {
            Step::Rest => Ok(Wish::GoOn),
            Step::Wait(until) => {
                let progress = intent.progress.later(until);
                self.save(post, &intent, &progress).await
            }
            Step::Park(reason) => {
                let progress = intent.progress.parked(reason);
                self.save(post, &intent, &progress).await
            }
            Step::Send if decide::is_too_old(&can, &intent.frozen.items, now) => {
                self.refuse_old(post, &intent).await
            }
            Step::Send => self.send(post, intent).await,
            Step::Read => match can.read_back {
                ReadBack::Never => Ok(Wish::GoOn),
                ReadBack::Items { .. } => self.find(post, intent).await,
                ReadBack::Totals { .. } => self.compare(post, intent).await,
            },
        }
    }

    async fn save(
        &self,
        post: &Post<'_>,
        intent: &Intent,
        progress: &Progress,
    ) -> Result<Wish, OutboxError> {
        let mut db = outbox::write(&self.database, post.fence).await?;
        intents::save(&mut db, intent.frozen.number, progress).await?;
        db.commit().await?;
        Ok(Wish::GoOn)
    }

    /// Parks what is too old to be sent; where calls do not bear out that it is so late, first waits for
    /// a clock that may be ahead.
    async fn refuse_old(&self, post: &Post<'_>, intent: &Intent) -> Result<Wish, OutboxError> {
        let (can, now) = (post.destination.capabilities(), self.now());
        let mut db = outbox::write(&self.database, post.fence).await?;
        let believed = sweep::believed(&mut db, now).await?;
        let is_sure = decide::is_too_old(&can, &intent.frozen.items, believed)
            || intent.progress.attempts >= OLD_LOOKS_MAX;
        let reason = decide::TOO_OLD.to_owned();
        let progress = match is_sure {
            true => intent.progress.parked(reason),
            false => intent.progress.unread(reason, now, self.jitter()),
        };
        intents::save(&mut db, intent.frozen.number, &progress).await?;
        db.commit().await?;
        Ok(Wish::GoOn)
    }

    async fn send(&self, post: &Post<'_>, intent: Intent) -> Result<Wish, OutboxError> {
        let begun = intent.progress.begin(self.now());
        self.save(post, &intent, &begun).await?;
        // The machine was asleep in between, and somebody else may have gone on from here.
        if self.now() >= begun.due_at {
            return Ok(Wish::GoOn);
        }
        let sent = post.destination.send(&intent.frozen, &*self.wire, self.now());
        let answer = timeout(ANSWER_MAX, sent).await.unwrap_or_else(|_| {
            let reason = format!("no answer came within {} s", ANSWER_MAX.as_secs());
            Answer::All(Outcome::Unknown { reason, asked_ms: None })
        });
        self.conclude(post, intent, begun, answer).await
    }

    async fn conclude(
        &self,
        post: &Post<'_>,
        intent: Intent,
        begun: Progress,
        answer: Answer,
    ) -> Result<Wish, OutboxError> {
        let (now, jitter) = (self.now(), self.jitter());
        let before = &intent.progress;
        let count = intent.frozen.items.len();
        let mut wish = Wish::GoOn;
        let groups = match answer {
            Answer::Gone(reason) => {
                wish = Wish::Stop(reason.clone());
                let refused = Outcome::Refused { reason, asked_ms: None };
                vec![(begun.end(before, &refused, now, jitter), intent.frozen.items.clone())]
            }
            Answer::All(Outcome::Rejected { reason }) if count > 1 => {
                // One item may spoil the request for the others: look for it by halves.
                let halves = Outcome::Refused { reason, asked_ms: None };
                let half = Progress { due_at: now, ..begun.end(before, &halves, now, jitter) };
                let (first, second) = intent.frozen.items.split_at(count / 2);
                vec![(half.clone(), first.to_vec()), (half, second.to_vec())]
            }
            Answer::All(outcome) => {
                self.metrics.attempted(&post.registration.name, &outcome);
                vec![(begun.end(before, &outcome, now, jitter), intent.frozen.items.clone())]
            }
            Answer::Each(outcomes) => {
                let ends = outcomes.iter().map(|outcome| {
                    self.metrics.attempted(&post.registration.name, outcome);
                    begun.end(before, outcome, now, jitter)
                });
                grouped(&intent.frozen.items, ends)
            }
        };
        let mut db = outbox::write(&self.database, post.fence).await?;
        divide(&mut db, post, &intent, groups).await?;
        db.commit().await?;
        Ok(wish)
    }

    /// Asks item by item. Where time does not suffice for all of them, those whose answer came have their
    /// own story from here on, and the rest is asked for in the next turn.
    async fn find(&self, post: &Post<'_>, intent: Intent) -> Result<Wish, OutboxError> {
        let mut findings = Vec::with_capacity(intent.frozen.items.len());
        let asked = post.destination.find(&intent.frozen.items, &*self.wire, &mut findings);
        let answer = timeout(ANSWER_MAX, asked).await;
        let (now, jitter) = (self.now(), self.jitter());
        let answer = answer.unwrap_or_else(|_| Err("no answer came".to_owned()));
        if let (Err(reason), true) = (answer, findings.is_empty()) {
            let progress = intent.progress.unread(reason, now, jitter);
            return self.save(post, &intent, &progress).await;
        }
        let mut db = outbox::write(&self.database, post.fence).await?;
        let findings = sure(&mut db, post, &intent, findings, now).await?;
        let intent = book(&mut db, post, intent, &findings, now).await?;
        let found = findings.iter().map(|finding| intent.progress.found(finding, now, jitter));
        let unread = repeat(intent.progress.clone());
        let groups = grouped(&intent.frozen.items, found.chain(unread));
        divide(&mut db, post, &intent, groups).await?;
        db.commit().await?;
        Ok(Wish::GoOn)
    }

    /// Compares the total of the hour with what should be in it.
    async fn compare(&self, post: &Post<'_>, intent: Intent) -> Result<Wish, OutboxError> {
        let Some(item) = intent.frozen.items.first() else { return Ok(Wish::GoOn) };
        let can = post.destination.capabilities();
        if intent.frozen.items.len() > 1 || !post.destination.shows(item) {
            return self.save(post, &intent, &intent.progress.never_shown()).await;
        }
        let mut db = self.database.read().await?;
        let hour = items::hour(&mut db, post.registration.id, item).await?;
        drop(db);
        let settled_after = can.read_back.settled_after_ms().unwrap_or(0);
        if hour.attempted_at.is_some_and(|at| is_ahead(at, self.now())) {
            return self.put_hour_right(post, &intent, item).await;
        }
        let true_from = hour.attempted_at.map(|at| at.plus_ms(settled_after));
        if let Some(from) = true_from.filter(|from| *from > self.now()) {
            return self.save(post, &intent, &intent.progress.later(from)).await;
        }
        let answer = timeout(ANSWER_MAX, post.destination.total(item, &*self.wire)).await;
        let (now, jitter) = (self.now(), self.jitter());
        let total = match answer.unwrap_or_else(|_| Err("no answer came".to_owned())) {
            Ok(total) => total,
            Err(reason) => {
                let progress = intent.progress.unread(reason, now, jitter);
                return self.save(post, &intent, &progress).await;
            }
        };
        let mut db = outbox::write(&self.database, post.fence).await?;
        // What was found of another one in the meantime says of this total something else.
        if items::hour(&mut db, post.registration.id, item).await? != hour {
            return Ok(Wish::GoOn);
        }
        let progress = match can.amounts {
            Amounts::Added => {
                let finding = match added(&intent, item, hour.acknowledged, total) {
                    Finding::Absent => missed(&mut db, post, &intent, item, total, now).await?,
                    finding => finding,
                };
                intent.progress.found(&finding, now, jitter)
            }
            Amounts::Replacing => {
                self.replaced(&mut db, post, &intent, item, hour.decided, total).await?
            }
        };
        intents::save(&mut db, intent.frozen.number, &progress).await?;
        db.commit().await?;
        Ok(Wish::GoOn)
    }

    /// Attempts of the hour that a clock dated which was ahead may have been made just now, and are
    /// waited for as such.
    async fn put_hour_right(
        &self,
        post: &Post<'_>,
        intent: &Intent,
        item: &Item,
    ) -> Result<Wish, OutboxError> {
        let now = self.now();
        let mut db = outbox::write(&self.database, post.fence).await?;
        items::put_hour_right(&mut db, post.registration.id, item, now).await?;
        intents::save(&mut db, intent.frozen.number, &intent.progress).await?;
        db.commit().await?;
        Ok(Wish::GoOn)
    }

    /// Where totals replace each other only the newest counts; when the destination shows another,
    /// it is stated again under a new id, since the old one may be recognised and swallowed.
    async fn replaced(
        &self,
        db: &mut Transaction,
        post: &Post<'_>,
        intent: &Intent,
        item: &Item,
        decided: i64,
        total: i64,
    ) -> Result<Progress, OutboxError> {
        let (now, jitter) = (self.now(), self.jitter());
        let is_newest = item.total == decided;
        if total == item.total || !is_newest {
            return Ok(intent.progress.found(&Finding::Present, now, jitter));
        }
        if intent.progress.state != State::Acknowledged {
            return Ok(intent.progress.found(&Finding::Absent, now, jitter));
        }
        let is_of_now = intent.known_since(now) > set_up_at(post);
        let restated = items::restated(db, post.registration.id, item).await?;
        if !is_of_now || restated >= RESTATEMENTS_MAX {
            let reason = format!("the destination shows {total} where {} was stated", item.total);
            return Ok(intent.progress.found(&Finding::Unclear(reason), now, jitter));
        }
        let (registration, destination) = (post.registration, post.destination);
        let again = Item { quantity: 0, ..item.clone() };
        let lane = &intent.lane;
        let put_back_at = self.put_back_at;
        decide::state_again(db, registration, destination, lane, again, put_back_at, now).await?;
        let reason = format!("the destination showed {total}: stated again");
        let settled = intent.progress.found(&Finding::Present, now, jitter);
        Ok(Progress { reason: Some(reason), ..settled })
    }
}

/// What a total says of one item, when all others of its hour are known.
fn added(intent: &Intent, item: &Item, acknowledged: i64, total: i64) -> Finding {
    let (with, without) = match intent.progress.state {
        State::Acknowledged | State::Settled => (acknowledged, acknowledged - item.quantity),
        State::Frozen | State::Ambiguous | State::Quarantined | State::Voided => {
            (acknowledged + item.quantity, acknowledged)
        }
    };
    if total == with {
        Finding::Present
    } else if total == without
        && matches!(intent.progress.state, State::Ambiguous | State::Acknowledged)
    {
        Finding::Absent
    } else {
        Finding::Unclear(format!("the destination shows {total} where {with} or {without} is due"))
    }
}

/// What a total says that lacks what was acknowledged, or is in doubt. It is sent again only where that
/// cannot count twice: where the total is known to be that of the meter that it was sent to, and what was
/// acknowledged once the repeat is not taken for the first.
async fn missed(
    db: &mut Transaction,
    post: &Post<'_>,
    intent: &Intent,
    item: &Item,
    total: i64,
    now: Timestamp,
) -> Result<Finding, OutboxError> {
    let can = post.destination.capabilities();
    let (id, progress) = (post.registration.id, &intent.progress);
    let since = set_up_at(post);
    let is_of_now = intent.known_since(now) > since;
    let is_sure = match (progress.state, progress.attempted_at) {
        (State::Acknowledged, Some(at)) if is_of_now && can.dedupe.has_forgotten(at, now) => {
            total > 0 || items::is_shown(db, id, item, since, now).await?
        }
        (State::Acknowledged, _) => false,
        _ => is_of_now && (total > 0 || items::is_meter_shown(db, id, item, since, now).await?),
    };
    Ok(match is_sure {
        true => Finding::Absent,
        false => Finding::Unclear(format!("the destination shows {total}, without it")),
    })
}

/// Since when what is decided is sent, and looked up, by the settings of now. Of what was decided by other ones
/// a meter says nothing, nor is a repeat known to be recognised.
fn set_up_at(post: &Post<'_>) -> Timestamp {
    let registration = post.registration;
    match registration.updated_at == registration.created_at {
        true => Timestamp(i64::MIN),
        false => registration.updated_at.plus_ms(CLOCK_SKEW_MS_MAX),
    }
}

/// What is said of single items that were acknowledged. Where a repeat would count twice, a view that
/// has shown nothing that was sent later may only be behind, and does not prove that something is gone.
async fn sure(
    db: &mut Transaction,
    post: &Post<'_>,
    intent: &Intent,
    findings: Vec<Finding>,
    now: Timestamp,
) -> Result<Vec<Finding>, OutboxError> {
    let Progress { state, attempted_at: Some(attempted_at), .. } = intent.progress else {
        return Ok(findings);
    };
    let can = post.destination.capabilities().of(attempted_at, set_up_at(post));
    let counts_again = state == State::Acknowledged && !can.dedupe.covers(attempted_at, now);
    if !counts_again || !findings.contains(&Finding::Absent) {
        return Ok(findings);
    }
    let settled_after = can.read_back.settled_after_ms().unwrap_or(0);
    let since = attempted_at.plus_ms(settled_after);
    if intents::is_later_shown(db, post.registration.id, intent, since, now).await? {
        return Ok(findings);
    }
    let unclear = || Finding::Unclear("nothing that was sent later is shown either".to_owned());
    let careful = |finding| if finding == Finding::Absent { unclear() } else { finding };
    Ok(findings.into_iter().map(careful).collect())
}

/// Of what was sent before the store was put back, books what the destination shows in place of what
/// was decided on now, and has the rest decided on anew.
async fn book(
    db: &mut Transaction,
    post: &Post<'_>,
    mut intent: Intent,
    findings: &[Finding],
    now: Timestamp,
) -> Result<Intent, OutboxError> {
    if !intent.progress.is_forgotten() {
        return Ok(intent);
    }
    let id = post.registration.id;
    for (item, finding) in intent.frozen.items.iter_mut().zip(findings) {
        let Finding::Other { quantity, .. } = finding else { continue };
        item.quantity = *quantity;
        items::book(db, item).await?;
        let Place { subscription, plan, start, .. } = item.place;
        if let Some(series) = series::number_of(db, subscription, plan).await? {
            due::put(db, id, Due { day: start.day(), series }, now, None).await?;
        }
    }
    intents::refreeze(db, intent.frozen.number, &post.destination.freeze(&intent.frozen.items))
        .await?;
    Ok(intent)
}

type Group = (Progress, Vec<Item>);

/// Items whose story goes on alike, in their order.
fn grouped(items: &[Item], ends: impl Iterator<Item = Progress>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (item, end) in items.iter().zip(ends) {
        match groups.iter_mut().find(|(known, _)| *known == end) {
            Some((_, members)) => members.push(item.clone()),
            None => groups.push((end, vec![item.clone()])),
        }
    }
    groups
}

/// Stores what became of an intent. When its items part ways, those that are still to be sent keep
/// its place in the lane, and each other group gets an intent of its own with bytes of its own.
async fn divide(
    db: &mut Transaction,
    post: &Post<'_>,
    intent: &Intent,
    mut groups: Vec<Group>,
) -> Result<(), OutboxError> {
    let number = intent.frozen.number;
    groups.sort_by_key(|(progress, _)| !progress.state.is_open());
    let is_whole = groups.len() == 1;
    for (place, (progress, members)) in groups.iter().enumerate() {
        if place == 0 {
            intents::save(db, number, progress).await?;
            if !is_whole {
                let body = post.destination.freeze(members);
                intents::refreeze(db, number, &body).await?;
            }
            continue;
        }
        let body = post.destination.freeze(members);
        let created_at = intent.created_at;
        let draft = Draft { lane: &intent.lane, body: &body, progress, created_at };
        let other = intents::insert(db, post.registration.id, &draft).await?;
        for (position, item) in members.iter().enumerate() {
            items::move_to(db, item, other, position).await?;
        }
    }
    Ok(())
}
