//! Where the control plane is, and who asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Url;
use tollgate_config::Settings;

use super::{Failure, environment};
use crate::catalog::api::Api;

#[derive(Debug, Args)]
pub struct ConnectArguments {
    /// The control plane's URL; without it `proxy.admin_url` or `admin.listen` of the settings
    #[arg(long, global = true, value_name = "URL")]
    admin_url: Option<Url>,
    /// A file with a token of the admin API; without it `admin.bootstrap_token` of the settings
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The file of settings; without it there are the defaults and the environment
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConnectArguments {
    pub fn connect(&self) -> Result<Api, Failure> {
        let settings = Settings::load(self.config.as_deref(), environment())?;
        let url = self.admin_url.clone().or_else(|| settings.proxy.admin_url.clone());
        let url = match url {
            Some(url) => url,
            None => local_url(settings.admin.listen, settings.admin.tls.is_some())?,
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{url} is not an http or https URL").into());
        }
        let token = match &self.token_file {
            Some(file) => read_token(file)?.into(),
            None => settings.admin.bootstrap_token.ok_or(
                "there is no token: give --token-file, or admin.bootstrap_token in the settings",
            )?,
        };
        Ok(Api::new(url, token)?)
    }
}

/// The token that a file holds, and nothing else but space around it.
pub fn read_token(file: &Path) -> Result<String, Failure> {
    let name = file.display();
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    match text.trim() {
        "" => Err(format!("{name} is empty: it should hold a token of the admin API").into()),
        token => Ok(token.to_owned()),
    }
}

/// Where a control plane of these settings is reached from its own machine.
fn local_url(listen: SocketAddr, has_certificate: bool) -> Result<Url, Failure> {
    if listen.port() == 0 {
        return Err("admin.listen has no port of its own: give --admin-url".into());
    }
    let scheme = if has_certificate { "https" } else { "http" };
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(Url::parse(&format!("{scheme}://{}", SocketAddr::new(ip, listen.port())))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_plane_that_listens_everywhere_is_reached_on_loopback() {
        let url = |listen: &str| local_url(listen.parse().unwrap(), false).unwrap().to_string();

        assert_eq!(url("0.0.0.0:9090"), "http://127.0.0.1:9090/");
        assert_eq!(url("[::]:9090"), "http://[::1]:9090/");
        assert_eq!(url("10.0.0.7:1"), "http://10.0.0.7:1/");
        assert!(local_url("127.0.0.1:0".parse().unwrap(), true).is_err());
    }
}
