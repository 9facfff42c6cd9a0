//! Several gateways that share limits over a real Redis, and what becomes of the limits when it is
//! emptied, killed, slow or hangs.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tollgate_test_support::owner::{Offer, Owner, TOKEN};
use tollgate_test_support::raw_http1::RawHttp1;
use tollgate_test_support::redis::RedisServer;
use tollgate_test_support::tollgate::{Tollgate, command, on_free_ports};
use tollgate_test_support::upstream::Upstream;

use crate::BINARY;
use crate::house::eventually;

const GATEWAYS: usize = 3;
const CALLERS: usize = 4;

/// What is held without need is back after this time, and with it what others were refused for.
const GIVEN_BACK: Duration = Duration::from_millis(1_500);

/// The counters are right again within this time of a loss, unattended.
const MENDED: Duration = Duration::from_secs(5);

struct Fleet {
    redis: RedisServer,
    upstream: Upstream,
    admin: Tollgate,
    gateways: Vec<Tollgate>,
    data: Vec<TempDir>,
}

impl Fleet {
    async fn open() -> Self {
        let redis = RedisServer::start();
        let upstream = Upstream::start().await;
        let store = tempfile::tempdir().unwrap();
        let mut settings = on_free_ports(&store);
        settings.push(("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN.to_owned()));
        let admin = start("admin", settings, &["admin", "metrics"]);
        let mut fleet = Self { redis, upstream, admin, gateways: vec![], data: vec![store] };
        for _ in 0..GATEWAYS {
            fleet.add_gateway();
        }
        fleet
    }

    fn add_gateway(&mut self) {
        let data = tempfile::tempdir().unwrap();
        let mut settings = on_free_ports(&data);
        let admin = format!("http://{}/", self.admin.address("admin"));
        settings.push(("TOLLGATE_PROXY__ADMIN_URL", admin));
        settings.push(("TOLLGATE_COUNTERS__REDIS_URL", self.redis.url()));
        self.gateways.push(start("proxy", settings, &["proxy", "metrics"]));
        self.data.push(data);
    }

    /// A plan that all gateways know, whose counters they reach.
    async fn sell(&self, plan: Value) -> Offer {
        let owner = Owner::new(self.admin.address("admin"));
        let offer = owner.sell("shared", &self.upstream.url(), plan).await;
        for gateway in 0..self.gateways.len() {
            let knows = async || self.own_usage(gateway, &offer).await.is_some();
            eventually("the gateway knows the key", knows).await;
            let reaches = async || self.metric(gateway, "tollgate_counters_available").await == 1;
            eventually("the gateway reaches the counters", reaches).await;
        }
        offer
    }

    async fn own_usage(&self, gateway: usize, offer: &Offer) -> Option<Value> {
        let address = self.gateways[gateway].address("proxy");
        let mut client = RawHttp1::connect(address).await.unwrap();
        let answer = client.get("/.tollgate/usage", &offer.key).await.unwrap();
        (answer.status == 200).then(|| serde_json::from_slice(&answer.body).unwrap())
    }

    async fn metric(&self, gateway: usize, name: &str) -> u64 {
        let mut client =
            RawHttp1::connect(self.gateways[gateway].address("metrics")).await.unwrap();
        let text = client.get("/metrics", "").await.unwrap().text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Calls held back by no gateway: how often the counters let somebody pass.
    async fn outstanding(&self) -> u64 {
        let mut sum = 0;
        for gateway in 0..self.gateways.len() {
            sum += self.metric(gateway, "tollgate_leases_outstanding").await;
        }
        sum
    }

    async fn is_at_rest(&self) {
        let nothing_held = async || self.outstanding().await == 0;
        eventually("all leases are given back", nothing_held).await;
        sleep(Duration::from_millis(300)).await;
    }

    async fn call(&self, gateway: usize, offer: &Offer) -> (u16, String) {
        let mut client = RawHttp1::connect(self.gateways[gateway].address("proxy")).await.unwrap();
        said(&mut client, offer).await
    }

    /// All gateways are called at once until each refuses, and again after what was held is back,
    /// until nobody is let pass any more. Says how many passed.
    async fn use_up(&self, offer: &Offer) -> usize {
        let mut all = 0;
        loop {
            let passed = self.call_until_refused(offer, usize::MAX).await;
            all += passed;
            if passed == 0 {
                return all;
            }
            sleep(GIVEN_BACK).await;
        }
    }

    /// Each caller calls until it is refused, or so often.
    async fn call_until_refused(&self, offer: &Offer, calls: usize) -> usize {
        let mut callers = JoinSet::new();
        for gateway in &self.gateways {
            for _ in 0..CALLERS {
                let (address, offer) = (gateway.address("proxy"), offer.clone());
                callers.spawn(async move {
                    let mut client = RawHttp1::connect(address).await.unwrap();
                    let mut passed = 0;
                    while passed < calls {
                        match said(&mut client, &offer).await {
                            (200, _) => passed += 1,
                            (429, _) => break,
                            // Its part of the limit is used up, and the counters do not say yet
                            // what is left of the others'.
                            (503, _) => sleep(Duration::from_millis(20)).await,
                            (status, code) => panic!("{status} {code}"),
                        }
                    }
                    passed
                });
            }
        }
        callers.join_all().await.into_iter().sum()
    }
}

/// While the counters are away, the other modes let calls pass on their own account.
fn strict(mut plan: Value) -> Value {
    plan["outage_mode"] = "strict".into();
    plan
}

fn start(role: &str, settings: Vec<(&'static str, String)>, roles: &[&str]) -> Tollgate {
    let mut command = command(BINARY, &[role]);
    command.envs(settings);
    command.env("TOLLGATE_NODE_TOKEN", "a-node-token-of-the-tests");
    Tollgate::start(command, roles)
}

/// The status of a call, and the code of its problem.
async fn said(client: &mut RawHttp1, offer: &Offer) -> (u16, String) {
    let answer = client.get(&format!("/{}/bytes/1", offer.product), &offer.key).await.unwrap();
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    (answer.status, problem["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_that_three_gateways_share_is_used_to_its_last_call_and_no_further() {
    let fleet = Fleet::open().await;
    let offer = fleet.sell(strict(json!({ "monthly_quota": 2_000 }))).await;

    let passed = fleet.use_up(&offer).await;

    assert_eq!(passed, 2_000);
    fleet.is_at_rest().await;
    for gateway in 0..GATEWAYS {
        let (status, code) = fleet.call(gateway, &offer).await;
        assert_eq!((status, code.as_str()), (429, "quota-exceeded"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_that_three_gateways_share_admits_its_burst_and_what_time_gives_back() {
    let fleet = Fleet::open().await;
    let offer = fleet.sell(strict(json!({ "rate_limit": 600, "burst": 50 }))).await;

    let begun = Instant::now();
    let mut passed = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        passed += fleet.call_until_refused(&offer, usize::MAX).await;
        sleep(Duration::from_millis(50)).await;
    }
    let most = 50 + begun.elapsed().as_millis() as usize * 600 / 60_000;

    assert!(passed <= most, "{passed} of {most}");
    assert!(passed >= 50, "the burst is had: {passed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_were_emptied_in_mid_month_give_out_no_second_month() {
    let fleet = Fleet::open().await;
    let offer = fleet.sell(strict(json!({ "monthly_quota": 1_000 }))).await;
    let before = fleet.call_until_refused(&offer, 50).await;
    assert_eq!(before, 50 * CALLERS * GATEWAYS);
    fleet.is_at_rest().await;

    assert_eq!(fleet.redis.tell("FLUSHALL"), "+OK");
    sleep(MENDED).await;
    let after = fleet.use_up(&offer).await;

    assert_eq!(before + after, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_counters_a_strict_plan_refuses_and_comes_back_by_itself() {
    let mut fleet = Fleet::open().await;
    let offer = fleet.sell(strict(json!({ "monthly_quota": 1_000 }))).await;
    let before = fleet.call_until_refused(&offer, 20).await;
    fleet.is_at_rest().await;

    fleet.redis.kill();
    for gateway in 0..GATEWAYS {
        let refuses = async || fleet.call(gateway, &offer).await.0 == 503;
        eventually("the gateway refuses", refuses).await;
        assert_eq!(fleet.call(gateway, &offer).await.1, "counters-unavailable");
    }
    fleet.redis.start_again();
    sleep(MENDED).await;
    let after = fleet.use_up(&offer).await;

    assert!(before + after <= 1_000, "{before} and {after}");
    assert!(before + after >= 1_000 - GATEWAYS, "{before} and {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_open_plan_lets_pass_while_the_counters_hang_is_counted_once_when_they_are_back() {
    let fleet = Fleet::open().await;
    let offer = fleet.sell(json!({ "monthly_quota": 1_000, "outage_mode": "open" })).await;
    let before = fleet.call_until_refused(&offer, 10).await;
    fleet.is_at_rest().await;

    fleet.redis.signal("STOP");
    let apart = fleet.call_until_refused(&offer, 20).await;
    fleet.redis.signal("CONT");

    assert_eq!(apart, 20 * CALLERS * GATEWAYS, "nobody is refused");
    let owner = Owner::new(fleet.admin.address("admin"));
    owner.patch(&format!("plans/{}", offer.plan), strict(json!({}))).await.ok();
    sleep(MENDED).await;
    let after = fleet.use_up(&offer).await;
    assert_eq!(before + apart + after, 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_are_slow_by_two_seconds_hold_up_no_call_and_let_none_too_many_pass() {
    let fleet = Fleet::open().await;
    let offer = fleet.sell(json!({ "monthly_quota": 1_000 })).await;
    let before = fleet.call_until_refused(&offer, 10).await;
    fleet.is_at_rest().await;

    assert_eq!(fleet.redis.tell("CLIENT PAUSE 2000 ALL"), "+OK");
    let slow = fleet.redis.send("PING");
    for gateway in 0..GATEWAYS {
        assert_eq!(fleet.call(gateway, &offer).await.0, 200, "its part is had");
    }
    slow.set_nonblocking(true).unwrap();
    let none_yet = slow.peek(&mut [0]).unwrap_err();
    assert_eq!(none_yet.kind(), std::io::ErrorKind::WouldBlock, "the calls were answered before");

    sleep(MENDED).await;
    let after = fleet.use_up(&offer).await;
    assert_eq!(before + GATEWAYS + after, 1_000);
}
