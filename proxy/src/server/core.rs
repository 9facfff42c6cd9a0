//! One core: a thread with a runtime of its own, and Pingora's accept loops on it.

use std::future::Future;
use std::io;
use std::net::TcpListener;
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
use tollgate_common::connections::Slots;

use super::accept::Acceptor;
use super::drain::Drain;
use super::stream::Accepted;
use super::tls::Terminator;

/// What an accept loop can take before tokio makes it give way, over the tasks that tokio polls
/// between two looks at the main task (128 over 61), and some.
const TURNS_UNTIL_ACCEPTED_HAVE_BEGUN: usize = 8;

/// Listening sockets of a core's own, and how TLS is ended on them.
pub(super) struct Listener {
    pub name: String,
    pub sockets: Vec<TcpListener>,
    pub terminator: Option<Terminator>,
}

/// What a core and the rest of the process tell each other.
#[derive(Clone)]
pub(super) struct Orders {
    /// Pingora's: true makes it stop accepting.
    pub shutdown: ShutdownWatch,
    /// True makes the core end with what is still running.
    pub cut: watch::Receiver<bool>,
    /// To be set by a core that cannot go on.
    pub failed: watch::Sender<bool>,
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
    let mut loops = Vec::new();
    for Listener { name, sockets, terminator } in listeners {
        for socket in sockets {
            let (serve, terminator) = (serve.clone(), terminator.clone());
            let (slots, live, drain) = (slots.clone(), live.clone(), drain.clone());
            let acceptor = Acceptor { serve, terminator, slots, live, drain };
            loops.push(accept_loop(&name, socket, acceptor));
        }
    }
    let (report, ended) = oneshot::channel();
    thread::Builder::new().name(format!("core-{index}")).spawn(move || {
        let cut = runtime.block_on(async {
            on_core(index);
            run(loops, live, orders).await
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
fn accept_loop<F, Served>(name: &str, socket: TcpListener, app: Acceptor<F>) -> AcceptLoop<F>
where
    F: Fn(Accepted, Drain) -> Served + Send + Sync + 'static,
    Served: Future<Output = ()> + Send,
{
    let mut table = Fds::new();
    table.add(name.to_owned(), socket.into_raw_fd());
    let mut service = Service::new(name.to_owned(), app);
    let config = ListenerConfig::tcp(name).l4_buffer(L4BufferSettings::unbuffered());
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
    if !*orders.shutdown.borrow() {
        tracing::error!("a core has stopped accepting without being told to");
        // Nobody may be watching.
        let _ = orders.failed.send(true);
    }
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
