//! Names and ids: short, printable, immutable texts, a type for each so that none stands in for
//! another.

use std::fmt;
use std::sync::Arc;

/// Longest name or id, in bytes. A longer one is refused with [`NameError`].
pub const NAME_BYTES_MAX: usize = 512;

/// Longest resource id, in bytes: paths and URLs are ids too.
pub const RESOURCE_ID_BYTES_MAX: usize = 8 * 1024;

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty.
    Empty {
        /// Which kind of name was wanted.
        what: &'static str,
    },
    /// The text is longer than the limit.
    TooLong {
        /// Which kind of name was wanted.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The text holds a control character (U+0000 to U+001F, U+007F to U+009F).
    Control {
        /// Which kind of name was wanted.
        what: &'static str,
    },
    /// The text holds a character outside the alphabet of its kind.
    Alphabet {
        /// Which kind of name was wanted.
        what: &'static str,
        /// The first character that does not fit.
        found: char,
        /// What fits, in words.
        allowed: &'static str,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "{what} is empty"),
            Self::TooLong { what, bytes, limit } => {
                write!(f, "{what} has {bytes} bytes, more than the limit of {limit}")
            }
            Self::Control { what } => write!(f, "{what} holds a control character"),
            Self::Alphabet { what, found, allowed } => {
                write!(f, "{what} holds `{found}`; allowed are {allowed}")
            }
        }
    }
}

impl std::error::Error for NameError {}

/// Checks length and printability, shared by all names.
pub(crate) fn printable(what: &'static str, text: &str, limit: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { what, bytes: text.len(), limit });
    }
    // Nearly all names are plain ASCII. Without a way out in the middle, the compiler looks at many
    // bytes at once.
    let plain = text.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte));
    if !plain && text.chars().any(char::is_control) {
        return Err(NameError::Control { what });
    }
    Ok(())
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal, $limit:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes one of a text: not empty, within its length, without control characters.
            ///
            /// # Errors
            /// [`NameError`] says what does not fit.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
                let text = text.into();
                printable($what, &text, $limit)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, shared.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        /// A map by name can be asked for a text.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

names! {
    /// Who: a SPIFFE ID, `issuer|subject`, or a local name.
    IdentityId = "an identity id", NAME_BYTES_MAX;
    /// Which credential of an identity; never the credential itself.
    TokenId = "a token id", NAME_BYTES_MAX;
    /// What is done: `files.read_text_file` for a tool, `files/resources/read` for another MCP
    /// method, any other text for an action that an AuthZEN caller asks about.
    ActionName = "an action name", NAME_BYTES_MAX;
    /// The stable name of a policy: its `@id`, or file and number where it has none.
    PolicyId = "a policy id", NAME_BYTES_MAX;
    /// One record of the ledger. A decision's id is the id of its record.
    RecordId = "a record id", NAME_BYTES_MAX;
    /// A name that a PEP gives to subdivide a session.
    SessionName = "a session name", NAME_BYTES_MAX;
    /// W3C trace id or whatever the caller correlates by (`X-Request-ID`).
    TraceId = "a trace id", NAME_BYTES_MAX;
    /// The type of an entity, as policies name it: `Safeconduct::Agent`, `record`.
    EntityType = "an entity type", NAME_BYTES_MAX;
    /// The id of an entity within its type.
    EntityId = "an entity id", RESOURCE_ID_BYTES_MAX;
    /// One task.
    TaskId = "a task id", NAME_BYTES_MAX;
    /// One lease.
    LeaseId = "a lease id", NAME_BYTES_MAX;
}

macro_rules! short_names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes one of a text.
            ///
            /// # Errors
            /// [`NameError`] says what does not fit.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, NameError> {
                short($what, text.into()).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, shared.
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )*};
}

/// Names that people write and that become parts of paths and of other names have a small
/// alphabet.
fn short(what: &'static str, text: Arc<str>) -> Result<Arc<str>, NameError> {
    printable(what, &text, 64)?;
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(*c);
    match text.chars().find(|c| !fits(c)) {
        None => Ok(text),
        Some(found) => Err(NameError::Alphabet {
            what,
            found,
            allowed: "lowercase letters, digits, `-` and `_`",
        }),
    }
}

short_names! {
    /// The name of an upstream server: `a`-`z`, `0`-`9`, `-`, `_`, at most 64 bytes.
    ServerName = "a server name";
    /// The name of an intent: `a`-`z`, `0`-`9`, `-`, `_`, at most 64 bytes.
    IntentName = "an intent's name";
    /// The name of a schedule: `a`-`z`, `0`-`9`, `-`, `_`, at most 64 bytes.
    ScheduleName = "a schedule's name";
    /// The name of a target of leases: `a`-`z`, `0`-`9`, `-`, `_`, at most 64 bytes.
    TargetName = "a target's name";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        assert!(IdentityId::new("spiffe://example.org/agent/a").is_ok());
        assert_eq!(IdentityId::new(""), Err(NameError::Empty { what: "an identity id" }));
        assert_eq!(ActionName::new("a\nb"), Err(NameError::Control { what: "an action name" }));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert!(matches!(ActionName::new(long), Err(NameError::TooLong { bytes: 513, .. })));
    }

    #[test]
    fn a_server_name_fits_a_url_path() {
        assert!(ServerName::new("case-files_2").is_ok());
        assert!(matches!(ServerName::new("Files"), Err(NameError::Alphabet { found: 'F', .. })));
        assert!(ServerName::new("a/b").is_err());
    }
}
