//! The other control planes on the same database.
//!
//! Each tells the others at once what it has committed and what gateways say to it. So a gateway is
//! told of a change whichever control plane it follows, and all of them know all gateways. What is
//! lost with a connection comes again by itself: feeds ask for the newest revision each second, and
//! gateways speak each second. A SQLite file has one control plane, and nothing is done here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tollgate_common::ids::NodeId;
use tollgate_common::internal::NodeStatus;

use crate::control::Control;
use crate::fresh;
use crate::store::sql::REVISIONS;
use crate::store::{Server, StoreError};

/// The channel on which is said what gateways say.
const NODES: &str = "tollgate_nodes";

/// PostgreSQL takes less than 8000 bytes at a time. In Base64 these become 7948.
const WORD_BYTES_MAX: usize = 5_960;

/// Between two rounds of telling, so that a large fleet is told of in few words. Short beside the
/// 200 ms for which a revocation waits for gateways.
const TELL_PAUSE: Duration = Duration::from_millis(10);

/// Between two tries to listen.
const LISTEN_PAUSE: Duration = Duration::from_millis(200);

/// How often is looked whether the database is there.
const PULSE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Replicas {
    /// Which of the control planes this one is.
    this: [u8; 8],
    untold: Mutex<HashMap<NodeId, NodeStatus>>,
    has_untold: Notify,
    store_is_there: watch::Sender<bool>,
}

impl Default for Replicas {
    fn default() -> Self {
        Self {
            this: fresh::random(),
            untold: Mutex::default(),
            has_untold: Notify::new(),
            store_is_there: watch::Sender::new(true),
        }
    }
}

impl Replicas {
    /// Will tell the others what a gateway says, except for its refusals, which are in the ledger.
    pub fn tell(&self, status: &NodeStatus) {
        let status = NodeStatus { refusals: Default::default(), ..status.clone() };
        self.untold.lock().insert(status.node, status);
        self.has_untold.notify_one();
    }

    pub fn store_is_there(&self) -> watch::Receiver<bool> {
        self.store_is_there.subscribe()
    }

    /// What is to be told, in as few words as it fits.
    fn words(&self) -> Vec<String> {
        let untold = std::mem::take(&mut *self.untold.lock());
        let mut words = vec![self.this.to_vec()];
        for (node, status) in untold {
            let status = postcard::to_allocvec(&status).expect("a status is plain data");
            if self.this.len() + status.len() > WORD_BYTES_MAX {
                tracing::warn!(%node, "a gateway says too much to pass it on");
                continue;
            }
            match words.last_mut() {
                Some(word) if word.len() + status.len() <= WORD_BYTES_MAX => word.extend(status),
                _ => words.push([&self.this[..], &status].concat()),
            }
        }
        words.retain(|word| word.len() > self.this.len());
        words.iter().map(|word| BASE64.encode(word)).collect()
    }

    /// What another control plane has heard; nothing of what this one has said itself.
    fn statuses(&self, word: &str) -> Vec<NodeStatus> {
        let word = BASE64.decode(word.as_bytes()).unwrap_or_default();
        let mut rest = match word.split_first_chunk() {
            Some((speaker, rest)) if *speaker != self.this => rest,
            _ => return Vec::new(),
        };
        let mut statuses = Vec::new();
        // One of another version may speak in another form, and what it says is left out.
        while let Ok((status, behind)) = postcard::take_from_bytes(rest) {
            statuses.push(status);
            rest = behind;
        }
        statuses
    }
}

/// Runs until the control plane stops.
pub async fn run(control: Arc<Control>) {
    let Some(server) = control.database.shared() else { return };
    let work = async {
        tokio::join!(
            listen(&control, server),
            speak(&control, server),
            feel_pulse(&control, server)
        )
    };
    control.stopping.run_until_cancelled(work).await;
}

async fn listen(control: &Control, server: &Server) -> Infallible {
    loop {
        let Err(error) = hear(control, server).await;
        tracing::warn!(%error, "the other control planes cannot be heard; it is tried again");
        sleep(LISTEN_PAUSE).await;
    }
}

async fn hear(control: &Control, server: &Server) -> Result<Infallible, StoreError> {
    let mut listener = server.listen(&[REVISIONS, NODES]).await?;
    // What was said before is heard by nobody.
    control.door.hear(control.store.read().await?.revision().await?);
    loop {
        let word = listener.next().await?;
        match word.channel.as_str() {
            REVISIONS => control.door.hear(word.text.parse().unwrap_or(0)),
            _ => {
                for status in control.replicas.statuses(&word.text) {
                    control.ledger.hear_of(status.node, status.journal_lag_records);
                    control.nodes.hear(status, control.now());
                }
            }
        }
    }
}

async fn speak(control: &Control, server: &Server) -> Infallible {
    loop {
        control.replicas.has_untold.notified().await;
        for word in control.replicas.words() {
            if let Err(error) = server.say(NODES, &word).await {
                tracing::debug!(%error, "the other control planes were not told of gateways");
            }
        }
        sleep(TELL_PAUSE).await;
    }
}

async fn feel_pulse(control: &Control, server: &Server) -> Infallible {
    let mut tick = interval(PULSE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let is_there = server.is_there().await;
        let was_there = control.replicas.store_is_there.send_replace(is_there);
        match (was_there, is_there) {
            (true, false) => tracing::error!("the database cannot be reached"),
            (false, true) => tracing::info!("the database is back"),
            (true, true) | (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_common::time::Timestamp;

    use super::*;

    fn status(node: u16, version: String) -> NodeStatus {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&node.to_be_bytes());
        NodeStatus {
            node: NodeId::from_bytes(id),
            epoch: 1,
            version,
            address: "127.0.0.1:8080".into(),
            revision: 7,
            started_at: Timestamp(0),
            journal_lag_records: 3,
            leases_outstanding: 0,
            refusals: Default::default(),
        }
    }

    #[test]
    fn a_fleet_is_told_of_in_words_that_fit() {
        let (here, there) = (Replicas::default(), Replicas::default());
        for node in 0..500 {
            here.tell(&status(node, "0.1.0".into()));
        }
        here.tell(&status(500, "x".repeat(WORD_BYTES_MAX)));

        let words = here.words();

        assert!(words.len() > 1 && words.iter().all(|word| word.len() < 8_000));
        let mut heard: Vec<_> = words.iter().flat_map(|word| there.statuses(word)).collect();
        heard.sort_by_key(|status| status.node);
        let told: Vec<_> = (0..500).map(|node| status(node, "0.1.0".into())).collect();
        assert_eq!(heard, told);
        assert!(here.words().is_empty());
    }

    #[test]
    fn its_own_words_and_nonsense_are_not_heard() {
        let here = Replicas::default();
        here.tell(&status(1, "0.1.0".into()));

        assert!(here.words().iter().all(|word| here.statuses(word).is_empty()));
        for nonsense in ["", "!", "AAAA", &BASE64.encode(&[9; 40])] {
            assert!(here.statuses(nonsense).is_empty());
        }
    }
}
