//! The roll of a bucket: who is there, told by a script that does not read all of a thousand gateways
//! for each of them.

use crate::counters::lease::muster::beat_arguments;
use crate::counters::lease::roll::{Heard, Word};
use crate::counters::lease::simulation::server::{Script, Server};

const START_US: i64 = 1_793_000_000_000_000;
const SECOND_US: i64 = 1_000_000;

fn beat(server: &Server, gateway: usize, number: u64) -> Heard {
    let word = Word { number, ..Word::default() };
    let arguments = beat_arguments(&format!("gateway-{gateway}:1"), word);
    Heard::read(&server.run(Script::Beat, &["roll".to_owned()], &arguments)).unwrap()
}

fn server_with(gateways: usize) -> Server {
    let server = Server::new();
    server.set_clock(START_US);
    for gateway in 0..gateways {
        beat(&server, gateway, 1);
    }
    server
}

/// A word of the start, as it stands in the roll.
fn word() -> String {
    format!("1 {}", START_US / 1_000)
}

#[test]
fn a_gateway_that_comes_is_counted_with_its_first_word() {
    let server = server_with(1_000);

    assert_eq!(beat(&server, 1_000, 1).nodes, 1_001);
    assert_eq!(beat(&server, 3, 2).nodes, 1_001);
}

#[test]
fn a_gateway_that_is_silent_is_counted_no_more_when_the_count_has_aged() {
    let server = server_with(3);
    server.set_clock(START_US + 5 * SECOND_US);
    (0..2).for_each(|gateway| assert_eq!(beat(&server, gateway, 2).nodes, 3));

    server.set_clock(START_US + 6 * SECOND_US);

    assert_eq!(beat(&server, 0, 3).nodes, 2);
    assert_eq!(server.gateways(), 3, "it is forgotten much later");
}

#[test]
fn gateways_that_are_long_gone_are_forgotten_a_thousand_at_once() {
    let server = server_with(1);
    server.know("roll", (1..2_500).map(|gateway| (format!("b:gateway-{gateway}:1"), word())));
    server.set_clock(START_US + 2 * 86_400 * SECOND_US);

    assert_eq!(beat(&server, 0, 2).nodes, 1);
    assert_eq!(server.gateways(), 1_500);
    for second in 1..=2 {
        server.set_clock(START_US + (2 * 86_400 + second) * SECOND_US);
        beat(&server, 0, 2);
    }
    assert_eq!(server.gateways(), 1);
}

#[test]
fn a_clock_that_ran_back_makes_the_count_anew() {
    let server = server_with(2);
    server.know("roll", [("counted".to_owned(), format!("7 {}", START_US / 1_000))]);
    server.set_clock(START_US - 3_600 * SECOND_US);

    assert_eq!(beat(&server, 0, 2).nodes, 2);
    server.set_clock(START_US - 3_593 * SECOND_US);
    assert_eq!(beat(&server, 0, 3).nodes, 2, "a word from later than now is no silence");
}

#[test]
fn a_roll_that_was_emptied_says_that_it_is_new() {
    let server = server_with(2);
    let before = beat(&server, 0, 2);
    server.put_back(Default::default());
    server.set_clock(START_US + SECOND_US);

    let after = beat(&server, 0, 3);

    assert!(after.since_ms > before.since_ms);
    assert_eq!((before.last, after.last, after.nodes), (1, 0, 1));
}

#[test]
fn a_roll_that_was_put_back_is_begun_anew_by_the_first_who_finds_it_out() {
    let server = server_with(2);
    let say = |gateway: usize, number, known, since_ms| {
        let word = Word { number, known, since_ms };
        let arguments = beat_arguments(&format!("gateway-{gateway}:1"), word);
        Heard::read(&server.run(Script::Beat, &["roll".to_owned()], &arguments)).unwrap()
    };
    let since_ms = START_US / 1_000;
    let kept = server.keep();
    (0..2).for_each(|gateway| assert_eq!(say(gateway, 2, 1, since_ms).since_ms, since_ms));
    server.put_back(kept);
    server.set_clock(START_US + SECOND_US);

    let found = say(0, 3, 2, since_ms);
    server.set_clock(START_US + 2 * SECOND_US);
    let told = say(1, 3, 2, since_ms);

    assert_eq!((found.since_ms, found.last), (since_ms + 1_000, 1));
    assert_eq!(told.since_ms, found.since_ms);
    // One from before the roll that is known.
    let kept = server.keep();
    server.put_back(kept);
    assert_eq!(say(0, 4, 3, found.since_ms + 5).since_ms, since_ms + 2_000);
}
