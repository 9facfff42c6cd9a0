//! From the first call to the end: reloads, and the order to stop.

use std::future::pending;
use std::process::ExitCode;
use std::time::Duration;

use sd_notify::NotifyState;

use super::Process;
use super::signals::Order;

/// How long the end of the process waits for what the control plane still writes.
const CONTROL_STOP_MAX: Duration = Duration::from_secs(10);

impl Process {
    /// Serves until it is told to stop or cannot go on, then stops. A second signal ends it at once.
    pub fn serve(mut self) -> ExitCode {
        let taken = self.taken.take();
        let (proxy, admin) = (&self.proxy, &self.admin);
        let reload = || {
            if let Ok(now) = NotifyState::monotonic_usec_now() {
                tell_service_manager(&[NotifyState::Reloading, now]);
            }
            if let Some(proxy) = proxy {
                proxy.reload();
            }
            if let Some(admin) = admin {
                admin.reload();
            }
            tell_service_manager(&[NotifyState::Ready]);
        };
        let failed = async {
            match proxy {
                Some(proxy) => proxy.failed().await,
                None => pending().await,
            }
        };
        let order = self.runtime.block_on(async {
            tokio::select! {
                order = self.signals.wait(taken, reload) => Some(order),
                () = failed => None,
            }
        });
        match order {
            Some(order) => tracing::info!(reason = order.reason(), "the process stops"),
            None => tracing::error!("a core accepts no connections any more: the process stops"),
        }
        tell_service_manager(&[NotifyState::Stopping]);
        if order == Some(Order::Relieved) {
            // Health checks are the successor's: they come by the same socket. And if it ends before its
            // time, another can listen where it did.
            self.status_server.abort();
            self.sockets.close_all();
            if let Some(admin) = &self.admin {
                admin.relieved();
            }
        }
        match (order, self.stop()) {
            // To be started again.
            (None, _) => ExitCode::FAILURE,
            (Some(_), stopped) => stopped,
        }
    }

    fn stop(self) -> ExitCode {
        self.status.draining();
        let Self { settings, runtime, proxy, admin, status_server, mut signals, .. } = self;
        let mut stop = Box::pin(async {
            if let Some(proxy) = proxy {
                let cut = proxy.stop(settings.proxy.drain_timeout).await;
                if cut > 0 {
                    tracing::warn!(cut, "connections were cut at the end of the drain timeout");
                }
            }
            if let Some(admin) = admin {
                admin.stop().await;
            }
            status_server.abort();
        });
        let has_stopped = runtime.block_on(async {
            tokio::select! {
                () = &mut stop => true,
                () = signals.stop() => false,
            }
        });
        if !has_stopped {
            tracing::warn!("a second signal: the process ends at once");
            // To drop what was to be stopped in order would wait for it.
            std::mem::forget(stop);
            runtime.shutdown_background();
            return ExitCode::FAILURE;
        }
        runtime.shutdown_timeout(CONTROL_STOP_MAX);
        tracing::info!("the process has stopped");
        ExitCode::SUCCESS
    }
}

/// Without a service manager there is no one to tell.
pub fn tell_service_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
