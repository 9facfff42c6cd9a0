//! `tollgate check-config`: every mistake with its place, and an exit code for scripts.

use std::io::Write;
use std::process::{Output, Stdio};

use tollgate_test_support::tollgate;

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

fn check(text: impl AsRef<[u8]>) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("t.yaml");
    std::fs::write(&file, text).unwrap();
    let mut command = tollgate::command(BINARY, &["check-config", "t.yaml"]);
    command.current_dir(directory.path()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_file_without_mistakes_ends_well() {
    let output = check("proxy:\n  listen: 127.0.0.1:0\n");

    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "t.yaml: no mistakes\n");
}

#[test]
fn every_mistake_is_a_line_that_begins_with_its_place() {
    let output = check("proxy:\n  listen: nowhere\n  threads: many\nadmin:\n  listne: 1\n");

    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stdout(&output), @r"
    t.yaml:2:11: proxy.listen: `nowhere` is not an address and port such as 127.0.0.1:8080
    t.yaml:3:12: proxy.threads: `many` is not a whole number above zero
    t.yaml:5:3: admin.listne: there is no such setting; did you mean `listen`?
    ");
}

#[test]
fn a_start_names_every_mistake_once_and_in_the_same_form() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("t.yaml"), "colour: blue\nlog: {form: json}\n").unwrap();
    let mut command = tollgate::command(BINARY, &["run", "--config", "t.yaml"]);

    let output = command.current_dir(directory.path()).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    tollgate: the settings cannot be used:
    t.yaml:1:1: colour: there is no such setting
    t.yaml:2:7: log.form: there is no such setting; did you mean `format`?
    ");
}

#[test]
fn the_environment_is_read_where_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("t.yaml"), "proxy: {tls: {certificate: c}}\n").unwrap();
    let check = |arguments: &[&str]| {
        let mut command = tollgate::command(BINARY, arguments);
        command.env("TOLLGATE_PROXY__TLS__PRIVATE_KEY", "k");
        stdout(&command.current_dir(directory.path()).output().unwrap())
    };

    let alone = check(&["check-config", "t.yaml"]);
    let with_environment = check(&["check-config", "--with-environment", "t.yaml"]);

    assert_eq!(alone, "t.yaml:1:9: proxy.tls.private_key: must be given\n");
    assert_eq!(with_environment, "t.yaml: no mistakes\n");
}

#[test]
fn what_is_not_text_has_its_place_too() {
    let output = check(b"proxy:\n  listen: \xff\n");

    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "t.yaml:2:11: not UTF-8, which settings are written in\n");
}

#[test]
fn a_file_that_is_missing_is_said_on_standard_error() {
    let output = tollgate::command(BINARY, &["check-config", "/nowhere/t.yaml"]).output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("tollgate: cannot read /nowhere/t.yaml: "), "{said}");
}

#[test]
fn a_pipe_is_read_up_to_the_bound_of_a_file() {
    let mut command = tollgate::command(BINARY, &["check-config", "/dev/stdin"]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut pipe = running.stdin.take().unwrap();
    pipe.write_all(&vec![b'#'; (1 << 20) + 1]).unwrap();
    drop(pipe);

    let output = running.wait_with_output().unwrap();

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("/dev/stdin is larger than 1048576 bytes"), "{said}");
}
