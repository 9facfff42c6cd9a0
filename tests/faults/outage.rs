//! The control plane dies and stays away for a while, or loses what it knew. No caller notices.

use std::time::Duration;

use tokio::time::sleep;

use crate::asking;
use crate::book::Book;
use crate::callers::{Callers, Heard, QUICK};
use crate::house::{Form, House};
use crate::length::{outage_seconds, say};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_control_plane_a_gateway_fails_no_call_and_loses_none() {
    let mut house = House::open(Form::Apart);
    let mut book = Book::open(&house).await;
    let callers = Callers::start(house.proxy(), &book.offers, &QUICK);
    sleep(Duration::from_millis(500)).await;

    house.kill_admin();
    sleep(Duration::from_secs(outage_seconds())).await;
    let kept_back = house.metric("tollgate_journal_undelivered_records").await;
    house.start_admin();
    sleep(Duration::from_millis(500)).await;
    let heard = callers.stop().await;

    say(&format!("{} calls answered, {kept_back} kept back", heard.answered()));
    assert!(kept_back > 0, "nobody called meanwhile");
    heard.is_unbroken();
    assert_eq!(heard.refused, 0);
    book.note(heard);
    book.agrees_to_the_call(&house).await;
    book.proves_every_call(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_put_back_to_an_earlier_state_has_every_call_again() {
    let mut house = House::open(Form::Apart);
    let mut book = Book::open(&house).await;
    book.note(call_for_a_while(&house, &book).await);
    house.has_delivered().await;
    house.kill_admin();
    let backup = house.copy_store();
    house.start_admin();
    book.note(call_for_a_while(&house, &book).await);
    house.has_delivered().await;

    house.kill_admin();
    house.put_back_store(backup);
    house.start_admin();
    book.note(call_for_a_while(&house, &book).await);

    book.agrees_to_the_call(&house).await;
    book.proves_every_call(&house).await;
    assert_eq!(asking::metric(house.admin(), "tollgate_ledger_records_missing_total").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_on_an_empty_store_takes_no_key_away_and_gets_no_usage() {
    let mut house = House::open(Form::Apart);
    let mut book = Book::open(&house).await;
    book.note(call_for_a_while(&house, &book).await);
    house.has_delivered().await;

    house.kill_admin();
    let right = house.put_back_store(tempfile::tempdir().unwrap());
    house.start_admin();
    let heard = call_for_a_while(&house, &book).await;
    heard.is_unbroken();
    assert_eq!(heard.refused, 0);
    book.note(heard);
    house.kill_gateway();
    house.start_gateway();
    book.note(call_for_a_while(&house, &book).await);
    assert!(house.metric("tollgate_journal_undelivered_records").await > 0);

    house.kill_admin();
    house.put_back_store(right);
    house.start_admin();
    book.agrees_to_the_call(&house).await;
    book.proves_every_call(&house).await;
}

async fn call_for_a_while(house: &House, book: &Book) -> Heard {
    let callers = Callers::start(house.proxy(), &book.offers, &QUICK);
    sleep(Duration::from_millis(500)).await;
    callers.stop().await
}
