//! How an admitted call ended, and which endings count.

use serde::{Deserialize, Serialize};

/// How an admitted call ended, from the point of view of who pays for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// The upstream answered 1xx, 2xx or 3xx.
    Success = 0,
    /// The upstream answered 4xx.
    ClientError = 1,
    /// The upstream answered 5xx.
    ServerError = 2,
    /// The caller left before the upstream answered.
    Aborted = 3,
    /// The upstream could not be reached, broke off or was too slow: the gateway answered.
    UpstreamFailed = 4,
}

impl Outcome {
    pub const ALL: [Outcome; 5] =
        [Self::Success, Self::ClientError, Self::ServerError, Self::Aborted, Self::UpstreamFailed];

    pub const fn of_status(status: u16) -> Self {
        match status {
            0..400 => Self::Success,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// The word used in JSON and as a metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Aborted => "aborted",
            Self::UpstreamFailed => "upstream_failed",
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// A set of outcomes, in JSON a list of their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Vec<Outcome>", from = "Vec<Outcome>")]
pub struct OutcomeSet(u8);

impl OutcomeSet {
    /// Whatever the upstream answered except 5xx.
    pub const ANSWERED: Self = Self(1 << Outcome::Success as u8 | 1 << Outcome::ClientError as u8);

    pub const fn contains(self, outcome: Outcome) -> bool {
        self.0 & 1 << outcome as u8 != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Outcome> for OutcomeSet {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        Self(outcomes.into_iter().fold(0, |bits, outcome| bits | 1 << outcome as u8))
    }
}

impl From<Vec<Outcome>> for OutcomeSet {
    fn from(outcomes: Vec<Outcome>) -> Self {
        outcomes.into_iter().collect()
    }
}

impl From<OutcomeSet> for Vec<Outcome> {
    fn from(set: OutcomeSet) -> Self {
        Outcome::ALL.into_iter().filter(|outcome| set.contains(*outcome)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_list_of_words_in_json() {
        let json = serde_json::to_string(&OutcomeSet::ANSWERED).unwrap();

        assert_eq!(json, r#"["success","client_error"]"#);
        assert_eq!(serde_json::from_str::<OutcomeSet>(&json).unwrap(), OutcomeSet::ANSWERED);
    }

    #[test]
    fn codes_and_outcomes_agree() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_code(outcome as u8), Some(outcome));
        }
        assert_eq!(Outcome::from_code(5), None);
    }
}
