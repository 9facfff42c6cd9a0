//! The errors that servers answer with. Whatever it is, the plan's outage mode decides meanwhile, and
//! what passed is counted exactly once when it is over.

use super::*;

/// Something that goes wrong with a server, and how it is put right.
struct Fault {
    settings: &'static [&'static str],
    breaks: fn(&mut RedisServer),
    mends: fn(&mut RedisServer),
}

const CALLS: i64 = 5;

async fn check(fault: Fault) {
    for outage in [OutageMode::Strict, OutageMode::Share, OutageMode::Open] {
        let mut server = RedisServer::start_with(fault.settings);
        age(&server);
        let counting = Counting::start(&url(&server.url()), &settings(), outage).await;
        counting.is_available(true).await;
        counting.draws(1, Verdict::Admitted).await;

        (fault.breaks)(&mut server);
        counting.is_available(false).await;
        let meanwhile = match outage {
            OutageMode::Strict => Verdict::Unavailable,
            OutageMode::Share | OutageMode::Open => Verdict::Admitted,
        };
        for _ in 0..CALLS {
            counting.draws(1, meanwhile).await;
        }
        (fault.mends)(&mut server);
        counting.is_available(true).await;
        counting.draws(1, Verdict::Admitted).await;
        counting.stop().await;

        let passed = if outage == OutageMode::Strict { 2 } else { 2 + CALLS };
        assert_eq!(counted(&server, 1), passed, "{outage:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_counts_nothing() {
    check(Fault {
        settings: &[],
        breaks: |server| {
            server.tell("CONFIG SET maxmemory 1");
        },
        mends: |server| {
            server.tell("CONFIG SET maxmemory 0");
        },
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_become_a_replica_counts_nothing() {
    check(Fault {
        settings: &[],
        breaks: |server| {
            server.tell("REPLICAOF 127.0.0.1 1");
        },
        mends: |server| {
            server.tell("REPLICAOF NO ONE");
        },
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wants_replicas_and_has_none_counts_nothing() {
    check(Fault {
        settings: &[],
        breaks: |server| {
            server.tell("CONFIG SET min-replicas-to-write 1");
        },
        mends: |server| {
            server.tell("CONFIG SET min-replicas-to-write 0");
        },
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_save_counts_nothing() {
    check(Fault {
        settings: &["--enable-protected-configs", "local"],
        breaks: |server| {
            // Where a save fails and saves are asked for, nothing may be written.
            let directory = tempfile::tempdir().unwrap();
            let set = format!("CONFIG SET dir {}", directory.path().display());
            assert_eq!(server.tell(&set), "+OK");
            drop(directory);
            server.tell("CONFIG SET save \"3600 1000000\"");
            server.tell("BGSAVE");
        },
        mends: |server| {
            server.tell("CONFIG SET save \"\"");
            server.tell("CONFIG SET stop-writes-on-bgsave-error no");
        },
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_another_script_keeps_busy_counts_nothing() {
    check(Fault {
        settings: &["--busy-reply-threshold", "10"],
        breaks: |server| drop(server.send("EVAL \"while true do end\" 0")),
        mends: |server| {
            server.tell("SCRIPT KILL");
        },
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_would_drop_counters_is_not_counted_on() {
    check(Fault {
        settings: &["--maxmemory", "100mb"],
        breaks: |server| {
            server.tell("CONFIG SET maxmemory-policy allkeys-lru");
            // It is seen when a connection is made.
            server.tell("CLIENT KILL TYPE normal SKIPME yes");
        },
        mends: |server| {
            server.tell("CONFIG SET maxmemory-policy noeviction");
        },
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_know_the_gateway_any_more_counts_nothing() {
    check(Fault {
        settings: &[],
        breaks: |server| {
            server.tell("CONFIG SET requirepass secret");
            server.send("CLIENT KILL TYPE normal");
            let mut connection =
                redis::Client::open(format!("redis://:secret@{}", server.address()))
                    .unwrap()
                    .get_connection()
                    .unwrap();
            let _: i64 = redis::cmd("CLIENT")
                .arg("KILL")
                .arg("TYPE")
                .arg("normal")
                .query(&mut connection)
                .unwrap();
        },
        mends: |server| {
            let mut connection =
                redis::Client::open(format!("redis://:secret@{}", server.address()))
                    .unwrap()
                    .get_connection()
                    .unwrap();
            let config = ["SET", "requirepass", ""];
            let () = redis::cmd("CONFIG").arg(&config).query(&mut connection).unwrap();
        },
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_counts_nothing() {
    check(Fault {
        settings: &[],
        breaks: |server| server.signal("STOP"),
        mends: |server| server.signal("CONT"),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_reads_its_disk_counts_nothing_yet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let files = ["--dir", path.as_str(), "--dbfilename", "counters.rdb"];
    let mut server = RedisServer::start_with(&files);
    age(&server);
    let counting = Counting::start(&url(&server.url()), &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;
    counting.draws(1, Verdict::Admitted).await;
    assert_eq!(server.tell("SAVE"), "+OK");

    server.kill();
    let slow = ["--key-load-delay", "50000", "--loading-process-events-interval-bytes", "1024"];
    server.set(&[&files[..], &slow[..]].concat());
    server.start_again();
    counting.is_available(false).await;
    assert!(server.tell("GET x").starts_with("-LOADING"));
    counting.draws(1, Verdict::Unavailable).await;

    counting.is_available(true).await;
    counting.draws(1, Verdict::Admitted).await;
    counting.stop().await;
    assert_eq!(counted(&server, 1), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_a_server_has_forgotten_are_told_again_without_anyone_noticing() {
    let server = RedisServer::start();
    age(&server);
    let counting = Counting::start(&url(&server.url()), &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;

    for number in 1..=10 {
        assert_eq!(server.tell("SCRIPT FLUSH"), "+OK");
        counting.draws(number, Verdict::Admitted).await;
    }
    counting.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_a_wrong_type_is_the_trouble_of_its_subscription_alone() {
    let server = RedisServer::start();
    age(&server);
    let counting = Counting::start(&url(&server.url()), &settings(), OutageMode::Strict).await;
    counting.is_available(true).await;
    counting.draws(1, Verdict::Admitted).await;
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg(format!("tollgate:*:quota:{}:*", subscription_id(1)))
        .query(&mut connect(&server))
        .unwrap();
    let spoil = |spoiled: bool| {
        assert_eq!(server.tell(&format!("DEL {}", keys[0])), ":1");
        if spoiled {
            assert_eq!(server.tell(&format!("SET {} x", keys[0])), "+OK");
        }
    };

    spoil(true);
    counting.draws(1, Verdict::Unavailable).await;
    counting.draws(2, Verdict::Admitted).await;
    assert!(counting.counters.state().is_available);
    spoil(false);

    let passes = async || counting.draw(1).await == Verdict::Admitted;
    eventually("the subscription is served again", passes).await;
    counting.stop().await;
    assert_eq!(counted(&server, 1), 2);
}
