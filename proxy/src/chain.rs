//! By which way a request came, as far as it can be believed.
//!
//! Each proxy adds to `X-Forwarded-For` whom it was called by, so only the last entries can be from
//! trusted ones: as many as there are of these in front. Whatever stands before them is a caller's word.

use std::net::{IpAddr, SocketAddr};

use tollgate_common::connections::is_in;

use crate::fields::{Fields, Known, list_members};
use crate::settings::Settings;

/// The addresses that trusted proxies have written, the outermost first; nothing from anyone else.
pub fn believed_chain(settings: &Settings, peer: IpAddr, fields: &Fields) -> Vec<u8> {
    if !is_in(peer, &settings.trusted_proxies) {
        return Vec::new();
    }
    // A name in disguise is a caller's: a proxy writes the real one.
    let lines =
        fields.iter().filter(|field| field.known == Known::ForwardedFor && !field.is_disguised());
    let entries: Vec<&[u8]> = lines.flat_map(|field| list_members(field.value())).collect();
    let first = entries.len().saturating_sub(settings.trusted_hops);
    let addresses = entries[first..].iter().filter(|entry| address(entry).is_some());
    addresses.copied().collect::<Vec<_>>().join(&b", "[..])
}

/// The address of the caller: whom the outermost trusted proxy was called by, or else the peer.
pub fn caller_address(settings: &Settings, peer: IpAddr, fields: &Fields) -> IpAddr {
    let chain = believed_chain(settings, peer, fields);
    list_members(&chain).next().and_then(address).unwrap_or(peer)
}

/// Some proxies write the port too, or an IPv6 address in brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::settings;

    const PEER: &str = "10.0.0.9";

    fn chain(hops: usize, lines: &[(&str, &str)]) -> (String, String) {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let settings = Settings {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            trusted_hops: hops,
            ..settings()
        };
        let peer = PEER.parse().unwrap();
        let believed = String::from_utf8(believed_chain(&settings, peer, &fields)).unwrap();
        (believed, caller_address(&settings, peer, &fields).to_string())
    }

    #[test]
    fn as_many_entries_are_believed_as_there_are_proxies_in_front() {
        let name = "X-Forwarded-For";
        let two = [(name, "6.6.6.6"), (name, "203.0.113.7, 10.0.0.8")];

        assert_eq!(chain(1, &two), ("10.0.0.8".into(), "10.0.0.8".into()));
        assert_eq!(chain(2, &two), ("203.0.113.7, 10.0.0.8".into(), "203.0.113.7".into()));
        assert_eq!(chain(9, &two), ("6.6.6.6, 203.0.113.7, 10.0.0.8".into(), "6.6.6.6".into()));
        assert_eq!(chain(1, &[]), (String::new(), PEER.into()));
        assert_eq!(chain(9, &[(name, "tg_key, 203.0.113.7")]).0, "203.0.113.7");
    }

    #[test]
    fn an_entry_is_an_address_with_or_without_a_port() {
        for (entry, address) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("unknown", PEER),
            ("tg_key", PEER),
        ] {
            assert_eq!(chain(1, &[("X-Forwarded-For", entry)]).1, address, "{entry}");
        }
    }

    #[test]
    fn a_name_in_disguise_is_not_believed() {
        for disguised in ["x_forwarded_for", "X.Forwarded.For"] {
            let lines = [("X-Forwarded-For", "203.0.113.7"), (disguised, "6.6.6.6")];

            assert_eq!(chain(1, &lines).1, "203.0.113.7", "{disguised}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        let mut fields = Fields::default();
        fields.push(b"X-Forwarded-For", b"6.6.6.6");
        let peer = PEER.parse().unwrap();

        assert!(believed_chain(&settings(), peer, &fields).is_empty());
        assert_eq!(caller_address(&settings(), peer, &fields), peer);
    }
}
