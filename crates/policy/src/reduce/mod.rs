//! Right-sizing: the smallest change to policy texts that still permits what was used.
//!
//! [`Used`] gathers what permits were used for. [`reduce`] narrows the scope of a statement to
//! that, takes a statement out that nobody used, or takes one principal out of a statement that
//! only others used. Everything else of the files stays byte for byte. [`widened`] holds every
//! result against the set that it came from: what it cannot show to be narrower is refused.

mod edit;
mod envelope;
mod fails;
mod head;
mod learn;
mod left;
mod narrow;
mod obliged;
mod subset;
mod used;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cedar_policy_core::ast::PrincipalOrResourceConstraint;
use safeconduct_model::{Entity, PolicyEffect, PolicyId, Span, Timestamp};

pub use envelope::{NarrowedEnvelope, narrow_envelope};
pub(crate) use fails::failing;
pub use learn::{Learned, learn};
pub use left::still_given;
pub(crate) use obliged::{For, lost_to, matches};
pub use subset::{Widened, widened};
pub use used::{StatementUse, Touched, USED_ACTIONS_MAX, Used};

use crate::annotations::PolicyMode;
use crate::policies::{Entry, Policies, Statement};
use crate::replay::Surroundings;
use crate::source::SourceFile;
use edit::Edits;
use head::Head;

/// Which statements are looked at.
#[derive(Debug, Clone)]
pub enum Chosen<'a> {
    /// All of them.
    All,
    /// Those of these ids.
    Policies(&'a BTreeSet<PolicyId>),
    /// Those that can apply to somebody. What only others used is taken from them; what others
    /// used too is narrowed to what all of them used.
    Holder(&'a Entity),
}

/// What is known of the use of statements, and since when.
pub struct Evidence<'a> {
    /// What they were used for.
    pub used: &'a Used,
    /// When the record that was looked at begins.
    pub from: Timestamp,
    /// Since when each statement is known to have been in force. A statement of which that is
    /// not known, or that is older than the record, is left alone: what is not seen may be used.
    pub since: &'a BTreeMap<PolicyId, Timestamp>,
    /// What surrounds decisions.
    pub around: &'a dyn Surroundings,
}

/// What is proposed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reduction {
    /// The files that change, as they would be; none where nothing is proposed.
    pub files: Vec<ReducedFile>,
    /// What becomes of each statement that was looked at, in the order of files.
    pub statements: Vec<(PolicyId, Span, Proposal)>,
}

/// A file that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReducedFile {
    /// Its name.
    pub name: Arc<str>,
    /// Its text as it is.
    pub before: Arc<str>,
    /// Its text as it would be.
    pub after: Arc<str>,
}

/// What becomes of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proposal {
    /// Its scope names less: which parts of it.
    Narrowed(Vec<&'static str>),
    /// It goes: nobody used it.
    Removed,
    /// It no longer applies to the one that was looked at, who did not use it.
    Excluded,
    /// It stays as it is.
    Kept(Kept),
}

/// Why a statement stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// All that its scope names was used, or its scope cannot say less.
    Used,
    /// It is older than the record that was looked at.
    OlderThanTheRecord,
    /// Since when it is in force is not known.
    AgeUnknown,
    /// It forbids: less of it would permit more.
    Forbid,
    /// It has no effect.
    Shadow,
    /// What it was used for cannot be told in full.
    UseNotKnown,
    /// One without an `@id` stands after it in its file, whose name would change.
    Unnamed,
    /// It obliges to what another permit does not, which could permit the same without it.
    Obligation,
    /// It denies where its condition fails, which another permit could permit without it.
    MayFail,
    /// Its text could not be changed without losing a comment.
    Comment,
}

impl Proposal {
    /// The word for it on every wire.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Narrowed(_) => "narrowed",
            Self::Removed => "removed",
            Self::Excluded => "excluded",
            Self::Kept(_) => "kept",
        }
    }
}

/// A few words for people.
impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Narrowed(parts) => write!(f, "narrowed: {}", parts.join(", ")),
            Self::Removed => f.write_str("removed: nobody used it"),
            Self::Excluded => f.write_str("taken away: only others used it"),
            Self::Kept(why) => write!(f, "kept: {}", why.words()),
        }
    }
}

impl Kept {
    const fn words(self) -> &'static str {
        match self {
            Self::Used => "all that it names was used",
            Self::OlderThanTheRecord => {
                "it is older than the record that was looked at, so its use is not known in full"
            }
            Self::AgeUnknown => "since when it is in force is not known",
            Self::Forbid => "it forbids",
            Self::Shadow => "it has no effect",
            Self::UseNotKnown => "what it was used for cannot be told in full",
            Self::Unnamed => "one after it has no `@id`, and would change its name",
            Self::Obligation => {
                "it has obligations that would be lost where another permit permits the same"
            }
            Self::MayFail => {
                "its condition can fail, which denies; another permit could permit the same without it"
            }
            Self::Comment => "a comment stands where its scope would change",
        }
    }
}

/// Proposes the smallest change to the texts of a set that still permits what was used.
pub fn reduce(policies: &Policies, chosen: &Chosen<'_>, evidence: &Evidence<'_>) -> Reduction {
    let near = chosen_entries(policies, chosen);
    let mut reduction = Reduction::default();
    for (name, unit) in &policies.units {
        let mut edits = Edits::of(&unit.text);
        let mut found = Vec::new();
        // From the end, so that it is known whether one without a name stays after another.
        let mut unnamed_stays = false;
        for statement in unit.statements.iter().rev() {
            let id = &statement.info.reference.id;
            let head = Head::of(&unit.text, statement.range.clone());
            let is_named = head.as_ref().is_some_and(|head| head.is_named);
            let one = One { policies, statement, head, unnamed_stays };
            let proposal = near.contains(id).then(|| one.propose(chosen, evidence, &mut edits));
            unnamed_stays |= !is_named && proposal != Some(Proposal::Removed);
            let span = statement.info.reference.span.clone();
            found.extend(proposal.map(|proposal| (id.clone(), span, proposal)));
        }
        reduction.statements.extend(found.into_iter().rev());
        if let Some(after) = edits.applied() {
            let (name, before) = (Arc::clone(name), Arc::clone(&unit.text));
            reduction.files.push(ReducedFile { name, before, after: after.into() });
        }
    }
    reduction
}

impl Reduction {
    /// The files of a set with those that change in their place.
    pub fn applied(&self, files: &[SourceFile]) -> Vec<SourceFile> {
        let changed = |file: &SourceFile| {
            let found = self.files.iter().find(|changed| changed.name == file.name);
            found.map_or_else(
                || file.clone(),
                |changed| SourceFile::new(Arc::clone(&file.name), Arc::clone(&changed.after)),
            )
        };
        files.iter().map(changed).collect()
    }
}

/// Whether the statement that stands there has an `@id`; not where its text is not laid out as
/// expected.
pub(crate) fn is_named(text: &str, range: std::ops::Range<usize>) -> bool {
    Head::of(text, range).is_some_and(|head| head.is_named)
}

fn chosen_entries(policies: &Policies, chosen: &Chosen<'_>) -> BTreeSet<PolicyId> {
    let id = |entry: &Entry| entry.statement.info.reference.id.clone();
    match chosen {
        Chosen::All => policies.entries().map(id).collect(),
        Chosen::Policies(ids) => (*ids).clone(),
        Chosen::Holder(entity) => match policies.standing_rights(entity) {
            Ok(rights) => {
                let rights = rights.permits.iter().chain(&rights.shadow);
                rights.map(|right| right.statement.info().reference.id.clone()).collect()
            }
            Err(_) => BTreeSet::new(),
        },
    }
}

/// One statement in its file.
struct One<'a> {
    policies: &'a Policies,
    statement: &'a Statement,
    /// Where its scope stands; nothing where it is not laid out as expected.
    head: Option<Head>,
    /// Whether one without a name stays after it in its file: its number is its name.
    unnamed_stays: bool,
}

impl One<'_> {
    fn propose(&self, chosen: &Chosen<'_>, evidence: &Evidence<'_>, edits: &mut Edits) -> Proposal {
        let info = &self.statement.info;
        let id = &info.reference.id;
        if info.reference.effect == PolicyEffect::Forbid {
            return Proposal::Kept(Kept::Forbid);
        }
        if info.mode == PolicyMode::Shadow {
            return Proposal::Kept(Kept::Shadow);
        }
        match evidence.since.get(id) {
            None => return Proposal::Kept(Kept::AgeUnknown),
            Some(since) if *since < evidence.from => {
                return Proposal::Kept(Kept::OlderThanTheRecord);
            }
            Some(_) => {}
        }
        // Others that go by the same proposal count as if they stayed.
        let others = self.policies.entries().map(|entry| &*entry.statement);
        let others = others.filter(|other| !std::ptr::eq(*other, self.statement));
        if lost_to(&self.policies.schema, self.statement, For::Everyone, others).is_some() {
            return Proposal::Kept(Kept::Obligation);
        }
        let Some(head) = &self.head else {
            return Proposal::Kept(Kept::Comment);
        };
        let Some(used) = evidence.used.statement(id) else {
            return if self.may_fail() {
                Proposal::Kept(Kept::MayFail)
            } else {
                self.remove(edits)
            };
        };
        if let Chosen::Holder(holder) = chosen
            && used.principals.is_without(&holder.uid)
            && !matches!(self.statement.principal, PrincipalOrResourceConstraint::Eq(_))
        {
            // It fails for them as before: the exception comes after what may.
            return self.exclude(holder, edits);
        }
        if self.may_fail() {
            return Proposal::Kept(Kept::MayFail);
        }
        self.narrow(head, used, evidence.around, edits)
    }

    /// Whether another permit may permit what this one denies by failing; those that go by the same
    /// proposal count as if they stayed.
    fn may_fail(&self) -> bool {
        let others = self.policies.entries().map(|entry| &*entry.statement);
        let others = others.filter(|other| !std::ptr::eq(*other, self.statement));
        failing(&self.policies.schema, self.statement, others).is_some()
    }

    fn remove(&self, edits: &mut Edits) -> Proposal {
        if self.unnamed_stays {
            return Proposal::Kept(Kept::Unnamed);
        }
        edits.remove(self.statement.range.clone());
        Proposal::Removed
    }

    fn exclude(&self, holder: &Entity, edits: &mut Edits) -> Proposal {
        let Some(uid) = narrow::uid(self.policies, &holder.uid) else {
            return Proposal::Kept(Kept::UseNotKnown);
        };
        if edits.unless(self.statement.range.clone(), &format!("principal == {uid}")) {
            Proposal::Excluded
        } else {
            Proposal::Kept(Kept::Comment)
        }
    }

    fn narrow(
        &self,
        head: &Head,
        used: &StatementUse,
        around: &dyn Surroundings,
        edits: &mut Edits,
    ) -> Proposal {
        let wanted = narrow::Wanted::of(self.policies, self.statement, used, around);
        let (mut parts, mut in_the_way) = (Vec::new(), false);
        let mut tell = |part, done: Option<bool>| match done {
            Some(true) => parts.push(part),
            Some(false) => in_the_way = true,
            None => {}
        };
        let principal = wanted.principal.as_ref();
        tell("principal", principal.map(|to| edits.constrain(&head.principal, to)));
        tell("action", wanted.actions.map(|to| edits.actions(&head.action, &to)));
        let resource = wanted.resource.as_ref();
        tell("resource", resource.map(|to| edits.constrain(&head.resource, to)));
        match (parts.is_empty(), in_the_way) {
            (false, _) => Proposal::Narrowed(parts),
            (true, true) => Proposal::Kept(Kept::Comment),
            (true, false) if used.is_cut() => Proposal::Kept(Kept::UseNotKnown),
            (true, false) => Proposal::Kept(Kept::Used),
        }
    }
}
