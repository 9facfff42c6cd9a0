use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::server::hand_over::{Offer, ask};

/// Answers lines; once draining, the next answer is the last and says so.
async fn polite(accepted: Accepted, drain: Drain) {
    let (reader, mut writer) = split(accepted.stream);
    let mut lines = BufReader::new(reader).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let is_last = drain.is_draining();
        let answer = if is_last { format!("{line} last\n") } else { format!("{line}\n") };
        if writer.write_all(answer.as_bytes()).await.is_err() || is_last {
            break;
        }
    }
    // The client may have closed first.
    let _ = writer.shutdown().await;
}

fn start_on(sockets: &Sockets, cores: usize) -> Running {
    run(&options(cores), sockets, |_| {}, polite).unwrap()
}

/// Calls without a pause, over connections that are used until the server says that it is the last
/// time or ten calls were made. How many calls were answered.
async fn call_until(over: Arc<AtomicBool>, address: SocketAddr) -> usize {
    let mut answered = 0;
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..10 {
            let answer = ask_line(&mut stream, "call").await;
            assert!(answer.starts_with("call"), "{answer:?}");
            answered += 1;
            if answer.ends_with("last\n") {
                break;
            }
        }
    }
    answered
}

async fn ask_line(stream: &mut TcpStream, line: &str) -> String {
    super::ask(stream, line).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_upgrades_under_load_fail_no_call() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("upgrade.sock");
    let sockets = Sockets::default();
    let mut running = start_on(&sockets, 2);
    let mut offer = Offer::new(&path, sockets).unwrap();
    let address = running.addresses()[0];
    let over = Arc::new(AtomicBool::new(false));
    let mut clients: JoinSet<_> = (0..8).map(|_| call_until(over.clone(), address)).collect();

    for upgrade in 0..20 {
        // Now and then the number of cores changes, too.
        let cores = 1 + upgrade % 3;
        let path = path.clone();
        let (successor, ()) = tokio::join!(
            async {
                let asking = path.clone();
                let inherited = tokio::task::spawn_blocking(move || ask(&asking))
                    .await
                    .unwrap()
                    .unwrap()
                    .unwrap();
                let sockets = inherited.sockets().clone();
                let running = start_on(&sockets, cores);
                let offer = Offer::new(&path, sockets).unwrap();
                inherited.confirm().unwrap();
                (running, offer)
            },
            offer.taken()
        );
        assert_eq!(running.stop(LONG).await, Stopped { cut: 0 });
        (running, offer) = successor;
        assert_eq!(running.addresses()[0], address);
    }

    over.store(true, Ordering::Relaxed);
    let mut answered = 0;
    while let Some(client) = clients.join_next().await {
        answered += client.unwrap();
    }
    assert!(answered > 20, "{answered}");
    assert_eq!(running.stop(LONG).await, Stopped { cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_fails_to_start_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("upgrade.sock");
    let sockets = Sockets::default();
    let running = start_on(&sockets, 2);
    let address = running.addresses()[0];
    let offer = tokio::spawn(Offer::new(&path, sockets).unwrap().taken());

    for _ in 0..3 {
        drop(ask(&path).unwrap().unwrap());
    }

    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(ask_line(&mut stream, "call").await, "call\n");
    assert!(!offer.is_finished());
    ask(&path).unwrap().unwrap().confirm().unwrap();
    offer.await.unwrap();
    drop(stream);
    assert_eq!(running.stop(LONG).await, Stopped { cut: 0 });
}

#[tokio::test]
async fn without_a_predecessor_there_is_nothing_to_inherit() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("upgrade.sock");
    assert!(ask(&path).unwrap().is_none());

    // One that died without withdrawing has left its socket behind.
    drop(Offer::new(&path, Sockets::default()).unwrap());
    assert!(path.exists());
    assert!(ask(&path).unwrap().is_none());

    let offer = Offer::new(&path, Sockets::default()).unwrap();
    offer.withdraw().unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_no_socket_is_named_and_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("tollgate.db");
    let link = directory.path().join("link");
    std::fs::write(&file, "the ledger").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();

    for path in [&file, &link] {
        for refused in [ask(path).unwrap_err(), Offer::new(path, Sockets::default()).unwrap_err()] {
            let said = refused.to_string();
            assert!(said.contains("proxy.upgrade_socket"), "{said}");
            assert!(said.contains(path.to_str().unwrap()), "{said}");
        }
    }

    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the ledger");
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_file_where_the_next_socket_is_made_ready_is_left_as_it_is() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("upgrade.sock");
    let beside = directory.path().join(format!("upgrade.sock.{}", std::process::id()));
    std::fs::write(&beside, "a backup").unwrap();

    Offer::new(&path, Sockets::default()).unwrap_err();

    assert_eq!(std::fs::read_to_string(&beside).unwrap(), "a backup");
}

#[tokio::test]
async fn only_the_same_user_may_ask() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("upgrade.sock");

    let _offer = Offer::new(&path, Sockets::default()).unwrap();

    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
