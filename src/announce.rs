//! Says on standard output where the process listens: one JSON line for each address.

use std::io::{self, Write};
use std::net::SocketAddr;

/// Whose listener it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Proxy,
    Admin,
    Metrics,
}

impl Listener {
    pub const fn role(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}

/// Whoever started the process may have closed standard output; then there is no one to tell.
pub fn listening(listener: Listener, address: SocketAddr) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", line(listener, address));
    let _ = out.flush();
}

fn line(listener: Listener, address: SocketAddr) -> String {
    format!(r#"{{"event":"listening","role":"{}","address":"{address}"}}"#, listener.role())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_line_of_json() {
        let address = SocketAddr::from(([127, 0, 0, 1], 43127));

        let line = line(Listener::Proxy, address);

        assert_eq!(line, r#"{"event":"listening","role":"proxy","address":"127.0.0.1:43127"}"#);
    }
}
