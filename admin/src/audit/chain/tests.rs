use tollgate_common::time::Timestamp;

use super::*;

fn record(action: &str) -> AuditRecord {
    AuditRecord {
        at: Timestamp(1_795_872_516_123),
        actor: "bootstrap".into(),
        actor_name: "Ada \"the first\"\n".into(),
        request_id: "r".into(),
        action: action.into(),
        resource: "plan".into(),
        resource_id: "1".into(),
        before: None,
        after: Some(r#"{"quota":1.50,"hash":"x"}"#.into()),
    }
}

fn place(revision: u64) -> AuditPlace {
    AuditPlace { revision, position: 0 }
}

/// `unchained` lines without a hash and then `chained` with one.
fn export(unchained: u64, chained: u64) -> Vec<String> {
    let mut hash = ChainHash::START;
    let lines = (1..=unchained + chained).map(|revision| {
        let (place, record) = (place(revision), record(&format!("plan.{revision}")));
        if revision <= unchained {
            return line(place, &record, None);
        }
        hash = hash.next(place, &record);
        line(place, &record, Some(hash))
    });
    lines.collect()
}

fn verdict(lines: &[String]) -> Result<Verified, String> {
    verify(lines.join("\n").as_bytes(), None).map_err(|broken| broken.to_string())
}

#[track_caller]
fn assert_broken(lines: &[String], said: &str) {
    let broken = verdict(lines).unwrap_err();
    assert!(broken.starts_with(said), "{broken}");
}

#[test]
fn a_line_is_the_stored_json_with_the_hash_at_its_end() {
    insta::assert_snapshot!(export(0, 1)[0], @r#"{"revision":1,"position":0,"at":"2026-11-28T13:28:36.123Z","actor":"bootstrap","actor_name":"Ada \"the first\"\n","request_id":"r","action":"plan.1","resource":"plan","resource_id":"1","from":null,"to":{"quota":1.50,"hash":"x"},"hash":"ffb5e521c190ad0c52a8becbf424eaac88bfab957b9ae78a52b4e005c400a1b4"}"#);
}

#[test]
fn the_first_hash_is_of_thirty_two_zero_bytes_and_the_line_without_its_hash() {
    let line = &export(0, 1)[0];
    let end = line.rfind(",\"hash\"").unwrap();

    let bytes = [&[0; 32], &line.as_bytes()[..end], b"}"].concat();

    let digest = HEXLOWER.encode(&Sha256::digest(bytes));
    assert!(line.ends_with(&format!(",\"hash\":\"{digest}\"}}")), "{line}");
}

#[test]
fn an_export_as_it_was_written_fits() {
    let lines = export(2, 3);

    let verified = verdict(&lines).unwrap();

    assert_eq!((verified.lines, verified.unchained), (5, 2));
    assert!(lines[4].contains(&verified.last.to_string()));
    assert_eq!(verdict(&[]).unwrap().last, ChainHash::START);
}

#[test]
fn a_line_that_was_changed_is_found() {
    for (from, to) in [("plan.2", "plan.3"), ("1.50", "1.5"), ("{\"rev", "{ \"rev")] {
        let mut lines = export(0, 3);
        lines[1] = lines[1].replacen(from, to, 1);

        assert_broken(&lines, "line 2 does not follow");
    }
}

#[test]
fn a_line_that_was_changed_together_with_its_hash_is_found_at_the_next() {
    let mut lines = export(0, 3);
    let first = split(&lines[0]).unwrap().1.unwrap();
    let forged = record("plan.forged");
    lines[1] = line(place(2), &forged, Some(first.next(place(2), &forged)));

    assert_broken(&lines, "line 3 does not follow");
}

#[test]
fn a_line_that_was_removed_is_found_at_the_next() {
    for removed in 0..3 {
        let mut lines = export(0, 4);
        lines.remove(removed);

        assert_broken(&lines, &format!("line {} does not follow", removed + 1));
    }
}

#[test]
fn lines_that_were_exchanged_or_repeated_are_found() {
    let mut exchanged = export(0, 4);
    exchanged.swap(1, 2);
    let mut repeated = export(0, 4);
    repeated.insert(2, repeated[1].clone());

    assert_broken(&exchanged, "line 2 does not follow");
    assert_broken(&repeated, "line 3 does not follow");
}

#[test]
fn a_hash_that_was_taken_away_is_found() {
    let mut first = export(0, 3);
    first[0] = line(place(1), &record("plan.1"), None);
    let mut later = export(1, 3);
    later[2] = line(place(3), &record("plan.3"), None);

    assert_broken(&first, "line 2 does not follow");
    assert_broken(&later, "line 3 has no hash");
}

#[test]
fn what_is_no_line_of_an_export_is_named() {
    for text in ["", "{}", "{\"a\":1,\"hash\":\"12\"}", "{\"a\":1,\"hash\":null} "] {
        let mut lines = export(0, 2);
        lines.insert(1, text.to_owned());

        assert_broken(&lines, "line 2 is no line");
    }
}

#[test]
fn a_hash_that_was_noted_shows_an_end_that_was_cut_off_and_a_chain_that_was_made_anew() {
    let lines = export(0, 4);
    let noted = split(&lines[2]).unwrap().1;
    let check = |lines: &[String]| verify(lines.join("\n").as_bytes(), noted);

    assert_eq!(check(&lines).unwrap().lines, 4);
    assert!(matches!(check(&lines[..2]), Err(Broken::Missing { lines: 2, .. })));
    assert!(matches!(check(&export(1, 3)), Err(Broken::Missing { lines: 4, .. })));
}

#[test]
fn a_state_that_is_no_json_is_exported_as_a_text() {
    let tampered = AuditRecord { after: Some("{\n".into()), ..record("plan.1") };

    let line = line(place(1), &tampered, None);

    assert!(line.contains(r#""to":"{\n""#), "{line}");
}
