//! Several gateways that share limits over a real Redis, and what becomes of the limits when it is
//! emptied, killed, slow or hangs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tollgate_test_support::owner::Offer;
use tollgate_test_support::raw_http1::RawHttp1;

use crate::asking::eventually;
use crate::fleet::{Fleet, GATEWAYS};

const CALLERS: usize = 4;

/// What is held without need is back after this time, and with it what others were refused for.
const GIVEN_BACK: Duration = Duration::from_millis(1_500);

/// The counters are right again within this time of a loss, unattended.
const MENDED: Duration = Duration::from_secs(5);

impl Fleet {
    async fn call(&self, gateway: usize, offer: &Offer) -> (u16, String) {
        let mut client = RawHttp1::connect(self.proxy(gateway)).await.unwrap();
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
        for gateway in 0..GATEWAYS {
            for _ in 0..CALLERS {
                let (address, offer) = (self.proxy(gateway), offer.clone());
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
async fn a_calendar_that_is_edited_gives_out_no_second_month_at_any_gateway() {
    let mut fleet = Fleet::open().await;
    let offer = fleet.sell(strict(json!({ "monthly_quota": 1_000 }))).await;
    for _ in 0..100 {
        // Counters that are new refuse for a moment.
        eventually("a call passes", async || fleet.call(0, &offer).await.0 == 200).await;
    }
    fleet.is_at_rest().await;

    let plan = format!("plans/{}", offer.plan);
    fleet.owner().patch(&plan, json!({ "period": "anniversary" })).await.ok();
    // These have no calendar but the new one.
    for gateway in 1..GATEWAYS {
        fleet.kill_gateway(gateway);
        fleet.start_gateway(gateway);
    }
    fleet.knows(&offer).await;
    let after = fleet.call_until_refused(&offer, 20).await;
    fleet.is_at_rest().await;
    assert_eq!(fleet.redis.tell("FLUSHALL"), "+OK");
    sleep(MENDED).await;

    assert_eq!(100 + after + fleet.use_up(&offer).await, 1_000);
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
    let owner = fleet.owner();
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
