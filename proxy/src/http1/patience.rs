//! One timer per direction of a connection, however many waits it has.
//!
//! A wait usually ends at once, so setting a timer for each would cost more than the wait. The
//! timer here is left standing at the earliest moment that anyone has waited for; when it fires too
//! early it is set again.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

#[derive(Debug, Default)]
pub struct Patience {
    timer: Option<Timer>,
}

#[derive(Debug)]
struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// Who is woken when it fires: asked again by the same, the timer need not be told again.
    wakes: Waker,
}

/// The wait was over before what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl Patience {
    /// Waits for `future`, at most for `wait`.
    pub async fn within<F: Future>(
        &mut self,
        wait: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        self.until(Deadline::After(wait), future).await
    }

    /// Waits for `future`, at most until `deadline`.
    pub async fn by<F: Future>(
        &mut self,
        deadline: Instant,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        self.until(Deadline::At(deadline), future).await
    }

    async fn until<F: Future>(
        &mut self,
        deadline: Deadline,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let mut future = std::pin::pin!(future);
        let mut deadline = deadline;
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let at = deadline.fix();
            self.poll_reached(at, context).map(Err)
        })
        .await
    }

    fn poll_reached(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<Elapsed> {
        let timer = self.timer.get_or_insert_with(|| Timer {
            sleep: Box::pin(tokio::time::sleep_until(deadline)),
            wakes: Waker::noop().clone(),
        });
        if timer.sleep.deadline() > deadline {
            timer.reset(deadline);
        }
        while timer.poll_fired(context) {
            if Instant::now() >= deadline {
                self.timer = None;
                return Poll::Ready(Elapsed);
            }
            timer.reset(deadline);
        }
        Poll::Pending
    }
}

impl Timer {
    fn reset(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.wakes.clone_from(Waker::noop());
    }

    fn poll_fired(&mut self, context: &mut Context<'_>) -> bool {
        if !self.sleep.is_elapsed() && self.wakes.will_wake(context.waker()) {
            return false;
        }
        self.wakes.clone_from(context.waker());
        // Without tokio's budget: used up, it would leave the timer untold of whom to wake.
        pin!(unconstrained(self.sleep.as_mut())).poll(context).is_ready()
    }
}

/// The clock is read only when something has to be waited for.
enum Deadline {
    After(Duration),
    At(Instant),
}

impl Deadline {
    fn fix(&mut self) -> Instant {
        let at = match self {
            Deadline::After(wait) => Instant::now() + *wait,
            Deadline::At(at) => *at,
        };
        *self = Deadline::At(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_its_deadline() {
        let mut patience = Patience::default();
        let begun = Instant::now();

        let waited = patience.within(Duration::from_secs(3), std::future::pending::<()>()).await;

        assert_eq!(waited, Err(Elapsed));
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_also_where_the_tasks_budget_is_spent() {
        let mut patience = Patience::default();
        let waited = patience.within(Duration::from_secs(3), async {
            while tokio::task::coop::has_budget_remaining() {
                tokio::task::coop::consume_budget().await;
            }
            std::future::pending::<()>().await;
        });

        assert_eq!(tokio::time::timeout(Duration::from_secs(9), waited).await, Ok(Err(Elapsed)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_longer_wait_is_not_cut_by_a_shorter_one_before_it_nor_the_other_way_round() {
        let mut patience = Patience::default();
        let soon = || tokio::time::sleep(Duration::from_millis(1));
        patience.within(Duration::from_secs(1), soon()).await.unwrap();
        let begun = Instant::now();

        assert!(
            patience.within(Duration::from_secs(9), std::future::pending::<()>()).await.is_err()
        );
        assert_eq!(begun.elapsed(), Duration::from_secs(9));
        patience.within(Duration::from_secs(60), soon()).await.unwrap();
        let begun = Instant::now();
        assert!(
            patience.within(Duration::from_secs(2), std::future::pending::<()>()).await.is_err()
        );
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
    }
}
