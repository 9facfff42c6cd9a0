//! What a disk does to a journal: the end of what was written is missing, or bytes have changed.
//! One record is lost, is counted as lost, and no other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::book::Book;
use crate::callers::{Callers, QUICK};
use crate::house::{Form, House};

/// Where the records of a segment begin.
const RECORDS_AT: usize = 8_192;

struct Damaged {
    house: House,
    book: Book,
}

impl Damaged {
    /// Kills a gateway whose journal is not delivered, damages the journal, and starts it again.
    async fn by(damage: fn(&mut [u8])) -> Self {
        let mut house = House::open(Form::Apart);
        let mut book = Book::open(&house).await;
        house.kill_admin();
        let callers = Callers::start(house.proxy(), &book.offers, &QUICK);
        sleep(Duration::from_millis(300)).await;
        let heard = callers.stop().await;
        heard.is_unbroken();
        assert!(heard.answered() > 10, "there is something to damage");
        book.note(heard);
        house.kill_gateway();

        let segment = segment(&house.data.path().join("journal"));
        let mut content = std::fs::read(&segment).unwrap();
        damage(&mut content);
        std::fs::write(&segment, content).unwrap();

        house.start_admin();
        house.start_gateway();
        Self { house, book }
    }

    async fn counted(&self, what: &str) -> u64 {
        self.house.metric(&format!("tollgate_journal_{what}")).await
    }
}

/// The one segment with records in it.
fn segment(journal: &Path) -> PathBuf {
    let lanes = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    let files =
        lanes.filter(|path| path.is_dir()).flat_map(|lane| std::fs::read_dir(lane).unwrap());
    let segments = files.map(|entry| entry.unwrap().path()).filter(|path| {
        path.extension().is_some_and(|extension| extension == "segment")
            && written(&std::fs::read(path).unwrap()) > 0
    });
    let segments: Vec<_> = segments.collect();
    let [segment] = &segments[..] else { panic!("not one segment: {segments:?}") };
    segment.clone()
}

/// Bytes up to the last that is not zero.
fn written(content: &[u8]) -> usize {
    let records = content.get(RECORDS_AT..).unwrap_or_default();
    records.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_cut_off_at_the_end_is_the_only_one_that_is_lost() {
    let mut damaged = Damaged::by(|content| {
        let end = RECORDS_AT + written(content);
        content[end - 20..end].fill(0);
    })
    .await;

    assert_eq!(damaged.book.lost(&damaged.house).await, 1);
    assert_eq!(damaged.counted("torn_slots_total").await, 1);
    assert_eq!(damaged.counted("lost_records_total").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_in_which_a_bit_has_flipped_is_lost_alone_and_is_an_alarm() {
    let mut damaged =
        Damaged::by(|content| content[RECORDS_AT + written(content) / 2] ^= 0x10).await;

    assert_eq!(damaged.book.lost(&damaged.house).await, 1);
    assert_eq!(damaged.counted("lost_records_total").await, 1);
    assert_eq!(damaged.counted("quarantined_files_total").await, 1);
    assert!(damaged.house.gateway().log().contains("quarantine"));
}
