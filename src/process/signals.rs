//! What the process is told from outside.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

/// Why the process is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Terminate,
    Interrupt,
    /// A successor accepts connections on our sockets.
    Relieved,
}

impl Order {
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Relieved => "a successor has taken over",
        }
    }
}

pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Needs a runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the order to stop, and calls `reload` for each SIGHUP until then.
    pub async fn wait(&mut self, taken: Option<JoinHandle<()>>, reload: impl Fn()) -> Order {
        let relieved = async {
            // A task that panicked has said so, and hands nothing over.
            let is_taken = match taken {
                Some(taken) => taken.await.is_ok(),
                None => false,
            };
            if !is_taken {
                std::future::pending::<()>().await;
            }
        };
        tokio::pin!(relieved);
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Order::Terminate,
                _ = self.interrupt.recv() => return Order::Interrupt,
                () = &mut relieved => return Order::Relieved,
                _ = self.hang_up.recv() => reload(),
            }
        }
    }

    /// Waits for an order to stop: the first, or a further one.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
