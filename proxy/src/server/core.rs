//! One core: a thread with a runtime of its own, and Pingora's accept loops on it.

use std::future::Future;
use std::io;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::thread;

use futures_util::future::join_all;
use parking_lot::Mutex;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::server::{Fds, ShutdownWatch};
use pingora_core::services::Service as _;
use pingora_core::services::listening::Service;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use super::accept::Acceptor;
use super::drain::Drain;
use super::slots::Slots;
use super::sockets::Listening;
use super::stream::Accepted;
use super::tls::Terminator;

/// What an accept loop can take before tokio makes it give way, over the tasks that tokio polls
/// between two looks at the main task (128 over 61), and some.
const TURNS_UNTIL_ACCEPTED_HAVE_BEGUN: usize = 8;

/// A listening socket of a core's own, and how TLS is ended on it.
pub(super) struct Listener {
    pub listening: Listening,
    pub terminator: Option<Terminator>,
}

/// What a core hears from outside.
#[derive(Clone)]
pub(super) struct Orders {
    /// Pingora's: true makes it stop accepting.
    pub shutdown: ShutdownWatch,
    /// True makes the core end with what is still running.
    pub cut: watch::Receiver<bool>,
}

pub(super) struct Core {
    pub drain: Drain,
    /// How many connections were cut, once the core has ended.
    pub ended: oneshot::Receiver<usize>,
}

pub(super) fn start<F, Served>(
    index: usize,
    listeners: Vec<Listener>,
    slots: Arc<Slots>,
    orders: Orders,
    on_core: impl FnOnce(usize) + Send + 'static,
    serve: F,
) -> io::Result<Core>
where
    F: Fn(Accepted, Drain) -> Served + Clone + Send + Sync + 'static,
    Served: Future<Output = ()> + Send,
{
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let drain = Drain::default();
    let live = TaskTracker::new();
    let services = listeners
        .into_iter()
        .map(|Listener { listening, terminator }| {
            let serve = serve.clone();
            let (slots, live, drain) = (slots.clone(), live.clone(), drain.clone());
            accept_loop(listening, Acceptor { serve, terminator, slots, live, drain })
        })
        .collect();
    let (report, ended) = oneshot::channel();
    thread::Builder::new().name(format!("core-{index}")).spawn(move || {
        let cut = runtime.block_on(async {
            on_core(index);
            run(services, live, orders).await
        });
        // Ends what was cut, so that nothing of this core runs when it is reported as ended.
        drop(runtime);
        // Nobody may be waiting any more.
        let _ = report.send(cut);
    })?;
    Ok(Core { drain, ended })
}

type AcceptLoop<F> = (Service<Acceptor<F>>, Arc<Mutex<Fds>>);

/// Pingora's loop over a socket that it finds in its table of inherited ones, so it binds nothing.
fn accept_loop<F, Served>(listening: Listening, app: Acceptor<F>) -> AcceptLoop<F>
where
    F: Fn(Accepted, Drain) -> Served + Send + Sync + 'static,
    Served: Future<Output = ()> + Send,
{
    let mut table = Fds::new();
    table.add(listening.name.clone(), listening.socket.into_raw_fd());
    let mut service = Service::new(listening.name.clone(), app);
    let config = ListenerConfig::tcp(listening.name).l4_buffer(L4BufferSettings::unbuffered());
    service.endpoints().add_listener(config);
    (service, Arc::new(Mutex::new(table)))
}

/// Runs until there is nothing left to do: how many connections were cut.
async fn run<F, Served>(
    mut loops: Vec<AcceptLoop<F>>,
    live: TaskTracker,
    mut orders: Orders,
) -> usize
where
    F: Fn(Accepted, Drain) -> Served + Send + Sync + 'static,
    Served: Future<Output = ()> + Send,
{
    let accepting = loops.iter_mut().map(|(service, table)| {
        service.start_service(Some(table.clone()), orders.shutdown.clone(), 1)
    });
    join_all(accepting).await;
    for _ in 0..TURNS_UNTIL_ACCEPTED_HAVE_BEGUN {
        yield_now().await;
    }
    live.close();
    tokio::select! {
        () = live.wait() => {}
        _ = orders.cut.wait_for(|cut| *cut) => {}
    }
    live.len()
}
