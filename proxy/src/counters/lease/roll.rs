//! Whether the shared counters still know what they were told.
//!
//! Subscriptions are spread over buckets, and each bucket has a roll in which every gateway says
//! again and again that it is there. Whatever it says in the bucket, questions included, is a word with
//! a number, and the roll has the last one. A roll that was begun anew, or that has an older word than
//! was acknowledged, tells that the bucket was emptied or put back. Each word says what the roll must
//! have, so that whichever comes first after that finds it out, before anything is granted.

/// Buckets: enough to spread evenly over the nodes of a cluster, few enough to look after each.
pub const BUCKETS: usize = 32;

#[derive(Clone, Copy, Debug, Default)]
pub struct Roll {
    since_ms: Option<i64>,
    sent: u64,
    acknowledged: u64,
}

/// Something said in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    pub number: u64,
    /// The last word that was acknowledged before this one was said: the roll must have it.
    pub known: u64,
    /// Since when that roll was kept; 0: no roll is known.
    pub since_ms: i64,
}

/// An answer of `beat.lua`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub since_ms: i64,
    /// The last word of this process that is known there.
    pub last: u64,
    /// Gateways that are there.
    pub nodes: u64,
}

impl Roll {
    pub fn next_word(&mut self) -> Word {
        self.sent += 1;
        let since_ms = self.since_ms.unwrap_or(0);
        Word { number: self.sent, known: self.acknowledged, since_ms }
    }

    /// A word is in the roll.
    pub fn acknowledge(&mut self, word: Word) {
        self.acknowledged = self.acknowledged.max(word.number);
    }

    /// Takes the answer to a word. True: what was told before is lost.
    pub fn hear(&mut self, word: Word, heard: Heard) -> bool {
        let is_lost = self.since_ms.is_some_and(|since_ms| since_ms != heard.since_ms)
            || heard.last < word.known;
        self.since_ms = Some(heard.since_ms);
        self.acknowledge(word);
        is_lost
    }
}

impl Heard {
    pub fn read(numbers: &[i64]) -> Option<Self> {
        let [since_ms, last, nodes] = *numbers else { return None };
        Some(Self { since_ms, last: u64::try_from(last).ok()?, nodes: u64::try_from(nodes).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(since_ms: i64, last: u64) -> Heard {
        Heard { since_ms, last, nodes: 1 }
    }

    #[test]
    fn a_roll_that_is_new_or_forgot_a_word_tells_of_a_loss() {
        let mut roll = Roll::default();
        let first = roll.next_word();
        assert!(!roll.hear(first, heard(5, 0)));
        let second = roll.next_word();
        assert!(!roll.hear(second, heard(5, first.number)));

        let third = roll.next_word();
        assert!(roll.hear(third, heard(5, first.number)), "the second word is forgotten");
        let fourth = roll.next_word();
        assert!(!roll.hear(fourth, heard(5, third.number)));
        let fifth = roll.next_word();
        assert!(roll.hear(fifth, heard(6, 0)), "begun anew");
    }

    #[test]
    fn a_word_that_never_arrived_is_not_missed() {
        let mut roll = Roll::default();
        let first = roll.next_word();
        roll.hear(first, heard(5, 0));
        roll.next_word();

        let third = roll.next_word();

        assert!(!roll.hear(third, heard(5, first.number)));
    }

    #[test]
    fn a_question_whose_answer_overtakes_that_of_a_beat_is_not_missed() {
        let mut roll = Roll::default();
        let beat = roll.next_word();
        let question = roll.next_word();

        roll.acknowledge(question);

        assert!(!roll.hear(beat, heard(5, 0)));
        let next = roll.next_word();
        assert!(roll.hear(next, heard(5, beat.number)), "the question is forgotten");
    }
}
