use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;
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

/// Of a process that has its data beside the socket.
fn try_offer(path: &Path, sockets: Sockets) -> std::io::Result<Offer> {
    Offer::new(path, sockets, File::open(path.parent().unwrap())?)
}

fn offer(path: &Path, sockets: Sockets) -> Offer {
    try_offer(path, sockets).unwrap()
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
    let mut offered = offer(&path, sockets);
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
                inherited.confirm().unwrap();
                let offer = offer(&path, sockets);
                (running, offer)
            },
            offered.taken()
        );
        assert_eq!(running.stop(LONG).await, Stopped { cut: 0 });
        (running, offered) = successor;
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
    let offer = tokio::spawn(offer(&path, sockets).taken());

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

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_goes_on_where_its_predecessor_has_ended_and_only_there() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("upgrade.sock");
    let old = tokio::spawn(offer(&path, Sockets::default()).taken());
    let inherited = ask(&path).unwrap().unwrap();
    old.abort();
    assert!(old.await.is_err());
    inherited.confirm().unwrap();

    // One that has waited long enough goes on, and answers the next who asks.
    let impatient = directory.path().join("impatient.sock");
    let listener = UnixListener::bind(&impatient).unwrap();
    let (has_let_go, let_go) = std::sync::mpsc::channel();
    let answering = std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            stream.unwrap().write_all(b"tollgate\0\0\0\0").unwrap();
            // The test may be over.
            let _ = has_let_go.send(());
        }
    });
    let inherited = ask(&impatient).unwrap().unwrap();
    assert_eq!(inherited.data_elsewhere(Path::new("/")).unwrap(), None, "it does not say");
    let_go.recv().unwrap();
    inherited.confirm().unwrap_err();
    answering.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_is_told_where_its_predecessor_has_its_data() {
    let [here, there] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let path = here.path().join("upgrade.sock");
    let old = tokio::spawn(offer(&path, Sockets::default()).taken());

    let inherited = ask(&path).unwrap().unwrap();

    let link = there.path().join("link");
    std::os::unix::fs::symlink(here.path(), &link).unwrap();
    assert_eq!(inherited.data_elsewhere(&link).unwrap(), None);
    let elsewhere = inherited.data_elsewhere(there.path()).unwrap();
    assert_eq!(elsewhere, Some(here.path().canonicalize().unwrap()));
    assert!(inherited.sockets().close_unclaimed().is_empty(), "it is no socket");
    old.abort();
}

#[tokio::test]
async fn without_a_predecessor_there_is_nothing_to_inherit() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("upgrade.sock");
    assert!(ask(&path).unwrap().is_none());

    // One that died without withdrawing has left its socket behind.
    drop(offer(&path, Sockets::default()));
    assert!(path.exists());
    assert!(ask(&path).unwrap().is_none());

    let offer = offer(&path, Sockets::default());
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
        for refused in [ask(path).unwrap_err(), try_offer(path, Sockets::default()).unwrap_err()] {
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

    try_offer(&path, Sockets::default()).unwrap_err();

    assert_eq!(std::fs::read_to_string(&beside).unwrap(), "a backup");
}

#[tokio::test]
async fn only_the_same_user_may_ask() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("upgrade.sock");

    let _offer = offer(&path, Sockets::default());

    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
