//! The machine against a model of a destination that loses, repeats, delays and forgets.

use proptest::prelude::*;

use super::*;
use crate::sending::capability::{Amounts, CLOCK_SKEW_MS_MAX, Dedupe, IN_FLIGHT_MS_MAX, ReadBack};

const HOUR_MS: i64 = 3_600_000;
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn can(dedupe: Dedupe, read_back: ReadBack) -> Capabilities {
    Capabilities {
        dedupe,
        read_back,
        amounts: Amounts::Added,
        batch_items_max: 1,
        requests_at_once_max: 1,
        age_ms_max: None,
        takes_negative: false,
    }
}

fn refused() -> Outcome {
    Outcome::Refused { reason: "429".to_owned(), asked_ms: None }
}

fn unknown() -> Outcome {
    Outcome::Unknown { reason: "timeout".to_owned(), asked_ms: None }
}

#[test]
fn an_attempt_that_nobody_heard_of_leaves_a_doubt() {
    let begun = Progress::frozen(NOW).begin(NOW);

    assert_eq!(begun.state, State::Ambiguous);
    assert_eq!(begun.doubt_since, Some(NOW));
    let can = can(Dedupe::Always, ReadBack::Never);
    assert_eq!(begun.step(&can, NOW), Step::Wait(NOW.plus_ms(2 * ANSWER_MS_MAX)));
}

#[test]
fn a_refusal_takes_back_the_doubt_of_its_own_attempt_only() {
    let frozen = Progress::frozen(NOW);
    let first = frozen.begin(NOW).end(&frozen, &unknown(), NOW, 0.0);
    let later = NOW.plus_ms(HOUR_MS);

    let second = first.begin(later).end(&first, &refused(), later, 0.0);

    assert_eq!((second.state, second.doubt_since), (State::Ambiguous, Some(NOW)));
    let only = frozen.begin(NOW).end(&frozen, &refused(), NOW, 0.0);
    assert_eq!((only.state, only.doubt_since), (State::Frozen, None));
}

#[test]
fn what_may_have_arrived_is_not_sent_again_once_the_destination_has_forgotten() {
    let frozen = Progress::frozen(NOW);
    let doubtful = frozen.begin(NOW).end(&frozen, &unknown(), NOW, 0.0);
    let forgets = Dedupe::Within { ms: 24 * HOUR_MS };
    let early = NOW.plus_ms(23 * HOUR_MS);
    let late = NOW.plus_ms(24 * HOUR_MS);
    let reads = ReadBack::Items { lag_ms: 1_000 };

    assert_eq!(doubtful.step(&can(forgets, ReadBack::Never), early), Step::Send);
    assert_eq!(doubtful.step(&can(forgets, reads), late), Step::Read);
    assert!(matches!(doubtful.step(&can(forgets, ReadBack::Never), late), Step::Park(_)));
    assert!(matches!(doubtful.step(&can(Dedupe::Never, ReadBack::Never), early), Step::Park(_)));
}

#[test]
fn what_a_clock_put_off_that_was_ahead_is_due_once_it_is_right() {
    let ahead = NOW.plus_ms(365 * 24 * HOUR_MS);
    let frozen = Progress::frozen(NOW);
    let refused = frozen.begin(ahead).end(&frozen, &refused(), ahead, 0.0);
    let doubtful = frozen.begin(ahead).end(&frozen, &unknown(), ahead, 0.0);
    let can = can(Dedupe::Never, ReadBack::Items { lag_ms: 1_000 });
    let settled_ms = can.read_back.settled_after_ms().unwrap();

    let known_since = NOW.plus_ms(-HOUR_MS);
    assert_eq!(refused.put_right(known_since, NOW).step(&can, NOW), Step::Send);
    // It may have been sent just now.
    let right = doubtful.put_right(known_since, NOW);
    assert_eq!(right.step(&can, NOW), Step::Wait(NOW.plus_ms(settled_ms)));
    assert_eq!(right.step(&can, NOW.plus_ms(settled_ms)), Step::Read);
}

#[test]
fn what_is_in_doubt_by_a_clock_that_was_ahead_may_have_arrived_as_soon_as_it_was_known() {
    let ahead = NOW.plus_ms(3 * 24 * HOUR_MS);
    let frozen = Progress::frozen(ahead);
    let doubtful = frozen.begin(ahead).end(&frozen, &unknown(), ahead, 0.0);
    let can = can(Dedupe::Within { ms: 24 * HOUR_MS }, ReadBack::Never);

    let just_now = doubtful.put_right(NOW.plus_ms(-HOUR_MS), NOW);
    let long_ago = doubtful.put_right(NOW.plus_ms(-24 * HOUR_MS), NOW);

    assert_eq!(just_now.step(&can, NOW), Step::Send);
    assert!(matches!(long_ago.step(&can, NOW), Step::Park(_)));
}

#[test]
fn what_waits_by_a_right_clock_waits_on() {
    let frozen = Progress::frozen(NOW);
    let asked = Outcome::Refused { reason: "429".to_owned(), asked_ms: Some(i64::MAX) };
    let waits = frozen.begin(NOW).end(&frozen, &asked, NOW, 0.0);
    let given_up = Progress { state: State::Acknowledged, due_at: NEVER, ..frozen };
    let earlier = NOW.plus_ms(-CLOCK_SKEW_MS_MAX);

    assert_eq!(waits.put_right(earlier, earlier), waits);
    assert_eq!(given_up.put_right(NOW, NOW), given_up);
}

#[test]
fn what_may_have_been_sent_before_the_store_was_put_back_is_never_sent_on_a_guess() {
    let forgotten = Progress::forgotten(NOW, NOW);
    let later = NOW.plus_ms(HOUR_MS);
    let within = Dedupe::Within { ms: 24 * HOUR_MS };

    for dedupe in [Dedupe::Never, within, Dedupe::Always] {
        let shows = can(dedupe, ReadBack::Items { lag_ms: 1_000 });
        let step = forgotten.step(&can(dedupe, ReadBack::Never), later);
        assert_eq!(forgotten.step(&shows, later), Step::Read, "{dedupe:?}");
        assert!(matches!(step, Step::Park(_)), "{dedupe:?} {step:?}");
    }
    let absent = forgotten.found(&Finding::Absent, later, 0.0);
    assert_eq!(absent.step(&can(Dedupe::Always, ReadBack::Never), later), Step::Send);
}

#[test]
fn the_same_bytes_are_sent_again_after_the_store_was_put_back_where_that_is_recognised() {
    let put_back_at = NOW.plus_ms(HOUR_MS);
    let later = NOW.plus_ms(2 * HOUR_MS);
    let frozen = Progress::frozen(NOW);

    let doubtful = frozen.put_back(NOW, put_back_at);

    assert_eq!(doubtful.step(&can(Dedupe::Always, ReadBack::Never), later), Step::Send);
    let step = doubtful.step(&can(Dedupe::Never, ReadBack::Never), later);
    assert!(matches!(step, Step::Park(_)), "{step:?}");
    let after = Progress::frozen(later);
    assert_eq!(after.put_back(later, put_back_at), after);
    // What somebody decided since is not in doubt once more.
    let replayed = doubtful.parked("x".to_owned()).replayed(later);
    assert_eq!(replayed.put_back(NOW, put_back_at), replayed);
    let known = frozen.settled_by_hand();
    assert_eq!(known.put_back(NOW, put_back_at), known);
}

#[test]
fn a_clock_that_ran_back_proves_nothing() {
    let forgets = Dedupe::Within { ms: 24 * HOUR_MS };

    assert!(forgets.covers(NOW, NOW.plus_ms(-CLOCK_SKEW_MS_MAX)));
    assert!(!forgets.covers(NOW, NOW.plus_ms(-CLOCK_SKEW_MS_MAX - 1)));
}

#[test]
fn what_was_acknowledged_and_is_not_there_is_sent_again() {
    let frozen = Progress::frozen(NOW);
    let acknowledged = frozen.begin(NOW).end(&frozen, &Outcome::Accepted, NOW, 0.0);
    let reads = can(Dedupe::Never, ReadBack::Items { lag_ms: 1_000 });
    let truth = NOW.plus_ms(1_000 + IN_FLIGHT_MS_MAX + CLOCK_SKEW_MS_MAX);

    assert_eq!(acknowledged.step(&reads, NOW), Step::Wait(truth));
    assert_eq!(acknowledged.step(&reads, truth), Step::Read);
    let lost = acknowledged.found(&Finding::Absent, truth, 0.0);

    assert_eq!((lost.state, lost.losses, lost.doubt_since), (State::Frozen, 1, None));
    assert!(lost.due_at > truth);
}

/// What happens to one attempt.
#[derive(Clone, Debug)]
struct Fate {
    arrives_after_ms: Option<i64>,
    is_heard: bool,
    then_ms: i64,
}

/// One item at a destination that forgets after `dedupe`.
struct Model {
    dedupe: Dedupe,
    lag_ms: i64,
    on_the_way: Vec<i64>,
    counted: Vec<i64>,
}

impl Model {
    fn settle_until(&mut self, now: i64) {
        self.on_the_way.sort_unstable();
        while self.on_the_way.first().is_some_and(|at| *at <= now) {
            let at = self.on_the_way.remove(0);
            let is_known = self.counted.iter().any(|before| match self.dedupe {
                Dedupe::Never => false,
                Dedupe::Always => true,
                Dedupe::Within { ms } => at - before < ms,
            });
            if !is_known {
                self.counted.push(at);
            }
        }
    }

    fn shows(&self, now: i64) -> Finding {
        match self.counted.iter().any(|at| at + self.lag_ms <= now) {
            true => Finding::Present,
            false => Finding::Absent,
        }
    }
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = (
        prop_oneof![Just(None), (0..IN_FLIGHT_MS_MAX).prop_map(Some)],
        any::<bool>(),
        prop_oneof![Just(0), 0..10 * HOUR_MS, Just(30 * HOUR_MS), Just(-CLOCK_SKEW_MS_MAX)],
    );
    let fate = fate.prop_map(|(arrives_after_ms, is_heard, then_ms)| Fate {
        arrives_after_ms,
        is_heard,
        then_ms,
    });
    prop::collection::vec(fate, 0..8)
}

fn dedupes() -> impl Strategy<Value = Dedupe> {
    prop_oneof![
        Just(Dedupe::Always),
        Just(Dedupe::Never),
        Just(Dedupe::Within { ms: 24 * HOUR_MS }),
        Just(Dedupe::Within { ms: HOUR_MS }),
    ]
}

proptest! {
    /// A sender dies or is not answered again and again, requests arrive late or never, the clock
    /// is put back, and outages outlast the destination's memory: the item counts once.
    #[test]
    fn an_item_counts_once_whatever_happens(
        fates in fates(),
        dedupe in dedupes(),
        lag_ms in 0i64..HOUR_MS,
    ) {
        let can = can(dedupe, ReadBack::Items { lag_ms });
        let mut model = Model { dedupe, lag_ms, on_the_way: vec![], counted: vec![] };
        let (mut real, mut clock_off) = (NOW.0, 0);
        let mut progress = Progress::frozen(NOW);
        let mut fates = fates.into_iter();
        let mut steps = 0;
        while progress.state != State::Settled {
            steps += 1;
            prop_assert!(steps < 1_000, "it does not come to an end: {:?}", progress);
            let now = Timestamp(real + clock_off);
            match progress.step(&can, now) {
                Step::Wait(until) => real += until.0 - now.0,
                Step::Send => {
                    let begun = progress.begin(now);
                    let good = Fate { arrives_after_ms: Some(0), is_heard: true, then_ms: 0 };
                    let fate = fates.next().unwrap_or(good);
                    if let Some(after) = fate.arrives_after_ms {
                        model.on_the_way.push(real + after);
                    }
                    let is_answered = fate.is_heard && fate.arrives_after_ms == Some(0);
                    let outcome = if is_answered { Outcome::Accepted } else { unknown() };
                    // Not heard: the sender died, and what it stored before is all there is.
                    progress = match fate.is_heard {
                        true => begun.end(&progress, &outcome, now, 0.5),
                        false => begun,
                    };
                    match fate.then_ms {
                        ms if ms < 0 && clock_off == 0 => clock_off = ms,
                        ms => real += ms.max(0),
                    }
                }
                Step::Read => {
                    model.settle_until(real);
                    progress = progress.found(&model.shows(real), now, 0.5);
                }
                Step::Park(reason) => prop_assert!(false, "parked: {}", reason),
                Step::Rest => break,
            }
        }
        model.settle_until(i64::MAX);
        prop_assert_eq!(model.counted.len(), 1);
    }
}
