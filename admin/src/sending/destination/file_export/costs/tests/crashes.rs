//! A writer that dies between any two steps.

use super::*;
use crate::sending::outbox::OutboxError;

#[tokio::test]
async fn a_file_that_was_decided_on_is_written_by_whoever_comes_next() {
    let desk = Desk::with(&[plan(A, fee(100))]).await;
    // Nothing can be put there.
    fs::write(desk.root.path().join("out"), b"").unwrap();
    let mut failures = 0;
    for _ in 0..6 {
        failures += usize::from(matches!(desk.turn(NOW).await, Err(CostsError::Files(_))));
    }
    assert!(failures > 0);
    fs::remove_file(desk.root.path().join("out")).unwrap();

    desk.turns(NOW).await;

    assert_eq!(desk.files().len(), 1);
    assert_eq!(desk.sums("2026-11"), desk.owed("2026-11").await);
}

#[tokio::test]
async fn a_file_that_was_written_and_not_remembered_is_the_same_again() {
    let mut desk = Desk::with(&[plan(A, fee(100))]).await;
    desk.turns(NOW).await;
    let files = desk.files();
    let (name, text) = files.first_key_value().unwrap();
    let mut db = write(&desk.office.database, desk.fence).await.unwrap();
    let id = desk.registration.id;
    let cursor = outbox::cursor(&mut db, id).await.unwrap().unwrap();
    assert_eq!(cursor.file, None);
    let file = Some(File { name: name.clone(), body: text.clone().into_bytes() });
    outbox::save_cursor(&mut db, id, &Cursor { file, ..cursor.clone() }).await.unwrap();
    db.commit().await.unwrap();
    // A process that starts in another format keeps the file as it was decided on.
    desk.format = Format::Csv;

    desk.turns(NOW).await;

    assert_eq!(desk.files(), files);
    let mut db = desk.office.database.read().await.unwrap();
    assert_eq!(outbox::cursor(&mut db, id).await.unwrap(), Some(cursor));
}

#[tokio::test]
async fn who_was_relieved_writes_nothing() {
    let desk = Desk::with(&[plan(A, fee(100))]).await;
    let later = at(NOW).plus_ms(2 * lease::LEASE_MS);
    lease::hold(&desk.office.database, &[2], later).await.unwrap().unwrap();

    let turn = desk.turn(NOW).await;

    assert!(matches!(turn, Err(CostsError::Outbox(OutboxError::Relieved))), "{turn:?}");
    assert_eq!(desk.files().len(), 0);
}
