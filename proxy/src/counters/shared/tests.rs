//! Shared counting over real servers: what each of their errors comes to, and each of their forms.

mod faults;
mod forms;
mod inquiry;
mod period;
mod roll;
mod script;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tollgate_common::catalog::OutageMode;
use tollgate_common::snapshot::Entry as Change;
use tollgate_common::time::Clock;
use tollgate_config::settings::CountersSettings;
use tollgate_config::{RedisUrl, Settings};
use tollgate_test_support::redis::RedisServer;

use super::*;
use crate::clock::SystemClock;
use crate::counters::Verdict;
use crate::fixture::{apply, catalog, plan, product, subscription, subscription_id};
use crate::test_admin::TestAdmin;

const QUOTA: u64 = 500;

/// Subscriptions that there are, all on the same plan.
const SUBSCRIPTIONS: u8 = 40;

/// Between two looks, and how many at the most: a minute.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 3_000;

/// A gateway's counters, without the gateway.
struct Counting {
    counters: SharedCounters,
    catalog: Arc<Catalog>,
    clock: SystemClock,
    cancel: CancellationToken,
    task: JoinHandle<()>,
    admin: TestAdmin,
}

/// Generous, so that a busy machine is not taken for an outage.
fn settings() -> CountersSettings {
    CountersSettings {
        wait_max: Duration::from_millis(600),
        answer_max: Duration::from_millis(400),
        ..CountersSettings::default()
    }
}

fn url(text: &str) -> RedisUrl {
    let variable = ("TOLLGATE_COUNTERS__REDIS_URL".to_owned(), text.to_owned());
    Settings::load(None, [variable]).unwrap().counters.redis_url.unwrap()
}

fn process(number: u8) -> Process {
    Process { node: tollgate_common::ids::NodeId::from_bytes([number; 16]), epoch: 1 }
}

/// The servers have been there for long, and so have gateways: what they do not have was never used.
fn age(server: &RedisServer) {
    for bucket in 0..BUCKETS {
        let known = "since 1000000000000 counted \"1 4000000000000\"";
        server.tell(&format!("HSET tollgate:{{{bucket}}}:roll {known}"));
    }
}

impl Counting {
    async fn start(url: &RedisUrl, settings: &CountersSettings, outage: OutageMode) -> Self {
        Self::start_as(process(1), url, settings, outage).await
    }

    async fn start_as(
        process: Process,
        url: &RedisUrl,
        settings: &CountersSettings,
        outage: OutageMode,
    ) -> Self {
        let catalog = Arc::new(catalog());
        let mut terms = plan(1);
        (terms.quota, terms.outage_mode) = (Some(QUOTA), outage);
        let fixed = [Change::Product(product(1)), Change::Plan(terms)];
        let all = (1..=SUBSCRIPTIONS).map(|number| Change::Subscription(subscription(number, 1)));
        apply(&catalog, true, 1, fixed.into_iter().chain(all)).unwrap();
        let clock = SystemClock::start();
        let (counters, questions) = SharedCounters::new(Options {
            process,
            catalog: catalog.clone(),
            clock: Arc::new(clock),
            wait_max: settings.wait_max,
            nodes_min: 1,
            alive: vec![],
        });
        let admin = TestAdmin::start().await;
        let servers = Servers::new(url, settings).unwrap();
        let cancel = CancellationToken::new();
        let asking = run(counters.clone(), questions, servers, admin.control(), cancel.clone());
        let task = tokio::spawn(asking);
        Self { counters, catalog, clock, cancel, task, admin }
    }

    async fn draw(&self, number: u8) -> Verdict {
        self.draw_at(number, self.clock.now()).await.verdict
    }

    async fn draw_at(&self, number: u8, now: Now) -> Drawn {
        let subscriber = self.catalog.subscriber(subscription_id(number)).unwrap();
        let plan = self.catalog.tables().plan(subscriber.plan()).unwrap().clone();
        match self.counters.draw(&subscriber, &plan, 1, now) {
            Drawing::Done(drawn) => drawn,
            Drawing::Waiting(waiting) => waiting.await,
        }
    }

    async fn draws(&self, number: u8, verdict: Verdict) {
        assert_eq!(self.draw(number).await, verdict);
    }

    /// Waits until the counters can be reached, or not.
    async fn is_available(&self, is_available: bool) {
        let so = || self.counters.state().is_available == is_available;
        eventually(&format!("available: {is_available}"), async || so()).await;
    }

    /// Gives back what is held and ends.
    async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
        assert_eq!(self.counters.state().leases_outstanding, 0);
    }
}

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..LOOKS_MAX {
        if is_so().await {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
    panic!("in vain: {what}");
}

/// What a server has counted of a subscription, in whatever period.
fn counted(server: &RedisServer, number: u8) -> i64 {
    let mut connection = connect(server);
    let id = subscription_id(number);
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("tollgate:*:quota:{id}:*")).query(&mut connection).unwrap();
    let used =
        |key: &String| redis::cmd("HGET").arg(key).arg("used").query::<i64>(&mut connect(server));
    keys.iter().map(|key| used(key).unwrap()).sum()
}

fn connect(server: &RedisServer) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}
