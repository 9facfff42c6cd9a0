//! Where the shared counters are, and how a gateway shows who it is.

use std::fmt;

use secrecy::SecretString;

use super::{Fault, Value};

#[derive(Clone)]
pub struct RedisUrl {
    pub servers: Servers,
    pub hosts: Vec<Host>,
    pub tls: bool,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    /// The number of the database; a cluster has only one.
    pub database: u16,
}

/// How the servers belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Servers {
    Single,
    /// The hosts are sentinels, which know where the master of this name is.
    Sentinel {
        master: String,
    },
    Cluster,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name, or an address without brackets.
    pub name: String,
    pub port: u16,
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// More than anyone has of sentinels, or needs to name of a cluster.
const HOSTS_MAX: usize = 100;

impl Value for RedisUrl {
    const EXPECTED: &'static str = "a URL such as redis://:password@127.0.0.1:6379/0, \
        redis-sentinel://a:26379,b:26379/master or redis-cluster://a:6379,b:6379 (rediss for TLS)";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Fault> {
        let (scheme, rest) = text.split_once("://").ok_or(Fault::Unexpected)?;
        let (first, kind) = match scheme.split_once('-') {
            Some((first, kind)) => (first, Some(kind)),
            None => (scheme, None),
        };
        let tls = match first {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(Fault::Unexpected),
        };
        if rest.contains(['?', '#']) {
            return Err(because("parameters are not read: each has a setting of its own"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, authority),
        };
        let (user, password) = credentials.map_or(Ok((None, None)), read_credentials)?;
        let (servers, database) = read_path(kind, path)?;
        let port = if matches!(servers, Servers::Sentinel { .. }) { SENTINEL_PORT } else { PORT };
        let hosts: Vec<Host> =
            hosts.split(',').map(|host| read_host(host, port)).collect::<Result<_, _>>()?;
        if hosts.len() > HOSTS_MAX || (servers == Servers::Single && hosts.len() > 1) {
            return Err(because("several hosts are for redis-sentinel:// and redis-cluster://"));
        }
        Ok(Self { servers, hosts, tls, user, password, database })
    }

    /// Without the password.
    fn show(&self) -> String {
        self.to_string()
    }
}

/// What may be shown: no password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss" } else { "redis" })?;
        match self.servers {
            Servers::Single => {}
            Servers::Sentinel { .. } => f.write_str("-sentinel")?,
            Servers::Cluster => f.write_str("-cluster")?,
        }
        f.write_str("://")?;
        for (index, Host { name, port }) in self.hosts.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match name.contains(':') {
                true => write!(f, "{comma}[{name}]:{port}")?,
                false => write!(f, "{comma}{name}:{port}")?,
            }
        }
        match &self.servers {
            Servers::Single if self.database == 0 => Ok(()),
            Servers::Single => write!(f, "/{}", self.database),
            Servers::Sentinel { master } if self.database == 0 => write!(f, "/{master}"),
            Servers::Sentinel { master } => write!(f, "/{master}/{}", self.database),
            Servers::Cluster => Ok(()),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn because(message: &str) -> Fault {
    Fault::Because(message.to_owned())
}

fn read_credentials(text: &str) -> Result<(Option<String>, Option<SecretString>), Fault> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (decoded(user)?, decoded(password)?);
    if password.is_empty() && !user.is_empty() {
        return Err(because("a user needs a password: `user:password@`"));
    }
    let user = (!user.is_empty()).then_some(user);
    Ok((user, (!password.is_empty()).then(|| password.into())))
}

fn read_path(kind: Option<&str>, path: &str) -> Result<(Servers, u16), Fault> {
    let database = |text: &str| match text {
        "" => Ok(0),
        text => text.parse().map_err(|_| because("the database after the host must be a number")),
    };
    match kind {
        None => Ok((Servers::Single, database(path)?)),
        Some("sentinel") => {
            let (master, number) = path.split_once('/').unwrap_or((path, ""));
            let master = decoded(master)?;
            if master.is_empty() {
                return Err(because("the name of the master must follow the sentinels: `/name`"));
            }
            Ok((Servers::Sentinel { master }, database(number)?))
        }
        Some("cluster") if database(path)? == 0 => Ok((Servers::Cluster, 0)),
        Some("cluster") => Err(because("a cluster has no database but 0")),
        Some(_) => Err(Fault::Unexpected),
    }
}

fn read_host(text: &str, default: u16) -> Result<Host, Fault> {
    let (name, port) = match text.rsplit_once(':') {
        Some(_) if text.ends_with(']') => (text, default),
        Some((name, port)) => {
            let port = port.parse().ok().filter(|port| *port != 0);
            (name, port.ok_or_else(|| because("a port must be from 1 to 65535"))?)
        }
        None => (text, default),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let name = match bare {
        Some(address) => {
            let address: Result<std::net::Ipv6Addr, _> = address.parse();
            address.map_err(|_| because("an address in brackets must be one of IPv6"))?.to_string()
        }
        None => name.to_owned(),
    };
    let is_name = |char: char| char.is_ascii_alphanumeric() || "-._:".contains(char);
    match name.is_empty() || !name.chars().all(is_name) {
        true => Err(because("a host must be a name or an address")),
        false => Ok(Host { name, port }),
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Result<String, Fault> {
    let wrong = || because("`%` must be followed by two hexadecimal digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digits = [rest.next().ok_or_else(wrong)?, rest.next().ok_or_else(wrong)?];
                let digits = str::from_utf8(&digits).map_err(|_| wrong())?;
                u8::from_str_radix(digits, 16).map_err(|_| wrong())?
            }
            byte => byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| because("must be UTF-8 when it is decoded"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn host(name: &str, port: u16) -> Host {
        Host { name: name.into(), port }
    }

    #[test]
    fn one_server_has_a_user_a_password_and_a_database() {
        let url = RedisUrl::parse("rediss://gate:p%40ss%2f@redis.example/3").unwrap();

        assert_eq!(url.hosts, [host("redis.example", 6379)]);
        assert_eq!((url.tls, url.database, url.user.as_deref()), (true, 3, Some("gate")));
        assert_eq!(url.password.as_ref().unwrap().expose_secret(), "p@ss/");
        assert_eq!(url.to_string(), "rediss://redis.example:6379/3");
    }

    #[test]
    fn sentinels_name_their_master_and_a_cluster_its_nodes() {
        let sentinels = RedisUrl::parse("redis-sentinel://:pw@a,[::1]:5/mymaster").unwrap();
        let cluster = RedisUrl::parse("valkey-cluster://a:1,b:2").unwrap();

        assert_eq!(sentinels.servers, Servers::Sentinel { master: "mymaster".into() });
        assert_eq!(sentinels.hosts, [host("a", 26379), host("::1", 5)]);
        assert_eq!(sentinels.to_string(), "redis-sentinel://a:26379,[::1]:5/mymaster");
        assert_eq!((cluster.servers, cluster.hosts.len()), (Servers::Cluster, 2));
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = RedisUrl::parse("redis://user:hunter2@127.0.0.1").unwrap();

        assert!(!format!("{url} {url:?} {}", url.show()).contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "127.0.0.1:6379",
            "http://127.0.0.1",
            "redis://",
            "redis://a:0",
            "redis://a:70000",
            "redis://a/x",
            "redis://a,b",
            "redis://user@a",
            "redis://:%zz@a",
            "redis://a?db=1",
            "redis://[::g]",
            "redis-sentinel://a",
            "redis-cluster://a/1",
            "redis-ring://a",
        ] {
            assert!(RedisUrl::parse(text).is_err(), "{text}");
        }
    }
}
