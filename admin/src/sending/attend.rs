//! Who attends to one destination: opens it as it is set up now, and sends what is due, turn by turn.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tollgate_common::ids::DestinationId;

use super::attempt::Wish;
use super::books::{Books, BooksError};
use super::destination::Destination;
use super::outbox::OutboxError;
use super::outbox::lease::Fence;
use super::registration::{Registration, Status};
use super::sender::{Post, Sender};
use crate::access::Caller;
use crate::control::Control;
use crate::json::Fields;
use crate::problem::Problem;
use crate::store::StoreError;

/// How often is looked for work that came up in between.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two tries when the store fails, or a destination cannot be opened.
const TROUBLE_PAUSE: Duration = Duration::from_secs(10);

/// Sends to one destination until it is told to stop, or somebody else has the turn.
pub async fn attend(
    control: Arc<Control>,
    sender: Arc<Sender>,
    id: DestinationId,
    name: String,
    fence: Fence,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let pause = match turn(&control, &sender, id, fence, &stop).await {
            Ok(Some(pause)) => pause,
            Ok(None) | Err(Trouble::Outbox(OutboxError::Relieved)) => return,
            Err(error) => {
                tracing::warn!(destination = %id, %error, "sending to a destination stands still");
                sender.metrics.in_trouble(&name);
                TROUBLE_PAUSE
            }
        };
        stop.run_until_cancelled(sleep(pause)).await;
    }
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("it cannot be opened: {0}")]
    Settings(String),
    #[error("it cannot take single calls: {0}")]
    Records(BooksError),
    #[error("it cannot take costs: {0}")]
    Costs(BooksError),
    #[error("it cannot be paused: {}", .0.detail)]
    Pause(Problem),
}

impl Trouble {
    /// What became of the books is of the outbox, or of what was taken from them.
    fn of(error: BooksError, what: fn(BooksError) -> Self) -> Self {
        match error {
            BooksError::Outbox(error) => Self::Outbox(error),
            error @ (BooksError::Invoice(_) | BooksError::Files(_)) => what(error),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Outbox(error.into())
    }
}

/// Answers how long to wait for the next one; None when there is nothing more to send to.
async fn turn(
    control: &Control,
    sender: &Sender,
    id: DestinationId,
    fence: Fence,
    stop: &CancellationToken,
) -> Result<Option<Duration>, Trouble> {
    let mut catalog = control.store.read().await?;
    let registration = catalog.destination(id).await?;
    let secret = catalog.destination_secret(id).await?;
    drop(catalog);
    let registration = registration.filter(|known| known.status == Status::Active);
    let Some(registration) = registration else { return Ok(None) };
    let destination = open(control, &registration, secret.as_ref()).map_err(Trouble::Settings)?;
    let post =
        Post { registration: &registration, destination: &*destination, fence, stop: stop.clone() };
    let turn = sender.turn(&post).await?;
    if let Wish::Stop(reason) = turn.wish {
        pause(control, &registration, reason).await.map_err(Trouble::Pause)?;
        return Ok(None);
    }
    let now = control.now();
    let books = Books {
        store: &*control.store,
        ledger: &control.ledger,
        database: &control.database,
        registration: &registration,
        fence,
    };
    let records = destination.take_records(&books, now).await;
    let costs = destination.take_costs(&books, now).await;
    records.map_err(|error| Trouble::of(error, Trouble::Records))?;
    costs.map_err(|error| Trouble::of(error, Trouble::Costs))?;
    let wait_ms = turn.next_at.map_or(i64::MAX, |at| at.0.saturating_sub(now.0).max(0));
    Ok(Some(LOOK_EVERY.min(Duration::from_millis(wait_ms.unsigned_abs()))))
}

/// A destination as it is set up now; the error names what is wrong with its settings.
pub fn open(
    control: &Control,
    registration: &Registration,
    secret: Option<&SecretString>,
) -> Result<Box<dyn Destination>, String> {
    let setup = control.options.setup(&registration.name, secret);
    let mut fields = Fields::new(registration.settings.clone().into_iter().collect());
    let destination = registration.kind.open(&mut fields, &setup);
    match (destination, fields.finish()) {
        (Some(destination), Ok(())) => Ok(destination),
        (_, Err(problem)) => {
            let errors = problem.errors.iter();
            let texts = errors.map(|error| format!("{} {}", error.field, error.message));
            Err(texts.collect::<Vec<_>>().join("; "))
        }
        (None, Ok(())) => Err("its settings are not complete".to_owned()),
    }
}

async fn pause(
    control: &Control,
    registration: &Registration,
    reason: String,
) -> Result<(), Problem> {
    tracing::warn!(destination = %registration.id, %reason, "a destination wants nothing more");
    let mut change = control.door.begin(&Caller::of_itself(), "sending").await?;
    let Some(current) = change.catalog.destination(registration.id).await? else { return Ok(()) };
    change.pause_destination(&current, reason).await?;
    change.commit().await?;
    Ok(())
}
