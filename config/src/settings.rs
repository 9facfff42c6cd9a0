//! Every setting, its default, and the reason for it.

mod admin;
mod counters;
mod journal;
mod ledger;
mod log;
mod metrics;
mod openid;
mod proxy;
mod sending;
mod store;
mod tls;

pub use admin::AdminSettings;
pub use counters::CountersSettings;
pub use journal::{JournalSettings, JournalSync};
pub use ledger::LedgerSettings;
pub use log::{LogFormat, LogSettings};
pub use metrics::MetricsSettings;
pub use openid::{OpenIdRoles, OpenIdSettings, is_protected};
pub use proxy::{ProxyLimits, ProxySettings};
pub use sending::SendingSettings;
pub use store::StoreSettings;
pub use tls::TlsSettings;

use std::path::PathBuf;

use secrecy::SecretString;

use crate::section::section;
use crate::value::StoreUrl;

section! {
    /// All settings of a process, whatever its role.
    pub struct Settings {
        /// Where everything that must outlive the process is kept. One gateway and one control plane
        /// at a time may use it, in one process or in two.
        data_dir: PathBuf = PathBuf::from("tollgate-data");
        /// What gateways and the control plane know each other by. `tollgate run` needs none;
        /// `tollgate proxy` and `tollgate admin` must be given the same one.
        node_token: Option<SecretString> = None;
        /// The data plane.
        proxy: ProxySettings = ProxySettings::default();
        /// The control plane.
        admin: AdminSettings = AdminSettings::default();
        /// Signing in at the console with a provider.
        openid: OpenIdSettings = OpenIdSettings::default();
        /// Where Prometheus and health checks ask.
        metrics: MetricsSettings = MetricsSettings::default();
        /// The gateway's durable log of usage.
        journal: JournalSettings = JournalSettings::default();
        /// The counters of rate limits and quotas.
        counters: CountersSettings = CountersSettings::default();
        /// The control plane's database.
        store: StoreSettings = StoreSettings::default();
        /// The control plane's record of what was used.
        ledger: LedgerSettings = LedgerSettings::default();
        /// Usage on its way to billing systems.
        sending: SendingSettings = SendingSettings::default();
        /// What is written to standard error.
        log: LogSettings = LogSettings::default();
    }
}

impl Settings {
    /// The directory of the journal and of the gateway's identity.
    pub fn journal_dir(&self) -> PathBuf {
        self.data_dir.join("journal")
    }

    /// The file with the last snapshot that was good.
    pub fn snapshot_file(&self) -> PathBuf {
        self.data_dir.join("snapshot")
    }

    /// Where the store is.
    pub fn store_url(&self) -> StoreUrl {
        self.store.url.clone().unwrap_or_else(|| self.data_dir.join("tollgate.db").into())
    }
}
