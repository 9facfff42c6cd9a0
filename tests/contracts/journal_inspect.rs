//! `tollgate journal inspect`: what a journal holds, and an exit code for scripts.

use std::process::Output;

use tollgate_common::time::Timestamp;
use tollgate_proxy::journal::{Journal, JournalOptions};
use tollgate_test_support::tollgate;

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

fn inspect(dir: &std::path::Path) -> Output {
    tollgate::command(BINARY, &["journal", "inspect"]).arg(dir).output().unwrap()
}

#[test]
fn a_sound_journal_is_shown_while_it_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("journal");
    let journal = Journal::open(JournalOptions::new(&dir), Timestamp(0)).unwrap();

    let output = inspect(&dir);

    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with(&format!("node {}\n", journal.node())), "{said}");
}

#[test]
fn damage_is_shown_and_ends_with_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("journal");
    drop(Journal::open(JournalOptions::new(&dir), Timestamp(0)).unwrap());
    let lane = dir.join("lane-0");
    std::fs::write(lane.join("acknowledged"), "not what was written").unwrap();

    let output = inspect(&dir);

    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("DAMAGED acknowledged"));
}

#[test]
fn a_file_without_which_a_gateway_does_not_start_is_damage_too() {
    for file in ["node", "epoch"] {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("journal");
        drop(Journal::open(JournalOptions::new(&dir), Timestamp(0)).unwrap());
        std::fs::write(dir.join(file), "").unwrap();

        let output = inspect(&dir);

        assert_eq!(output.status.code(), Some(1), "{file}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&format!("DAMAGED {file}\n")), "{said}");
    }
}

#[test]
fn a_directory_that_is_no_journal_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for dir in [directory.path(), std::path::Path::new("/nowhere")] {
        let output = inspect(dir);

        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("tollgate: ") && said.contains(dir.to_str().unwrap()), "{said}");
    }
}
