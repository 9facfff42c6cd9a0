//! A writer that dies between any two steps, a clock that is wrong, and what cannot be read.

use super::*;
use crate::sending::outbox::OutboxError;
use crate::store::query::query;

#[tokio::test]
async fn a_file_that_was_decided_on_is_written_by_whoever_comes_next() {
    let desk = Desk::with(&[plan(A, fee(100))]).await;
    // Nothing can be put there.
    fs::write(desk.root.path().join("out"), b"").unwrap();
    let mut failures = 0;
    for _ in 0..6 {
        failures += usize::from(matches!(desk.turn(NOW).await, Err(BooksError::Files(_))));
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
    // What is left to do is to write the period down.
    desk.turns("2026-12-01T00:59:30Z").await;
    let later = at(NOW).plus_ms(2 * lease::LEASE_MS);
    lease::hold(&desk.office.database, &[2], later).await.unwrap().unwrap();

    let turn = desk.turn(NOW).await;

    assert!(matches!(turn, Err(BooksError::Outbox(OutboxError::Relieved))), "{turn:?}");
    assert_eq!(desk.files().len(), 0);
}

#[tokio::test]
async fn what_was_written_while_the_clock_was_ahead_is_put_right_when_its_period_is_over() {
    let mut desk = Desk::with(&[plan(A, fee(100))]).await;
    desk.turns("2027-02-01T01:00:00Z").await;
    assert_eq!(desk.sums("2027-01"), BTreeMap::from([("USD".to_owned(), 100)]));

    desk.turns(NOW).await;
    desk.office
        .edit_subscription(|subscription| {
            subscription.status = SubscriptionStatus::Canceled;
            subscription.canceled_at = Some(at("2026-12-05T00:00:00Z"));
        })
        .await;
    desk.turns("2027-01-01T01:00:00Z").await;
    desk.turns("2027-02-01T01:00:00Z").await;

    for month in ["2026-11", "2026-12", "2027-01"] {
        let of = |sums: BTreeMap<String, i64>| sums.get("USD").copied().unwrap_or_default();
        assert_eq!(of(desk.sums(month)), of(desk.owed(month).await), "{month}");
    }
}

#[rstest]
#[case::used(&["2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z", "2026-11-04T00:00:00Z"])]
#[case::unused(&[])]
#[tokio::test]
async fn a_clock_that_was_ahead_passes_no_period_over(#[case] calls: &[&str]) {
    let mut desk = Desk::with(&[plan(A, fee(100))]).await;
    let calls: Vec<_> = calls.iter().map(|moment| call(A, moment)).collect();
    desk.office.use_up(&calls).await;
    desk.turns("2026-11-15T00:00:00Z").await;

    // Further than minutes are kept, and long enough for something to be put off.
    desk.turns("2029-11-15T00:00:00Z").await;
    for now in [NOW, "2027-01-01T01:00:00Z", "2027-02-01T01:00:00Z"] {
        desk.turns(now).await;
    }

    for month in ["2026-11", "2026-12", "2027-01"] {
        assert_eq!(desk.sums(month), BTreeMap::from([("USD".to_owned(), 100)]), "{month}");
    }
}

#[tokio::test]
async fn a_subscription_that_came_while_the_clock_was_ahead_is_not_put_off() {
    let desk = Desk::with(&[plan(A, fee(100))]).await;
    let mut db = write(&desk.office.database, desk.fence).await.unwrap();
    let id = desk.registration.id;
    outbox::expect(&mut db, id, SUBSCRIPTION, date_of(at(NOW)), Some(at("2029-11-15T00:00:00Z")))
        .await
        .unwrap();
    let cursor = Cursor { touch: 0, looked_at: at("2029-11-15T00:00:00Z"), files: 0, file: None };
    outbox::save_cursor(&mut db, id, &cursor).await.unwrap();
    db.commit().await.unwrap();

    desk.turns("2027-01-01T01:00:00Z").await;

    assert_eq!(desk.sums("2026-12"), BTreeMap::from([("USD".to_owned(), 100)]));
}

#[tokio::test]
async fn a_period_that_cannot_be_read_is_tried_again_later_and_holds_up_nothing() {
    let mut desk = Desk::with(&[plan(A, per_unit(7))]).await;
    desk.office.use_up(&[call(A, "2026-11-02T00:00:00Z")]).await;
    desk.turns(NOW).await;
    let mut db = write(&desk.office.database, desk.fence).await.unwrap();
    let spoil = query("UPDATE cost_period SET charges = '{' WHERE version > 0");
    assert_eq!(spoil.execute(&mut db).await.unwrap(), 1);
    db.commit().await.unwrap();
    desk.office.use_up(&[call(A, "2026-11-03T00:00:00Z")]).await;

    desk.turns(SEEN).await;
    desk.turns(CORRECTED).await;

    assert_eq!(desk.files().len(), 1);
    assert_eq!(desk.due("2026-12-02T01:59:59Z").await, []);
    assert_eq!(desk.due("2026-12-02T02:00:00Z").await.len(), 1);
}
