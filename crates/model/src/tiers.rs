//! How deep an action is looked at: by its tier.

use crate::{ArgumentRule, Requestable, Tier, Value};

/// Most ways in which the arguments of one action raise its tier.
pub const RAISES_MAX: usize = 16;

/// Arguments that make an action worse than it is otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    /// The tier that it then has at least.
    pub to: Tier,
    /// It has that tier unless the arguments keep all of these rules: what cannot be compared
    /// raises it too.
    pub unless: Vec<ArgumentRule<Value>>,
}

/// What an action of a tier needs beside a policy that permits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// Nothing.
    Policy,
    /// That who acts has lately proved it with more than a secret that can be copied, and that
    /// nobody has fallen silent who would tell of it otherwise; else a person.
    FreshFacts,
    /// A person.
    Person,
}

impl Depth {
    /// Every value, least first.
    pub const ALL: [Self; 3] = [Self::Policy, Self::FreshFacts, Self::Person];

    /// The word for it in configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::FreshFacts => "fresh_facts",
            Self::Person => "person",
        }
    }
}

/// What an action of one tier needs, and whom to ask where it needs a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierRule {
    /// What it needs.
    pub needs: Depth,
    /// Who may approve, how many of them must, and for how long.
    pub terms: Requestable,
    /// How old the last word may be of those who vouch for everyone concerned, in seconds, where
    /// facts must be fresh. `None`: only a stream's silence that is said to be one counts.
    pub signals_s: Option<u32>,
}

/// What actions need by their tiers. Those of tier `low` and `moderate` need nothing beside
/// policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiers {
    /// Tier `high`, and whatever is above what an intent lets go without an approval.
    pub high: TierRule,
    /// Tier `critical`.
    pub critical: TierRule,
    /// How old a proof may be that counts as fresh, in seconds.
    pub proof_s: u32,
}

impl Default for Tiers {
    fn default() -> Self {
        let terms = Requestable { approvers: "principal.owner".into(), quorum: 1, ttl_s: 900 };
        Self {
            high: TierRule { needs: Depth::FreshFacts, terms: terms.clone(), signals_s: None },
            critical: TierRule { needs: Depth::Person, terms, signals_s: None },
            proof_s: 3600,
        }
    }
}

impl Tiers {
    /// Policies alone decide, whatever the tier.
    pub fn policy_alone() -> Self {
        let mut tiers = Self::default();
        (tiers.high.needs, tiers.critical.needs) = (Depth::Policy, Depth::Policy);
        tiers
    }

    /// The rule of a tier; `None` where policies alone decide.
    pub const fn rule(&self, tier: Tier) -> Option<&TierRule> {
        match tier {
            Tier::Low | Tier::Moderate => None,
            Tier::High => Some(&self.high),
            Tier::Critical => Some(&self.critical),
        }
    }
}
