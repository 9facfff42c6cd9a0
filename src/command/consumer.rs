//! `tollgate consumer list|add`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tollgate_admin::json::Object;

use super::Failure;
use super::daily::{DailyArguments, LimitArguments};

#[derive(Debug, Args)]
pub struct ConsumerArguments {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    daily: DailyArguments,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Consumers, oldest first
    List {
        /// Only those with this in their name or email
        #[arg(long)]
        text: Option<String>,
        #[command(flatten)]
        limit: LimitArguments,
    },
    /// Make a consumer
    Add {
        name: String,
        #[arg(long)]
        email: Option<String>,
    },
}

const FIELDS: &[&str] = &["name", "email", "created_at", "id"];

pub fn run(arguments: &ConsumerArguments) -> Result<ExitCode, Failure> {
    arguments.daily.run(async |daily| match &arguments.act {
        Act::List { text, limit } => {
            let query = text.iter().map(|text| ("text", text.clone())).collect();
            daily.list("consumers", query, FIELDS, limit).await
        }
        Act::Add { name, email } => {
            let mut body = Object::from_iter([("name".to_owned(), name.as_str().into())]);
            body.extend(email.iter().map(|email| ("email".to_owned(), email.as_str().into())));
            daily.show(daily.api.post("consumers", &body).await?, FIELDS)
        }
    })
}
