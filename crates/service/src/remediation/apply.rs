//! Rights are taken away for good, and given back: by a change of the policies through its gate, or
//! at once where no policy gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use safeconduct_engine::placed;
use safeconduct_model::{
    ActionName, Digest, Entity, EntityRef, IdentityId, IdentityStatus, RecordId,
};
use safeconduct_policy::{
    Policies, ScopeActions, ScopeSide, ScopedStatement, revoke, still_given, widened,
};
use safeconduct_review::{
    Effect, PolicyProposal, ProposedTexts, Remediation, RemediationError, RemediationStep,
    RightTaken, folder_digest,
};

use super::proposals::NewProposal;
use super::quarantine::{lifted, status_since, with_status};
use super::{RemediateError, entry, found};
use crate::{Service, UNDERTAKE, World};

/// The file in the policy folder that takes intents away.
const OF_REVIEWS: &str = "reviews.cedar";

/// What came of applying.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppliedRights {
    /// Those that are gone.
    pub applied: Vec<RecordId>,
    /// The change of the policies that the others wait for.
    pub proposal: Option<RecordId>,
}

impl Service {
    /// Takes rights away for good. What policies give becomes one proposal that `by` has written
    /// and somebody else has to approve; what is to shrink needs `draft`, the files of the folder
    /// that change, as they are to be.
    ///
    /// # Errors
    /// [`RemediateError`] says which right cannot be taken away, and why; nothing is then.
    pub async fn apply_remediations(
        &self,
        ids: &[RecordId],
        by: &IdentityId,
        draft: Option<BTreeMap<String, String>>,
    ) -> Result<AppliedRights, RemediateError> {
        let all = ids
            .iter()
            .map(|id| self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone())));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        let (of_policies, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|one| one.plan.right.is_of_policies());
        let now = self.now();
        for one in of_policies.iter().chain(&others) {
            one.check(&RemediationStep::Applied { proposal: None, before: None }, now)?;
        }
        let mut done = AppliedRights::default();
        if !of_policies.is_empty() {
            done.proposal = Some(self.propose_for(&of_policies, by, draft).await?.id);
        }
        for one in others {
            self.apply_at_once(&one.id, by).await?;
            done.applied.push(one.id);
        }
        Ok(done)
    }

    async fn propose_for(
        &self,
        all: &[Remediation],
        by: &IdentityId,
        draft: Option<BTreeMap<String, String>>,
    ) -> Result<PolicyProposal, RemediateError> {
        let folder = self.policy_gate()?.read().await?;
        let mut files = folder.clone();
        let shrinks = all.iter().any(|one| one.plan.effect == Effect::Reduce);
        match draft {
            None if shrinks => {
                let say = "what is to shrink needs the smaller text: give the files that change";
                return Err(RemediateError::Draft(say.into()));
            }
            Some(_) if !shrinks => {
                let say = "what is taken away needs no draft: propose another change as such";
                return Err(RemediateError::Draft(say.into()));
            }
            None => {}
            Some(draft) => files.extend(draft),
        }
        let world = self.world();
        let revoked: Vec<_> = all.iter().filter(|one| one.plan.effect == Effect::Revoke).collect();
        if shrinks && !revoked.is_empty() {
            let say = "what shrinks and what goes are two proposals: apply them one after another";
            return Err(RemediateError::Draft(say.into()));
        }
        if shrinks {
            self.check_shrinks(&world, all, (&folder, &files)).await?;
        }
        take_statements(&world, &revoked, &mut files)?;
        take_intents(&world, &revoked, &mut files)?;
        self.keep_cedar(&world, &revoked, &mut files).await?;
        let named: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
        let proposal = NewProposal {
            files,
            reason: format!("remediation {}", named.join(", ")),
            remediations: all.iter().map(|one| one.id.clone()).collect(),
            back: false,
            from: Some(folder_digest(&folder)),
        };
        self.propose_policies(proposal, by).await
    }

    /// INVARIANT: what is carried out as a reduction permits nothing that was not permitted before,
    /// and leaves none of those rights as it was.
    async fn check_shrinks(
        &self,
        world: &World,
        all: &[Remediation],
        (folder, files): (&BTreeMap<String, String>, &BTreeMap<String, String>),
    ) -> Result<(), RemediateError> {
        let other = files.keys().find(|name| {
            // Schemas and Rego say what is not compared.
            files.get(*name) != folder.get(*name) && !name.ends_with(".cedar")
        });
        if let Some(other) = other {
            let say = format!("a draft changes Cedar policies alone, and not `{other}`");
            return Err(RemediateError::Draft(say));
        }
        let in_force = Arc::clone(&world.policies);
        let draft = self.policy_gate()?.draft(files.clone(), in_force).await?;
        match widened(&world.policies, &draft, &|of, to| belongs(world, of, to)) {
            None => {}
            Some(wider) => {
                return Err(RemediateError::Draft(format!(
                    "the draft cannot be shown to be narrower: {wider}; propose it as a change of \
                     the policies instead (`policy propose`)"
                )));
            }
        }
        all.iter().try_for_each(|one| shrinks(world, &draft, one))
    }

    /// Where the last statements of Cedar go and Rego files stay, these would decide alone. What goes
    /// is forbidden to its holder instead, beside being taken out: then Cedar still has its say, and
    /// permits nothing.
    async fn keep_cedar(
        &self,
        world: &World,
        revoked: &[&Remediation],
        files: &mut BTreeMap<String, String>,
    ) -> Result<(), RemediateError> {
        let in_force = Arc::clone(&world.policies);
        let draft = self.policy_gate()?.draft(files.clone(), Arc::clone(&in_force)).await?;
        if !in_force.would_be_left_to_rego(&draft) {
            return Ok(());
        }
        let mut taken = BTreeSet::new();
        for one in revoked {
            let RightTaken::Statement { policy, says, .. } = &one.plan.right else { continue };
            let id = named(world, policy.as_str(), *says);
            let Some(statement) = id.and_then(|id| world.policies.statement(&id)) else { continue };
            taken.insert(forbidden(&one.id, &principal(world, one)?, &statement));
        }
        write_taken(files, &taken);
        Ok(())
    }

    async fn apply_at_once(&self, id: &RecordId, by: &IdentityId) -> Result<(), RemediateError> {
        self.step(|world, state| {
            let one = found(state, id)?;
            let before = status_since(world, one);
            let step = RemediationStep::Applied { proposal: None, before };
            let entry = entry(one, &step, self.now(), Some(by))?;
            let mut bodies = Vec::new();
            if one.plan.right == RightTaken::Identity {
                bodies.extend(with_status(world, one, Some(by), IdentityStatus::Retired)?);
                world.with_aside(id, None);
            }
            Ok((bodies, vec![entry]))
        })
        .await?;
        let one = self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone()))?;
        self.end_what_rests_on(&one, Some(by)).await
    }

    /// Gives back what was taken away. What policies gave comes back by a proposal that undoes the
    /// other one, where its files are still as that left them.
    ///
    /// # Errors
    /// [`RemediateError`] says why not.
    pub async fn roll_back(
        &self,
        id: &RecordId,
        by: &IdentityId,
        reason: Arc<str>,
    ) -> Result<AppliedRights, RemediateError> {
        let one = self.remediation(id).ok_or_else(|| RemediateError::Unknown(id.clone()))?;
        let step = RemediationStep::RolledBack { reason: Arc::clone(&reason) };
        one.check(&step, self.now())?;
        let Some(proposal) = one.proposal.filter(|_| one.plan.right.is_of_policies()) else {
            self.step(|world, state| {
                let one = found(state, id)?;
                let entry = entry(one, &step, self.now(), Some(by))?;
                let bodies = lifted(world, one, by)?.into_iter().collect();
                Ok((bodies, vec![entry]))
            })
            .await?;
            return Ok(AppliedRights { applied: vec![id.clone()], proposal: None });
        };
        let texts: ProposedTexts = self.proposed_texts(&proposal)?.reversed();
        let folder = self.policy_gate()?.read().await?;
        let files = texts.on(&folder).map_err(|names| {
            RemediateError::Conflict(format!("`{}` changed after that", names.join("`, `")))
        })?;
        let of = self.policy_proposal(&proposal);
        let of = of.ok_or_else(|| RemediateError::UnknownProposal(proposal.clone()))?;
        let remediations: Result<Vec<_>, _> =
            of.change.remediations.iter().map(|id| RecordId::new(id.as_str())).collect();
        let back = NewProposal {
            files,
            reason: reason.to_string(),
            remediations: remediations?,
            back: true,
            from: Some(folder_digest(&folder)),
        };
        let proposal = self.propose_policies(back, by).await?;
        Ok(AppliedRights { applied: Vec::new(), proposal: Some(proposal.id) })
    }
}

/// Whether a draft leaves less of a right to its holder: fewer actions, fewer resources, more
/// conditions or obligations, or the same text with something more that narrows it.
///
/// # Errors
/// It stands there as it did, the draft gives them the same in other words, or it was gone before.
fn shrinks(world: &World, draft: &Policies, one: &Remediation) -> Result<(), RemediateError> {
    let RightTaken::Statement { policy, says, .. } = &one.plan.right else { return Ok(()) };
    let holder = &one.plan.holder;
    let known = world.identities.get(holder);
    let unknown = || crate::EstateError::UnknownIdentity(holder.clone());
    let known = &known.ok_or_else(unknown)?.entity;
    let before = extents(&world.policies, known, *says)?;
    if before.is_empty() {
        return Err(RemediateError::Conflict(format!("`{policy}` is not in force any more")));
    }
    let as_it_was = |now: &Extent| {
        let wide = |was: &Extent| {
            was.open.is_subset(&now.open) && now.narrowed_by.is_subset(&was.narrowed_by)
        };
        before.iter().any(wide)
    };
    if extents(draft, known, *says)?.iter().any(as_it_was) {
        return Err(RemediateError::Draft(format!(
            "the draft leaves `{policy}` to `{holder}` as it is: give the text in which that \
             statement is smaller"
        )));
    }
    let belongs = |of: &EntityRef, to: &EntityRef| belongs(world, of, to);
    let same = still_given(&world.policies, draft, known, *says, &belongs);
    match same.map_err(crate::EstateError::from)? {
        false => Ok(()),
        true => Err(RemediateError::Draft(format!(
            "the draft gives `{holder}` in other words what `{policy}` does: give the text in which \
             that statement is smaller for them"
        ))),
    }
}

/// What a statement comes to for somebody.
struct Extent {
    open: BTreeSet<ActionName>,
    /// By what they say.
    narrowed_by: BTreeSet<Digest>,
}

/// What every statement that says that comes to for somebody.
fn extents(
    policies: &Policies,
    holder: &Entity,
    says: Digest,
) -> Result<Vec<Extent>, RemediateError> {
    let standing = policies.standing_rights(holder).map_err(crate::EstateError::from)?;
    let same = standing.permits.iter().filter(|right| right.statement.digest() == says);
    let extent = same.map(|right| Extent {
        open: standing.open(right).cloned().collect(),
        narrowed_by: standing.narrowing(right).map(|by| by.statement.digest()).collect(),
    });
    Ok(extent.filter(|extent| !extent.open.is_empty()).collect())
}

/// Whether an entity belongs to another one for as long as both have their names.
pub(super) fn belongs(world: &World, of: &EntityRef, to: &EntityRef) -> bool {
    let entries = world.catalogue.actions.values();
    let mut places = entries.filter_map(|entry| placed(entry, of, &world.vocabulary));
    places.any(|entity| entity.ancestors.contains(to))
}

/// Takes statements of the policies from their holders.
fn take_statements(
    world: &World,
    all: &[&Remediation],
    files: &mut BTreeMap<String, String>,
) -> Result<(), RemediateError> {
    let mut rights = Vec::new();
    for one in all {
        let RightTaken::Statement { policy, says, .. } = &one.plan.right else { continue };
        let Some(now) = named(world, policy.as_str(), *says) else {
            return Err(RemediateError::Conflict(format!("`{policy}` is not in force any more")));
        };
        rights.push((now, principal(world, one)?));
    }
    if rights.is_empty() {
        return Ok(());
    }
    for (name, file) in revoke(&world.policies, &rights)? {
        match files.get_mut(&*name) {
            None => {
                return Err(RemediateError::Draft(format!(
                    "`{name}` comes with the program: except them in the folder by a forbid"
                )));
            }
            Some(text) if **text != *file.before => {
                return Err(RemediateError::Conflict(format!("`{name}` is not what is in force")));
            }
            Some(text) => *text = file.after.to_string(),
        }
    }
    Ok(())
}

/// The statement as it is called now, where it still says the same under this or another name.
fn named(world: &World, policy: &str, says: Digest) -> Option<safeconduct_model::PolicyId> {
    world.policies.still_says(&safeconduct_model::PolicyId::new(policy).ok()?, says)
}

/// Takes intents from their holders: a forbid of undertaking them.
fn take_intents(
    world: &World,
    all: &[&Remediation],
    files: &mut BTreeMap<String, String>,
) -> Result<(), RemediateError> {
    let namespace = world.vocabulary.namespace();
    let mut taken = BTreeSet::new();
    for one in all {
        let RightTaken::Intent { intent, schedule } = &one.plan.right else { continue };
        if schedule.is_some() {
            let say = "a schedule stands in its intent's file, and is taken out there";
            return Err(RemediationError::Plan(say).into());
        }
        let uid = EntityRef::new(format!("{namespace}::Intent"), intent.shared())?;
        let who = principal(world, one)?;
        taken.insert(format!(
            "\n@id(\"review.{}\")\nforbid (\n  principal == {who},\n  action == {namespace}::Action::{:?},\n  resource == {uid}\n);\n",
            one.id, UNDERTAKE
        ));
    }
    write_taken(files, &taken);
    Ok(())
}

/// Writes what is taken away into the file for that.
fn write_taken(files: &mut BTreeMap<String, String>, taken: &BTreeSet<String>) {
    if taken.is_empty() {
        return;
    }
    let text = files.entry(OF_REVIEWS.to_owned()).or_insert_with(|| {
        "// What reviews have taken away. Changed by proposals only.\n".to_owned()
    });
    taken.iter().for_each(|statement| text.push_str(statement));
}

/// A forbid over the scope of a statement, for one holder.
fn forbidden(review: &RecordId, who: &EntityRef, statement: &ScopedStatement) -> String {
    let action = match statement.actions() {
        ScopeActions::Any => "action".to_owned(),
        ScopeActions::Eq(one) => format!("action == {one}"),
        ScopeActions::In(all) => format!("action in [{}]", all.join(", ")),
    };
    let resource = match statement.resource() {
        ScopeSide::Any => "resource".to_owned(),
        ScopeSide::Is(ty) => format!("resource is {ty}"),
        ScopeSide::Eq(uid) => format!("resource == {uid}"),
        ScopeSide::In(uid) => format!("resource in {uid}"),
        ScopeSide::IsIn(ty, uid) => format!("resource is {ty} in {uid}"),
    };
    format!(
        "\n@id(\"review.{review}\")\nforbid (\n  principal == {who},\n  {action},\n  {resource}\n);\n"
    )
}

fn principal(world: &World, one: &Remediation) -> Result<EntityRef, RemediateError> {
    let known = world.principal_of(&one.plan.holder);
    let unknown = || crate::EstateError::UnknownIdentity(one.plan.holder.clone());
    Ok(known.ok_or_else(unknown)?)
}
