//! An operator does on the command line what a day brings.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tollgate_test_support::owner::{Owner, TOKEN};
use tollgate_test_support::tollgate::{self, Tollgate, on_free_ports};

use crate::BINARY;
use crate::reconcile::{now, use_some};

/// A control plane whose ledger has three calls of a subscription.
struct House {
    tollgate: Tollgate,
    owner: Owner,
    runtime: tokio::runtime::Runtime,
    /// Deleted when the control plane is gone.
    directory: TempDir,
}

const USED_SUBSCRIPTION: &str = "03030303-0303-0303-0303-030303030303";

impl House {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        use_some(&directory, now());
        let mut command = tollgate::command(BINARY, &["admin"]);
        command
            .envs(on_free_ports(&directory))
            .env("TOLLGATE_NODE_TOKEN", "node-token")
            .env("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN);
        let tollgate = Tollgate::start(command, &["admin"]);
        let owner = Owner::new(tollgate.address("admin"));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self { tollgate, owner, runtime, directory }
    }

    fn post(&self, path: &str, body: Value) -> Value {
        self.runtime.block_on(self.owner.post(path, body)).ok()
    }

    fn run(&self, arguments: &[&str], stdout: Stdio) -> Output {
        let mut command = tollgate::command(BINARY, arguments);
        command
            .envs(on_free_ports(&self.directory))
            .env("TOLLGATE_ADMIN__LISTEN", self.tollgate.address("admin").to_string())
            .env("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN)
            .stdout(stdout)
            .stderr(Stdio::piped());
        command.spawn().unwrap().wait_with_output().unwrap()
    }

    /// What a command that succeeds shows.
    #[track_caller]
    fn shown(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, Stdio::piped());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that succeeds writes for scripts.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.shown(&[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a command that fails complains of, with its exit code.
    fn complaint(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments, Stdio::piped());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    /// How a command ends whose output nobody reads, and what it complains of.
    fn unread(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = self.run(arguments, writer.into());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn plan(name: &str) -> Value {
    json!({
        "name": name, "billing_mode": "free", "price_label": "", "monthly_quota": 1_000,
        "rate_limit": null,
    })
}

#[test]
fn a_day_is_done_on_the_command_line() {
    let house = House::start();
    house.post(
        "products",
        json!({
            "name": "weather", "title": "Weather", "description": "",
            "gateway_endpoint": "https://weather.example.com", "status": "draft",
        }),
    );
    house.post("products/weather/plans", plan("free"));
    house.post("products/weather/plans", plan("large"));

    assert_eq!(house.shown(&["product", "activate", "weather"]), "weather is now active\n");
    let table = house.shown(&["product", "list"]);
    assert!(table.starts_with("NAME     TITLE    STATUS  GATEWAY ENDPOINT"), "{table}");
    assert!(table.contains("weather  Weather  active  https://weather.example.com"), "{table}");
    assert!(house.shown(&["product", "show", "weather"]).contains("status            active\n"));
    let plans = house.json(&["plan", "list", "weather"]);
    let [free, large] = [&plans[0]["id"], &plans[1]["id"]].map(text);

    let ada = &house.json(&["consumer", "add", "Ada", "--email", "ada@example.com"])[0];
    house.shown(&["consumer", "add", "Grace"]);
    assert!(!house.shown(&["consumer", "list", "--text", "ada@"]).contains("Grace"));

    let ada = text(&ada["id"]);
    let new = house.shown(&["subscription", "add", "--consumer", ada, "--plan", free]);
    assert!(new.contains("\napi_key      ") && new.ends_with("shown this once\n"), "{new}");
    let of_ada = ["subscription", "list", "--consumer", ada, "--product", "weather"];
    let subscription = &house.json(&of_ada)[0];
    let id = text(&subscription["id"]);
    let moved = house.shown(&["subscription", "move", id, "--plan", large]);
    assert_eq!(moved, format!("{id} is now on plan {large}\n"));
    assert_eq!(house.json(&of_ada)[0]["plan_id"], large);

    let added = &house.json(&["key", "add", id])[0];
    assert!(added["api_key"].is_string(), "{added}");
    let rotated = &house.json(&["key", "rotate", text(&added["id"]), "--overlap", "1h"])[0];
    assert!(rotated["api_key"].is_string() && rotated["api_key"] != added["api_key"]);
    let revoked = house.shown(&["key", "revoke", text(&rotated["id"])]);
    assert!(revoked.ends_with("is revoked: in force on 0 of 0 gateways\n"), "{revoked}");
    let keys = house.json(&["key", "list", id]);
    assert_eq!(keys.len(), 3, "{keys:?}");
    let key = |id: &Value| keys.iter().find(|key| key["id"] == *id).unwrap();
    assert!(key(&added["id"])["expires_at"].is_string(), "{keys:?}");
    assert!(key(&rotated["id"])["revoked_at"].is_string(), "{keys:?}");
    assert!(!house.shown(&["key", "list", id]).contains(text(&added["api_key"])));

    let canceled = house.shown(&["subscription", "cancel", id]);
    assert_eq!(canceled, format!("{id} is canceled: in force on 0 of 0 gateways\n"));
    assert_eq!(house.shown(&["product", "draft", "weather"]), "weather is now draft\n");

    let used = house.json(&["usage", "--subscription", USED_SUBSCRIPTION, "--window", "day"]);
    let calls = used.iter().find(|row| row["meter"] == "calls").unwrap();
    assert_eq!(calls["quantity"], 3);
    let summary = house.shown(&["usage"]);
    assert!(summary.starts_with("WINDOW START"), "{summary}");
    assert_eq!(house.json(&["usage"])[0]["calls"], 3);
    assert_eq!(house.json(&["usage", "--product", "weather"]), Vec::<Value>::new());
}

#[test]
fn a_list_is_shown_over_all_its_pages_or_up_to_a_limit() {
    let house = House::start();
    for number in 0..101 {
        house.post("consumers", json!({ "name": format!("consumer {number}") }));
    }

    assert_eq!(house.json(&["consumer", "list"]).len(), 101);
    assert_eq!(house.shown(&["consumer", "list"]).lines().count(), 1 + 101);
    assert_eq!(house.json(&["consumer", "list", "--limit", "101"]).len(), 101);
    assert_eq!(house.json(&["consumer", "list", "--limit", "2"]).len(), 2);
}

#[test]
fn a_refusal_is_told_in_the_words_of_the_control_plane() {
    let house = House::start();

    let (code, said) = house.complaint(&["consumer", "add", "", "--email", "nobody"]);
    assert_eq!(code, Some(1), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("tollgate: ") && lines[0].matches(": ").count() == 2, "{said}");
    assert!(lines[1].starts_with("    name: ") && lines[2].starts_with("    email: "), "{said}");

    let (code, said) = house.complaint(&["product", "show", "nothing"]);
    assert_eq!(code, Some(1), "{said}");
    for wrong in [
        &["key", "revoke", "../tokens"][..],
        &["key", "rotate", USED_SUBSCRIPTION, "--overlap", "1"],
        &["product", "show", "../tokens"],
        &["usage", "--product", "weather", "--subscription", USED_SUBSCRIPTION],
        &["consumer", "list", "--limit", "0"],
    ] {
        let (code, said) = house.complaint(wrong);
        assert_eq!(code, Some(2), "{wrong:?} {said}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_command_without_a_word() {
    let house = House::start();

    for arguments in [
        &["consumer", "list"][..],
        &["usage", "--json"],
        &["export"],
        &["catalog-schema"],
        &["completions", "bash"],
        &["token", "create", "--role", "auditor", "--name", "Grace"],
    ] {
        assert_eq!(house.unread(arguments), (Some(0), String::new()), "{arguments:?}");
    }
}

/// What a script asks about: a reader that has gone changes neither what is done nor the exit code.
#[test]
fn what_a_command_finds_and_does_is_the_same_where_nobody_reads_it() {
    let house = House::start();
    let file = |name: &str, text: &str| {
        let path = house.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let settings = file("tollgate.yaml", "data_dir: /var/lib/tollgate\n");
    let no_settings = file("wrong.yaml", "data_directory: /var/lib/tollgate\n");
    let catalog = file("catalog.yaml", "products:\n  - name: maps\n    status: draft\n");
    let no_catalog = file("nothing.yaml", "products:\n  - status: sold\n");
    let described = file("openapi.yaml", "openapi: 3.1.0\npaths:\n  /tiles: { get: {} }\n");

    for (arguments, code) in [
        (&["check-config", &settings][..], 0),
        (&["check-config", &no_settings], 1),
        (&["import-openapi", &described, "--product", "maps"], 0),
        (&["import-openapi", &described, "--product", "maps", "--dry-run"], 3),
        (&["apply", &no_catalog], 1),
        (&["apply", &catalog, "--dry-run"], 3),
        (&["apply", &catalog], 0),
        (&["product", "list"], 0),
    ] {
        assert_eq!(house.unread(arguments), (Some(code), String::new()), "{arguments:?}");
    }
    assert!(house.shown(&["product", "list"]).contains("maps"));
}

#[test]
fn a_token_file_without_a_token_is_named() {
    let house = House::start();
    let token = house.directory.path().join("token");
    std::fs::write(&token, " \n").unwrap();
    let token = token.to_str().unwrap();

    for arguments in
        [&["export", "--token-file", token][..], &["reconcile", "billing", "--token-file", token]]
    {
        let (code, said) = house.complaint(arguments);

        assert_eq!(code, Some(1), "{said}");
        let complaint = format!("tollgate: {token} is empty: it should hold a token");
        assert!(said.starts_with(&complaint), "{said}");
    }
}

#[test]
fn each_shell_has_a_script_that_completes_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = tollgate::command(BINARY, &["completions", shell]).output().unwrap();

        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["subscription", "rotate", "overlap"] {
            assert!(script.contains(word), "{shell} {word}");
        }
    }
}
