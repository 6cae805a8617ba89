//! The form of `reviews/*.yaml`. Its comments are what editors show.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use safeconduct_model::{IdentityId, IdentityKind, ScheduleName, Tier, Timestamp};
use safeconduct_review::{
    Effect, Escalate, Expression, GrantKind, Only, Recurrence, RemediationStyle, Response,
    Reviewer, Strategy, Trigger,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Span, Text, Vocabulary, Word, Written};

/// A campaign of access reviews: which rights, who reviews them in which stages, and what comes
/// of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Safeconduct review campaign")]
pub struct CampaignForm {
    /// Its name: lowercase letters, digits, `-` and `_`.
    pub campaign: Written<ScheduleName>,
    /// What it is for, in a sentence.
    #[schemars(length(min = 1, max = 1024))]
    pub description: Option<String>,
    /// Who signs it off.
    pub owner: Written<IdentityId>,
    /// Which rights: those that fit all that is said. Without it, every right of everyone.
    #[serde(default)]
    pub scope: ScopeForm,
    /// How far back use is looked at, in whole days; 90 days where nothing is said.
    pub window: Option<Written<Span>>,
    /// Its stages, in order.
    #[schemars(length(min = 1, max = 8))]
    pub stages: Vec<StageForm>,
    /// How the outcomes of stages become that of a case; `one_deny_denies` where nothing is said.
    pub strategy: Option<Word<Strategy>>,
    /// After which outcomes of a stage a case goes no further.
    pub stop_on: Option<BTreeSet<Word<Response>>>,
    /// After which outcomes of a stage a case goes on to the next; `stop_on` counts where both
    /// are said.
    pub advance_on: Option<BTreeSet<Word<Response>>>,
    /// What becomes of a right about which nobody said anything, by its tier; where nothing is
    /// said it is kept below tier `high`, and suspended from there on.
    #[serde(default)]
    pub no_answer: BTreeMap<Word<Tier>, Word<Effect>>,
    /// Whether what is decided is carried out; `automatic` where nothing is said.
    pub remediation: Option<Word<RemediationStyle>>,
    /// How long people have notice of what is carried out, from the signature on: `14d`; it is then
    /// planned by itself. Without it somebody plans it (`review remediate schedule --campaign`).
    pub notice: Option<Written<Span>>,
    /// How often cases without an answer are put to reviewers again; never where nothing is said.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub iterations: u32,
    /// When it begins by itself, again and again.
    pub schedule: Option<RecurrenceForm>,
    /// What else it begins by, each time about one holder.
    #[serde(default)]
    pub on: BTreeSet<Word<Trigger>>,
    /// The risk analysis that says how often, by the id that it has elsewhere.
    #[schemars(length(min = 1, max = 128))]
    pub risk_analysis: Option<String>,
}

/// Which rights. What is not said does not matter.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeForm {
    /// Rights of these.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub holders: BTreeSet<Written<IdentityId>>,
    /// Rights of identities of these kinds.
    #[serde(default)]
    pub kinds: BTreeSet<Word<IdentityKind>>,
    /// Rights of those whom one of these owns.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub owners: BTreeSet<Written<IdentityId>>,
    /// Rights of identities in these environments.
    #[serde(default)]
    #[schemars(length(max = 100), extend("items" = {"type": "string", "minLength": 1}))]
    pub environments: BTreeSet<String>,
    /// Rights of these tiers.
    #[serde(default)]
    pub tiers: BTreeSet<Word<Tier>>,
    /// Rights from these sources.
    #[serde(default)]
    pub sources: BTreeSet<Word<GrantKind>>,
    /// Those of which this expression is true, in Cedar: `resource` is who holds the right,
    /// `context` the right (docs/reviews.md says what is known of them).
    #[serde(rename = "where")]
    pub condition: Option<Written<Expression>>,
    /// Which of those; all where nothing is said.
    pub only: Option<Word<Only>>,
}

/// One stage.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageForm {
    /// What people call it.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// How long it is open: `14d`; at most 366 days.
    pub lasts: Written<Span>,
    /// Who reviews: everyone whom one of these names.
    #[schemars(length(min = 1, max = 16))]
    pub reviewers: Vec<ReviewerForm>,
    /// Who does where those name nobody.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub fallback: Vec<ReviewerForm>,
    /// How answers become its outcome; `one_accept_accepts` where nothing is said.
    pub strategy: Option<Word<Strategy>>,
    /// Its outcome for a case that nobody can review; `no_response` where nothing is said.
    pub if_no_reviewers: Option<Word<Response>>,
    /// After which of its outcomes a case goes no further, in place of what the campaign says.
    pub stop_on: Option<BTreeSet<Word<Response>>>,
    /// After which of its outcomes a case goes on.
    pub advance_on: Option<BTreeSet<Word<Response>>>,
    /// How long before its end those who have not answered are told again: `2d`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub reminders: Vec<Written<Span>>,
    /// Who else is asked, and when.
    #[serde(default)]
    #[schemars(length(max = 4))]
    pub escalations: Vec<EscalationForm>,
}

/// Who reviews.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ReviewerForm {
    /// `owner`, `fallback_owner`, `manager`, `group:NAME`, `identity:ID` or `expression:TEXT`.
    Named(Written<Reviewer>),
    /// Everyone for whom an expression is true of the case.
    Expression(ExpressionForm),
}

/// Everyone for whom an expression is true of the case.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpressionForm {
    /// The expression, in Cedar: `principal` is the person who would review, `resource` who holds
    /// the right, `context` the right (docs/reviews.md says what is known of them).
    pub expression: Written<Expression>,
}

impl ReviewerForm {
    /// Whom it names.
    pub fn reviewer(&self) -> Reviewer {
        match self {
            Self::Named(named) => named.0.clone(),
            Self::Expression(form) => Reviewer::Expression(form.expression.0.clone()),
        }
    }
}

/// Others who are asked once a stage has been open for a while.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EscalationForm {
    /// How long after the beginning of the stage.
    pub after: Written<Span>,
    /// Whom.
    #[schemars(length(min = 1, max = 16))]
    pub to: Vec<ReviewerForm>,
    /// Beside those who have not answered (`add`, which is so where nothing is said), or in their
    /// place (`replace`).
    pub how: Option<Word<Escalate>>,
}

/// When it begins: a day, and every so many days or months from then on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecurrenceForm {
    /// The first day, in UTC: `2027-01-31`.
    pub from: Written<Day>,
    /// Every so many days.
    #[schemars(range(min = 1, max = 3660))]
    pub days: Option<u32>,
    /// Every so many months, on the same day; where a month is too short, on its last.
    #[schemars(range(min = 1, max = 3660))]
    pub months: Option<u32>,
}

/// A day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub Timestamp);

impl Text for Day {
    const FORMAT: &'static str = "day";
    fn read(text: &str) -> Result<Self, String> {
        Recurrence::day(text).map(Self).ok_or_else(|| "this is no day".to_owned())
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Owned(self.0.to_string().chars().take("2027-01-31".len()).collect())
    }
}

impl Text for Reviewer {
    const FORMAT: &'static str = "reviewer";
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| "this is no reviewer".to_owned())
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl Text for Expression {
    const FORMAT: &'static str = "case-expression";
    fn read(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }
    fn written(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }
}

macro_rules! vocabularies {
    ($($name:ident = $what:literal;)*) => {$(
        impl Vocabulary for $name {
            const WHAT: &'static str = $what;
            fn words() -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.as_str()).collect()
            }
            fn of(word: &str) -> Option<Self> {
                Self::parse(word)
            }
            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )*};
}

vocabularies! {
    Effect = "effect of a review";
    Escalate = "way to escalate";
    GrantKind = "source of rights";
    Only = "word for which rights";
    RemediationStyle = "style of remediation";
    Response = "response";
    Strategy = "strategy";
    Trigger = "trigger";
}
