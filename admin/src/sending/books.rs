//! What the costs of periods and single calls are taken from.

use super::outbox::OutboxError;
use super::outbox::lease::Fence;
use super::registration::Registration;
use crate::invoice::InvoiceError;
use crate::ledger::Ledger;
use crate::store::{CatalogStore, Database, StoreError};

/// The invoices of all subscriptions, the ledger, and where is kept what a destination has of them.
pub struct Books<'a> {
    pub store: &'a dyn CatalogStore,
    pub ledger: &'a Ledger,
    pub database: &'a Database,
    pub registration: &'a Registration,
    pub fence: Fence,
}

/// Why they could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    #[error("{0}")]
    Files(String),
}

impl BooksError {
    /// Whether it is of one subscription alone, and others may well be written.
    pub const fn is_of_one(&self) -> bool {
        match self {
            Self::Outbox(OutboxError::Store(error)) | Self::Invoice(InvoiceError::Store(error)) => {
                matches!(error, StoreError::Content { .. })
            }
            Self::Invoice(_) => true,
            Self::Outbox(OutboxError::Relieved) | Self::Files(_) => false,
        }
    }
}

impl From<StoreError> for BooksError {
    fn from(error: StoreError) -> Self {
        Self::Outbox(error.into())
    }
}

impl From<sqlx::Error> for BooksError {
    fn from(error: sqlx::Error) -> Self {
        Self::Outbox(error.into())
    }
}
