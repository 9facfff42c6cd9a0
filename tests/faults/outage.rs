//! The control plane dies and stays away for a while. No caller notices.

use std::time::Duration;

use tokio::time::sleep;

use crate::book::Book;
use crate::callers::{Callers, QUICK};
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
