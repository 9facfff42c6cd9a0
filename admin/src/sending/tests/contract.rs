//! What every destination keeps, against its simulator and without a sender in between: it says the
//! truth about what it can do, and reads answers so that nothing is lost and nothing billed twice.

use std::collections::BTreeMap;
use std::slice::from_ref;

use async_trait::async_trait;
use parking_lot::Mutex;
use tollgate_common::catalog::Consumer;
use tollgate_common::ids::{ConsumerId, DestinationId, PlanId, ProductId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;
use tollgate_test_support::billing::network::{Delivered, Fate, Network};
use tollgate_test_support::billing::{self, Bill, HOUR_MS, Mishap};

use super::air::carried;
use super::systems::{ALL, System};
use super::world::{START, consumer, named};
use crate::ledger::window::Minute;
use crate::sending::capability::{Dedupe, ReadBack};
use crate::sending::destination::{Answer, Destination, Frozen};
use crate::sending::intent::{Finding, Outcome};
use crate::sending::item::{Item, Place};
use crate::sending::kind::Kind;
use crate::sending::wire::{Request, Response, Wire, WireError};
use crate::store::tests::{plan, subscription};

/// Histories of a system differ by their seed: its settings, and what the other side is like.
const SEEDS: std::ops::Range<u64> = 0..12;

/// A destination and its billing system, with a line in between that does as it is told.
struct Desk {
    destination: Box<dyn Destination>,
    kind: Kind,
    customers: &'static str,
    secret: &'static str,
    /// Whether anything is sent at all.
    is_over_the_line: bool,
    line: Line,
}

struct Line(Mutex<Call>);

struct Call {
    network: Network,
    now_ms: i64,
    fate: Fate,
    requests: Vec<Request>,
}

impl Desk {
    fn new(system: System) -> Self {
        let destination = system.open();
        let System { kind, customers, secret, billing, export_directory, .. } = system;
        let network = Network::new(billing);
        let call = Call { network, now_ms: START.0, fate: Fate::Good, requests: Vec::new() };
        let is_over_the_line = export_directory.is_none();
        Self {
            destination,
            kind,
            customers,
            secret,
            is_over_the_line,
            line: Line(Mutex::new(call)),
        }
    }

    /// Usage of the hour before the last, of one customer each.
    fn items(&self, count: usize) -> Vec<Item> {
        (1..=count as u64).map(|number| self.item(number)).collect()
    }

    fn item(&self, number: u64) -> Item {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let start = Minute::of(Timestamp((START.0.div_euclid(HOUR_MS) - 1) * HOUR_MS));
        let place = Place {
            subscription: SubscriptionId::from_bytes(bytes),
            plan: PlanId::from_bytes([2; 16]),
            meter: Meter::Calls,
            start,
        };
        let quantity = 1 + number as i64 % 7;
        // Where a customer has one lane, a batch is of one customer.
        let is_alone = self.destination.capabilities().batch_items_max == 1;
        Item {
            id: place.item_id(DestinationId::from_bytes([7; 16]), 1),
            place,
            version: 1,
            end: Minute(start.0 + 60),
            quantity,
            total: quantity,
            at: start.start(),
            product: ProductId::from_bytes([3; 16]),
            consumer: ConsumerId::from_bytes(bytes),
            customer: format!("{}{}", self.customers, if is_alone { number } else { number % 5 }),
        }
    }

    fn freeze(&self, items: &[Item]) -> Frozen {
        Frozen { number: 1, items: items.to_vec(), body: self.destination.freeze(items) }
    }

    async fn send(&self, frozen: &Frozen, fate: Fate) -> Answer {
        self.line.0.lock().fate = fate;
        let answer = self.destination.send(frozen, &self.line, START).await;
        self.line.0.lock().fate = Fate::Good;
        answer
    }

    fn bill(&self) -> Bill {
        named(self.line.0.lock().network.billing.bill())
    }
}

#[async_trait]
impl Wire for Line {
    async fn exchange(&self, request: Request) -> Result<Response, WireError> {
        let mut call = self.0.lock();
        call.requests.push(request.clone());
        let (now_ms, fate) = (call.now_ms, call.fate);
        match call.network.exchange(&carried(&request), now_ms, fate) {
            Delivered::Answer(billing::Response { status, headers, body }) => {
                Ok(Response { status, headers, body })
            }
            Delivered::NotReached => Err(WireError::NotSent("connection refused".to_owned())),
            Delivered::NoAnswer => Err(WireError::Unknown("the time is over".to_owned())),
        }
    }
}

fn desks() -> impl Iterator<Item = (String, Desk)> {
    ALL.into_iter().flat_map(|(name, system)| {
        SEEDS.map(move |seed| (format!("{name}, seed {seed}"), Desk::new(system(seed))))
    })
}

fn due(items: &[Item]) -> Bill {
    let mut bill = Bill::new();
    for item in items {
        let key = (item.customer.clone(), item.place.meter.label().to_owned(), item.hour());
        *bill.entry(key).or_default() += item.quantity;
    }
    bill
}

/// Each item's outcome.
fn outcomes(answer: Answer, count: usize) -> Vec<Outcome> {
    match answer {
        Answer::All(outcome) => vec![outcome; count],
        Answer::Each(outcomes) => {
            assert_eq!(outcomes.len(), count);
            outcomes
        }
        Answer::Gone(reason) => panic!("{reason}"),
    }
}

#[tokio::test]
async fn a_full_batch_is_taken_and_billed() {
    for (name, desk) in desks() {
        let items = desk.items(desk.destination.capabilities().batch_items_max);

        let answer = desk.send(&desk.freeze(&items), Fate::Good).await;

        let outcomes = outcomes(answer, items.len());
        assert!(
            outcomes.iter().all(|outcome| *outcome == Outcome::Accepted),
            "{name} {outcomes:?}"
        );
        assert_eq!(desk.bill(), due(&items), "{name}");
    }
}

#[tokio::test]
async fn what_arrived_is_shown_and_what_did_not_is_not() {
    for (name, desk) in desks() {
        let (sent, other) = (desk.item(1), desk.item(2));
        desk.send(&desk.freeze(from_ref(&sent)), Fate::Good).await;
        let read_back = desk.destination.capabilities().read_back;
        desk.line.0.lock().now_ms += read_back.settled_after_ms().unwrap_or(0);

        match read_back {
            ReadBack::Never => {}
            ReadBack::Items { .. } => {
                let mut findings = Vec::new();
                let items = [sent, other];
                let asked = desk.destination.find(&items, &desk.line, &mut findings).await;
                assert_eq!(asked, Ok(()), "{name}");
                assert_eq!(findings, [Finding::Present, Finding::Absent], "{name}");
            }
            ReadBack::Totals { .. } => {
                let total = desk.destination.total(&sent, &desk.line).await;
                assert_eq!(total, Ok(sent.quantity), "{name}");
                assert_eq!(desk.destination.total(&other, &desk.line).await, Ok(0), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_repeat_after_an_answer_that_was_lost_counts_once_where_that_is_declared() {
    let mishaps = [
        Fate::AnswerLost,
        Fate::DoneThenFails { status: 500 },
        Fate::Mishap(Mishap::StopAfter(1)),
        Fate::Twice,
    ];
    for mishap in mishaps {
        for (name, desk) in desks() {
            let can = desk.destination.capabilities();
            if can.dedupe == Dedupe::Never {
                continue;
            }
            let items = desk.items(can.batch_items_max.min(3));
            let frozen = desk.freeze(&items);
            desk.send(&frozen, mishap).await;

            // As the sender does: what was not taken goes again, divided where the answer says so.
            let mut left = items.clone();
            for _ in 0..3 {
                let answer = desk.send(&desk.freeze(&left), Fate::Good).await;
                let outcomes = outcomes(answer, left.len());
                let mut ends = outcomes.into_iter();
                left.retain(|_| ends.next() != Some(Outcome::Accepted));
                if left.is_empty() {
                    break;
                }
            }

            assert_eq!(left, [], "{name} after {mishap:?}");
            assert_eq!(desk.bill(), due(&items), "{name} after {mishap:?}");
        }
    }
}

#[tokio::test]
async fn trouble_on_the_way_loses_nothing_and_is_told_from_what_did_not_arrive() {
    for (name, desk) in desks() {
        if !desk.is_over_the_line {
            continue;
        }
        let item = desk.item(1);
        let frozen = desk.freeze(&[item]);
        for status in [409, 500, 502, 503, 504] {
            let answer = desk.send(&frozen, Fate::Fails { status }).await;
            let Answer::All(outcome) = answer else { panic!("{name} {answer:?}") };
            let may_go_on = matches!(outcome, Outcome::Unknown { .. } | Outcome::Refused { .. });
            assert!(may_go_on, "{name} {status} {outcome:?}");
        }
        let lost = desk.send(&frozen, Fate::Lost).await;
        let is_open = |outcome: &Outcome| {
            matches!(outcome, Outcome::Unknown { .. } | Outcome::Refused { .. })
        };
        assert!(matches!(&lost, Answer::All(outcome) if is_open(outcome)), "{name} {lost:?}");
        let away = desk.send(&frozen, Fate::NotReached).await;
        assert!(matches!(away, Answer::All(Outcome::Refused { .. })), "{name} {away:?}");
        let busy = desk.send(&frozen, Fate::Limited { retry_after_s: Some(7) }).await;
        let Answer::All(Outcome::Refused { asked_ms: Some(7_000), .. }) = busy else {
            panic!("{name} {busy:?}")
        };
        let reset = desk.send(&frozen, Fate::LimitedUntilReset { reset_s: 9 }).await;
        let Answer::All(Outcome::Refused { asked_ms: Some(9_000), .. }) = reset else {
            panic!("{name} {reset:?}")
        };
        let limited = desk.send(&frozen, Fate::Limited { retry_after_s: None }).await;
        let Answer::All(Outcome::Refused { asked_ms: None, .. }) = limited else {
            panic!("{name} {limited:?}")
        };
        assert_eq!(desk.bill(), Bill::new(), "{name}");
    }
}

#[tokio::test]
async fn the_secret_is_in_headers_alone() {
    for (name, desk) in desks() {
        let frozen = desk.freeze(&[desk.item(1)]);
        let mut said = String::from_utf8_lossy(&frozen.body).into_owned();
        for fate in [Fate::Good, Fate::Fails { status: 401 }, Fate::Lost] {
            said.push_str(&format!("{:?}", desk.send(&frozen, fate).await));
        }
        for request in &desk.line.0.lock().requests {
            said.push_str(&request.url);
            said.push_str(&String::from_utf8_lossy(&request.body));
        }

        for part in desk.secret.split(':').filter(|part| part.contains('_')) {
            assert!(!said.contains(part), "{name}: {said}");
        }
    }
}

#[test]
fn who_needs_an_id_there_is_told_alike() {
    let subscription = subscription(1, &plan(1, 1));
    for (name, desk) in desks() {
        let nobody = Consumer { external_ids: BTreeMap::new(), ..consumer(1, "") };
        let customer = desk.destination.customer(&nobody, &subscription);
        assert_eq!(customer.is_err(), desk.kind.requires_external_id(), "{name}");
    }
}

#[test]
fn the_same_items_are_the_same_bytes() {
    for (name, desk) in desks() {
        let items = desk.items(desk.destination.capabilities().batch_items_max.min(3));
        assert_eq!(desk.destination.freeze(&items), desk.destination.freeze(&items), "{name}");
    }
}

#[test]
fn a_setting_that_nobody_knows_is_named() {
    for (name, system) in ALL {
        let mut system = system(1);
        system.settings["surprise"] = 1.into();

        let problem = system.opened().err().expect("nobody knows it");

        assert_eq!(problem, ["surprise"], "{name}");
    }
}
