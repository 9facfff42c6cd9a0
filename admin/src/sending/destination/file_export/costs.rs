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

use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
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
use crate::invoice::history::History;
use crate::invoice::{self, Asked, Invoice, InvoiceError};
use crate::sending::books::{Books, CostsError};
use crate::sending::destination::customer;
use crate::sending::outbox::costs::{self as outbox, Cursor, Due, File};
use crate::sending::outbox::write;
use crate::store::StoreError;

/// A period is written so long after its end, and corrected so long after late usage was seen: calls
/// that were under way at the end, and what gateways had still to deliver, come in one go.
const GRACE_MS: i64 = 3_600_000;

/// How often is looked for new subscriptions and late usage. It reads an index of all subscriptions.
const LOOK_EVERY_MS: i64 = 60_000;

/// Changes of the ledger that are taken note of in one transaction: each is a seek in an index.
const TOUCHES_AT_ONCE: i64 = 10_000;

/// New subscriptions that are taken note of in one transaction: each is a row to write.
const NEWCOMERS_AT_ONCE: i64 = 2_000;

/// Periods in one file: a second or so of rating, and a few megabytes.
const PERIODS_AT_ONCE: i64 = 500;

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
    pub async fn take(&self, books: &Books<'_>, now: Timestamp) -> Result<(), CostsError> {
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
            let what = self.find(books, &due, now).await?;
            found.push((due, what));
        }
        self.decide(books, &mut cursor, found, now).await?;
        self.put(books, &mut cursor).await
    }

    async fn begin(&self, books: &Books<'_>) -> Result<Cursor, CostsError> {
        let mut db = books.database.read().await?;
        let known = outbox::cursor(&mut db, books.registration.id).await?;
        match known {
            Some(cursor) => Ok(cursor),
            // Nothing was written yet, so nothing that came before is late.
            None => {
                let touch = outbox::touch_newest(&mut db).await?;
                Ok(Cursor { touch, looked_at: Timestamp(0), files: 0, file: None })
            }
        }
    }

    /// Puts the file that was decided on in its place.
    async fn put(&self, books: &Books<'_>, cursor: &mut Cursor) -> Result<(), CostsError> {
        let Some(File { name, body }) = cursor.file.clone() else { return Ok(()) };
        let directory = self.directory.clone();
        let stored = tokio::task::spawn_blocking(move || store::store(&directory, &name, &body));
        let stored = stored.await.map_err(|error| CostsError::Files(error.to_string()))?;
        stored.map_err(|error| CostsError::Files(error.to_string()))?;
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
    ) -> Result<Found, CostsError> {
        let mut catalog = books.store.read().await?;
        let subscription = catalog.subscription(due.subscription).await?;
        let subscription = subscription.ok_or(InvoiceError::NotFound)?;
        let history = History::read(&mut *catalog, subscription.clone()).await?;
        let period = history.period(&mut *catalog, due.month).await?;
        let is_first = due.version == 0;
        let grace_end = period.end.plus_ms(GRACE_MS);
        if is_first && grace_end > now {
            return Ok(Found::Later(Some(grace_end)));
        }
        let month = month_after(due.month);
        let next_end = history.period(&mut *catalog, month).await?.end.plus_ms(GRACE_MS);
        let next = Next { month, at: Some(next_end) };
        if is_first && period.end <= history.started_at().max(books.registration.starts_at) {
            return Ok(Found::Passed { next });
        }
        let consumer = catalog.consumer(subscription.consumer_id).await?;
        let product = catalog.product(subscription.product_id).await?;
        // Whoever holds a view must not wait for another.
        drop(catalog);
        let invoice = match invoice(books, due.subscription, due.month, now).await {
            Ok(invoice) => invoice,
            Err(InvoiceError::TooLongAgo) if is_first => return Ok(Found::Passed { next }),
            // What was written stays.
            Err(InvoiceError::TooLongAgo) => return Ok(Found::Later(None)),
            Err(error @ (InvoiceError::Rating(_) | InvoiceError::Total)) => {
                tracing::warn!(subscription = %due.subscription, month = %due.month, %error,
                    "the costs of a period are held back");
                return Ok(Found::Later(Some(now.plus_ms(HELD_MS))));
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
    ) -> Result<(), CostsError> {
        let id = books.registration.id;
        let kept_from = books.ledger.minutes_from(now);
        let mut db = write(books.database, books.fence).await?;
        let mut rows = Vec::new();
        for (due, found) in found {
            match found {
                Found::Later(at) => outbox::put_off(&mut db, id, &due, at).await?,
                Found::Passed { next } => {
                    outbox::drop(&mut db, id, &due).await?;
                    outbox::expect(&mut db, id, due.subscription, next.month, next.at).await?;
                }
                Found::Made(made) => {
                    let charges = serde_json::to_string(&made.charges).map_err(unreadable)?;
                    outbox::written(&mut db, id, &due, made.period.end, &charges).await?;
                    if let Some(next) = made.next {
                        outbox::expect(&mut db, id, due.subscription, next.month, next.at).await?;
                    }
                    outbox::forget(&mut db, id, due.subscription, kept_from).await?;
                    rows.extend(made.rows);
                }
            }
        }
        if !rows.is_empty() {
            cursor.files += 1;
            cursor.file = Some(self.file(cursor.files, rows));
            outbox::save_cursor(&mut db, id, cursor).await?;
        }
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
async fn look(books: &Books<'_>, cursor: &mut Cursor, now: Timestamp) -> Result<(), CostsError> {
    let id = books.registration.id;
    let mut db = books.database.read().await?;
    let newest = outbox::touch_newest(&mut db).await?;
    let through = outbox::touch_after(&mut db, cursor.touch, TOUCHES_AT_ONCE).await?;
    let newcomers = outbox::newcomers(&mut db, id, NEWCOMERS_AT_ONCE).await?;
    drop(db);
    let touches = (cursor.touch, through.unwrap_or(cursor.touch));
    cursor.touch = touches.1;
    if cursor.touch >= newest && (newcomers.len() as i64) < NEWCOMERS_AT_ONCE {
        cursor.looked_at = now;
    }
    let mut db = write(books.database, books.fence).await?;
    outbox::wake(&mut db, id, touches, now.plus_ms(GRACE_MS)).await?;
    for newcomer in newcomers {
        let first = newcomer.started_at.max(books.registration.starts_at);
        let month = month_before(first);
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

/// A period is named after the month in which it begins, which may be the one before a moment's.
fn month_before(moment: Timestamp) -> Date {
    let moment = jiff::Timestamp::from_millisecond(moment.0).unwrap_or_default();
    let month = moment.to_zoned(TimeZone::UTC).date().first_of_month();
    month.saturating_sub(1.month()).first_of_month()
}

fn month_after(month: Date) -> Date {
    month.saturating_add(1.month()).first_of_month()
}
