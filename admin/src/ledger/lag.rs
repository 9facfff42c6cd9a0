//! How far the ledger is behind each gateway.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tollgate_common::ids::NodeId;
use tollgate_common::time::Timestamp;

use super::series::id_read;
use crate::store::Transaction;
use crate::store::query::query_as;

/// Gateways that are watched: far above any fleet. More are not shown.
const NODES_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub struct LagBoard {
    nodes: Mutex<HashMap<NodeId, Progress>>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    admitted_newest: Option<Timestamp>,
    /// When it was first looked at while the ledger had no call.
    looked_at: Option<Timestamp>,
    /// Records that the node says it still holds; None before it has said so.
    pending: Option<u64>,
}

/// How far behind one gateway the ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    pub node: NodeId,
    pub seconds: u64,
}

impl LagBoard {
    /// Reads how far the ledger has each gateway's calls, whoever took them.
    pub async fn catch_up(&self, db: &mut Transaction) -> Result<(), sqlx::Error> {
        let rows: Vec<(Vec<u8>, i64)> =
            query_as("SELECT node, MAX(admitted_newest) FROM ledger_mark GROUP BY node")
                .fetch_all(db)
                .await?;
        for (node, admitted_newest) in rows {
            self.applied(NodeId::from_bytes(id_read(&node)?), Timestamp(admitted_newest));
        }
        Ok(())
    }

    pub fn applied(&self, node: NodeId, admitted_newest: Timestamp) {
        self.with(node, |progress| {
            progress.admitted_newest = progress.admitted_newest.max(Some(admitted_newest));
        });
    }

    pub fn pending(&self, node: NodeId, records: u64) {
        self.with(node, |progress| progress.pending = Some(records));
    }

    /// From the newest call that the ledger has to `now`, for gateways that say they hold records
    /// it has not; zero for those that say they hold none, which are idle and not behind. Where the
    /// ledger has no call yet, from the first look.
    pub fn read(&self, now: Timestamp) -> Vec<Lag> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = |progress: &mut Progress| match progress.pending {
            Some(0) | None => 0,
            Some(_) => {
                let newest = progress.admitted_newest;
                newest.unwrap_or_else(|| *progress.looked_at.get_or_insert(now)).seconds_until(now)
            }
        };
        nodes
            .iter_mut()
            .map(|(node, progress)| Lag { node: *node, seconds: behind(progress) })
            .collect()
    }

    fn with(&self, node: NodeId, change: impl FnOnce(&mut Progress)) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.len() >= NODES_MAX && !nodes.contains_key(&node) {
            return;
        }
        let fresh = Progress { admitted_newest: None, looked_at: None, pending: None };
        change(nodes.entry(node).or_insert(fresh));
    }
}
