//! Thousands who connect and say nothing. A gateway serves everybody else, holds little for each of them, and lets
//! them go.

use std::time::Instant;

use tollgate_test_support::raw_http1::RawHttp1;

use crate::asking::eventually;
use crate::book::Book;
use crate::held::Held;
use crate::house::{Form, House};
use crate::length::{connections, say};

/// What one of them may take of the gateway's memory, in KiB.
const KIB_MAX: u64 = 64;

/// Files of a gateway that are not theirs, which come and go.
const OTHER_FILES_MAX: u64 = 50;

/// So many a gateway holds at least, if as many come: what its files leave room for.
const HELD_MIN: usize = 5_000;

const OWN_FILES: usize = 100;

const HEADER_TIMEOUT_SECONDS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_say_nothing_cost_little_and_are_let_go() {
    let timeout = format!("{HEADER_TIMEOUT_SECONDS}s");
    let settings = [
        ("TOLLGATE_PROXY__LIMITS__HEADER_TIMEOUT", timeout.as_str()),
        // All of them come from one.
        ("TOLLGATE_PROXY__LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "10000"),
    ];
    let mut house = House::open_with(Form::Apart, &settings);
    let book = Book::open(&house).await;
    let offer = &book.offers[0];
    let path = format!("/{}/bytes/1", offer.product);
    let mut kept = RawHttp1::connect(house.proxy()).await.unwrap();
    assert_eq!(kept.get(&path, &offer.key).await.unwrap().status, 200);
    let before = Held::read(house.gateway()).await;

    let (begun, connections) = (Instant::now(), connections());
    let mut silent = Vec::new();
    while silent.len() < connections {
        match RawHttp1::connect(house.proxy()).await {
            Ok(connection) => silent.push(connection),
            // This process may have no more files; a few are for what follows.
            Err(_) => {
                silent.truncate(silent.len() - OWN_FILES);
                break;
            }
        }
    }
    let count = silent.len();
    assert_eq!(kept.get(&path, &offer.key).await.unwrap().status, 200);
    let during = Held::read(house.gateway()).await;
    let seconds = begun.elapsed().as_secs_f64();
    // Those that are over the gateway's bound wait unseen, or were closed at once.
    let held = during.files.saturating_sub(before.files).max(1);
    let kib = during.kib.saturating_sub(before.kib) / held;
    say(&format!("{count} connections in {seconds:.1} s, {held} of them held, {kib} KiB for each"));
    assert!(held + OTHER_FILES_MAX >= count.min(HELD_MIN) as u64, "{before:?}, {during:?}");
    assert!(kib <= KIB_MAX, "{before:?}, {during:?}");

    // All of them at once, with nothing said.
    for silent in &mut silent {
        assert!(silent.is_closed().await);
    }
    say(&format!("all let go after {:.1} s", begun.elapsed().as_secs_f64()));
    let mut another = RawHttp1::connect(house.proxy()).await.unwrap();
    assert_eq!(another.get(&path, &offer.key).await.unwrap().status, 200);
    let process = house.gateway();
    let is_free = async || Held::read(process).await.files <= before.files + OTHER_FILES_MAX;
    eventually("what they held is free again", is_free).await;
}
