//! The whole way of a call over three gateways, from the caller to the bill, while gateways and the control
//! plane that sends are killed at random and the billing system is flaky: in the end upstream, ledger,
//! counters, invoices and the billing system's own total say the same.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tollgate_test_support::billing::lago::{Lago, Store};
use tollgate_test_support::billing::network::Fate;
use tollgate_test_support::billing::served::Served;
use tollgate_test_support::billing::{Bill, Mishap};
use tollgate_test_support::chance::Chance;
use tollgate_test_support::owner::{Offer, Owner};
use tollgate_test_support::raw_http1::{Answer, RawHttp1};
use uuid::Uuid;

use crate::asking::{self, eventually};
use crate::fleet::{Fleet, GATEWAYS};
use crate::length::{calls, say, seed};

/// Consumers far from their quota, and those who use it up.
const AMPLE: usize = 24;
const TIGHT: usize = 6;
const TIGHT_QUOTA: usize = 50;

/// Callers at each gateway; each takes any key for its next call.
const CALLERS: usize = 8;

/// Between two kills, and until what was killed is back.
const KILL_MS: (u64, u64) = (200, 1_500);
const AWAY_MS: (u64, u64) = (0, 400);

/// A window of a minute is closed a minute after its end; then it is sent until it has arrived, with
/// pauses that grow.
const BILLED_MAX: Duration = Duration::from_secs(420);

/// What one party counted: the names of calls, by subscription.
type Calls = BTreeMap<String, HashSet<Uuid>>;

/// What all callers at all gateways share.
struct Calling {
    offers: Vec<Offer>,
    gateways: Mutex<[SocketAddr; GATEWAYS]>,
    /// Calls that are still to be answered.
    left: AtomicUsize,
}

#[derive(Default)]
struct Heard {
    whole: Calls,
    over_quota: usize,
    unavailable: usize,
    broken: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_ledger_counters_invoices_and_the_billing_system_agree_to_the_call() {
    let mut chance = Chance::new(seed());
    let mut fleet = Fleet::open().await;
    let offers = sell(&fleet).await;
    let billing = flaky(chance.word()).await;
    let destination = connect(&fleet.owner(), &billing).await;

    let begun = Instant::now();
    let calling = Arc::new(Calling {
        offers,
        gateways: Mutex::new(std::array::from_fn(|gateway| fleet.proxy(gateway))),
        left: AtomicUsize::new(calls()),
    });
    let mut callers = JoinSet::new();
    for number in 0..GATEWAYS * CALLERS {
        let chance = Chance::new(chance.word());
        callers.spawn(call(calling.clone(), number % GATEWAYS, chance));
    }
    let (mut arrived, mut heard) = (Calls::new(), Heard::default());
    let mut kills = Kills::default();
    while calling.left.load(Ordering::Relaxed) > 0 {
        kill_one(&mut fleet, &calling, &mut chance, &mut kills).await;
        collect(&fleet, &mut arrived);
        while let Some(ended) = callers.try_join_next() {
            heard.add(ended.unwrap());
        }
    }
    for one in callers.join_all().await {
        heard.add(one);
    }
    say(&format!("{kills:?} kills in {:.0} s", begun.elapsed().as_secs_f64()));

    for gateway in 0..GATEWAYS {
        asking::has_delivered(fleet.gateway(gateway)).await;
    }
    fleet.is_at_rest().await;
    collect(&fleet, &mut arrived);
    let ledger = upstream_and_ledger_agree(&fleet, &calling.offers, &heard, &arrived, kills).await;
    counters_agree(&fleet, &calling.offers, &ledger).await;
    invoices_agree(&fleet.owner(), &ledger).await;
    the_billing_system_agrees(&mut fleet, &destination, &billing, &ledger).await;
    say(&format!(
        "{} calls answered, {} over a quota, {} while something was away, {} broken off; billed: {}",
        heard.whole.values().map(HashSet::len).sum::<usize>(),
        heard.over_quota,
        heard.unavailable,
        heard.broken,
        ledger.values().sum::<usize>(),
    ));
}

/// One product with two plans, and consumers on both.
async fn sell(fleet: &Fleet) -> Vec<Offer> {
    let prices = json!([
        { "name": "calls", "currency": "USD", "usage_type": "metered", "meter": "calls", "amount": 2 }
    ]);
    let plan = |name: &str, quota: usize| {
        json!({
            "name": name, "billing_mode": "metered", "monthly_quota": quota, "prices": prices,
            "outage_mode": "strict",
        })
    };
    let owner = fleet.owner();
    let first = owner.sell("shared", &fleet.upstream.url(), plan("ample", 1_000_000_000)).await;
    let tight = owner.post("products/shared/plans", plan("tight", TIGHT_QUOTA)).await.ok();
    let tight = tight["id"].as_str().unwrap();
    let mut offers = vec![first.clone()];
    for number in 1..AMPLE + TIGHT {
        let plan = if number < AMPLE { &first.plan } else { tight };
        let (subscription, key) = owner.subscribe(&format!("consumer-{number}"), plan).await;
        offers.push(Offer { plan: plan.to_owned(), subscription, key, ..first.clone() });
    }
    for offer in &offers {
        fleet.knows(offer).await;
    }
    offers
}

/// A billing system that fails three requests of ten, in one way or another.
async fn flaky(seed: u64) -> Served {
    let mut chance = Chance::new(seed);
    let fate = move || match chance.within(0, 30) {
        0 => Fate::NotReached,
        1 => Fate::AnswerLost,
        2 => Fate::Late { ms: chance.within(0, 3_000) as i64 },
        3 => Fate::Twice,
        4 => Fate::Fails { status: 502 },
        5 => Fate::DoneThenFails { status: 500 },
        6 => Fate::Limited { retry_after_s: None },
        7 => Fate::Limited { retry_after_s: Some(1) },
        8 => Fate::Mishap(Mishap::StopAfter(chance.within(0, 4) as usize)),
        _ => Fate::Good,
    };
    Served::start_with(Lago::new(Store::Postgres { keeps_valid: false }), fate).await
}

async fn connect(owner: &Owner, billing: &Served) -> String {
    let destination = json!({
        "name": "billing", "kind": "lago", "secret": "lago-api-key", "window": "minute",
        "settings": { "url": billing.url(), "batch": 20 },
    });
    let made = owner.post("destinations", destination).await.ok();
    made["id"].as_str().unwrap().to_owned()
}

/// Calls with any of the keys until enough is answered, and goes on where its gateway is when that was
/// killed.
async fn call(calling: Arc<Calling>, gateway: usize, mut chance: Chance) -> Heard {
    let mut heard = Heard::default();
    while calling.left.load(Ordering::Relaxed) > 0 {
        let address = calling.gateways.lock().unwrap()[gateway];
        let Ok(mut connection) = RawHttp1::connect(address).await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        while calling.left.load(Ordering::Relaxed) > 0 {
            // The first ones call most, and the last ones still use their quotas up.
            let offers = calling.offers.len() as u64;
            let skewed = chance.within(0, offers) * chance.within(0, offers) / offers;
            let picked = if chance.happens(100) { chance.within(0, offers) } else { skewed };
            let offer = &calling.offers[picked as usize];
            match connection.get("/shared/bytes/20", &offer.key).await {
                Ok(answer) => {
                    if heard.take(offer, &answer) {
                        let left = |left: usize| Some(left.saturating_sub(1));
                        let _ =
                            calling.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
                    }
                    if answer.header("connection") == Some("close") {
                        break;
                    }
                }
                Err(_) => {
                    heard.broken += 1;
                    break;
                }
            }
        }
    }
    heard
}

impl Heard {
    /// Whether it is the answer of the upstream.
    fn take(&mut self, offer: &Offer, answer: &Answer) -> bool {
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match (answer.status, problem["code"].as_str()) {
            (200, _) => {
                let name = answer.header("x-request-id").unwrap().parse().unwrap();
                let calls = self.whole.entry(offer.subscription.clone()).or_default();
                assert!(calls.insert(name), "two calls of one name: {answer:?}");
                return true;
            }
            (429, Some("quota-exceeded")) => self.over_quota += 1,
            (503, Some("counters-unavailable")) => self.unavailable += 1,
            _ => panic!("{answer:?}"),
        }
        false
    }

    fn add(&mut self, other: Self) {
        for (subscription, calls) in other.whole {
            self.whole.entry(subscription).or_default().extend(calls);
        }
        self.over_quota += other.over_quota;
        self.unavailable += other.unavailable;
        self.broken += other.broken;
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Kills {
    gateways: usize,
    sender: usize,
}

/// Kills a gateway or the control plane after a while, and starts it again. First one, then the other,
/// then whom it hits.
async fn kill_one(fleet: &mut Fleet, calling: &Calling, chance: &mut Chance, kills: &mut Kills) {
    sleep(Duration::from_millis(chance.within(KILL_MS.0, KILL_MS.1))).await;
    let away = Duration::from_millis(chance.within(AWAY_MS.0, AWAY_MS.1));
    let victim = match (kills.gateways, kills.sender) {
        (0, _) => 0,
        (_, 0) => GATEWAYS,
        _ => chance.within(0, GATEWAYS as u64 + 1) as usize,
    };
    if victim == GATEWAYS {
        fleet.kill_admin();
        sleep(away).await;
        fleet.start_admin();
        kills.sender += 1;
    } else {
        fleet.kill_gateway(victim);
        sleep(away).await;
        fleet.start_gateway(victim);
        calling.gateways.lock().unwrap()[victim] = fleet.proxy(victim);
        kills.gateways += 1;
    }
}

fn collect(fleet: &Fleet, arrived: &mut Calls) {
    for request in fleet.upstream.take() {
        let subscription = request.header("x-tollgate-subscription").unwrap().to_owned();
        let name = request.request_id().parse().unwrap();
        assert!(arrived.entry(subscription).or_default().insert(name), "it came twice: {name}");
    }
}

/// What a caller has is in the ledger; what is there besides reached the upstream; and what reached the
/// upstream and is not there was under way in a gateway that was killed. Says what the ledger has.
async fn upstream_and_ledger_agree(
    fleet: &Fleet,
    offers: &[Offer],
    heard: &Heard,
    arrived: &Calls,
    kills: Kills,
) -> BTreeMap<String, usize> {
    let owner = fleet.owner();
    let none = HashSet::new();
    let (mut ledger, mut unheard, mut lost) = (BTreeMap::new(), 0, 0);
    for (number, offer) in offers.iter().enumerate() {
        let heard = heard.whole.get(&offer.subscription).unwrap_or(&none);
        let arrived = arrived.get(&offer.subscription).unwrap_or(&none);
        assert!(heard.is_subset(arrived), "answered, and never at the upstream");
        let mut recorded = heard.len();
        for name in arrived.difference(heard) {
            match owner.knows(&name.to_string()).await {
                true => (recorded, unheard) = (recorded + 1, unheard + 1),
                false => lost += 1,
            }
        }
        let used = owner.used(&offer.subscription, "calls").await as usize;
        assert_eq!(used, recorded, "of {} heard and {} arrived", heard.len(), arrived.len());
        if number >= AMPLE {
            assert!(used <= TIGHT_QUOTA, "{used} of a quota of {TIGHT_QUOTA}");
        }
        if used > 0 {
            ledger.insert(offer.subscription.clone(), used);
        }
    }
    say(&format!("{unheard} recorded that nobody heard, {lost} at the upstream and in no journal"));
    assert!(lost <= kills.gateways * CALLERS, "{lost} with {kills:?}: more than were under way");
    ledger
}

/// Each gateway tells each caller what the ledger has.
async fn counters_agree(fleet: &Fleet, offers: &[Offer], ledger: &BTreeMap<String, usize>) {
    for offer in offers {
        let used = ledger.get(&offer.subscription).copied().unwrap_or_default();
        for gateway in 0..GATEWAYS {
            let agrees = async || asking::month_used(fleet.gateway(gateway), offer).await == used;
            eventually(&format!("gateway {gateway} tells of {used} calls"), agrees).await;
        }
    }
}

async fn invoices_agree(owner: &Owner, ledger: &BTreeMap<String, usize>) {
    for (subscription, used) in ledger {
        let path = format!("subscriptions/{subscription}/invoice-preview");
        let preview = owner.get(&path).await.ok();
        let line = &preview["lines"][0];
        assert_eq!((&line["meter"], &line["quantity"]), (&json!("calls"), &json!(used)), "{line}");
        assert_eq!(preview["totals"][0]["amount"], json!(used * 2), "{preview}");
    }
}

/// Its total is never more than the ledger's, and the same when nothing is left to send. The sender is
/// killed once more between the first item and the last.
async fn the_billing_system_agrees(
    fleet: &mut Fleet,
    destination: &str,
    billing: &Served,
    ledger: &BTreeMap<String, usize>,
) {
    let standing = format!("destinations/{destination}/standing");
    let begun = Instant::now();
    let mut is_sender_killed = false;
    loop {
        let billed = by_customer(billing.bill(), ledger);
        if !is_sender_killed && !billed.is_empty() && billed != *ledger {
            fleet.kill_admin();
            fleet.start_admin();
            is_sender_killed = true;
        }
        let standing = fleet.owner().get(&standing).await.ok();
        if billed == *ledger && is_quiet(&standing) {
            break;
        }
        assert!(begun.elapsed() < BILLED_MAX, "{billed:?} of {ledger:?}: {standing}");
        sleep(Duration::from_millis(100)).await;
    }
    say(&format!("the sender was killed while it sent: {is_sender_killed}"));
    assert_eq!(by_customer(billing.last_bill(), ledger), *ledger);
}

fn by_customer(bill: Bill, ledger: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let mut billed = BTreeMap::new();
    for ((customer, _, _), quantity) in bill {
        *billed.entry(customer).or_insert(0) += quantity as usize;
    }
    for (customer, quantity) in &billed {
        assert!(*quantity <= ledger[customer], "{customer}: {quantity} of {}", ledger[customer]);
    }
    billed
}

/// Nothing is to be sent, in doubt, or left to somebody's decision.
fn is_quiet(standing: &Value) -> bool {
    ["frozen", "ambiguous", "quarantined", "voided"]
        .iter()
        .all(|state| standing["deliveries"][state] == 0)
}
