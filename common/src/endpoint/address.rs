//! Which addresses a gateway may connect to on an owner's word.
//!
//! An owner types a host name; the gateway stands inside a network. Without a rule it would fetch
//! for its owner what only the inside may see: its own admin port, the cloud's metadata service, a
//! neighbour. Ranges are those of the IANA special-purpose registries (RFC 6890 and successors).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the settings open. The default opens nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// 127.0.0.0/8, ::1 and `localhost`: the machine itself.
    pub allow_loopback: bool,
    /// RFC 1918, unique local IPv6 and the shared range of carriers: the network around it.
    pub allow_private: bool,
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the address is unspecified")]
    Unspecified,
    #[error("loopback addresses are not allowed by the settings")]
    Loopback,
    #[error("private addresses are not allowed by the settings")]
    Private,
    #[error("link-local addresses are not allowed")]
    LinkLocal,
    #[error("the metadata service of a cloud is not allowed")]
    Metadata,
    #[error("multicast and broadcast addresses are not allowed")]
    Multicast,
    #[error("the address is reserved")]
    Reserved,
    #[error("an IPv4 address inside an IPv6 address is not allowed")]
    Embedded,
}

/// Metadata services that are not at a link-local address.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Whether a gateway may connect there.
pub fn vet_address(address: IpAddr, policy: &AddressPolicy) -> Result<(), AddressError> {
    let class = match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    };
    match class {
        None => Ok(()),
        Some(AddressError::Loopback) if policy.allow_loopback => Ok(()),
        Some(AddressError::Private) if policy.allow_private => Ok(()),
        Some(class) => Err(class),
    }
}

fn class_v4(address: Ipv4Addr) -> Option<AddressError> {
    let [a, b, c, _] = address.octets();
    if METADATA_V4.contains(&address) {
        return Some(AddressError::Metadata);
    }
    match (a, b, c) {
        (0, 0, 0) if address.is_unspecified() => Some(AddressError::Unspecified),
        (0, ..) => Some(AddressError::Reserved),
        (127, ..) => Some(AddressError::Loopback),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => {
            Some(AddressError::Private)
        }
        (169, 254, _) => Some(AddressError::LinkLocal),
        (192, 0, 0) | (198, 18..=19, _) => Some(AddressError::Reserved),
        (255, 255, 255) if address.is_broadcast() => Some(AddressError::Multicast),
        (224..=239, ..) => Some(AddressError::Multicast),
        (240..=255, ..) => Some(AddressError::Reserved),
        _ => None,
    }
}

fn class_v6(address: Ipv6Addr) -> Option<AddressError> {
    if address.is_unspecified() {
        return Some(AddressError::Unspecified);
    }
    if address.is_loopback() {
        return Some(AddressError::Loopback);
    }
    if METADATA_V6.contains(&address) {
        return Some(AddressError::Metadata);
    }
    let segments = address.segments();
    match segments {
        // Mapped, compatible and translated (SIIT), NAT64, Teredo, 6to4.
        [0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, ..] => Some(AddressError::Embedded),
        [0x64, 0xff9b, ..] | [0x2001, 0, ..] | [0x2002, ..] => Some(AddressError::Embedded),
        [0xfe80..=0xfebf, ..] => Some(AddressError::LinkLocal),
        // Site-local, withdrawn but still routed inside some networks.
        [0xfec0..=0xfeff, ..] | [0xfc00..=0xfdff, ..] => Some(AddressError::Private),
        [0xff00..=0xffff, ..] => Some(AddressError::Multicast),
        // Discard-only, and everything that is not global unicast.
        [0x100, 0, 0, 0, ..] => Some(AddressError::Reserved),
        [0x2000..=0x3fff, ..] => None,
        _ => Some(AddressError::Reserved),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn vet(address: &str, policy: AddressPolicy) -> Result<(), AddressError> {
        vet_address(address.parse().unwrap(), &policy)
    }

    #[rstest]
    #[case("0.0.0.0", AddressError::Unspecified)]
    #[case("::", AddressError::Unspecified)]
    #[case("0.1.2.3", AddressError::Reserved)]
    #[case("169.254.169.254", AddressError::LinkLocal)]
    #[case("169.254.0.1", AddressError::LinkLocal)]
    #[case("fe80::1", AddressError::LinkLocal)]
    #[case("febf::1", AddressError::LinkLocal)]
    #[case("100.100.100.200", AddressError::Metadata)]
    #[case("168.63.129.16", AddressError::Metadata)]
    #[case("192.0.0.192", AddressError::Metadata)]
    #[case("fd00:ec2::254", AddressError::Metadata)]
    #[case("fd20:ce::254", AddressError::Metadata)]
    #[case("224.0.0.1", AddressError::Multicast)]
    #[case("255.255.255.255", AddressError::Multicast)]
    #[case("ff02::1", AddressError::Multicast)]
    #[case("240.0.0.1", AddressError::Reserved)]
    #[case("198.18.0.1", AddressError::Reserved)]
    #[case("192.0.0.1", AddressError::Reserved)]
    #[case("100::1", AddressError::Reserved)]
    #[case("4000::1", AddressError::Reserved)]
    #[case("::ffff:8.8.8.8", AddressError::Embedded)]
    #[case("::ffff:127.0.0.1", AddressError::Embedded)]
    #[case("::7f00:1", AddressError::Embedded)]
    #[case("::ffff:0:127.0.0.1", AddressError::Embedded)]
    #[case("64:ff9b::7f00:1", AddressError::Embedded)]
    #[case("2002:7f00:1::", AddressError::Embedded)]
    #[case("2001:0:7f00:1::", AddressError::Embedded)]
    fn some_places_are_closed_whatever_the_settings_say(
        #[case] address: &str,
        #[case] error: AddressError,
    ) {
        let open = AddressPolicy { allow_loopback: true, allow_private: true };

        assert_eq!(vet(address, AddressPolicy::default()), Err(error));
        assert_eq!(vet(address, open), Err(error));
    }

    #[rstest]
    #[case("127.0.0.1")]
    #[case("127.255.255.254")]
    #[case("::1")]
    fn loopback_needs_its_own_setting(#[case] address: &str) {
        let private = AddressPolicy { allow_loopback: false, allow_private: true };
        let loopback = AddressPolicy { allow_loopback: true, allow_private: false };

        assert_eq!(vet(address, private), Err(AddressError::Loopback));
        assert_eq!(vet(address, loopback), Ok(()));
    }

    #[rstest]
    #[case("10.0.0.1")]
    #[case("172.16.0.1")]
    #[case("172.31.255.255")]
    #[case("192.168.1.1")]
    #[case("100.64.0.1")]
    #[case("fd12::1")]
    #[case("fc00::1")]
    #[case("fec0::1")]
    fn private_networks_need_their_own_setting(#[case] address: &str) {
        let private = AddressPolicy { allow_loopback: false, allow_private: true };
        let loopback = AddressPolicy { allow_loopback: true, allow_private: false };

        assert_eq!(vet(address, loopback), Err(AddressError::Private));
        assert_eq!(vet(address, private), Ok(()));
    }

    #[rstest]
    #[case("8.8.8.8")]
    #[case("172.32.0.1")]
    #[case("100.128.0.1")]
    #[case("2606:4700::1111")]
    #[case("2001:4860:4860::8888")]
    fn public_addresses_are_open(#[case] address: &str) {
        assert_eq!(vet(address, AddressPolicy::default()), Ok(()));
    }
}
