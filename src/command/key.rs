//! `tollgate key list|add|rotate|revoke`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use tollgate_admin::json::Object;
use tollgate_common::ids::{KeyId, SubscriptionId};

use super::Failure;
use super::daily::{DailyArguments, LimitArguments, in_force};

#[derive(Debug, Args)]
pub struct KeyArguments {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    daily: DailyArguments,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// All keys that a subscription ever had, oldest first
    List {
        subscription: SubscriptionId,
        #[command(flatten)]
        limit: LimitArguments,
    },
    /// Make a further key of a subscription, and show it, this once
    Add { subscription: SubscriptionId },
    /// Make a key that takes the place of another, and show it, this once
    Rotate {
        id: KeyId,
        /// How long the old key goes on, as in 90s, 30m, 1h or 7d
        #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "0s")]
        overlap: u64,
    },
    /// End a key at once
    Revoke { id: KeyId },
}

const COLUMNS: &[&str] =
    &["id", "prefix", "created_at", "expires_at", "revoked_at", "last_used_at"];

const NEW: &[&str] = &["id", "subscription_id", "prefix", "created_at", "expires_at", "api_key"];

pub fn run(arguments: &KeyArguments) -> Result<ExitCode, Failure> {
    arguments.daily.run(async |daily| match &arguments.act {
        Act::List { subscription, limit } => {
            let path = format!("subscriptions/{subscription}/keys");
            daily.list(&path, Vec::new(), COLUMNS, limit).await
        }
        Act::Add { subscription } => {
            let path = format!("subscriptions/{subscription}/keys");
            daily.show_key(daily.api.post(&path, &Object::new()).await?, NEW)
        }
        Act::Rotate { id, overlap } => {
            let body = Object::from_iter([("overlap_seconds".to_owned(), (*overlap).into())]);
            let path = format!("keys/{id}/rotate");
            daily.show_key(daily.api.post(&path, &body).await?, NEW)
        }
        Act::Revoke { id } => {
            let revoked = daily.api.overwrite(Method::DELETE, &format!("keys/{id}"), None).await?;
            let sentence = format!("{id} is revoked: {}", in_force(&revoked));
            daily.say(revoked, &sentence)
        }
    })
}

/// A span of time, in the seconds that the API counts.
fn seconds(text: &str) -> Result<u64, &'static str> {
    const MUST_BE: &str = "must be a time such as 90s, 30m, 1h or 7d";
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(MUST_BE),
    };
    let number: u64 = number.parse().map_err(|_| MUST_BE)?;
    number.checked_mul(unit_seconds).ok_or(MUST_BE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_its_unit() {
        let times = [("0s", 0), ("90s", 90), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800)];
        for (text, expected) in times {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_number_or_a_unit_is_refused() {
        for text in ["", "1", "h", "-1h", "1.5h", "1ms", "1 h", "99999999999999999999d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
