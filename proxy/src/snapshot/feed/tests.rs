use std::path::Path;

use tokio::task::JoinHandle;
use tollgate_common::snapshot::wire::Frame;

use super::*;
use crate::snapshot::keep::{self, KeepStatus};
use crate::snapshot::last_good::{Found, Place};
use crate::snapshot::shelf::{Shelf, key, key_removed};
use crate::test_admin::{self, TestAdmin, frame};

/// A gateway that follows an admin.
struct Follower {
    shelf: Shelf,
    found: Found,
    state: watch::Receiver<FeedState>,
    kept: watch::Receiver<KeepStatus>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Follower {
    fn start(data: &Path, control: Control) -> Self {
        let shelf = Shelf::default();
        let place = Place::open(data).unwrap();
        let found = place.load(&shelf);
        let (keeper, thread) = keep::start(place, &found).unwrap();
        let kept = keeper.watch();
        let initial = FeedState { revision: found.revision, ..FeedState::default() };
        let (sender, state) = watch::channel(initial);
        let cancel = CancellationToken::new();
        let sink = Arc::new(shelf.clone());
        let task = tokio::spawn(follow(control, sink, keeper, sender, cancel.clone()));
        Self { shelf, found, state, kept, cancel, task, thread }
    }

    async fn in_force(&mut self, revision: Revision) {
        self.state.wait_for(|state| state.revision == Some(revision)).await.unwrap();
    }

    async fn kept(&mut self, revision: Revision) {
        self.kept.wait_for(|status| status.revision == Some(revision)).await.unwrap();
    }

    async fn stop(self) -> Shelf {
        self.cancel.cancel();
        self.task.await.unwrap();
        tokio::task::spawn_blocking(|| self.thread.join()).await.unwrap().unwrap();
        self.shelf
    }
}

#[tokio::test]
async fn changes_come_into_force_as_they_are_committed() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut follower = Follower::start(data.path(), admin.control());

    let asked = admin.asked().await;
    assert_eq!(
        (asked.path.as_str(), asked.query.as_str()),
        ("/internal/v1/snapshot", "revision=0")
    );
    assert_eq!(asked.headers["authorization"], "Bearer node-secret");
    let feed = asked.stream();
    feed.batch(true, 7, vec![key(1), key(2)]);
    follower.in_force(7).await;
    feed.heartbeat(7);
    feed.batch(false, 8, vec![key_removed(1), key(3)]);
    follower.in_force(8).await;

    assert!(follower.state.borrow().connected);
    assert_eq!(follower.stop().await.keys(), [2, 3]);
}

#[tokio::test]
async fn a_batch_that_is_cut_off_has_no_effect_and_is_asked_for_again() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut follower = Follower::start(data.path(), admin.control());
    let feed = admin.asked().await.stream();
    feed.batch(true, 7, vec![key(1)]);
    follower.in_force(7).await;
    follower.kept(7).await;

    feed.send(frame(&Frame::Begin { full: false }));
    feed.send(frame(&Frame::Entry(key(2))));
    feed.cut();
    let asked = admin.asked().await;

    assert_eq!(asked.query, "revision=7");
    assert_eq!(follower.shelf.keys(), [1]);
    asked.stream().batch(false, 8, vec![key(2)]);
    follower.in_force(8).await;
    follower.kept(8).await;
    assert_eq!(follower.stop().await.revisions(), [7, 8]);
}

#[tokio::test]
async fn a_full_batch_that_is_cut_off_takes_nothing_away() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut follower = Follower::start(data.path(), admin.control());
    let feed = admin.asked().await.stream();
    feed.batch(true, 7, vec![key(1)]);
    follower.kept(7).await;

    feed.send(frame(&Frame::Begin { full: true }));
    feed.cut();
    admin.asked().await.hang_up();

    assert_eq!(follower.stop().await.keys(), [1]);
    let shelf = Shelf::default();
    assert_eq!(Place::open(data.path()).unwrap().load(&shelf).revision, Some(7));
}

#[tokio::test]
async fn an_admin_that_does_not_know_the_revision_sends_everything() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut follower = Follower::start(data.path(), admin.control());
    let feed = admin.asked().await.stream();
    feed.batch(true, 70, vec![key(1), key(2)]);
    follower.in_force(70).await;

    feed.cut();
    let asked = admin.asked().await;
    assert_eq!(asked.query, "revision=70");
    let feed = asked.stream();
    feed.batch(true, 3, vec![key(9)]);
    follower.in_force(3).await;

    follower.kept(3).await;
    assert_eq!(follower.stop().await.keys(), [9]);
}

#[tokio::test]
async fn changes_that_cannot_be_used_make_the_gateway_ask_for_everything() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut follower = Follower::start(data.path(), admin.control());
    let feed = admin.asked().await.stream();
    feed.batch(true, 7, vec![key(1)]);
    follower.in_force(7).await;

    feed.batch(false, 6, vec![key(2)]);
    let asked = admin.asked().await;

    assert_eq!(asked.query, "revision=0");
    assert_eq!(follower.stop().await.keys(), [1]);
}

#[tokio::test]
async fn nonsense_and_refusals_are_survived() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut follower = Follower::start(data.path(), admin.control());

    admin.asked().await.answer(500, "");
    admin.asked().await.answer(401, r#"{"detail":"unknown node"}"#);
    admin.asked().await.answer(307, "");
    admin.asked().await.hang_up();
    admin.asked().await.answer(200, "this is not a frame at all, it only looks like one");
    admin.asked().await.stream().batch(true, 1, vec![key(1)]);

    follower.in_force(1).await;
    follower.stop().await;
}

#[tokio::test]
async fn a_silent_feed_is_given_up() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut follower = Follower::start(data.path(), admin.control());
    let silent = admin.asked().await.stream();
    silent.batch(true, 7, vec![]);
    follower.in_force(7).await;

    silent.left().await;

    let asked = admin.asked().await;
    assert_eq!(asked.query, "revision=7");
    assert!(!follower.state.borrow().connected);
    follower.stop().await;
}

#[tokio::test]
async fn a_restart_without_the_admin_serves_what_was_in_force() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let address = admin.address;
    let mut follower = Follower::start(data.path(), admin.control());
    let feed = admin.asked().await.stream();
    feed.batch(true, 7, vec![key(1), key(2)]);
    feed.batch(false, 8, vec![key_removed(2), key(3)]);
    follower.kept(8).await;
    follower.stop().await;
    admin.stop().await;

    let mut restarted = Follower::start(data.path(), test_admin::control(address));

    assert_eq!(restarted.found.revision, Some(8));
    assert_eq!(restarted.shelf.keys(), [1, 3]);
    let mut admin = TestAdmin::start_on(address).await;
    let asked = admin.asked().await;
    assert_eq!(asked.query, "revision=8");
    asked.stream().batch(false, 9, vec![key(4)]);
    restarted.in_force(9).await;
    restarted.kept(9).await;
    assert_eq!(restarted.stop().await.keys(), [1, 3, 4]);
}

#[tokio::test]
async fn a_disk_that_fails_keeps_no_change_from_coming_into_force() {
    let data = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut follower = Follower::start(data.path(), admin.control());
    // In the place of the draft stands a directory, so that no file can be made there.
    std::fs::create_dir(data.path().join("snapshot/last-good.new")).unwrap();

    let feed = admin.asked().await.stream();
    feed.batch(true, 7, vec![key(1)]);
    feed.batch(false, 8, vec![key(2)]);
    follower.in_force(8).await;
    follower.kept.wait_for(|status| status.failures > 0).await.unwrap();

    assert_eq!(follower.kept.borrow().revision, None);
    assert_eq!(follower.stop().await.keys(), [1, 2]);
}

#[test]
fn a_repeat_is_asked_for_when_the_disk_lags_long_and_ever_less_often() {
    let start = Instant::now();
    let mut repeat = Repeat::new();

    assert!(!repeat.is_due(false, start));
    assert!(!repeat.is_due(false, start + REPEAT_AFTER / 2));
    assert!(repeat.is_due(false, start + REPEAT_AFTER));
    assert!(!repeat.is_due(false, start + REPEAT_AFTER * 2));
    assert!(repeat.is_due(false, start + REPEAT_AFTER * 3));
    assert!(!repeat.is_due(true, start + REPEAT_AFTER * 4));
    assert!(!repeat.is_due(false, start + REPEAT_AFTER * 5));
    assert!(repeat.is_due(false, start + REPEAT_AFTER * 6));
}
