//! What a lease asks of the shared counters and what it is answered: the arguments and the numbers
//! of `draw.lua`, in its order.

use std::sync::Arc;

use tollgate_common::ids::NodeId;
use tollgate_common::period::{Period, START_SPREAD_MS};
use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;

use super::muster::ALONE_MS;
use super::roll::Word;

/// How long a roll that was made anew waits for all gateways to say what they have used. They look
/// after it three times as often.
pub const ROLL_CALL_MS: i64 = 1_500;

/// How far the clocks of gateways and counters may differ.
const SKEW_MS: i64 = 60_000;

/// What a process holds is free for others after this silence. It does not spend it that long
/// ([`HOLD_NS_MAX`]).
const HOLD_FREE_MS: i64 = 60_000;

/// What was granted is not spent any more after so long without an answer.
pub const HOLD_NS_MAX: u64 = 30_000_000_000;

/// A counter is kept for so long after its period, for whoever is late. Nothing relies on its end.
const KEEP_MS: i64 = 7 * 24 * 3_600_000;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub node: NodeId,
    /// Of its journal.
    pub epoch: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub seq: u64,
    pub quota: Option<QuotaAsk>,
    pub rate: Option<RateAsk>,
    /// Gateways that there are.
    pub nodes: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct QuotaAsk {
    pub period: Period,
    /// Others, or earlier processes, count in it too.
    pub is_confirmed: bool,
    pub unused_until: Timestamp,
    pub limit: Option<u64>,
    pub revision: Revision,
    /// Used by this process in the period.
    pub total: i64,
    /// Granted to it and not used.
    pub hold: u64,
    /// What the first call that waits costs; 0: none waits.
    pub first: u64,
    /// Lacking for those that wait.
    pub need: u64,
    pub want: u64,
    pub meeting: Option<Meeting>,
    pub seeds: Option<Seeds>,
}

/// What the ledger says of each node.
pub type Seeds = Arc<[(NodeId, i64)]>;

/// The first word of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// What earlier processes of the node have used in the period.
    pub past: i64,
    /// The ledger has had its say about it.
    pub is_whole: bool,
    /// Epochs of this node's other processes that may still draw.
    pub alive: Arc<[u64]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateAsk {
    pub interval_ns: u64,
    pub window_ns: u64,
    /// Lacking for the calls that wait.
    pub need: u64,
    pub want: u64,
    /// How long what is granted can be spent; 0: only at once.
    pub lease_ns: u64,
    /// Passed without the counters, and to be paid back.
    pub owed_ns: u64,
    /// The last question whose answer was heard: what later ones have stated of that is stated again.
    pub answered: u64,
    /// How long ago the first of that passed.
    pub apart_ns: u64,
    /// The debt as this gateway has it, with its part weighed as that of all: in case it is forgotten, or all
    /// were without the counters.
    pub seen_ns: u64,
    /// Neither makes the debt more than this.
    pub debt_max_ns: u64,
}

impl RateAsk {
    /// Of a plan without a rate.
    pub const NONE: Self = Self {
        interval_ns: 0,
        window_ns: 0,
        need: 0,
        want: 0,
        lease_ns: 0,
        owed_ns: 0,
        answered: 0,
        apart_ns: 0,
        seen_ns: 0,
        debt_max_ns: 0,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Done,
    /// An older or the same question came later.
    Stale,
    /// This process has not introduced itself.
    Unknown,
    /// The ledger has to be asked first.
    Unseeded,
    /// What was lost is being counted anew.
    Counting,
    /// A later process of this node has said that this one has ended.
    Relieved,
    /// The subscription counts in another period, which a calendar has begun that was edited since.
    OtherPeriod(Period),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: Status,
    /// The last question of this process that was remembered.
    pub prior_seq: u64,
    /// By all, with what is held.
    pub used: i64,
    pub held: u64,
    /// Units granted.
    pub units: u64,
    /// Calls granted.
    pub calls: u64,
    pub debt_ns: u64,
    /// Until one more call can pass, where none was granted.
    pub wait_ns: u64,
    /// The calls were granted for the time that was asked for.
    pub is_leased: bool,
    /// Until all is counted anew.
    pub counting_ms: u64,
    /// Units left, by the newest limit that the counters know.
    pub left: u64,
    /// Units that gateways hold which do not speak any more: free once the ledger has been asked.
    pub freeable: u64,
    /// A gateway that has drawn of this does not speak any more: the ledger may know what it has used since.
    pub is_missed: bool,
}

/// In an answer that names another period.
const NUMBERS_MAX: usize = 15;

/// An answer that this version's script does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the counters answer with numbers that make no sense")]
pub struct Senseless;

impl Ask {
    pub fn arguments(&self, process: &Process, word: Word) -> Vec<String> {
        let mut list = Arguments(Vec::with_capacity(32));
        list.text(process.node).text(process.epoch).text(self.seq);
        list.text(word.number).text(word.known).text(word.since_ms);
        list.text(ROLL_CALL_MS).text(SKEW_MS).text(ALONE_MS).text(HOLD_FREE_MS);
        list.text(KEEP_MS).text(START_SPREAD_MS);
        match &self.quota {
            Some(quota) => list.quota(quota, self.nodes),
            None => list.no_quota(),
        }
        list.rate(self.rate.as_ref());
        let meeting = self.quota.as_ref().and_then(|quota| quota.meeting.as_ref());
        let alive = meeting.map_or(&[][..], |meeting| &meeting.alive[..]);
        list.text(alive.len());
        for epoch in alive {
            list.text(epoch);
        }
        match self.quota.as_ref().and_then(|quota| quota.seeds.as_ref()) {
            None => list.text(-1),
            Some(seeds) => {
                list.text(seeds.len());
                for (node, units) in seeds.iter() {
                    list.text(node).text(units);
                }
                &mut list
            }
        };
        list.0
    }
}

struct Arguments(Vec<String>);

impl Arguments {
    fn text(&mut self, value: impl ToString) -> &mut Self {
        self.0.push(value.to_string());
        self
    }

    fn quota(&mut self, quota: &QuotaAsk, nodes: u64) {
        let limit = quota.limit.map_or(-1, u64::cast_signed);
        self.text(1).text(limit).text(quota.revision).text(quota.total).text(quota.hold);
        self.text(quota.first).text(quota.need).text(quota.want).text(nodes.max(1));
        self.text(quota.unused_until.0).text(quota.period.start.0).text(quota.period.end.0);
        self.text(u8::from(quota.is_confirmed));
        match &quota.meeting {
            Some(meeting) => self.text(meeting.past).text(u8::from(meeting.is_whole)),
            None => self.text("").text(0),
        };
    }

    fn no_quota(&mut self) {
        // Counted, limit, revision, total, hold, first, need, want, nodes, unused, start, end, confirmed.
        for value in [0, -1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0] {
            self.text(value);
        }
        self.text("").text(0);
    }

    fn rate(&mut self, rate: Option<&RateAsk>) {
        let rate = rate.unwrap_or(&RateAsk::NONE);
        self.text(rate.interval_ns).text(rate.window_ns).text(rate.need).text(rate.want);
        self.text(rate.lease_ns)
            .text(rate.owed_ns)
            .text(rate.answered)
            .text(rate.apart_ns)
            .text(rate.seen_ns)
            .text(rate.debt_max_ns);
    }
}

impl Reply {
    /// What was asked is remembered, and the word that it was in the roll.
    pub fn is_kept(&self) -> bool {
        match self.status {
            Status::Done | Status::Unseeded | Status::Counting => true,
            Status::Stale | Status::Unknown | Status::Relieved | Status::OtherPeriod(_) => false,
        }
    }

    pub fn read(numbers: &[i64]) -> Result<Self, Senseless> {
        let status = match numbers.first() {
            Some(0) => Status::Done,
            Some(1) => Status::Stale,
            Some(2) => Status::Unknown,
            Some(3) => Status::Unseeded,
            Some(4) => Status::Counting,
            Some(5) => Status::Relieved,
            Some(6) => match numbers {
                [.., start, end] if numbers.len() == NUMBERS_MAX => {
                    let [start, end] = [*start, *end].map(Timestamp);
                    Status::OtherPeriod(Period { start, end })
                }
                _ => return Err(Senseless),
            },
            Some(_) | None => return Err(Senseless),
        };
        let unsigned = |index: usize| match numbers.get(index) {
            None => Ok(0),
            Some(number) => u64::try_from(*number).map_err(|_| Senseless),
        };
        if numbers.len() < 2 || (status == Status::Done && numbers.len() < 11) {
            return Err(Senseless);
        }
        Ok(Self {
            status,
            prior_seq: unsigned(1)?,
            used: numbers.get(2).copied().unwrap_or(0),
            held: unsigned(3)?,
            units: unsigned(4)?,
            calls: unsigned(5)?,
            debt_ns: unsigned(6)?,
            wait_ns: unsigned(7)?,
            is_leased: unsigned(8)? == 1,
            counting_ms: unsigned(9)?,
            left: unsigned(10)?,
            freeable: unsigned(11)?,
            is_missed: unsigned(12)? == 1,
        })
    }
}
