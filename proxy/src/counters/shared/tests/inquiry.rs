//! Who asks what is left is told what all gateways have used, and not only what was heard last.

use super::*;
use crate::counters::QuotaLeft;

impl Counting {
    pub async fn inquire(&self, number: u8) -> QuotaLeft {
        let subscriber = self.catalog.subscriber(subscription_id(number)).unwrap();
        let plan = self.catalog.tables().plan(subscriber.plan()).unwrap().clone();
        self.counters.inquire(&subscriber, &plan, self.clock.now()).await.quota.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_nobody_calls_tells_what_the_others_have_used() {
    let server = RedisServer::start();
    age(&server);
    let (url, settings) = (url(&server.url()), settings());
    let busy = Counting::start_as(process(1), &url, &settings, OutageMode::Strict).await;
    let idle = Counting::start_as(process(2), &url, &settings, OutageMode::Strict).await;
    for counting in [&busy, &idle] {
        counting.is_available(true).await;
    }
    idle.draws(1, Verdict::Admitted).await;
    for _ in 0..10 {
        busy.draws(1, Verdict::Admitted).await;
    }

    let told = async || idle.inquire(1).await.used == 11;

    eventually("it tells of eleven calls", told).await;
    let is_counted = async || counted(&server, 1) == 11;
    eventually("what was held goes back, and to ask draws nothing", is_counted).await;
    assert_eq!(idle.inquire(2).await.used, 0, "of a subscription that was never called");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_counters_are_away_what_is_known_here_is_told() {
    let mut server = RedisServer::start();
    age(&server);
    let counting = Counting::start(&url(&server.url()), &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;
    counting.draws(1, Verdict::Admitted).await;

    server.kill();
    counting.is_available(false).await;

    assert_eq!(counting.inquire(1).await.used, 1);
}
