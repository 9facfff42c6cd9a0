//! The database as an operator gives it, and what is said when it is none.

use std::process::Command;

use tempfile::TempDir;
use tollgate_test_support::http;
use tollgate_test_support::owner::TOKEN;
use tollgate_test_support::postgres::{PASSWORD, Postgres, USER};
use tollgate_test_support::tollgate::{Tollgate, command, on_free_ports};

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

fn admin(directory: &TempDir, store: &str) -> Command {
    let mut command = command(BINARY, &["admin"]);
    command.envs(on_free_ports(directory)).env("TOLLGATE_STORE__URL", store);
    command.env("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN).env("TOLLGATE_NODE_TOKEN", "a-node");
    command
}

/// What a control plane says that cannot start.
fn refusal(store: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let output = admin(&directory, store).output().unwrap();
    assert!(!output.status.success());
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains("hunter2") && !said.contains(PASSWORD), "{said}");
    said
}

#[test]
fn a_server_that_does_not_let_us_in_is_named_and_the_password_is_not() {
    let server = Postgres::shared();

    let password = refusal(&server.url(USER, "hunter2", "postgres"));
    let database = refusal(&server.url(USER, PASSWORD, "nowhere"));
    let nobody = refusal("postgres://tollgate:hunter2@127.0.0.1:1/tollgate");
    let malformed = refusal("postgres://tollgate:hunter2#@127.0.0.1/tollgate");

    assert!(password.contains("password authentication failed"), "{password}");
    assert!(database.contains("nowhere") && database.contains("does not exist"), "{database}");
    assert!(nobody.contains("postgres://tollgate@127.0.0.1:1/tollgate"), "{nobody}");
    assert!(malformed.contains("store.url: "), "{malformed}");
}

#[test]
fn tokens_are_made_in_the_database_of_the_settings() {
    let store = Postgres::shared().database();
    let directory = tempfile::tempdir().unwrap();
    let mut create = command(BINARY, &["token", "create", "--role", "auditor", "--name", "tests"]);
    let output = create.env("TOLLGATE_STORE__URL", &store).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).unwrap();

    let admin = Tollgate::start(admin(&directory, &store), &["admin", "metrics"]);
    let bearer = format!("Bearer {}", token.trim());
    let headers = [("authorization", bearer.as_str())];
    let answer = http::get_with(admin.address("admin"), "/api/v1/products", &headers);

    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!directory.path().join("tollgate.db").exists());
}
