//! One server behind TLS or a user of its own, a master that sentinels know, a cluster.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use tollgate_test_support::certificates::Authority;

/// Looks at those whose server does not hang: twice as long as a new connection is tried beside it.
const LOOKS_WHILE_HUNG: usize = 100;

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn counts(url: &RedisUrl, settings: &CountersSettings) {
    let counting = Counting::start(url, settings, OutageMode::Strict).await;
    counting.is_available(true).await;
    for number in 1..=SUBSCRIPTIONS {
        counting.draws(number, Verdict::Admitted).await;
    }
    counting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_only_a_server_that_is_trusted_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let at = |name: &str| directory.path().join(name);
    authority.issue("127.0.0.1").write(&at("server.pem"), &at("server.key"));
    fs::write(at("ca.pem"), authority.pem()).unwrap();
    fs::write(at("other.pem"), Authority::new().pem()).unwrap();
    let plain = RedisServer::start();
    let secure = free_port();
    age(&plain);
    let config = |name: &str, value: String| {
        let answer = plain.tell(&format!("CONFIG SET {name} {value}"));
        assert_eq!(answer, "+OK", "{name}");
    };
    let path = |name: &str| at(name).display().to_string();
    let all = format!(
        "tls-cert-file {} tls-key-file {} tls-ca-cert-file {} tls-auth-clients no tls-port {secure}",
        path("server.pem"),
        path("server.key"),
        path("ca.pem"),
    );
    let (name, value) = all.split_once(' ').unwrap();
    config(name, value.to_owned());
    let url = url(&format!("rediss://127.0.0.1:{secure}"));

    let trusting = CountersSettings { redis_ca: Some(at("ca.pem")), ..settings() };
    counts(&url, &trusting).await;

    let stranger = CountersSettings { redis_ca: Some(at("other.pem")), ..settings() };
    let counting = Counting::start(&url, &stranger, OutageMode::Strict).await;
    counting.draws(1, Verdict::Unavailable).await;
    counting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_no_more_rights_than_the_documentation_says() {
    let server = RedisServer::start();
    age(&server);
    let rights = "on >p@ss ~tollgate:* resetchannels -@all +evalsha +script|load +time +info \
        +hget +hmget +hgetall +hset +hdel +pexpire +pexpireat";
    assert_eq!(server.tell(&format!("ACL SETUSER gate {rights}")), "+OK");
    let with = |user: &str| url(&format!("redis://{user}@{}", server.address()));

    counts(&with("gate:p%40ss"), &settings()).await;

    let counting = Counting::start(&with("gate:wrong"), &settings(), OutageMode::Strict).await;
    counting.draws(1, Verdict::Unavailable).await;
    counting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_and_a_database_are_those_of_the_url() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]);

    let url = url(&format!("redis://:secret@{}/3", server.address()));
    let counting = Counting::start(&url, &settings(), OutageMode::Open).await;
    counting.is_available(true).await;
    counting.draws(1, Verdict::Admitted).await;

    let mut connection = redis::Client::open(format!("redis://:secret@{}/3", server.address()))
        .unwrap()
        .get_connection()
        .unwrap();
    assert!(redis::cmd("DBSIZE").query::<i64>(&mut connection).unwrap() > 0);
    counting.cancel.cancel();
}

/// A master, its replica and a sentinel that makes it the master when the first is gone.
struct Watched {
    master: RedisServer,
    replica: RedisServer,
    sentinel: RedisServer,
    _directory: TempDir,
}

impl Watched {
    fn start() -> Self {
        let master = RedisServer::start();
        age(&master);
        let port = master.address().port();
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port.to_string()]);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sentinel.conf");
        fs::write(
            &file,
            format!(
                "sentinel monitor counters 127.0.0.1 {port} 1\n\
                 sentinel down-after-milliseconds counters 300\n\
                 sentinel failover-timeout counters 2000\n"
            ),
        )
        .unwrap();
        let sentinel = RedisServer::start_sentinel(&file);
        Self { master, replica, sentinel, _directory: directory }
    }

    async fn is_copied(&self) {
        let in_sync = async || {
            let info = redis::cmd("INFO").arg("replication").query(&mut connect(&self.replica));
            let info: String = info.unwrap();
            info.contains("master_link_status:up")
        };
        eventually("the replica follows", in_sync).await;
        let known = async || {
            let mut sentinel = connect(&self.sentinel);
            let info: String = redis::cmd("INFO").arg("sentinel").query(&mut sentinel).unwrap();
            info.contains("slaves=1")
        };
        eventually("the sentinel knows the replica", known).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_gone_is_followed_by_another_and_the_quota_stays_one() {
    let mut watched = Watched::start();
    watched.is_copied().await;
    let url = url(&format!("redis-sentinel://{}/counters", watched.sentinel.address()));
    let counting = Counting::start(&url, &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;
    let mut passed = 0;
    for _ in 0..QUOTA / 2 {
        passed += i64::from(counting.draw(1).await == Verdict::Admitted);
    }

    watched.master.kill();
    counting.is_available(false).await;
    counting.is_available(true).await;
    let used_up = async || counting.draw(1).await == Verdict::QuotaExceeded;
    let mut refused = 0;
    for _ in 0..LOOKS_MAX {
        match counting.draw(1).await {
            Verdict::Admitted => passed += 1,
            Verdict::QuotaExceeded if refused > 50 => break,
            Verdict::QuotaExceeded => refused += 1,
            Verdict::Unavailable => sleep(LOOK_EVERY).await,
            Verdict::RateExceeded => panic!("there is no rate"),
        }
    }

    assert!(used_up().await);
    assert_eq!(passed, QUOTA as i64);
    counting.stop().await;
    assert_eq!(counted(&watched.replica, 1), QUOTA as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_hangs_keeps_nobody_from_the_master_that_another_knows() {
    let mut watched = Watched::start();
    watched.is_copied().await;
    // It listens, and never answers.
    let hung = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hosts = format!("{},{}", hung.local_addr().unwrap(), watched.sentinel.address());
    let url = url(&format!("redis-sentinel://{hosts}/counters"));
    let counting = Counting::start(&url, &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;

    watched.master.kill();
    counting.is_available(false).await;

    counting.is_available(true).await;
    counting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_cut_off_from_its_replicas_is_left_for_the_one_that_sentinels_know() {
    let watched = Watched::start();
    watched.is_copied().await;
    let url = url(&format!("redis-sentinel://{}/counters", watched.sentinel.address()));
    let counting = Counting::start(&url, &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;
    let say = |server: &RedisServer, command: &str| assert_eq!(server.tell(command), "+OK");
    let port = watched.replica.address().port();

    say(&watched.master, "CONFIG SET min-replicas-to-write 1");
    say(&watched.replica, "REPLICAOF NO ONE");
    counting.is_available(false).await;
    counting.draws(1, Verdict::Unavailable).await;
    say(&watched.sentinel, "SENTINEL REMOVE counters");
    say(&watched.sentinel, &format!("SENTINEL MONITOR counters 127.0.0.1 {port} 1"));

    counting.is_available(true).await;
    counting.cancel.cancel();
}

/// Three masters that have all slots between them.
struct Cluster {
    nodes: Vec<RedisServer>,
    _directory: TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let nodes: Vec<RedisServer> = (0..3)
            .map(|number| {
                let bus = free_port().to_string();
                let file = directory.path().join(format!("nodes-{number}.conf"));
                let settings = ["--cluster-enabled", "yes", "--cluster-port", bus.as_str()];
                let files = ["--cluster-config-file", file.to_str().unwrap()];
                RedisServer::start_with(&[&settings[..], &files[..]].concat())
            })
            .collect();
        let addresses: Vec<String> = nodes.iter().map(|node| node.address().to_string()).collect();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let cluster = Self { nodes, _directory: directory };
        let is_up = async || {
            let info = |node| redis::cmd("CLUSTER").arg("INFO").query::<String>(&mut connect(node));
            cluster.nodes.iter().all(|node| info(node).unwrap().contains("cluster_state:ok"))
        };
        eventually("the cluster is up", is_up).await;
        cluster
    }

    fn url(&self) -> RedisUrl {
        url(&format!("redis-cluster://{},{}", self.nodes[0].address(), self.nodes[1].address()))
    }

    /// The rolls are where their slots are.
    fn age(&self) {
        self.nodes.iter().for_each(age);
    }

    fn counted(&self, number: u8) -> i64 {
        self.nodes.iter().map(|node| counted(node, number)).sum()
    }

    fn id(&self, node: usize) -> String {
        redis::cmd("CLUSTER").arg("MYID").query(&mut connect(&self.nodes[node])).unwrap()
    }

    /// Moves a slot with all that is in it.
    fn move_slot(&self, slot: u16) {
        let owns = |node: &RedisServer| {
            let mut count = redis::cmd("CLUSTER");
            count.arg("COUNTKEYSINSLOT").arg(slot);
            count.query::<i64>(&mut connect(node)).is_ok_and(|keys| keys > 0)
        };
        let from = self.nodes.iter().position(owns).expect("the slot holds keys");
        let to = (from + 1) % self.nodes.len();
        let set = |node: usize, state: &[&str]| {
            let mut command = redis::cmd("CLUSTER");
            command.arg("SETSLOT").arg(slot).arg(state);
            command.query::<()>(&mut connect(&self.nodes[node])).unwrap();
        };
        set(to, &["IMPORTING", &self.id(from)]);
        set(from, &["MIGRATING", &self.id(to)]);
        let mut source = connect(&self.nodes[from]);
        let keys: Vec<String> = redis::cmd("CLUSTER")
            .arg("GETKEYSINSLOT")
            .arg(slot)
            .arg(1_000)
            .query(&mut source)
            .unwrap();
        let target = self.nodes[to].address();
        for key in keys {
            let mut command = redis::cmd("MIGRATE");
            command.arg(target.ip().to_string()).arg(target.port()).arg(key).arg(0).arg(5_000);
            command.query::<()>(&mut source).unwrap();
        }
        let id = self.id(to);
        [to, from].into_iter().for_each(|node| set(node, &["NODE", &id]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_counts_and_goes_on_where_slots_move() {
    let cluster = Cluster::start().await;
    cluster.age();
    let counting = Counting::start(&cluster.url(), &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;
    for number in 1..=SUBSCRIPTIONS {
        counting.draws(number, Verdict::Admitted).await;
    }

    let slot: u16 = redis::cmd("CLUSTER")
        .arg("KEYSLOT")
        .arg("tollgate:{1}:roll")
        .query(&mut connect(&cluster.nodes[0]))
        .unwrap();
    cluster.move_slot(slot);

    for number in 1..=SUBSCRIPTIONS {
        let passes = async || counting.draw(number).await == Verdict::Admitted;
        eventually("the subscription is served", passes).await;
    }
    counting.stop().await;
    for number in 1..=SUBSCRIPTIONS {
        assert_eq!(cluster.counted(number), 2, "subscription {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_that_hangs_takes_nothing_from_the_others() {
    let cluster = Cluster::start().await;
    cluster.age();
    let counting = Counting::start(&cluster.url(), &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;
    for number in 1..=SUBSCRIPTIONS {
        counting.draws(number, Verdict::Admitted).await;
    }
    let [hung, others @ ..] = <&[RedisServer; 3]>::try_from(&cluster.nodes[..]).unwrap();
    let has = |node: &RedisServer, number| counted(node, number) > 0;
    let lost = (1..=SUBSCRIPTIONS).find(|number| has(hung, *number)).unwrap();
    let kept = others
        .each_ref()
        .map(|node| (1..=SUBSCRIPTIONS).find(|number| has(node, *number)).unwrap());

    hung.signal("STOP");
    counting.draws(lost, Verdict::Unavailable).await;

    for _ in 0..LOOKS_WHILE_HUNG {
        for number in kept {
            counting.draws(number, Verdict::Admitted).await;
        }
        sleep(LOOK_EVERY).await;
    }
    let (url, settings) = (cluster.url(), settings());
    let newcomer = Counting::start_as(process(2), &url, &settings, OutageMode::Strict).await;
    for number in kept {
        let passes = async || newcomer.draw(number).await == Verdict::Admitted;
        eventually("a gateway that starts meanwhile is served", passes).await;
    }
    hung.signal("CONT");
    let passes = async || counting.draw(lost).await == Verdict::Admitted;
    eventually("what was lost is back", passes).await;
}
