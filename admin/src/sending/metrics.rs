//! What operators see of sending.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tollgate_common::time::Timestamp;

use super::capability::{Capabilities, Dedupe};
use super::intent::{Outcome, State};
use super::outbox::Backlog;
use super::registration::{Registration, Status};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DestinationLabel {
    /// The name that an owner gave it.
    destination: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    destination: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    destination: String,
    state: &'static str,
}

/// What an attempt comes to.
const RESULTS: [&str; 4] = ["accepted", "refused", "unknown", "rejected"];

#[derive(Clone, Debug, Default)]
pub struct SendingMetrics {
    attempts: Family<ResultLabels, Counter>,
    deliveries: Family<StateLabels, Gauge>,
    lag: Family<DestinationLabel, Gauge>,
    window_used: Family<DestinationLabel, Gauge<f64, AtomicU64>>,
    held: Family<DestinationLabel, Gauge>,
    paused: Family<DestinationLabel, Gauge>,
    troubles: Family<DestinationLabel, Counter>,
    pub sends: Gauge,
}

impl SendingMetrics {
    pub(super) fn attempted(&self, destination: &str, outcome: &Outcome) {
        let [accepted, refused, unknown, rejected] = RESULTS;
        let result = match outcome {
            Outcome::Accepted => accepted,
            Outcome::Refused { .. } => refused,
            Outcome::Unknown { .. } => unknown,
            Outcome::Rejected { .. } => rejected,
        };
        let destination = destination.to_owned();
        self.attempts.get_or_create(&ResultLabels { destination, result }).inc();
    }

    /// A turn that came to nothing, for want of the store or of settings that can be used.
    pub fn in_trouble(&self, destination: &str) {
        let destination = destination.to_owned();
        self.troubles.get_or_create(&DestinationLabel { destination }).inc();
    }

    pub fn stands(
        &self,
        registration: &Registration,
        backlog: &Backlog,
        can: Option<&Capabilities>,
        now: Timestamp,
    ) {
        let destination = &registration.name;
        let label = DestinationLabel { destination: destination.clone() };
        let age = |since: Option<Timestamp>| since.map_or(0, |since| (now.0 - since.0).max(0));
        let held = backlog.held.as_ref().map(|(since, _)| *since);
        let is_paused = registration.status == Status::Paused;
        let used =
            can.map_or(0.0, |can| used(can, age(backlog.doubt_since), age(backlog.unsent_since)));
        // Counters begin at 0, so that their first rise is seen as one.
        for result in RESULTS {
            let destination = destination.clone();
            drop(self.attempts.get_or_create(&ResultLabels { destination, result }));
        }
        drop(self.troubles.get_or_create(&label));
        self.lag.get_or_create(&label).set(backlog.lag_ms(now) / 1_000);
        self.held.get_or_create(&label).set(age(held) / 1_000);
        self.paused.get_or_create(&label).set(is_paused.into());
        self.window_used.get_or_create(&label).set(used);
        for state in State::ALL {
            let known = backlog.standings.iter().find(|standing| standing.state == state);
            let labels = StateLabels { destination: destination.clone(), state: state.word() };
            let count = known.map_or(0, |standing| standing.intents);
            self.deliveries.get_or_create(&labels).set(count);
        }
    }

    /// Forgets how destinations stand: there are others now, or another control plane sends.
    pub fn forget(&self) {
        for family in [&self.lag, &self.held, &self.paused] {
            family.clear();
        }
        self.window_used.clear();
        self.deliveries.clear();
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tollgate_destination_attempts",
            "Attempts to send usage, by destination and what came of them",
            self.attempts.clone(),
        );
        registry.register(
            "tollgate_destination_deliveries",
            "Deliveries of a destination by state; quarantined ones wait for somebody to decide",
            self.deliveries.clone(),
        );
        registry.register(
            "tollgate_destination_lag_seconds",
            "How long the oldest usage waits that was decided to be sent and is not acknowledged",
            self.lag.clone(),
        );
        registry.register(
            "tollgate_destination_window_used_ratio",
            "How much of the time in which a destination recognises a repeat, or takes usage at all, \
             the oldest usage has used that is still to be sent",
            self.window_used.clone(),
        );
        registry.register(
            "tollgate_destination_held_seconds",
            "Age of the oldest usage that cannot be sent as things are, such as for want of a \
             customer's id",
            self.held.clone(),
        );
        registry.register(
            "tollgate_destination_paused",
            "1 while usage is kept and nothing is sent to a destination",
            self.paused.clone(),
        );
        registry.register(
            "tollgate_destination_troubles",
            "Turns at sending that came to nothing: the settings cannot be used, or the store failed",
            self.troubles.clone(),
        );
        registry.register(
            "tollgate_destination_sender",
            "1 on the control plane that sends, 0 on the others",
            self.sends.clone(),
        );
    }
}

/// How much of its time the oldest has used that is still to be sent: of the time in which a repeat
/// is recognised, or in which usage is taken at all.
fn used(can: &Capabilities, doubt_ms: i64, booked_ms: i64) -> f64 {
    let part = |age_ms: i64, of_ms: i64| age_ms as f64 / of_ms.max(1) as f64;
    let recognised = match can.dedupe {
        Dedupe::Within { ms } => part(doubt_ms, ms),
        Dedupe::Never | Dedupe::Always => 0.0,
    };
    let taken = can.age_ms_max.map_or(0.0, |max| part(booked_ms, max));
    recognised.max(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sending::capability::{Amounts, ReadBack};

    #[test]
    fn the_nearer_of_two_bounds_counts() {
        let can = |dedupe, age_ms_max| Capabilities {
            dedupe,
            read_back: ReadBack::Never,
            amounts: Amounts::Added,
            batch_items_max: 1,
            requests_at_once_max: 1,
            age_ms_max,
            takes_negative: false,
        };
        let percent = |can: Capabilities, doubt_ms, booked_ms| {
            (used(&can, doubt_ms, booked_ms) * 100.0).round() as i64
        };

        assert_eq!(percent(can(Dedupe::Within { ms: 100 }, Some(1_000)), 50, 100), 50);
        assert_eq!(percent(can(Dedupe::Within { ms: 100 }, Some(1_000)), 0, 900), 90);
        assert_eq!(percent(can(Dedupe::Never, None), 50, 900), 0);
    }
}
