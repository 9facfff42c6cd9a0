//! The first minutes: what `tollgate demo` prints works when it is pasted.

use std::path::PathBuf;
use std::process::Command;

use tollgate_test_support::tollgate::{self, Tollgate};

use crate::BINARY;

/// A demo, and the lines of its guide.
struct Demo {
    tollgate: Tollgate,
    guide: Vec<String>,
}

fn demo() -> Demo {
    // These tests may themselves run where SIGHUP is ignored, which a child inherits.
    let command = tollgate::command("env", &["--default-signal=HUP", BINARY, "demo"]);
    let mut tollgate = Tollgate::start(command, &["proxy", "admin", "metrics"]);
    let mut guide = Vec::new();
    while !guide.last().is_some_and(|line: &String| line.starts_with("Ctrl-C ends the demo")) {
        guide.push(tollgate.line().trim_end().to_owned());
    }
    Demo { tollgate, guide }
}

impl Demo {
    /// The line to paste that stands below what is said, or that begins so.
    fn line(&self, said: &str) -> &str {
        let at = self.guide.iter().position(|line| line.trim().starts_with(said));
        let rest = &self.guide[at.unwrap_or_else(|| panic!("no `{said}` in {:#?}", self.guide))..];
        let is_command = |line: &&String| {
            let line = line.trim();
            line.starts_with("curl ") || line.starts_with("for ")
        };
        rest.iter().find(is_command).unwrap()
    }
}

/// What a shell prints for the line.
fn paste(line: &str) -> String {
    let output = Command::new("bash").args(["-c", line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_printed_call_is_served_and_shows_its_limits() {
    let demo = demo();

    let answer = paste(demo.line("Call the product"));

    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\nx-ratelimit-remaining: 9\r"), "{answer}");
    assert!(answer.contains(r#""x-tollgate-plan":"free""#), "{answer}");
}

#[test]
fn more_calls_than_the_plan_allows_are_refused() {
    let demo = demo();

    let codes = paste(demo.line("# more than"));

    let codes: Vec<&str> = codes.lines().collect();
    assert!(codes[..10].iter().all(|code| *code == "200"), "{codes:?}");
    assert!(codes[10..].contains(&"429"), "{codes:?}");
}

#[test]
fn consumer_and_metrics_see_the_call() {
    let demo = demo();
    paste(demo.line("Call the product"));

    let left = paste(demo.line("# what the consumer has left"));
    let metrics = paste(demo.line("# what Prometheus reads"));

    assert!(left.contains(r#""remaining":999"#), "{left}");
    let counted = r#"tollgate_requests_total{product="weather",plan="free",outcome="success"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn the_owner_sees_the_call_as_soon_as_the_ledger_has_it() {
    let mut demo = demo();
    paste(demo.line("Call the product"));
    let line = demo.line("# what the owner sees of it").to_owned();

    demo.tollgate.wait_until("usage shows the call", |_| {
        let usage: serde_json::Value = serde_json::from_str(&paste(&line)).unwrap();
        let items = usage["items"].as_array().unwrap();
        items.iter().any(|item| item["meter"] == "calls" && item["quantity"] == 1)
    });
}

#[test]
fn ctrl_c_ends_the_demo_and_leaves_nothing_behind() {
    the_demo_ends_by("INT");
}

#[test]
fn a_terminal_that_is_closed_ends_the_demo_and_leaves_nothing_behind() {
    the_demo_ends_by("HUP");
}

fn the_demo_ends_by(signal: &str) {
    let mut demo = demo();
    let last = demo.guide.last().unwrap();
    let (_, directory) = last.trim_end_matches('.').rsplit_once(' ').unwrap();
    let directory = PathBuf::from(directory);
    assert!(directory.exists());

    demo.tollgate.signal(signal);
    let status = demo.tollgate.wait();

    assert_eq!(status.code(), Some(0));
    assert!(!directory.exists());
}
