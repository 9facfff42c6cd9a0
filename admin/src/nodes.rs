//! The gateways that say how they do.
//!
//! Kept in memory: each gateway speaks every second, so a control plane that starts anew knows all
//! of them within one.

mod overlap;

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tollgate_common::ids::NodeId;
use tollgate_common::internal::NodeStatus;
use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;

use crate::store::catalog::Page;
use overlap::Overlap;

/// A gateway that was silent for longer is not connected: five of its seconds.
const SILENT_MS_MAX: i64 = 5_000;

/// A gateway that was silent for longer is forgotten: an hour is enough to see that it is gone.
const FORGOTTEN_MS: i64 = 3_600_000;

/// More gateways than one control plane is built for; beyond it the ones silent longest go.
const NODES_MAX: usize = 10_000;

/// How long a revocation waits for the gateways to say that they have it.
const CONFIRMATION_WAIT: Duration = Duration::from_millis(200);

#[derive(Clone, Debug)]
pub struct Node {
    pub status: NodeStatus,
    pub last_seen: Timestamp,
}

impl Node {
    pub fn is_connected(&self, now: Timestamp) -> bool {
        now.0 - self.last_seen.0 <= SILENT_MS_MAX
    }
}

/// How many of the connected gateways serve a revision or a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InForce {
    pub nodes_current: usize,
    pub nodes_total: usize,
}

#[derive(Debug)]
pub struct Nodes {
    known: Mutex<HashMap<NodeId, Node>>,
    overlaps: Mutex<HashMap<NodeId, Overlap>>,
    heard: watch::Sender<()>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { known: Mutex::default(), overlaps: Mutex::default(), heard: watch::Sender::new(()) }
    }
}

impl Nodes {
    /// Notes what a gateway says. Its refusals are for the ledger and not kept here.
    pub fn hear(&self, mut status: NodeStatus, now: Timestamp) {
        status.refusals = Default::default();
        self.look_for_twin(&status, now);
        {
            let mut known = self.known.lock();
            known.insert(status.node, Node { status, last_seen: now });
            known.retain(|_, node| now.0 - node.last_seen.0 <= FORGOTTEN_MS);
            if known.len() > NODES_MAX {
                let silent_longest =
                    known.iter().min_by_key(|(_, node)| node.last_seen).map(|(id, _)| *id);
                silent_longest.map(|id| known.remove(&id));
            }
            self.overlaps.lock().retain(|id, _| known.contains_key(id));
        }
        self.heard.send_replace(());
    }

    /// Two gateways with one id are one in all reports, and each may undo what the other counts.
    fn look_for_twin(&self, status: &NodeStatus, now: Timestamp) {
        let is_twin = self.overlaps.lock().entry(status.node).or_default().hear(status.epoch, now);
        if is_twin {
            tracing::warn!(
                node = %status.node,
                address = status.address,
                "two gateways speak under one id: was the data directory of one copied for the \
                 other? It is well only if the older one still lets its calls end"
            );
        }
    }

    /// In the order of their ids.
    pub fn list(&self, page: Page<NodeId>) -> Vec<Node> {
        let known = self.known.lock();
        let later = known.iter().filter(|(id, _)| page.after.is_none_or(|after| **id > after));
        let mut nodes: Vec<(NodeId, &Node)> = later.map(|(id, node)| (*id, node)).collect();
        nodes.sort_by_key(|(id, _)| *id);
        nodes.into_iter().take(page.limit as usize).map(|(_, node)| node.clone()).collect()
    }

    pub fn in_force(&self, revision: Revision, now: Timestamp) -> InForce {
        let known = self.known.lock();
        let connected = || known.values().filter(|node| node.is_connected(now));
        InForce {
            nodes_current: connected().filter(|node| node.status.revision >= revision).count(),
            nodes_total: connected().count(),
        }
    }

    /// Waits a little for all connected gateways to serve a revision, and says how many do.
    pub async fn confirm(&self, revision: Revision, now: Timestamp) -> InForce {
        let mut heard = self.heard.subscribe();
        let all = async {
            loop {
                let in_force = self.in_force(revision, now);
                if in_force.nodes_current == in_force.nodes_total || heard.changed().await.is_err()
                {
                    return;
                }
            }
        };
        // Late is an answer too: it says how many have it by now.
        let _ = tokio::time::timeout(CONFIRMATION_WAIT, all).await;
        self.in_force(revision, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Page<NodeId> = Page { after: None, limit: 100 };

    fn status(node: u8, revision: Revision) -> NodeStatus {
        NodeStatus {
            node: NodeId::from_bytes([node; 16]),
            epoch: 1,
            version: "0.1.0".into(),
            address: "127.0.0.1:8080".into(),
            revision,
            started_at: Timestamp(0),
            journal_lag_records: 0,
            leases_outstanding: 0,
            refusals: Default::default(),
        }
    }

    #[test]
    fn only_gateways_that_still_speak_are_counted() {
        let nodes = Nodes::default();
        nodes.hear(status(1, 5), Timestamp(0));
        nodes.hear(status(2, 5), Timestamp(10_000));
        nodes.hear(status(3, 4), Timestamp(10_000));

        let in_force = nodes.in_force(5, Timestamp(10_500));

        assert_eq!(in_force, InForce { nodes_current: 1, nodes_total: 2 });
        assert_eq!(nodes.list(ALL).len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_confirmation_comes_as_soon_as_the_last_gateway_has_it() {
        let nodes = std::sync::Arc::new(Nodes::default());
        nodes.hear(status(1, 4), Timestamp(0));

        let waiting = tokio::spawn({
            let nodes = nodes.clone();
            async move { nodes.confirm(5, Timestamp(0)).await }
        });
        tokio::task::yield_now().await;
        nodes.hear(status(1, 5), Timestamp(0));

        assert_eq!(waiting.await.unwrap(), InForce { nodes_current: 1, nodes_total: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_does_not_confirm_is_told_of_and_not_waited_for() {
        let nodes = Nodes::default();
        nodes.hear(status(1, 4), Timestamp(0));

        let in_force = nodes.confirm(5, Timestamp(0)).await;

        assert_eq!(in_force, InForce { nodes_current: 0, nodes_total: 1 });
    }

    #[test]
    fn a_gateway_that_is_long_gone_is_forgotten() {
        let nodes = Nodes::default();
        nodes.hear(status(1, 4), Timestamp(0));

        nodes.hear(status(2, 4), Timestamp(FORGOTTEN_MS + 1));

        assert_eq!(nodes.list(ALL).len(), 1);
    }
}
