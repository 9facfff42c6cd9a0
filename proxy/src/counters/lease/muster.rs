//! How many gateways there are, and what of it is believed.

use super::roll::Word;

/// A gateway that is silent for so long shares nothing any more.
const SILENT_MS: u64 = 5_000;

/// And after so long it is forgotten.
const FORGOTTEN_MS: u64 = 86_400_000;

/// So long a count of the gateways holds: it is one part in five of the silence that it looks for.
const COUNT_MS: u64 = 1_000;

/// Where none was made for so long, nobody was there.
pub const ALONE_MS: u64 = 2 * COUNT_MS;

/// That there are fewer gateways is believed after this time: then all have spoken, and a count is new.
const FEWER_AFTER_NS: u64 = 2 * COUNT_MS * 1_000_000;

/// What `beat.lua` is told.
pub fn beat_arguments(gateway: &str, word: Word) -> [String; 8] {
    let [silent, forgotten, count, alone] =
        [SILENT_MS, FORGOTTEN_MS, COUNT_MS, ALONE_MS].map(|ms| ms.to_string());
    let [number, known] = [word.number, word.known].map(|number| number.to_string());
    [gateway.to_owned(), number, known, word.since_ms.to_string(), silent, forgotten, count, alone]
}

/// More gateways are believed at once. Fewer are not: after an outage the first ones to speak find
/// nobody else there, and a count is kept a while.
#[derive(Debug)]
pub struct Muster {
    nodes: u64,
    fewer_since_ns: Option<u64>,
}

impl Muster {
    pub fn new(nodes: u64) -> Self {
        Self { nodes, fewer_since_ns: None }
    }

    /// Takes what the rolls say, or that they say nothing, and tells what is to be believed.
    pub fn hear(&mut self, nodes: Option<u64>, now_ns: u64) -> u64 {
        match nodes {
            Some(nodes) if nodes < self.nodes => {
                let since_ns = *self.fewer_since_ns.get_or_insert(now_ns);
                if now_ns.saturating_sub(since_ns) >= FEWER_AFTER_NS {
                    *self = Self::new(nodes);
                }
            }
            Some(nodes) => *self = Self::new(nodes),
            None => self.fewer_since_ns = None,
        }
        self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_gateways_are_believed_at_once_and_fewer_after_a_while() {
        let mut muster = Muster::new(1);
        assert_eq!(muster.hear(Some(5), 0), 5);

        assert_eq!(muster.hear(Some(3), 100), 5);
        assert_eq!(muster.hear(Some(3), 99 + FEWER_AFTER_NS), 5);
        assert_eq!(muster.hear(Some(3), 100 + FEWER_AFTER_NS), 3);
        assert_eq!(muster.hear(Some(2), 101 + FEWER_AFTER_NS), 3, "waits anew");
    }

    #[test]
    fn the_while_begins_anew_when_all_are_there_again_and_after_an_outage() {
        for between in [Some(5), None] {
            let mut muster = Muster::new(5);
            muster.hear(Some(1), 0);
            muster.hear(between, FEWER_AFTER_NS / 2);

            assert_eq!(muster.hear(Some(1), FEWER_AFTER_NS), 5, "{between:?}");
            assert_eq!(muster.hear(Some(1), 2 * FEWER_AFTER_NS), 1);
        }
    }
}
