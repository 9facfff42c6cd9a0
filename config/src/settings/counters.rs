//! Settings of the counters that gateways share.

use std::path::PathBuf;
use std::time::Duration;

use crate::section::section;
use crate::value::RedisUrl;

section! {
    /// The counters of rate limits and quotas. Several gateways that enforce the same limits share
    /// them in Redis or Valkey; one gateway alone counts by itself and needs neither.
    pub struct CountersSettings {
        /// Where the shared counters are: `redis://host:port` for one server, `redis-sentinel://` with
        /// the sentinels and the name of the master, `redis-cluster://` with some of the nodes;
        /// `rediss` instead of `redis` for TLS. Before the host, `user:password@`. What the server
        /// must be is in docs/redis.md. None: each gateway counts by itself.
        redis_url: Option<RedisUrl> = None;
        /// Certificates to trust for TLS instead of those of the system, PEM.
        redis_ca: Option<PathBuf> = None;
        /// What the sentinels want to be told before they answer, where they ask for a password.
        sentinel_password: Option<secrecy::SecretString> = None;
        /// How long a call may wait for the shared counters. Then its plan's outage mode decides.
        wait_max: Duration = Duration::from_millis(20), Duration::from_millis(1)..=Duration::from_secs(10);
        /// How long an answer may take before the counters are taken for away. Ten times what a call
        /// waits: what is drawn ahead may take longer than a call may.
        answer_max: Duration = Duration::from_millis(200), Duration::from_millis(2)..=Duration::from_secs(60);
        /// At least so many gateways share a limit while the counters are away. Only for what a
        /// gateway cannot know: how many others there are when it starts in an outage.
        nodes_min: u32 = 1, 1..=10_000;
    }
}
