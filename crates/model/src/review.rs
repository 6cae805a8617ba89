//! What happens in access reviews, as it is recorded: findings, exemptions, campaigns,
//! remediations, proposals of policies, imports. Crate `review` makes these steps and folds them.

use std::fmt;
use std::sync::Arc;

use crate::IdentityId;

/// Most bytes of a [`ReviewDetail`]: a leaf has at most 65,535, and the rest of it has to fit.
/// What is larger lies beside the leaf, with its digest in the detail.
pub const REVIEW_DETAIL_BYTES_MAX: usize = 48 * 1024;

/// Most bytes of the id of a reviewed thing.
pub const REVIEW_ID_BYTES_MAX: usize = 128;

/// Most bytes of the word for what happened to it.
pub const REVIEW_EVENT_BYTES_MAX: usize = 32;

/// What a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReviewedThing {
    /// Something that is wrong with a right, an identity or a credential.
    Finding,
    /// The word of a person that a finding is as it should be, for a time.
    Exemption,
    /// A review of many rights.
    Campaign,
    /// A right that is taken away, or made smaller.
    Remediation,
    /// A change of the policies that somebody wants.
    PolicyProposal,
    /// Identities that came from elsewhere.
    Import,
}

impl ReviewedThing {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Finding,
        Self::Exemption,
        Self::Campaign,
        Self::Remediation,
        Self::PolicyProposal,
        Self::Import,
    ];

    /// The word for it on every wire; the kind of its records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finding => "finding",
            Self::Exemption => "exemption",
            Self::Campaign => "campaign",
            Self::Remediation => "remediation",
            Self::PolicyProposal => "policy_proposal",
            Self::Import => "import",
        }
    }
}

/// One step in the life of a reviewed thing, as it is recorded. When it happened is the time of
/// its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewChange {
    /// What it is about.
    pub what: ReviewedThing,
    /// Which one: 1 to [`REVIEW_ID_BYTES_MAX`] bytes.
    pub id: Arc<str>,
    /// How many steps came before.
    pub sequence: u64,
    /// What happened, in a short fixed word: `[a-z_]`, 1 to [`REVIEW_EVENT_BYTES_MAX`] bytes.
    pub event: Arc<str>,
    /// Whose right, identity or credential it is about.
    pub about: Option<IdentityId>,
    /// Who did it; nobody where time or a rule did.
    pub by: Option<IdentityId>,
    /// The rest, in a form that crate `review` has for each event.
    pub detail: ReviewDetail,
}

impl ReviewChange {
    /// Whether its id and its word are of the form that they have to have.
    ///
    /// # Errors
    /// [`ReviewChangeError`]: our own fault, or that of whoever wrote the leaf.
    pub fn check(&self) -> Result<(), ReviewChangeError> {
        let printable = self.id.bytes().all(|byte| byte.is_ascii_graphic());
        if !(1..=REVIEW_ID_BYTES_MAX).contains(&self.id.len()) || !printable {
            return Err(ReviewChangeError::Id);
        }
        let word = self.event.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        match word && (1..=REVIEW_EVENT_BYTES_MAX).contains(&self.event.len()) {
            true => Ok(()),
            false => Err(ReviewChangeError::Event),
        }
    }
}

/// A JSON object in canonical form (RFC 8785), as text. The ledger refuses any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewDetail(Arc<str>);

impl ReviewDetail {
    /// The detail of that text.
    ///
    /// # Errors
    /// [`ReviewChangeError::Detail`]: it has more than [`REVIEW_DETAIL_BYTES_MAX`] bytes, or is no
    /// object. Whether it is canonical is seen when it is recorded.
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, ReviewChangeError> {
        let text = text.into();
        let object = text.starts_with('{') && text.ends_with('}');
        match object && text.len() <= REVIEW_DETAIL_BYTES_MAX {
            true => Ok(Self(text)),
            false => Err(ReviewChangeError::Detail),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ReviewDetail {
    fn default() -> Self {
        Self("{}".into())
    }
}

/// Why a step cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewChangeError {
    /// Its id.
    Id,
    /// Its word.
    Event,
    /// Its detail.
    Detail,
}

impl fmt::Display for ReviewChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => {
                write!(
                    f,
                    "the id of a reviewed thing has 1 to {REVIEW_ID_BYTES_MAX} printable ASCII characters"
                )
            }
            Self::Event => {
                write!(
                    f,
                    "the word for a step has 1 to {REVIEW_EVENT_BYTES_MAX} lower-case letters or `_`"
                )
            }
            Self::Detail => {
                write!(
                    f,
                    "the detail of a step is a JSON object of at most {REVIEW_DETAIL_BYTES_MAX} bytes"
                )
            }
        }
    }
}

impl std::error::Error for ReviewChangeError {}
