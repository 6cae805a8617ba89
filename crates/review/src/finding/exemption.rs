//! Exemptions: the word of a person that a finding is as it should be, for a time.

use std::sync::Arc;

use safeconduct_model::{IdentityId, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::DAY_MS;

/// Longest life of an exemption, in milliseconds: a leap year, so that what happens once a year
/// can be exempt until it happens again.
pub const EXEMPTION_MS_MAX: i64 = 366 * DAY_MS;

/// Longest reason of an exemption, in bytes.
pub const EXEMPTION_REASON_BYTES_MAX: usize = 1024;

/// Why something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExemptionKind {
    /// It is for emergencies, so it is hardly ever used.
    BreakGlass,
    /// It is used at certain times of the year.
    Seasonal,
    /// Something else, as the reason says.
    Other,
}

impl ExemptionKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::BreakGlass, Self::Seasonal, Self::Other];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreakGlass => "break_glass",
            Self::Seasonal => "seasonal",
            Self::Other => "other",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The word of a person that a finding is as it should be, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// Its id.
    pub id: Arc<str>,
    /// What it is for.
    pub kind: ExemptionKind,
    /// Why, in their words.
    pub reason: Arc<str>,
    /// Who said so.
    pub by: IdentityId,
    /// When.
    pub at: Timestamp,
    /// Until when. There is none without an end.
    pub until: Timestamp,
}

/// Why somebody cannot exempt a finding: their fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExemptError {
    /// There is no such finding.
    #[error("there is no finding `{0}`")]
    Unknown(Arc<str>),
    /// It has no end.
    #[error("an exemption needs an end: say until when it holds")]
    NoEnd,
    /// Its end is not ahead, or too far.
    #[error("an exemption ends in the future, and within 366 days")]
    End,
    /// It has no reason, or one that is too long.
    #[error("an exemption needs a reason of 1 to {EXEMPTION_REASON_BYTES_MAX} bytes")]
    Reason,
    /// Nobody exempts what is held against themselves.
    #[error("`{0}` is who the finding is about: somebody else must exempt it")]
    OwnCase(IdentityId),
    /// Another one holds.
    #[error("the finding is exempt already: end that exemption first")]
    Exempt,
    /// None holds.
    #[error("the finding is not exempt")]
    NotExempt,
}

/// What somebody says of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemptionWish {
    /// What it is for.
    pub kind: ExemptionKind,
    /// Why.
    pub reason: Arc<str>,
    /// Who says so.
    pub by: IdentityId,
    /// Until when.
    pub until: Option<Timestamp>,
}

impl ExemptionWish {
    /// The exemption that is wished for, of that id.
    ///
    /// # Errors
    /// [`ExemptError`]: no end, an end that does not fit, or no reason.
    pub fn grant(self, id: Arc<str>, now: Timestamp) -> Result<Exemption, ExemptError> {
        let until = self.until.ok_or(ExemptError::NoEnd)?;
        if !(1..=EXEMPTION_MS_MAX).contains(&until.ms_since(now)) {
            return Err(ExemptError::End);
        }
        let reason = self.reason.trim();
        if reason.is_empty() || reason.len() > EXEMPTION_REASON_BYTES_MAX {
            return Err(ExemptError::Reason);
        }
        let (kind, by, reason) = (self.kind, self.by, Arc::from(reason));
        Ok(Exemption { id, kind, reason, by, at: now, until })
    }
}
