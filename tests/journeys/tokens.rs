//! An operator makes a token on the machine and uses it.

use tollgate_test_support::http::{get, get_with};
use tollgate_test_support::tollgate::{self, Tollgate, on_free_ports};

use crate::BINARY;

#[test]
fn a_token_from_the_command_line_opens_the_api_of_a_running_process() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut run = tollgate::command(BINARY, &["run"]);
    run.envs(on_free_ports(&data_dir));
    let tollgate = Tollgate::start(run, &["admin"]);
    let arguments = ["token", "create", "--role", "platform_owner", "--name", "Ada"];
    let mut create = tollgate::command(BINARY, &arguments);

    let created = create.envs(on_free_ports(&data_dir)).output().unwrap();

    assert_eq!(created.status.code(), Some(0), "{created:?}");
    let token = String::from_utf8(created.stdout).unwrap();
    let admin = tollgate.address("admin");
    let authorization = format!("Bearer {}", token.trim());
    assert_eq!(get(admin, "/api/v1/products").status, 401);
    let answer = get_with(admin, "/api/v1/audit", &[("authorization", &authorization)]);
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("token.create"), "{}", answer.body);
}

#[test]
fn a_role_that_does_not_exist_is_refused_with_those_that_do() {
    let arguments = ["token", "create", "--role", "king", "--name", "Ada"];

    let output = tollgate::command(BINARY, &arguments).output().unwrap();

    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("platform_owner, operator, auditor"), "{said}");
}
