//! Approvals of tests: asked for, answered and used as a server would, by the same rules and
//! without one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_approval::{
    Answer, AnswerError, Answerer, AskError, Attempt, Change, Docket, EditError, Event, Holders,
    Lowering, Opened, Opening, Pace, Person, Scope, Terms, edited, likeness,
};
use safeconduct_engine::{ApprovalFacts, Outcome};
use safeconduct_model::{
    Absent, Allowance, ArgumentRule, Assurance, Body, Constraint, Decision, Identity, IdentityId,
    IdentityKind, KeyedDigest, OtherArguments, RecordId, Request, ResourceRule, Tier, Timestamp,
    Value,
};
use thiserror::Error;

use crate::access::sealed::{Properties, Said};
use crate::access::{ANSWER_WITHIN_MS, parties};
use crate::definition_digest;

/// The access requests of a test, and what was approved of them.
#[derive(Debug, Clone)]
pub struct RehearsedApprovals {
    docket: Docket,
    /// How many were asked for.
    asked: u64,
}

/// A yes.
#[derive(Debug, Clone, Copy)]
pub struct RehearsedYes<'a> {
    /// Who says it, one after the other. Each is taken to have used a passkey.
    pub by: &'a [IdentityId],
    /// The most that numbers may be, by JSON Pointer.
    pub at_most: &'a [(Arc<str>, Value)],
    /// How often in the same task; once where nothing is said.
    pub uses: Option<u32>,
    /// For how many seconds in every task of the intent; in the same task alone where nothing is
    /// said.
    pub for_s: Option<u32>,
}

/// Why nothing was approved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RehearsedNo {
    /// Nobody can be asked for it.
    #[error("it is not a Deny that people can be asked to set aside")]
    NotRequestable,
    /// [`AskError`] says why nobody is asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// No user of that name.
    #[error("`{0}` is no user of this world")]
    NotAPerson(IdentityId),
    /// [`AnswerError`] says why the answer does not count.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// [`EditError`] says what cannot be lowered.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// No argument of its own stands there.
    #[error("no argument of its own stands at `{0}`")]
    Nowhere(Arc<str>),
    /// Not all of those who must have said yes.
    #[error("more people must approve")]
    TooFew,
    /// Our fault.
    #[error("the request is not as it was made")]
    Broken,
}

impl Default for RehearsedApprovals {
    fn default() -> Self {
        Self { docket: Docket::new(Pace::default()), asked: 0 }
    }
}

impl RehearsedApprovals {
    /// What people approved of a call that is denied otherwise: it is then decided again.
    pub fn of(&self, request: &Request, outcome: &Outcome) -> Option<ApprovalFacts> {
        if outcome.decision != Decision::Deny || outcome.requestable.is_none() {
            return None;
        }
        let said = said(request);
        let binding = parties(outcome, None)?.binding(digest(&request.input, &said));
        let digested = |input: &Value| digest(input, &said);
        let attempt = Attempt {
            binding: &binding,
            input: &request.input,
            asserted: said.beside(),
            digest: &digested,
        };
        let at = outcome.record.at;
        let covering = self.docket.covering(&attempt, at, |_| true).ok()?;
        let yes = covering.answers().iter().filter(|one| matches!(one.answer, Answer::Approve(_)));
        Some(ApprovalFacts {
            id: covering.opened().id.clone(),
            approvers: yes.map(|answer| answer.by.clone()).collect(),
            at: covering.grant().map_or(at, |grant| grant.from),
            scope: covering.scope().map_or("once", Scope::as_str),
        })
    }

    /// Uses what a permit rests on.
    pub fn used(&mut self, request: &Request, outcome: &Outcome) {
        let Body::Decided(decided) = &outcome.record.body else { return };
        let (Some(id), Decision::Permit) = (&decided.approval, outcome.decision) else { return };
        let Some(parties) = parties(outcome, None) else { return };
        let said = said(request);
        let binding = parties.binding(digest(&request.input, &said));
        let digested = |input: &Value| digest(input, &said);
        let attempt = Attempt {
            binding: &binding,
            input: &request.input,
            asserted: said.beside(),
            digest: &digested,
        };
        let at = outcome.record.at;
        let known = self.docket.request(id);
        let spent =
            known.and_then(|known| known.spend(&attempt, outcome.record.id.clone(), at).ok());
        if let Some(change) = spent {
            // What cannot be taken in was not used either: the next use is refused.
            let _ = self.docket.apply(&change);
        }
    }

    /// Asks people for a call that was denied, and takes their answers in.
    ///
    /// # Errors
    /// [`RehearsedNo`] says why nothing was approved.
    pub fn approved(
        &mut self,
        (request, outcome): (&Request, &Outcome),
        tier: Tier,
        identities: &BTreeMap<IdentityId, &Identity>,
        yes: RehearsedYes<'_>,
    ) -> Result<(), RehearsedNo> {
        let requestable = outcome.requestable.as_ref().ok_or(RehearsedNo::NotRequestable)?;
        let parties = parties(outcome, None).ok_or(RehearsedNo::NotRequestable)?;
        let terms = Terms::read(requestable).map_err(|error| AskError::Open(error.into()))?;
        let said = said(request);
        let binding = parties.binding(digest(&request.input, &said));
        let at = outcome.record.at;
        let agent = identities.get(&parties.agent);
        let owners = agent.map(|agent| agent.owner.iter().chain(&agent.fallback_owner));
        let holders = Holders {
            resource_owners: resource_owners(request),
            principal_owner: agent.and_then(|agent| agent.owner.clone()),
            interested: owners.into_iter().flatten().cloned().collect(),
        };
        self.asked += 1;
        let name = format!("req_{}", self.asked);
        let id = RecordId::new(name).map_err(|_| RehearsedNo::Broken)?;
        let alike = definition_digest(&Value::from(
            String::from_utf8_lossy(&likeness(&binding.action, &binding.resources, &request.input))
                .as_ref(),
        ));
        let opened = Opened {
            id: id.clone(),
            at,
            likeness: KeyedDigest::from_bytes(*alike.as_bytes()),
            binding: binding.clone(),
            asked_by: request.subject.authentication().identity.clone(),
            interested: holders.interested.clone(),
            terms: terms.of_tier(tier),
            answer_by: at.plus_ms(ANSWER_WITHIN_MS),
            ends_at: None,
            asked: yes.by.iter().cloned().collect(),
        };
        let change = match self.docket.open(opened)? {
            Opening::New(change) => *change,
            Opening::Standing(_) => return Ok(()),
        };
        self.take_in(&change)?;
        let digested = |input: &Value| digest(input, &said);
        let shown = Attempt {
            binding: &binding,
            input: &request.input,
            asserted: said.beside(),
            digest: &digested,
        };
        for by in yes.by {
            let person = identities.get(by).filter(|known| known.kind == IdentityKind::User);
            let person = person.ok_or_else(|| RehearsedNo::NotAPerson(by.clone()))?;
            let person = Person { identity: by.clone(), groups: person.groups.clone() };
            let answerer = Answerer::in_person(person, Assurance::High);
            let known = self.docket.request(&id).ok_or(RehearsedNo::Broken)?;
            let scope = scope(yes, known, &shown, at)?;
            let change = known.approve(&answerer, &holders, scope, &shown, at)?;
            self.take_in(&change)?;
        }
        let granted = self.docket.request(&id).and_then(|known| known.grant()).is_some();
        if granted { Ok(()) } else { Err(RehearsedNo::TooFew) }
    }

    fn take_in(&mut self, change: &Change) -> Result<(), RehearsedNo> {
        debug_assert!(!matches!(change.event, Event::Escalated));
        self.docket.apply(change).map_err(|_| RehearsedNo::Broken)
    }
}

fn scope(
    yes: RehearsedYes<'_>,
    known: &safeconduct_approval::AccessRequest,
    shown: &Attempt<'_>,
    at: Timestamp,
) -> Result<Scope, RehearsedNo> {
    let until = yes.for_s.map(|seconds| at.plus_ms(i64::from(seconds) * 1000));
    let Some(uses) = yes.uses.or(until.map(|_| 1)) else {
        if yes.at_most.is_empty() {
            return Ok(Scope::Once);
        }
        let lower = |(pointer, most): &(Arc<str>, Value)| Lowering {
            pointer: Arc::clone(pointer),
            constraint: Constraint::AtMost(most.clone()),
        };
        let edits: Vec<Lowering> = yes.at_most.iter().map(lower).collect();
        return Ok(edited(known, shown, &edits)?);
    };
    let mut bounds = exactly(shown);
    for (pointer, most) in yes.at_most {
        let rule = bounds.arguments.iter_mut().find(|rule| rule.pointer == *pointer);
        let rule = rule.ok_or_else(|| RehearsedNo::Nowhere(Arc::clone(pointer)))?;
        let least = Constraint::AtLeast(Value::Integer(0));
        let least = ArgumentRule { constraint: least, ..rule.clone() };
        rule.constraint = Constraint::AtMost(most.clone());
        bounds.arguments.push(least);
    }
    Ok(match until {
        Some(until) => Scope::Until { bounds, uses, until },
        None => Scope::Task { bounds, uses },
    })
}

/// The bounds that allow this very call again.
fn exactly(shown: &Attempt<'_>) -> Allowance<Value> {
    let members = shown.input.as_object().into_iter().flatten();
    let rule = |(name, value): (&Arc<str>, &Value)| ArgumentRule {
        pointer: format!("/{}", name.replace('~', "~0").replace('/', "~1")).into(),
        constraint: Constraint::Equals(value.clone()),
        absent: Absent::Refused,
    };
    let resource = |uid: &safeconduct_model::EntityRef| ResourceRule {
        ty: uid.ty.clone(),
        id: Some(Constraint::Equals(Value::String(uid.id.shared()))),
    };
    Allowance {
        action: shown.binding.action.clone(),
        resources: shown.binding.resources.iter().map(resource).collect(),
        arguments: members.map(rule).collect(),
        others: OtherArguments::Refused,
    }
}

fn resource_owners(request: &Request) -> BTreeSet<IdentityId> {
    let owner = request.resource.as_ref().and_then(|resource| resource.attributes.get("owner"));
    let owner = owner.and_then(Value::as_str).and_then(|owner| IdentityId::new(owner).ok());
    owner.into_iter().collect()
}

/// What is said beside the arguments.
fn said(request: &Request) -> Said {
    Said::of(request, Properties::Count, None)
}

/// What arguments, and what is said beside them, are bound by.
fn digest(input: &Value, said: &Said) -> KeyedDigest {
    let both = Value::from(vec![input.clone(), said.listed()]);
    KeyedDigest::from_bytes(*definition_digest(&both).as_bytes())
}
