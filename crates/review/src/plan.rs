//! A campaign with what it is about and when it begins: the whole of what its author writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{Identity, IdentityId, IdentityKind, IdentityStatus, Tier};

use crate::{Definition, Expression, GrantSource, Recurrence};

/// How many days back use is looked at where nothing is said.
pub const WINDOW_DAYS: u32 = 90;

/// Most days back that use is looked at.
pub const WINDOW_DAYS_MAX: u32 = 3660;

/// Everything that the author of a campaign says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Stages, reviewers, effects.
    pub definition: Arc<Definition>,
    /// Which rights.
    pub scope: Scope,
    /// How many days back use is looked at: 1 to [`WINDOW_DAYS_MAX`].
    pub window_days: u32,
    /// When it begins by itself.
    pub schedule: Option<Recurrence>,
    /// What else it begins by, for one holder each time.
    pub on: BTreeSet<Trigger>,
    /// The risk analysis that says how often (PCI DSS 4.0.1, 12.3.1), by its id elsewhere.
    pub risk_analysis: Option<Arc<str>>,
}

impl Plan {
    /// Whether it stays, to begin by itself.
    pub fn is_standing(&self) -> bool {
        self.schedule.is_some() || !self.on.is_empty()
    }
}

/// What begins a campaign about one holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// Rules were set aside.
    BreakGlass,
    /// Something is wrong with what they have.
    Finding,
    /// The policies give them a right of tier high or above that they did not have.
    Grant,
    /// What they do is no longer what it was.
    Drift,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 4] = [Self::BreakGlass, Self::Finding, Self::Grant, Self::Drift];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreakGlass => "break_glass",
            Self::Finding => "finding",
            Self::Grant => "grant",
            Self::Drift => "drift",
        }
    }

    /// The trigger of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == word)
    }
}

/// What gives a right, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantKind {
    /// A statement of the policies.
    Statement,
    /// An intent that may be undertaken.
    Intent,
    /// A user's standing word.
    Delegation,
    /// A credential at a target.
    Lease,
}

impl GrantKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Statement, Self::Intent, Self::Delegation, Self::Lease];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Intent => "intent",
            Self::Delegation => "delegation",
            Self::Lease => "lease",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The kind of what gives a right.
    pub const fn of(source: &GrantSource) -> Self {
        match source {
            GrantSource::Statement(_) => Self::Statement,
            GrantSource::Intent { .. } => Self::Intent,
            GrantSource::Delegation { .. } => Self::Delegation,
            GrantSource::Lease { .. } => Self::Lease,
        }
    }
}

/// Which rights a campaign is about: those that fit everything that is said. An empty list says
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Of these holders.
    pub holders: BTreeSet<IdentityId>,
    /// Of holders of these kinds.
    pub kinds: BTreeSet<IdentityKind>,
    /// Of holders whom one of these owns.
    pub owners: BTreeSet<IdentityId>,
    /// Of holders in these environments.
    pub environments: BTreeSet<Arc<str>>,
    /// Of these tiers.
    pub tiers: BTreeSet<Tier>,
    /// From these sources.
    pub sources: BTreeSet<GrantKind>,
    /// Of which this is true: whoever reads the rights asks it of each.
    pub condition: Option<Expression>,
    /// Which of them.
    pub only: Only,
}

/// Which of the rights that fit otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Only {
    /// All.
    #[default]
    All,
    /// Those that nobody used within the window.
    Unused,
    /// Those of holders with an open finding.
    WithFindings,
}

impl Only {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::All, Self::Unused, Self::WithFindings];

    /// The word for it on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Unused => "unused",
            Self::WithFindings => "with_findings",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|only| only.as_str() == word)
    }
}

impl Scope {
    /// Whether rights of that holder can be in it. Who was retired holds nothing any more.
    pub fn admits_holder(&self, holder: &Identity) -> bool {
        fn says<T: Ord>(list: &BTreeSet<T>, value: Option<&T>) -> bool {
            list.is_empty() || value.is_some_and(|value| list.contains(value))
        }
        let environment = holder.environment.as_deref().map(Arc::<str>::from);
        holder.status != IdentityStatus::Retired
            && says(&self.holders, Some(&holder.id))
            && says(&self.kinds, Some(&holder.kind))
            && says(&self.owners, holder.owner.as_ref())
            && says(&self.environments, environment.as_ref())
    }

    /// Whether rights from that source can be in it.
    pub fn admits_source(&self, kind: GrantKind) -> bool {
        self.sources.is_empty() || self.sources.contains(&kind)
    }

    /// Whether rights of that tier are in it.
    pub fn admits_tier(&self, tier: Tier) -> bool {
        self.tiers.is_empty() || self.tiers.contains(&tier)
    }
}
