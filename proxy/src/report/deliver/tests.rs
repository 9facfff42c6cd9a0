use std::path::Path;

use tokio::task::JoinHandle;
use tollgate_common::internal::{USAGE_MARKS_PATH, UsageBatch};
use tollgate_common::usage::{USAGE_RECORD_BYTES, UsageRecord};

use super::*;
use crate::report::fixture::{SEGMENT_BYTES, journal, use_units};
use crate::test_admin::{self, Question, TestAdmin};

struct Delivery {
    journal: Arc<Journal>,
    state: watch::Receiver<DeliveryState>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Delivery {
    fn start(directory: &Path, control: Control) -> Self {
        let journal = journal(directory);
        let (sender, state) = watch::channel(DeliveryState::default());
        let cancel = CancellationToken::new();
        let task = tokio::spawn(run(control, journal.clone(), sender, cancel.clone()));
        Self { journal, state, cancel, task }
    }

    /// Appends calls with these units.
    fn call(&self, units: impl IntoIterator<Item = i64>) {
        let uses: Vec<_> = units.into_iter().map(|units| (1, units)).collect();
        use_units(&self.journal, &uses);
    }

    async fn delivered(&mut self, records: u64) {
        self.state.wait_for(|state| state.records == records).await.unwrap();
        assert_eq!(self.journal.undelivered(1).unwrap(), None);
    }

    async fn troubled(&mut self, trouble: Trouble) {
        self.state.wait_for(|state| state.trouble == Some(trouble)).await.unwrap();
    }

    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

fn batch(question: &Question) -> UsageBatch {
    assert_eq!(question.path, "/internal/v1/usage");
    postcard::from_bytes(&question.body).unwrap()
}

fn units(question: &Question) -> Vec<i64> {
    let records = batch(question).records;
    let (records, []) = records.as_chunks() else { panic!("whole records") };
    records.iter().map(|record| UsageRecord::decode(record).unwrap().units).collect()
}

fn ack(through: u64) -> Vec<u8> {
    postcard::to_stdvec(&UsageAck { through }).unwrap()
}

/// What is asked next besides whether the ledger has what it took: that is not said.
async fn next(admin: &mut TestAdmin) -> Question {
    loop {
        let question = admin.asked().await;
        if question.path != USAGE_MARKS_PATH {
            return question;
        }
        question.answer(404, "");
    }
}

fn marks(marks: &[(u64, u64)]) -> Vec<u8> {
    postcard::to_stdvec(&marks.to_vec()).unwrap()
}

/// Takes a batch whole.
fn take(question: Question) {
    let batch = batch(&question);
    let count = (batch.records.len() / USAGE_RECORD_BYTES) as u64;
    question.answer(200, ack(batch.first + count - 1));
}

#[tokio::test]
async fn what_is_appended_is_delivered_in_order_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());

    let mut seen = Vec::new();
    for round in 0..3 {
        delivery.call(round * 10..round * 10 + 10);
        while seen.len() < (round as usize + 1) * 10 {
            let asked = next(&mut admin).await;
            assert_eq!(batch(&asked).node, delivery.journal.node());
            assert_eq!(batch(&asked).first, seen.len() as u64 + 1);
            seen.extend(units(&asked));
            take(asked);
        }
    }

    delivery.delivered(30).await;
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
    delivery.stop().await;
}

#[tokio::test]
async fn a_batch_of_unknown_fate_is_sent_again_as_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([1, 2]);

    let first = next(&mut admin).await;
    let sent = first.body.clone();
    delivery.call([3]);
    // The ledger has it, but its answer is lost.
    first.hang_up();
    let again = next(&mut admin).await;
    assert_eq!(again.body, sent);
    again.answer(500, "");
    let again = next(&mut admin).await;
    assert_eq!(again.body, sent);
    take(again);
    let rest = next(&mut admin).await;
    assert_eq!(units(&rest), [3]);
    take(rest);

    delivery.delivered(3).await;
    assert_eq!(delivery.state.borrow().failures, 2);
    delivery.stop().await;
}

#[tokio::test]
async fn a_ledger_that_is_ahead_is_believed() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([1, 2, 3]);

    // An earlier life delivered all three and did not hear of it.
    let asked = next(&mut admin).await;
    let epoch = batch(&asked).epoch;
    assert_eq!(epoch, delivery.journal.epoch());
    asked.answer(200, ack(3));
    delivery.state.wait_for(|state| state.batches == 1).await.unwrap();

    assert_eq!(delivery.journal.undelivered(1).unwrap(), None);
    delivery.stop().await;
}

#[tokio::test]
async fn a_part_that_is_acknowledged_is_not_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let admin = TestAdmin::start().await;
    let address = admin.address;
    admin.stop().await;
    let mut delivery = Delivery::start(directory.path(), test_admin::control(address));
    delivery.call([1, 2, 3]);
    delivery.troubled(Trouble::AdminAway).await;

    let mut admin = TestAdmin::start_on(address).await;
    let asked = next(&mut admin).await;
    assert_eq!(units(&asked), [1, 2, 3]);
    asked.answer(200, ack(2));
    let asked = next(&mut admin).await;

    assert_eq!(units(&asked), [3]);
    take(asked);
    delivery.delivered(3).await;
    delivery.stop().await;
}

#[tokio::test]
async fn a_gap_is_an_alarm_and_nothing_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([1]);

    let asked = next(&mut admin).await;
    let sent = asked.body.clone();
    asked.answer(409, r#"{"detail":"record 1 cannot come before record 0"}"#);
    delivery.troubled(Trouble::Gap).await;
    assert!(Trouble::Gap.is_alarm());
    let again = next(&mut admin).await;

    assert_eq!(again.body, sent);
    // An acknowledgement of less than was ever acknowledged is no better.
    again.answer(200, ack(0));
    let again = next(&mut admin).await;
    assert_eq!(again.body, sent);
    take(again);
    delivery.delivered(1).await;
    assert_eq!(delivery.state.borrow().trouble, None);
    delivery.stop().await;
}

#[tokio::test]
async fn a_ledger_that_was_put_back_gets_again_what_is_still_here() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([1, 2, 3]);
    take(next(&mut admin).await);
    delivery.delivered(3).await;
    delivery.call([4]);

    let asked = next(&mut admin).await;
    assert_eq!((batch(&asked).first, units(&asked)), (4, vec![4]));
    asked.answer(200, ack(1));
    let again = next(&mut admin).await;

    assert_eq!((batch(&again).first, units(&again)), (2, vec![2, 3, 4]));
    assert_eq!(again.query, "");
    take(again);
    delivery.delivered(6).await;
    assert_eq!(delivery.state.borrow().failures, 0);
    delivery.stop().await;
}

#[tokio::test]
async fn what_is_gone_here_too_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    let segment = (SEGMENT_BYTES / USAGE_RECORD_BYTES as u64) as usize;
    delivery.call(vec![1; 2 * segment]);
    let mut through = 0;
    while through < 2 * segment as u64 {
        let asked = next(&mut admin).await;
        through = batch(&asked).first - 1 + units(&asked).len() as u64;
        take(asked);
    }
    while delivery.journal.stats().segments > 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    delivery.call([7]);

    next(&mut admin).await.answer(200, ack(5));
    let said = next(&mut admin).await;
    let first = batch(&said).first;
    assert_eq!((said.query.as_str(), units(&said)), ("missing_from=6", vec![]));
    assert!(first > 6 && first <= through, "{first}");
    // One that knows of no loss is not asked again and again without a pause.
    said.answer(200, ack(5));
    delivery.troubled(Trouble::Gap).await;
    let said = next(&mut admin).await;
    assert_eq!((batch(&said).first, &*said.query), (first, "missing_from=6"));
    said.answer(200, ack(first - 1));
    let mut rest = next(&mut admin).await;
    assert_eq!(batch(&rest).first, first);
    while units(&rest).last() != Some(&7) {
        assert_eq!(rest.query, "");
        take(rest);
        rest = next(&mut admin).await;
    }
    take(rest);

    delivery.state.wait_for(|state| state.trouble.is_none()).await.unwrap();
    delivery.stop().await;
}

/// A life that ended with so many records, all of which the ledger took. Says its epoch.
async fn an_earlier_life(directory: &Path, admin: &mut TestAdmin, records: usize) -> u64 {
    let mut delivery = Delivery::start(directory, admin.control());
    let epoch = delivery.journal.epoch();
    delivery.call(vec![1; records]);
    let mut through = 0;
    while through < records {
        let asked = next(admin).await;
        through += units(&asked).len();
        take(asked);
    }
    delivery.delivered(records as u64).await;
    delivery.stop().await;
    epoch
}

#[tokio::test]
async fn what_an_earlier_life_delivered_is_delivered_again_to_a_ledger_that_was_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let epoch = an_earlier_life(directory.path(), &mut admin, 3).await;

    let delivery = Delivery::start(directory.path(), admin.control());
    let question = admin.asked().await;
    assert_eq!(question.path, USAGE_MARKS_PATH);
    assert_eq!(question.query, format!("node={}", delivery.journal.node()));
    question.answer(200, marks(&[(epoch, 1)]));

    let again = next(&mut admin).await;
    assert_eq!((batch(&again).epoch, batch(&again).first, units(&again).len()), (epoch, 2, 2));
    take(again);
    delivery.stop().await;
}

#[tokio::test]
async fn what_earlier_lives_have_no_longer_is_said_of_each() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let first = an_earlier_life(directory.path(), &mut admin, 3).await;
    let second = an_earlier_life(directory.path(), &mut admin, 2).await;
    // A ledger that has all of it lets it go.
    let delivery = Delivery::start(directory.path(), admin.control());
    admin.asked().await.answer(200, marks(&[(first, 3), (second, 2)]));
    while delivery.journal.stats().segments > 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    delivery.stop().await;

    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([9]);
    admin.asked().await.answer(200, marks(&[(second, 1)]));
    let mut said = Vec::new();
    for _ in 0..2 {
        let question = next(&mut admin).await;
        let batch = batch(&question);
        said.push((batch.epoch, question.query.clone(), batch.first, batch.records.len()));
        question.answer(200, ack(batch.first - 1));
    }
    let rest = next(&mut admin).await;

    let of = |epoch, from: &str, until| (epoch, format!("missing_from={from}"), until, 0);
    assert_eq!(said, [of(first, "1", 4), of(second, "2", 3)]);
    assert_eq!((batch(&rest).epoch, units(&rest)), (delivery.journal.epoch(), vec![9]));
    take(rest);
    delivery.delivered(1).await;
    delivery.stop().await;
}

#[tokio::test]
async fn what_the_ledger_of_another_store_has_is_not_delivered_again_and_not_missing() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let follows = directory.path().join("follows");
    std::fs::write(&follows, "0a").unwrap();
    let control = test_admin::control_following(admin.address, Some(follows.clone()));
    let mut delivery = Delivery::start(directory.path(), control);
    let epoch = delivery.journal.epoch();
    admin.asked().await.answer(200, marks(&[]));
    delivery.call([1, 2, 3]);
    take(next(&mut admin).await);
    delivery.delivered(3).await;
    assert_eq!(delivery.journal.store().as_deref(), Some("0a"));

    // An operator means another store from now on.
    std::fs::write(&follows, "0b").unwrap();
    delivery.call([4]);
    let asked = admin.asked().await;
    assert_eq!(batch(&asked).first, 4);
    asked.answer(200, ack(0));
    admin.asked().await.answer(200, marks(&[]));
    let said = admin.asked().await;
    let batch_said = batch(&said);
    assert_eq!((batch_said.epoch, batch_said.first, &*said.query), (epoch, 4, "elsewhere_from=1"));
    said.answer(200, ack(3));
    admin.asked().await.answer(200, marks(&[(epoch, 3)]));
    let rest = admin.asked().await;
    assert_eq!((batch(&rest).first, units(&rest)), (4, vec![4]));
    take(rest);

    delivery.delivered(4).await;
    assert_eq!(delivery.journal.store().as_deref(), Some("0b"));
    delivery.stop().await;
}

#[tokio::test]
async fn a_control_plane_that_does_not_say_how_far_the_ledger_is_gets_usage_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([1]);

    admin.asked().await.answer(404, "");
    take(next(&mut admin).await);

    delivery.delivered(1).await;
    delivery.stop().await;
}

#[tokio::test]
async fn one_record_that_is_not_taken_keeps_back_only_what_follows_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([0, 1, 2, 3, 4, 5, 666, 7]);

    let mut taken = Vec::new();
    let mut alone = 0;
    while alone < 2 {
        let asked = next(&mut admin).await;
        let units = units(&asked);
        if units.contains(&666) {
            alone += usize::from(units == [666]);
            asked.answer(400, r#"{"detail":"unknown outcome"}"#);
        } else {
            taken.extend(units);
            take(asked);
        }
    }

    assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
    delivery.troubled(Trouble::NotTaken).await;
    // After an upgrade the ledger knows what to make of it.
    while taken.len() < 8 {
        let asked = next(&mut admin).await;
        taken.extend(units(&asked));
        take(asked);
    }
    assert_eq!(taken, [0, 1, 2, 3, 4, 5, 666, 7]);
    delivery.delivered(8).await;
    delivery.stop().await;
}

#[tokio::test]
async fn an_acknowledgement_of_what_was_never_written_is_an_alarm() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([1]);

    next(&mut admin).await.answer(200, ack(1_000));

    delivery.troubled(Trouble::OtherNode).await;
    assert!(delivery.journal.undelivered(1).unwrap().is_some());
    next(&mut admin).await.answer(401, "");
    delivery.troubled(Trouble::NotAuthorized).await;
    take(next(&mut admin).await);
    delivery.delivered(1).await;
    delivery.stop().await;
}

#[tokio::test]
async fn what_is_left_at_the_end_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let mut admin = TestAdmin::start().await;
    let delivery = Delivery::start(directory.path(), admin.control());
    delivery.call(0..USAGE_BATCH_RECORDS_MAX as i64 + 5);
    let journal = delivery.journal.clone();

    let stopping = tokio::spawn(delivery.stop());
    let mut count = 0;
    while count < USAGE_BATCH_RECORDS_MAX + 5 {
        let asked = next(&mut admin).await;
        let batch = batch(&asked);
        assert!(batch.records.len() <= USAGE_BATCH_RECORDS_MAX * USAGE_RECORD_BYTES);
        if batch.first == count as u64 + 1 {
            count += batch.records.len() / USAGE_RECORD_BYTES;
        }
        take(asked);
    }

    stopping.await.unwrap();
    assert_eq!(journal.undelivered(1).unwrap(), None);
}

#[tokio::test]
async fn what_an_earlier_life_left_is_delivered_first() {
    let directory = tempfile::tempdir().unwrap();
    use_units(&journal(directory.path()), &[(1, 1), (1, 2)]);
    let mut admin = TestAdmin::start().await;
    let mut delivery = Delivery::start(directory.path(), admin.control());
    delivery.call([3]);

    let old = next(&mut admin).await;
    assert_eq!(units(&old), [1, 2]);
    assert!(batch(&old).epoch < delivery.journal.epoch());
    take(old);
    let new = next(&mut admin).await;
    assert_eq!(units(&new), [3]);
    take(new);

    delivery.delivered(3).await;
    delivery.stop().await;
}
