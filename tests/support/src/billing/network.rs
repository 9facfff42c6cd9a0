//! The way to a billing system, and what may happen on it.

use super::{Billing, Mishap, Request, Response};
use crate::chance::Chance;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Good,
    /// No connection comes about.
    NotReached,
    /// It is gone, and nobody answers.
    Lost,
    /// It is done, and the answer is gone.
    AnswerLost,
    /// It arrives after so long, when nobody waits for an answer any more.
    Late {
        ms: i64,
    },
    /// It arrives twice.
    Twice,
    /// A gateway in between answers in place of the billing system.
    Fails {
        status: u16,
    },
    /// It is done, and then a gateway in between gives up.
    DoneThenFails {
        status: u16,
    },
    Limited {
        retry_after_s: Option<u32>,
    },
    /// The same, where the rest of the time is said in `X-RateLimit-Reset`.
    LimitedUntilReset {
        reset_s: u32,
    },
    Mishap(Mishap),
}

/// What the sender learns.
#[derive(Clone, Debug)]
pub enum Delivered {
    Answer(Response),
    NotReached,
    NoAnswer,
}

pub struct Network {
    pub billing: Box<dyn Billing>,
    /// Requests that arrive later, and when.
    on_the_way: Vec<(i64, Request)>,
}

impl Fate {
    /// One of those that a network and a busy service have in store.
    pub fn any(chance: &mut Chance, late_ms_max: i64) -> Self {
        match chance.within(0, 14) {
            0 => Self::NotReached,
            1 => Self::Lost,
            2 | 3 => Self::AnswerLost,
            4 => Self::Late { ms: chance.within(0, late_ms_max.unsigned_abs()) as i64 },
            5 => Self::Twice,
            6 => Self::Fails { status: 502 },
            7 | 8 => Self::DoneThenFails { status: 500 },
            9 => Self::Limited { retry_after_s: None },
            10 => Self::Limited { retry_after_s: Some(chance.within(0, 120) as u32) },
            11 => Self::LimitedUntilReset { reset_s: chance.within(0, 120) as u32 },
            // Another request for the same customer and meter is under way there.
            12 => Self::Fails { status: 409 },
            _ => Self::Mishap(Mishap::StopAfter(chance.within(0, 4) as usize)),
        }
    }

    /// Out of reach, in one way or another; now and then a request gets through unheard.
    pub fn outage(chance: &mut Chance) -> Self {
        match chance.within(0, 6) {
            0 => Self::AnswerLost,
            1 => Self::DoneThenFails { status: 504 },
            2 | 3 => Self::NotReached,
            _ => Self::Lost,
        }
    }
}

impl Network {
    pub fn new(billing: Box<dyn Billing>) -> Self {
        Self { billing, on_the_way: Vec::new() }
    }

    /// Lets arrive what is due by now, in the order in which it does.
    pub fn arrive(&mut self, now_ms: i64) {
        self.on_the_way.sort_by_key(|(at, _)| *at);
        while self.on_the_way.first().is_some_and(|(at, _)| *at <= now_ms) {
            let (at, request) = self.on_the_way.remove(0);
            self.billing.answer(&request, at, Mishap::None);
        }
    }

    pub fn exchange(&mut self, request: &Request, now_ms: i64, fate: Fate) -> Delivered {
        self.arrive(now_ms);
        let mut answer = |mishap| self.billing.answer(request, now_ms, mishap);
        match fate {
            Fate::Good => Delivered::Answer(answer(Mishap::None)),
            Fate::NotReached => Delivered::NotReached,
            Fate::Lost => Delivered::NoAnswer,
            Fate::AnswerLost => {
                answer(Mishap::None);
                Delivered::NoAnswer
            }
            Fate::Late { ms } => {
                self.on_the_way.push((now_ms + ms, request.clone()));
                Delivered::NoAnswer
            }
            Fate::Twice => {
                answer(Mishap::None);
                Delivered::Answer(answer(Mishap::None))
            }
            Fate::Fails { status } => Delivered::Answer(Response::empty(status)),
            Fate::DoneThenFails { status } => {
                answer(Mishap::None);
                Delivered::Answer(Response::empty(status))
            }
            Fate::Limited { retry_after_s } => {
                let limited = Response::empty(429);
                Delivered::Answer(match retry_after_s {
                    Some(seconds) => limited.with_header("retry-after", &seconds.to_string()),
                    None => limited,
                })
            }
            Fate::LimitedUntilReset { reset_s } => {
                let limited = Response::empty(429);
                Delivered::Answer(limited.with_header("x-ratelimit-reset", &reset_s.to_string()))
            }
            Fate::Mishap(mishap) => Delivered::Answer(answer(mishap)),
        }
    }
}
