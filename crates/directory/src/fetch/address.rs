//! Which addresses may be fetched from: public ones, and those that the configuration names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network in CIDR form: `10.20.0.0/16`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads the CIDR form; `None` where it is none, or where bits are set beyond the prefix.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let network = Self { address: address.parse().ok()?, bits: bits.parse().ok()? };
        let width = if network.address.is_ipv4() { 32 } else { 128 };
        let clean = network.bits <= width
            && masked(network.address, network.bits) == number(network.address);
        clean.then_some(network)
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.bits) == number(self.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn masked(address: IpAddr, bits: u8) -> u128 {
    let width = if address.is_ipv4() { 32_u32 } else { 128 };
    let host_bits = width.saturating_sub(u32::from(bits));
    let number = number(address);
    number.checked_shr(host_bits).and_then(|n| n.checked_shl(host_bits)).unwrap_or(0)
}

/// Networks that are not the public internet (IANA's special-purpose registries), for IPv4.
const SPECIAL_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Whether an address belongs to the public internet. Of IPv6 only global unicast does, without
/// the ranges in it that carry an IPv4 address on (6to4, Teredo) or are for examples.
pub fn is_public(address: IpAddr) -> bool {
    let within = |network: IpAddr, bits| Network { address: network, bits }.contains(address);
    match address {
        IpAddr::V4(_) => !SPECIAL_V4.iter().any(|(network, bits)| within((*network).into(), *bits)),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped().or_else(|| nat64(v6)) {
            Some(v4) => is_public(v4.into()),
            None => {
                let v6 = |a, b, c| IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0));
                within(v6(0x2000, 0, 0), 3)
                    && !within(v6(0x2001, 0, 0), 23)
                    && !within(v6(0x2001, 0xdb8, 0), 32)
                    && !within(v6(0x2002, 0, 0), 16)
                    && !within(v6(0x3fff, 0, 0), 20)
            }
        },
    }
}

/// The IPv4 address behind the well-known NAT64 prefix `64:ff9b::/96` (RFC 6052).
fn nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let prefix = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
    let bits = address.to_bits();
    let last = u32::try_from(bits & u128::from(u32::MAX)).ok()?;
    (bits - u128::from(last) == prefix.to_bits()).then(|| Ipv4Addr::from_bits(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inward_addresses_are_not_public() {
        for text in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
            "::127.0.0.1",
            "64:ff9b:1::1",
            "fec0::1",
            "100::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses() {
        let network = Network::parse("10.20.0.0/16").unwrap();
        assert!(network.contains("10.20.255.1".parse().unwrap()));
        assert!(!network.contains("10.21.0.1".parse().unwrap()));
        assert!(!network.contains("::ffff:10.20.0.1".parse().unwrap()));
        assert!(Network::parse("fd00::/8").unwrap().contains("fd12::1".parse().unwrap()));
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("9.9.9.9".parse().unwrap()));
        for text in ["10.20.0.1/16", "10.0.0.0/33", "10.0.0.0", "x/8", "::/129"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
