//! A call is in the journal before its answer is whole.

use std::collections::VecDeque;
use std::io;

use tollgate_common::snapshot::Entry;

use super::*;
use crate::fixture::{TestGateway, key, plan, product, subscription};
use crate::journal::{Journal, JournalStats, SyncMode};
use crate::request::Framing;

/// So seldom that nothing is synced meanwhile but for whoever waits for it.
const SELDOM: SyncMode = SyncMode::Interval(Duration::from_secs(10));

fn start(sync: SyncMode) -> TestGateway {
    let entries = [
        Entry::Product(product(1)),
        Entry::Plan(plan(1)),
        Entry::Subscription(subscription(1, 1)),
        Entry::Key(key(1, 1)),
    ];
    TestGateway::start_synced(sync, entries)
}

/// The pieces of an answer, the last of which may be missing.
struct Script(VecDeque<Piece>);

impl Script {
    fn new(pieces: &[&'static str], is_whole: bool) -> Self {
        let last = is_whole.then(|| pieces.len() - 1);
        let piece = |(at, data): (usize, &&'static str)| Piece {
            data: Bytes::from_static(data.as_bytes()),
            last: Some(at) == last,
        };
        Self(pieces.iter().enumerate().map(piece).collect())
    }
}

impl AnswerBody for Script {
    async fn piece(&mut self) -> Result<Piece, AnswerBroken> {
        // So that no answer is there at once.
        tokio::task::yield_now().await;
        self.0.pop_front().ok_or(AnswerBroken)
    }

    fn trailers(&self) -> Option<&Fields> {
        None
    }
}

/// A caller who notes how far the journal is whenever it is handed something.
struct Caller<'a> {
    journal: &'a Journal,
    taken: Vec<(String, JournalStats)>,
    finished: Option<JournalStats>,
}

impl Caller<'_> {
    fn take(&mut self, bytes: &Bytes) {
        self.taken.push((String::from_utf8(bytes.to_vec()).unwrap(), self.journal.stats()));
    }
}

impl Responder for Caller<'_> {
    async fn interim(&mut self, _: u16, _: &Fields) -> io::Result<()> {
        Ok(())
    }

    fn head(&mut self, _: &AnswerHead<'_>) {}

    async fn piece(&mut self, piece: Bytes) -> io::Result<()> {
        self.take(&piece);
        Ok(())
    }

    async fn finish(&mut self, last: Bytes, _: Option<&Fields>) -> io::Result<()> {
        self.take(&last);
        self.finished = Some(self.journal.stats());
        Ok(())
    }

    fn abort(&mut self) {}
}

/// Relays an answer to a caller, who says what it has got.
async fn relay<'a>(test: &'a TestGateway, mut body: Script) -> (Result<(), Failure>, Caller<'a>) {
    let journal = &*test.gateway.journal;
    let mut caller = Caller { journal, taken: Vec::new(), finished: None };
    let mut grant = test.admit(1);
    let weight = Weight { cost: 1, units_header: None, body_bytes_max: None };
    let head = ResponseHead {
        status: 200,
        fields: Fields::default(),
        framing: Framing::Chunked,
        keeps_connection: true,
    };
    let mut relay = Relay {
        grant: &mut grant,
        weight: &weight,
        limits: &Limits::default(),
        progress: &Progress::of(Framing::Empty),
        idle: Duration::from_secs(60),
    };
    let (mut own, mut patience) = (Fields::default(), Patience::default());
    let relayed = relay.run(&head, &mut body, &mut own, &mut patience, &mut caller).await;
    (relayed, caller)
}

#[tokio::test]
async fn the_record_is_in_the_journal_before_the_last_byte_is_handed_over() {
    let test = start(SELDOM);

    let (relayed, caller) = relay(&test, Script::new(&["be", "gin", "end"], true)).await;

    relayed.unwrap();
    let appended: Vec<(&str, u64)> =
        caller.taken.iter().map(|(piece, journal)| (piece.as_str(), journal.appended)).collect();
    assert_eq!(appended, [("", 0), ("be", 0), ("gin", 0), ("end", 1)]);
    assert_eq!(caller.finished.unwrap().synced, 0, "nobody waits for the disk in this mode");
}

#[tokio::test]
async fn where_every_call_is_synced_the_record_is_on_the_disk_before_the_last_byte() {
    let test = start(SyncMode::Always);

    let (relayed, caller) = relay(&test, Script::new(&["begin", "end"], true)).await;

    relayed.unwrap();
    assert_eq!(caller.finished.unwrap().synced, 1);
}

#[tokio::test]
async fn an_answer_whose_call_cannot_be_recorded_has_no_end() {
    for sync in [SyncMode::Always, SELDOM] {
        let test = start(sync);
        test.gateway.journal.close().unwrap();

        let (relayed, caller) = relay(&test, Script::new(&["begin", "end"], true)).await;

        assert_eq!(relayed.unwrap_err(), Failure::NotMetered);
        assert!(caller.finished.is_none());
        assert!(caller.taken.iter().all(|(piece, _)| piece != "end"));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_has_no_end_and_a_record_all_the_same() {
    let test = start(SELDOM);

    let (relayed, caller) = relay(&test, Script::new(&["be", "gin"], false)).await;

    assert_eq!(relayed.unwrap_err(), Failure::UpstreamBroke);
    assert!(caller.finished.is_none());
    let [record] = test.records()[..] else { panic!("one call has one record") };
    assert_eq!((record.bytes_out, record.truncated, record.billed), (5, true, true));
}
