//! An operator exports the audit and checks it away from the control plane.

use std::fs;

use tollgate_test_support::http::get_with;
use tollgate_test_support::owner::TOKEN;
use tollgate_test_support::tollgate::{self, Tollgate, on_free_ports};

use crate::BINARY;

#[test]
fn an_export_of_the_audit_is_checked_and_a_changed_line_is_named() {
    let data_dir = tempfile::tempdir().unwrap();
    for name in ["Ada", "Grace", "Mary"] {
        let arguments = ["token", "create", "--role", "auditor", "--name", name];
        let mut create = tollgate::command(BINARY, &arguments);
        assert!(create.envs(on_free_ports(&data_dir)).output().unwrap().status.success());
    }
    let mut run = tollgate::command(BINARY, &["run"]);
    run.envs(on_free_ports(&data_dir)).env("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN);
    let tollgate = Tollgate::start(run, &["admin"]);
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    let export = get_with(tollgate.address("admin"), "/api/v1/audit/export", &headers).body;
    let file = data_dir.path().join("audit.jsonl");
    let verify = |content: &str| {
        fs::write(&file, content).unwrap();
        let mut command = tollgate::command(BINARY, &["audit", "verify"]);
        let output = command.arg(&file).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };

    let (whole, said_of_whole) = verify(&export);
    let (changed, said_of_changed) = verify(&export.replace("Grace", "Alice"));

    assert_eq!(whole, Some(0), "{said_of_whole}");
    assert!(said_of_whole.starts_with("3 lines, all in their place"), "{said_of_whole}");
    assert_eq!(changed, Some(1), "{said_of_changed}");
    assert!(said_of_changed.contains("audit.jsonl: line 2 does not follow"), "{said_of_changed}");
}
