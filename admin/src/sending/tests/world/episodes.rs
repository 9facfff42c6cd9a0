//! Histories in which one thing goes wrong, is decided or is changed.

use std::ops::Range;

use super::*;
use crate::reconcile::cause::Repair;
use crate::reconcile::order::RepairOrder;
use crate::sending::order::{Decision, Order};
use crate::store::Part;
use crate::store::query::query;
use crate::store::sql;

impl World {
    /// The beginning of the hour before this one.
    fn hour_before(&self) -> i64 {
        (self.air.now_ms().div_euclid(HOUR_MS) - 1) * HOUR_MS
    }

    /// A call each in some minutes of an hour, all of one subscription.
    async fn use_minutes(&mut self, hour: i64, minutes: Range<i64>) {
        let first = self.records;
        let mut records = Vec::new();
        for minute in minutes {
            let admitted_at = Timestamp(hour + minute * 60_000);
            // The same quantity of all meters each time.
            let call = call(7, admitted_at, &self.subscriptions[0].0);
            let request = RequestId::new(admitted_at.0, u128::from(self.records));
            records.extend(UsageRecord { request, ..call }.encode());
            self.records += 1;
        }
        self.deliver(first, records).await;
    }

    /// Of windows with the same quantity in one hour, one is acknowledged and lost.
    pub async fn run_with_a_loss_among_equals(mut self) {
        self.registration.window = Window::Minute;
        self.air.heal();
        self.use_minutes(self.hour_before(), 0..4).await;
        self.air.pass(2 * HOUR_MS);
        self.air.lose_next();
        self.turns(30).await;
        assert!(self.air.has_struck());
        // All of them are looked up at the same time.
        self.air.pass(30 * HOUR_MS);
        self.finish().await;
        self.compare().await;
    }

    /// The destination gets other settings while some is acknowledged that is not shown yet.
    pub async fn run_set_up_anew(mut self, other: &System) {
        self.air.heal();
        for _ in 0..3 {
            self.use_some().await;
        }
        self.settle().await;
        self.use_some().await;
        self.air.pass(2 * HOUR_MS);
        self.turns(12).await;
        self.registration.updated_at = Timestamp(self.air.now_ms());
        self.destination = other.open();
        self.finish().await;
        assert_eq!(named(self.air.bill()), self.expected().await);
    }

    /// The destination gets other settings while something is in doubt for longer than a day.
    pub async fn run_set_up_anew_in_doubt(mut self, other: &System) {
        self.air.heal();
        self.use_minutes(self.hour_before(), 0..1).await;
        self.air.pass(2 * HOUR_MS);
        self.air.lose_next_answer();
        self.turns(1).await;
        self.air.turns(Weather::Outage);
        self.turns(8).await;
        self.air.pass(30 * HOUR_MS);
        self.registration.updated_at = Timestamp(self.air.now_ms());
        self.destination = other.open();
        self.air.heal();
        self.finish().await;
        assert!(self.air.has_struck());
        self.is_careful().await;
    }

    /// Hours are stated as totals at a meter that adds.
    pub async fn run_at_a_meter_that_adds(mut self) {
        self.air.heal();
        let hour = self.hour_before();
        for minute in 0..2 {
            self.use_minutes(hour, minute..minute + 1).await;
            self.air.pass(2 * HOUR_MS);
            self.finish().await;
        }
        let bill = named(self.air.bill());
        let calls: Vec<i64> = bill
            .iter()
            .filter(|((_, meter, _), _)| meter == "calls")
            .map(|(_, sum)| *sum)
            .collect();
        assert_eq!(
            calls,
            [1 + 2 + 3 * 2],
            "the first total, the second one, and that three times again"
        );
    }

    /// A request is refused for good, usage of the same hour is sent, and then somebody decides.
    pub async fn run_with_a_letter(mut self, repair: Repair) {
        self.air.heal();
        let hour = self.hour_before();
        self.use_minutes(hour, 0..1).await;
        self.air.pass(2 * HOUR_MS);
        self.air.reject_next();
        self.finish().await;
        self.use_minutes(hour, 1..2).await;
        self.air.pass(2 * HOUR_MS);
        self.finish().await;
        let (id, now) = (self.registration.id, Timestamp(self.air.now_ms()));
        let mut db = self.database.write(Part::Sending).await.unwrap();
        let parked = letters::list(&mut db, id, Some(State::Quarantined), None, 2).await.unwrap();
        let [letter] = &parked[..] else { panic!("{parked:?}") };
        let item = letter.frozen.items[0].clone();
        match repair {
            Repair::Resend => {
                let order = Order { delivery: None, decision: Decision::Resend, ordered_at: now };
                sql::destination::order(&mut db, id, &order).await.unwrap();
            }
            repair => {
                let order = RepairOrder {
                    subscription: item.place.subscription,
                    plan: item.place.plan,
                    meter: item.place.meter,
                    window_start: item.place.start.start(),
                    cause: Cause::Quarantined,
                    repair,
                    quantity: item.quantity,
                    acknowledged: 0,
                    note: None,
                    ordered_at: now,
                };
                sql::repair::insert(&mut db, id, &order).await.unwrap();
            }
        }
        db.commit().await.unwrap();
        self.finish().await;
        let mut expected = self.expected().await;
        if repair == Repair::Void {
            let key = (item.customer.clone(), item.place.meter.label().to_owned(), item.hour());
            *expected.get_mut(&key).unwrap() -= item.quantity;
        }
        assert_eq!(named(self.air.bill()), expected);
    }

    /// Something is acknowledged and lost, and somebody accepts it once the destination was asked.
    pub async fn run_with_an_accepted_loss(mut self) {
        self.air.heal();
        self.use_minutes(self.hour_before(), 0..1).await;
        self.settle().await;
        self.use_minutes(self.hour_before(), 0..2).await;
        self.air.pass(2 * HOUR_MS);
        self.air.lose_next();
        self.turns(12).await;
        assert!(self.air.has_struck());
        let lacking = named(self.air.bill());
        self.air.pass(2 * HOUR_MS);
        self.decide_on_what_is_missing(&[Repair::Accept]).await;
        self.finish().await;
        assert_eq!(named(self.air.bill()), lacking);
        assert!(self.missing().await.is_empty());
    }

    /// Something of an hour is acknowledged and lost, and that is decided on twice before the first decision is
    /// carried out.
    pub async fn run_with_two_repairs(mut self, repairs: [Repair; 2]) {
        self.registration.window = Window::Minute;
        self.air.heal();
        let hour = self.hour_before();
        self.use_minutes(hour, 0..1).await;
        self.settle().await;
        self.use_minutes(hour, 1..2).await;
        self.air.pass(2 * HOUR_MS);
        self.air.lose_next();
        self.turns(12).await;
        assert!(self.air.has_struck());
        self.air.pass(2 * HOUR_MS);
        self.decide_on_what_is_missing(&repairs).await;
        self.finish().await;
        assert_eq!(named(self.air.bill()), self.expected().await);
    }

    async fn decide_on_what_is_missing(&self, repairs: &[Repair]) {
        let (id, now) = (self.registration.id, Timestamp(self.air.now_ms()));
        let found = self.missing().await;
        assert!(!found.is_empty());
        let mut db = self.database.write(Part::Sending).await.unwrap();
        for Found { difference, .. } in found {
            for repair in repairs {
                let order = RepairOrder {
                    subscription: difference.slot.subscription,
                    plan: difference.slot.plan,
                    meter: difference.slot.meter,
                    window_start: difference.slot.start.start(),
                    cause: difference.cause,
                    repair: *repair,
                    quantity: difference.quantity,
                    acknowledged: difference.acknowledged,
                    note: None,
                    ordered_at: now,
                };
                sql::repair::insert(&mut db, id, &order).await.unwrap();
            }
        }
        db.commit().await.unwrap();
    }

    /// What the destination does not show when it is asked, and nobody accepted.
    async fn missing(&self) -> Vec<Found> {
        let now = Timestamp(self.air.now_ms());
        let books = Books {
            database: &self.database,
            now,
            registration: &self.registration,
            destination: &*self.destination,
            wire: &*self.air,
        };
        let question = Question {
            subscription: None,
            from: Minute::of(self.registration.starts_at),
            to: Minute::of(now),
            is_accepted: false,
            asks: true,
            after: None,
            items_max: 100,
        };
        let mut found = books.page(&question).await.unwrap().items;
        found.retain(|found| found.difference.cause == Cause::MissingAtDestination);
        found
    }

    /// Something is acknowledged and lost, and a clock that was ahead has dated the attempt.
    pub async fn run_with_a_loss_dated_ahead(mut self) {
        self.air.heal();
        self.use_minutes(self.hour_before(), 0..1).await;
        self.air.pass(2 * HOUR_MS);
        self.air.lose_next();
        self.turns(12).await;
        let ahead = self.air.now_ms() + 365 * 24 * HOUR_MS;
        let mut db = self.database.write(Part::Sending).await.unwrap();
        query("UPDATE sending_intent SET attempted_at = $1")
            .bind(ahead)
            .execute(&mut db)
            .await
            .unwrap();
        db.commit().await.unwrap();
        self.air.pass(2 * HOUR_MS);
        assert!(!self.missing().await.is_empty());
    }

    /// A full request is looked up, after an answer or without one, where not all questions for its items are
    /// answered in time.
    pub async fn run_with_slow_answers(mut self, is_answer_lost: bool) {
        self.registration.window = Window::Minute;
        self.air.heal();
        self.use_minutes(self.hour_before(), 0..20).await;
        self.air.pass(2 * HOUR_MS);
        if is_answer_lost {
            self.air.lose_next_answer();
        }
        self.air.slows_down(7);
        self.finish().await;
        assert_eq!(named(self.air.bill()), self.expected().await);
        let mut db = self.database.read().await.unwrap();
        let backlog = backlog(&mut db, self.registration.id).await.unwrap();
        let is_settled = |standing: &Standing| standing.state == State::Settled;
        assert!(backlog.standings.iter().all(is_settled), "{backlog:?}");
    }

    /// Many requests are to be looked up, and no question is answered.
    pub async fn run_without_answers(mut self) {
        self.registration.window = Window::Minute;
        self.air.heal();
        self.use_minutes(self.hour_before(), 0..20).await;
        self.air.pass(2 * HOUR_MS);
        self.turns(42).await;
        self.air.pass(HOUR_MS);
        self.air.slows_down(0);
        let begun_ms = self.air.now_ms();
        self.turn().await;
        let took_ms = self.air.now_ms() - begun_ms;
        assert!((1..5 * 60_000).contains(&took_ms), "{took_ms} ms");
    }

    /// Nothing is heard of the destination for longer than it recognises repeats.
    pub async fn run_with_doubt_for_days(mut self) {
        self.air.heal();
        for _ in 0..3 {
            self.use_some().await;
        }
        self.air.pass(2 * HOUR_MS);
        self.air.turns(Weather::Outage);
        self.turns(8).await;
        self.air.pass(30 * HOUR_MS);
        self.air.heal();
        self.finish().await;
        self.is_careful().await;
    }
}
