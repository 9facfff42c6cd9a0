//! What callers, upstream, ledger and counters say of the same calls.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use serde_json::Value;
use tollgate_test_support::owner::{Offer, Owner};
use tollgate_test_support::upstream::Upstream;

use crate::asking::eventually;
use crate::callers::{Calls, Heard};
use crate::house::House;
use crate::length::say;

/// Questions to the ledger at a time.
const QUESTIONS: usize = 4;

pub struct Book {
    pub offers: Vec<Offer>,
    upstream: Upstream,
    /// Calls whose answer a caller has whole.
    heard: Calls,
    /// Requests that reached the upstream.
    arrived: Calls,
}

/// How often, over all subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    heard: usize,
    ledger: usize,
    arrived: usize,
}

impl Book {
    /// Three keys to three products of one upstream.
    pub async fn open(house: &House) -> Self {
        let upstream = Upstream::start().await;
        let offers = house.sell(&upstream.url(), 3).await;
        Self { offers, upstream, heard: Calls::new(), arrived: Calls::new() }
    }

    pub fn note(&mut self, heard: Heard) {
        for (subscription, calls) in heard.whole {
            self.heard.entry(subscription).or_default().extend(calls);
        }
    }

    /// Holds the numbers to the rule, when nobody calls: what callers have is in the ledger, what is
    /// in the ledger was a request, and the counters say what the ledger says.
    pub async fn agrees(&mut self, house: &House) {
        self.collect();
        house.has_delivered().await;
        let owner = house.owner();
        let mut sum = Sum::default();
        for offer in &self.offers {
            let found = self.numbers(&owner, offer).await;
            assert!(found.heard <= found.ledger && found.ledger <= found.arrived, "{found:?}");
            self.counter_agrees(house, offer, found.ledger).await;
            sum.heard += found.heard;
            sum.ledger += found.ledger;
            sum.arrived += found.arrived;
        }
        say(&format!("{sum:?}"));
    }

    /// The same where no call may be lost on the way: each is answered, recorded and counted.
    pub async fn agrees_to_the_call(&mut self, house: &House) {
        self.collect();
        let owner = house.owner();
        for offer in &self.offers {
            let answered = of(&self.heard, offer).len();
            let mut found = Sum::default();
            let whole = Sum { heard: answered, ledger: answered, arrived: answered };
            let is_whole = async || {
                found = self.numbers(&owner, offer).await;
                found.ledger >= answered
            };
            eventually("the ledger has every call that was answered", is_whole).await;
            assert_eq!(found, whole);
            self.counter_agrees(house, offer, answered).await;
        }
        self.agrees(house).await;
    }

    /// Holds every single call to it: what a caller has is there, once, and the ledger's sum is of
    /// what it has and nothing else.
    pub async fn proves_every_call(&mut self, house: &House) {
        self.agrees(house).await;
        let owner = house.owner();
        for offer in &self.offers {
            let in_ledger = recorded(&owner, offer, of(&self.arrived, offer)).await;
            let mut lost = of(&self.heard, offer).difference(&in_ledger);
            assert_eq!(lost.next(), None, "answered, and not in the ledger");
            let sum = owner.used(&offer.subscription, "calls").await as usize;
            assert_eq!(sum, in_ledger.len(), "each once, and nothing else");
        }
    }

    /// Waits until so many requests have reached the upstream.
    pub async fn has_arrived(&mut self, requests: usize) {
        let have_come = async || {
            self.collect();
            self.arrived.values().map(BTreeSet::len).sum::<usize>() >= requests
        };
        eventually("the upstream has the requests", have_come).await;
    }

    /// How many calls that callers have are not in the ledger, once it has the whole journal.
    pub async fn lost(&mut self, house: &House) -> usize {
        self.collect();
        house.has_delivered().await;
        let owner = house.owner();
        let mut lost = 0;
        for offer in &self.offers {
            let found = self.numbers(&owner, offer).await;
            lost += found.heard - found.ledger;
        }
        lost
    }

    async fn numbers(&self, owner: &Owner, offer: &Offer) -> Sum {
        Sum {
            heard: of(&self.heard, offer).len(),
            ledger: owner.used(&offer.subscription, "calls").await as usize,
            arrived: of(&self.arrived, offer).len(),
        }
    }

    /// A counter may be set right a moment after the start.
    async fn counter_agrees(&self, house: &House, offer: &Offer, ledger: usize) {
        let mut counted = BTreeMap::new();
        let agrees = async || {
            let found = house.counted(offer).await;
            *counted.entry(found).or_insert(0) += 1;
            found == ledger
        };
        eventually(&format!("the counter says {ledger}, as the ledger"), agrees).await;
    }

    /// Takes note of what has arrived. An accepted call is one request, whatever happens.
    fn collect(&mut self) {
        for request in self.upstream.take() {
            let subscription = request.header("x-tollgate-subscription").unwrap().to_owned();
            let calls = self.arrived.entry(subscription).or_default();
            assert!(calls.insert(request.request_id()), "it came twice: {request:?}");
        }
    }
}

fn of<'a>(calls: &'a Calls, offer: &Offer) -> &'a BTreeSet<String> {
    static NONE: BTreeSet<String> = BTreeSet::new();
    calls.get(&offer.subscription).unwrap_or(&NONE)
}

/// Those of the calls that the ledger has.
async fn recorded(owner: &Owner, offer: &Offer, calls: &BTreeSet<String>) -> BTreeSet<String> {
    let answers = calls.iter().map(async |call| {
        let said = owner.get(&format!("usage/requests/{call}")).await;
        if said.status == StatusCode::NOT_FOUND {
            return None;
        }
        is_one_counted_call(&said.ok(), offer);
        Some(call.clone())
    });
    stream::iter(answers).buffer_unordered(QUESTIONS).filter_map(async |call| call).collect().await
}

fn is_one_counted_call(explained: &Value, offer: &Offer) {
    let admitted = &explained["admitted"];
    assert_eq!(explained["subscription_id"], *offer.subscription, "{explained}");
    assert_eq!(explained["verdict"], "counted", "{explained}");
    assert_eq!(admitted["complete"], true, "{explained}");
    assert_eq!(admitted["records"].as_array().unwrap().len(), 1, "{explained}");
    assert_eq!(admitted["billed"]["calls"], 1, "{explained}");
}
