//! What an expression sees of people and rights: the members that it names, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::{Value, Var};
use safeconduct_model::{Identity, IdentityId, IdentityKind, IdentityStatus, Role, Tier};
use smol_str::SmolStr;

/// A right, as far as expressions can look at it.
#[derive(Debug, Clone, Copy)]
pub struct CaseFacts<'a> {
    /// What gives it: `statement`, `intent`, `delegation`, `lease`.
    pub source: &'static str,
    /// Which one.
    pub name: &'a Arc<str>,
    /// Where that stands.
    pub at: Option<&'a Arc<str>>,
    /// What it permits.
    pub words: &'a Arc<str>,
    /// The highest tier of that.
    pub tier: Tier,
    /// How many actions that is.
    pub actions: u32,
    /// Who gave it, where that is known.
    pub given_by: Option<&'a IdentityId>,
    /// Who put it in force for all who hold it, where that is known.
    pub put_by: &'a [IdentityId],
}

/// The words for sources of rights.
pub(super) const SOURCES: [&str; 4] = ["statement", "intent", "delegation", "lease"];

macro_rules! members {
    ($(#[$what:meta])* $name:ident { $($variant:ident = $word:literal,)* }) => {
        $(#[$what])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum $name { $($variant,)* }

        impl $name {
            fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }

            const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

members! {
    /// A member of `principal` and of `resource`.
    IdentityMember {
        Id = "id",
        Kind = "kind",
        Status = "status",
        Owner = "owner",
        FallbackOwner = "fallback_owner",
        Sponsor = "sponsor",
        Environment = "environment",
        Groups = "groups",
        Roles = "roles",
        UserName = "user_name",
    }
}

members! {
    /// A member of `context`.
    CaseMember {
        Source = "source",
        Name = "name",
        At = "at",
        Words = "words",
        Tier = "tier",
        TierRank = "tier_rank",
        Actions = "actions",
        GivenBy = "given_by",
        PutBy = "put_by",
    }
}

/// A member of one of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Member {
    Person(IdentityMember),
    Holder(IdentityMember),
    Case(CaseMember),
}

impl Member {
    pub(super) fn parse(var: Var, word: &str) -> Option<Self> {
        match var {
            Var::Principal => IdentityMember::parse(word).map(Self::Person),
            Var::Resource => IdentityMember::parse(word).map(Self::Holder),
            Var::Context => CaseMember::parse(word).map(Self::Case),
            Var::Action => None,
        }
    }

    pub(super) const fn of_person(self) -> Option<IdentityMember> {
        match self {
            Self::Person(member) => Some(member),
            Self::Holder(_) | Self::Case(_) => None,
        }
    }

    pub(super) const fn of_holder(self) -> Option<IdentityMember> {
        match self {
            Self::Holder(member) => Some(member),
            Self::Person(_) | Self::Case(_) => None,
        }
    }

    pub(super) const fn of_case(self) -> Option<CaseMember> {
        match self {
            Self::Case(member) => Some(member),
            Self::Person(_) | Self::Holder(_) => None,
        }
    }

    /// Every word that it can be, or that can be in it, where these are few.
    pub(super) fn vocabulary(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Person(member) | Self::Holder(member) => match member {
                IdentityMember::Kind => {
                    Some(IdentityKind::ALL.iter().map(|kind| kind.as_str()).collect())
                }
                IdentityMember::Status => {
                    Some(IdentityStatus::ALL.iter().map(|status| status.as_str()).collect())
                }
                IdentityMember::Roles => Some(Role::ALL.iter().map(|role| role.as_str()).collect()),
                _ => None,
            },
            Self::Case(CaseMember::Source) => Some(SOURCES.to_vec()),
            Self::Case(CaseMember::Tier) => {
                Some(Tier::ALL.iter().map(|tier| tier.as_str()).collect())
            }
            Self::Case(_) => None,
        }
    }
}

/// The value of one member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Atom {
    Absent,
    Text(Arc<str>),
    Number(i64),
    /// In order, each once.
    Texts(Box<[Arc<str>]>),
}

/// The members that an expression names, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Atoms(pub(super) Arc<[Atom]>);

impl FromIterator<Atom> for Atoms {
    fn from_iter<I: IntoIterator<Item = Atom>>(atoms: I) -> Self {
        Self(atoms.into_iter().collect())
    }
}

impl IdentityMember {
    pub(super) fn of(self, identity: &Identity) -> Atom {
        let who = |id: &Option<IdentityId>| id.as_ref().map(IdentityId::shared);
        let text = |text: Option<Arc<str>>| text.map_or(Atom::Absent, Atom::Text);
        match self {
            Self::Id => Atom::Text(identity.id.shared()),
            Self::Kind => Atom::Text(identity.kind.as_str().into()),
            Self::Status => Atom::Text(identity.status.as_str().into()),
            Self::Owner => text(who(&identity.owner)),
            Self::FallbackOwner => text(who(&identity.fallback_owner)),
            Self::Sponsor => text(who(&identity.sponsor)),
            Self::Environment => text(identity.environment.as_deref().map(Into::into)),
            Self::Groups => {
                Atom::Texts(identity.groups.iter().map(|name| name.as_str().into()).collect())
            }
            Self::Roles => texts(identity.roles.iter().map(|role| role.as_str().into()).collect()),
            Self::UserName => {
                let imported = identity.imported.as_ref();
                text(imported.and_then(|imported| imported.user_name.clone()))
            }
        }
    }
}

impl CaseMember {
    pub(super) fn of(self, case: &CaseFacts<'_>) -> Atom {
        let text =
            |text: Option<&Arc<str>>| text.map_or(Atom::Absent, |t| Atom::Text(Arc::clone(t)));
        match self {
            Self::Source => Atom::Text(case.source.into()),
            Self::Name => text(Some(case.name)),
            Self::At => text(case.at),
            Self::Words => text(Some(case.words)),
            Self::Tier => Atom::Text(case.tier.as_str().into()),
            Self::TierRank => {
                let rank = Tier::ALL.iter().position(|tier| *tier == case.tier);
                Atom::Number(rank.and_then(|rank| i64::try_from(rank).ok()).unwrap_or(i64::MAX))
            }
            Self::Actions => Atom::Number(i64::from(case.actions)),
            Self::GivenBy => case.given_by.map_or(Atom::Absent, |giver| Atom::Text(giver.shared())),
            Self::PutBy => texts(case.put_by.iter().map(IdentityId::shared).collect()),
        }
    }
}

fn texts(mut all: Vec<Arc<str>>) -> Atom {
    all.sort_unstable();
    all.dedup();
    Atom::Texts(all.into())
}

/// The record that Cedar reads members of an identity from.
pub(super) fn identity_record(members: &[IdentityMember], atoms: &Atoms) -> Value {
    record(members.iter().map(|member| member.as_str()), atoms)
}

/// The record that Cedar reads members of a right from.
pub(super) fn case_record(members: &[CaseMember], atoms: &Atoms) -> Value {
    record(members.iter().map(|member| member.as_str()), atoms)
}

fn record(names: impl Iterator<Item = &'static str>, atoms: &Atoms) -> Value {
    let text = |text: &Arc<str>| SmolStr::from(Arc::clone(text));
    let mut members = BTreeMap::new();
    for (name, atom) in names.zip(&*atoms.0) {
        let value = match atom {
            Atom::Absent => continue,
            Atom::Text(said) => Value::from(text(said)),
            Atom::Number(number) => Value::from(*number),
            Atom::Texts(all) => Value::set_of_lits(all.iter().map(|said| text(said).into()), None),
        };
        members.insert(SmolStr::new_static(name), value);
    }
    Value::record_arc(Arc::new(members), None)
}

/// What the record of one of the three is called.
pub(super) const fn key(var: Var) -> SmolStr {
    SmolStr::new_static(match var {
        Var::Principal => "principal",
        Var::Resource => "resource",
        Var::Context => "case",
        Var::Action => "action",
    })
}
