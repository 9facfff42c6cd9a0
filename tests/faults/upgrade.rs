//! A new process takes over from the one that runs, under load, again and again.

use std::time::Duration;

use tokio::time::sleep;

use crate::book::Book;
use crate::callers::{Callers, PACE, QUICK, SLOW};
use crate::house::{Form, House};
use crate::length::{say, upgrades};

/// How long callers call between two upgrades.
const LOAD: Duration = Duration::from_millis(300);

async fn upgrade_under_load(form: Form) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("upgrade.sock");
    let settings = [("TOLLGATE_PROXY__UPGRADE_SOCKET", socket.to_str().unwrap())];
    let mut house = House::open_with(form, &settings);
    let mut book = Book::open(&house).await;
    let mut callers = Callers::start(house.proxy(), &book.offers, &QUICK);
    callers.join(house.proxy(), &book.offers, &SLOW, PACE);

    for _ in 0..upgrades() {
        sleep(LOAD).await;
        house.upgrade();
    }
    sleep(LOAD).await;
    let heard = callers.stop().await;

    say(&format!("{} calls answered", heard.answered()));
    heard.is_unbroken();
    assert_eq!(heard.refused, 0);
    book.note(heard);
    book.agrees_to_the_call(&house).await;
    book.proves_every_call(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_of_one_process_fails_no_call_and_counts_each_once() {
    upgrade_under_load(Form::Together).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_of_a_gateway_fails_no_call_and_counts_each_once() {
    upgrade_under_load(Form::Apart).await;
}
