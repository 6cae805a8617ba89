//! Who may answer, as a policy says it:
//!
//! ```text
//! approvers  = stage *( " then " stage ) [ " else " stage " after " time ]
//! stage      = approver *( "," approver )
//! approver   = "resource.owner" / "principal.owner" / "on_behalf_of"
//!            / "group:" name / "identity:" name
//! time       = digits ( "s" / "m" / "h" / "d" )
//! ```
//!
//! Any approver of a stage may answer in it, and the next stage begins when it has its quorum.
//! Those after `else` may answer too, in any stage, once that time has passed without the end of
//! it. `resource.owner, group:leads then identity:cfo else group:oncall after 10m`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{IdentityId, NAME_BYTES_MAX};
use thiserror::Error;

/// Most stages of one request.
pub const STAGES_MAX: usize = 4;

/// Most approvers that one stage names.
pub const APPROVERS_MAX: usize = 16;

/// Longest time to an escalation, in milliseconds: seven days.
pub const ESCALATION_MS_MAX: i64 = 7 * 24 * 3_600_000;

/// One way to be among those who may answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approver {
    /// Who owns everything that the action touches.
    ResourceOwner,
    /// Who owns the agent that acts.
    PrincipalOwner,
    /// The user for whom the task acts.
    OnBehalfOf,
    /// A member of this group.
    Group(Arc<str>),
    /// This identity.
    Identity(IdentityId),
}

/// As policies write it.
impl fmt::Display for Approver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResourceOwner => f.write_str("resource.owner"),
            Self::PrincipalOwner => f.write_str("principal.owner"),
            Self::OnBehalfOf => f.write_str("on_behalf_of"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Identity(name) => write!(f, "identity:{name}"),
        }
    }
}

/// Who may answer, in which order, and who else when nobody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvers {
    stages: Vec<BTreeSet<Approver>>,
    escalation: Option<Escalation>,
}

/// Who may answer too, once nobody has for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// Those.
    pub to: BTreeSet<Approver>,
    /// From when on, in milliseconds after the request; above 0, at most [`ESCALATION_MS_MAX`].
    pub after_ms: i64,
}

/// Why a text names no approvers: the policy author's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApproversError {
    /// No approver of any kind.
    #[error(
        "`{0}` is no approver: write `resource.owner`, `principal.owner`, `on_behalf_of`, \
         `group:NAME` or `identity:NAME`"
    )]
    NoApprover(String),
    /// Too many of something.
    #[error("the policy names more than {limit} {what}: use a group")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// `else` without a time, or with one that is none.
    #[error("what follows `else` must end in `after` and a time up to 7d, such as `after 10m`")]
    Escalation,
}

impl Approvers {
    /// Reads them.
    ///
    /// # Errors
    /// [`ApproversError`] says what the policy's author must change.
    pub fn parse(text: &str) -> Result<Self, ApproversError> {
        let (stages, escalation) = match text.split_once(" else ") {
            Some((stages, rest)) => (stages, Some(escalation(rest)?)),
            None => (text, None),
        };
        let stages: Vec<_> = stages.split(" then ").map(stage).collect::<Result<_, _>>()?;
        if stages.len() > STAGES_MAX {
            return Err(ApproversError::TooMany { what: "stages", limit: STAGES_MAX });
        }
        Ok(Self { stages, escalation })
    }

    /// One approver, as [`Approver`] prints it.
    ///
    /// # Errors
    /// [`ApproversError::NoApprover`].
    pub fn parse_one(text: &str) -> Result<Approver, ApproversError> {
        approver(text)
    }

    /// The stages, in order: one to [`STAGES_MAX`], none without an approver.
    pub fn stages(&self) -> &[BTreeSet<Approver>] {
        &self.stages
    }

    /// Who may answer too, and when.
    pub const fn escalation(&self) -> Option<&Escalation> {
        self.escalation.as_ref()
    }
}

/// What [`Approvers::parse`] reads.
impl fmt::Display for Approvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |stage: &BTreeSet<Approver>| {
            stage.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        f.write_str(&self.stages.iter().map(list).collect::<Vec<_>>().join(" then "))?;
        match &self.escalation {
            Some(to) => write!(f, " else {} after {}s", list(&to.to), to.after_ms / 1000),
            None => Ok(()),
        }
    }
}

fn stage(text: &str) -> Result<BTreeSet<Approver>, ApproversError> {
    let stage: BTreeSet<_> =
        text.split(',').map(|part| approver(part.trim())).collect::<Result<_, _>>()?;
    if stage.len() > APPROVERS_MAX {
        return Err(ApproversError::TooMany { what: "approvers", limit: APPROVERS_MAX });
    }
    Ok(stage)
}

fn approver(text: &str) -> Result<Approver, ApproversError> {
    let none = || ApproversError::NoApprover(text.chars().take(NAME_BYTES_MAX).collect());
    // A blank in a name is more likely a slip of the grammar than a name.
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(none());
    }
    match text.split_once(':') {
        None => match text {
            "resource.owner" => Ok(Approver::ResourceOwner),
            "principal.owner" => Ok(Approver::PrincipalOwner),
            "on_behalf_of" => Ok(Approver::OnBehalfOf),
            _ => Err(none()),
        },
        Some(("group", name)) if !name.is_empty() && name.len() <= NAME_BYTES_MAX => {
            Ok(Approver::Group(name.into()))
        }
        Some(("identity", name)) => {
            IdentityId::new(name).map(Approver::Identity).map_err(|_| none())
        }
        Some(_) => Err(none()),
    }
}

fn escalation(text: &str) -> Result<Escalation, ApproversError> {
    let (to, after) = text.rsplit_once(" after ").ok_or(ApproversError::Escalation)?;
    let after_ms = millis(after.trim()).ok_or(ApproversError::Escalation)?;
    Ok(Escalation { to: stage(to)?, after_ms })
}

fn millis(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    let count =
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())??;
    count.checked_mul(unit).filter(|ms| (1..=ESCALATION_MS_MAX).contains(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_again() {
        for text in [
            "resource.owner",
            "principal.owner",
            "on_behalf_of",
            "group:leads",
            "identity:spiffe://example.org/ada",
            "resource.owner, group:leads then identity:cfo else group:oncall after 600s",
        ] {
            let read = Approvers::parse(text).unwrap();
            assert_eq!(Approvers::parse(&read.to_string()).unwrap(), read, "{text}");
        }
        let read = Approvers::parse("group:a,group:b then on_behalf_of else group:c after 10m");
        let read = read.unwrap();
        assert_eq!(read.stages().iter().map(BTreeSet::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(read.escalation().unwrap().after_ms, 600_000);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "owner",
            "resource.owner,",
            "resource.owner then",
            "Resource.Owner",
            "group:",
            "group:the leads",
            "identity:",
            "resource.owner or group:a",
            "group:a else group:b",
            "group:a else group:b after 10",
            "group:a else group:b after 0s",
            "group:a else group:b after 8d",
            "group:a else after 1m",
            "group:a else group:b after +1m",
            "group:a else group:b after 9223372036854775807d",
            "group:a then group:b then group:c then group:d then group:e",
        ] {
            assert!(Approvers::parse(text).is_err(), "{text}");
        }
    }
}
