//! What exists only by a right ends with it: tasks that could not be begun any more or in which
//! nothing is left to do, leases and tokens that would not be given any more.
//!
//! Whether something rests on a right is asked of the policies, and not guessed from their text:
//! the question by which it came about is put to the policies of before and to those that are in
//! force, at one moment and with the same facts. What differs differs by the change alone. Decisions
//! look at the policies anyway; this ends what is held at other places, and what nobody would end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_engine::{Outcome, Understood};
use safeconduct_model::{
    ActionName, Allowance, Assurance, Authentication, Body, Decision, Entity, EntityId, EntityRef,
    EntityType, IdentityId, LeaseId, Method, Mode, NameError, PolicyEffect, PolicyId, Reason,
    Record, RecordId, Subject, Task, TaskId, TaskRef, TaskState, Timestamp, TokenId, Value,
};
use safeconduct_policy::Policies;
use safeconduct_review::{Ended, Remediation, RemediationStep, Word};

use super::quarantine::in_charge;
use super::{RemediateError, entry, found};
use crate::end::let_others;
use crate::{
    Check, Ending, Entry, LEASE, LeaseView, Proposal, RecordReviewsError, Service, TaskQuery,
    UNDERTAKE, Weighing, World,
};

/// How many tasks of one holder are looked at before others have their turn.
const LOOKED_AT_ONCE: usize = 256;

/// How a caller may have proved themselves when they began something: a policy may ask for more
/// than the least.
const PROOFS: [(Method, Assurance); 2] =
    [(Method::ApiKey, Assurance::Low), (Method::X509Svid, Assurance::High)];

/// The policies of before beside those in force, with nothing of what is being taken away set
/// aside in either.
pub(super) struct Beside {
    before: World,
    after: World,
}

impl Beside {
    /// Both, for the remediations that one change carries out.
    pub(super) fn of(world: &World, before: &Arc<Policies>, carried_out: &[RecordId]) -> Self {
        let mut after = world.clone();
        carried_out.iter().for_each(|id| after.with_aside(id, None));
        let mut earlier = after.clone();
        earlier.policies = Arc::clone(before);
        earlier.look_up_asides();
        Self { before: earlier, after }
    }

    /// Whether somebody could do one of these before, and none of them now.
    fn nothing_left<'a>(
        &self,
        who: &IdentityId,
        actions: impl Iterator<Item = &'a ActionName> + Clone,
    ) -> bool {
        let could = |world: &World, action: &ActionName| {
            let known = world.identities.get(who);
            known.is_some_and(|known| world.policies.could_permit(&known.entity, action))
        };
        actions.clone().any(|action| could(&self.before, action))
            && !actions.into_iter().any(|action| could(&self.after, action))
    }
}

impl Service {
    /// Ends what of a remediation's holder existed only by what the policies gave before, records
    /// each end, and that with the remediation.
    pub(super) async fn end_what_policies_gave(
        &self,
        one: &Remediation,
        beside: &Beside,
        by: Option<&IdentityId>,
    ) -> Result<(), RemediateError> {
        let mut ended = Ended::default();
        let mut last: Option<TaskId> = None;
        let holder = &one.plan.holder;
        loop {
            let query = TaskQuery {
                state: Some(TaskState::Active),
                concerns: Some(holder),
                after: last.as_ref().map(TaskId::as_str),
                ..TaskQuery::default()
            };
            let page = self.tasks(&query, LOOKED_AT_ONCE, |_| true);
            for view in page.tasks {
                if self.is_lost(&view.task, holder, beside)? {
                    let ending = ending(one, by);
                    let tasks = self.end_task(&view.task.id, ending).await?;
                    ended.tasks += u64::try_from(tasks.len()).unwrap_or(u64::MAX);
                }
            }
            let_others().await;
            last = match page.next {
                Some(next) => Some(next),
                None => break,
            };
        }
        for lease in self.lost_leases(holder, beside)? {
            self.end_lease(&lease, "the right that gave it was taken away");
            ended.leases += 1;
        }
        for token in self.lost_tokens(holder, beside) {
            ended.tokens += u64::from(self.withdraw_token(&token, in_charge(one, by)).await?);
        }
        self.record_ended(&one.id, ended).await
    }

    /// Takes the registered tokens back of somebody who may not act any more. Returns how many.
    pub(super) async fn revoke_tokens_of(
        &self,
        one: &Remediation,
        by: &IdentityId,
    ) -> Result<u64, RemediateError> {
        let holder = &one.plan.holder;
        let world = self.world();
        let own = world.tokens().filter(|token| token.identity == *holder && !token.revoked);
        let own: BTreeSet<TokenId> = own.map(|token| token.id.clone()).collect();
        for id in &own {
            self.revoke_token(id, by).await?;
        }
        Ok(u64::try_from(own.len()).unwrap_or(u64::MAX))
    }

    /// Ends the tasks that rest on a user's standing word alone, which counts no more: begun for
    /// that user by somebody else, and of which no other word of theirs speaks.
    pub(super) async fn end_delegated(
        &self,
        one: &Remediation,
        word: &Word,
        by: Option<&IdentityId>,
    ) -> Result<u64, RemediateError> {
        let agent = &one.plan.holder;
        let same = |other: &safeconduct_model::Delegation| {
            other.agent == *agent && other.user == word.user && other.intent == word.intent
        };
        if self.world().delegations().any(same) {
            return Ok(0);
        }
        let rests = |task: &Task| {
            task.on_behalf_of.as_ref() == Some(&word.user)
                && task.begun_by != word.user
                && task.parent.is_none()
                // What began after it had ended rests on another word.
                && one.quarantined_at.is_none_or(|ended| task.begun_at <= ended)
        };
        let mut ended = 0;
        let mut last: Option<TaskId> = None;
        loop {
            let query = TaskQuery {
                state: Some(TaskState::Active),
                agent: Some(agent),
                intent: Some(&word.intent),
                after: last.as_ref().map(TaskId::as_str),
                ..TaskQuery::default()
            };
            let page = self.tasks(&query, LOOKED_AT_ONCE, rests);
            for view in page.tasks {
                let tasks = self.end_task(&view.task.id, ending(one, by)).await?;
                ended += u64::try_from(tasks.len()).unwrap_or(u64::MAX);
            }
            last = match page.next {
                Some(next) => Some(next),
                None => return Ok(ended),
            };
        }
    }

    /// Says with a remediation what ended with the right; nothing where nothing did.
    pub(super) async fn record_ended(
        &self,
        id: &RecordId,
        ended: Ended,
    ) -> Result<(), RemediateError> {
        if ended.is_nothing() {
            return Ok(());
        }
        let now = self.now();
        let entry = |_: &mut World, state: &crate::reviews::Reviewed| {
            let step = RemediationStep::Ended(ended);
            Ok((Vec::new(), vec![entry(found(state, id)?, &step, now, None)?]))
        };
        self.step(entry).await?;
        let Ended { tasks, leases, tokens } = ended;
        tracing::info!(review = %id, tasks, leases, tokens, "what rested on a right has ended with it");
        Ok(())
    }

    /// Whether a task of the holder, or for them, rests on what is gone.
    fn is_lost(
        &self,
        task: &Task,
        holder: &IdentityId,
        beside: &Beside,
    ) -> Result<bool, RemediateError> {
        let is_part = task.agent == *holder || task.on_behalf_of.as_ref() == Some(holder);
        if !is_part {
            return Ok(false);
        }
        // Of one whose mandate cannot be read nothing is permitted anyway.
        let Some(mandate) = self.mandate(&task.id) else { return Ok(false) };
        let actions = mandate.authority.allowances.iter().map(|one: &Allowance<Value>| &one.action);
        if beside.nothing_left(holder, actions) {
            return Ok(true);
        }
        if task.agent != *holder {
            return Ok(false);
        }
        let begun = undertaking(self, task, &mandate.parameters, &beside.after)?;
        Ok(self.is_given_no_more(
            beside,
            |proof| Check {
                subject: Subject::Undertaker {
                    by: Authentication { task: begun.parent.clone(), ..proof },
                    agent: task.agent.clone(),
                },
                ..begun.check.clone()
            },
            &task.begun_by,
        )?)
    }

    /// Whether a question of somebody is denied now for want of a right that there was before,
    /// however they proved themselves.
    fn is_given_no_more(
        &self,
        beside: &Beside,
        question: impl Fn(Authentication) -> Check,
        by: &IdentityId,
    ) -> Result<bool, NameError> {
        let mut given = false;
        for (method, assurance) in PROOFS {
            let proof = Authentication {
                identity: by.clone(),
                token: TokenId::new("review")?,
                method,
                assurance,
                at: self.now(),
                expires_at: None,
                task: None,
            };
            let before = self.weigh_in(question(proof.clone()), &beside.before);
            let after = self.weigh_in(question(proof), &beside.after);
            match is_gone(&before, &after, &beside.before.policies) {
                Gone::Still => return Ok(false),
                Gone::Now => given = true,
                Gone::Never => {}
            }
        }
        Ok(given)
    }

    /// Whether a question was permitted by what the policies gave before, and is denied for want of
    /// it now.
    pub(super) fn is_gone_by(&self, beside: &Beside, asked: Weighing) -> bool {
        let asked = asked.into_check();
        let before = self.weigh_in(asked.clone(), &beside.before);
        let after = self.weigh_in(asked, &beside.after);
        let turned = before.decision == Decision::Permit && after.decision == Decision::Deny;
        turned || is_gone(&before, &after, &beside.before.policies) == Gone::Now
    }

    /// The leases of tasks that go on which would be forbidden now, and were not.
    fn lost_leases(
        &self,
        holder: &IdentityId,
        beside: &Beside,
    ) -> Result<Vec<LeaseId>, RemediateError> {
        let mut lost = Vec::new();
        for LeaseView { lease, .. } in self.leases(None) {
            let Some(view) = self.task(&lease.task).filter(|view| view.task.agent == *holder)
            else {
                continue;
            };
            let task = TaskRef { id: lease.task.clone(), agent: view.task.agent.clone() };
            let asserted = Value::object([("kind", Value::from(lease.kind.as_str()))]);
            let asked = question(LEASE, "Target", lease.target.shared(), &beside.after, holder)?;
            let asked = Check { asserted: Some(asserted), ..asked };
            let gone = self.is_given_no_more(
                beside,
                |proof| Check {
                    subject: Subject::Lessee(Authentication { task: Some(task.clone()), ..proof }),
                    ..asked.clone()
                },
                holder,
            )?;
            if gone {
                lost.push(lease.id);
            }
        }
        Ok(lost)
    }

    /// The access tokens of tasks that go on with which nothing can be done any more.
    fn lost_tokens(&self, holder: &IdentityId, beside: &Beside) -> Vec<TokenId> {
        let mut of: BTreeMap<TaskId, bool> = BTreeMap::new();
        let mut is_of = |task: &TaskId| {
            *of.entry(task.clone())
                .or_insert_with(|| self.task(task).is_some_and(|view| view.task.agent == *holder))
        };
        let alive = self.access.allowed_to(self.now());
        let alive = alive.into_iter().filter(|one| is_of(&one.task));
        let lost = alive.filter(|one| {
            beside.nothing_left(holder, one.allowances.iter().map(|one| &one.action))
        });
        lost.map(|one| one.token).collect()
    }

    /// Takes an access token back. Whether it was alive.
    async fn withdraw_token(
        &self,
        token: &TokenId,
        by: IdentityId,
    ) -> Result<bool, RemediateError> {
        let now: Timestamp = self.now();
        // Not alive from before its record on: a record that fails leaves it so.
        if !self.access.withdrawn(token, now) {
            return Ok(false);
        }
        let body = Body::TokenWithdrawn { token: token.clone(), by };
        let record =
            Record { id: self.ids.record("rec"), at: now, trace: None, parent: None, body };
        let leaf = safeconduct_ledger::encode(&record)
            .map_err(|error| RecordReviewsError::Record(error.to_string().into()))?;
        let entries = vec![Entry { leaf, attachment: None }];
        let proposal = Proposal { entries, reads: Vec::new(), writes: Vec::new() };
        let ticket = self.ledger.submit(proposal).map_err(RecordReviewsError::Submit)?;
        self.ledger.durable(ticket).await?;
        self.tell();
        Ok(true)
    }
}

/// How a task ends whose right is gone.
fn ending(one: &Remediation, by: Option<&IdentityId>) -> Ending {
    Ending {
        state: TaskState::Revoked,
        by: by.cloned(),
        reason: format!("the right was taken away by review {}", one.id).into(),
    }
}

/// The question by which a task began.
struct Begun {
    check: Check,
    parent: Option<TaskRef>,
}

fn undertaking(
    service: &Service,
    task: &Task,
    parameters: &BTreeMap<Arc<str>, Value>,
    world: &World,
) -> Result<Begun, NameError> {
    let mut asserted = vec![("begun_by", Value::from(task.begun_by.as_str()))];
    let user = task.on_behalf_of.as_ref();
    asserted.extend(user.map(|user| ("on_behalf_of", Value::from(user.as_str()))));
    let schedule = task.run_of.as_ref();
    asserted.extend(schedule.map(|schedule| ("run_of", Value::from(schedule.as_str()))));
    let asked = question(UNDERTAKE, "Intent", task.intent.shared(), world, &task.begun_by)?;
    let parent = task.parent.as_ref().and_then(|id| service.task(id));
    Ok(Begun {
        check: Check {
            input: Value::Object(parameters.clone()),
            asserted: Some(Value::object(asserted)),
            ..asked
        },
        parent: parent
            .map(|view| TaskRef { id: view.task.id.clone(), agent: view.task.agent.clone() }),
    })
}

/// A question about one of our own resources, of somebody who is yet to be named.
fn question(
    action: &str,
    ty: &str,
    id: Arc<str>,
    world: &World,
    by: &IdentityId,
) -> Result<Check, NameError> {
    let namespace = world.vocabulary.namespace();
    let resource =
        EntityRef { ty: EntityType::new(format!("{namespace}::{ty}"))?, id: EntityId::new(id)? };
    let nobody = Authentication {
        identity: by.clone(),
        token: TokenId::new("review")?,
        method: Method::ApiKey,
        assurance: Assurance::Low,
        at: Timestamp::default(),
        expires_at: None,
        task: None,
    };
    Ok(Check {
        subject: Subject::Caller(nobody),
        action: ActionName::new(action)?,
        resource: Some(Entity::bare(resource)),
        input: Value::Object(BTreeMap::new()),
        asserted: None,
        session_name: None,
        pep: by.clone(),
        mode: Mode::Enforce,
        trace: None,
        parent: None,
        understood: Understood::Only(BTreeSet::new()),
        network: None,
    })
}

/// What became of a right from one policy set to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// It is there, or what denies it now is no policy, or people may be asked.
    Still,
    /// It was there.
    Now,
    /// It was not there before either.
    Never,
}

fn is_gone(before: &Outcome, after: &Outcome, old: &Policies) -> Gone {
    if after.decision == Decision::Permit || after.requestable.is_some() {
        return Gone::Still;
    }
    let nothing_gives =
        |one: &Outcome| one.reasons.iter().any(|reason| matches!(reason, Reason::NoPermit { .. }));
    let forbids = |one: &Outcome| -> BTreeSet<PolicyId> {
        let all = one.reasons.iter().filter_map(Reason::policy);
        let forbids = all.filter(|policy| policy.effect == PolicyEffect::Forbid);
        forbids.map(|policy| policy.id.clone()).collect()
    };
    let new_forbid = || {
        let known = forbids(before);
        forbids(after).iter().any(|id| !known.contains(id) || old.policy(id).is_none())
    };
    match (nothing_gives(before), nothing_gives(after)) {
        (false, true) => Gone::Now,
        (true, true) => Gone::Never,
        (_, false) if new_forbid() => Gone::Now,
        (_, false) => Gone::Still,
    }
}
