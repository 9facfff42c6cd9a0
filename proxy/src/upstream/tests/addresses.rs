use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tollgate_common::catalog::product::{Balance, HealthCheck, UpstreamSettings};

use super::servers::{LOOPBACK, Server, closed_port, context, rules};
use crate::upstream::{ConnectError, Context, Upstream};

const ENDPOINT: &str = "http://api.example.com";

fn over(context: &Context, addresses: &[SocketAddr], settings: UpstreamSettings) -> Arc<Upstream> {
    let addresses = addresses.iter().map(SocketAddr::to_string).collect();
    let settings = UpstreamSettings { addresses, ..settings };
    Upstream::new(&rules(ENDPOINT, settings), context).unwrap()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn picks(upstream: &Upstream, key: &[u8], count: usize) -> Vec<SocketAddr> {
    let mut picked = Vec::new();
    for _ in 0..count {
        picked.push(upstream.pick(key, &[]).await.unwrap().address());
    }
    picked
}

#[tokio::test]
async fn round_robin_gives_every_address_its_turn() {
    let addresses = [loopback(1), loopback(2), loopback(3)];
    let upstream = over(&context(LOOPBACK), &addresses, UpstreamSettings::default());

    let picked = picks(&upstream, b"any", 6).await;

    assert_eq!(picked[..3], picked[3..]);
    assert_eq!(BTreeSet::from_iter(picked), BTreeSet::from(addresses));
}

#[tokio::test]
async fn random_uses_every_address() {
    let addresses = [loopback(1), loopback(2)];
    let settings = UpstreamSettings { balance: Balance::Random, ..UpstreamSettings::default() };
    let upstream = over(&context(LOOPBACK), &addresses, settings);

    let picked = picks(&upstream, b"any", 100).await;

    assert_eq!(BTreeSet::from_iter(picked), BTreeSet::from(addresses));
}

#[tokio::test]
async fn consistent_keeps_a_subscription_where_it_is_when_another_address_goes() {
    let context = context(LOOPBACK);
    let settings = UpstreamSettings { balance: Balance::Consistent, ..UpstreamSettings::default() };
    let addresses = [loopback(1), loopback(2), loopback(3)];
    let all = over(&context, &addresses, settings.clone());
    let fewer = over(&context, &addresses[..2], settings);

    let mut used = BTreeSet::new();
    for subscription in 0..100_u32 {
        let key = subscription.to_be_bytes();
        let picked = picks(&all, &key, 2).await;
        assert_eq!(picked[0], picked[1]);
        used.insert(picked[0]);
        if picked[0] != addresses[2] {
            assert_eq!(picks(&fewer, &key, 1).await[0], picked[0]);
        }
    }
    assert_eq!(used, BTreeSet::from(addresses));
}

#[tokio::test]
async fn a_retry_goes_to_another_address_if_there_is_one() {
    let context = context(LOOPBACK);
    let two = over(&context, &[loopback(1), loopback(2)], UpstreamSettings::default());
    let one = over(&context, &[loopback(1)], UpstreamSettings::default());

    for _ in 0..10 {
        let retry = two.pick(b"", &[loopback(1)]).await.unwrap();
        assert_eq!(retry.address(), loopback(2));
    }
    assert_eq!(one.pick(b"", &[loopback(1)]).await.unwrap().address(), loopback(1));
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over_for_a_while() {
    let (server, closed) = (Server::silent().await, closed_port().await);
    let addresses = [server.address, closed];
    let upstream = over(&context(LOOPBACK), &addresses, UpstreamSettings::default());
    let mut refused = 0;

    for _ in 0..10 {
        let target = upstream.pick(b"", &[]).await.unwrap();
        match upstream.connect(target).await {
            Ok(connection) => assert_eq!(connection.address, server.address),
            Err(error) => {
                assert!(matches!(error, ConnectError::Unreachable(_)));
                refused += 1;
            }
        }
    }

    assert_eq!(refused, 1);
}

#[tokio::test]
async fn when_all_addresses_are_ill_one_is_tried_all_the_same() {
    let addresses = [closed_port().await, closed_port().await];
    let upstream = over(&context(LOOPBACK), &addresses, UpstreamSettings::default());

    for _ in 0..5 {
        let target = upstream.pick(b"", &[]).await.unwrap();
        assert!(upstream.connect(target).await.is_err());
    }
}

fn checked(path: Option<&str>) -> UpstreamSettings {
    let path = path.map(str::to_owned);
    let health_check = Some(HealthCheck { path, interval_ms: 1, threshold: 2 });
    UpstreamSettings { health_check, ..UpstreamSettings::default() }
}

/// Waits until calls go to these addresses and no other.
async fn settles_on(upstream: &Upstream, addresses: &[SocketAddr]) {
    let wanted = BTreeSet::from_iter(addresses.iter().copied());
    while BTreeSet::from_iter(picks(upstream, b"", 4).await) != wanted {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_fails_its_check_gets_no_calls_until_it_is_well_again() {
    let (well, status) = (watch::channel(200), watch::channel(200));
    let (first, second) = (Server::answering(well.1).await, Server::answering(status.1).await);
    let addresses = [first.address, second.address];
    let upstream = over(&context(LOOPBACK), &addresses, checked(Some("/health")));

    status.0.send_replace(503);
    settles_on(&upstream, &[first.address]).await;
    // A redirection is no sign of health, wherever it leads.
    status.0.send_replace(302);
    let checks = second.accepted();
    second.has_accepted(checks + 3).await;
    settles_on(&upstream, &[first.address]).await;
    status.0.send_replace(204);
    settles_on(&upstream, &addresses).await;
}

#[tokio::test]
async fn without_a_path_a_connection_is_enough() {
    let (server, closed) = (Server::silent().await, closed_port().await);
    let upstream = over(&context(LOOPBACK), &[server.address, closed], checked(None));

    settles_on(&upstream, &[server.address]).await;
}

#[tokio::test]
async fn a_server_that_hangs_holds_up_no_check_of_the_others() {
    let (hanging, (status, answer)) = (Server::silent().await, watch::channel(503));
    let failing = Server::answering(answer).await;
    let addresses = [hanging.address, failing.address];
    let upstream = over(&context(LOOPBACK), &addresses, checked(Some("/health")));

    // Well before the one that hangs is given up.
    let others = [hanging.address];
    let settled = settles_on(&upstream, &others);
    timeout(upstream.connect_timeout() / 2, settled).await.expect("the other is found out");
    drop(status);
}

#[tokio::test]
async fn checks_end_when_no_more_calls_begin() {
    let server = Server::silent().await;
    let upstream = over(&context(LOOPBACK), &[server.address], checked(None));
    server.has_accepted(2).await;

    upstream.retire();
    sleep(Duration::from_millis(50)).await;
    let checks = server.accepted();
    sleep(Duration::from_millis(500)).await;

    assert_eq!(server.accepted(), checks);
    assert!(upstream.pick(b"", &[]).await.is_ok());
}

#[tokio::test]
async fn checks_end_with_their_upstream() {
    let server = Server::silent().await;
    let upstream = over(&context(LOOPBACK), &[server.address], checked(None));
    server.has_accepted(2).await;
    let balancer = Arc::downgrade(&upstream.balancer);

    drop(upstream);

    while balancer.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upstream_is_kept_only_while_endpoint_and_settings_are_the_same() {
    let context = context(LOOPBACK);
    let old = rules("http://127.0.0.1:1", UpstreamSettings::default());
    let upstream = Upstream::new(&old, &context).unwrap();
    let settings = UpstreamSettings { retries: 3, ..UpstreamSettings::default() };

    assert!(upstream.serves(&old));
    assert!(!upstream.serves(&rules("http://127.0.0.1:2", UpstreamSettings::default())));
    assert!(!upstream.serves(&rules("http://127.0.0.1:1", settings)));
    let again = Upstream::new(&old, &context).unwrap();
    assert_ne!(upstream.id(), again.id());
}
