//! Metrics have the names that dashboards and alerts rely on.

use std::collections::BTreeSet;
use std::path::Path;

use granit_parser::{Event, Parser};
use serde_json::json;
use tollgate_test_support::http::{get, get_with};
use tollgate_test_support::owner::Owner;
use tollgate_test_support::tollgate::{self, Tollgate};

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// Names of series after one call, with a destination, as Prometheus stores them.
fn series() -> BTreeSet<String> {
    let mut tollgate =
        Tollgate::start(tollgate::command(BINARY, &["demo"]), &["proxy", "admin", "metrics"]);
    let mut after = |words: &str| loop {
        let line = tollgate.line();
        if let Some((_, rest)) = line.split_once(words) {
            break rest.trim().split('\'').next().unwrap().to_owned();
        }
    };
    let token = after("with the token:");
    let key = after("X-API-Key: ");
    set_up_destination(&tollgate, &token);
    get_with(tollgate.address("proxy"), "/weather/", &[("x-api-key", &key)]);
    // The control plane's answer in the ledger's name, and how the destination stands.
    tollgate.wait_until("the ledger has taken the record", |tollgate| {
        let metrics = get(tollgate.address("metrics"), "/metrics").body;
        metrics.contains("tollgate_ledger_records_total 1\n")
            && metrics.contains("tollgate_destination_paused")
    });
    let metrics = get(tollgate.address("metrics"), "/metrics").body;
    let mut names = BTreeSet::new();
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("# TYPE ") else { continue };
        let (name, kind) = rest.split_once(' ').unwrap();
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        names.extend(suffixes.iter().map(|suffix| format!("{name}{suffix}")));
    }
    names
}

fn set_up_destination(tollgate: &Tollgate, token: &str) {
    let owner = Owner::with_token(tollgate.address("admin"), token);
    let webhook = json!({
        "name": "billing", "kind": "webhook", "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "settings": { "url": "https://hooks.example" }, "status": "paused",
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(owner.post("destinations", webhook)).ok();
}

/// Words in a text that look like names of our series.
fn mentioned(text: &str) -> BTreeSet<&str> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
        .filter(|word| word.starts_with("tollgate_") || word.starts_with("process_"))
        .collect()
}

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn dashboards_alerts_and_readers_find_every_series_that_they_ask_for() {
    let series = series();
    let promised = [
        "tollgate_requests_total",
        "tollgate_refusals_total",
        "tollgate_request_duration_seconds_bucket",
        "tollgate_upstream_duration_seconds_bucket",
        "tollgate_decision_duration_seconds_bucket",
        "tollgate_usage_calls_total",
        "tollgate_usage_units_total",
        "tollgate_bytes_total",
        "tollgate_connections",
        "tollgate_ledger_lag_seconds",
        "tollgate_counters_available",
        "tollgate_counters_round_trips_total",
        "tollgate_leases_outstanding",
        "tollgate_snapshot_revision",
        "tollgate_destination_attempts_total",
        "tollgate_destination_lag_seconds",
    ];

    for name in promised {
        assert!(series.contains(name), "{name} is not exposed");
    }
    for path in ["config/grafana/tollgate.json", "config/prometheus/alerts.yaml"] {
        let text = file(path);
        let mentioned = mentioned(&text);
        assert!(!mentioned.is_empty());
        for name in mentioned {
            assert!(series.contains(name), "{path} asks for {name}, which is not exposed");
        }
    }
}

/// The values of the scalars with this name in a YAML file, in order.
fn scalars(yaml: &str, wanted: &str) -> Vec<String> {
    let mut scalars = Vec::new();
    for event in Parser::new_from_str(yaml) {
        if let (Event::Scalar(text, ..), _) = event.unwrap() {
            scalars.push(text.into_owned());
        }
    }
    let named = scalars.windows(2).filter(|pair| pair[0] == wanted);
    named.map(|pair| pair[1].clone()).collect()
}

#[test]
fn every_alert_is_a_query_that_prometheus_reads() {
    let alerts = file("config/prometheus/alerts.yaml");

    let [names, queries, severities] =
        ["alert", "expr", "severity"].map(|wanted| scalars(&alerts, wanted));

    assert!(!names.is_empty());
    assert_eq!((queries.len(), severities.len()), (names.len(), names.len()));
    assert_eq!(BTreeSet::from_iter(&names).len(), names.len(), "{names:?}");
    for (name, query) in names.iter().zip(&queries) {
        promql_parser::parser::parse(query).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(severities.iter().all(|severity| ["page", "ticket"].contains(&severity.as_str())));
}

#[test]
fn the_dashboard_is_json_with_a_query_in_every_panel() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&file("config/grafana/tollgate.json")).unwrap();

    for panel in dashboard["panels"].as_array().unwrap() {
        if panel["type"] != "row" {
            for target in panel["targets"].as_array().unwrap() {
                let query = target["expr"].as_str().unwrap();
                // Grafana fills these in.
                let query = query.replace("$__rate_interval", "1m").replace("$__range", "1h");
                promql_parser::parser::parse(&query)
                    .unwrap_or_else(|error| panic!("{query}: {error}"));
            }
        }
    }
}
