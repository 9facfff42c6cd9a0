//! `tollgate reconcile --url URL --token-file FILE DESTINATION`
//!
//! A client of the API, page by page: it holds one page at a time, however much there is.

use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use reqwest::{Client, Url};
use serde_json::Value;

use super::connect::read_token;
use super::{Failure, output};

/// Between two lines about how far it is, where they are not written over each other.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// A page that asks the destination may wait for it.
const PAGE_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub struct ReconcileArguments {
    /// Name or id of the destination
    destination: String,
    /// Where the control plane is
    #[arg(long, default_value = "http://127.0.0.1:9090")]
    url: Url,
    /// A file with a token of the admin API
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// First moment of the windows to compare; the destination's start when left out
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Last moment of the windows to compare; now when left out
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only this subscription
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// Ask the destination for every window, and not only the store for what it has shown
    #[arg(long)]
    ask: bool,
    /// Write one JSON object for each difference
    #[arg(long)]
    json: bool,
}

/// Exit code 1 says that there are differences.
pub fn run(arguments: &ReconcileArguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(reconcile(arguments)) {
        Ok(0) => Ok(ExitCode::SUCCESS),
        Ok(_) => Ok(ExitCode::FAILURE),
        // Nothing but differences is written.
        Err(failure) if failure.is::<output::Closed>() => Ok(ExitCode::FAILURE),
        Err(failure) => Err(failure),
    }
}

async fn reconcile(arguments: &ReconcileArguments) -> Result<u64, Failure> {
    let api = Api::open(arguments)?;
    let id = api.destination(&arguments.destination).await?;
    let mut query = vec![("limit", "500".to_owned())];
    let given = [
        ("from", &arguments.from),
        ("to", &arguments.to),
        ("subscription_id", &arguments.subscription),
    ];
    query.extend(given.iter().filter_map(|(name, value)| Some((*name, (*value).clone()?))));
    if arguments.ask {
        query.push(("ask", "true".to_owned()));
    }
    let mut progress = Progress::begin();
    let mut after: Option<String> = None;
    loop {
        let mut page_query = query.clone();
        page_query.extend(after.map(|after| ("after", after)));
        let path = format!("/api/v1/destinations/{id}/reconciliation");
        let page = api.get(&path, &page_query).await?;
        let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
        progress.clear();
        show(items, arguments.json, progress.differences == 0)?;
        progress.page(items.len(), &page);
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() {
            progress.end();
            return Ok(progress.differences);
        }
    }
}

struct Api {
    client: Client,
    url: Url,
    token: String,
}

impl Api {
    fn open(arguments: &ReconcileArguments) -> Result<Self, Failure> {
        let token = read_token(&arguments.token_file)?;
        let client = Client::builder().timeout(PAGE_TIMEOUT).build()?;
        Ok(Self { client, url: arguments.url.clone(), token })
    }

    async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let mut url = self.url.join(path)?;
        url.query_pairs_mut().extend_pairs(query);
        let response = self.client.get(url).bearer_auth(&self.token).send().await?;
        let status = response.status();
        let body = response.json::<Value>().await;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &body.unwrap_or_default()).into());
        }
        Ok(body?)
    }

    async fn destination(&self, name: &str) -> Result<String, Failure> {
        let mut query = vec![("limit", "500".to_owned())];
        loop {
            let page = self.get("/api/v1/destinations", &query).await?;
            let mut known = page["items"].as_array().into_iter().flatten();
            let is_it = |one: &&Value| one["name"] == name || one["id"] == name;
            if let Some(id) = known.find(is_it).and_then(|one| one["id"].as_str()) {
                return Ok(id.to_owned());
            }
            let Some(next) = page["next"].as_str() else { break };
            query.retain(|(name, _)| *name != "after");
            query.push(("after", next.to_owned()));
        }
        Err(format!("there is no destination {name}").into())
    }
}

/// What the control plane says of a request that it does not do.
fn refusal(status: u16, body: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut said = format!("the control plane answers {status}: {}", text(&body["detail"]));
    for error in body["errors"].as_array().into_iter().flatten() {
        said.push_str(&format!("; {} {}", text(&error["field"]), text(&error["message"])));
    }
    said
}

fn show(items: &[Value], is_json: bool, is_first: bool) -> Result<(), Failure> {
    let mut lines = Vec::new();
    if is_json {
        lines.extend(items.iter().map(ToString::to_string));
    } else {
        if is_first && !items.is_empty() {
            lines.push(row(TITLES.map(str::to_owned)));
        }
        lines.extend(items.iter().map(|item| row(FIELDS.map(|field| cell(&item[field])))));
    }
    output::write(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

const TITLES: [&str; 10] = [
    "SUBSCRIPTION",
    "METER",
    "WINDOW",
    "CAUSE",
    "QUANTITY",
    "LEDGER",
    "ACKNOWLEDGED",
    "READ BACK",
    "REPAIRS",
    "REASON",
];

const FIELDS: [&str; 10] = [
    "subscription_id",
    "meter",
    "window_start",
    "cause",
    "quantity",
    "ledger",
    "acknowledged",
    "read_back",
    "repairs",
    "reason",
];

const WIDTHS: [usize; 10] = [36, 9, 24, 22, 10, 10, 12, 10, 24, 0];

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(words) => words.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn row(cells: [String; 10]) -> String {
    let padded = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:width$}"));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// How far it is, on standard error.
struct Progress {
    differences: u64,
    windows: u64,
    left: u64,
    is_terminal: bool,
    said_at: Instant,
}

impl Progress {
    fn begin() -> Self {
        let is_terminal = stderr().is_terminal();
        Self { differences: 0, windows: 0, left: 0, is_terminal, said_at: Instant::now() }
    }

    fn page(&mut self, items: usize, page: &Value) {
        self.differences += items as u64;
        self.windows += page["windows"].as_u64().unwrap_or(0);
        self.left = page["subscriptions_left"].as_u64().unwrap_or(0);
        if self.is_terminal {
            self.say("\r");
        } else if self.said_at.elapsed() >= PROGRESS_EVERY {
            self.said_at = Instant::now();
            self.say("\n");
        }
    }

    fn end(&self) {
        self.say("\n");
    }

    /// Makes room for rows where the line stands.
    fn clear(&self) {
        if self.is_terminal {
            write(&format!("{:78}\r", ""));
        }
    }

    fn say(&self, end: &str) {
        let Self { differences, windows, left, .. } = self;
        let text = format!(
            "{windows} windows compared, {left} subscriptions left, {differences} differences"
        );
        write(format!("{text:78}").trim_end());
        write(end);
    }
}

/// Whoever has closed standard error does not want to know.
fn write(text: &str) {
    let mut stderr = stderr();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_a_row_under_its_titles() {
        let difference = json!({
            "subscription_id": "01a22250-5613-71ca-b3e5-f902e58ee03c", "meter": "calls",
            "window_start": "2026-11-28T11:00:00.000Z", "cause": "quarantined", "quantity": 5,
            "ledger": 5, "acknowledged": 0, "read_back": null,
            "repairs": ["resend", "void", "accept"], "reason": "400: no such thing",
        });

        let titles = row(TITLES.map(str::to_owned));
        let shown = row(FIELDS.map(|field| cell(&difference[field])));

        for (title, value) in [("CAUSE", "quarantined"), ("READ BACK", "- "), ("REASON", "400")] {
            assert_eq!(titles.find(title), shown.find(value), "{titles}\n{shown}");
        }
        assert!(shown.contains("resend,void,accept"), "{shown}");
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        let body = json!({
            "detail": "nothing was saved; see errors",
            "errors": [{ "field": "from", "message": "must be a time" }],
        });

        let said = refusal(400, &body);

        assert!(
            said.ends_with("400: nothing was saved; see errors; from must be a time"),
            "{said}"
        );
    }
}
