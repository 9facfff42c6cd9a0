//! Everything that comes and goes, for a long time: connections, callers that leave midway, strangers,
//! products with all that is theirs. What is gone has left nothing behind in a process.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tollgate_test_support::chance::Chance;
use tollgate_test_support::owner::{Offer, Owner};
use tollgate_test_support::raw_http1::RawHttp1;
use tollgate_test_support::raw_http2::{self, RawHttp2};
use tollgate_test_support::tollgate::Tollgate;
use tollgate_test_support::upstream::Upstream;

use crate::asking::eventually;
use crate::book::Book;
use crate::callers::{Callers, QUICK};
use crate::held::Held;
use crate::house::{Form, House};
use crate::length::{rounds, say, seed};

/// Visitors at a time, and how often each comes in a round.
const VISITORS: usize = 8;
const VISITS: usize = 60;

/// How often it is said how things stand.
const LOOKS: usize = 10;

/// Products that are sold, called and deleted in a round.
const PRODUCTS: usize = 4;

/// A steady caller of this soak calls so seldom that an hour of its calls can be compared one by one.
const PACE: Duration = Duration::from_millis(50);

/// What the gateway and the control plane may have more than after half of the rounds, in KiB: what an allocator
/// keeps, and pages of the store.
const MORE_KIB_MAX: [u64; 2] = [8 << 10, 64 << 10];

/// Connections to the upstream that wait for the next call, and threads that wait for work: as many as were
/// busy at a time.
const WAITING_MAX: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_come_and_gone_leaves_nothing_behind() {
    let mut chance = Chance::new(seed());
    let house = House::open(Form::Apart);
    let mut book = Book::open(&house).await;
    let mut callers = Callers::default();
    callers.join(house.proxy(), &book.offers, &QUICK, PACE);
    let upstream = Upstream::start().await;
    let visited = house.owner().sell("visited", &upstream.url(), json!({})).await;
    house.knows(std::slice::from_ref(&visited)).await;

    let (begun, rounds) = (Instant::now(), rounds());
    let processes = house.processes();
    let mut halfway = at_rest(&house, processes, None).await;
    for round in 1..=rounds {
        visit(house.proxy(), &visited, &mut chance).await;
        sell_and_take_back(&house, &upstream, round).await;
        upstream.take();
        if round * LOOKS % rounds < LOOKS {
            let now = at_rest(&house, processes, None).await;
            say(&format!("after {round} rounds gateway and control plane hold {now:?}"));
            if round * 2 <= rounds {
                halfway = now;
            }
        }
    }
    let ended = at_rest(&house, processes, Some(&halfway)).await;
    for ((before, after), max) in halfway.iter().zip(&ended).zip(MORE_KIB_MAX) {
        let more = after.kib.saturating_sub(before.kib);
        assert!(more <= max, "{more} KiB more: {halfway:?}, {ended:?}");
    }

    let heard = callers.stop().await;
    say(&format!("{} steady calls in {:.0} s", heard.answered(), begun.elapsed().as_secs_f64()));
    heard.is_unbroken();
    assert_eq!(heard.refused, 0);
    book.note(heard);
    book.agrees_to_the_call(&house).await;
}

/// What each process holds; where a bound is given, once it holds no more than that but memory.
async fn at_rest(house: &House, processes: [&Tollgate; 2], bound: Option<&[Held; 2]>) -> [Held; 2] {
    house.has_delivered().await;
    let mut held = [Held::read(processes[0]).await, Held::read(processes[1]).await];
    let Some(bound) = bound else { return held };
    for ((process, held), bound) in processes.iter().zip(&mut held).zip(bound) {
        let is_at_rest = async || {
            *held = Held::read(process).await;
            is_within(held, bound)
        };
        eventually("what has gone has left nothing behind", is_at_rest).await;
    }
    held
}

/// With what waits for the next call.
fn is_within(held: &Held, bound: &Held) -> bool {
    held.threads <= bound.threads + WAITING_MAX
        && held.files <= bound.files + WAITING_MAX
        && held.series <= bound.series
}

/// Callers of all kinds, some of whom leave before they are answered.
async fn visit(gateway: SocketAddr, offer: &Offer, chance: &mut Chance) {
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        let (offer, mut chance) = (offer.clone(), Chance::new(chance.word()));
        visitors.spawn(async move {
            for _ in 0..VISITS {
                visit_once(gateway, &offer, &mut chance).await;
            }
        });
    }
    visitors.join_all().await;
}

async fn visit_once(gateway: SocketAddr, offer: &Offer, chance: &mut Chance) {
    let path = |rest: &str| format!("/{}/{rest}", offer.product);
    if chance.happens(250) {
        return visit_by_http2(gateway, &path("slow/20"), &offer.key, chance).await;
    }
    let mut caller = RawHttp1::connect(gateway).await.unwrap();
    let from = Ipv4Addr::from(chance.word() as u32);
    match chance.within(0, 7) {
        0 => drop(caller.get(&path("bytes/30"), &offer.key).await.unwrap()),
        1 => {
            let stranger = format!("stranger-{:x}", chance.word());
            assert_eq!(caller.get(&path("bytes/30"), &stranger).await.unwrap().status, 401);
        }
        2 => {
            let nowhere = format!("/nowhere-{:x}/", chance.word());
            assert_eq!(caller.get(&nowhere, &offer.key).await.unwrap().status, 404);
        }
        3 => caller.send(request("GET", &path("slow/30"), &offer.key, from, "")).await,
        4 => {
            caller.send(request("GET", &path("bytes/900000"), &offer.key, from, "")).await;
            caller.head().await.unwrap();
        }
        5 => {
            let half = request("POST", &path("all"), &offer.key, from, "Content-Length: 900\r\n");
            caller.send(half + "half of it").await;
        }
        _ => caller.send("GET /half/a/head HTTP/1.1\r\nHost:").await,
    }
}

fn request(method: &str, path: &str, key: &str, from: Ipv4Addr, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: tollgate\r\nX-API-Key: {key}\r\nX-Forwarded-For: {from}\r\n{more}\r\n"
    )
}

/// A few streams, of which some are broken off, or the connection with all of them.
async fn visit_by_http2(gateway: SocketAddr, path: &str, key: &str, chance: &mut Chance) {
    let mut caller = RawHttp2::connect(gateway).await.unwrap();
    for stream in [1, 3, 5, 7] {
        caller.request(stream, raw_http2::get(path, key)).await;
        if chance.happens(500) {
            let canceled = 8_u32.to_be_bytes();
            caller.send(raw_http2::RST_STREAM, 0, stream, &canceled).await;
        }
    }
    caller.request(9, raw_http2::get(path, key)).await;
    if chance.happens(500) {
        assert!(matches!(caller.fate(9).await, raw_http2::Fate::Answered { status: 200, .. }));
    }
}

/// Products with all that is theirs: sold, called, changed, and deleted.
async fn sell_and_take_back(house: &House, upstream: &Upstream, round: usize) {
    let owner = house.owner();
    for number in 0..PRODUCTS {
        let name = format!("passing-{round}-{number}");
        let plan = json!({ "monthly_quota": 1_000, "rate_limit": 60_000 });
        let offer = owner.sell(&name, &upstream.url(), plan).await;
        house.knows(std::slice::from_ref(&offer)).await;
        let mut caller = RawHttp1::connect(house.proxy()).await.unwrap();
        let path = format!("/{name}/bytes/10");
        assert_eq!(caller.get(&path, &offer.key).await.unwrap().status, 200);
        owner.patch(&format!("plans/{}", offer.plan), json!({ "monthly_quota": 2_000 })).await.ok();
        take_back(&owner, &offer).await;
        let is_gone = async || caller.get(&path, &offer.key).await.unwrap().status != 200;
        eventually("the gateway knows the product no more", is_gone).await;
    }
}

async fn take_back(owner: &Owner, offer: &Offer) {
    let subscription = format!("subscriptions/{}", offer.subscription);
    let key = owner.post(&format!("{subscription}/keys"), json!({})).await.ok();
    owner.delete(&format!("keys/{}", key["id"].as_str().unwrap())).await.ok();
    let consumer = owner.get(&subscription).await.ok()["consumer_id"].as_str().unwrap().to_owned();
    owner.delete(&format!("products/{}", offer.product)).await.ok();
    owner.delete(&format!("consumers/{consumer}")).await.ok();
}
