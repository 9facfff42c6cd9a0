//! A new user pastes what the README says, and sees what it promises.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::BINARY;

/// The shell's lines under a heading of the README, up to the next one.
fn lines_under(heading: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// Waits as long as it takes where a person is slow enough.
const UPSTREAM_AND_KEY: &str = r#"until curl -sf -o /dev/null http://127.0.0.1:8000/; do sleep 0.1; done
until curl -sf -o /dev/null -H "X-API-Key: $key" http://127.0.0.1:8080/.tollgate/usage; do sleep 0.1; done
curl -i"#;
const LEDGER: &str = "until api usage | grep -q calls; do sleep 0.1; done #";

/// The lines as they are, but for how long is waited, and for where things listen and are kept.
fn run(lines: &str, directory: &Path) -> Output {
    let ports = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = ports.map(|listener| listener.local_addr().unwrap().port().to_string());
    let mut script = lines.to_owned();
    for (text, with) in [
        ("cargo build\n", "\n"),
        ("curl -i", UPSTREAM_AND_KEY),
        ("sleep 1", LEDGER),
        ("target/debug/tollgate", BINARY),
        ("/tmp/tollgate", directory.to_str().unwrap()),
        ("http.server 8000", &format!("http.server {}", ports[0])),
        ("127.0.0.1:8000", &format!("127.0.0.1:{}", ports[0])),
        ("127.0.0.1:8080", &format!("127.0.0.1:{}", ports[1])),
        ("127.0.0.1:9090", &format!("127.0.0.1:{}", ports[2])),
        ("127.0.0.1:9091", &format!("127.0.0.1:{}", ports[3])),
    ] {
        assert!(script.contains(text), "the README says nothing of {text}");
        script = script.replace(text, with);
    }
    let listen = |port: &str| format!("127.0.0.1:{port}");
    let mut bash = Command::new("timeout");
    bash.args(["--kill-after=5", "120", "bash", "-c", &script]).current_dir(directory);
    bash.env("TOLLGATE_PROXY__LISTEN", listen(&ports[1]));
    bash.env("TOLLGATE_ADMIN__LISTEN", listen(&ports[2]));
    bash.env("TOLLGATE_METRICS__LISTEN", listen(&ports[3]));
    bash.output().unwrap()
}

#[test]
fn the_first_ten_minutes_are_as_the_readme_says() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("hello"), "").unwrap();

    let output = run(&lines_under("The first ten minutes"), directory.path());

    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    for promised in [
        // The product, made; its server's answer, with the limits; what the caller has left.
        r#""name":"files""#,
        "HTTP/1.1 200 OK",
        "X-RateLimit-Remaining: 59",
        r#""remaining":9999"#,
        // What the owner sees of it, what it will cost, and what Prometheus reads.
        r#""meter":"calls""#,
        r#""quantity":1"#,
        r#""text":"49.00 USD""#,
        r#"tollgate_requests_total{product="files",plan="starter",outcome="success"} 1"#,
    ] {
        assert!(said.contains(promised), "no {promised} in:\n{said}\n{errors}");
    }
}
