//! An operator starts a process, watches it, and stops it.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_test_support::http::get;
use tollgate_test_support::tollgate::{self, Tollgate, on_free_ports};

use crate::BINARY;

fn start(role: &str, data_dir: &TempDir, roles: &[&str]) -> Tollgate {
    let mut command = tollgate::command(BINARY, &[role]);
    command.envs(on_free_ports(data_dir)).env("TOLLGATE_NODE_TOKEN", "node-token");
    Tollgate::start(command, roles)
}

#[test]
fn run_needs_nothing_but_a_directory() {
    let data_dir = tempfile::tempdir().unwrap();

    let mut tollgate = start("run", &data_dir, &["proxy", "admin", "metrics"]);

    assert_eq!(get(tollgate.address("metrics"), "/healthz").status, 200);
    assert_eq!(get(tollgate.address("metrics"), "/readyz").status, 200);
    assert_eq!(get(tollgate.address("admin"), "/api/v1/openapi.json").status, 200);
    assert_eq!(get(tollgate.address("proxy"), "/nothing/here").status, 404);
    tollgate.signal("TERM");
    assert_eq!(tollgate.wait().code(), Some(0));
}

#[test]
fn a_gateway_without_its_control_plane_is_alive_but_not_ready() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut command = tollgate::command(BINARY, &["proxy"]);
    command
        .envs(on_free_ports(&data_dir))
        .env("TOLLGATE_NODE_TOKEN", "node-token")
        // A port that nobody listens on.
        .env("TOLLGATE_PROXY__ADMIN_URL", "http://127.0.0.1:9/");

    let tollgate = Tollgate::start(command, &["proxy", "metrics"]);

    assert_eq!(get(tollgate.address("metrics"), "/healthz").status, 200);
    let readiness = get(tollgate.address("metrics"), "/readyz");
    assert_eq!(readiness.status, 503);
    assert_eq!(readiness.body, "not ready: the gateway has no catalog yet\n");
}

#[test]
fn a_control_plane_alone_is_ready() {
    let data_dir = tempfile::tempdir().unwrap();

    let tollgate = start("admin", &data_dir, &["admin", "metrics"]);

    assert_eq!(get(tollgate.address("metrics"), "/readyz").status, 200);
}

#[test]
fn what_a_role_lacks_is_said_before_anything_starts() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut command = tollgate::command(BINARY, &["proxy"]);

    let output = command.envs(on_free_ports(&data_dir)).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("proxy.admin_url: "), "{said}");
    assert!(said.contains("node_token: "), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let data_dir = tempfile::tempdir().unwrap();
    let _first = start("run", &data_dir, &["proxy"]);
    let mut second = tollgate::command(BINARY, &["run"]);

    let output = second.envs(on_free_ports(&data_dir)).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another process uses"), "{said}");
}

#[test]
fn a_second_signal_ends_a_process_that_waits_for_its_calls() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut tollgate = start("run", &data_dir, &["proxy"]);
    let mut caller = TcpStream::connect(tollgate.address("proxy")).unwrap();
    caller.write_all(b"GET /half HTTP/1.1\r\n").unwrap();
    // Answered only once the caller before it was accepted.
    get(tollgate.address("proxy"), "/whole");

    tollgate.signal("TERM");
    tollgate.wait_for_log("the process stops", 1);
    tollgate.signal("TERM");

    assert_eq!(tollgate.wait().code(), Some(1));
    let log = tollgate.log_to_end();
    assert!(log.contains("a second signal") && !log.contains("panicked"), "{log}");
}

#[test]
fn an_order_to_stop_is_heard_while_the_process_starts() {
    let data_dir = tempfile::tempdir().unwrap();
    // A database server that says nothing.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://t@{}/t", server.local_addr().unwrap());
    let mut command = tollgate::command(BINARY, &["run"]);
    command.envs(on_free_ports(&data_dir)).env("TOLLGATE_STORE__URL", url);
    let mut tollgate = Tollgate::start(command, &[]);
    let _asked = server.accept().unwrap();

    tollgate.signal("HUP");
    tollgate.signal("TERM");

    assert_eq!(tollgate.wait().code(), Some(0));
    let log = tollgate.log_to_end();
    assert!(log.contains("told to stop while it started"), "{log}");
}

/// What a process says that does not start for the place of its upgrade socket.
fn refuses_upgrade_socket(data_dir: &TempDir, place: &Path) -> String {
    let mut command = tollgate::command(BINARY, &["run"]);
    command.envs(on_free_ports(data_dir)).env("TOLLGATE_PROXY__UPGRADE_SOCKET", place);

    let output = command.output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("proxy.upgrade_socket"), "{said}");
    said
}

#[test]
fn an_upgrade_socket_that_cannot_be_made_is_found_before_anything_starts() {
    let data_dir = tempfile::tempdir().unwrap();
    let too_long = data_dir.path().join("s".repeat(100));
    for place in [data_dir.path().join("missing/socket"), too_long] {
        let said = refuses_upgrade_socket(&data_dir, &place);

        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(std::fs::read_dir(data_dir.path()).unwrap().count(), 0, "nothing was made");
    }
}

#[test]
fn a_file_in_the_place_of_the_upgrade_socket_is_left_as_it_is() {
    let data_dir = tempfile::tempdir().unwrap();
    let place = data_dir.path().join("tollgate.db");
    std::fs::write(&place, "the ledger").unwrap();
    let said = refuses_upgrade_socket(&data_dir, &place);

    assert!(said.contains(place.to_str().unwrap()), "{said}");
    assert_eq!(std::fs::read_to_string(&place).unwrap(), "the ledger");
}

#[test]
fn an_upgrade_goes_on_with_the_data_of_the_process_that_runs_or_not_at_all() {
    let [data_dir, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let with = |directory: &TempDir| {
        let mut command = tollgate::command(BINARY, &["run"]);
        command.envs(on_free_ports(directory));
        command.env("TOLLGATE_PROXY__UPGRADE_SOCKET", data_dir.path().join("upgrade.sock"));
        command
    };
    let mut first = Tollgate::start(with(&data_dir), &["proxy", "metrics"]);

    let output = with(&other).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for directory in [&data_dir, &other] {
        assert!(said.contains(directory.path().to_str().unwrap()), "{said}");
    }
    assert_eq!(get(first.address("metrics"), "/readyz").status, 200);
    let second = Tollgate::start(with(&data_dir), &["proxy", "metrics"]);
    assert_eq!(first.wait().code(), Some(0));
    assert_eq!(get(second.address("metrics"), "/readyz").status, 200);
}

#[test]
fn two_control_planes_do_not_share_a_file() {
    let data_dir = tempfile::tempdir().unwrap();
    let first = start("admin", &data_dir, &["admin"]);
    for role in ["admin", "run"] {
        let mut second = tollgate::command(BINARY, &[role]);
        second.envs(on_free_ports(&data_dir)).env("TOLLGATE_NODE_TOKEN", "node-token");

        let output = second.output().unwrap();

        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("another process uses this database"), "{said}");
    }
    drop(first);
    start("admin", &data_dir, &["admin"]);
}

/// Makes another name of a database that is in use, and starts a second control plane on it.
fn starts_by_another_name(make: impl Fn(&Path, &Path)) -> String {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let link = other.path().join("link.db");
    let _first = start("admin", &one, &["admin"]);
    make(&one.path().join("tollgate.db"), &link);
    let mut second = tollgate::command(BINARY, &["admin"]);
    second.envs(on_free_ports(&other)).env("TOLLGATE_NODE_TOKEN", "node-token");
    second.env("TOLLGATE_STORE__URL", format!("sqlite://{}", link.display()));

    let output = second.output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn two_control_planes_do_not_share_a_file_by_two_names() {
    let said = starts_by_another_name(|file, link| std::os::unix::fs::symlink(file, link).unwrap());
    assert!(said.contains("another process uses this database"), "{said}");

    let said = starts_by_another_name(|file, link| std::fs::hard_link(file, link).unwrap());
    assert!(said.contains("has 2 names (hard links)"), "{said}");
}

#[test]
fn the_service_manager_hears_how_the_process_is() {
    let data_dir = tempfile::tempdir().unwrap();
    let path = data_dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hears = || {
        let mut said = [0; 4_096];
        let length = manager.recv(&mut said).unwrap();
        let said = std::str::from_utf8(&said[..length]).unwrap().to_owned();
        said.lines().map(|line| line.split('=').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut command = tollgate::command(BINARY, &["run"]);
    command.envs(on_free_ports(&data_dir)).env("NOTIFY_SOCKET", &path);
    let mut tollgate = Tollgate::start(command, &["proxy"]);

    assert_eq!(hears(), ["READY"]);
    tollgate.signal("HUP");
    assert_eq!(hears(), ["RELOADING", "MONOTONIC_USEC"]);
    assert_eq!(hears(), ["READY"]);
    tollgate.signal("TERM");
    assert_eq!(hears(), ["STOPPING"]);
    tollgate.wait();
}

#[test]
fn every_line_of_the_log_is_json() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut tollgate = start("run", &data_dir, &["proxy"]);
    tollgate.signal("TERM");
    tollgate.wait();

    let log = tollgate.log_to_end();

    assert!(log.contains("the process serves") && log.contains("the process has stopped"));
    for line in log.lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "no JSON: {line}");
    }
}
