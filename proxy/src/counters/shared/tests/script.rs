//! The scripts on a real server: they say what they say in the simulation, and an upgrade, in which two
//! processes of a node draw side by side, counts everything once.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tollgate_common::time::Timestamp;

use super::*;
use crate::counters::lease::exchange::{Ask, Meeting, QuotaAsk, RateAsk, Reply, Status};
use crate::counters::lease::muster::beat_arguments;
use crate::counters::lease::roll::{Roll, Word};
use crate::counters::lease::simulation::server::{Script as Simulated, Server};

/// Far in the past, for a server that has been there for long; and in the future, for a period that
/// ends.
const UNUSED_UNTIL: Timestamp = Timestamp(1_100_000_000_000);
const END: Timestamp = Timestamp(4_000_000_000_000);

fn keys(ask: &Ask) -> [String; 4] {
    let start = ask.quota.as_ref().map_or(0, |quota| quota.period.start.0);
    ["roll", &format!("quota:{start}"), "rate", "period"].map(str::to_owned)
}

fn ask(seq: u64, total: i64, hold: u64, need: u64) -> Ask {
    let quota = QuotaAsk {
        period: Period { start: UNUSED_UNTIL, end: END },
        is_confirmed: false,
        unused_until: UNUSED_UNTIL,
        limit: Some(QUOTA),
        revision: 1,
        total,
        hold,
        first: need.min(1),
        need,
        want: need,
        meeting: None,
        seeds: None,
    };
    Ask { seq, quota: Some(quota), rate: None, nodes: 1 }
}

fn meeting(mut ask: Ask, past: i64, alive: &[u64]) -> Ask {
    let quota = ask.quota.as_mut().unwrap();
    quota.meeting = Some(Meeting { past, is_whole: false, alive: alive.into() });
    ask
}

fn run_simulated(server: &Server, process: &Process, ask: &Ask) -> Reply {
    let arguments = ask.arguments(process, Word::default());
    let numbers = server.run(Simulated::Draw, &keys(ask), &arguments);
    Reply::read(&numbers).unwrap()
}

fn simulated() -> Server {
    let server = Server::new();
    server.set_clock(NOW_US);
    server.set("roll", "since", SINCE_MS);
    server.know("roll", [("counted".to_owned(), format!("1 {}", NOW_US / 1_000))]);
    server
}

#[test]
fn in_an_upgrade_both_processes_are_counted_and_what_the_older_one_held_goes_back() {
    let server = simulated();
    let [old, new] = [5, 6].map(|epoch| Process { epoch, ..process(1) });
    let used = |reply: Reply| (reply.used, reply.held);

    // The older one has used 10 of its own after a past of 100, and holds 7.
    run_simulated(&server, &old, &meeting(ask(1, 10, 7, 0), 100, &[]));
    // The newer one knows of all that is in the journal by then.
    let beside = run_simulated(&server, &new, &meeting(ask(1, 0, 0, 3), 110, &[5]));
    assert_eq!((used(beside), beside.units), ((120, 7), 3));
    // The older one drains: known as before.
    let draining = run_simulated(&server, &old, &ask(2, 15, 0, 0));
    assert_eq!((draining.status, used(draining)), (Status::Done, (118, 0)));
    // It has ended, and the newer one has taken over its journal.
    let after = run_simulated(&server, &new, &meeting(ask(2, 3, 0, 0), 115, &[]));
    assert_eq!(used(after), (118, 0));
    // A word that it said before is late.
    let late = run_simulated(&server, &old, &ask(3, 15, 7, 0));
    assert_eq!(late.status, Status::Unknown);
    let again = run_simulated(&server, &new, &ask(3, 3, 0, 0));
    assert_eq!(used(again), (118, 0));
}

#[test]
fn what_a_process_that_was_killed_held_goes_back_when_its_successor_speaks() {
    let server = simulated();
    let [killed, successor] = [5, 6].map(|epoch| Process { epoch, ..process(1) });

    run_simulated(&server, &killed, &meeting(ask(1, 10, 200, 0), 0, &[]));
    let reply = run_simulated(&server, &successor, &meeting(ask(1, 0, 0, 0), 12, &[]));

    assert_eq!((reply.used, reply.held), (12, 0));
}

#[test]
fn a_word_of_a_process_that_has_ended_is_not_counted_when_it_comes_after_its_successor() {
    let server = simulated();
    let [killed, successor] = [5, 6].map(|epoch| Process { epoch, ..process(1) });

    run_simulated(&server, &successor, &meeting(ask(1, 0, 0, 0), 12, &[]));
    let late = run_simulated(&server, &killed, &meeting(ask(4, 10, 200, 0), 0, &[]));
    let after = run_simulated(&server, &successor, &ask(2, 1, 0, 0));

    assert_eq!(late.status, Status::Relieved);
    assert_eq!((after.used, after.held), (13, 0));
}

#[test]
fn after_the_counters_were_emptied_in_an_upgrade_the_older_process_is_counted_again() {
    let server = simulated();
    let [old, new] = [5, 6].map(|epoch| Process { epoch, ..process(1) });

    // The newer one speaks first, and says that the older one still draws.
    run_simulated(&server, &new, &meeting(ask(1, 3, 0, 0), 110, &[5]));
    let draining = run_simulated(&server, &old, &meeting(ask(9, 15, 7, 0), 100, &[]));

    assert_eq!((draining.status, draining.used, draining.held), (Status::Done, 135, 7));
}

/// The debt after each of these processes has stated what it owes.
fn debts<const N: usize>(server: &Server, stated: [(u8, u64, RateAsk); N]) -> [u64; N] {
    stated.map(|(node, seq, rate)| {
        let ask = Ask { quota: None, rate: Some(rate), ..ask(seq, 0, 0, 0) };
        run_simulated(server, &process(node), &ask).debt_ns
    })
}

#[test]
fn what_is_owed_is_stated_once_however_often_nobody_hears_the_answer() {
    let server = simulated();
    let owing = |answered| RateAsk { owed_ns: 5 * HOUR_NS, answered, ..AN_HOURLY_RATE };

    let unheard = [(1, 1, owing(0)), (1, 2, owing(0)), (1, 3, owing(0)), (1, 4, owing(3))];

    assert_eq!(debts(&server, unheard), [5, 5, 5, 10].map(|hours| hours * HOUR_NS));
}

#[test]
fn an_outage_of_all_is_paid_once() {
    let server = simulated();
    server.set("roll", "away", NOW_US / 1_000);
    // A third each, which weighs as that of all.
    let owing = RateAsk { owed_ns: 5 * HOUR_NS, seen_ns: 15 * HOUR_NS, ..AN_HOURLY_RATE };

    let back = [(1, 1, owing), (2, 1, owing), (3, 1, owing)];

    assert_eq!(debts(&server, back), [15 * HOUR_NS; 3]);
}

const HOUR_NS: u64 = 3_600_000_000_000;

/// A call an hour: what passes while a test runs is far below one.
const AN_HOURLY_RATE: RateAsk = RateAsk {
    interval_ns: HOUR_NS,
    window_ns: 50 * HOUR_NS,
    debt_max_ns: 50 * HOUR_NS,
    ..RateAsk::NONE
};

/// When the roll of [`simulated`] was begun, and its time.
const SINCE_MS: i64 = 1_000_000_000_000;
const NOW_US: i64 = 1_793_000_000_000_000;
const NOW: Timestamp = Timestamp(NOW_US / 1_000);
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A question about a quota of a limit that was used before the roll was begun, by a process of a node.
fn put(server: &Server, node: u8, word: Word, limit: u64, mut ask: Ask) -> Reply {
    let quota = ask.quota.as_mut().unwrap();
    (quota.unused_until, quota.limit) = (Timestamp(0), Some(limit));
    quota.period.start = Timestamp(0);
    let arguments = ask.arguments(&process(node), word);
    let numbers = server.run(Simulated::Draw, &keys(&ask), &arguments);
    Reply::read(&numbers).unwrap()
}

fn with_seeds(mut ask: Ask, seeds: &[(u8, i64)]) -> Ask {
    let seeds = seeds.iter().map(|(node, units)| (process(*node).node, *units));
    ask.quota.as_mut().unwrap().seeds = Some(seeds.collect());
    ask
}

fn word(number: u64, known: u64) -> Word {
    Word { number, known, since_ms: SINCE_MS }
}

#[test]
fn whoever_comes_first_after_the_counters_were_put_back_finds_it_out_and_is_granted_nothing() {
    let server = simulated();
    let met = || meeting(with_seeds(ask(1, 0, 0, 0), &[]), 0, &[]);
    for node in [1, 2] {
        assert_eq!(put(&server, node, word(3, 0), 1_000, met()).status, Status::Done);
    }
    let kept = server.keep();
    for node in [1, 2] {
        let reply = put(&server, node, word(9, 3), 1_000, ask(2, 400, 0, 0));
        assert_eq!((reply.status, reply.units), (Status::Done, 0));
    }
    server.put_back(kept);

    let first = put(&server, 1, word(10, 9), 1_000, ask(3, 400, 0, 50));
    let since = server.field("roll", "since");
    let other = put(&server, 2, word(10, 9), 1_000, ask(3, 400, 0, 50));

    assert_eq!((first.status, first.units), (Status::Unseeded, 0));
    assert_eq!(since, Some(NOW_US / 1_000));
    assert_eq!((other.status, other.used), (Status::Unseeded, 800));
    assert_eq!(server.field("roll", "since"), since, "it is begun anew once");
}

#[test]
fn a_new_process_that_finds_nobody_there_has_the_ledger_asked() {
    let server = simulated();
    let seeded = |node| meeting(with_seeds(ask(1, 0, 0, 0), &[]), i64::from(node), &[]);
    assert_eq!(put(&server, 1, Word::default(), 1_000, seeded(1)).status, Status::Done);
    server.set_clock(NOW_US + 6_000_000);

    let first = put(&server, 2, Word::default(), 1_000, meeting(ask(1, 0, 0, 10), 0, &[]));
    let seeds = with_seeds(ask(2, 0, 0, 10), &[(1, 990), (2, 0)]);
    let after = put(&server, 2, Word::default(), 1_000, seeds);

    assert_eq!((first.status, first.units), (Status::Unseeded, 0));
    assert_eq!((after.status, after.used, after.units), (Status::Done, 1_000, 10));
    assert_eq!(server.field("roll", "since"), Some(SINCE_MS));
}

#[test]
fn words_that_overtake_each_other_tell_of_no_loss() {
    let server = simulated();
    put(&server, 1, word(1, 0), 1_000, meeting(with_seeds(ask(1, 0, 0, 0), &[]), 0, &[]));
    put(&server, 1, word(3, 1), 1_000, ask(2, 1, 0, 0));
    put(&server, 1, word(2, 1), 1_000, ask(3, 2, 0, 0));

    let reply = put(&server, 1, word(4, 3), 1_000, ask(4, 3, 0, 7));

    assert_eq!((reply.status, reply.units), (Status::Done, 7));
}

#[test]
fn what_a_gateway_that_is_gone_had_used_is_what_the_ledger_says_where_that_is_more() {
    let server = simulated();
    // Node 2 had said 3 before the counters were put back. The ledger has 903 of it.
    put(&server, 2, word(1, 0), 1_000, meeting(with_seeds(ask(1, 3, 0, 0), &[]), 0, &[]));
    let seeded = meeting(with_seeds(ask(1, 10, 0, 0), &[(1, 10), (2, 903), (3, 40)]), 0, &[]);

    let after = put(&server, 1, word(1, 0), 1_000, seeded);
    let again = put(&server, 1, word(2, 1), 1_000, with_seeds(ask(2, 10, 0, 100), &[(2, 903)]));
    // It was not gone, and knows better.
    let spoken = put(&server, 2, word(2, 1), 1_000, ask(2, 905, 0, 0));
    let back = put(&server, 1, word(3, 2), 1_000, ask(3, 57, 0, 0));

    assert_eq!((after.used, again.used, again.units), (953, 1_000, 47));
    assert_eq!((spoken.used, back.used), (1_002, 1_002));
}

#[test]
fn what_a_gateway_that_was_killed_held_is_free_after_a_minute_but_for_what_it_had_used() {
    let server = simulated();
    put(&server, 2, word(1, 0), 1_000, meeting(with_seeds(ask(1, 100, 700, 0), &[]), 0, &[]));
    put(&server, 1, word(1, 0), 1_000, meeting(with_seeds(ask(1, 200, 0, 0), &[]), 0, &[]));

    server.set_clock(NOW_US + 59_000_000);
    let early = put(&server, 1, word(2, 1), 1_000, ask(2, 200, 0, 50));
    server.set_clock(NOW_US + 61_000_000);
    let free = put(&server, 1, word(3, 2), 1_000, ask(3, 200, 0, 50));
    let seeds = [(1, 200), (2, 130)];
    let granted = put(&server, 1, word(4, 3), 1_000, with_seeds(ask(4, 200, 0, 50), &seeds));

    assert_eq!(
        (early.status, early.used, early.units, early.freeable),
        (Status::Done, 1_000, 0, 0)
    );
    // Until the ledger was asked it counts as used, and nobody has to wait for that.
    assert_eq!((free.status, free.used, free.units, free.freeable), (Status::Done, 1_000, 0, 700));
    assert_eq!((granted.used, granted.units, granted.freeable), (380, 50, 0));
    let back = put(&server, 2, word(2, 1), 1_000, ask(2, 140, 0, 0));
    assert_eq!(back.used, 390);
}

#[test]
fn what_a_gateway_that_was_killed_held_is_free_also_where_no_call_waits_any_more() {
    let server = simulated();
    put(&server, 2, word(1, 0), 1_000, meeting(with_seeds(ask(1, 100, 700, 0), &[]), 0, &[]));
    put(&server, 1, word(1, 0), 1_000, meeting(with_seeds(ask(1, 200, 0, 0), &[]), 0, &[]));
    server.set_clock(NOW_US + 61_000_000);

    let seeds = [(1, 200), (2, 130)];
    let told = put(&server, 1, word(2, 1), 1_000, with_seeds(ask(2, 200, 0, 0), &seeds));
    let draw = put(&server, 1, word(3, 2), 1_000, ask(3, 200, 0, 50));

    assert_eq!((told.used, told.held, told.freeable), (330, 0, 0));
    assert_eq!((draw.used, draw.units), (380, 50));
}

#[test]
fn a_limit_that_no_longer_refuses_refuses_nobody_who_has_not_heard_of_it() {
    let server = simulated();
    let mut soft = meeting(with_seeds(ask(1, 900, 0, 0), &[]), 0, &[]);
    let terms = soft.quota.as_mut().unwrap();
    (terms.limit, terms.revision) = (None, 2);
    run_simulated(&server, &process(2), &soft);

    let hard = meeting(with_seeds(ask(1, 900, 0, 5), &[]), 0, &[]);
    let granted = run_simulated(&server, &process(1), &hard);
    let told = run_simulated(&server, &process(1), &ask(2, 905, 0, 0));

    assert_eq!((granted.status, granted.units), (Status::Done, 5));
    assert!(told.left > 0, "{told:?}");
}

#[test]
fn what_a_gateway_lets_pass_that_is_cut_off_alone_counts_as_the_ledger_says() {
    let server = simulated();
    let after = |seconds: i64| server.set_clock(NOW_US + seconds * 1_000_000);
    let beats = |number| {
        let gateway = format!("{}:1", process(1).node);
        let arguments = beat_arguments(&gateway, word(number, number - 1));
        server.run(Simulated::Beat, &["roll".to_owned()], &arguments);
    };
    put(&server, 2, word(1, 0), 1_000, meeting(with_seeds(ask(1, 100, 30, 0), &[]), 0, &[]));
    put(&server, 1, word(1, 0), 1_000, meeting(with_seeds(ask(1, 200, 0, 0), &[]), 0, &[]));
    let draw = |seq| put(&server, 1, word(seq, seq - 1), 1_000, ask(seq, 200, 0, 1));
    let told = |seq, units| {
        let ask = with_seeds(ask(seq, 200, 0, 1), &[(1, 200), (2, units)]);
        put(&server, 1, word(seq, seq - 1), 1_000, ask)
    };

    after(4);
    beats(2);
    assert!(!draw(3).is_missed, "it was there just now");
    after(6);
    beats(4);
    assert!(draw(5).is_missed);
    assert!(!draw(6).is_missed, "it is looked again after a while");
    assert_eq!(told(7, 160).used, 361);
    after(9);
    assert!(draw(8).is_missed);
    assert_eq!(told(9, 160).used, 361);
    after(64);
    assert!(draw(10).is_missed);
    after(71);
    assert!(!draw(11).is_missed, "less often where it used nothing more");
    // It is back, and speaks for itself.
    let back = put(&server, 2, word(2, 1), 1_000, ask(2, 170, 0, 0));
    beats(12);
    after(99);
    assert_eq!((back.used, draw(13).is_missed), (371, false));
}

#[test]
fn what_is_too_little_for_a_call_is_left_to_others() {
    let server = simulated();
    put(&server, 1, word(1, 0), 23, meeting(with_seeds(ask(1, 20, 0, 0), &[]), 0, &[]));
    let mut dear = ask(2, 20, 0, 5);
    dear.quota.as_mut().unwrap().first = 5;

    let refused = put(&server, 1, word(2, 1), 23, dear);
    let cheap = put(&server, 2, word(1, 0), 23, meeting(ask(1, 0, 0, 1), 0, &[]));

    assert_eq!((refused.units, refused.used, refused.held, refused.left), (0, 20, 0, 3));
    assert_eq!((cheap.units, cheap.left), (1, 2));
}

fn of_period(mut ask: Ask, start: Timestamp, end: Timestamp) -> Ask {
    ask.quota.as_mut().unwrap().period = Period { start, end };
    ask
}

#[test]
fn an_edited_calendar_counts_when_the_period_that_is_counted_in_has_ended() {
    let server = simulated();
    let [start, later, end] = [-20, -5, 10].map(|days| NOW.plus_ms(days * DAY_MS));
    let before = |ask| of_period(ask, start, end);
    let edited = |ask| of_period(ask, later, END);
    let knows = before(meeting(ask(1, 490, 0, 0), 0, &[]));
    assert_eq!(run_simulated(&server, &process(1), &knows).status, Status::Done);

    let first = run_simulated(&server, &process(2), &edited(meeting(ask(1, 0, 0, 20), 0, &[])));
    let again = run_simulated(&server, &process(2), &before(meeting(ask(2, 0, 0, 20), 0, &[])));
    server.set_clock(end.0 * 1_000);
    let after = run_simulated(&server, &process(2), &edited(meeting(ask(3, 0, 0, 20), 0, &[])));

    assert_eq!(first.status, Status::OtherPeriod(Period { start, end }));
    assert_eq!((again.status, again.units, again.used), (Status::Done, 10, 500));
    assert_eq!((after.status, after.units, after.used), (Status::Done, 20, 20));
}

#[test]
fn a_period_that_a_clock_has_begun_too_early_is_not_the_running_one() {
    let server = simulated();
    let [start, soon, end] = [-5, 1, 10].map(|days| NOW.plus_ms(days * DAY_MS));
    let ahead = of_period(meeting(ask(1, 10, 0, 5), 0, &[]), soon, END);
    assert_eq!(run_simulated(&server, &process(1), &ahead).status, Status::Done);

    let right = of_period(meeting(ask(1, 0, 0, 20), 0, &[]), start, end);

    assert_eq!(run_simulated(&server, &process(2), &right).status, Status::Done);
}

#[test]
fn a_month_that_ends_later_in_its_new_time_zone_goes_on() {
    let server = simulated();
    let [start, ended] = [-30 * DAY_MS, -HOUR_MS].map(|ms| NOW.plus_ms(ms));
    let [later, end] = [start.plus_ms(8 * HOUR_MS), NOW.plus_ms(7 * HOUR_MS)];
    server.set("period", "start", start.0);
    server.set("period", "end", ended.0);

    let first = meeting(ask(1, 0, 0, 1), 0, &[]);
    let first = run_simulated(&server, &process(1), &of_period(first, later, end));
    let again = meeting(ask(2, 0, 0, 1), 0, &[]);
    let again = run_simulated(&server, &process(1), &of_period(again, start, end));

    assert_eq!(first.status, Status::OtherPeriod(Period { start, end }));
    assert_eq!((again.status, server.field("period", "end")), (Status::Done, Some(end.0)));
}

#[test]
fn a_month_ends_when_it_is_known_to_whatever_is_said_before() {
    let server = simulated();
    let [start, end] = [-20, 10].map(|days| NOW.plus_ms(days * DAY_MS));
    let knows = of_period(meeting(ask(1, 490, 0, 0), 0, &[]), start, end);
    assert_eq!(run_simulated(&server, &process(1), &knows).status, Status::Done);
    // By a calendar that was edited for a while, and by a guess.
    let said = [
        (start.plus_ms(8 * HOUR_MS), end.plus_ms(8 * HOUR_MS)),
        (start, end.plus_ms(14 * HOUR_MS)),
    ];
    for (node, (start_said, end_said)) in (2..).zip(said) {
        let longer = of_period(meeting(ask(1, 0, 0, 1), 0, &[]), start_said, end_said);
        let told = run_simulated(&server, &process(node), &longer);
        assert_eq!(told.status, Status::OtherPeriod(Period { start, end }));
        let again = of_period(meeting(ask(2, 0, 0, 1), 0, &[]), start, end);
        assert_eq!(run_simulated(&server, &process(node), &again).status, Status::Done);
    }
    assert_eq!(server.field("period", "end"), Some(end.0));

    server.set_clock(end.0 * 1_000);
    let next = of_period(meeting(ask(2, 0, 0, 1), 0, &[]), end, end.plus_ms(30 * DAY_MS));

    assert_eq!(run_simulated(&server, &process(1), &next).status, Status::Done);
    assert_eq!(server.field("period", "start"), Some(end.0));
}

#[test]
fn whoever_counts_apart_does_not_say_which_period_is_running() {
    let server = simulated();
    let [start, later] = [-20, -5].map(|days| NOW.plus_ms(days * DAY_MS));
    let period = Period { start, end: NOW.plus_ms(10 * DAY_MS) };
    let lost = |node, ask: Ask, start, is_confirmed| {
        let mut ask = of_period(ask, start, period.end);
        let quota = ask.quota.as_mut().unwrap();
        (quota.unused_until, quota.is_confirmed) = (Timestamp(0), is_confirmed);
        run_simulated(&server, &process(node), &ask).status
    };

    let apart = lost(1, meeting(ask(1, 3, 0, 1), 0, &[]), later, false);
    let knows = lost(2, meeting(ask(1, 400, 0, 1), 0, &[]), start, true);
    let again = lost(1, ask(2, 3, 0, 1), later, false);

    assert_eq!(
        [apart, knows, again],
        [Status::Unseeded, Status::Unseeded, Status::OtherPeriod(period)]
    );
}

#[test]
fn of_a_subscription_that_is_not_known_the_ledger_says_what_periods_were_begun() {
    let server = simulated();
    let fresh = |seq, ask: Ask| {
        let mut ask = of_period(ask, NOW.plus_ms(-DAY_MS), END);
        ask.quota.as_mut().unwrap().unused_until = Timestamp(0);
        run_simulated(&server, &process(seq), &ask).status
    };

    let first = fresh(1, meeting(ask(1, 0, 0, 1), 0, &[]));
    let other = fresh(2, meeting(ask(1, 0, 0, 1), 0, &[]));
    let seeded = fresh(1, with_seeds(ask(2, 0, 0, 1), &[]));

    assert_eq!([first, other, seeded], [Status::Unseeded, Status::Unseeded, Status::Done]);
    assert_eq!(fresh(3, meeting(ask(1, 0, 0, 1), 0, &[])), Status::Done, "it is known by now");
}

#[derive(Clone, Debug)]
struct Step {
    node: u8,
    seq: u64,
    total: i64,
    hold: u64,
    need: u64,
    want: u64,
    limit: Option<u64>,
    revision: u64,
    past: Option<i64>,
    seeds: Option<Vec<(u8, i64)>>,
    calls: Option<(u64, u64, bool)>,
    is_edited: bool,
}

prop_compose! {
    fn step()(
        node in 1_u8..4, seq in 1_u64..30, total in -5_i64..200, hold in 0_u64..40,
        need in 0_u64..20, more in 0_u64..60, limit in proptest::option::weighted(0.9, 0_u64..400),
        revision in 1_u64..4, past in proptest::option::of(0_i64..50),
        seeds in proptest::option::weighted(
            0.2, proptest::collection::vec((1_u8..6, 0_i64..60), 0..4)),
        calls in proptest::option::of((0_u64..20, 0_u64..40, any::<bool>())),
        is_edited in proptest::bool::weighted(0.1),
    ) -> Step {
        Step {
            node, seq, total, hold, need, want: need + more, limit, revision, past, seeds, calls,
            is_edited,
        }
    }
}

impl Step {
    fn ask(&self) -> Ask {
        let mut ask = ask(self.seq, self.total, self.hold, self.need);
        if let Some(past) = self.past {
            ask = meeting(ask, past, &[]);
        }
        let quota = ask.quota.as_mut().unwrap();
        if self.is_edited {
            quota.period.start = quota.period.start.plus_ms(DAY_MS);
        }
        (quota.want, quota.limit, quota.revision) = (self.want, self.limit, self.revision);
        let seeds = self.seeds.as_ref();
        quota.seeds = seeds
            .map(|seeds| seeds.iter().map(|(node, units)| (process(*node).node, *units)).collect());
        ask.rate = self.calls.map(|(need, more, leases)| RateAsk {
            need,
            want: need + more,
            lease_ns: if leases { HOUR_NS / 2 } else { 0 },
            debt_max_ns: 0,
            ..AN_HOURLY_RATE
        });
        ask
    }
}

/// What does not depend on the moment.
fn timeless(reply: Reply) -> Reply {
    Reply { debt_ns: 0, wait_ns: 0, counting_ms: 0, ..reply }
}

#[test]
fn a_real_server_says_what_the_simulated_one_says() {
    let server = RedisServer::start();
    let config = ProptestConfig { cases: 64, ..ProptestConfig::default() };
    let histories = proptest::collection::vec(step(), 1..40);
    let result = TestRunner::new(config).run(&histories, |steps| compare(&server, &steps));
    result.unwrap();
}

/// Puts the same questions to both.
fn compare(server: &RedisServer, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut connection = connect(server);
    let () = redis::cmd("FLUSHALL").query(&mut connection).unwrap();
    let key = |name: &str| format!("tollgate:{{0}}:{name}");
    let time: (i64, i64) = redis::cmd("TIME").query(&mut connection).unwrap();
    let mut roll = redis::cmd("HSET");
    roll.arg(key("roll")).arg("since").arg(SINCE_MS);
    roll.arg("counted").arg(format!("1 {}", time.0 * 1_000));
    let () = roll.query(&mut connection).unwrap();
    let draw = redis::Script::new(include_str!("../draw.lua"));
    let simulated = simulated();
    let mut roll = Roll::default();
    for step in steps {
        let (ask, process) = (step.ask(), process(step.node));
        let mut invocation = draw.prepare_invoke();
        for name in keys(&ask) {
            invocation.key(key(&name));
        }
        for argument in ask.arguments(&process, roll.next_word()) {
            invocation.arg(argument);
        }
        let numbers: Vec<i64> = invocation.invoke(&mut connection).unwrap();
        let real = Reply::read(&numbers).unwrap();

        prop_assert_eq!(timeless(real), timeless(run_simulated(&simulated, &process, &ask)));
    }
    Ok(())
}
