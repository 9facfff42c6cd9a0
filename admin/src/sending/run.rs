//! The task that sends: takes the lease, and attends to each destination in a task of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tollgate_common::ids::DestinationId;

use super::attend::{attend, open};
use super::metrics::SendingMetrics;
use super::outbox::lease::{self, Fence};
use super::outbox::{self, OutboxError};
use super::registration::{Registration, Status};
use super::sender::Sender;
use super::wire::Wire;
use super::wire::http::HttpWire;
use crate::control::Control;
use crate::fresh;
use crate::ledger::sweep;
use crate::store::StoreError;
use crate::store::catalog::Page;

/// How often is looked for new destinations, for work, and for a lease that is free.
const TICK: Duration = Duration::from_secs(1);

/// The lease is kept three times before it would run out.
const KEEP_EVERY: Duration = Duration::from_millis(lease::LEASE_MS.unsigned_abs() / 3);

/// How often is looked how destinations stand.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often is looked for deliveries that are too old to be kept.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Each has a task; an owner sets up a few.
const DESTINATIONS_MAX: u32 = 200;

/// Runs until the control plane stops.
pub async fn run(control: Arc<Control>, metrics: SendingMetrics) {
    let wire = match HttpWire::new(control.options.destination_policy) {
        Ok(wire) => Arc::new(wire) as Arc<dyn Wire>,
        Err(error) => {
            tracing::error!(%error, "nothing can be sent to destinations");
            return;
        }
    };
    let put_back_at = control.options.put_back_at;
    if put_back_at.is_some_and(|at| at > control.now()) {
        tracing::error!("nothing is sent to destinations: sending.put_back_at is still to come");
        return;
    }
    let chance = || f64::from(u32::from_le_bytes(fresh::random())) / f64::from(u32::MAX);
    let clock = Arc::clone(&control.clock);
    let retention = control.options.retention;
    let sender = Sender::new(control.database.clone(), wire, metrics, clock, retention, chance)
        .after(put_back_at);
    let mut office = Office {
        sender: Arc::new(sender),
        holder: fresh::random(),
        turn: None,
        kept_at: Instant::now(),
        looked_at: None,
        looked_for: Vec::new(),
        pruned_at: None,
        pruned_to: 0,
        attendants: HashMap::new(),
        control,
    };
    office.open().await;
}

struct Office {
    control: Arc<Control>,
    sender: Arc<Sender>,
    holder: [u8; 16],
    turn: Option<Fence>,
    kept_at: Instant,
    looked_at: Option<Instant>,
    looked_for: Vec<DestinationId>,
    /// When all that was too old had gone.
    pruned_at: Option<Instant>,
    /// The delivery that was looked at last since then.
    pruned_to: i64,
    attendants: HashMap<DestinationId, Attendant>,
}

struct Attendant {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Office {
    async fn open(&mut self) {
        let stopping = self.control.stopping.clone();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.tick().await {
                tracing::warn!(%error, "sending waits for the store");
            }
        }
        self.dismiss_all().await;
        if let Some(fence) = self.turn
            && let Err(error) = lease::release(&self.control.database, fence).await
        {
            tracing::warn!(%error, "the turn at sending was not given back; it runs out by itself");
        }
    }

    async fn tick(&mut self) -> Result<(), StoreError> {
        let is_kept = self.turn.is_some() && self.kept_at.elapsed() < KEEP_EVERY;
        if !is_kept {
            let now = self.control.now();
            let turn = lease::hold(&self.control.database, &self.holder, now).await?;
            self.kept_at = Instant::now();
            if turn != self.turn {
                self.dismiss_all().await;
                self.turn = turn;
            }
            self.sender.metrics.sends.set(turn.is_some().into());
        }
        match self.turn {
            Some(fence) => {
                self.attend(fence).await?;
                self.prune(fence).await
            }
            None => Ok(()),
        }
    }

    /// Sees to it that each active destination, and no other, has somebody who attends to it.
    async fn attend(&mut self, fence: Fence) -> Result<(), StoreError> {
        let page = Page { after: None, limit: DESTINATIONS_MAX };
        let registrations = self.control.store.read().await?.destinations(page).await?;
        let active: BTreeMap<DestinationId, &Registration> = registrations
            .iter()
            .filter(|registration| registration.status == Status::Active)
            .map(|registration| (registration.id, registration))
            .collect();
        self.attendants.retain(|id, attendant| {
            if !active.contains_key(id) {
                attendant.stop.cancel();
            }
            !attendant.task.is_finished()
        });
        for (id, registration) in active {
            self.attendants.entry(id).or_insert_with(|| {
                let stop = CancellationToken::new();
                let (control, sender) = (Arc::clone(&self.control), Arc::clone(&self.sender));
                let name = registration.name.clone();
                let task = tokio::spawn(attend(control, sender, id, name, fence, stop.clone()));
                Attendant { stop, task }
            });
        }
        let ids: Vec<_> = registrations.iter().map(|registration| registration.id).collect();
        let is_due = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if is_due || self.looked_for != ids {
            self.looked_at = Some(Instant::now());
            self.looked_for = ids;
            self.look(&registrations).await?;
        }
        Ok(())
    }

    /// Tells how destinations stand, the paused ones too.
    async fn look(&self, registrations: &[Registration]) -> Result<(), StoreError> {
        let mut catalog = self.control.store.read().await?;
        let mut db = self.control.database.read().await?;
        self.sender.metrics.forget();
        for registration in registrations {
            let backlog = outbox::backlog(&mut db, registration.id).await?;
            let secret = catalog.destination_secret(registration.id).await?;
            let destination = open(&self.control, registration, secret.as_ref()).ok();
            let can = destination.map(|destination| destination.capabilities());
            let now = self.control.now();
            self.sender.metrics.stands(registration, &backlog, can.as_ref(), now);
        }
        Ok(())
    }

    /// Lets go of what is too old, a part of it in each tick.
    async fn prune(&mut self, fence: Fence) -> Result<(), StoreError> {
        if self.pruned_at.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return Ok(());
        }
        let mut db = match outbox::write(&self.control.database, fence).await {
            Ok(db) => db,
            // The next tick learns it.
            Err(OutboxError::Relieved) => return Ok(()),
            Err(OutboxError::Store(error)) => return Err(error),
        };
        let now = sweep::believed(&mut db, self.control.now()).await?;
        let kept_from = self.control.options.retention.deliveries_from(now);
        let came_to = outbox::prune::prune(&mut db, kept_from, self.pruned_to).await?;
        let forgotten = outbox::costs::forget_deleted(&mut db).await?;
        outbox::records::forget_deleted(&mut db).await?;
        db.commit().await?;
        self.pruned_to = came_to.unwrap_or_default();
        self.pruned_at = (came_to.is_none() && forgotten == 0).then(Instant::now);
        Ok(())
    }

    /// What is under way comes to its end, if that does not take too long.
    async fn dismiss_all(&mut self) {
        for attendant in self.attendants.values() {
            attendant.stop.cancel();
        }
        let until = Instant::now() + self.control.options.drain_timeout;
        for (_, mut attendant) in self.attendants.drain() {
            let left = until.saturating_duration_since(Instant::now());
            if timeout(left, &mut attendant.task).await.is_err() {
                attendant.task.abort();
            }
        }
        self.sender.metrics.forget();
    }
}
