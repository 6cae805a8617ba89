//! From where a request came, as little of it as is needed to see that it is another place.

use std::fmt;
use std::net::IpAddr;

/// The network of a caller: its address without the last bits. Of IPv4 it is the first 24 bits, of
/// IPv6 the first 48. It is never recorded: a [`NetworkDigest`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network([u8; 7]);

impl Network {
    /// The network of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Self([4, a, b, c, 0, 0, 0])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                Self([6, a, b, c, d, e, f])
            }
        }
    }

    /// The version of the protocol, and the bits.
    pub const fn as_bytes(&self) -> &[u8; 7] {
        &self.0
    }
}

/// A network under the key of a session: within one session, two can be seen to be the same;
/// nothing else can be told of them, and nothing at all once the key is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkDigest(u64);

impl NetworkDigest {
    /// The first eight bytes of a keyed digest.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Parses what is printed, 16 hexadecimal digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let fits = text.len() == 16 && text.bytes().all(lower);
        u64::from_str_radix(text, 16).ok().filter(|_| fits).map(Self)
    }
}

impl fmt::Display for NetworkDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bits_make_no_other_network() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("192.0.2.1"), network("192.0.2.254"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.9"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:3::9"));
        assert_ne!(network("2001:db8:1::1"), network("2001:db8:2::1"));
    }

    #[test]
    fn a_digest_is_read_back() {
        let digest = NetworkDigest::new(0xab);
        assert_eq!(digest.to_string(), "00000000000000ab");
        assert_eq!(NetworkDigest::parse(&digest.to_string()), Some(digest));
        assert_eq!(NetworkDigest::parse("00000000000000AB"), None);
        assert_eq!(NetworkDigest::parse("+0000000000000ab"), None);
    }
}
