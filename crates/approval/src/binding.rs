//! What a request is about, and what is held against it when an approval is to be used.

use std::collections::BTreeSet;

use safeconduct_model::{
    ActionName, EntityRef, EntityType, IdentityId, IntentName, KeyedDigest, TaskId, Value,
};

/// The one thing that was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Who wants to act, as policies name them.
    pub principal: EntityRef,
    /// Who acts, and who delegated to them, outwards: the first is the one who acts. One to
    /// [`crate::ACTORS_MAX`].
    pub actors: Vec<IdentityId>,
    /// For whom, where it is for someone.
    pub on_behalf_of: Option<IdentityId>,
    /// In which task, where it is in one.
    pub task: Option<TaskId>,
    /// Under which intent.
    pub intent: Option<IntentName>,
    /// What is done.
    pub action: ActionName,
    /// What it is done to; at most [`safeconduct_model::RESOURCES_MAX`].
    pub resources: BTreeSet<EntityRef>,
    /// Keyed digest of the canonical bytes of the arguments (RFC 8785: neither the order of
    /// members nor the form of a number counts, every character of a text does), and of what the
    /// enforcement point says beside them. The key must live as long as the request.
    pub arguments: KeyedDigest,
}

/// The arguments in hand: what somebody tries, or what an approver was shown.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// What is tried, by whom. Its digest is that of `input` and `asserted`.
    pub binding: &'a Binding,
    /// The arguments.
    pub input: &'a Value,
    /// What the enforcement point says beside them.
    pub asserted: Option<&'a Value>,
    /// The digest of arguments as [`Binding::arguments`] is made, under the same key, with
    /// `asserted` beside them where there is any.
    pub digest: &'a dyn Fn(&Value) -> KeyedDigest,
}

/// Where what is tried is not what was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mismatch {
    /// Another principal.
    Principal,
    /// Another chain of actors.
    Actors,
    /// Another user, or none.
    OnBehalfOf,
    /// Another task, or none.
    Task,
    /// Another intent.
    Intent,
    /// Another action.
    Action,
    /// Other resources.
    Resources,
    /// Other arguments.
    Arguments,
}

impl Mismatch {
    /// What differs, in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Actors => "actors",
            Self::OnBehalfOf => "on_behalf_of",
            Self::Task => "task",
            Self::Intent => "intent",
            Self::Action => "action",
            Self::Resources => "resources",
            Self::Arguments => "arguments",
        }
    }
}

impl Binding {
    /// Whether the same parties want the same action under the same intent: what no approval
    /// leaves open.
    pub(crate) fn same_parties(&self, other: &Self) -> Result<(), Mismatch> {
        let checks = [
            (self.principal == other.principal, Mismatch::Principal),
            (self.actors == other.actors, Mismatch::Actors),
            (self.on_behalf_of == other.on_behalf_of, Mismatch::OnBehalfOf),
            (self.intent == other.intent, Mismatch::Intent),
            (self.action == other.action, Mismatch::Action),
        ];
        checks.into_iter().find(|(same, _)| !same).map_or(Ok(()), |(_, mismatch)| Err(mismatch))
    }

    /// The types of what it touches.
    pub(crate) fn resource_types(&self) -> BTreeSet<&EntityType> {
        self.resources.iter().map(|resource| &resource.ty).collect()
    }
}
