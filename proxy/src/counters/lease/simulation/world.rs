//! One history: gateways, their calls and disks, the network, the ledger and the counters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use tollgate_common::catalog::OutageMode;
use tollgate_common::ids::NodeId;
use tollgate_common::period::Period;
use tollgate_common::time::Timestamp;
use tollgate_test_support::chance::Chance;

use super::server::{Script, Server};
use crate::counters::Verdict;
use crate::counters::lease::exchange::{Ask, Process, ROLL_CALL_MS, Reply};
use crate::counters::lease::muster::beat_arguments;
use crate::counters::lease::roll::{Heard, Roll, Word};
use crate::counters::lease::terms::{QuotaTerms, RateTerms, Terms};
use crate::counters::lease::{Lease, Step, Ticket};

const MS: u64 = 1_000_000;
const NODES: usize = 3;

/// What a call may wait, and what an answer may take.
const BUDGET_NS: u64 = 20 * MS;
const ANSWER_NS_MAX: u64 = 250 * MS;
const SWEEP_NS: u64 = 100 * MS;
const BEAT_NS: u64 = 400 * MS;

/// The wall at the beginning.
const START_MS: i64 = 1_793_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// Where the period began that is running then, where none turns.
const FIRST_START_MS: i64 = START_MS - 10 * DAY_MS;

/// Calls come for so long; then all is healed, and left alone until it is at rest.
const CALLS_NS: u64 = 12_000 * MS;
const REST_NS: u64 = 8_000 * MS;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub outage: OutageMode,
    pub has_rate: bool,
    pub loses_messages: bool,
    pub crashes: bool,
    pub goes_away: bool,
    pub empties: bool,
    pub puts_back: bool,
    pub clock_jumps: bool,
    pub turns_period: bool,
    pub edits_calendar: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            outage: OutageMode::Strict,
            has_rate: false,
            loses_messages: false,
            crashes: false,
            goes_away: false,
            empties: false,
            puts_back: false,
            clock_jumps: false,
            turns_period: false,
            edits_calendar: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call { node: usize },
    Timeout { node: usize, life: u64, ticket: u64 },
    Ended { node: usize, life: u64, period: i64, cost: i64 },
    Arrives { node: usize, life: u64, question: u64 },
    Answered { node: usize, life: u64, question: u64, numbers: Vec<i64>, at_ns: u64 },
    Unanswered { node: usize, life: u64, seq: u64 },
    Seeded { node: usize, life: u64, seeds: Vec<(usize, i64)>, begun: BTreeMap<i64, i64> },
    Sweep { node: usize },
    Beat { node: usize },
    BeatHeard { node: usize, life: u64, beat: u64, numbers: Vec<i64> },
    Deliver { node: usize },
    Start { node: usize },
    Edit,
    EditBack,
    Fault,
    Heal,
    Snapshot,
}

struct Node {
    life: u64,
    is_up: bool,
    lease: Lease,
    /// The period that it was told of is not left before.
    stays_until_ns: u64,
    roll: Roll,
    nodes: u64,
    questions: HashMap<u64, (Ask, Word)>,
    beats: HashMap<u64, Word>,
    tickets: HashMap<u64, i64>,
    /// Durable: units by start of the period, of all lives.
    journal: BTreeMap<i64, i64>,
    /// What the ledger has of it.
    delivered: BTreeMap<i64, i64>,
    /// Calls that are under way, by period.
    in_flight: BTreeMap<i64, i64>,
    skew_ms: i64,
    /// Parts in a million by which its clock is fast.
    drift: i64,
}

pub struct World {
    plan: Plan,
    chance: Chance,
    server: Server,
    nodes: Vec<Node>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    count: u64,
    now_ns: u64,
    terms: Terms,
    limit: u64,
    period_ms: i64,
    /// Where the period begins by the calendar that was edited, and where the one before ends.
    edited_start_ms: Option<i64>,
    first_end_ms: i64,
    clock_off_us: i64,
    is_away: bool,
    is_healed: bool,
    kept: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// What may pass over the limit, by period: units that upstreams stated on top, and what was
    /// lost.
    over: BTreeMap<i64, i64>,
    lost_bound: i64,
    /// When calls passed, by the server's time where it decided.
    passed_at: Vec<u64>,
    admitted: u64,
    next_ticket: u64,
    next_question: u64,
    weights: [u64; NODES],
    calls_per_second: u64,
}

impl World {
    pub fn new(seed: u64, plan: Plan) -> Self {
        let mut chance = Chance::new(seed);
        let limit = [40, 300, 1_000, 5_000][chance.within(0, 4) as usize];
        let rate = plan.has_rate.then(|| {
            let limit = [60, 600, 6_000, 60_000][chance.within(0, 4) as usize];
            let burst = [1, 5, limit / 10, limit][chance.within(0, 4) as usize];
            RateTerms::new(limit.try_into().unwrap(), burst.try_into().unwrap())
        });
        let unused_until = Timestamp(START_MS - DAY_MS);
        let terms = Terms {
            quota: Some(QuotaTerms::hard(limit, unused_until)),
            rate,
            outage: plan.outage,
            revision: 7,
        };
        let period_ms = if plan.turns_period { 4_000 } else { 30 * DAY_MS };
        let ends_early = plan.edits_calendar && chance.happens(500);
        let first_end_ms = match ends_early {
            true => START_MS + chance.within(6_000, 10_000) as i64,
            false => FIRST_START_MS + period_ms,
        };
        let server = Server::new();
        server.set_clock(START_MS * 1_000);
        // The counters have been there for long.
        server.set("roll", "since", START_MS - 40 * DAY_MS);
        let nodes = (0..NODES).map(|_| Node {
            life: 1,
            is_up: true,
            lease: Lease::new(terms, 0),
            stays_until_ns: 0,
            roll: Roll::default(),
            nodes: 1,
            questions: HashMap::new(),
            beats: HashMap::new(),
            tickets: HashMap::new(),
            journal: BTreeMap::new(),
            delivered: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            skew_ms: chance.within(0, 60) as i64 - 30,
            drift: chance.within(0, 400) as i64 - 200,
        });
        let nodes = nodes.collect();
        let weights = match chance.within(0, 3) {
            0 => [1, 1, 1],
            1 => [20, 3, 1],
            _ => [50, 1, 0],
        };
        let calls_per_second = [20, 200, 1_000][chance.within(0, 3) as usize];
        Self {
            plan,
            chance,
            server,
            nodes,
            events: BinaryHeap::new(),
            count: 0,
            now_ns: 0,
            terms,
            limit,
            period_ms,
            edited_start_ms: None,
            first_end_ms,
            clock_off_us: 0,
            is_away: false,
            is_healed: false,
            kept: None,
            over: BTreeMap::new(),
            lost_bound: 0,
            passed_at: Vec::new(),
            admitted: 0,
            next_ticket: 0,
            next_question: 0,
            weights,
            calls_per_second,
        }
    }

    pub fn run(mut self) {
        for node in 0..NODES {
            let phase = self.chance.within(0, 100) * MS;
            self.at(phase, Event::Sweep { node });
            self.at(phase, Event::Beat { node });
            self.at(phase, Event::Deliver { node });
        }
        if self.plan.edits_calendar {
            let at_ns = self.chance.within(300, 6_000) * MS;
            self.at(at_ns, Event::Edit);
            if self.chance.happens(300) {
                let wait_ns = self.chance.within(300, 6_000) * MS;
                self.at(at_ns + wait_ns, Event::EditBack);
            }
        }
        self.at(0, Event::Fault);
        self.at(0, Event::Snapshot);
        // The first beats are before the first calls.
        self.after_next_call(300 * MS);
        self.at(CALLS_NS, Event::Heal);
        self.until(CALLS_NS + REST_NS);
        self.check_rate();
        self.check_rest();
        self.use_the_rest();
    }

    fn until(&mut self, end_ns: u64) {
        while self.events.peek().is_some_and(|Reverse((at, _, _))| *at < end_ns) {
            let Reverse((at_ns, _, event)) = self.events.pop().unwrap();
            self.now_ns = at_ns;
            self.server.set_clock(self.server_us());
            self.happen(event);
        }
        self.now_ns = end_ns;
    }

    fn at(&mut self, at_ns: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at_ns, self.count, event)));
    }

    fn after(&mut self, wait_ns: u64, event: Event) {
        self.at(self.now_ns + wait_ns, event);
    }

    fn server_us(&self) -> i64 {
        START_MS * 1_000 + (self.now_ns / 1_000) as i64 + self.clock_off_us
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Call { node } => {
                if self.now_ns < CALLS_NS {
                    self.after_next_call(0);
                }
                self.call(node, 1);
            }
            Event::Timeout { node, life, ticket } => self.time_out(node, life, ticket),
            Event::Ended { node, life, period, cost } => self.end(node, life, period, cost),
            Event::Arrives { node, life, question } => self.arrive(node, life, question),
            Event::Answered { node, life, question, numbers, at_ns } => {
                self.hear(node, life, question, &numbers, at_ns);
            }
            Event::Unanswered { node, life, seq } => {
                if self.lives(node, life) {
                    let now_ns = self.clock(node);
                    self.nodes[node].lease.failed(seq, now_ns);
                    self.go_on(node);
                }
            }
            Event::Seeded { node, life, seeds, begun } => self.seed(node, life, &seeds, &begun),
            Event::Sweep { node } => {
                self.after(SWEEP_NS, Event::Sweep { node });
                let now_ns = self.clock(node);
                let one = &mut self.nodes[node];
                if one.is_up && (one.lease.asks_ahead(now_ns) || one.lease.is_due(now_ns)) {
                    self.ask(node);
                }
            }
            Event::Beat { node } => self.beat(node),
            Event::BeatHeard { node, life, beat, numbers } => {
                self.hear_beat(node, life, beat, &numbers);
            }
            Event::Deliver { node } => {
                let wait_ns = self.chance.within(100, 900) * MS;
                self.after(wait_ns, Event::Deliver { node });
                if self.nodes[node].is_up {
                    self.nodes[node].delivered = self.nodes[node].journal.clone();
                }
            }
            Event::Start { node } => self.start(node),
            Event::Edit => {
                // The new calendar has begun its period later, or earlier.
                let days = [5, 15][self.chance.within(0, 2) as usize];
                self.edited_start_ms = Some(START_MS - days * DAY_MS);
            }
            Event::EditBack => self.edited_start_ms = None,
            Event::Fault => self.fault(),
            Event::Heal => {
                self.is_healed = true;
                self.is_away = false;
                for node in 0..NODES {
                    if !self.nodes[node].is_up {
                        self.start(node);
                    }
                }
            }
            Event::Snapshot => {
                self.kept = Some(self.server.keep());
                let wait_ns = self.chance.within(100, 700) * MS;
                self.after(wait_ns, Event::Snapshot);
            }
        }
    }

    fn after_next_call(&mut self, wait_ns: u64) {
        let gap_ns = 1_000 * MS / self.calls_per_second;
        let sum: u64 = self.weights.iter().sum();
        let mut pick = self.chance.within(0, sum);
        let mut node = 0;
        while pick >= self.weights[node] {
            pick -= self.weights[node];
            node += 1;
        }
        let wait_ns = wait_ns + self.chance.within(0, 2 * gap_ns);
        self.after(wait_ns, Event::Call { node });
    }

    /// The monotonic clock of a node.
    fn clock(&self, node: usize) -> u64 {
        let drift = self.nodes[node].drift;
        (self.now_ns as i64 + self.now_ns as i64 / 1_000_000 * drift) as u64 + 1_000 * MS
    }

    fn period(&self, node: usize) -> Period {
        let wall_ms = self.wall(node).0;
        let number = (wall_ms - START_MS).div_euclid(self.period_ms);
        let start = match self.edited_start_ms {
            Some(edited) => edited,
            None if self.plan.edits_calendar && wall_ms >= self.first_end_ms => self.first_end_ms,
            None if self.period_ms > DAY_MS => FIRST_START_MS,
            None => START_MS + number.max(0) * self.period_ms,
        };
        self.period_from(start)
    }

    fn period_from(&self, start: i64) -> Period {
        let is_first = start == FIRST_START_MS && self.plan.edits_calendar;
        let end = if is_first { self.first_end_ms } else { start + self.period_ms };
        Period { start: Timestamp(start), end: Timestamp(end) }
    }

    fn wall(&self, node: usize) -> Timestamp {
        Timestamp(START_MS + (self.now_ns / MS) as i64 + self.nodes[node].skew_ms)
    }

    fn lives(&self, node: usize, life: u64) -> bool {
        self.nodes[node].is_up && self.nodes[node].life == life
    }

    fn enter(&mut self, node: usize) {
        let current = self.period(node);
        let one = &self.nodes[node];
        if !self.plan.edits_calendar {
            if current.start > one.lease.period().start {
                self.enter_period(node, current);
            }
            return;
        }
        let (wall, known) = (self.wall(node), one.lease.period());
        if known.contains(wall) || self.clock(node) < one.stays_until_ns {
            return;
        }
        let period = self.running(&one.journal, wall).unwrap_or(current);
        self.enter_period(node, period);
        if period != current {
            self.nodes[node].lease.inquire_of_period();
        }
    }

    /// Of the periods that were begun the one that runs, by the units that were counted in each.
    fn running(&self, begun: &BTreeMap<i64, i64>, wall: Timestamp) -> Option<Period> {
        let begun = begun.iter().map(|(start, units)| (units, self.period_from(*start)));
        let running = begun.filter(|(_, period)| period.contains(wall));
        running.max_by_key(|(units, period)| (*units, period.start)).map(|(_, period)| period)
    }

    fn go_on_in(&mut self, node: usize, period: Period) {
        self.enter_period(node, period);
        let stays_until_ns = self.clock(node) + 1_000 * MS;
        let one = &mut self.nodes[node];
        one.lease.confirm_period();
        one.stays_until_ns = stays_until_ns;
    }

    fn enter_period(&mut self, node: usize, period: Period) {
        let one = &mut self.nodes[node];
        let of = |map: &BTreeMap<i64, i64>| map.get(&period.start.0).copied().unwrap_or(0);
        let past = of(&one.journal) + of(&one.in_flight);
        one.lease.enter(period, past, false);
    }

    fn call(&mut self, node: usize, cost: u64) {
        if !self.nodes[node].is_up {
            return;
        }
        self.enter(node);
        let now_ns = self.clock(node);
        let one = &mut self.nodes[node];
        match one.lease.draw(cost, now_ns) {
            Step::Decided(verdict) => self.decide(node, cost as i64, verdict, self.now_ns),
            Step::Dry if one.lease.stands_apart(now_ns) => {
                let verdict = one.lease.draw_apart(cost, one.nodes, now_ns);
                self.decide(node, cost as i64, verdict, self.now_ns);
            }
            Step::Dry => {
                self.next_ticket += 1;
                let ticket = self.next_ticket;
                one.lease.wait(Ticket(ticket), cost);
                one.tickets.insert(ticket, cost as i64);
                let life = one.life;
                self.after(BUDGET_NS, Event::Timeout { node, life, ticket });
            }
        }
        if self.nodes[node].lease.asks_ahead(now_ns) {
            self.ask(node);
        }
    }

    fn time_out(&mut self, node: usize, life: u64, ticket: u64) {
        if !self.lives(node, life) {
            return;
        }
        let now_ns = self.clock(node);
        let one = &mut self.nodes[node];
        if one.lease.leave(Ticket(ticket)) {
            one.lease.late();
            let cost = one.tickets.remove(&ticket).unwrap();
            let verdict = one.lease.draw_apart(cost as u64, one.nodes, now_ns);
            self.decide(node, cost, verdict, self.now_ns);
        }
    }

    fn decide(&mut self, node: usize, cost: i64, verdict: Verdict, at_ns: u64) {
        if verdict != Verdict::Admitted {
            return;
        }
        self.admitted += 1;
        let one = &mut self.nodes[node];
        let period = one.lease.period().start.0;
        *one.in_flight.entry(period).or_default() += cost;
        let life = one.life;
        self.check_quota(period);
        self.note_passed(at_ns);
        let wait_ns = self.chance.within(1, 200) * MS;
        self.after(wait_ns, Event::Ended { node, life, period, cost });
    }

    /// A call ends: counted, not counted, or counted as more or less than it was drawn.
    fn end(&mut self, node: usize, life: u64, period: i64, cost: i64) {
        if !self.lives(node, life) {
            return;
        }
        let units = match self.chance.within(0, 20) {
            0 | 1 => 0,
            2 => cost + 2,
            _ => cost,
        };
        *self.over.entry(period).or_default() += (units - cost).max(0);
        let whole = Period { start: Timestamp(period), end: Timestamp(period + self.period_ms) };
        let one = &mut self.nodes[node];
        *one.in_flight.get_mut(&period).unwrap() -= cost;
        *one.journal.entry(period).or_default() += units;
        one.lease.correct(whole, units - cost);
        self.check_quota(period);
    }

    /// Before and after the calendar is edited it is one quota, until the period ends that was counted in.
    fn counts_in(&self, start: i64, period: i64) -> bool {
        // By the clock of the first that has it end.
        let goes_on = START_MS + ((self.now_ns / MS) as i64) < self.first_end_ms - 40;
        start == period || (self.plan.edits_calendar && goes_on)
    }

    fn used(&self, period: i64) -> i64 {
        let of = |map: &BTreeMap<i64, i64>| {
            map.iter()
                .filter(|(start, _)| self.counts_in(**start, period))
                .map(|of| of.1)
                .sum::<i64>()
        };
        self.nodes.iter().map(|node| of(&node.journal) + of(&node.in_flight)).sum()
    }

    fn check_quota(&self, period: i64) {
        if self.plan.outage != OutageMode::Strict {
            return;
        }
        let over = self.over.iter().filter(|(start, _)| self.counts_in(**start, period));
        let over = over.map(|of| of.1).sum::<i64>() + self.lost_bound;
        let used = self.used(period);
        assert!(
            used <= self.limit as i64 + over,
            "{used} of {} and {over} at {} ms",
            self.limit,
            self.now_ns / MS
        );
    }

    fn note_passed(&mut self, at_ns: u64) {
        if self.plan.outage == OutageMode::Strict && !self.plan.clock_jumps {
            self.passed_at.push(at_ns);
        }
    }

    /// Over any span no more than the burst and the rate: a bucket that leaks exactly so. Gateways
    /// hear of what they were granted in another order than it was granted in.
    fn check_rate(&mut self) {
        let Some(rate) = self.terms.rate else { return };
        self.passed_at.sort_unstable();
        let (mut debt_ns, mut last_ns) = (0, 0);
        for at_ns in self.passed_at.drain(..) {
            debt_ns = u64::saturating_sub(debt_ns, at_ns - last_ns) + rate.interval_ns;
            last_ns = at_ns;
            // The server's clock has whole microseconds, and the gateways' run at other speeds.
            assert!(
                debt_ns <= rate.window_ns + 2_000,
                "the rate is passed by {} ns at {} ms",
                debt_ns - rate.window_ns,
                at_ns / MS
            );
        }
    }

    fn keys(start: i64) -> [String; 4] {
        ["roll".to_owned(), format!("quota:{start}"), "rate".to_owned(), "period".to_owned()]
    }

    fn process(&self, node: usize, life: u64) -> Process {
        Process { node: node_id(node), epoch: life }
    }

    fn ask(&mut self, node: usize) {
        self.enter(node);
        let now_ns = self.clock(node);
        let one = &mut self.nodes[node];
        let Some(ask) = one.lease.ask(one.nodes, &Arc::from([]), now_ns) else { return };
        let (life, seq) = (one.life, ask.seq);
        self.next_question += 1;
        let question = self.next_question;
        one.questions.insert(question, (ask, one.roll.next_word()));
        self.after(ANSWER_NS_MAX, Event::Unanswered { node, life, seq });
        if self.is_lost() {
            return;
        }
        let wait_ns = self.latency();
        self.after(wait_ns, Event::Arrives { node, life, question });
        if !self.is_healed && self.plan.loses_messages && self.chance.happens(30) {
            // The same once more, perhaps much later.
            let wait_ns = self.chance.within(1, 600) * MS;
            self.after(wait_ns, Event::Arrives { node, life, question });
        }
    }

    fn is_lost(&mut self) -> bool {
        self.is_away || (!self.is_healed && self.plan.loses_messages && self.chance.happens(40))
    }

    fn latency(&mut self) -> u64 {
        match self.chance.within(0, 50) {
            0 if self.plan.loses_messages && !self.is_healed => self.chance.within(1, 400) * MS,
            1..=5 => self.chance.within(200, 9_000) * 1_000,
            _ => self.chance.within(30, 300) * 1_000,
        }
    }

    fn arrive(&mut self, node: usize, life: u64, question: u64) {
        // A question is on its way also when its sender is dead by now.
        let Some((ask, word)) = self.nodes[node].questions.get(&question).cloned() else { return };
        if self.is_away {
            return;
        }
        let process = self.process(node, life);
        let start = ask.quota.as_ref().unwrap().period.start.0;
        let numbers =
            self.server.run(Script::Draw, &Self::keys(start), &ask.arguments(&process, word));
        if self.is_lost() {
            return;
        }
        let at_ns = self.now_ns;
        let wait_ns = self.latency();
        self.after(wait_ns, Event::Answered { node, life, question, numbers, at_ns });
    }

    fn hear(&mut self, node: usize, life: u64, question: u64, numbers: &[i64], at_ns: u64) {
        if !self.lives(node, life) {
            return;
        }
        let now_ns = self.clock(node);
        let (ask, word) = &self.nodes[node].questions[&question];
        let (seq, word) = (ask.seq, *word);
        let reply = Reply::read(numbers).expect("the script's answer makes sense");
        if reply.is_kept() {
            self.nodes[node].roll.acknowledge(word);
        }
        let chance = self.chance.word() as u32;
        let decided = self.nodes[node].lease.answer(seq, &reply, chance, now_ns);
        for (Ticket(ticket), verdict) in decided {
            let cost = self.nodes[node].tickets.remove(&ticket).unwrap();
            self.decide(node, cost, verdict, at_ns);
        }
        if let Some(period) = self.nodes[node].lease.take_other_period() {
            self.go_on_in(node, period);
        }
        if self.nodes[node].lease.is_unseeded() {
            self.ask_ledger(node, life);
        }
        self.go_on(node);
    }

    /// What follows an answer, or that there was none.
    fn go_on(&mut self, node: usize) {
        let now_ns = self.clock(node);
        let one = &mut self.nodes[node];
        if one.lease.stands_apart(now_ns) {
            let nodes = one.nodes;
            for (Ticket(ticket), verdict) in one.lease.forsake(nodes, now_ns) {
                let cost = self.nodes[node].tickets.remove(&ticket).unwrap();
                self.decide(node, cost, verdict, self.now_ns);
            }
        }
        if self.nodes[node].lease.asks_ahead(now_ns) {
            self.ask(node);
        }
    }

    fn ask_ledger(&mut self, node: usize, life: u64) {
        let start = self.nodes[node].lease.period().start.0;
        let seeds = self.nodes.iter().enumerate();
        let seeds =
            seeds.map(|(node, one)| (node, one.delivered.get(&start).copied().unwrap_or(0)));
        let seeds = seeds.collect();
        let mut begun = BTreeMap::new();
        for (start, units) in self.nodes.iter().flat_map(|one| &one.delivered) {
            *begun.entry(*start).or_default() += units;
        }
        let wait_ns = self.chance.within(1, 60) * MS;
        self.after(wait_ns, Event::Seeded { node, life, seeds, begun });
    }

    fn seed(&mut self, node: usize, life: u64, seeds: &[(usize, i64)], begun: &BTreeMap<i64, i64>) {
        if self.lives(node, life) {
            let one = &self.nodes[node];
            let asked = one.lease.period();
            let running = self.running(begun, self.wall(node));
            if let Some(period) = running.filter(|period| period.start != asked.start)
                && self.plan.edits_calendar
                && !one.lease.is_period_confirmed()
            {
                self.go_on_in(node, period);
            }
            let seeds = seeds.iter().map(|(node, units)| (node_id(*node), *units)).collect();
            let one = &mut self.nodes[node];
            one.lease.seed(asked, seeds);
            if one.lease.is_unseeded() {
                self.ask_ledger(node, life);
            }
            self.go_on(node);
        }
    }

    fn beat(&mut self, node: usize) {
        self.after(BEAT_NS, Event::Beat { node });
        if !self.nodes[node].is_up || self.is_lost() {
            return;
        }
        let life = self.nodes[node].life;
        let word = self.nodes[node].roll.next_word();
        let name = format!("{}:{life}", node_id(node));
        self.next_question += 1;
        let beat = self.next_question;
        self.nodes[node].beats.insert(beat, word);
        let arguments = beat_arguments(&name, word);
        let numbers = self.server.run(Script::Beat, &["roll".to_owned()], &arguments);
        let wait_ns = self.latency();
        self.after(wait_ns, Event::BeatHeard { node, life, beat, numbers });
    }

    fn hear_beat(&mut self, node: usize, life: u64, beat: u64, numbers: &[i64]) {
        if !self.lives(node, life) {
            return;
        }
        let heard = Heard::read(numbers).unwrap();
        let one = &mut self.nodes[node];
        one.nodes = heard.nodes;
        if one.roll.hear(one.beats[&beat], heard) {
            one.lease.lost();
            self.go_on(node);
        }
    }

    fn crash(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        if !one.is_up || self.is_healed {
            return;
        }
        one.is_up = false;
        // Calls under way are on no bill.
        one.in_flight.clear();
        one.tickets.clear();
        let wait_ns = self.chance.within(50, 3_000) * MS;
        self.after(wait_ns, Event::Start { node });
    }

    fn start(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        if one.is_up {
            return;
        }
        one.is_up = true;
        one.life += 1;
        one.lease = Lease::new(self.terms, 0);
        one.stays_until_ns = 0;
        one.roll = Roll::default();
        self.enter(node);
        // What was held before the crash goes back, called or not.
        self.nodes[node].lease.lost();
        self.ask(node);
    }

    fn fault(&mut self) {
        let wait_ns = self.chance.within(300, 3_000) * MS;
        self.after(wait_ns, Event::Fault);
        if self.is_healed {
            return;
        }
        if self.plan.crashes && self.chance.happens(600) {
            let node = self.chance.within(0, NODES as u64) as usize;
            self.crash(node);
        }
        if self.plan.goes_away {
            self.is_away = self.chance.happens(400);
        }
        if self.plan.clock_jumps {
            self.clock_off_us += self.chance.within(0, 20_000_000) as i64 - 12_000_000;
        }
        if (self.plan.empties || self.plan.puts_back) && self.chance.happens(400) {
            self.lose();
        }
    }

    /// The counters lose what they know, or the last of it.
    fn lose(&mut self) {
        let held = self.nodes.iter().filter(|node| node.is_up);
        let held: i64 = held.map(|node| node.lease.outstanding(0) as i64).sum();
        let kept = if self.plan.empties { Some(BTreeMap::new()) } else { self.kept.clone() };
        let Some(kept) = kept else { return };
        self.server.put_back(kept);
        // What a gateway that is down had used and not delivered comes with its return.
        let down = self.nodes.iter().filter(|node| !node.is_up);
        let of = |map: &BTreeMap<i64, i64>| map.values().sum::<i64>();
        let undelivered = down.map(|node| of(&node.journal) - of(&node.delivered)).sum::<i64>();
        self.lost_bound += held + undelivered;
    }

    /// At rest the counters have exactly what the journals have, and nothing is held.
    fn check_rest(&mut self) {
        let periods = self.nodes.iter().map(|node| node.lease.period());
        let is_over = |period: &Period| self.plan.edits_calendar && period.end <= self.wall(0);
        let starts = periods.filter(|period| !is_over(period)).map(|of| of.start.0);
        let last = starts.clone().max().unwrap();
        for start in starts.filter(|start| self.counts_in(*start, last)).collect::<BTreeSet<_>>() {
            let key = format!("quota:{start}");
            let journals: i64 =
                self.nodes.iter().map(|node| node.journal.get(&start).copied().unwrap_or(0)).sum();
            let used = self.server.field(&key, "used").unwrap_or(0);
            let held = self.server.field(&key, "held").unwrap_or(0);
            assert_eq!((used, held), (journals, 0), "at rest: {:#?}", self.server.keep());
        }
    }

    /// What is left can be used to the last unit, on any node.
    fn use_the_rest(&mut self) {
        // An answer that is late must not let calls pass apart, nor a rate hold them up.
        self.terms = Terms { rate: None, outage: OutageMode::Strict, ..self.terms };
        let node = 1;
        self.enter(node);
        let start = self.nodes[node].lease.period().start.0;
        let left = self.limit as i64 - self.used(start);
        // What was lost may have begun a second period.
        let begun = self.nodes.iter().flat_map(|node| node.journal.iter());
        let begun: BTreeSet<i64> = begun.filter(|(_, units)| **units > 0).map(|of| *of.0).collect();
        let is_parted = self.plan.edits_calendar && self.lost_bound > 0 && begun.len() > 1;
        let mut end_ns = self.now_ns;
        for node in 0..NODES {
            self.nodes[node].lease.set_terms(self.terms, self.now_ns);
        }
        let admitted = self.admitted;
        let mut calls_over = 100;
        // Who was refused asks again only after a while, and some answers are late for their call.
        for _ in 0..4 * left.max(0) + 6_000 {
            self.call(node, 1);
            end_ns += MS;
            self.until(end_ns);
            // Nothing ends any more, so that what is used stays used.
            let is_end = |event: &Event| matches!(event, Event::Ended { .. });
            self.events.retain(|Reverse((_, _, event))| !is_end(event));
            if (self.admitted - admitted) as i64 >= left {
                calls_over -= 1;
            }
            if calls_over == 0 {
                break;
            }
        }
        if self.nodes[node].lease.period().start.0 == start && !is_parted {
            assert_eq!((self.admitted - admitted) as i64, left.max(0), "the rest of the quota");
        }
    }
}

fn node_id(node: usize) -> NodeId {
    NodeId::from_bytes([node as u8 + 1; 16])
}

/// The roll call is over before the world is looked at.
const _: () = assert!((ROLL_CALL_MS as u64) * MS < REST_NS);
