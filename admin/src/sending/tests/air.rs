//! What a sender breathes: the time, chance, and the network.

use std::collections::HashMap;
use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time;
use tollgate_common::time::{Clock, Now, Timestamp};
use tollgate_test_support::billing::network::{Delivered, Fate, Network};
use tollgate_test_support::billing::{self, Mishap};
use tollgate_test_support::chance::Chance;

use super::systems::System;
use crate::sending::capability::{ANSWER_MS_MAX, CLOCK_SKEW_MS_MAX, IN_FLIGHT_MS_MAX};
use crate::sending::wire::{Request, Response, Wire, WireError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fine,
    Rough,
    Outage,
}

pub struct Air {
    /// Told when the sender is killed.
    pub killed: Notify,
    state: Mutex<State>,
}

struct State {
    now_ms: i64,
    /// How far the sender's clock is off.
    skew_ms: i64,
    /// How far the destination's clock is off.
    far_skew_ms: i64,
    weather: Weather,
    loses_acknowledged: bool,
    knows_doubles: bool,
    may_kill: bool,
    /// What happens to the next usage that is sent, whatever the weather.
    next: Option<Fate>,
    /// How many questions are answered before one is not within the time there is.
    answers_max: Option<u32>,
    answered: u32,
    network: Network,
    seed: u64,
    /// How often each request was seen, so that its fates do not depend on the others.
    seen: HashMap<[u8; 32], u64>,
    deaths: Chance,
}

impl Air {
    pub fn new(seed: u64, start_ms: i64, system: System) -> Self {
        let far_skew_ms = Chance::new(!seed).within(0, 240_000) as i64 - 120_000;
        Self {
            killed: Notify::new(),
            state: Mutex::new(State {
                now_ms: start_ms,
                skew_ms: 0,
                far_skew_ms,
                weather: Weather::Fine,
                loses_acknowledged: system.loses_acknowledged,
                knows_doubles: system.knows_doubles,
                may_kill: true,
                next: None,
                answers_max: None,
                answered: 0,
                network: Network::new(system.billing),
                seed,
                seen: HashMap::new(),
                deaths: Chance::new(seed.wrapping_add(1 << 32)),
            }),
        }
    }

    pub fn now_ms(&self) -> i64 {
        self.state.lock().now_ms
    }

    pub fn pass(&self, ms: i64) {
        self.state.lock().now_ms += ms;
    }

    /// Lets time pass until the sender's clock shows a moment.
    pub fn pass_until(&self, moment: Timestamp) {
        let mut state = self.state.lock();
        state.now_ms = state.now_ms.max(moment.0 - state.skew_ms);
    }

    pub fn turns(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    /// Another machine, or the same one after its clock was set.
    pub fn set_clock(&self, chance: &mut Chance) {
        let skew_ms = chance.within(0, CLOCK_SKEW_MS_MAX as u64) as i64 - CLOCK_SKEW_MS_MAX / 2;
        self.state.lock().skew_ms = skew_ms;
    }

    /// The sender's clock is wrong by more than clocks may be.
    pub fn jump_ahead(&self, ms: i64) {
        self.state.lock().skew_ms = ms;
    }

    /// The next request is acknowledged, and nothing comes of it.
    pub fn lose_next(&self) {
        self.state.lock().next = Some(Fate::Mishap(Mishap::AcknowledgeThenLose));
    }

    /// What is acknowledged is there from here on.
    pub fn keep_all(&self) {
        self.state.lock().loses_acknowledged = false;
    }

    /// The next request arrives, and its answer does not.
    pub fn lose_next_answer(&self) {
        self.state.lock().next = Some(Fate::AnswerLost);
    }

    /// The next request is refused for what is in it.
    pub fn reject_next(&self) {
        self.state.lock().next = Some(Fate::Fails { status: 400 });
    }

    /// Before so many questions are answered, the time for all of them is over.
    pub fn slows_down(&self, answers_max: u32) {
        self.state.lock().answers_max = Some(answers_max);
    }

    /// Whether that has happened.
    pub fn has_struck(&self) -> bool {
        self.state.lock().next.is_none()
    }

    /// Everything works from here on, and what was under way is at its end.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.weather = Weather::Fine;
        state.may_kill = false;
        state.skew_ms = 0;
    }

    /// What the destination would bill, with all that is still under way.
    pub fn bill(&self) -> billing::Bill {
        let mut state = self.state.lock();
        let end = state.now_ms + state.far_skew_ms + IN_FLIGHT_MS_MAX;
        state.network.arrive(end);
        state.network.billing.bill()
    }
}

impl State {
    fn chance(&mut self, request: &Request) -> Chance {
        let mut hash = Sha256::new();
        hash.update(&request.url);
        hash.update(&request.body);
        let digest: [u8; 32] = hash.finalize().into();
        let count = self.seen.entry(digest).or_default();
        *count += 1;
        let mut word = [0; 8];
        word.copy_from_slice(&digest[..8]);
        Chance::new(self.seed ^ u64::from_le_bytes(word).wrapping_add(*count))
    }

    /// Whether the time for an answer is over before it comes.
    fn is_late(&mut self, request: &Request) -> bool {
        let Some(answers_max) = self.answers_max.filter(|_| request.method == "GET") else {
            return false;
        };
        let is_late = self.answered == answers_max;
        self.answered = if is_late { 0 } else { self.answered + 1 };
        if is_late {
            self.now_ms += ANSWER_MS_MAX;
        }
        is_late
    }

    fn fate(&mut self, chance: &mut Chance, request: &Request) -> Fate {
        // A session of Stripe's stream is nothing that could be lost.
        let is_usage = request.method == "POST" && !request.url.ends_with("_session");
        if let Some(fate) = self.next.take_if(|_| is_usage) {
            return fate;
        }
        match self.weather {
            Weather::Outage => Fate::outage(chance),
            Weather::Rough if chance.happens(400) => match Fate::any(chance, IN_FLIGHT_MS_MAX) {
                Fate::Twice if !self.knows_doubles => Fate::AnswerLost,
                fate => fate,
            },
            _ if request.method == "POST" && self.loses_acknowledged && chance.happens(50) => {
                Fate::Mishap(Mishap::AcknowledgeThenLose)
            }
            Weather::Fine | Weather::Rough => Fate::Good,
        }
    }
}

impl Clock for Air {
    fn now(&self) -> Now {
        let mut state = self.state.lock();
        // The sender looks at the clock before and after all that it does, and dies where it waits
        // next: in the middle of a transaction, before it, or after its commit.
        if state.may_kill && state.deaths.happens(15) {
            self.killed.notify_one();
        }
        let wall = Timestamp(state.now_ms + state.skew_ms);
        Now { wall, monotonic_ns: state.now_ms as u64 * 1_000_000 }
    }
}

#[async_trait]
impl Wire for Air {
    async fn exchange(&self, request: Request) -> Result<Response, WireError> {
        if self.state.lock().is_late(&request) {
            time::pause();
            // It is done before it waits for the first time.
            let _ = time::advance(Duration::from_millis(ANSWER_MS_MAX as u64)).now_or_never();
            time::resume();
            return pending().await;
        }
        let (delivered, is_killed) = {
            let mut state = self.state.lock();
            let mut chance = state.chance(&request);
            let fate = state.fate(&mut chance, &request);
            let is_killed = state.may_kill && chance.happens(60);
            let now_ms = state.now_ms + state.far_skew_ms;
            let delivered = state.network.exchange(&carried(&request), now_ms, fate);
            state.now_ms += match delivered {
                Delivered::NoAnswer => ANSWER_MS_MAX,
                Delivered::Answer(_) | Delivered::NotReached => chance.within(1, 2_000) as i64,
            };
            (delivered, is_killed)
        };
        if is_killed {
            self.killed.notify_one();
            return pending().await;
        }
        match delivered {
            Delivered::Answer(billing::Response { status, headers, body }) => {
                Ok(Response { status, headers, body })
            }
            Delivered::NotReached => Err(WireError::NotSent("connection refused".to_owned())),
            Delivered::NoAnswer => Err(WireError::Unknown("the time is over".to_owned())),
        }
    }
}

/// A request as the simulators see it.
pub fn carried(request: &Request) -> billing::Request {
    let target = url::Url::parse(&request.url).expect("a destination makes good URLs");
    let query = target.query().map(|query| format!("?{query}")).unwrap_or_default();
    let headers = request.headers.iter();
    billing::Request {
        method: request.method.to_owned(),
        target: format!("{}{query}", target.path()),
        headers: headers.map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        body: request.body.clone(),
    }
}
