use std::net::SocketAddr;

use tollgate_common::catalog::product::UpstreamSettings;
use tollgate_common::endpoint::{AddressError, AddressPolicy, EndpointError};

use super::dns::{Dns, Say};
use super::servers::{LOOPBACK, Server, context, context_on, rules};
use crate::upstream::{NoAddress, Target, Upstream};

const NAME: &str = "api.example.com";

fn at(port: u16) -> String {
    format!("http://{NAME}:{port}/v1")
}

fn quick() -> UpstreamSettings {
    UpstreamSettings { connect_timeout_ms: 2_000, ..UpstreamSettings::default() }
}

/// Waits until calls go there: a look-up of a busy machine can be too late for its time limit.
async fn settles_on(upstream: &Upstream, address: Result<SocketAddr, NoAddress>) {
    while upstream.pick(b"", &[]).await.map(Target::address) != address {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_connected_to() {
    let (dns, server) = (Dns::start().await, Server::silent().await);
    dns.say_addresses(NAME, &["127.0.0.1"]);
    let context = context_on(&dns, LOOPBACK);
    let upstream = Upstream::new(&rules(&at(server.address.port()), quick()), &context).unwrap();

    let target = upstream.pick(b"", &[]).await.unwrap();
    let connection = upstream.connect(target).await.unwrap();

    assert_eq!(connection.address, server.address);
    server.has_accepted(1).await;
}

#[tokio::test]
async fn a_name_that_moves_is_followed() {
    let dns = Dns::start().await;
    dns.say_addresses(NAME, &["127.0.0.1"]);
    let context = context_on(&dns, LOOPBACK);
    let upstream = Upstream::new(&rules(&at(80), quick()), &context).unwrap();
    upstream.pick(b"", &[]).await.unwrap();

    dns.say_addresses(NAME, &["127.0.0.2"]);

    settles_on(&upstream, Ok(SocketAddr::from(([127, 0, 0, 2], 80)))).await;
}

/// 0.0.0.0 leads to the machine itself, as 127.0.0.1 does, but is never allowed.
#[tokio::test]
async fn a_name_that_is_turned_to_a_forbidden_place_is_not_connected_to() {
    let (dns, server) = (Dns::start().await, Server::silent().await);
    dns.say_addresses(NAME, &["127.0.0.1"]);
    let context = context_on(&dns, LOOPBACK);
    let upstream = Upstream::new(&rules(&at(server.address.port()), quick()), &context).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();
    upstream.connect(target).await.unwrap();
    server.has_accepted(1).await;

    for forbidden in ["0.0.0.0", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"] {
        dns.say_addresses(NAME, &["127.0.0.1"]);
        settles_on(&upstream, Ok(server.address)).await;
        dns.say_addresses(NAME, &[forbidden]);
        settles_on(&upstream, Err(NoAddress)).await;
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn loopback_by_name_is_refused_like_loopback_itself() {
    let (dns, server) = (Dns::start().await, Server::silent().await);
    dns.say_addresses(NAME, &["127.0.0.1"]);
    let context = context_on(&dns, AddressPolicy::default());
    let upstream = Upstream::new(&rules(&at(server.address.port()), quick()), &context).unwrap();

    assert_eq!(upstream.pick(b"", &[]).await, Err(NoAddress));
    assert_eq!(server.accepted(), 0);
}

#[test]
fn literal_addresses_are_vetted_when_the_upstream_is_made() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let context = context(AddressPolicy::default());
    let loopback = EndpointError::Address(AddressError::Loopback);

    let made = Upstream::new(&rules("http://127.0.0.1:1", quick()), &context);
    assert_eq!(made.err(), Some(loopback.clone()));

    let addresses = vec!["8.8.8.8:80".to_owned(), "[::1]:80".to_owned()];
    let settings = UpstreamSettings { addresses, ..quick() };
    let made = Upstream::new(&rules("http://api.example.com", settings), &context);
    assert_eq!(made.err(), Some(loopback));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_refused_at_once_and_served_once_it_does() {
    let dns = Dns::start().await;
    let context = context_on(&dns, LOOPBACK);
    let upstream = Upstream::new(&rules(&at(80), quick()), &context).unwrap();
    assert_eq!(upstream.pick(b"", &[]).await, Err(NoAddress));

    dns.say_addresses(NAME, &["127.0.0.1"]);

    settles_on(&upstream, Ok(SocketAddr::from(([127, 0, 0, 1], 80)))).await;
}

#[tokio::test]
async fn a_resolver_that_fails_or_hangs_leaves_the_last_answer_in_use() {
    let dns = Dns::start().await;
    dns.say_addresses(NAME, &["127.0.0.1"]);
    let context = context_on(&dns, LOOPBACK);
    let upstream = Upstream::new(&rules(&at(80), quick()), &context).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();

    for silence in [Say::NoSuchName, Say::Nothing] {
        dns.say(NAME, silence);
        dns.asked_again(NAME).await;
        assert_eq!(upstream.pick(b"", &[]).await, Ok(target));
    }
}

#[tokio::test]
async fn a_name_whose_look_up_hangs_holds_up_nobody_else() {
    let dns = Dns::start().await;
    dns.say("hangs.example.com", Say::Nothing);
    dns.say_addresses(NAME, &["127.0.0.1"]);
    let context = context_on(&dns, LOOPBACK);
    let hanging = rules("http://hangs.example.com", quick());
    let hanging = Upstream::new(&hanging, &context).unwrap();
    let other = Upstream::new(&rules(&at(80), quick()), &context).unwrap();

    assert!(other.pick(b"", &[]).await.is_ok());
    assert_eq!(hanging.pick(b"", &[]).await, Err(NoAddress));
}

#[tokio::test]
async fn names_of_the_hosts_file_work() {
    let server = Server::silent().await;
    let context = context(LOOPBACK);
    let endpoint = format!("http://localhost:{}", server.address.port());
    let upstream = Upstream::new(&rules(&endpoint, UpstreamSettings::default()), &context).unwrap();

    let target = upstream.pick(b"", &[]).await.unwrap();

    assert_eq!(target.address(), server.address);
}

#[tokio::test]
async fn a_name_that_nobody_needs_any_more_is_not_asked_for() {
    let dns = Dns::start().await;
    dns.say_addresses(NAME, &["127.0.0.1"]);
    let context = context_on(&dns, LOOPBACK);
    let upstream = Upstream::new(&rules(&at(80), quick()), &context).unwrap();
    upstream.pick(b"", &[]).await.unwrap();
    assert_eq!(context.names.followed(), 1);

    drop(upstream);

    while context.names.followed() > 0 {
        tokio::task::yield_now().await;
    }
}
