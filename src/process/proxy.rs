//! The gateway in this process.

use prometheus_client::registry::Registry;
use secrecy::ExposeSecret;
use tollgate_proxy::start::{self, Options, Running};
use url::Url;

use super::Ground;
use crate::command::Failure;

pub fn start(
    ground: &Ground,
    admin_url: &Url,
    registry: &mut Registry,
) -> Result<Running, Failure> {
    let options = Options {
        proxy: &ground.settings.proxy,
        journal: &ground.settings.journal,
        counters: &ground.settings.counters,
        data_dir: &ground.settings.data_dir,
        admin_url,
        node_token: ground.node_token.expose_secret(),
        sockets: &ground.sockets,
        relieves: ground.relieves,
        admin_connections: match ground.role.has_admin() {
            true => super::admin::connections_max(&ground.settings),
            false => 0,
        },
    };
    Ok(start::start(&options, registry)?)
}
