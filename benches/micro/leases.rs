//! What sharing a limit asks of the counters, by how many gateways there are and how often they are called: the real
//! rules of leases and the real script, on a simulated clock and network. It backs the arithmetic of `docs/scaling.md`.

#[expect(dead_code, clippy::unwrap_used, reason = "it is a test's, and that uses more of it")]
#[path = "../../proxy/src/counters/lease/simulation/server.rs"]
mod server;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::sync::Arc;

use server::{Script, Server};
use tollgate_common::catalog::OutageMode;
use tollgate_common::ids::NodeId;
use tollgate_common::period::Period;
use tollgate_common::time::Timestamp;
use tollgate_proxy::counters::Verdict;
use tollgate_proxy::counters::lease::exchange::{Ask, Process, Reply};
use tollgate_proxy::counters::lease::roll::Word;
use tollgate_proxy::counters::lease::terms::{QuotaTerms, RateTerms, Terms};
use tollgate_proxy::counters::lease::{Lease, Step, Ticket};
use tollgate_test_support::chance::Chance;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

const START_MS: i64 = 1_793_000_000_000;
const DAY_MS: i64 = 86_400_000;
const PERIOD: Period =
    Period { start: Timestamp(START_MS - DAY_MS), end: Timestamp(START_MS + 29 * DAY_MS) };

/// How often a lease is looked after that no call looks after, as in a gateway.
const SWEEP_EVERY: u64 = 100 * MS;

/// A question takes so long to the server, and its answer as long back: a local network.
const WAY_NS: (u64, u64) = (50_000, 250_000);

/// Calls of the first second begin what the others are measured in.
const WARM_UP: u64 = SECOND;
const MEASURED: u64 = 10 * SECOND;

const AMPLE: u64 = 1_000_000_000_000;

fn main() {
    ahead();
    to_the_last();
    flooded();
}

/// Ample limits: what is asked while nobody is near one.
#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn ahead() {
    println!(
        "| gateways | calls/s of each | questions/s of each | per 100 calls | calls that waited | held |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for (gateways, calls_per_second) in [
        (3, 1),
        (3, 10),
        (3, 30),
        (3, 100),
        (3, 1_000),
        (3, 10_000),
        (100, 10),
        (100, 100),
        (100, 1_000),
        (1_000, 10),
        (1_000, 100),
    ] {
        let case = Case { gateways, calls_per_second, quota: AMPLE, rate: 1_000_000_000 };
        let mut fleet = Fleet::new(case);
        fleet.until(WARM_UP);
        fleet.seen = Seen::default();
        fleet.until(WARM_UP + MEASURED);
        let seen = &fleet.seen;
        let each = seen.questions as f64 / (MEASURED / SECOND) as f64 / gateways as f64;
        println!(
            "| {gateways} | {calls_per_second} | {each:.1} | {:.2} | {:.2} % | {} |",
            share(seen.questions, seen.admitted),
            share(seen.waited, seen.admitted),
            fleet.outstanding(),
        );
    }
}

/// A quota that is used up: how much of it, and what is refused before.
#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn to_the_last() {
    println!(
        "\n| gateways | calls/s of each | quota | admitted | refused before the last was admitted | questions per 100 calls |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for (gateways, calls_per_second, quota) in [
        (3, 10, 200),
        (3, 1_000, 10_000),
        (3, 1_000, 100_000),
        (100, 100, 50_000),
        (1_000, 10, 50_000),
    ] {
        let mut fleet = Fleet::new(Case { gateways, calls_per_second, quota, rate: 1_000_000_000 });
        fleet.until(60 * SECOND);
        let seen = &fleet.seen;
        assert!(seen.admitted <= quota, "{} of {quota} were admitted", seen.admitted);
        println!(
            "| {gateways} | {calls_per_second} | {quota} | {} | {} | {:.2} |",
            seen.admitted,
            seen.refused_early,
            share(seen.questions, seen.calls),
        );
    }
}

/// Ten times as many calls as the rate lets pass.
#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn flooded() {
    println!(
        "\n| gateways | calls/s of each | rate/min | admitted of what the rate allows | questions per 100 refusals |"
    );
    println!("|---:|---:|---:|---:|---:|");
    for (gateways, calls_per_second) in [(3, 100), (3, 1_000), (3, 10_000), (100, 100)] {
        let rate = gateways as u32 * calls_per_second as u32 * 60 / 10;
        let mut fleet = Fleet::new(Case { gateways, calls_per_second, quota: AMPLE, rate });
        // A minute's burst is behind them by then.
        fleet.until(90 * SECOND);
        fleet.seen = Seen::default();
        fleet.until(90 * SECOND + MEASURED);
        let seen = &fleet.seen;
        let allowed = u64::from(rate) * MEASURED / (60 * SECOND);
        println!(
            "| {gateways} | {calls_per_second} | {rate} | {:.1} % | {:.2} |",
            share(seen.admitted, allowed),
            share(seen.questions, seen.calls - seen.admitted),
        );
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

#[derive(Clone, Copy)]
struct Case {
    gateways: usize,
    calls_per_second: u64,
    quota: u64,
    /// Calls per minute, a minute's worth of them at once.
    rate: u32,
}

#[derive(Default)]
struct Seen {
    calls: u64,
    admitted: u64,
    waited: u64,
    questions: u64,
    refused: u64,
    /// Refusals so far when a call was last admitted.
    refused_early: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call { gateway: usize },
    Sweep { gateway: usize },
    Arrives { gateway: usize, ask: usize },
    Answered { gateway: usize, seq: u64, numbers: Vec<i64> },
}

struct Fleet {
    case: Case,
    chance: Chance,
    server: Server,
    leases: Vec<Lease>,
    /// Questions on their way, each in a place that is used again.
    asks: Vec<Option<Ask>>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    count: u64,
    now_ns: u64,
    next_ticket: u64,
    seen: Seen,
}

impl Fleet {
    fn new(case: Case) -> Self {
        let rate = NonZeroU32::new(case.rate).expect("a rate lets something pass");
        let terms = Terms {
            quota: Some(QuotaTerms::hard(case.quota, PERIOD.start)),
            rate: Some(RateTerms::new(rate, rate)),
            outage: OutageMode::Strict,
            revision: 1,
        };
        let server = Server::new();
        // The counters have been there for long.
        server.set("roll", "since", START_MS - 40 * DAY_MS);
        let mut lease = Lease::new(terms, 0);
        lease.enter(PERIOD, 0, true);
        let mut fleet = Self {
            case,
            chance: Chance::new(case.gateways as u64 * 7 + case.calls_per_second),
            server,
            leases: vec![lease; case.gateways],
            asks: Vec::new(),
            events: BinaryHeap::new(),
            count: 0,
            now_ns: 0,
            next_ticket: 0,
            seen: Seen::default(),
        };
        for gateway in 0..case.gateways {
            let phase_ns = fleet.chance.within(0, SWEEP_EVERY);
            fleet.after(phase_ns, Event::Sweep { gateway });
            fleet.call_later(gateway);
        }
        fleet
    }

    fn until(&mut self, end_ns: u64) {
        while self.events.peek().is_some_and(|Reverse((at_ns, _, _))| *at_ns < end_ns) {
            let Some(Reverse((at_ns, _, event))) = self.events.pop() else { return };
            self.now_ns = at_ns;
            self.happen(event);
        }
        self.now_ns = end_ns;
    }

    fn after(&mut self, wait_ns: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now_ns + wait_ns, self.count, event)));
    }

    fn way_ns(&mut self) -> u64 {
        self.chance.within(WAY_NS.0, WAY_NS.1)
    }

    /// A gateway's own clock, which never shows nothing.
    fn clock_ns(&self) -> u64 {
        SECOND + self.now_ns
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Call { gateway } => {
                self.call_later(gateway);
                self.call(gateway);
            }
            Event::Sweep { gateway } => {
                self.after(SWEEP_EVERY, Event::Sweep { gateway });
                let now_ns = self.clock_ns();
                let lease = &mut self.leases[gateway];
                if lease.asks_ahead(now_ns) || lease.is_due(now_ns) {
                    self.ask(gateway);
                }
            }
            Event::Arrives { gateway, ask } => self.arrive(gateway, ask),
            Event::Answered { gateway, seq, numbers } => self.hear(gateway, seq, &numbers),
        }
    }

    /// Calls come with any gap up to twice the usual one.
    fn call_later(&mut self, gateway: usize) {
        let gap_ns = SECOND / self.case.calls_per_second;
        let wait_ns = self.chance.within(0, 2 * gap_ns);
        self.after(wait_ns, Event::Call { gateway });
    }

    fn call(&mut self, gateway: usize) {
        let now_ns = self.clock_ns();
        self.seen.calls += 1;
        match self.leases[gateway].draw(1, now_ns) {
            Step::Decided(verdict) => self.decide(verdict),
            Step::Dry => {
                self.seen.waited += 1;
                self.next_ticket += 1;
                self.leases[gateway].wait(Ticket(self.next_ticket), 1);
            }
        }
        if self.leases[gateway].asks_ahead(now_ns) {
            self.ask(gateway);
        }
    }

    fn decide(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Admitted => {
                self.seen.admitted += 1;
                self.seen.refused_early = self.seen.refused;
            }
            Verdict::RateExceeded | Verdict::QuotaExceeded => self.seen.refused += 1,
            Verdict::Unavailable => unreachable!("the counters always answer"),
        }
    }

    fn ask(&mut self, gateway: usize) {
        let (gateways, now_ns) = (self.case.gateways as u64, self.clock_ns());
        let Some(ask) = self.leases[gateway].ask(gateways, &Arc::from([]), now_ns) else { return };
        self.seen.questions += 1;
        let place = self.asks.iter().position(Option::is_none).unwrap_or(self.asks.len());
        match self.asks.get_mut(place) {
            Some(free) => *free = Some(ask),
            None => self.asks.push(Some(ask)),
        }
        let wait_ns = self.way_ns();
        self.after(wait_ns, Event::Arrives { gateway, ask: place });
    }

    fn arrive(&mut self, gateway: usize, place: usize) {
        let Some(ask) = self.asks[place].take() else { return };
        let process = Process { node: node_id(gateway), epoch: 1 };
        let keys = ["roll", "quota", "rate"].map(str::to_owned);
        self.server.set_clock(START_MS * 1_000 + (self.now_ns / 1_000) as i64);
        let arguments = ask.arguments(&process, Word::default());
        let numbers = self.server.run(Script::Draw, &keys, &arguments);
        let wait_ns = self.way_ns();
        self.after(wait_ns, Event::Answered { gateway, seq: ask.seq, numbers });
    }

    fn hear(&mut self, gateway: usize, seq: u64, numbers: &[i64]) {
        let reply = Reply::read(numbers).expect("the script's answer makes sense");
        let (chance, now_ns) = (self.chance.word() as u32, self.clock_ns());
        for (_, verdict) in self.leases[gateway].answer(seq, &reply, chance, now_ns) {
            self.decide(verdict);
        }
        if self.leases[gateway].asks_ahead(now_ns) {
            self.ask(gateway);
        }
    }

    /// What all hold: as much could pass over a limit if the counters lost everything now.
    fn outstanding(&self) -> u64 {
        self.leases.iter().map(|lease| lease.outstanding(self.clock_ns())).sum()
    }
}

fn node_id(gateway: usize) -> NodeId {
    NodeId::from_bytes((gateway as u128 + 1).to_be_bytes())
}
