//! A recorded permit decided again under the set that is in force: not only whether it is denied,
//! but by what, or by what it is permitted still. That says what has become of one right.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_model::{PolicyEffect, PolicyId};

use super::classes::RegoFiles;
use super::era::Era;
use super::told::Told;
use super::view::{Near, near, views};
use super::weigh::{Said, Scales, is_enforced, misfit, near_then, unique};
use super::{NotReplayable, RecordedDecision, Surroundings};
use crate::excepted::known;
use crate::policies::Policies;

/// Whose right it is that a decision is looked at for.
#[derive(Debug, Clone, Copy)]
pub struct OfHolder<'a> {
    /// Who, by the id of their entity.
    pub holder: &'a str,
    /// What is set aside of them: such a permit gives them nothing.
    pub aside: &'a BTreeSet<PolicyId>,
}

/// What a set says to a recorded permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redecided {
    /// It is permitted: the policies that give it to the holder.
    Permitted(Arc<[PolicyId]>),
    /// It is denied.
    Denied(Redenied),
    /// Nobody knows.
    Unknown(NotReplayable),
}

/// Why a recorded permit is denied now, as far as the holder is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redenied {
    /// Whether nothing gives it to the holder any more. What is denied for somebody else, for the
    /// user of a task for instance, does not say so.
    pub ungiven: bool,
    /// The policies that forbid it.
    pub forbids: Arc<[PolicyId]>,
    /// The policies that could not be evaluated: an error denies, and proves nothing.
    pub failed: Arc<[PolicyId]>,
    /// The policies that would give it, were it not for those.
    pub permits: Arc<[PolicyId]>,
}

/// What the statements in force say to one question.
#[derive(Default)]
struct Heard {
    permits: Vec<PolicyId>,
    forbids: Vec<PolicyId>,
    failed: Vec<PolicyId>,
    /// A permit that may hold.
    may_permit: Option<NotReplayable>,
    /// Something that may forbid, or fail.
    may_deny: Option<NotReplayable>,
}

impl Heard {
    /// Whether nothing permits it, whatever is not known.
    fn gives_nothing(&self) -> bool {
        self.permits.is_empty() && self.may_permit.is_none()
    }

    fn denied(self, ungiven: bool) -> Redecided {
        Redecided::Denied(Redenied {
            ungiven,
            forbids: unique(self.forbids),
            failed: unique(self.failed),
            permits: unique(self.permits),
        })
    }
}

/// Decides one permit again; of the sets, whether the first made it.
pub(super) fn redecide(
    (era, new, ours): (&Era<'_>, &Policies, bool),
    recorded: &RecordedDecision<'_>,
    around: &dyn Surroundings,
    of: &OfHolder<'_>,
) -> Redecided {
    let Some(told) = Told::of(recorded.decided) else {
        return Redecided::Unknown(NotReplayable::OtherStage);
    };
    let Some(views) = views(recorded, around) else {
        return Redecided::Unknown(NotReplayable::UnknownUser);
    };
    let olds = near_then(era, ours, &views, recorded);
    if ours && let Some(policy) = misfit(&told, &olds) {
        return Redecided::Unknown(NotReplayable::DoesNotFit(policy));
    }
    let sorted = &era.classes.new;
    let news: Vec<_> = views.iter().map(|view| near(new, sorted, view, recorded.decided)).collect();
    let mut scales = Scales::of((era, new, ours), told, (&views, &olds), recorded, around);
    let again = scales.again(&news, of);
    // What was evaluated rests on what was recalled, which is not what it was.
    match scales.incomplete.take() {
        Some(policy) => Redecided::Unknown(NotReplayable::ContextIncomplete(policy)),
        None => again,
    }
}

impl Scales<'_, '_> {
    /// Every question has to be permitted; of several denials the one counts that says the most of
    /// the holder.
    fn again(&mut self, news: &[Option<Vec<Near<'_>>>], of: &OfHolder<'_>) -> Redecided {
        let (mut permits, mut open) = (Vec::new(), None);
        let mut denied: Option<Redenied> = None;
        for (at, (view, new)) in self.views.iter().zip(news).enumerate() {
            let own = view.principal.uid.id.as_str() == of.holder;
            let heard = match new {
                Some(new) => self.hear(at, new, own.then_some(of.aside)),
                // What no schema declares is denied.
                None => Heard::default(),
            };
            match self.concluded(heard) {
                Redecided::Permitted(by) if own => permits.extend(by.iter().cloned()),
                Redecided::Permitted(_) => {}
                Redecided::Unknown(why) => open = open.or(Some(why)),
                Redecided::Denied(one) if own => {
                    denied = Some(denied.filter(|denied| denied.ungiven).unwrap_or(one));
                }
                Redecided::Denied(_) => denied = Some(denied.unwrap_or_default()),
            }
        }
        match (denied, open) {
            (Some(denied), _) => Redecided::Denied(denied),
            (None, Some(why)) => Redecided::Unknown(why),
            (None, None) => Redecided::Permitted(unique(permits)),
        }
    }

    fn hear(&mut self, at: usize, new: &[Near<'_>], aside: Option<&BTreeSet<PolicyId>>) -> Heard {
        let mut heard = Heard::default();
        let known_to_be = self.views.get(at).filter(|view| view.known.principal);
        let who = known_to_be.map(|view| self.new.who(&view.principal));
        for near in new.iter().filter(|near| is_enforced(near)) {
            let reference = &near.entry.statement.info.reference;
            let id = reference.id.clone();
            let permits = reference.effect == PolicyEffect::Permit;
            // Who is excepted by name is given nothing, whatever else is asked: a condition that
            // looks at what nobody knows does not stand in the way of that.
            let condition = near.entry.statement.condition.expression();
            let excepted = condition.zip(who.as_ref()).and_then(|(c, who)| known(c, who));
            if permits && excepted == Some(false) {
                continue;
            }
            let is_aside = permits && aside.is_some_and(|aside| aside.contains(&id));
            match self.said(at, near) {
                Said::Not => {}
                Said::Failed => heard.failed.push(id),
                Said::Holds | Said::Either(_) if is_aside => {}
                // Set aside or not, one that may fail may deny.
                Said::Open(why) if is_aside => heard.may_deny = heard.may_deny.or(Some(why)),
                Said::Holds if permits => heard.permits.push(id),
                Said::Holds => heard.forbids.push(id),
                Said::Either(why) if permits => {
                    heard.may_permit = heard.may_permit.or(Some(why));
                }
                Said::Either(why) => heard.may_deny = heard.may_deny.or(Some(why)),
                Said::Open(why) => {
                    if permits {
                        heard.may_permit = heard.may_permit.or(Some(why.clone()));
                    }
                    heard.may_deny = heard.may_deny.or(Some(why));
                }
            }
        }
        heard
    }

    fn concluded(&self, mut heard: Heard) -> Redecided {
        if !heard.forbids.is_empty() || !heard.failed.is_empty() {
            let ungiven = self.gives_nothing(&heard);
            return heard.denied(ungiven);
        }
        if self.gives_nothing(&heard) {
            return heard.denied(true);
        }
        if self.rego != RegoFiles::None {
            return Redecided::Unknown(NotReplayable::Rego);
        }
        match heard.may_deny.take() {
            Some(why) => Redecided::Unknown(why),
            None if !heard.permits.is_empty() => Redecided::Permitted(unique(heard.permits)),
            None => {
                let why = heard.may_permit.take();
                why.map_or_else(|| Heard::default().denied(true), Redecided::Unknown)
            }
        }
    }

    /// Whether nothing of the set gives it: Rego files permit only where nothing of Cedar stands
    /// beside them.
    fn gives_nothing(&self, heard: &Heard) -> bool {
        heard.gives_nothing() && (self.rego == RegoFiles::None || self.new.has_cedar())
    }
}
