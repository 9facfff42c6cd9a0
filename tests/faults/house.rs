//! Gateway and control plane, as one process or as two, that can be killed and started again.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;
use tollgate_test_support::owner::{Offer, Owner, TOKEN};
use tollgate_test_support::postgres::Postgres;
use tollgate_test_support::tollgate::{Tollgate, command, on_free_ports};

use crate::BINARY;
use crate::asking;
use crate::balancer::Balancer;

/// Ports that are not given to connections, so that one is still free after a restart.
const FIXED_PORTS: std::ops::Range<u16> = 20_000..32_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `tollgate run`
    Together,
    /// `tollgate proxy` and `tollgate admin`
    Apart,
}

pub struct House {
    form: Form,
    settings: Vec<(&'static str, String)>,
    /// Of the gateway, or of both.
    pub data: TempDir,
    store: TempDir,
    admin_listen: SocketAddr,
    gateway: Option<Tollgate>,
    admin: Option<Tollgate>,
    shared: Option<Shared>,
}

/// What two control planes have in common.
struct Shared {
    /// The other one, which is not killed.
    other: Tollgate,
    balancer: Balancer,
    store: String,
    postgres: Postgres,
    _data: TempDir,
}

impl House {
    pub fn open(form: Form) -> Self {
        Self::open_with(form, &[])
    }

    /// With these settings of the gateway.
    pub fn open_with(form: Form, settings: &[(&'static str, &str)]) -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), form, settings)
    }

    /// With the gateway's data in this directory.
    pub fn open_in(data: TempDir, form: Form, settings: &[(&'static str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let admin_listen = match form {
            Form::Together => "127.0.0.1:0".parse().unwrap(),
            Form::Apart => free_address(),
        };
        let store = tempfile::tempdir().unwrap();
        let mut house = Self {
            form,
            settings,
            data,
            store,
            admin_listen,
            gateway: None,
            admin: None,
            shared: None,
        };
        house.start_admin();
        house.start_gateway();
        house
    }

    /// Apart, with two control planes on one PostgreSQL server. Needs a runtime.
    pub fn open_shared() -> Self {
        let postgres = Postgres::start();
        let store = postgres.database();
        let (data, admin_listen) = (tempfile::tempdir().unwrap(), free_address());
        let mut command = admin_command(&data, "127.0.0.1:0".parse().unwrap());
        command.env("TOLLGATE_STORE__URL", &store);
        let other = Tollgate::start(command, &["admin", "metrics"]);
        let balancer = Balancer::start(vec![admin_listen, other.address("admin")]);
        let mut house = Self {
            form: Form::Apart,
            settings: Vec::new(),
            data: tempfile::tempdir().unwrap(),
            store: tempfile::tempdir().unwrap(),
            admin_listen,
            gateway: None,
            admin: None,
            shared: Some(Shared { other, balancer, store, postgres, _data: data }),
        };
        house.start_admin();
        house.start_gateway();
        house
    }

    pub fn start_gateway(&mut self) {
        self.gateway = Some(Tollgate::start(self.gateway_command(), self.gateway_roles()));
    }

    /// Starts it and kills it before it has come far.
    pub async fn start_in_vain(&mut self, after: Duration) {
        let mut command = self.gateway_command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(after).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGKILL, and its end.
    pub fn kill_gateway(&mut self) {
        drop(self.gateway.take());
    }

    /// Nothing to start where the gateway's process has it.
    pub fn start_admin(&mut self) {
        if self.form == Form::Together {
            return;
        }
        let mut command = admin_command(&self.store, self.admin_listen);
        if let Some(shared) = &self.shared {
            command.env("TOLLGATE_STORE__URL", &shared.store);
        }
        self.admin = Some(Tollgate::start(command, &["admin", "metrics"]));
    }

    pub fn kill_admin(&mut self) {
        drop(self.admin.take());
    }

    /// What the control plane that is not running has stored.
    pub fn copy_store(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_files(self.store.path(), copy.path());
        copy
    }

    /// Gives a control plane that is not running another store, and says which it had.
    pub fn put_back_store(&mut self, store: TempDir) -> TempDir {
        std::mem::replace(&mut self.store, store)
    }

    /// Starts a successor, which takes the sockets from the gateway that runs, and waits for the end
    /// of that one.
    pub fn upgrade(&mut self) {
        let successor = Tollgate::start(self.gateway_command(), self.gateway_roles());
        let mut relieved = self.gateway.replace(successor).unwrap();
        let status = relieved.wait();
        let log = relieved.log_to_end();
        assert!(status.success(), "{status}: {log}");
        assert!(log.contains("a successor has taken over"), "{log}");
        assert!(!log.contains("connections were cut"), "{log}");
    }

    fn gateway_command(&self) -> Command {
        let role = match self.form {
            Form::Together => "run",
            Form::Apart => "proxy",
        };
        let mut command = command(BINARY, &[role]);
        command.envs(on_free_ports(&self.data));
        if self.form == Form::Apart {
            let balancer = self.shared.as_ref().map(|shared| shared.balancer.address);
            let admin = balancer.unwrap_or(self.admin_listen);
            command.env("TOLLGATE_PROXY__ADMIN_URL", format!("http://{admin}/"));
        }
        command.envs(self.settings.iter().cloned());
        with_tokens(command)
    }

    fn gateway_roles(&self) -> &'static [&'static str] {
        match self.form {
            Form::Together => &["proxy", "admin", "metrics"],
            Form::Apart => &["proxy", "metrics"],
        }
    }

    pub fn gateway(&mut self) -> &mut Tollgate {
        self.gateway.as_mut().unwrap()
    }

    /// The gateway's, and the control plane's.
    pub fn processes(&self) -> [&Tollgate; 2] {
        [self.gateway.as_ref().unwrap(), self.admin()]
    }

    pub fn proxy(&self) -> SocketAddr {
        self.gateway.as_ref().unwrap().address("proxy")
    }

    pub fn owner(&self) -> Owner {
        Owner::new(self.admin().address("admin"))
    }

    /// Where the control plane is, or else the other one.
    pub fn admin(&self) -> &Tollgate {
        let other = self.shared.as_ref().map(|shared| &shared.other);
        self.admin.as_ref().or(other).or(self.gateway.as_ref()).unwrap()
    }

    pub fn postgres(&mut self) -> &mut Postgres {
        &mut self.shared.as_mut().unwrap().postgres
    }

    /// So many products of one upstream, each with a subscription that has a quota and is far from
    /// it.
    pub async fn sell(&self, upstream: &str, products: usize) -> Vec<Offer> {
        let owner = self.owner();
        let mut offers = Vec::new();
        for number in 0..products {
            let plan = json!({ "monthly_quota": 1_000_000_000 });
            offers.push(owner.sell(&format!("product-{number}"), upstream, plan).await);
        }
        self.knows(&offers).await;
        offers
    }

    /// Waits until the gateway knows the keys.
    pub async fn knows(&self, offers: &[Offer]) {
        for offer in offers {
            asking::knows(self.gateway.as_ref().unwrap(), offer).await;
        }
    }

    /// What the gateway's counter says that a subscription has used of its quota.
    pub async fn counted(&self, offer: &Offer) -> usize {
        asking::month_used(self.gateway.as_ref().unwrap(), offer).await
    }

    /// What the gateway's metrics say now, of something that is counted.
    pub async fn metric(&self, name: &str) -> u64 {
        asking::metric(self.gateway.as_ref().unwrap(), name).await
    }

    /// Waits until the ledger has all that is in the gateway's journal.
    pub async fn has_delivered(&self) {
        asking::has_delivered(self.gateway.as_ref().unwrap()).await;
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn admin_command(data: &TempDir, listen: SocketAddr) -> Command {
    let mut command = command(BINARY, &["admin"]);
    command.envs(on_free_ports(data)).env("TOLLGATE_ADMIN__LISTEN", listen.to_string());
    with_tokens(command)
}

fn with_tokens(mut command: Command) -> Command {
    command.env("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN);
    command.env("TOLLGATE_NODE_TOKEN", "a-node-token-of-the-tests");
    command
}

/// An address that is still free after a restart.
pub fn free_address() -> SocketAddr {
    let mut tries = std::iter::repeat_with(|| rand::random_range(FIXED_PORTS)).take(1_000);
    let bound = tries.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    bound.expect("one of a thousand ports is free").local_addr().unwrap()
}
