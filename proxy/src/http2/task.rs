//! hyper's tasks on a connection, each of which can be ended alone.
//!
//! With a piece in hand for which the other side makes no room, hyper's sending of a body hears no more of that body,
//! nor of the call being over: its stream would stay for as long as the connection. A task that is ended lets go
//! of its stream, and h2 resets it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::task::AbortHandle;

thread_local! {
    /// The task that hyper spawns next on this thread, before it returns.
    static NEXT: Cell<Option<Task>> = const { Cell::new(None) };
}

/// A task of hyper's; empty until it is spawned.
#[derive(Clone, Debug, Default)]
pub struct Task(Arc<OnceLock<AbortHandle>>);

impl Task {
    /// What hyper is about to spawn is this.
    pub fn comes_next(&self) {
        NEXT.set(Some(self.clone()));
    }

    /// What hyper spawns in `future` is this.
    pub async fn of<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let polled = poll_fn(|context| {
            self.comes_next();
            let polled = future.as_mut().poll(context);
            NEXT.take();
            polled
        });
        polled.await
    }

    /// Whether hyper has let go of the body that it sends there: it has all been taken, or no more of it is.
    pub fn is_over(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub fn end(&self) {
        if let Some(task) = self.0.get() {
            task.abort();
        }
    }
}

/// Spawns what hyper has to do.
#[derive(Clone, Copy, Debug)]
pub struct Spawner;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        let spawned = tokio::spawn(future);
        if let Some(task) = NEXT.take() {
            // It is spawned once.
            let _ = task.0.set(spawned.abort_handle());
        }
    }
}

/// A body, and the task that hyper spawns if it cannot send all of it as soon as it looks at it.
pub struct InTask<B> {
    body: B,
    task: Task,
    is_begun: bool,
}

impl<B> InTask<B> {
    pub fn new(body: B, task: Task) -> Self {
        Self { body, task, is_begun: false }
    }
}

impl<B> Drop for InTask<B> {
    fn drop(&mut self) {
        // Sent as soon as it was looked at, it needs no task.
        NEXT.take();
    }
}

impl<B: Body + Unpin> Body for InTask<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        if !self.is_begun {
            self.is_begun = true;
            self.task.comes_next();
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
