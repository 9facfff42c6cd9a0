//! The snapshot feed: the catalog on its way to a gateway.
//!
//! A gateway gets all of it, or what changed since the revision that it has, and then each change
//! within a moment of its commit. What is sent is read from the store page by page, so a catalog of
//! any size needs a few pages of memory for each gateway that reads it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tollgate_common::internal::FEED_HEARTBEAT_MS;
use tollgate_common::snapshot::wire::{self, Frame};
use tollgate_common::snapshot::{Entry, PlanRules, ProductRules, Revision};

use crate::control::Control;
use crate::store::StoreError;
use crate::store::catalog::{CatalogRead, CommittedRevision, Page, ProductFilter};

/// Bytes that are sent in one piece.
const CHUNK_BYTES: usize = 64 << 10;

/// Pieces that wait for a gateway: 512 KiB at most.
const CHUNKS_WAITING_MAX: usize = 8;

/// Entries that are read from the store at once.
const PAGE: u32 = 5_000;

/// Commits that are read from the store at once.
const REVISIONS_PAGE: u32 = 100;

/// A gateway that takes nothing for so long is gone; it would hold a state of the store for ever.
const STALL: Duration = Duration::from_secs(30);

const HEARTBEAT: Duration = Duration::from_millis(FEED_HEARTBEAT_MS);

/// Why a feed ends. The gateway comes back by itself.
#[derive(Debug, thiserror::Error)]
enum FeedEnd {
    #[error("the gateway has gone")]
    Gone,
    #[error("the gateway takes nothing")]
    Stalled,
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Chunk = Result<Bytes, io::Error>;

/// Starts a feed for a gateway that has `revision`; 0 for none.
pub fn follow(control: Arc<Control>, revision: Revision) -> mpsc::Receiver<Chunk> {
    let (chunks, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
    tokio::spawn(async move {
        control.metrics.feed_subscribers.inc();
        let feed = Feed { control: &control, chunks, buffer: Vec::new() };
        let stopping = control.stopping.clone();
        tokio::select! {
            end = feed.run(revision) => match end {
                FeedEnd::Gone => tracing::debug!("a gateway left the snapshot feed"),
                end => tracing::warn!(reason = %end, "a snapshot feed ended"),
            },
            () = stopping.cancelled() => {}
        }
        control.metrics.feed_subscribers.dec();
    });
    receiver
}

struct Feed<'c> {
    control: &'c Control,
    chunks: mpsc::Sender<Chunk>,
    buffer: Vec<u8>,
}

impl Feed<'_> {
    async fn run(mut self, revision: Revision) -> FeedEnd {
        match self.run_until_end(revision).await {
            Ok(never) => match never {},
            Err(FeedEnd::Store(error)) => {
                // Breaks the answer off, so that the gateway sees a failure and not an end.
                let _ = self.chunks.send(Err(io::Error::other("the store failed"))).await;
                FeedEnd::Store(error)
            }
            Err(end) => end,
        }
    }

    async fn run_until_end(
        &mut self,
        asked: Revision,
    ) -> Result<std::convert::Infallible, FeedEnd> {
        let mut newest = self.control.door.newest();
        // A gateway that has nothing asks as one that has the empty catalog, which is the state
        // before the first change. It is sent that once.
        let mut held = (asked != 0).then_some(asked);
        loop {
            newest.borrow_and_update();
            let reached = self.catch_up(held).await?;
            if held == Some(reached) {
                self.push(&Frame::Heartbeat { revision: reached }).await?;
            }
            held = Some(reached);
            self.flush().await?;
            // A second without news is news too. The store is asked again then, in case another
            // process has written to it.
            let _ = timeout(HEARTBEAT, newest.changed()).await;
            if self.chunks.is_closed() {
                return Err(FeedEnd::Gone);
            }
        }
    }

    /// Sends what the gateway lacks and says up to where it then is.
    async fn catch_up(&mut self, held: Option<Revision>) -> Result<Revision, FeedEnd> {
        let mut catalog = self.control.store.read().await?;
        let newest = catalog.revision().await?;
        if held == Some(newest) {
            return Ok(newest);
        }
        let mut reached = match held {
            Some(held) if catalog.is_known(held).await? => held,
            _ => return self.send_all(&mut *catalog, newest).await,
        };
        loop {
            let commits = catalog.revisions_after(reached, REVISIONS_PAGE).await?;
            let Some(last) = commits.last() else {
                return Ok(reached);
            };
            reached = last.revision;
            for commit in commits {
                self.send_commit(&mut *catalog, commit).await?;
            }
        }
    }

    async fn send_commit(
        &mut self,
        catalog: &mut dyn CatalogRead,
        commit: CommittedRevision,
    ) -> Result<(), FeedEnd> {
        self.push(&Frame::Begin { full: false }).await?;
        let mut sent = 0;
        while sent < commit.entries {
            let frames = catalog.frames(commit.revision, sent, PAGE).await?;
            if frames.is_empty() {
                break;
            }
            sent += frames.len() as u64;
            for frame in frames {
                self.buffer.extend_from_slice(&frame);
            }
            self.flush_full().await?;
        }
        self.push(&Frame::Commit { revision: commit.revision, entries: sent }).await
    }

    /// Sends one whole state, in the order in which one thing names another.
    async fn send_all(
        &mut self,
        catalog: &mut dyn CatalogRead,
        revision: Revision,
    ) -> Result<Revision, FeedEnd> {
        self.push(&Frame::Begin { full: true }).await?;
        let mut entries = 0;
        entries += self.send_products(catalog).await?;
        entries += self.send_plans(catalog).await?;
        entries += self.send_subscriptions(catalog).await?;
        entries += self.send_keys(catalog).await?;
        self.push(&Frame::Commit { revision, entries }).await?;
        tracing::debug!(revision, entries, "sent the whole catalog to a gateway");
        Ok(revision)
    }

    async fn send_products(&mut self, catalog: &mut dyn CatalogRead) -> Result<u64, FeedEnd> {
        let mut page = Page { after: None, limit: PAGE };
        let mut sent = 0;
        loop {
            let products = catalog.products(&ProductFilter::default(), page).await?;
            let Some(last) = products.last() else {
                return Ok(sent);
            };
            page.after = Some(last.id);
            sent += products.len() as u64;
            for product in &products {
                self.push(&Frame::Entry(Entry::Product(ProductRules::from(product)))).await?;
            }
        }
    }

    async fn send_plans(&mut self, catalog: &mut dyn CatalogRead) -> Result<u64, FeedEnd> {
        let mut page = Page { after: None, limit: PAGE };
        let mut sent = 0;
        loop {
            let plans = catalog.plans(None, page).await?;
            let Some(last) = plans.last() else {
                return Ok(sent);
            };
            page.after = Some(last.id);
            sent += plans.len() as u64;
            for plan in &plans {
                self.push(&Frame::Entry(Entry::Plan(PlanRules::from(plan)))).await?;
            }
        }
    }

    async fn send_subscriptions(&mut self, catalog: &mut dyn CatalogRead) -> Result<u64, FeedEnd> {
        let mut page = Page { after: None, limit: PAGE };
        let mut sent = 0;
        loop {
            let subscriptions = catalog.subscriptions_in_force(page).await?;
            let Some(last) = subscriptions.last() else {
                return Ok(sent);
            };
            page.after = Some(last.id);
            sent += subscriptions.len() as u64;
            for rules in subscriptions {
                self.push(&Frame::Entry(Entry::Subscription(rules))).await?;
            }
        }
    }

    async fn send_keys(&mut self, catalog: &mut dyn CatalogRead) -> Result<u64, FeedEnd> {
        let now = self.control.now();
        let mut page = Page { after: None, limit: PAGE };
        let mut sent = 0;
        loop {
            let keys = catalog.keys_in_force(now, page).await?;
            let Some((last, _)) = keys.last() else {
                return Ok(sent);
            };
            page.after = Some(*last);
            sent += keys.len() as u64;
            for (_, rules) in keys {
                self.push(&Frame::Entry(Entry::Key(rules))).await?;
            }
        }
    }

    async fn push(&mut self, frame: &Frame) -> Result<(), FeedEnd> {
        wire::encode(frame, &mut self.buffer);
        self.flush_full().await
    }

    async fn flush_full(&mut self) -> Result<(), FeedEnd> {
        if self.buffer.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), FeedEnd> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        self.control.metrics.feed_bytes.inc_by(chunk.len() as u64);
        match timeout(STALL, self.chunks.send(Ok(chunk))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(FeedEnd::Gone),
            Err(_) => Err(FeedEnd::Stalled),
        }
    }
}
