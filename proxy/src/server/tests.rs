//! Servers on loopback that answer each line with itself.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, split};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use tollgate_test_support::certificates::Authority;

mod hand_over;

const LONG: Duration = Duration::from_secs(30);

fn options(cores: usize) -> Options {
    Options {
        listeners: vec![ListenOptions { address: any_port(), tls: None }],
        cores,
        connections_max: 100,
        files_beside: 0,
        connections_per_address_max: 100,
        trusted_proxies: vec![],
    }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Answers each line with itself, with `secure` and the protocol before it, until told to stop.
async fn echo(accepted: Accepted, drain: Drain) {
    let Accepted { stream, secure, protocol, .. } = accepted;
    let (reader, mut writer) = split(stream);
    let mut lines = BufReader::new(reader).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line,
            () = drain.started() => return,
        };
        let Ok(Some(line)) = line else { return };
        let answer = format!("{secure} {protocol:?} {line}\n");
        if writer.write_all(answer.as_bytes()).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
}

fn start(options: &Options) -> Running {
    run(options, &Sockets::default(), |_| {}, echo).unwrap()
}

async fn ask(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), line: &str) -> String {
    stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn every_connection_is_served_whichever_core_takes_it() {
    let running = start(&options(2));
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(TcpStream::connect(running.addresses()[0]).await.unwrap());
    }

    for stream in &mut streams {
        assert_eq!(ask(stream, "hello").await, "false None hello\n");
    }
    assert_eq!(running.connections(), 20);
    assert_eq!(running.stop(LONG).await, Stopped { cut: 0 });
}

#[tokio::test]
async fn a_core_is_made_ready_before_it_serves() {
    let (sender, mut started) = tokio::sync::mpsc::unbounded_channel();
    let on_core = move |core| {
        tokio::spawn(async move {
            sender.send((core, std::thread::current().name().map(str::to_owned)))
        });
    };
    let running = run(&options(2), &Sockets::default(), on_core, echo).unwrap();

    let mut seen = [started.recv().await.unwrap(), started.recv().await.unwrap()];
    seen.sort();

    assert_eq!(seen, [(0, Some("core-0".to_owned())), (1, Some("core-1".to_owned()))]);
    running.stop(LONG).await;
}

#[test]
fn every_socket_has_a_core_and_every_core_a_socket() {
    let shares = |cores: usize, count: usize| -> Vec<Vec<usize>> {
        (0..cores).map(|core| indices_of(core, cores, count).collect()).collect()
    };

    assert_eq!(shares(2, 2), [[0], [1]]);
    assert_eq!(shares(2, 5), [vec![0, 2, 4], vec![1, 3]]);
    assert_eq!(shares(4, 1), [[0], [0], [0], [0]]);
    assert_eq!(shares(5, 2), [[0], [1], [0], [1], [0]]);
}

/// With one socket for all cores, the core that wakes first takes most of a burst.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_connections_is_spread_over_the_cores() {
    let served = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let on_core = |core| CORE.set(core);
    let count = served.clone();
    let serve = move |accepted, drain| {
        count[CORE.get()].fetch_add(1, Ordering::Relaxed);
        echo(accepted, drain)
    };
    let running = run(&options(2), &Sockets::default(), on_core, serve).unwrap();
    let connects = (0..100).map(|_| TcpStream::connect(running.addresses()[0]));

    let mut streams = Vec::from_iter(join_all(connects).await.into_iter().map(Result::unwrap));
    for stream in &mut streams {
        ask(stream, "hello").await;
    }

    // One in a billion of fair spreads is less even.
    assert!(served.iter().all(|served| served.load(Ordering::Relaxed) >= 20), "{served:?}");
    running.stop(LONG).await;
}

thread_local! {
    static CORE: Cell<usize> = const { Cell::new(0) };
}

#[tokio::test]
async fn a_connection_over_the_limit_is_closed_and_the_others_go_on() {
    let running = start(&Options { connections_per_address_max: 1, ..options(1) });
    let address = running.addresses()[0];
    let mut first = TcpStream::connect(address).await.unwrap();
    ask(&mut first, "first").await;

    let mut second = TcpStream::connect(address).await.unwrap();

    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(running.connections_refused(), 1);
    assert_eq!(ask(&mut first, "again").await, "false None again\n");
    running.stop(LONG).await;
}

#[tokio::test]
async fn stopping_waits_for_connections_and_takes_no_new_ones() {
    let running = start(&options(2));
    let address = running.addresses()[0];
    let mut stream = TcpStream::connect(address).await.unwrap();
    ask(&mut stream, "hello").await;

    assert_eq!(running.stop(LONG).await, Stopped { cut: 0 });

    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_and_counted() {
    let serve = |accepted: Accepted, _| async move {
        let _held = accepted;
        pending().await
    };
    let running = run(&options(1), &Sockets::default(), |_| {}, serve).unwrap();
    let mut stream = TcpStream::connect(running.addresses()[0]).await.unwrap();
    while running.connections() == 0 {
        tokio::task::yield_now().await;
    }

    assert_eq!(running.stop(Duration::from_millis(10)).await, Stopped { cut: 1 });

    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

fn files(directory: &Path) -> CertificateFiles {
    CertificateFiles {
        certificate: directory.join("certificate.pem"),
        key: directory.join("key.pem"),
    }
}

/// A server with a certificate of `authority` for `localhost` in `directory`.
fn start_tls(authority: &Authority, directory: &TempDir) -> Running {
    let files = files(directory.path());
    authority.issue("localhost").write(&files.certificate, &files.key);
    let listeners = vec![ListenOptions { address: any_port(), tls: Some(files) }];
    start(&Options { listeners, ..options(1) })
}

async fn connect_tls(
    running: &Running,
    client: Arc<rustls::ClientConfig>,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(running.addresses()[0]).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(client).connect(name, stream).await
}

#[tokio::test]
async fn tls_agrees_on_the_best_protocol_that_the_client_knows() {
    let (authority, directory) = (Authority::new(), TempDir::new().unwrap());
    let running = start_tls(&authority, &directory);

    for (offer, agreed) in [
        (&[b"http/1.1".as_slice(), b"h2"][..], "Some(Http2)"),
        (&[b"http/1.1".as_slice()][..], "Some(Http1)"),
        (&[][..], "None"),
    ] {
        let mut stream = connect_tls(&running, authority.client(offer)).await.unwrap();
        assert_eq!(ask(&mut stream, "hello").await, format!("true {agreed} hello\n"));
    }
    assert!(connect_tls(&running, authority.client(&[b"smtp"])).await.is_err());
    running.stop(LONG).await;
}

#[tokio::test]
async fn a_reloaded_certificate_is_used_and_a_bad_one_is_not() {
    let (old, new, directory) = (Authority::new(), Authority::new(), TempDir::new().unwrap());
    let running = start_tls(&old, &directory);
    let mut open = connect_tls(&running, old.client(&[])).await.unwrap();
    let files = files(directory.path());

    std::fs::write(&files.certificate, "no certificate").unwrap();
    running.reload();
    assert!(connect_tls(&running, old.client(&[])).await.is_ok());

    new.issue("localhost").write(&files.certificate, &files.key);
    running.reload();
    assert!(connect_tls(&running, old.client(&[])).await.is_err());
    assert!(connect_tls(&running, new.client(&[])).await.is_ok());
    assert_eq!(ask(&mut open, "still").await, "true None still\n");
    running.stop(LONG).await;
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused_at_start() {
    let (authority, directory) = (Authority::new(), TempDir::new().unwrap());
    let files = files(directory.path());
    authority.issue("localhost").write(&files.certificate, &files.key);
    std::fs::write(&files.key, authority.issue("localhost").key).unwrap();

    let error = tls::Terminator::new(files).err().unwrap();

    assert!(matches!(error, CertificateError::Key { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_connects_and_says_nothing_is_let_go() {
    let (authority, directory) = (Authority::new(), TempDir::new().unwrap());
    let files = files(directory.path());
    authority.issue("localhost").write(&files.certificate, &files.key);
    let terminator = tls::Terminator::new(files).unwrap();
    let listener = tokio::net::TcpListener::bind(any_port()).await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();

    assert!(terminator.accept(Box::new(socket.into())).await.is_none());
}
