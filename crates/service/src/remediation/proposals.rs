//! Changes of the policies: proposed, checked, approved by somebody else, put in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_model::{
    Digest, Identity, IdentityId, RecordId, ReviewChange, ReviewDetail, ReviewedThing, Timestamp,
};
use safeconduct_policy::{Policies, widened};
use safeconduct_review::{
    PROPOSED_REMEDIATIONS_MAX, PolicyProposal, ProposalError, ProposalState, ProposalStep,
    ProposedChange, ProposedTexts, Remediation, RemediationStep, folder_digest, is_policy_path,
};
use sha2::{Digest as _, Sha256};

use super::apply::belongs;
use super::ends::Beside;
use super::{PolicyGate, RemediateError, change_of, entry, found};
use crate::reviews::Reviewed;
use crate::{ATTACHED_BYTES_MAX, RecordReviewsError, ReviewEntry, Service, World};

/// Most proposals that wait for an answer, or are being put in force. More are refused.
pub const PROPOSALS_MAX: usize = 10_000;

/// Most warnings of a change that are recorded with it, and their most characters.
const WARNINGS: (usize, usize) = (16, 200);

/// Why a change is refused after which Rego would decide alone.
pub const LEFT_TO_REGO: &str = "the last policy of Cedar goes, and the Rego files beside it would \
    decide alone: where that is wanted, say so by `permit (principal, action, resource);`";

/// The id under which the folder is recorded as it was when proposals began to count.
const FOLDER: &str = "folder";

/// A change of the policies that somebody wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewProposal {
    /// All files of the policy folder, as they are to be.
    pub files: BTreeMap<String, String>,
    /// Why.
    pub reason: String,
    /// The remediations that it carries out.
    pub remediations: Vec<RecordId>,
    /// Whether it gives back what those took away.
    pub back: bool,
    /// Digest of the folder that was edited, where it was not the one that is read here.
    pub from: Option<Digest>,
}

impl Service {
    /// All proposals, the oldest first.
    pub fn policy_proposals(&self) -> Vec<PolicyProposal> {
        let mut all: Vec<_> = self.reviews.lock().proposals.by_id.values().cloned().collect();
        all.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        all
    }

    /// One of them.
    pub fn policy_proposal(&self, id: &RecordId) -> Option<PolicyProposal> {
        self.reviews.lock().proposals.by_id.get(id).cloned()
    }

    /// The texts of one, as they were recorded.
    ///
    /// # Errors
    /// [`RemediateError`] where they are not there, or not what was recorded.
    pub fn proposed_texts(&self, id: &RecordId) -> Result<ProposedTexts, RemediateError> {
        let unknown = || RemediateError::UnknownProposal(id.clone());
        let (at, beside) = {
            let state = self.reviews.lock();
            let one = state.proposals.by_id.get(id).ok_or_else(unknown)?;
            let at = state.proposals.texts_at.get(id).copied().ok_or_else(unknown)?;
            (at, Digest::parse(&one.change.beside).ok_or(ProposalError::Beside)?)
        };
        let bytes = self.ledger.attachment(at)?.ok_or(ProposalError::Beside)?;
        Ok(ProposedTexts::of_bytes(&bytes, beside)?)
    }

    /// Proposes a change of the policies. It is checked as it is to be in force: it loads, nothing
    /// is wrong with it, the project's tests pass.
    ///
    /// # Errors
    /// [`RemediateError`] says what does not fit; nothing is recorded then.
    pub async fn propose_policies(
        &self,
        wanted: NewProposal,
        by: &IdentityId,
    ) -> Result<PolicyProposal, RemediateError> {
        let gate = self.policy_gate()?;
        let folder = gate.read().await?;
        if let Some(from) = wanted.from.filter(|from| *from != folder_digest(&folder)) {
            let from = from.to_string();
            let found = self.divergence(&*gate, &from, &folder, &wanted.files).await;
            return Err(RemediateError::Diverged(Box::new(found)));
        }
        let texts = ProposedTexts::between(&folder, &wanted.files);
        if let Some(odd) = texts.files.keys().find(|name| !is_policy_path(name)) {
            return Err(ProposalError::Path(odd.clone()).into());
        }
        let beside = texts.to_bytes();
        if beside.len() > ATTACHED_BYTES_MAX {
            let (what, limit) = ("bytes of a change", ATTACHED_BYTES_MAX);
            return Err(RemediateError::OverLimit { what, limit });
        }
        if wanted.remediations.len() > PROPOSED_REMEDIATIONS_MAX {
            let (what, limit) = ("remediations in one proposal", PROPOSED_REMEDIATIONS_MAX);
            return Err(RemediateError::OverLimit { what, limit });
        }
        let mut change = ProposedChange {
            back: wanted.back,
            beside: Digest::from_bytes(Sha256::digest(&beside).into()).to_string(),
            files: texts.files.keys().cloned().collect(),
            from: folder_digest(&folder).to_string(),
            reason: wanted.reason,
            remediations: wanted.remediations.iter().map(ToString::to_string).collect(),
            tests: 0,
            to: folder_digest(&wanted.files).to_string(),
            warnings: Vec::new(),
        };
        change.check()?;
        self.check_rego(&*gate, &wanted.files).await?;
        let checked = gate.check(wanted.files).await?;
        change.tests = checked.tests;
        let short = |text: &String| text.chars().take(WARNINGS.1).collect();
        change.warnings = checked.warnings.iter().take(WARNINGS.0).map(short).collect();
        let id = self.ids.record("prop");
        let seen = self.reviews_seen();
        let entries = {
            let state = self.reviews.lock();
            if state.proposals.open >= PROPOSALS_MAX {
                let (what, limit) = ("proposals", PROPOSALS_MAX);
                return Err(RemediateError::OverLimit { what, limit });
            }
            let step = ProposalStep::Proposed(Box::new(change));
            let mut first = step_entry(&id, 0, &step, Some(by))?;
            first.attachment = Some(beside);
            let mut entries = vec![first];
            if !wanted.back {
                let proposed = RemediationStep::Proposed { proposal: id.clone() };
                for one in &wanted.remediations {
                    entries.push(entry(found(&state, one)?, &proposed, self.now(), Some(by))?);
                }
            }
            entries
        };
        self.record_reviews(seen, entries, Vec::new()).await?;
        self.policy_proposal(&id).ok_or(RemediateError::UnknownProposal(id))
    }

    /// Somebody else than its author says no, or the author takes it back.
    ///
    /// # Errors
    /// [`RemediateError`] says why not.
    pub async fn reject_proposal(
        &self,
        id: &RecordId,
        by: &IdentityId,
        reason: Arc<str>,
    ) -> Result<PolicyProposal, RemediateError> {
        self.proposal_step(id, &ProposalStep::Rejected { reason }, Some(by)).await
    }

    /// Somebody else than its author agrees, and it is put in force. Where the folder is not what
    /// it was written for, nothing is overwritten, and that is said.
    ///
    /// # Errors
    /// [`RemediateError`] says why it is not in force.
    pub async fn approve_proposal(
        &self,
        id: &RecordId,
        by: &IdentityId,
    ) -> Result<PolicyProposal, RemediateError> {
        let under_way = self.reviews.lock().proposals.under_way().map(|one| one.id.clone());
        if let Some(other) = under_way {
            return Err(RemediateError::Busy(other));
        }
        self.check_gain(id, by).await?;
        self.proposal_step(id, &ProposalStep::Approved, Some(by)).await?;
        self.put_in_force(id).await
    }

    /// INVARIANT: nobody approves what gives something, by name, to them or to whom they answer
    /// for: nor what brings a right of theirs back.
    async fn check_gain(&self, id: &RecordId, by: &IdentityId) -> Result<(), RemediateError> {
        let unknown = || RemediateError::UnknownProposal(id.clone());
        let one = self.policy_proposal(id).ok_or_else(unknown)?;
        if one.state != ProposalState::Open {
            return Ok(());
        }
        let gains = |what: String| Err(RemediateError::OwnGain { by: by.clone(), what });
        let world = self.world();
        if one.change.back {
            let undone = one.change.remediations.iter().filter_map(|id| RecordId::new(&**id).ok());
            let mut undone = undone.filter_map(|id| self.remediation(&id));
            if let Some(own) = undone.find(|of| answers_for(&world, by, &of.plan.holder)) {
                return gains(own.id.to_string());
            }
        }
        let gate = self.policy_gate()?;
        let folder = gate.read().await?;
        // Where it is a conflict that is found, and said, when it is put in force.
        let Ok(after) = self.proposed_texts(id)?.on(&folder) else { return Ok(()) };
        let in_force = Arc::clone(&world.policies);
        let old = gate.draft(folder, Arc::clone(&in_force)).await;
        // So is that it does not load any more.
        let Ok(new) = gate.draft(after, in_force).await else { return Ok(()) };
        // What does not load by now gives nothing that could be kept.
        let old = old.unwrap_or_else(|_| Arc::clone(&world.policies));
        if widened(&old, &new, &|of, to| belongs(&world, of, to)).is_none() {
            return Ok(());
        }
        let named = safeconduct_policy::gains(&old, &new);
        if named.is_empty() {
            return Ok(());
        }
        let mut own = world
            .identities
            .values()
            .filter(|known| known.identity.id == *by || is_accountable(&known.identity, by));
        match own.find_map(|known| named.of(&known.entity)) {
            Some(statement) => gains(statement.to_string()),
            None => Ok(()),
        }
    }

    /// Where the last statement of Cedar goes and Rego files stay, these would decide alone. Whoever
    /// wants that says so.
    async fn check_rego(
        &self,
        gate: &dyn PolicyGate,
        files: &BTreeMap<String, String>,
    ) -> Result<(), RemediateError> {
        let in_force = Arc::clone(&self.world().policies);
        let new = gate.draft(files.clone(), Arc::clone(&in_force)).await?;
        match in_force.would_be_left_to_rego(&new) {
            true => Err(RemediateError::Refused(vec![LEFT_TO_REGO.to_owned()])),
            false => Ok(()),
        }
    }

    /// Goes on with a change that was approved when the process before ended. To be called once
    /// policies are in force.
    ///
    /// # Errors
    /// [`RemediateError`] says why it is not in force.
    pub async fn resume_proposals(&self) -> Result<(), RemediateError> {
        let under_way = self.reviews.lock().proposals.under_way().map(|one| one.id.clone());
        match under_way {
            Some(id) => self.put_in_force(&id).await.map(drop),
            None => Ok(()),
        }
    }

    async fn put_in_force(&self, id: &RecordId) -> Result<PolicyProposal, RemediateError> {
        let failed = match self.write_and_load(id).await {
            Ok(before) => {
                self.end_what_it_took(id, before).await;
                let done = self.proposal_step(id, &ProposalStep::Applied, None).await?;
                tracing::info!(proposal = %id, "a change of the policies is in force");
                return Ok(done);
            }
            Err(error) => error,
        };
        let problem: Arc<str> = failed.to_string().chars().take(1024).collect::<String>().into();
        let step = match &failed {
            RemediateError::Conflict(_) => ProposalStep::Conflict { problem },
            _ => ProposalStep::Failed { problem },
        };
        self.proposal_step(id, &step, None).await?;
        Err(failed)
    }

    /// Ends what existed only by what a change has taken away. It comes before the record that says
    /// that it is in force: a process that ends in between does it again.
    async fn end_what_it_took(&self, id: &RecordId, before: Option<Arc<Policies>>) {
        let Some(one) = self.policy_proposal(id).filter(|one| !one.change.back) else { return };
        let ids = one.change.remediations.iter().filter_map(|id| RecordId::new(&**id).ok());
        let ids: Vec<RecordId> = ids.collect();
        let Some(before) = before else {
            if !ids.is_empty() {
                tracing::error!(proposal = %id, "what rests on rights that were taken away is not known and goes on until it ends");
            }
            return;
        };
        let beside = Beside::of(&self.world(), &before, &ids);
        for taken in ids.iter().filter_map(|id| self.remediation(id)) {
            let by = one.answered_by.as_ref();
            if let Err(error) = self.end_what_policies_gave(&taken, &beside, by).await {
                tracing::error!(%error, review = %taken.id, "what rests on a right could not be ended");
            }
        }
    }

    /// Writes and loads a change. Gives the policies of before, where they are known.
    async fn write_and_load(&self, id: &RecordId) -> Result<Option<Arc<Policies>>, RemediateError> {
        let gate = self.policy_gate()?;
        let unknown = || RemediateError::UnknownProposal(id.clone());
        let one = self.policy_proposal(id).ok_or_else(unknown)?;
        let texts = self.proposed_texts(id)?;
        let folder = gate.read().await?;
        let cause = format!("proposal {id}");
        if folder_digest(&folder).to_string() == one.change.to {
            // It was written, and the process ended before it could say so.
            let in_force = Arc::clone(&self.world().policies);
            let before = match texts.reversed().on(&folder) {
                Ok(files) => gate.draft(files, in_force).await.ok(),
                Err(_) => None,
            };
            gate.load(&cause).await?;
            return Ok(before);
        }
        if folder_digest(&folder).to_string() != one.change.from {
            let why = differing(&texts, &folder);
            let base = Digest::parse(&one.change.from).and_then(|of| self.folder_of(of, &folder));
            let wanted = texts.onto(base.as_ref().unwrap_or(&folder));
            let found = self.divergence(&*gate, &one.change.from, &folder, &wanted).await;
            return Err(RemediateError::Conflict(format!("{why}; {found}")));
        }
        let after = texts.on(&folder).map_err(|names| {
            RemediateError::Conflict(format!("`{}` changed", names.join("`, `")))
        })?;
        // Catalogue and intents may have changed since it was proposed.
        self.check_rego(&*gate, &after).await?;
        gate.check(after).await?;
        let before = Arc::clone(&self.world().policies);
        if let Err(error) = gate.write(texts.clone()).await {
            // Some of the files may be written: none is to stay that nobody agreed to by itself.
            if let Err(left) = gate.write(texts.reversed()).await {
                tracing::error!(proposal = %id, %left, "files of a change stay that is not in force");
            }
            return Err(error.into());
        }
        if let Err(error) = gate.load(&cause).await {
            gate.write(texts.reversed()).await?;
            return Err(error.into());
        }
        Ok(Some(before))
    }

    /// Takes a step of a proposal, with the steps of its remediations that follow from it.
    async fn proposal_step(
        &self,
        id: &RecordId,
        step: &ProposalStep,
        by: Option<&IdentityId>,
    ) -> Result<PolicyProposal, RemediateError> {
        self.step(|world, state| {
            let one = state.proposals.by_id.get(id);
            let one = one.ok_or_else(|| RemediateError::UnknownProposal(id.clone()))?;
            one.check(step, by)?;
            if *step == ProposalStep::Approved {
                if let Some(other) = state.proposals.under_way() {
                    return Err(RemediateError::Busy(other.id.clone()));
                }
                check_wanted(state, one, self.now())?;
            }
            let mut entries = vec![step_entry(id, one.steps, step, by)?];
            for (remediation, entry) in self.steps_of_remediations(state, one, step)? {
                if *step == ProposalStep::Applied {
                    world.with_aside(&remediation, None);
                }
                entries.push(entry);
            }
            Ok((Vec::new(), entries))
        })
        .await?;
        self.policy_proposal(id).ok_or_else(|| RemediateError::UnknownProposal(id.clone()))
    }

    /// What a proposal's step means for its remediations. What cannot be taken any more is left as
    /// it is: a right that was restored meanwhile stays restored in its state, and the policies say
    /// what holds.
    fn steps_of_remediations(
        &self,
        state: &Reviewed,
        proposal: &PolicyProposal,
        step: &ProposalStep,
    ) -> Result<Vec<(RecordId, ReviewEntry)>, RemediateError> {
        let follows = |note: &Arc<str>| RemediationStep::Withdrawn { why: Arc::clone(note) };
        let back = proposal.change.back;
        let then = match step {
            ProposalStep::Applied if back => {
                RemediationStep::RolledBack { reason: proposal.change.reason.as_str().into() }
            }
            ProposalStep::Applied => {
                RemediationStep::Applied { proposal: Some(proposal.id.clone()), before: None }
            }
            _ if back => return Ok(Vec::new()),
            ProposalStep::Conflict { problem } => {
                RemediationStep::Conflict { problem: Arc::clone(problem) }
            }
            ProposalStep::Rejected { reason } => follows(reason),
            ProposalStep::Failed { problem } => follows(problem),
            ProposalStep::Proposed(_) | ProposalStep::Approved | ProposalStep::Imported { .. } => {
                return Ok(Vec::new());
            }
        };
        let now = self.now();
        let mut entries = Vec::new();
        for id in &proposal.change.remediations {
            let Some(one) = state.remediations.by_id.get(id.as_str()) else { continue };
            if one.check(&then, now).is_ok() {
                entries.push((one.id.clone(), change_of(one, &then, one.steps, None)?));
            }
        }
        Ok(entries)
    }

    /// What it means for the changes that wait to take a right that it is given back: they are
    /// answered with that, and what they would have taken beside it waits for another one.
    pub(super) fn take_back_proposals(
        &self,
        state: &Reviewed,
        restored: &Remediation,
        by: &IdentityId,
    ) -> Result<Vec<ReviewEntry>, RemediateError> {
        let names = |one: &PolicyProposal| {
            !one.change.back
                && one.change.remediations.iter().any(|id| *id == *restored.id.as_str())
        };
        if let Some(busy) = state.proposals.under_way().filter(|one| names(one)) {
            return Err(RemediateError::Busy(busy.id.clone()));
        }
        let all = state.proposals.by_id.values();
        let reason: Arc<str> = format!("review {} is restored", restored.id).into();
        let step = ProposalStep::Rejected { reason };
        let mut entries = Vec::new();
        let mut answered = BTreeSet::from([restored.id.clone()]);
        for one in all.filter(|one| one.state == ProposalState::Open && names(one)) {
            one.check(&step, Some(by))?;
            entries.push(step_entry(&one.id, one.steps, &step, Some(by))?);
            let follow = self.steps_of_remediations(state, one, &step)?;
            let follow = follow.into_iter().filter(|(id, _)| answered.insert(id.clone()));
            entries.extend(follow.map(|(_, entry)| entry));
        }
        Ok(entries)
    }

    /// Whether a folder may be put in force where policies change by proposals only: it is the one
    /// that is, or what was approved and is being put in force.
    pub fn is_approved_folder(&self, folder: Digest) -> bool {
        let state = self.reviews.lock();
        let under_way = state.proposals.under_way();
        state.proposals.in_force == Some(folder)
            || under_way.is_some_and(|one| one.change.to == folder.to_string())
    }

    /// The folder that is in force by a proposal, or was when proposals began to count.
    pub fn approved_folder(&self) -> Option<Digest> {
        self.reviews.lock().proposals.in_force
    }

    /// Records the folder as it is when proposals begin to count. Done once: where one is in force
    /// already, nothing changes.
    ///
    /// # Errors
    /// [`RemediateError`] where it could not be recorded.
    pub async fn import_folder(&self, folder: Digest) -> Result<(), RemediateError> {
        self.step(|_, state| {
            if state.proposals.in_force.is_some() {
                return Ok((Vec::new(), Vec::new()));
            }
            let step = ProposalStep::Imported { to: folder };
            Ok((Vec::new(), vec![step_entry(&RecordId::new(FOLDER)?, 0, &step, None)?]))
        })
        .await
    }
}

/// INVARIANT: nothing is taken that its remediation does not take any more: what was restored is
/// not taken unseen by a change that was written before that.
fn check_wanted(
    state: &Reviewed,
    proposal: &PolicyProposal,
    now: Timestamp,
) -> Result<(), RemediateError> {
    if proposal.change.back {
        return Ok(());
    }
    let applied = RemediationStep::Applied { proposal: Some(proposal.id.clone()), before: None };
    for id in &proposal.change.remediations {
        let one = state.remediations.by_id.get(id.as_str());
        if one.is_none_or(|one| one.check(&applied, now).is_err()) {
            let (proposal, remediation) = (proposal.id.clone(), RecordId::new(id.as_str())?);
            return Err(RemediateError::Outlived { proposal, remediation });
        }
    }
    Ok(())
}

fn step_entry(
    id: &RecordId,
    sequence: u64,
    step: &ProposalStep,
    by: Option<&IdentityId>,
) -> Result<ReviewEntry, RemediateError> {
    let detail = ReviewDetail::new(step.detail())
        .map_err(|error| RecordReviewsError::Record(error.to_string().into()))?;
    Ok(ReviewEntry::new(ReviewChange {
        what: ReviewedThing::PolicyProposal,
        id: id.shared(),
        sequence,
        event: step.event().into(),
        about: None,
        by: by.cloned(),
        detail,
    }))
}

/// Which files stand in the way, in words.
fn differing(texts: &ProposedTexts, folder: &BTreeMap<String, String>) -> String {
    match texts.on(folder) {
        Err(names) => format!("`{}` changed after it was proposed", names.join("`, `")),
        Ok(_) => "other files than those that it changes did; propose it again".to_owned(),
    }
}

/// Whether somebody is that identity, or one of those accountable for it.
fn answers_for(world: &World, who: &IdentityId, of: &IdentityId) -> bool {
    who == of || world.identity(of).is_some_and(|identity| is_accountable(identity, who))
}

/// Whether somebody is an owner of an identity, or its sponsor: it acts for their purposes.
fn is_accountable(identity: &Identity, who: &IdentityId) -> bool {
    let all = [&identity.owner, &identity.fallback_owner, &identity.sponsor];
    all.into_iter().flatten().any(|one| one == who)
}

impl Service {
    /// How many proposals wait for somebody.
    pub fn open_proposals(&self) -> usize {
        let state = self.reviews.lock();
        let waiting = state.proposals.by_id.values();
        waiting.filter(|one| one.state == ProposalState::Open).count()
    }
}
