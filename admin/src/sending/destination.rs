//! The seam to a billing system: what it can do, what a request looks like, what its answers mean.
//!
//! An implementation holds no state that matters: what was decided and what became of it is in the
//! outbox. Each lives in one file of `destination/` and is named in [`Kind`](super::kind::Kind).

mod customer;
pub mod http;
mod names;

pub mod file_export;
pub mod frontier;
pub mod lago;
mod openmeter;
pub mod openmeter_v1;
pub mod openmeter_v3;
pub mod stripe_v1;
pub mod stripe_v2;
pub mod webhook;

use async_trait::async_trait;
use tollgate_common::catalog::{Consumer, Subscription};
use tollgate_common::time::Timestamp;

use super::books::{Books, BooksError};
use super::capability::Capabilities;
use super::intent::{Finding, Outcome};
use super::item::Item;
use super::wire::Wire;

/// What is sent: items, and the bytes that were fixed for them.
#[derive(Clone, Debug)]
pub struct Frozen {
    pub number: i64,
    pub items: Vec<Item>,
    pub body: Vec<u8>,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    All(Outcome),
    /// For each item, in order.
    Each(Vec<Outcome>),
    /// The destination wants nothing more. Nothing of this attempt arrived.
    Gone(String),
}

#[async_trait]
pub trait Destination: Send + Sync {
    fn capabilities(&self) -> Capabilities;

    /// Requests of one lane go one after another, in the order in which they were decided.
    fn lane(&self, item: &Item) -> String;

    /// Who the usage belongs to there; an error says what is missing.
    fn customer(&self, consumer: &Consumer, subscription: &Subscription) -> Result<String, String>;

    /// The bytes of a request. Called once for each intent; every attempt sends the same.
    fn freeze(&self, items: &[Item]) -> Vec<u8>;

    async fn send(&self, frozen: &Frozen, wire: &dyn Wire, now: Timestamp) -> Answer;

    /// Takes single calls besides sums, where that is asked for. Called in each turn.
    async fn take_records(&self, books: &Books<'_>, now: Timestamp) -> Result<(), BooksError> {
        let _ = (books, now);
        Ok(())
    }

    /// Takes the costs of periods that are over, where that is asked for. Called in each turn.
    async fn take_costs(&self, books: &Books<'_>, now: Timestamp) -> Result<(), BooksError> {
        let _ = (books, now);
        Ok(())
    }

    /// Whether items are there, in their order: each is put into `findings` as soon as it is known, and stays
    /// true where the rest is not learned. Only asked of those that declare `Items`.
    async fn find(
        &self,
        items: &[Item],
        wire: &dyn Wire,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        let _ = (items, wire, findings);
        Err("it shows no items".to_owned())
    }

    /// Whether there is a total of an item's meter. Only asked of those that declare `Totals`.
    fn shows(&self, item: &Item) -> bool {
        let _ = item;
        true
    }

    /// The total of an item's customer, meter and hour. Only asked of those that declare `Totals`.
    async fn total(&self, item: &Item, wire: &dyn Wire) -> Result<i64, String> {
        let _ = (item, wire);
        Err("it shows no totals".to_owned())
    }
}
