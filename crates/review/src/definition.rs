//! What a campaign is: its stages, who reviews, how long, and what silence means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use safeconduct_model::{IdentityId, Tier};
use thiserror::Error;

use crate::{Expression, Response, StopRule, Strategy};

/// Most stages of a campaign.
pub const STAGES_MAX: usize = 8;

/// Longest stage, in milliseconds: 366 days.
pub const STAGE_MS_MAX: i64 = 366 * 86_400_000;

/// Most escalations of a stage.
pub const ESCALATIONS_MAX: usize = 4;

/// Most times that cases without an answer are put to reviewers again.
pub const ITERATIONS_MAX: u32 = 10;

/// Most reviewers of one case in one stage. More are refused, since nobody would answer.
pub const REVIEWERS_MAX: usize = 16;

/// Most people that one term can name to be reviewers, or reminders of a stage.
pub const TERMS_MAX: usize = 16;

/// A campaign as somebody planned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// What people call it.
    pub name: Arc<str>,
    /// Who signs it off.
    pub owner: IdentityId,
    /// Its stages, in order: one to [`STAGES_MAX`].
    pub stages: Vec<StageDefinition>,
    /// How the outcomes of stages become that of a case.
    pub strategy: Strategy,
    /// After which outcomes a case goes no further.
    pub stop: StopRule,
    /// What becomes of a right about which nobody said anything, by its tier.
    pub no_answer: NoAnswer,
    /// Whether what is decided is carried out.
    pub remediation: RemediationStyle,
    /// How long people have notice of what is carried out, from the signature on, in milliseconds:
    /// 0 to [`crate::NOTICE_MS_MAX`]. Without it nothing is planned by itself.
    pub notice_ms: Option<i64>,
    /// How often cases without an answer are put to reviewers again; 0 to [`ITERATIONS_MAX`].
    pub iterations: u32,
}

impl Reviewer {
    /// The reviewer of that text: `owner`, `fallback_owner`, `manager`, `group:NAME`,
    /// `identity:ID`, `expression:TEXT`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "owner" => Some(Self::Owner),
            None if text == "fallback_owner" => Some(Self::FallbackOwner),
            None if text == "manager" => Some(Self::Manager),
            Some(("group", name)) if !name.is_empty() => Some(Self::Group(name.into())),
            Some(("identity", id)) => IdentityId::new(id).ok().map(Self::Identity),
            Some(("expression", text)) => Expression::new(text).ok().map(Self::Expression),
            _ => None,
        }
    }
}

impl fmt::Display for Reviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::FallbackOwner => f.write_str("fallback_owner"),
            Self::Manager => f.write_str("manager"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Identity(id) => write!(f, "identity:{id}"),
            Self::Expression(expression) => write!(f, "expression:{expression}"),
        }
    }
}

/// One stage of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageDefinition {
    /// What people call it.
    pub name: Arc<str>,
    /// How long it is open, in milliseconds: 1 to [`STAGE_MS_MAX`].
    pub lasts_ms: i64,
    /// Who reviews: everyone whom one of these names.
    pub reviewers: Vec<Reviewer>,
    /// Who does where those name nobody.
    pub fallback: Vec<Reviewer>,
    /// How answers become its outcome.
    pub strategy: Strategy,
    /// Its outcome for a case that nobody can review.
    pub if_no_reviewers: Response,
    /// After which of its outcomes a case goes no further, where it says so itself.
    pub stop: StopRule,
    /// How long before its end reviewers are reminded, in milliseconds each.
    pub reminders_ms: Vec<i64>,
    /// Who else is asked, and when.
    pub escalations: Vec<Escalation>,
}

/// Who reviews a right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reviewer {
    /// The owner of the identity that holds it.
    Owner,
    /// The one accountable where the owner is gone.
    FallbackOwner,
    /// The owner of the owner: whoever stands above them.
    Manager,
    /// Everyone in that group.
    Group(Arc<str>),
    /// That person.
    Identity(IdentityId),
    /// Everyone for whom that is true of the case.
    Expression(Expression),
}

/// Others who are asked when a stage has been open for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// After how many milliseconds of the stage.
    pub after_ms: i64,
    /// Whom.
    pub to: Vec<Reviewer>,
    /// Beside those who have not answered, or in their place.
    pub how: Escalate,
}

/// What an escalation does to those who were asked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escalate {
    /// They may still answer.
    Add,
    /// They may not, unless they have.
    Replace,
}

impl Escalate {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Add, Self::Replace];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|how| how.as_str() == word)
    }
}

impl RemediationStyle {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Automatic, Self::ReportOnly];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::ReportOnly => "report_only",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.as_str() == word)
    }
}

/// Whether what is decided is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemediationStyle {
    /// It is, in stages.
    Automatic,
    /// It is written down for somebody else.
    ReportOnly,
}

/// What becomes of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It stays as it is.
    Keep,
    /// It shrinks to what is used.
    Reduce,
    /// It is denied until somebody restores it.
    Suspend,
    /// It goes.
    Revoke,
}

impl Effect {
    /// Every effect, the mildest first.
    pub const ALL: [Self; 4] = [Self::Keep, Self::Reduce, Self::Suspend, Self::Revoke];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Reduce => "reduce",
            Self::Suspend => "suspend",
            Self::Revoke => "revoke",
        }
    }

    /// The effect of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == word)
    }
}

/// What silence means, by tier. What is not said is [`Effect::Keep`] below tier high, and
/// [`Effect::Suspend`] from there on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoAnswer(pub BTreeMap<Tier, Effect>);

impl NoAnswer {
    /// What becomes of a right of that tier.
    pub fn of(&self, tier: Tier) -> Effect {
        let usual = if tier >= Tier::High { Effect::Suspend } else { Effect::Keep };
        self.0.get(&tier).copied().unwrap_or(usual)
    }
}

/// Why a definition cannot be used: its author's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DefinitionError {
    /// No stage, or too many.
    #[error("a campaign has 1 to {STAGES_MAX} stages, and this one has {0}")]
    Stages(usize),
    /// A notice that is too long, or of what is not carried out.
    #[error(
        "a notice is of what is carried out (`remediation: automatic`), and lasts at most 366 days"
    )]
    Notice,
    /// A stage that is never open, or for ever.
    #[error("stage `{0}` must be open for at least a millisecond and at most 366 days")]
    Lasts(Arc<str>),
    /// Nobody is named.
    #[error("stage `{0}` names nobody to review")]
    Nobody(Arc<str>),
    /// Too many of something.
    #[error("stage `{stage}` has more than {limit} {what}")]
    TooMany {
        /// Which stage.
        stage: Arc<str>,
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A reminder or an escalation outside the stage.
    #[error("stage `{0}` has a reminder or an escalation outside its own time")]
    Outside(Arc<str>),
    /// Asked again too often.
    #[error("cases are put to reviewers again at most {ITERATIONS_MAX} times, not {0}")]
    Iterations(u32),
}

impl Definition {
    /// Checks that it can be carried out.
    ///
    /// # Errors
    /// [`DefinitionError`] names the first thing that cannot.
    pub fn check(&self) -> Result<(), DefinitionError> {
        if !(1..=STAGES_MAX).contains(&self.stages.len()) {
            return Err(DefinitionError::Stages(self.stages.len()));
        }
        if self.iterations > ITERATIONS_MAX {
            return Err(DefinitionError::Iterations(self.iterations));
        }
        let reports = self.remediation == RemediationStyle::ReportOnly;
        if self.notice_ms.is_some_and(|ms| reports || !(0..=crate::NOTICE_MS_MAX).contains(&ms)) {
            return Err(DefinitionError::Notice);
        }
        self.stages.iter().try_for_each(StageDefinition::check)
    }
}

impl StageDefinition {
    fn check(&self) -> Result<(), DefinitionError> {
        let name = || Arc::clone(&self.name);
        if !(1..=STAGE_MS_MAX).contains(&self.lasts_ms) {
            return Err(DefinitionError::Lasts(name()));
        }
        if self.reviewers.is_empty() {
            return Err(DefinitionError::Nobody(name()));
        }
        let counts = [
            ("reviewers", self.reviewers.len(), TERMS_MAX),
            ("fallback reviewers", self.fallback.len(), TERMS_MAX),
            ("reminders", self.reminders_ms.len(), TERMS_MAX),
            ("escalations", self.escalations.len(), ESCALATIONS_MAX),
        ];
        for (what, count, limit) in counts {
            if count > limit {
                return Err(DefinitionError::TooMany { stage: name(), what, limit });
            }
        }
        let within = |ms: &i64| (1..self.lasts_ms).contains(ms);
        let escalations = self.escalations.iter().map(|escalation| &escalation.after_ms);
        if !self.reminders_ms.iter().chain(escalations).all(within) {
            return Err(DefinitionError::Outside(name()));
        }
        match self.escalations.iter().any(|escalation| escalation.to.is_empty()) {
            true => Err(DefinitionError::Nobody(name())),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reviewer_is_read_back_from_what_is_written() {
        let texts = [
            "owner",
            "fallback_owner",
            "manager",
            "group:security",
            "identity:eve",
            "expression:principal.id == \"a:b\"",
        ];
        for text in texts {
            assert_eq!(Reviewer::parse(text).unwrap().to_string(), text);
        }
        for text in ["boss", "group:", "identity:", "expression:", "expression: \n", "owner:ada"] {
            assert_eq!(Reviewer::parse(text), None, "{text}");
        }
    }
}
