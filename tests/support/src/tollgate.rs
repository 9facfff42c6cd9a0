//! The real binary as a child process, on free ports and a directory of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A command of the binary that knows nothing of the environment that the tests run in. `binary` is
/// `env!("CARGO_BIN_EXE_tollgate")`, which only a test itself can know.
pub fn command(binary: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TOLLGATE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

/// Between two looks at what another process does.
const POLL: Duration = Duration::from_millis(5);

/// Half a minute: nothing that is waited for takes so long, so that a test fails instead of hanging.
const POLLS_MAX: usize = 6_000;

/// A process that listens. It is killed when it is dropped.
pub struct Tollgate {
    child: Child,
    addresses: BTreeMap<String, SocketAddr>,
    /// Kept open, so that the process can go on writing.
    stdout: BufReader<ChildStdout>,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

/// Settings of a process on free ports of loopback, which may have its upstreams there too.
pub fn on_free_ports(data_dir: &TempDir) -> Vec<(&'static str, String)> {
    vec![
        ("TOLLGATE_DATA_DIR", data_dir.path().display().to_string()),
        ("TOLLGATE_PROXY__LISTEN", "127.0.0.1:0".to_owned()),
        ("TOLLGATE_PROXY__ALLOW_LOOPBACK_UPSTREAMS", "true".to_owned()),
        ("TOLLGATE_ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("TOLLGATE_METRICS__LISTEN", "127.0.0.1:0".to_owned()),
    ]
}

impl Tollgate {
    /// Starts the process and waits until it has said where it listens, in each of these roles.
    pub fn start(mut command: Command, roles: &[&str]) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().expect("standard error is piped");
        let log_reader = std::thread::spawn({
            let log = log.clone();
            move || collect(stderr, &log)
        });
        let stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let addresses = BTreeMap::new();
        let mut started = Self { child, addresses, stdout, log, log_reader: Some(log_reader) };
        while !roles.iter().all(|role| started.addresses.contains_key(*role)) {
            let line = started.line();
            if let Ok(line) = serde_json::from_str::<Value>(&line)
                && line["event"] == "listening"
            {
                let role = line["role"].as_str().expect("a role").to_owned();
                let address = line["address"].as_str().expect("an address");
                started.addresses.insert(role, address.parse().expect("an address"));
            }
        }
        started
    }

    /// The next line of standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).expect("standard output is text");
        if read == 0 {
            let status = self.child.wait().expect("the child is ours");
            self.log_reader.take().map(JoinHandle::join);
            panic!("the process has ended with {status}; its log:\n{}", self.log());
        }
        line
    }

    pub fn address(&self, role: &str) -> SocketAddr {
        self.addresses[role]
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the reader does not panic").clone()
    }

    /// Waits until the process has logged a line with the text so many times.
    pub fn wait_for_log(&mut self, text: &str, times: usize) {
        let said = |tollgate: &Self| tollgate.log().matches(text).count() >= times;
        self.wait_until(&format!("the process has said `{text}`"), said);
    }

    /// Waits until something is so, as long as the process lives.
    #[expect(clippy::disallowed_methods, reason = "a test has no core to hold up")]
    pub fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..POLLS_MAX {
            if is_so(self) {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                panic!("the process has ended with {status}, and not: {what}");
            }
            std::thread::sleep(POLL);
        }
        panic!("not in time: {what}");
    }

    /// All that the process has logged, once it has ended.
    pub fn log_to_end(&mut self) -> String {
        self.log_reader.take().map(JoinHandle::join);
        self.log()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.expect("kill is there").success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the child is ours")
    }
}

impl Drop for Tollgate {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log_reader.take().map(JoinHandle::join);
        if std::thread::panicking() {
            show(&self.log());
        }
    }
}

#[expect(clippy::print_stderr, reason = "a test that fails should say what the process said")]
fn show(log: &str) {
    eprintln!("the log of the process:\n{log}");
}

fn collect(mut stderr: ChildStderr, log: &Mutex<String>) {
    let mut piece = [0; 4_096];
    while let Ok(read @ 1..) = stderr.read(&mut piece) {
        let text = String::from_utf8_lossy(&piece[..read]);
        log.lock().expect("no holder panics").push_str(&text);
    }
}
