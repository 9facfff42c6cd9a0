//! A Redis server of a test's own, or the server of its kind that `TOLLGATE_TEST_REDIS_SERVER` names.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const POLLS_MAX: usize = 1_000;
const POLL: Duration = Duration::from_millis(10);

pub struct RedisServer {
    address: SocketAddr,
    /// What it is: the first arguments.
    form: Vec<String>,
    settings: Vec<String>,
    /// Where it runs: a server that a replica copies from writes a file there.
    directory: TempDir,
    child: Option<Child>,
}

impl RedisServer {
    /// On a free port of loopback, with nothing kept on disk.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further settings, as on the command line.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_as(&["--save", "", "--appendonly", "no"], settings)
    }

    fn start_as(form: &[&str], settings: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        drop(listener);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let directory = TempDir::new().expect("a temporary directory can be made");
        let (form, settings) = (texts(form), texts(settings));
        let mut server = Self { address, form, settings, directory, child: None };
        server.start_again();
        server
    }

    /// A sentinel with this file of settings, which it writes to.
    pub fn start_sentinel(file: &Path) -> Self {
        let file = file.to_str().expect("a temporary path is text");
        Self::start_as(&[file, "--sentinel"], &[])
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What it is started with from the next start on.
    pub fn set(&mut self, settings: &[&str]) {
        self.settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
    }

    /// Starts it, empty, where it was before.
    #[expect(clippy::disallowed_methods, reason = "a test has no core to hold up")]
    pub fn start_again(&mut self) {
        let port = self.address.port().to_string();
        let program = std::env::var_os("TOLLGATE_TEST_REDIS_SERVER");
        let child = Command::new(program.as_deref().unwrap_or("redis-server".as_ref()))
            .args(&self.form)
            .args(["--bind", "127.0.0.1", "--port", &port])
            .args(&self.settings)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed (scripts/prepare)");
        self.child = Some(child);
        for _ in 0..POLLS_MAX {
            if TcpStream::connect(self.address).is_ok() {
                return;
            }
            std::thread::sleep(POLL);
        }
        panic!("redis-server does not listen on {}", self.address);
    }

    /// SIGKILL: whatever it held is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the child is ours");
            child.wait().expect("the child is ours");
        }
    }

    /// Sends a command whose answer nobody waits for.
    pub fn send(&self, command: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("it reads");
        stream
    }

    /// A signal, such as STOP and CONT for a server that hangs.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.expect("kill is there").success());
    }

    /// Gives a command, and says the first line of its answer.
    pub fn tell(&self, command: &str) -> String {
        let stream = self.send(command);
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("it answers");
        line.trim_end().to_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
