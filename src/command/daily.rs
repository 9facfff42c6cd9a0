//! What the commands of every day share: who asks, how a list is paged, how an answer is shown.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;
use tollgate_admin::json::Object;

use super::connect::ConnectArguments;
use super::table::{self, Table};
use super::{Failure, output};
use crate::catalog::api::{Api, ApiError, PAGE_ITEMS};

#[derive(Debug, Args)]
pub struct DailyArguments {
    #[command(flatten)]
    connect: ConnectArguments,
    /// Write one JSON object on each line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct LimitArguments {
    /// Show at most this many; all of them when left out
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

impl DailyArguments {
    pub fn run(
        &self,
        act: impl AsyncFnOnce(&Daily) -> Result<(), Failure>,
    ) -> Result<ExitCode, Failure> {
        let daily = Daily { api: self.connect.connect()?, is_json: self.json };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(act(&daily)).map_err(in_its_own_words)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whoever gave the command knows what was asked, so a refusal is what the control plane says of it.
fn in_its_own_words(failure: Failure) -> Failure {
    match failure.downcast::<ApiError>() {
        Ok(error) => match *error {
            ApiError::Refused { words, .. } => words.into(),
            error => error.into(),
        },
        Err(other) => other,
    }
}

/// One command at work.
pub struct Daily {
    pub api: Api,
    is_json: bool,
}

impl Daily {
    /// Shows a list. One page is held at a time, however many there are.
    pub async fn list(
        &self,
        path: &str,
        query: Vec<(&str, String)>,
        fields: &'static [&'static str],
        arguments: &LimitArguments,
    ) -> Result<(), Failure> {
        let mut table = Table::new(fields);
        let mut left = arguments.limit.unwrap_or(u64::MAX);
        let mut after: Option<String> = None;
        loop {
            let mut page_query = query.clone();
            page_query.push(("limit", left.min(PAGE_ITEMS).to_string()));
            page_query.extend(after.map(|after| ("after", after)));
            let (items, next) = self.api.page(path, &page_query).await?;
            left = left.saturating_sub(items.len() as u64);
            let text = if self.is_json { lines(&items) } else { table.rows(&items) };
            output::write(&text)?;
            after = next;
            if after.is_none() || left == 0 {
                return Ok(());
            }
        }
    }

    /// Shows some fields of one resource to people, all of it to scripts.
    pub fn show(&self, resource: Object, fields: &[&str]) -> Result<(), Failure> {
        let text = table::fields(&resource, fields);
        self.say(resource, text.trim_end())
    }

    /// Shows what has a new key, of which this is the only sight.
    pub fn show_key(&self, resource: Object, fields: &[&str]) -> Result<(), Failure> {
        let advice = match resource.get("api_key") {
            Some(Value::String(_)) => "api_key is shown this once",
            _ => "api_key was in an answer that was lost: rotate the key",
        };
        let text = format!("{}{advice}", table::fields(&resource, fields));
        self.say(resource, &text)
    }

    /// Says a sentence to people, and all of a resource to scripts.
    pub fn say(&self, resource: Object, sentence: &str) -> Result<(), Failure> {
        let text = if self.is_json { lines(&[resource]) } else { format!("{sentence}\n") };
        output::write(&text)
    }
}

fn lines(items: &[Object]) -> String {
    let line = |item: &Object| serde_json::to_string(item).expect("an object is JSON") + "\n";
    items.iter().map(line).collect()
}

/// On how many gateways an end is known by now.
pub fn in_force(answer: &Object) -> String {
    let count = |name: &str| answer.get(name).map_or("-".to_owned(), table::cell);
    format!("in force on {} of {} gateways", count("nodes_current"), count("nodes_total"))
}
