//! `kill -9` under load, again and again on the same data.

use std::ops::Range;
use std::time::Duration;

use tokio::time::sleep;

use crate::book::Book;
use crate::callers::{Callers, Heard, QUICK};
use crate::house::{Form, House};
use crate::length::{kills, say};

/// How long callers call before something is killed.
const LOAD_MS: Range<u64> = 20..400;

/// How long the control plane stays away.
const AWAY_MS: Range<u64> = 0..300;

/// A process has read its journal, or has not, when it is killed again.
const START_MS: Range<u64> = 0..200;

/// Rounds between two looks at the books, so that most kills meet a journal that is not delivered.
const LOOK_EVERY: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing() {
    let mut house = House::open(Form::Together);
    let mut book = Book::open(&house).await;
    let mut all = Heard::default();

    for round in 1..=kills() {
        let callers = Callers::start(house.proxy(), &book.offers, &QUICK);
        sleep(some(LOAD_MS)).await;
        house.kill_gateway();
        all.add(callers.stop().await);
        if round % 5 == 0 {
            house.start_in_vain(some(START_MS)).await;
        }
        house.start_gateway();
        house.knows(&book.offers).await;
        if round % LOOK_EVERY == 0 {
            book.note(std::mem::take(&mut all));
            book.agrees(&house).await;
        }
    }

    book.note(all);
    book.proves_every_call(&house).await;
}

#[derive(Debug)]
enum Victim {
    Gateway,
    Admin,
    /// The gateway comes back first, and serves without a ledger to ask.
    Both,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_of_which_either_is_killed_lose_nothing_and_double_nothing() {
    let mut house = House::open(Form::Apart);
    let mut book = Book::open(&house).await;

    for round in 1..=kills() {
        let victim = match round % 3 {
            1 => Victim::Gateway,
            2 => Victim::Admin,
            _ => Victim::Both,
        };
        let callers = Callers::start(house.proxy(), &book.offers, &QUICK);
        sleep(some(LOAD_MS)).await;
        book.note(kill(&mut house, victim, callers, &book).await);
        if round % LOOK_EVERY == 0 {
            book.agrees(&house).await;
        }
    }

    book.proves_every_call(&house).await;
}

/// Kills, and brings back what was killed.
async fn kill(house: &mut House, victim: Victim, callers: Callers, book: &Book) -> Heard {
    match victim {
        Victim::Gateway => {
            house.kill_gateway();
            let heard = callers.stop().await;
            house.start_gateway();
            house.knows(&book.offers).await;
            heard
        }
        Victim::Admin => {
            house.kill_admin();
            sleep(some(AWAY_MS)).await;
            house.start_admin();
            let heard = callers.stop().await;
            heard.is_unbroken();
            heard
        }
        Victim::Both => {
            house.kill_admin();
            sleep(some(AWAY_MS)).await;
            house.kill_gateway();
            let mut heard = callers.stop().await;
            house.start_gateway();
            house.knows(&book.offers).await;
            let callers = Callers::start(house.proxy(), &book.offers, &QUICK);
            sleep(some(LOAD_MS)).await;
            house.start_admin();
            let without_ledger = callers.stop().await;
            without_ledger.is_unbroken();
            heard.add(without_ledger);
            heard
        }
    }
}

fn some(ms: Range<u64>) -> Duration {
    let ms = rand::random_range(ms);
    say(&format!("after {ms} ms"));
    Duration::from_millis(ms)
}
