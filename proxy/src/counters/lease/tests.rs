//! What of a limit passes while an answer is late, or there is none.

use tollgate_common::catalog::OutageMode;
use tollgate_common::ids::NodeId;
use tollgate_common::time::Timestamp;

use super::exchange::Process;
use super::muster::beat_arguments;
use super::roll::{Heard, Roll};
use super::simulation::server::{Script, Server};
use super::terms::{QuotaTerms, RateTerms};
use super::*;

const NODES: u64 = 3;

/// Of a plan in mode `share` that has a quota and was not called yet.
fn lease(limit: u64) -> Lease {
    let quota = Some(QuotaTerms::hard(limit, Timestamp(0)));
    let terms = Terms { quota, rate: None, outage: OutageMode::Share, revision: 1 };
    let mut lease = Lease::new(terms, 0);
    lease.enter(Period { start: Timestamp(0), end: Timestamp(1_000_000) }, 0, true);
    lease
}

/// Puts the question of a call that costs so much and does not get its answer in time.
fn ask_for_a_call(lease: &mut Lease, cost: u64) -> Ask {
    let ticket = Ticket(1);
    lease.wait(ticket, cost);
    let ask = lease.ask(NODES, &Arc::from([]), 1).expect("a call waits");
    lease.late();
    lease.leave(ticket);
    ask
}

/// An answer that grants so much of which nothing was used before.
fn granted(units: u64, limit: u64) -> Reply {
    Reply {
        status: Status::Done,
        prior_seq: 0,
        used: units as i64,
        held: units,
        units,
        calls: 0,
        debt_ns: 0,
        wait_ns: 0,
        is_leased: false,
        counting_ms: 0,
        left: limit - units,
        freeable: 0,
        is_missed: false,
    }
}

#[test]
fn while_an_answer_is_late_no_more_is_let_pass_than_was_asked_for() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 1);
    assert_eq!(ask.quota.map(|quota| quota.want), Some(1));

    assert_eq!(lease.draw_apart(1, NODES, 2), Verdict::Admitted);
    assert_eq!(lease.draw_apart(1, NODES, 3), Verdict::Unavailable);
}

#[test]
fn once_there_was_no_answer_a_part_is_had_in_full() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 1);
    lease.failed(ask.seq, 2);

    let passed = (0..30).filter(|_| lease.draw_apart(1, NODES, 3) == Verdict::Admitted).count();

    assert_eq!(passed, 10);
}

#[test]
fn a_part_is_had_in_full_however_often_the_ledger_is_asked() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 1);
    lease.failed(ask.seq, 2);
    let period = lease.period();

    let passes = |now_ns| {
        let passes = lease.draw_apart(1, NODES, now_ns) == Verdict::Admitted;
        lease.look(period, Some(0), now_ns);
        passes
    };

    assert_eq!((3..33).map(passes).filter(|passes| *passes).count(), 10);
}

#[test]
fn a_quota_that_is_used_up_apart_is_exceeded() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 1);
    lease.failed(ask.seq, 2);
    let period = lease.period();
    lease.look(period, Some(0), 3);

    let alone: Vec<Verdict> = (0..31).map(|_| lease.draw_apart(1, 1, 4)).collect();

    assert_eq!(alone[..30], [Verdict::Admitted; 30]);
    assert_eq!(alone[30], Verdict::QuotaExceeded);
}

#[test]
fn the_ledger_is_waited_for_once() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 1);
    lease.failed(ask.seq, 2);
    let [early, late] = [3, 6].map(|seconds| seconds * 1_000_000_000);

    assert_eq!(lease.draw_apart(1, NODES, early), Verdict::Admitted);
    assert!(lease.begins_to_look(early));
    assert_eq!(lease.draw_apart(1, NODES, early), Verdict::Unavailable);
    lease.look(lease.period(), Some(0), early);
    assert_eq!(lease.draw_apart(1, NODES, late), Verdict::Admitted);
    assert!(lease.begins_to_look(late));
    assert_eq!(lease.draw_apart(1, NODES, late), Verdict::Admitted);
}

#[test]
fn what_has_not_been_answered_is_not_at_rest() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 1);
    lease.failed(ask.seq, 2);
    let long_after = 100_000_000_000;

    assert!(!lease.is_at_rest(long_after));
    let ask = lease.ask(NODES, &Arc::from([]), long_after).unwrap();
    lease.answer(ask.seq, &granted(0, 30), 0, long_after);
    assert!(lease.is_at_rest(2 * long_after));
}

#[test]
fn what_was_used_before_the_answer_is_paid_from_it() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 2);
    assert_eq!(lease.draw_apart(2, NODES, 2), Verdict::Admitted);

    lease.answer(ask.seq, &granted(2, 30), 0, 3);

    assert_eq!(lease.draw(1, 4), Step::Dry, "nothing is left of the grant");
    let next = lease.ask(NODES, &Arc::from([]), 5).expect("it has something to tell");
    let quota = next.quota.expect("the plan has a quota");
    assert_eq!((quota.total, quota.hold), (2, 0));
}

/// Counters that were emptied: they add up what they are told and grant nothing yet.
#[test]
fn a_period_that_was_left_before_it_was_over_goes_on_as_it_was() {
    let mut lease = lease(30);
    let left = lease.period();
    let edited = Period { start: Timestamp(500_000), end: Timestamp(1_500_000) };
    lease.correct(left, 7);

    lease.enter(edited, 0, false);
    lease.correct(edited, 1);
    lease.correct(left, -2);
    assert_eq!(lease.quota_used(), 1);

    lease.enter(left, 0, false);
    assert_eq!(lease.quota_used(), 5);
    lease.enter(Period { start: left.end, end: Timestamp(2_000_000) }, 0, false);
    lease.enter(left, 4, false);
    assert_eq!(lease.quota_used(), 4, "what was over is known from records");
}

#[test]
fn a_soft_quota_waits_once_to_hear_which_period_is_running() {
    let mut lease = lease(30);
    let quota = Some(QuotaTerms::soft(30, Timestamp(0)));
    lease.set_terms(Terms { quota, outage: OutageMode::Strict, ..Terms::NONE }, 0);

    assert_eq!(lease.draw(1, 1), Step::Dry);
    assert_eq!(lease.draw_apart(1, NODES, 1), Verdict::Admitted, "without a word it passes");
    let ask = ask_for_a_call(&mut lease, 1);
    lease.answer(ask.seq, &granted(0, 30), 0, 2);
    assert_eq!(lease.draw(1, 3), Step::Decided(Verdict::Admitted));
}

#[test]
fn while_the_counters_count_anew_all_parts_together_are_what_was_left() {
    for used in [None, Some(120)] {
        let limit = 300;
        let mut leases: Vec<Lease> = (0..NODES).map(|_| lease(limit)).collect();
        for lease in leases.iter_mut().filter(|_| used.is_some()) {
            let ask = ask_for_a_call(lease, 1);
            let reply = Reply { used: used.unwrap_or(0), ..granted(0, limit) };
            lease.answer(ask.seq, &reply, 0, 2);
        }
        let mut told = [0; NODES as usize];
        let mut passed = 0;
        for round in 1..10 {
            let now_ns = round * 1_000_000_000;
            for (node, lease) in leases.iter_mut().enumerate() {
                let admits =
                    |lease: &mut Lease| lease.draw_apart(1, NODES, now_ns) == Verdict::Admitted;
                passed += (0..limit).take_while(|_| admits(lease)).count() as u64;
                lease.lost();
                let ask = lease.ask(NODES, &Arc::from([]), now_ns).expect("it was lost");
                told[node] = ask.quota.map_or(0, |quota| quota.total);
                let used = told.iter().sum();
                let counting = Reply { status: Status::Counting, used, ..granted(0, limit) };
                lease.answer(ask.seq, &counting, 0, now_ns);
            }
        }
        assert_eq!(passed, limit - used.unwrap_or(0) as u64, "of {used:?} used");
    }
}

#[test]
fn what_was_granted_by_another_limit_is_not_spent() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 1);
    lease.answer(ask.seq, &granted(5, 30), 0, 2);
    assert_eq!(lease.draw(1, 3), Step::Decided(Verdict::Admitted));
    lease.wait(Ticket(2), 9);
    let ask = lease.ask(NODES, &Arc::from([]), 4).expect("a call waits");
    let quota = Some(QuotaTerms::hard(2, Timestamp(0)));
    let lower = Terms { quota, rate: None, outage: OutageMode::Share, revision: 2 };

    lease.set_terms(lower, 5);

    assert_eq!(lease.draw(1, 6), Step::Dry);
    lease.answer(ask.seq, &granted(9, 30), 0, 7);
    assert_eq!(lease.draw(1, 8), Step::Dry, "nor what is granted late");
    let next = lease.ask(NODES, &Arc::from([]), 9).expect("all of it goes back");
    assert_eq!(next.quota.map(|quota| (quota.total, quota.hold)), Some((1, 0)));
}

#[test]
fn what_is_held_without_a_word_from_the_counters_is_not_spent_for_long() {
    let mut lease = lease(30);
    let ask = ask_for_a_call(&mut lease, 1);
    lease.answer(ask.seq, &granted(5, 30), 0, 2);

    let later = exchange::HOLD_NS_MAX;
    assert_eq!(lease.draw(1, later), Step::Decided(Verdict::Admitted));
    assert_eq!(lease.draw(1, later + 2), Step::Dry);
}

#[test]
fn a_call_that_costs_too_much_refuses_no_cheaper_one() {
    let mut lease = lease(30);
    lease.wait(Ticket(1), 5);
    let ask = lease.ask(NODES, &Arc::from([]), 1).expect("a call waits");
    let reply = Reply { used: 27, left: 3, ..granted(0, 30) };

    let decided = lease.answer(ask.seq, &reply, 0, 2);

    assert_eq!(decided, [(Ticket(1), Verdict::QuotaExceeded)]);
    assert_eq!(lease.draw(5, 3), Step::Decided(Verdict::QuotaExceeded));
    assert_eq!(lease.draw(4, 3), Step::Decided(Verdict::QuotaExceeded));
    assert_eq!(lease.draw(3, 3), Step::Dry, "it may be had");
}

#[test]
fn while_the_counters_count_anew_a_part_is_held_and_said_at_once() {
    let mut lease = lease(300);
    let ask = ask_for_a_call(&mut lease, 1);
    let counting = Reply { status: Status::Counting, counting_ms: 1_500, ..granted(0, 300) };
    lease.answer(ask.seq, &counting, 0, 2);

    assert_eq!(lease.draw_apart(5, NODES, 3), Verdict::Admitted);
    let told = lease.ask(NODES, &Arc::from([]), 4).expect("it has something to say");
    assert_eq!(told.quota.map(|quota| quota.total), Some(5));
    lease.answer(told.seq, &Reply { used: 5, ..counting }, 0, 5);

    let passed = (0..200).filter(|_| lease.draw_apart(1, NODES, 6) == Verdict::Admitted).count();
    assert_eq!(passed, 95);
}

#[test]
fn a_part_that_nobody_would_hear_of_in_time_is_not_taken() {
    let mut lease = lease(300);
    let ask = ask_for_a_call(&mut lease, 1);
    let counting = Reply { status: Status::Counting, counting_ms: 1_500, ..granted(0, 300) };
    lease.answer(ask.seq, &counting, 0, 0);

    assert_eq!(lease.draw_apart(1, NODES, 1_450 * MS), Verdict::Unavailable);
}

/// A gateway that counts a rate with others, and is called all the time.
struct Gateway {
    lease: Lease,
    roll: Roll,
    process: Process,
}

impl Gateway {
    fn beat(&mut self, server: &Server) {
        let word = self.roll.next_word();
        let arguments = beat_arguments(&format!("{}:1", self.process.node), word);
        let numbers = server.run(Script::Beat, &["roll".to_owned()], &arguments);
        self.roll.hear(word, Heard::read(&numbers).unwrap());
    }

    /// A call, over counters that answer or not.
    fn call(&mut self, server: Option<&Server>, nodes: u64, now_ns: u64) -> Verdict {
        match self.lease.draw(1, now_ns) {
            Step::Decided(verdict) => return verdict,
            Step::Dry if self.lease.stands_apart(now_ns) => {
                return self.lease.draw_apart(1, nodes, now_ns);
            }
            Step::Dry => self.lease.wait(Ticket(1), 1),
        }
        let ask = self.lease.ask(nodes, &Arc::from([]), now_ns).expect("a call waits");
        let mut decided = Vec::new();
        match server {
            Some(server) => {
                let keys = ["roll", "quota", "rate"].map(str::to_owned);
                let arguments = ask.arguments(&self.process, self.roll.next_word());
                let reply = Reply::read(&server.run(Script::Draw, &keys, &arguments)).unwrap();
                decided = self.lease.answer(ask.seq, &reply, 0, now_ns);
            }
            None => self.lease.failed(ask.seq, now_ns),
        }
        decided.extend(self.lease.forsake(nodes, now_ns));
        decided[0].1
    }
}

#[test]
fn a_rate_gives_no_burst_again_each_time_the_counters_are_back() {
    const SECOND_NS: u64 = 1_000 * MS;
    let (limit, burst, seconds) = (600, 100, 70);
    let rate = RateTerms::new(limit.try_into().unwrap(), burst.try_into().unwrap());
    let terms = Terms { rate: Some(rate), outage: OutageMode::Share, ..Terms::NONE };
    for nodes in [1, 3] {
        let server = Server::new();
        server.set("roll", "since", 0);
        let gateway = |node| Gateway {
            lease: Lease::new(terms, 0),
            roll: Roll::default(),
            process: Process { node: NodeId::from_bytes([node; 16]), epoch: 1 },
        };
        let mut gateways: Vec<Gateway> = (0..nodes).map(gateway).collect();
        let mut passed = 0;
        for now_ns in (SECOND_NS..seconds * SECOND_NS).step_by(20 * MS as usize) {
            server.set_clock((now_ns / 1_000) as i64 + 10_000_000);
            // Every other ten seconds they hang.
            let reached = (now_ns / (10 * SECOND_NS)).is_multiple_of(2).then_some(&server);
            for gateway in &mut gateways {
                if now_ns % (400 * MS) == 0 && reached.is_some() {
                    gateway.beat(&server);
                }
                let verdict = gateway.call(reached, u64::from(nodes), now_ns);
                passed += u64::from(verdict == Verdict::Admitted);
            }
        }

        let by_rule = u64::from(burst) + u64::from(limit) * (seconds - 1) / 60;
        // They are not back in the same moment.
        let bounds = by_rule - 60..=by_rule + 10;
        assert!(bounds.contains(&passed), "{passed} of {by_rule} with {nodes} gateways");
    }
}
