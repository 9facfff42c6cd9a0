//! What the quota counters start from: the ledger's totals and what it does not have yet.
//!
//! Owns how the two are put together, with and without an admin to ask. It must not know how
//! counters are kept.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout};
use tollgate_common::internal::{QuotaTotal, UsageTotals};

use crate::backoff::Backoff;
use crate::control::Control;
use crate::journal::{FileError, Journal, Totals};

/// How long a start waits for the admin's totals. Longer would be an outage of its own.
pub const SEEDS_WAIT_MAX: Duration = Duration::from_secs(2);

/// What has been used of quotas, by subscription and start of the period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeds {
    pub totals: Totals,
    /// The ledger was asked. Otherwise the totals are only what this gateway itself has counted,
    /// and [`missing`] says what to add.
    pub complete: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SeedsError {
    #[error(transparent)]
    Journal(#[from] FileError),
    #[error("reading the journal was broken off: {0}")]
    Interrupted(#[from] JoinError),
}

/// What counters are set to before the first call is served.
pub async fn at_start(control: &Control, journal: &Arc<Journal>) -> Result<Seeds, SeedsError> {
    match timeout(SEEDS_WAIT_MAX, ask(control, journal)).await {
        Ok(ledger) => {
            let through = ledger.through;
            let journal = journal.clone();
            let unheld = spawn_blocking(move || journal.totals_after(&through)).await??;
            Ok(Seeds { totals: sum(&ledger.totals, unheld), complete: true })
        }
        Err(_) => {
            tracing::warn!("the admin does not say what was used: counting from the journal alone");
            let journal = journal.clone();
            let totals = spawn_blocking(move || journal.totals()).await??;
            Ok(Seeds { totals, complete: false })
        }
    }
}

/// After a start without the admin: waits for it, then says what other gateways, and earlier
/// lives of this one, had used that the seeds did not hold. To be added to the counters once.
pub async fn missing(control: &Control, journal: &Arc<Journal>) -> Result<Totals, SeedsError> {
    let ledger = ask(control, journal).await;
    let through = ledger.through;
    let journal = journal.clone();
    let held = spawn_blocking(move || journal.totals_through(&through)).await??;
    Ok(rest(&ledger.totals, &held))
}

/// In an upgrade: waits for each process that shares the journal's directory to end, and gives what
/// it had counted that the seeds did not hold. Each of it to be added to the counters.
pub async fn follow_predecessors(journal: &Journal, mut add: impl FnMut(Totals)) {
    let mut others = journal.others();
    loop {
        let left = *others.borrow_and_update();
        add(journal.take_adopted());
        // The journal outlives whoever waits for it, so there is no other end.
        if left == 0 || others.changed().await.is_err() {
            return;
        }
    }
}

/// Asks until there is an answer.
async fn ask(control: &Control, journal: &Journal) -> UsageTotals {
    let mut backoff = Backoff::default();
    loop {
        match control.usage_totals(journal.node(), journal.epoch()).await {
            Ok(totals) => return totals,
            Err(error) => {
                let wait = backoff.next(rand::random());
                let failures = backoff.failures();
                if failures.is_power_of_two() {
                    tracing::info!(%error, failures, "the admin does not say what was used yet");
                }
                sleep(wait).await;
            }
        }
    }
}

/// The ledger's totals and what it does not hold.
fn sum(ledger: &[QuotaTotal], unheld: Totals) -> Totals {
    let mut totals = unheld;
    for total in ledger {
        *totals.entry((total.subscription, total.period_start)).or_default() += total.units;
    }
    totals
}

/// Of the ledger's totals, what did not come from this journal.
fn rest(ledger: &[QuotaTotal], held: &Totals) -> Totals {
    ledger
        .iter()
        .map(|total| {
            let key = (total.subscription, total.period_start);
            (key, total.units - held.get(&key).copied().unwrap_or_default())
        })
        .filter(|(_, units)| *units != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{journal, journal_beside, period, subscription, use_units};
    use crate::test_admin::{TestAdmin, control};

    fn ledger(units: &[(u8, i64)], through: Vec<(u64, u64)>) -> Vec<u8> {
        let total = |(number, units): &(u8, i64)| QuotaTotal {
            subscription: subscription(*number),
            period_start: period(),
            units: *units,
        };
        let totals = units.iter().map(total).collect();
        postcard::to_stdvec(&UsageTotals { through, totals }).unwrap()
    }

    fn of(totals: &Totals, number: u8) -> Option<i64> {
        totals.get(&(subscription(number), period())).copied()
    }

    #[tokio::test]
    async fn counters_start_from_the_ledger_and_what_it_does_not_have() {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal(directory.path());
        use_units(&journal, &[(1, 5), (1, 7), (2, 3)]);
        let mut admin = TestAdmin::start().await;
        let control = admin.control();
        let seeding = tokio::spawn({
            let journal = journal.clone();
            async move { at_start(&control, &journal).await.unwrap() }
        });

        // The ledger has the first record, and 100 of another gateway.
        let asked = admin.asked().await;
        let query = format!("node={}&epoch={}", journal.node(), journal.epoch());
        assert_eq!((&*asked.path, &asked.query), ("/internal/v1/usage-totals", &query));
        asked.answer(200, ledger(&[(1, 105), (9, 4)], vec![(journal.epoch(), 1)]));

        let seeds = seeding.await.unwrap();
        assert!(seeds.complete);
        assert_eq!(
            [1, 2, 9].map(|number| of(&seeds.totals, number)),
            [Some(112), Some(3), Some(4)]
        );
    }

    #[tokio::test]
    async fn what_a_predecessor_counts_late_is_added_once_it_has_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let old = journal(directory.path());
        use_units(&old, &[(1, 5)]);
        let new = journal_beside(directory.path());
        let mut admin = TestAdmin::start().await;
        let control = admin.control();
        let seeding = tokio::spawn({
            let new = new.clone();
            async move { at_start(&control, &new).await.unwrap() }
        });
        admin.asked().await.answer(200, ledger(&[(1, 5)], vec![(old.epoch(), 1)]));
        let mut totals = seeding.await.unwrap().totals;

        // Each process serves calls, and the old one ends.
        use_units(&new, &[(1, 100)]);
        use_units(&old, &[(1, 7), (2, 3)]);
        old.close().unwrap();
        follow_predecessors(&new, |late| {
            for (key, units) in late {
                *totals.entry(key).or_default() += units;
            }
        })
        .await;

        // Its own calls the new one has drawn itself.
        assert_eq!([1, 2].map(|number| of(&totals, number)), [Some(12), Some(3)]);
    }

    #[tokio::test]
    async fn without_the_admin_counters_start_from_the_journal_and_the_rest_is_added_later() {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal(directory.path());
        use_units(&journal, &[(1, 5), (2, 3)]);
        let admin = TestAdmin::start().await;
        let address = admin.address;
        admin.stop().await;

        let seeds = at_start(&control(address), &journal).await.unwrap();
        assert!(!seeds.complete);
        assert_eq!((of(&seeds.totals, 1), of(&seeds.totals, 2)), (Some(5), Some(3)));

        use_units(&journal, &[(1, 1)]);
        let mut admin = TestAdmin::start_on(address).await;
        let control = admin.control();
        let missing = tokio::spawn({
            let journal = journal.clone();
            async move { missing(&control, &journal).await.unwrap() }
        });
        // By now the ledger has the first two records, and more from others.
        admin.asked().await.answer(503, "");
        let answer = ledger(&[(1, 25), (2, 3), (9, 4)], vec![(journal.epoch(), 2)]);
        admin.asked().await.answer(200, answer);

        let missing = missing.await.unwrap();
        assert_eq!([1, 2, 9].map(|number| of(&missing, number)), [Some(20), None, Some(4)]);
    }
}
