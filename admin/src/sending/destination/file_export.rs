//! Files for those who load usage into a warehouse or a spreadsheet.
//!
//! A file is named by what is in it and appears whole or not at all, so writing it again after a crash
//! changes nothing. Where files may be is for the operator to say, in `sending.export_directory`.

mod columns;
mod costs;
mod datum;
mod focus;
mod format;
mod parquet;
mod records;
mod store;

use std::path::PathBuf;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use self::columns::Columns;
use self::costs::Costs;
use self::format::Format;
use self::records::Records;
use self::store::Trouble;
use super::{Answer, Destination, Frozen, customer};
use crate::json::{Fields, Text};
use crate::sending::books::{Books, BooksError};
use crate::sending::capability::{Amounts, Capabilities, Dedupe, ReadBack};
use crate::sending::intent::Outcome;
use crate::sending::item::Item;
use crate::sending::kind::Setup;
use crate::sending::wire::Wire;

/// A file of so many items has a few megabytes, and is kept in the database as well.
const BATCH_MAX: u32 = 10_000;

const BATCH: u32 = 1_000;

const DIRECTORY_LENGTH_MAX: usize = 64;

const PROVIDER: Text = Text::line(1, 200);

pub struct FileExport {
    name: String,
    directory: PathBuf,
    format: Format,
    columns: Columns,
    batch: usize,
    records: Option<Records>,
    costs: Option<Costs>,
}

impl FileExport {
    pub fn open(fields: &mut Fields, setup: &Setup<'_>) -> Option<Self> {
        if setup.export_directory.is_none() && setup.kept.is_none() {
            fields.reject_outside("kind", "needs sending.export_directory in the configuration");
        }
        let directory = fields.parsed_required("directory", parse_directory);
        let format = fields.word_defaulted("format").unwrap_or(Format::Jsonl);
        let columns = fields.word_defaulted("columns").unwrap_or(Columns::Windows);
        let batch = fields.small_integer_defaulted("batch", 1, BATCH_MAX).unwrap_or(BATCH);
        let wants_records = fields.boolean_defaulted("records").unwrap_or(false);
        let costs = read_costs(fields);
        let directory = setup.export_directory?.join(directory?);
        Some(Self {
            name: setup.name.to_owned(),
            costs: costs
                .map(|seller| Costs::new(&directory, format, setup.name.to_owned(), seller)),
            records: wants_records.then(|| Records::new(&directory, format)),
            directory,
            format,
            columns,
            batch: batch as usize,
        })
    }
}

/// The name of who sells, where costs are wanted: their columns cannot do without.
fn read_costs(fields: &mut Fields) -> Option<String> {
    let wants_costs = fields.boolean_defaulted("costs").unwrap_or(false);
    let provider = fields.text_defaulted("provider", PROVIDER);
    if wants_costs && provider.is_none() && !fields.has_error_at("provider") {
        fields.reject("provider", "is required with costs: the name of who sells");
    }
    provider.filter(|_| wants_costs)
}

/// One directory below that of all exports, which cannot lead out of it.
fn parse_directory(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    match (1..=DIRECTORY_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("must be 1 to 64 of a-z, 0-9, - and _".to_owned()),
    }
}

/// The day of the oldest window, and the name: when that window began, and a hash of what is inside.
fn place(items: &[Item]) -> (String, String) {
    let mut hash = Sha256::new();
    for item in items {
        hash.update(item.id.as_bytes());
    }
    let hash = data_encoding::HEXLOWER.encode(&hash.finalize()[..16]);
    let start = items.iter().map(|item| item.place.start.start()).min().unwrap_or_default();
    let start = start.to_string();
    let (day, time) = start.split_once('T').unwrap_or((&start, ""));
    let time: String = time.chars().filter(char::is_ascii_digit).take(4).collect();
    (day.to_owned(), format!("{}T{time}Z-{hash}", day.replace('-', "")))
}

#[async_trait]
impl Destination for FileExport {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // The same items are the same file.
            dedupe: Dedupe::Always,
            // Whoever loads files may take them away.
            read_back: ReadBack::Never,
            amounts: Amounts::Added,
            batch_items_max: self.batch,
            requests_at_once_max: 1,
            age_ms_max: None,
            takes_negative: true,
        }
    }

    fn lane(&self, _: &Item) -> String {
        "files".to_owned()
    }

    fn customer(&self, consumer: &Consumer, _: &Subscription) -> Result<String, String> {
        Ok(customer::or_ours(consumer, &self.name))
    }

    fn freeze(&self, items: &[Item]) -> Vec<u8> {
        self.format.write(items.iter().map(|item| self.columns.of(item)).collect())
    }

    async fn send(&self, frozen: &Frozen, _: &dyn Wire, _: Timestamp) -> Answer {
        let (day, name) = place(&frozen.items);
        // The bytes tell, since the setting may have changed after they were fixed.
        let name = format!("{name}.{}", Format::of(&frozen.body).ending());
        let directory = self.directory.join(day);
        let body = frozen.body.clone();
        let stored =
            tokio::task::spawn_blocking(move || store::store(&directory, &name, &body)).await;
        let unknown = |reason| Answer::All(Outcome::Unknown { reason, asked_ms: None });
        match stored {
            Ok(Ok(())) => Answer::All(Outcome::Accepted),
            Ok(Err(Trouble::NotThere(reason))) => {
                Answer::All(Outcome::Refused { reason, asked_ms: None })
            }
            Ok(Err(Trouble::Unknown(reason))) => unknown(reason),
            // Each, so that they are not divided: in other files they might be counted again.
            Ok(Err(Trouble::Other(reason))) => {
                Answer::Each(vec![Outcome::Rejected { reason }; frozen.items.len()])
            }
            Err(error) => unknown(error.to_string()),
        }
    }

    async fn take_records(&self, books: &Books<'_>, now: Timestamp) -> Result<(), BooksError> {
        match &self.records {
            Some(records) => records.take(books, now).await,
            None => Ok(()),
        }
    }

    async fn take_costs(&self, books: &Books<'_>, now: Timestamp) -> Result<(), BooksError> {
        match &self.costs {
            Some(costs) => costs.take(books, now).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tollgate_common::ids::{ConsumerId, DestinationId, PlanId, ProductId, SubscriptionId};
    use tollgate_common::meter::Meter;

    use super::*;
    use crate::ledger::window::Minute;
    use crate::sending::item::Place;
    use crate::sending::wire::{Request, Response, WireError};

    /// Files need no network.
    struct NoWire;

    #[async_trait]
    impl Wire for NoWire {
        async fn exchange(&self, _: Request) -> Result<Response, WireError> {
            Err(WireError::NotSent("there is no network".to_owned()))
        }
    }

    fn item(number: u8) -> Item {
        let place = Place {
            subscription: SubscriptionId::from_bytes([number; 16]),
            plan: PlanId::from_bytes([2; 16]),
            meter: Meter::Calls,
            start: Minute(60),
        };
        Item {
            id: place.item_id(DestinationId::from_bytes([7; 16]), 1),
            place,
            version: 1,
            end: Minute(120),
            quantity: 5,
            total: 0,
            at: place.start.start(),
            product: ProductId::from_bytes([3; 16]),
            consumer: ConsumerId::from_bytes([4; 16]),
            customer: "cus_1".to_owned(),
        }
    }

    #[tokio::test]
    async fn items_whose_file_has_something_else_in_it_are_left_together() {
        let root = tempfile::tempdir().unwrap();
        let export = FileExport {
            name: "billing".to_owned(),
            directory: root.path().to_owned(),
            format: Format::Csv,
            columns: Columns::Windows,
            batch: 10,
            records: None,
            costs: None,
        };
        let items = vec![item(1), item(2)];
        let frozen = Frozen { number: 1, body: export.freeze(&items), items };
        let (day, name) = place(&frozen.items);
        fs::create_dir_all(root.path().join(&day)).unwrap();
        fs::write(root.path().join(day).join(format!("{name}.csv")), "edited").unwrap();

        let answer = export.send(&frozen, &NoWire, Timestamp(0)).await;

        let Answer::Each(outcomes) = answer else { panic!("{answer:?}") };
        let is_rejected = |outcome: &Outcome| matches!(outcome, Outcome::Rejected { .. });
        assert!(outcomes.len() == 2 && outcomes.iter().all(is_rejected), "{outcomes:?}");
    }

    #[test]
    fn no_directory_leads_out_of_that_of_all_exports() {
        for bad in ["", ".", "..", "a/b", "/etc", "a\\b", "Usage", "a b", &"a".repeat(65)] {
            assert!(parse_directory(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_directory("usage-2026_a").unwrap(), "usage-2026_a");
    }
}
