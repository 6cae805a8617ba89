//! Which session a decision belongs to.

use std::fmt;

use crate::{IdentityId, SessionName, TokenId};

/// The session of one credential. A name that a PEP gives does not change it: names subdivide
/// what is shown, never what is counted, so that a new name sheds no label, budget or counter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Whose session.
    pub identity: IdentityId,
    /// Under which credential.
    pub token: TokenId,
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.identity, self.token)
    }
}

/// A session with the part of it that the PEP named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionRef {
    /// What counts.
    pub key: SessionKey,
    /// What the PEP calls its part, where it gave a name.
    pub name: Option<SessionName>,
}
