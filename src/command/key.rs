//! `tollgate key list|add|rotate|revoke`

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use tollgate_admin::json::Object;
use tollgate_common::ids::{KeyId, SubscriptionId};
use tollgate_config::value::Value;

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
        /// How long the old key goes on, as in 1h; it ends at once when left out
        #[arg(long, value_name = "TIME", value_parser = overlap)]
        overlap: Option<Duration>,
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
            let seconds = overlap.unwrap_or_default().as_secs();
            let body = Object::from_iter([("overlap_seconds".to_owned(), seconds.into())]);
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

/// A span of time as in the settings, in whole seconds as the API counts it.
fn overlap(text: &str) -> Result<Duration, String> {
    let must_be = || format!("must be {}, in whole seconds", Duration::EXPECTED);
    let overlap = Duration::parse(text).map_err(|_| must_be())?;
    if overlap.subsec_nanos() == 0 { Ok(overlap) } else { Err(must_be()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_is_written_as_in_the_settings_and_is_whole_seconds() {
        assert_eq!(overlap("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(overlap("2000ms"), Ok(Duration::from_secs(2)));
        for text in ["", "1", "h", "1500ms", "-1h", "1 fortnight"] {
            assert!(overlap(text).is_err(), "{text}");
        }
    }
}
