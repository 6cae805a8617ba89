//! Digests: 32 bytes, shown as `sha256:` or `hmac-sha256:` and hexadecimal.

use std::fmt;

/// A SHA-256 digest, of bytes that anyone may see.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// An HMAC-SHA-256 under a session's own key: equal values can be seen to be equal within the
/// session, and nothing can be guessed once the key is erased.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyedDigest([u8; 32]);

macro_rules! digests {
    ($($name:ident = $prefix:literal;)*) => {$(
        impl $name {
            /// From its 32 bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Its 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Parses what is printed; anything else is `None`.
            pub fn parse(text: &str) -> Option<Self> {
                parse_hex(text.strip_prefix(concat!($prefix, ":"))?).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, ":"))?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

digests! {
    Digest = "sha256";
    KeyedDigest = "hmac-sha256";
}

/// Reads 64 lowercase hexadecimal digits.
fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *slot = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_what_display_prints_and_nothing_else() {
        let digest = Digest::from_bytes([0xab; 32]);
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(KeyedDigest::parse(&digest.to_string()), None);
        assert_eq!(Digest::parse(&digest.to_string().to_uppercase()), None);
        assert_eq!(Digest::parse("sha256:ab"), None);
    }
}
