//! What people see before they answer, and what who asked sees of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_approval::{
    AccessRequest, Answer, Answerer, Grant, Lowering, Opened, Person, Reach, Scope, Shown,
    ShownValue, Standing, shown, shown_text,
};
use safeconduct_model::signal::About;
use safeconduct_model::{
    Absent, ActionName, Allowance, ArgumentRule, Assurance, Authentication, Body, Constraint,
    Decided, EntityRef, IdentityId, IntentName, KeyedDigest, Method, OtherArguments, RecordId,
    RecordedFlow, RecordedReason, ResourceRule, SessionKey, TaskId, Tier, Timestamp, Value,
};

use super::answer::assurance;
use super::sealed::Asked;
use super::{AccessState, Ledgered, agent_of, people};
use crate::{Service, World};

/// Most requests that one question looks at. Where more would have to be, the page ends early and
/// says where the next one starts.
pub const ACCESS_LOOKED_AT_MAX: usize = 10_000;

/// Most requests of one page.
pub const ACCESS_PAGE_MAX: usize = 200;

/// Most earlier requests that are looked at for what became of like ones.
const EARLIER_LOOKED_AT_MAX: usize = 2_000;

/// Which requests are wanted: those that fit everything that is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccessQuery<'a> {
    /// In that state.
    pub state: Option<AccessState>,
    /// Of that agent.
    pub agent: Option<&'a IdentityId>,
    /// Of that task.
    pub task: Option<&'a TaskId>,
    /// That wait for an answer which this person may give now.
    pub answerable_by: Option<&'a IdentityId>,
    /// Those whose ids come after this one.
    pub after: Option<&'a RecordId>,
    /// How many; at most [`ACCESS_PAGE_MAX`].
    pub limit: usize,
}

/// Requests by id.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessPage {
    /// The requests of this page.
    pub requests: Vec<AccessSummary>,
    /// After which id the next page starts; `None` at the end.
    pub next: Option<RecordId>,
}

/// A request without its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessSummary {
    /// Its id.
    pub id: RecordId,
    /// Where it stands.
    pub state: AccessState,
    /// When it was made.
    pub opened_at: Timestamp,
    /// Until when somebody may answer: no answer by then is a Deny.
    pub answer_by: Timestamp,
    /// Who asks.
    pub asked_by: IdentityId,
    /// Who wants to act, as policies name them.
    pub principal: EntityRef,
    /// Who acts, and who delegated to them, outwards.
    pub actors: Vec<IdentityId>,
    /// On whose behalf.
    pub on_behalf_of: Option<IdentityId>,
    /// In which task.
    pub task: Option<TaskId>,
    /// Under which intent.
    pub intent: Option<IntentName>,
    /// What is to be done.
    pub action: ActionName,
    /// What it is done to.
    pub resources: BTreeSet<EntityRef>,
    /// The digest of the arguments, to which answers and passkeys are bound.
    pub digest: KeyedDigest,
    /// Who may answer, as the policy says it, and how many of them must, in each stage.
    pub approvers: String,
    /// How many must approve in each stage.
    pub quorum: u32,
    /// In how many stages, one after the other.
    pub stages: usize,
    /// How long what is approved lasts at most, in seconds.
    pub lasts_s: u32,
    /// How well they must prove who they are; `high` is a passkey.
    pub assurance: Assurance,
    /// Whether more than one single use may be approved.
    pub standing: Standing,
    /// Who may answer now, in the policy's words.
    pub open_to: Vec<String>,
    /// The answers so far.
    pub answers: Vec<AnswerSeen>,
    /// What was approved, from when to when, and how many uses are left.
    pub grant: Option<Grant>,
    /// How far what the first of them approved reaches: others must approve the same. `once`,
    /// `edited`, `task`, `until`; with which bounds, [`AccessView::reaches`] says.
    pub scope: Option<&'static str>,
}

/// An answer, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerSeen {
    /// Who.
    pub by: IdentityId,
    /// For whom they stood in.
    pub standing_in_for: Option<IdentityId>,
    /// By which term of the policy.
    pub term: String,
    /// In which stage, from 0.
    pub stage: u8,
    /// How they proved who they are.
    pub method: Option<Method>,
    /// `approve` or `refuse`.
    pub answer: &'static str,
    /// Why not, in their words.
    pub reason: Option<Arc<str>>,
}

/// A request with everything that whoever answers must see.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessView {
    /// Who asks for what, and where it stands.
    pub summary: AccessSummary,
    /// What was asked for; `None` where it was erased: then it can only be refused.
    pub asked: Option<AskedView>,
    /// How far what was approved reaches, bounds and all, from the first yes on: others must say
    /// the same. Seen by whoever sees [`AccessView::asked`], and gone with it.
    pub reaches: Option<Reach>,
    /// The decision that denied it.
    pub denied_by: Option<RecordId>,
    /// Why it was denied.
    pub reasons: Vec<RecordedReason>,
    /// Where arguments came from that something is known of.
    pub flow: Vec<RecordedFlow>,
    /// How risky it was when it was denied, 1 to 100; 0 where nothing spoke of it.
    pub risk: u8,
    /// Everything whose signals concern it, as they concern the decision: who acts, all whom they
    /// act for, the session, the tasks, and the issuers that vouch for them.
    pub concerned: Vec<About>,
    /// The requests that one answer can settle together with this one, itself included.
    pub group: Vec<RecordId>,
    /// What became of earlier requests of this agent for the same action.
    pub earlier: Earlier,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct AskedView {
    /// The arguments, as they are: what the digest is of.
    pub arguments: Value,
    /// What is said beside them: by the enforcement point, with the properties of `subject` and
    /// `resource` that count, and, of a task that would begin, what it would be (`task`).
    pub asserted: Option<Value>,
    /// The arguments for people, with all that deceives made visible.
    pub shown: Shown,
    /// The same of what is said beside them.
    pub shown_beside: Option<Shown>,
    /// Why, in the words of who asks, which nobody has checked.
    pub justification: Option<ShownValue>,
    /// The tier of the action.
    pub tier: Tier,
}

/// What became of earlier requests; of the newest that are known, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earlier {
    /// Approved, used or not.
    pub approved: u32,
    /// Refused.
    pub refused: u32,
    /// Not answered in time.
    pub unanswered: u32,
}

impl AskedView {
    /// The bounds that allow this very call again, for [`super::AccessExtent::Task`] and
    /// [`super::AccessExtent::Until`]: the same resources, and the same arguments. Whoever wants
    /// to leave more open loosens a rule.
    pub fn bounds(&self, summary: &AccessSummary) -> Allowance<Value> {
        let of = |resource: &EntityRef| ResourceRule {
            ty: resource.ty.clone(),
            id: Some(Constraint::Equals(Value::String(resource.id.shared()))),
        };
        let whole = match &self.arguments {
            Value::Object(members) if !members.is_empty() => {
                members.iter().map(|(name, value)| (pointer(name), value.clone())).collect()
            }
            value => vec![(Arc::from(""), value.clone())],
        };
        let rule = |(pointer, value)| ArgumentRule {
            pointer,
            constraint: Constraint::Equals(value),
            absent: Absent::Refused,
        };
        Allowance {
            action: summary.action.clone(),
            resources: summary.resources.iter().map(of).collect(),
            arguments: whole.into_iter().map(rule).collect(),
            others: OtherArguments::Refused,
        }
    }

    /// The edit that allows at most so much where a number stands, for
    /// [`super::AccessExtent::Lowered`].
    pub fn at_most(pointer: impl Into<Arc<str>>, most: Value) -> Lowering {
        Lowering { pointer: pointer.into(), constraint: Constraint::AtMost(most) }
    }
}

fn pointer(name: &str) -> Arc<str> {
    format!("/{}", name.replace('~', "~0").replace('/', "~1")).into()
}

impl Service {
    /// The requests that are asked for and fit, by id. Whether the caller may see them is the
    /// caller's to check.
    pub fn access_requests(&self, query: &AccessQuery<'_>) -> AccessPage {
        let (now, world) = (self.now(), self.world());
        let stands_in = query.answerable_by.map(|person| people::stood_in_for(&world, person));
        let stands_in = stands_in.unwrap_or_default();
        let limit = query.limit.clamp(1, ACCESS_PAGE_MAX);
        let fits = |request: &AccessRequest| {
            let binding = &request.opened().binding;
            query.state.is_none_or(|wanted| wanted == request.standing(now))
                && query.agent.is_none_or(|agent| binding.actors.first() == Some(agent))
                && query.task.is_none_or(|task| binding.task.as_ref() == Some(task))
                && (query.answerable_by.is_none() || request.standing(now) == AccessState::Pending)
        };
        let (mut found, mut next, mut looked_at) = (Vec::new(), None, 0);
        let state = self.requests.lock();
        let known: Vec<AccessRequest> = state
            .docket
            .requests(query.after)
            .take(ACCESS_LOOKED_AT_MAX + 1)
            .filter(|request| {
                looked_at += 1;
                if looked_at == ACCESS_LOOKED_AT_MAX {
                    next = Some(request.opened().id.clone());
                }
                looked_at <= ACCESS_LOOKED_AT_MAX && fits(request)
            })
            .cloned()
            .collect();
        // Who may answer may have to be read from the disk: decisions do not wait for that.
        drop(state);
        if looked_at <= ACCESS_LOOKED_AT_MAX {
            next = None;
        }
        for request in known {
            if found.len() == limit {
                next = found.last().map(|last: &AccessSummary| last.id.clone());
                break;
            }
            let may = query
                .answerable_by
                .is_none_or(|person| self.may_answer(&request, person, &stands_in, &world).is_ok());
            if may {
                found.push(self.requests.lock().summary(&request, now));
            }
        }
        AccessPage { requests: found, next }
    }

    /// Whether somebody might answer a request now, in person or for somebody else, were they to
    /// prove who they are as well as it takes. Whoever may is shown its arguments.
    ///
    /// # Errors
    /// [`super::AnswerError`] says why not.
    pub fn may_answer_access(
        &self,
        id: &RecordId,
        person: &IdentityId,
    ) -> Option<Result<(), super::AnswerError>> {
        self.answers_access_for(id, person).map(|may| may.map(|_| ()))
    }

    /// The same, with whom they would stand in for: nobody where they may answer in person.
    ///
    /// # Errors
    /// [`super::AnswerError`] says why they may not answer in person, where they may not at all.
    pub fn answers_access_for(
        &self,
        id: &RecordId,
        person: &IdentityId,
    ) -> Option<Result<Option<IdentityId>, super::AnswerError>> {
        let world = self.world();
        let stands_in = people::stood_in_for(&world, person);
        let request = self.requests.lock().docket.request(id)?.clone();
        Some(self.may_answer(&request, person, &stands_in, &world))
    }

    fn may_answer(
        &self,
        request: &AccessRequest,
        person: &IdentityId,
        stands_in: &[Person],
        world: &World,
    ) -> Result<Option<IdentityId>, super::AnswerError> {
        let not_named = || super::AnswerError::NotNamed { person: person.clone(), stage: 0 };
        let known = people::person(world, person).ok_or_else(not_named)?;
        let wants_owner =
            request.open_terms().contains(&safeconduct_approval::Approver::ResourceOwner);
        let asked = match wants_owner {
            true => self.asked_of(request),
            false => None,
        };
        let owners = asked.map(|asked| asked.owners).unwrap_or_default();
        let holders = people::holders(world, &request.opened().binding, &owners);
        let mut by = Answerer::in_person(known, Assurance::High);
        let refused = match request.eligible(&by, &holders) {
            Ok(_) => return Ok(None),
            Err(refused) => refused,
        };
        for other in stands_in {
            by.standing_in_for = Some(other.clone());
            if request.eligible(&by, &holders).is_ok() {
                return Ok(Some(other.identity.clone()));
            }
        }
        Err(refused)
    }

    /// A request without its arguments; `None` where it is not known. Whether the caller may see it
    /// is the caller's to check.
    pub fn access_summary(&self, id: &RecordId) -> Option<AccessSummary> {
        let now = self.now();
        let state = self.requests.lock();
        state.docket.request(id).map(|request| state.summary(request, now))
    }

    /// A request with everything that whoever answers must see; `None` where it is not known.
    /// Whether the caller may see it is the caller's to check. Reads from the disk.
    pub fn access_request(&self, id: &RecordId) -> Option<AccessView> {
        let now = self.now();
        let state = self.requests.lock();
        let request = state.docket.request(id)?.clone();
        let place = state.places.get(id).cloned();
        let group = state.docket.group(id, now);
        let group = group.into_iter().map(|request| request.opened().id.clone()).collect();
        let earlier = state.earlier(&request);
        let summary = state.summary(&request, now);
        drop(state);
        let asked = self.asked_of(&request);
        let reaches = request.scope().filter(|_| asked.is_some()).map(Scope::reach);
        let denied_by = place.as_ref().and_then(|place| place.denied_by.clone());
        let denial = place.and_then(|place| self.denial(place.at, denied_by.as_ref()?));
        let session = denial.as_ref().map(|denial| denial.session.clone());
        let concerned = self.concerned_by_request(&summary, session);
        let denial = denial.map(|denial| (denial.reasons, denial.flow, denial.risk));
        let (reasons, flow, risk) = denial.unwrap_or_default();
        Some(AccessView {
            concerned,
            summary,
            asked: asked.map(AskedView::from),
            reaches,
            denied_by,
            reasons,
            flow,
            risk,
            group,
            earlier,
        })
    }

    /// Everything whose signals concern a request.
    fn concerned_by_request(&self, of: &AccessSummary, session: Option<SessionKey>) -> Vec<About> {
        let known = of.task.clone().map(About::Task).into_iter();
        let known = known.chain(session.map(About::Session));
        let people = of.actors.iter().chain(&of.on_behalf_of).cloned().map(About::Identity);
        let mut all: Vec<About> = Vec::new();
        for about in known.chain(people).flat_map(|about| self.concerned_by(&about)) {
            if !all.contains(&about) {
                all.push(about);
            }
        }
        all
    }

    /// How much a proof is worth for an answer, at this moment.
    pub fn answers_with(&self, by: &Authentication) -> Assurance {
        assurance(by, self.now())
    }

    /// What was asked for. Reads from the disk, without the lock that decisions may wait for.
    pub(super) fn asked_of(&self, request: &AccessRequest) -> Option<Asked> {
        let opened = request.opened();
        let (keys, at) = {
            let mut state = self.requests.lock();
            let keys = self.known_request_keys(&mut state, agent_of(request)?).ok()??;
            (keys, state.places.get(&opened.id)?.at)
        };
        self.open_asked(&*keys, &opened.id, at, opened.binding.arguments)
    }

    /// What the record of a Deny says, which stands a little before that of its request.
    fn denial(&self, at: u64, denied_by: &RecordId) -> Option<Decided> {
        (1..=2).find_map(|back| {
            let leaf = self.ledger.leaf(at.checked_sub(back)?).ok()?;
            let record = safeconduct_ledger::decode(&leaf).ok()?;
            match record.body {
                Body::Decided(decided) if record.id == *denied_by => Some(*decided),
                _ => None,
            }
        })
    }
}

impl From<Asked> for AskedView {
    fn from(asked: Asked) -> Self {
        let beside = asked.said.shown();
        Self {
            shown: shown(&asked.input),
            shown_beside: beside.as_ref().map(shown),
            justification: asked.justification.as_deref().map(shown_text),
            arguments: asked.input,
            asserted: beside,
            tier: asked.tier,
        }
    }
}

impl Ledgered {
    fn summary(&self, request: &AccessRequest, now: Timestamp) -> AccessSummary {
        let Opened { id, at, binding, asked_by, terms, answer_by, .. } = request.opened();
        let methods = self.places.get(id).map(|place| place.methods.as_slice()).unwrap_or_default();
        let answers = request.answers().iter().enumerate().map(|(index, one)| AnswerSeen {
            by: one.by.clone(),
            standing_in_for: one.standing_in_for.clone(),
            term: one.term.to_string(),
            stage: one.stage,
            method: methods.get(index).copied(),
            answer: match &one.answer {
                Answer::Approve(_) => "approve",
                Answer::Refuse { .. } => "refuse",
            },
            reason: match &one.answer {
                Answer::Approve(_) => None,
                Answer::Refuse { reason } => Some(Arc::clone(reason)),
            },
        });
        let state = request.standing(now);
        AccessSummary {
            id: id.clone(),
            state,
            opened_at: *at,
            answer_by: *answer_by,
            asked_by: asked_by.clone(),
            principal: binding.principal.clone(),
            actors: binding.actors.clone(),
            on_behalf_of: binding.on_behalf_of.clone(),
            task: binding.task.clone(),
            intent: binding.intent.clone(),
            action: binding.action.clone(),
            resources: binding.resources.clone(),
            digest: binding.arguments,
            approvers: terms.approvers.to_string(),
            quorum: terms.quorum,
            stages: terms.approvers.stages().len(),
            lasts_s: terms.ttl_s,
            assurance: terms.assurance,
            standing: terms.standing,
            open_to: match state {
                AccessState::Pending => {
                    request.open_terms().iter().map(ToString::to_string).collect()
                }
                _ => Vec::new(),
            },
            answers: answers.collect(),
            grant: request.grant().copied(),
            scope: request.scope().map(|scope| scope.as_str()),
        }
    }

    /// What became of earlier requests of the same agent for the same action.
    fn earlier(&self, request: &AccessRequest) -> Earlier {
        let opened = request.opened();
        let mut earlier = Earlier::default();
        let like = self.docket.ended().take(EARLIER_LOOKED_AT_MAX).filter(|other| {
            let (of, other) = (&opened.binding, &other.opened().binding);
            other.action == of.action && other.actors.first() == of.actors.first()
        });
        for other in like {
            match (other.state(), other.grant()) {
                (AccessState::Refused, _) => earlier.refused += 1,
                (_, Some(_)) => earlier.approved += 1,
                (AccessState::Expired, None) => earlier.unanswered += 1,
                _ => {}
            }
        }
        earlier
    }
}
