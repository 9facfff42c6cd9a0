//! A PostgreSQL server on a free port of loopback, in a directory of its own.
//!
//! It is what the machine has installed, run as a user of its own, since it refuses to be root. A
//! shell keeps it: when the tests are gone, whatever way, the shell reads the end of its input, ends
//! the server and removes its directory.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Who may do everything on the server, and by which password.
pub const USER: &str = "postgres";
pub const PASSWORD: &str = "of-the-tests";

/// Ends the server at once when it reads a line, and for good when it reads the end.
const KEEP: &str = r#"
"$1/postgres" -D "$2/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c shared_buffers=32MB -c max_connections=500 >>"$2/log" 2>&1 &
if read -r _; then
    kill -QUIT $!
    wait $!
else
    kill -INT $!
    wait $!
    rm -rf "$2"
fi
"#;

/// Between two looks at whether the server is there.
const POLL: Duration = Duration::from_millis(10);

/// Half a minute: a start takes a second, so that a test fails instead of hanging.
const POLLS_MAX: usize = 3_000;

/// A server with any number of databases. It ends when it is dropped.
pub struct Postgres {
    binaries: PathBuf,
    directory: PathBuf,
    port: u16,
    keeper: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// The one server of this test binary.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory").keep();
        let binaries = binaries();
        if let Some((uid, gid)) = unprivileged() {
            chown(&directory, Some(uid), Some(gid)).expect("root may give its directory away");
        }
        let password = directory.join("password");
        std::fs::write(&password, PASSWORD).expect("the directory is ours");
        let data = directory.join("data");
        let mut initdb = unrooted(&binaries.join("initdb"));
        initdb.arg("-D").arg(&data).arg("--pwfile").arg(&password).args(["-U", USER]);
        initdb.args(["-A", "scram-sha-256", "--no-sync", "--locale=C", "-E", "UTF8"]);
        succeeded(initdb.output().expect("initdb is there"));
        let port = free_port();
        let databases = AtomicU32::default();
        let mut server = Self { binaries, directory, port, keeper: None, databases };
        server.start_again();
        server
    }

    /// A new, empty database, by its URL.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test{number}");
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(USER, PASSWORD, &name)
    }

    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs a statement and gives its rows, the columns parted by `|`.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let port = self.port.to_string();
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &port, "-U", USER, "-d", database, "-X", "-q"]);
        psql.args(["-v", "ON_ERROR_STOP=1", "-tA", "-c", statement]).env("PGPASSWORD", PASSWORD);
        succeeded(psql.output().expect("psql is there"))
    }

    /// All that a database holds, as text.
    pub fn dump(&self, url: &str) -> String {
        let mut dump = Command::new(self.binaries.join("pg_dump"));
        succeeded(dump.arg(url).output().expect("pg_dump is there"))
    }

    /// Ends the server without a goodbye. What was committed stays.
    pub fn stop(&mut self) {
        let mut keeper = self.keeper.take().expect("the server runs");
        let mut input = keeper.stdin.take().expect("standard input is piped");
        input.write_all(b"\n").expect("the shell reads");
        keeper.wait().expect("the shell is ours");
    }

    /// Starts the server after [`Postgres::stop`], on the same port.
    #[expect(clippy::disallowed_methods, reason = "a test has no core to hold up")]
    pub fn start_again(&mut self) {
        let mut keeper = unrooted(Path::new("/bin/sh"));
        keeper.args(["-c", KEEP, "sh"]).arg(&self.binaries).arg(&self.directory);
        keeper.arg(self.port.to_string()).stdin(Stdio::piped());
        self.keeper = Some(keeper.spawn().expect("there is a shell"));
        let port = self.port.to_string();
        for _ in 0..POLLS_MAX {
            let mut ready = Command::new(self.binaries.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port]);
            if ready.status().expect("pg_isready is there").success() {
                return;
            }
            std::thread::sleep(POLL);
        }
        let log = std::fs::read_to_string(self.directory.join("log"));
        panic!("PostgreSQL does not start: {}", log.unwrap_or_default());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.keeper.is_none() {
            self.start_again();
        }
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// Where the newest server is: on the path, or where Debian keeps its versions.
fn binaries() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut known: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    known.sort();
    let mut all = std::env::split_paths(&path).chain(known.into_iter().rev());
    let programs = ["initdb", "postgres", "pg_isready", "psql", "pg_dump"];
    all.find(|directory| programs.iter().all(|program| directory.join(program).exists()))
        .expect("PostgreSQL is installed; scripts/prepare installs it")
}

/// A command as a user who is not root.
fn unrooted(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid).current_dir("/");
    }
    command
}

/// For root: the user and group of PostgreSQL, or else of nobody.
fn unprivileged() -> Option<(u32, u32)> {
    if std::fs::metadata("/proc/self").expect("there is a /proc").uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("there are users");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("there is a user beside root"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

#[track_caller]
fn succeeded(output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}
