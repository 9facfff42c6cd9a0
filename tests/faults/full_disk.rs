//! The journal's disk is full. Nothing that was admitted is lost, nothing more is admitted, and
//! service comes back with room. A small file system in memory is the disk.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tollgate_test_support::http;
use tollgate_test_support::raw_http1::RawHttp1;
use tollgate_test_support::small_disk::{SmallDisk, may_mount};

use crate::asking::eventually;
use crate::book::Book;
use crate::callers::{Callers, PACE, QUICK, SLOW};
use crate::house::{Form, House};
use crate::length::say;

/// Room for the catalog, and for some thousands of records.
const DISK: &str = "size=3m";

/// Left beside what fills the disk: a few segments.
const ROOM_BYTES: u64 = 300 << 10;

/// Fills the disk but for a little.
fn fill(disk: &Path) {
    let ballast = free_bytes(disk).saturating_sub(ROOM_BYTES);
    let ballast = vec![1; usize::try_from(ballast).unwrap()];
    std::fs::write(disk.join("ballast"), ballast).unwrap();
}

fn free_bytes(path: &Path) -> u64 {
    let mut df = Command::new("df");
    let said = df.args(["--output=avail", "--block-size=1"]).arg(path).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    said.lines().nth(1).unwrap().trim().parse().unwrap()
}

/// What a load balancer is told.
async fn readiness(house: &mut House) -> u16 {
    let metrics = house.gateway().address("metrics");
    spawn_blocking(move || http::get(metrics, "/readyz").status).await.unwrap()
}

async fn status(house: &House, book: &Book) -> u16 {
    let mut client = RawHttp1::connect(house.proxy()).await.unwrap();
    let offer = &book.offers[0];
    client.get(&format!("/{}/bytes/1", offer.product), &offer.key).await.unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_new_calls_ends_those_in_flight_and_serves_again_with_room() {
    if !may_mount() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(data.path(), DISK);
    let settings = [("TOLLGATE_JOURNAL__SEGMENT_BYTES", "64KiB")];
    let mut house = House::open_in(data, Form::Apart, &settings);
    let mut book = Book::open(&house).await;
    house.kill_admin();
    fill(disk.path());

    let mut callers = Callers::start(house.proxy(), &book.offers, &QUICK);
    callers.join(house.proxy(), &book.offers, &SLOW, PACE);
    eventually("the disk is full", async || status(&house, &book).await == 503).await;
    assert_eq!(readiness(&mut house).await, 503);
    // As long as the slow calls take that were admitted before.
    sleep(Duration::from_secs(1)).await;
    let heard = callers.stop().await;
    say(&format!("{} calls answered, {} refused", heard.answered(), heard.refused));
    heard.is_unbroken();
    assert!(heard.refused > 0);
    book.note(heard);

    house.start_admin();
    house.has_delivered().await;
    eventually("there is room again", async || status(&house, &book).await == 200).await;
    assert_eq!(readiness(&mut house).await, 200);
    book.proves_every_call(&house).await;
}
