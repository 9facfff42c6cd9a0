//! What periods cost as files, each charge once.
//!
//! What was written of a period is kept in the database, beside the invoices that it is compared with:
//! whoever loads files may take them away, so what is there says nothing. A file is stored whole in
//! the transaction that takes down its charges, and only then put in its place. So a process that
//! dies at any step leaves a file that the next one writes again, to the byte and under the same
//! name, or nothing at all.

pub mod charge;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use sha2::{Digest, Sha256};
use tollgate_common::ids::SubscriptionId;
use tollgate_common::period::Period;
use tollgate_common::price::Currency;
use tollgate_common::time::Timestamp;

use self::charge::{Charge, charges, difference};
use super::datum::Cell;
use super::focus::Bill;
use super::format::Format;
use super::store;
use crate::invoice::history::{History, date_of, month_after, month_before, month_start_utc};
use crate::invoice::{self, Asked, Invoice, InvoiceError};
use crate::ledger::touch;
use crate::sending::books::{Books, BooksError};
use crate::sending::destination::customer;
use crate::sending::outbox::costs::{self as outbox, Cursor, Due, File};
use crate::sending::outbox::write;
use crate::store::{StoreError, sql};

/// A period is written so long after its end, and corrected so long after late usage was seen: calls
/// that were under way at the end, and what gateways had still to deliver, come in one go.
const GRACE_MS: i64 = 3_600_000;

/// How often is looked for new subscriptions and late usage. It reads an index of all subscriptions.
const LOOK_EVERY_MS: i64 = 60_000;

/// Changes of the ledger that are taken note of in one transaction: each is a seek in an index.
const TOUCHES_AT_ONCE: i64 = 10_000;

/// New subscriptions that are taken note of in one transaction: each is a row to write.
const NEWCOMERS_AT_ONCE: i64 = 500;

/// Periods in one file: windows of the same destination wait while they are rated.
const PERIODS_AT_ONCE: i64 = 100;

/// When a period is looked at again whose invoice cannot be made as things are.
const HELD_MS: i64 = 3_600_000;

pub struct Costs {
    directory: PathBuf,
    format: Format,
    /// Of the destination.
    name: String,
    /// Who sells.
    provider: String,
}

/// What comes of looking at a period.
enum Found {
    /// It is looked at again then; without a moment, once something is used.
    Later(Option<Timestamp>),
    /// There is nothing to be written of it, ever.
    Passed {
        next: Next,
    },
    /// Its invoice cannot be made as things are; those after it do not wait for it.
    Held {
        period: Period,
        next: Option<Next>,
    },
    Made(Made),
}

/// The period after one that was not written before.
struct Next {
    month: Date,
    at: Option<Timestamp>,
}

struct Made {
    period: Period,
    /// All of the period.
    charges: Vec<Charge>,
    /// What of them is not in files yet.
    rows: Vec<Vec<Cell>>,
    /// Where this one was written for the first time.
    next: Option<Next>,
}

impl Costs {
    pub fn new(directory: &Path, format: Format, name: String, provider: String) -> Self {
        Self { directory: directory.join("costs"), format, name, provider }
    }

    /// Writes the next file, if something is due.
    pub async fn take(&self, books: &Books<'_>, now: Timestamp) -> Result<(), BooksError> {
        let mut cursor = self.begin(books).await?;
        self.put(books, &mut cursor).await?;
        if !(cursor.looked_at..cursor.looked_at.plus_ms(LOOK_EVERY_MS)).contains(&now) {
            look(books, &mut cursor, now).await?;
        }
        let mut db = books.database.read().await?;
        let due = outbox::due(&mut db, books.registration.id, now, PERIODS_AT_ONCE).await?;
        drop(db);
        if due.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        for due in due {
            let what = match self.find(books, &due, now).await {
                Err(error) if error.is_of_one() => {
                    held_back(&due, &error);
                    Found::Later(Some(now.plus_ms(HELD_MS)))
                }
                what => what?,
            };
            found.push((due, what));
        }
        self.decide(books, &mut cursor, found, now).await?;
        self.put(books, &mut cursor).await
    }

    async fn begin(&self, books: &Books<'_>) -> Result<Cursor, BooksError> {
        let mut db = books.database.read().await?;
        let known = outbox::cursor(&mut db, books.registration.id).await?;
        match known {
            Some(cursor) => Ok(cursor),
            // Nothing was written yet, so nothing that came before is late.
            None => {
                let touch = touch::newest(&mut db).await?;
                Ok(Cursor { touch, looked_at: Timestamp(0), files: 0, file: None })
            }
        }
    }

    /// Puts the file that was decided on in its place.
    async fn put(&self, books: &Books<'_>, cursor: &mut Cursor) -> Result<(), BooksError> {
        let Some(File { name, body }) = cursor.file.clone() else { return Ok(()) };
        let directory = self.directory.clone();
        let stored = tokio::task::spawn_blocking(move || store::store(&directory, &name, &body));
        let stored = stored.await.map_err(|error| BooksError::Files(error.to_string()))?;
        stored.map_err(|error| BooksError::Files(error.to_string()))?;
        cursor.file = None;
        let mut db = write(books.database, books.fence).await?;
        outbox::save_cursor(&mut db, books.registration.id, cursor).await?;
        db.commit().await?;
        Ok(())
    }

    /// Looks at a period that is due: whether it is over, and what of its invoice is not in files.
    async fn find(
        &self,
        books: &Books<'_>,
        due: &Due,
        now: Timestamp,
    ) -> Result<Found, BooksError> {
        let mut catalog = books.store.read().await?;
        let subscription = catalog.subscription(due.subscription).await?;
        let subscription = subscription.ok_or(InvoiceError::NotFound)?;
        let history = History::read(&mut *catalog, subscription.clone()).await?;
        let period = history.period(&mut *catalog, due.month).await?;
        let over_at = over_at(due.month, period);
        // One that was written is not over where the clock was ahead when that was done.
        if over_at > now {
            return Ok(Found::Later(Some(over_at)));
        }
        let is_first = due.end.is_none();
        let month = month_after(due.month);
        let next_end = self::over_at(month, history.period(&mut *catalog, month).await?);
        let next = Next { month, at: Some(next_end) };
        if is_first && period.end <= history.started_at().max(books.registration.starts_at) {
            return Ok(Found::Passed { next });
        }
        let product = catalog.product(subscription.product_id).await?;
        // Whoever holds a view must not wait for another.
        drop(catalog);
        let mut db = books.database.read().await?;
        let consumer = sql::consumer::find_ever(&mut db, subscription.consumer_id).await?;
        drop(db);
        let invoice = match invoice(books, due.subscription, due.month, now).await {
            Ok(invoice) => invoice,
            Err(error @ InvoiceError::TooLongAgo) => {
                let Due { subscription, month, .. } = due;
                tracing::warn!(%subscription, %month, %error, "the costs of a period are not written");
                // What was written stays.
                return Ok(if is_first { Found::Passed { next } } else { Found::Later(None) });
            }
            Err(error @ (InvoiceError::Rating(_) | InvoiceError::Total)) => {
                held_back(due, &error);
                return Ok(Found::Held { period, next: is_first.then_some(next) });
            }
            Err(error) => return Err(error.into()),
        };
        let charges = charges(&invoice.lines);
        let is_over = subscription.canceled_at.is_some_and(|at| at <= period.start);
        let is_quiet = is_over
            && charges.is_empty()
            && next_end > now
            && is_free(books, due.subscription, month, now).await?;
        let next = Next { at: next.at.filter(|_| !is_quiet), ..next };
        let bill = Bill {
            destination: books.registration.id,
            provider: &self.provider,
            customer: consumer.as_ref().map(|known| customer::or_ours(known, &self.name)),
            consumer: consumer.as_ref(),
            product: product.as_ref(),
            subscription: &subscription,
            month: due.month,
            period,
            version: due.version,
            currency: invoice.totals.first().map_or(Currency::NONE, |total| total.currency),
        };
        let new = difference(&read(due)?, &charges);
        let rows = new.iter().map(|charge| bill.row(charge)).collect();
        Ok(Found::Made(Made { period, charges, rows, next: is_first.then_some(next) }))
    }

    /// Takes down what was found and the file that says so, in one transaction.
    async fn decide(
        &self,
        books: &Books<'_>,
        cursor: &mut Cursor,
        found: Vec<(Due, Found)>,
        now: Timestamp,
    ) -> Result<(), BooksError> {
        let id = books.registration.id;
        let kept_from = books.ledger.minutes_kept_from(now).await?;
        let rows: Vec<_> = found.iter().flat_map(|(_, found)| found.rows()).cloned().collect();
        if !rows.is_empty() {
            cursor.files += 1;
            cursor.file = Some(self.file(cursor.files, rows));
        }
        let mut db = write(books.database, books.fence).await?;
        for (due, found) in found {
            let subscription = due.subscription;
            let next = match found {
                Found::Later(at) => {
                    outbox::save(&mut db, id, &due, at).await?;
                    None
                }
                Found::Passed { next } => {
                    outbox::drop(&mut db, id, &due).await?;
                    Some(next)
                }
                Found::Held { period, next } => {
                    let held = Due { end: Some(period.end), ..due };
                    outbox::save(&mut db, id, &held, Some(now.plus_ms(HELD_MS))).await?;
                    next
                }
                Found::Made(made) => {
                    let written = Due {
                        end: Some(made.period.end),
                        version: due.version + u32::from(!made.rows.is_empty()),
                        charges: serde_json::to_string(&made.charges).map_err(unreadable)?,
                        ..due
                    };
                    outbox::save(&mut db, id, &written, None).await?;
                    outbox::forget(&mut db, id, subscription, kept_from).await?;
                    made.next
                }
            };
            if let Some(next) = next {
                outbox::expect(&mut db, id, subscription, next.month, next.at).await?;
            }
        }
        outbox::save_cursor(&mut db, id, cursor).await?;
        db.commit().await?;
        Ok(())
    }

    /// Named by its place in the order of files and a hash of what is in it.
    fn file(&self, number: i64, rows: Vec<Vec<Cell>>) -> File {
        let body = self.format.write(rows);
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&body)[..16]);
        File { name: format!("{number:012}-{hash}.{}", self.format.ending()), body }
    }
}

impl Found {
    fn rows(&self) -> &[Vec<Cell>] {
        match self {
            Self::Made(made) => &made.rows,
            Self::Later(_) | Self::Passed { .. } | Self::Held { .. } => &[],
        }
    }
}

/// When a period is written: its end does not move any more once the month after it has begun in UTC.
fn over_at(month: Date, period: Period) -> Timestamp {
    period.end.max(month_start_utc(month_after(month))).plus_ms(GRACE_MS)
}

fn held_back(due: &Due, error: &dyn fmt::Display) {
    let Due { subscription, month, .. } = due;
    tracing::warn!(%subscription, %month, %error, "the costs of a period are held back");
}

async fn invoice(
    books: &Books<'_>,
    subscription: SubscriptionId,
    month: Date,
    now: Timestamp,
) -> Result<Invoice, InvoiceError> {
    invoice::preview(books.store, books.ledger, subscription, Asked::Month(month), now).await
}

/// Whether a period costs nothing so far and shows nothing. That of a subscription that was canceled
/// is not waited for then: whatever is used in it all the same wakes it.
async fn is_free(
    books: &Books<'_>,
    subscription: SubscriptionId,
    month: Date,
    now: Timestamp,
) -> Result<bool, InvoiceError> {
    match invoice(books, subscription, month, now).await {
        Ok(invoice) => Ok(charges(&invoice.lines).is_empty()),
        Err(InvoiceError::NotBegun) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Takes note of new subscriptions and of usage that came late. What takes long is read before the
/// transaction that keeps others from writing.
async fn look(books: &Books<'_>, cursor: &mut Cursor, now: Timestamp) -> Result<(), BooksError> {
    let id = books.registration.id;
    let was_ahead = cursor.looked_at > now;
    let mut db = books.database.read().await?;
    let newest = touch::newest(&mut db).await?;
    let through = touch::through(&mut db, cursor.touch, TOUCHES_AT_ONCE).await?;
    let newcomers = outbox::newcomers(&mut db, id, NEWCOMERS_AT_ONCE).await?;
    drop(db);
    let touches = (cursor.touch, through.unwrap_or(cursor.touch));
    cursor.touch = touches.1;
    if cursor.touch >= newest && (newcomers.len() as i64) < NEWCOMERS_AT_ONCE {
        cursor.looked_at = now;
    }
    let mut db = write(books.database, books.fence).await?;
    if was_ahead {
        outbox::wake_early(&mut db, id, now).await?;
    }
    outbox::wake(&mut db, id, touches, now.plus_ms(GRACE_MS)).await?;
    for newcomer in newcomers {
        let first = newcomer.started_at.max(books.registration.starts_at);
        // Named after the month in which it begins, which may be the one before.
        let month = month_before(date_of(first));
        outbox::expect(&mut db, id, newcomer.subscription, month, Some(now)).await?;
    }
    outbox::save_cursor(&mut db, id, cursor).await?;
    db.commit().await?;
    Ok(())
}

/// What was written of a period.
fn read(due: &Due) -> Result<Vec<Charge>, StoreError> {
    serde_json::from_str(&due.charges).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError::Content { table: "cost_period", column: "charges", reason: error.to_string() }
}
