//! Use-case: change the world. The record comes first, then the swap.

use std::collections::BTreeSet;
use std::sync::Arc;

use safeconduct_engine::Vocabulary;
use safeconduct_model::{
    ActionName, Body, Catalogue, Delegation, Digest, INTENTS_NAMED_MAX, Identity, IdentityId,
    IdentityStatus, IntentName, Intents, KillScope, NameError, Record, RecordId, ServerName,
    TaskState, Timestamp, Token, TokenId,
};
use safeconduct_policy::Policies;
use thiserror::Error;

use crate::risk::goes_on;
use crate::sightings::{Conversation, DEFINITIONS_MAX, Extent, TooMany};
use crate::world::{IDENTITIES_MAX, TOKENS_MAX};
use crate::{
    ATTACHED_BYTES_MAX, AppendError, Ending, Entry, Proposal, Service, SubmitError, Ticket,
    Versioned, World,
};

/// Most standing delegations. More are refused.
pub const DELEGATIONS_MAX: usize = 100_000;

/// Most sessions that the kill switch has stopped at one time. Beyond it stop identities, or all.
pub const KILLED_MAX: usize = 10_000;

/// Why a change did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The caller's fault: no such identity.
    #[error("no identity `{0}` is registered")]
    UnknownIdentity(IdentityId),
    /// The caller's fault: no such token.
    #[error("no token `{0}` was issued")]
    UnknownToken(TokenId),
    /// The caller's fault: no such intent.
    #[error("no intent `{0}` is known")]
    UnknownIntent(IntentName),
    /// The caller's fault: no such delegation.
    #[error("no delegation `{0}` stands")]
    UnknownDelegation(RecordId),
    /// The caller's fault: the kill switch has not stopped that.
    #[error("the kill switch has not stopped that")]
    NotKilled,
    /// The caller's fault: something that is not a person needs an owner.
    #[error("identity `{0}` is not a user and needs an owner and a fallback owner")]
    NoOwner(IdentityId),
    /// The caller's fault: a name does not fit.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The caller's fault: too many of them.
    #[error("there are already {limit} {what}, the most that are kept")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// Our fault: the ledger took no record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Our fault: the record did not become durable.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Our fault: the record could not be made.
    #[error("the change's record could not be made: {0}")]
    Record(Arc<str>),
}

/// Most sets of which it is remembered that the ledger holds what they are made of. Of one more
/// it may be kept twice.
pub const KEPT_SETS_MAX: usize = 100_000;

/// What rules are made of, each part as bytes that whoever loads rules can read again. They lie
/// beside the record by which the part came into force, so that what was permitted at some time
/// can be answered later. A part of more than [`ATTACHED_BYTES_MAX`] bytes is not kept.
#[derive(Debug, Clone, Default)]
pub struct RuleTexts {
    /// Of the policy set.
    pub policies: Option<Arc<[u8]>>,
    /// Of the catalogue.
    pub catalogue: Option<Arc<[u8]>>,
    /// Of the intents.
    pub intents: Option<Arc<[u8]>>,
}

/// A record of a change, with what lies beside it.
struct Changed {
    body: Body,
    beside: Option<Vec<u8>>,
}

impl From<Body> for Changed {
    fn from(body: Body) -> Self {
        Self { body, beside: None }
    }
}

/// What is loaded from files and put in force together.
#[derive(Clone)]
pub struct RuleSet {
    /// The policy set.
    pub policies: Arc<Policies>,
    /// What is known of each action.
    pub catalogue: Arc<Catalogue>,
    /// The digest of the catalogue and of the approved definitions.
    pub catalogue_digest: Digest,
    /// The names of the shipped types.
    pub vocabulary: Arc<Vocabulary>,
    /// What may be undertaken; where there is none, what could be before stays.
    pub intents: Option<Arc<Intents>>,
    /// What all of it is made of.
    pub texts: RuleTexts,
    /// Who asked for it by name, where somebody did: what comes by it is theirs to have given, and
    /// for others to review.
    pub asked_by: Option<IdentityId>,
}

impl World {
    /// What is to lie beside the record of a set: nothing where the ledger holds it already.
    fn keep(&mut self, digest: Digest, text: Option<Arc<[u8]>>) -> Option<Vec<u8>> {
        let text = text.filter(|text| text.len() <= ATTACHED_BYTES_MAX)?;
        if self.kept.contains(&digest) {
            return None;
        }
        if self.kept.len() < KEPT_SETS_MAX {
            Arc::make_mut(&mut self.kept).insert(digest);
        }
        Some(text.to_vec())
    }

    /// Puts intents in, and gives what there is to record of it. What is the same set is no
    /// change, and who never had any is not told that they have none.
    fn with_intents(&mut self, intents: Arc<Intents>, by: Option<&IdentityId>) -> Option<Body> {
        let nothing = intents.versions.is_empty() && self.intents.versions.is_empty();
        if nothing || self.intents.digest == intents.digest {
            return None;
        }
        let (digest, count) = (intents.digest, intents.iter().count() as u64);
        let (mut by, mut changed) = (by.cloned(), Vec::new());
        if let Some(who) = &by {
            changed = changed_since(&self.intents, &intents);
            if changed.is_empty() {
                // By what only goes nobody gives anything.
                by = None;
            } else {
                if changed.len() > INTENTS_NAMED_MAX {
                    changed.clear();
                }
                Arc::make_mut(&mut self.intents_put).take_in(who, &changed);
            }
        }
        self.intents = intents;
        Some(Body::IntentsLoaded { digest, intents: count, by, changed })
    }
}

/// The intents that are new, or of which some version came, went or says something else.
fn changed_since(before: &Intents, now: &Intents) -> Vec<IntentName> {
    let all = now.versions.iter();
    let changed = all.filter(|(name, versions)| before.versions.get(*name) != Some(*versions));
    changed.map(|(name, _)| name.clone()).collect()
}

impl Service {
    /// Puts a policy set in force. Its catalogue types must be resolved against it.
    ///
    /// # Errors
    /// [`ChangeError`] where the record could not be made; the set before it stays in force.
    pub async fn change_policies(
        &self,
        policies: Arc<Policies>,
        catalogue: Arc<Catalogue>,
        catalogue_digest: Digest,
        vocabulary: Arc<Vocabulary>,
        cause: &str,
    ) -> Result<(), ChangeError> {
        let texts = RuleTexts::default();
        let intents = None;
        let asked_by = None;
        let rules =
            RuleSet { policies, catalogue, catalogue_digest, vocabulary, intents, texts, asked_by };
        self.change_rules(rules, cause).await
    }

    /// Puts policies, catalogue and intents in force together: no decision sees some of them with
    /// the others of before. The catalogue's types must be resolved against the policies, and the
    /// intents held against both. Tasks that have begun keep what they were given.
    ///
    /// # Errors
    /// [`ChangeError`] where the records could not be made; all before them stay in force.
    pub async fn change_rules(&self, rules: RuleSet, cause: &str) -> Result<(), ChangeError> {
        let policies = Arc::clone(&rules.policies);
        let queued = self.queue_changed(None, |world| {
            let mut changed = Vec::new();
            let RuleSet {
                policies,
                catalogue,
                catalogue_digest,
                vocabulary,
                intents,
                texts,
                asked_by,
            } = rules;
            let digest = policies.digest();
            if world.policies.digest() != digest || cause == "start" {
                let (count, cause) = (policies.len() as u64, cause.to_owned());
                changed.push(Changed {
                    body: Body::PoliciesLoaded { digest, policies: count, cause },
                    beside: world.keep(digest, texts.policies),
                });
            }
            if world.catalogue_digest != catalogue_digest || cause == "start" {
                let (digest, actions) = (catalogue_digest, catalogue.actions.len() as u64);
                changed.push(Changed {
                    body: Body::CatalogueLoaded { digest, actions },
                    beside: world.keep(digest, texts.catalogue),
                });
            }
            let by = asked_by.as_ref();
            if let Some(body) = intents.and_then(|intents| world.with_intents(intents, by)) {
                let beside = world.keep(world.intents.digest, texts.intents);
                changed.push(Changed { body, beside });
            }
            world.policies = policies;
            world.look_up_asides();
            Arc::make_mut(&mut world.seen).repinned(&world.catalogue, &catalogue);
            world.catalogue = catalogue;
            world.catalogue_digest = catalogue_digest;
            world.vocabulary = vocabulary;
            // A new pin frees a tool whose live definition now matches, and catches others.
            world.quarantined = Arc::new(world.seen.quarantined(&world.catalogue));
            Ok(changed)
        })?;
        self.aging.in_force(self.clock.now(), &policies);
        match queued {
            Some(ticket) => Ok(self.ledger.durable(ticket).await?),
            None => Ok(()),
        }
    }

    /// Puts a set of intents in force. Tasks that have begun keep what they were given.
    ///
    /// # Errors
    /// [`ChangeError`] where the record could not be made; the set before it stays in force.
    pub async fn change_intents(&self, intents: Arc<Intents>) -> Result<(), ChangeError> {
        self.change(|world| Ok(world.with_intents(intents, None).into_iter().collect())).await
    }

    /// Takes a user's standing word that an agent may undertake an intent for them. The user
    /// themselves has said so; whoever calls this has seen to that.
    ///
    /// # Errors
    /// [`ChangeError`] says what does not fit.
    pub async fn delegate(
        &self,
        user: IdentityId,
        agent: IdentityId,
        intent: IntentName,
        expires_at: Timestamp,
    ) -> Result<Delegation, ChangeError> {
        let id = self.ids.record("del");
        let delegation = Delegation { id: id.clone(), user, agent, intent, expires_at };
        self.change(|world| {
            for who in [&delegation.user, &delegation.agent] {
                if world.identity(who).is_none() {
                    return Err(ChangeError::UnknownIdentity(who.clone()));
                }
            }
            if world.intents.version(&delegation.intent, None).is_none() {
                return Err(ChangeError::UnknownIntent(delegation.intent.clone()));
            }
            forget_expired(world, self.clock.now());
            if world.delegations.len() >= DELEGATIONS_MAX {
                let (what, limit) = ("delegations", DELEGATIONS_MAX);
                return Err(ChangeError::OverLimit { what, limit });
            }
            Arc::make_mut(&mut world.delegations).insert(id.clone(), delegation.clone());
            Ok(vec![Body::DelegationMade(delegation.clone())])
        })
        .await?;
        Ok(delegation)
    }

    /// Forgets standing words whose time is over. Returns how many. To be called from time to time:
    /// nothing rests on one that has expired.
    pub fn sweep_delegations(&self) -> usize {
        let now = self.clock.now();
        if !self.world().delegations.values().any(|delegation| now >= delegation.expires_at) {
            return 0;
        }
        let mut forgotten = 0;
        // Nothing is recorded: their end stands in the record of their beginning.
        let changed = self.queue_change(|world| {
            forgotten = forget_expired(world, now);
            Ok(Vec::new())
        });
        changed.map_or(0, |_| forgotten)
    }

    /// Takes a standing word back. Tasks that rest on it go on; end them to stop them.
    ///
    /// # Errors
    /// [`ChangeError`] says what does not fit.
    pub async fn end_delegation(&self, id: &RecordId, by: &IdentityId) -> Result<(), ChangeError> {
        self.change(|world| {
            let gone = Arc::make_mut(&mut world.delegations).remove(id);
            gone.ok_or_else(|| ChangeError::UnknownDelegation(id.clone()))?;
            Ok(vec![Body::DelegationEnded { delegation: id.clone(), by: by.clone() }])
        })
        .await
    }

    /// Records what the kill switch stops, and stops it: all but the tasks, which end.
    pub(crate) async fn record_kill(
        &self,
        scope: &KillScope,
        by: &IdentityId,
        reason: &Arc<str>,
    ) -> Result<(), ChangeError> {
        self.change(|world| stop(world, scope, by, reason)).await
    }

    /// The same because of what a record says, where that goes on, without waiting for the disk.
    /// Whether it did go on.
    pub(crate) fn queue_kill(
        &self,
        scope: &KillScope,
        by: &IdentityId,
        reason: &Arc<str>,
        because: &RecordId,
    ) -> Result<bool, ChangeError> {
        let queued = self.queue_change_because(Some(because), |world| {
            // Looked at where nothing else changes: somebody may be registered at this moment.
            if !goes_on(world, scope) {
                return Ok(Vec::new());
            }
            stop(world, scope, by, reason)
        })?;
        Ok(queued.is_some())
    }

    /// Lets what the kill switch stopped go on. Tasks that it ended stay ended, and an identity
    /// that it suspended is made active by changing the identity.
    ///
    /// # Errors
    /// [`ChangeError`] says what does not fit.
    pub async fn lift_kill(
        &self,
        scope: KillScope,
        by: &IdentityId,
        reason: Arc<str>,
    ) -> Result<(), ChangeError> {
        self.change(|world| {
            if !Arc::make_mut(&mut world.killed).remove(&scope) {
                return Err(ChangeError::NotKilled);
            }
            Ok(vec![Body::KillLifted { scope, by: by.clone(), reason }])
        })
        .await
    }

    /// Records that a policy set was refused.
    ///
    /// # Errors
    /// [`ChangeError`] where the record could not be made.
    pub async fn record_refused_policies(
        &self,
        digest: Option<Digest>,
        problem: String,
    ) -> Result<(), ChangeError> {
        self.change(|_| Ok(vec![Body::PoliciesRefused { digest, problem }])).await
    }

    /// Records that this process took the ledger over.
    ///
    /// # Errors
    /// [`ChangeError`] where the record could not be made.
    pub async fn record_start(&self, version: &str) -> Result<(), ChangeError> {
        self.change(|_| Ok(vec![Body::ServerStarted { version: version.to_owned() }])).await
    }

    /// Registers an identity, or changes one. Where it may no longer act, the tasks end in which
    /// it acts, or in which others act for it. One whose name a signal stopped before there was
    /// anybody of that name begins suspended.
    ///
    /// # Errors
    /// [`ChangeError`] says what does not fit.
    pub async fn change_identity(
        &self,
        identity: Identity,
        by: &IdentityId,
    ) -> Result<(), ChangeError> {
        let owned = identity.owner.is_some() && identity.fallback_owner.is_some();
        if identity.kind != safeconduct_model::IdentityKind::User && !owned {
            return Err(ChangeError::NoOwner(identity.id));
        }
        self.change_and_tell(|world| {
            let known = world.identity(&identity.id);
            if known == Some(&identity) {
                return Ok(Vec::new());
            }
            if known.is_none() && world.identities.len() >= IDENTITIES_MAX {
                return Err(ChangeError::OverLimit { what: "identities", limit: IDENTITIES_MAX });
            }
            let is_new = known.is_none();
            world.with_identity(identity.clone())?;
            let changed = Body::IdentityChanged { identity: identity.clone(), by: by.clone() };
            let mut bodies = vec![changed];
            if is_new {
                bodies.extend(self.stopped_beforehand(world, &identity.id)?);
            }
            Ok(bodies)
        })
        .await?;
        self.end_for_the_inactive(&identity, by).await
    }

    /// Whoever may not act any more acts in nothing, and nobody acts for them.
    pub(crate) async fn end_for_the_inactive(
        &self,
        identity: &Identity,
        by: &IdentityId,
    ) -> Result<(), ChangeError> {
        if identity.status != IdentityStatus::Active {
            let ending = Ending {
                state: TaskState::Revoked,
                by: Some(by.clone()),
                reason: format!("{} is {}", identity.id, identity.status.as_str()).into(),
            };
            let scope = KillScope::Identity(identity.id.clone());
            self.end_access_of(&scope, "identity_not_active");
            self.end_all(&scope, &ending).await?;
        }
        Ok(())
    }

    /// Registers a token of an identity, as its digest.
    ///
    /// # Errors
    /// [`ChangeError`] says what does not fit.
    pub async fn register_token(&self, token: Token, by: &IdentityId) -> Result<(), ChangeError> {
        self.change(|world| {
            if world.identity(&token.identity).is_none() {
                return Err(ChangeError::UnknownIdentity(token.identity.clone()));
            }
            if world.tokens.len() >= TOKENS_MAX {
                return Err(ChangeError::OverLimit { what: "tokens", limit: TOKENS_MAX });
            }
            world.with_token(token.clone());
            Ok(vec![Body::TokenIssued { token, by: by.clone() }])
        })
        .await
    }

    /// Takes a token back. From this moment no permit of it is performed any more.
    ///
    /// # Errors
    /// [`ChangeError`] says what does not fit.
    pub async fn revoke_token(&self, id: &TokenId, by: &IdentityId) -> Result<(), ChangeError> {
        self.change_and_tell(|world| {
            let token = world.token(id).ok_or_else(|| ChangeError::UnknownToken(id.clone()))?;
            if token.revoked {
                return Ok(Vec::new());
            }
            let revoked = Token { revoked: true, ..token.clone() };
            world.with_token(revoked);
            Ok(vec![Body::TokenRevoked { token: id.clone(), by: by.clone() }])
        })
        .await
    }

    /// Takes in the live definitions that a server shows in one conversation. What is not as it
    /// was approved is quarantined from this moment. It is free again once a whole listing shows
    /// it as it was approved and no other conversation that is open was shown anything else.
    ///
    /// # Errors
    /// [`ChangeError`] where the record could not be made, or one conversation shows more than
    /// [`DEFINITIONS_MAX`] definitions.
    pub async fn definitions_seen(
        &self,
        server: &ServerName,
        conversation: &Conversation,
        extent: Extent,
        definitions: Vec<(ActionName, Digest)>,
    ) -> Result<(), ChangeError> {
        // Nearly always nothing has changed: find out without making anyone wait.
        if self.world().seen.covers(server, conversation, extent, &definitions) {
            return Ok(());
        }
        self.change(|world| {
            // What the catalogue does not list yet is remembered too: a pin may come.
            Arc::make_mut(&mut world.seen)
                .take_in(&world.catalogue, server, conversation, extent, &definitions)
                .map_err(|TooMany| ChangeError::OverLimit {
                    what: "tool definitions of one conversation",
                    limit: DEFINITIONS_MAX,
                })?;
            let after = world.seen.quarantined(&world.catalogue);
            let mut bodies = Vec::new();
            for action in world.quarantined.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
                let (was, is) = (world.quarantined.get(action), after.get(action));
                let pinned = world.catalogue.entry(action).and_then(|entry| entry.definition);
                if let Some(pinned) = pinned.filter(|_| was != is) {
                    let (action, server) = (action.clone(), server.clone());
                    let seen = is.copied().unwrap_or(pinned);
                    bodies.push(Body::DefinitionSeen { action, server, pinned, seen });
                }
            }
            world.quarantined = Arc::new(after);
            Ok(bodies)
        })
        .await
    }

    /// Changes a copy of the world, records what the change says, swaps it in, and waits until
    /// the records are durable. The new world is in force from the moment that its records are
    /// queued: whoever decides on the old one is told that it is stale.
    pub(crate) async fn change(
        &self,
        change: impl FnOnce(&mut World) -> Result<Vec<Body>, ChangeError>,
    ) -> Result<(), ChangeError> {
        match self.queue_change(change)? {
            Some(ticket) => Ok(self.ledger.durable(ticket).await?),
            None => Ok(()),
        }
    }

    /// The same for a change that can end something: whoever rests on it is told once the new
    /// world is in force.
    async fn change_and_tell(
        &self,
        change: impl FnOnce(&mut World) -> Result<Vec<Body>, ChangeError>,
    ) -> Result<(), ChangeError> {
        let queued = self.queue_change(change)?;
        self.tell();
        match queued {
            Some(ticket) => Ok(self.ledger.durable(ticket).await?),
            None => Ok(()),
        }
    }

    fn queue_change(
        &self,
        change: impl FnOnce(&mut World) -> Result<Vec<Body>, ChangeError>,
    ) -> Result<Option<Ticket>, ChangeError> {
        self.queue_change_because(None, change)
    }

    pub(crate) fn queue_change_because(
        &self,
        because: Option<&RecordId>,
        change: impl FnOnce(&mut World) -> Result<Vec<Body>, ChangeError>,
    ) -> Result<Option<Ticket>, ChangeError> {
        let changed = |world: &mut World| {
            change(world).map(|all| all.into_iter().map(Changed::from).collect())
        };
        self.queue_changed(because, changed)
    }

    fn queue_changed(
        &self,
        because: Option<&RecordId>,
        change: impl FnOnce(&mut World) -> Result<Vec<Changed>, ChangeError>,
    ) -> Result<Option<Ticket>, ChangeError> {
        let _changing = self.keep_changes_out();
        let mut world = World::clone(&self.world());
        let changed = change(&mut world)?;
        let entries = changed
            .into_iter()
            .map(|changed| self.entry(changed, because))
            .collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            // Nothing that a decision rests on is recorded, yet it may have moved in memory.
            world.version = self.world().version;
            self.world.store(Arc::new(world));
            return Ok(None);
        }
        let reads = vec![(Versioned::World, world.version)];
        let writes = vec![Versioned::World];
        let ticket = self.ledger.submit(Proposal { entries, reads, writes })?;
        world.version += 1;
        self.world.store(Arc::new(world));
        Ok(Some(ticket))
    }

    fn entry(&self, changed: Changed, because: Option<&RecordId>) -> Result<Entry, ChangeError> {
        let Changed { body, beside } = changed;
        let record = Record {
            id: self.ids.record("rec"),
            at: self.clock.now(),
            trace: None,
            parent: because.cloned(),
            body,
        };
        let leaf = safeconduct_ledger::encode(&record)
            .map_err(|error| ChangeError::Record(error.to_string().into()))?;
        Ok(Entry { leaf, attachment: beside })
    }
}

/// Stops all but the tasks, and says what is to be recorded of it.
pub(crate) fn stop(
    world: &mut World,
    scope: &KillScope,
    by: &IdentityId,
    reason: &Arc<str>,
) -> Result<Vec<Body>, ChangeError> {
    let (scope, by, reason) = (scope.clone(), by.clone(), Arc::clone(reason));
    let mut bodies = vec![Body::Killed { scope: scope.clone(), by: by.clone(), reason }];
    match scope {
        KillScope::Identity(id) => {
            let known = world.identity(&id);
            let known = known.ok_or_else(|| ChangeError::UnknownIdentity(id.clone()))?;
            let mut identity = Identity { status: IdentityStatus::Suspended, ..known.clone() };
            // Where it came from, nobody has suspended it, and nobody there lets it go on.
            if let Some(imported) = &mut identity.imported {
                imported.suspended = false;
            }
            world.with_identity(identity.clone())?;
            bodies.push(Body::IdentityChanged { identity, by });
        }
        KillScope::Task(_) => {}
        scope @ (KillScope::Session(_) | KillScope::All) => {
            if world.killed.len() >= KILLED_MAX {
                let (what, limit) = ("stopped sessions", KILLED_MAX);
                return Err(ChangeError::OverLimit { what, limit });
            }
            Arc::make_mut(&mut world.killed).insert(scope);
        }
    }
    Ok(bodies)
}

/// Forgets standing words whose time is over, and says how many those were.
pub(crate) fn forget_expired(world: &mut World, now: Timestamp) -> usize {
    let before = world.delegations.len();
    if world.delegations.values().any(|delegation| now >= delegation.expires_at) {
        let delegations = Arc::make_mut(&mut world.delegations);
        delegations.retain(|_, delegation| now < delegation.expires_at);
    }
    before - world.delegations.len()
}
