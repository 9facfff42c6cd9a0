//! Gateways that share their limits over a real Redis, and their control plane; each can be killed and
//! started again on its own data.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;
use tollgate_test_support::owner::{Offer, Owner, TOKEN};
use tollgate_test_support::redis::RedisServer;
use tollgate_test_support::tollgate::{Tollgate, command, on_free_ports};
use tollgate_test_support::upstream::Upstream;

use crate::BINARY;
use crate::asking::{self, eventually, metric};
use crate::house::free_address;

pub const GATEWAYS: usize = 3;

pub struct Fleet {
    pub redis: RedisServer,
    pub upstream: Upstream,
    admin_listen: SocketAddr,
    admin: Option<Tollgate>,
    store: TempDir,
    gateways: Vec<Gateway>,
}

struct Gateway {
    process: Option<Tollgate>,
    data: TempDir,
}

impl Fleet {
    pub async fn open() -> Self {
        let mut fleet = Self {
            redis: RedisServer::start(),
            upstream: Upstream::start().await,
            admin_listen: free_address(),
            admin: None,
            store: tempfile::tempdir().unwrap(),
            gateways: Vec::new(),
        };
        fleet.start_admin();
        for gateway in 0..GATEWAYS {
            fleet.gateways.push(Gateway { process: None, data: tempfile::tempdir().unwrap() });
            fleet.start_gateway(gateway);
        }
        fleet
    }

    pub fn start_admin(&mut self) {
        let mut settings = on_free_ports(&self.store);
        settings.push(("TOLLGATE_ADMIN__LISTEN", self.admin_listen.to_string()));
        settings.push(("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN.to_owned()));
        settings.push(("TOLLGATE_SENDING__ALLOW_LOOPBACK", "true".to_owned()));
        self.admin = Some(start("admin", settings, &["admin", "metrics"]));
    }

    /// SIGKILL, and its end.
    pub fn kill_admin(&mut self) {
        drop(self.admin.take());
    }

    pub fn start_gateway(&mut self, gateway: usize) {
        let mut settings = on_free_ports(&self.gateways[gateway].data);
        settings.push(("TOLLGATE_PROXY__ADMIN_URL", format!("http://{}/", self.admin_listen)));
        settings.push(("TOLLGATE_COUNTERS__REDIS_URL", self.redis.url()));
        self.gateways[gateway].process = Some(start("proxy", settings, &["proxy", "metrics"]));
    }

    /// SIGKILL, and its end.
    pub fn kill_gateway(&mut self, gateway: usize) {
        drop(self.gateways[gateway].process.take());
    }

    pub fn owner(&self) -> Owner {
        Owner::new(self.admin_listen)
    }

    pub fn proxy(&self, gateway: usize) -> SocketAddr {
        self.gateway(gateway).address("proxy")
    }

    /// A plan that all gateways know, whose counters they reach.
    pub async fn sell(&self, plan: Value) -> Offer {
        let offer = self.owner().sell("shared", &self.upstream.url(), plan).await;
        self.knows(&offer).await;
        offer
    }

    /// Waits until all gateways know a key, and reach the counters.
    pub async fn knows(&self, offer: &Offer) {
        for gateway in 0..GATEWAYS {
            asking::knows(self.gateway(gateway), offer).await;
            let reaches =
                async || metric(self.gateway(gateway), "tollgate_counters_available").await == 1;
            eventually("the gateway reaches the counters", reaches).await;
        }
    }

    pub fn gateway(&self, gateway: usize) -> &Tollgate {
        self.gateways[gateway].process.as_ref().unwrap()
    }

    /// Calls held back by no gateway: how often the counters let somebody pass.
    async fn outstanding(&self) -> u64 {
        let mut sum = 0;
        for gateway in 0..GATEWAYS {
            sum += metric(self.gateway(gateway), "tollgate_leases_outstanding").await;
        }
        sum
    }

    pub async fn is_at_rest(&self) {
        let nothing_held = async || self.outstanding().await == 0;
        eventually("all leases are given back", nothing_held).await;
        sleep(Duration::from_millis(300)).await;
    }
}

fn start(role: &str, settings: Vec<(&'static str, String)>, roles: &[&str]) -> Tollgate {
    let mut command = command(BINARY, &[role]);
    command.envs(settings);
    command.env("TOLLGATE_NODE_TOKEN", "a-node-token-of-the-tests");
    Tollgate::start(command, roles)
}
